//! Kubernetes' role-based access control, evaluated: which binding lets whom do what (DSA 2.0, 2.4).
//!
//! Pure: no client, no clock. It decides as the API server's own authorizer does, and where that stops at the first yes,
//! this names every source of it; `e2e/tests/rbac.rs` compares the two.
//!
//! - Rights only add up. A binding whose role is missing allows nothing, until somebody makes the role.
//! - A RoleBinding gives what its role says in its own namespace only, whatever the role; a ClusterRoleBinding gives it
//!   in every namespace, and outside of them.
//! - Rules of an aggregated ClusterRole count as they stand in the object.
//! - The API server asks others before RBAC: see [`Caller::outranks_rbac`]. Webhooks are not known here.
//! - Which groups a person is in, no object says: the caller brings them.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on panics")
)]

mod attributes;
mod danger;
pub mod foreign;
mod questions;
mod rules;
mod subjects;

#[cfg(test)]
mod generated;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject as RawSubject,
};
use kube::ResourceExt;

pub use attributes::{Attributes, Resource, Target};
pub use danger::{Dangers, Fault, Why, dangers};
pub use foreign::Foreign;
pub use questions::{Questions, questions};
pub use rules::{CLUSTER_SCOPED, Rule};
pub use subjects::{Caller, Subject};

/// Rules of a role. Roles that say the same share them.
type Rules = Arc<[Rule]>;
/// By namespace (empty: of the cluster) and name.
type Scoped<T> = HashMap<String, BTreeMap<String, T>>;
/// Namespaces (empty: of the cluster) and the names of bindings in them.
type Places = BTreeMap<String, BTreeSet<String>>;

/// The namespace of what has none.
const CLUSTER: &str = "";

/// Everything RBAC depends on. Kept up to date one object at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rbac {
    roles: Scoped<Rules>,
    bindings: Scoped<Binding>,
    /// Where a user is bound by name, ServiceAccounts by the name they authenticate under.
    by_user: HashMap<String, Places>,
    by_group: HashMap<String, Places>,
    /// Each set of rules once, with how many roles have it: one chart brings the same Role into a thousand namespaces.
    distinct: HashMap<Rules, usize>,
}

/// A binding, as far as it matters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// What it binds.
    pub role: RoleName,
    /// To whom. Subjects of kinds that are nobody are left out.
    pub subjects: Vec<Subject>,
}

/// The role a binding refers to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RoleName {
    /// Role or ClusterRole; anything else is never found.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl RoleName {
    /// The ClusterRole of that name.
    pub fn cluster(name: &str) -> Self {
        Self {
            kind: "ClusterRole".into(),
            name: name.to_owned(),
        }
    }
}

impl From<&RoleRef> for RoleName {
    fn from(role: &RoleRef) -> Self {
        Self {
            kind: role.kind.clone(),
            name: role.name.clone(),
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Where a right comes from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Source {
    /// The binding's namespace; empty for a ClusterRoleBinding.
    pub namespace: String,
    /// The binding's name.
    pub name: String,
    /// What it binds.
    pub role: RoleName,
    /// The subject through which it reaches whoever was asked about.
    pub subject: Subject,
}

impl Source {
    fn new(namespace: &str, name: &str, binding: &Binding, subject: &Subject) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            role: binding.role.clone(),
            subject: subject.clone(),
        }
    }

    /// Whether it reaches every namespace.
    pub fn is_cluster_wide(&self) -> bool {
        self.namespace == CLUSTER
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cluster_wide() {
            write!(f, "ClusterRoleBinding/{}", self.name)?;
        } else {
            write!(f, "RoleBinding/{}/{}", self.namespace, self.name)?;
        }
        write!(f, " of {} to {}", self.role, self.subject)
    }
}

/// What is looked for when it is asked who can.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Anything at all: see [`Rule::reaches_into_namespaces`].
    Anything,
    /// This, in each of the namespaces; its own namespace does not count.
    This(&'a Attributes),
}

impl Rbac {
    /// Takes in a Role.
    pub fn upsert_role(&mut self, role: &Role) {
        let namespace = role.namespace().unwrap_or_default();
        self.put_role(namespace, role.name_any(), role.rules.as_deref());
    }

    /// Takes in a ClusterRole.
    pub fn upsert_cluster_role(&mut self, role: &ClusterRole) {
        self.put_role(CLUSTER.into(), role.name_any(), role.rules.as_deref());
    }

