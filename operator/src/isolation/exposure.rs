//! What is open and was not declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;

use super::addresses::Addresses;
use super::evaluate::{Cause, End, Other, Towards, View, Way};
use super::ports::PortSet;
use super::world::{Class, World};

/// What a tenant declared: everything else between it and the world should be closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// The tenant's own namespaces; parked ones are not among them.
    pub own: BTreeSet<String>,
    /// Those of its own in which no pod can start yet: not judged.
    pub closed: BTreeSet<String>,
    /// Namespaces that left its list: nothing in, nothing out.
    pub parked: BTreeSet<String>,
    /// Namespaces that may reach it.
    pub ingress_namespaces: BTreeSet<String>,
    /// Namespaces it may reach.
    pub egress_namespaces: BTreeSet<String>,
    /// Networks that may reach it.
    pub ingress_cidrs: Vec<IpNet>,
    /// Networks it may reach.
    pub egress_cidrs: Vec<IpNet>,
}

/// Which boundary an exposure crosses.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// Another tenant is at the other end.
    BetweenTenants,
    /// From outside every tenant.
    Inward,
    /// To outside every tenant.
    Outward,
}

/// One flow that is open and undeclared.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Exposure {
    /// Which boundary it crosses.
    pub side: Side,
    /// From where: a namespace or a network.
    pub from: String,
    /// To where.
    pub to: String,
    /// On which ports, and by which policy's fault.
    pub what: String,
    /// Whether no such pods exist yet: it shows what the first pod without labels would meet.
    pub hypothetical: bool,
}

impl fmt::Display for Exposure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} can reach {}: {}", self.from, self.to, self.what)?;
        if self.hypothetical {
            out.write_str(" (once there are such pods)")?;
        }
        Ok(())
    }
}

/// What is open and was not declared, of one tenant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unexpected {
    /// The first of them, sorted; at most fifty.
    pub shown: Vec<Exposure>,
    /// How many more there are. Counting stops at ten thousand in all.
    pub more: usize,
    /// Whether the tenant's own end lets somebody undeclared through, who may be closed at the far
    /// end: then a change anywhere else can make it an exposure.
    pub ajar: bool,
}

/// Most exposures reported per tenant; more would say nothing new.
const REPORTED: usize = 50;
/// Most exposures computed per tenant.
const COMPUTED: usize = 10_000;

/// Everything open and undeclared with the tenant at one end: the shown part of [`unexpected`].
pub fn exposures(
    world: &World,
    expected: &Expected,
    tenant_of: &impl Fn(&str) -> Option<String>,
) -> Vec<Exposure> {
    unexpected(world, expected, tenant_of).shown
}

/// Everything open and undeclared with the tenant at one end.
///
/// `tenant_of` says which tenant a namespace belongs to, if any.
pub fn unexpected(
    world: &World,
    expected: &Expected,
    tenant_of: &impl Fn(&str) -> Option<String>,
) -> Unexpected {
    let mut search = Search {
        view: View::now(world),
        expected,
        found: BTreeMap::new(),
        ajar: false,
    };
    let open = expected.own.difference(&expected.closed);
    for namespace in open.chain(&expected.parked) {
        let classes = world.classes_in(namespace);
        for way in [Way::In, Way::Out] {
            let in_pod_network = classes.iter().filter(|class| !class.host_network);
            let ends: Vec<End> = in_pod_network
                .map(|class| search.view.end(class, way))
                .collect();
            ends.iter().for_each(|end| search.networks(end, way));
            search.pods(namespace, &ends, way, tenant_of);
        }
    }
    search.result()
}

/// Key of an exposure: side, from, to, what.
type Key = (Side, String, String, String);

struct Search<'a> {
    view: View<'a>,
    expected: &'a Expected,
    /// Each with whether it is hypothetical.
    found: BTreeMap<Key, bool>,
    ajar: bool,
}

