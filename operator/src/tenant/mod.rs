//! The CustomerTenant reconciler: five steps, each its own file.

pub mod apply;
pub mod build;
pub mod decisions;
pub mod dereference;
pub mod drift;
pub mod names;
pub mod observe;
pub mod plan;
pub mod rendering;
pub mod status;
pub mod unused;
pub mod validate;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use tenure_crds::customer_tenant::{NamespaceState, NamespaceStatus};
use tenure_crds::words::PendingApproval;
use tenure_crds::{CustomerTenant, keys};

use self::apply::Applied;
use self::dereference::Seen;
use self::plan::{Declaration, Declared, Halt, Plan};
use self::rendering::Rendering;
use self::validate::Surroundings;
use crate::context::Context;
use crate::evaluations::Judged;
use crate::record::{RecordError, Review, TenantRecord, history};

/// How soon a reconcile that failed is tried again; doubled by the queue's own waiting on events.
const RETRY: Duration = Duration::from_secs(2);
/// How soon what cannot be recorded is tried again.
const HELD: Duration = Duration::from_secs(5);

/// Why a reconcile could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record refused: nothing was acted on.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The API server refused or could not be reached.
    #[error("{what}: {source}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

impl Error {
    /// A failed request, with what was tried.
    pub(crate) fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api {
            what,
            source: Box::new(source),
        }
    }

    /// The reason as it stands in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Record(error) => error.reason(),
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => "Conflict",
                kube::Error::Api(status) if status.code == 429 => "Throttled",
                kube::Error::Api(status) if (400..500).contains(&status.code) => "Refused",
                kube::Error::Api(_) => "ServerError",
                _ => "Unreachable",
            },
        }
    }
}

/// What a reconcile came to.
struct Done {
    /// After how long it is due again without an event.
    again: Option<Duration>,
    judged: Judged,
}

impl Done {
    /// Without verdicts.
    fn unjudged(again: Option<Duration>) -> Self {
        Self {
            again,
            judged: Judged::Not,
        }
    }
}

/// Reconciles one tenant; answers after how long it is due again without an event.
#[tracing::instrument(skip(context))]
pub async fn reconcile(context: Arc<Context>, tenant: String) -> Option<Duration> {
    let (began, started) = (tokio::time::Instant::now(), Instant::now());
    let result = run(&context, &tenant).await;
    context.metrics.reconciled(
        if result.is_ok() { "ok" } else { "error" },
        started.elapsed().as_secs_f64(),
    );
    let judged = result.as_ref().map_or(Judged::Not, |done| done.judged);
    context.evaluations.note(&tenant, judged, began);
    match result {
        Ok(done) => done.again,
        Err(error) => {
            context.metrics.failed(error.reason());
            // A conflict only says that our copy was old; the next look has the new one.
            let conflict = error.reason() == "Conflict";
            if conflict {
                tracing::debug!(%error, "looking again");
            } else {
                tracing::warn!(%error, reason = error.reason(), "reconcile failed; trying again");
            }
            Some(if conflict {
                Duration::from_millis(50)
            } else {
                RETRY
            })
        }
    }
}

async fn run(context: &Context, name: &str) -> Result<Done, Error> {
    let now = Timestamp::now();
    let seen = dereference::dereference(context, name);
    let undecodable = matches!(seen.object, Some(Err(_)));
    context
        .metrics
        .undecodable("CustomerTenant", name, undecodable);
    if let Some(record) = looks_vanished(&seen)
        && context
            .writer
            .is_declared(name)
            .await
            .map_err(Error::api("looking for the CustomerTenant"))?
    {
        return Ok(behind(context, record, now).await);
    }
    match decide(context, name, &seen, now).await? {
        Plan::Nothing => {
            context.metrics.forget(name);
            context.hold(name, std::iter::empty());
            Ok(Done::unjudged(None))
        }
        Plan::Enforce {
            record,
            add_finalizer,
            awaiting,
            pending,
        } => {
            enforce(
                context,
                &seen,
                *record,
                Enforcement {
                    add_finalizer,
                    awaiting,
                    pending,
                },
                now,
            )
            .await
        }
        Plan::Keep {
            record,
            halt,
            pending,
        } => {
            keep(
                context,
                &seen,
                record.map(|record| *record),
                halt,
                pending,
                now,
            )
            .await
        }
        Plan::Behind(record) => Ok(behind(context, &record, now).await),
        Plan::Release { record } => {
            release(context, &seen, record.map(|record| *record)).await?;
            // It may stay for as long as somebody else's finalizer holds it; no pass waits for that.
            Ok(Done {
                again: None,
                judged: Judged::Unsettled,
            })
        }
        Plan::EndUnused(record) => {
            let again = unused::end(context, &seen, *record, now).await?;
            Ok(Done::unjudged(again))
        }
    }
}

