//! A review: everything that gives access listed when it is due, decided on by somebody else, and what a lapse ends.

use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tenure_crds::access_review::{AccessKind, ReviewLine};
use tenure_crds::{AccessGrant, AccessReview, CustomerTenant};
use tenure_e2e::paths::target;
use tenure_e2e::{SignIn, eventually};
use tenure_operator::record::Review;
use tokio::process::Command;

use super::super::time::reviews_moved;
use super::super::{ACME, PROD, SOON, Stage};

const REVIEWER: &str = "tenure-reviewer";
const QUARTERLY: &str = "dsa-2.4-quarterly-access-review";
const PRIVILEGED: &str = "dsa-2.4-quarterly-privileged-review";
const NEED_TO_KNOW: &str = "dsa-2.0-need-to-know";

/// Everything about reviews, one after the other.
pub(crate) async fn reviewed(stage: &mut Stage) -> Result<()> {
    for user in ["oidc:lead", "oidc:worker"] {
        stage.may(user, REVIEWER).await?;
    }
    declare(stage, "tenure-tenant-deployer").await?;
    for name in ["needed", "idle", "forgotten"] {
        stage.ask(name, json!({})).await?;
        stage.approve(name).await?;
        stage.active(name, "Active").await?;
    }
    stage.judged(QUARTERLY, "Compliant", "AsObserved").await?;
    due(stage).await.context("due")?;
    decided(stage).await.context("decided")?;
    kept_on_record(stage).await.context("kept on record")?;
    lapsed(stage).await.context("lapsed")?;
    completed(stage).await.context("completed")?;
    everywhere(stage).await.context("everywhere")?;
    stage.revoke("needed").await?;
    stage.ended("needed", "Revoked").await
}

/// The tenant with a deployer and a group of the customer's own people.
async fn declare(stage: &Stage, role: &str) -> Result<()> {
    let role = match role {
        "tenure-tenant-deployer" => "Deployer",
        _ => "Viewer",
    };
    let spec = json!({"spec": {
        "deployers": [{"name": "flux", "namespace": "flux-system", "serviceAccount": "apply", "role": role}],
        "members": [{"name": "ops", "kind": "Group", "subject": "acme-ops", "role": "Member"}]
    }});
    let api: Api<CustomerTenant> = Api::all(stage.admin()?);
    let params = PatchParams::default();
    api.patch("acme", &params, &Patch::Merge(spec)).await?;
    bound(stage, "tenure-deployer-flux", true).await
}

async fn bound(stage: &Stage, binding: &str, expect: bool) -> Result<()> {
    let api: Api<RoleBinding> = Api::namespaced(stage.admin()?, PROD);
    eventually(SOON, &format!("{binding} stands: {expect}"), async || {
        ensure!(api.get_opt(binding).await?.is_some() == expect);
        Ok(())
    })
    .await
}

/// Nobody can wait for three months: the record is moved back in time, as the operator itself writes it.
async fn back_in_time(stage: &mut Stage, change: impl Fn(&mut Review)) -> Result<()> {
    stage.stop().await?;
    reviews_moved(stage.plane.access(), &stage.record, &["acme"], change).await?;
    stage.start().await
}

fn reviews(client: Client) -> Api<AccessReview> {
    Api::all(client)
}

async fn review(stage: &Stage, name: &str) -> Result<AccessReview> {
    let api = reviews(stage.admin()?);
    let mut found = None;
    eventually(SOON, &format!("{name} is shown"), async || {
        let review = api.get(name).await?;
        let status = review.status.clone().unwrap_or_default();
        ensure!(status.observed_generation == review.metadata.generation);
        found = Some(review);
        Ok(())
    })
    .await?;
    found.context("no review")
}

fn about<'a>(review: &'a AccessReview, reference: &str) -> Result<(usize, &'a ReviewLine)> {
    let mut lines = review.spec.lines.iter().enumerate();
    let found = lines.find(|(_, line)| line.reference == reference);
    found.with_context(|| format!("no line about {reference} in {:#?}", review.spec.lines))
}

