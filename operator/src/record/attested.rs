//! An Attestation as the record keeps it: what it is about, its days and its digest.

use jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use tenure_crds::attestation::AttestedSubject;
use tenure_crds::{Attestation, keys};
use tenure_evidence::Event;

use crate::approval::attestation_digest;

/// An attestation. What it states is somebody's own words and stays on the Attestation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// The Attestation's name.
    pub name: String,
    /// Digest of its spec.
    pub digest: String,
    /// The control.
    pub control: String,
    /// What it is about.
    pub subject: AttestedSubject,
    /// First day on which it counts.
    pub issued_on: String,
    /// Last day on which it counts.
    pub valid_until: String,
    /// Who wrote it, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<String>,
    /// RFC 3339 instant at which it was recorded.
    pub recorded_at: String,
}

impl Attested {
    /// What the record keeps of an Attestation.
    pub fn of(attestation: &Attestation, now: Timestamp) -> Self {
        let spec = &attestation.spec;
        Self {
            name: attestation.name_any(),
            digest: attestation_digest(spec),
            control: spec.control.clone(),
            subject: spec.subject.clone(),
            issued_on: spec.issued_on.clone(),
            valid_until: spec.valid_until.clone(),
            written_by: attestation.annotations().get(keys::CHANGED_BY).cloned(),
            recorded_at: now.to_string(),
        }
    }

    /// Whether both are the same attestation, whenever it was recorded.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.digest == other.digest
    }

    /// Whether both speak of the same control and subject.
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        self.control == other.control && self.subject == other.subject
    }

    /// What orders attestations about the same: the day of issue, then the instant of recording.
    pub fn order(&self) -> (&str, Option<Timestamp>, &str) {
        let recorded = self.recorded_at.parse().ok();
        (&self.issued_on, recorded, &self.name)
    }

    /// What the chain tells of it.
    pub(super) fn event(&self) -> Event {
        let kind = format!("{:?}", self.subject.kind);
        Event::AttestationGiven {
            attestation: self.name.clone(),
            control: self.control.clone(),
            subject: match &self.subject.name {
                Some(name) => format!("{kind}/{name}"),
                None => kind,
            },
            digest: self.digest.clone(),
            written_by: self.written_by.clone(),
            issued_on: self.issued_on.clone(),
            valid_until: self.valid_until.clone(),
        }
    }
}
