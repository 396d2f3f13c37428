//! The supplier security paragraph, version 1.0 of October 2019. Its text is Dutch only; the French
//! and English titles are this project's.

use tenure_crds::customer_tenant::Profile::SupplierParagraph;
use tenure_crds::status::Mode::{Attested, Detected, Enforced, Legal, Workflow};
use tenure_crds::status::Party::{Provider, Shared};

use super::Category::{Access, Assets, Contract, Exit, Organisation, Suppliers};
use super::Severity::{Critical, High, Low, Medium};
use super::{Check, Condition, Control, missing, norms, part, t};
use crate::facts::Demand;
use crate::reason::Reason;

pub(super) const CONTROLS: &[Control] = &[
    Control {
        id: "sec-1-confidentiality",
        clauses: &["1"],
        profile: SupplierParagraph,
        title: t(
            "Geheimhouding, ook na beëindiging van het contract",
            "Confidentialité, y compris après la fin du contrat",
            "Confidentiality, also after the end of the contract",
        ),
        mode: Enforced,
        parts: &[part(
            "signed",
            Enforced,
            Check::Grants(Demand::Confidentiality),
        )],
        norms: norms(
            &["A.6.2", "A.6.6"],
            &["14.4"],
            &["GV.RR-04", "GV.OC-03"],
            &["HRS-10", "HRS-07"],
        ),
        severity: High,
        category: Organisation,
        responsible: Shared,
        condition: Condition::None,
        means: "a staff member has signed confidentiality, or no grant activates; it survives the contract",
    },
    Control {
        id: "sec-1-third-party-consent",
        clauses: &["1"],
        profile: SupplierParagraph,
        title: t(
            "Verstrekking aan derden enkel met voorafgaande schriftelijke toestemming",
            "Communication à des tiers uniquement avec accord écrit préalable",
            "Disclosure to third parties only with prior written consent",
        ),
        mode: Enforced,
        parts: &[
            part("consent", Enforced, Check::ConsentRecorded),
            part("staff", Enforced, Check::Grants(Demand::Employer)),
        ],
        norms: norms(
            &["A.5.19", "A.5.20"],
            &["15.4"],
            &["GV.SC-05"],
            &["STA-09", "DSP-13"],
        ),
        severity: High,
        category: Suppliers,
        responsible: Shared,
        condition: Condition::Subcontractors,
        means: "prior written consent recorded on the tenant",
    },
    Control {
        id: "sec-2-return-or-destroy",
        clauses: &["2"],
        profile: SupplierParagraph,
        title: t(
            "Gegevens kosteloos vernietigd of teruggegeven, naar keuze, met bewijs",
            "Données détruites ou restituées sans frais, au choix, avec preuve",
            "Data destroyed or returned free of charge, by choice, with proof",
        ),
        mode: Workflow,
        parts: &[missing("exit", Workflow, Reason::NoExitProcedure)],
        norms: norms(
            &["A.5.11", "A.8.10"],
            &["3.5", "15.7"],
            &["ID.AM-08", "GV.SC-10"],
            &["DSP-02", "IPY-04"],
        ),
        severity: High,
        category: Exit,
        responsible: Shared,
        condition: Condition::None,
        means: "with dsa-2.13; cost none on the certificate; proof on request",
    },
    Control {
        id: "sec-3",
        clauses: &["3"],
        profile: SupplierParagraph,
        title: t(
            "Escalatie en aansprakelijkheid",
            "Escalade et responsabilité",
            "Escalation and liability",
        ),
        mode: Legal,
        parts: &[],
        norms: norms(&[], &[], &[], &[]),
        severity: Low,
        category: Contract,
        responsible: Shared,
        condition: Condition::None,
        means: "no technical side",
    },
    Control {
        id: "sec-4-change-impact",
        clauses: &["4"],
        profile: SupplierParagraph,
        title: t(
            "Impact van wijzigingen vooraf getoetst en bekendgemaakt",
            "Impact des changements évalué et annoncé au préalable",
            "Impact of changes tested and announced beforehand",
        ),
        mode: Workflow,
        parts: &[missing("notice", Workflow, Reason::NoChangeNotices)],
        norms: norms(
            &["A.8.32", "A.8.6"],
            &["4.1"],
            &["ID.RA-07", "PR.PS-01"],
            &["CCC-02", "CCC-03", "CCC-05"],
        ),
        severity: Medium,
        category: Assets,
        responsible: Provider,
        condition: Condition::None,
        means: "a change to a tenant, or of the platform under it, shows beforehand its effect on availability, capacity, continuity, security and users, and the notice is on record",
    },
    // The clause asks for technical and organisational measures. The baseline shows the technical
    // ones only, so it cannot carry the verdict alone.
    Control {
        id: "sec-5-appropriate-measures",
        clauses: &["5"],
        profile: SupplierParagraph,
        title: t(
            "Passende technische en organisatorische beveiligingsmaatregelen",
            "Mesures de sécurité techniques et organisationnelles appropriées",
            "Appropriate technical and organisational security measures",
        ),
        mode: Enforced,
        parts: &[
            part("baseline", Enforced, Check::Baseline),
            part("store", Enforced, Check::StorageClasses),
            missing("organisational", Attested, Reason::NoAttestation),
        ],
        norms: norms(
            &["A.5.12", "A.5.31", "A.8.9"],
            &["3.7", "4.1"],
            &["GV.RM-01", "PR.PS-01"],
            &["GRC-05", "DSP-17"],
        ),
        severity: High,
        category: Assets,
        responsible: Provider,
        condition: Condition::None,
        means: "the classification's baseline is met; organisational measures are attested",
    },
    Control {
        id: "sec-6-remote-maintenance",
        clauses: &["6"],
        profile: SupplierParagraph,
        title: t(
            "Onderhoud op afstand enkel via een beveiligde verbinding en MFA",
            "Maintenance à distance uniquement par connexion sécurisée et MFA",
            "Remote maintenance only over a secured connection and with MFA",
        ),
        mode: Enforced,
        parts: &[
            part("writes-and-sessions", Enforced, Check::SecondFactor),
            part("remote-grants", Enforced, Check::Grants(Demand::RemoteWork)),
        ],
        norms: norms(
            &["A.6.7", "A.8.5", "A.8.20"],
            &["6.4", "12.7"],
            &["PR.AA-03", "PR.DS-02"],
            &["IAM-14", "HRS-04"],
        ),
        severity: Critical,
        category: Access,
        responsible: Provider,
        condition: Condition::None,
        means: "as dsa-2.4-mfa for remote grants, over TLS",
    },
    // Compliant is possible: versions are read back and compared with dated support. It says that
    // the minor versions are supported, not that every patch is in.
    Control {
        id: "sec-6-regular-updates",
        clauses: &["6"],
        profile: SupplierParagraph,
        title: t(
            "(Beveiliging)updates met regelmaat uitgevoerd",
            "Mises à jour (de sécurité) effectuées régulièrement",
            "(Security) updates carried out regularly",
        ),
        mode: Detected,
        parts: &[part("versions", Detected, Check::SupportedVersions)],
        norms: norms(
            &["A.8.8", "A.8.19"],
            &["7.3", "7.4"],
            &["PR.PS-02", "ID.RA-01"],
            &["TVM-03", "TVM-05"],
        ),
        severity: High,
        category: Assets,
        responsible: Provider,
        condition: Condition::None,
        means: "operator and cluster versions are supported ones",
    },
];
