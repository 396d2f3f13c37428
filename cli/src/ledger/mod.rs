//! `kubectl tenure ledger`: the record, verified and read by anybody who has a copy and the published key list.

mod keygen;
mod keys;
mod sentence;
mod show;
mod source;
mod verify;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::Timestamp;
use tenure_evidence::{ChainId, KeyList};

use crate::Outcome;
pub use sentence::tenant as tenant_of;
pub use source::Source;

#[derive(Subcommand)]
pub enum Command {
    Verify(verify::Arguments),
    Show(show::Arguments),
    Keygen(keygen::Arguments),
    Keys(keys::Arguments),
}

impl Command {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Verify(arguments) => verify::run(&arguments).await,
            Self::Show(arguments) => show::run(&arguments).await,
            Self::Keygen(arguments) => keygen::run(&arguments),
            Self::Keys(arguments) => keys::run(&arguments).await,
        }
    }
}

/// Reads a key list.
fn key_list(path: &Path) -> anyhow::Result<KeyList> {
    let text = fs::read(path).with_context(|| format!("key list {}", path.display()))?;
    KeyList::from_json(&text).with_context(|| path.display().to_string())
}

/// Reads a chain's name.
fn chain(text: &str) -> Result<ChainId, String> {
    text.parse().map_err(|_| {
        "a chain is `platform` or a tenantID in lower case, with its hyphens; `kubectl tenure ledger show PLACE` lists them".into()
    })
}

/// An instant to the second.
fn time(at: Timestamp) -> String {
    at.strftime("%FT%TZ").to_string()
}
