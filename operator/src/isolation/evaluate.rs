//! Whether one class of pods can reach another, and which policy says so.

use std::net::IpAddr;

use ipnet::IpNet;

use super::policy::{
    Action, ClusterPeer, ClusterPolicyFacts, ClusterRule, Peer, PolicyFacts, Rule, Tier,
};
use super::ports::PortSet;
use super::world::{Class, World};

/// Which way a policy looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// Into the pod.
    In,
    /// Out of the pod.
    Out,
}

/// What lets a flow through at one end.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cause {
    /// No policy isolates the pod in that direction.
    NoPolicy(String),
    /// A rule of a NetworkPolicy: namespace, name, index of the rule.
    Rule(String, String, usize),
    /// A ClusterNetworkPolicy.
    Cluster(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPolicy(namespace) => {
                write!(out, "no policy isolates these pods in {namespace}")
            }
            Self::Rule(namespace, name, index) => {
                write!(out, "NetworkPolicy {namespace}/{name}, rule {index}")
            }
            Self::Cluster(name) => write!(out, "ClusterNetworkPolicy {name}"),
        }
    }
}

impl World {
    /// The ports of `to` that `from` can reach: what both ends allow.
    pub(super) fn reach(&self, from: &Class, to: &Class) -> PortSet {
        let ingress = self.allowed(to, Way::In, from, to);
        if ingress.is_empty() {
            return ingress;
        }
        ingress.intersection(&self.allowed(from, Way::Out, to, to))
    }

    /// The ports of `to` that policies on `subject` leave open towards `other`.
    pub(super) fn allowed(&self, subject: &Class, way: Way, other: &Class, to: &Class) -> PortSet {
        // Policies select no pod in the node's network; and a node reaches every pod.
        if subject.host_network || (way == Way::In && other.host_network) {
            return PortSet::all();
        }
        let mut open = PortSet::none();
        let mut rest = self.tier(
            Tier::Admin,
            subject,
            way,
            other,
            to,
            PortSet::all(),
            &mut open,
        );
        let mut isolated = false;
        for rules in self.selecting(subject, way).map(|(_, rules)| rules) {
            isolated = true;
            for rule in rules
                .iter()
                .filter(|rule| self.rule_matches(rule, &subject.namespace, other))
            {
                open = open.union(&rule.ports_of(to).intersection(&rest));
            }
        }
        if !isolated {
            rest = self.tier(Tier::Baseline, subject, way, other, to, rest, &mut open);
            open = open.union(&rest);
        }
        open
    }

