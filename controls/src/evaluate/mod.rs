//! From facts to a verdict, one control at a time.
//!
//! The weakest part decides, in the order of [`rank`]. Rules that hold for every control stand
//! here, in the order in which they are asked; what a single part looks at stands in `checks`.

mod checks;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::good as good_facts;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tenure_crds::customer_tenant::{NotApplicable, Profile};
use tenure_crds::status::{Mode, Party, Verdict};
use tenure_crds::words::Enforcement;

use crate::catalogue::{Condition, Control, controls};
use crate::facts::{Facts, PlatformFacts, TenantFacts};
use crate::guards::guards_of;
use crate::reason::Reason;

/// How long the proof that a guard is alive counts.
pub const GUARD_PROOF_MAX_AGE: SignedDuration = SignedDuration::from_mins(15);
/// How far an observation may lie ahead of the clock before it counts as unusable.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(2);

/// What is known about one control of one tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The control's id.
    pub id: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// What was seen or is missing, and what to do. Deterministic.
    pub message: String,
    /// The objects concerned, as the facts name them.
    pub objects: Vec<String>,
    /// The verdict of each part; empty where the control was not looked at.
    pub parts: Vec<PartFinding>,
    /// Who answers for it.
    pub responsible: Party,
}

/// What is known about one part of a control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartFinding {
    /// Name of the part; `guards` for the admission policies the control leans on.
    pub name: &'static str,
    /// How the part is made so, or seen to be so.
    pub mode: Mode,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// What was seen or is missing.
    pub message: String,
    /// The objects concerned.
    pub objects: Vec<String>,
}

/// A verdict before it is attached to a part or a control.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    verdict: Verdict,
    reason: Reason,
    message: String,
    objects: Vec<String>,
}

impl Outcome {
    /// A verdict whose reason says it all.
    fn plain(verdict: Verdict, reason: Reason) -> Self {
        Self {
            verdict,
            reason,
            message: reason.explain().to_owned(),
            objects: Vec::new(),
        }
    }

    /// A verdict with a message of its own.
    fn said(verdict: Verdict, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            verdict,
            reason,
            message: message.into(),
            objects: Vec::new(),
        }
    }

    /// A verdict about objects; the message names them.
    fn about(verdict: Verdict, reason: Reason, objects: Vec<String>) -> Self {
        let message = format!("{}: {}", reason.explain(), listed(&objects));
        Self {
            verdict,
            reason,
            message,
            objects,
        }
    }

    /// The same, with what it does not show.
    fn beside(mut self, what: &str) -> Self {
        self.message = format!("{}; {what}", self.message);
        self
    }

    fn compliant() -> Self {
        Self::plain(Verdict::Compliant, Reason::AsObserved)
    }

    /// A fact that nobody observed.
    fn not_observed(what: &str) -> Self {
        Self::said(
            Verdict::Unknown,
            Reason::NotObserved,
            format!("not observed: {what}"),
        )
    }
}

/// The first few of a list, and how many more there are: a message is read by people.
pub(crate) fn listed(objects: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = objects
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if objects.len() <= SHOWN {
        return shown;
    }
    format!("{shown}; and {} more", objects.len() - SHOWN)
}

/// The facts a part is judged by, once the rules for every control let it through.
pub(crate) struct Context<'a> {
    facts: &'a Facts,
    tenant: &'a TenantFacts,
    platform: &'a PlatformFacts,
    control: &'static Control,
    now: Timestamp,
}

/// Weakest first: what is known to be wrong, then lapsed, then not known, then not covered. A part
/// that does not apply never decides.
pub fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Drifted => 0,
        Verdict::Expired => 1,
        Verdict::Unknown => 2,
        Verdict::NotCovered => 3,
        Verdict::Compliant => 4,
        Verdict::NotApplicable => 5,
    }
}

/// Judges every control of the catalogue, in its order.
pub fn evaluate_all(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    controls()
        .map(|control| evaluate(control, facts, now))
        .collect()
}

