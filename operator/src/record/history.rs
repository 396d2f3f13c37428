//! What a change of the record tells: the events that go into the chain beside the new state. Pure.

use std::collections::BTreeSet;

use tenure_crds::status::{ControlStatus, Verdict};
use tenure_evidence::Event;
use tenure_evidence::event::VerdictChange;

use super::{Attested, PlatformRecord, TenantRecord};
use crate::tenant::rendering::Hold;

/// What happened to a tenant between two of its records.
pub fn of_tenant(before: Option<&TenantRecord>, after: &TenantRecord) -> Vec<Event> {
    let tenant = || after.tenant.clone();
    let mut events = Vec::new();
    if before.is_none_or(|before| before.spec_digest != after.spec_digest) {
        events.push(Event::SpecAccepted {
            tenant: tenant(),
            digest: after.spec_digest.clone(),
            generation: after.generation,
            rendering: after.rendering.digest(),
            changed_by: after.changed_by.clone(),
            approval: after.allowed_by.clone(),
        });
    }
    let allowed_before = before.and_then(|before| before.allowed_by.as_ref());
    if let Some(approval) = after
        .allowed_by
        .as_ref()
        .filter(|by| allowed_before != Some(*by))
    {
        events.push(Event::ApprovalUsed {
            approval: approval.clone(),
            digest: after.spec_digest.clone(),
        });
    }
    let new = after.adopted.iter().filter(|(namespace, approval)| {
        before.is_none_or(|before| before.adopted.get(*namespace) != Some(*approval))
    });
    events.extend(new.map(|(namespace, approval)| Event::NamespaceAdopted {
        namespace: namespace.clone(),
        approval: approval.clone(),
    }));
    let (were, are) = (before.map(parked).unwrap_or_default(), parked(after));
    events.extend(
        are.difference(&were)
            .map(|namespace| Event::NamespaceParked {
                namespace: (*namespace).to_owned(),
            }),
    );
    events.extend(
        were.difference(&are)
            .map(|namespace| Event::NamespaceUnparked {
                namespace: (*namespace).to_owned(),
            }),
    );
    let was_frozen = before.and_then(|before| before.frozen);
    if after.frozen != was_frozen {
        events.push(match after.frozen {
            Some(reason) => Event::TenantFrozen {
                tenant: tenant(),
                reason: reason.as_str().into(),
            },
            None => Event::TenantThawed { tenant: tenant() },
        });
    }
    let known = |uid: &String| before.and_then(|before| before.grants.get(uid));
    let grants = after.grants.iter();
    events.extend(grants.flat_map(|(uid, granted)| granted.events(uid, known(uid))));
    let known = |uid: &String| before.and_then(|before| before.awaited_grants.get(uid));
    let awaited = after.awaited_grants.iter();
    events.extend(awaited.filter_map(|(uid, awaited)| awaited.event(uid, known(uid))));
    let review = after.review.iter();
    events.extend(
        review.flat_map(|review| review.events(before.and_then(|before| before.review.as_ref()))),
    );
    if after.used && before.is_none_or(|before| !before.used) {
        events.push(Event::TenantUsed { tenant: tenant() });
    }
    if after.ended_at.is_some() && before.is_none_or(|before| before.ended_at.is_none()) {
        events.push(Event::TenantEnded { tenant: tenant() });
    }
    events
}

fn parked(record: &TenantRecord) -> BTreeSet<&str> {
    let namespaces = record.rendering.namespaces.iter();
    namespaces
        .filter(|namespace| namespace.hold == Hold::Parked)
        .map(|namespace| namespace.name.as_str())
        .collect()
}

/// What happened to the platform between two of its records.
pub fn of_platform(before: Option<&PlatformRecord>, after: &PlatformRecord) -> Vec<Event> {
    let digest = |record: &PlatformRecord| record.policy.as_ref().map(PlatformRecord::digest);
    let (was, is) = (before.and_then(digest), digest(after));
    let mut events = Vec::new();
    if let Some(digest) = is
        && was.as_ref() != Some(&digest)
    {
        events.extend(after.allowed_by.iter().map(|approval| Event::ApprovalUsed {
            approval: approval.clone(),
            digest: digest.clone(),
        }));
        events.push(Event::PolicyAccepted {
            digest,
            replaces: was,
            approval: after.allowed_by.clone(),
        });
    }
    let new = after
        .approvals
        .iter()
        .filter(|(uid, _)| before.is_none_or(|before| !before.approvals.contains_key(*uid)));
    events.extend(new.map(|(uid, given)| given.event(uid)));
    let known = before.map(|before| before.holds.as_slice());
    let known = known.unwrap_or_default();
    events.extend(after.holds.iter().flat_map(|hold| {
        let before = known.iter().find(|known| known.is_same(hold));
        hold.events(before)
    }));
    let known = before.map(|before| before.attestations.as_slice());
    let known = known.unwrap_or_default();
    let new = after.attestations.iter();
    let new = new.filter(|attested| !known.iter().any(|known| known.is_same(attested)));
    events.extend(new.map(Attested::event));
    let review = after.review.iter();
    events.extend(
        review.flat_map(|review| review.events(before.and_then(|before| before.review.as_ref()))),
    );
    events
}

