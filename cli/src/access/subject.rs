//! What is decided on: the object, what of it waits for an approval, and all a person should have read before deciding.

use std::fmt::Write as _;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tenure_crds::access_grant::Sweep;
use tenure_crds::approval::Action;
use tenure_crds::words::PendingApproval;
use tenure_crds::{
    AccessGrant, AccessGrantSpec, CustomerTenant, LegalHold, LegalHoldSpec, StaffMember,
    TenancyPolicy,
};

use super::status::found;
use crate::cluster::said;

/// A kind whose objects wait for approvals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    AccessGrant,
    CustomerTenant,
    LegalHold,
    TenancyPolicy,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessGrant => "AccessGrant",
            Self::CustomerTenant => "CustomerTenant",
            Self::LegalHold => "LegalHold",
            Self::TenancyPolicy => "TenancyPolicy",
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::AccessGrant => ApiResource::erase::<AccessGrant>(&()),
            Self::CustomerTenant => ApiResource::erase::<CustomerTenant>(&()),
            Self::LegalHold => ApiResource::erase::<LegalHold>(&()),
            Self::TenancyPolicy => ApiResource::erase::<TenancyPolicy>(&()),
        }
    }
}

/// One object, as `NAME` (a grant) or `KIND/NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    pub kind: Kind,
    pub name: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("accessgrant", text));
        let kind = match kind.to_ascii_lowercase().as_str() {
            "accessgrant" | "accessgrants" | "ag" => Kind::AccessGrant,
            "customertenant" | "customertenants" | "ct" => Kind::CustomerTenant,
            "legalhold" | "legalholds" | "lh" => Kind::LegalHold,
            "tenancypolicy" | "tenancypolicies" | "tp" => Kind::TenancyPolicy,
            _ => {
                return Err(format!(
                    "{kind:?}: nothing of that kind waits for approvals; write NAME of an AccessGrant, ct/NAME, lh/NAME or tp/default"
                ));
            }
        };
        if name.is_empty() || name.contains('/') {
            return Err(format!("{text:?} names nothing: write NAME or KIND/NAME"));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, into: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(into, "{} {}", self.kind.as_str(), self.name)
    }
}

/// One thing that waits, with all that is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    pub target: Target,
    /// Tells it from another object of the same name.
    uid: Option<String>,
    /// The tenant's name and identity; none for the platform's policy.
    pub tenant: Option<(String, String)>,
    pub pending: PendingApproval,
    /// What a person reads before deciding.
    pub text: String,
}

impl Subject {
    /// A subject nobody has to be asked for.
    #[cfg(test)]
    pub fn of(target: Target, tenant: Option<(String, String)>, pending: PendingApproval) -> Self {
        let text = heading(&target, &pending) + &footing(&pending);
        Self {
            target,
            uid: Some("1".into()),
            tenant,
            pending,
            text,
        }
    }

    /// Reads what waits on the object: the one thing, or the one of that action.
    pub async fn read(
        client: &Client,
        target: &Target,
        action: Option<&str>,
    ) -> anyhow::Result<Self> {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &target.kind.resource());
        let object = api
            .get(&target.name)
            .await
            .map_err(|error| said(&target.to_string(), error))?;
        let pending = chosen(target, &object, action)?;
        let mut text = heading(target, &pending);
        if target.kind == Kind::AccessGrant {
            let spec: AccessGrantSpec = spec(&object)?;
            text.push_str(&about_grant(&spec));
            text.push_str(&about_person(client, &spec).await);
            text.push_str(&about_role(client, &spec.role).await);
            text.push_str(&about_sweep(&pending, &object)?);
        }
        if target.kind == Kind::LegalHold {
            text.push_str(&about_hold(&spec(&object)?));
        }
        text.push_str(&footing(&pending));
        Ok(Self {
            tenant: tenant(target, &object)?,
            target: target.clone(),
            uid: object.uid(),
            pending,
            text,
        })
    }
}

fn spec<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> anyhow::Result<T> {
    serde_json::from_value(object.data["spec"].clone()).with_context(|| {
        format!(
            "the spec of {} cannot be read by this version",
            object.name_any()
        )
    })
}

/// The tenant an object is about.
fn tenant(target: &Target, object: &DynamicObject) -> anyhow::Result<Option<(String, String)>> {
    let spec = &object.data["spec"];
    let name = match target.kind {
        Kind::TenancyPolicy => return Ok(None),
        Kind::CustomerTenant => Some(target.name.as_str()),
        Kind::AccessGrant | Kind::LegalHold => spec["tenantRef"]["name"].as_str(),
    };
    let id = spec["tenantID"].as_str();
    let both = name.zip(id);
    let (name, id) = both.with_context(|| format!("{target} does not name its tenant"))?;
    Ok(Some((name.to_owned(), id.to_owned())))
}

