//! That access has truly ended: every API server of the cluster is asked, until each says no (DSA 2.4, 2.13).
//!
//! What still answers yes is named with every source of it, from an evaluation of all of RBAC. What another live grant of the
//! same person gives is not asked about: that is what somebody else approved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Client, Config};
use tenure_rbac::{Attributes, Caller, Rbac, RoleName, Rule, Source, questions};
use tokio_util::sync::CancellationToken;

use super::binding;
use super::proof::{Proof, Question, Round, Servers, Verdict};
use super::reconcile::amend;
use super::sweeping;
use crate::cluster::ApiServers;
use crate::context::Context;
use crate::record::{Granted, Proven, RecordError, TenantRecord};

/// How many questions about one grant are put to each API server, at least: every rule of its role is asked about in every
/// namespace, and what shows most comes first.
const QUESTIONS: usize = 24;
/// Most questions that are first answered here, by all of RBAC: whatever may be left is asked too, up to [`MOST_LEFT`] of it.
const MOST_LOOKED_AT: usize = 20_000;
const MOST_LEFT: usize = 256;
/// Tenants whose ends are proven at once.
const CONCURRENCY: usize = 4;
/// How soon an end that is not proven is asked about again; doubled up to [`LONGEST`].
const AGAIN: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// Longest list of what remains that is said on a grant.
const MOST_NAMED: usize = 32;

/// How far the proof of an end has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Rounds so far.
    pub proof: Proof,
    /// What still answers yes, with every source of it.
    pub remaining: Vec<String>,
    /// Whether all that it allowed is allowed by other live grants of the person: it is asked about once those have ended.
    pub is_covered: bool,
}

/// Proves ends until `stop`.
pub async fn follow(
    context: Arc<Context>,
    client: Client,
    config: Config,
    stop: CancellationToken,
) {
    let servers = Arc::new(ApiServers::new(client, config));
    let queue = context.access.ends.clone();
    queue
        .run(CONCURRENCY, stop, move |tenant| {
            let (context, servers) = (context.clone(), servers.clone());
            async move { prove(&context, &servers, &tenant).await }
        })
        .await;
}

/// Asks about every grant of a tenant whose end is not proven.
async fn prove(context: &Context, servers: &ApiServers, tenant: &str) -> Option<Duration> {
    context.access.endings.give_way().await;
    let record = context.records.tenant(tenant)?;
    let open = open(&record);
    if open.is_empty() {
        return None;
    }
    let mut proven = BTreeMap::new();
    let (mut unproven, mut remains, mut rounds) = (0, 0, 0);
    let found = found(servers).await;
    for (asked, ends) in alike(context, &record, &open) {
        if asked.is_empty() {
            cover(context, &ends);
            continue;
        }
        let questions = asked.iter().map(|(caller, what)| question(caller, what));
        let asking = servers.ask(found.clone(), questions.collect(), &Timestamp::now);
        let round = asking.await;
        for uid in ends {
            let progress = take_in(context, uid, &asked, &round);
            rounds = progress.proof.rounds.max(rounds);
            match &progress.proof.verdict {
                Some(Verdict::Proven { servers, at }) => {
                    let proof = Proven {
                        at: at.to_string(),
                        servers: *servers,
                        rounds: progress.proof.rounds,
                        first_yes: progress.proof.first_yes.map(|at| at.to_string()),
                        last_yes: progress.proof.last_yes.map(|at| at.to_string()),
                    };
                    proven.insert(uid.clone(), proof);
                }
                Some(Verdict::StillAllowed { .. }) => remains += 1,
                Some(Verdict::Unproven { .. }) | None => unproven += 1,
            }
        }
    }
    if let Err(error) = note(context, tenant, &proven).await {
        tracing::warn!(%error, reason = error.reason(), tenant, "a proof is not on record yet; asking again");
        unproven += proven.len();
    } else {
        let done: Vec<String> = proven.into_keys().collect();
        context.access.forget_progress(&done);
        if !done.is_empty() {
            sweeping::wake(context, tenant);
        }
    }
    context.metrics.ends(tenant, unproven, remains);
    // What was found is said on the grants.
    context.access.queue.wake(tenant);
    (unproven + remains > 0).then(|| wait(rounds))
}

