//! Running a program to its end and keeping what it said.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// No command of the harness takes longer than this.
const LIMIT: Duration = Duration::from_secs(180);

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Whether it exited with 0.
    pub ok: bool,
    /// The exit code, if it was not a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output, if the command succeeded.
    ///
    /// # Errors
    ///
    /// The whole of it, if it did not.
    pub fn success(self) -> Result<String> {
        if self.ok {
            return Ok(self.stdout);
        }
        bail!("{self}")
    }

    /// Standard error, if the command failed: for a request that must be refused.
    ///
    /// # Errors
    ///
    /// If it succeeded.
    pub fn refusal(self) -> Result<String> {
        if self.ok {
            bail!("this should have been refused, but succeeded: {self}");
        }
        Ok(self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
///
/// When it cannot be started or takes longer than three minutes. A failing exit code is no error: see [`Output`].
pub(crate) async fn run(
    mut command: Command,
    shown: String,
    input: Option<&str>,
) -> Result<Output> {
    command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin
            .write_all(text.as_bytes())
            .await
            .with_context(|| format!("cannot write to `{shown}`"))?;
    }
    let output = tokio::time::timeout(LIMIT, child.wait_with_output())
        .await
        .with_context(|| format!("`{shown}` took longer than {LIMIT:?}"))?
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok(Output {
        command: shown,
        ok: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
