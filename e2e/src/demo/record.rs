//! The chapters about the record: verified, tampered with on a copy, and enough to rebuild a cluster of which only Git is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tenure_evidence::verify::Kind;

use super::plugin::{Said, plugin};
use super::request::look;
use super::stage::{Stage, namespace_path};
use super::tell;
use super::tenants::{self, path as tenant_path};
use crate::install;
use crate::operator::{Operator, OperatorOptions};
use crate::paths::{copy_missing, entries};
use crate::plane::{Plane, PlaneOptions};
use crate::record::{Record, segments};
use crate::wait::eventually;

/// How long the last notes may take into the record, and checkpoints into the second place.
const SETTLED: Duration = Duration::from_secs(20);
/// How long isolation may take to stand again.
const ISOLATED: Duration = Duration::from_secs(60);

/// Has the plugin verify the record offline, with the key list and the second place.
pub(super) async fn verified(stage: &mut Stage) -> Result<()> {
    let record = stage.record()?;
    let start = Instant::now();
    eventually(
        SETTLED,
        "every chain is borne out by the second place",
        async || {
            let report = record.verify().await?;
            ensure!(report.sound && report.not_shown.is_empty(), "{report:#?}");
            Ok(())
        },
    )
    .await?;
    let what = "the second place bears out every chain";
    tell::done(what, start.elapsed(), "");
    let start = Instant::now();
    let said = verify(&record, &record.folder()).await?;
    ensure!(said.ok, "{}", said.text);
    let what = "kubectl tenure ledger verify finds it sound";
    tell::done(what, start.elapsed(), summary(&said));
    for kind in ["approval.given", "drift.repaired"] {
        let said = plugin(&["ledger", "show", &text(&record.folder())?, "--type", kind]).await?;
        ensure!(said.ok, "{}", said.text);
        if let Some(line) = said.text.lines().find(|line| line.contains(kind)) {
            tell::line(line);
        }
    }
    Ok(())
}

/// Does on a copy what nobody must be able to do unnoticed.
pub(super) async fn tampered(stage: &mut Stage) -> Result<()> {
    let record = stage.record()?;
    let chain = newest_chain(&record)?;
    type Tampering = fn(&Path) -> Result<()>;
    let tamperings: [(&str, Kind, Tampering); 4] = [
        ("change one word in an old entry", Kind::Changed, change),
        ("take an entry out of the middle", Kind::Removed, |chain| {
            Ok(fs::remove_file(&segments(chain)?[1])?)
        }),
        ("cut off the newest entry", Kind::Truncated, |chain| {
            let newest = segments(chain)?.pop().context("an empty chain")?;
            Ok(fs::remove_file(newest)?)
        }),
        (
            "put two entries in each other's place",
            Kind::Reordered,
            swap,
        ),
    ];
    for (what, kind, tamper) in tamperings {
        let copy = tempfile::tempdir().context("no folder for a copy")?;
        copy_missing(&record.folder(), copy.path())?;
        tamper(&copy.path().join(chain.strip_prefix(record.folder())?))?;
        let start = Instant::now();
        let said = verify(&record, copy.path()).await?;
        ensure!(!said.ok, "nothing was found");
        let named = format!("{kind:?}");
        let finding = said
            .text
            .lines()
            .find(|line| line.to_lowercase().contains(&named.to_lowercase()));
        let finding = finding.with_context(|| said.text.clone())?;
        tell::done(what, start.elapsed(), &tell::first_sentence(finding.trim()));
    }
    let report = record.verify().await?;
    ensure!(report.sound, "the record itself was touched: {report:#?}");
    Ok(())
}

/// A second cluster takes the place of the first: nothing comes over but the record; then Git.
pub(super) async fn restored(stage: &mut Stage) -> Result<()> {
    let record = stage.record()?;
    let Some(operator) = stage.end_operator() else {
        bail!("no operator runs");
    };
    operator.stop().await?;
    let start = Instant::now();
    let plane = Plane::start(PlaneOptions {
        name: "demo-rebuilt".to_owned(),
        ..PlaneOptions::default()
    })
    .await?;
    install::install(plane.access()).await?;
    let what = "a new cluster with the chart, and nothing else";
    tell::done(what, start.elapsed(), "");

    let start = Instant::now();
    let options = OperatorOptions {
        record: Some(record.clone()),
        ..OperatorOptions::default()
    };
    let operator = Operator::start(plane.access(), options).await?;
    let client = plane.admin()?;
    for tenant in stage.tenants() {
        ensure!(look(&client, &tenant_path(tenant)).await?.is_none());
    }
    for namespace in &stage.namespaces()? {
        let policies = "networkpolicies/tenure-default-deny";
        let isolation = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/{policies}");
        eventually(ISOLATED, &format!("{namespace} is isolated"), async || {
            look(&client, &namespace_path(namespace))
                .await?
                .context("no namespace")?;
            look(&client, &isolation).await?.context("no policy")?;
            Ok(())
        })
        .await?;
    }
    let what = "every tenant is isolated, before Git has brought anything";
    tell::done(what, start.elapsed(), "by its tenantID, from the record");
    tenants::apply(plane.access()).await?;
    operator.stop().await?;
    plane.stop()?;
    let report = record.verify().await?;
    ensure!(report.sound, "{report:#?}");
    let more = format!(
        "{} entries of {} chains",
        report.entries,
        report.chains.len()
    );
    tell::line(&format!("the record went on: {more}, sound"));
    stage.start_operator().await
}

async fn verify(record: &Record, folder: &Path) -> Result<Said> {
    let (keys, second) = (text(&record.keys())?, text(&record.second_place())?);
    plugin(&[
        "ledger",
        "verify",
        &text(folder)?,
        "--keys",
        &keys,
        "--second-place",
        &second,
    ])
    .await
}

/// The line that says how much there is.
fn summary(said: &Said) -> &str {
    let line = said.text.lines().find(|line| line.contains(" entries in "));
    line.unwrap_or_default().trim()
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("a path is not valid UTF-8")?;
    Ok(text.to_owned())
}

/// The folder of the tenant's chain with the most segments.
fn newest_chain(record: &Record) -> Result<PathBuf> {
    let chains = entries(&record.folder().join("v1/chains"))?;
    let tenants = chains
        .into_iter()
        .filter(|chain| !chain.ends_with("platform"));
    let counted = tenants.map(|chain| Ok((segments(&chain)?.len(), chain)));
    let counted = counted.collect::<Result<Vec<_>>>()?;
    let (count, chain) = counted.into_iter().max().context("no chain")?;
    ensure!(count >= 3, "{} has {count} segments", chain.display());
    Ok(chain)
}

fn change(chain: &Path) -> Result<()> {
    let oldest = &segments(chain)?[0];
    let text = fs::read_to_string(oldest)?;
    let changed = text.replacen("Enforced", "Observed", 1);
    ensure!(changed != text, "nothing to change");
    Ok(fs::write(oldest, changed)?)
}

fn swap(chain: &Path) -> Result<()> {
    let segments = segments(chain)?;
    let (one, two) = (fs::read(&segments[0])?, fs::read(&segments[1])?);
    fs::write(&segments[0], two)?;
    Ok(fs::write(&segments[1], one)?)
}