/// Writes fields of a line, as `kubectl edit` would.
async fn write(by: &Client, review: &AccessReview, reference: &str, fields: Value) -> Result<()> {
    let api = reviews(by.clone());
    let name = review.name_any();
    let (index, _) = about(review, reference)?;
    loop {
        let mut object = serde_json::to_value(api.get(&name).await?)?;
        for (field, value) in fields.as_object().context("fields")? {
            object["spec"]["lines"][index][field] = value.clone();
        }
        let object: AccessReview = serde_json::from_value(object)?;
        match api.replace(&name, &PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            outcome => return outcome.map(drop).map_err(Into::into),
        }
    }
}

/// Somebody who may write reviews as objects, and review nothing.
async fn editor(stage: &Stage) -> Result<Client> {
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": "writes-reviews"},
        "rules": [{"apiGroups": ["tenure.dev"], "resources": ["accessreviews"], "verbs": ["get", "create", "update", "delete"]}]
    }))?;
    let api = Api::all(stage.admin()?);
    api.create(&PostParams::default(), &role).await?;
    stage.may("editor", "writes-reviews").await?;
    stage.user("editor")
}

/// What the record tells of the tenant's reviews.
async fn told(stage: &Stage, kind: &str, count: usize) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    eventually(SOON, &format!("{count} of {kind} on record"), async || {
        found = stage.record.events(ACME).await?;
        found.retain(|event| event["type"] == kind);
        ensure!(found.len() == count, "{found:#?}");
        Ok(())
    })
    .await?;
    Ok(found)
}

fn refusal<T: Debug>(outcome: Result<T>, words: &str) -> Result<()> {
    let error = outcome.err().context("it was let through")?;
    let text = format!("{error:#}");
    ensure!(text.contains(words), "{text}");
    Ok(())
}

/// Everything that gives access is on the list, two weeks before three months are over.
async fn due(stage: &mut Stage) -> Result<()> {
    let then = Timestamp::now() - SignedDuration::from_hours(24 * 80);
    back_in_time(stage, |review| review.frozen_at = then.to_string()).await?;
    let review = review(stage, "acme-1").await?;
    let listed: Vec<&str> = review
        .spec
        .lines
        .iter()
        .map(|line| line.reference.as_str())
        .collect();
    for reference in [
        "AccessGrant/needed",
        "AccessGrant/idle",
        "AccessGrant/forgotten",
        "spec.deployers flux",
        "spec.members ops",
    ] {
        ensure!(listed.contains(&reference), "{reference} in {listed:?}");
    }
    ensure!(listed.len() == 5, "{listed:?}");
    let due: Timestamp = review.spec.due_at.parse()?;
    let left = due.duration_since(Timestamp::now());
    let days = left.as_hours() / 24;
    ensure!((8..=12).contains(&days), "{days} days");
    let opened = told(stage, "review.opened", 1).await?;
    ensure!(opened[0]["lines"] == 5, "{opened:#?}");
    Ok(())
}

