//! The real components, built from pinned Go modules.
//!
//! Each tool is built once into `target/stack/<tool>-<hash>/`, where the hash is that of its `go.mod`, `go.sum` and
//! linker flags: a changed pin builds anew, an unchanged one costs nothing. A lock keeps two processes from building
//! the same thing twice.

use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};

use crate::paths::{open_lock, repository, target};

/// The version stamped into the Kubernetes binaries; they refuse to work together without one.
const KUBERNETES_LDFLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 \
     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37";

/// One binary of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The store behind the API server.
    Etcd,
    /// Makes a store from a snapshot of one.
    Etcdutl,
    /// The API server.
    KubeApiserver,
    /// The controllers: namespaces, garbage collection, quotas, ServiceAccounts, certificates.
    KubeControllerManager,
    /// The command line client, of the same version as the server.
    Kubectl,
    /// Helm 4.
    Helm,
    /// Puts pods on nodes.
    KubeScheduler,
    /// Runs the pods of a node.
    Kubelet,
    /// Makes Service addresses work on a node.
    KubeProxy,
    /// The CNI's enforcer: NetworkPolicies as packet filters.
    KubeRouter,
    /// The cluster's DNS, with the plugins that needs.
    Coredns,
    /// What GitOps tools would say of objects, by their own libraries.
    Gitops,
    /// An S3 server over a folder, with versions and object lock.
    Versitygw,
}

impl Tool {
    /// What a control plane is made of, in the order in which it is built.
    pub const PLANE: [Self; 6] = [
        Self::Etcd,
        Self::Etcdutl,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::Kubectl,
        Self::Helm,
    ];
    /// What a node needs besides.
    pub const NODE: [Self; 5] = [
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::KubeRouter,
        Self::Coredns,
    ];

    /// Every tool, in the order in which they are built.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::PLANE
            .into_iter()
            .chain([Self::Gitops, Self::Versitygw])
            .chain(Self::NODE)
    }

    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Etcdutl => "etcdutl",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::KubeRouter => "kube-router",
            Self::Coredns => "coredns",
            Self::Gitops => "gitops",
            Self::Versitygw => "versitygw",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Etcdutl => "go.etcd.io/etcd/etcdutl/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::KubeProxy => "k8s.io/kubernetes/cmd/kube-proxy",
            Self::KubeRouter => "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
            Self::Coredns | Self::Gitops => ".",
            Self::Versitygw => "github.com/versity/versitygw/cmd/versitygw",
        }
    }

    fn module(self) -> PathBuf {
        let folder = match self {
            Self::Etcd | Self::Etcdutl => "etcd",
            Self::Helm => "helm",
            Self::KubeRouter => "kube-router",
            Self::Coredns => "coredns",
            Self::Gitops => "gitops",
            Self::Versitygw => "versitygw",
            _ => "kubernetes",
        };
        repository().join("e2e/stack").join(folder)
    }

    fn ldflags(self) -> &'static str {
        match self {
            Self::Etcd
            | Self::Etcdutl
            | Self::Helm
            | Self::KubeRouter
            | Self::Coredns
            | Self::Gitops
            | Self::Versitygw => "-s -w",
            _ => KUBERNETES_LDFLAGS,
        }
    }

    /// What the binary is made from, besides the modules' own text.
    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Coredns | Self::Gitops => &["go.mod", "go.sum", "main.go"],
            _ => &["go.mod", "go.sum"],
        }
    }

    /// Where the binary lies once it is built.
    ///
    /// # Errors
    ///
    /// When `go.mod` or `go.sum` cannot be read.
    pub fn binary(self) -> Result<PathBuf> {
        let mut hash = Sha256::new();
        for file in self.sources() {
            let path = self.module().join(file);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hash.update(&bytes);
        }
        hash.update(self.ldflags().as_bytes());
        let hash: String = hash.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(target()
            .join("stack")
            .join(format!("{}-{hash}", self.name()))
            .join(self.name()))
    }
}

