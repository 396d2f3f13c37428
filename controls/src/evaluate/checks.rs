//! What each part looks at: one small function per [`Check`], each ending in the weakest thing seen.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tenure_crds::customer_tenant::Profile;
use tenure_crds::status::Verdict::{
    Compliant, Drifted, Expired, NotApplicable, NotCovered, Unknown,
};

use super::{Context, GUARD_PROOF_MAX_AGE, Outcome, amendment_stands, is_recent};
use crate::catalogue::Check;
use crate::facts::{
    AccessFacts, AgreementFacts, Demand, Direction, NamespaceFacts, ReviewedAccess, UndeclaredFlow,
};
use crate::reason::Reason;

/// Longest suspension before either party may end the agreement (DSA 7).
const LONGEST_SUSPENSION: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Kinds that say nothing about the boundary between tenants.
const NOT_BOUNDARY: [&str; 3] = ["ResourceQuota", "LimitRange", "RoleBinding"];
/// Kinds that are judged as the boundary, not as the classification's baseline.
const NOT_BASELINE: [&str; 2] = ["NetworkPolicy", "ClusterNetworkPolicy"];
/// Kinds that say nothing about who is bound to what.
const NOT_BINDING: [&str; 5] = [
    "Namespace",
    "NetworkPolicy",
    "ClusterNetworkPolicy",
    "ResourceQuota",
    "LimitRange",
];

pub(super) fn run(check: Check, context: &Context<'_>) -> Outcome {
    match check {
        Check::Missing(reason) => Outcome::plain(NotCovered, reason),
        Check::RolesAssigned => roles_assigned(context),
        Check::InstructionsRecorded => instructions_recorded(context),
        Check::Baseline => as_rendered(context, &NOT_BASELINE),
        Check::StorageClasses => storage_classes(context),
        Check::RoleBindings => role_bindings(context),
        Check::NoForeignBindings => no_foreign_bindings(context),
        Check::StandingAccess => standing_access(context),
        Check::AccessReviewed => access_reviewed(context),
        Check::PrivilegedReviewed => privileged_reviewed(context),
        Check::Grants(demand) => grants(context, demand),
        Check::GrantedRoles => granted_roles(context),
        Check::AccessEnds => access_ends(context),
        Check::BreakGlass => break_glass(context),
        Check::ReadsSecondFactor => reads_second_factor(context),
        Check::SubcontractorAgreements => subcontractor_agreements(context),
        Check::SeparateApprovers => separate_approvers(context),
        Check::SecondFactor => second_factor(context),
        Check::Boundaries => as_rendered(context, &NOT_BOUNDARY),
        Check::Reachability => reachability(context, |_| true),
        Check::EdgeOnly => edge_only(context),
        Check::NetworkEnforcer => network_enforcer(context),
        Check::NoPlainExposure => no_plain_exposure(context),
        Check::ProtectedPath => protected_path(context),
        Check::OutsideLinks => outside_links(context),
        Check::RegularAssessment => regular_assessment(context),
        Check::ConsentRecorded => consent_recorded(context),
        Check::InForce => in_force(context),
        Check::Amendments => amendments(context),
        Check::Suspension => suspension(context),
        Check::SuspensionKeepsIsolation => suspension_keeps_isolation(context),
        Check::SupportedVersions => supported_versions(context),
    }
}

/// Every named guard is there with the built-in text and was lately proven to refuse.
pub(super) fn guards(names: &[&str], context: &Context<'_>) -> Outcome {
    let Some(facts) = &context.facts.guards else {
        return Outcome::not_observed("the admission policies");
    };
    let mut unproven = Vec::new();
    let mut trusted = Vec::new();
    for name in names {
        let guard = facts.iter().find(|guard| guard.name == *name);
        match guard {
            None => unproven.push(format!("tenure-{name}: missing")),
            Some(guard) if !guard.text_matches => {
                unproven.push(format!("tenure-{name}: differs from the built-in text"));
            }
            Some(guard) => match guard.proven_at {
                Some(at) if is_recent(at, GUARD_PROOF_MAX_AGE, context.now) => {
                    trusted.extend(
                        guard
                            .trusted
                            .iter()
                            .map(|user| format!("tenure-{name}: {user}")),
                    );
                }
                Some(_) => unproven.push(format!("tenure-{name}: proven too long ago")),
                None => unproven.push(format!("tenure-{name}: not proven alive")),
            },
        }
    }
    if !unproven.is_empty() {
        return Outcome::about(Unknown, Reason::GuardNotProven, unproven);
    }
    shown(trusted, "guards let trusted controllers through")
}

