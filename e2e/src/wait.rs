//! Waiting for something to become true, with a text that helps when it does not.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Calls `look` until it succeeds, and returns what it found.
///
/// `what` names the expected state ("tenant acme is Ready"); the error of the last look says what was seen instead.
///
/// # Errors
///
/// When `limit` passes without success: what was awaited, for how long, how often it was looked at, and the last error.
///
/// ```no_run
/// # use std::time::Duration; use tenure_e2e::eventually;
/// # async fn doc(api: kube::Api<k8s_openapi::api::core::v1::Namespace>) -> anyhow::Result<()> {
/// let namespace = eventually(Duration::from_secs(10), "namespace acme-prod exists", async || {
///     Ok(api.get("acme-prod").await?)
/// })
/// .await?;
/// # Ok(()) }
/// ```
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let mut looks = 0_u32;
    loop {
        looks += 1;
        let found = tokio::time::timeout(limit.max(Duration::from_secs(5)), look()).await;
        let error = match found {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("one look took longer than the whole limit"),
        };
        if start.elapsed() >= limit {
            return Err(anyhow!(
                "not seen within {limit:?} ({looks} looks): {what}; last seen: {error:#}"
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again for the whole of `time` and fails as soon as `look` fails: for what must *stay* so.
///
/// # Errors
///
/// The first failure of `look`, with the moment it came.
pub async fn always(
    time: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        look().await.map_err(|error| {
            anyhow!(
                "after {:?} no longer true: {what}: {error:#}",
                start.elapsed()
            )
        })?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
