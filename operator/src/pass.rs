//! Evaluation passes: guards compared and proven, every tenant's verdicts current, and only then the freshness Lease
//! renewed. A dead checker must not look compliant.
//!
//! A tenant is evaluated when something it depends on has changed; a pass waits until all of these have been. What
//! only time changes, and what is everybody's, a pass looks at itself ([`Basis`]). And lest a change that nobody noticed
//! stay unnoticed, each pass evaluates a share of the tenants again ([`Evaluations::due`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        pass(&context, &client, &builtin, &mut basis).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
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
    let deadline = Instant::now() + interval;
    guards::check(context, client, builtin).await;
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
        let last_pass = context.last_pass.read();
        let last_pass = *last_pass.unwrap_or_else(PoisonError::into_inner);
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

/// When each tenant was last evaluated, for those whose verdicts are known.
#[derive(Default)]
pub struct Evaluations(Mutex<HashMap<String, Evaluation>>);

/// One tenant's last evaluation.
#[derive(Clone, Copy)]
struct Evaluation {
    at: Instant,
    is_settled: bool,
}

/// What a reconcile found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judged {
    /// Verdicts were made, and nothing is open.
    Settled,
    /// Verdicts were made; something waits, and time or others may change it.
    Unsettled,
    /// No verdicts were made.
    Not,
}

impl Evaluations {
    /// Notes what a reconcile that just ended found.
    pub fn note(&self, tenant: &str, judged: Judged) {
        let mut known = self.lock();
        if judged == Judged::Not {
            known.remove(tenant);
            return;
        }
        let evaluation = Evaluation {
            at: Instant::now(),
            is_settled: judged == Judged::Settled,
        };
        known.insert(tenant.to_owned(), evaluation);
    }

    /// When a tenant was last evaluated, where its verdicts are known.
    fn last(&self, tenant: &str) -> Option<Instant> {
        self.lock().get(tenant).map(|evaluation| evaluation.at)
    }

    /// Tenants to evaluate though nothing is known to have changed: all that are not settled, and of the others those
    /// that waited longest, so that all have their turn within so many `rounds`.
    fn due(&self, tenants: &BTreeSet<String>, rounds: usize) -> Vec<String> {
        let known = self.lock();
        let mut settled: Vec<(Instant, &String)> = Vec::new();
        let mut due: Vec<String> = Vec::new();
        for tenant in tenants {
            match known.get(tenant) {
                Some(last) if last.is_settled => settled.push((last.at, tenant)),
                _ => due.push(tenant.clone()),
            }
        }
        settled.sort();
        let share = settled.len().div_ceil(rounds);
        due.extend(
            settled
                .iter()
                .take(share)
                .map(|(_, tenant)| (*tenant).clone()),
        );
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Evaluation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_settled_tenant_has_its_turn_within_the_rounds() {
        let evaluations = Evaluations::default();
        let tenants: BTreeSet<String> = (0..7).map(|number| format!("t{number}")).collect();
        for tenant in &tenants {
            evaluations.note(tenant, Judged::Settled);
        }
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let due = evaluations.due(&tenants, 3);
            assert_eq!(due.len(), 3);
            for tenant in due {
                evaluations.note(&tenant, Judged::Settled);
                seen.insert(tenant);
            }
        }
        assert_eq!(seen, tenants);
    }

    #[tokio::test]
    async fn what_is_not_settled_or_not_known_is_due_in_every_pass() {
        let evaluations = Evaluations::default();
        evaluations.note("quiet", Judged::Settled);
        evaluations.note("waits", Judged::Unsettled);
        evaluations.note("failed", Judged::Settled);
        evaluations.note("failed", Judged::Not);
        assert_eq!(evaluations.last("failed"), None);
        let due = evaluations.due(&names(&["failed", "new", "waits"]), 5);
        assert_eq!(due, ["failed", "new", "waits"]);
        let due = evaluations.due(&names(&["quiet", "waits"]), 5);
        assert_eq!(due, ["waits", "quiet"]);
    }

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
