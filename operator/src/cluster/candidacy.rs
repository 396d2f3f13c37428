//! Standing for the Lease on a thread of its own, over a connection of its own: what keeps every other thread and connection busy
//! (thousands of grants that end at one instant) never costs leadership, and so never stops the work itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::end;

use super::leadership::{Candidate, Claim, Election, Lost};

/// How long a process that lost may take to stop what it does.
const LAST: Duration = Duration::from_secs(20);

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

/// A candidate for the Lease. Dropped, it stands no more; a Lease that was won and not released ends by itself. Whoever lost drops it
/// soon: a process that hangs would neither lead nor stand by, and is ended.
pub struct Candidacy {
    election: Arc<Election>,
    thread: Thread,
    last: Duration,
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
            last: LAST,
        })
    }

    /// The claim, which holds while this candidate leads.
    pub fn claim(&self) -> &Claim {
        self.election.claim()
    }

    /// Waits until the Lease was looked at, however long. To be called before anything else is read: a store that goes back after
    /// that, to before the Lease was last renewed, is noticed.
    ///
    /// # Errors
    /// Where the thread that looks ended.
    pub async fn seen(&self) -> Result<(), Lost> {
        let election = self.election.clone();
        let seen = self.there(async move { election.see().await }).await;
        seen.map_err(|error| Lost::because(&error))
    }

    /// Waits until what was read since is known to be old, looking at the Lease again and again. To be polled until it stands.
    pub async fn older(&self) -> Lost {
        let election = self.election.clone();
        let older = self.there(async move { election.older().await }).await;
        older.unwrap_or_else(|error| Lost::because(&error))
    }

    /// Waits until this candidate leads, however long.
    ///
    /// # Errors
    /// Where what it knows of the cluster is not so any more.
    pub async fn won(&self) -> Result<(), Lost> {
        let (election, last) = (self.election.clone(), self.last);
        let won = async move {
            let won = election.win().await;
            if won.is_err() {
                tokio::spawn(end_the_process(last));
            }
            won
        };
        let won = self.there(won).await;
        won.unwrap_or_else(|error| Err(Lost::because(&error)))
    }

    /// Waits until it leads no more; while nobody waits, the Lease is not renewed.
    pub async fn lost(&self) -> Lost {
        let (election, last) = (self.election.clone(), self.last);
        let lost = async move {
            let lost = election.keep().await;
            tokio::spawn(end_the_process(last));
            lost
        };
        let lost = self.there(lost).await;
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

/// Ends the process after this time. It goes with the thread it waits on.
async fn end_the_process(after: Duration) {
    tokio::time::sleep(after).await;
    end::at_once(move || {
        tracing::error!(
            ?after,
            "leadership is lost and what was under way does not stop: the process ends; report this as a defect"
        );
    });
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
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;
    use crate::end::trial::ended_by;

    #[tokio::test]
    async fn who_has_no_client_hears_why() {
        let connect = || Err(kube::Error::LinesCodecMaxLineLengthExceeded);
        let stood = Candidacy::stand(connect, "tenure", Candidate::this(None));
        assert!(matches!(stood, Err(NoCandidacy::Client(_))));
    }

    /// A client of an API server that knows another leader.
    fn led_by_another() -> Client {
        let server = service_fn(|_: Request<Body>| async {
            let lease = json!({"metadata": {"name": "tenure-operator"}, "spec": {"holderIdentity": "another"}});
            Ok::<_, Infallible>(Response::new(Body::from(lease.to_string().into_bytes())))
        });
        Client::new(server, "tenure")
    }

    #[test]
    fn whoever_lost_and_hangs_is_ended() {
        let path = "cluster::candidacy::tests::whoever_lost_and_hangs_is_ended";
        let mut kept = None;
        let said = ended_by(path, || {
            let connect = || Ok(led_by_another());
            let me = Candidacy::stand(connect, "tenure", Candidate::this(None)).unwrap();
            let me = kept.insert(me);
            me.last = Duration::from_millis(100);
            let lost = Runtime::new().unwrap().block_on(me.lost());
            eprintln!("{lost}");
        });
        assert!(said.contains(r#"the Lease is held by "another""#), "{said}");
    }
}
