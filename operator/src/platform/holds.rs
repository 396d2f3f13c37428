//! Legal holds (DSA 2.13): on record before anything is said of them, and so is their release.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use tenure_crds::{Approval, ApprovalSpec, LegalHold, LegalHoldStatus};

use super::{MOST_NEW, PLATFORM, is_tenant, readable, remembered, say};
use crate::approval::{
    Asked, Context as Look, DIGEST_VERSION, Requester, Subject, Tally, approvals_needed,
    current_digest,
};
use crate::context::Context;
use crate::record::{Allowed, Given, Held, PlatformRecord, RecordError, Released};
use crate::retention::hold::{Standing, remembered_with, review_is_due, standing};
use crate::tenant::status::said;
use crate::tenant::{Error, decisions};

/// Most bytes of the platform's record that holds may take, and again those that were released. One that finds no room holds for as long as its object stands.
const ROOM: usize = 200_000;

/// Records every hold and every approved release, and says on each where it stands.
pub async fn settle(context: &Context, now: Timestamp) -> Result<(), Error> {
    let live = readable(context, &context.caches.holds);
    let recorded = record(context, &live, now).await;
    let held = remembered(context).holds.clone();
    let is_due = |hold: &&LegalHold| {
        matches!(standing(hold, &held), Standing::Holds(_))
            && review_is_due(hold, today(now)) == Some(true)
    };
    let due = live.iter().filter(is_due).count();
    context
        .metrics
        .legal_holds(&counts(context, &live, &held), due);
    let mut outcome = Ok(());
    for hold in &live {
        let told = report(context, hold, &held, recorded.as_ref().err(), now).await;
        outcome = outcome.and(told);
    }
    outcome.and(recorded.map_err(Error::from))
}

/// Records what is new about holds, and wakes whom it concerns.
async fn record(context: &Context, live: &[LegalHold], now: Timestamp) -> Result<(), RecordError> {
    let known = remembered(context);
    let (holds, approvals) = next(context, &known, live, now);
    let changed: Vec<&Held> = holds
        .iter()
        .filter(|held| !known.holds.contains(held))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut concerned = BTreeSet::from([PLATFORM.to_owned()]);
    for held in changed {
        concerned.insert(held.spec.tenant_ref.name.clone());
        concerned.extend(context.records.other_with_id("", &held.spec.tenant_id));
    }
    let change = |record: &mut PlatformRecord| {
        record.holds = holds;
        record.approvals = approvals;
    };
    context.records.change_platform(change).await?;
    // Approvals have done their work, a tenant may be waiting, and there may be more than are taken at once.
    for name in &concerned {
        context.queue.wake(name);
    }
    Ok(())
}

/// Decisions on record, by the Approval's uid.
type Decided = BTreeMap<String, Given>;

/// What is to be remembered: every hold there is and was, that those whose release was approved are released, and the decisions that
/// still wait.
fn next(
    context: &Context,
    known: &PlatformRecord,
    live: &[LegalHold],
    now: Timestamp,
) -> (Vec<Held>, Decided) {
    let mut next = remembered_with(&known.holds, live, now, ROOM, MOST_NEW);
    let mut waiting = known.approvals.clone();
    for held in next.iter_mut().filter(|held| held.released.is_none()) {
        let Some(hold) = live.iter().find(|hold| held.is(hold)) else {
            continue;
        };
        let asked = asked(context, hold, held);
        let Some(approvals) = allowed(context, &asked, &waiting, now) else {
            continue;
        };
        held.released = Some(Released {
            approvals,
            at: now.to_string(),
        });
        waiting.retain(|_, given| !is_about(&given.spec, &asked));
    }
    (next, waiting)
}

/// The Approvals that allow a release, the newest last, where there are enough. Only what is on record counts: a release must show who
/// decided it.
fn allowed(
    context: &Context,
    asked: &Asked,
    decided: &Decided,
    now: Timestamp,
) -> Option<Vec<Allowed>> {
    let persons = decisions::persons(context, asked);
    let look = Look {
        asked: Some(asked),
        now,
        gaps: &decisions::gaps(context, "approvals"),
        persons: &persons,
    };
    let about = decided
        .iter()
        .filter(|(_, given)| is_about(&given.spec, asked));
    let about: Vec<Approval> = about.map(|(uid, given)| given.approval(uid)).collect();
    let needed = approvals_needed(asked.action, &asked.requester);
    let approved = Tally::of(&about, &look, needed).approved()?;
    Some(approved.into_iter().map(Allowed::of).collect())
}

fn is_about(spec: &ApprovalSpec, asked: &Asked) -> bool {
    let subject = &spec.subject;
    subject.kind == asked.kind
        && subject.name == asked.name
        && asked.digests.get(&subject.digest_version) == Some(&subject.digest)
}

/// How many there are of each kind of standing.
fn counts(context: &Context, live: &[LegalHold], held: &[Held]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::from([
        ("holding", 0),
        ("gone", 0),
        ("released", 0),
        ("unrecorded", 0),
    ]);
    let mut count = |state| *counts.entry(state).or_default() += 1;
    for hold in live {
        count(match standing(hold, held) {
            Standing::Unrecorded => "unrecorded",
            Standing::Holds(_) => "holding",
            Standing::Released(..) => "released",
        });
    }
    // One that cannot be read is not gone.
    let stands = |held: &Held| {
        let unreadable = || {
            let guard = context.caches.holds.get("", &held.name);
            guard.is_some_and(|guard| guard.0.is_err())
        };
        live.iter().any(|hold| held.is(hold)) || unreadable()
    };
    let is_gone = |held: &&Held| held.released.is_none() && !stands(held);
    held.iter().filter(is_gone).for_each(|_| count("gone"));
    counts
}

