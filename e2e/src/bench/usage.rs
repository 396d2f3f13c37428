//! What a process uses, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::figures::Figures;

/// Resident memory in MiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub now: f64,
    /// The most it ever was.
    pub peak: f64,
}

/// The resident memory of a process.
///
/// # Errors
///
/// When it is gone.
pub fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let mebibytes = |key: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kibibytes: f64 = number
            .with_context(|| format!("no {key} in the status"))?
            .parse()?;
        Ok(kibibytes / 1024.0)
    };
    Ok(Memory {
        now: mebibytes("VmRSS:")?,
        peak: mebibytes("VmHWM:")?,
    })
}

/// The processor time a process has used, in user and kernel mode.
///
/// # Errors
///
/// When it is gone.
pub fn processor(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name in parentheses may hold anything; the fields begin behind it.
    let fields = text.rsplit_once(')').context("a malformed stat")?.1;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(
        ticks.iter().sum::<u64>() as f64 / per_second as f64,
    ))
}

/// Processor time of some processes from a moment on.
#[derive(Debug)]
pub struct Meter(Vec<(&'static str, u32, Duration)>);

impl Meter {
    /// Starts to measure.
    ///
    /// # Errors
    ///
    /// When one of them is gone.
    pub fn start(processes: &[(&'static str, u32)]) -> Result<Self> {
        let started = processes.iter();
        started
            .map(|(name, pid)| Ok((*name, *pid, processor(*pid)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Adds what each used since the start to `sum`.
    ///
    /// # Errors
    ///
    /// When one of them is gone.
    pub fn add_to(self, sum: &mut BTreeMap<&'static str, Duration>) -> Result<()> {
        for (name, pid, before) in self.0 {
            *sum.entry(name).or_default() += processor(pid)?.saturating_sub(before);
        }
        Ok(())
    }
}

/// States what was used, in seconds.
///
/// # Errors
///
/// As [`Figures::put`].
pub fn put(
    figures: &mut Figures,
    part: &str,
    sum: &BTreeMap<&'static str, Duration>,
) -> Result<()> {
    for (name, used) in sum {
        figures.put(&format!("{part}_{name}_cpu_seconds"), used.as_secs_f64())?;
    }
    Ok(())
}
