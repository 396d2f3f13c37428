//! Two API servers on one etcd, and persons who sign in with an identity provider: what one server says, both must say.
//! The stories run in order on one plane.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tenure_crds::keys;
use tenure_e2e::install::{self, NAMESPACE};
use tenure_e2e::oidc::{MFA_KEY, MFA_VALUE, PREFIX};
use tenure_e2e::operator::SERVICE_ACCOUNT;
use tenure_e2e::{Access, Plane, PlaneOptions, SignIn, eventually};
use tenure_operator::access::proof::{Allowed, Doubt, Proof, Question, Verdict};
use tenure_operator::cluster::ApiServers;

/// The cluster ceases to list an API server fifteen seconds after it is gone; a busy machine included.
const SOON: Duration = Duration::from_secs(60);
/// What a tenant's namespace is called here.
const PROD: &str = "acme-prod";
const STAFF: &str = "staff";

struct Stage {
    plane: Plane,
    servers: Vec<Access>,
    /// The operator's own credentials.
    operator: Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "servers".into(),
            second_api_server: true,
            issuer: true,
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let session = plane.service_account(NAMESPACE, SERVICE_ACCOUNT).await?;
        let stage = Self {
            servers: plane.servers(),
            operator: session.client()?,
            plane,
        };
        stage.tenant().await?;
        Ok(stage)
    }

    /// A tenant's namespace as the operator makes it, and the identity provider's mark as the operator tells the guards.
    async fn tenant(&self) -> Result<()> {
        let namespace = json!({"metadata": {
            "name": PROD,
            "labels": {keys::TENANT: "acme", keys::ENFORCEMENT: "Enforce"},
            "annotations": {
                keys::TENANT_ID: "99999999-9999-4999-8999-999999999999", keys::READY: "true", keys::NAMESPACES: PROD
            }
        }});
        Api::<Namespace>::all(self.operator.clone())
            .create(&PostParams::default(), &serde_json::from_value(namespace)?)
            .await?;
        let settings = json!({"data": {"mfa-extra-key": MFA_KEY, "mfa-extra-values": MFA_VALUE}});
        Api::<ConfigMap>::namespaced(self.operator.clone(), NAMESPACE)
            .patch(
                keys::GUARD_PARAMETERS,
                &PatchParams::default(),
                &Patch::Merge(settings),
            )
            .await?;
        Ok(())
    }

    /// Binds `edit` in the tenant's namespace, past the guards.
    async fn bind(&self, name: &str, subject: Value) -> Result<()> {
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [subject],
        });
        self.bindings()?
            .create(&PostParams::default(), &serde_json::from_value(binding)?)
            .await?;
        Ok(())
    }

    async fn unbind(&self, name: &str) -> Result<()> {
        let bindings = self.bindings()?;
        bindings.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    fn bindings(&self) -> Result<Api<RoleBinding>> {
        Ok(Api::namespaced(self.plane.break_glass()?, PROD))
    }

    fn token(&self, who: &SignIn) -> Result<String> {
        self.plane.issuer()?.token(who)
    }

    /// The same token's client at each API server.
    fn clients(&self, token: &str) -> Result<Vec<Client>> {
        let clients = self.servers.iter();
        clients
            .map(|server| server.client_with_token(token))
            .collect()
    }
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": format!("{PREFIX}{name}")})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stories_of_two_api_servers() -> Result<()> {
    let stage = Stage::set().await?;
    known(&stage).await.context("known")?;
    signed_in(&stage).await.context("signed in")?;
    not_believed(&stage).await.context("not believed")?;
    second_factor(&stage).await.context("second factor")?;
    ended_on_both(&stage).await.context("ended on both")?;
    one_stopped(&stage).await.context("one stopped")?;
    proven(&stage).await.context("proven")
}

