//! What packets do: the release on a real node, tenants before and after their policies, the probe pair with and
//! without an enforcer, and what is left when the release goes. One cluster, the stories in order.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod node {
    pub mod stage;
}

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tenure_e2e::eventually;
use tenure_e2e::node::Flow::{Cut, Passes};

use self::node::stage::{SOON, Stage};

/// A control that rests on the network plugin.
const SEPARATION: &str = "dsa-2.6-logical-separation";
/// The chart's smallest interval, in seconds; two of them and the time a pod takes to start.
const INTERVAL: u64 = 60;
const TWO_INTERVALS: Duration = Duration::from_secs(2 * INTERVAL + 30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_a_node() -> Result<()> {
    let mut stage = Stage::set().await?;
    release(&stage).await.context("release")?;
    isolation(&mut stage).await.context("isolation")?;
    probe_pair(&stage).await.context("probe pair")?;
    containment(&stage).await.context("containment")?;
    enforcer_gone(&stage).await.context("enforcer gone")?;
    still_needed(&stage).await.context("still needed")?;
    uninstalled(&stage).await.context("uninstalled")?;
    Ok(())
}

/// The static image runs, the replicas are Ready, nothing of it is refused by its own guards.
async fn release(stage: &Stage) -> Result<()> {
    let deployment = stage
        .kubectl
        .run(&[
            "--namespace=tenure-system",
            "get",
            "deployment",
            "tenure-operator",
            "--output=jsonpath={.status.readyReplicas}/{.spec.replicas}",
        ])
        .await?
        .success()?;
    let (ready, wanted) = deployment.split_once('/').context("two figures")?;
    ensure!(ready == wanted, "{deployment} replicas are Ready");
    Ok(())
}

/// Two customers that could reach each other cannot any more; all that is theirs goes on.
async fn isolation(stage: &mut Stage) -> Result<()> {
    for namespace in ["acme-prod", "acme-data", "globex-prod"] {
        stage.namespace_with_pods(namespace).await?;
    }
    let acme = stage.address("acme-prod", "server").await?;
    let data = stage.address("acme-data", "server").await?;
    for from in ["acme-data", "globex-prod"] {
        stage.flows(from, &acme, Passes).await.context("before")?;
    }
    stage.hold_connection("globex-prod", &acme).await?;

    stage.adopt("acme", &["prod", "data"]).await?;
    stage.adopt("globex", &["prod"]).await?;

    stage.flows("globex-prod", &acme, Cut).await?;
    stage.flows("acme-prod", &data, Passes).await?;
    stage.flows("acme-data", &acme, Passes).await?;
    // What was open stays open: policies are asked when a connection begins.
    ensure!(
        stage.connection_lives("globex-prod").await?,
        "the connection made before the policy was expected to survive it; docs/isolation.md says so"
    );
    let name = "kubernetes.default.svc.cluster.local";
    ensure!(stage.resolves("acme-prod", name).await?, "DNS is cut");
    let server = stage.api_server();
    stage.flow_to("acme-prod", &server.0, server.1, Cut).await?;
    stage.stays_ready("acme-prod", "server").await
}

/// Verdicts rest on packets: Unknown until the pair passed, Compliant from then on.
async fn probe_pair(stage: &Stage) -> Result<()> {
    stage
        .verdict("acme", SEPARATION, "Compliant", TWO_INTERVALS)
        .await?;
    let metrics = stage.metrics().await?;
    for line in [
        r#"tenure_probe_flow_ok{flow="allowed"} 1"#,
        r#"tenure_probe_flow_ok{flow="denied"} 1"#,
    ] {
        ensure!(metrics.contains(line), "no {line}");
    }
    Ok(())
}

/// Where the customer chose it, pods that could still be connected are deleted when a policy tightens.
async fn containment(stage: &Stage) -> Result<()> {
    let acme = stage.address("acme-prod", "server").await?;
    ensure!(stage.connection_lives("globex-prod").await?);
    stage
        .merge("acme", r#"{"spec":{"network":{"onTighten":"DeletePods","ingressFrom":[{"name":"globex","namespace":"globex-prod"}]}}}"#)
        .await?;
    stage
        .merge(
            "globex",
            r#"{"spec":{"network":{"egressTo":[{"name":"acme","namespace":"acme-prod"}]}}}"#,
        )
        .await?;
    stage
        .flows("globex-prod", &acme, Passes)
        .await
        .context("both declared it")?;
    stage
        .merge(
            "acme",
            r#"{"spec":{"network":{"onTighten":"DeletePods","ingressFrom":null}}}"#,
        )
        .await?;
    eventually(SOON, "the old connection is dead", async || {
        ensure!(!stage.connection_lives("globex-prod").await?);
        Ok(())
    })
    .await?;
    stage
        .merge("globex", r#"{"spec":{"network":null}}"#)
        .await?;
    stage.pods("acme-prod").await?;
    let acme = stage.address("acme-prod", "server").await?;
    stage.flows("globex-prod", &acme, Cut).await
}

/// A dead enforcer leaves what it has programmed: only a new pod shows that nobody is there.
async fn enforcer_gone(stage: &Stage) -> Result<()> {
    stage.cluster.stop_enforcer()?;
    let acme = stage.address("acme-prod", "server").await?;
    stage
        .flows("globex-prod", &acme, Cut)
        .await
        .context("old pods stay cut")?;
    stage
        .not_compliant("acme", SEPARATION, TWO_INTERVALS)
        .await?;
    stage.cluster.start_enforcer()?;
    stage
        .verdict("acme", SEPARATION, "Compliant", TWO_INTERVALS)
        .await
}

/// A tenant in the middle of its end would be left behind: the hook refuses, and says which and why.
async fn still_needed(stage: &Stage) -> Result<()> {
    stage.scale(0).await?;
    stage.delete_past_the_guards("globex").await?;
    let why = stage.helm.run(&UNINSTALL).await?.refusal()?;
    let log = stage
        .kubectl
        .run(&[
            "--namespace=tenure-system",
            "logs",
            "job/tenure-uninstall-check",
        ])
        .await?
        .success()?;
    ensure!(
        log.contains("CustomerTenant globex") && log.contains("finalizer"),
        "helm said {why}; the hook said {log}"
    );
    stage.scale(2).await?;
    stage.gone("globex").await
}

const UNINSTALL: [&str; 5] = [
    "uninstall",
    "tenure",
    "--namespace=tenure-system",
    "--wait",
    "--timeout=120s",
];

/// Without the release the tenants stay isolated, and helm says what it leaves.
async fn uninstalled(stage: &Stage) -> Result<()> {
    let said = stage.helm.run(&UNINSTALL).await?.success()?;
    ensure!(said.contains("[CustomResourceDefinition]"), "{said}");
    let acme = stage.address("acme-prod", "server").await?;
    let data = stage.address("acme-data", "server").await?;
    stage.flows("globex-prod", &acme, Cut).await?;
    stage.flows("acme-prod", &data, Passes).await?;
    let kept = stage
        .kubectl
        .run(&[
            "--namespace=acme-prod",
            "get",
            "networkpolicies,resourcequotas",
            "--output=name",
        ])
        .await?
        .success()?;
    ensure!(
        kept.contains("tenure-default-deny") && kept.contains("resourcequota/"),
        "{kept}"
    );
    Ok(())
}