/// The built binaries.
#[derive(Debug, Clone)]
pub struct Stack {
    binaries: Vec<(Tool, PathBuf)>,
}

impl Stack {
    /// Builds what a control plane lacks (blocking: minutes on a cold machine, with progress on standard error) and
    /// returns where everything lies.
    ///
    /// # Errors
    ///
    /// When Go is missing, or a build fails (with the end of its output).
    pub fn ensure() -> Result<Self> {
        Self::of(Tool::PLANE.into_iter())
    }

    /// As [`Stack::ensure`], for a control plane and a node.
    ///
    /// # Errors
    ///
    /// As [`Stack::ensure`].
    pub fn ensure_with_node() -> Result<Self> {
        Self::of(Tool::all())
    }

    /// As [`Stack::ensure`], for one tool that needs no cluster.
    ///
    /// # Errors
    ///
    /// As [`Stack::ensure`].
    pub fn ensure_one(tool: Tool) -> Result<Self> {
        Self::of([tool].into_iter())
    }

    fn of(tools: impl Iterator<Item = Tool>) -> Result<Self> {
        let binaries = tools
            .map(|tool| Ok((tool, tool.binary()?)))
            .collect::<Result<Vec<_>>>()?;
        if binaries.iter().all(|(_, path)| path.exists()) {
            return Ok(Self { binaries });
        }
        let root = target().join("stack");
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let lock = open_lock(&root.join(".lock"))?;
        lock.lock().context("cannot lock target/stack/.lock")?;
        check_go()?;
        for (tool, path) in &binaries {
            // Another process may have built it while this one waited for the lock.
            if !path.exists() {
                build(*tool, path)?;
            }
        }
        Ok(Self { binaries })
    }

    /// The binary of `tool`; an empty path where this stack is a control plane's and the tool a node's.
    pub fn path(&self, tool: Tool) -> &Path {
        self.binaries
            .iter()
            .find(|(other, _)| *other == tool)
            .map_or(Path::new(""), |(_, path)| path)
    }

    /// The folder of `tool`'s binary, to be put on `PATH`.
    pub fn folder(&self, tool: Tool) -> &Path {
        self.path(tool).parent().unwrap_or(Path::new(""))
    }
}

/// The definitions of prometheus-operator's ServiceMonitor and PrometheusRule, as that project ships them.
///
/// # Errors
///
/// When Go cannot download the pinned module.
pub fn monitoring_definitions() -> Result<[PathBuf; 2]> {
    check_go()?;
    let module = "github.com/prometheus-operator/prometheus-operator";
    let output = Command::new("go")
        .current_dir(repository().join("e2e/stack/prometheus-operator"))
        .args(["mod", "download", "-json", module])
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        .output()
        .context("cannot start `go mod download`")?;
    if !output.status.success() {
        bail!(
            "`go mod download {module}` ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = said["Dir"]
        .as_str()
        .context("Go does not say where the module lies")?;
    let folder = Path::new(folder).join("example/prometheus-operator-crd");
    Ok(["servicemonitors", "prometheusrules"]
        .map(|kind| folder.join(format!("monitoring.coreos.com_{kind}.yaml"))))
}

fn check_go() -> Result<()> {
    let output = Command::new("go")
        .arg("version")
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!(
            "Go is not on PATH. It is needed once, to build etcd, the Kubernetes control plane and helm from the \
             pinned modules in {}. Install Go 1.26 or newer (https://go.dev/dl/ or your distribution) and run the same \
             command again",
            repository().join("e2e/stack").display()
        ),
    }
}

/// The folder of a Go module that nothing is built from, pinned in `e2e/stack/<family>` (blocking: it is downloaded first).
///
/// # Errors
///
/// When Go is missing, or the module cannot be had.
pub fn module_folder(family: &str, module: &str) -> Result<PathBuf> {
    check_go()?;
    let pins = repository().join("e2e/stack").join(family);
    let output = Command::new("go")
        .current_dir(&pins)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        .args(["mod", "download", "-json", module])
        .output()
        .context("cannot start `go mod download`")?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).with_context(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!(
            "`go mod download {module}` in {} said {stderr}",
            pins.display()
        )
    })?;
    match said["Dir"].as_str() {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => bail!("{module} cannot be had: {}", said["Error"]),
    }
}

