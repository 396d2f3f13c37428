//! The shared control plane with the guards on it, and nothing else of ours: no operator runs. The tests act with the
//! operator's ServiceAccount where it would.

use std::sync::LazyLock;
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tenure_e2e::{Access, Identity, eventually};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::ask::{apply, create, passes, really_create, really_patch, send};

/// The operator's namespace.
pub(crate) const OWN: &str = "tenure-system";
/// The namespace of sessions.
pub(crate) const SESSIONS: &str = "tenure-system-sessions";
/// The operator's username.
pub(crate) const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";
/// The one image of the release.
pub(crate) const IMAGE: &str = "registry.example.org/tenure:1";
static SETTINGS: LazyLock<RwLock<()>> = LazyLock::new(|| RwLock::new(()));
static READY: OnceCell<Access> = OnceCell::const_new();

/// The cluster as one test sees it. Tests share it; one that changes the settings has it alone.
pub(crate) struct World {
    access: Access,
    _shared: Option<RwLockReadGuard<'static, ()>>,
    _alone: Option<RwLockWriteGuard<'static, ()>>,
}

/// The shared cluster.
pub(crate) async fn world() -> World {
    let shared = SETTINGS.read().await;
    World {
        access: access().await,
        _shared: Some(shared),
        _alone: None,
    }
}

/// The cluster for a test that changes the guards' settings; it must put them back by [`World::settings`].
pub(crate) async fn world_alone() -> World {
    let alone = SETTINGS.write().await;
    World {
        access: access().await,
        _shared: None,
        _alone: Some(alone),
    }
}

/// A guard's text with its tokens replaced, one value per document.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let text = text
        .replace("__NAMESPACE__", OWN)
        .replace("__OPERATOR__", OPERATOR)
        .replace("__IMAGES__", &format!("[\"{IMAGE}\"]"))
        .replace("__SESSIONS__", SESSIONS);
    serde_saphyr::from_multiple(&text).unwrap()
}

/// Every YAML file of a folder of the chart's files.
pub(crate) fn chart_files(folder: &str) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../charts/tenure/files")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    files
}

/// The guards, by their validating policies' names without `tenure-`.
pub(crate) fn guards() -> Vec<String> {
    chart_files("guards")
        .iter()
        .flat_map(|(_, text)| documents(text))
        .filter(|document| document["kind"] == "ValidatingAdmissionPolicy")
        .map(|document| {
            document["metadata"]["name"]
                .as_str()
                .unwrap()
                .trim_start_matches("tenure-")
                .to_owned()
        })
        .collect()
}

async fn access() -> Access {
    READY.get_or_init(set_up).await.clone()
}

async fn set_up() -> Access {
    let access = super::plane::access().await;
    let admin = access.admin().unwrap();
    for (_, text) in chart_files("crds") {
        for document in documents(&text) {
            install(
                &admin,
                "apiextensions.k8s.io/v1",
                "customresourcedefinitions",
                document,
            )
            .await;
        }
    }
    for document in documents(include_str!("optional-apis.yaml")) {
        install(
            &admin,
            "apiextensions.k8s.io/v1",
            "customresourcedefinitions",
            document,
        )
        .await;
    }
    for name in [OWN, SESSIONS] {
        passes(
            &admin,
            really_create(
                "/api/v1/namespaces",
                json!({ "metadata": { "name": name } }),
            ),
        )
        .await;
    }
    let own = format!("/api/v1/namespaces/{OWN}");
    for name in ["tenure-operator", "tenure-hooks"] {
        passes(
            &admin,
            really_create(
                format!("{own}/serviceaccounts"),
                json!({ "metadata": { "name": name } }),
            ),
        )
        .await;
    }
    bind_cluster_admin(
        &admin,
        "operator",
        json!([{ "kind": "ServiceAccount", "name": "tenure-operator", "namespace": OWN }]),
    )
    .await;
    passes(
        &admin,
        really_create(
            format!("{own}/configmaps"),
            json!({ "metadata": { "name": "tenure-guard-parameters" } }),
        ),
    )
    .await;
    for (_, text) in chart_files("guards") {
        for document in documents(&text) {
            let plural = match document["kind"].as_str().unwrap() {
                "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
                "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings",
                "MutatingAdmissionPolicy" => "mutatingadmissionpolicies",
                "MutatingAdmissionPolicyBinding" => "mutatingadmissionpolicybindings",
                other => panic!("{other} is no admission policy"),
            };
            install(&admin, "admissionregistration.k8s.io/v1", plural, document).await;
        }
    }
    let operator = access
        .service_account(OWN, "tenure-operator")
        .await
        .unwrap()
        .client()
        .unwrap();
    for guard in guards() {
        eventually(
            Duration::from_secs(30),
            &format!("the guard {guard} answers"),
            async || alive(&operator, &guard).await,
        )
        .await
        .unwrap();
    }
    write_settings(&operator, &default_settings()).await;
    // The settings reach the guards a moment later: a restore shows it.
    let restored = json!({ "metadata": { "name": "settings-known", "labels": { "tenure.dev/tenant": "nobody" } } });
    let restorer = access.client(&restorer()).unwrap();
    eventually(
        Duration::from_secs(30),
        "the guards know the settings",
        async || Ok(send(&restorer, &create("/api/v1/namespaces", restored.clone())).await?),
    )
    .await
    .unwrap();
    access
}