/// Longest text of what was seen: a name or two, not a listing.
const SEEN: usize = 512;

/// Which verdicts changed between two evaluations; nothing where none did.
pub fn of_verdicts(
    tenant: &str,
    before: &[ControlStatus],
    after: &[ControlStatus],
) -> Option<Event> {
    let controls: Vec<VerdictChange> = after
        .iter()
        .filter_map(|control| {
            let known = before.iter().find(|known| known.id == control.id);
            let from = known.map(|known| known.verdict);
            (from != Some(control.verdict)).then(|| VerdictChange {
                id: control.id.clone(),
                from: from.map(|verdict| format!("{verdict:?}")),
                to: format!("{:?}", control.verdict),
                seen: seen(control),
            })
        })
        .collect();
    (!controls.is_empty()).then(|| Event::VerdictsChanged {
        tenant: tenant.to_owned(),
        controls,
    })
}

fn seen(control: &ControlStatus) -> Option<String> {
    let message = control.message.as_ref()?;
    (control.verdict == Verdict::Drifted).then(|| message.chars().take(SEEN).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(change: impl FnOnce(&mut TenantRecord)) -> TenantRecord {
        let mut record: TenantRecord = serde_json::from_value(json!({
            "version": 1, "tenant": "acme", "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
            "spec": {
                "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11", "classification": "Internal",
                "customer": {"name": "Example"}, "namespaces": [{"name": "prod"}],
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}]
            },
            "specDigest": "sha256:1", "rendering": {"namespaces": [
                {"name": "acme-prod", "hold": "Enforced", "namespace": {"metadata": {"name": "acme-prod"}}}
            ]}
        }))
        .unwrap();
        change(&mut record);
        record
    }

    /// The types of what a change tells.
    fn told(before: Option<&TenantRecord>, after: &TenantRecord) -> Vec<String> {
        let events = of_tenant(before, after);
        let kinds = events.iter().map(|event| {
            let value = serde_json::to_value(event).unwrap();
            value["type"].as_str().unwrap().to_owned()
        });
        kinds.collect()
    }

    #[test]
    fn a_change_tells_what_happened_and_nothing_else() {
        use crate::record::FreezeReason;
        let known = record(|_| {});
        let check = |change: &dyn Fn(&mut TenantRecord), expect: &[&str]| {
            let after = record(|record| change(record));
            assert_eq!(told(Some(&known), &after), expect);
        };
        assert_eq!(told(None, &known), ["spec.accepted"]);
        check(&|_| {}, &[]);
        check(&|it| it.uid = Some("another".into()), &[]);
        check(&|it| it.spec_digest = "sha256:2".into(), &["spec.accepted"]);
        check(&|it| it.used = true, &["tenant.used"]);
        check(&|it| it.ended_at = Some("now".into()), &["tenant.ended"]);
        check(
            &|it| it.frozen = Some(FreezeReason::Vanished),
            &["tenant.frozen"],
        );
        check(&|it| it.allowed_by = Some("one".into()), &["approval.used"]);
        check(
            &|it| drop(it.adopted.insert("old".into(), "one".into())),
            &["namespace.adopted"],
        );
        let parked = record(|it| it.rendering.namespaces[0].hold = Hold::Parked);
        assert_eq!(told(Some(&known), &parked), ["namespace.parked"]);
        assert_eq!(told(Some(&parked), &known), ["namespace.unparked"]);
        let frozen = record(|it| it.frozen = Some(FreezeReason::Mismatch));
        assert_eq!(told(Some(&frozen), &known), ["tenant.thawed"]);
    }

    #[test]
    fn a_grant_that_never_began_is_told_once_it_ended() {
        use crate::record::{Awaited, End};
        let awaited = |ended: Option<End>| {
            let one = Awaited {
                name: "chg-1".into(),
                person: "worker".into(),
                not_after: "2026-03-02T16:00:00Z".into(),
                ended,
            };
            record(|it| drop(it.awaited_grants.insert("u-1".into(), one)))
        };
        let ended = awaited(Some(End {
            at: "2026-03-02T12:00:00Z".into(),
            why: "Revoked".into(),
        }));
        let none = record(|_| {});
        assert!(told(Some(&none), &awaited(None)).is_empty());
        assert_eq!(told(Some(&awaited(None)), &ended), ["grant.withdrawn"]);
        assert_eq!(told(Some(&none), &ended), ["grant.withdrawn"]);
        assert!(told(Some(&ended), &ended).is_empty());
        assert!(told(Some(&ended), &none).is_empty());
    }

    #[test]
    fn holds_and_attestations_are_told_once_each_step_of_them() {
        use tenure_crds::{Attestation, LegalHold};

        use crate::record::{Allowed, Held, Released};
        let at = || "2026-03-02T00:00:00Z".parse().unwrap();
        let hold: LegalHold = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold",
            "metadata": {"name": "case-17", "annotations": {"tenure.dev/changed-by": "legal"}},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11",
                "reference": "Case 17", "authority": "Court", "scope": {"extent": "WholeTenant"},
                "reason": "about Known Person", "placedBy": "Legal", "placedOn": "2026-03-01"
            }
        }))
        .unwrap();
        let attestation: Attestation = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Attestation", "metadata": {"name": "west"},
            "spec": {
                "control": "dsa-2.5-physical-security", "subject": {"kind": "Location", "name": "West"},
                "statement": "seen by Known Person", "attestedBy": "Facility manager",
                "issuedOn": "2026-01-15", "validUntil": "2027-01-14",
                "evidence": {"uri": "https://documents.provider.example/west.pdf", "digest": "sha256:1"}
            }
        }))
        .unwrap();
        let none = PlatformRecord::default();
        let placed = PlatformRecord {
            holds: vec![Held::of(&hold, at())],
            attestations: vec![Attested::of(&attestation, at())],
            ..none.clone()
        };
        let mut reviewed = placed.clone();
        reviewed.holds[0].spec.review_on = Some("2026-09-01".into());
        let mut released = reviewed.clone();
        released.holds[0].released = Some(Released {
            approvals: vec![Allowed {
                uid: "1".into(),
                name: "one".into(),
            }],
            at: "2026-10-01T00:00:00Z".into(),
        });
        let told = |before: &PlatformRecord, after: &PlatformRecord| {
            let events = of_platform(Some(before), after);
            serde_json::to_value(events).unwrap()
        };
        let first = told(&none, &placed);
        assert_eq!(first[0]["type"], "hold.placed");
        assert_eq!(first[0]["writtenBy"], "legal");
        assert_eq!(first[1]["type"], "attestation.given");
        assert_eq!(first[1]["subject"], "Location/West");
        assert!(first.get(2).is_none(), "{first}");
        let text = serde_json::to_string(&placed).unwrap() + &first.to_string();
        assert!(!text.contains("Known Person"), "{text}");
        assert_eq!(
            told(&placed, &reviewed),
            json!([{"type": "hold.reviewed", "hold": "case-17", "tenant": "acme", "reviewOn": "2026-09-01"}])
        );
        assert_eq!(
            told(&reviewed, &released),
            json!([{"type": "hold.released", "hold": "case-17", "tenant": "acme", "approvals": ["one"]}])
        );
        assert_eq!(told(&released, &released), json!([]));
    }

    fn control(id: &str, verdict: Verdict) -> ControlStatus {
        ControlStatus {
            id: id.into(),
            verdict,
            reason: "Some".into(),
            message: Some("acme-prod/hole".into()),
            since: "2026-01-01T00:00:00Z".into(),
            responsible: None,
        }
    }

    #[test]
    fn verdicts_that_stay_are_not_told() {
        let before = [
            control("a", Verdict::Compliant),
            control("b", Verdict::Unknown),
        ];
        assert_eq!(of_verdicts("acme", &before, &before), None);
        let after = [
            control("a", Verdict::Drifted),
            control("b", Verdict::Unknown),
        ];
        let Some(Event::VerdictsChanged { controls, .. }) = of_verdicts("acme", &before, &after)
        else {
            panic!()
        };
        let change = VerdictChange {
            id: "a".into(),
            from: Some("Compliant".into()),
            to: "Drifted".into(),
            seen: Some("acme-prod/hole".into()),
        };
        assert_eq!(controls, [change]);
    }
}
