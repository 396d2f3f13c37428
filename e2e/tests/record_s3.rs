//! The record in a bucket, at work: the operator and the plugin on a real S3 server that locks what is written.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_s3::Client as Bucket;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ObjectLockMode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tenure_e2e::s3::{REGION, ROOT, S3Server, User, documented_policy};
use tenure_e2e::{
    Operator, OperatorOptions, Plane, PlaneOptions, Record, eventually, install, paths,
};
use tenure_evidence::layout;
use tenure_evidence::store::{Credentials, S3Settings};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);
const ACME: &str = "66666666-6666-4666-8666-00000000cccc";
const RECORD: &str = "record";
const CHECKPOINTS: &str = "checkpoints";
/// Below this, in both buckets.
const PREFIX: &str = "clusters/one";
/// What docs/record.md gives to an operator, and nothing else.
const WRITER: User = User("writer");

/// A cluster whose record lies in a bucket, and its checkpoints in another.
struct Stage {
    server: S3Server,
    bucket: Bucket,
    plane: Plane,
    operator: Option<Operator>,
}

impl Stage {
    async fn set() -> Result<Self> {
        let (server, plane) = tokio::try_join!(
            S3Server::start("record-s3"),
            Plane::start(PlaneOptions {
                name: "record-s3".into(),
                ..PlaneOptions::default()
            })
        )?;
        let bucket = owner(&server).await?;
        server.make_user(WRITER).await?;
        for name in [RECORD, CHECKPOINTS] {
            server.make_bucket(name, true).await?;
            let policy = documented_policy(name, WRITER)?;
            let request = bucket.put_bucket_policy().bucket(name).policy(policy);
            request.send().await?;
        }
        install::install(plane.access()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        Api::all(plane.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        Ok(Self {
            server,
            bucket,
            plane,
            operator: None,
        })
    }

    /// What the operator is told, with what one case has otherwise.
    fn options(&self, otherwise: &[(&str, &str)]) -> Result<OperatorOptions> {
        let mut env: Vec<(String, OsString)> = Vec::new();
        for (name, bucket) in [
            ("TENURE_RECORD", RECORD),
            ("TENURE_RECORD_SECOND_PLACE", CHECKPOINTS),
        ] {
            env.push((name.into(), place(bucket).into()));
            let set = [
                ("REGION", REGION.into()),
                ("ENDPOINT", self.server.endpoint().into()),
                ("PATH_STYLE", "true".into()),
                ("CA_BUNDLE", self.server.authority().into()),
                ("CREDENTIALS", self.server.credentials(WRITER)?.into()),
            ];
            let set: [(&str, OsString); 5] = set;
            env.extend(set.map(|(option, value)| (format!("{name}_S3_{option}"), value)));
        }
        env.extend(
            otherwise
                .iter()
                .map(|(name, value)| ((*name).into(), value.into())),
        );
        Ok(OperatorOptions {
            env,
            ..OperatorOptions::default()
        })
    }

    async fn start(&mut self, otherwise: &[(&str, &str)]) -> Result<()> {
        let options = self.options(otherwise)?;
        self.operator = Some(Operator::start(self.plane.access(), options).await?);
        Ok(())
    }

    fn operator(&self) -> Result<&Operator> {
        self.operator.as_ref().context("no operator runs")
    }

    async fn stop(&mut self) -> Result<()> {
        self.operator()?.stop().await?;
        self.operator = None;
        Ok(())
    }

    fn tenants(&self) -> Result<Api<CustomerTenant>> {
        Ok(Api::all(self.plane.admin()?))
    }

    async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.tenants()?
            .patch("acme", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits until acme is ready or not for this reason, as it is now.
    async fn ready(&self, status: &str, reason: &str) -> Result<()> {
        let tenants = self.tenants()?;
        eventually(SOON, &format!("Ready {status} {reason}"), async || {
            let tenant = tenants.get("acme").await?;
            let now = tenant.status.context("no status")?;
            ensure!(
                now.observed_generation == tenant.metadata.generation,
                "not looked at yet"
            );
            let ready = now.conditions.iter().find(|found| found.type_ == "Ready");
            let ready = ready.with_context(|| format!("{:?}", now.conditions))?;
            ensure!(
                ready.status == status && ready.reason == reason,
                "{ready:?}"
            );
            Ok(())
        })
        .await
    }

    /// Takes a policy away past the guards, and waits until it is back.
    async fn repairs(&self) -> Result<()> {
        let client = self.plane.break_glass()?;
        let policies: Api<NetworkPolicy> = Api::namespaced(client, "acme-prod");
        let name = "tenure-default-deny";
        policies.delete(name, &DeleteParams::default()).await?;
        eventually(SOON, "the policy is back", async || {
            policies.get(name).await?;
            Ok(())
        })
        .await
    }

    async fn metric(&self, line: &str) -> Result<()> {
        eventually(SOON, line, async || {
            let text = self.operator()?.metrics().await?;
            ensure!(text.lines().any(|found| found == line), "{text}");
            Ok(())
        })
        .await
    }

    /// Runs the plugin on the record, as somebody who has no copy of it: exit code and what it printed.
    async fn plugin(&self, command: &str, args: &[&str]) -> Result<(Option<i32>, String)> {
        let (endpoint, credentials) = (self.server.endpoint(), self.server.credentials(WRITER)?);
        let authority = self.server.authority();
        let mut all: Vec<OsString> = ["ledger", command, &place(RECORD)]
            .map(OsString::from)
            .into();
        all.extend(args.iter().map(OsString::from));
        let places: &[&str] = match args.contains(&"--second-place") {
            true => &["--s3", "--second-place-s3"],
            false => &["--s3"],
        };
        for place in places {
            all.extend([format!("{place}-endpoint").into(), endpoint.into()]);
            all.push(format!("{place}-path-style").into());
            all.extend([format!("{place}-ca-bundle").into(), authority.into()]);
            all.extend([
                format!("{place}-credentials").into(),
                credentials.clone().into(),
            ]);
        }
        let output = Command::new(plugin())
            .args(all)
            .output()
            .await
            .context("cargo build --workspace")?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), said))
    }

