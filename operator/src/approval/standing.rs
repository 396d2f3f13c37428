//! Whether an approval counts, and whether those that count suffice.
//!
//! Separation of duties (DSA 2.4) is between persons. Until persons are known it compares the user
//! names admission stamped, and says so: every approval that counts is marked `IdentityOnly`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tenure_crds::Approval;
use tenure_crds::approval::{Action, Decision};

/// Who asked for the change that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Requester {
    /// Nobody known: a repository's applier, or a change that carries no stamp.
    Nobody,
    /// The user who changed the spec.
    User(String),
}

impl Requester {
    /// Reads the stamp `tenure.dev/changed-by`. A GitOps applier is nobody: it writes for whoever
    /// merged the change.
    pub fn from_stamp(changed_by: Option<&str>, appliers: &BTreeSet<String>) -> Self {
        match changed_by {
            Some(user) if !user.is_empty() && !appliers.contains(user) => {
                Self::User(user.to_owned())
            }
            _ => Self::Nobody,
        }
    }

    /// Whether nobody is known to have asked.
    pub fn is_nobody(&self) -> bool {
        *self == Self::Nobody
    }
}

/// What is asked, as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The action that waits.
    pub action: Action,
    /// Kind of the subject.
    pub kind: String,
    /// Name of the subject; for a CustomerTenant also the tenant's.
    pub name: String,
    /// The tenant's UUID; absent for a TenancyPolicy.
    pub tenant_id: Option<String>,
    /// Name of the CustomerTenant concerned; absent for a TenancyPolicy.
    pub tenant: Option<String>,
    /// The current digest by digest version; every version this release knows.
    pub digests: BTreeMap<i32, String>,
    /// Who asked.
    pub requester: Requester,
    /// Since when this change waits, where that is known. An older approval was given for an earlier
    /// change that looked the same, and is not used a second time.
    pub since: Option<Timestamp>,
}

/// All that the standing of an approval depends on beside the approval.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context<'a> {
    /// What the approval's subject asks; `None` where there is no such object.
    pub asked: Option<&'a Asked>,
    /// The time of the decision.
    pub now: Timestamp,
    /// Whether the approval was made while the guard that stamps approvers was not proven alive.
    pub guard_gap: bool,
}

/// An approval that counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// User name of the person who decided, as stamped.
    pub by: String,
    /// Yes or no.
    pub decision: Decision,
    /// When it was made.
    pub at: Timestamp,
    /// True while separation compares user names only, because persons are not known.
    pub identity_only: bool,
}

/// Why an approval does not count. The words are the condition's reasons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VoidReason {
    /// There is no such object.
    SubjectUnknown,
    /// The tenant's name or UUID is not the subject's.
    TenantMismatch,
    /// It decides another action than the one that waits.
    ActionDiffers,
    /// Its digest is over a field list this release does not know.
    VersionUnknown,
    /// What it names has changed since.
    DigestDiffers,
    /// It carries no approver: admission did not stamp it.
    NotStamped,
    /// It was made while the guard that stamps approvers was not proven alive.
    GuardGap,
    /// The approver is the one who asked.
    SelfApproval,
    /// It is older than the change that waits.
    MadeBefore,
    /// Its time is over.
    Expired,
    /// Its `notAfter` cannot be read.
    NotAfterUnreadable,
}

impl VoidReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::SubjectUnknown,
        Self::TenantMismatch,
        Self::ActionDiffers,
        Self::VersionUnknown,
        Self::DigestDiffers,
        Self::NotStamped,
        Self::GuardGap,
        Self::SelfApproval,
        Self::MadeBefore,
        Self::Expired,
        Self::NotAfterUnreadable,
    ];

    /// The reason as a CamelCase word for conditions, events and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::SubjectUnknown => "SubjectUnknown",
            Self::TenantMismatch => "TenantMismatch",
            Self::ActionDiffers => "ActionDiffers",
            Self::VersionUnknown => "VersionUnknown",
            Self::DigestDiffers => "DigestDiffers",
            Self::NotStamped => "NotStamped",
            Self::GuardGap => "GuardGap",
            Self::SelfApproval => "SelfApproval",
            Self::MadeBefore => "MadeBefore",
            Self::Expired => "Expired",
            Self::NotAfterUnreadable => "NotAfterUnreadable",
        }
    }

    /// What is wrong and what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::SubjectUnknown => {
                "the subject does not exist; check subject.kind and subject.name"
            }
            Self::TenantMismatch => {
                "tenantRef and subject.tenantID are not the subject's; copy them from the subject"
            }
            Self::ActionDiffers => {
                "the subject does not wait for this action; see its status.pendingApprovals"
            }
            Self::VersionUnknown => {
                "subject.digestVersion is not known here; copy digest and digestVersion from the \
                 subject's status.pendingApprovals"
            }
            Self::DigestDiffers => {
                "the subject has changed since; look at it again and approve the digest in its \
                 status.pendingApprovals"
            }
            Self::NotStamped => "admission did not stamp an approver; write a new one",
            Self::GuardGap => {
                "it was made while the guard that stamps approvers was not proven alive; write a new one"
            }
            Self::SelfApproval => {
                "the approver is the one who asked; somebody else must decide (DSA 2.4)"
            }
            Self::MadeBefore => {
                "it was given for an earlier change; write a new one for this change"
            }
            Self::Expired => "notAfter has passed; write a new one",
            Self::NotAfterUnreadable => "notAfter is not an RFC 3339 instant; write a new one",
        }
    }
}

/// Whether an approval counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It counts, for or against.
    Counts(Counted),
    /// It does not.
    Void(VoidReason),
}

