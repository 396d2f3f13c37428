//! Sets of ports: per transport protocol, sorted ranges that neither overlap nor touch.

use std::fmt;

/// A transport protocol policies speak of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Reads the API's word; absent means TCP.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word.unwrap_or("TCP") {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }
}

/// A set of ports.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortSet([Vec<(u16, u16)>; 3]);

impl PortSet {
    /// No port.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(std::array::from_fn(|_| vec![(0, u16::MAX)]))
    }

    /// Every port of one protocol.
    pub fn all_of(transport: Transport) -> Self {
        Self::range(transport, 0, u16::MAX)
    }

    /// The ports `first..=last` of one protocol; none where the range is upside down.
    pub fn range(transport: Transport, first: u16, last: u16) -> Self {
        let mut set = Self::none();
        if first <= last {
            set.0[transport as usize].push((first, last));
        }
        set
    }

    /// Whether the set holds no port.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// Whether the set holds a port.
    pub fn contains(&self, transport: Transport, port: u16) -> bool {
        self.0[transport as usize]
            .iter()
            .any(|&(first, last)| (first..=last).contains(&port))
    }

    /// Ports in either.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |left, right| {
            let mut ranges: Vec<(u16, u16)> = left.iter().chain(right).copied().collect();
            ranges.sort_unstable();
            merge(&ranges)
        })
    }

    /// Ports in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |left, right| {
            let overlaps = left
                .iter()
                .flat_map(|&(a, b)| right.iter().map(move |&(c, d)| (a.max(c), b.min(d))));
            let mut ranges: Vec<(u16, u16)> =
                overlaps.filter(|(first, last)| first <= last).collect();
            ranges.sort_unstable();
            merge(&ranges)
        })
    }

    /// Ports in the first and not in the second.
    pub fn without(&self, other: &Self) -> Self {
        self.combine(other, |left, right| {
            let mut rest = left.to_vec();
            for &(from, to) in right {
                rest = rest
                    .into_iter()
                    .flat_map(|range| cut(range, from, to))
                    .collect();
            }
            rest
        })
    }

    fn combine(
        &self,
        other: &Self,
        with: impl Fn(&[(u16, u16)], &[(u16, u16)]) -> Vec<(u16, u16)>,
    ) -> Self {
        Self(std::array::from_fn(|index| {
            with(&self.0[index], &other.0[index])
        }))
    }
}

fn merge(sorted: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
    for &(first, last) in sorted {
        match merged.last_mut() {
            Some(known) if u32::from(first) <= u32::from(known.1) + 1 => {
                known.1 = known.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn cut((first, last): (u16, u16), from: u16, to: u16) -> Vec<(u16, u16)> {
    if last < from || first > to {
        return vec![(first, last)];
    }
    let before = (first < from).then(|| (first, from - 1));
    let after = (last > to).then(|| (to + 1, last));
    before.into_iter().chain(after).collect()
}

impl fmt::Display for PortSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return out.write_str("every port");
        }
        let mut words = Vec::new();
        for (transport, name) in Transport::ALL.into_iter().zip(["TCP", "UDP", "SCTP"]) {
            for &(first, last) in &self.0[transport as usize] {
                words.push(match (first, last) {
                    (0, u16::MAX) => format!("every {name} port"),
                    (first, last) if first == last => format!("{name} {first}"),
                    (first, last) => format!("{name} {first}-{last}"),
                });
            }
        }
        out.write_str(&words.join(", "))
    }
}
