//! What the operator observed about one tenant and the platform under it: plain data, no client.
//!
//! The operator fills it for each evaluation of a tenant. **`None` means "not observed"** and leads to
//! Unknown, never to Compliant; an empty list means "observed, and there are none". Lists of
//! objects are written as `Kind/namespace/name: what`, in a stable order, because they reach
//! status and events as they stand.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tenure_crds::customer_tenant::{ContactRole, ControlOverride, CustomerTenantSpec, Profile};
use tenure_crds::tenancy_policy::{Hosting, TenancyPolicySpec};
use tenure_crds::words::{Classification, Enforcement};

/// Everything one tenant's controls are judged by.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// When the oldest observation below was made. Filled by the evaluation pass when it starts.
    pub evaluated_at: Option<Timestamp>,
    /// When the last pass over every control of this tenant ended; from the freshness Lease or memory.
    pub last_full_pass: Option<Timestamp>,
    /// The accepted CustomerTenant: [`TenantFacts::from_spec`].
    pub tenant: Option<TenantFacts>,
    /// The accepted TenancyPolicy (defaults where there is none): [`PlatformFacts::from_spec`].
    pub platform: Option<PlatformFacts>,
    /// The tenant's namespaces, listed and parked, compared with the rendering. Filled by the
    /// tenant reconciler; a declared namespace that does not exist is listed with its difference.
    pub namespaces: Option<Vec<NamespaceFacts>>,
    /// Effective reachability over all policies, namespaces and pods. Filled from `isolation`.
    pub reachability: Option<ReachabilityFacts>,
    /// The cluster's probe pair: one allowed flow, one denied. Filled by whoever ran it.
    pub probe: Option<ProbeResult>,
    /// The admission policies, compared and proven. Filled from `guards`.
    pub guards: Option<Vec<GuardFacts>>,
    /// Who is bound to what in the tenant's namespaces, and cluster-wide. Filled by the assessment.
    pub role_bindings: Option<RoleBindingFacts>,
    /// Services, ingresses, gateways and routes of the tenant's namespaces. Filled by the assessment.
    pub exposure: Option<ExposureFacts>,
    /// Claims and volumes of the tenant's namespaces. Filled by the assessment.
    pub storage: Option<StorageFacts>,
    /// Who was let in by grants, and whether what ended is over. Filled by the assessment.
    pub access: Option<AccessFacts>,
    /// Reviews of who has access. Filled from `access`.
    pub reviews: Option<ReviewFacts>,
    /// Approvals that concern the tenant. Filled from `approvals`.
    pub approvals: Option<ApprovalFacts>,
    /// Accepted settings compared with those accepted before. Filled by the acceptance of specs.
    pub loosenings: Option<LooseningFacts>,
    /// Versions in use and until when they are supported. Filled by the assessment.
    pub versions: Option<VersionFacts>,
}

/// What the CustomerTenant declares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenantFacts {
    /// Name of the CustomerTenant.
    pub name: String,
    /// The customer's UUID.
    pub tenant_id: String,
    /// How sensitive the data is.
    pub classification: Classification,
    /// Whether controls bite.
    pub enforcement: Enforcement,
    /// Somebody at the provider answers for the tenant.
    pub has_owner: bool,
    /// Roles for which the customer named a contact.
    pub contacts: Vec<ContactRole>,
    /// The agreements.
    pub agreements: Vec<AgreementFacts>,
    /// Responsibilities and inapplicabilities declared per control.
    pub controls: Vec<ControlOverride>,
    /// Subcontractors named with the customer's consent, which the schema requires.
    pub subcontractors: Vec<String>,
    /// A declared suspension.
    pub suspension: Option<SuspensionFacts>,
    /// The end of the agreement is declared, wholly or in part.
    pub has_termination: bool,
}

/// One agreement as declared. Dates are kept as written: one that cannot be read proves nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgreementFacts {
    /// Name of the entry.
    pub name: String,
    /// Which text it follows.
    pub profile: Profile,
    /// ISO 8601 date of signature.
    pub signed_on: String,
    /// ISO 8601 date of expiry.
    pub expires_on: Option<String>,
    /// `sha256:` digest of the signed document.
    pub document_digest: Option<String>,
    /// Amendments by name and ISO 8601 date of signature.
    pub amendments: Vec<DocumentFacts>,
    /// The customer's written instructions.
    pub instructions: Vec<DocumentFacts>,
}

