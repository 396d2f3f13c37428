//! The platform's own work: which TenancyPolicy is in force, what the guards are told, and where
//! each Approval, LegalHold and Attestation stands.

mod attestations;
mod holds;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenure_crds::words::Enforcement;
use tenure_crds::{Approval, TenancyPolicy, TenancyPolicySpec, TenancyPolicyStatus, keys};

use crate::access::{EVERYBODY, approval_said, is_about_a_grant};
use crate::approval::{
    Asked, Context as Look, DIGEST_VERSION, Gaps, Requester, Standing, Subject, VoidReason,
    condition as approval_condition, current_digest, standing,
};
use crate::caches::PLATFORM;
use crate::cluster::Cache;
use crate::context::Context;
use crate::policy::{Accepted, Decision, Permission, guard_parameters, merge_accepted};
use crate::record::{Given, PlatformRecord, TenantRecord};
use crate::tenant::status::said;
use crate::tenant::{Error, decisions};

/// Most holds or attestations that are recorded for the first time in one go: a segment has room for a thousand entries.
const MOST_NEW: usize = 200;

/// Brings the platform's settings into force and settles what people decided, hold and attest.
#[tracing::instrument(skip_all)]
pub async fn reconcile(context: Arc<Context>) -> Option<Duration> {
    let now = Timestamp::now();
    let policy = settings(&context, now).await;
    let approvals = settle_approvals(&context, now).await;
    let holds = holds::settle(&context, now).await;
    let attestations = attestations::settle(&context, now).await;
    // One that fails keeps none of the others.
    let failed = [policy, approvals, holds, attestations]
        .into_iter()
        .filter_map(Result::err);
    let mut again = None;
    for error in failed {
        context.metrics.failed(error.reason());
        tracing::warn!(%error, reason = error.reason(), "not all of the platform's own work is done; trying again");
        again = Some(Duration::from_secs(2));
    }
    again
}

/// Decides which settings are in force, remembers them, and hands the guards their part.
async fn settings(context: &Context, now: Timestamp) -> Result<(), Error> {
    let declared = context.caches.policies.get("", keys::POLICY_NAME);
    let accepted = context
        .records
        .platform()
        .and_then(|platform| platform.policy.clone());
    let object = match declared.as_ref().map(|guard| guard.0.as_ref()) {
        // A TenancyPolicy that vanished or cannot be read changes nothing: what was accepted stands.
        None => {
            context
                .metrics
                .undecodable("TenancyPolicy", keys::POLICY_NAME, false);
            return in_force(context, accepted.unwrap_or_default()).await;
        }
        Some(Err(error)) => {
            tracing::error!(
                error = error.error,
                "TenancyPolicy default cannot be read; the accepted settings stay in force"
            );
            context
                .metrics
                .undecodable("TenancyPolicy", keys::POLICY_NAME, true);
            return in_force(context, accepted.unwrap_or_default()).await;
        }
        Some(Ok(policy)) => policy,
    };
    context
        .metrics
        .undecodable("TenancyPolicy", keys::POLICY_NAME, false);
    if let Err(faults) = Accepted::from_spec(&object.spec) {
        let message = faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        in_force(context, accepted.clone().unwrap_or_default()).await?;
        return report(
            context,
            object,
            accepted.as_ref(),
            &Verdict::Invalid(message),
            now,
        )
        .await;
    }
    let asked = asked(context, object);
    let approval = decisions::approved(context, &asked, now);
    let permission = if !has_ready_enforced_tenant(context) {
        Permission::NotYetNeeded
    } else if approval.is_some() {
        Permission::Approved
    } else {
        Permission::Missing
    };
    let decision = merge_accepted(accepted.as_ref(), &object.spec, permission);
    if let Err(error) = remember(context, decision.in_force(), approval).await {
        // What cannot be recorded is not put in force; what was accepted stays.
        in_force(context, accepted.unwrap_or_default()).await?;
        return Err(error);
    }
    in_force(context, decision.in_force().clone()).await?;
    report(
        context,
        object,
        Some(decision.in_force()),
        &Verdict::Decided(&decision, &asked),
        now,
    )
    .await
}

async fn remember(
    context: &Context,
    policy: &TenancyPolicySpec,
    approval: Option<String>,
) -> Result<(), Error> {
    let now = Timestamp::now().to_string();
    let change = |record: &mut PlatformRecord| {
        if record.policy.as_ref() != Some(policy) {
            record.policy = Some(policy.clone());
            record.accepted_at = Some(now);
            record.allowed_by = approval;
        }
    };
    context.records.change_platform(change).await?;
    Ok(())
}

