//! The evaluation of RBAC against the API server's own authorizer, on a generated cluster: both say the same, and what
//! the API server gives as its reason is among the sources that the evaluation names.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewStatus,
};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject as Bound,
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, Scope};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_e2e::{Plane, eventually};
use tenure_rbac::{
    Attributes, CLUSTER_SCOPED, Caller, Rbac, RoleName, Rule, Source, Subject, Target, Wanted,
    questions,
};
use tokio::sync::{Mutex, MutexGuard};

const SOON: Duration = Duration::from_secs(30);
/// How many reviews are asked at once.
const WIDTH: usize = 16;
/// How many are asked of one generated cluster.
const ASKED: usize = 2000;
const NAMESPACES: [&str; 3] = ["rbac-a", "rbac-b", "rbac-c"];
const LABEL: &str = "rbac-test";

/// The plane all tests here share, with the namespaces, and the turn to use it: what one binds changes another's answers.
async fn plane() -> Result<(&'static Plane, MutexGuard<'static, bool>)> {
    static TURN: Mutex<bool> = Mutex::const_new(false);
    let mut is_furnished = TURN.lock().await;
    let plane = Plane::shared().await?;
    if !*is_furnished {
        for namespace in NAMESPACES {
            plane.namespace(namespace).await?;
        }
        *is_furnished = true;
    }
    clear(&plane.admin()?).await?;
    Ok((plane, is_furnished))
}

/// Numbers that look random and can be had again: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One to three of them, one of them perhaps twice.
    fn some(&mut self, of: &[&'static str]) -> Vec<&'static str> {
        (0..=self.below(3)).map(|_| self.one(of)).collect()
    }
}

const VERBS: [&str; 7] = [
    "get", "list", "create", "delete", "approve", "invented", "*",
];
const GROUPS: [&str; 4] = ["", "apps", "invented.example", "*"];
const RESOURCES: [&str; 10] = [
    "pods",
    "pods/exec",
    "pods/*",
    "secrets",
    "deployments",
    "deployments/scale",
    "*/scale",
    "*/exec",
    "*/",
    "*",
];
const OBJECTS: [&str; 4] = ["one", "two", "", "*"];
const PATHS: [&str; 7] = [
    "/metrics",
    "/metrics/*",
    "/metrics*",
    "/a/*/b",
    "/a**",
    "/",
    "*",
];
const ROLES: [&str; 8] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"];
const USERS: [&str; 5] = [
    "alice",
    "alice-admin",
    "*",
    "system:serviceaccount:rbac-a:bot",
    "system:serviceaccount:rbac-a:b:c",
];
const MEMBERSHIPS: [&str; 7] = [
    "devs",
    "dev",
    "*",
    "alice",
    "system:authenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:rbac-a",
];
const ACCOUNTS: [&str; 3] = ["bot", "default", "c"];

fn any_rule(random: &mut Random, is_of_cluster: bool) -> Value {
    let verbs = random.some(&VERBS);
    if is_of_cluster && random.one_in(4) {
        return json!({"verbs": verbs, "nonResourceURLs": random.some(&PATHS)});
    }
    let names = if random.one_in(3) {
        random.some(&OBJECTS)
    } else {
        vec![]
    };
    json!({"verbs": verbs, "apiGroups": random.some(&GROUPS), "resources": random.some(&RESOURCES), "resourceNames": names})
}

fn any_rules(random: &mut Random, is_of_cluster: bool) -> Vec<Value> {
    let rules = random.below(4);
    (0..rules)
        .map(|_| any_rule(random, is_of_cluster))
        .collect()
}

fn any_subject(random: &mut Random, is_of_cluster: bool) -> Value {
    const RBAC: &str = "rbac.authorization.k8s.io";
    match random.below(3) {
        0 => json!({"apiGroup": RBAC, "kind": "User", "name": random.one(&USERS)}),
        1 => json!({"apiGroup": RBAC, "kind": "Group", "name": random.one(&MEMBERSHIPS)}),
        _ => {
            let mut namespaces = vec!["rbac-a", "rbac-b", "rbac-a:b"];
            if !is_of_cluster {
                namespaces.push("");
            }
            json!({"kind": "ServiceAccount", "name": random.one(&ACCOUNTS), "namespace": random.one(&namespaces)})
        }
    }
}

fn any_subjects(random: &mut Random, is_of_cluster: bool) -> Vec<Value> {
    let subjects = random.below(4);
    (0..subjects)
        .map(|_| any_subject(random, is_of_cluster))
        .collect()
}

fn any_role(random: &mut Random, name: &str) -> Value {
    json!({"metadata": {"name": name}, "rules": any_rules(random, false)})
}

fn any_cluster_role(random: &mut Random, name: &str) -> Value {
    let labels = if random.one_in(3) {
        json!({LABEL: "part"})
    } else {
        json!({})
    };
    json!({"metadata": {"name": name, "labels": labels}, "rules": any_rules(random, true)})
}

/// A binding of a role that may be missing.
fn any_binding(random: &mut Random, name: &str, is_of_cluster: bool) -> Value {
    let kind = if is_of_cluster || random.one_in(2) {
        "ClusterRole"
    } else {
        "Role"
    };
    let role = match random.below(8) {
        0 => "missing",
        1 if kind == "ClusterRole" => "aggregated",
        2 if kind == "ClusterRole" => "view",
        _ => random.one(&ROLES),
    };
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": any_subjects(random, is_of_cluster),
    })
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<K>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug,
{
    let parsed = serde_json::from_value(object.clone())?;
    let made = api.create(&PostParams::default(), &parsed).await;
    made.with_context(|| format!("refused: {object}"))
}

