//! A session: a ServiceAccount for one grant, and the right of its person to fetch the account's tokens. Pure.
//!
//! The account's name carries the grant's uid and its end, so that a guard bounds every token without asking anybody:
//! tokens die by themselves. Where the end moves, the account is another one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;

use super::binding::{self, Marks};
use crate::record::Granted;

/// What a session consists of in the sessions' namespace.
pub struct Session {
    /// Whom it acts as.
    pub account: ServiceAccount,
    /// Fetching that account's tokens.
    pub fetching: Role,
    /// Who may.
    pub fetcher: RoleBinding,
}

/// Name of the ServiceAccount of the grant of this uid while it ends then; none where the end cannot be read.
pub fn account(uid: &str, not_after: &str) -> Option<String> {
    let end: Timestamp = not_after.parse().ok()?;
    Some(format!("{}{}", prefix(uid), end.as_second()))
}

/// How the names of what belongs to the sessions of a grant begin.
pub fn prefix(uid: &str) -> String {
    format!("{}-", binding::name(uid))
}

/// The grant's uid and the end that a name carries, where it is one of a session.
pub fn parse(name: &str) -> Option<(&str, i64)> {
    let (uid, end) = name.strip_prefix(binding::PREFIX)?.rsplit_once('-')?;
    Some((uid, end.parse().ok()?))
}

/// Whether a name may stand in the sessions' namespace while a grant is as remembered: an end that moved earlier is made so before
/// it is on record.
pub fn is_covered(name: &str, uid: &str, granted: &Granted) -> bool {
    let Some((named, end)) = parse(name) else {
        return false;
    };
    let until = granted.not_after.parse::<Timestamp>();
    let is_within = until.is_ok_and(|until| end <= until.as_second());
    named == uid && granted.is_live() && granted.account.is_some() && is_within
}

/// The session of a grant, where it has one.
pub fn session(marks: Marks<'_>, uid: &str, granted: &Granted, namespace: &str) -> Option<Session> {
    let name = granted.account.as_ref()?;
    let metadata = || ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(namespace.to_owned()),
        ..binding::metadata(marks, uid, granted)
    };
    Some(Session {
        account: ServiceAccount {
            metadata: metadata(),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        fetching: Role {
            metadata: metadata(),
            rules: Some(vec![PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["serviceaccounts/token".into()]),
                resource_names: Some(vec![name.clone()]),
                verbs: vec!["create".into()],
                ..PolicyRule::default()
            }]),
        },
        fetcher: RoleBinding {
            metadata: metadata(),
            role_ref: RoleRef {
                api_group: Some(binding::RBAC.into()),
                kind: "Role".into(),
                name: name.clone(),
            },
            subjects: Some(vec![binding::user(&granted.identity)]),
        },
    })
}

/// The ServiceAccount as the subject of a binding.
pub fn subject(name: &str, namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
        api_group: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f6e0a3c-5a1c-4a53-9d8e-0c7cf6a1b2c3";

    fn granted(account: Option<String>) -> Granted {
        serde_json::from_value(serde_json::json!({
            "name": "chg-1", "person": "worker", "identity": "oidc:worker", "account": account, "role": "operator",
            "namespaces": ["acme-prod"], "ticket": "CHG-1", "digest": "sha256:0",
            "activatedAt": "2026-03-02T10:00:00Z", "notAfter": "2026-03-02T16:00:00.9Z"
        }))
        .unwrap()
    }

    #[test]
    fn a_name_carries_the_grant_and_the_second_in_which_it_ends() {
        let name = account(UID, "2026-03-02T16:00:00.9Z").unwrap();
        assert_eq!(name, format!("tenure-grant-{UID}-1772467200"));
        assert!(name.len() <= 63, "a DNS label");
        assert_eq!(parse(&name), Some((UID, 1_772_467_200)));
        assert_eq!(account(UID, "at noon"), None);
        for other in [
            "default",
            "tenure-grant-",
            "tenure-grant-x-y",
            &binding::name("u"),
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_is_covered_by_its_live_grant_until_its_end_and_by_no_other() {
        let name = |end: &str| account(UID, end).unwrap();
        let mut grant = granted(Some(name("2026-03-02T16:00:00Z")));
        assert!(is_covered(&name("2026-03-02T16:00:00Z"), UID, &grant));
        assert!(is_covered(&name("2026-03-02T15:00:00Z"), UID, &grant));
        assert!(!is_covered(&name("2026-03-02T16:00:01Z"), UID, &grant));
        assert!(!is_covered(
            &name("2026-03-02T16:00:00Z"),
            "another",
            &grant
        ));
        grant.account = None;
        assert!(!is_covered(&name("2026-03-02T16:00:00Z"), UID, &grant));
    }

    #[test]
    fn the_person_may_fetch_that_one_accounts_tokens_and_nothing_else() {
        let name = account(UID, "2026-03-02T16:00:00Z").unwrap();
        let grant = granted(Some(name.clone()));
        let made = session(("acme", "id"), UID, &grant, "sessions").unwrap();
        let rules = made.fetching.rules.unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(
            rules[0].resource_names.as_deref(),
            Some(&[name.clone()][..])
        );
        assert_eq!(
            rules[0].resources.as_deref(),
            Some(&["serviceaccounts/token".to_owned()][..])
        );
        assert_eq!(rules[0].verbs, ["create"]);
        assert_eq!(made.fetcher.role_ref.name, name);
        assert_eq!(
            made.fetcher.subjects.unwrap(),
            [binding::user("oidc:worker")]
        );
        assert_eq!(made.account.automount_service_account_token, Some(false));
        assert!(session(("acme", "id"), UID, &granted(None), "sessions").is_none());
        let bound = binding::bindings(("acme", "id"), UID, &grant, "sessions");
        assert_eq!(
            bound[0].subjects.as_deref(),
            Some(&[subject(&name, "sessions")][..])
        );
    }
}