/// What waits, and what is chosen of it.
fn chosen(
    target: &Target,
    object: &DynamicObject,
    action: Option<&str>,
) -> anyhow::Result<PendingApproval> {
    let status = &object.data["status"];
    ensure!(
        object.metadata.deletion_timestamp.is_none(),
        "{target} is being deleted: there is nothing to decide"
    );
    ensure!(
        status["observedGeneration"].as_i64() == object.metadata.generation,
        "the operator has not looked at {target} as it is now: wait a moment, then repeat the command; if it stays so, see whether the operator runs"
    );
    let pending: Vec<PendingApproval> = match &status["pendingApprovals"] {
        Value::Null => Vec::new(),
        list => serde_json::from_value(list.clone()).with_context(|| {
            format!("what waits on {target} cannot be read by this version of the plugin")
        })?,
    };
    let of_action =
        |one: &PendingApproval| action.is_none_or(|action| one.action.as_str() == action);
    let mut fitting: Vec<PendingApproval> =
        pending.iter().filter(|it| of_action(it)).cloned().collect();
    match (fitting.len(), pending.len()) {
        (1, _) => Ok(fitting.remove(0)),
        (0, 0) => bail!("nothing waits for an approval on {target}{}", ready(status)),
        _ => {
            let actions: Vec<&str> = pending.iter().map(|it| it.action.as_str()).collect();
            bail!(
                "on {target} there wait {}: say which one with --action",
                actions.join(", ")
            )
        }
    }
}

/// What the operator says of the object's state.
fn ready(status: &Value) -> String {
    let conditions = status["conditions"].as_array();
    let said = ["Stalled", "Active", "Ready"].iter().find_map(|kind| {
        let found = conditions?.iter().find(|it| it["type"] == *kind)?;
        (*kind != "Stalled" || found["status"] == "True").then_some(found)
    });
    match said.and_then(|it| it["message"].as_str()) {
        Some(message) if !message.is_empty() => format!(": {message}"),
        _ => String::new(),
    }
}

fn heading(target: &Target, pending: &PendingApproval) -> String {
    format!("{} of {target}\n\n", pending.action.as_str())
}

/// One line under a name.
fn line(text: &mut String, name: &str, value: &str) {
    // A reason may have several lines, and none of them may look like another field.
    let value = value.replace('\n', "\n              ");
    let _ = writeln!(text, "  {name:<12}{value}");
}

fn about_grant(spec: &AccessGrantSpec) -> String {
    let mut text = String::new();
    line(
        &mut text,
        "Tenant",
        &format!("{} ({})", spec.tenant_ref.name, spec.tenant_id),
    );
    line(&mut text, "Person", &spec.person);
    if let Some(identity) = &spec.identity {
        line(&mut text, "Identity", identity);
    }
    line(&mut text, "Role", &spec.role);
    line(&mut text, "Namespaces", &spec.namespaces.join(", "));
    let from = spec.not_before.as_deref().unwrap_or("its approval");
    line(&mut text, "From", from);
    line(&mut text, "Until", &spec.not_after);
    let location = spec.location.unwrap_or_default();
    let credential = spec.credential.unwrap_or_default();
    line(
        &mut text,
        "Works",
        &format!("{}, with {}", location.as_str(), credential.as_str()),
    );
    if spec.break_glass == Some(true) {
        line(&mut text, "Break-glass", "active before anybody approves");
    }
    if let Some(reference) = &spec.exception_reference {
        line(&mut text, "Exception", reference);
    }
    line(&mut text, "Reason", &spec.reason);
    line(&mut text, "Ticket", &spec.ticket);
    let asked = spec.requested_by.as_deref().unwrap_or("(not stamped)");
    line(&mut text, "Asked by", asked);
    text
}

/// Everything that stays once what was made meanwhile is accepted.
fn about_sweep(pending: &PendingApproval, object: &DynamicObject) -> anyhow::Result<String> {
    let mut text = String::new();
    if pending.action != Action::AcceptSweep {
        return Ok(text);
    }
    let name = object.name_any();
    let sweep: Sweep = serde_json::from_value(object.data["status"]["sweep"].clone())
        .with_context(|| format!("what stays of {name} cannot be read by this version"))?;
    line(&mut text, "Looked at", &sweep.looked_at);
    let findings = sweep.findings.iter().map(found);
    let more = (sweep.more > 0).then(|| format!("and {} more", sweep.more));
    for (index, what) in findings.chain(more).enumerate() {
        line(&mut text, if index == 0 { "Stays" } else { "" }, &what);
    }
    for what in &sweep.not_looked_at {
        line(&mut text, "Not seen", what);
    }
    Ok(text)
}