/// What an Approval of a release comes to now.
pub enum Release {
    /// It is to be measured against this; nothing where there is no such hold, or none on record yet.
    Asked(Option<Box<Asked>>),
    /// It was acted on.
    Used,
    /// The hold was released without it.
    Settled,
}

/// What an Approval about a LegalHold comes to.
pub fn release(context: &Context, approval: &Approval) -> Release {
    let Some(platform) = context.records.platform() else {
        return Release::Asked(None);
    };
    let uid = approval.uid().unwrap_or_default();
    let mut releases = platform.holds.iter().flat_map(|held| &held.released);
    if releases.any(|released| released.approvals.iter().any(|allowed| allowed.uid == uid)) {
        return Release::Used;
    }
    let guard = context.caches.holds.get("", &approval.spec.subject.name);
    let Some(hold) = guard.as_ref().and_then(|guard| guard.0.as_ref().ok()) else {
        return Release::Asked(None);
    };
    match standing(hold, &platform.holds) {
        Standing::Holds(held) => Release::Asked(Some(Box::new(asked(context, hold, held)))),
        Standing::Released(..) => Release::Settled,
        Standing::Unrecorded => Release::Asked(None),
    }
}

fn asked(context: &Context, hold: &LegalHold, held: &Held) -> Asked {
    let subject = Subject::HoldRelease(&hold.spec);
    Asked {
        action: subject.action(),
        kind: subject.kind().into(),
        name: hold.name_any(),
        tenant_id: Some(hold.spec.tenant_id.clone()),
        tenant: Some(hold.spec.tenant_ref.name.clone()),
        digests: BTreeMap::from([(DIGEST_VERSION, current_digest(&subject))]),
        // As it was stamped when it was placed: whoever applies the object again did not place it.
        requester: Requester::from_stamp(
            held.placed_by.as_deref(),
            &context.accepted().gitops_appliers,
        ),
        person: None,
        since: None,
    }
}

async fn report(
    context: &Context,
    hold: &LegalHold,
    held: &[Held],
    unrecorded: Option<&RecordError>,
    now: Timestamp,
) -> Result<(), Error> {
    let before = hold.status.clone().unwrap_or_default();
    let generation = hold.metadata.generation;
    let make = said(&before.conditions, generation, now);
    let standing = standing(hold, held);
    let mut status = LegalHoldStatus {
        observed_generation: generation,
        ..LegalHoldStatus::default()
    };
    let conditions = &mut status.conditions;
    match standing {
        Standing::Unrecorded => {
            let (reason, why) =
                unrecorded.map_or_else(no_room, |error| (error.reason(), error.to_string()));
            let message =
                format!("it holds for as long as this object stands, and is not on record: {why}");
            conditions.push(make("Recorded", "False", reason, &message));
            conditions.push(make("Released", "False", "Holds", HOLDS));
            conditions.push(make("Ready", "False", reason, &message));
        }
        Standing::Holds(on_record) => {
            conditions.push(make("Recorded", "True", "OnRecord", RECORDED));
            conditions.push(make("Released", "False", "Holds", HOLDS));
            conditions.extend(review(hold, now, &make));
            let is_known = is_tenant(context, &hold.spec.tenant_ref.name, &hold.spec.tenant_id);
            match is_known {
                true => conditions.push(make("Ready", "True", "Holds", HOLDS)),
                false => {
                    conditions.push(make("Ready", "False", "TenantUnknown", UNKNOWN));
                    conditions.push(make("Stalled", "True", "TenantUnknown", UNKNOWN));
                }
            }
            let effect = format!(
                "data of {} that no other hold covers may be destroyed again (LegalHold {}, {})",
                hold.spec.tenant_ref.name,
                hold.name_any(),
                hold.spec.reference
            );
            status.pending_approvals =
                vec![decisions::request(&asked(context, hold, on_record), effect)];
            status.recorded_at = Some(on_record.recorded_at.clone());
        }
        Standing::Released(on_record, released) => {
            let message = format!(
                "released by Approval {} on {}: this object may be deleted; to hold the same again, place a hold with another date or name",
                released.names().join(" and "),
                released.at
            );
            conditions.push(make("Recorded", "True", "OnRecord", RECORDED));
            conditions.push(make("Released", "True", "ReleaseApproved", &message));
            conditions.push(make("Ready", "True", "Released", &message));
            status.recorded_at = Some(on_record.recorded_at.clone());
            status.released_by = released.names().pop();
        }
    }
    if status == before {
        return Ok(());
    }
    let next = LegalHold {
        status: Some(status),
        ..hold.clone()
    };
    say(
        context,
        &context.caches.holds,
        &next,
        "writing a LegalHold's status",
    )
    .await
}

const RECORDED: &str = "it is on record, and holds whatever becomes of this object";
const HOLDS: &str = "what it covers is not destroyed before its release, under status.pendingApprovals, is approved";
const UNKNOWN: &str = "no tenant has this name and tenantID: it is on record, and covers whoever has one of them; if one was mistaken, have this hold released and place the right one";

fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn no_room() -> (&'static str, String) {
    (
        "NoRoom",
        "the record has no room for more holds; have those released that nobody needs".into(),
    )
}

fn review(
    hold: &LegalHold,
    now: Timestamp,
    make: impl Fn(&str, &str, &str, &str) -> Condition,
) -> Option<Condition> {
    let on = hold.spec.review_on.as_deref()?;
    Some(match review_is_due(hold, today(now))? {
        true => make(
            "ReviewDue",
            "True",
            "ReviewDateReached",
            &format!(
                "since {on} somebody should look whether it is still needed: move reviewOn, or have it released"
            ),
        ),
        false => make(
            "ReviewDue",
            "False",
            "NotDue",
            &format!("looked at again on {on}"),
        ),
    })
}
