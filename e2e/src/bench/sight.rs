//! Times that somebody outside the operator sees.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than anything measured here.
const LOST: Duration = Duration::from_secs(60);
/// How often a growing file is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// A log that grows.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// The log from now on.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file =
            File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// Waits for a line that holds all of `parts`, and says when it was there.
    ///
    /// # Errors
    ///
    /// When it does not come within a minute.
    pub async fn line(&mut self, parts: &[&str]) -> Result<Instant> {
        let start = Instant::now();
        let mut text = String::new();
        while start.elapsed() < LOST {
            self.0.read_to_string(&mut text)?;
            let found = text
                .lines()
                .any(|line| parts.iter().all(|part| line.contains(part)));
            if found {
                return Ok(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("no line with {parts:?} within {LOST:?}")
    }
}
