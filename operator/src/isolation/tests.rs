use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracle::Cluster;
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

fn world(
    namespaces: &[Namespace],
    pods: &[Pod],
    policies: &[NetworkPolicy],
    cluster_policies: &[Value],
) -> World {
    let mut world = World::default();
    namespaces
        .iter()
        .for_each(|namespace| world.upsert_namespace(namespace.into()));
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
    check(
        json!({"podSelector": {}, "ingress": [{}]}),
        &[
            "0.0.0.0/0 can reach a: NetworkPolicy a/extra, rule 0",
            "::/0 can reach a: NetworkPolicy a/extra, rule 0",
            "tools can reach a: every port; NetworkPolicy a/extra, rule 0",
        ],
    );
}

#[test]
fn an_empty_namespace_selector_opens_to_every_pod() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        &["tools can reach a: every port; NetworkPolicy a/extra, rule 0"],
    );
}

#[test]
fn a_negative_selector_reaches_further_than_it_says() {
    check(
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]}}], "ports": [{"port": 80}]}]}),
        &["tools can reach a: TCP 80; NetworkPolicy a/extra, rule 0"],
    );
}

#[test]
fn halves_of_everything_are_named_as_they_stand() {
    check(
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/1"}}, {"ipBlock": {"cidr": "128.0.0.0/1"}}]}]}),
        &[
            "a can reach 0.0.0.0/1: NetworkPolicy a/extra, rule 0",
            "a can reach 128.0.0.0/1: NetworkPolicy a/extra, rule 0",
        ],
    );
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
            && exposure.what.contains("no policy isolates these pods in a")),
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
            "a to outside the cluster (addresses that were open)",
            "b to a (every port)",
            "outside the cluster to a (addresses that were open)"
        ]
    );
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
}

proptest! {
    #[test]
    fn sets_of_ports_obey_the_algebra_of_sets(a in ranges(), b in ranges(), port in any::<u16>()) {
        let (a, b) = (set(&a), set(&b));
        for transport in Transport::ALL {
            let (in_a, in_b) = (a.contains(transport, port), b.contains(transport, port));
            prop_assert_eq!(a.union(&b).contains(transport, port), in_a || in_b);
            prop_assert_eq!(a.intersection(&b).contains(transport, port), in_a && in_b);
            prop_assert_eq!(a.without(&b).contains(transport, port), in_a && !in_b);
        }
        prop_assert_eq!(a.union(&b), b.union(&a));
    }
}

fn ranges() -> impl Strategy<Value = Vec<(u8, u16, u16)>> {
    prop::collection::vec((0_u8..3, any::<u16>(), any::<u16>()), 0..4)
}

fn set(ranges: &[(u8, u16, u16)]) -> PortSet {
    ranges
        .iter()
        .fold(PortSet::none(), |all, &(transport, a, b)| {
            all.union(&PortSet::range(
                Transport::ALL[transport as usize],
                a.min(b),
                a.max(b),
            ))
        })
}

fn labels() -> impl Strategy<Value = Value> {
    (prop::option::of("[xy]"), prop::option::of("[xy]")).prop_map(|(app, team)| {
        let mut labels = serde_json::Map::new();
        app.map(|value| labels.insert("app".into(), json!(value)));
        team.map(|value| labels.insert("team".into(), json!(value)));
        Value::Object(labels)
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = (
        prop::sample::select(vec!["app", "team"]),
        prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        prop::collection::vec("[xy]", 1..3),
    )
        .prop_map(|(key, operator, values)| match operator {
            "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
            _ => json!({"key": key, "operator": operator}),
        });
    prop_oneof![
        2 => Just(json!({})),
        3 => labels().prop_map(|labels| json!({"matchLabels": labels})),
        3 => prop::collection::vec(expression, 1..3).prop_map(|expressions| json!({"matchExpressions": expressions})),
    ]
}

fn policy_port() -> impl Strategy<Value = Value> {
    prop_oneof![
        (80_i32..84).prop_map(|port| json!({"port": port})),
        (80_i32..84, 0_i32..3).prop_map(
            |(port, more)| json!({"port": port, "endPort": port + more, "protocol": "TCP"})
        ),
        Just(json!({"protocol": "UDP"})),
        Just(json!({"port": "http"})),
        Just(json!({"port": "dns", "protocol": "UDP"})),
    ]
}

fn peers() -> impl Strategy<Value = Value> {
    let peer = prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector()).prop_map(
            |(namespaces, pods)| json!({"namespaceSelector": namespaces, "podSelector": pods})
        ),
        Just(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}})),
    ];
    prop::collection::vec(peer, 0..3).prop_map(Value::Array)
}

fn rules(key: &'static str) -> impl Strategy<Value = Value> {
    let rule = (peers(), prop::collection::vec(policy_port(), 0..3))
        .prop_map(move |(peers, ports)| json!({key: peers, "ports": ports}));
    prop::collection::vec(rule, 0..3).prop_map(Value::Array)
}

fn any_policy() -> impl Strategy<Value = (usize, Value)> {
    let types = prop::sample::select(vec![
        json!(null),
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
    ]);
    (0_usize..3, selector(), types, rules("from"), rules("to")).prop_map(
        |(namespace, pods, types, ingress, egress)| {
            let mut spec = json!({"podSelector": pods, "ingress": ingress, "egress": egress});
            if !types.is_null() {
                spec["policyTypes"] = types;
            }
            (namespace, spec)
        },
    )
}

