//! The chapter `drift-repaired`: what break-glass does, on record, is put back as it was agreed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::Client;
use serde_json::{Value, json};

use super::attacks::target;
use super::request::{Ask, delete, get, items, look, patch, send};
use super::stage::{Stage, namespace_path};
use super::tell;
use crate::wait::eventually;

/// How long a repair may take at most.
const REPAIRED: Duration = Duration::from_secs(10);
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

/// One thing that is broken.
struct Breach {
    what: &'static str,
    path: String,
    /// Merge patch; `None` deletes the object.
    change: Option<Value>,
}

/// Breaks things as break-glass and measures until each stands again as before.
pub(super) async fn repaired(stage: &mut Stage) -> Result<()> {
    let target = target(stage)?;
    let client = stage.access()?.break_glass()?;
    for breach in breaches(&client, target).await? {
        let took = mend(&client, &breach)
            .await
            .with_context(|| breach.what.to_owned())?;
        let actor = actor(&client, &breach).await?;
        tell::done(breach.what, took, &format!("restored; actor {actor}"));
    }
    Ok(())
}

async fn breaches(client: &Client, target: &str) -> Result<Vec<Breach>> {
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{target}/networkpolicies");
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{target}/rolebindings");
    let people = items(client, &bindings).await?.into_iter().find(|binding| {
        binding["metadata"]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("tenure-"))
            && binding["subjects"][0]["kind"] == "Group"
    });
    let mut all = vec![
        Breach {
            what: "delete the policy that denies by default",
            path: format!("{policies}/tenure-default-deny"),
            change: None,
        },
        Breach {
            what: "add a rule that lets everybody in",
            path: format!("{policies}/tenure-same-tenant"),
            change: Some(json!({ "spec": { "ingress": [{}] } })),
        },
        Breach {
            what: "delete the quota",
            path: format!("/api/v1/namespaces/{target}/resourcequotas/tenure"),
            change: None,
        },
        Breach {
            what: "strip the tenant's label off its namespace",
            path: namespace_path(target),
            change: Some(json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } })),
        },
        Breach {
            what: "weaken the pod security of another namespace",
            path: namespace_path("logistics-test"),
            change: Some(
                json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } }),
            ),
        },
    ];
    if let Some(binding) = people {
        let name = binding["metadata"]["name"].as_str().unwrap_or_default();
        let other = json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "somebody:else" }]);
        all.push(Breach {
            what: "give the customer's access to somebody else",
            path: format!("{bindings}/{name}"),
            change: Some(json!({ "subjects": other })),
        });
    }
    Ok(all)
}

/// Breaks it and returns the time from the acknowledged write to the object as it was.
async fn mend(client: &Client, breach: &Breach) -> Result<Duration> {
    let before = send(client, &get(&breach.path)).await?;
    let answer = send(client, &ask(breach)).await?;
    let start = Instant::now();
    let written = breach.change.is_none() || agreed(&answer) != agreed(&before);
    ensure!(written, "the write changed nothing");
    let uid = &before["metadata"]["uid"];
    loop {
        let now = look(client, &breach.path).await?;
        let back = now.is_some_and(|now| {
            let same_object = now["metadata"]["uid"] == *uid;
            same_object == breach.change.is_some() && agreed(&now) == agreed(&before)
        });
        if back {
            return Ok(start.elapsed());
        }
        if start.elapsed() > REPAIRED {
            bail!("not restored within {REPAIRED:?}");
        }
    }
}

fn ask(breach: &Breach) -> Ask {
    match &breach.change {
        Some(change) => patch(&breach.path, change.clone()),
        None => delete(&breach.path),
    }
}

/// What of an object was agreed: not its history and not its status.
fn agreed(object: &Value) -> Value {
    json!([
        object["metadata"]["labels"],
        object["metadata"]["annotations"],
        object["spec"],
        object["roleRef"],
        object["subjects"],
    ])
}

/// Who did it, as the operator's event about the repair claims.
async fn actor(client: &Client, breach: &Breach) -> Result<String> {
    let mut parts = breach.path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let what = format!("the repair of {name} is recorded");
    eventually(Duration::from_secs(10), &what, async || {
        let events = items(client, EVENTS).await?;
        let event = events
            .iter()
            .find(|event| event["reason"] == "DriftRepaired" && event["related"]["name"] == name);
        let note = event.context("no such event")?["note"]
            .as_str()
            .context("the event has no note")?;
        let (_, actor) = note
            .rsplit_once("actor ")
            .context("the event names no actor")?;
        Ok(actor.to_owned())
    })
    .await
}