/// Decides what to do. What looks older than what is remembered is asked for: it may be all there is.
async fn decide(context: &Context, name: &str, seen: &Seen, now: Timestamp) -> Result<Plan, Error> {
    let mut declared = declare(context, name, seen, now);
    let plan = |declared| plan::plan(name, declared, seen.record.as_ref(), seen.trouble.as_ref());
    let decided = plan(declared.clone());
    let (Plan::Behind(_), Declared::Present(declaration)) = (&decided, &mut declared) else {
        return Ok(decided);
    };
    let newest = context
        .writer
        .generation(name)
        .await
        .map_err(Error::api("looking for the CustomerTenant"))?;
    if newest != declaration.generation {
        return Ok(decided);
    }
    tracing::warn!(
        tenant = name,
        "the CustomerTenant is older than what was accepted, and the newest there is: the cluster's store went back"
    );
    declaration.is_newest = true;
    Ok(plan(declared))
}

/// What is remembered of a tenant whose CustomerTenant is not in the cache and was there before.
fn looks_vanished(seen: &Seen) -> Option<&TenantRecord> {
    let record = seen.record.as_ref()?;
    let is_news = seen.object.is_none() && record.frozen.is_none() && record.ended_at.is_none();
    is_news.then_some(record)
}

/// The cache lags behind what another process saw: what was accepted is kept until it has caught up.
async fn behind(context: &Context, record: &TenantRecord, now: Timestamp) -> Done {
    tracing::info!(
        "what is seen of the CustomerTenant is older than what is remembered; looking again"
    );
    context.hold(&record.tenant, record.namespaces.iter().map(String::as_str));
    let applied = apply::apply(context, record, None, now).await;
    for error in applied.errors.iter().filter(|error| !error.is_conflict()) {
        tracing::warn!(%error, "not applied");
        context.metrics.failed("ApplyFailed");
    }
    Done::unjudged(Some(RETRY))
}

fn declare(context: &Context, name: &str, seen: &Seen, now: Timestamp) -> Declared {
    let tenant = match &seen.object {
        None => return Declared::Absent,
        Some(Err(why)) => return Declared::Undecodable(why.clone()),
        Some(Ok(tenant)) => tenant,
    };
    let held = seen
        .record
        .as_ref()
        .map(|record| record.namespaces.clone())
        .unwrap_or_default();
    let around = Surroundings {
        policy: &seen.policy,
        own_namespaces: &context.settings.namespaces(),
        claims: &seen.claims,
        held: &held,
    };
    let parsed = validate::validate(name, &tenant.spec, &around).map(|tenant| {
        let rendering = build::build(&tenant, &seen.policy);
        (tenant, rendering)
    });
    let decisions = decisions::of(context, tenant, seen, now);
    Declared::Present(Box::new(Declaration {
        uid: tenant.uid().unwrap_or_default(),
        generation: tenant.metadata.generation,
        is_newest: false,
        deleting: tenant.metadata.deletion_timestamp.is_some(),
        has_finalizer: tenant
            .finalizers()
            .iter()
            .any(|finalizer| finalizer == keys::FINALIZER),
        spec: tenant.spec.clone(),
        parsed,
        loosens: decisions.loosens,
        spec_digest: decisions.amend_request.digest.clone(),
        seen_at: now.to_string(),
        changed_by: tenant.annotations().get(keys::CHANGED_BY).cloned(),
        amendment: decisions.amendment,
        adoption: decisions.adoption,
        foreign: seen.foreign.keys().cloned().collect(),
        id_taken_by: seen.id_taken_by.clone(),
        holds: seen.holds.clone(),
        adopt_request: decisions.adopt_request,
        amend_request: decisions.amend_request,
    }))
}

/// What was remembered before, where it is known to have stood complete: only what differs from that can have drifted.
/// What a crash or an error left half done is nobody's doing.
fn stood(seen: &Seen) -> Option<&Rendering> {
    let rendering = &seen.record.as_ref()?.rendering;
    let Some(Ok(tenant)) = &seen.object else {
        return Some(rendering);
    };
    let applied = tenant.status.as_ref()?.applied_digest.as_ref()?;
    (*applied == rendering.digest()).then_some(rendering)
}

