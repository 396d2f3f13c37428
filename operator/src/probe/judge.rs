//! What the probe pair shows. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use tenure_controls::facts::ProbeResult;
use tenure_crds::keys;

/// A result counts until two more should have come.
const INTERVALS: i32 = 2;

/// What became of the flow a target opened outwards, although its policy lets it reach nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub enum Outward {
    /// It was stopped.
    Stopped,
    /// It passed.
    Passed,
    /// It was not tried yet, or there was nothing to try it on.
    #[default]
    Untried,
}

/// What a target says of itself at its allowed port.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The last flow outwards.
    pub outward: Outward,
}

/// One look at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The target's answer, where the allowed flow passed.
    pub report: Option<Report>,
    /// Whether the denied flow passed.
    pub denied_passed: bool,
}

impl Seen {
    /// Whether packets obey: the allowed flow passes, the denied ones are stopped, inwards and outwards.
    pub fn is_as_ruled(self) -> bool {
        self.allowed_passed() && self.denied_stopped()
    }

    /// A target that has tried nothing yet is not up yet: its answer shows nothing.
    fn allowed_passed(self) -> bool {
        self.report
            .is_some_and(|report| report.outward != Outward::Untried)
    }

    fn denied_stopped(self) -> bool {
        let outward = self.report.map(|report| report.outward);
        !self.denied_passed && outward != Some(Outward::Passed)
    }
}

/// The facts a look gives.
pub fn result(seen: Seen, now: Timestamp, interval: SignedDuration) -> ProbeResult {
    ProbeResult {
        at: now,
        counts_until: now
            .saturating_add(
                interval
                    .checked_mul(INTERVALS)
                    .unwrap_or(SignedDuration::MAX),
            )
            .unwrap_or(Timestamp::MAX),
        allowed_passed: seen.allowed_passed(),
        denied_stopped: seen.denied_stopped(),
    }
}

/// Whether a verdict may differ: another outcome, or a first one after none counted.
pub fn changes_verdicts(before: Option<&ProbeResult>, now: &ProbeResult) -> bool {
    before.is_none_or(|before| {
        before.allowed_passed != now.allowed_passed
            || before.denied_stopped != now.denied_stopped
            || before.counts_until < now.at
    })
}

/// The Lease that keeps a result: renewed when the probe ran, with the outcome beside it.
pub fn to_lease(result: &ProbeResult, holder: &str) -> Lease {
    let seconds = result.counts_until.duration_since(result.at).as_secs();
    let said = |yes: bool, what: &str| {
        if yes {
            what.to_owned()
        } else {
            format!("not {what}")
        }
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(keys::PROBE_LEASE.into()),
            annotations: Some(
                [
                    (keys::PROBE_ALLOWED, said(result.allowed_passed, PASSED)),
                    (keys::PROBE_DENIED, said(result.denied_stopped, STOPPED)),
                ]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(result.at)),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..LeaseSpec::default()
        }),
    }
}

const PASSED: &str = "passed";
const STOPPED: &str = "stopped";

/// The result a Lease keeps; nothing where it is not one of ours.
pub fn from_lease(lease: &Lease) -> Option<ProbeResult> {
    let spec = lease.spec.as_ref()?;
    let annotations = lease.metadata.annotations.as_ref()?;
    let at = spec.renew_time.as_ref()?.0;
    let counts = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds?));
    Some(ProbeResult {
        at,
        counts_until: at.saturating_add(counts).ok()?,
        allowed_passed: annotations.get(keys::PROBE_ALLOWED)? == PASSED,
        denied_stopped: annotations.get(keys::PROBE_DENIED)? == STOPPED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(report: Option<Outward>, denied_passed: bool) -> Seen {
        Seen {
            report: report.map(|outward| Report { outward }),
            denied_passed,
        }
    }

    fn now() -> Timestamp {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    const INTERVAL: SignedDuration = SignedDuration::from_secs(300);

    #[test]
    fn only_a_pair_in_which_each_flow_obeys_is_as_ruled() {
        assert!(seen(Some(Outward::Stopped), false).is_as_ruled());
        assert!(!seen(Some(Outward::Untried), false).is_as_ruled());
        assert!(!seen(Some(Outward::Passed), false).is_as_ruled());
        assert!(!seen(Some(Outward::Stopped), true).is_as_ruled());
        assert!(!seen(None, false).is_as_ruled());
    }

    #[test]
    fn result_says_which_flow_failed_and_counts_for_two_intervals() {
        let good = result(seen(Some(Outward::Stopped), false), now(), INTERVAL);
        assert!(good.allowed_passed && good.denied_stopped);
        assert_eq!(good.counts_until, now() + SignedDuration::from_secs(600));
        let leaking = result(seen(Some(Outward::Passed), false), now(), INTERVAL);
        assert!(leaking.allowed_passed && !leaking.denied_stopped);
        let silent = result(seen(None, false), now(), INTERVAL);
        assert!(!silent.allowed_passed);
    }

    #[test]
    fn result_survives_in_its_lease() {
        for (report, denied) in [
            (Some(Outward::Stopped), false),
            (Some(Outward::Stopped), true),
            (None, false),
            (None, true),
        ] {
            let result = result(seen(report, denied), now(), INTERVAL);
            assert_eq!(from_lease(&to_lease(&result, "pod")), Some(result));
        }
        assert_eq!(from_lease(&Lease::default()), None);
    }

    #[test]
    fn verdicts_are_made_anew_when_the_outcome_changed_or_none_counted() {
        let good = result(seen(Some(Outward::Stopped), false), now(), INTERVAL);
        let next = result(
            seen(Some(Outward::Stopped), false),
            now() + INTERVAL,
            INTERVAL,
        );
        let late = result(
            seen(Some(Outward::Stopped), false),
            now() + 3 * INTERVAL,
            INTERVAL,
        );
        let bad = result(seen(None, false), now() + INTERVAL, INTERVAL);
        assert!(changes_verdicts(None, &good));
        assert!(!changes_verdicts(Some(&good), &next));
        assert!(changes_verdicts(Some(&good), &late));
        assert!(changes_verdicts(Some(&good), &bad));
    }
}
