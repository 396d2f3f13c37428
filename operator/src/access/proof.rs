//! Whether access has ended everywhere: what every API server said, folded into a verdict. Pure.
//!
//! Each API server decides by its own copy of the rules, so each is asked. Only a "no" from every one of them, to every
//! question, is a proof; one that could not be asked, or does not know, has said nothing. How many there are is known by
//! their identity Leases: where fewer have an address than are counted, nothing is proven, whatever the others say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// Label of the Leases by which API servers say that they are, and its value for those of Kubernetes itself.
pub const IDENTITY: (&str, &str) = ("apiserver.kubernetes.io/identity", "kube-apiserver");
/// The group that the API server adds to everybody it knows.
const AUTHENTICATED: &str = "system:authenticated";
/// What the user name of a ServiceAccount begins with.
const ACCOUNT: &str = "system:serviceaccount:";

/// The API servers of a cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Servers {
    /// How many keep a fresh identity Lease.
    pub counted: usize,
    /// Where each can be asked by itself.
    pub addresses: BTreeSet<SocketAddr>,
}

impl Servers {
    /// Counts them by their Leases, and reads their addresses from the EndpointSlice `kubernetes` in `default`.
    ///
    /// A Lease outlives its API server by up to an hour, as Kubernetes sets it. That is right here: one that cannot renew
    /// it may still answer, by rules that are as old as its Lease. Every listed address counts as one to ask, ready or not.
    pub fn count(leases: &[Lease], slice: Option<&EndpointSlice>, now: Timestamp) -> Self {
        let fresh = leases.iter().filter(|lease| is_fresh(lease, now));
        Self {
            counted: fresh.count(),
            addresses: slice.map(addresses).unwrap_or_default(),
        }
    }

    /// How many there are at least.
    pub fn expected(&self) -> usize {
        self.counted.max(self.addresses.len())
    }

    /// Why asking all of them would prove nothing; nothing where it would.
    fn doubt(&self) -> Option<Doubt> {
        if self.counted == 0 {
            return Some(Doubt::NotCounted);
        }
        (self.addresses.len() < self.counted).then_some(Doubt::Hidden {
            counted: self.counted,
            addresses: self.addresses.len(),
        })
    }
}

fn is_fresh(lease: &Lease, now: Timestamp) -> bool {
    let (label, value) = IDENTITY;
    let labels = lease.metadata.labels.as_ref();
    let is_ours = labels
        .and_then(|labels| labels.get(label))
        .is_some_and(|is| is == value);
    let Some(spec) = lease.spec.as_ref().filter(|_| is_ours) else {
        return false;
    };
    let (Some(renewed), Some(seconds)) = (&spec.renew_time, spec.lease_duration_seconds) else {
        return false;
    };
    now.duration_since(renewed.0) < SignedDuration::from_secs(seconds.into())
}

fn addresses(slice: &EndpointSlice) -> BTreeSet<SocketAddr> {
    let ports = slice.ports.iter().flatten();
    let port = ports.filter(|port| port.name.as_deref().is_none_or(|name| name == "https"));
    let Some(port) = port
        .filter_map(|port| u16::try_from(port.port?).ok())
        .next()
    else {
        return BTreeSet::new();
    };
    let endpoints = slice.endpoints.iter().flatten();
    let texts = endpoints.flat_map(|endpoint| &endpoint.addresses);
    texts
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, port))
        .collect()
}

/// One question: may this user do this?
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The user name, as API servers see it.
    pub user: String,
    /// The groups that are known; those every API server adds by itself need not be named.
    pub groups: BTreeSet<String>,
    /// What is done to what.
    pub what: ResourceAttributes,
}

impl Question {
    /// As it is put to an API server. A review knows no groups but those it names, unlike a sign-in.
    pub fn review(&self) -> SubjectAccessReview {
        let mut groups = self.groups.clone();
        groups.insert(AUTHENTICATED.to_owned());
        if let Some((namespace, _)) = self.account() {
            groups.insert("system:serviceaccounts".to_owned());
            groups.insert(format!("system:serviceaccounts:{namespace}"));
        }
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.user.clone()),
                groups: Some(groups.into_iter().collect()),
                resource_attributes: Some(self.what.clone()),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        }
    }

    fn account(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix(ACCOUNT)?.split_once(':')
    }
}

