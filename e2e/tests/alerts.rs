//! The alerts: their texts, their clocks (promtool's), and all but those that only time fires (a review that is due, an approval that
//! waits, a sweep that stays open, what was revoked and stands, clocks that differ: promtool's too) fired by the running operator
//! through a real Prometheus to a real Alertmanager.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

#[path = "alerts/network.rs"]
mod network;
#[path = "alerts/stage.rs"]
mod stage;
#[path = "alerts/texts.rs"]
mod texts;
mod time;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tenure_crds::LegalHold;
use tenure_e2e::record::segments;
use tenure_e2e::{Identity, Record, eventually, install};
use tenure_operator::record::Review;

use self::network::Network;
use self::stage::{ACME, SOON, Stage};
use self::time::reviews_moved;

/// One after another, because most of them need the cluster without the others' troubles.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_is_fired_by_what_it_is_for() -> Result<()> {
    let mut stage = Stage::set().await?;
    the_release_is_watched(&stage).await.context("release")?;
    nobody_is_there(&mut stage).await.context("nobody")?;
    packets_are_probed(&stage).await.context("packets")?;
    stage.declare("acme", ACME).await?;
    a_hole_and_a_dead_guard(&stage).await.context("a hole")?;
    a_parked_namespace(&stage).await.context("parked")?;
    a_refused_deletion(&stage).await.context("refused")?;
    a_vanished_tenant(&stage).await.context("vanished")?;
    a_record_in_trouble(&stage).await.context("record")?;
    a_hold_to_look_after(&stage).await.context("hold")?;
    access_that_needs_somebody(&stage).await.context("access")?;
    a_review_nobody_decides_on(&mut stage)
        .await
        .context("review")?;
    an_evaluation_that_never_ends(&stage)
        .await
        .context("stale")?;
    every_panel_has_data(&stage).await.context("dashboard")?;
    another_leads(&mut stage).await.context("failover")
}

/// Where the cluster has the kinds of prometheus-operator (that project's own definitions), the API server took what the
/// chart made of them, and kept all of it.
async fn the_release_is_watched(stage: &Stage) -> Result<()> {
    let monitor = stage::object(&stage.plane, "servicemonitor", "tenure-operator").await?;
    let service = stage::object(&stage.plane, "service", "tenure-operator").await?;
    let wanted = monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .context("it selects nothing")?;
    for (label, value) in wanted {
        ensure!(service["metadata"]["labels"][label] == *value, "{label}");
    }
    let port = &monitor["spec"]["endpoints"][0]["port"];
    ensure!(service["spec"]["ports"][0]["name"] == *port, "{port}");
    let rule = stage::object(&stage.plane, "prometheusrule", "tenure").await?;
    ensure!(rule["spec"]["groups"] == texts::groups(), "{rule:#}");
    Ok(())
}

/// Before anything is scraped, everything is missing, and that is said.
async fn nobody_is_there(stage: &mut Stage) -> Result<()> {
    let monitoring = &stage.monitoring;
    let absent = stage.fires("TenureOperatorAbsent", &[]).await?;
    ensure!(
        absent.annotations["runbook_url"] == "docs/runbooks/operator-absent.md",
        "{absent:?}"
    );
    for consequence in ["TenureEvaluationStale", "TenureProbePairNotRun"] {
        let silenced = monitoring
            .until(SOON, consequence, &[], "suppressed")
            .await?;
        ensure!(
            silenced.status.inhibited_by == [absent.fingerprint.clone()],
            "{silenced:?}"
        );
    }
    stage.fires("TenureDeniedDeletesUnseen", &[]).await?;
    monitoring.scrape(&[], &stage.plane.addresses())?;
    stage.ends("TenureDeniedDeletesUnseen", &[]).await?;

    stage.start_operators().await?;
    stage.ends("TenureOperatorAbsent", &[]).await?;
    stage.ends("TenureEvaluationStale", &[]).await?;
    stage.fires("TenureProbePairNotRun", &[]).await.map(drop)
}

/// Without an enforcer the denied flow passes; with one, it is stopped.
async fn packets_are_probed(stage: &Stage) -> Result<()> {
    let network = Network::new()?;
    let denied = [("flow", "denied")];
    network.probed(&stage.plane).await?;
    stage.fires("TenureProbePairFailing", &denied).await?;
    stage.ends("TenureProbePairNotRun", &[]).await?;

    network.enforce();
    network.probed(&stage.plane).await?;
    stage.ends("TenureProbePairFailing", &denied).await
}

