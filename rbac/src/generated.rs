//! Generated clusters: the indexed model against a naive reading of the same objects, kept up to date against built anew,
//! and what the questions and the list of dangers promise.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::tests::object;
use super::*;

const NAMESPACES: [&str; 3] = ["", "a", "b"];
const USERS: [&str; 3] = ["alice", "bob", "system:serviceaccount:a:bot"];
const GROUPS: [&str; 3] = ["devs", "system:authenticated", "system:serviceaccounts:a"];
const NAMES: [&str; 2] = ["r", "s"];

/// The objects themselves, by namespace (empty: of the cluster) and name.
#[derive(Clone, Debug, Default)]
struct Objects {
    roles: BTreeMap<(&'static str, &'static str), Vec<PolicyRule>>,
    bindings: BTreeMap<(&'static str, &'static str), (RoleRef, Vec<RawSubject>)>,
}

/// One change of a cluster; none removes.
#[derive(Clone, Debug)]
enum Step {
    Role(&'static str, &'static str, Option<Vec<PolicyRule>>),
    Binding(
        &'static str,
        &'static str,
        Option<(RoleRef, Vec<RawSubject>)>,
    ),
}

impl Step {
    fn on_objects(&self, objects: &mut Objects) {
        match self.clone() {
            Self::Role(namespace, name, Some(rules)) => {
                objects.roles.insert((namespace, name), rules);
            }
            Self::Role(namespace, name, None) => {
                objects.roles.remove(&(namespace, name));
            }
            Self::Binding(namespace, name, Some(binding)) => {
                objects.bindings.insert((namespace, name), binding);
            }
            Self::Binding(namespace, name, None) => {
                objects.bindings.remove(&(namespace, name));
            }
        }
    }

    fn on_model(&self, rbac: &mut Rbac) {
        match self {
            Self::Role(namespace, name, None) => rbac.remove_role(namespace, name),
            Self::Binding(namespace, name, None) => rbac.remove_binding(namespace, name),
            Self::Role("", name, Some(rules)) => rbac.upsert_cluster_role(&object(
                json!({"metadata": {"name": name}, "rules": rules}),
            )),
            Self::Role(namespace, name, Some(rules)) => rbac.upsert_role(&object(
                json!({"metadata": {"name": name, "namespace": namespace}, "rules": rules}),
            )),
            Self::Binding("", name, Some((role, subjects))) => {
                rbac.upsert_cluster_binding(&object(
                    json!({"metadata": {"name": name}, "roleRef": role, "subjects": subjects}),
                ));
            }
            Self::Binding(namespace, name, Some((role, subjects))) => rbac.upsert_binding(&object(
                json!({"metadata": {"name": name, "namespace": namespace}, "roleRef": role, "subjects": subjects}),
            )),
        }
    }
}

impl Objects {
    fn of(steps: &[Step]) -> Self {
        let mut objects = Self::default();
        steps.iter().for_each(|step| step.on_objects(&mut objects));
        objects
    }

    fn model(&self) -> Rbac {
        let mut rbac = Rbac::default();
        for (&(namespace, name), rules) in &self.roles {
            Step::Role(namespace, name, Some(rules.clone())).on_model(&mut rbac);
        }
        for (&(namespace, name), binding) in &self.bindings {
            Step::Binding(namespace, name, Some(binding.clone())).on_model(&mut rbac);
        }
        rbac
    }

    /// Asks every binding, and shares nothing with the model but the types of the API.
    fn allows(&self, caller: &Caller, asked: &Attributes) -> bool {
        let (namespace, is_path) = match &asked.target {
            Target::Resource(resource) => (resource.namespace.as_str(), false),
            Target::Url(_) => ("", true),
        };
        self.bindings.iter().any(|(&(scope, _), (role, subjects))| {
            let applies = scope.is_empty() || (scope == namespace && !is_path);
            let rules = match role.kind.as_str() {
                "ClusterRole" => self
                    .roles
                    .iter()
                    .find(|((of, name), _)| of.is_empty() && *name == role.name),
                "Role" => self.roles.iter().find(|((of, name), _)| {
                    !scope.is_empty() && *of == scope && *name == role.name
                }),
                _ => None,
            };
            applies
                && subjects.iter().any(|subject| is(subject, caller, scope))
                && rules.is_some_and(|(_, rules)| rules.iter().any(|rule| rule_allows(rule, asked)))
        })
    }
}

fn is(subject: &RawSubject, caller: &Caller, scope: &str) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == caller.user,
        "Group" => caller.groups.iter().any(|group| *group == subject.name),
        "ServiceAccount" => {
            let own = subject.namespace.clone().filter(|own| !own.is_empty());
            let namespace = own.unwrap_or(scope.to_owned());
            let name = format!("system:serviceaccount:{namespace}:{}", subject.name);
            !namespace.is_empty() && name == caller.user
        }
        _ => false,
    }
}

