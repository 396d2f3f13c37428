//! From Rust types to CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::access_grant::{Credential, Location};
use crate::access_review::{AccessKind, ReviewDecision};
use crate::approval::{Action, BehalfParty, Decision};
use crate::attestation::SubjectKind;
use crate::customer_tenant::{
    Choice, ContactRole, KeyUse, MemberKind, NamespaceState, OnTighten, Profile, TenantRole,
};
use crate::keys;
use crate::legal_hold::HoldExtent;
use crate::staff_member::Employment;
use crate::status::{Party, Verdict};
use crate::tenancy_policy::{ExposureKind, Guard, KeyServiceKind, SourceKind};
use crate::words::{Classification, Enforcement, Language, PodSecurity, Protocol};
use crate::{
    AccessGrant, AccessReview, Approval, Attestation, CustomerTenant, LegalHold, StaffMember,
    TenancyPolicy,
};

/// The `observedGeneration` of an object the operator has not looked at yet; no object has such a generation.
pub const NEVER_OBSERVED: i64 = -1;

/// Every CustomResourceDefinition of Tenure, in the order in which they are applied.
///
/// A spec carries no defaults: a default changes what is read back, and with it every digest. They
/// allow no null either: what is not said is absent, so that nothing has two spellings. Only a
/// status nobody has written yet reads as one that saw no generation: without it, whoever asks by
/// the rules of kstatus takes an object for current before the operator has looked at it.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    let crds = [
        TenancyPolicy::crd(),
        CustomerTenant::crd(),
        Approval::crd(),
        LegalHold::crd(),
        Attestation::crd(),
        StaffMember::crd(),
        AccessGrant::crd(),
        AccessReview::crd(),
    ];
    crds.into_iter().map(finish).collect()
}

/// One CRD as the YAML document the chart ships.
pub fn to_yaml(crd: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(crd)
        .unwrap_or_else(|error| unreachable!("a CRD always serialises: {error}"))
}

fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value =
        serde_json::to_value(crd).unwrap_or_else(|error| unreachable!("a CRD is JSON: {error}"));
    let mut known = Vec::new();
    for version in value["spec"]["versions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        walk(schema, &mut strip);
        let vocabularies = vocabularies();
        walk(schema, &mut |schema| explain_words(schema, &vocabularies));
        fields("", &schema["properties"]["spec"], &mut known);
        schema["properties"]["status"]["default"] = json!({"observedGeneration": NEVER_OBSERVED});
        bound_conditions(
            &mut schema["properties"]["status"]["properties"]["conditions"]["items"]["properties"],
        );
    }
    value["metadata"]["annotations"] = json!({keys::FIELDS: known.join(" ")});
    serde_json::from_value(value).unwrap_or_else(|error| unreachable!("still a CRD: {error}"))
}

/// Every field within a schema by its path, as the guard keep-fields reads it: `network.egressTo[].ports[].port`.
fn fields(place: &str, schema: &Value, known: &mut Vec<String>) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let place = if place.is_empty() {
            name.clone()
        } else {
            format!("{place}.{name}")
        };
        known.push(place.clone());
        fields(&place, child, known);
    }
    for (mark, inside) in [("[]", "items"), ("{}", "additionalProperties")] {
        if schema[inside].is_object() {
            fields(&format!("{place}{mark}"), &schema[inside], known);
        }
    }
}

/// Removes `default` (serde defaults become CRD defaults otherwise) and `nullable` from one schema.
fn strip(schema: &mut Map<String, Value>) {
    schema.remove("default");
    schema.remove("nullable");
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

/// Words an enum allows, and what each of them means, from the Rust documentation.
type Vocabulary = Vec<(String, String)>;

fn vocabularies() -> Vec<Vocabulary> {
    vec![
        vocabulary::<Action>(),
        vocabulary::<Decision>(),
        vocabulary::<BehalfParty>(),
        vocabulary::<HoldExtent>(),
        vocabulary::<Location>(),
        vocabulary::<Credential>(),
        vocabulary::<AccessKind>(),
        vocabulary::<ReviewDecision>(),
        vocabulary::<Employment>(),
        vocabulary::<SubjectKind>(),
        vocabulary::<ContactRole>(),
        vocabulary::<Profile>(),
        vocabulary::<OnTighten>(),
        vocabulary::<KeyUse>(),
        vocabulary::<TenantRole>(),
        vocabulary::<MemberKind>(),
        vocabulary::<Choice>(),
        vocabulary::<NamespaceState>(),
        vocabulary::<Verdict>(),
        vocabulary::<Party>(),
        vocabulary::<ExposureKind>(),
        vocabulary::<SourceKind>(),
        vocabulary::<Guard>(),
        vocabulary::<KeyServiceKind>(),
        vocabulary::<Classification>(),
        vocabulary::<Enforcement>(),
        vocabulary::<Language>(),
        vocabulary::<PodSecurity>(),
        vocabulary::<Protocol>(),
    ]
}

fn vocabulary<T: JsonSchema>() -> Vocabulary {
    let schema = schemars::schema_for!(T).to_value();
    let words = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_default()
            .trim()
            .trim_end_matches('.')
            .replace('\n', " ")
    };
    words
        .iter()
        .map(|word| (text(&word["const"]), text(&word["description"])))
        .collect()
}

/// Writes the meaning of every allowed word behind the description of an enum field.
fn explain_words(schema: &mut Map<String, Value>, vocabularies: &[Vocabulary]) {
    let Some(allowed) = schema.get("enum").and_then(Value::as_array) else {
        return;
    };
    let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
    let same = |words: &&Vocabulary| {
        words
            .iter()
            .map(|(word, _)| word.as_str())
            .eq(allowed.iter().copied())
    };
    let Some(words) = vocabularies.iter().find(same) else {
        return;
    };
    let meanings: Vec<String> = words
        .iter()
        .map(|(word, meaning)| format!("{word}: {meaning}."))
        .collect();
    let said = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = format!("{said} {}", meanings.join(" "));
    schema.insert("description".to_owned(), Value::String(description));
}

/// The bounds that Kubernetes puts on conditions; the Rust type does not carry them.
fn bound_conditions(fields: &mut Value) {
    if fields.is_null() {
        return;
    }
    let bounds = [
        ("type", json!({"minLength": 1, "maxLength": 316})),
        ("status", json!({"enum": ["True", "False", "Unknown"]})),
        (
            "reason",
            json!({"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}),
        ),
        ("message", json!({"maxLength": 32768})),
        ("observedGeneration", json!({"minimum": 0})),
    ];
    for (field, more) in bounds {
        if let (Value::Object(schema), Value::Object(more)) = (&mut fields[field], more) {
            schema.extend(more);
        }
    }
}

/// Calls `visit` on a schema and every schema in it.
fn walk(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(map) = schema else { return };
    visit(map);
    for (key, child) in map.iter_mut() {
        match (key.as_str(), child) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|child| walk(child, visit));
            }
            ("items" | "additionalProperties", child) => walk(child, visit),
            _ => {}
        }
    }
}

/// Drops an enum's own description, so that the description of the field that uses it stands.
///
/// What its words mean is not lost: [`all_crds`] writes it behind the field's description.
pub(crate) fn leave_description_to_field(schema: &mut schemars::Schema) {
    schema.remove("description");
}
