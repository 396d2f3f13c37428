//! What a platform team lives through with the operator running: onboarding, drift, a vanished
//! CustomerTenant, an outage. One plane, one operator with the chart's own ServiceAccount; the
//! stories run one after another because several of them stop the operator or the API server.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, Pod, ResourceQuota, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tenure_crds::{Approval, CustomerTenant, TenancyPolicy};
use tenure_e2e::audit::grouped;
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::operator::{Operator, OperatorOptions, SERVICE_ACCOUNT};
use tenure_e2e::{Identity, Plane, PlaneOptions, eventually};

const SOON: Duration = Duration::from_secs(30);
const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";

struct Stage {
    plane: Plane,
    operator: Option<Operator>,
    next_id: u32,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "stories".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let mut stage = Self {
            plane,
            operator: None,
            next_id: 0,
        };
        stage.start_operator().await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        Api::all(stage.admin())
            .create(&PostParams::default(), &policy)
            .await?;
        Ok(stage)
    }

    async fn start_operator(&mut self) -> Result<()> {
        self.operator =
            Some(Operator::start(self.plane.access(), OperatorOptions::default()).await?);
        Ok(())
    }

    async fn stop_operator(&mut self) -> Result<()> {
        self.operator
            .take()
            .context("no operator runs")?
            .stop()
            .await
    }

    fn admin(&self) -> Client {
        self.plane.admin().unwrap()
    }

    fn break_glass(&self) -> Client {
        self.plane.break_glass().unwrap()
    }

    fn tenants(&self) -> Api<CustomerTenant> {
        Api::all(self.admin())
    }

    fn spec(&mut self, change: impl FnOnce(&mut Value)) -> Value {
        self.next_id += 1;
        let mut spec = json!({
            "tenantID": format!("77777777-7777-4777-8777-{:012}", self.next_id), "customer": {"name": "Example"}, "classification": "Internal",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}]
        });
        change(&mut spec);
        spec
    }

    async fn declare(&self, name: &str, spec: &Value) -> Result<CustomerTenant> {
        let object = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name}, "spec": spec}),
        )?;
        Ok(self
            .tenants()
            .create(&PostParams::default(), &object)
            .await?)
    }

    async fn condition(&self, name: &str, kind: &str) -> Result<Option<(String, String, String)>> {
        let status = self
            .tenants()
            .get_status(name)
            .await?
            .status
            .unwrap_or_default();
        let found = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == kind);
        Ok(found.map(|condition| (condition.status, condition.reason, condition.message)))
    }

    async fn until(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Result<String> {
        eventually(
            SOON,
            &format!("{name} has {kind}={status} {reason:?}"),
            async || {
                let (is, why, message) = self
                    .condition(name, kind)
                    .await?
                    .context("no such condition")?;
                ensure!(
                    is == status && reason.is_none_or(|reason| reason == why),
                    "{kind}={is} {why}: {message}"
                );
                Ok(message)
            },
        )
        .await
    }

    async fn ready(&self, name: &str) -> Result<()> {
        self.until(name, "Ready", "True", None).await.map(drop)
    }

    /// Without the guard on their deletion: what a CRD's removal or a cluster admin can do.
    async fn unguarded_delete(&self, name: &str) -> Result<()> {
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.break_glass());
        bindings
            .delete("tenure-customertenants-deletes", &DeleteParams::default())
            .await?;
        eventually(SOON, "the guard on deletion is gone", async || {
            self.tenants()
                .delete(
                    name,
                    &DeleteParams {
                        dry_run: true,
                        ..DeleteParams::default()
                    },
                )
                .await?;
            Ok(())
        })
        .await?;
        self.tenants()
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn start_pod(&self, namespace: &str, name: &str) -> kube::Result<Pod> {
        let pod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "c", "image": "example/app:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
            }
        }))
        .unwrap();
        Api::namespaced(self.admin(), namespace)
            .create(&PostParams::default(), &pod)
            .await
    }

    async fn policies(&self, namespace: &str) -> Result<Vec<String>> {
        let api: Api<NetworkPolicy> = Api::namespaced(self.admin(), namespace);
        Ok(api
            .list(&ListParams::default())
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_a_platform_team() -> Result<()> {
    let mut stage = Stage::set().await?;
    onboarding(&mut stage).await.context("onboarding")?;
    waiting(&mut stage).await.context("waiting")?;
    drift(&mut stage).await.context("drift")?;
    a_changed_spec(&mut stage).await.context("a changed spec")?;
    bad_neighbours(&mut stage).await.context("bad neighbours")?;
    adoption(&mut stage).await.context("adoption")?;
    never_used(&mut stage).await.context("never used")?;
    settled(&mut stage).await.context("settled")?;
    vanished(&mut stage).await.context("vanished")?;
    definitions_lost(&mut stage)
        .await
        .context("definitions lost")?;
    an_outage(&mut stage).await.context("an outage")?;
    a_stuck_namespace(&mut stage)
        .await
        .context("a stuck namespace")?;
    loosening(&mut stage).await.context("loosening")?;
    amendment(&mut stage).await.context("amendment")?;
    containment(&mut stage).await.context("containment")?;
    the_admin_tier(&mut stage).await.context("the Admin tier")?;
    restored_first(&mut stage).await.context("restored first")?;
    observing(&mut stage).await.context("observing")?;
    a_hole(&mut stage).await.context("a hole")?;
    a_fight(&mut stage).await.context("a fight")?;
    changed_on_the_way(&mut stage)
        .await
        .context("changed on the way")?;
    unreadable(&mut stage)
        .await
        .context("an unreadable object")?;
    stolen(&mut stage).await.context("a stolen token")?;
    Ok(())
}

/// A minimal CustomerTenant is Ready with everything in place, and pods wait until it is.
async fn onboarding(stage: &mut Stage) -> Result<()> {
    let mark = stage.plane.audit().mark().await?;
    let spec = stage.spec(|spec| {
        spec["members"] = json!([{"name": "ops", "kind": "Group", "subject": "example-ops", "role": "Viewer"}]);
    });
    stage.declare("first", &spec).await?;
    stage.ready("first").await?;
    let namespace = Api::<Namespace>::all(stage.admin())
        .get("first-prod")
        .await?;
    assert_eq!(namespace.labels()["tenure.dev/tenant"], "first");
    assert_eq!(
        namespace.labels()["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    assert_eq!(namespace.annotations()["tenure.dev/ready"], "true");
    assert!(namespace.owner_references().is_empty());
    assert_eq!(
        stage.policies("first-prod").await?,
        ["tenure-default-deny", "tenure-dns", "tenure-same-tenant"]
    );
    Api::<ResourceQuota>::namespaced(stage.admin(), "first-prod")
        .get("tenure")
        .await?;
    Api::<LimitRange>::namespaced(stage.admin(), "first-prod")
        .get("tenure")
        .await?;
    let binding = Api::<RoleBinding>::namespaced(stage.admin(), "first-prod")
        .get("tenure-member-ops")
        .await?;
    assert_eq!(binding.role_ref.name, "tenure-tenant-viewer");

    // The mark that lets pods start is written after every policy.
    let writes = stage.plane.audit().writes_by(OPERATOR, mark)?;
    let lines: Vec<String> = writes.iter().map(tenure_e2e::audit::Event::line).collect();
    let last_policy = lines
        .iter()
        .rposition(|line| line.contains("networkpolicies") && line.contains("first-prod"))
        .context("no policy was written")?;
    let ready = lines
        .iter()
        .rposition(|line| {
            line.contains("update") && line.contains("namespaces") && line.contains("first-prod")
        })
        .context("no ready mark was written")?;
    assert!(ready > last_policy, "{lines:#?}");

    let status = stage
        .tenants()
        .get_status("first")
        .await?
        .status
        .context("no status")?;
    assert!(serde_json::to_vec(&status.controls)?.len() <= 16 * 1024);
    assert!(status.controls.len() > 60 && status.compliant.is_some());
    let metrics = stage.operator.as_ref().unwrap().metrics().await?;
    for control in &status.controls {
        let series = format!(
            "tenure_control_status{{control=\"{}\",customertenant=\"first\"",
            control.id
        );
        assert_eq!(metrics.matches(&series).count(), 1, "{series}");
    }
    Ok(())
}

/// The only tenant waits for an amendment and is not Ready: the platform's settings loosen with an approval all the same.
async fn waiting(stage: &mut Stage) -> Result<()> {
    let policies: Api<TenancyPolicy> = Api::all(stage.admin());
    let change = |value: Value| Patch::Merge(json!({"spec": value}));
    let params = PatchParams::default();
    let lower = change(json!({"classification": "Public"}));
    stage.tenants().patch("first", &params, &lower).await?;
    stage.until("first", "Ready", "False", None).await?;
    let looser = change(json!({"restore": {"username": "restorer"}}));
    policies.patch("default", &params, &looser).await?;
    eventually(SOON, "the loosening waits", async || {
        let policy = policies.get_status("default").await?;
        let status = policy.status.context("no status")?;
        let seen = status.observed_generation == policy.metadata.generation;
        ensure!(seen, "the change was not looked at yet");
        let pending = status.conditions.iter().any(|condition| {
            condition.type_ == "Accepted" && condition.reason == "LooseningPending"
        });
        ensure!(pending, "{:#?}", status.conditions);
        Ok(())
    })
    .await?;
    let as_before = change(json!({"restore": null}));
    policies.patch("default", &params, &as_before).await?;
    let as_signed = change(json!({"classification": "Internal"}));
    stage.tenants().patch("first", &params, &as_signed).await?;
    stage.ready("first").await
}

/// Whatever break-glass does to a managed object is undone, counted and told.
async fn drift(stage: &mut Stage) -> Result<()> {
    let client = stage.break_glass();
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "first-prod");
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "first-prod");
    let limits: Api<LimitRange> = Api::namespaced(client.clone(), "first-prod");
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "first-prod");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let before = (
        policies.get("tenure-same-tenant").await?.spec,
        quotas.get("tenure").await?.spec,
        limits.get("tenure").await?.spec,
        bindings.get("tenure-member-ops").await?.subjects,
        namespaces.get("first-prod").await?.metadata.labels,
    );
    let by = PatchParams {
        field_manager: Some("stranger".into()),
        ..PatchParams::default()
    };
    let merge = |value: Value| Patch::Merge(value);

    policies
        .delete("tenure-default-deny", &DeleteParams::default())
        .await?;
    policies
        .patch(
            "tenure-same-tenant",
            &by,
            &merge(json!({"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"x": "y"}}}})),
        )
        .await?;
    quotas
        .patch(
            "tenure",
            &by,
            &merge(json!({"spec": {"hard": {"pods": "100000"}}})),
        )
        .await?;
    limits.delete("tenure", &DeleteParams::default()).await?;
    bindings.patch("tenure-member-ops", &by, &merge(json!({"subjects": [{"kind": "User", "name": "stranger", "apiGroup": "rbac.authorization.k8s.io"}]}))).await?;
    namespaces.patch("first-prod", &by, &merge(json!({"metadata": {"labels": {"tenure.dev/tenant": null, "pod-security.kubernetes.io/enforce": "privileged"}}}))).await?;
    eventually(SOON, "everything is as it was", async || {
        policies.get("tenure-default-deny").await?;
        let now = (
            policies.get("tenure-same-tenant").await?.spec,
            quotas.get("tenure").await?.spec,
            limits.get("tenure").await?.spec,
            bindings.get("tenure-member-ops").await?.subjects,
            namespaces.get("first-prod").await?.metadata.labels,
        );
        ensure!(now == before, "{now:#?}");
        Ok(())
    })
    .await?;
    // The count follows the last repair of its namespace; the object alone is seen a moment earlier.
    eventually(SOON, "every repaired kind is counted", async || {
        let metrics = stage.operator.as_ref().unwrap().metrics().await?;
        for kind in [
            "NetworkPolicy",
            "ResourceQuota",
            "LimitRange",
            "RoleBinding",
            "Namespace",
        ] {
            let counted = metrics.lines().any(|line| {
                line.starts_with("tenure_drift_total")
                    && line.contains(&format!("kind=\"{kind}\""))
                    && line.contains("customertenant=\"first\"")
            });
            ensure!(counted, "{kind} was repaired and not counted");
        }
        Ok(())
    })
    .await?;
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(stage.admin(), "default");
    eventually(SOON, "an event names the claimed actor", async || {
        let notes: Vec<String> = events
            .list(&ListParams::default())
            .await?
            .into_iter()
            .filter_map(|event| event.note)
            .collect();
        ensure!(
            notes.iter().any(|note| note.contains("claimed stranger")),
            "{notes:#?}"
        );
        Ok(())
    })
    .await
}

/// What a spec no longer asks for goes; a namespace that leaves the list is parked, not deleted.
async fn a_changed_spec(stage: &mut Stage) -> Result<()> {
    let change = json!({"spec": {"members": null, "namespaces": [{"name": "next"}], "network": {"ingressFrom": [{"name": "tools", "namespace": "tools"}]}}});
    stage
        .tenants()
        .patch("first", &PatchParams::default(), &Patch::Merge(change))
        .await?;
    eventually(
        SOON,
        "the old namespace is parked and the new one is ready",
        async || {
            ensure!(stage.policies("first-prod").await? == ["tenure-default-deny"]);
            ensure!(
                stage
                    .policies("first-next")
                    .await?
                    .contains(&"tenure-declared-ingress".to_owned())
            );
            let parked = Api::<Namespace>::all(stage.admin())
                .get("first-prod")
                .await?;
            ensure!(
                parked.labels().get("tenure.dev/parked").is_some()
                    && !parked.annotations().contains_key("tenure.dev/ready")
            );
            let bindings: Api<RoleBinding> = Api::namespaced(stage.admin(), "first-prod");
            ensure!(bindings.get_opt("tenure-member-ops").await?.is_none());
            Ok(())
        },
    )
    .await?;
    let refused = stage.start_pod("first-prod", "late").await;
    ensure!(refused.is_err(), "a parked namespace takes no pods");
    let back = json!({"spec": {"namespaces": [{"name": "next"}, {"name": "prod"}]}});
    stage
        .tenants()
        .patch("first", &PatchParams::default(), &Patch::Merge(back))
        .await?;
    eventually(SOON, "the parked namespace is back", async || {
        ensure!(stage.policies("first-prod").await?.len() == 4);
        ensure!(
            Api::<Namespace>::all(stage.admin())
                .get("first-prod")
                .await?
                .annotations()
                .contains_key("tenure.dev/ready")
        );
        Ok(())
    })
    .await
}

/// Names that come to the same namespace, an identity used twice, settings nobody offers.
async fn bad_neighbours(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|spec| spec["namespaces"] = json!([{"name": "2-prod"}]));
    stage.declare("acme", &spec).await?;
    stage.ready("acme").await?;
    let colliding = stage.spec(|_| {});
    stage.declare("acme-2", &colliding).await?;
    let message = stage
        .until("acme-2", "Stalled", "True", Some("NamespaceCollision"))
        .await?;
    ensure!(message.contains("held by tenant acme"), "{message}");
    stage.declare("twin", &spec).await?;
    stage
        .until("twin", "Stalled", "True", Some("TenantIDTaken"))
        .await?;
    let unknown =
        stage.spec(|spec| spec["exposure"] = json!({"ingressClasses": ["nobody-offers"]}));
    stage.declare("loud", &unknown).await?;
    stage
        .until("loud", "Stalled", "True", Some("UnknownExposure"))
        .await?;
    let wide = stage
        .spec(|spec| spec["network"] = json!({"egressTo": [{"name": "all", "cidr": "0.0.0.0/0"}]}));
    stage.declare("wide", &wide).await?;
    stage
        .until("wide", "Stalled", "True", Some("EgressTooWide"))
        .await?;
    stage.ready("acme").await?;
    ensure!(
        Api::<Namespace>::all(stage.admin())
            .get_opt("loud-prod")
            .await?
            .is_none(),
        "nothing is made of a spec that is refused"
    );
    Ok(())
}

/// An existing namespace becomes a tenant's only when somebody else has approved the plan.
async fn adoption(stage: &mut Stage) -> Result<()> {
    let existing = Namespace {
        metadata: ObjectMeta {
            name: Some("brown-prod".into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    Api::all(stage.admin())
        .create(&PostParams::default(), &existing)
        .await?;
    let spec = stage.spec(|_| {});
    stage.declare("brown", &spec).await?;
    stage
        .until("brown", "Ready", "False", Some("AwaitingAdoption"))
        .await?;
    let asked = stage
        .tenants()
        .get_status("brown")
        .await?
        .status
        .unwrap()
        .pending_approvals
        .remove(0);
    let approval = |name: &str| -> Approval {
        serde_json::from_value(json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name}, "spec": {
            "action": "Adopt", "tenantRef": {"name": "brown"}, "decision": "Approve", "reason": "the plan was read",
            "subject": {"kind": "CustomerTenant", "name": "brown", "tenantID": spec["tenantID"], "digest": asked.digest, "digestVersion": asked.digest_version}
        }}))
        .unwrap()
    };
    // The admin asked; the admin's own approval is void.
    let own: Api<Approval> = Api::all(stage.admin());
    own.create(&PostParams::default(), &approval("own")).await?;
    eventually(SOON, "the requester's own approval is void", async || {
        let conditions = own
            .get_status("own")
            .await?
            .status
            .context("no standing yet")?
            .conditions;
        ensure!(
            conditions.iter().any(|condition| condition.type_ == "Valid"
                && condition.status == "False"
                && condition.reason == "SelfApproval"),
            "{conditions:?}"
        );
        Ok(())
    })
    .await?;
    ensure!(
        stage.policies("brown-prod").await?.is_empty(),
        "nothing was taken over yet"
    );
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reviewer-approves"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenure-approver"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reviewer"}]
    }))?;
    Api::all(stage.admin())
        .create(&PostParams::default(), &binding)
        .await?;
    let other: Api<Approval> = Api::all(stage.plane.client_as("reviewer", &[])?);
    eventually(SOON, "the reviewer may approve", async || {
        other
            .create(&PostParams::default(), &approval("other"))
            .await
            .map(drop)
            .map_err(Into::into)
    })
    .await?;
    stage.ready("brown").await?;
    ensure!(stage.policies("brown-prod").await?.len() == 3);
    Ok(())
}

