//! What is recorded: the vocabulary of events. Identifiers, digests, instants and the names of objects; never customer data, and
//! of persons only the user names and approvals that must be proven (docs/record.md names the basis for keeping them).
//!
//! A type that is here is read for ever. Readers show types they do not know as they stand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::Draft;

/// Something worth remembering.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Event {
    /// Everything the chain must not forget, as it is from now on; each replaces the one before.
    #[serde(rename = "state")]
    State {
        /// The operator's own form of it.
        state: Value,
    },
    /// An operator began to lead.
    #[serde(rename = "operator.started")]
    OperatorStarted {
        /// Its version.
        version: String,
        /// The cluster's version, where it said one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster_version: Option<String>,
        /// Which process.
        instance: String,
        /// The key it signs with.
        #[serde(rename = "keyID")]
        key_id: String,
    },
    /// The chain lost entries, and somebody allowed it to go on without them.
    #[serde(rename = "record.resumed")]
    RecordResumed {
        /// Up to where it reached.
        known: u64,
        /// The digest of that entry.
        head: String,
        /// Who knows that.
        source: String,
        /// Up to where it was found to reach.
        found: u64,
    },
    /// A tenant's spec was accepted, and is enforced from now on.
    #[serde(rename = "spec.accepted")]
    SpecAccepted {
        /// The CustomerTenant.
        tenant: String,
        /// Digest of the whole spec, personal data included.
        digest: String,
        /// Generation of the object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<i64>,
        /// Digest of what was rendered from it.
        rendering: String,
        /// Who changed it, as admission stamped it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed_by: Option<String>,
        /// The Approval that allowed it, where it needed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<String>,
    },
    /// A tenant is frozen: isolation is kept, nothing else happens.
    #[serde(rename = "tenant.frozen")]
    TenantFrozen {
        /// The CustomerTenant.
        tenant: String,
        /// Why.
        reason: String,
    },
    /// A frozen tenant goes on.
    #[serde(rename = "tenant.thawed")]
    TenantThawed {
        /// The CustomerTenant.
        tenant: String,
    },
    /// A tenant ended; neither its name nor its tenantID is used again.
    #[serde(rename = "tenant.ended")]
    TenantEnded {
        /// The CustomerTenant.
        tenant: String,
    },
    /// A tenant holds something for the first time: it can no longer simply be deleted.
    #[serde(rename = "tenant.used")]
    TenantUsed {
        /// The CustomerTenant.
        tenant: String,
    },
    /// A namespace left its tenant's list: isolated, never deleted.
    #[serde(rename = "namespace.parked")]
    NamespaceParked {
        /// Its full name.
        namespace: String,
    },
    /// A parked namespace is in use again.
    #[serde(rename = "namespace.unparked")]
    NamespaceUnparked {
        /// Its full name.
        namespace: String,
    },
    /// A namespace that was there before became the tenant's.
    #[serde(rename = "namespace.adopted")]
    NamespaceAdopted {
        /// Its full name.
        namespace: String,
        /// The Approval that allowed it.
        approval: String,
    },
    /// A person decided something.
    #[serde(rename = "approval.given")]
    ApprovalGiven {
        /// The Approval.
        approval: String,
        /// Its uid.
        uid: String,
        /// Whose tenant; absent for the platform's settings.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
        /// What is decided.
        action: String,
        /// Approve or Reject.
        decision: String,
        /// Kind and name of the subject.
        subject: String,
        /// The digest the person saw.
        digest: String,
        /// The field list the digest is over.
        digest_version: i32,
        /// Who, as admission stamped it.
        approver: String,
        /// When the API server took it.
        made_at: String,
    },
    /// An approval was acted on.
    #[serde(rename = "approval.used")]
    ApprovalUsed {
        /// The Approval.
        approval: String,
        /// Digest of what it allowed.
        digest: String,
    },
    /// A deviation from what was accepted was repaired (promise 9).
    #[serde(rename = "drift.repaired")]
    DriftRepaired {
        /// The CustomerTenant.
        tenant: String,
        /// The control it broke.
        control: String,
        /// Kind and `namespace/name` of the object.
        object: String,
        /// What was wrong with it.
        what: String,
        /// Since when, at the earliest; absent where nothing on the object says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opened_at: Option<String>,
        /// When it was repaired; absent where the process ended in between and whether it was is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed_at: Option<String>,
        /// Who did it: `unknown`, or `claimed` and the field manager, which anybody can choose.
        actor: String,
    },
    /// Verdicts over controls changed.
    #[serde(rename = "verdicts.changed")]
    VerdictsChanged {
        /// The CustomerTenant.
        tenant: String,
        /// Which controls, and from what to what.
        controls: Vec<VerdictChange>,
    },
    /// The platform's settings in force changed.
    #[serde(rename = "policy.accepted")]
    PolicyAccepted {
        /// Digest of the accepted TenancyPolicy.
        digest: String,
        /// Digest of the one before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
        /// The Approval that allowed it, where it needed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<String>,
    },
    /// So many things happened while the record took nothing and there was no room to keep them.
    #[serde(rename = "notes.missed")]
    NotesMissed {
        /// How many.
        count: u64,
    },
    /// A guard is not what it should be, or is again.
    #[serde(rename = "guard.gap")]
    GuardGap {
        /// Which guard.
        guard: String,
        /// What is wrong with it.
        why: String,
        /// Whether the gap ended.
        closed: bool,
    },
    /// Somebody is let into a tenant from now on (DSA 2.0, 2.4).
    #[serde(rename = "grant.activated")]
    GrantActivated {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Who, by StaffMember name.
        person: String,
        /// The user name that is let in.
        identity: String,
        /// The ServiceAccount as which it acts, where the grant is for a session: audit logs name that one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// As what.
        role: String,
        /// Where.
        namespaces: Vec<String>,
        /// What for.
        ticket: String,
        /// Digest of what was approved, the reason included.
        digest: String,
        /// Who asked, as admission stamped it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requested_by: Option<String>,
        /// The Approvals that allowed it; none for break-glass.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<String>,
        /// Whether it began without one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        break_glass: bool,
        /// When it ends at the latest.
        not_after: String,
    },
    /// Access that began without an approval got one.
    #[serde(rename = "grant.approved")]
    GrantApproved {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// The Approvals.
        approvals: Vec<String>,
    },
    /// Somebody is no longer let in.
    #[serde(rename = "grant.ended")]
    GrantEnded {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Who, by StaffMember name.
        person: String,
        /// What ended it.
        reason: String,
        /// When.
        ended_at: String,
    },
    /// A grant that was approved, or needed no approval, ended before it let anybody in.
    #[serde(rename = "grant.withdrawn")]
    GrantWithdrawn {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Whom it would have let in, by StaffMember name.
        person: String,
        /// What ended it.
        reason: String,
        /// When.
        ended_at: String,
    },
    /// Sessions that may have been open when access ended are cut: the pods they could be in were deleted.
    #[serde(rename = "grant.sessions.cut")]
    GrantSessionsCut {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Where.
        namespaces: Vec<String>,
    },
    /// Every API server was asked, and said no: access has ended everywhere (DSA 2.13).
    #[serde(rename = "grant.end.proven")]
    GrantEndProven {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Who, by StaffMember name.
        person: String,
        /// When the last "no" came.
        proven_at: String,
        /// How many API servers there were, and said no.
        servers: usize,
        /// How often they were asked.
        rounds: u32,
        /// When the first "yes" came after the end, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first_yes: Option<String>,
        /// When the last one came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_yes: Option<String>,
    },
    /// Every access there is was listed, for somebody to keep or revoke (DSA 2.4).
    #[serde(rename = "review.opened")]
    ReviewOpened {
        /// Which review, counted from one.
        review: u32,
        /// By when every line must be decided.
        due_at: String,
        /// How many lines.
        lines: usize,
        /// How many accesses found no room in the list.
        unlisted: usize,
    },
    /// A reviewer decided on an access.
    #[serde(rename = "review.decided")]
    ReviewDecided {
        /// Which review.
        review: u32,
        /// Name of the line.
        line: String,
        /// What gives the access.
        about: String,
        /// Whom it lets in.
        who: Vec<String>,
        /// As what.
        role: String,
        /// `Keep` or `Revoke`.
        decision: String,
        /// Who decided, as admission stamped it.
        by: String,
    },
    /// A review was due, and nobody had decided on these.
    #[serde(rename = "review.lapsed")]
    ReviewLapsed {
        /// Which review.
        review: u32,
        /// What gives the access nobody decided on.
        undecided: Vec<String>,
    },
    /// Every access that was listed is decided on, or over.
    #[serde(rename = "review.completed")]
    ReviewCompleted {
        /// Which review.
        review: u32,
        /// How many of the accesses that still stood then were revoked.
        revoked: usize,
    },
    /// After the end of access it was looked for what was created or changed meanwhile and could carry it on (DSA 2.13).
    #[serde(rename = "grant.swept")]
    GrantSwept {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Who was let in, by StaffMember name.
        person: String,
        /// When it was first looked.
        swept_at: String,
        /// Digest of all that is open; an acceptance names it. Empty where nothing is.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
        /// What was found and is there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        found: Vec<Found>,
        /// How many more there are.
        #[serde(default)]
        more: usize,
        /// What was not looked at, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_looked_at: Vec<String>,
        /// Whether the role lets anybody make or change what carries access on; where not, nothing was looked at.
        possible: bool,
    },
    /// Somebody else accepted that what a sweep found stays.
    #[serde(rename = "grant.sweep.accepted")]
    GrantSweepAccepted {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// Digest of what is accepted.
        digest: String,
        /// How many objects.
        objects: usize,
        /// The Approvals.
        approvals: Vec<String>,
    },
    /// All that a sweep found is gone.
    #[serde(rename = "grant.sweep.cleared")]
    GrantSweepCleared {
        /// The AccessGrant.
        grant: String,
        /// Its uid.
        uid: String,
        /// When nothing was there any more.
        cleared_at: String,
    },
    /// A legal hold was placed.
    #[serde(rename = "hold.placed")]
    HoldPlaced {
        /// The LegalHold.
        hold: String,
        /// Whose tenant.
        tenant: String,
        /// Digest of its spec.
        digest: String,
        /// Who wrote it, as admission stamped it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written_by: Option<String>,
    },
    /// The date on which somebody looks whether a legal hold is still needed was set or moved.
    #[serde(rename = "hold.reviewed")]
    HoldReviewed {
        /// The LegalHold.
        hold: String,
        /// Whose tenant.
        tenant: String,
        /// When somebody looks next.
        review_on: String,
    },
    /// A legal hold was released.
    #[serde(rename = "hold.released")]
    HoldReleased {
        /// The LegalHold.
        hold: String,
        /// Whose tenant.
        tenant: String,
        /// The Approvals that allowed it.
        approvals: Vec<String>,
    },
    /// Somebody attested something.
    #[serde(rename = "attestation.given")]
    AttestationGiven {
        /// The Attestation.
        attestation: String,
        /// The control.
        control: String,
        /// Kind and name of what it is about.
        subject: String,
        /// Digest of its spec.
        digest: String,
        /// Who wrote it, as admission stamped it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written_by: Option<String>,
        /// From when.
        issued_on: String,
        /// Until when.
        valid_until: String,
    },
}

impl Event {
    /// As it goes into a chain.
    pub fn draft(&self, id: uuid::Uuid, at: jiff::Timestamp) -> Draft {
        Draft {
            id,
            at,
            event: serde_json::to_value(self)
                .unwrap_or_else(|error| unreachable!("events have a JSON form: {error}")),
        }
    }
}

/// An object that was created or changed while somebody was let in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty where it is the cluster's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Created or Changed.
    pub change: String,
    /// When; absent where nothing on the object says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Who did it: as the API server stamped it, or `unknown`.
    pub author: String,
    /// The field manager, which anybody can choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
}

/// One control's verdict, before and after.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VerdictChange {
    /// The control.
    pub id: String,
    /// The verdict before; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The verdict from now on.
    pub to: String,
    /// What was seen, where the verdict is Drifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}
