//! Whether a tenant ever held anything, and the end of one that never did.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Resource;
use serde_json::json;
use tenure_crds::keys;

use super::Error;
use super::dereference::Seen;
use crate::cluster::{Kind, Needed};
use crate::context::Context;
use crate::policy::quantity::Quantity;
use crate::record::{FreezeReason, TenantRecord};

/// ConfigMaps every namespace has from birth: `kube-root-ca.crt`.
const BORN_WITH: &[(&str, &str)] = &[("configmaps", "1")];
/// How long an in-flight request that was admitted before the door closed may take to land.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// Whether the tenant holds a pod, a claim or a foreign object now, as far as caches say.
///
/// Secrets cannot be listed (the operator may not read them); the quota counts them.
pub fn holds_something(context: &Context, record: &TenantRecord) -> bool {
    record.namespaces.iter().any(|namespace| {
        let caches = &context.caches;
        caches.has_pod(namespace)
            || !caches.claims.is_empty_in(namespace)
            || !caches.services.is_empty_in(namespace)
            || !caches.ingresses.is_empty_in(namespace)
            || has_foreign(&caches.network_policies.in_namespace(namespace), record)
            || has_foreign(&caches.bindings.in_namespace(namespace), record)
            || caches
                .quotas
                .in_namespace(namespace)
                .iter()
                .any(|quota| counts_something(quota))
    })
}

fn has_foreign<K: Resource>(objects: &[std::sync::Arc<K>], record: &TenantRecord) -> bool {
    objects
        .iter()
        .any(|object| !tenure_crds::is_ours(object.as_ref(), &record.tenant, &record.tenant_id))
}

fn counts_something(quota: &ResourceQuota) -> bool {
    let used = quota
        .status
        .as_ref()
        .and_then(|status| status.used.as_ref());
    used.into_iter().flatten().any(|(resource, amount)| {
        let born = BORN_WITH.iter().find(|(born, _)| born == resource);
        let free = Quantity::parse(born.map_or("0", |(_, free)| free));
        // What cannot be read counts as something: missing information never deletes.
        !matches!((Quantity::parse(&amount.0), free), (Ok(amount), Ok(free)) if amount <= free)
    })
}

/// Ends a tenant that never held anything: closes its namespaces to pods, looks again live, and
/// only then removes them. Anything found lets the object go with nothing destroyed.
///
/// # Errors
/// Where the record or the API server refuses; the next try starts from the beginning.
pub async fn end(
    context: &Context,
    seen: &Seen,
    record: TenantRecord,
    now: Timestamp,
) -> Result<Option<Duration>, Error> {
    let ended = if record.ended_at.is_some() {
        record
    } else {
        let going = context.writer.definition_is_going().await;
        if going.map_err(Error::api("reading the definition of CustomerTenant"))? {
            // Nobody meant this tenant: its kind goes, and may come back with it in Git.
            let record = TenantRecord {
                frozen: Some(FreezeReason::Vanished),
                ..record
            };
            return super::release(context, seen, Some(record)).await;
        }
        match look(context, &record).await? {
            Found::Something => return reopen(context, seen, record).await,
            Found::DoorJustClosed(wait) => return Ok(Some(wait)),
            Found::Nothing => {}
        }
        let ended = TenantRecord {
            ended_at: Some(now.to_string()),
            frozen: None,
            ..record
        };
        context.records.remember(&ended).await?;
        context.access.queue.wake(&ended.tenant);
        ended
    };
    for rendering in &ended.rendering.namespaces {
        remove(context, &rendering.name).await?;
    }
    context.opened(&ended.tenant);
    context.hold(&ended.tenant, std::iter::empty());
    tracing::info!(
        tenant = ended.tenant,
        tenant_id = ended.tenant_id,
        "tenant that never held anything has ended"
    );
    if let Some(tenant) = super::let_go(context, seen).await? {
        let note = "the tenant never held anything: its empty namespaces are removed, its tenantID stays used";
        let about = tenant.object_ref(&());
        context
            .events
            .note(&about, "Ended", "Reconcile", note.into())
            .await;
    }
    Ok(None)
}