/// A tenant that never held anything can be deleted, and its identity is spent; one that holds
/// something when the end comes is let go with nothing destroyed.
async fn never_used(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|_| {});
    stage.declare("brief", &spec).await?;
    stage.ready("brief").await?;
    stage.until("brief", "NeverUsed", "True", None).await?;
    stage
        .tenants()
        .delete("brief", &DeleteParams::default())
        .await?;
    eventually(SOON, "its namespace is gone", async || {
        ensure!(
            Api::<Namespace>::all(stage.admin())
                .get_opt("brief-prod")
                .await?
                .is_none()
        );
        ensure!(stage.tenants().get_opt("brief").await?.is_none());
        Ok(())
    })
    .await?;
    stage.declare("brief", &spec).await?;
    stage
        .until("brief", "Stalled", "True", Some("IdentityUsed"))
        .await?;

    let spec = stage.spec(|_| {});
    stage.declare("race", &spec).await?;
    stage.ready("race").await?;
    stage.until("race", "NeverUsed", "True", None).await?;
    stage
        .tenants()
        .delete("race", &DeleteParams::default())
        .await?;
    let mut landed = None;
    for attempt in 0..200 {
        match stage.start_pod("race-prod", &format!("p{attempt}")).await {
            Ok(pod) => {
                landed = Some(pod.name_any());
                break;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    eventually(SOON, "the deletion is settled", async || {
        ensure!(stage.tenants().get_opt("race").await?.is_none());
        Ok(())
    })
    .await?;
    let namespace = Api::<Namespace>::all(stage.admin())
        .get_opt("race-prod")
        .await?;
    match (&landed, namespace) {
        (Some(pod), Some(namespace)) => {
            ensure!(
                namespace.metadata.deletion_timestamp.is_none(),
                "a namespace that holds {pod} is being deleted"
            );
            Api::<Pod>::namespaced(stage.admin(), "race-prod")
                .get(pod)
                .await?;
        }
        (Some(pod), None) => bail!("the namespace of {pod} was deleted"),
        (None, _) => {}
    }
    Ok(())
}

/// Nothing is written while nothing changes, and nothing after a restart; Leases aside.
async fn settled(stage: &mut Stage) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(7)).await;
    let mark = stage.plane.audit().mark().await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let writes = |mark| -> Result<BTreeMap<String, usize>> {
        let writes = stage.plane.audit().writes_by(OPERATOR, mark)?;
        Ok(grouped(
            &writes
                .into_iter()
                .filter(|event| !event.is_lease())
                .collect::<Vec<_>>(),
        ))
    };
    assert_eq!(writes(mark)?, BTreeMap::new(), "settled");
    let mark = stage.plane.audit().mark().await?;
    let operator = stage.operator.take().context("no operator runs")?;
    operator.stop().await?;
    let operator = Operator::start(stage.plane.access(), OperatorOptions::default()).await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let after = writes(mark)?;
    stage.operator = Some(operator);
    assert_eq!(after, BTreeMap::new(), "restarted");
    Ok(())
}

