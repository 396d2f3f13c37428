use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use super::*;

pub(super) fn ns(name: &str, extra: Value) -> Namespace {
    let mut labels = json!({"kubernetes.io/metadata.name": name});
    labels
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
}

pub(super) fn pod(namespace: &str, name: &str, labels: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": {"containers": []}})).unwrap()
}

pub(super) fn policy(namespace: &str, name: &str, spec: Value) -> NetworkPolicy {
    serde_json::from_value(
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec}),
    )
    .unwrap()
}

pub(super) fn world(
    namespaces: &[Namespace],
    pods: &[Pod],
    policies: &[NetworkPolicy],
    cluster_policies: &[Value],
) -> World {
    let mut world = World::default();
    for namespace in namespaces {
        world.upsert_namespace(namespace.into());
    }
    pods.iter().for_each(|pod| {
        world.upsert_pod(pod.into());
    });
    policies
        .iter()
        .for_each(|policy| world.upsert_policy(policy.try_into().unwrap()));
    for policy in cluster_policies {
        world.upsert_cluster_policy(
            (&serde_json::from_value::<ClusterNetworkPolicy>(policy.clone()).unwrap()).into(),
        );
    }
    world
}

fn deny(namespace: &str) -> NetworkPolicy {
    policy(
        namespace,
        "tenure-default-deny",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    )
}

/// Two tenants with deny-all each, one outside namespace without policies; `extra` is added to a's.
fn check(extra: Value, expect: &[&str]) {
    let namespaces = [
        ns("a", json!({"team": "red"})),
        ns("b", json!({"team": "blue"})),
        ns("tools", json!({})),
    ];
    let pods = [
        pod("a", "web", json!({"app": "web"})),
        pod("b", "db", json!({"app": "db"})),
    ];
    let mut policies = vec![deny("a"), deny("b")];
    if !extra.is_null() {
        policies.push(policy("a", "extra", extra));
    }
    let world = world(&namespaces, &pods, &policies, &[]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let tenant_of = |namespace: &str| matches!(namespace, "a" | "b").then(|| namespace.to_owned());
    let found: Vec<String> = exposures(&world, &expected, &tenant_of)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn deny_all_exposes_nothing() {
    check(Value::Null, &[]);
}

#[test]
fn a_rule_without_peers_opens_to_everybody_who_is_not_isolated() {
    for rule in [json!({}), json!({"from": []})] {
        check(
            json!({"podSelector": {}, "ingress": [rule]}),
            &[
                "0.0.0.0/0, ::/0 can reach a: every port; NetworkPolicy a/extra, ingress[0]",
                "tools can reach a: every port; NetworkPolicy a/extra, ingress[0] (once there are such pods)",
            ],
        );
    }
}

#[test]
fn an_empty_namespace_selector_opens_to_every_pod() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        &[
            "tools can reach a: every port; NetworkPolicy a/extra, ingress[0] (once there are such pods)",
        ],
    );
}

#[test]
fn an_empty_pod_selector_alone_stays_in_its_namespace() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}),
        &[],
    );
}

#[test]
fn a_negative_selector_reaches_further_than_it_says() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]}}], "ports": [{"port": 80}]}]}),
        &[
            "tools can reach a: TCP 80; NetworkPolicy a/extra, ingress[0] (once there are such pods)",
        ],
    );
}

#[test]
fn halves_of_everything_are_everything() {
    check(
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/1"}}, {"ipBlock": {"cidr": "128.0.0.0/1"}}]}]}),
        &["a can reach 0.0.0.0/0: every port; NetworkPolicy a/extra, egress[0]"],
    );
    check(
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "::/1"}}, {"ipBlock": {"cidr": "8000::/1"}}], "ports": [{"port": 443}]}]}),
        &["a can reach ::/0: TCP 443; NetworkPolicy a/extra, egress[0]"],
    );
}

#[test]
fn what_a_block_leaves_out_is_not_reached() {
    check(
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.128.0.0/9"]}}]}]}),
        &["a can reach 10.0.0.0/9: every port; NetworkPolicy a/extra, egress[0]"],
    );
}

