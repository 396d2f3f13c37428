//! Where an access grant stands: the one place in which it is decided whether somebody is let in (DSA 2.0 to 2.4, 2.9, 2.10).
//!
//! Pure. What is missing or cannot be read lets nobody in, and ends what was active. What has ended stays ended.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tenure_crds::AccessGrant;

use super::obstacles::{Case, Window, identity, obstacle, window};
use super::why::Why;
use crate::approval::{Context as Look, Outcome, Tally};
use crate::record::End;

/// How long a break-glass grant may be active before somebody approved it.
pub const BREAK_GLASS: SignedDuration = SignedDuration::from_hours(24);

/// Where a grant stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Nobody is let in, yet.
    Pending {
        /// What it waits for.
        why: Why,
        /// In words: what, and what to do.
        message: String,
        /// When it may stand elsewhere by itself.
        again: Option<Timestamp>,
    },
    /// The person is let in.
    Active {
        /// The identity that is bound.
        identity: String,
        /// When it ends, at the latest.
        until: Timestamp,
        /// The Approvals that count, by uid and name, sorted by name; empty for break-glass that nobody approved yet.
        approvals: Vec<(String, String)>,
        /// When it may stand elsewhere by itself.
        again: Timestamp,
    },
    /// It is over for good.
    Ended {
        /// What ended it.
        why: Why,
        /// In words.
        message: String,
    },
}

impl Standing {
    /// One that lets nobody in, for a reason outside the grant.
    pub fn waits(why: Why, message: &str) -> Self {
        Self::Pending {
            why,
            message: message.to_owned(),
            again: None,
        }
    }

    /// When it may stand elsewhere by itself.
    pub fn again(&self) -> Option<Timestamp> {
        match self {
            Self::Pending { again, .. } => *again,
            Self::Active { again, .. } => Some(*again),
            Self::Ended { .. } => None,
        }
    }
}

/// Where the grant stands at `now`.
pub fn standing(case: &Case<'_>, now: Timestamp) -> Standing {
    let spec = &case.grant.spec;
    if let Some(end) = case.granted.and_then(|granted| granted.ended.as_ref()) {
        return on_record(end);
    }
    if let Some((why, message)) = said_ended(case.grant) {
        return ended(why, message);
    }
    if let Some(end) = case.withdrawn {
        return on_record(end);
    }
    let Some(window) = window(case) else {
        return ended(Why::Invalid, "notBefore or notAfter cannot be read");
    };
    if now >= window.until {
        return ended(
            Why::WindowOver,
            format!("its window ended at {}", spec.not_after),
        );
    }
    if let Some(revoked) = &spec.revoked {
        return ended(Why::Revoked, format!("revoked: {}", revoked.reason));
    }
    let was_active = case.granted.is_some();
    if let Some(why) = case.review.filter(|_| was_active) {
        return ended(why, why.meaning());
    }
    let mut horizon = window.until;
    if let Some(obstacle) = obstacle(case, &window, now, &mut horizon) {
        return match was_active {
            true => ended(obstacle.why, obstacle.message),
            false => Standing::Pending {
                why: obstacle.why,
                message: obstacle.message,
                again: Some(obstacle.again.unwrap_or(window.until).min(window.until)),
            },
        };
    }
    decided(case, &window, now, horizon)
}

/// What the status says of an end that the record could not take yet: an end is never taken back, whatever became of its cause.
pub fn said_ended(grant: &AccessGrant) -> Option<(Why, String)> {
    let conditions = grant.status.iter().flat_map(|status| &status.conditions);
    let mut said =
        conditions.filter(|condition| condition.type_ == "Ended" && condition.status == "True");
    said.next()
        .map(|condition| (Why::from_word(&condition.reason), condition.message.clone()))
}

