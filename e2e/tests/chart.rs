//! The chart: what it renders, what it refuses to be told, and what a release does to a real API server.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tenure_e2e::helm::Helm;
use tenure_e2e::kubectl::Kubectl;
use tenure_e2e::operator::binary;
use tenure_e2e::paths::repository;
use tenure_e2e::stack::Stack;
use tenure_e2e::{Identity, Plane};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

/// A namespace that is not the usual one, so that a hard-coded one shows.
const NAMESPACE: &str = "platform-tenure";
/// Where its sessions are.
const SESSIONS: &str = "platform-tenure-sessions";
/// What the operator holds there.
const OF_SESSIONS: &str = "Role tenure-operator in the sessions' namespace";
const ROLES_TO_BIND: [&str; 6] = [
    "tenure-tenant-debugger",
    "tenure-tenant-deployer",
    "tenure-tenant-member",
    "tenure-tenant-operator",
    "tenure-tenant-secret-reader",
    "tenure-tenant-viewer",
];
/// Granted for one window at a time: the way into a running pod.
const DEBUGGER: &str = "ClusterRole tenure-tenant-debugger";

/// Helm without a cluster. The folder lives as long as the value.
struct Offline {
    helm: Helm,
    _folder: TempDir,
}

impl Offline {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let helm = Helm::offline(&Stack::ensure().unwrap(), folder.path()).unwrap();
        Self {
            helm,
            _folder: folder,
        }
    }

    /// Renders the chart with these `--set` arguments, or says why helm would not.
    async fn render(&self, sets: &[&str]) -> Result<String, String> {
        self.render_with(&[], sets).await
    }

    /// The same with further arguments.
    async fn render_with(&self, further: &[&str], sets: &[&str]) -> Result<String, String> {
        let chart = chart();
        let mut args = vec!["template", "tenure", &chart, "--namespace", NAMESPACE];
        args.extend(further);
        args.extend(sets.iter().flat_map(|set| ["--set-json", set]));
        let output = self.helm.run(&args).await.unwrap();
        if output.ok {
            Ok(output.stdout)
        } else {
            Err(output.stderr)
        }
    }

    async fn objects(&self, sets: &[&str]) -> Vec<Value> {
        documents(&self.render(sets).await.unwrap())
    }
}

fn chart() -> String {
    repository()
        .join("charts/tenure")
        .to_str()
        .unwrap()
        .to_owned()
}

fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter()
        .filter(|document| !document.is_null())
        .collect()
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn find<'a>(objects: &'a [Value], wanted: &str, named: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| kind(object) == wanted && name(object) == named)
        .unwrap_or_else(|| panic!("no {wanted} {named} among the rendered objects"))
}

/// The same value with whole numbers as such: `1.0` and `1` are one number to the API server.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The files of a folder of the chart, by name without extension.
fn files(folder: &str) -> BTreeMap<String, String> {
    fs::read_dir(repository().join("charts/tenure/files").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|list| list.iter().map(|item| item.as_str().unwrap()).collect())
        .unwrap_or_default()
}

/// One right, spelled out.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    group: String,
    resource: String,
    /// Empty: every name.
    only: BTreeSet<String>,
    verb: String,
}

fn rights(groups: &[&str], resources: &[&str], only: &[&str], verbs: &[&str]) -> BTreeSet<Right> {
    let only: BTreeSet<String> = only.iter().map(|&name| name.to_owned()).collect();
    let mut all = BTreeSet::new();
    for group in groups {
        for resource in resources {
            for verb in verbs {
                all.insert(Right {
                    group: (*group).to_owned(),
                    resource: (*resource).to_owned(),
                    only: only.clone(),
                    verb: (*verb).to_owned(),
                });
            }
        }
    }
    all
}

