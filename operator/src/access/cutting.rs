//! Sessions that outlive the bindings they were opened by, cut by deleting the pods they may be in.

use tenure_rbac::{Attributes, RoleName};

use super::reconcile::{Grants, amend};
use crate::context::Context;
use crate::record::Granted;

/// Where sessions may be open that outlive the bindings, if the role's policy has them cut.
pub fn sessions_in(context: &Context, granted: &Granted) -> Vec<String> {
    if !granted.cut_sessions && !cuts_sessions(context, &granted.role) {
        return Vec::new();
    }
    let rbac = context.caches.rbac();
    let role = RoleName::cluster(&granted.role);
    // Of a role that is gone nobody knows what it allowed.
    let opens = |namespace: &str| {
        rbac.rules("", &role).is_none_or(|rules| {
            let ways = ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"];
            ways.iter().any(|way| {
                let what = Attributes::on("create", "", way, namespace);
                rules.iter().any(|rule| rule.allows(&what))
            })
        })
    };
    let namespaces = granted.namespaces.iter();
    namespaces
        .filter(|namespace| opens(namespace))
        .cloned()
        .collect()
}

pub fn cuts_sessions(context: &Context, role: &str) -> bool {
    let accepted = context.accepted();
    let policy = accepted.grantable_roles.get(role);
    policy.is_some_and(|role| role.cut_sessions)
}

/// Deletes the pods of a namespace for a grant once, whether the record takes that or not; and hurries them until all are as quick as may be.
async fn cut_once(context: &Context, uid: &str, namespace: &str) -> Result<(), kube::Error> {
    if !context.access.is_cut(uid, namespace) {
        context.writer.delete_pods(namespace).await?;
        context.access.note_cut(uid, namespace);
    }
    context.writer.hurry_pods(namespace).await
}

/// Cuts what is open, once the bindings are gone: without an audit feed nobody knows which pods, so all of them go. On record
/// afterwards, so that it is done at least once.
pub async fn cut_sessions(context: &Context, tenant: &str, grants: &Grants) -> bool {
    let mut cut = Vec::new();
    let mut all = true;
    for (uid, granted) in grants.iter().filter(|(_, granted)| !granted.is_live()) {
        for namespace in &granted.sessions_in {
            if let Err(error) = cut_once(context, uid, namespace).await {
                context.metrics.failed("Api");
                tracing::warn!(%error, namespace, grant = granted.name, "sessions that may be open are not cut yet");
                all = false;
                continue;
            }
            cut.push((uid.clone(), namespace.clone()));
        }
    }
    if cut.is_empty() {
        return all;
    }
    let recorded = amend(context, tenant, |grants| {
        for (uid, namespace) in &cut {
            if let Some(granted) = grants.get_mut(uid) {
                granted.sessions_in.retain(|open| open != namespace);
            }
        }
    });
    let is_recorded = recorded.await.is_ok();
    if is_recorded {
        context.access.forget_cuts(&cut);
    }
    all && is_recorded
}