/// The cluster lists both where they really answer, and each keeps an identity Lease.
async fn known(stage: &Stage) -> Result<()> {
    let expected: BTreeSet<SocketAddr> = stage.plane.addresses().into_iter().collect();
    ensure!(expected.len() == 2, "{expected:?}");
    for server in &stage.servers {
        let client = server.admin()?;
        eventually(SOON, "both API servers are known", async || {
            let listed = listed(&client).await?;
            ensure!(listed == expected, "{listed:?}, not {expected:?}");
            let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
            let ours =
                ListParams::default().labels("apiserver.kubernetes.io/identity=kube-apiserver");
            let leases = leases.list(&ours).await?.items.len();
            ensure!(leases == 2, "{leases} identities");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn listed(client: &Client) -> Result<BTreeSet<SocketAddr>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let slice = slices.get("kubernetes").await?;
    let port = slice.ports.iter().flatten().find_map(|port| port.port);
    let port = u16::try_from(port.context("no port")?)?;
    let endpoints = slice.endpoints.unwrap_or_default();
    let addresses = endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    addresses
        .map(|address| Ok(SocketAddr::new(address.parse::<IpAddr>()?, port)))
        .collect()
}

async fn who_am_i(client: &Client) -> Result<UserInfo, kube::Error> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    Ok(review
        .status
        .and_then(|status| status.user_info)
        .unwrap_or_default())
}

/// A person is who the identity provider says, on both: name, groups, and how they signed in.
async fn signed_in(stage: &Stage) -> Result<()> {
    let jane = SignIn::of("jane").group(STAFF).group("on-call");
    let cases = [
        (jane.clone(), vec!["pwd"]),
        (jane.with_second_factor(), vec!["pwd", "otp", MFA_VALUE]),
    ];
    for (who, methods) in cases {
        let expected = UserInfo {
            username: Some("oidc:jane".into()),
            groups: Some(
                ["oidc:staff", "oidc:on-call", "system:authenticated"]
                    .map(String::from)
                    .into(),
            ),
            extra: Some(BTreeMap::from([(
                MFA_KEY.to_owned(),
                methods.into_iter().map(String::from).collect(),
            )])),
            ..UserInfo::default()
        };
        for client in stage.clients(&stage.token(&who)?)? {
            // An API server fetches the provider's key after it is ready.
            let seen = eventually(SOON, "jane is known", async || Ok(who_am_i(&client).await?));
            let mut seen = seen.await?;
            let extra = seen.extra.get_or_insert_default();
            extra.retain(|key, _| key != "authentication.kubernetes.io/credential-id");
            ensure!(seen == expected, "{seen:#?}, not {expected:#?}");
        }
    }
    Ok(())
}

/// A token of another issuer, one that is over, and one that was changed say nobody.
async fn not_believed(stage: &Stage) -> Result<()> {
    let jane = SignIn::of("jane").group(STAFF);
    let stranger = stage.plane.strange_issuer()?.token(&jane)?;
    let over = stage.token(&jane.clone().living(SignedDuration::from_mins(-10)))?;
    let good = stage.token(&jane)?;
    let changed = changed(&good, "sub", json!("root"))?;
    for (what, token) in [("stranger", stranger), ("over", over), ("changed", changed)] {
        for client in stage.clients(&token)? {
            match who_am_i(&client).await {
                Err(kube::Error::Api(status)) if status.code == 401 => {}
                answer => bail!("{what}: {answer:?}"),
            }
        }
    }
    for client in stage.clients(&good)? {
        who_am_i(&client).await?;
    }
    Ok(())
}

/// The token with another claim under the old signature.
fn changed(token: &str, claim: &str, value: Value) -> Result<String> {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let payload = parts.get_mut(1).context("a token has three parts")?;
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&payload)?)?;
    claims[claim] = value;
    *payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    Ok(parts.join("."))
}

