//! What to do about a tenant: a pure decision over what was seen.
//!
//! The order of the arms is the order of the promises: nothing is deleted because something is
//! missing, a tenantID is one tenant for ever, and what is wrong with a new spec never undoes what
//! the last accepted one put in place.

use std::collections::BTreeSet;

use kube::ResourceExt;
use tenure_crds::CustomerTenantSpec;
use tenure_crds::words::PendingApproval;

use super::rendering::Rendering;
use super::validate::{Invalid, Tenant};
use crate::record::{FreezeReason, RECORD_VERSION, TenantRecord, without_personal_data};
use crate::retention::hold::Holding;

/// What was seen of a CustomerTenant.
#[derive(Clone, Debug, PartialEq)]
pub enum Declared {
    /// There is none of that name.
    Absent,
    /// There is one that cannot be read; the text says why.
    Undecodable(String),
    /// There is one.
    Present(Box<Declaration>),
}

/// A readable CustomerTenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// Whether the API server, asked just now, knows no later generation.
    pub is_newest: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries our finalizer.
    pub has_finalizer: bool,
    /// Its spec.
    pub spec: CustomerTenantSpec,
    /// The spec as parsed, or what is wrong with it.
    pub parsed: Result<(Tenant, Rendering), Vec<Invalid>>,
    /// Fields in which the spec loosens the accepted one, each with its reason (DSA 4).
    pub loosens: Vec<String>,
    /// Digest of the spec as a whole.
    pub spec_digest: String,
    /// RFC 3339 instant of this look at it.
    pub seen_at: String,
    /// Who wrote it, as admission stamped it.
    pub changed_by: Option<String>,
    /// Whether an amendment for exactly this spec has been approved, and by which Approval.
    pub amendment: Option<String>,
    /// Whether an adoption of exactly this plan has been approved, and by which Approval.
    pub adoption: Option<String>,
    /// Namespaces it wants that exist and are not ours.
    pub foreign: BTreeSet<String>,
    /// Another tenant that has the same tenantID and came first.
    pub id_taken_by: Option<String>,
    /// What keeps its data from being destroyed.
    pub holds: Vec<Holding>,
    /// What an approval of the adoption would have to name.
    pub adopt_request: PendingApproval,
    /// What an approval of the amendment would have to name.
    pub amend_request: PendingApproval,
}

/// What is wrong with what is remembered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It cannot be read, nor could it ever be repaired from.
    Unreadable(String),
    /// Its chain is not what it was; what was copied from it before is kept.
    Broken(String),
}

/// Why nothing new is accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Halt {
    /// The CustomerTenant is gone, or came back different.
    Frozen(FreezeReason),
    /// The object cannot be read.
    InvalidObject(String),
    /// The spec makes no sense here.
    InvalidSpec(Vec<Invalid>),
    /// Another tenant has the tenantID.
    TenantIdTaken(String),
    /// The tenantID or the name belonged to a tenant that has ended, or to another one.
    IdentityUsed(String),
    /// What is remembered cannot be read.
    RecordUnreadable(String),
    /// The chain that remembers the tenant is not what it was.
    RecordBroken(String),
    /// It cannot be recorded now, and so not be acted on.
    NotRecorded {
        /// Why, in one word.
        reason: &'static str,
        /// Why.
        why: String,
    },
    /// The rendering does not fit into the record.
    TooLarge(String),
    /// A loosening waits for its amendment.
    AwaitingAmendment(Vec<String>),
    /// It is being deleted, and somebody may still need what it holds.
    Held(Vec<Holding>),
}

