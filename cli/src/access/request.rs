//! `kubectl tenure request`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use tenure_crds::access_grant::{Credential, Location};
use tenure_crds::approval::TenantRef;
use tenure_crds::{AccessGrant, AccessGrantSpec, CustomerTenant, StaffMember};

use super::{Format, condition, is_true, until};
use crate::cluster::{Connection, said, user};
use crate::{Outcome, instant, output};

const HELP: &str = "\
Asks for one person's access to one tenant: as one role, in some of its namespaces, for one reason
and one window. Writes an AccessGrant; whether and when it becomes active the operator decides, by
the tenant, the TenancyPolicy, the person's StaffMember and somebody else's approval.

Needs the verb `request` on the tenant (role tenure-requester), or `break-glass` with --break-glass
(role tenure-break-glass): then it is active at once, raises an alert, and ends within 24 hours
unless it is approved afterwards.

Who asked is stamped by the API server. Nothing of a grant can be changed later, but that it ends
earlier: kubectl tenure revoke.";

const AFTER: &str = "\
Examples:
  kubectl tenure request acme --role tenure-tenant-operator --namespace acme-prod --for 4h \\
    --ticket CHG-1042 --reason 'The planner hangs and has to be restarted'
  kubectl tenure request acme --role tenure-tenant-debugger --namespace prod --session \\
    --person engineer-seven --from 2026-12-01T08:00:00Z --until 2026-12-01T12:00:00Z \\
    --ticket INC-88 --reason 'Heap dumps of the planner' --dry-run client --output yaml > grant.yaml";

/// Ask for access to a tenant: one person, one role, one reason, one window.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER, group = ArgGroup::new("end").args(["length", "until"]).required(true))]
pub struct Arguments {
    /// The tenant to get into.
    tenant: String,
    /// As what: a role of the TenancyPolicy's grantableRoles.
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// Where: a namespace of the tenant, by its full name or by its short one in the CustomerTenant. May be given again.
    #[arg(long = "namespace", short, value_name = "NAME", required = true)]
    namespaces: Vec<String>,
    /// Who gets in, by StaffMember name; the one whose identities hold your user name where absent.
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Which of the person's identities; the StaffMember's first where absent.
    #[arg(long, value_name = "USER")]
    identity: Option<String>,
    /// How long: 4h, 90m, 2d.
    #[arg(long = "for", value_name = "LENGTH", value_parser = until::span)]
    length: Option<SignedDuration>,
    /// Until when: 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    until: Option<Timestamp>,
    /// From when; from its approval on where absent.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    from: Option<Timestamp>,
    /// Why. Everybody who may read grants reads it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The ticket, change or incident.
    #[arg(long, value_name = "ID")]
    ticket: String,
    /// From where the person works: OnSite or Remote; Remote where absent.
    #[arg(long, value_name = "WHERE", value_parser = location)]
    location: Option<Location>,
    /// Active at once and approved afterwards.
    #[arg(long)]
    break_glass: bool,
    /// With an account of its own, whose tokens end by themselves.
    #[arg(long)]
    session: bool,
    /// Where the customer accepted that the identity is a shared account.
    #[arg(long, value_name = "REFERENCE")]
    exception_reference: Option<String>,
    /// Name of the grant; made of the tenant and the ticket where absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// `client`: print the grant and send nothing; for Git.
    #[arg(long, value_name = "client", value_parser = ["client"], num_args = 1)]
    dry_run: Option<String>,
    /// Print the grant instead of what happens next.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Format>,
    /// The same as --output json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Wait until it is active, or is over, or somebody has to act.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "LENGTH", value_parser = until::span, default_value = "1h", requires = "wait")]
    timeout: SignedDuration,
    #[command(flatten)]
    connection: Connection,
}

fn location(text: &str) -> Result<Location, String> {
    match text {
        "OnSite" => Ok(Location::OnSite),
        "Remote" => Ok(Location::Remote),
        _ => Err("write OnSite or Remote".into()),
    }
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let client = arguments.connection.client().await?;
    let tenant = Api::<CustomerTenant>::all(client.clone())
        .get(&arguments.tenant)
        .await
        .map_err(|error| said(&format!("CustomerTenant {}", arguments.tenant), error))?;
    let person = match &arguments.person {
        Some(person) => person.clone(),
        None => caller(&client).await?,
    };
    let grant = built(arguments, &tenant, person, Timestamp::now())?;
    let format = arguments.output.or(arguments.json.then_some(Format::Json));
    if arguments.dry_run.is_some() {
        let object = serde_json::to_value(named(grant))?;
        output::print(&format.unwrap_or(Format::Yaml).text(&object)?)?;
        return Ok(Outcome::Fine);
    }
    let grants: Api<AccessGrant> = Api::all(client);
    let made = grants
        .create(&PostParams::default(), &grant)
        .await
        .map_err(|error| said(&format!("a grant for {}", arguments.tenant), error))?;
    if !arguments.wait {
        return shown(&made, format);
    }
    output::tell(&next(&made));
    let settled = waited(&grants, &made, arguments.timeout).await?;
    if format.is_some() {
        shown(&settled, format)?;
    }
    standing(&settled)
}

