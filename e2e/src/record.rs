//! The record of a control plane: a folder outside of it, its second place, the key that signs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tenure_evidence::verify::{Report, Verification};
use tenure_evidence::{ChainId, Entry, Folder, KeyList, Ledger, Signer, Store, layout};

use crate::access::Access;
use crate::paths::entries;

/// Where an operator records. It is there before the cluster and stays after it.
#[derive(Clone, Debug)]
pub struct Record {
    root: PathBuf,
}

impl Record {
    /// The record below `root`; made with a key of its own where it is not there yet.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn at(root: &Path) -> Result<Self> {
        let record = Self {
            root: root.to_owned(),
        };
        fs::create_dir_all(record.folder())?;
        fs::create_dir_all(record.second_place())?;
        if !record.keys().exists() {
            let signer = Signer::generate()?;
            let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
            fs::write(record.key(), signer.to_pem()?)?;
            fs::write(record.keys(), serde_json::to_vec_pretty(&keys)?)?;
        }
        Ok(record)
    }

    /// The record beside a plane.
    ///
    /// # Errors
    ///
    /// As [`Record::at`].
    pub fn of(access: &Access) -> Result<Self> {
        Self::at(&access.folder().join("evidence"))
    }

    /// The record itself.
    pub fn folder(&self) -> PathBuf {
        self.root.join("record")
    }

    /// Where its checkpoints also go.
    pub fn second_place(&self) -> PathBuf {
        self.root.join("second-place")
    }

    /// The signing key.
    pub fn key(&self) -> PathBuf {
        self.root.join("signing.pem")
    }

    /// The key list.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys.json")
    }

    /// What an operator is told of it.
    ///
    /// # Errors
    ///
    /// When the folder for what `instance` has not recorded yet cannot be made.
    pub fn env(&self, instance: &str) -> Result<Vec<(String, OsString)>> {
        let state = self.root.join("state").join(instance);
        fs::create_dir_all(&state)?;
        let named = [
            ("TENURE_RECORD", self.folder()),
            ("TENURE_RECORD_KEY", self.key()),
            ("TENURE_RECORD_KEYS", self.keys()),
            ("TENURE_RECORD_SECOND_PLACE", self.second_place()),
            ("TENURE_STATE_FOLDER", state),
        ];
        Ok(named
            .map(|(name, path)| (name.to_owned(), path.into_os_string()))
            .into())
    }

    fn key_list(&self) -> Result<KeyList> {
        Ok(KeyList::from_json(&fs::read(self.keys())?)?)
    }

    /// A ledger as another operator would have it.
    ///
    /// # Errors
    ///
    /// When its key cannot be read.
    pub fn ledger(&self) -> Result<Ledger> {
        let store = Arc::new(Folder::open(&self.folder())?);
        let signer = Signer::from_file(&self.key())?;
        Ok(Ledger::new(
            store,
            None,
            signer,
            self.key_list()?,
            Timestamp::now,
        ))
    }

    /// Verifies it against its second place.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn verify(&self) -> Result<Report> {
        let (store, second) = (
            Folder::open(&self.folder())?,
            Folder::open(&self.second_place())?,
        );
        let verification = Verification {
            store: &store,
            second: Some(&second),
            keys: &self.key_list()?,
            kept: &[],
            only: None,
            most_findings: 100,
        };
        Ok(verification.run(&mut |_| {}).await?)
    }

    /// Every event of a chain, in order.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn events(&self, chain: &str) -> Result<Vec<serde_json::Value>> {
        let (store, keys) = (Folder::open(&self.folder())?, self.key_list()?);
        let chain: ChainId = chain.parse().context("no chain")?;
        let (mut events, mut next) = (Vec::new(), 1);
        while let Some(bytes) = store.get(&layout::segment(chain, next)).await? {
            let read =
                tenure_evidence::segment::read(&bytes, chain, None, &keys, |entry: &Entry<'_>| {
                    events.extend(serde_json::from_str::<serde_json::Value>(entry.event.get()));
                });
            next = read.last.context("an empty segment")? + 1;
        }
        Ok(events)
    }
}

/// The objects of a chain, in order; `chain` is its folder.
///
/// # Errors
///
/// When it cannot be read.
pub fn segments(chain: &Path) -> Result<Vec<PathBuf>> {
    let shards = entries(chain)?;
    let objects = shards
        .iter()
        .map(|shard| entries(shard))
        .collect::<Result<Vec<_>>>()?;
    Ok(objects.concat())
}
