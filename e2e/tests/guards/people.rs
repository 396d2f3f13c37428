//! Rows: tokens, sessions, approvals, and who changed a spec.

use serde_json::{Value, json};
use tenure_e2e::Identity;

use super::ask::{
    apply, connect, create, named, not_the_guards, passes, patch, really_create, really_delete,
    refused, send,
};
use super::lifecycle::default_account;
use super::platform::{customer_tenant, legal_hold};
use super::workloads::{pod, template};
use super::world::{OWN, World, world, world_alone};

const UNIQUE: &str = "dsa-2.4-unique-user-ids";
const MFA: &str = "dsa-2.4-mfa";
const DUTIES: &str = "dsa-2.4-separation-of-duties";

#[tokio::test]
async fn tokens_are_minted_by_kubelets_for_pods_and_by_named_controllers() {
    let world = world().await;
    let tenant = world.tenant("mint").await;
    let admin = world.admin();
    default_account(&admin, &tenant.prod()).await;
    let mut app = json!({ "metadata": { "name": "app" }, "spec": template() });
    app["spec"]["nodeName"] = json!("node-1");
    let app = passes(&admin, really_create(tenant.core("pods"), app)).await;
    let node = world.client(&Identity::user("system:node:node-1").group("system:nodes"));
    let bound = json!({ "spec": { "audiences": [],
        "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "app", "uid": app["metadata"]["uid"] } } });
    let free = json!({ "spec": { "audiences": [] } });
    let path = format!("{}/default/token", tenant.core("serviceaccounts"));
    for client in [
        &admin,
        &world.operator().await,
        &world.machine("somewhere", "strange"),
    ] {
        refused(
            client,
            create(&path, free.clone()),
            "tokens",
            UNIQUE,
            "may not act as ServiceAccount",
        )
        .await;
        refused(
            client,
            create(&path, bound.clone()),
            "tokens",
            UNIQUE,
            "mint-prod/default",
        )
        .await;
    }
    passes(&node, create(&path, bound)).await;
    passes(
        &world.machine("argocd", "controller"),
        create(&path, free.clone()),
    )
    .await;
    passes(&world.break_glass(), create(&path, free.clone())).await;
    // The operator's own namespace: its token is the operator.
    let own = format!("/api/v1/namespaces/{OWN}/serviceaccounts/tenure-operator/token");
    refused(
        &admin,
        create(&own, free.clone()),
        "tokens",
        UNIQUE,
        "tenure-operator",
    )
    .await;
    refused(
        &world.operator().await,
        create(&own, free.clone()),
        "tokens",
        UNIQUE,
        "tenure-operator",
    )
    .await;
    passes(
        &admin,
        create(
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            free,
        ),
    )
    .await;
}

#[tokio::test]
async fn lasting_tokens_are_made_by_named_controllers_only() {
    let world = world().await;
    let tenant = world.tenant("lasting").await;
    let admin = world.admin();
    default_account(&admin, &tenant.prod()).await;
    let secret = |account: &str| {
        json!({ "metadata": { "name": "token", "annotations": { "kubernetes.io/service-account.name": account } },
            "type": "kubernetes.io/service-account-token" })
    };
    let own = format!("/api/v1/namespaces/{OWN}/secrets");
    for path in [tenant.core("secrets"), own] {
        refused(
            &admin,
            create(&path, secret("default")),
            "tokens",
            UNIQUE,
            "lasting token",
        )
        .await;
        refused(
            &world.operator().await,
            create(&path, secret("default")),
            "tokens",
            UNIQUE,
            "lasting token",
        )
        .await;
    }
    passes(
        &world.break_glass(),
        create(tenant.core("secrets"), secret("default")),
    )
    .await;
    passes(
        &admin,
        create(
            tenant.core("secrets"),
            json!({ "metadata": { "name": "app" }, "stringData": { "a": "b" } }),
        ),
    )
    .await;
    passes(
        &world.machine("argocd", "controller"),
        really_create(tenant.core("secrets"), secret("default")),
    )
    .await;
    let turn =
        json!({ "metadata": { "annotations": { "kubernetes.io/service-account.name": "other" } } });
    let object = format!("{}/token", tenant.core("secrets"));
    refused(
        &admin,
        patch(&object, turn),
        "tokens",
        UNIQUE,
        "lasting token",
    )
    .await;
    passes(
        &admin,
        patch(
            &object,
            json!({ "metadata": { "labels": { "cost": "1" } } }),
        ),
    )
    .await;
}

/// The ways into a running pod that do not exist, so that only admission can answer.
fn ways_in(pods: &str, services: &str) -> Vec<super::ask::Ask> {
    vec![
        connect("POST", format!("{pods}/gone/exec?command=id")),
        connect("POST", format!("{pods}/gone/attach")),
        connect("POST", format!("{pods}/gone/portforward")),
        connect("GET", format!("{pods}/gone/proxy")),
        connect("GET", format!("{services}/gone/proxy")),
        connect("GET", "/api/v1/nodes/gone/proxy"),
    ]
}

#[tokio::test]
async fn persons_enter_and_write_with_a_second_factor_where_it_is_configured() {
    let world = world_alone().await;
    let tenant = world.tenant("factor").await;
    let admin = world.admin();
    default_account(&admin, &tenant.prod()).await;
    let (pods, services) = (tenant.core("pods"), tenant.core("services"));
    let mut app = pod();
    app["metadata"] = named("app");
    passes(&admin, really_create(&pods, app)).await;
    let key = "idp.example.org/amr";
    let jane = || Identity::user("jane").group("system:masters");
    let plain = world.client(&jane());
    let marked = world.client(&jane().extra(key, "pwd").extra(key, "mfa"));
    let other = world.client(&jane().extra(key, "pwd").extra("other/key", "mfa"));

    // Not configured: the rule is off.
    for ask in ways_in(&pods, &services) {
        not_the_guards(&plain, ask).await;
    }
    world
        .settings(Some(
            json!({ "mfa-extra-key": key, "mfa-extra-values": "mfa,hwk" }),
        ))
        .await;
    let configmap = || {
        create(
            tenant.core("configmaps"),
            json!({ "metadata": { "generateName": "x-" } }),
        )
    };
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "the rule is on",
        async || {
            anyhow::ensure!(send(&plain, &configmap()).await.is_err());
            Ok(())
        },
    )
    .await
    .unwrap();
    let debug = json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": "x", "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] } });
    let deployments = tenant.path("apps/v1", "deployments");
    let writes = || {
        vec![
            configmap(),
            patch(
                format!("{pods}/app"),
                json!({ "metadata": { "labels": { "cost": "1" } } }),
            ),
            patch(format!("{pods}/app/ephemeralcontainers"), debug.clone()),
            super::ask::delete(format!("{pods}/app")),
            super::ask::delete(&pods),
            create(
                format!("{pods}/app/eviction"),
                json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "app" } }),
            ),
            create(
                &deployments,
                json!({ "metadata": { "name": "x" }, "spec": {
                "selector": { "matchLabels": { "a": "b" } }, "template": { "metadata": { "labels": { "a": "b" } }, "spec": template() } } }),
            ),
        ]
    };
    for client in [&plain, &other] {
        for ask in ways_in(&pods, &services).into_iter().chain(writes()) {
            refused(client, ask, "sessions", MFA, "jane").await;
        }
    }
    // A person is whoever is no machine, whatever the name pretends.
    let pretender = world.client(&Identity::user("system:admin").group("system:masters"));
    refused(&pretender, configmap(), "sessions", MFA, "system:admin").await;

    for client in [
        &marked,
        &world.machine("argocd", "controller"),
        &world.machine("other", "machine"),
        &world.break_glass(),
    ] {
        for ask in ways_in(&pods, &services) {
            not_the_guards(client, ask).await;
        }
        for ask in writes() {
            passes(client, ask).await;
        }
    }
    // Elsewhere the rule does not hold.
    passes(
        &plain,
        create(
            "/api/v1/namespaces/default/configmaps",
            json!({ "metadata": { "generateName": "x-" } }),
        ),
    )
    .await;
    // A key without values satisfies nobody.
    world.settings(Some(json!({ "mfa-extra-key": key }))).await;
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "no value satisfies",
        async || {
            anyhow::ensure!(send(&marked, &configmap()).await.is_err());
            Ok(())
        },
    )
    .await
    .unwrap();
    world.settings(None).await;
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "the rule is off again",
        async || Ok(send(&plain, &configmap()).await?),
    )
    .await
    .unwrap();
}

