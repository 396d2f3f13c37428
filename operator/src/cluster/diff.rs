//! What differs between an object as it should be and as it is, and the object that mends it.
//!
//! Pure. Everything outside `metadata` and `status` is ours as a whole: a key somebody added to a
//! selector opens isolation as surely as one removed. In `metadata` only our keys are ours.

use std::fmt;

use serde_json::{Map, Value};
use tenure_crds::keys;

use crate::policy::quantity::Quantity;

/// One difference.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Difference {
    /// A label or annotation of ours is missing or has another value.
    Mark(String),
    /// A label or annotation with our prefix that should not be there.
    SurplusMark(String),
    /// An ownerReference was planted: garbage collection could delete the object.
    OwnerReference,
    /// A field outside metadata differs; the path says which.
    Field(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(key) => write!(out, "{key} changed"),
            Self::SurplusMark(key) => write!(out, "{key} added"),
            Self::OwnerReference => write!(out, "ownerReferences planted"),
            Self::Field(path) => write!(out, "{path} changed"),
        }
    }
}

/// Everything that differs, sorted; empty when the live object is as it should be.
pub fn differences(desired: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for section in ["labels", "annotations"] {
        let want = map(&desired["metadata"][section]);
        let have = map(&live["metadata"][section]);
        found.extend(
            want.iter()
                .filter(|(key, value)| have.get(*key) != Some(value))
                .map(|(key, _)| Difference::Mark(key.clone())),
        );
        found.extend(
            have.keys()
                .filter(|key| is_ours(key) && !want.contains_key(*key))
                .map(|key| Difference::SurplusMark(key.clone())),
        );
    }
    if live["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty())
    {
        found.push(Difference::OwnerReference);
    }
    for (key, want) in map(desired).iter().filter(|(key, _)| is_content(key)) {
        compare(key, want, live.get(key).unwrap_or(&Value::Null), &mut found);
    }
    found.sort();
    found
}

/// The live object with everything that differs mended and everything foreign left alone.
pub fn mended(desired: &Value, live: &Value) -> Value {
    let mut result = live.clone();
    let Some(object) = result.as_object_mut() else {
        return desired.clone();
    };
    object.remove("status");
    for (key, want) in map(desired).iter().filter(|(key, _)| is_content(key)) {
        object.insert(key.clone(), want.clone());
    }
    for key in ["apiVersion", "kind"] {
        object.insert(key.into(), desired[key].clone());
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("ownerReferences");
        for section in ["labels", "annotations"] {
            let mut merged = metadata
                .get(section)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            merged.retain(|key, _| !is_ours(key));
            merged.extend(map(&desired["metadata"][section]).clone());
            metadata.insert(section.into(), Value::Object(merged));
        }
    }
    result
}

fn is_ours(key: &str) -> bool {
    (key.starts_with(keys::PREFIX) || key.starts_with("pod-security.kubernetes.io/"))
        && key != keys::CHANGED_BY
}

fn is_content(key: &str) -> bool {
    !matches!(key, "metadata" | "status" | "apiVersion" | "kind")
}

fn map(value: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

/// Absent, null, `{}` and `[]` are the same to the API server for the fields we write, but for
/// list fields of our kinds an empty list is never written: so they compare equal.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_blank),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn compare(path: &str, want: &Value, have: &Value, found: &mut Vec<Difference>) {
    match (want, have) {
        (Value::Object(want), Value::Object(have)) => {
            for key in want
                .keys()
                .chain(have.keys().filter(|key| !want.contains_key(*key)))
            {
                let (want, have) = (
                    want.get(key).unwrap_or(&Value::Null),
                    have.get(key).unwrap_or(&Value::Null),
                );
                compare(&format!("{path}.{key}"), want, have, found);
            }
        }
        (Value::Array(want), Value::Array(have)) if want.len() == have.len() => {
            for (index, (want, have)) in want.iter().zip(have).enumerate() {
                compare(&format!("{path}[{index}]"), want, have, found);
            }
        }
        (want, have) if want == have || (is_blank(want) && is_blank(have)) => {}
        (Value::String(want), Value::String(have)) if same_quantity(want, have) => {}
        _ => found.push(Difference::Field(path.to_owned())),
    }
}

/// Whether two texts are the same resource quantity: the API server stores `1000m` as `1`.
fn same_quantity(left: &str, right: &str) -> bool {
    matches!((Quantity::parse(left), Quantity::parse(right)), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy() -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "tenure-deny", "labels": {"tenure.dev/tenant": "acme"}},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        })
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expect: &[&str]) {
        let desired = policy();
        let mut live = policy();
        live["metadata"]["resourceVersion"] = json!("7");
        change(&mut live);
        let found: Vec<String> = differences(&desired, &live)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expect);
        assert_eq!(
            differences(&desired, &mended(&desired, &live)),
            [],
            "the mended object differs still"
        );
    }

    #[test]
    fn an_object_as_it_should_be_does_not_differ() {
        check(|_| {}, &[]);
    }

    #[test]
    fn a_key_added_to_a_selector_is_a_difference() {
        check(
            |live| live["spec"]["podSelector"] = json!({"matchLabels": {"x": "y"}}),
            &["spec.podSelector.matchLabels changed"],
        );
    }

    #[test]
    fn a_rule_added_by_somebody_is_a_difference() {
        check(
            |live| live["spec"]["ingress"] = json!([{}]),
            &["spec.ingress changed"],
        );
    }

    #[test]
    fn foreign_labels_are_left_alone() {
        check(
            |live| live["metadata"]["labels"]["team"] = json!("blue"),
            &[],
        );
        let mut live = policy();
        live["metadata"]["labels"] = json!({"team": "blue"});
        assert_eq!(
            mended(&policy(), &live)["metadata"]["labels"],
            json!({"team": "blue", "tenure.dev/tenant": "acme"})
        );
    }

    #[test]
    fn our_marks_are_restored_and_forged_ones_removed() {
        check(
            |live| live["metadata"]["labels"] = json!({"tenure.dev/parked": "true"}),
            &["tenure.dev/tenant changed", "tenure.dev/parked added"],
        );
    }

    #[test]
    fn a_planted_owner_is_removed() {
        check(
            |live| live["metadata"]["ownerReferences"] = json!([{"uid": "1"}]),
            &["ownerReferences planted"],
        );
    }

    #[test]
    fn quantities_compare_by_amount() {
        for (left, right, same) in [
            ("1000m", "1", true),
            ("1Gi", "1024Mi", true),
            ("0.5", "500m", true),
            ("1", "2", false),
            ("1k", "1Ki", false),
            ("abc", "abc ", false),
        ] {
            assert_eq!(same_quantity(left, right), same, "{left} and {right}");
        }
    }
}
