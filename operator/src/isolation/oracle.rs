//! An independent evaluator, written naively from the API documentation's text: one source pod, one
//! destination pod, one protocol, one port. It shares nothing with the real one but the API types.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

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
        self.end_allows(to, from, to, "Ingress", protocol, port)
            && self.end_allows(from, to, to, "Egress", protocol, port)
    }

    fn end_allows(
        &self,
        subject: &Pod,
        other: &Pod,
        to: &Pod,
        direction: &str,
        protocol: &str,
        port: i32,
    ) -> bool {
        if host(subject) || (direction == "Ingress" && host(other)) {
            return true;
        }
        match self.cluster_says("Admin", subject, other, to, direction, protocol, port) {
            Some("Accept") => return true,
            Some("Deny") => return false,
            _ => {}
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
        self.cluster_says("Baseline", subject, other, to, direction, protocol, port) != Some("Deny")
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, subject: &Pod, other: &Pod) -> bool {
        if peer.ip_block.is_some() || host(other) {
            return false;
        }
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

    #[allow(clippy::too_many_arguments, reason = "spelled out on purpose")]
    fn cluster_says(
        &self,
        tier: &str,
        subject: &Pod,
        other: &Pod,
        to: &Pod,
        direction: &str,
        protocol: &str,
        port: i32,
    ) -> Option<&'static str> {
        let mut policies: Vec<&Value> = self
            .cluster_policies
            .iter()
            .filter(|policy| policy["spec"]["tier"] == tier)
            .collect();
        policies.sort_by_key(|policy| {
            (
                policy["spec"]["priority"].as_i64(),
                policy["metadata"]["name"].as_str().unwrap().to_owned(),
            )
        });
        for policy in policies {
            if !self.cluster_selects(&policy["spec"]["subject"], subject) {
                continue;
            }
            let (rules, peers) = if direction == "Ingress" {
                ("ingress", "from")
            } else {
                ("egress", "to")
            };
            for rule in policy["spec"][rules].as_array().unwrap_or(&Vec::new()) {
                let peer_ok = !host(other)
                    && rule[peers]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|peer| self.cluster_selects(peer, other));
                let ports = rule["protocols"].as_array().cloned().unwrap_or_default();
                let port_ok = ports.is_empty()
                    || ports
                        .iter()
                        .any(|allowed| cluster_port(allowed, protocol, port));
                let _ = to;
                if peer_ok && port_ok {
                    match rule["action"].as_str().unwrap() {
                        "Accept" => return Some("Accept"),
                        "Deny" => return Some("Deny"),
                        _ => return Some("Pass"),
                    }
                }
            }
        }
        None
    }

    fn cluster_selects(&self, peer: &Value, pod: &Pod) -> bool {
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

fn cluster_port(allowed: &Value, protocol: &str, port: i32) -> bool {
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

fn is_port(allowed: &NetworkPolicyPort, to: &Pod, protocol: &str, port: i32) -> bool {
    if allowed.protocol.as_deref().unwrap_or("TCP") != protocol {
        return false;
    }
    match &allowed.port {
        None => true,
        Some(IntOrString::Int(first)) => match allowed.end_port {
            Some(last) => *first <= port && port <= last,
            None => *first == port,
        },
        Some(IntOrString::String(name)) => to
            .spec
            .as_ref()
            .unwrap()
            .containers
            .iter()
            .flat_map(|container| container.ports.clone().unwrap_or_default())
            .any(|named| {
                named.name.as_ref() == Some(name)
                    && named.protocol.as_deref().unwrap_or("TCP") == protocol
                    && named.container_port == port
            }),
    }
}
