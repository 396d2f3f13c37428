//! What the grants of one tenant depend on, collected from the caches and the record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use tenure_controls::facts::{Demand, GrantFault};
use tenure_crds::approval::Decision;
use tenure_crds::{AccessGrant, Approval, StaffMember, StaffMemberSpec};
use tenure_rbac::{RoleName, dangers};

use super::obstacles::{Case, Role, Staff, Tenant, lacking};
use super::review;
use super::standing::{Standing, said_ended, standing};
use crate::approval::{
    Asked, Context as Look, DIGEST_VERSION, Gaps, Persons, Requester, Subject, current_digest,
    decided_own,
};
use crate::assess::attested::{Around, Validity, validity};
use crate::cluster::Moment;
use crate::context::Context;
use crate::record::{End, Granted, Review, TenantRecord};
use crate::tenant::decisions;

/// Control whose attestation says that a subcontractor's agreement is in order (DSA 2.10).
const AGREEMENT: &str = "dsa-2.10-subcontractor-agreements";

/// All that is seen of one tenant's grants.
pub struct Seen {
    /// The tenant's record, where there is one.
    pub record: Option<TenantRecord>,
    /// Its grants that can be read, the oldest first.
    pub grants: Vec<AccessGrant>,
    approvals: BTreeMap<String, Vec<Approval>>,
    tenant: Tenant,
    persons: Arc<Persons>,
    /// How far the clock that is behind is so.
    pub behind: SignedDuration,
    gaps: Gaps,
    asker_gaps: Gaps,
    session_gap: bool,
    /// Those that the grants name.
    roles: BTreeMap<String, Role>,
}

impl Seen {
    /// What stands in the caches and on record now.
    pub fn of(context: &Context, tenant: &str, moment: Moment) -> Self {
        let Moment { now, behind } = moment;
        let record = context.records.tenant(tenant);
        let grants = grants(context, tenant);
        let names: BTreeSet<&String> = grants.iter().map(|grant| &grant.spec.role).collect();
        let roles = names.into_iter();
        let roles = roles.map(|name| (name.clone(), role(context, name)));
        Self {
            roles: roles.collect(),
            tenant: facts(context, tenant, record.as_ref(), now),
            persons: context.access.persons_of(record.as_ref()),
            record,
            grants,
            approvals: approvals(context, tenant),
            behind,
            gaps: decisions::gaps(context, "approvals"),
            asker_gaps: decisions::gaps(context, "accessgrants"),
            session_gap: !decisions::is_alive(context, "session-accounts"),
        }
    }

    /// What is on record about a grant.
    pub fn granted(&self, uid: &str) -> Option<&Granted> {
        self.record.as_ref()?.grants.get(uid)
    }

    /// The end of a grant that let nobody in, where that is on record.
    fn withdrawn(&self, uid: &str) -> Option<&End> {
        let awaited = self.record.as_ref()?.awaited_grants.get(uid)?;
        awaited.ended.as_ref()
    }

    /// Whether a grant needs no approval, or somebody approved exactly it: what does not count now may in a cluster that goes back.
    pub fn is_backed(&self, grant: &AccessGrant, asked: &Asked) -> bool {
        let is_it = |digest: &str| asked.digests.values().any(|asked| asked == digest);
        let approved = self.approvals(grant).iter().any(|approval| {
            let spec = &approval.spec;
            spec.decision == Decision::Approve && is_it(&spec.subject.digest)
        });
        approved || grant.spec.break_glass.unwrap_or_default()
    }

    /// Uids of the grants that can be read.
    pub fn uids(&self) -> impl Iterator<Item = &str> {
        let grants = self.grants.iter();
        grants.filter_map(|grant| grant.metadata.uid.as_deref())
    }

    /// The decisions about a grant.
    pub fn approvals(&self, grant: &AccessGrant) -> &[Approval] {
        self.decisions(&grant.name_any())
    }

