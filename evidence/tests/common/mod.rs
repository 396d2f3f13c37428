//! What the tests of the record share: a store in memory, keys and chances that come out the same every time, a clock to turn.
#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use tenure_evidence::store::{Listed, StoreError};
use tenure_evidence::verify::{Report, Verification};
use tenure_evidence::{Claim, Draft, KeyList, PublicKey, Signer, Store};
use uuid::Uuid;

/// Objects by their keys.
pub type Objects = BTreeMap<String, Bytes>;

/// A store in memory.
#[derive(Default)]
pub struct Memory {
    objects: Mutex<Objects>,
    /// Keys that were written over since; their first version is what counts.
    pub overwritten: Vec<String>,
}

impl Memory {
    pub fn of(objects: Objects) -> Self {
        Self {
            objects: Mutex::new(objects),
            overwritten: Vec::new(),
        }
    }

    pub fn held(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        let objects = self.held();
        let keys = objects
            .range(prefix.clone()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(&prefix));
        keys.map(|key| key[prefix.len()..].to_owned()).collect()
    }
}

impl Store for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        async move {
            let mut objects = self.held();
            if objects.contains_key(key) {
                return Ok(Claim::Taken);
            }
            objects.insert(key.to_owned(), bytes);
            Ok(Claim::Made)
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        async move { Ok(self.held().get(key).cloned()) }.boxed()
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        let below = self.below(folder).into_iter();
        let names: Vec<_> = below
            .filter(|rest| !rest.contains('/'))
            .map(|name| {
                let is_overwritten = self.overwritten.contains(&format!("{folder}/{name}"));
                let versions = if is_overwritten { 2 } else { 1 };
                Ok(Listed { name, versions })
            })
            .collect();
        stream::iter(names).boxed()
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        let below = self.below(folder);
        let mut names: Vec<String> = below
            .iter()
            .filter_map(|rest| Some(rest.split_once('/')?.0.to_owned()))
            .collect();
        names.dedup();
        stream::iter(names.into_iter().map(Ok)).boxed()
    }
}

/// Chances that come out the same for the same seed (SplitMix64).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// A number from `start` to `last`.
    pub fn between(&mut self, start: usize, last: usize) -> usize {
        start + self.below(last + 1 - start)
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// A key made of nothing but `seed`.
pub fn signer(seed: u8) -> Signer {
    // RFC 8410: PKCS#8 of an Ed25519 key is these bytes and the 32 of the key.
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend([seed; 32]);
    let text = BASE64.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Signer::from_pem(pem.as_bytes()).unwrap()
}

/// A list of one key that was always in use.
pub fn keys(signer: &Signer) -> KeyList {
    KeyList::of(PublicKey {
        not_after: None,
        ..signer.public(Timestamp::UNIX_EPOCH)
    })
}

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(START) };
}

/// When every test's clock begins, in seconds.
pub const START: i64 = 1_800_000_000;

/// The clock of this test.
pub fn now() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

/// Sets the clock of this test.
pub fn set_clock(second: i64) {
    NOW.set(second);
}

/// Turns the clock of this test.
pub fn turn_clock(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

/// Something that happened.
pub fn draft(id: Uuid, event: Value) -> Draft {
    Draft {
        id,
        at: now(),
        event,
    }
}

/// The `number`th thing that happened; its id says which.
pub fn noted(number: u128) -> Draft {
    let event = json!({"type": "noted", "number": u64::try_from(number).unwrap()});
    draft(Uuid::from_u128(number), event)
}

pub fn state(text: &str) -> Draft {
    draft(Uuid::new_v4(), json!({"type": "state", "state": text}))
}

/// Every id that stands in a record, with how often.
pub fn ids(objects: &Objects) -> BTreeMap<Uuid, u32> {
    let mut ids = BTreeMap::new();
    for (_, bytes) in objects.range("v1/chains/".to_owned().."v1/chains0".to_owned()) {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(id) = line["id"].as_str() {
                *ids.entry(id.parse().unwrap()).or_default() += 1;
            }
        }
    }
    ids
}

/// A store that others hold too.
pub fn shared(objects: Objects) -> Arc<Memory> {
    Arc::new(Memory::of(objects))
}

/// Whether a record in memory is sound, with its second place where there is one.
pub async fn verified(record: &Memory, second: Option<&Memory>, keys: &KeyList) -> Report {
    let verification = Verification {
        store: record,
        second: second.map(|second| second as &dyn Store),
        keys,
        kept: &[],
        only: None,
        most_findings: 50,
    };
    verification.run(&mut |_| {}).await.unwrap()
}
