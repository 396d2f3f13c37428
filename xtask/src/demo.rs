//! `demo`: builds the operator, then hands over to the harness.

use anyhow::{Context, Result};
use tenure_e2e::demo::{Options, run as play};

use crate::{DemoArgs, cargo, shown};

/// Plays the demo.
///
/// # Errors
///
/// When the operator does not build, or a chapter of the demo did not hold.
pub fn run(args: DemoArgs) -> Result<()> {
    // Together with this program, so that its dependencies are built once for both.
    shown(cargo().args([
        "build",
        "--quiet",
        "--package",
        "xtask",
        "--package",
        "tenure-operator",
        "--package",
        "tenure-cli",
    ]))?;
    let options = Options {
        keep: args.keep,
        kubeconfig: args.kubeconfig,
        json: args.json,
    };
    tokio::runtime::Runtime::new()
        .context("cannot start the runtime")?
        .block_on(play(options))
}