fn wait(rounds: u32) -> Duration {
    AGAIN.saturating_mul(1 << rounds.min(10)).min(LONGEST)
}

/// Grants that ended and whose end is not proven, by uid.
fn open(record: &TenantRecord) -> BTreeMap<&String, &Granted> {
    let grants = record.grants.iter();
    grants.filter(|(_, granted)| is_open(granted)).collect()
}

async fn note(
    context: &Context,
    tenant: &str,
    proven: &BTreeMap<String, Proven>,
) -> Result<(), RecordError> {
    if proven.is_empty() {
        return Ok(());
    }
    amend(context, tenant, |grants| {
        for (uid, proof) in proven {
            if let Some(granted) = grants.get_mut(uid).filter(|granted| !granted.is_live()) {
                granted.proof.get_or_insert_with(|| proof.clone());
            }
        }
    })
    .await
}

/// What is asked about an end, and as whom.
type Asked = Vec<(Caller, Attributes)>;

/// Open ends by what is asked about them: of grants that let the same person do the same in the same places, once for all.
fn alike<'a>(
    context: &Context,
    record: &TenantRecord,
    open: &BTreeMap<&'a String, &Granted>,
) -> BTreeMap<Asked, Vec<&'a String>> {
    let mut alike: BTreeMap<Asked, Vec<&String>> = BTreeMap::new();
    let mut sheets: BTreeMap<(&str, &[String]), Sheet> = BTreeMap::new();
    for (uid, granted) in open {
        let sheet = sheets
            .entry((&granted.role, &granted.namespaces))
            .or_insert_with(|| Sheet::of(context, granted));
        let asked = asked(context, record, granted, sheet);
        alike.entry(asked).or_default().push(uid);
    }
    alike
}

/// Who there is to ask.
async fn found(servers: &ApiServers) -> Servers {
    match servers.find(Timestamp::now()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "ends of access cannot be proven");
            Servers::default()
        }
    }
}

/// Notes that there is nothing to ask: what other live grants of the person give, somebody else approved.
fn cover(context: &Context, ends: &[&String]) {
    for uid in ends {
        let covered = Progress {
            is_covered: true,
            ..Progress::default()
        };
        context.access.keep_progress(uid, &covered);
    }
}

/// Adds a round of answers to what is known of an end.
fn take_in(context: &Context, uid: &str, asked: &Asked, round: &Round) -> Progress {
    let mut progress = context.access.progress(uid);
    progress.is_covered = false;
    progress.proof.add(round);
    progress.remaining = remaining(context, asked, &progress.proof);
    context.access.keep_progress(uid, &progress);
    progress
}

/// As whom the person may come: every identity, with every group that is known, and the account of a session.
fn callers(context: &Context, granted: &Granted) -> Vec<Caller> {
    let staff = context.caches.staff.get("", &granted.person);
    let staff = staff.as_ref().and_then(|guard| guard.0.as_ref().ok());
    let now = staff.map(|staff| (&staff.spec.identities, &staff.spec.groups));
    let mut identities = BTreeSet::from([granted.identity.clone()]);
    identities.extend(granted.identities.iter().cloned());
    let mut groups: BTreeSet<String> = granted.groups.iter().cloned().collect();
    if let Some((more, others)) = now {
        identities.extend(more.iter().cloned());
        groups.extend(others.iter().cloned());
    }
    let identities = identities.iter();
    let account = granted.account.iter();
    let account =
        account.map(|account| Caller::service_account(&context.settings.sessions(), account));
    identities
        .map(|identity| Caller::authenticated(identity, groups.iter().cloned()))
        .chain(account)
        .collect()
}

/// All there is to ask about a role in some namespaces: the same for everybody who had it there.
struct Sheet {
    all: Vec<Attributes>,
    /// How many of them are asked in any case.
    first: usize,
}