/// Makes a cluster full of roles and bindings.
async fn furnish(client: &Client, random: &mut Random) -> Result<()> {
    let cluster_roles: Api<ClusterRole> = Api::all(client.clone());
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let selector = json!({"matchLabels": {LABEL: "part"}});
    let aggregated = json!({
        "metadata": {"name": "aggregated"},
        "aggregationRule": {"clusterRoleSelectors": [selector]},
    });
    create(&cluster_roles, aggregated).await?;
    for name in ROLES {
        create(&cluster_roles, any_cluster_role(random, name)).await?;
    }
    // Few, since what they give to everybody hides what everything else gives.
    for index in 0..8 {
        let binding = any_binding(random, &format!("generated-{index}"), true);
        create(&cluster_bindings, binding).await?;
    }
    for namespace in NAMESPACES {
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        for name in &ROLES[..6] {
            create(&roles, any_role(random, name)).await?;
        }
        for index in 0..16 {
            let binding = any_binding(random, &format!("generated-{index}"), false);
            create(&bindings, binding).await?;
        }
    }
    Ok(())
}

/// Changes, removes and replaces some of it.
async fn change(client: &Client, random: &mut Random) -> Result<()> {
    let cluster_roles: Api<ClusterRole> = Api::all(client.clone());
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let gone = DeleteParams::default();
    let (merge, patch) = (PatchParams::default(), Patch::Merge);
    for name in ["r0", "r1"] {
        let rules = json!({"rules": any_rules(random, true)});
        cluster_roles.patch(name, &merge, &patch(rules)).await?;
    }
    let _ = cluster_roles.delete("r2", &gone).await?;
    create(&cluster_roles, any_cluster_role(random, "missing")).await?;
    let subjects = json!({"subjects": any_subjects(random, true)});
    cluster_bindings
        .patch("generated-0", &merge, &patch(subjects))
        .await?;
    let _ = cluster_bindings.delete("generated-1", &gone).await?;
    for namespace in NAMESPACES {
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        let rules = json!({"rules": any_rules(random, false)});
        roles.patch("r0", &merge, &patch(rules)).await?;
        let _ = roles.delete("r1", &gone).await?;
        create(&roles, any_role(random, "missing")).await?;
        let subjects = json!({"subjects": any_subjects(random, false)});
        bindings
            .patch("generated-0", &merge, &patch(subjects))
            .await?;
        for name in ["generated-1", "generated-2"] {
            let _ = bindings.delete(name, &gone).await?;
        }
        // Another role under a name that was there.
        create(&bindings, any_binding(random, "generated-2", false)).await?;
    }
    Ok(())
}

