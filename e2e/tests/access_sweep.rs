//! What carries access on after a grant has ended: made or changed while it let somebody in, by whomever. It is listed, and stays
//! open until it is gone or somebody else accepts it, whoever is killed meanwhile.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use rcgen::{CertificateParams, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_crds::access_grant::Sweep;
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy};
use tenure_e2e::install;
use tenure_e2e::operator::{Operator, OperatorOptions};
use tenure_e2e::paths::target;
use tenure_e2e::{Identity, Plane, PlaneOptions, Record, eventually};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);
const ACME: &str = "99999999-9999-4999-8999-00000000bbbb";
const PROD: &str = "acme-prod";
const OPERATE: &str = "tenure-tenant-operator";
const DEBUG: &str = "tenure-tenant-debugger";

struct Stage {
    plane: Plane,
    operator: Operator,
    record: Record,
    admin: Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "access-sweep".into(),
            // For the proof of an end each API server needs an address of its own.
            second_api_server: true,
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let admin = plane.admin()?;
        for (user, role) in [
            ("worker", "tenure-requester"),
            // May approve, but not what was made while they were let in.
            ("worker", "tenure-approver"),
            ("lead", "tenure-approver"),
        ] {
            let binding = json!({
                "metadata": {"name": format!("{user}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
            });
            made::<ClusterRoleBinding>(&admin, binding).await?;
        }
        for user in ["worker", "lead"] {
            let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
            let staff = json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": user},
                "spec": {
                    "identities": [user], "status": "Active", "training": {"completedOn": today}, "telework": {"signedOn": today},
                    "acceptableUse": {"signedOn": today}, "confidentiality": {"signedOn": today}, "mfa": {"signedOn": today}
                }
            });
            made::<StaffMember>(&admin, staff).await?;
        }
        let roles =
            [DEBUG, OPERATE].map(|role| json!({"name": role, "longest": "PT8H", "approvals": 1}));
        let policy = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"},
            "spec": {"grantableRoles": roles}
        });
        made::<TenancyPolicy>(&admin, policy).await?;
        let operator = Operator::start(plane.access(), OperatorOptions::default()).await?;
        let stage = Self {
            record: Record::of(plane.access())?,
            operator,
            plane,
            admin,
        };
        let tenant = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
            "spec": {
                "tenantID": ACME, "customer": {"name": "Acme"}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}]
            }
        });
        made::<CustomerTenant>(&stage.admin, tenant).await?;
        stage
            .stands::<CustomerTenant>("acme", ["Ready", "True", "Reconciled"])
            .await?;
        Ok(stage)
    }

    fn by(&self, user: &str) -> Result<Client> {
        self.plane.client(&Identity::user(user))
    }

    /// Waits until a condition (type, status, reason) stands so; answers its message.
    async fn stands<K>(&self, name: &str, expect: [&str; 3]) -> Result<String>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.admin.clone());
        let mut message = String::new();
        eventually(SOON, &format!("{name}: {expect:?}"), async || {
            let object = serde_json::to_value(api.get(name).await?)?;
            let conditions = object["status"]["conditions"].as_array().cloned();
            let conditions = conditions.unwrap_or_default();
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

    /// Lets the worker in, approved by the lead.
    async fn let_in(&self, name: &str, role: &str) -> Result<()> {
        let until = Timestamp::now() + SignedDuration::from_mins(60);
        let grant = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": ACME, "person": "worker", "role": role, "namespaces": [PROD],
                "reason": "it hangs", "ticket": "CHG-1", "notAfter": until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
            }
        });
        made::<AccessGrant>(&self.by("worker")?, grant).await?;
        let digest = self.asks(name).await?;
        self.decide("lead", name, &format!("{name}-yes"), "Activate", &digest)
            .await?;
        self.stands::<AccessGrant>(name, ["Active", "True", "Active"])
            .await?;
        Ok(())
    }

    async fn revoke(&self, name: &str) -> Result<()> {
        let grants: Api<AccessGrant> = Api::all(self.by("lead")?);
        let patch = Patch::Merge(json!({"spec": {"revoked": {"reason": "done"}}}));
        grants.patch(name, &PatchParams::default(), &patch).await?;
        self.stands::<AccessGrant>(name, ["EndProven", "True", "Proven"])
            .await?;
        Ok(())
    }

    /// The digest of what waits on a grant.
    async fn asks(&self, grant: &str) -> Result<String> {
        let grants: Api<AccessGrant> = Api::all(self.admin.clone());
        let mut digest = String::new();
        eventually(SOON, &format!("{grant} asks for an approval"), async || {
            let status = grants.get(grant).await?.status.unwrap_or_default();
            let pending = status.pending_approvals.first().context("nothing waits")?;
            digest = pending.digest.clone();
            Ok(())
        })
        .await?;
        Ok(digest)
    }

    async fn decide(
        &self,
        by: &str,
        grant: &str,
        name: &str,
        action: &str,
        digest: &str,
    ) -> Result<()> {
        let approval = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name},
            "spec": {
                "action": action, "tenantRef": {"name": "acme"}, "decision": "Approve", "reason": "seen",
                "subject": {"kind": "AccessGrant", "name": grant, "tenantID": ACME, "digest": digest, "digestVersion": 1}
            }
        });
        made::<Approval>(&self.by(by)?, approval).await
    }

    async fn sweep(&self, grant: &str) -> Result<Option<Sweep>> {
        let grants: Api<AccessGrant> = Api::all(self.admin.clone());
        Ok(grants.get(grant).await?.status.unwrap_or_default().sweep)
    }

    /// Waits until exactly these are found: kind and name, what happened, and who did it.
    async fn finds(&self, grant: &str, expect: &[(&str, &str, &str)]) -> Result<()> {
        let expect: BTreeSet<_> = expect
            .iter()
            .map(|(a, b, c)| [*a, *b, *c].join(" "))
            .collect();
        eventually(SOON, &format!("{grant} finds {expect:?}"), async || {
            let sweep = self.sweep(grant).await?.context("nothing is open")?;
            let found = sweep.findings.iter();
            let found: BTreeSet<_> = found
                .map(|one| format!("{}/{} {} {}", one.kind, one.name, one.change, one.author))
                .collect();
            ensure!(found == expect, "{sweep:#?}");
            ensure!(
                sweep.more == 0 && sweep.not_looked_at.is_empty(),
                "{sweep:#?}"
            );
            Ok(())
        })
        .await
    }

    /// What the record tells of a grant.
    async fn told(&self, kind: &str, grant: &str) -> Result<Vec<Value>> {
        let mut found = self.record.events(ACME).await?;
        found.retain(|event| event["type"] == kind && event["grant"] == grant);
        Ok(found)
    }

    /// Kills the operator, does something, and starts it again.
    async fn killed_meanwhile(
        &mut self,
        what: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        self.operator.kill()?;
        what(self).await?;
        self.operator = Operator::start(self.plane.access(), OperatorOptions::default()).await?;
        Ok(())
    }

    async fn metric(&self, line: &str) -> Result<()> {
        eventually(SOON, line, async || {
            let metrics = self.operator.metrics().await?;
            ensure!(metrics.lines().any(|it| it == line));
            Ok(())
        })
        .await
    }
}

