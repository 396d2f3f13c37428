//! The kinds on a real API server: they install, the smallest objects pass, and every rule and every
//! bound refuses what it should with a text that says so.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../crds/tests/cases/mod.rs"]
mod cases;

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, Request};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tenure_crds::{
    AccessGrant, AccessReview, Approval, Attestation, CustomerTenant, LegalHold, StaffMember,
    TenancyPolicy, all_crds,
};
use tenure_e2e::paths::{repository, target};
use tenure_e2e::stack::Tool;
use tenure_e2e::{Identity, Plane};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

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

/// The plane all tests here share, with the kinds installed, and the turn to use it: the tests store objects of the
/// same names.
async fn plane_with_kinds() -> (&'static Plane, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let plane = Plane::shared().await.unwrap();
    INSTALLED
        .get_or_init(async || {
            let kubectl = plane.kubectl(&Identity::admin()).unwrap();
            let folder = repository().join("charts/tenure/files/crds");
            let output = kubectl
                .run(&["apply", "--server-side", "-f", folder.to_str().unwrap()])
                .await
                .unwrap();
            assert!(
                output.ok && output.stderr.is_empty(),
                "the kinds do not install cleanly: {}",
                output.stderr
            );
            established(&plane.admin().unwrap()).await;
        })
        .await;
    // What a test before this one left behind when it failed is none of this one's business.
    for kind in KINDS {
        let all = ListParams::default();
        let _ = api(&plane.admin().unwrap(), kind)
            .delete_collection(&DeleteParams::default(), &all)
            .await
            .unwrap();
    }
    (plane, turn)
}

/// Waits until every kind is served.
async fn established(client: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in all_crds() {
        let name = crd.name_any();
        tenure_e2e::eventually(
            Duration::from_secs(20),
            "the kind to be served",
            async || {
                let is = |conditions: &[CustomResourceDefinitionCondition], kind: &str| {
                    conditions
                        .iter()
                        .any(|condition| condition.type_ == kind && condition.status == "True")
                };
                let found = crds.get(&name).await?;
                let conditions = found
                    .status
                    .and_then(|status| status.conditions)
                    .unwrap_or_default();
                anyhow::ensure!(
                    !is(&conditions, "NonStructuralSchema"),
                    "{name}: {conditions:?}"
                );
                anyhow::ensure!(
                    is(&conditions, "Established") && is(&conditions, "NamesAccepted"),
                    "{name}: {conditions:?}"
                );
                Ok(())
            },
        )
        .await
        .unwrap();
    }
}

fn resource(kind: &str) -> ApiResource {
    match kind {
        "TenancyPolicy" => ApiResource::erase::<TenancyPolicy>(&()),
        "CustomerTenant" => ApiResource::erase::<CustomerTenant>(&()),
        "Approval" => ApiResource::erase::<Approval>(&()),
        "LegalHold" => ApiResource::erase::<LegalHold>(&()),
        "Attestation" => ApiResource::erase::<Attestation>(&()),
        "StaffMember" => ApiResource::erase::<StaffMember>(&()),
        "AccessGrant" => ApiResource::erase::<AccessGrant>(&()),
        "AccessReview" => ApiResource::erase::<AccessReview>(&()),
        other => panic!("no resource for {other}"),
    }
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource(kind))
}

fn dynamic(object: &Value) -> DynamicObject {
    serde_json::from_value(object.clone()).unwrap()
}

/// Creates as a dry run: every check of the API server, nothing stored.
async fn create(client: &Client, object: &Value) -> kube::Result<DynamicObject> {
    let api = api(client, object["kind"].as_str().unwrap());
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut request = Request::new(api.resource_url())
        .create(&params, serde_json::to_vec(object).unwrap())
        .unwrap();
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri())
        .parse()
        .unwrap();
    client.request(request).await
}

