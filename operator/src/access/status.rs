//! What is said on an AccessGrant, and on the Approvals about it. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tenure_crds::access_grant::{SessionAccount, Sweep, SweepFinding};
use tenure_crds::approval::Action;
use tenure_crds::approval::ApprovalStatus;
use tenure_crds::words::PendingApproval;
use tenure_crds::{AccessGrant, AccessGrantStatus, Approval};

use super::proof::Verdict;
use super::proving::Progress;
use super::standing::Standing;
use super::why::Why;
use crate::approval::{
    Asked, Context as Look, DIGEST_VERSION, Standing as Decision, VoidReason,
    condition as approval_condition, standing as decision,
};
use crate::record::{Finding, Granted, How, Swept};
use crate::tenant::status::said;

/// The last token of a session is fetched this long before its end: none lives shorter than ten minutes, and each ends a minute
/// before the grant.
const LAST_FETCH: SignedDuration = SignedDuration::from_mins(11);
/// What the schema of an AccessGrant's status has room for.
const MOST_APPROVALS: usize = 16;
const LONGEST_LINE: usize = 1024;
const LONGEST_NAME: usize = 253;
/// How many findings the effect of an acceptance names; all of them stand in the status.
const NAMED_IN_EFFECT: usize = 16;

/// What is known of a grant when its status is written.
pub struct Said<'a> {
    /// Where it stands.
    pub standing: &'a Standing,
    /// What is on record about it.
    pub granted: Option<&'a Granted>,
    /// How far the proof of its end has come.
    pub progress: &'a Progress,
    /// Why the API server refused its binding, where it did.
    pub refused: Option<&'a str>,
    /// What it asks of those who decide.
    pub asked: &'a Asked,
    /// How many must approve.
    pub needed: i32,
    /// Where the accounts of sessions are.
    pub sessions: &'a str,
    /// Why it could not be looked after its end, where it could not.
    pub unswept: Option<String>,
}

impl Said<'_> {
    fn session(&self) -> Option<SessionAccount> {
        let name = self.granted?.account.clone()?;
        Some(SessionAccount {
            namespace: self.sessions.to_owned(),
            name,
        })
    }

    /// How somebody who is let in gets in.
    fn how(&self, until: Timestamp) -> String {
        let Some(SessionAccount { namespace, name }) = self.session() else {
            return String::new();
        };
        let last = until - LAST_FETCH;
        format!(
            "; the person fetches tokens until {last}: kubectl create token {name} --namespace {namespace} --duration 10m"
        )
    }
}

/// The grant with its new status, where it differs from what it says.
pub fn grant(grant: &AccessGrant, what: &Said<'_>, now: Timestamp) -> Option<AccessGrant> {
    let before = grant.status.clone().unwrap_or_default();
    let generation = grant.metadata.generation;
    let make = said(&before.conditions, generation, now);
    let granted = what.granted;
    let next = AccessGrantStatus {
        observed_generation: generation,
        conditions: conditions(what, make),
        identity: granted.map(|granted| granted.identity.clone()),
        session: what.session(),
        active_since: granted.map(|granted| granted.activated_at.clone()),
        ended_at: granted
            .and_then(|granted| granted.ended.as_ref())
            .map(|end| end.at.clone()),
        approved_by: granted
            .map(|granted| {
                granted
                    .approved_by
                    .iter()
                    .take(MOST_APPROVALS)
                    .map(|by| by.name.clone())
                    .collect()
            })
            .unwrap_or_default(),
        remaining: what
            .progress
            .remaining
            .iter()
            .map(|line| cut(line, LONGEST_LINE))
            .collect(),
        sweep: granted
            .and_then(|granted| granted.sweep.as_ref())
            .and_then(sweep),
        pending_approvals: pending(grant, what),
    };
    (next != before).then(|| AccessGrant {
        status: Some(next),
        ..grant.clone()
    })
}