/// What goes with an accepted spec.
struct Enforcement {
    add_finalizer: bool,
    awaiting: BTreeSet<String>,
    pending: Vec<PendingApproval>,
}

async fn enforce(
    context: &Context,
    seen: &Seen,
    mut record: TenantRecord,
    with: Enforcement,
    now: Timestamp,
) -> Result<Done, Error> {
    let mut object = seen
        .object
        .as_ref()
        .and_then(|object| object.as_ref().ok())
        .cloned();
    let thawed = seen
        .record
        .as_ref()
        .is_some_and(|before| before.frozen.is_some());
    record.used = record.used || unused::holds_something(context, &record);
    // From the day it is accepted, its access is reviewed.
    record
        .review
        .get_or_insert_with(|| Review::counted_from(&now.to_string()));
    // Record first, then act.
    match context.records.remember(&record).await {
        Ok(()) => wake_grants(context, seen.record.as_ref(), &record),
        Err(error @ RecordError::TooLarge { .. }) => {
            let accepted = seen.record.clone();
            let halt = Halt::TooLarge(error.to_string());
            return keep(context, seen, accepted, halt, Vec::new(), now).await;
        }
        Err(error) if error.holds() => {
            let halt = Halt::NotRecorded {
                reason: error.reason(),
                why: error.to_string(),
            };
            let kept = keep(context, seen, seen.record.clone(), halt, Vec::new(), now).await?;
            return Ok(Done {
                again: kept.again.or(Some(HELD)),
                ..kept
            });
        }
        Err(error) => return Err(error.into()),
    }
    context.hold(&record.tenant, record.namespaces.iter().map(String::as_str));
    if with.add_finalizer
        && let Some(tenant) = &object
    {
        let changed = context
            .writer
            .set_finalizer(tenant, true)
            .await
            .map_err(Error::api("adding the finalizer"))?;
        context
            .caches
            .tenants
            .remember(kube::core::DeserializeGuard(Ok(changed.clone())));
        object = Some(changed);
    }
    let before = seen.record.as_ref().map(|before| &before.rendering);
    let cut = observe::tightened(context, &record, before);
    let mut applied = apply::apply(context, &record, stood(seen), now).await;
    observe::contain(context, &record, cut, &applied).await;
    applied
        .namespaces
        .extend(with.awaiting.iter().map(|namespace| NamespaceStatus {
            namespace: namespace.clone(),
            state: NamespaceState::AwaitingAdoption,
            message: None,
        }));
    applied
        .namespaces
        .sort_by(|left, right| left.namespace.cmp(&right.namespace));
    if thawed && let Some(tenant) = &object {
        context
            .events
            .note(
                &tenant.object_ref(&()),
                "Thawed",
                "Reconcile",
                "the tenant came back as it was accepted".into(),
            )
            .await;
    }
    finish(
        context,
        seen,
        object.as_ref(),
        Some(&record),
        applied,
        None,
        with.pending,
        now,
    )
    .await
}

