//! From a tenant to every object it should have. Pure and infallible.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use tenure_crds::customer_tenant::{Deployer, Member, MemberKind, Peer, TenantRole};
use tenure_crds::keys;
use tenure_crds::tenancy_policy::Limits;
use tenure_crds::words::{Amounts, Enforcement, PodSecurity, Port};

use super::rendering::{Hold, NamespaceRendering, Rendering};
use super::validate::{Tenant, TenantNamespace};
use crate::policy::accepted::Accepted;

/// Label every namespace carries with its own name, set by the API server: nobody can forge it.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Every object the tenant should have.
pub fn build(tenant: &Tenant, policy: &Accepted) -> Rendering {
    let facts = facts(tenant, policy);
    let active = tenant
        .namespaces
        .iter()
        .map(|namespace| match tenant.enforcement {
            Enforcement::Enforce => enforced(tenant, namespace, policy, &facts),
            Enforcement::Observe => observed(tenant, namespace, &facts),
        });
    let parked = tenant.parked.iter().map(|name| parked(tenant, name));
    let mut namespaces: Vec<NamespaceRendering> = active.chain(parked).collect();
    namespaces.sort_by(|left, right| left.name.cmp(&right.name));
    let enforces = tenant.enforcement == Enforcement::Enforce;
    let cluster_policies = if policy.cluster_network_policy && enforces {
        vec![cluster_policy(tenant, policy)]
    } else {
        Vec::new()
    };
    Rendering {
        namespaces,
        cluster_policies,
    }
}

/// What enforcement would render, for a tenant that is only observed.
pub fn build_as_enforced(tenant: &Tenant, policy: &Accepted) -> Rendering {
    build(
        &Tenant {
            enforcement: Enforcement::Enforce,
            ..tenant.clone()
        },
        policy,
    )
}

fn enforced(
    tenant: &Tenant,
    namespace: &TenantNamespace,
    policy: &Accepted,
    facts: &BTreeMap<String, String>,
) -> NamespaceRendering {
    NamespaceRendering {
        name: namespace.name.clone(),
        hold: Hold::Enforced,
        namespace: namespace_object(
            tenant,
            &namespace.name,
            &namespace.labels,
            Some(namespace.pod_security),
            facts,
        ),
        policies: policies(tenant, &namespace.name, policy),
        quota: quota(tenant, &namespace.name, &namespace.quota),
        limits: limit_range(tenant, &namespace.name, &namespace.limits),
        bindings: bindings(tenant, &namespace.name),
    }
}

fn observed(
    tenant: &Tenant,
    namespace: &TenantNamespace,
    facts: &BTreeMap<String, String>,
) -> NamespaceRendering {
    let mut object = namespace_object(
        tenant,
        &namespace.name,
        &namespace.labels,
        Some(namespace.pod_security),
        facts,
    );
    // Warnings and audit annotations tell; only `enforce` bites.
    if let Some(labels) = object.metadata.labels.as_mut() {
        labels.remove(keys::POD_SECURITY_ENFORCE);
        labels.remove(&format!("{}-version", keys::POD_SECURITY_ENFORCE));
    }
    NamespaceRendering {
        name: namespace.name.clone(),
        hold: Hold::Observed,
        namespace: object,
        policies: Vec::new(),
        quota: None,
        limits: None,
        bindings: Vec::new(),
    }
}

fn parked(tenant: &Tenant, name: &str) -> NamespaceRendering {
    let mut namespace = namespace_object(
        tenant,
        name,
        &BTreeMap::new(),
        Some(PodSecurity::Restricted),
        &BTreeMap::new(),
    );
    namespace
        .metadata
        .labels
        .get_or_insert_default()
        .insert(keys::PARKED.into(), "true".into());
    NamespaceRendering {
        name: name.to_owned(),
        hold: Hold::Parked,
        namespace,
        policies: vec![default_deny(tenant, name)],
        quota: None,
        limits: None,
        bindings: Vec::new(),
    }
}

