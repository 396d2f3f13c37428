//! Row: network policies.

use std::time::Duration;

use serde_json::{Value, json};
use tenure_e2e::eventually;

use super::ask::{create, passes, patch, really_create, refused, refused_by_one};
use super::world::{Tenant, world};

const SEGMENTATION: &str = "dsa-2.8-network-segmentation";
const GUARD: &str = "networkpolicies";

fn policies(tenant: &Tenant) -> String {
    tenant.path("networking.k8s.io/v1", "networkpolicies")
}

fn ingress(rule: Value) -> Value {
    json!({ "metadata": { "generateName": "theirs-" }, "spec": { "podSelector": {}, "ingress": [rule] } })
}

fn egress(rule: Value) -> Value {
    json!({ "metadata": { "generateName": "theirs-" }, "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": [rule] } })
}

/// Both directions of one namespace selector.
fn by_selector(selector: &Value) -> [Value; 2] {
    [
        ingress(json!({ "from": [{ "namespaceSelector": selector }] })),
        egress(json!({ "to": [{ "podSelector": {}, "namespaceSelector": selector }] })),
    ]
}

#[tokio::test]
async fn a_rule_for_everybody_is_refused() {
    let world = world().await;
    let tenant = world.tenant("open").await;
    let admin = world.admin();
    for body in [
        ingress(json!({})),
        ingress(json!({ "from": [] })),
        ingress(json!({ "ports": [{ "port": 443 }] })),
        egress(json!({})),
        egress(json!({ "to": [], "ports": [{ "port": 53, "protocol": "UDP" }] })),
    ] {
        refused(
            &admin,
            create(policies(&tenant), body),
            GUARD,
            SEGMENTATION,
            "without peers",
        )
        .await;
    }
    let operator = world.operator().await;
    let mut body = ingress(json!({}));
    body["metadata"] = tenant.marks("tenure-open");
    passes(&operator, create(policies(&tenant), body.clone())).await;
    // What carries the probe mark is judged, whoever writes it: so the operator proves that somebody does.
    body["metadata"]["labels"]["tenure.dev/probe"] = json!("true");
    let guards = [GUARD, "ownership"];
    refused_by_one(&operator, create(policies(&tenant), body), &guards).await;
}

#[tokio::test]
async fn a_namespace_selector_must_be_bounded_to_the_tenant_and_its_declared_peers() {
    let world = world().await;
    let tenant = world.tenant("bounded").await;
    let admin = world.admin();
    let name = "kubernetes.io/metadata.name";
    for selector in [
        json!({}),
        json!({ "matchLabels": { name: "rival-prod" } }),
        json!({ "matchLabels": { "tenure.dev/tenant": "rival" } }),
        json!({ "matchLabels": { "tenure.dev/tenant": "" } }),
        json!({ "matchLabels": { "team": "bounded" } }),
        json!({ "matchExpressions": [{ "key": name, "operator": "NotIn", "values": ["kube-system"] }] }),
        json!({ "matchExpressions": [{ "key": "tenure.dev/tenant", "operator": "DoesNotExist" }] }),
        json!({ "matchExpressions": [{ "key": "tenure.dev/tenant", "operator": "Exists" }] }),
        json!({ "matchExpressions": [{ "key": name, "operator": "In", "values": ["bounded-prod", "rival-prod"] }] }),
        json!({ "matchExpressions": [{ "key": "tenure.dev/tenant", "operator": "In", "values": ["bounded", "rival"] }] }),
    ] {
        for body in by_selector(&selector) {
            refused(
                &admin,
                create(policies(&tenant), body),
                GUARD,
                SEGMENTATION,
                "namespaceSelector",
            )
            .await;
        }
    }
    for selector in [
        json!({ "matchLabels": { name: "bounded-test" } }),
        json!({ "matchLabels": { "tenure.dev/tenant": "bounded" } }),
        json!({ "matchLabels": { "tenure.dev/tenant": "bounded", "team": "payments" } }),
        json!({ "matchExpressions": [{ "key": name, "operator": "In", "values": ["bounded-prod", "bounded-test"] }] }),
        json!({ "matchExpressions": [
            { "key": name, "operator": "In", "values": ["bounded-prod", "bounded-test"] },
            { "key": "stage", "operator": "NotIn", "values": ["canary"] },
        ] }),
    ] {
        for body in by_selector(&selector) {
            passes(&admin, create(policies(&tenant), body)).await;
        }
    }
    // Declared one way is not declared the other way.
    let edge = json!({ "matchLabels": { name: "edge" } });
    let [from, to] = by_selector(&edge);
    passes(&admin, create(policies(&tenant), from)).await;
    refused(
        &admin,
        create(policies(&tenant), to),
        GUARD,
        SEGMENTATION,
        "egress",
    )
    .await;
    let dns = json!({ "matchLabels": { name: "kube-system" } });
    let [from, to] = by_selector(&dns);
    refused(
        &admin,
        create(policies(&tenant), from),
        GUARD,
        SEGMENTATION,
        "ingress",
    )
    .await;
    passes(&admin, create(policies(&tenant), to)).await;
}

