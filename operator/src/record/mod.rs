//! What must not be forgotten, kept outside our custom resources: the last accepted spec and
//! rendering of each tenant, the platform settings in force, what people decided.
//!
//! Nothing here lives in status or hangs on a uid (promise 1): a CustomerTenant that vanishes, or
//! comes back after a restore, finds its tenant as it was. Record first, then act: into the ledger outside the cluster, then
//! into its working copy in ConfigMaps, and only then into the cluster. The ledger is what counts; from the copy isolation is
//! repaired while the ledger cannot be reached.

mod attested;
mod awaited;
mod copy;
mod given;
mod granted;
mod held;
pub mod history;
pub mod notes;
pub mod open;
mod personal;
mod records;
mod reviewed;
mod swept;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tenure_crds::{CustomerTenantSpec, TenancyPolicySpec};
use tenure_evidence::{Digest, LedgerError};
use thiserror::Error;

pub use attested::Attested;
pub use awaited::Awaited;
pub use copy::ConfigMaps;
pub use given::Given;
pub use granted::{End, Granted, Proven};
pub use held::{Allowed, Held, Released};
pub use notes::Notes;
pub use personal::without_personal_data;
pub use records::Records;
pub use reviewed::{Decided, Line, Review, declared, named};
pub use swept::{Changed, Finding, How, Settled, Swept};
pub use tasks::{attend, follow, settle};

use crate::approval::{Gap, Subject, current_digest};
use crate::tenant::rendering::{Hold, Rendering};

/// Why a record could not be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The ledger could not be reached, refused, or is not what it was.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger has not been read since the start; what it remembers may forbid what would be accepted now.
    #[error(
        "the record has not been read yet: nothing new is accepted, isolation is repaired; see the runbook record-unavailable"
    )]
    Unread,
    /// The working copy could not be reached or refused.
    #[error("working copy of the record: {0}")]
    Copy(#[source] Box<kube::Error>),
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
    #[error("record {name} needs {bytes} bytes and its copy holds {limit}: {remedy}")]
    TooLarge {
        /// Name of the record.
        name: String,
        /// What to do about it.
        remedy: &'static str,
        /// Size of the record in bytes.
        bytes: usize,
        /// Most the store takes, in bytes.
        limit: usize,
    },
}

impl RecordError {
    /// The reason as it stands in conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.reason(),
            Self::Unread => "RecordUnread",
            Self::Outdated { .. } => "Conflict",
            Self::TooLarge { .. } => "TooLarge",
            Self::Copy(_) | Self::Unreadable { .. } => "RecordFailed",
        }
    }

    /// Whether the record cannot be written now: what was accepted is kept and repaired, and nothing else happens.
    pub fn holds(&self) -> bool {
        match self {
            Self::Ledger(LedgerError::Outdated(_)) => false,
            Self::Ledger(_) | Self::Unread => true,
            Self::Outdated { .. }
            | Self::TooLarge { .. }
            | Self::Copy(_)
            | Self::Unreadable { .. } => false,
        }
    }
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
    /// The accepted spec, without personal data.
    pub spec: CustomerTenantSpec,
    /// Digest of the accepted spec as a whole.
    #[serde(default)]
    pub spec_digest: String,
    /// RFC 3339 instant at which it was accepted: what was decided before that was decided about another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    /// Who wrote it, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// The Approval that allowed it, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
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
    /// Access grants that were active, by the uid of the object, until nothing hangs on them any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Granted>,
    /// Access grants that were approved and have not begun, by the uid of the object, until their window is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub awaited_grants: BTreeMap<String, Awaited>,
    /// The last review of who has access; from where the first is counted before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// RFC 3339 instant at which the tenant ended; its name and tenantID are not used again.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// Where the state of the chain begins that this was read from; what is decided from an older one is not recorded.
    #[serde(skip)]
    pub base: Option<u64>,
}

