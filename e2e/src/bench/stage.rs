//! A plane with the release and the operator as it is shipped: the release build, the chart's ServiceAccount.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt as _;
use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::json;
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tokio::sync::broadcast;

use super::load::{Declaration, Plain};
use crate::audit::{Event, Mark};
use crate::install::{self, NAMESPACE};
use crate::operator::SERVICE_ACCOUNT;
use crate::paths::target;
use crate::{Operator, OperatorOptions, Plane, PlaneOptions};

/// As long as the operator may take over everything of a run.
const LONG: Duration = Duration::from_secs(30 * 60);
/// Silence of this length, Leases aside, is the end of the work.
const SILENCE: Duration = Duration::from_secs(3);

/// A plane with the release, and the operator running.
pub struct Stage {
    /// The plane.
    pub plane: Plane,
    /// The operator.
    pub operator: Operator,
}

/// A plane with the release and no operator.
///
/// # Errors
///
/// When it does not start or the chart is refused.
pub async fn plane(name: &str) -> Result<Plane> {
    let plane = Plane::start(PlaneOptions {
        name: format!("bench-{name}"),
        ..PlaneOptions::default()
    })
    .await?;
    install::install(plane.access()).await?;
    let policy: TenancyPolicy = serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy",
        "metadata": {"name": "default"}, "spec": {},
    }))?;
    Api::all(plane.admin()?)
        .create(&PostParams::default(), &policy)
        .await
        .context("cannot make the TenancyPolicy")?;
    Ok(plane)
}

impl Stage {
    /// A fresh plane with the release and the operator.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub async fn set(name: &str) -> Result<Self> {
        let plane = plane(name).await?;
        let operator = start_operator(&plane).await?;
        Ok(Self { plane, operator })
    }

    /// The processes that work here: the control plane and the operator.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let mut processes = self.plane.pids();
        processes.push(("operator", self.operator.pid()));
        processes
    }

    /// Ends the operator and starts another.
    ///
    /// # Errors
    ///
    /// When it does not end, or the new one does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.operator.stop().await?;
        self.operator = start_operator(&self.plane).await?;
        Ok(())
    }

    /// A client that no guard and no right stops.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn admin(&self) -> Result<Client> {
        self.plane.break_glass()
    }

    /// What the operator wrote since `mark`, Leases left out.
    ///
    /// # Errors
    ///
    /// When the audit log cannot be read.
    pub fn writes(&self, mark: Mark) -> Result<Vec<Event>> {
        let operator = format!("system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}");
        self.plane.audit().writes_by(&operator, mark)
    }

    /// Waits until the operator has written nothing for a while.
    ///
    /// # Errors
    ///
    /// When it goes on for half an hour.
    pub async fn settled(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            self.operator.check()?;
            let mark = self.plane.audit().mark().await?;
            tokio::time::sleep(SILENCE).await;
            let writes = self.writes(mark)?;
            if writes.is_empty() {
                return Ok(());
            }
            ensure!(
                start.elapsed() < LONG,
                "the operator does not come to rest; last: {:?}",
                writes.last().map(Event::line)
            );
        }
    }

    /// What stands of these tenants, as plain objects in an order in which they can be created.
    ///
    /// # Errors
    ///
    /// When a kind cannot be listed.
    pub async fn copies(&self, tenants: &[Declaration]) -> Result<Vec<Vec<Plain>>> {
        let client = self.admin()?;
        let mut by_tenant: BTreeMap<&str, Vec<Plain>> = BTreeMap::new();
        let named: BTreeSet<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        for resource in kinds() {
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in api.list(&ListParams::default()).await? {
                let tenant = match resource.kind.as_str() {
                    "CustomerTenant" => object.name_any(),
                    _ => object
                        .labels()
                        .get(tenure_crds::keys::TENANT)
                        .cloned()
                        .unwrap_or_default(),
                };
                if let Some(tenant) = named.get(tenant.as_str()) {
                    let copies = by_tenant.entry(tenant).or_default();
                    copies.push(Plain::of(&resource, object));
                }
            }
        }
        Ok(by_tenant.into_values().collect())
    }
}

