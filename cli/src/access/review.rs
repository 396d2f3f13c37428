//! `kubectl tenure review`.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use tenure_crds::AccessReview;
use tenure_crds::access_review::{ReviewDecision, ReviewLine};

use super::decide::asked;
use super::{Format, is_true};
use crate::cluster::{Connection, said};
use crate::{Outcome, output};

/// How often a write that crossed another one is tried: the operator writes its status meanwhile.
const TRIES: usize = 5;

const HELP: &str = "\
Shows every access to a tenant that is up for review, and decides which of it is kept. Without a
decision it only shows. A list is made by the operator two weeks before it is due, at most three
months after the last one; nothing can be reviewed before.

What nobody decided on when the day has come has lapsed: grants end, deployers and members are told
as overdue, bindings that nobody declared count as drift. What is revoked goes at once, and is not
taken back: grants end, deployers and members are bound nowhere for as long as they are declared
like this, other bindings are told until somebody removes them.

Needs the verb `review` on the tenant, or on tenancypolicies/default with --platform, and the right to
update AccessReviews (role tenure-reviewer). Who decided is stamped by the API server. Nobody reviews
their own access: such a decision does not count, and is listed.";

const AFTER: &str = "\
Examples:
  kubectl tenure review acme
  kubectl tenure review acme --keep AccessGrant/acme-chg-1042 --revoke 'spec.members ops' --reason 'Left the project'
  kubectl tenure review acme --keep-rest --reason 'Confirmed with the service desk'
  kubectl tenure review --platform";

/// Show who has access, and decide who keeps it.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// The tenant.
    #[arg(
        value_name = "TENANT",
        required_unless_present = "platform",
        conflicts_with = "platform"
    )]
    tenant: Option<String>,
    /// What reaches every tenant, instead of one.
    #[arg(long)]
    platform: bool,
    /// Keep this access: a line by its name, or by what gives it. May be repeated.
    #[arg(long, value_name = "LINE")]
    keep: Vec<String>,
    /// Revoke this access; needs --reason. May be repeated.
    #[arg(long, value_name = "LINE", requires = "reason")]
    revoke: Vec<String>,
    /// Keep everything that is shown and not decided on.
    #[arg(long)]
    keep_rest: bool,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask, for scripts. What is decided on is printed all the same.
    #[arg(long, short)]
    yes: bool,
    /// Print the AccessReview as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Decisions by index of the line.
type Decisions = Vec<(usize, ReviewDecision)>;

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let client = arguments.connection.client().await?;
    let Some(review) = newest(&client, arguments.tenant.as_deref()).await? else {
        let whom = arguments.tenant.as_deref().unwrap_or("every tenant");
        output::print(&format!(
            "No review of access to {whom} is open: its list is made two weeks before it is due, at most three months after the last.\n"
        ))?;
        return Ok(Outcome::Fine);
    };
    let decisions = decisions(&review, arguments)?;
    let shown = match decisions.is_empty() {
        true => review,
        false => decided(&client, review, &decisions, arguments).await?,
    };
    let text = match arguments.json {
        true => Format::Json.text(&serde_json::to_value(&shown)?)?,
        false => text(&shown),
    };
    output::print(&text)?;
    Ok(Outcome::Fine)
}

/// The review of a tenant, or of all of them, that was made last.
async fn newest(client: &Client, tenant: Option<&str>) -> anyhow::Result<Option<AccessReview>> {
    let api: Api<AccessReview> = Api::all(client.clone());
    let all = api
        .list(&ListParams::default())
        .await
        .map_err(|error| said("the AccessReviews", error))?;
    let of = |review: &AccessReview| {
        let named = review.spec.tenant_ref.as_ref();
        named.map(|named| named.name.as_str()) == tenant
    };
    let theirs = all.into_iter().filter(of);
    Ok(theirs.max_by(|left, right| left.spec.frozen_at.cmp(&right.spec.frozen_at)))
}

