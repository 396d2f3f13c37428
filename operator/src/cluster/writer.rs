//! Writes to the API server. Nothing else in the operator does.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::PartialObjectMeta;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenure_crds::{AccessGrant, AccessReview, CustomerTenant, keys};
use thiserror::Error;

use super::Kind;
use super::diff::{self, Difference};

/// How long a pod whose open sessions and connections are to end may take, in seconds: what Kubernetes gives one that asks for nothing.
const LONGEST_GRACE: u32 = 30;

/// Pods that are hurried at once.
const AT_ONCE: usize = 8;

/// Why a write did not happen.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The API server refused or could not be reached.
    #[error("{verb} {kind} {name}: {source}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// `namespace/name` of the object.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// Our own object could not be read as JSON; a bug.
    #[error("{kind} {name} is no valid object: {source}")]
    Encoding {
        /// Kind of the object.
        kind: &'static str,
        /// `namespace/name` of the object.
        name: String,
        /// What was wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl WriteError {
    /// Whether the object changed under our hands: look again and retry at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 409))
    }

    /// Whether the API server answered, and did not do it.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Api { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if (400..500).contains(&status.code))
            }
            Self::Encoding { .. } => true,
        }
    }
}

/// What a live object needs to be as it should.
#[derive(Debug)]
pub enum Needed {
    /// Nothing.
    Nothing,
    /// It is missing.
    Creation,
    /// It differs.
    Mending(Vec<Difference>),
}

impl Needed {
    /// What `live` needs to be as `desired`.
    pub fn between(desired: &Value, live: Option<&Value>) -> Self {
        let Some(live) = live else {
            return Self::Creation;
        };
        let differences = diff::differences(desired, live);
        if differences.is_empty() {
            Self::Nothing
        } else {
            Self::Mending(differences)
        }
    }
}

/// The one hand that writes managed objects.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

impl Writer {
    /// A writer that speaks through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes the live object, which is there or not and differs, equal to `desired`; answers what the API server made of it.
    ///
    /// A missing object is created, and the API server refuses where one stands after all: nothing is
    /// overwritten that was not looked at. One that differs is replaced under its resourceVersion:
    /// apply cannot remove what others added, and an added selector or rule is exactly what must go.
    pub async fn converge(
        &self,
        kind: Kind,
        desired: &Value,
        live: Option<&Value>,
    ) -> Result<Value, WriteError> {
        let Some(live) = live else {
            return self.create(kind, desired).await;
        };
        if kind == Kind::RoleBinding && live["roleRef"] != desired["roleRef"] {
            // The API server lets nobody change a roleRef: the binding must go and come again.
            self.delete(kind, live).await?;
            return self.create(kind, desired).await;
        }
        self.replace(kind, &diff::mended(desired, live)).await
    }

    /// Deletes exactly the object that was looked at: uid and resourceVersion must still match.
    /// One that is gone already counts as deleted.
    pub async fn delete(&self, kind: Kind, live: &Value) -> Result<(), WriteError> {
        let (api, name) = self.api(kind, live);
        let of = |field: &str| live["metadata"][field].as_str().map(Into::into);
        delete_exactly(
            &api,
            &name,
            of("uid"),
            of("resourceVersion"),
            DeleteParams::default(),
        )
        .await
        .map_err(|source| api_error("delete", kind, live, source))
    }

    /// Whether a namespace holds a pod or a claim right now; asked, not cached.
    pub async fn holds_live(&self, namespace: &str) -> Result<bool, kube::Error> {
        let one = ListParams::default().limit(1);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        Ok(!pods.list_metadata(&one).await?.items.is_empty()
            || !claims.list_metadata(&one).await?.items.is_empty())
    }

    /// Whether there is a CustomerTenant of that name. Asked, not cached.
    pub async fn is_declared(&self, name: &str) -> Result<bool, kube::Error> {
        let tenants: Api<CustomerTenant> = Api::all(self.client.clone());
        Ok(tenants.get_metadata_opt(name).await?.is_some())
    }

    /// The generation of the CustomerTenant of that name, where there is one. Asked, not cached.
    pub async fn generation(&self, name: &str) -> Result<Option<i64>, kube::Error> {
        let tenants: Api<CustomerTenant> = Api::all(self.client.clone());
        let found = tenants.get_metadata_opt(name).await?;
        Ok(found.and_then(|tenant| tenant.metadata.generation))
    }

    /// The uid of the AccessGrant of that name, where there is one, whether it can be read or not. Asked, not cached.
    pub async fn grant_uid(&self, name: &str) -> Result<Option<String>, kube::Error> {
        let grants: Api<AccessGrant> = Api::all(self.client.clone());
        let found = grants.get_metadata_opt(name).await?;
        Ok(found.and_then(|grant| grant.metadata.uid))
    }

