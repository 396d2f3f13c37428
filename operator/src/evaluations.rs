//! Which tenants' verdicts are known, and since when.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

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
    /// Notes what a reconcile found that began at an instant: what changed later, it may not have seen.
    pub fn note(&self, tenant: &str, judged: Judged, began: Instant) {
        let mut known = self.lock();
        if judged == Judged::Not {
            known.remove(tenant);
            return;
        }
        let evaluation = Evaluation {
            at: began,
            is_settled: judged == Judged::Settled,
        };
        known.insert(tenant.to_owned(), evaluation);
    }

    /// When a tenant's last evaluation began, where its verdicts are known.
    pub fn last(&self, tenant: &str) -> Option<Instant> {
        self.lock().get(tenant).map(|evaluation| evaluation.at)
    }

    /// Tenants to evaluate though nothing is known to have changed: all that are not settled, and of the others those
    /// that waited longest, so that all have their turn within so many `rounds`.
    pub fn due(&self, tenants: &BTreeSet<String>, rounds: usize) -> Vec<String> {
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
    use std::time::Duration;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_settled_tenant_has_its_turn_within_the_rounds() {
        let evaluations = Evaluations::default();
        let tenants: BTreeSet<String> = (0..7).map(|number| format!("t{number}")).collect();
        for tenant in &tenants {
            evaluations.note(tenant, Judged::Settled, Instant::now());
        }
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let due = evaluations.due(&tenants, 3);
            assert_eq!(due.len(), 3);
            for tenant in due {
                evaluations.note(&tenant, Judged::Settled, Instant::now());
                seen.insert(tenant);
            }
        }
        assert_eq!(seen, tenants);
    }

    #[tokio::test]
    async fn what_is_not_settled_or_not_known_is_due_in_every_pass() {
        let evaluations = Evaluations::default();
        evaluations.note("quiet", Judged::Settled, Instant::now());
        evaluations.note("waits", Judged::Unsettled, Instant::now());
        evaluations.note("failed", Judged::Settled, Instant::now());
        evaluations.note("failed", Judged::Not, Instant::now());
        assert_eq!(evaluations.last("failed"), None);
        let due = evaluations.due(&names(&["failed", "new", "waits"]), 5);
        assert_eq!(due, ["failed", "new", "waits"]);
        let due = evaluations.due(&names(&["quiet", "waits"]), 5);
        assert_eq!(due, ["waits", "quiet"]);
    }
}
