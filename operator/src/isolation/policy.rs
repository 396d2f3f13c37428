//! Policies, parsed once into what evaluation asks of them.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ports::{PortSet, Transport};
use super::selector::{Selector, UnknownOperator};
use super::world::Class;

/// Why a NetworkPolicy is not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotUnderstood {
    /// A selector has an operator the API does not know.
    #[error(transparent)]
    Operator(#[from] UnknownOperator),
    /// An address block is no CIDR.
    #[error("{0} is no CIDR")]
    Cidr(String),
    /// A protocol the API does not know.
    #[error("unknown protocol {0}")]
    Protocol(String),
}

/// A parsed NetworkPolicy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    pub(super) pods: Selector,
    /// Rules of each direction it isolates; nothing where it leaves that direction alone.
    pub(super) ingress: Option<Vec<Rule>>,
    pub(super) egress: Option<Vec<Rule>>,
}

/// Who is allowed on which ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    /// Nothing means everybody, outside included.
    pub peers: Option<Vec<Peer>>,
    /// Nothing means every port.
    pub ports: Option<Vec<RulePort>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Peer {
    /// Pods of the selected namespaces (the policy's own where there is no selector).
    Pods {
        namespaces: Option<Selector>,
        pods: Option<Selector>,
    },
    /// Addresses outside the cluster.
    Block { cidr: IpNet, except: Vec<IpNet> },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RulePort {
    Numbers(PortSet),
    /// Whatever number the destination gives this name for that protocol.
    Named(Transport, String),
}

impl PolicyFacts {
    /// One that is not understood: it isolates nothing and allows everything.
    pub fn opaque(namespace: &str, name: &str) -> Self {
        let open = vec![Rule {
            peers: None,
            ports: None,
        }];
        Self {
            namespace: namespace.into(),
            name: name.into(),
            pods: Selector::default(),
            ingress: Some(open.clone()),
            egress: Some(open),
        }
    }
}

impl TryFrom<&NetworkPolicy> for PolicyFacts {
    type Error = NotUnderstood;

    fn try_from(policy: &NetworkPolicy) -> Result<Self, NotUnderstood> {
        let spec = policy.spec.clone().unwrap_or_default();
        let types = spec.policy_types.clone().unwrap_or_default();
        let has = |kind: &str| types.iter().any(|known| known == kind);
        // Absent types: ingress always, egress where there are egress rules.
        let ingress = types.is_empty() || has("Ingress");
        let egress = if types.is_empty() {
            spec.egress.as_ref().is_some_and(|rules| !rules.is_empty())
        } else {
            has("Egress")
        };
        let ingress_rules = || {
            spec.ingress
                .iter()
                .flatten()
                .map(|rule| self::rule(rule.from.as_deref(), rule.ports.as_deref()))
                .collect::<Result<_, _>>()
        };
        let egress_rules = || {
            spec.egress
                .iter()
                .flatten()
                .map(|rule| self::rule(rule.to.as_deref(), rule.ports.as_deref()))
                .collect::<Result<_, _>>()
        };
        Ok(Self {
            namespace: policy.namespace().unwrap_or_default(),
            name: policy.name_any(),
            pods: spec
                .pod_selector
                .as_ref()
                .map(Selector::parse)
                .transpose()?
                .unwrap_or_default(),
            ingress: ingress.then(ingress_rules).transpose()?,
            egress: egress.then(egress_rules).transpose()?,
        })
    }
}

fn rule(
    peers: Option<&[NetworkPolicyPeer]>,
    ports: Option<&[NetworkPolicyPort]>,
) -> Result<Rule, NotUnderstood> {
    let peers = peers
        .filter(|peers| !peers.is_empty())
        .map(|peers| peers.iter().map(peer).collect())
        .transpose()?;
    let ports = ports
        .filter(|ports| !ports.is_empty())
        .map(|ports| ports.iter().map(rule_port).collect())
        .transpose()?;
    Ok(Rule { peers, ports })
}

fn peer(peer: &NetworkPolicyPeer) -> Result<Peer, NotUnderstood> {
    if let Some(block) = &peer.ip_block {
        let parse = |text: &String| {
            text.parse::<IpNet>()
                .map_err(|_| NotUnderstood::Cidr(text.clone()))
        };
        return Ok(Peer::Block {
            cidr: parse(&block.cidr)?,
            except: block
                .except
                .iter()
                .flatten()
                .map(parse)
                .collect::<Result<_, _>>()?,
        });
    }
    let parse =
        |selector: &Option<LabelSelector>| selector.as_ref().map(Selector::parse).transpose();
    Ok(Peer::Pods {
        namespaces: parse(&peer.namespace_selector)?,
        pods: parse(&peer.pod_selector)?,
    })
}

fn rule_port(port: &NetworkPolicyPort) -> Result<RulePort, NotUnderstood> {
    let word = port.protocol.as_deref();
    let transport = Transport::parse(word)
        .ok_or_else(|| NotUnderstood::Protocol(word.unwrap_or_default().to_owned()))?;
    Ok(match &port.port {
        None => RulePort::Numbers(PortSet::all_of(transport)),
        Some(IntOrString::String(name)) => RulePort::Named(transport, name.clone()),
        Some(IntOrString::Int(first)) => {
            RulePort::Numbers(numbers(transport, *first, port.end_port.unwrap_or(*first)))
        }
    })
}

fn numbers(transport: Transport, first: i32, last: i32) -> PortSet {
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first), Ok(last)) => PortSet::range(transport, first, last),
        // The API server refuses such numbers; they allow nothing.
        _ => PortSet::none(),
    }
}

