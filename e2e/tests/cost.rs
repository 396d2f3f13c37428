//! What docs/cost.md says, measured. Ignored: figures are no test. Run it alone, on a machine that does nothing else:
//!
//! `cargo test -p tenure-e2e --test cost -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on says where by panicking"
)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tenure_e2e::audit::grouped;
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, eventually};

const SAMPLES: usize = 400;
const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";

#[tokio::test]
#[ignore = "figures, not a test"]
async fn what_it_costs() -> Result<()> {
    let plane = Plane::start(PlaneOptions {
        name: "cost".into(),
        ..PlaneOptions::default()
    })
    .await?;
    plane.namespace("plain").await?;
    println!("creates, ms: kind, where, p50, p99 of {SAMPLES}");
    creates(&plane.admin()?, "plain", "no chart").await?;

    install::install(plane.access()).await?;
    let options = OperatorOptions {
        interval_seconds: 60,
        ..OperatorOptions::default()
    };
    let _operator = Operator::start(plane.access(), options).await?;
    let kubectl = plane.kubectl(&Identity::admin())?;
    let policy = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}});
    let tenant = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"}, "spec": {
        "tenantID": "33333333-3333-4333-8333-333333333333", "customer": {"name": "acme"}, "classification": "Internal",
        "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
        "namespaces": [{"name": "prod", "quota": {"pods": "100000"}}]}});
    for object in [policy, tenant] {
        kubectl
            .run_with(&["create", "--filename", "-"], &object.to_string())
            .await?
            .success()?;
    }
    kubectl
        .run(&[
            "wait",
            "--for=condition=Ready",
            "--timeout=60s",
            "customertenant/acme",
        ])
        .await?
        .success()?;
    objects(&plane).await?;
    creates(&plane.admin()?, "plain", "guards, no tenant's namespace").await?;
    creates(&plane.admin()?, "acme-prod", "guards, a tenant's namespace").await?;

    tokio::time::sleep(Duration::from_secs(70)).await;
    let mark = plane.audit().mark().await?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let events = plane.audit().since(mark)?;
    let own: Vec<_> = events
        .into_iter()
        .filter(|event| event.acting_user() == OPERATOR)
        .collect();
    println!(
        "requests of the settled operator in two intervals of 60 s: {}",
        own.len()
    );
    for (line, count) in grouped(&own) {
        println!("  {count:>4} {line}");
    }
    Ok(())
}

/// Objects of one tenant of one namespace, with their bytes as JSON with managed fields.
async fn objects(plane: &Plane) -> Result<()> {
    let kubectl = plane.kubectl(&Identity::admin())?;
    let mut total = (0, 0);
    println!("objects of one tenant with one namespace: kind, how many, bytes");
    for (resource, place) in [
        ("customertenants", vec!["acme"]),
        (
            "configmaps",
            vec![
                "--namespace",
                NAMESPACE,
                "--selector=tenure.dev/tenant=acme",
            ],
        ),
        ("namespaces", vec!["--selector=tenure.dev/tenant=acme"]),
        ("networkpolicies", vec!["--namespace=acme-prod"]),
        ("resourcequotas", vec!["--namespace=acme-prod"]),
        ("limitranges", vec!["--namespace=acme-prod"]),
        ("rolebindings", vec!["--namespace=acme-prod"]),
    ] {
        let args = [
            vec!["get", resource, "--show-managed-fields", "--output=json"],
            place,
        ]
        .concat();
        let list: Value = serde_json::from_str(&kubectl.run(&args).await?.success()?)?;
        let items = match list["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![list],
        };
        let bytes: usize = items.iter().map(|item| item.to_string().len()).sum();
        println!("  {resource:<18} {:>3} {bytes:>7}", items.len());
        total = (total.0 + items.len(), total.1 + bytes);
    }
    println!("  {:<18} {:>3} {:>7}", "in all", total.0, total.1);
    println!("guards: {}", install::guards(&plane.admin()?).await?.len());
    Ok(())
}

async fn creates(client: &Client, namespace: &str, place: &str) -> Result<()> {
    let pod = json!({
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "example/app:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
    });
    let kinds = [
        ("", "Pod", pod),
        (
            "",
            "Service",
            json!({"ports": [{"port": 80}], "clusterIP": "None"}),
        ),
        (
            "networking.k8s.io",
            "NetworkPolicy",
            json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
        ),
    ];
    for (group, kind, spec) in kinds {
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        if kind == "NetworkPolicy" {
            resource.plural = "networkpolicies".into();
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let object = serde_json::from_value(
            json!({"apiVersion": resource.api_version, "kind": kind, "metadata": {"generateName": "cost-"}, "spec": spec}),
        )?;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually(Duration::from_secs(30), "it is admitted", async || {
            Ok(api.create(&params, &object).await.map(drop)?)
        })
        .await
        .context(kind)?;
        // Dry runs: admission is all the same, and nothing piles up between two measurements.
        let mut took = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let start = Instant::now();
            api.create(&params, &object).await?;
            took.push(start.elapsed());
        }
        took.sort();
        ensure!(took.len() == SAMPLES);
        let at = |share: usize| took[SAMPLES * share / 100].as_secs_f64() * 1000.0;
        println!("  {kind:<14} {place:<32} {:>6.2} {:>6.2}", at(50), at(99));
    }
    Ok(())
}
