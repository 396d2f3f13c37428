//! The record in ConfigMaps of the operator's namespace: one per tenantID, one for the platform.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// The resourceVersion of each map as it was last read or written here: who does not know the newest writes nothing.
    versions: Mutex<HashMap<String, String>>,
}

impl ConfigMaps {
    /// Records in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            versions: Mutex::default(),
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
        let known = self.versions().get(name).cloned();
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                resource_version: known.clone(),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            ..ConfigMap::default()
        };
        let params = PostParams {
            field_manager: Some(keys::FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let written = match known {
            Some(_) => self.api.replace(name, &params, &map).await,
            None => self.api.create(&params, &map).await,
        };
        match written {
            Ok(map) => {
                self.note(&map);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(RecordError::Outdated {
                name: name.to_owned(),
            }),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                // Somebody deleted it: what is remembered is not forgotten for that. The next try makes it anew.
                self.versions().remove(name);
                Err(RecordError::Outdated {
                    name: name.to_owned(),
                })
            }
            Err(error) => Err(RecordError::Store(Box::new(error))),
        }
    }

    async fn look<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RecordError> {
        let found = self.api.get_opt(name).await;
        let found = found.map_err(|error| RecordError::Store(Box::new(error)))?;
        let Some(map) = found else {
            return Ok(None);
        };
        self.note(&map);
        read(name, &map).map(Some)
    }

    fn note(&self, map: &ConfigMap) {
        if let Some(version) = map.resource_version() {
            self.versions().insert(map.name_any(), version);
        }
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
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
                self.note(&map);
                let name = map.name_any();
                if name == PLATFORM {
                    recalled.platform = Some(read(&name, &map)?);
                    continue;
                }
                match read::<TenantRecord>(&name, &map) {
                    Ok(record) if record.version == RECORD_VERSION => recalled.tenants.push(record),
                    Ok(record) => {
                        recalled.unreadable.insert(
                            record.tenant,
                            format!("{name} {}", other_version(record.version)),
                        );
                    }
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

    fn recall_tenant<'a>(
        &'a self,
        tenant_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<TenantRecord>, RecordError>> {
        async move {
            let name = record_name(tenant_id);
            match self.look::<TenantRecord>(&name).await? {
                Some(record) if record.version != RECORD_VERSION => Err(RecordError::Unreadable {
                    why: other_version(record.version),
                    name,
                }),
                found => Ok(found),
            }
        }
        .boxed()
    }

    fn recall_platform(&self) -> BoxFuture<'_, Result<Option<PlatformRecord>, RecordError>> {
        self.look(PLATFORM).boxed()
    }

    fn remember<'a>(&'a self, record: &'a TenantRecord) -> BoxFuture<'a, Result<(), RecordError>> {
        async move {
            self.write(
                &record_name(&record.tenant_id),
                Some(&record.tenant),
                record,
            )
            .await
        }
        .boxed()
    }

    fn remember_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        self.write(PLATFORM, None, record).boxed()
    }
}

fn other_version(version: u32) -> String {
    format!("has version {version}, this build reads {RECORD_VERSION}")
}

fn record_name(tenant_id: &str) -> String {
    format!("tenure-record-{tenant_id}")
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
