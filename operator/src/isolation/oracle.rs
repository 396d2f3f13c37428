//! An independent evaluator, written naively from the API documentation's text: one source pod, one
//! destination pod, one protocol, one port. It shares nothing with the real one but the API types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

#[derive(Clone)]
pub(super) struct Cluster {
    pub namespaces: Vec<Namespace>,
    pub pods: Vec<Pod>,
    pub policies: Vec<NetworkPolicy>,
    /// Whole ClusterNetworkPolicy objects.
    pub cluster_policies: Vec<Value>,
}

fn selected(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    for (key, value) in selector.match_labels.clone().unwrap_or_default() {
        if labels.get(&key) != Some(&value) {
            return false;
        }
    }
    for requirement in selector.match_expressions.clone().unwrap_or_default() {
        let present = labels.get(&requirement.key);
        let values = requirement.values.clone().unwrap_or_default();
        let holds = match requirement.operator.as_str() {
            "In" => present.is_some() && values.contains(present.unwrap()),
            "NotIn" => present.is_none() || !values.contains(present.unwrap()),
            "Exists" => present.is_some(),
            "DoesNotExist" => present.is_none(),
            other => panic!("{other}"),
        };
        if !holds {
            return false;
        }
    }
    true
}

/// Who is at the other end.
#[derive(Clone, Copy)]
pub(super) enum Peer<'a> {
    Pod(&'a Pod),
    Address(IpAddr),
}

/// Compares the leading bits one by one.
fn is_in(address: IpAddr, cidr: &str) -> bool {
    let bits = |address: IpAddr| -> String {
        match address {
            IpAddr::V4(four) => four
                .octets()
                .iter()
                .map(|byte| format!("{byte:08b}"))
                .collect(),
            IpAddr::V6(six) => six
                .octets()
                .iter()
                .map(|byte| format!("{byte:08b}"))
                .collect(),
        }
    };
    let (network, length) = cidr.split_once('/').unwrap();
    let network: IpAddr = network.parse().unwrap();
    let length: usize = length.parse().unwrap();
    network.is_ipv4() == address.is_ipv4() && bits(network)[..length] == bits(address)[..length]
}

fn labels(pod: &Pod) -> BTreeMap<String, String> {
    pod.metadata.labels.clone().unwrap_or_default()
}

fn host(pod: &Pod) -> bool {
    pod.spec.as_ref().unwrap().host_network == Some(true)
}

impl Cluster {
    fn namespace_labels(&self, pod: &Pod) -> BTreeMap<String, String> {
        let name = pod.metadata.namespace.clone().unwrap();
        self.namespaces
            .iter()
            .find(|ns| ns.metadata.name.as_ref() == Some(&name))
            .unwrap()
            .metadata
            .labels
            .clone()
            .unwrap_or_default()
    }

    pub(super) fn can_connect(&self, from: &Pod, to: &Pod, protocol: &str, port: i32) -> bool {
        self.end_allows(to, Peer::Pod(from), Some(to), "Ingress", protocol, port)
            && self.end_allows(from, Peer::Pod(to), Some(to), "Egress", protocol, port)
    }

    /// Whether an address outside the cluster can reach a pod.
    pub(super) fn admits(&self, to: &Pod, from: IpAddr, protocol: &str, port: i32) -> bool {
        self.end_allows(to, Peer::Address(from), Some(to), "Ingress", protocol, port)
    }

    /// Whether a pod can reach an address outside the cluster.
    pub(super) fn lets_out(&self, from: &Pod, to: IpAddr, protocol: &str, port: i32) -> bool {
        self.end_allows(from, Peer::Address(to), None, "Egress", protocol, port)
    }