    /// Takes in a RoleBinding.
    pub fn upsert_binding(&mut self, binding: &RoleBinding) {
        let namespace = binding.namespace().unwrap_or_default();
        let subjects = binding.subjects.as_deref();
        self.put_binding(namespace, binding.name_any(), &binding.role_ref, subjects);
    }

    /// Takes in a ClusterRoleBinding.
    pub fn upsert_cluster_binding(&mut self, binding: &ClusterRoleBinding) {
        let subjects = binding.subjects.as_deref();
        let name = binding.name_any();
        self.put_binding(CLUSTER.into(), name, &binding.role_ref, subjects);
    }

    /// Forgets a Role, or a ClusterRole where the namespace is empty.
    pub fn remove_role(&mut self, namespace: &str, name: &str) {
        let Some(rules) = take(&mut self.roles, namespace, name) else {
            return;
        };
        let Some(roles) = self.distinct.get_mut(&rules) else {
            return;
        };
        *roles -= 1;
        if *roles == 0 {
            self.distinct.remove(&rules);
        }
    }

    /// Forgets a RoleBinding, or a ClusterRoleBinding where the namespace is empty.
    pub fn remove_binding(&mut self, namespace: &str, name: &str) {
        let Some(binding) = take(&mut self.bindings, namespace, name) else {
            return;
        };
        for subject in &binding.subjects {
            let (index, key) = self.index(subject);
            let Some(places) = index.get_mut(&key) else {
                continue;
            };
            if let Some(names) = places.get_mut(namespace) {
                names.remove(name);
                if names.is_empty() {
                    places.remove(namespace);
                }
            }
            if places.is_empty() {
                index.remove(&key);
            }
        }
    }

    /// Whether somebody is allowed something.
    pub fn allows(&self, caller: &Caller, attributes: &Attributes) -> bool {
        self.applying(caller, attributes)
            .any(|(namespace, _, binding)| self.binding_allows(namespace, binding, attributes))
    }

    /// Everything that allows somebody something, in order. Where two subjects of one binding are the caller, both are told.
    pub fn sources(&self, caller: &Caller, attributes: &Attributes) -> BTreeSet<Source> {
        self.applying(caller, attributes)
            .filter(|(namespace, _, binding)| self.binding_allows(namespace, binding, attributes))
            .flat_map(|(namespace, name, binding)| {
                let subjects = binding.subjects.iter();
                subjects
                    .filter(|subject| subject.is(caller))
                    .map(move |subject| Source::new(namespace, name, binding, subject))
            })
            .collect()
    }

    /// Everybody who can do it in one of the namespaces, and through what.
    pub fn who_can<'a>(
        &self,
        namespaces: impl IntoIterator<Item = &'a str>,
        wanted: Wanted,
    ) -> BTreeMap<Subject, BTreeSet<Source>> {
        let mut found: BTreeMap<Subject, BTreeSet<Source>> = BTreeMap::new();
        let scopes = namespaces.into_iter().chain([CLUSTER]);
        for (namespace, name, binding) in scopes.flat_map(|scope| self.places_in(scope)) {
            if !self.gives(namespace, binding, wanted) {
                continue;
            }
            for subject in &binding.subjects {
                let source = Source::new(namespace, name, binding, subject);
                found.entry(subject.clone()).or_default().insert(source);
            }
        }
        found
    }

