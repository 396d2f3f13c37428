//! `kubectl tenure ledger show`: a record, read from one end to the other and never held whole in memory.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use tenure_evidence::chain::{CHECKPOINT, Checkpoint, Tip};
use tenure_evidence::envelope::Untrusted;
use tenure_evidence::segment::{self, Fault, Read};
use tenure_evidence::store::newest;
use tenure_evidence::{ChainId, Digest, Entry, KeyList, Store, StoreError, layout};
use uuid::Uuid;

use super::{key_list, sentence, time};
use crate::output::{self, plain, table};
use crate::{Outcome, instant, place};

/// Segments read ahead of the one that is shown.
const AHEAD: usize = 8;

const HELP: &str = "\
Alone: the chains of a record, one for each tenantID and one for the platform. With a chain, a
tenant, a type or a time: the entries, in the order of their places, one sentence each. Types and
times without a chain go through all chains, one after the other.

Entries that stand in a segment with faults are marked with `!`, after what is wrong with it.
Showing is not verifying: what is missing at the end of a chain is not seen here, and signatures are
checked with --keys only.";

const AFTER: &str = "\
Exit codes:
  0  shown
  1  shown, and marked: segments have faults; run `kubectl tenure ledger verify`
  2  not shown: wrong usage, or something could not be read

Examples:
  kubectl tenure ledger show /mnt/record
  kubectl tenure ledger show /mnt/record --tenant acme
  kubectl tenure ledger show /mnt/record --type drift.repaired --since 2026-01-01 --json";

/// Show what a record holds: its chains, or their entries.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// The record, or a copy of it: a folder, or s3://bucket/prefix.
    place: String,
    #[command(flatten)]
    s3: place::RecordS3,
    /// The published key list: signatures are checked, too.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Entries of this chain: `platform`, or a tenantID.
    #[arg(long, value_name = "ID", value_parser = super::chain, conflicts_with = "tenant")]
    chain: Option<ChainId>,
    /// Entries of the tenant that has this name in the record.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Entries noted at or after: 2026-01-31T12:00:00Z, or a day in UTC.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    since: Option<Timestamp>,
    /// Entries noted before: 2026-01-31T12:00:00Z, or a day in UTC.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    until: Option<Timestamp>,
    /// Entries of this type (`drift.repaired`) or of all that begin with it (`drift`). May be given again.
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// One JSON object a line, whole.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn names_entries(&self) -> bool {
        let has_time = self.since.is_some() || self.until.is_some();
        self.chain.is_some() || self.tenant.is_some() || has_time || !self.kinds.is_empty()
    }

    fn wants(&self, entry: &Entry<'_>, kind: &str) -> bool {
        let is_late_enough = self.since.is_none_or(|since| entry.at >= since);
        let is_early_enough = self.until.is_none_or(|until| entry.at < until);
        let is_of_type = |wanted: &String| {
            let rest = kind.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_wanted = self.kinds.is_empty() || self.kinds.iter().any(is_of_type);
        is_late_enough && is_early_enough && is_wanted
    }
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let store = place::open(&arguments.place, &arguments.s3).await?;
    let reader = Reader {
        store: &*store,
        keys: arguments.keys.as_deref().map(key_list).transpose()?,
    };
    if !arguments.names_entries() {
        return reader.list(arguments.json).await;
    }
    let mut shown = Shown::default();
    match arguments.chain {
        Some(chain) => reader.entries(chain, None, arguments, &mut shown).await?,
        None => reader.all(arguments, &mut shown).await?,
    }
    shown.conclude(arguments, reader.keys.is_some())
}

/// A record that is read, with the keys to check it by, where there are any.
struct Reader<'a> {
    store: &'a dyn Store,
    keys: Option<KeyList>,
}

/// A segment's key, the place its name says, and its bytes; an object without them is none.
type Object = (String, Option<(u64, Bytes)>);