/// Compliant, with what must be shown beside it.
fn shown(objects: Vec<String>, what: &str) -> Outcome {
    if objects.is_empty() {
        return Outcome::compliant();
    }
    let message = format!("{what}: {}", super::listed(&objects));
    Outcome {
        verdict: Compliant,
        reason: Reason::AsObserved,
        message,
        objects,
    }
}

fn drifted(reason: Reason, objects: &[String]) -> Option<Outcome> {
    (!objects.is_empty()).then(|| Outcome::about(Drifted, reason, objects.to_vec()))
}

/// Declared, so it speaks of the declaration: that somebody is named, not that they act.
fn roles_assigned(context: &Context<'_>) -> Outcome {
    let missing: Vec<String> = [
        (
            context.tenant.has_owner,
            "an owner (CustomerTenant spec.owner)",
        ),
        (
            context.platform.has_security_contact,
            "the provider's security contact (TenancyPolicy spec.securityContact)",
        ),
        (
            !context.tenant.contacts.is_empty(),
            "the customer's contacts (CustomerTenant spec.customer.contacts)",
        ),
    ]
    .into_iter()
    .filter(|(named, _)| !named)
    .map(|(_, what)| what.to_owned())
    .collect();
    if missing.is_empty() {
        return Outcome::compliant();
    }
    Outcome::said(
        NotCovered,
        Reason::RoleUnassigned,
        format!(
            "{}: name {}",
            Reason::RoleUnassigned.explain(),
            missing.join(", ")
        ),
    )
}

fn instructions_recorded(context: &Context<'_>) -> Outcome {
    let instructions: Vec<_> = agreements(context)
        .flat_map(|it| &it.instructions)
        .collect();
    if instructions.is_empty() {
        return Outcome::plain(NotCovered, Reason::NoInstructions);
    }
    let undigested: Vec<String> = instructions
        .iter()
        .filter(|it| !it.has_digest)
        .map(|it| it.name.clone())
        .collect();
    if undigested.is_empty() {
        return Outcome::compliant();
    }
    Outcome::said(
        NotCovered,
        Reason::NoInstructions,
        format!("on record without a digest: {}", super::listed(&undigested)),
    )
}

/// The agreements the control comes from.
fn agreements<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a AgreementFacts> {
    let profile = context.control.profile;
    context
        .tenant
        .agreements
        .iter()
        .filter(move |it| it.profile == profile)
}

/// The namespaces are as rendered, leaving out kinds another control judges. A kind nobody thought
/// of counts against every control.
fn as_rendered(context: &Context<'_>, left_out: &[&str]) -> Outcome {
    let Some(namespaces) = &context.facts.namespaces else {
        return Outcome::not_observed("the tenant's namespaces");
    };
    if namespaces.is_empty() {
        return Outcome::not_observed("any namespace of the tenant");
    }
    if let Some(outcome) = drifted(Reason::ObjectsDiffer, &differences(namespaces, left_out)) {
        return outcome;
    }
    let pending: Vec<String> = namespaces
        .iter()
        .filter(|it| !it.ready && !it.parked)
        .map(|it| it.name.clone())
        .collect();
    if pending.is_empty() {
        return Outcome::compliant();
    }
    Outcome::about(Unknown, Reason::NamespaceNotReady, pending)
}

