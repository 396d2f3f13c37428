//! What grants have standing in the cluster: made while they live, deleted once they have ended.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use tenure_crds::keys;

use super::orphans::KINDS;
use super::reconcile::Grants;
use super::{binding, session};
use crate::cluster::{Kind, Needed, WriteError};
use crate::context::Context;
use crate::record::TenantRecord;

/// Writes at once for one tenant.
const AT_ONCE: usize = 16;

/// Deletes what grants that are not live made: what lets in before all else. Answers whether all is gone.
pub async fn end(context: &Context, record: Option<&TenantRecord>, grants: &Grants) -> bool {
    let remaining = remaining(context, record, grants);
    if remaining.iter().all(|(_, objects)| objects.is_empty()) {
        return true;
    }
    let _first = context.access.endings.begin();
    let mut all = true;
    for (kind, objects) in remaining {
        all &= delete(context, kind, objects).await;
    }
    // Verdicts rest on bindings too.
    if let Some(record) = record {
        context.queue.wake(&record.tenant);
    }
    all
}

/// Deletes objects of grants. Answers whether all are gone.
pub async fn delete(context: &Context, kind: Kind, objects: Vec<Value>) -> bool {
    let mut deleting = futures::stream::iter(objects)
        .map(|live| async move {
            let deleted = context.writer.delete(kind, &live).await;
            (live, deleted)
        })
        .buffer_unordered(AT_ONCE);
    let mut all = true;
    while let Some((live, deleted)) = deleting.next().await {
        match deleted {
            Ok(()) => {
                context.caches.forget(kind, &live);
            }
            Err(error) => {
                fail(
                    context,
                    &error,
                    "what a grant made still stands, and the grant has ended",
                );
                all = false;
            }
        }
    }
    all
}

/// What grants that are not live made, in the order in which it goes: what lets in, the right to fetch, the account.
pub fn remaining(
    context: &Context,
    record: Option<&TenantRecord>,
    grants: &Grants,
) -> Vec<(Kind, Vec<Value>)> {
    let bindings = (
        Kind::RoleBinding,
        remaining_bindings(context, record, grants),
    );
    let sessions = KINDS.map(|kind| (kind, remaining_of_sessions(context, kind, grants)));
    [bindings].into_iter().chain(sessions).collect()
}

/// Bindings of grants that are not live, in every namespace that is or was the tenant's.
fn remaining_bindings(
    context: &Context,
    record: Option<&TenantRecord>,
    grants: &Grants,
) -> Vec<Value> {
    let is_wanted = |namespace: &String, name: &String| {
        let uid = name.strip_prefix(binding::PREFIX);
        let granted = uid.and_then(|uid| grants.get(uid));
        granted.is_some_and(|granted| granted.is_live() && granted.namespaces.contains(namespace))
    };
    let caches = &context.caches;
    let mut found = Vec::new();
    for namespace in record.iter().flat_map(|record| &record.namespaces) {
        // Names first: most are wanted, and stay packed.
        let mut names = caches.bindings.names_from(namespace, binding::PREFIX);
        names.retain(|name| !is_wanted(namespace, name));
        let live = names.iter();
        let live = live.filter_map(|name| caches.live(Kind::RoleBinding, namespace, name));
        found.extend(live.filter(|live| live["metadata"]["labels"][keys::GRANT].is_string()));
    }
    found
}

/// What stands in the sessions' namespace for grants that are not live, or that end at another time by now.
fn remaining_of_sessions(context: &Context, kind: Kind, grants: &Grants) -> Vec<Value> {
    let sessions = context.settings.sessions();
    let mut found = Vec::new();
    for (uid, granted) in grants {
        let mut names = context
            .caches
            .names_from(kind, &sessions, &session::prefix(uid));
        names.retain(|name| !granted.is_live() || granted.account.as_ref() != Some(name));
        let live = names.iter();
        found.extend(live.filter_map(|name| context.caches.live(kind, &sessions, name)));
    }
    found
}

/// An object that is to be made, or made right.
struct Wanted {
    uid: String,
    kind: Kind,
    desired: Value,
    live: Option<Value>,
}

/// Makes what every live grant needs: a session's account first, the right to fetch its tokens last. Answers the uids of those
/// the API server refused, with why.
pub async fn let_in(
    context: &Context,
    record: Option<&TenantRecord>,
    grants: &Grants,
) -> BTreeMap<String, String> {
    let mut refused = BTreeMap::new();
    let Some(record) = record else {
        return refused;
    };
    for mut step in wanted(context, record, grants) {
        step.retain(|wanted| !refused.contains_key(&wanted.uid));
        make(context, step, &mut refused).await;
    }
    refused
}

async fn make(context: &Context, step: Vec<Wanted>, refused: &mut BTreeMap<String, String>) {
    let mut writing = futures::stream::iter(step)
        .map(|wanted| async move {
            let writer = &context.writer;
            let written = writer.converge(wanted.kind, &wanted.desired, wanted.live.as_ref());
            (wanted.uid, wanted.kind, written.await)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((uid, kind, written)) = writing.next().await {
        match written {
            Ok(written) => context.caches.remember(kind, written),
            Err(error) => {
                fail(context, &error, "what a grant needs was not made");
                refused.insert(uid, error.to_string());
            }
        }
    }
}

/// What is to be made, step by step.
fn wanted(context: &Context, record: &TenantRecord, grants: &Grants) -> [Vec<Wanted>; 4] {
    let marks = (record.tenant.as_str(), record.tenant_id.as_str());
    let sessions = context.settings.sessions();
    let mut steps: [Vec<Wanted>; 4] = Default::default();
    let [accounts, bindings, fetching, fetchers] = &mut steps;
    for (uid, granted) in grants.iter().filter(|(_, granted)| granted.is_live()) {
        for binding in binding::bindings(marks, uid, granted, &sessions) {
            bindings.extend(needed(context, uid, Kind::RoleBinding, &binding));
        }
        let Some(session) = session::session(marks, uid, granted, &sessions) else {
            continue;
        };
        accounts.extend(needed(context, uid, Kind::ServiceAccount, &session.account));
        fetching.extend(needed(context, uid, Kind::Role, &session.fetching));
        fetchers.extend(needed(context, uid, Kind::RoleBinding, &session.fetcher));
    }
    steps
}

/// What makes the live object as it should be, where it is not.
fn needed<K: Resource + Serialize>(
    context: &Context,
    uid: &str,
    kind: Kind,
    object: &K,
) -> Option<Wanted> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let live = context.caches.live(kind, &namespace, &name);
    let desired = serde_json::to_value(object).unwrap_or_default();
    match Needed::between(&desired, live.as_ref()) {
        Needed::Nothing => None,
        _ => Some(Wanted {
            uid: uid.to_owned(),
            kind,
            desired,
            live,
        }),
    }
}

fn fail(context: &Context, error: &WriteError, what: &'static str) {
    context.metrics.failed("Api");
    tracing::warn!(%error, what);
}
