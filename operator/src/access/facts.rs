//! Who was let in by grants, and whether what ended is over (DSA 2.0 to 2.4, 2.9, 2.10).
//!
//! What the operator itself is about to settle counts only once it has stood for longer than that takes: a grant whose person
//! left a moment ago is not drift yet, one that still lets them in a few seconds later is.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tenure_controls::facts::AccessFacts;
use tokio::time::Instant;

use super::proof::Verdict;
use super::{Access, binding, case, proving, sweep};
use crate::context::Context;
use crate::record::{Granted, TenantRecord};

/// Within this, what must end has lost its bindings and is answered with no.
const SOON: Duration = Duration::from_secs(10);
/// Within this an end is proven, where every API server can be asked.
const PROVEN: Duration = Duration::from_secs(60);
/// Within this it was looked for what carries access on, where everything can be listed.
const SWEPT: Duration = Duration::from_secs(180);
/// So long somebody has to remove or accept it.
const DECIDED: Duration = Duration::from_secs(24 * 60 * 60);

/// What was seen wrong with a tenant's grants, and since when; what was last said of them.
#[derive(Default)]
pub struct Told {
    since: Mutex<HashMap<String, HashMap<String, Instant>>>,
    last: Mutex<HashMap<String, AccessFacts>>,
}

impl Told {
    /// Of what is seen now, what was first seen [`SOON`] ago or earlier; and when the next of the others will have been.
    fn lasting(
        &self,
        tenant: &str,
        seen: &BTreeSet<String>,
        now: Instant,
    ) -> (BTreeSet<String>, Option<Instant>) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_empty() {
            since.remove(tenant);
            return (BTreeSet::new(), None);
        }
        let known = since.entry(tenant.to_owned()).or_default();
        known.retain(|what, _| seen.contains(what));
        let (mut lasting, mut next) = (BTreeSet::new(), None);
        for what in seen {
            let due = *known.entry(what.clone()).or_insert(now) + SOON;
            if due <= now {
                lasting.insert(what.clone());
            } else {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
            }
        }
        (lasting, next)
    }

    /// Notes what verdicts were made from.
    pub fn say(&self, tenant: &str, facts: &AccessFacts) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(tenant.to_owned(), facts.clone());
    }

    /// Whether verdicts were made from something else. Where none were made yet, they will be.
    fn is_news(&self, tenant: &str, facts: &AccessFacts) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(tenant).is_some_and(|last| last != facts)
    }

    fn forget(&self, tenant: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.remove(tenant);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(tenant);
    }
}

/// Wakes the tenant's evaluation where its verdicts rest on something else than what is seen of its grants now.
pub fn settled(context: &Context, tenant: &str, record: Option<&TenantRecord>, now: Timestamp) {
    let told = &context.access.told;
    match record {
        None => told.forget(tenant),
        Some(record) if told.is_news(tenant, &of(context, record, now)) => {
            context.queue.wake(tenant);
        }
        Some(_) => {}
    }
}

/// What stands in the caches and on record. Wakes the tenant when something that is seen now will count.
pub fn of(context: &Context, record: &TenantRecord, now: Timestamp) -> AccessFacts {
    let live = case::live(context, record);
    let mut facts = AccessFacts {
        has_register: context.access.persons().knows_staff(),
        faults: case::faults(context, record, &live, now),
        past_end: past_end(context, record, &live),
        unapproved: unapproved(&live),
        without_agreement: case::without_agreement(context, record, now),
        ..AccessFacts::default()
    };
    said_of_people(&live, &mut facts);
    let mut seen: BTreeSet<String> = facts.past_end.iter().cloned().collect();
    seen.extend(facts.faults.iter().map(|fault| fault.what.clone()));
    let begun = Instant::now();
    let (lasting, next) = context.access.told.lasting(&record.tenant, &seen, begun);
    facts.past_end.retain(|what| lasting.contains(what));
    facts.faults.retain(|fault| lasting.contains(&fault.what));
    let ends = ends(&context.access, record, &live, now);
    facts.remaining = ends.remaining;
    facts.unproven = ends.unproven;
    facts.sweeps_open = ends.sweeps_open;
    facts.unswept = ends.unswept;
    for again in next
        .into_iter()
        .chain(ends.again.map(|again| begun + again))
    {
        context.queue.wake_at(&record.tenant, again);
    }
    facts
}