    fn end_allows(
        &self,
        subject: &Pod,
        other: Peer,
        to: Option<&Pod>,
        direction: &str,
        protocol: &str,
        port: i32,
    ) -> bool {
        let from_node = matches!(other, Peer::Pod(pod) if host(pod));
        if host(subject) || (direction == "Ingress" && from_node) {
            return true;
        }
        // An outcome that some choice among equals leads to counts as possible.
        let mut further = false;
        for outcome in self.cluster_says("Admin", subject, other, to, direction, protocol, port) {
            match outcome {
                "Accept" => return true,
                "Deny" => {}
                _ => further = true,
            }
        }
        if !further {
            return false;
        }
        let mut isolated = false;
        for policy in &self.policies {
            if policy.metadata.namespace != subject.metadata.namespace {
                continue;
            }
            let spec = policy.spec.as_ref().unwrap();
            if !selected(spec.pod_selector.as_ref().unwrap(), &labels(subject)) {
                continue;
            }
            let types = match &spec.policy_types {
                Some(types) if !types.is_empty() => types.clone(),
                _ if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) => {
                    vec!["Ingress".into(), "Egress".into()]
                }
                _ => vec!["Ingress".into()],
            };
            if !types.contains(&direction.to_owned()) {
                continue;
            }
            isolated = true;
            let rules: Vec<(Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)> =
                if direction == "Ingress" {
                    spec.ingress
                        .clone()
                        .unwrap_or_default()
                        .into_iter()
                        .map(|rule| {
                            (
                                rule.from.unwrap_or_default(),
                                rule.ports.unwrap_or_default(),
                            )
                        })
                        .collect()
                } else {
                    spec.egress
                        .clone()
                        .unwrap_or_default()
                        .into_iter()
                        .map(|rule| (rule.to.unwrap_or_default(), rule.ports.unwrap_or_default()))
                        .collect()
                };
            for (peers, ports) in rules {
                let peer_ok =
                    peers.is_empty() || peers.iter().any(|peer| self.is_peer(peer, subject, other));
                let port_ok = ports.is_empty()
                    || ports
                        .iter()
                        .any(|allowed| is_port(allowed, to, protocol, port));
                if peer_ok && port_ok {
                    return true;
                }
            }
        }
        if isolated {
            return false;
        }
        self.cluster_says("Baseline", subject, other, to, direction, protocol, port)
            .iter()
            .any(|outcome| *outcome != "Deny")
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, subject: &Pod, other: Peer) -> bool {
        let other = match (other, &peer.ip_block) {
            (Peer::Address(address), Some(block)) => {
                let except = block.except.clone().unwrap_or_default();
                return is_in(address, &block.cidr)
                    && !except.iter().any(|cidr| is_in(address, cidr));
            }
            (Peer::Pod(pod), None) if !host(pod) => pod,
            _ => return false,
        };
        let namespace_ok = match &peer.namespace_selector {
            Some(selector) => selected(selector, &self.namespace_labels(other)),
            None => subject.metadata.namespace == other.metadata.namespace,
        };
        namespace_ok
            && peer
                .pod_selector
                .as_ref()
                .is_none_or(|selector| selected(selector, &labels(other)))
    }

    /// Every outcome the tier may have: where policies of equal priority match, "the implementation
    /// can apply any of the matching policies".
    #[allow(clippy::too_many_arguments, reason = "spelled out on purpose")]
    fn cluster_says(
        &self,
        tier: &str,
        subject: &Pod,
        other: Peer,
        to: Option<&Pod>,
        direction: &str,
        protocol: &str,
        port: i32,
    ) -> Vec<&str> {
        let priorities = self.cluster_policies.iter();
        let priorities = priorities.filter_map(|policy| policy["spec"]["priority"].as_i64());
        for priority in priorities.collect::<BTreeSet<_>>() {
            let mut outcomes = Vec::new();
            for policy in &self.cluster_policies {
                let spec = &policy["spec"];
                if spec["tier"] != tier
                    || spec["priority"] != priority
                    || !self.cluster_selects(&spec["subject"], Peer::Pod(subject))
                {
                    continue;
                }
                let (rules, peers) = if direction == "Ingress" {
                    ("ingress", "from")
                } else {
                    ("egress", "to")
                };
                for rule in spec[rules].as_array().into_iter().flatten() {
                    let peer_ok = rule[peers]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|peer| self.cluster_selects(peer, other));
                    let ports = rule["protocols"].as_array().cloned().unwrap_or_default();
                    let port_ok = ports.is_empty()
                        || ports
                            .iter()
                            .any(|allowed| cluster_port(allowed, to, protocol, port));
                    if peer_ok && port_ok {
                        outcomes.push(rule["action"].as_str().unwrap());
                        break;
                    }
                }
            }
            if !outcomes.is_empty() {
                return outcomes;
            }
        }
        vec!["Undecided"]
    }

    fn cluster_selects(&self, peer: &Value, other: Peer) -> bool {
        let pod = match other {
            Peer::Address(address) => {
                let networks = peer["networks"].as_array().cloned().unwrap_or_default();
                return networks
                    .iter()
                    .any(|cidr| is_in(address, cidr.as_str().unwrap()));
            }
            Peer::Pod(pod) if host(pod) || peer["networks"].is_array() => return false,
            Peer::Pod(pod) => pod,
        };
        let parse = |value: &Value| serde_json::from_value::<LabelSelector>(value.clone()).unwrap();
        if peer["namespaces"].is_object() {
            return selected(&parse(&peer["namespaces"]), &self.namespace_labels(pod));
        }
        selected(
            &parse(&peer["pods"]["namespaceSelector"]),
            &self.namespace_labels(pod),
        ) && selected(&parse(&peer["pods"]["podSelector"]), &labels(pod))
    }
}

fn is_named(to: Option<&Pod>, name: &str, protocol: Option<&str>, asked: &str, port: i32) -> bool {
    let containers = to.map(|to| to.spec.clone().unwrap().containers);
    containers
        .unwrap_or_default()
        .iter()
        .flat_map(|container| container.ports.clone().unwrap_or_default())
        .any(|known| {
            let own = known.protocol.as_deref().unwrap_or("TCP");
            known.name.as_deref() == Some(name)
                && own == asked
                && protocol.is_none_or(|protocol| protocol == own)
                && known.container_port == port
        })
}

fn cluster_port(allowed: &Value, to: Option<&Pod>, protocol: &str, port: i32) -> bool {
    if let Some(name) = allowed["destinationNamedPort"].as_str() {
        return is_named(to, name, None, protocol, port);
    }
    let Some(by_protocol) = allowed.get(protocol.to_lowercase()) else {
        return false;
    };
    let destination = &by_protocol["destinationPort"];
    if destination.is_null() {
        return true;
    }
    if let Some(number) = destination["number"].as_i64() {
        return number == i64::from(port);
    }
    let (start, end) = (
        destination["range"]["start"].as_i64().unwrap(),
        destination["range"]["end"].as_i64().unwrap(),
    );
    start <= i64::from(port) && i64::from(port) <= end
}

fn is_port(allowed: &NetworkPolicyPort, to: Option<&Pod>, protocol: &str, port: i32) -> bool {
    if allowed.protocol.as_deref().unwrap_or("TCP") != protocol {
        return false;
    }
    match &allowed.port {
        None => true,
        Some(IntOrString::Int(first)) => match allowed.end_port {
            Some(last) => *first <= port && port <= last,
            None => *first == port,
        },
        Some(IntOrString::String(name)) => is_named(to, name, Some(protocol), protocol, port),
    }
}
