//! A real S3 server (versitygw) over a folder: versions, object lock, users of its own, TLS.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::{Client, Config};
use tokio::process::Command;

use crate::access::install_tls;
use crate::command::run;
use crate::paths::{WorkDir, repository};
use crate::pki::Pki;
use crate::plane::free_port;
use crate::process::{Process, Recipe, Signal, until_ready};
use crate::stack::{Stack, Tool};

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// What answers as soon as it is.
const HEALTH: &str = "/health";
/// The folder of its buckets.
const OBJECTS: &str = "objects";
/// The region it takes itself to be in.
pub const REGION: &str = "us-east-1";

/// Somebody whom the server knows, by name; the secret is made from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct User(pub &'static str);

/// Whom nothing is denied but what a lock denies.
pub const ROOT: User = User("root");

/// The rights that docs/record.md gives to whoever writes a record, for this bucket and this user.
///
/// # Errors
///
/// When the page has no policy any more.
pub fn documented_policy(bucket: &str, user: User) -> Result<String> {
    let page = fs::read_to_string(repository().join("docs/record.md"))?;
    let policy = page.split("```json").nth(1);
    let policy = policy.and_then(|rest| rest.split("```").next());
    let policy = policy.context("docs/record.md shows no policy")?.trim();
    let (buckets, roles) = (
        "arn:aws:s3:::records",
        "arn:aws:iam::111122223333:role/tenure",
    );
    ensure!(
        policy.contains(buckets) && policy.contains(roles),
        "{policy}"
    );
    Ok(policy
        .replace(buckets, &format!("arn:aws:s3:::{bucket}"))
        .replace(roles, user.0))
}

impl User {
    /// The secret access key.
    pub fn secret(self) -> String {
        format!("secret-of-{}", self.0)
    }
}

/// A running server. It ends with this value, and what it holds goes with it.
pub struct S3Server {
    endpoint: String,
    authority: PathBuf,
    authority_der: Vec<u8>,
    process: Process,
    recipe: Recipe,
    folder: WorkDir,
}

impl S3Server {
    /// Starts one that speaks TLS.
    ///
    /// # Errors
    ///
    /// When it cannot be built or does not become ready.
    pub async fn start(name: &str) -> Result<Self> {
        Self::with(name, true).await
    }

    /// Starts one without TLS, for who wants to stand in between.
    ///
    /// # Errors
    ///
    /// As [`S3Server::start`].
    pub async fn start_plain(name: &str) -> Result<Self> {
        Self::with(name, false).await
    }

    async fn with(name: &str, is_tls: bool) -> Result<Self> {
        install_tls();
        let stack = tokio::task::spawn_blocking(|| Stack::ensure_one(Tool::Versitygw)).await??;
        let binary = stack.path(Tool::Versitygw).to_path_buf();
        let folder = WorkDir::new(name, false)?;
        let pki = Pki::new(&folder.path().join("pki"), &[])?;
        let port = free_port()?;
        let scheme = if is_tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        let recipe = recipe(&binary, folder.path(), port, is_tls.then_some(&pki))?;
        let server = Self {
            endpoint,
            authority: pki.file("ca.crt"),
            authority_der: pki.ca_der(),
            process: Process::start(recipe.clone())?,
            recipe,
            folder,
        };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&self) -> Result<()> {
        let mut config = Config::new(self.endpoint.parse()?);
        config.root_cert = Some(vec![self.authority_der.clone()]);
        let client = Client::try_from(config).context("cannot build a client")?;
        until_ready(&self.process, READY, async || {
            let request = http::Request::get(HEALTH).body(Vec::new())?;
            Ok(client.request_text(request).await.map(drop)?)
        })
        .await
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The certificate of the authority that it is to be trusted by.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps what is in a bucket: a file for each object.
    pub fn objects(&self, bucket: &str) -> PathBuf {
        self.folder().join(OBJECTS).join(bucket)
    }

    /// Makes somebody known who may do nothing yet.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn make_user(&self, user: User) -> Result<()> {
        let secret = user.secret();
        let args = ["create-user", "--role", "user", "--access", user.0];
        self.admin(&[&args[..], &["--secret", &secret]].concat())
            .await
    }

    /// Makes a bucket that belongs to [`ROOT`]; with locks its objects can be locked, and it keeps versions.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn make_bucket(&self, name: &str, with_locks: bool) -> Result<()> {
        let args = ["create-bucket", "--owner", ROOT.0, "--bucket", name];
        let locks: &[&str] = if with_locks {
            &["--object-lock-enabled-for-bucket"]
        } else {
            &[]
        };
        self.admin(&[&args[..], locks].concat()).await
    }

    /// Writes a file of credentials, as the AWS tools have it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn credentials(&self, user: User) -> Result<PathBuf> {
        let path = self.folder().join(format!("{}.credentials", user.0));
        let (id, secret) = (user.0, user.secret());
        let text =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// From now on it answers nothing, and keeps its connections.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// After [`S3Server::pause`]: it goes on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Kills it; what it holds stays.
    ///
    /// # Errors
    ///
    /// When it is not gone after ten seconds.
    pub fn kill(&self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// After [`S3Server::kill`]: it comes again at the same address, with what it held.
    ///
    /// # Errors
    ///
    /// As [`S3Server::start`].
    pub async fn come_again(&mut self) -> Result<()> {
        self.process = Process::start(self.recipe.clone())?;
        self.ready().await
    }

    async fn admin(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.recipe.program);
        command
            .args(["admin", "--allow-insecure", "--endpoint-url"])
            .arg(&self.endpoint)
            .args(args)
            .env("ADMIN_ACCESS_KEY_ID", ROOT.0)
            .env("ADMIN_SECRET_ACCESS_KEY", ROOT.secret());
        let shown = format!("versitygw admin {}", args[0]);
        run(command, shown, None).await?.success().map(drop)
    }
}

fn recipe(binary: &Path, folder: &Path, port: u16, pki: Option<&Pki>) -> Result<Recipe> {
    let [objects, versions, users] = [OBJECTS, "versions", "users"].map(|name| folder.join(name));
    for folder in [&objects, &versions, &users] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut args: Vec<OsString> = ["--health", HEALTH, "--region", REGION, "--port"]
        .map(OsString::from)
        .into();
    args.push(format!("127.0.0.1:{port}").into());
    args.extend(["--iam-dir".into(), users.into()]);
    if let Some(pki) = pki {
        args.extend(["--cert".into(), pki.file("apiserver.crt").into()]);
        args.extend(["--key".into(), pki.file("apiserver.key").into()]);
    }
    args.extend(["posix".into(), "--versioning-dir".into(), versions.into()]);
    args.push(objects.into());
    Ok(Recipe {
        name: "versitygw".to_owned(),
        program: binary.to_path_buf(),
        args,
        env: vec![
            ("ROOT_ACCESS_KEY_ID".to_owned(), ROOT.0.into()),
            ("ROOT_SECRET_ACCESS_KEY".to_owned(), ROOT.secret().into()),
        ],
        log: folder.join("versitygw.log"),
        detached: false,
    })
}