async fn keep(
    context: &Context,
    seen: &Seen,
    record: Option<TenantRecord>,
    halt: Halt,
    pending: Vec<PendingApproval>,
    now: Timestamp,
) -> Result<Done, Error> {
    let object = seen.object.as_ref().and_then(|object| object.as_ref().ok());
    let record = match record {
        Some(mut record) => {
            let newly_frozen = record.frozen.filter(|_| {
                seen.record
                    .as_ref()
                    .is_none_or(|before| before.frozen.is_none())
            });
            record.used = record.used || unused::holds_something(context, &record);
            context.hold(&record.tenant, record.namespaces.iter().map(String::as_str));
            // What was accepted is repaired whether or not this can be recorded now.
            let is_recorded = match context.records.remember(&record).await {
                Ok(()) => {
                    wake_grants(context, seen.record.as_ref(), &record);
                    true
                }
                Err(error) if error.holds() => {
                    tracing::debug!(%error, "not recorded yet");
                    false
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(reason) = newly_frozen.filter(|_| is_recorded) {
                tracing::error!(
                    tenant = record.tenant,
                    reason = reason.as_str(),
                    "tenant frozen: isolation is kept, nothing else happens"
                );
                context
                    .events
                    .warn(
                        &tenant_reference(&record),
                        "Frozen",
                        "Reconcile",
                        halt.message(),
                    )
                    .await;
            }
            Some(record)
        }
        None => None,
    };
    let applied = match &record {
        Some(record) => apply::apply(context, record, stood(seen), now).await,
        None => Applied::default(),
    };
    finish(
        context,
        seen,
        object,
        record.as_ref(),
        applied,
        Some(halt),
        pending,
        now,
    )
    .await
}

/// Who may be let in hangs on what is on record of the tenant.
fn wake_grants(context: &Context, before: Option<&TenantRecord>, after: &TenantRecord) {
    if before != Some(after) {
        context.access.queue.wake(&after.tenant);
    }
}

/// A deletion nobody approved got past the guards: a deleted object cannot come back to life, and
/// holding it would block its CRD. It is let go, and nothing is done.
async fn release(
    context: &Context,
    seen: &Seen,
    record: Option<TenantRecord>,
) -> Result<Option<Duration>, Error> {
    if let Some(record) = record {
        match context.records.remember(&record).await {
            // It is let go whatever the record says: holding it would block its definition, and nothing is done to the tenant.
            Err(error) if error.holds() => tracing::warn!(%error, "not recorded yet"),
            remembered => remembered?,
        }
        tracing::error!(
            tenant = record.tenant,
            "CustomerTenant deleted without an approved end: let go, isolation is kept"
        );
    }
    let note = "deleted without an approved end: nothing is destroyed, isolation is kept; apply it again with the same tenantID and spec";
    if let Some(tenant) = let_go(context, seen).await? {
        let about = tenant.object_ref(&());
        context
            .events
            .warn(&about, "Released", "Reconcile", note.into())
            .await;
    }
    Ok(None)
}

/// Takes our finalizer off a deleted CustomerTenant; answers the object where it carried it.
async fn let_go<'a>(
    context: &Context,
    seen: &'a Seen,
) -> Result<Option<&'a CustomerTenant>, Error> {
    let Some(Ok(tenant)) = &seen.object else {
        return Ok(None);
    };
    if !tenant
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == keys::FINALIZER)
    {
        return Ok(None);
    }
    let let_go = context.writer.set_finalizer(tenant, false).await;
    let_go.map_err(Error::api("letting the deleted object go"))?;
    Ok(Some(tenant))
}