fn any_cluster_policy() -> impl Strategy<Value = Value> {
    let side = || {
        prop_oneof![
            selector().prop_map(|namespaces| json!({"namespaces": namespaces})),
            (selector(), selector()).prop_map(|(namespaces, pods)| json!({"pods": {"namespaceSelector": namespaces, "podSelector": pods}})),
        ]
    };
    let port = prop_oneof![
        (80_i64..84).prop_map(|port| json!({"tcp": {"destinationPort": {"number": port}}})),
        (80_i64..84).prop_map(
            |port| json!({"tcp": {"destinationPort": {"range": {"start": port, "end": port + 2}}}})
        ),
        Just(json!({"udp": {}})),
    ];
    let ports = prop::collection::vec(port, 0..2);
    let rule = move |key: &'static str| {
        (prop::sample::select(vec!["Accept", "Deny", "Pass"]), prop::collection::vec(side(), 1..3), ports.clone())
            .prop_map(move |(action, peers, ports)| json!({"action": action, key: peers, "protocols": ports}))
    };
    (prop::sample::select(vec!["Admin", "Baseline"]), 0_i64..3, side(), prop::collection::vec(rule("from"), 0..3), prop::collection::vec(rule("to"), 0..3))
        .prop_map(|(tier, priority, subject, ingress, egress)| json!({"spec": {"tier": tier, "priority": priority, "subject": subject, "ingress": ingress, "egress": egress}}))
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let namespaces = prop::collection::vec(labels(), 3).prop_map(|all| {
        all.into_iter()
            .zip(NAMES)
            .map(|(labels, name)| ns(name, labels))
            .collect::<Vec<_>>()
    });
    let one_pod = (
        0_usize..3,
        labels(),
        prop::bool::weighted(0.15),
        prop::option::of(80_i32..84),
    );
    let pods = prop::collection::vec(one_pod, 2..6).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, (namespace, labels, host, named))| {
                let mut pod = pod(NAMES[namespace], &format!("p{index}"), labels);
                let ports = named.map(|port| json!([{"name": "http", "containerPort": port}, {"name": "dns", "containerPort": port, "protocol": "UDP"}]));
                let container = json!({"name": "c", "ports": ports.unwrap_or(json!([]))});
                let spec = pod.spec.as_mut().unwrap();
                spec.host_network = Some(host);
                spec.containers = vec![serde_json::from_value(container).unwrap()];
                pod
            })
            .collect::<Vec<_>>()
    });
    let policies = prop::collection::vec(any_policy(), 0..5).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, (namespace, spec))| policy(NAMES[namespace], &format!("n{index}"), spec))
            .collect::<Vec<_>>()
    });
    let cluster_policies = prop::collection::vec(any_cluster_policy(), 0..3).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, mut policy)| {
                policy["apiVersion"] = json!("policy.networking.k8s.io/v1alpha2");
                policy["kind"] = json!("ClusterNetworkPolicy");
                policy["metadata"] = json!({"name": format!("c{index}")});
                policy
            })
            .collect::<Vec<_>>()
    });
    (namespaces, pods, policies, cluster_policies).prop_map(
        |(namespaces, pods, policies, cluster_policies)| Cluster {
            namespaces,
            pods,
            policies,
            cluster_policies,
        },
    )
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string_pretty(
            &json!({"namespaces": self.namespaces, "pods": self.pods, "policies": self.policies, "clusterPolicies": self.cluster_policies}),
        );
        out.write_str(&text.unwrap_or_default())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The evaluator and the naive oracle agree on every pair, protocol and port asked.
    #[test]
    fn the_evaluator_agrees_with_a_naive_one(cluster in any_cluster()) {
        let world = world(&cluster.namespaces, &cluster.pods, &cluster.policies, &cluster.cluster_policies);
        for from in &cluster.pods {
            for to in cluster.pods.iter().filter(|to| to.metadata.name != from.metadata.name) {
                let reach = world.reach(&PodFacts::from(from).class, &PodFacts::from(to).class);
                for port in 79_u16..86 {
                    for (transport, word) in Transport::ALL.into_iter().zip(["TCP", "UDP", "SCTP"]) {
                        prop_assert_eq!(
                            reach.contains(transport, port),
                            cluster.can_connect(from, to, word, port.into()),
                            "{:?} to {:?} on {} {}", from.metadata.name, to.metadata.name, word, port
                        );
                    }
                }
            }
        }
    }

    /// Objects taken in and out again in any order leave the model as if it were built anew.
    #[test]
    fn a_model_kept_up_to_date_equals_one_built_anew(first in any_cluster(), second in any_cluster()) {
        let mut kept = world(&first.namespaces, &first.pods, &first.policies, &first.cluster_policies);
        for pod in &first.pods {
            kept.remove_pod(pod.metadata.namespace.as_deref().unwrap(), pod.metadata.name.as_deref().unwrap());
        }
        for policy in &first.policies {
            kept.remove_policy(policy.metadata.namespace.as_deref().unwrap(), policy.metadata.name.as_deref().unwrap());
        }
        for policy in &first.cluster_policies {
            kept.remove_cluster_policy(policy["metadata"]["name"].as_str().unwrap());
        }
        second.namespaces.iter().for_each(|namespace| kept.upsert_namespace(namespace.into()));
        second.pods.iter().for_each(|pod| { kept.upsert_pod(pod.into()); });
        second.policies.iter().for_each(|policy| kept.upsert_policy(policy.try_into().unwrap()));
        for policy in &second.cluster_policies {
            kept.upsert_cluster_policy((&serde_json::from_value::<ClusterNetworkPolicy>(policy.clone()).unwrap()).into());
        }
        let anew = world(&second.namespaces, &second.pods, &second.policies, &second.cluster_policies);
        for from in &second.pods {
            for to in &second.pods {
                let (from, to) = (PodFacts::from(from).class, PodFacts::from(to).class);
                prop_assert_eq!(kept.reach(&from, &to), anew.reach(&from, &to));
            }
        }
    }
}