    /// What `ledger verify` says with both places, and whether that was no finding.
    async fn verify(&self) -> Result<Value> {
        let keys = Record::of(self.plane.access())?.keys();
        let (keys, second) = (keys.to_str().context("no text")?, place(CHECKPOINTS));
        let args = ["--json", "--keys", keys, "--second-place", &second];
        let (code, said) = self.plugin("verify", &args).await?;
        let report: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let is_sound = report["sound"] == true;
        ensure!(code == Some(i32::from(!is_sound)), "{code:?}: {said}");
        Ok(report)
    }

    /// Waits until so many events of a type are on record, as the plugin shows them.
    async fn told(&self, kind: &str, count: usize) -> Result<()> {
        eventually(SOON, &format!("{count} {kind} on record"), async || {
            let args = ["--chain", ACME, "--type", kind, "--json"];
            let (_, said) = self.plugin("show", &args).await?;
            let entries = said.lines().filter(|line| line.starts_with('{'));
            ensure!(entries.count() == count, "{said}");
            Ok(())
        })
        .await
    }

    /// Waits until the record is sound and all of it borne out by the second place.
    async fn sound(&self) -> Result<()> {
        eventually(SOON, "a sound record", async || {
            let report = self.verify().await?;
            ensure!(
                report["sound"] == true && report["notShown"] == json!([]),
                "{report:#}"
            );
            Ok(())
        })
        .await
    }
}

fn plugin() -> PathBuf {
    paths::target().join("debug/kubectl-tenure")
}

fn place(bucket: &str) -> String {
    format!("s3://{bucket}/{PREFIX}")
}

/// The bucket's owner, whom only a lock stops.
async fn owner(server: &S3Server) -> Result<Bucket> {
    let settings = S3Settings {
        bucket: RECORD.into(),
        prefix: PREFIX.into(),
        region: REGION.into(),
        endpoint: Some(server.endpoint().into()),
        path_style: true,
        ca_bundle: Some(server.authority().to_path_buf()),
        credentials: Credentials::File(server.credentials(ROOT)?),
        lock: None,
    };
    settings.client().await.map_err(anyhow::Error::msg)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_in_a_bucket_is_the_memory() -> Result<()> {
    let mut stage = Stage::set().await?;
    wrong_settings(&stage).await.context("wrong settings")?;
    stage.start(&[]).await?;
    let tenant = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
        "spec": {
            "tenantID": ACME, "customer": {"name": "acme", "contacts": []},
            "classification": "Confidential", "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}]
        }
    });
    let tenant: CustomerTenant = serde_json::from_value(tenant)?;
    stage
        .tenants()?
        .create(&PostParams::default(), &tenant)
        .await?;
    stage.ready("True", "Reconciled").await?;
    recorded_and_locked(&stage).await.context("recorded")?;
    nobody_there(&mut stage).await.context("nobody there")?;
    remembered(&mut stage).await.context("remembered")?;
    no_authorities(&stage).await.context("no authorities")?;
    tampered_with(&stage).await.context("tampered with")?;
    stage.stop().await
}

/// What cannot work ends the process at once, and says what is wrong.
async fn wrong_settings(stage: &Stage) -> Result<()> {
    for (setting, words) in [
        (
            ("TENURE_RECORD", "gs://record"),
            "gs://record: a place is a folder or s3://bucket/prefix",
        ),
        (
            ("TENURE_RECORD", "/var/lib/record"),
            "/var/lib/record: this is a folder, and options of a bucket were given",
        ),
        (
            ("TENURE_RECORD_S3_CA_BUNDLE", "/nowhere/ca.pem"),
            "the certificates in /nowhere/ca.pem cannot be used",
        ),
    ] {
        let options = stage.options(&[setting])?;
        let operator = Operator::start_unready(stage.plane.access(), options).await?;
        let status = operator.ended(SOON)?;
        let log = std::fs::read_to_string(operator.log())?;
        ensure!(!status.success() && log.contains(words), "{log}");
    }
    Ok(())
}

