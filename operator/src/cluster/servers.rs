//! Every API server of the cluster, found and asked one by one.
//!
//! A Service address leads to any of them, and what one says proves nothing about the others. So each is asked at its own
//! address, with the operator's own credentials, verified by the name under which the operator verifies its API server. A
//! question that one does not answer is never put to another in its place.
//!
//! Asking writes nothing, so no claim is needed; but it is a POST, and those are sent from this room only.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Config};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::access::proof::{Answer, Heard, IDENTITY, Question, Round, Servers};

/// How long an API server may take to answer a question, connecting included.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Questions put to one API server at once; the others wait for their turn.
const AT_ONCE: usize = 16;
/// How long one that did not answer is left alone: thousands of questions must not each wait for it.
const SILENCE: Duration = Duration::from_secs(2);

/// Why the API servers could not be found.
#[derive(Debug, Error)]
#[error("the API servers of the cluster could not be counted: {what}: {source}")]
pub struct NotFound {
    what: &'static str,
    #[source]
    source: Box<kube::Error>,
}

/// Finds the API servers, and asks each.
pub struct ApiServers {
    /// The operator's own, to whichever API server it leads.
    client: Client,
    config: Config,
    peers: Mutex<HashMap<SocketAddr, Arc<Peer>>>,
}

impl ApiServers {
    /// `client` finds them; those that ask are made from `config`, the operator's own.
    pub fn new(client: Client, config: Config) -> Self {
        Self {
            client,
            config,
            peers: Mutex::default(),
        }
    }

    /// Counts them and finds their addresses. Connections to addresses that are gone are closed.
    ///
    /// # Errors
    /// Where their Leases or their EndpointSlice cannot be read; then nothing can be proven.
    pub async fn find(&self, now: Timestamp) -> Result<Servers, NotFound> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-system");
        let (label, value) = IDENTITY;
        let identities = ListParams::default().labels(&format!("{label}={value}"));
        let leases = within(
            "the identity Leases in kube-system",
            leases.list(&identities),
        );
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "default");
        let slice = within(
            "the EndpointSlice default/kubernetes",
            slices.get_opt("kubernetes"),
        );
        let (leases, slice) = futures::try_join!(leases, slice)?;
        let servers = Servers::count(&leases.items, slice.as_ref(), now);
        self.forget(&servers);
        Ok(servers)
    }

    /// Puts every question to every API server, and waits until each was answered or has failed.
    ///
    /// `clock` says when an answer came.
    pub async fn ask(
        &self,
        servers: Servers,
        questions: Vec<Question>,
        clock: &(dyn Fn() -> Timestamp + Sync),
    ) -> Round {
        let asked = servers.addresses.iter().map(async |server| {
            let peer = self.peer(*server);
            let answers = questions.iter().map(async |question| {
                let answer = match &peer {
                    Ok(peer) => peer.ask(question).await,
                    Err(error) => Answer::Unknown(told(error)),
                };
                Heard {
                    answer,
                    at: clock(),
                }
            });
            (*server, join_all(answers).await)
        });
        let heard = join_all(asked).await.into_iter().collect();
        Round {
            servers,
            questions,
            heard,
        }
    }

    /// The client of one API server, made when it is first asked.
    fn peer(&self, server: SocketAddr) -> Result<Arc<Peer>, kube::Error> {
        if let Some(peer) = self.peers().get(&server) {
            return Ok(peer.clone());
        }
        let client = Client::try_from(at(&self.config, server))?;
        let peer = Arc::new(Peer::new(client));
        self.peers().insert(server, peer.clone());
        Ok(peer)
    }

    fn forget(&self, servers: &Servers) {
        self.peers()
            .retain(|server, _| servers.addresses.contains(server));
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The configuration for one API server: everything as it is, but for where it leads and how long it waits.
fn at(config: &Config, server: SocketAddr) -> Config {
    let mut config = config.clone();
    // A certificate names the cluster's address, seldom each API server's own.
    let host = config
        .cluster_url
        .host()
        .map(|host| host.trim_matches(['[', ']']).to_owned());
    config.tls_server_name = config.tls_server_name.or(host);
    // A socket address is an authority, always; and the empty address would lead nowhere.
    config.cluster_url = http::Uri::builder()
        .scheme("https")
        .authority(server.to_string())
        .path_and_query("/")
        .build()
        .unwrap_or_default();
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    config
}

/// One API server.
struct Peer {
    reviews: Api<SubjectAccessReview>,
    turns: Semaphore,
    silent: Mutex<Option<(Instant, String)>>,
}

impl Peer {
    fn new(client: Client) -> Self {
        Self {
            reviews: Api::all(client),
            turns: Semaphore::new(AT_ONCE),
            silent: Mutex::default(),
        }
    }

    async fn ask(&self, question: &Question) -> Answer {
        let Ok(_turn) = self.turns.acquire().await else {
            return Answer::Unknown("this process ends".into());
        };
        if let Some(why) = self.silent() {
            return Answer::Unknown(why);
        }
        let review = question.review();
        let params = PostParams::default();
        let why = match timeout(ANSWER, self.reviews.create(&params, &review)).await {
            Ok(Ok(review)) => return Answer::of(review.status.as_ref()),
            // It is there, and refuses this question.
            Ok(Err(error @ kube::Error::Api(_))) => return Answer::Unknown(told(&error)),
            Ok(Err(error)) => told(&error),
            Err(_) => format!("no answer within {ANSWER:?}"),
        };
        *self.silence() = Some((Instant::now(), why.clone()));
        Answer::Unknown(why)
    }

    /// Why it did not answer a moment ago.
    fn silent(&self) -> Option<String> {
        let silence = self.silence();
        let (since, why) = silence.as_ref()?;
        (since.elapsed() < SILENCE).then(|| why.clone())
    }

    fn silence(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes: "client error" alone says nothing.
fn told(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

async fn within<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, NotFound> {
    let answer = timeout(ANSWER, request).await;
    let answer = answer.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())));
    answer.map_err(|error| NotFound {
        what,
        source: Box::new(error),
    })
}

#[cfg(test)]
#[path = "servers_tests.rs"]
mod tests;
