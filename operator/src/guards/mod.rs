//! The guards as the operator knows them: their built-in text, whether the cluster's is the same,
//! and whether each one denies.
//!
//! Admission policies cannot guard themselves, so a cluster admin can change or remove them. That
//! is seen within one evaluation: the controls behind such a guard turn Unknown.

pub mod alive;
pub mod compare;
pub mod text;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use tenure_controls::facts::GuardFacts;
use tenure_crds::tenancy_policy::Guard;
use tenure_evidence::{ChainId, Event};

use crate::access::EVERYBODY;
use crate::context::Context;
use watch::{Look, STAMPING};

/// Compares and proves every guard, and wakes every tenant where the answer has changed.
pub async fn check(context: &Arc<Context>, client: &kube::Client, builtin: &[text::Builtin]) {
    let differing = compare::differing(context, builtin);
    let accepted = context.accepted();
    let mut facts = Vec::with_capacity(builtin.len());
    for guard in builtin {
        let text_matches = !differing.contains_key(&guard.name);
        let (made, from) = (compare::made(context, guard), Timestamp::now());
        let proof = alive::prove(client, &context.settings.namespace, guard.proven_by()).await;
        report(
            &guard.name,
            differing.get(&guard.name).map(String::as_str),
            &proof,
        );
        let proven_at = proof.is_ok().then(Timestamp::now);
        if STAMPING.contains(&guard.name.as_str()) {
            let look = match &proof {
                _ if !text_matches => Look::Open,
                Ok(()) => Look::Holds,
                Err(alive::NotProven::NotDenied { .. }) => Look::Open,
                Err(alive::NotProven::Unreachable(_)) => Look::Unknown,
            };
            let looked = (from, Timestamp::now());
            let before = context.passed_at().unwrap_or(Timestamp::MIN);
            if context.watch.look(&guard.name, look, made, looked, before) {
                note_made_anew(context, &guard.name);
            }
        }
        context
            .metrics
            .guard(&guard.name, text_matches && proven_at.is_some());
        let trusted = Guard::ALL
            .into_iter()
            .filter(|known| known.as_str() == guard.name)
            .flat_map(|known| accepted.trusted(known));
        facts.push(GuardFacts {
            name: guard.name.clone(),
            text_matches,
            proven_at,
            trusted: trusted.map(|(user, _)| user.to_owned()).collect(),
        });
    }
    let changed = take_in(context, facts, &differing);
    record_gaps(context).await;
    if changed {
        context.wake_all();
        // Decisions that did not count, and sessions that waited for their guard.
        context.access.queue.wake(EVERYBODY);
    }
}

/// Notes what the guards are now. Answers whether that is otherwise than before.
fn take_in(
    context: &Context,
    facts: Vec<GuardFacts>,
    differing: &BTreeMap<String, String>,
) -> bool {
    let mut known = context
        .guards
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let changed = known.as_ref().is_none_or(|before| {
        before.len() != facts.len()
            || before.iter().zip(&facts).any(|(old, new)| {
                old.text_matches != new.text_matches
                    || old.proven_at.is_some() != new.proven_at.is_some()
                    || old.trusted != new.trusted
            })
    });
    note_gaps(
        context,
        known.as_deref().unwrap_or_default(),
        &facts,
        differing,
    );
    *known = Some(facts);
    changed
}

/// Puts on record that a guard was not the same all the time, though every look found it.
fn note_made_anew(context: &Context, guard: &str) {
    tracing::error!(
        guard,
        "guard was taken away and made anew, or changed and changed back, between two looks: what was written meanwhile does not count"
    );
    for closed in [false, true] {
        let gap = Event::GuardGap {
            guard: guard.to_owned(),
            why: "made anew between two looks".into(),
            closed,
        };
        context.notes.note(ChainId::Platform, &gap);
    }
}

/// Whether the guards that say who wrote something are what was last seen to hold. Asked, not cached: what was seen before was then
/// written under them.
pub async fn still_hold(context: &Context) -> bool {
    match context.writer.guards().await {
        Ok(live) => STAMPING
            .iter()
            .all(|guard| context.watch.holds_as(guard, &live)),
        Err(error) => {
            context.metrics.failed("Api");
            tracing::warn!(%error, "whether the guards hold still cannot be asked");
            false
        }
    }
}

/// Puts on record when stamps could be forged. What cannot be recorded now is known all the same, and recorded with the next look.
async fn record_gaps(context: &Context) {
    let known = context.records.platform();
    let known = known.map(|known| known.gaps.clone()).unwrap_or_default();
    let Some(gaps) = context.watch.to_record(&known) else {
        return context.watch.recorded();
    };
    let recorded = context.records.change_platform(|record| record.gaps = gaps);
    match recorded.await {
        Ok(()) => context.watch.recorded(),
        Err(error) => {
            context.metrics.failed(error.reason());
            tracing::warn!(%error, reason = error.reason(), "when guards did not hold is not on record yet; trying again");
        }
    }
}

/// Puts on record when a guard stopped to hold, and when it held again: what was decided in between does not count.
fn note_gaps(
    context: &Context,
    before: &[GuardFacts],
    now: &[GuardFacts],
    differing: &BTreeMap<String, String>,
) {
    let holds = |guard: &GuardFacts| guard.text_matches && guard.proven_at.is_some();
    for guard in now {
        let known = before.iter().find(|known| known.name == guard.name);
        if holds(guard) == known.is_none_or(holds) {
            continue;
        }
        let why = match differing.get(&guard.name) {
            Some(difference) => difference.clone(),
            None if holds(guard) => "as released, and seen to deny".into(),
            None => "not seen to deny".into(),
        };
        let gap = Event::GuardGap {
            guard: guard.name.clone(),
            why,
            closed: holds(guard),
        };
        context.notes.note(ChainId::Platform, &gap);
    }
}

fn report(guard: &str, difference: Option<&str>, proof: &Result<(), alive::NotProven>) {
    if let Some(difference) = difference {
        tracing::error!(
            guard,
            difference,
            "guard differs from its built-in text: upgrade or roll back the release, and find out who changed it"
        );
    }
    if let Err(error) = proof {
        tracing::error!(guard, %error, "guard not proven alive: its controls are Unknown, approvals made now do not count");
    }
}
