//! The record at work: recorded before it is acted on, never waited for by a repair, held to when its store is gone or put back,
//! and enough to rebuild a cluster of which nothing is left but Git.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::fmt::Debug;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_crds::{Approval, Attestation, CustomerTenant, LegalHold, TenancyPolicy};
use tenure_e2e::install;
use tenure_e2e::paths::copy_missing;
use tenure_e2e::record::segments;
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, Record, eventually};
use tenure_evidence::verify::{Finding, Kind};

const SOON: Duration = Duration::from_secs(60);
const ACME: &str = "66666666-6666-4666-8666-00000000aaaa";
/// From whom nobody is known to have asked.
const APPLIER: &str = "git";
/// Who places holds; may approve too, but not their release.
const LEGAL: &str = "legal-officer";
/// Who attests.
const REVIEWER: &str = "reviewer";
const NEVER_USED: &str = "66666666-6666-4666-8666-00000000bbbb";

/// A cluster, and the record that is there before it and after it.
struct Stage {
    plane: Plane,
    record: Record,
    operator: Option<Operator>,
}

impl Stage {
    async fn set(name: &str, record: &Record) -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: name.into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let stage = Self {
            plane,
            record: record.clone(),
            operator: None,
        };
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {"gitopsAppliers": [{"username": APPLIER}]}}),
        )?;
        Api::all(stage.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        for (user, role) in [
            (APPLIER, "cluster-admin"),
            ("first-approver", "tenure-approver"),
            ("second-approver", "tenure-approver"),
            (LEGAL, "tenure-legal"),
            (LEGAL, "tenure-approver"),
            (REVIEWER, "tenure-reviewer"),
        ] {
            let binding: ClusterRoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("{user}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
            }))?;
            Api::all(stage.admin()?)
                .create(&PostParams::default(), &binding)
                .await?;
        }
        Ok(stage)
    }

    fn admin(&self) -> Result<Client> {
        self.plane.admin()
    }

    async fn start(&mut self) -> Result<()> {
        let options = OperatorOptions {
            record: Some(self.record.clone()),
            ..OperatorOptions::default()
        };
        self.operator = Some(Operator::start(self.plane.access(), options).await?);
        Ok(())
    }

    fn operator(&self) -> Result<&Operator> {
        self.operator.as_ref().context("no operator runs")
    }

    async fn stop(&mut self) -> Result<()> {
        self.operator()?.stop().await?;
        self.operator = None;
        Ok(())
    }

    fn tenants(&self) -> Result<Api<CustomerTenant>> {
        Ok(Api::all(self.admin()?))
    }

    async fn declare(&self, name: &str, id: &str) -> Result<()> {
        let tenant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
            "spec": {
                "tenantID": id, "customer": {"name": name, "contacts": [{"role": "Security", "name": "Known Person", "email": "known@example.com"}]},
                "classification": "Confidential", "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
                "namespaces": [{"name": "prod"}]
            }
        }))?;
        self.tenants()?
            .create(&PostParams::default(), &tenant)
            .await?;
        Ok(())
    }

    async fn change(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.tenants()?
            .patch(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// As [`Stage::change`], by the applier: nobody is known to have asked, and two have to approve.
    async fn commit(&self, name: &str, spec: Value) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(self.plane.client(&Identity::user(APPLIER))?);
        let patch = Patch::Merge(json!({"spec": spec}));
        tenants.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until a condition of a CustomerTenant stands so, about the object as it is now.
    async fn condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> Result<()> {
        self.stands::<CustomerTenant>(name, [kind, status, reason])
            .await?;
        Ok(())
    }

    /// Waits until a condition (type, status, reason) stands so, about the object as it is now; answers its message.
    async fn stands<K>(&self, name: &str, expect: [&str; 3]) -> Result<String>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.admin()?);
        let mut message = String::new();
        eventually(SOON, &format!("{name}: {expect:?}"), async || {
            let object = serde_json::to_value(api.get(name).await?)?;
            let status = &object["status"];
            ensure!(
                status["observedGeneration"] == object["metadata"]["generation"],
                "not looked at yet"
            );
            let conditions = status["conditions"].as_array().context("no conditions")?;
            let found = conditions.iter().find(|found| found["type"] == expect[0]);
            let found = found.with_context(|| format!("{conditions:#?}"))?;
            ensure!(
                found["status"] == expect[1] && found["reason"] == expect[2],
                "{found:#}"
            );
            message = found["message"].as_str().unwrap_or_default().to_owned();
            Ok(())
        })
        .await?;
        Ok(message)
    }

    /// Creates an object as a user.
    async fn write<K>(&self, user: &str, object: Value) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.plane.client(&Identity::user(user))?);
        let object = serde_json::from_value(object)?;
        Ok(api.create(&PostParams::default(), &object).await?)
    }

    /// Decides on the release of a hold.
    async fn release(&self, person: &str, hold: &str, approval: &str) -> Result<()> {
        let holds: Api<LegalHold> = Api::all(self.admin()?);
        let hold = holds.get(hold).await?;
        let pending = hold.status.clone().unwrap_or_default().pending_approvals;
        let [pending] = pending.as_slice() else {
            bail!("{pending:?}");
        };
        let approval = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": approval},
            "spec": {
                "action": pending.action, "tenantRef": hold.spec.tenant_ref,
                "subject": {"kind": "LegalHold", "name": hold.metadata.name, "tenantID": hold.spec.tenant_id,
                    "digest": pending.digest, "digestVersion": pending.digest_version},
                "decision": "Approve", "reason": "the case is closed"
            }
        });
        self.write::<Approval>(person, approval).await?;
        Ok(())
    }

    async fn ready(&self, name: &str) -> Result<()> {
        self.condition(name, "Ready", "True", "Reconciled").await
    }

    async fn accepted_digest(&self, name: &str) -> Result<Option<String>> {
        let status = self.tenants()?.get(name).await?.status;
        Ok(status.context("no status")?.accepted_digest)
    }

    fn policies(&self, name: &str) -> Result<Api<NetworkPolicy>> {
        Ok(Api::namespaced(
            self.plane.break_glass()?,
            &format!("{name}-prod"),
        ))
    }

    /// Takes a policy away past the guards, and waits until it is back.
    async fn repairs(&self, name: &str) -> Result<()> {
        let policies = self.policies(name)?;
        policies
            .delete("tenure-default-deny", &DeleteParams::default())
            .await?;
        eventually(SOON, "the policy is back", async || {
            policies.get("tenure-default-deny").await?;
            Ok(())
        })
        .await
    }

    /// The events of a type in a tenant's chain, once there are so many.
    async fn told(&self, chain: &str, kind: &str, count: usize) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        eventually(SOON, &format!("{count} {kind} on record"), async || {
            let events = self.record.events(chain).await?;
            let events: Vec<Value> = events
                .into_iter()
                .filter(|event| event["type"] == kind)
                .collect();
            ensure!(events.len() >= count, "{events:#?}");
            Ok(())
        })
        .await?;
        let events = self.record.events(chain).await?;
        found.extend(events.into_iter().filter(|event| event["type"] == kind));
        ensure!(found.len() == count, "{found:#?}");
        Ok(found)
    }

    async fn metric(&self, line: &str) -> Result<()> {
        eventually(SOON, line, async || {
            let text = self.operator()?.metrics().await?;
            let name = line.split(' ').next().unwrap_or_default();
            let found: Vec<&str> = text
                .lines()
                .filter(|found| found.starts_with(name))
                .collect();
            ensure!(found == [line], "{found:?}");
            Ok(())
        })
        .await
    }

    async fn approve(&self, person: &str, name: &str, approval: &str) -> Result<()> {
        let tenant = self.tenants()?.get(name).await?;
        let pending = tenant.status.unwrap_or_default().pending_approvals;
        let [pending] = pending.as_slice() else {
            bail!("{pending:?}");
        };
        let approval: Approval = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": approval},
            "spec": {
                "action": pending.action, "tenantRef": {"name": name},
                "subject": {"kind": "CustomerTenant", "name": name, "tenantID": tenant.spec.tenant_id,
                    "digest": pending.digest, "digestVersion": pending.digest_version},
                "decision": "Approve", "reason": "as agreed with the customer"
            }
        }))?;
        let client = self.plane.client(&Identity::user(person))?;
        Api::all(client)
            .create(&PostParams::default(), &approval)
            .await?;
        Ok(())
    }

    async fn sound(&self) -> Result<()> {
        let report = self.record.verify().await?;
        ensure!(report.sound, "{report:#?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_outranks_git_and_survives_the_cluster() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let record = Record::at(folder.path())?;
    let mut stage = Stage::set("record", &record).await?;
    stage.start().await?;
    stage.declare("acme", ACME).await?;
    stage.ready("acme").await?;
    acceptance_and_repair(&stage).await.context("recorded")?;
    a_store_that_is_gone(&mut stage)
        .await
        .context("a store that is gone")?;
    a_record_that_went_back(&mut stage)
        .await
        .context("a record that went back")?;
    a_changed_record(&stage).await.context("a changed record")?;
    holds_and_attestations(&stage)
        .await
        .context("holds and attestations")?;
    decisions(&mut stage).await.context("decisions")?;
    stage.sound().await?;
    drop(stage);
    rebuilt_from_git(&record).await.context("rebuilt from Git")
}

/// What was accepted and what was repaired stands in the tenant's chain, without personal data.
async fn acceptance_and_repair(stage: &Stage) -> Result<()> {
    let digest = stage.accepted_digest("acme").await?;
    let accepted = stage.told(ACME, "spec.accepted", 1).await?;
    ensure!(accepted[0]["digest"] == json!(digest), "{accepted:#?}");
    let text = serde_json::to_string(&stage.record.events(ACME).await?)?;
    for personal in ["Known Person", "known@example.com"] {
        ensure!(
            !text.contains(personal),
            "personal data is on record: {personal}"
        );
    }
    let policies = stage.policies("acme")?;
    let open = Patch::Merge(json!({"spec": {"ingress": [{}]}}));
    let params = PatchParams {
        field_manager: Some("somebody".into()),
        ..PatchParams::default()
    };
    policies
        .patch("tenure-default-deny", &params, &open)
        .await?;
    let repaired = stage.told(ACME, "drift.repaired", 1).await?;
    ensure!(
        repaired[0]["object"] == "NetworkPolicy acme-prod/tenure-default-deny",
        "{repaired:#?}"
    );
    ensure!(repaired[0]["actor"] == "claimed somebody", "{repaired:#?}");
    let at = |key: &str| {
        repaired[0][key]
            .as_str()
            .unwrap_or_default()
            .parse::<jiff::Timestamp>()
    };
    ensure!(at("openedAt")? <= at("closedAt")?, "{repaired:#?}");
    let started = stage.told("platform", "operator.started", 1).await?;
    ensure!(
        started[0]["version"] == env!("CARGO_PKG_VERSION"),
        "{started:#?}"
    );
    stage.told("platform", "policy.accepted", 1).await?;
    eventually(
        SOON,
        "every chain is borne out by the second place",
        async || {
            let report = stage.record.verify().await?;
            ensure!(report.sound && report.not_shown.is_empty(), "{report:#?}");
            Ok(())
        },
    )
    .await
}

/// Isolation is repaired without the store, at the start too; nothing new is accepted, and what happened is recorded once it is back,
/// even though the operator was killed in between.
async fn a_store_that_is_gone(stage: &mut Stage) -> Result<()> {
    let (folder, away) = (
        stage.record.folder(),
        stage.record.folder().with_extension("away"),
    );
    fs::rename(&folder, &away)?;
    stage.repairs("acme").await?;
    stage
        .change("acme", json!({"owner": {"name": "platform"}}))
        .await?;
    stage
        .condition("acme", "Ready", "False", "StoreUnreachable")
        .await?;
    stage.metric("tenure_record_available 0").await?;
    stage.operator()?.kill()?;

    stage.start().await?;
    stage.metric("tenure_record_read 0").await?;
    stage.repairs("acme").await?;
    stage
        .condition("acme", "Ready", "False", "RecordUnread")
        .await?;
    let accepted = stage.accepted_digest("acme").await?;
    fs::rename(&away, &folder)?;
    stage.ready("acme").await?;
    stage.metric("tenure_record_read 1").await?;
    stage.metric("tenure_record_available 1").await?;
    let after = stage.accepted_digest("acme").await?;
    ensure!(accepted != after);
    // The one before, and the two that nobody could record at their time.
    let repaired = stage.told(ACME, "drift.repaired", 3).await?;
    ensure!(
        repaired.iter().all(|event| event["closedAt"].is_string()),
        "{repaired:#?}"
    );
    stage.told(ACME, "spec.accepted", 2).await?;
    stage.metric("tenure_record_waiting_notes 0").await?;
    stage.sound().await
}

/// A folder that was put back together with its own checkpoints: the cluster and the second place know more. Nothing is built on
/// it; isolation is repaired; what belongs there is put back, and it goes on.
async fn a_record_that_went_back(stage: &mut Stage) -> Result<()> {
    let (folder, newer) = (
        stage.record.folder(),
        stage.record.folder().with_extension("newer"),
    );
    let older = tempfile::tempdir()?;
    copy_missing(&folder, older.path())?;
    stage
        .change("acme", json!({"owner": {"name": "somebody else"}}))
        .await?;
    stage.told(ACME, "spec.accepted", 3).await?;
    stage.ready("acme").await?;
    stage.stop().await?;
    fs::rename(&folder, &newer)?;
    copy_missing(older.path(), &folder)?;
    let report = stage.record.verify().await?;
    ensure!(
        report
            .findings
            .iter()
            .any(|finding| finding.kind == Kind::Truncated),
        "{report:#?}"
    );

    stage.start().await?;
    stage
        .condition("acme", "Ready", "False", "RecordBroken")
        .await?;
    stage.repairs("acme").await?;
    let text = stage.operator()?.metrics().await?;
    ensure!(!text.contains("tenure_record_broken_chains 0\n"), "{text}");
    // What is missing is put beside what is there: chains that were whole have gone on meanwhile.
    copy_missing(&newer, &folder)?;
    stage.ready("acme").await?;
    stage.metric("tenure_record_broken_chains 0").await?;
    stage.told(ACME, "drift.repaired", 4).await?;
    stage.sound().await
}

/// A byte of the newest segment is changed: it is found by the running operator and by whoever verifies.
async fn a_changed_record(stage: &Stage) -> Result<()> {
    let chain = stage.record.folder().join("v1/chains").join(ACME);
    let newest = segments(&chain)?.pop().context("an empty chain")?;
    let as_written = fs::read(&newest)?;
    let text = String::from_utf8(as_written.clone())?.replacen("acme", "bcme", 1);
    ensure!(text.as_bytes() != as_written);
    fs::write(&newest, text)?;
    stage
        .condition("acme", "Ready", "False", "RecordBroken")
        .await?;
    let report = stage.record.verify().await?;
    ensure!(
        report
            .findings
            .iter()
            .any(|finding| finding.kind == Kind::Changed),
        "{report:#?}"
    );
    fs::write(&newest, as_written)?;
    stage.ready("acme").await?;
    stage.sound().await
}

fn hold(name: &str, tenant: &str, id: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold", "metadata": {"name": name},
        "spec": {
            "tenantRef": {"name": tenant}, "tenantID": id, "reference": format!("File of {name}"), "authority": "Enterprise Court",
            "scope": {"extent": "WholeTenant"}, "reason": "Known Person disputes an invoice", "placedBy": "Legal department",
            "placedOn": "2026-03-01"
        }
    })
}

