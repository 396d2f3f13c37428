//! Access of staff: asked for by one person, approved by another, and ended everywhere when it ends. Two API servers on one etcd,
//! persons who sign in with an identity provider. The stories run in order on one plane.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::ffi::OsString;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy, keys};
use tenure_e2e::install;
use tenure_e2e::oidc::{MFA_KEY, MFA_VALUE};
use tenure_e2e::operator::{self, SERVICE_ACCOUNT, binary};
use tenure_e2e::plane::Restore;
use tenure_e2e::{
    Access, Identity, Operator, OperatorOptions, Plane, PlaneOptions, Record, SignIn, always,
    eventually,
};
use tokio::process::Command;

mod time;

mod access {
    pub(crate) mod clocks;
    pub(crate) mod doubts;
    pub(crate) mod reviews;
    pub(crate) mod sessions;
}

const SOON: Duration = Duration::from_secs(60);
const ACME: &str = "77777777-7777-4777-8777-00000000aaaa";
const PROD: &str = "acme-prod";
const OPERATE: &str = "tenure-tenant-operator";
const VIEW: &str = "tenure-tenant-viewer";
const DEBUG: &str = "tenure-tenant-debugger";
/// May be granted for days.
const LONG: &str = "tenure-tenant-secret-reader";
/// Who writes from Git: nobody is known to have asked.
const APPLIER: &str = "git";
const HR: &str = "hr-sync";
const DUTIES: &str = "dsa-2.4-separation-of-duties";
const REVOCATION: &str = "dsa-2.4-immediate-revocation";
const TRAINING: &str = "dsa-2.2-annual-training";

