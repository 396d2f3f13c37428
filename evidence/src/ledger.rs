//! The ledger as its writer has it: every chain's tip, appended to by claiming the next place.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::chain::{ChainId, Draft, Tip};
use crate::digest::{Digest, canonical};
use crate::event::Event;
use crate::keys::{KeyId, KeyList, Signer};
use crate::layout;
use crate::second::SecondPlace;
use crate::segment::{self, Fault, Segment};
use crate::store::{self, Claim, Failure, Store, StoreError};

/// Most entries of one segment that several callers share.
const MOST_ENTRIES: usize = 1_000;
/// Most bytes of one segment, about: whoever reads one holds it in memory. Half of what a store takes.
const MOST_BYTES: usize = store::MOST_BYTES / 2;
/// How often a place is claimed anew when others keep taking it.
const ATTEMPTS: u32 = 8;

/// Why something could not be recorded or recalled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What stands in the store is not what was written.
    #[error(
        "record of {chain}, {key}: {fault}; nothing is built on it, see the runbook record-broken"
    )]
    Broken {
        /// Which chain.
        chain: ChainId,
        /// Where.
        key: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The chain is shorter than it was, or another one.
    #[error(
        "record of {chain} went back: it ends at {found} and {source_of} knows it up to {known}; nothing is built on it, see the runbook record-broken"
    )]
    WentBack {
        /// Which chain.
        chain: ChainId,
        /// How far it reaches now.
        found: u64,
        /// How far it reached.
        known: u64,
        /// Who knows that.
        source_of: &'static str,
    },
    /// Somebody else recorded another state since.
    #[error(
        "record of {0}: somebody else recorded another state since it was read; looking at it again"
    )]
    Outdated(ChainId),
    /// Others kept taking the next place.
    #[error(
        "record of {0}: the next place was taken {ATTEMPTS} times; does another operator write here?"
    )]
    Contended(ChainId),
    /// What is signed now would not be believed.
    #[error(
        "signing key {key} is not one that signs at {at}: by the key list it is not known, not yet or no longer in use; set the clock or the list right"
    )]
    KeyNotInUse {
        /// The key.
        key: KeyId,
        /// When, by this process's clock.
        at: Timestamp,
    },
    /// What should be recorded has no JSON form.
    #[error("cannot be recorded: {0}")]
    NoForm(String),
}

impl LedgerError {
    /// The reason as it stands in conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) => error.failure.as_str(),
            Self::Broken { .. } => "RecordBroken",
            Self::WentBack { .. } => "RecordWentBack",
            Self::Outdated(_) => "Conflict",
            Self::Contended(_) => "RecordContended",
            Self::KeyNotInUse { .. } => "RecordKeyNotInUse",
            Self::NoForm(_) => "RecordUnwritable",
        }
    }
}

/// What a chain remembers.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// How far it reaches.
    pub tip: Tip,
    /// Its newest `state` event; nothing where it never had one.
    pub state: Option<Value>,
}

/// The ledger of one cluster. Cheap to ask from many tasks at once.
pub struct Ledger {
    store: Arc<dyn Store>,
    second: Option<Arc<SecondPlace>>,
    signer: Signer,
    keys: KeyList,
    clock: fn() -> Timestamp,
    accepts_loss: bool,
    chains: Mutex<HashMap<ChainId, Arc<Chain>>>,
    trouble: Mutex<Option<LedgerError>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Ledger({})", self.store.place())
    }
}

/// What the writer knows of one chain.
#[derive(Default)]
struct Chain {
    pending: Mutex<VecDeque<Waiting>>,
    /// Nothing where it has to be looked at first.
    tip: tokio::sync::Mutex<Option<Known>>,
    /// The farthest it was ever seen to reach: it never goes back.
    farthest: Mutex<Option<Farthest>>,
}

/// A chain's tip as it was last seen.
#[derive(Clone)]
struct Known {
    tip: Tip,
    /// Who signed it; nothing while there is no entry.
    key: Option<KeyId>,
    /// What was known of it and is gone, where that was just accepted: the next segment says so.
    lost: Option<Event>,
}