fn attestation(name: &str, issued_on: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Attestation", "metadata": {"name": name},
        "spec": {
            "control": "dsa-2.5-physical-security", "subject": {"kind": "Location", "name": "West"},
            "statement": "Known Person saw nothing open", "attestedBy": "Facility manager",
            "issuedOn": issued_on, "validUntil": "2999-12-31",
            "evidence": {"uri": "https://documents.provider.example/west.pdf", "digest": format!("sha256:{}", "0".repeat(64))}
        }
    })
}

/// What is held is not destroyed until somebody else than who placed it allows it; what was replaced counts no more. Both are on
/// record before anything is said of them.
async fn holds_and_attestations(stage: &Stage) -> Result<()> {
    // A tenant that never held anything would end at once; held, it stays, and ends once it is released.
    stage.declare("brief", NEVER_USED).await?;
    stage.ready("brief").await?;
    let case = hold("case-17", "brief", NEVER_USED);
    stage.write::<LegalHold>(LEGAL, case).await?;
    stage
        .stands::<LegalHold>("case-17", ["Recorded", "True", "OnRecord"])
        .await?;
    let placed = stage.told("platform", "hold.placed", 1).await?;
    ensure!(placed[0]["writtenBy"] == LEGAL, "{placed:#?}");
    stage
        .condition("brief", "Held", "True", "LegalHold")
        .await?;
    stage
        .tenants()?
        .delete("brief", &DeleteParams::default())
        .await?;
    stage
        .condition("brief", "Ready", "False", "LegalHold")
        .await?;
    stage.release(LEGAL, "case-17", "own-release").await?;
    stage
        .stands::<Approval>("own-release", ["Valid", "False", "SelfApproval"])
        .await?;
    let namespaces: Api<Namespace> = Api::all(stage.admin()?);
    ensure!(
        namespaces
            .get("brief-prod")
            .await?
            .metadata
            .deletion_timestamp
            .is_none()
    );
    stage.told("platform", "hold.released", 0).await?;
    stage
        .release("first-approver", "case-17", "release")
        .await?;
    stage
        .stands::<LegalHold>("case-17", ["Released", "True", "ReleaseApproved"])
        .await?;
    stage
        .stands::<Approval>("release", ["Valid", "True", "Used"])
        .await?;
    stage
        .stands::<Approval>("own-release", ["Valid", "False", "Settled"])
        .await?;
    let released = stage.told("platform", "hold.released", 1).await?;
    ensure!(
        released[0]["approvals"] == json!(["release"]),
        "{released:#?}"
    );
    stage.told(NEVER_USED, "tenant.ended", 1).await?;
    let legal: Api<LegalHold> = Api::all(stage.plane.client(&Identity::user(LEGAL))?);
    legal.delete("case-17", &DeleteParams::default()).await?;

    // Placed by nobody who is known, its release takes two. A store that is gone does not keep it from holding.
    let (folder, away) = (
        stage.record.folder(),
        stage.record.folder().with_extension("away"),
    );
    fs::rename(&folder, &away)?;
    stage
        .write::<LegalHold>(APPLIER, hold("case-18", "acme", ACME))
        .await?;
    stage
        .stands::<LegalHold>("case-18", ["Recorded", "False", "StoreUnreachable"])
        .await?;
    stage.condition("acme", "Held", "True", "LegalHold").await?;
    fs::rename(&away, &folder)?;
    stage
        .stands::<LegalHold>("case-18", ["Recorded", "True", "OnRecord"])
        .await?;
    let review = Patch::Merge(json!({"spec": {"reviewOn": "2026-09-01"}}));
    legal
        .patch("case-18", &PatchParams::default(), &review)
        .await?;
    stage
        .stands::<LegalHold>("case-18", ["ReviewDue", "True", "ReviewDateReached"])
        .await?;
    let reviewed = stage.told("platform", "hold.reviewed", 1).await?;
    ensure!(reviewed[0]["reviewOn"] == "2026-09-01", "{reviewed:#?}");
    stage
        .release("first-approver", "case-18", "one-of-two")
        .await?;
    stage
        .stands::<Approval>("one-of-two", ["Valid", "True", "IdentityOnly"])
        .await?;
    // And one whose tenant nobody knows.
    stage
        .write::<LegalHold>(LEGAL, hold("case-19", "acne", NEVER_USED))
        .await?;
    stage
        .stands::<LegalHold>("case-19", ["Stalled", "True", "TenantUnknown"])
        .await?;
    stage
        .metric("tenure_legal_holds{state=\"holding\"} 2")
        .await?;

    stage
        .write::<Attestation>(REVIEWER, attestation("older", "2026-01-15"))
        .await?;
    stage
        .stands::<Attestation>("older", ["Valid", "True", "Counts"])
        .await?;
    stage
        .write::<Attestation>(REVIEWER, attestation("newer", "2026-02-15"))
        .await?;
    stage
        .stands::<Attestation>("newer", ["Valid", "True", "Counts"])
        .await?;
    stage
        .stands::<Attestation>("older", ["Valid", "False", "Replaced"])
        .await?;
    let given = stage.told("platform", "attestation.given", 2).await?;
    ensure!(given[1]["writtenBy"] == REVIEWER, "{given:#?}");
    let text = serde_json::to_string(&stage.record.events("platform").await?)?;
    ensure!(!text.contains("Known Person"), "personal data is on record");
    stage.sound().await
}

