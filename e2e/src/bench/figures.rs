//! The figures: named, with their targets, printed as they come and written as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use self::Target::{AtLeast, AtMost};

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
        }
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// What figures should be; one without a target is stated only.
pub const TARGETS: [(&str, Target); 19] = [
    ("access_restart_seconds", AtMost(2.0)),
    ("activation_p99_ms", AtMost(1000.0)),
    ("converge_ratio", AtMost(1.5)),
    ("drift_repair_p99_ms", AtMost(250.0)),
    ("ledger_append_p99_ms", AtMost(20.0)),
    ("ledger_verify_records_per_s", AtLeast(200_000.0)),
    ("mass_end_seconds", AtMost(60.0)),
    ("mass_proven_seconds", AtMost(900.0)),
    ("operator_rss_mb", AtMost(120.0)),
    ("reachability_update_p99_ms", AtMost(100.0)),
    ("ready_p99_ms", AtMost(1000.0)),
    ("restart_writes", AtMost(0.0)),
    ("revocation_p99_ms", AtMost(1000.0)),
    ("scrape_ms", AtMost(250.0)),
    ("seed200_rss_mb", AtMost(60.0)),
    ("seed200_seconds", AtMost(15.0)),
    ("settled_cpu_core", AtMost(0.01)),
    ("settled_writes_10min", AtMost(0.0)),
    ("settled_writes_1min", AtMost(0.0)),
];

/// What was measured so far.
#[derive(Debug)]
pub struct Figures {
    file: Option<PathBuf>,
    values: BTreeMap<String, f64>,
}

impl Figures {
    /// No figures yet; each is written to `file` at once, so that a run that is cut short loses none. The file is made now:
    /// a path that does not work is not found out after minutes.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn new(file: Option<PathBuf>) -> Result<Self> {
        let figures = Self {
            file,
            values: BTreeMap::new(),
        };
        figures.save()?;
        Ok(figures)
    }

    /// Takes in a figure, rounded to three decimals.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn put(&mut self, name: &str, value: f64) -> Result<()> {
        let value = (value * 1000.0).round() / 1000.0;
        let target = TARGETS.iter().find(|(named, _)| *named == name);
        let verdict = match target {
            Some((_, target)) if target.is_met(value) => format!("  ({target}: met)"),
            Some((_, target)) => format!("  ({target}: MISSED)"),
            None => String::new(),
        };
        println!("   {name:<34} {value:>12}{verdict}");
        self.values.insert(name.to_owned(), value);
        self.save()
    }

    fn save(&self) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&self.values)?;
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    /// Takes in the median, the 99th percentile and the maximum of some times, in milliseconds.
    ///
    /// # Errors
    ///
    /// As [`Figures::put`].
    pub fn put_times(&mut self, name: &str, times: &[Duration]) -> Result<()> {
        let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        for (suffix, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            if let Some(value) = quantile(&sorted, share) {
                self.put(&format!("{name}_{suffix}_ms"), value)?;
            }
        }
        Ok(())
    }
}

/// The smallest value that at least this share of all does not exceed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(100.0));
        assert_eq!(quantile(&sorted, 0.99), Some(198.0));
        assert_eq!(quantile(&sorted, 1.0), Some(200.0));
        assert_eq!(quantile(&[7.0], 0.01), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_target_is_a_limit_from_above_or_from_below() {
        assert!(AtMost(20.0).is_met(20.0) && !AtMost(20.0).is_met(20.1));
        assert!(AtLeast(200.0).is_met(200.0) && !AtLeast(200.0).is_met(199.9));
    }

    #[test]
    fn a_path_that_does_not_work_is_told_before_anything_is_measured() {
        let error = Figures::new(Some("/nonexistent/figures.json".into())).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/figures.json"));
    }
}