/// One document as declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DocumentFacts {
    /// Name of the document.
    pub name: String,
    /// ISO 8601 date of signature or receipt.
    pub signed_on: String,
    /// Its digest is on record.
    pub has_digest: bool,
}

/// A declared suspension (DSA 7).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuspensionFacts {
    /// RFC 3339 instant since when.
    pub since: String,
    /// The written notice.
    pub notice_reference: String,
}

/// What the accepted TenancyPolicy declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlatformFacts {
    /// Which conditional clauses apply; an absent answer leaves their controls Unknown.
    pub hosting: Hosting,
    /// The provider's security contact is named.
    pub has_security_contact: bool,
    /// The identity provider's second-factor mark is configured.
    pub second_factor_configured: bool,
    /// Edge namespaces.
    pub edges: Vec<String>,
    /// The supplier paragraph applies, because the main contract does not already cover it.
    pub supplier_paragraph_applies: bool,
    /// Key services tenants may name.
    pub key_services: Vec<String>,
    /// Log sinks tenants may name.
    pub log_sinks: Vec<String>,
}

/// One namespace of the tenant as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamespaceFacts {
    /// Full name.
    pub name: String,
    /// Its policies stand and pods may start.
    pub ready: bool,
    /// It left the tenant's list and is only kept isolated.
    pub parked: bool,
    /// What differs now from the rendering; repaired differences are history, not facts.
    pub differs: Vec<DriftItem>,
}

/// One difference between an object and its rendering.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftItem {
    /// Kind of the object, e.g. `NetworkPolicy`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What differs, without values that could be secret.
    pub what: String,
}

/// Which boundary a flow crosses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Direction {
    /// From another tenant into this one, or from this one into another.
    BetweenTenants,
    /// From outside every tenant into this one.
    Inward,
    /// From this tenant to outside every tenant.
    Outward,
}

/// A flow that is possible and that nobody declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UndeclaredFlow {
    /// Which boundary it crosses.
    pub direction: Direction,
    /// From whom to whom, on which ports, and by which policy.
    pub what: String,
}

/// Who can reach whom, computed from the objects. It says nothing about packets: see [`ProbeResult`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReachabilityFacts {
    /// Flows nobody declared, this tenant at one end.
    pub undeclared: Vec<UndeclaredFlow>,
    /// Pods of the tenant's namespaces in the node's network that nobody declared.
    pub undeclared_host_network_pods: Vec<String>,
    /// Declared pods in the node's network, the platform's included: a residual, shown.
    pub host_network_pods: Vec<String>,
}

/// What a probe pair showed about the cluster's network plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeResult {
    /// When it ran.
    pub at: Timestamp,
    /// Until when it counts: two intervals, after which another should have come.
    pub counts_until: Timestamp,
    /// The flow that a policy allows went through; otherwise the probe shows nothing.
    pub allowed_passed: bool,
    /// The flow that a policy denies was stopped.
    pub denied_stopped: bool,
}

/// One admission policy as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GuardFacts {
    /// Name without the `tenure-` prefix, e.g. `networkpolicies`; see [`crate::guards`].
    pub name: String,
    /// Policy and bindings equal the built-in text.
    pub text_matches: bool,
    /// When a request that must be denied was last denied by it.
    pub proven_at: Option<Timestamp>,
    /// User names it lets through because TenancyPolicy trusts them.
    pub trusted: Vec<String>,
}

/// Who is bound to what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoleBindingFacts {
    /// RoleBindings in the tenant's namespaces that are neither rendered for the tenant nor bind
    /// only ServiceAccounts of the same tenant.
    pub foreign: Vec<String>,
    /// Roles named by any RoleBinding in the tenant's namespaces that hold a wildcard, `escalate`,
    /// `bind`, `impersonate`, CSR approval or `nodes/proxy`, each with the rule.
    pub forbidden_rules: Vec<String>,
    /// ClusterRoleBindings that reach into the tenant's namespaces, those of the cluster's own
    /// `system:` components and of this operator left out, that no review kept.
    pub standing_cluster_wide: Vec<String>,
    /// Those of them that the last review of them kept.
    pub kept_cluster_wide: Vec<String>,
}