/// Prints a grant, or what happens to it next.
fn shown(grant: &AccessGrant, format: Option<Format>) -> anyhow::Result<Outcome> {
    let text = match format {
        Some(format) => format.text(&serde_json::to_value(grant)?)?,
        None => next(grant),
    };
    output::print(&text)?;
    Ok(Outcome::Fine)
}

/// The one person who has the caller's user name.
async fn caller(client: &Client) -> anyhow::Result<String> {
    let user = user(client).await?;
    let staff = Api::<StaffMember>::all(client.clone())
        .list(&ListParams::default())
        .await
        .map_err(|error| said("StaffMembers", error))?;
    person_of(&user, &staff.items)
}

fn person_of(user: &str, staff: &[StaffMember]) -> anyhow::Result<String> {
    let has = |member: &&StaffMember| member.spec.identities.iter().any(|it| it == user);
    let mut found: Vec<String> = staff.iter().filter(has).map(|it| it.name_any()).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!(
            "no StaffMember has your user name {user}: name the person with --person, or have the HR sync add the identity"
        ),
        _ => bail!(
            "{} have your user name {user}, which may be one person's only: name the person with --person, and tell who keeps the StaffMembers",
            found.join(" and ")
        ),
    }
}

/// The grant as it is sent: no status, and no requester, whom admission writes.
fn built(
    arguments: &Arguments,
    tenant: &CustomerTenant,
    person: String,
    now: Timestamp,
) -> anyhow::Result<AccessGrant> {
    let not_after = until::end(now, arguments.from, arguments.length, arguments.until)?;
    let spec = AccessGrantSpec {
        tenant_ref: TenantRef {
            name: arguments.tenant.clone(),
        },
        tenant_id: tenant.spec.tenant_id.clone(),
        person,
        identity: arguments.identity.clone(),
        role: arguments.role.clone(),
        namespaces: arguments
            .namespaces
            .iter()
            .map(|name| full_name(name, tenant))
            .collect(),
        reason: arguments.reason.clone(),
        ticket: arguments.ticket.clone(),
        not_before: arguments.from.map(until::text),
        not_after: until::text(not_after),
        location: arguments.location,
        break_glass: arguments.break_glass.then_some(true),
        credential: arguments.session.then_some(Credential::Session),
        exception_reference: arguments.exception_reference.clone(),
        revoked: None,
        requested_by: None,
    };
    let prefix = prefix(&arguments.tenant, &arguments.ticket);
    let metadata = match &arguments.name {
        Some(name) => ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        },
        None => ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            ..ObjectMeta::default()
        },
    };
    Ok(AccessGrant {
        metadata,
        spec,
        status: None,
    })
}

/// A namespace's name in the cluster, where its short name in the CustomerTenant was given.
fn full_name(given: &str, tenant: &CustomerTenant) -> String {
    let entry = tenant.spec.namespaces.iter().find(|it| it.name == given);
    match entry {
        Some(entry) => entry
            .existing_name
            .clone()
            .unwrap_or_else(|| format!("{}-{given}", tenant.name_any())),
        None => given.to_owned(),
    }
}

/// What a grant is called after: its tenant and its ticket, as far as a name can hold them.
fn prefix(tenant: &str, ticket: &str) -> String {
    let mut name = tenant.to_owned();
    let words = ticket
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    for word in words {
        name.push('-');
        name.push_str(&word.to_ascii_lowercase());
    }
    name.truncate(100);
    name.trim_end_matches('-').to_owned()
}

/// The grant with a name of its own: a file in Git has one.
fn named(mut grant: AccessGrant) -> AccessGrant {
    if let Some(prefix) = grant.metadata.generate_name.take() {
        grant.metadata.name = Some(prefix.trim_end_matches('-').to_owned());
    }
    grant
}

