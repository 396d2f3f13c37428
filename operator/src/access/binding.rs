//! The RoleBindings of a grant: one per namespace, of nothing but the one person and the one role. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use tenure_crds::keys;

use crate::record::Granted;

/// How the names of such bindings begin; the grant's uid follows.
pub const PREFIX: &str = "tenure-grant-";

/// Name of every binding of the grant of this uid.
pub fn name(uid: &str) -> String {
    format!("{PREFIX}{uid}")
}

/// The bindings through which a grant lets its person in.
pub fn bindings(
    (tenant, tenant_id): (&str, &str),
    uid: &str,
    granted: &Granted,
) -> Vec<RoleBinding> {
    let namespaces = granted.namespaces.iter();
    namespaces
        .map(|namespace| RoleBinding {
            metadata: ObjectMeta {
                name: Some(name(uid)),
                namespace: Some(namespace.clone()),
                labels: Some(BTreeMap::from([
                    (keys::TENANT.into(), tenant.into()),
                    (keys::GRANT.into(), uid.into()),
                    (keys::MANAGED_BY.into(), keys::MANAGED_BY_VALUE.into()),
                ])),
                annotations: Some(BTreeMap::from([
                    (keys::TENANT_ID.into(), tenant_id.into()),
                    (keys::GRANT_NAME.into(), granted.name.clone()),
                ])),
                ..ObjectMeta::default()
            },
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".into()),
                kind: "ClusterRole".into(),
                name: granted.role.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "User".into(),
                name: granted.identity.clone(),
                namespace: None,
                api_group: Some("rbac.authorization.k8s.io".into()),
            }]),
        })
        .collect()
}
