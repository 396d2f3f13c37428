//! What an approval is given over: a digest of a versioned, explicit list of fields.
//!
//! The digest is `sha256:` and the SHA-256 of the canonical JSON (RFC 8785) of
//! `{"action", "kind", "version", "fields"}`. A field that is absent or empty is left out, so that a
//! field added to a kind later changes no digest made before. Every list in these fields is a set or
//! keyed by name, and its order means nothing, so lists are sorted: a server that writes them in
//! another order voids no approval. Status and metadata are no part of it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tenure_crds::approval::Action;
use tenure_crds::{
    AccessGrantSpec, AttestationSpec, CustomerTenantSpec, LegalHoldSpec, TenancyPolicySpec,
};

use crate::record::Finding;

/// Version of the field lists in use. A change of a list is a new version.
pub const DIGEST_VERSION: i32 = 1;

/// A namespace that a tenant takes over (action `Adopt`).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct TakenOver {
    /// The namespace's full name.
    pub name: String,
    /// Its uid: a namespace made anew under the same name was never looked at.
    pub uid: String,
}

/// What was found after a grant's end and is there still (action `AcceptSweep`).
#[derive(Clone, Copy, Debug)]
pub struct Stays<'a> {
    /// The tenant's UUID.
    pub tenant_id: &'a str,
    /// The grant's uid.
    pub uid: &'a str,
    /// The person let in, by StaffMember name.
    pub person: &'a str,
    /// All that is there, named or not.
    pub findings: &'a [Finding],
    /// What was not looked at and cannot be any more.
    pub not_looked_at: &'a [String],
}

/// What is decided on.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A change that loosens a tenant's agreement (`Amend`).
    TenantAmend(&'a CustomerTenantSpec),
    /// Namespaces taken over, or a tenant thawed that does not match its record (`Adopt`).
    TenantAdopt(&'a CustomerTenantSpec, &'a [TakenOver]),
    /// A change that loosens the platform's policy (`Loosen`).
    PolicyLoosen(&'a TenancyPolicySpec),
    /// The end of a hold (`ReleaseHold`).
    HoldRelease(&'a LegalHoldSpec),
    /// Access for one person (`Activate`); with the object's uid, because one that was made again is another grant.
    GrantActivate(&'a AccessGrantSpec, &'a str),
    /// That what was created or changed during a grant's window stays (`AcceptSweep`).
    SweepAccept(&'a Stays<'a>),
}

impl Subject<'_> {
    /// The action an approval must name.
    pub fn action(&self) -> Action {
        match self {
            Self::TenantAmend(_) => Action::Amend,
            Self::TenantAdopt(..) => Action::Adopt,
            Self::PolicyLoosen(_) => Action::Loosen,
            Self::HoldRelease(_) => Action::ReleaseHold,
            Self::GrantActivate(..) => Action::Activate,
            Self::SweepAccept(_) => Action::AcceptSweep,
        }
    }

    /// Kind of the object.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TenantAmend(_) | Self::TenantAdopt(..) => "CustomerTenant",
            Self::PolicyLoosen(_) => "TenancyPolicy",
            Self::HoldRelease(_) => "LegalHold",
            Self::GrantActivate(..) | Self::SweepAccept(_) => "AccessGrant",
        }
    }
}

/// A digest was asked over a field list this release does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("digest version {0} is not known here, the current one is {DIGEST_VERSION}")]
pub struct UnknownVersion(pub i32);

/// The subject's digest over the fields of the given version: `sha256:` and 64 hexadecimal digits.
///
/// # Errors
/// Where the version is not known.
pub fn digest(version: i32, subject: &Subject<'_>) -> Result<String, UnknownVersion> {
    let fields = match version {
        1 => fields_v1(subject),
        _ => return Err(UnknownVersion(version)),
    };
    Ok(of_document(json!({
        "action": subject.action().as_str(),
        "kind": subject.kind(),
        "version": version,
        "fields": fields,
    })))
}

