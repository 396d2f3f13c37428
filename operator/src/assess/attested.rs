//! Whether an attestation counts today. Pure.

use jiff::civil::Date;

use crate::record::{Attested, bytes_of};

/// Whether an attestation counts, and why not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Validity {
    /// It counts.
    Counts,
    /// The catalogue has no such control.
    ControlUnknown,
    /// No tenant has this name and tenantID.
    TenantUnknown,
    /// A newer one speaks of the same control and subject.
    Replaced(String),
    /// Its day of issue has not come.
    NotYet,
    /// Its last day is over.
    Expired,
}

impl Validity {
    /// The condition `Valid`: status, reason and what to do.
    pub fn condition(&self, attested: &Attested) -> (&'static str, &'static str, String) {
        let Attested {
            control,
            issued_on,
            valid_until,
            ..
        } = attested;
        match self {
            Self::Counts => ("True", "Counts", format!("it counts until {valid_until}")),
            Self::ControlUnknown => (
                "False",
                "ControlUnknown",
                format!("the catalogue has no control {control}: see the page on controls"),
            ),
            Self::TenantUnknown => (
                "False",
                "TenantUnknown",
                "no tenant has this name and tenantID: copy both from the CustomerTenant".into(),
            ),
            Self::Replaced(by) => (
                "False",
                "Replaced",
                format!("Attestation {by} is newer and speaks of the same control and subject"),
            ),
            Self::NotYet => ("False", "NotYet", format!("it counts from {issued_on}")),
            Self::Expired => (
                "False",
                "Expired",
                format!("its last day was {valid_until}: have it attested anew"),
            ),
        }
    }
}

/// What is known around an attestation.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Every attestation that is remembered.
    pub all: &'a [Attested],
    /// Today, UTC.
    pub today: Date,
    /// Whether the catalogue has its control.
    pub control_known: bool,
    /// Whether the tenant it names is one.
    pub tenant_known: bool,
}

/// Whether the attestation counts. A day that cannot be read never counts.
pub fn validity(attested: &Attested, around: &Around<'_>) -> Validity {
    if !around.control_known {
        return Validity::ControlUnknown;
    }
    if !around.tenant_known {
        return Validity::TenantUnknown;
    }
    let newer = newer(attested, around.all, around.today);
    if let Some(newest) = newer.max_by_key(|other| other.order()) {
        return Validity::Replaced(newest.name.clone());
    }
    if !has_come(attested, around.today) {
        return Validity::NotYet;
    }
    let lasts = attested.valid_until.parse::<Date>();
    match lasts.is_ok_and(|last| around.today <= last) {
        true => Validity::Counts,
        false => Validity::Expired,
    }
}

/// Those about the same that are newer and whose day has come.
fn newer<'a>(
    attested: &'a Attested,
    all: &'a [Attested],
    today: Date,
) -> impl Iterator<Item = &'a Attested> {
    let newer = all
        .iter()
        .filter(|other| other.is_about_the_same(attested) && other.order() > attested.order());
    newer.filter(move |other| has_come(other, today))
}

fn has_come(attested: &Attested, today: Date) -> bool {
    let day = attested.issued_on.parse::<Date>();
    day.is_ok_and(|day| day <= today)
}