    /// Whether the definition of CustomerTenant is going or gone: then its objects are deleted because
    /// of it, and nobody meant any of them. Asked, not cached.
    pub async fn definition_is_going(&self) -> Result<bool, kube::Error> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let name = format!("customertenants.{}", keys::GROUP);
        let found = definitions.get_metadata_opt(&name).await?;
        Ok(found.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some()))
    }

    /// The policies and bindings of this release's guards, each with its uid and generation. Asked, not cached.
    pub async fn guards(&self) -> Result<BTreeMap<(String, String), (String, i64)>, kube::Error> {
        let lists = futures::try_join!(
            self.made_of::<ValidatingAdmissionPolicy>(),
            self.made_of::<ValidatingAdmissionPolicyBinding>(),
            self.made_of::<MutatingAdmissionPolicy>(),
            self.made_of::<MutatingAdmissionPolicyBinding>(),
        )?;
        let (one, two, three, four) = lists;
        Ok([one, two, three, four].into_iter().flatten().collect())
    }

    async fn made_of<K>(&self) -> Result<Vec<((String, String), (String, i64))>, kube::Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let ours = ListParams::default().labels("app.kubernetes.io/part-of=tenure");
        let found = api.list_metadata(&ours).await?;
        let of = |object: &PartialObjectMeta<K>| {
            let place = (K::kind(&()).into_owned(), object.name_any());
            let generation = object.metadata.generation.unwrap_or_default();
            (place, (object.uid().unwrap_or_default(), generation))
        };
        Ok(found.iter().map(of).collect())
    }

    /// What Pod Security would say about the pods of a namespace at a level: a server dry run of
    /// the label, whose warnings name the pods and why.
    pub async fn would_refuse(
        &self,
        namespace: &str,
        level: &str,
    ) -> Result<Vec<String>, kube::Error> {
        let change =
            serde_json::json!({"metadata": {"labels": {keys::POD_SECURITY_ENFORCE: level}}});
        let path = format!(
            "/api/v1/namespaces/{namespace}?dryRun=All&fieldManager={}",
            keys::FIELD_MANAGER
        );
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(kube::client::Body::from(change.to_string().into_bytes()))
            .map_err(kube::Error::HttpError)?;
        let response = self.client.send(request).await?;
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|value| value.to_str().ok());
        Ok(warnings
            .map(warning_text)
            .filter(|warning| !warning.starts_with("existing pods in namespace"))
            .collect())
    }

    /// Replaces the status of one of our own kinds, under the resourceVersion it was computed from.
    pub async fn write_status<K>(&self, object: &K) -> Result<K, kube::Error>
    where
        K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.replace_status(&object.name_any(), &post(), object)
            .await
    }

    /// Makes an AccessReview that is not there.
    pub async fn open_review(&self, review: &AccessReview) -> Result<AccessReview, kube::Error> {
        let api: Api<AccessReview> = Api::all(self.client.clone());
        api.create(&post(), review).await
    }

    /// Takes away exactly the object of one of our own kinds that was looked at; one that is gone already is no error.
    pub async fn take_away<K>(&self, object: &K) -> Result<(), kube::Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let (uid, version) = (object.uid(), object.resource_version());
        delete_exactly(
            &api,
            &object.name_any(),
            uid,
            version,
            DeleteParams::default(),
        )
        .await
    }

    /// Sets our finalizer on a CustomerTenant, or takes it off, under the resourceVersion looked at.
    pub async fn set_finalizer(
        &self,
        tenant: &CustomerTenant,
        present: bool,
    ) -> Result<CustomerTenant, kube::Error> {
        let mut finalizers = tenant.finalizers().to_vec();
        finalizers.retain(|finalizer| finalizer != keys::FINALIZER);
        if present {
            finalizers.push(keys::FINALIZER.into());
        }
        let change = serde_json::json!({"metadata": {
            "uid": tenant.uid(), "resourceVersion": tenant.resource_version(), "finalizers": finalizers
        }});
        let api: Api<CustomerTenant> = Api::all(self.client.clone());
        api.patch(
            &tenant.name_any(),
            &PatchParams {
                field_manager: Some(keys::FIELD_MANAGER.into()),
                ..PatchParams::default()
            },
            &Patch::Merge(&change),
        )
        .await
    }

    /// Writes the guards' parameters: the whole `data`, which nobody else owns.
    pub async fn write_parameters(
        &self,
        namespace: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<(), kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let live = api.get(keys::GUARD_PARAMETERS).await?;
        let next = ConfigMap {
            data: Some(data.clone()),
            ..live
        };
        api.replace(keys::GUARD_PARAMETERS, &post(), &next)
            .await
            .map(|_| ())
    }

    /// Deletes the pods of a namespace: what is open in them survives a new policy and the end of a binding, pods do not. Those that
    /// may take long to end are hurried after that.
    pub async fn delete_pods(&self, namespace: &str) -> Result<(), kube::Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .map(|_| ())
    }

    /// Lets no pod of a namespace that was deleted take longer than [`LONGEST_GRACE`] to end, whatever it asks for: all that time what is open
    /// in it would stay open. Deletes none that was not. One that changes meanwhile is an error: look again.
    pub async fn hurry_pods(&self, namespace: &str) -> Result<(), kube::Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut pods = api.list_metadata(&ListParams::default()).await?.items;
        pods.retain(|pod| {
            let grace = pod.metadata.deletion_grace_period_seconds;
            grace.is_some_and(|grace| grace > i64::from(LONGEST_GRACE))
        });
        let sooner = DeleteParams::default().grace_period(LONGEST_GRACE);
        let hurried = pods.into_iter().map(|pod| {
            let (api, sooner) = (&api, sooner.clone());
            async move {
                let (name, uid) = (pod.name_any(), pod.uid());
                delete_exactly(api, &name, uid, pod.resource_version(), sooner).await
            }
        });
        let hurried: Vec<_> = stream::iter(hurried)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        hurried.into_iter().collect()
    }

    /// Renews (or makes) the Lease that says when the last full evaluation pass ended.
    pub async fn renew_freshness(
        &self,
        namespace: &str,
        holder: &str,
        now: Timestamp,
        interval_seconds: i32,
    ) -> Result<(), kube::Error> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(keys::FRESHNESS_LEASE.into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                renew_time: Some(MicroTime(now)),
                lease_duration_seconds: Some(interval_seconds),
                ..LeaseSpec::default()
            }),
        };
        self.write_lease(namespace, &lease).await
    }

    /// Writes a Lease of ours that says when something was last seen.
    pub async fn write_lease(&self, namespace: &str, lease: &Lease) -> Result<(), kube::Error> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply(keys::FIELD_MANAGER).force();
        api.patch(&lease.name_any(), &params, &Patch::Apply(lease))
            .await
            .map(|_| ())
    }

    async fn create(&self, kind: Kind, desired: &Value) -> Result<Value, WriteError> {
        let (api, _) = self.api(kind, desired);
        let created = api.create(&post(), &decode(kind, desired)?).await;
        encode(
            kind,
            desired,
            created.map_err(|source| api_error("create", kind, desired, source))?,
        )
    }

    async fn replace(&self, kind: Kind, object: &Value) -> Result<Value, WriteError> {
        let (api, name) = self.api(kind, object);
        let replaced = api.replace(&name, &post(), &decode(kind, object)?).await;
        encode(
            kind,
            object,
            replaced.map_err(|source| api_error("replace", kind, object, source))?,
        )
    }

    fn api(&self, kind: Kind, object: &Value) -> (Api<DynamicObject>, String) {
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let api = match object["metadata"]["namespace"].as_str() {
            Some(namespace) if kind.is_namespaced() => {
                Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
            }
            _ => Api::all_with(self.client.clone(), &kind.resource()),
        };
        (api, name)
    }
}

