//! Access of staff to tenants (DSA 2.0 to 2.4, 2.9, 2.10): who is let in, until when, and that it truly ends.
//!
//! [`standing::standing`] alone decides; it is pure. [`reconcile()`] makes it so, tenant by tenant: it ends first, then
//! records, then lets in, then says.

mod ageing;
mod awaiting;
pub mod binding;
pub mod brake;
pub mod case;
mod cutting;
mod endings;
pub mod facts;
mod figures;
pub mod foreign;
mod objects;
mod obstacles;
mod orphans;
mod people;
pub mod proof;
pub mod proving;
mod reconcile;
pub mod review;
mod review_object;
pub mod reviewing;
pub mod saying;
pub mod session;
pub mod standing;
mod status;
pub mod sweep;
pub mod sweeping;
pub mod why;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use brake::Brake;
use endings::Endings;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::approval::Persons;
use crate::cluster::{Clocks, Queue};
use crate::context::Context;
use crate::record::TenantRecord;
pub use case::is_about_a_grant;
use facts::Told;
use proving::Progress;
pub use reconcile::reconcile;
use saying::Settled;
pub use status::approval_said;

/// Name under which the queue holds what concerns everybody: who is known, and what of them.
pub const EVERYBODY: &str = "";
/// Name under which the queue holds what stands in the sessions' namespace; no tenant can be called so.
pub const SESSIONS: &str = "/sessions";
/// Name under which the queue holds the review of what reaches every tenant; no tenant can be called so.
pub const REVIEWS: &str = "/reviews";
/// Tenants whose grants are looked at, at once.
const CONCURRENCY: usize = 8;

/// What the parts of access share. All of it can be computed again.
pub struct Access {
    /// What time it is.
    pub clocks: Clocks,
    /// What goes before everything else.
    pub endings: Endings,
    /// Whose grants are due.
    pub queue: Arc<Queue>,
    /// Tenants of whose grants there is something to say.
    pub says: Arc<Queue>,
    /// Tenants with grants whose end is not proven.
    pub ends: Arc<Queue>,
    /// Tenants with grants after whose end it is to be looked.
    pub sweeps: Arc<Queue>,
    /// How that goes.
    pub looks: sweeping::Looks,
    persons: RwLock<Arc<Persons>>,
    holding: Mutex<Holding>,
    progress: Mutex<HashMap<String, Progress>>,
    settled: Mutex<HashMap<String, Settled>>,
    brake: Mutex<Brake>,
    /// Sessions that were cut, by grant and namespace, until that is on record.
    cut: Mutex<BTreeSet<(String, String)>>,
    /// What verdicts were made from.
    pub told: Told,
}

/// Roles that live grants give, by person and uid of the grant.
type Holding = BTreeMap<String, BTreeMap<String, String>>;

impl Access {
    /// Nobody is known, nobody holds anything.
    pub fn new(queue: Arc<Queue>, clocks: Clocks) -> Self {
        Self {
            clocks,
            endings: Endings::default(),
            queue,
            says: Queue::new(),
            ends: Queue::new(),
            sweeps: Queue::new(),
            looks: sweeping::Looks::default(),
            persons: RwLock::default(),
            holding: Mutex::default(),
            progress: Mutex::default(),
            settled: Mutex::default(),
            brake: Mutex::default(),
            cut: Mutex::default(),
            told: Told::default(),
        }
    }

    /// Who is known wherever it is about one tenant: the staff, and that customer's people.
    pub fn persons_of(&self, record: Option<&TenantRecord>) -> Arc<Persons> {
        people::of_tenant(self.persons(), record)
    }

    /// The staff: who is known where it is about no tenant.
    pub fn persons(&self) -> Arc<Persons> {
        self.persons
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn know(&self, persons: Persons) {
        *self.persons.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(persons);
    }

    /// How far the proof of a grant's end has come.
    pub fn progress(&self, uid: &str) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.get(uid).cloned().unwrap_or_default()
    }

