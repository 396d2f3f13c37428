//! The cluster, the release and what one does with pods.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tenure_crds::{Approval, CustomerTenant};
use tenure_e2e::helm::Helm;
use tenure_e2e::image::{Image, Profile, build_operator};
use tenure_e2e::install::{NAMESPACE, guards_loaded, prepare_record};
use tenure_e2e::kubectl::Kubectl;
use tenure_e2e::node::{Cluster, Flow, TOOLBOX, flow};
use tenure_e2e::paths::repository;
use tenure_e2e::{Identity, eventually};

/// How long anything but the probe pair may take.
pub const SOON: Duration = Duration::from_secs(60);
/// Where servers of tests listen.
const PORT: u16 = 8080;
/// Where they answer for as long as one listens.
const STREAM: u16 = 9090;

pub struct Stage {
    pub cluster: Cluster,
    pub kubectl: Kubectl,
    pub helm: Helm,
    tenants: u32,
}

impl Stage {
    pub async fn set() -> Result<Self> {
        let cluster = Cluster::start("node").await?;
        let program = tokio::task::spawn_blocking(|| build_operator(Profile::Trial)).await??;
        cluster.import(&Image::operator(program))?;
        let stage = Self {
            kubectl: cluster.plane.kubectl(&Identity::admin())?,
            helm: cluster.plane.helm(&Identity::break_glass())?,
            cluster,
            tenants: 0,
        };
        prepare_record(stage.cluster.plane.access()).await?;
        stage.install().await?;
        guards_loaded(stage.cluster.plane.access()).await?;
        // Where public cloud is undeclared, separation is Unknown whatever packets do.
        let policy = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {"hosting": {"publicCloud": true}}});
        stage.apply(&policy).await?;
        let approver = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reviewer-approves"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenure-approver"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reviewer"}]
        });
        stage.apply(&approver).await?;
        Ok(stage)
    }

    /// Installs the chart as a user does, and waits until its pods are Ready.
    async fn install(&self) -> Result<()> {
        let chart = repository().join("charts/tenure");
        let port = format!(
            "networkPolicy.apiServerPorts={{{}}}",
            self.cluster.plane.port()
        );
        self.helm
            .run(&[
                "upgrade",
                "--install",
                "tenure",
                &chart.to_string_lossy(),
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                "--set",
                &port,
                "--set=image.pullPolicy=Never,intervalSeconds=5,probe.intervalMinutes=1",
                "--wait",
                "--timeout=180s",
            ])
            .await?
            .success()
            .map(drop)
    }

    fn admin(&self) -> Client {
        self.cluster.plane.admin().unwrap()
    }

    pub async fn apply(&self, object: &Value) -> Result<()> {
        let output = self
            .kubectl
            .run_with(&["apply", "--filename=-"], &object.to_string())
            .await?;
        output.success().map(drop)
    }

    pub async fn merge(&self, tenant: &str, change: &str) -> Result<()> {
        let change: Value = serde_json::from_str(change)?;
        Api::<CustomerTenant>::all(self.admin())
            .patch(tenant, &PatchParams::default(), &Patch::Merge(&change))
            .await?;
        Ok(())
    }

    /// A namespace nobody isolates yet, with a server and a client.
    pub async fn namespace_with_pods(&self, namespace: &str) -> Result<()> {
        self.cluster.plane.namespace(namespace).await?;
        self.pods(namespace).await
    }

    /// A server (Ready as long as the kubelet reaches it) and a client.
    pub async fn pods(&self, namespace: &str) -> Result<()> {
        let serve = format!(
            "nc -ll -p {STREAM} -e sh -c 'while echo alive; do sleep 1; done' & exec httpd -f -p {PORT} -h /tmp"
        );
        for (name, script, port) in [
            ("server", serve.as_str(), Some(PORT)),
            ("client", "exec sleep infinity", None),
        ] {
            self.apply(&pod(namespace, name, script, port)).await?;
        }
        let wait = self
            .kubectl
            .run(&[
                "--namespace",
                namespace,
                "wait",
                "--for=condition=Ready",
                "pod/server",
                "pod/client",
                "--timeout=60s",
            ])
            .await?;
        if !wait.ok {
            let events = self
                .kubectl
                .run(&[
                    "--namespace",
                    namespace,
                    "get",
                    "events,pods",
                    "--output=wide",
                ])
                .await?;
            bail!("the pods of {namespace} are not Ready: {}", events.stdout);
        }
        Ok(())
    }

    pub async fn address(&self, namespace: &str, pod: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.admin(), namespace);
        let status = pods.get(pod).await?.status.unwrap_or_default();
        status.pod_ip.context("no address yet")
    }

    /// The API server, as the node sees it.
    pub fn api_server(&self) -> (String, u16) {
        let host: Ipv4Addr = self.cluster.machine().host();
        (host.to_string(), self.cluster.plane.port())
    }

    /// What becomes of a new connection from a namespace's client to a server.
    pub async fn flows(&self, from: &str, to: &str, wanted: Flow) -> Result<()> {
        self.flow_to(from, to, PORT, wanted).await
    }

    pub async fn flow_to(&self, from: &str, to: &str, port: u16, wanted: Flow) -> Result<()> {
        let what = format!("a connection from {from} to {to}:{port} {wanted:?}");
        eventually(SOON, &what, async || {
            let seen = flow(&self.kubectl, (from, "client"), to, port).await?;
            ensure!(seen == wanted, "{seen:?}");
            Ok(())
        })
        .await
    }

    /// Opens a connection that stays, from a namespace's client.
    pub async fn hold_connection(&self, from: &str, to: &str) -> Result<()> {
        let script = format!(
            "(sleep infinity | nc {to} {STREAM} >/tmp/stream 2>/dev/null) >/dev/null 2>&1 &"
        );
        self.exec(from, &script).await?;
        eventually(SOON, "the connection stands", async || {
            ensure!(self.connection_lives(from).await?);
            Ok(())
        })
        .await
    }

    /// Whether the connection that was opened still carries anything.
    pub async fn connection_lives(&self, from: &str) -> Result<bool> {
        let size = async || -> Result<u64> {
            Ok(self
                .exec(from, "wc -c </tmp/stream")
                .await?
                .trim()
                .parse()?)
        };
        let before = size().await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(size().await? > before)
    }

    pub async fn resolves(&self, from: &str, name: &str) -> Result<bool> {
        let said = self
            .exec(from, &format!("nslookup {name} && echo resolved || true"))
            .await?;
        Ok(said.trim_end().ends_with("resolved"))
    }

    async fn exec(&self, namespace: &str, script: &str) -> Result<String> {
        self.kubectl
            .run(&[
                "--namespace",
                namespace,
                "exec",
                "client",
                "--",
                "sh",
                "-c",
                script,
            ])
            .await?
            .success()
    }

    /// The kubelet's probes go on passing.
    pub async fn stays_ready(&self, namespace: &str, pod: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.admin(), namespace);
        let ready = async || -> Result<String> {
            let status = pods.get(pod).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let ready = conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready");
            Ok(format!(
                "{:?}",
                ready.map(|ready| (ready.status, ready.last_transition_time))
            ))
        };
        let before = ready().await?;
        ensure!(before.contains("True"), "{before}");
        // Three failures of a probe a second apart would show.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let after = ready().await?;
        ensure!(before == after, "{before} became {after}");
        Ok(())
    }

    /// Declares a tenant over namespaces that exist, and approves it as somebody else.
    pub async fn adopt(&mut self, name: &str, namespaces: &[&str]) -> Result<()> {
        self.tenants += 1;
        let id = format!("88888888-8888-4888-8888-{:012}", self.tenants);
        let namespaces: Vec<Value> = namespaces
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
        self.apply(&json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
            "spec": {
                "tenantID": id, "customer": {"name": name}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": namespaces
            }
        }))
        .await?;
        let tenants: Api<CustomerTenant> = Api::all(self.admin());
        let asked = eventually(SOON, "the adoption waits for approval", async || {
            let status = tenants.get(name).await?.status.unwrap_or_default();
            status
                .pending_approvals
                .first()
                .cloned()
                .context("nothing is pending")
        })
        .await?;
        let approval: Approval = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": format!("adopt-{name}")},
            "spec": {
                "action": "Adopt", "tenantRef": {"name": name}, "decision": "Approve", "reason": "the plan was read",
                "subject": {"kind": "CustomerTenant", "name": name, "tenantID": id, "digest": asked.digest, "digestVersion": asked.digest_version}
            }
        }))?;
        Api::all(self.cluster.plane.client_as("reviewer", &[])?)
            .create(&PostParams::default(), &approval)
            .await?;
        eventually(SOON, &format!("{name} is Ready"), async || {
            let status = tenants.get(name).await?.status.unwrap_or_default();
            let ready = status
                .conditions
                .iter()
                .find(|condition| condition.type_ == "Ready")
                .context("no Ready yet")?;
            ensure!(
                ready.status == "True",
                "{}: {}",
                ready.reason,
                ready.message
            );
            Ok(())
        })
        .await
    }

    /// Runs as many operators, and waits until that is so.
    pub async fn scale(&self, wanted: usize) -> Result<()> {
        let replicas = format!("--replicas={wanted}");
        let of = "deployment/tenure-operator";
        let namespace = "--namespace=tenure-system";
        self.kubectl
            .run(&[namespace, "scale", of, &replicas])
            .await?
            .success()?;
        self.kubectl
            .run(&[namespace, "rollout", "status", of, "--timeout=90s"])
            .await?
            .success()?;
        // A rollout counts those no more that are told to go and still work.
        eventually(SOON, "there are no others", async || {
            let running = self.operators().await?.len();
            ensure!(running == wanted, "{running} are there");
            Ok(())
        })
        .await
    }

    async fn operators(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.admin(), NAMESPACE);
        let ours = kube::api::ListParams::default().labels("app.kubernetes.io/component=operator");
        Ok(pods.list(&ours).await?.items)
    }

    /// What the guards refuse to everybody but the emergency group.
    pub async fn delete_past_the_guards(&self, tenant: &str) -> Result<()> {
        Api::<CustomerTenant>::all(self.cluster.plane.break_glass()?)
            .delete(tenant, &kube::api::DeleteParams::default())
            .await?;
        Ok(())
    }

    pub async fn gone(&self, tenant: &str) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(self.admin());
        eventually(SOON, &format!("{tenant} is let go"), async || {
            ensure!(tenants.get_opt(tenant).await?.is_none());
            Ok(())
        })
        .await
    }

    async fn control(&self, tenant: &str, control: &str) -> Result<(String, String)> {
        let tenants: Api<CustomerTenant> = Api::all(self.admin());
        let status = tenants.get(tenant).await?.status.unwrap_or_default();
        let found = status
            .controls
            .into_iter()
            .find(|found| found.id == control);
        let found = found.with_context(|| format!("no control {control}"))?;
        Ok((
            found.verdict.as_str().to_owned(),
            format!("{:?}: {:?}", found.reason, found.message),
        ))
    }

    pub async fn verdict(
        &self,
        tenant: &str,
        control: &str,
        wanted: &str,
        within: Duration,
    ) -> Result<()> {
        eventually(
            within,
            &format!("{control} of {tenant} is {wanted}"),
            async || {
                let (verdict, why) = self.control(tenant, control).await?;
                ensure!(verdict == wanted, "{verdict}: {why}");
                Ok(())
            },
        )
        .await
    }

    /// Unknown where the pair shows nothing, Drifted where it shows a hole: either, but not Compliant.
    pub async fn not_compliant(&self, tenant: &str, control: &str, within: Duration) -> Result<()> {
        eventually(
            within,
            &format!("{control} of {tenant} is Unknown or Drifted"),
            async || {
                let (verdict, why) = self.control(tenant, control).await?;
                if !["Unknown", "Drifted"].contains(&verdict.as_str()) {
                    bail!("{verdict}: {why}");
                }
                Ok(())
            },
        )
        .await
    }

    /// The metrics of the replica that leads, asked from the node.
    pub async fn metrics(&self) -> Result<String> {
        let mut all = String::new();
        for pod in self.operators().await? {
            let Some(address) = pod.status.and_then(|status| status.pod_ip) else {
                continue;
            };
            let url = format!("http://{address}:8080/metrics");
            all += &self
                .cluster
                .machine()
                .run("busybox", &["wget", "-qO-", &url])?;
        }
        Ok(all)
    }
}

/// A restricted pod of the toolbox.
fn pod(namespace: &str, name: &str, script: &str, probe: Option<u16>) -> Value {
    let mut container = json!({
        "name": "main", "image": TOOLBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        // The harness's node offers no local storage to count.
        "resources": {"requests": {"ephemeral-storage": "0"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]
    });
    if let Some(port) = probe {
        container["readinessProbe"] =
            json!({"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 1});
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]
        }
    })
}
