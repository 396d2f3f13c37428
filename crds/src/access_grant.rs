//! AccessGrant: one person's access to one tenant, for one reason and one window.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::TenantRef;
use crate::words::{
    DNS_LABEL, DNS_SUBDOMAIN, IDENTITY, INSTANT, PRINTABLE, PendingApproval, TENANT_ID,
};

/// From where the person works (DSA 2.9).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Location {
    /// At the provider's premises.
    OnSite,
    /// From anywhere else.
    #[default]
    Remote,
}

impl Location {
    /// The word as it stands in specs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSite => "OnSite",
            Self::Remote => "Remote",
        }
    }
}

/// With what the person gets in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Credential {
    /// The person's own identity is bound to the role for as long as the grant is active.
    #[default]
    Identity,
    /// An account made for this grant alone, whose tokens end by themselves even where no operator runs.
    Session,
}

impl Credential {
    /// The word as it stands in specs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "Identity",
            Self::Session => "Session",
        }
    }
}

/// One person's access to one tenant (DSA 2.0, 2.4): one role, one reason, one window, approved by somebody else.
///
/// Immutable, except that it may end earlier: `notAfter` moves forward in time, never back, and `revoked` is set once. A grant
/// that was deleted and made again is another grant, and is decided on anew.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    plural = "accessgrants",
    shortname = "ag",
    category = "tenure",
    status = "AccessGrantStatus",
    derive = "PartialEq",
    doc = "One person's access to one tenant, for one reason and one window.",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Person", type_ = "string", json_path = ".spec.person"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Active')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Active')].reason"
    ),
    printcolumn(name = "Until", type_ = "string", json_path = ".spec.notAfter"),
    printcolumn(
        name = "Proven",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='EndProven')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Ticket",
        type_ = "string",
        json_path = ".spec.ticket",
        priority = 1
    )
)]
#[kube(validation = Rule::new("!has(oldSelf.spec) || has(self.spec)").message("spec cannot be removed: delete the AccessGrant, or set revoked"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || !has(self.spec) || (self.spec.tenantRef == oldSelf.spec.tenantRef && self.spec.tenantID == oldSelf.spec.tenantID && self.spec.person == oldSelf.spec.person && self.spec.role == oldSelf.spec.role && self.spec.namespaces == oldSelf.spec.namespaces && self.spec.reason == oldSelf.spec.reason && self.spec.ticket == oldSelf.spec.ticket && has(self.spec.identity) == has(oldSelf.spec.identity) && (!has(self.spec.identity) || self.spec.identity == oldSelf.spec.identity) && has(self.spec.notBefore) == has(oldSelf.spec.notBefore) && (!has(self.spec.notBefore) || self.spec.notBefore == oldSelf.spec.notBefore) && has(self.spec.location) == has(oldSelf.spec.location) && (!has(self.spec.location) || self.spec.location == oldSelf.spec.location) && has(self.spec.breakGlass) == has(oldSelf.spec.breakGlass) && (!has(self.spec.breakGlass) || self.spec.breakGlass == oldSelf.spec.breakGlass) && has(self.spec.credential) == has(oldSelf.spec.credential) && (!has(self.spec.credential) || self.spec.credential == oldSelf.spec.credential) && has(self.spec.exceptionReference) == has(oldSelf.spec.exceptionReference) && (!has(self.spec.exceptionReference) || self.spec.exceptionReference == oldSelf.spec.exceptionReference) && has(self.spec.requestedBy) == has(oldSelf.spec.requestedBy) && (!has(self.spec.requestedBy) || self.spec.requestedBy == oldSelf.spec.requestedBy))").message("an AccessGrant is immutable, except that it may end earlier: ask for another one"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || !has(self.spec) || self.spec.notAfter <= oldSelf.spec.notAfter").message("notAfter may only move earlier: ask for another grant to stay longer"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || !has(self.spec) || !has(oldSelf.spec.revoked) || (has(self.spec.revoked) && self.spec.revoked == oldSelf.spec.revoked)").message("a revocation stands: ask for another grant"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.notBefore) || self.notBefore < self.notAfter").message("notAfter must be after notBefore"))]
pub struct AccessGrantSpec {
    /// The tenant to get into.
    pub tenant_ref: TenantRef,
    /// The tenant's UUID: a name may come back, an identity may not.
    #[serde(rename = "tenantID")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    pub tenant_id: String,
    /// Who gets in, by StaffMember name: one person, never a group.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub person: String,
    /// Which of the person's identities is let in; the first of the StaffMember's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = IDENTITY))]
    #[x_kube(validation = Rule::new("!self.startsWith('system:')").message("a person's identity never starts with system:"))]
    pub identity: Option<String>,
    /// As what: a role of TenancyPolicy's grantableRoles.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub role: String,
    /// Where: full names of the tenant's namespaces, as they stand in the cluster.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Why (DSA 1: purpose limitation). It is read by everybody who may read grants.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
    /// The ticket, change or incident this is for.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub ticket: String,
    /// RFC 3339 instant before which nothing opens; from its approval on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub not_before: Option<String>,
    /// RFC 3339 instant at which it ends, whatever else happens. It may move earlier.
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub not_after: String,
    /// From where the person works; Remote when absent, which is the stricter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Active at once and approved afterwards, within 24 hours; needs the verb `break-glass` on the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<bool>,
    /// With what the person gets in; Identity when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Where the customer accepted that the identity is a shared account (DSA 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub exception_reference: Option<String>,
    /// Set to end it now; it cannot be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// User who asked; stamped by admission from the caller, whatever was written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub requested_by: Option<String>,
}