async fn made<K>(client: &Client, object: Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let what = object["metadata"]["name"].to_string();
    let object: K = serde_json::from_value(object)?;
    let api: Api<K> = Api::all(client.clone());
    let created = api.create(&PostParams::default(), &object).await;
    created.with_context(|| format!("{} {what}", K::kind(&())))?;
    Ok(())
}

async fn made_in<K>(client: &Client, object: Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let what = object["metadata"]["name"].to_string();
    let object: K = serde_json::from_value(object)?;
    let api: Api<K> = Api::namespaced(client.clone(), PROD);
    let created = api.create(&PostParams::default(), &object).await;
    created.with_context(|| format!("{} {what}", K::kind(&())))?;
    Ok(())
}

fn pod_spec() -> Value {
    json!({
        "nodeSelector": {"kubernetes.io/hostname": "no-such-node"}, "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container("planner")]
    })
}

fn container(name: &str) -> Value {
    json!({
        "name": name, "image": "localhost/planner:1",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
    })
}

fn cron_job(name: &str) -> Value {
    let mut pod = pod_spec();
    pod["restartPolicy"] = json!("Never");
    json!({
        "metadata": {"name": name},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    })
}

fn role(name: &str, resource: &str) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
}

fn binding(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "older"},
        "subjects": [{"kind": "ServiceAccount", "name": "older", "namespace": PROD}]
    })
}

