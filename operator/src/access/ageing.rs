//! Ended grants leave the cluster, with what was decided about them: what happened stays on record, where reports read it.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tenure_crds::{AccessGrant, Approval};

use super::proving;
use super::reconcile::{Grants, Stands};
use super::saying::Settled;
use super::standing::Standing;
use super::sweep;
use crate::context::Context;
use crate::record::Granted;

/// Objects of one tenant that are taken away at once.
const AT_ONCE: usize = 8;

/// When a grant goes that is kept for that long. Nothing while something about its end is open, where its time cannot be read, and of one that an
/// applier made: it would only bring it back.
pub fn goes_at(
    grant: &AccessGrant,
    standing: &Standing,
    granted: Option<&Granted>,
    (appliers, kept): (&BTreeSet<String>, SignedDuration),
) -> Option<Timestamp> {
    if !matches!(standing, Standing::Ended { .. }) || granted.is_some_and(is_open) {
        return None;
    }
    let requester = grant.spec.requested_by.as_ref()?;
    if appliers.contains(requester) {
        return None;
    }
    let window: Timestamp = grant.spec.not_after.parse().ok()?;
    let made = grant.creation_timestamp()?.0;
    let over = match granted.and_then(|granted| granted.ended.as_ref()) {
        Some(end) => end.at.parse().ok()?,
        None => made,
    };
    window.max(made).max(over).checked_add(kept).ok()
}

/// When a decision goes whose grant went before it. Nothing while something about the end of a grant of that name is open.
fn stray_goes_at(approval: &Approval, grants: &Grants, kept: SignedDuration) -> Option<Timestamp> {
    let about = &approval.spec.subject.name;
    let mut named = grants.values().filter(|granted| granted.name == *about);
    if named.any(is_open) {
        return None;
    }
    approval.creation_timestamp()?.0.checked_add(kept).ok()
}

/// Whether something about the end of a grant that let somebody in is not done.
fn is_open(granted: &Granted) -> bool {
    granted.is_live()
        || proving::is_open(granted)
        || sweep::is_open(granted)
        || !granted.sessions_in.is_empty()
}

/// When the next of a tenant's grants goes, or the next decision about one that went.
pub fn next(context: &Context, settled: &Settled) -> Option<Timestamp> {
    let going = Going::of(context, settled)?;
    let standings = settled.work.standings.iter();
    let standings = standings.filter_map(|stands| going.at(stands));
    let strays = settled.seen.stray_approvals();
    standings
        .chain(strays.filter_map(|stray| going.stray_at(stray)))
        .min()
}

/// Takes away what has been there for long enough. Answers whether all of it went.
pub async fn age(context: &Context, settled: &Settled) -> bool {
    let Some(going) = Going::of(context, settled) else {
        return true;
    };
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= settled.at);
    let all = &settled.work.standings;
    let due: Vec<usize> = (0..all.len())
        .filter(|number| is_due(going.at(&all[*number])))
        .collect();
    let mut taking = futures::stream::iter(due)
        .map(|number| take_away(context, settled, &all[number].grant))
        .buffer_unordered(AT_ONCE);
    let mut is_done = true;
    while let Some(went) = taking.next().await {
        is_done &= went;
    }
    for stray in settled.seen.stray_approvals() {
        if is_due(going.stray_at(stray)) {
            is_done &= went(context, context.writer.take_away(stray).await);
        }
    }
    is_done
}

/// By what it is known when something goes.
struct Going<'a> {
    grants: &'a Grants,
    appliers: BTreeSet<String>,
    kept: SignedDuration,
}

impl<'a> Going<'a> {
    /// Nothing where the tenant is not on record: then nobody knows what is open.
    fn of(context: &Context, settled: &'a Settled) -> Option<Self> {
        settled.seen.record.as_ref()?;
        // Nothing goes before both clocks say that it is time.
        let kept = context.settings.ended_grants_kept;
        Some(Self {
            grants: &settled.work.grants,
            appliers: context.accepted().gitops_appliers.clone(),
            kept: kept.checked_add(settled.seen.behind)?,
        })
    }

    fn at(&self, stands: &Stands) -> Option<Timestamp> {
        let granted = stands.grant.uid().and_then(|uid| self.grants.get(&uid));
        let known = (&self.appliers, self.kept);
        goes_at(&stands.grant, &stands.standing, granted, known)
    }

    fn stray_at(&self, stray: &Approval) -> Option<Timestamp> {
        stray_goes_at(stray, self.grants, self.kept)
    }
}

/// What was decided goes before what it was decided about: an Approval is kept while its subject is there, and no longer.
async fn take_away(context: &Context, settled: &Settled, grant: &AccessGrant) -> bool {
    for approval in settled.seen.approvals(grant) {
        if !went(context, context.writer.take_away(approval).await) {
            return false;
        }
    }
    went(context, context.writer.take_away(grant).await)
}

fn went(context: &Context, taken: Result<(), kube::Error>) -> bool {
    if let Err(error) = &taken {
        context.metrics.failed("Api");
        tracing::warn!(%error, "what an ended grant leaves behind is not taken away yet; trying again");
    }
    taken.is_ok()
}

#[cfg(test)]
#[path = "ageing_tests.rs"]
mod tests;