/// Every role of the chart (`ClusterRole x`, `Role x`, `Role x in y` outside the release's namespace) with all it grants.
fn roles(objects: &[Value]) -> BTreeMap<String, BTreeSet<Right>> {
    objects
        .iter()
        .filter(|object| matches!(kind(object), "Role" | "ClusterRole"))
        .map(|role| {
            assert!(
                role.get("aggregationRule").is_none(),
                "{} would grow without the chart",
                name(role)
            );
            let granted = role["rules"].as_array().unwrap().iter().flat_map(|rule| {
                assert!(
                    rule.get("nonResourceURLs").is_none(),
                    "{} reaches beyond resources",
                    name(role)
                );
                rights(
                    &texts(&rule["apiGroups"]),
                    &texts(&rule["resources"]),
                    &texts(&rule["resourceNames"]),
                    &texts(&rule["verbs"]),
                )
            });
            let place = match role["metadata"]["namespace"].as_str() {
                None | Some(NAMESPACE) => String::new(),
                Some(SESSIONS) => " in the sessions' namespace".to_owned(),
                Some(elsewhere) => format!(" in {elsewhere}"),
            };
            (
                format!("{} {}{place}", kind(role), name(role)),
                granted.collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn chart_passes_helm_lint() {
    let offline = Offline::new();
    offline
        .helm
        .run(&["lint", "--strict", &chart()])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test]
async fn kinds_are_rendered_whole_and_kept_on_uninstall() {
    let objects = Offline::new().objects(&[]).await;
    let kinds = files("crds");
    assert!(kinds.len() >= 3, "the chart ships the kinds");
    for (file, text) in kinds {
        let source = documents(&text).remove(0);
        let rendered = find(&objects, "CustomResourceDefinition", name(&source));
        assert_eq!(
            plain(&rendered["spec"]),
            plain(&source["spec"]),
            "{file}: the template changed the definition"
        );
        assert_eq!(
            rendered["metadata"]["annotations"]["helm.sh/resource-policy"], "keep",
            "{file}"
        );
    }
}

#[tokio::test]
async fn guards_are_rendered_as_their_files_say() {
    let objects = Offline::new()
        .objects(&[
            r#"image={"repository":"registry.example.com/tenure","tag":"1"}"#,
            r#"extraImages=["registry.example.com/shipper:2"]"#,
        ])
        .await;
    let guards = files("guards");
    assert!(
        guards.contains_key("namespaces"),
        "the chart ships the guards"
    );
    for (file, text) in guards {
        let text = text
            .replace("__NAMESPACE__", NAMESPACE)
            .replace(
                "__OPERATOR__",
                &format!("system:serviceaccount:{NAMESPACE}:tenure-operator"),
            )
            .replace(
                "__IMAGES__",
                r#"["registry.example.com/tenure:1","registry.example.com/shipper:2"]"#,
            )
            .replace("__SESSIONS__", SESSIONS);
        for source in documents(&text) {
            let rendered = find(&objects, kind(&source), name(&source));
            assert_eq!(rendered, &source, "{file}");
            assert_eq!(
                rendered["metadata"]["labels"]["app.kubernetes.io/part-of"], "tenure",
                "{file}"
            );
        }
    }
}

#[tokio::test]
async fn operator_and_guard_allow_the_same_images() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let image = format!(
        r#"image={{"repository":"registry.example.com/tenure","tag":"1","digest":"{digest}"}}"#
    );
    let text = Offline::new()
        .render(&[&image, r#"extraImages=["registry.example.com/shipper:2"]"#])
        .await
        .unwrap();
    let exact = format!("registry.example.com/tenure@{digest}");
    let objects = documents(&text);
    let container = &find(&objects, "Deployment", "tenure-operator")["spec"]["template"]["spec"]["containers"]
        [0];
    assert_eq!(
        container["image"],
        exact.as_str(),
        "a digest outranks a tag"
    );
    let environment = container["env"].as_array().unwrap();
    let images = environment
        .iter()
        .find(|variable| variable["name"] == "TENURE_IMAGES")
        .unwrap();
    assert_eq!(
        images["value"],
        format!("{exact},registry.example.com/shipper:2").as_str()
    );
    assert!(
        find(&objects, "ValidatingAdmissionPolicy", "tenure-own-pods")
            .to_string()
            .contains(&format!(
                r#"[\"{exact}\",\"registry.example.com/shipper:2\"]"#
            )),
        "the guard on the release's own pods names other images"
    );
}

#[tokio::test]
async fn chart_holds_nothing_of_its_own_kinds_and_no_secret() {
    for object in Offline::new().objects(&[]).await {
        assert!(
            !object["apiVersion"]
                .as_str()
                .unwrap()
                .starts_with("tenure.dev/"),
            "{} {}",
            kind(&object),
            name(&object)
        );
        assert_ne!(kind(&object), "Secret");
        assert!(object["metadata"].get("ownerReferences").is_none());
    }
}

#[tokio::test]
async fn guard_parameters_say_nothing_about_their_data() {
    let objects = Offline::new().objects(&[]).await;
    let parameters = find(&objects, "ConfigMap", "tenure-guard-parameters");
    assert!(
        parameters.get("data").is_none() && parameters.get("binaryData").is_none(),
        "{parameters}"
    );
    assert_eq!(
        parameters["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    let labels = parameters["metadata"]["labels"].to_string();
    assert!(
        !labels.contains("0.1.0"),
        "a label with the version would be a write at every upgrade: {labels}"
    );
}

#[tokio::test]
async fn values_schema_refuses_nonsense() {
    let offline = Offline::new();
    let rule = |groups: &str, resources: &str, verbs: &str| {
        format!(r#"{{"apiGroups":["{groups}"],"resources":["{resources}"],"verbs":["{verbs}"]}}"#)
    };
    // Each refused value beside the nearest one that passes.
    let cases = [
        (
            r#"guards={"enabled":false}"#.to_owned(),
            r#"podAnnotations={"a":"b"}"#.to_owned(),
        ),
        (
            r#"image={"repository":"tenure operator"}"#.to_owned(),
            r#"image={"repository":"registry.example.com:5000/a/tenure"}"#.to_owned(),
        ),
        (
            r#"image={"digest":"sha256:abc"}"#.to_owned(),
            format!(r#"image={{"digest":"sha256:{}"}}"#, "0".repeat(64)),
        ),
        (
            r#"image={"tag":"a b"}"#.to_owned(),
            r#"image={"tag":"1.0"}"#.to_owned(),
        ),
        (
            r#"extraImages=["registry.example.com/a"]"#.to_owned(),
            r#"extraImages=["registry.example.com/a:1"]"#.to_owned(),
        ),
        (
            r#"extraImages=["x:1\"] + [\"y:1"]"#.to_owned(),
            r#"extraImages=["example.com/x:1","example.com/y:1"]"#.to_owned(),
        ),
        (
            r#"access.grantableRoles=["cluster-admin"]"#.to_owned(),
            r#"access.grantableRoles=["cluster-administrator"]"#.to_owned(),
        ),
        (
            r#"access.grantableRoles=["system:node"]"#.to_owned(),
            r#"access.grantableRoles=["system.node"]"#.to_owned(),
        ),
        (
            r#"access.grantableRoles=["tenure-approver"]"#.to_owned(),
            r#"access.grantableRoles=["approver-of-tenure"]"#.to_owned(),
        ),
        (
            r#"access.grantableRoles=["*"]"#.to_owned(),
            r#"access.grantableRoles=[]"#.to_owned(),
        ),
        (
            r#"logFormat="xml""#.to_owned(),
            r#"logFormat="text""#.to_owned(),
        ),
        (
            r#"resources={"limits":{"cpu":"lots"}}"#.to_owned(),
            r#"resources={"limits":{"cpu":"500m"}}"#.to_owned(),
        ),
        (
            r#"podLabels={"app.kubernetes.io/name":"other"}"#.to_owned(),
            r#"podLabels={"app.kubernetes.io/owner":"other"}"#.to_owned(),
        ),
        (
            r#"podLabels={"tenure.dev/tenant":"acme"}"#.to_owned(),
            r#"podLabels={"cost-centre":"acme"}"#.to_owned(),
        ),
        (
            r#"metrics={"rules":{"enabled":"maybe"}}"#.to_owned(),
            r#"metrics={"rules":{"enabled":"auto"}}"#.to_owned(),
        ),
        (
            r#"metrics={"rules":{"runbookBaseUrl":"docs"}}"#.to_owned(),
            r#"metrics={"rules":{"runbookBaseUrl":"https://docs.example.com/runbooks"}}"#
                .to_owned(),
        ),
        (
            r#"metrics={"serviceMonitor":{"interval":"often"}}"#.to_owned(),
            r#"metrics={"serviceMonitor":{"interval":"1m"}}"#.to_owned(),
        ),
        (
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("*", "certificates", "get")
            ),
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("cert-manager.io", "certificates", "create")
            ),
        ),
        (
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("rbac.authorization.k8s.io", "clusterroles", "get")
            ),
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("example.com", "databases", "get")
            ),
        ),
        (
            format!(
                "tenantRoles={{\"memberExtraRules\":[{}]}}",
                rule("", "secrets", "get")
            ),
            format!(
                "tenantRoles={{\"memberExtraRules\":[{}]}}",
                rule("example.com", "databases", "patch")
            ),
        ),
        (
            format!(
                "tenantRoles={{\"viewerExtraRules\":[{}]}}",
                rule("example.com", "databases", "patch")
            ),
            format!(
                "tenantRoles={{\"viewerExtraRules\":[{}]}}",
                rule("example.com", "databases", "list")
            ),
        ),
        (
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("tenure.dev", "approvals", "create")
            ),
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("tenure.example.com", "approvals", "create")
            ),
        ),
        (
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("example.com", "databases", "escalate")
            ),
            format!(
                "tenantRoles={{\"deployerExtraRules\":[{}]}}",
                rule("example.com", "databases/status", "get")
            ),
        ),
        (
            r#"record={"s3":{"bucket":"Records","region":"eu"}}"#.to_owned(),
            r#"record={"s3":{"bucket":"records","region":"eu"}}"#.to_owned(),
        ),
        (
            r#"record={"s3":{"bucket":"records","endpoint":"s3.example.com"}}"#.to_owned(),
            r#"record={"s3":{"bucket":"records","endpoint":"http://s3.example.com"}}"#.to_owned(),
        ),
        (
            r#"record={"s3":{"bucket":"records","region":"eu","lock":{"mode":"forever"}}}"#
                .to_owned(),
            r#"record={"s3":{"bucket":"records","region":"eu","lock":{"mode":"none"}}}"#.to_owned(),
        ),
        (
            r#"record={"secondPlace":{"s3":{"bucket":"a//b","region":"eu"}}}"#.to_owned(),
            r#"record={"secondPlace":{"s3":{"bucket":"records","prefix":"a/b","region":"eu"}}}"#
                .to_owned(),
        ),
    ];
    for (refused, accepted) in cases {
        let why = offline
            .render(&[&refused])
            .await
            .err()
            .unwrap_or_else(|| panic!("accepted: {refused}"));
        assert!(
            why.contains("values don't meet the specifications of the schema"),
            "{refused}: {why}"
        );
        offline
            .render(&[&accepted])
            .await
            .unwrap_or_else(|why| panic!("refused: {accepted}: {why}"));
    }
}

/// The values of a record in a bucket of a server of one's own, and of a second place in one of AWS's.
const BUCKETS: [&str; 2] = [
    r#"record.s3={"bucket":"records","prefix":"clusters/one","endpoint":"https://s3.example.com:9000","pathStyle":true,"caBundle":{"configMap":"authorities"},"credentialsSecret":"record-writer"}"#,
    r#"record.secondPlace.s3={"bucket":"checkpoints","region":"eu-west-1","lock":{"mode":"none"}}"#,
];

#[tokio::test]
async fn a_record_in_a_bucket_needs_no_volume_and_no_common_node() {
    let offline = Offline::new();
    let objects = offline.objects(&BUCKETS).await;
    assert!(
        objects
            .iter()
            .all(|object| kind(object) != "PersistentVolumeClaim")
    );
    let pod = &find(&objects, "Deployment", "tenure-operator")["spec"]["template"]["spec"];
    assert!(pod["affinity"].is_null(), "{}", pod["affinity"]);
    let volumes: Vec<&str> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(named)
        .collect();
    let mounts = &pod["containers"][0]["volumeMounts"];
    let mounts: Vec<&str> = mounts.as_array().unwrap().iter().map(named).collect();
    let wanted = ["record-ca", "record-credentials", "state", "record-key"];
    assert_eq!(volumes, wanted);
    assert_eq!(mounts, wanted);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "authorities");
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "record-writer");
    let wanted = [
        ("TENURE_RECORD", "s3://records/clusters/one"),
        ("TENURE_RECORD_KEY", "/etc/tenure/record-key/signing.pem"),
        ("TENURE_RECORD_KEYS", "/etc/tenure/record-key/keys.json"),
        ("TENURE_RECORD_S3_CA_BUNDLE", "/etc/tenure/record-ca/ca.crt"),
        (
            "TENURE_RECORD_S3_CREDENTIALS",
            "/etc/tenure/record-credentials/credentials",
        ),
        ("TENURE_RECORD_S3_ENDPOINT", "https://s3.example.com:9000"),
        ("TENURE_RECORD_S3_LOCK", "COMPLIANCE"),
        ("TENURE_RECORD_S3_LOCK_DAYS", "455"),
        ("TENURE_RECORD_S3_PATH_STYLE", "true"),
        ("TENURE_RECORD_SECOND_PLACE", "s3://checkpoints"),
        ("TENURE_RECORD_SECOND_PLACE_S3_LOCK", "none"),
        ("TENURE_RECORD_SECOND_PLACE_S3_REGION", "eu-west-1"),
    ];
    let environment = record_environment(pod);
    let found: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, *value))
        .collect();
    assert_eq!(found, wanted);

    // What is set is what the operator reads.
    let help = Command::new(binary().unwrap())
        .args(["operator", "--help"])
        .output()
        .await
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, _) in wanted {
        assert!(help.contains(&format!("[env: {name}=")), "{name}: {help}");
    }
}

