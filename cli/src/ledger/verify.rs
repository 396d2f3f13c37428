//! `kubectl tenure ledger verify`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tenure_evidence::ChainId;
use tenure_evidence::verify::{ChainReport, Progress, Report};

use super::source::Source;
use super::time;
use crate::Outcome;
use crate::output::{self, count, plain, table};

/// Findings beyond this many are counted, not listed.
const MOST_FINDINGS: usize = 1_000;
/// How often the progress moves.
const TICK: Duration = Duration::from_millis(200);

/// What a verification needs.
const HELP: &str = "\
Reads every object of a record once, in order, and holds it against the published key list: entries
that were removed, changed, moved, doubled or forged are found, and so is what is missing at the
end, where a checkpoint from outside the record knows of it. Nothing is written, no cluster is
asked, and a copy on a disk is as good as the original.

The key list must come from where the provider publishes it, never from the record: whoever can
rewrite a record can also put a key beside it. Checkpoints bear out a record's end only where its
writer could not overwrite them: in the second place, or with somebody who kept one.";

const AFTER: &str = "\
Exit codes:
  0  sound, as far as was checked; what was not shown is listed
  1  findings
  2  not verified: wrong usage, or something could not be read

Examples:
  kubectl tenure ledger verify /mnt/record --keys keys.json --second-place /mnt/checkpoints
  kubectl tenure ledger verify s3://records/cluster-1 --s3-region eu-central-1 --keys keys.json";

/// Find out whether a record stands as it was written.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Only this chain: `platform`, or a tenantID.
    #[arg(long, value_name = "ID", value_parser = super::chain)]
    chain: Option<ChainId>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let source = arguments.source.open().await?;
    let verification = source.verification(arguments.chain, MOST_FINDINGS);
    let bar = bar(arguments.json);
    let report = verification.run(&mut |progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    let mut report = report?;
    if report.entries == 0 && report.findings.is_empty() {
        bail!(nothing(arguments, &report));
    }
    report.not_shown.extend(not_shown(arguments));
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        let keys = count(source.keys.keys.len() as u64, "key", "keys");
        let keys = format!("{} ({keys})", arguments.source.keys.display());
        readable(&report, &keys, source.kept.len())
    };
    // Who closed the pipe still gets the result as an exit code.
    if let Err(error) = output::print(&text).map_err(anyhow::Error::from)
        && !output::is_closed(&error)
    {
        return Err(error);
    }
    Ok(if report.sound {
        Outcome::Fine
    } else {
        Outcome::Findings
    })
}

/// Nothing was read: that is no sound record.
fn nothing(arguments: &Arguments, report: &Report) -> String {
    let place = &report.place;
    match arguments.chain {
        Some(chain) => format!(
            "{place}: it holds no entry of chain {chain}, so nothing was verified; `kubectl tenure ledger show` lists its chains"
        ),
        None => format!(
            "{place}: it holds no entry, so nothing was verified; is it the folder or prefix that the operator records to (the one that holds v1/chains)?"
        ),
    }
}

/// What this program knows of what was not shown, beyond what the verification does.
fn not_shown(arguments: &Arguments) -> Vec<String> {
    let mut not_shown = Vec::new();
    if let Some(chain) = arguments.chain {
        not_shown.push(format!(
            "anything about other chains than {chain} (--chain)"
        ));
    }
    not_shown.extend(arguments.source.not_shown());
    not_shown
}

fn bar(is_hidden: bool) -> ProgressBar {
    if is_hidden {
        return ProgressBar::hidden();
    }
    // Hidden by itself where the standard error is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress {
        chains,
        segments,
        entries,
    } = progress;
    bar.set_message(format!(
        "{} entries in {} segments checked, {} chains done",
        HumanCount(entries),
        HumanCount(segments),
        HumanCount(chains)
    ));
}

/// The report for people: what was checked, what was found, what was not shown, and the result last.
fn readable(report: &Report, keys: &str, kept: usize) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("Record        {}", plain(&report.place)));
    if let Some(place) = &report.second_place {
        line(&format!("Second place  {}", plain(place)));
    }
    if kept > 0 {
        let kept = count(kept as u64, "checkpoint", "checkpoints");
        line(&format!("Kept          {kept}"));
    }
    line(&format!("Keys          {}", plain(keys)));
    let head = ["CHAIN", "ENTRIES", "FROM", "UNTIL", "BORNE OUT", "FINDINGS"];
    let rows: Vec<_> = report.chains.iter().map(row).collect();
    line(&format!("\n{}", table(head, &rows)));
    for chain in report.chains.iter().filter(|chain| chain.clock_steps > 0) {
        let steps = count(chain.clock_steps, "time", "times");
        line(&format!(
            "The clock of who wrote {} stepped back {steps}; its order is that of its places. No finding.\n",
            chain.chain
        ));
    }
    if !report.findings.is_empty() {
        line("Findings");
    }
    for finding in &report.findings {
        line(&format!("  {}", plain(&finding.to_string())));
    }
    if report.more_findings > 0 {
        line(&format!(
            "  and {} more, which are not listed",
            report.more_findings
        ));
    }
    if !report.findings.is_empty() {
        line("");
    }
    line(CHECKED);
    line("\nNot shown");
    for what in &report.not_shown {
        line(&format!("  - {}", plain(what)));
    }
    line(ALWAYS);
    line(&verdict(report));
    text
}

