//! What planned policies would cut of what is open now.

use std::collections::BTreeMap;
use std::fmt;

use super::addresses::Addresses;
use super::evaluate::{End, Other, View, Way};
use super::policy::PolicyFacts;
use super::ports::PortSet;
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
/// How ours are named: a rendering replaces what was rendered before it.
const OURS: &str = "tenure-";

/// Flows between pods that exist, open now and closed once each namespace's planned policies stand
/// beside those that are there: at most one per pair of namespaces, with every port it would lose,
/// and a few per namespace with the outside. Pods in the node's network count as destinations.
pub fn would_cut(world: &World, planned: &[(String, Vec<PolicyFacts>)]) -> Vec<Flow> {
    let policies = planned.iter().map(|(namespace, policies)| {
        let others = world.policies_in(namespace);
        let others = others.filter(|policy| !policy.name.starts_with(OURS));
        (namespace.as_str(), others.chain(policies).collect())
    });
    let mut search = Search {
        now: View::now(world),
        then: View {
            world,
            planned: policies.collect(),
        },
        pods: BTreeMap::new(),
        outside: BTreeMap::new(),
    };
    for (namespace, _) in planned {
        for way in [Way::In, Way::Out] {
            search.namespace(namespace, way);
        }
    }
    search.result()
}

struct Search<'a> {
    now: View<'a>,
    then: View<'a>,
    /// What is lost, by where it begins and where it ends.
    pods: BTreeMap<(&'a str, &'a str), PortSet>,
    /// What is lost outside, by where it begins, where it ends, and on which ports.
    outside: BTreeMap<(&'a str, &'a str, String), Addresses>,
}

/// One class at one end, now and then.
struct Both<'a> {
    now: End<'a>,
    then: End<'a>,
    pods: usize,
}

impl<'a> Search<'a> {
    /// The classes of a namespace that exist.
    fn ends(&self, namespace: &str, way: Way) -> Vec<Both<'a>> {
        let classes = self.now.world.classes.get(namespace).into_iter().flatten();
        let both = classes.map(|(class, pods)| Both {
            now: self.now.end(class, way),
            then: self.then.end(class, way),
            pods: *pods,
        });
        both.collect()
    }

    fn namespace(&mut self, namespace: &str, way: Way) {
        let ends = self.ends(namespace, way);
        for near in ends.iter().filter(|near| !near.now.subject.host_network) {
            self.networks(near, way);
        }
        let everybody = self.now.world.classes.keys();
        for other in everybody {
            if !ends.iter().any(|near| near.now.concerns(other)) {
                continue;
            }
            for far in self.ends(other, way.back()) {
                if far.now.concerns(namespace) && self.between(&ends, &far, way) {
                    break;
                }
            }
        }
    }

    /// Notes what is lost between one class and those of `ends`; answers whether everything is.
    fn between(&mut self, ends: &[Both<'a>], far: &Both<'a>, way: Way) -> bool {
        for near in ends.iter().filter(|near| !near.now.subject.host_network) {
            let (subject, other) = (near.now.subject, far.now.subject);
            // A single pod of its class has nobody but itself there, and itself it always reaches.
            if subject == other && near.pods == 1 {
                continue;
            }
            let (from, to) = match way {
                Way::In => (other, subject),
                Way::Out => (subject, other),
            };
            let open = |near: &End, far: &End| {
                let ports = near.ports(Other::Pod(other), Some(to));
                if ports.is_empty() {
                    return ports;
                }
                ports.intersection(&far.ports(Other::Pod(subject), Some(to)))
            };
            let lost = open(&near.now, &far.now).without(&open(&near.then, &far.then));
            if lost.is_empty() {
                continue;
            }
            let known = self
                .pods
                .entry((&from.namespace, &to.namespace))
                .or_default();
            *known = known.union(&lost);
            if known.is_all() {
                return true;
            }
        }
        false
    }

    fn networks(&mut self, near: &Both<'a>, way: Way) {
        let namespace = near.now.subject.namespace.as_str();
        let sets = near.now.addresses().chain(near.then.addresses());
        for (address, cell) in Addresses::cells(sets) {
            let open = |end: &End| end.ports(Other::Outside(address), end.inner());
            let lost = open(&near.now).without(&open(&near.then));
            if lost.is_empty() {
                continue;
            }
            let (from, to) = match way {
                Way::In => (OUTSIDE, namespace),
                Way::Out => (namespace, OUTSIDE),
            };
            let known = self
                .outside
                .entry((from, to, lost.to_string()))
                .or_default();
            *known = known.union(&cell);
        }
    }

    fn result(self) -> Vec<Flow> {
        let pods = self.pods.into_iter().map(|((from, to), ports)| Flow {
            from: from.into(),
            to: to.into(),
            ports: ports.to_string(),
        });
        let outside = self
            .outside
            .into_iter()
            .map(|((from, to, ports), cut)| Flow {
                from: from.into(),
                to: to.into(),
                ports: format!("{ports} at {cut}"),
            });
        let mut flows: Vec<Flow> = pods.chain(outside).collect();
        flows.sort();
        flows
    }
}
