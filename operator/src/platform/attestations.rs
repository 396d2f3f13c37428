//! Attestations (DSA 2.12): on record, and said whether they count.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tenure_controls::catalogue::control;
use tenure_crds::{Attestation, AttestationStatus};

use super::{MOST_NEW, PLATFORM, is_tenant, readable, remembered, say};
use crate::assess::attested::{Around, Validity, remembered_with, validity};
use crate::context::Context;
use crate::record::{Attested, PlatformRecord, RecordError};
use crate::tenant::Error;
use crate::tenant::status::said;

/// Most bytes of the platform's record that attestations may take; one that finds no room does not count.
const ROOM: usize = 300_000;

/// Records every attestation, and says on each whether it counts.
pub async fn settle(context: &Context, now: Timestamp) -> Result<(), Error> {
    let live = readable(context, &context.caches.attestations);
    let recorded = record(context, &live, now).await;
    let all = remembered(context).attestations.clone();
    let mut counts = BTreeMap::from([("valid", 0), ("invalid", 0), ("unrecorded", 0)]);
    let mut outcome = Ok(());
    for attestation in &live {
        let seen = Attested::of(attestation, now);
        let attested = all.iter().find(|attested| attested.is_same(&seen));
        let judged = attested.map(|attested| (attested, judge(context, attested, &all, now)));
        let state = match &judged {
            None => "unrecorded",
            Some((_, Validity::Counts)) => "valid",
            Some(_) => "invalid",
        };
        *counts.entry(state).or_default() += 1;
        let told = report(context, attestation, judged, recorded.as_ref().err(), now).await;
        outcome = outcome.and(told);
    }
    context.metrics.attestations(&counts);
    outcome.and(recorded.map_err(Error::from))
}

async fn record(
    context: &Context,
    live: &[Attestation],
    now: Timestamp,
) -> Result<(), RecordError> {
    let known = remembered(context);
    let seen: Vec<Attested> = live.iter().map(|it| Attested::of(it, now)).collect();
    let today = now.to_zoned(TimeZone::UTC).date();
    let next = remembered_with(&known.attestations, seen, today, ROOM, MOST_NEW);
    let is_news = next
        .iter()
        .any(|attested| !known.attestations.contains(attested));
    if !is_news {
        return Ok(());
    }
    let change = |record: &mut PlatformRecord| record.attestations = next;
    context.records.change_platform(change).await?;
    // There may be more than are taken at once.
    context.queue.wake(PLATFORM);
    Ok(())
}

fn judge(context: &Context, attested: &Attested, all: &[Attested], now: Timestamp) -> Validity {
    let subject = &attested.subject;
    let tenant = subject.tenant_id.as_deref();
    let tenant_known = tenant.is_none_or(|id| match &subject.name {
        Some(name) if subject.kind == tenure_crds::attestation::SubjectKind::Tenant => {
            is_tenant(context, name, id)
        }
        _ => context.records.other_with_id("", id).is_some(),
    });
    let around = Around {
        all,
        today: now.to_zoned(TimeZone::UTC).date(),
        control_known: control(&attested.control).is_some(),
        tenant_known,
    };
    validity(attested, &around)
}

async fn report(
    context: &Context,
    attestation: &Attestation,
    judged: Option<(&Attested, Validity)>,
    unrecorded: Option<&RecordError>,
    now: Timestamp,
) -> Result<(), Error> {
    let before = attestation.status.clone().unwrap_or_default();
    let generation = attestation.metadata.generation;
    let make = said(&before.conditions, generation, now);
    let conditions = match &judged {
        None => {
            let (reason, why) =
                unrecorded.map_or_else(no_room, |error| (error.reason(), error.to_string()));
            let message = format!("it does not count before it is on record: {why}");
            let not = |kind| make(kind, "False", reason, &message);
            vec![not("Recorded"), not("Valid"), not("Ready")]
        }
        Some((attested, validity)) => {
            let (status, reason, message) = validity.condition(attested);
            vec![
                make("Recorded", "True", "OnRecord", "it is on record"),
                make("Valid", status, reason, &message),
                make("Ready", "True", "Settled", "whether it counts is settled"),
            ]
        }
    };
    let status = AttestationStatus {
        observed_generation: generation,
        conditions,
        recorded_at: judged.map(|(attested, _)| attested.recorded_at.clone()),
    };
    if status == before {
        return Ok(());
    }
    let next = Attestation {
        status: Some(status),
        ..attestation.clone()
    };
    say(
        context,
        &context.caches.attestations,
        &next,
        "writing an Attestation's status",
    )
    .await
}

fn no_room() -> (&'static str, String) {
    (
        "NoRoom",
        "the record has no room for more attestations; delete those that were replaced".into(),
    )
}
