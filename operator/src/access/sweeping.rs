//! The look after the end, made: one for all of a tenant's grants together, on a queue of its own.
//!
//! Neither the end nor its proof waits for it. What it finds is on record before it is said; what is open is looked at again until
//! it is gone, or somebody else accepts it. A kind that cannot be listed leaves the grants open whose role concerns it: nothing
//! seen is not nothing there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta};
use kube::core::{GroupVersionKind, NotUsed, Object as Whole};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tenure_crds::Approval;
use tenure_crds::approval::Action;
use tenure_crds::words::Enforcement;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::binding;
use super::case::Seen;
use super::reconcile::{Grants, amend};
use super::sweep::{self, Beside, Kind, MOST_KEPT, OUT, Object, Window};
use crate::approval::{
    Asked, DIGEST_VERSION, Requester, Stays, Subject, Tally, approvals_needed, current_digest,
};
use crate::context::Context;
use crate::record::{Allowed, Finding, Granted, How, Swept, TenantRecord};
use tenure_rbac::RoleName;

/// Tenants that are looked at, at once.
const CONCURRENCY: usize = 2;
/// Lists at once for one tenant.
const AT_ONCE: usize = 4;
/// Objects in one answer.
const PAGE: u32 = 500;
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Most objects of a tenant's look that are compared.
const MOST: usize = 20_000;
/// Ends come in crowds: so long is waited for the others.
const CROWD: Duration = Duration::from_secs(1);
/// How soon a look that failed is made again, and one that left something open; doubled up to [`LONGEST`].
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// The guard that refuses tokens.
const TOKENS: &str = "tokens";

/// How the looks at each tenant go. All of it can be computed again.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<String, Look>>);

#[derive(Clone, Debug, Default)]
struct Look {
    /// Looks in a row that showed the same, or failed.
    rounds: u32,
    /// Why the last one failed, and until when it is not tried again.
    failed: Option<(String, Instant)>,
}

impl Looks {
    /// Why a tenant could not be looked at.
    pub fn why(&self, tenant: &str) -> Option<String> {
        let looks = self.looks();
        let (why, _) = looks.get(tenant)?.failed.as_ref()?;
        Some(why.clone())
    }

    /// How long one that failed is still left alone.
    fn rests(&self, tenant: &str, now: Instant) -> Option<Duration> {
        let looks = self.looks();
        let (_, until) = looks.get(tenant)?.failed.as_ref()?;
        (*until > now).then(|| *until - now)
    }

    /// Notes how a look went; answers when the next is due, and whether it failed otherwise than before.
    fn went(
        &self,
        tenant: &str,
        changed: bool,
        failed: Option<String>,
        now: Instant,
    ) -> (Duration, bool) {
        let mut looks = self.looks();
        let look = looks.entry(tenant.to_owned()).or_default();
        let before = look.failed.take().map(|(why, _)| why);
        let is_news = before != failed;
        look.rounds = if changed || is_news {
            0
        } else {
            look.rounds + 1
        };
        let first = if failed.is_some() {
            AFTER_FAILURE
        } else {
            AGAIN
        };
        let wait = first.saturating_mul(1 << look.rounds.min(8)).min(LONGEST);
        look.failed = failed.map(|why| (why, now + wait));
        (wait, is_news)
    }

