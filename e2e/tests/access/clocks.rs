//! The operator's clock is set, by an hour either way: nobody is let in for longer than was approved, nor earlier. What ended long
//! ago goes, and stays on record.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tenure_crds::{AccessGrant, Approval};
use tenure_e2e::clock::Clock;
use tenure_e2e::{always, eventually};

use crate::{APPLIER, LONG, SOON, Stage, asked, later, within};

pub(crate) async fn set(stage: &mut Stage) -> Result<()> {
    stage.stop().await?;
    let clock = Clock::new(stage.plane.folder().join("clock"))?;
    stage.start_with(clock.environment()).await?;
    behind(stage, &clock).await.context("behind")?;
    ahead(stage, &clock).await.context("ahead")?;
    forward_and_back(stage, &clock)
        .await
        .context("forward and back")?;
    a_day_of_break_glass(stage, &clock)
        .await
        .context("a day of break-glass")?;
    aged(stage, &clock).await.context("aged")
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

/// What ended by a clock that was wrong has ended: it is asked for anew.
async fn forward_and_back(stage: &Stage, clock: &Clock) -> Result<()> {
    stage
        .ask("stepped", json!({"notAfter": within(30)}))
        .await?;
    stage.approve("stepped").await?;
    stage.active("stepped", "Active").await?;
    clock.set("+1h")?;
    // Nothing else wakes it: the next is asked for.
    stage.ask("woken", json!({"notAfter": within(30)})).await?;
    stage
        .stands::<AccessGrant>("stepped", ["Ended", "True", "WindowOver"])
        .await?;
    // By that clock no API server has said for an hour that it is there.
    let said = stage
        .stands::<AccessGrant>("stepped", ["EndProven", "Unknown", "Unproven"])
        .await?;
    ensure!(said.contains("clocks agree"), "{said}");
    clock.set("+0")?;
    stage.ask("woken-2", json!({})).await?;
    stage.waits("woken-2", "AwaitingApproval").await?;
    ensure!(stage.bindings_of("stepped").await?.is_empty());
    stage.ended("stepped", "WindowOver").await?;
    stage.revoke("woken-2").await?;
    stage
        .stands::<AccessGrant>("woken-2", ["Ended", "True", "Revoked"])
        .await?;
    Ok(())
}

/// Nobody approved it for a day: it is over, and stays on record.
async fn a_day_of_break_glass(stage: &Stage, clock: &Clock) -> Result<()> {
    // A window of more than a day: the role lets in for eight hours, from now.
    stage
        .ask(
            "unheeded",
            json!({"breakGlass": true, "role": LONG, "notAfter": within(60 * 30)}),
        )
        .await?;
    stage.active("unheeded", "BreakGlass").await?;
    clock.set("+25h")?;
    stage.ask("woken-3", json!({})).await?;
    stage
        .stands::<AccessGrant>("unheeded", ["Ended", "True", "BreakGlassUnapproved"])
        .await?;
    clock.set("+0")?;
    let began = stage.told("grant.activated", "unheeded").await?;
    ensure!(began[0]["breakGlass"] == true, "{began:#?}");
    let ended = stage.told("grant.ended", "unheeded").await?;
    ensure!(ended[0]["reason"] == "BreakGlassUnapproved", "{ended:#?}");
    Ok(())
}

/// Ended grants go with what was decided about them, but for those that an applier would bring back, and never by one clock alone.
async fn aged(stage: &mut Stage, clock: &Clock) -> Result<()> {
    let over = json!({"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T01:00:00Z"});
    stage
        .write::<AccessGrant>(&stage.user(APPLIER)?, asked("git-over", over))
        .await?;
    stage
        .stands::<AccessGrant>("git-over", ["Ended", "True", "WindowOver"])
        .await?;
    let grants: Api<AccessGrant> = Api::all(stage.admin()?);
    let approvals: Api<Approval> = Api::all(stage.admin()?);
    let before = grants.list(&ListParams::default()).await?.items.len();
    clock.set("+60d")?;
    stage.ask("woken-4", json!({})).await?;
    stage
        .stands::<AccessGrant>("woken-4", ["Ended", "True", "WindowOver"])
        .await?;
    always(Duration::from_secs(3), "nothing goes", async || {
        ensure!(grants.list(&ListParams::default()).await?.items.len() == before + 1);
        Ok(())
    })
    .await?;
    stage.stop().await?;
    let soon = ("TENURE_ENDED_GRANTS_KEPT".to_owned(), "PT1S".into());
    stage.start_with(vec![soon]).await?;
    eventually(SOON, "what ended long ago is gone", async || {
        for name in ["slow", "bad-over"] {
            ensure!(grants.get_opt(name).await?.is_none(), "{name}");
        }
        let left = approvals.get_opt("slow-yes").await?;
        ensure!(left.is_none(), "slow-yes");
        Ok(())
    })
    .await?;
    // An applier's, and those whose window is open still.
    for name in ["git-over", "git", "chg-1"] {
        ensure!(grants.get_opt(name).await?.is_some(), "{name}");
    }
    ensure!(approvals.get_opt("chg-1-yes").await?.is_some());
    let ended = stage.told("grant.ended", "slow").await?;
    ensure!(ended.len() == 1, "{ended:#?}");
    stage.stop().await?;
    stage.start().await
}
