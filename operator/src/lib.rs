//! The hands of Tenure: the process that keeps every tenant as its agreement demands.
//!
//! One reconcile is five calls, each its own file: `dereference` (from caches), `validate` (pure),
//! `build` (pure), `apply` (the only one that writes), `status` (pure, written where it differs).

pub mod access;
pub mod approval;
pub mod assess;
pub mod caches;
pub mod cluster;
pub mod context;
mod end;
pub mod evaluations;
pub mod guards;
pub mod isolation;
pub mod observe;
pub mod pass;
pub mod platform;
pub mod policy;
pub mod probe;
pub mod record;
pub mod retention;
pub mod run;
pub mod settings;
pub mod support;
pub mod tenant;
pub mod uninstall;