impl Halt {
    /// The reason as it stands in conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Frozen(FreezeReason::Vanished) => "Vanished",
            Self::Frozen(FreezeReason::Mismatch) => "RecordMismatch",
            Self::InvalidObject(_) => "InvalidObject",
            Self::InvalidSpec(wrong) => wrong.first().map_or("InvalidSpec", Invalid::reason),
            Self::TenantIdTaken(_) => "TenantIDTaken",
            Self::IdentityUsed(_) => "IdentityUsed",
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::RecordBroken(_) => "RecordBroken",
            Self::NotRecorded { reason, .. } => reason,
            Self::TooLarge(_) => "TooLarge",
            Self::AwaitingAmendment(_) => "AwaitingAmendment",
            Self::Held(_) => "LegalHold",
        }
    }

    /// What is wrong and what to do next.
    pub fn message(&self) -> String {
        match self {
            Self::Frozen(FreezeReason::Vanished) => {
                "the CustomerTenant is gone and no end was approved: isolation is kept; apply it again with the same tenantID and an unchanged spec".into()
            }
            Self::Frozen(FreezeReason::Mismatch) => {
                "the CustomerTenant came back and its spec is not the accepted one: isolation is kept as accepted; restore the spec, or approve the Adopt under status.pendingApprovals".into()
            }
            Self::InvalidObject(why) => format!("the object cannot be read: {why}"),
            Self::InvalidSpec(wrong) => wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Self::TenantIdTaken(by) => format!("spec.tenantID is tenant {by}'s: a tenantID is never used twice, make a new one with uuidgen"),
            Self::IdentityUsed(why) => why.clone(),
            Self::RecordUnreadable(why) | Self::RecordBroken(why) | Self::TooLarge(why) => why.clone(),
            Self::NotRecorded { why, .. } => format!("the change waits, what was accepted stays in force and is repaired: {why}"),
            Self::AwaitingAmendment(fields) => {
                format!("the change loosens the agreement ({}): the accepted spec stays in force until the Amend under status.pendingApprovals is approved", fields.join(", "))
            }
            Self::Held(holds) => {
                format!("the tenant is being deleted and nothing of it is destroyed before its release is approved: {}", list(holds))
            }
        }
    }
}

/// Holds as people read them.
pub fn list(holds: &[Holding]) -> String {
    let holds: Vec<String> = holds.iter().map(ToString::to_string).collect();
    holds.join("; ")
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing is known of the tenant.
    Nothing,
    /// Remember `record`, then make the cluster as it says.
    Enforce {
        /// What is remembered from now on; its rendering is applied.
        record: Box<TenantRecord>,
        /// Whether the CustomerTenant needs our finalizer first.
        add_finalizer: bool,
        /// Namespaces that wait for an approved adoption.
        awaiting: BTreeSet<String>,
        /// What waits for an approval.
        pending: Vec<PendingApproval>,
    },
    /// Keep what was accepted and repair it; accept nothing new.
    Keep {
        /// What is remembered, where anything is; its rendering is applied.
        record: Option<Box<TenantRecord>>,
        /// Why.
        halt: Halt,
        /// What waits for an approval.
        pending: Vec<PendingApproval>,
    },
    /// What is seen of it is older than what is remembered: repair what was accepted, and look again.
    Behind(Box<TenantRecord>),
    /// The object is being deleted and nobody approved: let it go at once, doing nothing.
    Release {
        /// What is remembered from now on, frozen.
        record: Option<Box<TenantRecord>>,
    },
    /// The object of a tenant that never held anything is being deleted: end it, if a live look agrees.
    EndUnused(Box<TenantRecord>),
}

/// Decides.
pub fn plan(
    name: &str,
    declared: Declared,
    record: Option<&TenantRecord>,
    trouble: Option<&Trouble>,
) -> Plan {
    if let Some(Trouble::Broken(why)) = trouble {
        return keep(record, Halt::RecordBroken(why.clone()), Vec::new());
    }
    if let Some(Trouble::Unreadable(why)) = trouble {
        return Plan::Keep {
            record: None,
            halt: Halt::RecordUnreadable(why.clone()),
            pending: Vec::new(),
        };
    }
    let declaration = match declared {
        Declared::Absent => return vanished(record),
        Declared::Undecodable(why) => return keep(record, Halt::InvalidObject(why), Vec::new()),
        Declared::Present(declaration) => declaration,
    };
    if declaration.deleting {
        return deleting(&declaration, record);
    }
    if let Some(holder) = &declaration.id_taken_by {
        return keep(record, Halt::TenantIdTaken(holder.clone()), Vec::new());
    }
    match record {
        Some(record) => known(name, &declaration, record),
        None => accept(name, &declaration, None),
    }
}

/// The CustomerTenant is gone: what was accepted stands, and is frozen.
fn vanished(record: Option<&TenantRecord>) -> Plan {
    match record {
        None => Plan::Nothing,
        Some(record) if record.ended_at.is_some() => Plan::Nothing,
        Some(_) => keep(record, Halt::Frozen(FreezeReason::Vanished), Vec::new()),
    }
}

