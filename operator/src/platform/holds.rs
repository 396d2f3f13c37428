//! Legal holds (DSA 2.13): on record before anything is said of them, and so is their release.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use tenure_crds::{LegalHold, LegalHoldStatus};

use super::{PLATFORM, is_tenant, readable, remembered, said, say};
use crate::approval::{Asked, DIGEST_VERSION, Requester, Subject, current_digest};
use crate::context::Context;
use crate::record::{Held, PlatformRecord, RecordError, Released};
use crate::retention::hold::{Standing, remembered_with, review_is_due, standing};
use crate::tenant::{Error, decisions};

/// Most bytes of the platform's record that holds may take. One that finds no room holds for as long as its object stands.
const ROOM: usize = 400_000;

/// Records every hold and every approved release, and says on each where it stands.
pub async fn settle(context: &Context, now: Timestamp) -> Result<(), Error> {
    let live = readable(context, &context.caches.holds);
    let recorded = record(context, &live, now).await;
    let held = remembered(context).holds;
    let is_due = |hold: &&LegalHold| {
        matches!(standing(hold, &held), Standing::Holds(_))
            && review_is_due(hold, today(now)) == Some(true)
    };
    let due = live.iter().filter(is_due).count();
    context.metrics.legal_holds(&counts(&live, &held), due);
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
    let next = next(context, &known.holds, live, now);
    let concerned: BTreeSet<String> = {
        let changed = next.iter().filter(|held| !known.holds.contains(held));
        changed
            .map(|held| held.spec.tenant_ref.name.clone())
            .collect()
    };
    if concerned.is_empty() {
        return Ok(());
    }
    let next = PlatformRecord {
        holds: next,
        ..known
    };
    context.records.remember_platform(next).await?;
    // The approval of a release has done its work, and the tenant may be waiting for it.
    for name in concerned.iter().map(String::as_str).chain([PLATFORM]) {
        context.queue.wake(name);
    }
    Ok(())
}

/// What is to be remembered: every hold there is and was, and that those whose release was approved are released.
fn next(context: &Context, known: &[Held], live: &[LegalHold], now: Timestamp) -> Vec<Held> {
    let mut next = remembered_with(known, live, now, ROOM);
    let holding = next.iter_mut().filter(|held| held.released.is_none());
    for held in holding {
        let Some(hold) = live.iter().find(|hold| held.is(hold)) else {
            continue;
        };
        let approval = decisions::approved(context, &asked(context, hold, held), now);
        held.released = approval.map(|approval| Released {
            approval,
            at: now.to_string(),
        });
    }
    next
}

/// How many there are of each kind of standing.
fn counts(live: &[LegalHold], held: &[Held]) -> BTreeMap<&'static str, usize> {
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
    let is_gone = |held: &&Held| held.released.is_none() && !live.iter().any(|hold| held.is(hold));
    held.iter().filter(is_gone).for_each(|_| count("gone"));
    counts
}

/// What is asked about a LegalHold now; nothing where it is not on record, or released.
pub fn asked_of(context: &Context, name: &str) -> Option<Asked> {
    let guard = context.caches.holds.get("", name)?;
    let hold = guard.0.as_ref().ok()?;
    match standing(hold, &remembered(context).holds) {
        Standing::Holds(held) => Some(asked(context, hold, held)),
        Standing::Unrecorded | Standing::Released(..) => None,
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
        since: None,
    }
}

/// Whether an Approval released a hold.
pub fn was_released_by(platform: &PlatformRecord, approval: &str) -> bool {
    let mut releases = platform.holds.iter().flat_map(|held| &held.released);
    releases.any(|released| released.approval == approval)
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
                released.approval, released.at
            );
            conditions.push(make("Recorded", "True", "OnRecord", RECORDED));
            conditions.push(make("Released", "True", "ReleaseApproved", &message));
            conditions.push(make("Ready", "True", "Released", &message));
            status.recorded_at = Some(on_record.recorded_at.clone());
            status.released_by = Some(released.approval.clone());
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
