//! What keeps a tenant's data from being destroyed: legal holds, those that stand and those that are remembered.
//!
//! Missing information never deletes: a hold that is not on record yet holds, so does one whose object is gone, and one that cannot
//! be read holds everybody's.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use tenure_crds::LegalHold;

use crate::record::{Held, Released, bytes_of};

/// Where a LegalHold stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'a> {
    /// It holds, and is not on record yet.
    Unrecorded,
    /// It holds.
    Holds(&'a Held),
    /// Its release was approved.
    Released(&'a Held, &'a Released),
}

/// Where a LegalHold stands, by what is remembered.
pub fn standing<'a>(hold: &LegalHold, remembered: &'a [Held]) -> Standing<'a> {
    let Some(held) = remembered.iter().find(|held| held.is(hold)) else {
        return Standing::Unrecorded;
    };
    match &held.released {
        Some(released) => Standing::Released(held, released),
        None => Standing::Holds(held),
    }
}

/// What is to be remembered: every hold there is and was, each as its review stands. Those that hold take about this many bytes; one
/// that finds no room holds for as long as its object stands. Those that were released take as many; of more the oldest are
/// forgotten, and hold again if they come back. At most `most` are new.
pub fn remembered_with(
    known: &[Held],
    live: &[LegalHold],
    now: Timestamp,
    room: usize,
    most: usize,
) -> Vec<Held> {
    let mut next = lasting(known, room);
    let holding: Vec<&Held> = next.iter().filter(|held| held.released.is_none()).collect();
    let mut taken = bytes_of(&holding);
    let full = next.len() + most;
    for hold in live {
        let held = next.iter_mut().find(|held| held.is(hold));
        match held {
            Some(held) if held.released.is_some() => {}
            Some(held) => held.spec.review_on.clone_from(&hold.spec.review_on),
            None => {
                let held = Held::of(hold, now);
                let bytes = bytes_of(&held) + 1;
                if taken + bytes <= room && next.len() < full {
                    taken += bytes;
                    next.push(held);
                }
            }
        }
    }
    next
}

/// All that hold, and the newest that were released.
fn lasting(known: &[Held], room: usize) -> Vec<Held> {
    let mut left = room;
    let newest_first = known.iter().rev().filter(|held| {
        let bytes = bytes_of(held) + 1;
        let fits = held.released.is_none() || bytes <= left;
        if held.released.is_some() {
            left = if fits { left - bytes } else { 0 };
        }
        fits
    });
    let mut lasting: Vec<Held> = newest_first.cloned().collect();
    lasting.reverse();
    lasting
}

/// A hold on a tenant.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Holding {
    /// The LegalHold's name.
    pub name: String,
    /// Number of its case; nothing where it cannot be read.
    pub reference: Option<String>,
    /// Whether its object is gone.
    pub is_gone: bool,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegalHold {}", self.name)?;
        match &self.reference {
            Some(reference) => write!(f, " ({reference})")?,
            None => write!(f, " (cannot be read, and may hold anything)")?,
        }
        if self.is_gone {
            write!(
                f,
                ", whose object is gone and which the record keeps: apply it again as it was, and have its release approved"
            )?;
        }
        Ok(())
    }
}

/// The holds there are.
#[derive(Clone, Copy, Debug)]
pub struct Holds<'a> {
    /// LegalHolds as they stand.
    pub live: &'a [LegalHold],
    /// Names of those that cannot be read.
    pub unreadable: &'a [String],
    /// What is remembered.
    pub remembered: &'a [Held],
}

