//! From the raw spec to a tenant that can be built. Pure; after it nobody reads the raw spec.
//!
//! The schema has refused what it can; here stands what needs the platform's settings or the other
//! tenants. Everything that is wrong is reported at once.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use tenure_crds::CustomerTenantSpec;
use tenure_crds::customer_tenant::{Deployer, Member, OnTighten, Peer};
use tenure_crds::tenancy_policy::Limits;
use tenure_crds::words::{Amounts, Classification, Enforcement, PodSecurity};
use thiserror::Error;

use super::names;
use crate::policy::accepted::Accepted;

/// A tenant whose spec makes sense under the platform's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Name of the CustomerTenant.
    pub name: String,
    /// The tenant's UUID.
    pub id: String,
    /// How sensitive its data is.
    pub classification: Classification,
    /// Whether controls bite.
    pub enforcement: Enforcement,
    /// Its namespaces, sorted by full name.
    pub namespaces: Vec<TenantNamespace>,
    /// Namespaces that left the list, sorted: parked.
    pub parked: Vec<String>,
    /// Who may reach it.
    pub ingress: Vec<Peer>,
    /// Whom it may reach.
    pub egress: Vec<Peer>,
    /// What happens to running pods when policies tighten.
    pub on_tighten: OnTighten,
    /// Classes, gateways and hosts it may use.
    pub exposure: Exposure,
    /// Storage classes its claims may name.
    pub storage_classes: BTreeSet<String>,
    /// Who deploys into it.
    pub deployers: Vec<Deployer>,
    /// The customer's own people.
    pub members: Vec<Member>,
}

/// What the tenant may be reached through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposure {
    /// Ingress classes.
    pub ingress_classes: BTreeSet<String>,
    /// Gateway classes.
    pub gateway_classes: BTreeSet<String>,
    /// Shared gateways, `namespace/name`.
    pub gateways: BTreeSet<String>,
    /// Host names.
    pub hosts: BTreeSet<String>,
}

impl Exposure {
    /// Whether the tenant can be reached from outside at all.
    pub fn is_open(&self) -> bool {
        !(self.ingress_classes.is_empty()
            && self.gateway_classes.is_empty()
            && self.gateways.is_empty())
    }
}

/// One namespace of the tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantNamespace {
    /// Full name.
    pub name: String,
    /// Pod Security level, the baseline's or stronger.
    pub pod_security: PodSecurity,
    /// Most it may use.
    pub quota: Amounts,
    /// Container defaults.
    pub limits: Limits,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
}

/// What is wrong with a spec.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Invalid {
    /// Another tenant holds the namespace's name.
    #[error(
        "namespaces[{entry}]: the namespace {namespace} is held by tenant {holder}; choose another short name"
    )]
    NamespaceCollision {
        /// Short name in the spec.
        entry: String,
        /// Full name.
        namespace: String,
        /// Who holds it.
        holder: String,
    },
    /// Two entries come to the same namespace.
    #[error("namespaces[{entry}]: {namespace} is named twice in this tenant")]
    NamespaceTwice {
        /// Short name in the spec.
        entry: String,
        /// Full name.
        namespace: String,
    },
    /// The namespace belongs to the platform.
    #[error(
        "namespaces[{entry}]: {namespace} belongs to the platform and cannot become a tenant's"
    )]
    PlatformNamespace {
        /// Short name in the spec.
        entry: String,
        /// Full name.
        namespace: String,
    },
    /// An order that no agreement names.
    #[error("namespaces[{entry}].order: no agreement has an order {order}")]
    UnknownOrder {
        /// Short name in the spec.
        entry: String,
        /// The order.
        order: String,
    },
    /// Egress to nearly everywhere where the baseline does not allow it.
    #[error(
        "network.egressTo[{peer}].cidr: {cidr} is too wide for a {classification} tenant; name the destinations, or let the platform allow it (TenancyPolicy baselines[].anyEgress)"
    )]
    EgressTooWide {
        /// Name of the peer.
        peer: String,
        /// The CIDR.
        cidr: String,
        /// The tenant's classification.
        classification: &'static str,
    },
    /// Not a CIDR.
    #[error("network: {peer}: {cidr} is no CIDR")]
    BadCidr {
        /// Name of the peer.
        peer: String,
        /// What stands there.
        cidr: String,
    },
    /// A class or gateway the platform does not offer.
    #[error(
        "exposure: {name} is not offered by the platform; TenancyPolicy exposureClasses lists what is"
    )]
    UnknownExposure {
        /// The class or gateway.
        name: String,
    },
    /// A key service, log sink or storage class the platform does not offer.
    #[error("{field}: {name} is not among the platform's (TenancyPolicy {list})")]
    UnknownProvider {
        /// Field in the spec.
        field: &'static str,
        /// What it names.
        name: String,
        /// Where the platform lists them.
        list: &'static str,
    },
    /// A control set aside without a signed amendment.
    #[error("controls[{control}].notApplicable: no agreement has an amendment {amendment} (DSA 4)")]
    UnknownAmendment {
        /// The control.
        control: String,
        /// The amendment.
        amendment: String,
    },
}

