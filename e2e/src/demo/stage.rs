//! Where the demo plays: a plane of its own or somebody's cluster, the release and the operator; and the tidying up.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::Client;
use serde_json::json;

use super::request::{create, delete, items, look, patch, send};
use super::tenants::{examples, path as tenant_path};
use super::{Options, tell};
use crate::access::Access;
use crate::install;
use crate::operator::{Operator, OperatorOptions};
use crate::paths::{WorkDir, repository};
use crate::plane::{Plane, PlaneOptions, break_glass_binding};
use crate::record::Record;
use crate::stack::Stack;
use crate::wait::eventually;

/// How long one thing of an existing cluster may take to go.
const GONE: Duration = Duration::from_secs(120);
const POLICY: &str = "/apis/tenure.dev/v1alpha1/tenancypolicies/default";
const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// What is running, and what the demo has made.
#[derive(Debug)]
pub(super) struct Stage {
    options: Options,
    plane: Option<Plane>,
    access: Option<Access>,
    operator: Option<Operator>,
    tenants: Vec<String>,
    made_binding: bool,
    made_release: bool,
    // Last: the folder goes after the processes that write to it.
    work: Option<WorkDir>,
}

impl Stage {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            plane: None,
            access: None,
            operator: None,
            tenants: Vec::new(),
            made_binding: false,
            made_release: false,
            work: None,
        }
    }

    /// Whether there is a cluster.
    pub(super) fn is_set(&self) -> bool {
        self.access.is_some()
    }

    /// Whether the cluster was there before.
    pub(super) fn is_somebodys(&self) -> bool {
        self.options.kubeconfig.is_some()
    }

    /// The ways in.
    ///
    /// # Errors
    ///
    /// Before there is a cluster.
    pub(super) fn access(&self) -> Result<&Access> {
        self.access.as_ref().context("there is no cluster yet")
    }

    /// Tenants the demo has asked for, in order.
    pub(super) fn tenants(&self) -> &[String] {
        &self.tenants
    }

    /// Remembers to remove a tenant.
    pub(super) fn made_tenant(&mut self, name: &str) {
        self.tenants.push(name.to_owned());
    }

    /// Builds what is missing and starts the plane, or enters the existing cluster.
    pub(super) async fn set(&mut self) -> Result<()> {
        let start = Instant::now();
        let stack = tokio::task::spawn_blocking(|| {
            build_operator()?;
            Stack::ensure()
        })
        .await
        .context("the build thread has died")??;
        tell::done("everything is built", start.elapsed(), "");
        let start = Instant::now();
        let access = match self.options.kubeconfig.clone() {
            Some(file) => self.enter(&file, stack).await?,
            None => self.start_plane().await?,
        };
        tell::done("the API server answers", start.elapsed(), access.url());
        Ok(())
    }

    async fn start_plane(&mut self) -> Result<Access> {
        let plane = Plane::start(PlaneOptions {
            name: "demo".to_owned(),
            keep: self.options.keep,
            // The end of access is a no from each of them.
            second_api_server: true,
            ..PlaneOptions::default()
        })
        .await?;
        let access = plane.access().clone();
        self.access = Some(access.clone());
        self.plane = Some(plane);
        Ok(access)
    }

    /// Enters somebody's cluster, if there is nothing of ours in it: what was there before must not be touched.
    async fn enter(&mut self, file: &Path, stack: Stack) -> Result<Access> {
        let work = WorkDir::new("demo", self.options.keep)?;
        let access = Access::from_kubeconfig(file, work.path(), stack).await?;
        self.work = Some(work);
        let client = access.admin()?;
        let kind = format!("{KINDS}/customertenants.tenure.dev");
        if look(&client, &kind).await?.is_some() {
            bail!("this cluster knows Tenure already; the demo works on clusters without it only");
        }
        for namespace in wanted_namespaces()? {
            if look(&client, &namespace_path(&namespace)).await?.is_some() {
                bail!("this cluster has a namespace {namespace} already; the demo would make it");
            }
        }
        self.access = Some(access.clone());
        let binding = serde_json::to_value(break_glass_binding()?)?;
        match send(&client, &create(BINDINGS, binding)).await {
            Ok(_) => self.made_binding = true,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).context("cannot bind the break-glass group"),
        }
        Ok(access)
    }

    /// Installs the chart with helm and starts the operator with the chart's ServiceAccount.
    pub(super) async fn install(&mut self) -> Result<()> {
        let access = self.access()?.clone();
        let start = Instant::now();
        self.made_release = true;
        install::install(&access).await?;
        let guards = install::guards(&access.admin()?).await?.len();
        let more = format!("{guards} guards refuse");
        tell::done("helm has installed charts/tenure", start.elapsed(), &more);
        self.start_operator().await
    }

    /// Starts the operator with the chart's ServiceAccount.
    pub(super) async fn start_operator(&mut self) -> Result<()> {
        let start = Instant::now();
        let options = OperatorOptions {
            keep: self.options.keep,
            ..OperatorOptions::default()
        };
        self.operator = Some(Operator::start(self.access()?, options).await?);
        let what = "the operator runs, as the chart's ServiceAccount";
        tell::done(what, start.elapsed(), "");
        Ok(())
    }

    /// Hands the operator over to whoever ends it.
    pub(super) fn end_operator(&mut self) -> Option<Operator> {
        self.operator.take()
    }

    /// Where the operator records.
    ///
    /// # Errors
    ///
    /// Before there is a cluster.
    pub(super) fn record(&self) -> Result<Record> {
        Record::of(self.access()?)
    }

    /// The namespaces of the tenants the demo has asked for.
    ///
    /// # Errors
    ///
    /// When the examples cannot be read.
    pub(super) fn namespaces(&self) -> Result<Vec<String>> {
        let mut all = wanted_namespaces()?;
        all.retain(|namespace| {
            ![install::NAMESPACE, install::SESSIONS].contains(&namespace.as_str())
        });
        Ok(all)
    }

    /// Leaves everything running and says how to reach and how to stop it.
    pub(super) fn keep(mut self) -> Result<()> {
        let access = self.access()?.clone();
        let note = access.folder().join("kept");
        let mut pids = fs::read_to_string(&note).unwrap_or_default();
        if let Some(operator) = &self.operator {
            pids = format!("{pids}\n{}", operator.pid());
        }
        fs::write(&note, pids.trim()).context("cannot write `kept`")?;
        let kubeconfig = access.kubeconfig(&crate::Identity::admin())?;
        let pids: Vec<&str> = pids.split_whitespace().collect();
        tell::line("");
        tell::line(&format!("KUBECONFIG={}", kubeconfig.display()));
        tell::line(&format!("to stop it: kill {}", pids.join(" ")));
        let folder = access.folder().display();
        tell::line(&format!("and then:   rm -r {folder}"));
        // Detached processes and kept folders outlive their values.
        self.operator = None;
        Ok(())
    }

    /// Ends everything and removes what the demo has made.
    pub(super) async fn leave(mut self) -> Result<()> {
        let mut outcome = match self.operator.take() {
            Some(operator) => operator.stop().await,
            None => Ok(()),
        };
        match self.plane.take() {
            Some(plane) => outcome = outcome.and(plane.stop()),
            None if self.is_set() => outcome = outcome.and(self.tidy().await),
            None => {}
        }
        match self.work.take() {
            Some(work) => outcome.and(work.remove()),
            None => outcome,
        }
    }

    /// Removes the release from an existing cluster, then only what the demo made, as break-glass.
    async fn tidy(&self) -> Result<()> {
        let access = self.access()?;
        let client = access.break_glass()?;
        if self.made_release {
            install::uninstall(access).await?;
            tell::line("removed the release tenure");
        }
        for tenant in &self.tenants {
            let path = tenant_path(tenant);
            if look(&client, &path).await?.is_some() {
                let free = json!({ "metadata": { "finalizers": null } });
                send(&client, &patch(&path, free)).await?;
                remove(&client, &path).await?;
            }
        }
        for path in super::access::made() {
            remove(&client, &path).await?;
        }
        remove(&client, POLICY).await?;
        if self.made_release {
            for namespace in wanted_namespaces()? {
                remove(&client, &namespace_path(&namespace)).await?;
            }
            for kind in items(&client, KINDS).await? {
                if kind["spec"]["group"] == "tenure.dev" {
                    let name = kind["metadata"]["name"].as_str().unwrap_or_default();
                    remove(&client, &format!("{KINDS}/{name}")).await?;
                }
            }
            remove_events(&client).await?;
        }
        if self.made_binding {
            let binding = format!("{BINDINGS}/harness-break-glass");
            remove(&access.admin()?, &binding).await?;
        }
        Ok(())
    }
}

