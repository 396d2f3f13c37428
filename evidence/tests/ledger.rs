//! The ledger in a folder: what is appended reads back, is sound, and cannot be forked.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tenure_evidence::verify::{Report, Verification};
use tenure_evidence::{
    Base, ChainId, Draft, Folder, KeyList, Ledger, LedgerError, SecondPlace, Signer, Store, layout,
};
use uuid::Uuid;

const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));

/// A record in a folder, with its second place in another.
struct Place {
    folder: tempfile::TempDir,
    second: tempfile::TempDir,
    pem: String,
    keys: KeyList,
}

impl Place {
    fn new() -> Self {
        let signer = Signer::generate().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            second: tempfile::tempdir().unwrap(),
            pem: signer.to_pem().unwrap(),
            keys: KeyList::of(signer.public(Timestamp::UNIX_EPOCH)),
        }
    }

    fn signer(&self) -> Signer {
        Signer::from_pem(self.pem.as_bytes()).unwrap()
    }

    fn second(&self) -> Arc<SecondPlace> {
        Arc::new(SecondPlace::new(store(self.second.path())))
    }

    fn ledger(&self, second: Option<Arc<SecondPlace>>) -> Ledger {
        let store = store(self.folder.path());
        Ledger::new(
            store,
            second,
            self.signer(),
            self.keys.clone(),
            Timestamp::now,
        )
    }

    async fn verify(&self) -> Report {
        let (record, second) = (store(self.folder.path()), store(self.second.path()));
        let verification = Verification {
            store: &*record,
            second: Some(&*second),
            keys: &self.keys,
            kept: &[],
            only: None,
            most_findings: 100,
        };
        verification.run(&mut |_| {}).await.unwrap()
    }
}

fn store(path: &Path) -> Arc<dyn Store> {
    Arc::new(Folder::open(path).unwrap())
}

fn draft(event: Value) -> Draft {
    Draft {
        id: Uuid::new_v4(),
        at: Timestamp::now(),
        event,
    }
}

fn noted(number: u64) -> Draft {
    draft(json!({"type": "noted", "number": number}))
}

fn state(text: &str) -> Draft {
    draft(json!({"type": "state", "state": text}))
}

#[tokio::test]
async fn what_is_appended_is_recalled_by_another_process_and_is_sound() {
    let place = Place::new();
    let second = place.second();
    let ledger = place.ledger(Some(second.clone()));
    assert_eq!(ledger.recall(TENANT).await.unwrap().state, None);
    ledger
        .append(TENANT, vec![noted(1), state("first")])
        .await
        .unwrap();
    ledger.append(TENANT, vec![noted(2)]).await.unwrap();
    ledger
        .append(ChainId::Platform, vec![noted(3)])
        .await
        .unwrap();
    second.flush().await.unwrap();
    let recalled = place.ledger(None).recall(TENANT).await.unwrap();
    assert_eq!(recalled.tip.last, 3);
    assert_eq!(recalled.state.unwrap()["state"], "first");
    let report = place.verify().await;
    assert!(report.sound, "{report:#?}");
    assert_eq!((report.entries, report.segments), (4, 3));
    assert_eq!(
        report
            .chains
            .iter()
            .map(|chain| chain.borne_out)
            .collect::<Vec<_>>(),
        [Some(3), Some(1)]
    );
    assert_eq!(report.not_shown, Vec::<String>::new());
}

