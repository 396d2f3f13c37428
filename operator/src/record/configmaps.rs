//! The record in ConfigMaps of the operator's namespace: one per tenantID, one for the platform.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenure_crds::keys;

use super::{Memory, PlatformRecord, RECORD_VERSION, Recalled, RecordError, TenantRecord};

const PLATFORM: &str = "tenure-record-platform";
const KEY: &str = "record.json";
/// The API server takes 1 MiB per object; metadata needs some of it.
const LIMIT: usize = 1_000_000;

/// Records in ConfigMaps; guarded so that only the operator may change them.
pub struct ConfigMaps {
    api: Api<ConfigMap>,
    /// Names known to exist: a guess at whether to create or to replace, and no more.
    standing: Mutex<HashSet<String>>,
}

impl ConfigMaps {
    /// Records in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            standing: Mutex::default(),
        }
    }

    async fn write(
        &self,
        name: &str,
        tenant: Option<&str>,
        record: &impl Serialize,
    ) -> Result<(), RecordError> {
        let text = serde_json::to_string(record).map_err(|error| RecordError::Unreadable {
            name: name.to_owned(),
            why: error.to_string(),
        })?;
        if text.len() > LIMIT {
            return Err(RecordError::TooLarge {
                bytes: text.len(),
                limit: LIMIT,
            });
        }
        let mut labels = BTreeMap::from([
            (keys::RECORD.to_owned(), "true".to_owned()),
            (
                keys::MANAGED_BY.to_owned(),
                keys::MANAGED_BY_VALUE.to_owned(),
            ),
        ]);
        labels.extend(tenant.map(|tenant| (keys::TENANT.to_owned(), tenant.to_owned())));
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            ..ConfigMap::default()
        };
        self.put(name, &map)
            .await
            .map_err(|error| RecordError::Store(Box::new(error)))
    }

    /// Creates the record, or replaces the one that is known to stand. The whole of it is ours.
    async fn put(&self, name: &str, map: &ConfigMap) -> Result<(), kube::Error> {
        let params = PostParams {
            dry_run: false,
            field_manager: Some(keys::FIELD_MANAGER.into()),
        };
        if self.stands(name) {
            match self.api.replace(name, &params, map).await {
                // Somebody removed it: it is made again.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(drop),
            }
        }
        self.api.create(&params, map).await?;
        self.note(name);
        Ok(())
    }

    /// A record that stands and was not there at the start: a restore brought it, or our own answer was lost.
    async fn found(&self, name: &str) -> RecordError {
        let record = match self.api.get(name).await {
            Ok(map) => readable(name, &map),
            Err(error) => Err(RecordError::Store(Box::new(error))),
        };
        match record {
            Ok(record) => {
                self.note(name);
                RecordError::Found(Box::new(record))
            }
            Err(error) => error,
        }
    }

    fn stands(&self, name: &str) -> bool {
        let standing = self.standing.lock();
        standing
            .unwrap_or_else(PoisonError::into_inner)
            .contains(name)
    }

    fn note(&self, name: &str) {
        let standing = self.standing.lock();
        standing
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
    }
}

impl Memory for ConfigMaps {
    fn recall(&self) -> BoxFuture<'_, Result<Recalled, RecordError>> {
        async move {
            let params = ListParams::default().labels(&format!("{}=true", keys::RECORD));
            let found = self
                .api
                .list(&params)
                .await
                .map_err(|error| RecordError::Store(Box::new(error)))?;
            let mut recalled = Recalled::default();
            for map in found {
                let name = map.name_any();
                self.note(&name);
                if name == PLATFORM {
                    recalled.platform = Some(read(&name, &map)?);
                    continue;
                }
                match readable(&name, &map) {
                    Ok(record) => recalled.tenants.push(record),
                    Err(error) => {
                        let tenant = map.labels().get(keys::TENANT).cloned().unwrap_or(name);
                        recalled.unreadable.insert(tenant, error.to_string());
                    }
                }
            }
            Ok(recalled)
        }
        .boxed()
    }

    fn remember<'a>(&'a self, record: &'a TenantRecord) -> BoxFuture<'a, Result<(), RecordError>> {
        async move {
            let name = record_name(&record.tenant_id);
            match self.write(&name, Some(&record.tenant), record).await {
                Err(error) if stands_already(&error) => Err(self.found(&name).await),
                other => other,
            }
        }
        .boxed()
    }

    fn remember_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        async move {
            match self.write(PLATFORM, None, record).await {
                // What the TenancyPolicy says now is in force: the next write replaces.
                Err(error) if stands_already(&error) => {
                    self.note(PLATFORM);
                    self.write(PLATFORM, None, record).await
                }
                other => other,
            }
        }
        .boxed()
    }
}

fn stands_already(error: &RecordError) -> bool {
    matches!(error, RecordError::Store(error) if matches!(error.as_ref(), kube::Error::Api(status) if status.code == 409))
}

fn record_name(tenant_id: &str) -> String {
    format!("tenure-record-{tenant_id}")
}

/// A tenant's record of the version this build knows.
fn readable(name: &str, map: &ConfigMap) -> Result<TenantRecord, RecordError> {
    let record: TenantRecord = read(name, map)?;
    if record.version == RECORD_VERSION {
        return Ok(record);
    }
    Err(RecordError::Unreadable {
        name: name.to_owned(),
        why: format!(
            "it has version {}, this build reads {RECORD_VERSION}",
            record.version
        ),
    })
}

fn read<T: DeserializeOwned>(name: &str, map: &ConfigMap) -> Result<T, RecordError> {
    let unreadable = |why: String| RecordError::Unreadable {
        name: name.to_owned(),
        why,
    };
    let text = map
        .data
        .as_ref()
        .and_then(|data| data.get(KEY))
        .ok_or_else(|| unreadable(format!("it has no key {KEY}")))?;
    serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))
}
