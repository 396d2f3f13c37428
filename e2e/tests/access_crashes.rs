//! The operator is killed after every one of its writes while somebody is let in and out, in a session, which takes the most of
//! them: for all k, after the k-th write. The access that stands is never more than was approved, every ending happens, and all of it is on record once.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy, keys};
use tenure_e2e::install;
use tenure_e2e::operator::{Operator, OperatorOptions};
use tenure_e2e::proxy::LastAnswer;
use tenure_e2e::{Identity, Plane, PlaneOptions, Proxy, Record, eventually};

const SOON: Duration = Duration::from_secs(60);
const ACME: &str = "99999999-9999-4999-8999-00000000aaaa";
const PROD: &str = "acme-prod";
const SESSIONS: &str = "tenure-system-sessions";
const ROLE: &str = "tenure-tenant-operator";
/// More writes than one grant takes.
const MANY: usize = 60;

struct Stage {
    plane: Plane,
    proxy: Proxy,
    operator: Operator,
    record: Record,
    admin: Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "access-crashes".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let admin = plane.admin()?;
        for (user, role) in [
            ("worker", "tenure-requester"),
            ("lead", "tenure-approver"),
            ("lead", "tenure-requester"),
        ] {
            let binding: ClusterRoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("{user}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
            }))?;
            let bindings: Api<ClusterRoleBinding> = Api::all(admin.clone());
            bindings.create(&PostParams::default(), &binding).await?;
            let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
            let staff: StaffMember = serde_json::from_value(json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": user},
                "spec": {
                    "identities": [user], "status": "Active", "training": {"completedOn": today}, "telework": {"signedOn": today},
                    "acceptableUse": {"signedOn": today}, "confidentiality": {"signedOn": today}, "mfa": {"signedOn": today}
                }
            }))?;
            let api: Api<StaffMember> = Api::all(admin.clone());
            if api.get_opt(user).await?.is_none() {
                api.create(&PostParams::default(), &staff).await?;
            }
        }
        let policy: TenancyPolicy = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"},
            "spec": {"grantableRoles": [{"name": ROLE, "longest": "PT8H", "approvals": 1}]}
        }))?;
        Api::all(admin.clone())
            .create(&PostParams::default(), &policy)
            .await?;
        let proxy = Proxy::start(&plane).await?;
        let stage = Self {
            operator: start(&plane, &proxy).await?,
            record: Record::of(plane.access())?,
            plane,
            proxy,
            admin,
        };
        stage.tenant().await?;
        Ok(stage)
    }

    async fn tenant(&self) -> Result<()> {
        let tenant: CustomerTenant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
            "spec": {
                "tenantID": ACME, "customer": {"name": "Acme"}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}]
            }
        }))?;
        let tenants: Api<CustomerTenant> = Api::all(self.admin.clone());
        tenants.create(&PostParams::default(), &tenant).await?;
        eventually(SOON, "acme is Ready", async || {
            let status = tenants.get("acme").await?.status.unwrap_or_default();
            let mut conditions = status.conditions.iter();
            ensure!(conditions.any(|it| it.type_ == "Ready" && it.status == "True"));
            Ok(())
        })
        .await
    }

    fn by<K>(&self, user: &str) -> Result<Api<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>,
    {
        Ok(Api::all(self.plane.client(&Identity::user(user))?))
    }

    async fn ask(&self, name: &str) -> Result<()> {
        let until = Timestamp::now() + SignedDuration::from_mins(60);
        let grant: AccessGrant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": ACME, "person": "worker", "role": ROLE, "namespaces": [PROD],
                "credential": "Session", "reason": "it hangs", "ticket": "CHG-1", "notAfter": until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
            }
        }))?;
        self.by("worker")?
            .create(&PostParams::default(), &grant)
            .await?;
        Ok(())
    }

    async fn bindings(&self, grant: &AccessGrant) -> Result<usize> {
        let api: Api<RoleBinding> = Api::namespaced(self.admin.clone(), PROD);
        let label = format!("{}={}", keys::GRANT, grant.uid().unwrap_or_default());
        Ok(api
            .list(&ListParams::default().labels(&label))
            .await?
            .items
            .len())
    }

    /// Does what people do next about a grant; answers whether it has come to its end.
    async fn step(&self, name: &str) -> Result<bool> {
        let grants: Api<AccessGrant> = Api::all(self.admin.clone());
        let approvals: Api<Approval> = Api::all(self.admin.clone());
        let approval = format!("{name}-yes");
        // Read before the grant: whoever is let in now was approved then.
        let is_approved = approvals.get_opt(&approval).await?.is_some();
        let grant = grants.get(name).await?;
        let bound = self.bindings(&grant).await?;
        ensure!(
            bound == 0 || is_approved || approvals.get_opt(&approval).await?.is_some(),
            "let in without an approval"
        );
        let status = grant.status.clone().unwrap_or_default();
        let is = |kind: &str| {
            let mut conditions = status.conditions.iter();
            conditions.any(|condition| condition.type_ == kind && condition.status == "True")
        };
        if is("Ended") {
            ensure!(bound == 0, "ended, and still bound");
            return Ok(true);
        }
        if is("Active") && grant.spec.revoked.is_none() {
            let patch = Patch::Merge(json!({"spec": {"revoked": {"reason": "done"}}}));
            let lead: Api<AccessGrant> = self.by("lead")?;
            lead.patch(name, &PatchParams::default(), &patch).await?;
        }
        if let Some(pending) = status.pending_approvals.first()
            && !is_approved
        {
            let approval: Approval = serde_json::from_value(json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": approval},
                "spec": {
                    "action": "Activate", "tenantRef": {"name": "acme"}, "decision": "Approve", "reason": "seen",
                    "subject": {"kind": "AccessGrant", "name": name, "tenantID": ACME, "digest": pending.digest, "digestVersion": 1}
                }
            }))?;
            self.by("lead")?
                .create(&PostParams::default(), &approval)
                .await?;
        }
        Ok(false)
    }

    async fn comes_to_its_end(&self, name: &str) -> Result<()> {
        eventually(SOON, &format!("{name} has ended"), async || {
            ensure!(self.step(name).await?, "not yet");
            Ok(())
        })
        .await
    }

    /// Nothing is left of any session.
    async fn sessions_are_gone(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin.clone(), SESSIONS);
        let roles: Api<Role> = Api::namespaced(self.admin.clone(), SESSIONS);
        let bindings: Api<RoleBinding> = Api::namespaced(self.admin.clone(), SESSIONS);
        let all = ListParams::default().labels(keys::GRANT);
        eventually(SOON, "nothing is left of a session", async || {
            ensure!(bindings.list(&all).await?.items.is_empty(), "a right");
            ensure!(roles.list(&all).await?.items.is_empty(), "a role");
            ensure!(accounts.list(&all).await?.items.is_empty(), "an account");
            Ok(())
        })
        .await
    }

    /// Kills the operator after the k-th write. Answers whether there was one.
    async fn crash(&mut self, k: usize) -> Result<bool> {
        let name = format!("crash-{k:02}");
        let answer = match k.is_multiple_of(2) {
            true => LastAnswer::Delivered,
            false => LastAnswer::Lost,
        };
        self.proxy.cut_after(k, answer);
        self.ask(&name).await?;
        let is_cut = tokio::select! {
            () = self.proxy.cut() => true,
            ended = self.comes_to_its_end(&name) => ended.map(|()| false)?,
        };
        if is_cut {
            self.operator.kill()?;
            self.proxy.mend();
            self.operator = start(&self.plane, &self.proxy).await?;
            self.comes_to_its_end(&name).await?;
        }
        self.sessions_are_gone().await?;
        for (kind, count) in [("grant.activated", 1), ("grant.ended", 1)] {
            let told = self.told(kind, &name).await?;
            ensure!(told.len() == count, "{kind}: {told:#?}");
        }
        Ok(is_cut)
    }

    /// What the record tells of a grant.
    async fn told(&self, kind: &str, grant: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        eventually(SOON, &format!("{kind} of {grant}"), async || {
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

async fn start(plane: &Plane, proxy: &Proxy) -> Result<Operator> {
    let options = OperatorOptions {
        url: Some(proxy.url()),
        interval_seconds: 600,
        ..OperatorOptions::default()
    };
    Operator::start(plane.access(), options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_write_access_is_never_more_than_approved_and_ends() -> Result<()> {
    let mut stage = Stage::set().await?;
    for k in 1..MANY {
        let is_cut = stage
            .crash(k)
            .await
            .with_context(|| format!("killed after write {k}"))?;
        if !is_cut {
            ensure!(k > 10, "only {k} writes");
            return Ok(());
        }
    }
    anyhow::bail!("more than {MANY} writes for one grant")
}
