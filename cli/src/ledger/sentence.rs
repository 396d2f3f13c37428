//! One sentence for each event, for people.

use serde_json::value::RawValue;
use tenure_evidence::Event;
use tenure_evidence::event::{Found, VerdictChange};

use crate::output::plain;

/// What an event says; one that is not known stands as it is.
pub fn of(event: &RawValue) -> String {
    let sentence = serde_json::from_str(event.get())
        .map_or_else(|_| event.get().to_owned(), |event| sentence(&event));
    plain(&sentence).into_owned()
}

/// Whose tenant an event names.
pub fn tenant(event: &RawValue) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(event.get()).ok()?;
    let named = event.get("tenant").or_else(|| event["state"].get("tenant"));
    named?.as_str().map(str::to_owned)
}

fn sentence(event: &Event) -> String {
    match event {
        Event::State { .. } => {
            "All that this chain must not forget was written down anew (whole with --json).".into()
        }
        Event::OperatorStarted {
            version,
            cluster_version,
            instance,
            key_id,
        } => {
            let on = cluster_version.as_ref();
            let on = on.map_or_else(String::new, |version| format!(" on Kubernetes {version}"));
            format!("Operator {version} ({instance}){on} began to lead and signs with {key_id}.")
        }
        Event::RecordResumed {
            known,
            head,
            source,
            found,
        } => format!(
            "Entries {} to {known} are lost (the last was {head}, as {source} knows); that was accepted, and the chain goes on.",
            found.saturating_add(1)
        ),
        Event::SpecAccepted {
            tenant,
            digest,
            generation,
            rendering,
            changed_by,
            approval,
        } => {
            let generation = generation.map_or_else(String::new, |generation| {
                format!(", generation {generation}")
            });
            let (by, allowed) = (by(changed_by.as_deref()), allowed(approval.as_deref()));
            format!(
                "Spec of {tenant} accepted: {digest}{generation}{by}{allowed}, rendered as {rendering}."
            )
        }
        Event::TenantFrozen { tenant, reason } => {
            format!("{tenant} frozen ({reason}): isolation is kept, nothing else happens.")
        }
        Event::TenantThawed { tenant } => format!("{tenant} goes on."),
        Event::TenantEnded { tenant } => {
            format!("{tenant} ended; its name and tenantID are not used again.")
        }
        Event::TenantUsed { tenant } => {
            format!("{tenant} holds something for the first time: no longer simply deleted.")
        }
        Event::NamespaceParked { namespace } => {
            format!("Namespace {namespace} left its tenant's list: isolated, not deleted.")
        }
        Event::NamespaceUnparked { namespace } => {
            format!("Parked namespace {namespace} is in use again.")
        }
        Event::NamespaceAdopted {
            namespace,
            approval,
        } => format!("Namespace {namespace} taken over, allowed by Approval {approval}."),
        Event::ApprovalGiven {
            approval,
            action,
            decision,
            subject,
            digest,
            approver,
            made_at,
            ..
        } => format!(
            "{approver} decided {decision} on {action} of {subject} as {digest}, at {made_at} (Approval {approval})."
        ),
        Event::ApprovalUsed { approval, digest } => {
            format!("Approval {approval} was acted on: {digest}.")
        }
        Event::DriftRepaired {
            tenant,
            control,
            object,
            what,
            opened_at,
            closed_at,
            actor,
        } => {
            let since = opened_at.as_ref().map_or_else(
                || "since when is not known".to_owned(),
                |since| format!("since {since} at the earliest"),
            );
            let repaired = closed_at.as_ref().map_or_else(
                || "whether it was repaired is not known".to_owned(),
                |at| format!("repaired at {at}"),
            );
            format!(
                "{object} of {tenant} was not as accepted ({what}; {control}), {since}, by {actor}; {repaired}."
            )
        }
        Event::VerdictsChanged { tenant, controls } => {
            let changes: Vec<_> = controls.iter().map(change).collect();
            format!("Verdicts on {tenant}: {}.", changes.join(", "))
        }
        Event::PolicyAccepted {
            digest,
            replaces,
            approval,
        } => {
            let before = replaces.as_ref();
            let before = before.map_or_else(String::new, |before| format!(" in place of {before}"));
            let allowed = allowed(approval.as_deref());
            format!("Settings of the platform in force: {digest}{before}{allowed}.")
        }
        Event::NotesMissed { count } => {
            let things = crate::output::count(*count, "event is", "events are");
            format!(
                "{things} not here: the record took nothing and there was no room to keep them."
            )
        }
        Event::GuardGap { guard, why, closed } => {
            let state = if *closed {
                "is whole again"
            } else {
                "has a gap"
            };
            format!("Guard {guard} {state}: {why}.")
        }
        Event::GrantActivated {
            grant,
            person,
            identity,
            account,
            role,
            namespaces,
            ticket,
            approvals,
            not_after,
            ..
        } => {
            let how = match approvals.as_slice() {
                [] => "as break-glass, without an approval".to_owned(),
                names => format!("allowed by Approval {}", names.join(" and ")),
            };
            let session = account.as_ref().map_or_else(String::new, |account| {
                format!(" in a session as ServiceAccount {account}")
            });
            format!(
                "{person} ({identity}) let into {} as {role}{session} until {not_after} for {ticket}, {how} (AccessGrant {grant}).",
                namespaces.join(", ")
            )
        }
        Event::GrantApproved {
            grant, approvals, ..
        } => format!(
            "Emergency access {grant} approved afterwards by Approval {}.",
            approvals.join(" and ")
        ),
        Event::GrantEnded {
            grant,
            person,
            reason,
            ended_at,
            ..
        } => format!("{person} no longer let in since {ended_at}: {reason} (AccessGrant {grant})."),
        Event::GrantWithdrawn {
            grant,
            person,
            reason,
            ended_at,
            ..
        } => format!(
            "{person} was never let in by AccessGrant {grant}, which ended at {ended_at}: {reason}."
        ),
        Event::GrantSessionsCut {
            grant, namespaces, ..
        } => format!(
            "Sessions that may have been open cut: the pods of {} deleted (AccessGrant {grant}).",
            namespaces.join(", ")
        ),
        Event::GrantEndProven {
            grant,
            person,
            proven_at,
            servers,
            last_yes,
            ..
        } => {
            let last = match last_yes {
                Some(at) => format!("; the last yes came at {at}"),
                None => String::new(),
            };
            format!(
                "The end of {person}'s access is proven at {proven_at}: {servers} of {servers} API servers say no{last} (AccessGrant {grant})."
            )
        }
        Event::ReviewOpened {
            review,
            due_at,
            lines,
            unlisted,
        } => {
            let more = match unlisted {
                0 => String::new(),
                more => format!(", and {more} that found no room in it"),
            };
            format!(
                "Access review {review} opened: {lines} accesses{more}, to be decided by {due_at}."
            )
        }
        Event::ReviewDecided {
            review,
            about,
            who,
            role,
            decision,
            by,
            ..
        } => {
            let decided = match decision.as_str() {
                "Keep" => "kept",
                "Revoke" => "revoked",
                other => other,
            };
            format!(
                "{} as {role} ({about}) {decided} by {by} in access review {review}.",
                who.join(", ")
            )
        }
        Event::ReviewLapsed { review, undecided } => format!(
            "Access review {review} lapsed: nobody decided on {}.",
            undecided.join(", ")
        ),
        Event::ReviewCompleted { review, revoked } => {
            format!("Access review {review} completed; {revoked} of what stands is revoked.")
        }
        Event::GrantSwept {
            grant,
            person,
            found,
            more,
            not_looked_at,
            possible,
            ..
        } => swept(grant, person, found, *more, not_looked_at, *possible),
        Event::GrantSweepAccepted {
            grant,
            objects,
            approvals,
            ..
        } => format!(
            "{objects} objects of the sweep accepted by Approval {}: they stay (AccessGrant {grant}).",
            approvals.join(" and ")
        ),
        Event::GrantSweepCleared {
            grant, cleared_at, ..
        } => format!("All that the sweep found is gone at {cleared_at} (AccessGrant {grant})."),
        Event::HoldPlaced {
            hold,
            tenant,
            digest,
            written_by,
        } => {
            let by = written(written_by.as_deref());
            format!("Legal hold {hold} placed on {tenant}{by}: {digest}.")
        }
        Event::HoldReviewed {
            hold,
            tenant,
            review_on,
        } => format!("Legal hold {hold} on {tenant} is looked at again on {review_on}."),
        Event::HoldReleased {
            hold,
            tenant,
            approvals,
        } => format!(
            "Legal hold {hold} on {tenant} released, allowed by Approval {}.",
            approvals.join(" and ")
        ),
        Event::AttestationGiven {
            attestation,
            control,
            subject,
            digest,
            written_by,
            issued_on,
            valid_until,
        } => {
            let by = written(written_by.as_deref());
            format!(
                "{control} attested for {subject} from {issued_on} until {valid_until}{by}: {digest} (Attestation {attestation})."
            )
        }
    }
}