fn deleting(declaration: &Declaration, record: Option<&TenantRecord>) -> Plan {
    match record {
        Some(record)
            if record.ended_at.is_none()
                && !record.used
                && record.uid.as_ref() == Some(&declaration.uid)
                && declaration.has_finalizer =>
        {
            match declaration.holds.is_empty() {
                true => Plan::EndUnused(Box::new(record.clone())),
                false => keep(
                    Some(record),
                    Halt::Held(declaration.holds.clone()),
                    Vec::new(),
                ),
            }
        }
        Some(record) if record.ended_at.is_none() => Plan::Release {
            record: Some(Box::new(TenantRecord {
                frozen: Some(FreezeReason::Vanished),
                ..record.clone()
            })),
        },
        // The end was decided and interrupted: go on with it.
        Some(record)
            if declaration.has_finalizer && record.tenant_id == declaration.spec.tenant_id =>
        {
            Plan::EndUnused(Box::new(record.clone()))
        }
        _ => Plan::Release { record: None },
    }
}

fn known(name: &str, declaration: &Declaration, record: &TenantRecord) -> Plan {
    if record.tenant_id != declaration.spec.tenant_id {
        let why = format!(
            "the name {name} belongs to tenantID {} ({}): give the new tenant another name",
            record.tenant_id,
            if record.ended_at.is_some() {
                "ended"
            } else {
                "still held"
            }
        );
        return keep(Some(record), Halt::IdentityUsed(why), Vec::new());
    }
    if let Some(ended) = &record.ended_at {
        let why = format!(
            "tenantID {} ended on {ended}: it is never used again, make a new one with uuidgen and choose another name",
            record.tenant_id
        );
        return keep(None, Halt::IdentityUsed(why), Vec::new());
    }
    let is_older = declaration.generation < record.generation;
    let is_same = record.uid.as_ref() == Some(&declaration.uid);
    if is_same && is_older && !declaration.is_newest {
        return Plan::Behind(Box::new(record.clone()));
    }
    // An older generation that is the newest there is: the cluster's store went back, and the object with it.
    let came_back = !is_same || is_older;
    if came_back && !record.accepted(&declaration.spec_digest) && declaration.adoption.is_none() {
        return keep(
            Some(record),
            Halt::Frozen(FreezeReason::Mismatch),
            vec![declaration.adopt_request.clone()],
        );
    }
    if !came_back && !declaration.loosens.is_empty() && declaration.amendment.is_none() {
        return keep(
            Some(record),
            Halt::AwaitingAmendment(declaration.loosens.clone()),
            vec![declaration.amend_request.clone()],
        );
    }
    accept(name, declaration, Some(record))
}

fn accept(name: &str, declaration: &Declaration, record: Option<&TenantRecord>) -> Plan {
    let (_, rendering) = match &declaration.parsed {
        Ok(parsed) => parsed,
        Err(wrong) => return keep(record, Halt::InvalidSpec(wrong.clone()), Vec::new()),
    };
    let held = record
        .map(|record| record.namespaces.clone())
        .unwrap_or_default();
    let mut adopted = record
        .map(|record| record.adopted.clone())
        .unwrap_or_default();
    let foreign: BTreeSet<String> = declaration.foreign.difference(&held).cloned().collect();
    let awaiting = match &declaration.adoption {
        Some(approval) => {
            adopted.extend(
                foreign
                    .iter()
                    .map(|namespace| (namespace.clone(), approval.clone())),
            );
            BTreeSet::new()
        }
        None => foreign,
    };
    // What was allowed once stays allowed for as long as it is the same.
    let allowed_by = match record {
        Some(record) if record.accepted(&declaration.spec_digest) => record.allowed_by.clone(),
        _ if declaration.loosens.is_empty() => declaration.adoption.clone(),
        _ => declaration
            .amendment
            .clone()
            .or(declaration.adoption.clone()),
    };
    let mut rendering = rendering.clone();
    rendering
        .namespaces
        .retain(|namespace| !awaiting.contains(&namespace.name));
    if let Some(review) = record.and_then(|record| record.review.as_ref()) {
        withhold(&mut rendering, &review.withheld(&declaration.spec));
    }
    let mut namespaces = held;
    namespaces.extend(
        rendering
            .namespaces
            .iter()
            .map(|namespace| namespace.name.clone()),
    );
    let pending = if awaiting.is_empty() {
        Vec::new()
    } else {
        vec![declaration.adopt_request.clone()]
    };
    let next = TenantRecord {
        version: RECORD_VERSION,
        tenant: name.to_owned(),
        tenant_id: declaration.spec.tenant_id.clone(),
        uid: Some(declaration.uid.clone()),
        generation: declaration.generation,
        spec: without_personal_data(&declaration.spec),
        spec_digest: declaration.spec_digest.clone(),
        accepted_at: match record {
            Some(record) if record.accepted(&declaration.spec_digest) => record.accepted_at.clone(),
            _ => Some(declaration.seen_at.clone()),
        },
        changed_by: declaration.changed_by.clone(),
        allowed_by,
        // A namespace that was taken over held something before it was ours.
        used: record.is_some_and(|record| record.used) || !adopted.is_empty(),
        rendering,
        adopted,
        namespaces,
        frozen: None,
        grants: record
            .map(|record| record.grants.clone())
            .unwrap_or_default(),
        awaited_grants: record
            .map(|record| record.awaited_grants.clone())
            .unwrap_or_default(),
        review: record.and_then(|record| record.review.clone()),
        ended_at: None,
        base: record.and_then(|record| record.base),
    };
    Plan::Enforce {
        record: Box::new(next),
        add_finalizer: !declaration.has_finalizer,
        awaiting,
        pending,
    }
}

