//! The folder on a file system that is full, read-only or hangs, and writers that are killed: the real ones of the kernel.
//!
//! What needs a mount runs again as a child of this test in a mount namespace of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::noted;
use tenure_evidence::verify::{Kind, Report, Verification};
use tenure_evidence::{ChainId, Folder, KeyList, Ledger, LedgerError, layout};
use uuid::Uuid;

const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));
/// Where the child of a test finds its folder.
const FOLDER: &str = "TENURE_TEST_FOLDER";

fn list() -> KeyList {
    common::keys(&common::signer(1))
}

fn ledger(folder: &Path) -> Ledger {
    let store = Arc::new(Folder::open(folder).unwrap());
    Ledger::new(store, None, common::signer(1), list(), common::now)
}

async fn verified(folder: &Path) -> Report {
    let (store, keys) = (Folder::open(folder).unwrap(), list());
    let verification = Verification {
        store: &store,
        second: None,
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 50,
    };
    verification.run(&mut |_| {}).await.unwrap()
}

/// How many entries stand, of a sound record.
async fn stands(folder: &Path) -> u64 {
    let report = verified(folder).await;
    assert!(report.sound, "{report:#?}");
    report.entries
}

fn reason<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> &'static str {
    result.unwrap_err().reason()
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// Runs one of the tests below with a small file system of its own in a folder.
fn with_file_system(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64k,nr_inodes=1000 tmpfs '{0}' && exec '{1}' --ignored --exact {test} --nocapture",
        folder.path().display(),
        exe.display()
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mount])
        .env(FOLDER, folder.path())
        .output()
        .expect("unshare, of util-linux");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os(FOLDER).unwrap())
}

#[test]
fn a_full_disk_says_so_and_goes_on_once_it_has_room() {
    with_file_system("in_a_small_file_system");
}

#[tokio::test]
#[ignore = "runs in the file system that a_full_disk_says_so_and_goes_on_once_it_has_room makes"]
async fn in_a_small_file_system() {
    let folder = folder();
    let ledger = ledger(&folder);
    let mut acknowledged = 0;
    let full = loop {
        match ledger.append(TENANT, vec![noted(acknowledged)]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1_000, "never full");
    };
    assert_eq!(full.reason(), "StoreFull", "{full}");
    assert!(acknowledged > 2);
    let refused = ledger.append(TENANT, vec![noted(acknowledged)]).await;
    assert_eq!(reason(refused), "StoreFull");
    assert_eq!(u128::from(stands(&folder).await), acknowledged);
    let path = folder.to_str().unwrap();
    run("mount", &["-o", "remount,size=1m", path]);
    ledger
        .append(TENANT, vec![noted(acknowledged)])
        .await
        .unwrap();
    assert_eq!(u128::from(stands(&folder).await), acknowledged + 1);
}

#[test]
fn a_read_only_folder_says_so_is_read_and_goes_on_once_it_is_writable() {
    with_file_system("in_a_file_system_that_turns_read_only");
}

#[tokio::test]
#[ignore = "runs in the file system that a_read_only_folder_says_so_is_read_and_goes_on_once_it_is_writable makes"]
async fn in_a_file_system_that_turns_read_only() {
    let folder = folder();
    let path = folder.to_str().unwrap();
    let before = ledger(&folder);
    before.append(TENANT, vec![noted(1)]).await.unwrap();
    run("mount", &["-o", "remount,ro", path]);
    let after = ledger(&folder);
    for ledger in [&before, &after] {
        assert_eq!(
            reason(ledger.append(TENANT, vec![noted(2)]).await),
            "StoreReadOnly"
        );
        assert_eq!(ledger.recall(TENANT).await.unwrap().tip.last, 1);
    }
    assert_eq!(stands(&folder).await, 1);
    run("mount", &["-o", "remount,rw", path]);
    before.append(TENANT, vec![noted(2)]).await.unwrap();
    after.append(TENANT, vec![noted(3)]).await.unwrap();
    assert_eq!(stands(&folder).await, 3);
}