fn rule_allows(rule: &PolicyRule, asked: &Attributes) -> bool {
    let any = |list: &Option<Vec<String>>, wanted: &dyn Fn(&str) -> bool| {
        list.iter().flatten().any(|item| wanted(item))
    };
    let verb = rule
        .verbs
        .iter()
        .any(|verb| *verb == "*" || *verb == asked.verb);
    let rest = match &asked.target {
        Target::Url(path) => any(
            &rule.non_resource_urls,
            &|url| match url.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path == url,
            },
        ),
        Target::Resource(of) => {
            let resource = |listed: &str| match (listed, of.subresource.as_str()) {
                ("*", _) => true,
                (listed, "") => listed == of.resource,
                (listed, sub) => {
                    listed == format!("*/{sub}") || listed == format!("{}/{sub}", of.resource)
                }
            };
            let names = rule.resource_names.clone().unwrap_or_default();
            any(&rule.api_groups, &|group| group == "*" || group == of.group)
                && any(&rule.resources, &resource)
                && (names.is_empty() || names.contains(&of.name))
        }
    };
    verb && rest
}

fn some(of: &[&'static str]) -> impl Strategy<Value = Vec<&'static str>> + use<> {
    subsequence(of.to_vec(), 1..=2)
}

fn any_rule() -> impl Strategy<Value = PolicyRule> {
    let verbs = || some(&["get", "list", "create", "delete", "*"]);
    let resources = some(&[
        "pods",
        "pods/exec",
        "secrets",
        "deployments/scale",
        "*/scale",
        "*",
    ]);
    let names = prop_oneof![3 => Just(vec![]), 1 => some(&["x", "y", ""])];
    let of_resources = (verbs(), some(&["", "apps", "*"]), resources, names)
        .prop_map(|(verbs, groups, resources, names)| json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}));
    let of_paths = (verbs(), some(&["/x", "/x/*", "*"]))
        .prop_map(|(verbs, urls)| json!({"verbs": verbs, "nonResourceURLs": urls}));
    prop_oneof![4 => of_resources, 1 => of_paths].prop_map(object)
}

fn any_subject() -> impl Strategy<Value = RawSubject> {
    let account = (select(vec![None, Some(""), Some("a"), Some("b")]), select(vec!["bot", "b"]))
        .prop_map(|(namespace, name)| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
    let user = select(USERS.to_vec()).prop_map(|name| json!({"kind": "User", "name": name}));
    let group = select(GROUPS.to_vec()).prop_map(|name| json!({"kind": "Group", "name": name}));
    let robot = Just(json!({"kind": "Robot", "name": "alice"}));
    prop_oneof![3 => user, 3 => group, 3 => account, 1 => robot].prop_map(object)
}

fn any_step() -> impl Strategy<Value = Step> {
    let place = || (select(NAMESPACES.to_vec()), select(NAMES.to_vec()));
    let role = (
        place(),
        prop::option::weighted(0.8, prop::collection::vec(any_rule(), 0..3)),
    )
        .prop_map(|((namespace, name), rules)| Step::Role(namespace, name, rules));
    let reference = (
        select(vec!["Role", "ClusterRole", "ClusterRole", "Other"]),
        select(NAMES.to_vec()),
    )
        .prop_map(|(kind, name)| object(json!({"apiGroup": "", "kind": kind, "name": name})));
    let bound = (reference, prop::collection::vec(any_subject(), 0..3));
    let binding = (place(), prop::option::weighted(0.8, bound))
        .prop_map(|((namespace, name), binding)| Step::Binding(namespace, name, binding));
    prop_oneof![role, binding]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..24)
}

fn any_caller() -> impl Strategy<Value = Caller> {
    let groups = subsequence(GROUPS.to_vec(), 0..=3);
    (select(USERS.to_vec()), groups).prop_map(|(user, groups)| Caller::new(user, groups))
}

fn any_question() -> impl Strategy<Value = Attributes> {
    let verb = || select(vec!["get", "list", "create", "delete", "*", "odd"]);
    let resource = select(vec![
        "pods",
        "pods/exec",
        "secrets",
        "deployments/scale",
        "odd/scale",
        "odd/x",
        "*",
        "*/scale",
    ]);
    let of_resource = (
        verb(),
        select(vec!["", "apps", "*"]),
        resource,
        select(NAMESPACES.to_vec()),
        select(vec!["", "x", "z"]),
    )
        .prop_map(|(verb, group, resource, namespace, name)| {
            Attributes::on(verb, group, resource, namespace).named(name)
        });
    let of_path = (verb(), select(vec!["/x", "/x/y", "/z", "*"]))
        .prop_map(|(verb, path)| Attributes::at(verb, path));
    prop_oneof![5 => of_resource, 1 => of_path]
}

