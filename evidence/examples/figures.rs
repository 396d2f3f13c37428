//! The record's figures, as JSON: how fast it is verified per core, and how long an append takes under load.
//!
//! `cargo run --release -p tenure-evidence --example figures [-- <folder to measure in>]`
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on says where by panicking"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tenure_evidence::chain::Tip;
use tenure_evidence::event::VerdictChange;
use tenure_evidence::segment::Segment;
use tenure_evidence::verify::Verification;
use tenure_evidence::{
    ChainId, Digest, Draft, Event, Folder, KeyList, Ledger, Signer, Store, layout,
};
use uuid::Uuid;

/// How many entries segments have: mostly few, now and then what many tasks had to say at once.
const MIXED: [usize; 12] = [1, 1, 1, 2, 2, 3, 5, 8, 13, 30, 80, 200];
/// Each entry on its own: the most signatures and the most files there can be.
const SINGLE: [usize; 1] = [1];
/// How many chains a record is spread over.
const CHAINS: u128 = 50;

fn main() {
    let base = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, Into::into);
    let mut figures = Map::new();
    for (shape, sizes, entries) in [
        ("mixed", &MIXED[..], 1_000_000),
        ("single", &SINGLE[..], 100_000),
    ] {
        let place = tempfile::tempdir_in(&base).unwrap();
        figures.insert(
            format!("verify_{shape}"),
            verify(place.path(), sizes, entries),
        );
    }
    let place = tempfile::tempdir_in(&base).unwrap();
    figures.insert(
        "disk".into(),
        disk(place.path(), 200, Duration::from_secs(10)),
    );
    for chains in [1, CHAINS] {
        let place = tempfile::tempdir_in(&base).unwrap();
        let figure = append(place.path(), chains, 200, Duration::from_secs(30));
        figures.insert(format!("append_{chains}_chains"), figure);
    }
    println!("{}", serde_json::to_string_pretty(&figures).unwrap());
}

/// Verifies a record of so many entries on one thread, and says how many of them in a second: of the clock, and of the processor's
/// time, which counts the threads that read files too.
fn verify(folder: &Path, sizes: &[usize], entries: usize) -> Value {
    let (signer, keys) = key();
    let bytes = fill(folder, &signer, sizes, entries);
    let runtime = runtime();
    let store = Folder::open(folder).unwrap();
    let verification = Verification {
        store: &store,
        second: None,
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 10,
    };
    let (started, processor) = (Instant::now(), processor_time());
    let report = runtime.block_on(verification.run(&mut |_| {})).unwrap();
    let (wall, processor) = (started.elapsed(), processor_time() - processor);
    assert!(report.sound, "{:#?}", report.findings);
    assert_eq!(report.entries, entries as u64);
    let rate = |time: Duration| (entries as f64 / time.as_secs_f64()).round();
    json!({
        "entries": entries,
        "segments": report.segments,
        "bytes_per_entry": bytes / entries,
        "records_per_s": rate(wall),
        "records_per_s_per_core": rate(processor),
    })
}

