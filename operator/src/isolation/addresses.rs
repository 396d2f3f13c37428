//! Sets of addresses outside the cluster, both families.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::ports::listed;
use super::ranges::{Number, Ranges};

/// A set of addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Addresses {
    four: Ranges<u32>,
    six: Ranges<u128>,
}

impl Addresses {
    /// The addresses of any of these networks.
    pub(super) fn of<'a>(networks: impl IntoIterator<Item = &'a IpNet>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(net) => four.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => six.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self {
            four: Ranges::of(four),
            six: Ranges::of(six),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.four.is_empty() && self.six.is_empty()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.four.contains(address.into()),
            IpAddr::V6(address) => self.six.contains(address.into()),
        }
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self {
            four: self.four.union(&other.four),
            six: self.six.union(&other.six),
        }
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        Self {
            four: self.four.without(&other.four),
            six: self.six.without(&other.six),
        }
    }

    /// Cuts the whole space along the edges of all these sets: no set tells two addresses of one
    /// cell apart, so one address of each answers for all of it.
    pub(super) fn cells<'a>(sets: impl Iterator<Item = &'a Self> + Clone) -> Vec<(IpAddr, Self)> {
        let four = slices(sets.clone().flat_map(|set| set.four.iter()));
        let six = slices(sets.flat_map(|set| set.six.iter()));
        let four = four.into_iter().map(|(first, last)| {
            let cell = Self {
                four: Ranges::of([(first, last)]),
                ..Self::default()
            };
            (IpAddr::V4(first.into()), cell)
        });
        let six = six.into_iter().map(|(first, last)| {
            let cell = Self {
                six: Ranges::of([(first, last)]),
                ..Self::default()
            };
            (IpAddr::V6(first.into()), cell)
        });
        four.chain(six).collect()
    }
}

fn slices<T: Number>(ranges: impl Iterator<Item = (T, T)>) -> Vec<(T, T)> {
    let mut starts = BTreeSet::from([T::FIRST]);
    for (first, last) in ranges {
        starts.insert(first);
        starts.extend(last.next());
    }
    let ends = starts.iter().skip(1).filter_map(|start| start.previous());
    let ends: Vec<T> = ends.chain([T::LAST]).collect();
    starts.into_iter().zip(ends).collect()
}

/// Most networks named in a sentence; how many more there are is told.
const NAMED: usize = 8;

impl fmt::Display for Addresses {
    /// The fewest networks that cover exactly these addresses.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let four = self.four.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from(first), Ipv4Addr::from(last), 0)
        });
        let six = self.six.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from(first), Ipv6Addr::from(last), 0)
        });
        let four = four.map(|net| net.to_string());
        let six = six.map(|net| net.to_string());
        listed(out, four.chain(six).collect(), NAMED)
    }
}
