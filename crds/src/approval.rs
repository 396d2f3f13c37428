//! Approval: one person's decision on one thing, stamped by admission.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{DIGEST, DNS_LABEL, Evidence, INSTANT, TENANT_ID};

/// What is decided.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Action {
    /// Start an access grant.
    Activate,
    /// Start a tenant's exit.
    Terminate,
    /// Take a termination back.
    Withdraw,
    /// Destroy the frozen inventory of an exit.
    Destroy,
    /// Destroy a key.
    DestroyKey,
    /// Decide return or destruction for a customer who did not choose.
    DecideChoice,
    /// Decide when a notice was received.
    DecideReceipt,
    /// Release a legal hold.
    ReleaseHold,
    /// Shorten a retention or widen its selection.
    Retention,
    /// Take over a namespace, or thaw a tenant that does not match its record.
    Adopt,
    /// Accept a change that loosens a tenant's agreement (DSA 4).
    Amend,
    /// Accept a change that loosens the platform's policy.
    Loosen,
    /// Accept the customer's receipt of returned data.
    AcceptReceipt,
    /// Accept that what a sweep found stays: after a grant's end, and at the end of an exit.
    AcceptSweep,
}

impl Action {
    /// The word as it stands in specs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "Activate",
            Self::Terminate => "Terminate",
            Self::Withdraw => "Withdraw",
            Self::Destroy => "Destroy",
            Self::DestroyKey => "DestroyKey",
            Self::DecideChoice => "DecideChoice",
            Self::DecideReceipt => "DecideReceipt",
            Self::ReleaseHold => "ReleaseHold",
            Self::Retention => "Retention",
            Self::Adopt => "Adopt",
            Self::Amend => "Amend",
            Self::Loosen => "Loosen",
            Self::AcceptReceipt => "AcceptReceipt",
            Self::AcceptSweep => "AcceptSweep",
        }
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// One person's decision on one thing (DSA 2.4 separation of duties, DSA 4 amendments).
///
/// Immutable: a decision is replaced by a new one. It is void when what it names has changed, and
/// when the approver is also the one who asked.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    shortname = "apr",
    category = "tenure",
    status = "ApprovalStatus",
    derive = "PartialEq",
    doc = "One person's decision on one thing, stamped with who decided.",
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subject.name"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Valid')].status"
    ),
    printcolumn(
        name = "Approver",
        type_ = "string",
        json_path = ".spec.approver.username"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || (has(self.spec) && self.spec == oldSelf.spec)").message("an Approval is immutable: delete nothing, write a new one"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.subject.kind == 'TenancyPolicy' ? !has(self.tenantRef) : has(self.tenantRef)").message("tenantRef is required, except for a TenancyPolicy, where it must be absent"))]
#[x_kube(validation = Rule::new("self.subject.kind != 'TenancyPolicy' || self.subject.name == 'default'").message("there is one TenancyPolicy, named default"))]
#[x_kube(validation = Rule::new("self.subject.kind == 'TenancyPolicy' ? !has(self.subject.tenantID) : (!(self.subject.kind in ['CustomerTenant', 'LegalHold', 'AccessGrant']) || has(self.subject.tenantID))").message("subject.tenantID is required for a CustomerTenant, a LegalHold or an AccessGrant (a name may come back, an identity may not) and absent for a TenancyPolicy"))]
#[x_kube(validation = Rule::new("(self.action == 'Loosen') == (self.subject.kind == 'TenancyPolicy') && (self.action != 'Activate' || self.subject.kind == 'AccessGrant') && (self.action != 'ReleaseHold' || self.subject.kind == 'LegalHold') && (self.action != 'Retention' || self.subject.kind == 'DataRetention') && (self.action != 'AcceptSweep' || self.subject.kind in ['AccessGrant', 'CustomerTenant']) && (!(self.action in ['Terminate', 'Withdraw', 'Adopt', 'Amend']) || self.subject.kind == 'CustomerTenant')").message("action and subject.kind do not go together: Loosen is for a TenancyPolicy, Activate for an AccessGrant, ReleaseHold for a LegalHold, Retention for a DataRetention, AcceptSweep for an AccessGrant or a CustomerTenant, Terminate, Withdraw, Adopt and Amend for a CustomerTenant"))]
#[x_kube(validation = Rule::new("self.subject.kind != 'CustomerTenant' || !has(self.tenantRef) || self.subject.name == self.tenantRef.name").message("for a CustomerTenant subject.name and tenantRef.name must be the same"))]
pub struct ApprovalSpec {
    /// What is decided.
    pub action: Action,
    /// The tenant concerned; absent only for a TenancyPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_ref: Option<TenantRef>,
    /// The thing decided on, as it was when the person looked at it.
    pub subject: Subject,
    /// Yes or no.
    pub decision: Decision,
    /// Why it was decided so.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
    /// Set where the decision is the customer's, written down by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<OnBehalfOf>,
    /// RFC 3339 instant after which the decision no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub not_after: Option<String>,
    /// Who decided; stamped by admission from the caller, whatever was written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Approver>,
}

/// Names a CustomerTenant.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TenantRef {
    /// The CustomerTenant's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
}

/// The thing decided on.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Kind of the object, e.g. `CustomerTenant`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The tenant's UUID, where the subject has one: a name may come back, an identity may not.
    #[serde(default, rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    pub tenant_id: Option<String>,
    /// Digest as shown in the subject's `status.pendingApprovals`.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: String,
    /// Version of the field list the digest is computed over.
    #[schemars(range(min = 1))]
    pub digest_version: i32,
}

/// The customer's word, given outside the cluster.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct OnBehalfOf {
    /// Whose word it is.
    pub party: BehalfParty,
    /// Where the word stands in writing.
    pub evidence: Evidence,
}

/// Whose word an approval carries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum BehalfParty {
    /// The customer.
    Customer,
}

/// Who decided, as the API server authenticated them.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Approver {
    /// User name.
    #[schemars(length(max = 1024))]
    pub username: String,
    /// Groups at the time of the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
}

/// What the operator found about an Approval.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Valid` (the decision counts, or why not), `Ready` (the standing is settled).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// RFC 3339 instant at which the decision was first acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub used_at: Option<String>,
}
