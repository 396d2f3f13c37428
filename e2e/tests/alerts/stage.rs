//! A plane with the chart, two operators, a Prometheus and an Alertmanager.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy};
use tenure_e2e::monitoring::{Alert, Monitoring};
use tenure_e2e::stack::monitoring_definitions;
use tenure_e2e::{
    Identity, Operator, OperatorOptions, Plane, PlaneOptions, always, eventually, install,
};

/// From a cause to its alert, or from its end to the alert's: a pass, a scrape, an evaluation, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// The number in the id of the tenant most stories are about.
pub const ACME: u32 = 1;

pub struct Stage {
    pub plane: Plane,
    pub monitoring: Monitoring,
    operators: Vec<Operator>,
}

impl Stage {
    pub async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "alerts".into(),
            // Each is asked whether access has ended; a single one answers where nobody finds it.
            second_api_server: true,
            ..PlaneOptions::default()
        })
        .await?;
        define_monitoring(&plane).await?;
        install::install(plane.access()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {"grantableRoles": [{"name": "tenure-tenant-operator", "longest": "PT8H", "approvals": 1}]}}),
        )?;
        Api::all(plane.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        let monitoring = Monitoring::start(plane.access()).await?;
        Ok(Self {
            plane,
            monitoring,
            operators: Vec::new(),
        })
    }

    /// One that leads, and one that stands by.
    pub async fn start_operators(&mut self) -> Result<()> {
        for instance in ["tenure-operator-1", "tenure-operator-2"] {
            let options = OperatorOptions {
                instance: instance.to_owned(),
                ..OperatorOptions::default()
            };
            let operator = Operator::start_unready(self.plane.access(), options).await?;
            if self.operators.is_empty() {
                operator.ready().await?;
            } else {
                operator.stands_by().await?;
            }
            self.operators.push(operator);
        }
        self.scrape()
    }

    /// Stops them all.
    pub async fn stop_operators(&mut self) -> Result<()> {
        for operator in self.operators.drain(..) {
            operator.stop().await?;
        }
        self.scrape()
    }

    fn scrape(&self) -> Result<()> {
        let ports: Vec<u16> = self.operators.iter().map(Operator::port).collect();
        self.monitoring.scrape(&ports, &self.plane.addresses())
    }

    /// Kills the first operator; the next one, if any, leads.
    pub async fn kill_the_leader(&mut self) -> Result<()> {
        ensure!(!self.operators.is_empty(), "no operator runs");
        self.operators.remove(0).kill()?;
        self.scrape()?;
        let Some(next) = self.operators.first() else {
            return Ok(());
        };
        next.ready().await?;
        let never = "\ntenure_last_evaluation_timestamp_seconds 0\n";
        ensure!(
            !next.metrics().await?.contains(never),
            "it leads and knows of no evaluation"
        );
        Ok(())
    }

    /// Waits until the alert is there and notifies.
    pub async fn fires(&self, name: &str, labels: &[(&str, &str)]) -> Result<Alert> {
        self.monitoring.until(SOON, name, labels, "active").await
    }

    /// Waits until the alert is resolved.
    pub async fn ends(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        self.monitoring.until_gone(SOON, name, labels).await
    }

    /// Looks for some evaluations whether the alert stays away.
    pub async fn is_silent(&self, name: &str) -> Result<()> {
        always(
            Duration::from_secs(4),
            &format!("{name} is silent"),
            async || {
                let alerts = self.monitoring.alerts().await?;
                ensure!(alerts.iter().all(|alert| alert.name() != name));
                Ok(())
            },
        )
        .await
    }

    pub fn tenants(&self) -> Result<Api<CustomerTenant>> {
        Ok(Api::all(self.plane.admin()?))
    }

    pub async fn declare_unready(&self, name: &str, id: u32) -> Result<()> {
        let object = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
            "spec": {
                "tenantID": format!("55555555-5555-4555-8555-{id:012}"), "customer": {"name": "Example"}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
                "namespaces": [{"name": "prod"}, {"name": "test"}]
            }
        }))?;
        self.tenants()?
            .create(&PostParams::default(), &object)
            .await?;
        Ok(())
    }

    /// Declares a tenant and waits until it is Ready.
    pub async fn declare(&self, name: &str, id: u32) -> Result<()> {
        self.declare_unready(name, id).await?;
        eventually(SOON, &format!("{name} is Ready"), async || {
            let tenant = self.tenants()?.get(name).await?;
            let conditions = tenant.status.unwrap_or_default().conditions;
            let ready = conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            ensure!(ready, "{conditions:?}");
            Ok(())
        })
        .await
    }

    /// A person in good standing, who may do everything with grants but approve their own.
    pub async fn staff(&self, name: &str) -> Result<()> {
        let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
        let staff: StaffMember = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": name},
            "spec": {
                "identities": [name], "status": "Active", "training": {"completedOn": today}, "telework": {"signedOn": today},
                "acceptableUse": {"signedOn": today}, "confidentiality": {"signedOn": today}, "mfa": {"signedOn": today}
            }
        }))?;
        let by = PostParams::default();
        Api::all(self.plane.admin()?).create(&by, &staff).await?;
        for role in ["tenure-requester", "tenure-approver", "tenure-break-glass"] {
            let binding: ClusterRoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("{name}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]
            }))?;
            Api::all(self.plane.admin()?).create(&by, &binding).await?;
        }
        Ok(())
    }

    /// Says of people that they are here, or that they left.
    pub async fn employ(&self, names: &[String], status: &str) -> Result<()> {
        let staff: Api<StaffMember> = Api::all(self.plane.admin()?);
        let patch = Patch::Merge(json!({"spec": {"status": status}}));
        for name in names {
            staff.patch(name, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    /// How many people are let in.
    pub async fn let_in_now(&self) -> Result<usize> {
        let grants = self.grants("lead")?.list(&ListParams::default()).await?;
        let active = grants.items.iter().filter(|grant| {
            let conditions = grant.status.iter().flat_map(|status| &status.conditions);
            let mut active = conditions.filter(|condition| condition.type_ == "Active");
            active.any(|condition| condition.status == "True")
        });
        Ok(active.count())
    }

    fn grants(&self, user: &str) -> Result<Api<AccessGrant>> {
        Ok(Api::all(self.plane.client(&Identity::user(user))?))
    }

    /// Lets the worker in without an approval, and waits until that is so.
    pub async fn let_in(&self, name: &str) -> Result<()> {
        self.let_person_in(name, "worker").await
    }

    /// Lets somebody in without an approval, at the worker's wish, and waits until that is so.
    pub async fn let_person_in(&self, name: &str, person: &str) -> Result<()> {
        let until = Timestamp::now() + SignedDuration::from_mins(60);
        let tenant = self.tenants()?.get("acme").await?;
        let grant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": tenant.spec.tenant_id, "person": person,
                "role": "tenure-tenant-operator", "namespaces": ["acme-prod"], "reason": "it burns", "ticket": "INC-1",
                "notAfter": until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "breakGlass": true
            }
        }))?;
        let grants = self.grants("worker")?;
        grants.create(&PostParams::default(), &grant).await?;
        eventually(SOON, &format!("{name} is active"), async || {
            let status = grants.get(name).await?.status.unwrap_or_default();
            ensure!(status.active_since.is_some(), "{status:?}");
            Ok(())
        })
        .await
    }

    pub async fn approve(&self, name: &str) -> Result<()> {
        let grant = self.grants("lead")?.get(name).await?;
        let status = grant.status.unwrap_or_default();
        let pending = status
            .pending_approvals
            .first()
            .context("nothing is asked")?;
        let approval: Approval = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": format!("{name}-yes")},
            "spec": {
                "action": "Activate", "tenantRef": {"name": "acme"}, "decision": "Approve", "reason": "seen",
                "subject": {"kind": "AccessGrant", "name": name, "tenantID": grant.spec.tenant_id,
                    "digest": pending.digest, "digestVersion": pending.digest_version}
            }
        }))?;
        let approvals: Api<Approval> = Api::all(self.plane.client(&Identity::user("lead"))?);
        approvals.create(&PostParams::default(), &approval).await?;
        Ok(())
    }

    pub async fn revoke(&self, name: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"revoked": {"reason": "over"}}}));
        let grants = self.grants("lead")?;
        grants.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Takes a guard's binding away, as only break-glass can.
    pub async fn unbind(&self, binding: &str) -> Result<()> {
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.plane.break_glass()?);
        bindings.delete(binding, &DeleteParams::default()).await?;
        Ok(())
    }

    pub async fn start_pod(&self, namespace: &str) -> Result<()> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "c", "image": "example/app:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
            }
        }))?;
        let pods: Api<Pod> = Api::namespaced(self.plane.admin()?, namespace);
        pods.create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    /// Takes from the operator the right to put its finalizer on a tenant.
    pub async fn forbid_finalizers(&self) -> Result<TakenRight> {
        self.forbid("customertenants", "patch").await
    }

    /// Takes the operator's right to something away, as only break-glass can.
    pub async fn forbid(&self, resource: &str, verb: &str) -> Result<TakenRight> {
        let roles: Api<ClusterRole> = Api::all(self.plane.break_glass()?);
        let role = roles.get("tenure-operator").await?;
        let mut less = role.clone();
        for rule in less.rules.iter_mut().flatten() {
            let named = rule.resources.iter().flatten();
            if named.into_iter().any(|named| named == resource) {
                rule.verbs.retain(|known| known != verb);
            }
        }
        ensure!(less != role, "there is no such right");
        roles
            .replace("tenure-operator", &PostParams::default(), &less)
            .await?;
        Ok(TakenRight { roles, role })
    }
}