#[tokio::test]
async fn a_folder_that_hangs_is_given_up_after_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(ledger(folder.path()));
    ledger.append(TENANT, vec![noted(1)]).await.unwrap();
    // Whoever opens a pipe that nobody writes to waits, as on a share whose server is gone.
    let pipe = folder.path().join(layout::segment(TENANT, 2));
    run("mkfifo", &[pipe.to_str().unwrap()]);
    let hanging = ledger.clone();
    let append = tokio::spawn(async move { hanging.append(TENANT, vec![noted(2)]).await });
    let answer = tokio::time::timeout(Duration::from_secs(40), append).await;
    // Lets the kernel's waiting thread go, or the test never ends.
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let _ = writer.write_all(b"x");
    drop(writer);
    std::fs::remove_file(&pipe).unwrap();
    assert_eq!(reason(answer.unwrap().unwrap()), "StoreTimedOut");
    ledger.append(TENANT, vec![noted(2)]).await.unwrap();
    assert_eq!(stands(folder.path()).await, 2);
}

#[tokio::test]
async fn writers_that_are_killed_lose_nothing_they_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut chance = common::Chance::new(5);
    for round in 0..12_u128 {
        // Before there is a writer: it may have written before anybody looks.
        let before = stands(folder.path()).await;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "appends_until_it_is_killed",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .env("TENURE_TEST_FIRST", (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let many = chance.between(1, 30);
        let acknowledged: Vec<u128> = told
            .by_ref()
            .filter_map(|line| line.unwrap().strip_prefix("stands ")?.parse().ok())
            .take(many)
            .collect();
        std::thread::sleep(Duration::from_micros(chance.next() % 4_000));
        child.kill().unwrap();
        child.wait().unwrap();
        // It may have told of more until then.
        let late = told.filter_map(|line| line.unwrap().strip_prefix("stands ")?.parse().ok());
        let acknowledged: Vec<u128> = acknowledged.into_iter().chain(late).collect();
        assert!(acknowledged.len() >= many);
        let after = stands(folder.path()).await;
        assert!(after >= before + u64::try_from(acknowledged.len()).unwrap());
        let text = everything(folder.path());
        for number in acknowledged {
            assert!(
                text.contains(&Uuid::from_u128(number).to_string()),
                "{number} is lost"
            );
        }
    }
}

#[tokio::test]
#[ignore = "is the writer that writers_that_are_killed_lose_nothing_they_acknowledged kills"]
async fn appends_until_it_is_killed() {
    let first: u128 = std::env::var("TENURE_TEST_FIRST").unwrap().parse().unwrap();
    let ledger = ledger(&folder());
    for number in first.. {
        ledger.append(TENANT, vec![noted(number)]).await.unwrap();
        println!("stands {number}");
    }
}

fn everything(folder: &Path) -> String {
    let entries = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| {
        if path.is_dir() {
            everything(&path)
        } else {
            std::fs::read_to_string(&path).unwrap()
        }
    });
    texts.collect()
}

/// A file that somebody blew up breaks its chain and no other, is found, and is not held in memory.
#[tokio::test]
async fn a_file_of_a_terabyte_is_found_and_breaks_one_chain() {
    const OTHER: ChainId = ChainId::Tenant(Uuid::from_u128(8));
    let folder = tempfile::tempdir().unwrap();
    for chain in [TENANT, OTHER] {
        let ledger = ledger(folder.path());
        ledger.append(chain, vec![noted(1)]).await.unwrap();
    }
    let first = folder.path().join(layout::segment(TENANT, 1));
    let file = std::fs::OpenOptions::new().write(true).open(first).unwrap();
    file.set_len(1 << 40).unwrap();
    let report = verified(folder.path()).await;
    let kinds: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::Unreadable], "{report:#?}");
    let ledger = ledger(folder.path());
    assert_eq!(reason(ledger.recall(TENANT).await), "RecordBroken");
    assert_eq!(ledger.recall(OTHER).await.unwrap().tip.last, 1);
}
