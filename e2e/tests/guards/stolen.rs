//! What the operator's own credentials are good for in other hands: RBAC cannot say it, so a guard does.

use serde_json::json;

use super::ask::{create, named, passes, patch, really_create, refused};
use super::platform::customer_tenant;
use super::workloads::pod;
use super::world::{OWN, world};

const ROLES: &str = "dsa-2.4-role-based-access";
const GUARD: &str = "operator";

#[tokio::test]
async fn the_operator_starts_no_pod() {
    let world = world().await;
    let tenant = world.tenant("dryrun").await;
    let operator = world.operator().await;
    super::lifecycle::default_account(&operator, &tenant.prod()).await;
    super::lifecycle::default_account(&operator, "kube-system").await;
    for path in [
        tenant.core("pods"),
        "/api/v1/namespaces/kube-system/pods".to_owned(),
    ] {
        refused(
            &operator,
            really_create(path, pod()),
            GUARD,
            ROLES,
            "only a dry run",
        )
        .await;
    }
    passes(&operator, create(tenant.core("pods"), pod())).await;
    passes(&world.admin(), really_create(tenant.core("pods"), pod())).await;
}

#[tokio::test]
async fn the_operator_writes_its_own_objects_into_tenants_only() {
    let world = world().await;
    let tenant = world.tenant("confined").await;
    let (admin, operator) = (world.admin(), world.operator().await);
    let policy = |name: &str| json!({ "metadata": named(name), "spec": { "podSelector": {} } });
    let policies = |namespace: &str| {
        format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    };
    for namespace in ["kube-system", "default", OWN] {
        refused(
            &operator,
            create(policies(namespace), policy("tenure-x")),
            GUARD,
            ROLES,
            namespace,
        )
        .await;
    }
    let prod = policies(&tenant.prod());
    refused(
        &operator,
        create(&prod, policy("theirs")),
        GUARD,
        ROLES,
        "theirs",
    )
    .await;
    passes(&admin, really_create(&prod, policy("theirs"))).await;
    refused(
        &operator,
        super::ask::delete(format!("{prod}/theirs")),
        GUARD,
        ROLES,
        "theirs",
    )
    .await;
    refused(&operator, super::ask::delete(&prod), GUARD, ROLES, "theirs").await;
    passes(&operator, create(&prod, policy("tenure-x"))).await;
}

#[tokio::test]
async fn the_operator_touches_no_namespace_that_is_nobodys_tenants() {
    let world = world().await;
    let operator = world.operator().await;
    let path = "/api/v1/namespaces";
    let stranger = json!({ "metadata": { "name": "stranger" } });
    passes(&world.admin(), really_create(path, stranger)).await;
    refused(
        &operator,
        create(path, json!({ "metadata": { "name": "free" } })),
        GUARD,
        ROLES,
        "free",
    )
    .await;
    refused(
        &operator,
        super::ask::delete(format!("{path}/stranger")),
        GUARD,
        ROLES,
        "stranger",
    )
    .await;
    let relabel =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } });
    refused(
        &operator,
        patch(format!("{path}/kube-public"), relabel),
        GUARD,
        ROLES,
        "kube-public",
    )
    .await;
    // Handing an adopted one back is taking the marks off.
    let tenant = world.tenant("handed").await;
    let back = json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } });
    passes(&operator, patch(format!("{path}/{}", tenant.prod()), back)).await;
}

#[tokio::test]
async fn the_operator_binds_tenants_roles_to_outsiders_of_the_system() {
    let world = world().await;
    let tenant = world.tenant("binder").await;
    let operator = world.operator().await;
    let path = tenant.path("rbac.authorization.k8s.io/v1", "rolebindings");
    let binding = |role: &str, subject: serde_json::Value| {
        json!({ "metadata": named("tenure-x"), "subjects": [subject],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role } })
    };
    let account =
        |namespace: &str| json!({ "kind": "ServiceAccount", "name": "x", "namespace": namespace });
    let user = |name: &str| json!({ "kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io" });
    let deployer = "tenure-tenant-deployer";
    for body in [
        binding("cluster-admin", account("argocd")),
        binding("view", account("argocd")),
        binding("system:node", account("argocd")),
        binding("tenure-approver", user("jane")),
        binding(deployer, account(OWN)),
        binding(deployer, account("kube-system")),
        binding(deployer, user("system:anonymous")),
    ] {
        refused(&operator, create(&path, body), GUARD, ROLES, "tenure-x").await;
    }
    passes(
        &operator,
        create(&path, binding(deployer, account("argocd"))),
    )
    .await;
    for role in [
        "tenure-tenant-member",
        "tenure-tenant-debugger",
        "database-operator",
    ] {
        passes(&operator, create(&path, binding(role, user("jane")))).await;
    }
}

#[tokio::test]
async fn the_operator_changes_nobodys_spec() {
    let world = world().await;
    let path = "/apis/tenure.dev/v1alpha1/customertenants";
    passes(
        &world.admin(),
        really_create(path, customer_tenant("asked")),
    )
    .await;
    let rename = json!({ "spec": { "customer": { "name": "Renamed" } } });
    let operator = world.operator().await;
    let object = format!("{path}/asked");
    refused(
        &operator,
        patch(&object, rename.clone()),
        GUARD,
        "dsa-2.4-separation-of-duties",
        "what people asked for",
    )
    .await;
    passes(
        &operator,
        patch(
            &object,
            json!({ "metadata": { "finalizers": ["tenure.dev/exit"] } }),
        ),
    )
    .await;
    passes(&world.admin(), patch(&object, rename)).await;
}