fn named(object: &Value) -> &str {
    object["name"].as_str().unwrap()
}

/// What the operator is told of the record.
fn record_environment(pod: &Value) -> BTreeMap<&str, &str> {
    let environment = pod["containers"][0]["env"].as_array().unwrap();
    environment
        .iter()
        .filter_map(|one| Some((named(one), one["value"].as_str()?)))
        .filter(|(name, _)| name.starts_with("TENURE_RECORD"))
        .collect()
}

#[tokio::test]
async fn a_bucket_is_reached_through_the_network_policy() {
    let offline = Offline::new();
    let egress = async |sets: &[&str]| {
        let objects = offline.objects(sets).await;
        let policy = find(&objects, "NetworkPolicy", "tenure-operator");
        policy["spec"]["egress"].as_array().unwrap().clone()
    };
    let usual = egress(&[]).await;
    let rule = |port: u32| json!({"ports": [{"port": port, "protocol": "TCP"}]});
    let more = egress(&BUCKETS).await;
    let added: Vec<&Value> = more.iter().filter(|one| !usual.contains(one)).collect();
    assert_eq!(added, [&rule(9000), &rule(443)]);
    for (endpoint, port) in [
        ("http://s3.example.com", 80),
        ("https://[::1]", 443),
        ("https://[::1]:8443/", 8443),
    ] {
        let set = format!(r#"record.s3={{"bucket":"records","endpoint":"{endpoint}"}}"#);
        assert!(egress(&[&set]).await.contains(&rule(port)), "{endpoint}");
    }
    let named = json!({"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 9000}]});
    let set = format!(r#"record.s3.egress=[{named}]"#);
    let more = egress(&[BUCKETS[0], &set]).await;
    let added: Vec<&Value> = more.iter().filter(|one| !usual.contains(one)).collect();
    assert_eq!(added, [&named]);
}

#[tokio::test]
async fn places_that_contradict_themselves_are_refused() {
    let offline = Offline::new();
    for (sets, why) in [
        (
            r#"record={"s3":{"bucket":"records","region":"eu"},"folder":{"existingClaim":"claim"}}"#,
            "record.s3.bucket and record.folder.existingClaim name two places",
        ),
        (
            r#"record.secondPlace={"s3":{"bucket":"records","region":"eu"},"existingClaim":"claim"}"#,
            "record.secondPlace.s3.bucket and record.secondPlace.existingClaim name two places",
        ),
        (
            r#"record.s3.region="eu-central-1""#,
            "set record.s3.bucket, or leave out the rest",
        ),
        (
            r#"record.secondPlace.s3.bucket="records""#,
            "needs record.secondPlace.s3.region",
        ),
        (
            r#"record={"s3":{"bucket":"records","region":"eu"},"secondPlace":{"s3":{"bucket":"records","region":"eu"}}}"#,
            "are the same place",
        ),
    ] {
        let told = offline.render(&[sets]).await.expect_err(sets);
        assert!(told.contains(why), "{told}");
    }
}

const MONITORING_KINDS: [&str; 4] = [
    "--api-versions",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "--api-versions",
    "monitoring.coreos.com/v1/PrometheusRule",
];

/// The kinds of what watches the operator, and what is in the ConfigMap of the alerts.
async fn monitoring(
    offline: &Offline,
    kinds: &[&str],
    sets: &[&str],
) -> (Vec<String>, Vec<String>) {
    let objects = documents(&offline.render_with(kinds, sets).await.unwrap());
    let ours = ["tenure-alerts", "tenure-dashboard"];
    let found = objects.iter().filter(|object| {
        object["apiVersion"] == "monitoring.coreos.com/v1" || ours.contains(&name(object))
    });
    let files = objects
        .iter()
        .find(|object| name(object) == "tenure-alerts");
    let files = files.and_then(|object| object["data"].as_object());
    (
        found
            .map(|object| format!("{} {}", kind(object), name(object)))
            .collect(),
        files
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect(),
    )
}

#[tokio::test]
async fn the_operator_is_watched_by_the_kinds_the_cluster_has() {
    let offline = Offline::new();
    let (plain, files) = monitoring(&offline, &[], &[]).await;
    assert_eq!(plain, ["ConfigMap tenure-alerts"]);
    assert_eq!(files, ["inhibition.yaml", "tenure.rules.yaml"]);

    let (found, files) = monitoring(&offline, &MONITORING_KINDS, &[]).await;
    let expected = [
        "ServiceMonitor tenure-operator",
        "PrometheusRule tenure",
        "ConfigMap tenure-alerts",
    ];
    assert_eq!(sorted(&found), sorted(&expected));
    assert_eq!(files, ["inhibition.yaml"]);

    let asked = [
        r#"metrics.serviceMonitor.enabled=true"#,
        r#"metrics.rules.enabled=true"#,
        r#"metrics.dashboard.enabled=true"#,
    ];
    let (found, _) = monitoring(&offline, &[], &asked).await;
    let expected = [&expected[..], &["ConfigMap tenure-dashboard"]].concat();
    assert_eq!(sorted(&found), sorted(&expected));

    let never = [
        r#"metrics.serviceMonitor.enabled=false"#,
        r#"metrics.rules.enabled=false"#,
    ];
    let (found, _) = monitoring(&offline, &MONITORING_KINDS, &never).await;
    assert!(found.is_empty(), "{found:?}");
}

fn sorted<T: AsRef<str>>(names: &[T]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn alerts_are_rendered_as_their_files_say() {
    let offline = Offline::new();
    let sets = [
        r#"metrics.rules.labels={"release":"prometheus"}"#,
        r#"metrics.serviceMonitor.labels={"release":"prometheus"}"#,
        r#"metrics.serviceMonitor.interval="15s""#,
        r#"metrics.dashboard.enabled=true"#,
    ];
    let objects = documents(&offline.render_with(&MONITORING_KINDS, &sets).await.unwrap());
    let alerts = files("alerts");
    let rule = find(&objects, "PrometheusRule", "tenure");
    let source = documents(&alerts["tenure.rules"]).remove(0);
    assert_eq!(rule["spec"], source);
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let map = find(&objects, "ConfigMap", "tenure-alerts");
    assert_eq!(
        map["data"]["inhibition.yaml"],
        alerts["inhibition"].as_str()
    );

    let monitor = find(&objects, "ServiceMonitor", "tenure-operator");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(monitor["spec"]["endpoints"][0]["interval"], "15s");

    let dashboard = find(&objects, "ConfigMap", "tenure-dashboard");
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    let path = repository().join("charts/tenure/files/dashboards/tenure.json");
    let shipped: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let rendered = dashboard["data"]["tenure.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(rendered).unwrap(), shipped);
}

#[tokio::test]
async fn alerts_link_to_where_the_runbooks_are_published() {
    let base = r#"metrics.rules.runbookBaseUrl="https://docs.example.com/runbooks/""#;
    let objects = Offline::new().objects(&[base]).await;
    let map = find(&objects, "ConfigMap", "tenure-alerts");
    let text = map["data"]["tenure.rules.yaml"].as_str().unwrap();
    let links: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: "))
        .collect();
    assert_eq!(links.len(), 28);
    for link in links {
        let page = link
            .strip_prefix("https://docs.example.com/runbooks/")
            .unwrap();
        assert!(
            repository().join("docs/runbooks").join(page).is_file(),
            "{link}"
        );
    }
}

#[tokio::test]
async fn no_role_has_a_wildcard_or_hands_out_rights() {
    let objects = Offline::new().objects(&[]).await;
    let roles = roles(&objects);
    assert!(roles.len() >= 9, "{:?}", roles.keys());
    for (role, granted) in &roles {
        for right in granted {
            let parts = [&right.group, &right.resource, &right.verb];
            assert!(
                parts.iter().all(|part| !part.contains('*')),
                "{role} has a wildcard: {right:?}"
            );
            assert!(
                !["escalate", "impersonate", "sign"].contains(&right.verb.as_str()),
                "{role}: {right:?}"
            );
            let subresource = right
                .resource
                .split_once('/')
                .map(|(_, subresource)| subresource);
            // Held in order to be given for one account to one person; a guard refuses the operator every token.
            assert!(
                !matches!(subresource, Some("token" | "approval")) || role == OF_SESSIONS,
                "{role}: {right:?}"
            );
            let entered = matches!(
                subresource,
                Some("exec" | "attach" | "portforward" | "ephemeralcontainers")
            );
            assert!(!entered || role == DEBUGGER, "{role}: {right:?}");
            // Reached by name only: pods that do not exist, asked for to prove a guard alive.
            if subresource == Some("proxy") {
                let probes = right
                    .only
                    .iter()
                    .all(|name| name.starts_with("tenure-guard-probe-"));
                assert!(
                    role == "Role tenure-operator" && !right.only.is_empty() && probes,
                    "{role}: {right:?}"
                );
            }
        }
    }
    for binding in objects
        .iter()
        .filter(|object| kind(object).ends_with("RoleBinding"))
    {
        let account = name(binding);
        assert!(
            ["tenure-operator", "tenure-hooks"].contains(&account),
            "the chart binds its own accounts' roles and nothing else: {account}"
        );
        assert_eq!(binding["roleRef"]["name"], account);
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}])
        );
    }
}

#[tokio::test]
async fn only_deployers_and_secret_readers_read_secrets() {
    let objects = Offline::new().objects(&[]).await;
    for (role, granted) in roles(&objects) {
        let secrets = granted
            .iter()
            .any(|right| right.resource.starts_with("secrets"));
        let readers = [
            "ClusterRole tenure-tenant-deployer",
            "ClusterRole tenure-tenant-secret-reader",
        ];
        assert_eq!(secrets, readers.contains(&role.as_str()), "{role}");
        // Who writes a pod template reads every Secret of its namespace.
        let templates = [
            "pods",
            "deployments",
            "statefulsets",
            "daemonsets",
            "replicasets",
            "replicationcontrollers",
            "jobs",
            "cronjobs",
        ];
        let writes = granted.iter().any(|right| {
            templates.contains(&right.resource.as_str())
                && ["create", "update", "patch"].contains(&right.verb.as_str())
        });
        assert_eq!(
            writes,
            role == "ClusterRole tenure-tenant-deployer",
            "{role}"
        );
    }
}

#[tokio::test]
async fn bind_is_by_name_and_the_operators_alone() {
    let offline = Offline::new();
    let named = r#"access.grantableRoles=["database-operator","dba.example"]"#;
    let more = [&ROLES_TO_BIND[..], &["database-operator", "dba.example"]].concat();
    for (sets, wanted) in [(&[][..], &ROLES_TO_BIND[..]), (&[named][..], &more[..])] {
        bind_is_by_name(&offline.objects(sets).await, wanted);
    }
}

fn bind_is_by_name(objects: &[Value], wanted: &[&str]) {
    for (role, granted) in roles(objects) {
        let bind: BTreeSet<Right> = granted
            .into_iter()
            .filter(|right| right.verb == "bind")
            .collect();
        let expected = match role.as_str() {
            "ClusterRole tenure-operator" => rights(
                &["rbac.authorization.k8s.io"],
                &["clusterroles"],
                wanted,
                &["bind"],
            ),
            _ => BTreeSet::new(),
        };
        assert_eq!(bind, expected, "{role}");
    }
}

#[tokio::test]
async fn operator_never_writes_what_judges_it() {
    let objects = Offline::new().objects(&[]).await;
    let judges = ["admissionregistration.k8s.io", "apiextensions.k8s.io"];
    for (role, granted) in roles(&objects) {
        for right in granted
            .iter()
            .filter(|right| judges.contains(&right.group.as_str()))
        {
            assert!(
                ["get", "list", "watch"].contains(&right.verb.as_str()),
                "{role}: {right:?}"
            );
        }
    }
}

#[tokio::test]
async fn reference_of_roles_says_what_is_installed() {
    let installed = roles(&Offline::new().objects(&[]).await);
    let text = fs::read_to_string(repository().join("docs/reference/rbac.md")).unwrap();
    let mut documented: BTreeMap<String, BTreeSet<Right>> = BTreeMap::new();
    let mut role = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            role = heading.split(',').next().unwrap().replace('`', "");
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_rule = line.starts_with('|') && cells.len() >= 4 && cells[1].starts_with('`');
        if !is_rule {
            continue;
        }
        let words = |cell: &str| -> Vec<String> {
            cell.split(", ")
                .filter(|word| !word.is_empty())
                .map(|word| word.trim_matches('`').to_owned())
                .collect()
        };
        let columns: Vec<Vec<String>> = cells[1..4].iter().map(|cell| words(cell)).collect();
        let column =
            |index: usize| -> Vec<&str> { columns[index].iter().map(String::as_str).collect() };
        let group = if cells[0] == "core" { "" } else { cells[0] };
        documented.entry(role.clone()).or_default().extend(rights(
            &[group],
            &column(0),
            &column(1),
            &column(2),
        ));
    }
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        installed.keys().collect::<Vec<_>>()
    );
    for (role, granted) in &installed {
        let missing: Vec<_> = granted.difference(&documented[role]).collect();
        let surplus: Vec<_> = documented[role].difference(granted).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "docs/reference/rbac.md, {role}: missing {missing:?}, surplus {surplus:?}"
        );
    }
}

