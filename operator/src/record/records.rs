//! The records in memory, written through to the ledger and its working copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenure_evidence::{Base, ChainId, Event, Ledger, LedgerError};
use uuid::Uuid;

use super::{
    Copied, Place, PlatformRecord, RECORD_VERSION, RecordError, TenantRecord, WorkingCopy, history,
};
use crate::cluster::Packed;

/// Chains read at once at the start.
const AT_ONCE: usize = 16;
/// Who else knows how far a chain reached.
const COPY: &str = "the working copy in the cluster";

/// One tenant's record in memory, with what is asked of everybody's.
struct Known {
    tenant_id: String,
    is_ended: bool,
    record: Packed<TenantRecord>,
    standing: Standing,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Where the newest state of its chain begins: what the next one is decided from.
    base: Option<u64>,
    /// How far its chain reached with it; nothing where it is in no chain, yet or any more.
    place: Option<Place>,
    /// Whether the working copy holds it.
    is_copied: bool,
}

impl Standing {
    fn at(place: Place, is_copied: bool) -> Self {
        Self {
            base: Some(place.state),
            place: Some(place),
            is_copied,
        }
    }

    fn is_complete(&self) -> bool {
        self.place.is_some() && self.is_copied
    }

    /// Whether what is known is newer than what a chain holds: its end was lost, and that was accepted.
    fn outlives(&self, state: Option<u64>) -> bool {
        self.base
            .is_some_and(|known| state.is_none_or(|state| state < known))
    }
}

impl Known {
    fn of(record: &TenantRecord, standing: Standing) -> Self {
        Self {
            tenant_id: record.tenant_id.clone(),
            is_ended: record.ended_at.is_some(),
            record: Packed::new(record),
            standing,
        }
    }

    fn open(&self) -> TenantRecord {
        TenantRecord {
            base: self.standing.base,
            ..self.record.open()
        }
    }
}

/// What is known of the platform.
#[derive(Default)]
struct KnownPlatform {
    record: Option<Arc<PlatformRecord>>,
    standing: Standing,
}

/// The records.
pub struct Records {
    ledger: Arc<Ledger>,
    copy: Box<dyn WorkingCopy>,
    tenants: RwLock<BTreeMap<String, Known>>,
    platform: RwLock<KnownPlatform>,
    /// Held from reading what is known of the platform until a change of it is recorded, copied and known.
    platform_turn: tokio::sync::Mutex<()>,
    unreadable: RwLock<BTreeMap<String, String>>,
    /// Chains that are not what they were, with why; nothing is built on them.
    broken: RwLock<BTreeMap<ChainId, String>>,
    /// Whether the ledger has been read since the start.
    is_read: AtomicBool,
}

impl Records {
    /// Reads the working copy, and then the ledger, before the first write of a start. A ledger that cannot be read is no
    /// error: isolation is repaired from the copy, and nothing new is accepted until [`Records::catch_up`].
    ///
    /// # Errors
    /// Where the copy cannot be read: better not to start than to start without memory.
    pub async fn replay(
        copy: impl WorkingCopy + 'static,
        ledger: Arc<Ledger>,
    ) -> Result<Self, RecordError> {
        let recalled = copy.recall().await?;
        let records = Self {
            ledger,
            copy: Box::new(copy),
            tenants: RwLock::default(),
            platform: RwLock::default(),
            platform_turn: tokio::sync::Mutex::default(),
            unreadable: RwLock::new(recalled.unreadable),
            broken: RwLock::default(),
            is_read: AtomicBool::new(false),
        };
        for copied in recalled.tenants {
            let id = chain(&copied.record.tenant_id);
            let standing = records.standing(id, copied.place);
            let record = copied.record.upgraded();
            records.know(&record, standing);
        }
        if let Some(Copied { record, place }) = recalled.platform {
            let standing = records.standing(Some(ChainId::Platform), place);
            records.know_platform(record, standing);
        }
        if let Err(error) = records.catch_up().await {
            tracing::error!(%error, reason = error.reason(), "the record cannot be read: isolation is repaired from its copy, nothing new is accepted");
        }
        Ok(records)
    }

    fn standing(&self, chain: Option<ChainId>, place: Option<Place>) -> Standing {
        if let (Some(chain), Some(place)) = (chain, place) {
            self.ledger.know(chain, place.last, place.head, COPY);
        }
        Standing {
            base: place.map(|place| place.state),
            place,
            is_copied: true,
        }
    }

