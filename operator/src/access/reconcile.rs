//! One tenant's grants made so: what ended loses its bindings first, a session its account next, and what begins is on record before anybody gets in.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use tenure_crds::AccessGrant;
use tenure_crds::access_grant::Credential;

use super::awaiting::{self, AwaitedGrants};
use super::case::{Seen, asked};
use super::review::Next;
use super::saying::Settled;
use super::standing::Standing;
use super::why::Why;
use super::{
    ageing, cutting, facts, figures, objects, proving, review_object, reviewing, session, sweep,
    sweeping,
};
use crate::approval::{Asked, Subject, current_digest};
use crate::cluster::Moment;
use crate::context::Context;
use crate::guards;
use crate::record::{Allowed, End, Granted, RecordError, TenantRecord};

/// Most live grants of one tenant that are kept on record.
const MOST_LIVE: usize = 1_000;
/// An end is remembered this much longer than its window: clocks step.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// When what failed is tried again.
pub const AGAIN: Duration = Duration::from_secs(5);
/// Times a record that somebody else changed is read again at once.
const TRIES: usize = 3;

/// Remembered grants of a tenant, by uid.
pub type Grants = BTreeMap<String, Granted>;

/// What one look at a tenant's grants came to.
#[derive(Default)]
pub struct Work {
    /// Where each grant stands.
    pub standings: Vec<Stands>,
    /// What is remembered of them.
    pub grants: Grants,
    /// What is remembered of those that have not begun.
    awaited: AwaitedGrants,
    /// The review of who has access; nothing where there is none yet, or it is not on record.
    review: Option<Next>,
}

impl Work {
    /// Has it remembered, where that is news.
    async fn remember(
        &mut self,
        context: &Context,
        known: &TenantRecord,
    ) -> Result<(), RecordError> {
        // Of what has begun nobody awaits the beginning.
        self.awaited.retain(|uid, _| !self.grants.contains_key(uid));
        let review = self.review.as_ref().map(|next| &next.review);
        let review = review.or(known.review.as_ref());
        if known.grants == self.grants
            && known.awaited_grants == self.awaited
            && known.review.as_ref() == review
        {
            return Ok(());
        }
        let next = TenantRecord {
            grants: self.grants.clone(),
            awaited_grants: self.awaited.clone(),
            review: review.cloned(),
            ..known.clone()
        };
        context.records.remember(&next).await
    }
}

/// Where a grant stands.
pub struct Stands {
    /// The grant.
    pub grant: AccessGrant,
    /// What it asks of those who decide.
    pub asked: Asked,
    /// Where it stands.
    pub standing: Standing,
}

/// Looks at every grant of a tenant and makes it so.
#[tracing::instrument(skip_all, fields(tenant = %tenant))]
pub async fn reconcile(context: &Context, tenant: &str) -> Option<Duration> {
    let moment = context.access.clocks.moment();
    let now = moment.now;
    let Some((seen, work, mut failed)) = settle(context, tenant, moment).await else {
        // Somebody else writes the record all the time: later, and nothing is said of what was not settled.
        return Some(AGAIN);
    };
    let mut next: Option<Timestamp> = None;
    if let Some(review) = &work.review {
        failed |= !review_held(context, &seen, review, now).await;
        next = review.again;
    }
    let record = context.records.tenant(tenant);
    let refused = objects::let_in(context, record.as_ref(), &work.grants).await;
    failed |= !refused.is_empty();
    let past_end = objects::remaining(context, record.as_ref(), &work.grants);
    let past_end: usize = past_end.iter().map(|(_, objects)| objects.len()).sum();
    figures::tell(context, tenant, &work, past_end, now);
    facts::settled(context, tenant, record.as_ref(), now);
    // One that was asked about is asked again in its own time.
    let is_new_end = |(uid, granted): (&String, &Granted)| {
        proving::is_open(granted) && !context.access.is_asked_about(uid)
    };
    if past_end == 0 && work.grants.iter().any(is_new_end) {
        context.access.ends.wake(tenant);
    }
    let is_unswept = |granted: &Granted| !granted.is_live() && granted.sweep.is_none();
    if past_end == 0 && work.grants.values().any(is_unswept) {
        sweeping::wake(context, tenant);
    }
    failed |= past_end > 0;
    if past_end == 0 {
        failed |= !cutting::cut_sessions(context, tenant, &work.grants).await;
    }
    let settled = Settled {
        seen,
        work,
        refused,
        at: now,
    };
    let standings = settled.work.standings.iter();
    let standings = standings.filter_map(|stands| stands.standing.again());
    // What is due by now goes when it is said where the grants stand.
    let goes = ageing::next(context, &settled).filter(|at| *at > now);
    let due = standings.chain(next).chain(goes).min();
    let due = due.map(|at| until(at, now));
    context.access.say(tenant, settled);
    match failed {
        true => Some(due.map_or(AGAIN, |due| due.min(AGAIN))),
        false => due,
    }
}

