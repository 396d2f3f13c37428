//! One writer at a time: a Lease says who leads, and every write asks whether this process still may.
//!
//! A Lease alone does not fence: a process that was paused wakes up believing what it last knew. So the right to write
//! is a [`Claim`] with an end on this machine's monotonic clock, which comes before anybody else may take over.
//! Nobody compares clocks with anybody: a candidate waits until *it* has seen no renewal for the Lease's whole length,
//! so a clock that is set by an hour changes nothing.
//!
//! The Lease also shows whether the store behind the API server has gone back in time, as one does that is restored
//! from a backup: its watches then go on in silence, and what was cached stays for ever. Whoever sees an older Lease
//! than before ends, and starts again from what the store holds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::client::Body;
use kube::{Api, Client};
use tenure_crds::keys;
use thiserror::Error;
use tokio::time::{sleep, timeout};
use tower::{BoxError, service_fn};

/// How long a Lease holds after its last renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long a claim holds after the request that renewed it was sent; the rest of the Lease is the margin in which a
/// write under way comes to its end.
const CLAIM: Duration = Duration::from_secs(10);
/// Between two renewals.
const RENEW: Duration = Duration::from_secs(2);
/// Between two looks of a candidate, unless the Lease ends sooner.
const LOOK: Duration = Duration::from_secs(1);
/// How long one request about the Lease may take.
const REQUEST: Duration = Duration::from_secs(3);

/// A write was not sent, because this process does not lead (any more).
#[derive(Debug, Error)]
#[error("not the leader: {method} {path} was not sent")]
pub struct NotLeading {
    method: Method,
    path: String,
}

/// This process must end: somebody else leads, or may, or what it knows is not so any more.
#[derive(Debug, Error)]
#[error("leadership lost: {why}")]
pub struct Lost {
    why: String,
}

impl Lost {
    /// Whoever kept the Lease did not come back.
    pub fn because(error: &tokio::task::JoinError) -> Self {
        Self {
            why: error.to_string(),
        }
    }
}

/// The right to write, until an instant of the monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Claim(Arc<Mutex<Option<Instant>>>);

impl Claim {
    /// Whether this process may write now.
    pub fn holds(&self) -> bool {
        self.holds_at(Instant::now())
    }

    fn holds_at(&self, now: Instant) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|until| now < until)
    }

    fn extend(&self, asked: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked + CLAIM);
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A client through which nothing is written without this claim. Reads pass.
    ///
    /// Between the question and the sending lie microseconds in which a process can still be paused; such a write goes
    /// out when it wakes. What it replaces or deletes it names by resourceVersion, so it then comes too late.
    pub fn fence(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let claim = self.clone();
        let fence = service_fn(move |request: Request<Body>| {
            let (claim, client) = (claim.clone(), client.clone());
            async move {
                let reads = matches!(*request.method(), Method::GET | Method::HEAD);
                if !reads && !claim.holds() {
                    return Err(BoxError::from(NotLeading {
                        method: request.method().clone(),
                        path: request.uri().path().to_owned(),
                    }));
                }
                client.send(request).await.map_err(BoxError::from)
            }
        });
        Client::new(fence, namespace)
    }
}

/// Who a candidate is: a pod's name, and which of its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pod: String,
    process: String,
}

impl Candidate {
    /// This process in `pod`; a name of its own where there is no pod.
    pub fn this(pod: Option<&str>) -> Self {
        Self {
            pod: pod.map_or_else(|| format!("process-{}", std::process::id()), str::to_owned),
            process: uuid::Uuid::new_v4().to_string(),
        }
    }

    /// As the Lease names it. A pod's name holds no underscore.
    fn identity(&self) -> String {
        format!("{}_{}", self.pod, self.process)
    }

    /// Whether a holder is an earlier process of the same pod. A pod runs one operator at a time: that one is dead.
    fn succeeds(&self, holder: &str) -> bool {
        holder
            .rsplit_once('_')
            .is_some_and(|(pod, process)| pod == self.pod && process != self.process)
    }
}

/// What a candidate does next. Pure.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There is no Lease: make it.
    Create,
    /// It is ours or nobody's: write it.
    Write,
    /// Somebody leads: look again after this long.
    Wait(Duration),
}

/// `unchanged` is how long this candidate itself has seen the Lease as it is.
fn next(lease: Option<&Lease>, me: &Candidate, unchanged: Duration) -> Next {
    let Some(lease) = lease else {
        return Next::Create;
    };
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
    match holder {
        None | Some("") => return Next::Write,
        Some(holder) if holder == me.identity() || me.succeeds(holder) => return Next::Write,
        Some(_) => {}
    }
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    let length = seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(LEASE, Duration::from_secs);
    match length.checked_sub(unchanged) {
        None | Some(Duration::ZERO) => Next::Write,
        Some(left) => Next::Wait(left.min(LOOK)),
    }
}

