//! Reviews held: what stands collected, the list shown to people, their decisions recorded before they are acted on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tenure_controls::facts::{ReviewFacts, ReviewedAccess};
use tenure_crds::AccessReview;
use tenure_crds::access_review::AccessKind;
use tenure_rbac::Foreign;

use super::foreign;
use super::reconcile::{AGAIN, until};
use super::review::{Case, Next, Standing, grant_line, is_overdue, next};
use super::review_object::{Subject, binding_line, everybody, made, told};
use crate::approval::Persons;
use crate::context::Context;
use crate::observe::ReviewFigures;
use crate::platform::say as say_status;
use crate::record::{Granted, Line, PlatformRecord, RecordError, Review, TenantRecord, declared};
use crate::tenant::decisions;

/// The guard that says who decided.
const GUARD: &str = "accessreviews";
/// How metrics and caches call what is about every tenant.
const EVERY_TENANT: &str = "";
/// Three months have this many days at most: whoever asks for less is reviewed sooner after they were let in.
const QUARTER: SignedDuration = SignedDuration::from_hours(92 * 24);

/// The next step of a tenant's review; nothing where there is nothing to count from.
pub fn of_tenant(context: &Context, record: &TenantRecord, now: Timestamp) -> Option<Next> {
    let last = record.review.as_ref()?;
    if record.ended_at.is_some() {
        return None;
    }
    let subject = Subject {
        tenant: Some((&record.tenant, &record.tenant_id)),
    };
    Some(step(
        context,
        subject,
        last,
        &standing(context, record),
        now,
    ))
}

fn step(
    context: &Context,
    subject: Subject<'_>,
    last: &Review,
    standing: &[Standing],
    now: Timestamp,
) -> Next {
    let object = object(context, subject, last);
    let written = object.as_ref().map(|object| object.spec.lines.as_slice());
    let case = Case {
        last,
        standing,
        written: written.unwrap_or_default(),
        persons: &persons(context, subject),
        // Whose access it is, is asked of those who decide: while nobody can, nobody's groups are collected.
        groups: &match last.is_open() {
            true => groups(context),
            false => BTreeMap::new(),
        },
        guard_gap: !decisions::is_alive(context, GUARD),
    };
    next(&case, now)
}

/// The AccessReview that shows a review, if it does.
fn object(context: &Context, subject: Subject<'_>, review: &Review) -> Option<AccessReview> {
    let guard = context
        .caches
        .reviews
        .get("", &subject.name(review.number))?;
    let object = guard.0.as_ref().ok()?;
    let spec = &object.spec;
    let is_it = subject.is_of(object)
        && spec.tenant_id.as_deref() == subject.tenant.map(|(_, id)| id)
        && spec.frozen_at == review.frozen_at
        && spec.due_at == review.due_at;
    is_it.then(|| object.clone())
}

/// Who is known where a review is decided on.
fn persons(context: &Context, subject: Subject<'_>) -> Arc<Persons> {
    let record = subject
        .tenant
        .and_then(|(tenant, _)| context.records.tenant(tenant));
    context.access.persons_of(record.as_ref())
}

/// The groups of each StaffMember that can be read.
fn groups(context: &Context) -> BTreeMap<String, Vec<String>> {
    let staff = context.caches.staff.all();
    let staff = staff.iter().filter_map(|guard| guard.0.as_ref().ok());
    let with_groups = staff.filter(|staff| !staff.spec.groups.is_empty());
    with_groups
        .map(|staff| (staff.name_any(), staff.spec.groups.clone()))
        .collect()
}

/// Every access to a tenant that stands now.
fn standing(context: &Context, record: &TenantRecord) -> Vec<Standing> {
    let namespaces = record.namespaces_in_use();
    let grants = record.grants.iter();
    let grants = grants
        .filter(|(_, granted)| granted.is_live())
        .map(|(uid, granted)| by_grant(context, uid, granted));
    let declared = declared(&record.spec, &namespaces).into_iter();
    let declared = declared.map(|(line, _)| quarterly(line));
    let undeclared = foreign::in_tenant(context, record).into_iter();
    let undeclared = undeclared.map(|foreign| binding(&foreign));
    grants.chain(declared).chain(undeclared).collect()
}

