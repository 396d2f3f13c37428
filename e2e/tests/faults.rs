//! An API server that answers badly: every kind of request fails again and again with 429, 500, 504
//! and, for watches, 410. The operator runs with the chart's own ServiceAccount through a client
//! layer that makes these answers; behind it stands a real API server.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::body::{Bytes, HttpBody};
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tenure_e2e::{Plane, eventually};
use tenure_operator::run::operator_with;
use tenure_operator::settings::{LogFormat, Settings};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

/// Every how many requests one fails.
const EVERY: usize = 4;

#[derive(Clone, Default)]
struct Faults {
    seen: Arc<AtomicUsize>,
    given: Arc<AtomicUsize>,
}

impl Faults {
    /// The answer given instead of the API server's, for every fourth request.
    fn next(&self, request: &Request<Body>) -> Option<StatusCode> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        // Probes of guards say by their denial that a guard lives; failing them is another test's.
        if number % EVERY != EVERY - 1 || request.uri().path().contains("tenure-guard-probe") {
            return None;
        }
        let given = self.given.fetch_add(1, Ordering::SeqCst);
        let is_watch = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        Some(if is_watch {
            StatusCode::GONE
        } else {
            [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::INTERNAL_SERVER_ERROR,
                StatusCode::GATEWAY_TIMEOUT,
            ][given % 3]
        })
    }
}

#[derive(Clone)]
struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Faulty {
            inner,
            faults: self.clone(),
        }
    }
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<axum::body::Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<axum::body::Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(code) = self.faults.next(&request) else {
            let answer = self.inner.call(request);
            return async move { Ok(answer.await?.map(axum::body::Body::new)) }.boxed();
        };
        let reason = if code == StatusCode::GONE {
            "Expired"
        } else {
            "Injected"
        };
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "injected", "reason": reason, "code": code.as_u16()});
        let response = Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(status.to_string()));
        async move { Ok(response?) }.boxed()
    }
}

fn tenant(name: &str, id: &str) -> CustomerTenant {
    serde_json::from_value(json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
        "spec": {
            "tenantID": id, "customer": {"name": "Example"}, "classification": "Internal",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}, {"name": "test"}]
        }
    }))
    .unwrap()
}

async fn is_ready(client: &Client, name: &str) -> Result<()> {
    let tenants: Api<CustomerTenant> = Api::all(client.clone());
    let status = tenants
        .get_status(name)
        .await?
        .status
        .context("no status yet")?;
    let ready = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ensure!(ready, "{:?}", status.conditions);
    Ok(())
}

async fn policies(client: &Client, namespace: &str) -> Result<BTreeSet<String>> {
    let api: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
    Ok(api
        .list(&Default::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_badly_answering_api_server_delays_and_loses_nothing() -> Result<()> {
    let plane = Plane::shared().await?;
    tenure_e2e::install::install(plane.access()).await?;
    let session = plane
        .service_account("tenure-system", "tenure-operator")
        .await?;
    let faults = Faults::default();
    let config = Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::read_from(session.kubeconfig()?)?,
        &Default::default(),
    )
    .await?;
    let connect = {
        let (config, faults) = (config.clone(), faults.clone());
        move || {
            let client = ClientBuilder::try_from(config.clone())?;
            Ok(client.with_layer(&faults).build())
        }
    };
    let record = tenure_e2e::Record::of(plane.access())?;
    let settings = Settings {
        record: record.folder().display().to_string(),
        record_key: record.key(),
        record_keys: Some(record.keys()),
        record_s3: Default::default(),
        record_s3_lock: None,
        record_s3_lock_days: None,
        record_second_place: None,
        record_second_place_s3: Default::default(),
        record_second_place_s3_lock: None,
        record_second_place_s3_lock_days: None,
        record_accept_loss: false,
        ended_grants_kept: jiff::SignedDuration::from_hours(24),
        state_folder: None,
        probe_interval_seconds: 300,
        namespace: "tenure-system".into(),
        sessions_namespace: None,
        service_account: "tenure-operator".into(),
        listen: ([127, 0, 0, 1], 0).into(),
        images: vec![tenure_e2e::install::IMAGE.into()],
        log_format: LogFormat::Text,
        interval_seconds: 5,
        instance: None,
    };
    let stop = CancellationToken::new();
    // Starting may fail while memory cannot be read; the platform would start the pod again.
    let operator = {
        let stop = stop.clone();
        tokio::spawn(async move {
            while let Err(error) =
                operator_with(&connect, config.clone(), settings.clone(), stop.clone()).await
            {
                eprintln!("operator started again: {error:#}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    };

    let admin = plane.admin()?;
    let policy: TenancyPolicy = serde_json::from_value(
        json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
    )?;
    Api::all(admin.clone())
        .create(&PostParams::default(), &policy)
        .await?;
    let tenants: Api<CustomerTenant> = Api::all(admin.clone());
    let names = ["storm-a", "storm-b", "storm-c"];
    for (index, name) in names.iter().enumerate() {
        let id = format!("55555555-5555-4555-8555-55555555555{index}");
        tenants
            .create(&PostParams::default(), &tenant(name, &id))
            .await?;
    }
    let wanted: BTreeSet<String> = ["tenure-default-deny", "tenure-dns", "tenure-same-tenant"]
        .map(String::from)
        .into();
    for name in names {
        eventually(
            Duration::from_secs(90),
            &format!("{name} is Ready under faults"),
            async || is_ready(&admin, name).await,
        )
        .await?;
        for namespace in ["prod", "test"] {
            assert_eq!(
                policies(&admin, &format!("{name}-{namespace}")).await?,
                wanted
            );
        }
    }

    // A change goes through, and what is repaired is repaired, under the same faults.
    let change =
        json!({"spec": {"network": {"ingressFrom": [{"name": "tools", "namespace": "tools"}]}}});
    tenants
        .patch("storm-a", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    let broken: Api<NetworkPolicy> = Api::namespaced(plane.break_glass()?, "storm-b-prod");
    broken
        .delete("tenure-default-deny", &DeleteParams::default())
        .await?;
    eventually(
        Duration::from_secs(60),
        "the change stands and the deletion is repaired",
        async || {
            ensure!(
                policies(&admin, "storm-a-prod")
                    .await?
                    .contains("tenure-declared-ingress")
            );
            ensure!(policies(&admin, "storm-b-prod").await? == wanted);
            Ok(())
        },
    )
    .await?;
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    assert!(
        namespaces
            .get("storm-c-prod")
            .await?
            .annotations()
            .contains_key("tenure.dev/ready"),
        "the others are untouched"
    );
    let given = faults.given.load(Ordering::SeqCst);
    assert!(
        given > 20,
        "only {given} faults were given: the test has shown nothing"
    );
    stop.cancel();
    operator.await?;
    Ok(())
}
