use k8s_openapi::api::rbac::v1::PolicyRule;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::{Allowed, End};

const BEGIN: &str = "2026-03-02T10:00:00.400Z";
const INSIDE: &str = "2026-03-02T11:00:00Z";
const END: &str = "2026-03-02T12:00:00.700Z";
const LOOK: &str = "2026-03-02T12:05:00Z";
const BEFORE: &str = "2026-03-02T09:59:59Z";
const AFTER: &str = "2026-03-02T12:05:01Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn granted() -> Granted {
    let granted = json!({
        "name": "chg-1", "person": "worker", "identity": "worker-one", "role": "debugger",
        "namespaces": ["acme-prod"], "ticket": "CHG-1", "digest": "sha256:0",
        "activatedAt": BEGIN, "notAfter": END
    });
    let mut granted: Granted = serde_json::from_value(granted).unwrap();
    granted.ended = Some(End {
        at: END.into(),
        why: "WindowOver".into(),
    });
    granted
}

fn window() -> Window {
    Window::of(&granted(), at(LOOK)).unwrap()
}

fn entry(time: &str, subresource: Option<&str>) -> Value {
    json!({"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "time": time, "subresource": subresource})
}

fn meta(created: &str, entries: &[Value]) -> Value {
    json!({"name": "x", "namespace": "acme-prod", "uid": "o-1", "creationTimestamp": created, "managedFields": entries})
}

fn object(kind: Kind, meta: &Value, beside: &Beside) -> Option<Object> {
    let meta: ObjectMeta = serde_json::from_value(meta.clone()).unwrap();
    Object::of(kind, &meta, beside)
}

/// What is found of one object, in a sweep over every kind.
fn found(kind: Kind, meta: &Value, beside: &Beside) -> Option<Finding> {
    let objects: Vec<Object> = object(kind, meta, beside).into_iter().collect();
    let namespaces = ["acme-prod".to_owned()];
    // What would be found must not be left out before.
    let touched: Vec<Object> = objects
        .iter()
        .filter(|object| object.is_touched_since(window().begin))
        .cloned()
        .collect();
    let found = findings(&window(), &Kind::ALL.into(), &namespaces, &objects);
    assert_eq!(
        findings(&window(), &Kind::ALL.into(), &namespaces, &touched),
        found
    );
    found.into_iter().next()
}

fn plain(kind: Kind, meta: &Value) -> Option<(Changed, Option<String>)> {
    let found = found(kind, meta, &Beside::default())?;
    Some((found.change, found.when))
}

#[test]
fn what_was_created_or_changed_in_the_window_is_found_and_its_twins_are_not() {
    let check = |created: &str, entries: &[Value], expect: Option<(Changed, &str)>| {
        let expect = expect.map(|(change, when)| (change, Some(when.to_owned())));
        assert_eq!(
            plain(Kind::CronJob, &meta(created, entries)),
            expect,
            "{created} {entries:?}"
        );
    };
    check(
        INSIDE,
        &[entry(INSIDE, None)],
        Some((Changed::Created, INSIDE)),
    );
    // Within the second in which it began.
    check(
        "2026-03-02T10:00:00Z",
        &[entry(INSIDE, None)],
        Some((Changed::Created, "2026-03-02T10:00:00Z")),
    );
    check(BEFORE, &[entry(BEFORE, None)], None);
    check(
        BEFORE,
        &[entry(BEFORE, None), entry(INSIDE, None)],
        Some((Changed::Changed, INSIDE)),
    );
    // Made after the end, when nobody could come by it any more.
    check(
        "2026-03-02T12:01:01Z",
        &[entry("2026-03-02T12:01:01Z", None)],
        None,
    );
    check(
        "2026-03-02T12:01:00Z",
        &[entry("2026-03-02T12:01:00Z", None)],
        Some((Changed::Created, "2026-03-02T12:01:00Z")),
    );
    // A change between the end and the look may hide one before; one after the look cannot be seen by it.
    check(
        BEFORE,
        &[entry("2026-03-02T12:04:00Z", None)],
        Some((Changed::Changed, "2026-03-02T12:04:00Z")),
    );
    check(BEFORE, &[entry(AFTER, None)], None);
    // That it ran is no change of it.
    check(
        BEFORE,
        &[entry(BEFORE, None), entry(INSIDE, Some("status"))],
        None,
    );
}

#[test]
fn whoever_wipes_the_history_of_an_object_is_not_hidden_by_it() {
    let wiped = meta(BEFORE, &[]);
    for kind in [Kind::Role, Kind::ClusterRoleBinding, Kind::CronJob] {
        assert_eq!(
            plain(kind, &wiped),
            Some((Changed::Changed, None)),
            "{kind:?}"
        );
    }
    // One on which nothing can have been set has none either, nor has one that nobody can change.
    assert_eq!(plain(Kind::ServiceAccount, &wiped), None);
    assert_eq!(plain(Kind::CertificateSigningRequest, &wiped), None);
    let approved = meta(BEFORE, &[entry(INSIDE, Some("approval"))]);
    assert_eq!(
        plain(Kind::CertificateSigningRequest, &approved),
        Some((Changed::Changed, Some(INSIDE.into())))
    );
    let mut role = wiped;
    role["annotations"] = json!({"cloud.example/role": "admin"});
    assert_eq!(
        plain(Kind::ServiceAccount, &role),
        Some((Changed::Changed, None))
    );
}

#[test]
fn account_of_a_new_namespace_is_its_controllers_and_another_or_a_changed_one_is_not() {
    let account = |name: &str, entries: &[Value]| {
        let mut meta = meta(INSIDE, entries);
        meta["name"] = json!(name);
        meta
    };
    assert_eq!(plain(Kind::ServiceAccount, &account("default", &[])), None);
    for other in [
        account("robot", &[]),
        account("default", &[entry(INSIDE, None)]),
    ] {
        let found = plain(Kind::ServiceAccount, &other);
        assert_eq!(found, Some((Changed::Created, Some(INSIDE.into()))));
    }
    let mut annotated = account("default", &[]);
    annotated["annotations"] = json!({"cloud.example/role": "admin"});
    assert!(plain(Kind::ServiceAccount, &annotated).is_some());
}

#[test]
fn bindings_of_ours_carry_all_three_marks_and_what_lacks_one_is_found() {
    let ours = json!({
        "name": "tenure-grant-1", "namespace": "acme-prod", "uid": "o-1", "creationTimestamp": INSIDE,
        "labels": {keys::MANAGED_BY: keys::MANAGED_BY_VALUE}, "annotations": {keys::TENANT_ID: "id"},
        "managedFields": [{"manager": keys::FIELD_MANAGER, "operation": "Apply", "time": INSIDE}]
    });
    assert_eq!(plain(Kind::RoleBinding, &ours), None);
    for (pointer, value) in [
        ("/name", json!("other")),
        ("/labels", json!({keys::MANAGED_BY: "other"})),
        ("/annotations", json!({})),
        ("/managedFields/0/manager", json!("kubectl")),
    ] {
        let mut lacks = ours.clone();
        *lacks.pointer_mut(pointer).unwrap() = value;
        assert!(plain(Kind::RoleBinding, &lacks).is_some(), "{pointer}");
    }
    // The operator makes no such thing of another kind in a tenant's namespaces.
    assert!(plain(Kind::ServiceAccount, &ours).is_some());
}

#[test]
fn pod_counts_when_something_was_put_into_it() {
    let with = |count| Beside {
        ephemeral_containers: count,
        ..Beside::default()
    };
    let pod = |created: &str, entries: &[Value], count| {
        let found = found(Kind::Pod, &meta(created, entries), &with(count))?;
        Some((found.change, found.when))
    };
    let ephemeral = Some("ephemeralcontainers");
    let expect = Some((Changed::Changed, Some(INSIDE.to_owned())));
    assert_eq!(pod(BEFORE, &[entry(INSIDE, ephemeral)], 1), expect);
    assert_eq!(pod(INSIDE, &[entry(INSIDE, ephemeral)], 1), expect);
    assert_eq!(pod(BEFORE, &[entry(BEFORE, ephemeral)], 1), None);
    assert_eq!(pod(INSIDE, &[entry(INSIDE, None)], 0), None);
    // It is in it, and nobody knows since when.
    let unknown = Some((Changed::Changed, None));
    let status = [entry(INSIDE, None), entry(INSIDE, Some("status"))];
    assert_eq!(pod(BEFORE, &status, 1), unknown);
    assert_eq!(pod(INSIDE, &status, 1), unknown);
}

#[test]
fn nodes_ask_for_their_own_certificates_and_others_are_named_by_the_api_server() {
    let asked = |user: &str, groups: &[&str], signer: &str| Beside {
        asked: Some((
            user.into(),
            groups.iter().map(|group| (*group).into()).collect(),
            signer.into(),
        )),
        ..Beside::default()
    };
    let meta = meta(INSIDE, &[entry(INSIDE, None)]);
    let author = |beside: Beside| {
        let found = found(Kind::CertificateSigningRequest, &meta, &beside)?;
        Some(found.author().to_owned())
    };
    let (client, serving) = (
        "kubernetes.io/kube-apiserver-client-kubelet",
        "kubernetes.io/kubelet-serving",
    );
    let nodes: &[&str] = &["system:nodes", "system:authenticated"];
    assert_eq!(author(asked("system:node:a", nodes, serving)), None);
    assert_eq!(author(asked("system:node:a", nodes, client)), None);
    let joins = asked("system:bootstrap:abc", &["system:bootstrappers"], client);
    assert_eq!(author(joins), None);
    for (user, groups, signer) in [
        ("worker-one", nodes, client),
        ("system:node:a", &["system:authenticated"][..], client),
        (
            "system:node:a",
            nodes,
            "kubernetes.io/kube-apiserver-client",
        ),
        ("system:bootstrap:abc", nodes, client),
    ] {
        let found = author(asked(user, groups, signer));
        assert_eq!(found.as_deref(), Some(user), "{groups:?} {signer}");
    }
    // Where nothing was stamped, nobody is said to be it.
    assert_eq!(author(Beside::default()).as_deref(), Some("unknown"));
}

#[test]
fn what_lies_in_other_namespaces_or_is_of_other_kinds_is_no_finding_of_the_grant() {
    let mut elsewhere = meta(INSIDE, &[entry(INSIDE, None)]);
    elsewhere["namespace"] = json!("acme-test");
    let none = Beside::default();
    assert_eq!(found(Kind::Role, &elsewhere, &none), None);
    let mut cluster = elsewhere;
    cluster["namespace"] = Value::Null;
    let there = object(Kind::ClusterRole, &cluster, &none).unwrap();
    let of = |kinds: &[Kind]| {
        let kinds = kinds.iter().copied().collect();
        findings(&window(), &kinds, &[], std::slice::from_ref(&there)).len()
    };
    assert_eq!(of(&[Kind::ClusterRole]), 1);
    assert_eq!(of(&[Kind::Role]), 0);
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn able(rules: &[Value]) -> BTreeSet<Kind> {
    let rules: Vec<PolicyRule> = rules
        .iter()
        .map(|rule| serde_json::from_value(rule.clone()).unwrap())
        .collect();
    possible(Some(&Rule::all(Some(&rules))))
}

#[test]
fn role_that_restarts_and_scales_carries_nothing_on() {
    let operate = [
        rule(
            &["get", "list", "watch"],
            "",
            &["pods", "pods/log", "serviceaccounts"],
        ),
        rule(&["get", "list", "watch"], "batch", &["cronjobs", "jobs"]),
        rule(
            &["get", "list", "watch"],
            "gateway.networking.k8s.io",
            &["gateways"],
        ),
        rule(&["get", "list"], "argoproj.io", &["workflows"]),
        rule(&["delete"], "", &["pods"]),
        rule(&["create"], "", &["pods/eviction"]),
        rule(&["update", "patch"], "apps", &["deployments/scale"]),
        rule(&["delete"], "batch", &["jobs"]),
    ];
    assert_eq!(able(&operate), BTreeSet::new());
    assert_eq!(able(&[]), BTreeSet::new());
}

#[test]
fn whoever_can_act_as_a_workload_can_do_all_that_its_account_may() {
    for way in [
        rule(&["create"], "", &["pods/exec"]),
        rule(&["get"], "", &["pods/portforward"]),
        rule(&["patch"], "", &["pods/ephemeralcontainers"]),
        rule(&["get"], "", &["secrets"]),
        rule(&["create"], "", &["pods"]),
        rule(&["patch"], "apps", &["deployments"]),
        rule(&["create"], "batch", &["jobs"]),
        rule(&["update"], "batch", &["cronjobs"]),
        // Of another's kind nobody knows what it starts.
        rule(&["create"], "argoproj.io", &["workflows"]),
        rule(&["*"], "*", &["*"]),
        // Limited to one object it is possible all the same.
        json!({"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"], "resourceNames": ["one"]}),
    ] {
        assert_eq!(able(std::slice::from_ref(&way)), Kind::ALL.into(), "{way}");
    }
    assert_eq!(
        possible(None),
        Kind::ALL.into(),
        "nobody knows what it let do"
    );
}

#[test]
fn role_that_writes_only_accounts_or_bindings_leaves_only_those() {
    let rbac = "rbac.authorization.k8s.io";
    assert_eq!(
        able(&[rule(&["create"], "", &["serviceaccounts"])]),
        [Kind::ServiceAccount].into()
    );
    assert_eq!(
        able(&[rule(&["patch"], rbac, &["rolebindings", "roles"])]),
        [Kind::RoleBinding, Kind::Role].into()
    );
    assert_eq!(able(&[rule(&["delete"], rbac, &["roles"])]), [].into());
}

fn finding(uid: &str) -> Finding {
    Finding {
        kind: "CronJob".into(),
        namespace: "acme-prod".into(),
        name: uid.into(),
        uid: uid.into(),
        change: Changed::Created,
        when: Some(INSIDE.into()),
        author: None,
        claimed: None,
    }
}

fn look(before: Option<&Swept>, open: &[&str], room: usize) -> Swept {
    let open: Vec<Finding> = open.iter().map(|uid| finding(uid)).collect();
    let digest = format!("{open:?}");
    swept(at(LOOK), before, (open, digest), Vec::new(), room)
}

#[test]
fn what_was_named_stays_named_until_it_is_gone_even_where_somebody_touched_it_again() {
    let first = look(None, &["a", "b"], MOST_NAMED);
    assert!(first.is_open());
    let present = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect();
    let uids = |open: Vec<Finding>| open.into_iter().map(|one| one.uid).collect::<Vec<_>>();
    // A later change of b took it out of the window.
    let open = still(vec![finding("a")], Some(&first), &present(&["a", "b"]));
    assert_eq!(uids(open), ["a", "b"]);
    let open = still(vec![finding("a")], Some(&first), &present(&["a"]));
    assert_eq!(uids(open), ["a"]);
    // One made again under the name is another.
    let again = Finding {
        uid: "c".into(),
        ..finding("a")
    };
    let open = still(vec![again], Some(&first), &present(&["c"]));
    assert_eq!(uids(open), ["c"]);
}

#[test]
fn nothing_found_settles_at_once_and_everything_gone_settles_afterwards() {
    let nothing = look(None, &[], MOST_NAMED);
    assert_eq!(nothing.settled.map(|it| it.how), Some(How::NothingFound));
    let first = look(None, &["a", "b"], MOST_NAMED);
    let fewer = look(Some(&first), &["a"], MOST_NAMED);
    assert!(fewer.is_open() && fewer.digest != first.digest && fewer.at == first.at);
    let gone = look(Some(&fewer), &[], MOST_NAMED);
    let settled = gone.settled.clone().unwrap();
    assert_eq!((settled.how, settled.objects), (How::Removed, 1));
    // What is settled stays so.
    assert_eq!(look(Some(&gone), &[], MOST_NAMED), gone);
    // Not looked at is not nothing there.
    let gap = swept(
        at(LOOK),
        None,
        (Vec::new(), "d".into()),
        vec!["tokens".into()],
        MOST_NAMED,
    );
    assert!(gap.is_open() && gap.objects() == 0);
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let uids: Vec<String> = (0..100).map(|n| format!("u-{n:03}")).collect();
    let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
    let many = look(None, &uids, MOST_KEPT);
    assert_eq!((many.findings.len(), many.more), (MOST_NAMED, 36));
    let none = look(None, &uids[..2], 0);
    assert_eq!((none.findings.len(), none.more), (0, 2));
    assert!(none.is_open());
}

#[test]
fn grant_that_lives_has_no_sweep_and_one_that_ended_is_open_until_settled() {
    let mut granted = granted();
    assert!(is_open(&granted));
    granted.sweep = Some(look(None, &["a"], MOST_NAMED));
    assert!(is_open(&granted));
    granted.sweep = Some(look(None, &[], MOST_NAMED));
    assert!(!is_open(&granted));
    granted.sweep = None;
    granted.ended = None;
    assert!(!is_open(&granted));
}

#[test]
fn record_tells_of_each_look_that_showed_something_else_and_of_its_end_once() {
    let told = |before: Option<&Swept>, after: &Swept| -> Vec<String> {
        let events = after.events("u-1", &granted(), before);
        let kinds = events.iter().map(|event| {
            let event = serde_json::to_value(event).unwrap();
            event["type"].as_str().unwrap().to_owned()
        });
        kinds.collect()
    };
    let first = look(None, &["a", "b"], MOST_NAMED);
    assert_eq!(told(None, &first), ["grant.swept"]);
    assert_eq!(told(Some(&first), &first), [""; 0]);
    let fewer = look(Some(&first), &["a"], MOST_NAMED);
    assert_eq!(told(Some(&first), &fewer), ["grant.swept"]);
    let gone = look(Some(&fewer), &[], MOST_NAMED);
    assert_eq!(told(Some(&fewer), &gone), ["grant.sweep.cleared"]);
    assert_eq!(told(Some(&gone), &gone), [""; 0]);
    let mut accepted = fewer.clone();
    let by = Allowed {
        uid: "a-1".into(),
        name: "keep".into(),
    };
    accepted.settle(at(AFTER), How::Accepted, vec![by]);
    assert_eq!(told(Some(&fewer), &accepted), ["grant.sweep.accepted"]);
    assert_eq!(accepted.settled.as_ref().unwrap().objects, 1);
    assert_eq!(told(Some(&accepted), &accepted), [""; 0]);
    assert_eq!(told(None, &look(None, &[], 9)), ["grant.swept"]);
}

proptest! {
    /// Whatever is created while the grant lets somebody in is found, but for what is exempt; whatever is wholly older is not.
    #[test]
    fn nothing_made_in_the_window_slips_through(second in 0..7_200i64, later in 0..86_400i64, kind in 0..Kind::ALL.len()) {
        let kind = Kind::ALL[kind];
        let beside = Beside { ephemeral_containers: 1, ..Beside::default() };
        let subresource = (kind == Kind::Pod).then_some("ephemeralcontainers");
        let created = at("2026-03-02T10:00:00Z") + SignedDuration::from_secs(second);
        let changed = created + SignedDuration::from_secs(later);
        let inside = meta(&created.to_string(), &[entry(&changed.to_string(), subresource)]);
        let is_seen = kind != Kind::Pod || changed <= at(LOOK);
        // Of a pod the change counts; where it was made again later, nobody knows of the one before.
        if is_seen {
            prop_assert!(found(kind, &inside, &beside).is_some());
        }
        let old = at("2026-03-02T09:59:59Z") - SignedDuration::from_secs(later);
        let outside = meta(&old.to_string(), &[entry(&old.to_string(), subresource)]);
        prop_assert!(found(kind, &outside, &beside).is_none());
    }
}