/// A CustomerTenant that goes while nobody looks leaves its tenant as it was; unchanged it thaws,
/// changed it waits.
async fn vanished(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|_| {});
    stage.declare("ghost", &spec).await?;
    stage.ready("ghost").await?;
    stage.start_pod("ghost-prod", "web").await?;
    stage.until("ghost", "NeverUsed", "False", None).await?;
    let refusal = stage
        .tenants()
        .delete("ghost", &DeleteParams::default())
        .await
        .unwrap_err()
        .to_string();
    ensure!(refusal.contains("dsa-2.13-return-or-destroy"), "{refusal}");
    stage.stop_operator().await?;
    stage.unguarded_delete("ghost").await?;
    stage.start_operator().await?;
    eventually(SOON, "the deleted object is let go", async || {
        ensure!(stage.tenants().get_opt("ghost").await?.is_none());
        Ok(())
    })
    .await?;
    Api::<NetworkPolicy>::namespaced(stage.break_glass(), "ghost-prod")
        .delete("tenure-default-deny", &DeleteParams::default())
        .await?;
    eventually(
        SOON,
        "isolation of the frozen tenant is repaired",
        async || {
            ensure!(stage.policies("ghost-prod").await?.len() == 3);
            Ok(())
        },
    )
    .await?;
    Api::<Pod>::namespaced(stage.admin(), "ghost-prod")
        .get("web")
        .await?;
    eventually(SOON, "a metric says that it is frozen", async || {
        let metrics = stage.operator.as_ref().unwrap().metrics().await?;
        let frozen = "tenure_customertenant_frozen{customertenant=\"ghost\",reason=\"Vanished\"} 1";
        ensure!(metrics.contains(frozen), "no {frozen}");
        Ok(())
    })
    .await?;
    install::install(stage.plane.access()).await?;

    let mut changed = spec.clone();
    changed["customer"]["name"] = json!("Somebody else");
    stage.declare("ghost", &changed).await?;
    stage
        .until("ghost", "Frozen", "True", Some("RecordMismatch"))
        .await?;
    let restored = json!({"spec": {"customer": {"name": "Example"}}});
    stage
        .tenants()
        .patch("ghost", &PatchParams::default(), &Patch::Merge(restored))
        .await?;
    stage.ready("ghost").await
}

