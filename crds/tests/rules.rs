//! Every CEL rule of every kind, against a local evaluator: each refuses something and lets its
//! nearest legitimate twin pass. The end-to-end tests ask a real API server the same cases.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;

use std::collections::{BTreeMap, BTreeSet};

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value;
use tenure_crds::all_crds;

const KINDS: [&str; 8] = [
    "TenancyPolicy",
    "CustomerTenant",
    "Approval",
    "LegalHold",
    "Attestation",
    "StaffMember",
    "AccessGrant",
    "AccessReview",
];
/// Rules over dates: the local evaluator keeps `format: date` as text, the API server as a time.
const SERVER_ONLY: [&str; 2] = [
    "a deadline later than ninety days",
    "effectiveOn is before the notice was received",
];

/// The kind's whole schema, as JSON.
fn schema(kind: &str) -> Value {
    let crd = all_crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap();
    serde_json::to_value(
        crd.spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap(),
    )
    .unwrap()
}

fn messages_of(kind: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    messages(&schema(kind), &mut found);
    found
}

fn messages(schema: &Value, into: &mut BTreeSet<String>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        into.insert(rule["message"].as_str().unwrap().to_owned());
    }
    match schema {
        Value::Array(items) => items.iter().for_each(|item| messages(item, into)),
        Value::Object(map) => map.values().for_each(|item| messages(item, into)),
        _ => {}
    }
}

/// Messages of broken rules; what this evaluator cannot evaluate is left to the API server.
fn broken(compiled: &CompiledSchema, object: &Value, old: Option<&Value>) -> Vec<String> {
    let errors = Validator::new()
        .validate_compiled(compiled, object, old)
        .err();
    let known = |kind: &ErrorKind| matches!(kind, ErrorKind::ValidationFailure);
    errors
        .into_iter()
        .flat_map(|errors| errors.into_vec())
        .filter(|error| known(&error.kind))
        .map(|error| error.message)
        .collect()
}

#[test]
fn every_rule_refuses_its_case_and_accepts_the_twin() {
    let mut asked = 0;
    let rules: BTreeMap<&str, _> = KINDS
        .iter()
        .map(|kind| (*kind, messages_of(kind)))
        .collect();
    let schemas: BTreeMap<&str, _> = KINDS
        .iter()
        .map(|kind| (*kind, compile_schema(&schema(kind))))
        .collect();
    for case in cases::all() {
        let compiled = &schemas[case.kind];
        let twin = broken(compiled, &case.twin, case.old.as_ref());
        assert!(
            twin.is_empty(),
            "{}: the twin of {} breaks {twin:?}",
            case.kind,
            case.name
        );
        let is_rule = rules[case.kind]
            .iter()
            .any(|rule| rule.contains(case.message));
        let server_only = SERVER_ONLY.contains(&case.message)
            || case.name.ends_with("without spec")
            || case.name.ends_with("in another zone");
        if !is_rule || server_only {
            continue; // a bound of the schema: the API server's to hold
        }
        asked += 1;
        let refused = broken(compiled, &case.refused, case.old.as_ref());
        let said = refused.iter().any(|message| message.contains(case.message));
        assert!(said, "{}: {} breaks only {refused:?}", case.kind, case.name);
    }
    assert!(asked > 130, "only {asked} cases were asked");
}

#[test]
fn every_rule_has_a_case() {
    for kind in KINDS {
        let mut rules = messages_of(kind);
        let cases = cases::all();
        rules.retain(|rule| {
            !cases
                .iter()
                .any(|case| case.kind == kind && rule.contains(case.message))
        });
        assert!(rules.is_empty(), "{kind}: no case breaks {rules:?}");
    }
}
