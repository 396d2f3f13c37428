//! What loosens: the one place that says which change of a TenancyPolicy or a CustomerTenant needs
//! an approval (DSA 4: no weaker security without an amendment).
//!
//! A change is weighed setting by setting. For a TenancyPolicy the tightened settings of a mixed
//! change count at once, while every loosened one keeps its old value until approved. Where it is
//! not plain that a change tightens, it loosens.

mod platform;
mod tenant;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;

use tenure_crds::{CustomerTenantSpec, TenancyPolicySpec};

use super::accepted::{days, period};

pub use platform::POLICY_RULES;
pub use tenant::TENANT_RULES;

/// One setting that a change would loosen.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Loosening {
    /// Where, with the key of a list entry in brackets: `spec.baselines[Public].podSecurity`.
    pub field: String,
    /// Why it loosens; one of the sentences of [`docs_table`].
    pub why: &'static str,
    /// The value in force, `(none)` where there is none.
    pub old: String,
    /// The value asked for, `(none)` where there is none.
    pub new: String,
}

/// One line of the table of what loosens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Field of the spec, `[]` for each entry of a list.
    pub field: &'static str,
    /// Which change of it loosens, and why that is one.
    pub why: &'static str,
}

/// Declares rules and the list of all of them at once, so that none is missing from the table.
macro_rules! rules {
    ($(#[$doc:meta])* $all:ident: $($name:ident = $field:literal, $why:literal;)+) => {
        $(static $name: Rule = Rule { field: $field, why: $why };)+
        $(#[$doc])*
        pub static $all: &[&Rule] = &[$(&$name),+];
    };
}

use rules;

/// Changes that are recorded and reviewed, and need no approval.
const NOT_LOOSENING: [(&str, &str); 2] = [
    (
        "TenancyPolicy",
        "`baselines[].quota` and `.limits` (defaults of a namespace that names none), \
         `securityContact`, texts (`reason`, `waf` where there still is one)",
    ),
    (
        "CustomerTenant",
        "`namespaces[]` with quota, limits and Pod Security inside the baseline, `network`, \
         `exposure`, `deployers`, `members`, `encryption.workloads`, `logging.customerReaders`, \
         `subcontractors`, `owner`, `customer.name`, `.language`, `.contacts`, documents and dates \
         of `agreements`, `forceMajeure`; a `termination` as such has its own approval",
    ),
];

/// The table of what loosens, as Markdown for the reference.
pub fn docs_table() -> String {
    let mut out =
        String::from("| Kind | Approval | Field | What loosens |\n| --- | --- | --- | --- |\n");
    let kinds = [
        ("TenancyPolicy", "Loosen", POLICY_RULES),
        ("CustomerTenant", "Amend", TENANT_RULES),
    ];
    for (kind, action, rules) in kinds {
        for Rule { field, why } in rules {
            let _ = writeln!(out, "| {kind} | {action} | `spec.{field}` | {why} |");
        }
    }
    for (kind, fields) in NOT_LOOSENING {
        let _ = writeln!(out, "| {kind} | none | {fields} | recorded and reviewed |");
    }
    out
}

/// Whether a loosening of the TenancyPolicy may come into force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permission {
    /// No tenant with `enforcement: Enforce` has been Ready yet: nothing is protected that could be
    /// loosened.
    NotYetNeeded,
    /// Enough approvals `Loosen` on the digest of the wanted spec count.
    Approved,
    /// Neither: what loosens waits.
    Missing,
}

/// What becomes of a wanted TenancyPolicy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The wanted spec is in force as written.
    Accept(Box<TenancyPolicySpec>),
    /// Some of it waits for an approval.
    Pending {
        /// What is in force meanwhile: the wanted spec, with the old value of every loosened setting.
        in_force: Box<TenancyPolicySpec>,
        /// What waits; never empty.
        loosening: Vec<Loosening>,
    },
}

impl Decision {
    /// The spec in force, whatever was decided.
    pub fn in_force(&self) -> &TenancyPolicySpec {
        match self {
            Self::Accept(spec) | Self::Pending { in_force: spec, .. } => spec,
        }
    }

    /// What waits; empty where nothing does.
    pub fn waiting(&self) -> &[Loosening] {
        match self {
            Self::Accept(_) => &[],
            Self::Pending { loosening, .. } => loosening,
        }
    }
}

/// Decides on a wanted TenancyPolicy, given the spec in force (`None` before the first one, which is
/// accepted as it is).
///
/// Ask only with a wanted spec that parses; then what is in force parses too. Deciding again on the
/// outcome changes nothing.
pub fn merge_accepted(
    accepted: Option<&TenancyPolicySpec>,
    wanted: &TenancyPolicySpec,
    permission: Permission,
) -> Decision {
    let accept = || Decision::Accept(Box::new(wanted.clone()));
    let Some(accepted) = accepted else {
        return accept();
    };
    if permission != Permission::Missing {
        return accept();
    }
    let (in_force, loosening) = platform::weigh(accepted, wanted);
    if loosening.is_empty() {
        return accept();
    }
    Decision::Pending {
        in_force: Box::new(in_force),
        loosening,
    }
}

