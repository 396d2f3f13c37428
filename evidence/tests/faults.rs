//! Stores that fail in every way they can: a clear state, and nothing that was acknowledged is lost.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Chance, Memory, ids, noted, state, verified};
use futures::future::{BoxFuture, join_all};
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use tenure_evidence::store::{Failure, Listed, StoreError};
use tenure_evidence::verify::{Kind, Verification};
use tenure_evidence::{
    Base, ChainId, Claim, KeyList, Ledger, LedgerError, SecondPlace, Store, layout,
};
use uuid::Uuid;

const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));

/// What a store does with one request.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// What it should.
    Well,
    /// Nothing, and says so.
    Fails(Failure),
    /// What it should, and says it failed.
    LosesTheAnswer(Failure),
    /// Nothing, and says it did.
    Forgets,
    /// Half of it, and says it did.
    Cuts,
    /// What it should, after so long.
    Slowly(Duration),
    /// What it should, after letting others go first so often.
    Yields(usize),
}

type Plan = dyn Fn(u64) -> Does + Send + Sync;

/// A store with a plan: what it does with its nth request.
struct Faulty {
    inner: Arc<Memory>,
    asked: AtomicU64,
    plan: Box<Plan>,
}

impl Faulty {
    fn new(inner: &Arc<Memory>, plan: impl Fn(u64) -> Does + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.clone(),
            asked: AtomicU64::new(0),
            plan: Box::new(plan),
        })
    }

    async fn next(&self) -> Does {
        let does = (self.plan)(self.asked.fetch_add(1, Ordering::Relaxed));
        match does {
            Does::Slowly(time) => tokio::time::sleep(time).await,
            Does::Yields(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            _ => {}
        }
        does
    }

    fn error(&self, key: &str, failure: Failure) -> StoreError {
        StoreError {
            place: self.place(),
            key: key.into(),
            failure,
            why: "as planned".into(),
        }
    }
}

impl Store for Faulty {
    fn place(&self) -> String {
        "faulty".into()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        async move {
            match self.next().await {
                Does::Well | Does::Slowly(_) | Does::Yields(_) => {
                    self.inner.create(key, bytes).await
                }
                Does::Fails(failure) => Err(self.error(key, failure)),
                Does::LosesTheAnswer(failure) => {
                    self.inner.create(key, bytes).await?;
                    Err(self.error(key, failure))
                }
                Does::Forgets => Ok(Claim::Made),
                Does::Cuts => self.inner.create(key, bytes.slice(..bytes.len() / 2)).await,
            }
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        async move {
            match self.next().await {
                Does::Fails(failure) | Does::LosesTheAnswer(failure) => {
                    Err(self.error(key, failure))
                }
                _ => self.inner.get(key).await,
            }
        }
        .boxed()
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        let folder = folder.to_owned();
        let listed = async move {
            match self.next().await {
                Does::Fails(failure) | Does::LosesTheAnswer(failure) => {
                    let error = Err(self.error(&folder, failure));
                    futures::stream::iter([error]).boxed()
                }
                _ => self.inner.objects(&folder),
            }
        };
        listed.flatten_stream().boxed()
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        let folder = folder.to_owned();
        let listed = async move {
            match self.next().await {
                Does::Fails(failure) | Does::LosesTheAnswer(failure) => {
                    let error = Err(self.error(&folder, failure));
                    futures::stream::iter([error]).boxed()
                }
                _ => self.inner.folders(&folder),
            }
        };
        listed.flatten_stream().boxed()
    }
}

fn list() -> KeyList {
    common::keys(&common::signer(1))
}

fn ledger(store: Arc<dyn Store>) -> Ledger {
    ledger_with(store, None)
}

fn ledger_with(store: Arc<dyn Store>, second: Option<Arc<SecondPlace>>) -> Ledger {
    Ledger::new(store, second, common::signer(1), list(), common::now)
}

fn reason<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> &'static str {
    result.unwrap_err().reason()
}

