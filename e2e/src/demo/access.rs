//! The chapters about access: asked for by one person, approved by another, ended everywhere, whatever ends it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::plugin::plugin;
use super::request::{create, look, patch, send};
use super::stage::Stage;
use super::tell;
use super::tenants::condition;
use crate::identity::Identity;
use crate::wait::eventually;

/// How long the operator may take for what it does at once.
const SOON: Duration = Duration::from_secs(30);
const TENANT: &str = "logistics";
const ROLE: &str = "tenure-tenant-operator";
const ENGINEER: &str = "demo-engineer";
const LEAD: &str = "demo-lead";
const KINDS: &str = "/apis/tenure.dev/v1alpha1";
/// The bindings that let the two people ask and decide.
pub(super) const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// What of the cluster's these chapters make beside our own kinds.
pub(super) fn made() -> impl Iterator<Item = String> {
    let bound = bound().into_iter();
    bound.map(|(user, role)| format!("{BINDINGS}/{user}-{role}"))
}

fn bound() -> [(&'static str, &'static str); 5] {
    [
        (ENGINEER, "tenure-requester"),
        (ENGINEER, "tenure-approver"),
        (ENGINEER, "tenure-break-glass"),
        (LEAD, "tenure-approver"),
        (LEAD, "tenure-requester"),
    ]
}

/// Registers two people, and has one ask.
pub(super) async fn requested(stage: &mut Stage) -> Result<()> {
    let client = stage.access()?.admin()?;
    for (user, role) in bound() {
        let binding = json!({
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        });
        send(&client, &create(BINDINGS, binding)).await?;
    }
    let start = Instant::now();
    for person in [ENGINEER, LEAD] {
        send(
            &client,
            &create(format!("{KINDS}/staffmembers"), staff(person)),
        )
        .await?;
    }
    let what = "two people are in the staff register";
    tell::done(what, start.elapsed(), "trained, policies signed");
    let start = Instant::now();
    let said = ask(stage, "demo-restart", &[]).await?;
    tell::done(
        "kubectl tenure request",
        start.elapsed(),
        said.lines().next().unwrap_or_default(),
    );
    let grant = stands(stage, "demo-restart", "Active", "AwaitingApproval").await?;
    tell::line(message(&grant, "Active"));
    lets(stage, false).await?;
    tell::done("nobody is let in yet", start.elapsed(), "");
    Ok(())
}

/// Has the person approve their own access: it is admitted, and void.
pub(super) async fn self_approved(stage: &mut Stage) -> Result<()> {
    let start = Instant::now();
    decide(stage, ENGINEER, "approve", "demo-restart").await?;
    let client = stage.access()?.admin()?;
    let void = eventually(SOON, "the approval is void", async || {
        let list = look(&client, &format!("{KINDS}/approvals"))
            .await?
            .unwrap_or_default();
        let mut items = list["items"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter();
        let own = items.find(|approval| approval["spec"]["subject"]["name"] == "demo-restart");
        let own = own.context("there is no approval")?;
        let valid = condition(&own, "Valid")
            .context("nothing is said of it")?
            .clone();
        ensure!(valid["reason"] == "SelfApproval", "{valid}");
        Ok(valid)
    })
    .await?;
    let why = void["message"].as_str().unwrap_or_default();
    tell::done(
        "the engineer's own approval does not count",
        start.elapsed(),
        why,
    );
    lets(stage, false).await
}

/// Has somebody else approve: the person is let in.
pub(super) async fn active(stage: &mut Stage) -> Result<()> {
    let start = Instant::now();
    decide(stage, LEAD, "approve", "demo-restart").await?;
    let grant = stands(stage, "demo-restart", "Active", "Active").await?;
    lets(stage, true).await?;
    tell::done(
        "the lead's does, and the engineer is let in",
        start.elapsed(),
        message(&grant, "Active"),
    );
    let said = plugin(&["status", TENANT, "--kubeconfig", &kubeconfig(stage, LEAD)?]).await?;
    said.text.lines().for_each(tell::line);
    Ok(())
}

/// Revokes it: every API server says no.
pub(super) async fn ended(stage: &mut Stage) -> Result<()> {
    let start = Instant::now();
    let lead = kubeconfig(stage, LEAD)?;
    let revoke = [
        "revoke",
        "demo-restart",
        "--reason",
        "the planner runs again",
        "--kubeconfig",
        &lead,
    ];
    plugin(&revoke).await?.success()?;
    lets(stage, false).await?;
    tell::done("revoked: the engineer is out", start.elapsed(), "");
    proven(stage, "demo-restart").await
}

/// Waits for the proof of an end. Somebody's cluster may hide its API servers; then that is what is said.
async fn proven(stage: &Stage, name: &str) -> Result<()> {
    let start = Instant::now();
    let client = stage.access()?.admin()?;
    let said = eventually(SOON, &format!("the end of {name} is proven"), async || {
        let grant = look(&client, &format!("{KINDS}/accessgrants/{name}")).await?;
        let grant = grant.context("it does not exist")?;
        let found = condition(&grant, "EndProven").context("nothing is said of it")?;
        let may_be_hidden = stage.is_somebodys() && found["reason"] == "Unproven";
        ensure!(found["status"] == "True" || may_be_hidden, "{found}");
        Ok(found.clone())
    })
    .await?;
    let message = said["message"].as_str().unwrap_or_default();
    match said["status"] == "True" {
        true => tell::done("and that is proven", start.elapsed(), message),
        false => tell::line(&format!(
            "and that cannot be proven on this cluster: {message}"
        )),
    }
    Ok(())
}

/// The person leaves: access ends by itself.
pub(super) async fn left(stage: &mut Stage) -> Result<()> {
    ask(stage, "demo-second", &[]).await?;
    decide(stage, LEAD, "approve", "demo-second").await?;
    stands(stage, "demo-second", "Active", "Active").await?;
    lets(stage, true).await?;
    let client = stage.access()?.admin()?;
    let path = format!("{KINDS}/staffmembers/{ENGINEER}");
    let start = Instant::now();
    send(&client, &patch(&path, json!({"spec": {"status": "Left"}}))).await?;
    lets(stage, false).await?;
    let what = "the staff register says that the engineer left: out";
    tell::done(what, start.elapsed(), "");
    stands(stage, "demo-second", "Ended", "PersonLeft").await?;
    proven(stage, "demo-second").await?;
    send(
        &client,
        &patch(&path, json!({"spec": {"status": "Active"}})),
    )
    .await?;
    Ok(())
}

/// An emergency that is none: let in at once, and out at the first no.
pub(super) async fn broken_glass(stage: &mut Stage) -> Result<()> {
    let start = Instant::now();
    ask(stage, "demo-emergency", &["--break-glass"]).await?;
    let grant = stands(stage, "demo-emergency", "Active", "BreakGlass").await?;
    lets(stage, true).await?;
    tell::done(
        "in an emergency nobody is asked first",
        start.elapsed(),
        message(&grant, "Active"),
    );
    let start = Instant::now();
    decide(stage, LEAD, "reject", "demo-emergency").await?;
    lets(stage, false).await?;
    stands(stage, "demo-emergency", "Ended", "Rejected").await?;
    tell::done(
        "the lead sees none and rejects it: out",
        start.elapsed(),
        "",
    );
    proven(stage, "demo-emergency").await
}

fn staff(name: &str) -> Value {
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": name},
        "spec": {
            "identities": [name], "status": "Active", "training": {"completedOn": today}, "telework": {"signedOn": today},
            "acceptableUse": {"signedOn": today}, "confidentiality": {"signedOn": today}, "mfa": {"signedOn": today}
        }
    })
}

