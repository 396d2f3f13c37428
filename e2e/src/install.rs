//! The chart on a cluster: installed by the real helm, and awaited until it bites.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::Request;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::access::Access;
use crate::identity::Identity;
use crate::operator::SERVICE_ACCOUNT;
use crate::paths::repository;
use crate::record::Record;
use crate::wait::eventually;

/// The release's name.
pub const RELEASE: &str = "tenure";
/// The usual namespace of the release, and that of [`install`].
pub const NAMESPACE: &str = "tenure-system";
/// Where the accounts of sessions are.
pub const SESSIONS: &str = "tenure-system-sessions";
/// What the chart's default values call the operator's image.
pub const IMAGE: &str = "localhost/tenure:0.1.0";

/// How long the API server may take to load every guard.
const LOADED: Duration = Duration::from_secs(60);

/// Installs `charts/tenure` into [`NAMESPACE`] (or brings it back to its own values) and waits until every guard
/// answers.
///
/// Done as break-glass: where guards stand already, they refuse anybody else what an upgrade writes.
///
/// # Errors
///
/// With helm's words when it refuses, or with the guard that does not answer within a minute.
pub async fn install(access: &Access) -> Result<()> {
    let chart = repository().join("charts/tenure");
    let chart = chart
        .to_str()
        .context("the chart's path is not valid UTF-8")?;
    access
        .helm(&Identity::break_glass())?
        .run(&[
            "upgrade",
            "--install",
            RELEASE,
            chart,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--reset-values",
        ])
        .await?
        .success()?;
    guards_loaded(access).await
}

/// What the operator's pods need before they start: their namespace, a volume for the record in a folder of the node, and the key
/// that signs it.
///
/// # Errors
///
/// When one of them cannot be made.
pub async fn prepare_record(access: &Access) -> Result<()> {
    let record = Record::of(access)?;
    // The operator's user in its pod.
    for folder in [record.folder(), record.second_place()] {
        std::os::unix::fs::chown(folder, Some(65532), Some(65532))?;
    }
    let text = |path: PathBuf| -> Result<String> { Ok(std::fs::read_to_string(path)?) };
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenure-record-key", "namespace": NAMESPACE},
            "stringData": {"signing.pem": text(record.key())?, "keys.json": text(record.keys())?}
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "tenure-record"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
                "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": record.folder()}
            }
        }),
    ];
    let kubectl = access.kubectl(&Identity::break_glass())?;
    for object in objects {
        let args = ["apply", "--server-side", "--filename=-"];
        kubectl
            .run_with(&args, &object.to_string())
            .await?
            .success()?;
    }
    Ok(())
}

/// Removes the release, without asking its hook, which needs a node to run on. The kinds, the tenants and the operator's memory stay, as the chart says.
///
/// # Errors
///
/// With helm's words when it refuses.
pub async fn uninstall(access: &Access) -> Result<()> {
    access
        .helm(&Identity::break_glass())?
        .run(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks"])
        .await?
        .success()
        .map(drop)
}

/// The guards of the release, without their prefix `tenure-`, sorted.
///
/// # Errors
///
/// When they cannot be listed.
pub async fn guards(client: &Client) -> Result<Vec<String>> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=tenure");
    let mut names: Vec<String> = policies
        .list(&ours)
        .await
        .context("cannot list the guards")?
        .iter()
        .map(|policy| policy.name_any().trim_start_matches("tenure-").to_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Waits until the API server has loaded every guard: an object of a policy refuses nothing before that.
///
/// # Errors
///
/// When there is none, or one does not answer within a minute.
pub async fn guards_loaded(access: &Access) -> Result<()> {
    let client = access.admin()?;
    let guards = guards(&client).await?;
    if guards.is_empty() {
        bail!("the release has no guards");
    }
    // Asked as the operator asks: one guard speaks of the operator's requests alone.
    let session = access.service_account(NAMESPACE, SERVICE_ACCOUNT).await?;
    let operator = session.client()?;
    for guard in &guards {
        eventually(LOADED, &format!("the guard {guard} answers"), async || {
            answers(&operator, guard).await
        })
        .await?;
    }
    // The mutating one has no answer of its own: what it stamps, the guard of status insists on.
    eventually(LOADED, "changes are stamped with who asked", async || {
        stamped(&client).await
    })
    .await
}

/// Asks one guard for its proof of life: the name is reserved, and refused by that guard alone.
async fn answers(client: &Client, guard: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/tenure-guard-probe-{guard}/proxy");
    let request = Request::get(path).body(Vec::new())?;
    match client.request_text(request).await {
        Err(kube::Error::Api(status))
            if status
                .message
                .contains(&format!("ValidatingAdmissionPolicy 'tenure-{guard}'")) =>
        {
            Ok(())
        }
        Err(error) => Err(error).context("something else answered"),
        Ok(_) => bail!("the request was let through"),
    }
}

/// Applies a TenancyPolicy without keeping it.
async fn stamped(client: &Client) -> Result<()> {
    let policy = json!({
        "apiVersion": "tenure.dev/v1alpha1",
        "kind": "TenancyPolicy",
        "metadata": { "name": "default" },
        "spec": {},
    });
    let path = "/apis/tenure.dev/v1alpha1/tenancypolicies/default?dryRun=All&force=true&fieldManager=harness";
    let request = Request::patch(path)
        .header("content-type", "application/apply-patch+yaml")
        .body(policy.to_string().into_bytes())?;
    client.request_text(request).await?;
    Ok(())
}