/// Somebody who signed in with a password alone neither enters pods nor writes; with a second factor they do.
async fn second_factor(stage: &Stage) -> Result<()> {
    for server in &stage.servers {
        install::guards_loaded(server).await?;
    }
    stage.bind("staff", group(STAFF)).await?;
    let jane = SignIn::of("jane").group(STAFF);
    let (weak, strong) = (
        stage.token(&jane)?,
        stage.token(&jane.with_second_factor())?,
    );
    for (weak, strong) in stage.clients(&weak)?.iter().zip(stage.clients(&strong)?) {
        // The settings reach each API server's guards a moment after they were written.
        eventually(
            SOON,
            "a write without a second factor is refused",
            async || refused(write(weak).await),
        )
        .await?;
        refused(enter(weak).await)?;
        eventually(SOON, "jane is bound", async || Ok(write(&strong).await?)).await?;
        match enter(&strong).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            answer => bail!("with a second factor: {answer:?}"),
        }
    }
    stage.unbind("staff").await
}

fn refused(answer: Result<(), kube::Error>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.message.contains("dsa-2.4-mfa: oidc:jane") => {
            Ok(())
        }
        answer => bail!("without a second factor: {answer:?}"),
    }
}

/// A write that is judged and not carried out.
async fn write(client: &Client) -> Result<(), kube::Error> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), PROD);
    let mut map = ConfigMap::default();
    map.metadata.name = Some("x".into());
    maps.create(&dry, &map).await.map(drop)
}

/// A session in a pod that does not exist, so that nothing but admission can answer with more than "not found".
async fn enter(client: &Client) -> Result<(), kube::Error> {
    let path = format!("/api/v1/namespaces/{PROD}/pods/gone/exec?command=id");
    let request = Request::post(path).body(Vec::new()).unwrap();
    client.request_text(request).await.map(drop)
}

