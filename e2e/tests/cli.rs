//! The plugin against a real API server with the chart's guards: what it asks for, decides on and ends is what admission takes,
//! as the person who runs it. At first no operator runs, and its status is written with its own account; at the end one does.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy};
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::operator::SERVICE_ACCOUNT;
use tenure_e2e::paths::target;
use tenure_e2e::record::Record;
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(30);
const TENANT_ID: &str = "5b0f7c1e-2d34-4a56-8b78-90abcdef1234";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

struct Stage {
    plane: Plane,
    operator: Client,
}

/// What the plugin said, and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it printed, where it was done.
    fn fine(self) -> Result<String> {
        ensure!(self.code == 0, "{}: {}{}", self.code, self.out, self.err);
        Ok(self.out)
    }

    fn json(self) -> Result<Value> {
        Ok(serde_json::from_str(&self.fine()?)?)
    }

    /// What it told, where it could not be done.
    fn refused(self, words: &str) -> Result<()> {
        let told = format!("{}: {}{}", self.code, self.out, self.err);
        ensure!(
            self.code == 2 && self.err.contains(words),
            "not {words:?}: {told}"
        );
        Ok(())
    }
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "cli".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let admin = plane.admin()?;
        for (user, role) in [
            ("jane", "tenure-requester"),
            ("ann", "tenure-approver"),
            ("vera", "tenure-viewer"),
            ("audrey", "tenure-auditor"),
        ] {
            let binding = serde_json::from_value(json!({
                "metadata": {"name": user},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            }))?;
            Api::<ClusterRoleBinding>::all(admin.clone())
                .create(&PostParams::default(), &binding)
                .await?;
        }
        let tenant = json!({"metadata": {"name": "acme"}, "spec": {
            "tenantID": TENANT_ID, "customer": {"name": "Example"}, "classification": "Confidential",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}],
        }});
        Api::<CustomerTenant>::all(admin.clone())
            .create(&PostParams::default(), &serde_json::from_value(tenant)?)
            .await?;
        let person = json!({"metadata": {"name": "jane-doe"}, "spec": {"identities": ["jane", "jane-admin"], "status": "Active"}});
        Api::<StaffMember>::all(admin)
            .create(&PostParams::default(), &serde_json::from_value(person)?)
            .await?;
        let operator = plane.access().service_account(NAMESPACE, SERVICE_ACCOUNT);
        let operator = operator.await?.client()?;
        Ok(Self { plane, operator })
    }

    fn command(&self, user: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(plugin()?);
        command.args(args);
        self.reaches(&mut command, user)?;
        Ok(command)
    }

    /// The same at a terminal, which `meanwhile` is awaited at before the answer is typed.
    async fn answers(
        &self,
        user: &str,
        args: &str,
        meanwhile: impl Future<Output = Result<()>>,
        answer: &str,
    ) -> Result<Said> {
        let line = format!("'{}' {args}", plugin()?.display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        self.reaches(&mut command, user)?;
        let mut terminal = command.stdin(Stdio::piped()).spawn()?;
        let mut typed = terminal.stdin.take().context("no keyboard")?;
        let mut screen = terminal.stdout.take().context("no screen")?;
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains("is taken for one: ") {
            let more = tokio::time::timeout(SOON, screen.read_buf(&mut shown)).await;
            let more = more.context("no question")??;
            ensure!(more > 0, "no question: {}", String::from_utf8_lossy(&shown));
        }
        meanwhile.await?;
        typed.write_all(answer.as_bytes()).await?;
        typed.flush().await?;
        tokio::time::timeout(SOON, screen.read_to_end(&mut shown))
            .await
            .context("no end")??;
        let status = terminal.wait().await?;
        drop(typed);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        Ok(Said {
            code: status.code().unwrap_or(-1),
            out: shown.clone(),
            err: shown,
        })
    }

    fn reaches(&self, command: &mut Command, user: &str) -> Result<()> {
        command
            .env(
                "KUBECONFIG",
                self.plane.access().kubeconfig(&Identity::user(user))?,
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(())
    }

    async fn run(&self, user: &str, args: &[&str]) -> Result<Said> {
        Ok(Said::of(self.command(user, args)?.output().await?))
    }

    /// How many decisions stand about a grant.
    async fn decisions(&self, grant: &str) -> Result<usize> {
        let approvals: Api<Approval> = Api::all(self.plane.admin()?);
        let all = approvals.list(&ListParams::default()).await?;
        Ok(all
            .iter()
            .filter(|it| it.spec.subject.name == grant)
            .count())
    }

    fn grants(&self) -> Result<Api<AccessGrant>> {
        Ok(Api::all(self.plane.admin()?))
    }

    /// What the operator would have found.
    async fn found(&self, grant: &str, mut status: Value) -> Result<()> {
        let generation = self.grants()?.get(grant).await?.metadata.generation;
        status["observedGeneration"] = json!(generation);
        Api::<AccessGrant>::all(self.operator.clone())
            .patch_status(
                grant,
                &PatchParams::default(),
                &Patch::Merge(json!({ "status": status })),
            )
            .await?;
        Ok(())
    }
}

fn plugin() -> Result<PathBuf> {
    let plugin = target().join("debug/kubectl-tenure");
    ensure!(plugin.exists(), "not built: cargo build --workspace");
    Ok(plugin)
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": format!("because {reason}"),
        "lastTransitionTime": "2026-02-01T08:00:00Z"})
}

