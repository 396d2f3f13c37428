//! The memory: a signed, chained record outside the cluster that outranks Git, survives everything and cannot be rewritten.
//!
//! No Kubernetes client, no policy of the platform: chains of entries, their signatures, the stores they lie in, and the
//! verification that anybody can run on a copy, offline, with the published key list (DSA 2.7 log protection, 2.13 proof).

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on panics")
)]

pub mod chain;
pub mod digest;
pub mod envelope;
pub mod event;
pub mod keys;
pub mod layout;
pub mod ledger;
#[cfg(feature = "s3")]
pub mod place;
pub mod second;
pub mod segment;
pub mod store;
pub mod verify;

pub use chain::{ChainId, Checkpoint, Draft, Entry};
pub use digest::{Digest, canonical};
pub use envelope::Envelope;
pub use event::Event;
pub use keys::{KeyList, PublicKey, Signer};
pub use ledger::{Base, Ledger, LedgerError, Recalled};
pub use second::SecondPlace;
pub use store::{Claim, Failure, Folder, Store, StoreError};
