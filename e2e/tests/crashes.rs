//! The operator is killed after every one of its writes. For all k: killed after the k-th write of a workload and
//! started again, it comes to the state that a run without a crash comes to, and on the whole way every object was
//! created as often and deleted as often as there.
//!
//! A write may be repeated as a replacement by the same. A second create of the same object (201) or a second successful
//! delete may not.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tenure_e2e::audit::Mark;
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::operator::{Operator, OperatorOptions};
use tenure_e2e::proxy::LastAnswer;
use tenure_e2e::{Plane, PlaneOptions, Proxy, eventually};

const SOON: Duration = Duration::from_secs(60);
const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";

/// What somebody does to a tenant, in the order in which it is done.
#[derive(Clone, Copy, Debug)]
enum Workload {
    /// Two namespaces, two members, a peer.
    Onboarding,
    /// A member comes, one goes, one changes role; quota and peer change; a namespace comes.
    Change,
    /// A namespace leaves the list.
    Parking,
}

const WORKLOADS: [Workload; 3] = [Workload::Onboarding, Workload::Change, Workload::Parking];

impl Workload {
    fn spec(self) -> Value {
        let member = |name: &str, role: &str| json!({"name": name, "kind": "Group", "subject": format!("{name}-people"), "role": role});
        let peer = |name: &str| json!({"ingressFrom": [{"name": name, "namespace": name}]});
        match self {
            Self::Onboarding => json!({
                "namespaces": [{"name": "prod"}, {"name": "test"}],
                "members": [member("ops", "Viewer"), member("staff", "Viewer")],
                "network": peer("tools"),
            }),
            Self::Change => json!({
                "namespaces": [{"name": "prod", "quota": {"pods": "7"}}, {"name": "test"}, {"name": "next"}],
                "members": [member("ops", "Member"), member("help", "Viewer")],
                "network": peer("gateway"),
            }),
            Self::Parking => {
                json!({"namespaces": [{"name": "prod", "quota": {"pods": "7"}}, {"name": "next"}]})
            }
        }
    }
}

/// A tenant of the test. Only the names tell it from the others.
struct Subject {
    name: String,
    id: String,
}

impl Subject {
    fn new(number: usize) -> Self {
        Self {
            name: format!("crashing-{number:02}"),
            id: format!("88888888-8888-4888-8888-{number:012}"),
        }
    }

    /// The same text for every subject.
    fn normal(&self, text: &str) -> String {
        text.replace(&self.name, "TENANT").replace(&self.id, "ID")
    }
}

/// What stands, by kind and place.
type State = BTreeMap<String, Value>;

/// How often each object was created and deleted.
type Count = BTreeMap<String, usize>;

/// What a run without a crash comes to.
struct Clean {
    writes: usize,
    state: State,
    count: Count,
}

