//! GitOps: what Flux and helm (by kstatus) and Argo CD (by its health script) take our objects for in every state the
//! operator brings them to, whether the examples are objects those tools know, and that pruning deletes no customer.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tenure_e2e::gitops::Gitops;
use tenure_e2e::install;
use tenure_e2e::kubectl::Kubectl;
use tenure_e2e::paths::repository;
use tenure_e2e::stack::module_folder;
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, eventually};

const SOON: Duration = Duration::from_secs(30);
const APPLIER: &str = "system:serviceaccount:flux-system:kustomize-controller";
/// The definitions of the kinds that the examples use, by module.
const KINDS: [(&str, &str); 4] = [
    (
        "github.com/argoproj/argo-cd/v3",
        "manifests/crds/application-crd.yaml",
    ),
    (
        "github.com/fluxcd/helm-controller",
        "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
    ),
    (
        "github.com/fluxcd/kustomize-controller",
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
    (
        "github.com/fluxcd/source-controller",
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
    ),
];

struct Stage {
    plane: Plane,
    operator: Option<Operator>,
    gitops: Gitops,
    script: PathBuf,
    next: u32,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "gitops".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let script = plane.folder().join("health.lua");
        fs::write(&script, health_script("tenure.dev_CustomerTenant")?)?;
        for identity in [APPLIER, "reviewer"] {
            let binding = serde_json::from_value(json!({
                "metadata": {"name": identity.replace(':', "-")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": identity}]
            }))?;
            Api::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>::all(plane.admin()?)
                .create(&PostParams::default(), &binding)
                .await?;
        }
        Ok(Self {
            plane,
            operator: None,
            gitops: tokio::task::spawn_blocking(Gitops::ensure).await??,
            script,
            next: 0,
        })
    }

    async fn start(&mut self) -> Result<()> {
        self.operator =
            Some(Operator::start(self.plane.access(), OperatorOptions::default()).await?);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        let operator = self.operator.take().context("no operator runs")?;
        operator.stop().await
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        self.api_as(&Identity::admin(), kind)
    }

    fn api_as(&self, identity: &Identity, kind: &str) -> Api<DynamicObject> {
        let mut resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("tenure.dev", "v1alpha1", kind));
        if kind == "TenancyPolicy" {
            resource.plural = "tenancypolicies".into();
        }
        Api::all_with(self.plane.client(identity).unwrap(), &resource)
    }

    fn tenant(&mut self, change: impl FnOnce(&mut Value)) -> Value {
        self.next += 1;
        let mut spec = json!({
            "tenantID": format!("44444444-4444-4444-8444-{:012}", self.next), "customer": {"name": "Example"}, "classification": "Confidential",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}]
        });
        change(&mut spec);
        spec
    }

    async fn declare(&self, kind: &str, name: &str, spec: &Value) -> Result<()> {
        let object = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}),
        )?;
        self.api(kind)
            .create(&PostParams::default(), &object)
            .await?;
        Ok(())
    }

    async fn change(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let change = Patch::Merge(json!({ "spec": spec }));
        let api = self.api(kind);
        api.patch(name, &PatchParams::default(), &change).await?;
        Ok(())
    }

    /// What both tools say of a live object.
    async fn said(&self, kind: &str, name: &str) -> Result<([String; 2], Value)> {
        let object = serde_json::to_value(self.api(kind).get(name).await?)?;
        let objects = std::slice::from_ref(&object);
        let kstatus = self.gitops.kstatus(objects).await?.remove(0);
        let health = self.gitops.health(&self.script, objects).await?.remove(0);
        Ok(([kstatus.status, health.status], object))
    }

    /// Waits for a state of the table in docs/gitops.md; `seen` tells it from others that look alike.
    async fn row(&self, kind: &str, name: &str, state: &str, seen: &str) -> Result<()> {
        let row = table()?
            .into_iter()
            .find(|row| row[0] == state)
            .with_context(|| format!("docs/gitops.md has no row {state:?}"))?;
        eventually(SOON, &format!("{kind} {name}: {state}"), async || {
            let (said, object) = self.said(kind, name).await?;
            let status = object["status"].to_string();
            ensure!(status.contains(seen), "not {seen} yet: {status}");
            ensure!(
                said[0] == row[1] && said[1] == row[2],
                "{said:?} of {status}"
            );
            Ok(())
        })
        .await
    }
}

/// The rows of the table in docs/gitops.md: state, kstatus, Argo CD.
fn table() -> Result<Vec<[String; 3]>> {
    let page = fs::read_to_string(repository().join("docs/gitops.md"))?;
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let known = ["`Current`", "`InProgress`", "`Failed`", "`Terminating`"];
        let is_row = cells.len() >= 3 && known.contains(&cells[1]);
        is_row.then(|| [cells[0], cells[1], cells[2]].map(|cell| cell.trim_matches('`').to_owned()))
    });
    Ok(rows.collect())
}

