//! What holds for every generated schema, and that the committed files are the generated ones.
#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "the cases themselves are asked elsewhere")]
mod cases;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_crds::{
    AccessGrant, AccessReview, Approval, Attestation, CustomerTenant, LegalHold, StaffMember,
    TenancyPolicy, all_crds, generated_files,
};

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

/// One schema in a CRD: the kind, the path to it and itself.
struct Node {
    place: String,
    schema: Value,
    /// A named field, as opposed to a list's entry or a map's value.
    field: bool,
}

/// Every schema of every kind within `spec` and `status`.
fn nodes() -> Vec<Node> {
    let mut nodes = Vec::new();
    for crd in all_crds() {
        let schema = crd.spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        for part in ["spec", "status"] {
            collect(
                &format!("{}.{part}", crd.spec.names.kind),
                &schema["properties"][part],
                true,
                &mut nodes,
            );
        }
    }
    assert!(nodes.len() > 300, "only {} schemas found", nodes.len());
    nodes
}

fn collect(place: &str, schema: &Value, field: bool, into: &mut Vec<Node>) {
    into.push(Node {
        place: place.to_owned(),
        schema: schema.clone(),
        field,
    });
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        collect(&format!("{place}.{name}"), child, true, into);
    }
    for (mark, inner) in [
        ("[]", &schema["items"]),
        ("{}", &schema["additionalProperties"]),
    ] {
        if inner.is_object() {
            collect(&format!("{place}{mark}"), inner, false, into);
        }
    }
}

/// Places whose schema has what `wrong` says.
fn places(wrong: impl Fn(&Node) -> bool) -> Vec<String> {
    nodes()
        .into_iter()
        .filter(|node| wrong(node))
        .map(|node| node.place)
        .collect()
}

fn is(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind
}

#[test]
fn committed_files_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (path, text) in generated_files() {
        let committed = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(
            committed == text,
            "{path} is not what the code says: run `cargo xtask generate`"
        );
    }
}

#[test]
fn every_field_is_described() {
    let bare = places(|node| {
        let needed = node.field || node.schema["properties"].is_object();
        needed
            && node.schema["description"]
                .as_str()
                .unwrap_or_default()
                .len()
                < 5
    });
    assert!(bare.is_empty(), "no description: {bare:#?}");
}

#[test]
fn every_allowed_word_is_explained() {
    let bare = places(|node| {
        let description = node.schema["description"].as_str().unwrap_or_default();
        let mut words = node.schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let condition = node.place.contains(".conditions[]");
        !condition && words.any(|word| !description.contains(&format!("{word}: ")))
    });
    assert!(bare.is_empty(), "words without meaning: {bare:#?}");
}

#[test]
fn nothing_has_a_default_or_two_spellings_of_nothing() {
    let found = places(|node| {
        let default = &node.schema["default"];
        let unseen =
            node.place.ends_with(".status") && *default == json!({"observedGeneration": -1});
        !(default.is_null() || unseen) || !node.schema["nullable"].is_null()
    });
    assert!(found.is_empty(), "default or nullable: {found:#?}");
}

#[test]
fn a_status_nobody_wrote_has_seen_no_generation() {
    let found = places(|node| {
        node.place.ends_with(".status")
            && node.schema["default"].is_null()
            && node.schema["properties"]["observedGeneration"].is_object()
    });
    assert!(
        found.is_empty(),
        "current before anybody looked: {found:#?}"
    );
}

#[test]
fn every_definition_says_which_fields_it_knows() {
    for crd in all_crds() {
        let kind = &crd.spec.names.kind;
        // The guard that keeps fields writes them into the first version.
        assert_eq!(crd.spec.versions.len(), 1, "{kind}");
        let annotations = crd.metadata.annotations.unwrap();
        let said: BTreeSet<&str> = annotations["tenure.dev/fields"].split(' ').collect();
        let nodes = nodes();
        let prefix = format!("{kind}.spec.");
        let stands: BTreeSet<&str> = nodes
            .iter()
            .filter(|node| node.field)
            .filter_map(|node| node.place.strip_prefix(&prefix))
            .collect();
        assert_eq!(said, stands, "{kind}");
        assert!(said.len() > 5, "{kind}: {said:?}");
    }
}

#[test]
fn integers_have_a_format_the_api_knows() {
    let found = places(|node| {
        is(&node.schema, "integer")
            && !["int32", "int64"].contains(&node.schema["format"].as_str().unwrap_or_default())
    });
    assert!(found.is_empty(), "neither int32 nor int64: {found:#?}");
}

#[test]
fn every_list_says_how_it_merges_and_its_keys_are_required() {
    let found = places(|node| {
        let schema = &node.schema;
        let keys: Vec<&Value> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let required: Vec<&Value> = schema["items"]["required"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        is(schema, "array")
            && match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => keys.is_empty() || !keys.iter().all(|key| required.contains(key)),
                Some("set") => !is(&schema["items"], "string"),
                Some("atomic") => false,
                _ => true,
            }
    });
    assert!(
        found.is_empty(),
        "no list type, or a key that may be absent: {found:#?}"
    );
}

