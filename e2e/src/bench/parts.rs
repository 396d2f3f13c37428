//! The parts of the benchmark, each about one promise.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};

use super::figures::Figures;
use super::load::{Declaration, Plain, WIDTH, declare, in_parallel};
use super::sight::Log;
use super::stage::{Observer, Stage, all_ready, is_ready, tenants};
use super::usage::{self, Meter, processor};
use crate::Plane;

/// Declares tenants in rounds and lets a plain client create the same objects elsewhere in between, so that both meet
/// the same machine.
///
/// # Errors
///
/// When something on the planes goes wrong.
pub async fn converge(
    stage: &mut Stage,
    plain: &Plane,
    all: &[Declaration],
    rounds: usize,
    figures: &mut Figures,
) -> Result<()> {
    let client = stage.admin()?;
    let other = plain.break_glass()?;
    let observer = tenants(&client).await?;
    stage.settled().await?;
    let mark = stage.plane.audit().mark().await?;
    let (mut ours, mut theirs, mut objects) = (Duration::ZERO, Duration::ZERO, 0);
    let (mut used, mut used_plain) = (BTreeMap::new(), BTreeMap::new());
    for round in all.chunks(all.len().div_ceil(rounds)) {
        let mut listener = observer.listen();
        let meter = Meter::start(&stage.processes())?;
        let start = Instant::now();
        declare(&client, round).await?;
        let ready = all_ready(&mut listener, round).await?;
        meter.add_to(&mut used)?;
        ours += ready.saturating_duration_since(start);
        stage.settled().await?;

        let copies = stage.copies(round).await?;
        objects += copies.iter().map(Vec::len).sum::<usize>();
        let meter = Meter::start(&plain.pids())?;
        let start = Instant::now();
        in_parallel(WIDTH, &copies, |tenant| {
            create(tenant.clone(), other.clone())
        })
        .await?;
        theirs += start.elapsed();
        meter.add_to(&mut used_plain)?;
        println!(
            "   {} tenants: operator {:.1} s, plain client {:.1} s so far",
            round.len(),
            ours.as_secs_f64(),
            theirs.as_secs_f64()
        );
    }
    let writes = stage.writes(mark)?.len();
    let count = all.len() as f64;
    figures.put("objects_per_tenant", objects as f64 / count)?;
    figures.put("writes_per_tenant", writes as f64 / count)?;
    usage::put(figures, "converge", &used)?;
    usage::put(figures, "converge_plain", &used_plain)?;
    figures.put("converge_seconds", ours.as_secs_f64())?;
    figures.put("converge_plain_seconds", theirs.as_secs_f64())?;
    figures.put("converge_ratio", ours.as_secs_f64() / theirs.as_secs_f64())
}

async fn create(objects: Vec<Plain>, client: Client) -> Result<()> {
    for object in &objects {
        object.create(&client).await?;
    }
    Ok(())
}

/// Declares every tenant and waits until all are Ready, unmeasured.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn declare_all(stage: &Stage, all: &[Declaration]) -> Result<()> {
    let client = stage.admin()?;
    let observer = tenants(&client).await?;
    let mut listener = observer.listen();
    declare(&client, all).await?;
    all_ready(&mut listener, all).await?;
    stage.settled().await
}

/// Ten minutes (one when `quick`) in which nothing changes.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn settled(stage: &Stage, quick: bool, figures: &mut Figures) -> Result<()> {
    let minutes = if quick { 1 } else { 10 };
    let mark = stage.plane.audit().mark().await?;
    let (used, start) = (processor(stage.operator.pid())?, Instant::now());
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
    let used = processor(stage.operator.pid())?.saturating_sub(used);
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    let writes = stage.writes(mark)?;
    for line in crate::audit::grouped(&writes) {
        println!("   written: {line:?}");
    }
    figures.put(&format!("settled_writes_{minutes}min"), writes.len() as f64)?;
    figures.put("settled_cpu_core", share)
}

