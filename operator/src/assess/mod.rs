//! Facts to controls: the one place where verdicts are made.

pub mod attested;
mod bindings;
pub mod changes;
mod exposure;
pub mod reach;

use std::sync::PoisonError;

use jiff::Timestamp;
use tenure_controls::facts::{
    ApprovalFacts, DriftItem, Facts, LooseningFacts, NamespaceFacts, PlatformFacts, StorageFacts,
    TenantFacts,
};
use tenure_controls::{Summary, evaluate_all, summary, to_status};
use tenure_crds::CustomerTenant;
use tenure_crds::customer_tenant::NamespaceState;
use tenure_crds::status::ControlStatus;
use tenure_crds::words::PendingApproval;

use crate::access::{facts, reviewing};
use crate::context::Context;
use crate::policy::accepted::Accepted;
use crate::record::TenantRecord;
use crate::tenant::apply::Applied;
use crate::tenant::plan::Halt;

/// Judges a tenant's controls; nothing where nothing was ever accepted.
#[allow(
    clippy::too_many_arguments,
    reason = "the facts come from every step of a reconcile"
)]
pub fn tenant(
    context: &Context,
    name: &str,
    object: Option<&CustomerTenant>,
    record: Option<&TenantRecord>,
    applied: &Applied,
    halt: Option<&Halt>,
    pending: &[PendingApproval],
    now: Timestamp,
) -> Option<(Summary, Vec<ControlStatus>)> {
    let record = record?;
    let accepted = context.accepted();
    let platform = context
        .records
        .platform()
        .and_then(|platform| platform.policy.clone())
        .unwrap_or_default();
    let access = facts::of(context, record, now);
    context.access.told.say(name, &access);
    let facts = Facts {
        evaluated_at: Some(now),
        last_full_pass: context.passed_at(),
        tenant: Some(TenantFacts::from_spec(name, &record.spec)),
        platform: Some(PlatformFacts::from_spec(&platform)),
        namespaces: Some(namespaces(applied)),
        reachability: context
            .reachability
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned(),
        probe: context
            .probe
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
        guards: context
            .guards
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
        role_bindings: Some(bindings::facts(context, record)),
        exposure: Some(exposure::facts(context, record, &accepted)),
        storage: Some(storage(context, record, &accepted)),
        access: Some(access),
        reviews: reviewing::facts(context, record, now),
        approvals: Some(approvals(context, object, record)),
        loosenings: Some(loosenings(halt, pending)),
        versions: context
            .versions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
    };
    let findings = evaluate_all(&facts, now);
    let before = object
        .and_then(|object| object.status.as_ref())
        .map(|status| status.controls.as_slice())
        .unwrap_or_default();
    Some((summary(&findings), to_status(&findings, before, now)))
}

fn approvals(
    context: &Context,
    object: Option<&CustomerTenant>,
    record: &TenantRecord,
) -> ApprovalFacts {
    let said = |status: &str| crate::tenant::decisions::said(context, object, record, status);
    let counting = said("True").into_iter();
    ApprovalFacts {
        void: said("False").iter().map(ToString::to_string).collect(),
        identity_only: counting
            .filter(|said| said.reason == "IdentityOnly")
            .map(|said| said.to_string())
            .collect(),
    }
}

fn namespaces(applied: &Applied) -> Vec<NamespaceFacts> {
    let failed: Vec<String> = applied.errors.iter().map(ToString::to_string).collect();
    let facts = applied.namespaces.iter().map(|namespace| {
        let differs = match namespace.state {
            NamespaceState::Pending => vec![DriftItem {
                kind: "Namespace".into(),
                name: namespace.namespace.clone(),
                what: failed
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "its policies do not all stand".into()),
            }],
            NamespaceState::Terminating => vec![DriftItem {
                kind: "Namespace".into(),
                name: namespace.namespace.clone(),
                what: "it is being deleted".into(),
            }],
            _ => Vec::new(),
        };
        NamespaceFacts {
            name: namespace.namespace.clone(),
            ready: namespace.state == NamespaceState::Ready,
            parked: namespace.state == NamespaceState::Parked,
            differs,
        }
    });
    facts.collect()
}

fn storage(context: &Context, record: &TenantRecord, accepted: &Accepted) -> StorageFacts {
    let allowed = &accepted
        .baseline(record.spec.classification)
        .storage_classes;
    let mut outside = Vec::new();
    for namespace in &record.namespaces {
        for claim in context.caches.claims.in_namespace(namespace) {
            let class = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.storage_class_name.as_deref())
                .unwrap_or_default();
            if !allowed.contains(class) {
                outside.push(format!(
                    "PersistentVolumeClaim/{namespace}/{}: storage class {class:?}",
                    claim.metadata.name.as_deref().unwrap_or_default()
                ));
            }
        }
    }
    StorageFacts {
        outside_baseline: outside,
    }
}

fn loosenings(halt: Option<&Halt>, pending: &[PendingApproval]) -> LooseningFacts {
    let waiting = match halt {
        Some(Halt::AwaitingAmendment(fields)) => fields.clone(),
        _ => pending
            .iter()
            .filter(|request| request.action == tenure_crds::approval::Action::Amend)
            .map(|request| request.effect.clone())
            .collect(),
    };
    // What loosens is accepted only with its amendment, so nothing is ever in force without one.
    LooseningFacts {
        pending: waiting,
        without_amendment: Vec::new(),
    }
}
