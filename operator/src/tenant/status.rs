//! A tenant's status: computed purely, written only where it differs.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tenure_controls::Summary;
use tenure_crds::CustomerTenantStatus;
use tenure_crds::customer_tenant::{NamespaceState, NamespaceStatus, ObserveReport};
use tenure_crds::status::ControlStatus;
use tenure_crds::words::{Enforcement, PendingApproval};

use super::plan::{self, Halt};
use crate::retention::hold::Holding;

/// What a status is computed from.
pub struct Inputs<'a> {
    /// The status as it stands.
    pub before: &'a CustomerTenantStatus,
    /// Generation of the object.
    pub generation: Option<i64>,
    /// Now.
    pub now: Timestamp,
    /// Why nothing new was accepted, where nothing was.
    pub halt: Option<&'a Halt>,
    /// Whether controls bite.
    pub enforcement: Enforcement,
    /// State of each namespace.
    pub namespaces: Vec<NamespaceStatus>,
    /// What kept the cluster from being as rendered: what could not be written.
    pub errors: Vec<String>,
    /// Objects fought over.
    pub contested: Vec<String>,
    /// What waits for an approval.
    pub pending: Vec<PendingApproval>,
    /// What keeps its data from being destroyed.
    pub holds: Vec<Holding>,
    /// Whether the tenant ever held anything; nothing where that is not known.
    pub used: Option<bool>,
    /// Digest of the accepted spec.
    pub accepted_digest: Option<String>,
    /// Digest of the rendering that stands complete; nothing while none does.
    pub applied_digest: Option<String>,
    /// The controls, where they could be evaluated.
    pub controls: Option<(Summary, Vec<ControlStatus>)>,
    /// What enforcement would do, while it is only observed.
    pub observe: Option<ObserveReport>,
}

/// Computes the status.
pub fn compute(inputs: Inputs<'_>) -> CustomerTenantStatus {
    let mut conditions = Conditions {
        before: &inputs.before.conditions,
        generation: inputs.generation,
        now: inputs.now,
        all: Vec::new(),
    };
    let (ready, reason, message) = readiness(&inputs);
    conditions.set("Ready", ready, reason, &message);
    if let Some(halt) = inputs.halt {
        conditions.set("Stalled", true, halt.reason(), &halt.message());
    } else if !ready {
        conditions.set("Reconciling", true, reason, &message);
    }
    if let Some(halt @ Halt::Frozen(_)) = inputs.halt {
        conditions.set("Frozen", true, halt.reason(), &halt.message());
    }
    if !inputs.contested.is_empty() {
        let message = format!(
            "another controller keeps changing what the agreement demands; repairs back off: {}",
            inputs.contested.join(", ")
        );
        conditions.set("Contested", true, "RepeatedRepairs", &message);
    }
    if !inputs.holds.is_empty() {
        let message = format!(
            "what these cover is not destroyed before their release is approved: {}",
            plan::list(&inputs.holds)
        );
        conditions.set("Held", true, "LegalHold", &message);
    }
    if let Some(used) = inputs.used {
        let (reason, message) = if used {
            (
                "HeldData",
                "the tenant has held a pod, a claim or a foreign object: its end needs an approved termination",
            )
        } else {
            let message = match inputs.holds.is_empty() {
                true => {
                    "the tenant has never held anything and may be deleted; its tenantID stays used"
                }
                false => {
                    "the tenant has never held anything; deleted, it ends once its legal holds are released"
                }
            };
            ("NothingHeld", message)
        };
        conditions.set("NeverUsed", !used, reason, message);
    }
    compliance(&mut conditions, &inputs);
    let (compliant, controls) = match inputs.controls {
        Some((summary, controls)) => (
            Some(format!("{}/{}", summary.compliant, summary.applicable)),
            controls,
        ),
        None => (None, inputs.before.controls.clone()),
    };
    CustomerTenantStatus {
        observed_generation: inputs.generation,
        conditions: conditions.all,
        compliant,
        exit: None,
        accepted_digest: inputs.accepted_digest,
        applied_digest: inputs
            .applied_digest
            .or_else(|| inputs.before.applied_digest.clone()),
        namespaces: inputs.namespaces,
        controls,
        pending_approvals: inputs.pending,
        observe: inputs.observe,
    }
}