/// Scrapes as Prometheus does.
///
/// # Errors
///
/// When the operator does not answer.
pub async fn scrape(stage: &Stage, figures: &mut Figures) -> Result<()> {
    let mut slowest = Duration::ZERO;
    let mut lines = 0;
    for _ in 0..20 {
        let start = Instant::now();
        lines = stage.operator.metrics().await?.lines().count();
        slowest = slowest.max(start.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    figures.put("scrape_lines", lines as f64)?;
    figures.put("scrape_ms", slowest.as_secs_f64() * 1e3)
}

/// One more tenant, again and again: from the request that declares it to the first sight of it Ready.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn ready(stage: &Stage, samples: usize, figures: &mut Figures) -> Result<()> {
    let client = stage.admin()?;
    let observer = tenants(&client).await?;
    let mut times = Vec::new();
    for number in 0..samples {
        let tenant = Declaration::new("more", number);
        let mut listener = observer.listen();
        let start = Instant::now();
        tenant.declare(&client).await?;
        let ready = listener
            .until(|seen| seen.name_any() == tenant.name && is_ready(seen))
            .await?;
        times.push(ready.saturating_duration_since(start));
    }
    figures.put_times("ready", &times)
}

/// Bad writes of seven kinds, in turn, each to another tenant: from the acknowledged write to the first sight of the
/// object as it was.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn drift(
    stage: &Stage,
    all: &[Declaration],
    samples: usize,
    figures: &mut Figures,
) -> Result<()> {
    let client = stage.admin()?;
    let policies = Bad::<NetworkPolicy>::of(&client).await?;
    let quotas = Bad::<ResourceQuota>::of(&client).await?;
    let limits = Bad::<LimitRange>::of(&client).await?;
    let bindings = Bad::<RoleBinding>::of(&client).await?;
    let mut times = Vec::new();
    for number in 0..samples {
        let tenant = &all[(number / 7 * 7 + number % 7) % all.len()];
        let place = tenant.places().swap_remove(0);
        let open = json!({"spec": {"ingress": [{}]}});
        let time = match number % 7 {
            0 => policies.deleted(&place, "tenure-default-deny").await,
            1 => policies.changed(&place, "tenure-same-tenant", open).await,
            2 => {
                let add = json!({"spec": {"podSelector": {"matchLabels": {"x": "y"}}}});
                policies.changed(&place, "tenure-default-deny", add).await
            }
            3 => {
                let more = json!({"spec": {"hard": {"pods": "100000"}}});
                quotas.changed(&place, "tenure", more).await
            }
            4 => limits.deleted(&place, "tenure").await,
            5 => {
                let stranger = json!({"subjects": [{"kind": "User", "name": "stranger", "apiGroup": "rbac.authorization.k8s.io"}]});
                bindings
                    .changed(&place, "tenure-member-operations", stranger)
                    .await
            }
            _ => bindings.deleted(&place, "tenure-member-support").await,
        };
        times.push(time.with_context(|| format!("drift number {number} in {place}"))?);
        // Apart, as accidents are; the next one meets an operator at rest.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    figures.put_times("drift_repair", &times)
}

/// Somebody who writes what should not be, and watches how long it stands.
struct Bad<K> {
    client: Client,
    observer: Observer<K>,
}

impl<K> Bad<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    async fn of(client: &Client) -> Result<Self> {
        Ok(Self {
            client: client.clone(),
            observer: Observer::of(Api::all(client.clone())).await?,
        })
    }

    async fn changed(&self, namespace: &str, name: &str, change: Value) -> Result<Duration> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let before = content(&api.get(name).await?)?;
        let params = PatchParams {
            field_manager: Some("stranger".to_owned()),
            ..PatchParams::default()
        };
        let mut listener = self.observer.listen();
        let written = api.patch(name, &params, &Patch::Merge(change)).await?;
        let start = Instant::now();
        let bad = content(&written)?;
        ensure!(bad != before, "the write changed nothing");
        let version = written.resource_version();
        let mut acknowledged = false;
        let restored = listener
            .until(|seen| {
                if !is(seen, namespace, name) {
                    return false;
                }
                acknowledged |= seen.resource_version() == version;
                acknowledged && content(seen).is_ok_and(|seen| seen == before)
            })
            .await?;
        Ok(restored.saturating_duration_since(start))
    }

    async fn deleted(&self, namespace: &str, name: &str) -> Result<Duration> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let old = api.get(name).await?;
        let before = content(&old)?;
        let mut listener = self.observer.listen();
        api.delete(name, &DeleteParams::default()).await?;
        let start = Instant::now();
        let restored = listener
            .until(|seen| {
                is(seen, namespace, name)
                    && seen.uid() != old.uid()
                    && content(seen).is_ok_and(|seen| seen == before)
            })
            .await?;
        Ok(restored.saturating_duration_since(start))
    }
}

fn is<K: Resource>(object: &K, namespace: &str, name: &str) -> bool {
    object.namespace().as_deref() == Some(namespace) && object.name_any() == name
}

/// What of an object is the operator's to keep.
fn content<K: serde::Serialize>(object: &K) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    let whole = value.as_object_mut().context("an object")?;
    whole.remove("status");
    whole.remove("metadata");
    Ok(value)
}

/// Somebody opens and closes a hole beside the tenant's policies: from the acknowledged write to the operator's word.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn reachability(
    stage: &Stage,
    all: &[Declaration],
    samples: usize,
    figures: &mut Figures,
) -> Result<()> {
    let client = stage.admin()?;
    let mut times = Vec::new();
    for number in 0..samples {
        let tenant = &all[number % all.len()];
        let place = tenant.places().swap_remove(0);
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &place);
        let hole = serde_json::from_value(json!({
            "metadata": {"name": "hole"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
        }))?;
        let mut log = Log::open(stage.operator.log())?;
        policies.create(&PostParams::default(), &hole).await?;
        let start = Instant::now();
        let opened = log.line(&["undeclared flow is open", &tenant.name]).await?;
        times.push(opened.saturating_duration_since(start));

        policies.delete("hole", &DeleteParams::default()).await?;
        let start = Instant::now();
        let closed = log
            .line(&["undeclared flow is closed", &tenant.name])
            .await?;
        times.push(closed.saturating_duration_since(start));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    figures.put_times("reachability_update", &times)
}

/// The operator ends and another starts: how long until it leads, and what it writes until it is at rest.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn restart(stage: &mut Stage, figures: &mut Figures) -> Result<()> {
    stage.settled().await?;
    let mark = stage.plane.audit().mark().await?;
    let start = Instant::now();
    stage.restart().await?;
    figures.put("restart_seconds", start.elapsed().as_secs_f64())?;
    stage.settled().await?;
    // A whole evaluation pass.
    tokio::time::sleep(Duration::from_secs(65)).await;
    let writes = stage.writes(mark)?;
    for line in crate::audit::grouped(&writes) {
        println!("   written: {line:?}");
    }
    figures.put("restart_writes", writes.len() as f64)
}