/// A cluster has one release: the tests that need it take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// The release on a real API server, and who looks at it.
struct Release {
    helm: Helm,
    admin: Kubectl,
    break_glass: Kubectl,
    _turn: MutexGuard<'static, ()>,
}

impl Release {
    /// Installs the chart, or brings it back to its own values.
    async fn installed() -> Self {
        let turn = TURN.lock().await;
        let plane = Plane::shared().await.unwrap();
        let release = Self {
            helm: plane.helm(&Identity::admin()).unwrap(),
            admin: plane.kubectl(&Identity::admin()).unwrap(),
            break_glass: plane.kubectl(&Identity::break_glass()).unwrap(),
            _turn: turn,
        };
        release.upgrade(&[]).await;
        release
    }

    async fn upgrade(&self, sets: &[&str]) {
        let chart = chart();
        let mut args = vec![
            "upgrade",
            "--install",
            "tenure",
            &chart,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--reset-values",
        ];
        args.extend(sets.iter().flat_map(|set| ["--set-json", set]));
        self.helm.run(&args).await.unwrap().success().unwrap();
    }

    async fn get(&self, args: &[&str]) -> Value {
        let args = [
            &[
                "get",
                "--output",
                "json",
                "--show-managed-fields",
                "--namespace",
                NAMESPACE,
            ],
            args,
        ]
        .concat();
        serde_json::from_str(&self.admin.run(&args).await.unwrap().success().unwrap()).unwrap()
    }

