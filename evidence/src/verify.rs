//! Verification of a whole record: offline, from a copy or a bucket, with the published key list.
//!
//! It reads every object once, in order, and keeps nothing of what it has read but each chain's tip: memory does not grow with
//! the record.

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;

use crate::chain::{ChainId, Checkpoint, Tip};
use crate::digest::Digest;
use crate::envelope::{Envelope, Untrusted};
use crate::keys::KeyList;
use crate::layout;
use crate::second;
use crate::segment::{self, Fault};
use crate::store::{Listed, Store, StoreError};

/// Objects read ahead of the one that is checked.
const AHEAD: usize = 16;

/// What to verify, and against what.
pub struct Verification<'a> {
    /// The record.
    pub store: &'a dyn Store,
    /// Where the writer could not overwrite checkpoints.
    pub second: Option<&'a dyn Store>,
    /// The published key list, from elsewhere than the record.
    pub keys: &'a KeyList,
    /// Checkpoints that somebody kept, from whatever place.
    pub kept: &'a [Envelope],
    /// Only this chain; all of them where absent.
    pub only: Option<ChainId>,
    /// Findings beyond this many are counted, not listed.
    pub most_findings: usize,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Chains done.
    pub chains: u64,
    /// Segments read.
    pub segments: u64,
    /// Entries checked.
    pub entries: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where the record lies.
    pub place: String,
    /// Where the second place is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_place: Option<String>,
    /// Whether every entry stands as it was written, as far as was checked.
    pub sound: bool,
    /// Entries checked.
    pub entries: u64,
    /// Segments read.
    pub segments: u64,
    /// Each chain.
    pub chains: Vec<ChainReport>,
    /// What is wrong, in the order of the walk.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub more_findings: u64,
    /// What this verification could not show.
    pub not_shown: Vec<String>,
}

/// What was found of one chain.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainReport {
    /// Which.
    pub chain: ChainId,
    /// How far it reaches.
    pub last: u64,
    /// Its newest digest.
    pub head: Digest,
    /// Entries checked.
    pub entries: u64,
    /// When its first entry was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When its last entry was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How far a checkpoint outside the record bears it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub borne_out: Option<u64>,
    /// Entries noted earlier than the one before: the writer's clock stepped back. No fault.
    pub clock_steps: u64,
    /// How many findings concern it.
    pub findings: u64,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Kind {
    /// Entries are gone from the middle.
    Removed,
    /// Content differs from what was signed or linked.
    Changed,
    /// Entries stand in another order, or in another chain or place than they were written for.
    Reordered,
    /// Places stand twice.
    Duplicated,
    /// Not signed by a key of the list that was in use.
    Forged,
    /// The newest entries are gone: a checkpoint outside knows of more.
    Truncated,
    /// A checkpoint outside was signed for other content: there were two records.
    Forked,
    /// An object that is not part of a record.
    Stray,
    /// Somebody wrote over an object, or deleted it; what was first written was checked.
    Overwritten,
    /// An object that cannot be read as a record.
    Unreadable,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Which chain; absent where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainId>,
    /// The object or folder.
    pub key: String,
    /// What exactly.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}: {}", self.kind, self.key, self.what)
    }
}

impl Verification<'_> {
    /// Verifies.
    ///
    /// # Errors
    /// Where a place cannot be read: then nothing is said about it.
    pub async fn run(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Report, StoreError> {
        let mut walk = Walk {
            asked: self,
            kept: self.kept_by_chain(),
            report: Report {
                place: self.store.place(),
                second_place: self.second.map(Store::place),
                sound: false,
                entries: 0,
                segments: 0,
                chains: Vec::new(),
                findings: Vec::new(),
                more_findings: 0,
                not_shown: Vec::new(),
            },
            progress,
        };
        for envelope in self.kept {
            if let Err(fault) = Checkpoint::open(envelope, self.keys) {
                walk.find(kind(&fault), None, "(a kept checkpoint)", fault);
            }
        }
        walk.chains().await?;
        walk.chains_gone().await?;
        Ok(walk.conclude())
    }

    fn kept_by_chain(&self) -> BTreeMap<ChainId, BTreeMap<u64, Vec<Checkpoint>>> {
        let mut kept: BTreeMap<ChainId, BTreeMap<u64, Vec<Checkpoint>>> = BTreeMap::new();
        let trusted = self
            .kept
            .iter()
            .filter_map(|envelope| Checkpoint::open(envelope, self.keys).ok());
        for checkpoint in trusted {
            let chain = kept.entry(checkpoint.chain).or_default();
            chain.entry(checkpoint.last).or_default().push(checkpoint);
        }
        kept
    }

    fn concerns(&self, chain: ChainId) -> bool {
        self.only.is_none_or(|only| only == chain)
    }
}

