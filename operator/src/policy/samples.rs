//! Specs for tests: one of each kind with every field filled, and generators of random ones.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop};
use serde_json::{Value, json};
use tenure_crds::tenancy_policy::{
    Applier, Baseline, ClusterNetworkPolicySupport, Dns, Edge, ExposureClass, ExposureKind,
    GrantableRole, Guard, Hosting, IdentityProvider, KeyService, KeyServiceKind, LogSink,
    PlatformIngress, RetentionDefaults, SourceKind, SourceRange, SupplierParagraph,
    TrustedController,
};
use tenure_crds::words::{Classification, PodSecurity, Port, Protocol};
use tenure_crds::{CustomerTenantSpec, TenancyPolicySpec};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A TenancyPolicy with every field filled.
pub(crate) fn full_policy() -> Value {
    json!({
        "baselines": [{
            "classification": "Internal",
            "podSecurity": "Baseline",
            "storageClasses": ["encrypted"],
            "anyEgress": true,
            "roles": ["reader"],
            "quota": {"pods": "20"},
            "limits": {
                "default": {"cpu": "500m"},
                "defaultRequest": {"cpu": "100m"},
                "max": {"cpu": "2"}
            }
        }],
        "grantableRoles": [{
            "name": "reader",
            "longest": "PT8H",
            "approvals": 2,
            "exclusiveWith": ["writer"],
            "sessionOnly": true,
            "privileged": true,
            "reviewEvery": "P30D",
            "cutSessions": true
        }],
        "privilegedRoles": ["platform-admin"],
        "platformIngress": [{
            "name": "scrape",
            "namespace": "monitoring",
            "podLabels": {"app": "prometheus"},
            "ports": [{"port": 9000, "endPort": 9100, "protocol": "TCP"}]
        }],
        "edges": [{"namespace": "ingress"}],
        "exposureClasses": [{"kind": "Ingress", "name": "public", "waf": "rule set 4"}],
        "dns": {
            "namespace": "dns",
            "podLabels": {"app": "coredns"},
            "ports": [{"port": 5353, "endPort": 5354, "protocol": "UDP"}]
        },
        "sourceRanges": [{"name": "vpn", "cidr": "198.51.100.0/24", "kind": "Vpn"}],
        "trustedControllers": [{
            "guard": "exposure",
            "username": "system:serviceaccount:cert-manager:cert-manager",
            "reason": "solves HTTP-01 challenges"
        }],
        "breakGlassGroup": "emergency",
        "gitopsAppliers": [{"username": "system:serviceaccount:flux:applier"}],
        "restore": {"username": "system:serviceaccount:velero:velero"},
        "identityProvider": {"mfaExtraKey": "example.com/amr", "mfaExtraValues": ["otp"]},
        "keyServices": [{
            "name": "vault",
            "kind": "Vault",
            "address": "https://vault.example.com",
            "credentialsRef": {"name": "vault"}
        }],
        "logSinks": [{
            "name": "archive",
            "address": "s3://logs",
            "credentialsRef": {"name": "logs"}
        }],
        "retention": {"logs": "P365D", "backups": "P30D"},
        "hosting": {
            "ownDatacentre": true,
            "publicCloud": true,
            "telework": true,
            "subcontractors": true
        },
        "securityContact": {
            "name": "Security desk",
            "email": "security@example.com",
            "phone": "+32 2 000 00 00"
        },
        "clusterNetworkPolicy": {"enforced": true},
        "supplierParagraph": {"coveredByMainContract": true}
    })
}

