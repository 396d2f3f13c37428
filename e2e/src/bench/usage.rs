//! What a process uses, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

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
