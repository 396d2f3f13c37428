//! Faults of everything between the operator and its data, one after another: answers come late, connections break,
//! events come twice, reads are old, an API server dies, etcd dies, and the store is restored from an older snapshot.
//! Through all of it nothing is opened, nothing is written twice, and a tenant that nobody touched is not touched.
//!
//! One plane with two API servers; the operator reaches them through a proxy, which is their load balancer too.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tenure_e2e::audit::{Event, Mark, grouped};
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::operator::{self, Operator, OperatorOptions};
use tenure_e2e::plane::Restore;
use tenure_e2e::{Plane, PlaneOptions, Proxy, Record, eventually};
use tenure_evidence::Base;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(60);
const OPERATOR: &str = "system:serviceaccount:tenure-system:tenure-operator";
/// The tenant that nobody touches.
const CALM: &str = "calm";

struct Stage {
    plane: Plane,
    proxy: Proxy,
    /// The number each tenant has its id from: as in Git, the same whenever it is declared.
    numbers: BTreeMap<String, usize>,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "outages".into(),
            second_api_server: true,
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        Api::all(plane.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        let proxy = Proxy::start(&plane).await?;
        Ok(Self {
            plane,
            proxy,
            numbers: BTreeMap::new(),
        })
    }

    /// An operator behind the proxy; `pod` is its name.
    async fn operator(&self, pod: &str) -> Result<Operator> {
        Operator::start_unready(self.plane.access(), self.options(pod)).await
    }

    fn options(&self, pod: &str) -> OperatorOptions {
        OperatorOptions {
            url: Some(self.proxy.url()),
            instance: pod.into(),
            ..OperatorOptions::default()
        }
    }

    fn tenants(&self) -> Result<Api<CustomerTenant>> {
        Ok(Api::all(self.plane.admin()?))
    }