/// The digest of an Attestation, over all it states: nobody decides on one, the record names it by this.
pub fn attestation_digest(spec: &AttestationSpec) -> String {
    // Without `..`: a new field must be put into a new version of the list.
    let AttestationSpec {
        control,
        subject,
        statement,
        attested_by,
        issued_on,
        valid_until,
        evidence,
    } = spec;
    let mut fields = Map::new();
    put(&mut fields, "control", control);
    put(&mut fields, "subject", subject);
    put(&mut fields, "statement", statement);
    put(&mut fields, "attestedBy", attested_by);
    put(&mut fields, "issuedOn", issued_on);
    put(&mut fields, "validUntil", valid_until);
    put(&mut fields, "evidence", evidence);
    of_document(json!({"kind": "Attestation", "version": 1, "fields": fields}))
}

fn of_document(document: Value) -> String {
    let canonical = serde_json_canonicalizer::to_vec(&ordered(document))
        .unwrap_or_else(|error| unreachable!("JSON has a canonical form: {error}"));
    let hash = Sha256::digest(&canonical);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The subject's digest over the field list in use.
pub fn current_digest(subject: &Subject<'_>) -> String {
    digest(DIGEST_VERSION, subject)
        .unwrap_or_else(|error| unreachable!("the current version is known: {error}"))
}

fn fields_v1(subject: &Subject<'_>) -> Value {
    match subject {
        Subject::TenantAmend(spec) => tenant_v1(spec).into(),
        Subject::TenantAdopt(spec, namespaces) => {
            let mut fields = tenant_v1(spec);
            put(&mut fields, "takenOver", namespaces);
            fields.into()
        }
        Subject::PolicyLoosen(spec) => policy_v1(spec).into(),
        Subject::HoldRelease(spec) => hold_v1(spec).into(),
        Subject::GrantActivate(spec, uid) => grant_v1(spec, uid).into(),
        Subject::SweepAccept(stays) => sweep_v1(stays).into(),
    }
}

fn sweep_v1(stays: &Stays<'_>) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let Stays {
        tenant_id,
        uid,
        person,
        findings,
        not_looked_at,
    } = stays;
    let mut fields = Map::new();
    put(&mut fields, "tenantID", tenant_id);
    put(&mut fields, "uid", uid);
    put(&mut fields, "person", person);
    let findings: Vec<Value> = findings.iter().map(|one| finding_v1(one).into()).collect();
    put(&mut fields, "findings", &findings);
    put(&mut fields, "notLookedAt", not_looked_at);
    fields
}

fn finding_v1(finding: &Finding) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let Finding {
        kind,
        namespace,
        name,
        uid,
        change,
        when,
        author,
        claimed,
    } = finding;
    let mut fields = Map::new();
    put(&mut fields, "kind", kind);
    put(&mut fields, "namespace", namespace);
    put(&mut fields, "name", name);
    put(&mut fields, "uid", uid);
    put(&mut fields, "change", change.as_str());
    put(&mut fields, "when", when);
    put(&mut fields, "author", author);
    put(&mut fields, "claimed", claimed);
    fields
}

fn grant_v1(spec: &AccessGrantSpec, uid: &str) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let AccessGrantSpec {
        tenant_ref,
        tenant_id,
        person,
        identity,
        role,
        namespaces,
        reason,
        ticket,
        not_before,
        not_after,
        location,
        break_glass,
        credential,
        exception_reference,
        // What is revoked waits for nobody.
        revoked: _,
        requested_by,
    } = spec;
    let mut fields = Map::new();
    put(&mut fields, "uid", uid);
    put(&mut fields, "tenantRef", tenant_ref);
    put(&mut fields, "tenantID", tenant_id);
    put(&mut fields, "person", person);
    put(&mut fields, "identity", identity);
    put(&mut fields, "role", role);
    put(&mut fields, "namespaces", namespaces);
    put(&mut fields, "reason", reason);
    put(&mut fields, "ticket", ticket);
    put(&mut fields, "notBefore", not_before);
    put(&mut fields, "notAfter", not_after);
    // Absent means the default, and is the same decision.
    put(&mut fields, "location", &location.unwrap_or_default());
    put(&mut fields, "breakGlass", &break_glass.unwrap_or_default());
    put(&mut fields, "credential", &credential.unwrap_or_default());
    put(&mut fields, "exceptionReference", exception_reference);
    put(&mut fields, "requestedBy", requested_by);
    fields
}

