//! Weighing a CustomerTenant: what would loosen its agreement (DSA 4).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tenure_crds::CustomerTenantSpec;
use tenure_crds::customer_tenant::{
    Agreement, ControlOverride, Customer, Encryption, Logging, Order, Profile, TeleworkExclusion,
    Termination,
};
use tenure_crds::status::Party;
use tenure_crds::words::Enforcement;

use super::{Loosening, NONE, Rule, Scale, kept_shorter, period_within, rules, shown};

rules! {
    /// What loosens a CustomerTenant (approval `Amend`).
    TENANT_RULES:
    CLASSIFICATION = "classification", "lower classification";
    ENFORCEMENT = "enforcement", "controls only observed, no longer enforced";
    PROFILE = "agreements[].profile", "clauses of an agreement no longer apply";
    EXIT_WITHIN = "agreements[].orders[].exitWithin", "later deadline to return or destroy";
    NOT_APPLICABLE = "controls[].notApplicable", "control no longer applies";
    RESPONSIBLE = "controls[].responsible", "responsibility moved away from the provider";
    DEADLINE = "termination", "later deadline of the exit";
    LOG_RETENTION = "logging.retention", "shorter retention";
    LOG_SINK_GONE = "logging.sink", "logs no longer sent to a sink";
    KEY_SERVICE_GONE = "encryption.keyService", "data no longer under a key service";
    ROTATION = "encryption.rotation", "keys rotated less often";
    TELEWORK = "teleworkExclusions[]", "person the customer excluded may work remotely";
    PERSON = "customer.persons[]", "further identity may decide for the customer";
    RECIPIENT = "customer.returnRecipients[]", "returned data readable with another key";
    RETURN_HOST = "customer.returnHosts[]", "returned data can be sent to another host";
}

/// Everything that loosens, sorted by field.
pub(super) fn weigh(old: &CustomerTenantSpec, new: &CustomerTenantSpec) -> Vec<Loosening> {
    let mut scale = Scale::default();
    scale.tenant(old, new);
    scale.done()
}

impl Scale {
    fn tenant(&mut self, old: &CustomerTenantSpec, new: &CustomerTenantSpec) {
        // Without `..`: a new field must be weighed here before anything compiles. A field bound to
        // `_` is not loosening; `NOT_LOOSENING` says so to the reader of the reference.
        let CustomerTenantSpec {
            tenant_id: _,
            customer,
            owner: _,
            classification,
            enforcement,
            agreements,
            namespaces: _,
            network: _,
            exposure: _,
            encryption,
            logging,
            deployers: _,
            members: _,
            subcontractors: _,
            telework_exclusions,
            controls,
            force_majeure: _,
            termination,
        } = new;
        if *classification < old.classification {
            let (old, new) = (old.classification.as_str(), classification.as_str());
            self.note(
                &CLASSIFICATION,
                "spec.classification",
                old.into(),
                new.into(),
            );
        }
        let before = old.enforcement.unwrap_or_default();
        let after = enforcement.unwrap_or_default();
        if before == Enforcement::Enforce && after == Enforcement::Observe {
            self.note(
                &ENFORCEMENT,
                "spec.enforcement",
                before.as_str().into(),
                after.as_str().into(),
            );
        }
        self.customer(&old.customer, customer);
        self.agreements(&old.agreements, agreements);
        self.encryption(old.encryption.as_ref(), encryption.as_ref());
        self.logging(old.logging.as_ref(), logging.as_ref());
        self.telework(&old.telework_exclusions, telework_exclusions);
        self.controls(&old.controls, controls);
        self.termination(old.termination.as_ref(), termination.as_ref());
    }

