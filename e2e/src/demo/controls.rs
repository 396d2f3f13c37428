//! The chapter `controls`: what is Compliant, and why the rest is not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::Value;
use tenure_controls::{Reason, control};

use super::request::look;
use super::stage::Stage;
use super::tell;
use super::tenants::path;
use crate::wait::eventually;

/// How long the operator may take for its first full pass.
const EVALUATED: Duration = Duration::from_secs(30);
/// Reasons that only say that it has not come to it yet.
const EARLY: [&str; 4] = [
    "NeverEvaluated",
    "NamespaceNotReady",
    "GuardNotProven",
    "Stale",
];

/// How long facts may take to be observed before it is shown that they are not.
const SETTLED: Duration = Duration::from_secs(12);

/// Shows every tenant's controls: the compliant ones by name, the others by verdict and reason.
pub(super) async fn show(stage: &mut Stage) -> Result<()> {
    let client = stage.access()?.admin()?;
    for name in stage.tenants().to_vec() {
        evaluated(&client, &name, EVALUATED, &EARLY).await?;
        // A fact that cannot be observed here is no failure: it is shown as such.
        let tenant = match evaluated(&client, &name, SETTLED, &["NotObserved"]).await {
            Ok(tenant) => tenant,
            Err(_) => evaluated(&client, &name, EVALUATED, &EARLY).await?,
        };
        show_one(&name, &tenant)?;
    }
    Ok(())
}

/// Waits until no control of the tenant has one of these reasons.
async fn evaluated(client: &Client, name: &str, limit: Duration, early: &[&str]) -> Result<Value> {
    let what = format!("the controls of {name} are evaluated");
    eventually(limit, &what, async || {
        let tenant = look(client, &path(name))
            .await?
            .context("it does not exist")?;
        let controls = tenant["status"]["controls"]
            .as_array()
            .context("it has no controls")?;
        ensure!(!controls.is_empty(), "it has no controls");
        let early = controls
            .iter()
            .find(|control| early.iter().any(|reason| control["reason"] == *reason));
        ensure!(early.is_none(), "{early:?}");
        Ok(tenant)
    })
    .await
}

fn show_one(name: &str, tenant: &Value) -> Result<()> {
    let controls = tenant["status"]["controls"]
        .as_array()
        .context("it has no controls")?;
    let score = tenant["status"]["compliant"].as_str().unwrap_or("?");
    tell::line(&format!("{name}: {score} controls Compliant"));
    let mut others: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut compliant = 0;
    for found in controls {
        let id = text(found, "id")?;
        if found["verdict"] == "Compliant" {
            let title = control(id)
                .with_context(|| format!("{id} is not in the catalogue"))?
                .title
                .en;
            tell::line(&format!("  ✓ {id:<40} {title}"));
            compliant += 1;
            continue;
        }
        let verdict = (text(found, "verdict")?, text(found, "reason")?);
        *others.entry(verdict).or_default() += 1;
    }
    for ((verdict, reason), count) in others {
        let known = Reason::ALL
            .into_iter()
            .find(|known| known.as_str() == reason)
            .with_context(|| format!("the reason {reason} is not among the known ones"))?;
        let sentence = known.explain();
        tell::line(&format!(
            "  · {verdict:<14}{count:>3} × {reason:<26} {sentence}"
        ));
    }
    ensure!(compliant > 0, "not one control of {name} is Compliant");
    Ok(())
}

fn text<'a>(found: &'a Value, field: &str) -> Result<&'a str> {
    found[field]
        .as_str()
        .with_context(|| format!("a control without {field}: {found}"))
}
