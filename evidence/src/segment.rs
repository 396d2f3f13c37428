//! Segments: the objects a chain is made of. Making and reading them is pure.

use jiff::Timestamp;

use crate::chain::{CHECKPOINT, ChainId, Checkpoint, Draft, Entry, Tip, VERSION};
use crate::digest::{Digest, canonical};
use crate::envelope::{Envelope, Untrusted};
use crate::keys::{KeyId, KeyList, Signer};

/// Most faults of one segment that are told; the others are counted.
const MOST_FAULTS: usize = 100;

/// A segment as it is written: its bytes, and what it adds up to.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The object.
    pub bytes: Vec<u8>,
    /// The chain's tip once it stands.
    pub tip: Tip,
    /// Its last line, which also goes to the second place.
    pub checkpoint: Envelope,
}

impl Segment {
    /// Makes the segment that follows `tip`.
    ///
    /// # Errors
    /// Where an event has no canonical form.
    pub fn make(
        chain: ChainId,
        tip: &Tip,
        drafts: &[Draft],
        at: Timestamp,
        signer: &Signer,
    ) -> Result<Self, serde_json::Error> {
        let first = tip.next();
        let (mut bytes, mut head) = (Vec::new(), tip.head);
        for (seq, draft) in (first..).zip(drafts) {
            let event = serde_json::value::to_raw_value(&draft.event)?;
            let entry = Entry {
                at: draft.at,
                chain,
                event: &event,
                id: draft.id,
                prev: head,
                seq,
                v: VERSION,
            };
            let line = canonical(&serde_json::to_value(&entry)?)?;
            head = Digest::of(&line);
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        let last = tip.last + drafts.len() as u64;
        let state = if drafts.iter().any(Draft::is_state) {
            Some(first)
        } else {
            tip.state
        };
        let resumed = tip.resumed;
        let tip = Tip {
            last,
            head,
            state,
            resumed,
        };
        let checkpoint = Checkpoint {
            at,
            chain,
            first,
            head,
            last,
            resumed,
            state,
            v: VERSION,
        };
        let checkpoint = Envelope::sign(CHECKPOINT, &canonical(&checkpoint)?, signer);
        bytes.extend_from_slice(&canonical(&checkpoint)?);
        bytes.push(b'\n');
        Ok(Self {
            bytes,
            tip,
            checkpoint,
        })
    }
}

/// What is wrong with a segment.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// A line is not what it should be.
    #[error("not readable as a record: {0}")]
    Unreadable(String),
    /// The object is not there.
    #[error("it is not there")]
    Missing,
    /// The object has no last line.
    #[error("cut off: its last line, the signed checkpoint, is missing")]
    CutOff,
    /// An entry of another chain stands here.
    #[error("belongs to chain {0}")]
    OtherChain(ChainId),
    /// Entries are missing, doubled or in another order.
    #[error("entry {found} stands where {expected} should")]
    OutOfOrder {
        /// Which place it is.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Entries that the checkpoint signs for are not there.
    #[error("entries {0} to {1}, which its checkpoint signs for, are gone")]
    Gone(u64, u64),
    /// An entry does not continue the one before.
    #[error("entry {0} does not continue the one before it: that one, or this, was changed")]
    Unlinked(u64),
    /// What is signed is not what stands there.
    #[error("the signed checkpoint is for other content ({0}): changed after it was signed")]
    OtherContent(&'static str),
    /// The signature says nothing.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Signed by a key that was not in use.
    #[error("signed at {1} by key {0}, which was not in use then")]
    KeyOutOfDate(KeyId, Timestamp),
}

/// A segment that was read: what it says of itself, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Read {
    /// The chain's tip after it, where a checkpoint could be read at all.
    pub checkpoint: Option<Checkpoint>,
    /// Its last line.
    pub envelope: Option<Envelope>,
    /// How many entries it holds.
    pub entries: u64,
    /// Digest of its last entry, as it stands there.
    pub head: Digest,
    /// Place of its first entry, as it stands there.
    pub first: Option<u64>,
    /// Place of its last entry, as it stands there.
    pub last: Option<u64>,
    /// `prev` of its first entry.
    pub prev: Option<Digest>,
    /// Entries noted earlier than the one before them: a clock that stepped back, no fault.
    pub clock_steps: u64,
    /// When its last entry was noted.
    pub at: Option<Timestamp>,
    /// What is wrong with it, first things first.
    pub faults: Vec<Fault>,
    /// Faults beyond those: an object may be nothing else.
    pub more_faults: u64,
}

impl Read {
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

/// Reads a segment of `chain` that should follow `before` (where that is known), handing each entry to `look`.
pub fn read(
    bytes: &[u8],
    chain: ChainId,
    before: Option<&Tip>,
    keys: &KeyList,
    mut look: impl FnMut(&Entry<'_>),
) -> Read {
    let mut read = Read {
        checkpoint: None,
        envelope: None,
        entries: 0,
        head: before.map_or(Digest::NONE, |tip| tip.head),
        first: None,
        last: None,
        prev: None,
        clock_steps: 0,
        at: None,
        faults: Vec::new(),
        more_faults: 0,
    };
    let Some(body) = bytes.strip_suffix(b"\n") else {
        read.fault(Fault::CutOff);
        return read;
    };
    let start = body
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let (entries, last) = body.split_at(start);
    let mut holds_state = false;
    for line in entries.split_inclusive(|byte| *byte == b'\n') {
        let line = &line[..line.len() - 1];
        match serde_json::from_slice::<Entry<'_>>(line) {
            Ok(entry) => {
                holds_state |= entry.is_state();
                take(&mut read, &entry, chain, before);
                look(&entry);
            }
            Err(error) => read.fault(Fault::Unreadable(error.to_string())),
        }
        read.head = Digest::of(line);
        read.entries += 1;
    }
    close(&mut read, last, chain, before, holds_state, keys);
    read
}

fn take(read: &mut Read, entry: &Entry<'_>, chain: ChainId, before: Option<&Tip>) {
    if entry.v != VERSION {
        let why = format!("version {} is not known, only {VERSION}", entry.v);
        read.fault(Fault::Unreadable(why));
    }
    if entry.chain != chain {
        read.fault(Fault::OtherChain(entry.chain));
    }
    let expected = match read.last {
        Some(last) => Some(last.saturating_add(1)),
        None => before.map(Tip::next),
    };
    if let Some(expected) = expected
        && entry.seq != expected
    {
        let found = entry.seq;
        read.fault(Fault::OutOfOrder { expected, found });
    }
    let is_linked = match (read.first, before) {
        (None, None) => true,
        _ => entry.prev == read.head,
    };
    if !is_linked {
        read.fault(Fault::Unlinked(entry.seq));
    }
    if read.at.is_some_and(|at| entry.at < at) {
        read.clock_steps += 1;
    }
    read.first.get_or_insert(entry.seq);
    read.prev.get_or_insert(entry.prev);
    read.last = Some(entry.seq);
    read.at = Some(entry.at);
}

fn close(
    read: &mut Read,
    line: &[u8],
    chain: ChainId,
    before: Option<&Tip>,
    holds_state: bool,
    keys: &KeyList,
) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(line) else {
        // An entry in the last line is a segment that was cut; anything else is not ours.
        let cut = serde_json::from_slice::<Entry<'_>>(line).is_ok();
        let why = "its last line is no signed checkpoint";
        let fault = if cut {
            Fault::CutOff
        } else {
            Fault::Unreadable(why.into())
        };
        read.fault(fault);
        return;
    };
    if let Err(fault) = envelope.must_be(line) {
        read.fault(fault);
    }
    match Checkpoint::open(&envelope, keys) {
        Ok(checkpoint) => {
            if let Some(fault) = disagreement(read, &checkpoint, chain, before, holds_state) {
                read.fault(fault);
            }
            read.checkpoint = Some(checkpoint);
        }
        Err(fault) => read.fault(fault),
    }
    read.envelope = Some(envelope);
}

/// In what a checkpoint and the entries above it differ.
fn disagreement(
    read: &Read,
    checkpoint: &Checkpoint,
    chain: ChainId,
    before: Option<&Tip>,
    holds_state: bool,
) -> Option<Fault> {
    let other = |what| Some(Fault::OtherContent(what));
    if checkpoint.v != VERSION {
        return other("version");
    }
    if checkpoint.chain != chain {
        return other("chain");
    }
    let next = match read.last {
        Some(last) => last.saturating_add(1),
        None => checkpoint.first,
    };
    if checkpoint.last >= next {
        return Some(Fault::Gone(next, checkpoint.last));
    }
    if Some(checkpoint.first) != read.first || Some(checkpoint.last) != read.last {
        return other("places");
    }
    if checkpoint.head != read.head {
        return other("digest");
    }
    let state = match (holds_state, before) {
        (true, _) => Some(checkpoint.first),
        (false, Some(before)) => before.state,
        (false, None) => checkpoint.state,
    };
    if checkpoint.state != state {
        return other("state");
    }
    None
}