impl Sheet {
    fn of(context: &Context, granted: &Granted) -> Self {
        let rbac = context.caches.rbac();
        let role = RoleName::cluster(&granted.role);
        // Of a role that is gone nobody knows what it allowed: what every role to grant allows.
        let unknown = [anything_usual()];
        let rules = rbac.rules("", &role).unwrap_or(&unknown);
        let everywhere = rules.len().saturating_mul(granted.namespaces.len());
        Self {
            all: questions(rules, &granted.namespaces, MOST_LOOKED_AT).asked,
            first: everywhere.max(QUESTIONS),
        }
    }
}

/// What is asked: all that the role allowed and no other live grant of the person allows, and fetching a session's tokens.
fn asked(context: &Context, record: &TenantRecord, granted: &Granted, sheet: &Sheet) -> Asked {
    let rbac = context.caches.rbac();
    let sessions = context.settings.sessions();
    let token = granted.account.as_ref().map(|account| {
        Attributes::on("create", "", "serviceaccounts/token", &sessions).named(account)
    });
    let others = live(record, &granted.person);
    let is_anothers = |source: &Source| {
        let granted = others.get(&source.name);
        let subjects = std::slice::from_ref(&source.subject);
        let binding = (source.namespace.as_str(), &source.role, subjects);
        granted.is_some_and(|granted| binding::lets_in_as(binding, granted, &sessions))
    };
    let mut asked = Vec::new();
    for caller in callers(context, granted) {
        let all = token.iter().chain(&sheet.all);
        let chosen = chosen(&rbac, &caller, all, sheet.first, is_anothers);
        asked.extend(chosen.map(|what| (caller.clone(), what.clone())));
    }
    asked
}

/// What is asked of all there is to ask: the first so many, and whatever RBAC leaves, as far as it is known here. What others
/// approved is not asked about.
fn chosen<'a>(
    rbac: &Rbac,
    caller: &Caller,
    all: impl Iterator<Item = &'a Attributes>,
    first: usize,
    is_anothers: impl Fn(&Source) -> bool,
) -> impl Iterator<Item = &'a Attributes> {
    let mut left = 0;
    let is_chosen = move |(number, what): &(usize, &Attributes)| {
        let sources = rbac.sources(caller, what);
        let is_left = sources.iter().any(|source| !is_anothers(source));
        left += usize::from(is_left);
        let is_given_otherwise = !is_left && !sources.is_empty();
        !is_given_otherwise && (*number <= first || (is_left && left <= MOST_LEFT))
    };
    all.enumerate().filter(is_chosen).map(|(_, what)| what)
}

/// What a role to grant usually allows.
fn anything_usual() -> Rule {
    let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Rule {
        verbs: all(&["get", "list", "watch", "create", "delete"]),
        groups: all(&[""]),
        resources: all(&["pods", "pods/log", "pods/exec", "configmaps", "secrets"]),
        ..Rule::default()
    }
}

/// A person's live grants, by the name of their bindings.
fn live<'a>(record: &'a TenantRecord, person: &str) -> BTreeMap<String, &'a Granted> {
    let grants = record.grants.iter();
    grants
        .filter(|(_, granted)| granted.is_live() && granted.person == person)
        .map(|(uid, granted)| (binding::name(uid), granted))
        .collect()
}

fn question(caller: &Caller, what: &Attributes) -> Question {
    let review = what.review(caller);
    Question {
        user: review.user.unwrap_or_default(),
        groups: review.groups.into_iter().flatten().collect(),
        what: review.resource_attributes.unwrap_or_default(),
    }
}