    /// Whether the end of a grant was asked about since the start.
    fn is_asked_about(&self, uid: &str) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.contains_key(uid)
    }

    fn keep_progress(&self, uid: &str, made: &Progress) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(uid.to_owned(), made.clone());
    }

    /// Forgets the progress of ends that are proven.
    fn forget_progress(&self, known: &[String]) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        for uid in known {
            progress.remove(uid);
        }
    }

    /// Has what was settled about a tenant's grants said; what was settled before and not said yet is not said any more.
    fn say(&self, tenant: &str, settled: Settled) {
        let mut all = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(tenant.to_owned(), settled);
        drop(all);
        self.says.wake(tenant);
    }

    /// What is to be said of a tenant's grants.
    fn to_say(&self, tenant: &str) -> Option<Settled> {
        let mut all = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(tenant)
    }

    /// Until when the grants of a person who left stay, because too many leave at once.
    fn holds_leaver(&self, person: &str, has_left: bool, now: Timestamp) -> Option<Timestamp> {
        let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        if has_left {
            return brake.holds(person, now);
        }
        brake.stays(person);
        None
    }

    /// How many persons' grants stay although they left.
    fn held_leavers(&self, now: Timestamp) -> usize {
        let brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        brake.held(now)
    }

    /// Roles that a person holds through other grants than the one of this uid.
    fn held(&self, person: &str, uid: &str) -> Vec<String> {
        let holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let roles = holding.get(person).into_iter().flatten();
        let others: BTreeSet<&String> = roles
            .filter(|(other, _)| *other != uid)
            .map(|(_, role)| role)
            .collect();
        others.into_iter().cloned().collect()
    }

    /// Notes that a person holds a role through a grant, unless they hold one through another grant that it excludes.
    fn claim(
        &self,
        person: &str,
        uid: &str,
        role: &str,
        excluded: Option<&BTreeSet<String>>,
    ) -> bool {
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let held = holding.entry(person.to_owned()).or_default();
        let is_excluded = |held: &String| excluded.is_some_and(|excluded| excluded.contains(held));
        let mut others = held.iter().filter(|(other, _)| *other != uid);
        if others.any(|(_, held)| is_excluded(held)) {
            return false;
        }
        held.insert(uid.to_owned(), role.to_owned());
        true
    }

    /// Whether the sessions that may be open in a namespace were cut since a grant's end.
    fn is_cut(&self, uid: &str, namespace: &str) -> bool {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.contains(&(uid.to_owned(), namespace.to_owned()))
    }

    fn note_cut(&self, uid: &str, namespace: &str) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.insert((uid.to_owned(), namespace.to_owned()));
    }

    /// Forgets cuts that are on record.
    fn forget_cuts(&self, recorded: &[(String, String)]) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        for one in recorded {
            cut.remove(one);
        }
    }

    /// Notes that a person holds a role through a grant, or no longer does.
    fn hold(&self, person: &str, uid: &str, role: Option<&str>) {
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        match role {
            Some(role) => {
                let held = holding.entry(person.to_owned()).or_default();
                held.insert(uid.to_owned(), role.to_owned());
            }
            None => {
                if let Some(held) = holding.get_mut(person) {
                    held.remove(uid);
                    if held.is_empty() {
                        holding.remove(person);
                    }
                }
            }
        }
    }
}

/// Takes over from the record who holds what, and makes everybody's grants due: what ended while nobody led ends first.
pub fn begin(context: &Context) {
    context.access.know(people::staff(context));
    for record in context.records.all_lasting() {
        for (uid, granted) in record
            .grants
            .iter()
            .filter(|(_, granted)| granted.is_live())
        {
            context
                .access
                .hold(&granted.person, uid, Some(&granted.role));
        }
    }
    for tenant in context.tenants() {
        context.access.queue.wake(&tenant);
        context.access.ends.wake(&tenant);
        context.access.sweeps.wake(&tenant);
    }
    context.access.queue.wake(EVERYBODY);
    context.access.queue.wake(SESSIONS);
    context.access.queue.wake(REVIEWS);
}

/// Works on grants until `stop`.
pub async fn follow(context: Arc<Context>, stop: CancellationToken) {
    let queue = context.access.queue.clone();
    queue
        .run(CONCURRENCY, stop, move |name| {
            let context = context.clone();
            async move {
                match name.as_str() {
                    EVERYBODY => people::settle(&context).await,
                    SESSIONS => orphans::sweep(&context).await,
                    REVIEWS => reviewing::platform(&context).await,
                    _ => reconcile(&context, &name).await,
                }
            }
        })
        .await;
}
