//! A LegalHold as the record keeps it: it holds for as long as it is here and not released, whether or not its object stands.

use jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use tenure_crds::{Approval, LegalHold, LegalHoldSpec, keys};
use tenure_evidence::Event;

use crate::approval::{Subject, current_digest};

/// A hold. Its reason is somebody's own words and stays on the LegalHold.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The LegalHold's name.
    pub name: String,
    /// What it holds, without the reason.
    pub spec: LegalHoldSpec,
    /// Digest of the whole spec, the reason included.
    pub digest: String,
    /// Who placed it, as admission stamped it: that person does not release it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_by: Option<String>,
    /// RFC 3339 instant at which it was recorded.
    pub recorded_at: String,
    /// That it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Released>,
}

/// The end of a hold.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// The Approvals that allowed it, the newest last.
    pub approvals: Vec<Allowed>,
    /// RFC 3339 instant at which it was recorded.
    pub at: String,
}

/// An Approval that was acted on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Allowed {
    /// Its uid: its name may be used again.
    pub uid: String,
    /// Its name.
    pub name: String,
}

impl Allowed {
    /// What is remembered of an Approval.
    pub fn of(approval: &Approval) -> Self {
        Self {
            uid: approval.uid().unwrap_or_default(),
            name: approval.name_any(),
        }
    }
}

impl Released {
    /// The names of the Approvals that allowed it.
    pub fn names(&self) -> Vec<String> {
        let names = self.approvals.iter();
        names.map(|allowed| allowed.name.clone()).collect()
    }
}

impl Held {
    /// What the record keeps of a LegalHold.
    pub fn of(hold: &LegalHold, now: Timestamp) -> Self {
        Self {
            name: hold.name_any(),
            spec: without_reason(&hold.spec),
            digest: current_digest(&Subject::HoldRelease(&hold.spec)),
            placed_by: hold.annotations().get(keys::CHANGED_BY).cloned(),
            recorded_at: now.to_string(),
            released: None,
        }
    }

    /// Whether this is that hold. A name is not enough: another hold may bear it later. A uid is too much: a restore gives a new one.
    pub fn is(&self, hold: &LegalHold) -> bool {
        self.name == hold.name_any() && is_same(&self.spec, &without_reason(&hold.spec))
    }

    /// Whether both remember the same hold.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && is_same(&self.spec, &other.spec)
    }

    /// What the chain tells of it beside what it told `before`.
    pub(super) fn events(&self, before: Option<&Self>) -> Vec<Event> {
        let (hold, tenant) = (self.name.clone(), self.spec.tenant_ref.name.clone());
        let mut events = Vec::new();
        match before {
            None => events.push(Event::HoldPlaced {
                hold: hold.clone(),
                tenant: tenant.clone(),
                digest: self.digest.clone(),
                written_by: self.placed_by.clone(),
            }),
            Some(before) if before.spec.review_on != self.spec.review_on => {
                events.extend(self.spec.review_on.iter().map(|on| Event::HoldReviewed {
                    hold: hold.clone(),
                    tenant: tenant.clone(),
                    review_on: on.clone(),
                }));
            }
            Some(_) => {}
        }
        if let Some(released) = &self.released
            && before.is_none_or(|before| before.released.is_none())
        {
            events.push(Event::HoldReleased {
                hold,
                tenant,
                approvals: released.names(),
            });
        }
        events
    }
}

/// The lists are sets: in another order they hold the same.
fn without_reason(spec: &LegalHoldSpec) -> LegalHoldSpec {
    let mut spec = LegalHoldSpec {
        reason: "(on the LegalHold)".into(),
        ..spec.clone()
    };
    spec.scope.namespaces.sort();
    spec.scope.stores.sort();
    spec
}

/// Whether two specs without reason are one hold: all of it but the review, which moves.
fn is_same(one: &LegalHoldSpec, other: &LegalHoldSpec) -> bool {
    let of = |spec: &LegalHoldSpec| LegalHoldSpec {
        review_on: None,
        ..spec.clone()
    };
    of(one) == of(other)
}