struct Stage {
    plane: Plane,
    servers: Vec<Access>,
    record: Record,
    operator: Option<Operator>,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "access".into(),
            second_api_server: true,
            issuer: true,
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let mut stage = Self {
            servers: plane.servers(),
            record: Record::of(plane.access())?,
            operator: None,
            plane,
        };
        for (user, role) in [
            (APPLIER, "cluster-admin"),
            (HR, "tenure-hr-writer"),
            ("oidc:worker", "tenure-requester"),
            // May approve, but not their own: with either of their names.
            ("oidc:worker", "tenure-approver"),
            ("oidc:worker-admin", "tenure-approver"),
            ("oidc:worker", "tenure-break-glass"),
            ("oidc:lead", "tenure-approver"),
            ("oidc:stranger", "tenure-approver"),
            ("oidc:stranger", "tenure-requester"),
        ] {
            stage.may(user, role).await?;
        }
        let policy = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"},
            "spec": {
                "gitopsAppliers": [{"username": APPLIER}],
                "identityProvider": {"mfaExtraKey": MFA_KEY, "mfaExtraValues": [MFA_VALUE]},
                "grantableRoles": [
                    {"name": OPERATE, "longest": "PT8H", "approvals": 1, "exclusiveWith": [VIEW]},
                    {"name": VIEW, "longest": "PT8H", "approvals": 1},
                    {"name": DEBUG, "longest": "PT8H", "approvals": 1, "cutSessions": true},
                    {"name": LONG, "longest": "P3D", "approvals": 1, "privileged": true},
                    {"name": "too-much", "longest": "PT8H", "approvals": 1}
                ]
            }
        });
        stage
            .write::<TenancyPolicy>(&stage.admin()?, policy)
            .await?;
        stage.start().await?;
        let tenant = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
            "spec": {
                "tenantID": ACME, "customer": {"name": "Acme"}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
                "namespaces": [{"name": "prod"}, {"name": "test"}]
            }
        });
        stage
            .write::<CustomerTenant>(&stage.admin()?, tenant)
            .await?;
        stage
            .stands::<CustomerTenant>("acme", ["Ready", "True", "Reconciled"])
            .await?;
        for (name, identities) in [
            ("worker", json!(["oidc:worker", "oidc:worker-admin"])),
            ("lead", json!(["oidc:lead"])),
        ] {
            stage
                .write::<StaffMember>(&stage.user(HR)?, staff(name, identities))
                .await?;
        }
        stage
            .stands::<StaffMember>("worker", ["Eligible", "True", "Eligible"])
            .await?;
        Ok(stage)
    }

    async fn may(&self, user: &str, role: &str) -> Result<()> {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{}-{role}", user.replace(':', "-"))},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        }))?;
        Api::all(self.admin()?)
            .create(&PostParams::default(), &binding)
            .await?;
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        self.start_with(Vec::new()).await
    }

    async fn start_with(&mut self, env: Vec<(String, OsString)>) -> Result<()> {
        let options = OperatorOptions {
            record: Some(self.record.clone()),
            env,
            ..OperatorOptions::default()
        };
        self.operator = Some(Operator::start(self.plane.access(), options).await?);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.operator
            .as_ref()
            .context("no operator runs")?
            .stop()
            .await?;
        self.operator = None;
        Ok(())
    }

    fn admin(&self) -> Result<Client> {
        self.plane.admin()
    }

    /// By certificate.
    fn user(&self, name: &str) -> Result<Client> {
        self.plane.client(&Identity::user(name))
    }

    /// By the identity provider's token, at every API server.
    fn signed_in(&self, name: &str) -> Result<Vec<Client>> {
        let token = self
            .plane
            .issuer()?
            .token(&SignIn::of(name).with_second_factor())?;
        self.servers
            .iter()
            .map(|server| server.client_with_token(&token))
            .collect()
    }

    fn person(&self, name: &str) -> Result<Client> {
        self.signed_in(name)?
            .into_iter()
            .next()
            .context("no API server")
    }

    async fn write<K>(&self, client: &Client, object: Value) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(client.clone());
        let object: K = serde_json::from_value(object)?;
        Ok(api.create(&PostParams::default(), &object).await?)
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

    /// Waits until a control of the tenant is judged so; answers the message.
    async fn judged(&self, control: &str, verdict: &str, reason: &str) -> Result<String> {
        let tenants: Api<CustomerTenant> = Api::all(self.admin()?);
        let mut message = String::new();
        eventually(
            SOON,
            &format!("{control}: {verdict}, {reason}"),
            async || {
                let tenant = serde_json::to_value(tenants.get("acme").await?)?;
                let controls = tenant["status"]["controls"].as_array().cloned();
                let controls = controls.unwrap_or_default();
                let found = controls.iter().find(|found| found["id"] == control);
                let found = found.with_context(|| format!("no {control}"))?;
                ensure!(
                    found["verdict"] == verdict && found["reason"] == reason,
                    "{found:#}"
                );
                message = found["message"].as_str().unwrap_or_default().to_owned();
                Ok(())
            },
        )
        .await?;
        Ok(message)
    }

    async fn grant(&self, name: &str) -> Result<AccessGrant> {
        Ok(Api::<AccessGrant>::all(self.admin()?).get(name).await?)
    }

    /// Asks as a person for themselves.
    async fn ask(&self, name: &str, spec: Value) -> Result<()> {
        let object = asked(name, spec);
        self.write::<AccessGrant>(&self.person("worker")?, object)
            .await?;
        Ok(())
    }

    async fn active(&self, name: &str, reason: &str) -> Result<()> {
        self.stands::<AccessGrant>(name, ["Active", "True", reason])
            .await?;
        Ok(())
    }

    async fn waits(&self, name: &str, reason: &str) -> Result<String> {
        self.stands::<AccessGrant>(name, ["Active", "False", reason])
            .await
    }

    /// Ended, and every API server says no.
    async fn ended(&self, name: &str, reason: &str) -> Result<()> {
        self.stands::<AccessGrant>(name, ["Ended", "True", reason])
            .await?;
        let message = self
            .stands::<AccessGrant>(name, ["EndProven", "True", "Proven"])
            .await?;
        ensure!(message.starts_with("2 of 2 "), "{message}");
        self.lets("worker", false).await
    }

    /// Decides on what a grant asks for.
    async fn decide(&self, by: &Client, grant: &str, approval: &str, decision: &str) -> Result<()> {
        let (digest, id) = self.asks(grant).await?;
        let mut approval = approval_of(grant, approval, decision, &digest);
        approval["spec"]["subject"]["tenantID"] = json!(id);
        self.write::<Approval>(by, approval).await?;
        Ok(())
    }

    /// The digest of what a grant asks to be approved, and of which tenant it is.
    async fn asks(&self, grant: &str) -> Result<(String, String)> {
        let mut asked = None;
        eventually(SOON, "the grant asks for an approval", async || {
            let object = self.grant(grant).await?;
            let mut pending = object.status.unwrap_or_default().pending_approvals;
            ensure!(pending.len() == 1, "{pending:?}");
            asked = pending
                .pop()
                .map(|pending| (pending.digest, object.spec.tenant_id));
            Ok(())
        })
        .await?;
        asked.context("it asks for nothing")
    }

    async fn approve(&self, grant: &str) -> Result<()> {
        let name = format!("{grant}-yes");
        self.decide(&self.person("lead")?, grant, &name, "Approve")
            .await
    }

    /// Waits until every API server lets a person restart pods in the tenant's namespace, or none does.
    async fn lets(&self, name: &str, expect: bool) -> Result<()> {
        for client in self.signed_in(name)? {
            eventually(SOON, &format!("{name} is let in: {expect}"), async || {
                ensure!(may(&client, "delete", "pods", PROD).await? == expect);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn bindings(&self) -> Result<Api<RoleBinding>> {
        Ok(Api::namespaced(self.plane.break_glass()?, PROD))
    }

    async fn bindings_of(&self, grant: &str) -> Result<Vec<RoleBinding>> {
        let uid = self.grant(grant).await?.uid().unwrap_or_default();
        let ours = ListParams::default().labels(&format!("{}={uid}", keys::GRANT));
        Ok(Api::<RoleBinding>::all(self.admin()?)
            .list(&ours)
            .await?
            .items)
    }

    async fn change_staff(&self, name: &str, spec: Value) -> Result<()> {
        let api: Api<StaffMember> = Api::all(self.user(HR)?);
        let patch = Patch::Merge(json!({"spec": spec}));
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn revoke(&self, grant: &str) -> Result<()> {
        let api: Api<AccessGrant> = Api::all(self.person("lead")?);
        let patch = Patch::Merge(json!({"spec": {"revoked": {"reason": "the work is done"}}}));
        api.patch(grant, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The events of a type in the tenant's chain about a grant, once there are any.
    async fn told(&self, kind: &str, grant: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        eventually(SOON, &format!("{kind} of {grant} on record"), async || {
            let events = self.record.events(ACME).await?;
            found = events;
            found.retain(|event| event["type"] == kind && event["grant"] == grant);
            ensure!(!found.is_empty());
            Ok(())
        })
        .await?;
        Ok(found)
    }
}

async fn may(client: &Client, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({
        "spec": {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace}}
    }))?;
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = api.create(&PostParams::default(), &review).await?;
    Ok(review.status.context("no answer")?.allowed)
}

fn staff(name: &str, identities: Value) -> Value {
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": name},
        "spec": {
            "identities": identities, "groups": ["oidc:staff"], "status": "Active", "jobRole": "Engineer",
            "training": {"completedOn": today}, "acceptableUse": {"signedOn": today},
            "confidentiality": {"signedOn": today}, "telework": {"signedOn": today}, "mfa": {"signedOn": today}
        }
    })
}

fn within(minutes: i64) -> String {
    later(SignedDuration::from_mins(minutes))
}

fn later(by: SignedDuration) -> String {
    let at = Timestamp::now() + by;
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn asked(name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name},
        "spec": {
            "tenantRef": {"name": "acme"}, "tenantID": ACME, "person": "worker", "role": OPERATE,
            "namespaces": [PROD], "reason": "a workload hangs", "ticket": "CHG-1", "notAfter": within(60)
        }
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

fn approval_of(grant: &str, name: &str, decision: &str, digest: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name},
        "spec": {
            "action": "Activate", "tenantRef": {"name": "acme"}, "decision": decision, "reason": "seen",
            "subject": {"kind": "AccessGrant", "name": grant, "tenantID": ACME, "digest": digest, "digestVersion": 1}
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_access() -> Result<()> {
    let mut stage = Stage::set().await?;
    approved_by_another(&stage)
        .await
        .context("approved by another")?;
    never_more_than_approved(&stage)
        .await
        .context("never more than approved")?;
    bad_requests(&stage).await.context("bad requests")?;
    who_leaves(&stage).await.context("who leaves")?;
    never_taken_back(&mut stage)
        .await
        .context("never taken back")?;
    break_glass(&stage).await.context("break glass")?;
    access::sessions::in_a_session(&stage)
        .await
        .context("in a session")?;
    what_remains(&stage).await.context("what remains")?;
    one_server_silent(&stage)
        .await
        .context("one server silent")?;
    nobody_leads(&mut stage).await.context("nobody leads")?;
    from_git(&stage).await.context("from Git")?;
    sessions_are_cut(&stage).await.context("sessions are cut")?;
    access::doubts::taken_away(&stage)
        .await
        .context("taken away")?;
    access::reviews::reviewed(&mut stage)
        .await
        .context("reviewed")?;
    access::clocks::set(&mut stage).await.context("clocks")?;
    put_back(&mut stage).await.context("put back")?;
    tenant_goes(&stage).await.context("tenant goes")
}

/// Nobody is let in by themselves; by somebody else they are, at every API server, until it is revoked, and that is proven.
async fn approved_by_another(stage: &Stage) -> Result<()> {
    stage.ask("chg-1", json!({})).await?;
    stage.waits("chg-1", "AwaitingApproval").await?;
    let grant = stage.grant("chg-1").await?;
    ensure!(
        grant.spec.requested_by.as_deref() == Some("oidc:worker"),
        "{:?}",
        grant.spec
    );
    for (who, reason) in [
        ("worker", "SelfApproval"),
        ("worker-admin", "SelfApproval"),
        ("stranger", "ApproverUnknown"),
    ] {
        let name = format!("chg-1-{who}");
        stage
            .decide(&stage.person(who)?, "chg-1", &name, "Approve")
            .await?;
        stage
            .stands::<Approval>(&name, ["Valid", "False", reason])
            .await?;
    }
    stage.lets("worker", false).await?;
    stage.approve("chg-1").await?;
    stage.active("chg-1", "Active").await?;
    stage.lets("worker", true).await?;
    stage
        .stands::<Approval>("chg-1-yes", ["Valid", "True", "Used"])
        .await?;
    // Nowhere else, and nothing else.
    for client in stage.signed_in("worker")? {
        for (verb, resource, namespace) in [
            ("delete", "pods", "acme-test"),
            ("get", "secrets", PROD),
            ("create", "pods", PROD),
            ("create", "pods/exec", PROD),
            ("delete", "pods", ""),
        ] {
            ensure!(
                !may(&client, verb, resource, namespace).await?,
                "{verb} {resource} in {namespace}"
            );
        }
    }
    let began = stage.told("grant.activated", "chg-1").await?;
    ensure!(
        began[0]["person"] == "worker" && began[0]["approvals"] == json!(["chg-1-yes"]),
        "{began:#?}"
    );
    stage.revoke("chg-1").await?;
    stage.ended("chg-1", "Revoked").await?;
    ensure!(stage.bindings_of("chg-1").await?.is_empty());
    let ended = stage.told("grant.ended", "chg-1").await?;
    ensure!(
        ended.len() == 1 && ended[0]["reason"] == "Revoked",
        "{ended:#?}"
    );
    let proven = stage.told("grant.end.proven", "chg-1").await?;
    ensure!(
        proven.len() == 1 && proven[0]["servers"] == 2,
        "{proven:#?}"
    );
    Ok(())
}

/// A binding that is edited is as it was again, one that is made again after the end goes again; what was approved for one grant
/// is worth nothing for another of the same name.
async fn never_more_than_approved(stage: &Stage) -> Result<()> {
    stage.ask("chg-2", json!({})).await?;
    stage.approve("chg-2").await?;
    stage.active("chg-2", "Active").await?;
    let binding = stage
        .bindings_of("chg-2")
        .await?
        .pop()
        .context("no binding")?;
    let more = json!({"subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "oidc:worker"},
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "oidc:stranger"}
    ]});
    let bindings = stage.bindings()?;
    bindings
        .patch(
            &binding.name_any(),
            &PatchParams::default(),
            &Patch::Merge(more),
        )
        .await?;
    eventually(SOON, "the binding is as it was", async || {
        let now = bindings.get(&binding.name_any()).await?;
        ensure!(now.subjects == binding.subjects, "{now:?}");
        Ok(())
    })
    .await?;
    bindings
        .delete(&binding.name_any(), &DeleteParams::default())
        .await?;
    eventually(SOON, "the binding is back", async || {
        Ok(bindings.get(&binding.name_any()).await?)
    })
    .await?;
    let first = stage.grant("chg-2").await?;
    let digest = first
        .status
        .as_ref()
        .map(|status| status.approved_by.clone());
    ensure!(digest == Some(vec!["chg-2-yes".to_owned()]), "{digest:?}");
    // Deleted: it ends, and made again it is another.
    Api::<AccessGrant>::all(stage.person("worker")?)
        .delete("chg-2", &DeleteParams::default())
        .await?;
    stage.lets("worker", false).await?;
    let ended = stage.told("grant.ended", "chg-2").await?;
    ensure!(ended[0]["reason"] == "Deleted", "{ended:#?}");
    stage.told("grant.end.proven", "chg-2").await?;
    let mut again = asked("chg-2", json!({}));
    again["spec"]["notAfter"] = json!(first.spec.not_after);
    stage
        .write::<AccessGrant>(&stage.person("worker")?, again)
        .await?;
    stage.waits("chg-2", "AwaitingApproval").await?;
    stage
        .stands::<Approval>("chg-2-yes", ["Valid", "True", "Used"])
        .await?;
    stage.lets("worker", false).await?;
    // Put there by hand, under the name it would have, with every mark.
    let mut forged = binding.clone();
    forged.metadata = serde_json::from_value(json!({
        "name": binding.name_any(), "labels": binding.labels(), "annotations": binding.annotations()
    }))?;
    bindings.create(&PostParams::default(), &forged).await?;
    stage.lets("worker", false).await?;
    eventually(SOON, "the forged binding is gone", async || {
        ensure!(bindings.get_opt(&binding.name_any()).await?.is_none());
        Ok(())
    })
    .await?;
    stage.revoke("chg-2").await?;
    stage
        .stands::<AccessGrant>("chg-2", ["Ended", "True", "Revoked"])
        .await?;
    Ok(())
}

/// What cannot be granted waits and says why, approved or not; nothing of it lets anybody in.
async fn bad_requests(stage: &Stage) -> Result<()> {
    let role: k8s_openapi::api::rbac::v1::ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": "too-much"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]
    }))?;
    Api::all(stage.admin()?)
        .create(&PostParams::default(), &role)
        .await?;
    for (index, (spec, reason)) in [
        (
            json!({"namespaces": [PROD, "kube-system"]}),
            "NamespaceForeign",
        ),
        (json!({"role": "cluster-admin"}), "RoleNotGrantable"),
        (json!({"role": "too-much"}), "RoleForbidden"),
        (json!({"person": "worke"}), "PersonUnknown"),
        (json!({"person": "worker-admin"}), "PersonUnknown"),
        (json!({"identity": "oidc:lead"}), "IdentityUnknown"),
        (
            json!({"tenantID": "77777777-7777-4777-8777-00000000bbbb"}),
            "TenantUnknown",
        ),
        (json!({"notAfter": within(24 * 365)}), "WindowTooLong"),
        (
            json!({"notBefore": "2020-01-01T00:00:00Z"}),
            "WindowTooLong",
        ),
        (
            json!({"credential": "Session", "notAfter": within(14)}),
            "WindowTooShort",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bad-{index}");
        stage.ask(&name, spec).await?;
        stage.waits(&name, reason).await?;
        stage.approve(&name).await?;
        stage
            .stands::<Approval>(&format!("{name}-yes"), ["Valid", "True", "Approves"])
            .await?;
        stage.waits(&name, reason).await?;
        ensure!(stage.bindings_of(&name).await?.is_empty(), "{name}");
    }
    // Over before it began.
    stage
        .ask(
            "bad-over",
            json!({"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T01:00:00Z"}),
        )
        .await?;
    stage
        .stands::<AccessGrant>("bad-over", ["Ended", "True", "WindowOver"])
        .await?;
    // Approved when it was over.
    let end = later(SignedDuration::from_secs(40));
    stage.ask("bad-late", json!({"notAfter": end})).await?;
    let (digest, _) = stage.asks("bad-late").await?;
    stage
        .stands::<AccessGrant>("bad-late", ["Ended", "True", "WindowOver"])
        .await?;
    in_vain(stage, "bad-late", &digest, "WindowOver").await?;
    // Asked by nobody who is known.
    stage
        .write::<AccessGrant>(&stage.person("stranger")?, asked("bad-asker", json!({})))
        .await?;
    stage.waits("bad-asker", "RequesterUnknown").await?;
    // Edited after it was approved.
    stage
        .ask("bad-edit", json!({"notBefore": within(30)}))
        .await?;
    stage.approve("bad-edit").await?;
    stage.waits("bad-edit", "Scheduled").await?;
    let earlier = Patch::Merge(json!({"spec": {"notAfter": within(50)}}));
    let grants: Api<AccessGrant> = Api::all(stage.person("worker")?);
    grants
        .patch("bad-edit", &PatchParams::default(), &earlier)
        .await?;
    stage.waits("bad-edit", "AwaitingApproval").await?;
    stage
        .stands::<Approval>("bad-edit-yes", ["Valid", "False", "DigestDiffers"])
        .await?;
    // Rejected is over, whoever approved before or approves afterwards.
    stage.ask("bad-no", json!({})).await?;
    let (digest, _) = stage.asks("bad-no").await?;
    let lead = stage.person("lead")?;
    stage.decide(&lead, "bad-no", "bad-no-no", "Reject").await?;
    stage
        .stands::<AccessGrant>("bad-no", ["Ended", "True", "Rejected"])
        .await?;
    in_vain(stage, "bad-no", &digest, "Rejected").await?;
    stage
        .ask("bad-both", json!({"notBefore": within(30)}))
        .await?;
    let (digest, _) = stage.asks("bad-both").await?;
    stage.approve("bad-both").await?;
    stage.waits("bad-both", "Scheduled").await?;
    let rejection = approval_of("bad-both", "bad-both-no", "Reject", &digest);
    stage.write::<Approval>(&lead, rejection).await?;
    stage
        .stands::<AccessGrant>("bad-both", ["Ended", "True", "Rejected"])
        .await?;
    // Two that exclude each other.
    stage.ask("one", json!({"role": VIEW})).await?;
    stage.approve("one").await?;
    stage.active("one", "Active").await?;
    stage.ask("other", json!({})).await?;
    stage.approve("other").await?;
    stage.waits("other", "RoleExcluded").await?;
    stage.lets("worker", false).await?;
    stage.revoke("one").await?;
    stage
        .stands::<AccessGrant>("one", ["Ended", "True", "Revoked"])
        .await?;
    // Nothing holds it back any more.
    stage.active("other", "Active").await?;
    stage.revoke("other").await?;
    stage.ended("other", "Revoked").await
}