struct Walk<'v, 'p> {
    asked: &'v Verification<'v>,
    kept: BTreeMap<ChainId, BTreeMap<u64, Vec<Checkpoint>>>,
    report: Report,
    progress: &'p mut (dyn FnMut(Progress) + Send),
}

/// A chain while it is walked.
struct Walked {
    report: ChainReport,
    /// What the next segment must continue; nothing after something that cannot be trusted.
    before: Option<Tip>,
    /// The highest place seen so far.
    reached: u64,
}

impl Walk<'_, '_> {
    fn find(&mut self, kind: Kind, chain: Option<ChainId>, key: &str, what: impl ToString) {
        if self.report.findings.len() >= self.asked.most_findings {
            self.report.more_findings += 1;
            return;
        }
        self.report.findings.push(Finding {
            kind,
            chain,
            key: key.to_owned(),
            what: what.to_string(),
        });
    }

    fn found(&self) -> u64 {
        self.report.findings.len() as u64 + self.report.more_findings
    }

    async fn chains(&mut self) -> Result<(), StoreError> {
        let asked = self.asked;
        let mut folders = asked.store.folders(layout::CHAINS);
        while let Some(name) = folders.try_next().await? {
            let Ok(chain) = name.parse::<ChainId>() else {
                let key = format!("{}/{name}", layout::CHAINS);
                self.find(Kind::Stray, None, &key, "not the name of a chain");
                continue;
            };
            if asked.concerns(chain) {
                self.chain(chain).await?;
            }
        }
        let mut strays = asked.store.objects(layout::CHAINS);
        while let Some(stray) = strays.try_next().await? {
            let key = format!("{}/{}", layout::CHAINS, stray.name);
            self.find(Kind::Stray, None, &key, "no object belongs here");
        }
        Ok(())
    }

    /// Chains that only a checkpoint outside still knows.
    async fn chains_gone(&mut self) -> Result<(), StoreError> {
        let asked = self.asked;
        let mut known: Vec<ChainId> = self.kept.keys().copied().collect();
        if let Some(second) = asked.second {
            let names = second.folders(layout::CHECKPOINTS);
            let ids = names.try_filter_map(async |name| Ok(name.parse::<ChainId>().ok()));
            known.extend(ids.try_collect::<Vec<_>>().await?);
        }
        known.sort_unstable();
        known.dedup();
        for chain in known {
            let is_there = self
                .report
                .chains
                .iter()
                .any(|report| report.chain == chain);
            if !is_there && asked.concerns(chain) {
                self.chain(chain).await?;
            }
        }
        Ok(())
    }

    async fn chain(&mut self, chain: ChainId) -> Result<(), StoreError> {
        let (asked, before) = (self.asked, self.found());
        let mut walked = Walked {
            report: ChainReport {
                chain,
                last: 0,
                head: Digest::NONE,
                entries: 0,
                from: None,
                until: None,
                borne_out: None,
                clock_steps: 0,
                findings: 0,
            },
            before: Some(Tip::EMPTY),
            reached: 0,
        };
        let mut outside = Outside::of(asked, chain, self.kept.remove(&chain).unwrap_or_default());
        let folder = layout::chain(layout::CHAINS, chain);
        let mut shards = asked.store.folders(&folder);
        while let Some(shard) = shards.try_next().await? {
            self.shard(&mut walked, &mut outside, &format!("{folder}/{shard}"))
                .await?;
        }
        let mut strays = asked.store.objects(&folder);
        while let Some(stray) = strays.try_next().await? {
            self.find(
                Kind::Stray,
                Some(chain),
                &format!("{folder}/{}", stray.name),
                "no object belongs here",
            );
        }
        self.beyond(&mut walked, &mut outside).await?;
        walked.report.findings = self.found() - before;
        self.report.chains.push(walked.report);
        self.tell();
        Ok(())
    }

    async fn shard(
        &mut self,
        walked: &mut Walked,
        outside: &mut Outside<'_>,
        folder: &str,
    ) -> Result<(), StoreError> {
        let (store, chain) = (self.asked.store, walked.report.chain);
        let listed = store.objects(folder).map(|listed| async move {
            let listed = listed?;
            let key = format!("{folder}/{}", listed.name);
            let place = layout::place(&listed.name, layout::SEGMENT)
                .filter(|place| *place > 0 && layout::segment(chain, *place) == key);
            let bytes = match place {
                Some(_) => store.get(&key).await?,
                None => None,
            };
            Ok::<_, StoreError>((listed, key, place, bytes))
        });
        let mut listed = std::pin::pin!(listed.buffered(AHEAD));
        while let Some((listed, key, place, bytes)) = listed.try_next().await? {
            self.versions(chain, &key, &listed);
            let Some(place) = place else {
                self.find(
                    Kind::Stray,
                    Some(chain),
                    &key,
                    "not the name of a segment of this chain here",
                );
                continue;
            };
            let Some(bytes) = bytes else {
                self.find(Kind::Removed, Some(chain), &key, "listed, and not there");
                continue;
            };
            self.segment(walked, &key, place, &bytes);
            self.compare(walked, outside).await?;
        }
        Ok(())
    }

