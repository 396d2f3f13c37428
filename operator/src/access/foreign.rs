//! Bindings that nobody declared to Tenure, as they stand in the caches (DSA 2.0, 2.4).

use k8s_openapi::api::rbac::v1::RoleBinding;
use tenure_crds::is_ours;
use tenure_rbac::{Foreign, foreign};

use super::binding;
use crate::cluster::Packed;
use crate::context::Context;
use crate::record::TenantRecord;

/// Those in a tenant's namespaces: what carries our marks was declared, or granted.
pub fn in_tenant(context: &Context, record: &TenantRecord) -> Vec<Foreign> {
    let strangers = foreign::in_namespaces(&context.caches.rbac(), &record.namespaces);
    let sessions = context.settings.sessions();
    // Most there are let in exactly whom a live grant does: those need no further look.
    let is_granted = |stranger: &Foreign| {
        let uid = stranger.name.strip_prefix(binding::PREFIX);
        let granted = uid.and_then(|uid| record.grants.get(uid));
        let binding = (
            stranger.namespace.as_str(),
            &stranger.role,
            stranger.subjects.as_slice(),
        );
        granted.is_some_and(|granted| binding::lets_in_as(binding, granted, &sessions))
    };
    let is_undeclared = |stranger: &Foreign| {
        let marked = |binding: &RoleBinding| is_ours(binding, &record.tenant, &record.tenant_id);
        let kept = &context.caches.bindings;
        let ours = kept.look(&stranger.namespace, &stranger.name, |kept| {
            marked(&Packed::open(kept))
        });
        ours == Some(false)
    };
    strangers
        .into_iter()
        .filter(|stranger| !is_granted(stranger) && is_undeclared(stranger))
        .collect()
}

/// Those that reach every namespace.
pub fn cluster_wide(context: &Context) -> Vec<Foreign> {
    foreign::cluster_wide(&context.caches.rbac(), &context.settings.namespace)
}