/// A CustomerTenant with every field filled; not one that the CEL rules would all admit.
pub(crate) fn full_tenant() -> Value {
    let document = json!({"name": "first", "signedOn": "2026-02-01", "digest": DIGEST});
    json!({
        "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
        "customer": {
            "name": "Example NV",
            "reference": "C-1",
            "language": "nl",
            "contacts": [{
                "role": "Security",
                "name": "Desk",
                "email": "desk@example.com",
                "phone": "+32 2 000 00 01"
            }],
            "persons": [{"name": "director", "identities": ["director@example.com"]}],
            "returnRecipients": [{
                "name": "key",
                "agePublicKey": "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
                "fingerprint": DIGEST,
                "confirmation": "by telephone"
            }],
            "returnHosts": ["return.example.com"]
        },
        "owner": {"name": "Team", "email": "team@example.com"},
        "classification": "Confidential",
        "enforcement": "Enforce",
        "agreements": [{
            "name": "dsa",
            "profile": "dsa",
            "reference": "MSA 7",
            "documentDigest": DIGEST,
            "signedOn": "2026-01-01",
            "expiresOn": "2030-01-01",
            "amendments": [document],
            "customerInstructions": [document],
            "orders": [{
                "name": "sow",
                "signedOn": "2026-01-02",
                "endsOn": "2028-01-01",
                "exitWithin": "P30D"
            }]
        }],
        "namespaces": [{
            "name": "prod",
            "existingName": "legacy",
            "order": "sow",
            "quota": {"pods": "10"},
            "limits": {
                "default": {"cpu": "500m"},
                "defaultRequest": {"cpu": "100m"},
                "max": {"cpu": "2"}
            },
            "podSecurity": "Restricted",
            "labels": {"cost": "12"}
        }],
        "network": {
            "ingressFrom": [peer("in")],
            "egressTo": [peer("out")],
            "onTighten": "DeletePods"
        },
        "exposure": {
            "ingressClasses": ["public"],
            "gatewayClasses": ["mesh"],
            "gateways": ["edge/shared"],
            "hosts": ["www.example.com"]
        },
        "encryption": {
            "keyService": "vault",
            "rotation": "P90D",
            "storageClassTemplate": "encrypted",
            "workloads": [{
                "name": "app",
                "namespace": "prod",
                "serviceAccount": "app",
                "use": "Encrypt"
            }]
        },
        "logging": {"sink": "archive", "retention": "P365D", "customerReaders": ["auditors"]},
        "deployers": [{
            "name": "flux",
            "namespace": "flux",
            "serviceAccount": "applier",
            "role": "Deployer"
        }],
        "members": [{
            "name": "ops",
            "kind": "Group",
            "subject": "example-ops",
            "role": "Member",
            "reference": "letter 1"
        }],
        "subcontractors": [{
            "name": "Backup BV",
            "consent": {"uri": "https://example.com/consent", "digest": DIGEST}
        }],
        "teleworkExclusions": [{
            "person": "somebody",
            "since": "2026-03-01",
            "reference": "letter 2"
        }],
        "controls": [{
            "id": "dsa-2.5-perimeter",
            "responsible": "Shared",
            "reference": "matrix 3",
            "notApplicable": {"reason": "no datacentre", "amendment": "first"}
        }],
        "forceMajeure": {
            "since": "2026-04-01T00:00:00Z",
            "noticeReference": "letter 3",
            "description": "flood"
        },
        "termination": {
            "noticeReceivedAt": "2026-05-01T09:00:00Z",
            "noticeReference": "letter 4",
            "effectiveOn": "2026-05-31",
            "scope": {"orders": ["sow"], "namespaces": ["prod"]},
            "choice": "Return",
            "destination": {
                "address": "sftp://return.example.com/in",
                "credentialsRef": {"name": "return"}
            },
            "deadline": "2026-07-01",
            "deadlineReference": "first"
        }
    })
}

fn peer(name: &str) -> Value {
    json!({
        "name": name,
        "namespace": "partner",
        "podLabels": {"app": "x"},
        "cidr": "198.51.100.0/24",
        "hosts": ["api.example.com"],
        "ports": [{"port": 443, "endPort": 444, "protocol": "TCP"}],
        "reference": "letter 5"
    })
}