    fn versions(&mut self, chain: ChainId, key: &str, listed: &Listed) {
        if listed.versions > 1 {
            let what = format!(
                "written over or deleted {} times; the first version was checked",
                listed.versions - 1
            );
            self.find(Kind::Overwritten, Some(chain), key, what);
        }
    }

    fn segment(&mut self, walked: &mut Walked, key: &str, place: u64, bytes: &[u8]) {
        let chain = walked.report.chain;
        let expected = walked.reached + 1;
        if place < expected {
            let what = format!(
                "begins at {place}, and the chain already reached {}",
                walked.reached
            );
            self.find(Kind::Duplicated, Some(chain), key, what);
            return;
        }
        if place > expected {
            let what = format!("entries {expected} to {} are gone", place - 1);
            self.find(Kind::Removed, Some(chain), key, what);
            walked.before = None;
        }
        let mut from = None;
        let read = segment::read(
            bytes,
            chain,
            walked.before.as_ref(),
            self.asked.keys,
            |entry| {
                from.get_or_insert(entry.at);
            },
        );
        for fault in &read.faults {
            self.find(kind(fault), Some(chain), key, fault);
        }
        if read.faults.is_empty() && read.first != Some(place) {
            let first = read.first.unwrap_or_default();
            let what = format!("holds entries from {first}, its name says {place}");
            self.find(Kind::Reordered, Some(chain), key, what);
        }
        self.report.segments += 1;
        self.report.entries += read.entries;
        walked.take(&read, place, from);
        if self.report.segments.is_multiple_of(64) {
            self.tell();
        }
    }

    /// Holds what is known outside of the places reached so far against the chain.
    async fn compare(
        &mut self,
        walked: &mut Walked,
        outside: &mut Outside<'_>,
    ) -> Result<(), StoreError> {
        let (chain, last) = (walked.report.chain, walked.report.last);
        while let Some(place) = outside.peek(self).await?
            && place <= last
        {
            for checkpoint in outside.take() {
                let key = layout::checkpoint(chain, place);
                if place < last {
                    let what = format!(
                        "signed for a chain that had a segment ending at {place}; this one has none"
                    );
                    self.find(Kind::Forked, Some(chain), &key, what);
                } else if checkpoint.head != walked.report.head {
                    let what = format!(
                        "signed for {} at {place}; this record holds {}",
                        checkpoint.head, walked.report.head
                    );
                    self.find(Kind::Forked, Some(chain), &key, what);
                } else {
                    walked.report.borne_out = Some(place);
                }
            }
        }
        Ok(())
    }

    /// What is known outside beyond the chain's end.
    async fn beyond(
        &mut self,
        walked: &mut Walked,
        outside: &mut Outside<'_>,
    ) -> Result<(), StoreError> {
        let (chain, last) = (walked.report.chain, walked.report.last);
        while let Some(place) = outside.peek(self).await? {
            outside.take();
            let what = format!("entries {} to {place} were recorded and are gone", last + 1);
            self.find(
                Kind::Truncated,
                Some(chain),
                &layout::checkpoint(chain, place),
                what,
            );
        }
        Ok(())
    }

    fn tell(&mut self) {
        (self.progress)(Progress {
            chains: self.report.chains.len() as u64,
            segments: self.report.segments,
            entries: self.report.entries,
        });
    }

    fn conclude(mut self) -> Report {
        self.report.sound = self.found() == 0;
        let unborne = |chain: &&ChainReport| chain.borne_out.is_none_or(|place| place < chain.last);
        let open = self.report.chains.iter().filter(unborne).count();
        let outside = self.asked.second.is_some() || !self.asked.kept.is_empty();
        if !outside {
            self.report.not_shown.push("that nothing is missing at the end of a chain: no checkpoint from outside the record was given (--second-place, --checkpoint)".into());
        } else if open > 0 {
            self.report.not_shown.push(format!("that nothing is missing at the end of {open} of {} chains: no checkpoint outside the record reaches their last entry", self.report.chains.len()));
        }
        self.report
    }
}