fn hold_v1(spec: &LegalHoldSpec) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let LegalHoldSpec {
        tenant_ref,
        tenant_id,
        reference,
        authority,
        scope,
        reason,
        placed_by,
        placed_on,
        // When somebody looks again changes nothing of what is released.
        review_on: _,
    } = spec;
    let mut fields = Map::new();
    put(&mut fields, "tenantRef", tenant_ref);
    put(&mut fields, "tenantID", tenant_id);
    put(&mut fields, "reference", reference);
    put(&mut fields, "authority", authority);
    put(&mut fields, "scope", scope);
    put(&mut fields, "reason", reason);
    put(&mut fields, "placedBy", placed_by);
    put(&mut fields, "placedOn", placed_on);
    fields
}

fn tenant_v1(spec: &CustomerTenantSpec) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let CustomerTenantSpec {
        tenant_id,
        customer,
        owner,
        classification,
        enforcement,
        agreements,
        namespaces,
        network,
        exposure,
        encryption,
        logging,
        deployers,
        members,
        subcontractors,
        telework_exclusions,
        controls,
        force_majeure,
        termination,
    } = spec;
    let mut fields = Map::new();
    put(&mut fields, "tenantID", tenant_id);
    put(&mut fields, "customer", customer);
    put(&mut fields, "owner", owner);
    put(&mut fields, "classification", classification);
    // Absent means Enforce, and is the same decision.
    put(&mut fields, "enforcement", &enforcement.unwrap_or_default());
    put(&mut fields, "agreements", agreements);
    put(&mut fields, "namespaces", namespaces);
    put(&mut fields, "network", network);
    put(&mut fields, "exposure", exposure);
    put(&mut fields, "encryption", encryption);
    put(&mut fields, "logging", logging);
    put(&mut fields, "deployers", deployers);
    put(&mut fields, "members", members);
    put(&mut fields, "subcontractors", subcontractors);
    put(&mut fields, "teleworkExclusions", telework_exclusions);
    put(&mut fields, "controls", controls);
    put(&mut fields, "forceMajeure", force_majeure);
    put(&mut fields, "termination", termination);
    fields
}

fn policy_v1(spec: &TenancyPolicySpec) -> Map<String, Value> {
    // Without `..`: a new field must be put into a new version of the list.
    let TenancyPolicySpec {
        baselines,
        grantable_roles,
        privileged_roles,
        platform_ingress,
        edges,
        exposure_classes,
        dns,
        source_ranges,
        trusted_controllers,
        break_glass_group,
        gitops_appliers,
        restore,
        identity_provider,
        key_services,
        log_sinks,
        retention,
        hosting,
        security_contact,
        cluster_network_policy,
        supplier_paragraph,
    } = spec;
    let mut fields = Map::new();
    put(&mut fields, "baselines", baselines);
    put(&mut fields, "grantableRoles", grantable_roles);
    put(&mut fields, "privilegedRoles", privileged_roles);
    put(&mut fields, "platformIngress", platform_ingress);
    put(&mut fields, "edges", edges);
    put(&mut fields, "exposureClasses", exposure_classes);
    put(&mut fields, "dns", dns);
    put(&mut fields, "sourceRanges", source_ranges);
    put(&mut fields, "trustedControllers", trusted_controllers);
    put(&mut fields, "breakGlassGroup", break_glass_group);
    put(&mut fields, "gitopsAppliers", gitops_appliers);
    put(&mut fields, "restore", restore);
    put(&mut fields, "identityProvider", identity_provider);
    put(&mut fields, "keyServices", key_services);
    put(&mut fields, "logSinks", log_sinks);
    put(&mut fields, "retention", retention);
    put(&mut fields, "hosting", hosting);
    put(&mut fields, "securityContact", security_contact);
    put(&mut fields, "clusterNetworkPolicy", cluster_network_policy);
    put(&mut fields, "supplierParagraph", supplier_paragraph);
    fields
}