fn conditions(
    said: &Said<'_>,
    make: impl Fn(&str, &str, &str, &str) -> Condition,
) -> Vec<Condition> {
    const LIVE: &str = "it has not ended";
    let approved = |approvals: bool| match approvals {
        true => make("Approved", "True", "Approved", "enough people approve it"),
        false => make(
            "Approved",
            "False",
            "AwaitingApproval",
            "nobody approved it yet",
        ),
    };
    match said.standing {
        Standing::Pending { why, message, .. } => vec![
            make("Active", "False", why.as_str(), message),
            approved(*why == Why::Scheduled),
            make("Ended", "False", "NotEnded", LIVE),
            match why {
                Why::Unrecorded | Why::TooMany | Why::Unguarded => {
                    make("Ready", "False", why.as_str(), message)
                }
                _ => make("Ready", "True", "Pending", message),
            },
        ],
        Standing::Active {
            until, approvals, ..
        } => {
            let (reason, message) = match approvals.is_empty() {
                true => (
                    "BreakGlass",
                    format!(
                        "let in until {until} without an approval: it ends 24 hours after it began unless somebody approves it"
                    ),
                ),
                false => ("Active", format!("let in until {until}")),
            };
            let stands = match said.refused {
                Some(why) => vec![
                    make("Active", "False", Why::Refused.as_str(), why),
                    make("Ready", "False", Why::Refused.as_str(), why),
                ],
                None => vec![
                    make(
                        "Active",
                        "True",
                        reason,
                        &(message.clone() + &said.how(*until)),
                    ),
                    make("Ready", "True", reason, &message),
                ],
            };
            let others = [
                approved(!approvals.is_empty()),
                make("Ended", "False", "NotEnded", LIVE),
            ];
            stands.into_iter().chain(others).collect()
        }
        Standing::Ended { why, message } => {
            let mut conditions = vec![
                make("Active", "False", why.as_str(), message),
                make("Ended", "True", why.as_str(), message),
                make("Ready", "True", "Ended", message),
            ];
            if let Some(granted) = said.granted {
                let (status, reason, message) = proof(granted, said.progress);
                conditions.push(make("EndProven", status, reason, &message));
                let (status, reason, message) = swept(granted, said.unswept.as_deref());
                conditions.push(make("Swept", status, reason, &message));
                conditions.push(approved(!granted.approved_by.is_empty()));
            }
            conditions
        }
    }
}

/// Whether the end is proven: every API server was asked, and said no.
fn proof(granted: &Granted, progress: &Progress) -> (&'static str, &'static str, String) {
    if let Some(proof) = &granted.proof {
        let tail = match granted.account {
            Some(_) => {
                "; a token of its session opens nothing, and is known to no API server about ten seconds after its account was deleted"
            }
            None => "",
        };
        let message = format!(
            "{0} of {0} API servers said no, the last at {1}{tail}",
            proof.servers, proof.at
        );
        return ("True", "Proven", message);
    }
    if progress.is_covered {
        let message = "its bindings are gone; all that it allowed, other live grants of the person allow as well: the API servers are asked once those have ended";
        return ("Unknown", "Covered", message.into());
    }
    match &progress.proof.verdict {
        Some(Verdict::StillAllowed {
            reached, counted, ..
        }) => {
            let message = format!(
                "{reached} of {counted} API servers were asked, and some still say yes: status.remaining names what has to go"
            );
            ("False", "StillAllowed", message)
        }
        Some(Verdict::Unproven {
            reached,
            counted,
            why,
        }) => {
            let why: Vec<String> = why.iter().map(ToString::to_string).collect();
            let message = format!(
                "{reached} of {counted} API servers answered: {}",
                why.join("; ")
            );
            ("Unknown", "Unproven", message)
        }
        Some(Verdict::Proven { .. }) | None => (
            "Unknown",
            "NotAsked",
            "the API servers have not been asked yet".into(),
        ),
    }
}

