//! The probe pair: one flow that a policy allows and one that it denies, opened to a pod that is new each time.
//!
//! NetworkPolicies are objects; only packets show that somebody enforces them. A pod that has run for a while shows
//! nothing about an enforcer that died since: what it had programmed stays. So the chart's CronJob starts a fresh
//! target ([`target`]) every interval, and the operator dials it: its policy admits the operator at one port, nobody
//! at the other, and lets it reach nothing.

mod judge;
pub mod target;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tenure_controls::facts::ProbeResult;
use tenure_crds::keys;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::judge::{Report, Seen};
use crate::context::Context;

/// Port at which the target's policy admits the operator.
pub const ALLOWED_PORT: u16 = 8081;
/// Port at which the target listens and its policy admits nobody.
pub const DENIED_PORT: u16 = 8082;
/// Label value (`app.kubernetes.io/component`) of the targets.
const COMPONENT: &str = "probe";
/// How long an enforcer may take to know a new pod.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one connection may take.
const DIAL: Duration = Duration::from_secs(2);
/// Between two looks at the same target.
const AGAIN: Duration = Duration::from_secs(1);
/// Targets remembered as probed; there is one at a time.
const REMEMBERED: usize = 16;
/// A target's report is one short line.
const REPORT_BYTES: u64 = 256;

/// Probes each new target until `stop`.
pub async fn follow(context: Arc<Context>, client: Client, stop: CancellationToken) {
    let pods: Api<Pod> = Api::namespaced(client, &context.settings.namespace);
    let ours = format!("app.kubernetes.io/part-of=tenure,app.kubernetes.io/component={COMPONENT}");
    let config = watcher::Config::default().labels(&ours);
    let mut targets = pin!(watcher(pods, config).default_backoff().applied_objects());
    let mut probed = VecDeque::with_capacity(REMEMBERED);
    loop {
        let pod = tokio::select! {
            () = stop.cancelled() => return,
            pod = targets.next() => pod,
        };
        match pod {
            None => return,
            Some(Err(error)) => {
                tracing::warn!(%error, "watch of the probe's targets failed; retrying");
            }
            Some(Ok(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                let Some(address) = address(&pod).filter(|_| !probed.contains(&uid)) else {
                    continue;
                };
                if probed.len() == REMEMBERED {
                    probed.pop_front();
                }
                probed.push_back(uid);
                tokio::select! {
                    () = stop.cancelled() => return,
                    seen = probe(address) => note(&context, seen).await,
                }
            }
        }
    }
}

/// Takes over the last result from its Lease: a restart then changes no verdict.
pub async fn restore(context: &Context, client: &Client) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &context.settings.namespace);
    match leases.get_opt(keys::PROBE_LEASE).await {
        Ok(lease) => {
            set(context, lease.as_ref().and_then(judge::from_lease));
        }
        Err(error) => tracing::warn!(%error, "probe Lease not read"),
    }
}

/// Where a running target answers.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    status.pod_ip.as_deref()?.parse().ok()
}

/// Looks until the pair is as the policy says, or the enforcer had its time.
async fn probe(target: IpAddr) -> Seen {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look(target).await;
        if seen.is_as_ruled() || Instant::now() >= deadline {
            return seen;
        }
        sleep(AGAIN).await;
    }
}

/// Both flows, at the same moment.
async fn look(target: IpAddr) -> Seen {
    let (report, denied) = tokio::join!(report(target), connect(target, DENIED_PORT));
    Seen {
        report,
        denied_passed: denied.is_some(),
    }
}

async fn report(target: IpAddr) -> Option<Report> {
    let stream = connect(target, ALLOWED_PORT).await?;
    let mut text = String::new();
    let reading = timeout(DIAL, stream.take(REPORT_BYTES).read_to_string(&mut text)).await;
    reading.ok()?.ok()?;
    serde_json::from_str(&text).ok()
}

async fn connect(target: IpAddr, port: u16) -> Option<TcpStream> {
    timeout(DIAL, TcpStream::connect(SocketAddr::new(target, port)))
        .await
        .ok()?
        .ok()
}

/// Publishes a result, and keeps it where the next process finds it.
async fn note(context: &Context, seen: Seen) {
    let now = Timestamp::now();
    let interval = i64::try_from(context.settings.probe_interval_seconds).unwrap_or(i64::MAX);
    let result = judge::result(seen, now, SignedDuration::from_secs(interval));
    if !seen.is_as_ruled() {
        tracing::error!(
            allowed_passed = result.allowed_passed,
            denied_stopped = result.denied_stopped,
            "the probe pair failed: network policies may not be enforced"
        );
    }
    let before = set(context, Some(result.clone()));
    let holder = context.settings.instance.as_deref();
    let lease = judge::to_lease(&result, holder.unwrap_or("tenure-operator"));
    if let Err(error) = context
        .writer
        .write_lease(&context.settings.namespace, &lease)
        .await
    {
        tracing::warn!(%error, "probe Lease not written");
    }
    if judge::changes_verdicts(before.as_ref(), &result) {
        context.wake_all();
    }
}

/// Publishes a result; answers the one before.
fn set(context: &Context, result: Option<ProbeResult>) -> Option<ProbeResult> {
    if let Some(result) = &result {
        context.metrics.probe(result);
    }
    let mut probe = context
        .probe
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *probe, result)
}