#[allow(
    clippy::too_many_arguments,
    reason = "the last step needs what every other step found; a struct would only rename it"
)]
async fn finish(
    context: &Context,
    seen: &Seen,
    object: Option<&CustomerTenant>,
    record: Option<&TenantRecord>,
    applied: Applied,
    halt: Option<Halt>,
    pending: Vec<PendingApproval>,
    now: Timestamp,
) -> Result<Done, Error> {
    if let Some(record) = record {
        report_drift(context, object, record, &applied).await;
    }
    let name = object
        .map(ResourceExt::name_any)
        .or_else(|| record.map(|record| record.tenant.clone()))
        .unwrap_or_default();
    let again = applied
        .contested_for
        .or_else(|| (!applied.errors.is_empty()).then_some(RETRY));
    let conflict = applied
        .errors
        .iter()
        .any(crate::cluster::WriteError::is_conflict);
    for error in applied.errors.iter().filter(|error| !error.is_conflict()) {
        tracing::warn!(%error, "not applied");
        context.metrics.failed("ApplyFailed");
    }
    context.metrics.frozen(
        &name,
        record
            .and_then(|record| record.frozen)
            .map(crate::record::FreezeReason::as_str),
    );
    if let Some(record) = record {
        let parked = record
            .rendering
            .namespaces
            .iter()
            .filter(|ns| ns.hold == rendering::Hold::Parked)
            .map(|ns| ns.name.as_str());
        context.metrics.parked(&name, parked);
    }
    let namespaces: Vec<String> = record
        .iter()
        .flat_map(|record| record.namespaces.iter().cloned())
        .collect();
    let contested: BTreeSet<String> = context.fights().contested(&namespaces, now).collect();
    let observe = match (object, record) {
        (Some(_), Some(record)) => observe::report(context, seen, record).await,
        _ => None,
    };
    let controls = crate::assess::tenant(
        context,
        &name,
        object,
        record,
        &applied,
        halt.as_ref(),
        &pending,
        now,
    );
    if let Some(record) = record {
        let enforcement = record.spec.enforcement.unwrap_or_default();
        context.metrics.tenant(
            &name,
            &record.tenant_id,
            record.spec.classification.as_str(),
            enforcement.as_str(),
        );
    }
    if let Some((_, controls)) = &controls {
        context.metrics.controls(&name, controls);
    }
    let is_open = halt.is_some()
        || !pending.is_empty()
        || !contested.is_empty()
        || observe.is_some()
        // A suspension begins and runs out by the clock.
        || record.is_some_and(|record| record.spec.force_majeure.is_some())
        || !applied.is_settled();
    let Some(object) = object else {
        context.metrics.no_conditions(&name);
        return Ok(Done {
            again,
            judged: Judged::Unsettled,
        });
    };
    let before = object.status.clone().unwrap_or_default();
    let applied_digest = record
        .filter(|_| applied.is_complete())
        .map(|record| record.rendering.digest());
    let status = status::compute(status::Inputs {
        before: &before,
        generation: object.metadata.generation,
        now,
        halt: halt.as_ref(),
        enforcement: record
            .map_or(object.spec.enforcement, |record| record.spec.enforcement)
            .unwrap_or_default(),
        namespaces: applied.namespaces,
        errors: applied.errors.iter().map(ToString::to_string).collect(),
        contested: contested.into_iter().collect(),
        pending,
        holds: seen.holds.clone(),
        used: record.map(|record| record.used),
        accepted_digest: record.map(|record| record.spec_digest.clone()),
        applied_digest,
        controls,
        observe,
    });
    context.metrics.conditions(
        &name,
        status
            .conditions
            .iter()
            .map(|condition| (condition.type_.as_str(), condition.status.as_str())),
    );
    if status != before {
        let changed = history::of_verdicts(&name, &before.controls, &status.controls);
        if let (Some(record), Some(event)) = (record, changed) {
            context.notes.note_of(&record.tenant_id, &event);
        }
        write_status(context, object, status).await?;
    }
    Ok(Done {
        again: if conflict {
            Some(Duration::from_millis(50))
        } else {
            again
        },
        judged: if is_open {
            Judged::Unsettled
        } else {
            Judged::Settled
        },
    })
}

async fn write_status(
    context: &Context,
    object: &CustomerTenant,
    status: tenure_crds::CustomerTenantStatus,
) -> Result<(), Error> {
    let next = CustomerTenant {
        status: Some(status),
        ..object.clone()
    };
    match context.writer.write_status(&next).await {
        Ok(written) => {
            context
                .caches
                .tenants
                .remember(kube::core::DeserializeGuard(Ok(written)));
            Ok(())
        }
        Err(error) => Err(Error::api("writing status")(error)),
    }
}

async fn report_drift(
    context: &Context,
    object: Option<&CustomerTenant>,
    record: &TenantRecord,
    applied: &Applied,
) {
    let about = object.map_or_else(|| tenant_reference(record), |tenant| tenant.object_ref(&()));
    for drift in &applied.drift {
        context.metrics.drifted(&record.tenant, drift);
        tracing::warn!(
            tenant = record.tenant,
            control = drift.control,
            kind = drift.kind.as_str(),
            object = drift.object,
            what = drift.what,
            actor = %drift.actor,
            exposed_seconds = drift.exposed_seconds,
            "drift repaired"
        );
        let exposure = drift.exposed_seconds.map_or_else(
            || "unknown time".into(),
            |seconds| format!("at most {} s", seconds + 1),
        );
        let note = format!(
            "{}: {} {} — {}; repaired, exposed for {exposure}, actor {}",
            drift.control,
            drift.kind.as_str(),
            drift.object,
            drift.what,
            drift.actor
        );
        context
            .events
            .warn_concerning(&about, concerned(drift), "DriftRepaired", "Repair", note)
            .await;
    }
}

/// Names the object that drifted.
fn concerned(drift: &drift::Drift) -> ObjectReference {
    let resource = drift.kind.resource();
    let (namespace, name) = match drift.object.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, drift.object.clone()),
    };
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        namespace,
        name: Some(name),
        ..ObjectReference::default()
    }
}

/// Names a CustomerTenant that may no longer exist.
fn tenant_reference(record: &TenantRecord) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", keys::GROUP, keys::VERSION)),
        kind: Some("CustomerTenant".into()),
        name: Some(record.tenant.clone()),
        uid: record.uid.clone(),
        ..ObjectReference::default()
    }
}