    /// Bindings that reach the namespaces and name a role that is not there: whoever makes it brings them to life.
    pub fn dangling<'a>(&self, namespaces: impl IntoIterator<Item = &'a str>) -> BTreeSet<Source> {
        let scopes = namespaces.into_iter().chain([CLUSTER]);
        scopes
            .flat_map(|scope| self.places_in(scope))
            .filter(|(namespace, _, binding)| self.rules(namespace, &binding.role).is_none())
            .flat_map(|(namespace, name, binding)| {
                let subjects = binding.subjects.iter();
                subjects.map(move |subject| Source::new(namespace, name, binding, subject))
            })
            .collect()
    }

    /// The RoleBindings of a namespace, or the ClusterRoleBindings where it is empty, by name.
    pub fn bindings_in(&self, namespace: &str) -> impl Iterator<Item = (&str, &Binding)> {
        let found = self.bindings.get(namespace).into_iter().flatten();
        found.map(|(name, binding)| (name.as_str(), binding))
    }

    /// The rules of a role as a binding in that namespace (empty: a ClusterRoleBinding) sees it; none where it is missing.
    pub fn rules(&self, namespace: &str, role: &RoleName) -> Option<&[Rule]> {
        let scope = match role.kind.as_str() {
            "ClusterRole" => CLUSTER,
            "Role" if namespace != CLUSTER => namespace,
            _ => return None,
        };
        Some(self.roles.get(scope)?.get(&role.name)?)
    }

    fn put_role(&mut self, namespace: String, name: String, rules: Option<&[PolicyRule]>) {
        self.remove_role(&namespace, &name);
        let rules: Rules = Rule::all(rules).into();
        let known = self.distinct.get_key_value(&rules);
        let rules = known.map_or(rules, |(known, _)| known.clone());
        *self.distinct.entry(rules.clone()).or_default() += 1;
        let roles = self.roles.entry(namespace).or_default();
        roles.insert(name, rules);
    }

    fn put_binding(
        &mut self,
        namespace: String,
        name: String,
        role: &RoleRef,
        subjects: Option<&[RawSubject]>,
    ) {
        self.remove_binding(&namespace, &name);
        let subjects = subjects.unwrap_or_default().iter();
        let subjects: Vec<Subject> = subjects
            .filter_map(|subject| Subject::of(subject, &namespace))
            .collect();
        for subject in &subjects {
            let (index, key) = self.index(subject);
            let places = index.entry(key).or_default();
            let names = places.entry(namespace.clone()).or_default();
            names.insert(name.clone());
        }
        let role = role.into();
        let bindings = self.bindings.entry(namespace).or_default();
        bindings.insert(name, Binding { role, subjects });
    }

    /// Where a subject is indexed, and under what.
    fn index(&mut self, subject: &Subject) -> (&mut HashMap<String, Places>, String) {
        match subject {
            Subject::Group(name) => (&mut self.by_group, name.clone()),
            Subject::User(name) => (&mut self.by_user, name.clone()),
            Subject::ServiceAccount { namespace, name } => {
                (&mut self.by_user, subjects::username(namespace, name))
            }
        }
    }

    /// The bindings that apply to a caller where the attributes are: namespace, name, binding. Some come twice.
    fn applying<'a>(
        &'a self,
        caller: &'a Caller,
        attributes: &'a Attributes,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a Binding)> {
        let users = self.by_user.get(&caller.user).into_iter();
        let groups = caller.groups.iter();
        let groups = groups.filter_map(|group| self.by_group.get(group));
        let namespace = attributes.namespace();
        let scopes = [Some(CLUSTER), (namespace != CLUSTER).then_some(namespace)];
        let found = users.chain(groups).flat_map(move |places| {
            let scopes = scopes.into_iter().flatten();
            scopes.filter_map(|scope| places.get_key_value(scope))
        });
        found.flat_map(|(namespace, names)| {
            let bindings = self.bindings.get(namespace);
            names.iter().filter_map(move |name| {
                let (name, binding) = bindings?.get_key_value(name)?;
                Some((namespace.as_str(), name.as_str(), binding))
            })
        })
    }

    /// The bindings of a namespace, with it.
    fn places_in(&self, namespace: &str) -> impl Iterator<Item = (&str, &str, &Binding)> {
        let found = self.bindings.get_key_value(namespace).into_iter();
        found.flat_map(|(namespace, bindings)| {
            let bindings = bindings.iter();
            bindings.map(move |(name, binding)| (namespace.as_str(), name.as_str(), binding))
        })
    }

    fn binding_allows(&self, namespace: &str, binding: &Binding, attributes: &Attributes) -> bool {
        let rules = self.rules(namespace, &binding.role).unwrap_or_default();
        rules.iter().any(|rule| rule.allows(attributes))
    }

    fn gives(&self, namespace: &str, binding: &Binding, wanted: Wanted) -> bool {
        let rules = self.rules(namespace, &binding.role).unwrap_or_default();
        match wanted {
            Wanted::This(attributes) => rules.iter().any(|rule| rule.allows(attributes)),
            Wanted::Anything if namespace == CLUSTER => {
                rules.iter().any(Rule::reaches_into_namespaces)
            }
            Wanted::Anything => rules.iter().any(Rule::is_about_resources),
        }
    }
}

/// Takes an entry out, and what that leaves empty.
fn take<T>(from: &mut Scoped<T>, namespace: &str, name: &str) -> Option<T> {
    let found = from.get_mut(namespace)?;
    let taken = found.remove(name);
    if found.is_empty() {
        from.remove(namespace);
    }
    taken
}
