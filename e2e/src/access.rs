//! Ways into a cluster: clients and kubeconfig files for any identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::helm::Helm;
use crate::identity::Identity;
use crate::kubectl::Kubectl;
use crate::pki::Pki;
use crate::stack::Stack;

/// How long a ServiceAccount token asked for by the harness lives.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// A cluster one can enter as anybody: a plane of this harness, or an existing cluster by its kubeconfig.
///
/// Cheap to clone; clones share the folder for generated files.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: Door,
    url: String,
    folder: PathBuf,
    stack: Stack,
    files: AtomicU32,
}

#[derive(Debug)]
enum Door {
    /// Our own authorities.
    Plane(Arc<Pki>),
    /// Somebody's kubeconfig; other identities by impersonation.
    Existing {
        config: Box<Config>,
        file: PathBuf,
        kubeconfig: Box<Kubeconfig>,
    },
}

impl Access {
    pub(crate) fn to_plane(url: String, pki: Arc<Pki>, folder: PathBuf, stack: Stack) -> Self {
        Self(Arc::new(Inner {
            door: Door::Plane(pki),
            url,
            folder,
            stack,
            files: AtomicU32::new(0),
        }))
    }

    /// Enters an existing cluster with the current context of a kubeconfig file. `folder` takes generated files.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood.
    pub async fn from_kubeconfig(file: &Path, folder: &Path, stack: Stack) -> Result<Self> {
        install_tls();
        let kubeconfig = Kubeconfig::read_from(file)
            .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig {}", file.display()))?;
        Ok(Self(Arc::new(Inner {
            url: config.cluster_url.to_string(),
            door: Door::Existing {
                config: Box::new(config),
                file: file.to_path_buf(),
                kubeconfig: Box::new(kubeconfig),
            },
            folder: folder.to_path_buf(),
            stack,
            files: AtomicU32::new(0),
        })))
    }

    /// The API server's address, `https://host:port`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The folder for generated files; it lives as long as the plane.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The built binaries.
    pub fn stack(&self) -> &Stack {
        &self.0.stack
    }

    /// A client as `identity`, of the calling runtime.
    ///
    /// On a plane this is real authentication (the front proxy's certificate names user, groups and extra keys), not
    /// impersonation; on an existing cluster it is impersonation.
    ///
    /// # Errors
    ///
    /// When the client cannot be built; nothing is sent yet.
    pub fn client(&self, identity: &Identity) -> Result<Client> {
        client_from(self.config(identity)?)
    }

