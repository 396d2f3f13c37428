//! `bench`: builds everything for release, then hands over to the harness.

use anyhow::{Context, Result};
use tenure_e2e::bench::{Options, run as measure};
use tenure_e2e::paths::target;

use crate::{BenchArgs, cargo, shown};

/// Measures.
///
/// A debug build of the measuring side would be slow enough to be measured itself: it builds its own release build
/// and the operator's, and runs that.
///
/// # Errors
///
/// When something does not build, or goes wrong while it is measured.
pub fn run(args: BenchArgs) -> Result<()> {
    if cfg!(debug_assertions) {
        shown(cargo().args([
            "build",
            "--release",
            "--package",
            "xtask",
            "--package",
            "tenure-operator",
        ]))?;
        let mut again = std::process::Command::new(target().join("release/xtask"));
        return shown(again.args(std::env::args_os().skip(1)));
    }
    let options = Options {
        json: args.json,
        tenants: args.tenants,
        only: args.only,
        quick: args.quick,
        pods: args.pods,
        grants: args.grants,
    };
    tokio::runtime::Runtime::new()
        .context("cannot start the runtime")?
        .block_on(measure(options))
        .map(drop)
}
