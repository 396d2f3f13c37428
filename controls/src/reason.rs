//! The bounded set of reasons a verdict can have.

use serde::Serialize;

/// Why a verdict is what it is: one word for status, condition, event and metric alike.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Reason {
    /// Observed to be so.
    AsObserved,
    /// The clause has no technical side.
    LegalClause,
    /// The tenant has no agreement of this profile.
    ProfileNotAgreed,
    /// The main contract already covers the supplier paragraph.
    CoveredByMainContract,
    /// The hosting condition of the clause does not hold.
    ConditionNotMet,
    /// A signed amendment takes the control out.
    AmendedOut,
    /// Nothing of this kind exists that the part could be about.
    NothingToCheck,

    /// The fact was not observed.
    NotObserved,
    /// The last evaluation is older than the control's interval.
    Stale,
    /// TenancyPolicy does not say whether the clause's condition holds.
    HostingUndeclared,
    /// The network plugin was not proven to enforce policies, or not recently.
    EnforcerNotProven,
    /// A guard was not proven alive, or its text is not the built-in one.
    GuardNotProven,
    /// A namespace is not ready yet.
    NamespaceNotReady,
    /// No full evaluation pass is on record yet.
    NeverEvaluated,
    /// User names are compared, not persons.
    IdentityOnly,
    /// A grant has ended, and not every API server has said no.
    EndNotProven,
    /// What was created or changed while a grant let somebody in could not be looked for.
    SweepNotMade,
    /// Emergency access is live, and nobody else has approved it yet.
    BreakGlassUnapproved,
    /// No agreement of the profile is in force yet.
    AgreementNotInForce,

    /// The tenant is observed, not enforced.
    ObserveOnly,
    /// No attestation stands for it.
    NoAttestation,
    /// Provider staff and their trainings and signatures are not on record.
    NoStaffRegister,
    /// The identity provider's second-factor mark is not configured.
    SecondFactorNotConfigured,
    /// A person who is let in has no confirmed second factor.
    SecondFactorUnconfirmed,
    /// No audit feed is configured.
    NoAuditFeed,
    /// No log sink is in use.
    NoLogSink,
    /// No key service is in use.
    NoKeyService,
    /// Nothing shows that traffic inside the cluster is encrypted.
    NoMeshEvidence,
    /// A declared link to a key service or log sink has not been checked.
    LinkNotChecked,
    /// No inventory of the copies of customer data exists.
    NoInventory,
    /// No retention rules exist.
    NoRetentionRules,
    /// No exit procedure runs here.
    NoExitProcedure,
    /// No incident register exists.
    NoIncidentRegister,
    /// Changes are not announced with their effect.
    NoChangeNotices,
    /// No edge namespace is declared.
    NoEdgeDeclared,
    /// Standing cluster-wide access is listed, and nobody reviewed it.
    StandingAccessUnreviewed,
    /// No customer instruction is on record.
    NoInstructions,
    /// No subcontractor is named on the tenant.
    NoSubcontractorNamed,
    /// No attestation that counts says that a subcontractor's agreement is in order.
    AgreementNotAttested,
    /// A role that must be assigned is not.
    RoleUnassigned,

    /// Objects differ from what they must be.
    ObjectsDiffer,
    /// A flow is possible that nobody declared.
    UndeclaredFlow,
    /// A pod in a tenant's namespace uses the node's network.
    HostNetworkPod,
    /// The network plugin let a denied flow pass.
    PoliciesNotEnforced,
    /// A binding stands that the tenant did not declare.
    ForeignBinding,
    /// A role in use holds a rule no tenant role may hold.
    ForbiddenRule,
    /// A binding stands past the end of its grant.
    AccessPastEnd,
    /// Access that has ended is still allowed.
    AccessRemains,
    /// What was created or changed while a grant let somebody in stays, and nobody accepted it within a day.
    SweepOpen,
    /// A live grant rests on what no longer holds.
    GrantUnfounded,
    /// A reviewer revoked an access that still stands.
    RevokedAccessStands,
    /// A claim uses a storage class outside the classification's.
    StorageOutsideBaseline,
    /// A path from outside is plain or bypasses the declared classes.
    PlainExposure,
    /// A class in use is not said to be behind a web application firewall.
    UnprotectedClass,
    /// A loosening is in force without its amendment.
    AmendmentMissing,
    /// A suspension lacks its written notice, or starts in the future.
    NoticeMissing,
    /// A version in use is no longer supported.
    UnsupportedVersion,

    /// A suspension has lasted for more than sixty days.
    SuspensionOverdue,
    /// A review of access was due, and nobody decided on all of it.
    ReviewLapsed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 59] = [
        Self::AsObserved,
        Self::LegalClause,
        Self::ProfileNotAgreed,
        Self::CoveredByMainContract,
        Self::ConditionNotMet,
        Self::AmendedOut,
        Self::NothingToCheck,
        Self::NotObserved,
        Self::Stale,
        Self::HostingUndeclared,
        Self::EnforcerNotProven,
        Self::GuardNotProven,
        Self::NamespaceNotReady,
        Self::NeverEvaluated,
        Self::IdentityOnly,
        Self::EndNotProven,
        Self::SweepNotMade,
        Self::BreakGlassUnapproved,
        Self::AgreementNotInForce,
        Self::ObserveOnly,
        Self::NoAttestation,
        Self::NoStaffRegister,
        Self::SecondFactorNotConfigured,
        Self::SecondFactorUnconfirmed,
        Self::NoAuditFeed,
        Self::NoLogSink,
        Self::NoKeyService,
        Self::NoMeshEvidence,
        Self::LinkNotChecked,
        Self::NoInventory,
        Self::NoRetentionRules,
        Self::NoExitProcedure,
        Self::NoIncidentRegister,
        Self::NoChangeNotices,
        Self::NoEdgeDeclared,
        Self::StandingAccessUnreviewed,
        Self::NoInstructions,
        Self::NoSubcontractorNamed,
        Self::AgreementNotAttested,
        Self::RoleUnassigned,
        Self::ObjectsDiffer,
        Self::UndeclaredFlow,
        Self::HostNetworkPod,
        Self::PoliciesNotEnforced,
        Self::ForeignBinding,
        Self::ForbiddenRule,
        Self::AccessPastEnd,
        Self::AccessRemains,
        Self::SweepOpen,
        Self::GrantUnfounded,
        Self::RevokedAccessStands,
        Self::StorageOutsideBaseline,
        Self::PlainExposure,
        Self::UnprotectedClass,
        Self::AmendmentMissing,
        Self::NoticeMissing,
        Self::UnsupportedVersion,
        Self::SuspensionOverdue,
        Self::ReviewLapsed,
    ];

    /// The word as it stands in status, conditions, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsObserved => "AsObserved",
            Self::LegalClause => "LegalClause",
            Self::ProfileNotAgreed => "ProfileNotAgreed",
            Self::CoveredByMainContract => "CoveredByMainContract",
            Self::ConditionNotMet => "ConditionNotMet",
            Self::AmendedOut => "AmendedOut",
            Self::NothingToCheck => "NothingToCheck",
            Self::NotObserved => "NotObserved",
            Self::Stale => "Stale",
            Self::HostingUndeclared => "HostingUndeclared",
            Self::EnforcerNotProven => "EnforcerNotProven",
            Self::GuardNotProven => "GuardNotProven",
            Self::NamespaceNotReady => "NamespaceNotReady",
            Self::NeverEvaluated => "NeverEvaluated",
            Self::IdentityOnly => "IdentityOnly",
            Self::EndNotProven => "EndNotProven",
            Self::SweepNotMade => "SweepNotMade",
            Self::BreakGlassUnapproved => "BreakGlassUnapproved",
            Self::AgreementNotInForce => "AgreementNotInForce",
            Self::ObserveOnly => "ObserveOnly",
            Self::NoAttestation => "NoAttestation",
            Self::NoStaffRegister => "NoStaffRegister",
            Self::SecondFactorNotConfigured => "SecondFactorNotConfigured",
            Self::SecondFactorUnconfirmed => "SecondFactorUnconfirmed",
            Self::NoAuditFeed => "NoAuditFeed",
            Self::NoLogSink => "NoLogSink",
            Self::NoKeyService => "NoKeyService",
            Self::NoMeshEvidence => "NoMeshEvidence",
            Self::LinkNotChecked => "LinkNotChecked",
            Self::NoInventory => "NoInventory",
            Self::NoRetentionRules => "NoRetentionRules",
            Self::NoExitProcedure => "NoExitProcedure",
            Self::NoIncidentRegister => "NoIncidentRegister",
            Self::NoChangeNotices => "NoChangeNotices",
            Self::NoEdgeDeclared => "NoEdgeDeclared",
            Self::StandingAccessUnreviewed => "StandingAccessUnreviewed",
            Self::NoInstructions => "NoInstructions",
            Self::NoSubcontractorNamed => "NoSubcontractorNamed",
            Self::AgreementNotAttested => "AgreementNotAttested",
            Self::RoleUnassigned => "RoleUnassigned",
            Self::ObjectsDiffer => "ObjectsDiffer",
            Self::UndeclaredFlow => "UndeclaredFlow",
            Self::HostNetworkPod => "HostNetworkPod",
            Self::PoliciesNotEnforced => "PoliciesNotEnforced",
            Self::ForeignBinding => "ForeignBinding",
            Self::ForbiddenRule => "ForbiddenRule",
            Self::AccessPastEnd => "AccessPastEnd",
            Self::AccessRemains => "AccessRemains",
            Self::SweepOpen => "SweepOpen",
            Self::GrantUnfounded => "GrantUnfounded",
            Self::RevokedAccessStands => "RevokedAccessStands",
            Self::StorageOutsideBaseline => "StorageOutsideBaseline",
            Self::PlainExposure => "PlainExposure",
            Self::UnprotectedClass => "UnprotectedClass",
            Self::AmendmentMissing => "AmendmentMissing",
            Self::NoticeMissing => "NoticeMissing",
            Self::UnsupportedVersion => "UnsupportedVersion",
            Self::SuspensionOverdue => "SuspensionOverdue",
            Self::ReviewLapsed => "ReviewLapsed",
        }
    }

    /// What the reason means and what to do: the message where nothing more is known.
    pub fn explain(self) -> &'static str {
        match self {
            Self::AsObserved => "observed to be so",
            Self::LegalClause => "a clause without a technical side; nothing is evaluated",
            Self::ProfileNotAgreed => "the tenant has no agreement of this profile",
            Self::CoveredByMainContract => {
                "TenancyPolicy says that the main contract, service level or processing agreement already covers the paragraph"
            }
            Self::ConditionNotMet => {
                "TenancyPolicy says that the condition of the clause does not hold here"
            }
            Self::AmendedOut => "a signed amendment takes the control out",
            Self::NothingToCheck => "nothing of this kind exists here",
            Self::NotObserved => {
                "a fact the verdict needs was not observed; look at the operator's log for the failing source"
            }
            Self::Stale => {
                "the facts are too old; look whether the operator runs and reaches the API server"
            }
            Self::HostingUndeclared => {
                "say in TenancyPolicy spec.hosting whether the clause's condition holds"
            }
            Self::EnforcerNotProven => {
                "policies are in place, and no recent probe proved that the network plugin enforces them"
            }
            Self::GuardNotProven => "admission policies are not proven to refuse what they must",
            Self::NamespaceNotReady => "namespaces whose policies do not all stand yet",
            Self::NeverEvaluated => "no full evaluation pass has ended yet",
            Self::IdentityOnly => {
                "requester and approver are compared by user name, because the person behind one is not on record: let the identity sync write StaffMembers"
            }
            Self::EndNotProven => {
                "grants that have ended without a no from every API server: their condition EndProven says which did not answer, or that a managed control plane hides them"
            }
            Self::SweepNotMade => {
                "it could not be looked for what was created or changed while grants let somebody in: their condition Swept says why"
            }
            Self::BreakGlassUnapproved => {
                "emergency access that nobody else has approved yet: approve or revoke it; it ends 24 hours after it began"
            }
            Self::AgreementNotInForce => {
                "no agreement of this profile carries a date of signature that has come"
            }
            Self::ObserveOnly => {
                "the tenant is only observed; set enforcement to Enforce once the report is clean"
            }
            Self::NoAttestation => {
                "only people can make this so; Attestations are kept on record and do not count here yet: keep the signed evidence at hand"
            }
            Self::NoStaffRegister => {
                "no StaffMember is on record, so nobody gets in by a grant, and what access there is depends on no training, signature, reason or end"
            }
            Self::SecondFactorNotConfigured => {
                "name the identity provider's second-factor mark in TenancyPolicy spec.identityProvider"
            }
            Self::SecondFactorUnconfirmed => {
                "reads never reach admission, so a second factor has to be confirmed on the StaffMember of everybody who is let in"
            }
            Self::NoAuditFeed => {
                "no audit feed reaches the operator: keep the API server's audit log outside the cluster"
            }
            Self::NoLogSink => {
                "no log sink is in use: the platform neither keeps, protects nor shows the tenant's logs"
            }
            Self::NoKeyService => "no key service is in use: the tenant has no key of its own",
            Self::NoMeshEvidence => {
                "nothing shows that traffic between pods is encrypted: strict mutual TLS or an encrypting network plugin is needed"
            }
            Self::LinkNotChecked => "declared links that nothing has connected to yet",
            Self::NoInventory => {
                "copies of customer data (volumes, snapshots, backups, outside stores) are not in an inventory"
            }
            Self::NoRetentionRules => {
                "no retention rules run here: keep the agreed periods yourself"
            }
            Self::NoExitProcedure => {
                "return, destruction and their certificate do not run here: plan the exit yourself"
            }
            Self::NoIncidentRegister => {
                "incidents and findings are not registered here: triage, tell and report yourself"
            }
            Self::NoChangeNotices => {
                "changes are not announced with their effect here: test and announce them yourself"
            }
            Self::NoEdgeDeclared => {
                "name the namespaces through which outside traffic enters in TenancyPolicy spec.edges"
            }
            Self::StandingAccessUnreviewed => {
                "standing cluster-wide access that no review confirmed"
            }
            Self::NoInstructions => {
                "no written customer instruction is on record under spec.agreements[].customerInstructions"
            }
            Self::NoSubcontractorNamed => {
                "name the subcontractors and the customer's consent in spec.subcontractors"
            }
            Self::AgreementNotAttested => {
                "no Attestation that counts today says that the agreement with a subcontractor is in order, so its people are not let in"
            }
            Self::RoleUnassigned => "a role is not assigned",
            Self::ObjectsDiffer => "objects differ from what they must be",
            Self::UndeclaredFlow => "flows that nobody declared are possible",
            Self::HostNetworkPod => "pods in the node's network that nobody declared",
            Self::PoliciesNotEnforced => {
                "a flow that a policy denies went through: the network plugin does not enforce policies"
            }
            Self::ForeignBinding => "bindings that the tenant did not declare",
            Self::ForbiddenRule => "roles in use hold rules that no tenant role may hold",
            Self::AccessPastEnd => {
                "bindings past the end of their grant: the operator deletes them until they are gone; its log says what refuses it"
            }
            Self::AccessRemains => {
                "a grant has ended and an API server still says yes: delete what gives it, or ask for it by a grant"
            }
            Self::SweepOpen => {
                "for more than a day there is what was created or changed while grants let somebody in: remove what their status.sweep names, or have it accepted"
            }
            Self::GrantUnfounded => {
                "live grants that rest on what no longer holds: they must have ended; revoke them, and look at the operator's log"
            }
            Self::RevokedAccessStands => {
                "a reviewer revoked it: take the entry out of the CustomerTenant, or remove the binding"
            }
            Self::StorageOutsideBaseline => {
                "claims use a storage class outside the classification's"
            }
            Self::PlainExposure => {
                "paths from outside that are plain or go past the declared classes"
            }
            Self::UnprotectedClass => {
                "exposed through a class that is not said to be behind a web application firewall"
            }
            Self::AmendmentMissing => "a loosening without a signed amendment of the agreement",
            Self::NoticeMissing => {
                "a suspension must name its written notice and start no later than now"
            }
            Self::UnsupportedVersion => "versions that are no longer supported",
            Self::ReviewLapsed => {
                "its review was due, and nobody whose word counts decided: write Keep or Revoke into the lines of the AccessReview"
            }
            Self::SuspensionOverdue => {
                "suspended for more than sixty days: either party may now end the agreement, so decide"
            }
        }
    }
}
