//! Row: the namespace of sessions, in which a token dies with its grant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use tenure_e2e::{Identity, eventually};

use super::ask::{Ask, create, passes, really_create, refused, refused_by_one, send};
use super::lifecycle::default_account;
use super::world::{OWN, SESSIONS, World, world, world_alone};

const GUARD: &str = "session-accounts";
const UNIQUE: &str = "dsa-2.4-unique-user-ids";
const REVOCATION: &str = "dsa-2.4-immediate-revocation";
const KNOW: &str = "dsa-2.0-need-to-know";
const ROLES: &str = "dsa-2.4-role-based-access";
static NEXT: AtomicU64 = AtomicU64::new(0);
const RBAC: &str = "rbac.authorization.k8s.io";

fn core(resource: &str) -> String {
    format!("/api/v1/namespaces/{SESSIONS}/{resource}")
}

fn rbac(resource: &str) -> String {
    format!("/apis/{RBAC}/v1/namespaces/{SESSIONS}/{resource}")
}

/// A name of a grant of its own that ends so many minutes from now.
fn account(minutes: i64) -> String {
    let end = Timestamp::now() + SignedDuration::from_mins(minutes);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "tenure-grant-7e57ab1e-0000-4000-8000-{next:012}-{}",
        end.as_second()
    )
}

fn role(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "rules": [{ "apiGroups": [""], "resources": ["serviceaccounts/token"],
        "resourceNames": [name], "verbs": ["create"] }] })
}