    /// Reads the ledger: what it remembers counts more than the copy.
    ///
    /// # Errors
    /// Where its store cannot be read.
    pub async fn catch_up(&self) -> Result<(), LedgerError> {
        let mut chains: BTreeSet<ChainId> = self.ledger.chains().try_collect().await?;
        chains.insert(ChainId::Platform);
        chains.extend(
            self.known()
                .values()
                .filter_map(|known| chain(&known.tenant_id)),
        );
        self.read(chains).await?;
        self.is_read.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Looks whether chains are still what they were; answers whether that changed for any.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn look(&self, tenants: &[String]) -> Result<bool, LedgerError> {
        let broken = || -> Vec<ChainId> { self.broken_known().keys().copied().collect() };
        let before = broken();
        let ids: Vec<ChainId> = {
            let known = self.known();
            let known = tenants.iter().filter_map(|tenant| known.get(tenant));
            known.filter_map(|known| chain(&known.tenant_id)).collect()
        };
        let chains = before.iter().copied().chain(ids).chain([ChainId::Platform]);
        self.read(chains.collect()).await?;
        Ok(before != broken())
    }

    async fn read(&self, chains: BTreeSet<ChainId>) -> Result<(), LedgerError> {
        let mut reading = futures::stream::iter(chains)
            .map(|id| async move { (id, self.ledger.recall(id).await) })
            .buffer_unordered(AT_ONCE);
        while let Some((id, recalled)) = reading.next().await {
            match recalled {
                Ok(recalled) => self.take_over(id, recalled),
                Err(LedgerError::Store(error)) => return Err(error.into()),
                Err(error) => self.note_broken(id, &error),
            }
        }
        Ok(())
    }

    /// Whether the ledger has been read since the start.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    /// Takes over what a chain remembers.
    fn take_over(&self, id: ChainId, recalled: tenure_evidence::Recalled) {
        self.broken_mut().remove(&id);
        if self.outlives(id, recalled.tip.state) {
            return;
        }
        let (Some(mut state), Some(first)) = (recalled.state, recalled.tip.state) else {
            return;
        };
        let place = Place {
            state: first,
            last: recalled.tip.last,
            head: recalled.tip.head,
        };
        let state = state["state"].take();
        let taken = match id {
            ChainId::Platform => parse(state).map(|record| self.take_over_platform(record, place)),
            ChainId::Tenant(_) => parse(state).map(|record| self.take_over_tenant(record, place)),
        };
        if let Err(why) = taken {
            tracing::error!(chain = %id, why, "what a chain remembers cannot be read by this build");
            self.broken_mut().insert(id, why);
        }
    }

    /// Whether what is known of a chain's subject is newer than the chain, which then has to hold it again.
    fn outlives(&self, id: ChainId, state: Option<u64>) -> bool {
        let again = |standing: &mut Standing| {
            let outlives = standing.outlives(state);
            if outlives {
                standing.base = state;
                standing.place = None;
            }
            outlives
        };
        if id == ChainId::Platform {
            let mut platform = self
                .platform
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            return again(&mut platform.standing);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let id = id.to_string();
        let known = tenants.values_mut().find(|known| known.tenant_id == id);
        known.is_some_and(|known| again(&mut known.standing))
    }

    fn take_over_tenant(&self, record: TenantRecord, place: Place) {
        let record = record.upgraded();
        let is_copied = self.known().get(&record.tenant).is_some_and(|known| {
            known.standing.is_copied
                && known.standing.base == Some(place.state)
                && known.record == Packed::new(&record)
        });
        self.unreadable_mut().remove(&record.tenant);
        self.know(&record, Standing::at(place, is_copied));
    }

    fn take_over_platform(&self, record: PlatformRecord, place: Place) {
        let is_copied = {
            let known = self.platform_known();
            known.standing.is_copied
                && known.standing.base == Some(place.state)
                && known.record.as_deref() == Some(&record)
        };
        self.know_platform(record, Standing::at(place, is_copied));
    }

    fn note_broken(&self, id: ChainId, error: &LedgerError) {
        tracing::error!(chain = %id, %error, reason = error.reason(), "a chain of the record is not what it was");
        self.broken_mut().insert(id, error.to_string());
    }

    /// What is remembered about a tenant.
    pub fn tenant(&self, name: &str) -> Option<TenantRecord> {
        self.known().get(name).map(Known::open)
    }

    /// Whether anything is remembered about a tenant.
    pub fn knows(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// Why the copy of a tenant's record cannot be read, where it cannot and the ledger does not say more.
    pub fn unreadable(&self, name: &str) -> Option<String> {
        let unreadable = self
            .unreadable
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        unreadable.get(name).cloned()
    }

    /// Why nothing is built on a tenant's chain, where that is so.
    pub fn broken(&self, tenant_id: &str) -> Option<String> {
        self.broken_known().get(&chain(tenant_id)?).cloned()
    }

    /// How many chains are not what they were.
    pub fn broken_chains(&self) -> usize {
        self.broken_known().len()
    }

    /// The names of the tenants that are remembered and have not ended, sorted.
    pub fn lasting(&self) -> Vec<String> {
        let known = self.known();
        let lasting = known.iter().filter(|(_, known)| !known.is_ended);
        lasting.map(|(name, _)| name.clone()).collect()
    }

    /// The record of each of them, unpacked one after the other.
    pub fn all_lasting(&self) -> impl Iterator<Item = TenantRecord> {
        let lasting = self.lasting().into_iter();
        lasting.filter_map(|tenant| self.tenant(&tenant))
    }

    /// Another tenant than `name` that has this tenantID, ended or not: an id is not used twice.
    pub fn other_with_id(&self, name: &str, tenant_id: &str) -> Option<String> {
        let known = self.known();
        let mut others = known.iter().filter(|(other, _)| *other != name);
        others
            .find(|(_, known)| known.tenant_id == tenant_id)
            .map(|(other, _)| other.clone())
    }

    /// What is remembered about the platform, where anything is.
    pub fn platform(&self) -> Option<Arc<PlatformRecord>> {
        self.platform_known().record.clone()
    }

    /// Remembers a tenant: in the ledger first, then in its copy.
    ///
    /// # Errors
    /// Where it does not stand in both: then it may not be acted on. Where somebody recorded something newer, that is what is
    /// known from now on.
    pub async fn remember(&self, record: &TenantRecord) -> Result<(), RecordError> {
        let packed = Packed::new(record);
        let (is_same, standing) = match self.known().get(&record.tenant) {
            Some(known) => (known.record == packed, known.standing),
            None => (false, Standing::default()),
        };
        if is_same && standing.is_complete() {
            return Ok(());
        }
        if !is_same && record.base != standing.base {
            return Err(outdated(&record.tenant));
        }
        let place = match standing.place {
            Some(place) if is_same => place,
            _ => self.record_tenant(record, standing).await?,
        };
        let put = self.copy.put_tenant(record, &place).await;
        let is_copied = put.is_ok();
        self.know(record, Standing::at(place, is_copied));
        put
    }

    /// Puts a tenant's new state into its chain.
    async fn record_tenant(
        &self,
        record: &TenantRecord,
        standing: Standing,
    ) -> Result<Place, RecordError> {
        let id = self.writable(&record.tenant, &record.tenant_id)?;
        self.copy.check(record)?;
        if !self.knows(&record.tenant) {
            self.look_before_the_first(record).await?;
        }
        // Of what was never in a chain, everything is told.
        let before = self
            .tenant(&record.tenant)
            .filter(|_| standing.place.is_some());
        let events = history::of_tenant(before.as_ref(), record);
        let recorded = self.record(id, standing.base, events, record).await;
        if let Err(RecordError::Outdated { .. }) = &recorded {
            self.recall(id).await?;
        }
        recorded
    }

    /// A copy that was restored after the start is not overwritten unread.
    async fn look_before_the_first(&self, record: &TenantRecord) -> Result<(), RecordError> {
        let Some(copied) = self.copy.recall_tenant(&record.tenant_id).await? else {
            return Ok(());
        };
        let standing = self.standing(chain(&record.tenant_id), copied.place);
        let found = copied.record.upgraded();
        self.know(&found, standing);
        if let Some(id) = chain(&record.tenant_id) {
            self.recall(id).await?;
        }
        Err(outdated(&record.tenant))
    }

    /// Remembers a change of what concerns the platform. Many have a part in it; `change` sets one of them, whatever the others did
    /// meanwhile.
    ///
    /// # Errors
    /// As [`Records::remember`]: the old settings stay in force.
    pub async fn change_platform(
        &self,
        change: impl FnOnce(&mut PlatformRecord) + Send,
    ) -> Result<(), RecordError> {
        let _turn = self.platform_turn.lock().await;
        let (before, standing) = {
            let known = self.platform_known();
            (known.record.clone(), known.standing)
        };
        let mut record = before.as_deref().cloned().unwrap_or_default();
        record.version = RECORD_VERSION;
        change(&mut record);
        let is_same = before.as_deref() == Some(&record);
        if is_same && standing.is_complete() {
            return Ok(());
        }
        let place = match standing.place {
            Some(place) if is_same => place,
            _ => {
                let id = self.writable("platform", "platform")?;
                self.copy.check_platform(&record)?;
                let told = before.as_deref().filter(|_| standing.place.is_some());
                let events = history::of_platform(told, &record);
                let recorded = self.record(id, standing.base, events, &record).await;
                if let Err(RecordError::Outdated { .. }) = &recorded {
                    self.recall(id).await?;
                }
                recorded?
            }
        };
        let put = self.copy.put_platform(&record, &place).await;
        let is_copied = put.is_ok();
        self.know_platform(record, Standing::at(place, is_copied));
        put
    }

    /// Brings into ledger and copy what is not in both: of who ended nobody else would.
    ///
    /// # Errors
    /// The first failure; it is tried again at the next round.
    pub async fn complete(&self) -> Result<(), RecordError> {
        let missing: Vec<String> = {
            let known = self.known();
            let missing = known
                .iter()
                .filter(|(_, known)| !known.standing.is_complete());
            missing.map(|(name, _)| name.clone()).collect()
        };
        let mut failed = Ok(());
        for name in missing {
            if let Some(record) = self.tenant(&name) {
                // One that fails harms only itself.
                failed = failed.and(self.remember(&record).await);
            }
        }
        if self.platform().is_some() {
            failed = failed.and(self.change_platform(|_| {}).await);
        }
        failed
    }

    /// The chain to write to, where anything may be recorded now.
    fn writable(&self, name: &str, id: &str) -> Result<ChainId, RecordError> {
        if !self.is_read() {
            return Err(RecordError::Unread);
        }
        chain(id).ok_or_else(|| RecordError::Unreadable {
            name: name.to_owned(),
            why: format!("{id} names no chain"),
        })
    }

    async fn record(
        &self,
        id: ChainId,
        base: Option<u64>,
        events: Vec<Event>,
        state: &impl serde::Serialize,
    ) -> Result<Place, RecordError> {
        let state =
            serde_json::to_value(state).map_err(|error| LedgerError::NoForm(error.to_string()))?;
        let now = Timestamp::now();
        let drafts = events
            .into_iter()
            .chain([Event::State { state }])
            .map(|event| event.draft(Uuid::new_v4(), now))
            .collect();
        match self.ledger.append_on(id, Base::State(base), drafts).await {
            Ok(tip) => Ok(Place {
                state: tip.state.unwrap_or_default(),
                last: tip.last,
                head: tip.head,
            }),
            Err(LedgerError::Outdated(_)) => Err(outdated(&id.to_string())),
            Err(error) => {
                if !matches!(error, LedgerError::Store(_) | LedgerError::NoForm(_)) {
                    self.note_broken(id, &error);
                }
                Err(error.into())
            }
        }
    }

    /// Reads one chain anew.
    async fn recall(&self, id: ChainId) -> Result<(), RecordError> {
        let recalled = self.ledger.recall(id).await?;
        self.take_over(id, recalled);
        Ok(())
    }

    /// Knows this of a tenant from now on, unless something newer is known by now.
    fn know(&self, record: &TenantRecord, standing: Standing) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |known: &Known| {
            known.tenant_id == record.tenant_id && known.standing.base > standing.base
        };
        if tenants.get(&record.tenant).is_some_and(is_newer) {
            return;
        }
        tenants.insert(record.tenant.clone(), Known::of(record, standing));
    }

    /// Knows this of the platform from now on, unless something newer is known by now.
    fn know_platform(&self, record: PlatformRecord, standing: Standing) {
        let mut platform = self
            .platform
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if platform.standing.base > standing.base {
            return;
        }
        *platform = KnownPlatform {
            record: Some(Arc::new(record)),
            standing,
        };
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn platform_known(&self) -> RwLockReadGuard<'_, KnownPlatform> {
        self.platform.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken_known(&self) -> RwLockReadGuard<'_, BTreeMap<ChainId, String>> {
        self.broken.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<ChainId, String>> {
        self.broken.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, String>> {
        self.unreadable
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn chain(id: &str) -> Option<ChainId> {
    id.parse().ok()
}

fn outdated(name: &str) -> RecordError {
    RecordError::Outdated {
        name: name.to_owned(),
    }
}

/// Reads a state of this build's shape; of another it says which.
fn parse<T: DeserializeOwned>(state: Value) -> Result<T, String> {
    let version = state["version"].as_u64();
    if version != Some(u64::from(RECORD_VERSION)) {
        let version = version.map_or("no version".into(), |version| format!("version {version}"));
        return Err(format!(
            "it has {version}, this build reads {RECORD_VERSION}"
        ));
    }
    serde_json::from_value(state).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
