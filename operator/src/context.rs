//! What every part of the operator works with.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tenure_controls::facts::{GuardFacts, ProbeResult, ReachabilityFacts, VersionFacts};

use crate::access::Access;
use crate::caches::{Caches, Holders, PLATFORM};
use crate::cluster::events::Events;
use crate::cluster::{Queue, Writer};
use crate::evaluations::Evaluations;
use crate::guards::watch::Watch;
use crate::observe::Metrics;
use crate::policy::accepted::Accepted;
use crate::record::{Notes, Records};
use crate::settings::Settings;
use crate::tenant::drift::Fights;

/// The operator's shared state. Everything in it can be computed again, except [`Records`].
pub struct Context {
    /// Flags and environment.
    pub settings: Settings,
    /// The one hand that writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// What the API server holds.
    pub caches: Caches,
    /// Which tenant holds which namespace.
    pub holders: Holders,
    /// What must not be forgotten.
    pub records: Records,
    /// What is recorded without anybody waiting.
    pub notes: Arc<Notes>,
    /// Who is due.
    pub queue: Arc<Queue>,
    /// Access of staff.
    pub access: Access,
    /// Figures for Prometheus.
    pub metrics: Arc<Metrics>,
    /// The platform's settings in force.
    pub policy: RwLock<Arc<Accepted>>,
    /// The guards as last compared and proven; nothing until they were.
    pub guards: RwLock<Option<Vec<GuardFacts>>>,
    /// Versions of cluster and operator; nothing until they were asked.
    pub versions: RwLock<Option<VersionFacts>>,
    /// What the probe pair last showed; nothing until it ran.
    pub probe: RwLock<Option<ProbeResult>>,
    /// Reachability per tenant as last evaluated.
    pub reachability: RwLock<HashMap<String, ReachabilityFacts>>,
    /// Which tenants' verdicts are known, and since when.
    pub evaluations: Evaluations,
    /// When the last full evaluation pass ended.
    pub last_pass: RwLock<Option<Timestamp>>,
    /// Whether the guards that say who wrote something held all the time.
    pub watch: Watch,
    fights: Mutex<Fights>,
    complete: Mutex<BTreeSet<String>>,
    closed: Mutex<HashMap<String, Instant>>,
}

impl Context {
    /// Shared state around its parts.
    #[allow(
        clippy::too_many_arguments,
        reason = "each part is made by another step of the start"
    )]
    pub fn new(
        settings: Settings,
        writer: Writer,
        events: Events,
        caches: Caches,
        holders: Holders,
        records: Records,
        notes: Arc<Notes>,
        queue: Arc<Queue>,
        access: Access,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            settings,
            writer,
            events,
            caches,
            holders,
            records,
            notes,
            queue,
            access,
            metrics,
            policy: RwLock::new(Arc::new(Accepted::builtin())),
            guards: RwLock::default(),
            versions: RwLock::default(),
            probe: RwLock::default(),
            reachability: RwLock::default(),
            evaluations: Evaluations::default(),
            last_pass: RwLock::default(),
            watch: Watch::default(),
            fights: Mutex::default(),
            complete: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    /// When the last full evaluation pass ended, by whichever process.
    pub fn passed_at(&self) -> Option<Timestamp> {
        let last = self.last_pass.read();
        *last.unwrap_or_else(PoisonError::into_inner)
    }

    /// Who fights over what.
    pub fn fights(&self) -> MutexGuard<'_, Fights> {
        self.fights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The platform's settings in force.
    pub fn accepted(&self) -> Arc<Accepted> {
        self.policy
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this process has seen a namespace stand complete; what then goes missing is drift.
    pub fn saw_complete(&self, namespace: &str) -> bool {
        self.complete
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(namespace)
    }

    /// Notes that a namespace stands complete.
    pub fn note_complete(&self, namespace: &str) {
        let mut complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        if !complete.contains(namespace) {
            complete.insert(namespace.to_owned());
        }
    }

    /// Since how long a tenant's namespaces have been closed to pods; from now, when first asked.
    pub fn closed_for(&self, tenant: &str) -> Duration {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed
            .entry(tenant.to_owned())
            .or_insert_with(Instant::now)
            .elapsed()
    }

    /// Forgets that a tenant's namespaces were closed.
    pub fn opened(&self, tenant: &str) {
        self.closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(tenant);
    }

    /// Notes which namespaces a tenant holds; the guards are told where that is news.
    pub fn hold<'a>(&self, tenant: &str, namespaces: impl Iterator<Item = &'a str>) {
        if self.holders.set(tenant, namespaces) {
            self.queue.wake(PLATFORM);
        }
    }

    /// Every tenant that is declared or remembered.
    pub fn tenants(&self) -> BTreeSet<String> {
        let declared = self.caches.tenants.names_in("").into_iter();
        declared.chain(self.records.lasting()).collect()
    }

    /// Makes every tenant due.
    pub fn wake_all(&self) {
        for tenant in self.tenants() {
            self.queue.wake(&tenant);
        }
    }
}