/// What is approved after its end stays ended.
async fn in_vain(stage: &Stage, grant: &str, digest: &str, reason: &str) -> Result<()> {
    let yes = format!("{grant}-yes");
    let approval = approval_of(grant, &yes, "Approve", digest);
    stage
        .write::<Approval>(&stage.person("lead")?, approval)
        .await?;
    let approvals: Api<Approval> = Api::all(stage.admin()?);
    eventually(SOON, &format!("{yes} was looked at"), async || {
        let approval = approvals.get(&yes).await?;
        let status = approval.status.context("no status")?;
        ensure!(!status.conditions.is_empty());
        Ok(())
    })
    .await?;
    stage
        .stands::<AccessGrant>(grant, ["Ended", "True", reason])
        .await?;
    ensure!(stage.bindings_of(grant).await?.is_empty(), "{grant}");
    stage.lets("worker", false).await
}

/// Whoever leaves loses everything at once.
async fn who_leaves(stage: &Stage) -> Result<()> {
    for name in ["leave-1", "leave-2"] {
        stage.ask(name, json!({})).await?;
        stage.approve(name).await?;
        stage.active(name, "Active").await?;
    }
    stage.lets("worker", true).await?;
    stage
        .change_staff("worker", json!({"status": "Left"}))
        .await?;
    for name in ["leave-1", "leave-2"] {
        stage.ended(name, "PersonLeft").await?;
    }
    stage
        .change_staff("worker", json!({"status": "Active"}))
        .await?;
    stage
        .stands::<StaffMember>("worker", ["Eligible", "True", "Eligible"])
        .await?;
    // Back is not let in again.
    always(Duration::from_secs(2), "nobody is let in", async || {
        ensure!(stage.bindings_of("leave-1").await?.is_empty());
        Ok(())
    })
    .await
}

