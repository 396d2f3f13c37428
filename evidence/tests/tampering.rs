//! Generated tamperings: each is found, and the record it was made from is sound.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::{Chance, Memory, Objects, START};
use futures::executor::block_on;
use jiff::Timestamp;
use serde_json::{Value, json};
use tenure_evidence::chain::{CHECKPOINT, Tip};
use tenure_evidence::segment::Segment;
use tenure_evidence::verify::{Kind, Report, Verification};
use tenure_evidence::{
    ChainId, Checkpoint, Draft, Envelope, KeyList, Ledger, SecondPlace, Signer, canonical, layout,
};

/// How many tamperings there are in all.
const TAMPERINGS: usize = 10_000;
/// How many are made from one record.
const EACH: usize = 40;

/// A record as it was honestly written, and everything its enemies have.
struct World {
    record: Objects,
    second: Objects,
    /// The record and the second place as they stood at some time before.
    earlier: Objects,
    kept: Vec<Envelope>,
    keys: KeyList,
    retired: Signer,
    current: Signer,
    foreign: Signer,
    rotated: i64,
}

/// What a verifier is given besides the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outside {
    Nothing,
    SecondPlace,
    KeptCheckpoints,
}

const ANYTHING: [Outside; 3] = [
    Outside::Nothing,
    Outside::SecondPlace,
    Outside::KeptCheckpoints,
];
const SOMETHING: [Outside; 2] = [Outside::SecondPlace, Outside::KeptCheckpoints];

/// What a verification of something tampered with must say.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// A finding of one of these kinds.
    Found(&'static [Kind]),
    /// Any finding.
    Unsound,
    /// Nobody can know; the report says what it could not show.
    NotShown,
}

/// A record that is being tampered with.
struct Case {
    record: Objects,
    second: Objects,
    overwritten: Vec<String>,
    outside: Outside,
}

type Tampering = fn(&World, &mut Case, &mut Chance) -> Option<Expect>;

impl World {
    fn of(chance: &mut Chance) -> Self {
        let [retired, current, foreign] = [1, 2, 3].map(common::signer);
        let rotated = START + 5_000;
        let at = |second| Timestamp::from_second(second).unwrap();
        let keys = KeyList::of(retired.public(at(START - 10))).rotated(&current, at(rotated));
        let (record, second) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
        let mut chains = vec![ChainId::Platform];
        chains.extend((0..chance.between(1, 2)).map(|_| ChainId::Tenant(chance.uuid())));
        let mut earlier = Objects::new();
        for (signer, from) in [(1, START), (2, rotated)] {
            common::set_clock(from);
            let place = Arc::new(SecondPlace::new(second.clone()));
            let ledger = Ledger::new(
                record.clone(),
                Some(place.clone()),
                common::signer(signer),
                keys.clone(),
                common::now,
            );
            let turns = if signer == 1 { 3 } else { 1 };
            for chain in chains.iter().cycle().take(chains.len() * turns) {
                // Every chain begins under the first key and goes on under the second.
                if signer == 1 && !chance.one_in(3) && record.held().len() > chains.len() {
                    continue;
                }
                common::turn_clock(i64::try_from(chance.below(60)).unwrap() - 10);
                // A clock may step back, but not before the key: then nothing would be written.
                common::set_clock(common::now().as_second().max(from));
                let drafts = drafts(chance);
                block_on(ledger.append(*chain, drafts)).unwrap();
                if chance.one_in(2) {
                    block_on(place.flush()).unwrap();
                }
                if signer == 1 || chance.one_in(4) {
                    earlier = record.held().clone();
                }
            }
            for chain in &chains {
                block_on(ledger.append(*chain, drafts(chance))).unwrap();
            }
            block_on(place.flush()).unwrap();
        }
        let record = record.held().clone();
        let second = second.held().clone();
        let tips = chains.iter().map(|chain| {
            let newest = of_chain(&record, *chain).pop().unwrap();
            serde_json::from_slice(lines(&record[&newest]).last().unwrap()).unwrap()
        });
        Self {
            kept: tips.collect(),
            record,
            second,
            earlier,
            keys,
            retired,
            current,
            foreign,
            rotated,
        }
    }

    fn verify(&self, case: &Case) -> Report {
        let mut record = Memory::of(case.record.clone());
        record.overwritten = case.overwritten.clone();
        let mut second = Memory::of(case.second.clone());
        second.overwritten = case.overwritten.clone();
        let verification = Verification {
            store: &record,
            second: (case.outside == Outside::SecondPlace).then_some(&second),
            keys: &self.keys,
            kept: if case.outside == Outside::KeptCheckpoints {
                &self.kept
            } else {
                &[]
            },
            only: None,
            most_findings: 50,
        };
        block_on(verification.run(&mut |_| {})).unwrap()
    }

    fn case(&self, outside: Outside) -> Case {
        Case {
            record: self.record.clone(),
            second: self.second.clone(),
            overwritten: Vec::new(),
            outside,
        }
    }

    fn chains(&self) -> Vec<ChainId> {
        chains(&self.record)
    }
}