/// What was asked for, and what happens next.
fn next(grant: &AccessGrant) -> String {
    let AccessGrantSpec {
        tenant_ref,
        person,
        role,
        namespaces,
        not_before,
        not_after,
        break_glass,
        ..
    } = &grant.spec;
    let name = grant.name_any();
    let from = match not_before {
        Some(instant) => format!("from {instant}"),
        None if *break_glass == Some(true) => "from now on".into(),
        None => "from its approval on".into(),
    };
    let approval = if *break_glass == Some(true) {
        "It opens at once, raises an alert, and ends within 24 hours unless somebody else approves it"
    } else {
        "Somebody else approves it"
    };
    format!(
        "AccessGrant {name}: {person} as {role} in {} {from} until {not_after}

What next
1. {approval}, who is neither you nor {person}:
     kubectl tenure approve {name} --reason '...'
2. Whether it is active, and what it waits for:
     kubectl tenure status {tenant}
3. To end it before {not_after}:
     kubectl tenure revoke {name} --reason '...'
",
        namespaces.join(", "),
        tenant = tenant_ref.name,
    )
}

/// Waits until the grant is active, or over, or somebody has to act, or is gone.
async fn waited(
    grants: &Api<AccessGrant>,
    made: &AccessGrant,
    timeout: SignedDuration,
) -> anyhow::Result<AccessGrant> {
    let name = made.name_any();
    let uid = made.uid();
    let settled = |grant: Option<&AccessGrant>| {
        grant.is_none_or(|grant| grant.uid() != uid || is_settled(grant))
    };
    let limit = Duration::try_from(timeout).context("--timeout is too long")?;
    let found = tokio::time::timeout(limit, await_condition(grants.clone(), &name, settled)).await;
    let found = found.with_context(|| {
        format!("AccessGrant {name} is not active yet: it goes on without you; see kubectl tenure status")
    })?;
    let found = found.with_context(|| format!("AccessGrant {name} cannot be watched"))?;
    found
        .filter(|grant| grant.uid() == uid)
        .with_context(|| format!("AccessGrant {name} was deleted, which ends it"))
}

fn is_settled(grant: &AccessGrant) -> bool {
    let conditions = grant
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    ["Active", "Ended", "Stalled"]
        .iter()
        .any(|kind| is_true(conditions, kind))
}