#[test]
fn a_named_port_nobody_has_opens_nothing_between_pods() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]}]}),
        &[],
    );
}

#[test]
fn every_policy_at_fault_is_named() {
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}, {"from": [{"namespaceSelector": {}}], "ports": [{"port": 80, "endPort": 81}]}, {"from": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}]});
    check(
        spec,
        &[
            "tools can reach a: TCP 80-81; NetworkPolicy a/extra, ingress[1] (once there are such pods)",
            "tools can reach a: UDP 53; NetworkPolicy a/extra, ingress[2] (once there are such pods)",
        ],
    );
}

#[test]
fn only_what_was_not_declared_of_a_block_is_reported() {
    let namespaces = [ns("a", json!({}))];
    let extra = policy(
        "a",
        "extra",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}),
    );
    let world = world(&namespaces, &[], &[deny("a"), extra], &[]);
    let with = |cidrs: &[&str]| {
        let expected = Expected {
            own: ["a".to_owned()].into(),
            egress_cidrs: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            ..Expected::default()
        };
        let found = exposures(&world, &expected, &|_| None);
        found
            .into_iter()
            .map(|exposure| exposure.to)
            .collect::<Vec<_>>()
    };
    assert_eq!(with(&["203.0.113.0/25", "203.0.113.128/25"]), [""; 0]);
    assert_eq!(with(&["203.0.113.0/25"]), ["203.0.113.128/25"]);
}