/// The definition of CustomerTenant is deleted, with every object of it, and comes back: the
/// tenants are as they were all the while.
async fn definitions_lost(stage: &mut Stage) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.break_glass());
    let ghost = stage.tenants().get("ghost").await?.spec;
    definitions
        .delete("customertenants.tenure.dev", &DeleteParams::default())
        .await?;
    eventually(
        SOON,
        "the definition goes: no finalizer holds it",
        async || {
            ensure!(
                definitions
                    .get_opt("customertenants.tenure.dev")
                    .await?
                    .is_none()
            );
            Ok(())
        },
    )
    .await?;
    Api::<NetworkPolicy>::namespaced(stage.break_glass(), "ghost-prod")
        .delete("tenure-same-tenant", &DeleteParams::default())
        .await?;
    eventually(
        SOON,
        "isolation is repaired without the definition",
        async || {
            ensure!(stage.policies("ghost-prod").await?.len() == 3);
            Ok(())
        },
    )
    .await?;
    Api::<Pod>::namespaced(stage.admin(), "ghost-prod")
        .get("web")
        .await?;
    install::install(stage.plane.access()).await?;
    eventually(SOON, "the tenant can be declared again", async || {
        stage
            .declare("ghost", &serde_json::to_value(&ghost)?)
            .await
            .map(drop)
    })
    .await?;
    eventually(
        Duration::from_secs(90),
        "the tenant has thawed",
        async || {
            let ready = stage
                .condition("ghost", "Ready")
                .await?
                .context("no status yet")?;
            ensure!(ready.0 == "True", "{ready:?}");
            Ok(())
        },
    )
    .await
}