/// Paths from outside into the tenant's namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExposureFacts {
    /// Ingresses, listeners and routes without TLS.
    pub plain: Vec<String>,
    /// Services of type NodePort or LoadBalancer, or with externalIPs.
    pub direct: Vec<String>,
    /// Objects of a class that is undeclared, or not said to be behind a web application firewall.
    pub unprotected: Vec<String>,
}

/// Claims and volumes of the tenant's namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StorageFacts {
    /// Claims whose storage class is not one of the classification's.
    pub outside_baseline: Vec<String>,
}

/// Access of staff by grants. What the operator settles within seconds is here only once it has stood for longer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccessFacts {
    /// Staff are on record: at least one StaffMember can be read. Without any, nobody gets in by a grant.
    pub has_register: bool,
    /// What live grants rest on and no longer have: they should have ended.
    pub faults: Vec<GrantFault>,
    /// Bindings of grants that are not live.
    pub past_end: Vec<String>,
    /// What API servers still allow although the grant has ended, with its source.
    pub remaining: Vec<String>,
    /// Grants that have ended, without a no from every API server.
    pub unproven: Vec<String>,
    /// Grants that have ended, of which for more than a day something stays that was created or changed meanwhile, and nobody
    /// accepted it.
    pub sweeps_open: Vec<String>,
    /// Grants that have ended, after which it could not be looked for that.
    pub unswept: Vec<String>,
    /// Live emergency access that nobody approved yet.
    pub unapproved: Vec<String>,
    /// Live grants to a shared account, each with the customer's reference: shown.
    pub shared_by_exception: Vec<String>,
    /// People with live grants whose second factor the identity sync does not confirm.
    pub second_factor_unconfirmed: Vec<String>,
    /// Subcontractors of the tenant without an attested agreement that counts today.
    pub without_agreement: Vec<String>,
}

/// Reviews of who has access, to the tenant and to every tenant. What is not due yet is in none of the lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReviewFacts {
    /// Access to this tenant that nobody decided on although its review was due.
    pub lapsed: Vec<ReviewedAccess>,
    /// Access to this tenant that a reviewer revoked and that is still declared, or bound by others.
    pub revoked: Vec<ReviewedAccess>,
    /// Access to every tenant that nobody decided on although its review was due.
    pub lapsed_everywhere: Vec<ReviewedAccess>,
    /// Access to every tenant that a reviewer revoked and that is still bound.
    pub revoked_everywhere: Vec<ReviewedAccess>,
}

/// An access that was listed for a review.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReviewedAccess {
    /// What gives it, and whom it lets in.
    pub what: String,
    /// Whether it is privileged.
    pub privileged: bool,
}

/// Something a live grant no longer has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GrantFault {
    /// On what it must rest.
    pub demand: Demand,
    /// The grant, and what is wrong with it.
    pub what: String,
}

/// What a grant must rest on for as long as it lets somebody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Demand {
    /// It stands, its window is not over, and it names this tenant and its namespaces.
    Scope,
    /// It says why: a reason and a ticket.
    Purpose,
    /// The role may be granted.
    Role,
    /// Somebody else approved it, and no role excludes another.
    Duties,
    /// The person still works here, in the same job.
    Employment,
    /// The identity is that one person's.
    Identity,
    /// The person was trained within twelve months.
    Training,
    /// The person signed the acceptable-use policy.
    AcceptableUse,
    /// The person signed confidentiality.
    Confidentiality,
    /// The customer did not exclude the person from remote work.
    Telework,
    /// For remote work: the telework policy is signed, and a second factor confirmed or reported.
    RemoteWork,
    /// The customer consented to the person's employer, whose agreement is attested.
    Employer,
}

/// Approvals that concern the tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ApprovalFacts {
    /// Approvals that do not count, each with why: shown, and no drift, because nothing followed.
    pub void: Vec<String>,
    /// Approvals that count by user name alone: who is behind it is not on record.
    pub identity_only: Vec<String>,
}