#[tokio::test]
async fn two_writers_never_fork_a_chain() {
    let place = Place::new();
    let ledgers = [(); 4].map(|()| Arc::new(place.ledger(None)));
    let mut writers = Vec::new();
    for (ledger, number) in ledgers.iter().cycle().zip(0..40) {
        let ledger = ledger.clone();
        writers.push(tokio::spawn(async move {
            // Contention is an answer: who gets it tries again.
            while let Err(error) = ledger.append(TENANT, vec![noted(number)]).await {
                assert!(matches!(error, LedgerError::Contended(_)), "{error}");
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let report = place.verify().await;
    assert!(report.sound, "{report:#?}");
    assert_eq!(report.entries, 40);
}

#[tokio::test]
async fn a_state_is_recorded_only_on_the_one_it_was_decided_from() {
    let place = Place::new();
    let (one, two) = (place.ledger(None), place.ledger(None));
    let tip = one
        .append_on(TENANT, Base::State(None), vec![state("a")])
        .await
        .unwrap();
    let late = two
        .append_on(TENANT, Base::State(None), vec![state("b")])
        .await;
    assert!(matches!(late, Err(LedgerError::Outdated(_))), "{late:?}");
    // Things that merely happened do not make it outdated.
    two.append(TENANT, vec![noted(1)]).await.unwrap();
    one.append_on(TENANT, Base::State(tip.state), vec![state("c")])
        .await
        .unwrap();
    assert_eq!(
        two.recall(TENANT).await.unwrap().state.unwrap()["state"],
        "c"
    );
}

#[tokio::test]
async fn a_record_put_back_with_its_checkpoints_is_found_by_the_second_place() {
    let place = Place::new();
    let second = place.second();
    let ledger = place.ledger(Some(second.clone()));
    ledger.append(TENANT, vec![noted(1)]).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(place.folder.path(), copy.path());
    ledger.append(TENANT, vec![noted(2)]).await.unwrap();
    second.flush().await.unwrap();
    std::fs::remove_dir_all(place.folder.path()).unwrap();
    copy_folder(copy.path(), place.folder.path());
    let kinds: Vec<_> = place
        .verify()
        .await
        .findings
        .into_iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(kinds, [tenure_evidence::verify::Kind::Truncated]);
    // And the next writer does not build on it.
    let next = place
        .ledger(Some(place.second()))
        .append(TENANT, vec![noted(3)])
        .await;
    assert!(
        matches!(
            next,
            Err(LedgerError::WentBack {
                found: 1,
                known: 2,
                ..
            })
        ),
        "{next:?}"
    );
    // Nor does the one that wrote what is gone.
    let same = ledger.recall(TENANT).await;
    assert!(
        matches!(same, Err(LedgerError::WentBack { .. })),
        "{same:?}"
    );
}

#[tokio::test]
async fn an_accepted_loss_is_on_record_and_the_chain_goes_on() {
    let place = Place::new();
    let second = place.second();
    let ledger = place.ledger(Some(second.clone()));
    for number in 0..3 {
        ledger.append(TENANT, vec![noted(number)]).await.unwrap();
    }
    second.flush().await.unwrap();
    let newest = place.folder.path().join(layout::segment(TENANT, 3));
    std::fs::remove_file(newest).unwrap();
    let held = place.ledger(Some(place.second())).recall(TENANT).await;
    assert!(
        matches!(held, Err(LedgerError::WentBack { .. })),
        "{held:?}"
    );
    let second = place.second();
    let accepting = place.ledger(Some(second.clone())).accepting_loss();
    accepting.append(TENANT, vec![noted(3)]).await.unwrap();
    // Without the permission it goes on all the same: what was accepted once stands in the chain.
    let after = place.ledger(Some(place.second()));
    assert_eq!(after.append(TENANT, vec![noted(4)]).await.unwrap().last, 5);
    let bytes = std::fs::read(place.folder.path().join(layout::segment(TENANT, 3))).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains(r#""found":2"#) && text.contains(r#""known":3"#),
        "{text}"
    );
    // Whoever verifies is told for ever.
    let report = place.verify().await;
    assert!(!report.sound, "{report:#?}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_offered_at_once_shares_segments_that_one_can_hold_in_memory() {
    const MANY: usize = 40;
    const MIB: usize = 1 << 20;
    let place = Place::new();
    let ledger = place.ledger(None);
    let draft = |bytes: usize| Draft {
        id: Uuid::new_v4(),
        at: Timestamp::now(),
        event: json!({"type": "test", "text": "x".repeat(bytes)}),
    };
    let offered = (0..MANY).map(|_| ledger.append(TENANT, vec![draft(MIB)]));
    for answer in futures::future::join_all(offered).await {
        answer.unwrap();
    }
    let folder = place
        .folder
        .path()
        .join("v1/chains")
        .join(TENANT.to_string());
    let shards = std::fs::read_dir(folder).unwrap();
    let sizes: Vec<usize> = shards
        .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap())
        .map(|file| usize::try_from(file.unwrap().metadata().unwrap().len()).unwrap())
        .collect();
    assert!(sizes.iter().all(|size| *size < 5 * MIB), "{sizes:?}");
    assert!(sizes.len() < MANY, "nothing is shared: {sizes:?}");
    let error = ledger.append(TENANT, vec![draft(5 * MIB)]).await;
    assert!(matches!(error, Err(LedgerError::NoForm(_))), "{error:?}");
    let report = place.verify().await;
    assert!(report.sound && report.entries == MANY as u64, "{report:#?}");
}

#[tokio::test]
async fn however_much_led_to_a_state_stands_with_it_in_one_segment() {
    const MANY: u64 = 2_500;
    let place = Place::new();
    let ledger = place.ledger(None);
    let many = (0..MANY).map(noted).chain([state("a")]).collect();
    let tip = ledger.append_on(TENANT, Base::State(None), many);
    let tip = tip.await.unwrap();
    assert_eq!((tip.last, tip.state), (MANY + 1, Some(1)));
    let report = place.verify().await;
    assert!(report.sound, "{report:#?}");
    assert_eq!((report.entries, report.segments), (MANY + 1, 1));
    let recalled = place.ledger(None).recall(TENANT).await.unwrap();
    assert_eq!(recalled.state.unwrap()["state"], "a");
}
