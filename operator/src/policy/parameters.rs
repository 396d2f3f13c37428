//! What the guards read: the data of the ConfigMap `tenure-guard-parameters`.

use std::collections::BTreeMap;

use tenure_crds::keys::DEFAULT_BREAK_GLASS_GROUP;
use tenure_crds::tenancy_policy::Guard;

use super::accepted::Accepted;

/// The ConfigMap's data for the settings in force.
///
/// A key that would be empty or hold its default is absent: for a guard a missing key is the
/// strictest setting. Lists are comma-separated and sorted; no value holds a comma of its own
/// ([`Accepted`] refuses one).
pub fn guard_parameters(accepted: &Accepted) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    let mut put = |key: &str, words: Vec<&str>| {
        if !words.is_empty() {
            data.insert(key.to_owned(), words.join(","));
        }
    };
    let group = accepted.break_glass_group.as_str();
    put(
        "break-glass-group",
        if group == DEFAULT_BREAK_GLASS_GROUP {
            vec![]
        } else {
            vec![group]
        },
    );
    put(
        "gitops-appliers",
        accepted
            .gitops_appliers
            .iter()
            .map(String::as_str)
            .collect(),
    );
    put(
        "restore-identity",
        accepted
            .restore_identity
            .iter()
            .map(String::as_str)
            .collect(),
    );
    if let Some(mfa) = &accepted.mfa {
        put("mfa-extra-key", vec![&mfa.extra_key]);
        put(
            "mfa-extra-values",
            mfa.extra_values.iter().map(String::as_str).collect(),
        );
    }
    put(
        "privileged-roles",
        accepted
            .privileged_roles
            .iter()
            .map(String::as_str)
            .collect(),
    );
    for guard in Guard::ALL {
        let users = accepted.trusted(guard).map(|(user, _)| user).collect();
        put(&parameter_key(guard), users);
    }
    data
}

/// Key under which a guard finds whom it trusts.
fn parameter_key(guard: Guard) -> String {
    match guard {
        Guard::Tokens => "token-minters".to_owned(),
        Guard::Networkpolicies
        | Guard::Rolebindings
        | Guard::Services
        | Guard::Exposure
        | Guard::Storage
        | Guard::Pods => format!("trusted-controllers.{}", guard.as_str()),
    }
}