/// What guards read about the tenant from each of its namespaces.
fn facts(tenant: &Tenant, policy: &Accepted) -> BTreeMap<String, String> {
    let own: BTreeSet<String> = tenant
        .namespaces
        .iter()
        .map(|namespace| namespace.name.clone())
        .collect();
    let outside = |peers: &[Peer]| -> BTreeSet<String> {
        peers
            .iter()
            .filter_map(|peer| peer.namespace.clone())
            .filter(|name| !own.contains(name))
            .collect()
    };
    let cidrs = |peers: &[Peer]| -> BTreeSet<String> {
        peers.iter().filter_map(|peer| peer.cidr.clone()).collect()
    };
    let mut ingress = outside(&tenant.ingress);
    ingress.extend(
        policy
            .platform_ingress
            .values()
            .map(|service| service.namespace.clone()),
    );
    if tenant.exposure.is_open() {
        ingress.extend(policy.edges.iter().cloned());
    }
    let mut egress = outside(&tenant.egress);
    egress.insert(policy.dns.namespace.clone());
    let hosts = tenant
        .egress
        .iter()
        .flat_map(|peer| peer.hosts.iter().cloned())
        .collect();
    let entries = [
        (keys::NAMESPACES, own.clone()),
        (keys::INGRESS_NAMESPACES, ingress),
        (keys::EGRESS_NAMESPACES, egress),
        (keys::INGRESS_CIDRS, cidrs(&tenant.ingress)),
        (keys::EGRESS_CIDRS, cidrs(&tenant.egress)),
        (keys::EGRESS_HOSTS, hosts),
        (
            keys::INGRESS_CLASSES,
            tenant.exposure.ingress_classes.clone(),
        ),
        (
            keys::GATEWAY_CLASSES,
            tenant.exposure.gateway_classes.clone(),
        ),
        (keys::GATEWAYS, tenant.exposure.gateways.clone()),
        (keys::HOSTS, tenant.exposure.hosts.clone()),
        (keys::STORAGE_CLASSES, tenant.storage_classes.clone()),
    ];
    entries
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(key, values)| {
            (
                key.to_owned(),
                values.into_iter().collect::<Vec<_>>().join(","),
            )
        })
        .collect()
}

fn namespace_object(
    tenant: &Tenant,
    name: &str,
    extra: &BTreeMap<String, String>,
    pod_security: Option<PodSecurity>,
    facts: &BTreeMap<String, String>,
) -> Namespace {
    let mut labels = extra.clone();
    labels.extend(marks(tenant));
    labels.insert(keys::ENFORCEMENT.into(), tenant.enforcement.as_str().into());
    labels.insert(
        keys::CLASSIFICATION.into(),
        tenant.classification.as_str().into(),
    );
    for mode in [
        keys::POD_SECURITY_ENFORCE,
        keys::POD_SECURITY_AUDIT,
        keys::POD_SECURITY_WARN,
    ] {
        if let Some(level) = pod_security {
            labels.insert(mode.into(), level.label().into());
            labels.insert(format!("{mode}-version"), "latest".into());
        }
    }
    let mut annotations = facts.clone();
    annotations.insert(keys::TENANT_ID.into(), tenant.id.clone());
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.into()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

fn marks(tenant: &Tenant) -> BTreeMap<String, String> {
    BTreeMap::from([
        (keys::TENANT.to_owned(), tenant.name.clone()),
        (
            keys::MANAGED_BY.to_owned(),
            keys::MANAGED_BY_VALUE.to_owned(),
        ),
    ])
}

fn meta(tenant: &Tenant, namespace: &str, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        labels: Some(marks(tenant)),
        annotations: Some(BTreeMap::from([(
            keys::TENANT_ID.to_owned(),
            tenant.id.clone(),
        )])),
        ..ObjectMeta::default()
    }
}

