//! `kubectl tenure report access`: every access of one person in a period, with where it stands on record.

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use tenure_evidence::layout;
use tenure_evidence::verify::Report as Verified;

use super::log::{Log, Report};
use super::words::{Language, readable};
use crate::ledger::Source;
use crate::{Outcome, instant, output};

/// One finding is enough to report nothing: `kubectl tenure ledger verify` lists them.
const MOST_FINDINGS: usize = 1;

const HELP: &str = "\
Every grant by which one person was let into a tenant in a period, over all chains of a record:
where, as what, for which ticket, who asked and who approved, from when until when, what ended it,
and whether every API server then said no. Each with its places and digests in the record.

The record is verified while it is read, as `kubectl tenure ledger verify` does it. Of one that is
not sound nothing is reported: a list with something missing looks like a whole one.";

const AFTER: &str = "\
Exit codes:
  0  reported, and the record is sound, as far as was checked
  1  not reported: the record is not sound; run `kubectl tenure ledger verify`
  2  not reported: wrong usage, or something could not be read

Examples:
  kubectl tenure report access /mnt/record --keys keys.json --second-place /mnt/checkpoints --person jan.peeters
  kubectl tenure report access s3://records/cluster-1 --keys keys.json --person jan.peeters \\
    --from 2026-01-01 --to 2026-04-01 --tenant acme --language nl";

/// Report every access of one person to tenants (DSA 2.9).
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Whose access, by StaffMember name.
    #[arg(long, value_name = "PERSON")]
    person: String,
    /// Access that had not ended before: 2026-01-31T12:00:00Z, or a day in UTC.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    from: Option<Timestamp>,
    /// Access that had begun before: 2026-01-31T12:00:00Z, or a day in UTC.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    to: Option<Timestamp>,
    /// Only the tenant that has this name in the record.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// In which language.
    #[arg(long, value_enum, default_value_t)]
    language: Language,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let (from, to) = (arguments.from, arguments.to);
    if let (Some(from), Some(to)) = (from, to) {
        ensure!(from < to, "the period ends before it begins: --from, --to");
    }
    let source = arguments.source.open().await?;
    let mut log = Log::of(&arguments.person);
    let verification = source.verification(None, MOST_FINDINGS);
    let verified = verification
        .read(&mut |entry| log.take(entry), &mut |_| ())
        .await?;
    if !verified.sound {
        output::tell(&unsound(&verified));
        return Ok(Outcome::Findings);
    }
    let place = &verified.place;
    if verified.entries == 0 {
        bail!(
            "{place}: no record is here; is it the folder or prefix that the operator records to (the one that holds {})?",
            layout::CHAINS
        );
    }
    let log = log
        .finish(&verified.chains)
        .with_context(|| place.clone())?;
    if let Some(tenant) = &arguments.tenant {
        ensure!(
            log.knows(tenant),
            "{place}: no chain names a tenant {tenant}; `kubectl tenure ledger show` lists them"
        );
    }
    let not_shown = [&verified.not_shown[..], &arguments.source.not_shown()].concat();
    let report = Report {
        person: arguments.person.clone(),
        from,
        to,
        tenant: arguments.tenant.clone(),
        record: place.clone(),
        chains: verified.chains.iter().map(Into::into).collect(),
        not_shown,
        accesses: log.within(from, to, arguments.tenant.as_deref()),
    };
    output::print(&match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&report)?),
        false => readable(&report, arguments.language),
    })?;
    for what in report.not_shown.iter().filter(|_| !arguments.json) {
        output::tell(&format!("Not shown: {what}"));
    }
    Ok(Outcome::Fine)
}

fn unsound(verified: &Verified) -> String {
    let first = verified.findings.first();
    let first = first.map_or_else(String::new, |finding| format!(" {finding}."));
    format!(
        "{}: the record is not sound, so nothing is reported.{first} Run `kubectl tenure ledger verify`.",
        verified.place
    )
}