/// The Lease with `me` as its holder, renewed now.
fn held(lease: Option<Lease>, me: &Candidate, now: Timestamp) -> Lease {
    let mut lease = lease.unwrap_or_default();
    let before = lease.spec.take().unwrap_or_default();
    let identity = me.identity();
    let is_mine = before.holder_identity.as_ref() == Some(&identity);
    let turns = before.lease_transitions.unwrap_or_default();
    lease.metadata = ObjectMeta {
        name: Some(keys::LEADER_LEASE.into()),
        ..lease.metadata
    };
    lease.spec = Some(LeaseSpec {
        acquire_time: if is_mine {
            before.acquire_time
        } else {
            Some(MicroTime(now))
        },
        lease_transitions: Some(if is_mine {
            turns
        } else {
            turns.saturating_add(1)
        }),
        holder_identity: Some(identity),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
        ..before
    });
    lease
}

/// The newest state of the Lease that was seen.
#[derive(Debug, Default)]
struct Newest(Mutex<u128>);

impl Newest {
    /// Takes note of a Lease; an error where it is older than one seen before, which no running store shows.
    fn note(&self, lease: &Lease) -> Result<(), Lost> {
        let version = lease.metadata.resource_version.as_deref();
        let Some(version) = version.and_then(|text| text.parse().ok()) else {
            return Ok(());
        };
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if version < *newest {
            return Err(Lost {
                why: format!(
                    "the API server's data is older than what this process has seen (the Lease's version is {version}, it \
                     was {newest}): a backup was restored; starting again from what is there"
                ),
            });
        }
        *newest = version;
        Ok(())
    }
}

/// A candidate at the Lease.
pub struct Election {
    api: Api<Lease>,
    me: Candidate,
    claim: Claim,
    newest: Newest,
    /// When the Lease was last looked at.
    looked: Mutex<Option<Instant>>,
}

