//! A real control plane of one's own: etcd, kube-apiserver (one or two) and kube-controller-manager.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::access::{Access, install_tls};
use crate::addresses::Addresses;
use crate::audit::AuditLog;
use crate::command::run;
use crate::identity::{BREAK_GLASS, Identity};
use crate::node::machine::program;
use crate::oidc::Issuer;
use crate::paths::WorkDir;
use crate::pki::{FRONT_PROXY, Pki};
use crate::process::{Process, Recipe, Signal, until_ready};
use crate::stack::{Stack, Tool};
use crate::wait::eventually;

/// How long one component may take to become ready (cold file caches and a busy machine included).
const READY: Duration = Duration::from_secs(120);

/// How a plane is started.
#[derive(Debug, Clone)]
pub struct PlaneOptions {
    /// Part of the folder's name.
    pub name: String,
    /// Leave it running when this process ends.
    pub keep: bool,
    /// Further flags for the API server (`--feature-gates=...`).
    pub api_server_flags: Vec<String>,
    /// Whether a second API server stands on the same etcd. Both then answer where the cluster says they are, at an address
    /// and under a host name of their own.
    pub second_api_server: bool,
    /// Whether persons can sign in with an identity provider of the harness ([`Plane::issuer`]).
    pub issuer: bool,
    /// The address under which a node reaches the API server (its port is forwarded there).
    pub address: Option<Ipv4Addr>,
}

impl Default for PlaneOptions {
    fn default() -> Self {
        Self {
            name: "plane".to_owned(),
            keep: false,
            api_server_flags: Vec::new(),
            second_api_server: false,
            issuer: false,
            address: None,
        }
    }
}

/// How a store is made from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// As it was: revisions go back, and what watches from a later one hears nothing.
    AsItWas,
    /// As Kubernetes recommends: revisions go on far above any that was given out, and earlier ones count as compacted,
    /// so that every watch is told to list again.
    Bumped,
}

/// One of a plane's API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    First,
    Second,
}

impl Server {
    fn audit_log(self) -> &'static str {
        match self {
            Self::First => "audit.log",
            Self::Second => "audit-2.log",
        }
    }
}

/// A running control plane. Its components and its folder disappear with this value, and with this process.
///
/// It derefs to [`Access`]: clients, kubeconfig files, helm and kubectl.
#[derive(Debug)]
pub struct Plane {
    access: Access,
    options: PlaneOptions,
    ports: Ports,
    pki: Arc<Pki>,
    stack: Stack,
    etcd: Mutex<Option<Process>>,
    api_server: Mutex<Option<Process>>,
    second: Mutex<Option<Process>>,
    controllers: Mutex<Option<Process>>,
    issuer: Option<Issuer>,
    /// Where two API servers answer, both at the same port; a single one answers on loopback.
    addresses: Option<Addresses>,
    // Last: the folder goes after the processes that write to it.
    work: WorkDir,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    api_server: u16,
}

impl Plane {
    /// Starts a plane and waits until it serves, its controllers work and the break-glass binding exists.
    ///
    /// Builds the binaries first if need be (minutes on a cold machine).
    ///
    /// # Errors
    ///
    /// When a binary cannot be built, or a component does not become ready (with the end of its log).
    pub async fn start(options: PlaneOptions) -> Result<Self> {
        install_tls();
        let ensure = match options.address {
            Some(_) => Stack::ensure_with_node,
            None => Stack::ensure,
        };
        let stack = tokio::task::spawn_blocking(ensure)
            .await
            .context("the build thread has died")??;
        let work = WorkDir::new(&options.name, options.keep)?;
        let addresses = options
            .second_api_server
            .then(|| Addresses::take(work.path(), options.keep))
            .transpose()?;
        let named: Vec<Ipv4Addr> = addresses
            .iter()
            .flat_map(|addresses| [addresses.first(), addresses.second()])
            .chain(options.address)
            .collect();
        let pki = Arc::new(Pki::new(&work.path().join("pki"), &named)?);
        let issuer = options.issuer.then(|| Issuer::start(&pki)).transpose()?;
        let ports = Ports {
            etcd: free_port()?,
            etcd_peer: free_port()?,
            api_server: free_port()?,
        };
        let ip = addresses
            .as_ref()
            .map_or(Ipv4Addr::LOCALHOST, Addresses::first);
        let url = format!("https://{ip}:{}", ports.api_server);
        let access = Access::to_plane(
            url,
            Arc::clone(&pki),
            work.path().to_path_buf(),
            stack.clone(),
        );
        let plane = Self {
            access,
            options,
            ports,
            pki,
            stack,
            etcd: Mutex::new(None),
            api_server: Mutex::new(None),
            second: Mutex::new(None),
            controllers: Mutex::new(None),
            issuer,
            addresses,
            work,
        };
        plane.write_configuration()?;
        plane.start_etcd().await?;
        plane.start_api_server().await?;
        if plane.options.second_api_server {
            plane.start_second_api_server().await?;
        }
        plane.start_controller_manager().await?;
        plane.bind_break_glass().await?;
        if plane.options.keep {
            plane.mark_kept()?;
        }
        Ok(plane)
    }

