//! The catalogue against an independent list of ids and against the shapes of the norms.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Condition, controls};
use crate::guards::{DEPENDENCIES, GUARDS};
use crate::reason::Reason;
use tenure_crds::customer_tenant::Profile;
use tenure_crds::status::Mode;

/// Ids and modes as the design lists them, typed a second time on purpose.
const LISTED: &str = "
dsa-1-purpose-limitation Enforced
dsa-1-customer-instructions Attested
dsa-2.0-need-to-know Enforced
dsa-2.0-risk-based-programme Attested
dsa-2.1-security-policy Attested
dsa-2.1-roles-assigned Detected
dsa-2.1-remote-access-procedure Attested
dsa-2.2-annual-training Enforced
dsa-2.3-acceptable-use Enforced
dsa-2.3-managed-devices Attested
dsa-2.3-asset-inventory Detected
dsa-2.3-classification Enforced
dsa-2.3-secure-deletion Workflow
dsa-2.3-return-of-assets Workflow
dsa-2.4-role-based-access Enforced
dsa-2.4-separation-of-duties Enforced
dsa-2.4-quarterly-access-review Workflow
dsa-2.4-quarterly-privileged-review Workflow
dsa-2.4-mfa Enforced
dsa-2.4-vpn-or-zero-trust Detected
dsa-2.4-immediate-revocation Enforced
dsa-2.4-unique-user-ids Enforced
dsa-2.4-password-lifecycle Attested
dsa-2.4-no-mail-forwarding Attested
dsa-2.5-physical-security Attested
dsa-2.5-media-disposal Attested
dsa-2.6-logical-separation Enforced
dsa-2.6-key-separation-of-duties Enforced
dsa-2.6-encryption-in-transit-edge Enforced
dsa-2.6-encryption-in-transit-within Detected
dsa-2.6-encryption-at-rest Enforced
dsa-2.6-monitoring-and-logging Detected
dsa-2.6-regular-assessment Workflow
dsa-2.7-event-classes Detected
dsa-2.7-log-protection Enforced
dsa-2.7-log-retention Enforced
dsa-2.7-continuous-monitoring Detected
dsa-2.7-customer-log-access Enforced
dsa-2.8-network-segmentation Enforced
dsa-2.8-web-application-firewall Enforced
dsa-2.8-dmz Enforced
dsa-2.8-intrusion-detection Attested
dsa-2.9-telework-exclusion Enforced
dsa-2.9-shielded-workspace Attested
dsa-2.9-telework-devices Attested
dsa-2.9-logs-on-request Enforced
dsa-2.10-subcontractor-agreements Enforced
dsa-2.10-subcontractor-monitoring Attested
dsa-2.11-triage Workflow
dsa-2.11-notification Workflow
dsa-2.11-non-disclosure Attested
dsa-2.11-investigation-and-report Workflow
dsa-2.12-annual-assessment-report Attested
dsa-2.12-findings-within-90-days Workflow
dsa-2.13-return-or-destroy Workflow
dsa-2.13-within-ninety-days Detected
dsa-2.13-every-location Detected
dsa-2.13-access-ended-certificate Workflow
dsa-3-end-of-agreement Workflow
dsa-4-amendments Enforced
dsa-7-force-majeure Workflow
dsa-9-transfer Attested
dsa-5 Legal
dsa-6 Legal
dsa-10 Legal
dsa-11 Legal
dsa-12 Legal
sec-1-confidentiality Enforced
sec-1-third-party-consent Enforced
sec-2-return-or-destroy Workflow
sec-4-change-impact Workflow
sec-5-appropriate-measures Enforced
sec-6-remote-maintenance Enforced
sec-6-regular-updates Detected
sec-3 Legal
";

/// Every clause of the two agreements that has a number of its own.
const DSA_CLAUSES: [&str; 25] = [
    "1", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11",
    "2.12", "2.13", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];
const SEC_CLAUSES: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

