//! An access review as the record remembers it (DSA 2.4): what was listed is on record before anybody decides, and a decision
//! before it is acted on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tenure_crds::CustomerTenantSpec;
use tenure_crds::access_review::{AccessKind, ReviewDecision};
use tenure_crds::customer_tenant::{Deployer, Member, MemberKind, TenantRole};
use tenure_evidence::Event;

/// A review of access, open or closed; of a tenant, or of the platform.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Counts the reviews. Number 0 was none: from there the first is counted.
    pub number: u32,
    /// RFC 3339 instant at which its list was made.
    pub frozen_at: String,
    /// RFC 3339 instant by which every line must be decided.
    pub due_at: String,
    /// What was listed, sorted by name. Of one that is closed, what is left of it: what grants gave is over or kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// Accesses that found no room in the list.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unlisted: usize,
    /// RFC 3339 instant at which it was due and not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed_at: Option<String>,
    /// RFC 3339 instant at which every line was decided, or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
}

/// One access that is, or was, to be reviewed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub kind: AccessKind,
    /// Whom it lets in: kind, slash, name.
    pub who: Vec<String>,
    /// As what: kind of the role, slash, name.
    pub role: String,
    /// Where, by namespace; everywhere when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// What gives it.
    pub reference: String,
    /// Whether it is privileged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// What was decided by somebody whose word counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// What a reviewer decided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// To keep it, or to revoke it.
    pub decision: ReviewDecision,
    /// Who, as admission stamped it.
    pub by: String,
    /// RFC 3339 instant at which it was recorded.
    pub at: String,
}

impl Decided {
    /// Whether nothing changes it any more.
    pub fn is_final(&self) -> bool {
        self.decision == ReviewDecision::Revoke
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Line {
    /// Whether a reviewer revoked it.
    pub fn is_revoked(&self) -> bool {
        self.decided.as_ref().is_some_and(Decided::is_final)
    }
}

impl Review {
    /// From where the first review is counted.
    pub fn counted_from(now: &str) -> Self {
        Self {
            number: 0,
            frozen_at: now.to_owned(),
            due_at: now.to_owned(),
            lines: Vec::new(),
            unlisted: 0,
            lapsed_at: None,
            closed_at: Some(now.to_owned()),
        }
    }

    /// Whether lines may still be decided.
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// The line of that name.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// Lines nobody decided on whose word counts.
    pub fn undecided(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.decided.is_none())
    }

    /// What was revoked and is still declared, or bound by others. A grant ends; what is left of it is told as such.
    pub fn revoked(&self) -> impl Iterator<Item = &Line> {
        let lines = self.lines.iter();
        lines.filter(|line| line.is_revoked() && line.kind != AccessKind::Grant)
    }

    /// Names of the bindings that a tenant declares and a reviewer revoked. One that is declared otherwise is another.
    pub fn withheld(&self, spec: &CustomerTenantSpec) -> BTreeSet<String> {
        let is_revoked = |line: &Line| self.line(&line.name).is_some_and(Line::is_revoked);
        declared(spec, &[])
            .into_iter()
            .filter(|(line, _)| is_revoked(line))
            .map(|(_, binding)| binding)
            .collect()
    }

    /// What happened to it since it was as `before`.
    pub fn events(&self, before: Option<&Self>) -> Vec<Event> {
        if self.number == 0 {
            return Vec::new();
        }
        let before = before.filter(|before| before.number == self.number);
        let mut events = Vec::new();
        if before.is_none() {
            events.push(Event::ReviewOpened {
                review: self.number,
                due_at: self.due_at.clone(),
                lines: self.lines.len(),
                unlisted: self.unlisted,
            });
        }
        let known =
            |line: &Line| before.and_then(|before| before.line(&line.name)?.decided.clone());
        for line in &self.lines {
            // A revocation from before that still holds is told once.
            if let Some(decided) = &line.decided
                && known(line).as_ref() != Some(decided)
                && decided.at >= self.frozen_at
            {
                events.push(Event::ReviewDecided {
                    review: self.number,
                    line: line.name.clone(),
                    about: line.reference.clone(),
                    who: line.who.clone(),
                    role: line.role.clone(),
                    decision: decided.decision.as_str().into(),
                    by: decided.by.clone(),
                });
            }
        }
        if self.lapsed_at.is_some() && before.is_none_or(|before| before.lapsed_at.is_none()) {
            events.push(Event::ReviewLapsed {
                review: self.number,
                undecided: self
                    .undecided()
                    .map(|line| line.reference.clone())
                    .collect(),
            });
        }
        if self.closed_at.is_some() && before.is_none_or(Self::is_open) {
            events.push(Event::ReviewCompleted {
                review: self.number,
                revoked: self.lines.iter().filter(|line| line.is_revoked()).count(),
            });
        }
        events
    }
}

/// The access a tenant declares, each with the name of the binding it becomes.
pub fn declared(spec: &CustomerTenantSpec, namespaces: &[String]) -> Vec<(Line, String)> {
    let deployers = spec.deployers.iter().map(|deployer| {
        let line = deployer_line(deployer, namespaces);
        (line, format!("tenure-deployer-{}", deployer.name))
    });
    let members = spec.members.iter().map(|member| {
        let line = member_line(member, namespaces);
        (line, format!("tenure-member-{}", member.name))
    });
    deployers.chain(members).collect()
}

fn deployer_line(deployer: &Deployer, namespaces: &[String]) -> Line {
    let role = deployer.role.unwrap_or(TenantRole::Deployer);
    let who = format!(
        "ServiceAccount/{}/{}",
        deployer.namespace, deployer.service_account
    );
    Line {
        name: named("deployer", &deployer.name, &[&who, role.cluster_role()]),
        kind: AccessKind::Deployer,
        who: vec![who],
        role: format!("ClusterRole/{}", role.cluster_role()),
        namespaces: namespaces.to_vec(),
        reference: format!("spec.deployers {}", deployer.name),
        privileged: false,
        decided: None,
    }
}

fn member_line(member: &Member, namespaces: &[String]) -> Line {
    let kind = match member.kind {
        MemberKind::User => "User",
        MemberKind::Group => "Group",
    };
    let who = format!("{kind}/{}", member.subject);
    Line {
        name: named("member", &member.name, &[&who, member.role.cluster_role()]),
        kind: AccessKind::Member,
        who: vec![who],
        role: format!("ClusterRole/{}", member.role.cluster_role()),
        namespaces: namespaces.to_vec(),
        reference: format!("spec.members {}", member.name),
        privileged: false,
        decided: None,
    }
}

/// A name for a line that is another one as soon as any of `parts` is.
pub fn named(kind: &str, entry: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hex: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match entry {
        "" => format!("{kind}-{hex}"),
        entry => format!("{kind}-{entry}-{hex}"),
    }
}