fn differences(namespaces: &[NamespaceFacts], left_out: &[&str]) -> Vec<String> {
    namespaces
        .iter()
        .flat_map(|namespace| namespace.differs.iter().map(move |item| (namespace, item)))
        .filter(|(_, item)| !left_out.contains(&item.kind.as_str()))
        .map(|(namespace, item)| match item.kind.as_str() {
            "Namespace" => format!("Namespace/{}: {}", item.name, item.what),
            kind => format!("{kind}/{}/{}: {}", namespace.name, item.name, item.what),
        })
        .collect()
}

fn storage_classes(context: &Context<'_>) -> Outcome {
    let Some(storage) = &context.facts.storage else {
        return Outcome::not_observed("claims in the tenant's namespaces");
    };
    drifted(Reason::StorageOutsideBaseline, &storage.outside_baseline)
        .unwrap_or_else(Outcome::compliant)
}

fn role_bindings(context: &Context<'_>) -> Outcome {
    let Some(bindings) = &context.facts.role_bindings else {
        return Outcome::not_observed("role bindings");
    };
    if let Some(outcome) = drifted(Reason::ForbiddenRule, &bindings.forbidden_rules) {
        return outcome;
    }
    if let Some(outcome) = drifted(Reason::ForeignBinding, &bindings.foreign) {
        return outcome;
    }
    as_rendered(context, &NOT_BINDING)
}

fn no_foreign_bindings(context: &Context<'_>) -> Outcome {
    let Some(bindings) = &context.facts.role_bindings else {
        return Outcome::not_observed("role bindings");
    };
    drifted(Reason::ForeignBinding, &bindings.foreign).unwrap_or_else(Outcome::compliant)
}

/// Listed is not reviewed: what stands cluster-wide stays a gap until a review confirms it.
fn standing_access(context: &Context<'_>) -> Outcome {
    let Some(bindings) = &context.facts.role_bindings else {
        return Outcome::not_observed("cluster-wide role bindings");
    };
    if bindings.standing_cluster_wide.is_empty() {
        let kept = bindings.kept_cluster_wide.clone();
        return shown(kept, "standing access that the last review kept");
    }
    Outcome::about(
        NotCovered,
        Reason::StandingAccessUnreviewed,
        bindings.standing_cluster_wide.clone(),
    )
}

/// A review is in time until its day; after that what nobody decided on is named.
fn access_reviewed(context: &Context<'_>) -> Outcome {
    match &context.facts.reviews {
        None => Outcome::not_observed("reviews of access"),
        Some(reviews) => reviewed(&reviews.lapsed, &reviews.revoked),
    }
}

fn privileged_reviewed(context: &Context<'_>) -> Outcome {
    let Some(reviews) = &context.facts.reviews else {
        return Outcome::not_observed("reviews of privileged access");
    };
    let privileged = |own: &[ReviewedAccess], everywhere: &[ReviewedAccess]| {
        let own = own.iter().filter(|access| access.privileged);
        own.chain(everywhere).cloned().collect::<Vec<_>>()
    };
    reviewed(
        &privileged(&reviews.lapsed, &reviews.lapsed_everywhere),
        &privileged(&reviews.revoked, &reviews.revoked_everywhere),
    )
}

fn reviewed(lapsed: &[ReviewedAccess], revoked: &[ReviewedAccess]) -> Outcome {
    let names = |of: &[ReviewedAccess]| -> Vec<String> {
        of.iter().map(|access| access.what.clone()).collect()
    };
    if !lapsed.is_empty() {
        return Outcome::about(Expired, Reason::ReviewLapsed, names(lapsed));
    }
    drifted(Reason::RevokedAccessStands, &names(revoked)).unwrap_or_else(Outcome::compliant)
}

/// Who is let in by grants, where anybody is on the staff register at all.
fn access<'a>(context: &'a Context<'_>) -> Result<&'a AccessFacts, Outcome> {
    let Some(access) = &context.facts.access else {
        return Err(Outcome::not_observed("access by grants"));
    };
    match access.has_register {
        true => Ok(access),
        false => Err(Outcome::plain(NotCovered, Reason::NoStaffRegister)),
    }
}