fn binding(foreign: &Foreign) -> Standing {
    Standing {
        who: everybody(foreign),
        ..quarterly(binding_line(foreign))
    }
}

fn quarterly(line: Line) -> Standing {
    Standing {
        who: line.who.clone(),
        line,
        since: None,
        every: None,
    }
}

fn by_grant(context: &Context, uid: &str, granted: &Granted) -> Standing {
    let accepted = context.accepted();
    let role = accepted.grantable_roles.get(&granted.role);
    let every = role.map(|role| role.review_every);
    let is_sooner = every.is_some_and(|every| every < QUARTER);
    let who = vec![format!("StaffMember/{}", granted.person)];
    Standing {
        who: who.clone(),
        line: Line {
            name: grant_line(uid),
            kind: AccessKind::Grant,
            who,
            role: format!("ClusterRole/{}", granted.role),
            namespaces: granted.namespaces.clone(),
            reference: format!("AccessGrant/{}", granted.name),
            // Of a role that may not be granted any more nobody knows.
            privileged: role.is_none_or(|role| role.privileged),
            decided: None,
        },
        since: granted.activated_at().filter(|_| is_sooner),
        every,
    }
}

/// Whether the last review of bindings kept this one.
pub fn is_kept(review: Option<&Review>, foreign: &Foreign) -> bool {
    let line = review.and_then(|review| review.line(&binding_line(foreign).name)?.decided.as_ref());
    line.is_some_and(|decided| !decided.is_final())
}

/// The review of what reaches every tenant: its next step recorded, shown and told.
pub async fn platform(context: &Context) -> Option<Duration> {
    let now = Timestamp::now();
    let subject = Subject { tenant: None };
    let known = context.records.platform();
    let known = known.and_then(|known| known.review.clone());
    let last = known.clone();
    let last = last.unwrap_or_else(|| Review::counted_from(&now.to_string()));
    let standing: Vec<Standing> = foreign::cluster_wide(context).iter().map(binding).collect();
    let next = step(context, subject, &last, &standing, now);
    if known.as_ref() != Some(&next.review) {
        let review = next.review.clone();
        let change = |record: &mut PlatformRecord| record.review = Some(review);
        if let Err(error) = context.records.change_platform(change).await {
            fail(context, &error);
            return Some(AGAIN);
        }
        // What was kept or revoked counts for every tenant.
        for tenant in context.tenants() {
            context.queue.wake(&tenant);
        }
    }
    let shown = show(context, subject, &next, now).await;
    let due = next.again.map(|at| until(at, now));
    match shown {
        true => due,
        false => Some(due.map_or(AGAIN, |due| due.min(AGAIN))),
    }
}

fn fail(context: &Context, error: &RecordError) {
    context.metrics.failed(error.reason());
    tracing::warn!(%error, reason = error.reason(), "what was decided in a review is not on record yet; trying again");
}

/// Shows a review: makes its AccessReview where it is missing, says where it stands, and takes earlier ones away. Answers
/// whether all was done.
pub async fn show(context: &Context, subject: Subject<'_>, next: &Next, now: Timestamp) -> bool {
    tell(context, subject, next);
    let review = &next.review;
    let mut is_done = true;
    let live = object(context, subject, review);
    for old in others(context, subject, live.as_ref()) {
        is_done &= take_away(context, &old).await;
    }
    if review.number == 0 {
        return is_done;
    }
    let Some(live) = live else {
        // Of one that is closed nobody needs to decide anything.
        return is_done && (!review.is_open() || open(context, subject, next).await);
    };
    if is_forgeable(context) && !next.void.is_empty() {
        // Whoever decided while nobody saw to it who decides does so again, on a clean list.
        take_away(context, &live).await;
        return false;
    }
    let Some(next) = told(&live, next, now) else {
        return is_done;
    };
    let what = "writing an AccessReview's status";
    match say_status(context, &context.caches.reviews, &next, what).await {
        Ok(()) => is_done,
        Err(error) => {
            context.metrics.failed(error.reason());
            tracing::warn!(%error, reason = error.reason(), "where a review stands is not said; trying again");
            false
        }
    }
}

