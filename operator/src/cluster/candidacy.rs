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
    there: Handle,
    /// What `there` leads to; taken when dropped.
    thread: Option<Runtime>,
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
        let mut thread = Builder::new_multi_thread();
        let thread = thread.worker_threads(1).thread_name("lease").enable_all();
        let thread = thread.build()?;
        let there = thread.handle().clone();
        let client = {
            let _there = thread.enter();
            connect()
        };
        match client {
            Ok(client) => Ok(Self {
                election: Arc::new(Election::new(client, namespace, me)),
                there,
                thread: Some(thread),
            }),
            Err(error) => {
                thread.shutdown_background();
                Err(error.into())
            }
        }
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
        AbortOnDropHandle::new(self.there.spawn(work)).await
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A runtime that waits for its threads may not be dropped where others run.
            thread.shutdown_background();
        }
    }
}
