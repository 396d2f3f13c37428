//! The plugin `kubectl tenure`, as people run it.

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::paths::target;

/// What the plugin said.
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) text: String,
}

impl Said {
    /// The text, where it did what it was told.
    ///
    /// # Errors
    ///
    /// Its own words, where it did not.
    pub(super) fn success(self) -> Result<String> {
        match self.ok {
            true => Ok(self.text),
            false => bail!(self.text),
        }
    }
}

/// Runs the built plugin.
///
/// # Errors
///
/// When it does not start, or ends otherwise than with a yes or a no.
pub(super) async fn plugin(args: &[&str]) -> Result<Said> {
    let program = target().join("debug/kubectl-tenure");
    let output = Command::new(&program)
        .args(args)
        .output()
        .await
        .with_context(|| {
            format!(
                "cannot start {}: cargo build --workspace",
                program.display()
            )
        })?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Ok(Said { ok: true, text }),
        Some(1) => Ok(Said { ok: false, text }),
        _ => bail!("{args:?} ended with {}: {text}", output.status),
    }
}
