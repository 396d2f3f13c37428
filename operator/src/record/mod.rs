//! What must not be forgotten, kept outside our custom resources: the last accepted spec and
//! rendering of each tenant, and the platform settings in force.
//!
//! Nothing here lives in status or hangs on a uid (promise 1): a CustomerTenant that vanishes, or
//! comes back after a restore, finds its tenant as it was. Record first, then act.

mod configmaps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tenure_crds::{CustomerTenantSpec, TenancyPolicySpec};
use thiserror::Error;

pub use configmaps::ConfigMaps;

use crate::cluster::Packed;
use crate::tenant::rendering::Rendering;

/// Why a record could not be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The store could not be reached or refused.
    #[error("record store: {0}")]
    Store(#[source] Box<kube::Error>),
    /// A record is not readable. It is never treated as absent.
    #[error(
        "record {name} cannot be read ({why}): restore it from a backup, or remove it as break-glass and adopt the tenant again"
    )]
    Unreadable {
        /// Name of the record.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else wrote the record since it was read.
    #[error("record {name} was changed since it was read; looking at it again")]
    Outdated {
        /// Name of the record.
        name: String,
    },
    /// A record is larger than the store takes.
    #[error(
        "the tenant's rendering needs {bytes} bytes and the record holds {limit}: declare fewer namespaces or peers"
    )]
    TooLarge {
        /// Size of the record in bytes.
        bytes: usize,
        /// Most the store takes, in bytes.
        limit: usize,
    },
}

/// Why a tenant is frozen: isolation is kept and repaired, nothing else happens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum FreezeReason {
    /// The CustomerTenant is gone and no end was approved.
    Vanished,
    /// It came back, and its spec is not the accepted one.
    Mismatch,
}

impl FreezeReason {
    /// The reason as it stands in conditions, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "Vanished",
            Self::Mismatch => "Mismatch",
        }
    }
}

/// What is remembered about one tenant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantRecord {
    /// Shape of this record; readers refuse what they do not know.
    pub version: u32,
    /// Name of the CustomerTenant.
    pub tenant: String,
    /// The tenant's UUID.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// uid of the CustomerTenant the spec was accepted from; another uid means it came back.
    pub uid: Option<String>,
    /// Generation of that CustomerTenant; one that is seen with an earlier generation is an old sight of it.
    #[serde(default)]
    pub generation: Option<i64>,
    /// The accepted spec.
    pub spec: CustomerTenantSpec,
    /// What was rendered from it; repaired from here when the CustomerTenant is gone.
    pub rendering: Rendering,
    /// Foreign namespaces taken over, with the Approval that allowed it.
    #[serde(default)]
    pub adopted: BTreeMap<String, String>,
    /// Namespaces the operator was allowed to make or take: what carries our marks and is not here is not ours.
    #[serde(default)]
    pub namespaces: BTreeSet<String>,
    /// Whether the tenant ever held a pod, a claim or a foreign object.
    #[serde(default)]
    pub used: bool,
    /// Why it is frozen, if it is.
    #[serde(default)]
    pub frozen: Option<FreezeReason>,
    /// RFC 3339 instant at which the tenant ended; its name and tenantID are not used again.
    #[serde(default)]
    pub ended_at: Option<String>,
}

/// The record shape this build writes.
pub const RECORD_VERSION: u32 = 1;

/// What is remembered about the platform.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformRecord {
    /// Shape of this record.
    pub version: u32,
    /// The TenancyPolicy in force.
    pub policy: TenancyPolicySpec,
}

/// Everything a store holds.
#[derive(Debug, Default)]
pub struct Recalled {
    /// Every readable tenant record.
    pub tenants: Vec<TenantRecord>,
    /// Tenants whose record cannot be read, with the reason; nothing about them may change.
    pub unreadable: BTreeMap<String, String>,
    /// The platform's record, where there is one.
    pub platform: Option<PlatformRecord>,
}

/// A place that remembers. ConfigMaps now; the evidence store implements the same.
pub trait Memory: Send + Sync {
    /// Everything that is remembered.
    fn recall(&self) -> BoxFuture<'_, Result<Recalled, RecordError>>;
    /// What is remembered about one tenant now.
    fn recall_tenant<'a>(
        &'a self,
        tenant_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<TenantRecord>, RecordError>>;
    /// What is remembered about the platform now.
    fn recall_platform(&self) -> BoxFuture<'_, Result<Option<PlatformRecord>, RecordError>>;
    /// Remembers a tenant, unless somebody else did since it was recalled or remembered here.
    fn remember<'a>(&'a self, record: &'a TenantRecord) -> BoxFuture<'a, Result<(), RecordError>>;
    /// Remembers the platform's settings, unless somebody else did since.
    fn remember_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
    ) -> BoxFuture<'a, Result<(), RecordError>>;
}

