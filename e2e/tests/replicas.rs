//! Two operators, one writer: failover, handover, a leader that wakes too late, clocks that are set.
//! The stories run in order on one plane.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tenure_crds::{CustomerTenant, TenancyPolicy, keys};
use tenure_e2e::audit::{Event, Mark};
use tenure_e2e::clock::Clock;
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::{Operator, OperatorOptions, Plane, PlaneOptions, always, eventually};
use tenure_operator::cluster::Candidacy;
use tenure_operator::cluster::leadership::Candidate;

const SOON: Duration = Duration::from_secs(30);
/// The Lease's length, two seconds, and what a busy machine needs to start the tests' own watch.
const FAILOVER: Duration = Duration::from_secs(15 + 2);
/// Longer than a claim holds after a renewal.
const BUSY: Duration = Duration::from_secs(12);
const POLICY: &str = "tenure-default-deny";
const TENANT_NAMESPACE: &str = "acme-prod";

struct Stage {
    plane: Plane,
    next: u32,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "replicas".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        Api::all(plane.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        Ok(Self { plane, next: 0 })
    }

    /// A replica under a name of its own, with a clock that can be set through the file.
    async fn replica(&mut self) -> Result<(Operator, Clock)> {
        self.next += 1;
        let clock = Clock::new(self.plane.folder().join(format!("clock-{}", self.next)))?;
        let options = OperatorOptions {
            instance: format!("tenure-operator-{}", self.next),
            env: clock.environment(),
            ..OperatorOptions::default()
        };
        let operator = Operator::start_unready(self.plane.access(), options).await?;
        Ok((operator, clock))
    }