    async fn declare(&mut self, name: &str) -> Result<()> {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        let tenant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
            "spec": {
                "tenantID": format!("66666666-6666-4666-8666-{number:012}"), "customer": {"name": name}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
                "namespaces": [{"name": "prod"}],
                "members": [{"name": "ops", "kind": "Group", "subject": "ops-people", "role": "Viewer"}]
            }
        }))?;
        self.tenants()?
            .create(&PostParams::default(), &tenant)
            .await?;
        Ok(())
    }

    async fn change(&self, name: &str, spec: Value) -> Result<()> {
        self.tenants()?
            .patch(
                name,
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": spec})),
            )
            .await?;
        Ok(())
    }

    async fn ready(&self, name: &str) -> Result<()> {
        let tenants = self.tenants()?;
        eventually(SOON, &format!("{name} is Ready"), async || {
            let tenant = tenants.get(name).await?;
            let status = tenant.status.context("no status")?;
            ensure!(
                status.observed_generation == tenant.metadata.generation,
                "not looked at yet"
            );
            let ready = status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            ensure!(ready, "{:?}", status.conditions);
            Ok(())
        })
        .await
    }

    /// Takes a policy away, past the guards, through `client`.
    async fn drift(&self, client: Client, name: &str) -> Result<()> {
        let policies: Api<NetworkPolicy> = Api::namespaced(client, &format!("{name}-prod"));
        policies
            .delete("tenure-default-deny", &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn repaired(&self, name: &str) -> Result<()> {
        let client = self.plane.admin()?;
        let policies: Api<NetworkPolicy> = Api::namespaced(client, &format!("{name}-prod"));
        eventually(SOON, "the policy stands again", async || {
            Ok(policies.get("tenure-default-deny").await.map(drop)?)
        })
        .await
    }

    /// What stands in a tenant's namespaces, each with its version: a write that changes nothing leaves it.
    async fn versions(&self, name: &str) -> Result<BTreeMap<String, Option<String>>> {
        let client = self.plane.admin()?;
        let ours = ListParams::default().labels(&format!("tenure.dev/tenant={name}"));
        let mut versions = BTreeMap::new();
        let mut put = |kind: &str, object: &dyn Versioned| {
            versions.insert(format!("{kind} {}", object.place()), object.version());
        };
        for object in Api::<Namespace>::all(client.clone()).list(&ours).await? {
            put("Namespace", &object);
        }
        for object in Api::<NetworkPolicy>::all(client.clone())
            .list(&ours)
            .await?
        {
            put("NetworkPolicy", &object);
        }
        for object in Api::<RoleBinding>::all(client).list(&ours).await? {
            put("RoleBinding", &object);
        }
        Ok(versions)
    }

    async fn mark(&self) -> Result<Mark> {
        self.plane.audit().mark().await
    }

    fn writes(&self, mark: Mark) -> Result<Vec<Event>> {
        self.plane.audit().writes_by(OPERATOR, mark)
    }

    /// Nothing was created twice or deleted twice since `mark`; answers what was.
    fn once(&self, mark: Mark) -> Result<BTreeSet<String>> {
        let mut writes = self.writes(mark)?;
        writes
            .retain(|event| event.code() == 201 || (event.verb == "delete" && event.code() == 200));
        let counted = grouped(&writes);
        let twice: Vec<_> = counted.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(twice.is_empty(), "written twice: {twice:#?}");
        Ok(counted.into_keys().collect())
    }

    /// What is said of every tenant, for a failure one can read.
    async fn verdicts(&self) -> Result<BTreeSet<String>> {
        let tenants = self.tenants()?.list(&ListParams::default()).await?;
        let mut said = BTreeSet::new();
        for tenant in tenants {
            let name = tenant.name_any();
            let status = tenant.status.unwrap_or_default();
            said.extend(status.conditions.iter().map(|it| format!("{name} {it:?}")));
            said.extend(status.controls.iter().map(|it| format!("{name} {it:?}")));
        }
        Ok(said)
    }

    /// Nothing is written while nothing changes, over more than one evaluation pass.
    async fn silent(&self) -> Result<()> {
        self.unwritten_for(Duration::from_secs(6)).await
    }

    /// What was begun has come to its end.
    async fn settled(&self) -> Result<()> {
        self.unwritten_for(Duration::from_millis(1500)).await
    }

    async fn unwritten_for(&self, time: Duration) -> Result<()> {
        let what = format!("nothing is written for {time:?}");
        eventually(SOON, &what, async || {
            let (mark, before) = (self.mark().await?, self.verdicts().await?);
            tokio::time::sleep(time).await;
            let writes = grouped(&self.writes(mark)?);
            let after = self.verdicts().await?;
            let news: Vec<&String> = after.difference(&before).collect();
            ensure!(writes.is_empty(), "{writes:#?}, {news:#?}");
            Ok(())
        })
        .await
    }
}

trait Versioned {
    fn place(&self) -> String;
    fn version(&self) -> Option<String>;
}

impl<K: ResourceExt> Versioned for K {
    fn place(&self) -> String {
        format!(
            "{}/{}",
            self.namespace().unwrap_or_default(),
            self.name_any()
        )
    }

    fn version(&self) -> Option<String> {
        self.resource_version()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_a_bad_day() -> Result<()> {
    let mut stage = Stage::set().await?;
    let operator = stage.operator("tenure-operator-0").await?;
    operator.ready().await?;
    stage.declare(CALM).await?;
    stage.ready(CALM).await?;
    let calm = stage.versions(CALM).await?;
    ensure!(calm.len() == 5, "{calm:?}");
    late_answers(&mut stage).await.context("late answers")?;
    broken_connections(&mut stage)
        .await
        .context("broken connections")?;
    repeated_events(&mut stage)
        .await
        .context("repeated events")?;
    let operator = stale_reads(&mut stage, operator)
        .await
        .context("stale reads")?;
    two_api_servers(&mut stage)
        .await
        .context("two API servers")?;
    let operator = without_etcd(&stage, operator)
        .await
        .context("without etcd")?;
    ensure!(
        stage.versions(CALM).await? == calm,
        "the tenant that nobody touched was touched"
    );
    let operators = older_snapshot(&mut stage, vec![operator], Restore::AsItWas)
        .await
        .context("restored as it was")?;
    let operators = older_snapshot(&mut stage, operators, Restore::Bumped)
        .await
        .context("restored with revisions bumped")?;
    restored_while_it_fills(&stage, operators)
        .await
        .context("restored while it fills its caches")?;
    ensure!(
        stage.versions(CALM).await? == calm,
        "the tenant that nobody touched was touched"
    );
    Ok(())
}

/// Every answer takes a third of a second; the work takes longer, and is the same.
async fn late_answers(stage: &mut Stage) -> Result<()> {
    stage.proxy.delay(Duration::from_millis(300));
    let mark = stage.mark().await?;
    stage.declare("late").await?;
    stage.ready("late").await?;
    stage.drift(stage.plane.break_glass()?, "late").await?;
    stage.repaired("late").await?;
    stage.proxy.delay(Duration::ZERO);
    stage.settled().await?;
    let written = stage.writes(mark)?;
    let repairs = written.iter().filter(|event| {
        event.code() == 201 && event.line().contains("late-prod/tenure-default-deny")
    });
    ensure!(repairs.count() == 2, "made once and repaired once");
    Ok(())
}

/// Connections break all the time, watches and requests under way included.
async fn broken_connections(stage: &mut Stage) -> Result<()> {
    let mark = stage.mark().await?;
    stage.declare("broken").await?;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.proxy.drop_links();
    }
    stage.ready("broken").await?;
    // Of a request whose connection broke the audit log may know no success: which ones these are is chance.
    let made = stage.once(mark)?;
    let is_policy = |line: &String| line.starts_with("create networkpolicies broken-prod/");
    ensure!(made.iter().any(is_policy), "{made:#?}");
    // What happens while no watch stands is seen by the next.
    stage.proxy.drop_links();
    stage.drift(stage.plane.break_glass()?, "broken").await?;
    stage.proxy.drop_links();
    stage.repaired("broken").await?;
    stage.silent().await
}

/// Every event comes twice: things happen once.
async fn repeated_events(stage: &mut Stage) -> Result<()> {
    stage.proxy.duplicate(true);
    let mark = stage.mark().await?;
    stage.declare("twice").await?;
    stage.ready("twice").await?;
    stage
        .change(
            "twice",
            json!({"members": null, "namespaces": [{"name": "prod"}, {"name": "more"}]}),
        )
        .await?;
    stage.ready("twice").await?;
    stage.settled().await?;
    let done = stage.once(mark)?;
    ensure!(
        done.contains("delete rolebindings twice-prod/tenure-member-ops (200)"),
        "{done:#?}"
    );
    let mark = stage.mark().await?;
    stage.drift(stage.plane.break_glass()?, "twice").await?;
    stage.repaired("twice").await?;
    stage.silent().await?;
    let made = stage.once(mark)?;
    stage.proxy.duplicate(false);
    let expected = |line: &String| {
        line.contains("twice-prod/tenure-default-deny") || line.contains(" events ")
    };
    ensure!(made.len() == 2 && made.iter().all(expected), "{made:#?}");
    ensure!(
        stage.proxy.duplicated() > 15,
        "only {} events came twice",
        stage.proxy.duplicated()
    );
    Ok(())
}

/// The operator starts on what the cluster was minutes ago, its own memory included, and finds out later.
async fn stale_reads(stage: &mut Stage, operator: Operator) -> Result<Operator> {
    stage.declare("old").await?;
    stage.ready("old").await?;
    operator.stop().await?;
    stage.proxy.keep_reads();
    let operator = stage.operator("tenure-operator-0").await?;
    operator.ready().await?;
    stage.settled().await?;
    stage.change("old", json!({"members": null})).await?;
    stage.declare("young").await?;
    stage.ready("young").await?;
    stage.ready("old").await?;
    stage.settled().await?;
    let (young, old) = (stage.versions("young").await?, stage.versions("old").await?);
    let record = stage.record("young").await?;
    operator.stop().await?;

    stage.proxy.read_stale();
    let mark = stage.mark().await?;
    let operator = stage.operator("tenure-operator-0").await?;
    operator.ready().await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    stage.proxy.read_fresh();
    stage.ready("young").await?;
    stage.ready("old").await?;
    stage.silent().await?;
    let made = stage.once(mark)?;
    ensure!(made.is_empty(), "{made:#?}");
    ensure!(stage.versions("young").await? == young);
    ensure!(stage.versions("old").await? == old, "the member is back");
    ensure!(
        stage.record("young").await? == record,
        "what was remembered was overwritten from an older state"
    );
    remembered_elsewhere(stage).await?;
    stage.drift(stage.plane.break_glass()?, "young").await?;
    stage.repaired("young").await?;
    Ok(operator)
}

/// What somebody else recorded meanwhile is not overwritten from an older memory.
async fn remembered_elsewhere(stage: &Stage) -> Result<()> {
    let record = stage.record("young").await?;
    ensure!(record["used"] == false, "{record:#}");
    let chain = record["tenantID"].as_str().context("no id")?.parse()?;
    let another = Record::of(stage.plane.access())?.ledger()?;
    let recalled = another.recall(chain).await?;
    let mut state = recalled.state.context("no state")?["state"].take();
    state["used"] = json!(true);
    let state = tenure_evidence::Event::State { state }.draft(Uuid::new_v4(), Timestamp::now());
    let base = Base::State(recalled.tip.state);
    another.append_on(chain, base, vec![state]).await?;
    stage
        .change("young", json!({"customer": {"name": "Young"}}))
        .await?;
    stage.ready("young").await?;
    let after = stage.record("young").await?;
    ensure!(after["spec"]["customer"]["name"] == "Young", "{after:#}");
    ensure!(after["used"] == true, "it was overwritten: {after:#}");
    Ok(())
}

/// Two API servers on one etcd. The operator speaks to one, drift is made at the other; then its own dies.
async fn two_api_servers(stage: &mut Stage) -> Result<()> {
    let second = stage.plane.second();
    let slices: Api<EndpointSlice> = Api::namespaced(second.admin()?, "default");
    let leases: Api<Lease> = Api::namespaced(second.admin()?, "kube-system");
    let identities = ListParams::default().labels("apiserver.kubernetes.io/identity");
    eventually(SOON, "both API servers are known", async || {
        let endpoints = slices
            .get("kubernetes")
            .await?
            .endpoints
            .unwrap_or_default();
        let count: usize = endpoints
            .iter()
            .map(|endpoint| endpoint.addresses.len())
            .sum();
        ensure!(count == 2, "{endpoints:?}");
        let known = leases.list(&identities).await?.items.len();
        ensure!(known == 2, "{known} identities");
        Ok(())
    })
    .await?;
    // The operator proves its guards at the API server it speaks to; each of the two loads them for itself.
    install::guards_loaded(&second).await?;
    stage.drift(second.break_glass()?, "young").await?;
    stage.repaired("young").await?;

    let mark = stage.mark().await?;
    stage.plane.stop_api_server()?;
    let policies: Api<NetworkPolicy> = Api::namespaced(second.break_glass()?, "young-prod");
    policies
        .delete("tenure-dns", &DeleteParams::default())
        .await?;
    eventually(SOON, "repaired through the other API server", async || {
        Ok(policies.get("tenure-dns").await.map(drop)?)
    })
    .await?;
    stage.plane.start_api_server().await?;
    stage.settled().await?;
    let made = stage.once(mark)?;
    ensure!(
        made.contains("create networkpolicies young-prod/tenure-dns (201)"),
        "{made:#?}"
    );
    Ok(())
}

/// etcd is killed and stays away for a while: the operator waits, then goes on where it was. Where that takes longer than a leader
/// may be without its Lease, it ends, and is started again as its pod would be.
async fn without_etcd(stage: &Stage, mut operator: Operator) -> Result<Operator> {
    let before = stage.versions("young").await?;
    let mark = stage.mark().await?;
    stage.plane.stop_etcd()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.plane.start_etcd().await?;
    stage.ready("young").await?;
    if operator::lease_is_renewed(&stage.plane).await.is_err() {
        let ended = operator.ended(Duration::from_secs(30));
        ended.context("it neither leads nor ends")?;
        operator = stage.operator("tenure-operator-0").await?;
        operator.ready().await?;
    }
    stage.silent().await?;
    ensure!(stage.versions("young").await? == before);
    let made = stage.once(mark)?;
    ensure!(made.is_empty(), "{made:#?}");
    stage.drift(stage.plane.break_glass()?, "young").await?;
    stage.repaired("young").await?;
    Ok(operator)
}

/// The store goes back to before a change, an end of a membership and an onboarding, under a leader and a standby.
///
/// Whoever knows more than the store starts again, and the record outranks what stands in the snapshot: what was accepted since is
/// enforced, who left stays out, and the tenants wait frozen until Git brings what was accepted.
async fn older_snapshot(
    stage: &mut Stage,
    mut operators: Vec<Operator>,
    how: Restore,
) -> Result<Vec<Operator>> {
    let (first, later) = match how {
        Restore::AsItWas => ("first-a", "later-a"),
        Restore::Bumped => ("first-b", "later-b"),
    };
    if operators.len() == 1 {
        operators.push(stage.operator("tenure-operator-1").await?);
    }
    for operator in &operators {
        operator.is_up().await?;
    }
    stage.declare(first).await?;
    stage.ready(first).await?;
    stage.settled().await?;
    let snapshot = stage.plane.snapshot().await?;

    stage.ready(first).await?;
    let more = json!({"members": null, "namespaces": [{"name": "prod"}, {"name": "more"}]});
    stage.change(first, more.clone()).await?;
    stage.ready(first).await?;
    stage.declare(later).await?;
    stage.ready(later).await?;
    let record = stage.record(first).await?;
    operator::lease_is_seen(&stage.plane, &operators).await?;
    let noticed = notices(&operators)?;
    stage.plane.restore(&snapshot, how).await?;

    // Each ends by itself, and is started again as its pod would be.
    for operator in &operators {
        let status = operator.ended(Duration::from_secs(120))?;
        ensure!(!status.success(), "it ended as if all were well");
    }
    // A leader may also have ended because it could not renew its Lease for too long.
    ensure!(
        notices(&operators)? > noticed,
        "nobody saw that the store may have gone back"
    );
    operators.clear();
    operators.push(stage.operator("tenure-operator-0").await?);
    operators.push(stage.operator("tenure-operator-1").await?);
    stage.frozen(first, "RecordMismatch").await?;
    let client = stage.plane.admin()?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let bindings: Api<RoleBinding> = Api::namespaced(client, &format!("{first}-prod"));
    let ours = ListParams::default().labels("tenure.dev/tenant");
    eventually(SOON, "what was accepted since stands", async || {
        for accepted in [format!("{first}-more"), format!("{later}-prod")] {
            namespaces.get(&accepted).await?;
        }
        let members = bindings.list(&ours).await?.items;
        ensure!(members.is_empty(), "who left is back: {members:?}");
        Ok(())
    })
    .await?;
    let mut frozen = stage.record(first).await?;
    frozen["frozen"] = Value::Null;
    ensure!(frozen == record, "{frozen:#}\n{record:#}");
    // What was declared since comes from Git again.
    stage.change(first, more).await?;
    stage.declare(later).await?;
    stage.ready(first).await?;
    stage.ready(later).await?;
    stage.drift(stage.plane.break_glass()?, first).await?;
    stage.repaired(first).await?;
    stage.settled().await?;
    Ok(operators)
}

/// The store goes back under an operator that is just starting: what it read before that would stay, and nothing would ever tell it.
async fn restored_while_it_fills(stage: &Stage, operators: Vec<Operator>) -> Result<()> {
    drop(operators);
    let leader = stage.operator("tenure-operator-0").await?;
    leader.ready().await?;
    let snapshot = stage.plane.snapshot().await?;
    stage.proxy.hold_reads();
    let starting = stage.operator("tenure-operator-1").await?;
    operator::lease_is_seen(&stage.plane, std::slice::from_ref(&starting)).await?;
    let noticed = notices(std::slice::from_ref(&starting))?;
    stage.plane.restore(&snapshot, Restore::AsItWas).await?;
    stage.proxy.let_reads_go();
    for operator in [&leader, &starting] {
        let status = operator.ended(Duration::from_secs(120))?;
        ensure!(!status.success(), "it ended as if all were well");
    }
    ensure!(
        notices(&[starting])? > noticed,
        "it did not see that the store may have gone back"
    );
    Ok(())
}

/// How often the operators' logs say that what was known of the store is not so any more: it went back, or was away for so long that it may have.
fn notices(operators: &[Operator]) -> Result<usize> {
    let mut count = 0;
    for operator in operators {
        count += fs::read_to_string(operator.log())?
            .matches("starting again from what is there")
            .count();
    }
    Ok(count)
}

impl Stage {
    async fn frozen(&self, name: &str, reason: &str) -> Result<()> {
        let tenants = self.tenants()?;
        eventually(SOON, &format!("{name} is frozen"), async || {
            let status = tenants.get(name).await?.status.context("no status")?;
            let frozen = |condition: &&Condition| condition.type_ == "Frozen";
            let frozen = status.conditions.iter().find(frozen);
            let frozen = frozen.context("it is not frozen")?;
            ensure!(frozen.reason == reason, "{frozen:?}");
            Ok(())
        })
        .await
    }

    /// What is remembered about a tenant.
    async fn record(&self, name: &str) -> Result<Value> {
        let maps: Api<ConfigMap> = Api::namespaced(self.plane.admin()?, NAMESPACE);
        let ours = ListParams::default()
            .labels(&format!("tenure.dev/record=true,tenure.dev/tenant={name}"));
        let found = maps.list(&ours).await?;
        let map = found.items.first().context("nothing is remembered")?;
        let data = map.data.as_ref().context("an empty record")?;
        Ok(serde_json::from_str(&data["record.json"])?)
    }
}
