//! `enforcement: Observe`: what would be cut and what would be refused, without anything that
//! bites; and containment, for connections that survive a tighter policy.

use std::sync::PoisonError;

use tenure_crds::customer_tenant::{ObserveReport, OnTighten};
use tenure_crds::words::Enforcement;

use super::apply::Applied;
use super::build;
use super::dereference::Seen;
use super::rendering::{Hold, Rendering};
use super::validate::{self, Surroundings};
use crate::context::Context;
use crate::isolation::{PolicyFacts, would_cut};
use crate::record::TenantRecord;

/// Most entries of each kind shown in status; the total is always told.
const SHOWN: usize = 20;

/// What enforcement would do to an observed tenant; nothing for an enforced one.
pub async fn report(
    context: &Context,
    seen: &Seen,
    record: &TenantRecord,
) -> Option<ObserveReport> {
    if record.spec.enforcement.unwrap_or_default() == Enforcement::Enforce {
        return None;
    }
    let around = Surroundings {
        policy: &seen.policy,
        own_namespaces: &context.settings.namespaces(),
        claims: &seen.claims,
        held: &record.namespaces,
    };
    let tenant = validate::validate(&record.tenant, &record.spec, &around).ok()?;
    let planned = build::build_as_enforced(&tenant, &seen.policy);
    let flows = {
        let world = context
            .caches
            .world
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        would_cut(&world, &policies(&planned))
    };
    let mut refused = Vec::new();
    for namespace in &planned.namespaces {
        let level = namespace
            .namespace
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(tenure_crds::keys::POD_SECURITY_ENFORCE));
        match context
            .writer
            .would_refuse(&namespace.name, level.map_or("restricted", String::as_str))
            .await
        {
            Ok(warnings) => refused.extend(
                warnings
                    .into_iter()
                    .map(|warning| format!("{}: {warning}", namespace.name)),
            ),
            Err(error) => {
                tracing::warn!(%error, namespace = namespace.name, "dry run of pod security failed");
            }
        }
    }
    let count = |items: usize| i64::try_from(items).unwrap_or(i64::MAX);
    Some(ObserveReport {
        flows_cut_total: count(flows.len()),
        flows_cut: flows.iter().take(SHOWN).map(ToString::to_string).collect(),
        pods_refused_total: count(refused.len()),
        pods_refused: refused.into_iter().take(SHOWN).collect(),
    })
}

/// Namespaces in which a tighter rendering would cut flows that are open now, where the tenant
/// wants its pods deleted for that. Computed before the policies are applied.
pub fn tightened(
    context: &Context,
    record: &TenantRecord,
    before: Option<&Rendering>,
) -> Vec<String> {
    let on_tighten = record
        .spec
        .network
        .as_ref()
        .and_then(|network| network.on_tighten)
        .unwrap_or_default();
    if on_tighten == OnTighten::Keep || before.is_none_or(|before| *before == record.rendering) {
        return Vec::new();
    }
    let world = context
        .caches
        .world
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    let flows = would_cut(&world, &policies(&record.rendering));
    let names = record
        .rendering
        .namespaces
        .iter()
        .filter(|namespace| namespace.hold != Hold::Observed)
        .map(|namespace| namespace.name.clone());
    names
        .filter(|name| flows.iter().any(|flow| flow.touches(name)))
        .collect()
}

/// Deletes the pods of tightened namespaces, once their new policies stand.
pub async fn contain(
    context: &Context,
    record: &TenantRecord,
    namespaces: Vec<String>,
    applied: &Applied,
) {
    if !applied.errors.is_empty() {
        return;
    }
    for namespace in namespaces {
        match context.writer.delete_pods(&namespace).await {
            Ok(()) => tracing::info!(
                tenant = record.tenant,
                namespace,
                "pods deleted: policies tightened and onTighten is DeletePods"
            ),
            Err(error) => {
                tracing::warn!(tenant = record.tenant, namespace, %error, "pods not deleted: connections from before the change live on");
                continue;
            }
        }
        if let Err(error) = context.writer.hurry_pods(&namespace).await {
            tracing::warn!(tenant = record.tenant, namespace, %error, "deleted pods take as long as they ask for to end: so long connections live on");
        }
    }
}

fn policies(rendering: &Rendering) -> Vec<(String, Vec<PolicyFacts>)> {
    rendering
        .namespaces
        .iter()
        .map(|namespace| {
            // Our own policies always parse: they are built from checked parts.
            let facts = namespace
                .policies
                .iter()
                .filter_map(|policy| PolicyFacts::try_from(policy).ok())
                .collect();
            (namespace.name.clone(), facts)
        })
        .collect()
}