/// A script of the example for Argo CD, by its key.
fn health_script(kind: &str) -> Result<String> {
    let file = repository().join("examples/gitops/argocd/argocd-cm.yaml");
    let map: Value = serde_saphyr::from_str(&fs::read_to_string(file)?)?;
    let key = format!("resource.customizations.health.{kind}");
    let script = map["data"][&key].as_str();
    Ok(script.with_context(|| format!("no {key}"))?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitops_tools_see_our_objects_as_they_are() -> Result<()> {
    let mut stage = Stage::set().await?;
    the_scripts().await.context("the scripts")?;
    examples(&stage).await.context("the examples")?;
    table_of_states(&mut stage).await.context("the table")?;
    pruning(&stage).await.context("pruning")
}

/// One script for all our kinds, and one without which waves of Applications do not wait.
async fn the_scripts() -> Result<()> {
    let ours = health_script("tenure.dev_CustomerTenant")?;
    for kind in [
        "TenancyPolicy",
        "Approval",
        "LegalHold",
        "Attestation",
        "StaffMember",
        "AccessGrant",
    ] {
        ensure!(
            health_script(&format!("tenure.dev_{kind}"))? == ours,
            "{kind}"
        );
    }
    let gitops = tokio::task::spawn_blocking(Gitops::ensure).await??;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("application.lua");
    fs::write(&script, health_script("argoproj.io_Application")?)?;
    let application = |status: Value| json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}, "status": status});
    let said = gitops
        .health(
            &script,
            &[
                application(json!({"health": {"status": "Degraded"}})),
                application(json!({})),
            ],
        )
        .await?;
    let said: Vec<&str> = said.iter().map(|answer| answer.status.as_str()).collect();
    ensure!(said == ["Degraded", "Progressing"], "{said:?}");
    Ok(())
}

/// Every example is taken by a real API server that knows the kinds, with no field it does not know.
async fn examples(stage: &Stage) -> Result<()> {
    let admin = stage.plane.kubectl(&Identity::admin())?;
    for (module, file) in KINDS {
        let folder =
            tokio::task::spawn_blocking(move || module_folder("gitops-kinds", module)).await??;
        let file = folder.join(file);
        let file = file.to_str().context("the path is not valid UTF-8")?;
        admin
            .run(&["create", "--filename", file])
            .await?
            .success()?;
    }
    admin
        .run(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "--all",
            "crd",
        ])
        .await?
        .success()?;
    for namespace in ["flux-system", "argocd"] {
        stage.plane.namespace(namespace).await?;
    }
    let mut files = Vec::new();
    collect(&repository().join("examples/gitops"), &mut files)?;
    ensure!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file)?;
        taken(&admin, &text)
            .await
            .with_context(|| file.display().to_string())?;
        if text.contains("dependsOn") {
            let wrong = text.replace("dependsOn", "dependOn");
            ensure!(
                taken(&admin, &wrong).await.is_err(),
                "a misspelt field was taken"
            );
        }
    }
    Ok(())
}

async fn taken(admin: &Kubectl, text: &str) -> Result<()> {
    let args = [
        "create",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        "-",
    ];
    admin.run_with(&args, text).await?.success().map(drop)
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            into.push(path);
        }
    }
    Ok(())
}

