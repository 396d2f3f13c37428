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
use tenure_crds::{CustomerTenantSpec, TenancyPolicySpec};

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

/// What is decided on.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A change that loosens a tenant's agreement (`Amend`).
    TenantAmend(&'a CustomerTenantSpec),
    /// Namespaces taken over, or a tenant thawed that does not match its record (`Adopt`).
    TenantAdopt(&'a CustomerTenantSpec, &'a [TakenOver]),
    /// A change that loosens the platform's policy (`Loosen`).
    PolicyLoosen(&'a TenancyPolicySpec),
}

impl Subject<'_> {
    /// The action an approval must name.
    pub fn action(&self) -> Action {
        match self {
            Self::TenantAmend(_) => Action::Amend,
            Self::TenantAdopt(..) => Action::Adopt,
            Self::PolicyLoosen(_) => Action::Loosen,
        }
    }

    /// Kind of the object.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TenantAmend(_) | Self::TenantAdopt(..) => "CustomerTenant",
            Self::PolicyLoosen(_) => "TenancyPolicy",
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
    let document = json!({
        "action": subject.action().as_str(),
        "kind": subject.kind(),
        "version": version,
        "fields": fields,
    });
    let canonical = serde_json_canonicalizer::to_vec(&ordered(document))
        .unwrap_or_else(|error| unreachable!("JSON has a canonical form: {error}"));
    let hash = Sha256::digest(&canonical);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
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
    }
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