    /// The decisions about grants of that name, whether there is one or not.
    pub fn decisions(&self, grant: &str) -> &[Approval] {
        let found = self.approvals.get(grant);
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Decisions about grants that there are none of.
    pub fn stray_approvals(&self) -> impl Iterator<Item = &Approval> {
        let there: BTreeSet<&str> = self
            .grants
            .iter()
            .filter_map(|grant| grant.metadata.name.as_deref())
            .collect();
        let stray = self
            .approvals
            .iter()
            .filter(move |(name, _)| !there.contains(name.as_str()));
        stray.flat_map(|(_, approvals)| approvals)
    }

    /// What decisions about a grant are measured against.
    pub fn look<'a>(&'a self, asked: &'a Asked, now: Timestamp) -> Look<'a> {
        Look {
            asked: Some(asked),
            now,
            gaps: &self.gaps,
            persons: &self.persons,
        }
    }

    /// Where a grant stands.
    pub fn standing(
        &self,
        context: &Context,
        grant: &AccessGrant,
        asked: &Asked,
        review: Option<&Review>,
        now: Timestamp,
    ) -> Standing {
        let uid = grant.uid().unwrap_or_default();
        let guard = context.caches.staff.get("", &grant.spec.person);
        let staff = staff(guard.as_deref());
        let granted = self.granted(&uid).filter(|granted| granted.is_live());
        let leaves_later = granted.and_then(|_| {
            let access = &context.access;
            access.holds_leaver(&grant.spec.person, staff.has_left(), now)
        });
        let held = context.access.held(&grant.spec.person, &uid);
        // Nobody is let in as what is not known.
        let unknown = Role::default();
        let role = self.roles.get(&grant.spec.role).unwrap_or(&unknown);
        let made = grant.creation_timestamp();
        let case = Case {
            grant,
            granted: self.granted(&uid),
            withdrawn: self.withdrawn(&uid),
            staff,
            persons: &self.persons,
            approvals: self.approvals(grant),
            asked,
            gaps: &self.gaps,
            asker_gap: made.is_none_or(|made| self.asker_gaps.cover(made.0)),
            session_gap: self.session_gap,
            tenant: &self.tenant,
            role,
            held: &held,
            leaves_later,
            behind: self.behind,
            mfa_reported: context.accepted().mfa.is_some(),
            review: review.and_then(|review| review::ends(review, &uid)),
        };
        standing(&case, now)
    }
}

fn grants(context: &Context, tenant: &str) -> Vec<AccessGrant> {
    let caches = &context.caches;
    let names = caches.grants_of.of(tenant).into_iter();
    let mut found: Vec<AccessGrant> = names
        .filter_map(|name| caches.grants.get("", &name)?.0.clone().ok())
        .filter(|grant| grant.spec.tenant_ref.name == tenant)
        .collect();
    found.sort_by_cached_key(|grant| (grant.creation_timestamp(), grant.name_any()));
    found
}

fn approvals(context: &Context, tenant: &str) -> BTreeMap<String, Vec<Approval>> {
    let mut found: BTreeMap<String, Vec<Approval>> = BTreeMap::new();
    let caches = &context.caches;
    for name in caches.grant_approvals_of.of(tenant) {
        let guard = caches.approvals.get("", &name);
        let Some(Ok(approval)) = guard.as_ref().map(|guard| &guard.0) else {
            continue;
        };
        let spec = &approval.spec;
        let is_theirs = spec
            .tenant_ref
            .as_ref()
            .is_some_and(|named| named.name == tenant);
        if is_theirs && is_about_a_grant(approval) {
            let about = found.entry(spec.subject.name.clone()).or_default();
            about.push(approval.clone());
        }
    }
    found
}

/// Whether an Approval decides on access.
pub fn is_about_a_grant(approval: &Approval) -> bool {
    approval.spec.subject.kind == "AccessGrant"
}

fn staff(guard: Option<&DeserializeGuard<StaffMember>>) -> Staff<'_> {
    match guard.map(|guard| guard.0.as_ref()) {
        None => Staff::Unknown,
        Some(Err(_)) => Staff::Unreadable,
        Some(Ok(staff)) => Staff::Known(&staff.spec),
    }
}

/// What a grant asks of those who decide.
pub fn asked(context: &Context, grant: &AccessGrant) -> Asked {
    let uid = grant.uid().unwrap_or_default();
    let subject = Subject::GrantActivate(&grant.spec, &uid);
    Asked {
        digests: BTreeMap::from([(DIGEST_VERSION, current_digest(&subject))]),
        ..asked_undigested(context, grant)
    }
}

