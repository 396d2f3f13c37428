use serde_json::{Value, json};

use super::*;
use crate::access::why::Why;

const KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);
const OVER: &str = "2026-03-02T12:00:00Z";
const GOES: &str = "2026-04-02T12:00:00Z";

fn grant(change: &Value) -> AccessGrant {
    let mut grant = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": {"name": "chg-1", "uid": "g-1", "creationTimestamp": "2026-03-01T00:00:00Z"},
        "spec": {
            "tenantRef": {"name": "acme"}, "tenantID": "0f6e0a3c-5a1c-4a53-9d8e-0c7cf6a1b2c3", "person": "worker",
            "role": "viewer", "namespaces": ["acme-prod"], "reason": "a change", "ticket": "CHG-1",
            "notAfter": OVER, "requestedBy": "lead"
        }
    });
    json_patch(&mut grant, change);
    serde_json::from_value(grant).unwrap()
}

fn json_patch(on: &mut Value, change: &Value) {
    match (on, change) {
        (Value::Object(on), Value::Object(change)) => change.iter().for_each(|(key, value)| {
            json_patch(on.entry(key.clone()).or_insert(Value::Null), value);
        }),
        (on, change) => *on = change.clone(),
    }
}

/// One that let somebody in, and whose end has nothing open.
fn granted(change: &Value) -> Granted {
    let mut granted = json!({
        "name": "chg-1", "person": "worker", "identity": "worker-one", "role": "viewer",
        "namespaces": ["acme-prod"], "ticket": "CHG-1", "digest": "sha256:0",
        "activatedAt": "2026-03-02T10:00:00Z", "notAfter": OVER,
        "ended": {"at": OVER, "why": "WindowOver"},
        "proof": {"at": OVER, "servers": 2, "rounds": 1},
        "sweep": {"at": OVER, "digest": "", "settled": {"at": OVER, "how": "NothingFound"}}
    });
    json_patch(&mut granted, change);
    serde_json::from_value(granted).unwrap()
}

fn ended() -> Standing {
    Standing::Ended {
        why: Why::WindowOver,
        message: String::new(),
    }
}

fn at(grant: &AccessGrant, standing: &Standing, granted: Option<&Granted>) -> Option<String> {
    let appliers = BTreeSet::from(["flux".to_owned()]);
    goes_at(grant, standing, granted, (&appliers, KEPT)).map(|at| at.to_string())
}

#[test]
fn a_grant_goes_a_month_after_all_of_it_was_over() {
    let whole = granted(&json!({}));
    let said =
        |grant: Value, granted: Option<&Granted>| at(&self::grant(&grant), &ended(), granted);
    assert_eq!(said(json!({}), Some(&whole)).unwrap(), GOES);
    assert_eq!(
        said(json!({}), None).unwrap(),
        GOES,
        "it never let anybody in"
    );
    let later = granted(&json!({"ended": {"at": "2026-03-02T13:00:00Z"}}));
    assert_eq!(
        said(json!({}), Some(&later)).unwrap(),
        "2026-04-02T13:00:00Z"
    );
    let earlier = granted(&json!({"ended": {"at": "2026-03-02T11:00:00Z"}}));
    assert_eq!(
        said(json!({}), Some(&earlier)).unwrap(),
        GOES,
        "its window was open still"
    );
    // Asked for when its window was over: it is there to be looked at all the same.
    let late = json!({"metadata": {"creationTimestamp": "2026-05-01T00:00:00Z"}});
    assert_eq!(said(late, None).unwrap(), "2026-06-01T00:00:00Z");
}

#[test]
fn nothing_goes_while_something_of_its_end_is_open() {
    for open in [
        json!({"ended": null}),
        json!({"proof": null}),
        json!({"sweep": null}),
        json!({"sweep": {"settled": null}}),
        json!({"sessionsIn": ["acme-prod"]}),
        json!({"ended": {"at": "yesterday"}}),
    ] {
        let granted = granted(&open);
        assert_eq!(
            at(&grant(&json!({})), &ended(), Some(&granted)),
            None,
            "{open}"
        );
    }
    let waits = Standing::waits(Why::TooMany, "");
    assert_eq!(at(&grant(&json!({})), &waits, None), None);
}

#[test]
fn what_an_applier_made_or_nobody_knows_stays() {
    for stays in [
        json!({"spec": {"requestedBy": "flux"}}),
        json!({"spec": {"requestedBy": null}}),
        json!({"spec": {"notAfter": "soon"}}),
        json!({"metadata": {"creationTimestamp": null}}),
    ] {
        assert_eq!(at(&grant(&stays), &ended(), None), None, "{stays}");
    }
}

#[test]
fn a_decision_about_a_grant_that_went_goes_a_month_after_it_was_made() {
    let approval = json!({
        "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": "a", "creationTimestamp": "2026-03-02T12:00:00Z"},
        "spec": {
            "action": "Activate", "tenantRef": {"name": "acme"}, "decision": "Approve",
            "subject": {"kind": "AccessGrant", "name": "chg-1", "digest": "sha256:0", "digestVersion": 1},
            "reason": "looked at", "notAfter": "2026-03-03T00:00:00Z"
        }
    });
    let approval: Approval = serde_json::from_value(approval).unwrap();
    let said = |granted: Granted| {
        let grants = Grants::from([("g-1".to_owned(), granted)]);
        stray_goes_at(&approval, &grants, KEPT).map(|at| at.to_string())
    };
    assert_eq!(said(granted(&json!({}))).unwrap(), GOES);
    assert_eq!(said(granted(&json!({"sweep": {"settled": null}}))), None);
    let other = granted(&json!({"name": "chg-2", "proof": null}));
    assert_eq!(said(other).unwrap(), GOES);
}