fn about_hold(spec: &LegalHoldSpec) -> String {
    let mut text = String::new();
    line(
        &mut text,
        "Tenant",
        &format!("{} ({})", spec.tenant_ref.name, spec.tenant_id),
    );
    line(&mut text, "Reference", &spec.reference);
    line(&mut text, "Authority", &spec.authority);
    line(&mut text, "Reason", &spec.reason);
    line(
        &mut text,
        "Placed",
        &format!("{} by {}", spec.placed_on, spec.placed_by),
    );
    text
}

/// Who the person is. What cannot be read is said: a decision without it is the approver's to make.
async fn about_person(client: &Client, grant: &AccessGrantSpec) -> String {
    let found = Api::<StaffMember>::all(client.clone())
        .get(&grant.person)
        .await;
    let mut text = String::new();
    match found {
        Ok(member) => {
            let spec = &member.spec;
            line(&mut text, "Known as", &spec.identities.join(", "));
            let employer = spec.employer.as_deref().unwrap_or("the provider");
            let job = spec.job_role.as_deref().unwrap_or("no job role given");
            line(&mut text, "Works for", &format!("{employer}, {job}"));
        }
        Err(error) => line(
            &mut text,
            "Known as",
            &unread(&format!("StaffMember {}", grant.person), error),
        ),
    }
    text
}

async fn about_role(client: &Client, role: &str) -> String {
    let found = Api::<ClusterRole>::all(client.clone()).get(role).await;
    let mut text = String::new();
    match found {
        Ok(role) => {
            let rules = role.rules.unwrap_or_default();
            for (index, rule) in rules.iter().enumerate() {
                let name = if index == 0 { "Which may" } else { "" };
                line(&mut text, name, &rule_text(rule));
            }
            if rules.is_empty() {
                line(&mut text, "Which may", "nothing: the role has no rules");
            }
        }
        Err(error) => line(
            &mut text,
            "Which may",
            &unread(&format!("ClusterRole {role}"), error),
        ),
    }
    text
}

fn unread(what: &str, error: kube::Error) -> String {
    format!("(could not be read: {:#})", said(what, error))
}

/// `get, list pods, services`.
fn rule_text(rule: &PolicyRule) -> String {
    let list = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
    let groups = list(&rule.api_groups);
    let groups: Vec<&str> = groups
        .iter()
        .map(String::as_str)
        .filter(|group| !group.is_empty())
        .collect();
    let mut what = list(&rule.resources);
    what.extend(list(&rule.non_resource_urls));
    let mut text = format!("{} {}", rule.verbs.join(", "), what.join(", "));
    if !groups.is_empty() {
        let _ = write!(text, " of {}", groups.join(", "));
    }
    let names = list(&rule.resource_names);
    if !names.is_empty() {
        let _ = write!(text, " named {}", names.join(", "));
    }
    text
}

