//! What planned policies would cut of what is open now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::evaluate::Way;
use super::policy::PolicyFacts;
use super::world::World;

/// A flow between existing pods that is open now and would be cut.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Flow {
    /// Namespace, or everything outside the cluster.
    pub from: String,
    /// Namespace, or everything outside the cluster.
    pub to: String,
    /// The ports that would be cut.
    pub ports: String,
}

impl Flow {
    /// Whether the flow begins or ends in a namespace.
    pub fn touches(&self, namespace: &str) -> bool {
        self.from == namespace || self.to == namespace
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} to {} ({})", self.from, self.to, self.ports)
    }
}

/// Where a flow begins or ends outside the cluster.
const OUTSIDE: &str = "outside the cluster";
/// Most flows computed; a brownfield namespace can have as many as there are namespaces.
const COMPUTED: usize = 10_000;

/// Flows between pods that exist, open now and closed once each namespace's planned policies stand
/// beside those that are there.
pub fn would_cut(world: &World, planned: &[(String, Vec<PolicyFacts>)]) -> Vec<Flow> {
    let mut then = world.clone();
    for (namespace, policies) in planned {
        // A rendering replaces what was rendered before it: ours are known by their prefix.
        let ours: Vec<String> = then
            .policies
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|name| name.starts_with("tenure-"))
            .cloned()
            .collect();
        ours.iter()
            .for_each(|name| then.remove_policy(namespace, name));
        policies
            .iter()
            .cloned()
            .for_each(|policy| then.upsert_policy(policy));
    }
    let mut cut: BTreeSet<Flow> = BTreeSet::new();
    for (namespace, _) in planned {
        for subject in world
            .classes
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|class| !class.host_network)
        {
            for (other, way) in world
                .classes
                .values()
                .flat_map(BTreeMap::keys)
                .flat_map(|other| [(other, Way::In), (other, Way::Out)])
            {
                if other == subject || other.host_network || cut.len() >= COMPUTED {
                    continue;
                }
                let (from, to) = if way == Way::In {
                    (other, subject)
                } else {
                    (subject, other)
                };
                let lost = world.reach(from, to).without(&then.reach(from, to));
                if !lost.is_empty() {
                    cut.insert(Flow {
                        from: from.namespace.clone(),
                        to: to.namespace.clone(),
                        ports: lost.to_string(),
                    });
                }
            }
            for way in [Way::In, Way::Out] {
                let kept: BTreeSet<_> = then
                    .blocks(subject, way)
                    .into_iter()
                    .map(|(network, _)| network)
                    .collect();
                if world
                    .blocks(subject, way)
                    .iter()
                    .any(|(network, _)| !kept.contains(network))
                {
                    let (from, to) = if way == Way::In {
                        (OUTSIDE, namespace.as_str())
                    } else {
                        (namespace.as_str(), OUTSIDE)
                    };
                    cut.insert(Flow {
                        from: from.into(),
                        to: to.into(),
                        ports: "addresses that were open".into(),
                    });
                }
            }
        }
    }
    cut.into_iter().collect()
}
