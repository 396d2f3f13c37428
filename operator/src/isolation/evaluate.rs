//! What policies let through at one end of a flow, and which of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::addresses::Addresses;
use super::cluster_policy::{Action, ClusterPolicyFacts, ClusterRule, Tier};
use super::policy::{PolicyFacts, Rule};
use super::ports::PortSet;
use super::world::{Class, World};

/// Which way a policy looks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Way {
    /// Into the pod.
    In,
    /// Out of the pod.
    Out,
}

impl Way {
    /// How the other end of the same flow looks at it.
    pub(super) fn back(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    fn rules(self) -> &'static str {
        match self {
            Self::In => "ingress",
            Self::Out => "egress",
        }
    }
}

/// Who is at the other end of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Other<'a> {
    /// A pod of this class; never the very same pod, which always reaches itself.
    Pod(&'a Class),
    /// An address outside the cluster.
    Outside(IpAddr),
}

/// What lets a flow through at one end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// The node's network: policies are not asked.
    Node,
    /// No policy isolates the pod in that direction.
    NoPolicy(&'a str, Way),
    /// A rule of a NetworkPolicy, by its index.
    Rule(&'a PolicyFacts, Way, usize),
    /// A rule of a ClusterNetworkPolicy, by its index.
    Cluster(&'a ClusterPolicyFacts, Way, usize),
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => out.write_str("pods in the node's network"),
            Self::NoPolicy(namespace, way) => {
                write!(
                    out,
                    "no policy isolates {} of these pods in {namespace}",
                    way.rules()
                )
            }
            Self::Rule(policy, ..) if !policy.understood => write!(
                out,
                "NetworkPolicy {}/{}, which is not understood",
                policy.namespace, policy.name
            ),
            Self::Rule(policy, way, index) => write!(
                out,
                "NetworkPolicy {}/{}, {}[{index}]",
                policy.namespace,
                policy.name,
                way.rules()
            ),
            Self::Cluster(policy, way, index) => {
                let doubt = if cluster_rules(policy, *way)[*index].understood {
                    ""
                } else {
                    ", which is not understood"
                };
                write!(
                    out,
                    "ClusterNetworkPolicy {}, {}[{index}]{doubt}",
                    policy.name,
                    way.rules()
                )
            }
        }
    }
}

/// The world as it is, or as it would be with other NetworkPolicies in some namespaces.
pub(super) struct View<'a> {
    pub world: &'a World,
    /// The policies of those namespaces, whole.
    pub planned: BTreeMap<&'a str, Vec<&'a PolicyFacts>>,
}

impl<'a> View<'a> {
    /// The world as it is.
    pub(super) fn now(world: &'a World) -> Self {
        Self {
            world,
            planned: BTreeMap::new(),
        }
    }

    /// One end of flows into or out of `subject`.
    pub(super) fn end(&self, subject: &'a Class, way: Way) -> End<'a> {
        let policies: Vec<&'a PolicyFacts> = match self.planned.get(subject.namespace.as_str()) {
            Some(planned) => planned.clone(),
            None => self.world.policies_in(&subject.namespace).collect(),
        };
        let selecting = policies
            .into_iter()
            .filter(|policy| policy.pods.matches(&subject.labels));
        let rules: Vec<(&PolicyFacts, &[Rule])> = selecting
            .filter_map(|policy| {
                let rules = match way {
                    Way::In => policy.ingress.as_deref(),
                    Way::Out => policy.egress.as_deref(),
                };
                Some((policy, rules?))
            })
            .collect();
        let cluster = self.world.cluster_policies_on(&subject.namespace);
        let mut cluster: Vec<&ClusterPolicyFacts> = cluster
            .into_iter()
            .filter(|policy| policy.pods.matches(&subject.labels))
            .collect();
        cluster.sort_by_key(|policy| (policy.priority, &policy.name));
        End {
            world: self.world,
            subject,
            way,
            cluster,
            rules,
        }
    }
}

/// One end of flows: a class of pods, and the policies that select it in one direction. Found once,
/// asked about many others.
pub(super) struct End<'a> {
    world: &'a World,
    pub subject: &'a Class,
    way: Way,
    /// Of both tiers, most preferred first.
    cluster: Vec<&'a ClusterPolicyFacts>,
    rules: Vec<(&'a PolicyFacts, &'a [Rule])>,
}