/// Accepted settings compared with those accepted before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LooseningFacts {
    /// Loosenings that wait, so the stricter setting is in force.
    pub pending: Vec<String>,
    /// Loosenings that are in force without an amendment.
    pub without_amendment: Vec<String>,
}

/// Versions in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VersionFacts {
    /// The API server's version, e.g. `1.37.2`.
    pub cluster: String,
    /// Last day of support of that minor version, where the operator's table knows it.
    pub cluster_supported_until: Option<Date>,
    /// The operator's version.
    pub operator: String,
    /// Last day of support of the operator's release, as built in.
    pub operator_supported_until: Option<Date>,
}

impl TenantFacts {
    /// What a CustomerTenant's accepted spec declares.
    pub fn from_spec(name: &str, spec: &CustomerTenantSpec) -> Self {
        Self {
            name: name.to_owned(),
            tenant_id: spec.tenant_id.clone(),
            classification: spec.classification,
            enforcement: spec.enforcement.unwrap_or_default(),
            has_owner: spec.owner.is_some(),
            contacts: spec
                .customer
                .contacts
                .iter()
                .map(|contact| contact.role)
                .collect(),
            agreements: spec.agreements.iter().map(agreement).collect(),
            controls: spec.controls.clone(),
            subcontractors: spec
                .subcontractors
                .iter()
                .map(|it| it.name.clone())
                .collect(),
            suspension: spec.force_majeure.as_ref().map(|it| SuspensionFacts {
                since: it.since.clone(),
                notice_reference: it.notice_reference.clone(),
            }),
            has_termination: spec.termination.is_some(),
        }
    }
}

fn agreement(agreement: &tenure_crds::customer_tenant::Agreement) -> AgreementFacts {
    AgreementFacts {
        name: agreement.name.clone(),
        profile: agreement.profile,
        signed_on: agreement.signed_on.clone(),
        expires_on: agreement.expires_on.clone(),
        document_digest: agreement.document_digest.clone(),
        amendments: agreement.amendments.iter().map(document).collect(),
        instructions: agreement
            .customer_instructions
            .iter()
            .map(document)
            .collect(),
    }
}

fn document(document: &tenure_crds::customer_tenant::SignedDocument) -> DocumentFacts {
    DocumentFacts {
        name: document.name.clone(),
        signed_on: document.signed_on.clone(),
        has_digest: document.digest.is_some(),
    }
}