#[tokio::test]
async fn address_blocks_must_lie_inside_declared_ones() {
    let world = world().await;
    let tenant = world.tenant("blocks").await;
    let admin = world.admin();
    for cidr in [
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "::/0",
        "::/1",
        "8000::/1",
        "198.51.100.0/23",
        "198.51.101.0/24",
        "2001:db8::/32",
        "2001:db8:2::/48",
        "10.0.0.1/32",
        "203.0.113.0/24",
    ] {
        let body = egress(json!({ "to": [{ "ipBlock": { "cidr": cidr } }] }));
        refused(
            &admin,
            create(policies(&tenant), body),
            GUARD,
            SEGMENTATION,
            cidr,
        )
        .await;
    }
    let halves = egress(
        json!({ "to": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }, { "ipBlock": { "cidr": "0.0.0.0/1" } }] }),
    );
    refused(
        &admin,
        create(policies(&tenant), halves),
        GUARD,
        SEGMENTATION,
        "0.0.0.0/1",
    )
    .await;
    let outside = ingress(json!({ "from": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }] }));
    refused(
        &admin,
        create(policies(&tenant), outside),
        GUARD,
        SEGMENTATION,
        "ingress 198.51.100.0/24",
    )
    .await;
    for body in [
        egress(json!({ "to": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }] })),
        egress(
            json!({ "to": [{ "ipBlock": { "cidr": "198.51.100.128/25", "except": ["198.51.100.200/32"] } }] }),
        ),
        egress(json!({ "to": [{ "ipBlock": { "cidr": "2001:db8:1:7::/64" } }] })),
        ingress(json!({ "from": [{ "ipBlock": { "cidr": "203.0.113.7/32" } }] })),
    ] {
        passes(&admin, create(policies(&tenant), body)).await;
    }
}

#[tokio::test]
async fn a_policy_that_tightens_passes_and_its_widening_update_does_not() {
    let world = world().await;
    let tenant = world.tenant("tighten").await;
    let admin = world.admin();
    let same = json!({ "metadata": { "name": "tenure-same" }, "spec": { "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }] } });
    passes(&admin, really_create(policies(&tenant), same)).await;
    let none = json!({ "metadata": { "name": "none" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } });
    passes(&admin, create(policies(&tenant), none)).await;
    let path = format!("{}/tenure-same", policies(&tenant));
    refused(
        &admin,
        patch(&path, json!({ "spec": { "ingress": [{}] } })),
        GUARD,
        SEGMENTATION,
        "without peers",
    )
    .await;
    let widen = json!({ "spec": { "ingress": [{ "from": [{ "podSelector": {} }, { "namespaceSelector": {} }] }] } });
    refused(
        &admin,
        patch(&path, widen.clone()),
        GUARD,
        SEGMENTATION,
        "namespaceSelector",
    )
    .await;
    passes(
        &admin,
        patch(&path, json!({ "metadata": { "labels": { "cost": "1" } } })),
    )
    .await;
    // Exact identities only: the named controller, the operator, the emergency.
    passes(&world.machine("mesh", "mesh"), patch(&path, widen.clone())).await;
    refused(
        &world.machine("mesh", "other"),
        patch(&path, widen.clone()),
        GUARD,
        SEGMENTATION,
        "ingress",
    )
    .await;
    passes(&world.operator().await, patch(&path, widen.clone())).await;
    passes(&world.break_glass(), patch(&path, widen)).await;
}

#[tokio::test]
async fn without_facts_nothing_but_the_own_namespace_is_allowed() {
    let world = world().await;
    let bare = json!({ "metadata": { "name": "factless", "labels": { "tenure.dev/tenant": "factless" } } });
    passes(
        &world.operator().await,
        really_create("/api/v1/namespaces", bare),
    )
    .await;
    let path = "/apis/networking.k8s.io/v1/namespaces/factless/networkpolicies";
    let admin = world.admin();
    for body in [
        egress(json!({ "to": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }] })),
        ingress(
            json!({ "from": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "edge" } } }] }),
        ),
    ] {
        refused(&admin, create(path, body), GUARD, SEGMENTATION, "declared").await;
    }
    passes(
        &admin,
        create(path, ingress(json!({ "from": [{ "podSelector": {} }] }))),
    )
    .await;
}

#[tokio::test]
async fn an_observed_tenant_is_warned_not_refused() {
    let world = world().await;
    let tenant = world.tenant_in("observed", "Observe").await;
    let mark = super::plane::mark().await;
    let open = ingress(json!({}));
    passes(&world.admin(), create(policies(&tenant), open)).await;
    // What would be refused is said, and stands in the audit log.
    eventually(
        Duration::from_secs(10),
        "the audit log has it",
        async || {
            let notes = super::plane::noted(
                mark,
                "validation.policy.admission.k8s.io/validation_failure",
            )
            .await?;
            let said = |note: &&String| {
                note.starts_with("observed-prod/") && note.contains("without peers")
            };
            anyhow::ensure!(notes.iter().find(said).is_some(), "{notes:?}");
            Ok(())
        },
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn namespaces_of_nobody_are_left_alone() {
    let world = world().await;
    passes(
        &world.admin(),
        create(
            "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
            ingress(json!({})),
        ),
    )
    .await;
}