async fn table_of_states(stage: &mut Stage) -> Result<()> {
    // Nobody has looked yet: no status at all must not pass for a good one.
    let role = json!({"name": "tenure-tenant-viewer", "longest": "PT8H", "approvals": 1});
    stage
        .declare(
            "TenancyPolicy",
            "default",
            &json!({"grantableRoles": [role]}),
        )
        .await?;
    let first = stage.tenant(|_| {});
    stage.declare("CustomerTenant", "first", &first).await?;
    stage
        .row("TenancyPolicy", "default", "just declared", "-1")
        .await?;
    stage
        .row("CustomerTenant", "first", "just declared", "-1")
        .await?;
    stage.start().await?;
    stage
        .row("CustomerTenant", "first", "ready", "Reconciled")
        .await?;
    stage
        .row("TenancyPolicy", "default", "ready", "InForce")
        .await?;
    a_grant(stage, &first).await?;

    let unknown =
        stage.tenant(|spec| spec["exposure"] = json!({"ingressClasses": ["nobody-offers"]}));
    stage.declare("CustomerTenant", "wrong", &unknown).await?;
    stage
        .row(
            "CustomerTenant",
            "wrong",
            "a spec that makes no sense",
            "UnknownExposure",
        )
        .await?;
    let policy =
        json!({"gitopsAppliers": [{"username": APPLIER}], "restore": {"username": "restorer"}});
    stage.change("TenancyPolicy", "default", policy).await?;
    stage
        .row(
            "TenancyPolicy",
            "default",
            "waits for a loosening",
            "LooseningPending",
        )
        .await?;
    stage
        .change(
            "CustomerTenant",
            "first",
            json!({"classification": "Public"}),
        )
        .await?;
    stage
        .row(
            "CustomerTenant",
            "first",
            "waits for an amendment",
            "AwaitingAmendment",
        )
        .await?;

    stage.plane.namespace("found-prod").await?;
    let found = stage.tenant(|_| {});
    stage.declare("CustomerTenant", "found", &found).await?;
    stage
        .row(
            "CustomerTenant",
            "found",
            "waits for an adoption",
            "AwaitingAdoption",
        )
        .await?;
    an_approval(stage, &found).await?;
    stuck(stage).await?;
    frozen(stage).await?;

    stage.stop().await?;
    let unread = json!({"owner": {"name": "Team South"}});
    stage.change("CustomerTenant", "found", unread).await?;
    stage
        .row(
            "CustomerTenant",
            "found",
            "changed, not looked at",
            "Reconciled",
        )
        .await?;
    let never_used = stage.api("CustomerTenant").get("brief").await?;
    ensure!(
        never_used.data["status"]["conditions"]
            .to_string()
            .contains("NothingHeld")
    );
    stage
        .api("CustomerTenant")
        .delete("brief", &DeleteParams::default())
        .await?;
    stage
        .row("CustomerTenant", "brief", "being deleted", "NothingHeld")
        .await?;
    let rows = table()?.len();
    ensure!(
        rows == 12,
        "docs/gitops.md has {rows} rows: make each of them"
    );
    stage.start().await
}

/// A grant from Git that nobody has decided on holds up no pipeline.
async fn a_grant(stage: &Stage, tenant: &Value) -> Result<()> {
    let today = jiff::Timestamp::now().strftime("%F").to_string();
    let signed = json!({"signedOn": today});
    let person = json!({
        "identities": ["worker"], "status": "Active", "training": {"completedOn": today}, "acceptableUse": signed,
        "confidentiality": signed, "mfa": signed, "telework": signed, "jobRole": "Engineer"
    });
    stage.declare("StaffMember", "worker", &person).await?;
    let asks = json!({"identities": ["reviewer"], "status": "Active"});
    stage.declare("StaffMember", "lead", &asks).await?;
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
    let grant = json!({
        "tenantRef": {"name": "first"}, "tenantID": tenant["tenantID"], "person": "worker", "role": "tenure-tenant-viewer",
        "namespaces": ["first-prod"], "reason": "It hangs", "ticket": "CHG-1", "location": "OnSite",
        "notAfter": end.strftime("%FT%TZ").to_string()
    });
    let grant = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "waits"}, "spec": grant});
    stage
        .api_as(&Identity::user("reviewer"), "AccessGrant")
        .create(&PostParams::default(), &serde_json::from_value(grant)?)
        .await?;
    stage
        .row(
            "AccessGrant",
            "waits",
            "a grant that waits to be approved",
            r#""reason":"AwaitingApproval","status":"False","type":"Active""#,
        )
        .await
}

/// The decision on the adoption: unread, void, then one that counts, by which the tenant goes on.
async fn an_approval(stage: &mut Stage, spec: &Value) -> Result<()> {
    let tenant = stage.api("CustomerTenant").get("found").await?;
    let asked = tenant.data["status"]["pendingApprovals"][0].clone();
    let approval = |name: &str| -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name}, "spec": {
            "action": "Adopt", "tenantRef": {"name": "found"}, "decision": "Approve", "reason": "the plan was read",
            "subject": {"kind": "CustomerTenant", "name": "found", "tenantID": spec["tenantID"], "digest": asked["digest"], "digestVersion": asked["digestVersion"]}
        }}))
        .unwrap()
    };
    stage.stop().await?;
    let own = stage.api("Approval");
    own.create(&PostParams::default(), &approval("own")).await?;
    stage.row("Approval", "own", "just declared", "-1").await?;
    stage.start().await?;
    stage
        .row("Approval", "own", "a decision that is void", "SelfApproval")
        .await?;
    let reviewer = stage.api_as(&Identity::user("reviewer"), "Approval");
    reviewer
        .create(&PostParams::default(), &approval("other"))
        .await?;
    stage.row("Approval", "other", "ready", "Settled").await?;
    stage
        .row("CustomerTenant", "found", "ready", "Reconciled")
        .await
}