/// Judges one control by what was observed.
///
/// Never says more than the facts: a fact that is absent makes the verdict Unknown, and no verdict
/// becomes Compliant by knowing less.
pub fn evaluate(control: &'static Control, facts: &Facts, now: Timestamp) -> Finding {
    let responsible = responsible(control, facts.tenant.as_ref());
    let whole = |outcome: Outcome| finding(control, responsible, outcome, Vec::new());

    if control.mode == Mode::Legal {
        let clause = format!(
            "clause {}: {}",
            control.clauses.join(", "),
            control.title.en
        );
        return whole(Outcome::said(
            Verdict::NotApplicable,
            Reason::LegalClause,
            clause,
        ));
    }
    if let Some(outcome) = stale(facts.evaluated_at, control.interval(), now) {
        return whole(outcome);
    }
    let Some(tenant) = &facts.tenant else {
        return whole(Outcome::not_observed("the tenant's spec"));
    };
    let Some(platform) = &facts.platform else {
        return whole(Outcome::not_observed("the accepted TenancyPolicy"));
    };
    if let Some(outcome) = not_agreed(control, tenant, platform) {
        return whole(outcome);
    }
    if let Some(outcome) = condition(control.condition, tenant, platform) {
        return whole(outcome);
    }
    let declared = declared_inapplicable(control, tenant);
    if let Some(declared) = declared
        && amendment_stands(declared, control.profile, tenant, now)
    {
        let message = format!("amendment {}: {}", declared.amendment, declared.reason);
        return whole(Outcome::said(
            Verdict::NotApplicable,
            Reason::AmendedOut,
            message,
        ));
    }

    let context = Context {
        facts,
        tenant,
        platform,
        control,
        now,
    };
    let parts = parts(&context);
    let mut outcome = weakest(&parts);
    if let Some(declared) = declared {
        outcome.message = format!(
            "declared not applicable, but amendment {} is not among the signed ones of this agreement; {}",
            declared.amendment, outcome.message
        );
    }
    finding(control, responsible, outcome, parts)
}

fn finding(
    control: &Control,
    responsible: Party,
    outcome: Outcome,
    parts: Vec<PartFinding>,
) -> Finding {
    let Outcome {
        verdict,
        reason,
        message,
        objects,
    } = outcome;
    Finding {
        id: control.id,
        verdict,
        reason,
        message,
        objects,
        parts,
        responsible,
    }
}

/// The responsibility matrix of DSA 1: a party other than the default needs its reference.
fn responsible(control: &Control, tenant: Option<&TenantFacts>) -> Party {
    tenant
        .and_then(|tenant| tenant.controls.iter().find(|it| it.id == control.id))
        .filter(|it| it.reference.is_some())
        .and_then(|it| it.responsible)
        .unwrap_or(control.responsible)
}

/// A dead checker must not look compliant; neither must one whose clock runs ahead.
fn stale(
    evaluated_at: Option<Timestamp>,
    interval: SignedDuration,
    now: Timestamp,
) -> Option<Outcome> {
    let Some(at) = evaluated_at else {
        return Some(Outcome::not_observed("when the facts were gathered"));
    };
    if is_recent(at, interval, now) {
        return None;
    }
    let message = format!(
        "the facts are of {at}, and count for {} minutes",
        interval.as_mins()
    );
    Some(Outcome::said(Verdict::Unknown, Reason::Stale, message))
}

/// Whether an instant lies within the last `age`, a small skew ahead allowed.
pub(crate) fn is_recent(at: Timestamp, age: SignedDuration, now: Timestamp) -> bool {
    let elapsed = now.duration_since(at);
    elapsed <= age && elapsed >= -CLOCK_SKEW
}

fn not_agreed(
    control: &Control,
    tenant: &TenantFacts,
    platform: &PlatformFacts,
) -> Option<Outcome> {
    if !tenant
        .agreements
        .iter()
        .any(|agreement| agreement.profile == control.profile)
    {
        return Some(Outcome::plain(
            Verdict::NotApplicable,
            Reason::ProfileNotAgreed,
        ));
    }
    if control.profile == Profile::SupplierParagraph && !platform.supplier_paragraph_applies {
        return Some(Outcome::plain(
            Verdict::NotApplicable,
            Reason::CoveredByMainContract,
        ));
    }
    None
}