fn rules_of(rules: &[PolicyRule]) -> Vec<Rule> {
    Rule::all(Some(rules))
}

proptest! {
    #[test]
    fn index_answers_as_asking_every_binding(steps in steps(), caller in any_caller(), asked in prop::collection::vec(any_question(), 20)) {
        let objects = Objects::of(&steps);
        let rbac = objects.model();
        for asked in asked {
            let expected = objects.allows(&caller, &asked);
            prop_assert_eq!(rbac.allows(&caller, &asked), expected, "{}", asked);
            prop_assert_eq!(!rbac.sources(&caller, &asked).is_empty(), expected, "{}", asked);
        }
    }

    #[test]
    fn kept_up_to_date_is_built_anew(steps in steps()) {
        let mut rbac = Rbac::default();
        steps.iter().for_each(|step| step.on_model(&mut rbac));
        prop_assert_eq!(rbac, Objects::of(&steps).model());
    }

    /// Each source suffices by itself, and without all of them the answer is no.
    #[test]
    fn sources_are_all_there_are_and_each_is_one(steps in steps(), caller in any_caller(), asked in prop::collection::vec(any_question(), 20)) {
        let rbac = Objects::of(&steps).model();
        for asked in asked {
            let sources = rbac.sources(&caller, &asked);
            let bindings: BTreeSet<(&str, &str)> = sources.iter().map(|source| (&*source.namespace, &*source.name)).collect();
            for kept in bindings.iter().map(Some).chain([None]) {
                let mut less = rbac.clone();
                for (namespace, name) in bindings.iter().filter(|binding| Some(*binding) != kept) {
                    less.remove_binding(namespace, name);
                }
                prop_assert_eq!(less.allows(&caller, &asked), kept.is_some());
            }
            for source in sources {
                prop_assert!(source.subject.is(&caller));
            }
        }
    }

    /// Whoever is named can, and whoever can is named.
    #[test]
    fn who_can_is_everybody_and_nobody_else(steps in steps(), caller in any_caller(), asked in any_question()) {
        prop_assume!(matches!(asked.target, Target::Resource(_)));
        let rbac = Objects::of(&steps).model();
        let namespace = asked.namespace();
        let found = rbac.who_can([namespace], Wanted::This(&asked));
        for (subject, sources) in &found {
            let alone = match subject {
                Subject::User(name) => Caller::new(name, [""; 0]),
                Subject::Group(name) => Caller::new("", [name]),
                Subject::ServiceAccount { namespace, name } => Caller::new(&subjects::username(namespace, name), [""; 0]),
            };
            prop_assert_eq!(sources, &rbac.sources(&alone, &asked).into_iter().filter(|source| source.subject == *subject).collect());
        }
        let mine: BTreeSet<Source> = found.into_iter().filter(|(subject, _)| subject.is(&caller)).flat_map(|(_, sources)| sources).collect();
        prop_assert_eq!(mine, rbac.sources(&caller, &asked));
    }

    #[test]
    fn whoever_can_do_something_in_a_namespace_can_do_anything_at_all(steps in steps(), caller in any_caller(), asked in prop::collection::vec(any_question(), 20)) {
        let rbac = Objects::of(&steps).model();
        for asked in asked.iter().filter(|asked| !asked.namespace().is_empty() && rbac.allows(&caller, asked)) {
            let found = rbac.who_can([asked.namespace()], Wanted::Anything);
            prop_assert!(found.keys().any(|subject| subject.is(&caller)), "{}", asked);
        }
    }

    /// Every question is answered with yes by the rules, each is asked once, and a list that is called complete is.
    #[test]
    fn questions_keep_their_word(rules in prop::collection::vec(any_rule(), 0..4), most in 0_usize..40, other in prop::collection::vec(any_question(), 20)) {
        let rules = rules_of(&rules);
        let namespaces = ["a".to_owned(), "b".to_owned()];
        let found = questions(&rules, &namespaces, most);
        prop_assert!(found.asked.len() <= most);
        let distinct: BTreeSet<&Attributes> = found.asked.iter().collect();
        prop_assert_eq!(distinct.len(), found.asked.len());
        for asked in &found.asked {
            prop_assert!(rules.iter().any(|rule| rule.allows(asked)), "{}", asked);
            prop_assert!(namespaces.iter().any(|namespace| namespace == asked.namespace()));
        }
        if most >= 1 && found.asked.is_empty() {
            prop_assert!(!rules.iter().any(Rule::is_about_resources));
        }
        let mut reversed = rules.clone();
        reversed.iter_mut().for_each(|rule| { rule.verbs.reverse(); rule.resources.reverse(); });
        prop_assert_eq!(&found, &questions(&reversed, &namespaces, most), "the order of a list means nothing");
        prop_assume!(found.is_complete());
        for question in other.iter().filter(|asked| namespaces.iter().any(|namespace| namespace == asked.namespace())) {
            let allowing = rules.iter().filter(|rule| rule.allows(question));
            // Where a rule has no names, the question without one stands for all.
            let nameless = question.clone().named("");
            let mut asked = allowing.map(|rule| if rule.names.is_empty() { &nameless } else { question });
            prop_assert!(asked.all(|asked| distinct.contains(asked)), "{}", question);
        }
    }

    /// With room for one question for each rule and namespace, no binding and no rule goes unasked.
    #[test]
    fn every_rule_is_asked_about_in_every_namespace_first(rules in prop::collection::vec(any_rule(), 1..6)) {
        let rules = rules_of(&rules);
        let namespaces = ["a".to_owned(), "b".to_owned()];
        let found = questions(&rules, &namespaces, rules.len() * 2);
        for rule in rules.iter().filter(|rule| rule.is_about_resources()) {
            for namespace in &namespaces {
                let asked = found.asked.iter().filter(|asked| asked.namespace() == namespace);
                prop_assert!(asked.clone().any(|asked| rule.allows(asked)), "{}", rule);
            }
        }
    }

    /// Rules without a fault give nothing of what makes a role dangerous, and nothing that nobody thought of.
    #[test]
    fn what_is_not_dangerous_hands_out_nothing(rules in prop::collection::vec(any_dangerous_rule(), 20)) {
        let harmless = rules.into_iter().filter(|rule| dangers(std::slice::from_ref(rule)).is_empty());
        let rules: Vec<Rule> = harmless.collect();
        prop_assert!(dangers(&rules).is_empty());
        for (verb, group, resource) in [
            ("escalate", "rbac.authorization.k8s.io", "roles"),
            ("bind", "rbac.authorization.k8s.io", "clusterroles"),
            ("impersonate", "", "users"),
            ("impersonate", "authentication.k8s.io", "userextras/scopes"),
            ("create", "", "serviceaccounts/token"),
            ("update", "certificates.k8s.io", "certificatesigningrequests/approval"),
            ("patch", "certificates.k8s.io", "certificatesigningrequests/approval"),
            ("approve", "certificates.k8s.io", "signers"),
            ("get", "", "nodes/proxy"),
            ("create", "", "nodes/proxy"),
            ("invented", "", "pods"),
            ("get", "invented.example", "pods"),
            ("get", "", "invented"),
            ("get", "", "invented/log"),
        ] {
            for name in ["", "x"] {
                let asked = Attributes::on(verb, group, resource, "a").named(name);
                prop_assert!(!rules.iter().any(|rule| rule.allows(&asked)), "{}", asked);
            }
        }
        prop_assert!(!rules.iter().any(|rule| rule.allows(&Attributes::at("get", "/invented"))));
    }
}

