//! What keeps a person out of a tenant (DSA 2.0 to 2.4, 2.9, 2.10): looked for before somebody is let in, and for as long as they are.
//!
//! Pure. What is missing or cannot be read is an obstacle.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use tenure_controls::facts::Demand;
use tenure_crds::access_grant::{Credential, Location};
use tenure_crds::staff_member::{Employment, Signature};
use tenure_crds::{AccessGrant, Approval, StaffMemberSpec};

use super::why::Why;
use crate::approval::{Asked, Gaps, Owner, Persons, Requester};
use crate::policy::accepted::ParsedRole;
use crate::record::{End, Granted};

/// Shortest window of a session: its tokens live ten minutes at least and end a minute before the grant.
pub const SHORTEST_SESSION: SignedDuration = SignedDuration::from_mins(15);

/// How often it is looked whether what excludes a role is still held.
const HELD: SignedDuration = SignedDuration::from_secs(60);

/// A person as the sync knows them.
#[derive(Clone, Copy, Debug)]
pub enum Staff<'a> {
    /// There is this StaffMember.
    Known(&'a StaffMemberSpec),
    /// There is none of that name.
    Unknown,
    /// There is one, and it cannot be read.
    Unreadable,
}

impl Staff<'_> {
    /// Whether the person is not there any more, as far as is known.
    pub fn has_left(self) -> bool {
        match self {
            Self::Known(staff) => staff.status == Employment::Left,
            Self::Unknown | Self::Unreadable => true,
        }
    }
}

/// What a grant needs to know of its tenant.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    /// Its UUID, where it is on record.
    pub id: Option<String>,
    /// Whether it ended, or is frozen: then nobody gets in.
    pub is_closed: bool,
    /// Full names of its namespaces that are in use.
    pub namespaces: Vec<String>,
    /// Roles its classification allows; all where absent.
    pub roles: Option<std::collections::BTreeSet<String>>,
    /// Persons the customer excluded from remote work, with the date from which.
    pub telework_exclusions: Vec<(String, String)>,
    /// Subcontractors it consented to, each with the last day of its attested agreement, where there is one that counts.
    pub subcontractors: Vec<(String, Option<Date>)>,
}

/// What is known of a role.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// As TenancyPolicy grants it, where it does.
    pub granted: Option<ParsedRole>,
    /// Whether there is such a ClusterRole.
    pub exists: bool,
    /// What in its rules may never be granted.
    pub dangers: Vec<String>,
}

/// All that a grant's standing depends on beside the time.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The grant.
    pub grant: &'a AccessGrant,
    /// What is on record about it.
    pub granted: Option<&'a Granted>,
    /// Its end on record, where it ended before it let anybody in.
    pub withdrawn: Option<&'a End>,
    /// Whom it lets in.
    pub staff: Staff<'a>,
    /// Everybody who is known.
    pub persons: &'a Persons,
    /// Decisions about it.
    pub approvals: &'a [Approval],
    /// What asks for them.
    pub asked: &'a Asked,
    /// When the stamps of who approved may have been forged.
    pub gaps: &'a Gaps,
    /// Whether that of who asked for this grant may be.
    pub asker_gap: bool,
    /// Whether a session's token may outlive the grant just now.
    pub session_gap: bool,
    /// Where it lets in.
    pub tenant: &'a Tenant,
    /// As what.
    pub role: &'a Role,
    /// Roles that other active grants of the same person give.
    pub held: &'a [String],
    /// Until when it counts as if the person had not left, because too many leave at once.
    pub leaves_later: Option<Timestamp>,
    /// How far the clock that is behind is so: what begins waits for that one, what ends does not.
    pub behind: SignedDuration,
    /// Whether a second factor is reported to the API server, which then asks for it.
    pub mfa_reported: bool,
    /// Why it has to end, where the last review of access says so.
    pub review: Option<Why>,
}

