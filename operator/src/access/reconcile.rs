//! One tenant's grants made so: what ended loses its bindings first, a session its account next, and what begins is on record before anybody gets in.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use tenure_crds::access_grant::Credential;
use tenure_crds::{AccessGrant, keys};
use tenure_rbac::{Attributes, RoleName};

use super::case::{Seen, asked};
use super::orphans::KINDS;
use super::review::Next;
use super::saying::Settled;
use super::standing::Standing;
use super::why::Why;
use super::{ageing, binding, facts, proving, review_object, reviewing, session, sweep, sweeping};
use crate::approval::{Asked, Subject, current_digest};
use crate::cluster::{Kind, Moment, Needed, WriteError};
use crate::context::Context;
use crate::guards;
use crate::observe::GrantFigures;
use crate::record::{Allowed, End, Granted, RecordError, TenantRecord};

/// Writes at once for one tenant.
const AT_ONCE: usize = 16;
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
    /// The review of who has access; nothing where there is none yet, or it is not on record.
    review: Option<Next>,
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
    let refused = let_in(context, tenant, &work.grants).await;
    failed |= !refused.is_empty();
    let past_end = remaining(context, tenant, &work.grants);
    let past_end: usize = past_end.iter().map(|(_, objects)| objects.len()).sum();
    tell_figures(context, tenant, &work, past_end, now);
    facts::settled(context, tenant, now);
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
        failed |= !cut_sessions(context, tenant, &work.grants).await;
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

fn tell_figures(context: &Context, tenant: &str, work: &Work, past_end: usize, now: Timestamp) {
    let metrics = &context.metrics;
    metrics.held_leavers(context.access.held_leavers(now));
    if work.standings.is_empty() && work.grants.is_empty() && past_end == 0 {
        metrics.forget_grants(tenant);
        return;
    }
    metrics.grants(tenant, &figures(work));
    metrics.past_end(tenant, past_end);
    let open = work
        .grants
        .values()
        .filter_map(|granted| granted.sweep.as_ref());
    let since: Vec<i64> = open
        .filter(|swept| swept.is_open())
        .map(|swept| swept.looked_at().map_or(0, |at| at.as_second()))
        .collect();
    metrics.sweeps(tenant, since.len(), since.iter().min().copied());
}

/// Ends what ends, and records. Where the record takes nothing, nobody new is let in. Answers from what that was decided, what
/// it came to and whether something failed; nothing where the record was never what had been read.
async fn settle(context: &Context, tenant: &str, moment: Moment) -> Option<(Seen, Work, bool)> {
    let mut failed = false;
    for _ in 0..TRIES {
        let seen = Seen::of(context, tenant, moment);
        let mut work = weigh(context, &seen, moment.now);
        failed |= !end(context, tenant, &work.grants).await;
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
        match remember(context, record.clone(), &work.grants, work.review.as_ref()).await {
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
    let is_there = |uid: &str| {
        seen.grants
            .iter()
            .any(|grant| grant.uid().as_deref() == Some(uid))
    };
    for (uid, granted) in &mut work.grants {
        if granted.is_live() && !is_there(uid) {
            close(context, uid, granted, Why::Deleted, now);
        }
    }
    sweeping::accept(context, seen, &mut work.grants, now);
    work.grants
        .retain(|uid, granted| is_there(uid) || !is_forgotten(granted, now));
    work
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
    let over = until.parse::<Timestamp>().ok();
    let forgotten = over.and_then(|over| over.checked_add(REMEMBERED).ok());
    let is_over = forgotten.is_none_or(|forgotten| forgotten < now);
    let is_done = !granted.is_live() && granted.proof.is_some() && granted.sessions_in.is_empty();
    is_done && !sweep::is_open(granted) && is_over
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
        granted.sessions_in = sessions_in(context, granted);
        granted.sweep = sweeping::not_possible(context, granted, now);
        granted.ended = Some(End {
            at: now.to_string(),
            why: why.as_str().into(),
        });
    }
    context.access.hold(&granted.person, uid, None);
}

/// Where sessions may be open that outlive the bindings, if the role's policy has them cut.
fn sessions_in(context: &Context, granted: &Granted) -> Vec<String> {
    if !granted.cut_sessions && !cuts_sessions(context, &granted.role) {
        return Vec::new();
    }
    let rbac = context.caches.rbac();
    let role = RoleName::cluster(&granted.role);
    // Of a role that is gone nobody knows what it allowed.
    let opens = |namespace: &str| {
        rbac.rules("", &role).is_none_or(|rules| {
            let ways = ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"];
            ways.iter().any(|way| {
                let what = Attributes::on("create", "", way, namespace);
                rules.iter().any(|rule| rule.allows(&what))
            })
        })
    };
    let namespaces = granted.namespaces.iter();
    namespaces
        .filter(|namespace| opens(namespace))
        .cloned()
        .collect()
}

fn cuts_sessions(context: &Context, role: &str) -> bool {
    let accepted = context.accepted();
    let policy = accepted.grantable_roles.get(role);
    policy.is_some_and(|role| role.cut_sessions)
}

/// Cuts what is open, once the bindings are gone: without an audit feed nobody knows which pods, so all of them go. On record
/// afterwards, so that it is done at least once.
async fn cut_sessions(context: &Context, tenant: &str, grants: &Grants) -> bool {
    let mut cut = Vec::new();
    let mut all = true;
    for (uid, granted) in grants.iter().filter(|(_, granted)| !granted.is_live()) {
        for namespace in &granted.sessions_in {
            // Where the record took nothing, it was done all the same: once.
            if context.access.is_cut(uid, namespace) {
                cut.push((uid.clone(), namespace.clone()));
                continue;
            }
            if let Err(error) = context.writer.delete_pods(namespace).await {
                context.metrics.failed("Api");
                tracing::warn!(%error, namespace, grant = granted.name, "sessions that may be open are not cut yet");
                all = false;
                continue;
            }
            context.access.note_cut(uid, namespace);
            cut.push((uid.clone(), namespace.clone()));
        }
    }
    if cut.is_empty() {
        return all;
    }
    let recorded = amend(context, tenant, |grants| {
        for (uid, namespace) in &cut {
            if let Some(granted) = grants.get_mut(uid) {
                granted.sessions_in.retain(|open| open != namespace);
            }
        }
    });
    let is_recorded = recorded.await.is_ok();
    if is_recorded {
        context.access.forget_cuts(&cut);
    }
    all && is_recorded
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
        cut_sessions: cuts_sessions(context, &spec.role),
        approved_by: Vec::new(),
        ended: None,
        sessions_in: Vec::new(),
        proof: None,
        tokens_open: None,
        sweep: None,
    }
}