/// Everything in `new` that loosens `old`, sorted by field; empty where a change only tightens or
/// is not about security.
pub fn loosens(old: &TenancyPolicySpec, new: &TenancyPolicySpec) -> Vec<Loosening> {
    platform::weigh(old, new).1
}

/// Everything in `new` that loosens the tenant's agreement as it is in `old` (DSA 4), sorted by field.
pub fn tenant_loosens(old: &CustomerTenantSpec, new: &CustomerTenantSpec) -> Vec<Loosening> {
    tenant::weigh(old, new)
}

const NONE: &str = "(none)";

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |v| v.to_string())
}

/// Collects what loosens while both specs are walked. A method that weighs a setting returns the
/// value that may be in force without approval.
#[derive(Default)]
struct Scale {
    found: Vec<Loosening>,
}

impl Scale {
    fn done(mut self) -> Vec<Loosening> {
        self.found.sort();
        self.found.dedup();
        self.found
    }

    fn note(&mut self, rule: &'static Rule, field: impl Into<String>, old: String, new: String) {
        self.found.push(Loosening {
            field: field.into(),
            why: rule.why,
            old,
            new,
        });
    }

    /// The new value, or the old one where the new one is looser.
    fn choose<T: Clone>(
        &mut self,
        rule: &'static Rule,
        field: &str,
        (old, new): (&T, &T),
        looser: bool,
        show: impl Fn(&T) -> String,
    ) -> T {
        if !looser {
            return new.clone();
        }
        self.note(rule, field, show(old), show(new));
        old.clone()
    }

    /// A list whose entries permit something: a further entry waits, one that is gone permits no
    /// longer, one that changed waits unless `within` says that the new form permits no more.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call per field reads as a table"
    )]
    fn permits<T: Clone>(
        &mut self,
        rule: &'static Rule,
        list: &str,
        old: &[T],
        new: &[T],
        key: impl Fn(&T) -> String,
        within: impl Fn(&T, &T) -> bool,
        show: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let before: BTreeMap<String, &T> = old.iter().map(|entry| (key(entry), entry)).collect();
        let mut merged = BTreeMap::new();
        for entry in new {
            let name = key(entry);
            let known = before.get(&name).copied();
            if known.is_some_and(|known| within(entry, known)) {
                merged.insert(name, entry.clone());
                continue;
            }
            self.note(
                rule,
                format!("{list}[{name}]"),
                shown(known.map(&show)),
                show(entry),
            );
            if let Some(known) = known {
                merged.insert(name, known.clone());
            }
        }
        merged.into_values().collect()
    }

    /// A list of words that permit something.
    fn permitted(
        &mut self,
        rule: &'static Rule,
        list: &str,
        old: &[String],
        new: &[String],
    ) -> Vec<String> {
        self.permits(
            rule,
            list,
            old,
            new,
            String::clone,
            |_, _| true,
            String::clone,
        )
    }

    /// A list of words that restrict something: one that is gone is kept until approved.
    fn duties(
        &mut self,
        rule: &'static Rule,
        list: &str,
        old: &[String],
        new: &[String],
    ) -> Vec<String> {
        let mut merged = new.to_vec();
        for word in old.iter().filter(|word| !new.contains(word)) {
            self.note(rule, format!("{list}[{word}]"), word.clone(), NONE.into());
            merged.push(word.clone());
        }
        merged.sort();
        merged.dedup();
        merged
    }
}

fn show_list<T>(list: &[T], show: impl Fn(&T) -> String) -> String {
    let mut words: Vec<String> = list.iter().map(show).collect();
    words.sort();
    words.join(", ")
}

/// Whether the new period is no longer than the old one. One that cannot be read is longer than all.
fn period_within(new: &str, old: &str) -> bool {
    match (period(new), period(old)) {
        (Some(new), Some(old)) => new <= old,
        (None, Some(_)) => false,
        (Some(_), None) => true,
        (None, None) => new == old,
    }
}

/// Whether data would be kept for a shorter time. Where nothing was promised nothing gets shorter.
fn kept_shorter(old: Option<&str>, new: Option<&str>) -> bool {
    let Some(old) = old else {
        return false;
    };
    match (days(old), new.and_then(days)) {
        (Some(old), Some(new)) => new < old,
        (_, None) => new != Some(old),
        (None, Some(_)) => false,
    }
}