/// Every namespace the demo makes: the release's two and those of the example tenants.
fn wanted_namespaces() -> Result<Vec<String>> {
    let mut wanted = vec![install::NAMESPACE.to_owned(), install::SESSIONS.to_owned()];
    for (_, tenant) in examples()? {
        let name = tenant["metadata"]["name"].as_str().unwrap_or_default();
        let entries = tenant["spec"]["namespaces"].as_array();
        for entry in entries.into_iter().flatten() {
            let entry = entry["name"].as_str().unwrap_or_default();
            wanted.push(format!("{name}-{entry}"));
        }
    }
    Ok(wanted)
}

/// The API path of a namespace.
pub(super) fn namespace_path(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

/// Deletes what stands at `path`, waits until it is gone, and says so. Guards that are being unloaded may still refuse.
async fn remove(client: &Client, path: &str) -> Result<()> {
    if look(client, path).await?.is_none() {
        return Ok(());
    }
    eventually(GONE, &format!("{path} is gone"), async || {
        let Some(object) = look(client, path).await? else {
            return Ok(());
        };
        if object["metadata"]["deletionTimestamp"].is_null() {
            send(client, &delete(path)).await?;
        }
        ensure!(look(client, path).await?.is_none(), "{}", object["status"]);
        Ok(())
    })
    .await?;
    tell::line(&format!("removed {path}"));
    Ok(())
}

/// The operator's events about cluster-scoped objects stand in `default`.
async fn remove_events(client: &Client) -> Result<()> {
    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
    for event in items(client, EVENTS).await? {
        if event["reportingController"] == "tenure-operator" {
            let name = event["metadata"]["name"].as_str().unwrap_or_default();
            let _ = send(client, &delete(format!("{EVENTS}/{name}"))).await;
        }
    }
    Ok(())
}

/// Builds the operator, unless `TENURE_BIN` names one. With the features of the whole workspace, so that nothing is
/// built twice.
fn build_operator() -> Result<()> {
    if std::env::var_os("TENURE_BIN").is_some() {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "tenure",
            "--bin",
            "kubectl-tenure",
        ])
        .current_dir(repository())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the operator cannot be built");
    Ok(())
}
