//! Generated worlds: the evaluator against the naive oracle, and the model kept up to date against
//! one built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate::{Other, View, Way};
use super::oracle::Cluster;
use super::tests::{ns, pod, policy, world};
use super::*;

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
        Just(json!({"port": "http", "protocol": "UDP"})),
        Just(json!({"port": "dns", "protocol": "UDP"})),
    ]
}

/// Networks that nest, touch and halve, and addresses on both sides of their edges.
const NETWORKS: [&str; 8] = [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "203.0.113.7/32",
    "::/0",
    "fd00::/8",
];
const ADDRESSES: [&str; 10] = [
    "0.0.0.0",
    "9.255.255.255",
    "10.0.0.1",
    "10.1.0.0",
    "10.2.0.0",
    "127.255.255.255",
    "203.0.113.7",
    "255.255.255.255",
    "fd00::1",
    "2001:db8::1",
];

fn block() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(NETWORKS.to_vec()).prop_map(|cidr| json!({"ipBlock": {"cidr": cidr}})),
        prop::sample::subsequence(vec!["10.0.0.0/8", "10.1.0.0/16", "128.0.0.0/1"], 1..3)
            .prop_map(|except| json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": except}})),
    ]
}

fn peers() -> impl Strategy<Value = Value> {
    let peer = prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector()).prop_map(
            |(namespaces, pods)| json!({"namespaceSelector": namespaces, "podSelector": pods})
        ),
        block(),
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

fn cluster_side() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|namespaces| json!({"namespaces": namespaces})),
        (selector(), selector()).prop_map(|(namespaces, pods)| json!({"pods": {"namespaceSelector": namespaces, "podSelector": pods}})),
    ]
}

fn cluster_protocol() -> impl Strategy<Value = Value> {
    prop_oneof![
        (80_i64..84).prop_map(|port| json!({"tcp": {"destinationPort": {"number": port}}})),
        (80_i64..84).prop_map(
            |port| json!({"tcp": {"destinationPort": {"range": {"start": port, "end": port + 2}}}})
        ),
        Just(json!({"udp": {}})),
        Just(json!({"destinationNamedPort": "http"})),
    ]
}

/// A rule; of networks only where the API allows them (egress), and where the oracle can say what
/// they mean to pods without knowing their addresses (no Pass), and without names of ports.
fn cluster_rule(key: &'static str) -> impl Strategy<Value = Value> {
    let action = prop::sample::select(vec!["Accept", "Deny", "Pass"]);
    let sides = prop::collection::vec(cluster_side(), 1..3);
    let of_pods = (
        action,
        sides,
        prop::collection::vec(cluster_protocol(), 0..2),
    )
        .prop_map(
            move |(action, peers, ports)| json!({"action": action, key: peers, "protocols": ports}),
        );
    let networks = prop::sample::subsequence(NETWORKS.to_vec(), 1..3);
    let action = prop::sample::select(vec!["Accept", "Deny"]);
    let of_networks = (action, networks).prop_map(move |(action, networks)| json!({"action": action, key: [{"networks": networks}], "protocols": [{"tcp": {}}]}));
    let share = if key == "to" { 1 } else { 0 };
    prop_oneof![3 => of_pods, share => of_networks]
}

