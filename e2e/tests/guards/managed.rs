//! Rows: managed objects, and the ownership keys on the kinds of the closed list.

use serde_json::{Value, json};

use super::ask::{
    apply, connect, create, delete, passes, patch, really_create, refused, refused_by_one, replace,
    send,
};
use super::world::{Tenant, World, tenant_id, world};

const SEPARATION: &str = "dsa-2.6-logical-separation";
const NETWORKING: &str = "networking.k8s.io/v1";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The kinds of the closed list: path of the object, a minimal body, a change of what it enforces.
fn managed(tenant: &Tenant) -> Vec<(String, Value, Value)> {
    let deny = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    vec![
        (
            format!(
                "{}/tenure-default",
                tenant.path(NETWORKING, "networkpolicies")
            ),
            json!({ "apiVersion": NETWORKING, "kind": "NetworkPolicy", "metadata": tenant.marks("tenure-default"), "spec": deny }),
            json!({ "spec": { "policyTypes": ["Ingress"] } }),
        ),
        (
            format!("{}/tenure", tenant.core("resourcequotas")),
            json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": tenant.marks("tenure"), "spec": { "hard": { "pods": "5" } } }),
            json!({ "spec": { "hard": { "pods": "500" } } }),
        ),
        (
            format!("{}/tenure", tenant.core("limitranges")),
            json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": tenant.marks("tenure"),
                "spec": { "limits": [{ "type": "Container", "max": { "cpu": "2" } }] } }),
            json!({ "spec": { "limits": [] } }),
        ),
        (
            format!("{}/tenure-deployer", tenant.path(RBAC, "rolebindings")),
            json!({ "apiVersion": RBAC, "kind": "RoleBinding", "metadata": tenant.marks("tenure-deployer"),
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenure-tenant-deployer" },
                "subjects": [{ "kind": "ServiceAccount", "name": "argocd", "namespace": "argocd" }] }),
            json!({ "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": tenant.prod() }] }),
        ),
    ]
}

async fn make(world: &World, name: &str) -> Tenant {
    let tenant = world.tenant(name).await;
    let operator = world.operator().await;
    for (path, body, _) in managed(&tenant) {
        passes(&operator, apply(path, "tenure", body)).await;
    }
    tenant
}

#[tokio::test]
async fn managed_objects_are_changed_by_the_operator_alone() {
    let world = world().await;
    let tenant = make(&world, "managed").await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "11111111-1111-4111-8111-111111111111" }]);
    for (path, _, change) in managed(&tenant) {
        let guard = "managed-objects";
        if path.contains("rolebindings") {
            refused_by_one(
                &admin,
                patch(&path, change.clone()),
                &[guard, "rolebindings"],
            )
            .await;
        } else {
            refused(
                &admin,
                patch(&path, change.clone()),
                guard,
                SEPARATION,
                "is kept by the Tenure operator",
            )
            .await;
        }
        let unlabel = json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } });
        refused(
            &admin,
            patch(&path, unlabel),
            guard,
            SEPARATION,
            "tenure.dev/tenant",
        )
        .await;
        let unmark = json!({ "metadata": { "annotations": { "tenure.dev/tenant-id": null } } });
        refused(
            &admin,
            patch(&path, unmark),
            guard,
            SEPARATION,
            "tenure.dev/tenant-id",
        )
        .await;
        let forget = json!({ "metadata": { "managedFields": [{}] } });
        refused(
            &admin,
            patch(&path, forget),
            guard,
            SEPARATION,
            "metadata.managedFields",
        )
        .await;
        let hold = json!({ "metadata": { "finalizers": ["example.org/never"] } });
        refused(
            &admin,
            patch(&path, hold),
            guard,
            SEPARATION,
            "metadata.finalizers",
        )
        .await;
        let plant = json!({ "metadata": { "ownerReferences": owner } });
        refused(
            &admin,
            patch(&path, plant.clone()),
            guard,
            SEPARATION,
            "ConfigMap gone",
        )
        .await;
        refused(
            &operator,
            patch(&path, plant),
            guard,
            SEPARATION,
            "ConfigMap gone",
        )
        .await;
        refused(
            &admin,
            delete(&path),
            guard,
            SEPARATION,
            "may not be deleted",
        )
        .await;
        let (collection, _) = path.rsplit_once('/').unwrap();
        refused(
            &admin,
            delete(collection),
            guard,
            SEPARATION,
            "may not be deleted",
        )
        .await;
        // The namespace controller empties namespaces that terminate, no others.
        let controller = world.machine("kube-system", "namespace-controller");
        refused(
            &controller,
            delete(&path),
            guard,
            SEPARATION,
            "may not be deleted",
        )
        .await;
        let collector = world.machine("kube-system", "generic-garbage-collector");
        refused(
            &collector,
            delete(&path),
            guard,
            SEPARATION,
            "may not be deleted",
        )
        .await;

        passes(
            &admin,
            patch(&path, json!({ "metadata": { "labels": { "cost": "1" } } })),
        )
        .await;
        passes(&operator, patch(&path, change.clone())).await;
        passes(&operator, delete(&path)).await;
        passes(&world.break_glass(), patch(&path, change)).await;
        passes(&world.break_glass(), delete(&path)).await;
    }
}