    fn customer(&mut self, old: &Customer, new: &Customer) {
        let Customer {
            name: _,
            reference: _,
            language: _,
            contacts: _,
            persons,
            return_recipients,
            return_hosts,
        } = new;
        let identities = |customer: &Customer| -> Vec<String> {
            customer
                .persons
                .iter()
                .flat_map(|person| person.identities.clone())
                .collect()
        };
        let known = identities(old);
        for person in persons {
            for identity in person
                .identities
                .iter()
                .filter(|identity| !known.contains(identity))
            {
                let field = format!("spec.customer.persons[{}]", person.name);
                self.note(&PERSON, field, NONE.into(), identity.clone());
            }
        }
        for host in return_hosts
            .iter()
            .filter(|host| !old.return_hosts.contains(host))
        {
            let field = format!("spec.customer.returnHosts[{host}]");
            self.note(&RETURN_HOST, field, NONE.into(), host.clone());
        }
        let keys: Vec<&str> = old
            .return_recipients
            .iter()
            .map(|known| known.age_public_key.as_str())
            .collect();
        for recipient in return_recipients {
            if !keys.contains(&recipient.age_public_key.as_str()) {
                let field = format!("spec.customer.returnRecipients[{}]", recipient.name);
                self.note(
                    &RECIPIENT,
                    field,
                    NONE.into(),
                    recipient.age_public_key.clone(),
                );
            }
        }
    }

    fn agreements(&mut self, old: &[Agreement], new: &[Agreement]) {
        for profile in [Profile::Dsa, Profile::SupplierParagraph] {
            let followed = |list: &[Agreement]| list.iter().any(|a| a.profile == profile);
            if followed(old) && !followed(new) {
                self.note(
                    &PROFILE,
                    "spec.agreements",
                    format!("{profile:?}"),
                    NONE.into(),
                );
            }
        }
        for agreement in old {
            let after = new
                .iter()
                .find(|candidate| candidate.name == agreement.name);
            let after = after.map_or(&[][..], |agreement| agreement.orders.as_slice());
            for order in &agreement.orders {
                self.order(&agreement.name, order, after);
            }
        }
    }

    fn order(&mut self, agreement: &str, old: &Order, after: &[Order]) {
        let Some(before) = &old.exit_within else {
            return;
        };
        let new = after.iter().find(|order| order.name == old.name);
        let wanted = new.and_then(|order| order.exit_within.as_ref());
        if wanted.is_some_and(|wanted| period_within(wanted, before)) {
            return;
        }
        let field = format!(
            "spec.agreements[{agreement}].orders[{}].exitWithin",
            old.name
        );
        self.note(&EXIT_WITHIN, field, before.clone(), shown(wanted));
    }

    fn encryption(&mut self, old: Option<&Encryption>, new: Option<&Encryption>) {
        let new = new.cloned().unwrap_or_default();
        let Encryption {
            key_service,
            rotation,
            storage_class_template: _,
            workloads: _,
        } = &new;
        let Some(old) = old else {
            return;
        };
        if let (Some(before), None) = (&old.key_service, key_service) {
            self.note(
                &KEY_SERVICE_GONE,
                "spec.encryption.keyService",
                before.clone(),
                NONE.into(),
            );
        }
        let Some(before) = &old.rotation else {
            return;
        };
        if !rotation
            .as_ref()
            .is_some_and(|wanted| period_within(wanted, before))
        {
            let wanted = shown(rotation.as_ref());
            self.note(
                &ROTATION,
                "spec.encryption.rotation",
                before.clone(),
                wanted,
            );
        }
    }

    fn logging(&mut self, old: Option<&Logging>, new: Option<&Logging>) {
        let new = new.cloned().unwrap_or_default();
        let Logging {
            sink,
            retention,
            customer_readers: _,
        } = &new;
        let Some(old) = old else {
            return;
        };
        if let (Some(before), None) = (&old.sink, sink) {
            self.note(
                &LOG_SINK_GONE,
                "spec.logging.sink",
                before.clone(),
                NONE.into(),
            );
        }
        if kept_shorter(old.retention.as_deref(), retention.as_deref()) {
            let (old, new) = (shown(old.retention.as_ref()), shown(retention.as_ref()));
            self.note(&LOG_RETENTION, "spec.logging.retention", old, new);
        }
    }