/// What a look at both ends of a chain tells.
#[derive(Debug, Serialize)]
struct Summary {
    chain: ChainId,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    entries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// An entry, kept until its segment was read.
struct Kept {
    at: Timestamp,
    event: Box<RawValue>,
    id: Uuid,
    kind: String,
    prev: Digest,
    seq: u64,
}

/// An entry as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    chain: ChainId,
    seq: u64,
    at: Timestamp,
    id: Uuid,
    #[serde(rename = "type")]
    kind: &'a str,
    event: &'a RawValue,
    prev: Digest,
    segment: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
}

/// What was shown so far.
#[derive(Default)]
struct Shown {
    entries: u64,
    faulty: u64,
}

impl Shown {
    fn conclude(&self, arguments: &Arguments, has_keys: bool) -> anyhow::Result<Outcome> {
        if self.entries == 0 && !arguments.json {
            output::print("No entry is as asked.\n")?;
        }
        if self.faulty > 0 {
            let segments = output::count(self.faulty, "object has", "objects have");
            output::tell(&format!(
                "{segments} faults, marked above with `!`: what stands there may not be what was written. Run `kubectl tenure ledger verify`."
            ));
            return Ok(Outcome::Findings);
        }
        if !has_keys {
            output::tell("Signatures were not checked: no key list was given (--keys).");
        }
        Ok(Outcome::Fine)
    }
}