/// What ended by a training that ran out is not taken back by one that is made up for, nor by an operator that starts again.
async fn never_taken_back(stage: &mut Stage) -> Result<()> {
    stage.ask("trained", json!({})).await?;
    stage.approve("trained").await?;
    stage.active("trained", "Active").await?;
    let before = staff("worker", json!([]))["spec"]["training"].clone();
    stage
        .change_staff("worker", json!({"training": {"completedOn": "2020-01-01"}}))
        .await?;
    stage.ended("trained", "TrainingExpired").await?;
    stage
        .change_staff("worker", json!({"training": before}))
        .await?;
    stage
        .stands::<StaffMember>("worker", ["Eligible", "True", "Eligible"])
        .await?;
    stage.stop().await?;
    // Nothing but the record says so now.
    let session = stage
        .plane
        .service_account(install::NAMESPACE, SERVICE_ACCOUNT)
        .await?;
    let grants: Api<AccessGrant> = Api::all(session.client()?);
    let nothing = Patch::Merge(json!({"status": {"conditions": null}}));
    let wiped = grants
        .patch_status("trained", &PatchParams::default(), &nothing)
        .await?;
    ensure!(
        wiped
            .status
            .is_none_or(|status| status.conditions.is_empty())
    );
    stage.start().await?;
    stage
        .stands::<AccessGrant>("trained", ["Ended", "True", "TrainingExpired"])
        .await?;
    stage.lets("worker", false).await
}