#[test]
fn exposures_beyond_the_shown_ones_are_counted() {
    let mut namespaces = vec![ns("a", json!({}))];
    namespaces.extend((0..60).map(|index| ns(&format!("n{index:02}"), json!({}))));
    let open = policy(
        "a",
        "open",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
    );
    let world = world(&namespaces, &[], &[open], &[]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let found = unexpected(&world, &expected, &|_| None);
    assert_eq!((found.shown.len(), found.more), (50, 10));
}

#[test]
fn an_end_left_open_is_ajar_while_the_far_end_is_closed() {
    let namespaces = [ns("a", json!({})), ns("b", json!({}))];
    let open = policy(
        "a",
        "open",
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
    );
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let owner = |_: &str| None;
    let closed = world(&namespaces, &[], &[deny("a"), deny("b")], &[]);
    assert!(!unexpected(&closed, &expected, &owner).ajar);
    let ajar = world(&namespaces, &[], &[deny("a"), open, deny("b")], &[]);
    let found = unexpected(&ajar, &expected, &owner);
    assert!(found.ajar && found.shown.is_empty(), "{found:?}");
}

#[test]
fn a_cluster_policy_that_opens_is_named_and_one_not_understood_closes_nothing() {
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let cluster = |tier: &str, rule: Value| json!({"metadata": {"name": "wide"}, "spec": {"tier": tier, "priority": 1, "subject": {"namespaces": {}}, "ingress": [rule]}});
    let found = |policies: &[NetworkPolicy], cluster: Value| {
        let world = world(&namespaces, &[], policies, &[cluster]);
        let expected = Expected {
            own: ["a".to_owned()].into(),
            ..Expected::default()
        };
        let found = exposures(&world, &expected, &|_| None);
        let inward = found.iter().filter(|exposure| exposure.from == "tools");
        inward
            .map(|exposure| exposure.what.clone())
            .collect::<Vec<_>>()
    };
    let accept = json!({"action": "Accept", "from": [{"namespaces": {}}], "protocols": [{"tcp": {"destinationPort": {"number": 22}}}]});
    assert_eq!(
        found(&[deny("a")], cluster("Admin", accept)),
        ["TCP 22; ClusterNetworkPolicy wide, ingress[0]"]
    );
    let deny_all = json!({"action": "Deny", "from": [{"namespaces": {}}]});
    assert_eq!(found(&[], cluster("Baseline", deny_all.clone())), [""; 0]);
    let strange =
        json!({"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"quic": {}}]});
    for unread in [cluster("Baseline", strange), cluster("Later", deny_all)] {
        assert_eq!(
            found(&[], unread),
            ["every port; no policy isolates ingress of these pods in a"]
        );
    }
}

#[test]
fn a_pass_of_unknown_place_takes_flows_past_any_denial() {
    let rule = |action: &str| json!([{"action": action, "from": [{"namespaces": {}}]}]);
    let cluster = |name: &str, tier: &str, action: &str| json!({"metadata": {"name": name}, "spec": {"tier": tier, "priority": 1, "subject": {"namespaces": {}}, "ingress": rule(action)}});
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let deny = cluster("deny", "Baseline", "Deny");
    let world = world(
        &namespaces,
        &[],
        &[],
        &[deny, cluster("pass", "Later", "Pass")],
    );
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let found = exposures(&world, &expected, &|_| None);
    assert!(
        found.iter().any(|exposure| exposure.from == "tools"
            && exposure
                .what
                .contains("ClusterNetworkPolicy pass, ingress[0], which is not understood")),
        "{found:?}"
    );
}

#[test]
fn a_pass_of_networks_may_take_pods_past_a_denial() {
    let cluster = json!({"metadata": {"name": "out"}, "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [
        {"action": "Pass", "to": [{"networks": ["10.0.0.0/8"]}]},
        {"action": "Deny", "to": [{"namespaces": {}}]},
    ]}});
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let world = world(&namespaces, &[], &[], &[cluster]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let found = exposures(&world, &expected, &|_| None);
    assert!(
        found.iter().any(|exposure| exposure.to == "tools"),
        "{found:?}"
    );
}

#[test]
fn a_peer_of_no_known_kind_is_not_understood() {
    let strange = policy(
        "a",
        "p",
        json!({"podSelector": {}, "ingress": [{"from": [{}]}]}),
    );
    assert_eq!(PolicyFacts::try_from(&strange), Err(NotUnderstood::Peer));
}

#[test]
fn a_pod_that_ended_reaches_nobody() {
    let mut world = World::default();
    let mut job = pod("a", "job", json!({"app": "job"}));
    let news = world.upsert_pod((&job).into());
    assert!(news.is_new_pod && news.changes_classes);
    let hypothetical = World::default().classes_in("a");
    assert_ne!(world.classes_in("a"), hypothetical);
    job.status = serde_json::from_value(json!({"phase": "Succeeded"})).unwrap();
    let news = world.upsert_pod((&job).into());
    assert!(!news.is_new_pod && news.changes_classes);
    assert_eq!(world.classes_in("a"), hypothetical);
    assert_eq!(world.upsert_pod((&job).into()), PodNews::default());
    assert!(world.has_pod("a"), "it may have left something behind");
    world.remove_pod("a", "job");
    assert_eq!(world, World::default());
}

#[test]
fn egress_rules_without_types_also_isolate_egress() {
    let facts = PolicyFacts::try_from(&policy(
        "a",
        "p",
        json!({"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}),
    ))
    .unwrap();
    assert!(facts.ingress.is_some() && facts.egress.is_some());
    let facts = PolicyFacts::try_from(&policy("a", "p", json!({"podSelector": {}}))).unwrap();
    assert!(facts.ingress.is_some() && facts.egress.is_none());
}

#[test]
fn a_namespace_without_policies_is_exposed_before_its_first_pod() {
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let world = world(&namespaces, &[], &[], &[]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let found = exposures(&world, &expected, &|_| None);
    assert!(
        found.iter().any(|exposure| exposure.side == Side::Inward
            && exposure
                .what
                .contains("no policy isolates ingress of these pods in a")),
        "{found:?}"
    );
}

#[test]
fn two_open_tenants_are_an_exposure_between_tenants() {
    let namespaces = [ns("a", json!({})), ns("b", json!({}))];
    let open = |namespace: &str| {
        policy(
            namespace,
            "open",
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{"namespaceSelector": {}}]}], "egress": [{"to": [{"namespaceSelector": {}}]}]}),
        )
    };
    let world = world(&namespaces, &[], &[open("a"), open("b")], &[]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    let found = exposures(&world, &expected, &|namespace| Some(namespace.to_owned()));
    assert_eq!(
        found
            .iter()
            .map(|exposure| exposure.side)
            .collect::<Vec<_>>(),
        [Side::BetweenTenants, Side::BetweenTenants]
    );
}

#[test]
fn a_declared_peer_is_no_exposure_and_a_parked_namespace_has_none() {
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let extra = policy(
        "a",
        "extra",
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tools"}}}]}]}),
    );
    let world = world(&namespaces, &[], &[deny("a"), extra], &[]);
    let declared = Expected {
        own: ["a".to_owned()].into(),
        ingress_namespaces: ["tools".to_owned()].into(),
        ..Expected::default()
    };
    assert_eq!(exposures(&world, &declared, &|_| None), []);
    let parked = Expected {
        parked: ["a".to_owned()].into(),
        ..declared.clone()
    };
    assert_eq!(
        exposures(
            &world,
            &Expected {
                own: Default::default(),
                ..parked
            },
            &|_| None
        )
        .len(),
        1
    );
}

#[test]
fn a_policy_that_is_not_understood_isolates_nothing() {
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let mut world = world(&namespaces, &[], &[deny("a")], &[]);
    world.upsert_policy(PolicyFacts::opaque("a", "strange"));
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    assert!(!exposures(&world, &expected, &|_| None).is_empty());
}

#[test]
fn planned_policies_cut_what_is_open_between_existing_pods() {
    let namespaces = [ns("a", json!({})), ns("b", json!({}))];
    let pods = [pod("a", "web", json!({})), pod("b", "db", json!({}))];
    let world = world(&namespaces, &pods, &[], &[]);
    let planned = [(
        "a".to_owned(),
        vec![PolicyFacts::try_from(&deny("a")).unwrap()],
    )];
    let cut: Vec<String> = would_cut(&world, &planned)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        cut,
        [
            "a to b (every port)",
            "a to outside the cluster (every port at 0.0.0.0/0, ::/0)",
            "b to a (every port)",
            "outside the cluster to a (every port at 0.0.0.0/0, ::/0)"
        ]
    );
}