/// A tenant that somebody opened has drifted; a guard that is gone pages, and silences that.
async fn a_hole_and_a_dead_guard(stage: &Stage) -> Result<()> {
    let drifted = [
        ("customertenant", "acme"),
        ("control", "dsa-2.8-network-segmentation"),
    ];
    let policies: Api<NetworkPolicy> = Api::namespaced(stage.plane.break_glass()?, "acme-prod");
    let hole: NetworkPolicy = serde_json::from_value(
        json!({"metadata": {"name": "hole"}, "spec": {"podSelector": {}, "ingress": [{}]}}),
    )?;
    policies.create(&PostParams::default(), &hole).await?;
    stage.fires("TenureControlDrifted", &drifted).await?;

    stage.unbind("tenure-approvals").await?;
    let guard = stage
        .fires("TenureGuardNotAlive", &[("guard", "approvals")])
        .await?;
    let silenced = stage
        .monitoring
        .until(SOON, "TenureControlDrifted", &drifted, "suppressed")
        .await?;
    ensure!(
        silenced.status.inhibited_by == [guard.fingerprint],
        "{silenced:?}"
    );

    install::install(stage.plane.access()).await?;
    stage.ends("TenureGuardNotAlive", &[]).await?;
    stage.fires("TenureControlDrifted", &drifted).await?;
    policies.delete("hole", &DeleteParams::default()).await?;
    stage.ends("TenureControlDrifted", &drifted).await
}

/// A namespace that leaves the list is kept, and said.
async fn a_parked_namespace(stage: &Stage) -> Result<()> {
    let parked = [
        ("customertenant", "acme"),
        ("tenant_namespace", "acme-test"),
        // What the scraper knows of the target does not hide what the metric says.
        ("severity", "info"),
    ];
    let list = |names: &[&str]| {
        let list: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        Patch::Merge(json!({"spec": {"namespaces": list}}))
    };
    let tenants = stage.tenants()?;
    let by = PatchParams::default();
    tenants.patch("acme", &by, &list(&["prod"])).await?;
    stage.fires("TenureNamespaceParked", &parked).await?;
    tenants.patch("acme", &by, &list(&["prod", "test"])).await?;
    stage.ends("TenureNamespaceParked", &parked).await
}

/// The operator's own proofs, refused at every pass, are not what this alert is about; one refused deletion is.
async fn a_refused_deletion(stage: &Stage) -> Result<()> {
    let proofs = r#"apiserver_validating_admission_policy_check_total{policy_binding="tenure-customertenants",enforcement_action="deny"} > 2"#;
    eventually(SOON, "the guard has refused proofs", async || {
        ensure!(!stage.monitoring.query(proofs).await?.is_empty());
        Ok(())
    })
    .await?;
    stage.is_silent("TenureDeniedDelete").await?;

    let admin = stage.plane.kubectl(&Identity::admin())?;
    let refusal = admin
        .run(&["delete", "customertenant", "acme", "--wait=false"])
        .await?
        .refusal()?;
    ensure!(
        refusal.contains("tenure-customertenants-deletes"),
        "{refusal}"
    );
    let tenant = [("policy", "tenure-customertenants")];
    stage.fires("TenureDeniedDelete", &tenant).await?;
    admin
        .run(&["delete", "namespace", "acme-prod", "--wait=false"])
        .await?
        .refusal()?;
    let namespace = [("policy", "tenure-namespaces")];
    stage
        .fires("TenureDeniedDelete", &namespace)
        .await
        .map(drop)
}

/// A CustomerTenant that went past the guards freezes its tenant; the cause pages first.
async fn a_vanished_tenant(stage: &Stage) -> Result<()> {
    stage.start_pod("acme-prod").await?;
    eventually(SOON, "acme is known to hold something", async || {
        let tenant = stage.tenants()?.get("acme").await?;
        let conditions = tenant.status.unwrap_or_default().conditions;
        let used = conditions
            .iter()
            .any(|condition| condition.type_ == "NeverUsed" && condition.status == "False");
        ensure!(used, "{conditions:?}");
        Ok(())
    })
    .await?;
    stage.unbind("tenure-customertenants-deletes").await?;
    eventually(SOON, "nothing guards the tenant", async || {
        stage
            .tenants()?
            .delete("acme", &DeleteParams::default())
            .await?;
        Ok(())
    })
    .await?;
    stage
        .fires("TenureGuardNotAlive", &[("guard", "customertenants")])
        .await?;
    let frozen = [("customertenant", "acme"), ("reason", "Vanished")];
    stage
        .monitoring
        .until(SOON, "TenureTenantFrozen", &frozen, "suppressed")
        .await?;
    install::install(stage.plane.access()).await?;
    stage.fires("TenureTenantFrozen", &frozen).await?;
    let verdicts = r#"tenure_control_status{customertenant="acme"}"#;
    ensure!(!stage.monitoring.query(verdicts).await?.is_empty());
    let conditions = r#"tenure_customertenant_status_condition{customertenant="acme"}"#;
    ensure!(
        stage.monitoring.query(conditions).await?.is_empty(),
        "an object that is gone has conditions"
    );

    stage.declare("acme", ACME).await?;
    stage.ends("TenureTenantFrozen", &[]).await
}

