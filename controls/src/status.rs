//! From findings to what stands in a tenant's status: small, stable, deterministic.

use std::fmt;

use jiff::Timestamp;
use tenure_crds::status::{ControlStatus, Party, Verdict};

use crate::catalogue::{Control, Severity, control};
use crate::evaluate::{Finding, rank};
use crate::reason::Reason;

/// Most bytes `status.controls` may take, as compact JSON.
pub const MAX_STATUS_BYTES: usize = 16 * 1024;
/// Most bytes one message may take, as JSON.
pub const MAX_MESSAGE_BYTES: usize = 240;
/// A message shorter than this says nothing; it is left out instead.
const LEAST_MESSAGE_BYTES: usize = 24;
/// What a message costs beside its text: `,"message":""`.
const MESSAGE_FRAME_BYTES: usize = 13;
/// What marks a message that was cut.
const CUT: char = '…';

/// How many controls are Compliant, of how many that apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Controls that are Compliant.
    pub compliant: usize,
    /// Controls that apply: all but the NotApplicable ones, Legal clauses among them.
    pub applicable: usize,
}

impl Summary {
    /// Whether everything that applies is Compliant. Nothing applying is not compliance.
    pub fn is_compliant(self) -> bool {
        self.applicable > 0 && self.compliant == self.applicable
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.compliant, self.applicable)
    }
}

/// Counts findings: NotCovered and Unknown count against, NotApplicable does not count.
pub fn summary(findings: &[Finding]) -> Summary {
    let count =
        |wanted: fn(Verdict) -> bool| findings.iter().filter(|it| wanted(it.verdict)).count();
    Summary {
        compliant: count(|verdict| verdict == Verdict::Compliant),
        applicable: count(|verdict| verdict != Verdict::NotApplicable),
    }
}

/// What stands in status for these findings, in their order.
///
/// `since` is kept while the verdict is the same. A message stands only where it says more than
/// the reason, cut to [`MAX_MESSAGE_BYTES`]; where room runs out, the worst findings keep theirs,
/// so that the whole stays within [`MAX_STATUS_BYTES`].
pub fn to_status(
    findings: &[Finding],
    previous: &[ControlStatus],
    now: Timestamp,
) -> Vec<ControlStatus> {
    let mut status: Vec<ControlStatus> = findings
        .iter()
        .map(|finding| entry(finding, previous, now))
        .collect();
    let mut room = MAX_STATUS_BYTES.saturating_sub(bytes(&status));
    for index in by_weight(findings) {
        let Some(finding) = findings.get(index).filter(|finding| says_more(finding)) else {
            continue;
        };
        let most = MAX_MESSAGE_BYTES.min(room.saturating_sub(MESSAGE_FRAME_BYTES));
        if most < LEAST_MESSAGE_BYTES {
            break;
        }
        let message = cut(&finding.message, most);
        room -= json_bytes(&message) + MESSAGE_FRAME_BYTES;
        status[index].message = Some(message);
    }
    status
}

fn entry(finding: &Finding, previous: &[ControlStatus], now: Timestamp) -> ControlStatus {
    ControlStatus {
        id: finding.id.to_owned(),
        verdict: finding.verdict,
        reason: finding.reason.as_str().to_owned(),
        message: None,
        since: since(finding, previous, now).to_string(),
        responsible: Some(finding.responsible).filter(|party| *party != Party::Provider),
    }
}

/// Since when the verdict is the same, in whole seconds; now where that cannot be read.
fn since(finding: &Finding, previous: &[ControlStatus], now: Timestamp) -> Timestamp {
    let at = previous
        .iter()
        .find(|it| it.id == finding.id && it.verdict == finding.verdict)
        .and_then(|it| it.since.parse::<Timestamp>().ok())
        .filter(|since| *since <= now)
        .unwrap_or(now);
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Whether the message says more than the reason does for everybody.
fn says_more(finding: &Finding) -> bool {
    finding.message != finding.reason.explain() && finding.reason != Reason::LegalClause
}

/// Indices, the findings that matter most first.
fn by_weight(findings: &[Finding]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by_key(|index| {
        let finding = &findings[*index];
        (
            rank(finding.verdict),
            std::cmp::Reverse(severity(finding)),
            *index,
        )
    });
    order
}

fn severity(finding: &Finding) -> Severity {
    control(finding.id).map_or(Severity::Critical, |control: &Control| control.severity)
}

fn bytes(status: &[ControlStatus]) -> usize {
    serde_json::to_vec(status).map_or(MAX_STATUS_BYTES, |json| json.len())
}

/// Bytes of a character inside a JSON string as serde_json writes it.
fn json_char_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if (c as u32) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

fn json_bytes(text: &str) -> usize {
    text.chars().map(json_char_bytes).sum()
}

/// At most `most` bytes of JSON, cut between characters and marked where cut.
fn cut(text: &str, most: usize) -> String {
    if json_bytes(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(CUT.len_utf8());
    let mut kept = String::new();
    for c in text.chars() {
        let cost = json_char_bytes(c);
        if cost > left {
            break;
        }
        left -= cost;
        kept.push(c);
    }
    kept.push(CUT);
    kept
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