/// `oidc:jane: create pods/exec in acme-prod`.
impl fmt::Display for Question {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        let verb = what.verb.as_deref().unwrap_or_default();
        let resource = what.resource.as_deref().unwrap_or_default();
        write!(out, "{}: {verb} {resource}", self.user)?;
        let parts = [
            (".", &what.group),
            ("/", &what.subresource),
            (" ", &what.name),
        ];
        for (before, part) in parts {
            if let Some(part) = part.as_deref().filter(|part| !part.is_empty()) {
                write!(out, "{before}{part}")?;
            }
        }
        match what.namespace.as_deref() {
            None | Some("") => Ok(()),
            Some(namespace) => write!(out, " in {namespace}"),
        }
    }
}

/// What one API server said to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Yes, and by which rule.
    Allowed(String),
    /// No.
    NotAllowed,
    /// Nothing: it was not reached, or could not decide. Never a no.
    Unknown(String),
}

impl Answer {
    /// Reads a review that came back.
    ///
    /// A "no" with an evaluation error is none: an authorizer that could not say anything then may say yes later. A binding
    /// whose role is missing is no such error: it allows nothing, and the API server says no.
    pub fn of(status: Option<&SubjectAccessReviewStatus>) -> Self {
        let Some(status) = status else {
            return Self::Unknown("the review came back without an answer".into());
        };
        if status.allowed {
            return Self::Allowed(status.reason.clone().unwrap_or_default());
        }
        let error = status.evaluation_error.as_deref().unwrap_or_default();
        if error.is_empty() || status.denied == Some(true) {
            return Self::NotAllowed;
        }
        Self::Unknown(format!("it could not hear every authorizer: {error}"))
    }
}

/// An answer and when it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// What was said.
    pub answer: Answer,
    /// When.
    pub at: Timestamp,
}

/// Every question put to every API server, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Who there was to ask.
    pub servers: Servers,
    /// What was asked.
    pub questions: Vec<Question>,
    /// What each said, in the order of the questions.
    pub heard: BTreeMap<SocketAddr, Vec<Heard>>,
}

/// What a round shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every API server said no to every question.
    Proven {
        /// How many.
        servers: usize,
        /// When the last "no" came.
        at: Timestamp,
    },
    /// At least one said yes.
    StillAllowed {
        /// To what, in the order of the questions.
        allowed: Vec<Allowed>,
        /// How many answered every question.
        reached: usize,
        /// How many there are.
        counted: usize,
    },
    /// Nobody said yes, and that proves nothing.
    Unproven {
        /// How many answered every question.
        reached: usize,
        /// How many there are.
        counted: usize,
        /// Why, never empty.
        why: Vec<Doubt>,
    },
}

/// What is still allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// What was asked.
    pub question: Question,
    /// By which rule, in the words of the first API server that said yes.
    pub source: String,
    /// Which API servers say yes.
    pub servers: Vec<SocketAddr>,
}

/// Why a round proves nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// No API server keeps a fresh identity Lease, so nobody knows how many there are.
    NotCounted,
    /// More are counted than have an address: a managed control plane behind one, say.
    Hidden {
        /// How many are counted.
        counted: usize,
        /// How many have an address.
        addresses: usize,
    },
    /// There was no question.
    NothingAsked,
    /// An API server has not answered a question; the first of its kind, per API server.
    NotAnswered {
        /// Which one.
        server: SocketAddr,
        /// What it was asked.
        question: String,
        /// Why there is no answer.
        why: String,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCounted => write!(
                out,
                "no API server keeps a fresh identity Lease in kube-system, so it is not known how many there are; see whether \
                 the feature APIServerIdentity is on and clocks agree"
            ),
            Self::Hidden { counted, addresses } => write!(
                out,
                "{counted} API servers keep an identity Lease and the EndpointSlice default/kubernetes lists {addresses} \
                 addresses: the others cannot be asked. One that has ended is counted for an hour; a managed control plane \
                 hides them always"
            ),
            Self::NothingAsked => write!(out, "nothing was asked"),
            Self::NotAnswered {
                server,
                question,
                why,
            } => {
                write!(
                    out,
                    "the API server {server} has not answered \"{question}\": {why}"
                )
            }
        }
    }
}

