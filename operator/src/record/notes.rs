//! What is recorded without anybody waiting: drift and its repair, verdicts, guard gaps, starts.
//!
//! A repair must not wait for a store, and must not be forgotten if the process dies in between. So it is noted in a file of the
//! process before it begins and goes into its chain behind its back; a process that comes again finds what was not there yet.
//! It may then stand twice, under one id.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenure_evidence::{ChainId, Draft, Event, Ledger, LedgerError};
use tokio::sync::Notify;
use uuid::Uuid;

/// Most notes that wait; what comes beyond is counted, and the count is recorded.
const MOST: usize = 20_000;
/// Notes that come this close together share a segment.
const LINGER: Duration = Duration::from_millis(100);
/// Longest wait between two tries of a store that fails.
const LONGEST: Duration = Duration::from_secs(30);
/// Most notes of one try.
const BATCH: usize = 500;

/// One line of the file.
#[derive(Deserialize, Serialize)]
struct Line {
    id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
    step: Step,
}

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    chain: ChainId,
    at: Timestamp,
    event: Value,
}

/// What a line says of a note.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// It is about to happen.
    Begun,
    /// It did not happen.
    Dropped,
    /// It happened.
    Noted,
}

/// What waits for its place in a chain.
pub struct Notes {
    ledger: Arc<Ledger>,
    waiting: Mutex<Waiting>,
    news: Notify,
    missed: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<(Uuid, Note)>,
    begun: BTreeMap<Uuid, Note>,
    file: Option<File>,
}

/// Something that was noted before it happened.
#[must_use = "it either happened or did not"]
pub struct Begun {
    id: Uuid,
    chain: ChainId,
}

impl Notes {
    /// Notes that are kept in `folder` until they are recorded; only in memory where there is none.
    ///
    /// # Errors
    /// Where the folder cannot be written to, or another process uses it.
    pub fn open(ledger: Arc<Ledger>, folder: Option<&Path>) -> std::io::Result<Self> {
        let waiting = folder.map(Waiting::open).transpose()?.unwrap_or_default();
        Ok(Self {
            ledger,
            waiting: Mutex::new(waiting),
            news: Notify::new(),
            missed: AtomicU64::new(0),
        })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.locked().queue.len()
    }

    /// How many found no room and are recorded as a number only.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Notes that something happened.
    pub fn note(&self, chain: ChainId, event: &Event) {
        self.put(Uuid::new_v4(), Note::new(chain, event));
    }

    /// Notes that something happened to a tenant; an id that names no chain has none.
    pub fn note_of(&self, tenant_id: &str, event: &Event) {
        if let Ok(chain) = tenant_id.parse() {
            self.note(chain, event);
        }
    }

    /// Notes that something is about to happen: should this process die now, it is recorded as it stands here.
    pub fn begin(&self, chain: ChainId, event: &Event) -> Begun {
        let (id, note) = (Uuid::new_v4(), Note::new(chain, event));
        let mut waiting = self.locked();
        waiting.write(id, Some(&note), Step::Begun);
        if waiting.begun.len() < MOST {
            waiting.begun.insert(id, note);
        }
        Begun { id, chain }
    }

    /// Notes that it happened, and how.
    pub fn done(&self, Begun { id, chain }: Begun, event: &Event) {
        self.locked().begun.remove(&id);
        self.put(id, Note::new(chain, event));
    }

    /// Notes that it did not happen.
    pub fn dropped(&self, Begun { id, .. }: Begun) {
        let mut waiting = self.locked();
        waiting.begun.remove(&id);
        waiting.write(id, None, Step::Dropped);
        waiting.tidy();
    }

