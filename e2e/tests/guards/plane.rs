//! The control plane all tests of this binary share.

use tenure_e2e::audit::Mark;
use tenure_e2e::{Access, Plane};

/// The ways in.
pub(crate) async fn access() -> Access {
    Plane::shared().await.unwrap().access().clone()
}

/// The present end of the audit log.
pub(crate) async fn mark() -> Mark {
    Plane::shared().await.unwrap().audit().mark().await.unwrap()
}

/// What was noted under `key` on requests since then, as `namespace/name: note`.
pub(crate) async fn noted(since: Mark, key: &str) -> anyhow::Result<Vec<String>> {
    let events = Plane::shared().await?.audit().since(since)?;
    let noted = events.into_iter().filter_map(|mut event| {
        let note = event.annotations.remove(key)?;
        let object = event.object_ref.unwrap_or_default();
        Some(format!("{}/{}: {note}", object.namespace, object.name))
    });
    Ok(noted.collect())
}