/// Whether the guard that says who decided is known not to be alive.
fn is_forgeable(context: &Context) -> bool {
    let guards = context.guards.read();
    let was_looked_at = guards
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .is_some();
    was_looked_at && !decisions::is_alive(context, GUARD)
}

/// AccessReviews about the same that are not the one that counts.
fn others(
    context: &Context,
    subject: Subject<'_>,
    live: Option<&AccessReview>,
) -> Vec<AccessReview> {
    let caches = &context.caches;
    let tenant = subject.tenant.map_or(EVERY_TENANT, |(tenant, _)| tenant);
    let names = caches.reviews_of.of(tenant).into_iter();
    names
        .filter_map(|name| caches.reviews.get("", &name)?.0.clone().ok())
        .filter(|review| subject.is_of(review))
        .filter(|review| live.is_none_or(|live| live.uid() != review.uid()))
        .collect()
}

async fn take_away(context: &Context, review: &AccessReview) -> bool {
    let taken = context.writer.take_away(review).await;
    if let Err(error) = &taken {
        context.metrics.failed("Api");
        tracing::warn!(%error, review = review.name_any(), "an AccessReview is not taken away yet");
    }
    taken.is_ok()
}

async fn open(context: &Context, subject: Subject<'_>, next: &Next) -> bool {
    match context
        .writer
        .open_review(&made(subject, &next.review))
        .await
    {
        Ok(made) => {
            let about = kube::Resource::object_ref(&made, &());
            let note = format!(
                "{} accesses to be kept or revoked by {}",
                next.review.lines.len(),
                next.review.due_at
            );
            context.events.note(&about, "Opened", "Review", note).await;
            // Its status is written once it is seen.
            true
        }
        Err(error) => {
            context.metrics.failed("Api");
            tracing::warn!(%error, review = subject.name(next.review.number), "an AccessReview is not made yet");
            false
        }
    }
}

/// What metrics say of a review.
fn tell(context: &Context, subject: Subject<'_>, next: &Next) {
    let review = &next.review;
    let open = review.undecided().count() + review.unlisted;
    let figures = ReviewFigures {
        due_at: review
            .is_open()
            .then(|| review.due_at.parse::<Timestamp>().ok())
            .flatten()
            .map(Timestamp::as_second),
        lapsed: match review.lapsed_at {
            Some(_) if review.is_open() => open,
            _ => 0,
        },
        revoked: review.revoked().count(),
    };
    let tenant = subject.tenant.map_or(EVERY_TENANT, |(tenant, _)| tenant);
    let is_told = review.is_open() || figures.revoked > 0;
    context.metrics.review(tenant, is_told.then_some(&figures));
}

/// What was due and is not decided, and what was revoked and still stands: of a tenant's review, and of what reaches them all.
pub fn facts(context: &Context, record: &TenantRecord, now: Timestamp) -> Option<ReviewFacts> {
    let own = record.review.as_ref()?;
    let platform = context.records.platform();
    let everywhere = platform.as_ref()?.review.as_ref()?;
    Some(ReviewFacts {
        lapsed: lapsed(own, now),
        revoked: revoked(own),
        lapsed_everywhere: lapsed(everywhere, now),
        revoked_everywhere: revoked(everywhere),
    })
}

fn lapsed(review: &Review, now: Timestamp) -> Vec<ReviewedAccess> {
    if is_overdue(review, now) {
        let what = format!("no review of access was made since {}", review.frozen_at);
        return vec![ReviewedAccess {
            what,
            privileged: true,
        }];
    }
    if review.lapsed_at.is_none() || !review.is_open() {
        return Vec::new();
    }
    let unlisted = (review.unlisted > 0).then(|| ReviewedAccess {
        what: format!(
            "{} accesses that found no room in the list",
            review.unlisted
        ),
        privileged: true,
    });
    review.undecided().map(reviewed).chain(unlisted).collect()
}

fn revoked(review: &Review) -> Vec<ReviewedAccess> {
    review.revoked().map(reviewed).collect()
}

fn reviewed(line: &Line) -> ReviewedAccess {
    ReviewedAccess {
        what: format!(
            "{}: {} to {}",
            line.reference,
            line.role,
            line.who.join(", ")
        ),
        privileged: line.privileged,
    }
}
