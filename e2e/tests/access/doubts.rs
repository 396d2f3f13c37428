//! What a decision rests on, taken away: the record, the guard behind a stamp, the person, and what a customer says of one.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding,
};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember};
use tenure_e2e::{always, eventually};

use crate::{OPERATE, PROD, SOON, Stage, VIEW, approval_of, staff};

pub(crate) async fn taken_away(stage: &Stage) -> Result<()> {
    in_two_namespaces(stage).await.context("two namespaces")?;
    excluded_either_way(stage)
        .await
        .context("excluded either way")?;
    whoever_is_gone(stage).await.context("whoever is gone")?;
    claimed_by_a_customer(stage)
        .await
        .context("claimed by a customer")?;
    no_record(stage).await.context("no record")?;
    in_a_gap(stage).await.context("in a gap")
}

/// One binding in each, and none anywhere afterwards.
async fn in_two_namespaces(stage: &Stage) -> Result<()> {
    let both = json!({"namespaces": [PROD, "acme-test"]});
    stage.ask("both", both).await?;
    stage.approve("both").await?;
    stage.active("both", "Active").await?;
    let bound = stage.bindings_of("both").await?;
    let places: BTreeSet<String> = bound.iter().filter_map(ResourceExt::namespace).collect();
    ensure!(
        places == BTreeSet::from([PROD.to_owned(), "acme-test".to_owned()]) && bound.len() == 2,
        "{places:?}"
    );
    stage.revoke("both").await?;
    stage.ended("both", "Revoked").await?;
    ensure!(stage.bindings_of("both").await?.is_empty());
    Ok(())
}

/// The policy says of one of two roles that it excludes the other: whoever holds either is not given the other.
async fn excluded_either_way(stage: &Stage) -> Result<()> {
    for (held, other) in [(OPERATE, VIEW), (VIEW, OPERATE)] {
        let (first, second) = (format!("first-{other}"), format!("second-{other}"));
        stage.ask(&first, json!({"role": held})).await?;
        stage.approve(&first).await?;
        stage.active(&first, "Active").await?;
        stage.ask(&second, json!({"role": other})).await?;
        stage.approve(&second).await?;
        let said = stage.waits(&second, "RoleExcluded").await?;
        ensure!(said.contains(held), "{said}");
        stage.active(&first, "Active").await?;
        for name in [second, first] {
            stage.revoke(&name).await?;
            stage
                .stands::<AccessGrant>(&name, ["Ended", "True", "Revoked"])
                .await?;
        }
    }
    Ok(())
}

/// With their StaffMember goes every access of a person; what is proven is proven of the names it listed. Whoever left approves nothing.
async fn whoever_is_gone(stage: &Stage) -> Result<()> {
    stage.ask("nameless", json!({})).await?;
    stage.approve("nameless").await?;
    stage.active("nameless", "Active").await?;
    let all: Api<StaffMember> = Api::all(stage.user(crate::HR)?);
    all.delete("worker", &DeleteParams::default()).await?;
    stage.ended("nameless", "PersonUnknown").await?;
    let worker = staff("worker", json!(["oidc:worker", "oidc:worker-admin"]));
    stage
        .write::<StaffMember>(&stage.user(crate::HR)?, worker)
        .await?;
    stage
        .stands::<StaffMember>("worker", ["Eligible", "True", "Eligible"])
        .await?;
    stage
        .change_staff("lead", json!({"status": "Left"}))
        .await?;
    stage
        .stands::<StaffMember>("lead", ["Eligible", "False", "PersonLeft"])
        .await?;
    stage.ask("leaderless", json!({})).await?;
    stage.approve("leaderless").await?;
    stage
        .stands::<Approval>("leaderless-yes", ["Valid", "False", "ApproverLeft"])
        .await?;
    stage.waits("leaderless", "AwaitingApproval").await?;
    stage
        .change_staff("lead", json!({"status": "Active"}))
        .await?;
    // Back, and what was decided while they were away is theirs.
    stage.active("leaderless", "Active").await?;
    stage.revoke("leaderless").await?;
    stage.ended("leaderless", "Revoked").await
}

/// A tenant that anybody may declare makes nobody a known person elsewhere, and takes no name from anybody.
async fn claimed_by_a_customer(stage: &Stage) -> Result<()> {
    let tenant = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "claims"},
        "spec": {
            "tenantID": "77777777-7777-4777-8777-00000000cccc", "classification": "Internal",
            "customer": {"name": "Claims", "persons": [
                {"name": "somebody", "identities": ["oidc:stranger"]}, {"name": "another", "identities": ["oidc:lead"]}
            ]},
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}]
        }
    });
    stage
        .write::<CustomerTenant>(&stage.admin()?, tenant)
        .await?;
    stage
        .stands::<CustomerTenant>("claims", ["Ready", "True", "Reconciled"])
        .await?;
    stage.ask("claimed", json!({})).await?;
    let stranger = stage.person("stranger")?;
    stage
        .decide(&stranger, "claimed", "claimed-strange", "Approve")
        .await?;
    stage
        .stands::<Approval>("claimed-strange", ["Valid", "False", "ApproverUnknown"])
        .await?;
    stage.waits("claimed", "AwaitingApproval").await?;
    stage.approve("claimed").await?;
    stage.active("claimed", "Active").await?;
    stage.revoke("claimed").await?;
    stage.ended("claimed", "Revoked").await
}

