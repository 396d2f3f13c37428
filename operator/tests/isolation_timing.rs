//! How long an evaluation takes on a large cluster: printed, not asserted, as machines differ.
//! `cargo test --release -p tenure-operator --test isolation_timing -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its own input says so by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use tenure_operator::isolation::{Expected, PolicyFacts, World, exposures, would_cut};

const TENANTS: usize = 1000;
const PODS: usize = 20;

fn ns(name: &str, labels: Value) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
}

fn pod(namespace: &str, name: &str, labels: Value) -> Pod {
    let metadata = json!({"namespace": namespace, "name": name, "labels": labels});
    serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": []}})).unwrap()
}

fn policy(namespace: &str, name: &str, spec: Value) -> NetworkPolicy {
    let metadata = json!({"namespace": namespace, "name": name});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// What a settled tenant has: both ways closed, six policies, every pod of another make.
fn settled() -> World {
    let mut world = World::default();
    for tenant in 0..TENANTS {
        let name = format!("t{tenant}");
        world.upsert_namespace((&ns(&name, json!({"tenure.dev/tenant": name}))).into());
        for index in 0..PODS {
            let labels =
                json!({"app": format!("app{index}"), "pod-template-hash": format!("{index:x}")});
            world.upsert_pod((&pod(&name, &format!("p{index}"), labels)).into());
        }
        for (index, spec) in six(&name).into_iter().enumerate() {
            let facts = PolicyFacts::try_from(&policy(&name, &format!("n{index}"), spec));
            world.upsert_policy(facts.unwrap());
        }
    }
    world
}

fn six(tenant: &str) -> [Value; 6] {
    let same = json!([{"namespaceSelector": {"matchLabels": {"tenure.dev/tenant": tenant}}}]);
    let named = |name: &str| json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]);
    [
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": same}], "egress": [{"to": same}]}),
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": named("kube-system"), "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}]}),
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": named("monitoring"), "ports": [{"port": "metrics"}]}]}),
        json!({"podSelector": {"matchLabels": {"app": "app1"}}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}),
        json!({"podSelector": {"matchLabels": {"app": "app2"}}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "app3"}}}], "ports": [{"port": 8080}]}]}),
    ]
}

fn expected(tenant: &str) -> Expected {
    Expected {
        own: [tenant.to_owned()].into(),
        ingress_namespaces: ["monitoring".to_owned()].into(),
        egress_namespaces: ["kube-system".to_owned()].into(),
        egress_cidrs: vec!["203.0.113.0/24".parse().unwrap()],
        ..Expected::default()
    }
}

#[test]
#[ignore = "prints times; run it by name, in release"]
fn timing() {
    let built = Instant::now();
    let mut world = settled();
    eprintln!("build {} pods: {:?}", TENANTS * PODS, built.elapsed());
    let owner = |namespace: &str| Some(namespace.to_owned());

    let one = Instant::now();
    black_box(exposures(&world, &expected("t1"), &owner));
    eprintln!("one settled tenant: {:?}", one.elapsed());

    let open = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]});
    let one = Instant::now();
    world.upsert_policy((&policy("t1", "n9", open.clone())).try_into().unwrap());
    black_box(exposures(&world, &expected("t1"), &owner));
    eprintln!(
        "one tenant opened to everybody, all others closed: {:?}",
        one.elapsed()
    );
    world.remove_policy("t1", "n9");

    let planned = [(
        "t2".to_owned(),
        vec![PolicyFacts::try_from(&policy("t2", "tenure-p", six("t2")[0].clone())).unwrap()],
    )];
    let one = Instant::now();
    black_box(would_cut(&world, &planned));
    eprintln!("what a plan for one tenant would cut: {:?}", one.elapsed());

    let all = Instant::now();
    let mut done = 0;
    for tenant in 0..TENANTS {
        black_box(exposures(&world, &expected(&format!("t{tenant}")), &owner));
        done += 1;
        if all.elapsed().as_secs() >= 20 {
            break;
        }
    }
    eprintln!(
        "{done} of {TENANTS} tenants from scratch: {:?}",
        all.elapsed()
    );
}