/// The API server's words, or a panic where it accepted.
fn refusal<T>(what: &str, result: kube::Result<T>) -> String {
    match result {
        Ok(_) => panic!("{what}: accepted"),
        Err(kube::Error::Api(status)) => {
            assert!(
                (400..500).contains(&status.code),
                "{what}: {} is no refusal: {}",
                status.code,
                status.message
            );
            status.message.clone()
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

async fn store(client: &Client, object: &Value) {
    let kind = object["kind"].as_str().unwrap();
    api(client, kind)
        .create(&PostParams::default(), &dynamic(object))
        .await
        .unwrap();
}

async fn remove(client: &Client, object: &Value) {
    let (kind, name) = (
        object["kind"].as_str().unwrap(),
        object["metadata"]["name"].as_str().unwrap(),
    );
    api(client, kind)
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

/// Replaces the stored object by `object`, as a dry run.
async fn replace(client: &Client, object: &Value) -> kube::Result<DynamicObject> {
    let api = api(client, object["kind"].as_str().unwrap());
    let name = object["metadata"]["name"].as_str().unwrap();
    let mut next = dynamic(object);
    next.metadata.resource_version = api.get(name).await?.resource_version();
    api.replace(
        name,
        &PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        &next,
    )
    .await
}

async fn patch(
    client: &Client,
    object: &Value,
    patch: Patch<Value>,
) -> kube::Result<DynamicObject> {
    let (kind, name) = (
        object["kind"].as_str().unwrap(),
        object["metadata"]["name"].as_str().unwrap(),
    );
    api(client, kind)
        .patch(
            name,
            &PatchParams {
                dry_run: true,
                ..PatchParams::default()
            },
            &patch,
        )
        .await
}

fn remove_at(pointer: &str) -> Patch<Value> {
    Patch::Json(serde_json::from_value(json!([{"op": "remove", "path": pointer}])).unwrap())
}

#[tokio::test]
async fn every_case_is_refused_and_its_twin_accepted() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    let (updates, creations): (Vec<_>, Vec<_>) = cases::all()
        .into_iter()
        .partition(|case| case.old.is_some());
    for case in &creations {
        if let Err(error) = create(client, &case.twin).await {
            panic!(
                "{}: the twin of {} is refused: {error}",
                case.kind, case.name
            );
        }
        let words = refusal(&case.name, create(client, &case.refused).await);
        assert!(
            words.contains(case.message),
            "{}: {} says {words:?}, not {:?}",
            case.kind,
            case.name,
            case.message
        );
    }
    let mut stored: Option<&Value> = None;
    for case in &updates {
        let (kind, old) = (case.kind, case.old.as_ref());
        if stored != old {
            if let Some(stored) = stored {
                remove(client, stored).await;
            }
            store(client, old.unwrap()).await;
            stored = old;
        }
        if let Err(error) = replace(client, &case.twin).await {
            panic!("{kind}: the twin of {} is refused: {error}", case.name);
        }
        let words = refusal(&case.name, replace(client, &case.refused).await);
        assert!(
            words.contains(case.message),
            "{kind}: {} says {words:?}, not {:?}",
            case.name,
            case.message
        );
    }
    remove(client, stored.unwrap()).await;
}

#[tokio::test]
async fn no_field_of_what_is_immutable_can_be_removed() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    for (kind, immutable, least) in [
        ("Approval", "an Approval is immutable", 15),
        ("LegalHold", "a LegalHold is immutable but for reviewOn", 11),
        ("Attestation", "an Attestation is immutable", 11),
        ("AccessGrant", "an AccessGrant is immutable", 18),
    ] {
        let object = cases::full(kind);
        store(client, &object).await;
        let mut pointers = Vec::new();
        pointers_in("/spec", &object["spec"], &mut pointers);
        assert!(pointers.len() >= least, "only {} fields", pointers.len());
        for pointer in &pointers {
            let words = refusal(pointer, patch(client, &object, remove_at(pointer)).await);
            let said = [
                immutable,
                "Required value",
                "a hold covers",
                "a revocation stands",
            ];
            // A review that was set is not taken back.
            let moves = pointer == "/spec/reviewOn" && words.contains("reviewOn only moves later");
            assert!(
                moves || said.iter().any(|said| words.contains(said)),
                "{kind}: removing {pointer}: {words}"
            );
        }
        refusal(
            "an empty merge of spec",
            patch(client, &object, Patch::Merge(json!({"spec": null}))).await,
        );
        // Its accepted twin: what lies beside the spec stays free.
        patch(
            client,
            &object,
            Patch::Merge(json!({"metadata": {"labels": {"team": "north"}}})),
        )
        .await
        .unwrap();
        remove(client, &object).await;
    }
}

#[tokio::test]
async fn a_tenant_keeps_its_identity_whatever_is_removed() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    let tenant = cases::full("CustomerTenant");
    store(client, &tenant).await;
    for (what, attempt) in [
        ("removed", remove_at("/spec/tenantID")),
        (
            "merged away",
            Patch::Merge(json!({"spec": {"tenantID": null}})),
        ),
        ("removed with its spec", remove_at("/spec")),
        (
            "merged away with its spec",
            Patch::Merge(json!({"spec": null})),
        ),
    ] {
        let words = refusal(what, patch(client, &tenant, attempt).await);
        assert!(words.contains("Required value"), "{what}: {words}");
    }
    let id = "00000000-1111-4222-8333-444444444444";
    let words = refusal(
        "merged",
        patch(
            client,
            &tenant,
            Patch::Merge(json!({"spec": {"tenantID": id}})),
        )
        .await,
    );
    assert!(words.contains("tenantID is immutable"), "{words}");
    // Every other field may go, where the rest of the object does not lean on it.
    let mut removed = 0;
    for field in tenant["spec"].as_object().unwrap().keys() {
        let pointer = format!("/spec/{field}");
        match patch(client, &tenant, remove_at(&pointer)).await {
            Ok(left) => assert_eq!(left.data["spec"]["tenantID"], cases::TENANT_ID),
            Err(error) => {
                assert!(
                    error.to_string().contains("Required value"),
                    "{pointer}: {error}"
                );
                continue;
            }
        }
        removed += 1;
    }
    assert!(removed > 10, "only {removed} fields could be removed");
    remove(client, &tenant).await;
}

fn pointers_in(pointer: &str, value: &Value, into: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    for (name, child) in map {
        let pointer = format!("{pointer}/{name}");
        pointers_in(&pointer, child, into);
        into.push(pointer);
    }
}

/// One wrong value at one place, and what the API server must say.
struct Spoilt {
    pointer: String,
    value: Option<Value>,
    words: String,
}

/// Every bound of a schema broken once, at the places where `object` has a value.
fn spoil(schema: &Value, pointer: &str, object: &Value, into: &mut Vec<Spoilt>) {
    let Some(value) = object.pointer(pointer) else {
        return;
    };
    let kind = schema["type"].as_str().unwrap();
    let number = |key: &str| schema[key].as_f64();
    let mut wrong = |value: Value, words: String| {
        into.push(Spoilt {
            pointer: pointer.to_owned(),
            value: Some(value),
            words,
        });
    };
    let other = if kind == "string" {
        json!(7)
    } else {
        json!("seven")
    };
    let shown = schema["format"]
        .as_str()
        .filter(|format| format.starts_with("date"))
        .unwrap_or(kind);
    wrong(other, format!("must be of type {shown}"));
    match kind {
        "string" => {
            if let Some(most) = number("maxLength") {
                wrong(
                    json!("x".repeat(most as usize + 1)),
                    format!("may not be more than {most} bytes"),
                );
            }
            if let Some(least) = number("minLength") {
                wrong(json!(""), format!("should be at least {least} chars long"));
            }
            if schema["pattern"].is_string() {
                wrong(json!("\u{202e}\n\u{202e}"), "should match".to_owned());
            }
            if let Some(word) = schema["enum"][0].as_str() {
                let upper = word.to_uppercase();
                let alike = if upper == word {
                    word.to_lowercase()
                } else {
                    upper
                };
                wrong(json!(alike), "Unsupported value".to_owned());
                wrong(
                    json!(word.replace(['a', 'e', 'o', 'P', 'n'], "\u{430}")),
                    "Unsupported value".to_owned(),
                );
            }
        }
        "integer" => {
            if let Some(least) = number("minimum") {
                wrong(
                    json!(least as i64 - 1),
                    format!("should be greater than or equal to {least}"),
                );
            }
            if let Some(most) = number("maximum") {
                wrong(
                    json!(most as i64 + 1),
                    format!("should be less than or equal to {most}"),
                );
            }
        }
        "array" => {
            let entry = value[0].clone();
            if let Some(most) = number("maxItems") {
                wrong(
                    json!(vec![entry.clone(); most as usize + 1]),
                    format!("must have at most {most} items"),
                );
            }
            if let Some(least) = number("minItems") {
                wrong(json!([]), format!("should have at least {least} items"));
            }
            if ["map", "set"].contains(&schema["x-kubernetes-list-type"].as_str().unwrap()) {
                wrong(json!([entry.clone(), entry]), "Duplicate value".to_owned());
            }
        }
        _ => {
            if let Some(most) = number("maxProperties") {
                let keys: Value = (0..=most as usize)
                    .map(|key| (format!("k{key}"), json!("1")))
                    .collect();
                wrong(keys, format!("must have at most {most} items"));
            }
            if let Some(least) = number("minProperties") {
                wrong(
                    json!({}),
                    format!("should have at least {least} properties"),
                );
            }
        }
    }
    spoil_within(schema, pointer, object, into);
}

fn spoil_within(schema: &Value, pointer: &str, object: &Value, into: &mut Vec<Spoilt>) {
    let value = object.pointer(pointer).unwrap();
    for field in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        into.push(Spoilt {
            pointer: format!("{pointer}/{field}"),
            value: None,
            words: "Required value".to_owned(),
        });
    }
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        spoil(child, &format!("{pointer}/{name}"), object, into);
    }
    if schema["properties"].is_object() {
        let pointer = format!("{pointer}/unheardOf");
        into.push(Spoilt {
            pointer,
            value: Some(json!(true)),
            words: "unknown field".to_owned(),
        });
    }
    if schema["items"].is_object() {
        spoil(&schema["items"], &format!("{pointer}/0"), object, into);
    }
    if schema["additionalProperties"].is_object()
        && let Some(key) = value.as_object().and_then(|map| map.keys().next())
    {
        spoil(
            &schema["additionalProperties"],
            &format!("{pointer}/{}", key.replace('/', "~1")),
            object,
            into,
        );
    }
}

