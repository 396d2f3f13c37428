//! Where the record lies: a small trait, so that a folder and a bucket hold the same thing in the same way.

mod folder;
#[cfg(feature = "s3")]
mod s3;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::chain::ChainId;
use crate::layout;
use thiserror::Error;

pub use folder::Folder;
#[cfg(feature = "s3")]
pub use s3::{Credentials, Lock, LockMode, S3, S3Settings};

/// How long one request may take before it counts as failed.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The largest object that is written or read, in bytes; the ledger keeps its segments well below. What is larger is none of a record.
/// Some are read at once, by a process that has little memory.
pub const MOST_BYTES: usize = 8 << 20;

/// What came of claiming a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The place was free and holds our bytes now.
    Made,
    /// Somebody was there before; their bytes stand.
    Taken,
}

/// One object as a listing shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its name in the folder, without the folder.
    pub name: String,
    /// How often something was written or deleted under this key: 1, unless the store keeps versions and somebody overwrote it.
    pub versions: u32,
}

/// A place that keeps what was once written to it.
///
/// Keys are `/`-separated names without empty parts. Nothing is ever overwritten or deleted through this trait. Where a store
/// keeps versions, the *first* version of a key is the one that counts: whoever overwrites or deletes later changes nothing.
pub trait Store: Send + Sync {
    /// Where it is, for messages: a path or an address, without credentials.
    fn place(&self) -> String;

    /// Writes `bytes` under `key` if nothing is there; durable once answered.
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes)
    -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// What was first written under `key`.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>>;

    /// The objects directly in `folder` (no `/` at its end), in the order of their names' bytes, a page at a time.
    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>>;

    /// The folders directly in `folder`, in the order of their names' bytes with a `/` at the end.
    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>>;
}

/// What kind of failure a store's is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It is not there, or cannot be reached.
    Unreachable,
    /// It did not answer in time; whether it did the work is not known.
    TimedOut,
    /// It has no room.
    Full,
    /// It takes no writes.
    ReadOnly,
    /// It does not let us.
    Refused,
    /// It said something was written, and does not hold it.
    Untrue,
    /// It is not laid out as a record is.
    Malformed,
}

impl Failure {
    /// The reason as it stands in conditions and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "StoreUnreachable",
            Self::TimedOut => "StoreTimedOut",
            Self::Full => "StoreFull",
            Self::ReadOnly => "StoreReadOnly",
            Self::Refused => "StoreRefused",
            Self::Untrue => "StoreUntrue",
            Self::Malformed => "StoreMalformed",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => "is it mounted and reachable from here?",
            Self::TimedOut => "is it overloaded?",
            Self::Full => "give it room; nothing was lost, it is tried again",
            Self::ReadOnly => "mount it writable; nothing was lost, it is tried again",
            Self::Refused => "give this identity the rights to create, read and list there",
            Self::Untrue => "do not trust this store; see the runbook record-store",
            Self::Malformed => "look at what else writes there; see the runbook record-broken",
        }
    }
}

/// A request to the store that failed.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub struct StoreError {
    /// Which store.
    pub place: String,
    /// The key or folder concerned.
    pub key: String,
    /// What kind of failure.
    pub failure: Failure,
    /// What the store said.
    pub why: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            key,
            failure,
            why,
        } = self;
        write!(
            out,
            "record store {place}, {key}: {why}; {}",
            failure.advice()
        )
    }
}

impl StoreError {
    /// A request of `store` that failed.
    pub(crate) fn of(
        store: &(impl Store + ?Sized),
        key: &str,
        failure: Failure,
        why: impl ToString,
    ) -> Self {
        Self {
            place: store.place(),
            key: key.to_owned(),
            failure,
            why: why.to_string(),
        }
    }
}

/// Refuses an object that is larger than any of a record.
pub(crate) fn must_fit(
    store: &(impl Store + ?Sized),
    key: &str,
    bytes: usize,
) -> Result<(), StoreError> {
    match bytes <= MOST_BYTES {
        true => Ok(()),
        false => Err(too_large(store, key)),
    }
}

pub(crate) fn too_large(store: &(impl Store + ?Sized), key: &str) -> StoreError {
    let why =
        format!("it is larger than any part of a record, which has at most {MOST_BYTES} bytes");
    StoreError::of(store, key, Failure::Malformed, why)
}

/// Gives up on a store's work after [`DEADLINE`].
pub(crate) async fn within<T>(
    store: &impl Store,
    key: &str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| {
            let why = format!("no answer within {} s", DEADLINE.as_secs());
            Err(StoreError::of(store, key, Failure::TimedOut, why))
        })
}

/// Most folders and most objects of one folder that are looked at for the newest place: a hundred times what a record has.
const MOST_FOLDERS: usize = 1_000_000;
const MOST_OBJECTS: usize = 1_000_000;

/// The highest place of a chain that anything is named after below `root`.
///
/// # Errors
/// Where the store cannot be read.
pub async fn newest(
    store: &dyn Store,
    root: &str,
    id: ChainId,
    ending: &str,
) -> Result<Option<u64>, StoreError> {
    let folder = layout::chain(root, id);
    let too_many = |key: &str, what: &str| {
        let why = format!("it holds more {what} than a record ever does");
        StoreError::of(store, key, Failure::Malformed, why)
    };
    let mut folders = store.folders(&folder);
    let mut shards = Vec::new();
    while let Some(name) = folders.try_next().await? {
        shards.extend(layout::shard_number(&name));
        if shards.len() > MOST_FOLDERS {
            return Err(too_many(&folder, "folders"));
        }
    }
    for shard in shards.into_iter().rev() {
        let folder = layout::shard_of(root, id, shard);
        let mut objects = store.objects(&folder);
        let (mut newest, mut count) = (None, 0);
        while let Some(object) = objects.try_next().await? {
            newest = newest.max(layout::place(&object.name, ending));
            count += 1;
            if count > MOST_OBJECTS {
                return Err(too_many(&folder, "objects"));
            }
        }
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}
