//! The ledger as its writer has it: every chain's tip, appended to by claiming the next place.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::chain::{ChainId, Draft, Tip};
use crate::digest::{Digest, canonical};
use crate::envelope::Envelope;
use crate::keys::{KeyList, Signer};
use crate::layout;
use crate::second::SecondPlace;
use crate::segment::{self, Fault, Segment};
use crate::store::{self, Claim, Failure, Store, StoreError};

/// Most entries of one segment.
const MOST_ENTRIES: usize = 1_000;
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
    pending: Mutex<Vec<Waiting>>,
    /// Nothing where it has to be looked at first.
    tip: tokio::sync::Mutex<Option<Tip>>,
    /// The farthest it was ever seen to reach: it never goes back.
    farthest: Mutex<Option<Farthest>>,
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
            chains: Mutex::default(),
            trouble: Mutex::default(),
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
        let recalled = self.noted(self.recall_from_store(id, &chain).await)?;
        *known = Some(recalled.tip.clone());
        Ok(recalled)
    }

    async fn recall_from_store(&self, id: ChainId, chain: &Chain) -> Result<Recalled, LedgerError> {
        let tip = self.look(id, chain).await?;
        let state = match tip.state {
            Some(first) => Some(self.state(id, first).await?),
            None => None,
        };
        Ok(Recalled { tip, state })
    }

    /// Records that something happened. Drafts of many callers share a segment where they come at once.
    ///
    /// # Errors
    /// Where it does not stand in the store: it may be tried again, at worst it then stands twice, under one id.
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
        let chain = self.chain(id);
        let (answer, mut told) = oneshot::channel();
        chain.pending().push(Waiting {
            drafts,
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
                    let why = "the writer was interrupted; whether it stands is not known".into();
                    return Err(self.failed(
                        &layout::chain(layout::CHAINS, id),
                        Failure::TimedOut,
                        why,
                    ));
                }
            }
            let batch = chain.take_batch();
            // Until it is known how this ended, nobody builds on what was known.
            let tip = known.take();
            *known = self.write(id, &chain, tip, batch).await;
        }
    }

    /// Writes what waits, and answers everybody; returns the tip where it is known.
    async fn write(
        &self,
        id: ChainId,
        chain: &Chain,
        mut known: Option<Tip>,
        mut batch: Vec<Waiting>,
    ) -> Option<Tip> {
        for _ in 0..ATTEMPTS {
            let tip = match known.take() {
                Some(tip) => tip,
                None => match self.noted(self.look(id, chain).await) {
                    Ok(tip) => tip,
                    Err(error) => {
                        refuse(batch, &error);
                        return None;
                    }
                },
            };
            batch = part(batch, id, &tip);
            if batch.is_empty() {
                return Some(tip);
            }
            let drafts: Vec<Draft> = batch.iter().flat_map(|one| one.drafts.clone()).collect();
            let segment = match Segment::make(id, &tip, &drafts, (self.clock)(), &self.signer) {
                Ok(segment) => segment,
                Err(error) => {
                    refuse(batch, &LedgerError::NoForm(error.to_string()));
                    return Some(tip);
                }
            };
            match self.noted(self.claim(id, tip.next(), &segment).await) {
                Ok(Claim::Made) => {
                    chain.reaches(segment.tip.last, segment.tip.head, "this process");
                    if let Some(second) = &self.second {
                        second.tell(id, segment.tip.last, segment.checkpoint);
                    }
                    for waiting in batch {
                        // Who no longer listens does not mind.
                        let _ = waiting.answer.send(Ok(segment.tip.clone()));
                    }
                    return Some(segment.tip);
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
        if let Err(error) = &answer
            && error.failure != Failure::TimedOut
            && error.failure != Failure::Unreachable
        {
            return Err(error.clone().into());
        }
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
                Err(self.failed(&key, Failure::Untrue, why))
            }
        }
    }

    /// Finds a chain's tip in the store.
    async fn look(&self, id: ChainId, chain: &Chain) -> Result<Tip, LedgerError> {
        let mut told = None;
        if let Some(second) = &self.second {
            match second.newest(id, &self.keys).await {
                Ok(None) => told = Some(0),
                Ok(Some(checkpoint)) => {
                    told = Some(checkpoint.last);
                    chain.reaches(checkpoint.last, checkpoint.head, "the second place");
                }
                // It adds proof; that it cannot be asked now stops nobody from recording.
                Err(LedgerError::Store(error)) => second.note(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let newest = store::newest(&*self.store, layout::CHAINS, id, layout::SEGMENT);
        let (tip, checkpoint) = match newest.await? {
            Some(first) => self.tip(id, first).await?,
            None => (Tip::EMPTY, None),
        };
        let farthest = *chain.farthest();
        if let Some(known) = farthest
            && (tip.last < known.last || (tip.last == known.last && tip.head != known.head))
        {
            return Err(LedgerError::WentBack {
                chain: id,
                found: tip.last,
                known: known.last,
                source_of: known.source,
            });
        }
        // A writer that died before the newest checkpoint was in the second place left that to whoever comes next.
        if let (Some(second), Some(told), Some(checkpoint)) = (&self.second, told, checkpoint)
            && told < tip.last
        {
            second.tell(id, tip.last, checkpoint);
        }
        Ok(tip)
    }

    async fn tip(&self, id: ChainId, first: u64) -> Result<(Tip, Option<Envelope>), LedgerError> {
        let (_, read) = self.segment(id, first, |_| {}).await?;
        let checkpoint = read.checkpoint.as_ref().map(Tip::from);
        // A segment without faults has a checkpoint.
        Ok((checkpoint.unwrap_or(Tip::EMPTY), read.envelope))
    }

    async fn state(&self, id: ChainId, first: u64) -> Result<Value, LedgerError> {
        let mut state = None;
        let (key, _) = self
            .segment(id, first, |entry| {
                if entry.is_state() {
                    state = serde_json::from_str(entry.event.get()).ok();
                }
            })
            .await?;
        state.ok_or(LedgerError::Broken {
            chain: id,
            key,
            fault: Fault::OtherContent("state"),
        })
    }

    /// Reads one segment and refuses it for any fault.
    async fn segment(
        &self,
        id: ChainId,
        first: u64,
        look: impl FnMut(&crate::Entry<'_>),
    ) -> Result<(String, segment::Read), LedgerError> {
        let key = layout::segment(id, first);
        let broken = |fault| LedgerError::Broken {
            chain: id,
            key: key.clone(),
            fault,
        };
        let bytes = self.store.get(&key).await?;
        let bytes = bytes.ok_or_else(|| broken(Fault::Missing))?;
        let read = segment::read(&bytes, id, None, &self.keys, look);
        if let Some(fault) = read.faults.first() {
            return Err(broken(fault.clone()));
        }
        if read.first != Some(first) {
            return Err(broken(Fault::OtherContent("places")));
        }
        Ok((key, read))
    }

    fn chain(&self, id: ChainId) -> Arc<Chain> {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.entry(id).or_default().clone()
    }

    fn failed(&self, key: &str, failure: Failure, why: String) -> LedgerError {
        LedgerError::Store(StoreError {
            place: self.store.place(),
            key: key.to_owned(),
            failure,
            why,
        })
    }
}

impl Chain {
    fn pending(&self) -> MutexGuard<'_, Vec<Waiting>> {
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

    /// The oldest of what waits, up to one segment.
    fn take_batch(&self) -> Vec<Waiting> {
        let mut pending = self.pending();
        let mut entries = 0;
        let fitting = pending.iter().take_while(|waiting| {
            let is_first = entries == 0;
            entries += waiting.drafts.len();
            is_first || entries <= MOST_ENTRIES
        });
        let count = fitting.count();
        pending.drain(..count).collect()
    }
}

/// Keeps what holds on this tip, and answers the others. One state fits into a segment: the next was decided without it.
fn part(batch: Vec<Waiting>, id: ChainId, tip: &Tip) -> Vec<Waiting> {
    let mut has_state = false;
    let mut kept = Vec::with_capacity(batch.len());
    for waiting in batch {
        let holds = match waiting.base {
            Base::Any => true,
            Base::State(base) => base == tip.state && !has_state,
        };
        if !holds {
            let _ = waiting.answer.send(Err(LedgerError::Outdated(id)));
            continue;
        }
        has_state |= waiting.drafts.iter().any(Draft::is_state);
        kept.push(waiting);
    }
    kept
}

fn refuse(batch: Vec<Waiting>, error: &LedgerError) {
    for waiting in batch {
        let _ = waiting.answer.send(Err(error.clone()));
    }
}