    /// The plane that all tests of one test binary share; the first caller starts it.
    ///
    /// Every `#[tokio::test]` has a runtime of its own, and clients belong to a runtime: the plane therefore holds
    /// none, and each call of [`Access::client`] makes a fresh one.
    ///
    /// # Errors
    ///
    /// When it could not be started; the same error for every caller.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Plane, String>> = OnceLock::new();
        let started = tokio::task::spawn_blocking(|| SHARED.get_or_init(start_on_own_thread))
            .await
            .context("the thread that starts the plane has died")?;
        started.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The ways in. The plane derefs to it, too.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The port at which the API server answers: on 127.0.0.1, unless there are two.
    pub fn port(&self) -> u16 {
        self.ports.api_server
    }

    /// What the API server has recorded.
    pub fn audit(&self) -> AuditLog {
        let files = self
            .each()
            .map(|server| self.work.path().join(server.audit_log()));
        AuditLog::new(files.collect())
    }

    /// Where its API servers answer.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.each().map(|server| self.address(server)).collect()
    }

    /// The ways in through each of its API servers, in the order of [`Plane::addresses`].
    pub fn servers(&self) -> Vec<Access> {
        let ways = self.each().map(|server| match server {
            Server::First => self.access.clone(),
            Server::Second => self.second(),
        });
        ways.collect()
    }

    /// The identity provider that its API servers believe.
    ///
    /// # Errors
    ///
    /// When the plane was started without one.
    pub fn issuer(&self) -> Result<&Issuer> {
        self.issuer
            .as_ref()
            .context("this plane has no identity provider: start it with `issuer: true`")
    }

    /// Another identity provider, which no API server believes.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn strange_issuer(&self) -> Result<Issuer> {
        Issuer::start(&self.pki)
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    fn each(&self) -> impl Iterator<Item = Server> {
        let second = self.options.second_api_server.then_some(Server::Second);
        std::iter::once(Server::First).chain(second)
    }

    fn address(&self, server: Server) -> SocketAddr {
        let ip = match (&self.addresses, server) {
            (None, _) => Ipv4Addr::LOCALHOST,
            (Some(addresses), Server::First) => addresses.first(),
            (Some(addresses), Server::Second) => addresses.second(),
        };
        (ip, self.ports.api_server).into()
    }

    /// The folder with the logs of all components.
    pub fn folder(&self) -> &Path {
        self.work.path()
    }

    /// Kills the API server (SIGKILL). Its port and data stay; nothing else is told.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop_api_server(&self) -> Result<()> {
        end(&self.api_server)
    }

    /// Starts the API server (again), on the same port and data, and waits for `/readyz`.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub async fn start_api_server(&self) -> Result<()> {
        let process = self.run(Tool::KubeApiserver, self.api_server_flags(Server::First))?;
        let client = self.access.admin()?;
        until_ready(&process, READY, async || readyz(&client).await).await?;
        put(&self.api_server, process);
        Ok(())
    }

    /// The ways in through the second API server.
    pub fn second(&self) -> Access {
        let url = format!("https://{}", self.address(Server::Second));
        let folder = self.work.path().join("second");
        Access::to_plane(url, Arc::clone(&self.pki), folder, self.stack.clone())
    }

    /// Kills the second API server (SIGKILL).
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop_second_api_server(&self) -> Result<()> {
        end(&self.second)
    }

    /// Starts the second API server (again) and waits for `/readyz`.
    ///
    /// # Errors
    ///
    /// When it does not become ready. It needs root: its host name is its identity, so it gets a UTS namespace.
    pub async fn start_second_api_server(&self) -> Result<()> {
        let api_server = self.stack.path(Tool::KubeApiserver).display().to_string();
        let named = r#"hostname "$1" && shift && exec "$@""#;
        let mut args = [
            "--uts",
            "sh",
            "-c",
            named,
            "sh",
            "api-server-2",
            &api_server,
        ]
        .map(String::from)
        .to_vec();
        args.extend(self.api_server_flags(Server::Second));
        let process = self.start_program("api-server-2", program("unshare")?, args)?;
        let client = self.second().admin()?;
        until_ready(&process, READY, async || readyz(&client).await).await?;
        put(&self.second, process);
        Ok(())
    }

    /// Kills etcd (SIGKILL): what it had acknowledged is on the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop_etcd(&self) -> Result<()> {
        end(&self.etcd)
    }

    /// A cold snapshot of the store: etcd is told to end, its database copied, and etcd started again.
    ///
    /// # Errors
    ///
    /// When etcd does not end or start, or the file cannot be copied.
    pub async fn snapshot(&self) -> Result<PathBuf> {
        let etcd = self
            .etcd
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let etcd = etcd.context("etcd does not run")?;
        etcd.signal(Signal::TERM);
        etcd.wait(Duration::from_secs(20))?;
        let snapshot = self.work.path().join("snapshot.db");
        fs::copy(self.work.path().join("etcd/member/snap/db"), &snapshot)
            .context("cannot copy etcd's database")?;
        self.start_etcd().await?;
        Ok(snapshot)
    }

    /// Restores the store from a snapshot, as Kubernetes says: everything is stopped, and started on the restored data.
    ///
    /// # Errors
    ///
    /// When etcdutl refuses, or a component does not stop or start.
    pub async fn restore(&self, snapshot: &Path, how: Restore) -> Result<()> {
        self.stop_controller_manager()?;
        self.stop_second_api_server()?;
        self.stop_api_server()?;
        self.stop_etcd()?;
        let data = self.work.path().join("etcd");
        fs::remove_dir_all(&data).context("cannot remove etcd's data")?;
        let mut restore = Command::new(self.stack.path(Tool::Etcdutl));
        restore
            .args(["snapshot", "restore", "--skip-hash-check"])
            .arg(snapshot)
            .arg(flag("data-dir", &data))
            .args(self.member());
        if how == Restore::Bumped {
            restore.args(["--bump-revision=1000000000", "--mark-compacted"]);
        }
        run(restore, "etcdutl snapshot restore".to_owned(), None)
            .await?
            .success()?;
        self.start_etcd().await?;
        self.start_api_server().await?;
        if self.options.second_api_server {
            self.start_second_api_server().await?;
        }
        self.start_controller_manager().await
    }

    /// Kills the API server and starts it again.
    ///
    /// # Errors
    ///
    /// As [`Plane::start_api_server`].
    pub async fn restart_api_server(&self) -> Result<()> {
        self.stop_api_server()?;
        self.start_api_server().await
    }

    /// Stops the API server in its tracks (SIGSTOP): connections hang instead of breaking.
    pub fn pause_api_server(&self) {
        signal(&self.api_server, Signal::STOP);
    }

    /// Lets a paused API server go on.
    pub fn resume_api_server(&self) {
        signal(&self.api_server, Signal::CONT);
    }

    /// Kills the controller manager: namespaces no longer finish deleting, garbage stays.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop_controller_manager(&self) -> Result<()> {
        end(&self.controllers)
    }

    /// Starts the controller manager (again) and waits until it works: a new namespace gets its ServiceAccount.
    ///
    /// # Errors
    ///
    /// When it does not start working.
    pub async fn start_controller_manager(&self) -> Result<()> {
        let process = self.run(
            Tool::KubeControllerManager,
            self.controller_manager_flags()?,
        )?;
        let client = self.access.admin()?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        // On a restart the account is there already, and removing it shows that somebody makes it again.
        let _ = accounts.delete("default", &DeleteParams::default()).await;
        until_ready(&process, READY, async || {
            accounts.get("default").await?;
            Ok(())
        })
        .await?;
        put(&self.controllers, process);
        Ok(())
    }

    /// Makes a namespace as the administrator and waits for its default ServiceAccount.
    ///
    /// # Errors
    ///
    /// When it is refused, or the account does not come within 20 seconds.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let client = self.access.admin()?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot make the namespace {name}"))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, name);
        eventually(
            Duration::from_secs(20),
            "the default ServiceAccount",
            async || Ok(accounts.get("default").await.map(drop)?),
        )
        .await
    }

    /// Ends every component and removes the folder.
    ///
    /// # Errors
    ///
    /// When a component cannot be killed or the folder not removed.
    pub fn stop(self) -> Result<()> {
        end(&self.controllers)?;
        end(&self.second)?;
        end(&self.api_server)?;
        end(&self.etcd)?;
        self.work.remove()
    }

    /// Starts etcd (again) on its data and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub async fn start_etcd(&self) -> Result<()> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let mut args = vec![
            flag("data-dir", &self.work.path().join("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={}", self.peer()),
            "--log-level=warn".to_owned(),
        ];
        args.extend(self.member());
        let process = self.run(Tool::Etcd, args)?;
        let port = self.ports.etcd;
        until_ready(&process, READY, async || {
            let answer = http_get(port, "/readyz").await?;
            if !answer.starts_with("HTTP/1.1 200") {
                bail!("etcd answers {answer:?}");
            }
            Ok(())
        })
        .await?;
        put(&self.etcd, process);
        Ok(())
    }

    fn peer(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd_peer)
    }

    /// What etcd must be told alike when it starts and when its data is restored.
    fn member(&self) -> [String; 3] {
        let peer = self.peer();
        [
            "--name=tenure".to_owned(),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=tenure={peer}"),
        ]
    }

    fn api_server_flags(&self, server: Server) -> Vec<String> {
        let pki = |name: &str| self.pki.file(name);
        let mut flags = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--bind-address={}", self.address(server).ip()),
            format!("--secure-port={}", self.ports.api_server),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--enable-aggregator-routing=true".to_owned(),
            flag("tls-cert-file", &pki("apiserver.crt")),
            flag("tls-private-key-file", &pki("apiserver.key")),
            flag("client-ca-file", &pki("ca.crt")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            flag("service-account-key-file", &pki("sa.pub")),
            flag("service-account-signing-key-file", &pki("sa.key")),
            flag("requestheader-client-ca-file", &pki("front-proxy-ca.crt")),
            format!("--requestheader-allowed-names={FRONT_PROXY}"),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            flag("proxy-client-cert-file", &pki("front-proxy.crt")),
            flag("proxy-client-key-file", &pki("front-proxy.key")),
            flag("kubelet-client-certificate", &pki("kubelet-client.crt")),
            flag("kubelet-client-key", &pki("kubelet-client.key")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            flag(
                "audit-policy-file",
                &self.work.path().join("audit-policy.yaml"),
            ),
            flag("audit-log-path", &self.work.path().join(server.audit_log())),
            // Never rotated: tests read it from marks.
            "--audit-log-maxsize=100000".to_owned(),
        ];
        let advertised = self.options.address;
        flags.extend(advertised.map(|address| format!("--advertise-address={address}")));
        if self.issuer.is_some() {
            flags.push(flag("authentication-config", &self.authentication()));
        }
        flags.extend(self.options.api_server_flags.iter().cloned());
        flags
    }

    fn controller_manager_flags(&self) -> Result<Vec<String>> {
        let identity = Identity::user("system:kube-controller-manager");
        let kubeconfig = self.access.kubeconfig(&identity)?;
        let pki = |name: &str| self.pki.file(name);
        Ok(vec![
            flag("kubeconfig", &kubeconfig),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            flag("service-account-private-key-file", &pki("sa.key")),
            flag("root-ca-file", &pki("ca.crt")),
            flag("cluster-signing-cert-file", &pki("ca.crt")),
            flag("cluster-signing-key-file", &pki("ca.key")),
            "--allocate-node-cidrs=true".to_owned(),
            "--cluster-cidr=198.18.1.0/24".to_owned(),
            "--node-cidr-mask-size=25".to_owned(),
            "--concurrent-namespace-syncs=20".to_owned(),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ])
    }

    fn run(&self, tool: Tool, args: Vec<String>) -> Result<Process> {
        self.start_program(tool.name(), self.stack.path(tool).to_path_buf(), args)
    }

    fn start_program(&self, name: &str, program: PathBuf, args: Vec<String>) -> Result<Process> {
        Process::start(Recipe {
            name: name.to_owned(),
            program,
            args: args.into_iter().map(OsString::from).collect(),
            env: Vec::new(),
            log: self.work.path().join(format!("{name}.log")),
            detached: self.options.keep,
        })
    }

    fn write_configuration(&self) -> Result<()> {
        let path = self.work.path().join("audit-policy.yaml");
        fs::write(&path, AUDIT_POLICY)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let Some(issuer) = &self.issuer else {
            return Ok(());
        };
        let path = self.authentication();
        fs::write(&path, format!("{:#}", issuer.configuration()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn authentication(&self) -> PathBuf {
        self.work.path().join("authentication.json")
    }

    async fn bind_break_glass(&self) -> Result<()> {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.access.admin()?);
        let binding = break_glass_binding()?;
        bindings
            .create(&PostParams::default(), &binding)
            .await
            .context("cannot bind the break-glass group")?;
        Ok(())
    }

    /// The processes of the control plane that run, by name.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let slots = [
            ("etcd", &self.etcd),
            ("api_server", &self.api_server),
            ("second_api_server", &self.second),
            ("controllers", &self.controllers),
        ];
        let pid = |slot: &Mutex<Option<Process>>| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.as_ref().map(Process::pid)
        };
        slots
            .into_iter()
            .filter_map(|(name, slot)| Some((name, pid(slot)?)))
            .collect()
    }

    /// Leaves a note for the sweep of later processes, and the pids for whoever wants to end it.
    fn mark_kept(&self) -> Result<()> {
        let pids = self.pids().into_iter().map(|(_, pid)| pid);
        let pids: Vec<String> = pids
            .chain(self.addresses.as_ref().map(Addresses::pid))
            .map(|pid| pid.to_string())
            .collect();
        fs::write(self.work.path().join("kept"), pids.join("\n")).context("cannot write `kept`")
    }
}