#[test]
fn pods_of_one_class_lose_each_other_and_a_single_pod_loses_nobody() {
    let cut = |pods: &[Pod]| {
        let world = world(&[ns("a", json!({}))], pods, &[], &[]);
        let planned = [(
            "a".to_owned(),
            vec![PolicyFacts::try_from(&deny("a")).unwrap()],
        )];
        let flows = would_cut(&world, &planned);
        flows.iter().any(|flow| flow.from == "a" && flow.to == "a")
    };
    let replica = |name: &str| pod("a", name, json!({"app": "db"}));
    assert!(!cut(&[replica("db-0")]));
    assert!(cut(&[replica("db-0"), replica("db-1")]));
}

#[test]
fn losing_a_pod_in_the_nodes_network_is_told() {
    let mut api = pod("kube-system", "api", json!({}));
    api.spec.as_mut().unwrap().host_network = Some(true);
    let world = world(&[], &[pod("a", "web", json!({})), api], &[], &[]);
    let planned = [(
        "a".to_owned(),
        vec![PolicyFacts::try_from(&deny("a")).unwrap()],
    )];
    let flows = would_cut(&world, &planned);
    let to: Vec<&str> = flows.iter().map(|flow| flow.to.as_str()).collect();
    assert_eq!(to, ["kube-system", "outside the cluster", "a"]);
}

#[test]
fn pods_in_the_nodes_network_are_a_residual() {
    let namespaces = [ns("a", json!({})), ns("tools", json!({}))];
    let mut agent = pod("tools", "agent", json!({}));
    agent.spec.as_mut().unwrap().host_network = Some(true);
    let world = world(&namespaces, &[agent], &[deny("a")], &[]);
    let expected = Expected {
        own: ["a".to_owned()].into(),
        ..Expected::default()
    };
    assert_eq!(exposures(&world, &expected, &|_| None), []);
    assert_eq!(world.host_network_classes("tools").len(), 1);
    assert_eq!(world.host_network_pods(), [("tools".to_owned(), 1)].into());
}
