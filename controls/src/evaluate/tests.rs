//! One behaviour per test, from a tenant for which everything this version can see is right.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tenure_crds::customer_tenant::{ContactRole, ControlOverride, NotApplicable, Profile};
use tenure_crds::status::Verdict::{
    self, Compliant, Drifted, Expired, NotApplicable as Inapplicable, NotCovered, Unknown,
};
use tenure_crds::status::{Mode, Party};
use tenure_crds::tenancy_policy::Hosting;
use tenure_crds::words::{Classification, Enforcement};

use super::{Finding, evaluate, evaluate_all, rank};
use crate::catalogue::{control, controls};
use crate::facts::{
    AccessFacts, AgreementFacts, ApprovalFacts, Demand, Direction, DocumentFacts, DriftItem,
    ExposureFacts, Facts, GrantFault, GuardFacts, LooseningFacts, NamespaceFacts, PlatformFacts,
    ProbeResult, ReachabilityFacts, ReviewFacts, ReviewedAccess, RoleBindingFacts, StorageFacts,
    SuspensionFacts, TenantFacts, UndeclaredFlow, VersionFacts,
};
use crate::guards::{GUARDS, guards_of};
use crate::reason::Reason;

pub(crate) fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// The controls that can be Compliant at all, written down so that no further one becomes so unseen.
const CAN_BE_COMPLIANT: [&str; 26] = [
    "dsa-1-purpose-limitation",
    "dsa-2.0-need-to-know",
    "dsa-2.1-roles-assigned",
    "dsa-2.2-annual-training",
    "dsa-2.3-acceptable-use",
    "dsa-2.3-classification",
    "dsa-2.4-role-based-access",
    "dsa-2.4-separation-of-duties",
    "dsa-2.4-quarterly-access-review",
    "dsa-2.4-quarterly-privileged-review",
    "dsa-2.4-mfa",
    "dsa-2.4-immediate-revocation",
    "dsa-2.4-unique-user-ids",
    "dsa-2.6-logical-separation",
    "dsa-2.6-encryption-in-transit-edge",
    "dsa-2.6-regular-assessment",
    "dsa-2.8-dmz",
    "dsa-2.9-telework-exclusion",
    "dsa-2.10-subcontractor-agreements",
    "dsa-3-end-of-agreement",
    "dsa-4-amendments",
    "dsa-7-force-majeure",
    "sec-1-confidentiality",
    "sec-1-third-party-consent",
    "sec-6-remote-maintenance",
    "sec-6-regular-updates",
];

/// Everything observed, and all of it as it should be.
pub(crate) fn good() -> Facts {
    Facts {
        evaluated_at: Some(ago(1)),
        last_full_pass: Some(ago(2)),
        tenant: Some(TenantFacts {
            name: "acme".into(),
            tenant_id: "6f1f1c9e-6a3e-4a0c-9c1b-5b0a7f6f2d11".into(),
            classification: Classification::Confidential,
            enforcement: Enforcement::Enforce,
            has_owner: true,
            contacts: vec![ContactRole::Security],
            agreements: vec![
                agreement("dsa", Profile::Dsa),
                agreement("paragraph", Profile::SupplierParagraph),
            ],
            controls: vec![],
            subcontractors: vec!["cloud-host".into()],
            suspension: None,
            has_termination: false,
        }),
        platform: Some(PlatformFacts {
            hosting: Hosting {
                own_datacentre: Some(true),
                public_cloud: Some(true),
                telework: Some(true),
                subcontractors: Some(true),
            },
            has_security_contact: true,
            second_factor_configured: true,
            edges: vec!["edge".into()],
            supplier_paragraph_applies: true,
            key_services: vec![],
            log_sinks: vec![],
        }),
        namespaces: Some(vec![NamespaceFacts {
            name: "acme-prod".into(),
            ready: true,
            parked: false,
            differs: vec![],
        }]),
        reachability: Some(ReachabilityFacts::default()),
        probe: Some(ProbeResult {
            at: ago(60),
            counts_until: ago(-60),
            allowed_passed: true,
            denied_stopped: true,
        }),
        guards: Some(GUARDS.iter().map(|name| guard(name)).collect()),
        role_bindings: Some(RoleBindingFacts::default()),
        exposure: Some(ExposureFacts::default()),
        storage: Some(StorageFacts::default()),
        access: Some(AccessFacts {
            has_register: true,
            ..AccessFacts::default()
        }),
        reviews: Some(ReviewFacts::default()),
        approvals: Some(ApprovalFacts::default()),
        loosenings: Some(LooseningFacts::default()),
        versions: Some(VersionFacts {
            cluster: "1.37.2".into(),
            cluster_supported_until: Some(date(2027, 10, 28)),
            operator: "0.1.0".into(),
            operator_supported_until: Some(date(2026, 11, 23)),
        }),
    }
}

fn agreement(name: &str, profile: Profile) -> AgreementFacts {
    AgreementFacts {
        name: name.into(),
        profile,
        signed_on: "2026-01-15".into(),
        expires_on: None,
        document_digest: Some(format!("sha256:{}", "a".repeat(64))),
        amendments: vec![document("amendment-1")],
        instructions: vec![document("policy")],
    }
}

fn document(name: &str) -> DocumentFacts {
    DocumentFacts {
        name: name.into(),
        signed_on: "2026-02-01".into(),
        has_digest: true,
    }
}

fn guard(name: &str) -> GuardFacts {
    GuardFacts {
        name: name.into(),
        text_matches: true,
        proven_at: Some(ago(3)),
        trusted: vec![],
    }
}

fn judged(id: &str, facts: &Facts) -> Finding {
    evaluate(control(id).unwrap(), facts, now())
}

/// Changes the good facts and expects a verdict and reason.
#[track_caller]
fn check(id: &str, change: impl FnOnce(&mut Facts), verdict: Verdict, reason: Reason) -> Finding {
    let mut facts = good();
    change(&mut facts);
    let finding = judged(id, &facts);
    assert_eq!(
        (finding.verdict, finding.reason),
        (verdict, reason),
        "{}",
        finding.message
    );
    finding
}

fn tenant(facts: &mut Facts) -> &mut TenantFacts {
    facts.tenant.as_mut().unwrap()
}

fn platform(facts: &mut Facts) -> &mut PlatformFacts {
    facts.platform.as_mut().unwrap()
}

fn access(facts: &mut Facts) -> &mut AccessFacts {
    facts.access.as_mut().unwrap()
}

fn fault(facts: &mut Facts, demand: Demand) {
    access(facts).faults.push(GrantFault {
        demand,
        what: "AccessGrant/g: no longer".into(),
    });
}

fn differ(facts: &mut Facts, kind: &str) {
    facts.namespaces.as_mut().unwrap()[0]
        .differs
        .push(DriftItem {
            kind: kind.into(),
            name: "thing".into(),
            what: "changed".into(),
        });
}