impl Reader<'_> {
    /// Shows every chain.
    async fn list(&self, json: bool) -> anyhow::Result<Outcome> {
        let mut rows = Vec::new();
        let mut chains = self.chains();
        while let Some(chain) = chains.try_next().await? {
            let summary = self.summary(chain).await?;
            if json {
                output::print(&format!("{}\n", serde_json::to_string(&summary)?))?;
            }
            rows.push(row(&summary));
        }
        if rows.is_empty() {
            bail!("{}", self.nothing());
        }
        if !json {
            let head = ["CHAIN", "TENANT", "ENTRIES", "FROM", "UNTIL"];
            output::print(&table(head, &rows))?;
            output::tell(
                "As the record says it; nothing was verified. --chain or --tenant shows the entries, `kubectl tenure ledger verify` verifies them.",
            );
        }
        Ok(Outcome::Fine)
    }

    /// Shows the entries of every chain, or of the tenant that is asked for.
    async fn all(&self, arguments: &Arguments, shown: &mut Shown) -> anyhow::Result<()> {
        let (mut chains, mut found, mut any) = (self.chains(), false, false);
        while let Some(chain) = chains.try_next().await? {
            any = true;
            let tenant = self.summary(chain).await?.tenant;
            if arguments.tenant.is_some() && arguments.tenant != tenant {
                continue;
            }
            found = true;
            self.entries(chain, tenant, arguments, shown).await?;
        }
        match &arguments.tenant {
            _ if !any => bail!("{}", self.nothing()),
            Some(name) if !found => bail!(
                "{}: no chain names a tenant {name}; `kubectl tenure ledger show` lists them",
                self.store.place()
            ),
            _ => Ok(()),
        }
    }

    fn nothing(&self) -> String {
        format!(
            "{}: no record is here; is it the folder or prefix that the operator records to (the one that holds {})?",
            self.store.place(),
            layout::CHAINS
        )
    }

    fn chains(&self) -> BoxStream<'_, Result<ChainId, StoreError>> {
        let folders = self.store.folders(layout::CHAINS);
        folders
            .try_filter_map(async |name| Ok(name.parse().ok()))
            .boxed()
    }

    /// The objects of a chain in the order of their names.
    fn objects(&self, chain: ChainId) -> BoxStream<'_, Result<Object, StoreError>> {
        let folder = layout::chain(layout::CHAINS, chain);
        let shards = self.store.folders(&folder);
        let keys = shards.map_ok(move |shard| {
            let folder = format!("{folder}/{shard}");
            let objects = self.store.objects(&folder);
            objects.map_ok(move |listed| (format!("{folder}/{}", listed.name), listed.name))
        });
        let read = keys.try_flatten().map(move |key| async move {
            let (key, name) = key?;
            let place = layout::place(&name, layout::SEGMENT)
                .filter(|place| layout::segment(chain, *place) == key);
            let Some(place) = place else {
                return Ok((key, None));
            };
            let bytes = self.store.get(&key).await?;
            Ok((key, bytes.map(|bytes| (place, bytes))))
        });
        read.buffered(AHEAD).boxed()
    }

    /// Shows the entries of a chain that are asked for.
    async fn entries(
        &self,
        chain: ChainId,
        tenant: Option<String>,
        arguments: &Arguments,
        shown: &mut Shown,
    ) -> anyhow::Result<()> {
        let mut objects = self.objects(chain);
        let (mut before, mut head, mut any) =
            (Some(Tip::EMPTY), Some(heading(chain, tenant)), false);
        while let Some((key, object)) = objects.try_next().await? {
            any = true;
            let mut kept = Vec::new();
            let mut faults = Vec::new();
            match object {
                None => faults.push("it is no segment of this chain".to_owned()),
                Some((place, bytes)) => {
                    let read = self.read(&bytes, chain, before.as_ref(), |entry| {
                        let kind = entry.kind();
                        if arguments.wants(entry, &kind) {
                            kept.push(keep(entry, kind));
                        }
                    });
                    faults.extend(read.faults.iter().map(ToString::to_string));
                    if read.more_faults > 0 {
                        faults.push(format!("and {} more faults", read.more_faults));
                    }
                    if faults.is_empty() && read.first != Some(place) {
                        faults.push("it holds other places than its name says".into());
                    }
                    before = self.tip(&read);
                }
            }
            shown.entries += kept.len() as u64;
            shown.faulty += u64::from(!faults.is_empty());
            let text = if arguments.json {
                lines(chain, &key, &kept, &faults)?
            } else {
                sentences(&key, &kept, &faults)
            };
            if text.is_empty() {
                continue;
            }
            let head = head.take().filter(|_| !arguments.json);
            output::print(&(head.unwrap_or_default() + &text))?;
        }
        if !any && arguments.chain.is_some() {
            bail!(
                "{}: no chain {chain} is here; `kubectl tenure ledger show` lists them",
                self.store.place()
            );
        }
        Ok(())
    }

    /// Reads a segment; without keys, that its signer is not known is no fault.
    fn read(
        &self,
        bytes: &[u8],
        chain: ChainId,
        before: Option<&Tip>,
        look: impl FnMut(&Entry<'_>),
    ) -> Read {
        let Some(keys) = &self.keys else {
            let mut read = segment::read(bytes, chain, before, &KeyList::default(), look);
            let is_unknown =
                |fault: &Fault| matches!(fault, Fault::Untrusted(Untrusted::UnknownKey(_)));
            read.faults.retain(|fault| !is_unknown(fault));
            return read;
        };
        segment::read(bytes, chain, before, keys, look)
    }

    /// What the next segment must continue: one fault is told once.
    fn tip(&self, read: &Read) -> Option<Tip> {
        match &self.keys {
            Some(_) => read.checkpoint.as_ref().map(Tip::from),
            None => read.last.map(|last| Tip {
                last,
                head: read.head,
                state: None,
                resumed: None,
            }),
        }
    }

    /// Looks at the newest segment of a chain, at its newest state and at its first entry.
    async fn summary(&self, chain: ChainId) -> anyhow::Result<Summary> {
        let mut summary = Summary {
            chain,
            tenant: None,
            entries: 0,
            from: None,
            until: None,
        };
        let last = newest(self.store, layout::CHAINS, chain, layout::SEGMENT).await?;
        let Some(last) = last else {
            return Ok(summary);
        };
        let read = self.look(chain, last, &mut summary.tenant).await?;
        summary.entries = read.last.unwrap_or(last);
        summary.until = read.at;
        // Unverified: it only says where to look for a name.
        let payload = read.envelope.and_then(|it| it.payload(CHECKPOINT).ok());
        let checkpoint: Option<Checkpoint> =
            payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        if let Some(state) = checkpoint.and_then(|checkpoint| checkpoint.state)
            && summary.tenant.is_none()
        {
            self.look(chain, state, &mut summary.tenant).await?;
        }
        if let Some((_, Some((_, bytes)))) = self.objects(chain).try_next().await? {
            self.read(&bytes, chain, None, |entry| {
                summary.from.get_or_insert(entry.at);
            });
        }
        Ok(summary)
    }

    /// Reads one segment for the last tenant it names.
    async fn look(
        &self,
        chain: ChainId,
        place: u64,
        tenant: &mut Option<String>,
    ) -> anyhow::Result<Read> {
        let key = layout::segment(chain, place);
        let bytes = self.store.get(&key).await?.unwrap_or_default();
        Ok(self.read(&bytes, chain, None, |entry| {
            let named = sentence::tenant(entry.event);
            *tenant = named.or_else(|| tenant.take());
        }))
    }
}

