//! Whose a user name is, and who is known to be in a group. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use tenure_crds::staff_member::Employment;
use tenure_crds::{CustomerTenantSpec, StaffMember};
use tenure_rbac::Subject;

/// The group whose members may do everything.
const MASTERS: &str = "system:masters";

/// Everybody who is known.
#[derive(Debug, Default)]
pub struct People {
    by_identity: BTreeMap<String, BTreeSet<String>>,
    by_group: BTreeMap<String, BTreeSet<String>>,
    /// Identities as they look when nobody minds the case.
    by_look: BTreeMap<String, BTreeSet<String>>,
    left: BTreeSet<String>,
}

impl People {
    /// The staff, and the customer's own people.
    pub fn of(staff: &[StaffMember], customer: Option<&CustomerTenantSpec>) -> Self {
        let mut people = Self::default();
        for member in staff {
            let name = format!("StaffMember/{}", member.name_any());
            people.add(&name, &member.spec.identities);
            for group in &member.spec.groups {
                let members = people.by_group.entry(group.clone()).or_default();
                members.insert(name.clone());
            }
            if member.spec.status == Employment::Left {
                people.left.insert(name);
            }
        }
        for person in customer.into_iter().flat_map(|spec| &spec.customer.persons) {
            people.add(&format!("Customer/{}", person.name), &person.identities);
        }
        people
    }

    fn add(&mut self, person: &str, identities: &[String]) {
        for identity in identities {
            let owners = self.by_identity.entry(identity.clone()).or_default();
            owners.insert(person.to_owned());
            let alike = self.by_look.entry(identity.to_lowercase()).or_default();
            alike.insert(identity.clone());
        }
    }

    /// Who a subject is, as far as anybody said: the owners of a user name, or the known members of a group.
    pub fn behind(&self, subject: &Subject) -> Vec<String> {
        let found = match subject {
            Subject::User(name) => self.by_identity.get(name),
            Subject::Group(name) => self.by_group.get(name),
            Subject::ServiceAccount { .. } => None,
        };
        found.into_iter().flatten().cloned().collect()
    }

    /// What should make somebody look twice.
    pub fn warning(&self, subject: &Subject) -> Option<String> {
        let behind = self.behind(subject);
        let left: Vec<&str> = behind
            .iter()
            .filter(|person| self.left.contains(*person))
            .map(String::as_str)
            .collect();
        match subject {
            Subject::Group(name) if name == MASTERS => {
                Some("may do everything, whatever RBAC says".into())
            }
            _ if !left.is_empty() => Some(format!("no longer works here: {}", left.join(", "))),
            Subject::User(_) if behind.len() > 1 => Some("shared by several persons".into()),
            Subject::User(name) if behind.is_empty() => Some(self.unknown(name)),
            _ => None,
        }
    }

    fn unknown(&self, name: &str) -> String {
        let alike = self.by_look.get(&name.to_lowercase());
        match alike.and_then(|alike| alike.first()) {
            Some(other) => format!("nobody's user name; looks like {other}"),
            None => "nobody's user name".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_only_looks_like_somebodys_is_nobodys() {
        let member = json!({"metadata": {"name": "jane-doe"}, "spec": {"identities": ["oidc:Jane"], "status": "Active"}});
        let people = People::of(&[serde_json::from_value(member).unwrap()], None);
        let seen = |name: &str| {
            let subject = Subject::User(name.into());
            (people.behind(&subject), people.warning(&subject))
        };
        assert_eq!(
            seen("oidc:Jane"),
            (vec!["StaffMember/jane-doe".into()], None)
        );
        let nobody = |why: &str| (Vec::new(), Some(why.to_owned()));
        let alike = "nobody's user name; looks like oidc:Jane";
        assert_eq!(seen("oidc:jane"), nobody(alike));
        assert_eq!(seen("oidc:JANE"), nobody(alike));
        assert_eq!(seen("jane"), nobody("nobody's user name"));
    }
}