    fn forget(&self, tenant: &str) {
        self.looks().remove(tenant);
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<String, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a tenant due whose grants ended, together with others that end now.
pub fn wake(context: &Context, tenant: &str) {
    let sweeps = &context.access.sweeps;
    sweeps.wake_at(tenant, Instant::now() + CROWD);
}

/// Looks until `stop`.
pub async fn follow(context: Arc<Context>, client: Client, stop: CancellationToken) {
    let queue = context.access.sweeps.clone();
    queue
        .run(CONCURRENCY, stop, move |tenant| {
            let (context, client) = (context.clone(), client.clone());
            async move { look(&context, &client, &tenant).await }
        })
        .await;
}

/// A grant that is looked at, and what its role could have made.
struct Due {
    granted: Granted,
    kinds: BTreeSet<Kind>,
}

/// Looks at every grant of a tenant whose sweep is open.
async fn look(context: &Context, client: &Client, tenant: &str) -> Option<Duration> {
    context.access.endings.give_way().await;
    let (now, begun) = (Timestamp::now(), Instant::now());
    let looks = &context.access.looks;
    if let Some(rest) = looks.rests(tenant, begun) {
        return Some(rest);
    }
    let Some(record) = context.records.tenant(tenant) else {
        looks.forget(tenant);
        return None;
    };
    let (due, later) = due(context, &record, now);
    if due.is_empty() {
        if later.is_none() {
            looks.forget(tenant);
        }
        return later;
    }
    let world = list(client, &due).await;
    let (next, mut failed) = compare(&record, &due, &world, now);
    let changed: BTreeMap<String, Swept> = next
        .iter()
        .filter(|(uid, swept)| due[*uid].granted.sweep.as_ref() != Some(*swept))
        .map(|(uid, swept)| (uid.clone(), swept.clone()))
        .collect();
    let has_changed = !changed.is_empty();
    if has_changed && let Err(error) = note(context, tenant, changed).await {
        tracing::warn!(%error, reason = error.reason(), tenant, "a sweep is not on record yet; looking again");
        failed.insert(format!("it is not on record: {error}"));
    }
    let why = (!failed.is_empty()).then(|| failed.into_iter().collect::<Vec<_>>().join("; "));
    let is_open = why.is_some() || next.values().any(Swept::is_open);
    let (wait, is_news) = looks.went(tenant, has_changed, why, Instant::now());
    if has_changed || is_news {
        context.access.queue.wake(tenant);
    }
    later.into_iter().chain(is_open.then_some(wait)).min()
}

/// The grants to look at now, and after how long the next of the others is due.
fn due(
    context: &Context,
    record: &TenantRecord,
    now: Timestamp,
) -> (BTreeMap<String, Due>, Option<Duration>) {
    let (mut due, mut later) = (BTreeMap::new(), None);
    let open = record.grants.iter();
    for (uid, granted) in open.filter(|(_, granted)| sweep::is_open(granted)) {
        if let Some(wait) = waits(context, uid, granted, now) {
            later = Some(later.map_or(wait, |later: Duration| later.min(wait)));
            continue;
        }
        let one = Due {
            kinds: possible(context, granted),
            granted: granted.clone(),
        };
        due.insert(uid.clone(), one);
    }
    (due, later)
}

/// How long a first look waits: until the bindings are gone and every API server has said no; where one does not, until nothing
/// can be on its way any more.
fn waits(context: &Context, uid: &str, granted: &Granted, now: Timestamp) -> Option<Duration> {
    if granted.sweep.is_some() {
        return None;
    }
    let name = binding::name(uid);
    let mut namespaces = granted.namespaces.iter();
    let bindings = &context.caches.bindings;
    if namespaces.any(|namespace| bindings.get(namespace, &name).is_some()) {
        return Some(AGAIN);
    }
    let ended: Timestamp = granted.ended.as_ref()?.at.parse().ok()?;
    let since = now.duration_since(ended);
    // An end in the future is a clock that stepped: nothing to wait for.
    if granted.proof.is_some() || since >= OUT || since < SignedDuration::ZERO {
        return None;
    }
    Duration::try_from(OUT - since).ok()
}

fn possible(context: &Context, granted: &Granted) -> BTreeSet<Kind> {
    let rbac = context.caches.rbac();
    sweep::possible(rbac.rules("", &RoleName::cluster(&granted.role)))
}

/// Settles what needs no look: the role lets nobody make what carries access on.
pub fn not_possible(context: &Context, granted: &Granted, now: Timestamp) -> Option<Swept> {
    let possible = possible(context, granted);
    possible
        .is_empty()
        .then(|| Swept::at_once(now, How::NotPossible))
}

/// What a look saw.
#[derive(Default)]
struct World {
    /// What was touched since the first of the grants began.
    objects: Vec<Object>,
    /// What was named before and is there still, by uid.
    present: BTreeSet<String>,
    /// How many touched objects there was no room for.
    left_out: usize,
    /// What could not be listed, and why.
    failed: BTreeMap<(Kind, String), String>,
}

/// Lists every kind that is asked about, where it is asked about.
async fn list(client: &Client, due: &BTreeMap<String, Due>) -> World {
    let mut places: BTreeSet<(Kind, &str)> = BTreeSet::new();
    for one in due.values() {
        for kind in &one.kinds {
            match kind.is_namespaced() {
                true => places.extend(one.granted.namespaces.iter().map(|at| (*kind, at.as_str()))),
                false => _ = places.insert((*kind, "")),
            }
        }
    }
    let begin = due.values().filter_map(|one| one.granted.activated_at());
    let begin = begin.min().unwrap_or(Timestamp::MIN);
    let named = due.values().filter_map(|one| one.granted.sweep.as_ref());
    let named = named.flat_map(|swept| &swept.findings);
    let known: BTreeSet<&str> = named.map(|one| one.uid.as_str()).collect();
    let mut world = World::default();
    let parts: Vec<_> = places
        .into_iter()
        .map(|(kind, namespace)| part(client, kind, namespace, begin, &known))
        .collect();
    let mut listing = futures::stream::iter(parts).buffer_unordered(AT_ONCE);
    while let Some(part) = listing.next().await {
        world.add(part);
    }
    world
}

/// Lists one kind in one place.
async fn part(
    client: &Client,
    kind: Kind,
    namespace: &str,
    begin: Timestamp,
    known: &BTreeSet<&str>,
) -> World {
    let mut part = World::default();
    let listed = pages(client, kind, namespace, |meta, beside| {
        part.take(Object::of(kind, meta, &beside), begin, known);
    });
    if let Err(why) = listed.await {
        part.failed.insert((kind, namespace.to_owned()), why);
    }
    part
}

impl World {
    fn take(&mut self, object: Option<Object>, begin: Timestamp, known: &BTreeSet<&str>) {
        let Some(object) = object else { return };
        if known.contains(object.uid()) {
            self.present.insert(object.uid().to_owned());
        }
        if !object.is_touched_since(begin) {
            return;
        }
        if self.objects.len() < MOST {
            self.objects.push(object);
        } else {
            self.left_out += 1;
        }
    }

    fn add(&mut self, part: Self) {
        self.present.extend(part.present);
        self.failed.extend(part.failed);
        let room = MOST.saturating_sub(self.objects.len());
        self.left_out += part.left_out + part.objects.len().saturating_sub(room);
        self.objects.extend(part.objects.into_iter().take(room));
    }

    /// Why what concerns a grant could not all be listed.
    fn failures<'a>(&'a self, due: &'a Due) -> impl Iterator<Item = String> + 'a {
        let concerns = |(kind, namespace): &(Kind, String)| {
            let is_there = namespace.is_empty() || due.granted.namespaces.contains(namespace);
            due.kinds.contains(kind) && is_there
        };
        let failed = self.failed.iter();
        failed
            .filter(move |(place, _)| concerns(place))
            .map(|((kind, namespace), why)| {
                let place = match namespace.as_str() {
                    "" => String::new(),
                    namespace => format!(" in {namespace}"),
                };
                let (_, _, plural) = kind.resource();
                format!("{plural}{place} cannot be listed: {why}")
            })
    }
}

/// What the sweep of each grant came to that could be looked at, and why others could not.
fn compare(
    record: &TenantRecord,
    due: &BTreeMap<String, Due>,
    world: &World,
    now: Timestamp,
) -> (BTreeMap<String, Swept>, BTreeSet<String>) {
    let (mut next, mut failed) = (BTreeMap::new(), BTreeSet::new());
    let mut room = MOST_KEPT;
    for (uid, one) in due {
        let granted = &one.granted;
        let before = granted.sweep.as_ref();
        let failures: Vec<String> = world.failures(one).collect();
        if !failures.is_empty() {
            // What is named keeps its place.
            room = room.saturating_sub(before.map_or(0, |before| before.findings.len()));
            failed.extend(failures);
            continue;
        }
        if one.kinds.is_empty() && before.is_none() {
            next.insert(uid.clone(), Swept::at_once(now, How::NotPossible));
            continue;
        }
        let look = before.and_then(Swept::looked_at).unwrap_or(now);
        let Some(window) = Window::of(granted, look) else {
            failed.insert(format!(
                "when {} began or ended cannot be read",
                granted.name
            ));
            continue;
        };
        let seen = sweep::findings(&window, &one.kinds, &granted.namespaces, &world.objects);
        let open = sweep::still(seen, before, &world.present);
        let not_looked_at = not_looked_at(one, world.left_out);
        let digest = digest(record, uid, granted, &open, &not_looked_at);
        let swept = sweep::swept(now, before, (open, digest), not_looked_at, room);
        room = room.saturating_sub(swept.findings.len());
        next.insert(uid.clone(), swept);
    }
    (next, failed)
}

fn digest(
    record: &TenantRecord,
    uid: &str,
    granted: &Granted,
    findings: &[Finding],
    not_looked_at: &[String],
) -> String {
    current_digest(&Subject::SweepAccept(&Stays {
        tenant_id: &record.tenant_id,
        uid,
        person: &granted.person,
        findings,
        not_looked_at,
    }))
}

/// What nobody will ever know of a grant's window.
fn not_looked_at(due: &Due, left_out: usize) -> Vec<String> {
    let can_do_all = due.kinds.len() == Kind::ALL.len();
    let tokens = due.granted.tokens_open.iter().filter(|_| can_do_all);
    let tokens = tokens.map(|why| {
        format!(
            "token Secrets and token requests were not looked at, and {why}: look for Secrets of type kubernetes.io/service-account-token in {}",
            due.granted.namespaces.join(", ")
        )
    });
    let more = (left_out > 0).then(|| {
        format!("more than {MOST} objects were touched, and {left_out} of them not compared")
    });
    tokens.chain(more).collect()
}

/// Why the operator cannot say, now, that tokens in a tenant are refused; nothing where it can, and where no guard was looked at yet.
pub fn tokens_open(context: &Context, record: &TenantRecord, now: Timestamp) -> Option<String> {
    if record.spec.enforcement.unwrap_or_default() == Enforcement::Observe {
        return Some(format!(
            "at {now} the tenant was under observation, where nothing is refused"
        ));
    }
    let guards = context.guards.read();
    let guards = guards.unwrap_or_else(PoisonError::into_inner);
    let is_alive = guards
        .as_ref()?
        .iter()
        .any(|guard| guard.name == TOKENS && guard.text_matches && guard.proven_at.is_some());
    (!is_alive)
        .then(|| format!("the guard {TOKENS}, which refuses them, was not seen alive at {now}"))
}

/// What is read of pods and requests for certificates beside their metadata; of the other kinds nothing is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    ephemeral_containers: Vec<Named>,
    username: Option<String>,
    groups: Vec<String>,
    signer_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Named {
    name: String,
}

impl From<&Spec> for Beside {
    fn from(spec: &Spec) -> Self {
        let stamped = (spec.username.clone(), spec.signer_name.clone());
        Self {
            ephemeral_containers: spec.ephemeral_containers.len(),
            asked: match stamped {
                (Some(user), Some(signer)) => Some((user, spec.groups.clone(), signer)),
                _ => None,
            },
        }
    }
}

/// Lists a kind page by page; namespaces are empty for what lies in none.
async fn pages(
    client: &Client,
    kind: Kind,
    namespace: &str,
    mut take: impl FnMut(&ObjectMeta, Beside),
) -> Result<(), String> {
    let resource = resource(kind);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let next = match kind {
            Kind::Pod | Kind::CertificateSigningRequest => {
                let api: Api<Whole<Spec, NotUsed>> = at(client, namespace, &resource);
                let page = answered(api.list(&params)).await?;
                for object in &page.items {
                    take(&object.metadata, Beside::from(&object.spec));
                }
                page.metadata.continue_
            }
            _ => {
                let api: Api<DynamicObject> = at(client, namespace, &resource);
                let page = answered(api.list_metadata(&params)).await?;
                for object in &page.items {
                    take(&object.metadata, Beside::default());
                }
                page.metadata.continue_
            }
        };
        match next.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(()),
        }
    }
}