fn with(object: &Value, spoilt: &Spoilt) -> Value {
    let mut object = object.clone();
    let (parent, key) = spoilt.pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match (parent, &spoilt.value) {
        (Value::Object(map), None) => drop(map.remove(key).unwrap()),
        (Value::Object(map), Some(value)) => {
            drop(map.insert(key.replace("~1", "/"), value.clone()));
        }
        (Value::Array(list), Some(value)) => list[0] = value.clone(),
        (parent, _) => panic!("{}: {parent}", spoilt.pointer),
    }
    object
}

#[tokio::test]
async fn every_bound_of_every_field_is_held() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    for crd in all_crds() {
        let kind = crd.spec.names.kind.as_str();
        let schema = crd.spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        let full = cases::full(kind);
        let mut spoilt = Vec::new();
        spoil(&schema["properties"]["spec"], "/spec", &full, &mut spoilt);
        assert!(spoilt.len() >= 50, "{kind}: only {} bounds", spoilt.len());
        create(client, &full).await.unwrap();
        let mut wrong = Vec::new();
        for spoilt in spoilt {
            let what = format!(
                "{kind} {} = {:.40}",
                spoilt.pointer,
                format!("{:?}", spoilt.value)
            );
            let words = refusal(&what, create(client, &with(&full, &spoilt)).await);
            if !words.contains(&spoilt.words) {
                wrong.push(format!("{what}: {words:.600}, not {:?}", spoilt.words));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[tokio::test]
async fn minimal_objects_are_accepted_and_stored_as_they_were_written() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    for kind in KINDS {
        for object in [cases::minimal(kind), cases::full(kind)] {
            store(client, &object).await;
            let stored = api(client, kind)
                .get(object["metadata"]["name"].as_str().unwrap())
                .await
                .unwrap();
            assert_eq!(
                stored.data["spec"], object["spec"],
                "{kind}: something was added or dropped"
            );
            remove(client, &object).await;
        }
    }
}

#[tokio::test]
async fn objects_too_large_are_refused_in_plain_words() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    let large = |bytes: usize| {
        let mut tenant = cases::minimal("CustomerTenant");
        tenant["metadata"]["annotations"] = json!({"note": "x".repeat(bytes)});
        tenant
    };
    create(client, &large(200_000)).await.unwrap();
    let words = refusal(
        "a megabyte beside the spec",
        create(client, &large(1_048_576)).await,
    );
    assert!(words.contains("262144"), "{words:.300}");
    let words = refusal("four megabytes", create(client, &large(4_194_304)).await);
    assert!(
        words.contains("too large") || words.contains("limit is 3145728"),
        "{words:.300}"
    );
    let mut tenant = cases::minimal("CustomerTenant");
    tenant["spec"]["unheardOf"] = json!("x".repeat(1_048_576));
    let words = refusal("a megabyte nobody asked for", create(client, &tenant).await);
    assert!(
        words.contains("unknown field \"spec.unheardOf\""),
        "{words:.300}"
    );
}

#[tokio::test]
async fn kubectl_lists_and_explains_the_kinds() {
    let (plane, _turn) = plane_with_kinds().await;
    let client = &plane.admin().unwrap();
    let kubectl = plane.kubectl(&Identity::admin()).unwrap();
    for kind in KINDS {
        store(client, &cases::full(kind)).await;
    }
    for (args, columns) in [
        (
            &["get", "ct"][..],
            &[
                "NAME",
                "READY",
                "COMPLIANT",
                "CLASSIFICATION",
                "EXIT",
                "AGE",
            ][..],
        ),
        (
            &["get", "ct", "-o", "wide"],
            &[
                "NAME",
                "READY",
                "COMPLIANT",
                "CLASSIFICATION",
                "EXIT",
                "AGE",
                "ENFORCEMENT",
                "STATUS",
            ],
        ),
        (&["get", "tp"], &["NAME", "ACCEPTED", "READY", "AGE"]),
        (
            &["get", "apr"],
            &[
                "NAME", "ACTION", "SUBJECT", "DECISION", "VALID", "APPROVER", "AGE",
            ],
        ),
        (
            &["get", "staff"],
            &[
                "NAME", "STATUS", "JOB", "EMPLOYER", "ELIGIBLE", "REASON", "TRAINED", "AGE",
            ],
        ),
        (
            &["get", "ag"],
            &[
                "NAME", "TENANT", "PERSON", "ROLE", "ACTIVE", "REASON", "UNTIL", "PROVEN", "AGE",
            ],
        ),
    ] {
        let table = kubectl.run(args).await.unwrap().success().unwrap();
        let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(heading, columns, "{args:?}");
    }
    let all = kubectl
        .run(&["get", "tenure", "-o", "name"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        all.lines().count(),
        KINDS.len(),
        "the category lists every kind: {all}"
    );
    for (field, words) in [
        ("ct.spec.tenantID", "never used twice"),
        (
            "ct.spec.namespaces.podSecurity",
            "raised to the baseline where weaker",
        ),
        ("tp.spec.breakGlassGroup", "tenure:break-glass"),
        ("apr.spec.action", "Start a tenant's exit"),
        ("lh.spec.reviewOn", "A hold does not end by it"),
        ("att.spec.validUntil", "Last day on which it counts"),
        ("staff.spec.identities", "Each belongs to one person only"),
        (
            "ag.spec.notAfter",
            "at which it ends, whatever else happens",
        ),
    ] {
        let text = kubectl
            .run(&["explain", field])
            .await
            .unwrap()
            .success()
            .unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "explain {field}: {text}");
    }
    for kind in KINDS {
        remove(client, &cases::full(kind)).await;
    }
}

#[tokio::test]
async fn examples_are_accepted_without_a_warning() {
    let (plane, _turn) = plane_with_kinds().await;
    let kubectl = plane.kubectl(&Identity::admin()).unwrap();
    let create = ["create", "--dry-run=server", "--validate=strict", "-f"];
    for path in [
        "tenancypolicy.yaml",
        "customers",
        "approvals",
        "legal-holds",
        "attestations",
        "staff",
        "access-grants",
        "minimal/tenancypolicy.yaml",
    ] {
        let file = repository().join("examples").join(path);
        let output = kubectl
            .run(&[&create[..], &[file.to_str().unwrap()]].concat())
            .await
            .unwrap();
        assert!(
            output.ok && output.stderr.is_empty(),
            "examples/{path}: {}",
            output.stderr
        );
    }
    let tenant =
        std::fs::read_to_string(repository().join("examples/minimal/tenant.yaml")).unwrap();
    let unnamed = kubectl
        .run_with(&[&create[..], &["-"]].concat(), &tenant)
        .await
        .unwrap()
        .refusal()
        .unwrap();
    assert!(
        unnamed.contains("spec.tenantID"),
        "a tenant without identity: {unnamed}"
    );
    let named = tenant.replace("TENANT_ID", cases::TENANT_ID);
    kubectl
        .run_with(&[&create[..], &["-"]].concat(), &named)
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test]
async fn a_new_tenant_from_the_plugin_is_accepted_without_a_warning() {
    let (plane, _turn) = plane_with_kinds().await;
    let folder = target().join("debug");
    let plugin = folder.join("kubectl-tenure");
    assert!(plugin.exists(), "not built: cargo build --workspace");
    // As kubectl finds it.
    let made = tokio::process::Command::new(Tool::Kubectl.binary().unwrap())
        .args([
            "tenure",
            "new",
            "acme-be",
            "--customer",
            "Example: \"Logistics\"",
        ])
        .args(["--classification", "Confidential", "--language", "nl"])
        .args(["--namespace", "prod", "--namespace", "123"])
        .env("PATH", folder)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{told}");
    let kubectl = plane.kubectl(&Identity::admin()).unwrap();
    let create = [
        "create",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        "-",
    ];
    let output = kubectl.run_with(&create, &text).await.unwrap();
    assert!(
        output.ok && output.stderr.is_empty(),
        "{}\n{text}",
        output.stderr
    );
    assert!(
        output
            .stdout
            .contains("customertenant.tenure.dev/acme-be created"),
        "{}",
        output.stdout
    );
}