struct Stage {
    plane: Plane,
    proxy: Proxy,
    operator: Operator,
    client: Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "crashes".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        let client = plane.admin()?;
        Api::all(client.clone())
            .create(&PostParams::default(), &policy)
            .await?;
        let proxy = Proxy::start(&plane).await?;
        let operator = start(&plane, &proxy).await?;
        Ok(Self {
            plane,
            proxy,
            operator,
            client,
        })
    }

    async fn begin(&self, subject: &Subject, workload: Workload) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(self.client.clone());
        let mut spec = workload.spec();
        if !matches!(workload, Workload::Onboarding) {
            let change = Patch::Merge(json!({"spec": spec}));
            tenants
                .patch(&subject.name, &PatchParams::default(), &change)
                .await?;
            return Ok(());
        }
        spec["tenantID"] = json!(subject.id);
        spec["customer"] = json!({"name": "Example"});
        spec["classification"] = json!("Internal");
        spec["agreements"] = json!([{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}]);
        let tenant = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": subject.name}, "spec": spec}),
        )?;
        tenants.create(&PostParams::default(), &tenant).await?;
        Ok(())
    }

    /// Everything that stands of a tenant once it is Ready as declared.
    async fn state(&self, subject: &Subject) -> Result<State> {
        let mut state = State::new();
        let tenants: Api<CustomerTenant> = Api::all(self.client.clone());
        let tenant = tenants.get(&subject.name).await?;
        let status = tenant.status.clone().context("no status")?;
        ensure!(
            status.observed_generation == tenant.metadata.generation,
            "the spec is not looked at yet"
        );
        let is_ready = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            condition.type_ == "Ready" && condition.status == "True"
        };
        ensure!(
            status.conditions.iter().any(is_ready),
            "not Ready: {:?}",
            status.conditions
        );
        put(&mut state, subject, "CustomerTenant", &tenant)?;
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let record = records
            .get(&format!("tenure-record-{}", subject.id))
            .await?;
        let text = &record.data.as_ref().context("an empty record")?["record.json"];
        let mut remembered: Value = serde_json::from_str(text)?;
        remembered["uid"] = json!("uid");
        put(&mut state, subject, "Record", &record)?;
        state.insert("remembered".into(), normal(subject, &remembered)?);
        let ours = ListParams::default().labels(&format!("tenure.dev/tenant={}", subject.name));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        for namespace in namespaces.list(&ours).await? {
            let name = namespace.name_any();
            put(&mut state, subject, "Namespace", &namespace)?;
            self.put_all::<NetworkPolicy>(&mut state, subject, &name)
                .await?;
            self.put_all::<ResourceQuota>(&mut state, subject, &name)
                .await?;
            self.put_all::<LimitRange>(&mut state, subject, &name)
                .await?;
            self.put_all::<RoleBinding>(&mut state, subject, &name)
                .await?;
        }
        Ok(state)
    }

    async fn put_all<K>(&self, state: &mut State, subject: &Subject, namespace: &str) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Serialize
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        for object in api.list(&ListParams::default()).await? {
            put(state, subject, &K::kind(&()), &object)?;
        }
        Ok(())
    }

    /// What the operator created and deleted since `mark`.
    fn count(&self, subject: &Subject, mark: Mark) -> Result<Count> {
        let mut count = Count::new();
        for event in self.plane.audit().writes_by(OPERATOR, mark)? {
            let deleted = event.verb == "delete" && event.code() == 200;
            if event.code() != 201 && !deleted {
                continue;
            }
            let line = subject.normal(&event.line());
            // An event's name ends with a random part.
            let line = match line.split_once(" events ") {
                Some((verb, object)) => {
                    format!("{verb} events {}", object.split('.').next().unwrap_or(""))
                }
                None => line,
            };
            *count.entry(line).or_default() += 1;
        }
        Ok(count)
    }

    async fn clean(&self, subject: &Subject, workload: Workload) -> Result<Clean> {
        let mark = self.plane.audit().mark().await?;
        let before = self.proxy.writes().len();
        self.begin(subject, workload).await?;
        let (mut state, mut since) = (State::new(), Instant::now());
        eventually(SOON, "a run without a crash is settled", async || {
            let now = self.state(subject).await?;
            if now != state {
                (state, since) = (now, Instant::now());
            }
            ensure!(since.elapsed() > Duration::from_secs(3), "it still changes");
            Ok(())
        })
        .await?;
        Ok(Clean {
            writes: self.proxy.writes().len() - before,
            state,
            count: self.count(subject, mark)?,
        })
    }

    async fn same(&self, subject: &Subject, clean: &Clean) -> Result<()> {
        let state = self.state(subject).await?;
        ensure!(
            state == clean.state,
            "what stands differs: {}",
            difference(&state, &clean.state)
        );
        Ok(())
    }

    /// Kills the operator after the k-th write, starts it again and compares. Answers whether there was a k-th write.
    async fn crash(
        &mut self,
        subject: &Subject,
        workload: Workload,
        clean: &Clean,
        k: usize,
    ) -> Result<bool> {
        let mark = self.plane.audit().mark().await?;
        // Both leave the same behind; that the operator's last moments differ must make no difference.
        let answer = if k.is_multiple_of(2) {
            LastAnswer::Delivered
        } else {
            LastAnswer::Lost
        };
        self.proxy.cut_after(k, answer);
        self.begin(subject, workload).await?;
        let is_cut = tokio::select! {
            () = self.proxy.cut() => true,
            same = eventually(SOON, "the workload comes to its end", async || {
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.same(subject, clean).await
            }) => same.map(|()| false)?,
        };
        if is_cut {
            self.operator.kill()?;
            let last = self.proxy.writes();
            ensure!(last.len() == k, "{} writes passed, not {k}", last.len());
            self.proxy.mend();
            self.operator = start(&self.plane, &self.proxy).await?;
        }
        eventually(SOON, "the end state is that of the clean run", async || {
            self.same(subject, clean).await
        })
        .await?;
        let count = self.count(subject, mark)?;
        ensure!(
            count == clean.count,
            "created and deleted: {count:#?}, without a crash: {:#?}",
            clean.count
        );
        Ok(is_cut)
    }
}

