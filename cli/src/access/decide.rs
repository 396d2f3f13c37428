//! `kubectl tenure approve` and `kubectl tenure reject`.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use tenure_crds::approval::{Decision, Subject as Named, TenantRef};
use tenure_crds::{Approval, ApprovalSpec};

use super::Format;
use super::subject::{Subject, Target};
use crate::cluster::{Connection, said};
use crate::{Outcome, instant, output};

const HELP: &str = "\
Shows what waits for an approval, asks, and writes an Approval of exactly what was shown: it carries
the digest the operator computed over it. Where anything shown has changed by the time you answer,
nothing is sent.

Needs the verb `approve` on the tenant, or on tenancypolicies/default for the platform's settings
(role tenure-approver). Who decided is stamped by the API server; an approval by who asked, or by
the person who gets in, under whichever user name, does not count. A decision never changes: another
one is another Approval.";

const AFTER: &str = "\
Examples:
  kubectl tenure approve acme-chg-1042-x7k2p --reason 'Planned with the service desk'
  kubectl tenure reject acme-chg-1042-x7k2p --reason 'Not during the month-end run'
  kubectl tenure approve ct/acme --action Amend --reason 'Amendment 1, signed by both'
  kubectl tenure approve tp/default --reason 'Second edge, change 2026-114'";

/// Decide on what somebody else asked for, after reading what it is.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// An AccessGrant by its name, or KIND/NAME: ct/NAME (CustomerTenant), lh/NAME (LegalHold), tp/default (TenancyPolicy).
    #[arg(value_name = "GRANT|KIND/NAME")]
    target: Target,
    /// Why. It stands on the Approval.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which of several things that wait: Activate, Amend, Adopt ...
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Instant after which the decision no longer counts: 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    not_after: Option<jiff::Timestamp>,
    /// Do not ask, for scripts. What is decided on is printed all the same.
    #[arg(long, short)]
    yes: bool,
    /// Print the Approval as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    pub async fn run(&self, decision: Decision) -> anyhow::Result<Outcome> {
        ensure!(!self.reason.is_empty(), "--reason is empty: say why");
        ensure!(
            self.yes || io::stdin().is_terminal(),
            "there is no terminal to ask at: read what waits, then say --yes"
        );
        let client = self.connection.client().await?;
        let action = self.action.as_deref();
        let subject = Subject::read(&client, &self.target, action).await?;
        output::tell(&subject.text);
        let verb = verb(decision);
        if !self.yes {
            let question = format!("{verb} this? Only `yes` is taken for one: ");
            ensure!(
                asked(&question, &mut io::stdin().lock())?,
                "nothing was sent"
            );
        }
        let now = Subject::read(&client, &self.target, action).await;
        let now = now.context("it was read again before anything was sent, and nothing was")?;
        unchanged(&subject, &now)?;
        let approval = self.approval(&subject, decision);
        let made = Api::<Approval>::all(client)
            .create(&PostParams::default(), &approval)
            .await
            .map_err(|error| said(&format!("the Approval of {}", self.target), error))?;
        let text = if self.json {
            Format::Json.text(&serde_json::to_value(&made)?)?
        } else {
            told(&made, &subject)
        };
        output::print(&text)?;
        Ok(Outcome::Fine)
    }

    /// The decision as it is sent: who decides, admission writes.
    fn approval(&self, subject: &Subject, decision: Decision) -> Approval {
        let pending = &subject.pending;
        let action = pending.action.as_str().to_ascii_lowercase();
        // A generated name is 63 characters where the API server has to cut it.
        let prefix: String = self.target.name.chars().take(100).collect();
        let spec = ApprovalSpec {
            action: pending.action,
            tenant_ref: subject
                .tenant
                .as_ref()
                .map(|(name, _)| TenantRef { name: name.clone() }),
            subject: Named {
                kind: self.target.kind.as_str().to_owned(),
                name: self.target.name.clone(),
                tenant_id: subject.tenant.as_ref().map(|(_, id)| id.clone()),
                digest: pending.digest.clone(),
                digest_version: pending.digest_version,
            },
            decision,
            reason: self.reason.clone(),
            on_behalf_of: None,
            not_after: self.not_after.map(super::until::text),
            approver: None,
        };
        Approval {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-{action}-", prefix.trim_end_matches(['-', '.']))),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        }
    }
}

fn verb(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "Approve",
        Decision::Reject => "Reject",
    }
}

/// Asks, and takes nothing but `yes` for one.
pub fn asked(question: &str, answers: &mut impl BufRead) -> anyhow::Result<bool> {
    let mut err = io::stderr().lock();
    let _ = write!(err, "\n{question}").and_then(|()| err.flush());
    let mut answer = String::new();
    answers
        .read_line(&mut answer)
        .context("the answer cannot be read")?;
    Ok(answer.trim() == "yes")
}

/// Refuses where what was shown is not what stands.
fn unchanged(shown: &Subject, now: &Subject) -> anyhow::Result<()> {
    if shown == now {
        return Ok(());
    }
    let what = if shown.pending == now.pending {
        "what was shown of it"
    } else {
        "what waits on it"
    };
    bail!(
        "{}: {what} has changed while you read, and nothing was sent: repeat the command and read it again",
        shown.target
    )
}