/// A right that can be given back.
pub struct TakenRight {
    roles: Api<ClusterRole>,
    role: ClusterRole,
}

impl TakenRight {
    pub async fn allow(mut self) -> Result<()> {
        self.role.metadata.resource_version = None;
        self.roles
            .replace("tenure-operator", &PostParams::default(), &self.role)
            .await?;
        Ok(())
    }
}

/// The kinds of prometheus-operator, as that project ships them, and that the chart finds them.
async fn define_monitoring(plane: &Plane) -> Result<()> {
    let admin = plane.kubectl(&Identity::admin())?;
    let files = tokio::task::spawn_blocking(monitoring_definitions).await??;
    for file in &files {
        let file = file.to_str().context("a path that is not UTF-8")?;
        admin
            .run(&["apply", "--server-side", "--filename", file])
            .await?
            .success()?;
    }
    eventually(SOON, "the kinds are served", async || {
        admin
            .run(&["get", "servicemonitors,prometheusrules", "--all-namespaces"])
            .await?
            .success()
            .map(drop)
    })
    .await
}

/// What the release made of the cluster's kinds.
pub async fn object(plane: &Plane, kind: &str, name: &str) -> Result<Value> {
    let admin = plane.kubectl(&Identity::admin())?;
    let args = [
        "get",
        kind,
        name,
        "--namespace",
        install::NAMESPACE,
        "--output",
        "json",
    ];
    Ok(serde_json::from_str(&admin.run(&args).await?.success()?)?)
}