/// The record's store is gone, an entry was changed, the second place is gone: each pages, and ends with its cause.
async fn a_record_in_trouble(stage: &Stage) -> Result<()> {
    let record = Record::of(stage.plane.access())?;
    let gone = |folder: &Path| folder.with_extension("gone");
    let folder = record.folder();
    fs::rename(&folder, gone(&folder))?;
    stage.fires("TenureRecordUnavailable", &[]).await?;
    fs::rename(gone(&folder), &folder)?;
    stage.ends("TenureRecordUnavailable", &[]).await?;

    let tenant = stage.tenants()?.get("acme").await?;
    let chain = folder.join("v1/chains").join(&tenant.spec.tenant_id);
    let newest = segments(&chain)?.pop().context("an empty chain")?;
    let as_written = fs::read_to_string(&newest)?;
    fs::write(&newest, as_written.replacen("acme", "bcme", 1))?;
    stage.fires("TenureRecordBroken", &[]).await?;
    fs::write(&newest, as_written)?;
    stage.ends("TenureRecordBroken", &[]).await?;

    let second = record.second_place();
    fs::rename(&second, gone(&second))?;
    let policies: Api<NetworkPolicy> = Api::namespaced(stage.plane.break_glass()?, "acme-prod");
    policies
        .delete("tenure-dns", &DeleteParams::default())
        .await?;
    stage.fires("TenureRecordNotBorneOut", &[]).await?;
    fs::rename(gone(&second), &second)?;
    stage.ends("TenureRecordNotBorneOut", &[]).await
}

/// A hold whose day of review has come, and one whose object went past the guards.
async fn a_hold_to_look_after(stage: &Stage) -> Result<()> {
    let tenant = stage.tenants()?.get("acme").await?;
    let hold: LegalHold = serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold", "metadata": {"name": "case-17"},
        "spec": {
            "tenantRef": {"name": "acme"}, "tenantID": tenant.spec.tenant_id, "reference": "Case 17", "authority": "Court",
            "scope": {"extent": "WholeTenant"}, "reason": "a dispute", "placedBy": "Legal", "placedOn": "2026-01-01",
            "reviewOn": "2026-02-01"
        }
    }))?;
    let holds: Api<LegalHold> = Api::all(stage.plane.break_glass()?);
    holds.create(&PostParams::default(), &hold).await?;
    stage.fires("TenureLegalHoldReviewDue", &[]).await?;
    let later = Patch::Merge(json!({"spec": {"reviewOn": "2999-02-01"}}));
    holds
        .patch("case-17", &PatchParams::default(), &later)
        .await?;
    stage.ends("TenureLegalHoldReviewDue", &[]).await?;
    holds.delete("case-17", &DeleteParams::default()).await?;
    stage.fires("TenureLegalHoldGone", &[]).await?;
    holds.create(&PostParams::default(), &hold).await?;
    stage.ends("TenureLegalHoldGone", &[]).await
}

/// Access nobody approved, access that does not end, or not provably.
async fn access_that_needs_somebody(stage: &Stage) -> Result<()> {
    let acme = [("customertenant", "acme")];
    stage.staff("worker").await?;
    stage.staff("lead").await?;
    stage.let_in("glass").await?;
    stage.fires("TenureBreakGlassAccess", &acme).await?;
    stage.approve("glass").await?;
    stage.ends("TenureBreakGlassAccess", &acme).await?;

    // It cannot delete what it made.
    let deletions = stage.forbid("rolebindings", "delete").await?;
    stage.revoke("glass").await?;
    stage.fires("TenureAccessPastEnd", &acme).await?;
    deletions.allow().await?;
    stage.ends("TenureAccessPastEnd", &acme).await?;

    // Something else lets them in, and an API server is said to be there that nobody finds.
    let bindings: Api<RoleBinding> = Api::namespaced(stage.plane.break_glass()?, "acme-prod");
    let way_in: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "way-in"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenure-tenant-operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "worker"}]
    }))?;
    bindings.create(&PostParams::default(), &way_in).await?;
    stage.let_in("more").await?;
    stage.approve("more").await?;
    stage.revoke("more").await?;
    stage.fires("TenureAccessRemains", &acme).await?;
    let leases: Api<Lease> = Api::namespaced(stage.plane.admin()?, "kube-system");
    let hidden: Lease = serde_json::from_value(json!({
        "metadata": {"name": "apiserver-elsewhere", "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"}},
        "spec": {"holderIdentity": "elsewhere", "leaseDurationSeconds": 3600, "renewTime": MicroTime(Timestamp::now())}
    }))?;
    leases.create(&PostParams::default(), &hidden).await?;
    bindings.delete("way-in", &DeleteParams::default()).await?;
    stage.ends("TenureAccessRemains", &acme).await?;
    stage.fires("TenureAccessEndUnproven", &acme).await?;
    leases
        .delete("apiserver-elsewhere", &DeleteParams::default())
        .await?;
    stage.ends("TenureAccessEndUnproven", &acme).await?;
    // A sync that takes everybody for gone.
    let people: Vec<String> = (0..13).map(|index| format!("person-{index}")).collect();
    for person in &people {
        stage.staff(person).await?;
        stage.let_person_in(&format!("of-{person}"), person).await?;
    }
    stage.employ(&people, "Left").await?;
    stage.fires("TenureManyLeavers", &[]).await?;
    eventually(SOON, "ten have ended", async || {
        let still = stage.let_in_now().await?;
        ensure!(still == 3, "{still} are let in");
        Ok(())
    })
    .await?;
    stage.employ(&people, "Active").await?;
    stage.ends("TenureManyLeavers", &[]).await?;
    ensure!(stage.let_in_now().await? == 3);
    for person in &people {
        stage.revoke(&format!("of-{person}")).await?;
    }
    // Live until the operators are gone.
    stage.let_in("last").await?;
    stage.approve("last").await?;
    stage.ends("TenureBreakGlassAccess", &acme).await
}

