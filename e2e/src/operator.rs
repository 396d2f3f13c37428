//! The operator as a process of its own, with nothing but the chart's ServiceAccount to its name.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tenure_crds::keys;

use crate::access::Access;
use crate::eventually;
use crate::install::{IMAGE, NAMESPACE};
use crate::paths::target;
use crate::plane::{Plane, free_port, http_get};
use crate::process::{Process, Recipe, Signal, until_ready};
use crate::record::Record;

/// The ServiceAccount of the chart.
pub const SERVICE_ACCOUNT: &str = "tenure-operator";
/// How long the operator may take to fill its caches and prove its guards (a busy machine included).
const READY: Duration = Duration::from_secs(90);
/// Within this a leader has renewed its Lease and a standby looked at it, on a busy machine, too.
const LEASE: Duration = Duration::from_secs(30);
/// How long it may take to end when told to.
const STOPPED: Duration = Duration::from_secs(20);

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// The namespace of the release.
    pub namespace: String,
    /// Seconds between full evaluation passes; the operator takes 5 to 600.
    pub interval_seconds: u64,
    /// Images that may run in its namespace, as the release names them: the guards' text depends on it.
    pub images: Vec<String>,
    /// Where it reaches the API server, if not directly (a proxy that makes faults, say): `https://host:port`.
    pub url: Option<String>,
    /// The pod it believes to be: one that was killed and comes again under the same name leads at once.
    pub instance: String,
    /// Where it records, if not beside the plane.
    pub record: Option<Record>,
    /// Further environment variables (those of a clock that can be set, say).
    pub env: Vec<(String, OsString)>,
    /// Leave it running when this process ends.
    pub keep: bool,
    /// The binary, if not that of [`binary`].
    pub program: Option<PathBuf>,
}

impl Default for OperatorOptions {
    fn default() -> Self {
        Self {
            namespace: NAMESPACE.to_owned(),
            interval_seconds: 5,
            images: vec![IMAGE.to_owned()],
            url: None,
            instance: "tenure-operator-0".to_owned(),
            record: None,
            env: Vec::new(),
            keep: false,
            program: None,
        }
    }
}

/// A running operator. It ends with this value and with this process, unless kept.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    port: u16,
    credential: String,
}

impl Operator {
    /// Starts the built binary with a fresh token of the chart's ServiceAccount and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When the binary is missing, the ServiceAccount does not exist (is the chart installed?), or the operator ends or
    /// does not become ready (with the end of its log).
    pub async fn start(access: &Access, options: OperatorOptions) -> Result<Self> {
        let operator = Self::start_unready(access, options).await?;
        operator.ready().await?;
        Ok(operator)
    }

    /// As [`Operator::start`], without waiting until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Operator::start`], but for readiness.
    pub async fn start_unready(access: &Access, options: OperatorOptions) -> Result<Self> {
        let program = options.program.map_or_else(binary, Ok)?;
        let session = access
            .service_account(&options.namespace, SERVICE_ACCOUNT)
            .await?;
        let kubeconfig = access.kubeconfig_with_token(session.token(), options.url.as_deref())?;
        let port = free_port()?;
        let record = options.record.map_or_else(|| Record::of(access), Ok)?;
        let args = [
            "operator".to_owned(),
            format!("--namespace={}", options.namespace),
            format!("--service-account={SERVICE_ACCOUNT}"),
            format!("--listen=127.0.0.1:{port}"),
            format!("--images={}", options.images.join(",")),
            format!("--interval-seconds={}", options.interval_seconds),
            "--log-format=text".to_owned(),
        ];
        let process = Process::start(Recipe {
            name: "operator".to_owned(),
            program,
            args: args.into_iter().map(OsString::from).collect(),
            env: [
                ("KUBECONFIG".to_owned(), kubeconfig.into_os_string()),
                ("NO_COLOR".to_owned(), OsString::from("1")),
                ("POD_NAME".to_owned(), options.instance.clone().into()),
            ]
            .into_iter()
            .chain(record.env(&options.instance)?)
            .chain(options.env)
            .collect(),
            log: access.folder().join(format!("{}.log", options.instance)),
            detached: options.keep,
        })?;
        Ok(Self {
            process,
            port,
            credential: session.credential()?,
        })
    }

