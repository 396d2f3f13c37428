//! Every control of the Data Security Agreement (DSA) and of the supplier security paragraph
//! (SEC), as data.
//!
//! Titles follow the words of the three language versions of the agreement. Norm references are to
//! ISO/IEC 27001:2022 Annex A, CIS Controls v8.1, NIST CSF 2.0 and CSA CCM v4: the norms DSA 2.0
//! names.

mod dsa;
mod sec;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;
use serde::Serialize;
use tenure_crds::customer_tenant::Profile;
use tenure_crds::status::{Mode, Party};

use crate::facts::Demand;
use crate::reason::Reason;

/// One demand of an agreement, under a stable id.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Control {
    /// Stable id, lower-case and kebab, e.g. `dsa-2.6-logical-separation`.
    pub id: &'static str,
    /// Clauses it serves: of its own agreement as bare numbers, of the other with its name (`SEC 6`).
    pub clauses: &'static [&'static str],
    /// The agreement it comes from.
    pub profile: Profile,
    /// What it is called in the languages of the agreements.
    pub title: Title,
    /// How it is made so, or seen to be so; the strongest of its parts' modes.
    pub mode: Mode,
    /// What must hold; all of it. Empty for a Legal clause only.
    pub parts: &'static [Part],
    /// References to the norms the DSA names.
    pub norms: Norms,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What it is about.
    pub category: Category,
    /// Who answers for it where the tenant's responsibility matrix says nothing else (DSA 1).
    pub responsible: Party,
    /// When the clause applies at all.
    pub condition: Condition,
    /// What makes it so or sees it.
    pub means: &'static str,
}

/// A title in the languages of the agreements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Title {
    /// Dutch.
    pub nl: &'static str,
    /// French.
    pub fr: &'static str,
    /// English.
    pub en: &'static str,
}

/// One thing that must hold for a control, with its own mode: a control is as weak as its weakest part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Name, unique within the control.
    pub name: &'static str,
    /// How this part is made so, or seen to be so.
    pub mode: Mode,
    /// What is looked at.
    pub check: Check,
}

/// What a part looks at. Each names one function in [`crate::evaluate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Check {
    /// Nothing here can see it yet: `NotCovered` with this reason.
    Missing(Reason),
    /// Owner, security contact and customer contacts are named.
    RolesAssigned,
    /// Written customer instructions are on record with their digests.
    InstructionsRecorded,
    /// The tenant's namespaces carry what their classification demands.
    Baseline,
    /// Claims use no storage class outside the classification's.
    StorageClasses,
    /// RoleBindings in the tenant's namespaces are the declared ones, to roles without forbidden rules.
    RoleBindings,
    /// No RoleBinding in the tenant's namespaces lets provider staff in.
    NoForeignBindings,
    /// No standing cluster-wide binding reaches the tenant's namespaces, but what a review kept.
    StandingAccess,
    /// Every access to the tenant was reviewed in time, and what was revoked is gone.
    AccessReviewed,
    /// The same of privileged access, and of what reaches every tenant.
    PrivilegedReviewed,
    /// Every live grant rests on this, and no binding lets staff in past the grants.
    Grants(Demand),
    /// The roles of live grants may be granted.
    GrantedRoles,
    /// What has ended is over: no binding stands, and every API server said no.
    AccessEnds,
    /// Emergency access was approved by somebody else.
    BreakGlass,
    /// Everybody who is let in has a confirmed second factor, for what admission never sees.
    ReadsSecondFactor,
    /// The agreement with every subcontractor of the tenant is attested, and counts today.
    SubcontractorAgreements,
    /// Approvals are given by somebody else than who asked, person by person.
    SeparateApprovers,
    /// Writes and sessions of persons carry the identity provider's second-factor mark.
    SecondFactor,
    /// Namespaces, policies and their guarded facts are as rendered.
    Boundaries,
    /// No flow crosses the tenant's boundary undeclared, in either direction.
    Reachability,
    /// Nothing enters the tenant's pods except through the declared edges.
    EdgeOnly,
    /// The cluster's network plugin enforces policies.
    NetworkEnforcer,
    /// No plain or direct path from outside.
    NoPlainExposure,
    /// Outside traffic enters only by declared classes said to be behind a web application firewall.
    ProtectedPath,
    /// Key services and log sinks are spoken to over TLS.
    OutsideLinks,
    /// Every observation was made, and the last full pass is recent.
    RegularAssessment,
    /// Subcontractors are named with the customer's written consent.
    ConsentRecorded,
    /// The agreement is in force and nothing of its end is due.
    InForce,
    /// Every loosening in force names its amendment.
    Amendments,
    /// A declared suspension is noticed and not older than sixty days.
    Suspension,
    /// Isolation stands, whatever is suspended.
    SuspensionKeepsIsolation,
    /// Operator and cluster run supported versions.
    SupportedVersions,
}

/// References to the norms DSA 2.0 names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Norms {
    /// ISO/IEC 27001:2022 Annex A control numbers, e.g. `A.8.22`.
    pub iso27001: &'static [&'static str],
    /// CIS Controls v8.1 safeguards, e.g. `13.4`.
    pub cis: &'static [&'static str],
    /// NIST Cybersecurity Framework 2.0 subcategories, e.g. `PR.IR-01`.
    pub nist_csf: &'static [&'static str],
    /// CSA Cloud Controls Matrix v4 ids, e.g. `IVS-06`.
    pub csa_ccm: &'static [&'static str],
}

