//! The operator's process: start-up, its tasks, shutdown.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use tenure_controls::facts::VersionFacts;
use tenure_crds::keys;
use tenure_evidence::{ChainId, Event, Ledger};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::caches::{Caches, Holders, PLATFORM};
use crate::cluster::events::Events;
use crate::cluster::leadership::Candidate;
use crate::cluster::{Candidacy, Clocks, Queue, Writer};
use crate::context::Context;
use crate::guards::text;
use crate::observe::{Health, Metrics, RecordFigures, serve};
use crate::record::open::Opened;
use crate::record::{ConfigMaps, Notes, Records};
use crate::settings::Settings;
use crate::{access, assess, guards, pass, platform, probe, record, tenant};

/// Reconciles at once; more would only queue at the API server.
const CONCURRENCY: usize = 8;
/// Waiting for caches longer than this without a word would look like a hang.
const IMPATIENCE: Duration = Duration::from_secs(30);

/// Runs the operator until the process is told to stop.
///
/// # Errors
/// Where it cannot start: no configuration, no address to listen on, or no memory to read.
pub async fn operator(settings: Settings) -> anyhow::Result<()> {
    let config = Config::infer()
        .await
        .context("no Kubernetes configuration: set KUBECONFIG, or run in a pod")?;
    let reached = config.clone();
    let connect = move || Client::try_from(reached.clone());
    operator_with(connect, config, settings, stop_on_signal()?).await
}

/// Runs the operator through what `connect` makes until `stop`: a client for its work and another for the leader's Lease. Each API
/// server is asked by itself, as `config` says.
///
/// The Lease is looked at before anything else is read, so that a store that goes back meanwhile is noticed. The caches are
/// filled before it stands for election, so that a standby takes over at once; memory is read after it was elected, so that nothing
/// another leader wrote is missed.
///
/// # Errors
/// Where it cannot start (no address to listen on, no memory to read), and where it is no longer the leader: whoever
/// runs it starts it again.
pub async fn operator_with(
    connect: impl Fn() -> kube::Result<Client>,
    config: Config,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let builtin = text::builtin(&settings).context("the built-in guards do not parse")?;
    let clocks = Clocks::default();
    let connect = || connect().map(|client| clocks.listening(client));
    let me = Candidate::this(settings.instance.as_deref());
    let candidacy = Candidacy::stand(connect, &settings.namespace, me)?;
    let client = connect()?;
    let record = record::open::ledger(&settings).await?;
    let notes = Notes::open(record.ledger.clone(), settings.state_folder.as_deref());
    let notes = Arc::new(notes.context("the folder for what is not recorded yet")?);
    let (metrics, health) = (Arc::new(Metrics::new()), Health::default());
    metrics.intervals(settings.interval_seconds, settings.probe_interval_seconds);
    let serving = stop.child_token();
    let server = tokio::spawn(serve(
        listener,
        metrics.clone(),
        health.clone(),
        serving.clone(),
    ));
    metrics.asks_record({
        let (ledger, second, notes) = (record.ledger.clone(), record.second.clone(), notes.clone());
        move || RecordFigures {
            is_available: ledger.trouble().is_none(),
            waiting: notes.waiting(),
            missed: notes.missed(),
            behind: second.as_ref().map_or(0, |second| second.behind()),
        }
    });
    // What an earlier process left is recorded whoever leads: claims keep chains whole.
    let second = record.second.clone();
    let recording = tokio::spawn(record::follow(second.clone(), notes.clone()));
    let led = Term {
        config,
        settings,
        builtin,
        metrics,
        health,
        record,
        notes: notes.clone(),
    };
    let ended = led.run(client, clocks.clone(), &candidacy, stop).await;
    serving.cancel();
    recording.abort();
    record::settle(second.as_deref(), &notes).await;
    // Until here it sees to it that a process that lost ends.
    drop(candidacy);
    ended?;
    server
        .await
        .context("the admin server ended badly")?
        .context("the admin server broke")
}