fn keep(entry: &Entry<'_>, kind: String) -> Kept {
    Kept {
        at: entry.at,
        event: entry.event.to_owned(),
        id: entry.id,
        kind,
        prev: entry.prev,
        seq: entry.seq,
    }
}

fn row(summary: &Summary) -> [String; 5] {
    let at = |at: Option<_>| at.map_or_else(|| "-".into(), time);
    let tenant = summary.tenant.as_deref().unwrap_or("-");
    [
        summary.chain.to_string(),
        plain(tenant).into_owned(),
        summary.entries.to_string(),
        at(summary.from),
        at(summary.until),
    ]
}

fn heading(chain: ChainId, tenant: Option<String>) -> String {
    match tenant {
        Some(tenant) => format!("{chain} ({})\n", plain(&tenant)),
        None => format!("{chain}\n"),
    }
}

/// The entries of a segment for people.
fn sentences(key: &str, kept: &[Kept], faults: &[String]) -> String {
    let mut text = String::new();
    let mark = if faults.is_empty() { ' ' } else { '!' };
    for fault in faults {
        let _ = writeln!(text, "{mark} {}: {}", plain(key), plain(fault));
    }
    for entry in kept {
        let (at, kind) = (time(entry.at), plain(&entry.kind));
        let says = sentence::of(&entry.event);
        let _ = writeln!(text, "{mark} {at}  #{}  {kind}  {says}", entry.seq);
    }
    text
}

/// The entries of a segment for programs.
fn lines(chain: ChainId, key: &str, kept: &[Kept], faults: &[String]) -> io::Result<String> {
    let mut text = String::new();
    for entry in kept {
        let line = Line {
            chain,
            seq: entry.seq,
            at: entry.at,
            id: entry.id,
            kind: &entry.kind,
            event: &entry.event,
            prev: entry.prev,
            segment: key,
            faults,
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(seq: u64, event: &serde_json::Value) -> Kept {
        Kept {
            at: "2026-01-01T08:00:00.5Z".parse().unwrap(),
            event: serde_json::value::to_raw_value(event).unwrap(),
            id: Uuid::from_u128(1),
            kind: event["type"].as_str().unwrap().to_owned(),
            prev: Digest::NONE,
            seq,
        }
    }

    #[test]
    fn entries_of_a_faulty_segment_are_marked() {
        let entries = [kept(3, &json!({"type": "tenant.ended", "tenant": "acme"}))];
        assert_eq!(
            sentences("v1/x.jsonl", &entries, &[]),
            "  2026-01-01T08:00:00Z  #3  tenant.ended  acme ended; its name and tenantID are not used again.\n"
        );
        assert_eq!(
            sentences("v1/x.jsonl", &entries, &["cut off".into()]),
            "! v1/x.jsonl: cut off\n! 2026-01-01T08:00:00Z  #3  tenant.ended  acme ended; its name and tenantID are not used again.\n"
        );
        assert_eq!(sentences("v1/x.jsonl", &[], &[]), "");
    }

    #[test]
    fn a_line_for_programs_is_whole() {
        let entries = [kept(3, &json!({"type": "of.tomorrow", "more": [1]}))];
        let text = lines(
            ChainId::Platform,
            "v1/x.jsonl",
            &entries,
            &["cut off".into()],
        )
        .unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expect = json!({
            "chain": "platform", "seq": 3, "at": "2026-01-01T08:00:00.5Z", "id": Uuid::from_u128(1), "type": "of.tomorrow",
            "event": {"type": "of.tomorrow", "more": [1]}, "prev": Digest::NONE.to_string(),
            "segment": "v1/x.jsonl", "faults": ["cut off"],
        });
        assert_eq!(line, expect);
    }
}
