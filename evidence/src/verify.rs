//! Verification of a whole record: offline, from a copy or a bucket, with the published key list.
//!
//! It reads every object once, in order, and keeps nothing of what it has read but each chain's tip: memory does not grow with
//! the record.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::ready;

use bytes::Bytes;
use futures::stream::{self, BoxStream, FuturesOrdered};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;

use crate::chain::{ChainId, Checkpoint, Entry, Tip};
use crate::digest::Digest;
use crate::envelope::{Envelope, Untrusted};
use crate::keys::{KeyId, KeyList};
use crate::layout;
use crate::second;
use crate::segment::{self, Fault};
use crate::store::{Failure, Listed, Store, StoreError};

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
        self.read(&mut |_| (), progress).await
    }

    /// Verifies, and hands each entry to `look`, chain after chain, in the order of their places. What was looked at is what was
    /// verified, and nothing of it counts before the report says that the record is sound.
    ///
    /// # Errors
    /// Where a place cannot be read: then nothing is said about it.
    pub async fn read(
        &self,
        look: &mut (dyn FnMut(&Entry<'_>) + Send),
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Report, StoreError> {
        let mut walk = Walk {
            asked: self,
            kept: self.kept_by_chain(),
            seen: HashSet::new(),
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
            look,
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
    /// Chains that were walked.
    seen: HashSet<ChainId>,
    report: Report,
    look: &'p mut (dyn FnMut(&Entry<'_>) + Send),
    progress: &'p mut (dyn FnMut(Progress) + Send),
}

/// A chain while it is walked.
struct Walked {
    report: ChainReport,
    /// What the next segment must continue; nothing after something that cannot be trusted.
    before: Option<Tip>,
    /// The highest place seen so far.
    reached: u64,
    /// The highest place that was listed.
    listed: u64,
    /// Places up to here are gone since an earlier one, and that was told.
    gap: u64,
    /// The newest key that signed.
    key: Option<KeyId>,
}

impl Walk<'_, '_> {
    fn find(&mut self, kind: Kind, chain: Option<ChainId>, key: &str, what: impl fmt::Display) {
        if self.is_only_counted() {
            return;
        }
        self.report.findings.push(Finding {
            kind,
            chain,
            key: key.to_owned(),
            what: what.to_string(),
        });
    }

    /// Counts a finding beyond those that are listed. A place may be full of what does not belong there: what is only counted is
    /// not written out.
    fn is_only_counted(&mut self) -> bool {
        let is_full = self.report.findings.len() >= self.asked.most_findings;
        self.report.more_findings += u64::from(is_full);
        is_full
    }

    fn found(&self) -> u64 {
        self.report.findings.len() as u64 + self.report.more_findings
    }

    async fn chains(&mut self) -> Result<(), StoreError> {
        let asked = self.asked;
        let mut folders = asked.store.folders(layout::CHAINS);
        while let Some(name) = folders.try_next().await? {
            match name.parse() {
                Ok(chain) if asked.concerns(chain) => self.chain(chain).await?,
                Ok(_) => {}
                Err(_) => self.no_chain(layout::CHAINS, &name),
            }
        }
        self.objects(asked.store, None, layout::CHAINS).await
    }

    /// Chains that only a checkpoint outside still knows.
    async fn chains_gone(&mut self) -> Result<(), StoreError> {
        let asked = self.asked;
        if let Some(second) = asked.second {
            let mut folders = second.folders(layout::CHECKPOINTS);
            while let Some(name) = folders.try_next().await? {
                match name.parse() {
                    Ok(chain) => self.gone(chain).await?,
                    Err(_) => self.no_chain(layout::CHECKPOINTS, &name),
                }
            }
            self.objects(second, None, layout::CHECKPOINTS).await?;
        }
        let kept: Vec<ChainId> = self.kept.keys().copied().collect();
        for chain in kept {
            self.gone(chain).await?;
        }
        Ok(())
    }

    async fn gone(&mut self, chain: ChainId) -> Result<(), StoreError> {
        if self.seen.contains(&chain) || !self.asked.concerns(chain) {
            return Ok(());
        }
        self.chain(chain).await
    }

    fn no_chain(&mut self, root: &str, name: &str) {
        self.stray(None, root, name, "not the name of a chain");
    }

    /// Tells every object directly in a folder that has none.
    async fn objects(
        &mut self,
        store: &dyn Store,
        chain: Option<ChainId>,
        folder: &str,
    ) -> Result<(), StoreError> {
        let mut strays = store.objects(folder);
        while let Some(stray) = strays.try_next().await? {
            self.stray(chain, folder, &stray.name, "no object belongs here");
        }
        Ok(())
    }

    /// Tells every folder directly in one that has none.
    async fn folders(
        &mut self,
        store: &dyn Store,
        chain: ChainId,
        folder: &str,
    ) -> Result<(), StoreError> {
        let mut strays = store.folders(folder);
        while let Some(stray) = strays.try_next().await? {
            self.stray(Some(chain), folder, &stray, "no folder belongs here");
        }
        Ok(())
    }

    fn stray(&mut self, chain: Option<ChainId>, folder: &str, name: &str, what: &str) {
        if !self.is_only_counted() {
            self.find(Kind::Stray, chain, &format!("{folder}/{name}"), what);
        }
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
            listed: 0,
            gap: 0,
            key: None,
        };
        self.seen.insert(chain);
        let mut outside = Outside::of(asked, chain, self.kept.remove(&chain).unwrap_or_default());
        let folder = layout::chain(layout::CHAINS, chain);
        let mut shards = asked.store.folders(&folder);
        while let Some(shard) = shards.try_next().await? {
            let Some(number) = layout::shard_number(&shard) else {
                self.stray(
                    Some(chain),
                    &folder,
                    &shard,
                    "not the name of a folder of places",
                );
                continue;
            };
            let shard = format!("{folder}/{shard}");
            self.shard(&mut walked, &mut outside, &shard, number)
                .await?;
            self.folders(asked.store, chain, &shard).await?;
        }
        self.objects(asked.store, Some(chain), &folder).await?;
        self.catch_up(&mut walked, &mut outside).await?;
        self.beyond(&mut walked, &mut outside).await?;
        if let Some(second) = asked.second {
            self.strays_outside(second, chain).await?;
        }
        walked.report.findings = self.found() - before;
        self.report.chains.push(walked.report);
        self.tell();
        Ok(())
    }

    /// What stands in the second place and is no checkpoint of a chain; the checkpoints themselves are read with the chain.
    async fn strays_outside(
        &mut self,
        second: &dyn Store,
        chain: ChainId,
    ) -> Result<(), StoreError> {
        let folder = layout::chain(layout::CHECKPOINTS, chain);
        let mut shards = second.folders(&folder);
        while let Some(shard) = shards.try_next().await? {
            if layout::shard_number(&shard).is_none() {
                self.stray(
                    Some(chain),
                    &folder,
                    &shard,
                    "not the name of a folder of places",
                );
            } else {
                self.folders(second, chain, &format!("{folder}/{shard}"))
                    .await?;
            }
        }
        self.objects(second, Some(chain), &folder).await
    }

    async fn shard(
        &mut self,
        walked: &mut Walked,
        outside: &mut Outside<'_>,
        folder: &str,
        number: u64,
    ) -> Result<(), StoreError> {
        let (store, chain) = (self.asked.store, walked.report.chain);
        let mut listed = store.objects(folder);
        let (mut ahead, mut is_listed) = (FuturesOrdered::new(), false);
        loop {
            while !is_listed && ahead.len() < AHEAD {
                let Some(next) = listed.try_next().await? else {
                    is_listed = true;
                    break;
                };
                let place = layout::place(&next.name, layout::SEGMENT)
                    .filter(|place| *place > 0 && layout::is_in_shard(*place, number));
                let Some(place) = place else {
                    let what = "not the name of a segment of this chain here";
                    self.stray(Some(chain), folder, &next.name, what);
                    continue;
                };
                let key = format!("{folder}/{}", next.name);
                ahead.push_back(async move {
                    let read = read(store, &key).await?;
                    Ok::<_, StoreError>((next, key, place, read))
                });
            }
            let Some((listed, key, place, read)) = ahead.try_next().await? else {
                return Ok(());
            };
            self.versions(chain, &key, &listed);
            walked.listed = walked.listed.max(place);
            match read {
                Read::Whole(bytes) => self.segment(walked, &key, place, &bytes),
                Read::Nothing => {
                    self.find(Kind::Removed, Some(chain), &key, "listed, and not there");
                    continue;
                }
                Read::TooMuch(why) => {
                    self.find(Kind::Unreadable, Some(chain), &key, why);
                    continue;
                }
            }
            self.compare(walked, outside).await?;
        }
    }

    fn versions(&mut self, chain: ChainId, key: &str, listed: &Listed) {
        if listed.versions > 1 {
            let times = listed.versions - 1;
            let what = format_args!(
                "written over or deleted {times} times; the first version was checked"
            );
            self.find(Kind::Overwritten, Some(chain), key, what);
        }
    }

    fn segment(&mut self, walked: &mut Walked, key: &str, place: u64, bytes: &[u8]) {
        let chain = walked.report.chain;
        let reached = walked.reached;
        let expected = reached.saturating_add(1);
        if place < expected {
            let what = format_args!("begins at {place}, and the chain already reached {reached}");
            self.find(Kind::Duplicated, Some(chain), key, what);
            return;
        }
        if place > expected {
            let what = format_args!("entries {expected} to {} are gone", place - 1);
            self.find(Kind::Removed, Some(chain), key, what);
            walked.before = None;
            walked.gap = place - 1;
        }
        let (mut from, look) = (None, &mut *self.look);
        let read = segment::read(
            bytes,
            chain,
            walked.before.as_ref(),
            self.asked.keys,
            |entry| {
                from.get_or_insert(entry.at);
                look(entry);
            },
        );
        self.report.segments += 1;
        self.report.entries += read.entries;
        if self.report.segments.is_multiple_of(64) {
            self.tell();
        }
        if let Some(first) = moved(&read, place) {
            let what = format_args!("written for place {first}, its name says {place}");
            self.find(Kind::Reordered, Some(chain), key, what);
            walked.before = None;
            return;
        }
        for fault in &read.faults {
            self.find(kind(fault), Some(chain), key, fault);
        }
        self.report.more_findings += read.more_faults;
        self.signed_by(walked, key, &read);
        walked.take(&read, place, from);
    }

    /// Whoever holds a retired key can date back what it signs, but not change the order: the chain went on under the next key.
    fn signed_by(&mut self, walked: &mut Walked, key: &str, read: &segment::Read) {
        let Some(envelope) = read.envelope.as_ref().filter(|_| read.checkpoint.is_some()) else {
            return;
        };
        let [signature] = &envelope.signatures;
        let (before, now) = (walked.key, signature.keyid);
        match before {
            Some(before) if before == now => {}
            Some(before) if self.asked.keys.went_back(before, now) => {
                let what = format_args!("signed by key {now}, which {before} had replaced by then");
                self.find(Kind::Forged, Some(walked.report.chain), key, what);
            }
            _ => walked.key = Some(now),
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
                if place < last && place <= walked.gap {
                    // What it was signed for is gone, and that was told.
                } else if place < last {
                    let what = format_args!(
                        "signed for a chain that had a segment ending at {place}; this one has none"
                    );
                    self.find(Kind::Forked, Some(chain), &key, what);
                } else if checkpoint.head != walked.report.head {
                    let what = format_args!(
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

    /// What its writer added since the chain was listed, where something outside knows of it already.
    async fn catch_up(
        &mut self,
        walked: &mut Walked,
        outside: &mut Outside<'_>,
    ) -> Result<(), StoreError> {
        while outside.peek(self).await?.is_some() {
            let next = walked.reached.saturating_add(1);
            if next <= walked.listed {
                return Ok(());
            }
            let key = layout::segment(walked.report.chain, next);
            let bytes = match read(self.asked.store, &key).await? {
                Read::Whole(bytes) => bytes,
                Read::Nothing => return Ok(()),
                Read::TooMuch(why) => {
                    self.find(Kind::Unreadable, Some(walked.report.chain), &key, why);
                    return Ok(());
                }
            };
            walked.listed = next;
            self.segment(walked, &key, next, &bytes);
            self.compare(walked, outside).await?;
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
        let mut farthest = None;
        while let Some(place) = outside.peek(self).await? {
            outside.take();
            farthest = Some(place);
        }
        if let Some(place) = farthest {
            let first = last.saturating_add(1);
            let what = format_args!("entries {first} to {place} were recorded and are gone");
            let key = layout::checkpoint(chain, place);
            self.find(Kind::Truncated, Some(chain), &key, what);
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
        let chains = self.report.chains.len();
        let outside = self.asked.second.is_some() || !self.asked.kept.is_empty();
        let mut not_shown = Vec::new();
        if chains == 0 {
            not_shown.push(format!(
                "anything: there is no such record at {}; is this the right place?",
                self.report.place
            ));
        }
        let end = "that nothing at the end of a chain is missing, or was written anew by a holder of the key";
        if !outside {
            not_shown.push(format!("{end}: no checkpoint from outside the record was given (--second-place, --checkpoint)"));
        } else if open > 0 {
            not_shown.push(format!("{end}: no checkpoint outside the record reaches the last entry of {open} of {chains} chains"));
        }
        self.report.not_shown = not_shown;
        self.report
    }
}

impl Walked {
    fn take(&mut self, read: &segment::Read, place: u64, from: Option<Timestamp>) {
        let report = &mut self.report;
        report.entries += read.entries;
        let stepped_between = from
            .zip(report.until)
            .is_some_and(|(from, until)| from < until);
        report.clock_steps += read.clock_steps + u64::from(stepped_between);
        report.from = report.from.or(from);
        report.until = read.at.or(report.until);
        let signed = read.checkpoint.as_ref().filter(|checkpoint| {
            checkpoint.chain == report.chain
                && checkpoint.first == place
                && checkpoint.last >= place
        });
        // What is not signed is believed no place: as many as there are lines.
        let seen = place.saturating_add(read.entries.saturating_sub(1));
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
            let bytes = match read(second.store, &key).await? {
                Read::Whole(bytes) => bytes,
                Read::Nothing => {
                    let what = "listed, and not there";
                    walk.find(Kind::Removed, Some(self.chain), &key, what);
                    continue;
                }
                Read::TooMuch(why) => {
                    walk.find(Kind::Unreadable, Some(self.chain), &key, why);
                    continue;
                }
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
    let shards = shards.try_filter(|shard| ready(layout::shard_number(shard).is_some()));
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

/// Where a segment was written for, if that is elsewhere.
fn moved(read: &segment::Read, place: u64) -> Option<u64> {
    let first = read.checkpoint.as_ref()?.first;
    (first != place && read.first == Some(first)).then_some(first)
}

/// What came of reading an object.
enum Read {
    Whole(Bytes),
    Nothing,
    /// It is larger than anything of a record; the text says by how much.
    TooMuch(String),
}

async fn read(store: &dyn Store, key: &str) -> Result<Read, StoreError> {
    match store.get(key).await {
        Ok(Some(bytes)) => Ok(Read::Whole(bytes)),
        Ok(None) => Ok(Read::Nothing),
        Err(error) if error.failure == Failure::Malformed => Ok(Read::TooMuch(error.why)),
        Err(error) => Err(error),
    }
}

fn kind(fault: &Fault) -> Kind {
    match fault {
        Fault::Missing | Fault::CutOff | Fault::Gone(..) => Kind::Removed,
        Fault::OtherChain(_) => Kind::Reordered,
        Fault::OutOfOrder { expected, found } if found > expected => Kind::Removed,
        // The entry before, once more.
        Fault::OutOfOrder { expected, found } if found.saturating_add(1) == *expected => {
            Kind::Duplicated
        }
        Fault::OutOfOrder { .. } => Kind::Reordered,
        Fault::Unlinked(_) | Fault::OtherContent(_) => Kind::Changed,
        Fault::Unreadable(_) | Fault::Untrusted(Untrusted::NotBase64 | Untrusted::OtherType(_)) => {
            Kind::Unreadable
        }
        Fault::Untrusted(_) | Fault::KeyOutOfDate(..) => Kind::Forged,
    }
}