/// The kinds' objects are gone with the cluster: what held holds, what was released or replaced stays so, whoever applies it again.
async fn holds_and_attestations_without_objects(stage: &Stage) -> Result<()> {
    let message = stage
        .stands::<CustomerTenant>("acme", ["Held", "True", "LegalHold"])
        .await?;
    ensure!(
        message.contains("case-18") && message.contains("gone"),
        "{message}"
    );
    stage.metric("tenure_legal_holds{state=\"gone\"} 2").await?;
    let case = hold("case-17", "brief", NEVER_USED);
    stage.write::<LegalHold>(APPLIER, case).await?;
    stage
        .stands::<LegalHold>("case-17", ["Released", "True", "ReleaseApproved"])
        .await?;
    // As it was placed; the one decision of the two that it needs is on record without its Approval.
    stage
        .write::<LegalHold>(LEGAL, hold("case-18", "acme", ACME))
        .await?;
    stage
        .stands::<LegalHold>("case-18", ["Released", "False", "Holds"])
        .await?;
    stage
        .release("second-approver", "case-18", "two-of-two")
        .await?;
    stage
        .stands::<LegalHold>("case-18", ["Released", "True", "ReleaseApproved"])
        .await?;
    stage
        .stands::<Approval>("two-of-two", ["Valid", "True", "Used"])
        .await?;
    stage.told("platform", "hold.placed", 3).await?;
    let released = stage.told("platform", "hold.released", 2).await?;
    ensure!(
        released[1]["approvals"] == json!(["one-of-two", "two-of-two"]),
        "{released:#?}"
    );
    // What was decided on a release is told, and waits no more.
    let events = stage.record.events("platform").await?;
    let state = events.iter().rfind(|event| event["type"] == "state");
    let waiting = state.context("no state")?["state"]["approvals"].to_string();
    ensure!(!waiting.contains("LegalHold"), "{waiting}");
    stage
        .write::<Attestation>(REVIEWER, attestation("older", "2026-01-15"))
        .await?;
    stage
        .stands::<Attestation>("older", ["Valid", "False", "Replaced"])
        .await?;
    stage.told("platform", "attestation.given", 2).await?;
    Ok(())
}

