//! `kubectl tenure status`.

use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use tenure_crds::access_grant::SweepFinding;
use tenure_crds::{AccessGrant, AccessGrantStatus};

use super::{condition, is_true};
use crate::cluster::{Connection, said};
use crate::{Outcome, output};

const HELP: &str = "\
Lists the grants of a tenant, or of all: who, as what, where, until when, and the state the operator
found with its reason. Grants that are over and proven so are left out, but for --all, and but for
those after which something stays that was created or changed meanwhile.

States
  New       the operator has not looked at it, or not at what was changed last
  Pending   not active, and why
  Active    the person is let in
  Unproven  over, and not yet proven that every API server says no
  Ended     over, and proven; or nobody was ever let in";

/// Show who has access to a tenant, who waits for it, and why.
#[derive(Args)]
#[command(long_about = HELP)]
pub struct Arguments {
    /// The tenant; all of them where absent.
    tenant: Option<String>,
    /// Show the grants that are over and proven so, too.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// One grant, as it is shown.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    tenant: String,
    person: String,
    role: String,
    namespaces: Vec<String>,
    not_after: String,
    state: State,
    /// The operator's one word, and its sentence.
    reason: String,
    message: String,
    break_glass: bool,
    approvals_needed: i32,
    /// What still answers yes although the grant has ended.
    remaining: Vec<String>,
    /// What was created or changed meanwhile and is there, what of it was not looked at, and why nothing is known of it.
    stays: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
enum State {
    Unproven,
    Active,
    Pending,
    New,
    Ended,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let client = arguments.connection.client().await?;
    let grants = Api::<AccessGrant>::all(client)
        .list(&ListParams::default())
        .await
        .map_err(|error| said("AccessGrants", error))?;
    let rows = rows(&grants.items, arguments.tenant.as_deref(), arguments.all);
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&rows)?)
    } else {
        table(&rows, arguments.tenant.as_deref())
    };
    output::print(&text)?;
    Ok(Outcome::Fine)
}

/// What is to be shown: what is open first, what ends first before the others.
fn rows(grants: &[AccessGrant], tenant: Option<&str>, all: bool) -> Vec<Row> {
    let is_asked = |row: &Row| {
        tenant.is_none_or(|tenant| row.tenant == tenant)
            && (all || row.state != State::Ended || !row.stays.is_empty())
    };
    let mut rows: Vec<Row> = grants.iter().map(row).filter(is_asked).collect();
    rows.sort_by_cached_key(|row| {
        let end = row.not_after.parse::<Timestamp>().ok();
        (row.state, end, row.name.clone())
    });
    rows
}

fn row(grant: &AccessGrant) -> Row {
    let spec = &grant.spec;
    let none = AccessGrantStatus::default();
    let status = grant.status.as_ref().unwrap_or(&none);
    let state = state(grant, status);
    // The condition that says why it is so.
    let kind = match state {
        State::New => None,
        State::Pending | State::Active => Some("Active"),
        State::Unproven => Some("EndProven"),
        State::Ended => Some("Ended"),
    };
    let why = kind.and_then(|kind| condition(&status.conditions, kind));
    let (reason, message) = match (why, state) {
        (Some(why), _) => (why.reason.clone(), why.message.clone()),
        (None, State::New) => (
            "NotLookedAt".into(),
            "the operator has not looked at it yet".into(),
        ),
        (None, _) => ("Unknown".into(), "the operator does not say why".into()),
    };
    Row {
        name: grant.name_any(),
        tenant: spec.tenant_ref.name.clone(),
        person: spec.person.clone(),
        role: spec.role.clone(),
        namespaces: spec.namespaces.clone(),
        not_after: spec.not_after.clone(),
        state,
        reason,
        message,
        break_glass: spec.break_glass == Some(true),
        approvals_needed: status
            .pending_approvals
            .iter()
            .map(|it| it.approvals_needed)
            .max()
            .unwrap_or(0),
        remaining: status.remaining.clone(),
        stays: stays(status),
    }
}