const APPROVALS: &str = "/apis/tenure.dev/v1alpha1/approvals";

fn approval(tenant: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": { "generateName": "a-" },
        "spec": {
            "action": "Terminate", "decision": "Approve", "reason": "notice received",
            "tenantRef": { "name": tenant },
            "subject": { "kind": "CustomerTenant", "name": tenant, "tenantID": super::world::tenant_id(),
                "digest": format!("sha256:{}", "0".repeat(64)), "digestVersion": 1 },
        },
    })
}

fn platform_approval() -> Value {
    let mut body = approval("x");
    body["spec"]["action"] = json!("Loosen");
    body["spec"]["subject"] = json!({ "kind": "TenancyPolicy", "name": "default",
        "digest": format!("sha256:{}", "0".repeat(64)), "digestVersion": 1 });
    body["spec"].as_object_mut().unwrap().remove("tenantRef");
    body
}

/// Lets `user` create Approvals and approve exactly `resource`/`name`.
async fn approver(world: &World, user: &str, resource: &str, name: &str) -> kube::Client {
    let admin = world.admin();
    let role = json!({ "metadata": { "name": format!("approver-{user}") }, "rules": [
        { "apiGroups": ["tenure.dev"], "resources": ["approvals"], "verbs": ["create", "update", "patch", "delete", "get"] },
        { "apiGroups": ["tenure.dev"], "resources": [resource], "resourceNames": [name], "verbs": ["approve"] },
    ]});
    passes(
        &admin,
        really_create("/apis/rbac.authorization.k8s.io/v1/clusterroles", role),
    )
    .await;
    let binding = json!({ "metadata": { "name": format!("approver-{user}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("approver-{user}") },
        "subjects": [{ "kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io" }] });
    passes(
        &admin,
        really_create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            binding,
        ),
    )
    .await;
    let client = world.client(&Identity::user(user).group("finance"));
    tenure_e2e::eventually(std::time::Duration::from_secs(10), "the role counts", async || {
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
            "resourceAttributes": { "group": "tenure.dev", "resource": resource, "name": name, "verb": "approve" } } });
        let answer = send(&client, &connect_review(review)).await?;
        anyhow::ensure!(answer["status"]["allowed"] == true, "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    client
}

fn connect_review(body: Value) -> super::ask::Ask {
    really_create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body,
    )
}