fn drafts(chance: &mut Chance) -> Vec<Draft> {
    let many = if chance.one_in(4) {
        chance.between(4, 9)
    } else {
        chance.between(1, 3)
    };
    let draft = |chance: &mut Chance| {
        let event = if chance.one_in(5) {
            json!({"type": "state", "state": {"holds": chance.below(9), "why": "é\u{1}\"/"}})
        } else {
            json!({"type": "spec.accepted", "tenant": format!("t{}", chance.below(90)), "generation": chance.below(9)})
        };
        common::draft(chance.uuid(), event)
    };
    (0..many).map(|_| draft(chance)).collect()
}

fn chains(objects: &Objects) -> Vec<ChainId> {
    let mut chains: Vec<ChainId> = objects.keys().map(|key| chain(key)).collect();
    chains.dedup();
    chains
}

fn chain(key: &str) -> ChainId {
    key.split('/').nth(2).unwrap().parse().unwrap()
}

fn of_chain(objects: &Objects, id: ChainId) -> Vec<String> {
    let keys = objects.keys().filter(|key| chain(key) == id);
    keys.cloned().collect()
}

fn place(key: &str) -> u64 {
    let name = key.rsplit('/').next().unwrap();
    name.split('.').next().unwrap().parse().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let body = bytes.strip_suffix(b"\n").unwrap();
    body.split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn joined(lines: &[Vec<u8>]) -> Bytes {
    lines
        .iter()
        .flat_map(|line| [line, &b"\n"[..]].concat())
        .collect()
}

/// Places of a chain's objects that stand in the record.
fn some_key(objects: &Objects, chance: &mut Chance) -> String {
    objects
        .keys()
        .nth(chance.below(objects.len()))
        .unwrap()
        .clone()
}

/// A segment with at least so many entries.
fn some_segment(
    case: &Case,
    entries: usize,
    chance: &mut Chance,
) -> Option<(String, Vec<Vec<u8>>)> {
    let key = some_key(&case.record, chance);
    let lines = lines(&case.record[&key]);
    (lines.len() > entries).then_some((key, lines))
}

/// What stands in a segment, so that it can be made again.
fn opened(bytes: &[u8]) -> (Vec<Draft>, Checkpoint) {
    let mut lines = lines(bytes);
    let envelope: Envelope = serde_json::from_slice(&lines.pop().unwrap()).unwrap();
    let checkpoint = serde_json::from_slice(&envelope.payload(CHECKPOINT).unwrap()).unwrap();
    let drafts = lines.iter().map(|line| {
        let entry: Value = serde_json::from_slice(line).unwrap();
        Draft {
            id: serde_json::from_value(entry["id"].clone()).unwrap(),
            at: serde_json::from_value(entry["at"].clone()).unwrap(),
            event: entry["event"].clone(),
        }
    });
    (drafts.collect(), checkpoint)
}

/// Who recomputes the digests of everything after a change.
enum By<'w> {
    /// Somebody with a key, dating checkpoints so.
    Key(&'w Signer, fn(&World, Timestamp) -> Timestamp),
    /// Somebody without one: each old signature stays, over what it was for.
    Nobody,
    /// Somebody without one who puts the new checkpoint under the old signature.
    OldSignature,
}

/// Changes one entry of a chain, from some segment on recomputes everything, and says whether a key was retired by then.
fn rewrite(world: &World, case: &mut Case, chance: &mut Chance, by: &By<'_>) {
    let id = *chance.of(&world.chains());
    let keys = of_chain(&case.record, id);
    let start = chance.below(keys.len());
    let mut tip = match start {
        0 => Tip::EMPTY,
        start => Tip::from(&opened(&case.record[&keys[start - 1]]).1),
    };
    for (key, is_first) in keys[start..]
        .iter()
        .zip([true].into_iter().chain([false].into_iter().cycle()))
    {
        let old = case.record[key].clone();
        let (mut drafts, checkpoint) = opened(&old);
        if is_first {
            let victim = chance.below(drafts.len());
            drafts[victim].event["actor"] = json!("nobody");
        }
        let (signer, at) = match by {
            By::Key(signer, date) => (*signer, date(world, checkpoint.at)),
            By::Nobody | By::OldSignature => (&world.foreign, checkpoint.at),
        };
        let made = Segment::make(id, &tip, &drafts, at, signer).unwrap();
        let mut made_lines = lines(&made.bytes);
        let last = made_lines.len() - 1;
        let before: Envelope = serde_json::from_slice(lines(&old).last().unwrap()).unwrap();
        match by {
            By::Key(..) => {}
            By::Nobody => made_lines[last] = canonical(&before).unwrap(),
            By::OldSignature => {
                let envelope = Envelope {
                    payload: made.checkpoint.payload.clone(),
                    ..before
                };
                made_lines[last] = canonical(&envelope).unwrap();
            }
        }
        case.record.insert(key.clone(), joined(&made_lines));
        tip = made.tip;
    }
}

/// A segment at the end of some chain, by somebody.
fn appended(case: &mut Case, chance: &mut Chance, signer: &Signer, at: i64) {
    let key = some_key(&case.record, chance);
    let id = chain(&key);
    let newest = of_chain(&case.record, id).pop().unwrap();
    let tip = Tip::from(&opened(&case.record[&newest]).1);
    let at = Timestamp::from_second(at).unwrap();
    let made = Segment::make(id, &tip, &drafts(chance), at, signer).unwrap();
    case.record
        .insert(layout::segment(id, tip.next()), made.bytes.into());
}

/// Another text for the same JSON.
fn encoded_otherwise(line: &[u8], chance: &mut Chance) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    let fields = value.as_object().unwrap();
    let field = |name: &String| format!("{}:{}", json!(name), fields[name]);
    let otherwise = match chance.below(7) {
        0 => text.replacen(':', ": ", 1),
        1 => format!("{text} "),
        2 => format!("\t{text}"),
        3 => {
            let reversed: Vec<String> = fields.keys().rev().map(field).collect();
            format!("{{{}}}", reversed.join(","))
        }
        4 => text.replacen('a', "\\u0061", 1),
        5 => {
            let first = field(fields.keys().next().unwrap());
            format!("{{{first},{}", &text[1..])
        }
        _ => text.replacen(['{', '['], "{ ", 1),
    };
    otherwise.into_bytes()
}