/// Where nothing can be recorded nobody new is let in, and whoever has to go goes; once it can be, each is on record once.
async fn no_record(stage: &Stage) -> Result<()> {
    stage.ask("going", json!({})).await?;
    stage.approve("going").await?;
    stage.active("going", "Active").await?;
    let folder = stage.record.folder();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away)?;
    stage.ask("coming", json!({})).await?;
    stage.approve("coming").await?;
    stage.waits("coming", "Unrecorded").await?;
    ensure!(stage.bindings_of("coming").await?.is_empty());
    stage.revoke("going").await?;
    eventually(SOON, "the binding is gone", async || {
        ensure!(stage.bindings_of("going").await?.is_empty());
        Ok(())
    })
    .await?;
    stage.lets("worker", false).await?;
    fs::rename(&away, &folder)?;
    stage.active("coming", "Active").await?;
    stage.revoke("coming").await?;
    for name in ["going", "coming"] {
        stage.ended(name, "Revoked").await?;
        for kind in ["grant.activated", "grant.ended"] {
            let told = stage.told(kind, name).await?;
            ensure!(told.len() == 1, "{told:#?}");
        }
    }
    Ok(())
}

/// An approver who was written by hand while nothing saw to it approves nothing, then or ever.
async fn in_a_gap(stage: &Stage) -> Result<()> {
    stage.ask("forged", json!({})).await?;
    let mut digest = String::new();
    eventually(SOON, "it asks for an approval", async || {
        let status = stage.grant("forged").await?.status.unwrap_or_default();
        let pending = status.pending_approvals.first().cloned();
        digest = pending.context("not yet")?.digest;
        Ok(())
    })
    .await?;
    let (checks, stamps): (
        Api<ValidatingAdmissionPolicyBinding>,
        Api<MutatingAdmissionPolicyBinding>,
    ) = (
        Api::all(stage.plane.break_glass()?),
        Api::all(stage.plane.break_glass()?),
    );
    let (check, stamp) = (
        checks.get("tenure-approvals").await?,
        stamps.get("tenure-stamp-approver").await?,
    );
    checks
        .delete("tenure-approvals", &DeleteParams::default())
        .await?;
    stamps
        .delete("tenure-stamp-approver", &DeleteParams::default())
        .await?;
    let mut forged = approval_of("forged", "forged-yes", "Approve", &digest);
    forged["spec"]["approver"] = json!({"username": "oidc:lead", "groups": []});
    let forger = stage.person("worker")?;
    eventually(SOON, "a forged stamp passes", async || {
        let _ = stage.write::<Approval>(&forger, forged.clone()).await;
        let approvals: Api<Approval> = Api::all(stage.admin()?);
        let approver = approvals.get("forged-yes").await?.spec.approver;
        let approver = approver.context("nobody")?.username;
        if approver != "oidc:lead" {
            // Stamped still: another try, once the guards are gone everywhere.
            let approvals: Api<Approval> = Api::all(stage.plane.break_glass()?);
            approvals
                .delete("forged-yes", &DeleteParams::default())
                .await?;
        }
        ensure!(approver == "oidc:lead", "{approver}");
        Ok(())
    })
    .await?;
    let create = PostParams::default();
    let (mut check, mut stamp) = (check, stamp);
    check.metadata = named(&check.metadata);
    stamp.metadata = named(&stamp.metadata);
    checks.create(&create, &check).await?;
    stamps.create(&create, &stamp).await?;
    let operator = stage.operator.as_ref().context("no operator runs")?;
    let alive = "tenure_guard_alive{guard=\"approvals\"} 1";
    // Looked at, and found open: the figure is of the last look.
    tokio::time::sleep(Duration::from_secs(6)).await;
    eventually(SOON, "the guard is proven alive", async || {
        ensure!(operator.metrics().await?.contains(alive));
        Ok(())
    })
    .await?;
    stage
        .stands::<Approval>("forged-yes", ["Valid", "False", "GuardGap"])
        .await?;
    stage.waits("forged", "AwaitingApproval").await?;
    always(Duration::from_secs(7), "it lets nobody in", async || {
        ensure!(stage.bindings_of("forged").await?.is_empty());
        Ok(())
    })
    .await?;
    // What is decided from now on counts.
    let lead = stage.person("lead")?;
    stage
        .decide(&lead, "forged", "forged-real", "Approve")
        .await?;
    stage.active("forged", "Active").await?;
    let by = stage.grant("forged").await?.status.unwrap_or_default();
    ensure!(by.approved_by == ["forged-real"], "{:?}", by.approved_by);
    stage.revoke("forged").await?;
    stage.ended("forged", "Revoked").await?;
    let platform = stage.record.events("platform").await?;
    let gaps = platform.iter().filter(|event| event["type"] == "guard.gap");
    ensure!(gaps.count() >= 2, "it is on record when it began and ended");
    Ok(())
}

/// What a copy of an object is made with.
fn named(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        ..ObjectMeta::default()
    }
}