    fn put(&self, id: Uuid, note: Note) {
        let mut waiting = self.locked();
        if waiting.queue.len() >= MOST {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.write(id, Some(&note), Step::Noted);
        waiting.queue.push_back((id, note));
        drop(waiting);
        self.news.notify_one();
    }

    /// Brings notes into their chains for as long as it is polled.
    pub async fn follow(&self) {
        let mut wait = LINGER;
        loop {
            if self.waiting() == 0 {
                self.news.notified().await;
            }
            tokio::time::sleep(wait).await;
            wait = match self.flush().await {
                Ok(()) => LINGER,
                Err(error) => {
                    tracing::warn!(%error, reason = error.reason(), waiting = self.waiting(), "not recorded yet; trying again");
                    (wait * 2).min(LONGEST)
                }
            };
        }
    }

    /// Brings what waits into its chains, up to a bound.
    ///
    /// # Errors
    /// The first failure; the other chains are tried all the same, and what failed waits on.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let missed = self.missed();
        let mut chains: BTreeMap<ChainId, Vec<(Uuid, Note)>> = BTreeMap::new();
        for (id, note) in self.locked().queue.iter().take(BATCH) {
            chains
                .entry(note.chain)
                .or_default()
                .push((*id, note.clone()));
        }
        let mut failed = None;
        for (chain, notes) in chains {
            let drafts = notes.iter().map(|(id, note)| note.draft(*id)).collect();
            match self.ledger.append(chain, drafts).await {
                Ok(_) => self.recorded(&notes),
                Err(error) => {
                    self.postpone(chain);
                    failed = failed.or(Some(error));
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if missed > 0 {
            let event = Event::NotesMissed { count: missed };
            let draft = event.draft(Uuid::new_v4(), Timestamp::now());
            self.ledger.append(ChainId::Platform, vec![draft]).await?;
            self.missed.fetch_sub(missed, Ordering::Relaxed);
        }
        Ok(())
    }

    fn recorded(&self, notes: &[(Uuid, Note)]) {
        let done: std::collections::HashSet<Uuid> = notes.iter().map(|(id, _)| *id).collect();
        let mut waiting = self.locked();
        waiting.queue.retain(|(id, _)| !done.contains(id));
        waiting.tidy();
    }

    /// Puts a chain that takes nothing behind the others, so that it blocks none of them.
    fn postpone(&self, chain: ChainId) {
        let mut waiting = self.locked();
        let (mut others, of_chain): (VecDeque<_>, VecDeque<_>) = waiting
            .queue
            .drain(..)
            .partition(|(_, note)| note.chain != chain);
        others.extend(of_chain);
        waiting.queue = others;
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    fn new(chain: ChainId, event: &Event) -> Self {
        let at = Timestamp::now();
        Self {
            chain,
            at,
            event: event.draft(Uuid::nil(), at).event,
        }
    }

    fn draft(&self, id: Uuid) -> Draft {
        Draft {
            id,
            at: self.at,
            event: self.event.clone(),
        }
    }
}

impl Waiting {
    /// Reads what an earlier process left.
    fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("notes.jsonl");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        file.try_lock().map_err(std::io::Error::from)?;
        let mut waiting = Self::default();
        for line in BufReader::new(&file).lines() {
            // A line that was cut off when the process died was never answered for.
            let Ok(line) = serde_json::from_str::<Line>(&line?) else {
                continue;
            };
            let begun = waiting.begun.remove(&line.id);
            match (line.step, line.note.or(begun)) {
                (Step::Begun, Some(note)) => drop(waiting.begun.insert(line.id, note)),
                (Step::Noted, Some(note)) => waiting.queue.push_back((line.id, note)),
                _ => {}
            }
        }
        // Whether what was begun also happened, nobody can say any more: it is recorded as it was meant.
        waiting.queue.extend(std::mem::take(&mut waiting.begun));
        waiting.file = Some(file);
        Ok(waiting)
    }

    fn write(&mut self, id: Uuid, note: Option<&Note>, step: Step) {
        let Some(file) = &mut self.file else { return };
        let line = Line {
            id,
            note: note.cloned(),
            step,
        };
        let written = serde_json::to_string(&line)
            .map_err(std::io::Error::from)
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "the file of notes takes nothing: what is noted now is lost if this process dies before it is recorded");
        }
    }

    /// Empties the file once nothing in it is needed any more.
    fn tidy(&mut self) {
        if !self.queue.is_empty() || !self.begun.is_empty() {
            return;
        }
        if let Some(file) = &mut self.file {
            let emptied = file.set_len(0).and_then(|()| file.rewind());
            if let Err(error) = emptied {
                tracing::warn!(%error, "the file of notes cannot be emptied: it will be recorded again after a restart");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tenure_evidence::{Folder, KeyList, Recalled, Signer, layout};

    use super::*;

    const TENANT: ChainId = ChainId::Tenant(Uuid::from_u128(7));

    /// A record and the folder of a process that comes again.
    struct Place {
        record: tempfile::TempDir,
        state: tempfile::TempDir,
        ledger: Arc<Ledger>,
    }

    impl Place {
        fn new() -> Self {
            let record = tempfile::tempdir().unwrap();
            let signer = Signer::generate().unwrap();
            let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
            let store = Arc::new(Folder::open(record.path()).unwrap());
            Self {
                record,
                state: tempfile::tempdir().unwrap(),
                ledger: Arc::new(Ledger::new(store, None, signer, keys, Timestamp::now)),
            }
        }

        /// The notes of the next process; the one before has ended.
        fn notes(&self) -> Notes {
            Notes::open(self.ledger.clone(), Some(self.state.path())).unwrap()
        }

        /// What stands in a chain.
        async fn recorded(&self, chain: ChainId) -> String {
            let Recalled { tip, .. } = self.ledger.recall(chain).await.unwrap();
            let mut text = String::new();
            for place in 1..=tip.last {
                let object = self.record.path().join(layout::segment(chain, place));
                text.push_str(&std::fs::read_to_string(object).unwrap_or_default());
            }
            text
        }

        fn file(&self) -> String {
            std::fs::read_to_string(self.state.path().join("notes.jsonl")).unwrap()
        }
    }

    fn used(tenant: &str) -> Event {
        Event::TenantUsed {
            tenant: tenant.into(),
        }
    }

    #[tokio::test]
    async fn what_was_begun_is_recorded_by_the_next_process_and_what_was_dropped_is_not() {
        let place = Place::new();
        let notes = place.notes();
        let _ = notes.begin(TENANT, &used("begun"));
        notes.dropped(notes.begin(TENANT, &used("dropped")));
        notes.note(TENANT, &used("noted"));
        drop(notes);
        let next = place.notes();
        assert_eq!(next.waiting(), 2);
        next.flush().await.unwrap();
        let text = place.recorded(TENANT).await;
        assert!(text.contains("begun") && text.contains("noted"), "{text}");
        assert!(!text.contains("dropped"), "{text}");
        assert_eq!(place.file(), "");
    }

    #[tokio::test]
    async fn what_was_done_stands_once_and_as_it_ended() {
        let place = Place::new();
        let notes = place.notes();
        let begun = notes.begin(TENANT, &used("meant"));
        notes.done(begun, &used("ended"));
        drop(notes);
        let next = place.notes();
        next.flush().await.unwrap();
        let text = place.recorded(TENANT).await;
        assert!(text.contains("ended") && !text.contains("meant"), "{text}");
        assert_eq!(next.waiting(), 0);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_harms_no_other() {
        let place = Place::new();
        place.notes().note(TENANT, &used("whole"));
        let cut = place.file().replace("whole", "cut");
        let text = format!("{}{}", place.file(), &cut[..cut.len() / 2]);
        std::fs::write(place.state.path().join("notes.jsonl"), text).unwrap();
        assert_eq!(place.notes().waiting(), 1);
    }

    #[tokio::test]
    async fn a_chain_that_takes_nothing_blocks_no_other() {
        let place = Place::new();
        let broken = ChainId::Tenant(Uuid::from_u128(8));
        let known = tenure_evidence::Digest::of(b"known elsewhere");
        place.ledger.know(broken, 3, known, "a test");
        let notes = place.notes();
        notes.note(broken, &used("held"));
        notes.note(TENANT, &used("recorded"));
        let error = notes.flush().await.unwrap_err();
        assert_eq!(error.reason(), "RecordWentBack");
        assert!(place.recorded(TENANT).await.contains("recorded"));
        assert_eq!(notes.waiting(), 1);
    }

    #[tokio::test]
    async fn what_found_no_room_is_recorded_as_a_number() {
        let place = Place::new();
        // In memory only: the bound is the same, and nobody waits for a file.
        let notes = Notes::open(place.ledger.clone(), None).unwrap();
        for _ in 0..MOST + 3 {
            notes.note(TENANT, &used("acme"));
        }
        assert_eq!((notes.waiting(), notes.missed()), (MOST, 3));
        notes.flush().await.unwrap();
        assert_eq!(notes.missed(), 0);
        let text = place.recorded(ChainId::Platform).await;
        assert!(text.contains(r#""count":3"#), "{text}");
    }

    #[test]
    fn two_processes_never_share_a_folder() {
        let place = Place::new();
        let _first = place.notes();
        assert!(Notes::open(place.ledger.clone(), Some(place.state.path())).is_err());
    }
}