/// Everything RBAC consists of, as the API server has it.
struct Listing {
    roles: Vec<Role>,
    cluster_roles: Vec<ClusterRole>,
    bindings: Vec<RoleBinding>,
    cluster_bindings: Vec<ClusterRoleBinding>,
}

/// What an object is called and which of its states it is.
type States = BTreeMap<(String, String), String>;

impl Listing {
    async fn of(client: &Client) -> Result<Self> {
        Ok(Self {
            roles: list(client).await?,
            cluster_roles: list(client).await?,
            bindings: list(client).await?,
            cluster_bindings: list(client).await?,
        })
    }

    /// Without the marks.
    fn states(&self) -> [States; 4] {
        [
            states(&self.roles),
            states(&self.cluster_roles),
            states(&self.bindings),
            states(&self.cluster_bindings),
        ]
    }

    fn model(&self) -> Rbac {
        let mut rbac = Rbac::default();
        self.roles.iter().for_each(|role| rbac.upsert_role(role));
        for role in &self.cluster_roles {
            rbac.upsert_cluster_role(role);
        }
        for binding in &self.bindings {
            rbac.upsert_binding(binding);
        }
        for binding in &self.cluster_bindings {
            rbac.upsert_cluster_binding(binding);
        }
        rbac
    }

    /// Brings a model of an earlier listing up to date, as a watch would.
    fn follow(&self, earlier: &Self, rbac: &mut Rbac) {
        for (namespace, name) in gone(&earlier.roles, &self.roles) {
            rbac.remove_role(&namespace, &name);
        }
        for (namespace, name) in gone(&earlier.cluster_roles, &self.cluster_roles) {
            rbac.remove_role(&namespace, &name);
        }
        for (namespace, name) in gone(&earlier.bindings, &self.bindings) {
            rbac.remove_binding(&namespace, &name);
        }
        for (namespace, name) in gone(&earlier.cluster_bindings, &self.cluster_bindings) {
            rbac.remove_binding(&namespace, &name);
        }
        news(&earlier.roles, &self.roles).for_each(|role| rbac.upsert_role(role));
        news(&earlier.cluster_roles, &self.cluster_roles)
            .for_each(|role| rbac.upsert_cluster_role(role));
        news(&earlier.bindings, &self.bindings).for_each(|binding| rbac.upsert_binding(binding));
        news(&earlier.cluster_bindings, &self.cluster_bindings)
            .for_each(|binding| rbac.upsert_cluster_binding(binding));
    }

    /// Every subject that is bound, with every rule of what it is bound to.
    fn given(&self) -> Vec<Given> {
        let cluster_roles = self.cluster_roles.iter();
        let cluster_roles = cluster_roles.map(|role| {
            (
                ("ClusterRole", place(role)),
                Rule::all(role.rules.as_deref()),
            )
        });
        let roles = self.roles.iter();
        let roles = roles.map(|role| (("Role", place(role)), Rule::all(role.rules.as_deref())));
        let rules: BTreeMap<_, _> = cluster_roles.chain(roles).collect();
        let cluster_bindings = self.cluster_bindings.iter();
        let cluster_bindings =
            cluster_bindings.map(|binding| (String::new(), &binding.role_ref, &binding.subjects));
        let bindings = self.bindings.iter();
        let bindings =
            bindings.map(|binding| (place(binding).0, &binding.role_ref, &binding.subjects));
        let mut given = Vec::new();
        for (namespace, role, subjects) in cluster_bindings.chain(bindings) {
            let (kind, of) = match role.kind.as_str() {
                "Role" => ("Role", namespace.clone()),
                _ => ("ClusterRole", String::new()),
            };
            let rules = rules.get(&(kind, (of, role.name.clone())));
            for subject in subjects.iter().flatten() {
                given.extend(rules.into_iter().flatten().map(|rule| Given {
                    caller: caller(subject, &namespace),
                    rule: rule.clone(),
                    namespace: namespace.clone(),
                }));
            }
        }
        given
    }
}

/// Something that somebody is given somewhere.
#[derive(Clone)]
struct Given {
    caller: Caller,
    rule: Rule,
    namespace: String,
}

/// Somebody who is that subject.
fn caller(subject: &Bound, namespace: &str) -> Caller {
    match subject.kind.as_str() {
        "Group" => Caller::authenticated("somebody", [&subject.name]),
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty());
            Caller::service_account(own.unwrap_or(namespace), &subject.name)
        }
        _ => Caller::authenticated(&subject.name, [""; 0]),
    }
}