impl Election {
    /// Stands for the Lease in `namespace`, through a client without a fence.
    pub fn new(client: Client, namespace: &str, me: Candidate) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            me,
            claim: Claim::default(),
            newest: Newest::default(),
            looked: Mutex::default(),
        }
    }

    /// The claim, which holds while this candidate leads.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Waits until the Lease was looked at, however long.
    pub async fn see(&self) {
        while let Err(Setback::Failed(error)) = self.look().await {
            tracing::debug!(%error, "the leader's Lease was not looked at; trying again");
            sleep(LOOK).await;
        }
    }

    /// Looks at the Lease until it is older than it was.
    pub async fn older(&self) -> Lost {
        loop {
            sleep(LOOK).await;
            if let Err(Setback::Lost(lost)) = self.look().await {
                return lost;
            }
        }
    }

    /// Waits until this candidate leads, however long.
    ///
    /// # Errors
    /// Where what it knows of the cluster is not so any more.
    pub async fn win(&self) -> Result<(), Lost> {
        let mut seen: (Option<String>, Instant) = (None, Instant::now());
        loop {
            let pause = match self.attempt(&mut seen).await {
                Ok(None) => return Ok(()),
                Ok(Some(wait)) => wait,
                Err(Setback::Lost(lost)) => return Err(lost),
                Err(Setback::Failed(error)) => {
                    tracing::debug!(%error, "not elected; trying again");
                    LOOK
                }
            };
            sleep(pause).await;
        }
    }

    /// Keeps leading; returns when that is over.
    ///
    /// An API server that cannot be reached may come back with another store behind it, so nothing is written until
    /// the Lease has been seen again.
    pub async fn keep(&self) -> Lost {
        let (mut renewed, mut pause) = (Instant::now(), RENEW);
        loop {
            sleep(pause).await;
            let asked = Instant::now();
            pause = RENEW;
            match self.renew().await {
                Ok(()) => renewed = asked,
                Err(Setback::Lost(lost)) => {
                    self.claim.end();
                    return lost;
                }
                Err(Setback::Failed(error)) if renewed.elapsed() >= CLAIM => {
                    self.claim.end();
                    let why = error.to_string();
                    return Lost { why };
                }
                Err(Setback::Failed(error)) => {
                    tracing::warn!(%error, "the leader's Lease was not renewed; trying again");
                    if !matches!(error, kube::Error::Api(_)) {
                        self.claim.end();
                        pause = LOOK;
                    }
                }
            }
        }
    }

    /// Lets the next one lead at once. To be called when nothing writes any more.
    ///
    /// A Lease that went back is left as it is: it is by its age that the others see it, too.
    pub async fn release(&self) {
        self.claim.end();
        let freed = async {
            let Some(mut lease) = self.look().await?.filter(|lease| self.is_mine(lease)) else {
                return Ok(());
            };
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
            }
            self.write(&lease).await
        };
        if let Ok(Err(error)) = timeout(REQUEST, freed).await {
            tracing::warn!(%error, "the leader's Lease was not released; it ends by itself");
        }
    }

    /// One look, and the write where it is this candidate's turn. Nothing when won; else how long to wait.
    async fn attempt(
        &self,
        seen: &mut (Option<String>, Instant),
    ) -> Result<Option<Duration>, Setback> {
        let lease = self.look().await?;
        let version = lease
            .as_ref()
            .and_then(|lease| lease.metadata.resource_version.clone());
        if seen.0 != version {
            *seen = (version, Instant::now());
        }
        let asked = Instant::now();
        match next(lease.as_ref(), &self.me, seen.1.elapsed()) {
            Next::Wait(wait) => return Ok(Some(wait)),
            Next::Create => {
                self.create(&held(None, &self.me, Timestamp::now())).await?;
            }
            Next::Write => self.write(&held(lease, &self.me, Timestamp::now())).await?,
        }
        self.claim.extend(asked);
        Ok(None)
    }

    async fn renew(&self) -> Result<(), Setback> {
        let asked = Instant::now();
        let lease = self.look().await?;
        // Somebody deleted it: it is made again, under the same name, unless another was quicker.
        if let Some(lease) = &lease
            && !self.is_mine(lease)
        {
            let holder = lease
                .spec
                .as_ref()
                .and_then(|spec| spec.holder_identity.clone());
            return Err(Setback::Lost(Lost {
                why: format!("the Lease is held by {:?}", holder.unwrap_or_default()),
            }));
        }
        let next = held(lease.clone(), &self.me, Timestamp::now());
        match lease {
            Some(_) => self.write(&next).await?,
            None => self.create(&next).await?,
        }
        self.claim.extend(asked);
        Ok(())
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_ref());
        holder.is_some_and(|holder| *holder == self.me.identity())
    }

    async fn look(&self) -> Result<Option<Lease>, Setback> {
        let lease = within(self.api.get_opt(keys::LEADER_LEASE)).await;
        self.sighted(&lease)?;
        let lease = lease?;
        if let Some(lease) = &lease {
            self.newest.note(lease)?;
        }
        Ok(lease)
    }

    /// Takes note of a look. Whoever did not see the Lease for as long as it holds does not know whether the store went back meanwhile: that takes
    /// longer, and a Lease that nobody had renewed since the snapshot would be as it was.
    fn sighted<T>(&self, look: &Result<T, kube::Error>) -> Result<(), Lost> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = looked.map(|looked| looked.elapsed());
        match look {
            // Whoever asks for patience is there, and what it serves has not been away.
            Err(kube::Error::Api(status)) if status.code == 429 => return Ok(()),
            Err(_) => {}
            Ok(_) => *looked = Some(Instant::now()),
        }
        match unseen {
            Some(unseen) if unseen >= LEASE => Err(Lost {
                why: format!(
                    "the leader's Lease was not seen for {} s, and what happened to the cluster's data meanwhile is not known; starting again from \
                     what is there",
                    unseen.as_secs()
                ),
            }),
            _ => Ok(()),
        }
    }

    async fn create(&self, lease: &Lease) -> Result<(), Setback> {
        let written = within(self.api.create(&PostParams::default(), lease)).await?;
        Ok(self.newest.note(&written)?)
    }

    /// Under the resourceVersion that was looked at: of two candidates one is refused.
    async fn write(&self, lease: &Lease) -> Result<(), Setback> {
        let params = PostParams {
            field_manager: Some(keys::FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let written = within(self.api.replace(keys::LEADER_LEASE, &params, lease)).await?;
        Ok(self.newest.note(&written)?)
    }
}

/// Why the Lease is not held now.
#[derive(Debug, Error)]
enum Setback {
    /// It is over.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A request failed; the next may not.
    #[error(transparent)]
    Failed(#[from] kube::Error),
}

/// A request that must not hang: a hanging one would keep a leader from noticing that it is none.
async fn within<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    timeout(REQUEST, request)
        .await
        .unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;
