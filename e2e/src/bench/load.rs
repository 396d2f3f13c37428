//! What is put on the plane: tenants, their pods, and plain copies of what the operator made.

use std::future::Future;

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};
use tenure_crds::CustomerTenant;
use uuid::Uuid;

/// Requests in flight at once, here as in the operator.
pub const WIDTH: usize = 8;

/// A tenant to be declared.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// The CustomerTenant's name.
    pub name: String,
    /// Its namespaces, without the tenant's prefix.
    pub namespaces: Vec<&'static str>,
    /// With members, deployers and peers: about 15 objects in one namespace. Without: the minimum.
    pub furnished: bool,
    number: usize,
    id: Uuid,
}

impl Declaration {
    /// A furnished tenant with one namespace.
    pub fn new(prefix: &str, number: usize) -> Self {
        Self {
            name: format!("{prefix}-{number:04}"),
            namespaces: vec!["prod"],
            furnished: true,
            number,
            id: Uuid::new_v4(),
        }
    }

    /// A tenant with the least that can be declared, and these namespaces.
    pub fn minimal(prefix: &str, number: usize, namespaces: Vec<&'static str>) -> Self {
        Self {
            namespaces,
            furnished: false,
            ..Self::new(prefix, number)
        }
    }

    /// The full names of its namespaces.
    pub fn places(&self) -> Vec<String> {
        let names = self.namespaces.iter();
        names
            .map(|namespace| format!("{}-{namespace}", self.name))
            .collect()
    }

    /// Creates its CustomerTenant.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn declare(&self, client: &Client) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(client.clone());
        let object = serde_json::from_value(self.object())?;
        let created = tenants.create(&PostParams::default(), &object).await;
        created
            .map(drop)
            .with_context(|| format!("cannot declare {}", self.name))
    }

    fn object(&self) -> Value {
        let mut spec = json!({
            "tenantID": self.id,
            "customer": {"name": self.name, "reference": format!("C-{}", self.number)},
            "classification": "Confidential",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": self.namespaces.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        });
        if self.furnished {
            spec["owner"] = json!({"name": "Customer team", "email": "team@provider.example"});
            spec["members"] = json!([
                {"name": "operations", "kind": "Group", "subject": format!("{}-ops", self.name), "role": "Viewer"},
                {"name": "support", "kind": "Group", "subject": format!("{}-support", self.name), "role": "Viewer"},
                {"name": "audit", "kind": "Group", "subject": format!("{}-audit", self.name), "role": "Viewer"},
            ]);
            spec["deployers"] = json!([
                {"name": "flux", "namespace": "flux-system", "serviceAccount": self.name},
                {"name": "pipeline", "namespace": "pipelines", "serviceAccount": self.name},
            ]);
            spec["network"] = json!({
                "ingressFrom": [{"name": "edge", "namespace": "edge"}],
                "egressTo": [{"name": "mail", "cidr": "192.0.2.25/32", "ports": [{"port": 587}]}],
            });
        }
        json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant",
            "metadata": {"name": self.name}, "spec": spec,
        })
    }
}

/// Runs `work` for each item, at most `width` at once; the first error ends it.
///
/// # Errors
///
/// The first error of `work`.
pub async fn in_parallel<T, W>(width: usize, items: &[T], work: impl Fn(&T) -> W) -> Result<()>
where
    W: Future<Output = Result<()>>,
{
    let all: Vec<W> = items.iter().map(work).collect();
    stream::iter(all)
        .buffer_unordered(width)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// Creates these CustomerTenants.
///
/// # Errors
///
/// When the API server refuses.
pub async fn declare(client: &Client, tenants: &[Declaration]) -> Result<()> {
    in_parallel(WIDTH, tenants, |tenant| {
        let (tenant, client) = (tenant.clone(), client.clone());
        async move { tenant.declare(&client).await }
    })
    .await
}

/// Makes `each` pods in each of these namespaces. No node will ever run them.
///
/// # Errors
///
/// When the API server refuses.
pub async fn make_pods(client: &Client, namespaces: &[String], each: usize) -> Result<()> {
    in_parallel(WIDTH, namespaces, |namespace| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            let pods: Api<Pod> = Api::namespaced(client, &namespace);
            for number in 0..each {
                let pod = serde_json::from_value(pod(number))?;
                pods.create(&PostParams::default(), &pod)
                    .await
                    .with_context(|| format!("cannot make a pod in {namespace}"))?;
            }
            Ok(())
        }
    })
    .await
}

/// A pod of one of five workloads, as a Deployment would make it.
fn pod(number: usize) -> Value {
    let workload = number % 5;
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("workload-{workload}-{number}"),
            "labels": {"app.kubernetes.io/name": format!("workload-{workload}"), "pod-template-hash": "5d9f7c6b8d"},
        },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": "example/app:1",
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// An object as a plain client would create it.
#[derive(Debug, Clone)]
pub struct Plain {
    resource: ApiResource,
    object: DynamicObject,
}

impl Plain {
    /// The object without what only a server knows.
    pub fn of(resource: &ApiResource, mut object: DynamicObject) -> Self {
        let metadata = &mut object.metadata;
        metadata.managed_fields = None;
        metadata.resource_version = None;
        metadata.uid = None;
        metadata.creation_timestamp = None;
        metadata.generation = None;
        if let Some(data) = object.data.as_object_mut() {
            data.remove("status");
        }
        Self {
            resource: resource.clone(),
            object,
        }
    }

    /// Creates it.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn create(&self, client: &Client) -> Result<()> {
        let api: Api<DynamicObject> = match &self.object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        };
        let created = api.create(&PostParams::default(), &self.object).await;
        created.map(drop).with_context(|| {
            format!(
                "a plain client cannot create {} {:?}",
                self.resource.kind, self.object.metadata.name
            )
        })
    }
}