/// Bindings of grants, by their names, in whose namespace no grant is live.
fn past_end(context: &Context, record: &TenantRecord, live: &[case::Live<'_>]) -> Vec<String> {
    let live = live.iter().filter(|one| !one.is_said_ended());
    let live: HashMap<&str, &Granted> = live.map(|one| (one.uid, one.granted)).collect();
    let is_live = |namespace: &String, uid: &str| {
        let granted = live.get(uid);
        granted.is_some_and(|granted| granted.namespaces.contains(namespace))
    };
    let mut found = Vec::new();
    for namespace in &record.namespaces {
        for name in context.caches.bindings.names_in(namespace) {
            if let Some(uid) = name.strip_prefix(binding::PREFIX)
                && !is_live(namespace, uid)
            {
                found.push(format!("RoleBinding/{namespace}/{name}"));
            }
        }
    }
    found
}

fn unapproved(live: &[case::Live<'_>]) -> Vec<String> {
    let waiting = live
        .iter()
        .filter(|one| one.granted.break_glass && one.granted.approved_by.is_empty());
    let mut names: Vec<String> = waiting.map(|one| described(one.granted)).collect();
    names.sort();
    names
}

/// Whom, as what, since when.
fn described(granted: &Granted) -> String {
    format!(
        "AccessGrant/{}: {} as {} since {}",
        granted.name, granted.person, granted.role, granted.activated_at
    )
}

fn said_of_people(live: &[case::Live<'_>], facts: &mut AccessFacts) {
    let (mut unconfirmed, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for one in live {
        if one.staff().is_none_or(|staff| staff.mfa.is_none()) {
            unconfirmed.insert(format!("StaffMember/{}", one.granted.person));
        }
        let reference = one
            .grant()
            .and_then(|grant| grant.spec.exception_reference.as_ref());
        if let Some(reference) = reference {
            shared.insert(format!("AccessGrant/{}: {reference}", one.granted.name));
        }
    }
    facts.second_factor_unconfirmed = unconfirmed.into_iter().collect();
    facts.shared_by_exception = shared.into_iter().collect();
}

/// What is left of grants that have ended.
#[derive(Default)]
struct Ends {
    remaining: Vec<String>,
    unproven: Vec<String>,
    sweeps_open: Vec<String>,
    unswept: Vec<String>,
    /// After how long one that is fresh will count.
    again: Option<Duration>,
}

fn ends(access: &Access, record: &TenantRecord, live: &[case::Live<'_>], now: Timestamp) -> Ends {
    let mut ends = Ends::default();
    for one in live.iter().filter(|one| one.is_said_ended()) {
        ends.unproven.push(format!(
            "AccessGrant/{}: its end is not on record yet",
            one.granted.name
        ));
    }
    for (uid, granted) in &record.grants {
        if proving::is_open(granted) {
            ends.add(granted, &access.progress(uid), now);
        }
        if sweep::is_open(granted) {
            ends.add_sweep(granted, access.looks.why(&record.tenant), now);
        }
    }
    ends.remaining.sort();
    ends.unproven.sort();
    ends.sweeps_open.sort();
    ends.unswept.sort();
    ends
}

impl Ends {
    fn add(&mut self, granted: &Granted, progress: &proving::Progress, now: Timestamp) {
        if progress.is_covered {
            // What other live grants give, somebody else approved; it is asked about when they end.
            return;
        }
        let name = &granted.name;
        let verdict = progress.proof.verdict.as_ref();
        let is_left = matches!(verdict, Some(Verdict::StillAllowed { .. }));
        if self.is_fresh(ended(granted), if is_left { SOON } else { PROVEN }, now) {
            return;
        }
        match verdict {
            Some(Verdict::StillAllowed { .. }) => {
                let left = progress.remaining.iter();
                self.remaining
                    .extend(left.map(|what| format!("AccessGrant/{name}: {what}")));
            }
            Some(Verdict::Unproven {
                reached, counted, ..
            }) => self.unproven.push(format!(
                "AccessGrant/{name}: {reached} of {counted} API servers answered"
            )),
            Some(Verdict::Proven { .. }) | None => self
                .unproven
                .push(format!("AccessGrant/{name}: no API server was asked yet")),
        }
    }

    fn add_sweep(&mut self, granted: &Granted, why: Option<String>, now: Timestamp) {
        let name = &granted.name;
        match &granted.sweep {
            None if !self.is_fresh(ended(granted), SWEPT, now) => {
                let why = why.unwrap_or_else(|| "it was not looked yet".into());
                self.unswept.push(format!("AccessGrant/{name}: {why}"));
            }
            Some(swept) if !self.is_fresh(swept.looked_at(), DECIDED, now) => {
                let objects = swept.objects();
                self.sweeps_open.push(format!(
                    "AccessGrant/{name}: {objects} objects since {}",
                    swept.at
                ));
            }
            _ => {}
        }
    }

    /// Whether it has been so for less than `age`; then it is looked again once it has.
    fn is_fresh(&mut self, since: Option<Timestamp>, age: Duration, now: Timestamp) -> bool {
        let fresh = fresh(since, age, now);
        self.again = self.again.into_iter().chain(fresh).min();
        fresh.is_some()
    }
}

fn ended(granted: &Granted) -> Option<Timestamp> {
    granted.ended.as_ref()?.at.parse().ok()
}

/// How long something is still younger than `age`; nothing where it is not, or cannot be read.
fn fresh(since: Option<Timestamp>, age: Duration, now: Timestamp) -> Option<Duration> {
    let age = SignedDuration::try_from(age).ok()?;
    let since = now.duration_since(since?);
    // An end in the future is a clock that stepped: nothing to wait for.
    if since >= age || since < SignedDuration::ZERO {
        return None;
    }
    Duration::try_from(age - since).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::proof::Proof;
    use crate::access::proving::Progress;
    use crate::record::{End, How, Swept};

    const END: &str = "2026-03-02T12:00:00Z";

    fn seen(what: &[&str]) -> BTreeSet<String> {
        what.iter().map(|what| (*what).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_within_seconds_does_not_count_and_what_stays_does() {
        let told = Told::default();
        let begun = Instant::now();
        let both = seen(&["left", "untrained"]);
        let (lasting, next) = told.lasting("acme", &both, begun);
        assert_eq!((lasting, next), (seen(&[]), Some(begun + SOON)));
        // One went, one came.
        let later = begun + SOON / 2;
        let (lasting, next) = told.lasting("acme", &seen(&["left", "unsigned"]), later);
        assert_eq!((lasting, next), (seen(&[]), Some(begun + SOON)));
        // What comes again begins again; what stayed counts.
        let (lasting, next) = told.lasting(
            "acme",
            &seen(&["left", "unsigned", "untrained"]),
            begun + SOON,
        );
        assert_eq!((lasting, next), (seen(&["left"]), Some(later + SOON)));
        // Another tenant's are its own.
        let (lasting, _) = told.lasting("globex", &seen(&["left"]), begun + SOON);
        assert_eq!(lasting, seen(&[]));
    }

    #[test]
    fn verdicts_are_made_again_when_what_they_rest_on_differs_and_not_before_the_first() {
        let told = Told::default();
        let nobody = AccessFacts::default();
        let known = AccessFacts {
            has_register: true,
            ..AccessFacts::default()
        };
        assert!(!told.is_news("acme", &known), "they will be made anyway");
        told.say("acme", &nobody);
        assert!(told.is_news("acme", &known));
        told.say("acme", &known);
        assert!(!told.is_news("acme", &known));
        told.forget("acme");
        assert!(!told.is_news("acme", &nobody));
    }

    fn ended(at: &str) -> Granted {
        let granted = serde_json::json!({
            "name": "chg-1", "person": "worker", "identity": "worker-one", "role": "operator",
            "namespaces": ["acme-prod"], "ticket": "CHG-1", "digest": "sha256:0",
            "activatedAt": "2026-03-02T10:00:00Z", "notAfter": END
        });
        let mut granted: Granted = serde_json::from_value(granted).unwrap();
        granted.ended = Some(End {
            at: at.into(),
            why: "WindowOver".into(),
        });
        granted
    }

    fn after(seconds: i64, verdict: Option<Verdict>, end: &str) -> Ends {
        let progress = Progress {
            proof: Proof {
                verdict,
                ..Proof::default()
            },
            remaining: vec!["ClusterRoleBinding/ops: get pods".into()],
            ..Progress::default()
        };
        let now = END.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
        let mut ends = Ends::default();
        ends.add(&ended(end), &progress, now);
        ends
    }

    #[test]
    fn end_that_is_not_proven_counts_after_a_minute_and_one_that_did_not_happen_after_seconds() {
        let unproven = || {
            Some(Verdict::Unproven {
                reached: 1,
                counted: 2,
                why: Vec::new(),
            })
        };
        let fresh = after(59, unproven(), END);
        assert_eq!(fresh.again, Some(Duration::from_secs(1)));
        assert!(fresh.unproven.is_empty() && fresh.remaining.is_empty());
        let covered = Progress {
            is_covered: true,
            ..Progress::default()
        };
        let mut ends = Ends::default();
        ends.add(
            &ended(END),
            &covered,
            END.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(1),
        );
        assert!(ends.unproven.is_empty() && ends.again.is_none());
        let old = after(60, unproven(), END);
        assert_eq!(
            old.unproven,
            ["AccessGrant/chg-1: 1 of 2 API servers answered"]
        );
        assert_eq!(old.again, None);
        let asked = after(60, None, END);
        assert_eq!(
            asked.unproven,
            ["AccessGrant/chg-1: no API server was asked yet"]
        );

        let allowed = || {
            Some(Verdict::StillAllowed {
                reached: 2,
                counted: 2,
                allowed: Vec::new(),
            })
        };
        assert_eq!(after(9, allowed(), END).again, Some(Duration::from_secs(1)));
        let left = after(10, allowed(), END);
        assert_eq!(
            left.remaining,
            ["AccessGrant/chg-1: ClusterRoleBinding/ops: get pods"]
        );
        assert!(left.unproven.is_empty());
    }

    #[test]
    fn what_is_open_counts_after_a_day_and_what_was_not_looked_for_after_minutes() {
        let after = |seconds: i64, sweep: Option<Swept>| {
            let now = END.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
            let mut ends = Ends::default();
            let granted = Granted {
                sweep,
                ..ended(END)
            };
            ends.add_sweep(&granted, Some("pods: Forbidden".into()), now);
            ends
        };
        let fresh = after(179, None);
        assert_eq!(fresh.again, Some(Duration::from_secs(1)));
        assert!(fresh.unswept.is_empty());
        let old = after(180, None);
        assert_eq!(old.unswept, ["AccessGrant/chg-1: pods: Forbidden"]);
        assert_eq!(old.again, None);

        let open = || {
            let at_once = Swept::at_once(END.parse().unwrap(), How::NothingFound);
            Some(Swept {
                settled: None,
                more: 2,
                ..at_once
            })
        };
        let day = 24 * 60 * 60;
        let fresh = after(day - 1, open());
        assert_eq!(fresh.again, Some(Duration::from_secs(1)));
        assert!(fresh.sweeps_open.is_empty());
        let old = after(day, open());
        let expect = format!("AccessGrant/chg-1: 2 objects since {END}");
        assert_eq!(old.sweeps_open, [expect]);
        assert!(old.unswept.is_empty());
    }

    #[test]
    fn end_whose_time_cannot_be_read_or_has_not_come_waits_for_nothing() {
        for end in ["lately", "2026-03-02T13:00:00Z"] {
            let ends = after(0, None, end);
            assert_eq!(ends.unproven.len(), 1, "{end}");
            assert_eq!(ends.again, None, "{end}");
        }
    }
}
