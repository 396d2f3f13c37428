//! The test harness: a real control plane per test binary, and everything one does with it.
pub mod access;
pub mod audit;
pub mod bench;
pub mod command;
pub mod demo;
pub mod gitops;
pub mod helm;
pub mod identity;
pub mod image;
pub mod install;
pub mod kubectl;
pub mod monitoring;
pub mod node;
pub mod operator;
pub mod paths;
pub(crate) mod pki;
pub mod plane;
pub mod process;
pub mod proxy;
pub mod stack;
pub mod wait;

pub use access::Access;
pub use identity::Identity;
pub use operator::{Operator, OperatorOptions};
pub use plane::{Plane, PlaneOptions};
pub use proxy::Proxy;
pub use wait::{always, eventually};
