//! The record in a bucket of a real S3 server: the same contract as a folder, and nobody who comes later changes what is read.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    ChecksumMode, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tenure_e2e::s3::{REGION, ROOT, S3Server, User, documented_policy};
use tenure_e2e::store::hold_to_contract;
use tenure_evidence::store::{
    Credentials, DEADLINE, Failure, Listed, Lock, LockMode, S3, S3Settings, StoreError,
};
use tenure_evidence::verify::Verification;
use tenure_evidence::{ChainId, Claim, Draft, Folder, KeyList, Ledger, Signer, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use uuid::Uuid;

const BUCKET: &str = "record";
const PREFIX: &str = "clusters/one";
/// May write, read and list, and nothing else.
const WRITER: User = User("writer");
/// May do nothing.
const STRANGER: User = User("stranger");
const LOCK: Lock = Lock {
    mode: LockMode::Compliance,
    days: 3,
};
const DAY: i64 = 24 * 60 * 60;

/// A server with a bucket whose objects can be locked, and somebody who may write there.
async fn server(name: &str) -> Result<S3Server> {
    let server = S3Server::start(name).await?;
    furnish(&server).await?;
    Ok(server)
}

async fn furnish(server: &S3Server) -> Result<()> {
    server.make_user(WRITER).await?;
    server.make_bucket(BUCKET, true).await?;
    let policy = documented_policy(BUCKET, WRITER)?;
    let request = client(server, ROOT).await?.put_bucket_policy();
    request.bucket(BUCKET).policy(policy).send().await?;
    Ok(())
}

fn settings(server: &S3Server, user: User) -> Result<S3Settings> {
    Ok(S3Settings {
        bucket: BUCKET.into(),
        prefix: PREFIX.into(),
        region: REGION.into(),
        endpoint: Some(server.endpoint().into()),
        path_style: true,
        ca_bundle: Some(server.authority().to_path_buf()),
        credentials: Credentials::File(server.credentials(user)?),
        lock: Some(LOCK),
    })
}

async fn store(server: &S3Server) -> Result<S3> {
    Ok(S3::new(settings(server, WRITER)?).await?)
}

/// A client as anybody else has it, with the identity of `user`.
async fn client(server: &S3Server, user: User) -> Result<Client> {
    Ok(settings(server, user)?.client().await.unwrap())
}

fn full(key: &str) -> String {
    format!("{PREFIX}/{key}")
}

async fn listed(store: &S3, folder: &str) -> Result<Vec<Listed>> {
    Ok(store.objects(folder).try_collect().await?)
}

async fn overwrite(client: &Client, key: &str, bytes: &'static [u8]) -> Result<()> {
    let request = client.put_object().bucket(BUCKET).key(full(key));
    let body = ByteStream::from_static(bytes);
    request.body(body).send().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_a_bucket_keep_the_same_contract() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let as_folder = hold_to_contract(&Folder::open(folder.path())?).await;
    as_folder.context("a folder")?;
    let server = server("s3-contract").await?;
    hold_to_contract(&store(&server).await?)
        .await
        .context("a bucket")?;
    let mut whole = settings(&server, WRITER)?;
    whole.prefix = String::new();
    let whole = S3::new(whole).await?;
    let found = whole.get("clusters/one/v1/chains/a/0001.jsonl").await?;
    ensure!(found.is_some(), "the prefix is not where it should be");
    let folders: Vec<String> = whole.folders("clusters").try_collect().await?;
    ensure!(folders == ["one"], "{folders:?}");
    let others = server_without_locks(&server).await?;
    hold_to_contract(&others)
        .await
        .context("a bucket without versions")
}

async fn server_without_locks(server: &S3Server) -> Result<S3> {
    server.make_bucket("plain", false).await?;
    let mut settings = settings(server, ROOT)?;
    settings.bucket = "plain".into();
    settings.lock = None;
    Ok(S3::new(settings).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_comes_later_changes_what_is_read() -> Result<()> {
    let server = server("s3-later").await?;
    let (store, other) = (store(&server).await?, client(&server, ROOT).await?);
    let (key, first) = ("v1/keys/a.json", Bytes::from_static(b"first"));
    ensure!(store.create(key, first.clone()).await? == Claim::Made);
    ensure!(store.create("v1/keys/b.json", first.clone()).await? == Claim::Made);

    overwrite(&other, key, b"second").await?;
    overwrite(&other, key, b"third").await?;
    let delete = other.delete_object().bucket(BUCKET);
    delete.key(full(key)).send().await?;
    let gone = other
        .get_object()
        .bucket(BUCKET)
        .key(full(key))
        .send()
        .await;
    ensure!(gone.is_err_and(|error| error.code() == Some("NoSuchKey")));

    ensure!(store.get(key).await? == Some(first.clone()));
    let again = store.create(key, Bytes::from_static(b"again")).await?;
    ensure!(again == Claim::Taken, "{again:?}");
    ensure!(store.get(key).await? == Some(first));
    let found = listed(&store, "v1/keys").await?;
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.name.as_str(), one.versions))
        .collect();
    ensure!(found == [("a.json", 4), ("b.json", 1)], "{found:?}");
    let folders: Vec<String> = store.folders("v1").try_collect().await?;
    ensure!(folders == ["keys"], "{folders:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_locked_until_its_day() -> Result<()> {
    let server = server("s3-lock").await?;
    let (store, other) = (store(&server).await?, client(&server, ROOT).await?);
    let (key, bytes) = ("v1/keys/a.json", Bytes::from_static(b"first"));
    let written = Timestamp::now().as_second();
    store.create(key, bytes.clone()).await?;

    let head = other.head_object().bucket(BUCKET).key(full(key));
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await?;
    ensure!(head.object_lock_mode() == Some(&ObjectLockMode::Compliance));
    let until = head
        .object_lock_retain_until_date()
        .context("no day")?
        .secs();
    let wanted = written + i64::from(LOCK.days) * DAY;
    ensure!(
        (wanted..wanted + 60).contains(&until),
        "{until}, not {wanted}"
    );
    let digest = BASE64.encode(Sha256::digest(&bytes));
    ensure!(head.checksum_sha256() == Some(&digest), "{head:?}");

    let version = head.version_id().context("no version")?;
    let delete = other.delete_object().bucket(BUCKET).key(full(key));
    let refused = delete.version_id(version).send().await;
    ensure!(refused.is_err_and(|error| error.code() == Some("AccessDenied")));
    let sooner = ObjectLockRetention::builder()
        .mode(ObjectLockRetentionMode::Compliance)
        .retain_until_date(DateTime::from_secs(until - DAY))
        .build();
    let shorten = other.put_object_retention().bucket(BUCKET).key(full(key));
    let refused = shorten.version_id(version).retention(sooner).send().await;
    ensure!(refused.is_err_and(|error| error.code() == Some("AccessDenied")));
    let writer = client(&server, WRITER).await?;
    let delete = writer.delete_object().bucket(BUCKET).key(full(key));
    let refused = delete.send().await;
    ensure!(refused.is_err_and(|error| error.code() == Some("AccessDenied")));
    ensure!(store.get(key).await? == Some(bytes));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_listing_comes_in_pages_and_in_order() -> Result<()> {
    const MANY: usize = 2_100;
    let server = server("s3-pages").await?;
    let (store, other) = (store(&server).await?, client(&server, ROOT).await?);
    let key = |number: usize| format!("many/{number:06}");
    // Laid where the server keeps them: as many requests would take longer than all the rest.
    let folder = server.objects(BUCKET).join(full("many"));
    fs::create_dir_all(&folder)?;
    for number in 0..MANY {
        fs::write(folder.join(format!("{number:06}")), "x")?;
    }
    // Around the ends of pages: versions of one key that two pages share.
    let more = [0, 995, 996, 997, 998, 999, 1_000, 1_001, 1_990, 2_099];
    for number in more {
        for _ in 0..3 {
            overwrite(&other, &key(number), b"y").await?;
        }
    }
    let delete = other.delete_object().bucket(BUCKET);
    delete.key(full(&key(997))).send().await?;

    let found = listed(&store, "many").await?;
    ensure!(found.len() == MANY, "{} are listed", found.len());
    for (number, one) in found.iter().enumerate() {
        let deleted = u32::from(number == 997);
        let versions = if more.contains(&number) {
            4 + deleted
        } else {
            1
        };
        let wanted = Listed {
            name: format!("{number:06}"),
            versions,
        };
        ensure!(*one == wanted, "{one:?} where {wanted:?} should be");
    }
    let first: Vec<Listed> = store.objects("many").take(3).try_collect().await?;
    ensure!(first == found[..3]);
    ensure!(store.get(&key(997)).await? == Some(Bytes::from_static(b"x")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_in_time_and_without_secrets() -> Result<()> {
    let server = server("s3-wrong").await?;
    let usual = settings(&server, WRITER)?;
    let fresh = S3::new(usual.clone()).await?;
    ensure!(fresh.get("v1/none").await?.is_none());

    server.make_user(STRANGER).await?;
    let cases: [(&str, Failure, &[&str], S3Settings); 8] = [
        (
            "no rights",
            Failure::Refused,
            &["AccessDenied", "s3:ListBucketVersions"],
            S3Settings {
                credentials: Credentials::File(server.credentials(STRANGER)?),
                ..usual.clone()
            },
        ),
        (
            "an unknown identity",
            Failure::Refused,
            &["InvalidAccessKeyId"],
            with_credentials(&server, &usual, "nobody", "sesame")?,
        ),
        (
            "a wrong secret",
            Failure::Refused,
            &["SignatureDoesNotMatch"],
            with_credentials(&server, &usual, WRITER.0, "sesame")?,
        ),
        (
            "no credentials",
            Failure::Refused,
            &["/nowhere/credentials", "No such file"],
            S3Settings {
                credentials: Credentials::File("/nowhere/credentials".into()),
                ..usual.clone()
            },
        ),
        (
            "an unknown bucket",
            Failure::Unreachable,
            &["NoSuchBucket", "make the bucket"],
            S3Settings {
                bucket: "nobucket".into(),
                ..usual.clone()
            },
        ),
        (
            "nobody there",
            Failure::Unreachable,
            &["onnect"],
            S3Settings {
                endpoint: Some(format!("https://127.0.0.1:{}", unused_port().await?)),
                ..usual.clone()
            },
        ),
        (
            "another authority",
            Failure::Unreachable,
            &["certificate"],
            S3Settings {
                ca_bundle: Some(other_authority(&server)?),
                ..usual.clone()
            },
        ),
        (
            "no TLS spoken to it",
            Failure::Unreachable,
            &["onnection"],
            S3Settings {
                endpoint: Some(server.endpoint().replace("https", "http")),
                ..usual.clone()
            },
        ),
    ];
    for (case, failure, words, settings) in cases {
        let store = S3::new(settings).await?;
        fails(&store, failure, words).await.context(case)?;
    }

    server.make_bucket("plain", false).await?;
    let plain = S3Settings {
        bucket: "plain".into(),
        credentials: Credentials::File(server.credentials(ROOT)?),
        ..usual.clone()
    };
    let plain = S3::new(plain).await?;
    let error = plain.create("v1/x", Bytes::new()).await.unwrap_err();
    told(&error, Failure::Refused, &["made with object lock enabled"])?;

    server.pause();
    let paused = fails(&fresh, Failure::TimedOut, &["no answer within"]).await;
    server.resume();
    paused.context("a server that does not answer")?;
    ensure!(fresh.get("v1/none").await?.is_none());
    Ok(())
}

async fn fails(store: &S3, failure: Failure, words: &[&str]) -> Result<()> {
    let begin = Instant::now();
    let (create, get, objects, folders) = tokio::join!(
        store.create("v1/x", Bytes::from_static(b"x")),
        store.get("v1/x"),
        store.objects("v1").try_collect::<Vec<_>>(),
        store.folders("v1").try_collect::<Vec<_>>(),
    );
    // Five seconds for a machine that has other things to do.
    let limit = DEADLINE + Duration::from_secs(5);
    ensure!(begin.elapsed() < limit, "took {:?}", begin.elapsed());
    let errors = [create.err(), get.err(), objects.err(), folders.err()];
    for error in errors {
        told(&error.context("it went well")?, failure, words)?;
    }
    Ok(())
}

fn told(error: &StoreError, failure: Failure, words: &[&str]) -> Result<()> {
    let text = format!("{error} {error:?}");
    ensure!(error.failure == failure, "{text}");
    for word in words.iter().chain(&["v1", "127.0.0.1", PREFIX]) {
        ensure!(text.contains(word), "{word} is not told: {text}");
    }
    for secret in ["sesame", &WRITER.secret(), &ROOT.secret()] {
        ensure!(!text.contains(secret), "a secret is told: {text}");
    }
    Ok(())
}

fn with_credentials(
    server: &S3Server,
    usual: &S3Settings,
    id: &str,
    secret: &str,
) -> Result<S3Settings> {
    let path = server.folder().join(format!("wrong-{id}.credentials"));
    write_credentials(&path, id, secret)?;
    Ok(S3Settings {
        credentials: Credentials::File(path),
        ..usual.clone()
    })
}

fn write_credentials(path: &PathBuf, id: &str, secret: &str) -> Result<()> {
    let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    Ok(fs::write(path, text)?)
}

fn other_authority(server: &S3Server) -> Result<PathBuf> {
    let path = server.folder().join("other-authority.crt");
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(Vec::new())?.self_signed(&key)?;
    fs::write(&path, certificate.pem())?;
    Ok(path)
}

async fn unused_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_credentials_are_taken_up_at_once() -> Result<()> {
    let server = server("s3-rotation").await?;
    let settings = settings(&server, WRITER)?;
    let Credentials::File(path) = settings.credentials.clone() else {
        unreachable!("the harness writes a file");
    };
    let store = S3::new(settings).await?;
    ensure!(store.create("v1/a", Bytes::new()).await? == Claim::Made);
    write_credentials(&path, WRITER.0, "no longer")?;
    let error = store.create("v1/b", Bytes::new()).await.unwrap_err();
    ensure!(error.failure == Failure::Refused, "{error}");
    write_credentials(&path, WRITER.0, &WRITER.secret())?;
    ensure!(store.create("v1/b", Bytes::new()).await? == Claim::Made);
    Ok(())
}

/// The environment is that of a process: this test starts itself once more, with one that knows the writer.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_environment_are_found() -> Result<()> {
    const TEST: &str = "credentials_of_the_environment_are_found";
    const SERVER: &str = "TENURE_TEST_S3_SERVER";
    if let Ok(server) = std::env::var(SERVER) {
        let (endpoint, authority) = server.split_once(' ').context("no server")?;
        let settings = S3Settings {
            bucket: BUCKET.into(),
            prefix: PREFIX.into(),
            region: REGION.into(),
            endpoint: Some(endpoint.into()),
            path_style: true,
            ca_bundle: Some(authority.into()),
            credentials: Credentials::Standard,
            lock: Some(LOCK),
        };
        let store = S3::new(settings).await?;
        ensure!(store.create("v1/a", Bytes::from_static(b"a")).await? == Claim::Made);
        return Ok(());
    }
    let server = server("s3-environment").await?;
    let child = Command::new(std::env::current_exe()?)
        .args(["--exact", TEST])
        .env(
            SERVER,
            format!("{} {}", server.endpoint(), server.authority().display()),
        )
        .env("AWS_ACCESS_KEY_ID", WRITER.0)
        .env("AWS_SECRET_ACCESS_KEY", WRITER.secret())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&child.stdout);
    ensure!(child.status.success(), "{said}");
    let found = store(&server).await?.get("v1/a").await?;
    ensure!(found == Some(Bytes::from_static(b"a")), "{said}");
    Ok(())
}

/// Stands between a store and its server, and loses the answers to the next PUTs after they were done.
struct Loser {
    endpoint: String,
    to_lose: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
}

impl Loser {
    async fn before(server: &S3Server) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (to_lose, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let target = server.endpoint().replace("http://", "");
        let (losing, counting) = (to_lose.clone(), lost.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let relay = relay(client, target.clone(), losing.clone(), counting.clone());
                tokio::spawn(relay);
            }
        });
        Ok(Self {
            endpoint,
            to_lose,
            lost,
        })
    }
}

async fn relay(
    mut client: TcpStream,
    target: String,
    to_lose: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
) -> Result<()> {
    let mut server = TcpStream::connect(target).await?;
    let mut method = [0; 4];
    client.peek(&mut method).await?;
    let loses = |left: u32| left.checked_sub(1);
    let loses = method == *b"PUT "
        && to_lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, loses)
            .is_ok();
    if !loses {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let (mut from_client, mut to_server) = (client.split().0, server);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let mut answer = [0; 1];
        tokio::select! {
            read = from_client.read(&mut buffer) => to_server.write_all(&buffer[..read?]).await?,
            // The server has answered: the work is done, and nobody hears of it.
            answered = to_server.peek(&mut answer) => {
                answered?;
                lost.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_found_out() -> Result<()> {
    let server = S3Server::start_plain("s3-lost").await?;
    furnish(&server).await?;
    let loser = Loser::before(&server).await?;
    let mut through = settings(&server, WRITER)?;
    through.endpoint = Some(loser.endpoint.clone());
    let (mine, others) = (Bytes::from_static(b"mine"), Bytes::from_static(b"others"));
    // A connection that was kept is not looked at again: every case has a client of its own.
    for (number, lose) in [1, 2, 3].into_iter().enumerate() {
        let (key, store) = (format!("v1/{number}"), S3::new(through.clone()).await?);
        loser.to_lose.store(lose, Ordering::SeqCst);
        let claim = store.create(&key, mine.clone()).await?;
        ensure!(claim == Claim::Made, "{lose} answers lost: {claim:?}");
        loser.to_lose.store(0, Ordering::SeqCst);
        ensure!(store.get(&key).await? == Some(mine.clone()));
        let found = listed(&store, "v1").await?;
        ensure!(found.iter().all(|one| one.versions == 1), "{found:?}");
    }
    let direct = store(&server).await?;
    ensure!(direct.create("v1/others", others.clone()).await? == Claim::Made);
    let losing = S3::new(through).await?;
    loser.to_lose.store(1, Ordering::SeqCst);
    ensure!(losing.create("v1/others", mine).await? == Claim::Taken);
    ensure!(losing.get("v1/others").await? == Some(others));
    let lost = loser.lost.load(Ordering::SeqCst);
    ensure!(lost >= 4, "only {lost} answers were lost");
    Ok(())
}

/// A server that lists one object, answers a request for it with this head, and then sends so many bytes; how many went out.
async fn liar(head: &'static str, most: u64) -> Result<(String, Arc<AtomicU64>)> {
    const LISTING: &str = "<ListVersionsResult><Version><Key>clusters/one/v1/x</Key><VersionId>1</VersionId></Version></ListVersionsResult>";
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let sent = Arc::new(AtomicU64::new(0));
    let counting = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let sent = counting.clone();
            tokio::spawn(async move {
                let (mut request, mut buffer) = (Vec::new(), vec![0; 4 << 10]);
                while !request.ends_with(b"\r\n\r\n") {
                    let read = client.read(&mut buffer).await?;
                    ensure!(read > 0, "half a request");
                    request.extend_from_slice(&buffer[..read]);
                }
                if request.windows(8).any(|part| part == b"versions") {
                    let length = LISTING.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{LISTING}"
                    );
                    return Ok(client.write_all(answer.as_bytes()).await?);
                }
                client.write_all(head.as_bytes()).await?;
                let part = [&b"10000\r\n"[..], &[b'x'; 0x1_0000], b"\r\n"].concat();
                while sent.load(Ordering::SeqCst) < most {
                    let part = &part[..part.len().min(most as usize)];
                    client.write_all(part).await?;
                    sent.fetch_add(part.len() as u64, Ordering::SeqCst);
                }
                Ok(())
            });
        }
    });
    Ok((endpoint, sent))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_about_lengths_fills_no_memory() -> Result<()> {
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    const HUGE: &str =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100000000000\r\n\r\n";
    const BROKEN: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
    let folder = tempfile::tempdir()?;
    let credentials = folder.path().join("credentials");
    write_credentials(&credentials, WRITER.0, "any")?;
    // What is on its way in buffers is sent, and read by nobody.
    let on_its_way = 16 << 20;
    for (case, head, most, failure, limit) in [
        ("no end", CHUNKED, u64::MAX, Failure::Malformed, 8 << 20),
        ("a huge length", HUGE, u64::MAX, Failure::Malformed, 0),
        ("too few bytes", BROKEN, 5, Failure::Unreachable, 5),
    ] {
        let (endpoint, sent) = liar(head, most).await?;
        let store = S3::new(S3Settings {
            bucket: BUCKET.into(),
            prefix: PREFIX.into(),
            region: REGION.into(),
            endpoint: Some(endpoint),
            path_style: true,
            ca_bundle: None,
            credentials: Credentials::File(credentials.clone()),
            lock: None,
        });
        let error = store.await?.get("v1/x").await.unwrap_err();
        ensure!(error.failure == failure, "{case}: {error}");
        let sent = sent.load(Ordering::SeqCst);
        ensure!(
            sent <= limit + on_its_way,
            "{case}: {sent} bytes were taken"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_a_bucket_verifies_and_tells_of_an_overwrite() -> Result<()> {
    let server = server("s3-ledger").await?;
    let store = Arc::new(store(&server).await?);
    let signer = Signer::generate()?;
    let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
    let ledger = Ledger::new(store.clone(), None, signer, keys.clone(), Timestamp::now);
    let chain = ChainId::Tenant(Uuid::from_u128(7));
    for number in 0..5 {
        let draft = Draft {
            id: Uuid::from_u128(number),
            at: Timestamp::now(),
            event: json!({"type": "noted"}),
        };
        ledger.append(chain, vec![draft]).await?;
    }
    let verification = Verification {
        store: &*store,
        second: None,
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 10,
    };
    let report = verification.run(&mut |_| {}).await?;
    ensure!(report.findings.is_empty(), "{report:?}");

    let key = tenure_evidence::layout::segment(chain, 3);
    overwrite(&client(&server, ROOT).await?, &key, b"forged").await?;
    let report = verification.run(&mut |_| {}).await?;
    ensure!(report.findings.len() == 1, "{report:?}");
    ensure!(report.findings[0].key == key, "{report:?}");
    Ok(())
}
