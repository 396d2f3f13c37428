//! Who is bound to what in a tenant's namespaces, and cluster-wide (DSA 2.0, 2.4).

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::RoleBinding;
use tenure_controls::facts::RoleBindingFacts;
use tenure_rbac::{Foreign, Rbac, dangers, foreign};

use crate::caches::is_ours;
use crate::cluster::Packed;
use crate::context::Context;
use crate::record::TenantRecord;

/// What stands in the caches.
pub(super) fn facts(context: &Context, record: &TenantRecord) -> RoleBindingFacts {
    let rbac = context.caches.rbac();
    let strangers = foreign::in_namespaces(&rbac, &record.namespaces);
    let cluster_wide = foreign::cluster_wide(&rbac, &context.settings.namespace);
    let forbidden_rules = forbidden(&rbac, &record.namespaces);
    drop(rbac);
    let is_undeclared = |stranger: &Foreign| {
        let marked = |binding: &RoleBinding| is_ours(binding, &record.tenant, &record.tenant_id);
        let kept = &context.caches.bindings;
        let ours = kept.look(&stranger.namespace, &stranger.name, |kept| {
            marked(&Packed::open(kept))
        });
        ours == Some(false)
    };
    let undeclared = strangers.iter().filter(|stranger| is_undeclared(stranger));
    RoleBindingFacts {
        foreign: undeclared.map(Foreign::to_string).collect(),
        forbidden_rules,
        standing_cluster_wide: cluster_wide.iter().map(Foreign::to_string).collect(),
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
