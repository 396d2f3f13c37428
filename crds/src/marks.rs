//! What makes an object ours: all three marks, never one alone.

use kube::Resource;

use crate::keys;

/// Whether an object carries all three ownership marks of a tenant.
pub fn is_ours<K: Resource>(object: &K, tenant: &str, tenant_id: &str) -> bool {
    let meta = object.meta();
    let label = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(keys::TENANT))
        .map(String::as_str);
    let annotation = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(keys::TENANT_ID))
        .map(String::as_str);
    let managed = meta
        .managed_fields
        .iter()
        .flatten()
        .any(|entry| entry.manager.as_deref() == Some(keys::FIELD_MANAGER));
    label == Some(tenant) && annotation == Some(tenant_id) && managed
}
