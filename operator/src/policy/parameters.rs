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

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::samples;

    #[track_caller]
    fn check(spec: Value, expect: &[(&str, &str)]) {
        let accepted = Accepted::from_spec(&samples::policy(spec)).unwrap();
        let data = guard_parameters(&accepted);
        let data: Vec<_> = data
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(data, expect);
    }

    #[test]
    fn strict_settings_have_no_parameters() {
        check(json!({}), &[]);
        check(json!({"breakGlassGroup": "tenure:break-glass"}), &[]);
    }

    #[test]
    fn every_parameter_has_its_key() {
        let trusted: Vec<Value> = Guard::ALL
            .into_iter()
            .map(|guard| json!({"guard": guard, "username": guard.as_str(), "reason": "x"}))
            .collect();
        check(
            json!({
                "breakGlassGroup": "emergency",
                "gitopsAppliers": [{"username": "flux"}],
                "restore": {"username": "velero"},
                "identityProvider": {"mfaExtraKey": "amr", "mfaExtraValues": ["otp"]},
                "privilegedRoles": ["platform-admin"],
                "trustedControllers": trusted
            }),
            &[
                ("break-glass-group", "emergency"),
                ("gitops-appliers", "flux"),
                ("mfa-extra-key", "amr"),
                ("mfa-extra-values", "otp"),
                ("privileged-roles", "platform-admin"),
                ("restore-identity", "velero"),
                ("token-minters", "tokens"),
                ("trusted-controllers.exposure", "exposure"),
                ("trusted-controllers.networkpolicies", "networkpolicies"),
                ("trusted-controllers.pods", "pods"),
                ("trusted-controllers.rolebindings", "rolebindings"),
                ("trusted-controllers.services", "services"),
                ("trusted-controllers.storage", "storage"),
            ],
        );
    }

    #[test]
    fn lists_are_sorted_and_comma_separated() {
        let users = json!([{"username": "flux"}, {"username": "argo"}]);
        check(
            json!({"gitopsAppliers": users}),
            &[("gitops-appliers", "argo,flux")],
        );
    }

    proptest! {
        #[test]
        fn no_value_is_empty(policy in samples::policies()) {
            let accepted = Accepted::from_spec(&policy).unwrap();
            for (key, value) in guard_parameters(&accepted) {
                prop_assert!(!value.is_empty() && value.split(',').all(|word| !word.is_empty()), "{}", key);
            }
        }
    }
}