impl Round {
    /// What it shows.
    pub fn verdict(&self) -> Verdict {
        let doubts: Vec<Doubt> = self
            .servers
            .addresses
            .iter()
            .filter_map(|server| self.unanswered(*server))
            .collect();
        let (reached, counted) = (
            self.servers.addresses.len() - doubts.len(),
            self.servers.expected(),
        );
        let allowed = self.allowed();
        if !allowed.is_empty() {
            return Verdict::StillAllowed {
                allowed,
                reached,
                counted,
            };
        }
        let nothing = self.questions.is_empty().then_some(Doubt::NothingAsked);
        let why: Vec<Doubt> = self
            .servers
            .doubt()
            .into_iter()
            .chain(nothing)
            .chain(doubts)
            .collect();
        match self.last() {
            Some(at) if why.is_empty() => Verdict::Proven {
                servers: reached,
                at,
            },
            _ => Verdict::Unproven {
                reached,
                counted,
                why,
            },
        }
    }

    /// When each "yes" came.
    fn yeses(&self) -> impl Iterator<Item = Timestamp> {
        let heard = self.heard.values().flatten();
        heard
            .filter(|heard| matches!(heard.answer, Answer::Allowed(_)))
            .map(|heard| heard.at)
    }

    fn last(&self) -> Option<Timestamp> {
        self.heard.values().flatten().map(|heard| heard.at).max()
    }

    fn answers(&self, server: SocketAddr) -> &[Heard] {
        self.heard.get(&server).map_or(&[], Vec::as_slice)
    }

    /// The first question that `server` has not answered.
    fn unanswered(&self, server: SocketAddr) -> Option<Doubt> {
        let answers = self.answers(server);
        let mut questions = self.questions.iter().enumerate();
        questions.find_map(|(index, question)| {
            let why = match answers.get(index).map(|heard| &heard.answer) {
                Some(Answer::Allowed(_) | Answer::NotAllowed) => return None,
                Some(Answer::Unknown(why)) => why.clone(),
                None => "it was not asked".to_owned(),
            };
            Some(Doubt::NotAnswered {
                server,
                question: question.to_string(),
                why,
            })
        })
    }

    fn allowed(&self) -> Vec<Allowed> {
        let questions = self.questions.iter().enumerate();
        questions
            .filter_map(|(index, question)| {
                let yes = self.heard.iter().filter_map(|(server, answers)| {
                    match &answers.get(index)?.answer {
                        Answer::Allowed(source) => Some((*server, source.clone())),
                        Answer::NotAllowed | Answer::Unknown(_) => None,
                    }
                });
                let (servers, sources): (Vec<_>, Vec<_>) = yes.unzip();
                let source = sources.into_iter().next()?;
                Some(Allowed {
                    question: question.clone(),
                    source,
                    servers,
                })
            })
            .collect()
    }
}

/// Rounds of the same questions, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    /// How many.
    pub rounds: u32,
    /// When the first "yes" came, from any API server.
    pub first_yes: Option<Timestamp>,
    /// When the last "yes" came, from any API server.
    pub last_yes: Option<Timestamp>,
    /// What the last round shows.
    pub verdict: Option<Verdict>,
}

impl Proof {
    /// Adds a round; returns what it shows.
    pub fn add(&mut self, round: &Round) -> &Verdict {
        self.rounds = self.rounds.saturating_add(1);
        // In the order of the rounds: a clock that is set back must not move them.
        self.first_yes = self.first_yes.or(round.yeses().min());
        self.last_yes = round.yeses().max().or(self.last_yes);
        self.verdict.insert(round.verdict())
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
