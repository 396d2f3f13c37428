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

pub(crate) const APPROVALS: &str = "/apis/tenure.dev/v1alpha1/approvals";

pub(crate) fn approval(tenant: &str) -> Value {
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
pub(crate) async fn approver(
    world: &World,
    user: &str,
    resource: &str,
    name: &str,
) -> kube::Client {
    holder(world, user, "approve", resource, name).await
}

/// Lets `user` write our kinds, and gives exactly one verb on `resource`/`name`.
pub(crate) async fn holder(
    world: &World,
    user: &str,
    verb: &str,
    resource: &str,
    name: &str,
) -> kube::Client {
    let admin = world.admin();
    let kinds = ["approvals", "accessgrants", "accessreviews", "staffmembers"];
    let role = json!({ "metadata": { "name": format!("holder-{user}") }, "rules": [
        { "apiGroups": ["tenure.dev"], "resources": kinds, "verbs": ["create", "update", "patch", "delete", "get"] },
        { "apiGroups": ["tenure.dev"], "resources": [resource], "resourceNames": [name], "verbs": [verb] },
    ]});
    passes(
        &admin,
        really_create("/apis/rbac.authorization.k8s.io/v1/clusterroles", role),
    )
    .await;
    let binding = json!({ "metadata": { "name": format!("holder-{user}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("holder-{user}") },
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
            "resourceAttributes": { "group": "tenure.dev", "resource": resource, "name": name, "verb": verb } } });
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

const NEED_TO_KNOW: &str = "dsa-2.0-need-to-know";
pub(crate) const GRANTS: &str = "/apis/tenure.dev/v1alpha1/accessgrants";
const STAFF: &str = "/apis/tenure.dev/v1alpha1/staffmembers";

/// The least AccessGrant there can be.
pub(crate) fn grant(name: &str, tenant: &str) -> Value {
    json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": { "name": name },
        "spec": {
            "tenantRef": { "name": tenant }, "tenantID": super::world::tenant_id(), "person": "jane", "role": "tenure-tenant-operator",
            "namespaces": [format!("{tenant}-prod")], "reason": "It hangs.", "ticket": "CHG-1", "notAfter": "2036-02-01T16:00:00Z",
        },
    })
}

/// The same, active before anybody approved it.
fn urgent(name: &str, tenant: &str) -> Value {
    let mut body = grant(name, tenant);
    body["spec"]["breakGlass"] = json!(true);
    body
}

fn staff(name: &str, identities: &[&str]) -> Value {
    json!({ "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": { "name": name },
        "spec": { "identities": identities, "status": "Active" } })
}

#[tokio::test]
async fn access_is_asked_for_with_the_verb_on_that_tenant() {
    let world = world().await;
    let rita = holder(&world, "rita", "request", "customertenants", "acme").await;
    let olga = holder(&world, "olga", "break-glass", "customertenants", "acme").await;
    let paul = approver(&world, "paul", "customertenants", "acme").await;
    passes(&rita, create(GRANTS, grant("one", "acme"))).await;
    passes(&olga, create(GRANTS, urgent("one", "acme"))).await;
    for (client, body, what) in [
        (&rita, grant("one", "rival"), "customertenants/rival"),
        (&rita, urgent("one", "acme"), "verb break-glass"),
        (&olga, grant("one", "acme"), "verb request"),
        (&olga, urgent("one", "rival"), "customertenants/rival"),
        (&paul, grant("one", "acme"), "verb request"),
    ] {
        refused(
            client,
            create(GRANTS, body),
            "accessgrants",
            NEED_TO_KNOW,
            what,
        )
        .await;
    }
    let mut asked = urgent("one", "acme");
    asked["spec"]["breakGlass"] = json!(false);
    passes(&rita, create(GRANTS, asked)).await;
    // No identity gets by without the verb.
    let argo = world.client(&Identity::user("system:serviceaccount:argocd:controller"));
    let error = send(&argo, &create(GRANTS, grant("one", "acme"))).await;
    assert!(error.is_err(), "an applier without any right");
    passes(
        &world.machine("argocd", "controller"),
        create(GRANTS, grant("one", "acme")),
    )
    .await;
}

#[tokio::test]
async fn who_asked_is_the_caller_whatever_the_request_says() {
    let world = world().await;
    let ines = holder(&world, "ines", "request", "customertenants", "acme").await;
    let mut forged = grant("stamped-grant", "acme");
    forged["spec"]["requestedBy"] = json!("ceo");
    let made = passes(&ines, really_create(GRANTS, forged.clone())).await;
    assert_eq!(made["spec"]["requestedBy"], "ines");
    assert_eq!(
        made["metadata"]["annotations"]["tenure.dev/changed-by"],
        "ines"
    );
    // Nor does it change afterwards, by whoever writes the file again.
    let object = format!("{GRANTS}/stamped-grant");
    let admin = world.admin();
    for requested_by in [json!(null), json!("ceo")] {
        let mut body = made.clone();
        body["spec"]["requestedBy"] = requested_by;
        let answer = passes(&admin, super::ask::replace(&object, body)).await;
        assert_eq!(answer["spec"]["requestedBy"], "ines");
        assert_eq!(
            answer["metadata"]["annotations"]["tenure.dev/changed-by"],
            "ines"
        );
    }
    let made = passes(
        &ines,
        apply(
            format!("{GRANTS}/by-apply"),
            "ines",
            grant("by-apply", "acme"),
        )
        .dry(),
    )
    .await;
    assert_eq!(made["spec"]["requestedBy"], "ines");
}

#[tokio::test]
async fn a_grant_is_ended_early_by_who_may_ask_or_approve() {
    let world = world().await;
    let admin = world.admin();
    let asker = holder(&world, "rolf", "request", "customertenants", "ending").await;
    let approves = approver(&world, "anke", "customertenants", "ending").await;
    let others = [
        holder(&world, "nils", "request", "customertenants", "rival").await,
        holder(&world, "nora", "break-glass", "customertenants", "ending").await,
    ];
    passes(&admin, really_create(GRANTS, grant("ending", "ending"))).await;
    let object = format!("{GRANTS}/ending");
    let ends = [
        json!({ "spec": { "revoked": { "reason": "Done." } } }),
        json!({ "spec": { "notAfter": "2035-02-01T16:00:00Z" } }),
    ];
    for end in &ends {
        for client in &others {
            refused(
                client,
                patch(&object, end.clone()),
                "accessgrants",
                NEED_TO_KNOW,
                "may not end AccessGrant ending",
            )
            .await;
        }
        for client in [&asker, &approves, &world.break_glass()] {
            passes(client, patch(&object, end.clone())).await;
        }
    }
    // What is no end of it is for RBAC alone, and so is deleting it, which ends it.
    let label = json!({ "metadata": { "labels": { "cost": "1" } } });
    passes(&others[0], patch(&object, label)).await;
    passes(&others[0], super::ask::delete(&object)).await;
    // Who ended it stands on it.
    let made = passes(
        &approves,
        super::ask::really_patch(&object, ends[0].clone()),
    )
    .await;
    assert_eq!(
        made["metadata"]["annotations"]["tenure.dev/changed-by"],
        "anke"
    );
    assert_eq!(made["spec"]["requestedBy"], "admin");
}

#[tokio::test]
async fn nobody_writes_their_own_staff_member() {
    let world = world().await;
    let admin = world.admin();
    let hanna = Identity::user("hanna").group("system:masters");
    let hanna = world.client(&hanna);
    let own = |client: &kube::Client, ask| {
        let client = client.clone();
        async move { refused(&client, ask, "staffmembers", DUTIES, "hanna").await }
    };
    own(&hanna, create(STAFF, staff("hanna", &["hanna"]))).await;
    own(&hanna, create(STAFF, staff("x", &["somebody", "hanna"]))).await;
    passes(&hanna, create(STAFF, staff("x", &["hanna-two"]))).await;
    passes(
        &admin,
        really_create(STAFF, staff("hanna", &["h1", "hanna"])),
    )
    .await;
    let made = passes(&admin, really_create(STAFF, staff("other", &["other"]))).await;
    assert_eq!(
        made["metadata"]["annotations"]["tenure.dev/changed-by"],
        "admin"
    );
    let trained = json!({ "spec": { "training": { "completedOn": "2026-01-01" } } });
    let (mine, theirs) = (format!("{STAFF}/hanna"), format!("{STAFF}/other"));
    // Taking the name off first, or taking it, is writing one's own too.
    let without = json!({ "spec": { "identities": ["h1"] } });
    let with = json!({ "spec": { "identities": ["other", "hanna"] } });
    for ask in [
        patch(&mine, trained.clone()),
        patch(&mine, without.clone()),
        patch(&theirs, with),
        super::ask::delete(&mine),
        super::ask::delete(STAFF),
    ] {
        own(&hanna, ask).await;
    }
    passes(&hanna, patch(&theirs, trained.clone())).await;
    passes(&hanna, super::ask::delete(&theirs)).await;
    for change in [trained.clone(), without] {
        passes(&admin, patch(&mine, change)).await;
    }
    // An emergency is admitted, and recorded.
    let rescue = Identity::user("hanna").group("system:masters");
    let rescue = world.client(&rescue.group("tenure:break-glass"));
    passes(&rescue, patch(&mine, trained)).await;
}

#[tokio::test]
async fn what_was_found_of_grants_and_staff_is_the_operators_alone() {
    let world = world().await;
    let (admin, operator) = (world.admin(), world.operator().await);
    passes(&admin, really_create(GRANTS, grant("found", "acme"))).await;
    passes(&admin, really_create(STAFF, staff("found", &["found"]))).await;
    for (path, kind) in [(GRANTS, "Active"), (STAFF, "Eligible")] {
        let status = json!({ "status": { "conditions": [{ "type": kind, "status": "True", "reason": "Test", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }] } });
        let object = format!("{path}/found/status");
        for client in [&admin, &world.break_glass()] {
            refused(
                client,
                patch(&object, status.clone()),
                "status",
                "dsa-2.6-regular-assessment",
                "found",
            )
            .await;
        }
        passes(&operator, patch(&object, status)).await;
    }
}