/// What is remembered about the platform.
fn remembered(context: &Context) -> Arc<PlatformRecord> {
    context.records.platform().unwrap_or_default()
}

/// Puts settings in force: parsed for the operator, as parameters for the guards.
async fn in_force(context: &Context, spec: TenancyPolicySpec) -> Result<(), Error> {
    let parsed = match Accepted::from_spec(&spec) {
        Ok(parsed) => parsed,
        // Only a parsed spec is ever accepted; one that no longer parses (an older release wrote
        // it) leaves the settings as they are.
        Err(faults) => {
            tracing::error!(
                ?faults,
                "the accepted settings cannot be read by this release; keeping what is in force"
            );
            return Ok(());
        }
    };
    let mut parameters = guard_parameters(&parsed);
    // A volume has no namespace to read facts from: its guard is told which namespaces are tenants'.
    let tenants = context.holders.namespaces().join(",");
    parameters.insert(keys::TENANT_NAMESPACES.into(), tenants);
    let live = context
        .caches
        .parameters
        .get(&context.settings.namespace, keys::GUARD_PARAMETERS);
    let written = live
        .as_ref()
        .and_then(|map| map.data.clone())
        .unwrap_or_default();
    if live.is_some() && written != parameters {
        context
            .writer
            .write_parameters(&context.settings.namespace, &parameters)
            .await
            .map_err(Error::api("writing the guards' parameters"))?;
    }
    if hold_to(context, parsed) {
        tracing::info!("platform settings changed");
        context.wake_all();
        context.access.queue.wake(EVERYBODY);
    }
    Ok(())
}

/// Holds everything to these settings from now on; answers whether that is news.
fn hold_to(context: &Context, settings: Accepted) -> bool {
    let current = context.policy.write();
    let mut current = current.unwrap_or_else(PoisonError::into_inner);
    let is_news = **current != settings;
    *current = Arc::new(settings);
    is_news
}

/// Takes up the settings that were accepted before this start. By the built-in ones no role may be granted, and every grant
/// that is live would end.
pub fn recall(context: &Context) {
    let platform = context.records.platform();
    let Some(policy) = platform.as_ref().and_then(|known| known.policy.as_ref()) else {
        return;
    };
    match Accepted::from_spec(policy) {
        Ok(settings) => {
            hold_to(context, settings);
        }
        Err(faults) => {
            tracing::error!(
                ?faults,
                "the accepted settings cannot be read by this release"
            );
        }
    }
}

/// Whether a tenant relies on the settings: an enforced one that is Ready, or was and is not just now. Its namespaces keep their
/// ready mark while it waits, is frozen, or cannot be read.
fn has_ready_enforced_tenant(context: &Context) -> bool {
    context.records.all_lasting().any(|record| {
        record.spec.enforcement.unwrap_or_default() == Enforcement::Enforce
            && (is_frozen_or_ready(context, &record.tenant)
                || has_ready_namespace(context, &record))
    })
}

