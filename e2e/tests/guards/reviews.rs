//! Rows: reviews of access, and the stamps of who asked, approved and decided.

use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{create, passes, really_create, really_delete, refused, replace, send};
use super::people::{APPROVALS, GRANTS, approval, approver, grant, holder};
use super::world::{World, world, world_alone};

const DUTIES: &str = "dsa-2.4-separation-of-duties";
const QUARTERLY: &str = "dsa-2.4-quarterly-access-review";
const REVIEWS: &str = "/apis/tenure.dev/v1alpha1/accessreviews";
const STAMPS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";

fn review(name: &str, tenant: Option<&str>) -> Value {
    let line = |name: &str| {
        json!({ "name": name, "kind": "Grant", "who": ["StaffMember/jane"], "role": "ClusterRole/view",
            "namespaces": ["acme-prod"], "reference": format!("AccessGrant/{name}") })
    };
    let mut body = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessReview", "metadata": { "name": name },
        "spec": { "frozenAt": "2026-03-02T10:00:00Z", "dueAt": "2026-03-16T10:00:00Z", "lines": [line("one"), line("two")] },
    });
    if let Some(tenant) = tenant {
        body["spec"]["tenantRef"] = json!({ "name": tenant });
        body["spec"]["tenantID"] = json!(super::world::tenant_id());
    }
    body
}

/// As the operator has it, with a decision in its first line.
fn decided(made: &Value, decision: Option<&str>) -> Value {
    let mut body = made.clone();
    let line = &mut body["spec"]["lines"][0];
    for (field, value) in [
        ("decision", decision),
        ("reason", decision.map(|_| "looked at")),
    ] {
        line[field] = json!(value);
    }
    body
}

async fn reviewer(world: &World, user: &str, resource: &str, name: &str) -> kube::Client {
    holder(world, user, "review", resource, name).await
}

#[tokio::test]
async fn reviews_are_the_operators_to_make_and_to_take_away() {
    let world = world().await;
    let operator = world.operator().await;
    passes(&operator, create(REVIEWS, review("acme-7", Some("acme")))).await;
    for client in [&world.admin(), &world.break_glass()] {
        let ask = create(REVIEWS, review("acme-7", Some("acme")));
        refused(
            client,
            ask,
            "accessreviews",
            QUARTERLY,
            "only the Tenure operator",
        )
        .await;
    }
    let mut probe = review("acme-7", Some("acme"));
    probe["metadata"]["labels"] = json!({ "tenure.dev/probe": "x" });
    let what = "only the Tenure operator";
    refused(
        &operator,
        create(REVIEWS, probe),
        "accessreviews",
        QUARTERLY,
        what,
    )
    .await;
    passes(
        &operator,
        really_create(REVIEWS, review("acme-8", Some("acme"))),
    )
    .await;
    let object = format!("{REVIEWS}/acme-8");
    let gone = really_delete(&object).dry();
    refused(&world.admin(), gone, "accessreviews", QUARTERLY, what).await;
    passes(&world.break_glass(), really_delete(&object).dry()).await;
    passes(&operator, really_delete(&object)).await;
}

#[tokio::test]
async fn a_reviewer_holds_the_verb_on_that_tenant_and_decides_as_themselves() {
    let world = world().await;
    let operator = world.operator().await;
    let made = passes(
        &operator,
        really_create(REVIEWS, review("acme-9", Some("acme"))),
    )
    .await;
    let object = format!("{REVIEWS}/acme-9");
    let vera = reviewer(&world, "vera", "customertenants", "acme").await;
    let wim = reviewer(&world, "wim", "customertenants", "rival").await;
    let zoe = reviewer(&world, "zoe", "tenancypolicies", "default").await;
    let mut forged = decided(&made, Some("Keep"));
    forged["spec"]["lines"][0]["decidedBy"] = json!("ceo");
    let kept = passes(&vera, super::ask::really_replace(&object, forged)).await;
    assert_eq!(kept["spec"]["lines"][0]["decidedBy"], "vera");
    for client in [&wim, &zoe] {
        let ask = replace(&object, decided(&kept, Some("Revoke")));
        refused(
            client,
            ask,
            "accessreviews",
            QUARTERLY,
            "customertenants/acme",
        )
        .await;
    }
    // Whoever decides on another line takes nothing of hers, and what is withdrawn is nobody's.
    let xeno = reviewer(&world, "xeno", "customertenants", "acme").await;
    let mut other = kept.clone();
    other["spec"]["lines"][1]["decision"] = json!("Revoke");
    other["spec"]["lines"][1]["reason"] = json!("left");
    let both = passes(&xeno, replace(&object, other)).await;
    let by = |number: usize| both["spec"]["lines"][number]["decidedBy"].clone();
    assert_eq!((by(0), by(1)), (json!("vera"), json!("xeno")));
    let none = passes(&xeno, replace(&object, decided(&kept, None))).await;
    assert_eq!(none["spec"]["lines"][0].get("decidedBy"), None);
    passes(&operator, really_delete(&object)).await;
    // What reaches every tenant is decided on by whoever may for all of them.
    let made = passes(
        &operator,
        really_create(REVIEWS, review("platform.9", None)),
    )
    .await;
    let object = format!("{REVIEWS}/platform.9");
    let ask = || replace(&object, decided(&made, Some("Keep")));
    refused(
        &vera,
        ask(),
        "accessreviews",
        QUARTERLY,
        "tenancypolicies/default",
    )
    .await;
    let kept = passes(&zoe, ask()).await;
    assert_eq!(kept["spec"]["lines"][0]["decidedBy"], "zoe");
    passes(&operator, really_delete(&object)).await;
}