/// Every create and replacement carries our field manager: one of the marks of what is ours.
fn post() -> PostParams {
    PostParams {
        dry_run: false,
        field_manager: Some(keys::FIELD_MANAGER.into()),
    }
}

fn label(object: &Value) -> String {
    let part = |key: &str| {
        object["metadata"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    match part("namespace") {
        namespace if namespace.is_empty() => part("name"),
        namespace => format!("{namespace}/{}", part("name")),
    }
}

/// Deletes exactly the object that was looked at: uid and resourceVersion must still match. One that is gone already is no error.
async fn delete_exactly<K>(
    api: &Api<K>,
    name: &str,
    uid: Option<String>,
    version: Option<String>,
    how: DeleteParams,
) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: version,
        }),
        ..how
    };
    match api.delete(name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

fn api_error(verb: &'static str, kind: Kind, object: &Value, source: kube::Error) -> WriteError {
    WriteError::Api {
        verb,
        kind: kind.as_str(),
        name: label(object),
        source: Box::new(source),
    }
}

fn decode(kind: Kind, object: &Value) -> Result<DynamicObject, WriteError> {
    serde_json::from_value(object.clone()).map_err(|source| WriteError::Encoding {
        kind: kind.as_str(),
        name: label(object),
        source,
    })
}

fn encode(kind: Kind, object: &Value, answer: DynamicObject) -> Result<Value, WriteError> {
    serde_json::to_value(answer).map_err(|source| WriteError::Encoding {
        kind: kind.as_str(),
        name: label(object),
        source,
    })
}

/// The text of a `Warning` header: `299 - "text"`.
fn warning_text(header: &str) -> String {
    let text = header.splitn(3, ' ').nth(2).unwrap_or(header);
    text.trim_matches('"').replace("\\\"", "\"")
}