/// The API server dies and comes back; the operator goes on, and what was broken meanwhile is repaired.
async fn an_outage(stage: &mut Stage) -> Result<()> {
    stage.plane.restart_api_server().await?;
    Api::<NetworkPolicy>::namespaced(stage.break_glass(), "ghost-prod")
        .delete("tenure-dns", &DeleteParams::default())
        .await?;
    eventually(
        Duration::from_secs(90),
        "repaired after the outage",
        async || {
            ensure!(stage.policies("ghost-prod").await?.len() == 3);
            Ok(())
        },
    )
    .await?;
    Api::<Pod>::namespaced(stage.admin(), "ghost-prod")
        .get("web")
        .await?;
    stage.ready("ghost").await
}

/// A namespace that does not finish going says what blocks it.
async fn a_stuck_namespace(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|_| {});
    stage.declare("stuck", &spec).await?;
    stage.ready("stuck").await?;
    let blocker: ConfigMap = serde_json::from_value(
        json!({"metadata": {"name": "blocker", "finalizers": ["example.com/never"]}}),
    )?;
    let maps: Api<ConfigMap> = Api::namespaced(stage.admin(), "stuck-prod");
    maps.create(&PostParams::default(), &blocker).await?;
    let namespaces: Api<Namespace> = Api::all(stage.break_glass());
    namespaces
        .delete("stuck-prod", &DeleteParams::default())
        .await?;
    eventually(SOON, "the blocker is named in status", async || {
        let status = stage
            .tenants()
            .get_status("stuck")
            .await?
            .status
            .context("no status")?;
        let message = status
            .namespaces
            .iter()
            .find_map(|namespace| namespace.message.clone());
        let message = message.context("nothing is said of the namespace")?;
        ensure!(message.contains("example.com/never"), "{message}");
        Ok(())
    })
    .await?;
    stage
        .until("stuck", "Ready", "False", Some("NamespaceTerminating"))
        .await?;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("blocker", &PatchParams::default(), &free)
        .await?;
    // It was never meant to go: once it can, it comes back closed, and is the tenant's again.
    stage.ready("stuck").await
}

/// A tightening of the platform's policy counts at once; a loosening waits for somebody else.
async fn loosening(stage: &mut Stage) -> Result<()> {
    let policies: Api<TenancyPolicy> = Api::all(stage.admin());
    let tighter = json!({"spec": {"privilegedRoles": ["edit"]}});
    policies
        .patch("default", &PatchParams::default(), &Patch::Merge(tighter))
        .await?;
    let parameters: Api<ConfigMap> = Api::namespaced(stage.admin(), NAMESPACE);
    let told = async |key: &str| -> Result<Option<String>> {
        let data = parameters
            .get("tenure-guard-parameters")
            .await?
            .data
            .unwrap_or_default();
        Ok(data.get(key).cloned())
    };
    eventually(SOON, "the guards are told of the tightening", async || {
        ensure!(told("privileged-roles").await?.as_deref() == Some("edit"));
        Ok(())
    })
    .await?;
    let looser = json!({"spec": {"restore": {"username": "restorer"}}});
    policies
        .patch("default", &PatchParams::default(), &Patch::Merge(looser))
        .await?;
    let asked = eventually(SOON, "the loosening waits", async || {
        let status = policies
            .get_status("default")
            .await?
            .status
            .context("no status")?;
        let accepted = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Accepted");
        let accepted = accepted.context("nothing is said of its acceptance")?;
        ensure!(accepted.reason == "LooseningPending", "{accepted:?}");
        ensure!(accepted.message.contains("restore"), "{}", accepted.message);
        status
            .pending_approvals
            .into_iter()
            .next()
            .context("nothing is asked")
    })
    .await?;
    ensure!(
        told("restore-identity").await?.is_none(),
        "the old setting stays in force"
    );
    let approval: Approval = serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "loosen"}, "spec": {
            "action": "Loosen", "decision": "Approve", "reason": "a restore is planned",
            "subject": {"kind": "TenancyPolicy", "name": "default", "digest": asked.digest, "digestVersion": asked.digest_version}
        }
    }))?;
    let reviewer: Api<Approval> = Api::all(stage.plane.client_as("reviewer", &[])?);
    reviewer.create(&PostParams::default(), &approval).await?;
    eventually(SOON, "the approved loosening is in force", async || {
        ensure!(told("restore-identity").await?.as_deref() == Some("restorer"));
        Ok(())
    })
    .await
}