/// The window as it can be read.
pub struct Window {
    /// Its beginning, where none is said when it was asked for.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

/// A grant's window; nothing where it cannot be read.
pub fn window(case: &Case<'_>) -> Option<Window> {
    let spec = &case.grant.spec;
    let until: Timestamp = spec.not_after.parse().ok()?;
    let made = case.grant.metadata.creation_timestamp.as_ref();
    let from = match &spec.not_before {
        Some(text) => text.parse().ok()?,
        None => made.map_or(Timestamp::MIN, |made| made.0),
    };
    Some(Window { from, until })
}

/// Something that keeps a person out.
pub struct Obstacle {
    /// What it is.
    pub why: Why,
    /// In words: what, and what to do.
    pub message: String,
    /// When it may be gone by itself.
    pub again: Option<Timestamp>,
}

impl Obstacle {
    fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
            again: None,
        }
    }
}

/// The first thing that keeps the person out. What will by itself brings `horizon` forward.
pub fn obstacle(
    case: &Case<'_>,
    window: &Window,
    now: Timestamp,
    horizon: &mut Timestamp,
) -> Option<Obstacle> {
    let today = now.to_zoned(TimeZone::UTC).date();
    place(case)
        .or_else(|| asker(case))
        .or_else(|| role(case, window))
        .or_else(|| exclusive(case, now))
        .or_else(|| person(case, horizon))
        .or_else(|| training(case, today, horizon))
        .or_else(|| excluded(case, today, horizon))
        .or_else(|| remote(case))
        .or_else(|| employer(case, today, horizon))
}

/// Everything that a grant which is live on record no longer has, of what it must rest on. What people decided is not asked
/// again: it counted when the grant began. A leaver whose grants the brake holds has left all the same.
pub fn lacking(case: &Case<'_>, now: Timestamp) -> Vec<(Demand, String)> {
    let Some(window) = window(case) else {
        let message = "notBefore or notAfter cannot be read";
        return vec![(Demand::Scope, message.into())];
    };
    let spec = &case.grant.spec;
    let (today, horizon) = (
        now.to_zoned(TimeZone::UTC).date(),
        &mut window.until.clone(),
    );
    let over = (now >= window.until).then(|| format!("its window ended at {}", spec.not_after));
    let revoked = spec.revoked.as_ref().map(|_| "it is revoked".to_owned());
    let purpose = [("reason", &spec.reason), ("ticket", &spec.ticket)];
    let silent = purpose
        .iter()
        .filter(|(_, text)| text.trim().is_empty())
        .map(|(what, _)| (Demand::Purpose, format!("it gives no {what}")));
    let found = [
        (Demand::Scope, place(case)),
        (Demand::Role, role(case, &window)),
        (Demand::Duties, exclusive(case, now)),
        (Demand::Employment, present(case)),
        (Demand::Identity, identified(case)),
        (Demand::AcceptableUse, unsigned(case, ACCEPTABLE_USE)),
        (Demand::Confidentiality, unsigned(case, CONFIDENTIALITY)),
        (Demand::Training, training(case, today, horizon)),
        (Demand::Telework, excluded(case, today, horizon)),
        (Demand::RemoteWork, remote(case)),
        (Demand::Employer, employer(case, today, horizon)),
    ];
    let found = found
        .into_iter()
        .filter_map(|(demand, obstacle)| Some((demand, obstacle?.message)));
    let reviewed = case.review.map(|why| why.meaning().to_owned());
    let scope = over.into_iter().chain(revoked).chain(reviewed);
    scope
        .map(|message| (Demand::Scope, message))
        .chain(silent)
        .chain(found)
        .chain(strangers(case))
        .collect()
}

/// Of somebody who is not on record, nothing is known that a grant must rest on.
fn strangers(case: &Case<'_>) -> Vec<(Demand, String)> {
    if matches!(case.staff, Staff::Known(_)) {
        return Vec::new();
    }
    let message = format!("nothing is known of {}", case.grant.spec.person);
    let demands = [
        Demand::Identity,
        Demand::AcceptableUse,
        Demand::Confidentiality,
        Demand::Training,
        Demand::RemoteWork,
        Demand::Employer,
    ];
    demands.map(|demand| (demand, message.clone())).into()
}