/// What is to be remembered, in at most this many bytes: what is seen to stand, and what replaced others or will, which must not
/// count again. At most `most` are new.
pub fn remembered_with(
    known: &[Attested],
    seen: Vec<Attested>,
    today: Date,
    room: usize,
    most: usize,
) -> Vec<Attested> {
    let stands = |attested: &Attested| seen.iter().any(|it| it.is_same(attested));
    let kept = known
        .iter()
        .filter(|attested| stands(attested) || newer(attested, known, today).next().is_none());
    let mut next: Vec<Attested> = kept.cloned().collect();
    let mut taken = bytes_of(&next);
    let full = next.len() + most;
    for attested in seen {
        if known.iter().any(|it| it.is_same(&attested)) {
            continue;
        }
        let bytes = bytes_of(&attested) + 1;
        if taken + bytes <= room && next.len() < full {
            taken += bytes;
            next.push(attested);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn attested(name: &str, change: Value) -> Attested {
        let mut value = json!({
            "name": name, "digest": "sha256:1", "control": "dsa-2.5-physical-security",
            "subject": {"kind": "Location", "name": "West"},
            "issuedOn": "2026-01-15", "validUntil": "2027-01-14", "recordedAt": "2026-01-16T00:00:00Z"
        });
        for (key, new) in change.as_object().unwrap() {
            value[key] = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn judge(one: &Attested, all: &[Attested], today: &str) -> Validity {
        let around = Around {
            all,
            today: today.parse().unwrap(),
            control_known: true,
            tenant_known: true,
        };
        validity(one, &around)
    }

    #[test]
    fn it_counts_from_its_first_day_through_its_last() {
        let one = attested("one", json!({}));
        let on = |day: &str| judge(&one, std::slice::from_ref(&one), day);
        assert_eq!(on("2026-01-14"), Validity::NotYet);
        assert_eq!(on("2026-01-15"), Validity::Counts);
        assert_eq!(on("2027-01-14"), Validity::Counts);
        assert_eq!(on("2027-01-15"), Validity::Expired);
        for broken in [json!({"validUntil": "soon"}), json!({"issuedOn": "once"})] {
            let broken = attested("broken", broken);
            assert_ne!(judge(&broken, &[], "2026-06-01"), Validity::Counts);
        }
    }

    #[test]
    fn a_newer_one_replaces_it_from_its_own_first_day_on_and_for_good() {
        let old = attested("old", json!({}));
        let new = attested(
            "new",
            json!({"issuedOn": "2026-06-01", "validUntil": "2026-07-01"}),
        );
        let all = [new.clone(), old.clone()];
        assert_eq!(judge(&old, &all, "2026-05-31"), Validity::Counts);
        for day in ["2026-06-01", "2026-07-02"] {
            assert_eq!(
                judge(&old, &all, day),
                Validity::Replaced("new".into()),
                "{day}"
            );
        }
        assert_eq!(judge(&new, &all, "2026-07-02"), Validity::Expired);
    }

    #[test]
    fn of_two_of_the_same_day_the_one_recorded_later_counts_and_of_another_subject_neither_is_touched()
     {
        let first = attested("b", json!({}));
        // A fraction of a second later: instants are compared, not their text.
        let second = attested("a", json!({"recordedAt": "2026-01-16T00:00:00.5Z"}));
        let elsewhere = attested(
            "c",
            json!({"subject": {"kind": "Location", "name": "East"}, "issuedOn": "2026-03-01"}),
        );
        let other = attested(
            "d",
            json!({"control": "dsa-2.5-media-disposal", "issuedOn": "2026-03-01"}),
        );
        let all = [first.clone(), second.clone(), elsewhere, other];
        let today = "2026-04-01";
        assert_eq!(judge(&first, &all, today), Validity::Replaced("a".into()));
        assert_eq!(judge(&second, &all, today), Validity::Counts);
    }

    fn kept(known: &[Attested], seen: Vec<Attested>, room: usize) -> Vec<Attested> {
        remembered_with(known, seen, "2026-09-01".parse().unwrap(), room, 100)
    }

    #[test]
    fn one_that_is_to_come_does_not_let_what_it_does_not_replace_yet_be_forgotten() {
        let old = attested("old", json!({}));
        let new = attested("new", json!({"issuedOn": "2026-06-01"}));
        let later = attested("later", json!({"issuedOn": "2027-01-01"}));
        let known = [old.clone(), new.clone(), later.clone()];
        let next = kept(&known, vec![old.clone(), later], 10_000);
        assert_eq!(next, known);
        let replaced = Validity::Replaced("new".into());
        assert_eq!(judge(&old, &next, "2026-09-01"), replaced);
    }

    #[test]
    fn what_is_gone_is_remembered_while_it_is_the_newest() {
        let old = attested("old", json!({}));
        let new = attested("new", json!({"issuedOn": "2026-06-01"}));
        let known = [old.clone(), new];
        assert_eq!(kept(&known, Vec::new(), 10_000), known[1..]);
        assert_eq!(kept(&known, vec![old], 10_000), known);
        // Seen again later, it is still the one that was recorded then.
        let again = attested(
            "new",
            json!({"issuedOn": "2026-06-01", "recordedAt": "2026-09-01T00:00:00Z"}),
        );
        assert_eq!(kept(&known[1..], vec![again], 10_000), known[1..]);
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_nothing_that_was_remembered_makes_room() {
        let one = |number: usize| {
            let name = format!("number-{number}");
            attested(
                &name,
                json!({"subject": {"kind": "Location", "name": name}}),
            )
        };
        let known: Vec<Attested> = (0..10).map(one).collect();
        let room = bytes_of(&known) + bytes_of(&one(10)) + 1;
        let seen: Vec<Attested> = (5..2_000).map(one).collect();
        let next = kept(&known, seen.clone(), room);
        assert_eq!(next.len(), 11);
        assert!(bytes_of(&next) <= room && next.starts_with(&known));
        assert_eq!(kept(&next, seen.clone(), 0), next);
        assert_eq!(kept(&known, seen, 10_000_000).len(), 110, "a few at a time");
    }

    #[test]
    fn what_it_speaks_of_must_exist() {
        let one = attested("one", json!({}));
        let judge = |control_known, tenant_known| {
            let around = Around {
                all: &[],
                today: "2026-02-01".parse().unwrap(),
                control_known,
                tenant_known,
            };
            validity(&one, &around)
        };
        assert_eq!(judge(false, true), Validity::ControlUnknown);
        assert_eq!(judge(true, false), Validity::TenantUnknown);
        assert_eq!(judge(true, true), Validity::Counts);
    }
}
