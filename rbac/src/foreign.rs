//! Whom bindings let in that nobody declared (DSA 2.0, 2.4). What was declared is its owner's to tell: bindings that the
//! operator made for grants, deployers and members are foreign here too, until their marks are looked at.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Binding, CLUSTER, Rbac, RoleName, Rule, Subject};

/// Where Kubernetes' own components live.
const SYSTEM: &str = "kube-system";
/// What the names of its own roles, users and groups begin with.
const SYSTEM_PREFIX: &str = "system:";
/// What is called so and is no component: groups that take in anybody, and ServiceAccounts by their user names.
const ANYBODYS: [&str; 4] = [
    "system:anonymous",
    "system:authenticated",
    "system:serviceaccount",
    "system:unauthenticated",
];
/// This operator's role.
const OPERATOR: &str = "tenure-operator";

/// A binding that lets in somebody who belongs neither to the tenant nor to the cluster itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Foreign {
    /// The binding's namespace; empty for a ClusterRoleBinding, which reaches every namespace.
    pub namespace: String,
    /// The binding's name.
    pub name: String,
    /// What it binds.
    pub role: RoleName,
    /// To whom: everybody it names, those who are not foreign too.
    pub subjects: Vec<Subject>,
}

impl Foreign {
    fn of(namespace: &str, name: &str, binding: &Binding) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            role: binding.role.clone(),
            subjects: binding.subjects.clone(),
        }
    }

    /// Whether it reaches every namespace.
    pub fn is_cluster_wide(&self) -> bool {
        self.namespace == CLUSTER
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cluster_wide() {
            write!(
                f,
                "ClusterRoleBinding/{}: {} to ",
                self.name, self.role.name
            )?;
        } else {
            write!(f, "RoleBinding/{}/{}: ", self.namespace, self.name)?;
        }
        let subjects: Vec<String> = self.subjects.iter().map(Subject::to_string).collect();
        f.write_str(&subjects.join(", "))
    }
}

/// The RoleBindings of a tenant's namespaces that let in somebody else than its own ServiceAccounts: a chart that binds
/// those is the tenant's own business.
pub fn in_namespaces(rbac: &Rbac, namespaces: &BTreeSet<String>) -> Vec<Foreign> {
    let is_own = |binding: &Binding| {
        let mut subjects = binding.subjects.iter();
        subjects.all(|subject| subject.is_account_of(namespaces))
    };
    namespaces
        .iter()
        .flat_map(|namespace| {
            let bindings = rbac.bindings_in(namespace);
            bindings
                .filter(|(_, binding)| !is_own(binding))
                .map(|(name, binding)| Foreign::of(namespace, name, binding))
        })
        .collect()
}

/// The ClusterRoleBindings that let somebody into every namespace, components left out ([`is_component`]; the operator lives
/// in the namespace `operators`). A role that is not there may come, and then grant anything.
pub fn cluster_wide(rbac: &Rbac, operators: &str) -> Vec<Foreign> {
    let reaches = |binding: &Binding| {
        let rules = rbac.rules(CLUSTER, &binding.role);
        rules.is_none_or(|rules| rules.iter().any(Rule::reaches_into_namespaces))
    };
    let bindings = rbac.bindings_in(CLUSTER);
    bindings
        .filter(|(_, binding)| !binding.subjects.is_empty() && reaches(binding))
        .filter(|(_, binding)| !is_component(binding, operators))
        .map(|(name, binding)| Foreign::of(CLUSTER, name, binding))
        .collect()
}

