//! The operator's clock is set, by an hour either way: nobody is let in for longer than was approved, nor earlier. And by a month:
//! what ended goes, and stays on record.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use tenure_crds::{AccessGrant, Approval};
use tenure_e2e::clock::Clock;
use tenure_e2e::{always, eventually};

use crate::{APPLIER, SOON, Stage, later, within};

pub(crate) async fn set(stage: &mut Stage) -> Result<()> {
    stage.stop().await?;
    let clock = Clock::new(stage.plane.folder().join("clock"))?;
    stage.start_with(clock.environment()).await?;
    behind(stage, &clock).await.context("behind")?;
    ahead(stage, &clock).await.context("ahead")?;
    a_month_later(stage, &clock)
        .await
        .context("a month later")?;
    stage.stop().await?;
    stage.start().await
}

/// An hour behind, a window ends when it was said to.
async fn behind(stage: &Stage, clock: &Clock) -> Result<()> {
    let soon = later(SignedDuration::from_secs(20));
    stage.ask("slow", json!({"notAfter": soon})).await?;
    stage.approve("slow").await?;
    stage.active("slow", "Active").await?;
    clock.set("-1h")?;
    stage.ended("slow", "WindowOver").await?;
    ensure!(stage.bindings_of("slow").await?.is_empty());
    ahead_by(stage, "-3600").await?;
    // What names no beginning waits for none.
    stage.ask("slow-2", json!({})).await?;
    stage.approve("slow-2").await?;
    stage.active("slow-2", "Active").await?;
    stage.revoke("slow-2").await?;
    stage.ended("slow-2", "Revoked").await
}

/// An hour ahead, nobody is let in before it is time.
async fn ahead(stage: &Stage, clock: &Clock) -> Result<()> {
    clock.set("+1h")?;
    ahead_by(stage, "3600").await?;
    let times = json!({"notBefore": within(30), "notAfter": within(100)});
    stage.ask("fast", times).await?;
    stage.approve("fast").await?;
    stage.waits("fast", "Scheduled").await?;
    always(Duration::from_secs(3), "nobody is let in", async || {
        ensure!(stage.bindings_of("fast").await?.is_empty());
        Ok(())
    })
    .await?;
    clock.set("+0")?;
    stage.waits("fast", "Scheduled").await?;
    ahead_by(stage, "0").await?;
    stage.revoke("fast").await?;
    stage
        .stands::<AccessGrant>("fast", ["Ended", "True", "Revoked"])
        .await?;
    Ok(())
}

async fn ahead_by(stage: &Stage, seconds: &str) -> Result<()> {
    let operator = stage.operator.as_ref().context("no operator runs")?;
    eventually(
        SOON,
        &format!("it is known to be ahead by {seconds} s"),
        async || {
            let metrics = operator.metrics().await?;
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix("tenure_clock_ahead_seconds "));
            let [said, expect] = [line.context("no such figure")?, seconds].map(str::parse::<i64>);
            // The API server says whole seconds.
            ensure!(said.clone()?.abs_diff(expect?) <= 2, "{said:?}");
            Ok(())
        },
    )
    .await
}

/// Ended grants are gone with what was decided about them, but for those that an applier would bring back.
async fn a_month_later(stage: &Stage, clock: &Clock) -> Result<()> {
    let grants: Api<AccessGrant> = Api::all(stage.admin()?);
    let approvals: Api<Approval> = Api::all(stage.admin()?);
    let before = grants.list(&ListParams::default()).await?;
    let mut stay = BTreeSet::new();
    for grant in &before {
        let is_appliers = grant.spec.requested_by.as_deref() == Some(APPLIER);
        // A window of a year has not ended.
        if is_appliers || grant.spec.not_after > within(60 * 24 * 30) {
            stay.insert(grant.name_any());
        }
    }
    ensure!(stay.contains("git") && before.items.len() > stay.len() + 10);
    clock.set("+32d")?;
    // It hears of the time with whatever happens next.
    stage.ask("now", json!({})).await?;
    eventually(SOON, "ended grants are gone", async || {
        let left = grants.list(&ListParams::default()).await?;
        let left: BTreeSet<String> = left.iter().map(ResourceExt::name_any).collect();
        let mut expect = stay.clone();
        expect.insert("now".to_owned());
        ensure!(left == expect, "{left:?}");
        Ok(())
    })
    .await?;
    eventually(SOON, "decisions about them are gone", async || {
        let left = approvals.list(&ListParams::default()).await?;
        let gone = left
            .iter()
            .find(|approval| !stay.contains(&approval.spec.subject.name));
        ensure!(gone.is_none(), "{:?}", gone.map(ResourceExt::name_any));
        ensure!(left.iter().any(|approval| approval.name_any() == "git-yes"));
        Ok(())
    })
    .await?;
    let ended = stage.told("grant.ended", "chg-1").await?;
    ensure!(ended.len() == 1, "{ended:#?}");
    clock.set("+0")
}