fn resource(kind: Kind) -> ApiResource {
    let (group, version, plural) = kind.resource();
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind.as_str()),
        plural,
    )
}

fn at<K>(client: &Client, namespace: &str, resource: &ApiResource) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    match namespace {
        "" => Api::all_with(client.clone(), resource),
        namespace => Api::namespaced_with(client.clone(), namespace, resource),
    }
}

async fn answered<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match timeout(ANSWER, request).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {ANSWER:?}")),
    }
}

async fn note(
    context: &Context,
    tenant: &str,
    changed: BTreeMap<String, Swept>,
) -> Result<(), crate::record::RecordError> {
    amend(context, tenant, |grants| {
        for (uid, swept) in &changed {
            // What somebody settled meanwhile is settled.
            if let Some(granted) = grants.get_mut(uid).filter(|one| sweep::is_open(one)) {
                granted.sweep = Some(swept.clone());
            }
        }
    })
    .await
}

/// What an open sweep asks of those who decide.
pub fn asked(context: &Context, record: &TenantRecord, granted: &Granted, swept: &Swept) -> Asked {
    Asked {
        action: Action::AcceptSweep,
        kind: "AccessGrant".into(),
        name: granted.name.clone(),
        tenant_id: Some(record.tenant_id.clone()),
        tenant: Some(record.tenant.clone()),
        digests: BTreeMap::from([(DIGEST_VERSION, swept.digest.clone())]),
        requester: Requester::from_stamp(
            granted.requested_by.as_deref(),
            &context.accepted().gitops_appliers,
        ),
        person: Some(granted.person.clone()),
        since: swept.looked_at(),
    }
}