async fn decided(stage: &Stage) -> Result<()> {
    let review = review(stage, "acme-1").await?;
    let (lead, worker) = (stage.person("lead")?, stage.person("worker")?);
    let keep = || json!({"decision": "Keep"});
    // Only who may review decides, and only the operator makes and removes what is decided on.
    let raw = editor(stage).await?;
    refusal(
        write(&raw, &review, "AccessGrant/needed", keep()).await,
        "may not review access to customertenants/acme",
    )?;
    let mut mine = review.clone();
    mine.metadata = ObjectMeta {
        name: Some("acme-2".into()),
        ..Default::default()
    };
    refusal(
        reviews(raw.clone())
            .create(&Default::default(), &mine)
            .await
            .map_err(Into::into),
        "only the Tenure operator makes and removes AccessReviews",
    )?;
    refusal(
        reviews(raw)
            .delete("acme-1", &DeleteParams::default())
            .await
            .map_err(Into::into),
        "only the Tenure operator makes and removes AccessReviews",
    )?;
    // What is listed stays as it is.
    refusal(
        write(
            &lead,
            &review,
            "AccessGrant/needed",
            json!({"who": ["StaffMember/lead"]}),
        )
        .await,
        "the lines of a review are frozen",
    )?;
    refusal(
        write(
            &lead,
            &review,
            "AccessGrant/idle",
            json!({"decision": "Revoke"}),
        )
        .await,
        "whoever revokes says why",
    )?;
    // Nobody reviews their own access, and nobody decides in another's name.
    let forged = json!({"decision": "Keep", "decidedBy": "oidc:lead"});
    write(&worker, &review, "AccessGrant/needed", forged).await?;
    let (index, line) = about(&review, "AccessGrant/needed")?;
    let name = line.name.clone();
    eventually(SOON, "the own decision does not count", async || {
        let now = reviews(stage.admin()?).get("acme-1").await?;
        let by = now.spec.lines[index].decided_by.clone();
        ensure!(by.as_deref() == Some("oidc:worker"), "{by:?}");
        let status = now.status.unwrap_or_default();
        let void: Vec<&str> = status.void.iter().map(|void| void.name.as_str()).collect();
        ensure!(
            void == [name.as_str()] && status.undecided == Some(5),
            "{status:#?}"
        );
        Ok(())
    })
    .await?;
    let again = json!({"decision": "Keep", "reason": "The contract runs until summer."});
    write(&lead, &review, "AccessGrant/needed", again).await?;
    let revoke = json!({"decision": "Revoke", "reason": "Nobody used it."});
    write(&lead, &review, "AccessGrant/idle", revoke.clone()).await?;
    stage
        .stands::<AccessGrant>("idle", ["Ended", "True", "ReviewRevoked"])
        .await?;
    ensure!(stage.bindings_of("idle").await?.is_empty());
    // What Git declares and a reviewer revoked is bound nowhere.
    write(&lead, &review, "spec.deployers flux", revoke).await?;
    bound(stage, "tenure-deployer-flux", false).await?;
    let message = stage
        .judged(QUARTERLY, "Drifted", "RevokedAccessStands")
        .await?;
    ensure!(message.contains("spec.deployers flux"), "{message}");
    let decided = told(stage, "review.decided", 3).await?;
    let by: Vec<(&str, &str)> = decided
        .iter()
        .filter_map(|told| Some((told["about"].as_str()?, told["by"].as_str()?)))
        .collect();
    ensure!(by.iter().all(|(_, by)| *by == "oidc:lead"), "{by:?}");
    Ok(())
}

/// A list that is lost is made again, with what was decided.
async fn kept_on_record(stage: &Stage) -> Result<()> {
    let before = review(stage, "acme-1").await?;
    let api = reviews(stage.plane.break_glass()?);
    api.delete("acme-1", &DeleteParams::default()).await?;
    eventually(SOON, "the list is made again", async || {
        let now = reviews(stage.admin()?).get("acme-1").await?;
        ensure!(now.metadata.uid != before.metadata.uid);
        let (_, line) = about(&now, "AccessGrant/needed")?;
        ensure!(line.decided_by.as_deref() == Some("oidc:lead"), "{line:?}");
        ensure!(now.spec.due_at == before.spec.due_at);
        let status = now.status.unwrap_or_default();
        ensure!(status.undecided == Some(2), "{status:#?}");
        Ok(())
    })
    .await
}

