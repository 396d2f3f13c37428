//! The record's figures: how fast it is verified per core, and how long an append takes under load.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use tenure_evidence::chain::Tip;
use tenure_evidence::event::VerdictChange;
use tenure_evidence::segment::Segment;
use tenure_evidence::verify::Verification;
use tenure_evidence::{
    ChainId, Digest, Draft, Event, Folder, KeyList, Ledger, Signer, Store, layout,
};
use tokio::runtime::Builder;
use uuid::Uuid;

use super::figures::Figures;
use crate::paths::target;

/// How many entries segments have: mostly few, now and then what many tasks had to say at once.
const MIXED: [usize; 12] = [1, 1, 1, 2, 2, 3, 5, 8, 13, 30, 80, 200];
/// Each entry on its own: the most signatures and the most files there can be.
const SINGLE: [usize; 1] = [1];
/// How many chains a record is spread over.
const CHAINS: u128 = 50;

/// How many appends are offered in a second.
const PER_SECOND: u32 = 200;
/// For how long.
const OFFERED: Duration = Duration::from_secs(30);

/// Measures on the disk that builds go to, in a thread that is nobody else's.
pub async fn measure(figures: &mut Figures) -> Result<()> {
    let at = || tempfile::tempdir_in(target()).context("no folder to measure in");
    for (name, sizes, entries) in [
        ("ledger_verify_records_per_s", &MIXED[..], 1_000_000),
        ("ledger_verify_single_records_per_s", &SINGLE[..], 100_000),
    ] {
        let place = at()?;
        let rate = apart(move || verify(place.path(), sizes, entries)).await?;
        figures.put(name, rate)?;
    }
    let place = at()?;
    let took = apart(move || disk(place.path())).await?;
    figures.put_times("ledger_disk", &took)?;
    for (name, chains) in [("ledger_append", 1), ("ledger_append_50_chains", CHAINS)] {
        let place = at()?;
        let took = apart(move || append(place.path(), chains)).await?;
        figures.put_times(name, &took)?;
    }
    Ok(())
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Verifies a record of so many entries on one thread, and says how many of them in a second of the processor's time, which counts the
/// threads that read files too.
fn verify(folder: &Path, sizes: &[usize], entries: usize) -> Result<f64> {
    let (signer, keys) = key()?;
    fill(folder, &signer, sizes, entries)?;
    let store = Folder::open(folder)?;
    let verification = Verification {
        store: &store,
        second: None,
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 10,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let before = processor_time()?;
    let report = runtime.block_on(verification.run(&mut |_| {}))?;
    let used = processor_time()? - before;
    ensure!(report.sound, "{:#?}", report.findings);
    ensure!(
        report.entries == entries as u64,
        "{} entries",
        report.entries
    );
    Ok((entries as f64 / used.as_secs_f64()).round())
}

/// Offers appends at a rate, whether or not the ones before are done, and says how long they took from when they were due.
fn append(folder: &Path, chains: u128) -> Result<Vec<Duration>> {
    let (signer, keys) = key()?;
    let store: Arc<dyn Store> = Arc::new(Folder::open(folder)?);
    let ledger = Arc::new(Ledger::new(store, None, signer, keys, Timestamp::now));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let started = Instant::now();
    // Offered from a thread of its own: the runtime's timer is a millisecond off.
    let offer = |number| {
        let due = wait(started, number);
        let chain = ChainId::Tenant(Uuid::from_u128(u128::from(number) % chains));
        let ledger = ledger.clone();
        runtime.spawn(async move {
            ledger.append(chain, vec![draft(number as usize)]).await?;
            anyhow::Ok(due.elapsed())
        })
    };
    let under_way: Vec<_> = (0..offered()).map(offer).collect();
    let took = under_way.into_iter();
    took.map(|append| runtime.block_on(append)?).collect()
}

/// What the disk itself takes, to judge the appends by: one small file after the other, written, synced, renamed, and its folder
/// synced.
fn disk(folder: &Path) -> Result<Vec<Duration>> {
    let started = Instant::now();
    let one = |number| {
        wait(started, number);
        let begun = Instant::now();
        let (staged, path) = (folder.join("staged"), folder.join(number.to_string()));
        let mut file = fs::File::create(&staged)?;
        file.write_all(&[b'x'; 1_000])?;
        file.sync_all()?;
        fs::rename(staged, path)?;
        fs::File::open(folder)?.sync_all()?;
        Ok(begun.elapsed())
    };
    (0..offered()).map(one).collect()
}

fn offered() -> u32 {
    PER_SECOND * u32::try_from(OFFERED.as_secs()).unwrap_or(u32::MAX)
}

/// Waits until the write of this number is due, and says when that was.
fn wait(started: Instant, number: u32) -> Instant {
    let due = started + Duration::from_secs(1) / PER_SECOND * number;
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    due
}

fn key() -> Result<(Signer, KeyList)> {
    let signer = Signer::generate()?;
    let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
    Ok((signer, keys))
}

/// Writes a record without waiting for the disk.
fn fill(folder: &Path, signer: &Signer, sizes: &[usize], entries: usize) -> Result<()> {
    let mut written = 0;
    let mut tips = vec![Tip::EMPTY; usize::try_from(CHAINS)?];
    for (turn, size) in sizes.iter().cycle().enumerate() {
        let size = (*size).min(entries - written);
        if size == 0 {
            break;
        }
        // Not in step with the sizes.
        let chain = turn * 7 / 5 % tips.len();
        let id = ChainId::Tenant(Uuid::from_u128(chain as u128));
        let drafts: Vec<Draft> = (written..written + size).map(draft).collect();
        let made = Segment::make(id, &tips[chain], &drafts, Timestamp::now(), signer)?;
        let path = folder.join(layout::segment(id, tips[chain].next()));
        fs::create_dir_all(path.parent().context("a segment lies nowhere")?)?;
        fs::write(path, &made.bytes)?;
        tips[chain] = made.tip;
        written += size;
    }
    Ok(())
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
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
