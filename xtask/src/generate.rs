//! `generate`: the files that are written by the code, so that they cannot say anything else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tenure_e2e::paths::repository;

const LOOSENING_HEAD: &str = "\
<!-- Generated from operator/src/policy/loosening by `cargo xtask generate`; a test fails when it drifts. -->

# What loosens

A change that weakens security waits for an Approval that names exactly it; the accepted setting stays in force
meanwhile. A change that tightens takes effect at once, also beside a loosening one. Where it is not plain that a change
tightens, it loosens. Until a first tenant with `enforcement: Enforce` has been Ready there is nothing to protect, and the
TenancyPolicy changes freely.

";

const METRICS_HEAD: &str = "\
<!-- Generated from operator/src/observe/metrics.rs by `cargo xtask generate`; a test fails when it drifts. -->

# Metrics

The operator serves them at `/metrics` on port 8080 of every replica (Service `tenure-operator`, port `http`). Only the leader
says something about tenants, guards and packets. A replica on standby exports the metrics without labels only, with
`tenure_leader` 0 and both timestamps 0: take the `max` over replicas. A replica that stops leading ends, and its series with it.

Labels are bounded by the number of tenants, their namespaces, controls and guards; none holds an object's content. The
[alerts](../alerts.md) are built on these and on one metric of the API server,
`apiserver_validating_admission_policy_check_total`.

";

/// Writes every generated file, or with `check` compares them with the committed ones.
///
/// # Errors
///
/// When a file cannot be written, or with `check` when one is not what the code says (all of them are named).
pub fn run(check: bool) -> Result<()> {
    let root = repository();
    let mut stale = Vec::new();
    for (path, text) in files() {
        if is_current(&root.join(path), &text) {
            continue;
        }
        if check {
            stale.push(path);
            continue;
        }
        let file = root.join(path);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("wrote {path}");
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "not what the code says: {}. Run `cargo xtask generate` and commit what it writes",
        stale.join(", ")
    )
}

/// Every generated file: its path in the repository, and its text.
fn files() -> Vec<(&'static str, String)> {
    let mut files = tenure_crds::generated_files();
    files.push((
        "docs/reference/controls.md",
        tenure_controls::render_reference(),
    ));
    files.push((
        "docs/reference/loosening.md",
        format!(
            "{LOOSENING_HEAD}{}",
            tenure_operator::policy::loosening::docs_table()
        ),
    ));
    files.push((
        "docs/reference/metrics.md",
        format!("{METRICS_HEAD}{}", tenure_operator::observe::docs_table()),
    ));
    files
}

fn is_current(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|committed| committed == text)
}