/// Work under way that does not get on: a namespace that is held up on its way out.
async fn stuck(stage: &mut Stage) -> Result<()> {
    let brief = stage.tenant(|_| {});
    stage.declare("CustomerTenant", "brief", &brief).await?;
    stage
        .row("CustomerTenant", "brief", "ready", "NothingHeld")
        .await?;
    let held = stage.tenant(|_| {});
    stage.declare("CustomerTenant", "held", &held).await?;
    stage
        .row("CustomerTenant", "held", "ready", "Reconciled")
        .await?;
    let kubectl = stage.plane.kubectl(&Identity::break_glass())?;
    let blocker = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "blocker", "namespace": "held-prod", "finalizers": ["example.com/never"]}});
    kubectl
        .run_with(&["create", "--filename", "-"], &blocker.to_string())
        .await?
        .success()?;
    kubectl
        .run(&["delete", "namespace", "held-prod", "--wait=false"])
        .await?
        .success()?;
    stage
        .row(
            "CustomerTenant",
            "held",
            "work under way",
            "NamespaceTerminating",
        )
        .await
}

/// A tenant that came back different from what was accepted.
async fn frozen(stage: &mut Stage) -> Result<()> {
    let mut ghost = stage.tenant(|_| {});
    stage.declare("CustomerTenant", "ghost", &ghost).await?;
    stage
        .row("CustomerTenant", "ghost", "ready", "Reconciled")
        .await?;
    let kubectl = stage.plane.kubectl(&Identity::admin())?;
    // It holds something, so that its deletion is not the end of one that was never used.
    let claim = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "ghost-prod"}, "spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "example/app:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}});
    kubectl
        .run_with(&["create", "--filename", "-"], &claim.to_string())
        .await?
        .success()?;
    stage
        .row("CustomerTenant", "ghost", "ready", "HeldData")
        .await?;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(stage.plane.break_glass()?);
    let mut spared = Vec::new();
    for binding in bindings.list(&Default::default()).await? {
        if serde_json::to_value(&binding)?["spec"]["policyName"] == "tenure-customertenants" {
            bindings
                .delete(
                    binding.metadata.name.as_deref().unwrap_or_default(),
                    &DeleteParams::default(),
                )
                .await?;
            spared.push(binding);
        }
    }
    eventually(SOON, "the unguarded tenant is gone", async || {
        let tenants = stage.api("CustomerTenant");
        let _ = tenants.delete("ghost", &DeleteParams::default()).await;
        ensure!(tenants.get_opt("ghost").await?.is_none());
        Ok(())
    })
    .await?;
    for mut binding in spared {
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        bindings.create(&PostParams::default(), &binding).await?;
    }
    ghost["customer"]["name"] = json!("Somebody else");
    stage.declare("CustomerTenant", "ghost", &ghost).await?;
    stage
        .row("CustomerTenant", "ghost", "frozen", "RecordMismatch")
        .await
}

/// What prunes is told what to do instead, and deletes no customer and no settings.
async fn pruning(stage: &Stage) -> Result<()> {
    install::guards_loaded(stage.plane.access()).await?;
    let applier = stage.plane.kubectl(&Identity::user(APPLIER))?;
    let labelled = ["label", "customertenant", "found", "app=tenants"];
    applier.run(&labelled).await?.success()?;
    let kept = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default", "labels": {"app": "tenants"}}});
    let prune = [
        "apply",
        "--filename",
        "-",
        "--prune",
        "--selector=app=tenants",
        "--prune-allowlist=tenure.dev/v1alpha1/CustomerTenant",
    ];
    // kubectl prunes what it applied itself.
    let found = stage.api("CustomerTenant").get("found").await?;
    let file = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant",
        "metadata": {"name": "found", "labels": {"app": "tenants"}}, "spec": found.data["spec"]});
    applier
        .run_with(&["apply", "--filename", "-"], &file.to_string())
        .await?
        .success()?;
    let why = applier
        .run_with(&prune, &kept.to_string())
        .await?
        .refusal()?;
    ensure!(
        why.contains("found")
            && why.contains("Set spec.termination and have it approved; keep it in Git"),
        "{why}"
    );
    let why = applier
        .run(&["delete", "tenancypolicy", "default"])
        .await?
        .refusal()?;
    ensure!(why.contains("tenure-tenancypolicies"), "{why}");
    stage.api("CustomerTenant").get("found").await?;
    stage
        .api("TenancyPolicy")
        .get("default")
        .await
        .map(drop)
        .map_err(Into::into)
}