pub(crate) fn policy(value: Value) -> TenancyPolicySpec {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn tenant(value: Value) -> CustomerTenantSpec {
    serde_json::from_value(value).unwrap()
}

/// A minimal tenant of the agreement's two profiles, with the fields of `patch` on top.
pub(crate) fn tenant_with(patch: Value) -> CustomerTenantSpec {
    let mut value = json!({
        "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
        "customer": {"name": "Example NV"},
        "classification": "Confidential",
        "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
        "namespaces": [{"name": "prod"}]
    });
    for (key, field) in patch.as_object().unwrap() {
        value[key] = field.clone();
    }
    tenant(value)
}

/// Where each leaf of a document stands, as JSON pointers.
pub(crate) fn leaves(value: &Value) -> Vec<String> {
    fn walk(path: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, child)| {
                walk(&format!("{path}/{}", key.replace('/', "~1")), child, out);
            }),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, child)| {
                walk(&format!("{path}/{index}"), child, out);
            }),
            _ => out.push(path.to_owned()),
        }
    }
    let mut out = Vec::new();
    walk("", value, &mut out);
    out
}

fn flag() -> impl Strategy<Value = Option<bool>> {
    prop::option::of(any::<bool>())
}

fn words(alphabet: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let word = prop::sample::select(alphabet).prop_map(str::to_owned);
    prop::collection::btree_set(word, 0..=alphabet.len())
        .prop_map(BTreeSet::into_iter)
        .prop_map(Iterator::collect::<Vec<_>>)
        .prop_shuffle()
}

/// A list with one entry for some of the keys, in any order.
fn entries<T: Clone + std::fmt::Debug + 'static, S: Strategy<Value = T> + 'static>(
    keys: &'static [&'static str],
    entry: impl Fn(String) -> S + Clone + 'static,
) -> impl Strategy<Value = Vec<T>> {
    words(keys).prop_flat_map(move |names| names.into_iter().map(entry.clone()).collect::<Vec<_>>())
}

fn labels() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    let word = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    prop::collection::btree_map(word(&["app", "tier"]), word(&["x", "y"]), 0..=2)
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    let protocol = prop::option::of(prop::sample::select(&[Protocol::TCP, Protocol::UDP][..]));
    let port =
        (1..5i32, prop::option::of(0..3i32), protocol).prop_map(|(port, more, protocol)| Port {
            port,
            end_port: more.map(|more| port + more),
            protocol,
        });
    prop::collection::vec(port, 0..3)
}

fn baseline(classification: Classification) -> impl Strategy<Value = Baseline> {
    let wide = classification < Classification::Confidential;
    let levels = &[
        PodSecurity::Privileged,
        PodSecurity::Baseline,
        PodSecurity::Restricted,
    ][..];
    (
        prop::option::of(prop::sample::select(levels)),
        words(&["fast", "slow"]),
        flag().prop_map(move |any| any.map(|any| any && wide)),
        prop::option::of(words(&["reader", "writer"])),
    )
        .prop_map(
            move |(pod_security, storage_classes, any_egress, roles)| Baseline {
                classification,
                pod_security,
                storage_classes,
                any_egress,
                roles,
                quota: None,
                limits: None,
            },
        )
}

fn baselines() -> impl Strategy<Value = Vec<Baseline>> {
    prop::sample::subsequence(Classification::ALL.to_vec(), 0..=4)
        .prop_shuffle()
        .prop_flat_map(|list| list.into_iter().map(baseline).collect::<Vec<_>>())
}

fn role(name: String) -> impl Strategy<Value = GrantableRole> {
    let longest = prop::sample::select(&["PT60M", "PT1H", "PT8H", "P1D", "PT24H"][..]);
    let review = prop::option::of(prop::sample::select(&["P30D", "P92D"][..]));
    let fields = (
        longest,
        1..3i32,
        words(&["a", "b"]),
        flag(),
        flag(),
        review,
        flag(),
    );
    fields.prop_map(
        move |(longest, approvals, exclusive_with, session_only, privileged, review, cut)| {
            GrantableRole {
                name: name.clone(),
                longest: longest.to_owned(),
                approvals,
                exclusive_with,
                session_only,
                privileged,
                review_every: review.map(str::to_owned),
                cut_sessions: cut,
            }
        },
    )
}