fn any_dangerous_rule() -> impl Strategy<Value = Rule> {
    let verbs = subsequence(
        vec![
            "get",
            "list",
            "create",
            "update",
            "patch",
            "*",
            "escalate",
            "bind",
            "impersonate",
            "approve",
        ],
        1..=2,
    );
    let groups = subsequence(
        vec![
            "",
            "apps",
            "*",
            "rbac.authorization.k8s.io",
            "authentication.k8s.io",
            "certificates.k8s.io",
        ],
        1..=2,
    );
    let resources = subsequence(
        vec![
            "pods",
            "pods/log",
            "*",
            "*/log",
            "*/proxy",
            "*/token",
            "roles",
            "clusterroles",
            "users",
            "userextras/scopes",
            "serviceaccounts/token",
            "certificatesigningrequests/approval",
            "signers",
            "nodes/proxy",
        ],
        1..=2,
    );
    let urls = subsequence(vec!["/x", "/*", "*"], 0..=1);
    (verbs, groups, resources, urls, prop::bool::ANY).prop_map(
        |(verbs, groups, resources, urls, named)| {
            let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
            let names = if named { vec!["x"] } else { vec![] };
            Rule {
                verbs: own(verbs),
                groups: own(groups),
                resources: own(resources),
                names: own(names),
                urls: own(urls),
            }
        },
    )
}
