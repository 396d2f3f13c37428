//! The benchmark: figures about the operator on a real control plane, as docs/benchmarks.md says.

mod access;
pub mod figures;
mod ledger;
mod load;
mod parts;
mod sight;
mod stage;
mod usage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::figures::Figures;
use self::load::{Declaration, make_pods};
use self::stage::{Stage, all_ready, plane, tenants};
use self::usage::{Meter, memory};

/// What can be asked for by name.
pub const PARTS: [&str; 8] = [
    "converge",
    "memory",
    "settled",
    "scrape",
    "ready",
    "drift",
    "reachability",
    "restart",
];
/// The part with a plane of its own.
pub const SEED: &str = "seed200";
/// The part with two API servers.
pub const ACCESS: &str = "access";
/// The part without a plane.
pub const LEDGER: &str = "ledger";

/// What the benchmark was asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to write the figures.
    pub json: Option<PathBuf>,
    /// How many tenants.
    pub tenants: usize,
    /// Only these of [`PARTS`], [`SEED`], [`ACCESS`] and [`LEDGER`]; all where empty.
    pub only: Vec<String>,
    /// A minute instead of ten of doing nothing, under another name.
    pub quick: bool,
    /// How many grants end at one instant; as the figure asks where nothing is said.
    pub grants: Option<usize>,
    /// Pods of each tenant.
    pub pods: usize,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// As many samples as a small run can give.
    fn samples(&self, most: usize) -> usize {
        most.min(self.tenants * 7)
    }
}

/// Measures, and says what came out.
///
/// # Errors
///
/// When a part is unknown, or something on the plane goes wrong. A missed target is no error.
pub async fn run(options: Options) -> Result<Figures> {
    for only in &options.only {
        ensure!(
            PARTS.contains(&only.as_str()) || [SEED, ACCESS, LEDGER].contains(&only.as_str()),
            "there is no part {only:?}; there are {}, {SEED}, {ACCESS} and {LEDGER}",
            PARTS.join(", ")
        );
    }
    ensure!(options.tenants > 0, "at least one tenant is needed");
    let mut figures = Figures::new(options.json.clone())?;
    if options.wants(LEDGER) {
        say("ledger: verified, and appended to");
        ledger::measure(&mut figures).await?;
    }
    if PARTS.iter().any(|part| options.wants(part)) {
        many(&options, &mut figures).await?;
    }
    if options.wants(ACCESS) {
        say("access: let in and out, one by one and all at once");
        access::measure(options.quick, options.grants, &mut figures).await?;
    }
    if options.wants(SEED) {
        seed(&options, &mut figures).await?;
    }
    Ok(figures)
}

/// Everything on one plane with many tenants.
async fn many(options: &Options, figures: &mut Figures) -> Result<()> {
    let all: Vec<Declaration> = (0..options.tenants)
        .map(|number| Declaration::new("bench", number))
        .collect();
    say("a control plane, the chart, the operator");
    let mut stage = Stage::set("bench").await?;
    if options.wants("converge") {
        say("converge: the operator and a plain client in turns");
        let plain = plane("plain").await?;
        parts::converge(&mut stage, &plain, &all, 10, figures).await?;
        plain.stop()?;
    } else {
        parts::declare_all(&stage, &all).await?;
    }
    figures.put("operator_rss_tenants_mb", memory(stage.operator.pid())?.now)?;
    if options.wants("memory") || options.wants("settled") {
        say("pods");
        pods(&stage, &all, options.pods).await?;
        stage.settled().await?;
    }
    if options.wants("settled") {
        say("settled: nothing changes");
        parts::settled(&stage, options.quick, figures).await?;
    }
    if options.wants("scrape") {
        say("scrape");
        parts::scrape(&stage, figures).await?;
    }
    if options.wants("ready") {
        say("ready: one more tenant");
        parts::ready(&stage, options.samples(120), figures).await?;
    }
    if options.wants("drift") {
        say("drift: bad writes and their repair");
        parts::drift(&stage, &all, options.samples(210), figures).await?;
    }
    if options.wants("reachability") {
        say("reachability: a policy opens and closes");
        parts::reachability(&stage, &all, options.samples(120), figures).await?;
    }
    if options.wants("memory") {
        say("memory after everything");
        stage.settled().await?;
        let memory = memory(stage.operator.pid())?;
        figures.put("operator_rss_mb", memory.now)?;
        figures.put("operator_rss_peak_mb", memory.peak)?;
    }
    if options.wants("restart") {
        say("restart");
        parts::restart(&mut stage, figures).await?;
    }
    stage.operator.stop().await?;
    stage.plane.stop()
}

async fn pods(stage: &Stage, all: &[Declaration], each: usize) -> Result<()> {
    let places: Vec<String> = all.iter().flat_map(Declaration::places).collect();
    let start = Instant::now();
    make_pods(&stage.admin()?, &places, each).await?;
    println!(
        "   {} pods made in {:.1} s",
        places.len() * each,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// 200 tenants of three namespaces on a fresh plane, the operator running: from the first create to the last Ready.
async fn seed(options: &Options, figures: &mut Figures) -> Result<()> {
    say("seed: 200 tenants with three namespaces on a fresh plane");
    let stage = Stage::set("seed").await?;
    stage.settled().await?;
    let client = stage.admin()?;
    let observer = tenants(&client).await?;
    let all: Vec<Declaration> = (0..options.tenants.min(200))
        .map(|number| Declaration::minimal("seed", number, vec!["dev", "test", "prod"]))
        .collect();
    let mark = stage.plane.audit().mark().await?;
    let mut listener = observer.listen();
    let (meter, mut used) = (Meter::start(&stage.processes())?, BTreeMap::new());
    let start = Instant::now();
    load::declare(&client, &all).await?;
    let ready = all_ready(&mut listener, &all).await?;
    meter.add_to(&mut used)?;
    let seconds = ready.saturating_duration_since(start).as_secs_f64();
    usage::put(figures, "seed200", &used)?;
    figures.put("seed200_seconds", seconds)?;
    stage.settled().await?;
    let writes = stage.writes(mark)?.len() as f64;
    figures.put("seed200_writes_per_tenant", writes / all.len() as f64)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let memory = memory(stage.operator.pid())?;
    figures.put("seed200_rss_mb", memory.now)?;
    figures.put("seed200_rss_peak_mb", memory.peak)?;
    stage
        .operator
        .stop()
        .await
        .context("stopping the operator")?;
    stage.plane.stop()
}

fn say(text: &str) {
    println!("\n── {text}");
}