fn flow(facts: &mut Facts, direction: Direction) {
    facts
        .reachability
        .as_mut()
        .unwrap()
        .undeclared
        .push(UndeclaredFlow {
            direction,
            what: "a -> b".into(),
        });
}

fn inapplicable(facts: &mut Facts, id: &str, amendment: &str) {
    tenant(facts).controls.push(ControlOverride {
        id: id.into(),
        responsible: None,
        reference: None,
        not_applicable: Some(NotApplicable {
            reason: "agreed".into(),
            amendment: amendment.into(),
        }),
    });
}

#[test]
fn exactly_the_listed_controls_are_compliant_where_everything_is_right() {
    let compliant: Vec<&str> = evaluate_all(&good(), now())
        .into_iter()
        .filter(|it| it.verdict == Compliant)
        .map(|it| it.id)
        .collect();
    assert_eq!(compliant, CAN_BE_COMPLIANT);
}

#[test]
fn nothing_observed_makes_every_evaluated_control_unknown() {
    for finding in evaluate_all(&Facts::default(), now()) {
        let legal = control(finding.id).unwrap().mode == Mode::Legal;
        let wanted = if legal {
            (Inapplicable, Reason::LegalClause)
        } else {
            (Unknown, Reason::NotObserved)
        };
        assert_eq!((finding.verdict, finding.reason), wanted, "{}", finding.id);
    }
}

#[test]
fn every_finding_says_why() {
    for facts in [good(), Facts::default()] {
        for finding in evaluate_all(&facts, now()) {
            assert!(!finding.message.is_empty(), "{}", finding.id);
            for part in &finding.parts {
                assert!(!part.message.is_empty(), "{} {}", finding.id, part.name);
            }
        }
    }
}

#[test]
fn legal_clause_names_itself() {
    let finding = check("dsa-11", |_| (), Inapplicable, Reason::LegalClause);
    assert_eq!(finding.message, "clause 11: Governing Law and Jurisdiction");
}

#[test]
fn old_facts_are_stale_after_the_controls_own_interval() {
    let id = "dsa-2.1-roles-assigned";
    check(
        id,
        |facts| facts.evaluated_at = Some(ago(10)),
        Compliant,
        Reason::AsObserved,
    );
    check(
        id,
        |facts| facts.evaluated_at = Some(ago(10) - SignedDuration::from_secs(1)),
        Unknown,
        Reason::Stale,
    );
    // A procedure by the day is asked less often.
    check(
        "dsa-3-end-of-agreement",
        |facts| facts.evaluated_at = Some(ago(59)),
        Compliant,
        Reason::AsObserved,
    );
    check(
        "dsa-3-end-of-agreement",
        |facts| facts.evaluated_at = Some(ago(61)),
        Unknown,
        Reason::Stale,
    );
}

#[test]
fn facts_from_the_future_are_stale_beyond_a_small_skew() {
    let id = "dsa-2.1-roles-assigned";
    check(
        id,
        |facts| facts.evaluated_at = Some(ago(-2)),
        Compliant,
        Reason::AsObserved,
    );
    check(
        id,
        |facts| facts.evaluated_at = Some(ago(-3)),
        Unknown,
        Reason::Stale,
    );
}

