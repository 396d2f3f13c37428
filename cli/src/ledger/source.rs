//! A record to verify, as people name it: where it lies, and what it is held against.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use tenure_evidence::place::S3Options;
use tenure_evidence::verify::Verification;
use tenure_evidence::{ChainId, Envelope, KeyList, Store};

use super::key_list;
use crate::place;

/// What a verification needs.
#[derive(Args)]
pub struct Source {
    /// The record, or a copy of it: a folder, or s3://bucket/prefix.
    pub place: String,
    #[command(flatten)]
    s3: place::RecordS3,
    /// The key list as the provider publishes it (keys.json), from elsewhere than the record.
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// Where checkpoints lie that the record's writer cannot overwrite: a folder, or s3://bucket/prefix.
    #[arg(long, value_name = "PLACE")]
    second_place: Option<String>,
    #[command(flatten)]
    second_place_s3: place::SecondPlaceS3,
    /// A checkpoint that somebody kept: an object of the second place, or the last line of a segment. May be given again.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
}

/// The same, opened.
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub second: Option<Arc<dyn Store>>,
    pub keys: KeyList,
    pub kept: Vec<Envelope>,
}

impl Source {
    /// Opens the record, and reads what it is held against.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        let store = place::open(&self.place, &self.s3).await?;
        let second = self.second_place().await.context("second place")?;
        let keys = key_list(&self.keys)?;
        let mut kept = Vec::new();
        for file in &self.checkpoints {
            kept.extend(checkpoints(file)?);
        }
        Ok(Opened {
            store,
            second,
            keys,
            kept,
        })
    }

    /// What is known here of what a verification does not show.
    pub fn not_shown(&self) -> Vec<String> {
        let mut not_shown = Vec::new();
        let inside = |file: &Path| {
            let (file, root) = (file.canonicalize(), Path::new(&self.place).canonicalize());
            file.is_ok_and(|file| root.is_ok_and(|root| file.starts_with(root)))
        };
        if inside(&self.keys) {
            not_shown.push("that the keys are the provider's: the key list lies in the record itself, where whoever rewrites the one can rewrite the other".into());
        }
        if self.checkpoints.iter().any(|file| inside(file)) {
            not_shown.push("anything by a checkpoint that lies in the record itself".into());
        }
        not_shown
    }

    async fn second_place(&self) -> anyhow::Result<Option<Arc<dyn Store>>> {
        let options = &self.second_place_s3;
        match &self.second_place {
            Some(place) => place::open(place, options).await.map(Some),
            None if S3Options::from(options) == S3Options::default() => Ok(None),
            None => bail!("options of its bucket were given, and not where it is: --second-place"),
        }
    }
}

impl Opened {
    /// What to verify: only one chain, or all of them.
    pub fn verification(&self, only: Option<ChainId>, most_findings: usize) -> Verification<'_> {
        Verification {
            store: &*self.store,
            second: self.second.as_deref(),
            keys: &self.keys,
            kept: &self.kept,
            only,
            most_findings,
        }
    }
}

/// Reads the checkpoints of a file: one, or one a line.
fn checkpoints(file: &Path) -> anyhow::Result<Vec<Envelope>> {
    let shown = || format!("checkpoint {}", file.display());
    let text = fs::read(file).with_context(shown)?;
    let read = serde_json::Deserializer::from_slice(&text).into_iter::<Envelope>();
    let kept: Vec<Envelope> = read.collect::<Result<_, _>>().with_context(shown)?;
    if kept.is_empty() {
        bail!("{}: the file is empty", shown());
    }
    Ok(kept)
}