    /// Runs the rules of a tier over `undecided`; answers what is left to the next tier.
    #[allow(
        clippy::too_many_arguments,
        reason = "one decision over its whole context; splitting it would hide the order of the tiers"
    )]
    fn tier(
        &self,
        tier: Tier,
        subject: &Class,
        way: Way,
        other: &Class,
        to: &Class,
        mut undecided: PortSet,
        open: &mut PortSet,
    ) -> PortSet {
        let mut passed = PortSet::none();
        for policy in self.cluster_selecting(tier, subject) {
            for rule in cluster_rules(policy, way)
                .iter()
                .filter(|rule| self.cluster_rule_matches(rule, other))
            {
                let matched = rule.ports_of(to).intersection(&undecided);
                undecided = undecided.without(&matched);
                match rule.action {
                    Action::Accept => *open = open.union(&matched),
                    Action::Pass => passed = passed.union(&matched),
                    Action::Deny => {}
                }
            }
        }
        undecided.union(&passed)
    }

    /// What lets the flow through at the `subject`'s end.
    pub(super) fn cause(&self, subject: &Class, way: Way, other: &Class, to: &Class) -> Cause {
        for policy in self.cluster_selecting(Tier::Admin, subject) {
            let accepts = |rule: &&ClusterRule| {
                rule.action == Action::Accept && self.cluster_rule_matches(rule, other)
            };
            if cluster_rules(policy, way).iter().any(|rule| accepts(&rule)) {
                return Cause::Cluster(policy.name.clone());
            }
        }
        for (policy, rules) in self.selecting(subject, way) {
            let found = rules.iter().position(|rule| {
                self.rule_matches(rule, &subject.namespace, other) && !rule.ports_of(to).is_empty()
            });
            if let Some(index) = found {
                return Cause::Rule(policy.namespace.clone(), policy.name.clone(), index);
            }
        }
        Cause::NoPolicy(subject.namespace.clone())
    }

    /// Address blocks outside the cluster that policies on `subject` leave open, each with its cause;
    /// everything where nothing isolates it.
    pub(super) fn blocks(&self, subject: &Class, way: Way) -> Vec<(IpNet, Cause)> {
        if subject.host_network {
            return Vec::new();
        }
        let mut found = Vec::new();
        for policy in self.cluster_selecting(Tier::Admin, subject) {
            for rule in cluster_rules(policy, way)
                .iter()
                .filter(|rule| rule.action == Action::Accept)
            {
                let cause = || Cause::Cluster(policy.name.clone());
                for peer in &rule.peers {
                    match peer {
                        ClusterPeer::Networks(networks) => {
                            found.extend(networks.iter().map(|network| (*network, cause())));
                        }
                        ClusterPeer::Other => {
                            found.extend(everywhere().map(|network| (network, cause())));
                        }
                        ClusterPeer::Pods { .. } => {}
                    }
                }
            }
        }
        let mut isolated = false;
        for (policy, rules) in self.selecting(subject, way) {
            isolated = true;
            for (index, rule) in rules.iter().enumerate() {
                let cause = || Cause::Rule(policy.namespace.clone(), policy.name.clone(), index);
                match &rule.peers {
                    None => found.extend(everywhere().map(|network| (network, cause()))),
                    Some(peers) => found.extend(peers.iter().filter_map(|peer| match peer {
                        Peer::Block { cidr, .. } => Some((*cidr, cause())),
                        Peer::Pods { .. } => None,
                    })),
                }
            }
        }
        if !isolated {
            found.extend(
                everywhere().map(|network| (network, Cause::NoPolicy(subject.namespace.clone()))),
            );
        }
        found
    }

    fn selecting<'a>(
        &'a self,
        subject: &'a Class,
        way: Way,
    ) -> impl Iterator<Item = (&'a PolicyFacts, &'a [Rule])> {
        let policies = self
            .policies
            .get(&subject.namespace)
            .into_iter()
            .flat_map(|policies| policies.values());
        policies
            .filter(|policy| policy.pods.matches(&subject.labels))
            .filter_map(move |policy| {
                let rules = match way {
                    Way::In => policy.ingress.as_deref(),
                    Way::Out => policy.egress.as_deref(),
                };
                Some((policy, rules?))
            })
    }

    fn cluster_selecting(&self, tier: Tier, subject: &Class) -> Vec<&ClusterPolicyFacts> {
        let labels = self.labels_of(&subject.namespace);
        let mut policies: Vec<&ClusterPolicyFacts> = self
            .cluster_policies
            .values()
            .filter(|policy| {
                policy.tier == tier
                    && policy.namespaces.matches(labels)
                    && policy.pods.matches(&subject.labels)
            })
            .collect();
        policies
            .sort_by(|left, right| (left.priority, &left.name).cmp(&(right.priority, &right.name)));
        policies
    }

    fn rule_matches(&self, rule: &Rule, own_namespace: &str, other: &Class) -> bool {
        let Some(peers) = &rule.peers else {
            return true;
        };
        // A pod in the node's network has the node's address, which selectors do not match.
        peers.iter().any(|peer| match peer {
            Peer::Pods { namespaces, pods } => {
                let in_namespace = match namespaces {
                    Some(selector) => selector.matches(self.labels_of(&other.namespace)),
                    None => other.namespace == own_namespace,
                };
                in_namespace
                    && !other.host_network
                    && pods
                        .as_ref()
                        .is_none_or(|selector| selector.matches(&other.labels))
            }
            // Blocks are for addresses outside the cluster; `blocks` judges them.
            Peer::Block { .. } => false,
        })
    }

    fn cluster_rule_matches(&self, rule: &ClusterRule, other: &Class) -> bool {
        rule.peers.iter().any(|peer| match peer {
            ClusterPeer::Pods { namespaces, pods } => {
                !other.host_network
                    && namespaces.matches(self.labels_of(&other.namespace))
                    && pods.matches(&other.labels)
            }
            // What is not read might mean anybody: it may open, it never closes.
            ClusterPeer::Other => rule.action == Action::Accept,
            ClusterPeer::Networks(_) => false,
        })
    }
}

fn cluster_rules(policy: &ClusterPolicyFacts, way: Way) -> &[ClusterRule] {
    match way {
        Way::In => &policy.ingress,
        Way::Out => &policy.egress,
    }
}

fn everywhere() -> impl Iterator<Item = IpNet> {
    let whole = |address: IpAddr| IpNet::from(address).supernet_of_all();
    [
        whole(IpAddr::from([0_u8; 4])),
        whole(IpAddr::from([0_u8; 16])),
    ]
    .into_iter()
}

/// The whole address family of a network.
trait Whole {
    fn supernet_of_all(self) -> IpNet;
}

impl Whole for IpNet {
    fn supernet_of_all(self) -> IpNet {
        let mut network = self;
        while let Some(wider) = network.supernet() {
            network = wider;
        }
        network
    }
}
