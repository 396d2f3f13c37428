use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenure_controls::facts::Demand;
use tenure_crds::{Approval, StaffMemberSpec};

use super::*;
use crate::access::obstacles::{Role, Staff, Tenant, lacking};
use crate::approval::{Asked, Gap, Gaps, Person, Persons, Requester, Subject, current_digest};
use crate::policy::accepted::ParsedRole;
use crate::record::Allowed;
use crate::record::Granted;

const ID: &str = "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11";
const NOON: &str = "2026-03-02T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Everything as it must be for the grant to be active at noon; each test changes one thing.
struct World {
    grant: Value,
    staff: Value,
    is_known: bool,
    tenant: Tenant,
    role: Role,
    held: Vec<String>,
    approvals: Vec<Value>,
    granted: Option<Granted>,
    withdrawn: Option<End>,
    persons: Vec<(&'static str, Vec<&'static str>)>,
    left: BTreeSet<String>,
    requester: Requester,
    gaps: Gaps,
    asker_gap: bool,
    session_gap: bool,
    mfa_reported: bool,
    review: Option<Why>,
    leaves_later: Option<Timestamp>,
    behind: SignedDuration,
}

impl World {
    fn new() -> Self {
        let tenant = Tenant {
            id: Some(ID.into()),
            is_closed: false,
            namespaces: vec!["acme-prod".into(), "acme-test".into()],
            roles: None,
            telework_exclusions: Vec::new(),
            subcontractors: Vec::new(),
        };
        let role = Role {
            granted: Some(ParsedRole {
                longest: SignedDuration::from_hours(8),
                approvals: 1,
                exclusive_with: BTreeSet::from(["auditor".to_owned()]),
                session_only: false,
                privileged: false,
                review_every: SignedDuration::from_hours(24 * 92),
                cut_sessions: false,
            }),
            exists: true,
            dangers: Vec::new(),
        };
        Self {
            grant: json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant",
                "metadata": {"name": "chg-1", "uid": "u-1", "creationTimestamp": "2026-03-02T09:00:00Z"},
                "spec": {
                    "tenantRef": {"name": "acme"}, "tenantID": ID, "person": "worker", "role": "operator",
                    "namespaces": ["acme-prod"], "reason": "it hangs", "ticket": "CHG-1",
                    "notBefore": "2026-03-02T10:00:00Z", "notAfter": "2026-03-02T16:00:00Z", "requestedBy": "worker-one"
                }
            }),
            staff: json!({
                "identities": ["worker-one", "worker-admin"], "status": "Active", "jobRole": "Engineer",
                "training": {"completedOn": "2025-09-01"}, "acceptableUse": {"signedOn": "2025-01-01"},
                "confidentiality": {"signedOn": "2025-01-01"}, "telework": {"signedOn": "2025-01-01"},
                "mfa": {"signedOn": "2025-01-01"}
            }),
            is_known: true,
            tenant,
            role,
            held: Vec::new(),
            approvals: Vec::new(),
            granted: None,
            withdrawn: None,
            left: BTreeSet::new(),
            persons: vec![
                ("worker", vec!["worker-one", "worker-admin"]),
                ("lead", vec!["lead-one"]),
                ("second", vec!["second-one"]),
            ],
            requester: Requester::User("worker-one".into()),
            gaps: Gaps::default(),
            asker_gap: false,
            session_gap: false,
            mfa_reported: false,
            review: None,
            leaves_later: None,
            behind: SignedDuration::ZERO,
        }
    }

    /// A world in which a lead approved.
    fn approved() -> Self {
        let mut world = Self::new();
        world.approve("lead-one", "Approve");
        world
    }

    /// A world in which the grant is active since ten.
    fn active() -> Self {
        let mut world = Self::approved();
        world.granted = Some(Granted {
            name: "chg-1".into(),
            person: "worker".into(),
            identity: "worker-one".into(),
            account: None,
            identities: vec!["worker-one".into(), "worker-admin".into()],
            groups: Vec::new(),
            job_role: Some("Engineer".into()),
            role: "operator".into(),
            namespaces: vec!["acme-prod".into()],
            ticket: "CHG-1".into(),
            digest: "sha256:0".into(),
            requested_by: Some("worker-one".into()),
            break_glass: false,
            activated_at: "2026-03-02T10:00:00Z".into(),
            not_after: "2026-03-02T16:00:00Z".into(),
            moved_from: None,
            cut_sessions: false,
            approved_by: vec![Allowed {
                uid: "a-lead-one".into(),
                name: "by-lead-one".into(),
            }],
            ended: None,
            sessions_in: Vec::new(),
            proof: None,
            tokens_open: None,
            sweep: None,
        });
        world
    }

    fn approve(&mut self, by: &str, what: &str) {
        let grant: AccessGrant = serde_json::from_value(self.grant.clone()).unwrap();
        let uid = grant.uid().unwrap();
        let digest = current_digest(&Subject::GrantActivate(&grant.spec, &uid));
        self.approvals.push(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval",
            "metadata": {"name": format!("by-{by}"), "uid": format!("a-{by}"), "creationTimestamp": "2026-03-02T09:30:00Z"},
            "spec": {
                "action": "Activate", "tenantRef": {"name": "acme"}, "decision": what, "reason": "agreed",
                "subject": {"kind": "AccessGrant", "name": "chg-1", "tenantID": ID, "digest": digest, "digestVersion": 1},
                "approver": {"username": by, "groups": []}
            }
        }));
    }

    fn spec(&mut self, field: &str, value: Value) -> &mut Self {
        self.grant["spec"][field] = value;
        self
    }

    fn at(&self, now: &str) -> Standing {
        self.case(|case| standing(case, at(now)))
    }

    fn lacks(&self, now: &str) -> Vec<Demand> {
        let lacking = self.case(|case| lacking(case, at(now)));
        assert!(lacking.iter().all(|(_, what)| !what.is_empty()));
        lacking.into_iter().map(|(demand, _)| demand).collect()
    }

    fn case<R>(&self, with: impl FnOnce(&Case<'_>) -> R) -> R {
        let grant: AccessGrant = serde_json::from_value(self.grant.clone()).unwrap();
        let staff: StaffMemberSpec = serde_json::from_value(self.staff.clone()).unwrap();
        let approvals: Vec<Approval> = self
            .approvals
            .iter()
            .map(|approval| serde_json::from_value(approval.clone()).unwrap())
            .collect();
        let owned: Vec<(Person, Vec<String>)> = self
            .persons
            .iter()
            .map(|(name, ids)| {
                let ids = ids.iter().map(|id| (*id).to_owned()).collect();
                (Person::Staff((*name).into()), ids)
            })
            .collect();
        let persons = Persons::new(owned.iter().map(|(who, ids)| (who.clone(), ids.as_slice())));
        let persons = persons.without(self.left.clone());
        let uid = grant.uid().unwrap();
        let asked = Asked {
            action: tenure_crds::approval::Action::Activate,
            kind: "AccessGrant".into(),
            name: "chg-1".into(),
            tenant_id: Some(ID.into()),
            tenant: Some("acme".into()),
            digests: [(
                1,
                current_digest(&Subject::GrantActivate(&grant.spec, &uid)),
            )]
            .into(),
            requester: self.requester.clone(),
            person: Some(grant.spec.person.clone()),
            since: grant.creation_timestamp().map(|made| made.0),
        };
        let case = Case {
            grant: &grant,
            granted: self.granted.as_ref(),
            withdrawn: self.withdrawn.as_ref(),
            staff: match self.is_known {
                true => Staff::Known(&staff),
                false => Staff::Unknown,
            },
            persons: &persons,
            approvals: &approvals,
            asked: &asked,
            gaps: &self.gaps,
            asker_gap: self.asker_gap,
            session_gap: self.session_gap,
            tenant: &self.tenant,
            role: &self.role,
            held: &self.held,
            mfa_reported: self.mfa_reported,
            review: self.review,
            leaves_later: self.leaves_later,
            behind: self.behind,
        };
        with(&case)
    }

    #[track_caller]
    fn waits(&self, now: &str, expect: Why) -> Option<Timestamp> {
        match self.at(now) {
            Standing::Pending {
                why,
                message,
                again,
            } => {
                assert_eq!(why, expect, "{message}");
                assert!(again.is_some_and(|again| again > at(now)), "{again:?}");
                again
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn ended(&self, now: &str, expect: Why) {
        match self.at(now) {
            Standing::Ended { why, message } => assert_eq!(why, expect, "{message}"),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn lets_in(&self, now: &str) -> (String, Timestamp) {
        match self.at(now) {
            Standing::Active {
                identity,
                until,
                again,
                ..
            } => {
                assert_eq!(until, at(self.grant["spec"]["notAfter"].as_str().unwrap()));
                assert!(again > at(now) && again <= until);
                (identity, again)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn approved_by_somebody_else_it_is_active_within_its_window_and_not_a_moment_longer() {
    let world = World::approved();
    world.waits("2026-03-02T09:59:59Z", Why::Scheduled);
    assert_eq!(world.lets_in("2026-03-02T10:00:00Z").0, "worker-one");
    world.lets_in("2026-03-02T15:59:59.999Z");
    world.ended("2026-03-02T16:00:00Z", Why::WindowOver);
    World::active().ended("2026-03-02T16:00:00Z", Why::WindowOver);
}

#[test]
fn while_clocks_differ_it_begins_by_the_one_behind_and_ends_by_the_one_ahead() {
    let mut world = World::approved();
    world.behind = SignedDuration::from_hours(1);
    let again = world.waits("2026-03-02T10:59:59Z", Why::Scheduled);
    assert_eq!(again, Some(at("2026-03-02T11:00:00Z")));
    world.lets_in("2026-03-02T11:00:00Z");
    world.ended("2026-03-02T16:00:00Z", Why::WindowOver);
    // What is active stays so, and what names no beginning waits for none.
    let mut world = World::active();
    world.behind = SignedDuration::from_hours(1);
    world.lets_in("2026-03-02T10:00:00Z");
    let mut world = World::new();
    world.behind = SignedDuration::from_hours(1);
    world.spec("notBefore", Value::Null);
    world.approve("lead-one", "Approve");
    world.lets_in("2026-03-02T09:30:00Z");
}

#[test]
fn an_emergency_begins_no_earlier_than_it_says() {
    let mut world = World::new();
    world.spec("breakGlass", json!(true));
    world.waits("2026-03-02T09:59:59Z", Why::Scheduled);
    world.lets_in("2026-03-02T10:00:00Z");
}

#[test]
fn nobody_is_let_in_without_enough_approvals_of_other_known_persons() {
    World::new().waits(NOON, Why::AwaitingApproval);
    for own in ["worker-one", "worker-admin", "stranger", ""] {
        let mut world = World::new();
        world.approve(own, "Approve");
        world.waits(NOON, Why::AwaitingApproval);
    }
    // The requester is another person than the one let in: neither decides.
    let mut world = World::new();
    world.requester = Requester::User("lead-one".into());
    world.approve("lead-one", "Approve");
    world.waits(NOON, Why::AwaitingApproval);
    world.approve("second-one", "Approve");
    world.lets_in(NOON);
    // Two are needed.
    let mut world = World::approved();
    world.role.granted.as_mut().unwrap().approvals = 2;
    world.waits(NOON, Why::AwaitingApproval);
    world.approve("second-one", "Approve");
    world.lets_in(NOON);
    // While stamps can be forged, none counts.
    let mut world = World::approved();
    world.gaps.is_open = true;
    world.waits(NOON, Why::AwaitingApproval);
}

#[test]
fn whoever_left_neither_asks_nor_approves() {
    let mut world = World::approved();
    world.left = BTreeSet::from(["lead".to_owned()]);
    world.waits(NOON, Why::AwaitingApproval);
    let mut world = World::new();
    world.requester = Requester::User("second-one".into());
    world.approve("lead-one", "Approve");
    world.lets_in(NOON);
    world.left = BTreeSet::from(["second".to_owned()]);
    world.waits(NOON, Why::RequesterUnknown);
    // What began goes on: it was asked for and approved by who worked here then.
    let mut world = World::active();
    world.left = BTreeSet::from(["lead".to_owned()]);
    world.lets_in(NOON);
}

#[test]
fn what_was_written_while_nobody_saw_to_who_wrote_it_never_counts() {
    let gap = |from: &str, until: &str| Gaps {
        is_open: false,
        past: vec![Gap {
            from: at(from),
            until: at(until),
        }],
    };
    // The approval is of 09:30.
    let mut world = World::approved();
    world.gaps = gap("2026-03-02T09:29:00Z", "2026-03-02T09:31:00Z");
    world.waits(NOON, Why::AwaitingApproval);
    world.gaps = gap("2026-03-02T09:00:00Z", "2026-03-02T09:29:00Z");
    world.lets_in(NOON);
    world.asker_gap = true;
    world.waits(NOON, Why::RequesterUnknown);
}

#[test]
fn an_approval_of_something_else_lets_nobody_in() {
    // Edited after approval.
    let mut world = World::approved();
    world.spec("notAfter", json!("2026-03-02T15:00:00Z"));
    world.waits(NOON, Why::AwaitingApproval);
    // Made again under the same name, with the very same content.
    let mut world = World::approved();
    world.grant["metadata"]["uid"] = json!("u-2");
    world.waits(NOON, Why::AwaitingApproval);
    // Older than the grant.
    let mut world = World::approved();
    world.approvals[0]["metadata"]["creationTimestamp"] = json!("2026-03-02T08:59:59Z");
    world.waits(NOON, Why::AwaitingApproval);
    // After its own end.
    let mut world = World::approved();
    world.approvals[0]["spec"]["notAfter"] = json!("2026-03-02T11:59:59Z");
    world.waits(NOON, Why::AwaitingApproval);
}

#[test]
fn a_rejection_ends_it_before_and_after_it_began() {
    let mut world = World::approved();
    world.approve("second-one", "Reject");
    world.ended(NOON, Why::Rejected);
    let mut world = World::active();
    world.approve("second-one", "Reject");
    world.ended(NOON, Why::Rejected);
}

/// One thing that is not as it must be: a grant that waits keeps waiting, one that is active ends.
#[track_caller]
fn keeps_out(expect: Why, change: impl Fn(&mut World)) {
    let mut world = World::new();
    change(&mut world);
    world.approve("lead-one", "Approve");
    world.waits(NOON, expect);
    let mut world = World::active();
    change(&mut world);
    world.ended(NOON, expect);
}

#[test]
fn whatever_goes_missing_keeps_out_and_ends_what_was_active() {
    keeps_out(Why::TenantUnknown, |world| world.tenant.id = None);
    keeps_out(Why::TenantUnknown, |world| {
        world.tenant.id = Some("another".into());
    });
    keeps_out(Why::TenantClosed, |world| world.tenant.is_closed = true);
    keeps_out(Why::NamespaceForeign, |world| {
        world.tenant.namespaces.clear();
    });
    keeps_out(Why::NamespaceForeign, |world| {
        world.spec("namespaces", json!(["acme-prod", "other-prod"]));
    });
    keeps_out(Why::RoleNotGrantable, |world| world.role.granted = None);
    keeps_out(Why::RoleNotGrantable, |world| {
        world.tenant.roles = Some(BTreeSet::from(["viewer".into()]));
    });
    keeps_out(Why::RoleMissing, |world| world.role.exists = false);
    keeps_out(Why::RoleForbidden, |world| {
        world.role.dangers = vec!["rule 1 holds a wildcard".into()];
    });
    keeps_out(Why::SessionOnly, |world| {
        world.role.granted.as_mut().unwrap().session_only = true;
    });
    keeps_out(Why::WindowTooLong, |world| {
        world.role.granted.as_mut().unwrap().longest = SignedDuration::from_secs(6 * 3600 - 1);
    });
    keeps_out(Why::RoleExcluded, |world| {
        world.held = vec!["viewer".into(), "auditor".into()];
    });
    keeps_out(Why::PersonUnknown, |world| world.is_known = false);
    keeps_out(Why::PersonLeft, |world| {
        world.staff["status"] = json!("Left");
    });
    keeps_out(Why::IdentityUnknown, |world| {
        world.spec("identity", json!("worker-0ne"));
        if let Some(granted) = &mut world.granted {
            granted.identity = "worker-0ne".into();
        }
    });
    keeps_out(Why::IdentityShared, |world| {
        world.requester = Requester::Nobody;
        world.persons[1].1.push("worker-one");
    });
    keeps_out(Why::TrainingExpired, |world| {
        world.staff["training"] = Value::Null;
    });
    keeps_out(Why::TrainingExpired, |world| {
        world.staff["training"]["completedOn"] = json!("2025-03-01");
    });
    keeps_out(Why::TrainingExpired, |world| {
        world.staff["training"]["completedOn"] = json!("2026-03-03");
    });
    keeps_out(Why::PolicyUnsigned, |world| {
        world.staff["acceptableUse"] = Value::Null;
    });
    keeps_out(Why::PolicyUnsigned, |world| {
        world.staff["confidentiality"] = Value::Null;
    });
    keeps_out(Why::PolicyUnsigned, |world| {
        world.staff["telework"] = Value::Null;
    });
    keeps_out(Why::MfaUnconfirmed, |world| {
        world.staff["mfa"] = Value::Null;
    });
    keeps_out(Why::SubcontractorWithoutConsent, |world| {
        world.staff["employer"] = json!("Example Datacentres");
    });
    keeps_out(Why::SubcontractorWithoutAgreement, |world| {
        world.staff["employer"] = json!("Example Datacentres");
        world.tenant.subcontractors = vec![("Example Datacentres".into(), None)];
    });
    for since in ["2026-03-02", "2020-01-01", "someday"] {
        keeps_out(Why::TeleworkExcluded, |world| {
            world.tenant.telework_exclusions = vec![("worker".into(), since.into())];
        });
    }
}

#[test]
fn who_asked_is_known_or_a_repository() {
    let mut world = World::approved();
    world.requester = Requester::User("stranger".into());
    world.waits(NOON, Why::RequesterUnknown);
    world.requester = Requester::Nobody;
    world.lets_in(NOON);
    // From a repository too nobody approves their own access.
    let mut world = World::new();
    world.requester = Requester::Nobody;
    world.approve("worker-admin", "Approve");
    world.waits(NOON, Why::AwaitingApproval);
}

#[test]
fn the_nearest_that_is_in_order_is_let_in() {
    let mut world = World::approved();
    world.staff["training"]["completedOn"] = json!("2025-03-02");
    assert_eq!(world.lets_in(NOON).1, at("2026-03-02T16:00:00Z"));
    let mut world = World::approved();
    world.staff["mfa"] = Value::Null;
    world.mfa_reported = true;
    world.lets_in(NOON);
    let mut world = World::approved();
    world.held = vec!["viewer".into()];
    world.lets_in(NOON);
    let mut world = World::approved();
    world.tenant.telework_exclusions = vec![
        ("worke".into(), "2020-01-01".into()),
        ("worker".into(), "2026-03-03".into()),
    ];
    world.lets_in(NOON);
    let mut world = World::approved();
    world.staff["employer"] = json!("Example Datacentres");
    world.tenant.subcontractors = vec![(
        "Example Datacentres".into(),
        Some("2026-03-02".parse().unwrap()),
    )];
    world.lets_in(NOON);
    // On site neither telework nor an exclusion from it matters.
    let mut world = World::new();
    world.spec("location", json!("OnSite"));
    world.staff["telework"] = Value::Null;
    world.staff["mfa"] = Value::Null;
    world.tenant.telework_exclusions = vec![("worker".into(), "2020-01-01".into())];
    world.approve("lead-one", "Approve");
    world.lets_in(NOON);
    // A shared account that the customer accepted.
    let mut world = World::new();
    world.persons[1].1.push("worker-one");
    world.requester = Requester::User("second-one".into());
    world.spec("exceptionReference", json!("Amendment 3"));
    world.approve("lead-one", "Approve");
    world.lets_in(NOON);
}

#[test]
fn what_will_end_it_by_itself_is_looked_at_in_time() {
    let mut world = World::active();
    world.spec("notAfter", json!("2026-03-03T16:00:00Z"));
    world.role.granted.as_mut().unwrap().longest = SignedDuration::from_hours(48);
    let midnight = at("2026-03-03T00:00:00Z");
    world.staff["training"]["completedOn"] = json!("2025-03-02");
    assert_eq!(world.lets_in(NOON).1, midnight);
    world.ended("2026-03-03T00:00:00Z", Why::TrainingExpired);
    let mut world = World::active();
    world.spec("notAfter", json!("2026-03-03T16:00:00Z"));
    world.role.granted.as_mut().unwrap().longest = SignedDuration::from_hours(48);
    world.tenant.telework_exclusions = vec![("worker".into(), "2026-03-03".into())];
    assert_eq!(world.lets_in(NOON).1, midnight);
    world.ended("2026-03-03T00:00:00Z", Why::TeleworkExcluded);
}

#[test]
fn where_too_many_leave_at_once_their_access_stays_a_little() {
    for is_known in [true, false] {
        let mut world = World::active();
        world.is_known = is_known;
        world.staff["status"] = json!("Left");
        world.leaves_later = Some(at("2026-03-02T12:10:00Z"));
        let (identity, again) = world.lets_in(NOON);
        assert_eq!(
            (identity.as_str(), again),
            ("worker-one", at("2026-03-02T12:10:00Z"))
        );
        // Whatever else ends it ends it all the same.
        world.spec("revoked", json!({"reason": "over"}));
        world.ended(NOON, Why::Revoked);
    }
    let mut world = World::active();
    world.leaves_later = Some(at("2026-03-02T12:10:00Z"));
    world.staff["confidentiality"] = Value::Null;
    world.ended(NOON, Why::PolicyUnsigned);
}

#[test]
fn another_job_ends_what_began_under_the_old_one() {
    let mut world = World::active();
    world.staff["jobRole"] = json!("Manager");
    world.ended(NOON, Why::JobChanged);
    world.staff["jobRole"] = Value::Null;
    world.ended(NOON, Why::JobChanged);
    // One that has not begun follows the new one.
    let mut world = World::approved();
    world.staff["jobRole"] = json!("Manager");
    world.lets_in(NOON);
}

#[test]
fn the_identity_stays_the_one_that_was_let_in() {
    let mut world = World::active();
    world.staff["identities"] = json!(["worker-admin", "worker-one"]);
    assert_eq!(world.lets_in(NOON).0, "worker-one");
    world.staff["identities"] = json!(["worker-admin"]);
    world.ended(NOON, Why::IdentityUnknown);
}

#[test]
fn revoked_is_over_at_once_and_ended_is_never_taken_back() {
    let mut world = World::active();
    world.spec("revoked", json!({"reason": "done"}));
    world.ended(NOON, Why::Revoked);
    let mut world = World::new();
    world.spec("revoked", json!({"reason": "not needed"}));
    world.ended(NOON, Why::Revoked);
    // On record.
    let mut world = World::active();
    world.granted.as_mut().unwrap().ended = Some(End {
        at: "2026-03-02T11:00:00Z".into(),
        why: "TrainingExpired".into(),
    });
    world.ended(NOON, Why::TrainingExpired);
    // On record, and it never began: the cluster went back to when it was about to.
    let mut world = World::new();
    world.withdrawn = Some(End {
        at: "2026-03-02T09:00:00Z".into(),
        why: "Revoked".into(),
    });
    world.ended("2026-03-02T09:30:00Z", Why::Revoked);
    world.ended(NOON, Why::Revoked);
    // Not on record yet, and said.
    let mut world = World::active();
    world.grant["status"] = json!({"conditions": [{
        "type": "Ended", "status": "True", "reason": "PersonLeft", "message": "worker left",
        "lastTransitionTime": "2026-03-02T11:00:00Z"
    }]});
    world.ended(NOON, Why::PersonLeft);
    // The clock stepped back an hour behind the end.
    let mut world = World::active();
    world.granted.as_mut().unwrap().ended = Some(End {
        at: "2026-03-02T16:00:00Z".into(),
        why: "WindowOver".into(),
    });
    world.ended("2026-03-02T15:00:00Z", Why::WindowOver);
}

#[test]
fn an_earlier_end_ends_earlier_and_needs_no_new_approval() {
    let mut world = World::active();
    world.spec("notAfter", json!("2026-03-02T13:00:00Z"));
    world.lets_in(NOON);
    world.ended("2026-03-02T13:00:00Z", Why::WindowOver);
}

#[test]
fn an_end_before_the_beginning_and_a_window_that_cannot_be_read_let_nobody_in() {
    for not_after in ["2026-03-02T09:59:59Z", "tomorrow", "2026-02-30T10:00:00Z"] {
        let mut world = World::new();
        world.spec("notAfter", json!(not_after));
        world.approve("lead-one", "Approve");
        for now in ["2026-03-02T09:30:00Z", "2026-03-02T10:00:00Z", NOON] {
            let standing = world.at(now);
            assert!(
                !matches!(standing, Standing::Active { .. }),
                "{not_after} {now} {standing:?}"
            );
        }
        // Edited in a grant that was active.
        let mut world = World::active();
        world.spec("notAfter", json!(not_after));
        assert!(
            matches!(world.at(NOON), Standing::Ended { .. }),
            "{not_after}"
        );
    }
}

#[test]
fn one_person_under_two_names_is_one_approval_of_two() {
    let mut world = World::approved();
    world.role.granted.as_mut().unwrap().approvals = 2;
    world.approve("lead-two", "Approve");
    world.persons[1] = ("lead", vec!["lead-one", "lead-two"]);
    world.waits(NOON, Why::AwaitingApproval);
    // As two persons they would suffice.
    world.persons[1] = ("lead", vec!["lead-one"]);
    world.persons.push(("deputy", vec!["lead-two"]));
    world.lets_in(NOON);
}

#[test]
fn break_glass_lets_in_at_once_and_ends_after_a_day_nobody_approved() {
    let mut world = World::new();
    world.role.granted.as_mut().unwrap().longest = SignedDuration::from_hours(72);
    world
        .spec("breakGlass", json!(true))
        .spec("notAfter", json!("2026-03-05T10:00:00Z"));
    assert_eq!(world.lets_in(NOON).1, at("2026-03-03T12:00:00Z"));
    world.granted = World::active().granted.map(|granted| Granted {
        break_glass: true,
        approved_by: Vec::new(),
        ..granted
    });
    assert_eq!(world.lets_in(NOON).1, at("2026-03-03T10:00:00Z"));
    world.lets_in("2026-03-03T09:59:59Z");
    world.ended("2026-03-03T10:00:00Z", Why::BreakGlassUnapproved);
    world.approve("worker-one", "Approve");
    world.ended("2026-03-03T10:00:00Z", Why::BreakGlassUnapproved);
    world.approve("lead-one", "Approve");
    assert_eq!(
        world.lets_in("2026-03-04T10:00:00Z").1,
        at("2026-03-05T10:00:00Z")
    );
    world.approve("second-one", "Reject");
    world.ended("2026-03-03T09:00:00Z", Why::Rejected);
    // What keeps anybody out keeps out here too.
    let mut world = World::new();
    world.spec("breakGlass", json!(true));
    world.staff["status"] = json!("Left");
    world.waits(NOON, Why::PersonLeft);
}

#[test]
fn a_session_has_its_shortest_window() {
    let mut world = World::new();
    world.role.granted.as_mut().unwrap().session_only = true;
    world
        .spec("credential", json!("Session"))
        .spec("notAfter", json!("2026-03-02T10:14:59Z"));
    world.approve("lead-one", "Approve");
    world.waits("2026-03-02T10:00:00Z", Why::WindowTooShort);
    let mut world = World::new();
    world
        .spec("credential", json!("Session"))
        .spec("notAfter", json!("2026-03-02T10:15:00Z"));
    world.approve("lead-one", "Approve");
    world.lets_in("2026-03-02T10:00:00Z");
}

#[test]
fn a_session_begins_only_while_its_tokens_are_bounded() {
    let mut world = World::new();
    world.session_gap = true;
    world.approve("lead-one", "Approve");
    world.lets_in(NOON);
    let mut world = World::new();
    world.session_gap = true;
    world.spec("credential", json!("Session"));
    world.approve("lead-one", "Approve");
    world.waits(NOON, Why::SessionUnguarded);
    // What began is not ended by it.
    let mut world = World::active();
    world.session_gap = true;
    world.spec("credential", json!("Session"));
    world.lets_in(NOON);
}

#[test]
fn every_reason_has_its_own_word_and_is_read_back() {
    let words: BTreeSet<&str> = Why::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(words.len(), Why::ALL.len());
    for why in Why::ALL {
        assert_eq!(Why::from_word(why.as_str()), *why);
        assert!(!why.meaning().is_empty());
    }
    assert_eq!(Why::from_word("FromTomorrow"), Why::Invalid);
}

#[test]
fn live_grant_that_stands_as_it_was_given_lacks_nothing_whatever_became_of_its_approvals() {
    let mut world = World::active();
    assert_eq!(world.lacks(NOON), []);
    world.approvals.clear();
    world.gaps.is_open = true;
    assert_eq!(world.lacks(NOON), []);
}

#[test]
fn everything_a_live_grant_no_longer_has_is_named_and_nothing_else() {
    type Spoil = fn(&mut World);
    let cases: [(Spoil, Demand); 19] = [
        (
            |w| w.grant["spec"]["notAfter"] = json!("noon"),
            Demand::Scope,
        ),
        (
            |w| w.grant["spec"]["revoked"] = json!({"reason": "done"}),
            Demand::Scope,
        ),
        (|w| w.tenant.is_closed = true, Demand::Scope),
        (|w| w.tenant.id = None, Demand::Scope),
        (|w| w.tenant.namespaces.clear(), Demand::Scope),
        (|w| w.grant["spec"]["ticket"] = json!(" "), Demand::Purpose),
        (|w| w.grant["spec"]["reason"] = json!(""), Demand::Purpose),
        (|w| w.role.granted = None, Demand::Role),
        (|w| w.role.exists = false, Demand::Role),
        (|w| w.role.dangers = vec!["escalate".into()], Demand::Role),
        (|w| w.held = vec!["auditor".into()], Demand::Duties),
        (|w| w.staff["status"] = json!("Left"), Demand::Employment),
        (
            |w| w.staff["jobRole"] = json!("Manager"),
            Demand::Employment,
        ),
        (
            |w| w.staff["identities"] = json!(["worker-admin"]),
            Demand::Identity,
        ),
        (
            |w| w.persons.push(("lead", vec!["worker-one"])),
            Demand::Identity,
        ),
        (
            |w| w.staff["acceptableUse"] = Value::Null,
            Demand::AcceptableUse,
        ),
        (
            |w| w.staff["confidentiality"] = Value::Null,
            Demand::Confidentiality,
        ),
        (
            |w| w.staff["training"] = json!({"completedOn": "2025-03-01"}),
            Demand::Training,
        ),
        (|w| w.staff["employer"] = json!("host"), Demand::Employer),
    ];
    for (index, (spoil, demand)) in cases.into_iter().enumerate() {
        let mut world = World::active();
        spoil(&mut world);
        assert_eq!(world.lacks(NOON), [demand], "{index}");
    }
    assert_eq!(
        World::active().lacks("2026-03-02T16:00:00Z"),
        [Demand::Scope]
    );
}

#[test]
fn what_hides_another_fault_when_a_grant_is_refused_hides_none_when_it_is_live() {
    let mut world = World::active();
    world.staff["status"] = json!("Left");
    world.staff["acceptableUse"] = Value::Null;
    world.staff["mfa"] = Value::Null;
    world
        .tenant
        .telework_exclusions
        .push(("worker".into(), "2026-03-02".into()));
    let expected = [
        Demand::Employment,
        Demand::AcceptableUse,
        Demand::Telework,
        Demand::RemoteWork,
    ];
    assert_eq!(world.lacks(NOON), expected);
    // On the premises, remote work is nothing.
    world.grant["spec"]["location"] = json!("OnSite");
    assert_eq!(world.lacks(NOON), expected[..2]);
}

#[test]
fn of_a_person_who_is_not_on_record_nothing_holds() {
    let mut world = World::active();
    world.is_known = false;
    assert_eq!(
        world.lacks(NOON),
        [
            Demand::Employment,
            Demand::Identity,
            Demand::AcceptableUse,
            Demand::Confidentiality,
            Demand::Training,
            Demand::RemoteWork,
            Demand::Employer
        ]
    );
}