fn put<T: Serialize + ?Sized>(fields: &mut Map<String, Value>, name: &str, value: &T) {
    let value = serde_json::to_value(value)
        .unwrap_or_else(|error| unreachable!("a field of a kind is JSON: {error}"));
    let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if !empty {
        fields.insert(name.to_owned(), value);
    }
}

fn ordered(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(ordered).collect();
            items.sort_by_cached_key(|item| {
                serde_json_canonicalizer::to_string(item).unwrap_or_default()
            });
            Value::Array(items)
        }
        Value::Object(map) => map
            .into_iter()
            .map(|(key, child)| (key, ordered(child)))
            .collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::policy::samples;

    fn namespaces() -> Vec<TakenOver> {
        vec![
            TakenOver {
                name: "legacy".into(),
                uid: "u-1".into(),
            },
            TakenOver {
                name: "older".into(),
                uid: "u-2".into(),
            },
        ]
    }

    #[track_caller]
    fn check(subject: Subject<'_>, expect: &str) {
        assert_eq!(
            digest(1, &subject).as_deref(),
            Ok(expect),
            "made in the field: approvals hang on it"
        );
    }

    #[test]
    fn the_digests_of_version_1_never_change() {
        let tenant = samples::tenant(samples::full_tenant());
        let mut policy = samples::policy(samples::full_policy());
        // Fields that came later: absent, they change nothing that was made before.
        for role in &mut policy.grantable_roles {
            (role.review_every, role.cut_sessions) = (None, None);
        }
        check(
            Subject::TenantAmend(&tenant),
            "sha256:4c37fbae378464e51a68e07412a9432666dd8a43e338558a2e8c67535786e52f",
        );
        check(
            Subject::TenantAdopt(&tenant, &namespaces()),
            "sha256:729a43d0a59955171d59cace360e431652d39171e8b0d355cda18654233916ad",
        );
        check(
            Subject::PolicyLoosen(&policy),
            "sha256:fb9472b7ca55103c362d5a518a496a359cbcd108fb7e830ec021e58435eee13c",
        );
    }

    fn hold() -> LegalHoldSpec {
        serde_json::from_value(json!({
            "tenantRef": {"name": "acme"}, "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
            "reference": "Case 17", "authority": "Court", "reason": "a dispute",
            "scope": {"extent": "Named", "namespaces": ["acme-prod"], "stores": ["archive", "backup"]},
            "placedBy": "Legal", "placedOn": "2026-03-01", "reviewOn": "2026-09-01"
        }))
        .unwrap()
    }

    fn attestation() -> AttestationSpec {
        serde_json::from_value(json!({
            "control": "dsa-2.5-physical-security", "subject": {"kind": "Location", "name": "West"},
            "statement": "nothing is open", "attestedBy": "Facility manager",
            "issuedOn": "2026-01-15", "validUntil": "2027-01-14",
            "evidence": {"uri": "https://documents.provider.example/west.pdf", "digest": format!("sha256:{}", "0".repeat(64))}
        }))
        .unwrap()
    }

    #[test]
    fn the_digests_of_holds_and_attestations_never_change_and_hang_on_every_field() {
        let released = |spec: &LegalHoldSpec| current_digest(&Subject::HoldRelease(spec));
        check(
            Subject::HoldRelease(&hold()),
            "sha256:d8668e71cd13c28924126341817fb77bec0796fdc3f4abd784516f151db97f58",
        );
        assert_eq!(
            attestation_digest(&attestation()),
            "sha256:dcf4f726b5eb812a6d332d9c8c54fee39f83906f8afaa17f9ba4edd65e2fae1a"
        );
        let reviewed = LegalHoldSpec {
            review_on: None,
            ..hold()
        };
        assert_eq!(released(&reviewed), released(&hold()));
        for (pointer, value) in [
            ("/tenantRef/name", "other"),
            ("/tenantID", "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b22"),
            ("/reference", "Case 18"),
            ("/authority", "Nobody"),
            ("/reason", "another dispute"),
            ("/scope/stores/0", "tapes"),
            ("/placedBy", "Sales"),
            ("/placedOn", "2026-03-02"),
        ] {
            let changed: LegalHoldSpec = with(&hold(), pointer, value);
            assert_ne!(released(&changed), released(&hold()), "{pointer}");
        }
        for (pointer, value) in [
            ("/control", "dsa-2.5-media-disposal"),
            ("/subject/name", "East"),
            ("/statement", "all is open"),
            ("/attestedBy", "Somebody"),
            ("/issuedOn", "2026-01-16"),
            ("/validUntil", "2027-01-15"),
            (
                "/evidence/uri",
                "https://documents.provider.example/east.pdf",
            ),
        ] {
            let changed: AttestationSpec = with(&attestation(), pointer, value);
            assert_ne!(
                attestation_digest(&changed),
                attestation_digest(&attestation()),
                "{pointer}"
            );
        }
    }

    #[test]
    fn the_digest_of_a_grant_never_changes_and_hangs_on_every_field_but_its_revocation() {
        let grant: AccessGrantSpec = serde_json::from_value(json!({
            "tenantRef": {"name": "acme"}, "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
            "person": "worker", "identity": "worker-admin", "role": "tenure-tenant-operator",
            "namespaces": ["acme-prod", "acme-test"], "reason": "it hangs", "ticket": "CHG-1",
            "notBefore": "2026-03-01T08:00:00Z", "notAfter": "2026-03-01T16:00:00Z",
            "location": "OnSite", "breakGlass": true, "credential": "Session",
            "exceptionReference": "Amendment 3", "revoked": {"reason": "done"}, "requestedBy": "lead"
        }))
        .unwrap();
        let digest = |spec: &AccessGrantSpec| current_digest(&Subject::GrantActivate(spec, "u-1"));
        check(
            Subject::GrantActivate(&grant, "u-1"),
            "sha256:41aef2a3315bb1c584ef5003b4458f481e9e5010d4c9434ae3b4884ae55923b9",
        );
        assert_ne!(
            current_digest(&Subject::GrantActivate(&grant, "u-2")),
            digest(&grant)
        );
        let kept = AccessGrantSpec {
            revoked: None,
            ..grant.clone()
        };
        assert_eq!(digest(&kept), digest(&grant));
        for (pointer, value) in [
            ("/tenantRef/name", json!("other")),
            ("/tenantID", json!("6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b22")),
            ("/person", json!("other")),
            ("/identity", json!("worker")),
            ("/role", json!("tenure-tenant-viewer")),
            ("/namespaces", json!(["acme-prod"])),
            ("/reason", json!("another")),
            ("/ticket", json!("CHG-2")),
            ("/notBefore", json!("2026-03-01T09:00:00Z")),
            ("/notAfter", json!("2026-03-01T15:00:00Z")),
            ("/location", json!("Remote")),
            ("/breakGlass", json!(false)),
            ("/credential", json!("Identity")),
            ("/exceptionReference", json!("Amendment 4")),
            ("/requestedBy", json!("worker")),
        ] {
            let mut changed = serde_json::to_value(&grant).unwrap();
            *changed.pointer_mut(pointer).unwrap() = value;
            let changed: AccessGrantSpec = serde_json::from_value(changed).unwrap();
            assert_ne!(digest(&changed), digest(&grant), "{pointer}");
        }
    }

    #[test]
    fn the_digest_of_a_sweep_never_changes_and_hangs_on_every_field_of_what_stays() {
        let findings = || -> Value {
            json!([
                {"kind": "CronJob", "namespace": "acme-prod", "name": "nightly", "uid": "o-1", "change": "Created",
                    "when": "2026-03-01T09:00:00Z", "claimed": "kubectl-create"},
                {"kind": "CertificateSigningRequest", "name": "csr", "uid": "o-2", "change": "Changed", "author": "worker"}
            ])
        };
        let digest = |findings: &Value, uid: &str, person: &str, gaps: &[String]| {
            let findings: Vec<Finding> = serde_json::from_value(findings.clone()).unwrap();
            current_digest(&Subject::SweepAccept(&Stays {
                tenant_id: "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
                uid,
                person,
                findings: &findings,
                not_looked_at: gaps,
            }))
        };
        let gaps = ["tokens".to_owned()];
        let before = digest(&findings(), "u-1", "worker", &gaps);
        assert_eq!(
            before, "sha256:750d27b085b0bbe209cd6934ba8e193d3adcb836e898b6b7937be87218caa298",
            "made in the field: approvals hang on it"
        );
        for (pointer, value) in [
            ("/0/kind", "Pod"),
            ("/0/namespace", "acme-test"),
            ("/0/name", "daily"),
            ("/0/uid", "o-3"),
            ("/0/change", "Changed"),
            ("/0/when", "2026-03-01T09:00:01Z"),
            ("/0/claimed", "helm"),
            ("/1/author", "other"),
        ] {
            let mut changed = findings();
            *changed.pointer_mut(pointer).unwrap() = json!(value);
            assert_ne!(
                digest(&changed, "u-1", "worker", &gaps),
                before,
                "{pointer}"
            );
        }
        let mut turned = findings();
        turned.as_array_mut().unwrap().reverse();
        assert_eq!(digest(&turned, "u-1", "worker", &gaps), before);
        turned.as_array_mut().unwrap().pop();
        assert_ne!(digest(&turned, "u-1", "worker", &gaps), before);
        assert_ne!(digest(&findings(), "u-2", "worker", &gaps), before);
        assert_ne!(digest(&findings(), "u-1", "other", &gaps), before);
        assert_ne!(digest(&findings(), "u-1", "worker", &[]), before);
    }

    fn with<T: Serialize + DeserializeOwned>(spec: &T, pointer: &str, value: &str) -> T {
        let mut changed = serde_json::to_value(spec).unwrap();
        *changed.pointer_mut(pointer).unwrap() = json!(value);
        serde_json::from_value(changed).unwrap()
    }

    #[test]
    fn the_digest_is_the_hash_of_the_canonical_document() {
        // printf '{"action":"Loosen","fields":{"edges":[{"namespace":"dmz"}]},"kind":"TenancyPolicy","version":1}' | sha256sum
        let policy = samples::policy(json!({"edges": [{"namespace": "dmz"}]}));
        check(
            Subject::PolicyLoosen(&policy),
            "sha256:debfbbe36f22e735b8534a3226845f2e8eaa40a031985cc7ac9a1ad4ab0d6fe0",
        );
    }

    /// Every value that could stand at a leaf instead.
    fn others(value: &Value) -> Vec<Value> {
        const WORDS: [&str; 14] = [
            "Public",
            "Observe",
            "fr",
            "Privacy",
            "supplier-paragraph",
            "Viewer",
            "User",
            "Customer",
            "Destroy",
            "Keep",
            "Both",
            "Privileged",
            "UDP",
            "Gateway",
        ];
        let guesses = ["AwsKms", "ZeroTrust", "pods", "SCTP"];
        match value {
            Value::Bool(flag) => vec![json!(!flag)],
            Value::Number(number) => vec![json!(number.as_i64().unwrap() + 1)],
            Value::String(text) => {
                let words = WORDS.iter().chain(&guesses).map(|word| json!(word));
                std::iter::once(json!(format!("{text}x")))
                    .chain(words)
                    .collect()
            }
            other => unreachable!("not a leaf: {other}"),
        }
    }

    /// Changes each leaf of a full spec in turn, and removes each, and wants another digest each time.
    #[track_caller]
    fn check_leaves<T: DeserializeOwned>(full: &Value, least: usize, of: impl Fn(&T) -> String) {
        let parse = |value: &Value| serde_json::from_value::<T>(value.clone());
        let before = of(&parse(full).unwrap());
        let leaves = samples::leaves(full);
        assert!(leaves.len() >= least, "only {} leaves", leaves.len());
        for leaf in leaves {
            let value = full.pointer(&leaf).unwrap();
            let changed = others(value)
                .into_iter()
                .filter(|other| other != value)
                .find_map(|other| {
                    let mut copy = full.clone();
                    *copy.pointer_mut(&leaf).unwrap() = other;
                    parse(&copy).ok()
                });
            let changed = changed.unwrap_or_else(|| panic!("no other value fits {leaf}"));
            assert_ne!(of(&changed), before, "{leaf} changed");

            let (parent, key) = leaf.rsplit_once('/').unwrap();
            let mut copy = full.clone();
            if let Value::Object(map) = copy.pointer_mut(parent).unwrap() {
                map.remove(&key.replace("~1", "/"));
            }
            // Absent enforcement is Enforce; other absent fields are a change wherever they may be absent.
            if leaf != "/enforcement"
                && copy != *full
                && let Ok(removed) = parse(&copy)
            {
                assert_ne!(of(&removed), before, "{leaf} removed");
            }
        }
    }

    #[test]
    fn any_change_of_a_listed_field_changes_the_digest() {
        check_leaves(
            &samples::full_tenant(),
            100,
            |tenant: &CustomerTenantSpec| digest(1, &Subject::TenantAmend(tenant)).unwrap(),
        );
        check_leaves(&samples::full_policy(), 50, |policy: &TenancyPolicySpec| {
            digest(1, &Subject::PolicyLoosen(policy)).unwrap()
        });
    }

    #[test]
    fn another_namespace_or_uid_to_take_over_changes_the_digest() {
        let tenant = samples::tenant(samples::full_tenant());
        let of = |namespaces: &[TakenOver]| {
            digest(1, &Subject::TenantAdopt(&tenant, namespaces)).unwrap()
        };
        let before = of(&namespaces());
        let mut remade = namespaces();
        remade[0].uid = "u-9".into();
        assert_ne!(of(&remade), before);
        assert_ne!(of(&namespaces()[..1]), before);
        let mut turned = namespaces();
        turned.reverse();
        assert_eq!(of(&turned), before);
    }

    #[test]
    fn an_approval_for_one_action_is_none_for_another() {
        let tenant = samples::tenant(samples::full_tenant());
        let amend = digest(1, &Subject::TenantAmend(&tenant));
        assert_ne!(amend, digest(1, &Subject::TenantAdopt(&tenant, &[])));
    }

    #[test]
    fn written_out_defaults_change_no_digest() {
        let written = samples::tenant_with(json!({"enforcement": "Enforce", "members": []}));
        let absent = samples::tenant_with(json!({}));
        let of = |tenant| digest(1, &Subject::TenantAmend(tenant));
        assert_eq!(of(&written), of(&absent));
    }

    #[test]
    fn an_unknown_version_is_an_error() {
        let policy = TenancyPolicySpec::default();
        for version in [0, 2, -1] {
            let result = digest(version, &Subject::PolicyLoosen(&policy));
            assert_eq!(result, Err(UnknownVersion(version)));
        }
        assert!(digest(DIGEST_VERSION, &Subject::PolicyLoosen(&policy)).is_ok());
    }

    proptest! {
        #[test]
        fn the_order_of_lists_changes_no_digest(policy in samples::policies()) {
            let mut turned = serde_json::to_value(&policy).unwrap();
            for field in turned.as_object_mut().unwrap().values_mut() {
                if let Some(list) = field.as_array_mut() {
                    list.reverse();
                }
            }
            let turned = samples::policy(turned);
            let of = |policy| digest(1, &Subject::PolicyLoosen(policy));
            prop_assert_eq!(of(&turned), of(&policy));
        }
    }
}