/// Settles the open sweeps that enough people accept.
pub fn accept(context: &Context, seen: &Seen, grants: &mut Grants, now: Timestamp) {
    let Some(record) = &seen.record else { return };
    for granted in grants.values_mut() {
        if granted.is_live() {
            continue;
        }
        let Some(swept) = granted.sweep.as_ref().filter(|swept| swept.is_open()) else {
            continue;
        };
        let asked = asked(context, record, granted, swept);
        let approvals = accepted(seen, &asked, &granted.name, now);
        if let Some(approvals) = approvals
            && let Some(swept) = granted.sweep.as_mut()
        {
            swept.settle(now, How::Accepted, approvals);
        }
    }
}

/// The Approvals that accept it, where they are enough.
fn accepted(seen: &Seen, asked: &Asked, grant: &str, now: Timestamp) -> Option<Vec<Allowed>> {
    let look = seen.look(asked, now);
    let needed = approvals_needed(asked.action, &asked.requester);
    let approved = Tally::of(seen.decisions(grant), &look, needed).approved()?;
    Some(approved.into_iter().map(Allowed::of).collect())
}

/// The grant whose sweep an Approval is about: the one it was used for, or the one that waits.
pub fn concerned<'a>(grants: &'a Grants, approval: &Approval) -> Option<&'a Granted> {
    let spec = &approval.spec;
    if spec.action != Action::AcceptSweep {
        return None;
    }
    let swept = |granted: &'a Granted| Some((granted, granted.sweep.as_ref()?));
    let named = grants.values().filter(|one| one.name == spec.subject.name);
    let all: Vec<(&Granted, &Swept)> = named.filter_map(swept).collect();
    let of_digest = all
        .iter()
        .find(|(_, swept)| swept.digest == spec.subject.digest);
    let waits = || all.iter().find(|(_, swept)| swept.is_open());
    of_digest
        .or_else(waits)
        .or_else(|| all.first())
        .map(|(granted, _)| *granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_show_the_same_come_later_and_those_that_fail_rest() {
        let looks = Looks::default();
        let begun = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(looks.went("acme", true, None, begun), (seconds(30), false));
        assert_eq!(looks.rests("acme", begun), None);
        assert_eq!(looks.went("acme", false, None, begun).0, seconds(60));
        for _ in 0..9 {
            looks.went("acme", false, None, begun);
        }
        assert_eq!(looks.went("acme", false, None, begun).0, seconds(600));
        assert_eq!(looks.went("acme", true, None, begun).0, seconds(30));

        let why = || Some("pods: Forbidden".to_owned());
        assert_eq!(looks.went("acme", false, why(), begun), (seconds(5), true));
        assert_eq!(looks.why("acme"), why());
        assert_eq!(looks.rests("acme", begun), Some(seconds(5)));
        assert_eq!(looks.rests("acme", begun + seconds(5)), None);
        assert_eq!(
            looks.went("acme", false, why(), begun),
            (seconds(10), false)
        );
        // Another tenant's are its own.
        assert_eq!(
            (looks.why("globex"), looks.rests("globex", begun)),
            (None, None)
        );
        assert_eq!(looks.went("acme", false, None, begun), (seconds(30), true));
        assert_eq!(looks.why("acme"), None);
    }
}
