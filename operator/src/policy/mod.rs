//! The platform's settings: what of a TenancyPolicy is in force, and what must wait.
//!
//! Pure: no client, no clock, no environment. The way of a setting:
//!
//! 1. [`accepted::Accepted::from_spec`] parses the written object; what does not parse is never in
//!    force.
//! 2. [`loosening::merge_accepted`] weighs it against what is in force: a tightening counts at once,
//!    a loosening waits for an approval.
//! 3. The spec in force is parsed into [`Accepted`], and after that nobody reads a raw
//!    `TenancyPolicySpec`. [`parameters::guard_parameters`] hands the guards their part of it.

pub mod accepted;
pub mod loosening;
pub mod parameters;
pub mod ports;
pub mod quantity;

#[cfg(test)]
pub(crate) mod samples;

pub use accepted::{Accepted, Invalid, ParsedBaseline};
pub use loosening::{Decision, Loosening, Permission, loosens, merge_accepted, tenant_loosens};
pub use parameters::guard_parameters;
