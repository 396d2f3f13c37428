//! The far end of the probe pair on a plane without a node: a pod of the chart's own CronJob that nothing runs, and
//! loopback in its place. Packets on a real node, an enforcer that lives and one that dies, are in node.rs.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tenure_e2e::install::NAMESPACE;
use tenure_e2e::{Identity, Plane, eventually};
use tenure_operator::probe::{ALLOWED_PORT, DENIED_PORT};

const SOON: Duration = Duration::from_secs(30);

pub struct Network {
    address: Ipv4Addr,
    denied: Mutex<Option<TcpListener>>,
}

impl Network {
    /// Both ports answer: nobody enforces anything.
    pub fn new() -> Result<Self> {
        let random = uuid::Uuid::new_v4().into_bytes();
        let address = Ipv4Addr::new(127, 77, random[0], random[1].max(1));
        let allowed = TcpListener::bind((address, ALLOWED_PORT))?;
        let denied = TcpListener::bind((address, DENIED_PORT))?;
        std::thread::spawn(move || {
            for stream in allowed.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.write_all(br#"{"outward":"Stopped"}"#);
            }
        });
        Ok(Self {
            address,
            denied: Mutex::new(Some(denied)),
        })
    }

    /// From now on the denied flow is refused.
    pub fn enforce(&self) {
        self.denied.lock().unwrap().take();
    }

    /// Starts one probe ahead of time, as the CronJob would, and says that its pod runs here.
    pub async fn probed(&self, plane: &Plane) -> Result<()> {
        let admin = plane.kubectl(&Identity::admin())?;
        let job = format!("probe-{}", uuid::Uuid::new_v4());
        let create = [
            "create",
            "job",
            &job,
            "--from=cronjob/tenure-probe",
            "--namespace",
            NAMESPACE,
        ];
        admin.run(&create).await?.success()?;
        let pods: Api<Pod> = Api::namespaced(plane.admin()?, NAMESPACE);
        let of_job = ListParams::default().labels(&format!("job-name={job}"));
        let pod = eventually(SOON, "the Job has its pod", async || {
            let pods = pods.list(&of_job).await?;
            pods.items.into_iter().next().context("no pod yet")
        })
        .await?;
        let address = self.address.to_string();
        let runs =
            json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
        pods.patch_status(
            pod.metadata.name.as_deref().unwrap_or_default(),
            &PatchParams::default(),
            &Patch::Merge(runs),
        )
        .await?;
        Ok(())
    }
}