/// Whether nothing stays that could carry the access on.
fn swept(granted: &Granted, unswept: Option<&str>) -> (&'static str, &'static str, String) {
    let Some(swept) = &granted.sweep else {
        return match unswept {
            Some(why) => (
                "Unknown",
                "CouldNotLook",
                format!("what was created or changed meanwhile is not known: {why}"),
            ),
            None => (
                "Unknown",
                "NotLookedYet",
                "what was created or changed meanwhile is looked for once the end is proven, or a minute after it".into(),
            ),
        };
    };
    let Some(settled) = &swept.settled else {
        let message = format!(
            "{}: remove what status.sweep names, or have it accepted (AcceptSweep) by somebody who is neither the person nor who asked",
            stays(swept, &granted.person)
        );
        return ("False", "Open", message);
    };
    let objects = settled.objects;
    let message = match settled.how {
        How::NotPossible => format!(
            "{} lets nobody create or change what carries access on: nothing had to be looked for",
            granted.role
        ),
        How::NothingFound => {
            "nothing that could carry access on was created or changed meanwhile and is there"
                .into()
        }
        How::Removed => {
            format!("all {objects} objects that were created or changed meanwhile are gone")
        }
        How::Accepted => {
            let by: Vec<&str> = settled
                .approvals
                .iter()
                .map(|by| by.name.as_str())
                .collect();
            format!(
                "{objects} objects that were created or changed meanwhile stay, by Approval {}; the record names them",
                by.join(" and ")
            )
        }
    };
    ("True", settled.how.as_str(), message)
}

fn stays(swept: &Swept, person: &str) -> String {
    let gaps = match swept.not_looked_at.len() {
        0 => String::new(),
        _ => "; not everything could be looked at (status.sweep.notLookedAt)".into(),
    };
    match swept.objects() {
        0 => {
            format!("nothing was found that was created or changed while {person} was let in{gaps}")
        }
        objects => format!(
            "{objects} objects are there that were created or changed while {person} was let in{gaps}"
        ),
    }
}

/// What is open; what was settled stands on record.
fn sweep(swept: &Swept) -> Option<Sweep> {
    swept.is_open().then(|| Sweep {
        looked_at: swept.at.clone(),
        findings: swept.findings.iter().map(finding).collect(),
        more: i32::try_from(swept.more).unwrap_or(i32::MAX),
        not_looked_at: swept.not_looked_at.clone(),
    })
}

/// At most so many characters: what does not fit the schema would keep all of the status from being said.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept = text.chars().take(longest.saturating_sub(1));
    kept.chain(['…']).collect()
}

fn finding(finding: &Finding) -> SweepFinding {
    let namespace = Some(finding.namespace.clone());
    SweepFinding {
        kind: finding.kind.clone(),
        namespace: namespace.filter(|namespace| !namespace.is_empty()),
        // Roles and bindings may be called anything; what is accepted is known by its uid.
        name: cut(&finding.name, LONGEST_NAME),
        uid: finding.uid.clone(),
        change: finding.change.as_str().into(),
        at: finding.when.clone(),
        author: cut(finding.author(), LONGEST_LINE),
        claimed_manager: finding.claimed.clone(),
    }
}

/// What somebody is asked to accept, where something is open.
fn to_accept(granted: &Granted) -> Option<PendingApproval> {
    let swept = granted.sweep.as_ref().filter(|swept| swept.is_open())?;
    let named = swept.findings.iter().take(NAMED_IN_EFFECT);
    let mut what: Vec<String> = named.map(ToString::to_string).collect();
    let others = swept.objects() - what.len();
    if others > 0 {
        what.push(format!("and {others} more"));
    }
    what.extend(swept.not_looked_at.iter().cloned());
    let effect = format!(
        "this stays after the access of {} as {} to {}: {}",
        granted.person,
        granted.role,
        granted.namespaces.join(", "),
        what.join("; ")
    );
    Some(PendingApproval {
        action: Action::AcceptSweep,
        digest: swept.digest.clone(),
        digest_version: DIGEST_VERSION,
        approvals_needed: 1,
        effect,
    })
}

