//! The guards' texts themselves: every resource they name exists, every expression fits its types, all are alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tenure_e2e::eventually;

use super::ask::{connect, passes, really_create, really_delete, send};
use super::world::{OWN, alive, chart_files, documents, guards, world};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

fn texts() -> Vec<(String, Value)> {
    chart_files("guards")
        .into_iter()
        .flat_map(|(file, text)| {
            documents(&text)
                .into_iter()
                .map(move |document| (file.clone(), document))
        })
        .collect()
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect()
}

/// Resources by group, as the API server lists them, subresources included.
async fn discovery(client: &Client) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let groups = send(client, &connect("GET", "/apis")).await.unwrap();
    let mut paths = vec![(String::new(), "/api/v1".to_owned())];
    for group in groups["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let path = format!("/apis/{}", version["groupVersion"].as_str().unwrap());
            paths.push((group["name"].as_str().unwrap().to_owned(), path));
        }
    }
    for (group, path) in paths {
        let list = send(client, &connect("GET", path)).await.unwrap();
        let names = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["name"].as_str().unwrap().to_owned());
        found.entry(group).or_default().extend(names);
    }
    found
}

/// The resources a policy or binding names that no API server serves.
fn unknown(document: &Value, discovery: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let spec = &document["spec"];
    let rules = [
        &spec["matchConstraints"]["resourceRules"],
        &spec["matchResources"]["resourceRules"],
    ];
    let mut missing = Vec::new();
    for rule in rules
        .iter()
        .flat_map(|rules| rules.as_array().into_iter().flatten())
    {
        for group in strings(&rule["apiGroups"])
            .into_iter()
            .filter(|group| group != "*")
        {
            for resource in strings(&rule["resources"])
                .into_iter()
                .filter(|resource| !resource.contains('*'))
            {
                if !discovery
                    .get(&group)
                    .is_some_and(|known| known.contains(&resource))
                {
                    missing.push(format!("{group}/{resource}"));
                }
            }
        }
    }
    missing
}