fn webhook(name: &str) -> Value {
    json!({"metadata": {"name": name}, "webhooks": [{
        "name": "none.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
        "clientConfig": {"url": "https://127.0.0.1:1/none"},
        "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nones"]}]
    }]})
}

fn signing_request(name: &str) -> Result<CertificateSigningRequest> {
    let request = CertificateParams::new(Vec::new())?.serialize_request(&KeyPair::generate()?)?;
    let mut object: CertificateSigningRequest = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"request": "", "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    }))?;
    object.spec.request = k8s_openapi::ByteString(request.pem()?.into_bytes());
    Ok(object)
}

/// What was there before, of each kind. Nobody was let in yet.
async fn twins(stage: &Stage) -> Result<()> {
    let keeper = stage.plane.break_glass()?;
    made_in::<CronJob>(&keeper, cron_job("older")).await?;
    made_in::<Role>(&keeper, role("older", "pods")).await?;
    made_in::<Role>(&keeper, role("tuned", "pods")).await?;
    made_in::<RoleBinding>(&keeper, binding("older")).await?;
    let account = json!({"metadata": {"name": "older"}});
    made_in::<ServiceAccount>(&keeper, account).await?;
    let pod = json!({"metadata": {"name": "planner"}, "spec": pod_spec()});
    made_in::<Pod>(&keeper, pod).await?;
    made::<ValidatingWebhookConfiguration>(&keeper, webhook("older")).await?;
    next_second().await
}

/// Times are cut to the second: what begins after this begins in a later one than what was made before.
async fn next_second() -> Result<()> {
    let made = Timestamp::now().as_second();
    eventually(SOON, "the second is over", async || {
        ensure!(Timestamp::now().as_second() > made);
        Ok(())
    })
    .await
}