async fn start(plane: &Plane, proxy: &Proxy) -> Result<Operator> {
    let options = OperatorOptions {
        url: Some(proxy.url()),
        // No pass may be missed for so long that statuses say so: few come to their end here.
        interval_seconds: 600,
        ..OperatorOptions::default()
    };
    Operator::start(plane.access(), options).await
}

fn put(
    state: &mut State,
    subject: &Subject,
    kind: &str,
    object: &(impl Serialize + ResourceExt),
) -> Result<()> {
    let place = format!(
        "{kind} {}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    );
    let mut value = serde_json::to_value(object)?;
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
    ] {
        value["metadata"].as_object_mut().unwrap().remove(key);
    }
    match kind {
        // Another controller's.
        "Namespace" | "ResourceQuota" => drop(value.as_object_mut().unwrap().remove("status")),
        // Compared by what it says.
        "Record" => drop(value.as_object_mut().unwrap().remove("data")),
        _ => {}
    }
    state.insert(subject.normal(&place), normal(subject, &value)?);
    Ok(())
}

/// The object without times and without what is computed from its name.
fn normal(subject: &Subject, value: &Value) -> Result<Value> {
    let mut value: Value = serde_json::from_str(&subject.normal(&value.to_string()))?;
    forget_times(&mut value);
    Ok(value)
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields
                .retain(|key, _| !key.ends_with("Time") && !key.ends_with("At") && key != "since");
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::String(text) if text.starts_with("sha256:") => *text = "digest".into(),
        _ => {}
    }
}

/// What differs, for a failure one can read.
fn difference(is: &State, should: &State) -> String {
    let mut lines = Vec::new();
    let (is, should) = (json!(is), json!(should));
    differences("", &is, &should, &mut lines);
    lines.join("\n")
}

fn differences(path: &str, is: &Value, should: &Value, lines: &mut Vec<String>) {
    match (is, should) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                differences(&format!("{path}.{key}"), &is[key], &should[key], lines);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (is, should)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{index}]"), is, should, lines);
            }
        }
        _ if is != should => lines.push(format!("{path}: {is}, and should be {should}")),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_write_changes_nothing_about_the_end() -> Result<()> {
    let mut stage = Stage::set().await?;
    let subject = Subject::new(0);
    let mut clean = Vec::new();
    for workload in WORKLOADS {
        let run = stage
            .clean(&subject, workload)
            .await
            .with_context(|| format!("{workload:?} without a crash"))?;
        eprintln!("{workload:?}: {} writes", run.writes);
        ensure!(run.writes >= 5, "{workload:?} has hardly anything to write");
        clean.push((workload, run));
    }
    let most = clean.iter().map(|(_, run)| run.writes).max();
    let (start, mut crashes) = (Instant::now(), 0);
    for k in 1..=most.unwrap_or_default() {
        let subject = Subject::new(k);
        // A workload with fewer writes than k is run only where a later one, which builds on it, has as many.
        let left = clean.iter().rposition(|(_, run)| k <= run.writes);
        for (workload, run) in &clean[..=left.unwrap_or_default()] {
            let was_cut = stage
                .crash(&subject, *workload, run, k)
                .await
                .with_context(|| {
                    format!("{workload:?}, killed after write {k} of {}", run.writes)
                })?;
            // Two things that happen at once may be told in one status or in two.
            ensure!(
                was_cut || k + 2 > run.writes,
                "{workload:?} was over before write {k} of {}",
                run.writes
            );
            crashes += usize::from(was_cut);
        }
    }
    eprintln!(
        "{crashes} crashes in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
