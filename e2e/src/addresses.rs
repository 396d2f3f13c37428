//! Two addresses of one's own on the host: real ones, at which API servers can say they are.
//!
//! They stand on the host's end of a cable whose other end lies in an empty network namespace. The namespace goes with
//! the process that holds it, the cable with the namespace, and the addresses with the cable: nothing is left behind,
//! however a test ends.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::node::machine::{device, host, ip, lay_cable, node, program};
use crate::process::{Process, Recipe};

/// How long the namespace may take to stand.
const STARTED: Duration = Duration::from_secs(20);

/// The two addresses; they vanish with this value, and with this process unless kept.
#[derive(Debug)]
pub(crate) struct Addresses {
    holder: Process,
    slot: u8,
}

impl Addresses {
    /// Takes two that nobody uses. Needs root.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses (not root), or a program is missing.
    pub(crate) fn take(folder: &Path, keep: bool) -> Result<Self> {
        let holder = Process::start(Recipe {
            name: "addresses".to_owned(),
            program: program("unshare")?,
            args: ["--net", "--", "sleep", "infinity"]
                .map(OsString::from)
                .to_vec(),
            env: Vec::new(),
            log: folder.join("addresses.log"),
            detached: keep,
        })?;
        inside(&holder)?;
        let slot = lay_cable(holder.pid())?;
        let second = format!("{}/30", node(slot));
        ip(&["address", "add", &second, "dev", &device(slot)])?;
        Ok(Self { holder, slot })
    }

    pub(crate) fn first(&self) -> Ipv4Addr {
        host(self.slot)
    }

    pub(crate) fn second(&self) -> Ipv4Addr {
        node(self.slot)
    }

    /// The process they go with.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.pid()
    }
}

/// Waits until the holder has left our network namespace.
fn inside(holder: &Process) -> Result<()> {
    let ours = fs::read_link("/proc/self/ns/net").context("no network namespace")?;
    let theirs = format!("/proc/{}/ns/net", holder.pid());
    let start = Instant::now();
    while fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) {
        holder.check()?;
        if start.elapsed() > STARTED {
            bail!("no network namespace of its own within {STARTED:?}: is this root?");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    holder.check()
}
