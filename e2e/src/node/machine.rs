//! A machine of one's own: network, mounts, processes and host name of a node, without touching those of the host.
//!
//! Only a pair of virtual Ethernet devices ends outside. All goes with the process that holds the namespaces: whatever
//! runs inside dies with it, the devices and the file systems in memory vanish.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Process, Recipe, tail};

/// The node's name, and its host name.
pub const NAME: &str = "node-1";
/// Where a node keeps what lives as long as it (a file system in memory).
pub(super) const STATE: &str = "/run/tenure";
/// How long the namespaces may take to stand.
const STARTED: Duration = Duration::from_secs(20);

/// Runs as the first process inside: prepares mounts and network, then reaps orphans for ever.
const INIT: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mount --make-rshared /
mkdir -p /run/tenure/cni /run/tenure/manifests /run/lock
hostname "$1"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
touch /run/tenure/ready
set +e
while :; do sleep 1000 & wait $!; done
"#;

/// The namespaces of a node and the cable to the host.
#[derive(Debug)]
pub struct Machine {
    holder: Process,
    init: u32,
    slot: u8,
    folder: PathBuf,
}

impl Machine {
    /// Makes the namespaces and lays the cable. Needs root.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses (not root, no such namespaces), or a program is missing.
    pub fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("machine.log");
        let args = [
            "--net",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
            "bash",
            "-c",
            INIT,
            "init",
            NAME,
        ];
        let holder = Process::start(Recipe {
            name: "machine".to_owned(),
            program: program("unshare")?,
            args: args.map(OsString::from).to_vec(),
            env: Vec::new(),
            log: log.clone(),
            detached: false,
        })?;
        let init = first_inside(&holder)?;
        let ready = PathBuf::from(format!("/proc/{init}/root{STATE}/ready"));
        wait_for(|| ready.exists(), &holder, &log)?;
        let slot = lay_cable(init)?;
        let machine = Self {
            holder,
            init,
            slot,
            folder: folder.to_path_buf(),
        };
        machine.address()?;
        Ok(machine)
    }

    /// The host's end of the cable: where the API server is forwarded to.
    pub fn host(&self) -> Ipv4Addr {
        host(self.slot)
    }

    /// The node's own address.
    pub fn node(&self) -> Ipv4Addr {
        node(self.slot)
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.enter()).arg(program);
        command
    }

    /// Runs a command inside, to its end.
    ///
    /// # Errors
    ///
    /// With what it said, when it fails.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let output = self
            .command(program)
            .args(args)
            .output()
            .with_context(|| format!("cannot start {program}"))?;
        if !output.status.success() {
            bail!(
                "`{program} {}` ended with {}:\n{}",
                args.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program inside that dies with its [`Process`].
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn spawn(&self, name: &str, program: &Path, args: &[String]) -> Result<Process> {
        let mut all: Vec<OsString> = self.enter().into_iter().map(OsString::from).collect();
        // The signal that ends the entrance must end what went in through it.
        all.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(OsString::from));
        all.push(program.into());
        all.extend(args.iter().map(OsString::from));
        Process::start(Recipe {
            name: name.to_owned(),
            program: self::program("nsenter")?,
            args: all,
            env: vec![("PATH".to_owned(), OsString::from(PATH))],
            log: self.folder.join(format!("{name}.log")),
            detached: false,
        })
    }

    fn enter(&self) -> Vec<String> {
        let target = format!("--target={}", self.init);
        [target.as_str(), "--net", "--mount", "--uts", "--pid", "--"]
            .map(ToOwned::to_owned)
            .to_vec()
    }

    fn address(&self) -> Result<()> {
        let inside = format!("{}/30", self.node());
        self.run("ip", &["address", "add", &inside, "dev", "uplink"])?;
        self.run("ip", &["link", "set", "uplink", "up"])?;
        let via = self.host().to_string();
        self.run("ip", &["route", "add", "default", "via", &via])
            .map(drop)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The cable goes with the namespaces; the control groups of what ran inside do not.
        let _ = self.holder.kill();
        remove_groups();
    }
}

/// Where programs are looked up inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a program of the system lies.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    PATH.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{name} is not installed"))
}

pub(crate) fn host(slot: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, slot, 1)
}

pub(crate) fn node(slot: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, slot, 2)
}

/// The name of the cable's end on the host.
pub(crate) fn device(slot: u8) -> String {
    format!("tenure{slot}")
}

/// The process id, seen from outside, of the first process inside.
fn first_inside(holder: &Process) -> Result<u32> {
    let children = format!("/proc/{0}/task/{0}/children", holder.pid());
    let start = Instant::now();
    loop {
        holder.check()?;
        let text = fs::read_to_string(&children).unwrap_or_default();
        if let Some(first) = text.split_whitespace().next() {
            return first.parse().context("a process id is a number");
        }
        if start.elapsed() > STARTED {
            bail!("no process came up inside the new namespaces within {STARTED:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for(mut done: impl FnMut() -> bool, holder: &Process, log: &Path) -> Result<()> {
    let start = Instant::now();
    while !done() {
        holder.check()?;
        if start.elapsed() > STARTED {
            bail!("the machine is not prepared:\n{}", tail(log, 20));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Lays a cable into the namespace of process `init` at the first free slot: its number stands in the device's name, so
/// two never share one.
pub(crate) fn lay_cable(init: u32) -> Result<u8> {
    let inside = init.to_string();
    for slot in 100..=199 {
        let outside = device(slot);
        let made = ip(&[
            "link", "add", &outside, "type", "veth", "peer", "name", "uplink", "netns", &inside,
        ]);
        if made.is_ok() {
            ip(&[
                "address",
                "add",
                &format!("{}/30", host(slot)),
                "dev",
                &outside,
            ])?;
            ip(&["link", "set", &outside, "up"])?;
            return Ok(slot);
        }
    }
    ip(&["link", "show"])?;
    bail!(
        "no free slot for a virtual Ethernet cable: are a hundred nodes running, or is this not root?"
    )
}

pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new(program("ip")?).args(args).output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "`ip {}` ended with {}: {}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Where containerd puts the control groups of containers that say nothing else.
const GROUP: &str = "k8s.io";
/// A younger group may be one that another node is just filling.
const YOUNG: Duration = Duration::from_secs(60);

/// Removes the control groups of containers that were killed with their machine: they are empty, and nobody else will.
fn remove_groups() {
    let controllers = fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
    for controller in controllers.flatten() {
        let groups = fs::read_dir(controller.path().join(GROUP))
            .into_iter()
            .flatten();
        for group in groups.flatten().filter(is_old) {
            // The kernel refuses where a process is left.
            let _ = fs::remove_dir(group.path());
        }
    }
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let made = entry.metadata().and_then(|data| data.modified());
    let age = made.ok().and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age > YOUNG)
}