/// Whether the approval counts now. The first reason that applies is given; what the approval names
/// comes before who made it, and its age last.
pub fn standing(approval: &Approval, context: &Context<'_>) -> Standing {
    match check(approval, context) {
        Ok(counted) => Standing::Counts(counted),
        Err(reason) => Standing::Void(reason),
    }
}

fn check(approval: &Approval, context: &Context<'_>) -> Result<Counted, VoidReason> {
    let spec = &approval.spec;
    let asked = context
        .asked
        .filter(|asked| asked.kind == spec.subject.kind && asked.name == spec.subject.name)
        .ok_or(VoidReason::SubjectUnknown)?;
    let tenant = spec.tenant_ref.as_ref().map(|tenant| &tenant.name);
    if tenant != asked.tenant.as_ref() || spec.subject.tenant_id != asked.tenant_id {
        return Err(VoidReason::TenantMismatch);
    }
    if spec.action != asked.action {
        return Err(VoidReason::ActionDiffers);
    }
    let current = asked
        .digests
        .get(&spec.subject.digest_version)
        .ok_or(VoidReason::VersionUnknown)?;
    if *current != spec.subject.digest {
        return Err(VoidReason::DigestDiffers);
    }
    let by = approver(approval).ok_or(VoidReason::NotStamped)?;
    if context.guard_gap {
        return Err(VoidReason::GuardGap);
    }
    if asked.requester == Requester::User(by.to_owned()) {
        return Err(VoidReason::SelfApproval);
    }
    let at = made_at(approval);
    // Creation times are cut to the second.
    if asked
        .since
        .is_some_and(|since| at.as_second() < since.as_second())
    {
        return Err(VoidReason::MadeBefore);
    }
    if let Some(text) = &spec.not_after {
        let end: Timestamp = text.parse().map_err(|_| VoidReason::NotAfterUnreadable)?;
        if end <= context.now {
            return Err(VoidReason::Expired);
        }
    }
    Ok(Counted {
        by: by.to_owned(),
        decision: spec.decision,
        at,
        identity_only: true,
    })
}

fn approver(approval: &Approval) -> Option<&str> {
    let stamped = approval.spec.approver.as_ref()?;
    Some(stamped.username.as_str()).filter(|name| !name.is_empty())
}

/// When the API server took the approval; the oldest of all times where it does not say.
fn made_at(approval: &Approval) -> Timestamp {
    approval
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0)
}

/// When the approval stops counting by itself; what waits for it looks again then.
pub fn expires_at(approval: &Approval) -> Option<Timestamp> {
    approval.spec.not_after.as_ref()?.parse().ok()
}

/// The condition `Valid` of an approval: status (`True` or `False`), reason and message.
pub fn condition(standing: &Standing) -> (&'static str, &'static str, String) {
    let counted = match standing {
        Standing::Void(reason) => return ("False", reason.reason(), reason.message().to_owned()),
        Standing::Counts(counted) => counted,
    };
    let (reason, word) = match (counted.decision, counted.identity_only) {
        (Decision::Reject, _) => ("Rejects", "rejects"),
        (Decision::Approve, true) => ("IdentityOnly", "approves"),
        (Decision::Approve, false) => ("Approves", "approves"),
    };
    let by = &counted.by;
    let how = if counted.identity_only {
        "; persons are not known, so separation of duties compared user names only"
    } else {
        ""
    };
    ("True", reason, format!("{by} {word}{how}"))
}

/// What the approvals that count come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Enough different persons approve, and nobody rejects.
    Approved {
        /// Who, sorted.
        by: Vec<String>,
    },
    /// More are needed.
    Waiting {
        /// How many different persons approve.
        have: i32,
        /// How many must.
        need: i32,
    },
    /// Somebody rejects. A rejection stands until its author decides otherwise or the thing changes.
    Rejected {
        /// Who, sorted.
        by: Vec<String>,
    },
}

/// Whether the approvals that count suffice. Of each person the newest decision holds, and of two
/// made in the same second the rejection; `needed` below one is one.
pub fn enough<'a>(approvals: impl IntoIterator<Item = &'a Counted>, needed: i32) -> Outcome {
    let mut latest: BTreeMap<&str, &Counted> = BTreeMap::new();
    for approval in approvals {
        let rank = |counted: &Counted| (counted.at, counted.decision == Decision::Reject);
        let held = latest.entry(&approval.by).or_insert(approval);
        if rank(approval) > rank(held) {
            *held = approval;
        }
    }
    let who = |decision: Decision| -> Vec<String> {
        let same = latest
            .values()
            .filter(|counted| counted.decision == decision);
        same.map(|counted| counted.by.clone()).collect()
    };
    let against = who(Decision::Reject);
    if !against.is_empty() {
        return Outcome::Rejected { by: against };
    }
    let by = who(Decision::Approve);
    let need = needed.max(1);
    let have = i32::try_from(by.len()).unwrap_or(i32::MAX);
    if have < need {
        return Outcome::Waiting { have, need };
    }
    Outcome::Approved { by }
}

/// How many different persons must approve. Two where nobody is known to have asked, because then
/// the approver cannot be told from the requester; a destruction always takes two (DSA 2.13).
pub fn approvals_needed(action: Action, requester: &Requester) -> i32 {
    match action {
        Action::Destroy => 2,
        Action::Loosen | Action::Amend | Action::Terminate if requester.is_nobody() => 2,
        Action::Loosen
        | Action::Amend
        | Action::Terminate
        | Action::Activate
        | Action::Withdraw
        | Action::DestroyKey
        | Action::DecideChoice
        | Action::DecideReceipt
        | Action::ReleaseHold
        | Action::Retention
        | Action::Adopt
        | Action::AcceptReceipt
        | Action::AcceptSweep => 1,
    }
}
