//! What stands in the sessions' namespace for no live grant, whoever made it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tenure_crds::keys;

use super::objects::delete;
use super::reconcile::AGAIN;
use super::{binding, session};
use crate::cluster::Kind;
use crate::context::Context;
use crate::record::Granted;

/// What a session consists of, in the order in which it ends.
pub const KINDS: [Kind; 3] = [Kind::RoleBinding, Kind::Role, Kind::ServiceAccount];

/// Live sessions on record, by the grant's uid, with their tenant.
type Live = BTreeMap<String, (String, Granted)>;

/// Deletes what no live grant on record covers, and makes tenants due whose sessions are not as they left them.
pub async fn sweep(context: &Context) -> Option<Duration> {
    let sessions = context.settings.sessions();
    // Looked at before the record: what a grant made was on record before.
    let there = KINDS.map(|kind| {
        let names = context.caches.names_from(kind, &sessions, binding::PREFIX);
        (kind, names)
    });
    let live = live(context);
    let mut all = true;
    for (kind, names) in there {
        let mut orphans = Vec::new();
        for name in names {
            let Some(object) = context.caches.live(kind, &sessions, &name) else {
                continue;
            };
            match covered(&live, &name) {
                None => orphans.push(object),
                Some((tenant, granted)) if !is_as_left(&object, &name, tenant, granted) => {
                    context.access.queue.wake(tenant);
                }
                Some(_) => {}
            }
        }
        let label = |orphan: &Value| {
            let tenant = orphan["metadata"]["labels"][keys::TENANT].as_str();
            tenant.map(str::to_owned)
        };
        let tenants: BTreeSet<String> = orphans.iter().filter_map(label).collect();
        all &= delete(context, kind, orphans).await;
        // Whose grant came on record meanwhile has to make it anew.
        for tenant in &tenants {
            context.access.queue.wake(tenant);
        }
    }
    (!all).then_some(AGAIN)
}

fn live(context: &Context) -> Live {
    let mut live = Live::new();
    for record in context.records.all_lasting() {
        for (uid, granted) in record.grants {
            if granted.is_live() && granted.account.is_some() {
                live.insert(uid, (record.tenant.clone(), granted));
            }
        }
    }
    live
}

/// The tenant and the grant that a name belongs to, where one does.
fn covered<'a>(live: &'a Live, name: &str) -> Option<(&'a str, &'a Granted)> {
    let (uid, _) = session::parse(name)?;
    let (tenant, granted) = live.get(uid)?;
    session::is_covered(name, uid, granted).then_some((tenant, granted))
}

fn is_as_left(object: &Value, name: &str, tenant: &str, granted: &Granted) -> bool {
    granted.account.as_deref() == Some(name) && object["metadata"]["labels"][keys::TENANT] == tenant
}
