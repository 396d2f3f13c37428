//! The admin server: liveness, readiness, metrics. Plain HTTP inside the cluster; it says nothing
//! that is not in the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// How far the operator has come.
#[derive(Clone, Default)]
pub struct Health(Arc<AtomicU8>);

const STANDBY: u8 = 1;
const LEADING: u8 = 2;

impl Health {
    /// The caches are filled; another process leads.
    pub fn stands_by(&self) {
        self.0.store(STANDBY, Ordering::Release);
    }

    /// The record is replayed, reconciling has begun.
    pub fn leads(&self) {
        self.0.store(LEADING, Ordering::Release);
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    health: Health,
}

/// Serves until `stop`.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Health,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(self::metrics))
        .with_state(Admin { metrics, health });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.health.0.load(Ordering::Acquire) {
        LEADING => (StatusCode::OK, "ok, leading\n"),
        STANDBY => (StatusCode::OK, "ok, standing by\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "caches are filling\n"),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.metrics.render() {
        Ok(text) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            error.to_string(),
        ),
    }
}
