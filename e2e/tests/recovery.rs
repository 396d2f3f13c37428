//! A cluster is gone and comes again: from Git, in whatever order, and from a backup that brings every object back with a
//! new uid, in the order of Velero. The third way, an older snapshot of etcd, is a fault and lies with the faults.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tenure_e2e::audit::{Event, Mark};
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::kubectl::Kubectl;
use tenure_e2e::paths::repository;
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, Record, eventually};

const SOON: Duration = Duration::from_secs(60);
const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";
/// As the TenancyPolicy names them.
const APPLIER: &str = "system:serviceaccount:flux-system:kustomize-controller";
const RESTORER: &str = "system:serviceaccount:velero:velero";
const TENANTS: [(&str, &str); 2] = [
    ("clinic", "a1e64b07-52c9-4f3d-8b70-6f2d94c0e815"),
    ("acme", "66666666-6666-4666-8666-000000000001"),
];
/// What a backup holds, in the order in which Velero brings it back; custom resources come last.
const BACKUP: [(&str, &str, &str); 9] = [
    ("", "v1", "Namespace"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "LimitRange"),
    ("", "v1", "Pod"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("", "v1", "ResourceQuota"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("tenure.dev", "v1alpha1", "Approval"),
    ("tenure.dev", "v1alpha1", "CustomerTenant"),
];

/// What is in Git. No namespace of a tenant is: Tenure makes them.
struct Git {
    policy: String,
    tenants: String,
    workloads: String,
}

impl Git {
    fn clone() -> Result<Self> {
        let policy = json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {
                "gitopsAppliers": [{"username": APPLIER}], "restore": {"username": RESTORER},
                "exposureClasses": [{"kind": "Ingress", "name": "waf", "waf": "Core rule set"}],
            }
        });
        let clinic =
            std::fs::read_to_string(repository().join("examples/customers/example-clinic.yaml"))?;
        let acme = std::fs::read_to_string(repository().join("examples/minimal/tenant.yaml"))?
            .replace("TENANT_ID", TENANTS[1].1);
        let pod = |namespace: &str| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace},
                "spec": {
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{"name": "c", "image": "example/app:1",
                        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
                }
            })
        };
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "clinic-portal"}, "data": {"colour": "green"}});
        Ok(Self {
            policy: policy.to_string(),
            tenants: format!("{clinic}\n---\n{acme}"),
            workloads: [pod("clinic-portal"), pod("acme-prod"), settings]
                .map(|it| it.to_string())
                .join("\n---\n"),
        })
    }
}

struct Cluster {
    plane: Plane,
    /// It is there before the cluster, and after it.
    record: Record,
    applier: Kubectl,
    mark: Mark,
    operator: Option<Operator>,
}

