//! Whether an approval counts, and whether those that count suffice.
//!
//! Separation of duties (DSA 2.4) is between persons. Where a person is not known it compares the user
//! names admission stamped, and says so: such an approval is marked `IdentityOnly`. To let somebody in (`Activate`), and to let stay
//! what was made meanwhile (`AcceptSweep`), only a known person's decision counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use tenure_crds::Approval;
use tenure_crds::approval::{Action, Decision};

use super::gaps::Gaps;
use super::persons::{Person, Persons};

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
    /// Who would be let in, by StaffMember name, where that is what is asked: nobody decides on their own access.
    pub person: Option<String>,
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
    /// When the guard that stamps approvers was not proven alive.
    pub gaps: &'a Gaps,
    /// Who is known.
    pub persons: &'a Persons,
}

/// An approval that counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// User name of the person who decided, as stamped.
    pub by: String,
    /// Who that is, where it is known.
    pub person: Option<Person>,
    /// Yes or no.
    pub decision: Decision,
    /// When it was made.
    pub at: Timestamp,
}

impl Counted {
    /// Whose decision it is: two user names of one person decide once.
    fn decider(&self) -> Decider<'_> {
        match &self.person {
            Some(person) => Decider::Person(person),
            None => Decider::User(&self.by),
        }
    }
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Decider<'a> {
    Person(&'a Person),
    User(&'a str),
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
    /// The approver is the one who asked, or the one who would be let in.
    SelfApproval,
    /// The approver is no known person.
    ApproverUnknown,
    /// The approver does not work here any more.
    ApproverLeft,
    /// It is older than the change that waits.
    MadeBefore,
    /// Its time is over.
    Expired,
    /// Its `notAfter` cannot be read.
    NotAfterUnreadable,
    /// What it decides on was settled without it.
    Settled,
}

impl VoidReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::SubjectUnknown,
        Self::TenantMismatch,
        Self::ActionDiffers,
        Self::VersionUnknown,
        Self::DigestDiffers,
        Self::NotStamped,
        Self::GuardGap,
        Self::SelfApproval,
        Self::ApproverUnknown,
        Self::ApproverLeft,
        Self::MadeBefore,
        Self::Expired,
        Self::NotAfterUnreadable,
        Self::Settled,
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
            Self::ApproverUnknown => "ApproverUnknown",
            Self::ApproverLeft => "ApproverLeft",
            Self::MadeBefore => "MadeBefore",
            Self::Expired => "Expired",
            Self::NotAfterUnreadable => "NotAfterUnreadable",
            Self::Settled => "Settled",
        }
    }

    /// Whether it may count again without anybody deciding anew: what it was decided on is not there, or not guarded, just now.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::SubjectUnknown | Self::GuardGap | Self::ApproverUnknown
        )
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
                "the approver is the one who asked, or who is or was let in; somebody else must decide (DSA 2.4)"
            }
            Self::ApproverUnknown => {
                "the approver's user name belongs to no known person, or to several; have the identity sync list it with one StaffMember"
            }
            Self::ApproverLeft => {
                "the approver's StaffMember says Left; somebody who works here has to decide"
            }
            Self::MadeBefore => {
                "it was given for an earlier change; write a new one for this change"
            }
            Self::Expired => "notAfter has passed; write a new one",
            Self::NotAfterUnreadable => "notAfter is not an RFC 3339 instant; write a new one",
            Self::Settled => "what it decides on was settled without it; nothing is left to do",
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
    if context.gaps.cover(made_at(approval)) {
        return Err(VoidReason::GuardGap);
    }
    let person = context.persons.of(by);
    if is_own(asked, by, context.persons) {
        return Err(VoidReason::SelfApproval);
    }
    if person.is_some_and(|person| context.persons.has_left(person)) {
        return Err(VoidReason::ApproverLeft);
    }
    let concerns_access = matches!(asked.action, Action::Activate | Action::AcceptSweep);
    if concerns_access && person.is_none() {
        return Err(VoidReason::ApproverUnknown);
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
        person: person.cloned(),
        decision: spec.decision,
        at,
    })
}

/// Whether an approval was made by who asked for what it decides, or by who is let in.
pub fn decided_own(approval: &Approval, asked: &Asked, persons: &Persons) -> bool {
    approver(approval).is_none_or(|by| is_own(asked, by, persons))
}

