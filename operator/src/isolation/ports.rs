//! Sets of ports, per transport protocol.

use std::fmt;

use super::ranges::Ranges;

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
pub struct PortSet([Ranges<u16>; 3]);

impl PortSet {
    /// No port.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(std::array::from_fn(|_| Ranges::all()))
    }

    /// Every port of one protocol.
    pub fn all_of(transport: Transport) -> Self {
        Self::range(transport, 0, u16::MAX)
    }

    /// The ports `first..=last` of one protocol; none where the range is upside down.
    pub fn range(transport: Transport, first: u16, last: u16) -> Self {
        let mut set = Self::none();
        set.0[transport as usize] = Ranges::of([(first, last)]);
        set
    }

    /// Whether the set holds no port.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Ranges::is_empty)
    }

    /// Whether the set holds every port of every protocol.
    pub fn is_all(&self) -> bool {
        self.0.iter().all(Ranges::is_all)
    }

    /// Whether the set holds a port.
    pub fn contains(&self, transport: Transport, port: u16) -> bool {
        self.0[transport as usize].contains(port)
    }

    /// Ports in either.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, Ranges::union)
    }

    /// Ports in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, Ranges::intersection)
    }

    /// Ports in the first and not in the second.
    pub fn without(&self, other: &Self) -> Self {
        self.combine(other, Ranges::without)
    }

    fn combine(
        &self,
        other: &Self,
        with: impl Fn(&Ranges<u16>, &Ranges<u16>) -> Ranges<u16>,
    ) -> Self {
        Self(std::array::from_fn(|index| {
            with(&self.0[index], &other.0[index])
        }))
    }
}

/// Most ranges named in a sentence; how many more there are is told.
const NAMED: usize = 12;

impl fmt::Display for PortSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return out.write_str("every port");
        }
        let mut words = Vec::new();
        for (transport, name) in Transport::ALL.into_iter().zip(["TCP", "UDP", "SCTP"]) {
            words.extend(self.0[transport as usize].iter().map(|range| match range {
                (0, u16::MAX) => format!("every {name} port"),
                (first, last) if first == last => format!("{name} {first}"),
                (first, last) => format!("{name} {first}-{last}"),
            }));
        }
        listed(out, words, NAMED)
    }
}

/// Writes a list, at most `most` of it.
pub(super) fn listed(
    out: &mut fmt::Formatter<'_>,
    mut words: Vec<String>,
    most: usize,
) -> fmt::Result {
    let more = words.len().saturating_sub(most);
    words.truncate(most);
    out.write_str(&words.join(", "))?;
    if more > 0 {
        write!(out, " and {more} more")?;
    }
    Ok(())
}