/// What was written, and what happens next.
fn told(made: &Approval, subject: &Subject) -> String {
    let name = made.name_any();
    let approver = made.spec.approver.as_ref();
    let by = approver.map_or("(not stamped)", |it| it.username.as_str());
    let spec = &made.spec;
    let verb = match spec.decision {
        Decision::Approve => "approves",
        Decision::Reject => "rejects",
    };
    let more = match subject.pending.approvals_needed {
        more if more > 1 && spec.decision == Decision::Approve => {
            format!("\nIt needs {more} approvals by different persons.")
        }
        _ => String::new(),
    };
    format!(
        "Approval {name}: {by} {verb} {} of {}{more}\nWhether it counts: kubectl get approval {name}\n",
        spec.action.as_str(),
        subject.target,
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Cli, Command};

    const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn arguments(target: &str) -> Arguments {
        let cli = Cli::try_parse_from([
            "kubectl-tenure",
            "approve",
            target,
            "--reason",
            "Planned",
            "--not-after",
            "2026-02-01T16:00:00Z",
        ]);
        let Command::Approve(arguments) = cli.unwrap().command else {
            panic!("no approval");
        };
        arguments
    }

    fn subject(target: &str, tenant: Option<&str>, change: impl FnOnce(&mut Value)) -> Subject {
        let mut pending = json!({"action": if tenant.is_some() {"Activate"} else {"Loosen"}, "digest": DIGEST, "digestVersion": 3,
            "approvalsNeeded": 2, "effect": "jane gets in"});
        change(&mut pending);
        Subject::of(
            target.parse().unwrap(),
            tenant.map(|name| {
                (
                    name.to_owned(),
                    "5b0f7c1e-2d34-4a56-8b78-90abcdef1234".to_owned(),
                )
            }),
            serde_json::from_value(pending).unwrap(),
        )
    }

    #[test]
    fn an_approval_is_of_exactly_what_was_shown() {
        let shown = subject("acme-1", Some("acme"), |_| {});
        let made = arguments("acme-1").approval(&shown, Decision::Reject);
        assert_eq!(
            serde_json::to_value(made).unwrap(),
            json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "acme-1-activate-"},
                "spec": {
                    "action": "Activate", "tenantRef": {"name": "acme"}, "decision": "Reject", "reason": "Planned",
                    "notAfter": "2026-02-01T16:00:00Z",
                    "subject": {
                        "kind": "AccessGrant", "name": "acme-1", "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234",
                        "digest": DIGEST, "digestVersion": 3,
                    },
                },
            })
        );
        let platform = subject("tp/default", None, |_| {});
        let made = arguments("tp/default").approval(&platform, Decision::Approve);
        let made = serde_json::to_value(made).unwrap();
        assert!(
            made["spec"]["tenantRef"].is_null() && made["spec"]["subject"]["tenantID"].is_null()
        );
        assert_eq!(made["spec"]["action"], "Loosen");
    }

    #[test]
    fn only_yes_is_yes() {
        let answer = |text: &str| asked("?", &mut text.as_bytes()).unwrap();
        assert!(answer("yes\n") && answer(" yes \n"));
        for no in ["", "\n", "y\n", "Yes\n", "no\n", "yes please\n"] {
            assert!(!answer(no), "{no:?}");
        }
    }

    #[test]
    fn what_changed_while_it_was_read_is_not_decided_on() {
        let shown = subject("acme-1", Some("acme"), |_| {});
        unchanged(&shown, &shown.clone()).unwrap();
        let other = DIGEST.replace('9', "8");
        let told = |now: &Subject| unchanged(&shown, now).unwrap_err().to_string();
        for change in [
            json!({"digest": other}),
            json!({"digestVersion": 4}),
            json!({"effect": "joe gets in"}),
        ] {
            let now = subject("acme-1", Some("acme"), |pending| {
                let change = change.as_object().unwrap().clone();
                pending.as_object_mut().unwrap().extend(change);
            });
            assert!(
                told(&now).contains("what waits on it has changed"),
                "{change}"
            );
        }
        let mut role = shown.clone();
        role.text.push_str("  Which may   get secrets\n");
        assert!(told(&role).contains("what was shown of it has changed"));
        let again = subject("acme-1", Some("other"), |_| {});
        assert!(told(&again).contains("nothing was sent"));
    }

    #[test]
    fn what_was_decided_is_said() {
        let shown = subject("acme-1", Some("acme"), |_| {});
        let mut made = arguments("acme-1").approval(&shown, Decision::Approve);
        made.metadata.name = Some("acme-1-activate-x".into());
        made.spec.approver = serde_json::from_value(json!({"username": "ann"})).unwrap();
        assert_eq!(
            told(&made, &shown),
            "Approval acme-1-activate-x: ann approves Activate of AccessGrant acme-1\nIt needs 2 approvals by different persons.\nWhether it counts: kubectl get approval acme-1-activate-x\n"
        );
    }
}