impl<'a> Search<'a> {
    fn pods(
        &mut self,
        namespace: &str,
        ends: &[End<'_>],
        way: Way,
        tenant_of: &impl Fn(&str) -> Option<String>,
    ) {
        for other in self.candidates(ends) {
            if other == namespace || self.is_declared(namespace, other, way) {
                continue;
            }
            if self.found.len() >= COMPUTED {
                return;
            }
            let side = match (tenant_of(other), way) {
                (Some(_), _) => Side::BetweenTenants,
                (None, Way::In) => Side::Inward,
                (None, Way::Out) => Side::Outward,
            };
            self.between(ends, other, way, side);
        }
    }

    /// Where the other end might be: a settled tenant's own policies name few namespaces, and only
    /// those are looked at.
    fn candidates(&self, ends: &[End<'_>]) -> Vec<&'a str> {
        let world = self.view.world;
        let mut named = BTreeSet::new();
        for end in ends {
            match end.towards() {
                Towards::Everybody => return world.namespaces.keys().map(String::as_str).collect(),
                Towards::Namespaces(some) => {
                    named.extend(some.into_iter().map(str::to_owned));
                }
            }
        }
        let known = named
            .iter()
            .filter_map(|name| world.namespaces.get_key_value(name));
        known.map(|(name, _)| name.as_str()).collect()
    }

    fn is_declared(&self, namespace: &str, other: &str, way: Way) -> bool {
        let declared = match way {
            Way::In => &self.expected.ingress_namespaces,
            Way::Out => &self.expected.egress_namespaces,
        };
        let fine = self.expected.own.contains(other) || declared.contains(other);
        fine && !self.expected.parked.contains(namespace)
    }

    /// Exposures between pods of `ends`, all of one namespace, and pods of another.
    fn between(&mut self, ends: &[End<'_>], other: &str, way: Way, side: Side) {
        let ends: Vec<&End> = ends.iter().filter(|near| near.concerns(other)).collect();
        let Some(namespace) = ends.first().map(|near| near.subject.namespace.as_str()) else {
            return;
        };
        let classes = self.view.world.classes_in(other);
        for class in classes.iter().filter(|class| !class.host_network) {
            let far = self.view.end(class, way.back());
            let far_concerned = far.concerns(namespace);
            for near in &ends {
                // Where the far end is closed, all there is to learn is that the near end is not.
                if !far_concerned && self.ajar {
                    break;
                }
                let to = match way {
                    Way::In => near.subject,
                    Way::Out => class.as_ref(),
                };
                let mut grants: Vec<(PortSet, Cause)> = Vec::new();
                near.grants(Other::Pod(class), Some(to), &mut |ports, cause| {
                    if !ports.is_empty() {
                        grants.push((ports, cause));
                    }
                });
                if grants.is_empty() {
                    continue;
                }
                self.ajar = true;
                let admitted = far.ports(Other::Pod(near.subject), Some(to));
                let hypothetical = !self.exists(near.subject) || !self.exists(class);
                let mut whole = false;
                for (ports, cause) in grants {
                    let ports = ports.intersection(&admitted);
                    whole |= ports.is_all() && !hypothetical;
                    self.add(near.subject, other, way, side, &ports, cause, hypothetical);
                }
                // Nothing more can be open between two namespaces than everything between two pods
                // that exist.
                if whole {
                    return;
                }
            }
        }
    }

    fn exists(&self, class: &Class) -> bool {
        let known = self.view.world.classes.get(&class.namespace);
        known.is_some_and(|classes| classes.contains_key(class))
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one sentence, told apart by their types"
    )]
    fn add(
        &mut self,
        near: &Class,
        other: &str,
        way: Way,
        side: Side,
        ports: &PortSet,
        cause: Cause<'_>,
        hypothetical: bool,
    ) {
        if ports.is_empty() {
            return;
        }
        let (from, to) = match way {
            Way::In => (other.to_owned(), near.namespace.clone()),
            Way::Out => (near.namespace.clone(), other.to_owned()),
        };
        let key = (side, from, to, format!("{ports}; {cause}"));
        // A pod that exists says it with more weight than one that does not.
        *self.found.entry(key).or_insert(hypothetical) &= hypothetical;
    }

    /// Exposures between pods and addresses outside the cluster.
    fn networks(&mut self, end: &End<'_>, way: Way) {
        let parked = self.expected.parked.contains(&end.subject.namespace);
        let (declared, side) = match way {
            Way::In => (&self.expected.ingress_cidrs, Side::Inward),
            Way::Out => (&self.expected.egress_cidrs, Side::Outward),
        };
        let declared = match parked {
            true => Addresses::default(),
            false => Addresses::of(declared),
        };
        let mut open: BTreeMap<String, Addresses> = BTreeMap::new();
        for (address, cell) in Addresses::cells(end.addresses().chain([&declared])) {
            if declared.contains(address) {
                continue;
            }
            end.grants(Other::Outside(address), end.inner(), &mut |ports, cause| {
                if !ports.is_empty() {
                    let known = open.entry(format!("{ports}; {cause}")).or_default();
                    *known = known.union(&cell);
                }
            });
        }
        let hypothetical = !self.exists(end.subject);
        for (what, addresses) in open {
            if self.found.len() >= COMPUTED {
                return;
            }
            let (outside, inside) = (addresses.to_string(), end.subject.namespace.clone());
            let (from, to) = match way {
                Way::In => (outside, inside),
                Way::Out => (inside, outside),
            };
            let key = (side, from, to, what);
            *self.found.entry(key).or_insert(hypothetical) &= hypothetical;
        }
    }

    fn result(self) -> Unexpected {
        let more = self.found.len().saturating_sub(REPORTED);
        let shown = self.found.into_iter().take(REPORTED);
        let shown = shown.map(|((side, from, to, what), hypothetical)| Exposure {
            side,
            from,
            to,
            what,
            hypothetical,
        });
        Unexpected {
            shown: shown.collect(),
            more,
            ajar: self.ajar,
        }
    }
}