/// Namespaces in which the other end of an open flow might be.
pub(super) enum Towards<'a> {
    /// Any.
    Everybody,
    /// These alone.
    Namespaces(BTreeSet<&'a str>),
}

impl<'a> End<'a> {
    /// The ports of `to` this end leaves open. `to` is where the flow ends, this end or the other;
    /// nothing where that is outside the cluster.
    pub(super) fn ports(&self, other: Other<'_>, to: Option<&Class>) -> PortSet {
        let mut open = PortSet::none();
        self.grants(other, to, &mut |ports, _| open = open.union(&ports));
        open
    }

    /// Everything this end leaves open, each part with its cause; parts may overlap.
    pub(super) fn grants(
        &self,
        other: Other<'_>,
        to: Option<&Class>,
        found: &mut impl FnMut(PortSet, Cause<'a>),
    ) {
        let node = |class: &Class| class.host_network;
        // Policies select no pod in the node's network; and a node reaches every pod (its probes).
        if node(self.subject)
            || (self.way == Way::In && matches!(other, Other::Pod(class) if node(class)))
        {
            return found(PortSet::all(), Cause::Node);
        }
        let rest = self.tier(Tier::Admin, other, to, PortSet::all(), found);
        for (policy, rules) in &self.rules {
            for (index, rule) in rules.iter().enumerate() {
                if self.rule_matches(rule, other) {
                    let ports = rule.ports.of(to).intersection(&rest);
                    found(ports, Cause::Rule(policy, self.way, index));
                }
            }
        }
        if self.rules.is_empty() {
            let rest = self.tier(Tier::Baseline, other, to, rest, found);
            found(rest, Cause::NoPolicy(&self.subject.namespace, self.way));
        }
    }

    /// Runs the rules of a tier over `undecided`; answers what is left to the next tier.
    ///
    /// Where policies of equal priority disagree, the API leaves open which one decides: each is
    /// asked, and what any of them lets through may be open. A rule that may or may not match is
    /// followed both ways for the same reason, so it never closes anything.
    fn tier(
        &self,
        tier: Tier,
        other: Other<'_>,
        to: Option<&Class>,
        mut undecided: PortSet,
        found: &mut impl FnMut(PortSet, Cause<'a>),
    ) -> PortSet {
        let policies: Vec<&'a ClusterPolicyFacts> = self
            .cluster
            .iter()
            .copied()
            .filter(|policy| policy.tier == tier)
            .collect();
        let mut passed = PortSet::none();
        for equals in policies.chunk_by(|left, right| left.priority == right.priority) {
            let mut decided = PortSet::none();
            for policy in equals {
                let mut mine = undecided.clone();
                for (index, rule) in cluster_rules(policy, self.way).iter().enumerate() {
                    let Some(surely) = self.cluster_rule_matches(rule, other) else {
                        continue;
                    };
                    let matched = rule.ports.of(to).intersection(&mine);
                    if surely {
                        mine = mine.without(&matched);
                        decided = decided.union(&matched);
                    }
                    match rule.action {
                        Action::Accept => found(matched, Cause::Cluster(policy, self.way, index)),
                        Action::Pass => passed = passed.union(&matched),
                        Action::Deny => {}
                    }
                }
            }
            undecided = undecided.without(&decided);
        }
        undecided.union(&passed)
    }

    fn rule_matches(&self, rule: &Rule, other: Other<'_>) -> bool {
        let Some(peers) = &rule.peers else {
            return true;
        };
        match other {
            Other::Outside(address) => peers.outside.contains(address),
            // A pod in the node's network has the node's address, which selectors do not match.
            Other::Pod(class) if class.host_network => false,
            Other::Pod(class) => peers.pods.iter().any(|peer| {
                let namespace_fits = match &peer.namespaces {
                    Some(selector) => selector.matches(self.world.labels_of(&class.namespace)),
                    None => class.namespace == self.subject.namespace,
                };
                namespace_fits && peer.pods.matches(&class.labels)
            }),
        }
    }

    /// Whether a rule matches: surely (`Some(true)`), perhaps (`Some(false)`), or not.
    fn cluster_rule_matches(&self, rule: &ClusterRule, other: Other<'_>) -> Option<bool> {
        if !rule.understood {
            return Some(false);
        }
        let peers = &rule.peers;
        match other {
            Other::Outside(address) if peers.networks.contains(address) => {
                // A name means nothing outside the cluster; the API refuses the pair.
                Some(!rule.ports.has_names())
            }
            Other::Outside(_) => peers.somewhere.then_some(false),
            Other::Pod(class) if class.host_network => {
                (peers.somewhere || !peers.networks.is_empty()).then_some(false)
            }
            Other::Pod(class) => {
                let labels = self.world.labels_of(&class.namespace);
                let selected = peers.pods.iter().any(|(namespaces, pods)| {
                    namespaces.matches(labels) && pods.matches(&class.labels)
                });
                if selected {
                    return Some(true);
                }
                // Networks match pods' addresses too, and those are not known here. What networks
                // accept is judged as networks; a denial of them closes nothing; but a pass of them
                // may take a pod past a denial further down.
                (rule.action == Action::Pass && !peers.networks.is_empty()).then_some(false)
            }
        }
    }

    /// Where the other end of an open flow might be: quickly, and never too few.
    pub(super) fn towards(&self) -> Towards<'a> {
        let mut named = BTreeSet::new();
        if self.subject.host_network || self.rules.is_empty() {
            return Towards::Everybody;
        }
        for rule in self.accepting() {
            if !rule.understood {
                return Towards::Everybody;
            }
            for (namespaces, _) in &rule.peers.pods {
                named.extend(self.world.namespaces_matching(namespaces));
            }
        }
        for rule in self.rules.iter().flat_map(|(_, rules)| rules.iter()) {
            let Some(peers) = &rule.peers else {
                return Towards::Everybody;
            };
            for peer in &peers.pods {
                match &peer.namespaces {
                    Some(selector) => named.extend(self.world.namespaces_matching(selector)),
                    None => {
                        named.insert(self.subject.namespace.as_str());
                    }
                }
            }
        }
        Towards::Namespaces(named)
    }

    /// Whether the other end of an open flow might be in a namespace: quickly, and never too rarely.
    pub(super) fn concerns(&self, namespace: &str) -> bool {
        if self.subject.host_network || self.rules.is_empty() {
            return true;
        }
        let labels = self.world.labels_of(namespace);
        let accepted = self.accepting().any(|rule| {
            let mut namespaces = rule.peers.pods.iter().map(|(namespaces, _)| namespaces);
            !rule.understood || namespaces.any(|selector| selector.matches(labels))
        });
        let mut rules = self.rules.iter().flat_map(|(_, rules)| rules.iter());
        accepted
            || rules.any(|rule| {
                rule.peers.as_ref().is_none_or(|peers| {
                    peers.pods.iter().any(|peer| match &peer.namespaces {
                        Some(selector) => selector.matches(labels),
                        None => namespace == self.subject.namespace,
                    })
                })
            })
    }

    fn accepting(&self) -> impl Iterator<Item = &'a ClusterRule> {
        let rules = self
            .cluster
            .iter()
            .flat_map(|policy| cluster_rules(policy, self.way));
        rules.filter(|rule| rule.action == Action::Accept)
    }

    /// Every set of addresses the policies of this end tell apart.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &'a Addresses> + Clone {
        let rules = self.rules.iter().flat_map(|(_, rules)| rules.iter());
        let blocks = rules.filter_map(|rule| Some(&rule.peers.as_ref()?.outside));
        let cluster = self
            .cluster
            .iter()
            .flat_map(|policy| cluster_rules(policy, self.way));
        blocks.chain(cluster.map(|rule| &rule.peers.networks))
    }

    /// The class at which a flow between this end and the outside ends, if it is a class.
    pub(super) fn inner(&self) -> Option<&'a Class> {
        (self.way == Way::In).then_some(self.subject)
    }
}

fn cluster_rules(policy: &ClusterPolicyFacts, way: Way) -> &[ClusterRule] {
    match way {
        Way::In => &policy.ingress,
        Way::Out => &policy.egress,
    }
}