/// What was looked for after an end, and what was found.
fn swept(
    grant: &str,
    person: &str,
    found: &[Found],
    more: usize,
    not_looked_at: &[String],
    possible: bool,
) -> String {
    if !possible {
        return format!(
            "Nothing that {person} could do under AccessGrant {grant} carries access on: nothing had to be looked for."
        );
    }
    let object = |one: &Found| {
        let place = match one.namespace.as_str() {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        format!(
            "{}/{place}{} ({}, author {})",
            one.kind,
            one.name,
            one.change.to_lowercase(),
            one.author
        )
    };
    let mut what: Vec<String> = found.iter().map(object).collect();
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    let what = match what.is_empty() {
        true => "nothing".to_owned(),
        false => what.join(", "),
    };
    let gaps = match not_looked_at.is_empty() {
        true => String::new(),
        false => format!("; not looked at: {}", not_looked_at.join("; ")),
    };
    format!(
        "Created or changed while {person} was let in, and there after the end: {what}{gaps} (AccessGrant {grant})."
    )
}

fn by(who: Option<&str>) -> String {
    who.map_or_else(String::new, |who| format!(", changed by {who}"))
}

fn written(who: Option<&str>) -> String {
    who.map_or_else(String::new, |who| format!(", written by {who}"))
}

fn allowed(approval: Option<&str>) -> String {
    approval.map_or_else(String::new, |approval| {
        format!(", allowed by Approval {approval}")
    })
}

fn change(change: &VerdictChange) -> String {
    let VerdictChange { id, from, to, seen } = change;
    let from = from.as_ref();
    let seen = seen
        .as_ref()
        .map_or_else(String::new, |seen| format!(" ({seen})"));
    from.map_or_else(
        || format!("{id} is {to}{seen}"),
        |from| format!("{id} from {from} to {to}{seen}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw(event: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(event).unwrap()
    }

    #[test]
    fn every_event_says_what_happened_to_whom() {
        let cases = [
            (
                json!({"type": "operator.started", "version": "0.1.0", "clusterVersion": "v1.37.2", "instance": "tenure-a", "keyID": "sha256:0a"}),
                "Operator 0.1.0 (tenure-a) on Kubernetes v1.37.2 began to lead and signs with sha256:0a.",
            ),
            (
                json!({"type": "spec.accepted", "tenant": "acme", "digest": "sha256:0a", "generation": 3, "rendering": "sha256:0b", "changedBy": "security-desk", "approval": "acme-amend"}),
                "Spec of acme accepted: sha256:0a, generation 3, changed by security-desk, allowed by Approval acme-amend, rendered as sha256:0b.",
            ),
            (
                json!({"type": "approval.given", "approval": "acme-amend", "uid": "u", "action": "Amend", "decision": "Approve", "subject": "CustomerTenant/acme", "digest": "sha256:0a", "digestVersion": 1, "approver": "security-desk", "madeAt": "2026-01-01T00:00:00Z"}),
                "security-desk decided Approve on Amend of CustomerTenant/acme as sha256:0a, at 2026-01-01T00:00:00Z (Approval acme-amend).",
            ),
            (
                json!({"type": "drift.repaired", "tenant": "acme", "control": "dsa-2.6-logical-separation", "object": "NetworkPolicy acme-prod/tenure-dns", "what": "it was gone", "closedAt": "2026-01-01T00:00:05Z", "actor": "unknown"}),
                "NetworkPolicy acme-prod/tenure-dns of acme was not as accepted (it was gone; dsa-2.6-logical-separation), since when is not known, by unknown; repaired at 2026-01-01T00:00:05Z.",
            ),
            (
                json!({"type": "verdicts.changed", "tenant": "acme", "controls": [{"id": "a", "to": "Compliant"}, {"id": "b", "from": "Compliant", "to": "Drifted", "seen": "a label was gone"}]}),
                "Verdicts on acme: a is Compliant, b from Compliant to Drifted (a label was gone).",
            ),
            (
                json!({"type": "guard.gap", "guard": "exposure", "why": "its binding is gone", "closed": false}),
                "Guard exposure has a gap: its binding is gone.",
            ),
            (
                json!({"type": "guard.gap", "guard": "exposure", "why": "its binding is gone", "closed": true}),
                "Guard exposure is whole again: its binding is gone.",
            ),
            (
                json!({"type": "state", "state": {"secret": "x"}}),
                "All that this chain must not forget was written down anew (whole with --json).",
            ),
            (
                json!({"type": "tenant.frozen", "tenant": "acme", "reason": "RecordMismatch"}),
                "acme frozen (RecordMismatch): isolation is kept, nothing else happens.",
            ),
            (
                json!({"type": "tenant.thawed", "tenant": "acme"}),
                "acme goes on.",
            ),
            (
                json!({"type": "tenant.used", "tenant": "acme"}),
                "acme holds something for the first time: no longer simply deleted.",
            ),
            (
                json!({"type": "namespace.parked", "namespace": "acme-prod"}),
                "Namespace acme-prod left its tenant's list: isolated, not deleted.",
            ),
            (
                json!({"type": "namespace.unparked", "namespace": "acme-prod"}),
                "Parked namespace acme-prod is in use again.",
            ),
            (
                json!({"type": "namespace.adopted", "namespace": "old", "approval": "acme-adopt"}),
                "Namespace old taken over, allowed by Approval acme-adopt.",
            ),
            (
                json!({"type": "approval.used", "approval": "acme-adopt", "digest": "sha256:0a"}),
                "Approval acme-adopt was acted on: sha256:0a.",
            ),
            (
                json!({"type": "drift.repaired", "tenant": "acme", "control": "c", "object": "Namespace acme-prod", "what": "a label", "openedAt": "2026-01-01T00:00:00Z", "actor": "claimed kubectl-edit"}),
                "Namespace acme-prod of acme was not as accepted (a label; c), since 2026-01-01T00:00:00Z at the earliest, by claimed kubectl-edit; whether it was repaired is not known.",
            ),
            (
                json!({"type": "policy.accepted", "digest": "sha256:0a", "replaces": "sha256:0b", "approval": "loosen"}),
                "Settings of the platform in force: sha256:0a in place of sha256:0b, allowed by Approval loosen.",
            ),
            (
                json!({"type": "record.resumed", "known": 9, "head": "sha256:0a", "source": "the second place", "found": 5}),
                "Entries 6 to 9 are lost (the last was sha256:0a, as the second place knows); that was accepted, and the chain goes on.",
            ),
            (
                json!({"type": "notes.missed", "count": 2}),
                "2 events are not here: the record took nothing and there was no room to keep them.",
            ),
            (
                json!({"type": "grant.swept", "grant": "g", "uid": "u", "person": "jane", "sweptAt": "2026-01-01T00:00:00Z", "digest": "sha256:0a", "more": 2, "notLookedAt": ["tokens"], "possible": true,
                    "found": [{"kind": "CronJob", "namespace": "acme-prod", "name": "n", "uid": "o", "change": "Created", "author": "unknown"}]}),
                "Created or changed while jane was let in, and there after the end: CronJob/acme-prod/n (created, author unknown), and 2 more; not looked at: tokens (AccessGrant g).",
            ),
            (
                json!({"type": "grant.swept", "grant": "g", "uid": "u", "person": "jane", "sweptAt": "2026-01-01T00:00:00Z", "possible": true}),
                "Created or changed while jane was let in, and there after the end: nothing (AccessGrant g).",
            ),
            (
                json!({"type": "grant.swept", "grant": "g", "uid": "u", "person": "jane", "sweptAt": "2026-01-01T00:00:00Z", "possible": false}),
                "Nothing that jane could do under AccessGrant g carries access on: nothing had to be looked for.",
            ),
            (
                json!({"type": "grant.sweep.accepted", "grant": "g", "uid": "u", "digest": "sha256:0a", "objects": 3, "approvals": ["keep"]}),
                "3 objects of the sweep accepted by Approval keep: they stay (AccessGrant g).",
            ),
            (
                json!({"type": "grant.sweep.cleared", "grant": "g", "uid": "u", "clearedAt": "2026-01-01T00:00:00Z"}),
                "All that the sweep found is gone at 2026-01-01T00:00:00Z (AccessGrant g).",
            ),
            (
                json!({"type": "hold.placed", "hold": "case-7", "tenant": "acme", "digest": "sha256:0a", "writtenBy": "legal"}),
                "Legal hold case-7 placed on acme, written by legal: sha256:0a.",
            ),
            (
                json!({"type": "hold.reviewed", "hold": "case-7", "tenant": "acme", "reviewOn": "2026-09-01"}),
                "Legal hold case-7 on acme is looked at again on 2026-09-01.",
            ),
            (
                json!({"type": "hold.released", "hold": "case-7", "tenant": "acme", "approvals": ["release", "second"]}),
                "Legal hold case-7 on acme released, allowed by Approval release and second.",
            ),
            (
                json!({"type": "attestation.given", "attestation": "training", "control": "c", "subject": "Location/West", "digest": "sha256:0a", "issuedOn": "2026-01-01", "validUntil": "2027-01-01"}),
                "c attested for Location/West from 2026-01-01 until 2027-01-01: sha256:0a (Attestation training).",
            ),
        ];
        for (event, expect) in cases {
            assert_eq!(of(&raw(&event)), expect);
        }
    }

    #[test]
    fn what_is_not_known_stands_as_it_is_and_steers_no_terminal() {
        let event = raw(&json!({"type": "of.tomorrow", "text": "\u{9b}2J"}));
        assert_eq!(of(&event), r#"{"text":"\u{9b}2J","type":"of.tomorrow"}"#);
        // Known by its type, and not whole.
        let event = raw(&json!({"type": "tenant.ended"}));
        assert_eq!(of(&event), r#"{"type":"tenant.ended"}"#);
    }

    #[test]
    fn a_tenant_is_named_by_events_and_states() {
        let named = |event: Value| tenant(&raw(&event));
        assert_eq!(
            named(json!({"type": "tenant.ended", "tenant": "acme"})),
            Some("acme".into())
        );
        assert_eq!(
            named(json!({"type": "state", "state": {"tenant": "acme"}})),
            Some("acme".into())
        );
        assert_eq!(
            named(json!({"type": "state", "state": {"tenant": 5}})),
            None
        );
        assert_eq!(named(json!({"type": "guard.gap"})), None);
    }
}
