//! Who is bound to what in a tenant's namespaces, and cluster-wide (DSA 2.0, 2.4).

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::RoleBinding;
use tenure_controls::facts::RoleBindingFacts;

use crate::access::rbac::{Binding, Rbac, Rule, Subject, dangers};
use crate::caches::is_ours;
use crate::cluster::Packed;
use crate::context::Context;
use crate::record::TenantRecord;

/// Where Kubernetes' own components live.
const SYSTEM: &str = "kube-system";
/// What the names of its own roles, users and groups begin with.
const SYSTEM_PREFIX: &str = "system:";
/// This operator's role.
const OPERATOR: &str = "tenure-operator";

/// What stands in the caches.
pub(super) fn facts(context: &Context, record: &TenantRecord) -> RoleBindingFacts {
    let rbac = context.caches.rbac();
    let strangers = strangers(&rbac, &record.namespaces);
    let mut facts = RoleBindingFacts {
        forbidden_rules: forbidden(&rbac, &record.namespaces),
        standing_cluster_wide: standing(&rbac, &context.settings.namespace),
        ..RoleBindingFacts::default()
    };
    drop(rbac);
    let foreign = strangers.into_iter().filter(|stranger| {
        let marked = |binding: &RoleBinding| is_ours(binding, &record.tenant, &record.tenant_id);
        let kept = &context.caches.bindings;
        let ours = kept.look(&stranger.namespace, &stranger.name, |kept| {
            marked(&Packed::open(kept))
        });
        ours == Some(false)
    });
    facts.foreign = foreign
        .map(|stranger| {
            format!(
                "RoleBinding/{}/{}: {}",
                stranger.namespace, stranger.name, stranger.whom
            )
        })
        .collect();
    facts
}

/// A binding that lets in somebody else than ServiceAccounts of the same tenant.
#[derive(Debug, PartialEq)]
struct Stranger {
    namespace: String,
    name: String,
    whom: String,
}

/// A chart binding its own ServiceAccounts is the tenant's own business; everybody else is named.
fn strangers(rbac: &Rbac, namespaces: &BTreeSet<String>) -> Vec<Stranger> {
    let is_own = |subject: &Subject| match subject {
        Subject::ServiceAccount { namespace, .. } => namespaces.contains(namespace),
        Subject::User(_) | Subject::Group(_) => false,
    };
    let mut found = Vec::new();
    for namespace in namespaces {
        for (name, binding) in rbac.bindings_in(namespace) {
            if !binding.subjects.iter().all(is_own) {
                found.push(Stranger {
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                    whom: whom(binding),
                });
            }
        }
    }
    found
}

/// Rules that reach past what a role says it grants (DSA 2.4, least privilege).
fn forbidden(rbac: &Rbac, namespaces: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for namespace in namespaces {
        for (name, binding) in rbac.bindings_in(namespace) {
            let dangers = dangers(rbac.rules(namespace, &binding.role).unwrap_or_default());
            let place = format!("RoleBinding/{namespace}/{name}: {}", binding.role);
            found.extend(
                dangers
                    .faults
                    .iter()
                    .map(|fault| format!("{place} {fault}")),
            );
            if dangers.more > 0 {
                found.push(format!("{place}: and {} more", dangers.more));
            }
        }
    }
    found
}

/// Whom ClusterRoleBindings let into every namespace. A role that is not there may come, and then grant anything.
fn standing(rbac: &Rbac, operators: &str) -> Vec<String> {
    let reaches = |binding: &Binding| {
        let rules = rbac.rules("", &binding.role);
        rules.is_none_or(|rules| rules.iter().any(Rule::reaches_into_namespaces))
    };
    let bindings = rbac.bindings_in("");
    bindings
        .filter(|(_, binding)| !binding.subjects.is_empty() && reaches(binding))
        .filter(|(_, binding)| !is_component(binding, operators))
        .map(|(name, binding)| {
            format!(
                "ClusterRoleBinding/{name}: {} to {}",
                binding.role.name,
                whom(binding)
            )
        })
        .collect()
}

