//! Who is bound to what in a tenant's namespaces, and cluster-wide (DSA 2.0, 2.4).

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleBinding, RoleRef, Subject};
use kube::ResourceExt;
use tenure_controls::facts::RoleBindingFacts;

use crate::caches::is_ours;
use crate::context::Context;
use crate::record::TenantRecord;

/// What stands in the caches.
pub(super) fn facts(context: &Context, record: &TenantRecord) -> RoleBindingFacts {
    let mut facts = RoleBindingFacts::default();
    for namespace in &record.namespaces {
        for binding in context.caches.bindings.in_namespace(namespace) {
            let place = format!("RoleBinding/{namespace}/{}", binding.name_any());
            if !is_ours(binding.as_ref(), &record.tenant, &record.tenant_id)
                && !binds_own_accounts(&binding, record)
            {
                facts.foreign.push(format!(
                    "{place}: {}",
                    subjects(binding.subjects.as_deref())
                ));
            }
            let rules = rules_of(context, namespace, &binding.role_ref);
            facts.forbidden_rules.extend(
                rules
                    .iter()
                    .filter_map(forbidden)
                    .map(|rule| format!("{place}: {} holds {rule}", binding.role_ref.name)),
            );
        }
    }
    facts.standing_cluster_wide = standing(context);
    facts
}

/// A chart binding its own ServiceAccounts is the tenant's own business.
fn binds_own_accounts(binding: &RoleBinding, record: &TenantRecord) -> bool {
    let subjects = binding.subjects.as_deref().unwrap_or_default();
    subjects.iter().all(|subject| {
        subject.kind == "ServiceAccount"
            && subject
                .namespace
                .as_ref()
                .is_some_and(|namespace| record.namespaces.contains(namespace))
    })
}

fn rules_of(context: &Context, namespace: &str, role: &RoleRef) -> Vec<PolicyRule> {
    match role.kind.as_str() {
        "Role" => context
            .caches
            .roles
            .get(namespace, &role.name)
            .and_then(|role| role.rules.clone()),
        _ => context
            .caches
            .cluster_roles
            .get("", &role.name)
            .and_then(|role| role.rules.clone()),
    }
    .unwrap_or_default()
}

/// Rules that reach past what a role says it grants (DSA 2.4, least privilege).
fn forbidden(rule: &PolicyRule) -> Option<String> {
    let has =
        |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|item| item == wanted);
    let verbs = &rule.verbs;
    if verbs.iter().any(|verb| verb == "*")
        || has(&rule.resources, "*")
        || has(&rule.api_groups, "*")
    {
        return Some("a wildcard".into());
    }
    if let Some(verb) = verbs.iter().find(|verb| {
        matches!(
            verb.as_str(),
            "escalate" | "bind" | "impersonate" | "approve" | "sign"
        )
    }) {
        return Some(format!("the verb {verb}"));
    }
    has(&rule.resources, "nodes/proxy").then(|| "nodes/proxy".into())
}

fn standing(context: &Context) -> Vec<String> {
    let mut found: Vec<String> = context
        .caches
        .cluster_bindings
        .all()
        .iter()
        .filter(|binding| {
            !binding.role_ref.name.starts_with("system:")
                && binding.role_ref.name != "tenure-operator"
        })
        .filter(|binding| reaches_namespaces(context, &binding.role_ref))
        .map(|binding| {
            format!(
                "ClusterRoleBinding/{}: {} to {}",
                binding.name_any(),
                binding.role_ref.name,
                subjects(binding.subjects.as_deref())
            )
        })
        .collect();
    found.sort();
    found
}

/// Whether a role grants anything besides our own kinds and what everybody may ask.
fn reaches_namespaces(context: &Context, role: &RoleRef) -> bool {
    let rules = rules_of(context, "", role);
    // A role that cannot be read might grant anything.
    context.caches.cluster_roles.get("", &role.name).is_none()
        || rules.iter().any(|rule| {
            rule.api_groups
                .iter()
                .flatten()
                .any(|group| group != tenure_crds::keys::GROUP)
                && rule.non_resource_urls.is_none()
        })
}

fn subjects(subjects: Option<&[Subject]>) -> String {
    let names: Vec<String> = subjects
        .unwrap_or_default()
        .iter()
        .map(|subject| match &subject.namespace {
            Some(namespace) => format!("{} {namespace}/{}", subject.kind, subject.name),
            None => format!("{} {}", subject.kind, subject.name),
        })
        .collect();
    names.join(", ")
}