#[tokio::test]
async fn an_approver_holds_the_verb_on_that_tenant() {
    let world = world().await;
    let ann = approver(&world, "ann", "customertenants", "acme").await;
    let made = passes(&ann, create(APPROVALS, approval("acme"))).await;
    assert_eq!(
        made["spec"]["approver"],
        json!({ "username": "ann", "groups": ["finance", "system:authenticated"] })
    );
    refused(
        &ann,
        create(APPROVALS, approval("rival")),
        "approvals",
        DUTIES,
        "customertenants/rival",
    )
    .await;
    refused(
        &ann,
        create(APPROVALS, platform_approval()),
        "approvals",
        DUTIES,
        "tenancypolicies/default",
    )
    .await;
    let bob = approver(&world, "bob", "tenancypolicies", "default").await;
    passes(&bob, create(APPROVALS, platform_approval())).await;
    refused(
        &bob,
        create(APPROVALS, approval("acme")),
        "approvals",
        DUTIES,
        "customertenants/acme",
    )
    .await;
}

#[tokio::test]
async fn the_approver_is_the_caller_whatever_the_request_says() {
    let world = world().await;
    let eve = approver(&world, "eve", "customertenants", "acme").await;
    let mut forged = approval("acme");
    forged["spec"]["approver"] = json!({ "username": "ceo", "groups": ["board", "finance"] });
    let made = passes(&eve, create(APPROVALS, forged.clone())).await;
    assert_eq!(
        made["spec"]["approver"],
        json!({ "username": "eve", "groups": ["finance", "system:authenticated"] })
    );
    forged["metadata"] = named("by-apply");
    let made = passes(
        &eve,
        apply(format!("{APPROVALS}/by-apply"), "eve", forged).dry(),
    )
    .await;
    assert_eq!(made["spec"]["approver"]["username"], "eve");
}

#[tokio::test]
async fn an_approval_stays_as_it_was_given() {
    let world = world().await;
    let admin = world.admin();
    let mut body = approval("kept");
    body["metadata"] = named("kept");
    passes(&admin, really_create(APPROVALS, body)).await;
    let path = format!("{APPROVALS}/kept");
    // The schema says no before the guard does; without the schema's rule the guard would.
    for change in [
        json!({ "spec": { "decision": "Reject" } }),
        json!({ "spec": { "approver": { "username": "x" } } }),
    ] {
        let error = send(&admin, &patch(&path, change))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mmutable") || error.contains("never changes"),
            "{error}"
        );
    }
    refused(
        &admin,
        super::ask::delete(&path),
        "approvals",
        DUTIES,
        "is kept while its subject lives",
    )
    .await;
    refused(
        &admin,
        super::ask::delete(APPROVALS),
        "approvals",
        DUTIES,
        "is kept while its subject lives",
    )
    .await;
    let collector = world.machine("kube-system", "generic-garbage-collector");
    refused(
        &collector,
        super::ask::delete(&path),
        "approvals",
        DUTIES,
        "kept",
    )
    .await;
    passes(
        &admin,
        patch(&path, json!({ "metadata": { "labels": { "cost": "1" } } })),
    )
    .await;
    passes(&world.break_glass(), super::ask::delete(&path)).await;
    passes(&world.operator().await, really_delete(&path)).await;
}