/// The tenant, and where in it.
fn place(case: &Case<'_>) -> Option<Obstacle> {
    let (spec, tenant) = (&case.grant.spec, case.tenant);
    let name = &spec.tenant_ref.name;
    match &tenant.id {
        None => {
            return Some(Obstacle::new(
                Why::TenantUnknown,
                format!("no CustomerTenant {name} has been accepted"),
            ));
        }
        Some(id) if *id != spec.tenant_id => {
            return Some(Obstacle::new(
                Why::TenantUnknown,
                format!(
                    "CustomerTenant {name} has another tenantID than this grant: copy it from there into a new grant"
                ),
            ));
        }
        Some(_) => {}
    }
    if tenant.is_closed {
        return Some(Obstacle::new(
            Why::TenantClosed,
            format!("CustomerTenant {name} has ended, is gone or is frozen: nobody gets in"),
        ));
    }
    let strange: Vec<&str> = spec
        .namespaces
        .iter()
        .filter(|namespace| !tenant.namespaces.contains(namespace))
        .map(String::as_str)
        .collect();
    (!strange.is_empty()).then(|| {
        Obstacle::new(
            Why::NamespaceForeign,
            format!(
                "not this tenant's namespaces in use: {}",
                strange.join(", ")
            ),
        )
    })
}

/// Who asked: a person who is known, or an applier of a repository.
fn asker(case: &Case<'_>) -> Option<Obstacle> {
    if case.granted.is_some() {
        return None;
    }
    let unknown = |message: String| Some(Obstacle::new(Why::RequesterUnknown, message));
    if case.asker_gap {
        return unknown(
            "it was asked for while the guard that says who asked was not proven alive: ask again"
                .into(),
        );
    }
    let Requester::User(user) = &case.asked.requester else {
        return None;
    };
    match case.persons.of(user) {
        None => unknown(format!(
            "{user}, who asked, is no known person: somebody whom the identity sync lists with one StaffMember asks, or a listed GitOps applier"
        )),
        Some(person) if case.persons.has_left(person) => unknown(format!(
            "{user}, who asked, does not work here any more: somebody who does asks"
        )),
        Some(_) => None,
    }
}

/// The role, and for how long.
fn role(case: &Case<'_>, window: &Window) -> Option<Obstacle> {
    let (spec, role) = (&case.grant.spec, case.role);
    let name = &spec.role;
    let Some(granted) = &role.granted else {
        return Some(Obstacle::new(
            Why::RoleNotGrantable,
            format!("TenancyPolicy's grantableRoles do not list {name}"),
        ));
    };
    if case
        .tenant
        .roles
        .as_ref()
        .is_some_and(|roles| !roles.contains(name))
    {
        return Some(Obstacle::new(
            Why::RoleNotGrantable,
            format!("the baseline of the tenant's classification does not allow {name}"),
        ));
    }
    if !role.exists {
        return Some(Obstacle::new(
            Why::RoleMissing,
            format!("there is no ClusterRole {name}"),
        ));
    }
    if !role.dangers.is_empty() {
        return Some(Obstacle::new(
            Why::RoleForbidden,
            format!(
                "ClusterRole {name} may not be granted: {}",
                role.dangers.join("; ")
            ),
        ));
    }
    let credential = spec.credential.unwrap_or_default();
    if granted.session_only && credential != Credential::Session {
        return Some(Obstacle::new(
            Why::SessionOnly,
            format!("{name} is granted with credential Session only"),
        ));
    }
    let long = window.until.duration_since(window.from);
    if long > granted.longest {
        return Some(Obstacle::new(
            Why::WindowTooLong,
            format!(
                "a grant of {name} lasts {:#} at most, this one {long:#}",
                granted.longest
            ),
        ));
    }
    if credential == Credential::Session && long < SHORTEST_SESSION {
        return Some(Obstacle::new(
            Why::WindowTooShort,
            "a session needs a window of 15 minutes at least: no token lives shorter than ten, and the last one ends a minute before",
        ));
    }
    // What began goes on: its account is deleted at the end whatever its tokens say.
    if credential == Credential::Session && case.session_gap && case.granted.is_none() {
        return Some(Obstacle::new(
            Why::SessionUnguarded,
            "the guard session-accounts is not proven alive, and it alone lets a session's tokens die by themselves: it waits until the guard is back",
        ));
    }
    None
}

