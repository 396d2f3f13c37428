//! A real Prometheus and a real Alertmanager (Debian's), watching a plane and its operators with the chart's own rules.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Access, install_tls};
use crate::identity::Identity;
use crate::paths::repository;
use crate::plane::free_port;
use crate::process::{Process, Recipe, until_ready};
use crate::wait::eventually;

/// How long each may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// The chart's rule file.
pub const RULES: &str = "charts/tenure/files/alerts/tenure.rules.yaml";
/// The chart's inhibition file.
pub const INHIBITION: &str = "charts/tenure/files/alerts/inhibition.yaml";

/// An alert as Alertmanager holds it.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub labels: std::collections::BTreeMap<String, String>,
    /// What it says.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// By what others know it.
    pub fingerprint: String,
    /// Whether it notifies.
    pub status: Status,
}

/// Whether an alert notifies.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// `active` or `suppressed`.
    pub state: String,
    /// Fingerprints of the alerts that silence it.
    #[serde(rename = "inhibitedBy")]
    pub inhibited_by: Vec<String>,
}

impl Alert {
    /// Its name.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// Prometheus and Alertmanager. They end with this value.
pub struct Monitoring {
    prometheus: Client,
    alertmanager: Client,
    targets: PathBuf,
    _processes: [Process; 2],
}

impl Monitoring {
    /// Starts both. Nothing is scraped until [`Monitoring::scrape`].
    ///
    /// # Errors
    ///
    /// When one is not installed or does not become ready.
    pub async fn start(access: &Access) -> Result<Self> {
        install_tls();
        let folder = access.folder().join("monitoring");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let (port, alert_port) = (free_port()?, free_port()?);
        let alert_process = alertmanager(&folder, alert_port)?;
        let targets = folder.join("targets.json");
        fs::write(&targets, "[]")?;
        configure(access, &folder, &targets, alert_port)?;
        let process = prometheus(&folder, port)?;
        let monitoring = Self {
            prometheus: client(port)?,
            alertmanager: client(alert_port)?,
            targets,
            _processes: [process, alert_process],
        };
        let [process, alert_process] = &monitoring._processes;
        until_ready(alert_process, READY, async || {
            ask(&monitoring.alertmanager, "/-/ready").await.map(drop)
        })
        .await?;
        until_ready(process, READY, async || {
            ask(&monitoring.prometheus, "/-/ready").await.map(drop)
        })
        .await?;
        Ok(monitoring)
    }

    /// From now on scrapes operators at these ports, and the API server, if it has an address (`host:port`).
    ///
    /// # Errors
    ///
    /// When the list of targets cannot be written.
    pub fn scrape(&self, operators: &[u16], api_servers: &[SocketAddr]) -> Result<()> {
        let address = |port: &u16| format!("127.0.0.1:{port}");
        let operators: Vec<String> = operators.iter().map(address).collect();
        let api_servers: Vec<String> = api_servers.iter().map(ToString::to_string).collect();
        let list = json!([
            {"targets": operators, "labels": {"job": "tenure-operator", "namespace": "tenure-system"}},
            {"targets": api_servers, "labels": {"job": "apiserver", "__scheme__": "https"}},
        ]);
        // Renamed into place: a half-written list would be an error.
        let new = self.targets.with_extension("new");
        fs::write(&new, list.to_string())?;
        fs::rename(&new, &self.targets).context("cannot replace the list of targets")
    }

    /// The alerts Alertmanager holds now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let text = ask(&self.alertmanager, "/api/v2/alerts").await?;
        serde_json::from_str(&text).context("Alertmanager answers something else")
    }

    /// Waits until an alert with this name and these labels has this state, and returns it.
    ///
    /// # Errors
    ///
    /// When it has not within `limit`, with the alerts there are.
    pub async fn until(
        &self,
        limit: Duration,
        name: &str,
        labels: &[(&str, &str)],
        state: &str,
    ) -> Result<Alert> {
        eventually(
            limit,
            &format!("{name} {labels:?} is {state}"),
            async || {
                let alerts = self.alerts().await?;
                let found = alerts
                    .iter()
                    .find(|alert| is(alert, name, labels) && alert.status.state == state);
                found
                    .cloned()
                    .with_context(|| format!("there are {}", told(&alerts)))
            },
        )
        .await
    }

    /// Waits until there is no alert with this name and these labels.
    ///
    /// # Errors
    ///
    /// When there still is one after `limit`.
    pub async fn until_gone(
        &self,
        limit: Duration,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<()> {
        eventually(
            limit,
            &format!("{name} {labels:?} is resolved"),
            async || {
                let alerts = self.alerts().await?;
                let found = alerts.iter().any(|alert| is(alert, name, labels));
                ensure!(!found, "there are {}", told(&alerts));
                Ok(())
            },
        )
        .await
    }

    /// What a query gives now.
    ///
    /// # Errors
    ///
    /// When Prometheus does not understand it.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.api(&format!("/api/v1/query?query={query}")).await?;
        let result = answer["result"].as_array().cloned();
        result.with_context(|| format!("no vector: {answer}"))
    }

