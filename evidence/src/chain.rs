//! Chains: one for each tenantID, one for the platform. Pure.
//!
//! An object of the store is a *segment*: some entries, one a line, and a last line that is a signed checkpoint over them. Each
//! entry holds the digest of the line before it, so the signature over the newest one stands for everything before.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::digest::{Digest, canonical};
use crate::envelope::Envelope;
use crate::keys::KeyList;
use crate::segment::Fault;

/// Shape of entries and checkpoints.
pub const VERSION: u32 = 1;
/// What a checkpoint's envelope holds.
pub const CHECKPOINT: &str = "application/vnd.tenure.checkpoint.v1+json";
/// Type of the entries that hold everything a chain must not forget.
pub const STATE: &str = "state";

/// Which chain.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChainId {
    /// What concerns no tenant, or all of them.
    Platform,
    /// One tenant, by its tenantID.
    Tenant(Uuid),
}

impl fmt::Display for ChainId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => out.write_str("platform"),
            Self::Tenant(id) => write!(out, "{id}"),
        }
    }
}

impl FromStr for ChainId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        if text == "platform" {
            return Ok(Self::Platform);
        }
        let id: Uuid = text.parse()?;
        // One chain has one name.
        let mut name = Uuid::encode_buffer();
        if id.hyphenated().encode_lower(&mut name) == text {
            Ok(Self::Tenant(id))
        } else {
            Err(Uuid::parse_str("").expect_err("nothing is no UUID"))
        }
    }
}

impl Serialize for ChainId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = ChainId;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("platform or a tenantID")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ChainId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Something that happened, not yet in a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Names it once and for all: what is recorded twice for safety's sake counts once.
    pub id: Uuid,
    /// When it was noted, by the clock of the process that did.
    pub at: Timestamp,
    /// What happened: an object with a `type`.
    pub event: serde_json::Value,
}

/// Largest whole number that its canonical form holds exactly (RFC 8785: numbers are doubles).
const LARGEST: u64 = 1 << 53;

impl Draft {
    /// Whether what is recorded is what was given: a larger number would silently become another.
    pub(crate) fn is_exact(&self) -> bool {
        is_exact(&self.event)
    }

    pub(crate) fn is_state(&self) -> bool {
        self.event["type"] == STATE
    }

    /// About how many bytes it takes in a segment.
    pub(crate) fn bytes(&self) -> usize {
        /// Place, digest, instant and id, with their names.
        const AROUND: usize = 300;
        serde_json::to_vec(&self.event).map_or(usize::MAX, |text| text.len().saturating_add(AROUND))
    }
}

fn is_exact(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number <= LARGEST,
            (None, Some(number)) => number.unsigned_abs() <= LARGEST,
            (None, None) => true,
        },
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// One entry as it stands in a chain.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<'a> {
    /// When it was noted, by the clock of the process that did. The order is that of `seq`, whatever clocks say.
    pub at: Timestamp,
    /// Its chain.
    pub chain: ChainId,
    /// What happened: an object with a `type`.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// Names what happened.
    pub id: Uuid,
    /// Digest of the entry before.
    pub prev: Digest,
    /// Its place, from 1.
    pub seq: u64,
    /// Shape; [`VERSION`].
    pub v: u32,
}

/// The only field every event has.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

impl Entry<'_> {
    /// Type of the event; empty where it has none.
    pub fn kind(&self) -> String {
        serde_json::from_str::<Typed<'_>>(self.event.get())
            .map(|typed| typed.kind.into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn is_state(&self) -> bool {
        // Cheap first: a type is at most written once and early or late, but nowhere without these bytes.
        self.event.get().contains(r#""type":"state""#) && self.kind() == STATE
    }
}

/// What is signed: how far a chain reaches, and its newest digest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// When it was signed, by the signer's clock.
    pub at: Timestamp,
    /// Which chain.
    pub chain: ChainId,
    /// Place of the segment's first entry.
    pub first: u64,
    /// Digest of the entry at `last`.
    pub head: Digest,
    /// Place of the segment's last entry: the length of the chain.
    pub last: u64,
    /// Up to where the chain once reached, was lost, and was allowed to go on without what is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<u64>,
    /// First place of the segment that holds the newest `state`; absent before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<u64>,
    /// Shape; [`VERSION`].
    pub v: u32,
}

impl Envelope {
    /// One form only: what can be written in two ways can be changed without being found.
    pub(crate) fn must_be(&self, bytes: &[u8]) -> Result<(), Fault> {
        if canonical(self).is_ok_and(|canonical| canonical == bytes) {
            return Ok(());
        }
        let why = "the signed checkpoint is not in canonical form";
        Err(Fault::Unreadable(why.into()))
    }
}

impl Checkpoint {
    /// Reads an envelope whoever signed it; `keys` says whether to trust it.
    ///
    /// # Errors
    /// Where it is no checkpoint, or not signed by a key of the list that was in use at its time.
    pub fn open(envelope: &Envelope, keys: &KeyList) -> Result<Self, Fault> {
        let (payload, key) = envelope.open(CHECKPOINT, keys)?;
        let checkpoint: Self = serde_json::from_slice(&payload)
            .map_err(|error| Fault::Unreadable(error.to_string()))?;
        if !key.signs_at(checkpoint.at) {
            return Err(Fault::KeyOutOfDate(key.key_id, checkpoint.at));
        }
        Ok(checkpoint)
    }
}

/// How far a chain reaches: what the next segment builds on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tip {
    /// Place of the newest entry; 0 while there is none.
    pub last: u64,
    /// Its digest.
    pub head: Digest,
    /// First place of the segment that holds the newest `state`.
    pub state: Option<u64>,
    /// Up to where it once reached and was allowed to go on without what is gone.
    pub resumed: Option<u64>,
}

impl Tip {
    /// A chain without entries.
    pub const EMPTY: Self = Self {
        last: 0,
        head: Digest::NONE,
        state: None,
        resumed: None,
    };

    /// Where the next segment begins.
    pub fn next(&self) -> u64 {
        self.last.saturating_add(1)
    }
}

impl From<&Checkpoint> for Tip {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            last: checkpoint.last,
            head: checkpoint.head,
            state: checkpoint.state,
            resumed: checkpoint.resumed,
        }
    }
}
