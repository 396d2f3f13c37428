//! What people decided about a tenant, and what waits for them to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tenure_crds::words::PendingApproval;
use tenure_crds::{Approval, CustomerTenant, keys};

use super::dereference::Seen;
use crate::approval::gaps::merged;
use crate::approval::{
    Asked, Context as Look, DIGEST_VERSION, Gaps, Persons, Requester, Subject, TakenOver, Tally,
    approvals_needed, current_digest,
};
use crate::cluster::clocks::AGREED;
use crate::context::Context;
use crate::policy::tenant_loosens;
use crate::record::TenantRecord;

/// What was decided about a tenant's spec as it is now.
pub struct Decisions {
    /// Fields in which it loosens the accepted one.
    pub loosens: Vec<String>,
    /// The Approval of that.
    pub amendment: Option<String>,
    /// The Approval of its adoption.
    pub adoption: Option<String>,
    /// What an Adopt must name.
    pub adopt_request: PendingApproval,
    /// What an Amend must name.
    pub amend_request: PendingApproval,
}

/// Looks up every decision that concerns the tenant as it is declared now.
pub fn of(context: &Context, tenant: &CustomerTenant, seen: &Seen, now: Timestamp) -> Decisions {
    let accepted = seen.record.as_ref().map(|record| &record.spec);
    let loosens = accepted
        .map(|accepted| tenant_loosens(accepted, &tenant.spec))
        .unwrap_or_default();
    let taken_over = taken_over(seen);
    let record = seen.record.as_ref();
    let adopt = asked(
        context,
        record,
        tenant,
        &Subject::TenantAdopt(&tenant.spec, &taken_over),
    );
    let amend = asked(context, record, tenant, &Subject::TenantAmend(&tenant.spec));
    let fields: Vec<String> = loosens
        .iter()
        .map(|loosening| format!("{} ({})", loosening.field, loosening.why))
        .collect();
    let adopt_effect = match taken_over.as_slice() {
        [] => "the tenant is taken back with the spec as it is now".into(),
        taken => format!(
            "these namespaces become the tenant's, with its policies, quota and guards: {}",
            taken
                .iter()
                .map(|namespace| namespace.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    Decisions {
        amendment: approved(context, &amend, now),
        adoption: approved(context, &adopt, now),
        adopt_request: request(&adopt, adopt_effect),
        amend_request: request(
            &amend,
            format!("the agreement is loosened: {}", fields.join(", ")),
        ),
        loosens: fields,
    }
}

/// What is said of an Approval.
pub struct Said {
    name: String,
    /// Whether and why it counts, in a word.
    pub reason: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Approval/{}: {}", self.name, self.reason)
    }
}

/// Approvals about the tenant whose condition `Valid` has this status.
pub fn said(
    context: &Context,
    object: Option<&CustomerTenant>,
    record: &TenantRecord,
    status: &str,
) -> Vec<Said> {
    let name = object.map_or_else(|| record.tenant.clone(), ResourceExt::name_any);
    approvals(context)
        .filter(|approval| {
            approval
                .spec
                .tenant_ref
                .as_ref()
                .is_some_and(|tenant| tenant.name == name)
        })
        .filter_map(|approval| {
            let valid = approval
                .status
                .as_ref()?
                .conditions
                .iter()
                .find(|condition| condition.type_ == "Valid")?;
            (valid.status == status).then(|| Said {
                name: approval.name_any(),
                reason: valid.reason.clone(),
            })
        })
        .collect()
}

/// Everything that is asked about a tenant now; approvals are measured against it.
pub fn all_asked(context: &Context, tenant: &CustomerTenant) -> Vec<Asked> {
    let seen = super::dereference::dereference(context, &tenant.name_any());
    let taken_over = taken_over(&seen);
    let record = seen.record.as_ref();
    vec![
        asked(
            context,
            record,
            tenant,
            &Subject::TenantAdopt(&tenant.spec, &taken_over),
        ),
        asked(context, record, tenant, &Subject::TenantAmend(&tenant.spec)),
    ]
}

/// Every readable Approval.
pub fn approvals(context: &Context) -> impl Iterator<Item = Approval> {
    context
        .caches
        .approvals
        .all()
        .into_iter()
        .filter_map(|guard| guard.0.as_ref().ok().cloned())
}

/// Every decision: the Approvals, and those on record whose object is gone.
fn decided(context: &Context) -> impl Iterator<Item = Approval> {
    let live: Vec<Approval> = approvals(context).collect();
    let uids: BTreeSet<String> = live.iter().filter_map(ResourceExt::uid).collect();
    let recorded = context.records.platform();
    let recorded: Vec<Approval> = recorded
        .iter()
        .flat_map(|platform| &platform.approvals)
        .filter(|(uid, _)| !uids.contains(*uid))
        .map(|(uid, given)| given.approval(uid))
        .collect();
    live.into_iter().chain(recorded)
}

/// When approvals could have been forged: their stamp is only worth its guard.
pub fn gaps(context: &Context, guard: &str) -> Gaps {
    let recorded = context.records.platform();
    let recorded = recorded
        .as_ref()
        .and_then(|platform| platform.gaps.get(guard));
    let recorded = recorded.map(Vec::as_slice).unwrap_or_default();
    Gaps {
        is_open: !is_alive(context, guard),
        past: merged(recorded, &context.watch.unrecorded(guard)),
    }
}

/// Whether a guard is what it should be and was seen to deny.
pub fn is_alive(context: &Context, guard: &str) -> bool {
    let guards = context
        .guards
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    guards
        .iter()
        .flatten()
        .any(|known| known.name == guard && known.text_matches && known.proven_at.is_some())
}

/// Who is known where this is decided on.
pub fn persons(context: &Context, asked: &Asked) -> Arc<Persons> {
    let record = asked.tenant.as_ref();
    let record = record.and_then(|tenant| context.records.tenant(tenant));
    context.access.persons_of(record.as_ref())
}

/// The Approval that made enough, where enough people approve what is asked.
pub fn approved(context: &Context, asked: &Asked, now: Timestamp) -> Option<String> {
    let gaps = gaps(context, "approvals");
    let persons = persons(context, asked);
    let look = Look {
        asked: Some(asked),
        now,
        gaps: &gaps,
        persons: &persons,
    };
    let decided: Vec<Approval> = decided(context).collect();
    let needed = approvals_needed(asked.action, &asked.requester);
    let approved = Tally::of(&decided, &look, needed).approved()?;
    approved.last().map(|last| last.name_any())
}

fn taken_over(seen: &Seen) -> Vec<TakenOver> {
    seen.foreign
        .iter()
        .map(|(name, uid)| TakenOver {
            name: name.clone(),
            uid: uid.clone(),
        })
        .collect()
}

fn asked(
    context: &Context,
    record: Option<&TenantRecord>,
    tenant: &CustomerTenant,
    subject: &Subject<'_>,
) -> Asked {
    let appliers: BTreeSet<String> = context.accepted().gitops_appliers.clone();
    Asked {
        action: subject.action(),
        kind: subject.kind().into(),
        name: tenant.name_any(),
        tenant_id: Some(tenant.spec.tenant_id.clone()),
        tenant: Some(tenant.name_any()),
        digests: BTreeMap::from([(DIGEST_VERSION, current_digest(subject))]),
        requester: Requester::from_stamp(
            tenant
                .annotations()
                .get(keys::CHANGED_BY)
                .map(String::as_str),
            &appliers,
        ),
        person: None,
        since: since(record.and_then(|record| record.accepted_at.as_deref())),
    }
}

/// From when on decisions count about what was accepted at that instant: an amendment that was approved, taken back and made
/// again is approved again. Whoever decided at once is not held to the clocks of two machines.
pub fn since(accepted_at: Option<&str>) -> Option<Timestamp> {
    let at: Timestamp = accepted_at?.parse().ok()?;
    at.checked_sub(AGREED).ok()
}

/// What must be named to approve what is asked.
pub fn request(asked: &Asked, effect: String) -> PendingApproval {
    PendingApproval {
        action: asked.action,
        digest: asked
            .digests
            .get(&DIGEST_VERSION)
            .cloned()
            .unwrap_or_default(),
        digest_version: DIGEST_VERSION,
        approvals_needed: approvals_needed(asked.action, &asked.requester),
        effect,
    }
}