async fn list<K>(client: &Client) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let all: Api<K> = Api::all(client.clone());
    Ok(all.list(&Default::default()).await?.items)
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn states<K: Resource>(objects: &[K]) -> States {
    let objects = objects
        .iter()
        .filter(|object| !object.name_any().starts_with("mark-"));
    objects
        .map(|object| (place(object), object.resource_version().unwrap_or_default()))
        .collect()
}

fn gone<K: Resource>(earlier: &[K], now: &[K]) -> Vec<(String, String)> {
    let now: BTreeSet<_> = now.iter().map(place).collect();
    let gone = earlier.iter().map(place);
    gone.filter(|place| !now.contains(place)).collect()
}

fn news<'a, K: Resource>(earlier: &[K], now: &'a [K]) -> impl Iterator<Item = &'a K> {
    let known: BTreeSet<_> = earlier
        .iter()
        .map(Resource::meta)
        .map(|meta| (meta.uid.clone(), meta.resource_version.clone()))
        .collect();
    now.iter().filter(move |object| {
        let meta = object.meta();
        !known.contains(&(meta.uid.clone(), meta.resource_version.clone()))
    })
}

/// Makes one more object of each kind and waits until the authorizer knows them: it has seen all that was written before.
async fn mark(client: &Client, name: &str) -> Result<()> {
    let namespace = NAMESPACES[0];
    let rules = |verb: &str| json!([{"verbs": [format!("{name}-{verb}")], "apiGroups": [""], "resources": ["marks"]}]);
    let binding = |kind: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "marker"}],
        })
    };
    let role = |verb: &str| json!({"metadata": {"name": name}, "rules": rules(verb)});
    create::<ClusterRole>(&Api::all(client.clone()), role("everywhere")).await?;
    create::<Role>(&Api::namespaced(client.clone(), namespace), role("here")).await?;
    create::<ClusterRoleBinding>(&Api::all(client.clone()), binding("ClusterRole")).await?;
    create::<RoleBinding>(&Api::namespaced(client.clone(), namespace), binding("Role")).await?;
    let marker = Caller::new("marker", [""; 0]);
    for (verb, asked_in) in [("everywhere", ""), ("here", namespace)] {
        let asked = Attributes::on(&format!("{name}-{verb}"), "", "marks", asked_in);
        eventually(SOON, "the authorizer to know the mark", async || {
            let answer = review(client, &marker, &asked).await?;
            ensure!(answer.allowed, "{asked}: {:?}", answer.reason);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn review(
    client: &Client,
    caller: &Caller,
    asked: &Attributes,
) -> Result<SubjectAccessReviewStatus> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = SubjectAccessReview {
        spec: asked.review(caller),
        ..SubjectAccessReview::default()
    };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    answer.status.context("a review without an answer")
}

/// Somebody who may be bound or not.
fn any_caller(random: &mut Random) -> Caller {
    match random.below(3) {
        0 => Caller::service_account(random.one(&NAMESPACES), random.one(&ACCOUNTS)),
        1 => Caller::authenticated(random.one(&USERS), random.some(&MEMBERSHIPS)),
        _ => Caller::new(random.one(&USERS), random.some(&MEMBERSHIPS)),
    }
}

/// Something that may be allowed or not: often what somebody is given, with one thing changed or none.
fn any_question(random: &mut Random, given: &[Given]) -> (Caller, Attributes) {
    let namespaces = ["", "default", "kube-system", "rbac-a", "rbac-b", "rbac-c"];
    let Given {
        mut caller,
        mut rule,
        mut namespace,
    } = random.one(given);
    if random.one_in(3) {
        caller = any_caller(random);
    }
    if namespace.is_empty() || random.one_in(6) {
        namespace = random.one(&namespaces).to_owned();
    }
    let either = |random: &mut Random, list: &mut Vec<String>, others: &[&str]| {
        if list.is_empty() || random.one_in(6) {
            return random.one(others).to_owned();
        }
        let index = random.below(list.len());
        list.swap_remove(index)
    };
    let verb = either(random, &mut rule.verbs, &VERBS);
    if !rule.urls.is_empty() {
        let path = either(
            random,
            &mut rule.urls,
            &["/metrics/x", "/a/x/b", "/metric", ""],
        );
        return (caller, Attributes::at(&verb, &path));
    }
    let group = either(random, &mut rule.groups, &GROUPS);
    let resource = either(
        random,
        &mut rule.resources,
        &["pods/log", "x/scale", "pods", "pods/"],
    );
    let resource = if random.one_in(3) {
        // What a wildcard means, and what only looks like one.
        resource.replace('*', "things")
    } else {
        resource
    };
    let name = if rule.names.is_empty() && !random.one_in(6) {
        String::new()
    } else {
        either(random, &mut rule.names, &["", "one", "three"])
    };
    let mut asked = Attributes::on(&verb, &group, &resource, &namespace).named(&name);
    if random.one_in(12)
        && let Target::Resource(of) = &mut asked.target
    {
        // Nobody asks so, and it is answered all the same.
        of.resource = of.resource.clone() + "/" + &std::mem::take(&mut of.subresource);
    }
    (caller, asked)
}

/// As the authorizer describes a source.
fn reason(source: &Source) -> String {
    let subject = match &source.subject {
        Subject::User(name) => format!("User {name:?}"),
        Subject::Group(name) => format!("Group {name:?}"),
        Subject::ServiceAccount { namespace, name } => {
            format!("ServiceAccount \"{name}/{namespace}\"")
        }
    };
    let RoleName { kind, name: role } = &source.role;
    let (namespace, name) = (&source.namespace, &source.name);
    if source.is_cluster_wide() {
        return format!(
            "RBAC: allowed by ClusterRoleBinding {name:?} of {kind} {role:?} to {subject}"
        );
    }
    format!("RBAC: allowed by RoleBinding \"{name}/{namespace}\" of {kind} {role:?} to {subject}")
}

/// What the two say differently, if they do.
fn disagreement(
    rbac: &Rbac,
    caller: &Caller,
    asked: &Attributes,
    answer: &SubjectAccessReviewStatus,
) -> Option<String> {
    let sources = rbac.sources(caller, asked);
    if caller.outranks_rbac().is_some() && answer.allowed {
        return None;
    }
    let given = answer.reason.clone().unwrap_or_default();
    let same = answer.allowed != sources.is_empty()
        && rbac.allows(caller, asked) == answer.allowed
        && (!answer.allowed || sources.iter().any(|source| reason(source) == given));
    let named: Vec<String> = sources.iter().map(Source::to_string).collect();
    (!same).then(|| {
        format!(
            "{caller:?}\n  {asked} ({asked:?})\n  API server: {} {given}\n  evaluation: {named:?}",
            answer.allowed
        )
    })
}

/// Asks both and compares, on a cluster that stood still meanwhile. Answers what the cluster was.
async fn compare(client: &Client, random: &mut Random, phase: &str) -> Result<Listing> {
    for attempt in 0..10 {
        let before = Listing::of(client).await?;
        mark(client, &format!("mark-{phase}-{attempt}")).await?;
        let given = before.given();
        let asked: Vec<(Caller, Attributes)> =
            (0..ASKED).map(|_| any_question(random, &given)).collect();
        let answers: Vec<SubjectAccessReviewStatus> = futures::stream::iter(
            asked
                .iter()
                .map(|(caller, asked)| review(client, caller, asked)),
        )
        .buffered(WIDTH)
        .try_collect()
        .await?;
        let after = Listing::of(client).await?;
        if before.states() != after.states() {
            // The controller that fills aggregated roles has been at work.
            continue;
        }
        let rbac = after.model();
        let all = asked.iter().zip(&answers);
        let different: Vec<String> = all
            .filter_map(|((caller, asked), answer)| disagreement(&rbac, caller, asked, answer))
            .collect();
        ensure!(
            different.is_empty(),
            "{} of {ASKED} differ:\n{}",
            different.len(),
            different.join("\n")
        );
        let allowed = answers.iter().filter(|answer| answer.allowed).count();
        println!("{phase}: {ASKED} asked, {allowed} allowed");
        ensure!(
            allowed > ASKED / 20 && ASKED - allowed > ASKED / 20,
            "{allowed} of {ASKED} are allowed: that shows little"
        );
        return Ok(after);
    }
    bail!("the cluster never stood still")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_server_and_evaluation_say_the_same() -> Result<()> {
    let seed = match std::env::var("RBAC_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
    };
    println!("again with RBAC_SEED={seed}");
    let mut random = Random(seed);
    let (plane, _turn) = plane().await?;
    let client = plane.admin()?;
    furnish(&client, &mut random).await?;
    aggregated(&client).await?;
    let first = compare(&client, &mut random, "made").await?;
    let mut followed = first.model();
    change(&client, &mut random).await?;
    let second = compare(&client, &mut random, "changed").await?;
    second.follow(&first, &mut followed);
    ensure!(
        followed == second.model(),
        "kept up to date is not built anew"
    );
    Ok(())
}

/// Waits until aggregated roles hold what they aggregate.
async fn aggregated(client: &Client) -> Result<()> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    eventually(SOON, "aggregated roles to be filled", async || {
        let parts = roles
            .list(&kube::api::ListParams::default().labels(LABEL))
            .await?;
        let parts: BTreeSet<Rule> = parts
            .items
            .iter()
            .flat_map(|role| Rule::all(role.rules.as_deref()))
            .collect();
        let whole = roles.get("aggregated").await?;
        let whole = BTreeSet::from_iter(Rule::all(whole.rules.as_deref()));
        ensure!(whole == parts, "{whole:?} and not {parts:?}");
        let view = roles.get("view").await?;
        ensure!(
            view.rules.is_some_and(|rules| !rules.is_empty()),
            "view is empty"
        );
        Ok(())
    })
    .await
}

/// Removes what another test here has bound.
async fn clear(client: &Client) -> Result<()> {
    let listing = Listing::of(client).await?;
    let gone = DeleteParams::default();
    for binding in listing.cluster_bindings {
        let name = binding.name_any();
        if name.starts_with("generated-") {
            let all: Api<ClusterRoleBinding> = Api::all(client.clone());
            let _ = all.delete(&name, &gone).await?;
        }
    }
    for binding in listing.bindings {
        let (namespace, name) = place(&binding);
        if name.starts_with("generated-") {
            let all: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
            let _ = all.delete(&name, &gone).await?;
        }
    }
    Ok(())
}

/// People and ServiceAccounts that really authenticate are who the evaluation takes them for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_in_the_groups_that_authentication_adds() -> Result<()> {
    let (plane, _turn) = plane().await?;
    mark(&plane.admin()?, "mark-callers").await?;
    let session = plane.service_account(NAMESPACES[0], "default").await?;
    let people = [
        (
            plane.client_as("alice", &["devs"])?,
            Caller::authenticated("alice", ["devs"]),
        ),
        (
            session.client()?,
            Caller::service_account(NAMESPACES[0], "default"),
        ),
    ];
    for (client, caller) in people {
        let who: Api<SelfSubjectReview> = Api::all(client.clone());
        let answer = who
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await?;
        let user = answer.status.and_then(|status| status.user_info);
        let user = user.context("an answer without a user")?;
        let groups = user.groups.unwrap_or_default();
        let seen = Caller::new(&user.username.unwrap_or_default(), groups);
        assert_eq!(seen, caller);
        let rbac = Listing::of(&plane.admin()?).await?.model();
        for asked in [
            Attributes::at("get", "/healthz"),
            Attributes::at("get", "/metrics"),
            Attributes::on(
                "create",
                "authorization.k8s.io",
                "selfsubjectaccessreviews",
                "",
            ),
            Attributes::on("get", "", "pods", NAMESPACES[0]),
        ] {
            let spec = asked.review(&caller);
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: spec.resource_attributes,
                    non_resource_attributes: spec.non_resource_attributes,
                },
                ..SelfSubjectAccessReview::default()
            };
            let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let answer = answer.status.context("a review without an answer")?;
            assert_eq!(disagreement(&rbac, &caller, &asked, &answer), None);
        }
    }
    let master = Caller::authenticated("alice", ["system:masters"]);
    let anything = Attributes::on("invented", "x.example", "things", "");
    let answer = review(&plane.admin()?, &master, &anything).await?;
    assert!(answer.allowed && master.outranks_rbac().is_some());
    Ok(())
}