fn kubeconfig(stage: &Stage, user: &str) -> Result<String> {
    let file: PathBuf = stage.access()?.kubeconfig(&Identity::user(user))?;
    let file = file.to_str().context("a path is not valid UTF-8")?;
    Ok(file.to_owned())
}

async fn ask(stage: &Stage, name: &str, more: &[&str]) -> Result<String> {
    let engineer = kubeconfig(stage, ENGINEER)?;
    let namespaces = stage.namespaces()?;
    let own = namespaces
        .iter()
        .find(|namespace| namespace.starts_with(TENANT));
    let mut args = vec![
        "request",
        TENANT,
        "--role",
        ROLE,
        "--for",
        "1h",
        "--ticket",
        "CHG-1042",
        "--reason",
        "The planner hangs",
        "--name",
        name,
        "--kubeconfig",
        &engineer,
        "--namespace",
        own.context("the tenant has no namespace")?,
    ];
    args.extend(more);
    plugin(&args).await?.success()
}

async fn decide(stage: &Stage, user: &str, verb: &str, grant: &str) -> Result<()> {
    let file = kubeconfig(stage, user)?;
    let args = [
        verb,
        grant,
        "--reason",
        "seen with the service desk",
        "--yes",
        "--kubeconfig",
        &file,
    ];
    plugin(&args).await?.success().map(drop)
}

/// Waits until a condition of a grant has that reason.
async fn stands(stage: &Stage, name: &str, kind: &str, reason: &str) -> Result<Value> {
    let client = stage.access()?.admin()?;
    eventually(SOON, &format!("{name}: {kind} {reason}"), async || {
        let grant = look(&client, &format!("{KINDS}/accessgrants/{name}")).await?;
        let grant = grant.context("it does not exist")?;
        let found = condition(&grant, kind).context("nothing is said of it")?;
        ensure!(found["reason"] == reason, "{found}");
        Ok(grant)
    })
    .await
}

fn message<'a>(grant: &'a Value, kind: &str) -> &'a str {
    let found = condition(grant, kind);
    found
        .and_then(|found| found["message"].as_str())
        .unwrap_or_default()
}

/// Waits until the engineer is let in, or is not.
async fn lets(stage: &Stage, expect: bool) -> Result<()> {
    let client = stage.access()?.client(&Identity::user(ENGINEER))?;
    let namespaces = stage.namespaces()?;
    let own = namespaces
        .iter()
        .find(|namespace| namespace.starts_with(TENANT));
    let review = json!({"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": own}}});
    eventually(SOON, &format!("let in: {expect}"), async || {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = send(&client, &create(path, review.clone())).await?;
        ensure!(answer["status"]["allowed"] == expect, "{answer}");
        Ok(())
    })
    .await
}