impl Rule {
    /// The ports of `to` this rule speaks of.
    pub(super) fn ports_of(&self, to: &Class) -> PortSet {
        let Some(ports) = &self.ports else {
            return PortSet::all();
        };
        ports.iter().fold(PortSet::none(), |all, port| match port {
            RulePort::Numbers(set) => all.union(set),
            RulePort::Named(transport, name) => {
                match to.named_ports.get(&(*transport, name.clone())) {
                    Some(number) => all.union(&PortSet::range(*transport, *number, *number)),
                    None => all,
                }
            }
        })
    }
}

/// ClusterNetworkPolicy of the network policy API; only what evaluation asks is read from its spec.
#[derive(Clone, CustomResource, Debug, Deserialize, Serialize)]
#[kube(
    group = "policy.networking.k8s.io",
    version = "v1alpha2",
    kind = "ClusterNetworkPolicy",
    plural = "clusternetworkpolicies",
    schema = "disabled"
)]
pub struct ClusterNetworkPolicySpec {
    /// The spec as it stands.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, Value>,
}

/// What a rule of a ClusterNetworkPolicy does with what it matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Accept,
    Deny,
    Pass,
}

/// Which side of NetworkPolicy a ClusterNetworkPolicy stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tier {
    /// Before NetworkPolicies.
    Admin,
    /// Where no NetworkPolicy selects the pod.
    Baseline,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClusterRule {
    pub action: Action,
    pub peers: Vec<ClusterPeer>,
    pub ports: Option<Vec<RulePort>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClusterPeer {
    Pods {
        namespaces: Selector,
        pods: Selector,
    },
    Networks(Vec<IpNet>),
    /// Something this release does not read (nodes, domain names).
    Other,
}

/// A parsed ClusterNetworkPolicy.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterPolicyFacts {
    /// Its name.
    pub name: String,
    pub(super) tier: Tier,
    pub(super) priority: i64,
    pub(super) namespaces: Selector,
    pub(super) pods: Selector,
    pub(super) ingress: Vec<ClusterRule>,
    pub(super) egress: Vec<ClusterRule>,
}

impl From<&ClusterNetworkPolicy> for ClusterPolicyFacts {
    fn from(policy: &ClusterNetworkPolicy) -> Self {
        let spec = Value::Object(policy.spec.fields.clone());
        let (namespaces, pods) = cluster_pods(&spec["subject"]).unwrap_or_default();
        let rules = |key: &str, peers: &str| {
            spec[key]
                .as_array()
                .into_iter()
                .flatten()
                .map(|rule| cluster_rule(rule, peers))
                .collect()
        };
        Self {
            name: policy.name_any(),
            tier: if spec["tier"] == "Baseline" {
                Tier::Baseline
            } else {
                Tier::Admin
            },
            priority: spec["priority"].as_i64().unwrap_or_default(),
            namespaces,
            pods,
            ingress: rules("ingress", "from"),
            egress: rules("egress", "to"),
        }
    }
}