    /// Waits until it leads and has begun its work.
    ///
    /// # Errors
    ///
    /// When it ends first or does not lead in time, with the end of its log.
    pub async fn ready(&self) -> Result<()> {
        self.says("leading").await
    }

    /// Waits until it stands by: Ready, and another one leads.
    ///
    /// # Errors
    ///
    /// When it ends first or is not there in time, with the end of its log.
    pub async fn stands_by(&self) -> Result<()> {
        self.says("standing by").await
    }

    /// Waits until it is Ready: it leads, or stands by.
    ///
    /// # Errors
    ///
    /// As [`Operator::ready`].
    pub async fn is_up(&self) -> Result<()> {
        self.says("ok").await
    }

    async fn says(&self, what: &str) -> Result<()> {
        until_ready(&self.process, READY, async || {
            let said = self.get("/readyz").await?;
            ensure!(said.contains(what), "it says {said:?}, not {what:?}");
            Ok(())
        })
        .await
    }

    /// How an audit log names its token: two operators share their user.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// Waits for its end, however it comes.
    ///
    /// # Errors
    ///
    /// When it still runs after `limit`.
    pub fn ended(&self, limit: Duration) -> Result<std::process::ExitStatus> {
        self.process.wait(limit)
    }

    /// Asks it to end (SIGTERM), as Kubernetes does, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it ended badly, or had to be killed after twenty seconds.
    pub async fn stop(&self) -> Result<()> {
        // A stopped process would not hear it.
        self.resume();
        self.process.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOPPED {
            match self.process.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the operator ended with {status}"),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.kill()?;
        bail!("the operator did not end within {STOPPED:?} and was killed")
    }

    /// Kills it in its tracks (SIGKILL).
    ///
    /// # Errors
    ///
    /// When it is not gone after ten seconds.
    pub fn kill(&self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Freezes it (SIGSTOP): it neither sees nor does anything, and its connections stay.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    ///
    /// When it does not answer with 200.
    pub async fn metrics(&self) -> Result<String> {
        self.get("/metrics").await
    }

    /// The file with its log; a later operator of the same plane adds to it.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The port at which it answers on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Fails with the end of the log when it has ended by itself.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }

    async fn get(&self, path: &str) -> Result<String> {
        let answer = http_get(self.port, path).await?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .with_context(|| format!("the operator answers {answer:?}"))?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{path} answers {:?}", head.lines().next().unwrap_or(""));
        }
        Ok(body.to_owned())
    }
}

/// Waits until the leader has renewed its Lease from now on.
///
/// # Errors
///
/// When it does not.
pub async fn lease_is_renewed(plane: &Plane) -> Result<()> {
    let now = Timestamp::now();
    let leases: Api<Lease> = Api::namespaced(plane.admin()?, NAMESPACE);
    eventually(LEASE, "the Lease is renewed", async || {
        let spec = leases.get(keys::LEADER_LEASE).await?.spec;
        let renewed = spec.and_then(|spec| spec.renew_time).context("no Lease")?;
        ensure!(renewed.0 > now, "{renewed:?}");
        Ok(())
    })
    .await
}

/// Waits until the leader has renewed its Lease from now on and each of these, the leader or not, has seen it since: a store that then goes
/// back to before this moment is noticed by the Lease's version.
///
/// # Errors
///
/// When it is not renewed, or one of them does not look at it.
pub async fn lease_is_seen(plane: &Plane, by: &[Operator]) -> Result<()> {
    lease_is_renewed(plane).await?;
    let mark = plane.audit().mark().await?;
    for operator in by {
        eventually(LEASE, "it has seen the Lease", async || {
            let requests = plane.audit().since(mark)?;
            let looks = requests.iter().filter(|request| {
                request.is_by(operator.credential())
                    && request.uri.ends_with(keys::LEADER_LEASE)
                    && request.code() == 200
            });
            // The first may have begun before.
            ensure!(looks.count() > 1, "{} requests", requests.len());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The operator's binary: `TENURE_BIN`, else the debug build in the target directory.
///
/// # Errors
///
/// When there is none, with the command that makes it.
pub fn binary() -> Result<PathBuf> {
    let path =
        env::var_os("TENURE_BIN").map_or_else(|| target().join("debug/tenure"), PathBuf::from);
    if !path.exists() {
        bail!(
            "the operator is not built ({} is missing): cargo build --workspace",
            path.display()
        );
    }
    Ok(path)
}
