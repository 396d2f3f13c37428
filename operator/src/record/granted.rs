//! An access grant as the record remembers it: what began is on record before anybody gets in, what ended stays ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenure_evidence::Event;

use super::{Allowed, Swept};

/// One grant that was, or is, active. Kept by the uid of its object.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// Name of the AccessGrant.
    pub name: String,
    /// The person let in, by StaffMember name.
    pub person: String,
    /// The identity that is bound.
    pub identity: String,
    /// The ServiceAccount as which the person comes, where the grant is for a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Every identity of the person when it began: as each of them it must have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// The person's groups when it began, as the identity sync knew them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What the person's job was when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_role: Option<String>,
    /// The role, a ClusterRole.
    pub role: String,
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// The ticket it is for.
    pub ticket: String,
    /// Digest of what was approved.
    pub digest: String,
    /// Who asked, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Whether it began without an approval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// RFC 3339 instant at which it began.
    pub activated_at: String,
    /// RFC 3339 instant at which it ends at the latest.
    pub not_after: String,
    /// When it was to end before that was moved earlier: until then an older copy of the grant would let somebody in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// Whether open sessions are cut with it, as the policy said when it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_sessions: bool,
    /// The Approvals it rests on; empty for break-glass that nobody approved yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<Allowed>,
    /// Its end, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
    /// The pods of these namespaces go with it, because sessions may be open in them; empty once they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions_in: Vec<String>,
    /// The proof of it: every API server was asked, and said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proven>,
    /// Since when, in its window, the operator cannot say that tokens were refused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_open: Option<String>,
    /// What was looked for after its end, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Swept>,
}

/// The proof of an end (DSA 2.13).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proven {
    /// RFC 3339 instant of the last "no".
    pub at: String,
    /// How many API servers there were; each said no to every question.
    pub servers: usize,
    /// How often they were asked.
    pub rounds: u32,
    /// RFC 3339 instant of the first "yes" after the end, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_yes: Option<String>,
    /// RFC 3339 instant of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_yes: Option<String>,
}

/// The end of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// RFC 3339 instant.
    pub at: String,
    /// What ended it, a word of a bounded set.
    pub why: String,
}

impl Granted {
    /// The Approvals it rests on, by uid and name.
    pub fn approvals(&self) -> Vec<(String, String)> {
        let allowed = self.approved_by.iter();
        allowed
            .map(|allowed| (allowed.uid.clone(), allowed.name.clone()))
            .collect()
    }

    /// When it began.
    pub fn activated_at(&self) -> Option<Timestamp> {
        self.activated_at.parse().ok()
    }

    /// Whether the person is let in by it.
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    /// What happened to it since it was as `before`.
    pub fn events(&self, uid: &str, before: Option<&Self>) -> Vec<Event> {
        let mut events = Vec::new();
        let names = |granted: &Self| -> Vec<String> {
            let allowed = granted.approved_by.iter();
            allowed.map(|allowed| allowed.name.clone()).collect()
        };
        match before {
            None => events.push(Event::GrantActivated {
                grant: self.name.clone(),
                uid: uid.to_owned(),
                person: self.person.clone(),
                identity: self.identity.clone(),
                account: self.account.clone(),
                role: self.role.clone(),
                namespaces: self.namespaces.clone(),
                ticket: self.ticket.clone(),
                digest: self.digest.clone(),
                requested_by: self.requested_by.clone(),
                approvals: names(self),
                break_glass: self.break_glass,
                not_after: self.not_after.clone(),
            }),
            Some(before) if before.approved_by != self.approved_by => {
                events.push(Event::GrantApproved {
                    grant: self.name.clone(),
                    uid: uid.to_owned(),
                    approvals: names(self),
                });
            }
            Some(_) => {}
        }
        let was_ended = before.is_some_and(|before| before.ended.is_some());
        if let Some(end) = &self.ended
            && !was_ended
        {
            events.push(Event::GrantEnded {
                grant: self.name.clone(),
                uid: uid.to_owned(),
                person: self.person.clone(),
                reason: end.why.clone(),
                ended_at: end.at.clone(),
            });
        }
        let open = before.is_some_and(|before| !before.sessions_in.is_empty());
        if self.sessions_in.is_empty() && open {
            events.push(Event::GrantSessionsCut {
                grant: self.name.clone(),
                uid: uid.to_owned(),
                namespaces: self.namespaces.clone(),
            });
        }
        let was_proven = before.is_some_and(|before| before.proof.is_some());
        if let Some(proof) = &self.proof
            && !was_proven
        {
            events.push(Event::GrantEndProven {
                grant: self.name.clone(),
                uid: uid.to_owned(),
                person: self.person.clone(),
                proven_at: proof.at.clone(),
                servers: proof.servers,
                rounds: proof.rounds,
                first_yes: proof.first_yes.clone(),
                last_yes: proof.last_yes.clone(),
            });
        }
        if let Some(swept) = &self.sweep {
            let before = before.and_then(|before| before.sweep.as_ref());
            events.extend(swept.events(uid, self, before));
        }
        events
    }
}
