//! Certificates of one plane: a CA for server and clients, one for the front proxy, and the ServiceAccount key.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::identity::Identity;

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The common name of the front proxy's certificate (`--requestheader-allowed-names`).
pub(crate) const FRONT_PROXY: &str = "tenure-harness-front-proxy";

/// The authorities of one plane, and the files the components read.
#[derive(Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
    /// The front proxy's client certificate: who holds it may say who the user is.
    pub(crate) front_proxy: Pair,
}

impl Pki {
    /// Makes everything and writes it into `folder`. `addresses` are further ones at which API servers answer.
    pub(crate) fn new(folder: &Path, addresses: &[Ipv4Addr]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let ca = authority("tenure-harness-ca")?;
        let proxy_ca = authority("tenure-harness-front-proxy-ca")?;
        let front_proxy = issue(&proxy_ca, client(&Identity::user(FRONT_PROXY))?)?;
        let pki = Self {
            folder: folder.to_path_buf(),
            ca,
            front_proxy,
        };
        pki.write("ca.crt", &pki.ca.pem())?;
        pki.write("ca.key", &pki.ca.key().serialize_pem())?;
        pki.write("front-proxy-ca.crt", &proxy_ca.pem())?;
        pki.write("front-proxy.crt", &pki.front_proxy.certificate)?;
        pki.write("front-proxy.key", &pki.front_proxy.key)?;
        pki.write_pair("apiserver", &issue(&pki.ca, server(addresses)?)?)?;
        let kubelet_client =
            Identity::user("kube-apiserver-kubelet-client").group("system:masters");
        pki.write_pair("kubelet-client", &pki.client(&kubelet_client)?)?;
        let accounts = KeyPair::generate().context("cannot make a key")?;
        pki.write("sa.key", &accounts.serialize_pem())?;
        pki.write("sa.pub", &accounts.public_key_pem())?;
        Ok(pki)
    }

    /// The path of one of the files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The CA's certificate, DER.
    pub(crate) fn ca_der(&self) -> Vec<u8> {
        self.ca.der().to_vec()
    }

    /// The CA's certificate, PEM.
    pub(crate) fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// A freshly minted client certificate.
    ///
    /// # Errors
    ///
    /// For more than two groups, or extra keys: a certificate made here cannot carry them.
    pub(crate) fn client(&self, identity: &Identity) -> Result<Pair> {
        issue(&self.ca, client(identity)?)
    }

    fn write_pair(&self, name: &str, pair: &Pair) -> Result<()> {
        self.write(&format!("{name}.crt"), &pair.certificate)?;
        self.write(&format!("{name}.key"), &pair.key)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params(name, Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate().context("cannot make a key")?;
    CertifiedIssuer::self_signed(params, key).context("cannot sign the authority's certificate")
}

fn server(addresses: &[Ipv4Addr]) -> Result<CertificateParams> {
    let usual = [
        "127.0.0.1",
        "10.96.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let names = usual.map(String::from).into_iter();
    let names = names.chain(addresses.iter().map(ToString::to_string));
    let mut params = params("kube-apiserver", names.collect())?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client(identity: &Identity) -> Result<CertificateParams> {
    if !identity.extra.is_empty() || identity.groups.len() > 2 {
        bail!(
            "a client certificate carries at most two groups here and no extra keys; {} has {} groups and {} extra \
             keys: use a client instead of a kubeconfig",
            identity.user,
            identity.groups.len(),
            identity.extra.len()
        );
    }
    let mut params = params(&identity.user, Vec::new())?;
    // rcgen keeps one value per type; the same attribute (2.5.4.10, organisation) under its other name is a second.
    let types = [
        DnType::OrganizationName,
        DnType::CustomDnType(vec![2, 5, 4, 10]),
    ];
    for (kind, group) in types.into_iter().zip(&identity.groups) {
        params.distinguished_name.push(kind, group.as_str());
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("cannot make certificate parameters")?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, params: CertificateParams) -> Result<Pair> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params
        .signed_by(&key, issuer)
        .context("cannot sign a certificate")?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
