//! One test for each thing RBAC does.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

pub(super) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Rules by `verbs on group/resource,...`: `"get,list on apps:deployments,pods"`.
fn rules(rules: Value) -> Vec<Rule> {
    let rules: Vec<PolicyRule> = object(rules);
    Rule::all(Some(&rules))
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Rule {
    rules(json!([{"verbs": verbs, "apiGroups": groups, "resources": resources}])).remove(0)
}

fn named(rule: Rule, names: &[&str]) -> Rule {
    let names = names.iter().map(ToString::to_string).collect();
    Rule { names, ..rule }
}

fn urls(verbs: &[&str], urls: &[&str]) -> Rule {
    rules(json!([{"verbs": verbs, "nonResourceURLs": urls}])).remove(0)
}

/// A cluster in which `subject` is bound in namespace `a` (or cluster-wide) to a role that reads pods.
fn bound(subject: Value, namespace: Option<&str>) -> Rbac {
    let mut rbac = Rbac::default();
    rbac.upsert_cluster_role(&object(json!({
        "metadata": {"name": "reader"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
    })));
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"});
    let metadata = json!({"name": "b", "namespace": namespace});
    let binding = json!({"metadata": metadata, "roleRef": role, "subjects": [subject]});
    match namespace {
        Some(_) => rbac.upsert_binding(&object(binding)),
        None => rbac.upsert_cluster_binding(&object(binding)),
    }
    rbac
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

fn account(namespace: Option<&str>, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

fn alice() -> Caller {
    Caller::authenticated("alice", ["devs"])
}

fn get_pods(namespace: &str) -> Attributes {
    Attributes::on("get", "", "pods", namespace)
}

fn told(sources: &BTreeSet<Source>) -> Vec<String> {
    sources.iter().map(Source::to_string).collect()
}

#[test]
fn verbs_groups_and_resources_match_exactly_or_by_a_star_alone() {
    let pods = rule(&["get"], &[""], &["pods"]);
    assert!(pods.allows(&get_pods("a")));
    assert!(!pods.allows(&Attributes::on("list", "", "pods", "a")));
    assert!(!pods.allows(&Attributes::on("GET", "", "pods", "a")));
    assert!(!pods.allows(&Attributes::on("get", "metrics.k8s.io", "pods", "a")));
    assert!(!pods.allows(&Attributes::on("get", "", "services", "a")));
    let everything = rule(&["*"], &["*"], &["*"]);
    assert!(everything.allows(&Attributes::on("invent", "x.example", "things/part", "a")));
    for literal in [
        rule(&["g*"], &[""], &["pods"]),
        rule(&["get"], &["*.io", "*x"], &["pods"]),
        rule(&["get"], &[""], &["pod*", "pods*"]),
    ] {
        assert!(!literal.allows(&get_pods("a")), "{literal}");
    }
}

#[test]
fn question_with_a_star_is_answered_by_a_star_only() {
    let asked = Attributes::on("*", "*", "*", "a");
    assert!(rule(&["*"], &["*"], &["*"]).allows(&asked));
    assert!(!rule(&["get", "list"], &["*"], &["*"]).allows(&asked));
    assert!(!rule(&["*"], &[""], &["*"]).allows(&asked));
    assert!(!rule(&["*"], &["*"], &["pods"]).allows(&asked));
}

#[test]
fn subresource_is_a_resource_of_its_own() {
    let exec = Attributes::on("create", "", "pods/exec", "a");
    assert!(!rule(&["create"], &[""], &["pods"]).allows(&exec));
    assert!(
        !rule(
            &["create"],
            &[""],
            &["exec", "/exec", "pods/*", "*/*", "*/xec"]
        )
        .allows(&exec)
    );
    assert!(rule(&["create"], &[""], &["pods/exec"]).allows(&exec));
    assert!(rule(&["create"], &[""], &["*/exec"]).allows(&exec));
    assert!(rule(&["create"], &[""], &["*"]).allows(&exec));
    let pods = Attributes::on("create", "", "pods", "a");
    assert!(!rule(&["create"], &[""], &["pods/exec", "*/exec", "*/"]).allows(&pods));
}

#[test]
fn rule_with_names_allows_nothing_without_a_name() {
    let one = named(rule(&["*"], &[""], &["secrets"]), &["key"]);
    let asked = |verb| Attributes::on(verb, "", "secrets", "a");
    assert!(one.allows(&asked("get").named("key")));
    assert!(!one.allows(&asked("get").named("other")));
    for verb in ["get", "list", "watch", "create", "deletecollection"] {
        assert!(!one.allows(&asked(verb)), "{verb}");
    }
    // A list may ask for one name, and a name may be empty: both as the authorizer sees it.
    assert!(one.allows(&asked("list").named("key")));
    assert!(named(one.clone(), &[""]).allows(&asked("create")));
    assert!(
        !named(one, &["*"]).allows(&asked("get").named("key")),
        "names know no star"
    );
}

#[test]
fn paths_match_exactly_or_by_their_beginning() {
    let get = |path| Attributes::at("get", path);
    assert!(urls(&["get"], &["/metrics"]).allows(&get("/metrics")));
    assert!(!urls(&["get"], &["/metrics"]).allows(&get("/metrics/x")));
    assert!(!urls(&["post"], &["/metrics"]).allows(&get("/metrics")));
    assert!(urls(&["get"], &["/metrics*"]).allows(&get("/metrics")));
    assert!(urls(&["get"], &["/metrics/**"]).allows(&get("/metrics/x/y")));
    assert!(!urls(&["get"], &["/metrics/*"]).allows(&get("/metrics")));
    assert!(!urls(&["get"], &["/*/x"]).allows(&get("/y/x")));
    assert!(!urls(&["get"], &["/*/x"]).allows(&get("/*/x/y")));
    assert!(urls(&["*"], &["*"]).allows(&get("/anything")));
    // Neither is the other: a rule of resources allows no path, a rule of paths no resource.
    assert!(!rule(&["*"], &["*"], &["*"]).allows(&get("/metrics")));
    assert!(!urls(&["*"], &["*"]).allows(&get_pods("a")));
}

#[test]
fn role_binding_reaches_its_namespace_and_a_cluster_role_binding_all() {
    let here = bound(user("alice"), Some("a"));
    assert!(here.allows(&alice(), &get_pods("a")));
    assert!(!here.allows(&alice(), &get_pods("b")));
    assert!(!here.allows(&alice(), &get_pods("")));
    let everywhere = bound(user("alice"), None);
    for namespace in ["a", "b", ""] {
        assert!(everywhere.allows(&alice(), &get_pods(namespace)));
    }
}

#[test]
fn paths_are_given_cluster_wide_only() {
    let mut rbac = Rbac::default();
    let rules = json!([{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]);
    let role = json!({"apiGroup": "", "kind": "ClusterRole", "name": "metrics"});
    rbac.upsert_cluster_role(&object(
        json!({"metadata": {"name": "metrics"}, "rules": rules}),
    ));
    rbac.upsert_binding(&object(
        json!({"metadata": {"name": "b", "namespace": "a"}, "roleRef": role, "subjects": [user("alice")]}),
    ));
    assert!(!rbac.allows(&alice(), &Attributes::at("get", "/metrics")));
    rbac.upsert_cluster_binding(&object(
        json!({"metadata": {"name": "b"}, "roleRef": role, "subjects": [user("alice")]}),
    ));
    assert!(rbac.allows(&alice(), &Attributes::at("get", "/metrics")));
}

#[test]
fn role_is_looked_for_where_its_binding_is() {
    let mut rbac = Rbac::default();
    let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    rbac.upsert_role(&object(
        json!({"metadata": {"name": "r", "namespace": "a"}, "rules": rules}),
    ));
    let bind = |kind, namespace| {
        json!({"metadata": {"name": "b", "namespace": namespace}, "subjects": [user("alice")],
            "roleRef": {"apiGroup": "", "kind": kind, "name": "r"}})
    };
    // There is no ClusterRole of that name, and no Role of that name there.
    rbac.upsert_binding(&object(bind("ClusterRole", Some("a"))));
    rbac.upsert_binding(&object(bind("Role", Some("b"))));
    rbac.upsert_cluster_binding(&object(bind("Role", None)));
    for namespace in ["a", "b", ""] {
        assert!(
            !rbac.allows(&alice(), &get_pods(namespace)),
            "{namespace:?}"
        );
    }
    // Now there is one, and what asks for a Role does not get it.
    rbac.upsert_cluster_role(&object(json!({"metadata": {"name": "r"}, "rules": rules})));
    assert!(rbac.allows(&alice(), &get_pods("a")));
    for namespace in ["b", ""] {
        assert!(
            !rbac.allows(&alice(), &get_pods(namespace)),
            "{namespace:?}"
        );
    }
    rbac.remove_role("", "r");
    rbac.upsert_binding(&object(bind("Role", Some("a"))));
    assert!(rbac.allows(&alice(), &get_pods("a")));
}

#[test]
fn binding_of_a_missing_role_allows_nothing_and_dangles() {
    let mut rbac = bound(user("alice"), Some("a"));
    assert!(rbac.dangling(["a"]).is_empty());
    rbac.remove_role("", "reader");
    assert!(!rbac.allows(&alice(), &get_pods("a")));
    assert!(rbac.who_can(["a"], Wanted::Anything).is_empty());
    assert_eq!(
        told(&rbac.dangling(["a"])),
        ["RoleBinding/a/b of ClusterRole/reader to User alice"]
    );
    assert!(rbac.dangling(["c"]).is_empty());
}

#[test]
fn users_and_groups_are_exact_names() {
    let asked = get_pods("a");
    let allows = |subject| bound(subject, Some("a")).allows(&alice(), &asked);
    assert!(allows(user("alice")));
    for nobody in ["alice-admin", "Alice", "alice ", "", "*", "devs"] {
        assert!(!allows(user(nobody)), "{nobody}");
    }
    assert!(allows(group("devs")));
    assert!(allows(group("system:authenticated")));
    for nobody in [
        "dev",
        "*",
        "alice",
        "system:unauthenticated",
        "system:serviceaccounts",
    ] {
        assert!(!allows(group(nobody)), "{nobody}");
    }
    assert!(!allows(json!({"kind": "Robot", "name": "alice"})));
    // The API server has checked what group a subject's kind is of; the authorizer does not look.
    assert!(allows(
        json!({"apiGroup": "else.example", "kind": "User", "name": "alice"})
    ));
}

#[test]
fn service_account_is_the_user_of_its_name() {
    let bot = Caller::service_account("a", "bot");
    let allows = |subject, namespace| bound(subject, namespace).allows(&bot, &get_pods("a"));
    assert!(allows(account(Some("a"), "bot"), Some("a")));
    assert!(allows(account(Some("a"), "bot"), None));
    assert!(!allows(account(Some("b"), "bot"), Some("a")));
    assert!(!allows(account(Some("a"), "bot2"), Some("a")));
    // Without a namespace it is the binding's own, and in a ClusterRoleBinding nobody's.
    assert!(allows(account(None, "bot"), Some("a")));
    assert!(allows(account(Some(""), "bot"), Some("a")));
    assert!(!allows(account(None, "bot"), None));
    assert!(allows(user("system:serviceaccount:a:bot"), None));
    for of_all in [
        "system:serviceaccounts",
        "system:serviceaccounts:a",
        "system:authenticated",
    ] {
        assert!(allows(group(of_all), None), "{of_all}");
    }
    assert!(!allows(group("system:serviceaccounts:b"), None));
}

#[test]
fn account_in_a_namespace_with_a_colon_is_who_the_authorizer_takes_it_for() {
    let caller = Caller::new("system:serviceaccount:a:b:c", ["x"]);
    for (namespace, name) in [("a", "b:c"), ("a:b", "c")] {
        let rbac = bound(account(Some(namespace), name), None);
        assert!(rbac.allows(&caller, &get_pods("a")), "{namespace} {name}");
    }
}

#[test]
fn every_source_is_named_with_the_subject_it_comes_through() {
    let mut rbac = bound(group("devs"), None);
    let role = json!({"apiGroup": "", "kind": "ClusterRole", "name": "reader"});
    rbac.upsert_binding(&object(
        json!({"metadata": {"name": "mine", "namespace": "a"}, "roleRef": role,
        "subjects": [user("bob"), user("alice"), group("system:authenticated")]}),
    ));
    rbac.upsert_binding(&object(
        json!({"metadata": {"name": "other", "namespace": "b"}, "roleRef": role, "subjects": [user("alice")]}),
    ));
    assert_eq!(
        told(&rbac.sources(&alice(), &get_pods("a"))),
        [
            "ClusterRoleBinding/b of ClusterRole/reader to Group devs",
            "RoleBinding/a/mine of ClusterRole/reader to Group system:authenticated",
            "RoleBinding/a/mine of ClusterRole/reader to User alice",
        ]
    );
    assert!(
        rbac.sources(&alice(), &Attributes::on("list", "", "pods", "a"))
            .is_empty()
    );
}

#[test]
fn who_can_names_everybody_with_every_way() {
    let mut rbac = bound(group("devs"), None);
    let role = json!({"apiGroup": "", "kind": "ClusterRole", "name": "reader"});
    let bind = |name: &str, namespace: &str, subjects: Value| {
        object(
            json!({"metadata": {"name": name, "namespace": namespace}, "roleRef": role, "subjects": subjects}),
        )
    };
    rbac.upsert_binding(&bind(
        "x",
        "a",
        json!([user("alice"), account(None, "bot")]),
    ));
    rbac.upsert_binding(&bind("y", "b", json!([user("alice"), user("bob")])));
    rbac.upsert_binding(&bind("z", "c", json!([user("carol")])));
    let who = |namespaces: &[&str], wanted| -> Vec<String> {
        let found = rbac.who_can(namespaces.iter().copied(), wanted);
        found
            .iter()
            .map(|(subject, sources)| format!("{subject} {}", sources.len()))
            .collect()
    };
    let pods = get_pods("elsewhere");
    let expected = [
        "Group devs 1",
        "ServiceAccount a/bot 1",
        "User alice 2",
        "User bob 1",
    ];
    assert_eq!(who(&["a", "b"], Wanted::This(&pods)), expected);
    assert_eq!(who(&["a", "b"], Wanted::Anything), expected);
    assert_eq!(
        who(&["c"], Wanted::Anything),
        ["Group devs 1", "User carol 1"]
    );
    let list = Attributes::on("list", "", "pods", "a");
    assert!(who(&["a", "b", "c"], Wanted::This(&list)).is_empty());
}

#[test]
fn cluster_wide_reading_of_what_lies_in_no_namespace_reaches_none() {
    let nodes = ["get", "list", "watch"];
    for outside in [
        rule(&nodes, &[""], &["nodes", "persistentvolumes"]),
        rule(
            &nodes,
            &["storage.k8s.io", "tenure.dev"],
            &["storageclasses"],
        ),
        rule(&["create"], &["authentication.k8s.io"], &["tokenreviews"]),
        rule(&["*"], &["tenure.dev"], &["*"]),
        urls(&["get"], &["*"]),
        rule(&[], &["*"], &["*"]),
    ] {
        assert!(!outside.reaches_into_namespaces(), "{outside}");
    }
    for inside in [
        rule(&["get"], &[""], &["pods"]),
        rule(&["get"], &[""], &["nodes", "pods"]),
        rule(&["get"], &["", "apps"], &["nodes"]),
        rule(&["get"], &[""], &["nodes/proxy"]),
        rule(&["get", "update"], &[""], &["nodes"]),
        rule(&["create"], &[""], &["nodes"]),
        rule(
            &["create"],
            &["authorization.k8s.io"],
            &["localsubjectaccessreviews"],
        ),
        rule(
            &["create"],
            &["admissionregistration.k8s.io"],
            &["mutatingwebhookconfigurations"],
        ),
        rule(&["get"], &["*"], &["nodes"]),
        rule(&["get"], &[""], &["*"]),
        rule(&["get"], &["unknown.example"], &["things"]),
    ] {
        assert!(inside.reaches_into_namespaces(), "{inside}");
    }
}

#[test]
fn masters_and_nodes_are_asked_for_nothing() {
    assert_eq!(alice().outranks_rbac(), None);
    let master = Caller::authenticated("alice", ["system:masters"]);
    assert!(master.outranks_rbac().unwrap().contains("system:masters"));
    let node = Caller::new("system:node:n1", ["system:nodes"]);
    assert!(node.outranks_rbac().unwrap().contains("Node"));
    assert_eq!(Caller::new("n1", ["system:nodes"]).outranks_rbac(), None);
    assert_eq!(Caller::new("system:node:n1", ["x"]).outranks_rbac(), None);
}

#[test]
fn dangerous_rules_are_named_with_the_reason() {
    let cases = [
        (rule(&["*"], &[""], &["pods"]), "a wildcard in verbs"),
        (rule(&["get"], &["*"], &["pods"]), "a wildcard in apiGroups"),
        (rule(&["get"], &[""], &["*"]), "a wildcard in resources"),
        (rule(&["get"], &[""], &["*/log"]), "a wildcard in resources"),
        (
            urls(&["get"], &["/metrics/*"]),
            "a wildcard in nonResourceURLs",
        ),
        (
            rule(&["escalate"], &["rbac.authorization.k8s.io"], &["roles"]),
            "`escalate`",
        ),
        (
            named(
                rule(&["bind"], &["rbac.authorization.k8s.io"], &["clusterroles"]),
                &["view"],
            ),
            "`bind`",
        ),
        (rule(&["impersonate"], &[""], &["users"]), "`impersonate`"),
        (
            rule(&["impersonate"], &["authentication.k8s.io"], &["uids"]),
            "`impersonate`",
        ),
        (
            rule(
                &["impersonate:user-info"],
                &["authentication.k8s.io"],
                &["users"],
            ),
            "`impersonate`",
        ),
        (
            rule(&["impersonate-on:serviceaccount:get"], &[""], &["pods"]),
            "`impersonate`",
        ),
        (
            named(
                rule(&["create"], &[""], &["serviceaccounts/token"]),
                &["bot"],
            ),
            "serviceaccounts/token",
        ),
        (
            rule(
                &["patch"],
                &["certificates.k8s.io"],
                &["certificatesigningrequests/approval"],
            ),
            "certificate requests",
        ),
        (
            rule(
                &["update"],
                &["certificates.k8s.io"],
                &["certificatesigningrequests/approval"],
            ),
            "certificate requests",
        ),
        (
            rule(&["approve"], &["certificates.k8s.io"], &["signers"]),
            "certificate requests",
        ),
        (
            rule(&["approve"], &["tenure.dev"], &["customertenants"]),
            "decided",
        ),
        (
            rule(&["sign"], &["certificates.k8s.io"], &["signers"]),
            "`sign`",
        ),
        (
            rule(&["attest"], &["certificates.k8s.io"], &["signers"]),
            "`attest`",
        ),
        (
            rule(&["break-glass"], &["tenure.dev"], &["customertenants"]),
            "`break-glass`",
        ),
        (rule(&["get"], &[""], &["nodes/proxy"]), "nodes/proxy"),
    ];
    for (rule, why) in cases {
        let harmless = self::rule(&["get"], &[""], &["pods"]);
        let found = dangers(&[harmless, rule.clone()]);
        let [fault] = &found.faults[..] else {
            panic!("{rule}: {found:?}");
        };
        let text = fault.to_string();
        assert!(text.starts_with("rules[1] (verbs "), "{text}");
        assert!(
            text.contains(why) && text.contains(&rule.to_string()),
            "{text}"
        );
    }
}

#[test]
fn what_tenants_people_need_is_no_danger() {
    let needed = [
        rule(
            &["get", "list", "watch"],
            &["", "apps"],
            &["pods", "pods/log", "deployments"],
        ),
        rule(
            &["create"],
            &[""],
            &["pods/exec", "pods/portforward", "pods/attach"],
        ),
        rule(&["patch", "update"], &[""], &["pods/ephemeralcontainers"]),
        rule(
            &["get"],
            &[""],
            &["secrets", "serviceaccounts", "serviceaccounts/token"],
        ),
        rule(
            &["get", "list"],
            &["certificates.k8s.io"],
            &["certificatesigningrequests/approval"],
        ),
        rule(&["update", "patch"], &["apps"], &["deployments/scale"]),
        rule(
            &["create", "update"],
            &["rbac.authorization.k8s.io"],
            &["roles", "rolebindings"],
        ),
        urls(&["get"], &["/healthz"]),
    ];
    assert!(dangers(&needed).is_empty(), "{:?}", dangers(&needed));
}

#[test]
fn faults_are_bounded_and_what_is_left_out_is_said() {
    let bad = Rule {
        names: (0..1000)
            .map(|index| format!("x{index}\u{202e}\n"))
            .collect(),
        ..rule(&["*"], &["*"], &["*"])
    };
    let found = dangers(&vec![bad; 10]);
    assert_eq!((found.faults.len(), found.more), (20, 10));
    for fault in &found.faults {
        let text = fault.to_string();
        let is_plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        assert!(text.len() < 500 && is_plain, "{text}");
    }
}

fn asked(rules: &[Rule], namespaces: &[&str], most: usize) -> (Vec<String>, Questions) {
    let namespaces: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
    let found = questions(rules, &namespaces, most);
    (
        found.asked.iter().map(Attributes::to_string).collect(),
        found,
    )
}

#[test]
fn questions_are_every_verb_on_every_resource_once() {
    let rules = [
        rule(&["get", "list"], &[""], &["pods", "pods/log"]),
        rule(&["list", "get", "get"], &[""], &["pods"]),
        named(rule(&["get"], &["apps"], &["deployments"]), &["web", "db"]),
        urls(&["get"], &["/metrics"]),
    ];
    let (asked, found) = asked(&rules, &["b", "a", "a"], 100);
    let expected = [
        "get pods in a",
        "get pods in b",
        "get deployments.apps db in a",
        "get deployments.apps db in b",
        "get pods/log in a",
        "get pods/log in b",
        "list pods in a",
        "list pods in b",
        "get deployments.apps web in a",
        "get deployments.apps web in b",
        "list pods/log in a",
        "list pods/log in b",
    ];
    assert_eq!(asked, expected);
    assert!(found.is_complete(), "{found:?}");
}

#[test]
fn too_many_questions_are_cut_to_those_that_show_most() {
    let rules = [
        rule(&["get", "list", "update"], &[""], &["pods", "services"]),
        rule(&["get"], &[""], &["secrets"]),
    ];
    let (asked, found) = asked(&rules, &["a", "b"], 5);
    let expected = [
        "update pods in a",
        "update pods in b",
        "get secrets in a",
        "get secrets in b",
        "update services in a",
    ];
    assert_eq!(asked, expected);
    assert_eq!(found.left_out, 9);
    assert!(!found.is_complete());
}

#[test]
fn wildcard_is_asked_for_as_itself_and_never_called_complete() {
    let rules = [
        rule(&["get"], &[""], &["pods"]),
        rule(&["*"], &["apps"], &["deployments"]),
        rule(&["get"], &["*"], &["deployments"]),
        rule(&["get"], &["apps"], &["*/scale"]),
    ];
    let (asked, found) = asked(&rules, &["a"], 100);
    let expected = [
        "get pods in a",
        "* deployments.apps in a",
        "get deployments.* in a",
        "get */scale.apps in a",
    ];
    assert_eq!(asked, expected);
    assert_eq!(found.endless, BTreeSet::from([1, 2, 3]));
    assert!(!found.is_complete());
    for (rule, asked) in rules.iter().zip(&found.asked) {
        assert!(rule.allows(asked), "{asked}");
    }
}

#[test]
fn vast_rules_are_counted_and_not_made() {
    let vast = Rule {
        verbs: (0..1000).map(|index| format!("verb-{index}")).collect(),
        groups: (0..1000).map(|index| format!("group-{index}")).collect(),
        resources: (0..1000).map(|index| format!("resource-{index}")).collect(),
        names: (0..1000).map(|index| format!("name-{index}")).collect(),
        urls: Vec::new(),
    };
    let (asked, found) = asked(&vec![vast; 20], &["a"], 50);
    assert_eq!(asked.len(), 50);
    assert!(found.left_out > 1_000_000_000_000, "{}", found.left_out);
}
