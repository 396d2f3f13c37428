//! Clocks that are set: what holds must hold whatever the time of the operator's machine is said to be.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Debian's library that lets a clock be set for one process.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// One process's clock, set by writing a file.
#[derive(Debug)]
pub struct Clock(PathBuf);

impl Clock {
    /// One that is right, and is set through `file`.
    ///
    /// # Errors
    ///
    /// When the library is missing, or the file cannot be written.
    pub fn new(file: PathBuf) -> Result<Self> {
        ensure!(
            Path::new(FAKETIME).exists(),
            "{FAKETIME} is missing: apt-get install libfaketime"
        );
        let clock = Self(file);
        clock.set("+0")?;
        Ok(clock)
    }

    /// Sets it: `+0`, `+1h`, `-1h`, `+32d`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn set(&self, offset: &str) -> Result<()> {
        // Replaced as a whole: a process must not read half of it.
        let next = self.0.with_extension("next");
        fs::write(&next, offset)?;
        fs::rename(&next, &self.0)?;
        Ok(())
    }

    /// What a process is started with to go by it.
    pub fn environment(&self) -> Vec<(String, OsString)> {
        let pairs: [(&str, OsString); 4] = [
            ("LD_PRELOAD", FAKETIME.into()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            // As on a real machine: setting the clock does not move the monotonic one.
            ("DONT_FAKE_MONOTONIC", "1".into()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