impl Walked {
    fn take(&mut self, read: &segment::Read, place: u64, from: Option<Timestamp>) {
        let report = &mut self.report;
        report.entries += read.entries;
        report.clock_steps += read.clock_steps;
        report.from = report.from.or(from);
        report.until = read.at.or(report.until);
        let signed = read.checkpoint.as_ref().filter(|checkpoint| {
            checkpoint.chain == report.chain
                && checkpoint.first == place
                && checkpoint.last >= place
        });
        let seen = read.last.unwrap_or(place).max(place);
        let (last, head) = match signed {
            Some(checkpoint) => (checkpoint.last, checkpoint.head),
            None => (seen, read.head),
        };
        self.reached = self.reached.max(last);
        // After something that is not signed, the next segment is not held against it: one fault is told once.
        self.before = signed.map(Tip::from);
        report.last = self.reached;
        report.head = head;
    }
}

/// Checkpoints of one chain from outside the record, in the order of their places.
struct Outside<'v> {
    chain: ChainId,
    second: Option<Second<'v>>,
    kept: BTreeMap<u64, Vec<Checkpoint>>,
    next: Option<(u64, Checkpoint)>,
}

type Names<'v> = BoxStream<'v, Result<(String, Listed), StoreError>>;

struct Second<'v> {
    store: &'v dyn Store,
    names: Names<'v>,
}

impl<'v> Outside<'v> {
    fn of(
        asked: &'v Verification<'v>,
        chain: ChainId,
        kept: BTreeMap<u64, Vec<Checkpoint>>,
    ) -> Self {
        let second = asked.second.map(|store| Second {
            store,
            names: names(store, layout::chain(layout::CHECKPOINTS, chain)),
        });
        Self {
            chain,
            second,
            kept,
            next: None,
        }
    }

    /// The next place that anything outside speaks of.
    async fn peek(&mut self, walk: &mut Walk<'_, '_>) -> Result<Option<u64>, StoreError> {
        while self.next.is_none()
            && let Some(second) = &mut self.second
        {
            let Some((key, listed)) = second.names.try_next().await? else {
                self.second = None;
                break;
            };
            walk.versions(self.chain, &key, &listed);
            let place = layout::place(&listed.name, layout::CHECKPOINT)
                .filter(|place| layout::checkpoint(self.chain, *place) == key);
            let Some(place) = place else {
                walk.find(
                    Kind::Stray,
                    Some(self.chain),
                    &key,
                    "not the name of a checkpoint here",
                );
                continue;
            };
            let Some(bytes) = second.store.get(&key).await? else {
                walk.find(
                    Kind::Removed,
                    Some(self.chain),
                    &key,
                    "listed, and not there",
                );
                continue;
            };
            match second::read(&bytes, self.chain, place, walk.asked.keys) {
                Ok(checkpoint) => self.next = Some((place, checkpoint)),
                Err(fault) => walk.find(kind(&fault), Some(self.chain), &key, fault),
            }
        }
        let kept = self.kept.keys().next().copied();
        let next = self.next.as_ref().map(|(place, _)| *place);
        Ok([kept, next].into_iter().flatten().min())
    }

    /// What speaks of the place just peeked.
    fn take(&mut self) -> Vec<Checkpoint> {
        let kept = self.kept.keys().next().copied();
        match (&self.next, kept) {
            (Some((place, _)), Some(kept)) if kept < *place => self.kept.pop_first(),
            (Some(_), _) => {
                return self
                    .next
                    .take()
                    .map(|(_, checkpoint)| checkpoint)
                    .into_iter()
                    .collect();
            }
            (None, _) => self.kept.pop_first(),
        }
        .map(|(_, checkpoints)| checkpoints)
        .unwrap_or_default()
    }
}

/// Every object below a chain's folder with its key, shard by shard.
fn names(store: &dyn Store, folder: String) -> Names<'_> {
    let shards = store.folders(&folder);
    let objects = shards.map(move |shard| match shard {
        Err(error) => stream::once(ready(Err(error))).boxed(),
        Ok(shard) => {
            let folder = format!("{folder}/{shard}");
            let objects = store.objects(&folder);
            let keyed = objects.map_ok(move |listed| (format!("{folder}/{}", listed.name), listed));
            keyed.boxed()
        }
    });
    objects.flatten().boxed()
}

fn kind(fault: &Fault) -> Kind {
    match fault {
        Fault::Missing | Fault::CutOff => Kind::Removed,
        Fault::OtherChain(_) => Kind::Reordered,
        Fault::OutOfOrder { expected, found } if found > expected => Kind::Removed,
        Fault::OutOfOrder { .. } => Kind::Reordered,
        Fault::Unlinked(_) | Fault::OtherContent(_) => Kind::Changed,
        Fault::Unreadable(_) | Fault::Untrusted(Untrusted::NotBase64 | Untrusted::OtherType(_)) => {
            Kind::Unreadable
        }
        Fault::Untrusted(_) | Fault::KeyOutOfDate(..) => Kind::Forged,
    }
}