fn policies(tenant: &Tenant, namespace: &str, policy: &Accepted) -> Vec<NetworkPolicy> {
    let mut policies = vec![
        default_deny(tenant, namespace),
        same_tenant(tenant, namespace),
        dns(tenant, namespace, policy),
    ];
    if !policy.platform_ingress.is_empty() {
        let rules = policy.platform_ingress.values().map(|service| {
            ingress_rule(
                in_namespace(&service.namespace, Some(&service.pod_labels)),
                &service.ports.to_ports(),
            )
        });
        policies.push(ingress_policy(
            tenant,
            namespace,
            "tenure-platform",
            rules.collect(),
        ));
    }
    if tenant.exposure.is_open() && !policy.edges.is_empty() {
        let rules = policy
            .edges
            .iter()
            .map(|edge| ingress_rule(in_namespace(edge, None), &[]));
        policies.push(ingress_policy(
            tenant,
            namespace,
            "tenure-edges",
            rules.collect(),
        ));
    }
    if !tenant.ingress.is_empty() {
        let rules = tenant
            .ingress
            .iter()
            .map(|peer| ingress_rule(peer_of(peer), &peer.ports));
        policies.push(ingress_policy(
            tenant,
            namespace,
            "tenure-declared-ingress",
            rules.collect(),
        ));
    }
    if !tenant.egress.is_empty() {
        let rules = tenant
            .egress
            .iter()
            .map(|peer| egress_rule(peer_of(peer), &peer.ports));
        policies.push(egress_policy(
            tenant,
            namespace,
            "tenure-declared-egress",
            rules.collect(),
        ));
    }
    policies
}

fn default_deny(tenant: &Tenant, namespace: &str) -> NetworkPolicy {
    network_policy(
        tenant,
        namespace,
        "tenure-default-deny",
        &["Ingress", "Egress"],
        None,
        None,
    )
}

/// Traffic between the tenant's own namespaces; parked ones are not among them.
fn same_tenant(tenant: &Tenant, namespace: &str) -> NetworkPolicy {
    let names = tenant
        .namespaces
        .iter()
        .map(|namespace| namespace.name.clone())
        .collect();
    let selector = LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME.into(),
            operator: "In".into(),
            values: Some(names),
        }]),
        ..LabelSelector::default()
    };
    let peer = NetworkPolicyPeer {
        namespace_selector: Some(selector),
        ..NetworkPolicyPeer::default()
    };
    let ingress = vec![ingress_rule(peer.clone(), &[])];
    let egress = vec![egress_rule(peer, &[])];
    network_policy(
        tenant,
        namespace,
        "tenure-same-tenant",
        &["Ingress", "Egress"],
        Some(ingress),
        Some(egress),
    )
}

fn dns(tenant: &Tenant, namespace: &str, policy: &Accepted) -> NetworkPolicy {
    let peer = in_namespace(&policy.dns.namespace, Some(&policy.dns.pod_labels));
    egress_policy(
        tenant,
        namespace,
        "tenure-dns",
        vec![egress_rule(peer, &policy.dns.ports.to_ports())],
    )
}

fn ingress_policy(
    tenant: &Tenant,
    namespace: &str,
    name: &str,
    rules: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicy {
    network_policy(tenant, namespace, name, &["Ingress"], Some(rules), None)
}

fn egress_policy(
    tenant: &Tenant,
    namespace: &str,
    name: &str,
    rules: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    network_policy(tenant, namespace, name, &["Egress"], None, Some(rules))
}

fn network_policy(
    tenant: &Tenant,
    namespace: &str,
    name: &str,
    types: &[&str],
    ingress: Option<Vec<NetworkPolicyIngressRule>>,
    egress: Option<Vec<NetworkPolicyEgressRule>>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta(tenant, namespace, name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(types.iter().map(|&kind| kind.to_owned()).collect()),
            ingress,
            egress,
        }),
    }
}

fn ingress_rule(from: NetworkPolicyPeer, ports: &[Port]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(vec![from]),
        ports: policy_ports(ports),
    }
}