/// Both places hold what was accepted, for as long as is documented, and for the owner too.
async fn recorded_and_locked(stage: &Stage) -> Result<()> {
    stage.told("spec.accepted", 1).await?;
    stage.sound().await?;
    let key = format!("{PREFIX}/{}", layout::segment(ACME.parse()?, 1));
    let head = stage.bucket.head_object().bucket(RECORD).key(&key);
    let head = head.send().await?;
    ensure!(head.object_lock_mode() == Some(&ObjectLockMode::Compliance));
    let until = head.object_lock_retain_until_date().context("no day")?;
    let days = (until.secs() - Timestamp::now().as_second()) / (24 * 60 * 60);
    ensure!((453..=455).contains(&days), "locked for {days} days");
    let delete = stage.bucket.delete_object().bucket(RECORD).key(&key);
    let version = head.version_id().context("no version")?;
    ensure!(delete.version_id(version).send().await.is_err());
    Ok(())
}

/// The server is gone, at a start too: what is new waits, repair does not. Afterwards both are on record.
async fn nobody_there(stage: &mut Stage) -> Result<()> {
    stage.server.kill()?;
    stage.repairs().await?;
    stage.change(json!({"owner": {"name": "platform"}})).await?;
    stage.ready("False", "StoreUnreachable").await?;
    stage.metric("tenure_record_available 0").await?;
    stage.operator()?.kill()?;

    stage.start(&[]).await?;
    stage.metric("tenure_record_read 0").await?;
    stage.repairs().await?;
    stage.ready("False", "RecordUnread").await?;
    stage.server.come_again().await?;
    stage.ready("True", "Reconciled").await?;
    stage.metric("tenure_record_available 1").await?;
    stage.told("spec.accepted", 2).await?;
    stage.told("drift.repaired", 2).await?;
    stage.sound().await?;
    stage.stop().await
}

/// The working copy is gone, and so is nothing: what was accepted is read from the bucket, and a loosening waits.
async fn remembered(stage: &mut Stage) -> Result<()> {
    let copies: Api<ConfigMap> = Api::namespaced(stage.plane.break_glass()?, install::NAMESPACE);
    let records = ListParams::default().labels("tenure.dev/record=true");
    copies
        .delete_collection(&DeleteParams::default(), &records)
        .await?;
    stage.change(json!({"classification": "Internal"})).await?;
    stage.start(&[]).await?;
    stage.ready("False", "AwaitingAmendment").await?;
    stage
        .change(json!({"classification": "Confidential"}))
        .await?;
    stage.ready("True", "Reconciled").await?;
    stage.metric("tenure_record_read 1").await?;
    stage.sound().await
}

/// A machine that trusts nobody, as the operator's image does: the public authorities are known, and this server's is none of them.
async fn no_authorities(stage: &Stage) -> Result<()> {
    let output = Command::new(plugin())
        .args(["ledger", "show", &place(RECORD), "--s3-path-style"])
        .args(["--s3-endpoint", stage.server.endpoint()])
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/nowhere")
        .env("AWS_ACCESS_KEY_ID", WRITER.0)
        .env("AWS_SECRET_ACCESS_KEY", WRITER.secret())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    let is_told = output.status.code() == Some(2) && said.contains("peer certificate");
    ensure!(is_told, "{}: {said}", output.status);
    Ok(())
}

/// The owner writes over one object and deletes another: the first versions count, and both are found.
async fn tampered_with(stage: &Stage) -> Result<()> {
    let before = stage.verify().await?;
    let list = stage.bucket.list_objects_v2().bucket(RECORD);
    let list = list.prefix(format!("{PREFIX}/v1/chains/{ACME}/")).send();
    let list = list.await?;
    let keys: Vec<&str> = list.contents().iter().filter_map(|one| one.key()).collect();
    let [first, second, ..] = keys.as_slice() else {
        anyhow::bail!("too few segments: {keys:?}");
    };
    let forged = stage.bucket.put_object().bucket(RECORD).key(*first);
    let body = ByteStream::from_static(b"{}\n");
    forged.body(body).send().await?;
    let delete = stage.bucket.delete_object().bucket(RECORD).key(*second);
    delete.send().await?;

    let after = stage.verify().await?;
    ensure!(after["sound"] == false, "{after:#}");
    let found = after["findings"].as_array().context("no findings")?;
    let mut found = found
        .iter()
        .map(|finding| Some((finding["kind"].as_str()?, finding["key"].as_str()?)));
    for key in [first, second] {
        let key = key.strip_prefix(&format!("{PREFIX}/"));
        let wanted = Some(("Overwritten", key.unwrap()));
        ensure!(found.next() == Some(wanted), "{after:#}");
    }
    ensure!(found.next().is_none(), "{after:#}");
    // What lies beneath was read all the same.
    ensure!(
        after["entries"].as_u64() >= before["entries"].as_u64(),
        "{after:#}"
    );
    stage.change(json!({"owner": {"name": "third"}})).await?;
    stage.ready("True", "Reconciled").await
}