/// A change that loosens a customer's agreement waits for an approved amendment (DSA 4).
async fn amendment(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|spec| spec["classification"] = json!("Confidential"));
    stage.declare("careful", &spec).await?;
    stage.ready("careful").await?;
    let lower = Patch::Merge(json!({"spec": {"classification": "Public"}}));
    stage
        .tenants()
        .patch("careful", &PatchParams::default(), &lower)
        .await?;
    let message = stage
        .until("careful", "Stalled", "True", Some("AwaitingAmendment"))
        .await?;
    ensure!(message.contains("classification"), "{message}");
    let namespace = Api::<Namespace>::all(stage.admin())
        .get("careful-prod")
        .await?;
    assert_eq!(
        namespace.labels()["tenure.dev/classification"],
        "Confidential",
        "the accepted spec stays in force"
    );
    let asked = stage
        .tenants()
        .get_status("careful")
        .await?
        .status
        .context("no status")?;
    let asked = asked
        .pending_approvals
        .first()
        .context("nothing is asked")?
        .clone();
    let approval: Approval = serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "careful"}, "spec": {
            "action": "Amend", "tenantRef": {"name": "careful"}, "decision": "Approve", "reason": "amendment 1 is signed",
            "subject": {"kind": "CustomerTenant", "name": "careful", "tenantID": spec["tenantID"], "digest": asked.digest, "digestVersion": asked.digest_version}
        }
    }))?;
    let reviewer: Api<Approval> = Api::all(stage.plane.client_as("reviewer", &[])?);
    reviewer.create(&PostParams::default(), &approval).await?;
    eventually(SOON, "the amended classification is in force", async || {
        let namespace = Api::<Namespace>::all(stage.admin())
            .get("careful-prod")
            .await?;
        ensure!(namespace.labels()["tenure.dev/classification"] == "Public");
        Ok(())
    })
    .await
}

/// Established connections survive a tighter policy; where the tenant asks for it, its pods do not.
async fn containment(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|spec| {
        spec["network"] = json!({"onTighten": "DeletePods", "ingressFrom": [{"name": "ghost", "namespace": "ghost-prod"}]});
    });
    stage.declare("strict", &spec).await?;
    stage.ready("strict").await?;
    let flow = Patch::Merge(
        json!({"spec": {"network": {"egressTo": [{"name": "strict", "namespace": "strict-prod"}]}}}),
    );
    stage
        .tenants()
        .patch("ghost", &PatchParams::default(), &flow)
        .await?;
    eventually(SOON, "the other tenant declares the flow too", async || {
        ensure!(
            stage
                .policies("ghost-prod")
                .await?
                .contains(&"tenure-declared-egress".to_owned())
        );
        Ok(())
    })
    .await?;
    stage.start_pod("strict-prod", "old").await?;
    // The operator must have seen the pod before the change, or there is nothing to contain.
    stage.until("strict", "NeverUsed", "False", None).await?;
    let cut = Patch::Merge(json!({"spec": {"network": {"ingressFrom": null}}}));
    stage
        .tenants()
        .patch("strict", &PatchParams::default(), &cut)
        .await?;
    let pods: Api<Pod> = Api::namespaced(stage.admin(), "strict-prod");
    eventually(
        SOON,
        "the pod that could still be connected is gone",
        async || {
            ensure!(pods.get_opt("old").await?.is_none());
            Ok(())
        },
    )
    .await?;
    let closed = Patch::Merge(json!({"spec": {"network": null}}));
    stage
        .tenants()
        .patch("ghost", &PatchParams::default(), &closed)
        .await?;
    eventually(
        SOON,
        "the tenant that keeps its pods keeps them",
        async || {
            ensure!(
                !stage
                    .policies("ghost-prod")
                    .await?
                    .contains(&"tenure-declared-egress".to_owned())
            );
            Ok(())
        },
    )
    .await?;
    Api::<Pod>::namespaced(stage.admin(), "ghost-prod")
        .get("web")
        .await
        .map(drop)
        .map_err(Into::into)
}

/// Where ClusterNetworkPolicy is known to be enforced, every tenant gets one of the Admin tier, and
/// the guard keeps it.
async fn the_admin_tier(stage: &mut Stage) -> Result<()> {
    let apis = tenure_e2e::paths::repository().join("e2e/tests/guards/optional-apis.yaml");
    let kubectl = stage.plane.kubectl(&Identity::admin())?;
    let file = apis.to_str().context("the path is not valid UTF-8")?;
    kubectl
        .run(&["apply", "--filename", file])
        .await?
        .success()?;
    let resource =
        kube::api::ApiResource::erase::<tenure_operator::isolation::ClusterNetworkPolicy>(&());
    let policies: Api<kube::api::DynamicObject> = Api::all_with(stage.admin(), &resource);
    let settings: Api<TenancyPolicy> = Api::all(stage.admin());
    let enforced = |is: Value| Patch::Merge(json!({"spec": {"clusterNetworkPolicy": is}}));
    settings
        .patch(
            "default",
            &PatchParams::default(),
            &enforced(json!({"enforced": true})),
        )
        .await?;
    eventually(
        Duration::from_secs(90),
        "every tenant has its policy of the Admin tier",
        async || {
            let found = policies.get("tenure-ghost").await?;
            ensure!(found.data["spec"]["tier"] == "Admin", "{:?}", found.data);
            Ok(())
        },
    )
    .await?;
    let by_hand = policies
        .delete("tenure-ghost", &DeleteParams::default())
        .await;
    ensure!(by_hand.is_err(), "the guard keeps it");
    Ok(())
}

