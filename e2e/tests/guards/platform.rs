//! Rows: customer tenants, the platform's settings and memory, status and finalizers, definitions.

use serde_json::{Value, json};

use super::ask::{
    create, delete, passes, patch, really_create, really_delete, really_patch, refused, send,
};
use super::world::{OWN, tenant_id, world, world_alone};

const EXIT: &str = "dsa-2.13-return-or-destroy";
const AMENDMENTS: &str = "dsa-4-amendments";
const ASSESSMENT: &str = "dsa-2.6-regular-assessment";
const TENANTS: &str = "/apis/tenure.dev/v1alpha1/customertenants";
const HOLDS: &str = "/apis/tenure.dev/v1alpha1/legalholds";
const POLICIES: &str = "/apis/tenure.dev/v1alpha1/tenancypolicies";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The least CustomerTenant there can be.
pub(crate) fn customer_tenant(name: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": { "name": name },
        "spec": {
            "tenantID": tenant_id(), "customer": { "name": "Example" }, "classification": "Confidential",
            "agreements": [{ "name": "dsa", "profile": "dsa", "signedOn": "2026-01-01" }],
            "namespaces": [{ "name": "prod" }],
        },
    })
}

/// The least LegalHold there can be.
pub(crate) fn legal_hold(name: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold", "metadata": { "name": name },
        "spec": {
            "tenantRef": { "name": "acme" }, "tenantID": tenant_id(), "reference": "Case 17", "authority": "Court",
            "scope": { "extent": "WholeTenant" }, "reason": "a dispute", "placedBy": "Legal", "placedOn": "2026-03-01",
        },
    })
}

fn condition(kind: &str, status: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": kind, "status": status, "reason": "Test", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z" }] } })
}

#[tokio::test]
async fn a_customer_tenant_is_deleted_only_when_its_exit_was_approved_or_it_never_held_anything() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    passes(&admin, really_create(TENANTS, customer_tenant("leaving"))).await;
    let path = format!("{TENANTS}/leaving");
    for client in [
        &admin,
        &operator,
        &world.machine("argocd", "controller"),
        &world.machine("kube-system", "generic-garbage-collector"),
    ] {
        refused(
            client,
            delete(&path),
            "customertenants",
            EXIT,
            "CustomerTenant leaving",
        )
        .await;
        refused(
            client,
            delete(TENANTS),
            "customertenants",
            EXIT,
            "CustomerTenant",
        )
        .await;
    }
    for (kind, status) in [
        ("TerminationApproved", "False"),
        ("NeverUsed", "Unknown"),
        ("Ready", "True"),
    ] {
        passes(
            &operator,
            really_patch(format!("{path}/status"), condition(kind, status)),
        )
        .await;
        refused(&admin, delete(&path), "customertenants", EXIT, "leaving").await;
    }
    for kind in ["TerminationApproved", "NeverUsed"] {
        passes(
            &operator,
            really_patch(format!("{path}/status"), condition(kind, "True")),
        )
        .await;
        passes(&admin, delete(&path)).await;
    }
    passes(
        &operator,
        really_patch(format!("{path}/status"), condition("Ready", "True")),
    )
    .await;
    passes(&world.break_glass(), delete(&path)).await;
}

#[tokio::test]
async fn a_legal_hold_is_deleted_only_when_its_release_was_approved() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    passes(&admin, really_create(HOLDS, legal_hold("case-17"))).await;
    let path = format!("{HOLDS}/case-17");
    let stays = async || {
        for client in [
            &admin,
            &operator,
            &world.machine("argocd", "controller"),
            &world.machine("kube-system", "generic-garbage-collector"),
        ] {
            for target in [path.as_str(), HOLDS] {
                refused(
                    client,
                    delete(target),
                    "legalholds",
                    EXIT,
                    "LegalHold case-17",
                )
                .await;
            }
        }
    };
    stays().await;
    let forge = condition("Released", "True");
    refused(
        &admin,
        patch(format!("{path}/status"), forge.clone()),
        "status",
        ASSESSMENT,
        "case-17",
    )
    .await;
    for (kind, status) in [
        ("Released", "False"),
        ("Released", "Unknown"),
        ("Ready", "True"),
    ] {
        passes(
            &operator,
            really_patch(format!("{path}/status"), condition(kind, status)),
        )
        .await;
        stays().await;
    }
    passes(&world.break_glass(), delete(&path)).await;
    passes(&operator, really_patch(format!("{path}/status"), forge)).await;
    passes(&admin, really_delete(&path)).await;
}

