//! The only code that writes to Kubernetes, and the caches everything else reads from.
//!
//! Writes go through [`Writer`], which knows the closed list of [`Kind`]s, compares before it
//! writes, and puts uid and resourceVersion preconditions on what it changes or deletes. Questions to
//! API servers, which are POSTs that change nothing, are [`ApiServers`]' to ask.

pub mod cache;
pub mod candidacy;
pub mod clocks;
pub mod diff;
pub mod events;
pub mod keep;
pub mod kind;
pub mod leadership;
pub mod queue;
pub mod servers;
pub mod writer;

pub use cache::{Cache, Change, Handover, PackedCache};
pub use candidacy::Candidacy;
pub use clocks::{Clocks, Moment};
pub use keep::Packed;
pub use kind::Kind;
pub use queue::Queue;
pub use servers::ApiServers;
pub use writer::{Needed, WriteError, Writer};
