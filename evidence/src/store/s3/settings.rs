//! Where a bucket is, as whom it is asked, and how long what is written there is locked.

use std::fs;
use std::path::{Path, PathBuf};

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{IdentityCache, Region, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::credentials::Mounted;
use super::{ATTEMPT, ATTEMPTS};

/// A bucket, and how it is written to.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// Folder in it; empty for the bucket as a whole.
    pub prefix: String,
    /// Its region; servers of one's own mostly take `us-east-1`.
    pub region: String,
    /// Address of a server other than AWS's own: `https://` or `http://`, a name, a port.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of an address instead of its host name; servers of one's own mostly want that.
    pub path_style: bool,
    /// Certificates (PEM) of the authorities to trust instead of the machine's; a machine that has none takes the public ones.
    pub ca_bundle: Option<PathBuf>,
    /// As whom it is asked.
    pub credentials: Credentials,
    /// How long what is written stays locked; nothing for a bucket that has no object lock.
    pub lock: Option<Lock>,
}

/// As whom a bucket is asked.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// What AWS's own tools would find: the environment, shared files, a web identity token, the machine's role.
    Standard,
    /// A file of that format, which may change at any time.
    File(PathBuf),
}

/// Until when nobody can delete what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lock {
    /// For whom it holds.
    pub mode: LockMode,
    /// For how many days from the moment of writing.
    pub days: u32,
}

impl Lock {
    /// For how many, unless somebody says otherwise: a year, which each annual assessment looks back on (DSA 2.12), and the 90 days
    /// in which an exit ends (DSA 2.13).
    pub const DAYS: u32 = 365 + 90;
}

/// For whom a lock holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockMode {
    /// For everybody, the account's owner included.
    Compliance,
    /// For everybody who has no right to go around it.
    Governance,
}

impl S3Settings {
    /// Where it is, for messages.
    pub(super) fn place(&self) -> String {
        let at = match &self.endpoint {
            // What stands before an @ may be a password.
            Some(endpoint) => endpoint.rsplit('@').next().unwrap_or_default(),
            None => self.region.as_str(),
        };
        let path = format!("{}/{}", self.bucket, self.prefix.trim_matches('/'));
        format!("s3://{} at {at}", path.trim_end_matches('/'))
    }

    /// A client with this identity, for whoever looks after the bucket itself.
    ///
    /// # Errors
    /// Where the settings cannot be used, and why.
    pub async fn client(&self) -> Result<Client, String> {
        self.check()?;
        let http = self.http()?;
        let version = BehaviorVersion::v2026_01_12();
        let region = Region::new(self.region.clone());
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(version)
            .region(region.clone())
            .force_path_style(self.path_style)
            .http_client(http.clone())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        builder.set_endpoint_url(self.endpoint.clone());
        match &self.credentials {
            Credentials::File(path) => {
                builder = builder
                    .credentials_provider(Mounted::at(path))
                    .identity_cache(IdentityCache::no_cache());
            }
            Credentials::Standard => {
                let found = aws_config::defaults(version).region(region);
                let found = found.http_client(http).load().await;
                builder.set_credentials_provider(found.credentials_provider());
            }
        }
        Ok(Client::from_conf(builder.build()))
    }

    fn check(&self) -> Result<(), String> {
        if self.bucket.is_empty() || self.region.is_empty() {
            return Err("a bucket needs a name and a region".into());
        }
        if self.lock.is_some_and(|lock| lock.days == 0) {
            return Err("a lock holds for at least one day".into());
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let host = endpoint
            .strip_prefix("https://")
            .or_else(|| endpoint.strip_prefix("http://"));
        if !host.is_some_and(|host| !host.is_empty() && !host.contains(['@', '?', '#', ' '])) {
            return Err(
                "its address must be https:// or http:// with a host, and no credentials".into(),
            );
        }
        Ok(())
    }

    fn http(&self) -> Result<SharedHttpClient, String> {
        let context = TlsContext::builder()
            .with_trust_store(self.trusted()?)
            .build();
        let context = context.map_err(|error| error.to_string())?;
        Ok(aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build_https())
    }

    fn trusted(&self) -> Result<TrustStore, String> {
        let pem = match &self.ca_bundle {
            Some(path) => bundle(path)?,
            None if machine_trusts_somebody() => return Ok(TrustStore::default()),
            None => public_authorities().into_bytes(),
        };
        Ok(TrustStore::empty().with_pem_certificate(pem))
    }
}

/// Whether the machine has a list of authorities: an image that holds nothing but a program has none.
fn machine_trusts_somebody() -> bool {
    let found = rustls_native_certs::load_native_certs().certs;
    RootCertStore::empty().add_parsable_certificates(found).0 > 0
}

/// The public authorities, as browsers have them, in PEM.
fn public_authorities() -> String {
    let of = |certificate: &CertificateDer<'_>| {
        let base64 = BASE64.encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    };
    let all = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    all.iter().map(of).collect()
}

/// Reads a bundle and makes sure that it is one: the client would end the process over a bad one.
fn bundle(path: &Path) -> Result<Vec<u8>, String> {
    let told = |why: String| {
        format!(
            "the certificates in {} cannot be used: {why}",
            path.display()
        )
    };
    let text = fs::read(path).map_err(|error| told(error.to_string()))?;
    match authorities(&text).map_err(told)? {
        0 => Err(told("there is none".into())),
        _ => Ok(text),
    }
}

/// How many authorities there are in a text.
fn authorities(pem: &[u8]) -> Result<usize, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(store.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> S3Settings {
        S3Settings {
            bucket: "record".into(),
            prefix: "/cluster-1/".into(),
            region: "eu-central-1".into(),
            endpoint: None,
            path_style: false,
            ca_bundle: None,
            credentials: Credentials::File("/nowhere".into()),
            lock: None,
        }
    }

    #[test]
    fn a_place_says_where_and_tells_no_secret() {
        let mut settings = settings();
        assert_eq!(settings.place(), "s3://record/cluster-1 at eu-central-1");
        settings.prefix = String::new();
        settings.endpoint = Some("https://me:sesame@store:9000".into());
        assert_eq!(settings.place(), "s3://record at store:9000");
    }

    #[test]
    fn a_machine_without_authorities_knows_the_public_ones() {
        let count = authorities(public_authorities().as_bytes()).unwrap();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(count > 50, "{count}");
    }

    #[tokio::test]
    async fn settings_that_cannot_be_used_are_told_at_once() {
        for endpoint in [
            "store:9000",
            "ftp://store",
            "https://",
            "https://me:sesame@store",
        ] {
            let mut settings = settings();
            settings.endpoint = Some(endpoint.into());
            let why = settings.client().await.unwrap_err();
            assert!(why.contains("address") && !why.contains("sesame"), "{why}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in [None, Some(""), Some("no certificate"), Some(garbage)] {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let mut settings = settings();
            settings.ca_bundle = Some(path.clone());
            let why = settings.client().await.unwrap_err();
            assert!(why.contains("ca.pem"), "{text:?}: {why}");
        }
        let mut settings = settings();
        settings.lock = Some(Lock {
            mode: LockMode::Compliance,
            days: 0,
        });
        assert!(settings.client().await.unwrap_err().contains("day"));
    }
}