/// Ends what ends, and records. Where the record takes nothing, nobody new is let in. Answers from what that was decided, what
/// it came to and whether something failed; nothing where the record was never what had been read.
async fn settle(context: &Context, tenant: &str, moment: Moment) -> Option<(Seen, Work, bool)> {
    let mut failed = false;
    for _ in 0..TRIES {
        let seen = Seen::of(context, tenant, moment);
        let mut work = weigh(context, &seen, moment.now);
        failed |= !objects::end(context, seen.record.as_ref(), &work.grants).await;
        failed |= !await_others(context, &seen, &mut work, moment.now).await;
        let known = seen.record.as_ref().map(|record| &record.grants);
        if lets_in_anew(&work, known) && !guards::still_hold(context).await {
            // The next look at the guards says since when.
            let why = Why::Unguarded;
            hold_back(context, &mut work, known, why, why.meaning());
            failed = true;
        }
        let Some(record) = &seen.record else {
            return Some((seen, work, failed));
        };
        match work.remember(context, record).await {
            Ok(()) => return Some((seen, work, failed)),
            Err(RecordError::Outdated { .. }) => {}
            Err(error) => {
                context.metrics.failed(error.reason());
                tracing::warn!(%error, reason = error.reason(), "grants are not on record: nobody new is let in; ends are made all the same");
                keep_out(context, &mut work, &record.grants, &error);
                return Some((seen, work, true));
            }
        }
    }
    None
}

/// Shows the review that is on record, and has done what it says of what the tenant declares. Answers whether all was done.
async fn review_held(context: &Context, seen: &Seen, next: &Next, now: Timestamp) -> bool {
    let Some(record) = &seen.record else {
        return true;
    };
    if record.review.as_ref() != Some(&next.review) {
        context.queue.wake(&record.tenant);
    }
    let subject = review_object::Subject {
        tenant: Some((&record.tenant, &record.tenant_id)),
    };
    reviewing::show(context, subject, next, now).await
}

/// Where every grant stands, and what is to be remembered.
fn weigh(context: &Context, seen: &Seen, now: Timestamp) -> Work {
    let mut work = Work {
        grants: seen
            .record
            .as_ref()
            .map(|record| record.grants.clone())
            .unwrap_or_default(),
        awaited: seen
            .record
            .as_ref()
            .map(|record| record.awaited_grants.clone())
            .unwrap_or_default(),
        review: seen
            .record
            .as_ref()
            .and_then(|record| reviewing::of_tenant(context, record, now)),
        ..Work::default()
    };
    let review = work.review.as_ref().map(|next| next.review.clone());
    let record = seen.record.as_ref();
    let tokens_open = record.and_then(|record| sweeping::tokens_open(context, record, now));
    for grant in &seen.grants {
        let asked = asked(context, grant);
        let mut standing = seen.standing(context, grant, &asked, review.as_ref(), now);
        let uid = grant.uid().unwrap_or_default();
        if matches!(standing, Standing::Active { .. }) && !has_room(&work.grants, &uid) {
            standing = Standing::waits(Why::TooMany, Why::TooMany.meaning());
        }
        if matches!(standing, Standing::Active { .. }) && !claims(context, grant, &uid) {
            standing = Standing::waits(Why::RoleExcluded, Why::RoleExcluded.meaning());
        }
        if !work.grants.contains_key(&uid) {
            let is_backed = seen.is_backed(grant, &asked);
            awaiting::note(&mut work.awaited, grant, &standing, is_backed, now);
        }
        note(context, &mut work.grants, grant, &standing, now);
        if let Some(granted) = work.grants.get_mut(&uid).filter(|one| one.is_live()) {
            granted.tokens_open = granted.tokens_open.take().or_else(|| tokens_open.clone());
        }
        work.standings.push(Stands {
            grant: grant.clone(),
            asked,
            standing,
        });
    }
    let there: HashSet<&str> = seen.uids().collect();
    for (uid, granted) in &mut work.grants {
        if granted.is_live() && !there.contains(uid.as_str()) {
            close(context, uid, granted, Why::Deleted, now);
        }
    }
    sweeping::accept(context, seen, &mut work.grants, now);
    work.grants
        .retain(|uid, granted| there.contains(uid.as_str()) || !is_forgotten(granted, now));
    work
}