fn footing(pending: &PendingApproval) -> String {
    let mut text = String::new();
    line(&mut text, "Effect", &pending.effect);
    let needed = match pending.approvals_needed {
        1 => "one approval".to_owned(),
        more => format!("{more} approvals by different persons"),
    };
    line(&mut text, "Needs", &needed);
    line(
        &mut text,
        "Digest",
        &format!("{} (version {})", pending.digest, pending.digest_version),
    );
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn target() -> Target {
        "acme-1".parse().unwrap()
    }

    fn object(status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "acme-1", "uid": "1", "generation": 2},
            "spec": {"tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234"}, "status": status,
        }))
        .unwrap()
    }

    fn waits(action: &str) -> Value {
        json!({"action": action, "digest": DIGEST, "digestVersion": 1, "approvalsNeeded": 1, "effect": "jane gets in"})
    }

    #[test]
    fn a_name_alone_is_a_grant() {
        let parsed = |text: &str| text.parse::<Target>().map(|it| it.to_string());
        assert_eq!(parsed("acme-1").unwrap(), "AccessGrant acme-1");
        assert_eq!(parsed("ct/acme").unwrap(), "CustomerTenant acme");
        assert_eq!(
            parsed("TenancyPolicy/default").unwrap(),
            "TenancyPolicy default"
        );
        assert_eq!(parsed("legalholds/case").unwrap(), "LegalHold case");
        for wrong in ["pod/x", "ct/", "", "ct/a/b"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_waits_is_chosen_or_named() {
        let choose = |status: Value, action: Option<&str>| {
            chosen(&target(), &object(status), action).map(|it| it.action.as_str())
        };
        let told = |status: Value, action| choose(status, action).unwrap_err().to_string();
        let two =
            json!({"observedGeneration": 2, "pendingApprovals": [waits("Amend"), waits("Adopt")]});
        assert_eq!(choose(two.clone(), Some("Adopt")).unwrap(), "Adopt");
        assert!(told(two.clone(), None).contains("Amend, Adopt: say which one with --action"));
        assert!(told(two, Some("Terminate")).contains("--action"));
        let one = json!({"observedGeneration": 2, "pendingApprovals": [waits("Activate")]});
        assert_eq!(choose(one.clone(), None).unwrap(), "Activate");
        assert!(choose(one, Some("Amend")).is_err());
        let none = json!({"observedGeneration": 2, "conditions": [{"type": "Active", "status": "False", "message": "jane has left"}]});
        assert_eq!(
            told(none, None),
            "nothing waits for an approval on AccessGrant acme-1: jane has left"
        );
        let unread = json!({"observedGeneration": 2, "pendingApprovals": [waits("Unheard")]});
        assert!(told(unread, None).contains("cannot be read"));
    }

    #[test]
    fn a_status_of_an_older_spec_is_not_decided_on() {
        for status in [
            json!({"observedGeneration": 1, "pendingApprovals": [waits("Activate")]}),
            json!({"observedGeneration": -1, "pendingApprovals": [waits("Activate")]}),
            json!({"pendingApprovals": [waits("Activate")]}),
        ] {
            let error = chosen(&target(), &object(status), None).unwrap_err();
            assert!(error.to_string().contains("has not looked"), "{error}");
        }
        let mut going =
            object(json!({"observedGeneration": 2, "pendingApprovals": [waits("Activate")]}));
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-02-01T08:00:00Z")).unwrap();
        assert!(chosen(&target(), &going, None).is_err());
    }

    #[test]
    fn a_grant_is_shown_whole() {
        let spec: AccessGrantSpec = serde_json::from_value(json!({
            "tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "person": "jane",
            "role": "tenure-tenant-debugger", "namespaces": ["acme-prod", "acme-test"], "reason": "It hangs.\nTicket      none",
            "ticket": "CHG-1", "notAfter": "2026-02-01T16:00:00Z", "breakGlass": true, "requestedBy": "lead",
        }))
        .unwrap();
        let pending = serde_json::from_value(waits("Activate")).unwrap();
        let text = heading(&target(), &pending) + &about_grant(&spec) + &footing(&pending);
        let expect = format!(
            "Activate of AccessGrant acme-1

  Tenant      acme (5b0f7c1e-2d34-4a56-8b78-90abcdef1234)
  Person      jane
  Role        tenure-tenant-debugger
  Namespaces  acme-prod, acme-test
  From        its approval
  Until       2026-02-01T16:00:00Z
  Works       Remote, with Identity
  Break-glass active before anybody approves
  Reason      It hangs.
              Ticket      none
  Ticket      CHG-1
  Asked by    lead
  Effect      jane gets in
  Needs       one approval
  Digest      {DIGEST} (version 1)
"
        );
        assert_eq!(text, expect);
    }

    #[test]
    fn whoever_accepts_a_sweep_reads_every_object_that_stays() {
        let pending: PendingApproval = serde_json::from_value(waits("AcceptSweep")).unwrap();
        let sweep = json!({"sweep": {
            "lookedAt": "2026-02-01T10:00:05Z", "more": 1, "notLookedAt": ["tokens"],
            "findings": [
                {"kind": "CronJob", "namespace": "acme-prod", "name": "n", "uid": "o", "change": "Created",
                    "at": "2026-02-01T09:00:00Z", "author": "unknown", "claimedManager": "kubectl-create"},
                {"kind": "ClusterRoleBinding", "name": "b", "uid": "p", "change": "Changed", "author": "unknown"}
            ]
        }});
        let expect = "  Looked at   2026-02-01T10:00:05Z
  Stays       CronJob/acme-prod/n: created 2026-02-01T09:00:00Z, author unknown (claimed: kubectl-create)
              ClusterRoleBinding/b: changed, nobody knows when, author unknown
              and 1 more
  Not seen    tokens
";
        assert_eq!(about_sweep(&pending, &object(sweep)).unwrap(), expect);
        // Nothing to read is nothing to decide on.
        assert!(about_sweep(&pending, &object(json!({}))).is_err());
        let other: PendingApproval = serde_json::from_value(waits("Activate")).unwrap();
        assert_eq!(about_sweep(&other, &object(json!({}))).unwrap(), "");
    }

    #[test]
    fn a_rule_says_what_it_lets_do() {
        let rule = |value: Value| rule_text(&serde_json::from_value(value).unwrap());
        assert_eq!(
            rule(
                json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]})
            ),
            "get, create pods/exec"
        );
        assert_eq!(
            rule(
                json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["get"]})
            ),
            "get deployments of apps named a"
        );
    }
}