/// Whether somebody would decide on what they asked for themselves, or on their own access.
fn is_own(asked: &Asked, by: &str, persons: &Persons) -> bool {
    let asked_it = match &asked.requester {
        Requester::User(user) => persons.are_one(user, by),
        Requester::Nobody => false,
    };
    let is_let_in = asked.person.as_ref().is_some_and(|let_in| {
        let person = persons.of(by);
        person.is_some_and(|person| person.is_staff(let_in))
    });
    asked_it || is_let_in
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
    let (reason, word) = match (counted.decision, &counted.person) {
        (Decision::Reject, _) => ("Rejects", "rejects"),
        (Decision::Approve, None) => ("IdentityOnly", "approves"),
        (Decision::Approve, Some(_)) => ("Approves", "approves"),
    };
    let by = &counted.by;
    let how = match counted.person {
        None => "; that is no known person, so separation of duties compared user names only",
        Some(_) => "",
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

/// What all decisions about one thing come to.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    /// Whether they suffice.
    pub outcome: Outcome,
    /// Those that count and approve, the newest last.
    pub approvals: Vec<&'a Approval>,
}

impl<'a> Tally<'a> {
    /// Counts the decisions that count, of which `needed` persons must approve.
    pub fn of(
        decisions: impl IntoIterator<Item = &'a Approval>,
        context: &Context<'_>,
        needed: i32,
    ) -> Self {
        let mut counted: Vec<(Counted, &Approval)> = decisions
            .into_iter()
            .filter_map(|approval| match standing(approval, context) {
                Standing::Counts(counted) => Some((counted, approval)),
                Standing::Void(_) => None,
            })
            .collect();
        let outcome = enough(counted.iter().map(|(counted, _)| counted), needed);
        counted.retain(|(counted, _)| counted.decision == Decision::Approve);
        counted.sort_by_cached_key(|(counted, approval)| (counted.at, approval.name_any()));
        Self {
            outcome,
            approvals: counted.into_iter().map(|(_, approval)| approval).collect(),
        }
    }

    /// Those that approve, where they suffice.
    pub fn approved(self) -> Option<Vec<&'a Approval>> {
        matches!(self.outcome, Outcome::Approved { .. }).then_some(self.approvals)
    }
}