/// Roles that one person may not hold together.
fn exclusive(case: &Case<'_>, now: Timestamp) -> Option<Obstacle> {
    let (spec, granted) = (&case.grant.spec, case.role.granted.as_ref()?);
    let name = &spec.role;
    let mut held = case.held.iter();
    let other = held.find(|held| granted.exclusive_with.contains(*held));
    // What is held elsewhere may have ended by then.
    let again = now.saturating_add(HELD).ok();
    other.map(|held| Obstacle {
        why: Why::RoleExcluded,
        message: format!(
            "{} holds {held}, which excludes {name} (DSA 2.4)",
            spec.person
        ),
        again,
    })
}

/// The person.
fn person(case: &Case<'_>, horizon: &mut Timestamp) -> Option<Obstacle> {
    if let Some(until) = case.leaves_later.filter(|_| case.staff.has_left()) {
        *horizon = (*horizon).min(until);
        return None;
    }
    present(case)
        .or_else(|| identified(case))
        .or_else(|| unsigned(case, ACCEPTABLE_USE))
        .or_else(|| unsigned(case, CONFIDENTIALITY))
}

/// The person works here, in the job that the grant was given for.
fn present(case: &Case<'_>) -> Option<Obstacle> {
    let name = &case.grant.spec.person;
    let staff = match case.staff {
        Staff::Known(staff) => staff,
        Staff::Unknown => {
            return Some(Obstacle::new(
                Why::PersonUnknown,
                format!("there is no StaffMember {name}"),
            ));
        }
        Staff::Unreadable => {
            return Some(Obstacle::new(
                Why::PersonUnknown,
                format!("StaffMember {name} cannot be read"),
            ));
        }
    };
    if staff.status == Employment::Left {
        return Some(Obstacle::new(Why::PersonLeft, format!("{name} left")));
    }
    let before = case.granted.and_then(|granted| granted.job_role.as_ref());
    (case.granted.is_some() && before != staff.job_role.as_ref()).then(|| {
        Obstacle::new(
            Why::JobChanged,
            format!("{name} has another job than when this began"),
        )
    })
}

/// The identity is the person's, and nobody else's.
fn identified(case: &Case<'_>) -> Option<Obstacle> {
    let Staff::Known(_) = case.staff else {
        return None;
    };
    let name = &case.grant.spec.person;
    let Some(identity) = identity(case) else {
        return Some(Obstacle::new(
            Why::IdentityUnknown,
            format!("the identity is not one of StaffMember {name}"),
        ));
    };
    let is_shared = case.persons.owner(identity) == Owner::Several;
    (is_shared && case.grant.spec.exception_reference.is_none()).then(|| {
        Obstacle::new(
            Why::IdentityShared,
            format!(
                "{identity} belongs to several StaffMembers: a shared account needs the customer's reference (DSA 2.4)"
            ),
        )
    })
}

/// A policy, and where its signature stands.
type Policy = (&'static str, fn(&StaffMemberSpec) -> Option<&Signature>);

const ACCEPTABLE_USE: Policy = ("acceptable-use policy (DSA 2.3)", |staff| {
    staff.acceptable_use.as_ref()
});
const CONFIDENTIALITY: Policy = ("confidentiality (SEC 1)", |staff| {
    staff.confidentiality.as_ref()
});
const TELEWORK: Policy = ("telework policy (DSA 2.9)", |staff| staff.telework.as_ref());

fn unsigned(case: &Case<'_>, (what, signature): Policy) -> Option<Obstacle> {
    let Staff::Known(staff) = case.staff else {
        return None;
    };
    signature(staff).is_none().then(|| {
        Obstacle::new(
            Why::PolicyUnsigned,
            format!("{} has not signed: {what}", case.grant.spec.person),
        )
    })
}

/// The identity that is, or would be, bound, where it is the person's.
pub fn identity<'a>(case: &Case<'a>) -> Option<&'a str> {
    let bound = case.granted.map(|granted| &granted.identity);
    let Staff::Known(staff) = case.staff else {
        // Only whoever is let in already gets as far as this.
        return bound.map(String::as_str);
    };
    let wanted = bound
        .or(case.grant.spec.identity.as_ref())
        .or(staff.identities.first())?;
    let is_theirs = staff.identities.contains(wanted);
    is_theirs.then_some(wanted.as_str())
}