fn unfounded(access: &AccessFacts, demand: Demand) -> Option<Outcome> {
    let faults = access.faults.iter().filter(|fault| fault.demand == demand);
    let faults: Vec<String> = faults.map(|fault| fault.what.clone()).collect();
    drifted(Reason::GrantUnfounded, &faults)
}

/// What holds of everybody whom grants let in. Of whom another binding lets in, nothing is known.
fn grants(context: &Context<'_>, demand: Demand) -> Outcome {
    match access(context) {
        Err(outcome) => outcome,
        Ok(access) => unfounded(access, demand).unwrap_or_else(|| match demand {
            Demand::Identity => by_grants_alone(context, &access.shared_by_exception),
            _ => by_grants_alone(context, &[]),
        }),
    }
}

/// Compliant, where grants are the only way in; with what must be shown beside it.
fn by_grants_alone(context: &Context<'_>, exceptions: &[String]) -> Outcome {
    let Some(bindings) = &context.facts.role_bindings else {
        return Outcome::not_observed("role bindings");
    };
    if !bindings.foreign.is_empty() {
        let message = format!(
            "nothing is known of whom bindings outside the grants let in: {}",
            super::listed(&bindings.foreign)
        );
        return Outcome {
            objects: bindings.foreign.clone(),
            ..Outcome::said(Unknown, Reason::ForeignBinding, message)
        };
    }
    let accepted = shown(
        exceptions.to_vec(),
        "shared accounts that the customer accepted",
    );
    let standing = bindings.standing_cluster_wide.len() + bindings.kept_cluster_wide.len();
    if standing == 0 {
        return accepted;
    }
    // Said, so that nobody reads more into it; judged where it is listed.
    let message = format!(
        "{} of everybody whom grants let in; {standing} cluster-wide bindings are judged under dsa-2.0-need-to-know",
        accepted.message
    );
    Outcome {
        message,
        ..accepted
    }
}

/// Of roles nothing needs to be known about persons.
fn granted_roles(context: &Context<'_>) -> Outcome {
    let Some(access) = &context.facts.access else {
        return Outcome::not_observed("access by grants");
    };
    unfounded(access, Demand::Role).unwrap_or_else(Outcome::compliant)
}

/// An end is one when no binding is left, nobody says yes any more, and nothing carries the access on.
fn access_ends(context: &Context<'_>) -> Outcome {
    let access = match access(context) {
        Ok(access) => access,
        Err(outcome) => return outcome,
    };
    if let Some(outcome) = drifted(Reason::AccessPastEnd, &access.past_end)
        .or_else(|| drifted(Reason::AccessRemains, &access.remaining))
        .or_else(|| drifted(Reason::SweepOpen, &access.sweeps_open))
    {
        return outcome;
    }
    if !access.unproven.is_empty() {
        return Outcome::about(Unknown, Reason::EndNotProven, access.unproven.clone());
    }
    if !access.unswept.is_empty() {
        return Outcome::about(Unknown, Reason::SweepNotMade, access.unswept.clone());
    }
    Outcome::compliant()
}

/// Emergency access is foreseen, so it is no drift; that it was needed, nobody else has said yet.
fn break_glass(context: &Context<'_>) -> Outcome {
    match access(context) {
        Err(outcome) => outcome,
        Ok(access) if access.unapproved.is_empty() => Outcome::compliant(),
        Ok(access) => Outcome::about(
            Unknown,
            Reason::BreakGlassUnapproved,
            access.unapproved.clone(),
        ),
    }
}

/// Nothing holds a person's reads to a second factor but the identity provider, and only people can say that it does.
fn reads_second_factor(context: &Context<'_>) -> Outcome {
    match access(context) {
        Err(outcome) => outcome,
        Ok(access) if access.second_factor_unconfirmed.is_empty() => by_grants_alone(context, &[]),
        Ok(access) => Outcome::about(
            NotCovered,
            Reason::SecondFactorUnconfirmed,
            access.second_factor_unconfirmed.clone(),
        ),
    }
}

