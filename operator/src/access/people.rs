//! Who is known, and whether grants of a StaffMember may be active.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use tenure_crds::staff_member::Employment;
use tenure_crds::{StaffMember, StaffMemberSpec, StaffMemberStatus};

use super::obstacles::trained_until;
use super::why::Why;
use crate::approval::{Owner, Person, Persons};
use crate::context::Context;
use crate::platform::{readable, say};
use crate::record::TenantRecord;
use crate::tenant::status::said;

/// When what failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The staff. One whose StaffMember cannot be read is nobody.
pub fn staff(context: &Context) -> Persons {
    let all = context.caches.staff.all();
    let all: Vec<&StaffMember> = all
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok())
        .collect();
    let known = all.iter().map(|staff| {
        let identities = staff.spec.identities.as_slice();
        (Person::Staff(staff.name_any()), identities)
    });
    let left = all
        .iter()
        .filter(|staff| staff.spec.status == Employment::Left);
    Persons::new(known).without(left.map(|staff| staff.name_any()).collect())
}

/// The staff, and the people of one tenant's customer as they were accepted: for other tenants they are nobody.
pub fn of_tenant(staff: Arc<Persons>, record: Option<&TenantRecord>) -> Arc<Persons> {
    let Some(record) = record.filter(|record| !record.spec.customer.persons.is_empty()) else {
        return staff;
    };
    let theirs = record.spec.customer.persons.iter().map(|person| {
        let who = Person::Customer {
            tenant: record.tenant.clone(),
            name: person.name.clone(),
        };
        (who, person.identities.as_slice())
    });
    Arc::new(staff.with_customers(theirs))
}

/// Takes in who is known, makes every tenant's grants due, and says on each StaffMember whether it is eligible.
pub async fn settle(context: &Context) -> Option<Duration> {
    context.access.know(staff(context));
    for tenant in context.tenants() {
        context.access.queue.wake(&tenant);
    }
    let now = Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let persons = context.access.persons();
    context
        .metrics
        .held_leavers(context.access.held_leavers(now));
    let mut failed = false;
    for staff in readable(context, &context.caches.staff) {
        let Some(next) = told(&staff, &persons, today, now) else {
            continue;
        };
        let said = say(
            context,
            &context.caches.staff,
            &next,
            "writing a StaffMember's status",
        );
        if let Err(error) = said.await {
            context.metrics.failed(error.reason());
            tracing::warn!(%error, reason = error.reason(), "a StaffMember's standing is not said; trying again");
            failed = true;
        }
    }
    let tomorrow = today.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    let midnight = Duration::try_from(tomorrow.timestamp().duration_since(now)).ok()?;
    Some(if failed { AGAIN } else { midnight })
}

/// The StaffMember with its new status, where it differs from what it says. Pure.
fn told(
    staff: &StaffMember,
    persons: &Persons,
    today: Date,
    now: Timestamp,
) -> Option<StaffMember> {
    let before = staff.status.clone().unwrap_or_default();
    let generation = staff.metadata.generation;
    let make = said(&before.conditions, generation, now);
    let eligible = match missing(&staff.spec, persons, today) {
        None => make(
            "Eligible",
            "True",
            "Eligible",
            "grants of this person may be active",
        ),
        Some((why, message)) => make("Eligible", "False", why.as_str(), &message),
    };
    let next = StaffMemberStatus {
        observed_generation: generation,
        conditions: vec![
            eligible,
            make("Ready", "True", "Settled", "what it says is known"),
        ],
    };
    (next != before).then(|| StaffMember {
        status: Some(next),
        ..staff.clone()
    })
}

/// What keeps every grant of a person from being active, wherever it is for.
fn missing(spec: &StaffMemberSpec, persons: &Persons, today: Date) -> Option<(Why, String)> {
    if spec.status == Employment::Left {
        return Some((Why::PersonLeft, "the person left".into()));
    }
    let mut identities = spec.identities.iter();
    if let Some(shared) = identities.find(|identity| persons.owner(identity) == Owner::Several) {
        let message =
            format!("{shared} belongs to several persons: it tells nobody apart (DSA 2.4)");
        return Some((Why::IdentityShared, message));
    }
    let unsigned = [
        (&spec.acceptable_use, "acceptable-use policy (DSA 2.3)"),
        (&spec.confidentiality, "confidentiality (SEC 1)"),
    ];
    if let Some((_, what)) = unsigned.iter().find(|(signature, _)| signature.is_none()) {
        return Some((Why::PolicyUnsigned, format!("not signed: {what}")));
    }
    if trained_until(spec, today).is_none() {
        let message = "not trained within the last 12 months (DSA 2.2)";
        return Some((Why::TrainingExpired, message.into()));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn staff(spec: serde_json::Value) -> StaffMemberSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn whole() -> serde_json::Value {
        json!({
            "identities": ["worker"], "status": "Active", "training": {"completedOn": "2026-01-31"},
            "acceptableUse": {"signedOn": "2026-01-01"}, "confidentiality": {"signedOn": "2026-01-01"}
        })
    }

    #[test]
    fn what_is_missing_is_named_and_a_training_counts_for_twelve_months() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let persons = Persons::default();
        let why = |change: &dyn Fn(&mut serde_json::Value), today: &str| {
            let mut spec = whole();
            change(&mut spec);
            missing(&staff(spec), &persons, day(today)).map(|(why, _)| why)
        };
        let as_is = |_: &mut serde_json::Value| {};
        assert_eq!(why(&as_is, "2026-01-31"), None);
        assert_eq!(why(&as_is, "2027-01-31"), None);
        assert_eq!(why(&as_is, "2027-02-01"), Some(Why::TrainingExpired));
        assert_eq!(why(&as_is, "2026-01-30"), Some(Why::TrainingExpired));
        let without = |field: &'static str| {
            move |spec: &mut serde_json::Value| drop(spec.as_object_mut().unwrap().remove(field))
        };
        assert_eq!(
            why(&without("training"), "2026-02-01"),
            Some(Why::TrainingExpired)
        );
        assert_eq!(
            why(&without("acceptableUse"), "2026-02-01"),
            Some(Why::PolicyUnsigned)
        );
        assert_eq!(
            why(&without("confidentiality"), "2026-02-01"),
            Some(Why::PolicyUnsigned)
        );
        let left = |spec: &mut serde_json::Value| spec["status"] = json!("Left");
        assert_eq!(why(&left, "2026-02-01"), Some(Why::PersonLeft));
    }
}