fn readiness(inputs: &Inputs<'_>) -> (bool, &'static str, String) {
    if let Some(halt) = inputs.halt {
        return (false, halt.reason(), halt.message());
    }
    if let Some(error) = inputs.errors.first() {
        return (false, "ApplyFailed", error.clone());
    }
    if let Some(stuck) = inputs
        .namespaces
        .iter()
        .find(|namespace| namespace.state == NamespaceState::Terminating)
    {
        let why = stuck.message.clone().unwrap_or_default();
        return (
            false,
            "NamespaceTerminating",
            format!("{}: {why}", stuck.namespace),
        );
    }
    if let Some(waiting) = inputs
        .namespaces
        .iter()
        .find(|namespace| namespace.state == NamespaceState::AwaitingAdoption)
    {
        let message = format!(
            "{} exists and is not ours: approve the Adopt under status.pendingApprovals, or choose another name",
            waiting.namespace
        );
        return (false, "AwaitingAdoption", message);
    }
    if !inputs.contested.is_empty() {
        return (
            false,
            "Contested",
            format!("fought over: {}", inputs.contested.join(", ")),
        );
    }
    if let Some(pending) = inputs
        .namespaces
        .iter()
        .find(|namespace| namespace.state == NamespaceState::Pending)
    {
        return (
            false,
            "Applying",
            format!("{}: its policies do not all stand yet", pending.namespace),
        );
    }
    (
        true,
        "Reconciled",
        "every object stands as the accepted spec demands".into(),
    )
}

fn compliance(conditions: &mut Conditions<'_>, inputs: &Inputs<'_>) {
    let Some((summary, controls)) = &inputs.controls else {
        return conditions.set_unknown(
            "Compliant",
            "NotEvaluated",
            "the controls could not be evaluated",
        );
    };
    if inputs.enforcement == Enforcement::Observe {
        return conditions.set(
            "Compliant",
            false,
            "Observed",
            "enforcement is Observe: nothing is enforced, so nothing can be compliant",
        );
    }
    let compliant = summary.is_compliant();
    let reason = if compliant {
        "AllControls"
    } else {
        "OpenControls"
    };
    let open = controls
        .iter()
        .filter(|control| control.verdict == tenure_crds::status::Verdict::Drifted)
        .map(|control| control.id.as_str());
    let drifted: Vec<&str> = open.take(5).collect();
    let mut message = format!(
        "{} of {} applicable controls are compliant",
        summary.compliant, summary.applicable
    );
    if !drifted.is_empty() {
        message.push_str(&format!("; drifted: {}", drifted.join(", ")));
    }
    conditions.set("Compliant", compliant, reason, &message);
}

/// Conditions under construction: the transition time is kept while the status stays the same.
struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    all: Vec<Condition>,
}

impl Conditions<'_> {
    fn set(&mut self, kind: &str, status: bool, reason: &str, message: &str) {
        self.push(kind, if status { "True" } else { "False" }, reason, message);
    }

    fn set_unknown(&mut self, kind: &str, reason: &str, message: &str) {
        self.push(kind, "Unknown", reason, message);
    }

    fn push(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        self.all.push(condition(
            self.before,
            kind,
            status,
            reason,
            message,
            self.generation,
            self.now,
        ));
    }
}

/// A condition that keeps its transition time while its status stays the same.
pub fn condition(
    before: &[Condition],
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let known = before
        .iter()
        .find(|known| known.type_ == kind && known.status == status);
    Condition {
        type_: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: shorten(message),
        observed_generation: generation,
        last_transition_time: known.map_or_else(
            || Time(whole_seconds(now)),
            |known| known.last_transition_time.clone(),
        ),
    }
}

/// Makes conditions that keep their transition time while their status stays.
pub fn said(
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> impl Fn(&str, &str, &str, &str) -> Condition {
    move |kind, status, reason, message| {
        condition(before, kind, status, reason, message, generation, now)
    }
}

/// Kubernetes keeps whole seconds; anything finer would never compare equal.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The API takes 32 KiB per message; a person reads far less.
fn shorten(message: &str) -> String {
    const LONGEST: usize = 2048;
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let end = (0..=LONGEST)
        .rev()
        .find(|&index| message.is_char_boundary(index))
        .unwrap_or(0);
    format!("{}…", &message[..end])
}
