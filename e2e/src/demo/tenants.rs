//! The chapter `tenants-ready`: the examples are applied, and the customers get their tenants.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::Value;

use super::request::look;
use super::stage::Stage;
use super::tell;
use crate::access::Access;
use crate::identity::Identity;
use crate::paths::repository;
use crate::wait::eventually;

/// How long a tenant may take to become Ready.
const READY: Duration = Duration::from_secs(60);

/// The API path of a CustomerTenant.
pub(super) fn path(tenant: &str) -> String {
    format!("/apis/tenure.dev/v1alpha1/customertenants/{tenant}")
}

/// The files of `examples/customers`, in order, with the names of their tenants.
///
/// # Errors
///
/// When they cannot be read, or one holds something else than a CustomerTenant.
pub(super) fn examples() -> Result<Vec<(PathBuf, Value)>> {
    let folder = repository().join("examples/customers");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
        .into_iter()
        .map(|file| Ok((file.clone(), read(&file)?)))
        .collect()
}

fn read(file: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
}

/// The condition `kind` of an object: its status word, reason and message.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Applies the examples as the administrator, with kubectl, and waits until every tenant is Ready.
pub(super) async fn ready(stage: &mut Stage) -> Result<()> {
    for (_, tenant) in examples()? {
        let name = tenant["metadata"]["name"].as_str();
        stage.made_tenant(name.context("an example has no name")?);
    }
    apply(stage.access()?).await
}

/// As [`ready`], on any cluster.
pub(super) async fn apply(access: &Access) -> Result<()> {
    let kubectl = access.kubectl(&Identity::admin())?;
    let client = access.admin()?;
    let start = Instant::now();
    let policy = repository().join("examples/tenancypolicy.yaml");
    let apply = async |file: &Path| {
        let file = file.to_str().context("a path is not valid UTF-8")?;
        let args = ["apply", "--server-side", "--filename", file];
        kubectl.run(&args).await?.success()
    };
    apply(&policy).await?;
    tell::done("TenancyPolicy default applied", start.elapsed(), "");
    for (file, tenant) in examples()? {
        let name = tenant["metadata"]["name"].as_str();
        let name = name.context("an example has no name")?;
        apply(&file).await?;
        let applied = Instant::now();
        let object = until_ready(&client, name).await?;
        let namespaces = namespaces(&object);
        ensure!(!namespaces.is_empty(), "tenant {name} has no namespaces");
        tell::done(
            &format!("CustomerTenant {name} is Ready"),
            applied.elapsed(),
            &namespaces.join(", "),
        );
    }
    Ok(())
}

/// The namespaces that a CustomerTenant's status names.
pub(super) fn namespaces(tenant: &Value) -> Vec<String> {
    let namespaces = tenant["status"]["namespaces"].as_array();
    namespaces
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["namespace"].as_str().map(str::to_owned))
        .collect()
}

async fn until_ready(client: &Client, name: &str) -> Result<Value> {
    eventually(READY, &format!("tenant {name} is Ready"), async || {
        let tenant = look(client, &path(name))
            .await?
            .context("it does not exist")?;
        let ready = condition(&tenant, "Ready").context("it has no condition Ready")?;
        ensure!(ready["status"] == "True", "{ready}");
        ensure!(
            tenant["status"]["observedGeneration"] == tenant["metadata"]["generation"],
            "its status speaks of an older spec"
        );
        Ok(tenant)
    })
    .await
}