fn is_frozen_or_ready(context: &Context, tenant: &str) -> bool {
    let Some(guard) = context.caches.tenants.get("", tenant) else {
        return true;
    };
    guard.0.as_ref().is_ok_and(|tenant| {
        let status = tenant.status.iter();
        status
            .flat_map(|status| &status.conditions)
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

fn has_ready_namespace(context: &Context, record: &TenantRecord) -> bool {
    record.namespaces.iter().any(|namespace| {
        let live = context.caches.namespaces.get("", namespace);
        live.is_some_and(|live| {
            let ready = live.annotations().get(keys::READY);
            ready.is_some_and(|ready| ready == "true")
        })
    })
}

fn asked(context: &Context, policy: &TenancyPolicy) -> Asked {
    let appliers = context.accepted().gitops_appliers.clone();
    Asked {
        action: tenure_crds::approval::Action::Loosen,
        kind: "TenancyPolicy".into(),
        name: keys::POLICY_NAME.into(),
        tenant_id: None,
        tenant: None,
        digests: BTreeMap::from([(
            DIGEST_VERSION,
            current_digest(&Subject::PolicyLoosen(&policy.spec)),
        )]),
        requester: Requester::from_stamp(
            policy
                .annotations()
                .get(keys::CHANGED_BY)
                .map(String::as_str),
            &appliers,
        ),
        person: None,
        since: decisions::since(remembered(context).accepted_at.as_deref()),
    }
}

enum Verdict<'a> {
    Invalid(String),
    Decided(&'a Decision, &'a Asked),
}

async fn report(
    context: &Context,
    object: &TenancyPolicy,
    accepted: Option<&TenancyPolicySpec>,
    verdict: &Verdict<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let before = object.status.clone().unwrap_or_default();
    let make = said(&before.conditions, object.metadata.generation, now);
    let (conditions, pending_approvals) = match verdict {
        Verdict::Invalid(message) => {
            let message = format!("{message}; the accepted settings stay in force");
            let conditions = vec![
                make("Accepted", "False", "Invalid", &message),
                make("Ready", "False", "Invalid", &message),
                make("Stalled", "True", "Invalid", &message),
            ];
            (conditions, Vec::new())
        }
        Verdict::Decided(decision, asked) => match decision.waiting() {
            [] => (
                vec![
                    make("Accepted", "True", "InForce", "the spec is in force"),
                    make("Ready", "True", "InForce", "the spec is in force"),
                ],
                Vec::new(),
            ),
            waiting => {
                let fields: Vec<String> = waiting
                    .iter()
                    .map(|loosening| {
                        format!(
                            "{} ({}): {} to {}",
                            loosening.field, loosening.why, loosening.old, loosening.new
                        )
                    })
                    .collect();
                let message = format!(
                    "waiting for a Loosen approval, the old setting stays in force: {}",
                    fields.join("; ")
                );
                let conditions = vec![
                    make("Accepted", "False", "LooseningPending", &message),
                    make("Ready", "False", "LooseningPending", &message),
                    make("Stalled", "True", "LooseningPending", &message),
                ];
                (
                    conditions,
                    vec![decisions::request(
                        asked,
                        format!(
                            "the platform's settings are loosened: {}",
                            fields.join("; ")
                        ),
                    )],
                )
            }
        },
    };
    let status = TenancyPolicyStatus {
        observed_generation: object.metadata.generation,
        conditions,
        accepted_digest: accepted.map(|spec| current_digest(&Subject::PolicyLoosen(spec))),
        pending_approvals,
    };
    if status == before {
        return Ok(());
    }
    let next = TenancyPolicy {
        status: Some(status),
        ..object.clone()
    };
    say(
        context,
        &context.caches.policies,
        &next,
        "writing the TenancyPolicy's status",
    )
    .await
}

/// Says on every Approval whether it counts, and why not.
async fn settle_approvals(context: &Context, now: Timestamp) -> Result<(), Error> {
    let gaps = decisions::gaps(context, "approvals");
    let guards_known = context
        .guards
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some();
    if !guards_known {
        // Not compared and proven yet: a verdict now would only flap.
        return Ok(());
    }
    let mut outcome = Ok(());
    for approval in decisions::approvals(context).filter(|approval| !is_about_a_grant(approval)) {
        outcome = outcome.and(settle(context, &approval, &gaps, now).await);
    }
    outcome
}

async fn settle(
    context: &Context,
    approval: &Approval,
    gaps: &Gaps,
    now: Timestamp,
) -> Result<(), Error> {
    let before = approval.status.clone().unwrap_or_default();
    let measured = |asked: Option<&Asked>| {
        let persons = match asked {
            Some(asked) => decisions::persons(context, asked),
            None => context.access.persons(),
        };
        let look = Look {
            asked,
            now,
            gaps,
            persons: &persons,
        };
        standing(approval, &look)
    };
    let standing = match asked_or_settled(context, approval) {
        holds::Release::Asked(asked) => measured(asked.as_deref()),
        holds::Release::Settled | holds::Release::Used => Standing::Void(VoidReason::Settled),
    };
    // What was acted on has done its work: that its subject has moved on does not make it void.
    let used = before.used_at.is_some() || was_used(context, approval);
    // Record first: nothing is done on a decision that could be forgotten.
    let waits = match &standing {
        _ if used => Some(false),
        Standing::Counts(_) => Some(true),
        Standing::Void(reason) => (!reason.may_pass()).then_some(false),
    };
    if let Some(waits) = waits {
        remember_decision(context, approval, waits).await?;
    }
    let (status, reason, message) = if used {
        ("True", "Used", "the approval was acted on".to_owned())
    } else {
        approval_condition(&standing)
    };
    let Some(object) = approval_said(approval, (status, reason, message), used, now) else {
        return Ok(());
    };
    say(
        context,
        &context.caches.approvals,
        &object,
        "writing an Approval's status",
    )
    .await
}

/// Writes a status, and takes in the answer.
pub(crate) async fn say<K>(
    context: &Context,
    cache: &Cache<DeserializeGuard<K>>,
    object: &K,
    what: &'static str,
) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + Serialize
        + DeserializeOwned
        + 'static,
{
    match context.writer.write_status(object).await {
        Ok(written) => {
            cache.remember(DeserializeGuard(Ok(written)));
            Ok(())
        }
        // It went while we looked; nothing is left to say.
        Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
        Err(error) => Err(Error::api(what)(error)),
    }
}

/// Whether there is, or was, a tenant of this name and UUID.
fn is_tenant(context: &Context, name: &str, tenant_id: &str) -> bool {
    let remembered = context.records.tenant(name);
    let is_remembered = remembered.is_some_and(|record| record.tenant_id == tenant_id);
    is_remembered
        || context.caches.tenants.get("", name).is_some_and(|guard| {
            let tenant = guard.0.as_ref();
            tenant.is_ok_and(|tenant| tenant.spec.tenant_id == tenant_id)
        })
}

/// What of a kind can be read; what cannot is shown, and skipped.
pub(crate) fn readable<K>(context: &Context, cache: &Cache<DeserializeGuard<K>>) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let all = cache.all();
    let broken = all.iter().filter(|guard| guard.0.is_err());
    let broken = broken.map(|guard| guard.name_any()).collect();
    context.metrics.all_undecodable(&K::kind(&()), broken);
    let readable = all.iter().filter_map(|guard| guard.0.as_ref().ok());
    let mut found: Vec<K> = readable.cloned().collect();
    found.sort_by_cached_key(|object| (object.creation_timestamp(), object.name_any()));
    found
}

/// Keeps a decision that counted on record until it was acted on.
async fn remember_decision(
    context: &Context,
    approval: &Approval,
    waits: bool,
) -> Result<(), Error> {
    let platform = context.records.platform();
    let is_known = approval
        .uid()
        .is_some_and(|uid| platform.is_some_and(|platform| platform.approvals.contains_key(&uid)));
    if is_known == waits {
        return Ok(());
    }
    let Some((uid, given)) = Given::of(approval) else {
        return Ok(());
    };
    let change = |record: &mut PlatformRecord| match waits {
        true => drop(record.approvals.insert(uid, given)),
        false => drop(record.approvals.remove(&uid)),
    };
    context.records.change_platform(change).await?;
    Ok(())
}

fn was_used(context: &Context, approval: &Approval) -> bool {
    let name = approval.name_any();
    let platform = context.records.platform();
    if approval.spec.tenant_ref.is_none()
        && platform
            .as_ref()
            .is_some_and(|platform| platform.allowed_by.as_ref() == Some(&name))
    {
        return true;
    }
    if is_about_a_hold(approval) {
        return matches!(holds::release(context, approval), holds::Release::Used);
    }
    let tenant = approval
        .spec
        .tenant_ref
        .as_ref()
        .and_then(|tenant| context.records.tenant(&tenant.name));
    tenant.is_some_and(|record| {
        record.allowed_by.as_ref() == Some(&name) || record.adopted.values().any(|by| *by == name)
    })
}

fn is_about_a_hold(approval: &Approval) -> bool {
    approval.spec.subject.kind == "LegalHold"
}

/// What an Approval is measured against, or that what it decides on was settled before.
fn asked_or_settled(context: &Context, approval: &Approval) -> holds::Release {
    match is_about_a_hold(approval) {
        true => holds::release(context, approval),
        false => holds::Release::Asked(what_is_asked(context, approval).map(Box::new)),
    }
}

fn what_is_asked(context: &Context, approval: &Approval) -> Option<Asked> {
    let of_action = |asked: Vec<Asked>| {
        asked
            .into_iter()
            .find(|asked| asked.action == approval.spec.action)
    };
    match &approval.spec.tenant_ref {
        None => {
            let policy = context.caches.policies.get("", keys::POLICY_NAME)?;
            of_action(vec![asked(context, policy.0.as_ref().ok()?)])
        }
        Some(tenant) => {
            let object = context.caches.tenants.get("", &tenant.name)?;
            let object = object.0.as_ref().ok()?;
            debug_assert_eq!(
                object.object_ref(&()).name.as_deref(),
                Some(tenant.name.as_str())
            );
            of_action(decisions::all_asked(context, object))
        }
    }
}