/// What a verification always does.
const CHECKED: &str = "\
Checked
  - each entry holds the digest of the one before it, from the first place on, without gaps, doubles or strangers
  - each segment's checkpoint is signed by a key of the list that was in use then, and is for what stands above it
  - each checkpoint given from outside is for what the record holds at its place";

/// What no verification can show.
const ALWAYS: &str = "  - that the operator recorded everything, or that what it recorded was true: only that nothing of it was changed since\n";

fn row(chain: &ChainReport) -> [String; 6] {
    let at = |at: Option<_>| at.map_or_else(|| "-".into(), time);
    let borne_out = match chain.borne_out {
        Some(place) if place >= chain.last => "to its end".into(),
        Some(place) => format!("up to {place} of {}", chain.last),
        None => "not at all".into(),
    };
    let findings = match chain.findings {
        0 => "-".into(),
        findings => findings.to_string(),
    };
    [
        chain.chain.to_string(),
        chain.entries.to_string(),
        at(chain.from),
        at(chain.until),
        borne_out,
        findings,
    ]
}

fn verdict(report: &Report) -> String {
    let read = format!(
        "{} in {} of {}",
        count(report.entries, "entry", "entries"),
        count(report.segments, "segment", "segments"),
        count(report.chains.len() as u64, "chain", "chains")
    );
    if report.sound {
        return format!("SOUND, as far as was checked: {read} stand as they were written.");
    }
    let findings = report.findings.len() as u64 + report.more_findings;
    let mut text = format!(
        "NOT SOUND: {} in {read}.",
        count(findings, "finding", "findings")
    );
    let _ = write!(
        text,
        "\nKeep this copy as it is, compare it with other copies and the second place, and follow the runbook record-broken."
    );
    text
}

#[cfg(test)]
mod tests {
    use tenure_evidence::Digest;
    use tenure_evidence::verify::{Finding, Kind};

    use super::*;

    fn chain(chain: &str, last: u64, borne_out: Option<u64>) -> ChainReport {
        ChainReport {
            chain: chain.parse().unwrap(),
            last,
            head: Digest::of(b"head"),
            entries: last,
            from: Some("2026-01-01T08:00:00.25Z".parse().unwrap()),
            until: Some("2026-03-01T08:00:00Z".parse().unwrap()),
            borne_out,
            clock_steps: 0,
            findings: 0,
        }
    }

    fn report(chains: Vec<ChainReport>) -> Report {
        Report {
            place: "/mnt/record".into(),
            second_place: None,
            sound: true,
            entries: chains.iter().map(|chain| chain.entries).sum(),
            segments: 2,
            chains,
            findings: Vec::new(),
            more_findings: 0,
            not_shown: Vec::new(),
        }
    }

    #[test]
    fn a_sound_record_says_what_was_checked_and_what_was_not_shown() {
        let mut report = report(vec![
            chain("platform", 1, Some(1)),
            chain("00000000-0000-0000-0000-000000000007", 4, Some(3)),
        ]);
        report.second_place = Some("/mnt/second".into());
        report.chains[1].clock_steps = 2;
        report.not_shown = vec!["that nothing is missing at the end of 1 of 2 chains".into()];
        let expect = "\
Record        /mnt/record
Second place  /mnt/second
Keys          keys.json (2 keys)

CHAIN                                 ENTRIES  FROM                  UNTIL                 BORNE OUT    FINDINGS
platform                              1        2026-01-01T08:00:00Z  2026-03-01T08:00:00Z  to its end   -
00000000-0000-0000-0000-000000000007  4        2026-01-01T08:00:00Z  2026-03-01T08:00:00Z  up to 3 of 4  -

The clock of who wrote 00000000-0000-0000-0000-000000000007 stepped back 2 times; its order is that of its places. No finding.

Checked
  - each entry holds the digest of the one before it, from the first place on, without gaps, doubles or strangers
  - each segment's checkpoint is signed by a key of the list that was in use then, and is for what stands above it
  - each checkpoint given from outside is for what the record holds at its place

Not shown
  - that nothing is missing at the end of 1 of 2 chains
  - that the operator recorded everything, or that what it recorded was true: only that nothing of it was changed since

SOUND, as far as was checked: 5 entries in 2 segments of 2 chains stand as they were written.
";
        let squeezed = |text: &str| {
            let lines = text.lines().map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words.join(" ")
            });
            lines.collect::<Vec<_>>()
        };
        let text = readable(&report, "keys.json (2 keys)", 0);
        assert_eq!(squeezed(&text), squeezed(expect), "{text}");
    }

    #[test]
    fn findings_are_listed_and_their_text_cannot_steer_a_terminal() {
        let mut report = report(vec![chain("platform", 2, None)]);
        report.sound = false;
        report.chains[0].findings = 3;
        report.more_findings = 2;
        report.findings = vec![Finding {
            kind: Kind::Stray,
            chain: Some(ChainId::Platform),
            key: "v1/chains/platform/\u{1b}[2J".into(),
            what: "no object belongs here".into(),
        }];
        let text = readable(&report, "keys.json (1 key)", 1);
        let expect = "\
Findings
  Stray: v1/chains/platform/\\u{1b}[2J: no object belongs here
  and 2 more, which are not listed
";
        assert!(text.contains(expect), "{text}");
        assert!(text.contains("Kept          1 checkpoint\n"), "{text}");
        assert!(text.contains("not at all"), "{text}");
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(
            last[1],
            "NOT SOUND: 3 findings in 2 entries in 2 segments of 1 chain."
        );
        assert!(last[0].contains("runbook record-broken"), "{text}");
    }
}
