//! A session: tokens that the person fetches and nobody else, that end by themselves, and that open nothing once the grant is over.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tenure_crds::{AccessGrant, keys};
use tenure_e2e::audit::Mark;
use tenure_e2e::paths::target;
use tenure_e2e::{SignIn, eventually};
use tokio::process::Command;

use super::super::{PROD, SOON, Stage, may, within};

const SESSIONS: &str = "tenure-system-sessions";

/// Everything about sessions, one after the other.
pub(crate) async fn in_a_session(stage: &Stage) -> Result<()> {
    stage
        .ask("session", json!({"credential": "Session"}))
        .await?;
    stage.waits("session", "AwaitingApproval").await?;
    stage.approve("session").await?;
    stage.active("session", "Active").await?;
    let account = account(stage, "session").await?;
    let uid = stage.grant("session").await?.metadata.uid;
    ensure!(
        account.starts_with(&format!("tenure-grant-{}-", uid.unwrap_or_default())),
        "{account}"
    );
    let began = stage.told("grant.activated", "session").await?;
    ensure!(began[0]["account"] == account.as_str(), "{began:#?}");
    let bound = &stage.bindings_of("session").await?;
    let subjects = bound
        .iter()
        .filter(|binding| binding.metadata.namespace.as_deref() == Some(PROD))
        .flat_map(|binding| binding.subjects.iter().flatten());
    let names: Vec<&str> = subjects.map(|subject| subject.name.as_str()).collect();
    ensure!(names == [account.as_str()], "{names:?}");
    let mark = stage.plane.audit().mark().await?;
    let token = fetched(stage, &account).await?;
    opens(stage, &token, true).await?;
    traced(stage, mark, &account, &token)
        .await
        .context("traced")?;
    // The session is let in, the person is not.
    stage.lets("worker", false).await?;
    refused(stage, &account).await.context("refused")?;
    by_the_plugin(stage).await.context("by the plugin")?;
    nobody_elses(stage, &account).await.context("tampered")?;
    let (account, token) = earlier(stage, &account, &token).await.context("earlier")?;
    over(stage, &account, &token).await.context("over")
}

async fn account(stage: &Stage, grant: &str) -> Result<String> {
    let status = stage.grant(grant).await?.status.unwrap_or_default();
    let session = status.session.context("no session under status")?;
    ensure!(session.namespace == SESSIONS, "{session:?}");
    Ok(session.name)
}

async fn fetch(client: &Client, account: &str, spec: Value) -> Result<String, kube::Error> {
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": spec})).map_err(kube::Error::SerdeError)?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SESSIONS);
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    Ok(token.unwrap_or_default())
}

fn lasting(seconds: i64) -> Value {
    json!({"audiences": [], "expirationSeconds": seconds})
}

/// A token of ten minutes, fetched by the person.
async fn fetched(stage: &Stage, account: &str) -> Result<String> {
    let (client, mut token) = (stage.person("worker")?, String::new());
    eventually(SOON, "the person fetches a token", async || {
        token = fetch(&client, account, lasting(600)).await?;
        Ok(())
    })
    .await?;
    Ok(token)
}

/// A token says when it ends, more than a minute before the grant does; and what is done with it is known by it, down to whoever fetched it.
async fn traced(stage: &Stage, mark: Mark, account: &str, token: &str) -> Result<()> {
    let claims = token.split('.').nth(1).context("no token")?;
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
    let end = claims["exp"].as_i64().context("it does not end")?;
    let grant: Timestamp = stage.grant("session").await?.spec.not_after.parse()?;
    ensure!(end <= grant.as_second() - 60, "{end} {grant}");
    let id = format!("JTI={}", claims["jti"].as_str().context("it has no name")?);
    eventually(SOON, "the audit log says whose it is", async || {
        let events = stage.plane.audit().since(mark)?;
        let issued = events.iter().find(|event| {
            let issued = "authentication.kubernetes.io/issued-credential-id";
            event.annotations.get(issued) == Some(&id)
        });
        let issued = issued.context("nobody fetched it")?;
        ensure!(issued.user.username == "oidc:worker", "{issued:?}");
        let used = events.iter().find(|event| {
            let used = event
                .user
                .extra
                .get("authentication.kubernetes.io/credential-id");
            used.is_some_and(|used| used.contains(&id))
        });
        let used = used.context("nobody used it")?;
        ensure!(used.user.username.ends_with(account), "{used:?}");
        Ok(())
    })
    .await
}