fn subcontractor_agreements(context: &Context<'_>) -> Outcome {
    let Some(access) = &context.facts.access else {
        return Outcome::not_observed("agreements with subcontractors");
    };
    if context.tenant.subcontractors.is_empty() {
        return Outcome::plain(NotCovered, Reason::NoSubcontractorNamed);
    }
    if access.without_agreement.is_empty() {
        return Outcome::compliant();
    }
    Outcome::about(
        NotCovered,
        Reason::AgreementNotAttested,
        access.without_agreement.clone(),
    )
}

/// What admission cannot see, and no audit feed tells the operator.
const IMPERSONATED: &str = "an approval that somebody made by impersonating another person is not told apart, because no audit feed reaches the operator";

/// Two user names can be one person: only where persons are known does comparing prove anything.
fn separate_approvers(context: &Context<'_>) -> Outcome {
    let (Some(approvals), Some(access)) = (&context.facts.approvals, &context.facts.access) else {
        return Outcome::not_observed("approvals, and access by grants");
    };
    if let Some(outcome) = unfounded(access, Demand::Duties) {
        return outcome;
    }
    if !approvals.identity_only.is_empty() {
        let by_name = approvals.identity_only.clone();
        return Outcome::about(Unknown, Reason::IdentityOnly, by_name);
    }
    if access.has_register {
        let outcome = shown(approvals.void.clone(), "approvals that do not count");
        return outcome.beside(IMPERSONATED);
    }
    match approvals.void.as_slice() {
        [] => Outcome::plain(Unknown, Reason::IdentityOnly),
        void => Outcome::about(Unknown, Reason::IdentityOnly, void.to_vec()),
    }
}

/// That the mark is demanded is the guard's part; here is only whether there is a mark at all.
fn second_factor(context: &Context<'_>) -> Outcome {
    if context.platform.second_factor_configured {
        return Outcome::compliant();
    }
    Outcome::plain(NotCovered, Reason::SecondFactorNotConfigured)
}

fn reachability(context: &Context<'_>, concerns: impl Fn(&UndeclaredFlow) -> bool) -> Outcome {
    let Some(reachability) = &context.facts.reachability else {
        return Outcome::not_observed("who can reach whom");
    };
    let flows: Vec<String> = reachability
        .undeclared
        .iter()
        .filter(|flow| concerns(flow))
        .map(|flow| flow.what.clone())
        .collect();
    if let Some(outcome) = drifted(Reason::UndeclaredFlow, &flows) {
        return outcome;
    }
    if let Some(outcome) = drifted(
        Reason::HostNetworkPod,
        &reachability.undeclared_host_network_pods,
    ) {
        return outcome;
    }
    shown(
        reachability.host_network_pods.clone(),
        "pods in the node's network are not held by network policies",
    )
}

fn edge_only(context: &Context<'_>) -> Outcome {
    let outcome = reachability(context, |flow| flow.direction != Direction::Outward);
    if outcome.verdict == Compliant && context.platform.edges.is_empty() {
        return Outcome::plain(NotCovered, Reason::NoEdgeDeclared);
    }
    outcome
}

/// Policies are objects; only a probe shows that packets obey them.
fn network_enforcer(context: &Context<'_>) -> Outcome {
    let Some(probe) = &context.facts.probe else {
        return Outcome::plain(Unknown, Reason::EnforcerNotProven);
    };
    let counted = probe.counts_until.duration_since(probe.at);
    if !is_recent(probe.at, counted, context.now) {
        return Outcome::said(
            Unknown,
            Reason::EnforcerNotProven,
            format!(
                "the last probe is of {} and counted until {}",
                probe.at, probe.counts_until
            ),
        );
    }
    if !probe.allowed_passed {
        let message = "the probe's allowed flow did not pass, so the probe shows nothing";
        return Outcome::said(Unknown, Reason::EnforcerNotProven, message);
    }
    if !probe.denied_stopped {
        return Outcome::plain(Drifted, Reason::PoliciesNotEnforced);
    }
    Outcome::compliant()
}

