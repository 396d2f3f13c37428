//! The chapter `delete-refused`: a tenant that has held something does not go by a deletion.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::attacks::target;
use super::request::{create, delete, look, refusal, send};
use super::stage::{Stage, namespace_path};
use super::tell;
use super::tenants::{condition, path};
use crate::wait::eventually;

/// How long the operator may take to see the pod.
const SEEN: Duration = Duration::from_secs(20);

/// Uses the tenant, then tries to delete it and its namespace.
pub(super) async fn refused(stage: &mut Stage) -> Result<()> {
    let target = target(stage)?;
    let client = stage.access()?.admin()?;
    let pod = json!({ "metadata": { "name": "demo" }, "spec": {
        // Nothing starts it: it is enough that it exists.
        "nodeSelector": { "kubernetes.io/hostname": "no-such-node" },
        "automountServiceAccountToken": false,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "demo", "image": "localhost/demo:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] } });
    let start = Instant::now();
    send(
        &client,
        &create(format!("{}/pods", namespace_path(target)), pod),
    )
    .await
    .context("a pod that keeps to the rules was refused")?;
    tell::done(
        "a pod that keeps to the rules is admitted",
        start.elapsed(),
        "",
    );
    let start = Instant::now();
    eventually(SEEN, "the tenant counts as used", async || {
        let tenant = look(&client, &path("logistics"))
            .await?
            .context("it does not exist")?;
        let unused = condition(&tenant, "NeverUsed").context("it has no condition NeverUsed")?;
        ensure!(unused["status"] == "False", "{unused}");
        Ok(())
    })
    .await?;
    tell::done("the tenant counts as used", start.elapsed(), "");
    for (what, path) in [
        ("delete the CustomerTenant", path("logistics")),
        ("delete its namespace", namespace_path(target)),
    ] {
        let start = Instant::now();
        let said = refusal(&client, &delete(path))
            .await
            .with_context(|| what.to_owned())?;
        let more = format!("{}: {}", said.control, said.message);
        tell::done(what, start.elapsed(), &more);
    }
    Ok(())
}
