use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("an instant")
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, last], 6443))
}

fn lease(labels: &serde_json::Value, renewed: i64, seconds: i32) -> Lease {
    let mut lease: Lease = serde_json::from_value(json!({
        "metadata": {"labels": labels}, "spec": {"leaseDurationSeconds": seconds}
    }))
    .expect("a Lease");
    let spec = lease.spec.as_mut().expect("a spec");
    spec.renew_time = Some(MicroTime(at(renewed)));
    lease
}

fn identity(renewed: i64) -> Lease {
    lease(
        &json!({"apiserver.kubernetes.io/identity": "kube-apiserver"}),
        renewed,
        3600,
    )
}

fn slice(addresses: &[&str], ports: serde_json::Value) -> EndpointSlice {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| json!({"addresses": [address]}))
        .collect();
    let slice = json!({"addressType": "IPv4", "endpoints": endpoints, "ports": ports});
    serde_json::from_value(slice).expect("an EndpointSlice")
}

fn https() -> serde_json::Value {
    json!([{"name": "https", "port": 6443, "protocol": "TCP"}])
}

#[test]
fn servers_are_counted_by_fresh_identity_leases_alone() {
    let foreign = lease(
        &json!({"apiserver.kubernetes.io/identity": "metrics-server"}),
        0,
        3600,
    );
    let leader = lease(&json!({}), 0, 3600);
    let unrenewed: Lease = serde_json::from_value(json!({
        "metadata": {"labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"}}, "spec": {"leaseDurationSeconds": 3600}
    }))
    .expect("a Lease");
    let leases = [
        identity(0),
        identity(-3599),
        identity(-3600),
        foreign,
        leader,
        unrenewed,
    ];
    let count = |now| Servers::count(&leases, None, at(now)).counted;
    assert_eq!(count(0), 2);
    assert_eq!(count(1), 1);
    // A clock that is set back an hour counts more, and one that is set forward fewer: neither proves more.
    assert_eq!(count(-3600), 3);
    assert_eq!(count(3600), 0);
}

#[test]
fn every_listed_address_is_one_to_ask() {
    let mut slice = slice(
        &[
            "198.51.100.1",
            "198.51.100.2",
            "198.51.100.2",
            "name.example",
        ],
        https(),
    );
    let endpoints = slice.endpoints.as_mut().expect("endpoints");
    let conditions = json!({"ready": false});
    endpoints[1].conditions = Some(serde_json::from_value(conditions).expect("conditions"));
    let servers = Servers::count(&[], Some(&slice), at(0));
    assert_eq!(servers.addresses, BTreeSet::from([address(1), address(2)]));
}

#[test]
fn addresses_without_their_port_cannot_be_asked() {
    for ports in [
        json!([]),
        json!([{"name": "metrics", "port": 1}]),
        json!([{"name": "https"}]),
        json!([{"name": "https", "port": 70_000}]),
    ] {
        let servers = Servers::count(&[], Some(&slice(&["198.51.100.1"], ports.clone())), at(0));
        assert_eq!(servers.addresses, BTreeSet::new(), "{ports}");
    }
    let unnamed = slice(&["198.51.100.1"], json!([{"port": 6443}]));
    assert_eq!(
        Servers::count(&[], Some(&unnamed), at(0)).addresses.len(),
        1
    );
}

fn question(verb: &str) -> Question {
    Question {
        user: "oidc:jane".into(),
        groups: BTreeSet::from(["oidc:staff".to_owned()]),
        what: ResourceAttributes {
            verb: Some(verb.into()),
            resource: Some("pods".into()),
            namespace: Some("acme-prod".into()),
            ..ResourceAttributes::default()
        },
    }
}

#[test]
fn a_review_names_every_group_a_sign_in_would_bring() {
    let groups = |question: &Question| question.review().spec.groups.expect("groups");
    assert_eq!(
        groups(&question("get")),
        ["oidc:staff", "system:authenticated"]
    );
    let account = Question {
        user: "system:serviceaccount:tenure-sessions:jane".into(),
        groups: BTreeSet::new(),
        ..question("get")
    };
    assert_eq!(
        groups(&account),
        [
            "system:authenticated",
            "system:serviceaccounts",
            "system:serviceaccounts:tenure-sessions"
        ]
    );
    let spec = question("get").review().spec;
    assert_eq!(
        (spec.user.as_deref(), spec.extra),
        (Some("oidc:jane"), None)
    );
    assert_eq!(spec.resource_attributes, Some(question("get").what));
}