/// Once nothing stands in the way: what people decided.
fn decided(case: &Case<'_>, window: &Window, now: Timestamp, horizon: Timestamp) -> Standing {
    let is_break_glass = case.grant.spec.break_glass.unwrap_or_default();
    let identity = identity(case).unwrap_or_default().to_owned();
    let active = |approvals: Vec<(String, String)>, again: Timestamp| Standing::Active {
        identity: identity.clone(),
        until: window.until,
        approvals,
        again: again.min(window.until),
    };
    let (outcome, approvals) = tally(case, now);
    if let Outcome::Rejected { by } = &outcome {
        return ended(Why::Rejected, format!("rejected by {}", by.join(" and ")));
    }
    let known = case.granted.map(|granted| granted.approvals());
    if let Some(known) = known.filter(|known| !known.is_empty()) {
        // Decided when it began; what became of the Approvals since changes nothing.
        return active(known, horizon);
    }
    let is_approved = matches!(outcome, Outcome::Approved { .. });
    let is_asked = is_approved || is_break_glass;
    let begins = begins(case, window).filter(|begins| now < *begins);
    if let Some(begins) = begins.filter(|_| is_asked && case.granted.is_none()) {
        return Standing::Pending {
            why: Why::Scheduled,
            message: format!("nothing else is in its way; it begins at {}", window.from),
            again: Some(begins),
        };
    }
    if is_approved {
        return active(approvals, horizon);
    }
    if is_break_glass {
        return break_glass(case, now, horizon, &active);
    }
    let Outcome::Waiting { have, need } = outcome else {
        return ended(Why::Invalid, "its decisions cannot be counted");
    };
    Standing::Pending {
        why: Why::AwaitingApproval,
        message: format!(
            "{have} of {need} approvals: somebody else than the person and than who asked approves what stands under status.pendingApprovals"
        ),
        again: Some(
            earliest_expiry(case, now)
                .unwrap_or(window.until)
                .min(window.until),
        ),
    }
}

/// When it begins where that is said, by the clock that is behind.
fn begins(case: &Case<'_>, window: &Window) -> Option<Timestamp> {
    case.grant.spec.not_before.as_ref()?;
    let begins = window.from.saturating_add(case.behind);
    Some(begins.unwrap_or(Timestamp::MAX))
}

fn break_glass(
    case: &Case<'_>,
    now: Timestamp,
    horizon: Timestamp,
    active: &impl Fn(Vec<(String, String)>, Timestamp) -> Standing,
) -> Standing {
    let since = case.granted.and_then(|granted| granted.activated_at());
    let deadline = since.unwrap_or(now).saturating_add(BREAK_GLASS);
    let deadline = deadline.unwrap_or(now);
    if now >= deadline {
        return ended(
            Why::BreakGlassUnapproved,
            "nobody approved this emergency access within 24 hours",
        );
    }
    active(Vec::new(), horizon.min(deadline))
}

/// What the decisions about the grant come to, and which count for it.
fn tally(case: &Case<'_>, now: Timestamp) -> (Outcome, Vec<(String, String)>) {
    let look = Look {
        asked: Some(case.asked),
        now,
        gaps: case.gaps,
        persons: case.persons,
    };
    let needed = case.role.granted.as_ref().map_or(1, |role| role.approvals);
    let Tally { outcome, approvals } = Tally::of(case.approvals, &look, needed);
    let approvals = approvals.into_iter();
    let mut for_it: Vec<(String, String)> = approvals
        .map(|approval| (approval.uid().unwrap_or_default(), approval.name_any()))
        .collect();
    for_it.sort_by(|left, right| left.1.cmp(&right.1));
    (outcome, for_it)
}

fn earliest_expiry(case: &Case<'_>, now: Timestamp) -> Option<Timestamp> {
    let ends = case
        .approvals
        .iter()
        .filter_map(crate::approval::expires_at);
    ends.filter(|end| *end > now).min()
}

fn on_record(end: &End) -> Standing {
    let why = Why::from_word(&end.why);
    ended(why, format!("it ended at {}: {}", end.at, why.meaning()))
}

fn ended(why: Why, message: impl Into<String>) -> Standing {
    Standing::Ended {
        why,
        message: message.into(),
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
