use std::collections::BTreeSet;

use proptest::prelude::{prop_assert, prop_assert_eq, prop_assume, proptest};
use serde_json::{Value, json};

use super::*;
use crate::policy::accepted::Accepted;
use crate::policy::samples;

fn fields(found: &[Loosening]) -> Vec<&str> {
    found
        .iter()
        .map(|loosening| loosening.field.as_str())
        .collect()
}

/// `old` to `new` loosens exactly these fields, and the way back exactly those.
#[track_caller]
fn check(old: Value, new: Value, expect: &[&str], back: &[&str]) -> Vec<Loosening> {
    let (old, new) = (samples::policy(old), samples::policy(new));
    let mut found = loosens(&old, &new);
    assert_eq!(fields(&found), expect);
    let reverse = loosens(&new, &old);
    assert_eq!(fields(&reverse), back, "the way back");
    found.extend(reverse);
    found
}

#[track_caller]
fn check_tenant(old: Value, new: Value, expect: &[&str], back: &[&str]) -> Vec<Loosening> {
    let (old, new) = (samples::tenant_with(old), samples::tenant_with(new));
    let mut found = tenant_loosens(&old, &new);
    assert_eq!(fields(&found), expect);
    let reverse = tenant_loosens(&new, &old);
    assert_eq!(fields(&reverse), back, "the way back");
    found.extend(reverse);
    found
}