    /// The cluster administrator (`system:masters`), or the kubeconfig's own user on an existing cluster.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn admin(&self) -> Result<Client> {
        self.client(&Identity::admin())
    }

    /// A person or machine with these groups. RBAC decides what it may do: bind something first.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        let mut identity = Identity::user(user);
        identity.groups = groups.iter().map(ToString::to_string).collect();
        self.client(&identity)
    }

    /// The break-glass person: `cluster-admin` by a binding of the harness, and let through by the guards.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn break_glass(&self) -> Result<Client> {
        self.client(&Identity::break_glass())
    }

    /// The administrator impersonating `identity`: what an audit log shows as `impersonatedUser`.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn impersonating(&self, identity: &Identity) -> Result<Client> {
        let mut config = self.config(&Identity::admin())?;
        impersonate(&mut config.auth_info, identity);
        client_from(config)
    }

    /// A client with a bearer token.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn client_with_token(&self, token: &str) -> Result<Client> {
        let mut config = self.bare_config()?;
        config.auth_info = auth(json!({ "token": token }))?;
        client_from(config)
    }

    /// A client without any credentials.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn anonymous(&self) -> Result<Client> {
        client_from(self.bare_config()?)
    }

    /// Writes a kubeconfig file for `identity`, for kubectl, helm and other programs.
    ///
    /// On a plane it holds a freshly minted client certificate, which carries at most two groups and no extra keys.
    ///
    /// # Errors
    ///
    /// When the identity does not fit into a certificate, or the file cannot be written.
    pub fn kubeconfig(&self, identity: &Identity) -> Result<PathBuf> {
        match &self.0.door {
            Door::Plane(_) => self.kubeconfig_at(identity, &self.0.url),
            Door::Existing { file, .. } if *identity == Identity::admin() => Ok(file.clone()),
            Door::Existing { kubeconfig, .. } => {
                let mut copy = (**kubeconfig).clone();
                for user in copy
                    .auth_infos
                    .iter_mut()
                    .filter_map(|user| user.auth_info.as_mut())
                {
                    impersonate(user, identity);
                }
                let text =
                    serde_json::to_string_pretty(&copy).context("cannot write a kubeconfig")?;
                self.write("kubeconfig", &text)
            }
        }
    }

    /// As [`Access::kubeconfig`] on a plane, for a program that reaches the API server elsewhere (from a node, say).
    ///
    /// # Errors
    ///
    /// As [`Access::kubeconfig`]; and on an existing cluster, which has one address only.
    pub fn kubeconfig_at(&self, identity: &Identity, url: &str) -> Result<PathBuf> {
        let Door::Plane(pki) = &self.0.door else {
            bail!("an existing cluster is reached where its kubeconfig says, not at {url}");
        };
        let pair = pki.client(identity)?;
        let certificate = self.write("client.crt", &pair.certificate)?;
        let key = self.write("client.key", &pair.key)?;
        self.write_kubeconfig(
            url,
            json!({ "client-certificate": certificate, "client-key": key }),
        )
    }

    /// Writes a kubeconfig file with a bearer token; `url` replaces the server's address (a fault proxy's, say).
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn kubeconfig_with_token(&self, token: &str, url: Option<&str>) -> Result<PathBuf> {
        self.write_kubeconfig(url.unwrap_or(&self.0.url), json!({ "token": token }))
    }

    /// A session of a ServiceAccount: a real token, asked for by break-glass, good for a day.
    ///
    /// # Errors
    ///
    /// When the account does not exist or the token is refused.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Session> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.break_glass()?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| {
                format!("no token for the ServiceAccount {namespace}/{name}: does it exist?")
            })?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .context("the token request came back without a token")?;
        Ok(self.session(token))
    }

    /// A session with a bearer token, whoever issued it.
    pub fn session(&self, token: String) -> Session {
        Session {
            access: self.clone(),
            token,
        }
    }

    /// The real helm against this cluster, as `identity`.
    ///
    /// # Errors
    ///
    /// When its kubeconfig cannot be written.
    pub fn helm(&self, identity: &Identity) -> Result<Helm> {
        Helm::new(&self.0.stack, &self.0.folder, self.kubeconfig(identity)?)
    }

    /// The real kubectl against this cluster, as `identity`.
    ///
    /// # Errors
    ///
    /// When its kubeconfig cannot be written.
    pub fn kubectl(&self, identity: &Identity) -> Result<Kubectl> {
        Ok(Kubectl::new(
            &self.0.stack,
            &self.0.folder,
            self.kubeconfig(identity)?,
        ))
    }

    /// A configuration without credentials that trusts the server.
    pub(crate) fn bare_config(&self) -> Result<Config> {
        install_tls();
        match &self.0.door {
            Door::Plane(pki) => {
                let url = self
                    .0
                    .url
                    .parse()
                    .map_err(|error| anyhow!("bad address {}: {error}", self.0.url))?;
                let mut config = Config::new(url);
                config.root_cert = Some(vec![pki.ca_der()]);
                Ok(config)
            }
            Door::Existing { config, .. } => {
                let mut config = (**config).clone();
                config.auth_info = AuthInfo::default();
                Ok(config)
            }
        }
    }

    fn config(&self, identity: &Identity) -> Result<Config> {
        match &self.0.door {
            Door::Plane(pki) => {
                let mut config = self.bare_config()?;
                config.auth_info = auth(json!({
                    "client-certificate": pki.file("front-proxy.crt"),
                    "client-key": pki.file("front-proxy.key"),
                }))?;
                config.headers = front_proxy_headers(identity)?;
                Ok(config)
            }
            Door::Existing { config, .. } => {
                let mut config = (**config).clone();
                if *identity != Identity::admin() {
                    impersonate(&mut config.auth_info, identity);
                }
                Ok(config)
            }
        }
    }

    fn write_kubeconfig(&self, url: &str, user: Value) -> Result<PathBuf> {
        let mut cluster = match &self.0.door {
            Door::Plane(pki) => json!({ "certificate-authority": pki.file("ca.crt") }),
            Door::Existing { kubeconfig, .. } => {
                let cluster = current_cluster(kubeconfig);
                serde_json::to_value(cluster).context("cannot copy the kubeconfig's cluster")?
            }
        };
        cluster["server"] = json!(url);
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "tenure", "cluster": cluster }],
            "users": [{ "name": "tenure", "user": user }],
            "contexts": [{ "name": "tenure", "context": { "cluster": "tenure", "user": "tenure" } }],
            "current-context": "tenure",
        });
        self.write("kubeconfig", &format!("{kubeconfig:#}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let number = self.0.files.fetch_add(1, Ordering::Relaxed);
        let folder = self.0.folder.join("access");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{number}-{name}"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl AsRef<Access> for Access {
    fn as_ref(&self) -> &Access {
        self
    }
}

/// A bearer token and what can be done with it.
#[derive(Debug, Clone)]
pub struct Session {
    access: Access,
    token: String,
}

impl Session {
    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How an audit log names the token: `JTI=<its id>`.
    ///
    /// # Errors
    ///
    /// When it is no JSON web token with an id.
    pub fn credential(&self) -> Result<String> {
        use base64::Engine as _;
        let payload = self
            .token
            .split('.')
            .nth(1)
            .context("a token has three parts")?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload)?;
        let claims: Value = serde_json::from_slice(&bytes)?;
        let id = claims["jti"].as_str().context("the token has no id")?;
        Ok(format!("JTI={id}"))
    }

    /// A client with the token.
    ///
    /// # Errors
    ///
    /// As [`Access::client`].
    pub fn client(&self) -> Result<Client> {
        self.access.client_with_token(&self.token)
    }

    /// A kubeconfig file with the token.
    ///
    /// # Errors
    ///
    /// As [`Access::kubeconfig_with_token`].
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        self.access.kubeconfig_with_token(&self.token, None)
    }
}

