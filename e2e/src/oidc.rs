//! An identity provider of one's own: OpenID Connect over HTTPS, as the API server's authentication configuration needs it.
//!
//! It serves its discovery document and its public key, and mints ID tokens for whom a test names. There is no sign-in
//! page: who holds this value is believed.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::install_tls;
use crate::pki::Pki;
use crate::proxy::acceptor;

/// What stands before users and groups of the identity provider.
pub const PREFIX: &str = "oidc:";
/// The extra key under which the API server knows how somebody signed in (RFC 8176, `amr`).
pub const MFA_KEY: &str = "tenure.example/amr";
/// Its value for several factors.
pub const MFA_VALUE: &str = "mfa";
/// Whom tokens are for.
const AUDIENCE: &str = "kubernetes";

/// Somebody who signs in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The name at the identity provider; the API server says `oidc:` before it.
    pub user: String,
    /// The groups there; the API server says `oidc:` before each.
    pub groups: Vec<String>,
    /// Whether a second factor was asked for and given.
    pub second_factor: bool,
    /// How long the token lives from now; a negative one is over already.
    pub lifetime: SignedDuration,
}

impl SignIn {
    /// `user` with a password alone, in no group, for an hour.
    pub fn of(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            groups: Vec::new(),
            second_factor: false,
            lifetime: SignedDuration::from_hours(1),
        }
    }

    /// The same, in one more group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// The same, with a second factor.
    #[must_use]
    pub fn with_second_factor(mut self) -> Self {
        self.second_factor = true;
        self
    }

    /// The same, for this long from now.
    #[must_use]
    pub fn living(mut self, lifetime: SignedDuration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

/// A running identity provider. It ends with this value, and with this process.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    certificate_authority: String,
    key: EcdsaKeyPair,
    ends: CancellationToken,
}

impl Issuer {
    /// Starts on a thread of its own: it serves every API server of a plane, whichever test's runtime started that.
    ///
    /// # Errors
    ///
    /// When the plane's certificates cannot be used, or no port is free.
    pub(crate) fn start(pki: &Pki) -> Result<Self> {
        install_tls();
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for the issuer")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{}", listener.local_addr()?);
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .context("cannot make a key")?;
        let issuer = Self {
            certificate_authority: pki.ca_pem(),
            key,
            ends: CancellationToken::new(),
            url,
        };
        let documents = Arc::new(Documents::of(&issuer)?);
        let serving = issuer.ends.clone().run_until_cancelled_owned(serve(
            listener,
            acceptor(pki)?,
            documents,
        ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        std::thread::Builder::new()
            .name("issuer".to_owned())
            .spawn(move || runtime.block_on(serving))
            .context("cannot start a thread")?;
        Ok(issuer)
    }

    /// Its name, `https://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A signed ID token.
    ///
    /// # Errors
    ///
    /// When it cannot be signed, or its end is no instant.
    pub fn token(&self, who: &SignIn) -> Result<String> {
        let now = Timestamp::now();
        let methods: &[&str] = match who.second_factor {
            true => &["pwd", "otp", MFA_VALUE],
            false => &["pwd"],
        };
        let claims = json!({
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": who.user,
            "groups": who.groups,
            "amr": methods,
            "iat": now.as_second(),
            "exp": now.checked_add(who.lifetime)?.as_second(),
            "jti": uuid::Uuid::new_v4(),
        });
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.key_id() });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .context("cannot sign a token")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The API server's authentication configuration that believes this provider.
    pub(crate) fn configuration(&self) -> Value {
        let prefixed = |claim: &str| json!({ "claim": claim, "prefix": PREFIX });
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {
                    "url": self.url,
                    "certificateAuthority": self.certificate_authority,
                    "audiences": [AUDIENCE],
                },
                "claimMappings": {
                    "username": prefixed("sub"),
                    "groups": prefixed("groups"),
                    "extra": [{ "key": MFA_KEY, "valueExpression": "has(claims.amr) ? claims.amr : []" }],
                },
            }],
        })
    }

    /// Each provider's keys have names of their own.
    fn key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.key.public_key().as_ref()[1..9])
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.ends.cancel();
    }
}

/// What it serves.
struct Documents {
    discovery: String,
    keys: String,
}

impl Documents {
    fn of(issuer: &Issuer) -> Result<Self> {
        let point = issuer.key.public_key().as_ref();
        // Uncompressed: 4, then both coordinates.
        let (x, y) = point
            .get(1..)
            .and_then(|point| point.split_at_checked(32))
            .context("no point of P-256")?;
        let discovery = json!({
            "issuer": issuer.url,
            "jwks_uri": format!("{}/keys", issuer.url),
            "authorization_endpoint": format!("{}/authorize", issuer.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": issuer.key_id(),
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self {
            discovery: discovery.to_string(),
            keys: json!({ "keys": [key] }).to_string(),
        })
    }

    fn answer(&self, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, http::Error> {
        let (status, body) = match request.uri().path() {
            "/.well-known/openid-configuration" => (StatusCode::OK, self.discovery.clone()),
            "/keys" => (StatusCode::OK, self.keys.clone()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    documents: Arc<Documents>,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, documents) = (acceptor.clone(), Arc::clone(&documents));
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await?;
            let service = service_fn(|request| {
                let answer = documents.answer(&request);
                async move { answer }
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await?;
            anyhow::Ok(())
        });
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