/// One process's time: it stands by, leads once elected, and lets go.
struct Term {
    /// How an API server is reached, for asking each by itself.
    config: Config,
    settings: Settings,
    builtin: Vec<text::Builtin>,
    metrics: Arc<Metrics>,
    health: Health,
    record: Opened,
    notes: Arc<Notes>,
}

impl Term {
    async fn run(
        self,
        client: Client,
        clocks: Clocks,
        candidacy: &Candidacy,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (queue, grants, holders, reach) = (
            Queue::new(),
            Queue::new(),
            Holders::default(),
            Arc::new(assess::changes::Changes::default()),
        );
        let sessions = self.settings.sessions();
        let caches = Caches::new(&queue, (&grants, &sessions), &holders, &reach);
        let filled = async {
            candidacy.seen().await?;
            caches.spawn(&client, &self.settings.namespace, &sessions);
            tokio::select! {
                () = caches.ready() => Ok(()),
                lost = candidacy.older() => Err(lost),
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            filled = impatiently(filled) => filled?,
        }
        self.health.stands_by();
        tracing::info!("standing by");
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            won = candidacy.won() => won?,
        }
        tracing::info!("leading");
        let metrics = self.metrics.clone();
        metrics.leads(true);
        let work = stop.child_token();
        let parts = Parts {
            queue,
            access: Access::new(grants, clocks),
            holders,
            reach,
            caches,
        };
        let led = self.lead(candidacy.claim().fence(client), parts, work.clone());
        let ended = tokio::select! {
            ended = led => ended,
            lost = candidacy.lost() => Err(lost.into()),
        };
        work.cancel();
        metrics.leads(false);
        candidacy.release().await;
        ended
    }
}

/// What stands before there is a leader.
struct Parts {
    queue: Arc<Queue>,
    access: Access,
    holders: Holders,
    reach: Arc<assess::changes::Changes>,
    caches: Caches,
}

impl Term {
    /// Leads until `stop`; `client` writes only while this process holds its claim.
    async fn lead(
        self,
        client: Client,
        parts: Parts,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self {
            config,
            settings,
            builtin,
            metrics,
            health,
            record,
            notes,
        } = self;
        let Parts {
            queue,
            access,
            holders,
            reach,
            caches,
        } = parts;
        // Memory comes first: nothing is written before it has been read.
        let copy = ConfigMaps::new(client.clone(), &settings.namespace);
        let ledger = record.ledger;
        let records = Records::replay(copy, ledger.clone())
            .await
            .context("what must not be forgotten cannot be read; not starting without it")?;
        for record in records.all_lasting() {
            holders.set(&record.tenant, record.namespaces.iter().map(String::as_str));
        }
        let events = Events::new(client.clone(), settings.instance.clone());
        let context = Arc::new(Context::new(
            settings,
            Writer::new(client.clone()),
            events,
            caches,
            holders,
            records,
            notes,
            queue.clone(),
            access,
            metrics,
        ));
        // What ended while nobody led ends before anything else is looked at, by the settings that were accepted.
        platform::recall(&context);
        access::begin(&context);
        let granting = tokio::spawn(access::follow(context.clone(), stop.clone()));
        let saying = tokio::spawn(access::saying::follow(context.clone(), stop.clone()));
        let proving =
            access::proving::follow(context.clone(), client.clone(), config, stop.clone());
        let proving = tokio::spawn(proving);
        let sweeping = access::sweeping::follow(context.clone(), client.clone(), stop.clone());
        let sweeping = tokio::spawn(sweeping);
        ask_versions(&context, &client).await;
        note_start(&context, &ledger).await;
        // Settings first, so that no tenant is rendered under stricter ones for a moment.
        platform::reconcile(context.clone()).await;
        // What controls lean on is looked at before the first verdict: a restart then finds everything as
        // it left it, and writes nothing.
        read_freshness(&context, &client).await;
        probe::restore(&context, &client).await;
        guards::check(&context, &client, &builtin).await;
        assess::reach::evaluate_all(&context);
        context.wake_all();
        health.leads();
        tracing::info!(tenants = context.tenants().len(), "ready");

        let probes = tokio::spawn(probe::follow(context.clone(), client.clone(), stop.clone()));
        let passes = tokio::spawn(pass::follow(context.clone(), client, builtin, stop.clone()));
        let reachability =
            tokio::spawn(assess::reach::follow(context.clone(), reach, stop.clone()));
        let remembering = tokio::spawn(record::attend(context.clone(), stop.clone()));
        let worker = context.clone();
        queue
            .run(CONCURRENCY, stop.clone(), move |name| {
                let context = worker.clone();
                async move {
                    match name.as_str() {
                        PLATFORM => platform::reconcile(context).await,
                        _ => tenant::reconcile(context, name).await,
                    }
                }
            })
            .await;
        granting.await.context("the task of grants ended badly")?;
        saying
            .await
            .context("the task that says where grants stand ended badly")?;
        proving.await.context("the task of proofs ended badly")?;
        sweeping.await.context("the task of sweeps ended badly")?;
        passes.await.context("the evaluation task ended badly")?;
        remembering
            .await
            .context("the task that reads the record ended badly")?;
        probes.await.context("the probe task ended badly")?;
        reachability
            .await
            .context("the reachability task ended badly")
    }
}

