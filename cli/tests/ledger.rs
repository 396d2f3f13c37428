//! The program as people run it, against records that the writer itself made.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tenure_evidence::{
    ChainId, Draft, Event, Folder, KeyList, Ledger, SecondPlace, Signer, layout,
};
use uuid::Uuid;

const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));
const TENANT_ID: &str = "00000000-0000-0000-0000-000000000007";

/// What a run of the program said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

fn tenure(arguments: &[&str]) -> Said {
    let output = command(arguments).output().unwrap();
    let said = Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    for text in [&said.out, &said.err] {
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
    said
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-tenure"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A record with its second place and its key list, each where a person would have it.
struct Place {
    root: tempfile::TempDir,
    signer: Signer,
}

impl Place {
    fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("record")).unwrap();
        fs::create_dir(root.path().join("second")).unwrap();
        let signer = Signer::generate().unwrap();
        let place = Self { root, signer };
        place.publish(&KeyList::of(place.signer.public(Timestamp::UNIX_EPOCH)));
        place
    }

    /// A tenant's chain with a repair in it, and the platform's.
    async fn new() -> Self {
        let place = Self::empty();
        let ledger = place.ledger();
        let repaired = Event::DriftRepaired {
            tenant: "acme".into(),
            control: "dsa-2.6-logical-separation".into(),
            object: "NetworkPolicy acme-prod/tenure-dns".into(),
            what: "it was gone".into(),
            opened_at: None,
            closed_at: Some("2026-03-01T00:00:00Z".into()),
            actor: "unknown".into(),
        };
        let used = Event::TenantUsed {
            tenant: "acme".into(),
        };
        let started = Event::OperatorStarted {
            version: "0.1.0".into(),
            cluster_version: None,
            instance: "tenure-a".into(),
            key_id: place.signer.id().to_string(),
        };
        let state = json!({"type": "state", "state": {"tenant": "acme", "version": 1}});
        let drafts = vec![
            draft("2026-02-01T00:00:00Z", state),
            event("2026-02-01T00:00:00Z", &used),
        ];
        ledger.append(TENANT, drafts).await.unwrap();
        let drafts = vec![event("2026-03-01T00:00:00Z", &repaired)];
        ledger.append(TENANT, drafts).await.unwrap();
        let drafts = vec![draft(
            "2026-04-01T00:00:00Z",
            json!({"type": "of.tomorrow", "more": [1, 2]}),
        )];
        ledger.append(TENANT, drafts).await.unwrap();
        let drafts = vec![event("2026-02-01T00:00:00Z", &started)];
        ledger.append(ChainId::Platform, drafts).await.unwrap();
        place
    }

    fn ledger(&self) -> Ledger {
        let second = SecondPlace::new(Arc::new(Folder::open(&self.path("second")).unwrap()));
        self.ledger_of(&self.signer, Some(Arc::new(second)), Timestamp::now)
    }

    fn ledger_of(
        &self,
        signer: &Signer,
        second: Option<Arc<SecondPlace>>,
        clock: fn() -> Timestamp,
    ) -> Ledger {
        let store = Arc::new(Folder::open(&self.path("record")).unwrap());
        let signer = Signer::from_pem(signer.to_pem().unwrap().as_bytes()).unwrap();
        let keys = KeyList::from_json(&fs::read(self.path("keys.json")).unwrap()).unwrap();
        Ledger::new(store, second, signer, keys, clock)
    }

    /// Brings every segment's checkpoint to the second place, as the operator's own task does.
    fn fill_second_place(&self) {
        for chain in [TENANT, ChainId::Platform] {
            for segment in self.segments(chain) {
                let text = fs::read_to_string(&segment).unwrap();
                let count = text.lines().count() as u64 - 1;
                let first = layout::place(
                    segment.file_name().unwrap().to_str().unwrap(),
                    layout::SEGMENT,
                );
                let key = layout::checkpoint(chain, first.unwrap() + count - 1);
                let path = self.path("second").join(key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text.lines().last().unwrap()).unwrap();
            }
        }
    }

    fn publish(&self, keys: &KeyList) {
        fs::write(
            self.path("keys.json"),
            serde_json::to_string_pretty(keys).unwrap(),
        )
        .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A chain's segments in order.
    fn segments(&self, chain: ChainId) -> Vec<PathBuf> {
        let folder = self
            .path("record")
            .join(layout::shard(layout::CHAINS, chain, 1));
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    }

    fn verify(&self, more: &[&str]) -> Said {
        let (record, keys) = (self.text("record"), self.text("keys.json"));
        tenure(&[&["ledger", "verify", &record, "--keys", &keys], more].concat())
    }

    fn show(&self, more: &[&str]) -> Said {
        let record = self.text("record");
        tenure(&[&["ledger", "show", &record], more].concat())
    }
}

fn draft(at: &str, event: Value) -> Draft {
    Draft {
        id: Uuid::new_v4(),
        at: at.parse().unwrap(),
        event,
    }
}

fn event(at: &str, event: &Event) -> Draft {
    event.draft(Uuid::new_v4(), at.parse().unwrap())
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[tokio::test]
async fn a_sound_record_is_borne_out_as_far_as_somebody_outside_knows_it() {
    let place = Place::new().await;
    let said = place.verify(&[]).is(0);
    assert!(
        said.out.contains("5 entries in 4 segments of 2 chains"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("no checkpoint from outside the record was given"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .lines()
            .last()
            .unwrap()
            .starts_with("SOUND, as far as was checked")
    );
    // No terminal, no progress.
    assert_eq!(said.err, "");

    place.fill_second_place();
    let second = place.text("second");
    let said = place.verify(&["--second-place", &second]).is(0);
    assert_eq!(said.out.matches("to its end").count(), 2, "{}", said.out);

    // The last line of a segment is a checkpoint that anybody can keep.
    let text = fs::read_to_string(&place.segments(TENANT)[1]).unwrap();
    fs::write(place.path("kept.json"), text.lines().last().unwrap()).unwrap();
    let kept = place.text("kept.json");
    let said = place
        .verify(&["--checkpoint", &kept, "--chain", TENANT_ID])
        .is(0);
    assert!(said.out.contains("up to 3 of 4"), "{}", said.out);
    assert!(
        said.out.contains("anything about other chains"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_changed_entry_is_named_and_the_report_reads_as_json() {
    let place = Place::new().await;
    let segment = &place.segments(TENANT)[1];
    rewrite(segment, "it was gone", "it was here");
    let said = place.verify(&[]).is(1);
    let key = layout::segment(TENANT, 3);
    assert!(
        said.out.contains(&format!("Changed: {key}: ")),
        "{}",
        said.out
    );
    assert!(said.out.contains("NOT SOUND: "), "{}", said.out);

    let report = place.verify(&["--json"]).is(1).json();
    assert_eq!(report["sound"], false);
    assert_eq!(report["findings"][0]["kind"], "Changed");
    assert_eq!(report["findings"][0]["key"], key);
    assert_eq!(report["chains"].as_array().unwrap().len(), 2);
    // The other chain stands.
    place.verify(&["--chain", "platform"]).is(0);
    place.verify(&["--chain", TENANT_ID]).is(1);

    // What is shown of that segment is marked, and of no other.
    let said = place.show(&["--chain", TENANT_ID]).is(1);
    let marked: Vec<_> = said
        .out
        .lines()
        .filter(|line| line.starts_with('!'))
        .collect();
    assert_eq!(marked.len(), 2, "{}", said.out);
    let keys = place.text("keys.json");
    let said = place
        .show(&["--chain", TENANT_ID, "--json", "--keys", &keys])
        .is(1);
    let faulty: Vec<_> = said
        .lines()
        .into_iter()
        .filter(|line| line.get("faults").is_some())
        .map(|line| line["seq"].clone())
        .collect();
    assert_eq!(faulty, [3], "{}", said.out);
}

#[tokio::test]
async fn a_missing_end_is_found_by_the_second_place_and_by_a_kept_checkpoint() {
    let place = Place::new().await;
    place.fill_second_place();
    let last = place.segments(TENANT).pop().unwrap();
    let text = fs::read_to_string(&last).unwrap();
    fs::write(place.path("kept.json"), text.lines().last().unwrap()).unwrap();
    fs::remove_file(last).unwrap();
    // Alone the record cannot know, and says so.
    let said = place.verify(&[]).is(0);
    assert!(
        said.out
            .contains("that nothing at the end of a chain is missing"),
        "{}",
        said.out
    );
    for (flag, name) in [("--second-place", "second"), ("--checkpoint", "kept.json")] {
        let said = place.verify(&[flag, &place.text(name)]).is(1);
        assert!(said.out.contains("Truncated: "), "{}", said.out);
        assert!(
            said.out
                .contains("entries 4 to 4 were recorded and are gone"),
            "{}",
            said.out
        );
    }
}

#[tokio::test]
async fn other_keys_than_those_that_signed_find_everything_forged() {
    let place = Place::new().await;
    let other = Signer::generate().unwrap();
    place.publish(&KeyList::of(other.public(Timestamp::UNIX_EPOCH)));
    let report = place.verify(&["--json"]).is(1).json();
    let kinds: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, ["Forged"; 4]);
    let keys = place.text("keys.json");
    place.show(&["--chain", TENANT_ID, "--keys", &keys]).is(1);
}

#[tokio::test]
async fn what_cannot_be_read_is_never_sound() {
    let place = Place::new().await;
    let keys = place.text("keys.json");
    let nowhere = place.text("nowhere");
    let empty = place.text("second");
    let cases: [(&[&str], &str); 9] = [
        (
            &["ledger", "verify", &nowhere, "--keys", &keys],
            "No such file",
        ),
        (
            &["ledger", "verify", &keys, "--keys", &keys],
            "record store",
        ),
        (
            &["ledger", "verify", &empty, "--keys", &keys],
            "nothing was verified",
        ),
        (
            &["ledger", "verify", "s3://bucket/record", "--keys", &keys],
            "s3://bucket/record",
        ),
        (
            &[
                "ledger",
                "verify",
                &place.text("record"),
                "--keys",
                &nowhere,
            ],
            "key list",
        ),
        (&["ledger", "verify", &place.text("record")], "--keys"),
        (
            &[
                "ledger",
                "verify",
                &place.text("record"),
                "--keys",
                &keys,
                "--checkpoint",
                &keys,
            ],
            "checkpoint",
        ),
        (&["ledger", "show", &empty], "no record is here"),
        (
            &["ledger", "show", &empty, "--type", "drift"],
            "no record is here",
        ),
    ];
    for (arguments, expect) in cases {
        let said = tenure(arguments).is(2);
        assert!(said.err.contains(expect), "{arguments:?}: {said:?}");
        assert_eq!(said.out, "", "{arguments:?}");
    }
    let unknown = Uuid::from_u128(8).to_string();
    let said = place.verify(&["--chain", &unknown]).is(2);
    assert!(said.err.contains("nothing was verified"), "{said:?}");
    let said = place.show(&["--chain", &unknown]).is(2);
    assert!(said.err.contains("no chain"), "{said:?}");
    let said = place.show(&["--tenant", "nobody"]).is(2);
    assert!(
        said.err.contains("no chain names a tenant nobody"),
        "{said:?}"
    );
    let said = place.verify(&["--chain", "acme"]).is(2);
    assert!(said.err.contains("tenantID in lower case"), "{said:?}");
}

#[tokio::test]
async fn a_key_list_from_the_record_itself_is_pointed_out() {
    let place = Place::new().await;
    let inside = place.path("record").join("keys.json");
    fs::copy(place.path("keys.json"), &inside).unwrap();
    let record = place.text("record");
    let said = tenure(&[
        "ledger",
        "verify",
        &record,
        "--keys",
        inside.to_str().unwrap(),
    ])
    .is(0);
    assert!(
        said.out.contains("the key list lies in the record itself"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn chains_and_entries_are_shown_as_asked() {
    let place = Place::new().await;
    let said = place.show(&[]).is(0);
    let rows: Vec<Vec<&str>> = said
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[1],
        [
            TENANT_ID,
            "acme",
            "4",
            "2026-02-01T00:00:00Z",
            "2026-04-01T00:00:00Z"
        ]
    );
    assert_eq!(rows[2][..3], ["platform", "-", "1"]);
    let listed = place.show(&["--json"]).is(0).lines();
    assert_eq!(listed[0]["tenant"], "acme");
    assert_eq!(listed[0]["entries"], 4);

    let expect = "\
00000000-0000-0000-0000-000000000007 (acme)
  2026-03-01T00:00:00Z  #3  drift.repaired  NetworkPolicy acme-prod/tenure-dns of acme was not as accepted (it was gone; dsa-2.6-logical-separation), since when is not known, by unknown; repaired at 2026-03-01T00:00:00Z.
";
    assert_eq!(place.show(&["--type", "drift.repaired"]).is(0).out, expect);
    assert_eq!(
        place
            .show(&["--type", "drift", "--since", "2026-03-01"])
            .is(0)
            .out,
        expect
    );

    let places = |more: &[&str]| {
        let lines = place.show(&[more, &["--json"]].concat()).is(0).lines();
        let places = lines
            .iter()
            .map(|line| format!("{}/{}", line["chain"].as_str().unwrap(), line["seq"]));
        places
            .map(|place| place.replace(TENANT_ID, "acme"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        places(&["--tenant", "acme"]),
        ["acme/1", "acme/2", "acme/3", "acme/4"]
    );
    assert_eq!(places(&["--chain", "platform"]), ["platform/1"]);
    assert_eq!(places(&["--since", "2026-03-01"]), ["acme/3", "acme/4"]);
    assert_eq!(
        places(&["--until", "2026-03-01"]),
        ["acme/1", "acme/2", "platform/1"]
    );
    assert_eq!(
        places(&["--type", "state", "--type", "operator"]),
        ["acme/1", "platform/1"]
    );
    // A type is no mere beginning.
    assert_eq!(places(&["--type", "dri"]), Vec::<String>::new());
    assert!(
        place
            .show(&["--type", "dri"])
            .is(0)
            .out
            .contains("No entry is as asked")
    );
    // What no release knows stands as it is.
    let said = place.show(&["--type", "of.tomorrow"]).is(0);
    assert!(
        said.out.contains(r#"{"more":[1,2],"type":"of.tomorrow"}"#),
        "{}",
        said.out
    );
    let whole = place.show(&["--type", "state", "--json"]).is(0).lines();
    assert_eq!(whole[0]["event"]["state"]["tenant"], "acme");
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("keys");
    let out = folder.to_str().unwrap();
    let said = tenure(&["ledger", "keygen", "--out", out]).is(0);
    let (private, list) = (folder.join("signing.pem"), folder.join("keys.json"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&private)), (0o700, 0o600));
    let signer = Signer::from_file(&private).unwrap();
    let keys = KeyList::from_json(&fs::read(&list).unwrap()).unwrap();
    assert_eq!(keys.keys[0].key_id, signer.id());
    assert!(said.out.contains(&signer.id().to_string()), "{}", said.out);
    // Nothing of the private key is told, not even a line of it.
    let pem = fs::read_to_string(&private).unwrap();
    assert!(
        !said.out.contains(pem.lines().nth(1).unwrap()),
        "{}",
        said.out
    );

    let before = fs::read(&private).unwrap();
    let said = tenure(&["ledger", "keygen", "--out", out]).is(2);
    assert!(said.err.contains("is not written over"), "{said:?}");
    assert_eq!(fs::read(&private).unwrap(), before);
    // Not half a pair either.
    fs::remove_file(&private).unwrap();
    tenure(&["ledger", "keygen", "--out", out]).is(2);
    assert!(!private.exists());
}

#[tokio::test]
async fn a_record_signed_by_both_keys_of_a_rotation_is_sound() {
    let place = Place::empty();
    let (first, second) = (place.text("first"), place.text("next"));
    tenure(&["ledger", "keygen", "--out", &first, "--from", "2026-01-01"]).is(0);
    let list = format!("{first}/keys.json");
    let rotate = [
        "ledger",
        "keygen",
        "--out",
        &second,
        "--previous",
        &list,
        "--from",
        "2026-06-01",
    ];
    let said = tenure(&rotate).is(0);
    assert!(
        said.out.contains(
            "signs from 2026-06-01T00:00:00Z on counts as forged: stop the operator before"
        ),
        "{}",
        said.out
    );
    fs::copy(format!("{second}/keys.json"), place.path("keys.json")).unwrap();

    let key = |folder: &str| Signer::from_file(&Path::new(folder).join("signing.pem")).unwrap();
    let may = || "2026-05-31T23:59:59Z".parse().unwrap();
    let june = || "2026-06-01T00:00:00Z".parse().unwrap();
    let noted = || vec![draft("2026-05-01T00:00:00Z", json!({"type": "noted"}))];
    let old = place.ledger_of(&key(&first), None, may);
    old.append(TENANT, noted()).await.unwrap();
    let new = place.ledger_of(&key(&second), None, june);
    new.append(TENANT, noted()).await.unwrap();
    let said = place.verify(&[]).is(0);
    assert!(
        said.out.contains("2 entries in 2 segments of 1 chain"),
        "{}",
        said.out
    );

    // The old key's time is over, whoever still has it.
    let store = Arc::new(Folder::open(&place.path("record")).unwrap());
    let both = [key(&first), key(&second)].map(|signer| signer.public(Timestamp::UNIX_EPOCH));
    let own_list = KeyList {
        version: 1,
        keys: both.into(),
    };
    let late = Ledger::new(store, None, key(&first), own_list, june);
    late.append(TENANT, noted()).await.unwrap();
    let report = place.verify(&["--json"]).is(1).json();
    assert_eq!(report["findings"][0]["kind"], "Forged");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn keys_left_in_a_record_are_a_list_to_compare() {
    let place = Place::new().await;
    let record = place.text("record");
    let said = tenure(&["ledger", "keys", &record]).is(2);
    assert!(said.err.contains("no keys were left"), "{said:?}");

    let folder = place.path("record").join(layout::KEYS);
    fs::create_dir_all(&folder).unwrap();
    let public = place.ledger().key();
    let object = folder.join(format!("{}.json", public.key_id.hex()));
    fs::write(&object, serde_json::to_vec(&public).unwrap()).unwrap();
    let said = tenure(&["ledger", "keys", &record]).is(0);
    assert_eq!(
        KeyList::from_json(said.out.as_bytes()).unwrap(),
        KeyList::of(public)
    );
    assert!(said.err.contains("prove nothing yet"), "{said:?}");

    fs::rename(&object, folder.join("other.json")).unwrap();
    let said = tenure(&["ledger", "keys", &record]).is(2);
    assert!(said.err.contains("not the one its name says"), "{said:?}");
}

#[tokio::test]
async fn who_closes_the_pipe_has_read_enough() {
    let place = Place::empty();
    // More than any pipe holds.
    let drafts = (0..4_000).map(|number| {
        draft(
            "2026-01-01T00:00:00Z",
            json!({"type": "noted", "number": number}),
        )
    });
    let drafts: Vec<Draft> = drafts.collect();
    for drafts in drafts.chunks(1_000) {
        let ledger = place.ledger();
        ledger.append(TENANT, drafts.to_vec()).await.unwrap();
    }
    let record = place.text("record");
    for more in [
        &["--chain", TENANT_ID][..],
        &["--chain", TENANT_ID, "--json"],
    ] {
        let arguments = [&["ledger", "show", &record], more].concat();
        let mut child = command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        let mut told = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
    }
    // What was found stays found.
    rewrite(&place.segments(TENANT)[0], "noted", "nosed");
    let keys = place.text("keys.json");
    let mut child = command(&["ledger", "verify", &record, "--keys", &keys])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn the_first_file_of_a_tenant_is_printed_and_a_wrong_name_refused() {
    let (one, two) = (
        tenure(&["new", "acme"]).is(0),
        tenure(&["new", "acme"]).is(0),
    );
    assert_ne!(one.out, two.out, "the tenantID is used once");
    assert!(one.out.contains("\n  name: \"acme\"\n"), "{}", one.out);
    for wrong in [
        &["new", "Acme"][..],
        &["new", "tenure-a"],
        &["new", "acme", "--namespace", "a_b"],
        &["new", "acme", "--language", "xx"],
    ] {
        let said = tenure(wrong).is(2);
        assert!(!said.err.is_empty() && said.out.is_empty(), "{said:?}");
    }
    assert_eq!(
        tenure(&["version"]).is(0).out,
        format!("kubectl-tenure {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn who_was_let_in_is_reported_from_the_record_whole_or_not() {
    let place = Place::new().await;
    let activated = |person: &str, grant: &str| Event::GrantActivated {
        grant: grant.into(),
        uid: format!("u-{grant}"),
        person: person.into(),
        identity: person.into(),
        role: "tenure-tenant-operator".into(),
        namespaces: vec!["acme-prod".into()],
        ticket: "CHG-1042".into(),
        digest: "sha256:0a".into(),
        requested_by: Some("lead".into()),
        approvals: vec!["yes".into()],
        break_glass: false,
        not_after: "2026-05-01T16:00:00Z".into(),
        account: None,
    };
    let ended = Event::GrantEnded {
        grant: "chg-1".into(),
        uid: "u-chg-1".into(),
        person: "worker".into(),
        reason: "Revoked".into(),
        ended_at: "2026-05-01T12:00:00Z".into(),
    };
    let ledger = place.ledger();
    for drafts in [
        vec![
            event("2026-05-01T10:00:00Z", &activated("worker", "chg-1")),
            event("2026-05-01T10:00:01Z", &activated("other", "chg-2")),
        ],
        vec![event("2026-05-01T12:00:00Z", &ended)],
    ] {
        ledger.append(TENANT, drafts).await.unwrap();
    }
    let (record, keys) = (place.text("record"), place.text("keys.json"));
    let report = |more: &[&str]| {
        let asked = [
            "report", "access", &record, "--keys", &keys, "--person", "worker",
        ];
        tenure(&[&asked[..], more].concat())
    };
    let said = report(&["--json"]).is(0).json();
    let accesses = said["accesses"].as_array().unwrap();
    assert_eq!(accesses.len(), 1, "{said:#}");
    let access = &accesses[0];
    assert_eq!(access["tenant"], "acme");
    assert_eq!(access["ticket"], "CHG-1042");
    assert_eq!(access["reason"], "Revoked");
    assert_eq!(access["until"], "2026-05-01T12:00:00Z");
    // The digests are those that the record itself shows: an entry's stands in the one after it, the last one's in the checkpoint.
    let shown = tenure(&["ledger", "show", &record, "--chain", TENANT_ID, "--json"]);
    let prev = |seq: u64| shown.lines()[seq as usize - 1]["prev"].clone();
    let entries = access["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{access:#}");
    assert_eq!(entries[0]["digest"], prev(6));
    let mut chains = said["chains"].as_array().unwrap().iter();
    let chain = chains.find(|it| it["chain"] == TENANT_ID).unwrap();
    assert_eq!(
        (&entries[1]["seq"], &entries[1]["digest"]),
        (&chain["last"], &chain["head"])
    );
    let none = report(&["--json", "--from", "2026-05-02"]).is(0).json();
    assert_eq!(none["accesses"], json!([]));
    assert!(report(&["--tenant", "nobody"]).is(2).err.contains("nobody"));
    let backwards = report(&["--from", "2026-05-02", "--to", "2026-05-01"]).is(2);
    assert!(
        backwards.err.contains("ends before it begins"),
        "{backwards:?}"
    );
    let text = report(&["--language", "nl"]).is(0);
    assert!(
        text.out.contains("CHG-1042") && text.out.contains("acme-prod"),
        "{text:?}"
    );
    // What nobody outside can bear out is said, in the report and beside it.
    assert!(text.out.contains("is niet aangetoond"), "{text:?}");
    assert!(text.err.contains("Not shown: "), "{text:?}");
    place.fill_second_place();
    let second = place.text("second");
    let text = report(&["--language", "nl", "--second-place", &second]).is(0);
    assert!(!text.out.contains("is niet aangetoond"), "{text:?}");
    // Somebody rewrote what ended it, or took the end away: nothing is reported.
    let newest = place.segments(TENANT).pop().unwrap();
    rewrite(&newest, "Revoked", "Expired");
    let said = report(&["--json"]).is(1);
    assert!(
        said.out.is_empty() && said.err.contains("is not sound"),
        "{said:?}"
    );
    fs::remove_file(&newest).unwrap();
    let said = report(&["--second-place", &second]).is(1);
    assert!(
        said.out.is_empty() && said.err.contains("Truncated"),
        "{said:?}"
    );
}