impl Holds<'_> {
    /// What holds data of this tenant, sorted. Name and tenantID need not both fit: whoever mistook one of them meant somebody.
    pub fn on(&self, tenant: &str, tenant_id: &str) -> Vec<Holding> {
        let is_meant =
            |name: &str, id: &str| (!name.is_empty() && name == tenant) || id == tenant_id;
        let standing_now = self.live.iter().filter(|hold| {
            is_meant(&hold.spec.tenant_ref.name, &hold.spec.tenant_id)
                && !matches!(standing(hold, self.remembered), Standing::Released(..))
        });
        let standing_now = standing_now.map(|hold| Holding {
            name: hold.metadata.name.clone().unwrap_or_default(),
            reference: Some(hold.spec.reference.clone()),
            is_gone: false,
        });
        let gone = self.remembered.iter().filter(|held| {
            held.released.is_none()
                && is_meant(&held.spec.tenant_ref.name, &held.spec.tenant_id)
                && !self.live.iter().any(|hold| held.is(hold))
        });
        let gone = gone.map(|held| Holding {
            name: held.name.clone(),
            reference: Some(held.spec.reference.clone()),
            is_gone: !self.unreadable.contains(&held.name),
        });
        // Another hold of that name that was released says nothing of this one.
        let is_known = |name: &String| {
            let mut remembered = self.remembered.iter();
            remembered.any(|held| held.name == *name && held.released.is_none())
        };
        let unreadable = self.unreadable.iter().filter(|name| !is_known(name));
        let unreadable = unreadable.map(|name| Holding {
            name: name.clone(),
            reference: None,
            is_gone: false,
        });
        let mut all: Vec<Holding> = standing_now.chain(gone).chain(unreadable).collect();
        all.sort();
        all
    }
}