/// In an emergency nobody is asked first; somebody has to agree afterwards, or says no.
async fn break_glass(stage: &Stage) -> Result<()> {
    stage.ask("glass", json!({"breakGlass": true})).await?;
    stage.active("glass", "BreakGlass").await?;
    stage.lets("worker", true).await?;
    let said = stage
        .judged(DUTIES, "Unknown", "BreakGlassUnapproved")
        .await?;
    ensure!(said.contains("AccessGrant/glass: worker"), "{said}");
    let began = stage.told("grant.activated", "glass").await?;
    ensure!(
        began[0]["breakGlass"] == true && began[0].get("approvals").is_none(),
        "{began:#?}"
    );
    stage
        .decide(
            &stage.person("worker-admin")?,
            "glass",
            "glass-own",
            "Approve",
        )
        .await?;
    stage
        .stands::<Approval>("glass-own", ["Valid", "False", "SelfApproval"])
        .await?;
    stage.active("glass", "BreakGlass").await?;
    stage.approve("glass").await?;
    stage.active("glass", "Active").await?;
    stage.told("grant.approved", "glass").await?;
    stage.judged(DUTIES, "Compliant", "AsObserved").await?;
    stage.revoke("glass").await?;
    stage.ended("glass", "Revoked").await?;
    stage.ask("glass-no", json!({"breakGlass": true})).await?;
    stage.active("glass-no", "BreakGlass").await?;
    stage
        .decide(&stage.person("lead")?, "glass-no", "glass-no-no", "Reject")
        .await?;
    stage.ended("glass-no", "Rejected").await
}

