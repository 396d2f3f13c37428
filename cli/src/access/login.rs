//! `kubectl tenure login`: an exec credential plugin, as kubectl and every other client of Kubernetes runs one.

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tenure_crds::access_grant::{Credential, SessionAccount};
use tenure_crds::{AccessGrant, AccessGrantStatus};

use super::{condition, is_true};
use crate::cluster::{Connection, said};
use crate::{Outcome, output};

/// Longest life of one token; kubectl fetches the next by itself.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// No API server makes a token that lives shorter.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// A token is over this long before its grant, because API servers take one for a while past its end.
const BEFORE_THE_END: SignedDuration = SignedDuration::from_secs(60);
/// The API server goes by its own clock, and a moment later.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// Set by whoever runs an exec credential plugin.
const RUN_BY_A_CLIENT: &str = "KUBERNETES_EXEC_INFO";

const HELP: &str = "\
Fetches a token for a grant with the credential Session and prints it as an ExecCredential, for a
kubeconfig. It is stored nowhere: kubectl keeps it in memory and asks again when it is over. A token
lasts an hour at most and ends a minute before the grant; the last is fetched 11 minutes before the
grant ends.

In the kubeconfig, beside the user you sign in with, a user for the grant and a context with it:
  users:
  - name: acme-session
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: kubectl-tenure
        args: [login, GRANT, --context, THE-CONTEXT-YOU-SIGN-IN-WITH]
        interactiveMode: IfAvailable

Needs the right to read the grant; the right to fetch comes with it, for the identity that it names.";

/// Fetch a token of a session, for kubectl.
#[derive(Args)]
#[command(long_about = HELP)]
pub struct Arguments {
    /// The AccessGrant.
    #[arg(value_name = "GRANT")]
    name: String,
    #[command(flatten)]
    connection: Connection,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if std::env::var_os(RUN_BY_A_CLIENT).is_some() && !arguments.connection.is_named() {
        bail!(
            "say with --context which context you sign in with: the current one may be the session's own, which would ask itself"
        );
    }
    let client = arguments.connection.client().await?;
    let grants: Api<AccessGrant> = Api::all(client.clone());
    let what = format!("AccessGrant {}", arguments.name);
    let grant = grants.get(&arguments.name).await;
    let grant = grant.map_err(|error| said(&what, error))?;
    let (account, lifetime) = wanted(&grant, Timestamp::now())?;
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(lifetime.as_secs()),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, &account.namespace);
    let answer = accounts
        .create_token_request(&account.name, &PostParams::default(), &request)
        .await
        .map_err(|error| said(&format!("a token for {what}"), error))?;
    let given = answer.status.unwrap_or_default();
    let token = given.token.context("the API server gave no token")?;
    let credential = credential(&token, &json!(given.expiration_timestamp));
    output::print(&format!("{credential}\n"))?;
    Ok(Outcome::Fine)
}

/// Of which account a token is fetched, and for how long.
fn wanted(grant: &AccessGrant, now: Timestamp) -> anyhow::Result<(SessionAccount, SignedDuration)> {
    let (name, spec) = (grant.name_any(), &grant.spec);
    if spec.credential.unwrap_or_default() != Credential::Session {
        bail!(
            "AccessGrant {name} lets your own identity in, without a session: use the context you sign in with"
        );
    }
    let status = grant.status.clone().unwrap_or_default();
    let Some(account) = status.session.clone().filter(|_| is_active(&status)) else {
        let why = condition(&status.conditions, "Active");
        let why = why.map_or("the operator has not looked at it yet", |condition| {
            condition.message.as_str()
        });
        bail!("AccessGrant {name} is not active: {}", output::plain(why));
    };
    let end: Timestamp = spec.not_after.parse().with_context(|| {
        format!(
            "AccessGrant {name}: notAfter {}",
            output::plain(&spec.not_after)
        )
    })?;
    let left = end.duration_since(now) - BEFORE_THE_END - SLACK;
    if left < SHORTEST {
        bail!(
            "AccessGrant {name} ends at {end}, and no token is made that lives shorter than ten minutes and ends a minute before: ask for another grant"
        );
    }
    Ok((account, left.min(LONGEST)))
}

fn is_active(status: &AccessGrantStatus) -> bool {
    is_true(&status.conditions, "Active")
}

fn credential(token: &str, until: &Value) -> Value {
    json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": until},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(credential: &str, active: &str) -> AccessGrant {
        serde_json::from_value(json!({
            "metadata": {"name": "acme-1"},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "person": "jane",
                "role": "viewer", "namespaces": ["acme-prod"], "reason": "x", "ticket": "y",
                "notAfter": "2026-02-01T16:00:00Z", "credential": credential
            },
            "status": {
                "session": {"namespace": "tenure-system-sessions", "name": "tenure-grant-u-1"},
                "conditions": [{
                    "type": "Active", "status": active, "reason": "Whatever", "message": "told so",
                    "lastTransitionTime": "2026-02-01T10:00:00Z"
                }]
            }
        }))
        .unwrap()
    }

    fn lifetime(now: &str) -> Result<i64, String> {
        let wanted = wanted(&grant("Session", "True"), now.parse().unwrap());
        let lifetime = wanted.map(|(_, lifetime)| lifetime.as_secs());
        lifetime.map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_lasts_an_hour_or_until_a_minute_before_the_end_and_never_less_than_ten() {
        assert_eq!(lifetime("2026-02-01T12:00:00Z"), Ok(3_600));
        assert_eq!(lifetime("2026-02-01T15:30:00Z"), Ok(1_735));
        assert_eq!(lifetime("2026-02-01T15:48:55Z"), Ok(600));
        for late in ["2026-02-01T15:48:56Z", "2026-02-01T17:00:00Z"] {
            let why = lifetime(late).unwrap_err();
            assert!(why.contains("ask for another grant"), "{why}");
        }
    }

    #[test]
    fn a_grant_that_is_not_active_or_no_session_says_so() {
        let now = "2026-02-01T12:00:00Z".parse().unwrap();
        let why = |grant: &AccessGrant| wanted(grant, now).unwrap_err().to_string();
        assert!(why(&grant("Session", "False")).contains("not active: told so"));
        assert!(why(&grant("Identity", "True")).contains("your own identity"));
    }
}