/// A loosening that came from nobody is approved by one of the two it needs.
async fn decisions(stage: &mut Stage) -> Result<()> {
    stage
        .change("acme", json!({"classification": "Internal"}))
        .await?;
    let waits = ("Ready", "False", "AwaitingAmendment");
    stage.condition("acme", waits.0, waits.1, waits.2).await?;
    stage.approve("first-approver", "acme", "lower").await?;
    stage.ready("acme").await?;
    let used = stage.told(ACME, "approval.used", 1).await?;
    ensure!(used[0]["approval"] == "lower", "{used:#?}");
    // And one of two that are needed: its object goes with the cluster.
    stage
        .commit("acme", json!({"classification": "Public"}))
        .await?;
    stage.condition("acme", waits.0, waits.1, waits.2).await?;
    stage.approve("first-approver", "acme", "lowest").await?;
    eventually(SOON, "the decision is on record", async || {
        let events = stage.record.events("platform").await?;
        let given =
            |event: &&Value| event["type"] == "approval.given" && event["approval"] == "lowest";
        ensure!(events.iter().filter(given).count() == 1, "{events:#?}");
        Ok(())
    })
    .await?;
    stage.condition("acme", waits.0, waits.1, waits.2).await?;
    stage.stop().await
}

/// Nothing is left but Git and the record: the tenant is what was accepted, the approved loosening stands without its Approval, and
/// who ended stays ended.
async fn rebuilt_from_git(record: &Record) -> Result<()> {
    let mut stage = Stage::set("rebuilt-record", record).await?;
    stage.start().await?;
    let namespaces: Api<Namespace> = Api::all(stage.admin()?);
    eventually(
        SOON,
        "isolation stands before Git has brought anything",
        async || {
            namespaces.get("acme-prod").await?;
            stage.policies("acme")?.get("tenure-default-deny").await?;
            Ok(())
        },
    )
    .await?;
    ensure!(stage.tenants()?.get_opt("acme").await?.is_none());

    // Git is behind: an older spec than was accepted waits.
    stage.declare("acme", ACME).await?;
    stage
        .condition("acme", "Frozen", "True", "RecordMismatch")
        .await?;
    // As it was accepted last, loosening included, it goes on, and nobody has to approve it again.
    let accepted = json!({"owner": {"name": "somebody else"}, "classification": "Internal"});
    stage.change("acme", accepted).await?;
    stage.ready("acme").await?;

    stage.declare("brief", NEVER_USED).await?;
    stage
        .condition("brief", "Ready", "False", "IdentityUsed")
        .await?;
    ensure!(
        namespaces.get_opt("brief-prod").await?.is_none(),
        "what ended came back"
    );
    stage.told(ACME, "tenant.thawed", 1).await?;
    holds_and_attestations_without_objects(&stage)
        .await
        .context("holds and attestations without objects")?;
    stage.stop().await?;
    stage.sound().await?;
    a_lost_record(&mut stage).await.context("a lost record")
}