impl Invalid {
    /// The reason as it stands in conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceCollision { .. } => "NamespaceCollision",
            Self::NamespaceTwice { .. } => "NamespaceTwice",
            Self::PlatformNamespace { .. } => "PlatformNamespace",
            Self::UnknownOrder { .. } => "UnknownOrder",
            Self::EgressTooWide { .. } => "EgressTooWide",
            Self::BadCidr { .. } => "BadCidr",
            Self::UnknownExposure { .. } => "UnknownExposure",
            Self::UnknownProvider { .. } => "UnknownProvider",
            Self::UnknownAmendment { .. } => "UnknownAmendment",
        }
    }
}

/// What a spec is looked at with.
pub struct Surroundings<'a> {
    /// The platform's settings in force.
    pub policy: &'a Accepted,
    /// Namespaces of the operator itself.
    pub own_namespaces: &'a [String],
    /// Namespaces held by other tenants, with the holder's name.
    pub claims: &'a BTreeMap<String, String>,
    /// Namespaces this tenant has held so far.
    pub held: &'a BTreeSet<String>,
}

/// The full names a spec asks for, by short name, before anything is checked.
pub fn wanted_namespaces<'a>(tenant: &str, spec: &'a CustomerTenantSpec) -> Vec<(&'a str, String)> {
    let full = |entry: &tenure_crds::customer_tenant::TenantNamespace| {
        entry
            .existing_name
            .clone()
            .unwrap_or_else(|| names::namespace(tenant, &entry.name))
    };
    spec.namespaces
        .iter()
        .map(|entry| (entry.name.as_str(), full(entry)))
        .collect()
}

/// Checks a spec and gives the tenant it describes, or everything that is wrong with it.
///
/// # Errors
/// Every rule the spec breaks, in the order of its fields.
pub fn validate(
    name: &str,
    spec: &CustomerTenantSpec,
    around: &Surroundings<'_>,
) -> Result<Tenant, Vec<Invalid>> {
    let mut wrong = Vec::new();
    check_namespaces(name, spec, around, &mut wrong);
    check_network(spec, around.policy, &mut wrong);
    let exposure = exposure(spec, around.policy, &mut wrong);
    check_providers(spec, around.policy, &mut wrong);
    check_amendments(spec, &mut wrong);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let baseline = around.policy.baseline(spec.classification);
    let mut namespaces: Vec<TenantNamespace> = spec
        .namespaces
        .iter()
        .zip(wanted_namespaces(name, spec))
        .map(|(entry, (_, full))| TenantNamespace {
            name: full,
            pod_security: entry
                .pod_security
                .unwrap_or(baseline.pod_security)
                .max(baseline.pod_security),
            quota: entry
                .quota
                .clone()
                .unwrap_or_else(|| baseline.quota.clone()),
            limits: entry
                .limits
                .clone()
                .unwrap_or_else(|| baseline.limits.clone()),
            labels: entry.labels.clone().unwrap_or_default(),
        })
        .collect();
    namespaces.sort_by(|left, right| left.name.cmp(&right.name));
    let parked = around
        .held
        .iter()
        .filter(|held| !namespaces.iter().any(|ns| ns.name == **held))
        .cloned()
        .collect();
    let network = spec.network.clone().unwrap_or_default();
    Ok(Tenant {
        name: name.to_owned(),
        id: spec.tenant_id.clone(),
        classification: spec.classification,
        enforcement: spec.enforcement.unwrap_or_default(),
        namespaces,
        parked,
        ingress: network.ingress_from,
        egress: network.egress_to,
        on_tighten: network.on_tighten.unwrap_or_default(),
        exposure,
        storage_classes: baseline.storage_classes.clone(),
        deployers: spec.deployers.clone(),
        members: spec.members.clone(),
    })
}