/// What is asked for, line by line.
fn decisions(review: &AccessReview, arguments: &Arguments) -> anyhow::Result<Decisions> {
    let lines = &review.spec.lines;
    let mut decisions = Decisions::new();
    let named = |names: &[String], decision| {
        names
            .iter()
            .map(|name| Ok((found(lines, name)?, decision)))
            .collect::<anyhow::Result<Decisions>>()
    };
    decisions.extend(named(&arguments.keep, ReviewDecision::Keep)?);
    decisions.extend(named(&arguments.revoke, ReviewDecision::Revoke)?);
    decisions.sort_by_key(|(index, _)| *index);
    if let Some(twice) = decisions.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!(
            "{} is named twice: keep it or revoke it",
            lines[twice[0].0].reference
        );
    }
    if arguments.keep_rest {
        let is_named = |index: usize| decisions.iter().any(|(named, _)| *named == index);
        let rest: Decisions = (0..lines.len())
            .filter(|index| lines[*index].decision.is_none() && !is_named(*index))
            .map(|index| (index, ReviewDecision::Keep))
            .collect();
        decisions.extend(rest);
        decisions.sort_by_key(|(index, _)| *index);
    }
    Ok(decisions)
}

fn found(lines: &[ReviewLine], name: &str) -> anyhow::Result<usize> {
    let found = lines
        .iter()
        .position(|line| line.name == name || line.reference == name);
    found.with_context(|| {
        format!("the review lists no {name}: kubectl tenure review shows what it lists")
    })
}

/// Shows what is decided, asks, and writes it into exactly the list that was shown.
async fn decided(
    client: &Client,
    review: AccessReview,
    decisions: &Decisions,
    arguments: &Arguments,
) -> anyhow::Result<AccessReview> {
    ensure!(
        arguments.yes || io::stdin().is_terminal(),
        "there is no terminal to ask at: read what is decided, then say --yes"
    );
    output::tell(&proposal(&review, decisions));
    if !arguments.yes {
        ensure!(
            asked(
                "Decide so? Only `yes` is taken for one: ",
                &mut io::stdin().lock()
            )?,
            "nothing was sent"
        );
    }
    let api: Api<AccessReview> = Api::all(client.clone());
    let name = review.name_any();
    let what = format!("AccessReview {name}");
    let mut object = review.clone();
    for _ in 0..TRIES {
        for (index, decision) in decisions {
            let line = &mut object.spec.lines[*index];
            line.decision = Some(*decision);
            line.reason.clone_from(&arguments.reason);
        }
        match api.replace(&name, &PostParams::default(), &object).await {
            Ok(made) => return Ok(made),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(said(&what, error)),
        }
        object = api.get(&name).await.map_err(|error| said(&what, error))?;
        ensure!(
            object.uid() == review.uid(),
            "{what} was made again meanwhile: look at it again, then repeat the command"
        );
    }
    bail!("{what} changes all the time and was not written: repeat the command")
}

fn proposal(review: &AccessReview, decisions: &Decisions) -> String {
    let rows: Vec<[String; 4]> = decisions
        .iter()
        .map(|(index, decision)| {
            let line = &review.spec.lines[*index];
            [
                decision.as_str().to_owned(),
                plain(&line.reference),
                plain(&line.who.join(", ")),
                plain(&line.role),
            ]
        })
        .collect();
    output::table(["DECISION", "WHAT", "WHO", "ROLE"], &rows)
}

fn text(review: &AccessReview) -> String {
    let spec = &review.spec;
    let whom = match &spec.tenant_ref {
        Some(tenant) => plain(&tenant.name),
        None => "every tenant".to_owned(),
    };
    let status = review.status.clone().unwrap_or_default();
    let conditions = &status.conditions;
    let standing = match (
        is_true(conditions, "Completed"),
        is_true(conditions, "Lapsed"),
    ) {
        (true, _) => "completed".to_owned(),
        (false, true) => format!("lapsed: it was due at {}", plain(&spec.due_at)),
        (false, false) => format!("to be decided by {}", plain(&spec.due_at)),
    };
    let mut text = format!(
        "Access to {whom} as it was at {}; {standing}.\n\n",
        plain(&spec.frozen_at)
    );
    let rows: Vec<[String; 6]> = spec.lines.iter().map(row).collect();
    let head = ["DECISION", "BY", "WHAT", "WHO", "ROLE", "WHERE"];
    text.push_str(&output::table(head, &rows));
    if let Some(more) = status.unlisted.filter(|more| *more > 0) {
        text.push_str(&format!(
            "\n{more} more found no room in the list: remove bindings that nobody needs, the next review lists the others.\n"
        ));
    }
    for void in &status.void {
        let line = spec.lines.iter().find(|line| line.name == void.name);
        let what = line.map_or(&void.name, |line| &line.reference);
        text.push_str(&format!("\n{}: {}\n", plain(what), plain(&void.why)));
    }
    text
}