#[tokio::test]
async fn a_change_of_spec_is_stamped_with_its_author() {
    let world = world().await;
    let path = "/apis/tenure.dev/v1alpha1/customertenants";
    let argo = world.machine("argocd", "controller");
    let stamp = |made: &Value| made["metadata"]["annotations"]["tenure.dev/changed-by"].clone();
    let mut body = customer_tenant("stamped");
    body["metadata"]["annotations"] = json!({ "tenure.dev/changed-by": "nobody" });
    let made = passes(&argo, really_create(path, body.clone())).await;
    assert_eq!(stamp(&made), "system:serviceaccount:argocd:controller");
    let object = format!("{path}/stamped");
    let jane = world.client(&Identity::user("jane").group("system:masters"));
    // Not a change of spec: the stamp stays, and cannot be moved or taken off.
    for metadata in [
        json!({ "labels": { "cost": "1" } }),
        json!({ "annotations": { "tenure.dev/changed-by": "jane" } }),
        json!({ "annotations": null }),
    ] {
        let made = passes(&jane, patch(&object, json!({ "metadata": metadata }))).await;
        assert_eq!(stamp(&made), "system:serviceaccount:argocd:controller");
    }
    let rename = json!({ "metadata": { "annotations": { "tenure.dev/changed-by": "ceo" } }, "spec": { "customer": { "name": "Renamed" } } });
    let made = passes(&jane, patch(&object, rename)).await;
    assert_eq!(stamp(&made), "jane");
    let mut applied = customer_tenant("stamped");
    applied["spec"]["customer"]["name"] = json!("Applied");
    let made = passes(&jane, apply(&object, "jane", applied).dry()).await;
    assert_eq!(stamp(&made), "jane");
    let policy = json!({ "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": { "name": "default" }, "spec": {} });
    let made = passes(
        &jane,
        create("/apis/tenure.dev/v1alpha1/tenancypolicies", policy),
    )
    .await;
    assert_eq!(stamp(&made), "jane");
}

#[tokio::test]
async fn a_hold_keeps_the_stamp_of_whoever_placed_it() {
    let world = world().await;
    let path = "/apis/tenure.dev/v1alpha1/legalholds";
    let stamp = |made: &Value| made["metadata"]["annotations"]["tenure.dev/changed-by"].clone();
    let placer = world.client(&Identity::user("placer").group("system:masters"));
    let mut body = legal_hold("placed");
    body["metadata"]["annotations"] = json!({ "tenure.dev/changed-by": "nobody" });
    let made = passes(&placer, really_create(path, body)).await;
    assert_eq!(stamp(&made), "placer");
    let object = format!("{path}/placed");
    let jane = world.client(&Identity::user("jane").group("system:masters"));
    // Whoever moves the review does not become the one who placed it, or the placer could release it.
    for change in [
        json!({ "spec": { "reviewOn": "2026-09-01" } }),
        json!({ "metadata": { "annotations": { "tenure.dev/changed-by": "jane" } } }),
        json!({ "metadata": { "annotations": null } }),
    ] {
        let made = passes(&jane, patch(&object, change)).await;
        assert_eq!(stamp(&made), "placer");
    }
    let attestation = json!({ "apiVersion": "tenure.dev/v1alpha1", "kind": "Attestation", "metadata": { "name": "west" },
        "spec": { "control": "dsa-2.5-physical-security", "subject": { "kind": "Location", "name": "West" },
            "statement": "nothing is open", "attestedBy": "Facility manager", "issuedOn": "2026-01-15", "validUntil": "2027-01-14",
            "evidence": { "uri": "https://documents.provider.example/west.pdf", "digest": format!("sha256:{}", "0".repeat(64)) } } });
    let made = passes(
        &jane,
        create("/apis/tenure.dev/v1alpha1/attestations", attestation),
    )
    .await;
    assert_eq!(stamp(&made), "jane");
}