impl TenantRecord {
    /// Full names of the namespaces that are in use: parked ones let nobody in.
    pub fn namespaces_in_use(&self) -> Vec<String> {
        let rendered = self.rendering.namespaces.iter();
        rendered
            .filter(|namespace| namespace.hold != Hold::Parked)
            .map(|namespace| namespace.name.clone())
            .collect()
    }

    /// Whether `spec_digest` is that of the accepted spec.
    pub fn accepted(&self, spec_digest: &str) -> bool {
        self.spec_digest == spec_digest
    }

    /// As this build keeps it: a record from before there were digests gets its own.
    fn upgraded(mut self) -> Self {
        if self.spec_digest.is_empty() {
            self.spec_digest = current_digest(&Subject::TenantAmend(&self.spec));
            self.spec = without_personal_data(&self.spec);
        }
        self
    }
}

/// The record shape this build writes.
pub const RECORD_VERSION: u32 = 1;

/// What is remembered about the platform.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformRecord {
    /// Shape of this record.
    pub version: u32,
    /// The TenancyPolicy in force; nothing before one was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<TenancyPolicySpec>,
    /// RFC 3339 instant at which it was put in force: what was decided before that was decided about another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    /// The Approval that allowed it, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
    /// Decisions people made that still wait to be acted on, by the Approval's uid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, Given>,
    /// Every LegalHold there was, in the order of placing. One that was released stays: it is not placed again by a file or a
    /// snapshot that comes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Held>,
    /// Attestations: those whose object stands, and of each control and subject the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attested>,
    /// The last review of standing access to every tenant; from where the first is counted before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// When guards that say who wrote something were not seen to hold, by guard: what was written then does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gaps: BTreeMap<String, Vec<Gap>>,
}

impl PlatformRecord {
    /// The digest of a TenancyPolicy's settings.
    pub fn digest(policy: &TenancyPolicySpec) -> String {
        current_digest(&Subject::PolicyLoosen(policy))
    }
}

/// How many bytes something takes in a record.
pub fn bytes_of(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).map_or(usize::MAX, |text| text.len())
}

/// How far a chain reached when a record was copied.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Where its state begins.
    pub state: u64,
    /// Its newest entry.
    pub last: u64,
    /// The digest of that.
    pub head: Digest,
}

/// A record as the working copy holds it.
#[derive(Clone, Debug)]
pub struct Copied<T> {
    /// The record.
    pub record: T,
    /// How far its chain reached; nothing where it was made before there was a ledger.
    pub place: Option<Place>,
}

/// Everything the working copy holds.
#[derive(Debug, Default)]
pub struct Recalled {
    /// Every readable tenant record.
    pub tenants: Vec<Copied<TenantRecord>>,
    /// Tenants whose record cannot be read, with the reason; nothing about them may change.
    pub unreadable: BTreeMap<String, String>,
    /// The platform's record, where there is one.
    pub platform: Option<Copied<PlatformRecord>>,
}

/// The working copy of the record, in the cluster.
pub trait WorkingCopy: Send + Sync {
    /// Everything it holds.
    fn recall(&self) -> BoxFuture<'_, Result<Recalled, RecordError>>;
    /// What it holds of one tenant now.
    fn recall_tenant<'a>(
        &'a self,
        tenant_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Copied<TenantRecord>>, RecordError>>;
    /// Whether a record fits into it.
    ///
    /// # Errors
    /// Where it does not.
    fn check(&self, record: &TenantRecord) -> Result<(), RecordError>;
    /// Whether the platform's record fits into it.
    ///
    /// # Errors
    /// Where it does not.
    fn check_platform(&self, record: &PlatformRecord) -> Result<(), RecordError>;
    /// Copies a tenant's record, unless somebody else wrote there since.
    fn put_tenant<'a>(
        &'a self,
        record: &'a TenantRecord,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>>;
    /// Copies the platform's record, unless somebody else wrote there since.
    fn put_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>>;
}