/// Offers appends at a rate, whether or not the ones before are done, and says how long they took from when they were due.
fn append(folder: &Path, chains: u128, per_second: u32, time: Duration) -> Value {
    let (signer, keys) = key();
    let store: Arc<dyn Store> = Arc::new(Folder::open(folder).unwrap());
    let ledger = Arc::new(Ledger::new(store, None, signer, keys, Timestamp::now));
    let between = Duration::from_secs(1) / per_second;
    let many = per_second * u32::try_from(time.as_secs()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = Instant::now();
    // Offered from a thread of its own: the runtime's timer is a millisecond off.
    let offer = |number| {
        let due = started + between * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let chain = ChainId::Tenant(Uuid::from_u128(u128::from(number) % chains));
        let ledger = ledger.clone();
        runtime.spawn(async move {
            let drafts = vec![draft(number as usize)];
            ledger.append(chain, drafts).await.unwrap();
            due.elapsed()
        })
    };
    let under_way: Vec<_> = (0..many).map(offer).collect();
    let took = under_way
        .into_iter()
        .map(|append| runtime.block_on(append).unwrap())
        .collect();
    percentiles(took)
}

/// What the disk itself takes, to judge the appends by: one small file after the other, written, synced, renamed, and its folder
/// synced.
fn disk(folder: &Path, per_second: u32, time: Duration) -> Value {
    let started = Instant::now();
    let between = Duration::from_secs(1) / per_second;
    let many = per_second * u32::try_from(time.as_secs()).unwrap();
    let one = |number| {
        let due = started + between * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        let (staged, path) = (folder.join("staged"), folder.join(number.to_string()));
        let mut file = fs::File::create(&staged).unwrap();
        file.write_all(&[b'x'; 1_000]).unwrap();
        file.sync_all().unwrap();
        fs::rename(staged, path).unwrap();
        fs::File::open(folder).unwrap().sync_all().unwrap();
        begun.elapsed()
    };
    percentiles((0..many).map(one).collect())
}

fn percentiles(mut took: Vec<Duration>) -> Value {
    took.sort();
    let at = |share: f64| {
        let index = ((took.len() as f64 * share) as usize).min(took.len() - 1);
        (took[index].as_secs_f64() * 1e5).round() / 100.0
    };
    json!({"count": took.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)})
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn key() -> (Signer, KeyList) {
    let signer = Signer::generate().unwrap();
    let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
    (signer, keys)
}

/// Writes a record without waiting for the disk, and says how many bytes it has.
fn fill(folder: &Path, signer: &Signer, sizes: &[usize], entries: usize) -> usize {
    let (mut written, mut bytes) = (0, 0);
    let mut tips = vec![Tip::EMPTY; usize::try_from(CHAINS).unwrap()];
    for (turn, size) in sizes.iter().cycle().enumerate() {
        let size = (*size).min(entries - written);
        if size == 0 {
            break;
        }
        // Not in step with the sizes.
        let chain = turn * 7 / 5 % tips.len();
        let id = ChainId::Tenant(Uuid::from_u128(chain as u128));
        let drafts: Vec<Draft> = (written..written + size).map(draft).collect();
        let made = Segment::make(id, &tips[chain], &drafts, Timestamp::now(), signer).unwrap();
        let path = folder.join(layout::segment(id, tips[chain].next()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &made.bytes).unwrap();
        tips[chain] = made.tip;
        written += size;
        bytes += made.bytes.len();
    }
    bytes
}

/// What an operator records, in the sizes it has there.
fn draft(number: usize) -> Draft {
    let tenant = format!("customer-{}", number % 50);
    let digest = Digest::of(&number.to_le_bytes()).to_string();
    let event = match number % 4 {
        0 | 1 => Event::DriftRepaired {
            tenant: tenant.clone(),
            control: "dsa-2.5-network-isolation".into(),
            object: format!("NetworkPolicy {tenant}-prod/tenure-default-deny"),
            what: "spec.policyTypes was changed; it is as accepted again".into(),
            opened_at: Some("2026-05-01T10:00:00Z".into()),
            closed_at: Some("2026-05-01T10:00:00.420Z".into()),
            actor: "claimed kubectl-edit".into(),
        },
        2 => Event::SpecAccepted {
            tenant,
            digest: digest.clone(),
            generation: Some(7),
            rendering: digest,
            changed_by: Some("system:serviceaccount:flux-system:kustomize-controller".into()),
            approval: None,
        },
        _ => Event::VerdictsChanged {
            tenant,
            controls: ["dsa-2.5-network-isolation", "dsa-2.7-log-protection"]
                .map(|id| VerdictChange {
                    id: id.into(),
                    from: Some("Compliant".into()),
                    to: "Unknown".into(),
                    seen: None,
                })
                .into(),
        },
    };
    event.draft(Uuid::from_u128(number as u128), Timestamp::now())
}

/// The processor's time that this process has used (proc(5): utime and stime, in hundredths).
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