/// A backup brings the namespace back before its CustomerTenant: it stays closed until somebody has
/// approved that it is the tenant's.
async fn restored_first(stage: &mut Stage) -> Result<()> {
    let admin: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "restorer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "restorer"}]
    }))?;
    Api::all(stage.admin())
        .create(&PostParams::default(), &admin)
        .await?;
    let spec = stage.spec(|_| {});
    let marked: Namespace = serde_json::from_value(json!({"metadata": {
        "name": "old-prod",
        "labels": {"tenure.dev/tenant": "old", "tenure.dev/enforcement": "Enforce"},
        "annotations": {"tenure.dev/tenant-id": spec["tenantID"], "tenure.dev/ready": "true"}
    }}))?;
    let restorer: Api<Namespace> = Api::all(stage.plane.client_as("restorer", &[])?);
    let restored = eventually(SOON, "the restore identity may bring it back", async || {
        Ok(restorer.create(&PostParams::default(), &marked).await?)
    })
    .await?;
    ensure!(
        !restored.annotations().contains_key("tenure.dev/ready"),
        "it comes back closed"
    );
    ensure!(
        stage.start_pod("old-prod", "early").await.is_err(),
        "no pod before it is matched"
    );
    stage.declare("old", &spec).await?;
    stage
        .until("old", "Ready", "False", Some("AwaitingAdoption"))
        .await?;
    let asked = stage
        .tenants()
        .get_status("old")
        .await?
        .status
        .context("no status")?;
    let asked = asked
        .pending_approvals
        .first()
        .context("nothing is asked")?
        .clone();
    let approval: Approval = serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "old"}, "spec": {
            "action": "Adopt", "tenantRef": {"name": "old"}, "decision": "Approve", "reason": "it is the restored one",
            "subject": {"kind": "CustomerTenant", "name": "old", "tenantID": spec["tenantID"], "digest": asked.digest, "digestVersion": asked.digest_version}
        }
    }))?;
    let reviewer: Api<Approval> = Api::all(stage.plane.client_as("reviewer", &[])?);
    reviewer.create(&PostParams::default(), &approval).await?;
    stage.ready("old").await
}

/// Observation says what would be cut and refused, and changes nothing that bites.
async fn observing(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|spec| spec["enforcement"] = json!("Observe"));
    stage.declare("watched", &spec).await?;
    stage.ready("watched").await?;
    let pods: Api<Pod> = Api::namespaced(stage.admin(), "watched-prod");
    let loose: Pod = serde_json::from_value(
        json!({"metadata": {"name": "loose"}, "spec": {"containers": [{"name": "c", "image": "example/app:1"}]}}),
    )?;
    pods.create(&PostParams::default(), &loose).await?;
    stage.start_pod("ghost-prod", "other").await?;
    eventually(SOON, "the report names the flow and the pod", async || {
        let status = stage
            .tenants()
            .get_status("watched")
            .await?
            .status
            .context("no status")?;
        let report = status.observe.context("no report")?;
        ensure!(
            report
                .pods_refused
                .iter()
                .any(|line| line.contains("loose")),
            "{report:?}"
        );
        ensure!(report.flows_cut_total > 0, "{report:?}");
        Ok(())
    })
    .await?;
    ensure!(
        stage.policies("watched-prod").await?.is_empty(),
        "nothing bites"
    );
    stage
        .until("watched", "Compliant", "False", Some("Observed"))
        .await
        .map(drop)
}

/// Somebody opens the tenant by a policy of their own: that is drift, and names the policy at fault.
async fn a_hole(stage: &mut Stage) -> Result<()> {
    let policies: Api<NetworkPolicy> = Api::namespaced(stage.break_glass(), "ghost-prod");
    let hole: NetworkPolicy = serde_json::from_value(
        json!({"metadata": {"name": "hole"}, "spec": {"podSelector": {}, "ingress": [{}]}}),
    )?;
    policies.create(&PostParams::default(), &hole).await?;
    let verdict = async |expected: &str, word: &str| {
        eventually(
            SOON,
            &format!("network segmentation is {expected}"),
            async || {
                let status = stage
                    .tenants()
                    .get_status("ghost")
                    .await?
                    .status
                    .context("no status")?;
                let id = "dsa-2.8-network-segmentation";
                let control = status.controls.iter().find(|control| control.id == id);
                let control = control.context("no such control")?;
                ensure!(control.verdict.as_str() == expected, "{control:?}");
                let message = control.message.clone().unwrap_or_default();
                ensure!(message.contains(word), "{message}");
                Ok(())
            },
        )
        .await
    };
    verdict("Drifted", "ghost-prod/hole").await?;
    policies.delete("hole", &DeleteParams::default()).await?;
    verdict("Unknown", "").await
}

/// Two controllers that want different things: repairs back off, and the tenant says so.
async fn a_fight(stage: &mut Stage) -> Result<()> {
    let spec = stage.spec(|_| {});
    stage.declare("fought", &spec).await?;
    stage.ready("fought").await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(stage.break_glass(), "fought-prod");
    for _ in 0..8 {
        policies
            .delete("tenure-dns", &DeleteParams::default())
            .await?;
        eventually(SOON, "it is repaired again", async || {
            policies.get("tenure-dns").await?;
            Ok(())
        })
        .await?;
    }
    stage
        .until("fought", "Contested", "True", None)
        .await
        .map(drop)
}