/// Waits for what is read at the start, saying so while it takes long.
async fn impatiently<T>(reading: impl Future<Output = T>) -> T {
    let mut reading = std::pin::pin!(reading);
    loop {
        match tokio::time::timeout(IMPATIENCE, &mut reading).await {
            Ok(read) => return read,
            Err(_) => tracing::warn!(
                "still waiting for the leader's Lease and the first listing of every kind; is the API server reachable and the chart's RBAC installed?"
            ),
        }
    }
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        told.cancel();
    });
    Ok(stop)
}

/// Takes over when the last full pass ended from its Lease; without one nothing is assumed.
async fn read_freshness(context: &Context, client: &Client) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &context.settings.namespace);
    match leases.get_opt(keys::FRESHNESS_LEASE).await {
        Ok(lease) => {
            let renewed = lease
                .and_then(|lease| lease.spec?.renew_time)
                .map(|time| time.0);
            if let Some(renewed) = renewed {
                context.metrics.passed(renewed);
            }
            *context
                .last_pass
                .write()
                .unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        Err(error) => tracing::warn!(%error, "freshness Lease not read"),
    }
}

/// Puts on record that this process leads, and leaves the public key it signs with beside the record.
async fn note_start(context: &Context, ledger: &Ledger) {
    let cluster_version = {
        let versions = context.versions.read();
        let versions = versions.unwrap_or_else(PoisonError::into_inner);
        versions.as_ref().map(|versions| versions.cluster.clone())
    };
    let started = Event::OperatorStarted {
        version: env!("CARGO_PKG_VERSION").into(),
        cluster_version,
        instance: context.settings.instance.clone().unwrap_or_default(),
        key_id: ledger.key().key_id.to_string(),
    };
    context.notes.note(ChainId::Platform, &started);
    if let Err(error) = ledger.leave_key().await {
        tracing::warn!(%error, "the public key is not beside the record; a copy of it alone cannot be verified");
    }
}

/// Asks the API server's version; an answer that does not come leaves the control Unknown.
async fn ask_versions(context: &Context, client: &Client) {
    match client.apiserver_version().await {
        Ok(version) => {
            let cluster = version.git_version.trim_start_matches('v').to_owned();
            let facts = VersionFacts {
                cluster_supported_until: crate::support::cluster_until(&cluster),
                cluster,
                operator: env!("CARGO_PKG_VERSION").to_owned(),
                operator_supported_until: crate::support::operator_until(),
            };
            *context
                .versions
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(facts);
        }
        Err(error) => tracing::warn!(%error, "the API server did not say its version"),
    }
}
