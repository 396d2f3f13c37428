//! Makes the cluster as a rendering says. The only step of a reconcile that writes.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tenure_crds::customer_tenant::{NamespaceState, NamespaceStatus};
use tenure_crds::keys;
use tenure_evidence::ChainId;

use super::drift::{self, Drift};
use super::rendering::{Hold, NamespaceRendering, Rendering};
use crate::cluster::diff::differences;
use crate::cluster::{Kind, Needed, WriteError};
use crate::context::Context;
use crate::record::TenantRecord;
use crate::record::notes::Begun;

/// What applying came to.
#[derive(Debug, Default)]
pub struct Applied {
    /// State of each namespace, sorted by name.
    pub namespaces: Vec<NamespaceStatus>,
    /// Deviations that were repaired.
    pub drift: Vec<Drift>,
    /// Writes that failed; the other namespaces went on.
    pub errors: Vec<WriteError>,
    /// Earliest instant at which a contested object may be repaired again.
    pub contested_for: Option<Duration>,
}

impl Applied {
    /// Whether everything stands that could be written; namespaces that wait for an adoption are not part of it.
    pub fn is_complete(&self) -> bool {
        let missing = [NamespaceState::Pending, NamespaceState::Terminating];
        self.errors.is_empty()
            && self.contested_for.is_none()
            && !self
                .namespaces
                .iter()
                .any(|namespace| missing.contains(&namespace.state))
    }

    /// Whether every namespace stands as it should.
    pub fn is_settled(&self) -> bool {
        self.errors.is_empty()
            && self.contested_for.is_none()
            && self.namespaces.iter().all(|namespace| {
                matches!(
                    namespace.state,
                    NamespaceState::Ready | NamespaceState::Parked
                )
            })
    }
}

/// One tenant's application in progress.
struct Application<'a> {
    context: &'a Context,
    record: &'a TenantRecord,
    chain: Option<ChainId>,
    now: Timestamp,
    result: Applied,
}

/// A repair that was noted before it began.
struct Repair {
    drift: Drift,
    /// Nothing where the tenant has no chain to be noted in.
    begun: Option<Begun>,
}

/// Applies a tenant's remembered rendering; `previous` is what stood complete before, where that is known.
pub async fn apply(
    context: &Context,
    record: &TenantRecord,
    previous: Option<&Rendering>,
    now: Timestamp,
) -> Applied {
    let mut application = Application {
        context,
        record,
        chain: record.tenant_id.parse().ok(),
        now,
        result: Applied::default(),
    };
    let Rendering {
        namespaces,
        cluster_policies,
    } = &record.rendering;
    for rendering in namespaces {
        let before = previous.and_then(|previous| previous.namespace(&rendering.name));
        let status = application.namespace(rendering, before).await;
        application.result.namespaces.push(status);
    }
    let before = previous.map(|previous| previous.cluster_policies.as_slice());
    application.cluster_policies(cluster_policies, before).await;
    application.result
}