fn any_cluster_policy() -> impl Strategy<Value = Value> {
    let tier = prop::sample::select(vec!["Admin", "Baseline"]);
    let rules = |key| prop::collection::vec(cluster_rule(key), 0..3);
    (tier, 0_i64..3, cluster_side(), rules("from"), rules("to"))
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

const PROTOCOLS: [(Transport, &str); 3] = [
    (Transport::Tcp, "TCP"),
    (Transport::Udp, "UDP"),
    (Transport::Sctp, "SCTP"),
];

fn of(cluster: &Cluster) -> World {
    world(
        &cluster.namespaces,
        &cluster.pods,
        &cluster.policies,
        &cluster.cluster_policies,
    )
}

fn class(pod: &Pod) -> Class {
    PodFacts::from(pod).class
}

fn reach(world: &World, from: &Class, to: &Class) -> PortSet {
    let view = View::now(world);
    let ingress = view.end(to, Way::In).ports(Other::Pod(from), Some(to));
    let egress = view.end(from, Way::Out).ports(Other::Pod(to), Some(to));
    ingress.intersection(&egress)
}

/// Pairs of namespaces with some open pair of pods outside the node's network, said by the oracle.
fn open_pairs(cluster: &Cluster) -> BTreeSet<(String, String)> {
    let mut open = BTreeSet::new();
    let in_pod_network = || cluster.pods.iter().filter(|pod| !class(pod).host_network);
    for from in in_pod_network() {
        for to in in_pod_network().filter(|to| to.metadata.name != from.metadata.name) {
            let ports = (79..87).flat_map(|port| PROTOCOLS.map(|(_, word)| (word, port)));
            if ports
                .into_iter()
                .any(|(word, port)| cluster.can_connect(from, to, word, port))
            {
                let of = |pod: &Pod| pod.metadata.namespace.clone().unwrap();
                open.insert((of(from), of(to)));
            }
        }
    }
    open
}

fn names_networks(policy: &Value) -> bool {
    policy.to_string().contains("\"networks\"")
}

/// What is not understood may open anything and closes nothing: spoils a policy in one place.
fn spoil(policy: &mut Value, how: usize) {
    let spec = &mut policy["spec"];
    match how {
        0 => spec["tier"] = json!("Later"),
        1 => spec["subject"] = json!({"machines": {}}),
        2 => spec["priority"] = json!("first"),
        _ => {
            for rule in ["ingress", "egress"] {
                let rules = spec[rule].as_array_mut().unwrap();
                for rule in rules {
                    match how {
                        3 => rule["protocols"] = json!([{"quic": {}}]),
                        4 => rule["unless"] = json!("monday"),
                        5 if !rule["to"].is_null() => rule["to"] = json!([{"planets": {}}]),
                        _ => {}
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The evaluator and the naive oracle agree on every pair, protocol and port asked; nodes aside
    /// where networks are accepted, which may hold a node's address.
    #[test]
    fn the_evaluator_agrees_with_a_naive_one(cluster in any_cluster()) {
        let world = of(&cluster);
        let nodes_perhaps = cluster.cluster_policies.iter().any(names_networks);
        for from in &cluster.pods {
            for to in cluster.pods.iter().filter(|to| to.metadata.name != from.metadata.name) {
                let reach = reach(&world, &class(from), &class(to));
                for port in 79_u16..87 {
                    for (transport, word) in PROTOCOLS {
                        let open = cluster.can_connect(from, to, word, port.into());
                        let found = reach.contains(transport, port);
                        prop_assert!(
                            found == open || (found && nodes_perhaps && class(to).host_network),
                            "{:?} to {:?} on {} {}: {}", from.metadata.name, to.metadata.name, word, port, found
                        );
                    }
                }
            }
        }
    }

    /// Likewise for addresses outside the cluster, both ways; names of ports aside, which mean
    /// nothing there and are taken for the worst.
    #[test]
    fn the_evaluator_agrees_about_the_outside(cluster in any_cluster()) {
        let world = of(&cluster);
        let view = View::now(&world);
        let text = serde_json::to_string(&cluster.policies).unwrap();
        let names_ports = text.contains(r#""port":""#);
        for pod in cluster.pods.iter().filter(|pod| !class(pod).host_network) {
            let class = class(pod);
            for text in ADDRESSES {
                let address: IpAddr = text.parse().unwrap();
                let ingress = view.end(&class, Way::In).ports(Other::Outside(address), Some(&class));
                let egress = view.end(&class, Way::Out).ports(Other::Outside(address), None);
                for port in 79_u16..87 {
                    for (transport, word) in PROTOCOLS {
                        let admitted = cluster.admits(pod, address, word, port.into());
                        prop_assert_eq!(ingress.contains(transport, port), admitted, "{} to {:?} on {} {}", text, class, word, port);
                        let let_out = cluster.lets_out(pod, address, word, port.into());
                        let found = egress.contains(transport, port);
                        prop_assert!(found == let_out || (names_ports && found), "{:?} to {} on {} {}", class, text, word, port);
                    }
                }
            }
        }
    }

    /// What is reported between namespaces is exactly what is open between their pods, whatever
    /// short cuts the search takes; and the outside is told to the address.
    #[test]
    fn every_open_pair_is_reported_and_no_other(cluster in any_cluster()) {
        let world = of(&cluster);
        let expected = Expected { own: ["a".to_owned()].into(), ..Expected::default() };
        let found = unexpected(&world, &expected, &|_| None);
        prop_assert_eq!(found.more, 0);
        let between = found.shown.iter().filter(|exposure| !exposure.hypothetical && !exposure.from.contains('/') && !exposure.to.contains('/'));
        let reported: BTreeSet<(String, String)> = between.map(|exposure| (exposure.from.clone(), exposure.to.clone())).collect();
        let open: BTreeSet<(String, String)> = open_pairs(&cluster).into_iter().filter(|(from, to)| from != to && (from == "a" || to == "a")).collect();
        prop_assert_eq!(reported, open);
    }

    /// Nothing that is not understood makes the cluster look more closed, whichever way it is read.
    #[test]
    fn what_is_not_understood_never_isolates(cluster in any_cluster(), which in 0_usize..3, how in 0_usize..6) {
        if cluster.cluster_policies.is_empty() {
            return Ok(());
        }
        let which = which % cluster.cluster_policies.len();
        let mut spoilt = cluster.clone();
        spoil(&mut spoilt.cluster_policies[which], how);
        let mut without = cluster.clone();
        without.cluster_policies.remove(which);
        let (as_meant, spoilt, without) = (of(&cluster), of(&spoilt), of(&without));
        for from in &cluster.pods {
            for to in cluster.pods.iter().filter(|to| to.metadata.name != from.metadata.name) {
                let (from, to) = (class(from), class(to));
                let found = reach(&spoilt, &from, &to);
                // The last way leaves the other direction's rules as they were, and they still decide.
                for other in if how < 5 { vec![&as_meant, &without] } else { vec![&as_meant] } {
                    let lost = reach(other, &from, &to).without(&found);
                    prop_assert!(lost.is_empty(), "{} no longer seen from {:?} to {:?}", lost, from, to);
                }
            }
        }
    }

    /// Every flow said to be cut is open now and closed then; every other open one stays.
    #[test]
    fn what_would_be_cut_is_what_differs_once_it_is_done(cluster in any_cluster(), planned in prop::collection::vec(any_policy(), 0..3)) {
        let mut cluster = cluster;
        cluster.cluster_policies.retain(|policy| !names_networks(policy));
        let mut then = cluster.clone();
        let planned: Vec<_> = planned.into_iter().enumerate().map(|(index, (_, spec))| policy("a", &format!("tenure-{index}"), spec)).collect();
        then.policies.extend(planned.iter().cloned());
        let facts = planned.iter().map(|policy| PolicyFacts::try_from(policy).unwrap()).collect();
        let mut cut: BTreeMap<(String, String), bool> = BTreeMap::new();
        for from in &cluster.pods {
            for to in cluster.pods.iter().filter(|to| to.metadata.name != from.metadata.name) {
                for port in 79..87 {
                    for (_, word) in PROTOCOLS {
                        if cluster.can_connect(from, to, word, port) && !then.can_connect(from, to, word, port) {
                            let of = |pod: &Pod| pod.metadata.namespace.clone().unwrap();
                            cut.insert((of(from), of(to)), true);
                        }
                    }
                }
            }
        }
        let flows = would_cut(&of(&cluster), &[("a".into(), facts)]);
        let said: BTreeSet<_> = flows.iter().filter(|flow| !flow.ports.contains(" at ")).map(|flow| (flow.from.clone(), flow.to.clone())).collect();
        prop_assert_eq!(said, cut.into_keys().collect::<BTreeSet<_>>());
    }

    /// Objects taken in, changed and out again in any order leave the model as if it were built anew.
    #[test]
    fn a_model_kept_up_to_date_equals_one_built_anew(first in any_cluster(), second in any_cluster(), order in any::<bool>()) {
        let mut kept = of(&first);
        let place = |object: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| (object.namespace.clone().unwrap_or_default(), object.name.clone().unwrap());
        let remove = |kept: &mut World| {
            for pod in &first.pods {
                let (namespace, name) = place(&pod.metadata);
                if !second.pods.iter().any(|pod| place(&pod.metadata) == (namespace.clone(), name.clone())) {
                    kept.remove_pod(&namespace, &name);
                }
            }
            for policy in &first.policies {
                let (namespace, name) = place(&policy.metadata);
                if !second.policies.iter().any(|policy| place(&policy.metadata) == (namespace.clone(), name.clone())) {
                    kept.remove_policy(&namespace, &name);
                }
            }
            for policy in first.cluster_policies.iter().skip(second.cluster_policies.len()) {
                kept.remove_cluster_policy(policy["metadata"]["name"].as_str().unwrap());
            }
        };
        if order {
            remove(&mut kept);
        }
        for policy in &second.cluster_policies {
            kept.upsert_cluster_policy((&serde_json::from_value::<ClusterNetworkPolicy>(policy.clone()).unwrap()).into());
        }
        second.policies.iter().for_each(|policy| kept.upsert_policy(policy.try_into().unwrap()));
        second.pods.iter().for_each(|pod| { kept.upsert_pod(pod.into()); });
        second.namespaces.iter().for_each(|namespace| { kept.upsert_namespace(namespace.into()); });
        if !order {
            remove(&mut kept);
        }
        prop_assert_eq!(kept, of(&second));
    }

    /// Who is not concerned by a namespace or a pod that comes, changes or goes elsewhere, and was not open before, is
    /// what it was.
    #[test]
    fn what_concerns_nobody_changes_nothing(first in any_cluster(), second in any_cluster()) {
        let mut second = second;
        second.policies = first.policies.clone();
        second.cluster_policies = Vec::new();
        let mut world = of(&Cluster { cluster_policies: Vec::new(), ..first.clone() });
        let expected = Expected { own: ["a".to_owned()].into(), ..Expected::default() };
        let mut known = unexpected(&world, &expected, &|_| None);
        let place = |pod: &Pod| (pod.metadata.namespace.clone().unwrap(), pod.metadata.name.clone().unwrap());
        let mut steps: Vec<Step> = second.namespaces.iter().map(Step::Namespace).collect();
        steps.extend(second.pods.iter().map(Step::Pod));
        steps.extend(first.pods.iter().filter(|gone| second.pods.iter().all(|pod| place(pod) != place(gone))).map(Step::Gone));
        for step in steps {
            let where_ = step.namespace();
            let mut concerned = world.naming(&where_);
            match &step {
                Step::Namespace(namespace) => { world.upsert_namespace((*namespace).into()); }
                Step::Pod(pod) => { world.upsert_pod((*pod).into()); }
                Step::Gone(pod) => { world.remove_pod(&place(pod).0, &place(pod).1); }
            }
            concerned.extend(world.naming(&where_));
            concerned.insert(where_);
            let now = unexpected(&world, &expected, &|_| None);
            let looked = concerned.contains("a") || known.ajar || !known.shown.is_empty();
            prop_assert!(looked || now == known, "{:?} became {:?}", known, now);
            known = now;
        }
    }
}

/// One change of a cluster.
enum Step<'a> {
    Namespace(&'a Namespace),
    Pod(&'a Pod),
    Gone(&'a Pod),
}

impl Step<'_> {
    fn namespace(&self) -> String {
        match self {
            Self::Namespace(namespace) => namespace.metadata.name.clone().unwrap(),
            Self::Pod(pod) | Self::Gone(pod) => pod.metadata.namespace.clone().unwrap(),
        }
    }
}
