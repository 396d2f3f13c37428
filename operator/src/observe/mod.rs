//! Metrics, logs, and the admin server (`/healthz`, `/readyz`, `/metrics`).

pub mod logs;
mod metrics;
mod server;

pub use metrics::Metrics;
pub use server::{Health, serve};