/// Whether it binds nobody but Kubernetes' own components to their own role, or this operator, in the namespace `operators`,
/// to its own.
pub fn is_component(binding: &Binding, operators: &str) -> bool {
    let of_the_system = |subject: &Subject| match subject {
        Subject::ServiceAccount { namespace, .. } => namespace == SYSTEM,
        Subject::User(name) | Subject::Group(name) => {
            name.starts_with(SYSTEM_PREFIX)
                && !ANYBODYS.iter().any(|prefix| name.starts_with(prefix))
        }
    };
    let of_the_operator = |subject: &Subject| matches!(subject, Subject::ServiceAccount { namespace, .. } if namespace == operators);
    let mut subjects = binding.subjects.iter();
    match binding.role.name.as_str() {
        OPERATOR => subjects.all(of_the_operator),
        role => role.starts_with(SYSTEM_PREFIX) && subjects.all(of_the_system),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn namespaces() -> BTreeSet<String> {
        BTreeSet::from(["acme-prod".into(), "acme-test".into()])
    }

    fn role(rbac: &mut Rbac, name: &str, resource: &str, verb: &str) {
        let rule = json!({"apiGroups": [""], "resources": [resource], "verbs": [verb]});
        let role = json!({"metadata": {"name": name}, "rules": [rule]});
        rbac.upsert_cluster_role(&serde_json::from_value(role).unwrap());
    }

    fn bind(rbac: &mut Rbac, namespace: Option<&str>, name: &str, role: &str, subjects: Value) {
        let binding = json!({
            "metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        });
        match namespace {
            Some(_) => rbac.upsert_binding(&serde_json::from_value(binding).unwrap()),
            None => rbac.upsert_cluster_binding(&serde_json::from_value(binding).unwrap()),
        }
    }

    fn user(name: &str) -> Value {
        json!([{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}])
    }

    fn account(namespace: &str, name: &str) -> Value {
        json!([{"kind": "ServiceAccount", "namespace": namespace, "name": name}])
    }

    fn said(found: &[Foreign]) -> Vec<String> {
        found.iter().map(Foreign::to_string).collect()
    }

    #[test]
    fn whoever_is_not_an_account_of_the_tenant_is_foreign() {
        let mut rbac = Rbac::default();
        let mut add = |name: &str, subjects: Value| {
            bind(&mut rbac, Some("acme-prod"), name, "view", subjects);
        };
        add("own", account("acme-test", "deploy"));
        add("nobody", json!([]));
        add("other", account("globex-prod", "deploy"));
        add("person", user("mallory"));
        bind(
            &mut rbac,
            Some("globex-prod"),
            "theirs",
            "view",
            user("eve"),
        );
        let found = in_namespaces(&rbac, &namespaces());
        assert_eq!(
            said(&found),
            [
                "RoleBinding/acme-prod/other: ServiceAccount globex-prod/deploy",
                "RoleBinding/acme-prod/person: User mallory",
            ]
        );
        assert_eq!(found[1].role, RoleName::cluster("view"));
        assert_eq!(found[1].subjects, [Subject::User("mallory".into())]);
        assert!(!found[1].is_cluster_wide());
    }

    #[test]
    fn standing_access_is_everybodys_but_the_components_own() {
        let mut rbac = Rbac::default();
        role(&mut rbac, "ops", "pods", "delete");
        role(&mut rbac, "system:scheduler", "pods", "get");
        role(&mut rbac, "tenure-operator", "pods", "get");
        role(&mut rbac, "nodes", "nodes", "get");
        let mut add = |name: &str, role: &str, subjects: Value| {
            bind(&mut rbac, None, name, role, subjects);
        };
        add("a", "ops", user("ops"));
        add("b", "nodes", user("ops"));
        add("c", "not-yet", user("ops"));
        add("d", "system:scheduler", user("system:kube-scheduler"));
        add("e", "system:scheduler", account("kube-system", "scheduler"));
        // Nobody hides behind a component's role.
        add("f", "system:scheduler", user("mallory"));
        add("g", "tenure-operator", account("tenure-system", "tenure"));
        add("h", "tenure-operator", account("acme-prod", "tenure"));
        add("i", "ops", json!([]));
        // A name that begins like a component's may take in everybody.
        let group = json!([{"kind": "Group", "name": "system:authenticated"}]);
        add("j", "system:scheduler", group);
        let app = "system:serviceaccount:acme-prod:app";
        add("k", "system:scheduler", user(app));
        let found = cluster_wide(&rbac, "tenure-system");
        assert_eq!(
            said(&found),
            [
                "ClusterRoleBinding/a: ops to User ops",
                "ClusterRoleBinding/c: not-yet to User ops",
                "ClusterRoleBinding/f: system:scheduler to User mallory",
                "ClusterRoleBinding/h: tenure-operator to ServiceAccount acme-prod/tenure",
                "ClusterRoleBinding/j: system:scheduler to Group system:authenticated",
                "ClusterRoleBinding/k: system:scheduler to User system:serviceaccount:acme-prod:app",
            ]
        );
        assert!(found.iter().all(Foreign::is_cluster_wide));
    }
}
