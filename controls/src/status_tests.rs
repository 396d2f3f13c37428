#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tenure_crds::status::{ControlStatus, Party, Verdict};

use super::{MAX_MESSAGE_BYTES, MAX_STATUS_BYTES, cut, json_bytes, summary, to_status};
use crate::catalogue::controls;
use crate::evaluate::{Finding, evaluate_all};
use crate::facts::Facts;
use crate::reason::Reason;

fn now() -> Timestamp {
    "2026-11-23T08:00:00.123456789Z".parse().unwrap()
}

fn finding(id: &'static str, verdict: Verdict, reason: Reason, message: &str) -> Finding {
    Finding {
        id,
        verdict,
        reason,
        message: message.into(),
        objects: vec![],
        parts: vec![],
        responsible: Party::Provider,
    }
}

fn json(status: &[ControlStatus]) -> usize {
    serde_json::to_vec(status).unwrap().len()
}

#[test]
fn summary_counts_gaps_against_and_leaves_the_inapplicable_out() {
    let verdicts = [
        Verdict::Compliant,
        Verdict::Drifted,
        Verdict::Expired,
        Verdict::Unknown,
        Verdict::NotCovered,
        Verdict::NotApplicable,
    ];
    let findings: Vec<_> = verdicts
        .iter()
        .map(|it| finding("dsa-2.8-dmz", *it, Reason::AsObserved, ""))
        .collect();
    let all = summary(&findings);
    assert_eq!(all.to_string(), "1/5");
    assert!(!all.is_compliant());
    assert!(summary(&findings[..1]).is_compliant());
}

#[test]
fn nothing_applying_is_not_compliance() {
    assert!(!summary(&[]).is_compliant());
    let legal = finding("dsa-5", Verdict::NotApplicable, Reason::LegalClause, "");
    assert!(!summary(&[legal]).is_compliant());
}

#[test]
fn since_is_kept_while_the_verdict_is_the_same() {
    let old = "2026-11-01T00:00:00Z";
    let before = |verdict, since: &str| {
        [ControlStatus {
            id: "dsa-2.8-dmz".into(),
            verdict,
            reason: "UndeclaredFlow".into(),
            message: None,
            since: since.into(),
            responsible: None,
        }]
    };
    let findings = [finding(
        "dsa-2.8-dmz",
        Verdict::Drifted,
        Reason::ObjectsDiffer,
        "x",
    )];
    let since = |previous: &[ControlStatus]| to_status(&findings, previous, now())[0].since.clone();
    assert_eq!(
        since(&before(Verdict::Drifted, old)),
        old,
        "another reason, the same verdict"
    );
    assert_eq!(
        since(&before(Verdict::Compliant, old)),
        "2026-11-23T08:00:00Z"
    );
    assert_eq!(since(&[]), "2026-11-23T08:00:00Z");
    assert_eq!(
        since(&before(Verdict::Drifted, "yesterday")),
        "2026-11-23T08:00:00Z"
    );
    assert_eq!(
        since(&before(Verdict::Drifted, "2027-01-01T00:00:00Z")),
        "2026-11-23T08:00:00Z"
    );
}

#[test]
fn settled_findings_give_the_same_status_again() {
    let findings = evaluate_all(&crate::evaluate::good_facts(), now());
    let first = to_status(&findings, &[], now());
    let later = to_status(&findings, &first, now() + SignedDuration::from_hours(5));
    assert_eq!(first, later);
}

#[test]
fn message_stands_only_where_it_says_more_than_the_reason() {
    let findings = [
        finding(
            "dsa-2.8-dmz",
            Verdict::Drifted,
            Reason::UndeclaredFlow,
            "a -> b",
        ),
        finding(
            "dsa-9-transfer",
            Verdict::NotCovered,
            Reason::NoAttestation,
            Reason::NoAttestation.explain(),
        ),
        finding(
            "dsa-5",
            Verdict::NotApplicable,
            Reason::LegalClause,
            "clause 5: Acceptance",
        ),
        finding(
            "dsa-2.4-mfa",
            Verdict::NotApplicable,
            Reason::AmendedOut,
            "amendment 2: agreed",
        ),
    ];
    let status = to_status(&findings, &[], now());
    let messages: Vec<_> = status.iter().map(|it| it.message.as_deref()).collect();
    assert_eq!(
        messages,
        [Some("a -> b"), None, None, Some("amendment 2: agreed")]
    );
}

#[test]
fn party_stands_only_where_it_is_not_the_provider() {
    let mut findings = vec![finding(
        "dsa-2.8-dmz",
        Verdict::Compliant,
        Reason::AsObserved,
        "",
    )];
    assert_eq!(to_status(&findings, &[], now())[0].responsible, None);
    findings[0].responsible = Party::Customer;
    assert_eq!(
        to_status(&findings, &[], now())[0].responsible,
        Some(Party::Customer)
    );
}

/// Every control at its longest: verdict, reason, party, and a message that JSON makes six times as long.
fn worst(message: &str) -> Vec<Finding> {
    let longest = *Reason::ALL
        .iter()
        .max_by_key(|reason| reason.as_str().len())
        .unwrap();
    controls()
        .map(|control| Finding {
            responsible: Party::Customer,
            ..finding(control.id, Verdict::NotApplicable, longest, message)
        })
        .collect()
}

#[test]
fn worst_case_stays_within_its_room_and_uses_it() {
    for message in [
        "\u{1}".repeat(10_000),
        "é".repeat(10_000),
        "\"\\\n".repeat(10_000),
        "🦀".repeat(10_000),
    ] {
        let status = to_status(&worst(&message), &[], now());
        let size = json(&status);
        assert!(size <= MAX_STATUS_BYTES, "{size}");
        assert!(
            size > MAX_STATUS_BYTES - 2 * MAX_MESSAGE_BYTES,
            "room is left unused: {size}"
        );
        assert_eq!(status.len(), controls().count());
    }
}

#[test]
fn where_room_runs_out_the_worst_findings_keep_their_message() {
    let mut findings = worst(&"x".repeat(1000));
    for (index, finding) in findings.iter_mut().enumerate() {
        finding.verdict = if index % 10 == 9 {
            Verdict::Drifted
        } else {
            Verdict::NotCovered
        };
    }
    let status = to_status(&findings, &[], now());
    assert!(
        status
            .iter()
            .filter(|it| it.verdict == Verdict::Drifted)
            .all(|it| it.message.is_some())
    );
    assert!(
        status.iter().any(|it| it.message.is_none()),
        "the case is not tight"
    );
}

#[test]
fn real_findings_fit_whole() {
    for facts in [Facts::default(), crate::evaluate::good_facts()] {
        let findings = evaluate_all(&facts, now());
        let size = json(&to_status(&findings, &[], now()));
        assert!(size <= MAX_STATUS_BYTES, "{size}");
    }
}

proptest! {
    #[test]
    fn cut_keeps_whole_characters_and_its_bound(text in "\\PC*|[\\x00-\\x1f\"\\\\é🦀]*", most in 24_usize..300) {
        let short = cut(&text, most);
        prop_assert!(json_bytes(&short) <= most);
        prop_assert!(text.starts_with(short.trim_end_matches('…')));
        prop_assert_eq!(short == text, json_bytes(&text) <= most);
    }

    #[test]
    fn json_bytes_are_those_serde_writes(text in "(?s:.)*|[\\x00-\\x20]*") {
        prop_assert_eq!(json_bytes(&text) + 2, serde_json::to_string(&text).unwrap().len());
    }
}