fn cluster_rule(rule: &Value, peers_key: &str) -> ClusterRule {
    let peers: Vec<ClusterPeer> = rule[peers_key]
        .as_array()
        .into_iter()
        .flatten()
        .map(cluster_peer)
        .collect();
    let action = match rule["action"].as_str() {
        Some("Deny") => Action::Deny,
        Some("Pass") => Action::Pass,
        _ => Action::Accept,
    };
    let ports = rule["protocols"]
        .as_array()
        .or_else(|| rule["ports"].as_array());
    let ports = ports
        .filter(|ports| !ports.is_empty())
        .map(|ports| ports.iter().map(cluster_port).collect());
    ClusterRule {
        action,
        peers,
        ports,
    }
}

fn cluster_peer(peer: &Value) -> ClusterPeer {
    if let Some(networks) = peer["networks"].as_array() {
        return ClusterPeer::Networks(
            networks
                .iter()
                .filter_map(|network| network.as_str()?.parse().ok())
                .collect(),
        );
    }
    match cluster_pods(peer) {
        Some((namespaces, pods)) => ClusterPeer::Pods { namespaces, pods },
        None => ClusterPeer::Other,
    }
}

fn cluster_pods(value: &Value) -> Option<(Selector, Selector)> {
    let parse = |value: &Value| -> Option<Selector> {
        let selector: LabelSelector = serde_json::from_value(if value.is_null() {
            Value::Object(Default::default())
        } else {
            value.clone()
        })
        .ok()?;
        Selector::parse(&selector).ok()
    };
    if value["namespaces"].is_object() {
        return Some((parse(&value["namespaces"])?, Selector::default()));
    }
    let pods = value["pods"].as_object()?;
    let part = |key: &str| pods.get(key).cloned().unwrap_or_default();
    Some((
        parse(&part("namespaceSelector"))?,
        parse(&part("podSelector"))?,
    ))
}

/// Reads one port of either shape the API has had: `{tcp: {destinationPort: {number|range}}}` or
/// `{portNumber|portRange|namedPort}`. What is not understood stands for every port.
fn cluster_port(port: &Value) -> RulePort {
    for (key, transport) in [
        ("tcp", Transport::Tcp),
        ("udp", Transport::Udp),
        ("sctp", Transport::Sctp),
    ] {
        if port[key].is_object() {
            return destination(transport, &port[key]["destinationPort"]);
        }
    }
    let shaped = |key: &str| {
        port[key]
            .is_object()
            .then(|| (Transport::parse(port[key]["protocol"].as_str()), &port[key]))
    };
    if let Some((Some(transport), number)) = shaped("portNumber") {
        return single(transport, &number["port"]);
    }
    if let Some((Some(transport), range)) = shaped("portRange") {
        return between(transport, range);
    }
    match port["namedPort"].as_str() {
        Some(name) => RulePort::Named(Transport::Tcp, name.to_owned()),
        None => RulePort::Numbers(PortSet::all()),
    }
}

fn destination(transport: Transport, port: &Value) -> RulePort {
    if port["range"].is_object() {
        return between(transport, &port["range"]);
    }
    if port["number"].is_number() {
        return single(transport, &port["number"]);
    }
    RulePort::Numbers(PortSet::all_of(transport))
}

fn single(transport: Transport, number: &Value) -> RulePort {
    let number = number
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(-1);
    RulePort::Numbers(numbers(transport, number, number))
}

fn between(transport: Transport, range: &Value) -> RulePort {
    let end = |key: &str| {
        range[key]
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .unwrap_or(-1)
    };
    RulePort::Numbers(numbers(transport, end("start"), end("end")))
}

impl ClusterRule {
    pub(super) fn ports_of(&self, to: &Class) -> PortSet {
        Rule {
            peers: None,
            ports: self.ports.clone(),
        }
        .ports_of(to)
    }
}
