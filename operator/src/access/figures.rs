//! What metrics say of a tenant's grants.

use jiff::Timestamp;
use kube::ResourceExt as _;
use tenure_crds::access_grant::Credential;

use super::reconcile::{Stands, Work};
use super::standing::Standing;
use super::why::Why;
use crate::context::Context;
use crate::observe::GrantFigures;

/// Tells them, and how many objects stand whose grant has ended.
pub fn tell(context: &Context, tenant: &str, work: &Work, past_end: usize, now: Timestamp) {
    let metrics = &context.metrics;
    metrics.held_leavers(context.access.held_leavers(now));
    if work.standings.is_empty() && work.grants.is_empty() && past_end == 0 {
        metrics.forget_grants(tenant);
        return;
    }
    metrics.grants(tenant, &figures(work));
    metrics.past_end(tenant, past_end);
    let open = work
        .grants
        .values()
        .filter_map(|granted| granted.sweep.as_ref());
    let since: Vec<i64> = open
        .filter(|swept| swept.is_open())
        .map(|swept| swept.looked_at().map_or(0, |at| at.as_second()))
        .collect();
    metrics.sweeps(tenant, since.len(), since.iter().min().copied());
}

/// What metrics say of a tenant's grants.
fn figures(work: &Work) -> GrantFigures {
    let mut figures = GrantFigures::default();
    for Stands {
        grant, standing, ..
    } in &work.standings
    {
        match standing {
            Standing::Pending { why, .. } => {
                figures.pending += 1;
                if *why == Why::AwaitingApproval {
                    let since = grant.creation_timestamp().map(|made| made.0.as_second());
                    let oldest = figures.waiting_since.into_iter().chain(since).min();
                    figures.waiting_since = oldest;
                }
            }
            Standing::Active { approvals, .. } => {
                match approvals.is_empty() {
                    true => figures.break_glass += 1,
                    false => figures.active += 1,
                }
                if grant.spec.credential.unwrap_or_default() == Credential::Identity {
                    figures.by_identity += 1;
                }
            }
            Standing::Ended { .. } => figures.ended += 1,
        }
    }
    figures
}
