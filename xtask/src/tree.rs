//! Holds the dependency tree to `deny.toml`: licences, banned crates, sources.
//!
//! The file has cargo-deny's format, and this reads the part of it that is used here, so that a machine with Rust alone can
//! check it. A rule that is not evaluated here is refused instead of passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use spdx::{Expression, ParseMode};
use tenure_e2e::paths::repository;

use crate::cargo;

/// `deny.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    /// SPDX identifiers that every crate may have.
    allow: BTreeSet<String>,
    /// Further ones for single crates.
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Crates come from crates.io or from this repository; the file says so, and nothing else can be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Deny,
    unknown_git: Deny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deny {
    Deny,
}

/// One crate of the tree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    /// What cargo says when a crate is not from crates.io: a path, a git address, another registry.
    origin: Option<String>,
    licence: String,
}

/// Checks the tree of the whole workspace, for every platform, tests and build scripts included.
///
/// # Errors
///
/// When a crate breaks a rule (all of them are named), `deny.toml` holds a rule that is not evaluated here, or cargo cannot
/// read the tree.
pub fn run() -> Result<()> {
    let text = fs::read_to_string(repository().join("deny.toml"))
        .context("cannot read deny.toml, which says what the dependency tree may contain")?;
    let rules = parse(&text)?;
    let tree = tree()?;
    let findings = findings(&rules, &tree);
    if findings.is_empty() {
        println!("{} crates hold to deny.toml", tree.len());
        return Ok(());
    }
    bail!(
        "the dependency tree breaks deny.toml:\n  {}\n`cargo tree --workspace --target all --invert <crate>` shows who \
         brings a crate in",
        findings.join("\n  ")
    )
}

fn parse(text: &str) -> Result<Rules> {
    toml::from_str(text).context("deny.toml holds something that is not evaluated here")
}

/// The crates that are really built, with the features in use (`Cargo.lock` also names those that never are).
fn tree() -> Result<BTreeSet<Dependency>> {
    let output = cargo()
        .args(["tree", "--workspace", "--locked", "--target", "all"])
        .args(["--edges", "normal,build,dev", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .output()
        .context("cannot start `cargo tree`")?;
    ensure!(
        output.status.success(),
        "`cargo tree` failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.is_empty())
        .map(dependency)
        .collect()
}

/// Reads `name v1.2.3 (proc-macro) (origin)|licence (*)`.
fn dependency(line: &str) -> Result<Dependency> {
    let (package, licence) = line
        .trim_end_matches(" (*)")
        .split_once('|')
        .with_context(|| format!("cannot read this line of `cargo tree`: {line}"))?;
    let mut words = package.splitn(3, ' ');
    let name = words.next().unwrap_or_default().to_owned();
    let version = words.next().unwrap_or_default().to_owned();
    let origin = words
        .next()
        .map(|rest| rest.replace("(proc-macro)", "").trim().to_owned())
        .filter(|rest| !rest.is_empty());
    Ok(Dependency {
        name,
        version,
        origin,
        licence: licence.to_owned(),
    })
}

fn findings(rules: &Rules, tree: &BTreeSet<Dependency>) -> Vec<String> {
    let Sources {
        unknown_registry: Deny::Deny,
        unknown_git: Deny::Deny,
    } = &rules.sources;
    let here = format!("({}", repository().display());
    let bans: BTreeMap<&str, &str> = rules
        .bans
        .deny
        .iter()
        .map(|ban| (ban.name.as_str(), ban.reason.as_str()))
        .collect();
    let mut findings = Vec::new();
    for dependency in tree {
        let what = format!("{} {}", dependency.name, dependency.version);
        if let Some(reason) = bans.get(dependency.name.as_str()) {
            findings.push(format!("{what} is banned: {reason}"));
        }
        if let Some(origin) = &dependency.origin
            && !origin.starts_with(&here)
        {
            findings.push(format!("{what} is not from crates.io but from {origin}"));
        }
        if let Err(error) = licensed(&rules.licenses, dependency) {
            findings.push(format!("{what}: {error}"));
        }
    }
    findings
}

/// Whether the licences that are allowed suffice to use this crate.
fn licensed(rules: &Licenses, dependency: &Dependency) -> Result<()> {
    let licence = &dependency.licence;
    ensure!(!licence.is_empty(), "it names no licence");
    // Older crates write `MIT/Apache-2.0`.
    let expression = Expression::parse_mode(licence, ParseMode::LAX).map_err(|error| {
        anyhow::anyhow!("cannot read its licence `{licence}`: {}", error.reason)
    })?;
    let allowed = |id: &str| {
        rules.allow.contains(id)
            || rules
                .exceptions
                .iter()
                .any(|more| more.name == dependency.name && more.allow.contains(id))
    };
    ensure!(
        expression.evaluate(|needed| allowed(&needed.to_string())),
        "its licence `{licence}` is not allowed"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "certificates", allow = ["CDLA-Permissive-2.0"] }]
        [bans]
        deny = [{ crate = "ring", reason = "one provider" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn found(line: &str) -> Vec<String> {
        let tree = BTreeSet::from([dependency(line).unwrap()]);
        findings(&parse(RULES).unwrap(), &tree)
    }

    #[test]
    fn allowed_crates_pass() {
        for line in [
            "serde v1.0.0|MIT OR Apache-2.0",
            "derive v1.0.0 (proc-macro)|MIT/Apache-2.0 (*)",
            "other v1.0.0|GPL-3.0-only OR MIT",
            "llvm v1.0.0|Apache-2.0 WITH LLVM-exception",
            "certificates v1.0.0|CDLA-Permissive-2.0",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
        let own = format!("own v0.1.0 ({}/own)|Apache-2.0", repository().display());
        assert_eq!(found(&own), Vec::<String>::new());
    }

    #[test]
    fn every_breach_is_named() {
        for (line, finding) in [
            ("ring v0.17.0|MIT", "ring v0.17.0 is banned: one provider"),
            (
                "a v1.0.0 (https://example.com/a#1234)|MIT",
                "a v1.0.0 is not from crates.io but from (https://example.com/a#1234)",
            ),
            (
                "a v1.0.0 (proc-macro) (registry `other`)|MIT",
                "a v1.0.0 is not from crates.io but from (registry `other`)",
            ),
            (
                "a v1.0.0 (/elsewhere/a)|MIT",
                "a v1.0.0 is not from crates.io but from (/elsewhere/a)",
            ),
            ("a v1.0.0|", "a v1.0.0: it names no licence"),
            (
                "a v1.0.0|MIT AND GPL-3.0-only",
                "a v1.0.0: its licence `MIT AND GPL-3.0-only` is not allowed",
            ),
            (
                "a v1.0.0|CDLA-Permissive-2.0",
                "a v1.0.0: its licence `CDLA-Permissive-2.0` is not allowed",
            ),
        ] {
            assert_eq!(found(line), [finding], "{line}");
        }
    }

    #[test]
    fn a_rule_that_is_not_evaluated_is_refused() {
        for more in [
            "[advisories]",
            "[graph]\nall-features = true",
            "allow-git = []",
        ] {
            assert!(parse(&format!("{RULES}\n{more}")).is_err(), "{more}");
        }
        assert!(parse(&RULES.replace("\"deny\"", "\"warn\"")).is_err());
    }

    #[test]
    fn the_tree_holds_to_the_committed_rules() {
        run().unwrap();
    }
}