/// Another text for the same bytes, or nearly.
fn base64_otherwise(text: &str, chance: &mut Chance) -> String {
    match chance.below(4) {
        0 => text.trim_end_matches('=').to_owned(),
        1 => format!("{text}="),
        2 => text.replace('+', "-").replace('/', "_"),
        // Bits that no byte holds.
        _ => match text.find('=') {
            Some(end) => {
                let last = text.as_bytes()[end - 1];
                let next = if last == b'z' {
                    'A'
                } else {
                    char::from(last + 1)
                };
                format!("{}{next}{}", &text[..end - 1], &text[end..])
            }
            None => format!("{text}\n"),
        },
    }
}

/// Changes the last line of a segment.
fn resealed(
    case: &mut Case,
    chance: &mut Chance,
    change: impl Fn(Value, &mut Chance) -> Vec<u8>,
) -> Option<()> {
    let (key, mut lines) = some_segment(case, 1, chance)?;
    let last = lines.len() - 1;
    let changed = change(serde_json::from_slice(&lines[last]).unwrap(), chance);
    if changed == lines[last] {
        return None;
    }
    lines[last] = changed;
    case.record.insert(key, joined(&lines));
    Some(())
}

fn flipped(objects: &mut Objects, chance: &mut Chance) {
    let key = some_key(objects, chance);
    let mut bytes = objects[&key].to_vec();
    let at = chance.below(bytes.len());
    bytes[at] ^= u8::try_from(chance.between(1, 255)).unwrap();
    objects.insert(key, bytes.into());
}

/// The newest object of some chain.
fn newest(objects: &Objects, chance: &mut Chance) -> String {
    let id = chain(&some_key(objects, chance));
    of_chain(objects, id).pop().unwrap()
}

fn must(condition: bool) -> Option<()> {
    condition.then_some(())
}

use Expect::{Found, NotShown, Unsound};

