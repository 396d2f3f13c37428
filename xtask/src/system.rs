//! The few programs that tests call and a fresh machine may not have.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A program, Debian's package for it, and the end-to-end test that calls it.
#[derive(Debug)]
pub struct Need {
    /// The program; a full path where it is not one to be called by name.
    pub program: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// The end-to-end test (file name in `e2e/tests`, without `.rs`) that cannot run without it.
    pub test: &'static str,
}

/// What tests need beyond Rust and Go.
pub const NEEDS: [Need; 14] = [
    need("cli", "script", "bsdutils"),
    need("getting_started", "uuidgen", "uuid-runtime"),
    need("access", "faketime", "faketime"),
    need("replicas", "faketime", "faketime"),
    need("alerts", "prometheus", "prometheus"),
    need(
        "alerts",
        "prometheus-alertmanager",
        "prometheus-alertmanager",
    ),
    need("node", "containerd", "containerd"),
    need("node", "runc", "runc"),
    need("node", "/usr/lib/cni/bridge", "containernetworking-plugins"),
    need("node", "iptables", "iptables"),
    need("node", "ipset", "ipset"),
    need("node", "conntrack", "conntrack"),
    need("node", "socat", "socat"),
    need("node", "busybox", "busybox-static"),
];

const fn need(test: &'static str, program: &'static str, package: &'static str) -> Need {
    Need {
        program,
        package,
        test,
    }
}

/// The needs that are not met.
pub fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !found(need.program)).collect()
}

/// Whether packages can be installed here: as root on a Debian.
pub fn can_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/etc/debian_version").exists() && found("apt-get")
}

/// Installs the packages of `needs`.
///
/// # Errors
///
/// When apt-get fails (with what it said), or a program is still missing afterwards.
pub fn install(needs: &[&Need]) -> Result<()> {
    let packages: Vec<_> = needs.iter().map(|need| need.package).collect();
    println!("installing {}", packages.join(" "));
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)?;
    for need in needs {
        ensure!(
            found(need.program),
            "{} is still missing after {} was installed",
            need.program,
            need.package
        );
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .arg("-qq")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("cannot start apt-get")?;
    ensure!(
        output.status.success(),
        "`apt-get {}` ended with {}:\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn found(program: &str) -> bool {
    // Root's programs are called by their full path where PATH does not name their folder.
    let roots = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(roots)
        .any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_on_the_path() {
        assert!(found("cargo"));
        assert!(!found("no-such-program-anywhere"));
    }
}