impl Cluster {
    /// A control plane with nothing in its etcd.
    async fn empty(name: &str, record: &Record) -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: name.into(),
            ..PlaneOptions::default()
        })
        .await?;
        let applier = Identity::user(APPLIER);
        let cluster = Self {
            applier: plane.kubectl(&applier)?,
            mark: plane.audit().mark().await?,
            plane,
            record: record.clone(),
            operator: None,
        };
        for identity in [APPLIER, RESTORER] {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": identity.replace(':', "-")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": identity}]
            });
            create(
                &cluster.client()?,
                ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
                binding,
            )
            .await?;
        }
        Ok(cluster)
    }

    fn client(&self) -> Result<Client> {
        self.plane.admin()
    }

    async fn install(&mut self) -> Result<()> {
        install::install(self.plane.access()).await?;
        self.start().await
    }

    async fn start(&mut self) -> Result<()> {
        let options = OperatorOptions {
            record: Some(self.record.clone()),
            ..OperatorOptions::default()
        };
        self.operator = Some(Operator::start(self.plane.access(), options).await?);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        let operator = self.operator.take().context("no operator runs")?;
        operator.stop().await
    }

    /// What a GitOps tool does with a folder: everything is tried, what failed is said.
    async fn apply(&self, text: &str) -> Result<()> {
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ];
        self.applier
            .run_with(&args, text)
            .await?
            .success()
            .map(drop)
    }

    /// As such a tool again and again, until it succeeds.
    async fn until_applied(&self, text: &str) -> Result<()> {
        eventually(SOON, "it is applied", async || self.apply(text).await).await
    }

    async fn list(&self, kind: (&str, &str, &str), selector: &str) -> Result<Vec<DynamicObject>> {
        let params = ListParams::default().labels(selector);
        Ok(all(&self.client()?, kind).list(&params).await?.items)
    }

    async fn ready(&self) -> Result<()> {
        let tenants = all(
            &self.client()?,
            ("tenure.dev", "v1alpha1", "CustomerTenant"),
        );
        for (name, id) in TENANTS {
            eventually(SOON, &format!("{name} is Ready"), async || {
                let tenant = tenants.get(name).await?;
                ensure!(
                    tenant.data["spec"]["tenantID"] == id,
                    "{}",
                    tenant.data["spec"]
                );
                let conditions = tenant.data["status"]["conditions"].as_array().cloned();
                let ready = conditions
                    .unwrap_or_default()
                    .into_iter()
                    .find(|known| known["type"] == "Ready");
                ensure!(
                    ready
                        .as_ref()
                        .is_some_and(|ready| ready["status"] == "True"),
                    "{ready:?} {}",
                    tenant.data["status"]["pendingApprovals"]
                );
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// The isolation as it stands: what a rebuild has to bring back.
    async fn isolation(&self) -> Result<BTreeMap<String, Value>> {
        let mut stands = BTreeMap::new();
        for kind in BACKUP {
            if ["ConfigMap", "Pod", "Approval", "CustomerTenant"].contains(&kind.2) {
                continue;
            }
            for object in self.list(kind, "tenure.dev/tenant").await? {
                let place = format!(
                    "{} {}/{}",
                    kind.2,
                    object.namespace().unwrap_or_default(),
                    object.name_any()
                );
                let ours = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
                    let mut map = map.clone();
                    map.retain(|key, _| {
                        key.contains("tenure.dev/") || key.contains("pod-security")
                    });
                    map
                };
                let mut data = object.data.clone();
                data["status"] = Value::Null;
                if kind.2 == "Namespace" {
                    data["spec"] = Value::Null;
                }
                stands.insert(
                    place,
                    json!([ours(object.labels()), ours(object.annotations()), data]),
                );
            }
        }
        Ok(stands)
    }

    /// Nobody deleted anything a tenant has, and no pod came before its namespace's isolation.
    fn nothing_was_destroyed_and_isolation_came_first(&self) -> Result<()> {
        let events = self.plane.audit().since(self.mark)?;
        let done: Vec<&Event> = events
            .iter()
            .filter(|event| event.is_write() && event.code() < 300)
            .collect();
        let resource = |event: &Event| event.object_ref.clone().unwrap_or_default().resource;
        let namespace = |event: &Event| event.object_ref.clone().unwrap_or_default().namespace;
        let kept = [
            "namespaces",
            "networkpolicies",
            "resourcequotas",
            "limitranges",
            "rolebindings",
            "pods",
            "configmaps",
            "customertenants",
        ];
        let destroyed: Vec<String> = done
            .iter()
            .filter(|event| event.verb.starts_with("delete"))
            .filter(|event| kept.contains(&resource(event).as_str()))
            .map(|event| format!("{} {}", event.acting_user(), event.line()))
            .collect();
        ensure!(destroyed.is_empty(), "{destroyed:#?}");
        for tenants in ["clinic-portal", "acme-prod"] {
            let made = |what: &str| {
                done.iter().rposition(|event| {
                    resource(event) == what && event.verb != "update" && namespace(event) == tenants
                })
            };
            let pods = made("pods").context("no pod was started")?;
            // The mark itself is the operator's last write to the namespace.
            let marked = done.iter().position(|event| {
                let object = event.object_ref.clone().unwrap_or_default();
                event.acting_user() == OPERATOR
                    && event.verb == "update"
                    && object.resource == "namespaces"
                    && object.name == tenants
            });
            let policies = made("networkpolicies").context("no policy was made")?;
            ensure!(
                policies < pods && marked.is_some_and(|marked| marked < pods),
                "{tenants}: policy {policies}, mark {marked:?}, pod {pods}"
            );
        }
        Ok(())
    }
}

fn all(client: &Client, (group, version, kind): (&str, &str, &str)) -> Api<DynamicObject> {
    let resource = resource(group, version, kind);
    Api::all_with(client.clone(), &resource)
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if kind == "NetworkPolicy" {
        resource.plural = "networkpolicies".into();
    }
    resource
}

async fn create(client: &Client, kind: (&str, &str, &str), object: Value) -> kube::Result<()> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let resource = resource(kind.0, kind.1, kind.2);
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.create(&PostParams::default(), &object).await.map(drop)
}

/// A backup: every object without what the API server gave it, and without status.
async fn backup(
    cluster: &Cluster,
) -> Result<Vec<((&'static str, &'static str, &'static str), Value)>> {
    let mut saved = Vec::new();
    for kind in BACKUP {
        for object in cluster.list(kind, "").await? {
            let namespace = object.namespace().unwrap_or_default();
            let tenants = ["clinic-portal", "acme-prod"];
            let wanted = match kind.2 {
                "Namespace" => tenants.contains(&object.name_any().as_str()),
                "ConfigMap" => {
                    tenants.contains(&namespace.as_str()) && object.name_any() != "kube-root-ca.crt"
                        || namespace == NAMESPACE
                }
                _ => namespace.is_empty() || tenants.contains(&namespace.as_str()),
            };
            if !wanted {
                continue;
            }
            let mut object = serde_json::to_value(object)?;
            object["status"] = Value::Null;
            for given in [
                "uid",
                "resourceVersion",
                "generation",
                "creationTimestamp",
                "managedFields",
                "ownerReferences",
            ] {
                object["metadata"]
                    .as_object_mut()
                    .context("no metadata")?
                    .remove(given);
            }
            object
                .as_object_mut()
                .context("no object")?
                .retain(|_, value| !value.is_null());
            object["metadata"]["labels"]["velero.io/restore-name"] = json!("everything");
            saved.push((kind, object));
        }
    }
    Ok(saved)
}

/// Brings back what is not there, as Velero does; answers what was refused.
async fn restore(
    client: &Client,
    saved: &[((&str, &str, &str), Value)],
) -> Result<BTreeMap<String, String>> {
    let mut refused = BTreeMap::new();
    for (kind, object) in saved {
        match create(client, *kind, object.clone()).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => {
                let metadata = &object["metadata"];
                refused.insert(
                    format!("{} {}/{}", kind.2, metadata["namespace"], metadata["name"]),
                    status.message.clone(),
                );
            }
            Err(error) => bail!("{} {}: {error}", kind.2, object["metadata"]["name"]),
        }
    }
    Ok(refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_comes_again_from_git_and_from_a_backup() -> Result<()> {
    let git = Git::clone()?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [kept, new] = [
        Record::at(folders[0].path())?,
        Record::at(folders[1].path())?,
    ];
    let (isolation, saved) = {
        let mut cluster = in_the_right_order(&git, &kept)
            .await
            .context("from Git, in order")?;
        let known = (cluster.isolation().await?, backup(&cluster).await?);
        cluster.stop().await?;
        known
    };
    ensure!(isolation.len() >= 12, "{:?}", isolation.keys());
    let disordered = in_a_wrong_order(&git, &new)
        .await
        .context("from Git, out of order")?;
    assert_eq!(disordered, isolation);
    from_a_backup(&saved, &isolation, &kept)
        .await
        .context("from a backup")?;
    let report = kept.verify().await?;
    ensure!(report.sound, "{report:#?}");
    Ok(())
}

async fn in_the_right_order(git: &Git, record: &Record) -> Result<Cluster> {
    let mut cluster = Cluster::empty("rebuilt", record).await?;
    cluster.install().await?;
    cluster.until_applied(&git.policy).await?;
    cluster.apply(&git.tenants).await?;
    cluster.until_applied(&git.workloads).await?;
    cluster.ready().await?;
    cluster.nothing_was_destroyed_and_isolation_came_first()?;
    Ok(cluster)
}

/// Everything before what it needs: each is refused or waits, and nothing is made that would have to be undone.
async fn in_a_wrong_order(git: &Git, record: &Record) -> Result<BTreeMap<String, Value>> {
    let mut cluster = Cluster::empty("disordered", record).await?;
    for early in [&git.workloads, &git.tenants, &git.policy] {
        ensure!(
            cluster.apply(early).await.is_err(),
            "applied to an empty cluster: {early}"
        );
    }
    cluster.install().await?;
    ensure!(
        cluster.apply(&git.workloads).await.is_err(),
        "workloads have no namespace yet"
    );
    cluster.until_applied(&git.tenants).await?;
    // Without a policy everything is strict: what needs it waits, and says so.
    let tenants = all(
        &cluster.client()?,
        ("tenure.dev", "v1alpha1", "CustomerTenant"),
    );
    eventually(
        SOON,
        "the tenant that needs the platform's settings waits",
        async || {
            let clinic = tenants.get("clinic").await?;
            let conditions = clinic.data["status"]["conditions"].to_string();
            ensure!(conditions.contains("UnknownExposure"), "{conditions}");
            Ok(())
        },
    )
    .await?;
    cluster.until_applied(&git.policy).await?;
    cluster.until_applied(&git.workloads).await?;
    cluster.ready().await?;
    cluster.nothing_was_destroyed_and_isolation_came_first()?;
    cluster.isolation().await
}

/// The record of the lost cluster is there before anything else is: the operator finds its tenants again by their ids, and their
/// isolation stands before anybody brings an object back. Then the restore tool brings everything while the operator runs; what
/// it may not bring, the operator has made. What comes back with another uid and without status is the tenant it was.
async fn from_a_backup(
    saved: &[((&str, &str, &str), Value)],
    isolation: &BTreeMap<String, Value>,
    record: &Record,
) -> Result<()> {
    let mut cluster = Cluster::empty("restored", record).await?;
    install::install(cluster.plane.access()).await?;
    // A stranger with the same rights brings nothing back that carries marks.
    let stranger = restore(&cluster.client()?, &saved[..2]).await?;
    ensure!(stranger.len() == 2, "{stranger:#?}");

    cluster.start().await?;
    let restorer = cluster.plane.client(&Identity::user(RESTORER))?;
    eventually(SOON, "isolation stands from the record alone", async || {
        let stands = cluster.isolation().await?;
        let missing: Vec<&String> = isolation
            .keys()
            .filter(|place| !stands.contains_key(*place))
            .collect();
        ensure!(missing.is_empty(), "{missing:?}");
        Ok(())
    })
    .await?;
    let declared = cluster
        .list(("tenure.dev", "v1alpha1", "CustomerTenant"), "")
        .await?;
    ensure!(
        declared.is_empty(),
        "nobody brought them back yet: {declared:?}"
    );
    let named = all(&cluster.client()?, ("", "v1", "ConfigMap"));
    eventually(SOON, "the guards know the restore identity", async || {
        let maps = named.list(&ListParams::default()).await?;
        let known = maps
            .iter()
            .any(|map| map.data["data"]["restore-identity"] == RESTORER);
        ensure!(known, "not yet");
        Ok(())
    })
    .await?;
    let records = saved.iter().filter(|(_, object)| {
        object["metadata"]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("tenure-record-"))
    });
    ensure!(
        records.count() == 3,
        "a record for each tenant, and the platform's"
    );

    // Isolation stands, so pods are taken at once.
    let refused = restore(&restorer, saved).await?;
    ensure!(
        !refused.keys().any(
            |place| ["Pod", "Namespace", "CustomerTenant", "NetworkPolicy"]
                .iter()
                .any(|kind| place.starts_with(kind))
        ),
        "{refused:#?}"
    );
    cluster.ready().await?;
    assert_eq!(&cluster.isolation().await?, isolation);
    cluster.nothing_was_destroyed_and_isolation_came_first()?;

    // What is remembered is what was: a restart finds it.
    cluster.stop().await?;
    cluster.start().await?;
    cluster.ready().await?;
    cluster.stop().await
}
