//! Effective reachability, kept up to date: evaluated again shortly after anything it depends on
//! has changed, and never inside a reconcile, so that repair does not wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use kube::ResourceExt;
use tenure_controls::facts::{Direction, ReachabilityFacts, UndeclaredFlow};
use tenure_crds::keys;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use crate::context::Context;
use crate::isolation::{Expected, Exposure, Side, unexpected};
use crate::record::TenantRecord;
use crate::tenant::rendering::Hold;

/// Changes that come together are evaluated together.
const TOGETHER: Duration = Duration::from_millis(10);
/// Changes that concern everybody are evaluated at most this often, and less where it takes long.
const EVERYBODY: Duration = Duration::from_secs(1);
/// However long it takes, it is evaluated again after this.
const LONGEST: Duration = Duration::from_secs(10);

/// Follows changes until `stop`.
///
/// A tenant is evaluated when something in its namespaces changed, or in one that its policies let through, and again
/// while it is open: only then can a change elsewhere matter to it.
///
/// What concerns everybody waits its turn, so that it takes a tenth of the time unless that is long; meanwhile what concerns one
/// tenant goes on.
pub async fn follow(context: Arc<Context>, changes: Arc<Changes>, stop: CancellationToken) {
    changes.begin();
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut is_whole_due = true;
    let mut turn = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = changes.noted() => {}
            () = tokio::time::sleep_until(turn), if is_whole_due => {}
        }
        tokio::time::sleep(TOGETHER).await;
        let (namespaces, everybody) = changes.take();
        is_whole_due |= everybody;
        let start = Instant::now();
        let is_whole = is_whole_due && start >= turn;
        let due: BTreeSet<String> = if is_whole {
            context.tenants()
        } else {
            namespaces
                .iter()
                .filter_map(|namespace| context.holders.of(namespace))
                .chain(open.iter().cloned())
                .collect()
        };
        for tenant in due {
            look(&context, &tenant, &mut open);
            // One tenant at a time: reconciles come first.
            tokio::task::yield_now().await;
        }
        if is_whole {
            is_whole_due = false;
            turn = Instant::now() + (start.elapsed() * 9).clamp(EVERYBODY, LONGEST);
        }
    }
}

/// Evaluates a tenant, or forgets one that is not any more.
fn look(context: &Context, tenant: &str, open: &mut BTreeSet<String>) {
    let record = context.records.tenant(tenant);
    match record.filter(|record| record.ended_at.is_none()) {
        Some(record) => evaluate(context, &record, open),
        None => {
            open.remove(tenant);
            context
                .reachability
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(tenant);
        }
    }
}

/// Evaluates every tenant once, before the first verdict of a start.
pub fn evaluate_all(context: &Context) {
    let mut open = BTreeSet::new();
    for record in context.records.all_lasting() {
        evaluate(context, &record, &mut open);
    }
}

fn evaluate(context: &Context, record: &TenantRecord, open: &mut BTreeSet<String>) {
    let (facts, ajar) = facts(context, record);
    // Open at its own end is enough: the far end may open without anything changing here.
    if ajar || !facts.undeclared.is_empty() {
        open.insert(record.tenant.clone());
    } else {
        open.remove(&record.tenant);
    }
    let mut known = context
        .reachability
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let before = known.get(&record.tenant);
    if before == Some(&facts) {
        return;
    }
    for flow in facts
        .undeclared
        .iter()
        .filter(|flow| before.is_none_or(|before| !before.undeclared.contains(flow)))
    {
        tracing::warn!(
            tenant = record.tenant,
            control = "dsa-2.6-logical-separation",
            flow = flow.what,
            "undeclared flow is open"
        );
    }
    let closed = before.iter().flat_map(|before| &before.undeclared);
    for flow in closed.filter(|flow| !facts.undeclared.contains(flow)) {
        tracing::info!(
            tenant = record.tenant,
            control = "dsa-2.6-logical-separation",
            flow = flow.what,
            "undeclared flow is closed"
        );
    }
    context
        .metrics
        .exposures(&record.tenant, facts.undeclared.len());
    known.insert(record.tenant.clone(), facts);
    drop(known);
    context.queue.wake(&record.tenant);
}

/// What is reachable, and whether the tenant's own end is open to somebody undeclared.
fn facts(context: &Context, record: &TenantRecord) -> (ReachabilityFacts, bool) {
    let expected = expected(context, record);
    let world = context
        .caches
        .world
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    let found = unexpected(&world, &expected, &|namespace| {
        context.holders.of(namespace)
    });
    let in_node_network = |namespaces: &mut dyn Iterator<Item = &String>| -> Vec<String> {
        namespaces
            .flat_map(|namespace| world.host_network_classes(namespace))
            .map(|class| format!("{}: {:?}", class.namespace, class.labels))
            .collect()
    };
    let own = in_node_network(&mut record.namespaces.iter());
    drop(world);
    let facts = ReachabilityFacts {
        undeclared: found.shown.iter().map(undeclared).collect(),
        undeclared_host_network_pods: own,
        host_network_pods: Vec::new(),
    };
    (facts, found.ajar)
}

fn undeclared(exposure: &Exposure) -> UndeclaredFlow {
    let direction = match exposure.side {
        Side::BetweenTenants => Direction::BetweenTenants,
        Side::Inward => Direction::Inward,
        Side::Outward => Direction::Outward,
    };
    UndeclaredFlow {
        direction,
        what: exposure.to_string(),
    }
}

fn is_ready(context: &Context, namespace: &str) -> bool {
    let live = context.caches.namespaces.get("", namespace);
    live.is_some_and(|live| {
        live.annotations()
            .get(keys::READY)
            .is_some_and(|ready| ready == "true")
    })
}

/// What the tenant declared, read from what its namespaces are told: one source for guards and model.
fn expected(context: &Context, record: &TenantRecord) -> Expected {
    let mut expected = Expected::default();
    for rendering in &record.rendering.namespaces {
        match rendering.hold {
            Hold::Enforced => {
                // No pod can start before the policies stand: until then nothing is open.
                if !is_ready(context, &rendering.name) {
                    expected.closed.insert(rendering.name.clone());
                }
                expected.own.insert(rendering.name.clone())
            }
            Hold::Parked => expected.parked.insert(rendering.name.clone()),
            // Nothing bites there, and the report says what would.
            Hold::Observed => continue,
        };
        let facts: &BTreeMap<String, String> = rendering.namespace.annotations();
        let list = |key: &str| {
            facts
                .get(key)
                .into_iter()
                .flat_map(|values| values.split(','))
                .map(str::to_owned)
        };
        expected
            .ingress_namespaces
            .extend(list(keys::INGRESS_NAMESPACES));
        expected
            .egress_namespaces
            .extend(list(keys::EGRESS_NAMESPACES));
        let networks = |key: &str| list(key).filter_map(|cidr| cidr.parse::<IpNet>().ok());
        expected.ingress_cidrs.extend(networks(keys::INGRESS_CIDRS));
        expected.egress_cidrs.extend(networks(keys::EGRESS_CIDRS));
    }
    expected
}