#[tokio::test]
async fn every_resource_named_exists_and_a_misspelt_one_does_not() {
    let world = world().await;
    let discovery = discovery(&world.admin()).await;
    for (file, document) in texts() {
        assert_eq!(
            unknown(&document, &discovery),
            Vec::<String>::new(),
            "{file}"
        );
    }
    let misspelt = json!({ "spec": { "matchConstraints": { "resourceRules": [
        { "apiGroups": [""], "resources": ["namespaces/finalise", "namespaces/finalize"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicy"] },
    ] } } });
    assert_eq!(
        unknown(&misspelt, &discovery),
        ["/namespaces/finalise", "networking.k8s.io/networkpolicy"]
    );
}

async fn warnings(client: &Client, name: &str) -> Vec<Value> {
    eventually(
        Duration::from_secs(30),
        &format!("{name} is type checked"),
        async || {
            let policy = send(client, &connect("GET", format!("{POLICIES}/{name}"))).await?;
            anyhow::ensure!(
                policy["status"]["observedGeneration"] == policy["metadata"]["generation"],
                "{}",
                policy["status"]
            );
            Ok(policy["status"]["typeChecking"]["expressionWarnings"]
                .as_array()
                .cloned()
                .unwrap_or_default())
        },
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn no_expression_fails_the_type_check_and_a_wrong_one_would() {
    let world = world().await;
    let admin = world.admin();
    for guard in guards() {
        assert_eq!(
            warnings(&admin, &format!("tenure-{guard}")).await,
            Vec::<Value>::new(),
            "{guard}"
        );
    }
    let wrong = json!({ "metadata": { "name": "wrong" }, "spec": {
        "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["CREATE"] }] },
        "validations": [{ "expression": "object.spec.kind == 'x'" }],
    }});
    passes(&admin, really_create(POLICIES, wrong)).await;
    assert_eq!(warnings(&admin, "wrong").await.len(), 1);
    passes(&admin, really_delete(format!("{POLICIES}/wrong"))).await;
}

#[tokio::test]
async fn every_guard_fails_closed_and_is_ours() {
    for (file, document) in texts() {
        let kind = document["kind"].as_str().unwrap();
        let name = document["metadata"]["name"].as_str().unwrap();
        assert_eq!(
            document["metadata"]["labels"]["app.kubernetes.io/part-of"], "tenure",
            "{file} {name}"
        );
        assert!(name.starts_with("tenure-"), "{file} {name}");
        let spec = &document["spec"];
        if kind.ends_with("Binding") {
            let policy = spec["policyName"].as_str().unwrap();
            assert!(name.starts_with(policy), "{file} {name}");
            if let Some(parameters) = spec.get("paramRef") {
                assert_eq!(
                    *parameters,
                    json!({ "name": "tenure-guard-parameters", "namespace": OWN, "parameterNotFoundAction": "Deny" })
                );
            }
            let actions = strings(&spec["validationActions"]);
            let expected: &[&str] = match (kind.starts_with("Mutating"), name.ends_with("-observe"))
            {
                (true, _) => &[],
                (false, true) => &["Warn", "Audit"],
                (false, false) => &["Deny", "Audit"],
            };
            assert_eq!(actions, expected, "{file} {name}");
        } else {
            assert_eq!(spec["failurePolicy"], "Fail", "{file} {name}");
        }
    }
}

#[tokio::test]
async fn every_denial_names_a_control_of_the_catalogue() {
    for (file, document) in texts() {
        for validation in document["spec"]["validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = validation["message"]
                .as_str()
                .or(validation["messageExpression"].as_str())
                .unwrap()
                .trim_start_matches('\'');
            let control = text.split(':').next().unwrap();
            assert!(
                control == "tenure" || tenure_controls::control(control).is_some(),
                "{file}: {control:?} is no control"
            );
        }
    }
}

#[tokio::test]
async fn every_guard_is_proven_alive_by_the_operator_with_a_pod_that_does_not_exist() {
    let world = world().await;
    let operator = world.operator().await;
    for guard in guards() {
        alive(&operator, &guard).await.unwrap();
    }
    // No guard, no answer of a guard.
    let error = alive(&operator, "unheard-of")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("404"), "{error}");
}

#[tokio::test]
async fn an_emergency_is_recorded() {
    let world = world().await;
    let tenant = world.tenant("emergency").await;
    let path = format!("/api/v1/namespaces/{}", tenant.prod());
    let mark = super::plane::mark().await;
    let change = json!({ "metadata": { "labels": { "tenure.dev/classification": "Public" } } });
    passes(&world.break_glass(), super::ask::patch(&path, change)).await;
    let key = "tenure-namespaces/break-glass";
    eventually(
        Duration::from_secs(10),
        "the audit log has it",
        async || {
            let notes = super::plane::noted(mark, key).await?;
            let expected = "breakglass: UPDATE namespaces emergency-prod";
            anyhow::ensure!(
                notes.iter().any(|note| note.ends_with(expected)),
                "{notes:?}"
            );
            Ok(())
        },
    )
    .await
    .unwrap();
}

/// The API server counts refusals by binding: one that meets deletions alone counts deletions, and no proof of life.
#[tokio::test]
async fn deletions_have_a_binding_of_their_own_and_no_request_has_none() {
    let any = json!([{ "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["DELETE"] }]);
    let texts = texts();
    let binding = |name: &str| {
        let found = texts.iter().find(|(_, document)| {
            document["kind"] == "ValidatingAdmissionPolicyBinding"
                && document["metadata"]["name"] == name
        });
        found.map(|(_, document)| document["spec"].clone())
    };
    let mut guards = Vec::new();
    for (file, policy) in &texts {
        let rules = policy["spec"]["matchConstraints"]["resourceRules"].as_array();
        let deletes = rules
            .into_iter()
            .flatten()
            .any(|rule| strings(&rule["operations"]).contains(&"DELETE".to_owned()));
        // `sessions` judges who asks, not what goes.
        if policy["kind"] != "ValidatingAdmissionPolicy" || !deletes || file == "sessions" {
            continue;
        }
        let name = policy["metadata"]["name"].as_str().unwrap();
        let mut others = binding(name).unwrap();
        let mut deletions = binding(&format!("{name}-deletes")).unwrap();
        // Each request meets exactly one of them...
        let excluded = others["matchResources"]["excludeResourceRules"].as_array_mut();
        assert_eq!(excluded.unwrap().pop().unwrap(), any[0], "{file}");
        let only = deletions["matchResources"].as_object_mut().unwrap();
        assert_eq!(only.remove("resourceRules").unwrap(), any, "{file}");
        // ... and in all else they are one.
        for spec in [&mut others, &mut deletions] {
            let matching = spec["matchResources"].as_object_mut().unwrap();
            matching.retain(|_, value| *value != json!([]));
        }
        assert_eq!(others, deletions, "{file}");
        guards.push(file.clone());
    }
    guards.sort();
    let expected = [
        "accessreviews",
        "approvals",
        "crds",
        "customertenants",
        "legalholds",
        "managed-objects",
        "namespaces",
        "operator",
        "parameters",
        "records",
        "staffmembers",
        "tenancypolicies",
    ];
    assert_eq!(guards, expected);
}
