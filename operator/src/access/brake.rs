//! The mass-leaver brake: a sync that reports everybody gone must not end everybody's access at once. Pure.
//!
//! The first to leave within [`WINDOW`] lose their grants at once, as an agreement demands (DSA 2.4). Past [`MOST`] of them it is
//! more likely that the register is wrong than that so many left: the grants of the others stay for [`HOLD`] after it was
//! first seen, an alert fires, and then they end. Revoking a grant is never held.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// Within this long leavers are counted together.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// So many persons with live grants may leave within [`WINDOW`] before the brake trips.
pub const MOST: usize = 10;
/// How long the grants of those beyond stay.
pub const HOLD: SignedDuration = SignedDuration::from_mins(15);

/// Who was first seen to leave when.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    leaving: BTreeMap<String, Leaver>,
}

#[derive(Clone, Copy, Debug)]
struct Leaver {
    since: Timestamp,
    is_held: bool,
}

impl Brake {
    /// Until when the grants of a person who left stay; nothing where they end now.
    pub fn holds(&mut self, person: &str, now: Timestamp) -> Option<Timestamp> {
        self.forget_before(now);
        let at_once = self
            .leaving
            .values()
            .filter(|leaver| !leaver.is_held)
            .count();
        let leaver = *self.leaving.entry(person.to_owned()).or_insert(Leaver {
            since: now,
            is_held: at_once >= MOST,
        });
        let until = leaver.since.checked_add(HOLD).unwrap_or(now);
        (leaver.is_held && now < until).then_some(until)
    }

    /// Notes that a person is here after all.
    pub fn stays(&mut self, person: &str) {
        self.leaving.remove(person);
    }

    /// How many persons' grants are held now.
    pub fn held(&self, now: Timestamp) -> usize {
        let leavers = self.leaving.values();
        leavers
            .filter(|leaver| leaver.is_held && now.duration_since(leaver.since) < HOLD)
            .count()
    }

    fn forget_before(&mut self, now: Timestamp) {
        // Longer than it takes to end them, so that nobody is held twice.
        let longest = HOLD + WINDOW;
        self.leaving.retain(|_, leaver| {
            let age = now.duration_since(leaver.since);
            age < if leaver.is_held { longest } else { WINDOW }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        let start: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        start + SignedDuration::from_mins(minute)
    }

    fn leave(brake: &mut Brake, persons: std::ops::Range<usize>, minute: i64) -> usize {
        persons
            .filter(|person| brake.holds(&format!("p-{person}"), at(minute)).is_some())
            .count()
    }

    #[test]
    fn a_few_leave_at_once_and_the_rest_are_held_for_a_quarter_of_an_hour() {
        let mut brake = Brake::default();
        assert_eq!(leave(&mut brake, 0..10, 0), 0);
        assert_eq!(leave(&mut brake, 10..500, 1), 490);
        assert_eq!(brake.held(at(1)), 490);
        // Looking again changes nothing.
        assert_eq!(leave(&mut brake, 0..500, 9), 490);
        assert_eq!(brake.holds("p-20", at(15)), Some(at(16)));
        assert_eq!(leave(&mut brake, 10..500, 16), 0);
        assert_eq!(brake.held(at(16)), 0);
    }

    #[test]
    fn a_steady_trickle_trips_nothing() {
        let mut brake = Brake::default();
        for minute in 0..200 {
            let person = usize::try_from(minute).unwrap();
            assert_eq!(leave(&mut brake, person..person + 1, minute), 0);
        }
    }

    #[test]
    fn whoever_is_here_after_all_leaves_room_and_is_counted_anew() {
        let mut brake = Brake::default();
        assert_eq!(leave(&mut brake, 0..20, 0), 10);
        for person in 0..20 {
            brake.stays(&format!("p-{person}"));
        }
        assert_eq!(brake.held(at(1)), 0);
        assert_eq!(leave(&mut brake, 0..10, 1), 0);
    }
}