/// Whether a conditional clause applies: nothing where it does.
fn condition(
    condition: Condition,
    tenant: &TenantFacts,
    platform: &PlatformFacts,
) -> Option<Outcome> {
    let hosting = &platform.hosting;
    let subcontractors = if tenant.subcontractors.is_empty() {
        hosting.subcontractors
    } else {
        Some(true)
    };
    let holds = match condition {
        Condition::None => Some(true),
        // The last paragraph of 2.5 asks the same of a subcontractor's datacentre.
        Condition::OwnDatacentre => either(hosting.own_datacentre, subcontractors),
        Condition::PublicCloud => hosting.public_cloud,
        Condition::Telework => hosting.telework,
        Condition::Subcontractors => subcontractors,
    };
    match holds {
        Some(true) => None,
        Some(false) => Some(Outcome::plain(
            Verdict::NotApplicable,
            Reason::ConditionNotMet,
        )),
        None => Some(Outcome::said(
            Verdict::Unknown,
            Reason::HostingUndeclared,
            format!(
                "{}: {}",
                Reason::HostingUndeclared.explain(),
                condition.describe()
            ),
        )),
    }
}

/// True if one is, false if both are, otherwise not known.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn declared_inapplicable<'a>(
    control: &Control,
    tenant: &'a TenantFacts,
) -> Option<&'a NotApplicable> {
    tenant
        .controls
        .iter()
        .find(|it| it.id == control.id)?
        .not_applicable
        .as_ref()
}

/// Whether the amendment is among the signed ones of an agreement of that profile, dated no later
/// than today. That it says what is claimed is for people to read.
pub(crate) fn amendment_stands(
    declared: &NotApplicable,
    profile: Profile,
    tenant: &TenantFacts,
    now: Timestamp,
) -> bool {
    tenant
        .agreements
        .iter()
        .filter(|agreement| agreement.profile == profile)
        .flat_map(|agreement| &agreement.amendments)
        .any(|amendment| {
            amendment.name == declared.amendment
                && checks::is_past_or_today(&amendment.signed_on, now)
        })
}

fn parts(context: &Context<'_>) -> Vec<PartFinding> {
    context
        .control
        .parts
        .iter()
        .map(|part| {
            let outcome =
                observed_only(part.mode, checks::run(part.check, context), context.tenant);
            part_finding(part.name, part.mode, outcome)
        })
        .chain(guard_part(context))
        .collect()
}

fn part_finding(name: &'static str, mode: Mode, outcome: Outcome) -> PartFinding {
    let Outcome {
        verdict,
        reason,
        message,
        objects,
    } = outcome;
    PartFinding {
        name,
        mode,
        verdict,
        reason,
        message,
        objects,
    }
}

/// Where a tenant is only observed nothing is enforced, however well it looks.
fn observed_only(mode: Mode, outcome: Outcome, tenant: &TenantFacts) -> Outcome {
    let claims = outcome.verdict == Verdict::Compliant && mode == Mode::Enforced;
    if claims && tenant.enforcement == Enforcement::Observe {
        return Outcome::plain(Verdict::NotCovered, Reason::ObserveOnly);
    }
    outcome
}

/// The admission policies the control leans on, as a part of its own.
fn guard_part(context: &Context<'_>) -> Option<PartFinding> {
    let names: Vec<&str> = guards_of(context.control.id)
        .iter()
        .copied()
        // Without a configured mark this guard refuses nothing that could be proven.
        .filter(|name| *name != "sessions" || context.platform.second_factor_configured)
        .collect();
    if names.is_empty() {
        return None;
    }
    Some(part_finding(
        "guards",
        context.control.mode,
        checks::guards(&names, context),
    ))
}

/// The weakest part's verdict; the first one where several are as weak. A compliant control's
/// message keeps what its parts have to show (trusted controllers, residuals).
fn weakest(parts: &[PartFinding]) -> Outcome {
    let Some(part) = parts.iter().min_by_key(|part| rank(part.verdict)) else {
        return Outcome::not_observed("any part of the control");
    };
    if part.verdict != Verdict::Compliant {
        return Outcome {
            verdict: part.verdict,
            reason: part.reason,
            message: part.message.clone(),
            objects: part.objects.clone(),
        };
    }
    let shown: Vec<&PartFinding> = parts
        .iter()
        .filter(|it| it.message != it.reason.explain())
        .collect();
    let mut outcome = Outcome::compliant();
    if !shown.is_empty() {
        outcome.message = shown
            .iter()
            .map(|it| it.message.as_str())
            .collect::<Vec<_>>()
            .join("; ");
        outcome.objects = shown
            .iter()
            .flat_map(|it| it.objects.iter().cloned())
            .collect();
    }
    outcome
}