/// A right from elsewhere that outlives the grant is named with its source, and the end is proven once it is gone.
async fn what_remains(stage: &Stage) -> Result<()> {
    stage.ask("more", json!({})).await?;
    stage.approve("more").await?;
    stage.active("more", "Active").await?;
    // Bound by themselves past the guards, through a group the identity sync knows.
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "way-in"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATE},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:staff"}]
    }))?;
    let bindings = stage.bindings()?;
    bindings.create(&PostParams::default(), &binding).await?;
    stage.revoke("more").await?;
    let message = stage
        .stands::<AccessGrant>("more", ["EndProven", "False", "StillAllowed"])
        .await?;
    ensure!(message.starts_with("2 of 2 "), "{message}");
    let remaining = stage
        .grant("more")
        .await?
        .status
        .unwrap_or_default()
        .remaining;
    ensure!(
        remaining.len() == 1
            && remaining[0].contains("RoleBinding/acme-prod/way-in")
            && remaining[0].contains("oidc:staff"),
        "{remaining:#?}"
    );
    // What stays is drift; and of whom that binding lets in, nothing is known.
    let said = stage.judged(REVOCATION, "Drifted", "AccessRemains").await?;
    ensure!(
        said.contains("AccessGrant/more: RoleBinding/acme-prod/way-in"),
        "{said}"
    );
    stage.judged(TRAINING, "Unknown", "ForeignBinding").await?;
    bindings.delete("way-in", &DeleteParams::default()).await?;
    stage.ended("more", "Revoked").await?;
    for control in [REVOCATION, TRAINING] {
        stage.judged(control, "Compliant", "AsObserved").await?;
    }
    let proven = stage.told("grant.end.proven", "more").await?;
    ensure!(
        proven[0]["lastYes"].is_string() && proven[0]["firstYes"].is_string(),
        "{proven:#?}"
    );
    let remaining = stage
        .grant("more")
        .await?
        .status
        .unwrap_or_default()
        .remaining;
    ensure!(remaining.is_empty(), "{remaining:#?}");
    // What another live grant gives is no leftover.
    for name in ["twice-1", "twice-2"] {
        stage.ask(name, json!({})).await?;
        stage.approve(name).await?;
        stage.active(name, "Active").await?;
    }
    stage.revoke("twice-1").await?;
    stage
        .stands::<AccessGrant>("twice-1", ["Ended", "True", "Revoked"])
        .await?;
    stage.lets("worker", true).await?;
    let remaining = stage
        .grant("twice-1")
        .await?
        .status
        .unwrap_or_default()
        .remaining;
    ensure!(remaining.is_empty(), "{remaining:#?}");
    stage.revoke("twice-2").await?;
    stage.ended("twice-2", "Revoked").await?;
    stage.ended("twice-1", "Revoked").await
}