fn waits() -> Value {
    json!({
        "conditions": [condition("Active", "False", "AwaitingApproval")],
        "pendingApprovals": [{"action": "Activate", "digest": DIGEST, "digestVersion": 1, "approvalsNeeded": 1, "effect": "jane gets in"}],
    })
}

const ASK: [&str; 12] = [
    "request",
    "acme",
    "--role",
    "tenure-tenant-viewer",
    "--namespace",
    "prod",
    "--for",
    "4h",
    "--reason",
    "It hangs",
    "--ticket",
    "CHG 1042",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_ask_decide_and_end_by_the_plugin_as_themselves() -> Result<()> {
    let stage = Stage::set().await?;
    let grant = asked(&stage).await.context("asked")?;
    decided(&stage, &grant).await.context("decided")?;
    read_first(&stage).await.context("read first")?;
    waited_for(&stage).await.context("waited for")?;
    ended(&stage, &grant).await.context("ended")?;
    with_the_operator(&stage).await.context("with the operator")
}

/// The grant that jane asks for, for herself.
async fn asked(stage: &Stage) -> Result<String> {
    let yaml = [&ASK[..], &["--dry-run=client", "--output=yaml"]].concat();
    let file = stage.run("jane", &yaml).await?.fine()?;
    let kubectl = stage.plane.kubectl(&Identity::user("jane"))?;
    let strict = [
        "create",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
    ];
    let taken = eventually(SOON, "who asks is stamped", async || {
        kubectl.run_with(&strict, &file).await?.success()
    });
    let taken = taken.await?;
    ensure!(
        taken.contains("accessgrant.tenure.dev/acme-chg-1042 created"),
        "{taken}"
    );

    // A role that is not bound cannot read the tenant; one that only reads cannot ask.
    for user in ["nobody", "vera"] {
        let asks = [&ASK[..], &["--person", "jane-doe"]].concat();
        stage
            .run(user, &asks)
            .await?
            .refused("the API server refused")?;
    }
    let break_glass = [&ASK[..], &["--break-glass"]].concat();
    let without = "may not ask for access to customertenants/acme without an approval";
    stage.run("jane", &break_glass).await?.refused(without)?;
    let unknown = [&["request", "acne"], &ASK[2..]].concat();
    stage
        .run("jane", &unknown)
        .await?
        .refused("CustomerTenant acne does not exist")?;

    let made = stage
        .run("jane", &[&ASK[..], &["--json"]].concat())
        .await?
        .json()?;
    let spec = &made["spec"];
    ensure!(
        spec["person"] == "jane-doe"
            && spec["requestedBy"] == "jane"
            && spec["tenantID"] == TENANT_ID,
        "{made}"
    );
    ensure!(spec["namespaces"] == json!(["acme-prod"]), "{made}");
    let name = made["metadata"]["name"].as_str().context("no name")?;
    ensure!(name.starts_with("acme-chg-1042-"), "{name}");
    Ok(name.to_owned())
}

async fn decided(stage: &Stage, grant: &str) -> Result<()> {
    let approve = |more: &'static str| ["approve", grant, "--reason", "Planned", more];
    // Nobody decides on what the operator has not looked at, or unasked.
    let status = stage.run("vera", &["status", "acme"]).await?.fine()?;
    ensure!(
        status.contains("New") && status.contains("NotLookedAt"),
        "{status}"
    );
    stage
        .run("ann", &approve("--yes"))
        .await?
        .refused("has not looked at")?;
    stage.found(grant, waits()).await?;
    let unasked = stage.run("ann", &approve("--json")).await?;
    unasked.refused("no terminal to ask at")?;

    let status = stage.run("vera", &["status"]).await?.fine()?;
    ensure!(
        status.contains("Pending") && status.contains("because AwaitingApproval"),
        "{status}"
    );
    let said = stage.run("ann", &approve("--yes")).await?;
    for shown in [
        "Person      jane-doe",
        "Known as    jane, jane-admin",
        "Which may   get, list, watch configmaps",
        "Namespaces  acme-prod",
        "Reason      It hangs",
        "Ticket      CHG 1042",
        "Asked by    jane",
        "Effect      jane gets in",
        DIGEST,
    ] {
        ensure!(said.err.contains(shown), "{shown:?} is not in {}", said.err);
    }
    let told = said.fine()?;
    ensure!(told.contains("ann approves Activate"), "{told}");
    // Who may not approve is told by whom it can be.
    let by_jane = [&approve("--yes")[..], &["--json"]].concat();
    stage
        .run("jane", &by_jane)
        .await?
        .refused("the API server refused")?;
    let rejected = ["reject", grant, "--reason", "No", "--yes", "--json"];
    let rejected = stage.run("ann", &rejected).await?.json()?;
    ensure!(rejected["spec"]["decision"] == "Reject", "{rejected}");

    let approvals = Api::<Approval>::all(stage.plane.admin()?);
    let all = approvals.list(&Default::default()).await?.items;
    ensure!(all.len() == 2, "{all:?}");
    for approval in all {
        let spec = &approval.spec;
        let approver = spec.approver.as_ref().context("no approver")?;
        ensure!(
            approver.username == "ann" && spec.subject.digest == DIGEST,
            "{spec:?}"
        );
        let subject = (spec.subject.kind.as_str(), spec.subject.name.as_str());
        ensure!(subject == ("AccessGrant", grant), "{spec:?}");
    }
    stage.found(grant, json!({"pendingApprovals": null, "conditions": [condition("Active", "True", "Approved")]})).await?;
    let nothing = stage.run("ann", &approve("--yes")).await?;
    nothing.refused("nothing waits for an approval on AccessGrant")
}

/// What is decided on is what was read: another digest, or another role behind the same name, is not.
async fn read_first(stage: &Stage) -> Result<()> {
    let ask = [&ASK[..], &["--name", "read-first"]].concat();
    stage.run("jane", &ask).await?.fine()?;
    stage.found("read-first", waits()).await?;
    let approve = "approve read-first --reason Planned";
    let mut other = waits();
    other["pendingApprovals"][0]["digest"] = json!(DIGEST.replace('9', "8"));
    let changes = stage.found("read-first", other);
    let said = stage.answers("ann", approve, changes, "yes\n").await?;
    said.refused("what waits on it has changed while you read")?;
    let same = || stage.found("read-first", waits());
    same().await?;
    let said = stage.answers("ann", approve, same(), "y\n").await?;
    said.refused("nothing was sent")?;
    ensure!(
        stage.decisions("read-first").await? == 0,
        "something was sent"
    );
    // A status that says the same again changes nothing.
    let said = stage.answers("ann", approve, same(), "yes\n").await?;
    ensure!(
        said.fine()?.contains("ann approves Activate"),
        "no decision"
    );
    ensure!(stage.decisions("read-first").await? == 1, "no decision");

    let widened =
        json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    let roles: Api<ClusterRole> = Api::all(stage.plane.admin()?);
    let widens = async {
        let (params, patch) = (PatchParams::default(), Patch::Merge(widened));
        roles.patch("tenure-tenant-viewer", &params, &patch).await?;
        Ok(())
    };
    let said = stage.answers("ann", approve, widens, "yes\n").await?;
    said.refused("what was shown of it has changed while you read")?;
    ensure!(stage.decisions("read-first").await? == 1, "of another role");
    stage.found("read-first", json!({"pendingApprovals": null, "conditions": [condition("Ended", "True", "Expired"), condition("EndProven", "True", "Asked")]})).await
}

/// Whoever waits is told when it is active.
async fn waited_for(stage: &Stage) -> Result<()> {
    let ask = [&ASK[..], &["--name", "waited", "--wait"]].concat();
    let waiting = stage.command("jane", &ask)?.spawn()?;
    eventually(SOON, "the grant is there", async || {
        stage.found("waited", waits()).await
    })
    .await?;
    let active = json!({"conditions": [condition("Active", "True", "Approved")]});
    stage.found("waited", active).await?;
    let said = tokio::time::timeout(SOON, waiting.wait_with_output()).await??;
    let said = Said::of(said);
    ensure!(
        said.code == 0 && said.err.contains("is active until"),
        "{}{}",
        said.code,
        said.err
    );
    Ok(())
}

async fn ended(stage: &Stage, grant: &str) -> Result<()> {
    let revoke = ["revoke", grant, "--reason", "Done"];
    stage
        .run("vera", &revoke)
        .await?
        .refused("the API server refused")?;
    let told = stage.run("ann", &revoke).await?.fine()?;
    ensure!(
        told.contains("is revoked: jane-doe as tenure-tenant-viewer"),
        "{told}"
    );
    let told = stage.run("jane", &revoke).await?.fine()?;
    ensure!(told.contains("was revoked before: Done"), "{told}");
    let ended = stage.grants()?.get(grant).await?;
    let reason = ended.spec.revoked.as_ref().map(|it| it.reason.as_str());
    let by = ended.annotations().get("tenure.dev/changed-by");
    ensure!(
        reason == Some("Done") && by.is_some_and(|by| by == "ann"),
        "{ended:?}"
    );

    let over = |proven| json!({"conditions": [condition("Ended", "True", "Revoked"), condition("EndProven", proven, "Asked")]});
    stage.found(grant, over("False")).await?;
    let rows = ["status", "acme", "--json"];
    let states = |rows: &Value| -> Vec<(String, String)> {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (text(row, "name"), text(row, "state")))
            .collect()
    };
    let row = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let said = stage.run("vera", &rows).await?.json()?;
    ensure!(
        states(&said) == [row(grant, "Unproven"), row("waited", "Active")],
        "{said}"
    );
    stage.found(grant, over("True")).await?;
    let said = stage.run("vera", &rows).await?.json()?;
    ensure!(states(&said) == [row("waited", "Active")], "{said}");
    Ok(())
}