#[derive(Clone, Copy)]
struct Farthest {
    last: u64,
    head: Digest,
    source: &'static str,
}

/// Drafts that wait for their place.
struct Waiting {
    drafts: Vec<Draft>,
    /// About how many bytes they take.
    bytes: usize,
    base: Base,
    answer: oneshot::Sender<Result<Tip, LedgerError>>,
}

/// What must hold for drafts to be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base {
    /// Nothing: they happened.
    Any,
    /// The newest state is the one that begins here (nothing: there is none): they were decided from it.
    State(Option<u64>),
}

impl Ledger {
    /// The ledger in `store`, signed by `signer`; what was signed before is known by `keys`.
    pub fn new(
        store: Arc<dyn Store>,
        second: Option<Arc<SecondPlace>>,
        signer: Signer,
        keys: KeyList,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            store,
            second,
            signer,
            keys,
            clock,
            accepts_loss: false,
            chains: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Lets chains that went back go on from what is there, for as long as this ledger is used. Each says so in an entry of its own.
    #[must_use]
    pub fn accepting_loss(self) -> Self {
        Self {
            accepts_loss: true,
            ..self
        }
    }

    /// Why the last request to the store did not do what was asked; nothing while it does.
    pub fn trouble(&self) -> Option<LedgerError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    fn noted<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = result.as_ref().err().cloned();
        drop(trouble);
        result
    }

    /// Where it lies.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// The key that signs, as it stands in a key list from now on.
    pub fn key(&self) -> crate::PublicKey {
        self.signer.public((self.clock)())
    }