async fn remember(
    context: &Context,
    record: TenantRecord,
    grants: &Grants,
    review: Option<&Next>,
) -> Result<(), RecordError> {
    let review = review.map(|next| next.review.clone());
    let review = review.or_else(|| record.review.clone());
    if record.grants == *grants && record.review == review {
        return Ok(());
    }
    let next = TenantRecord {
        grants: grants.clone(),
        review,
        ..record
    };
    context.records.remember(&next).await
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
        match remember(context, record, &grants, None).await {
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

/// Deletes what grants that are not live made: what lets in before all else. Answers whether all is gone.
async fn end(context: &Context, tenant: &str, grants: &Grants) -> bool {
    let mut all = true;
    for (kind, objects) in remaining(context, tenant, grants) {
        all &= delete(context, kind, objects).await;
    }
    all
}

/// Deletes objects of grants. Answers whether all are gone.
pub async fn delete(context: &Context, kind: Kind, objects: Vec<Value>) -> bool {
    let mut deleting = futures::stream::iter(objects)
        .map(|live| async move {
            let deleted = context.writer.delete(kind, &live).await;
            (live, deleted)
        })
        .buffer_unordered(AT_ONCE);
    let mut all = true;
    while let Some((live, deleted)) = deleting.next().await {
        match deleted {
            Ok(()) => {
                let part = |key: &str| live["metadata"][key].as_str().unwrap_or_default();
                let caches = &context.caches;
                caches.forget(kind, part("namespace"), part("name"));
            }
            Err(error) => {
                fail(
                    context,
                    &error,
                    "what a grant made still stands, and the grant has ended",
                );
                all = false;
            }
        }
    }
    all
}

/// What grants that are not live made, in the order in which it goes: what lets in, the right to fetch, the account.
fn remaining(context: &Context, tenant: &str, grants: &Grants) -> Vec<(Kind, Vec<Value>)> {
    let bindings = (
        Kind::RoleBinding,
        remaining_bindings(context, tenant, grants),
    );
    let sessions = KINDS.map(|kind| (kind, remaining_of_sessions(context, kind, grants)));
    [bindings].into_iter().chain(sessions).collect()
}

/// Bindings of grants that are not live, in every namespace that is or was the tenant's.
fn remaining_bindings(context: &Context, tenant: &str, grants: &Grants) -> Vec<Value> {
    let record = context.records.tenant(tenant);
    let namespaces = record.iter().flat_map(|record| &record.namespaces);
    let mut found = Vec::new();
    for namespace in namespaces {
        let names = context
            .caches
            .bindings
            .names_from(namespace, binding::PREFIX);
        for name in &names {
            let Some(live) = context.caches.live(Kind::RoleBinding, namespace, name) else {
                continue;
            };
            let is_live = name
                .strip_prefix(binding::PREFIX)
                .and_then(|uid| grants.get(uid));
            let is_wanted = is_live
                .is_some_and(|granted| granted.is_live() && granted.namespaces.contains(namespace));
            if !is_wanted && live["metadata"]["labels"][keys::GRANT].is_string() {
                found.push(live);
            }
        }
    }
    found
}

/// What stands in the sessions' namespace for grants that are not live, or that end at another time by now.
fn remaining_of_sessions(context: &Context, kind: Kind, grants: &Grants) -> Vec<Value> {
    let sessions = context.settings.sessions();
    let mut found = Vec::new();
    for (uid, granted) in grants {
        let mut names = context
            .caches
            .names_from(kind, &sessions, &session::prefix(uid));
        names.retain(|name| !granted.is_live() || granted.account.as_ref() != Some(name));
        let live = names.iter();
        found.extend(live.filter_map(|name| context.caches.live(kind, &sessions, name)));
    }
    found
}

/// An object that is to be made, or made right.
struct Wanted {
    uid: String,
    kind: Kind,
    desired: Value,
    live: Option<Value>,
}

/// Makes what every live grant needs: a session's account first, the right to fetch its tokens last. Answers the uids of those
/// the API server refused, with why.
async fn let_in(context: &Context, tenant: &str, grants: &Grants) -> BTreeMap<String, String> {
    let mut refused = BTreeMap::new();
    let Some(record) = context.records.tenant(tenant) else {
        return refused;
    };
    for mut step in wanted(context, &record, grants) {
        step.retain(|wanted| !refused.contains_key(&wanted.uid));
        make(context, step, &mut refused).await;
    }
    refused
}

async fn make(context: &Context, step: Vec<Wanted>, refused: &mut BTreeMap<String, String>) {
    let mut writing = futures::stream::iter(step)
        .map(|wanted| async move {
            let writer = &context.writer;
            let written = writer.converge(wanted.kind, &wanted.desired, wanted.live.as_ref());
            (wanted.uid, wanted.kind, written.await)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((uid, kind, written)) = writing.next().await {
        match written {
            Ok(written) => context.caches.remember(kind, written),
            Err(error) => {
                fail(context, &error, "what a grant needs was not made");
                refused.insert(uid, error.to_string());
            }
        }
    }
}

/// What is to be made, step by step.
fn wanted(context: &Context, record: &TenantRecord, grants: &Grants) -> [Vec<Wanted>; 4] {
    let marks = (record.tenant.as_str(), record.tenant_id.as_str());
    let sessions = context.settings.sessions();
    let mut steps: [Vec<Wanted>; 4] = Default::default();
    let [accounts, bindings, fetching, fetchers] = &mut steps;
    for (uid, granted) in grants.iter().filter(|(_, granted)| granted.is_live()) {
        for binding in binding::bindings(marks, uid, granted, &sessions) {
            bindings.extend(needed(context, uid, Kind::RoleBinding, &binding));
        }
        let Some(session) = session::session(marks, uid, granted, &sessions) else {
            continue;
        };
        accounts.extend(needed(context, uid, Kind::ServiceAccount, &session.account));
        fetching.extend(needed(context, uid, Kind::Role, &session.fetching));
        fetchers.extend(needed(context, uid, Kind::RoleBinding, &session.fetcher));
    }
    steps
}

/// What makes the live object as it should be, where it is not.
fn needed<K: Resource + Serialize>(
    context: &Context,
    uid: &str,
    kind: Kind,
    object: &K,
) -> Option<Wanted> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let live = context.caches.live(kind, &namespace, &name);
    let desired = serde_json::to_value(object).unwrap_or_default();
    match Needed::between(&desired, live.as_ref()) {
        Needed::Nothing => None,
        _ => Some(Wanted {
            uid: uid.to_owned(),
            kind,
            desired,
            live,
        }),
    }
}

fn fail(context: &Context, error: &WriteError, what: &'static str) {
    context.metrics.failed("Api");
    tracing::warn!(%error, what);
}

/// What metrics say of a tenant's grants.
fn figures(work: &Work) -> GrantFigures {
    let mut figures = GrantFigures::default();
    for Stands {
        grant, standing, ..
    } in &work.standings
    {
        match standing {
            Standing::Pending { why, .. } => {
                figures.pending += 1;
                if *why == Why::AwaitingApproval {
                    let since = grant.creation_timestamp().map(|made| made.0.as_second());
                    let oldest = figures.waiting_since.into_iter().chain(since).min();
                    figures.waiting_since = oldest;
                }
            }
            Standing::Active { approvals, .. } => {
                match approvals.is_empty() {
                    true => figures.break_glass += 1,
                    false => figures.active += 1,
                }
                if grant.spec.credential.unwrap_or_default() == Credential::Identity {
                    figures.by_identity += 1;
                }
            }
            Standing::Ended { .. } => figures.ended += 1,
        }
    }
    figures
}

/// How long it is until then; nothing where it has been.
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