fn egress_rule(to: NetworkPolicyPeer, ports: &[Port]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(vec![to]),
        ports: policy_ports(ports),
    }
}

fn policy_ports(ports: &[Port]) -> Option<Vec<NetworkPolicyPort>> {
    let port = |port: &Port| NetworkPolicyPort {
        port: Some(IntOrString::Int(port.port)),
        end_port: port.end_port,
        protocol: Some(port.protocol.unwrap_or_default().as_str().into()),
    };
    (!ports.is_empty()).then(|| ports.iter().map(port).collect())
}

fn in_namespace(
    namespace: &str,
    pod_labels: Option<&BTreeMap<String, String>>,
) -> NetworkPolicyPeer {
    let by_name = LabelSelector {
        match_labels: Some(BTreeMap::from([(
            NAMESPACE_NAME.to_owned(),
            namespace.to_owned(),
        )])),
        ..LabelSelector::default()
    };
    let pods = pod_labels.filter(|labels| !labels.is_empty());
    NetworkPolicyPeer {
        namespace_selector: Some(by_name),
        pod_selector: pods.map(|labels| LabelSelector {
            match_labels: Some(labels.clone()),
            ..LabelSelector::default()
        }),
        ip_block: None,
    }
}

fn peer_of(peer: &Peer) -> NetworkPolicyPeer {
    match (&peer.namespace, &peer.cidr) {
        (Some(namespace), _) => in_namespace(namespace, peer.pod_labels.as_ref()),
        // The schema demands exactly one of the two; an empty CIDR would be refused, not open.
        (None, cidr) => NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: cidr.clone().unwrap_or_default(),
                except: None,
            }),
            ..NetworkPolicyPeer::default()
        },
    }
}

fn quota(tenant: &Tenant, namespace: &str, hard: &Amounts) -> Option<ResourceQuota> {
    (!hard.is_empty()).then(|| ResourceQuota {
        metadata: meta(tenant, namespace, "tenure"),
        spec: Some(ResourceQuotaSpec {
            hard: Some(amounts(hard)),
            ..ResourceQuotaSpec::default()
        }),
        status: None,
    })
}

/// A LimitRange with the API server's own defaulting done beforehand, so that what is read back is
/// what was written: a maximum is also the default, and a default is also the default request.
fn limit_range(tenant: &Tenant, namespace: &str, limits: &Limits) -> Option<LimitRange> {
    let Limits {
        default,
        default_request,
        max,
    } = limits;
    let max = max.clone().unwrap_or_default();
    let default: Amounts = max
        .iter()
        .chain(default.iter().flatten())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let request: Amounts = default
        .iter()
        .chain(default_request.iter().flatten())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if request.is_empty() {
        return None;
    }
    let some = |amount: Amounts| (!amount.is_empty()).then(|| amounts(&amount));
    let item = LimitRangeItem {
        type_: "Container".into(),
        default: some(default),
        default_request: some(request),
        max: some(max),
        ..LimitRangeItem::default()
    };
    Some(LimitRange {
        metadata: meta(tenant, namespace, "tenure"),
        spec: Some(LimitRangeSpec { limits: vec![item] }),
    })
}

fn amounts(amounts: &Amounts) -> BTreeMap<String, Quantity> {
    amounts
        .iter()
        .map(|(resource, amount)| (resource.clone(), Quantity(amount.clone())))
        .collect()
}

fn bindings(tenant: &Tenant, namespace: &str) -> Vec<RoleBinding> {
    let deployers = tenant.deployers.iter().map(|deployer| {
        let role = deployer.role.unwrap_or(TenantRole::Deployer);
        binding(
            tenant,
            namespace,
            format!("tenure-deployer-{}", deployer.name),
            role,
            deployer_subject(deployer),
        )
    });
    let members = tenant.members.iter().map(|member| {
        binding(
            tenant,
            namespace,
            format!("tenure-member-{}", member.name),
            member.role,
            member_subject(member),
        )
    });
    let mut bindings: Vec<RoleBinding> = deployers.chain(members).collect();
    bindings.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
    bindings
}

