//! A real node: containerd, kubelet, Service addresses, DNS and a CNI whose enforcer cuts packets.
//!
//! It lives in namespaces of its own (see [`machine`]) on file systems in memory, so nothing of it is left when it ends.
//! The enforcer can be killed alone, to see what notices.

pub mod machine;
mod packets;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use serde_json::json;

use self::machine::{Machine, NAME, STATE, program};
use crate::access::Access;
use crate::identity::Identity;
use crate::image::Image;
use crate::paths::WorkDir;
use crate::plane::{Plane, PlaneOptions};
use crate::process::{Process, Recipe};
use crate::stack::Tool;
use crate::wait::eventually;

pub use self::packets::{Flow, flow};

/// A small image with a shell and network tools, for tests' own pods.
pub const TOOLBOX: &str = "localhost/toolbox:1";
/// The image of the container that holds a pod's namespaces.
const PAUSE: &str = "localhost/pause:1";
/// The image of the cluster's DNS.
const DNS: &str = "localhost/coredns:1";
/// The address of the DNS Service.
const DNS_ADDRESS: &str = "10.96.0.10";
/// How long the node may take to become Ready (a busy machine included).
const READY: Duration = Duration::from_secs(120);

/// A control plane with a node. Everything ends with this value, and with this process.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they end: the node's parts, its machine, the control plane, the folder.
    scheduler: Process,
    enforcer: Mutex<Option<Process>>,
    _parts: Vec<Process>,
    machine: Machine,
    /// The control plane.
    pub plane: Plane,
    work: WorkDir,
}

impl Cluster {
    /// Starts a control plane and a node, and waits until the node is Ready and the DNS answers.
    ///
    /// # Errors
    ///
    /// When a part does not start (not root, a package missing), with the end of its log.
    pub async fn start(name: &str) -> Result<Self> {
        let work = WorkDir::new(&format!("{name}-node"), false)?;
        let machine = Machine::start(work.path())?;
        let plane = Plane::start(PlaneOptions {
            name: name.to_owned(),
            address: Some(machine.host()),
            ..PlaneOptions::default()
        })
        .await?;
        let url = format!("https://{}:{}", machine.host(), plane.port());
        let parts = Parts {
            machine: &machine,
            access: plane.access(),
            folder: work.path(),
            url: &url,
        };
        let forward = parts.forward(plane.port())?;
        let containerd = parts.containerd().await?;
        for image in parts.images()? {
            parts.import(&image)?;
        }
        let running = vec![
            forward,
            containerd,
            parts.kubelet()?,
            parts.service_proxy()?,
        ];
        let scheduler = parts.scheduler()?;
        let cluster = Self {
            scheduler,
            enforcer: Mutex::new(None),
            _parts: running,
            machine,
            plane,
            work,
        };
        cluster.node_ready().await?;
        // It looks for its node once, and ends where there is none.
        cluster.start_enforcer()?;
        cluster.dns().await?;
        Ok(cluster)
    }

    /// The namespaces of the node.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Brings an image to the node.
    ///
    /// # Errors
    ///
    /// When its archive cannot be written or imported.
    pub fn import(&self, image: &Image) -> Result<()> {
        self.parts("").import(image)
    }

    /// Kills the enforcer (SIGKILL): what it has programmed stays, nothing new is programmed.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop_enforcer(&self) -> Result<()> {
        let process = self
            .enforcer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        process.map_or(Ok(()), |process| process.kill().map(drop))
    }

    /// Starts the enforcer again.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_enforcer(&self) -> Result<()> {
        let url = format!("https://{}:{}", self.machine.host(), self.plane.port());
        let process = self.parts(&url).enforcer()?;
        *self.enforcer.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    fn parts<'a>(&'a self, url: &'a str) -> Parts<'a> {
        Parts {
            machine: &self.machine,
            access: self.plane.access(),
            folder: self.work.path(),
            url,
        }
    }

    async fn node_ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.plane.admin()?);
        eventually(READY, "the node is Ready", async || {
            for process in self._parts.iter().chain([&self.scheduler]) {
                process.check()?;
            }
            let node = nodes.get(NAME).await?;
            let conditions = node
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let ready = conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            ready.then_some(()).context("not Ready yet")
        })
        .await
    }

    /// The cluster's DNS, as a pod with the labels everybody knows it by.
    async fn dns(&self) -> Result<()> {
        let manifest = self.work.path().join("dns.yaml");
        fs::write(&manifest, dns_manifest())?;
        let kubectl = self.plane.kubectl(&Identity::admin())?;
        let path = manifest.to_string_lossy().into_owned();
        kubectl.run(&["apply", "-f", &path]).await?.success()?;
        kubectl
            .run(&[
                "--namespace=kube-system",
                "rollout",
                "status",
                "deployment/coredns",
                "--timeout=120s",
            ])
            .await?
            .success()
            .map(drop)
    }
}

/// What the parts of a node are started with.
struct Parts<'a> {
    machine: &'a Machine,
    access: &'a Access,
    folder: &'a Path,
    url: &'a str,
}