/// Training is at most twelve months old (DSA 2.2).
fn training(case: &Case<'_>, today: Date, horizon: &mut Timestamp) -> Option<Obstacle> {
    let Staff::Known(staff) = case.staff else {
        return None;
    };
    let Some(last) = trained_until(staff, today) else {
        let name = &case.grant.spec.person;
        return Some(Obstacle::new(
            Why::TrainingExpired,
            format!("{name} was not trained within the last 12 months (DSA 2.2)"),
        ));
    };
    ends_after(last, horizon);
    None
}

/// The last day on which a person's training counts, where it does today: at most twelve months old (DSA 2.2).
pub fn trained_until(spec: &StaffMemberSpec, today: Date) -> Option<Date> {
    let completed: Date = spec.training.as_ref()?.completed_on.parse().ok()?;
    let last = completed.checked_add(Span::new().months(12)).ok()?;
    (completed <= today && today <= last).then_some(last)
}

/// Whom the customer excluded from remote work (DSA 2.9).
fn excluded(case: &Case<'_>, today: Date, horizon: &mut Timestamp) -> Option<Obstacle> {
    if !is_remote(case) {
        return None;
    }
    let name = &case.grant.spec.person;
    for (person, since) in &case.tenant.telework_exclusions {
        if person != name {
            continue;
        }
        // A date that cannot be read excludes.
        match since.parse::<Date>() {
            Ok(since) if since > today => begins_on(since, horizon),
            _ => {
                return Some(Obstacle::new(
                    Why::TeleworkExcluded,
                    format!("the customer excluded {name} from remote work"),
                ));
            }
        }
    }
    None
}

fn is_remote(case: &Case<'_>) -> bool {
    case.grant.spec.location.unwrap_or_default() == Location::Remote
}

/// What remote work needs (DSA 2.9, SEC 6).
fn remote(case: &Case<'_>) -> Option<Obstacle> {
    if !is_remote(case) {
        return None;
    }
    let Staff::Known(staff) = case.staff else {
        return None;
    };
    if let Some(unsigned) = unsigned(case, TELEWORK) {
        return Some(unsigned);
    }
    let name = &case.grant.spec.person;
    (staff.mfa.is_none() && !case.mfa_reported).then(|| {
        Obstacle::new(
            Why::MfaUnconfirmed,
            format!("multi-factor authentication of {name} is neither confirmed nor reported by the identity provider (DSA 2.4, SEC 6)"),
        )
    })
}

/// A subcontractor's people need its agreement and the customer's consent (DSA 2.10, SEC 1).
fn employer(case: &Case<'_>, today: Date, horizon: &mut Timestamp) -> Option<Obstacle> {
    let Staff::Known(staff) = case.staff else {
        return None;
    };
    let employer = staff.employer.as_ref()?;
    let mut consented = case.tenant.subcontractors.iter();
    let Some((_, agreement)) = consented.find(|(name, _)| name == employer) else {
        return Some(Obstacle::new(
            Why::SubcontractorWithoutConsent,
            format!("the customer did not consent to {employer} (DSA 2.10)"),
        ));
    };
    let Some(last) = agreement.filter(|last| today <= *last) else {
        return Some(Obstacle::new(
            Why::SubcontractorWithoutAgreement,
            format!(
                "no agreement with {employer} is attested that counts today: dsa-2.10-subcontractor-agreements"
            ),
        ));
    };
    ends_after(last, horizon);
    None
}

fn ends_after(last: Date, horizon: &mut Timestamp) {
    if let Ok(next) = last.tomorrow() {
        begins_on(next, horizon);
    }
}

fn begins_on(day: Date, horizon: &mut Timestamp) {
    if let Ok(start) = day.to_zoned(TimeZone::UTC) {
        *horizon = (*horizon).min(start.timestamp());
    }
}
