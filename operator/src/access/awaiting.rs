//! Grants that were approved, or need no approval, and have not begun: their end is remembered as that of any other, or a cluster that goes back
//! to before it would let in who was turned away.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use kube::ResourceExt as _;
use tenure_crds::AccessGrant;

use super::reconcile::is_long_over;
use super::standing::Standing;
use super::why::Why;
use crate::context::Context;
use crate::record::{Awaited, End};

/// Most of one tenant that are remembered: those that began need the room.
const MOST: usize = 200;

/// Remembered grants that have not begun, by uid.
pub type AwaitedGrants = BTreeMap<String, Awaited>;

/// Notes where a grant stands that let nobody in yet; `is_backed` where somebody approved it or it needs no approval.
pub fn note(
    awaited: &mut AwaitedGrants,
    grant: &AccessGrant,
    standing: &Standing,
    is_backed: bool,
    now: Timestamp,
) {
    let uid = grant.uid().unwrap_or_default();
    let is_known = awaited.contains_key(&uid);
    if !is_known
        && (!is_backed || awaited.len() >= MOST || is_long_over(&grant.spec.not_after, now))
    {
        return;
    }
    let one = awaited.entry(uid).or_insert_with(|| Awaited {
        name: grant.name_any(),
        person: grant.spec.person.clone(),
        not_after: grant.spec.not_after.clone(),
        ended: None,
    });
    let over = grant.spec.not_after.parse::<Timestamp>().ok();
    if over > one.over() {
        one.not_after = grant.spec.not_after.clone();
    }
    if let Standing::Ended { why, .. } = standing {
        close(one, *why, now);
    }
}

/// What is gone has ended, and what has been over for long can begin nowhere any more.
pub fn tidy(awaited: &mut AwaitedGrants, there: &HashSet<&str>, now: Timestamp) {
    awaited.retain(|_, one| !is_long_over(&one.not_after, now));
    for (uid, one) in awaited {
        if !there.contains(uid.as_str()) {
            close(one, Why::Deleted, now);
        }
    }
}

/// Uids of those remembered that are there although they cannot be read here: another release wrote them, or the cache lags behind the record.
///
/// # Errors
/// Where the API server does not say.
pub async fn unread(
    context: &Context,
    awaited: &AwaitedGrants,
    readable: &HashSet<&str>,
) -> Result<HashSet<String>, kube::Error> {
    let mut there = HashSet::new();
    for (uid, one) in awaited {
        if one.ended.is_none()
            && !readable.contains(uid.as_str())
            && context.writer.grant_uid(&one.name).await?.as_ref() == Some(uid)
        {
            there.insert(uid.clone());
        }
    }
    Ok(there)
}

fn close(one: &mut Awaited, why: Why, now: Timestamp) {
    one.ended.get_or_insert_with(|| End {
        at: now.to_string(),
        why: why.as_str().into(),
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: &str = "2026-03-02T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn grant(not_after: &str) -> AccessGrant {
        serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "chg-1", "uid": "u-1"},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11", "person": "worker",
                "role": "operator", "namespaces": ["acme-prod"], "reason": "it hangs", "ticket": "CHG-1", "notAfter": not_after
            }
        }))
        .unwrap()
    }

    fn revoked() -> Standing {
        Standing::Ended {
            why: Why::Revoked,
            message: String::new(),
        }
    }

    fn noted(steps: &[(&str, Standing, bool)]) -> AwaitedGrants {
        let mut awaited = AwaitedGrants::new();
        for (not_after, standing, is_backed) in steps {
            note(
                &mut awaited,
                &grant(not_after),
                standing,
                *is_backed,
                at(NOON),
            );
        }
        awaited
    }

    fn why(awaited: &AwaitedGrants) -> Option<&str> {
        Some(awaited.get("u-1")?.ended.as_ref()?.why.as_str())
    }

    #[test]
    fn the_end_of_what_was_approved_is_kept_and_of_nothing_else() {
        let waits = || Standing::waits(Why::Scheduled, "");
        let until = "2026-03-03T12:00:00Z";
        assert!(noted(&[(until, waits(), false), (until, revoked(), false)]).is_empty());
        let long_over = "2026-03-01T11:59:59Z";
        assert!(noted(&[(long_over, revoked(), true)]).is_empty());
        let awaited = noted(&[(until, waits(), true)]);
        assert_eq!((awaited.len(), why(&awaited)), (1, None));
        // Who approved it may be gone by then, and its first end stays.
        let awaited = noted(&[
            (until, waits(), true),
            (until, revoked(), false),
            (until, waits(), true),
        ]);
        assert_eq!(why(&awaited), Some("Revoked"));
        assert_eq!(why(&noted(&[(until, revoked(), true)])), Some("Revoked"));
    }

    #[test]
    fn the_latest_end_it_ever_had_says_how_long_it_is_kept() {
        let waits = || Standing::waits(Why::Scheduled, "");
        let (early, late) = ("2026-03-02T13:00:00Z", "2026-03-03T12:00:00Z");
        let awaited = noted(&[(late, waits(), true), (early, revoked(), true)]);
        assert_eq!(awaited["u-1"].not_after, late);
        let left = |now: &str| {
            let mut awaited = awaited.clone();
            tidy(&mut awaited, &HashSet::from(["u-1"]), at(now));
            awaited.len()
        };
        assert_eq!(left("2026-03-04T12:00:00Z"), 1);
        assert_eq!(left("2026-03-04T12:00:01Z"), 0);
    }

    #[test]
    fn what_is_gone_has_ended() {
        let waits = Standing::waits(Why::Scheduled, "");
        let mut awaited = noted(&[("2026-03-03T12:00:00Z", waits, true)]);
        tidy(&mut awaited, &HashSet::from(["u-1"]), at(NOON));
        assert_eq!(why(&awaited), None);
        tidy(&mut awaited, &HashSet::new(), at(NOON));
        assert_eq!(why(&awaited), Some("Deleted"));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut awaited: AwaitedGrants = (0..MOST)
            .map(|number| {
                let known = noted(&[("2026-03-03T12:00:00Z", revoked(), true)]);
                (format!("other-{number}"), known["u-1"].clone())
            })
            .collect();
        note(
            &mut awaited,
            &grant("2026-03-03T12:00:00Z"),
            &revoked(),
            true,
            at(NOON),
        );
        assert_eq!(awaited.len(), MOST);
    }
}
