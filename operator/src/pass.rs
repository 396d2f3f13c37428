//! Evaluation passes: guards compared and proven, every tenant's verdicts current, and only then the freshness Lease
//! renewed. A dead checker must not look compliant.
//!
//! A tenant is evaluated when something it depends on has changed; a pass waits until all of these have been. What
//! only time changes, and what is everybody's, a pass looks at itself ([`Basis`]). And lest a change that nobody noticed
//! stay unnoticed, each pass evaluates a share of the tenants again ([`Evaluations::due`](crate::evaluations::Evaluations::due)).

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::{Client, ResourceExt as _};
use tenure_controls::catalogue::interval_of;
use tenure_crds::status::Mode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::caches::PLATFORM;
use crate::context::Context;
use crate::guards::{self, text};

/// Every tenant is evaluated at least this often: twice as often as a control that is watched lets its facts grow old.
const WHOLE_ROUND: Duration = Duration::from_secs(300);
/// Most passes in which every tenant is evaluated once.
const ROUNDS: usize = 5;
/// How often a pass looks whether it is through.
const LOOK: Duration = Duration::from_millis(200);

/// Makes passes until `stop`.
pub async fn follow(
    context: Arc<Context>,
    client: Client,
    builtin: Vec<text::Builtin>,
    stop: CancellationToken,
) {
    let interval = Duration::from_secs(context.settings.interval_seconds);
    let mut basis = None;
    loop {
        let pass = async {
            pass(&context, &client, &builtin, &mut basis).await;
            tokio::time::sleep(interval).await;
        };
        // One that waits for tenants nobody works on any more would wait for its deadline.
        tokio::select! {
            () = stop.cancelled() => return,
            () = pass => {}
        }
    }
}

async fn pass(
    context: &Arc<Context>,
    client: &Client,
    builtin: &[text::Builtin],
    basis: &mut Option<Basis>,
) {
    let interval = Duration::from_secs(context.settings.interval_seconds);
    guards::check(context, client, builtin).await;
    let deadline = Instant::now() + interval;
    context.queue.wake(PLATFORM);
    let found = Some(Basis::of(context, Timestamp::now()));
    if *basis != found && basis.is_some() {
        context.wake_all();
    }
    *basis = found;
    let mut tenants = context.tenants();
    for tenant in context.evaluations.due(&tenants, rounds(interval)) {
        context.queue.wake(&tenant);
    }
    let asked = Instant::now();
    let is_current = |tenant: &String| {
        let evaluated = context.evaluations.last(tenant);
        evaluated.is_some_and(|at| at > asked || !context.queue.is_pending(tenant, asked))
    };
    while !tenants.iter().all(is_current) {
        if Instant::now() > deadline {
            tracing::warn!(
                "evaluation pass not finished within its interval; freshness is not renewed"
            );
            return;
        }
        tokio::time::sleep(LOOK).await;
        let still = context.tenants();
        tenants.retain(|tenant| still.contains(tenant));
    }
    ended(context).await;
}

/// Says that a pass has ended, where the next process finds it.
async fn ended(context: &Context) {
    let now = Timestamp::now();
    *context
        .last_pass
        .write()
        .unwrap_or_else(PoisonError::into_inner) = Some(now);
    context.metrics.passed(now);
    let ahead = context.access.clocks.ahead();
    context.metrics.clock_ahead(ahead.unwrap_or_default());
    let seconds = i32::try_from(context.settings.interval_seconds).unwrap_or(i32::MAX);
    let holder = context.settings.instance.as_deref();
    let renewed = context.writer.renew_freshness(
        &context.settings.namespace,
        holder.unwrap_or("tenure-operator"),
        now,
        seconds.saturating_mul(2),
    );
    if let Err(error) = renewed.await {
        tracing::warn!(%error, "freshness Lease not renewed");
    }
}

/// In how many passes of this interval every tenant is evaluated once.
fn rounds(interval: Duration) -> usize {
    let passes = WHOLE_ROUND.as_secs() / interval.as_secs().max(1);
    usize::try_from(passes).unwrap_or(ROUNDS).clamp(1, ROUNDS)
}

/// What every tenant's verdicts rest on, and no event tells of.
#[derive(Debug, PartialEq)]
struct Basis {
    /// Agreements, amendments and supported versions begin and end with a day.
    day: Date,
    /// Whether the last result of the probe pair still counts.
    probe_counts: bool,
    /// Whether the last pass that ended is recent.
    is_fresh: bool,
    /// Names and versions of the cluster-wide roles and who is bound to them.
    roles: BTreeSet<(String, String)>,
}

impl Basis {
    fn of(context: &Context, now: Timestamp) -> Self {
        let probe = context.probe.read().unwrap_or_else(PoisonError::into_inner);
        let last_pass = context.passed_at();
        let oldest = now - interval_of(Mode::Detected);
        Self {
            day: now.to_zoned(TimeZone::UTC).date(),
            probe_counts: probe
                .as_ref()
                .is_some_and(|probe| now <= probe.counts_until),
            is_fresh: last_pass.is_some_and(|last| last >= oldest),
            roles: roles(context),
        }
    }
}

fn roles(context: &Context) -> BTreeSet<(String, String)> {
    let version = |version: Option<String>| version.unwrap_or_default();
    let roles = context.caches.cluster_roles.all().into_iter();
    let roles = roles.map(|role| (role.name_any(), version(role.resource_version())));
    let bindings = context.caches.cluster_bindings.all().into_iter();
    roles
        .chain(bindings.map(|binding| (binding.name_any(), version(binding.resource_version()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_interval_leaves_no_tenant_for_a_later_pass() {
        let seconds = Duration::from_secs;
        assert_eq!(rounds(seconds(600)), 1);
        assert_eq!(rounds(seconds(300)), 1);
        assert_eq!(rounds(seconds(100)), 3);
        assert_eq!(rounds(seconds(60)), 5);
        assert_eq!(rounds(seconds(1)), 5);
    }
}
