//! What must go on working under the guards: the control plane's own controllers.

use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tenure_e2e::eventually;

use super::ask::{Ask, apply, connect, passes, really_create, really_delete, really_patch, send};
use super::workloads::template;
use super::world::{Tenant, World, world};

const LONG: Duration = Duration::from_secs(60);

fn get(path: impl Into<String>) -> Ask {
    connect("GET", path)
}

/// Waits for the account that pods run as by default.
pub(crate) async fn default_account(client: &Client, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    eventually(LONG, "the default ServiceAccount exists", async || {
        Ok(send(client, &get(path.clone())).await?)
    })
    .await
    .unwrap();
}

async fn managed_quota(world: &World, tenant: &Tenant) {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": tenant.marks("tenure"), "spec": { "hard": { "pods": "9" } } });
    passes(
        &world.operator().await,
        apply(
            format!("{}/tenure", tenant.core("resourcequotas")),
            "tenure",
            quota,
        ),
    )
    .await;
}

async fn items(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let list = send(client, &get(path)).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_deployment_gets_its_pods_and_the_quota_counts_them() {
    let world = world().await;
    let tenant = world.tenant("deploys").await;
    let admin = world.admin();
    managed_quota(&world, &tenant).await;
    default_account(&admin, &tenant.prod()).await;
    let labels = json!({ "app": "web" });
    let deployment = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 2, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": template() } } });
    let argo = world.machine("argocd", "controller");
    passes(
        &argo,
        really_create(tenant.path("apps/v1", "deployments"), deployment),
    )
    .await;
    let mut once = template();
    once["restartPolicy"] = json!("Never");
    let job = json!({ "metadata": { "name": "once" }, "spec": { "template": { "spec": once } } });
    passes(&argo, really_create(tenant.path("batch/v1", "jobs"), job)).await;
    eventually(LONG, "three pods exist", async || {
        let pods = items(&admin, &tenant.core("pods")).await?;
        anyhow::ensure!(pods.len() == 3, "{} pods", pods.len());
        Ok(())
    })
    .await
    .unwrap();
    eventually(LONG, "the quota counts them", async || {
        let quota = send(
            &admin,
            &get(format!("{}/tenure", tenant.core("resourcequotas"))),
        )
        .await?;
        anyhow::ensure!(
            quota["status"]["used"]["pods"] == "3",
            "{}",
            quota["status"]
        );
        Ok(())
    })
    .await
    .unwrap();
    passes(
        &argo,
        really_delete(format!(
            "{}/web?propagationPolicy=Foreground",
            tenant.path("apps/v1", "deployments")
        )),
    )
    .await;
    eventually(LONG, "garbage collection takes the pods", async || {
        let pods = items(
            &admin,
            &format!("{}?labelSelector=app%3Dweb", tenant.core("pods")),
        )
        .await?;
        anyhow::ensure!(pods.is_empty(), "{} pods", pods.len());
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stateful_set_gets_its_pods_and_claims() {
    let world = world().await;
    let tenant = world.tenant("stateful").await;
    let admin = world.admin();
    default_account(&admin, &tenant.prod()).await;
    let labels = json!({ "app": "db" });
    let claim = json!({ "metadata": { "name": "data" }, "spec": { "storageClassName": "stateful-sealed",
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let set = json!({ "metadata": { "name": "db" }, "spec": { "serviceName": "db", "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": template() }, "volumeClaimTemplates": [claim] } });
    let argo = world.machine("argocd", "controller");
    passes(
        &argo,
        really_create(tenant.path("apps/v1", "statefulsets"), set),
    )
    .await;
    eventually(LONG, "pod and claim exist", async || {
        send(&admin, &get(format!("{}/db-0", tenant.core("pods")))).await?;
        send(
            &admin,
            &get(format!(
                "{}/data-db-0",
                tenant.core("persistentvolumeclaims")
            )),
        )
        .await?;
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_static_volume_is_bound_by_the_binder() {
    let world = world().await;
    let tenant = world.tenant("static").await;
    let admin = world.admin();
    let volume = json!({ "metadata": { "name": "static-volume" }, "spec": { "capacity": { "storage": "1Gi" },
        "accessModes": ["ReadWriteOnce"], "csi": { "driver": "x.example.org", "volumeHandle": "h" }, "storageClassName": "static-sealed" } });
    passes(&admin, really_create("/api/v1/persistentvolumes", volume)).await;
    let claim = json!({ "metadata": { "name": "data" }, "spec": { "storageClassName": "static-sealed",
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let path = tenant.core("persistentvolumeclaims");
    passes(&admin, really_create(&path, claim)).await;
    eventually(LONG, "the claim is bound", async || {
        let claim = send(&admin, &get(format!("{path}/data"))).await?;
        anyhow::ensure!(claim["status"]["phase"] == "Bound", "{}", claim["status"]);
        Ok(())
    })
    .await
    .unwrap();
    passes(&admin, really_delete(format!("{path}/data"))).await;
    eventually(LONG, "the volume is released or gone", async || {
        let volume = send(&admin, &get("/api/v1/persistentvolumes/static-volume")).await?;
        anyhow::ensure!(
            volume["status"]["phase"] == "Released",
            "{}",
            volume["status"]
        );
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_tenants_namespace_goes_whole_once_the_operator_said_why() {
    let world = world().await;
    let tenant = world.tenant("going").await;
    let (admin, operator) = (world.admin(), world.operator().await);
    default_account(&admin, &tenant.prod()).await;
    managed_quota(&world, &tenant).await;
    let policy = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": tenant.marks("tenure-default"),
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } });
    let policies = tenant.path("networking.k8s.io/v1", "networkpolicies");
    passes(
        &operator,
        apply(format!("{policies}/tenure-default"), "tenure", policy),
    )
    .await;
    let range = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": tenant.marks("tenure"),
        "spec": { "limits": [{ "type": "Container", "max": { "cpu": "2" } }] } });
    passes(
        &operator,
        apply(
            format!("{}/tenure", tenant.core("limitranges")),
            "tenure",
            range,
        ),
    )
    .await;
    let bindings = tenant.path("rbac.authorization.k8s.io/v1", "rolebindings");
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": tenant.marks("tenure-deployer"),
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenure-tenant-deployer" },
        "subjects": [{ "kind": "ServiceAccount", "name": "controller", "namespace": "argocd" }] });
    passes(
        &operator,
        apply(format!("{bindings}/tenure-deployer"), "tenure", binding),
    )
    .await;
    passes(
        &admin,
        really_create(
            tenant.core("configmaps"),
            json!({ "metadata": { "name": "theirs" } }),
        ),
    )
    .await;

    let path = format!("/api/v1/namespaces/{}", tenant.prod());
    passes(
        &operator,
        really_patch(
            &path,
            json!({ "metadata": { "annotations": { "tenure.dev/step": "NeverUsed" } } }),
        ),
    )
    .await;
    passes(&operator, really_delete(&path)).await;
    eventually(LONG, "the namespace is gone", async || {
        match send(&admin, &get(&path)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await
    .unwrap();
}