impl PlatformFacts {
    /// What the accepted TenancyPolicy declares; pass the default spec where there is none.
    ///
    /// The supplier paragraph applies unless the policy says that it is already covered.
    pub fn from_spec(spec: &TenancyPolicySpec) -> Self {
        Self {
            hosting: spec.hosting.clone().unwrap_or_default(),
            has_security_contact: spec.security_contact.is_some(),
            second_factor_configured: spec.identity_provider.is_some(),
            edges: spec
                .edges
                .iter()
                .map(|edge| edge.namespace.clone())
                .collect(),
            supplier_paragraph_applies: !spec
                .supplier_paragraph
                .as_ref()
                .is_some_and(|it| it.covered_by_main_contract),
            key_services: spec.key_services.iter().map(|it| it.name.clone()).collect(),
            log_sinks: spec.log_sinks.iter().map(|it| it.name.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::json;

    use super::{PlatformFacts, TenantFacts};
    use tenure_crds::customer_tenant::{ContactRole, Profile};
    use tenure_crds::tenancy_policy::TenancyPolicySpec;
    use tenure_crds::words::{Classification, Enforcement};

    fn minimal() -> serde_json::Value {
        json!({
            "tenantID": "6f1f1c9e-6a3e-4a0c-9c1b-5b0a7f6f2d11",
            "customer": {"name": "Acme"},
            "classification": "Restricted",
            "agreements": [{"name": "main", "profile": "dsa", "signedOn": "2026-01-15"}],
            "namespaces": [{"name": "prod"}],
        })
    }

    #[test]
    fn minimal_tenant_is_enforced_and_declares_nothing_more() {
        let facts = TenantFacts::from_spec("acme", &serde_json::from_value(minimal()).unwrap());
        assert_eq!(facts.name, "acme");
        assert_eq!(facts.classification, Classification::Restricted);
        assert_eq!(facts.enforcement, Enforcement::Enforce);
        assert!(!facts.has_owner && facts.contacts.is_empty() && !facts.has_termination);
        assert!(
            facts.suspension.is_none()
                && facts.controls.is_empty()
                && facts.subcontractors.is_empty()
        );
        assert_eq!(facts.agreements.len(), 1);
        assert_eq!(facts.agreements[0].document_digest, None);
    }

    #[test]
    fn full_tenant_keeps_everything_a_control_asks_for() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let mut spec = minimal();
        let more = json!({
            "owner": {"name": "Platform"},
            "enforcement": "Observe",
            "customer": {"name": "Acme", "contacts": [{"role": "Security", "name": "SOC"}]},
            "agreements": [{
                "name": "paragraph", "profile": "supplier-paragraph", "signedOn": "2026-01-15",
                "expiresOn": "2027-01-14", "documentDigest": digest,
                "amendments": [{"name": "one", "signedOn": "2026-02-01", "digest": digest}],
                "customerInstructions": [{"name": "policy", "signedOn": "2026-02-02"}],
            }],
            "subcontractors": [{"name": "host", "consent": {"uri": "dms:1", "digest": digest}}],
            "controls": [{"id": "dsa-2.4-mfa", "responsible": "Customer", "reference": "SoW 1"}],
            "forceMajeure": {"since": "2026-03-01T00:00:00Z", "noticeReference": "letter"},
            "termination": {
                "noticeReceivedAt": "2026-04-01T00:00:00Z", "noticeReference": "letter", "effectiveOn": "2026-05-01",
            },
        });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let facts = TenantFacts::from_spec("acme", &serde_json::from_value(spec).unwrap());
        assert!(facts.has_owner && facts.has_termination);
        assert_eq!(facts.enforcement, Enforcement::Observe);
        assert_eq!(facts.contacts, [ContactRole::Security]);
        assert_eq!(facts.subcontractors, ["host"]);
        assert_eq!(facts.controls[0].id, "dsa-2.4-mfa");
        assert_eq!(facts.suspension.unwrap().notice_reference, "letter");
        let agreement = &facts.agreements[0];
        assert_eq!(agreement.profile, Profile::SupplierParagraph);
        assert_eq!(agreement.expires_on.as_deref(), Some("2027-01-14"));
        assert_eq!(agreement.document_digest.as_deref(), Some(digest.as_str()));
        assert!(agreement.amendments[0].has_digest && agreement.amendments[0].name == "one");
        assert!(
            !agreement.instructions[0].has_digest
                && agreement.instructions[0].signed_on == "2026-02-02"
        );
    }

    #[test]
    fn empty_policy_answers_nothing_and_lets_the_paragraph_apply() {
        let facts = PlatformFacts::from_spec(&TenancyPolicySpec::default());
        let strict = PlatformFacts {
            supplier_paragraph_applies: true,
            ..PlatformFacts::default()
        };
        assert_eq!(facts, strict);
    }

    #[test]
    fn full_policy_keeps_everything_a_control_asks_for() {
        let spec: TenancyPolicySpec = serde_json::from_value(json!({
            "hosting": {"ownDatacentre": false, "publicCloud": true},
            "securityContact": {"name": "CISO"},
            "identityProvider": {"mfaExtraKey": "idp/amr", "mfaExtraValues": ["otp"]},
            "edges": [{"namespace": "edge"}],
            "keyServices": [{"name": "bao", "kind": "Vault", "address": "https://bao.example"}],
            "logSinks": [{"name": "siem", "address": "https://siem.example"}],
            "supplierParagraph": {"coveredByMainContract": true},
        }))
        .unwrap();
        let facts = PlatformFacts::from_spec(&spec);
        assert_eq!(
            (facts.hosting.own_datacentre, facts.hosting.public_cloud),
            (Some(false), Some(true))
        );
        assert_eq!(
            (facts.hosting.telework, facts.hosting.subcontractors),
            (None, None)
        );
        assert!(facts.has_security_contact && facts.second_factor_configured);
        assert!(!facts.supplier_paragraph_applies);
        assert_eq!(
            (facts.edges, facts.key_services, facts.log_sinks),
            (
                vec!["edge".to_owned()],
                vec!["bao".to_owned()],
                vec!["siem".to_owned()],
            )
        );
    }
}