/// What stays of a grant that has ended, one line each.
fn stays(status: &AccessGrantStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(sweep) = &status.sweep {
        lines.extend(sweep.findings.iter().map(found));
        if sweep.more > 0 {
            lines.push(format!("and {} more", sweep.more));
        }
        lines.extend(sweep.not_looked_at.iter().cloned());
    }
    let unknown = condition(&status.conditions, "Swept").filter(|it| it.reason == "CouldNotLook");
    lines.extend(unknown.map(|it| it.message.clone()));
    lines
}

/// An object that was created or changed, in one line.
pub fn found(one: &SweepFinding) -> String {
    let place = match &one.namespace {
        Some(namespace) => format!("{namespace}/"),
        None => String::new(),
    };
    let when = match &one.at {
        Some(at) => format!(" {at}"),
        None => ", nobody knows when".into(),
    };
    let claimed = match &one.claimed_manager {
        Some(manager) => format!(" (claimed: {manager})"),
        None => String::new(),
    };
    let change = one.change.to_lowercase();
    format!(
        "{}/{place}{}: {change}{when}, author {}{claimed}",
        one.kind, one.name, one.author
    )
}

/// What the operator's conditions say. What it has not said counts as open, never as over.
fn state(grant: &AccessGrant, status: &AccessGrantStatus) -> State {
    let holds = |kind| is_true(&status.conditions, kind);
    // Nobody was let in: there is nothing to prove.
    let never =
        condition(&status.conditions, "EndProven").is_none() && status.active_since.is_none();
    if holds("Ended") && (holds("EndProven") || never) {
        State::Ended
    } else if holds("Ended") {
        State::Unproven
    } else if holds("Active") {
        State::Active
    } else if status.observed_generation != grant.metadata.generation {
        State::New
    } else {
        State::Pending
    }
}