/// Ends those that were awaited and are gone, once the API server said so. Answers whether it could be asked.
async fn await_others(context: &Context, seen: &Seen, work: &mut Work, now: Timestamp) -> bool {
    if work.awaited.is_empty() {
        return true;
    }
    let mut there: HashSet<&str> = seen.uids().collect();
    match awaiting::unread(context, &work.awaited, &there).await {
        Ok(unread) => {
            there.extend(unread.iter().map(String::as_str));
            awaiting::tidy(&mut work.awaited, &there, now);
            true
        }
        Err(error) => {
            tracing::warn!(%error, "whether grants that have not begun are there is not known: none of them counts as gone");
            false
        }
    }
}

fn has_room(grants: &Grants, uid: &str) -> bool {
    grants.contains_key(uid)
        || grants.values().filter(|granted| granted.is_live()).count() < MOST_LIVE
}

/// Takes the role for the person, unless they hold one by now that it excludes: tenants are looked at at the same time.
fn claims(context: &Context, grant: &AccessGrant, uid: &str) -> bool {
    let accepted = context.accepted();
    let (person, role) = (&grant.spec.person, &grant.spec.role);
    let excluded = accepted.grantable_roles.get(role);
    let excluded = excluded.map(|role| &role.exclusive_with);
    context.access.claim(person, uid, role, excluded)
}

fn is_forgotten(granted: &Granted, now: Timestamp) -> bool {
    let until = granted.moved_from.as_ref().unwrap_or(&granted.not_after);
    let is_done = !granted.is_live() && granted.proof.is_some() && granted.sessions_in.is_empty();
    is_done && !sweep::is_open(granted) && is_long_over(until, now)
}

/// Whether a window ended so long ago that no clock says otherwise. One that cannot be read lets nobody in.
pub fn is_long_over(not_after: &str, now: Timestamp) -> bool {
    let over = not_after.parse::<Timestamp>().ok();
    let forgotten = over.and_then(|over| over.checked_add(REMEMBERED).ok());
    forgotten.is_none_or(|forgotten| forgotten < now)
}

/// Brings what is remembered to where a grant stands.
fn note(
    context: &Context,
    grants: &mut Grants,
    grant: &AccessGrant,
    standing: &Standing,
    now: Timestamp,
) {
    let uid = grant.uid().unwrap_or_default();
    match standing {
        Standing::Pending { .. } => {}
        Standing::Ended { why, .. } => {
            if let Some(granted) = grants.get_mut(&uid) {
                close(context, &uid, granted, *why, now);
            }
        }
        Standing::Active {
            identity,
            approvals,
            ..
        } => {
            let granted = grants
                .entry(uid.clone())
                .or_insert_with(|| begun(context, grant, identity, now));
            if granted.not_after != grant.spec.not_after {
                let before =
                    std::mem::replace(&mut granted.not_after, grant.spec.not_after.clone());
                granted.moved_from.get_or_insert(before);
            }
            // An end that moved is another account's.
            granted.account = granted
                .account
                .take()
                .map(|before| session::account(&uid, &grant.spec.not_after).unwrap_or(before));
            granted.approved_by = approvals
                .iter()
                .map(|(uid, name)| Allowed {
                    uid: uid.clone(),
                    name: name.clone(),
                })
                .collect();
        }
    }
}