fn binding(name: &str, subject: Value) -> Value {
    json!({ "metadata": { "name": name }, "subjects": [subject],
        "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name } })
}

fn person(name: &str) -> Value {
    json!({ "kind": "User", "name": name, "apiGroup": RBAC })
}

/// What the operator makes of a session for `jane`.
async fn session(world: &World, name: &str) {
    let operator = world.operator().await;
    for (path, body) in [
        (
            core("serviceaccounts"),
            json!({ "metadata": { "name": name } }),
        ),
        (rbac("roles"), role(name)),
        (rbac("rolebindings"), binding(name, person("jane"))),
    ] {
        passes(&operator, really_create(path, body)).await;
    }
    let jane = jane(world);
    eventually(Duration::from_secs(30), "jane may ask", async || {
        let said = send(&jane, &fetch(name, lasting(600))).await;
        let said = said.err().map(|error| error.to_string());
        anyhow::ensure!(said.is_none_or(|said| said.contains("AdmissionPolicy")));
        Ok(())
    })
    .await
    .unwrap();
}

fn fetch(name: &str, spec: Value) -> Ask {
    create(
        format!("{}/{name}/token", core("serviceaccounts")),
        json!({ "spec": spec }),
    )
}

fn lasting(seconds: i64) -> Value {
    json!({ "audiences": [], "expirationSeconds": seconds })
}

fn jane(world: &World) -> Client {
    world.client(&Identity::user("jane"))
}

#[tokio::test]
async fn a_sessions_token_ends_a_minute_before_its_grant() {
    let world = world().await;
    let (hour, quarter) = (account(60), account(15));
    session(&world, &hour).await;
    session(&world, &quarter).await;
    let jane = jane(&world);
    for (name, seconds) in [
        (&hour, 3_000),
        (&hour, 3_500),
        (&hour, 600),
        (&quarter, 800),
        (&quarter, 600),
    ] {
        passes(&jane, fetch(name, lasting(seconds))).await;
    }
    for (name, spec, what) in [
        (&hour, lasting(3_600), "Ask for 35"),
        // Within the last minute, for which API servers take a token that is over.
        (&hour, lasting(3_570), "Ask for 35"),
        (&quarter, lasting(870), "Ask for 8"),
        // What nobody says is an hour.
        (&hour, json!({ "audiences": [] }), "a token of 3600 seconds"),
        (&quarter, lasting(900), "Ask for 8"),
    ] {
        refused(&jane, fetch(name, spec), GUARD, REVOCATION, what).await;
    }
    for minutes in [10, -10] {
        let late = account(minutes);
        session(&world, &late).await;
        let what = "No token lives shorter than ten minutes";
        refused(&jane, fetch(&late, lasting(600)), GUARD, REVOCATION, what).await;
    }
}

#[tokio::test]
async fn a_sessions_token_is_its_persons_alone() {
    let world = world().await;
    let name = account(60);
    session(&world, &name).await;
    let operator = world.operator().await;
    let node = world.client(
        &Identity::user("system:node:node-1")
            .group("system:nodes")
            .group("system:masters"),
    );
    for client in [
        &world.admin(),
        &operator,
        &world.machine("argocd", "controller"),
        &world.break_glass(),
    ] {
        refused(
            client,
            fetch(&name, lasting(600)),
            GUARD,
            UNIQUE,
            "may fetch anybody's",
        )
        .await;
    }
    // A node is refused before, by Kubernetes itself: it asks for its pods, and none runs here.
    let node = send(&node, &fetch(&name, lasting(600))).await;
    assert!(node.is_err(), "{node:?}");
    let jane = jane(&world);
    let bound = json!({ "audiences": [], "expirationSeconds": 600,
        "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "app" } });
    refused(&jane, fetch(&name, bound), GUARD, UNIQUE, "boundObjectRef").await;
    passes(&jane, fetch(&name, lasting(600))).await;
    // Somebody else has no right to ask at all.
    let other = world.client(&Identity::user("john"));
    let said = send(&other, &fetch(&name, lasting(600))).await;
    assert!(matches!(said, Err(kube::Error::Api(status)) if status.code == 403));
    // Whoever may ask for the account that is there always gets nothing either.
    default_account(&world.admin(), SESSIONS).await;
    let usual = fetch("default", lasting(600));
    refused(&world.admin(), usual, GUARD, UNIQUE, "is no session's").await;
}

#[tokio::test]
async fn sessions_are_the_operators_to_make_and_nothing_runs_beside_them() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    default_account(&admin, SESSIONS).await;
    let name = account(60);
    let makes = || {
        [
            create(
                core("serviceaccounts"),
                json!({ "metadata": { "name": name } }),
            ),
            create(rbac("roles"), role(&name)),
        ]
    };
    for ask in makes() {
        refused(&admin, ask, GUARD, KNOW, &name).await;
    }
    let other = create(rbac("roles"), role("other"));
    refused(&admin, other, GUARD, KNOW, "other").await;
    for client in [&operator, &world.break_glass()] {
        for ask in makes() {
            passes(client, ask).await;
        }
    }
    // The chart's own are the installer's.
    passes(&admin, create(rbac("roles"), role("tenure-operator"))).await;
    for client in [&admin, &operator, &world.break_glass()] {
        let pod = create(core("pods"), super::workloads::pod());
        refused_by_one(client, pod, &[GUARD, "operator"]).await;
    }
    let token = |kind: &str| {
        json!({ "metadata": { "name": "token", "annotations": { "kubernetes.io/service-account.name": "default" } },
            "type": kind })
    };
    let lasting = token("kubernetes.io/service-account-token");
    for client in [&admin, &world.break_glass()] {
        let ask = create(core("secrets"), lasting.clone());
        refused(client, ask, GUARD, UNIQUE, "lasting token").await;
    }
    passes(&admin, create(core("secrets"), token("Opaque"))).await;
}

#[tokio::test]
async fn the_operator_makes_of_a_session_no_more_than_it_is() {
    let world = world().await;
    let operator = world.operator().await;
    let tenant = world.tenant("sessioned").await;
    let name = account(60);
    let mut wide = role(&name);
    wide["rules"][0]
        .as_object_mut()
        .unwrap()
        .remove("resourceNames");
    let mut more = role(&name);
    more["rules"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }));
    let machine = json!({ "kind": "ServiceAccount", "name": "tenure-operator", "namespace": OWN });
    for (path, body) in [
        (rbac("roles"), wide),
        (rbac("roles"), more),
        (rbac("roles"), role("tenure-operator")),
        (rbac("rolebindings"), binding(&name, machine)),
        (
            rbac("rolebindings"),
            binding(&name, person("system:anonymous")),
        ),
        (
            rbac("rolebindings"),
            binding("tenure-operator", person("jane")),
        ),
        (
            core("serviceaccounts"),
            json!({ "metadata": { "name": "tenure-other" } }),
        ),
        (
            tenant.core("serviceaccounts"),
            json!({ "metadata": { "name": name } }),
        ),
        (tenant.path(&format!("{RBAC}/v1"), "roles"), role(&name)),
    ] {
        refused(&operator, create(path, body), "operator", ROLES, "").await;
    }
    for (path, body) in [
        (rbac("roles"), role(&name)),
        (
            core("serviceaccounts"),
            json!({ "metadata": { "name": name } }),
        ),
    ] {
        passes(&operator, create(path, body)).await;
    }
}

#[tokio::test]
async fn a_sessions_token_is_fetched_with_a_second_factor_where_it_is_configured() {
    let world = world_alone().await;
    let name = account(60);
    session(&world, &name).await;
    let key = "idp.example.org/amr";
    let plain = jane(&world);
    let marked = world.client(&Identity::user("jane").extra(key, "mfa"));
    world
        .settings(Some(
            json!({ "mfa-extra-key": key, "mfa-extra-values": "mfa" }),
        ))
        .await;
    eventually(Duration::from_secs(10), "the rule is on", async || {
        let said = send(&plain, &fetch(&name, lasting(600))).await;
        anyhow::ensure!(said.is_err());
        Ok(())
    })
    .await
    .unwrap();
    refused(
        &plain,
        fetch(&name, lasting(600)),
        "sessions",
        "dsa-2.4-mfa",
        "jane",
    )
    .await;
    passes(&marked, fetch(&name, lasting(600))).await;
    world.settings(None).await;
    eventually(
        Duration::from_secs(10),
        "the rule is off again",
        async || Ok(send(&plain, &fetch(&name, lasting(600))).await?),
    )
    .await
    .unwrap();
}