/// Whether it binds nobody but Kubernetes' own components to their own role, or this operator to its own.
fn is_component(binding: &Binding, operators: &str) -> bool {
    let of_the_system = |subject: &Subject| match subject {
        Subject::ServiceAccount { namespace, .. } => namespace == SYSTEM,
        Subject::User(name) | Subject::Group(name) => name.starts_with(SYSTEM_PREFIX),
    };
    let of_the_operator = |subject: &Subject| matches!(subject, Subject::ServiceAccount { namespace, .. } if namespace == operators);
    let mut subjects = binding.subjects.iter();
    match binding.role.name.as_str() {
        OPERATOR => subjects.all(of_the_operator),
        role => role.starts_with(SYSTEM_PREFIX) && subjects.all(of_the_system),
    }
}

fn whom(binding: &Binding) -> String {
    let names: Vec<String> = binding.subjects.iter().map(Subject::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn namespaces() -> BTreeSet<String> {
        BTreeSet::from(["acme-prod".into(), "acme-test".into()])
    }

    fn role(rbac: &mut Rbac, name: &str, rule: Value) {
        let role = json!({"metadata": {"name": name}, "rules": [rule]});
        rbac.upsert_cluster_role(&serde_json::from_value(role).unwrap());
    }

    fn pods(verb: &str) -> Value {
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": [verb]})
    }

    fn bind(rbac: &mut Rbac, namespace: Option<&str>, name: &str, role: &str, subjects: Value) {
        let mut binding = json!({
            "metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        });
        match namespace {
            Some(_) => rbac.upsert_binding(&serde_json::from_value(binding).unwrap()),
            None => {
                binding["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("namespace");
                rbac.upsert_cluster_binding(&serde_json::from_value(binding).unwrap());
            }
        }
    }

    fn user(name: &str) -> Value {
        json!([{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}])
    }

    fn account(namespace: &str, name: &str) -> Value {
        json!([{"kind": "ServiceAccount", "namespace": namespace, "name": name}])
    }

    #[test]
    fn whoever_is_not_an_account_of_the_tenant_is_a_stranger() {
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
        let found: Vec<(String, String)> = strangers(&rbac, &namespaces())
            .into_iter()
            .map(|stranger| (stranger.name, stranger.whom))
            .collect();
        let expected = [
            ("other", "ServiceAccount globex-prod/deploy"),
            ("person", "User mallory"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, whom)| (name.to_owned(), whom.to_owned()))
        );
    }

    #[test]
    fn rule_that_reaches_past_a_role_is_named_with_its_binding() {
        let mut rbac = Rbac::default();
        role(&mut rbac, "view", pods("get"));
        let all = json!({"apiGroups": [""], "resources": ["*"], "verbs": ["get"]});
        role(&mut rbac, "all", all);
        let own = account("acme-prod", "x");
        bind(&mut rbac, Some("acme-prod"), "fine", "view", own.clone());
        bind(&mut rbac, Some("acme-prod"), "wide", "all", own.clone());
        bind(&mut rbac, Some("acme-prod"), "dangling", "none", own);
        let found = forbidden(&rbac, &namespaces());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("RoleBinding/acme-prod/wide: ClusterRole/all rules[0] (")
                && found[0].contains("resources"),
            "{found:?}"
        );
    }

    #[test]
    fn standing_access_is_everybodys_but_the_components_own() {
        let mut rbac = Rbac::default();
        role(&mut rbac, "ops", pods("delete"));
        role(&mut rbac, "system:scheduler", pods("get"));
        role(&mut rbac, "tenure-operator", pods("get"));
        let nodes = json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]});
        role(&mut rbac, "nodes", nodes);
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
        assert_eq!(
            standing(&rbac, "tenure-system"),
            [
                "ClusterRoleBinding/a: ops to User ops",
                "ClusterRoleBinding/c: not-yet to User ops",
                "ClusterRoleBinding/f: system:scheduler to User mallory",
                "ClusterRoleBinding/h: tenure-operator to ServiceAccount acme-prod/tenure",
            ]
        );
    }
}