/// A grant nobody decided on ends; what the customer declares is told, and stays.
async fn lapsed(stage: &mut Stage) -> Result<()> {
    let soon = Timestamp::now() + SignedDuration::from_secs(20);
    back_in_time(stage, |review| review.due_at = soon.to_string()).await?;
    stage
        .stands::<AccessGrant>("forgotten", ["Active", "True", "Active"])
        .await?;
    stage
        .stands::<AccessGrant>("forgotten", ["Ended", "True", "ReviewLapsed"])
        .await?;
    ensure!(Timestamp::now() >= soon);
    ensure!(stage.bindings_of("forgotten").await?.is_empty());
    stage.active("needed", "Active").await?;
    bound(stage, "tenure-member-ops", true).await?;
    let message = stage.judged(QUARTERLY, "Expired", "ReviewLapsed").await?;
    ensure!(message.contains("spec.members ops"), "{message}");
    stage
        .stands::<AccessReview>("acme-1", ["Lapsed", "True", "Lapsed"])
        .await?;
    let metrics = stage.operator.as_ref().context("no operator runs")?;
    let says = r#"tenure_access_review_lapsed{customertenant="acme"} 1"#;
    // The grant is one of them until it is seen to have ended.
    eventually(SOON, says, async || {
        let metrics = metrics.metrics().await?;
        ensure!(metrics.lines().any(|line| line == says), "no {says}");
        Ok(())
    })
    .await?;
    let lapsed = told(stage, "review.lapsed", 1).await?;
    ensure!(
        lapsed[0]["undecided"] == json!(["AccessGrant/forgotten", "spec.members ops"]),
        "{lapsed:#?}"
    );
    Ok(())
}

/// The last decision completes it; declared otherwise, what was revoked is another access.
async fn completed(stage: &Stage) -> Result<()> {
    by_the_plugin(stage).await.context("by the plugin")?;
    stage
        .stands::<AccessReview>("acme-1", ["Completed", "True", "Completed"])
        .await?;
    stage
        .judged(QUARTERLY, "Drifted", "RevokedAccessStands")
        .await?;
    declare(stage, "tenure-tenant-viewer").await?;
    stage.judged(QUARTERLY, "Compliant", "AsObserved").await?;
    Ok(())
}

async fn by_the_plugin(stage: &Stage) -> Result<()> {
    let server = stage.servers.first().context("no API server")?;
    let sign_in = SignIn::of("lead").with_second_factor();
    let kubeconfig = server.kubeconfig_with_token(&stage.plane.issuer()?.token(&sign_in)?, None)?;
    let plugin = async |words: &[&str]| {
        let mut plugin = Command::new(target().join("debug/kubectl-tenure"));
        plugin.args(["review", "acme", "--kubeconfig"]);
        plugin.arg(&kubeconfig).args(words).output().await
    };
    let shown = plugin(&[]).await?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(
        shown.status.success()
            && text.contains("lapsed: it was due at")
            && text.contains("oidc:lead"),
        "{shown:?}"
    );
    let unasked = plugin(&["--keep-rest"]).await?;
    let text = String::from_utf8_lossy(&unasked.stderr);
    ensure!(
        !unasked.status.success() && text.contains("--yes"),
        "{text}"
    );
    let decided = plugin(&["--keep-rest", "--yes", "--json"]).await?;
    ensure!(decided.status.success(), "{decided:?}");
    let object: AccessReview = serde_json::from_slice(&decided.stdout)?;
    let (_, line) = about(&object, "spec.members ops")?;
    ensure!(line.decided_by.as_deref() == Some("oidc:lead"), "{line:?}");
    Ok(())
}

/// What reaches every tenant is reviewed once, and counts for all of them.
async fn everywhere(stage: &Stage) -> Result<()> {
    stage.judged(PRIVILEGED, "Expired", "ReviewLapsed").await?;
    let review = review(stage, "platform.1").await?;
    ensure!(
        review
            .spec
            .lines
            .iter()
            .all(|line| line.kind == AccessKind::Binding)
    );
    let (lead, worker) = (stage.person("lead")?, stage.person("worker")?);
    let own = |line: &ReviewLine, name: &str| line.who.iter().any(|who| who.contains(name));
    for line in &review.spec.lines {
        let by = match own(line, "lead") {
            true => &worker,
            false => &lead,
        };
        write(by, &review, &line.reference, json!({"decision": "Keep"})).await?;
    }
    stage
        .stands::<AccessReview>("platform.1", ["Completed", "True", "Completed"])
        .await?;
    stage.judged(PRIVILEGED, "Compliant", "AsObserved").await?;
    let message = stage
        .judged(NEED_TO_KNOW, "Compliant", "AsObserved")
        .await?;
    ensure!(message.contains("kept"), "{message}");
    Ok(())
}