#[tokio::test]
async fn the_platforms_settings_are_changed_not_deleted() {
    let world = world().await;
    let admin = world.admin();
    let policy = json!({ "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": { "name": "default" }, "spec": {} });
    passes(&admin, really_create(POLICIES, policy)).await;
    let path = format!("{POLICIES}/default");
    for client in [&admin, &world.operator().await] {
        refused(
            client,
            delete(&path),
            "tenancypolicies",
            AMENDMENTS,
            "TenancyPolicy default",
        )
        .await;
        refused(
            client,
            delete(POLICIES),
            "tenancypolicies",
            AMENDMENTS,
            "TenancyPolicy default",
        )
        .await;
    }
    passes(
        &admin,
        patch(&path, json!({ "metadata": { "labels": { "cost": "1" } } })),
    )
    .await;
    passes(&world.break_glass(), really_delete(&path)).await;
}

#[tokio::test]
async fn status_of_our_kinds_is_the_operators_alone() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let mut body = customer_tenant("forged");
    body["status"] = condition("TerminationApproved", "True")["status"].clone();
    let made = passes(&admin, really_create(TENANTS, body)).await;
    assert_eq!(
        made["status"],
        json!({ "observedGeneration": -1 }),
        "a status on create is dropped: {made}"
    );
    let path = format!("{TENANTS}/forged");
    let forge = condition("TerminationApproved", "True");
    for client in [
        &admin,
        &world.break_glass(),
        &world.machine("argocd", "controller"),
        &world.machine("velero", "velero"),
    ] {
        refused(
            client,
            patch(format!("{path}/status"), forge.clone()),
            "status",
            ASSESSMENT,
            "forged",
        )
        .await;
    }
    let made = passes(&admin, patch(&path, forge.clone())).await;
    assert_eq!(
        made["status"],
        json!({ "observedGeneration": -1 }),
        "a status by the main path is dropped: {made}"
    );
    passes(&operator, patch(format!("{path}/status"), forge.clone())).await;
    passes(&admin, patch(&path, json!({ "metadata": { "labels": { "cost": "1" } }, "spec": { "customer": { "name": "Other" } } }))).await;
    // The probe mark, once more.
    passes(
        &operator,
        really_create(TENANTS, {
            let mut body = customer_tenant("marked");
            body["metadata"]["labels"] = json!({ "tenure.dev/probe": "true" });
            body
        }),
    )
    .await;
    refused(
        &operator,
        patch(format!("{TENANTS}/marked/status"), forge),
        "status",
        ASSESSMENT,
        "marked",
    )
    .await;
}