/// What reaches every tenant, three months after somebody last looked at it.
async fn a_review_nobody_decides_on(stage: &mut Stage) -> Result<()> {
    stage.stop_operators().await?;
    let record = Record::of(stage.plane.access())?;
    let then = Timestamp::now() - SignedDuration::from_hours(24 * 100);
    let moved = |review: &mut Review| review.frozen_at = then.to_string();
    reviews_moved(stage.plane.access(), &record, &[], moved).await?;
    stage.start_operators().await?;
    stage.fires("TenureAccessReviewLapsed", &[]).await.map(drop)
}

/// An operator that leads but gets nowhere: a right was taken from it, and one tenant cannot be evaluated.
async fn an_evaluation_that_never_ends(stage: &Stage) -> Result<()> {
    let finalizers = stage.forbid_finalizers().await?;
    stage.declare_unready("late", 2).await?;
    stage.fires("TenureEvaluationStale", &[]).await?;
    stage.is_silent("TenureOperatorAbsent").await?;
    finalizers.allow().await?;
    stage.ends("TenureEvaluationStale", &[]).await
}

/// Every query of the dashboard is understood, and every metric it or a rule names has been scraped.
async fn every_panel_has_data(stage: &Stage) -> Result<()> {
    // Repaired at once; that is what counts it.
    let policies: Api<NetworkPolicy> = Api::namespaced(stage.plane.break_glass()?, "acme-prod");
    policies
        .delete("tenure-dns", &DeleteParams::default())
        .await?;
    // An object that cannot be read takes a definition of another release: `unreadable` in stories.rs has one.
    let elsewhere = "tenure_object_undecodable";
    let wanted = texts::metrics_named();
    assert!(wanted.len() > 15, "{wanted:?}");
    eventually(SOON, "every metric was scraped", async || {
        let scraped = stage.monitoring.metric_names().await?;
        let missing: Vec<_> = wanted
            .iter()
            .filter(|name| *name != elsewhere && !scraped.contains(name))
            .collect();
        ensure!(missing.is_empty(), "never scraped: {missing:?}");
        Ok(())
    })
    .await?;
    for query in texts::dashboard_queries() {
        let query = query.replace("$tenant", ".*");
        stage
            .monitoring
            .query(&query.replace("$__rate_interval", "1m"))
            .await
            .with_context(|| query.clone())?;
    }
    Ok(())
}

/// When the leader dies the other one leads, and nobody is paged for long; when that one dies, too, somebody is.
async fn another_leads(stage: &mut Stage) -> Result<()> {
    stage.kill_the_leader().await?;
    stage.ends("TenureOperatorAbsent", &[]).await?;
    stage.ends("TenureEvaluationStale", &[]).await?;
    ensure!(
        stage
            .monitoring
            .query("sum(tenure_leader) == 1")
            .await?
            .len()
            == 1
    );
    ensure!(
        stage
            .monitoring
            .query("count(tenure_leader) == 1")
            .await?
            .len()
            == 1
    );
    stage.kill_the_leader().await?;
    stage.fires("TenureOperatorAbsent", &[]).await?;
    stage.fires("TenureOperatorAbsentWithAccess", &[]).await?;
    stage
        .monitoring
        .until(SOON, "TenureEvaluationStale", &[], "suppressed")
        .await
        .map(drop)
}
