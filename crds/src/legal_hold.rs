//! LegalHold: what must not be destroyed while somebody may still need it as evidence.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::TenantRef;
use crate::words::{DATE, DNS_LABEL, ENTRY, PRINTABLE, PendingApproval, TENANT_ID};

/// How much of a tenant a hold covers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum HoldExtent {
    /// Everything that is the tenant's, now and later.
    WholeTenant,
    /// The namespaces and stores that are named, and nothing else.
    Named,
}

/// A duty to keep a customer's data (DSA 2.13): it blocks destruction, never revocation.
///
/// What a hold covers never changes: a wider one is another hold, a narrower one is a release. It is
/// kept until its release was approved by somebody else than who placed it.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "LegalHold",
    plural = "legalholds",
    shortname = "lh",
    category = "tenure",
    status = "LegalHoldStatus",
    derive = "PartialEq",
    doc = "A duty to keep a customer's data, until its release is approved.",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scope.extent"),
    printcolumn(name = "Reference", type_ = "string", json_path = ".spec.reference"),
    printcolumn(
        name = "Recorded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Recorded')].status"
    ),
    printcolumn(
        name = "Released",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Released')].status"
    ),
    printcolumn(name = "Review", type_ = "string", json_path = ".spec.reviewOn"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Authority",
        type_ = "string",
        json_path = ".spec.authority",
        priority = 1
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || (has(self.spec) && self.spec.tenantRef == oldSelf.spec.tenantRef && self.spec.tenantID == oldSelf.spec.tenantID && self.spec.reference == oldSelf.spec.reference && self.spec.authority == oldSelf.spec.authority && self.spec.scope == oldSelf.spec.scope && self.spec.reason == oldSelf.spec.reason && self.spec.placedBy == oldSelf.spec.placedBy && self.spec.placedOn == oldSelf.spec.placedOn)").message("a LegalHold is immutable but for reviewOn: place another one for more, have this one released for less"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || !has(oldSelf.spec.reviewOn) || (has(self.spec) && has(self.spec.reviewOn) && self.spec.reviewOn >= oldSelf.spec.reviewOn)").message("reviewOn only moves later: a review prolongs a hold, a release ends it"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.reviewOn) || self.reviewOn >= self.placedOn").message("reviewOn is before placedOn"))]
pub struct LegalHoldSpec {
    /// The tenant whose data is kept.
    pub tenant_ref: TenantRef,
    /// The tenant's UUID: a name may come back, an identity may not.
    #[serde(rename = "tenantID")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    pub tenant_id: String,
    /// Number of the case, claim or order, as its file knows it.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub reference: String,
    /// Who demands it: court, supervisory authority, own legal department.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub authority: String,
    /// What is kept.
    pub scope: HoldScope,
    /// Why it is kept. It is read by everybody who may read tenants: leave the parties' particulars in the file.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
    /// Who ordered it, as the file says: a function or a user name. A claim; who wrote the object is stamped by
    /// admission into the annotation `tenure.dev/changed-by`, and that is who may not release it.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub placed_by: String,
    /// Date on which it was ordered.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub placed_on: String,
    /// Date from which somebody should look whether it is still needed; absent where nobody set one. It may be set later and
    /// move later. A hold does not end by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub review_on: Option<String>,
}

/// What a hold covers.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.extent == 'Named') == ((has(self.namespaces) && self.namespaces.size() > 0) || (has(self.stores) && self.stores.size() > 0))").message("a hold covers WholeTenant and names nothing, or what is Named: at least one of namespaces and stores"))]
pub struct HoldScope {
    /// How much is covered.
    pub extent: HoldExtent,
    /// Full names of namespaces, as they stand in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Names of stores outside the cluster: log sinks, backups, archives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = ENTRY)), extend("x-kubernetes-list-type" = "set"))]
    pub stores: Vec<String>,
}

/// What the operator found about a LegalHold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegalHoldStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Recorded` (the hold is in the record and outlives this object), `Released` (it may go), `Ready` (its standing is
    /// settled), `ReviewDue` (its review date has come), `Stalled` (somebody has to act).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// RFC 3339 instant at which the hold was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub recorded_at: Option<String>,
    /// The Approval that released it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub released_by: Option<String>,
    /// What may be approved: its release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub pending_approvals: Vec<PendingApproval>,
}