fn platform_ingress(name: String) -> impl Strategy<Value = PlatformIngress> {
    let namespace = prop::sample::select(&["monitoring", "backup"][..]);
    (namespace, prop::option::of(labels()), ports()).prop_map(
        move |(namespace, pod_labels, ports)| PlatformIngress {
            name: name.clone(),
            namespace: namespace.to_owned(),
            pod_labels,
            ports,
        },
    )
}

fn class(name: String) -> impl Strategy<Value = ExposureClass> {
    let kind = if name.contains('/') {
        ExposureKind::SharedGateway
    } else {
        ExposureKind::Ingress
    };
    let waf = prop::option::of(prop::sample::select(&["x", "y"][..]).prop_map(str::to_owned));
    waf.prop_map(move |waf| ExposureClass {
        kind,
        name: name.clone(),
        waf,
    })
}

fn dns() -> impl Strategy<Value = Dns> {
    let namespace = prop::sample::select(&["kube-system", "dns"][..]).prop_map(str::to_owned);
    let labels = labels().prop_map(|mut labels| {
        labels.insert("k8s-app".into(), "kube-dns".into());
        labels
    });
    let ports = prop::sample::select(vec![
        vec![],
        vec![Port {
            port: 53,
            end_port: None,
            protocol: Some(Protocol::UDP),
        }],
        super::accepted::builtin_dns().ports,
    ]);
    (namespace, labels, ports).prop_map(|(namespace, pod_labels, ports)| Dns {
        namespace,
        pod_labels,
        ports,
    })
}

fn source_range(name: String) -> impl Strategy<Value = SourceRange> {
    let cidr =
        prop::sample::select(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "2001:db8::/48"][..]);
    let kind = prop::sample::select(&[SourceKind::Vpn, SourceKind::ZeroTrust][..]);
    (cidr, kind).prop_map(move |(cidr, kind)| SourceRange {
        name: name.clone(),
        cidr: cidr.into(),
        kind,
    })
}

fn trusted(name: String) -> impl Strategy<Value = TrustedController> {
    let guard = if name == "a" {
        Guard::Tokens
    } else {
        Guard::Storage
    };
    Just(TrustedController {
        guard,
        username: name,
        reason: "needed".into(),
    })
}

fn provider() -> impl Strategy<Value = IdentityProvider> {
    let values = words(&["otp", "key"]).prop_filter("at least one", |values| !values.is_empty());
    (prop::sample::select(&["k1", "k2"][..]), values).prop_map(|(key, mfa_extra_values)| {
        IdentityProvider {
            mfa_extra_key: key.to_owned(),
            mfa_extra_values,
        }
    })
}

fn key_service(name: String) -> impl Strategy<Value = KeyService> {
    prop::sample::select(&["https://a", "https://b"][..]).prop_map(move |address| KeyService {
        name: name.clone(),
        kind: KeyServiceKind::Vault,
        address: address.to_owned(),
        credentials_ref: None,
    })
}

fn log_sink(name: String) -> impl Strategy<Value = LogSink> {
    prop::sample::select(&["https://a", "s3://b"][..]).prop_map(move |address| LogSink {
        name: name.clone(),
        address: address.to_owned(),
        credentials_ref: None,
    })
}

fn retention() -> impl Strategy<Value = RetentionDefaults> {
    let days =
        || prop::option::of(prop::sample::select(&["P30D", "P90D"][..]).prop_map(str::to_owned));
    (days(), days()).prop_map(|(logs, backups)| RetentionDefaults { logs, backups })
}

fn hosting() -> impl Strategy<Value = Hosting> {
    (flag(), flag(), flag(), flag()).prop_map(
        |(own_datacentre, public_cloud, telework, subcontractors)| Hosting {
            own_datacentre,
            public_cloud,
            telework,
            subcontractors,
        },
    )
}

fn applier(name: String) -> impl Strategy<Value = Applier> {
    Just(Applier { username: name })
}