#[test]
fn a_question_is_said_in_one_line() {
    assert_eq!(
        question("get").to_string(),
        "oidc:jane: get pods in acme-prod"
    );
    let mut exec = question("create");
    exec.what.subresource = Some("exec".into());
    exec.what.name = Some("web-0".into());
    assert_eq!(
        exec.to_string(),
        "oidc:jane: create pods/exec web-0 in acme-prod"
    );
    let mut scale = question("update");
    scale.what.group = Some("apps".into());
    scale.what.namespace = Some(String::new());
    assert_eq!(scale.to_string(), "oidc:jane: update pods.apps");
}

#[test]
fn only_a_plain_no_is_a_no() {
    let of = |status: serde_json::Value| {
        let status = serde_json::from_value(status).expect("a status");
        Answer::of(Some(&status))
    };
    assert_eq!(
        of(json!({"allowed": true, "reason": "RBAC: x"})),
        Answer::Allowed("RBAC: x".into())
    );
    assert_eq!(
        of(json!({"allowed": true, "evaluationError": "half of it"})),
        Answer::Allowed(String::new())
    );
    assert_eq!(of(json!({"allowed": false})), Answer::NotAllowed);
    assert_eq!(
        of(json!({"allowed": false, "evaluationError": ""})),
        Answer::NotAllowed
    );
    assert_eq!(
        of(json!({"allowed": false, "denied": true, "evaluationError": "x"})),
        Answer::NotAllowed
    );
    assert!(
        matches!(of(json!({"allowed": false, "evaluationError": "webhook x"})), Answer::Unknown(why) if why.contains("webhook x"))
    );
    assert!(matches!(Answer::of(None), Answer::Unknown(_)));
}

fn unknown() -> Answer {
    Answer::Unknown("connection refused".into())
}

fn yes() -> Answer {
    Answer::Allowed("RBAC: allowed by RoleBinding".into())
}

/// One row per API server, one answer per question; the n-th row comes at second n.
fn round(counted: usize, rows: &[&[Answer]]) -> Round {
    let questions = ["get", "create", "delete"];
    let asked = rows.iter().map(|row| row.len()).max().unwrap_or_default();
    let rows = rows.iter().zip(1_u8..);
    let heard: BTreeMap<_, _> = rows
        .map(|(row, number)| {
            let said = row.iter().map(|answer| Heard {
                answer: answer.clone(),
                at: at(number.into()),
            });
            (address(number), said.collect())
        })
        .collect();
    Round {
        servers: Servers {
            counted,
            addresses: heard.keys().copied().collect(),
        },
        questions: questions
            .iter()
            .take(asked)
            .map(|verb| question(verb))
            .collect(),
        heard,
    }
}

