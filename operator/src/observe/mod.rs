//! Metrics, logs, and the admin server (`/healthz`, `/readyz`, `/metrics`).

pub mod logs;
mod metrics;
pub mod panics;
mod server;
mod tenants;

pub use metrics::{Family, GrantFigures, Metrics, RecordFigures, ReviewFigures, docs_table};
pub use server::{Health, serve};