    /// What the operator would have written; the guards let nobody else but break-glass.
    async fn accept_settings(&self, data: &Value) {
        let patch = json!([{ "op": "add", "path": "/data", "value": data }]).to_string();
        let args = [
            "patch",
            "configmap",
            "tenure-guard-parameters",
            "--namespace",
            NAMESPACE,
            "--type=json",
            "--field-manager=tenure",
            "--patch",
            &patch,
        ];
        self.break_glass
            .run(&args)
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    async fn settings(&self) -> Value {
        self.get(&["configmap", "tenure-guard-parameters"]).await
    }

    async fn names(&self, resource: &str) -> BTreeSet<String> {
        let list = self
            .get(&[resource, "--selector", "app.kubernetes.io/part-of=tenure"])
            .await;
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| name(object).to_owned())
            .collect()
    }
}

#[tokio::test]
async fn every_rendered_object_is_in_the_cluster() {
    let release = Release::installed().await;
    let rendered = Offline::new().objects(&[]).await;
    let mut guards = 0;
    // A hook is no object of the release: helm makes it when its time comes.
    let stands = |object: &&Value| object["metadata"]["annotations"]["helm.sh/hook"].is_null();
    for object in rendered.iter().filter(stands) {
        let resource = format!("{}/{}", kind(object).to_lowercase(), name(object));
        let place = object["metadata"]["namespace"].as_str();
        let live = release
            .get(&[&resource, "--namespace", place.unwrap_or(NAMESPACE)])
            .await;
        if !object["apiVersion"]
            .as_str()
            .unwrap()
            .starts_with("admissionregistration")
        {
            continue;
        }
        guards += 1;
        // The API server type-checks every expression; a warning is a rule that may fail when it is needed.
        let warnings = &live["status"]["typeChecking"]["expressionWarnings"];
        assert!(warnings.is_null(), "{resource}: {warnings}");
    }
    assert!(guards > 30, "only {guards} policies and bindings");
    for path in [
        "/apis/tenure.dev/v1alpha1/customertenants",
        "/apis/tenure.dev/v1alpha1/tenancypolicies",
        "/apis/tenure.dev/v1alpha1/approvals",
    ] {
        release
            .admin
            .run(&["get", "--raw", path])
            .await
            .unwrap()
            .success()
            .unwrap();
    }
}

