//! Where things lie: the repository, the target directory, and the folders of running planes.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::process::Watchdog;

/// The root of this repository (the folder of the workspace's `Cargo.toml`).
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target/` in the repository.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// A folder of this process under `target/planes/` that disappears with the process.
///
/// Three things remove it, the first that comes: [`WorkDir::remove`] or drop; a watchdog child that waits for
/// the end of this process; and the sweep that the next start makes of folders whose owner is gone
/// (known by a file lock that the kernel releases when its holder dies).
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    keep: bool,
    _lock: File,
    _watchdog: Option<Watchdog>,
}

/// The name of the lock file in each folder.
const LOCK: &str = ".owner";

impl WorkDir {
    /// Makes the folder `target/planes/<pid>-<n>-<name>`, after sweeping away those of dead processes.
    ///
    /// With `keep` it outlives this process (the demo's `--keep`); the next sweep removes it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or locked, or the watchdog not started.
    pub fn new(name: &str, keep: bool) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let planes = target().join("planes");
        fs::create_dir_all(&planes).with_context(|| format!("cannot make {}", planes.display()))?;
        // One sweeper or maker at a time, so that no folder is swept between its making and its locking.
        let gate = open_lock(&planes.join(".gate"))?;
        gate.lock().context("cannot lock target/planes/.gate")?;
        sweep(&planes);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = planes.join(format!("{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = open_lock(&path.join(LOCK))?;
        lock.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        let watchdog = if keep {
            None
        } else {
            Some(Watchdog::remove_at_exit(&path)?)
        };
        Ok(Self {
            path,
            keep,
            _lock: lock,
            _watchdog: watchdog,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder now.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        self.keep = true;
        fs::remove_dir_all(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Opens (and makes, if need be) a lock file.
///
/// # Errors
///
/// When it cannot be opened.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open the lock file {}", path.display()))
}

/// Everything directly in a folder, sorted by name.
///
/// # Errors
///
/// When it cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Copies a folder with all that is below it; files that are there already stay as they are.
///
/// # Errors
///
/// When something cannot be read or written.
pub fn copy_missing(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in entries(from)? {
        let target = to.join(entry.file_name().context("no name")?);
        if entry.is_dir() {
            copy_missing(&entry, &target)?;
        } else if !target.exists() {
            fs::copy(&entry, target)?;
        }
    }
    Ok(())
}

/// Removes the folders whose owner has died. What cannot be removed now is left for the next sweep.
fn sweep(planes: &Path) {
    let Ok(entries) = fs::read_dir(planes) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // A kept plane runs on without an owner; its folder says so and it is not ours to end.
        if !path.is_dir() || path.join("kept").exists() {
            continue;
        }
        let Ok(lock) = open_lock(&path.join(LOCK)) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => drop(fs::remove_dir_all(&path)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}