#[tokio::test]
async fn our_finalizers_are_the_operators_alone() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let mut born = customer_tenant("pinned");
    born["metadata"]["finalizers"] = json!(["tenure.dev/exit"]);
    refused(
        &admin,
        create(TENANTS, born),
        "status",
        EXIT,
        "tenure.dev/exit",
    )
    .await;
    passes(&admin, really_create(TENANTS, customer_tenant("pinned"))).await;
    let path = format!("{TENANTS}/pinned");
    let hold = json!({ "metadata": { "finalizers": ["tenure.dev/exit", "foregroundDeletion"] } });
    refused(
        &admin,
        patch(&path, hold.clone()),
        "status",
        EXIT,
        "tenure.dev/exit",
    )
    .await;
    passes(&operator, really_patch(&path, hold)).await;
    for finalizers in [
        json!(null),
        json!(["foregroundDeletion"]),
        json!(["tenure.dev/other", "foregroundDeletion"]),
    ] {
        let strip = json!({ "metadata": { "finalizers": finalizers } });
        refused(&admin, patch(&path, strip), "status", EXIT, "tenure.dev/").await;
    }
    let collector = world.machine("kube-system", "generic-garbage-collector");
    passes(
        &collector,
        patch(
            &path,
            json!({ "metadata": { "finalizers": ["tenure.dev/exit"] } }),
        ),
    )
    .await;
    passes(
        &world.break_glass(),
        patch(&path, json!({ "metadata": { "finalizers": null } })),
    )
    .await;
    let owner = json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": "gone",
        "uid": "11111111-1111-4111-8111-111111111111" }] } });
    for client in [&admin, &operator] {
        refused(
            client,
            patch(&path, owner.clone()),
            "status",
            EXIT,
            "Node gone",
        )
        .await;
    }
    passes(
        &operator,
        patch(&path, json!({ "metadata": { "finalizers": null } })),
    )
    .await;
}

fn own_configmaps() -> String {
    format!("/api/v1/namespaces/{OWN}/configmaps")
}

