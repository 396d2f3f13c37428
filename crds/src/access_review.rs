//! AccessReview: every access there is, to be kept or revoked line by line (DSA 2.4).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::TenantRef;
use crate::words::{DNS_LABEL, ENTRY, INSTANT, PRINTABLE, TENANT_ID};

/// Most lines one review holds.
pub const MOST_LINES: usize = 1_280;

/// What a line is about.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum AccessKind {
    /// A live AccessGrant. Revoking it ends it.
    Grant,
    /// A deployer that the CustomerTenant declares. Revoking it takes its bindings away for as long as it is declared like this.
    Deployer,
    /// A member that the CustomerTenant declares; as with a deployer.
    Member,
    /// A binding that nobody declared to Tenure. Revoking it is said as drift until somebody removes it: it is never touched.
    Binding,
}

impl AccessKind {
    /// The word as it stands in specs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "Grant",
            Self::Deployer => "Deployer",
            Self::Member => "Member",
            Self::Binding => "Binding",
        }
    }
}

/// What a reviewer says of a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum ReviewDecision {
    /// It is still needed.
    Keep,
    /// It has to go.
    Revoke,
}

impl ReviewDecision {
    /// The word as it stands in specs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "Keep",
            Self::Revoke => "Revoke",
        }
    }
}

/// The review of every access to one tenant, or of every standing access to all of them (DSA 2.4): made by the operator when
/// it is due, at most three months after the last one.
///
/// What is listed is frozen. A reviewer writes a decision into each line; who decided is stamped by admission. Nobody reviews
/// their own access. What nobody decided on when the review is due has lapsed: grants end, deployers and members are told as
/// overdue, bindings count as drift.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "AccessReview",
    plural = "accessreviews",
    shortname = "ar",
    category = "tenure",
    status = "AccessReviewStatus",
    derive = "PartialEq",
    doc = "Every access there is, to be kept or revoked line by line.",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Due", type_ = "string", json_path = ".spec.dueAt"),
    printcolumn(name = "Undecided", type_ = "integer", json_path = ".status.undecided"),
    printcolumn(
        name = "Completed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Completed')].status"
    ),
    printcolumn(
        name = "Lapsed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Lapsed')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || (has(self.spec) && has(self.spec.tenantRef) == has(oldSelf.spec.tenantRef) && (!has(self.spec.tenantRef) || self.spec.tenantRef == oldSelf.spec.tenantRef) && has(self.spec.tenantID) == has(oldSelf.spec.tenantID) && (!has(self.spec.tenantID) || self.spec.tenantID == oldSelf.spec.tenantID) && self.spec.frozenAt == oldSelf.spec.frozenAt && self.spec.dueAt == oldSelf.spec.dueAt)").message("what a review is about is frozen: write decision and reason into its lines"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || !has(self.spec) || (self.spec.lines.size() == oldSelf.spec.lines.size() && self.spec.lines.map(l, l.name) == oldSelf.spec.lines.map(l, l.name))").message("the lines of a review are frozen: write decision and reason into them"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tenantRef) == has(self.tenantID)").message("tenantRef and tenantID go together; without them the review is about all tenants"))]
pub struct AccessReviewSpec {
    /// The tenant; absent where the review is about access that reaches every tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_ref: Option<TenantRef>,
    /// The tenant's UUID.
    #[serde(default, rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    pub tenant_id: Option<String>,
    /// RFC 3339 instant at which the list was made. The next review is due three months after it, at most.
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub frozen_at: String,
    /// RFC 3339 instant by which every line must be decided.
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub due_at: String,
    /// Every access there was when the list was made.
    #[schemars(length(max = 1280), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub lines: Vec<ReviewLine>,
}

/// One access.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.kind == oldSelf.kind && self.who == oldSelf.who && self.role == oldSelf.role && self.reference == oldSelf.reference && has(self.namespaces) == has(oldSelf.namespaces) && (!has(self.namespaces) || self.namespaces == oldSelf.namespaces) && has(self.privileged) == has(oldSelf.privileged) && (!has(self.privileged) || self.privileged == oldSelf.privileged)").message("the lines of a review are frozen: write decision and reason into them"))]
#[x_kube(validation = Rule::new("!has(self.decision) || self.decision != 'Revoke' || has(self.reason)").message("whoever revokes says why: reason is missing"))]
#[x_kube(validation = Rule::new("!has(self.reason) || has(self.decision)").message("a reason goes with a decision: Keep or Revoke"))]
pub struct ReviewLine {
    /// Name of the line: what it is about and a digest of it, so that the same access has the same name in every review.
    #[schemars(length(min = 1, max = 80), regex(pattern = ENTRY))]
    pub name: String,
    /// What it is about.
    pub kind: AccessKind,
    /// Whom it lets in: `StaffMember/`, `User/`, `Group/` or `ServiceAccount/` and the name.
    #[schemars(length(max = 16), inner(length(min = 1, max = 640), regex(pattern = PRINTABLE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub who: Vec<String>,
    /// As what: the kind of the role, a slash, and its name.
    #[schemars(length(min = 1, max = 300), regex(pattern = PRINTABLE))]
    pub role: String,
    /// Where, by namespace; everywhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: Option<Vec<String>>,
    /// What gives it: an AccessGrant, an entry of the CustomerTenant, a binding.
    #[schemars(length(min = 1, max = 400), regex(pattern = PRINTABLE))]
    pub reference: String,
    /// Whether it is privileged: by its role, or because nobody declared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// What the reviewer says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ReviewDecision>,
    /// Why; needed to revoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// Who decided; stamped by admission from the caller, whatever was written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub decided_by: Option<String>,
}

/// What the operator found about an AccessReview.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessReviewStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Completed` (every line is decided), `Lapsed` (it was due, and some were not), `Ready` (what was decided is recorded).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Lines that nobody decided on whose word counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<i32>,
    /// Accesses that found no room in the list. A review that does not show all of them is never completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<i32>,
    /// Decisions that do not count, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub void: Vec<VoidDecision>,
}

/// A decision that does not count.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoidDecision {
    /// Name of the line.
    #[schemars(length(max = 80))]
    pub name: String,
    /// Why it does not count, and what to do.
    #[schemars(length(max = 1024))]
    pub why: String,
}