/// What is asked when a grant has ended: all yes while it stands, all no after it, and what still says yes has a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_turn_from_yes_to_no_and_what_remains_is_named() -> Result<()> {
    let (plane, _turn) = plane().await?;
    let client = plane.admin()?;
    let namespaces = [NAMESPACES[0], NAMESPACES[1]].map(str::to_owned);
    let rules = json!([
        {"verbs": ["get", "list", "watch"], "apiGroups": ["", "apps"], "resources": ["pods", "pods/log", "deployments"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"], "resourceNames": ["web-0", "web-1"]},
    ]);
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let role = create(
        &roles,
        json!({"metadata": {"name": "generated-debugger"}, "rules": rules}),
    )
    .await?;
    let bind = async |name: &str, namespace: &str, role: &str| {
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dora"}],
        });
        create(&bindings, binding).await.map(drop)
    };
    for namespace in &namespaces {
        bind("generated-grant", namespace, &role.name_any()).await?;
    }
    let dora = Caller::authenticated("dora", [""; 0]);
    let found = questions(&Rule::all(role.rules.as_deref()), &namespaces, 100);
    ensure!(found.is_complete() && found.asked.len() == 40, "{found:?}");
    let yes = async || -> Result<Vec<Attributes>> {
        let answers: Vec<SubjectAccessReviewStatus> = futures::stream::iter(
            found
                .asked
                .iter()
                .map(|asked| review(&client, &dora, asked)),
        )
        .buffered(WIDTH)
        .try_collect()
        .await?;
        let all = found.asked.iter().zip(answers);
        Ok(all
            .filter_map(|(asked, answer)| answer.allowed.then(|| asked.clone()))
            .collect())
    };
    eventually(SOON, "every question to be answered with yes", async || {
        let yes = yes().await?;
        ensure!(yes == found.asked, "only {yes:?}");
        Ok(())
    })
    .await?;

    // She has given herself something for afterwards.
    let kept = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    create(
        &roles,
        json!({"metadata": {"name": "generated-kept"}, "rules": kept}),
    )
    .await?;
    bind("generated-kept", &namespaces[1], "generated-kept").await?;
    for namespace in &namespaces {
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        let _ = bindings
            .delete("generated-grant", &DeleteParams::default())
            .await?;
    }
    let remaining = [Attributes::on("get", "", "pods", &namespaces[1])];
    eventually(SOON, "one yes to remain", async || {
        let yes = yes().await?;
        ensure!(yes == remaining, "{yes:?}");
        Ok(())
    })
    .await?;
    let rbac = Listing::of(&client).await?.model();
    let sources = rbac.sources(&dora, &remaining[0]);
    let named: Vec<String> = sources.iter().map(Source::to_string).collect();
    let expected = "RoleBinding/rbac-b/generated-kept of ClusterRole/generated-kept to User dora";
    assert_eq!(named, [expected]);
    let who = rbac.who_can(namespaces.iter().map(String::as_str), Wanted::Anything);
    let hers = who.iter().find(|(subject, _)| subject.is(&dora));
    assert_eq!(hers.map(|(_, sources)| sources), Some(&sources));
    Ok(())
}

/// What is said to lie in no namespace lies in none, and nothing of Kubernetes' own is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_no_namespace_is_what_discovery_says() -> Result<()> {
    let (plane, _turn) = plane().await?;
    let discovery = Discovery::new(plane.admin()?).run().await?;
    let served: BTreeSet<(String, String)> = discovery
        .groups()
        .flat_map(|group| group.recommended_resources())
        .filter(|(_, capabilities)| capabilities.scope == Scope::Cluster)
        .map(|(resource, _)| (resource.group, resource.plural))
        .collect();
    let known = CLUSTER_SCOPED.iter();
    let known: BTreeSet<(String, String)> = known
        .flat_map(|(group, resources)| {
            let resources = resources.iter();
            resources.map(|resource| ((*group).to_owned(), (*resource).to_owned()))
        })
        .collect();
    let different: Vec<_> = known.symmetric_difference(&served).collect();
    assert!(different.is_empty(), "{different:?}");
    Ok(())
}
