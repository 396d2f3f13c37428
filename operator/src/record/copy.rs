//! The working copy of the record in ConfigMaps of the operator's namespace: one per tenantID, one for the platform.
//!
//! Isolation is repaired from it where the record itself cannot be reached. It says how far its chain reached when it was copied:
//! a record that is shorter than that went back.

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

use super::{
    Copied, Place, PlatformRecord, RECORD_VERSION, Recalled, RecordError, TenantRecord, WorkingCopy,
};

const PLATFORM: &str = "tenure-record-platform";
const KEY: &str = "record.json";
/// How far the chain reached.
const PLACE: &str = "place.json";
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
        place: &Place,
    ) -> Result<(), RecordError> {
        let text = json(name, record)?;
        let place = json(name, place)?;
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
            data: Some(BTreeMap::from([
                (KEY.to_owned(), text),
                (PLACE.to_owned(), place),
            ])),
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
            // Somebody changed or deleted it: the next try replaces what is there then, or makes it anew.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.versions().remove(name);
                let found = self.api.get_opt(name).await;
                let found = found.map_err(|error| RecordError::Copy(Box::new(error)))?;
                if let Some(map) = &found {
                    self.note(map);
                }
                Err(RecordError::Outdated {
                    name: name.to_owned(),
                })
            }
            Err(error) => Err(RecordError::Copy(Box::new(error))),
        }
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

impl WorkingCopy for ConfigMaps {
    fn recall(&self) -> BoxFuture<'_, Result<Recalled, RecordError>> {
        async move {
            let params = ListParams::default().labels(&format!("{}=true", keys::RECORD));
            let found = self
                .api
                .list(&params)
                .await
                .map_err(|error| RecordError::Copy(Box::new(error)))?;
            let mut recalled = Recalled::default();
            for map in found {
                self.note(&map);
                let name = map.name_any();
                if name == PLATFORM {
                    recalled.platform = Some(read(&name, &map)?);
                    continue;
                }
                match read_tenant(&name, &map) {
                    Ok(copied) => recalled.tenants.push(copied),
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
    ) -> BoxFuture<'a, Result<Option<Copied<TenantRecord>>, RecordError>> {
        async move {
            let name = record_name(tenant_id);
            let found = self.api.get_opt(&name).await;
            let found = found.map_err(|error| RecordError::Copy(Box::new(error)))?;
            let Some(map) = found else { return Ok(None) };
            self.note(&map);
            read_tenant(&name, &map).map(Some)
        }
        .boxed()
    }

    fn check(&self, record: &TenantRecord) -> Result<(), RecordError> {
        let remedy = "declare fewer namespaces or peers";
        fits(&record_name(&record.tenant_id), record, remedy)
    }

    fn check_platform(&self, record: &PlatformRecord) -> Result<(), RecordError> {
        fits(
            PLATFORM,
            record,
            "delete Attestations that were replaced, and have holds released that nobody needs",
        )
    }

    fn put_tenant<'a>(
        &'a self,
        record: &'a TenantRecord,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        async move {
            let name = record_name(&record.tenant_id);
            self.write(&name, Some(&record.tenant), record, place).await
        }
        .boxed()
    }

    fn put_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        self.write(PLATFORM, None, record, place).boxed()
    }
}

fn record_name(tenant_id: &str) -> String {
    format!("tenure-record-{tenant_id}")
}

fn json(name: &str, value: &impl Serialize) -> Result<String, RecordError> {
    serde_json::to_string(value).map_err(|error| unreadable(name, error))
}

fn fits(name: &str, record: &impl Serialize, remedy: &'static str) -> Result<(), RecordError> {
    let bytes = json(name, record)?.len();
    if bytes <= LIMIT {
        return Ok(());
    }
    Err(RecordError::TooLarge {
        name: name.to_owned(),
        remedy,
        bytes,
        limit: LIMIT,
    })
}

fn unreadable(name: &str, why: impl ToString) -> RecordError {
    RecordError::Unreadable {
        name: name.to_owned(),
        why: why.to_string(),
    }
}

fn read_tenant(name: &str, map: &ConfigMap) -> Result<Copied<TenantRecord>, RecordError> {
    let copied: Copied<TenantRecord> = read(name, map)?;
    if copied.record.version != RECORD_VERSION {
        let version = copied.record.version;
        let why = format!("has version {version}, this build reads {RECORD_VERSION}");
        return Err(unreadable(name, why));
    }
    Ok(copied)
}

fn read<T: DeserializeOwned>(name: &str, map: &ConfigMap) -> Result<Copied<T>, RecordError> {
    let part = |key: &str| map.data.as_ref().and_then(|data| data.get(key));
    let text = part(KEY).ok_or_else(|| unreadable(name, format!("it has no key {KEY}")))?;
    let place = part(PLACE)
        .map(|text| serde_json::from_str(text))
        .transpose();
    Ok(Copied {
        record: serde_json::from_str(text).map_err(|error| unreadable(name, error))?,
        place: place.map_err(|error| unreadable(name, error))?,
    })
}