fn no_plain_exposure(context: &Context<'_>) -> Outcome {
    let Some(exposure) = &context.facts.exposure else {
        return Outcome::not_observed("services, ingresses, gateways and routes");
    };
    let paths: Vec<String> = exposure
        .plain
        .iter()
        .chain(&exposure.direct)
        .cloned()
        .collect();
    drifted(Reason::PlainExposure, &paths).unwrap_or_else(Outcome::compliant)
}

fn protected_path(context: &Context<'_>) -> Outcome {
    let Some(exposure) = &context.facts.exposure else {
        return Outcome::not_observed("services, ingresses, gateways and routes");
    };
    drifted(Reason::PlainExposure, &exposure.direct)
        .or_else(|| drifted(Reason::UnprotectedClass, &exposure.unprotected))
        .unwrap_or_else(Outcome::compliant)
}

/// A declared `https://` is a declaration; until something connects, it says nothing.
fn outside_links(context: &Context<'_>) -> Outcome {
    let platform = context.platform;
    let links: Vec<String> = platform
        .key_services
        .iter()
        .map(|name| format!("key service {name}"))
        .chain(
            platform
                .log_sinks
                .iter()
                .map(|name| format!("log sink {name}")),
        )
        .collect();
    if links.is_empty() {
        return Outcome::plain(NotApplicable, Reason::NothingToCheck);
    }
    Outcome::about(NotCovered, Reason::LinkNotChecked, links)
}

/// The probe is a proof of its own and shows on the network controls; everything else that this
/// version can look at must have been looked at.
fn regular_assessment(context: &Context<'_>) -> Outcome {
    let facts = context.facts;
    let unobserved: Vec<&str> = [
        (facts.namespaces.is_some(), "namespaces"),
        (facts.reachability.is_some(), "reachability"),
        (facts.guards.is_some(), "guards"),
        (facts.role_bindings.is_some(), "role bindings"),
        (facts.exposure.is_some(), "exposure"),
        (facts.storage.is_some(), "storage"),
        (facts.access.is_some(), "access"),
        (facts.approvals.is_some(), "approvals"),
        (facts.loosenings.is_some(), "loosenings"),
        (facts.versions.is_some(), "versions"),
    ]
    .into_iter()
    .filter(|(observed, _)| !observed)
    .map(|(_, what)| what)
    .collect();
    if !unobserved.is_empty() {
        return Outcome::not_observed(&unobserved.join(", "));
    }
    let Some(last) = facts.last_full_pass else {
        return Outcome::plain(Unknown, Reason::NeverEvaluated);
    };
    if is_recent(last, context.control.interval(), context.now) {
        return Outcome::compliant();
    }
    Outcome::said(
        Unknown,
        Reason::Stale,
        format!("the last full pass ended at {last}"),
    )
}

/// The schema lets no subcontractor be named without the customer's consent and its digest.
fn consent_recorded(context: &Context<'_>) -> Outcome {
    if context.tenant.subcontractors.is_empty() {
        return Outcome::plain(NotCovered, Reason::NoSubcontractorNamed);
    }
    Outcome::compliant()
}

fn in_force(context: &Context<'_>) -> Outcome {
    if context.tenant.has_termination {
        let message = format!("the end is declared; {}", Reason::NoExitProcedure.explain());
        return Outcome::said(NotCovered, Reason::NoExitProcedure, message);
    }
    let signed: Vec<_> = agreements(context)
        .filter(|it| is_past_or_today(&it.signed_on, context.now))
        .collect();
    if signed.is_empty() {
        return Outcome::plain(Unknown, Reason::AgreementNotInForce);
    }
    if signed.iter().any(|it| !has_expired(it, context.now)) {
        return Outcome::compliant();
    }
    // The duties go on until return or destruction (DSA 3), and that needs the exit.
    let message = format!(
        "the agreement has expired; {}",
        Reason::NoExitProcedure.explain()
    );
    Outcome::said(NotCovered, Reason::NoExitProcedure, message)
}