/// Makes aws-lc-rs the process's TLS provider; the second and later calls do nothing.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn client_from(config: Config) -> Result<Client> {
    Client::try_from(config).context("cannot build a client")
}

fn auth(value: Value) -> Result<AuthInfo> {
    serde_json::from_value(value).context("cannot build credentials")
}

fn impersonate(auth: &mut AuthInfo, identity: &Identity) {
    auth.impersonate = Some(identity.user.clone());
    auth.impersonate_groups = Some(identity.groups.clone());
    auth.impersonate_user_extra = Some(identity.extra.clone().into_iter().collect());
}

/// The cluster of a kubeconfig's current context; its only one where it names none.
fn current_cluster(kubeconfig: &Kubeconfig) -> Option<Cluster> {
    let current = kubeconfig.current_context.as_ref();
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| Some(&named.name) == current);
    let name = context
        .and_then(|named| named.context.as_ref())
        .map(|context| &context.cluster);
    let clusters = &kubeconfig.clusters;
    let found = clusters
        .iter()
        .find(|named| name.is_none_or(|name| *name == named.name));
    found.and_then(|named| named.cluster.clone())
}

type Headers = Vec<(http::HeaderName, http::HeaderValue)>;

fn front_proxy_headers(identity: &Identity) -> Result<Headers> {
    let mut headers = vec![header("x-remote-user", &identity.user)?];
    for group in &identity.groups {
        headers.push(header("x-remote-group", group)?);
    }
    for (key, values) in &identity.extra {
        // The server lower-cases the key and decodes it; a header name has no room for `/`.
        let name = format!(
            "x-remote-extra-{}",
            key.replace('%', "%25").replace('/', "%2f")
        );
        for value in values {
            headers.push(header(&name, value)?);
        }
    }
    Ok(headers)
}

fn header(name: &str, value: &str) -> Result<(http::HeaderName, http::HeaderValue)> {
    let name = name
        .parse()
        .with_context(|| format!("{name:?} is no header name"))?;
    let value = value
        .parse()
        .with_context(|| format!("{value:?} is no header value"))?;
    Ok((name, value))
}
