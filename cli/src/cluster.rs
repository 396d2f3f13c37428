//! The cluster, reached as kubectl reaches it, and what went wrong there in words.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

/// Which cluster, and as whom.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// The kubeconfig file; KUBECONFIG or ~/.kube/config where absent.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one where absent.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Connection {
    /// A client as the kubeconfig's user.
    pub async fn client(&self) -> anyhow::Result<Client> {
        // A second call finds it there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = self.config().await.context(
            "no cluster to ask: name a kubeconfig with --kubeconfig and its context with --context, as for kubectl",
        )?;
        let server = config.cluster_url.clone();
        Client::try_from(config).with_context(|| format!("cannot prepare a connection to {server}"))
    }

    /// Whether it was said which one.
    pub fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    async fn config(&self) -> anyhow::Result<Config> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Ok(Config::infer().await?);
        }
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)?,
            None => Kubeconfig::read()?,
        };
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }
}

/// The caller's user name, as the API server sees it.
pub async fn user(client: &Client) -> anyhow::Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| said("who you are", error))?;
    let user = review.status.and_then(|status| status.user_info);
    user.and_then(|user| user.username)
        .context("the API server does not say who you are")
}

/// What the API server, or the way to it, said about `what`.
pub fn said(what: &str, error: kube::Error) -> anyhow::Error {
    match &error {
        kube::Error::Api(status) => match status.code {
            401 => anyhow::anyhow!(
                "{what}: the API server does not know you: sign in again ({})",
                status.message
            ),
            404 if status.message.contains("could not find the requested resource") => {
                anyhow::anyhow!(
                    "{what}: this cluster does not know the kind: is Tenure installed there? Check --context"
                )
            }
            404 => anyhow::anyhow!("{what} does not exist in this cluster ({})", status.message),
            409 => anyhow::anyhow!(
                "{what} changed meanwhile: look at it again, then repeat the command ({})",
                status.message
            ),
            _ => anyhow::anyhow!("{what}: the API server refused: {}", status.message),
        },
        _ => anyhow::Error::new(error).context(format!(
            "{what}: the API server did not answer; check --context and --kubeconfig, and whether kubectl reaches it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, message: &str) -> String {
        let status = Status::failure(message, "Test").with_code(code);
        format!(
            "{:#}",
            said("AccessGrant acme-1", kube::Error::Api(Box::new(status)))
        )
    }

    #[test]
    fn an_error_says_what_and_what_to_do_next() {
        let denied = "admission webhook says dsa-2.0-need-to-know: jane may not";
        assert_eq!(
            answer(403, denied),
            format!("AccessGrant acme-1: the API server refused: {denied}")
        );
        assert!(answer(404, "not found").starts_with("AccessGrant acme-1 does not exist"));
        let unknown = answer(404, "the server could not find the requested resource");
        assert!(unknown.contains("is Tenure installed"), "{unknown}");
        assert!(answer(409, "conflict").contains("repeat the command"));
        assert!(answer(401, "Unauthorized").contains("sign in again"));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let connection = Connection {
            kubeconfig: Some("/nowhere/config".into()),
            context: None,
        };
        let error = format!("{:#}", connection.client().await.err().unwrap());
        assert!(
            error.starts_with("no cluster to ask: ") && error.contains("/nowhere/config"),
            "{error}"
        );
    }
}
