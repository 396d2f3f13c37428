//! Who is bound to what in a tenant's namespaces, and cluster-wide (DSA 2.0, 2.4).

use std::collections::BTreeSet;

use tenure_controls::facts::RoleBindingFacts;
use tenure_rbac::{Foreign, Rbac, dangers};

use crate::access::foreign;
use crate::access::reviewing::is_kept;
use crate::context::Context;
use crate::record::TenantRecord;

/// What stands in the caches.
pub(super) fn facts(context: &Context, record: &TenantRecord) -> RoleBindingFacts {
    let undeclared = foreign::in_tenant(context, record);
    let platform = context.records.platform();
    let review = platform
        .as_ref()
        .and_then(|platform| platform.review.as_ref());
    let standing = foreign::cluster_wide(context);
    let (kept, unreviewed): (Vec<&Foreign>, Vec<&Foreign>) = standing
        .iter()
        .partition(|foreign| is_kept(review, foreign));
    let names = |of: Vec<&Foreign>| of.into_iter().map(Foreign::to_string).collect();
    RoleBindingFacts {
        foreign: undeclared.iter().map(Foreign::to_string).collect(),
        forbidden_rules: forbidden(&context.caches.rbac(), &record.namespaces),
        standing_cluster_wide: names(unreviewed),
        kept_cluster_wide: names(kept),
    }
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

    fn bind(rbac: &mut Rbac, name: &str, role: &str) {
        let binding = json!({
            "metadata": {"name": name, "namespace": "acme-prod"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "namespace": "acme-prod", "name": "x"}],
        });
        rbac.upsert_binding(&serde_json::from_value(binding).unwrap());
    }

    #[test]
    fn rule_that_reaches_past_a_role_is_named_with_its_binding() {
        let mut rbac = Rbac::default();
        role(&mut rbac, "view", pods("get"));
        let all = json!({"apiGroups": [""], "resources": ["*"], "verbs": ["get"]});
        role(&mut rbac, "all", all);
        bind(&mut rbac, "fine", "view");
        bind(&mut rbac, "wide", "all");
        bind(&mut rbac, "dangling", "none");
        let found = forbidden(&rbac, &namespaces());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("RoleBinding/acme-prod/wide: ClusterRole/all rules[0] (")
                && found[0].contains("resources"),
            "{found:?}"
        );
    }
}