/// One tenant's record in memory, with what is asked of everybody's.
struct Known {
    tenant_id: String,
    is_ended: bool,
    record: Packed<TenantRecord>,
}

impl Known {
    fn of(record: &TenantRecord) -> Self {
        Self {
            tenant_id: record.tenant_id.clone(),
            is_ended: record.ended_at.is_some(),
            record: Packed::new(record),
        }
    }
}

/// The records in memory, written through to a [`Memory`].
pub struct Records {
    memory: Box<dyn Memory>,
    tenants: RwLock<BTreeMap<String, Known>>,
    platform: RwLock<Option<Arc<PlatformRecord>>>,
    unreadable: BTreeMap<String, String>,
}

impl Records {
    /// Reads everything that is remembered, before the first write of a start.
    ///
    /// # Errors
    /// Where the store cannot be read: better not to start than to start without memory.
    pub async fn replay(memory: impl Memory + 'static) -> Result<Self, RecordError> {
        let recalled = memory.recall().await?;
        let tenants = recalled
            .tenants
            .into_iter()
            .map(|record| (record.tenant.clone(), Known::of(&record)))
            .collect();
        Ok(Self {
            memory: Box::new(memory),
            tenants: RwLock::new(tenants),
            platform: RwLock::new(recalled.platform.map(Arc::new)),
            unreadable: recalled.unreadable,
        })
    }

    /// What is remembered about a tenant.
    pub fn tenant(&self, name: &str) -> Option<TenantRecord> {
        self.known().get(name).map(|known| known.record.open())
    }

    /// Whether anything is remembered about a tenant.
    pub fn knows(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// Why a tenant's record cannot be read, where it cannot.
    pub fn unreadable(&self, name: &str) -> Option<&str> {
        self.unreadable.get(name).map(String::as_str)
    }

    /// The names of the tenants that are remembered and have not ended, sorted.
    pub fn lasting(&self) -> Vec<String> {
        let known = self.known();
        let lasting = known.iter().filter(|(_, known)| !known.is_ended);
        lasting.map(|(name, _)| name.clone()).collect()
    }

    /// The record of each of them, unpacked one after the other.
    pub fn all_lasting(&self) -> impl Iterator<Item = TenantRecord> {
        let lasting = self.lasting().into_iter();
        lasting.filter_map(|tenant| self.tenant(&tenant))
    }

    /// Another tenant than `name` that has this tenantID, ended or not: an id is not used twice.
    pub fn other_with_id(&self, name: &str, tenant_id: &str) -> Option<String> {
        let known = self.known();
        let mut others = known.iter().filter(|(other, _)| *other != name);
        others
            .find(|(_, known)| known.tenant_id == tenant_id)
            .map(|(other, _)| other.clone())
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The platform settings in force, where any were accepted.
    pub fn platform(&self) -> Option<Arc<PlatformRecord>> {
        self.platform
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Remembers a tenant, in the store first.
    ///
    /// # Errors
    /// Where the store refuses: then nothing changed and nothing may be acted on. Where it holds something newer, that
    /// is what is known from now on.
    pub async fn remember(&self, record: &TenantRecord) -> Result<(), RecordError> {
        let next = Known::of(record);
        if self
            .known()
            .get(&record.tenant)
            .is_some_and(|known| known.record == next.record)
        {
            return Ok(());
        }
        match self.memory.remember(record).await {
            Err(outdated @ RecordError::Outdated { .. }) => {
                if let Some(stored) = self.memory.recall_tenant(&record.tenant_id).await? {
                    self.know(stored.tenant.clone(), Known::of(&stored));
                }
                Err(outdated)
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.know(record.tenant.clone(), next);
                Ok(())
            }
        }
    }

    fn know(&self, tenant: String, known: Known) {
        self.tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, known);
    }

    /// Remembers the platform settings in force.
    ///
    /// # Errors
    /// Where the store refuses: the old settings stay in force.
    pub async fn remember_platform(&self, record: PlatformRecord) -> Result<(), RecordError> {
        if self.platform().is_some_and(|known| *known == record) {
            return Ok(());
        }
        match self.memory.remember_platform(&record).await {
            Err(outdated @ RecordError::Outdated { .. }) => {
                if let Some(stored) = self.memory.recall_platform().await? {
                    self.know_platform(stored);
                }
                Err(outdated)
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.know_platform(record);
                Ok(())
            }
        }
    }

    fn know_platform(&self, record: PlatformRecord) {
        *self
            .platform
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(record));
    }
}