/// What the person does, and what others do meanwhile.
async fn meanwhile(stage: &Stage) -> Result<()> {
    let (worker, keeper) = (stage.by("worker")?, stage.plane.break_glass()?);
    let mut tool = container("tool");
    tool["targetContainerName"] = json!("planner");
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [tool]}}));
    let pods: Api<Pod> = Api::namespaced(worker, PROD);
    pods.patch_ephemeral_containers("planner", &PatchParams::default(), &patch)
        .await
        .context("the person looks into a pod")?;
    made_in::<CronJob>(&keeper, cron_job("nightly")).await?;
    made_in::<RoleBinding>(&keeper, binding("robot")).await?;
    let roles: Api<Role> = Api::namespaced(keeper.clone(), PROD);
    let more = json!({"rules": [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get"]}]});
    roles
        .patch("tuned", &PatchParams::default(), &Patch::Merge(more))
        .await?;
    made::<ValidatingWebhookConfiguration>(&keeper, webhook("listener")).await?;
    Api::all(stage.admin.clone())
        .create(&PostParams::default(), &signing_request("lasting")?)
        .await?;
    Ok(())
}

const UNKNOWN: &str = "unknown";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_meanwhile_is_listed_until_it_is_gone_or_somebody_else_accepts_it()
-> Result<()> {
    let mut stage = Stage::set().await?;
    twins(&stage).await?;
    open_until_decided(&mut stage).await.context("open")?;
    accepted_by_another(&stage).await.context("accepted")?;
    nothing_to_find(&stage).await.context("nothing to find")?;
    not_seen_is_not_nothing(&stage).await.context("not seen")
}

/// All of it is listed, and nothing that was there before; what is removed while nobody looks is seen afterwards.
async fn open_until_decided(stage: &mut Stage) -> Result<()> {
    stage.let_in("debug", DEBUG).await?;
    meanwhile(stage).await?;
    stage.revoke("debug").await?;
    let message = stage
        .stands::<AccessGrant>("debug", ["Swept", "False", "Open"])
        .await?;
    ensure!(message.starts_with("6 objects are there"), "{message}");
    let nightly = ("CronJob/nightly", "Created", UNKNOWN);
    let stays = [
        ("Pod/planner", "Changed", UNKNOWN),
        ("RoleBinding/robot", "Created", UNKNOWN),
        ("Role/tuned", "Changed", UNKNOWN),
        (
            "ValidatingWebhookConfiguration/listener",
            "Created",
            UNKNOWN,
        ),
        ("CertificateSigningRequest/lasting", "Created", "admin"),
    ];
    let all: Vec<_> = stays.into_iter().chain([nightly]).collect();
    stage.finds("debug", &all).await?;
    stage
        .metric(r#"tenure_access_sweeps_open{customertenant="acme"} 1"#)
        .await?;
    let told = stage.told("grant.swept", "debug").await?;
    ensure!(
        told.len() == 1
            && told[0]["found"]
                .as_array()
                .is_some_and(|found| found.len() == 6),
        "{told:#?}"
    );

    // Not by the person themselves, and not for a list that is another by now.
    let digest = stage.asks("debug").await?;
    stage
        .decide("worker", "debug", "own", "AcceptSweep", &digest)
        .await?;
    stage
        .stands::<Approval>("own", ["Valid", "False", "SelfApproval"])
        .await?;
    stage.let_in("brief", DEBUG).await?;
    let keeper = stage.plane.break_glass()?;
    made_in::<CronJob>(&keeper, cron_job("weekly")).await?;
    stage.revoke("brief").await?;
    stage
        .finds("brief", &[("CronJob/weekly", "Created", UNKNOWN)])
        .await?;
    stage
        .killed_meanwhile(async |_| {
            let jobs: Api<CronJob> = Api::namespaced(keeper.clone(), PROD);
            for name in ["nightly", "weekly"] {
                jobs.delete(name, &DeleteParams::default()).await?;
            }
            Ok(())
        })
        .await?;
    stage.finds("debug", &stays).await?;
    stage
        .stands::<AccessGrant>("brief", ["Swept", "True", "Removed"])
        .await?;
    ensure!(stage.told("grant.sweep.cleared", "brief").await?.len() == 1);
    ensure!(stage.told("grant.sweep.cleared", "debug").await?.is_empty());
    stage
        .decide("lead", "debug", "late", "AcceptSweep", &digest)
        .await?;
    stage
        .stands::<Approval>("late", ["Valid", "False", "DigestDiffers"])
        .await?;
    stage
        .stands::<AccessGrant>("debug", ["Swept", "False", "Open"])
        .await?;
    Ok(())
}

/// Somebody else reads what stays, and accepts it with the plugin.
async fn accepted_by_another(stage: &Stage) -> Result<()> {
    let kubeconfig = stage.plane.access().kubeconfig(&Identity::user("lead"))?;
    let plugin = async |arguments: &[&str]| {
        let mut plugin = Command::new(target().join("debug/kubectl-tenure"));
        plugin.args(arguments).arg("--kubeconfig").arg(&kubeconfig);
        plugin.output().await
    };
    let listed = plugin(&["status", "acme"]).await?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    ensure!(
        text.contains("made meanwhile: Role/acme-prod/tuned: changed "),
        "{listed:?}"
    );
    let said = plugin(&[
        "approve",
        "debug",
        "--reason",
        "seen, all ordinary",
        "--yes",
    ])
    .await?;
    ensure!(said.status.success(), "{said:?}");
    let shown = String::from_utf8_lossy(&said.stderr).into_owned();
    for what in [
        "Pod/acme-prod/planner",
        "RoleBinding/acme-prod/robot",
        "Role/acme-prod/tuned",
        "ValidatingWebhookConfiguration/listener",
        "CertificateSigningRequest/lasting: created",
        "author admin",
        "author unknown",
    ] {
        ensure!(shown.contains(what), "{what}: {shown}");
    }
    let message = stage
        .stands::<AccessGrant>("debug", ["Swept", "True", "Accepted"])
        .await?;
    ensure!(message.starts_with("5 objects "), "{message}");
    ensure!(stage.sweep("debug").await?.is_none());
    let accepted = stage.told("grant.sweep.accepted", "debug").await?;
    ensure!(accepted.len() == 1, "{accepted:#?}");
    let by = accepted[0]["approvals"][0].as_str().context("by nobody")?;
    stage
        .stands::<Approval>(by, ["Valid", "True", "Used"])
        .await?;
    stage
        .stands::<Approval>("late", ["Valid", "False", "Settled"])
        .await?;
    stage
        .metric(r#"tenure_access_sweeps_open{customertenant="acme"} 0"#)
        .await
}

/// Where nothing was made there is nothing to decide; where the role lets nobody make anything, nobody has to look.
async fn nothing_to_find(stage: &Stage) -> Result<()> {
    stage.let_in("looked", DEBUG).await?;
    stage.revoke("looked").await?;
    stage
        .stands::<AccessGrant>("looked", ["Swept", "True", "NothingFound"])
        .await?;
    stage.let_in("operates", OPERATE).await?;
    made_in::<CronJob>(&stage.plane.break_glass()?, cron_job("others")).await?;
    stage.revoke("operates").await?;
    stage
        .stands::<AccessGrant>("operates", ["Swept", "True", "NotPossible"])
        .await?;
    Ok(())
}

/// What cannot be listed is said, and nothing is taken for not there; once it can be, it is.
async fn not_seen_is_not_nothing(stage: &Stage) -> Result<()> {
    let keeper = stage.plane.break_glass()?;
    let roles: Api<ClusterRole> = Api::all(keeper.clone());
    let whole = roles.get("tenure-operator").await?;
    let rules = whole.rules.clone().unwrap_or_default();
    let fewer: Vec<_> = rules
        .iter()
        .filter(|rule| !rule.resources.iter().flatten().any(|it| it == "cronjobs"))
        .collect();
    ensure!(fewer.len() + 1 == rules.len());
    let patched = async |rules: Value| {
        let patch = Patch::Merge(json!({"rules": rules}));
        let params = PatchParams::default();
        roles.patch("tenure-operator", &params, &patch).await
    };
    patched(json!(fewer)).await?;
    next_second().await?;
    stage.let_in("blind", DEBUG).await?;
    made_in::<CronJob>(&keeper, cron_job("hidden")).await?;
    stage.revoke("blind").await?;
    let message = stage
        .stands::<AccessGrant>("blind", ["Swept", "Unknown", "CouldNotLook"])
        .await?;
    ensure!(
        message.contains("cronjobs in acme-prod cannot be listed"),
        "{message}"
    );
    ensure!(stage.told("grant.swept", "blind").await?.is_empty());
    patched(json!(rules)).await?;
    // That somebody gave the right back between the end and the look may hide what was done to it before.
    stage
        .finds(
            "blind",
            &[
                ("CronJob/hidden", "Created", UNKNOWN),
                ("ClusterRole/tenure-operator", "Changed", UNKNOWN),
            ],
        )
        .await
}