    async fn tenant(&self) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(self.plane.admin()?);
        let tenant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
            "spec": {
                "tenantID": "99999999-9999-4999-8999-999999999999", "customer": {"name": "acme"}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}]
            }
        }))?;
        tenants.create(&PostParams::default(), &tenant).await?;
        eventually(SOON, "acme is Ready", async || self.is_ready().await).await
    }

    async fn is_ready(&self) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(self.plane.admin()?);
        let status = tenants.get("acme").await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .context("no Ready yet")?;
        ensure!(
            ready.status == "True",
            "{}: {}",
            ready.reason,
            ready.message
        );
        Ok(())
    }

    /// Takes a policy away, past the guards.
    async fn drift(&self) -> Result<()> {
        let policies: Api<NetworkPolicy> =
            Api::namespaced(self.plane.break_glass()?, TENANT_NAMESPACE);
        policies
            .delete(POLICY, &DeleteParams::default())
            .await
            .map(drop)
            .map_err(Into::into)
    }

    async fn stands(&self) -> Result<()> {
        let policies: Api<NetworkPolicy> = Api::namespaced(self.plane.admin()?, TENANT_NAMESPACE);
        policies.get(POLICY).await.map(drop).map_err(Into::into)
    }

    async fn repaired(&self, within: Duration) -> Result<()> {
        eventually(within, "the policy stands again", async || {
            self.stands().await
        })
        .await
    }

    async fn holder(&self) -> Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.plane.admin()?, NAMESPACE);
        let spec = leases.get(keys::LEADER_LEASE).await?.spec;
        spec.and_then(|spec| spec.holder_identity)
            .context("nobody holds the Lease")
    }

    /// Requests of one operator.
    fn requests_of(&self, credential: &str, mark: Mark) -> Result<Vec<Event>> {
        let mut events = self.plane.audit().since(mark)?;
        events.retain(|event| event.is_by(credential));
        Ok(events)
    }

    /// What one operator wrote, Leases included.
    fn writes_of(&self, credential: &str, mark: Mark) -> Result<Vec<String>> {
        let requests = self.requests_of(credential, mark)?;
        let writes = requests.iter().filter(|event| event.is_write());
        Ok(writes.map(Event::line).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_two_replicas() -> Result<()> {
    let mut stage = Stage::set().await?;
    a_busy_process_keeps_its_lease(&stage)
        .await
        .context("busy")?;
    let mark = stage.plane.audit().mark().await?;
    let (first, _) = stage.replica().await?;
    first.ready().await?;
    the_lease_is_looked_at_first(&stage, &first, mark).context("first")?;
    let mark = stage.plane.audit().mark().await?;
    let (second, _) = stage.replica().await?;
    second.stands_by().await?;
    the_lease_is_looked_at_first(&stage, &second, mark).context("second")?;
    stage.tenant().await?;
    let second = failover(&stage, first, second).await.context("failover")?;
    let (third, clock) = stage.replica().await?;
    third.stands_by().await?;
    handover(&stage, second, &third).await.context("handover")?;
    let (fourth, other) = stage.replica().await?;
    fourth.stands_by().await?;
    clocks(&stage, (third, clock), (&fourth, other))
        .await
        .context("clocks")?;
    let (fifth, _) = stage.replica().await?;
    fifth.stands_by().await?;
    late(&stage, fourth, &fifth).await.context("late")
}

/// Work that keeps every thread busy for longer than a claim holds does not cost the Lease.
async fn a_busy_process_keeps_its_lease(stage: &Stage) -> Result<()> {
    let access = stage.plane.access().clone();
    let connect = move || {
        let client = access.admin();
        client.map_err(|error| kube::Error::Service(error.into()))
    };
    let busy = move || {
        let process = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        process.block_on(async {
            let me = Candidate::this(Some("busy"));
            let candidacy = Candidacy::stand(connect, "default", me)?;
            candidacy.won().await?;
            let mut lost = pin!(candidacy.lost());
            ensure!(lost.as_mut().now_or_never().is_none());
            std::thread::sleep(BUSY);
            ensure!(candidacy.claim().holds(), "the claim ended meanwhile");
            ensure!(lost.now_or_never().is_none(), "leadership was lost");
            candidacy.release().await;
            Ok(())
        })
    };
    tokio::task::spawn_blocking(busy).await?
}

/// What is read after the Lease is known to be old as soon as the store goes back; what would be read before it is not.
fn the_lease_is_looked_at_first(stage: &Stage, operator: &Operator, mark: Mark) -> Result<()> {
    let requests = stage.requests_of(operator.credential(), mark)?;
    let looks = requests
        .iter()
        .position(|request| request.uri.ends_with(keys::LEADER_LEASE));
    let lists = requests.iter().position(|request| request.verb == "list");
    let (looks, lists) = looks.zip(lists).context("no look or no list")?;
    ensure!(looks < lists, "{:#?}", &requests[..=looks]);
    Ok(())
}

/// A killed leader is missed for the Lease's length and no longer.
async fn failover(stage: &Stage, leader: Operator, standby: Operator) -> Result<Operator> {
    ensure!(standby.metrics().await?.contains("tenure_leader 0"));
    ensure!(leader.metrics().await?.contains("tenure_leader 1"));
    let start = Instant::now();
    leader.kill()?;
    stage.drift().await?;
    stage.repaired(FAILOVER).await?;
    eprintln!(
        "failover: repaired {:.1} s after the leader was killed",
        start.elapsed().as_secs_f64()
    );
    standby.ready().await?;
    ensure!(standby.metrics().await?.contains("tenure_leader 1"));
    Ok(standby)
}

/// A leader that is told to end lets go at once.
async fn handover(stage: &Stage, leader: Operator, standby: &Operator) -> Result<()> {
    leader.stop().await?;
    let start = Instant::now();
    stage.drift().await?;
    stage.repaired(Duration::from_secs(5)).await?;
    eprintln!(
        "handover: repaired {:.1} s after the leader ended",
        start.elapsed().as_secs_f64()
    );
    standby.ready().await
}

/// Clocks may be set by an hour, either way, on either side: who leads does not change, nothing opens.
async fn clocks(
    stage: &Stage,
    leader: (Operator, Clock),
    standby: (&Operator, Clock),
) -> Result<()> {
    let holder = stage.holder().await?;
    for (ours, theirs) in [("+1h", "-1h"), ("-1h", "+1h"), ("+0", "+0"), ("+1h", "-1h")] {
        leader.1.set(ours)?;
        standby.1.set(theirs)?;
        // Longer than a claim: whoever compared clocks would have lost it, or taken it.
        always(
            Duration::from_secs(11),
            "the leader leads, the policy stands",
            async || {
                ensure!(stage.holder().await? == holder, "another one leads");
                stage.stands().await
            },
        )
        .await?;
        stage.drift().await?;
        stage.repaired(Duration::from_secs(5)).await?;
        stage.is_ready().await?;
    }
    // Clocks two hours apart, and the one behind has to take over.
    leader.0.kill()?;
    stage.drift().await?;
    stage.repaired(FAILOVER).await?;
    standby.0.ready().await?;
    stage.is_ready().await
}

/// A leader that slept through its Lease writes nothing when it wakes, however much there is to write.
async fn late(stage: &Stage, leader: Operator, standby: &Operator) -> Result<()> {
    leader.pause();
    stage.drift().await?;
    stage.repaired(FAILOVER).await?;
    standby.ready().await?;
    let mark = stage.plane.audit().mark().await?;
    // It wakes with work before it: the first it hears is that the policy is gone.
    stage.drift().await?;
    leader.resume();
    stage.repaired(SOON).await?;
    let status = leader.ended(Duration::from_secs(20))?;
    ensure!(
        !status.success(),
        "a leader that lost its Lease ends as if all were well"
    );
    let wrote = stage.writes_of(leader.credential(), mark)?;
    ensure!(wrote.is_empty(), "it wrote: {wrote:#?}");
    let others = stage.writes_of(standby.credential(), mark)?;
    ensure!(
        !others.is_empty(),
        "the new leader had nothing to write, so this showed nothing"
    );
    Ok(())
}