/// The same, with an operator that decides: a grant goes its way by the plugin alone.
async fn with_the_operator(stage: &Stage) -> Result<()> {
    let admin = stage.plane.admin()?;
    let signed = json!({"signedOn": "2026-01-05"});
    let trained = json!({"training": {"completedOn": jiff::Timestamp::now().strftime("%F").to_string()}, "acceptableUse": signed,
        "confidentiality": signed, "mfa": signed, "telework": signed, "jobRole": "Engineer"});
    let staff: Api<StaffMember> = Api::all(admin.clone());
    let ann = json!({"metadata": {"name": "ann-roe"}, "spec": {"identities": ["ann"], "status": "Active"}});
    staff
        .create(&PostParams::default(), &serde_json::from_value(ann)?)
        .await?;
    for name in ["jane-doe", "ann-roe"] {
        let trained = Patch::Merge(json!({ "spec": trained }));
        staff.patch(name, &PatchParams::default(), &trained).await?;
    }
    let policy = json!({"metadata": {"name": "default"}, "spec": {
        "grantableRoles": [{"name": "tenure-tenant-operator", "longest": "PT8H", "approvals": 1}], "hosting": {"telework": true},
    }});
    Api::<TenancyPolicy>::all(admin.clone())
        .create(&PostParams::default(), &serde_json::from_value(policy)?)
        .await?;
    let operator = Operator::start(stage.plane.access(), OperatorOptions::default()).await?;
    let ask = [
        "request",
        "acme",
        "--role",
        "tenure-tenant-operator",
        "--namespace",
        "prod",
        "--for",
        "1h",
        "--reason",
        "It hangs",
        "--ticket",
        "CHG-2",
        "--name",
        "real",
    ];
    stage.run("jane", &ask).await?.fine()?;
    let becomes = async |states: &[&str], why: &str| {
        eventually(SOON, &format!("{states:?}: {why}"), async || {
            let all = stage
                .run("vera", &["status", "acme", "--all", "--json"])
                .await?
                .json()?;
            let mut rows = all.as_array().context("no list")?.iter();
            let row = rows
                .find(|row| row["name"] == "real")
                .context("not listed")?;
            let state = row["state"].as_str().context("no state")?;
            ensure!(
                states.contains(&state) && row.to_string().contains(why),
                "{row}"
            );
            Ok(())
        })
        .await
    };
    let bindings: Api<RoleBinding> = Api::namespaced(admin, "acme-prod");
    let bound = async || -> Result<bool> {
        let all = bindings.list(&ListParams::default()).await?;
        Ok(all
            .iter()
            .any(|it| it.role_ref.name == "tenure-tenant-operator"))
    };
    becomes(&["Pending"], "AwaitingApproval").await?;
    ensure!(!bound().await?, "bound before it was approved");
    stage
        .run("ann", &["approve", "real", "--reason", "Planned", "--yes"])
        .await?
        .fine()?;
    becomes(&["Active"], "").await?;
    ensure!(bound().await?, "not bound");
    who_can(stage).await.context("who can")?;
    stage
        .run("jane", &["revoke", "real", "--reason", "Done"])
        .await?
        .fine()?;
    // Whether every API server can be asked is another test's.
    becomes(&["Unproven", "Ended"], "").await?;
    ensure!(!bound().await?, "still bound");
    operator.stop().await?;
    reported(stage).await.context("reported")
}