async fn reads(client: &Client) -> Result<bool> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), PROD);
    match maps.list(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A binding that is made is a yes on both, one that is deleted a no on both.
async fn ended_on_both(stage: &Stage) -> Result<()> {
    let clients = stage.clients(&stage.token(&SignIn::of("jane").group(STAFF))?)?;
    for bound in [true, false] {
        match bound {
            true => stage.bind("staff", group(STAFF)).await?,
            false => stage.unbind("staff").await?,
        }
        for client in &clients {
            eventually(SOON, &format!("jane reads: {bound}"), async || {
                ensure!(reads(client).await? == bound);
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// Where the first is gone, the second answers.
async fn one_stopped(stage: &Stage) -> Result<()> {
    let clients = stage.clients(&stage.token(&SignIn::of("jane"))?)?;
    stage.plane.stop_api_server()?;
    ensure!(who_am_i(&clients[0]).await.is_err(), "it was killed");
    who_am_i(&clients[1]).await?;
    stage.plane.start_api_server().await
}

/// The operator's own proof, with no more rights than the chart gives: what one binding leaves another still allows, and
/// what is allowed nowhere is proven only where everybody was asked.
async fn proven(stage: &Stage) -> Result<()> {
    let prover = Prover::new(stage).await?;
    stage.bind("staff", group(STAFF)).await?;
    stage.bind("jane", user("jane")).await?;
    prover
        .sees("allowed by either binding", |verdict| {
            still_allowed(verdict, "RoleBinding")
        })
        .await?;
    stage.unbind("staff").await?;
    prover
        .sees("allowed by the other binding", |verdict| {
            still_allowed(verdict, "\"jane/acme-prod\"")
        })
        .await?;
    let unbound = Instant::now();
    stage.unbind("jane").await?;
    let proof = prover.sees("proven on both", is_proven).await?;
    eprintln!(
        "proven {:?} after the binding was deleted, in round {}; last yes: {:?}",
        unbound.elapsed(),
        proof.rounds,
        proof.last_yes
    );
    prover.measure().await?;
    unreached(stage, &prover).await.context("unreached")
}

/// One of two that is gone is counted on, by its Lease, when the cluster has long ceased to list it.
async fn unreached(stage: &Stage, prover: &Prover) -> Result<()> {
    let known = prover.0.find(Timestamp::now()).await?;
    stage.plane.stop_second_api_server()?;
    let gone = stage.plane.addresses()[1];
    let round = prover.0.ask(known, questions(), &Timestamp::now).await;
    match alone(&round.verdict())?.as_slice() {
        [Doubt::NotAnswered { server, .. }] if *server == gone => {}
        other => bail!("{other:?}"),
    }
    let hidden = Doubt::Hidden {
        counted: 2,
        addresses: 1,
    };
    prover
        .sees("it is no longer listed", |verdict| {
            let why = alone(verdict)?;
            ensure!(*why == [hidden.clone()], "{why:?}");
            Ok(())
        })
        .await?;
    stage.plane.start_second_api_server().await?;
    prover
        .sees("proven once it is back", is_proven)
        .await
        .map(drop)
}

/// Why nothing is proven where one of two has answered.
fn alone(verdict: &Verdict) -> Result<&Vec<Doubt>> {
    match verdict {
        Verdict::Unproven {
            reached: 1,
            counted: 2,
            why,
        } => Ok(why),
        other => bail!("{other:?}"),
    }
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": format!("{PREFIX}{name}")})
}

fn is_proven(verdict: &Verdict) -> Result<()> {
    match verdict {
        Verdict::Proven { servers: 2, .. } => Ok(()),
        other => bail!("{other:?}"),
    }
}

/// Everything that was asked is allowed on both, by a rule whose name holds `source`.
fn still_allowed(verdict: &Verdict, source: &str) -> Result<()> {
    let Verdict::StillAllowed {
        allowed,
        reached: 2,
        counted: 2,
    } = verdict
    else {
        bail!("{verdict:?}");
    };
    let is_right =
        |allowed: &Allowed| allowed.servers.len() == 2 && allowed.source.contains(source);
    ensure!(
        allowed.len() == questions().len() && allowed.iter().all(is_right),
        "{allowed:#?}"
    );
    Ok(())
}

/// What `edit` lets jane do, asked with what is known of her.
fn questions() -> Vec<Question> {
    let asked = [
        ("create", "pods", Some("exec")),
        ("get", "secrets", None),
        ("list", "configmaps", None),
    ];
    let question = |(verb, resource, subresource): (&str, &str, Option<&str>)| Question {
        user: format!("{PREFIX}jane"),
        groups: BTreeSet::from([format!("{PREFIX}{STAFF}")]),
        what: ResourceAttributes {
            verb: Some(verb.into()),
            resource: Some(resource.into()),
            subresource: subresource.map(Into::into),
            namespace: Some(PROD.into()),
            ..ResourceAttributes::default()
        },
    };
    asked.map(question).into()
}

/// Asks as the operator does, by a token of its ServiceAccount.
struct Prover(ApiServers);

impl Prover {
    async fn new(stage: &Stage) -> Result<Self> {
        let session = stage
            .plane
            .service_account(NAMESPACE, SERVICE_ACCOUNT)
            .await?;
        let kubeconfig = Kubeconfig::read_from(session.kubeconfig()?)?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self(ApiServers::new(session.client()?, config)))
    }

    /// Asks round after round until one shows what is awaited; all rounds are one proof.
    async fn sees(&self, what: &str, is_awaited: impl Fn(&Verdict) -> Result<()>) -> Result<Proof> {
        let mut proof = Proof::default();
        eventually(SOON, what, async || {
            let servers = self.0.find(Timestamp::now()).await?;
            let round = self.0.ask(servers, questions(), &Timestamp::now).await;
            is_awaited(proof.add(&round))
        })
        .await?;
        Ok(proof)
    }

    /// Says how long a hundred questions take.
    async fn measure(&self) -> Result<()> {
        let servers = self.0.find(Timestamp::now()).await?;
        let questions: Vec<_> = questions().into_iter().cycle().take(100).collect();
        let start = Instant::now();
        let round = self.0.ask(servers, questions, &Timestamp::now).await;
        eprintln!(
            "100 questions to each of {} API servers: {:?}",
            round.heard.len(),
            start.elapsed()
        );
        is_proven(&round.verdict())
    }
}