/// What a tenant is made of, in the order of creation.
fn kinds() -> Vec<ApiResource> {
    use k8s_openapi::api::{core::v1 as core, networking::v1 as networking, rbac::v1 as rbac};
    vec![
        ApiResource::erase::<CustomerTenant>(&()),
        ApiResource::erase::<core::ConfigMap>(&()),
        ApiResource::erase::<core::Namespace>(&()),
        ApiResource::erase::<networking::NetworkPolicy>(&()),
        ApiResource::erase::<core::ResourceQuota>(&()),
        ApiResource::erase::<core::LimitRange>(&()),
        ApiResource::erase::<rbac::RoleBinding>(&()),
    ]
}

/// Starts the release build with the chart's ServiceAccount.
///
/// # Errors
///
/// When it is missing or does not become ready.
pub async fn start_operator(plane: &Plane) -> Result<Operator> {
    let program = target().join("release/tenure");
    if !program.exists() {
        bail!(
            "{} is missing: cargo build --release --package tenure-operator",
            program.display()
        );
    }
    let options = OperatorOptions {
        // The chart's own interval: a shorter one would cost more than users pay.
        interval_seconds: 60,
        program: Some(PathBuf::from(&program)),
        ..OperatorOptions::default()
    };
    Operator::start(plane.access(), options).await
}

/// Follows a kind as somebody outside the operator sees it.
pub struct Observer<K> {
    seen: broadcast::Sender<(Instant, Arc<K>)>,
}

impl<K> Observer<K>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    /// Starts to follow; returns once what is there has been listed.
    ///
    /// # Errors
    ///
    /// When the watch ends before that.
    pub async fn of(api: Api<K>) -> Result<Self> {
        let seen = broadcast::Sender::new(1 << 16);
        let (listed, done) = tokio::sync::oneshot::channel();
        let to = seen.clone();
        tokio::spawn(async move {
            let mut listed = Some(listed);
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Apply(object)) => {
                        // Nobody may listen just now.
                        let _ = to.send((Instant::now(), Arc::new(object)));
                    }
                    Ok(watcher::Event::InitDone) => {
                        let _ = listed.take().map(|listed| listed.send(()));
                    }
                    _ => {}
                }
            }
        });
        done.await.context("the observer ended")?;
        Ok(Self { seen })
    }

    /// Hears everything from now on.
    pub fn listen(&self) -> Listener<K> {
        Listener(self.seen.subscribe())
    }
}

/// What is heard of an observer.
pub struct Listener<K>(broadcast::Receiver<(Instant, Arc<K>)>);

impl<K> Listener<K> {
    /// The first object that `is` is true of, and when it was.
    ///
    /// # Errors
    ///
    /// When there is none for a very long time, or sightings were lost.
    pub async fn until(&mut self, mut is: impl FnMut(&K) -> bool) -> Result<Instant> {
        let wait = async {
            loop {
                let (at, seen) = self.0.recv().await.context("sightings were lost")?;
                if is(&seen) {
                    return anyhow::Ok(at);
                }
            }
        };
        tokio::time::timeout(LONG, wait)
            .await
            .context("not seen within half an hour")?
    }
}

/// Follows the CustomerTenants.
///
/// # Errors
///
/// As [`Observer::of`].
pub async fn tenants(client: &Client) -> Result<Observer<CustomerTenant>> {
    Observer::of(Api::all(client.clone())).await
}

/// When the last of these tenants was seen Ready.
///
/// # Errors
///
/// As [`Listener::until`].
pub async fn all_ready(
    listener: &mut Listener<CustomerTenant>,
    tenants: &[Declaration],
) -> Result<Instant> {
    let mut missing: BTreeSet<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    listener
        .until(|tenant| {
            if is_ready(tenant) {
                missing.remove(tenant.name_any().as_str());
            }
            missing.is_empty()
        })
        .await
}

/// Whether a tenant says that it is Ready as it is declared now.
pub fn is_ready(tenant: &CustomerTenant) -> bool {
    let status = tenant.status.iter();
    status
        .flat_map(|status| &status.conditions)
        .any(|condition| {
            condition.type_ == "Ready"
                && condition.status == "True"
                && condition.observed_generation == tenant.metadata.generation
        })
}