/// The record is gone for good: nothing is accepted, until somebody says that it goes on without; then that stands in it.
async fn a_lost_record(stage: &mut Stage) -> Result<()> {
    fs::remove_dir_all(stage.record.folder())?;
    fs::create_dir(stage.record.folder())?;
    stage.start().await?;
    stage
        .condition("acme", "Ready", "False", "RecordBroken")
        .await?;
    stage.repairs("acme").await?;
    stage.stop().await?;

    let accepting = OperatorOptions {
        record: Some(stage.record.clone()),
        env: vec![("TENURE_RECORD_ACCEPT_LOSS".into(), "true".into())],
        ..OperatorOptions::default()
    };
    stage.operator = Some(Operator::start(stage.plane.access(), accepting).await?);
    stage.ready("acme").await?;
    let resumed = stage.told(ACME, "record.resumed", 1).await?;
    ensure!(resumed[0]["found"] == 0, "{resumed:#?}");
    // What the working copy still knew is in it again, and the next one needs no permission.
    stage.told(ACME, "state", 1).await?;
    stage.told(NEVER_USED, "state", 1).await?;
    stage.stop().await?;
    stage.start().await?;
    stage
        .change("acme", json!({"owner": {"name": "somebody new"}}))
        .await?;
    stage.ready("acme").await?;
    stage
        .condition("brief", "Ready", "False", "IdentityUsed")
        .await?;
    let report = stage.record.verify().await?;
    let lost = |finding: &&Finding| [Kind::Truncated, Kind::Forked].contains(&finding.kind);
    ensure!(
        report.findings.iter().any(|finding| lost(&finding)),
        "{report:#?}"
    );
    stage.stop().await
}