fn close(context: &Context, uid: &str, granted: &mut Granted, why: Why, now: Timestamp) {
    if granted.ended.is_none() {
        granted.sessions_in = cutting::sessions_in(context, granted);
        granted.sweep = sweeping::not_possible(context, granted, now);
        granted.ended = Some(End {
            at: now.to_string(),
            why: why.as_str().into(),
        });
    }
    context.access.hold(&granted.person, uid, None);
}

/// What is remembered of a grant that begins.
fn begun(context: &Context, grant: &AccessGrant, identity: &str, now: Timestamp) -> Granted {
    let spec = &grant.spec;
    let uid = grant.uid().unwrap_or_default();
    let staff = context.caches.staff.get("", &spec.person);
    let staff = staff.as_ref().and_then(|guard| guard.0.as_ref().ok());
    let is_session = spec.credential.unwrap_or_default() == Credential::Session;
    // Without a name no account is made; the identity is never bound instead.
    let account = || session::account(&uid, &spec.not_after).unwrap_or_default();
    Granted {
        name: grant.name_any(),
        person: spec.person.clone(),
        identity: identity.to_owned(),
        account: is_session.then(account),
        identities: staff
            .map(|staff| staff.spec.identities.clone())
            .unwrap_or_default(),
        groups: staff
            .map(|staff| staff.spec.groups.clone())
            .unwrap_or_default(),
        job_role: staff.and_then(|staff| staff.spec.job_role.clone()),
        role: spec.role.clone(),
        namespaces: spec.namespaces.clone(),
        ticket: spec.ticket.clone(),
        digest: current_digest(&Subject::GrantActivate(spec, &uid)),
        requested_by: spec.requested_by.clone(),
        break_glass: spec.break_glass.unwrap_or_default(),
        activated_at: now.to_string(),
        not_after: spec.not_after.clone(),
        moved_from: None,
        cut_sessions: cutting::cuts_sessions(context, &spec.role),
        approved_by: Vec::new(),
        ended: None,
        sessions_in: Vec::new(),
        proof: None,
        tokens_open: None,
        sweep: None,
    }
}

/// Changes what is remembered of a tenant's grants, whoever else writes its record meanwhile.
pub async fn amend(
    context: &Context,
    tenant: &str,
    change: impl Fn(&mut Grants),
) -> Result<(), RecordError> {
    let mut tries = TRIES;
    loop {
        let Some(record) = context.records.tenant(tenant) else {
            return Ok(());
        };
        let mut grants = record.grants.clone();
        change(&mut grants);
        if grants == record.grants {
            return Ok(());
        }
        let next = TenantRecord { grants, ..record };
        match context.records.remember(&next).await {
            Err(RecordError::Outdated { .. }) if tries > 1 => tries -= 1,
            outcome => return outcome,
        }
    }
}

/// Whether anybody is let in who was not before.
fn lets_in_anew(work: &Work, known: Option<&Grants>) -> bool {
    let is_known = |uid: &String| known.is_some_and(|known| known.contains_key(uid));
    work.grants.keys().any(|uid| !is_known(uid))
}

/// What could not be recorded lets nobody in; what was on record before stays as it was, unless it ends.
fn keep_out(context: &Context, work: &mut Work, known: &Grants, error: &RecordError) {
    hold_back(
        context,
        work,
        Some(known),
        Why::Unrecorded,
        &error.to_string(),
    );
    work.review = None;
}

/// Lets in nobody who was not before.
fn hold_back(context: &Context, work: &mut Work, known: Option<&Grants>, why: Why, message: &str) {
    let is_known = |uid: &String| known.is_some_and(|known| known.contains_key(uid));
    for Stands {
        grant, standing, ..
    } in &mut work.standings
    {
        let uid = grant.uid().unwrap_or_default();
        if matches!(standing, Standing::Active { .. }) && !is_known(&uid) {
            context.access.hold(&grant.spec.person, &uid, None);
            *standing = Standing::waits(why, message);
        }
    }
    work.grants.retain(|uid, _| is_known(uid));
}

/// How long it is until then; nothing where it has been.
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