#[test]
fn everything_that_can_grow_is_bounded() {
    let found = places(|node| {
        let schema = &node.schema;
        let time = schema["format"] == "date-time";
        (is(schema, "array") && schema["maxItems"].is_null())
            || (schema["additionalProperties"].is_object() && schema["maxProperties"].is_null())
            || (is(schema, "string")
                && schema["enum"].is_null()
                && !time
                && schema["maxLength"].is_null())
    });
    assert!(found.is_empty(), "unbounded: {found:#?}");
}

#[test]
fn full_objects_set_every_field_of_the_spec() {
    for kind in KINDS {
        let mut set = BTreeSet::new();
        paths(
            &format!("{kind}.spec"),
            &cases::full(kind)["spec"],
            &mut set,
        );
        let missing = places(|node| {
            node.place.starts_with(&format!("{kind}.spec")) && !set.contains(&node.place)
        });
        let either_or =
            |place: &String| place.contains(".ingressFrom[]") || place.contains(".egressTo[]");
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|place| !either_or(place))
            .collect();
        assert!(
            missing.is_empty(),
            "the full {kind} of the cases lacks {missing:#?}"
        );
    }
}

/// Places of everything that is set, lists and maps folded as in [`collect`].
fn paths(place: &str, value: &Value, into: &mut BTreeSet<String>) {
    into.insert(place.to_owned());
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| paths(&format!("{place}[]"), item, into)),
        Value::Object(map) => {
            for (name, item) in map {
                paths(&format!("{place}.{name}"), item, into);
                paths(&format!("{place}{{}}"), item, into);
            }
        }
        _ => {}
    }
}

#[test]
fn minimal_and_full_objects_survive_the_round_trip() {
    for kind in KINDS {
        for object in [cases::minimal(kind), cases::full(kind)] {
            assert_eq!(
                through_the_types(kind, &object),
                object,
                "{kind} changes on its way through the types"
            );
        }
    }
}

/// An object as the type of its kind writes it back.
fn through_the_types(kind: &str, object: &Value) -> Value {
    fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
        let read: T = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(read).unwrap()
    }
    match kind {
        "TenancyPolicy" => through::<TenancyPolicy>(object),
        "CustomerTenant" => through::<CustomerTenant>(object),
        "Approval" => through::<Approval>(object),
        "LegalHold" => through::<LegalHold>(object),
        "Attestation" => through::<Attestation>(object),
        "StaffMember" => through::<StaffMember>(object),
        "AccessGrant" => through::<AccessGrant>(object),
        "AccessReview" => through::<AccessReview>(object),
        other => panic!("no type for {other}"),
    }
}

#[test]
fn the_reference_names_every_kind_field_and_rule() {
    let page = tenure_crds::reference::render();
    for crd in all_crds() {
        assert!(page.contains(&format!("\n## {}\n", crd.spec.names.kind)));
    }
    for node in nodes() {
        for rule in node.schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(
                page.contains(rule["message"].as_str().unwrap()),
                "{}: a rule is missing",
                node.place
            );
        }
        for (name, field) in node.schema["properties"].as_object().into_iter().flatten() {
            let said: String = field["description"]
                .as_str()
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace('|', "\\|");
            let line =
                |line: &&str| line.starts_with(&format!("| `{name}` |")) && line.contains(&said);
            assert!(
                page.lines().any(|text| line(&text)),
                "{}.{name} is missing",
                node.place
            );
        }
    }
}

fn example(path: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("examples")
        .join(path);
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn minimal_examples_are_the_minimal_objects() {
    assert_eq!(
        example("minimal/tenancypolicy.yaml"),
        cases::minimal("TenancyPolicy")
    );
    let mut tenant = example("minimal/tenant.yaml");
    assert_eq!(
        tenant["spec"]["tenantID"], "TENANT_ID",
        "the place `sed` fills in"
    );
    tenant["spec"]["tenantID"] = cases::TENANT_ID.into();
    assert_eq!(tenant, cases::minimal("CustomerTenant"));
}

#[test]
fn examples_are_kept_by_gitops_and_lose_nothing_in_the_types() {
    for path in [
        "tenancypolicy.yaml",
        "customers/example-logistics.yaml",
        "customers/example-clinic.yaml",
        "legal-holds/example-logistics.yaml",
        "attestations/datacentre.yaml",
        "staff/operator.yaml",
        "staff/subcontractor.yaml",
    ] {
        let written = example(path);
        let annotations = &written["metadata"]["annotations"];
        assert_eq!(
            annotations["argocd.argoproj.io/sync-options"], "Prune=false",
            "{path}"
        );
        assert_eq!(
            annotations["kustomize.toolkit.fluxcd.io/prune"], "disabled",
            "{path}"
        );
        assert_eq!(
            through_the_types(written["kind"].as_str().unwrap(), &written),
            written,
            "{path} has a field the types do not know"
        );
    }
}

/// Git that forgets a grant ends it; nothing may keep the access alive without its file.
#[test]
fn example_grants_are_pruned_and_lose_nothing_in_the_types() {
    for name in ["restart", "debug"] {
        let written = example(&format!("access-grants/{name}-example-logistics.yaml"));
        assert!(written["metadata"]["annotations"].is_null(), "{name}");
        assert_eq!(through_the_types("AccessGrant", &written), written);
    }
}