/// An end somebody set.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Revoked {
    /// Why it ends early. Who set it is stamped into the annotation `tenure.dev/changed-by`.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// The ServiceAccount of a session.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SessionAccount {
    /// Its namespace, in which no pod runs.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name, which carries the grant's uid and its end.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What could carry access on after a grant has ended (DSA 2.13).
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// RFC 3339 instant of the first look.
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub looked_at: String,
    /// What was created or changed while the grant let somebody in, and is there: to be removed, or accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Vec<SweepFinding>,
    /// How many more there are; an acceptance covers them too.
    #[serde(default, skip_serializing_if = "is_none_more")]
    #[schemars(range(min = 0))]
    pub more: i32,
    /// What was not looked at and cannot be any more, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 8192)), extend("x-kubernetes-list-type" = "atomic"))]
    pub not_looked_at: Vec<String>,
}

/// An object that was created or changed.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepFinding {
    /// Its kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its namespace; absent where it is the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 253))]
    pub uid: String,
    /// `Created` or `Changed`.
    #[schemars(length(max = 16))]
    pub change: String,
    /// RFC 3339 instant of that; absent where nothing on the object says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub at: Option<String>,
    /// Who did it: as the API server stamped it on the object, or `unknown`.
    #[schemars(length(max = 1024))]
    pub author: String,
    /// The field manager, which anybody can choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub claimed_manager: Option<String>,
}

fn is_none_more(more: &i32) -> bool {
    *more == 0
}

/// What the operator found about an AccessGrant.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Active` (the person is let in, or why not), `Ended` (it is over for good), `EndProven` (every API server says no),
    /// `Swept` (what was created or changed meanwhile is gone, or accepted), `Approved` (for a break-glass grant too), `Ready` (its
    /// state is settled: pending and ended too), `Stalled` (somebody has to act).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The identity that is or was bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub identity: Option<String>,
    /// The ServiceAccount of a session, whose tokens the person fetches: they end a minute before the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionAccount>,
    /// RFC 3339 instant from which the person was let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub active_since: Option<String>,
    /// RFC 3339 instant at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub ended_at: Option<String>,
    /// Who approved, by Approval name, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub approved_by: Vec<String>,
    /// What still answers yes although the grant has ended: who, what, and through which binding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub remaining: Vec<String>,
    /// What was looked for after its end: what was created or changed meanwhile and could carry the access on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// What waits for an approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub pending_approvals: Vec<PendingApproval>,
}