/// What the last round found still allowed, with every source that RBAC has for it.
fn remaining(context: &Context, asked: &[(Caller, Attributes)], proof: &Proof) -> Vec<String> {
    let Some(Verdict::StillAllowed { allowed, .. }) = &proof.verdict else {
        return Vec::new();
    };
    let rbac = context.caches.rbac();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for yes in allowed {
        let found = asked
            .iter()
            .find(|(caller, what)| question(caller, what) == yes.question);
        let sources = found.map(|(caller, what)| rbac.sources(caller, what));
        let sources: Vec<String> = match sources {
            Some(sources) if !sources.is_empty() => sources.iter().map(Source::to_string).collect(),
            // Not by RBAC, as far as that is known here: in the API server's own words.
            _ => vec![yes.source.clone()],
        };
        for source in sources {
            named
                .entry(source)
                .or_default()
                .insert(yes.question.to_string());
        }
    }
    let lines = named.into_iter().map(|(source, questions)| {
        let first = questions.first().cloned().unwrap_or_default();
        match questions.len() {
            1 => format!("{source}: {first}"),
            more => format!("{source}: {first}, and {} more", more - 1),
        }
    });
    lines.take(MOST_NAMED).collect()
}

/// Whether the end of a grant is still to be proven.
pub fn is_open(granted: &Granted) -> bool {
    !granted.is_live() && granted.proof.is_none()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
    use serde_json::json;

    use super::*;

    /// A role of many rules, what else is bound in the last of many namespaces, and all there is to ask about it.
    fn many() -> (Rbac, Vec<Attributes>, usize) {
        let (mut rules, mut namespaces) = (Vec::new(), Vec::new());
        for number in 0..12 {
            let resources = [format!("one{number}"), format!("two{number}")];
            rules.push(json!({"apiGroups": ["g"], "resources": resources, "verbs": ["get", "list", "watch"]}));
        }
        rules.push(json!({"apiGroups": [""], "resources": ["pods/attach", "pods/exec"], "verbs": ["create"]}));
        for number in 0..60 {
            namespaces.push(format!("n{number:02}"));
        }
        let role = json!({"metadata": {"name": "debugger"}, "rules": rules});
        let exec = json!({"metadata": {"name": "exec"}, "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]});
        let mut rbac = Rbac::default();
        for role in [role, exec] {
            rbac.upsert_cluster_role(&serde_json::from_value::<ClusterRole>(role).unwrap());
        }
        let binding = json!({
            "metadata": {"name": "way-in", "namespace": "n59"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "exec"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}]
        });
        rbac.upsert_binding(&serde_json::from_value::<RoleBinding>(binding).unwrap());
        let rules = rbac.rules("", &RoleName::cluster("debugger")).unwrap();
        let (first, asked) = (
            rules.len() * 60,
            questions(rules, &namespaces, MOST_LOOKED_AT),
        );
        assert_eq!(asked.left_out, 0);
        (rbac, asked.asked, first)
    }

    #[test]
    fn every_rule_is_asked_about_in_every_namespace_and_whatever_is_left_besides() {
        let (rbac, all, first) = many();
        let alice = Caller::authenticated("alice", [""; 0]);
        let asked: Vec<&Attributes> = chosen(&rbac, &alice, all.iter(), first, |_| false).collect();
        for namespace in 0..60 {
            for number in 0..12 {
                let resource = format!("one{number}");
                let what = Attributes::on("get", "g", &resource, &format!("n{namespace:02}"));
                assert!(asked.contains(&&what), "{what:?}");
            }
        }
        let left = Attributes::on("create", "", "pods/exec", "n59");
        assert!(asked.contains(&&left));
        let elsewhere = Attributes::on("create", "", "pods/exec", "n58");
        assert!(
            !asked.contains(&&elsewhere),
            "its rule was asked about there by another question"
        );
        // It is not among the first: nothing but RBAC says so.
        assert!(!all[..=first].contains(&left));
    }

    #[test]
    fn what_another_grant_gives_is_not_asked_about() {
        let (rbac, all, first) = many();
        let alice = Caller::authenticated("alice", [""; 0]);
        let is_anothers = |source: &Source| source.name == "way-in";
        let asked: Vec<&Attributes> =
            chosen(&rbac, &alice, all.iter(), first, is_anothers).collect();
        assert!(!asked.contains(&&Attributes::on("create", "", "pods/exec", "n59")));
        assert!(asked.contains(&&Attributes::on("create", "", "pods/attach", "n59")));
    }
}
