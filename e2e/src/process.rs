//! Child processes that never outlive the test that started them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How often a child is asked whether it still lives.
const POLL: Duration = Duration::from_millis(10);

/// What to run.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// A short name for messages and the log file.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables set besides the inherited ones.
    pub env: Vec<(String, OsString)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
    /// Whether the child may live on when this process ends.
    pub detached: bool,
}

/// A running child.
///
/// It is killed when this value is dropped, and by the kernel when this process dies for whatever reason: it is
/// started through `setpriv --pdeathsig KILL`, from a thread of its own that lives as long as the child, because
/// the kernel sends that signal when the *thread* that started the child ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    pid: u32,
    detached: bool,
    signals: Sender<Signal>,
    ended: Arc<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl Process {
    /// Starts the child.
    ///
    /// # Errors
    ///
    /// When the log cannot be opened, `setpriv` (util-linux) or the binary is missing.
    pub fn start(recipe: Recipe) -> Result<Self> {
        let (signals, inbox) = mpsc::channel();
        let (report, started) = mpsc::channel();
        let ended = Arc::new(Ended::default());
        let (name, log, detached) = (recipe.name.clone(), recipe.log.clone(), recipe.detached);
        let keeper = Arc::clone(&ended);
        thread::Builder::new()
            .name(format!("keeper-{name}"))
            .spawn(move || match spawn(&recipe) {
                Ok(child) => {
                    let _ = report.send(Ok(child.id()));
                    keep(child, &inbox, &keeper);
                }
                Err(error) => drop(report.send(Err(error))),
            })
            .context("cannot start a thread")?;
        let pid = started
            .recv()
            .context("the thread that starts the child has died")??;
        Ok(Self {
            name,
            log,
            pid,
            detached,
            signals,
            ended,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that holds its standard output and error.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal; nothing happens when the child has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self
            .ended
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, at most `limit`.
    ///
    /// # Errors
    ///
    /// When it still runs after `limit`.
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let guard = self
            .ended
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (status, _) = self
            .ended
            .changed
            .wait_timeout_while(guard, limit, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match *status {
            Some(status) => Ok(status),
            None => bail!(
                "{} (pid {}) still runs after {limit:?}; the end of {}:\n{}",
                self.name,
                self.pid,
                self.log.display(),
                tail(&self.log, 30)
            ),
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it is not gone after ten seconds.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10))
    }

    /// Fails with the end of the log when the child has ended.
    ///
    /// # Errors
    ///
    /// When the child has ended.
    pub fn check(&self) -> Result<()> {
        match self.ended() {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended early ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                tail(&self.log, 30)
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached && self.ended().is_none() {
            let _ = self.kill();
        }
    }
}

/// The last `lines` lines of a file; an unreadable file gives its error as text.
pub fn tail(file: &Path, lines: usize) -> String {
    match std::fs::read(file) {
        Err(error) => format!("(cannot read {}: {error})", file.display()),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
    }
}

fn spawn(recipe: &Recipe) -> Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&recipe.log)
        .with_context(|| format!("cannot open {}", recipe.log.display()))?;
    let errors = log.try_clone().context("cannot duplicate a file handle")?;
    if !recipe.program.exists() {
        bail!("{} is missing: {}", recipe.name, recipe.program.display());
    }
    let mut command = if recipe.detached {
        let mut command = Command::new(&recipe.program);
        command.process_group(0);
        command
    } else {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&recipe.program);
        command
    };
    command
        .args(&recipe.args)
        .envs(recipe.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .with_context(|| {
            format!(
                "cannot start {}: `setpriv` (package util-linux) must be on PATH",
                recipe.name
            )
        })
}

/// Passes signals on and reaps the child. Only this thread does either, so no signal can reach a reused pid.
fn keep(mut child: Child, inbox: &Receiver<Signal>, ended: &Ended) {
    let mut orphaned = false;
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                *ended.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                ended.changed.notify_all();
                return;
            }
            Err(_) => return,
        }
        if orphaned {
            thread::sleep(POLL);
            continue;
        }
        match inbox.recv_timeout(POLL) {
            Ok(signal) => {
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                if let Some(pid) = pid {
                    let _ = kill_process(pid, signal);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => orphaned = true,
        }
    }
}

/// A tiny shell that waits for the end of this process and then removes a folder.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    // Held open; the kernel closes it when this process dies, and the shell goes on.
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Removes `path` when this process has ended, however it ended.
    pub(crate) fn remove_at_exit(path: &Path) -> Result<Self> {
        // The children die by the same event, a moment earlier or later: hence three tries.
        let script = r#"trap "" INT TERM HUP; cat >/dev/null; for i in 1 2 3; do rm -rf -- "$1" 2>/dev/null && [ ! -e "$1" ] && exit 0; sleep 0.3; done"#;
        let mut child = Command::new("sh")
            .args(["-c", script, "watchdog"])
            .arg(path)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `sh`")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// Runs `check` until it says yes or the child ends.
///
/// # Errors
///
/// When the child ends first (with the end of its log), or `limit` passes.
pub async fn until_ready(
    process: &Process,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    loop {
        process.check()?;
        match check().await {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > limit => {
                return Err(error).with_context(|| {
                    format!(
                        "{} is not ready after {limit:?}; the end of its log:\n{}",
                        process.name,
                        tail(process.log(), 30)
                    )
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
