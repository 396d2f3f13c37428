//! What is open and was not declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;

use super::evaluate::{Cause, Way};
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
}

impl fmt::Display for Exposure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} can reach {}: {}", self.from, self.to, self.what)
    }
}

/// Most exposures reported per tenant; more would say nothing new.
const REPORTED: usize = 50;

/// Everything open and undeclared with the tenant at one end, sorted, at most fifty.
///
/// `tenant_of` says which tenant a namespace belongs to, if any.
pub fn exposures(
    world: &World,
    expected: &Expected,
    tenant_of: &impl Fn(&str) -> Option<String>,
) -> Vec<Exposure> {
    let mut found = BTreeSet::new();
    let open = expected.own.difference(&expected.closed);
    for namespace in open.chain(&expected.parked) {
        let parked = expected.parked.contains(namespace);
        for subject in world
            .classes_in(namespace)
            .iter()
            .filter(|class| !class.host_network)
        {
            for way in [Way::In, Way::Out] {
                pods(world, expected, subject, way, parked, tenant_of, &mut found);
                networks(world, expected, subject, way, parked, &mut found);
            }
        }
        if found.len() >= REPORTED {
            break;
        }
    }
    found.into_iter().take(REPORTED).collect()
}

fn pods(
    world: &World,
    expected: &Expected,
    subject: &Class,
    way: Way,
    parked: bool,
    tenant_of: &impl Fn(&str) -> Option<String>,
    found: &mut BTreeSet<Exposure>,
) {
    let declared = match way {
        Way::In => &expected.ingress_namespaces,
        Way::Out => &expected.egress_namespaces,
    };
    for namespace in world.namespaces.keys() {
        let fine = !parked && (expected.own.contains(namespace) || declared.contains(namespace));
        if fine || *namespace == subject.namespace {
            continue;
        }
        for other in world.classes_in(namespace) {
            if other.host_network || found.len() >= REPORTED {
                continue;
            }
            let (from, to) = match way {
                Way::In => (other.as_ref(), subject),
                Way::Out => (subject, other.as_ref()),
            };
            // The near end first: settled tenants are closed there, and the far end is not asked.
            if world.allowed(subject, way, &other, to).is_empty() {
                continue;
            }
            let ports = world.reach(from, to);
            if ports.is_empty() {
                continue;
            }
            let side = match (tenant_of(namespace), way) {
                (Some(_), _) => Side::BetweenTenants,
                (None, Way::In) => Side::Inward,
                (None, Way::Out) => Side::Outward,
            };
            let cause = world.cause(subject, way, &other, to);
            found.insert(Exposure {
                side,
                from: from.namespace.clone(),
                to: to.namespace.clone(),
                what: format!("{ports}; {cause}"),
            });
        }
    }
}

fn networks(
    world: &World,
    expected: &Expected,
    subject: &Class,
    way: Way,
    parked: bool,
    found: &mut BTreeSet<Exposure>,
) {
    let (declared, side) = match way {
        Way::In => (&expected.ingress_cidrs, Side::Inward),
        Way::Out => (&expected.egress_cidrs, Side::Outward),
    };
    let mut open: BTreeMap<String, Cause> = BTreeMap::new();
    for (network, cause) in world.blocks(subject, way) {
        if parked || !declared.iter().any(|declared| declared.contains(&network)) {
            open.entry(network.to_string()).or_insert(cause);
        }
    }
    for (network, cause) in open {
        let (from, to) = match way {
            Way::In => (network, subject.namespace.clone()),
            Way::Out => (subject.namespace.clone(), network),
        };
        found.insert(Exposure {
            side,
            from,
            to,
            what: cause.to_string(),
        });
    }
}