    /// Every name of a metric that was ever scraped.
    ///
    /// # Errors
    ///
    /// When Prometheus does not answer.
    pub async fn metric_names(&self) -> Result<Vec<String>> {
        let answer = self.api("/api/v1/label/__name__/values").await?;
        Ok(serde_json::from_value(answer)?)
    }

    async fn api(&self, path: &str) -> Result<Value> {
        let answer: Value = serde_json::from_str(&ask(&self.prometheus, path).await?)?;
        ensure!(answer["status"] == "success", "{answer}");
        Ok(answer["data"].clone())
    }
}

fn is(alert: &Alert, name: &str, labels: &[(&str, &str)]) -> bool {
    let has = |(key, value): &(&str, &str)| alert.labels.get(*key).is_some_and(|is| is == value);
    alert.name() == name && labels.iter().all(has)
}

fn told(alerts: &[Alert]) -> String {
    let all = alerts
        .iter()
        .map(|alert| format!("{:?} {}", alert.labels, alert.status.state));
    all.collect::<Vec<_>>().join("; ")
}

/// The chart's rules with every waiting time cut to a second. The expressions, and the thresholds in them, are untouched:
/// how long an alert waits is tried with promtool's clock, not with this machine's.
///
/// # Errors
///
/// When the file cannot be read.
pub fn hurried_rules() -> Result<String> {
    let path = repository().join(RULES);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let hurried = text.lines().map(|line| match line.trim_start() {
        wait if wait.starts_with("for: ") || wait.starts_with("keep_firing_for: ") => {
            let (head, _) = line.split_once(':').unwrap_or((line, ""));
            format!("{head}: 1s\n")
        }
        _ => format!("{line}\n"),
    });
    Ok(hurried.collect())
}

fn configure(access: &Access, folder: &Path, targets: &Path, alert_port: u16) -> Result<()> {
    fs::write(folder.join("tenure.rules.yaml"), hurried_rules()?)?;
    // As whoever watches a cluster: this group may read metrics, and nothing else.
    let watcher = Identity::user("prometheus").group("system:monitoring");
    let kubeconfig: Value = serde_json::from_slice(&fs::read(access.kubeconfig(&watcher)?)?)?;
    let user = &kubeconfig["users"][0]["user"];
    let tls = json!({
        "ca_file": kubeconfig["clusters"][0]["cluster"]["certificate-authority"],
        "cert_file": user["client-certificate"],
        "key_file": user["client-key"],
    });
    let configuration = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["tenure.rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [format!("127.0.0.1:{alert_port}")]}]}]},
        "scrape_configs": [{
            "job_name": "tenure",
            "tls_config": tls,
            "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}],
        }],
    });
    fs::write(folder.join("prometheus.yaml"), configuration.to_string())
        .context("cannot write Prometheus's configuration")
}

fn prometheus(folder: &Path, port: u16) -> Result<Process> {
    run(
        folder,
        "prometheus",
        &[
            format!("--config.file={}", folder.join("prometheus.yaml").display()),
            format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            // What it has to say before it has found Alertmanager is lost; said again after a minute, if not told otherwise.
            "--rules.alert.resend-delay=5s".to_owned(),
        ],
    )
}

/// The shipped file is used as it is: appended to a configuration that has none of its own.
fn alertmanager(folder: &Path, port: u16) -> Result<Process> {
    let path = repository().join(INHIBITION);
    let inhibition =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let configuration = folder.join("alertmanager.yaml");
    let own = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    fs::write(&configuration, format!("{own}{inhibition}"))?;
    run(
        folder,
        "prometheus-alertmanager",
        &[
            format!("--config.file={}", configuration.display()),
            format!(
                "--storage.path={}",
                folder.join("alertmanager-data").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ],
    )
}

fn run(folder: &Path, program: &str, args: &[String]) -> Result<Process> {
    let path = Path::new("/usr/bin").join(program);
    if !path.exists() {
        bail!("{program} is not installed: it is Debian's package of that name");
    }
    Process::start(Recipe {
        name: program.to_owned(),
        program: path,
        args: args.iter().map(OsString::from).collect(),
        env: Vec::new(),
        log: folder.join(format!("{program}.log")),
        detached: false,
    })
}

fn client(port: u16) -> Result<Client> {
    let url = format!("http://127.0.0.1:{port}").parse()?;
    Client::try_from(Config::new(url)).context("cannot build a client")
}

async fn ask(client: &Client, path: &str) -> Result<String> {
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(client.request_text(request).await?)
}
