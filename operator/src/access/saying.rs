//! What was settled is said: on grants, on decisions about them, and in events. Whoever is let in or out does not wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};
use tenure_crds::{AccessGrant, Approval};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ageing;
use super::case::Seen;
use super::reconcile::{AGAIN, Grants, Stands, Work};
use super::standing::Standing;
use super::status::{self, Said};
use super::sweeping;
use crate::cluster::Cache;
use crate::context::Context;
use crate::platform::say as say_status;
use crate::tenant::Error;

/// Tenants of whose grants something is said at once.
const CONCURRENCY: usize = 2;
/// Grants of one of them.
const AT_ONCE: usize = 8;

/// What one look at a tenant's grants came to, to be said.
pub struct Settled {
    /// What was seen.
    pub seen: Seen,
    /// Where each grant stands.
    pub work: Work,
    /// Grants whose bindings the API server refused, by uid, with why.
    pub refused: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

/// Says what was settled until `stop`.
pub async fn follow(context: Arc<Context>, stop: CancellationToken) {
    let queue = context.access.says.clone();
    queue
        .run(CONCURRENCY, stop, move |tenant| {
            let context = context.clone();
            async move { say(&context, &tenant).await }
        })
        .await;
}

/// Says on every grant of a tenant, and on every decision about one, where it stands.
async fn say(context: &Context, tenant: &str) -> Option<Duration> {
    context.access.endings.give_way().await;
    let settled = context.access.to_say(tenant)?;
    let settled = &settled;
    let mut saying = futures::stream::iter(0..settled.work.standings.len())
        .map(|number| of_grant(context, settled, &settled.work.standings[number]))
        .buffer_unordered(AT_ONCE);
    let mut is_said = true;
    while let Some(said) = saying.next().await {
        is_said &= said;
    }
    for approval in settled.seen.stray_approvals() {
        let (grants, now) = (&settled.work.grants, settled.at);
        let next = of_a_sweep(context, &settled.seen, grants, approval, now)
            .unwrap_or_else(|| status::approval_of_nothing(approval, now));
        is_said &= say_approval(context, next).await;
    }
    is_said &= ageing::age(context, settled).await;
    if !is_said {
        // Looked at anew, by what stands then.
        let queue = &context.access.queue;
        queue.wake_at(tenant, Instant::now() + AGAIN);
    }
    None
}

/// An object as it is now, where it is the one that was looked at; one that changed since is looked at again, and then said.
fn same<K>(cache: &Cache<DeserializeGuard<K>>, seen: &K) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let guard = cache.get("", &seen.name_any())?;
    let now = guard.0.as_ref().ok()?;
    let of = |object: &K| (object.uid(), object.meta().generation);
    (of(now) == of(seen)).then(|| now.clone())
}

async fn of_grant(context: &Context, settled: &Settled, stands: &Stands) -> bool {
    let Some(grant) = same(&context.caches.grants, &stands.grant) else {
        return true;
    };
    let (seen, now) = (&settled.seen, settled.at);
    let uid = grant.uid().unwrap_or_default();
    let granted = settled.work.grants.get(&uid);
    let accepted = context.accepted();
    let role = accepted.grantable_roles.get(&grant.spec.role);
    let said = Said {
        standing: &stands.standing,
        granted,
        progress: &context.access.progress(&uid),
        refused: settled.refused.get(&uid).map(String::as_str),
        asked: &stands.asked,
        needed: role.map_or(1, |role| role.approvals),
        sessions: &context.settings.sessions(),
        unswept: context.access.looks.why(&grant.spec.tenant_ref.name),
    };
    let mut is_said = true;
    if let Some(next) = status::grant(&grant, &said, now) {
        announce(context, &grant, &stands.standing, granted.is_some()).await;
        let what = "writing an AccessGrant's status";
        let told = say_status(context, &context.caches.grants, &next, what);
        is_said &= told_or_logged(context, told.await);
    }
    let look = seen.look(&stands.asked, now);
    for approval in seen.approvals(&grant) {
        if let Some(next) = of_a_sweep(context, seen, &settled.work.grants, approval, now) {
            is_said &= say_approval(context, next).await;
            continue;
        }
        let is_used = granted.is_some_and(|granted| {
            let mut by = granted.approved_by.iter();
            by.any(|by| Some(&by.uid) == approval.uid().as_ref())
        });
        let Some(approval) = same(&context.caches.approvals, approval) else {
            continue;
        };
        let next = status::approval(&approval, &look, is_used, &stands.standing, now);
        is_said &= say_approval(context, next).await;
    }
    is_said
}

/// What is to be said of an Approval about what was made meanwhile; nothing where it is none.
fn of_a_sweep(
    context: &Context,
    seen: &Seen,
    grants: &Grants,
    approval: &Approval,
    now: Timestamp,
) -> Option<Option<Approval>> {
    let granted = sweeping::concerned(grants, approval)?;
    let (record, swept) = (seen.record.as_ref()?, granted.sweep.as_ref()?);
    let asked = sweeping::asked(context, record, granted, swept);
    let look = seen.look(&asked, now);
    Some(status::sweep_approval(approval, &look, swept, now))
}

async fn say_approval(context: &Context, next: Option<Approval>) -> bool {
    let Some(next) = next else {
        return true;
    };
    let cache = &context.caches.approvals;
    let told = say_status(context, cache, &next, "writing an Approval's status");
    told_or_logged(context, told.await)
}

fn told_or_logged(context: &Context, told: Result<(), Error>) -> bool {
    match told {
        Ok(()) => true,
        Err(error) => {
            context.metrics.failed(error.reason());
            tracing::warn!(%error, reason = error.reason(), "a standing is not said; trying again");
            false
        }
    }
}

/// Tells people what changed.
async fn announce(context: &Context, grant: &AccessGrant, standing: &Standing, was_let_in: bool) {
    let about = grant.object_ref(&());
    let spec = &grant.spec;
    let (who, place) = (&spec.person, spec.namespaces.join(", "));
    let before = grant.status.iter().flat_map(|status| &status.conditions);
    let mut active = before.filter(|condition| condition.type_ == "Active");
    let was_active = active.any(|condition| condition.status == "True");
    match standing {
        Standing::Active { until, .. } if !was_active => {
            let note = format!("{who} is let into {place} as {} until {until}", spec.role);
            match spec.break_glass.unwrap_or_default() {
                true => {
                    context
                        .events
                        .warn(&about, "BreakGlass", "Activate", note)
                        .await;
                }
                false => {
                    context
                        .events
                        .note(&about, "Activated", "Activate", note)
                        .await;
                }
            }
        }
        Standing::Ended { why, message } if was_let_in && was_active => {
            let note = format!("{who} is no longer let into {place}: {message}");
            context.events.note(&about, why.as_str(), "End", note).await;
        }
        _ => {}
    }
}