/// TenancyPolicies that parse, over few enough values that two of them are often related.
pub(crate) fn policies() -> impl Strategy<Value = TenancyPolicySpec> {
    let group =
        prop::sample::select(&["tenure:break-glass", "emergency"][..]).prop_map(str::to_owned);
    let first = (
        baselines(),
        entries(&["reader", "writer"], role),
        words(&["admin-a", "admin-b"]),
        entries(&["scrape", "mesh"], platform_ingress),
        entries(&["edge-a", "edge-b"], |namespace| Just(Edge { namespace })),
        entries(&["public", "ns/gateway"], class),
        prop::option::of(dns()),
        entries(&["vpn", "proxy"], source_range),
        entries(&["a", "b"], trusted),
        prop::option::of(group),
    );
    let second = (
        entries(&["flux", "argo"], applier),
        prop::option::of(prop::sample::select(&["velero", "other"][..])),
        prop::option::of(provider()),
        entries(&["vault"], key_service),
        entries(&["archive"], log_sink),
        prop::option::of(retention()),
        prop::option::of(hosting()),
        flag(),
        flag(),
    );
    (first, second).prop_map(|(first, second)| TenancyPolicySpec {
        baselines: first.0,
        grantable_roles: first.1,
        privileged_roles: first.2,
        platform_ingress: first.3,
        edges: first.4,
        exposure_classes: first.5,
        dns: first.6,
        source_ranges: first.7,
        trusted_controllers: first.8,
        break_glass_group: first.9,
        gitops_appliers: second.0,
        restore: second.1.map(|name| Applier {
            username: name.to_owned(),
        }),
        identity_provider: second.2,
        key_services: second.3,
        log_sinks: second.4,
        retention: second.5,
        hosting: second.6,
        security_contact: None,
        cluster_network_policy: second
            .7
            .map(|enforced| ClusterNetworkPolicySupport { enforced }),
        supplier_paragraph: second.8.map(|covered_by_main_contract| SupplierParagraph {
            covered_by_main_contract,
        }),
    })
}

/// Two policies of which the second often differs from the first in few fields.
pub(crate) fn two_policies() -> impl Strategy<Value = (TenancyPolicySpec, TenancyPolicySpec)> {
    (
        policies(),
        policies(),
        prop::collection::vec(any::<bool>(), 20),
    )
        .prop_map(|(old, other, keep)| {
            let mut new = serde_json::to_value(&other).unwrap();
            let base = serde_json::to_value(&old).unwrap();
            let names = full_policy();
            for (name, keep) in names.as_object().unwrap().keys().zip(keep) {
                if keep {
                    match base.get(name) {
                        Some(value) => new[name] = value.clone(),
                        None => drop(new.as_object_mut().unwrap().remove(name)),
                    }
                }
            }
            (old, policy(new))
        })
}

mod tests {
    use kube::CustomResourceExt;
    use tenure_crds::{CustomerTenant, TenancyPolicy};

    use super::*;

    /// Paths of all properties of a schema that a sample does not fill.
    fn missing(path: &str, schema: &Value, sample: &Value, out: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, child) in properties {
                let here = format!("{path}.{name}");
                match sample.get(name) {
                    Some(value) => missing(&here, child, value, out),
                    None => out.push(here),
                }
            }
        }
        if let (Some(items), Some(first)) = (schema.get("items"), sample.get(0)) {
            missing(&format!("{path}[]"), items, first, out);
        }
    }

    fn check(crd: impl serde::Serialize, sample: &Value) {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut out = Vec::new();
        missing("spec", schema, sample, &mut out);
        assert_eq!(out, [] as [String; 0], "fill these in the sample");
    }

    #[test]
    fn the_full_samples_fill_every_field_there_is() {
        check(TenancyPolicy::crd(), &full_policy());
        check(CustomerTenant::crd(), &full_tenant());
        assert_eq!(
            serde_json::to_value(policy(full_policy())).unwrap(),
            full_policy()
        );
        assert_eq!(
            serde_json::to_value(tenant(full_tenant())).unwrap(),
            full_tenant()
        );
    }
}