    fn telework(&mut self, old: &[TeleworkExclusion], new: &[TeleworkExclusion]) {
        for TeleworkExclusion {
            person,
            since,
            reference: _,
        } in old
        {
            let after = new.iter().find(|exclusion| exclusion.person == *person);
            // Dates are written YYYY-MM-DD, so that their text sorts as they do.
            if after.is_none_or(|exclusion| exclusion.since > *since) {
                let field = format!("spec.teleworkExclusions[{person}]");
                let wanted = shown(after.map(|exclusion| &exclusion.since));
                self.note(&TELEWORK, field, since.clone(), wanted);
            }
        }
    }

    fn controls(&mut self, old: &[ControlOverride], new: &[ControlOverride]) {
        for control in new {
            let ControlOverride {
                id,
                responsible,
                reference: _,
                not_applicable,
            } = control;
            let before = old.iter().find(|known| known.id == *id);
            let amendment = |control: &ControlOverride| {
                control
                    .not_applicable
                    .as_ref()
                    .map(|claim| claim.amendment.clone())
            };
            let (was, is) = (before.and_then(amendment), amendment(control));
            if not_applicable.is_some() && was != is {
                let field = format!("spec.controls[{id}].notApplicable");
                self.note(&NOT_APPLICABLE, field, shown(was), shown(is));
            }
            let was = before.and_then(|known| known.responsible);
            if distance(*responsible) > distance(was) {
                let show = |party: Option<Party>| format!("{:?}", party.unwrap_or(Party::Provider));
                let field = format!("spec.controls[{id}].responsible");
                self.note(&RESPONSIBLE, field, show(was), show(*responsible));
            }
        }
    }

    /// Whether an exit begins, ends or covers less is decided by its own approvals; here only that
    /// its clock may not be set back in passing (DSA 2.13, 8).
    fn termination(&mut self, old: Option<&Termination>, new: Option<&Termination>) {
        let Some(new) = new else {
            return;
        };
        let Termination {
            notice_received_at,
            notice_reference: _,
            effective_on,
            scope: _,
            choice: _,
            destination: _,
            deadline,
            deadline_reference: _,
        } = new;
        let before = old.map_or_else(|| ninety_days(notice_received_at), exit_deadline);
        if put_off(before.as_deref(), exit_deadline(new).as_deref()) {
            let field = "spec.termination.deadline";
            self.note(&DEADLINE, field, shown(before), shown(deadline.as_ref()));
        }
        let Some(old) = old else {
            return;
        };
        if later(&old.notice_received_at, notice_received_at) {
            let field = "spec.termination.noticeReceivedAt";
            self.note(
                &DEADLINE,
                field,
                old.notice_received_at.clone(),
                notice_received_at.clone(),
            );
        }
        if *effective_on > old.effective_on {
            let field = "spec.termination.effectiveOn";
            self.note(
                &DEADLINE,
                field,
                old.effective_on.clone(),
                effective_on.clone(),
            );
        }
    }
}

/// Last day of an exit, as `YYYY-MM-DD`: the one written, else ninety days after notice (DSA 2.13).
fn exit_deadline(exit: &Termination) -> Option<String> {
    exit.deadline
        .clone()
        .or_else(|| ninety_days(&exit.notice_received_at))
}

fn ninety_days(notice: &str) -> Option<String> {
    let received = notice.parse::<Timestamp>().ok()?;
    let last = received
        .checked_add(SignedDuration::from_hours(90 * 24))
        .ok()?;
    Some(last.to_zoned(TimeZone::UTC).date().to_string())
}

/// Whether a day lies after another; one that cannot be read lies after every other.
fn put_off(old: Option<&str>, new: Option<&str>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => new > old,
        (old, None) => old.is_some(),
        (None, Some(_)) => false,
    }
}

/// How far the responsibility is from the provider; an absent party is the provider.
fn distance(party: Option<Party>) -> u8 {
    match party {
        None | Some(Party::Provider) => 0,
        Some(Party::Shared) => 1,
        Some(Party::Customer) => 2,
    }
}

/// Whether the new instant lies after the old one; what cannot be read and differs is later.
fn later(old: &str, new: &str) -> bool {
    match (old.parse::<Timestamp>(), new.parse::<Timestamp>()) {
        (Ok(old), Ok(new)) => new > old,
        _ => old != new,
    }
}
