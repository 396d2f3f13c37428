//! NetworkPolicies, parsed once into what evaluation asks of them.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::addresses::Addresses;
use super::ports::{PortSet, Transport};
use super::selector::{Labels, Selector, UnknownOperator};
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
    /// A peer of a kind this release does not know: none of the fields it reads is set.
    #[error("a peer that names nobody this release knows")]
    Peer,
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
    /// Whether it could be read; if not, its rules stand for the worst it might mean.
    pub(super) understood: bool,
}

/// Who is allowed on which ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    /// Nothing means everybody, outside included.
    pub peers: Option<Peers>,
    pub ports: Ports,
}

/// Whom a rule admits: any of these pods, any of these addresses outside the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Peers {
    pub pods: Vec<PodPeer>,
    pub outside: Addresses,
}

/// Pods of the selected namespaces; of the policy's own where no namespaces are named.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodPeer {
    pub namespaces: Option<Selector>,
    pub pods: Selector,
}

/// Ports a rule speaks of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ports {
    /// By number; every port where the rule names none.
    numbers: PortSet,
    /// By the name a pod gives them; without a protocol, of any.
    named: Vec<(Option<Transport>, String)>,
}

impl PolicyFacts {
    /// One that is not understood: it isolates nothing and allows everything.
    pub fn opaque(namespace: &str, name: &str) -> Self {
        let open = vec![Rule {
            peers: None,
            ports: Ports::all(),
        }];
        Self {
            namespace: namespace.into(),
            name: name.into(),
            pods: Selector::default(),
            ingress: Some(open.clone()),
            egress: Some(open),
            understood: false,
        }
    }
}

impl PolicyFacts {
    /// Whether a rule of either direction admits pods of a namespace with these labels, or everybody.
    pub(super) fn names(&self, namespace: &Labels) -> bool {
        let rules = self.ingress.iter().chain(&self.egress).flatten();
        let mut peers = rules.map(|rule| rule.peers.as_ref());
        peers.any(|peers| {
            peers.is_none_or(|peers| {
                let mut selectors = peers
                    .pods
                    .iter()
                    .filter_map(|peer| peer.namespaces.as_ref());
                selectors.any(|selector| selector.matches(namespace))
            })
        })
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
            understood: true,
        })
    }
}

fn rule(
    peers: Option<&[NetworkPolicyPeer]>,
    ports: Option<&[NetworkPolicyPort]>,
) -> Result<Rule, NotUnderstood> {
    let peers = peers
        .filter(|peers| !peers.is_empty())
        .map(self::peers)
        .transpose()?;
    let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
        return Ok(Rule {
            peers,
            ports: Ports::all(),
        });
    };
    let mut known = Ports::none();
    for port in ports {
        add_port(&mut known, port)?;
    }
    Ok(Rule {
        peers,
        ports: known,
    })
}

fn peers(peers: &[NetworkPolicyPeer]) -> Result<Peers, NotUnderstood> {
    let parse =
        |selector: &Option<LabelSelector>| selector.as_ref().map(Selector::parse).transpose();
    let mut known = Peers::default();
    let mut blocks = Vec::new();
    let mut cut = Addresses::default();
    for peer in peers {
        match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
            (Some(block), ..) => {
                let network = [network(&block.cidr)?];
                let except: Vec<IpNet> = block
                    .except
                    .iter()
                    .flatten()
                    .map(|cidr| self::network(cidr))
                    .collect::<Result<_, _>>()?;
                if except.is_empty() {
                    blocks.extend(network);
                } else {
                    // What one block leaves out another may still let in.
                    let rest = Addresses::of(&network).without(&Addresses::of(&except));
                    cut = cut.union(&rest);
                }
            }
            (None, None, None) => return Err(NotUnderstood::Peer),
            (None, namespaces, pods) => known.pods.push(PodPeer {
                namespaces: parse(namespaces)?,
                pods: parse(pods)?.unwrap_or_default(),
            }),
        }
    }
    known.outside = Addresses::of(&blocks).union(&cut);
    Ok(known)
}

/// Reads a CIDR.
pub(super) fn network(text: &str) -> Result<IpNet, NotUnderstood> {
    text.parse()
        .map_err(|_| NotUnderstood::Cidr(text.to_owned()))
}

fn add_port(known: &mut Ports, port: &NetworkPolicyPort) -> Result<(), NotUnderstood> {
    let word = port.protocol.as_deref();
    let transport = Transport::parse(word)
        .ok_or_else(|| NotUnderstood::Protocol(word.unwrap_or_default().to_owned()))?;
    match &port.port {
        None => known.add(&PortSet::all_of(transport)),
        Some(IntOrString::String(name)) => known.add_named(Some(transport), name),
        Some(IntOrString::Int(first)) => {
            known.add(&numbers(transport, *first, port.end_port.unwrap_or(*first)));
        }
    }
    Ok(())
}

/// The API server refuses numbers that are no ports; they allow nothing.
pub(super) fn numbers(transport: Transport, first: i32, last: i32) -> PortSet {
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first), Ok(last)) => PortSet::range(transport, first, last),
        _ => PortSet::none(),
    }
}

impl Ports {
    /// Every port.
    pub(super) fn all() -> Self {
        Self {
            numbers: PortSet::all(),
            named: Vec::new(),
        }
    }

    /// No port, to add to.
    pub(super) fn none() -> Self {
        Self {
            numbers: PortSet::none(),
            named: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, more: &PortSet) {
        self.numbers = self.numbers.union(more);
    }

    pub(super) fn add_named(&mut self, transport: Option<Transport>, name: &str) {
        self.named.push((transport, name.to_owned()));
    }

    /// Whether some port is known only by a name.
    pub(super) fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    /// The ports of `to` these are. Outside the cluster (`None`) nobody knows what a name stands
    /// for: it may be any port of its protocol.
    pub(super) fn of(&self, to: Option<&Class>) -> PortSet {
        let mut all = self.numbers.clone();
        for (transport, name) in &self.named {
            let asked = |other: Transport| transport.is_none_or(|transport| transport == other);
            match to {
                Some(class) => {
                    let numbers = class
                        .named_ports
                        .iter()
                        .filter(|(other, known, _)| asked(*other) && known == name);
                    all = numbers.fold(all, |all, (transport, _, number)| {
                        all.union(&PortSet::range(*transport, *number, *number))
                    });
                }
                None => {
                    let any = Transport::ALL.into_iter().filter(|other| asked(*other));
                    all = any.fold(all, |all, transport| all.union(&PortSet::all_of(transport)));
                }
            }
        }
        all
    }
}