fn check_namespaces(
    tenant: &str,
    spec: &CustomerTenantSpec,
    around: &Surroundings<'_>,
    wrong: &mut Vec<Invalid>,
) {
    let orders: BTreeSet<&str> = spec
        .agreements
        .iter()
        .flat_map(|agreement| &agreement.orders)
        .map(|order| order.name.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    for (entry, namespace) in wanted_namespaces(tenant, spec) {
        let entry = entry.to_owned();
        if is_platform(&namespace, around) {
            wrong.push(Invalid::PlatformNamespace { entry, namespace });
        } else if let Some(holder) = around.claims.get(&namespace) {
            wrong.push(Invalid::NamespaceCollision {
                entry,
                namespace,
                holder: holder.clone(),
            });
        } else if !seen.insert(namespace.clone()) {
            wrong.push(Invalid::NamespaceTwice { entry, namespace });
        }
    }
    for entry in &spec.namespaces {
        if let Some(order) = entry
            .order
            .as_ref()
            .filter(|order| !orders.contains(order.as_str()))
        {
            wrong.push(Invalid::UnknownOrder {
                entry: entry.name.clone(),
                order: order.clone(),
            });
        }
    }
}

fn is_platform(namespace: &str, around: &Surroundings<'_>) -> bool {
    let policy = around.policy;
    names::is_system(namespace)
        || around.own_namespaces.iter().any(|own| own == namespace)
        || namespace == policy.dns.namespace
        || policy.edges.contains(namespace)
        || policy
            .platform_ingress
            .values()
            .any(|service| service.namespace == namespace)
}

fn check_network(spec: &CustomerTenantSpec, policy: &Accepted, wrong: &mut Vec<Invalid>) {
    let Some(network) = &spec.network else { return };
    let any_egress = policy.baseline(spec.classification).any_egress;
    for peer in &network.ingress_from {
        if let Some(cidr) = peer
            .cidr
            .as_ref()
            .filter(|cidr| cidr.parse::<IpNet>().is_err())
        {
            wrong.push(Invalid::BadCidr {
                peer: peer.name.clone(),
                cidr: cidr.clone(),
            });
        }
    }
    for (peer, cidr) in network
        .egress_to
        .iter()
        .filter_map(|peer| Some((peer, peer.cidr.as_ref()?)))
    {
        match cidr.parse::<IpNet>() {
            Err(_) => wrong.push(Invalid::BadCidr {
                peer: peer.name.clone(),
                cidr: cidr.clone(),
            }),
            Ok(range) if is_wide(range) && !any_egress => wrong.push(Invalid::EgressTooWide {
                peer: peer.name.clone(),
                cidr: cidr.clone(),
                classification: spec.classification.as_str(),
            }),
            Ok(_) => {}
        }
    }
}

fn is_wide(range: IpNet) -> bool {
    match range {
        IpNet::V4(range) => range.prefix_len() < 8,
        IpNet::V6(range) => range.prefix_len() < 32,
    }
}

fn exposure(spec: &CustomerTenantSpec, policy: &Accepted, wrong: &mut Vec<Invalid>) -> Exposure {
    let Some(asked) = &spec.exposure else {
        return Exposure::default();
    };
    let mut offered =
        |classes: &BTreeMap<String, Option<String>>, names: &[String]| -> BTreeSet<String> {
            let (known, unknown): (BTreeSet<String>, BTreeSet<String>) = names
                .iter()
                .cloned()
                .partition(|name| classes.contains_key(name));
            wrong.extend(
                unknown
                    .into_iter()
                    .map(|name| Invalid::UnknownExposure { name }),
            );
            known
        };
    Exposure {
        ingress_classes: offered(&policy.classes.ingress, &asked.ingress_classes),
        gateway_classes: offered(&policy.classes.gateway, &asked.gateway_classes),
        gateways: offered(&policy.classes.shared_gateways, &asked.gateways),
        hosts: asked.hosts.iter().cloned().collect(),
    }
}

fn check_providers(spec: &CustomerTenantSpec, policy: &Accepted, wrong: &mut Vec<Invalid>) {
    let key_service = spec
        .encryption
        .as_ref()
        .and_then(|encryption| encryption.key_service.as_ref());
    let sink = spec
        .logging
        .as_ref()
        .and_then(|logging| logging.sink.as_ref());
    let asked = [
        (
            "encryption.keyService",
            key_service,
            key_service.is_some_and(|name| policy.key_services.contains_key(name)),
            "keyServices",
        ),
        (
            "logging.sink",
            sink,
            sink.is_some_and(|name| policy.log_sinks.contains_key(name)),
            "logSinks",
        ),
    ];
    for (field, name, offered, list) in asked {
        if let Some(name) = name.filter(|_| !offered) {
            wrong.push(Invalid::UnknownProvider {
                field,
                name: name.clone(),
                list,
            });
        }
    }
}

fn check_amendments(spec: &CustomerTenantSpec, wrong: &mut Vec<Invalid>) {
    let signed: BTreeSet<&str> = spec
        .agreements
        .iter()
        .flat_map(|agreement| &agreement.amendments)
        .map(|document| document.name.as_str())
        .collect();
    for (control, set_aside) in spec
        .controls
        .iter()
        .filter_map(|control| Some((control, control.not_applicable.as_ref()?)))
    {
        if !signed.contains(set_aside.amendment.as_str()) {
            wrong.push(Invalid::UnknownAmendment {
                control: control.id.clone(),
                amendment: set_aside.amendment.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tenure_crds::TenancyPolicySpec;

    use super::*;

    fn spec(change: impl FnOnce(&mut Value)) -> CustomerTenantSpec {
        let mut spec = json!({
            "tenantID": "11111111-1111-4111-8111-111111111111", "customer": {"name": "Example"}, "classification": "Internal",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01", "orders": [{"name": "sow-1", "signedOn": "2026-01-01"}]}],
            "namespaces": [{"name": "prod"}]
        });
        change(&mut spec);
        serde_json::from_value(spec).unwrap()
    }

    fn platform() -> Accepted {
        let spec: TenancyPolicySpec = serde_json::from_value(json!({
            "edges": [{"namespace": "edge"}],
            "platformIngress": [{"name": "scrape", "namespace": "monitoring"}],
            "exposureClasses": [{"kind": "Ingress", "name": "public", "waf": "managed rules"}],
            "baselines": [{"classification": "Public", "podSecurity": "Baseline", "anyEgress": true}]
        }))
        .unwrap();
        Accepted::from_spec(&spec).unwrap()
    }

    fn run(change: impl FnOnce(&mut Value)) -> Result<Tenant, Vec<Invalid>> {
        let claims = BTreeMap::from([("acme-2-prod".to_owned(), "acme-2".to_owned())]);
        let held = BTreeSet::from(["acme-prod".to_owned(), "acme-old".to_owned()]);
        let policy = platform();
        let around = Surroundings {
            policy: &policy,
            own_namespaces: &["tenure-system".to_owned()],
            claims: &claims,
            held: &held,
        };
        validate("acme", &spec(change), &around)
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Value), reason: &str) {
        let wrong = run(change).expect_err("must be refused");
        assert_eq!(
            wrong.iter().map(Invalid::reason).collect::<Vec<_>>(),
            [reason],
            "{wrong:?}"
        );
    }

    #[test]
    fn a_minimal_spec_gets_the_baseline() {
        let tenant = run(|_| {}).unwrap();
        assert_eq!(tenant.enforcement, Enforcement::Enforce);
        assert_eq!(tenant.namespaces[0].name, "acme-prod");
        assert_eq!(tenant.namespaces[0].pod_security, PodSecurity::Restricted);
        assert!(!tenant.namespaces[0].quota.is_empty());
    }

    #[test]
    fn a_namespace_that_left_the_list_is_parked() {
        assert_eq!(run(|_| {}).unwrap().parked, ["acme-old"]);
    }

    #[test]
    fn pod_security_is_never_weaker_than_the_baseline() {
        let level = |spec: &mut Value| spec["namespaces"][0]["podSecurity"] = json!("Privileged");
        assert_eq!(
            run(level).unwrap().namespaces[0].pod_security,
            PodSecurity::Restricted
        );
    }

    #[test]
    fn names_of_two_tenants_that_come_to_the_same_namespace_collide() {
        refused(
            |spec| spec["namespaces"][0]["name"] = json!("2-prod"),
            "NamespaceCollision",
        );
    }

    #[test]
    fn the_same_namespace_twice_is_refused() {
        refused(
            |spec| {
                spec["namespaces"] =
                    json!([{"name": "prod"}, {"name": "other", "existingName": "acme-prod"}]);
            },
            "NamespaceTwice",
        );
    }

    #[test]
    fn namespaces_of_the_platform_are_refused() {
        for namespace in [
            "kube-system",
            "default",
            "tenure-system",
            "edge",
            "monitoring",
        ] {
            refused(
                |spec| spec["namespaces"][0]["existingName"] = json!(namespace),
                "PlatformNamespace",
            );
        }
    }

    #[test]
    fn egress_to_nearly_everywhere_needs_the_platforms_leave() {
        for cidr in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"] {
            let egress = |spec: &mut Value| {
                spec["network"] = json!({"egressTo": [{"name": "out", "cidr": cidr}]});
            };
            refused(egress, "EgressTooWide");
            let public = |spec: &mut Value| {
                egress(spec);
                spec["classification"] = json!("Public");
            };
            assert!(run(public).is_ok(), "{cidr} for a Public tenant");
        }
    }

    #[test]
    fn what_the_platform_does_not_offer_is_refused() {
        refused(
            |spec| spec["exposure"] = json!({"ingressClasses": ["private"]}),
            "UnknownExposure",
        );
        refused(
            |spec| spec["encryption"] = json!({"keyService": "vault"}),
            "UnknownProvider",
        );
        refused(
            |spec| spec["logging"] = json!({"sink": "lake"}),
            "UnknownProvider",
        );
        assert!(
            run(|spec| spec["exposure"] = json!({"ingressClasses": ["public"]}))
                .unwrap()
                .exposure
                .is_open()
        );
    }

    #[test]
    fn orders_and_amendments_must_exist() {
        refused(
            |spec| spec["namespaces"][0]["order"] = json!("sow-9"),
            "UnknownOrder",
        );
        refused(
            |spec| spec["controls"] = json!([{"id": "dsa-2.8-dmz", "notApplicable": {"reason": "no edge", "amendment": "a-1"}}]),
            "UnknownAmendment",
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = run(|spec| {
            spec["namespaces"][0]["order"] = json!("sow-9");
            spec["logging"] = json!({"sink": "lake"});
        });
        assert_eq!(wrong.unwrap_err().len(), 2);
    }
}
