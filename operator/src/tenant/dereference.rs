//! Everything a reconcile needs to know, read from caches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use tenure_crds::{CustomerTenant, CustomerTenantSpec};

use super::plan::Trouble;
use crate::context::Context;
use crate::policy::accepted::Accepted;
use crate::record::TenantRecord;
use crate::retention::hold::{Holding, Holds};

/// What was seen of one tenant.
pub struct Seen {
    /// The CustomerTenant, or why it cannot be read; nothing where there is none.
    pub object: Option<Result<CustomerTenant, String>>,
    /// What is remembered.
    pub record: Option<TenantRecord>,
    /// What is wrong with what is remembered.
    pub trouble: Option<Trouble>,
    /// The platform's settings in force.
    pub policy: Arc<Accepted>,
    /// Namespaces it wants that others hold, with the holder.
    pub claims: BTreeMap<String, String>,
    /// Namespaces it wants that exist and were never ours, with their uid.
    pub foreign: BTreeMap<String, String>,
    /// A tenant with the same tenantID that came first.
    pub id_taken_by: Option<String>,
    /// What keeps its data from being destroyed.
    pub holds: Vec<Holding>,
}

/// Reads what is known about a tenant.
pub fn dereference(context: &Context, name: &str) -> Seen {
    let object = context
        .caches
        .tenants
        .get("", name)
        .map(|guard| read(&guard));
    let record = context.records.tenant(name);
    let mut seen = Seen {
        object,
        record,
        trouble: None,
        policy: context.accepted(),
        claims: BTreeMap::new(),
        foreign: BTreeMap::new(),
        id_taken_by: None,
        holds: Vec::new(),
    };
    seen.holds = holds(context, name, &seen);
    seen.trouble = trouble(context, name, &seen);
    if let Some(Ok(tenant)) = &seen.object {
        let wanted: BTreeSet<String> = wanted(name, &tenant.spec);
        seen.claims = claims(context, tenant, &wanted);
        seen.foreign = foreign(context, &wanted, seen.record.as_ref());
        seen.id_taken_by = id_taken_by(context, tenant);
    }
    seen
}

/// Every hold there is on the tenant.
fn holds(context: &Context, name: &str, seen: &Seen) -> Vec<Holding> {
    let Some(id) = tenant_id(seen) else {
        return Vec::new();
    };
    let (mut live, mut unreadable) = (Vec::new(), Vec::new());
    for hold in context.caches.holds.all() {
        match &hold.0 {
            Ok(hold) => live.push(hold.clone()),
            Err(error) => unreadable.extend(error.metadata.name.clone()),
        }
    }
    if context.records.broken("platform").is_some() {
        // What cannot be looked up may be anything.
        unreadable.push("(those of the record)".into());
    }
    let platform = context.records.platform();
    let holds = Holds {
        live: &live,
        unreadable: &unreadable,
        remembered: platform
            .as_ref()
            .map_or(&[], |platform| platform.holds.as_slice()),
    };
    holds.on(name, id)
}

/// The tenant's UUID, remembered or declared.
fn tenant_id(seen: &Seen) -> Option<&str> {
    let remembered = seen.record.as_ref().map(|record| record.tenant_id.as_str());
    let declared = seen.object.as_ref().and_then(|object| object.as_ref().ok());
    remembered.or(declared.map(|tenant| tenant.spec.tenant_id.as_str()))
}

/// A chain that is broken says more than a copy that cannot be read.
fn trouble(context: &Context, name: &str, seen: &Seen) -> Option<Trouble> {
    let broken = tenant_id(seen).and_then(|id| context.records.broken(id));
    let unreadable = || context.records.unreadable(name).map(Trouble::Unreadable);
    broken.map(Trouble::Broken).or_else(unreadable)
}

fn read(guard: &DeserializeGuard<CustomerTenant>) -> Result<CustomerTenant, String> {
    guard.0.clone().map_err(|error| error.error.clone())
}

fn wanted(name: &str, spec: &CustomerTenantSpec) -> BTreeSet<String> {
    super::validate::wanted_namespaces(name, spec)
        .into_iter()
        .map(|(_, namespace)| namespace)
        .collect()
}

/// Who holds what this tenant wants: first whoever is on record, then whoever was declared earlier.
fn claims(
    context: &Context,
    tenant: &CustomerTenant,
    wanted: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let name = tenant.name_any();
    let mut claims = BTreeMap::new();
    for namespace in wanted {
        let on_record = context
            .holders
            .of(namespace)
            .filter(|holder| *holder != name);
        if let Some(holder) = on_record.or_else(|| marked_for_another(context, namespace, &name)) {
            claims.insert(namespace.clone(), holder);
        }
    }
    for other in earlier_without_record(context, tenant) {
        let Ok(other) = &other.0 else { continue };
        for namespace in self::wanted(&other.name_any(), &other.spec).intersection(wanted) {
            claims
                .entry(namespace.clone())
                .or_insert_with(|| other.name_any());
        }
    }
    claims
}

/// The tenant a live namespace is marked for, where that is another one.
fn marked_for_another(context: &Context, namespace: &str, name: &str) -> Option<String> {
    let live = context.caches.namespaces.get("", namespace)?;
    live.labels()
        .get(tenure_crds::keys::TENANT)
        .filter(|marked| *marked != name)
        .cloned()
}

fn foreign(
    context: &Context,
    wanted: &BTreeSet<String>,
    record: Option<&TenantRecord>,
) -> BTreeMap<String, String> {
    wanted
        .iter()
        .filter(|namespace| record.is_none_or(|record| !record.namespaces.contains(*namespace)))
        .filter_map(|namespace| {
            Some((
                namespace.clone(),
                context
                    .caches
                    .namespaces
                    .get("", namespace)?
                    .uid()
                    .unwrap_or_default(),
            ))
        })
        .collect()
}

fn id_taken_by(context: &Context, tenant: &CustomerTenant) -> Option<String> {
    let (name, id) = (tenant.name_any(), &tenant.spec.tenant_id);
    if let Some(other) = context.records.other_with_id(&name, id) {
        return Some(other);
    }
    if context.records.knows(&name) {
        return None;
    }
    earlier_without_record(context, tenant)
        .into_iter()
        .find(|other| {
            let other = other.0.as_ref();
            other.is_ok_and(|other| other.spec.tenant_id == *id)
        })
        .map(|other| other.name_any())
}

/// Tenants nothing is remembered of yet and that were declared before this one; names break ties.
fn earlier_without_record(
    context: &Context,
    tenant: &CustomerTenant,
) -> Vec<Arc<DeserializeGuard<CustomerTenant>>> {
    let order = |tenant: &CustomerTenant| (tenant.creation_timestamp(), tenant.name_any());
    let own = order(tenant);
    let mut others = context.caches.tenants.names_in("");
    others.retain(|other| !context.records.knows(other));
    let others = others.iter();
    others
        .filter_map(|other| context.caches.tenants.get("", other))
        .filter(|other| other.0.as_ref().is_ok_and(|other| order(other) < own))
        .collect()
}
