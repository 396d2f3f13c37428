//! Approvals: over what a person decides, and whether the decision counts (DSA 2.4, DSA 4).
//!
//! Pure: no client, no clock, no environment. An approval names a [`digest`] of the thing as the
//! person saw it; its [`standing`] says whether it counts now, and [`Tally`] whether
//! those that count suffice.

pub mod digest;
pub mod gaps;
pub mod persons;
pub mod standing;

pub use digest::{
    DIGEST_VERSION, Stays, Subject, TakenOver, UnknownVersion, attestation_digest, current_digest,
    digest,
};
pub use gaps::{Gap, Gaps};
pub use persons::{Owner, Person, Persons};
pub use standing::{
    Asked, Context, Counted, Outcome, Requester, Standing, Tally, VoidReason, approvals_needed,
    condition, decided_own, expires_at, standing,
};