/// Builds one tool beside its final place and renames it there, so that a half-built one is never found.
fn build(tool: Tool, path: &Path) -> Result<()> {
    let folder = path.parent().context("a binary lies in a folder")?;
    let building = folder.with_extension("building");
    let _ = fs::remove_dir_all(&building);
    fs::create_dir_all(&building).with_context(|| format!("cannot make {}", building.display()))?;
    let start = Instant::now();
    let progress = Progress::new(tool.name(), packages(tool));
    let mut child = go(tool)
        .args(["build", "-trimpath", "-v", "-ldflags", tool.ldflags(), "-o"])
        .arg(building.join(tool.name()))
        .arg(tool.package())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start `go build`")?;
    let output = child.stderr.take().context("go's output is not piped")?;
    let tail = progress.follow(BufReader::new(output));
    let status = child.wait().context("cannot wait for `go build`")?;
    if !status.success() {
        progress.failed();
        bail!(
            "`go build {}` in {} failed ({status}):\n{tail}",
            tool.package(),
            tool.module().display()
        );
    }
    let _ = fs::remove_dir_all(folder);
    fs::rename(&building, folder)
        .with_context(|| format!("cannot rename {} to its place", building.display()))?;
    progress.done(start.elapsed());
    Ok(())
}

fn go(tool: Tool) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(tool.module())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly");
    command
}

/// How many packages a tool is made of (0 when unknown); this also downloads the modules.
fn packages(tool: Tool) -> u64 {
    let listed = go(tool)
        .args(["list", "-deps", tool.package()])
        .stderr(Stdio::null())
        .output();
    listed.map_or(0, |output| output.stdout.lines().count() as u64)
}

/// A bar on a terminal, a line now and then elsewhere.
struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(name: &'static str, packages: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!("building {name} ({packages} packages)");
            return Self { name, bar: None };
        }
        let bar = ProgressBar::new(packages);
        let style = ProgressStyle::with_template(
            "  {spinner:.cyan} {prefix:<24} {elapsed:>5} [{bar:30.cyan/black}] {pos:>4}/{len} {wide_msg:.dim}",
        );
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            name,
            bar: Some(bar),
        }
    }

    /// Reads go's output (one line per compiled package) to its end; returns the last lines, for an error.
    fn follow(&self, output: impl std::io::Read + Send) -> String {
        let mut last: Vec<String> = Vec::new();
        let mut compiled = 0_u64;
        let mut said = Instant::now();
        for line in BufReader::new(output.take(u64::MAX))
            .lines()
            .map_while(Result::ok)
        {
            compiled += 1;
            match &self.bar {
                Some(bar) => {
                    bar.inc(1);
                    bar.set_message(line.clone());
                }
                None if said.elapsed() > Duration::from_secs(60) => {
                    eprintln!("  {}: {compiled} packages compiled", self.name);
                    said = Instant::now();
                }
                None => {}
            }
            last.push(line);
            if last.len() > 40 {
                last.remove(0);
            }
        }
        last.join("\n")
    }

    fn done(&self, took: Duration) {
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                eprintln!("  built {:<24} {:>5.0} s", self.name, took.as_secs_f64());
            }
            None => eprintln!("built {} in {:.0} s", self.name, took.as_secs_f64()),
        }
    }

    fn failed(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Starts [`Stack::ensure_with_node`] on a thread of its own, for a caller that has other work meanwhile.
pub fn ensure_in_background() -> thread::JoinHandle<Result<Stack>> {
    thread::spawn(Stack::ensure_with_node)
}
