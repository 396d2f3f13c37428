//! An AccessReview as it shows a review: its lines, who is named in them, and where it stands. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ObjectMeta;
use tenure_crds::access_review::{AccessKind, ReviewLine, VoidDecision};
use tenure_crds::approval::TenantRef;
use tenure_crds::{AccessReview, AccessReviewSpec, AccessReviewStatus, keys};
use tenure_rbac::Foreign;

use super::review::Next;
use crate::record::{Line, Review, named};
use crate::tenant::status::said;

/// Most decisions that do not count and are said.
const MOST_VOID: usize = 64;
/// Most subjects of a binding that a line names.
const MOST_NAMED: usize = 15;

/// What a review is about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The tenant and its UUID; nothing where it is about all of them.
    pub tenant: Option<(&'a str, &'a str)>,
}

impl Subject<'_> {
    /// The name of its review of this number. Names of tenants have no dots.
    pub fn name(self, number: u32) -> String {
        match self.tenant {
            Some((tenant, _)) => format!("{tenant}-{number}"),
            None => format!("platform.{number}"),
        }
    }

    /// Whether an AccessReview is about this.
    pub fn is_of(self, review: &AccessReview) -> bool {
        let named = review.spec.tenant_ref.as_ref();
        named.map(|named| named.name.as_str()) == self.tenant.map(|(tenant, _)| tenant)
    }
}

/// The line of a binding that nobody declared.
pub fn binding_line(foreign: &Foreign) -> Line {
    let role = foreign.role.to_string();
    let (reference, namespaces) = match foreign.is_cluster_wide() {
        true => (format!("ClusterRoleBinding/{}", foreign.name), Vec::new()),
        false => (
            format!("RoleBinding/{}/{}", foreign.namespace, foreign.name),
            vec![foreign.namespace.clone()],
        ),
    };
    let mut who = everybody(foreign);
    let parts: Vec<&str> = [reference.as_str(), role.as_str()]
        .into_iter()
        .chain(who.iter().map(String::as_str))
        .collect();
    let name = named("binding", "", &parts);
    if let Some(more) = who.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        who.truncate(MOST_NAMED);
        who.push(format!("and {more} more"));
    }
    Line {
        name,
        kind: AccessKind::Binding,
        who,
        role,
        namespaces,
        reference,
        privileged: true,
        decided: None,
    }
}

/// Everybody whom a binding lets in.
pub fn everybody(foreign: &Foreign) -> Vec<String> {
    foreign.subjects.iter().map(who).collect()
}

fn who(subject: &tenure_rbac::Subject) -> String {
    use tenure_rbac::Subject as Bound;
    match subject {
        Bound::User(name) => format!("User/{name}"),
        Bound::Group(name) => format!("Group/{name}"),
        Bound::ServiceAccount { namespace, name } => format!("ServiceAccount/{namespace}/{name}"),
    }
}

/// The AccessReview that shows a review.
pub fn made(subject: Subject<'_>, review: &Review) -> AccessReview {
    let lines = review.lines.iter().map(|line| ReviewLine {
        name: line.name.clone(),
        kind: line.kind,
        who: line.who.clone(),
        role: line.role.clone(),
        namespaces: Some(line.namespaces.clone()).filter(|namespaces| !namespaces.is_empty()),
        reference: line.reference.clone(),
        privileged: line.privileged.then_some(true),
        decision: line.decided.as_ref().map(|decided| decided.decision),
        reason: line.decided.as_ref().map(|_| "as recorded".to_owned()),
        decided_by: line.decided.as_ref().map(|decided| decided.by.clone()),
    });
    let mut made = AccessReview::new(
        &subject.name(review.number),
        AccessReviewSpec {
            tenant_ref: subject.tenant.map(|(tenant, _)| TenantRef {
                name: tenant.to_owned(),
            }),
            tenant_id: subject.tenant.map(|(_, id)| id.to_owned()),
            frozen_at: review.frozen_at.clone(),
            due_at: review.due_at.clone(),
            lines: lines.collect(),
        },
    );
    let managed = (
        keys::MANAGED_BY.to_owned(),
        keys::MANAGED_BY_VALUE.to_owned(),
    );
    made.metadata = ObjectMeta {
        labels: Some([managed].into()),
        ..made.metadata
    };
    made
}

/// The AccessReview with its new status, where it differs from what it says.
pub fn told(live: &AccessReview, next: &Next, now: Timestamp) -> Option<AccessReview> {
    let before = live.status.clone().unwrap_or_default();
    let generation = live.metadata.generation;
    let void = next.void.iter().take(MOST_VOID);
    let status = AccessReviewStatus {
        observed_generation: generation,
        conditions: conditions(&next.review, said(&before.conditions, generation, now)),
        undecided: Some(count(next.review.undecided().count())),
        unlisted: Some(count(next.review.unlisted)).filter(|unlisted| *unlisted > 0),
        void: void
            .map(|(name, why)| VoidDecision {
                name: name.clone(),
                why: (*why).to_owned(),
            })
            .collect(),
    };
    (status != before).then(|| AccessReview {
        status: Some(status),
        ..live.clone()
    })
}

fn conditions(
    review: &Review,
    make: impl Fn(&str, &str, &str, &str) -> Condition,
) -> Vec<Condition> {
    let open = review.undecided().count();
    let waits = match review.unlisted {
        0 => format!("{open} lines to be decided by {}", review.due_at),
        more => format!(
            "{open} lines to be decided by {}; {more} accesses found no room in the list: this review is completed once that many bindings that nobody needs are gone",
            review.due_at
        ),
    };
    let completed = match &review.closed_at {
        Some(at) => make(
            "Completed",
            "True",
            "Completed",
            &format!("every access was kept, revoked or over at {at}"),
        ),
        None => make("Completed", "False", "Undecided", &waits),
    };
    let lapsed = match &review.lapsed_at {
        Some(at) => make(
            "Lapsed",
            "True",
            "Lapsed",
            &format!(
                "it was due at {}, and not every line was decided at {at}: grants nobody decided on have ended",
                review.due_at
            ),
        ),
        None => make("Lapsed", "False", "InTime", "it is not past its time"),
    };
    let ready = make("Ready", "True", "Recorded", "what was decided is on record");
    vec![completed, lapsed, ready]
}

fn count(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}