fn pending(grant: &AccessGrant, said: &Said<'_>) -> Vec<PendingApproval> {
    if let Standing::Ended { .. } = said.standing {
        return said.granted.and_then(to_accept).into_iter().collect();
    }
    let waits = match said.standing {
        Standing::Pending { why, .. } => *why != Why::Scheduled,
        Standing::Active { approvals, .. } => approvals.is_empty(),
        Standing::Ended { .. } => false,
    };
    if !waits {
        return Vec::new();
    }
    let spec = &grant.spec;
    let from = spec.not_before.as_deref().unwrap_or("its approval");
    let effect = format!(
        "{} is let into {} ({}) as {} from {from} until {}: {} ({})",
        spec.person,
        spec.tenant_ref.name,
        spec.namespaces.join(", "),
        spec.role,
        spec.not_after,
        spec.reason,
        spec.ticket
    );
    let digest = said.asked.digests.get(&DIGEST_VERSION).cloned();
    vec![PendingApproval {
        action: said.asked.action,
        digest: digest.unwrap_or_default(),
        digest_version: DIGEST_VERSION,
        approvals_needed: said.needed,
        effect,
    }]
}

/// An Approval about a grant that there is none of.
pub fn approval_of_nothing(approval: &Approval, now: Timestamp) -> Option<Approval> {
    let unknown = Decision::Void(VoidReason::SubjectUnknown);
    approval_said(approval, approval_condition(&unknown), false, now)
}

/// An Approval about a grant with its new status, where it differs from what it says.
pub fn approval(
    approval: &Approval,
    look: &Look<'_>,
    is_used: bool,
    standing: &Standing,
    now: Timestamp,
) -> Option<Approval> {
    let used_before = approval
        .status
        .as_ref()
        .is_some_and(|status| status.used_at.is_some());
    let valid = match standing {
        _ if is_used || used_before => ("True", "Used", "the approval was acted on".to_owned()),
        Standing::Ended { .. } => approval_condition(&Decision::Void(VoidReason::Settled)),
        _ => approval_condition(&decision(approval, look)),
    };
    approval_said(approval, valid, is_used, now)
}

/// An Approval about what a sweep found, with its new status where it differs from what it says.
pub fn sweep_approval(
    approval: &Approval,
    look: &Look<'_>,
    swept: &Swept,
    now: Timestamp,
) -> Option<Approval> {
    let mut used = swept.settled.iter().flat_map(|settled| &settled.approvals);
    let is_used = used.any(|by| Some(&by.uid) == approval.metadata.uid.as_ref());
    let used_before = approval
        .status
        .as_ref()
        .is_some_and(|status| status.used_at.is_some());
    let valid = match swept.settled {
        _ if is_used || used_before => ("True", "Used", "the approval was acted on".to_owned()),
        Some(_) => approval_condition(&Decision::Void(VoidReason::Settled)),
        None => approval_condition(&decision(approval, look)),
    };
    approval_said(approval, valid, is_used, now)
}

/// An Approval of which that is said, where it says something else; `is_used` marks it as acted on.
pub fn approval_said(
    approval: &Approval,
    (status, reason, message): (&str, &str, String),
    is_used: bool,
    now: Timestamp,
) -> Option<Approval> {
    let before = approval.status.clone().unwrap_or_default();
    let generation = approval.metadata.generation;
    let make = said(&before.conditions, generation, now);
    let next = ApprovalStatus {
        observed_generation: generation,
        conditions: vec![
            make("Valid", status, reason, &message),
            make(
                "Ready",
                "True",
                "Settled",
                "the approval's standing is settled",
            ),
        ],
        used_at: before
            .used_at
            .clone()
            .or_else(|| is_used.then(|| now.to_string())),
    };
    (next != before).then(|| Approval {
        status: Some(next),
        ..approval.clone()
    })
}
