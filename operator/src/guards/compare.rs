//! Whether the cluster's guards are the built-in ones. Pure over caches.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::text::Builtin;
use super::watch::{self, Made};
use crate::context::Context;

/// Guards whose policy or binding differs, each with the first difference.
pub fn differing(context: &Context, builtin: &[Builtin]) -> BTreeMap<String, String> {
    builtin
        .iter()
        .filter_map(|guard| {
            let difference = guard
                .objects
                .iter()
                .find_map(|object| differs(object, live(context, object)))?;
            Some((guard.name.clone(), difference))
        })
        .collect()
}

/// What a guard is made of in the cluster, as far as it is known here.
pub fn made(context: &Context, guard: &Builtin) -> Made {
    let of = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place = (text(&object["kind"]), text(&object["metadata"]["name"]));
        Some((place, watch::identity(&live(context, object)?)))
    };
    guard.objects.iter().filter_map(of).collect()
}

fn live(context: &Context, object: &Value) -> Option<Value> {
    let name = object["metadata"]["name"].as_str()?;
    let caches = &context.caches;
    match object["kind"].as_str()? {
        "ValidatingAdmissionPolicy" => json_of(caches.guards.get("", name)),
        "ValidatingAdmissionPolicyBinding" => json_of(caches.guard_bindings.get("", name)),
        "MutatingAdmissionPolicy" => json_of(caches.stamps.get("", name)),
        "MutatingAdmissionPolicyBinding" => json_of(caches.stamp_bindings.get("", name)),
        _ => None,
    }
}

fn json_of<T: Serialize>(object: Option<std::sync::Arc<T>>) -> Option<Value> {
    serde_json::to_value(object?.as_ref()).ok()
}

fn differs(builtin: &Value, live: Option<Value>) -> Option<String> {
    let name = builtin["metadata"]["name"].as_str().unwrap_or_default();
    let Some(live) = live else {
        return Some(format!(
            "{} {name} is missing",
            builtin["kind"].as_str().unwrap_or_default()
        ));
    };
    if !live["metadata"]["deletionTimestamp"].is_null() {
        return Some(format!("{name} is being deleted"));
    }
    difference("spec", &builtin["spec"], &live["spec"]).map(|path| format!("{name}: {path}"))
}

/// The path of the first difference. What only the live object has must be a default of the API server.
fn difference(path: &str, builtin: &Value, live: &Value) -> Option<String> {
    match (builtin, live) {
        (Value::Object(want), Value::Object(have)) => {
            let missing = want.iter().find_map(|(key, value)| {
                difference(
                    &format!("{path}.{key}"),
                    value,
                    have.get(key).unwrap_or(&Value::Null),
                )
            });
            missing.or_else(|| {
                have.iter()
                    .find(|(key, value)| !want.contains_key(*key) && !is_default(key, value))
                    .map(|(key, _)| format!("{path}.{key} was added"))
            })
        }
        (Value::Array(want), Value::Array(have)) if want.len() == have.len() => want
            .iter()
            .zip(have)
            .enumerate()
            .find_map(|(index, (want, have))| difference(&format!("{path}[{index}]"), want, have)),
        _ if builtin == live || is_empty(builtin) && is_empty(live) => None,
        _ => Some(format!("{path} differs")),
    }
}

fn is_default(key: &str, value: &Value) -> bool {
    let defaults = [
        ("matchPolicy", json!("Equivalent")),
        ("namespaceSelector", json!({})),
        ("objectSelector", json!({})),
        ("scope", json!("*")),
        ("failurePolicy", json!("Fail")),
        ("reinvocationPolicy", json!("Never")),
    ];
    is_empty(value)
        || defaults
            .iter()
            .any(|(known, default)| *known == key && default == value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Value {
        json!({"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "tenure-x"},
            "spec": {"failurePolicy": "Fail", "validations": [{"expression": "false"}]}})
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expect: Option<&str>) {
        let mut live = policy();
        change(&mut live);
        assert_eq!(differs(&policy(), Some(live)).as_deref(), expect);
    }

    #[test]
    fn the_api_servers_defaults_do_not_differ() {
        check(|live| live["spec"]["matchConstraints"] = json!({}), None);
    }

    #[test]
    fn a_weakened_rule_differs() {
        check(
            |live| live["spec"]["validations"][0]["expression"] = json!("true"),
            Some("tenure-x: spec.validations[0].expression differs"),
        );
    }

    #[test]
    fn an_added_condition_differs() {
        check(
            |live| {
                live["spec"]["matchConditions"] = json!([{"name": "never", "expression": "false"}]);
            },
            Some("tenure-x: spec.matchConditions was added"),
        );
    }

    #[test]
    fn ignoring_failures_differs() {
        check(
            |live| live["spec"]["failurePolicy"] = json!("Ignore"),
            Some("tenure-x: spec.failurePolicy differs"),
        );
    }

    #[test]
    fn a_missing_guard_differs() {
        assert_eq!(
            differs(&policy(), None).as_deref(),
            Some("ValidatingAdmissionPolicy tenure-x is missing")
        );
    }
}
