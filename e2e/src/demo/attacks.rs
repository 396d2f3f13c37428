//! The chapter `attacks-refused`: what a cluster administrator may not do to a tenant, either.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::request::{Ask, create, delete, patch, refusal};
use super::stage::{Stage, namespace_path};
use super::tell;
use super::tenants::path as tenant_path;
use crate::install::NAMESPACE;
use crate::operator::SERVICE_ACCOUNT;

/// The tenant and namespace that are attacked.
const TENANT: &str = "logistics";
const TARGET: &str = "logistics-prod";

/// Attacks as the administrator of `system:masters`; every attack must be refused by a guard.
pub(super) async fn refused(stage: &mut Stage) -> Result<()> {
    let client = stage.access()?.admin()?;
    let mut through = Vec::new();
    for (what, ask) in attacks() {
        let start = Instant::now();
        match refusal(&client, &ask).await {
            Ok(said) => {
                let why = tell::first_sentence(&said.message);
                let more = format!("{}: {why}", said.control);
                tell::done(what, start.elapsed(), &more);
            }
            Err(error) => {
                tell::failed(what, &format!("{error:#}"));
                through.push(what);
            }
        }
    }
    if through.is_empty() {
        return Ok(());
    }
    bail!("not refused: {}", through.join("; "))
}

fn in_target(group_version: &str, plural: &str) -> String {
    match group_version {
        "v1" => format!("/api/v1/namespaces/{TARGET}/{plural}"),
        other => format!("/apis/{other}/namespaces/{TARGET}/{plural}"),
    }
}

fn attacks() -> Vec<(&'static str, Ask)> {
    let mut all = namespace_attacks();
    all.extend(network_attacks());
    all.extend(exposure_attacks());
    all.extend(people_attacks());
    all
}

fn namespace_attacks() -> Vec<(&'static str, Ask)> {
    let owner = json!([{ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "gone",
        "uid": "00000000-0000-4000-8000-000000000000" }]);
    let labels = json!({ "metadata": { "labels": { "tenure.dev/tenant": null } } });
    let stray =
        json!({ "metadata": { "name": "demo-stray", "labels": { "tenure.dev/tenant": TENANT } } });
    let level =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } });
    let forged = json!({ "status": { "compliant": "99/99" } });
    let target = namespace_path(TARGET);
    vec![
        (
            "strip the tenant's label off its namespace",
            patch(&target, labels),
        ),
        ("weaken the namespace's pod security", patch(&target, level)),
        (
            "plant an owner for garbage collection to follow",
            patch(&target, json!({ "metadata": { "ownerReferences": owner } })),
        ),
        ("delete the tenant's namespace", delete(&target)),
        (
            "make a namespace that claims to be the tenant's",
            create("/api/v1/namespaces", stray),
        ),
        (
            "forge the CustomerTenant's status",
            patch(format!("{}/status", tenant_path(TENANT)), forged),
        ),
        (
            "strip the CustomerTenant's finalizers",
            patch(
                tenant_path(TENANT),
                json!({ "metadata": { "finalizers": null } }),
            ),
        ),
    ]
}

fn network_attacks() -> Vec<(&'static str, Ask)> {
    let policies = in_target("networking.k8s.io/v1", "networkpolicies");
    let policy = |from: Value| json!({ "metadata": { "name": "demo-hole" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": from }] } });
    let negative = json!([{ "namespaceSelector": { "matchExpressions": [
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] }] } }]);
    vec![
        (
            "delete the policy that denies by default",
            delete(format!("{policies}/tenure-default-deny")),
        ),
        ("delete all network policies at once", delete(&policies)),
        (
            "open the namespace to everybody",
            create(&policies, policy(json!([]))),
        ),
        (
            "open it to everybody but one namespace",
            create(&policies, policy(negative)),
        ),
        (
            "open it to half of the Internet",
            create(
                &policies,
                policy(json!([{ "ipBlock": { "cidr": "0.0.0.0/1" } }])),
            ),
        ),
    ]
}

fn exposure_attacks() -> Vec<(&'static str, Ask)> {
    let service = |spec: Value| {
        create(
            in_target("v1", "services"),
            json!({ "metadata": { "name": "demo-door" }, "spec": spec }),
        )
    };
    let ingress = |class: &str| {
        let rule = json!({ "host": "planning.logistics.example", "http": { "paths": [{ "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "web", "port": { "number": 80 } } } }] } });
        let body = json!({ "metadata": { "name": "demo-door" }, "spec": { "ingressClassName": class, "rules": [rule] } });
        create(in_target("networking.k8s.io/v1", "ingresses"), body)
    };
    let pod = json!({ "metadata": { "name": "demo-root" }, "spec": { "hostNetwork": true, "containers": [
        { "name": "shell", "image": "localhost/demo:1", "securityContext": { "privileged": true } }] } });
    vec![
        (
            "expose a Service by NodePort, past the firewall",
            service(json!({ "type": "NodePort", "ports": [{ "port": 80 }] })),
        ),
        (
            "reach another tenant's Service by ExternalName",
            service(
                json!({ "type": "ExternalName", "externalName": "web.clinic-portal.svc.cluster.local" }),
            ),
        ),
        ("publish without TLS", ingress("waf")),
        ("publish by a class nobody declared", ingress("nginx")),
        (
            "start a privileged pod on the host's network",
            create(in_target("v1", "pods"), pod),
        ),
    ]
}

fn people_attacks() -> Vec<(&'static str, Ask)> {
    let binding = json!({ "metadata": { "name": "demo-friend" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "someone@provider.example" }] });
    let token =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let account = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{SERVICE_ACCOUNT}/token");
    vec![
        (
            "let a person in with a RoleBinding",
            create(
                in_target("rbac.authorization.k8s.io/v1", "rolebindings"),
                binding,
            ),
        ),
        ("take the operator's identity", create(account, token)),
    ]
}

/// The namespace that is attacked, for the other chapters.
///
/// # Errors
///
/// When the examples no longer make it.
pub(super) fn target(stage: &Stage) -> Result<&'static str> {
    let known = stage.tenants().iter().any(|tenant| tenant == TENANT);
    known
        .then_some(TARGET)
        .context("the example tenant logistics is missing")
}