/// The stamps may be gone; that somebody is named who did not call is refused all the same.
#[tokio::test]
async fn without_the_stamps_nobody_is_named_but_who_called() {
    let world = world_alone().await;
    let operator = world.operator().await;
    let made = passes(
        &operator,
        really_create(REVIEWS, review("acme-10", Some("acme"))),
    )
    .await;
    let object = format!("{REVIEWS}/acme-10");
    let yann = reviewer(&world, "yann", "customertenants", "acme").await;
    let zita = approver(&world, "zita", "customertenants", "acme").await;
    let uwe = holder(&world, "uwe", "request", "customertenants", "acme").await;
    let stamps = [
        "tenure-stamp-approver",
        "tenure-stamp-requested-by",
        "tenure-stamp-decided-by",
    ];
    let mut bindings = Vec::new();
    for stamp in stamps {
        let path = format!("{STAMPS}/{stamp}");
        let binding = send(&world.admin(), &super::ask::connect("GET", &path))
            .await
            .unwrap();
        bindings.push(json!({ "apiVersion": binding["apiVersion"], "kind": binding["kind"], "spec": binding["spec"],
            "metadata": { "name": stamp, "labels": binding["metadata"]["labels"] } }));
        passes(&world.break_glass(), really_delete(&path)).await;
    }
    let mut approved = approval("acme");
    approved["spec"]["approver"] = json!({ "username": "ceo", "groups": [] });
    let mut asked = grant("forged", "acme");
    asked["spec"]["requestedBy"] = json!("ceo");
    let mut reviewed = decided(&made, Some("Keep"));
    reviewed["spec"]["lines"][0]["decidedBy"] = json!("ceo");
    let asks = || {
        [
            (
                &zita,
                create(APPROVALS, approved.clone()),
                "approvals",
                "names ceo",
            ),
            (
                &zita,
                create(APPROVALS, approval("acme")),
                "approvals",
                "(nobody)",
            ),
            (
                &uwe,
                create(GRANTS, asked.clone()),
                "accessgrants",
                "names ceo",
            ),
            (
                &uwe,
                create(GRANTS, grant("forged", "acme")),
                "accessgrants",
                "(nobody)",
            ),
            (
                &yann,
                replace(&object, reviewed.clone()),
                "accessreviews",
                "decidedBy of line one",
            ),
            (
                &yann,
                replace(&object, decided(&made, Some("Keep"))),
                "accessreviews",
                "decidedBy of line one",
            ),
        ]
    };
    let gone = tenure_e2e::eventually(Duration::from_secs(10), "no stamp is set", async || {
        for (client, ask, ..) in asks() {
            anyhow::ensure!(send(client, &ask).await.is_err(), "{ask:?}");
        }
        Ok(())
    });
    gone.await.unwrap();
    for (client, ask, guard, what) in asks() {
        refused(client, ask, guard, DUTIES, what).await;
    }
    for binding in bindings {
        passes(&world.break_glass(), really_create(STAMPS, binding)).await;
    }
    let back = tenure_e2e::eventually(Duration::from_secs(10), "stamps are set", async || {
        for (client, ask, ..) in asks() {
            send(client, &ask).await?;
        }
        Ok(())
    });
    back.await.unwrap();
    passes(&operator, really_delete(&object)).await;
}