/// Whether the operator's proof of life is answered by `guard`.
pub(crate) async fn alive(operator: &Client, guard: &str) -> anyhow::Result<()> {
    let probe = super::ask::connect(
        "GET",
        format!("/api/v1/namespaces/{OWN}/pods/tenure-guard-probe-{guard}/proxy"),
    );
    match send(operator, &probe).await {
        Err(kube::Error::Api(status)) if status.message.contains(&format!("'tenure-{guard}'")) => {
            Ok(())
        }
        other => anyhow::bail!("the probe of {guard} got {other:?}"),
    }
}

async fn install(admin: &Client, version: &str, plural: &str, document: Value) {
    let name = document["metadata"]["name"].as_str().unwrap().to_owned();
    passes(
        admin,
        apply(format!("/apis/{version}/{plural}/{name}"), "test", document),
    )
    .await;
    if plural != "customresourcedefinitions" {
        return;
    }
    eventually(
        Duration::from_secs(30),
        &format!("{name} is established"),
        async || {
            let crd = send(
                admin,
                &super::ask::connect("GET", format!("/apis/{version}/{plural}/{name}")),
            )
            .await?;
            let conditions = crd["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            anyhow::ensure!(
                conditions
                    .iter()
                    .any(|c| c["type"] == "Established" && c["status"] == "True"),
                "{conditions:?}"
            );
            Ok(())
        },
    )
    .await
    .unwrap();
}

async fn bind_cluster_admin(admin: &Client, name: &str, subjects: Value) {
    let binding = json!({
        "metadata": { "name": format!("test-{name}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": subjects,
    });
    passes(
        admin,
        really_create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            binding,
        ),
    )
    .await;
}

/// The settings every test but one finds.
fn default_settings() -> Value {
    json!({
        "break-glass-group": "tenure:break-glass",
        "gitops-appliers": "system:serviceaccount:argocd:controller",
        "restore-identity": "system:serviceaccount:velero:velero",
        "token-minters": "system:serviceaccount:argocd:controller",
        "privileged-roles": "billing-admin",
        "trusted-controllers.networkpolicies": "system:serviceaccount:mesh:mesh",
        "trusted-controllers.rolebindings": "system:serviceaccount:mesh:mesh",
        "trusted-controllers.services": "system:serviceaccount:cert-manager:cert-manager",
        "trusted-controllers.exposure": "system:serviceaccount:cert-manager:cert-manager",
        "trusted-controllers.storage": "system:serviceaccount:local-path:provisioner",
        "trusted-controllers.pods": "system:serviceaccount:mesh:mesh",
    })
}

async fn write_settings(operator: &Client, data: &Value) {
    let path = format!("/api/v1/namespaces/{OWN}/configmaps/tenure-guard-parameters");
    passes(
        operator,
        really_patch(path.clone(), json!({ "data": null })),
    )
    .await;
    passes(operator, really_patch(path, json!({ "data": data }))).await;
}

/// A controller outside every tenant, with all the rights RBAC can give.
pub(crate) fn machine(namespace: &str, name: &str) -> Identity {
    Identity::user(format!("system:serviceaccount:{namespace}:{name}"))
        .group("system:serviceaccounts")
        .group("system:masters")
}

/// The restore tool the settings name.
pub(crate) fn restorer() -> Identity {
    machine("velero", "velero")
}

impl World {
    /// The operator, by a token of its ServiceAccount.
    pub(crate) async fn operator(&self) -> Client {
        self.access
            .service_account(OWN, "tenure-operator")
            .await
            .unwrap()
            .client()
            .unwrap()
    }

    /// A cluster administrator: RBAC refuses nothing.
    pub(crate) fn admin(&self) -> Client {
        self.access.admin().unwrap()
    }

    /// The emergency group.
    pub(crate) fn break_glass(&self) -> Client {
        self.access.break_glass().unwrap()
    }

    /// Anybody.
    pub(crate) fn client(&self, identity: &Identity) -> Client {
        self.access.client(identity).unwrap()
    }

    /// A controller with all rights RBAC can give.
    pub(crate) fn machine(&self, namespace: &str, name: &str) -> Client {
        self.client(&machine(namespace, name))
    }

    /// Adds to the settings (null removes), or puts them back.
    pub(crate) async fn settings(&self, more: Option<Value>) {
        let mut data = default_settings();
        if let Some(Value::Object(more)) = more {
            for (key, value) in more {
                match value {
                    Value::Null => data.as_object_mut().unwrap().remove(&key),
                    value => data.as_object_mut().unwrap().insert(key, value),
                };
            }
        }
        write_settings(&self.operator().await, &data).await;
    }

    /// A tenant `name` with the ready namespaces `name-prod` and `name-test`, as the operator would make it.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        self.tenant_in(name, "Enforce").await
    }

    /// As [`World::tenant`], with another `enforcement`.
    pub(crate) async fn tenant_in(&self, name: &str, enforcement: &str) -> Tenant {
        let tenant = Tenant {
            name: name.to_owned(),
        };
        let operator = self.operator().await;
        for entry in ["prod", "test"] {
            passes(
                &operator,
                really_create("/api/v1/namespaces", tenant.namespace(entry, enforcement)),
            )
            .await;
        }
        tenant
    }
}

