//! Sets of ports: what a list of ports in a spec lets through.

use std::collections::BTreeMap;

use tenure_crds::words::{Port, Protocol};

/// Ports let through, as sorted ranges per protocol that neither overlap nor touch.
///
/// Two lists that let the same ports through are the same set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortSet {
    /// Every port of every protocol: what an empty list means.
    All,
    /// Exactly these, both ends included.
    Only(BTreeMap<Protocol, Vec<(i32, i32)>>),
}

impl PortSet {
    /// The set a list stands for; an empty list is every port. A range that ends before it starts
    /// lets nothing through.
    pub fn new(ports: &[Port]) -> Self {
        if ports.is_empty() {
            return Self::All;
        }
        let mut ranges: BTreeMap<Protocol, Vec<(i32, i32)>> = BTreeMap::new();
        for Port {
            port,
            end_port,
            protocol,
        } in ports
        {
            let last = end_port.unwrap_or(*port);
            if last >= *port {
                let protocol = protocol.unwrap_or_default();
                ranges.entry(protocol).or_default().push((*port, last));
            }
        }
        for list in ranges.values_mut() {
            *list = joined(std::mem::take(list));
        }
        Self::Only(ranges)
    }

    /// Whether everything in `self` is in `other` too.
    pub fn within(&self, other: &Self) -> bool {
        let (Self::Only(mine), Self::Only(theirs)) = (self, other) else {
            return *other == Self::All;
        };
        mine.iter().all(|(protocol, ranges)| {
            let covering = theirs.get(protocol).map_or(&[][..], Vec::as_slice);
            ranges
                .iter()
                .all(|(first, last)| covering.iter().any(|(a, b)| a <= first && last <= b))
        })
    }

    /// The ports as a list for a NetworkPolicy, sorted; empty means every port.
    pub fn to_ports(&self) -> Vec<Port> {
        let Self::Only(ranges) = self else {
            return Vec::new();
        };
        let port = |protocol: Protocol, (first, last): (i32, i32)| Port {
            port: first,
            end_port: (last > first).then_some(last),
            protocol: Some(protocol),
        };
        ranges
            .iter()
            .flat_map(|(protocol, list)| list.iter().map(move |range| port(*protocol, *range)))
            .collect()
    }
}

fn joined(mut ranges: Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    ranges.sort_unstable();
    let mut out: Vec<(i32, i32)> = Vec::new();
    for (first, last) in ranges {
        match out.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => out.push((first, last)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    fn lists() -> impl Strategy<Value = Vec<Port>> {
        let port =
            (1..8i32, prop::option::of(1..8i32), any::<bool>()).prop_map(|(port, end, udp)| {
                let end_port = end.map(|end| end.max(port));
                let protocol = udp.then_some(Protocol::UDP);
                Port {
                    port,
                    end_port,
                    protocol,
                }
            });
        prop::collection::vec(port, 0..5)
    }

    fn lets_through(ports: &[Port], port: i32, protocol: Protocol) -> bool {
        ports.is_empty()
            || ports.iter().any(|p| {
                p.protocol.unwrap_or_default() == protocol
                    && p.port <= port
                    && port <= p.end_port.unwrap_or(p.port)
            })
    }

    fn naive_within(a: &[Port], b: &[Port]) -> bool {
        // 9 stands for every port no generated range reaches.
        (1..=9).all(|port| {
            [Protocol::TCP, Protocol::UDP, Protocol::SCTP]
                .into_iter()
                .all(|protocol| !lets_through(a, port, protocol) || lets_through(b, port, protocol))
        })
    }

    proptest! {
        #[test]
        fn within_agrees_with_asking_port_by_port(a in lists(), b in lists()) {
            prop_assert_eq!(PortSet::new(&a).within(&PortSet::new(&b)), naive_within(&a, &b));
        }

        #[test]
        fn a_set_written_out_is_the_same_set(a in lists()) {
            let set = PortSet::new(&a);
            prop_assert_eq!(PortSet::new(&set.to_ports()), set);
        }
    }

    #[test]
    fn ranges_that_touch_or_overlap_are_one() {
        let range = |port: i32, end: i32| Port {
            port,
            end_port: Some(end),
            protocol: None,
        };
        let whole = PortSet::new(&[range(1, 9)]);
        assert_eq!(PortSet::new(&[range(5, 9), range(1, 4)]), whole);
        assert_eq!(
            PortSet::new(&[range(1, 6), range(4, 9), range(2, 3)]),
            whole
        );
        assert_ne!(PortSet::new(&[range(1, 4), range(6, 9)]), whole);
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_not_every_port() {
        let backwards = Port {
            port: 9,
            end_port: Some(1),
            protocol: None,
        };
        assert_eq!(PortSet::new(&[backwards]), PortSet::Only(BTreeMap::new()));
    }
}
