//! ClusterNetworkPolicies (policy.networking.k8s.io/v1alpha2), parsed once.
//!
//! The specification tells an implementation to fail closed on what it does not know. A judge of
//! isolation errs the other way: what is not understood may open anything and closes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, ResourceExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::addresses::Addresses;
use super::policy::{Ports, network, numbers};
use super::ports::{PortSet, Transport};
use super::selector::Selector;

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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum Action {
    Accept,
    Deny,
    Pass,
}

/// Which side of NetworkPolicy a ClusterNetworkPolicy stands on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum Tier {
    /// Before NetworkPolicies.
    Admin,
    /// Where no NetworkPolicy selects the pod.
    Baseline,
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

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClusterRule {
    pub action: Action,
    pub peers: ClusterPeers,
    pub ports: Ports,
    /// Whether rule, subject and tier were all understood; if not, it may match anything.
    pub understood: bool,
}

/// Whom a rule is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClusterPeers {
    /// Selectors of namespaces, and of pods in them.
    pub pods: Vec<(Selector, Selector)>,
    pub networks: Addresses,
    /// Addresses nobody here knows: of nodes, of domain names.
    pub somewhere: bool,
}

impl From<&ClusterNetworkPolicy> for ClusterPolicyFacts {
    fn from(policy: &ClusterNetworkPolicy) -> Self {
        let field = |key: &str| policy.spec.fields.get(key).cloned().unwrap_or_default();
        let tier = read::<Tier>(field("tier"));
        let priority = read::<i64>(field("priority"));
        let subject = read::<Subject>(field("subject")).and_then(Subject::parse);
        let placed = tier.is_some() && priority.is_some();
        let subject_is_read = subject.is_some();
        let (namespaces, pods) = subject.unwrap_or_default();
        let rules = |key: &str| -> Vec<ClusterRule> {
            let rules = match field(key) {
                Value::Null => Vec::new(),
                Value::Array(rules) => rules,
                other => vec![other],
            };
            let rules = rules.into_iter().map(ClusterRule::parse);
            let rules = rules.map(|rule| ClusterRule {
                // Nobody knows which denials a pass takes a flow past, if not where it stands.
                action: match rule.action {
                    Action::Pass if !placed => Action::Accept,
                    known => known,
                },
                understood: rule.understood && placed && subject_is_read,
                ..rule
            });
            rules.collect()
        };
        Self {
            name: policy.name_any(),
            tier: tier.unwrap_or(Tier::Admin),
            priority: priority.unwrap_or_default(),
            namespaces,
            pods,
            ingress: rules("ingress"),
            egress: rules("egress"),
        }
    }
}

impl ClusterRule {
    fn parse(rule: Value) -> Self {
        // An action nobody knows is taken for the one that opens.
        let action = read::<Action>(rule["action"].clone()).unwrap_or(Action::Accept);
        let parsed = read::<WireRule>(rule).and_then(WireRule::parse);
        let understood = parsed.is_some();
        let (peers, ports) = parsed.unwrap_or_else(|| (ClusterPeers::default(), Ports::all()));
        Self {
            action,
            peers,
            ports,
            understood,
        }
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// Exactly one field of several: a kind of subject this release does not know is an unknown variant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Subject {
    Namespaces(LabelSelector),
    Pods(NamespacedPods),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NamespacedPods {
    #[serde(default)]
    namespace_selector: LabelSelector,
    #[serde(default)]
    pod_selector: LabelSelector,
}

impl Subject {
    fn parse(self) -> Option<(Selector, Selector)> {
        match self {
            Self::Namespaces(namespaces) => {
                Some((Selector::parse(&namespaces).ok()?, Selector::default()))
            }
            Self::Pods(pods) => pods.parse(),
        }
    }
}

impl NamespacedPods {
    fn parse(self) -> Option<(Selector, Selector)> {
        Some((
            Selector::parse(&self.namespace_selector).ok()?,
            Selector::parse(&self.pod_selector).ok()?,
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireRule {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "action")]
    _action: Action,
    #[serde(alias = "from", alias = "to")]
    peers: Vec<WirePeer>,
    protocols: Option<Vec<WireProtocol>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WirePeer {
    Namespaces(LabelSelector),
    Pods(NamespacedPods),
    Networks(Vec<String>),
    Nodes(Value),
    DomainNames(Value),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WireProtocol {
    Tcp(WireTransport),
    Udp(WireTransport),
    Sctp(WireTransport),
    DestinationNamedPort(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireTransport {
    destination_port: Option<WirePort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WirePort {
    Number(i32),
    Range { start: i32, end: i32 },
}

impl WireRule {
    fn parse(self) -> Option<(ClusterPeers, Ports)> {
        let mut peers = ClusterPeers::default();
        let mut networks = Vec::new();
        for peer in self.peers {
            match peer {
                WirePeer::Namespaces(namespaces) => peers
                    .pods
                    .push((Selector::parse(&namespaces).ok()?, Selector::default())),
                WirePeer::Pods(pods) => peers.pods.push(pods.parse()?),
                WirePeer::Networks(cidrs) => {
                    for cidr in cidrs {
                        networks.push(network(&cidr).ok()?);
                    }
                }
                WirePeer::Nodes(Value::Null) | WirePeer::DomainNames(Value::Null) => return None,
                WirePeer::Nodes(_) | WirePeer::DomainNames(_) => peers.somewhere = true,
            }
        }
        peers.networks = Addresses::of(&networks);
        let Some(protocols) = self.protocols.filter(|protocols| !protocols.is_empty()) else {
            return Some((peers, Ports::all()));
        };
        let mut ports = Ports::none();
        for protocol in protocols {
            let (transport, wire) = match protocol {
                WireProtocol::Tcp(wire) => (Transport::Tcp, wire),
                WireProtocol::Udp(wire) => (Transport::Udp, wire),
                WireProtocol::Sctp(wire) => (Transport::Sctp, wire),
                WireProtocol::DestinationNamedPort(name) => {
                    ports.add_named(None, &name);
                    continue;
                }
            };
            ports.add(&match wire.destination_port {
                None => PortSet::all_of(transport),
                Some(WirePort::Number(number)) => numbers(transport, number, number),
                Some(WirePort::Range { start, end }) => numbers(transport, start, end),
            });
        }
        Some((peers, ports))
    }
}
