//! What goes on behind everybody's back: notes into their chains, checkpoints into the second place, the record read once it can be.

use std::sync::Arc;
use std::time::Duration;

use tenure_evidence::{LedgerError, SecondPlace};
use tokio_util::sync::CancellationToken;

use super::Notes;
use crate::caches::PLATFORM;
use crate::context::Context;

/// How soon a record that could not be read is tried again; doubled up to [`LONGEST`].
const AGAIN: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);
/// Chains looked at in one round.
const SHARE: usize = 20;
/// How long an ending process waits for what is not recorded yet.
const LAST: Duration = Duration::from_secs(5);

/// Brings notes and checkpoints where they belong for as long as it is polled.
pub async fn follow(second: Option<Arc<SecondPlace>>, notes: Arc<Notes>) {
    let checkpoints = async {
        match second {
            Some(second) => second.follow().await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(checkpoints, notes.follow());
}

/// Records what waits before the process ends; what does not get through stays in the state folder, and newer checkpoints are brought
/// by whoever looks at their chains next.
pub async fn settle(second: Option<&SecondPlace>, notes: &Notes) {
    let all = async {
        while notes.waiting() > 0 {
            notes.flush().await?;
        }
        if let Some(second) = second {
            second.flush().await?;
        }
        Ok::<_, LedgerError>(())
    };
    match tokio::time::timeout(LAST, all).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, waiting = notes.waiting(), "not recorded before the end");
        }
        Err(_) => tracing::warn!(
            waiting = notes.waiting(),
            "not recorded before the end: the store is slow"
        ),
    }
}

/// Looks after the record until `stop`: reads it where that failed at the start, and then looks again and again whether it still is
/// what it was, a share of the chains at a time.
pub async fn attend(context: Arc<Context>, stop: CancellationToken) {
    let interval = Duration::from_secs(context.settings.interval_seconds);
    let (mut wait, mut after) = (Duration::ZERO, String::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let looked = match context.records.is_read() {
            true => look(&context, &mut after).await,
            false => read(&context).await,
        };
        context
            .metrics
            .record_read(context.records.is_read(), context.records.broken_chains());
        if context.records.is_read()
            && let Err(error) = context.records.complete().await
        {
            tracing::debug!(%error, reason = error.reason(), "not everything is recorded and copied yet");
        }
        wait = match looked {
            Ok(()) => interval,
            Err(error) => {
                tracing::warn!(%error, reason = error.reason(), "the record cannot be read");
                (wait.max(AGAIN) * 2).min(LONGEST)
            }
        };
    }
}

/// Reads the record for the first time, and lets everybody look again.
async fn read(context: &Context) -> Result<(), LedgerError> {
    context.records.catch_up().await?;
    tracing::info!("the record is read");
    for record in context.records.all_lasting() {
        context.hold(&record.tenant, record.namespaces.iter().map(String::as_str));
    }
    context.queue.wake(PLATFORM);
    context.wake_all();
    Ok(())
}

/// Looks at the next share of the chains.
async fn look(context: &Context, after: &mut String) -> Result<(), LedgerError> {
    let tenants = context.records.lasting();
    let next = tenants.iter().filter(|tenant| *tenant > after).take(SHARE);
    let share: Vec<String> = next.cloned().collect();
    *after = share.last().cloned().unwrap_or_default();
    if context.records.look(&share).await? {
        context.queue.wake(PLATFORM);
        context.wake_all();
    }
    Ok(())
}
