//! `kubectl tenure approve` and `kubectl tenure reject`.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use tenure_crds::approval::{BehalfParty, Decision, OnBehalfOf, Subject as Named, TenantRef};
use tenure_crds::words::Evidence;
use tenure_crds::{Approval, ApprovalSpec};
use tenure_evidence::Digest;

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
  kubectl tenure approve ct/acme --action Amend --reason 'Amendment 1, signed by both' \
    --on-behalf-of-customer https://documents.example/amendment-1.pdf --evidence amendment-1.pdf
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
    /// The decision is the customer's, and stands in writing there.
    #[arg(long, value_name = "URI", requires = "evidence")]
    on_behalf_of_customer: Option<String>,
    /// A copy of that document. Its digest goes into the Approval; the document is sent nowhere.
    #[arg(long, value_name = "FILE", requires = "on_behalf_of_customer")]
    evidence: Option<PathBuf>,
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
        let on_behalf_of = self.on_behalf_of()?;
        let client = self.connection.client().await?;
        let action = self.action.as_deref();
        let subject = Subject::read(&client, &self.target, action).await?;
        output::tell(&subject.text);
        if let Some(OnBehalfOf { evidence, .. }) = &on_behalf_of {
            output::tell(&format!(
                "As the customer decided in {} ({})",
                evidence.uri, evidence.digest
            ));
        }
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
        let approval = self.approval(&subject, decision, on_behalf_of);
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

    /// The customer's word, where the decision is the customer's.
    fn on_behalf_of(&self) -> anyhow::Result<Option<OnBehalfOf>> {
        let (Some(uri), Some(file)) = (&self.on_behalf_of_customer, &self.evidence) else {
            return Ok(None);
        };
        let shown = || format!("evidence {}", file.display());
        let document = fs::read(file).with_context(shown)?;
        ensure!(!document.is_empty(), "{}: the file is empty", shown());
        Ok(Some(OnBehalfOf {
            party: BehalfParty::Customer,
            evidence: Evidence {
                uri: uri.clone(),
                digest: Digest::of(&document).to_string(),
            },
        }))
    }

    /// The decision as it is sent: who decides, admission writes.
    fn approval(
        &self,
        subject: &Subject,
        decision: Decision,
        on_behalf_of: Option<OnBehalfOf>,
    ) -> Approval {
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
            on_behalf_of,
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

    fn parsed(target: &str, more: &[&str]) -> Result<Arguments, clap::Error> {
        let end = "2026-02-01T16:00:00Z";
        let first = [
            "kubectl-tenure",
            "approve",
            target,
            "--reason",
            "Planned",
            "--not-after",
            end,
        ];
        match Cli::try_parse_from([&first[..], more].concat())?.command {
            Command::Approve(arguments) => Ok(arguments),
            _ => panic!("no approval"),
        }
    }

    fn arguments(target: &str) -> Arguments {
        parsed(target, &[]).unwrap()
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
        let made = arguments("acme-1").approval(&shown, Decision::Reject, None);
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
        let made = arguments("tp/default").approval(&platform, Decision::Approve, None);
        let made = serde_json::to_value(made).unwrap();
        assert!(
            made["spec"]["tenantRef"].is_null() && made["spec"]["subject"]["tenantID"].is_null()
        );
        assert_eq!(made["spec"]["action"], "Loosen");
    }

    #[test]
    fn the_customers_word_goes_with_where_it_stands_and_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("amendment.pdf");
        fs::write(&file, "abc").unwrap();
        let uri = "https://documents.example/amendment.pdf";
        let (on, file) = ("--on-behalf-of-customer", file.to_str().unwrap());
        let arguments = parsed("ct/acme", &[on, uri, "--evidence", file]).unwrap();
        let word = arguments.on_behalf_of().unwrap();
        let shown = subject("ct/acme", Some("acme"), |_| {});
        let made = arguments.approval(&shown, Decision::Approve, word);
        // SHA-256 of `abc`, as its standard gives it.
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            serde_json::to_value(made.spec.on_behalf_of).unwrap(),
            json!({"party": "Customer", "evidence": {"uri": uri, "digest": digest}})
        );
        // One without the other says nothing.
        assert!(parsed("ct/acme", &[on, uri]).is_err());
        assert!(parsed("ct/acme", &["--evidence", file]).is_err());
        fs::write(file, "").unwrap();
        let why = |arguments: &Arguments| format!("{:#}", arguments.on_behalf_of().unwrap_err());
        assert!(why(&arguments).contains("is empty"));
        fs::remove_file(file).unwrap();
        assert!(why(&arguments).contains("amendment.pdf"));
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
        let mut made = arguments("acme-1").approval(&shown, Decision::Approve, None);
        made.metadata.name = Some("acme-1-activate-x".into());
        made.spec.approver = serde_json::from_value(json!({"username": "ann"})).unwrap();
        assert_eq!(
            told(&made, &shown),
            "Approval acme-1-activate-x: ann approves Activate of AccessGrant acme-1\nIt needs 2 approvals by different persons.\nWhether it counts: kubectl get approval acme-1-activate-x\n"
        );
    }
}
