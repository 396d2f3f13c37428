//! Places with far more in them than a record has: memory does not grow with them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Memory, noted};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tenure_evidence::store::{Listed, StoreError};
use tenure_evidence::verify::{Kind, Report, Verification};
use tenure_evidence::{ChainId, Claim, KeyList, Ledger, Store, layout};
use uuid::Uuid;

const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));
/// How much more memory a listing may take at its peak.
const MOST_MEMORY: u64 = 64 << 20;

/// A store that lists any number of objects, as if they were there.
struct Endless {
    record: Memory,
    many: u64,
    names: Names,
}

#[derive(Clone, Copy)]
enum Names {
    /// Objects that do not belong into a record.
    Strays,
    /// The names of segments that are not there.
    Segments,
    /// Folders of chains.
    Chains,
    /// Folders of places.
    Shards,
}

impl Store for Endless {
    fn place(&self) -> String {
        "endless".into()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.record.create(key, bytes)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        self.record.get(key)
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        let there = self.record.objects(folder);
        let named = |name| Ok(Listed { name, versions: 1 });
        let is_shard = folder == layout::shard(layout::CHAINS, TENANT, 1);
        match self.names {
            Names::Strays if is_shard => {
                let more = (0..self.many).map(move |number| named(format!("stray-{number}")));
                there.chain(stream::iter(more)).boxed()
            }
            Names::Segments if folder.len() == layout::shard(layout::CHAINS, TENANT, 1).len() => {
                let shard = folder.rsplit('/').next().and_then(layout::shard_number);
                let from = shard.unwrap() * 10_000;
                let places = from.max(2)..(from + 10_000).min(self.many);
                let more = places.map(move |place| named(layout::segment_name(place)));
                there.chain(stream::iter(more)).boxed()
            }
            _ => there,
        }
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        let there = self.record.folders(folder);
        let is_chain = folder == layout::chain(layout::CHAINS, TENANT);
        match self.names {
            Names::Segments if is_chain => {
                let more = (1..self.many / 10_000).map(|number| Ok(format!("{number:016}")));
                there.chain(stream::iter(more)).boxed()
            }
            Names::Shards if is_chain => {
                let more = (1..self.many).map(|number| Ok(format!("{number:016}")));
                there.chain(stream::iter(more)).boxed()
            }
            Names::Chains if folder == layout::CHAINS => {
                let more = (0..self.many).map(|number| Ok(format!("chain-{number}")));
                there.chain(stream::iter(more)).boxed()
            }
            _ => there,
        }
    }
}

fn list() -> KeyList {
    common::keys(&common::signer(1))
}

async fn endless(names: Names, many: u64) -> Endless {
    let record = Arc::new(Memory::default());
    let ledger = Ledger::new(record.clone(), None, common::signer(1), list(), common::now);
    ledger.append(TENANT, vec![noted(1)]).await.unwrap();
    let record = Memory::of(record.held().clone());
    Endless {
        record,
        many,
        names,
    }
}

async fn verify(store: &Endless) -> Report {
    let keys = list();
    let verification = Verification {
        store,
        second: None,
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 20,
    };
    verification.run(&mut |_| {}).await.unwrap()
}

/// One at a time: they share a process, and its memory is measured.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The most memory this process had since it was last forgotten.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// Forgets the peak so far (proc(5), clear_refs).
fn forget_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

async fn must_be_bounded(names: Names, many: u64, found: u64, kind: Kind) {
    let _turn = TURN.lock().await;
    let store = endless(names, many).await;
    let before = forget_peak();
    let report = verify(&store).await;
    let more = peak().saturating_sub(before);
    assert!(more <= MOST_MEMORY, "{more} bytes more");
    assert!(!report.sound);
    assert_eq!(report.entries, 1);
    assert_eq!(report.findings.len(), 20);
    assert!(
        report.findings.iter().all(|finding| finding.kind == kind),
        "{report:#?}"
    );
    assert_eq!(report.more_findings, found - 20);
}

#[tokio::test]
async fn a_hundred_million_strays_in_one_folder_are_counted_in_bounded_memory() {
    let many = 100_000_000;
    must_be_bounded(Names::Strays, many, many, Kind::Stray).await;
}

#[tokio::test]
async fn a_million_segments_that_are_listed_and_gone_are_counted_in_bounded_memory() {
    // Each of them is asked for.
    let many = 1_000_000;
    must_be_bounded(Names::Segments, many, many - 2, Kind::Removed).await;
}

#[tokio::test]
async fn ten_million_folders_that_are_no_chains_are_counted_in_bounded_memory() {
    let many = 10_000_000;
    must_be_bounded(Names::Chains, many, many, Kind::Stray).await;
}

#[tokio::test]
async fn a_chain_whose_place_is_flooded_is_broken_and_says_so() {
    let _turn = TURN.lock().await;
    for names in [Names::Strays, Names::Shards] {
        let store = Arc::new(endless(names, 100_000_000).await);
        let before = forget_peak();
        let ledger = Ledger::new(store.clone(), None, common::signer(1), list(), common::now);
        let error = ledger.recall(TENANT).await.unwrap_err();
        assert_eq!(error.reason(), "RecordBroken", "{error}");
        assert!(
            error.to_string().contains("than a record ever does"),
            "{error}"
        );
        assert!(peak().saturating_sub(before) <= MOST_MEMORY);
    }
}

#[tokio::test]
async fn an_object_of_nothing_but_faults_is_told_in_bounded_memory() {
    let _turn = TURN.lock().await;
    let many = 1_000_000;
    let store = endless(Names::Strays, 0).await;
    let lines = Bytes::from(vec![b'\n'; many]);
    store
        .record
        .held()
        .insert(layout::segment(TENANT, 2), lines);
    let before = forget_peak();
    let report = verify(&store).await;
    let more = peak().saturating_sub(before);
    assert!(more <= MOST_MEMORY, "{more} bytes more");
    assert_eq!(report.findings.len(), 20);
    assert!(report.more_findings >= 999_000, "{}", report.more_findings);
}