/// Every way to tamper, what a verifier is given, and what it must say.
const WAYS: &[(&str, &[Outside], Tampering)] = &[
    ("a byte is another", &ANYTHING, |_, case, chance| {
        flipped(&mut case.record, chance);
        Some(Unsound)
    }),
    (
        "a byte of the second place is another",
        &[Outside::SecondPlace],
        |_, case, chance| {
            flipped(&mut case.second, chance);
            Some(Unsound)
        },
    ),
    (
        "an object from the middle is gone",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            must(of_chain(&case.record, chain(&key)).last() != Some(&key))?;
            case.record.remove(&key);
            Some(Found(&[Kind::Removed]))
        },
    ),
    (
        "the newest objects are gone",
        &SOMETHING,
        |_, case, chance| {
            let id = chain(&some_key(&case.record, chance));
            let keys = of_chain(&case.record, id);
            for key in keys.iter().rev().take(chance.between(1, keys.len())) {
                case.record.remove(key);
            }
            Some(Found(&[Kind::Truncated]))
        },
    ),
    (
        "the newest objects are gone and nobody outside knows",
        &[Outside::Nothing],
        |_, case, chance| {
            let key = newest(&case.record, chance);
            case.record.remove(&key);
            Some(NotShown)
        },
    ),
    ("a chain is gone", &SOMETHING, |_, case, chance| {
        let id = chain(&some_key(&case.record, chance));
        case.record.retain(|key, _| chain(key) != id);
        Some(Found(&[Kind::Truncated]))
    }),
    ("everything is gone", &SOMETHING, |_, case, _| {
        case.record.clear();
        Some(Found(&[Kind::Truncated]))
    }),
    (
        "everything is gone, also outside",
        &[Outside::Nothing, Outside::SecondPlace],
        |_, case, _| {
            case.record.clear();
            case.second.clear();
            Some(NotShown)
        },
    ),
    (
        "everything is put back as it was",
        &SOMETHING,
        |world, case, _| {
            must(chains(&world.earlier).len() == world.chains().len())?;
            must(world.earlier != world.record)?;
            case.record = world.earlier.clone();
            Some(Found(&[Kind::Truncated]))
        },
    ),
    (
        "put back as it was and gone on from there with the key",
        &[Outside::SecondPlace],
        |world, case, chance| {
            must(world.earlier != world.record && !world.earlier.is_empty())?;
            case.record = world.earlier.clone();
            for _ in 0..30 {
                appended(case, chance, &world.current, world.rotated + 300);
            }
            Some(Found(&[Kind::Forked]))
        },
    ),
    ("an object is cut", &ANYTHING, |_, case, chance| {
        let key = some_key(&case.record, chance);
        let bytes = case.record[&key].clone();
        case.record
            .insert(key, bytes.slice(..chance.below(bytes.len())));
        Some(Found(&[Kind::Removed, Kind::Unreadable]))
    }),
    (
        "an object is cut between two lines",
        &ANYTHING,
        |_, case, chance| {
            let (key, lines) = some_segment(case, 1, chance)?;
            let left = chance.between(1, lines.len() - 1);
            case.record.insert(key, joined(&lines[..left]));
            Some(Found(&[Kind::Removed]))
        },
    ),
    (
        "bytes are added to an object",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let others: [&[u8]; 5] = [b"\n", b" ", b"{}\n", b" \n", b"\0"];
            let more = chance.of(&others);
            let bytes = [&case.record[&key][..], more].concat();
            case.record.insert(key, bytes.into());
            Some(Unsound)
        },
    ),
    (
        "bytes are added to a checkpoint outside",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let key = some_key(&case.second, chance);
            let others: [&[u8]; 4] = [b"\n", b" ", b"{}", b"\0"];
            let more = chance.of(&others);
            let bytes = [&case.second[&key][..], more].concat();
            case.second.insert(key, bytes.into());
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a line end of another system",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines) = some_segment(case, 1, chance)?;
            chance_line(&mut lines, chance).push(b'\r');
            case.record.insert(key, joined(&lines));
            Some(Unsound)
        },
    ),
    ("an entry is removed", &ANYTHING, |_, case, chance| {
        let (key, mut lines) = some_segment(case, 1, chance)?;
        lines.remove(chance.below(lines.len() - 1));
        case.record.insert(key, joined(&lines));
        Some(Found(&[Kind::Removed]))
    }),
    (
        "an entry stands twice in a row",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines) = some_segment(case, 1, chance)?;
            let at = chance.below(lines.len() - 1);
            lines.insert(at, lines[at].clone());
            case.record.insert(key, joined(&lines));
            Some(Found(&[Kind::Duplicated]))
        },
    ),
    ("an entry stands twice", &ANYTHING, |_, case, chance| {
        let (key, mut lines) = some_segment(case, 2, chance)?;
        let copy = lines[chance.below(lines.len() - 1)].clone();
        lines.insert(chance.below(lines.len()), copy);
        case.record.insert(key, joined(&lines));
        Some(Found(&[Kind::Duplicated, Kind::Reordered]))
    }),
    (
        "a checkpoint stands twice in its object",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines) = some_segment(case, 1, chance)?;
            lines.push(lines.last().unwrap().clone());
            case.record.insert(key, joined(&lines));
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    ("two entries change places", &ANYTHING, |_, case, chance| {
        let (key, mut lines) = some_segment(case, 2, chance)?;
        let (one, two) = (chance.below(lines.len() - 1), chance.below(lines.len() - 1));
        must(one != two)?;
        lines.swap(one, two);
        case.record.insert(key, joined(&lines));
        Some(Found(&[Kind::Reordered]))
    }),
    (
        "entries of two objects change places",
        &ANYTHING,
        |_, case, chance| {
            let (one, mut lines_one) = some_segment(case, 1, chance)?;
            let (two, mut lines_two) = some_segment(case, 1, chance)?;
            must(one != two)?;
            let at = (
                chance.below(lines_one.len() - 1),
                chance.below(lines_two.len() - 1),
            );
            std::mem::swap(&mut lines_one[at.0], &mut lines_two[at.1]);
            case.record.insert(one, joined(&lines_one));
            case.record.insert(two, joined(&lines_two));
            Some(Found(&[Kind::Reordered, Kind::Duplicated]))
        },
    ),
    (
        "an entry moves to the object after",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines_here) = some_segment(case, 2, chance)?;
            let keys = of_chain(&case.record, chain(&key));
            let next = keys.iter().skip_while(|other| **other != key).nth(1)?;
            let mut lines_next = lines(&case.record[next]);
            lines_next.insert(0, lines_here.remove(lines_here.len() - 2));
            case.record.insert(key, joined(&lines_here));
            case.record.insert(next.clone(), joined(&lines_next));
            Some(Found(&[Kind::Removed, Kind::Reordered, Kind::Duplicated]))
        },
    ),
    ("two objects become one", &ANYTHING, |_, case, chance| {
        let key = some_key(&case.record, chance);
        let keys = of_chain(&case.record, chain(&key));
        let next = keys.iter().skip_while(|other| **other != key).nth(1)?;
        let both = [&case.record[&key][..], &case.record[next]].concat();
        case.record.remove(next);
        case.record.insert(key, both.into());
        Some(Unsound)
    }),
    ("an entry is made up", &ANYTHING, |_, case, chance| {
        let (key, mut lines) = some_segment(case, 1, chance)?;
        let at = chance.below(lines.len());
        let mut entry: Value = serde_json::from_slice(&lines[at.min(lines.len() - 2)]).unwrap();
        entry["id"] = json!(chance.uuid());
        entry["event"] = json!({"type": "approval.given"});
        lines.insert(at, canonical(&entry).unwrap());
        case.record.insert(key, joined(&lines));
        Some(Unsound)
    }),
    (
        "a field of an entry is another",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines) = some_segment(case, 1, chance)?;
            let line = chance_line(&mut lines, chance);
            let mut entry: Value = serde_json::from_slice(line).unwrap();
            let others = [
                ("at", json!("2020-01-01T00:00:00Z")),
                ("chain", json!(chance.uuid())),
                ("event", json!({"type": "state"})),
                ("id", json!(chance.uuid())),
                ("prev", json!(tenure_evidence::Digest::of(b"other"))),
                ("seq", json!(*chance.of(&[0, 1, 7, u64::MAX]))),
                ("v", json!(2)),
                ("more", json!(1)),
            ];
            let (field, other) = chance.of(&others);
            must(entry[field] != *other)?;
            entry[field] = other.clone();
            *line = canonical_exact(&entry);
            case.record.insert(key, joined(&lines));
            Some(Unsound)
        },
    ),
    (
        "an object has the name of another place",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let id = chain(&key);
            let to = layout::segment(
                id,
                place(&key) + u64::try_from(chance.between(1, 40)).unwrap(),
            );
            must(!case.record.contains_key(&to))?;
            let bytes = case.record.remove(&key).unwrap();
            case.record.insert(to, bytes);
            Some(Found(&[Kind::Removed, Kind::Reordered]))
        },
    ),
    (
        "an object has the last name there can be",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let bytes = case.record[&key].clone();
            case.record
                .insert(layout::segment(chain(&key), u64::MAX), bytes);
            Some(Found(&[Kind::Removed]))
        },
    ),
    (
        "an old object is played again at the end",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let id = chain(&key);
            let newest = of_chain(&case.record, id).pop().unwrap();
            let next = opened(&case.record[&newest]).1.last + 1;
            let bytes = case.record[&key].clone();
            case.record.insert(layout::segment(id, next), bytes);
            Some(Found(&[Kind::Reordered, Kind::Duplicated]))
        },
    ),
    (
        "an object stands again at a place that is taken",
        &ANYTHING,
        |_, case, chance| {
            let (key, lines) = some_segment(case, 2, chance)?;
            let inside = place(&key) + u64::try_from(chance.between(1, lines.len() - 2)).unwrap();
            let bytes = case.record[&some_key(&case.record, chance)].clone();
            case.record
                .insert(layout::segment(chain(&key), inside), bytes);
            Some(Found(&[Kind::Duplicated]))
        },
    ),
    (
        "an object stands in another folder of its chain",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let folder = layout::shard(layout::CHAINS, chain(&key), 10_000);
            let moved = format!("{folder}/{}", key.rsplit('/').next().unwrap());
            let bytes = case.record[&key].clone();
            case.record.insert(moved, bytes);
            Some(Found(&[Kind::Stray]))
        },
    ),
    ("two objects change places", &ANYTHING, |_, case, chance| {
        let (one, two) = (
            some_key(&case.record, chance),
            some_key(&case.record, chance),
        );
        must(one != two)?;
        let (bytes_one, bytes_two) = (case.record[&one].clone(), case.record[&two].clone());
        case.record.insert(one, bytes_two);
        case.record.insert(two, bytes_one);
        Some(Found(&[Kind::Reordered]))
    }),
    (
        "a chain is copied over another",
        &ANYTHING,
        |_, case, chance| {
            let ids = chains(&case.record);
            let (from, to) = (*chance.of(&ids), *chance.of(&ids));
            must(from != to)?;
            case.record.retain(|key, _| chain(key) != to);
            copy_chain(case, from, to);
            Some(Found(&[Kind::Reordered]))
        },
    ),
    (
        "a chain is copied under a new name",
        &ANYTHING,
        |_, case, chance| {
            let from = *chance.of(&chains(&case.record));
            copy_chain(case, from, ChainId::Tenant(chance.uuid()));
            Some(Found(&[Kind::Reordered]))
        },
    ),
    ("two chains change names", &ANYTHING, |_, case, chance| {
        let ids = chains(&case.record);
        let before = case.record.clone();
        case.record = before
            .into_iter()
            .map(|(key, bytes)| {
                let to = if chain(&key) == ids[0] {
                    ids[1]
                } else if chain(&key) == ids[1] {
                    ids[0]
                } else {
                    chain(&key)
                };
                (layout::segment(to, place(&key)), bytes)
            })
            .collect();
        let _ = chance;
        Some(Found(&[Kind::Reordered]))
    }),
    (
        "rewritten without a key",
        &ANYTHING,
        |world, case, chance| {
            rewrite(world, case, chance, &By::Nobody);
            Some(Found(&[Kind::Changed]))
        },
    ),
    (
        "rewritten under the old signature",
        &ANYTHING,
        |world, case, chance| {
            rewrite(world, case, chance, &By::OldSignature);
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "rewritten with a foreign key",
        &ANYTHING,
        |world, case, chance| {
            rewrite(world, case, chance, &By::Key(&world.foreign, |_, at| at));
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "rewritten with a retired key",
        &ANYTHING,
        |world, case, chance| {
            rewrite(world, case, chance, &By::Key(&world.retired, |_, at| at));
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "rewritten with a retired key, dated back",
        &SOMETHING,
        |world, case, chance| {
            let by = By::Key(&world.retired, |world, _| {
                Timestamp::from_second(world.rotated - 1).unwrap()
            });
            rewrite(world, case, chance, &by);
            Some(Found(&[Kind::Forged, Kind::Forked]))
        },
    ),
    (
        "rewritten with the key in use",
        &SOMETHING,
        |world, case, chance| {
            let by = By::Key(&world.current, |world, at| {
                at.max(Timestamp::from_second(world.rotated).unwrap())
            });
            rewrite(world, case, chance, &by);
            Some(Found(&[Kind::Forked]))
        },
    ),
    (
        "rewritten with the key in use, and nobody outside knows",
        &[Outside::Nothing],
        |world, case, chance| {
            let by = By::Key(&world.current, |world, at| {
                at.max(Timestamp::from_second(world.rotated).unwrap())
            });
            rewrite(world, case, chance, &by);
            Some(NotShown)
        },
    ),
    (
        "gone on with a foreign key",
        &ANYTHING,
        |world, case, chance| {
            appended(case, chance, &world.foreign, world.rotated + 400);
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "gone on with a retired key",
        &ANYTHING,
        |world, case, chance| {
            appended(case, chance, &world.retired, world.rotated);
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "gone on with a retired key, dated back",
        &ANYTHING,
        |world, case, chance| {
            appended(case, chance, &world.retired, world.rotated - 1);
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "gone on with a key before its time",
        &ANYTHING,
        |world, case, chance| {
            appended(case, chance, &world.current, world.rotated - 1);
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "an entry is written otherwise",
        &ANYTHING,
        |_, case, chance| {
            let (key, mut lines) = some_segment(case, 1, chance)?;
            let line = chance_line(&mut lines, chance);
            let otherwise = encoded_otherwise(line, chance);
            must(*line != otherwise)?;
            *line = otherwise;
            case.record.insert(key, joined(&lines));
            Some(Unsound)
        },
    ),
    (
        "a checkpoint is written otherwise",
        &ANYTHING,
        |_, case, chance| {
            resealed(case, chance, |envelope, chance| {
                encoded_otherwise(&canonical(&envelope).unwrap(), chance)
            })?;
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a checkpoint outside is written otherwise",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let key = some_key(&case.second, chance);
            let otherwise = encoded_otherwise(&case.second[&key], chance);
            must(case.second[&key] != otherwise)?;
            case.second.insert(key, otherwise.into());
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a signature's base64 is another",
        &ANYTHING,
        |_, case, chance| {
            resealed(case, chance, |mut envelope, chance| {
                let sig = &mut envelope["signatures"][0]["sig"];
                *sig = json!(base64_otherwise(sig.as_str().unwrap(), chance));
                canonical(&envelope).unwrap()
            })?;
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a payload's base64 is another",
        &ANYTHING,
        |_, case, chance| {
            resealed(case, chance, |mut envelope, chance| {
                let payload = &mut envelope["payload"];
                *payload = json!(base64_otherwise(payload.as_str().unwrap(), chance));
                canonical(&envelope).unwrap()
            })?;
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a checkpoint is for something else",
        &ANYTHING,
        |_, case, chance| {
            resealed(case, chance, |mut envelope, _| {
                envelope["payloadType"] = json!("application/json");
                canonical(&envelope).unwrap()
            })?;
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a checkpoint is signed twice",
        &ANYTHING,
        |_, case, chance| {
            resealed(case, chance, |mut envelope, _| {
                let signature = envelope["signatures"][0].clone();
                envelope["signatures"] = json!([signature, signature]);
                canonical(&envelope).unwrap()
            })?;
            Some(Found(&[Kind::Unreadable]))
        },
    ),
    (
        "a checkpoint names another key",
        &ANYTHING,
        |world, case, chance| {
            let other = chance
                .of(&[&world.retired, &world.current, &world.foreign])
                .id();
            resealed(case, chance, |mut envelope, _| {
                envelope["signatures"][0]["keyid"] = json!(other);
                canonical(&envelope).unwrap()
            })?;
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "a checkpoint of the key in use says something else",
        &ANYTHING,
        |world, case, chance| {
            let key = newest(&case.record, chance);
            let mut lines = lines(&case.record[&key]);
            let checkpoint = opened(&case.record[&key]).1;
            let mut value = serde_json::to_value(&checkpoint).unwrap();
            let others = [
                ("chain", json!(chance.uuid())),
                ("first", json!(checkpoint.first + 1)),
                ("head", json!(tenure_evidence::Digest::of(b"other"))),
                ("last", json!(checkpoint.last - 1)),
                ("state", json!(checkpoint.state.unwrap_or(0) + 1)),
                ("v", json!(2)),
            ];
            let (field, other) = chance.of(&others);
            value[field] = other.clone();
            let envelope = Envelope::sign(CHECKPOINT, &canonical(&value).unwrap(), &world.current);
            *lines.last_mut().unwrap() = canonical(&envelope).unwrap();
            case.record.insert(key, joined(&lines));
            Some(Found(&[Kind::Changed]))
        },
    ),
    (
        "the key in use signs an entry that no ledger makes",
        &[Outside::Nothing],
        |world, case, chance| {
            let key = newest(&case.record, chance);
            let mut lines = lines(&case.record[&key]);
            let mut checkpoint = opened(&case.record[&key]).1;
            let last = lines.len() - 2;
            let mut entry: Value = serde_json::from_slice(&lines[last]).unwrap();
            let others = [
                ("chain", json!(chance.uuid())),
                ("prev", json!(tenure_evidence::Digest::of(b"other"))),
                ("seq", json!(checkpoint.last + 1)),
                ("v", json!(2)),
                ("more", json!(1)),
            ];
            let (field, other) = chance.of(&others);
            entry[field] = other.clone();
            lines[last] = canonical(&entry).unwrap();
            checkpoint.last = entry["seq"].as_u64().unwrap();
            checkpoint.head = tenure_evidence::Digest::of(&lines[last]);
            let envelope =
                Envelope::sign(CHECKPOINT, &canonical(&checkpoint).unwrap(), &world.current);
            *lines.last_mut().unwrap() = canonical(&envelope).unwrap();
            case.record.insert(key, joined(&lines));
            Some(Unsound)
        },
    ),
    (
        "a checkpoint of the key in use signs for more entries",
        &ANYTHING,
        |world, case, chance| {
            let key = newest(&case.record, chance);
            let mut lines = lines(&case.record[&key]);
            let mut checkpoint = opened(&case.record[&key]).1;
            checkpoint.last = *chance.of(&[checkpoint.last + 1, u64::MAX - 1, u64::MAX]);
            let envelope =
                Envelope::sign(CHECKPOINT, &canonical_exact(&checkpoint), &world.current);
            *lines.last_mut().unwrap() = canonical(&envelope).unwrap();
            case.record.insert(key, joined(&lines));
            Some(Found(&[Kind::Removed]))
        },
    ),
    (
        "a checkpoint outside is forged",
        &[Outside::SecondPlace],
        |world, case, chance| {
            let key = some_key(&case.second, chance);
            let old: Envelope = serde_json::from_slice(&case.second[&key]).unwrap();
            let payload = old.payload(CHECKPOINT).unwrap();
            let forged = Envelope::sign(CHECKPOINT, &payload, &world.foreign);
            case.second.insert(key, canonical(&forged).unwrap().into());
            Some(Found(&[Kind::Forged]))
        },
    ),
    (
        "a checkpoint outside is for another record",
        &[Outside::SecondPlace],
        |world, case, chance| {
            let key = some_key(&case.second, chance);
            let old: Envelope = serde_json::from_slice(&case.second[&key]).unwrap();
            let mut checkpoint: Checkpoint =
                serde_json::from_slice(&old.payload(CHECKPOINT).unwrap()).unwrap();
            checkpoint.head = tenure_evidence::Digest::of(b"other");
            checkpoint.at = Timestamp::from_second(world.rotated).unwrap();
            let other =
                Envelope::sign(CHECKPOINT, &canonical(&checkpoint).unwrap(), &world.current);
            case.second.insert(key, canonical(&other).unwrap().into());
            Some(Found(&[Kind::Forked]))
        },
    ),
    (
        "a checkpoint outside is another one's",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let (one, two) = (
                some_key(&case.second, chance),
                some_key(&case.second, chance),
            );
            must(one != two)?;
            let bytes = case.second[&one].clone();
            case.second.insert(two, bytes);
            Some(Found(&[Kind::Changed, Kind::Reordered]))
        },
    ),
    (
        "a checkpoint outside is another chain's",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let key = some_key(&case.second, chance);
            let other = *chance.of(&chains(&case.second));
            must(other != chain(&key))?;
            let bytes = case.second[&key].clone();
            case.second
                .insert(layout::checkpoint(other, place(&key)), bytes);
            Some(Found(&[Kind::Reordered]))
        },
    ),
    (
        "the newest checkpoint outside is gone",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let key = newest(&case.second, chance);
            case.second.remove(&key);
            Some(NotShown)
        },
    ),
    (
        "every checkpoint outside is gone",
        &[Outside::SecondPlace],
        |_, case, _| {
            case.second.clear();
            Some(NotShown)
        },
    ),
    (
        "an object that belongs nowhere",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let stray = stray(&key, "v1/chains", chance);
            case.record.insert(stray, Bytes::from_static(b"x"));
            Some(Found(&[Kind::Stray]))
        },
    ),
    (
        "an object outside that belongs nowhere",
        &[Outside::SecondPlace],
        |_, case, chance| {
            let key = some_key(&case.second, chance);
            let stray = stray(&key, "v1/checkpoints", chance);
            case.second.insert(stray, Bytes::from_static(b"x"));
            Some(Found(&[Kind::Stray]))
        },
    ),
    (
        "an object before the first place",
        &ANYTHING,
        |_, case, chance| {
            let key = some_key(&case.record, chance);
            let bytes = case.record[&key].clone();
            case.record.insert(layout::segment(chain(&key), 0), bytes);
            Some(Found(&[Kind::Stray]))
        },
    ),
    (
        "a checkpoint outside was written over",
        &[Outside::SecondPlace],
        |_, case, chance| {
            case.overwritten.push(some_key(&case.second, chance));
            Some(Found(&[Kind::Overwritten]))
        },
    ),
    (
        "an object was written over and its first version stands",
        &ANYTHING,
        |_, case, chance| {
            case.overwritten.push(some_key(&case.record, chance));
            Some(Found(&[Kind::Overwritten]))
        },
    ),
];

/// An entry's line.
fn chance_line<'l>(lines: &'l mut [Vec<u8>], chance: &mut Chance) -> &'l mut Vec<u8> {
    let at = chance.below(lines.len() - 1);
    &mut lines[at]
}

/// Canonical but for numbers beyond what a double holds, which stay as they are.
fn canonical_exact(value: &impl serde::Serialize) -> Vec<u8> {
    // Maps of serde_json are in the order of their names.
    serde_json::to_vec(&serde_json::to_value(value).unwrap()).unwrap()
}

fn copy_chain(case: &mut Case, from: ChainId, to: ChainId) {
    for key in of_chain(&case.record, from) {
        let bytes = case.record[&key].clone();
        case.record.insert(layout::segment(to, place(&key)), bytes);
    }
}

fn stray(key: &str, root: &str, chance: &mut Chance) -> String {
    let parts: Vec<&str> = key.split('/').collect();
    let (chain, shard, name) = (parts[2], parts[3], parts[4]);
    let strays = [
        format!("{root}/{name}"),
        format!("{root}/notes/{name}"),
        format!("{root}/notes/{shard}/{name}"),
        format!("{root}/{}/{shard}/{name}", chain.to_uppercase()),
        format!("{root}/{chain}/{name}"),
        format!("{root}/{chain}/notes/{name}"),
        format!("{root}/{chain}/notes/more/{name}"),
        format!("{root}/{chain}/00000000000000zz/{name}"),
        format!("{root}/{chain}/0000000000000001/{name}"),
        format!("{root}/{chain}/{shard}/more/{name}"),
        format!("{root}/{chain}/{shard}/notes"),
        format!("{root}/{chain}/{shard}/{name}.old"),
        format!("{root}/{chain}/{shard}/0{name}"),
        format!("{root}/{chain}/{shard}/+{}", &name[1..]),
    ];
    let stray = chance.of(&strays).clone();
    // The platform's chain has a name of one case.
    if stray == key || stray.contains("PLATFORM") {
        return strays[0].clone();
    }
    stray
}

/// Which tamperings were made how often, and the first of each kind that was not told as it should be.
#[derive(Default)]
struct Outcome {
    made: BTreeMap<&'static str, usize>,
    wrong: BTreeMap<&'static str, String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        for (name, count) in other.made {
            *self.made.entry(name).or_default() += count;
        }
        for (name, wrong) in other.wrong {
            self.wrong.entry(name).or_insert(wrong);
        }
    }
}

/// Makes a record and tampers with it in many ways, each on its own.
fn round(seed: usize) -> Outcome {
    let mut chance = Chance::new(u64::try_from(seed).unwrap());
    let world = World::of(&mut chance);
    for outside in ANYTHING {
        let report = world.verify(&world.case(outside));
        assert!(
            report.sound,
            "seed {seed}, untouched, {outside:?}: {report:#?}"
        );
        let is_open = outside == Outside::Nothing;
        assert_eq!(
            report.not_shown.is_empty(),
            !is_open,
            "seed {seed}: {report:#?}"
        );
    }
    let mut outcome = Outcome::default();
    // Some ways are not open in every record; the turn then goes to the next.
    let mut turn = seed * EACH;
    while outcome.made.values().sum::<usize>() < EACH {
        let (name, outsides, tamper) = WAYS[turn % WAYS.len()];
        turn += 1;
        let mut case = world.case(*chance.of(outsides));
        let Some(expect) = tamper(&world, &mut case, &mut chance) else {
            continue;
        };
        *outcome.made.entry(name).or_default() += 1;
        let report = world.verify(&case);
        if !is_told(expect, &report) {
            let outside = case.outside;
            let wrong = format!("seed {seed} ({outside:?}): expected {expect:?}: {report:#?}");
            outcome.wrong.entry(name).or_insert(wrong);
        }
    }
    outcome
}

fn is_told(expect: Expect, report: &Report) -> bool {
    match expect {
        Unsound => !report.sound,
        Found(kinds) => {
            let mut found = report.findings.iter();
            !report.sound && found.any(|finding| kinds.contains(&finding.kind))
        }
        NotShown => report.sound && !report.not_shown.is_empty(),
    }
}

#[test]
fn ten_thousand_tamperings_are_found() {
    let rounds = TAMPERINGS / EACH;
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || (half..rounds).step_by(2).map(round).collect::<Vec<_>>())
        });
        for half in halves {
            half.join()
                .unwrap()
                .into_iter()
                .for_each(|other| outcome.add(other));
        }
    });
    let wrong = outcome.wrong;
    for (name, why) in &wrong {
        println!("{name}: {why}");
    }
    assert!(wrong.is_empty(), "{:#?}", wrong.keys());
    assert_eq!(outcome.made.values().sum::<usize>(), TAMPERINGS);
    for (name, ..) in WAYS {
        let count = outcome.made.get(name).copied().unwrap_or_default();
        assert!(count >= 50, "{name} was made only {count} times");
    }
}
