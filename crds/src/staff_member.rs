//! StaffMember: one person who works for the provider or a subcontractor, as the HR or identity sync knows them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{DATE, GROUP, IDENTITY, PRINTABLE};

/// Whether somebody still works here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Employment {
    /// Works here.
    Active,
    /// Left: every grant of the person ends at once (DSA 2.4).
    Left,
}

/// One person (DSA 2.2, 2.3, 2.4, SEC 1). Written by the HR or identity sync, never by the person.
///
/// What is absent is not so: no date of training means untrained. A person's grants hang on it: they do not become active
/// while something is missing, and active ones end at once where it goes missing.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "StaffMember",
    plural = "staffmembers",
    singular = "staffmember",
    shortname = "staff",
    category = "tenure",
    status = "StaffMemberStatus",
    derive = "PartialEq",
    doc = "One person who may be granted access, as the HR or identity sync knows them.",
    printcolumn(name = "Status", type_ = "string", json_path = ".spec.status"),
    printcolumn(name = "Job", type_ = "string", json_path = ".spec.jobRole"),
    printcolumn(name = "Employer", type_ = "string", json_path = ".spec.employer"),
    printcolumn(
        name = "Eligible",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Eligible')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Eligible')].reason"
    ),
    printcolumn(
        name = "Trained",
        type_ = "string",
        json_path = ".spec.training.completedOn"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || has(self.spec)").message("spec cannot be removed"))]
#[serde(rename_all = "camelCase")]
pub struct StaffMemberSpec {
    /// User names as the API servers see them, the one to grant to first. Each belongs to one person only.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253), regex(pattern = IDENTITY)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(i, !i.startsWith('system:'))").message("a person's identity never starts with system:"))]
    pub identities: Vec<String>,
    /// Groups the identity provider reports for the person: what is asked about when access must have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253), regex(pattern = GROUP)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(g, !g.startsWith('system:'))").message("a person's group never starts with system:"))]
    pub groups: Vec<String>,
    /// The person's name, for people to read; never recorded in the evidence store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub display_name: Option<String>,
    /// The subcontractor the person works for, as the tenant's `subcontractors` name it; the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub employer: Option<String>,
    /// What the person does. A change of it ends every grant: access follows the job (DSA 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub job_role: Option<String>,
    /// Whether the person works here.
    pub status: Employment,
    /// Security awareness training (DSA 2.2): at most 12 months old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Acceptable-use policy, signed (DSA 2.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptable_use: Option<Signature>,
    /// Confidentiality, signed (SEC 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidentiality: Option<Signature>,
    /// Multi-factor authentication, confirmed (DSA 2.4, SEC 6): needed for remote work where the identity provider does not
    /// report it to the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<Signature>,
    /// Telework policy, signed (DSA 2.9): needed for remote work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telework: Option<Signature>,
}

/// A training that was completed.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Training {
    /// Date of completion.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub completed_on: String,
    /// Where that is on file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub reference: Option<String>,
}

/// Something signed or confirmed.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// Date of signature.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub signed_on: String,
    /// Where that is on file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub reference: Option<String>,
}

/// What the operator found about a StaffMember.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffMemberStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Eligible` (grants of the person may be active, or what is missing), `Ready` (its state is settled).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
