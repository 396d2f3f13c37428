//! Which person an identity belongs to. Separation of duties (DSA 2.4) is between persons, not between user names.

use std::collections::{BTreeMap, BTreeSet};

/// A person, as far as separation of duties needs to know one from another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Person {
    /// One of the provider's or a subcontractor's people, by StaffMember name.
    Staff(String),
    /// One of a customer's people, by tenant and name.
    Customer {
        /// The CustomerTenant.
        tenant: String,
        /// The person's name in it.
        name: String,
    },
}

impl Person {
    /// Whether this is the StaffMember of that name.
    pub fn is_staff(&self, name: &str) -> bool {
        matches!(self, Self::Staff(staff) if staff == name)
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Staff(name) => f.write_str(name),
            Self::Customer { tenant, name } => write!(f, "{name} of {tenant}"),
        }
    }
}

/// To whom an identity belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner<'a> {
    /// To this one person.
    One(&'a Person),
    /// To several: a shared account, which tells nobody apart.
    Several,
    /// To nobody who is known.
    Nobody,
}

/// Every person that is known, by identity.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Persons {
    /// Nothing where an identity belongs to several.
    by_identity: BTreeMap<String, Option<Person>>,
    /// Names of the StaffMembers who left: theirs are known, so that nobody takes them over, and decide nothing.
    left: BTreeSet<String>,
}

impl Persons {
    /// Knows these people by their identities.
    pub fn new<'a>(known: impl IntoIterator<Item = (Person, &'a [String])>) -> Self {
        let mut persons = Self::default();
        for (person, identities) in known {
            for identity in identities {
                persons.add(identity, &person);
            }
        }
        persons
    }

    /// The same, of whom these StaffMembers left.
    #[must_use]
    pub fn without(self, left: BTreeSet<String>) -> Self {
        Self { left, ..self }
    }

    /// The same and these people of a customer's. An identity that is on a StaffMember stays so, whatever a customer says.
    #[must_use]
    pub fn with_customers<'a>(
        &self,
        known: impl IntoIterator<Item = (Person, &'a [String])>,
    ) -> Self {
        let customers = Self::new(known);
        let mut all = self.clone();
        for (identity, person) in customers.by_identity {
            all.by_identity.entry(identity).or_insert(person);
        }
        all
    }

    fn add(&mut self, identity: &str, person: &Person) {
        let known = self
            .by_identity
            .entry(identity.to_owned())
            .or_insert_with(|| Some(person.clone()));
        if known.as_ref() != Some(person) {
            *known = None;
        }
    }

    /// Whether a person is known to have left.
    pub fn has_left(&self, person: &Person) -> bool {
        matches!(person, Person::Staff(name) if self.left.contains(name))
    }

    /// To whom an identity belongs.
    pub fn owner(&self, identity: &str) -> Owner<'_> {
        match self.by_identity.get(identity) {
            Some(Some(person)) => Owner::One(person),
            Some(None) => Owner::Several,
            None => Owner::Nobody,
        }
    }

    /// The one person an identity belongs to; an unknown or shared identity counts as nobody.
    pub fn of(&self, identity: &str) -> Option<&Person> {
        match self.owner(identity) {
            Owner::One(person) => Some(person),
            Owner::Several | Owner::Nobody => None,
        }
    }

    /// Whether any StaffMember is known.
    pub fn knows_staff(&self) -> bool {
        let mut known = self.by_identity.values().flatten();
        known.any(|person| matches!(person, Person::Staff(_)))
    }

    /// Whether two user names are one, or are known to be one person's.
    pub fn are_one(&self, left: &str, right: &str) -> bool {
        left == right
            || self
                .of(left)
                .is_some_and(|person| self.of(right) == Some(person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persons() -> Persons {
        let of = |name: &str| Person::Staff(name.into());
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (one, two, three) = (
            ids(&["alice", "alice-admin", "desk"]),
            ids(&["bob", "desk"]),
            ids(&["customer-cto"]),
        );
        let customer = Person::Customer {
            tenant: "acme".into(),
            name: "cto".into(),
        };
        Persons::new([
            (of("alice"), one.as_slice()),
            (of("bob"), two.as_slice()),
            (customer, three.as_slice()),
        ])
    }

    #[test]
    fn two_names_of_one_person_are_one_and_look_alikes_are_not() {
        let persons = persons();
        assert!(persons.are_one("alice", "alice-admin"));
        assert!(persons.are_one("stranger", "stranger"));
        for (left, right) in [
            ("alice", "bob"),
            ("alice", "alicе"), // the last letter is Cyrillic
            ("alice", "alice-admin2"),
            ("alice", "Alice"),
            ("stranger", "other"),
        ] {
            assert!(!persons.are_one(left, right), "{left} {right}");
        }
    }

    #[test]
    fn what_a_customer_says_of_a_staff_members_identity_changes_nothing() {
        let customer = |name: &str| Person::Customer {
            tenant: "acme".into(),
            name: name.into(),
        };
        let claimed = [
            "alice".to_owned(),
            "desk".to_owned(),
            "acme-ciso".to_owned(),
        ];
        let all = persons().with_customers([(customer("ciso"), claimed.as_slice())]);
        assert_eq!(all.of("alice"), Some(&Person::Staff("alice".into())));
        assert_eq!(all.owner("desk"), Owner::Several);
        assert_eq!(all.of("acme-ciso"), Some(&customer("ciso")));
    }

    #[test]
    fn whoever_left_is_known_and_has_left() {
        let persons = persons().without(BTreeSet::from(["bob".to_owned()]));
        assert!(persons.of("bob").is_some_and(|bob| persons.has_left(bob)));
        assert!(
            persons
                .of("alice")
                .is_some_and(|alice| !persons.has_left(alice))
        );
    }

    #[test]
    fn an_account_that_several_share_is_nobodys() {
        let persons = persons();
        assert_eq!(persons.owner("desk"), Owner::Several);
        assert_eq!(persons.of("desk"), None);
        assert!(!persons.are_one("desk", "bob"));
        assert_eq!(persons.owner("stranger"), Owner::Nobody);
    }
}