/// Waits until a token opens the tenant at every API server, or at none.
async fn opens(stage: &Stage, token: &str, expect: bool) -> Result<()> {
    for server in &stage.servers {
        let client = server.client_with_token(token)?;
        eventually(SOON, &format!("a token opens: {expect}"), async || {
            match may(&client, "delete", "pods", PROD).await {
                Ok(may) => ensure!(may == expect),
                Err(error) => ensure!(
                    !expect && format!("{error:#}").contains("Unauthorized"),
                    "{error:#}"
                ),
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Nobody else fetches a token, and nobody one that outlives the grant.
async fn refused(stage: &Stage, account: &str) -> Result<()> {
    let worker = stage.person("worker")?;
    let plain = stage.plane.issuer()?.token(&SignIn::of("worker"))?;
    let server = stage.servers.first().context("no API server")?;
    for (client, spec, why) in [
        (&worker, lasting(3_600), "would outlive the grant"),
        (
            &server.client_with_token(&plain)?,
            lasting(600),
            "dsa-2.4-mfa",
        ),
        (&stage.person("lead")?, lasting(600), "cannot create"),
        (&stage.person("stranger")?, lasting(600), "cannot create"),
        (
            &stage.plane.break_glass()?,
            lasting(600),
            "may fetch anybody's",
        ),
    ] {
        let said = fetch(client, account, spec).await;
        let said = said.err().context("a token was given")?.to_string();
        ensure!(said.contains(why), "{said}");
    }
    Ok(())
}

/// As kubectl runs it: with the person's own sign-in, and nothing else on the way out than the credential.
async fn by_the_plugin(stage: &Stage) -> Result<()> {
    let server = stage.servers.first().context("no API server")?;
    let sign_in = SignIn::of("worker").with_second_factor();
    let kubeconfig = server.kubeconfig_with_token(&stage.plane.issuer()?.token(&sign_in)?, None)?;
    let login = async |named: bool| {
        let mut plugin = Command::new(target().join("debug/kubectl-tenure"));
        plugin.args(["login", "session"]);
        plugin.env("KUBERNETES_EXEC_INFO", "{}");
        match named {
            true => plugin.arg("--kubeconfig").arg(&kubeconfig),
            false => plugin.env("KUBECONFIG", &kubeconfig),
        };
        plugin.output().await
    };
    let said = login(true).await?;
    ensure!(said.status.success(), "{said:?}");
    let credential: Value = serde_json::from_slice(&said.stdout)?;
    ensure!(
        credential["apiVersion"] == "client.authentication.k8s.io/v1"
            && credential["kind"] == "ExecCredential",
        "not an ExecCredential"
    );
    let until = credential["status"]["expirationTimestamp"].as_str();
    let until: Timestamp = until.context("no end")?.parse()?;
    let grant = stage.grant("session").await?;
    let end: Timestamp = grant.spec.not_after.parse()?;
    ensure!(until <= end - SignedDuration::from_mins(1), "{until}");
    let token = credential["status"]["token"].as_str();
    opens(stage, token.context("no token")?, true).await?;
    let said = login(false).await?;
    let told = String::from_utf8_lossy(&said.stderr);
    ensure!(
        !said.status.success() && told.contains("--context"),
        "{told}"
    );
    Ok(())
}

/// What others made there goes, and what they changed is mended.
async fn nobody_elses(stage: &Stage, account: &str) -> Result<()> {
    let anyway = stage.plane.break_glass()?;
    let accounts: Api<ServiceAccount> = Api::namespaced(anyway.clone(), SESSIONS);
    let stray = "tenure-grant-7e57ab1e-0000-4000-8000-000000000001-4102444800";
    let made: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": stray}}))?;
    accounts.create(&PostParams::default(), &made).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(anyway, SESSIONS);
    let change = Patch::Merge(json!({
        "metadata": {"labels": {keys::TENANT: null, keys::GRANT: null}},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "oidc:stranger"}]
    }));
    bindings
        .patch(account, &PatchParams::default(), &change)
        .await?;
    eventually(SOON, "what others did is undone", async || {
        ensure!(accounts.get_opt(stray).await?.is_none(), "{stray}");
        let binding = bindings.get(account).await?;
        let subjects: Vec<String> = binding
            .subjects
            .iter()
            .flatten()
            .map(|subject| subject.name.clone())
            .collect();
        ensure!(subjects == ["oidc:worker"], "{subjects:?}");
        ensure!(
            binding
                .metadata
                .labels
                .iter()
                .flatten()
                .any(|(key, _)| key == keys::TENANT)
        );
        Ok(())
    })
    .await
}

/// An end that moves is another account's; the tokens of the one before open nothing.
async fn earlier(stage: &Stage, before: &str, token: &str) -> Result<(String, String)> {
    let grants: Api<AccessGrant> = Api::all(stage.person("worker")?);
    let change = Patch::Merge(json!({"spec": {"notAfter": within(30)}}));
    grants
        .patch("session", &PatchParams::default(), &change)
        .await?;
    eventually(SOON, "another account", async || {
        ensure!(account(stage, "session").await? != before);
        Ok(())
    })
    .await?;
    let now = account(stage, "session").await?;
    let fresh = fetched(stage, &now).await?;
    opens(stage, &fresh, true).await?;
    opens(stage, token, false).await?;
    is_gone(stage, before).await?;
    let until = SignedDuration::from_mins(30).as_secs();
    let said = fetch(&stage.person("worker")?, &now, lasting(until)).await;
    let said = said.err().context("a token was given")?.to_string();
    ensure!(said.contains("would outlive the grant"), "{said}");
    Ok((now, fresh))
}

/// Revoked: no token opens anything, none is fetched, and nothing of it is left.
async fn over(stage: &Stage, account: &str, token: &str) -> Result<()> {
    // Asked as the account, so that it is known to both when it ends.
    opens(stage, token, true).await?;
    stage.revoke("session").await?;
    opens(stage, token, false).await?;
    is_gone(stage, account).await?;
    stage.ended("session", "Revoked").await?;
    let said = fetch(&stage.person("worker")?, account, lasting(600)).await;
    ensure!(said.is_err(), "a token was given");
    let message = stage
        .stands::<AccessGrant>("session", ["EndProven", "True", "Proven"])
        .await?;
    ensure!(message.contains("about ten seconds"), "{message}");
    Ok(())
}

async fn is_gone(stage: &Stage, account: &str) -> Result<()> {
    let admin = stage.admin()?;
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), SESSIONS);
    let roles: Api<Role> = Api::namespaced(admin.clone(), SESSIONS);
    let bindings: Api<RoleBinding> = Api::namespaced(admin, SESSIONS);
    eventually(SOON, "nothing of a session is left", async || {
        ensure!(bindings.get_opt(account).await?.is_none(), "the right");
        ensure!(roles.get_opt(account).await?.is_none(), "the role");
        ensure!(accounts.get_opt(account).await?.is_none(), "the account");
        Ok(())
    })
    .await
}
