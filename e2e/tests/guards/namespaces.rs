//! Rows: namespaces create, update, delete.

use serde_json::{Value, json};

use super::ask::{
    connect, create, delete, passes, patch, really_create, really_patch, refused, refused_by_one,
    replace, send,
};
use super::world::{OWN, tenant_id, world};

const SEPARATION: &str = "dsa-2.6-logical-separation";
const CLASSIFICATION: &str = "dsa-2.3-classification";
const EXIT: &str = "dsa-2.13-return-or-destroy";

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

#[tokio::test]
async fn tenure_keys_on_namespaces_are_the_operators_alone() {
    let world = world().await;
    let tenant = world.tenant("keys").await;
    let admin = world.admin();
    let prod = path(&tenant.prod());
    for body in [
        json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } }),
        json!({ "metadata": { "labels": { "tenure.dev/tenant": "somebody" } } }),
        json!({ "metadata": { "labels": { "tenure.dev/enforcement": "Observe" } } }),
        json!({ "metadata": { "labels": { "tenure.dev/invented": "yes" } } }),
        json!({ "metadata": { "annotations": { "tenure.dev/egress-cidrs": "0.0.0.0/0" } } }),
        json!({ "metadata": { "annotations": { "tenure.dev/tenant-id": null } } }),
        json!({ "metadata": { "annotations": { "tenure.dev/step": "NeverUsed" } } }),
        json!({ "metadata": { "labels": null, "annotations": null } }),
    ] {
        let key = ["tenure.dev/"].concat();
        refused(
            &admin,
            patch(&prod, body.clone()),
            "namespaces",
            SEPARATION,
            &key,
        )
        .await;
        refused(
            &admin,
            patch(format!("{prod}/status"), body),
            "namespaces",
            SEPARATION,
            &key,
        )
        .await;
    }
    let stripped = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": tenant.prod() }, "spec": { "finalizers": ["kubernetes"] },
    });
    refused(
        &admin,
        replace(&prod, stripped.clone()),
        "namespaces",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    refused(
        &admin,
        replace(format!("{prod}/finalize"), stripped),
        "namespaces",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;

    passes(
        &admin,
        patch(
            &prod,
            json!({ "metadata": { "labels": { "istio-injection": "enabled", "cost": "12" } } }),
        ),
    )
    .await;
    passes(
        &admin,
        patch(
            format!("{prod}/status"),
            json!({ "metadata": { "annotations": { "note": "x" } } }),
        ),
    )
    .await;
    let operator = world.operator().await;
    passes(
        &operator,
        patch(
            &prod,
            json!({ "metadata": { "labels": { "tenure.dev/parked": "true" } } }),
        ),
    )
    .await;
    passes(
        &world.break_glass(),
        patch(
            &prod,
            json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn nobody_else_makes_a_tenants_namespace() {
    let world = world().await;
    let forged = json!({ "metadata": { "name": "forged-prod", "labels": { "tenure.dev/tenant": "forged" } } });
    let annotated = json!({ "metadata": { "generateName": "forged-", "annotations": { "tenure.dev/ready": "true" } } });
    let admin = world.admin();
    refused(
        &admin,
        create("/api/v1/namespaces", forged.clone()),
        "namespaces",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    // The mark of readiness is not even refused: whoever is not the operator loses it.
    let made = passes(&admin, create("/api/v1/namespaces", annotated)).await;
    assert_eq!(made["metadata"]["annotations"], Value::Null, "{made}");
    let argo = world.machine("argocd", "controller");
    refused(
        &argo,
        create("/api/v1/namespaces", forged.clone()),
        "namespaces",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    passes(
        &world.operator().await,
        create("/api/v1/namespaces", forged),
    )
    .await;
    passes(
        &admin,
        create(
            "/api/v1/namespaces",
            json!({ "metadata": { "name": "plain", "labels": { "cost": "1" } } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn a_restored_namespace_comes_back_neither_ready_nor_free_to_go() {
    let world = world().await;
    let restorer = world.machine("velero", "velero");
    let backup = json!({ "metadata": {
        "name": "restored-prod",
        "labels": { "tenure.dev/tenant": "restored", "pod-security.kubernetes.io/enforce": "restricted" },
        "annotations": { "tenure.dev/tenant-id": tenant_id(), "tenure.dev/ready": "true", "tenure.dev/step": "NeverUsed" },
    }});
    let made = passes(&restorer, create("/api/v1/namespaces", backup.clone())).await;
    assert_eq!(
        made["metadata"]["annotations"],
        json!({ "tenure.dev/tenant-id": tenant_id() })
    );
    assert_eq!(made["metadata"]["labels"]["tenure.dev/tenant"], "restored");
    // The operator's own words stay.
    let made = passes(
        &world.operator().await,
        create("/api/v1/namespaces", backup),
    )
    .await;
    assert_eq!(made["metadata"]["annotations"]["tenure.dev/ready"], "true");
    // Restoring is creating: an existing tenant is not the restore tool's to change.
    let tenant = world.tenant("overwritten").await;
    let change = json!({ "metadata": { "annotations": { "tenure.dev/hosts": "*.org" } } });
    refused(
        &restorer,
        patch(path(&tenant.prod()), change),
        "namespaces",
        SEPARATION,
        "tenure.dev/hosts",
    )
    .await;
}

#[tokio::test]
async fn system_namespaces_are_nobodys_tenant_not_even_the_operators() {
    let world = world().await;
    let adopt = json!({ "metadata": { "labels": { "tenure.dev/tenant": "acme" } } });
    let operator = world.operator().await;
    for client in [
        world.break_glass(),
        world.admin(),
        world.machine("velero", "velero"),
    ] {
        for name in [
            "kube-system",
            "kube-public",
            "kube-node-lease",
            "default",
            OWN,
        ] {
            refused(
                &client,
                patch(path(name), adopt.clone()),
                "namespaces",
                SEPARATION,
                name,
            )
            .await;
        }
    }
    // Two guards say so to the operator; which of them is heard first is the API server's choice.
    let annotate = json!({ "metadata": { "annotations": { "tenure.dev/ready": "true" } } });
    let forged =
        json!({ "metadata": { "name": "kube-forged", "labels": { "tenure.dev/tenant": "acme" } } });
    for ask in [
        patch(path("kube-system"), adopt),
        patch(path(OWN), annotate),
        create("/api/v1/namespaces", forged),
    ] {
        refused_by_one(&operator, ask, &["namespaces", "operator"]).await;
    }
    passes(
        &world.admin(),
        patch(
            path("kube-system"),
            json!({ "metadata": { "labels": { "team": "platform" } } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn an_existing_namespace_is_taken_over_by_the_operator_only() {
    let world = world().await;
    let admin = world.admin();
    passes(
        &admin,
        really_create(
            "/api/v1/namespaces",
            json!({ "metadata": { "name": "brownfield" } }),
        ),
    )
    .await;
    let adopt = json!({ "metadata": {
        "labels": { "tenure.dev/tenant": "acme", "tenure.dev/enforcement": "Observe" },
        "annotations": { "tenure.dev/tenant-id": tenant_id() },
    }});
    refused(
        &admin,
        patch(path("brownfield"), adopt.clone()),
        "namespaces",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    passes(&world.operator().await, patch(path("brownfield"), adopt)).await;
}

#[tokio::test]
async fn pod_security_labels_of_a_tenant_stay() {
    let world = world().await;
    let tenant = world.tenant("levels").await;
    let admin = world.admin();
    for body in [
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } }),
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": null } } }),
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce-version": "v1.20" } } }),
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/audit": "privileged" } } }),
    ] {
        let prod = path(&tenant.prod());
        refused(
            &admin,
            patch(&prod, body.clone()),
            "namespaces",
            CLASSIFICATION,
            "pod-security.kubernetes.io/",
        )
        .await;
        refused(
            &admin,
            patch(format!("{prod}/status"), body),
            "namespaces",
            CLASSIFICATION,
            "pod-security",
        )
        .await;
    }
    let weaken =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "baseline" } } });
    passes(
        &world.operator().await,
        patch(path(&tenant.prod()), weaken.clone()),
    )
    .await;
    passes(&admin, patch(path("default"), weaken)).await;
}

#[tokio::test]
async fn a_planted_owner_of_a_tenants_namespace_is_refused_to_everybody() {
    let world = world().await;
    let tenant = world.tenant("owned").await;
    let owner = json!([{ "apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "11111111-1111-4111-8111-111111111111" }]);
    let plant = json!({ "metadata": { "ownerReferences": owner } });
    for client in [world.admin(), world.operator().await, world.break_glass()] {
        refused(
            &client,
            patch(path(&tenant.prod()), plant.clone()),
            "namespaces",
            SEPARATION,
            "Node gone",
        )
        .await;
        let status = format!("{}/status", path(&tenant.prod()));
        refused(
            &client,
            patch(status, plant.clone()),
            "namespaces",
            SEPARATION,
            "Node gone",
        )
        .await;
    }
    let mut born = tenant.namespace("more", "Enforce");
    born["metadata"]["ownerReferences"] = owner;
    refused(
        &world.operator().await,
        create("/api/v1/namespaces", born),
        "namespaces",
        SEPARATION,
        "Node gone",
    )
    .await;
    passes(&world.admin(), patch(path("default"), plant)).await;
}

#[tokio::test]
async fn the_finalizer_of_a_tenants_namespace_is_not_emptied() {
    let world = world().await;
    let tenant = world.tenant("final").await;
    let admin = world.admin();
    let prod = path(&tenant.prod());
    let mut emptied = send(&admin, &connect("GET", &prod)).await.unwrap();
    emptied["spec"]["finalizers"] = json!([]);
    let finalize = format!("{prod}/finalize");
    refused(
        &admin,
        replace(&finalize, emptied.clone()),
        "namespaces",
        EXIT,
        "kubernetes",
    )
    .await;
    // Not before it terminates, and then the namespace controller alone (the end-to-end deletion shows that it may).
    let controller = world.machine("kube-system", "namespace-controller");
    refused(
        &controller,
        replace(&finalize, emptied.clone()),
        "namespaces",
        EXIT,
        "kubernetes",
    )
    .await;

    let operator = world.operator().await;
    passes(
        &operator,
        really_patch(
            &prod,
            json!({ "metadata": { "finalizers": ["tenure.dev/exit", "example.org/theirs"] } }),
        ),
    )
    .await;
    let mut held = send(&admin, &connect("GET", &prod)).await.unwrap();
    held["metadata"]["finalizers"] = json!(["example.org/theirs"]);
    refused(
        &admin,
        replace(&prod, held.clone()),
        "namespaces",
        EXIT,
        "tenure.dev/exit",
    )
    .await;
    held["metadata"]["finalizers"] = json!(["tenure.dev/exit"]);
    passes(&admin, replace(&prod, held)).await;
    let mut emptied = send(&admin, &connect("GET", &prod)).await.unwrap();
    emptied["spec"]["finalizers"] = json!([]);
    passes(&world.break_glass(), replace(&finalize, emptied)).await;
}

#[tokio::test]
async fn a_tenants_namespace_goes_only_by_a_step_of_the_operator() {
    let world = world().await;
    let tenant = world.tenant("steps").await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let prod = path(&tenant.prod());
    for client in [&admin, &operator] {
        refused(client, delete(&prod), "namespaces", EXIT, "tenant steps").await;
    }
    passes(
        &operator,
        really_patch(
            &prod,
            json!({ "metadata": { "annotations": { "tenure.dev/step": "NeverUsed" } } }),
        ),
    )
    .await;
    refused(&admin, delete(&prod), "namespaces", EXIT, &tenant.prod()).await;
    passes(&operator, delete(&prod)).await;
    passes(&world.break_glass(), delete(path(&tenant.test()))).await;
    passes(
        &admin,
        really_create(
            "/api/v1/namespaces",
            json!({ "metadata": { "name": "nobodys" } }),
        ),
    )
    .await;
    passes(&admin, delete(path("nobodys"))).await;
}

#[tokio::test]
async fn the_probe_mark_ends_the_operators_exemption() {
    let world = world().await;
    let operator = world.operator().await;
    let marked = json!({ "metadata": { "name": "probe-me", "labels": { "tenure.dev/tenant": "x", "tenure.dev/probe": "true" } } });
    let named = json!({ "metadata": { "name": "tenure-guard-probe-x", "labels": { "tenure.dev/tenant": "x" } } });
    for body in [marked, named] {
        refused(
            &operator,
            create("/api/v1/namespaces", body),
            "namespaces",
            SEPARATION,
            "tenure.dev/tenant",
        )
        .await;
    }
}