/// A tenant's names and facts.
pub(crate) struct Tenant {
    pub(crate) name: String,
}

impl Tenant {
    /// Its first namespace.
    pub(crate) fn prod(&self) -> String {
        format!("{}-prod", self.name)
    }

    /// Its second namespace.
    pub(crate) fn test(&self) -> String {
        format!("{}-test", self.name)
    }

    /// Its namespace as the operator writes it.
    pub(crate) fn namespace(&self, entry: &str, enforcement: &str) -> Value {
        let name = &self.name;
        json!({ "metadata": {
            "name": format!("{name}-{entry}"),
            "labels": {
                "tenure.dev/tenant": name,
                "tenure.dev/enforcement": enforcement,
                "tenure.dev/classification": "Confidential",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
            "annotations": {
                "tenure.dev/tenant-id": tenant_id(),
                "tenure.dev/ready": "true",
                "tenure.dev/namespaces": format!("{name}-prod,{name}-test"),
                "tenure.dev/ingress-namespaces": "edge,monitoring",
                "tenure.dev/egress-namespaces": "kube-system,peer-prod",
                "tenure.dev/ingress-cidrs": "203.0.113.0/24",
                "tenure.dev/egress-cidrs": "198.51.100.0/24,2001:db8:1::/48",
                "tenure.dev/egress-hosts": "api.example.org",
                "tenure.dev/ingress-classes": "waf",
                "tenure.dev/gateway-classes": "waf-gateway",
                "tenure.dev/gateways": "edge/shared",
                "tenure.dev/hosts": format!("{name}.example.org,*.{name}.example.org"),
                "tenure.dev/storage-classes": format!("{name}-sealed"),
            },
        }})
    }

    /// The three marks of a managed object, but for the field manager.
    pub(crate) fn marks(&self, name: &str) -> Value {
        json!({
            "name": name,
            "labels": { "tenure.dev/tenant": self.name, "app.kubernetes.io/managed-by": "tenure" },
            "annotations": { "tenure.dev/tenant-id": tenant_id() },
        })
    }

    /// The path of a core collection in its first namespace.
    pub(crate) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.prod())
    }

    /// The path of a collection of an API group in its first namespace.
    pub(crate) fn path(&self, group_version: &str, plural: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{plural}", self.prod())
    }
}

/// One tenantID is as good as another here.
pub(crate) fn tenant_id() -> &'static str {
    "7e57ab1e-0000-4000-8000-000000000001"
}
