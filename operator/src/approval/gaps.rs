//! When the stamps of who asked and who approved could have been forged: what was written then is nobody's word (DSA 2.4). Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Clocks of two machines are no further apart: at both of its ends a gap is taken to be this much longer.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);
/// Most gaps of one guard that are kept apart; of more, the oldest become one.
const MOST: usize = 64;

/// A time in which a guard was not seen to hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// When it last was.
    pub from: Timestamp,
    /// When it was again.
    pub until: Timestamp,
}

impl Gap {
    fn covers(&self, at: Timestamp) -> bool {
        // Creation times are cut to the second.
        let after = at.saturating_add(SignedDuration::from_secs(1) + MARGIN);
        let before = at.saturating_sub(MARGIN);
        after.is_ok_and(|after| self.from <= after)
            && before.is_ok_and(|before| before <= self.until)
    }
}

/// The gaps of a guard.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gaps {
    /// Whether it is not seen to hold just now.
    pub is_open: bool,
    /// Those that are over.
    pub past: Vec<Gap>,
}

impl Gaps {
    /// Whether what was written then may be forged.
    pub fn cover(&self, at: Timestamp) -> bool {
        self.is_open || self.past.iter().any(|gap| gap.covers(at))
    }
}

/// Adds gaps that are over to those that are known.
pub fn merged(known: &[Gap], more: &[Gap]) -> Vec<Gap> {
    let mut all: Vec<Gap> = known.iter().chain(more).copied().collect();
    all.sort_by_key(|gap| (gap.from, gap.until));
    all.dedup();
    let Some(excess) = all.len().checked_sub(MOST).filter(|excess| *excess > 0) else {
        return all;
    };
    let old: Vec<Gap> = all.drain(..=excess).collect();
    let until = old.iter().map(|gap| gap.until).max();
    let spanning = old.first().zip(until).map(|(first, until)| Gap {
        from: first.from,
        until,
    });
    spanning.into_iter().chain(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + seconds).unwrap()
    }

    fn gap(from: i64, until: i64) -> Gap {
        Gap {
            from: at(from),
            until: at(until),
        }
    }

    #[test]
    fn what_was_written_in_a_gap_is_nobodys_word() {
        let gaps = Gaps {
            is_open: false,
            past: vec![gap(100, 160), gap(900, 960)],
        };
        for inside in [94, 100, 130, 160, 165, 930] {
            assert!(gaps.cover(at(inside)), "{inside}");
        }
        for outside in [0, 93, 166, 500, 1_000] {
            assert!(!gaps.cover(at(outside)), "{outside}");
        }
        assert!(gaps.cover(at(94)) && gaps.cover(Timestamp::MIN) == Gaps::default().cover(at(0)));
        let open = Gaps {
            is_open: true,
            ..Gaps::default()
        };
        assert!(open.cover(at(0)));
    }

    #[test]
    fn however_many_there_are_none_is_forgotten() {
        let many: Vec<Gap> = (0..500)
            .map(|number| gap(number * 100, number * 100 + 50))
            .collect();
        let mut known = Vec::new();
        for one in &many {
            known = merged(&known, &[*one]);
        }
        assert_eq!(known.len(), MOST);
        let gaps = Gaps {
            is_open: false,
            past: known.clone(),
        };
        for one in &many {
            assert!(gaps.cover(one.from), "{one:?}");
        }
        assert!(!gaps.cover(at(49_980)), "the newest are kept apart");
        assert_eq!(merged(&known, &known[3..5]), known);
    }
}