impl Application<'_> {
    async fn namespace(
        &mut self,
        rendering: &NamespaceRendering,
        before: Option<&NamespaceRendering>,
    ) -> NamespaceStatus {
        let NamespaceRendering {
            name,
            hold,
            namespace,
            policies,
            quota,
            limits,
            bindings,
        } = rendering;
        let live = self.context.caches.live(Kind::Namespace, "", name);
        if let Some(message) = live.as_ref().and_then(terminating) {
            return NamespaceStatus {
                namespace: name.clone(),
                state: NamespaceState::Terminating,
                message: Some(message),
            };
        }
        let was_ready = live.as_ref().is_some_and(is_ready);
        // Only what stood complete before and was not changed on purpose can have drifted.
        let stood = was_ready || self.context.saw_complete(name);
        let settled = |same: bool| stood && same;
        let mut desired = value(namespace);
        if was_ready && *hold != Hold::Parked {
            desired["metadata"]["annotations"][keys::READY] = json!("true");
        }
        let same =
            before.is_some_and(|before| before.namespace == *namespace && before.hold == *hold);
        let mut complete = self
            .converge(Kind::Namespace, &desired, live, settled(same))
            .await;
        if complete {
            let sets = [
                (
                    Kind::NetworkPolicy,
                    values(policies),
                    before.map(|before| values(&before.policies)),
                ),
                (
                    Kind::ResourceQuota,
                    values(quota),
                    before.map(|before| values(&before.quota)),
                ),
                (
                    Kind::LimitRange,
                    values(limits),
                    before.map(|before| values(&before.limits)),
                ),
                (
                    Kind::RoleBinding,
                    values(bindings),
                    before.map(|before| values(&before.bindings)),
                ),
            ];
            for (kind, desired, before) in sets {
                complete &= self
                    .children(kind, name, &desired, before.as_deref(), &settled)
                    .await;
            }
        }
        if complete && *hold != Hold::Parked && !was_ready {
            complete = self.mark_ready(desired, name).await;
        }
        if complete {
            self.context.note_complete(name);
        }
        let state = match (hold, complete) {
            (_, false) => NamespaceState::Pending,
            (Hold::Parked, true) => NamespaceState::Parked,
            (Hold::Enforced | Hold::Observed, true) => NamespaceState::Ready,
        };
        NamespaceStatus {
            namespace: name.clone(),
            state,
            message: None,
        }
    }

    async fn children(
        &mut self,
        kind: Kind,
        namespace: &str,
        desired: &[Value],
        before: Option<&[Value]>,
        settled: &impl Fn(bool) -> bool,
    ) -> bool {
        let mut complete = true;
        for object in desired {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let live = self.context.caches.live(kind, namespace, name);
            let same = before.is_some_and(|before| before.contains(object));
            complete &= self.converge(kind, object, live, settled(same)).await;
        }
        for live in self.surplus(kind, namespace, desired) {
            let expected = before.is_some_and(|before| {
                before
                    .iter()
                    .any(|object| object["metadata"]["name"] == live["metadata"]["name"])
            });
            let is_drift = settled(before.is_some() && !expected);
            complete &= self.remove(kind, &live, is_drift).await;
        }
        complete
    }

    /// The last step of a namespace: from now on pods may start in it.
    async fn mark_ready(&mut self, mut desired: Value, name: &str) -> bool {
        desired["metadata"]["annotations"][keys::READY] = json!("true");
        let live = self.context.caches.live(Kind::Namespace, "", name);
        self.converge(Kind::Namespace, &desired, live, false).await
    }

    /// Above NetworkPolicy, where that is known to be enforced; what is no longer wanted goes.
    async fn cluster_policies(&mut self, desired: &[Value], before: Option<&[Value]>) {
        let kind = Kind::ClusterNetworkPolicy;
        for policy in desired {
            let name = policy["metadata"]["name"].as_str().unwrap_or_default();
            let live = self.context.caches.live(kind, "", name);
            let stood = before.is_some_and(|before| before.contains(policy));
            self.converge(kind, policy, live, stood).await;
        }
        for live in self.surplus(kind, "", desired) {
            self.remove(kind, &live, false).await;
        }
    }

    fn surplus(&self, kind: Kind, namespace: &str, desired: &[Value]) -> Vec<Value> {
        let marks = (&*self.record.tenant, &*self.record.tenant_id);
        let caches = &self.context.caches;
        caches.surplus(kind, namespace, desired, marks)
    }

    /// Answers whether the object stands as it should.
    async fn converge(
        &mut self,
        kind: Kind,
        desired: &Value,
        live: Option<Value>,
        can_drift: bool,
    ) -> bool {
        let change = Needed::between(desired, live.as_ref());
        if matches!(change, Needed::Nothing) {
            return true;
        }
        let object = name_of(desired);
        if let Some(wait) = self.context.fights().wait(kind, &object, self.now) {
            self.result.contested_for = Some(
                self.result
                    .contested_for
                    .map_or(wait, |known| known.min(wait)),
            );
            return false;
        }
        let repair = can_drift.then(|| {
            self.begin(match (&change, &live) {
                (Needed::Mending(differences), Some(live)) => {
                    drift::changed(kind, live, differences, self.now)
                }
                _ => drift::missing(kind, desired),
            })
        });
        let written = self
            .context
            .writer
            .converge(kind, desired, live.as_ref())
            .await;
        match written {
            Ok(written) => {
                let stands = self.wrote(kind, desired, written);
                if let Some(repair) = repair {
                    self.repaired(repair, &object);
                } else if !stands {
                    self.context.fights().repaired(kind, &object, self.now);
                }
                stands
            }
            Err(error) => {
                self.failed(repair, error);
                false
            }
        }
    }

    /// Notes a repair before it begins, so that it is on record even if this process dies in it.
    fn begin(&self, drift: Drift) -> Repair {
        let event = drift.event(&self.record.tenant, None);
        let begun = self
            .chain
            .map(|chain| self.context.notes.begin(chain, &event));
        Repair { drift, begun }
    }

    /// A write that failed. What the API server refused did not happen; of an answer that was lost nobody knows.
    fn failed(&mut self, repair: Option<Repair>, error: WriteError) {
        if let Some(Repair {
            drift,
            begun: Some(begun),
        }) = repair
        {
            if error.is_refused() {
                self.context.notes.dropped(begun);
            } else {
                let event = drift.event(&self.record.tenant, None);
                self.context.notes.done(begun, &event);
            }
        }
        self.result.errors.push(error);
    }

    /// Takes in what a write came to; answers whether it is what was written. Where somebody changed it on its way in (a
    /// mutating webhook), no event may follow: it is looked at again at once, until it counts as a fight.
    fn wrote(&self, kind: Kind, desired: &Value, written: Value) -> bool {
        let stands = differences(desired, &written).is_empty();
        self.context.caches.remember(kind, written);
        if !stands {
            self.context.queue.wake(&self.record.tenant);
        }
        stands
    }

    async fn remove(&mut self, kind: Kind, live: &Value, is_drift: bool) -> bool {
        let repair = is_drift.then(|| self.begin(drift::surplus(kind, live)));
        match self.context.writer.delete(kind, live).await {
            Ok(()) => {
                self.context.caches.forget(kind, live);
                if let Some(repair) = repair {
                    self.repaired(repair, &name_of(live));
                }
                true
            }
            Err(error) => {
                self.failed(repair, error);
                false
            }
        }
    }

    fn repaired(&mut self, Repair { drift, begun }: Repair, object: &str) {
        if let Some(begun) = begun {
            let event = drift.event(&self.record.tenant, Some(Timestamp::now()));
            self.context.notes.done(begun, &event);
        }
        self.context.fights().repaired(drift.kind, object, self.now);
        self.result.drift.push(drift);
    }
}

fn is_ready(live: &Value) -> bool {
    live["metadata"]["annotations"][keys::READY] == "true"
}

/// Why a namespace that is being deleted does not finish, in the namespace controller's own words.
fn terminating(live: &Value) -> Option<String> {
    live["metadata"]["deletionTimestamp"].as_str()?;
    let conditions = live["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let blockers: Vec<&str> = conditions
        .iter()
        .filter(|condition| condition["status"] == "True")
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    match blockers.as_slice() {
        [] => Some("being deleted; nothing blocks it so far".into()),
        blockers => Some(format!(
            "being deleted and blocked: {}",
            blockers.join("; ")
        )),
    }
}

fn name_of(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn values<'a, T: Serialize + 'a>(objects: impl IntoIterator<Item = &'a T>) -> Vec<Value> {
    objects.into_iter().map(value).collect()
}
