//! The second place: checkpoints where the writer of the record cannot overwrite them, so that a record that was put back as a
//! whole, its own checkpoints included, is found (DSA 2.7 log protection).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::chain::{ChainId, Checkpoint};
use crate::digest::canonical;
use crate::envelope::Envelope;
use crate::keys::KeyList;
use crate::layout;
use crate::ledger::{LedgerError, chains_own};
use crate::segment::Fault;
use crate::store::{self, Claim, Failure, Store, StoreError};

/// Checkpoints of one chain closer together than this go as one: the newest says all the others said.
const LINGER: Duration = Duration::from_secs(1);
/// Longest wait between two tries of a place that fails.
const LONGEST: Duration = Duration::from_secs(60);

/// Checkpoints on their way to the second place. Nobody waits for it.
pub struct SecondPlace {
    store: Arc<dyn Store>,
    /// The newest of each chain that is not there yet: bounded by the number of chains.
    pending: Mutex<BTreeMap<ChainId, (u64, Envelope)>>,
    news: Notify,
    trouble: Mutex<Option<StoreError>>,
}

impl SecondPlace {
    /// The second place in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pending: Mutex::default(),
            news: Notify::new(),
            trouble: Mutex::default(),
        }
    }

    /// How many chains' newest checkpoint is not there yet.
    pub fn behind(&self) -> usize {
        self.pending().len()
    }

    /// Why it is not, where the last try failed.
    pub fn trouble(&self) -> Option<StoreError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    pub(crate) fn note(&self, trouble: Option<StoreError>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn tell(&self, chain: ChainId, last: u64, checkpoint: Envelope) {
        self.pending().insert(chain, (last, checkpoint));
        self.news.notify_one();
    }

    /// The newest checkpoint that stands there of a chain.
    ///
    /// # Errors
    /// Where it cannot be read, or is not signed by a key of the list: it then says nothing.
    pub(crate) async fn newest(
        &self,
        chain: ChainId,
        keys: &KeyList,
    ) -> Result<Option<Checkpoint>, LedgerError> {
        let newest = store::newest(&*self.store, layout::CHECKPOINTS, chain, layout::CHECKPOINT);
        let Some(last) = newest.await? else {
            return Ok(None);
        };
        let key = layout::checkpoint(chain, last);
        let bytes = self.store.get(&key).await;
        let bytes = bytes.map_err(|error| chains_own(chain, error))?;
        let broken = |fault| LedgerError::Broken { chain, key, fault };
        match bytes {
            None => Err(broken(Fault::Missing)),
            Some(bytes) => read(&bytes, chain, last, keys).map(Some).map_err(broken),
        }
    }

    /// Brings checkpoints there for as long as it is polled; after a failure again and again, less often.
    pub async fn follow(&self) {
        let mut wait = LINGER;
        loop {
            if self.behind() == 0 {
                self.news.notified().await;
            }
            tokio::time::sleep(wait).await;
            wait = match self.flush().await {
                Ok(()) => LINGER,
                Err(error) => {
                    tracing::warn!(%error, reason = error.failure.as_str(), "checkpoint not in the second place; trying again");
                    (wait * 2).min(LONGEST)
                }
            };
        }
    }

    /// Brings there what is not.
    ///
    /// # Errors
    /// Where the place fails, or holds something else: what is not there stays pending.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let pending = self.pending().clone();
        let mut trouble = None;
        for (chain, (last, checkpoint)) in pending {
            if let Err(error) = self.bring(chain, last, &checkpoint).await {
                // One chain that was forked keeps no other back; a place that fails does.
                let is_chains_own = error.failure == Failure::Untrue;
                trouble.get_or_insert(error);
                if is_chains_own {
                    continue;
                }
                break;
            }
            let mut pending = self.pending();
            if pending
                .get(&chain)
                .is_some_and(|(newest, _)| *newest == last)
            {
                pending.remove(&chain);
            }
        }
        self.note(trouble.clone());
        trouble.map_or(Ok(()), Err)
    }

    async fn bring(
        &self,
        chain: ChainId,
        last: u64,
        checkpoint: &Envelope,
    ) -> Result<(), StoreError> {
        let key = layout::checkpoint(chain, last);
        let failed = |failure, why: String| StoreError::of(&*self.store, &key, failure, why);
        let bytes =
            canonical(checkpoint).map_err(|error| failed(Failure::Malformed, error.to_string()))?;
        let bytes = Bytes::from(bytes);
        let claim = self.store.create(&key, bytes.clone()).await?;
        match self.store.get(&key).await? {
            Some(found) if found == bytes => Ok(()),
            Some(_) if claim == Claim::Taken => {
                let why = format!(
                    "another checkpoint of {chain} at {last} stands there: the record was forked"
                );
                Err(failed(Failure::Untrue, why))
            }
            _ => Err(failed(
                Failure::Untrue,
                "it said this was written and does not hold it".into(),
            )),
        }
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<ChainId, (u64, Envelope)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a checkpoint as it stands in the second place.
pub(crate) fn read(
    bytes: &[u8],
    chain: ChainId,
    last: u64,
    keys: &KeyList,
) -> Result<Checkpoint, Fault> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|error| Fault::Unreadable(error.to_string()))?;
    envelope.must_be(bytes)?;
    let checkpoint = Checkpoint::open(&envelope, keys)?;
    if checkpoint.chain != chain {
        return Err(Fault::OtherChain(checkpoint.chain));
    }
    if checkpoint.last != last {
        return Err(Fault::OtherContent("places"));
    }
    Ok(checkpoint)
}
