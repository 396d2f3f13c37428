//! What a role must not hold to be grantable: whatever lets its holder become somebody else, or hand on or widen what he was
//! given for a window (DSA 2.4).
//!
//! Not here, because something else holds it: writing Roles and bindings without `escalate` and `bind` (the API server lets
//! nobody give more than they have, and guards decide to whom), Secrets that hold a ServiceAccount's token (guards), and
//! what a pod may do in whose name (whoever creates pods acts as any ServiceAccount of that namespace: what those may do,
//! the tenant's own bindings say).

use std::fmt;

use crate::rules::Rule;

/// How many faults of one role are told.
const MOST: usize = 20;
/// How many characters of a rule are told.
const LONGEST: usize = 300;

/// Why a rule makes a role too dangerous to grant.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Why {
    /// Nobody knows today what a `*` will mean tomorrow. In which list it stands.
    Wildcard(&'static str),
    /// Write roles that hold more than the writer.
    Escalate,
    /// Bind roles that hold more than the binder.
    Bind,
    /// Act as somebody else.
    Impersonate,
    /// Make credentials of ServiceAccounts.
    Tokens,
    /// Turn requests into certificates, and with them into identities; decide Approvals.
    Approve,
    /// Sign certificates, and vouch for who signs them.
    Sign,
    /// Act without the approval of a second person.
    BreakGlass,
    /// Run commands in every container of a node, past every namespace.
    NodesProxy,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::Wildcard(list) => {
                return write!(
                    f,
                    "a wildcard in {list} grants what nobody has seen yet: name what is meant"
                );
            }
            Self::Escalate => "`escalate` writes roles that hold more than their writer",
            Self::Bind => "`bind` gives away roles that hold more than their giver",
            Self::Impersonate => "`impersonate` acts as somebody else",
            Self::Tokens => {
                "`create` on serviceaccounts/token makes credentials that outlive the grant"
            }
            Self::Approve => {
                "approving turns certificate requests into identities, and waiting things into decided ones"
            }
            Self::Sign => "`sign` and `attest` make identities that the cluster believes",
            Self::BreakGlass => "`break-glass` opens access that nobody else approved",
            Self::NodesProxy => {
                "nodes/proxy runs commands in every container of a node, whatever its namespace"
            }
        };
        f.write_str(why)
    }
}

/// One reason, and the rule that gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Which rule of the role, from 0.
    pub rule: usize,
    /// The rule, cut where it is long.
    pub text: String,
    /// Why.
    pub why: Why,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules[{}] ({}): {}", self.rule, self.text, self.why)
    }
}

/// What makes a role too dangerous to grant, in the order of its rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dangers {
    /// The first faults, at most twenty.
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
}

impl Dangers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What makes a role with these rules too dangerous to grant. API groups do not matter: what is called so is not granted.
pub fn dangers(rules: &[Rule]) -> Dangers {
    let mut found = Dangers::default();
    let all = rules.iter().enumerate();
    for (index, rule, why) in
        all.flat_map(|(index, rule)| reasons(rule).map(move |why| (index, rule, why)))
    {
        if found.faults.len() == MOST {
            found.more += 1;
            continue;
        }
        found.faults.push(Fault {
            rule: index,
            text: short(rule),
            why,
        });
    }
    found
}

fn reasons(rule: &Rule) -> impl Iterator<Item = Why> {
    let verb = |wanted: &[&str]| {
        rule.verbs
            .iter()
            .any(|verb| wanted.contains(&verb.as_str()))
    };
    let on = |wanted: &str| rule.resources.iter().any(|resource| resource == wanted);
    let wildcard = |list: &[String]| list.iter().any(|item| item.contains('*'));
    // Impersonation that is constrained has verbs of its own: `impersonate:user-info`, `impersonate-on:serviceaccount:get`.
    let impersonates = rule
        .verbs
        .iter()
        .any(|verb| verb.starts_with("impersonate"));
    let approves = on("certificatesigningrequests/approval") && verb(&["update", "patch"]);
    let all = [
        (wildcard(&rule.verbs), Why::Wildcard("verbs")),
        (wildcard(&rule.groups), Why::Wildcard("apiGroups")),
        (wildcard(&rule.resources), Why::Wildcard("resources")),
        (wildcard(&rule.urls), Why::Wildcard("nonResourceURLs")),
        (verb(&["escalate"]), Why::Escalate),
        (verb(&["bind"]), Why::Bind),
        (impersonates, Why::Impersonate),
        (
            on("serviceaccounts/token") && verb(&["create"]),
            Why::Tokens,
        ),
        (approves || verb(&["approve"]), Why::Approve),
        (verb(&["sign", "attest"]), Why::Sign),
        (verb(&["break-glass"]), Why::BreakGlass),
        (on("nodes/proxy"), Why::NodesProxy),
    ];
    all.into_iter()
        .filter_map(|(holds, why)| holds.then_some(why))
}

fn short(rule: &Rule) -> String {
    let text = rule.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
