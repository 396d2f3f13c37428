//! The ledger as the process's settings name it.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use tenure_evidence::place::Place;
use tenure_evidence::store::S3;
use tenure_evidence::{Folder, KeyList, Ledger, SecondPlace, Signer, Store};

use crate::settings::Settings;

/// The ledger and its second place.
pub struct Opened {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Where its checkpoints also go.
    pub second: Option<Arc<SecondPlace>>,
}

/// Opens the ledger. Nothing is asked of the store yet.
///
/// # Errors
/// Where the signing key or the key list cannot be read, or a place is named that cannot be.
pub async fn ledger(settings: &Settings) -> anyhow::Result<Opened> {
    let signer = Signer::from_file(&settings.record_key)?;
    let keys = match &settings.record_keys {
        Some(path) => {
            let text =
                std::fs::read(path).with_context(|| format!("key list {}", path.display()))?;
            KeyList::from_json(&text).with_context(|| path.display().to_string())?
        }
        None => KeyList::of(signer.public(Timestamp::UNIX_EPOCH)),
    };
    anyhow::ensure!(
        keys.keys.iter().any(|key| key.key_id == signer.id()),
        "the key list does not name the signing key {}: nobody could verify what it signs; add it (kubectl tenure ledger keygen --previous)",
        signer.id()
    );
    let record = store(settings.record().context("the record")?);
    let record = record.await.context("the record")?;
    let second = match settings.second_place().context("the second place")? {
        Some(place) => Some(store(place).await.context("the second place")?),
        None => None,
    };
    let second = second.map(|store| Arc::new(SecondPlace::new(store)));
    let mut ledger = Ledger::new(record, second.clone(), signer, keys, Timestamp::now);
    if settings.record_accept_loss {
        tracing::warn!("the loss of entries of the record is accepted; take the setting out again");
        ledger = ledger.accepting_loss();
    }
    Ok(Opened {
        ledger: Arc::new(ledger),
        second,
    })
}

/// The store at a place, which is looked for when it is used.
async fn store(place: Place) -> anyhow::Result<Arc<dyn Store>> {
    let settings = match place {
        Place::Folder(folder) => return Ok(Arc::new(Folder::at(&folder))),
        Place::S3(settings) => settings,
    };
    let is_locked = settings.lock.is_some();
    let store = S3::new(settings).await?;
    if !is_locked {
        tracing::warn!(
            place = store.place(),
            "what is written here is not locked: whoever may delete in this bucket can delete it"
        );
    }
    Ok(Arc::new(store))
}