fn row(line: &ReviewLine) -> [String; 6] {
    let decision = line.decision.map_or("-", ReviewDecision::as_str);
    let mut role = plain(&line.role);
    if line.privileged == Some(true) {
        role.push_str(" (privileged)");
    }
    let places = line.namespaces.as_deref().unwrap_or_default();
    [
        decision.to_owned(),
        plain(line.decided_by.as_deref().unwrap_or("-")),
        plain(&line.reference),
        plain(&line.who.join(", ")),
        role,
        match places {
            [] => "every namespace".to_owned(),
            places => plain(&places.join(", ")),
        },
    ]
}

fn plain(text: &str) -> String {
    output::plain(text).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(words: &[&str]) -> Arguments {
        let words = ["review"].iter().chain(words);
        Command::try_parse_from(words).unwrap().arguments
    }

    fn review() -> AccessReview {
        serde_json::from_value(json!({
            "metadata": {"name": "acme-1", "uid": "u"},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234",
                "frozenAt": "2026-03-18T00:00:00Z", "dueAt": "2026-04-01T00:00:00Z",
                "lines": [
                    {"name": "grant-1", "kind": "Grant", "who": ["StaffMember/jane"], "role": "ClusterRole/view",
                     "namespaces": ["acme-prod"], "reference": "AccessGrant/chg-1", "decision": "Keep", "decidedBy": "lead"},
                    {"name": "member-ops-2", "kind": "Member", "who": ["Group/ops"], "role": "ClusterRole/member",
                     "namespaces": ["acme-prod"], "reference": "spec.members ops"},
                    {"name": "binding-3", "kind": "Binding", "who": ["User/\u{202e}eve"], "role": "ClusterRole/admin",
                     "reference": "ClusterRoleBinding/eve", "privileged": true}
                ]
            },
            "status": {"void": [{"name": "member-ops-2", "why": "nobody reviews their own access"}]}
        }))
        .unwrap()
    }

    #[test]
    fn lines_are_named_by_what_gives_the_access_or_by_their_name() {
        let of = |words: &[&str]| decisions(&review(), &arguments(words));
        let chosen = of(&[
            "acme",
            "--keep",
            "spec.members ops",
            "--revoke",
            "binding-3",
            "--reason",
            "x",
        ]);
        assert_eq!(
            chosen.unwrap(),
            [(1, ReviewDecision::Keep), (2, ReviewDecision::Revoke)]
        );
        assert_eq!(of(&["acme"]).unwrap(), []);
        let rest = of(&[
            "acme",
            "--revoke",
            "binding-3",
            "--reason",
            "x",
            "--keep-rest",
        ]);
        assert_eq!(
            rest.unwrap(),
            [(1, ReviewDecision::Keep), (2, ReviewDecision::Revoke)]
        );
        let unknown = of(&["acme", "--keep", "grant-9"]).unwrap_err().to_string();
        assert!(unknown.contains("lists no grant-9"), "{unknown}");
        let twice = of(&[
            "acme",
            "--keep",
            "binding-3",
            "--revoke",
            "binding-3",
            "--reason",
            "x",
        ]);
        assert!(twice.unwrap_err().to_string().contains("named twice"));
    }

    #[test]
    fn whoever_revokes_says_why_and_a_review_is_of_one_tenant_or_of_all() {
        for words in [
            &["acme", "--revoke", "binding-3"][..],
            &["acme", "--platform"],
            &[],
        ] {
            let words = ["review"].iter().chain(words);
            assert!(Command::try_parse_from(words).is_err());
        }
        assert!(arguments(&["--platform"]).platform);
    }

    #[test]
    fn list_shows_who_has_what_and_what_does_not_count() {
        let text = text(&review());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "Access to acme as it was at 2026-03-18T00:00:00Z; to be decided by 2026-04-01T00:00:00Z."
        );
        assert!(
            lines[3].starts_with("Keep      lead  AccessGrant/chg-1"),
            "{text}"
        );
        assert!(
            lines[4].starts_with("-         -     spec.members ops"),
            "{text}"
        );
        assert!(
            lines[5].contains(r"User/\u{202e}eve")
                && lines[5].ends_with("(privileged)  every namespace"),
            "{text}"
        );
        assert_eq!(
            lines[7],
            "spec.members ops: nobody reviews their own access"
        );
    }
}
