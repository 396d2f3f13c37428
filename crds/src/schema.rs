//! From Rust types to CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{Approval, CustomerTenant, TenancyPolicy};

/// Every CustomResourceDefinition of Tenure, in the order in which they are applied.
///
/// Schemas carry no defaults: a default changes what is read back, and with it every digest. They
/// allow no null either: what is not said is absent, so that nothing has two spellings.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    [TenancyPolicy::crd(), CustomerTenant::crd(), Approval::crd()]
        .into_iter()
        .map(finish)
        .collect()
}

/// One CRD as the YAML document the chart ships.
pub fn to_yaml(crd: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(crd)
        .unwrap_or_else(|error| unreachable!("a CRD always serialises: {error}"))
}

fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value =
        serde_json::to_value(crd).unwrap_or_else(|error| unreachable!("a CRD is JSON: {error}"));
    for version in value["spec"]["versions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        walk(schema, &mut strip);
        bound_conditions(
            &mut schema["properties"]["status"]["properties"]["conditions"]["items"]["properties"],
        );
    }
    serde_json::from_value(value).unwrap_or_else(|error| unreachable!("still a CRD: {error}"))
}

/// Removes `default` (serde defaults become CRD defaults otherwise) and `nullable` from one schema.
fn strip(schema: &mut serde_json::Map<String, Value>) {
    schema.remove("default");
    schema.remove("nullable");
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
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
fn walk(schema: &mut Value, visit: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    let Value::Object(map) = schema else { return };
    visit(map);
    for (key, child) in map.iter_mut() {
        match (key.as_str(), child) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|child| walk(child, visit))
            }
            ("items" | "additionalProperties", child) => walk(child, visit),
            _ => {}
        }
    }
}
