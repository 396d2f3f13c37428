//! Standing for the Lease on a thread of its own, over a connection of its own: what keeps every other thread and connection busy
//! (thousands of grants that end at one instant) never costs leadership, and so never stops the work itself.

use std::io;
use std::sync::Arc;

use kube::Client;
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::leadership::{Candidate, Claim, Election, Lost};

/// Nobody can stand for the Lease.
#[derive(Debug, Error)]
pub enum NoCandidacy {
    /// No thread.
    #[error("no thread to keep the leader's Lease on")]
    Thread(#[from] io::Error),
    /// No client.
    #[error("no client to keep the leader's Lease through")]
    Client(#[from] kube::Error),
}

/// A candidate for the Lease. Dropped, it stands no more; a Lease that was won and not released ends by itself.
pub struct Candidacy {
    election: Arc<Election>,
    thread: Thread,
}

impl Candidacy {
    /// Stands for the Lease in `namespace`, through the client that `connect` makes: without a fence, and on the thread that uses it,
    /// since a client works where it was made.
    ///
    /// # Errors
    /// Where no thread can be started, or no client be made.
    pub fn stand(
        connect: impl FnOnce() -> kube::Result<Client>,
        namespace: &str,
        me: Candidate,
    ) -> Result<Self, NoCandidacy> {
        let thread = Thread::start()?;
        let client = {
            let _there = thread.handle.enter();
            connect()?
        };
        Ok(Self {
            election: Arc::new(Election::new(client, namespace, me)),
            thread,
        })
    }

    /// The claim, which holds while this candidate leads.
    pub fn claim(&self) -> &Claim {
        self.election.claim()
    }

    /// Waits until this candidate leads, however long.
    ///
    /// # Errors
    /// Where what it knows of the cluster is not so any more.
    pub async fn won(&self) -> Result<(), Lost> {
        let election = self.election.clone();
        let won = self.there(async move { election.win().await }).await;
        won.unwrap_or_else(|error| Err(Lost::because(&error)))
    }

    /// Waits until it leads no more; while nobody waits, the Lease is not renewed.
    pub async fn lost(&self) -> Lost {
        let election = self.election.clone();
        let lost = self.there(async move { election.keep().await }).await;
        lost.unwrap_or_else(|error| Lost::because(&error))
    }

    /// Lets the next one lead at once. To be called when nothing writes any more.
    pub async fn release(&self) {
        let election = self.election.clone();
        if let Err(error) = self.there(async move { election.release().await }).await {
            tracing::warn!(%error, "the leader's Lease was not released; it ends by itself");
        }
    }

    /// Does it on the thread of its own, as long as somebody waits for it.
    async fn there<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        AbortOnDropHandle::new(self.thread.handle.spawn(work)).await
    }
}

/// A thread that works on nothing else; it ends when this is dropped.
struct Thread {
    handle: Handle,
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

impl Thread {
    fn start() -> io::Result<Self> {
        let mut thread = Builder::new_multi_thread();
        let thread = thread.worker_threads(1).thread_name("lease").enable_all();
        let runtime = thread.build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // One that waits for its threads may not be dropped where others run.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_no_client_hears_why() {
        let connect = || Err(kube::Error::LinesCodecMaxLineLengthExceeded);
        let stood = Candidacy::stand(connect, "tenure", Candidate::this(None));
        assert!(matches!(stood, Err(NoCandidacy::Client(_))));
    }
}