impl Parts<'_> {
    /// Carries the API server's port to the host's end of the cable.
    fn forward(&self, port: u16) -> Result<Process> {
        let listen = format!(
            "TCP-LISTEN:{port},bind={},fork,reuseaddr",
            self.machine.host()
        );
        Process::start(Recipe {
            name: "forward".to_owned(),
            program: program("socat")?,
            args: vec![listen.into(), format!("TCP:127.0.0.1:{port}").into()],
            env: Vec::new(),
            log: self.folder.join("forward.log"),
            detached: false,
        })
    }

    async fn containerd(&self) -> Result<Process> {
        let configuration = self.write("containerd.toml", &containerd_configuration())?;
        let network = cni_configuration().to_string();
        let cni = self.write("10-bridge.conflist", &network)?;
        self.machine
            .run("cp", &[&cni.to_string_lossy(), &format!("{STATE}/cni/")])?;
        let args = [format!("--config={}", configuration.display())];
        let process = self
            .machine
            .spawn("containerd", &program("containerd")?, &args)?;
        eventually(READY, "containerd answers", async || {
            process.check()?;
            self.machine.run("ctr", &["version"]).map(drop)
        })
        .await?;
        Ok(process)
    }

    fn images(&self) -> Result<[Image; 3]> {
        let busybox = || program("busybox");
        let image = |reference: &str, program: PathBuf, path: &str, entrypoint: &[&str]| Image {
            reference: reference.to_owned(),
            program,
            path: path.to_owned(),
            links: Vec::new(),
            entrypoint: entrypoint.iter().map(ToString::to_string).collect(),
            user: "65532:65532".to_owned(),
        };
        let sleep = ["/bin/busybox", "sleep", "infinity"];
        let mut toolbox = image(TOOLBOX, busybox()?, "/bin/busybox", &sleep);
        toolbox.links = ["httpd", "nc", "nslookup", "sh", "sleep", "wget"]
            .map(|name| format!("/bin/{name}"))
            .to_vec();
        let program = self.access.stack().path(Tool::Coredns).to_path_buf();
        Ok([
            image(PAUSE, busybox()?, "/bin/busybox", &sleep),
            toolbox,
            // As everywhere, it answers on port 53, which is root's.
            Image {
                user: "0:0".to_owned(),
                ..image(DNS, program, "/coredns", &["/coredns"])
            },
        ])
    }

    fn import(&self, image: &Image) -> Result<()> {
        let name = image.reference.replace(['/', ':'], "-");
        let archive = self.folder.join(format!("{name}.tar"));
        image.write(&archive)?;
        let path = archive.to_string_lossy();
        self.machine
            .run("ctr", &["--namespace=k8s.io", "images", "import", &path])?;
        fs::remove_file(&archive).context("cannot remove an imported archive")
    }

    fn kubelet(&self) -> Result<Process> {
        let configuration =
            self.write("kubelet.yaml", &self.kubelet_configuration().to_string())?;
        let identity = Identity::user(format!("system:node:{NAME}")).group("system:nodes");
        let args = [
            format!("--config={}", configuration.display()),
            format!("--kubeconfig={}", self.kubeconfig(&identity)?),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={}", self.machine.node()),
            format!("--root-dir={STATE}/kubelet"),
        ];
        self.machine
            .spawn("kubelet", self.access.stack().path(Tool::Kubelet), &args)
    }

    fn kubelet_configuration(&self) -> serde_json::Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": self.access.folder().join("pki/ca.crt") },
            },
            "authorization": { "mode": "Webhook" },
            "address": self.machine.node().to_string(),
            "clusterDomain": "cluster.local",
            "clusterDNS": [DNS_ADDRESS],
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "resolvConf": "",
            "podLogsDir": format!("{STATE}/logs"),
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": false,
            "cgroupsPerQOS": false,
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": false,
            "oomScoreAdj": 0,
            "localStorageCapacityIsolation": false,
            "syncFrequency": "5s",
        })
    }

    fn service_proxy(&self) -> Result<Process> {
        let configuration = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": NAME,
            "clusterCIDR": PODS,
            "clientConnection": { "kubeconfig": self.kubeconfig(&Identity::user("system:kube-proxy"))? },
            // The host's table of connections is not the node's to size.
            "conntrack": { "maxPerCore": 0, "min": 0 },
        });
        let configuration = self.write("kube-proxy.yaml", &configuration.to_string())?;
        let args = [format!("--config={}", configuration.display())];
        self.machine.spawn(
            "kube-proxy",
            self.access.stack().path(Tool::KubeProxy),
            &args,
        )
    }

    fn enforcer(&self) -> Result<Process> {
        let args = [
            format!("--kubeconfig={}", self.kubeconfig(&Identity::admin())?),
            "--run-firewall=true".to_owned(),
            "--run-router=false".to_owned(),
            "--run-service-proxy=false".to_owned(),
            "--run-loadbalancer=false".to_owned(),
            "--enable-cni=false".to_owned(),
            format!("--hostname-override={NAME}"),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--iptables-sync-period=10s".to_owned(),
        ];
        self.machine.spawn(
            "kube-router",
            self.access.stack().path(Tool::KubeRouter),
            &args,
        )
    }

    fn scheduler(&self) -> Result<Process> {
        let kubeconfig = self
            .access
            .kubeconfig(&Identity::user("system:kube-scheduler"))?;
        let args = [
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        Process::start(Recipe {
            name: "kube-scheduler".to_owned(),
            program: self.access.stack().path(Tool::KubeScheduler).to_path_buf(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            log: self.folder.join("kube-scheduler.log"),
            detached: false,
        })
    }

    fn kubeconfig(&self, identity: &Identity) -> Result<String> {
        let path = self.access.kubeconfig_at(identity, self.url)?;
        Ok(path.to_string_lossy().into_owned())
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Addresses of pods.
const PODS: &str = "198.18.1.0/25";

fn containerd_configuration() -> String {
    format!(
        r#"version = 2
root = "{STATE}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"
"#
    )
}

fn cni_configuration() -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "ipMasq": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": format!("{STATE}/addresses"),
                "ranges": [[{ "subnet": PODS }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

fn dns_manifest() -> String {
    include_str!("dns.yaml")
        .replace("__IMAGE__", DNS)
        .replace("__ADDRESS__", DNS_ADDRESS)
}