#[tokio::test]
async fn the_status_path_of_a_quota_strips_no_mark_and_counts_on() {
    let world = world().await;
    let tenant = make(&world, "quota").await;
    let status = format!("{}/tenure/status", tenant.core("resourcequotas"));
    let admin = world.admin();
    let unlabel = json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } });
    refused(
        &admin,
        patch(&status, unlabel),
        "managed-objects",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    let count = json!({ "status": { "hard": { "pods": "5" }, "used": { "pods": "1" } } });
    passes(
        &world.machine("kube-system", "resourcequota-controller"),
        patch(&status, count),
    )
    .await;
}

#[tokio::test]
async fn less_than_all_three_marks_lock_nothing() {
    let world = world().await;
    let tenant = world.tenant("unlocked").await;
    let admin = world.admin();
    let policies = tenant.path(NETWORKING, "networkpolicies");
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
    let theirs = json!({ "metadata": { "name": "theirs", "labels": { "app.kubernetes.io/managed-by": "tenure" } }, "spec": spec });
    passes(&admin, really_create(&policies, theirs)).await;
    let path = format!("{policies}/theirs");
    passes(
        &admin,
        patch(
            &path,
            json!({ "spec": { "policyTypes": ["Ingress", "Egress"] } }),
        ),
    )
    .await;
    passes(
        &admin,
        patch(&path, json!({ "metadata": { "labels": null } })),
    )
    .await;
    passes(&admin, delete(&path)).await;
    // Written by the restore tool: two marks, but not by our hand.
    let restored = json!({ "metadata": tenant.marks("tenure-restored"), "spec": spec });
    passes(
        &world.machine("velero", "velero"),
        really_create(&policies, restored),
    )
    .await;
    passes(&admin, delete(format!("{policies}/tenure-restored"))).await;
}

#[tokio::test]
async fn our_keys_on_the_kinds_of_the_closed_list_are_set_by_the_operator_alone() {
    let world = world().await;
    let tenant = world.tenant("faked").await;
    let admin = world.admin();
    for (path, mut body, _) in managed(&tenant) {
        let binding = path.contains("rolebindings");
        if binding {
            // What a chart may bind, so that only the keys are at fault.
            body["roleRef"]["name"] = json!("view");
            body["subjects"][0]["namespace"] = json!(tenant.prod());
        }
        let (collection, _) = path.rsplit_once('/').unwrap();
        // Here and in a namespace that is nobody's tenant's.
        for collection in [
            collection.to_owned(),
            collection.replace("faked-prod", "default"),
        ] {
            refused(
                &admin,
                create(&collection, body.clone()),
                "ownership",
                SEPARATION,
                "tenure.dev/tenant",
            )
            .await;
            let mut annotated = body.clone();
            annotated["metadata"] =
                json!({ "name": "x", "annotations": { "tenure.dev/tenant-id": tenant_id() } });
            refused(
                &admin,
                create(&collection, annotated),
                "ownership",
                SEPARATION,
                "tenure.dev/tenant-id",
            )
            .await;
        }
        let faked = apply(format!("{collection}/fake"), "tenure", {
            let mut body = body.clone();
            body["metadata"]["name"] = json!("fake");
            body
        });
        refused(&admin, faked, "ownership", SEPARATION, "tenure.dev/tenant").await;
        let mut probe = body.clone();
        probe["metadata"]["name"] = json!("tenure-guard-probe-x");
        if !binding {
            refused(
                &world.operator().await,
                create(collection, probe),
                "ownership",
                SEPARATION,
                "tenure.dev/tenant",
            )
            .await;
        }

        passes(
            &world.machine("velero", "velero"),
            create(collection, body.clone()),
        )
        .await;
        if !binding {
            passes(&world.operator().await, create(collection, body)).await;
        }
    }
    let policies = tenant.path(NETWORKING, "networkpolicies");
    let plain = json!({ "metadata": { "name": "plain" }, "spec": { "podSelector": {} } });
    passes(&admin, really_create(&policies, plain)).await;
    let mark = json!({ "metadata": { "labels": { "tenure.dev/tenant": "faked" } } });
    refused(
        &admin,
        patch(format!("{policies}/plain"), mark.clone()),
        "ownership",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    let mut replaced = send(&admin, &connect("GET", format!("{policies}/plain")))
        .await
        .unwrap();
    replaced["metadata"]["labels"] = mark["metadata"]["labels"].clone();
    refused(
        &admin,
        replace(format!("{policies}/plain"), replaced),
        "ownership",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
    let quota = json!({ "metadata": { "name": "theirs" }, "spec": { "hard": { "pods": "5" } } });
    passes(&admin, really_create(tenant.core("resourcequotas"), quota)).await;
    let status = format!("{}/theirs/status", tenant.core("resourcequotas"));
    refused(
        &admin,
        patch(status, mark),
        "ownership",
        SEPARATION,
        "tenure.dev/tenant",
    )
    .await;
}