#[tokio::test]
async fn the_accepted_settings_are_written_by_the_operator_alone() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let path = format!("{}/tenure-guard-parameters", own_configmaps());
    for body in [
        json!({ "data": { "break-glass-group": "everybody" } }),
        json!({ "data": null }),
        json!({ "binaryData": { "x": "eA==" } }),
        json!({ "immutable": true }),
    ] {
        refused(
            &admin,
            patch(&path, body.clone()),
            "parameters",
            AMENDMENTS,
            "tenure-guard-parameters",
        )
        .await;
        passes(&operator, patch(&path, body.clone())).await;
        passes(&world.break_glass(), patch(&path, body)).await;
    }
    refused(
        &admin,
        delete(&path),
        "parameters",
        AMENDMENTS,
        "tenure-guard-parameters",
    )
    .await;
    refused(
        &admin,
        delete(own_configmaps()),
        "parameters",
        AMENDMENTS,
        "tenure-guard-parameters",
    )
    .await;
    let controller = world.machine("kube-system", "namespace-controller");
    refused(
        &controller,
        delete(&path),
        "parameters",
        AMENDMENTS,
        "tenure-guard-parameters",
    )
    .await;
    // What a release writes.
    passes(
        &admin,
        patch(
            &path,
            json!({ "metadata": { "labels": { "helm.sh/chart": "tenure-2" } } }),
        ),
    )
    .await;
    passes(
        &admin,
        create(
            own_configmaps(),
            json!({ "metadata": { "name": "other" }, "data": { "a": "b" } }),
        ),
    )
    .await;
    passes(
        &admin,
        create(
            "/api/v1/namespaces/default/configmaps",
            json!({ "metadata": { "name": "tenure-guard-parameters" }, "data": { "a": "b" } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn lost_settings_close_every_guard_and_come_back_empty() {
    let world = world_alone().await;
    let admin = world.admin();
    let path = format!("{}/tenure-guard-parameters", own_configmaps());
    let tenant = world.tenant("lost").await;
    passes(&world.break_glass(), really_delete(&path)).await;
    let harmless = || {
        patch(
            format!("/api/v1/namespaces/{}", tenant.prod()),
            json!({ "metadata": { "labels": { "cost": "1" } } }),
        )
    };
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "the guards refuse",
        async || {
            let error = send(&admin, &harmless())
                .await
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            anyhow::ensure!(error.contains("no params found"), "{error}");
            Ok(())
        },
    )
    .await
    .unwrap();
    let filled = json!({ "metadata": { "name": "tenure-guard-parameters" }, "data": { "break-glass-group": "everybody" } });
    refused(
        &admin,
        create(own_configmaps(), filled),
        "parameters",
        AMENDMENTS,
        "data",
    )
    .await;
    passes(
        &admin,
        really_create(
            own_configmaps(),
            json!({ "metadata": { "name": "tenure-guard-parameters" } }),
        ),
    )
    .await;
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "the guards answer again",
        async || Ok(send(&admin, &harmless()).await?),
    )
    .await
    .unwrap();
    // No settings at all: the strict defaults, and nobody's controllers are trusted.
    let velero = world.machine("velero", "velero");
    let restored = json!({ "metadata": { "name": "x", "labels": { "tenure.dev/tenant": "x" } } });
    refused(
        &velero,
        create("/api/v1/namespaces", restored.clone()),
        "namespaces",
        "dsa-2.6-logical-separation",
        "tenure.dev",
    )
    .await;
    passes(
        &world.break_glass(),
        create("/api/v1/namespaces", restored.clone()),
    )
    .await;
    world.settings(None).await;
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "the settings are back",
        async || Ok(send(&velero, &create("/api/v1/namespaces", restored.clone())).await?),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_memory_of_a_tenant_is_written_by_the_operator_alone() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let record = |name: &str| json!({ "metadata": { "name": name, "labels": { "tenure.dev/record": "true" } }, "data": { "spec": "{}" } });
    for body in [
        record("tenure-record-x"),
        record("other"),
        json!({ "metadata": { "name": "tenure-record-y" } }),
        json!({ "metadata": { "generateName": "tenure-record-" } }),
    ] {
        refused(
            &admin,
            create(own_configmaps(), body.clone()),
            "records",
            AMENDMENTS,
            "memory of a tenant",
        )
        .await;
        passes(&operator, create(own_configmaps(), body)).await;
    }
    passes(
        &operator,
        really_create(own_configmaps(), record("tenure-record-1")),
    )
    .await;
    let path = format!("{}/tenure-record-1", own_configmaps());
    for body in [
        json!({ "data": { "spec": "forged" } }),
        json!({ "metadata": { "labels": null } }),
    ] {
        refused(
            &admin,
            patch(&path, body.clone()),
            "records",
            AMENDMENTS,
            "tenure-record-1",
        )
        .await;
        passes(&operator, patch(&path, body.clone())).await;
        passes(&world.break_glass(), patch(&path, body)).await;
    }
    refused(
        &admin,
        delete(&path),
        "records",
        AMENDMENTS,
        "tenure-record-1",
    )
    .await;
    let error = send(&admin, &delete(own_configmaps()))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(AMENDMENTS), "{error}");
    passes(
        &admin,
        create(own_configmaps(), json!({ "metadata": { "name": "plain" } })),
    )
    .await;
    passes(&operator, delete(&path)).await;
}

#[tokio::test]
async fn our_definitions_stay_and_serve_what_they_served() {
    let world = world().await;
    let admin = world.admin();
    let ours = format!("{DEFINITIONS}/approvals.tenure.dev");
    refused(&admin, delete(&ours), "crds", EXIT, "approvals.tenure.dev").await;
    refused(
        &world.operator().await,
        delete(&ours),
        "crds",
        EXIT,
        "approvals.tenure.dev",
    )
    .await;
    let error = send(&admin, &delete(DEFINITIONS))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("'tenure-crds'"), "{error}");
    let mut definition = send(&admin, &super::ask::connect("GET", &ours))
        .await
        .unwrap();
    let mut dropped = definition.clone();
    let mut next = dropped["spec"]["versions"][0].clone();
    next["name"] = json!("v1beta1");
    next["storage"] = json!(false);
    dropped["spec"]["versions"][0]["served"] = json!(false);
    dropped["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(next.clone());
    refused(
        &admin,
        super::ask::replace(&ours, dropped),
        "crds",
        EXIT,
        "v1alpha1",
    )
    .await;
    definition["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(next);
    definition["metadata"]["labels"] = json!({ "helm.sh/chart": "tenure-2" });
    passes(&admin, super::ask::replace(&ours, definition)).await;
    passes(&world.break_glass(), delete(&ours)).await;
    passes(
        &admin,
        delete(format!("{DEFINITIONS}/udproutes.gateway.networking.k8s.io")),
    )
    .await;
}