/// Fewer asked than there are proves nothing; once all are asked it does.
async fn one_server_silent(stage: &Stage) -> Result<()> {
    stage.ask("silent", json!({})).await?;
    stage.approve("silent").await?;
    stage.active("silent", "Active").await?;
    stage.plane.stop_second_api_server()?;
    stage.revoke("silent").await?;
    stage
        .stands::<AccessGrant>("silent", ["Ended", "True", "Revoked"])
        .await?;
    let message = stage
        .stands::<AccessGrant>("silent", ["EndProven", "Unknown", "Unproven"])
        .await?;
    ensure!(message.starts_with("1 of 2 "), "{message}");
    stage.plane.start_second_api_server().await?;
    stage.ended("silent", "Revoked").await
}

/// What ends while nobody leads ends first of all afterwards.
async fn nobody_leads(stage: &mut Stage) -> Result<()> {
    stage.ask("alone", json!({})).await?;
    stage.approve("alone").await?;
    stage.active("alone", "Active").await?;
    for name in ["gone", "stays"] {
        stage.ask(name, json!({})).await?;
        stage.approve(name).await?;
        stage.active(name, "Active").await?;
    }
    let stays = stage.bindings_of("stays").await?;
    stage.stop().await?;
    stage.revoke("alone").await?;
    Api::<AccessGrant>::all(stage.person("worker")?)
        .delete("gone", &DeleteParams::default())
        .await?;
    stage.lets("worker", true).await?;
    stage.start().await?;
    stage
        .stands::<AccessGrant>("alone", ["Ended", "True", "Revoked"])
        .await?;
    let ended = stage.told("grant.ended", "gone").await?;
    ensure!(ended[0]["reason"] == "Deleted", "{ended:#?}");
    // What has not ended goes on as it was.
    stage.active("stays", "Active").await?;
    ensure!(stage.bindings_of("stays").await? == stays);
    stage.revoke("stays").await?;
    for name in ["stays", "alone"] {
        stage.ended(name, "Revoked").await?;
    }
    Ok(())
}

/// From a repository nobody asked: the person does not approve, somebody else does.
async fn from_git(stage: &Stage) -> Result<()> {
    stage
        .write::<AccessGrant>(&stage.user(APPLIER)?, asked("git", json!({})))
        .await?;
    stage
        .decide(&stage.person("worker")?, "git", "git-own", "Approve")
        .await?;
    stage
        .stands::<Approval>("git-own", ["Valid", "False", "SelfApproval"])
        .await?;
    stage.approve("git").await?;
    stage.active("git", "Active").await?;
    // Applied again from a file that does not say who asked.
    let api: Api<AccessGrant> = Api::all(stage.user(APPLIER)?);
    let mut file = asked("git", json!({}));
    file["spec"]["notAfter"] = json!(stage.grant("git").await?.spec.not_after);
    let params = PatchParams::apply("git").force();
    api.patch("git", &params, &Patch::Apply(file)).await?;
    let kept = stage.grant("git").await?.spec.requested_by;
    ensure!(kept.as_deref() == Some(APPLIER), "{kept:?}");
    stage.active("git", "Active").await?;
    stage.revoke("git").await?;
    stage.ended("git", "Revoked").await
}

/// Where the role's policy says so, the pods a session may be open in go with the grant; they stay with any other.
async fn sessions_are_cut(stage: &Stage) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(stage.plane.break_glass()?, PROD);
    let nodes: Api<Node> = Api::all(stage.admin()?);
    let node = serde_json::from_value(json!({"metadata": {"name": "silent"}}))?;
    nodes.create(&PostParams::default(), &node).await?;
    // One that nothing runs, and one that its node would have to end.
    let unbound = pod(
        "planner",
        json!({"nodeSelector": {"kubernetes.io/hostname": "no-such-node"}}),
    )?;
    let slow = pod(
        "slow",
        json!({"nodeName": "silent", "terminationGracePeriodSeconds": 7200}),
    )?;
    for pod in [unbound, slow] {
        pods.create(&PostParams::default(), &pod).await?;
    }
    for (name, role) in [("kept", OPERATE), ("cut", DEBUG)] {
        stage.ask(name, json!({"role": role})).await?;
        stage.approve(name).await?;
        stage.active(name, "Active").await?;
        for pod in ["planner", "slow"] {
            let metadata = pods.get(pod).await?.metadata;
            ensure!(metadata.deletion_timestamp.is_none(), "{name} {pod}");
        }
        stage.revoke(name).await?;
        stage.ended(name, "Revoked").await?;
    }
    eventually(SOON, "both pods are on their way out", async || {
        ensure!(pods.get_opt("planner").await?.is_none());
        // It may not keep what is open in it for hours.
        let slow = pods.get("slow").await?.metadata;
        ensure!(slow.deletion_grace_period_seconds == Some(30), "{slow:?}");
        Ok(())
    })
    .await?;
    nodes.delete("silent", &DeleteParams::default()).await?;
    let cut = stage.told("grant.sessions.cut", "cut").await?;
    ensure!(
        cut.len() == 1 && cut[0]["namespaces"] == json!([PROD]),
        "{cut:#?}"
    );
    Ok(())
}

