//! Attestation: what only people can know, said by one of them, dated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{CONTROL, DATE, Evidence, PRINTABLE, TENANT_ID};

/// What an attestation is about.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum SubjectKind {
    /// The platform as a whole, for every tenant.
    Platform,
    /// One tenant.
    Tenant,
    /// A place: a datacentre, an office.
    Location,
    /// A member of staff.
    Person,
    /// A subcontractor.
    Subcontractor,
}

/// A signed statement that a control holds where no machine can see it (DSA 2.12).
///
/// Immutable: a newer one about the same control and subject replaces it. It counts from the day of issue through its last
/// day, and only while it is the newest.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "Attestation",
    plural = "attestations",
    shortname = "att",
    category = "tenure",
    status = "AttestationStatus",
    derive = "PartialEq",
    doc = "A dated statement, with its evidence, that a control holds where no machine can see it.",
    printcolumn(name = "Control", type_ = "string", json_path = ".spec.control"),
    printcolumn(name = "About", type_ = "string", json_path = ".spec.subject.kind"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subject.name"),
    printcolumn(
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Valid')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Valid')].reason"
    ),
    printcolumn(name = "Until", type_ = "string", json_path = ".spec.validUntil"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || (has(self.spec) && self.spec == oldSelf.spec)").message("an Attestation is immutable: write a newer one, which replaces it"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.validUntil > self.issuedOn").message("validUntil must be after issuedOn"))]
pub struct AttestationSpec {
    /// Control id of the catalogue.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL))]
    pub control: String,
    /// What the statement is about.
    pub subject: AttestedSubject,
    /// What is stated.
    #[schemars(length(min = 1, max = 4096))]
    pub statement: String,
    /// Who states it, as the evidence is signed: a function or a user name. A claim; who wrote the object is stamped by
    /// admission into the annotation `tenure.dev/changed-by`.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub attested_by: String,
    /// Date of issue; the first day on which it counts.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub issued_on: String,
    /// Last day on which it counts.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub valid_until: String,
    /// The signed statement or certificate itself.
    pub evidence: Evidence,
}

/// What an attestation is about.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.kind == 'Platform') == !has(self.name)").message("name is required, except for the Platform, where it must be absent"))]
#[x_kube(validation = Rule::new("self.kind == 'Platform' ? !has(self.tenantID) : (self.kind != 'Tenant' || has(self.tenantID))").message("tenantID is required for a Tenant (a name may come back, an identity may not) and absent for the Platform"))]
pub struct AttestedSubject {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its name: the CustomerTenant's, the location's or subcontractor's as contracts know it, the person's user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub name: Option<String>,
    /// The tenant's UUID, where it is about a tenant, or about the rest for that tenant only.
    #[serde(default, rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    pub tenant_id: Option<String>,
}

/// What the operator found about an Attestation.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Recorded` (it is in the record and outlives this object), `Valid` (it counts now, or why not), `Ready` (its standing
    /// is settled).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// RFC 3339 instant at which it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub recorded_at: Option<String>,
}