/// What a reviewer revoked is bound nowhere, whatever Git declares (DSA 2.4).
fn withhold(rendering: &mut Rendering, bindings: &BTreeSet<String>) {
    for namespace in &mut rendering.namespaces {
        namespace
            .bindings
            .retain(|binding| !bindings.contains(&binding.name_any()));
    }
}

fn keep(record: Option<&TenantRecord>, halt: Halt, pending: Vec<PendingApproval>) -> Plan {
    let frozen = match halt {
        Halt::Frozen(reason) => Some(reason),
        _ => None,
    };
    let record = record
        .filter(|record| record.ended_at.is_none())
        .map(|record| {
            Box::new(TenantRecord {
                frozen: frozen.or(record.frozen),
                ..record.clone()
            })
        });
    Plan::Keep {
        record,
        halt,
        pending,
    }
}

#[cfg(test)]
mod tests {
    use tenure_crds::approval::Action;

    use super::*;

    fn spec(id: &str) -> CustomerTenantSpec {
        serde_json::from_value(serde_json::json!({
            "tenantID": id, "customer": {"name": "Example"}, "classification": "Internal",
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}]
        }))
        .unwrap()
    }

    fn digest_of(spec: &CustomerTenantSpec) -> String {
        serde_json::to_string(spec).unwrap()
    }

    fn request(action: Action) -> PendingApproval {
        PendingApproval {
            action,
            digest: "sha256:0".into(),
            digest_version: 1,
            approvals_needed: 1,
            effect: String::new(),
        }
    }

    fn parsed(spec: &CustomerTenantSpec) -> (Tenant, Rendering) {
        let policy = crate::policy::accepted::Accepted::builtin();
        let around = super::super::validate::Surroundings {
            policy: &policy,
            own_namespaces: &["tenure-system".to_owned()],
            claims: &Default::default(),
            held: &Default::default(),
        };
        let tenant = super::super::validate::validate("acme", spec, &around).unwrap();
        let rendering = super::super::build::build(&tenant, &policy);
        (tenant, rendering)
    }

    fn declaration(id: &str) -> Declaration {
        let spec = spec(id);
        Declaration {
            uid: "u1".into(),
            generation: Some(1),
            is_newest: false,
            deleting: false,
            has_finalizer: true,
            parsed: Ok(parsed(&spec)),
            spec: spec.clone(),
            loosens: Vec::new(),
            spec_digest: digest_of(&spec),
            seen_at: "2026-03-02T10:00:00Z".into(),
            changed_by: None,
            amendment: None,
            adoption: None,
            foreign: BTreeSet::new(),
            id_taken_by: None,
            holds: Vec::new(),
            adopt_request: request(Action::Adopt),
            amend_request: request(Action::Amend),
        }
    }

    const ID: &str = "11111111-1111-4111-8111-111111111111";

    fn record() -> TenantRecord {
        match decide(declaration(ID), None) {
            Plan::Enforce { record, .. } => *record,
            other => panic!("{other:?}"),
        }
    }

    fn decide(declaration: Declaration, record: Option<&TenantRecord>) -> Plan {
        plan(
            "acme",
            Declared::Present(Box::new(declaration)),
            record,
            None,
        )
    }

    fn halt(plan: &Plan) -> Option<&'static str> {
        match plan {
            Plan::Keep { halt, .. } => Some(halt.reason()),
            _ => None,
        }
    }

    #[test]
    fn an_older_sight_of_a_tenant_undoes_nothing() {
        let newer = TenantRecord {
            generation: Some(2),
            ..record()
        };
        let old = decide(declaration(ID), Some(&newer));
        assert_eq!(old, Plan::Behind(Box::new(newer.clone())));
        // Another object of that name counts for itself.
        let back = Declaration {
            uid: "u2".into(),
            ..declaration(ID)
        };
        assert!(matches!(decide(back, Some(&newer)), Plan::Enforce { .. }));
    }

    #[test]
    fn an_older_generation_that_is_all_there_is_came_back() {
        let newer = TenantRecord {
            generation: Some(5),
            ..record()
        };
        let restored = Declaration {
            is_newest: true,
            ..declaration(ID)
        };
        // As it was accepted: it goes on, whatever its generation.
        let Plan::Enforce { record, .. } = decide(restored.clone(), Some(&newer)) else {
            panic!()
        };
        assert_eq!(record.generation, Some(1));
        // As it was before the last change: what was accepted since is kept.
        let mut older = restored;
        older.spec_digest = "older".into();
        assert_eq!(halt(&decide(older, Some(&newer))), Some("RecordMismatch"));
    }

    #[test]
    fn on_a_broken_chain_nothing_is_built_and_isolation_is_kept() {
        let record = record();
        let mut changed = declaration(ID);
        changed.spec_digest = "another".into();
        let declared = Declared::Present(Box::new(changed));
        let broken = Trouble::Broken("it went back".into());
        let Plan::Keep {
            record: Some(kept),
            halt,
            ..
        } = plan("acme", declared, Some(&record), Some(&broken))
        else {
            panic!()
        };
        assert_eq!(*kept, record);
        assert_eq!(halt.reason(), "RecordBroken");
    }

    #[test]
    fn a_new_tenant_is_accepted_and_gets_the_finalizer() {
        let plan = decide(
            Declaration {
                has_finalizer: false,
                ..declaration(ID)
            },
            None,
        );
        assert!(
            matches!(
                plan,
                Plan::Enforce {
                    add_finalizer: true,
                    ..
                }
            ),
            "{plan:?}"
        );
    }

    #[test]
    fn a_vanished_tenant_is_kept_as_it_was_and_frozen() {
        let record = record();
        let Plan::Keep {
            record: Some(kept),
            halt,
            ..
        } = plan("acme", Declared::Absent, Some(&record), None)
        else {
            panic!()
        };
        assert_eq!(kept.rendering, record.rendering);
        assert_eq!(halt, Halt::Frozen(FreezeReason::Vanished));
    }

    #[test]
    fn a_tenant_that_returns_unchanged_thaws() {
        let record = TenantRecord {
            frozen: Some(FreezeReason::Vanished),
            ..record()
        };
        let Plan::Enforce { record: next, .. } = decide(
            Declaration {
                uid: "u2".into(),
                ..declaration(ID)
            },
            Some(&record),
        ) else {
            panic!()
        };
        assert_eq!((next.frozen, next.uid.as_deref()), (None, Some("u2")));
    }

    #[test]
    fn a_tenant_that_returns_different_freezes_until_adopted() {
        let record = record();
        let mut back = Declaration {
            uid: "u2".into(),
            ..declaration(ID)
        };
        back.spec.customer.name = "Another".into();
        back.spec_digest = digest_of(&back.spec);
        assert_eq!(
            halt(&decide(back.clone(), Some(&record))),
            Some("RecordMismatch")
        );
        back.adoption = Some("apr".into());
        assert!(matches!(decide(back, Some(&record)), Plan::Enforce { .. }));
    }

    #[test]
    fn a_deletion_nobody_approved_is_let_go_and_freezes() {
        let record = TenantRecord {
            used: true,
            ..record()
        };
        let Plan::Release {
            record: Some(frozen),
        } = decide(
            Declaration {
                deleting: true,
                ..declaration(ID)
            },
            Some(&record),
        )
        else {
            panic!()
        };
        assert_eq!(frozen.frozen, Some(FreezeReason::Vanished));
        assert_eq!(frozen.rendering, record.rendering);
    }

    #[test]
    fn a_tenant_that_never_held_anything_may_end() {
        assert!(matches!(
            decide(
                Declaration {
                    deleting: true,
                    ..declaration(ID)
                },
                Some(&record())
            ),
            Plan::EndUnused(_)
        ));
    }

    #[test]
    fn a_tenant_on_hold_does_not_end_and_one_whose_end_was_decided_before_does() {
        let held = || Declaration {
            deleting: true,
            holds: vec![Holding {
                name: "case-17".into(),
                reference: Some("Case 17".into()),
                is_gone: false,
            }],
            ..declaration(ID)
        };
        let Plan::Keep {
            record: Some(kept),
            halt,
            ..
        } = decide(held(), Some(&record()))
        else {
            panic!("it ends");
        };
        assert_eq!((kept.ended_at, kept.frozen), (None, None));
        assert_eq!(halt.reason(), "LegalHold");
        assert!(
            halt.message().contains("case-17 (Case 17)"),
            "{}",
            halt.message()
        );
        let ended = TenantRecord {
            ended_at: Some("2026-01-01T00:00:00Z".into()),
            ..record()
        };
        assert!(matches!(decide(held(), Some(&ended)), Plan::EndUnused(_)));
    }

    #[test]
    fn an_ended_tenant_id_is_never_used_again() {
        let record = TenantRecord {
            ended_at: Some("2026-01-01T00:00:00Z".into()),
            ..record()
        };
        assert_eq!(
            halt(&decide(declaration(ID), Some(&record))),
            Some("IdentityUsed")
        );
        assert_eq!(
            plan("acme", Declared::Absent, Some(&record), None),
            Plan::Nothing
        );
    }

    #[test]
    fn a_name_does_not_pass_to_another_tenant_id() {
        assert_eq!(
            halt(&decide(
                declaration("22222222-2222-4222-8222-222222222222"),
                Some(&record())
            )),
            Some("IdentityUsed")
        );
    }

    #[test]
    fn an_invalid_change_keeps_what_was_accepted() {
        let record = record();
        let wrong = Invalid::NamespaceTwice {
            entry: "prod".into(),
            namespace: "acme-prod".into(),
        };
        let Plan::Keep {
            record: Some(kept), ..
        } = decide(
            Declaration {
                parsed: Err(vec![wrong]),
                ..declaration(ID)
            },
            Some(&record),
        )
        else {
            panic!()
        };
        assert_eq!(kept.rendering, record.rendering);
    }

    #[test]
    fn a_loosening_waits_for_its_amendment() {
        let record = record();
        let change = Declaration {
            loosens: vec!["classification".into()],
            ..declaration(ID)
        };
        assert_eq!(
            halt(&decide(change.clone(), Some(&record))),
            Some("AwaitingAmendment")
        );
        assert!(matches!(
            decide(
                Declaration {
                    amendment: Some("yes".into()),
                    ..change
                },
                Some(&record)
            ),
            Plan::Enforce { .. }
        ));
    }

    #[test]
    fn a_foreign_namespace_waits_and_harms_nothing_else() {
        let foreign = BTreeSet::from(["acme-prod".to_owned()]);
        let Plan::Enforce {
            record,
            awaiting,
            pending,
            ..
        } = decide(
            Declaration {
                foreign: foreign.clone(),
                ..declaration(ID)
            },
            None,
        )
        else {
            panic!()
        };
        assert_eq!(awaiting, foreign);
        assert!(record.rendering.namespaces.is_empty() && record.namespaces.is_empty());
        assert_eq!(pending.len(), 1);
        let Plan::Enforce {
            record, awaiting, ..
        } = decide(
            Declaration {
                foreign,
                adoption: Some("apr".into()),
                ..declaration(ID)
            },
            None,
        )
        else {
            panic!()
        };
        assert!(awaiting.is_empty() && record.used);
        assert_eq!(record.adopted["acme-prod"], "apr");
    }

    #[test]
    fn an_unreadable_record_changes_nothing() {
        let plan = plan(
            "acme",
            Declared::Present(Box::new(declaration(ID))),
            None,
            Some(&Trouble::Unreadable("broken".into())),
        );
        assert_eq!(halt(&plan), Some("RecordUnreadable"));
    }
}