/// Whether somebody should look if it is still needed; nothing where nobody set a date.
pub fn review_is_due(hold: &LegalHold, today: Date) -> Option<bool> {
    let on: Date = hold.spec.review_on.as_ref()?.parse().ok()?;
    Some(on <= today)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ACME: &str = "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11";
    const OTHER: &str = "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b22";

    fn hold(name: &str, change: Value) -> LegalHold {
        let mut spec = json!({
            "tenantRef": {"name": "acme"}, "tenantID": ACME, "reference": "Case 17", "authority": "Court",
            "scope": {"extent": "WholeTenant"}, "reason": "a dispute", "placedBy": "Legal", "placedOn": "2026-03-01"
        });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold", "metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn held(hold: &LegalHold) -> Held {
        Held::of(hold, "2026-03-02T00:00:00Z".parse().unwrap())
    }

    fn released(hold: &LegalHold) -> Held {
        let released = Released {
            approvals: Vec::new(),
            at: "2026-04-01T00:00:00Z".into(),
        };
        Held {
            released: Some(released),
            ..held(hold)
        }
    }

    fn names(live: &[LegalHold], unreadable: &[&str], remembered: &[Held]) -> Vec<String> {
        let unreadable: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        let holds = Holds {
            live,
            unreadable: &unreadable,
            remembered,
        };
        let found = holds.on("acme", ACME).into_iter();
        found
            .map(|holding| match (holding.is_gone, holding.reference) {
                (true, _) => format!("{} gone", holding.name),
                (false, None) => format!("{} unreadable", holding.name),
                (false, Some(_)) => holding.name,
            })
            .collect()
    }

    #[test]
    fn a_hold_holds_until_its_release_is_on_record_whatever_became_of_its_object() {
        let one = hold("one", json!({}));
        let live = std::slice::from_ref(&one);
        assert_eq!(names(live, &[], &[]), ["one"]);
        assert_eq!(names(live, &[], &[held(&one)]), ["one"]);
        assert_eq!(names(&[], &[], &[held(&one)]), ["one gone"]);
        assert!(names(live, &[], &[released(&one)]).is_empty());
        assert!(names(&[], &[], &[released(&one)]).is_empty());
    }

    #[test]
    fn a_released_hold_that_comes_back_stays_released_and_another_of_its_name_holds() {
        let one = hold("one", json!({}));
        let remembered = [released(&one)];
        let mut restored = hold(
            "one",
            json!({"reason": "other words", "reviewOn": "2026-09-01"}),
        );
        restored.metadata.uid = Some("another".into());
        assert!(matches!(
            standing(&restored, &remembered),
            Standing::Released(..)
        ));
        for change in [
            json!({"placedOn": "2026-05-01"}),
            json!({"reference": "Case 18"}),
            json!({"scope": {"extent": "Named", "stores": ["archive"]}}),
            json!({"scope": {"extent": "Named", "stores": ["archive", "backup"]}}),
            json!({"tenantID": OTHER}),
            json!({"tenantRef": {"name": "other"}}),
        ] {
            let again = hold("one", change);
            assert_eq!(standing(&again, &remembered), Standing::Unrecorded);
            assert_eq!(names(&[again], &[], &remembered), ["one"]);
        }
        let elsewhere = hold("two", json!({}));
        assert_eq!(standing(&elsewhere, &remembered), Standing::Unrecorded);
    }

    #[test]
    fn the_order_of_what_is_named_makes_no_other_hold() {
        let named = |stores: [&str; 2], namespaces: [&str; 2]| {
            hold(
                "one",
                json!({"scope": {"extent": "Named", "stores": stores, "namespaces": namespaces}}),
            )
        };
        let placed = named(["backup", "archive"], ["acme-test", "acme-prod"]);
        let again = named(["archive", "backup"], ["acme-prod", "acme-test"]);
        assert!(held(&placed).is(&again));
    }

    #[test]
    fn whoever_names_the_tenant_by_name_or_id_means_it_and_nobody_else() {
        let by_name = hold("by-name", json!({"tenantID": OTHER}));
        let by_id = hold("by-id", json!({"tenantRef": {"name": "acne"}}));
        let neither = hold(
            "neither",
            json!({"tenantRef": {"name": "other"}, "tenantID": OTHER}),
        );
        let remembered = [held(&by_name), held(&neither)];
        let live = [by_name, by_id, neither];
        assert_eq!(names(&live, &[], &[]), ["by-id", "by-name"]);
        assert_eq!(names(&[], &[], &remembered), ["by-name gone"]);
    }

    #[test]
    fn what_cannot_be_read_holds_everybodys_data_unless_the_record_knows_whose() {
        let known = hold(
            "known",
            json!({"tenantRef": {"name": "other"}, "tenantID": OTHER}),
        );
        let ours = hold("ours", json!({}));
        let remembered = [held(&known), held(&ours)];
        assert_eq!(
            names(&[], &["known", "ours", "strange"], &remembered),
            ["ours", "strange unreadable"]
        );
        let remembered = [released(&known)];
        assert_eq!(names(&[], &["known"], &remembered), ["known unreadable"]);
    }

    #[test]
    fn holds_are_remembered_once_with_their_review_and_none_makes_room_for_another() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let one = |number: usize| hold(&format!("number-{number}"), json!({}));
        let known = remembered_with(&[], &[one(0), one(1)], now, 10_000, 100);
        assert_eq!(known, [held(&one(0)), held(&one(1))]);
        let later = hold("number-0", json!({"reviewOn": "2026-09-01"}));
        let gone = released(&one(1));
        let next = remembered_with(
            &[known[0].clone(), gone.clone()],
            &[later, hold("number-1", json!({"reviewOn": "2026-09-01"}))],
            now,
            10_000,
            100,
        );
        assert_eq!(next[0].spec.review_on.as_deref(), Some("2026-09-01"));
        assert_eq!(next[1..], [gone]);
        let live: Vec<LegalHold> = (0..1_000).map(one).collect();
        let room = bytes_of(&known) + bytes_of(&held(&one(2))) + 1;
        let next = remembered_with(&known, &live, now, room, 100);
        assert_eq!(next.len(), 3);
        assert_eq!(remembered_with(&next, &live, now, 0, 100), next);
        let few = remembered_with(&known, &live, now, 1_000_000, 100);
        assert_eq!(few.len(), 102, "a few at a time");
        assert_eq!(names(&live[2..4], &[], &next[..2]).len(), 4);
    }

    #[test]
    fn released_holds_take_no_room_from_others_and_the_oldest_are_forgotten() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let one = |number: usize| hold(&format!("number-{}", 100 + number), json!({}));
        let known: Vec<Held> = (0..10).map(|number| released(&one(number))).collect();
        let room = 3 * (bytes_of(&known[0]) + 1);
        let next = remembered_with(&known, &[one(10)], now, room, 100);
        assert_eq!(next[..3], known[7..]);
        assert_eq!(next[3..], [held(&one(10))]);
    }

    #[test]
    fn a_review_is_due_from_its_day_on() {
        let on = |day: &str| {
            let reviewed = hold("one", json!({"reviewOn": "2026-09-01"}));
            review_is_due(&reviewed, day.parse().unwrap())
        };
        assert_eq!(on("2026-08-31"), Some(false));
        assert_eq!(on("2026-09-01"), Some(true));
        let never = hold("one", json!({}));
        assert_eq!(review_is_due(&never, "2026-09-01".parse().unwrap()), None);
    }
}