fn why(round: &Round) -> Vec<Doubt> {
    match round.verdict() {
        Verdict::Unproven { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_no_from_every_server_to_every_question_is_a_proof() {
    let no = [Answer::NotAllowed, Answer::NotAllowed];
    assert_eq!(
        round(2, &[&no, &no]).verdict(),
        Verdict::Proven {
            servers: 2,
            at: at(2)
        }
    );
    // Two on one host share a Lease; both are asked.
    assert_eq!(
        round(1, &[&no, &no]).verdict(),
        Verdict::Proven {
            servers: 2,
            at: at(2)
        }
    );
}

#[test]
fn one_yes_outweighs_every_no_and_every_silence() {
    let rows: [&[Answer]; 3] = [
        &[Answer::NotAllowed, yes()],
        &[Answer::NotAllowed, yes()],
        &[unknown(), unknown()],
    ];
    let Verdict::StillAllowed {
        allowed,
        reached,
        counted,
    } = round(4, &rows).verdict()
    else {
        panic!("it is allowed");
    };
    assert_eq!((reached, counted), (2, 4));
    assert_eq!(
        allowed,
        [Allowed {
            question: question("create"),
            source: "RBAC: allowed by RoleBinding".into(),
            servers: vec![address(1), address(2)],
        }]
    );
}

#[test]
fn a_server_that_did_not_answer_one_question_proves_nothing() {
    let no = [Answer::NotAllowed, Answer::NotAllowed];
    let half = [Answer::NotAllowed, unknown()];
    let rounds = [round(2, &[&no, &half]), round(2, &[&no, &half[..1]])];
    for (round, says) in rounds
        .iter()
        .zip(["connection refused", "it was not asked"])
    {
        let Verdict::Unproven {
            reached,
            counted,
            why,
        } = round.verdict()
        else {
            panic!("{round:?}");
        };
        assert_eq!((reached, counted, why.len()), (1, 2, 1));
        let text = why[0].to_string();
        let expected = format!(
            "the API server 198.51.100.2:6443 has not answered \"oidc:jane: create pods in acme-prod\": {says}"
        );
        assert_eq!(text, expected);
    }
    // Whoever was not asked at all has not said no.
    let mut round = round(2, &[&no, &no]);
    round.heard.remove(&address(2));
    assert_eq!(why(&round).len(), 1);
}

#[test]
fn nothing_is_proven_where_servers_are_hidden_uncounted_or_nothing_was_asked() {
    let no: [Answer; 1] = [Answer::NotAllowed];
    assert_eq!(
        why(&round(3, &[&no, &no])),
        [Doubt::Hidden {
            counted: 3,
            addresses: 2
        }]
    );
    assert_eq!(why(&round(0, &[&no])), [Doubt::NotCounted]);
    assert_eq!(
        why(&round(2, &[])),
        [
            Doubt::Hidden {
                counted: 2,
                addresses: 0
            },
            Doubt::NothingAsked
        ]
    );
    assert_eq!(why(&round(1, &[&[]])), [Doubt::NothingAsked]);
    assert_eq!(
        why(&round(0, &[])),
        [Doubt::NotCounted, Doubt::NothingAsked]
    );
}

#[test]
fn the_first_and_the_last_yes_are_kept_through_every_round() {
    let no: [Answer; 1] = [Answer::NotAllowed];
    let shifted = |mut round: Round, by: i64| {
        for heard in round.heard.values_mut().flatten() {
            heard.at += SignedDuration::from_secs(by);
        }
        round
    };
    let mut proof = Proof::default();
    assert!(matches!(
        proof.add(&round(2, &[&[yes()], &[yes()]])),
        Verdict::StillAllowed { .. }
    ));
    assert_eq!(
        (proof.first_yes, proof.last_yes),
        (Some(at(1)), Some(at(2)))
    );
    // The clock is set back an hour: later stays later.
    proof.add(&shifted(round(2, &[&[yes()], &no]), -3600));
    assert_eq!(
        (proof.first_yes, proof.last_yes),
        (Some(at(1)), Some(at(-3599)))
    );
    let last = shifted(round(2, &[&no, &no]), 10);
    assert_eq!(
        *proof.add(&last),
        Verdict::Proven {
            servers: 2,
            at: at(12)
        }
    );
    assert_eq!(
        (proof.rounds, proof.first_yes, proof.last_yes),
        (3, Some(at(1)), Some(at(-3599)))
    );
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![Just(Answer::NotAllowed), Just(yes()), Just(unknown())]
}

proptest! {
    /// Proven if and only if there is somebody, as many as are counted, and everyone said no to everything.
    #[test]
    fn a_proof_is_never_more_than_was_said(
        counted in 0_usize..4,
        rows in prop::collection::vec(prop::collection::vec(any_answer(), 2), 0..4),
    ) {
        let rows: Vec<&[Answer]> = rows.iter().map(Vec::as_slice).collect();
        let all_no = rows.iter().all(|row| row.iter().all(|answer| *answer == Answer::NotAllowed));
        let any_yes = rows.iter().any(|row| row.iter().any(|answer| matches!(answer, Answer::Allowed(_))));
        let everybody = counted > 0 && !rows.is_empty() && rows.len() >= counted;
        match round(counted, &rows).verdict() {
            Verdict::Proven { servers, .. } => prop_assert!(all_no && everybody && servers == rows.len()),
            Verdict::StillAllowed { .. } => prop_assert!(any_yes),
            Verdict::Unproven { why, reached, counted: of } => {
                prop_assert!(!any_yes, "a yes is no doubt");
                prop_assert!(!all_no || !everybody, "it was proven");
                prop_assert!(!why.is_empty(), "no reason");
                prop_assert!(reached <= rows.len() && of == counted.max(rows.len()));
            }
        }
    }
}
