//! The API reference, written from the CustomResourceDefinitions and from nothing else, and the
//! list of all files that are generated from this crate.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value};

use crate::schema::{all_crds, to_yaml};

/// First line of every generated YAML file.
const YAML_HEADER: &str =
    "# Generated from crds/src by `cargo xtask generate`; a test fails when it drifts.\n";

/// Every file generated from this crate: path relative to the repository's root, and its text.
pub fn generated_files() -> Vec<(&'static str, String)> {
    let mut files: Vec<_> = all_crds()
        .iter()
        .map(|crd| (crd_path(crd), format!("{YAML_HEADER}{}", to_yaml(crd))))
        .collect();
    files.push(("docs/reference/api.md", render()));
    files
}

fn crd_path(crd: &CustomResourceDefinition) -> &'static str {
    match crd.spec.names.plural.as_str() {
        "tenancypolicies" => "charts/tenure/files/crds/tenancypolicies.yaml",
        "customertenants" => "charts/tenure/files/crds/customertenants.yaml",
        "approvals" => "charts/tenure/files/crds/approvals.yaml",
        "legalholds" => "charts/tenure/files/crds/legalholds.yaml",
        "attestations" => "charts/tenure/files/crds/attestations.yaml",
        "staffmembers" => "charts/tenure/files/crds/staffmembers.yaml",
        "accessgrants" => "charts/tenure/files/crds/accessgrants.yaml",
        "accessreviews" => "charts/tenure/files/crds/accessreviews.yaml",
        other => unreachable!("{other} has no place in the chart: give it one here"),
    }
}

/// The API reference as one Markdown page: every kind, field, constraint and rule.
pub fn render() -> String {
    let mut page = String::from(
        "# API reference\n\n\
         <!-- Generated from crds/src by `cargo xtask generate`; a test fails when it drifts. -->\n\n\
         All kinds are cluster-scoped: what must outlive a tenant's namespaces does not live in them. No field has \
         a default in its schema and none takes `null`; what is left out is absent, and its description says what \
         that means. A string that breaks its pattern, a list that is too long or an entry named twice is refused \
         by the API server; so is what breaks a rule, with the rule's message.\n",
    );
    for crd in all_crds() {
        kind(&mut page, &crd);
    }
    page
}

fn kind(page: &mut String, crd: &CustomResourceDefinition) {
    let names = &crd.spec.names;
    let short = names
        .short_names
        .iter()
        .flatten()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    for version in &crd.spec.versions {
        let schema = version
            .schema
            .as_ref()
            .map(|schema| serde_json::to_value(&schema.open_api_v3_schema));
        let schema = schema.and_then(Result::ok).unwrap_or_default();
        line(page, &format!("\n## {}\n", names.kind));
        line(page, &format!("{}\n", description(&schema)));
        line(
            page,
            &format!(
                "`apiVersion: {}/{}`, `kind: {}`; `kubectl get {}` (short {short}).",
                crd.spec.group, version.name, names.kind, names.plural
            ),
        );
        let columns = version
            .additional_printer_columns
            .iter()
            .flatten()
            .map(|column| {
                let wide = if column.priority.unwrap_or_default() > 0 {
                    " (wide)"
                } else {
                    ""
                };
                format!("{}{wide}", column.name)
            });
        line(
            page,
            &format!("Columns: {}.", columns.collect::<Vec<_>>().join(", ")),
        );
        rules(page, &schema);
        for part in ["spec", "status"] {
            object(page, part, &schema["properties"][part]);
        }
    }
}

/// One table for an object's own fields, its rules, then the objects within it.
fn object(page: &mut String, path: &str, schema: &Value) {
    let Some(fields) = schema["properties"].as_object() else {
        return;
    };
    line(page, &format!("\n### `{path}`\n"));
    line(page, &format!("{}\n", description(schema)));
    line(
        page,
        "| Field | Type | Required | Constraints | Description |",
    );
    line(page, "| --- | --- | --- | --- | --- |");
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in fields {
        let must = if required.contains(&name.as_str()) {
            "yes"
        } else {
            ""
        };
        line(
            page,
            &format!(
                "| `{name}` | {} | {must} | {} | {} |",
                shape(field),
                constraints(field),
                cell(&description(field))
            ),
        );
    }
    rules(page, schema);
    for (name, field) in fields {
        rules_of_scalar(page, name, field);
    }
    for (name, field) in fields {
        match field["type"].as_str() {
            Some("array") => object(page, &format!("{path}.{name}[]"), &field["items"]),
            _ => object(page, &format!("{path}.{name}"), field),
        }
    }
}

/// What a value looks like: `string`, `list of object, by name`, `map of string`.
fn shape(field: &Value) -> String {
    match field["type"].as_str().unwrap_or("any") {
        "array" => {
            let keys = words(&field["x-kubernetes-list-map-keys"]).join(" and ");
            let list = match field["x-kubernetes-list-type"].as_str() {
                Some("map") => format!(", by {keys}"),
                Some("set") => ", each once".to_owned(),
                _ => String::new(),
            };
            format!("list of {}{list}", shape(&field["items"]))
        }
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}", shape(&field["additionalProperties"]))
        }
        "string" => match field["format"].as_str() {
            Some("date-time") => "instant (RFC 3339)".to_owned(),
            Some("date") => "date".to_owned(),
            _ => "string".to_owned(),
        },
        other => other.to_owned(),
    }
}

/// Everything the schema says about a value beside its type, the values in it included.
fn constraints(field: &Value) -> String {
    let mut said = own_constraints(field);
    for (word, inner) in [
        ("each", &field["items"]),
        ("each value", &field["additionalProperties"]),
    ] {
        let inner_said = if inner["properties"].is_object() {
            Vec::new()
        } else {
            own_constraints(inner)
        };
        if !inner_said.is_empty() {
            said.push(format!("{word}: {}", inner_said.join(", ")));
        }
    }
    cell(&said.join("; "))
}

fn own_constraints(field: &Value) -> Vec<String> {
    let choice = words(&field["enum"])
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let range =
        |least: &str, most: &str, unit: &str| match (field[least].as_f64(), field[most].as_f64()) {
            (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
            (Some(low), None) => Some(format!("at least {low}{unit}")),
            (None, Some(high)) => Some(format!("at most {high}{unit}")),
            (None, None) => None,
        };
    [
        (!choice.is_empty()).then_some(choice),
        range("minLength", "maxLength", " characters"),
        range("minItems", "maxItems", " entries"),
        range("minProperties", "maxProperties", " keys"),
        range("minimum", "maximum", ""),
        field["pattern"]
            .as_str()
            .map(|pattern| format!("`{pattern}`")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rules(page: &mut String, schema: &Value) {
    let rules = rules_in(schema);
    if rules.is_empty() {
        return;
    }
    line(page, "\nRules:\n");
    for rule in rules {
        rule_line(page, rule);
    }
}

/// Rules of a field that gets no table of its own (strings, lists of strings, maps) or of a list.
fn rules_of_scalar(page: &mut String, name: &str, field: &Value) {
    let own = if field["properties"].is_object() {
        Vec::new()
    } else {
        rules_in(field)
    };
    if own.is_empty() {
        return;
    }
    line(page, &format!("\nRules of `{name}`:\n"));
    for rule in own {
        rule_line(page, rule);
    }
}

fn rules_in(schema: &Value) -> Vec<&Map<String, Value>> {
    schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

fn rule_line(page: &mut String, rule: &Map<String, Value>) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
    line(page, &format!("- {}: `{}`", text("message"), text("rule")));
}

fn description(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// A bar would end a table's cell, even inside code.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{text}");
}