/// Somebody who changes what the operator writes while it is on its way in is a fight like any other.
async fn changed_on_the_way(stage: &mut Stage) -> Result<()> {
    let policy = json!({
        "metadata": {"name": "generous"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mutated-prod"}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["resourcequotas"], "operations": ["CREATE", "UPDATE"]}],
            },
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
                "expression": "Object{spec: Object.spec{hard: {'pods': '9999'}}}"
            }}],
        },
    });
    let binding = json!({"metadata": {"name": "generous"}, "spec": {"policyName": "generous"}});
    let mutating: Api<MutatingAdmissionPolicy> = Api::all(stage.break_glass());
    let bound: Api<MutatingAdmissionPolicyBinding> = Api::all(stage.break_glass());
    let create = PostParams::default();
    mutating
        .create(&create, &serde_json::from_value(policy)?)
        .await?;
    bound
        .create(&create, &serde_json::from_value(binding)?)
        .await?;
    let spec = stage.spec(|spec| spec["namespaces"][0]["quota"] = json!({"pods": "10"}));
    // A policy that was just made takes a moment to bite; the repair of what slipped through meets it.
    stage.declare("mutated", &spec).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(stage.break_glass(), "mutated-prod");
    let touch = json!({"metadata": {"labels": {"touched": "once"}}});
    eventually(
        SOON,
        "somebody changes the quota on its way in",
        async || {
            let quota = quotas
                .patch("tenure", &PatchParams::default(), &Patch::Merge(&touch))
                .await?;
            let pods = quota.spec.and_then(|spec| spec.hard?.remove("pods"));
            ensure!(
                pods.as_ref().is_some_and(|pods| pods.0 == "9999"),
                "pods: {pods:?}"
            );
            Ok(())
        },
    )
    .await?;
    let contested = stage.until("mutated", "Contested", "True", None).await?;
    ensure!(contested.contains("ResourceQuota"), "{contested}");
    let mark = stage.plane.audit().mark().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let writes = stage.plane.audit().writes_by(OPERATOR, mark)?;
    let writes = writes.iter().filter(|event| !event.is_lease()).count();
    ensure!(writes <= 6, "{writes} writes in four seconds of a fight");
    bound.delete("generous", &DeleteParams::default()).await?;
    mutating
        .delete("generous", &DeleteParams::default())
        .await?;
    Ok(())
}

/// An object this release cannot read is shown and skipped; its tenant is kept, the others go on.
async fn unreadable(stage: &mut Stage) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.break_glass());
    let name = "customertenants.tenure.dev";
    let whole = definitions.get(name).await?;
    let mut open = whole.clone();
    let anything = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    open.spec.versions[0].schema = Some(serde_json::from_value(anything)?);
    open.metadata.managed_fields = None;
    definitions
        .replace(name, &PostParams::default(), &open)
        .await?;
    let nonsense = Patch::Merge(json!({"spec": {"classification": 7}}));
    eventually(SOON, "nonsense is stored", async || {
        let raw: Api<kube::api::DynamicObject> = Api::all_with(
            stage.admin(),
            &kube::api::ApiResource::erase::<CustomerTenant>(&()),
        );
        let stored = raw
            .patch("ghost", &PatchParams::default(), &nonsense)
            .await?;
        ensure!(stored.data["spec"]["classification"] == json!(7));
        Ok(())
    })
    .await?;
    eventually(SOON, "the object is shown as unreadable", async || {
        let metrics = stage
            .operator
            .as_ref()
            .context("no operator runs")?
            .metrics()
            .await?;
        ensure!(
            metrics.contains("tenure_object_undecodable{kind=\"CustomerTenant\",name=\"ghost\"} 1")
        );
        Ok(())
    })
    .await?;
    let client = stage.break_glass();
    for namespace in ["ghost-prod", "first-prod"] {
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
        policies
            .delete("tenure-default-deny", &DeleteParams::default())
            .await?;
        eventually(SOON, &format!("{namespace} is repaired"), async || {
            policies.get("tenure-default-deny").await?;
            Ok(())
        })
        .await?;
    }
    let mut back = definitions.get(name).await?;
    back.spec = whole.spec;
    back.metadata.managed_fields = None;
    definitions
        .replace(name, &PostParams::default(), &back)
        .await?;
    let sense = Patch::Merge(json!({"spec": {"classification": "Internal"}}));
    let raw: Api<kube::api::DynamicObject> = Api::all_with(
        stage.admin(),
        &kube::api::ApiResource::erase::<CustomerTenant>(&()),
    );
    raw.patch("ghost", &PatchParams::default(), &sense).await?;
    stage.ready("ghost").await
}

/// Whoever steals the operator's token gets what the operator has, and nothing beyond.
async fn stolen(stage: &mut Stage) -> Result<()> {
    let client = stage
        .plane
        .service_account(NAMESPACE, SERVICE_ACCOUNT)
        .await?
        .client()?;
    let forbidden = |result: Result<(), kube::Error>, what: &str| match result {
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 422 => Ok(()),
        other => Err(anyhow::anyhow!("{what}: {other:?}")),
    };
    let secrets: Api<Secret> = Api::all(client.clone());
    forbidden(
        secrets.list(&ListParams::default()).await.map(drop),
        "listing Secrets",
    )?;
    forbidden(
        Api::<Secret>::namespaced(client.clone(), NAMESPACE)
            .list(&ListParams::default())
            .await
            .map(drop),
        "listing Secrets at home",
    )?;
    let admin: ClusterRoleBinding = serde_json::from_value(
        json!({"metadata": {"name": "mine"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []}),
    )?;
    forbidden(
        Api::all(client.clone())
            .create(&PostParams::default(), &admin)
            .await
            .map(drop),
        "becoming cluster-admin",
    )?;
    let binding: RoleBinding = serde_json::from_value(
        json!({"metadata": {"name": "tenure-mine"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}, "subjects": []}),
    )?;
    forbidden(
        Api::namespaced(client.clone(), "ghost-prod")
            .create(&PostParams::default(), &binding)
            .await
            .map(drop),
        "binding admin",
    )?;
    let pod: Pod = serde_json::from_value(
        json!({"metadata": {"name": "mine"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}),
    )?;
    forbidden(
        Api::namespaced(client.clone(), "ghost-prod")
            .create(&PostParams::default(), &pod)
            .await
            .map(drop),
        "starting a pod",
    )?;
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "mine"}}))?;
    forbidden(
        Api::namespaced(client.clone(), "kube-system")
            .create(&PostParams::default(), &map)
            .await
            .map(drop),
        "writing into kube-system",
    )?;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    forbidden(
        bindings
            .delete("tenure-namespaces", &DeleteParams::default())
            .await
            .map(drop),
        "removing a guard",
    )?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    forbidden(
        namespaces
            .delete("kube-public", &DeleteParams::default())
            .await
            .map(drop),
        "deleting a namespace of the system",
    )?;
    forbidden(
        namespaces
            .delete("ghost-prod", &DeleteParams::default())
            .await
            .map(drop),
        "deleting a tenant's namespace without a step",
    )
}
