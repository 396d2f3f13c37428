//! `kubectl tenure ledger keys`.

use anyhow::{Context as _, bail};
use clap::Args;
use futures::TryStreamExt as _;
use tenure_evidence::keys::PublicKey;
use tenure_evidence::{KeyList, Store, layout};

use crate::{Outcome, output, place};

const HELP: &str = "\
Prints the public keys that the operator left in a record (v1/keys), as a key list.

A list that comes from the record proves nothing by itself: whoever rewrote the record could have
put these keys there. Compare it, key by key, with the list that the provider publishes elsewhere,
and verify with that one. The ends of keys that were replaced stand in the published list only.";

/// Print the public keys that the operator left in a record, to compare with the published list.
#[derive(Args)]
#[command(long_about = HELP)]
pub struct Arguments {
    /// The record, or a copy of it: a folder, or s3://bucket/prefix.
    place: String,
    #[command(flatten)]
    s3: place::RecordS3,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let store = place::open(&arguments.place, &arguments.s3).await?;
    let keys = left(&*store).await?;
    if keys.is_empty() {
        bail!(
            "{}: no keys were left in this record (folder {}); is it the folder or prefix that the operator records to?",
            store.place(),
            layout::KEYS
        );
    }
    let list = serde_json::to_string_pretty(&KeyList { version: 1, keys })?;
    KeyList::from_json(list.as_bytes()).context(layout::KEYS)?;
    output::print(&format!("{list}\n"))?;
    output::tell(
        "These keys come from the record itself and prove nothing yet: compare them with the list the provider publishes, and verify with that one.",
    );
    Ok(Outcome::Fine)
}

/// The keys in a record, oldest first.
async fn left(store: &dyn Store) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    let mut objects = store.objects(layout::KEYS);
    while let Some(object) = objects.try_next().await? {
        let key = format!("{}/{}", layout::KEYS, object.name);
        let bytes = store.get(&key).await?;
        let bytes = bytes.with_context(|| format!("{key}: listed, and not there"))?;
        let read: PublicKey =
            serde_json::from_slice(&bytes).with_context(|| format!("{key}: not a public key"))?;
        if object.name != format!("{}.json", read.key_id.hex()) {
            bail!(
                "{key}: it holds key {}, not the one its name says",
                read.key_id
            );
        }
        keys.push(read);
    }
    keys.sort_by_key(|key| (key.not_before, key.key_id.hex()));
    Ok(keys)
}