/// An expiry that cannot be read counts as past.
fn has_expired(agreement: &AgreementFacts, now: Timestamp) -> bool {
    let Some(expires_on) = &agreement.expires_on else {
        return false;
    };
    expires_on
        .parse::<Date>()
        .map_or(true, |date| date < today(now))
}

/// Whether an ISO 8601 date has come, by Coordinated Universal Time.
pub(super) fn is_past_or_today(date: &str, now: Timestamp) -> bool {
    date.parse::<Date>().is_ok_and(|date| date <= today(now))
}

fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn amendments(context: &Context<'_>) -> Outcome {
    let unsigned: Vec<String> = context
        .tenant
        .controls
        .iter()
        .filter_map(|it| it.not_applicable.as_ref().map(|declared| (it, declared)))
        .filter(|(it, declared)| {
            let profile =
                crate::catalogue::control(&it.id).map_or(Profile::Dsa, |control| control.profile);
            !amendment_stands(declared, profile, context.tenant, context.now)
        })
        .map(|(it, declared)| format!("{}: amendment {}", it.id, declared.amendment))
        .collect();
    if let Some(outcome) = drifted(Reason::AmendmentMissing, &unsigned) {
        return outcome;
    }
    let Some(loosenings) = &context.facts.loosenings else {
        return Outcome::not_observed("whether accepted settings were loosened");
    };
    if let Some(outcome) = drifted(Reason::AmendmentMissing, &loosenings.without_amendment) {
        return outcome;
    }
    shown(
        loosenings.pending.clone(),
        "waiting, and the stricter setting is in force",
    )
}

fn suspension(context: &Context<'_>) -> Outcome {
    let Some(suspension) = &context.tenant.suspension else {
        return Outcome::compliant();
    };
    if suspension.notice_reference.trim().is_empty() {
        return Outcome::plain(Drifted, Reason::NoticeMissing);
    }
    let Ok(since) = suspension.since.parse::<Timestamp>() else {
        return Outcome::plain(Drifted, Reason::NoticeMissing);
    };
    if since > context.now {
        return Outcome::plain(Drifted, Reason::NoticeMissing);
    }
    let notice = format!("suspended since {since} by {}", suspension.notice_reference);
    if context.now.duration_since(since) > LONGEST_SUSPENSION {
        let message = format!("{}; {notice}", Reason::SuspensionOverdue.explain());
        return Outcome::said(Expired, Reason::SuspensionOverdue, message);
    }
    Outcome::said(Compliant, Reason::AsObserved, notice)
}

fn suspension_keeps_isolation(context: &Context<'_>) -> Outcome {
    if context.tenant.suspension.is_none() {
        return Outcome::plain(NotApplicable, Reason::NothingToCheck);
    }
    as_rendered(context, &NOT_BOUNDARY)
}

fn supported_versions(context: &Context<'_>) -> Outcome {
    let Some(versions) = &context.facts.versions else {
        return Outcome::not_observed("versions");
    };
    let known = [
        (
            "Kubernetes",
            &versions.cluster,
            versions.cluster_supported_until,
        ),
        (
            "Tenure",
            &versions.operator,
            versions.operator_supported_until,
        ),
    ];
    let ended: Vec<String> = known
        .iter()
        .filter_map(|(what, version, until)| until.map(|until| (what, version, until)))
        .filter(|(_, _, until)| *until < today(context.now))
        .map(|(what, version, until)| format!("{what} {version}: support ended on {until}"))
        .collect();
    if let Some(outcome) = drifted(Reason::UnsupportedVersion, &ended) {
        return outcome;
    }
    let unknown: Vec<String> = known
        .iter()
        .filter(|(_, version, until)| version.is_empty() || until.is_none())
        .map(|(what, version, _)| format!("until when {what} {version} is supported"))
        .collect();
    if unknown.is_empty() {
        return Outcome::compliant();
    }
    Outcome::not_observed(&unknown.join(", "))
}