/// The same, where nobody compares what was looked at.
fn asked_undigested(context: &Context, grant: &AccessGrant) -> Asked {
    let uid = grant.uid().unwrap_or_default();
    let subject = Subject::GrantActivate(&grant.spec, &uid);
    Asked {
        action: subject.action(),
        kind: subject.kind().into(),
        name: grant.name_any(),
        tenant_id: Some(grant.spec.tenant_id.clone()),
        tenant: Some(grant.spec.tenant_ref.name.clone()),
        digests: BTreeMap::new(),
        requester: Requester::from_stamp(
            grant.spec.requested_by.as_deref(),
            &context.accepted().gitops_appliers,
        ),
        person: Some(grant.spec.person.clone()),
        since: grant.creation_timestamp().map(|made| made.0),
    }
}

fn role(context: &Context, name: &str) -> Role {
    let rbac = context.caches.rbac();
    let rules = rbac.rules("", &RoleName::cluster(name));
    let found = rules.map(dangers).unwrap_or_default();
    Role {
        granted: context.accepted().grantable_roles.get(name).cloned(),
        exists: rules.is_some(),
        dangers: found.faults.iter().map(ToString::to_string).collect(),
    }
}

fn facts(context: &Context, tenant: &str, record: Option<&TenantRecord>, now: Timestamp) -> Tenant {
    let Some(record) = record else {
        return Tenant::default();
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let guard = context.caches.tenants.look("", tenant, |kept| {
        kept.as_ref().ok().map(|packed| packed.open().spec)
    });
    // One that cannot be read is there all the same.
    let is_gone = guard.is_none();
    let declared = guard.flatten();
    // Who is excluded or left out in either is: a change that shuts somebody out waits for nothing.
    let exclusions = declared.iter().chain([&record.spec]);
    let exclusions: BTreeSet<(String, String)> = exclusions
        .flat_map(|spec| &spec.telework_exclusions)
        .map(|exclusion| (exclusion.person.clone(), exclusion.since.clone()))
        .collect();
    let consented = record.spec.subcontractors.iter();
    let consented = consented.filter(|one| {
        declared.as_ref().is_none_or(|spec| {
            spec.subcontractors
                .iter()
                .any(|other| other.name == one.name)
        })
    });
    Tenant {
        id: Some(record.tenant_id.clone()),
        is_closed: record.ended_at.is_some() || record.frozen.is_some() || is_gone,
        namespaces: record.namespaces_in_use(),
        roles: context
            .accepted()
            .baseline(record.spec.classification)
            .roles
            .clone(),
        telework_exclusions: exclusions.into_iter().collect(),
        subcontractors: consented
            .map(|one| {
                (
                    one.name.clone(),
                    agreement(context, record, &one.name, today),
                )
            })
            .collect(),
    }
}

/// The last day on which the attested agreement with a subcontractor counts, where it does today.
fn agreement(
    context: &Context,
    record: &TenantRecord,
    subcontractor: &str,
    today: Date,
) -> Option<Date> {
    let platform = context.records.platform()?;
    let about = platform.attestations.iter().filter(|attested| {
        let subject = &attested.subject;
        let is_for_them = subject
            .tenant_id
            .as_ref()
            .is_none_or(|id| *id == record.tenant_id);
        attested.control == AGREEMENT
            && subject.kind == tenure_crds::attestation::SubjectKind::Subcontractor
            && subject.name.as_deref() == Some(subcontractor)
            && is_for_them
    });
    let counts = about.filter(|attested| {
        let around = Around {
            all: &platform.attestations,
            today,
            control_known: true,
            tenant_known: true,
        };
        validity(attested, &around) == Validity::Counts
    });
    counts
        .filter_map(|attested| attested.valid_until.parse().ok())
        .max()
}

/// A grant that is live on record.
pub struct Live<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// What is on record about it.
    pub granted: &'a Granted,
    grant: Option<Arc<DeserializeGuard<AccessGrant>>>,
    staff: Option<Arc<DeserializeGuard<StaffMember>>>,
}