/// A pod that the guards let in.
fn pod(name: &str, spec: Value) -> Result<Pod> {
    let mut object = json!({
        "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "planner", "image": "localhost/planner:1", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
        }
    });
    for (field, value) in spec.as_object().context("no fields")? {
        object["spec"][field] = value.clone();
    }
    Ok(serde_json::from_value(object)?)
}

/// Approved for later, and then revoked, deleted and rejected.
const ABOUT_TO_BEGIN: [&str; 3] = ["later-revoked", "later-deleted", "later-rejected"];

/// A store that is put back to when a grant was active, or was about to begin, does not bring it back.
async fn put_back(stage: &mut Stage) -> Result<()> {
    stage.ask("before", json!({})).await?;
    stage.approve("before").await?;
    stage.active("before", "Active").await?;
    let mut digest = String::new();
    for grant in ABOUT_TO_BEGIN {
        let window = json!({"notBefore": within(30), "notAfter": within(60)});
        stage.ask(grant, window).await?;
        (digest, _) = stage.asks(grant).await?;
        stage.approve(grant).await?;
        stage.waits(grant, "Scheduled").await?;
    }
    let snapshot = stage.plane.snapshot().await?;
    stage.revoke("before").await?;
    stage.ended("before", "Revoked").await?;
    let [revoked, deleted, rejected] = ABOUT_TO_BEGIN;
    stage.revoke(revoked).await?;
    let grants: Api<AccessGrant> = Api::all(stage.admin()?);
    grants.delete(deleted, &DeleteParams::default()).await?;
    let reject = approval_of(rejected, "second-thoughts", "Reject", &digest);
    stage
        .write::<Approval>(&stage.person("lead")?, reject)
        .await?;
    for grant in ABOUT_TO_BEGIN {
        stage.told("grant.withdrawn", grant).await?;
    }
    let operator = stage.operator.as_ref().context("no operator runs")?;
    operator::lease_is_seen(&stage.plane, std::slice::from_ref(operator)).await?;
    stage.plane.restore(&snapshot, Restore::AsItWas).await?;
    let grant = stage.grant("before").await?;
    ensure!(grant.spec.revoked.is_none() && stage.bindings_of("before").await?.len() == 1);
    // The operator has seen that its store went back, and ended.
    let operator = stage.operator.take().context("no operator runs")?;
    operator.ended(SOON)?;
    stage.start().await?;
    stage.ended("before", "Revoked").await?;
    ensure!(stage.bindings_of("before").await?.is_empty());
    // On record once.
    let ended = stage.told("grant.ended", "before").await?;
    ensure!(ended.len() == 1, "{ended:#?}");
    for (grant, why) in ABOUT_TO_BEGIN
        .into_iter()
        .zip(["Revoked", "Deleted", "Rejected"])
    {
        ensure!(stage.grant(grant).await?.spec.revoked.is_none());
        stage
            .stands::<AccessGrant>(grant, ["Ended", "True", why])
            .await?;
        let told = stage.told("grant.withdrawn", grant).await?;
        ensure!(told.len() == 1 && told[0]["reason"] == why, "{told:#?}");
    }
    Ok(())
}

/// With its tenant's object goes every grant.
async fn tenant_goes(stage: &Stage) -> Result<()> {
    stage.ask("last", json!({})).await?;
    stage.approve("last").await?;
    stage.active("last", "Active").await?;
    // Nobody else would end it: an uninstall waits.
    let (is_free, said) = uninstall_check(stage).await?;
    ensure!(!is_free && said.contains("AccessGrant last"), "{said}");
    let tenants: Api<CustomerTenant> = Api::all(stage.plane.break_glass()?);
    tenants.delete("acme", &DeleteParams::default()).await?;
    stage
        .stands::<AccessGrant>("last", ["Ended", "True", "TenantClosed"])
        .await?;
    stage.lets("worker", false).await?;
    let (is_free, said) = uninstall_check(stage).await?;
    ensure!(is_free, "{said}");
    let api: Api<AccessGrant> = Api::all(stage.admin()?);
    if api.get_opt("last").await?.is_none() {
        bail!("the grant outlives its tenant");
    }
    Ok(())
}

/// Whether nothing keeps an uninstall back, as the chart's hook asks, and what it says.
async fn uninstall_check(stage: &Stage) -> Result<(bool, String)> {
    let kubeconfig = stage.plane.access().kubeconfig(&Identity::admin())?;
    let mut check = Command::new(binary()?);
    check.arg("uninstall-check").env("KUBECONFIG", kubeconfig);
    let ended = check.output().await?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Ok((ended.status.success(), said))
}
