//! What was looked for after a grant's end, and what became of it: what could carry the access on (DSA 2.4, 2.13).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenure_evidence::Event;
use tenure_evidence::event::Found;

use super::{Allowed, Granted};

/// The look for what was created or changed while a grant let somebody in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// RFC 3339 instant of the first look.
    pub at: String,
    /// Digest of all that is open; what an approval must name.
    pub digest: String,
    /// What was found and is there still, as far as it is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// What was not looked at and cannot be any more, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<String>,
    /// How it was settled, once it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// An object that was created or changed.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty where it is the cluster's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: one made again under the name is another.
    pub uid: String,
    /// What happened to it.
    pub change: Changed,
    /// RFC 3339 instant of that; absent where nothing on the object says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Who did it, where the API server stamped that on the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The field manager, which anybody can choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Changed {
    /// It was made.
    Created,
    /// It was there and was changed, or nothing on it says that it was not.
    Changed,
}

impl Changed {
    /// The word as it stands in status and on record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Changed => "Changed",
        }
    }
}

/// An end of a sweep.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// RFC 3339 instant.
    pub at: String,
    /// How.
    pub how: How,
    /// How many objects it is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub objects: usize,
    /// The Approvals, where somebody accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Allowed>,
}

/// How a sweep was settled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum How {
    /// The role lets nobody make or change what carries access on.
    NotPossible,
    /// There was nothing.
    NothingFound,
    /// All that was found is gone.
    Removed,
    /// Somebody else accepted what stays.
    Accepted,
}

impl How {
    /// The word as it stands in conditions and on record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPossible => "NotPossible",
            Self::NothingFound => "NothingFound",
            Self::Removed => "Removed",
            Self::Accepted => "Accepted",
        }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Swept {
    /// A look that settled the matter at once.
    pub fn at_once(at: Timestamp, how: How) -> Self {
        Self {
            at: at.to_string(),
            digest: String::new(),
            findings: Vec::new(),
            more: 0,
            not_looked_at: Vec::new(),
            settled: Some(Settled {
                at: at.to_string(),
                how,
                objects: 0,
                approvals: Vec::new(),
            }),
        }
    }

    /// Whether somebody has to remove something, or accept it.
    pub fn is_open(&self) -> bool {
        self.settled.is_none()
    }

    /// How many objects are open.
    pub fn objects(&self) -> usize {
        self.findings.len() + self.more
    }

    /// When the first look was.
    pub fn looked_at(&self) -> Option<Timestamp> {
        self.at.parse().ok()
    }

    /// Settles it. What is named stands in the chain, and is not carried on.
    pub fn settle(&mut self, at: Timestamp, how: How, approvals: Vec<Allowed>) {
        self.settled = Some(Settled {
            at: at.to_string(),
            how,
            objects: self.objects(),
            approvals,
        });
        self.findings = Vec::new();
        self.more = 0;
    }

    /// What it tells of a grant, since it was as `before`.
    pub fn events(&self, uid: &str, granted: &Granted, before: Option<&Self>) -> Vec<Event> {
        let mut events = Vec::new();
        let is_news = before.is_none_or(|before| before.digest != self.digest);
        let is_settled = |swept: &&Self| swept.settled.is_some();
        if is_news {
            events.push(Event::GrantSwept {
                grant: granted.name.clone(),
                uid: uid.to_owned(),
                person: granted.person.clone(),
                swept_at: self.at.clone(),
                digest: self.digest.clone(),
                found: self.findings.iter().map(Finding::found).collect(),
                more: self.more,
                not_looked_at: self.not_looked_at.clone(),
                possible: self
                    .settled
                    .as_ref()
                    .is_none_or(|settled| settled.how != How::NotPossible),
            });
        }
        let Some(settled) = &self.settled else {
            return events;
        };
        if before.filter(is_settled).is_some() {
            return events;
        }
        match settled.how {
            How::NotPossible | How::NothingFound => {}
            How::Removed => events.push(Event::GrantSweepCleared {
                grant: granted.name.clone(),
                uid: uid.to_owned(),
                cleared_at: settled.at.clone(),
            }),
            How::Accepted => events.push(Event::GrantSweepAccepted {
                grant: granted.name.clone(),
                uid: uid.to_owned(),
                digest: self.digest.clone(),
                objects: settled.objects,
                approvals: settled.approvals.iter().map(|by| by.name.clone()).collect(),
            }),
        }
        events
    }
}

impl Finding {
    /// Whose word there is for who did it: the API server's, or nobody's.
    pub fn author(&self) -> &str {
        self.author.as_deref().unwrap_or("unknown")
    }

    fn found(&self) -> Found {
        Found {
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            change: self.change.as_str().into(),
            when: self.when.clone(),
            author: self.author().into(),
            claimed: self.claimed.clone(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        let change = match self.change {
            Changed::Created => "created",
            Changed::Changed => "changed",
        };
        write!(f, "{}: {change}", self.name)?;
        match &self.when {
            Some(when) => write!(f, " {when}")?,
            None => write!(f, ", nobody knows when")?,
        }
        write!(f, ", author {}", self.author())?;
        match &self.claimed {
            Some(claimed) => write!(f, " (claimed: {claimed})"),
            None => Ok(()),
        }
    }
}