fn table(rows: &[Row], tenant: Option<&str>) -> String {
    if rows.is_empty() {
        let whose = tenant.map_or("of any tenant".into(), |tenant| {
            format!("of tenant {tenant}")
        });
        return format!(
            "No grant {whose} is open, pending or unproven. --all shows those that ended.\n"
        );
    }
    let cells = rows.iter().map(|row| {
        let mark = if row.break_glass {
            " (break-glass)"
        } else {
            ""
        };
        [
            row.name.clone(),
            row.tenant.clone(),
            row.person.clone(),
            row.role.clone(),
            row.namespaces.join(","),
            row.not_after.clone(),
            format!("{:?}{mark}", row.state),
            row.reason.clone(),
        ]
        .map(|cell| output::plain(&cell).into_owned())
    });
    let head = [
        "GRANT", "TENANT", "PERSON", "ROLE", "WHERE", "UNTIL", "STATE", "WHY",
    ];
    let mut text = output::table(head, &cells.collect::<Vec<_>>());
    let noted = rows
        .iter()
        .filter(|row| row.state != State::Active || row.approvals_needed > 0)
        .filter(|row| !row.message.is_empty());
    for row in noted {
        text.push_str(&format!(
            "\n{}: {}\n",
            output::plain(&row.name),
            output::plain(&row.message)
        ));
        for remaining in &row.remaining {
            text.push_str(&format!(
                "  still answers yes: {}\n",
                output::plain(remaining)
            ));
        }
        for stays in &row.stays {
            text.push_str(&format!("  made meanwhile: {}\n", output::plain(stays)));
        }
        if row.approvals_needed > 0 {
            text.push_str(&format!(
                "  to decide on it: kubectl tenure approve {} --reason '...'\n",
                output::plain(&row.name)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn grant(
        name: &str,
        tenant: &str,
        until: &str,
        conditions: &[(&str, &str, &str)],
        more: Value,
    ) -> AccessGrant {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": format!("because {reason}"),
                    "lastTransitionTime": "2026-02-01T08:00:00Z"})
            })
            .collect();
        let mut status = json!({"observedGeneration": 1, "conditions": conditions});
        status
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "metadata": {"name": name, "generation": 1}, "status": status,
            "spec": {
                "tenantRef": {"name": tenant}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "person": "jane", "role": "viewer",
                "namespaces": [format!("{tenant}-prod")], "reason": "x", "ticket": "y", "notAfter": until,
            },
        }))
        .unwrap()
    }

    fn several() -> Vec<AccessGrant> {
        let waits = json!({"pendingApprovals": [{"action": "Activate", "digest": "sha256:0", "digestVersion": 1, "approvalsNeeded": 2, "effect": "e"}]});
        vec![
            grant(
                "over",
                "acme",
                "2026-02-01T10:00:00Z",
                &[
                    ("Ended", "True", "Expired"),
                    ("EndProven", "True", "Proven"),
                ],
                json!({}),
            ),
            grant(
                "later",
                "acme",
                "2026-02-01T12:00:00+02:00",
                &[("Active", "True", "Approved")],
                json!({}),
            ),
            grant(
                "sooner",
                "acme",
                "2026-02-01T09:00:00Z",
                &[("Active", "True", "Approved"), ("Ended", "False", "Open")],
                json!({}),
            ),
            grant(
                "waits",
                "acme",
                "2026-02-01T10:00:00Z",
                &[("Active", "False", "AwaitingApproval")],
                waits,
            ),
            grant(
                "left",
                "other",
                "2026-02-01T10:00:00Z",
                &[
                    ("Ended", "True", "Revoked"),
                    ("EndProven", "False", "StillAllowed"),
                    ("Active", "True", "X"),
                ],
                json!({"remaining": ["jane get pods by ClusterRoleBinding x"]}),
            ),
            grant(
                "new",
                "acme",
                "2026-02-01T10:00:00Z",
                &[],
                json!({"observedGeneration": -1}),
            ),
        ]
    }

    #[test]
    fn what_is_open_stands_first_and_what_is_over_is_left_out() {
        let states = |tenant, all| {
            let rows = rows(&several(), tenant, all);
            rows.into_iter()
                .map(|row| (row.name, row.state))
                .collect::<Vec<_>>()
        };
        let row = |name: &str, state| (name.to_owned(), state);
        assert_eq!(
            states(None, true),
            [
                row("left", State::Unproven),
                row("sooner", State::Active),
                row("later", State::Active),
                row("waits", State::Pending),
                row("new", State::New),
                row("over", State::Ended),
            ]
        );
        assert_eq!(states(Some("acme"), false).len(), 4);
        assert_eq!(states(Some("other"), false), [row("left", State::Unproven)]);
        assert_eq!(states(Some("nobody"), true), []);
    }

    #[test]
    fn the_table_says_who_where_until_when_and_why() {
        let text = table(&rows(&several(), None, false), None);
        let expect = "\
GRANT   TENANT  PERSON  ROLE    WHERE       UNTIL                      STATE     WHY
left    other   jane    viewer  other-prod  2026-02-01T10:00:00Z       Unproven  StillAllowed
sooner  acme    jane    viewer  acme-prod   2026-02-01T09:00:00Z       Active    Approved
later   acme    jane    viewer  acme-prod   2026-02-01T12:00:00+02:00  Active    Approved
waits   acme    jane    viewer  acme-prod   2026-02-01T10:00:00Z       Pending   AwaitingApproval
new     acme    jane    viewer  acme-prod   2026-02-01T10:00:00Z       New       NotLookedAt

left: because StillAllowed
  still answers yes: jane get pods by ClusterRoleBinding x

waits: because AwaitingApproval
  to decide on it: kubectl tenure approve waits --reason '...'

new: the operator has not looked at it yet
";
        assert_eq!(text, expect);
        assert!(table(&[], Some("acme")).starts_with("No grant of tenant acme is open"));
    }

    #[test]
    fn machines_read_the_same() {
        let rows = rows(&several(), Some("other"), false);
        assert_eq!(
            serde_json::to_value(rows).unwrap(),
            json!([{
                "name": "left", "tenant": "other", "person": "jane", "role": "viewer", "namespaces": ["other-prod"],
                "notAfter": "2026-02-01T10:00:00Z", "state": "Unproven", "reason": "StillAllowed", "message": "because StillAllowed",
                "breakGlass": false, "approvalsNeeded": 0, "remaining": ["jane get pods by ClusterRoleBinding x"], "stays": [],
            }])
        );
    }

    #[test]
    fn an_end_is_proven_or_nobody_was_let_in() {
        let until = "2026-02-01T10:00:00Z";
        let over = |conditions: &[(&str, &str, &str)], more| {
            let all = [&[("Ended", "True", "Expired")], conditions].concat();
            row(&grant("g", "acme", until, &all, more)).state
        };
        let let_in = || json!({"activeSince": "2026-02-01T08:00:00Z"});
        assert_eq!(over(&[], json!({})), State::Ended);
        assert_eq!(over(&[], let_in()), State::Unproven);
        assert_eq!(
            over(&[("EndProven", "Unknown", "Asking")], json!({})),
            State::Unproven
        );
        assert_eq!(
            over(&[("EndProven", "True", "Proven")], let_in()),
            State::Ended
        );
    }

    #[test]
    fn break_glass_that_waits_says_how_to_decide() {
        let waits = json!({"pendingApprovals": [{"action": "Activate", "digest": "sha256:0", "digestVersion": 1, "approvalsNeeded": 1, "effect": "e"}]});
        let open = grant(
            "g",
            "acme",
            "2026-02-01T10:00:00Z",
            &[("Active", "True", "BreakGlass")],
            waits,
        );
        let text = table(&rows(&[open], None, false), None);
        assert!(
            text.contains("g: because BreakGlass\n  to decide on it: kubectl tenure approve g "),
            "{text}"
        );
    }

    #[test]
    fn what_stays_of_a_grant_that_is_over_is_listed_until_somebody_decided() {
        let over = |more: Value, swept: (&str, &str, &str)| {
            let conditions = [
                ("Ended", "True", "Expired"),
                ("EndProven", "True", "Proven"),
                swept,
            ];
            grant("g", "acme", "2026-02-01T10:00:00Z", &conditions, more)
        };
        let open = json!({
            "activeSince": "2026-02-01T08:00:00Z",
            "pendingApprovals": [{"action": "AcceptSweep", "digest": "sha256:0", "digestVersion": 1, "approvalsNeeded": 1, "effect": "e"}],
            "sweep": {
                "lookedAt": "2026-02-01T10:00:05Z", "more": 2, "notLookedAt": ["tokens"],
                "findings": [
                    {"kind": "CronJob", "namespace": "acme-prod", "name": "n", "uid": "o", "change": "Created",
                        "at": "2026-02-01T09:00:00Z", "author": "unknown", "claimedManager": "kubectl-create"},
                    {"kind": "CertificateSigningRequest", "name": "c", "uid": "p", "change": "Changed", "author": "jane"}
                ]
            }
        });
        let rows = |grant| rows(&[grant], None, false);
        let shown = rows(over(open, ("Swept", "False", "Open")));
        let text = table(&shown, None);
        let expect = "
g: because Expired
  made meanwhile: CronJob/acme-prod/n: created 2026-02-01T09:00:00Z, author unknown (claimed: kubectl-create)
  made meanwhile: CertificateSigningRequest/c: changed, nobody knows when, author jane
  made meanwhile: and 2 more
  made meanwhile: tokens
  to decide on it: kubectl tenure approve g --reason '...'
";
        assert!(text.ends_with(expect), "{text}");
        let settled = json!({"activeSince": "2026-02-01T08:00:00Z"});
        assert_eq!(
            rows(over(settled.clone(), ("Swept", "True", "Accepted"))),
            []
        );
        let unknown = rows(over(settled, ("Swept", "Unknown", "CouldNotLook")));
        assert_eq!(unknown[0].stays, ["because CouldNotLook"]);
    }

    #[test]
    fn an_old_look_at_a_new_spec_is_no_state() {
        let mut changed = grant(
            "g",
            "acme",
            "2026-02-01T10:00:00Z",
            &[("Active", "False", "AwaitingApproval")],
            json!({}),
        );
        assert_eq!(row(&changed).state, State::Pending);
        changed.metadata.generation = Some(2);
        assert_eq!(row(&changed).state, State::New);
    }
}