/// Sound, and these stand in it.
async fn stands(record: &Memory, acknowledged: impl IntoIterator<Item = u128>) {
    let report = verified(record, None, &list()).await;
    assert!(report.sound, "{report:#?}");
    let there = ids(&record.held());
    for number in acknowledged {
        assert!(
            there.contains_key(&Uuid::from_u128(number)),
            "{number} is lost"
        );
    }
}

/// Records what happened until it is known to stand.
async fn insist(ledger: &Ledger, number: u128) {
    let started = Instant::now();
    while let Err(error) = ledger.append(TENANT, vec![noted(number)]).await {
        assert!(started.elapsed() < Duration::from_secs(60), "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whatever_a_store_answers_nothing_acknowledged_is_lost() {
    for seed in 0..300 {
        let record = Arc::new(Memory::default());
        let chance = Mutex::new(Chance::new(seed));
        let store = Faulty::new(&record, move |_| {
            let mut chance = chance.lock().unwrap();
            let failure = *chance.of(&[
                Failure::Unreachable,
                Failure::TimedOut,
                Failure::Full,
                Failure::ReadOnly,
                Failure::Refused,
            ]);
            match chance.below(6) {
                0 => Does::Fails(failure),
                1 => Does::LosesTheAnswer(failure),
                2 => Does::Forgets,
                3 => Does::Yields(2),
                _ => Does::Well,
            }
        });
        let ledger = ledger(store);
        join_all((0..12).map(|number| insist(&ledger, number))).await;
        stands(&record, 0..12).await;
        let recalled = self::ledger(record.clone()).recall(TENANT).await.unwrap();
        assert!(recalled.tip.last >= 12);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_after_the_work_counts_as_done() {
    for failure in [
        Failure::TimedOut,
        Failure::Unreachable,
        Failure::Full,
        Failure::Refused,
    ] {
        let record = Arc::new(Memory::default());
        // Looked for folders; created; read back.
        let store = Faulty::new(&record, move |asked| match asked {
            1 => Does::LosesTheAnswer(failure),
            _ => Does::Well,
        });
        let tip = ledger(store).append(TENANT, vec![noted(1)]).await.unwrap();
        assert_eq!(tip.last, 1, "{failure:?}");
        stands(&record, [1]).await;
    }
}

#[tokio::test]
async fn what_is_tried_again_after_an_unknown_end_stands_at_worst_twice_under_one_id() {
    let record = Arc::new(Memory::default());
    // Neither the answer nor what reads it back arrives.
    let store = Faulty::new(&record, |asked| match asked {
        1 | 2 => Does::LosesTheAnswer(Failure::TimedOut),
        _ => Does::Well,
    });
    let ledger = ledger(store);
    assert_eq!(
        reason(ledger.append(TENANT, vec![noted(1)]).await),
        "StoreTimedOut"
    );
    ledger.append(TENANT, vec![noted(1)]).await.unwrap();
    stands(&record, [1]).await;
    assert_eq!(ids(&record.held())[&Uuid::from_u128(1)], 2);
}

#[tokio::test]
async fn a_store_that_says_it_wrote_and_did_not_is_not_believed() {
    let record = Arc::new(Memory::default());
    let store = Faulty::new(&record, |asked| match asked {
        1 => Does::Forgets,
        _ => Does::Well,
    });
    let ledger = ledger(store);
    assert_eq!(
        reason(ledger.append(TENANT, vec![noted(1)]).await),
        "StoreUntrue"
    );
    insist(&ledger, 1).await;
    stands(&record, [1]).await;
}

#[tokio::test]
async fn on_what_a_store_cut_nothing_is_built() {
    let record = Arc::new(Memory::default());
    let ledger_before = ledger(record.clone());
    insist(&ledger_before, 1).await;
    // Listed twice and the tip read, then the write.
    let store = Faulty::new(&record, |asked| match asked {
        3 => Does::Cuts,
        _ => Does::Well,
    });
    let ledger = ledger(store);
    assert_eq!(
        reason(ledger.append(TENANT, vec![noted(2)]).await),
        "StoreUntrue"
    );
    assert_eq!(
        reason(ledger.append(TENANT, vec![noted(2)]).await),
        "RecordBroken"
    );
    assert_eq!(reason(ledger.recall(TENANT).await), "RecordBroken");
    let report = verified(&record, None, &list()).await;
    let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::Removed], "{report:#?}");
    assert_eq!(report.entries, 1);
}

#[tokio::test]
async fn what_a_store_loses_later_is_found_and_not_built_on() {
    let (record, outside) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let second = Arc::new(SecondPlace::new(outside.clone()));
    let ledger = ledger_with(record.clone(), Some(second.clone()));
    for number in 1..=3 {
        insist(&ledger, number).await;
        second.flush().await.unwrap();
    }
    let lost = layout::segment(TENANT, 3);
    let bytes = record.held().remove(&lost).unwrap();
    let report = verified(&record, Some(&outside), &list()).await;
    assert_eq!(report.findings[0].kind, Kind::Truncated, "{report:#?}");
    let next = ledger_with(record.clone(), Some(second.clone()));
    assert_eq!(
        reason(next.append(TENANT, vec![noted(4)]).await),
        "RecordWentBack"
    );
    // Given back what it lost, it goes on.
    record.held().insert(lost, bytes);
    insist(&next, 4).await;
    record.held().remove(&layout::segment(TENANT, 2));
    let report = verified(&record, Some(&outside), &list()).await;
    let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::Removed], "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_a_second_for_a_write_takes_what_waits_at_once() {
    let record = Arc::new(Memory::default());
    let store = Faulty::new(&record, |_| Does::Slowly(Duration::from_secs(1)));
    let ledger = ledger(store);
    let started = tokio::time::Instant::now();
    let done = join_all((0..500).map(|number| ledger.append(TENANT, vec![noted(number)]))).await;
    assert!(done.iter().all(Result::is_ok));
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    stands(&record, 0..500).await;
}

#[tokio::test]
async fn a_store_that_is_down_holds_nothing_of_what_waited() {
    let record = Arc::new(Memory::default());
    let is_down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let down = is_down.clone();
    let store = Faulty::new(&record, move |_| match down.load(Ordering::Relaxed) {
        true => Does::Fails(Failure::Unreachable),
        false => Does::Well,
    });
    let ledger = ledger(store);
    let mut waiting: FuturesUnordered<_> = (0..100_000)
        .map(|number| ledger.append(TENANT, vec![noted(number)]))
        .collect();
    let mut refused = 0;
    while let Some(answer) = waiting.next().await {
        assert_eq!(reason(answer), "StoreUnreachable");
        refused += 1;
    }
    assert_eq!(refused, 100_000);
    is_down.store(false, Ordering::Relaxed);
    insist(&ledger, 100_000).await;
    // Who was told that it is not recorded is not recorded behind its back.
    assert_eq!(ids(&record.held()).len(), 1);
}

/// Every way in which a few writers' requests can overlap is one of many seeds.
#[tokio::test]
async fn two_operators_at_once_neither_fork_nor_lose() {
    for seed in 0..300 {
        let record = Arc::new(Memory::default());
        let operators: Vec<_> = (0..2)
            .map(|operator| {
                let chance = Mutex::new(Chance::new(seed * 2 + operator));
                let store = Faulty::new(&record, move |_| {
                    Does::Yields(chance.lock().unwrap().below(4))
                });
                ledger(store)
            })
            .collect();
        let mut work = Vec::new();
        for (operator, ledger) in operators.iter().enumerate() {
            let first = u128::try_from(operator).unwrap() * 10;
            work.push(async move {
                for number in first..first + 5 {
                    insist(ledger, number).await;
                    count_up(ledger).await;
                }
            });
        }
        join_all(work).await;
        stands(&record, (0..5).chain(10..15)).await;
        // Nobody's step was decided from a state that somebody else had replaced.
        let recalled = ledger(record.clone()).recall(TENANT).await.unwrap();
        assert_eq!(recalled.state.unwrap()["state"], "10", "seed {seed}");
    }
}

/// Reads the state and records the next, as often as somebody else was first.
async fn count_up(ledger: &Ledger) {
    loop {
        let recalled = ledger.recall(TENANT).await.unwrap();
        let count: u64 = match &recalled.state {
            Some(state) => state["state"].as_str().unwrap().parse().unwrap(),
            None => 0,
        };
        let next = state(&(count + 1).to_string());
        let base = Base::State(recalled.tip.state);
        match ledger.append_on(TENANT, base, vec![next]).await {
            Ok(_) => return,
            Err(LedgerError::Outdated(_) | LedgerError::Contended(_)) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn two_states_at_once_are_two_segments_and_the_second_is_decided_anew() {
    let record = Arc::new(Memory::default());
    let store = Faulty::new(&record, |_| Does::Yields(1));
    let ledger = ledger(store);
    let on_any = |text| ledger.append(TENANT, vec![state(text)]);
    // Both wait while the first is written, and could be taken along together.
    let (_, one, two) = tokio::join!(insist(&ledger, 1), on_any("one"), on_any("two"));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.state, two.state);
    let late = ledger
        .append_on(TENANT, Base::State(one.state), vec![state("late")])
        .await;
    assert_eq!(reason(late), "Conflict");
}

#[tokio::test]
async fn killed_at_any_request_the_record_is_whole() {
    for does_it in [false, true] {
        for killed_at in 0.. {
            let (record, outside) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
            // From then on nothing arrives any more; whether the last request did is the other half of the cases.
            let plan = move |asked: u64| match asked.cmp(&killed_at) {
                std::cmp::Ordering::Less => Does::Well,
                std::cmp::Ordering::Equal if does_it => Does::LosesTheAnswer(Failure::Unreachable),
                _ => Does::Fails(Failure::Unreachable),
            };
            let store = Faulty::new(&record, plan);
            let second = Arc::new(SecondPlace::new(Faulty::new(&outside, plan)));
            let ledger = ledger_with(store, Some(second.clone()));
            let mut acknowledged = Vec::new();
            for number in 0..6 {
                let drafts = vec![noted(number), state(&number.to_string())];
                match ledger.append(TENANT, drafts).await {
                    Ok(_) => acknowledged.push(number),
                    Err(_) => break,
                }
                let _ = second.flush().await;
            }
            let was_killed = acknowledged.len() < 6;
            drop(ledger);
            let second = Arc::new(SecondPlace::new(outside.clone()));
            let next = ledger_with(record.clone(), Some(second.clone()));
            let recalled = next.recall(TENANT).await.unwrap();
            if let Some(last) = acknowledged.last() {
                // All of a call stands, or nothing.
                assert_eq!(recalled.tip.last % 2, 0);
                let state = recalled.state.unwrap()["state"].to_string();
                assert!(state.trim_matches('"').parse::<u128>().unwrap() >= *last);
            }
            insist(&next, 100).await;
            second.flush().await.unwrap();
            stands(&record, acknowledged).await;
            let report = verified(&record, Some(&outside), &list()).await;
            assert!(report.sound && report.not_shown.is_empty(), "{report:#?}");
            if !was_killed {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_time_leaves_the_record_whole() {
    for polls in 0..12 {
        let record = Arc::new(Memory::default());
        let store = Faulty::new(&record, |_| Does::Yields(1));
        let ledger = ledger(store);
        let mut dropped = ledger.append(TENANT, vec![noted(1)]).boxed();
        let mut other = ledger.append(TENANT, vec![noted(2)]).boxed();
        for _ in 0..polls {
            if futures::poll!(&mut dropped).is_ready() {
                break;
            }
            assert!(futures::poll!(&mut other).is_pending());
        }
        drop(dropped);
        // Whoever waited with it is told that nobody knows, and never that it stands where it does not.
        if let Err(error) = other.await {
            assert_eq!(error.reason(), "StoreTimedOut");
            insist(&ledger, 2).await;
        }
        insist(&ledger, 3).await;
        stands(&record, [2, 3]).await;
        let there = ids(&record.held());
        let times = |number| there.get(&Uuid::from_u128(number)).copied();
        assert!(times(1).is_none_or(|times| times == 1));
        assert!(times(2).is_some_and(|times| times <= 2));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_before_its_turn_is_never_written() {
    let record = Arc::new(Memory::default());
    let store = Faulty::new(&record, |_| Does::Yields(1));
    let ledger = ledger(store);
    let mut first = ledger.append(TENANT, vec![noted(1)]).boxed();
    assert!(futures::poll!(&mut first).is_pending());
    {
        let mut second = ledger.append(TENANT, vec![noted(2)]).boxed();
        assert!(futures::poll!(&mut second).is_pending());
    }
    first.await.unwrap();
    insist(&ledger, 3).await;
    stands(&record, [1, 3]).await;
    assert_eq!(ids(&record.held()).len(), 2);
}

#[tokio::test]
async fn nothing_to_record_leaves_no_object() {
    let record = Arc::new(Memory::default());
    let ledger = ledger(record.clone());
    assert_eq!(ledger.append(TENANT, vec![]).await.unwrap().last, 0);
    insist(&ledger, 1).await;
    assert_eq!(ledger.append(TENANT, vec![]).await.unwrap().last, 1);
    insist(&ledger, 2).await;
    assert_eq!(record.held().len(), 2);
    stands(&record, [1, 2]).await;
}

#[tokio::test]
async fn a_number_that_would_become_another_is_refused_and_disturbs_nobody() {
    let record = Arc::new(Memory::default());
    let ledger = ledger(record.clone());
    let with = |number: serde_json::Value| {
        let event = serde_json::json!({"type": "noted", "in": [{"number": number}]});
        let draft = common::draft(Uuid::from_u128(1), event);
        ledger.append(TENANT, vec![draft])
    };
    let exact = 1_u64 << 53;
    for number in [exact + 1, u64::MAX] {
        assert_eq!(reason(with(number.into()).await), "RecordUnwritable");
    }
    assert_eq!(reason(with(i64::MIN.into()).await), "RecordUnwritable");
    with(exact.into()).await.unwrap();
    with((-7).into()).await.unwrap();
    with(0.5.into()).await.unwrap();
    stands(&record, [1]).await;
    let text = String::from_utf8(record.held()[&layout::segment(TENANT, 1)].to_vec()).unwrap();
    assert!(text.contains(r#""number":9007199254740992}"#), "{text}");
}

#[tokio::test]
async fn a_clock_that_steps_back_and_forth_is_counted_and_is_no_fault() {
    common::set_clock(common::START);
    let record = Arc::new(Memory::default());
    let ledger = ledger(record.clone());
    for (number, hours) in [0, -5, 3, -1, 400, -300].into_iter().enumerate() {
        common::turn_clock(hours * 3_600);
        insist(&ledger, u128::try_from(number).unwrap()).await;
    }
    // Two of one segment, too.
    let (late, early) = (noted(7), {
        common::turn_clock(-60);
        noted(8)
    });
    ledger.append(TENANT, vec![late, early]).await.unwrap();
    stands(&record, (0..6).chain(7..9)).await;
    let report = verified(&record, None, &list()).await;
    assert_eq!(report.chains[0].clock_steps, 4, "{report:#?}");
}

#[tokio::test]
async fn a_clock_outside_the_keys_dates_writes_nothing_that_nobody_would_believe() {
    common::set_clock(common::START);
    let record = Arc::new(Memory::default());
    let [old, new] = [1, 2].map(common::signer);
    let at = |seconds| jiff::Timestamp::from_second(common::START + seconds).unwrap();
    let list = KeyList::of(old.public(at(0))).rotated(&new, at(100));
    let with = |signer| Ledger::new(record.clone(), None, signer, list.clone(), common::now);
    let (old, new) = (with(old), with(new));
    common::set_clock(common::START - 3_600);
    assert_eq!(
        reason(old.append(TENANT, vec![noted(1)]).await),
        "RecordKeyNotInUse"
    );
    common::set_clock(common::START);
    insist(&old, 1).await;
    assert_eq!(
        reason(new.append(TENANT, vec![noted(2)]).await),
        "RecordKeyNotInUse"
    );
    common::turn_clock(100);
    assert_eq!(
        reason(old.append(TENANT, vec![noted(2)]).await),
        "RecordKeyNotInUse"
    );
    insist(&new, 2).await;
    // A process that was cut off, still has the old key and the old time.
    common::turn_clock(-50);
    assert_eq!(
        reason(old.append(TENANT, vec![noted(3)]).await),
        "RecordKeyNotInUse"
    );
    assert_eq!(new.recall(TENANT).await.unwrap().tip.last, 2);
    let report = verified(&record, None, &list).await;
    assert!(report.sound, "{report:#?}");
    let unknown = Ledger::new(record.clone(), None, common::signer(3), list, common::now);
    assert_eq!(
        reason(unknown.append(TENANT, vec![noted(3)]).await),
        "RecordKeyNotInUse"
    );
}

/// A store whose writer goes on while it is read.
struct Alive {
    record: Arc<Memory>,
    ledger: Ledger,
    second: Arc<SecondPlace>,
    numbers: AtomicU64,
}

impl Store for Alive {
    fn place(&self) -> String {
        "alive".into()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.record.create(key, bytes)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        async move {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            if number < 20 {
                let chain = ChainId::Tenant(Uuid::from_u128(u128::from(7 + number % 2)));
                let drafts = vec![noted(number.into())];
                self.ledger.append(chain, drafts).await.unwrap();
                self.second.flush().await?;
            }
            self.record.get(key).await
        }
        .boxed()
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        self.record.objects(folder)
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        self.record.folders(folder)
    }
}

#[tokio::test]
async fn a_record_that_is_written_while_it_is_verified_is_sound() {
    let (record, outside) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let second = Arc::new(SecondPlace::new(outside.clone()));
    let ledger = ledger_with(record.clone(), Some(second.clone()));
    insist(&ledger, 100).await;
    second.flush().await.unwrap();
    let alive = Alive {
        record,
        ledger,
        second,
        numbers: AtomicU64::new(0),
    };
    let keys = list();
    let verification = Verification {
        store: &alive,
        second: Some(&*outside),
        keys: &keys,
        kept: &[],
        only: None,
        most_findings: 50,
    };
    let report = verification.run(&mut |_| {}).await.unwrap();
    assert!(report.sound && report.not_shown.is_empty(), "{report:#?}");
    assert_eq!(report.chains.len(), 2);
    assert!(report.entries > 2, "it did not go on while it was read");
}

#[tokio::test]
async fn a_checkpoint_that_was_on_its_way_when_its_writer_died_is_brought_by_the_next() {
    let (record, outside) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let place = || Arc::new(SecondPlace::new(outside.clone()));
    insist(&ledger_with(record.clone(), Some(place())), 1).await;
    let second = place();
    let next = ledger_with(record.clone(), Some(second.clone()));
    next.recall(TENANT).await.unwrap();
    second.flush().await.unwrap();
    let report = verified(&record, Some(&outside), &list()).await;
    assert!(report.not_shown.is_empty(), "{report:#?}");
    next.recall(TENANT).await.unwrap();
    assert_eq!(second.behind(), 0);
}

#[tokio::test]
async fn a_chain_that_was_forked_keeps_no_other_from_the_second_place() {
    let (record, outside) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let second = Arc::new(SecondPlace::new(outside.clone()));
    let ledger = ledger_with(record.clone(), Some(second.clone()));
    let [one, two] = [7, 8].map(|id| ChainId::Tenant(Uuid::from_u128(id)));
    for chain in [one, two] {
        ledger.append(chain, vec![noted(1)]).await.unwrap();
    }
    let other = Bytes::from_static(b"{}");
    outside.held().insert(layout::checkpoint(one, 1), other);
    assert_eq!(second.flush().await.unwrap_err().failure, Failure::Untrue);
    assert!(outside.held().contains_key(&layout::checkpoint(two, 1)));
    assert_eq!(second.behind(), 1);
    assert!(second.trouble().is_some());
}

#[tokio::test]
async fn on_a_tip_that_is_not_what_was_written_nothing_is_built() {
    let record = Arc::new(Memory::default());
    insist(&ledger(record.clone()), 1).await;
    insist(&ledger(record.clone()), 2).await;
    let whole = record.held().clone();
    let first = whole[&layout::segment(TENANT, 1)].clone();
    let changed = String::from_utf8(first.to_vec())
        .unwrap()
        .replace("noted", "noticed");
    for (place, bytes) in [(1, changed.into()), (2, first.clone()), (3, first)] {
        *record.held() = whole.clone();
        if place == 1 {
            record.held().remove(&layout::segment(TENANT, 2));
        }
        record.held().insert(layout::segment(TENANT, place), bytes);
        let ledger = ledger(record.clone());
        assert_eq!(
            reason(ledger.recall(TENANT).await),
            "RecordBroken",
            "{place}"
        );
        let append = ledger.append(TENANT, vec![noted(3)]).await;
        assert_eq!(reason(append), "RecordBroken", "{place}");
    }
}

#[tokio::test]
async fn a_record_that_goes_back_under_its_writer_is_not_built_on() {
    let record = Arc::new(Memory::default());
    let ledger = ledger(record.clone());
    insist(&ledger, 1).await;
    insist(&ledger, 2).await;
    record.held().remove(&layout::segment(TENANT, 2));
    assert_eq!(reason(ledger.recall(TENANT).await), "RecordWentBack");
    let append = ledger.append(TENANT, vec![noted(3)]).await;
    assert_eq!(reason(append), "RecordWentBack");
}

#[tokio::test]
async fn another_record_of_the_same_length_is_not_built_on() {
    let [record, other, outside] = [(); 3].map(|()| Arc::new(Memory::default()));
    let second = || Some(Arc::new(SecondPlace::new(outside.clone())));
    let place = second().unwrap();
    insist(&ledger_with(record, Some(place.clone())), 1).await;
    place.flush().await.unwrap();
    insist(&ledger(other.clone()), 2).await;
    let ledger = ledger_with(other, second());
    assert_eq!(reason(ledger.recall(TENANT).await), "RecordWentBack");
}

#[tokio::test]
async fn a_kept_checkpoint_that_was_forged_is_told() {
    let record = Arc::new(Memory::default());
    insist(&ledger(record.clone()), 1).await;
    let other = Arc::new(Memory::default());
    let signer = common::signer(3);
    let keys = common::keys(&signer);
    let foreign = Ledger::new(other.clone(), None, signer, keys, common::now);
    insist(&foreign, 1).await;
    let bytes = other.held()[&layout::segment(TENANT, 1)].clone();
    let line = bytes.split(|byte| *byte == b'\n').nth(1).unwrap();
    let (kept, keys) = ([serde_json::from_slice(line).unwrap()], list());
    let verification = Verification {
        store: &*record,
        second: None,
        keys: &keys,
        kept: &kept,
        only: None,
        most_findings: 50,
    };
    let report = verification.run(&mut |_| {}).await.unwrap();
    let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::Forged], "{report:#?}");
    assert!(!report.not_shown.is_empty());
}