/// Whether the approvals that count suffice. Of each person the newest decision holds, and of two
/// made in the same second the rejection; `needed` below one is one.
pub fn enough<'a>(approvals: impl IntoIterator<Item = &'a Counted>, needed: i32) -> Outcome {
    let mut latest: BTreeMap<Decider<'_>, &Counted> = BTreeMap::new();
    for approval in approvals {
        let rank = |counted: &Counted| (counted.at, counted.decision == Decision::Reject);
        let held = latest.entry(approval.decider()).or_insert(approval);
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
        Action::Loosen | Action::Amend | Action::Terminate | Action::ReleaseHold
            if requester.is_nobody() =>
        {
            2
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
    use serde_json::{Value, json};

    use super::*;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
    const TENANT_ID: &str = "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn asked() -> Asked {
        Asked {
            action: Action::Amend,
            kind: "CustomerTenant".into(),
            name: "acme".into(),
            tenant_id: Some(TENANT_ID.into()),
            tenant: Some("acme".into()),
            digests: [(1, DIGEST.to_owned())].into(),
            requester: Requester::User("requester".into()),
            person: None,
            since: Some(at("2026-05-01T08:00:00.7Z")),
        }
    }

    fn approval(patch: Value) -> Approval {
        let mut value = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval",
            "metadata": {"name": "one", "creationTimestamp": "2026-05-01T09:00:00Z"},
            "spec": {
                "action": "Amend",
                "tenantRef": {"name": "acme"},
                "subject": {
                    "kind": "CustomerTenant", "name": "acme", "tenantID": TENANT_ID,
                    "digest": DIGEST, "digestVersion": 1
                },
                "decision": "Approve",
                "reason": "agreed",
                "approver": {"username": "approver", "groups": []}
            }
        });
        for (pointer, new) in patch.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap()[key] = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn persons() -> Persons {
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (one, two) = (
            ids(&["lead", "lead-admin"]),
            ids(&["worker", "worker-admin"]),
        );
        Persons::new([
            (Person::Staff("lead".into()), one.as_slice()),
            (Person::Staff("worker".into()), two.as_slice()),
        ])
    }

    fn judge(patch: Value, asked: Option<&Asked>, guard_gap: bool) -> Standing {
        let context = Context {
            asked,
            now: at("2026-05-02T00:00:00Z"),
            gaps: &Gaps {
                is_open: guard_gap,
                past: Vec::new(),
            },
            persons: &persons(),
        };
        standing(&approval(patch), &context)
    }

    /// The approval with these fields changed is void for this reason, and counts without them.
    #[track_caller]
    fn check(patch: Value, expect: VoidReason) {
        assert_eq!(judge(patch, Some(&asked()), false), Standing::Void(expect));
    }

    fn counted(by: &str, decision: Decision, second: i64) -> Counted {
        let at = Timestamp::from_second(second).unwrap();
        Counted {
            by: by.into(),
            person: None,
            decision,
            at,
        }
    }

    #[test]
    fn an_approval_by_somebody_else_on_the_current_digest_counts() {
        let expect = Counted {
            by: "approver".into(),
            person: None,
            decision: Decision::Approve,
            at: at("2026-05-01T09:00:00Z"),
        };
        assert_eq!(
            judge(json!({}), Some(&asked()), false),
            Standing::Counts(expect)
        );
    }

    #[test]
    fn a_rejection_counts_too() {
        let standing = judge(json!({"/spec/decision": "Reject"}), Some(&asked()), false);
        let Standing::Counts(counted) = standing else {
            panic!("{standing:?}");
        };
        assert_eq!(counted.decision, Decision::Reject);
    }

    #[test]
    fn each_reason_voids() {
        check(
            json!({"/spec/subject/name": "other"}),
            VoidReason::SubjectUnknown,
        );
        check(
            json!({"/spec/subject/kind": "AccessGrant"}),
            VoidReason::SubjectUnknown,
        );
        check(
            json!({"/spec/tenantRef": {"name": "other"}}),
            VoidReason::TenantMismatch,
        );
        check(json!({"/spec/tenantRef": null}), VoidReason::TenantMismatch);
        let id = "00000000-0000-4000-8000-000000000000";
        check(
            json!({"/spec/subject/tenantID": id}),
            VoidReason::TenantMismatch,
        );
        check(
            json!({"/spec/subject/tenantID": null}),
            VoidReason::TenantMismatch,
        );
        check(json!({"/spec/action": "Adopt"}), VoidReason::ActionDiffers);
        check(
            json!({"/spec/subject/digestVersion": 2}),
            VoidReason::VersionUnknown,
        );
        check(
            json!({"/spec/subject/digest": "sha256:2"}),
            VoidReason::DigestDiffers,
        );
        check(json!({"/spec/approver": null}), VoidReason::NotStamped);
        check(
            json!({"/spec/approver/username": ""}),
            VoidReason::NotStamped,
        );
        check(
            json!({"/spec/approver/username": "requester"}),
            VoidReason::SelfApproval,
        );
        let early = json!({"/metadata/creationTimestamp": "2026-05-01T07:59:59Z"});
        check(early, VoidReason::MadeBefore);
        check(
            json!({"/metadata/creationTimestamp": null}),
            VoidReason::MadeBefore,
        );
        check(
            json!({"/spec/notAfter": "2026-05-02T00:00:00Z"}),
            VoidReason::Expired,
        );
        check(
            json!({"/spec/notAfter": "tomorrow"}),
            VoidReason::NotAfterUnreadable,
        );
        assert_eq!(
            judge(json!({}), None, false),
            Standing::Void(VoidReason::SubjectUnknown)
        );
        assert_eq!(
            judge(json!({}), Some(&asked()), true),
            Standing::Void(VoidReason::GuardGap)
        );
    }

    #[test]
    fn the_nearest_approval_that_is_not_void_counts() {
        let counts =
            |patch: Value| matches!(judge(patch, Some(&asked()), false), Standing::Counts(_));
        assert!(counts(json!({"/spec/notAfter": "2026-05-02T00:00:01Z"})));
        // Made within the second in which the change began to wait.
        assert!(counts(
            json!({"/metadata/creationTimestamp": "2026-05-01T08:00:00Z"})
        ));
        assert!(counts(json!({"/spec/approver/username": "Requester"})));
    }

    #[test]
    fn two_names_of_one_person_are_one_person() {
        let asked = Asked {
            requester: Requester::User("lead".into()),
            ..asked()
        };
        let by = |name: &str| json!({"/spec/approver/username": name});
        let void = Standing::Void(VoidReason::SelfApproval);
        for own in ["lead", "lead-admin"] {
            assert_eq!(judge(by(own), Some(&asked), false), void, "{own}");
        }
        let other = judge(by("worker-admin"), Some(&asked), false);
        let Standing::Counts(counted) = other else {
            panic!("{other:?}")
        };
        assert_eq!(counted.person, Some(Person::Staff("worker".into())));
        let mut again = counted.clone();
        again.by = "worker".into();
        let outcome = enough(&[counted, again], 2);
        assert_eq!(outcome, Outcome::Waiting { have: 1, need: 2 });
    }

    #[test]
    fn only_a_known_person_lets_somebody_in_and_never_themselves() {
        let asked = Asked {
            action: Action::Activate,
            kind: "AccessGrant".into(),
            requester: Requester::Nobody,
            person: Some("worker".into()),
            ..asked()
        };
        let by = |name: &str| {
            let patch = json!({
                "/spec/action": "Activate", "/spec/subject/kind": "AccessGrant",
                "/spec/approver/username": name
            });
            judge(patch, Some(&asked), false)
        };
        assert!(matches!(by("lead"), Standing::Counts(_)));
        assert_eq!(by("approver"), Standing::Void(VoidReason::ApproverUnknown));
        for own in ["worker", "worker-admin"] {
            assert_eq!(by(own), Standing::Void(VoidReason::SelfApproval), "{own}");
        }
    }

    #[test]
    fn what_was_made_meanwhile_stays_by_the_word_of_another_known_person() {
        let asked = Asked {
            action: Action::AcceptSweep,
            kind: "AccessGrant".into(),
            requester: Requester::User("lead".into()),
            person: Some("worker".into()),
            ..asked()
        };
        let by = |name: &str| {
            let patch = json!({
                "/spec/action": "AcceptSweep", "/spec/subject/kind": "AccessGrant",
                "/spec/approver/username": name
            });
            judge(patch, Some(&asked), false)
        };
        for own in ["worker", "worker-admin", "lead", "lead-admin"] {
            assert_eq!(by(own), Standing::Void(VoidReason::SelfApproval), "{own}");
        }
        assert_eq!(by("approver"), Standing::Void(VoidReason::ApproverUnknown));
        let other = Asked {
            requester: Requester::Nobody,
            ..asked.clone()
        };
        let patch = json!({
            "/spec/action": "AcceptSweep", "/spec/subject/kind": "AccessGrant",
            "/spec/approver/username": "lead"
        });
        assert!(matches!(
            judge(patch, Some(&other), false),
            Standing::Counts(_)
        ));
    }

    #[test]
    fn from_a_repository_nobody_asked_and_nobody_is_oneself() {
        let asked = Asked {
            requester: Requester::Nobody,
            ..asked()
        };
        let patch = json!({"/spec/approver/username": "requester"});
        assert!(matches!(
            judge(patch, Some(&asked), false),
            Standing::Counts(_)
        ));
    }

    #[test]
    fn a_policy_is_approved_without_a_tenant() {
        let asked = Asked {
            action: Action::Loosen,
            kind: "TenancyPolicy".into(),
            name: "default".into(),
            tenant_id: None,
            tenant: None,
            ..asked()
        };
        let policy = json!({
            "/spec/action": "Loosen", "/spec/tenantRef": null,
            "/spec/subject/kind": "TenancyPolicy", "/spec/subject/name": "default",
            "/spec/subject/tenantID": null
        });
        assert!(matches!(
            judge(policy.clone(), Some(&asked), false),
            Standing::Counts(_)
        ));
        let mut with_tenant = policy;
        with_tenant["/spec/tenantRef"] = json!({"name": "acme"});
        let expect = Standing::Void(VoidReason::TenantMismatch);
        assert_eq!(judge(with_tenant, Some(&asked), false), expect);
    }

    #[test]
    fn an_applier_and_an_unstamped_change_are_nobody() {
        let appliers = ["flux".to_owned()].into();
        let check = |stamp: Option<&str>, expect: Requester| {
            assert_eq!(Requester::from_stamp(stamp, &appliers), expect);
        };
        check(None, Requester::Nobody);
        check(Some(""), Requester::Nobody);
        check(Some("flux"), Requester::Nobody);
        check(Some("somebody"), Requester::User("somebody".into()));
    }

    #[test]
    fn two_are_needed_where_nobody_asked() {
        let user = Requester::User("somebody".into());
        let check = |action, nobody: i32, somebody: i32| {
            let needed = [&Requester::Nobody, &user].map(|who| approvals_needed(action, who));
            assert_eq!(needed, [nobody, somebody], "{action:?}");
        };
        check(Action::Loosen, 2, 1);
        check(Action::Amend, 2, 1);
        check(Action::Terminate, 2, 1);
        check(Action::ReleaseHold, 2, 1);
        check(Action::Adopt, 1, 1);
        check(Action::Destroy, 2, 2);
    }

    #[test]
    fn enough_counts_persons_by_their_newest_decision() {
        use Decision::{Approve, Reject};
        let check = |list: &[(&str, Decision, i64)], needed: i32, expect: Outcome| {
            let counted: Vec<_> = list
                .iter()
                .map(|(by, what, at)| counted(by, *what, *at))
                .collect();
            assert_eq!(enough(&counted, needed), expect, "{list:?}");
            assert_eq!(
                enough(counted.iter().rev(), needed),
                expect,
                "{list:?} in another order"
            );
        };
        let approved = |by: &[&str]| Outcome::Approved {
            by: by.iter().map(|b| (*b).into()).collect(),
        };
        let rejected = |by: &[&str]| Outcome::Rejected {
            by: by.iter().map(|b| (*b).into()).collect(),
        };
        check(&[], 1, Outcome::Waiting { have: 0, need: 1 });
        check(&[("a", Approve, 1)], 1, approved(&["a"]));
        check(
            &[("a", Approve, 1)],
            2,
            Outcome::Waiting { have: 1, need: 2 },
        );
        check(
            &[("a", Approve, 1), ("a", Approve, 2)],
            2,
            Outcome::Waiting { have: 1, need: 2 },
        );
        check(
            &[("b", Approve, 1), ("a", Approve, 2)],
            2,
            approved(&["a", "b"]),
        );
        check(
            &[("a", Approve, 1), ("b", Approve, 2), ("c", Reject, 0)],
            2,
            rejected(&["c"]),
        );
        check(&[("a", Reject, 1), ("a", Approve, 2)], 1, approved(&["a"]));
        check(&[("a", Approve, 1), ("a", Reject, 2)], 1, rejected(&["a"]));
        check(&[("a", Approve, 1), ("a", Reject, 1)], 1, rejected(&["a"]));
        check(&[], 0, Outcome::Waiting { have: 0, need: 1 });
    }

    #[test]
    fn the_condition_says_why_in_bounded_words() {
        let words: BTreeSet<&str> = VoidReason::ALL
            .iter()
            .map(|reason| reason.reason())
            .collect();
        assert_eq!(
            words.len(),
            VoidReason::ALL.len(),
            "each reason has its own word"
        );
        for reason in VoidReason::ALL {
            let (status, word, message) = condition(&Standing::Void(reason));
            assert_eq!((status, word), ("False", reason.reason()));
            assert!(word.chars().all(|c| c.is_ascii_alphabetic()) && !message.is_empty());
        }
        let check = |decision, is_unknown: bool, expect: (&str, &str, &str)| {
            let counted = Counted {
                person: (!is_unknown).then(|| Person::Staff("someone".into())),
                ..counted("a", decision, 1)
            };
            let (status, reason, message) = condition(&Standing::Counts(counted));
            assert_eq!((status, reason, message.as_str()), expect);
        };
        let only = "; that is no known person, so separation of duties compared user names only";
        check(
            Decision::Approve,
            true,
            ("True", "IdentityOnly", &format!("a approves{only}")),
        );
        check(Decision::Approve, false, ("True", "Approves", "a approves"));
        check(
            Decision::Reject,
            true,
            ("True", "Rejects", &format!("a rejects{only}")),
        );
    }

    #[test]
    fn an_approval_says_when_it_ends() {
        let ends = approval(json!({"/spec/notAfter": "2026-05-02T00:00:00Z"}));
        assert_eq!(expires_at(&ends), Some(at("2026-05-02T00:00:00Z")));
        assert_eq!(expires_at(&approval(json!({}))), None);
    }

    fn decisions() -> impl Strategy<Value = Vec<Counted>> {
        let one = (
            prop::sample::select(&["a", "b", "c"][..]),
            any::<bool>(),
            0..4i64,
        );
        let one = one.prop_map(|(by, yes, second)| {
            counted(
                by,
                if yes {
                    Decision::Approve
                } else {
                    Decision::Reject
                },
                second,
            )
        });
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn the_order_in_which_decisions_are_listed_means_nothing(
            (list, turned) in decisions().prop_flat_map(|list| {
                let turned = proptest::strategy::Just(list.clone()).prop_shuffle();
                (proptest::strategy::Just(list), turned)
            }),
            needed in 1..4i32,
        ) {
            prop_assert_eq!(enough(&list, needed), enough(&turned, needed));
        }
    }
}