/// While one grant is live: it, a deployer, and a binding that nobody declared, as whoever may read all of RBAC.
async fn who_can(stage: &Stage) -> Result<()> {
    let admin = stage.plane.admin()?;
    let deployer = json!({"spec": {"deployers": [{"name": "flux", "namespace": "flux-system", "serviceAccount": "flux"}]}});
    Api::<CustomerTenant>::all(admin.clone())
        .patch("acme", &PatchParams::default(), &Patch::Merge(deployer))
        .await?;
    let stranger = json!({
        "metadata": {"name": "stranger"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
    });
    Api::<ClusterRoleBinding>::all(admin)
        .create(&PostParams::default(), &serde_json::from_value(stranger)?)
        .await?;
    let asks = async |more: &[&str]| -> Result<Value> {
        let ask = [&["who-can", "acme", "--json"], more].concat();
        stage.run("audrey", &ask).await?.json()
    };
    let row = |found: &Value, name: &str| -> Option<Value> {
        let mut rows = found["access"].as_array()?.iter();
        rows.find(|row| row["subject"]["name"] == name).cloned()
    };
    let deploys = eventually(SOON, "the deployer is bound", async || {
        row(&asks(&[]).await?, "flux").context("not listed")
    });
    let origin = &deploys.await?["origin"];
    ensure!(
        *origin == json!({"kind": "Deployer", "entry": "flux"}),
        "{origin}"
    );
    let found = asks(&[]).await?;
    let jane = row(&found, "jane").context("no jane")?;
    ensure!(
        jane["persons"] == json!(["StaffMember/jane-doe"])
            && jane["role"] == "ClusterRole/tenure-tenant-operator"
            && jane["namespaces"] == json!(["acme-prod"])
            && jane["origin"]["kind"] == "Grant"
            && jane["origin"]["name"] == "real",
        "{jane:#}"
    );
    let mallory = row(&found, "mallory").context("no mallory")?;
    ensure!(
        mallory["everyNamespace"] == true
            && mallory["binding"] == "ClusterRoleBinding/stranger"
            && mallory["origin"]["kind"] == "Foreign",
        "{mallory:#}"
    );
    // The operator and the cluster's own components are not strangers.
    let kinds = |found: &Value| -> Vec<String> {
        let rows = found["access"].as_array().into_iter().flatten();
        rows.map(|row| row.to_string()).collect()
    };
    let strangers: Vec<String> = kinds(&found)
        .into_iter()
        .filter(|row| row.contains(SERVICE_ACCOUNT) || row.contains("kube-system"))
        .collect();
    ensure!(strangers.is_empty(), "{strangers:#?}");
    let components = found["hidden"]["components"].as_u64();
    ensure!(components > Some(0), "{}", found["hidden"]);
    let all = kinds(&asks(&["--all"]).await?);
    ensure!(
        all.iter().any(|row| row.contains(SERVICE_ACCOUNT)),
        "{all:#?}"
    );

    // Exactly that, in the API group that has it; the API server's own authorizer says the same.
    let scale = ["--verb", "patch", "--resource", "deployments/scale"];
    let found = asks(&scale).await?;
    for (name, can) in [("jane", true), ("mallory", false), ("vera", false)] {
        ensure!(row(&found, name).is_some() == can, "{name}: {found:#}");
        let kubectl = stage.plane.kubectl(&Identity::user(name))?;
        let args = [
            "auth",
            "can-i",
            "patch",
            "deployments.apps",
            "--subresource=scale",
            "--namespace=acme-prod",
        ];
        let said = kubectl.run(&args).await?;
        ensure!(
            (said.stdout.trim() == "yes") == can,
            "{name}: {}",
            said.stdout
        );
    }
    let wrong = ["who-can", "acme", "--verb", "get", "--resource", "secret"];
    stage
        .run("audrey", &wrong)
        .await?
        .refused("no such resource")?;
    let text = stage.run("audrey", &["who-can", "acme"]).await?.fine()?;
    for shown in [
        "User jane (StaffMember/jane-doe)",
        "AccessGrant real of jane-doe, until 20",
        "FOREIGN: nobody declared it",
        "Not seen here:",
    ] {
        ensure!(text.contains(shown), "{shown:?} is not in {text}");
    }
    let unknown = stage.run("audrey", &["who-can", "acne"]).await?;
    unknown.refused("no CustomerTenant has that name")?;
    let vera = stage.run("vera", &["who-can", "acme"]).await?;
    vera.refused("ClusterRole tenure-auditor")
}

/// What the record says of it, to whoever holds a copy and the published keys.
async fn reported(stage: &Stage) -> Result<()> {
    let record = Record::of(stage.plane.access())?;
    let folder = record.folder();
    let keys = record.keys();
    let second = record.second_place();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let (folder, keys, second) = (path(&folder), path(&keys), path(&second));
    let ask = [
        "report",
        "access",
        &folder,
        "--keys",
        &keys,
        "--second-place",
        &second,
        "--person",
        "jane-doe",
    ];
    let said = stage
        .run("nobody", &[&ask[..], &["--json"]].concat())
        .await?
        .json()?;
    let accesses = said["accesses"].as_array().context("no list")?;
    // What was only said to be active, no operator ever recorded.
    ensure!(accesses.len() == 1, "{said:#}");
    let access = &accesses[0];
    let grant = stage.grants()?.get("real").await?;
    let status = grant.status.context("no status")?;
    let from = |text: &Value| -> Result<jiff::Timestamp> {
        Ok(text.as_str().context("no instant")?.parse()?)
    };
    ensure!(
        access["grant"] == "real"
            && access["tenant"] == "acme"
            && access["chain"] == TENANT_ID
            && access["identity"] == "jane"
            && access["role"] == "tenure-tenant-operator"
            && access["namespaces"] == json!(["acme-prod"])
            && access["ticket"] == "CHG-2"
            && access["requestedBy"] == "jane"
            && access["approvals"] == json!(status.approved_by)
            && access["notAfter"] == json!(grant.spec.not_after)
            && access["reason"] == "Revoked",
        "{access:#}"
    );
    let until = status.ended_at.context("no end")?;
    ensure!(
        from(&access["until"])? == until.parse()?,
        "{access:#}: {until}"
    );
    ensure!(
        from(&access["from"])? <= from(&access["until"])?,
        "{access:#}"
    );
    let text = stage
        .run("nobody", &[&ask[..], &["--language", "fr"]].concat())
        .await?
        .fine()?;
    ensure!(
        text.contains("CHG-2") && text.contains("Demandé par"),
        "{text}"
    );
    Ok(())
}
