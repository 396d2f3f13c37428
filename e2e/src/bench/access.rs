//! Figures of access: how soon somebody is let in and out, at every API server; how fast a great many end.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, Approval, CustomerTenant, StaffMember, TenancyPolicy, keys};

use super::figures::Figures;
use super::stage::{Stage, start_operator};
use crate::install;
use crate::{Identity, Plane, PlaneOptions, eventually};

const TENANTS: usize = 20;
const PERSONS: usize = 500;
/// Whose grants stay: what theirs gives covers no end of the others'.
const STAYING: usize = 100;
/// How the names of theirs begin.
const STAY: &str = "live";
const ROLE: &str = "tenure-tenant-operator";
/// Live all the while the single ones are measured.
const LIVE: usize = 1_000;
/// How many end at one instant.
const MANY: usize = 10_000;
/// Samples of letting in and out.
const SAMPLES: usize = 200;
const WIDTH: usize = 16;
/// Between two looks at a great many: listing them is work for the API servers too.
const LOOK: Duration = Duration::from_secs(1);
/// As long as anything here may take.
const LONG: Duration = Duration::from_secs(20 * 60);
/// Who asks, and who decides.
const ASKER: &str = "bench-asker";
const DECIDER: &str = "bench-decider";

/// Measures on a plane of its own, with two API servers; so `many` end at one instant, where it is said.
///
/// # Errors
///
/// When something on the plane goes wrong.
pub async fn measure(quick: bool, many: Option<usize>, figures: &mut Figures) -> Result<()> {
    let mut bench = Bench::set().await?;
    let (live, usual) = match quick {
        true => (LIVE / 10, MANY / 10),
        false => (LIVE, MANY),
    };
    let many = many.unwrap_or(usual);
    bench.let_in(STAY, live, "2050-01-01T00:00:00Z").await?;
    let mark = bench.stage.plane.audit().mark().await?;
    let samples = SAMPLES.min(live);
    let (mut activation, mut revocation) = (Vec::new(), Vec::new());
    for number in 0..samples {
        let (opened, closed) = bench.one(number).await?;
        activation.push(opened);
        revocation.push(closed);
    }
    bench.stage.settled().await?;
    let writes = bench.stage.writes(mark)?;
    let written = writes
        .iter()
        .filter(|event| !event.line().contains("reviews"));
    figures.put(
        "access_writes_per_grant",
        written.count() as f64 / samples as f64,
    )?;
    figures.put_times("activation", &activation)?;
    figures.put_times("revocation", &revocation)?;
    bench.mass(many, figures).await?;
    bench.restart(live, figures).await
}

struct Bench {
    stage: Stage,
    servers: Vec<Client>,
    tenants: Vec<(String, String)>,
}