/// What a look for content came to.
enum Found {
    /// The tenant holds, or held, something.
    Something,
    /// Its namespaces have just been closed: requests admitted before are still landing.
    DoorJustClosed(Duration),
    /// Nothing, and nothing can have come in since.
    Nothing,
}

/// Closes the door, lets what was admitted before land, and then looks live.
async fn look(context: &Context, record: &TenantRecord) -> Result<Found, Error> {
    if holds_something(context, record) {
        return Ok(Found::Something);
    }
    for rendering in &record.rendering.namespaces {
        close(context, &rendering.name).await?;
    }
    let closed_for = context.closed_for(&record.tenant);
    if closed_for < IN_FLIGHT {
        return Ok(Found::DoorJustClosed(IN_FLIGHT - closed_for));
    }
    for rendering in &record.rendering.namespaces {
        let held = context.writer.holds_live(&rendering.name).await;
        if held.map_err(Error::api("looking for what the tenant holds"))? {
            return Ok(Found::Something);
        }
    }
    Ok(if holds_something(context, record) {
        Found::Something
    } else {
        Found::Nothing
    })
}

/// Something was found: the tenant is used, and its deletion was not approved.
async fn reopen(
    context: &Context,
    seen: &Seen,
    record: TenantRecord,
) -> Result<Option<Duration>, Error> {
    let record = TenantRecord {
        used: true,
        frozen: Some(FreezeReason::Vanished),
        ..record
    };
    context.opened(&record.tenant);
    super::release(context, seen, Some(record)).await?;
    // The object is gone; the next look finds a frozen tenant and opens its namespaces again.
    Ok(Some(Duration::from_millis(100)))
}

/// Takes the ready mark off, so that the guard lets no pod start.
async fn close(context: &Context, namespace: &str) -> Result<(), Error> {
    let Some(live) = context.caches.live(Kind::Namespace, "", namespace) else {
        return Ok(());
    };
    mark(context, live, keys::READY, None).await
}

/// Marks the step and deletes the namespace that was looked at.
async fn remove(context: &Context, namespace: &str) -> Result<(), Error> {
    let Some(live) = context.caches.live(Kind::Namespace, "", namespace) else {
        return Ok(());
    };
    mark(context, live, keys::STEP, Some("NeverUsed")).await?;
    let Some(live) = context.caches.live(Kind::Namespace, "", namespace) else {
        return Ok(());
    };
    context
        .writer
        .delete(Kind::Namespace, &live)
        .await
        .map_err(write_error)
}

async fn mark(
    context: &Context,
    live: serde_json::Value,
    key: &str,
    value: Option<&str>,
) -> Result<(), Error> {
    let mut desired = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": live["metadata"]["name"], "labels": ours(&live["metadata"]["labels"]), "annotations": ours(&live["metadata"]["annotations"])
    }});
    if let Some(annotations) = desired["metadata"]["annotations"].as_object_mut() {
        annotations.remove(key);
        if let Some(value) = value {
            annotations.insert(key.into(), json!(value));
        }
    }
    if matches!(Needed::between(&desired, Some(&live)), Needed::Nothing) {
        return Ok(());
    }
    let written = context
        .writer
        .converge(Kind::Namespace, &desired, Some(&live))
        .await
        .map_err(write_error)?;
    context.caches.remember(Kind::Namespace, written);
    Ok(())
}

fn ours(map: &serde_json::Value) -> serde_json::Value {
    map.as_object().cloned().unwrap_or_default().into()
}

fn write_error(error: crate::cluster::WriteError) -> Error {
    match error {
        crate::cluster::WriteError::Api { verb, source, .. } => Error::Api { what: verb, source },
        crate::cluster::WriteError::Encoding { source, .. } => Error::Api {
            what: "encoding",
            source: Box::new(kube::Error::SerdeError(source)),
        },
    }
}
