//! The demo: a cluster, the product on it, and what becomes of attacks and of drift, told chapter by chapter.

mod access;
mod attacks;
mod controls;
mod deletion;
mod drift;
mod plugin;
mod record;
mod request;
mod stage;
mod tell;
mod tenants;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use self::stage::Stage;

/// What the demo was asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leave everything running at the end, and say how to reach and how to stop it.
    pub keep: bool,
    /// An existing cluster instead of one of its own: its kubeconfig file, whose user administers the cluster.
    pub kubeconfig: Option<PathBuf>,
    /// Where to write the chapters' results, as a list of [`Chapter`]; also written on failure.
    pub json: Option<PathBuf>,
}

/// What became of one chapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chapter {
    /// One of [`CHAPTERS`].
    pub chapter: String,
    /// Whether everything in it went as it must; false also where an earlier one failed and it was not tried.
    pub ok: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The chapters, in the order in which they are played.
pub const CHAPTERS: [&str; 16] = [
    "control-plane",
    "install",
    "tenants-ready",
    "controls",
    "attacks-refused",
    "drift-repaired",
    "delete-refused",
    "grant-requested",
    "self-approval-refused",
    "grant-active",
    "grant-ended-proven",
    "leaver-revoked",
    "break-glass",
    "record-verified",
    "tamper-found",
    "restored-from-git",
];

/// Plays every chapter, and leaves nothing behind (but for `keep`). Interrupting it (Ctrl-C) ends it in the same way.
///
/// # Errors
///
/// When a chapter fails (the later ones are then not tried), or when something would have been left behind.
pub async fn run(options: Options) -> Result<()> {
    let mut stage = Stage::new(options.clone());
    let (chapters, mut outcome) = play(&mut stage).await;
    let left = match options.keep && stage.is_set() {
        true => stage.keep(),
        false => stage.leave().await,
    };
    if outcome.is_ok() {
        outcome = left;
    } else if let Err(error) = left {
        tell::line(&format!("could not clean up either: {error:#}"));
    }
    if let Some(file) = &options.json {
        write(file, &chapters)?;
    }
    tell::summary(&chapters);
    outcome
}

/// Plays until the first chapter that fails.
async fn play(stage: &mut Stage) -> (Vec<Chapter>, Result<()>) {
    let mut chapters = Vec::new();
    let mut outcome = Ok(());
    for name in CHAPTERS {
        if outcome.is_err() {
            chapters.push(Chapter {
                chapter: name.to_owned(),
                ok: false,
                seconds: 0.0,
            });
            continue;
        }
        tell::chapter(name);
        let start = Instant::now();
        let result = tokio::select! {
            result = perform(name, stage) => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let ended = Chapter {
            chapter: name.to_owned(),
            ok: result.is_ok(),
            seconds: start.elapsed().as_secs_f64(),
        };
        tell::end(&ended, result.as_ref().err());
        chapters.push(ended);
        outcome = result.with_context(|| format!("the chapter {name} failed"));
    }
    (chapters, outcome)
}

async fn perform(name: &str, stage: &mut Stage) -> Result<()> {
    match name {
        "control-plane" => stage.set().await,
        "install" => stage.install().await,
        "tenants-ready" => tenants::ready(stage).await,
        "controls" => controls::show(stage).await,
        "attacks-refused" => attacks::refused(stage).await,
        "drift-repaired" => drift::repaired(stage).await,
        "delete-refused" => deletion::refused(stage).await,
        "grant-requested" => access::requested(stage).await,
        "self-approval-refused" => access::self_approved(stage).await,
        "grant-active" => access::active(stage).await,
        "grant-ended-proven" => access::ended(stage).await,
        "leaver-revoked" => access::left(stage).await,
        "break-glass" => access::broken_glass(stage).await,
        "record-verified" => record::verified(stage).await,
        "tamper-found" => record::tampered(stage).await,
        "restored-from-git" => record::restored(stage).await,
        other => bail!("there is no chapter {other}"),
    }
}

fn write(file: &Path, chapters: &[Chapter]) -> Result<()> {
    let text = serde_json::to_string_pretty(chapters).context("cannot encode the chapters")?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