fn whys(rules: &[&'static Rule]) -> BTreeSet<&'static str> {
    rules.iter().map(|rule| rule.why).collect()
}

fn seen(found: &[Loosening]) -> BTreeSet<&'static str> {
    found.iter().map(|loosening| loosening.why).collect()
}

fn baseline(value: Value) -> Value {
    let mut baseline = json!({"classification": "Public"});
    baseline
        .as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    json!({"baselines": [baseline]})
}

fn role(patch: Value) -> Value {
    let mut role = json!({
        "name": "reader", "longest": "PT8H", "approvals": 2, "exclusiveWith": ["writer"],
        "sessionOnly": true, "privileged": true
    });
    role.as_object_mut()
        .unwrap()
        .extend(patch.as_object().unwrap().clone());
    json!({"grantableRoles": [role]})
}

fn scrape(patch: Value) -> Value {
    let mut entry = json!({
        "name": "scrape", "namespace": "monitoring", "podLabels": {"app": "prometheus"},
        "ports": [{"port": 9000, "endPort": 9100}]
    });
    entry
        .as_object_mut()
        .unwrap()
        .extend(patch.as_object().unwrap().clone());
    json!({"platformIngress": [entry]})
}

fn range(cidr: &str) -> Value {
    json!({"sourceRanges": [{"name": "vpn", "cidr": cidr, "kind": "Vpn"}]})
}

#[test]
fn every_rule_for_a_policy_bites_in_its_own_direction() {
    let none = json!({});
    let mut all = Vec::new();
    let mut case = |old: &Value, new: Value, expect: &[&str], back: &[&str]| {
        all.extend(check(old.clone(), new, expect, back));
    };

    case(
        &none,
        baseline(json!({"podSecurity": "Baseline"})),
        &["spec.baselines[Public].podSecurity"],
        &[],
    );
    case(
        &none,
        baseline(json!({"podSecurity": "Restricted"})),
        &[],
        &[],
    );
    case(
        &none,
        baseline(json!({"storageClasses": ["fast"]})),
        &["spec.baselines[Public].storageClasses[fast]"],
        &[],
    );
    case(
        &none,
        baseline(json!({"anyEgress": true})),
        &["spec.baselines[Public].anyEgress"],
        &[],
    );
    case(&none, baseline(json!({"anyEgress": false})), &[], &[]);
    case(
        &none,
        baseline(json!({"roles": []})),
        &[],
        &["spec.baselines[Public].roles"],
    );
    case(
        &baseline(json!({"roles": ["reader"]})),
        baseline(json!({"roles": ["reader", "writer"]})),
        &["spec.baselines[Public].roles[writer]"],
        &[],
    );
    case(
        &none,
        baseline(json!({"quota": {"pods": "9000"}, "limits": {}})),
        &[],
        &[],
    );

    let reader = role(json!({}));
    case(&none, reader.clone(), &["spec.grantableRoles[reader]"], &[]);
    let longest = "spec.grantableRoles[reader].longest";
    case(&reader, role(json!({"longest": "P1D"})), &[longest], &[]);
    case(&reader, role(json!({"longest": "PT480M"})), &[], &[]);
    let approvals = "spec.grantableRoles[reader].approvals";
    case(&reader, role(json!({"approvals": 1})), &[approvals], &[]);
    let exclusive = "spec.grantableRoles[reader].exclusiveWith[writer]";
    case(
        &reader,
        role(json!({"exclusiveWith": []})),
        &[exclusive],
        &[],
    );
    let session = "spec.grantableRoles[reader].sessionOnly";
    case(
        &reader,
        role(json!({"sessionOnly": false})),
        &[session],
        &[],
    );
    let privileged = "spec.grantableRoles[reader].privileged";
    case(
        &reader,
        role(json!({"privileged": false})),
        &[privileged],
        &[],
    );

    let review = "spec.grantableRoles[reader].reviewEvery";
    case(
        &role(json!({"reviewEvery": "P30D"})),
        role(json!({"reviewEvery": "P31D"})),
        &[review],
        &[],
    );
    case(
        &role(json!({"reviewEvery": "P30D"})),
        reader.clone(),
        &[review],
        &[],
    );
    let cut = "spec.grantableRoles[reader].cutSessions";
    case(
        &role(json!({"cutSessions": true})),
        reader.clone(),
        &[cut],
        &[],
    );

    let roles = json!({"privilegedRoles": ["platform-admin"]});
    case(&none, roles, &[], &["spec.privilegedRoles[platform-admin]"]);

    let entry = "spec.platformIngress[scrape]";
    let narrow = scrape(json!({}));
    case(&none, narrow.clone(), &[entry], &[]);
    case(
        &narrow,
        scrape(json!({"namespace": "other"})),
        &[entry],
        &[entry],
    );
    case(&narrow, scrape(json!({"podLabels": {}})), &[entry], &[]);
    case(
        &narrow,
        scrape(json!({"podLabels": {"app": "prometheus", "tier": "x"}})),
        &[],
        &[entry],
    );
    case(&narrow, scrape(json!({"ports": []})), &[entry], &[]);
    case(
        &narrow,
        scrape(json!({"ports": [{"port": 9050}]})),
        &[],
        &[entry],
    );
    case(
        &narrow,
        scrape(json!({"ports": [{"port": 9050, "protocol": "UDP"}]})),
        &[entry],
        &[entry],
    );
    let halves =
        json!({"ports": [{"port": 9051, "endPort": 9100}, {"port": 9000, "endPort": 9050}]});
    case(&narrow, scrape(halves), &[], &[]);

    case(
        &none,
        json!({"edges": [{"namespace": "dmz"}]}),
        &["spec.edges[dmz]"],
        &[],
    );

    let class = |waf: Option<&str>| {
        let mut class = json!({"kind": "Ingress", "name": "public"});
        if let Some(waf) = waf {
            class["waf"] = json!(waf);
        }
        json!({"exposureClasses": [class]})
    };
    case(
        &none,
        class(None),
        &["spec.exposureClasses[Ingress public]"],
        &[],
    );
    let waf = "spec.exposureClasses[Ingress public].waf";
    case(&class(Some("rules 4")), class(None), &[waf], &[]);
    case(&class(Some("rules 4")), class(Some("rules 5")), &[], &[]);
    let gateway = json!({"exposureClasses": [{"kind": "Gateway", "name": "public"}]});
    case(
        &class(None),
        gateway,
        &["spec.exposureClasses[Gateway public]"],
        &["spec.exposureClasses[Ingress public]"],
    );

    let dns = |namespace: &str, labels: Value, ports: Value| json!({"dns": {"namespace": namespace, "podLabels": labels, "ports": ports}});
    let label = json!({"k8s-app": "kube-dns"});
    case(
        &none,
        dns("kube-system", label.clone(), json!([])),
        &[],
        &[],
    );
    case(
        &none,
        dns("dns", label.clone(), json!([])),
        &["spec.dns"],
        &["spec.dns"],
    );
    case(
        &none,
        dns("kube-system", json!({}), json!([])),
        &["spec.dns"],
        &[],
    );
    let port = json!([{"port": 53, "protocol": "UDP"}]);
    case(&none, dns("kube-system", label, port), &[], &["spec.dns"]);

    case(&none, range("10.0.0.0/8"), &[], &["spec.sourceRanges"]);
    case(
        &range("10.1.0.0/16"),
        range("10.0.0.0/8"),
        &["spec.sourceRanges[vpn]"],
        &[],
    );

    let trust = |user: &str, reason: &str| json!({"trustedControllers": [{"guard": "storage", "username": user, "reason": reason}]});
    case(
        &none,
        trust("a", "x"),
        &["spec.trustedControllers[storage a]"],
        &[],
    );
    case(&trust("a", "x"), trust("a", "y"), &[], &[]);

    let group = "spec.breakGlassGroup";
    case(
        &none,
        json!({"breakGlassGroup": "emergency"}),
        &[group],
        &[group],
    );
    case(
        &none,
        json!({"breakGlassGroup": "tenure:break-glass"}),
        &[],
        &[],
    );

    let applier = json!({"gitopsAppliers": [{"username": "flux"}]});
    case(&none, applier, &["spec.gitopsAppliers[flux]"], &[]);

    let restore = |user: &str| json!({"restore": {"username": user}});
    case(&none, restore("velero"), &["spec.restore"], &[]);
    case(
        &restore("velero"),
        restore("other"),
        &["spec.restore"],
        &["spec.restore"],
    );

    let mfa = |key: &str, values: Value| json!({"identityProvider": {"mfaExtraKey": key, "mfaExtraValues": values}});
    let provider = "spec.identityProvider";
    case(&none, mfa("amr", json!(["otp"])), &[], &[provider]);
    case(
        &mfa("amr", json!(["otp"])),
        mfa("acr", json!(["otp"])),
        &[provider],
        &[provider],
    );
    case(
        &mfa("amr", json!(["otp"])),
        mfa("amr", json!(["otp", "pwd"])),
        &["spec.identityProvider.mfaExtraValues[pwd]"],
        &[],
    );

    let vault = |address: &str, secret: &str| {
        json!({"keyServices": [{"name": "v", "kind": "Vault", "address": address,
            "credentialsRef": {"name": secret}}]})
    };
    let service = "spec.keyServices[v]";
    case(&none, vault("https://a", "s"), &[service], &[]);
    case(
        &vault("https://a", "s"),
        vault("https://b", "s"),
        &[service],
        &[service],
    );
    case(&vault("https://a", "s"), vault("https://a", "t"), &[], &[]);

    let sink = |address: &str| json!({"logSinks": [{"name": "s", "address": address}]});
    case(&none, sink("https://a"), &["spec.logSinks[s]"], &[]);
    case(
        &sink("https://a"),
        sink("s3://b"),
        &["spec.logSinks[s]"],
        &["spec.logSinks[s]"],
    );

    let keep = |logs: &str| json!({"retention": {"logs": logs}});
    case(&keep("P365D"), keep("P30D"), &["spec.retention.logs"], &[]);
    case(&none, keep("P30D"), &[], &["spec.retention.logs"]);
    case(
        &none,
        json!({"retention": {"backups": "P30D"}}),
        &[],
        &["spec.retention.backups"],
    );

    let hosting = |answer: bool| json!({"hosting": {"publicCloud": answer}});
    case(
        &hosting(true),
        hosting(false),
        &["spec.hosting.publicCloud"],
        &[],
    );
    case(&none, hosting(false), &["spec.hosting.publicCloud"], &[]);
    case(&none, hosting(true), &[], &[]);

    let enforced = |on: bool| json!({"clusterNetworkPolicy": {"enforced": on}});
    case(
        &none,
        enforced(true),
        &[],
        &["spec.clusterNetworkPolicy.enforced"],
    );
    case(&none, enforced(false), &[], &[]);

    let covered = json!({"supplierParagraph": {"coveredByMainContract": true}});
    case(
        &none,
        covered,
        &["spec.supplierParagraph.coveredByMainContract"],
        &[],
    );
    case(
        &none,
        json!({"securityContact": {"name": "Desk"}}),
        &[],
        &[],
    );

    assert_eq!(seen(&all), whys(POLICY_RULES), "each rule has its case");
}

#[test]
fn every_rule_for_a_tenant_bites_in_its_own_direction() {
    let none = json!({});
    let mut all = Vec::new();
    let mut case = |old: &Value, new: Value, expect: &[&str], back: &[&str]| {
        all.extend(check_tenant(old.clone(), new, expect, back));
    };

    case(
        &none,
        json!({"classification": "Internal"}),
        &["spec.classification"],
        &[],
    );
    case(
        &none,
        json!({"enforcement": "Observe"}),
        &["spec.enforcement"],
        &[],
    );
    case(&none, json!({"enforcement": "Enforce"}), &[], &[]);

    let supplier = json!({"agreements": [
        {"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"},
        {"name": "sec", "profile": "supplier-paragraph", "signedOn": "2026-01-01"}
    ]});
    case(&none, supplier, &[], &["spec.agreements"]);

    let order = |within: Option<&str>| {
        let mut order = json!({"name": "sow", "signedOn": "2026-01-01"});
        if let Some(within) = within {
            order["exitWithin"] = json!(within);
        }
        json!({"agreements": [
            {"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01", "orders": [order]}
        ]})
    };
    let within = "spec.agreements[dsa].orders[sow].exitWithin";
    case(&order(Some("P30D")), order(Some("P60D")), &[within], &[]);
    case(&order(Some("P30D")), order(None), &[within], &[]);
    case(&order(Some("P30D")), none.clone(), &[within], &[]);

    let claim = |amendment: &str, reason: &str| {
        json!({"controls": [{"id": "dsa-2.5-perimeter",
            "notApplicable": {"reason": reason, "amendment": amendment}}]})
    };
    let not_applicable = "spec.controls[dsa-2.5-perimeter].notApplicable";
    case(&none, claim("first", "x"), &[not_applicable], &[]);
    case(
        &claim("first", "x"),
        claim("second", "x"),
        &[not_applicable],
        &[not_applicable],
    );
    case(&claim("first", "x"), claim("first", "y"), &[], &[]);

    let matrix = |party: &str| json!({"controls": [{"id": "dsa-2.5-perimeter", "responsible": party, "reference": "1"}]});
    let responsible = "spec.controls[dsa-2.5-perimeter].responsible";
    case(&none, matrix("Shared"), &[responsible], &[]);
    case(&none, matrix("Provider"), &[], &[]);
    case(&matrix("Shared"), matrix("Customer"), &[responsible], &[]);

    let exit = |patch: Value| {
        let mut exit = json!({
            "noticeReceivedAt": "2026-05-01T09:00:00Z", "noticeReference": "letter",
            "effectiveOn": "2026-05-31"
        });
        exit.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        json!({"termination": exit})
    };
    let plain = exit(json!({}));
    let deadline = "spec.termination.deadline";
    let notice = "spec.termination.noticeReceivedAt";
    case(&none, plain.clone(), &[], &[]);
    // Ninety days after the notice is 2026-07-30.
    case(&none, exit(json!({"deadline": "2026-07-30"})), &[], &[]);
    case(
        &none,
        exit(json!({"deadline": "2026-07-31"})),
        &[deadline],
        &[],
    );
    case(
        &plain,
        exit(json!({"deadline": "2026-07-01"})),
        &[],
        &[deadline],
    );
    case(
        &plain,
        exit(json!({"noticeReceivedAt": "2026-05-01T10:00:00Z"})),
        &[notice],
        &[],
    );
    case(
        &plain,
        exit(json!({"noticeReceivedAt": "2026-05-01T11:00:00+02:00"})),
        &[],
        &[],
    );
    case(
        &plain,
        exit(json!({"noticeReceivedAt": "2026-05-02T09:00:00Z"})),
        &[deadline, notice],
        &[],
    );
    case(
        &plain,
        exit(json!({"effectiveOn": "2026-06-30"})),
        &["spec.termination.effectiveOn"],
        &[],
    );
    case(
        &plain,
        exit(json!({"choice": "Destroy", "scope": {"orders": ["sow"]}})),
        &[],
        &[],
    );

    let logging = |patch: Value| json!({"logging": patch});
    case(
        &none,
        logging(json!({"sink": "s"})),
        &[],
        &["spec.logging.sink"],
    );
    let retention = "spec.logging.retention";
    case(
        &logging(json!({"retention": "P90D"})),
        logging(json!({"retention": "P30D"})),
        &[retention],
        &[],
    );
    case(
        &none,
        logging(json!({"retention": "P30D"})),
        &[],
        &[retention],
    );

    let encryption = |patch: Value| json!({"encryption": patch});
    case(
        &none,
        encryption(json!({"keyService": "v"})),
        &[],
        &["spec.encryption.keyService"],
    );
    let rotation = "spec.encryption.rotation";
    case(
        &encryption(json!({"rotation": "P30D"})),
        encryption(json!({"rotation": "P90D"})),
        &[rotation],
        &[],
    );
    case(
        &none,
        encryption(json!({"rotation": "P30D"})),
        &[],
        &[rotation],
    );

    let excluded = |since: &str| json!({"teleworkExclusions": [{"person": "p", "since": since}]});
    let exclusion = "spec.teleworkExclusions[p]";
    case(&none, excluded("2026-03-01"), &[], &[exclusion]);
    case(
        &excluded("2026-03-01"),
        excluded("2026-04-01"),
        &[exclusion],
        &[],
    );

    let customer = |patch: Value| {
        let mut customer = json!({"name": "Example NV"});
        customer
            .as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        json!({"customer": customer})
    };
    let persons = |identities: Value| {
        customer(json!({"persons": [{"name": "director", "identities": identities}]}))
    };
    let person = "spec.customer.persons[director]";
    case(&none, persons(json!(["a"])), &[person], &[]);
    case(
        &persons(json!(["a"])),
        persons(json!(["a", "b"])),
        &[person],
        &[],
    );
    let recipient = |key: &str| {
        customer(json!({"returnRecipients": [
            {"name": "key", "agePublicKey": key, "fingerprint": "sha256:0"}
        ]}))
    };
    let key = "spec.customer.returnRecipients[key]";
    case(&none, recipient("age1a"), &[key], &[]);
    case(&recipient("age1a"), recipient("age1b"), &[key], &[key]);
    let hosts = customer(json!({"returnHosts": ["h.example.com"]}));
    case(
        &none,
        hosts,
        &["spec.customer.returnHosts[h.example.com]"],
        &[],
    );

    assert_eq!(seen(&all), whys(TENANT_RULES), "each rule has its case");
}

#[test]
fn peers_quotas_members_deployers_and_namespaces_are_no_loosening() {
    let full = samples::full_tenant();
    let fields = [
        "owner",
        "network",
        "exposure",
        "deployers",
        "members",
        "subcontractors",
        "namespaces",
        "forceMajeure",
    ];
    for field in fields {
        let changed = match field {
            "namespaces" => json!({"namespaces": [
                {"name": "prod", "quota": {"pods": "9000"}, "podSecurity": "Privileged"},
                {"name": "test"}
            ]}),
            _ => json!({field: full[field]}),
        };
        check_tenant(json!({}), changed, &[], &[]);
    }
}

#[test]
fn a_mixed_change_tightens_at_once_and_loosens_later() {
    let old = samples::policy(json!({
        "edges": [{"namespace": "dmz"}],
        "privilegedRoles": ["a"],
        "grantableRoles": [{"name": "reader", "longest": "PT8H", "approvals": 1}]
    }));
    let new = samples::policy(json!({
        "edges": [{"namespace": "new-edge"}],
        "privilegedRoles": ["b"],
        "grantableRoles": [{"name": "reader", "longest": "P1D", "approvals": 2}]
    }));
    let decision = merge_accepted(Some(&old), &new, Permission::Missing);
    assert_eq!(
        fields(decision.waiting()),
        [
            "spec.edges[new-edge]",
            "spec.grantableRoles[reader].longest",
            "spec.privilegedRoles[a]"
        ]
    );
    let expect = samples::policy(json!({
        "privilegedRoles": ["a", "b"],
        "grantableRoles": [{"name": "reader", "longest": "PT8H", "approvals": 2}]
    }));
    assert_eq!(*decision.in_force(), expect);
}

#[test]
fn a_loosening_waits_only_once_there_is_something_to_protect_and_nobody_approved() {
    let old = TenancyPolicySpec::default();
    let new = samples::policy(json!({"edges": [{"namespace": "dmz"}]}));
    let check = |accepted: Option<&TenancyPolicySpec>, permission, accepts: bool| {
        let decision = merge_accepted(accepted, &new, permission);
        assert_eq!(decision.waiting().is_empty(), accepts, "{permission:?}");
        assert_eq!(
            *decision.in_force(),
            if accepts { new.clone() } else { old.clone() }
        );
    };
    check(None, Permission::Missing, true);
    check(Some(&old), Permission::NotYetNeeded, true);
    check(Some(&old), Permission::Approved, true);
    check(Some(&old), Permission::Missing, false);
}

#[test]
fn source_ranges_cannot_be_emptied_by_a_change_that_also_waits() {
    let old = samples::policy(range("10.1.0.0/16"));
    let new = samples::policy(json!({
        "sourceRanges": [{"name": "other", "cidr": "192.0.2.0/24", "kind": "Vpn"}]
    }));
    let decision = merge_accepted(Some(&old), &new, Permission::Missing);
    assert_eq!(*decision.in_force(), old);
}

#[test]
fn a_change_of_all_mfa_values_keeps_the_old_ones_until_approved() {
    let provider = |value: &str| {
        samples::policy(
            json!({"identityProvider": {"mfaExtraKey": "amr", "mfaExtraValues": [value]}}),
        )
    };
    let decision = merge_accepted(
        Some(&provider("otp")),
        &provider("pwd"),
        Permission::Missing,
    );
    assert_eq!(*decision.in_force(), provider("otp"));
}

#[test]
fn what_is_in_force_while_something_waits_has_one_order() {
    let range = |name: &str| json!({"name": name, "cidr": "10.0.0.0/8", "kind": "Vpn"});
    let written = json!({
        "baselines": [
            {"classification": "Restricted", "roles": ["b", "a"]},
            {"classification": "Public", "storageClasses": ["b", "a"]}
        ],
        "privilegedRoles": ["b", "a"],
        "sourceRanges": [range("b"), range("a")],
        "identityProvider": {"mfaExtraKey": "amr", "mfaExtraValues": ["b", "a"]}
    });
    let old = samples::policy(written.clone());
    let mut wanted = written;
    wanted["edges"] = json!([{"namespace": "dmz"}]);
    let decision = merge_accepted(Some(&old), &samples::policy(wanted), Permission::Missing);
    let expect = samples::policy(json!({
        "baselines": [
            {"classification": "Public", "storageClasses": ["a", "b"]},
            {"classification": "Restricted", "roles": ["a", "b"]}
        ],
        "privilegedRoles": ["a", "b"],
        "sourceRanges": [range("a"), range("b")],
        "identityProvider": {"mfaExtraKey": "amr", "mfaExtraValues": ["a", "b"]}
    }));
    assert_eq!(*decision.in_force(), expect);
}

#[test]
fn a_loosening_says_what_was_and_what_is_asked() {
    let old = samples::policy(scrape(json!({})));
    let new = samples::policy(scrape(json!({"podLabels": {}, "ports": []})));
    let expect = Loosening {
        field: "spec.platformIngress[scrape]".into(),
        why: "further traffic reaches every tenant's pods",
        old: "monitoring: app=prometheus, TCP 9000-9100".into(),
        new: "monitoring: every pod, every port".into(),
    };
    assert_eq!(loosens(&old, &new), [expect]);
}

#[test]
fn the_table_names_every_rule_and_is_well_formed() {
    let table = docs_table();
    for rule in POLICY_RULES.iter().chain(TENANT_RULES) {
        assert!(table.contains(&format!("| `spec.{}` | {} |", rule.field, rule.why)));
    }
    for line in table.lines() {
        assert_eq!(line.matches('|').count(), 5, "{line}");
    }
}

/// What of the settings in force is about security: the rest of [`Accepted`] is put to one value.
fn effective(spec: &TenancyPolicySpec) -> Value {
    let mut accepted = Accepted::from_spec(spec).unwrap();
    let classes = &mut accepted.classes;
    for list in [
        &mut classes.ingress,
        &mut classes.gateway,
        &mut classes.shared_gateways,
    ] {
        for waf in list.values_mut().flatten() {
            waf.clear();
        }
    }
    let hosting = &mut accepted.hosting;
    for answer in [
        &mut hosting.own_datacentre,
        &mut hosting.public_cloud,
        &mut hosting.telework,
        &mut hosting.subcontractors,
    ] {
        // An absent answer and "yes" both leave the clause in place.
        *answer = Some(*answer != Some(false));
    }
    json!(format!("{accepted:?}"))
}

proptest! {
    #[test]
    fn an_equal_policy_never_loosens(policy in samples::policies()) {
        prop_assert_eq!(loosens(&policy, &policy), []);
    }

    #[test]
    fn the_order_of_lists_means_nothing((old, new) in samples::two_policies()) {
        let mut turned = serde_json::to_value(&new).unwrap();
        for field in turned.as_object_mut().unwrap().values_mut() {
            if let Some(list) = field.as_array_mut() {
                list.reverse();
            }
        }
        let turned = samples::policy(turned);
        prop_assert_eq!(loosens(&old, &turned), loosens(&old, &new));
        prop_assert_eq!(loosens(&turned, &old), loosens(&new, &old));
    }

    #[test]
    fn what_loosens_neither_way_is_in_effect_the_same((old, new) in samples::two_policies()) {
        if loosens(&old, &new).is_empty() && loosens(&new, &old).is_empty() {
            prop_assert_eq!(effective(&old), effective(&new));
        }
    }

    #[test]
    fn what_is_in_force_without_approval_never_loosens((old, new) in samples::two_policies()) {
        let decision = merge_accepted(Some(&old), &new, Permission::Missing);
        prop_assert_eq!(loosens(&old, decision.in_force()), []);
        prop_assert!(Accepted::from_spec(decision.in_force()).is_ok());
    }

    #[test]
    fn deciding_again_changes_nothing((old, new) in samples::two_policies()) {
        let first = merge_accepted(Some(&old), &new, Permission::Missing);
        let second = merge_accepted(Some(first.in_force()), &new, Permission::Missing);
        prop_assert_eq!(second.in_force(), first.in_force());
        prop_assert_eq!(second.waiting().is_empty(), first.waiting().is_empty());
    }

    #[test]
    fn what_does_not_wait_is_in_force((old, new) in samples::two_policies()) {
        let decision = merge_accepted(Some(&old), &new, Permission::Missing);
        prop_assume!(!decision.waiting().is_empty());
        // From what is in force to what is wanted nothing tightens any more, but for the source
        // ranges and other entries that wait as a whole.
        let left = loosens(&new, decision.in_force());
        let waiting: BTreeSet<&str> = decision.waiting().iter().map(|l| list_of(&l.field)).collect();
        for field in fields(&left) {
            prop_assert!(waiting.contains(list_of(field)), "{} did not wait", field);
        }
    }
}

/// `spec.edges[x].y` is about `spec.edges`.
fn list_of(field: &str) -> &str {
    field.split_once('[').map_or(field, |(list, _)| list)
}