impl Live<'_> {
    /// The grant, where there is one of that uid that can be read.
    pub fn grant(&self) -> Option<&AccessGrant> {
        let grant = self.grant.as_ref()?.0.as_ref().ok()?;
        (grant.metadata.uid.as_deref() == Some(self.uid)).then_some(grant)
    }

    /// Whom it lets in, where they are known.
    pub fn staff(&self) -> Option<&StaffMemberSpec> {
        let staff = self.staff.as_ref()?.0.as_ref().ok()?;
        Some(&staff.spec)
    }

    /// Whether its status says that it ended, while the record does not yet.
    pub fn is_said_ended(&self) -> bool {
        self.grant()
            .is_some_and(|grant| said_ended(grant).is_some())
    }

    fn fault(&self, demand: Demand, what: impl AsRef<str>) -> GrantFault {
        GrantFault {
            demand,
            what: format!("AccessGrant/{}: {}", self.granted.name, what.as_ref()),
        }
    }
}

/// The grants of a tenant that are live on record.
pub fn live<'a>(context: &Context, record: &'a TenantRecord) -> Vec<Live<'a>> {
    let live = record
        .grants
        .iter()
        .filter(|(_, granted)| granted.is_live());
    live.map(|(uid, granted)| Live {
        uid,
        granted,
        grant: context.caches.grants.get("", &granted.name),
        staff: context.caches.staff.get("", &granted.person),
    })
    .collect()
}

/// What live grants of a tenant no longer have, of all they must rest on.
pub fn faults(
    context: &Context,
    record: &TenantRecord,
    live: &[Live<'_>],
    now: Timestamp,
) -> Vec<GrantFault> {
    if live.is_empty() {
        return Vec::new();
    }
    let tenant = facts(context, &record.tenant, Some(record), now);
    let persons = context.access.persons_of(Some(record));
    let mfa_reported = context.accepted().mfa.is_some();
    let none = Gaps::default();
    let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
    let mut found = Vec::new();
    for one in live.iter().filter(|one| !one.is_said_ended()) {
        let Some(grant) = one.grant() else {
            found.push(one.fault(Demand::Scope, "it is gone, or cannot be read"));
            continue;
        };
        let name = one.granted.role.as_str();
        let role = roles.entry(name).or_insert_with(|| role(context, name));
        let asked = asked_undigested(context, grant);
        let held = context.access.held(&one.granted.person, one.uid);
        let case = Case {
            grant,
            granted: Some(one.granted),
            withdrawn: None,
            staff: staff(one.staff.as_deref()),
            persons: &persons,
            approvals: &[],
            asked: &asked,
            gaps: &none,
            asker_gap: false,
            session_gap: false,
            tenant: &tenant,
            role,
            held: &held,
            leaves_later: None,
            behind: SignedDuration::ZERO,
            mfa_reported,
            review: record
                .review
                .as_ref()
                .and_then(|review| review::ends(review, one.uid)),
        };
        let lacks = lacking(&case, now);
        found.extend(lacks.iter().map(|(demand, what)| one.fault(*demand, what)));
        let undecided = undecided(context, one.granted, &asked, &persons);
        found.extend(undecided.map(|what| one.fault(Demand::Duties, what)));
    }
    found
}

/// Why those who approved a live grant were not somebody else, as far as people are known now.
fn undecided(
    context: &Context,
    granted: &Granted,
    asked: &Asked,
    persons: &Persons,
) -> Option<String> {
    if granted.approved_by.is_empty() {
        return (!granted.break_glass).then(|| "nobody approved it".to_owned());
    }
    granted.approved_by.iter().find_map(|allowed| {
        let guard = context.caches.approvals.get("", &allowed.name)?;
        let approval = guard.0.as_ref().ok()?;
        // One that is gone counted when it was recorded.
        let is_it = approval.metadata.uid.as_deref() == Some(&allowed.uid);
        (is_it && decided_own(approval, asked, persons)).then(|| {
            format!(
                "Approval/{} is by who asked, or by who is let in",
                allowed.name
            )
        })
    })
}

/// Subcontractors of a tenant without an attested agreement that counts today.
pub fn without_agreement(context: &Context, record: &TenantRecord, now: Timestamp) -> Vec<String> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let named = record.spec.subcontractors.iter();
    named
        .filter(|one| agreement(context, record, &one.name, today).is_none())
        .map(|one| one.name.clone())
        .collect()
}