fn deployer_subject(deployer: &Deployer) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: deployer.service_account.clone(),
        namespace: Some(deployer.namespace.clone()),
        api_group: None,
    }
}

fn member_subject(member: &Member) -> Subject {
    let kind = match member.kind {
        MemberKind::User => "User",
        MemberKind::Group => "Group",
    };
    Subject {
        kind: kind.into(),
        name: member.subject.clone(),
        namespace: None,
        api_group: Some("rbac.authorization.k8s.io".into()),
    }
}

fn binding(
    tenant: &Tenant,
    namespace: &str,
    name: String,
    role: TenantRole,
    subject: Subject,
) -> RoleBinding {
    RoleBinding {
        metadata: meta(tenant, namespace, name),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".into()),
            kind: "ClusterRole".into(),
            name: role.cluster_role().into(),
        },
        subjects: Some(vec![subject]),
    }
}

/// The Admin tier's word over everything a namespace's own policies may say: nothing from other
/// tenants' namespaces comes in, whatever NetworkPolicy somebody adds.
fn cluster_policy(tenant: &Tenant, policy: &Accepted) -> Value {
    let own: Vec<&str> = tenant
        .namespaces
        .iter()
        .map(|namespace| namespace.name.as_str())
        .chain(tenant.parked.iter().map(String::as_str))
        .collect();
    let facts = facts(tenant, policy);
    let mut admitted: Vec<String> = facts
        .get(keys::INGRESS_NAMESPACES)
        .map(|names| names.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    admitted.extend(
        tenant
            .namespaces
            .iter()
            .map(|namespace| namespace.name.clone()),
    );
    admitted.sort();
    let by_name = |operator: &str, names: &[&str]| json!({"matchExpressions": [{"key": NAMESPACE_NAME, "operator": operator, "values": names}]});
    let admitted: Vec<&str> = admitted.iter().map(String::as_str).collect();
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {
            "name": format!("tenure-{}", tenant.name),
            "labels": marks(tenant),
            "annotations": {keys::TENANT_ID: tenant.id}
        },
        "spec": {
            "tier": "Admin",
            "priority": 100,
            "subject": {"namespaces": by_name("In", &own)},
            "ingress": [
                {"name": "declared", "action": "Pass", "from": [{"namespaces": by_name("In", &admitted)}]},
                {"name": "nobody-else", "action": "Deny", "from": [{"namespaces": {}}]}
            ]
        }
    })
}

#[cfg(test)]
mod tests {
    use assert_json_diff::assert_json_eq;
    use tenure_crds::words::Classification;

    use super::*;
    use crate::isolation::{Expected, NamespaceFacts, PolicyFacts, World, exposures};
    use crate::tenant::validate::Exposure;

    fn tenant() -> Tenant {
        let namespace = |name: &str| TenantNamespace {
            name: name.into(),
            pod_security: PodSecurity::Restricted,
            quota: BTreeMap::from([("pods".into(), "10".into())]),
            limits: Limits::default(),
            labels: BTreeMap::from([("team".into(), "blue".into())]),
        };
        Tenant {
            name: "acme".into(),
            id: "11111111-1111-4111-8111-111111111111".into(),
            classification: Classification::Restricted,
            enforcement: Enforcement::Enforce,
            namespaces: vec![namespace("acme-prod"), namespace("acme-test")],
            parked: vec!["acme-old".into()],
            ingress: Vec::new(),
            egress: Vec::new(),
            on_tighten: Default::default(),
            exposure: Exposure::default(),
            storage_classes: ["gold".to_owned()].into(),
            deployers: Vec::new(),
            members: Vec::new(),
        }
    }

    fn peer(value: Value) -> Peer {
        serde_json::from_value(value).unwrap()
    }