/// The 106 subcategories of NIST CSF 2.0, by category.
const CSF: &[(&str, &[u8])] = &[
    ("GV.OC", &[1, 2, 3, 4, 5]),
    ("GV.RM", &[1, 2, 3, 4, 5, 6, 7]),
    ("GV.RR", &[1, 2, 3, 4]),
    ("GV.PO", &[1, 2]),
    ("GV.OV", &[1, 2, 3]),
    ("GV.SC", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("ID.AM", &[1, 2, 3, 4, 5, 7, 8]),
    ("ID.RA", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("ID.IM", &[1, 2, 3, 4]),
    ("PR.AA", &[1, 2, 3, 4, 5, 6]),
    ("PR.AT", &[1, 2]),
    ("PR.DS", &[1, 2, 10, 11]),
    ("PR.PS", &[1, 2, 3, 4, 5, 6]),
    ("PR.IR", &[1, 2, 3, 4]),
    ("DE.CM", &[1, 2, 3, 6, 9]),
    ("DE.AE", &[2, 3, 4, 6, 7, 8]),
    ("RS.MA", &[1, 2, 3, 4, 5]),
    ("RS.AN", &[3, 6, 7, 8]),
    ("RS.CO", &[2, 3]),
    ("RS.MI", &[1, 2]),
    ("RC.RP", &[1, 2, 3, 4, 5, 6]),
    ("RC.CO", &[3, 4]),
];

/// Safeguards per control of CIS v8.1; 153 in all.
const CIS: [u8; 18] = [5, 7, 14, 12, 6, 8, 7, 12, 7, 7, 5, 8, 11, 9, 7, 14, 9, 5];

/// Controls per domain of CSA CCM v4; 197 in all.
const CCM: &[(&str, u8)] = &[
    ("A&A", 6),
    ("AIS", 7),
    ("BCR", 11),
    ("CCC", 9),
    ("CEK", 21),
    ("DCS", 15),
    ("DSP", 19),
    ("GRC", 8),
    ("HRS", 13),
    ("IAM", 16),
    ("IPY", 4),
    ("IVS", 9),
    ("LOG", 13),
    ("SEF", 8),
    ("STA", 14),
    ("TVM", 10),
    ("UEM", 14),
];

/// Controls per theme of ISO/IEC 27001:2022 Annex A; 93 in all.
const ISO: &[(u8, u8)] = &[(5, 37), (6, 8), (7, 14), (8, 34)];

fn number(text: &str) -> u8 {
    assert!(
        text == "0" || !text.starts_with('0') || text.len() == 2,
        "{text}"
    );
    text.parse().unwrap()
}

fn is_iso(id: &str) -> bool {
    let Some((theme, control)) = id.strip_prefix("A.").and_then(|it| it.split_once('.')) else {
        return false;
    };
    !control.starts_with('0')
        && ISO
            .iter()
            .any(|(known, last)| number(theme) == *known && (1..=*last).contains(&number(control)))
}

fn is_cis(id: &str) -> bool {
    let Some((control, safeguard)) = id.split_once('.') else {
        return false;
    };
    let last = CIS
        .get(usize::from(number(control)).wrapping_sub(1))
        .copied()
        .unwrap_or(0);
    !safeguard.starts_with('0') && (1..=last).contains(&number(safeguard))
}

fn is_csf(id: &str) -> bool {
    let Some((category, subcategory)) = id.split_once('-') else {
        return false;
    };
    subcategory.len() == 2
        && CSF
            .iter()
            .any(|(known, numbers)| *known == category && numbers.contains(&number(subcategory)))
}

fn is_ccm(id: &str) -> bool {
    let Some((domain, control)) = id.rsplit_once('-') else {
        return false;
    };
    control.len() == 2
        && CCM
            .iter()
            .any(|(known, last)| *known == domain && (1..=*last).contains(&number(control)))
}

#[test]
fn norm_tables_of_this_test_have_the_published_sizes() {
    assert_eq!(
        ISO.iter().map(|(_, last)| u32::from(*last)).sum::<u32>(),
        93
    );
    assert_eq!(CIS.iter().map(|last| u32::from(*last)).sum::<u32>(), 153);
    assert_eq!(
        CSF.iter().map(|(_, numbers)| numbers.len()).sum::<usize>(),
        106
    );
    assert_eq!(
        CCM.iter().map(|(_, last)| u32::from(*last)).sum::<u32>(),
        197
    );
}

#[test]
fn ids_and_modes_are_exactly_the_listed_ones() {
    let listed: BTreeMap<&str, &str> = LISTED
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .collect();
    let ours: BTreeMap<&str, String> = controls()
        .map(|control| (control.id, format!("{:?}", control.mode)))
        .collect();
    let ours: BTreeMap<&str, &str> = ours.iter().map(|(id, mode)| (*id, mode.as_str())).collect();
    assert_eq!(ours, listed);
    assert_eq!(controls().count(), listed.len(), "an id stands twice");
}

#[test]
fn ids_are_kebab_and_begin_with_profile_and_clause() {
    for control in controls() {
        let id = control.id;
        assert!(id.len() <= 63, "{id}");
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'),
            "{id}"
        );
        assert!(!id.contains("--") && !id.ends_with('-'), "{id}");
        let prefix = match control.profile {
            Profile::Dsa => "dsa",
            Profile::SupplierParagraph => "sec",
        };
        let clause = id
            .strip_prefix(&format!("{prefix}-"))
            .unwrap()
            .split('-')
            .next()
            .unwrap();
        assert!(
            control.clauses.contains(&clause),
            "{id} does not serve clause {clause}"
        );
    }
}

#[test]
fn every_clause_of_both_agreements_is_served_and_none_is_invented() {
    let mut dsa = BTreeSet::new();
    let mut sec = BTreeSet::new();
    for control in controls() {
        for clause in control.clauses {
            let own = match control.profile {
                Profile::Dsa => &mut dsa,
                Profile::SupplierParagraph => &mut sec,
            };
            match clause.strip_prefix("SEC ") {
                Some(other) => sec.insert(other),
                None => own.insert(*clause),
            };
        }
    }
    assert_eq!(dsa, BTreeSet::from(DSA_CLAUSES));
    assert_eq!(sec, BTreeSet::from(SEC_CLAUSES));
}

#[test]
fn titles_are_there_in_three_languages_and_differ() {
    let mut seen = BTreeSet::new();
    for control in controls() {
        let title = &control.title;
        for text in [title.nl, title.fr, title.en] {
            assert!(
                !text.trim().is_empty() && text == text.trim(),
                "{}",
                control.id
            );
            assert!(!text.contains('|'), "{}: breaks the table", control.id);
            assert!(
                seen.insert((control.profile == Profile::Dsa, text)),
                "{}: {text} stands twice",
                control.id
            );
        }
    }
}

#[test]
fn norm_references_exist() {
    for control in controls() {
        let norms = &control.norms;
        for (ids, is_known) in [
            (norms.iso27001, is_iso as fn(&str) -> bool),
            (norms.cis, is_cis),
            (norms.nist_csf, is_csf),
            (norms.csa_ccm, is_ccm),
        ] {
            assert_eq!(
                ids.iter().collect::<BTreeSet<_>>().len(),
                ids.len(),
                "{}: twice",
                control.id
            );
            for id in ids {
                assert!(is_known(id), "{}: {id}", control.id);
            }
        }
    }
}

#[test]
fn norm_check_refuses_what_does_not_exist() {
    for id in ["A.5.38", "A.9.1", "A.6.9", "5.1", "A.8.0", "A.8.01"] {
        assert!(!is_iso(id), "{id}");
    }
    for id in ["19.1", "3.15", "0.1", "3"] {
        assert!(!is_cis(id), "{id}");
    }
    for id in ["PR.AC-01", "ID.AM-06", "DE.CM-04", "PR.DS-1"] {
        assert!(!is_csf(id), "{id}");
    }
    for id in ["IAM-17", "IVS-10", "XYZ-01", "IAM-5"] {
        assert!(!is_ccm(id), "{id}");
    }
}

#[test]
fn what_is_evaluated_refers_to_norms_and_has_parts_and_a_page() {
    for control in controls() {
        let id = control.id;
        assert!(
            !control.means.is_empty() && !control.means.contains('|'),
            "{id}"
        );
        if control.mode == Mode::Legal {
            assert!(
                control.parts.is_empty() && control.runbook().is_none(),
                "{id}"
            );
            continue;
        }
        assert!(
            !control.norms.iso27001.is_empty(),
            "{id} has no ISO reference"
        );
        assert!(
            !control.norms.nist_csf.is_empty() && !control.norms.csa_ccm.is_empty(),
            "{id}"
        );
        assert!(
            !control.parts.is_empty() && control.runbook().is_some(),
            "{id}"
        );
        assert!(
            control.parts.iter().any(|part| part.mode == control.mode),
            "{id}: no part of its own mode"
        );
        let names: BTreeSet<_> = control.parts.iter().map(|part| part.name).collect();
        assert!(
            names.len() == control.parts.len() && !names.contains("guards"),
            "{id}: part names"
        );
    }
}

#[test]
fn only_clauses_with_a_condition_in_the_text_are_conditional() {
    for control in controls() {
        let wanted = match control.clauses[0] {
            _ if control.id == "sec-1-third-party-consent" => Condition::Subcontractors,
            "2.5" => Condition::OwnDatacentre,
            // 2.8 asks for the review too, and without a condition.
            "2.6" if control.clauses != ["2.6", "2.8"] => Condition::PublicCloud,
            "2.9" => Condition::Telework,
            "2.10" => Condition::Subcontractors,
            _ => Condition::None,
        };
        assert_eq!(control.condition, wanted, "{}", control.id);
    }
}

#[test]
fn guards_in_the_table_exist_and_each_carries_a_control() {
    let used: BTreeSet<&str> = DEPENDENCIES
        .iter()
        .flat_map(|(_, guards)| guards.iter().copied())
        .collect();
    assert_eq!(used, BTreeSet::from(GUARDS));
    let ids: BTreeSet<&str> = DEPENDENCIES.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), DEPENDENCIES.len(), "a control stands twice");
    for id in ids {
        assert!(super::control(id).is_some(), "{id}");
    }
}

#[test]
fn reasons_are_distinct_words_that_explain_themselves() {
    let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(reason.as_str(), format!("{reason:?}"));
        assert!(
            !reason.explain().is_empty() && !reason.explain().contains('|'),
            "{reason:?}"
        );
    }
}

#[test]
fn a_part_nothing_can_see_says_what_to_do() {
    for control in controls() {
        for part in control.parts {
            if let Check::Missing(reason) = part.check {
                assert!(reason.explain().len() > 40, "{}: {reason:?}", control.id);
            }
        }
    }
}