    /// Leaves the public key beside the record, where it is not yet: for whoever gets a copy and the published list.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn leave_key(&self) -> Result<(), LedgerError> {
        let key = format!("{}/{}.json", layout::KEYS, self.signer.id().hex());
        let text =
            canonical(&self.key()).map_err(|error| LedgerError::NoForm(error.to_string()))?;
        self.store.create(&key, text.into()).await?;
        Ok(())
    }

    /// Every chain there is, in the order of their names; a folder that is no chain is passed over.
    pub fn chains(&self) -> BoxStream<'_, Result<ChainId, StoreError>> {
        let folders = self.store.folders(layout::CHAINS);
        folders
            .try_filter_map(async |name| Ok(name.parse().ok()))
            .boxed()
    }

    /// Notes how far somebody outside the store knows a chain to reach: a shorter one is not built on.
    pub fn know(&self, chain: ChainId, last: u64, head: Digest, source: &'static str) {
        self.chain(chain).reaches(last, head, source);
    }

    /// What a chain remembers.
    ///
    /// # Errors
    /// Where the store fails, or what it holds is not what was written.
    pub async fn recall(&self, id: ChainId) -> Result<Recalled, LedgerError> {
        let chain = self.chain(id);
        let mut known = chain.tip.lock().await;
        // Where it is found to be broken, nobody goes on from what was known before.
        *known = None;
        let (found, state) = self.noted(self.recall_from_store(id, &chain).await)?;
        let tip = found.tip.clone();
        *known = Some(found);
        Ok(Recalled { tip, state })
    }

    async fn recall_from_store(
        &self,
        id: ChainId,
        chain: &Chain,
    ) -> Result<(Known, Option<Value>), LedgerError> {
        let (found, state) = self.look(id, chain).await?;
        let state = match (state, found.tip.state) {
            (None, Some(first)) => Some(self.state(id, first).await?),
            // It stands in the newest segment, which was just read, or nowhere.
            (state, _) => state,
        };
        Ok((found, state))
    }

    /// Records that something happened. Drafts of many callers share a segment where they come at once; those of one call always
    /// do, however many: what leads to a state stands with it or not at all. Together they are at most half of what a store takes.
    ///
    /// What waits for a slow store is held by its caller: bound how many calls are under way. Nothing of a call that was dropped
    /// before its turn is written; of one that was dropped in its turn it may be.
    ///
    /// # Errors
    /// Where it is not known to stand in the store: it may be tried again, at worst it then stands twice, under one id.
    pub async fn append(&self, id: ChainId, drafts: Vec<Draft>) -> Result<Tip, LedgerError> {
        self.append_on(id, Base::Any, drafts).await
    }

    /// As [`Ledger::append`], where `base` holds.
    ///
    /// # Errors
    /// As [`Ledger::append`]; `Outdated` where another state was recorded since.
    pub async fn append_on(
        &self,
        id: ChainId,
        base: Base,
        drafts: Vec<Draft>,
    ) -> Result<Tip, LedgerError> {
        if !drafts.iter().all(Draft::is_exact) {
            let why = "a whole number beyond 2^53 has no exact form; give it as text".into();
            return Err(LedgerError::NoForm(why));
        }
        let sizes = drafts.iter().map(Draft::bytes);
        let bytes = sizes.fold(0, usize::saturating_add);
        if bytes > MOST_BYTES {
            let why = format!("{bytes} bytes at once, more than {MOST_BYTES}");
            return Err(LedgerError::NoForm(why));
        }
        let chain = self.chain(id);
        let (answer, mut told) = oneshot::channel();
        chain.pending().push_back(Waiting {
            drafts,
            bytes,
            base,
            answer,
        });
        loop {
            let mut known = chain.tip.lock().await;
            // Whoever had the chain before may have taken ours along.
            match told.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => {
                    let why = "the writer was interrupted; whether it stands is not known";
                    let chain = layout::chain(layout::CHAINS, id);
                    return Err(StoreError::of(&*self.store, &chain, Failure::TimedOut, why).into());
                }
            }
            let batch = chain.take_batch();
            // Until it is known how this ended, nobody builds on what was known.
            let found = known.take();
            *known = self.write(id, &chain, found, batch).await;
        }
    }

    /// Writes what waits, and answers everybody; returns the tip where it is known.
    async fn write(
        &self,
        id: ChainId,
        chain: &Chain,
        mut known: Option<Known>,
        mut batch: Vec<Waiting>,
    ) -> Option<Known> {
        for _ in 0..ATTEMPTS {
            let found = match known.take() {
                Some(found) => found,
                None => match self.noted(self.look(id, chain).await) {
                    Ok((found, _)) => found,
                    Err(error) => {
                        refuse(batch, &error);
                        return None;
                    }
                },
            };
            let tip = &found.tip;
            batch = part(batch, id, tip);
            let mut drafts: Vec<Draft> = batch.iter().flat_map(|one| one.drafts.clone()).collect();
            if drafts.is_empty() {
                accept(batch, tip);
                return Some(found);
            }
            let lost = found
                .lost
                .as_ref()
                .map(|lost| lost.draft(Uuid::new_v4(), (self.clock)()));
            drafts.splice(0..0, lost);
            let segment = match self.segment_after(id, &found, &drafts) {
                Ok(segment) => segment,
                Err(error) => {
                    refuse(batch, &error);
                    return Some(found);
                }
            };
            match self.noted(self.claim(id, tip.next(), &segment).await) {
                Ok(Claim::Made) => {
                    chain.reaches(segment.tip.last, segment.tip.head, "this process");
                    if let Some(second) = &self.second {
                        second.tell(id, segment.tip.last, segment.checkpoint);
                    }
                    accept(batch, &segment.tip);
                    return Some(Known {
                        tip: segment.tip,
                        key: Some(self.signer.id()),
                        lost: None,
                    });
                }
                Ok(Claim::Taken) => {}
                Err(error) => {
                    refuse(batch, &error);
                    return None;
                }
            }
        }
        refuse(batch, &LedgerError::Contended(id));
        None
    }

    /// The segment that follows; never one that a reader with the same key list would refuse: it would end the chain for good.
    fn segment_after(
        &self,
        id: ChainId,
        known: &Known,
        drafts: &[Draft],
    ) -> Result<Segment, LedgerError> {
        let (key, at) = (self.signer.id(), (self.clock)());
        let was_replaced = known
            .key
            .is_some_and(|before| self.keys.went_back(before, key));
        if was_replaced || !self.keys.is_in_use(key, at) {
            return Err(LedgerError::KeyNotInUse { key, at });
        }
        Segment::make(id, &known.tip, drafts, at, &self.signer)
            .map_err(|error| LedgerError::NoForm(error.to_string()))
    }

    /// Claims a place, and reads back what stands there: an answer alone proves nothing.
    async fn claim(
        &self,
        id: ChainId,
        first: u64,
        segment: &Segment,
    ) -> Result<Claim, LedgerError> {
        let key = layout::segment(id, first);
        let bytes = Bytes::from(segment.bytes.clone());
        let answer = self.store.create(&key, bytes.clone()).await;
        // Taken may be our own write whose answer was lost; an error may have come after the work was done.
        match (self.store.get(&key).await, answer) {
            (Ok(Some(found)), _) if found == bytes => Ok(Claim::Made),
            (_, Err(error)) => Err(error.into()),
            (Err(error), _) => Err(error.into()),
            (Ok(Some(_)), Ok(Claim::Taken)) => Ok(Claim::Taken),
            (Ok(found), Ok(_)) => {
                let what = if found.is_some() {
                    "something else"
                } else {
                    "nothing"
                };
                let why = format!("it said this was written and holds {what}");
                Err(StoreError::of(&*self.store, &key, Failure::Untrue, why).into())
            }
        }
    }

    /// Finds a chain's tip in the store, and its state where that stands in the newest segment.
    async fn look(
        &self,
        id: ChainId,
        chain: &Chain,
    ) -> Result<(Known, Option<Value>), LedgerError> {
        let mut outside = 0;
        if let Some(second) = &self.second {
            match second.newest(id, &self.keys).await {
                Ok(None) => {}
                Ok(Some(checkpoint)) => {
                    outside = checkpoint.last;
                    chain.reaches(checkpoint.last, checkpoint.head, "the second place");
                }
                // It adds proof; that it cannot be asked now stops nobody from recording.
                Err(LedgerError::Store(error)) => second.note(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let newest = store::newest(&*self.store, layout::CHAINS, id, layout::SEGMENT);
        let newest = newest.await.map_err(|error| chains_own(id, error))?;
        let (tip, signed, state) = match newest {
            Some(first) => {
                let (_, read, state) = self.segment(id, first).await?;
                // A segment without faults has a checkpoint.
                let tip = read.checkpoint.as_ref().map_or(Tip::EMPTY, Tip::from);
                (tip, read.envelope, state)
            }
            None => (Tip::EMPTY, None, None),
        };
        let (tip, lost) = self.agreed(id, chain, tip)?;
        let key = signed.as_ref().map(|envelope| envelope.signatures[0].keyid);
        // Whoever wrote it may have died before it brought this there.
        if let (Some(second), Some(checkpoint)) = (&self.second, signed)
            && outside < tip.last
        {
            second.tell(id, tip.last, checkpoint);
        }
        Ok((Known { tip, key, lost }, state))
    }

    /// Holds a tip against what is known of the chain elsewhere: it may be longer, never shorter, unless its loss was accepted.
    fn agreed(
        &self,
        id: ChainId,
        chain: &Chain,
        mut tip: Tip,
    ) -> Result<(Tip, Option<Event>), LedgerError> {
        let Some(known) = *chain.farthest() else {
            return Ok((tip, None));
        };
        let is_there = tip.last > known.last || (tip.last == known.last && tip.head == known.head);
        if is_there || tip.resumed >= Some(known.last) {
            return Ok((tip, None));
        }
        if !self.accepts_loss {
            return Err(LedgerError::WentBack {
                chain: id,
                found: tip.last,
                known: known.last,
                source_of: known.source,
            });
        }
        tip.resumed = Some(known.last);
        let lost = Event::RecordResumed {
            known: known.last,
            head: known.head.to_string(),
            source: known.source.into(),
            found: tip.last,
        };
        Ok((tip, Some(lost)))
    }

    async fn state(&self, id: ChainId, first: u64) -> Result<Value, LedgerError> {
        let (key, _, state) = self.segment(id, first).await?;
        state.ok_or(LedgerError::Broken {
            chain: id,
            key,
            fault: Fault::OtherContent("state"),
        })
    }

    /// Reads one segment and the state in it, if there is one; refuses it for any fault.
    async fn segment(
        &self,
        id: ChainId,
        first: u64,
    ) -> Result<(String, segment::Read, Option<Value>), LedgerError> {
        let key = layout::segment(id, first);
        let broken = |fault| LedgerError::Broken {
            chain: id,
            key: key.clone(),
            fault,
        };
        let read = self.store.get(&key).await;
        let read = read.map_err(|error| chains_own(id, error))?;
        let bytes = read.ok_or_else(|| broken(Fault::Missing))?;
        let mut state = None;
        let read = segment::read(&bytes, id, None, &self.keys, |entry| {
            if entry.is_state() {
                state = serde_json::from_str(entry.event.get()).ok();
            }
        });
        if let Some(fault) = read.faults.first() {
            return Err(broken(fault.clone()));
        }
        if read.first != Some(first) {
            return Err(broken(Fault::OtherContent("places")));
        }
        Ok((key, read, state))
    }

    fn chain(&self, id: ChainId) -> Arc<Chain> {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.entry(id).or_default().clone()
    }
}

impl Chain {
    fn pending(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn farthest(&self) -> MutexGuard<'_, Option<Farthest>> {
        self.farthest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reaches(&self, last: u64, head: Digest, source: &'static str) {
        let mut farthest = self.farthest();
        if farthest.is_none_or(|known| known.last < last) {
            *farthest = Some(Farthest { last, head, source });
        }
    }

    /// The oldest of what waits, up to one segment: it names one state, so that whoever decides from it knows from which.
    fn take_batch(&self) -> Vec<Waiting> {
        let mut pending = self.pending();
        let (mut batch, mut entries, mut bytes, mut has_state) = (Vec::new(), 0, 0, false);
        while let Some(next) = pending.front() {
            if next.answer.is_closed() {
                pending.pop_front();
                continue;
            }
            entries += next.drafts.len();
            bytes += next.bytes;
            let is_state = next.drafts.iter().any(Draft::is_state);
            let is_too_much = entries > MOST_ENTRIES || bytes > MOST_BYTES;
            if !batch.is_empty() && (is_too_much || (is_state && has_state)) {
                break;
            }
            has_state |= is_state;
            batch.extend(pending.pop_front());
        }
        batch
    }
}

/// What is no part of a record breaks the chain it lies in, and no other.
pub(crate) fn chains_own(chain: ChainId, error: StoreError) -> LedgerError {
    match error.failure {
        Failure::Malformed => LedgerError::Broken {
            chain,
            key: error.key,
            fault: Fault::Unreadable(error.why),
        },
        _ => error.into(),
    }
}

/// Keeps what holds on this tip, and answers the others.
fn part(batch: Vec<Waiting>, id: ChainId, tip: &Tip) -> Vec<Waiting> {
    let mut kept = Vec::with_capacity(batch.len());
    for waiting in batch {
        match waiting.base {
            Base::State(base) if base != tip.state => {
                let _ = waiting.answer.send(Err(LedgerError::Outdated(id)));
            }
            _ => kept.push(waiting),
        }
    }
    kept
}

/// Who no longer listens does not mind.
fn accept(batch: Vec<Waiting>, tip: &Tip) {
    for waiting in batch {
        let _ = waiting.answer.send(Ok(tip.clone()));
    }
}

fn refuse(batch: Vec<Waiting>, error: &LedgerError) {
    for waiting in batch {
        let _ = waiting.answer.send(Err(error.clone()));
    }
}
