//! The RoleBindings of a grant: one per namespace, of nothing but the one person (or the one session) and the one role. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use tenure_crds::keys;
use tenure_rbac::{RoleName, Subject as Bound};

use super::session;
use crate::record::Granted;

/// How the names of such bindings begin; the grant's uid follows.
pub const PREFIX: &str = "tenure-grant-";
/// The API group of roles and bindings.
pub const RBAC: &str = "rbac.authorization.k8s.io";

/// Name and UUID of the tenant, as what belongs to it is marked.
pub type Marks<'a> = (&'a str, &'a str);

/// Name of every binding of the grant of this uid.
pub fn name(uid: &str) -> String {
    format!("{PREFIX}{uid}")
}

/// The bindings through which a grant lets its person in; `sessions` is where its account is, if it has one.
pub fn bindings(
    marks: Marks<'_>,
    uid: &str,
    granted: &Granted,
    sessions: &str,
) -> Vec<RoleBinding> {
    let subject = match &granted.account {
        Some(account) => session::subject(account, sessions),
        None => user(&granted.identity),
    };
    let namespaces = granted.namespaces.iter();
    namespaces
        .map(|namespace| RoleBinding {
            metadata: ObjectMeta {
                name: Some(name(uid)),
                namespace: Some(namespace.clone()),
                ..metadata(marks, uid, granted)
            },
            role_ref: RoleRef {
                api_group: Some(RBAC.into()),
                kind: "ClusterRole".into(),
                name: granted.role.clone(),
            },
            subjects: Some(vec![subject.clone()]),
        })
        .collect()
}

/// Whether a binding in that namespace of that role lets in exactly whom a live grant does, as what it says and where it says.
pub fn lets_in_as(
    (namespace, role, subjects): (&str, &RoleName, &[Bound]),
    granted: &Granted,
    sessions: &str,
) -> bool {
    let who = match &granted.account {
        Some(account) => Bound::ServiceAccount {
            namespace: sessions.to_owned(),
            name: account.clone(),
        },
        None => Bound::User(granted.identity.clone()),
    };
    granted.is_live()
        && granted.namespaces.iter().any(|one| one == namespace)
        && *role == RoleName::cluster(&granted.role)
        && subjects == [who]
}

/// A person's identity as the subject of a binding.
pub fn user(identity: &str) -> Subject {
    Subject {
        kind: "User".into(),
        name: identity.to_owned(),
        namespace: None,
        api_group: Some(RBAC.into()),
    }
}

/// The marks of everything that a grant makes.
pub fn metadata((tenant, tenant_id): Marks<'_>, uid: &str, granted: &Granted) -> ObjectMeta {
    ObjectMeta {
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
    }
}