impl Bench {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "bench-access".into(),
            second_api_server: true,
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let admin = plane.admin()?;
        let policy: TenancyPolicy = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"},
            "spec": {"grantableRoles": [{"name": ROLE, "longest": "P9999D", "approvals": 1}]}
        }))?;
        let by = PostParams::default();
        Api::all(admin.clone()).create(&by, &policy).await?;
        for (user, role) in [
            (ASKER, "tenure-requester"),
            (ASKER, "tenure-break-glass"),
            (DECIDER, "tenure-approver"),
        ] {
            let binding: k8s_openapi::api::rbac::v1::ClusterRoleBinding = serde_json::from_value(
                json!({
                    "metadata": {"name": format!("{user}-{role}")},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
                }),
            )?;
            Api::all(admin.clone()).create(&by, &binding).await?;
        }
        let servers = plane.servers();
        let servers = servers.iter().map(|server| server.admin());
        let servers = servers.collect::<Result<Vec<_>>>()?;
        let operator = start_operator(&plane).await?;
        let stage = Stage { plane, operator };
        let mut bench = Self {
            stage,
            servers,
            tenants: Vec::new(),
        };
        bench.people(&admin).await?;
        bench.declare(&admin).await?;
        Ok(bench)
    }

    async fn people(&self, admin: &Client) -> Result<()> {
        let people: Api<StaffMember> = Api::all(admin.clone());
        let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
        let names = (0..PERSONS + STAYING)
            .map(person)
            .chain([ASKER.to_owned(), DECIDER.to_owned()]);
        stream::iter(names.map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(WIDTH, |name| {
                let (people, today) = (people.clone(), today.clone());
                async move {
                    let object = serde_json::from_value(json!({
                        "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": name},
                        "spec": {
                            "identities": [name], "groups": ["bench-staff"], "status": "Active",
                            "training": {"completedOn": today}, "telework": {"signedOn": today}, "mfa": {"signedOn": today},
                            "acceptableUse": {"signedOn": today}, "confidentiality": {"signedOn": today}
                        }
                    }))?;
                    people.create(&PostParams::default(), &object).await?;
                    Ok(())
                }
            })
            .await
    }

    async fn declare(&mut self, admin: &Client) -> Result<()> {
        let tenants: Api<CustomerTenant> = Api::all(admin.clone());
        for number in 0..TENANTS {
            let name = format!("granted-{number:02}");
            let id = format!("abababab-abab-4bab-8bab-{number:012}");
            let object = serde_json::from_value(json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name},
                "spec": {
                    "tenantID": id, "customer": {"name": name}, "classification": "Internal",
                    "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}]
                }
            }))?;
            tenants.create(&PostParams::default(), &object).await?;
            self.tenants.push((name, id));
        }
        self.stage.settled().await
    }

    fn grant(
        &self,
        name: &str,
        number: usize,
        until: &str,
        break_glass: bool,
    ) -> Result<AccessGrant> {
        let (tenant, id) = &self.tenants[number % TENANTS];
        Ok(serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": tenant}, "tenantID": id, "person": person(number % PERSONS), "role": ROLE,
                "namespaces": [format!("{tenant}-prod")], "reason": "measured", "ticket": "BENCH-1",
                "notAfter": until, "breakGlass": break_glass
            }
        }))?)
    }

    fn asker(&self) -> Result<Api<AccessGrant>> {
        Ok(Api::all(self.stage.plane.client(&Identity::user(ASKER))?))
    }

    /// Makes so many live grants.
    async fn let_in(&self, prefix: &str, count: usize, until: &str) -> Result<()> {
        let before = self.bound().await?;
        let grants = self.asker()?;
        let numbers = stream::iter((0..count).map(Ok::<_, anyhow::Error>));
        numbers
            .try_for_each_concurrent(WIDTH, |number| {
                let grants = grants.clone();
                async move {
                    let name = format!("{prefix}-{number:05}");
                    let mut grant = self.grant(&name, number, until, true)?;
                    if prefix == STAY {
                        grant.spec.person = person(PERSONS + number % STAYING);
                    }
                    grants.create(&PostParams::default(), &grant).await?;
                    Ok(())
                }
            })
            .await?;
        self.until("everybody is let in", async || {
            let bound = self.bound().await? - before;
            tokio::time::sleep(LOOK).await;
            ensure!(bound == count, "{bound} of {count}");
            Ok(())
        })
        .await?;
        self.stage.settled().await
    }

    /// Waits as long as it may take; fails at once where the operator ended.
    async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let ended = async {
            while self.stage.operator.check().is_ok() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            found = eventually(LONG, what, look) => found,
            () = ended => {
                self.stage.operator.check()?;
                bail!("the operator ended")
            }
        }
    }

    /// How many bindings of grants stand.
    async fn bound(&self) -> Result<usize> {
        let api: Api<RoleBinding> = Api::all(self.servers[0].clone());
        let ours = ListParams::default().labels(keys::GRANT);
        Ok(api.list_metadata(&ours).await?.items.len())
    }

    /// Waits until no more than so many bindings of grants stand. Watched: to list thousands again and again would be what is measured.
    async fn unbound(&self, stay: usize) -> Result<()> {
        let api: Api<RoleBinding> = Api::all(self.servers[0].clone());
        let ours = ListParams::default().labels(keys::GRANT);
        let watched = WatchParams::default().labels(keys::GRANT);
        self.until("all have lost their bindings", async || {
            let listed = api.list_metadata(&ours).await?;
            let mut bound = listed.items.len();
            let since = listed.metadata.resource_version.unwrap_or_default();
            let mut events = pin!(api.watch_metadata(&watched, &since).await?);
            while bound > stay {
                // A watch lasts for some minutes only.
                let event = events.try_next().await?;
                match event.with_context(|| format!("{bound} stand"))? {
                    WatchEvent::Added(_) => bound += 1,
                    WatchEvent::Deleted(_) => bound -= 1,
                    WatchEvent::Error(error) => bail!("the watch ended: {error:?}"),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Lets one in and out; how long each took, from the request that caused it to the last API server's answer.
    async fn one(&self, number: usize) -> Result<(Duration, Duration)> {
        let name = format!("one-{number:05}");
        let grants = self.asker()?;
        // Somebody who is let in nowhere else.
        let until = "2050-01-01T00:00:00Z";
        let mut grant = self.grant(&name, number, until, false)?;
        grant.spec.person = ASKER.into();
        grants.create(&PostParams::default(), &grant).await?;
        let digest = self
            .until("it asks for an approval", async || {
                let status = grants.get(&name).await?.status.unwrap_or_default();
                let pending = status.pending_approvals.first().context("nothing yet")?;
                Ok(pending.digest.clone())
            })
            .await?;
        let spec = &grant.spec;
        let approval: Approval = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": format!("{name}-yes")},
            "spec": {
                "action": "Activate", "tenantRef": spec.tenant_ref, "decision": "Approve", "reason": "measured",
                "subject": {"kind": "AccessGrant", "name": name, "tenantID": spec.tenant_id, "digest": digest, "digestVersion": 1}
            }
        }))?;
        let approvals: Api<Approval> = Api::all(self.stage.plane.client(&Identity::user(DECIDER))?);
        let asked = Instant::now();
        approvals.create(&PostParams::default(), &approval).await?;
        self.say(&spec.namespaces[0], true).await?;
        let opened = asked.elapsed();
        let revoked = Patch::Merge(json!({"spec": {"revoked": {"reason": "measured"}}}));
        let asked = Instant::now();
        grants
            .patch(&name, &PatchParams::default(), &revoked)
            .await?;
        self.say(&spec.namespaces[0], false).await?;
        let closed = asked.elapsed();
        Ok((opened, closed))
    }

    /// Waits until every API server says so of the asker.
    async fn say(&self, namespace: &str, expect: bool) -> Result<()> {
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": ASKER, "resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": namespace}
        }}))?;
        for server in &self.servers {
            let api: Api<SubjectAccessReview> = Api::all(server.clone());
            loop {
                let answer = api.create(&PostParams::default(), &review).await?;
                if answer.status.is_some_and(|status| status.allowed) == expect {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// A great many end at one instant.
    async fn mass(&self, count: usize, figures: &mut Figures) -> Result<()> {
        let stay = self.bound().await?;
        // Longer than it takes to let them in.
        let length = SignedDuration::from_secs(60 + i64::try_from(count).unwrap_or_default() / 25);
        let end = Timestamp::now() + length;
        let until = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let end: Timestamp = until.parse()?;
        self.let_in("mass", count, &until).await?;
        ensure!(
            Timestamp::now() < end,
            "letting in took too long for this machine"
        );
        self.unbound(stay).await?;
        let since = || Timestamp::now().duration_since(end).as_secs_f64();
        figures.put("mass_end_seconds", since())?;
        self.proven("mass", count).await?;
        figures.put("mass_proven_seconds", since())
    }

    /// Waits until the end of so many grants is proven.
    async fn proven(&self, prefix: &str, count: usize) -> Result<()> {
        let grants = self.asker()?;
        self.until("every end is proven", async || {
            let all = grants.list(&ListParams::default()).await?;
            let proven: BTreeSet<String> = all
                .iter()
                .filter(|grant| grant.name_any().starts_with(prefix))
                .filter(|grant| {
                    let conditions = grant.status.iter().flat_map(|status| &status.conditions);
                    let mut proven = conditions.filter(|it| it.type_ == "EndProven");
                    proven.any(|condition| condition.status == "True")
                })
                .map(|grant| grant.name_any())
                .collect();
            tokio::time::sleep(5 * LOOK).await;
            ensure!(proven.len() >= count, "{} of {count}", proven.len());
            Ok(())
        })
        .await
    }

    /// What ended while no operator ran ends first.
    async fn restart(&mut self, count: usize, figures: &mut Figures) -> Result<()> {
        self.let_in("alone", count, "2050-01-01T00:00:00Z").await?;
        let stay = self.bound().await? - count;
        self.stage.operator.stop().await?;
        let grants = self.asker()?;
        let revoked = json!({"spec": {"revoked": {"reason": "measured"}}});
        let numbers = stream::iter((0..count).map(Ok::<_, anyhow::Error>));
        numbers
            .try_for_each_concurrent(WIDTH, |number| {
                let (grants, revoked) = (grants.clone(), revoked.clone());
                async move {
                    let name = format!("alone-{number:05}");
                    let patch = Patch::Merge::<Value>(revoked);
                    grants.patch(&name, &PatchParams::default(), &patch).await?;
                    Ok(())
                }
            })
            .await?;
        self.stage.operator = start_operator(&self.stage.plane).await?;
        let leads = Instant::now();
        self.unbound(stay).await?;
        figures.put("access_restart_seconds", leads.elapsed().as_secs_f64())
    }
}

fn person(number: usize) -> String {
    format!("person-{number:04}")
}