/// How bad it is when a control does not hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Severity {
    /// A formality is late.
    Low,
    /// A safeguard is weaker than agreed.
    Medium,
    /// Customer data is at risk, or a dated duty is missed.
    High,
    /// Customer data is, or can at once be, exposed or lost.
    Critical,
}

impl Severity {
    /// The word as it stands in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// What a control is about. Open drift of Isolation, Keys, Access or Logs is a reasonable
/// suspicion of an incident (DSA 2.11 and the definition of a security incident in 12).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Category {
    /// Tenants apart from each other and from outside.
    Isolation,
    /// Encryption and who may use keys.
    Keys,
    /// Who may reach customer assets.
    Access,
    /// Event logs and monitoring.
    Logs,
    /// Return, destruction, retention.
    Exit,
    /// Assets, classification, versions and changes.
    Assets,
    /// Policies, people, places.
    Organisation,
    /// Subcontractors.
    Suppliers,
    /// Incidents and findings.
    Incidents,
    /// The contract itself.
    Contract,
}

impl Category {
    /// The word as it stands in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Isolation => "Isolation",
            Self::Keys => "Keys",
            Self::Access => "Access",
            Self::Logs => "Logs",
            Self::Exit => "Exit",
            Self::Assets => "Assets",
            Self::Organisation => "Organisation",
            Self::Suppliers => "Suppliers",
            Self::Incidents => "Incidents",
            Self::Contract => "Contract",
        }
    }

    /// Whether open drift here opens a triage (DSA 2.11).
    pub fn is_suspicion(self) -> bool {
        matches!(
            self,
            Self::Isolation | Self::Keys | Self::Access | Self::Logs
        )
    }
}

/// When a clause applies at all. A clause that does not apply is NotApplicable without an amendment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Condition {
    /// Always.
    None,
    /// Customer data is stored in a datacentre of the provider or of a subcontractor (DSA 2.5).
    OwnDatacentre,
    /// Customer data is stored or processed in a public cloud (DSA 2.6).
    PublicCloud,
    /// Services are performed from external locations (DSA 2.9).
    Telework,
    /// Subcontractors have access (DSA 2.10, SEC 1).
    Subcontractors,
}

impl Condition {
    /// The condition in words, empty where there is none.
    pub fn describe(self) -> &'static str {
        match self {
            Self::None => "",
            Self::OwnDatacentre => "datacentre of the provider or a subcontractor (2.5)",
            Self::PublicCloud => "public cloud (2.6)",
            Self::Telework => "telework (2.9)",
            Self::Subcontractors => "subcontractors (2.10)",
        }
    }
}

/// How old an observation may be before a verdict built on it is Unknown, by mode.
pub fn interval_of(mode: Mode) -> SignedDuration {
    match mode {
        Mode::Enforced | Mode::Detected => SignedDuration::from_mins(10),
        Mode::Workflow => SignedDuration::from_hours(1),
        Mode::Attested | Mode::Legal => SignedDuration::from_hours(24),
    }
}

impl Control {
    /// How old the facts may be: the shortest interval among its parts.
    pub fn interval(&self) -> SignedDuration {
        self.parts
            .iter()
            .map(|part| interval_of(part.mode))
            .chain([interval_of(self.mode)])
            .min()
            .unwrap_or_else(|| interval_of(self.mode))
    }

    /// Page under `docs/` that says what to do when the control is not Compliant; none for a Legal clause.
    ///
    /// Three pages, by what the reader has to do: repair, collect a proof, or run a procedure.
    pub fn runbook(&self) -> Option<&'static str> {
        match self.mode {
            Mode::Enforced | Mode::Detected => Some("runbooks/control-drifted.md"),
            Mode::Attested => Some("runbooks/control-attestation.md"),
            Mode::Workflow => Some("runbooks/control-workflow.md"),
            Mode::Legal => None,
        }
    }
}

/// Every control, DSA first, in the order of the clauses.
pub fn controls() -> impl Iterator<Item = &'static Control> + Clone {
    dsa::CONTROLS.iter().chain(sec::CONTROLS)
}

/// The control of this id.
pub fn control(id: &str) -> Option<&'static Control> {
    controls().find(|control| control.id == id)
}

// Short constructors, so that a control reads as a table row.

const fn t(nl: &'static str, fr: &'static str, en: &'static str) -> Title {
    Title { nl, fr, en }
}

const fn part(name: &'static str, mode: Mode, check: Check) -> Part {
    Part { name, mode, check }
}

const fn missing(name: &'static str, mode: Mode, reason: Reason) -> Part {
    Part {
        name,
        mode,
        check: Check::Missing(reason),
    }
}

const fn norms(
    iso27001: &'static [&'static str],
    cis: &'static [&'static str],
    nist_csf: &'static [&'static str],
    csa_ccm: &'static [&'static str],
) -> Norms {
    Norms {
        iso27001,
        cis,
        nist_csf,
        csa_ccm,
    }
}