    fn rendered(tenant: &Tenant, namespace: &str) -> NamespaceRendering {
        build(tenant, &Accepted::builtin())
            .namespace(namespace)
            .unwrap()
            .clone()
    }

    fn policy<'a>(rendering: &'a NamespaceRendering, name: &str) -> &'a NetworkPolicy {
        rendering
            .policies
            .iter()
            .find(|policy| policy.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    #[test]
    fn a_namespace_tells_the_guards_everything_they_ask() {
        let rendering = rendered(&tenant(), "acme-prod");
        assert_json_eq!(
            serde_json::to_value(&rendering.namespace).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": "acme-prod",
                    "labels": {
                        "app.kubernetes.io/managed-by": "tenure", "team": "blue",
                        "pod-security.kubernetes.io/audit": "restricted", "pod-security.kubernetes.io/audit-version": "latest",
                        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
                        "pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/warn-version": "latest",
                        "tenure.dev/classification": "Restricted", "tenure.dev/enforcement": "Enforce", "tenure.dev/tenant": "acme"
                    },
                    "annotations": {
                        "tenure.dev/egress-namespaces": "kube-system", "tenure.dev/namespaces": "acme-prod,acme-test",
                        "tenure.dev/storage-classes": "gold", "tenure.dev/tenant-id": "11111111-1111-4111-8111-111111111111"
                    }
                }
            })
        );
    }

    #[test]
    fn a_namespace_denies_both_ways_and_allows_its_own_tenant_and_dns() {
        let rendering = rendered(&tenant(), "acme-prod");
        let names: Vec<_> = rendering
            .policies
            .iter()
            .filter_map(|policy| policy.metadata.name.clone())
            .collect();
        assert_eq!(
            names,
            ["tenure-default-deny", "tenure-same-tenant", "tenure-dns"]
        );
        assert_json_eq!(
            serde_json::to_value(&policy(&rendering, "tenure-default-deny").spec).unwrap(),
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        );
        let own = json!([{"namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["acme-prod", "acme-test"]}]}}]);
        assert_json_eq!(
            serde_json::to_value(&policy(&rendering, "tenure-same-tenant").spec).unwrap(),
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": own.clone()}], "egress": [{"to": own}]})
        );
        assert_json_eq!(
            serde_json::to_value(&policy(&rendering, "tenure-dns").spec).unwrap(),
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
                "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
                "ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
            }]})
        );
    }

    #[test]
    fn declared_peers_become_rules_and_facts() {
        let mut tenant = tenant();
        tenant.ingress = vec![peer(
            json!({"name": "tools", "namespace": "tools", "ports": [{"port": 8080}]}),
        )];
        tenant.egress = vec![peer(
            json!({"name": "bank", "cidr": "198.51.100.0/24", "hosts": ["api.bank.example"], "ports": [{"port": 443}]}),
        )];
        let rendering = rendered(&tenant, "acme-prod");
        assert_json_eq!(
            serde_json::to_value(&policy(&rendering, "tenure-declared-egress").spec).unwrap(),
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]})
        );
        let facts = rendering.namespace.metadata.annotations.unwrap();
        assert_eq!(facts[keys::INGRESS_NAMESPACES], "tools");
        assert_eq!(facts[keys::EGRESS_CIDRS], "198.51.100.0/24");
        assert_eq!(facts[keys::EGRESS_HOSTS], "api.bank.example");
    }

    #[test]
    fn a_parked_namespace_is_only_denied() {
        let rendering = rendered(&tenant(), "acme-old");
        assert_eq!(
            (
                rendering.hold,
                rendering.policies.len(),
                rendering.bindings.len()
            ),
            (Hold::Parked, 1, 0)
        );
        assert_eq!(
            rendering.namespace.metadata.labels.unwrap()[keys::PARKED],
            "true"
        );
    }

    #[test]
    fn observation_renders_nothing_that_bites() {
        let rendering = rendered(
            &Tenant {
                enforcement: Enforcement::Observe,
                ..tenant()
            },
            "acme-prod",
        );
        assert!(
            rendering.policies.is_empty()
                && rendering.quota.is_none()
                && rendering.limits.is_none()
                && rendering.bindings.is_empty()
        );
        let labels = rendering.namespace.metadata.labels.unwrap();
        assert!(
            !labels.contains_key(keys::POD_SECURITY_ENFORCE)
                && labels.contains_key(keys::POD_SECURITY_WARN)
        );
    }

    #[test]
    fn a_limit_range_is_written_as_the_api_server_would_default_it() {
        let limits: Limits = serde_json::from_value(
            json!({"max": {"cpu": "2"}, "defaultRequest": {"memory": "1Gi"}}),
        )
        .unwrap();
        let range = limit_range(&tenant(), "acme-prod", &limits).unwrap();
        assert_json_eq!(
            serde_json::to_value(range.spec.unwrap()).unwrap(),
            json!({"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1Gi"}}]})
        );
    }

    #[test]
    fn members_and_deployers_are_bound_to_the_shipped_roles_only() {
        let mut tenant = tenant();
        tenant.members = vec![
            serde_json::from_value(
                json!({"name": "ops", "kind": "Group", "subject": "example-ops", "role": "Viewer"}),
            )
            .unwrap(),
        ];
        tenant.deployers = vec![
            serde_json::from_value(
                json!({"name": "flux", "namespace": "flux-system", "serviceAccount": "applier"}),
            )
            .unwrap(),
        ];
        let bindings = rendered(&tenant, "acme-prod").bindings;
        let roles: Vec<_> = bindings
            .iter()
            .map(|binding| {
                (
                    binding.metadata.name.clone().unwrap(),
                    binding.role_ref.name.as_str(),
                )
            })
            .collect();
        assert_eq!(
            roles,
            [
                ("tenure-deployer-flux".to_owned(), "tenure-tenant-deployer"),
                ("tenure-member-ops".to_owned(), "tenure-tenant-viewer")
            ]
        );
    }

    /// The evaluator that judges the cluster finds nothing undeclared in what is rendered.
    #[test]
    fn what_is_rendered_exposes_nothing() {
        let mut tenant = tenant();
        tenant.ingress = vec![peer(json!({"name": "tools", "namespace": "tools"}))];
        tenant.egress = vec![peer(json!({"name": "bank", "cidr": "198.51.100.0/24"}))];
        let mut world = World::default();
        for name in [
            "acme-prod",
            "acme-test",
            "acme-old",
            "tools",
            "kube-system",
            "default",
            "other",
        ] {
            let namespace: Namespace =
                serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            world.upsert_namespace(NamespaceFacts::from(&namespace));
        }
        for rendering in &build(&tenant, &Accepted::builtin()).namespaces {
            rendering
                .policies
                .iter()
                .for_each(|policy| world.upsert_policy(PolicyFacts::try_from(policy).unwrap()));
        }
        let expected = Expected {
            own: ["acme-prod".to_owned(), "acme-test".to_owned()].into(),
            closed: BTreeSet::new(),
            parked: ["acme-old".to_owned()].into(),
            ingress_namespaces: ["tools".to_owned()].into(),
            egress_namespaces: ["kube-system".to_owned()].into(),
            ingress_cidrs: Vec::new(),
            egress_cidrs: vec!["198.51.100.0/24".parse().unwrap()],
        };
        assert_eq!(exposures(&world, &expected, &|_| None), []);
    }

    #[test]
    fn the_cluster_policy_stands_only_where_it_is_enforced() {
        assert!(
            build(&tenant(), &Accepted::builtin())
                .cluster_policies
                .is_empty()
        );
        let mut policy = Accepted::builtin();
        policy.cluster_network_policy = true;
        let found = build(&tenant(), &policy).cluster_policies;
        assert_eq!(found[0]["spec"]["tier"], "Admin");
        assert_eq!(found[0]["spec"]["ingress"][1]["action"], "Deny");
    }
}