/// What the operator says of a grant that was waited for.
fn standing(grant: &AccessGrant) -> anyhow::Result<Outcome> {
    let name = grant.name_any();
    let conditions = grant
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    if is_true(conditions, "Active") && !is_true(conditions, "Ended") {
        output::tell(&format!(
            "AccessGrant {name} is active until {}",
            grant.spec.not_after
        ));
        return Ok(Outcome::Fine);
    }
    let why = ["Ended", "Stalled", "Active"]
        .iter()
        .filter_map(|kind| condition(conditions, kind))
        .find(|it| it.type_ == "Active" || it.status == "True");
    let why = why.map_or("the operator does not say why", |it| it.message.as_str());
    output::tell(&format!("AccessGrant {name} is not active: {why}"));
    Ok(Outcome::Findings)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Cli, Command};

    fn arguments(more: &[&str]) -> Box<Arguments> {
        let least = [
            "kubectl-tenure",
            "request",
            "acme",
            "--role",
            "tenure-tenant-operator",
            "--namespace",
            "prod",
            "--reason",
            "It hangs",
            "--ticket",
            "CHG-1042",
        ];
        let cli = Cli::try_parse_from(least.iter().chain(more)).unwrap();
        let Command::Request(arguments) = cli.command else {
            panic!("no request");
        };
        arguments
    }

    fn tenant() -> CustomerTenant {
        serde_json::from_value(json!({
            "metadata": {"name": "acme"},
            "spec": {
                "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "customer": {"name": "Example"}, "classification": "Restricted",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-31"}],
                "namespaces": [{"name": "prod"}, {"name": "old", "existingName": "logistics"}],
            },
        }))
        .unwrap()
    }

    fn member(name: &str, identities: &[&str]) -> StaffMember {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"identities": identities, "status": "Active"}}))
            .unwrap()
    }

    fn object(more: &[&str]) -> Value {
        let now = "2026-02-01T08:00:00Z".parse().unwrap();
        let grant = built(&arguments(more), &tenant(), "jane".into(), now).unwrap();
        serde_json::to_value(grant).unwrap()
    }

    #[test]
    fn arguments_become_the_grant_that_was_meant() {
        let least = object(&["--for", "4h"]);
        assert_eq!(
            least,
            json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"generateName": "acme-chg-1042-"},
                "spec": {
                    "tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "person": "jane",
                    "role": "tenure-tenant-operator", "namespaces": ["acme-prod"], "reason": "It hangs", "ticket": "CHG-1042",
                    "notAfter": "2026-02-01T12:00:00Z",
                },
            })
        );
        let all = object(&[
            "--from",
            "2026-02-02T08:00:00+01:00",
            "--until",
            "2026-02-02T09:00:00Z",
            "--namespace",
            "old",
            "--namespace",
            "acme-test",
            "--location",
            "OnSite",
            "--break-glass",
            "--session",
            "--identity",
            "jane-admin",
            "--exception-reference",
            "Amendment 3",
            "--name",
            "mine",
        ]);
        assert_eq!(all["metadata"], json!({"name": "mine"}));
        assert_eq!(
            all["spec"]["namespaces"],
            json!(["acme-prod", "logistics", "acme-test"])
        );
        let wanted = json!({
            "notBefore": "2026-02-02T07:00:00Z", "notAfter": "2026-02-02T09:00:00Z", "location": "OnSite", "breakGlass": true,
            "credential": "Session", "identity": "jane-admin", "exceptionReference": "Amendment 3",
        });
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&all["spec"][field], value, "{field}");
        }
    }

    #[test]
    fn a_window_must_be_given_once() {
        let parse = |more: &[&str]| {
            let least = [
                "kubectl-tenure",
                "request",
                "acme",
                "--role",
                "r",
                "--namespace",
                "n",
                "--reason",
                "r",
                "--ticket",
                "t",
            ];
            Cli::try_parse_from(least.iter().chain(more)).is_ok()
        };
        assert!(parse(&["--for", "1h"]) && parse(&["--until", "2026-02-01T08:00:00Z"]));
        assert!(!parse(&[]));
        assert!(!parse(&["--for", "1h", "--until", "2026-02-01T08:00:00Z"]));
        assert!(!parse(&["--for", "1h", "--location", "Home"]));
        assert!(!parse(&["--for", "1h", "--dry-run", "server"]));
    }

    #[test]
    fn the_caller_is_one_person() {
        let staff = [
            member("jane", &["jane", "jane-admin"]),
            member("joe", &["joe", "shared"]),
            member("jim", &["shared"]),
        ];
        assert_eq!(person_of("jane-admin", &staff).unwrap(), "jane");
        let told = |user| person_of(user, &staff).unwrap_err().to_string();
        assert!(told("jane2").contains("no StaffMember has your user name jane2"));
        assert!(told("shared").contains("joe and jim"));
    }

    #[test]
    fn a_name_is_made_of_what_a_name_can_hold() {
        assert_eq!(prefix("acme", "CHG 1042/é7"), "acme-chg-1042-7");
        assert_eq!(prefix("acme", "—"), "acme");
        assert!(prefix("acme", &"x".repeat(253)).len() <= 100);
        let now = "2026-02-01T08:00:00Z".parse().unwrap();
        let grant = built(&arguments(&["--for", "4h"]), &tenant(), "jane".into(), now).unwrap();
        assert_eq!(named(grant).metadata.name.unwrap(), "acme-chg-1042");
    }

    #[test]
    fn what_happens_next_is_said() {
        let now = "2026-02-01T08:00:00Z".parse().unwrap();
        let grant =
            |more: &[&str]| named(built(&arguments(more), &tenant(), "jane".into(), now).unwrap());
        assert_eq!(
            next(&grant(&["--for", "4h"])),
            "AccessGrant acme-chg-1042: jane as tenure-tenant-operator in acme-prod from its approval on until 2026-02-01T12:00:00Z

What next
1. Somebody else approves it, who is neither you nor jane:
     kubectl tenure approve acme-chg-1042 --reason '...'
2. Whether it is active, and what it waits for:
     kubectl tenure status acme
3. To end it before 2026-02-01T12:00:00Z:
     kubectl tenure revoke acme-chg-1042 --reason '...'
"
        );
        assert!(next(&grant(&["--for", "4h", "--break-glass"])).contains("raises an alert"));
    }

    #[test]
    fn waiting_ends_where_the_operator_has_said_something_for_good() {
        let grant = |conditions: &[(&str, &str)]| {
            let mut grant = built(
                &arguments(&["--for", "4h"]),
                &tenant(),
                "jane".into(),
                Timestamp::UNIX_EPOCH,
            )
            .unwrap();
            let conditions: Vec<Value> = conditions
                .iter()
                .map(|(kind, status)| json!({"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-02-01T08:00:00Z"}))
                .collect();
            grant.status =
                Some(serde_json::from_value(json!({ "conditions": conditions })).unwrap());
            grant.metadata.name = Some("g".into());
            (is_settled(&grant), standing(&grant).unwrap())
        };
        assert_eq!(
            grant(&[("Active", "True"), ("Ended", "False")]),
            (true, Outcome::Fine)
        );
        assert_eq!(grant(&[("Active", "False")]), (false, Outcome::Findings));
        assert_eq!(
            grant(&[("Active", "False"), ("Stalled", "True")]),
            (true, Outcome::Findings)
        );
        assert_eq!(
            grant(&[("Active", "True"), ("Ended", "True")]),
            (true, Outcome::Findings)
        );
        assert_eq!(grant(&[]), (false, Outcome::Findings));
    }
}