/// The pods that rendered objects make: of the Deployment, the CronJob and the hook's Job.
fn pod_templates(objects: &[Value]) -> BTreeMap<String, Value> {
    let template = |object: &Value| {
        let spec = match kind(object) {
            "Deployment" | "Job" | "DaemonSet" | "StatefulSet" => &object["spec"],
            "CronJob" => &object["spec"]["jobTemplate"]["spec"],
            _ => return None,
        };
        let mut pod = spec["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("one");
        // Its own account is in another namespace.
        pod["spec"]["serviceAccountName"] = json!("default");
        Some((format!("{} {}", kind(object), name(object)), pod))
    };
    objects.iter().filter_map(template).collect()
}

#[tokio::test]
async fn every_pod_of_the_chart_is_restricted() {
    let release = Release::installed().await;
    let plane = Plane::shared().await.unwrap();
    plane.namespace("restricted").await.unwrap();
    release
        .admin
        .run(&[
            "label",
            "namespace",
            "restricted",
            "pod-security.kubernetes.io/enforce=restricted",
            "--overwrite",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    let dry_run = [
        "create",
        "--dry-run=server",
        "--namespace",
        "restricted",
        "--filename",
        "-",
    ];
    let pods = pod_templates(&Offline::new().objects(&[]).await);
    assert!(pods.len() >= 3, "{:?}", pods.keys());
    for (whose, mut pod) in pods {
        let output = release.admin.run_with(&dry_run, &pod.to_string()).await;
        let admitted = output.unwrap().success();
        assert!(admitted.is_ok(), "{whose}: {admitted:?}");
        let container = &pod["spec"]["containers"][0];
        assert_eq!(
            container["securityContext"]["readOnlyRootFilesystem"], true,
            "{whose}"
        );
        assert!(
            !container["resources"]["limits"]["memory"].is_null(),
            "{whose}"
        );

        pod["spec"]["containers"][0]["securityContext"]["capabilities"] = Value::Null;
        let output = release.admin.run_with(&dry_run, &pod.to_string()).await;
        let why = output.unwrap().refusal().unwrap();
        assert!(
            why.contains("violates PodSecurity \"restricted:latest\""),
            "{whose}: {why}"
        );
    }
}

#[tokio::test]
async fn values_nobody_knows_are_refused_at_every_level() {
    let offline = Offline::new();
    let values = fs::read_to_string(repository().join("charts/tenure/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    // Maps whose keys are the user's own.
    let free = [
        "annotations",
        "labels",
        "nodeSelector",
        "podAnnotations",
        "podLabels",
        "serviceAnnotations",
    ];
    let mut places = vec!["nonsense".to_owned()];
    let mut waiting: Vec<(String, Value)> = vec![(String::new(), values)];
    while let Some((place, value)) = waiting.pop() {
        for (key, inner) in value.as_object().into_iter().flatten() {
            if !inner.is_object() || free.contains(&key.as_str()) {
                continue;
            }
            let place = format!("{place}{key}.");
            places.push(format!("{place}nonsense"));
            waiting.push((place, inner.clone()));
        }
    }
    assert!(places.len() >= 8, "{places:?}");
    for place in places {
        let why = offline.render(&[&format!("{place}=true")]).await;
        let why = why.expect_err(&place);
        assert!(
            why.contains("additional properties 'nonsense' not allowed"),
            "{place}: {why}"
        );
    }
}

#[tokio::test]
async fn operator_pod_is_admitted_in_its_own_namespace() {
    let release = Release::installed().await;
    // Made by the Deployment's controller under the guards; there is no node to run it on.
    let seen = tenure_e2e::eventually(
        std::time::Duration::from_secs(30),
        "the operator's pod exists",
        async || {
            let pods = release
                .get(&["pods", "--selector", "app.kubernetes.io/component=operator"])
                .await;
            pods["items"]
                .as_array()
                .and_then(|items| items.first().cloned())
                .ok_or_else(|| anyhow::anyhow!("no pod"))
        },
    );
    let pod = seen.await.unwrap();
    assert_eq!(pod["spec"]["serviceAccountName"], "tenure-operator");
    assert_eq!(pod["spec"]["priorityClassName"], "system-cluster-critical");
}

#[tokio::test]
async fn upgrades_and_a_rollback_leave_accepted_settings_alone() {
    let release = Release::installed().await;
    let accepted =
        json!({ "gitops-appliers": "system:serviceaccount:flux-system:kustomize-controller" });
    release.accept_settings(&accepted).await;
    let before = release.settings().await;
    assert_eq!(before["data"], accepted);

    release.upgrade(&[r#"logFormat="text""#]).await;
    release.upgrade(&[r#"logFormat="json""#]).await;
    release
        .helm
        .run(&["rollback", "tenure", "--namespace", NAMESPACE])
        .await
        .unwrap()
        .success()
        .unwrap();

    let after = release.settings().await;
    assert_eq!(after["data"], accepted);
    assert_eq!(
        after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"],
        "a release has nothing to write here"
    );
    let owners: Vec<&Value> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["fieldsV1"].get("f:data").is_some())
        .collect();
    assert!(
        owners.len() == 1 && owners[0]["manager"] == "tenure",
        "{owners:?}"
    );

    // The one way of helm that would wipe them is refused by the guard.
    let replace = [
        "upgrade",
        "tenure",
        &chart(),
        "--namespace",
        NAMESPACE,
        "--server-side=false",
        "--force-replace",
    ];
    let why = release.helm.run(&replace).await.unwrap().refusal().unwrap();
    assert!(
        why.contains("tenure-parameters") && why.contains("written by the Tenure operator alone"),
        "{why}"
    );
    assert_eq!(release.settings().await["data"], accepted);
}

#[tokio::test]
async fn uninstall_keeps_kinds_tenants_and_settings() {
    let release = Release::installed().await;
    let policy = json!({ "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": { "name": "default" }, "spec": {} });
    release
        .admin
        .run_with(&["apply", "--filename", "-"], &policy.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let accepted = json!({ "restore-identity": "system:serviceaccount:velero:velero" });
    release.accept_settings(&accepted).await;
    let before = release.get(&["tenancypolicy", "default"]).await;
    let settings = release.settings().await["data"].clone();
    let kinds = release.names("customresourcedefinitions").await;
    assert!(kinds.contains("customertenants.tenure.dev"), "{kinds:?}");
    assert!(
        !release
            .names("validatingadmissionpolicies")
            .await
            .is_empty()
    );

    let said = release
        .helm
        // No node here to run its hook on; `e2e/tests/node` runs it.
        .run(&[
            "uninstall",
            "tenure",
            "--namespace",
            NAMESPACE,
            "--no-hooks",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(
        said.contains("[CustomResourceDefinition] customertenants.tenure.dev"),
        "it says what it keeps: {said}"
    );
    assert_eq!(release.names("customresourcedefinitions").await, kinds);
    assert_eq!(
        release.get(&["tenancypolicy", "default"]).await["metadata"]["uid"],
        before["metadata"]["uid"]
    );
    assert_eq!(release.settings().await["data"], settings);
    assert!(release.names("namespaces").await.contains(SESSIONS));
    for gone in [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "deployments",
        "clusterroles",
        "clusterrolebindings",
    ] {
        assert_eq!(release.names(gone).await, BTreeSet::new(), "{gone}");
    }

    release.upgrade(&[]).await;
    assert_eq!(
        release.settings().await["data"],
        settings,
        "a later install finds what was accepted"
    );
    assert_eq!(
        release.get(&["tenancypolicy", "default"]).await["metadata"]["uid"],
        before["metadata"]["uid"]
    );
}

#[tokio::test]
async fn operator_is_allowed_its_work_and_nothing_beyond() {
    let release = Release::installed().await;
    let operator = format!("--as=system:serviceaccount:{NAMESPACE}:tenure-operator");
    let groups = [
        "--as-group=system:serviceaccounts",
        "--as-group=system:authenticated",
    ];
    let may = async |args: &[&str]| {
        let args = [&["auth", "can-i", &operator, groups[0], groups[1]], args].concat();
        release.admin.run(&args).await.unwrap().ok
    };
    let allowed: [&[&str]; 19] = [
        &["delete", "serviceaccounts", "--namespace", SESSIONS],
        &[
            "create",
            "roles.rbac.authorization.k8s.io",
            "--namespace",
            SESSIONS,
        ],
        &["create", "namespaces"],
        &[
            "patch",
            "networkpolicies.networking.k8s.io",
            "--namespace",
            "any",
        ],
        &[
            "bind",
            "clusterroles.rbac.authorization.k8s.io/tenure-tenant-member",
        ],
        &[
            "update",
            "customertenants.tenure.dev",
            "--subresource=status",
        ],
        &["patch", "configmaps", "--namespace", NAMESPACE],
        &[
            "patch",
            "leases.coordination.k8s.io",
            "--namespace",
            NAMESPACE,
        ],
        &[
            "get",
            "pods/tenure-guard-probe-namespaces",
            "--subresource=proxy",
            "--namespace",
            NAMESPACE,
        ],
        &["create", "events.events.k8s.io", "--namespace", "default"],
        &["deletecollection", "pods", "--namespace", "any"],
        &["create", "subjectaccessreviews.authorization.k8s.io"],
        &["list", "serviceaccounts", "--all-namespaces"],
        &["list", "cronjobs.batch", "--all-namespaces"],
        &["list", "certificatesigningrequests.certificates.k8s.io"],
        &[
            "list",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
        ],
        &[
            "list",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        ],
        &[
            "list",
            "leases.coordination.k8s.io",
            "--namespace",
            "kube-system",
        ],
        &[
            "get",
            "endpointslices.discovery.k8s.io/kubernetes",
            "--namespace",
            "default",
        ],
    ];
    let refused: [&[&str]; 28] = [
        &["watch", "serviceaccounts", "--namespace", "any"],
        &["create", "serviceaccounts", "--namespace", NAMESPACE],
        &["create", "cronjobs.batch", "--namespace", "any"],
        &["create", "certificatesigningrequests.certificates.k8s.io"],
        &[
            "update",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        ],
        &[
            "create",
            "roles.rbac.authorization.k8s.io",
            "--namespace",
            NAMESPACE,
        ],
        &["create", "pods", "--namespace", SESSIONS],
        &["*", "*"],
        &["get", "secrets", "--namespace", NAMESPACE],
        &["list", "secrets", "--all-namespaces"],
        &["get", "configmaps", "--namespace", "any"],
        &["delete", "configmaps", "--namespace", NAMESPACE],
        &["bind", "clusterroles.rbac.authorization.k8s.io/admin"],
        &["create", "clusterrolebindings.rbac.authorization.k8s.io"],
        &["escalate", "clusterroles.rbac.authorization.k8s.io"],
        &["impersonate", "users"],
        &[
            "create",
            "serviceaccounts",
            "--subresource=token",
            "--namespace",
            NAMESPACE,
        ],
        &["create", "pods", "--subresource=exec", "--namespace", "any"],
        &[
            "get",
            "pods/other",
            "--subresource=proxy",
            "--namespace",
            NAMESPACE,
        ],
        &[
            "update",
            "validatingadmissionpolicies.admissionregistration.k8s.io",
        ],
        &["update", "customresourcedefinitions.apiextensions.k8s.io"],
        &["create", "approvals.tenure.dev"],
        &["approve", "customertenants.tenure.dev/acme"],
        &[
            "patch",
            "leases.coordination.k8s.io",
            "--namespace",
            "kube-system",
        ],
        &["list", "leases.coordination.k8s.io", "--namespace", "any"],
        &[
            "get",
            "endpointslices.discovery.k8s.io/other",
            "--namespace",
            "default",
        ],
        &["create", "tokenreviews.authentication.k8s.io"],
        &[
            "create",
            "endpointslices.discovery.k8s.io",
            "--namespace",
            "default",
        ],
    ];
    for request in allowed {
        assert!(may(request).await, "the operator needs to {request:?}");
    }
    for request in refused {
        assert!(!may(request).await, "the operator must not {request:?}");
    }
}