#[test]
fn agreement_that_was_not_made_asks_nothing() {
    let only = |profile| {
        move |facts: &mut Facts| tenant(facts).agreements.retain(|it| it.profile == profile)
    };
    check(
        "dsa-2.8-dmz",
        only(Profile::SupplierParagraph),
        Inapplicable,
        Reason::ProfileNotAgreed,
    );
    check(
        "sec-6-regular-updates",
        only(Profile::Dsa),
        Inapplicable,
        Reason::ProfileNotAgreed,
    );
    check(
        "sec-6-regular-updates",
        only(Profile::SupplierParagraph),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn supplier_paragraph_gives_way_to_the_main_contract() {
    let covered = |facts: &mut Facts| platform(facts).supplier_paragraph_applies = false;
    check(
        "sec-4-change-impact",
        covered,
        Inapplicable,
        Reason::CoveredByMainContract,
    );
    check(
        "dsa-2.1-roles-assigned",
        covered,
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn conditional_clause_waits_for_the_answer_and_follows_it() {
    let id = "dsa-2.6-logical-separation";
    let finding = check(
        id,
        |f| platform(f).hosting.public_cloud = None,
        Unknown,
        Reason::HostingUndeclared,
    );
    assert!(
        finding.message.contains("public cloud (2.6)"),
        "{}",
        finding.message
    );
    check(
        id,
        |f| platform(f).hosting.public_cloud = Some(false),
        Inapplicable,
        Reason::ConditionNotMet,
    );
    check(
        "dsa-2.9-telework-devices",
        |f| platform(f).hosting.telework = Some(false),
        Inapplicable,
        Reason::ConditionNotMet,
    );
    check(
        "dsa-2.8-dmz",
        |f| platform(f).hosting = Hosting::default(),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn subcontractors_datacentre_is_asked_the_same_as_ones_own() {
    let hosting = |own, subcontractors| {
        move |facts: &mut Facts| {
            tenant(facts).subcontractors.clear();
            platform(facts).hosting.own_datacentre = own;
            platform(facts).hosting.subcontractors = subcontractors;
        }
    };
    let id = "dsa-2.5-physical-security";
    check(
        id,
        hosting(Some(false), Some(true)),
        NotCovered,
        Reason::NoAttestation,
    );
    check(
        id,
        hosting(Some(false), None),
        Unknown,
        Reason::HostingUndeclared,
    );
    check(
        id,
        hosting(None, Some(false)),
        Unknown,
        Reason::HostingUndeclared,
    );
    check(
        id,
        hosting(Some(false), Some(false)),
        Inapplicable,
        Reason::ConditionNotMet,
    );
}

#[test]
fn named_subcontractor_outweighs_a_platform_that_says_there_are_none() {
    let none = |facts: &mut Facts| platform(facts).hosting.subcontractors = Some(false);
    check(
        "dsa-2.10-subcontractor-agreements",
        none,
        Compliant,
        Reason::AsObserved,
    );
    check(
        "dsa-2.10-subcontractor-agreements",
        |facts| {
            none(facts);
            tenant(facts).subcontractors.clear();
        },
        Inapplicable,
        Reason::ConditionNotMet,
    );
    check(
        "sec-1-third-party-consent",
        |facts| tenant(facts).subcontractors.clear(),
        NotCovered,
        Reason::NoSubcontractorNamed,
    );
}

#[test]
fn not_applicable_needs_a_signed_amendment_of_the_same_agreement() {
    let id = "dsa-2.4-vpn-or-zero-trust";
    let finding = check(
        id,
        |f| inapplicable(f, id, "amendment-1"),
        Inapplicable,
        Reason::AmendedOut,
    );
    assert_eq!(finding.message, "amendment amendment-1: agreed");

    let finding = check(
        id,
        |f| inapplicable(f, id, "hearsay"),
        NotCovered,
        Reason::NoAuditFeed,
    );
    assert!(
        finding
            .message
            .starts_with("declared not applicable, but amendment hearsay"),
        "{}",
        finding.message
    );

    let unsigned_yet = |facts: &mut Facts| {
        inapplicable(facts, id, "amendment-1");
        tenant(facts).agreements[0].amendments[0].signed_on = "2026-11-24".into();
    };
    check(id, unsigned_yet, NotCovered, Reason::NoAuditFeed);
    let other_agreement = |facts: &mut Facts| {
        inapplicable(facts, id, "amendment-1");
        tenant(facts).agreements[0].amendments.clear();
    };
    check(id, other_agreement, NotCovered, Reason::NoAuditFeed);
    // What is declared without an amendment is itself a loosening.
    check(
        "dsa-4-amendments",
        |f| inapplicable(f, id, "hearsay"),
        Drifted,
        Reason::AmendmentMissing,
    );
    check(
        "dsa-4-amendments",
        |f| inapplicable(f, id, "amendment-1"),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn another_party_answers_only_with_its_reference() {
    let id = "dsa-2.2-annual-training";
    let declare = |reference: Option<&str>| {
        let mut facts = good();
        tenant(&mut facts).controls.push(ControlOverride {
            id: id.into(),
            responsible: Some(Party::Customer),
            reference: reference.map(Into::into),
            not_applicable: None,
        });
        judged(id, &facts)
    };
    assert_eq!(declare(Some("SoW 3, annex 2")).responsible, Party::Customer);
    assert_eq!(declare(None).responsible, Party::Provider);
    assert_eq!(
        declare(Some("SoW 3")).verdict,
        declare(None).verdict,
        "who answers changes no verdict"
    );
}

#[test]
fn observed_tenant_is_never_compliant_on_what_must_be_enforced() {
    let mut facts = good();
    tenant(&mut facts).enforcement = Enforcement::Observe;
    for finding in evaluate_all(&facts, now()) {
        let enforced = control(finding.id).unwrap().mode == Mode::Enforced;
        assert!(
            !(enforced && finding.verdict == Compliant),
            "{}",
            finding.id
        );
    }
    let observed = |facts: &mut Facts| tenant(facts).enforcement = Enforcement::Observe;
    check(
        "dsa-2.3-classification",
        observed,
        NotCovered,
        Reason::ObserveOnly,
    );
    check(
        "dsa-2.1-roles-assigned",
        observed,
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn unproven_guard_leaves_its_controls_unknown() {
    for (id, guards) in crate::guards::DEPENDENCIES {
        for name in *guards {
            for spoil in [
                |guard: &mut GuardFacts| guard.text_matches = false,
                |guard: &mut GuardFacts| guard.proven_at = None,
                |guard: &mut GuardFacts| guard.proven_at = Some(ago(16)),
                |guard: &mut GuardFacts| guard.name = "renamed".into(),
            ] {
                let mut facts = good();
                spoil(
                    facts
                        .guards
                        .as_mut()
                        .unwrap()
                        .iter_mut()
                        .find(|it| it.name == *name)
                        .unwrap(),
                );
                let finding = judged(id, &facts);
                assert_eq!(finding.verdict, Unknown, "{id} without {name}");
                let part = finding
                    .parts
                    .iter()
                    .find(|part| part.name == "guards")
                    .unwrap();
                assert_eq!(part.reason, Reason::GuardNotProven, "{id} without {name}");
                assert!(
                    part.objects[0].starts_with(&format!("tenure-{name}: ")),
                    "{:?}",
                    part.objects
                );
            }
        }
    }
}

#[test]
fn trusted_controller_is_shown_on_the_controls_its_guard_carries() {
    let finding = check(
        "dsa-2.6-encryption-in-transit-edge",
        |facts| {
            let guards = facts.guards.as_mut().unwrap();
            guards
                .iter_mut()
                .find(|it| it.name == "exposure")
                .unwrap()
                .trusted = vec!["system:issuer".into()];
        },
        Compliant,
        Reason::AsObserved,
    );
    assert_eq!(finding.objects, ["tenure-exposure: system:issuer"]);
    assert!(
        finding.message.contains("tenure-exposure: system:issuer"),
        "{}",
        finding.message
    );
}

#[test]
fn network_control_waits_for_a_recent_probe() {
    let probe = |at, allowed_passed, denied_stopped| {
        move |f: &mut Facts| {
            f.probe = Some(ProbeResult {
                at,
                counts_until: at + SignedDuration::from_mins(10),
                allowed_passed,
                denied_stopped,
            });
        }
    };
    for id in [
        "dsa-2.6-logical-separation",
        "dsa-2.8-network-segmentation",
        "dsa-2.8-dmz",
    ] {
        check(
            id,
            |facts| facts.probe = None,
            Unknown,
            Reason::EnforcerNotProven,
        );
        check(
            id,
            probe(ago(11), true, true),
            Unknown,
            Reason::EnforcerNotProven,
        );
        check(
            id,
            probe(ago(1), false, true),
            Unknown,
            Reason::EnforcerNotProven,
        );
        check(
            id,
            probe(ago(1), true, false),
            Drifted,
            Reason::PoliciesNotEnforced,
        );
        // What is known to be wrong outweighs what is not known.
        let wrong = |facts: &mut Facts| {
            facts.probe = None;
            differ(facts, "NetworkPolicy");
        };
        check(id, wrong, Drifted, Reason::ObjectsDiffer);
    }
}

#[test]
fn undeclared_flow_is_drift_of_the_controls_it_concerns() {
    for (direction, dmz) in [
        (Direction::BetweenTenants, Drifted),
        (Direction::Inward, Drifted),
        (Direction::Outward, Compliant),
    ] {
        for id in ["dsa-2.6-logical-separation", "dsa-2.8-network-segmentation"] {
            let finding = check(
                id,
                |facts| flow(facts, direction),
                Drifted,
                Reason::UndeclaredFlow,
            );
            assert_eq!(finding.objects, ["a -> b"]);
        }
        let mut facts = good();
        flow(&mut facts, direction);
        assert_eq!(judged("dsa-2.8-dmz", &facts).verdict, dmz, "{direction:?}");
    }
}

#[test]
fn declared_host_network_pods_are_shown_and_undeclared_ones_are_drift() {
    let id = "dsa-2.6-logical-separation";
    let pods = |facts: &mut Facts| {
        facts
            .reachability
            .as_mut()
            .unwrap()
            .host_network_pods
            .push("kube-system/cni".into());
    };
    let finding = check(id, pods, Compliant, Reason::AsObserved);
    assert_eq!(finding.objects, ["kube-system/cni"]);
    let undeclared = |f: &mut Facts| {
        f.reachability
            .as_mut()
            .unwrap()
            .undeclared_host_network_pods
            .push("acme-prod/x".into());
    };
    check(id, undeclared, Drifted, Reason::HostNetworkPod);
}

#[test]
fn difference_counts_where_its_kind_matters_and_an_unforeseen_kind_everywhere() {
    let drifted_by = |kind: &str| {
        let mut facts = good();
        differ(&mut facts, kind);
        [
            "dsa-2.3-classification",
            "dsa-2.4-role-based-access",
            "dsa-2.6-logical-separation",
        ]
        .map(|id| judged(id, &facts).verdict == Drifted)
    };
    assert_eq!(drifted_by("Namespace"), [true, false, true]);
    assert_eq!(drifted_by("NetworkPolicy"), [false, false, true]);
    assert_eq!(drifted_by("ClusterNetworkPolicy"), [false, false, true]);
    assert_eq!(drifted_by("RoleBinding"), [true, true, false]);
    assert_eq!(drifted_by("ResourceQuota"), [true, false, false]);
    assert_eq!(drifted_by("LimitRange"), [true, false, false]);
    assert_eq!(drifted_by("Novelty"), [true, true, true]);
}

#[test]
fn namespace_that_is_not_ready_leaves_its_boundary_unknown_unless_parked() {
    let unready = |f: &mut Facts| f.namespaces.as_mut().unwrap()[0].ready = false;
    check(
        "dsa-2.6-logical-separation",
        unready,
        Unknown,
        Reason::NamespaceNotReady,
    );
    let parked = |facts: &mut Facts| {
        unready(facts);
        facts.namespaces.as_mut().unwrap()[0].parked = true;
    };
    check(
        "dsa-2.6-logical-separation",
        parked,
        Compliant,
        Reason::AsObserved,
    );
    check(
        "dsa-2.6-logical-separation",
        |f| f.namespaces = Some(vec![]),
        Unknown,
        Reason::NotObserved,
    );
}

#[test]
fn roles_assigned_names_who_is_missing() {
    let id = "dsa-2.1-roles-assigned";
    let finding = check(
        id,
        |f| tenant(f).has_owner = false,
        NotCovered,
        Reason::RoleUnassigned,
    );
    assert!(
        finding.message.contains("spec.owner"),
        "{}",
        finding.message
    );
    check(
        id,
        |f| platform(f).has_security_contact = false,
        NotCovered,
        Reason::RoleUnassigned,
    );
    check(
        id,
        |f| tenant(f).contacts.clear(),
        NotCovered,
        Reason::RoleUnassigned,
    );
}

#[test]
fn instructions_without_digest_do_not_count_as_recorded() {
    let id = "dsa-1-customer-instructions";
    check(id, |_| (), NotCovered, Reason::NoAttestation);
    let undigested = |f: &mut Facts| tenant(f).agreements[0].instructions[0].has_digest = false;
    let finding = check(id, undigested, NotCovered, Reason::NoInstructions);
    assert_eq!(finding.message, "on record without a digest: policy");
    // Instructions under the other agreement are not this one's.
    check(
        id,
        |f| tenant(f).agreements[0].instructions.clear(),
        NotCovered,
        Reason::NoInstructions,
    );
}

#[test]
fn claim_outside_the_classification_is_drift() {
    let outside = |f: &mut Facts| {
        f.storage
            .as_mut()
            .unwrap()
            .outside_baseline
            .push("acme-prod/data".into());
    };
    for id in [
        "dsa-2.3-classification",
        "dsa-2.6-encryption-at-rest",
        "sec-5-appropriate-measures",
    ] {
        check(id, outside, Drifted, Reason::StorageOutsideBaseline);
    }
    check(
        "dsa-2.3-classification",
        |f| f.storage = None,
        Unknown,
        Reason::NotObserved,
    );
}

#[test]
fn binding_nobody_declared_is_drift_and_standing_access_is_a_gap() {
    let foreign = |f: &mut Facts| {
        f.role_bindings
            .as_mut()
            .unwrap()
            .foreign
            .push("acme-prod/x".into());
    };
    for id in [
        "dsa-1-purpose-limitation",
        "dsa-2.0-need-to-know",
        "dsa-2.4-role-based-access",
    ] {
        check(id, foreign, Drifted, Reason::ForeignBinding);
    }
    let id = "dsa-2.4-role-based-access";
    let forbidden = |f: &mut Facts| {
        f.role_bindings
            .as_mut()
            .unwrap()
            .forbidden_rules
            .push("r: *".into());
    };
    check(id, forbidden, Drifted, Reason::ForbiddenRule);
    let standing = |f: &mut Facts| {
        f.role_bindings
            .as_mut()
            .unwrap()
            .standing_cluster_wide
            .push("ops".into());
    };
    let finding = check(id, standing, NotCovered, Reason::StandingAccessUnreviewed);
    assert_eq!(finding.objects, ["ops"]);
    check(id, |f| f.role_bindings = None, Unknown, Reason::NotObserved);
}

#[test]
fn standing_access_that_a_review_kept_is_shown_and_is_no_gap() {
    let kept = |f: &mut Facts| {
        let bindings = f.role_bindings.as_mut().unwrap();
        bindings.kept_cluster_wide.push("ops".into());
    };
    for id in ["dsa-2.4-role-based-access", "dsa-2.0-need-to-know"] {
        let finding = check(id, kept, Compliant, Reason::AsObserved);
        assert!(finding.message.contains("ops"), "{}", finding.message);
    }
}

fn reviewed(privileged: bool) -> ReviewedAccess {
    ReviewedAccess {
        what: "AccessGrant/g".into(),
        privileged,
    }
}

fn reviews(facts: &mut Facts) -> &mut ReviewFacts {
    facts.reviews.as_mut().unwrap()
}

#[test]
fn review_nobody_completed_in_time_has_expired() {
    let (all, privileged) = (
        "dsa-2.4-quarterly-access-review",
        "dsa-2.4-quarterly-privileged-review",
    );
    for id in [all, privileged] {
        check(id, |_| {}, Compliant, Reason::AsObserved);
        check(id, |f| f.reviews = None, Unknown, Reason::NotObserved);
        let lapsed = |f: &mut Facts| reviews(f).lapsed.push(reviewed(true));
        let finding = check(id, lapsed, Expired, Reason::ReviewLapsed);
        assert_eq!(finding.objects, ["AccessGrant/g"]);
        let revoked = |f: &mut Facts| reviews(f).revoked.push(reviewed(true));
        check(id, revoked, Drifted, Reason::RevokedAccessStands);
    }
    let ordinary = |f: &mut Facts| {
        reviews(f).lapsed.push(reviewed(false));
        reviews(f).revoked.push(reviewed(false));
    };
    check(all, ordinary, Expired, Reason::ReviewLapsed);
    check(privileged, ordinary, Compliant, Reason::AsObserved);
    let everywhere = |f: &mut Facts| reviews(f).lapsed_everywhere.push(reviewed(true));
    check(all, everywhere, Compliant, Reason::AsObserved);
    check(privileged, everywhere, Expired, Reason::ReviewLapsed);
    let revoked = |f: &mut Facts| reviews(f).revoked_everywhere.push(reviewed(true));
    check(privileged, revoked, Drifted, Reason::RevokedAccessStands);
}

/// What a grant must rest on, and the controls that say so.
const DEMANDS: [(Demand, &[&str]); 12] = [
    (Demand::Scope, &["dsa-2.0-need-to-know"]),
    (Demand::Purpose, &["dsa-1-purpose-limitation"]),
    (Demand::Role, &["dsa-2.4-role-based-access"]),
    (Demand::Duties, &["dsa-2.4-separation-of-duties"]),
    (Demand::Employment, &["dsa-2.4-immediate-revocation"]),
    (Demand::Identity, &["dsa-2.4-unique-user-ids"]),
    (Demand::Training, &["dsa-2.2-annual-training"]),
    (Demand::AcceptableUse, &["dsa-2.3-acceptable-use"]),
    (Demand::Confidentiality, &["sec-1-confidentiality"]),
    (Demand::Telework, &["dsa-2.9-telework-exclusion"]),
    (Demand::RemoteWork, &["sec-6-remote-maintenance"]),
    (
        Demand::Employer,
        &[
            "dsa-2.10-subcontractor-agreements",
            "sec-1-third-party-consent",
        ],
    ),
];

/// Controls about what ends.
const ENDS: [&str; 2] = ["dsa-2.0-need-to-know", "dsa-2.4-immediate-revocation"];

#[test]
fn live_grant_without_what_it_rests_on_is_drift_of_exactly_the_controls_about_that() {
    for (demand, ids) in DEMANDS {
        let mut facts = good();
        fault(&mut facts, demand);
        let drifted: Vec<&str> = evaluate_all(&facts, now())
            .iter()
            .filter(|finding| finding.verdict == Drifted)
            .map(|finding| finding.id)
            .collect();
        assert_eq!(drifted, ids, "{demand:?}");
        for id in ids {
            let finding = judged(id, &facts);
            assert_eq!(finding.reason, Reason::GrantUnfounded, "{id}");
            assert_eq!(finding.objects, ["AccessGrant/g: no longer"], "{id}");
        }
    }
}

#[test]
fn without_a_staff_register_no_control_that_rests_on_persons_is_compliant() {
    let unknown = |f: &mut Facts| access(f).has_register = false;
    for (demand, ids) in DEMANDS {
        for id in ids {
            match demand {
                Demand::Role => check(id, unknown, Compliant, Reason::AsObserved),
                Demand::Duties => check(id, unknown, Unknown, Reason::IdentityOnly),
                _ => check(id, unknown, NotCovered, Reason::NoStaffRegister),
            };
        }
    }
    check("dsa-2.4-mfa", unknown, NotCovered, Reason::NoStaffRegister);
    for (_, ids) in DEMANDS {
        for id in ids {
            check(id, |f| f.access = None, Unknown, Reason::NotObserved);
        }
    }
}

#[test]
fn binding_outside_the_grants_leaves_unknown_what_is_known_of_people_by_their_grants() {
    let foreign = |f: &mut Facts| {
        f.role_bindings
            .as_mut()
            .unwrap()
            .foreign
            .push("RoleBinding/acme-prod/x: Group ops".into());
    };
    for id in [
        "dsa-2.2-annual-training",
        "dsa-2.3-acceptable-use",
        "dsa-2.4-mfa",
        "dsa-2.4-immediate-revocation",
        "dsa-2.4-unique-user-ids",
        "dsa-2.9-telework-exclusion",
        "dsa-2.10-subcontractor-agreements",
        "sec-1-confidentiality",
        "sec-6-remote-maintenance",
    ] {
        let finding = check(id, foreign, Unknown, Reason::ForeignBinding);
        assert_eq!(finding.objects, ["RoleBinding/acme-prod/x: Group ops"]);
        check(id, |f| f.role_bindings = None, Unknown, Reason::NotObserved);
    }
}

#[test]
fn verdict_about_people_with_grants_says_that_others_have_standing_access() {
    let standing = |f: &mut Facts| {
        let bindings = f.role_bindings.as_mut().unwrap();
        bindings.standing_cluster_wide.push("ops".into());
    };
    let id = "dsa-2.2-annual-training";
    let finding = check(id, standing, Compliant, Reason::AsObserved);
    assert_eq!(
        finding.message,
        "observed to be so of everybody whom grants let in; 1 cluster-wide bindings are judged under dsa-2.0-need-to-know"
    );
    check(
        "dsa-2.0-need-to-know",
        standing,
        NotCovered,
        Reason::StandingAccessUnreviewed,
    );
}

#[test]
fn what_is_left_of_ended_access_is_drift_and_what_is_not_proven_is_unknown() {
    for id in ENDS {
        let past_end = |f: &mut Facts| access(f).past_end.push("RoleBinding/p/g".into());
        let finding = check(id, past_end, Drifted, Reason::AccessPastEnd);
        assert_eq!(finding.objects, ["RoleBinding/p/g"]);
        let remaining = |f: &mut Facts| access(f).remaining.push("AccessGrant/g: ops".into());
        let finding = check(id, remaining, Drifted, Reason::AccessRemains);
        assert_eq!(finding.objects, ["AccessGrant/g: ops"]);
        let unproven = |f: &mut Facts| access(f).unproven.push("AccessGrant/g".into());
        let finding = check(id, unproven, Unknown, Reason::EndNotProven);
        assert_eq!(finding.objects, ["AccessGrant/g"]);
        // What is known to be left outweighs what is not known.
        let both = |f: &mut Facts| {
            unproven(f);
            remaining(f);
        };
        check(id, both, Drifted, Reason::AccessRemains);
    }
}

#[test]
fn what_carries_ended_access_on_is_drift_and_what_was_not_looked_for_is_unknown() {
    for id in ENDS {
        let open = |f: &mut Facts| access(f).sweeps_open.push("AccessGrant/g: 2".into());
        let finding = check(id, open, Drifted, Reason::SweepOpen);
        assert_eq!(finding.objects, ["AccessGrant/g: 2"]);
        let unswept = |f: &mut Facts| access(f).unswept.push("AccessGrant/g".into());
        let finding = check(id, unswept, Unknown, Reason::SweepNotMade);
        assert_eq!(finding.objects, ["AccessGrant/g"]);
        let both = |f: &mut Facts| {
            open(f);
            unswept(f);
        };
        check(id, both, Drifted, Reason::SweepOpen);
    }
}

#[test]
fn emergency_access_that_nobody_approved_is_no_drift_and_not_compliant() {
    for id in ["dsa-2.0-need-to-know", "dsa-2.4-separation-of-duties"] {
        let unapproved = |f: &mut Facts| access(f).unapproved.push("AccessGrant/fire".into());
        let finding = check(id, unapproved, Unknown, Reason::BreakGlassUnapproved);
        assert_eq!(finding.objects, ["AccessGrant/fire"]);
    }
    // It carries its reason all the same.
    check(
        "dsa-1-purpose-limitation",
        |f| access(f).unapproved.push("AccessGrant/fire".into()),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn shared_account_that_the_customer_accepted_is_shown() {
    let accepted = |f: &mut Facts| {
        access(f)
            .shared_by_exception
            .push("AccessGrant/g: MSA 4".into());
    };
    let id = "dsa-2.4-unique-user-ids";
    let finding = check(id, accepted, Compliant, Reason::AsObserved);
    assert_eq!(finding.objects, ["AccessGrant/g: MSA 4"]);
    let id = "dsa-2.2-annual-training";
    let finding = check(id, accepted, Compliant, Reason::AsObserved);
    assert!(finding.objects.is_empty(), "{:?}", finding.objects);
}

#[test]
fn subcontractors_agreement_counts_only_where_it_is_attested() {
    let id = "dsa-2.10-subcontractor-agreements";
    let unattested = |f: &mut Facts| access(f).without_agreement.push("cloud-host".into());
    let finding = check(id, unattested, NotCovered, Reason::AgreementNotAttested);
    assert_eq!(finding.objects, ["cloud-host"]);
    let unnamed = |f: &mut Facts| tenant(f).subcontractors.clear();
    check(id, unnamed, NotCovered, Reason::NoSubcontractorNamed);
}

#[test]
fn separation_is_between_persons_and_by_name_alone_it_is_unknown() {
    let id = "dsa-2.4-separation-of-duties";
    let void = |f: &mut Facts| {
        f.approvals
            .as_mut()
            .unwrap()
            .void
            .push("apr/x: approver asked for it".into());
    };
    // One that does not count changed nothing.
    let finding = check(id, void, Compliant, Reason::AsObserved);
    assert_eq!(finding.objects, ["apr/x: approver asked for it"]);
    let by_name = |f: &mut Facts| {
        f.approvals
            .as_mut()
            .unwrap()
            .identity_only
            .push("apr/y".into());
    };
    let finding = check(id, by_name, Unknown, Reason::IdentityOnly);
    assert_eq!(finding.objects, ["apr/y"]);
    let nobody_known = |f: &mut Facts| {
        void(f);
        access(f).has_register = false;
    };
    // Between names nothing is shown of persons.
    let finding = check(id, nobody_known, Unknown, Reason::IdentityOnly);
    assert_eq!(finding.objects, ["apr/x: approver asked for it"]);
    check(id, |f| f.approvals = None, Unknown, Reason::NotObserved);
    // What it cannot show it says, whatever else it shows.
    for change in [void as fn(&mut Facts), |_| {}] {
        let finding = check(id, change, Compliant, Reason::AsObserved);
        assert!(
            finding.message.contains("impersonating"),
            "{}",
            finding.message
        );
    }
}

#[test]
fn second_factor_without_a_configured_mark_is_a_gap_and_asks_no_guard() {
    for id in ["dsa-2.4-mfa", "sec-6-remote-maintenance"] {
        let unconfigured = |facts: &mut Facts| {
            platform(facts).second_factor_configured = false;
            facts
                .guards
                .as_mut()
                .unwrap()
                .retain(|guard| guard.name != "sessions");
        };
        check(
            id,
            unconfigured,
            NotCovered,
            Reason::SecondFactorNotConfigured,
        );
    }
    // With the mark, reads remain: they never reach admission.
    let unconfirmed = |f: &mut Facts| {
        access(f)
            .second_factor_unconfirmed
            .push("StaffMember/jan".into());
    };
    let finding = check(
        "dsa-2.4-mfa",
        unconfirmed,
        NotCovered,
        Reason::SecondFactorUnconfirmed,
    );
    assert_eq!(finding.objects, ["StaffMember/jan"]);
}

#[test]
fn plain_or_direct_path_is_drift() {
    let id = "dsa-2.6-encryption-in-transit-edge";
    check(
        id,
        |f| f.exposure.as_mut().unwrap().plain.push("x".into()),
        Drifted,
        Reason::PlainExposure,
    );
    check(
        id,
        |f| f.exposure.as_mut().unwrap().direct.push("x".into()),
        Drifted,
        Reason::PlainExposure,
    );
    let waf = "dsa-2.8-web-application-firewall";
    check(waf, |_| (), NotCovered, Reason::NoAttestation);
    check(
        waf,
        |f| f.exposure.as_mut().unwrap().direct.push("x".into()),
        Drifted,
        Reason::PlainExposure,
    );
    check(
        waf,
        |f| f.exposure.as_mut().unwrap().unprotected.push("x".into()),
        Drifted,
        Reason::UnprotectedClass,
    );
}

#[test]
fn declared_link_that_nothing_connected_to_is_a_gap() {
    let id = "dsa-2.6-encryption-in-transit-edge";
    check(
        id,
        |f| platform(f).key_services.push("vault".into()),
        NotCovered,
        Reason::LinkNotChecked,
    );
    check(
        id,
        |f| platform(f).log_sinks.push("siem".into()),
        NotCovered,
        Reason::LinkNotChecked,
    );
}

#[test]
fn dmz_needs_an_edge() {
    check(
        "dsa-2.8-dmz",
        |f| platform(f).edges.clear(),
        NotCovered,
        Reason::NoEdgeDeclared,
    );
}

#[test]
fn assessment_is_regular_only_while_everything_is_looked_at_in_time() {
    let id = "dsa-2.6-regular-assessment";
    check(
        id,
        |f| f.last_full_pass = None,
        Unknown,
        Reason::NeverEvaluated,
    );
    check(
        id,
        |f| f.last_full_pass = Some(ago(61)),
        Unknown,
        Reason::Stale,
    );
    let finding = check(id, |f| f.exposure = None, Unknown, Reason::NotObserved);
    assert_eq!(finding.message, "not observed: exposure");
    check(
        id,
        |f| platform(f).hosting.public_cloud = Some(false),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn agreement_holds_until_its_end_is_declared_or_dated() {
    let id = "dsa-3-end-of-agreement";
    let expires = |on: &'static str| {
        move |f: &mut Facts| tenant(f).agreements[0].expires_on = Some(on.into())
    };
    check(id, expires("2026-11-23"), Compliant, Reason::AsObserved);
    check(
        id,
        expires("2026-11-22"),
        NotCovered,
        Reason::NoExitProcedure,
    );
    check(id, expires("soon"), NotCovered, Reason::NoExitProcedure);
    check(
        id,
        |f| tenant(f).has_termination = true,
        NotCovered,
        Reason::NoExitProcedure,
    );
    let signed =
        |on: &'static str| move |f: &mut Facts| tenant(f).agreements[0].signed_on = on.into();
    check(id, signed("2026-11-23"), Compliant, Reason::AsObserved);
    check(
        id,
        signed("2026-11-24"),
        Unknown,
        Reason::AgreementNotInForce,
    );
    check(id, signed(""), Unknown, Reason::AgreementNotInForce);
    // Expiry ends no duty: data may still be there (DSA 3).
    check(
        "dsa-2.8-dmz",
        expires("2026-11-22"),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn loosening_in_force_needs_its_amendment_and_a_waiting_one_is_shown() {
    let id = "dsa-4-amendments";
    let waiting = |f: &mut Facts| {
        f.loosenings
            .as_mut()
            .unwrap()
            .pending
            .push("classification".into());
    };
    assert_eq!(
        check(id, waiting, Compliant, Reason::AsObserved).objects,
        ["classification"]
    );
    let slipped = |f: &mut Facts| {
        f.loosenings
            .as_mut()
            .unwrap()
            .without_amendment
            .push("x".into());
    };
    check(id, slipped, Drifted, Reason::AmendmentMissing);
    check(id, |f| f.loosenings = None, Unknown, Reason::NotObserved);
}

#[test]
fn suspension_is_noticed_bounded_and_keeps_isolation() {
    let id = "dsa-7-force-majeure";
    let suspended = |since: &str, notice: &str| {
        let suspension = SuspensionFacts {
            since: since.into(),
            notice_reference: notice.into(),
        };
        move |f: &mut Facts| tenant(f).suspension = Some(suspension)
    };
    let finding = check(
        id,
        suspended("2026-11-01T00:00:00Z", "letter 7"),
        Compliant,
        Reason::AsObserved,
    );
    assert!(finding.message.contains("letter 7"), "{}", finding.message);
    check(
        id,
        suspended("2026-09-24T08:00:00Z", "letter 7"),
        Compliant,
        Reason::AsObserved,
    );
    check(
        id,
        suspended("2026-09-24T07:59:59Z", "letter 7"),
        Expired,
        Reason::SuspensionOverdue,
    );
    check(
        id,
        suspended("2026-11-01T00:00:00Z", " "),
        Drifted,
        Reason::NoticeMissing,
    );
    check(
        id,
        suspended("2026-11-23T08:00:01Z", "letter 7"),
        Drifted,
        Reason::NoticeMissing,
    );
    check(
        id,
        suspended("lately", "letter 7"),
        Drifted,
        Reason::NoticeMissing,
    );
    check(
        id,
        |facts| {
            suspended("2026-11-01T00:00:00Z", "letter 7")(facts);
            differ(facts, "NetworkPolicy");
        },
        Drifted,
        Reason::ObjectsDiffer,
    );
    // Without a suspension the boundary is other controls' business.
    check(
        id,
        |facts| differ(facts, "NetworkPolicy"),
        Compliant,
        Reason::AsObserved,
    );
}

#[test]
fn version_is_supported_through_its_last_day_only_and_unknown_without_one() {
    let id = "sec-6-regular-updates";
    let cluster =
        |until| move |f: &mut Facts| f.versions.as_mut().unwrap().cluster_supported_until = until;
    check(
        id,
        cluster(Some(date(2026, 11, 23))),
        Compliant,
        Reason::AsObserved,
    );
    let finding = check(
        id,
        cluster(Some(date(2026, 11, 22))),
        Drifted,
        Reason::UnsupportedVersion,
    );
    assert_eq!(
        finding.objects,
        ["Kubernetes 1.37.2: support ended on 2026-11-22"]
    );
    check(id, cluster(None), Unknown, Reason::NotObserved);
    check(
        id,
        |f| f.versions.as_mut().unwrap().cluster.clear(),
        Unknown,
        Reason::NotObserved,
    );
    check(id, |f| f.versions = None, Unknown, Reason::NotObserved);
}

#[test]
fn sec_5_is_not_carried_by_its_technical_half() {
    let finding = check(
        "sec-5-appropriate-measures",
        |_| (),
        NotCovered,
        Reason::NoAttestation,
    );
    let verdicts: Vec<_> = finding
        .parts
        .iter()
        .map(|part| (part.name, part.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("baseline", Compliant),
            ("store", Compliant),
            ("organisational", NotCovered),
            ("guards", Compliant)
        ]
    );
}

#[test]
fn long_list_is_counted_not_printed() {
    let many = |f: &mut Facts| {
        f.exposure.as_mut().unwrap().plain = (0..500)
            .map(|n| format!("Ingress/acme-prod/i{n}"))
            .collect();
    };
    let finding = check(
        "dsa-2.6-encryption-in-transit-edge",
        many,
        Drifted,
        Reason::PlainExposure,
    );
    assert_eq!(finding.objects.len(), 500);
    assert!(
        finding.message.ends_with("; and 490 more"),
        "{}",
        finding.message
    );
}

/// One way to know less, by number.
type Forget = fn(&mut Facts);

const FORGET: [Forget; 29] = [
    |f| f.reviews = None,
    |f| f.evaluated_at = None,
    |f| f.last_full_pass = None,
    |f| f.tenant = None,
    |f| f.platform = None,
    |f| f.namespaces = None,
    |f| f.reachability = None,
    |f| f.probe = None,
    |f| f.guards = None,
    |f| f.role_bindings = None,
    |f| f.exposure = None,
    |f| f.storage = None,
    |f| f.approvals = None,
    |f| f.access = None,
    |f| f.access.iter_mut().for_each(|it| it.has_register = false),
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.unproven.push("x".into()));
    },
    |f| f.loosenings = None,
    |f| f.versions = None,
    |f| {
        f.platform
            .iter_mut()
            .for_each(|it| it.hosting.own_datacentre = None);
    },
    |f| {
        f.platform
            .iter_mut()
            .for_each(|it| it.hosting.public_cloud = None);
    },
    |f| {
        f.platform
            .iter_mut()
            .for_each(|it| it.hosting.telework = None);
    },
    |f| {
        f.platform
            .iter_mut()
            .for_each(|it| it.hosting.subcontractors = None);
    },
    |f| {
        f.versions
            .iter_mut()
            .for_each(|it| it.cluster_supported_until = None);
    },
    |f| {
        f.versions
            .iter_mut()
            .for_each(|it| it.operator_supported_until = None);
    },
    |f| {
        f.guards
            .iter_mut()
            .flatten()
            .for_each(|it| it.proven_at = None);
    },
    |f| f.guards = f.guards.take().map(|_| vec![]),
    |f| f.namespaces = f.namespaces.take().map(|_| vec![]),
    |f| f.tenant.iter_mut().for_each(|it| it.contacts.clear()),
    |f| f.tenant.iter_mut().for_each(|it| it.has_owner = false),
];

/// One more thing that is wrong, by number.
const WORSEN: [Forget; 29] = [
    |f| f.access.iter_mut().for_each(every_fault),
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.past_end.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.remaining.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.sweeps_open.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.unswept.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.unapproved.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.second_factor_unconfirmed.push("x".into()));
    },
    |f| {
        f.access
            .iter_mut()
            .for_each(|it| it.without_agreement.push("x".into()));
    },
    |f| {
        f.approvals
            .iter_mut()
            .for_each(|it| it.identity_only.push("x".into()));
    },
    |f| {
        f.approvals
            .iter_mut()
            .for_each(|it| it.void.push("x".into()));
    },
    |f| {
        f.namespaces
            .iter_mut()
            .flatten()
            .for_each(|it| it.ready = false);
    },
    |f| {
        if f.namespaces.is_some() {
            for kind in ["Namespace", "NetworkPolicy", "RoleBinding"] {
                f.namespaces.iter_mut().flatten().take(1).for_each(|it| {
                    it.differs.push(DriftItem {
                        kind: kind.into(),
                        name: "x".into(),
                        what: "y".into(),
                    });
                });
            }
        }
    },
    |f| {
        f.reachability.iter_mut().for_each(|it| {
            it.undeclared.push(UndeclaredFlow {
                direction: Direction::BetweenTenants,
                what: "x".into(),
            });
        });
    },
    |f| {
        f.reachability.iter_mut().for_each(|it| {
            it.undeclared.push(UndeclaredFlow {
                direction: Direction::Outward,
                what: "x".into(),
            });
        });
    },
    |f| {
        f.reachability
            .iter_mut()
            .for_each(|it| it.undeclared_host_network_pods.push("x".into()));
    },
    |f| f.probe.iter_mut().for_each(|it| it.denied_stopped = false),
    |f| f.probe.iter_mut().for_each(|it| it.allowed_passed = false),
    |f| {
        f.guards
            .iter_mut()
            .flatten()
            .for_each(|it| it.text_matches = false);
    },
    |f| {
        f.role_bindings
            .iter_mut()
            .for_each(|it| it.foreign.push("x".into()));
    },
    |f| {
        f.role_bindings
            .iter_mut()
            .for_each(|it| it.forbidden_rules.push("x".into()));
    },
    |f| {
        f.role_bindings
            .iter_mut()
            .for_each(|it| it.standing_cluster_wide.push("x".into()));
    },
    |f| {
        f.reviews.iter_mut().for_each(|it| {
            it.lapsed.push(reviewed(true));
            it.revoked.push(reviewed(false));
        });
    },
    |f| {
        f.exposure
            .iter_mut()
            .for_each(|it| it.plain.push("x".into()));
    },
    |f| {
        f.exposure
            .iter_mut()
            .for_each(|it| it.direct.push("x".into()));
    },
    |f| {
        f.storage
            .iter_mut()
            .for_each(|it| it.outside_baseline.push("x".into()));
    },
    |f| {
        f.loosenings
            .iter_mut()
            .for_each(|it| it.without_amendment.push("x".into()));
    },
    |f| {
        f.versions
            .iter_mut()
            .for_each(|it| it.cluster_supported_until = Some(date(2020, 1, 1)));
    },
    |f| {
        f.tenant
            .iter_mut()
            .for_each(|it| it.enforcement = Enforcement::Observe);
    },
    |f| {
        f.tenant.iter_mut().for_each(|it| {
            it.suspension = Some(SuspensionFacts {
                since: "2020-01-01T00:00:00Z".into(),
                notice_reference: "n".into(),
            });
        });
    },
];

fn every_fault(access: &mut AccessFacts) {
    let faults = DEMANDS.iter().map(|(demand, _)| GrantFault {
        demand: *demand,
        what: "x".into(),
    });
    access.faults.extend(faults);
}

/// Facts between everything right and nothing known.
fn some_facts() -> impl Strategy<Value = Facts> {
    let forget = proptest::collection::vec(0..FORGET.len(), 0..3);
    let worsen = proptest::collection::vec(0..WORSEN.len(), 0..3);
    let hosting = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (forget, worsen, hosting, any::<bool>()).prop_map(|(forget, worsen, hosting, covered)| {
        let mut facts = good();
        let platform = platform(&mut facts);
        platform.hosting = Hosting {
            own_datacentre: Some(hosting.0),
            public_cloud: Some(hosting.1),
            telework: Some(hosting.2),
            subcontractors: Some(hosting.3),
        };
        platform.supplier_paragraph_applies = !covered;
        worsen
            .into_iter()
            .for_each(|index| WORSEN[index](&mut facts));
        forget
            .into_iter()
            .for_each(|index| FORGET[index](&mut facts));
        facts
    })
}

/// No control is Compliant in `after` that was not in `before`.
fn assert_no_gain(before: &Facts, after: &Facts) -> Result<(), TestCaseError> {
    for control in controls() {
        let then = evaluate(control, after, now());
        if then.verdict == Compliant {
            prop_assert_eq!(
                evaluate(control, before, now()).verdict,
                Compliant,
                "{}",
                control.id
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn knowing_less_never_makes_compliant(facts in some_facts(), index in 0..FORGET.len()) {
        let mut less = facts.clone();
        FORGET[index](&mut less);
        assert_no_gain(&facts, &less)?;
    }

    #[test]
    fn more_drift_never_makes_compliant(facts in some_facts(), index in 0..WORSEN.len()) {
        let mut worse = facts.clone();
        WORSEN[index](&mut worse);
        assert_no_gain(&facts, &worse)?;
    }

    #[test]
    fn growing_older_makes_nothing_compliant(facts in some_facts(), minutes in 61_i64..1_000_000) {
        let later = now() + SignedDuration::from_mins(minutes);
        for control in controls() {
            prop_assert_ne!(evaluate(control, &facts, later).verdict, Compliant, "{}", control.id);
        }
    }

    #[test]
    fn verdict_is_that_of_the_weakest_part(facts in some_facts()) {
        for finding in evaluate_all(&facts, now()) {
            let weakest = finding.parts.iter().map(|part| rank(part.verdict)).min();
            prop_assert!(weakest.is_none_or(|weakest| weakest == rank(finding.verdict)), "{}", finding.id);
            prop_assert!(finding.verdict != Compliant || !finding.parts.is_empty(), "{}", finding.id);
        }
    }
}

#[test]
fn each_way_to_forget_or_worsen_changes_something() {
    // A property over changes that change nothing would hold of anything.
    for (index, change) in FORGET.iter().chain(&WORSEN).enumerate() {
        let mut facts = good();
        change(&mut facts);
        assert_ne!(facts, good(), "{index}");
    }
}

#[test]
fn guards_are_a_part_of_every_control_that_leans_on_them() {
    for finding in evaluate_all(&good(), now()) {
        let has = finding.parts.iter().any(|part| part.name == "guards");
        assert_eq!(has, !guards_of(finding.id).is_empty(), "{}", finding.id);
    }
}
