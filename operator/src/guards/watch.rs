//! Whether the guards that say who wrote something held all the time: between two looks one can be taken away and put back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::approval::Gap;
use crate::approval::gaps::merged;

/// Guards whose stamps decisions rest on. That of reviews has its list thrown away instead.
pub const STAMPING: [&str; 2] = ["approvals", "accessgrants"];

/// What a look at a guard showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// It is as released, and was seen to deny.
    Holds,
    /// It is not.
    Open,
    /// The API server could not be asked.
    Unknown,
}

/// Which objects a guard was made of, by kind and name: each one's uid and generation, which nobody can set back.
pub type Made = BTreeMap<Place, (String, i64)>;
/// Kind and name.
pub type Place = (String, String);

/// What is known of those guards since the start.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When each was last seen to hold, and what it was made of then.
    held: BTreeMap<String, (Timestamp, Made)>,
    /// Those that were seen not to, since.
    open: BTreeSet<String>,
    /// Gaps that are over and not on record yet.
    over: BTreeMap<String, Vec<Gap>>,
}

impl Watch {
    /// Takes in a look that began at `from` and ended at `until`. `before` is when any process last saw it hold: what a guard was
    /// that is found open at the start, nobody knows since then. Answers whether it was made anew since the last look, and held at
    /// both.
    pub fn look(
        &self,
        guard: &str,
        look: Look,
        made: Made,
        (from, until): (Timestamp, Timestamp),
        before: Timestamp,
    ) -> bool {
        let mut known = self.lock();
        match look {
            Look::Unknown => false,
            Look::Open => {
                let since = || (before, Made::new());
                known.held.entry(guard.to_owned()).or_insert_with(since);
                known.open.insert(guard.to_owned());
                false
            }
            Look::Holds => {
                let was_open = known.open.remove(guard);
                let last = known.held.insert(guard.to_owned(), (from, made.clone()));
                let Some((at, _)) = last.filter(|(_, was)| was_open || *was != made) else {
                    return false;
                };
                let gap = Gap { from: at, until };
                known.over.entry(guard.to_owned()).or_default().push(gap);
                !was_open
            }
        }
    }

    /// Whether a guard was last seen to hold, and is made of the same still.
    pub fn holds_as(&self, guard: &str, live: &Made) -> bool {
        let known = self.lock();
        let held = known.held.get(guard).map(|(_, made)| made);
        let held = held.filter(|made| !made.is_empty() && !known.open.contains(guard));
        held.is_some_and(|made| made.iter().all(|(place, is)| live.get(place) == Some(is)))
    }

    /// Gaps of a guard that are over and not on record yet.
    pub fn unrecorded(&self, guard: &str) -> Vec<Gap> {
        self.lock().over.get(guard).cloned().unwrap_or_default()
    }

    /// Those that are on record and those that are not yet, together; nothing where none is missing there.
    pub fn to_record(
        &self,
        recorded: &BTreeMap<String, Vec<Gap>>,
    ) -> Option<BTreeMap<String, Vec<Gap>>> {
        let known = self.lock();
        let mut all = recorded.clone();
        for (guard, over) in &known.over {
            let gaps = all.entry(guard.clone()).or_default();
            *gaps = merged(gaps, over);
        }
        (all != *recorded).then_some(all)
    }

    /// Forgets what is on record.
    pub fn recorded(&self) {
        self.lock().over.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an object is known by.
pub fn identity(object: &Value) -> (String, i64) {
    let metadata = &object["metadata"];
    let uid = metadata["uid"].as_str().unwrap_or_default();
    (
        uid.to_owned(),
        metadata["generation"].as_i64().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + seconds).unwrap()
    }

    fn made(uid: &str) -> Made {
        let place = (
            "ValidatingAdmissionPolicy".to_owned(),
            "tenure-approvals".to_owned(),
        );
        Made::from([(place, (uid.to_owned(), 1))])
    }

    #[test]
    fn it_holds_while_it_is_what_was_seen_to() {
        let watch = Watch::default();
        assert!(!watch.holds_as("approvals", &made("a")), "never looked at");
        let looked = (at(0), at(1));
        watch.look("approvals", Look::Holds, made("a"), looked, at(-60));
        assert!(watch.holds_as("approvals", &made("a")));
        assert!(!watch.holds_as("approvals", &made("b")));
        assert!(!watch.holds_as("approvals", &Made::new()));
        watch.look("approvals", Look::Open, made("a"), looked, at(-60));
        assert!(!watch.holds_as("approvals", &made("a")));
    }

    fn seen(looks: &[(Look, &str, i64)]) -> Vec<Gap> {
        let watch = Watch::default();
        for (look, uid, from) in looks {
            let made = made(uid);
            watch.look("approvals", *look, made, (at(*from), at(from + 1)), at(-60));
        }
        watch.unrecorded("approvals")
    }

    #[test]
    fn a_guard_that_held_all_the_time_has_no_gap() {
        use Look::{Holds, Unknown};
        let looks = [
            (Holds, "a", 0),
            (Holds, "a", 60),
            (Unknown, "", 120),
            (Holds, "a", 180),
        ];
        assert_eq!(seen(&looks), []);
    }

    #[test]
    fn a_gap_reaches_from_the_last_look_that_showed_it_to_the_next() {
        use Look::{Holds, Open, Unknown};
        let looks = [
            (Holds, "a", 0),
            (Open, "", 60),
            (Unknown, "", 120),
            (Open, "", 180),
            (Holds, "b", 240),
            (Holds, "b", 300),
        ];
        assert_eq!(
            seen(&looks),
            [Gap {
                from: at(0),
                until: at(241)
            }]
        );
        // Open from the start: since any process last saw it.
        assert_eq!(
            seen(&[(Open, "", 0), (Holds, "a", 60)]),
            [Gap {
                from: at(-60),
                until: at(61)
            }]
        );
    }

    #[test]
    fn one_that_was_taken_away_and_put_back_between_two_looks_had_a_gap() {
        use Look::Holds;
        assert_eq!(
            seen(&[(Holds, "a", 0), (Holds, "b", 60)]),
            [Gap {
                from: at(0),
                until: at(61)
            }]
        );
    }

    #[test]
    fn what_is_on_record_is_not_recorded_again() {
        let watch = Watch::default();
        watch.look(
            "approvals",
            Look::Open,
            Made::new(),
            (at(0), at(1)),
            at(-60),
        );
        watch.look(
            "approvals",
            Look::Holds,
            made("a"),
            (at(60), at(61)),
            at(-60),
        );
        let all = watch.to_record(&BTreeMap::new()).unwrap();
        assert_eq!(watch.to_record(&all), None);
        watch.recorded();
        assert_eq!(watch.to_record(&BTreeMap::new()), None);
    }
}