impl Deref for Plane {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl AsRef<Access> for Plane {
    fn as_ref(&self) -> &Access {
        &self.access
    }
}

/// The binding that gives the break-glass group its rights.
///
/// # Errors
///
/// Never in practice; the object is a constant.
pub fn break_glass_binding() -> Result<ClusterRoleBinding> {
    serde_json::from_value(json!({
        "metadata": { "name": "harness-break-glass" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": BREAK_GLASS }],
    }))
    .context("the break-glass binding is malformed")
}

/// Every write is recorded with who, what and the answer; reads of the system's own components and health checks are
/// left out, they are many and nobody asks for them.
const AUDIT_POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/metrics", "/openapi*", "/version"]
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager"]
    verbs: [get, list, watch]
  - level: None
    userGroups: ["system:serviceaccounts:kube-system"]
    verbs: [get, list, watch]
  - level: Metadata
"#;

fn start_on_own_thread() -> Result<Plane, String> {
    let start = || -> Result<Plane> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let options = PlaneOptions {
            name: "shared".to_owned(),
            ..PlaneOptions::default()
        };
        runtime.block_on(Plane::start(options))
    };
    let thread = std::thread::Builder::new()
        .name("plane".to_owned())
        .spawn(start)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    match thread.join() {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err("the thread that starts the plane panicked".to_owned()),
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn put(slot: &Mutex<Option<Process>>, process: Process) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
}

fn end(slot: &Mutex<Option<Process>>) -> Result<()> {
    let process = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match process {
        Some(process) => process.kill().map(drop),
        None => Ok(()),
    }
}

fn signal(slot: &Mutex<Option<Process>>, signal: Signal) {
    let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(process) = slot.as_ref() {
        process.signal(signal);
    }
}

async fn readyz(client: &Client) -> Result<()> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    let answer =
        tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await??;
    if answer != "ok" {
        bail!("/readyz answers {answer:?}");
    }
    Ok(())
}

/// One plain HTTP GET; the whole answer as text.
pub(crate) async fn http_get(port: u16, path: &str) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(5), exchange)
        .await
        .context("no answer within 5 s")?
}

/// A port nobody listens on, below the range from which the kernel takes the ports of outgoing connections: a
/// component that is stopped for a while finds its own free again.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let random = uuid::Uuid::new_v4().as_u128();
        let port = 18_000 + u16::try_from(random % 12_000).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 18000 and 29999 on 127.0.0.1 after 200 tries")
}
