//! From Rust types to CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{Approval, CustomerTenant, TenancyPolicy};

/// Every CustomResourceDefinition of Tenure, in the order in which they are applied.
///
/// Schemas carry no defaults: a default changes what is read back, and with it every digest.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    [TenancyPolicy::crd(), CustomerTenant::crd(), Approval::crd()].into_iter().map(finish).collect()
}

/// One CRD as the YAML document the chart ships.
pub fn to_yaml(crd: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(crd).unwrap_or_else(|error| unreachable!("a CRD always serialises: {error}"))
}

fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).unwrap_or_else(|error| unreachable!("a CRD is JSON: {error}"));
    strip_defaults(&mut value["spec"]["versions"]);
    serde_json::from_value(value).unwrap_or_else(|error| unreachable!("only defaults were removed: {error}"))
}

/// Removes `default` from schemas (serde defaults become CRD defaults otherwise), but not a
/// property that happens to be called `default`.
fn strip_defaults(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(strip_defaults),
        Value::Object(map) => {
            map.remove("default");
            for (key, child) in map.iter_mut() {
                match (key.as_str(), child) {
                    ("properties", Value::Object(properties)) => properties.values_mut().for_each(strip_defaults),
                    (_, child) => strip_defaults(child),
                }
            }
        }
        _ => {}
    }
}
