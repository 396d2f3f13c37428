//! From a role to the questions that show whether somebody still has it.

use std::collections::BTreeSet;

use crate::attributes::Attributes;
use crate::rules::{ALL, READS, Rule};

/// What to ask of an API server, and what that leaves open.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Questions {
    /// The questions, each once, those that show most first.
    pub asked: Vec<Attributes>,
    /// How many more the rules would give, at most: where two rules give the same it may count twice.
    pub left_out: usize,
    /// Rules with a wildcard: no list of questions is ever all that they allow. The wildcard itself is asked for, which is
    /// answered with yes exactly where somebody still has one.
    pub endless: BTreeSet<usize>,
}

impl Questions {
    /// Whether everything that the rules allow in the namespaces is asked.
    pub fn is_complete(&self) -> bool {
        self.left_out == 0 && self.endless.is_empty()
    }
}

/// The questions whose answers are no once nobody gives the rules in the namespaces any more: every verb on every resource,
/// by name where the rule has names, in every namespace.
///
/// At most `most`. Where that is not enough, every rule is asked about in every namespace before any is asked about twice: one
/// binding gives all rules of its role or none, and there is one binding for each namespace. Within a rule, what changes
/// something comes before what only reads, and every resource before the next verb.
///
/// Paths that are no resources are not asked: in a namespace nobody can be given any.
pub fn questions(rules: &[Rule], namespaces: &[String], most: usize) -> Questions {
    let namespaces: BTreeSet<&String> = namespaces.iter().collect();
    let sheets: Vec<Sheet> = rules.iter().map(Sheet::of).collect();
    let in_each = sheets.iter().map(Sheet::len).fold(0, usize::saturating_add);
    let mut unseen = in_each.saturating_mul(namespaces.len());
    let longest = sheets.iter().map(Sheet::len).max().unwrap_or_default();
    let places = || namespaces.iter().map(|namespace| namespace.as_str());
    let rounds = (0..longest).flat_map(|round| {
        let sheets = sheets.iter().filter(move |sheet| round < sheet.len());
        sheets.flat_map(move |sheet| places().map(move |place| sheet.question(round, place)))
    });
    let mut known = BTreeSet::new();
    let mut asked = Vec::new();
    for question in rounds {
        if asked.len() >= most {
            break;
        }
        unseen = unseen.saturating_sub(1);
        if known.insert(question.clone()) {
            asked.push(question);
        }
    }
    Questions {
        asked,
        left_out: unseen,
        endless: endless(rules),
    }
}

fn endless(rules: &[Rule]) -> BTreeSet<usize> {
    let is_endless = |rule: &Rule| {
        let lists = [&rule.verbs, &rule.groups, &rule.resources];
        let mut items = lists.into_iter().flatten();
        rule.is_about_resources() && items.any(|item| item == ALL || item.starts_with("*/"))
    };
    let all = rules.iter().enumerate();
    all.filter_map(|(index, rule)| is_endless(rule).then_some(index))
        .collect()
}

/// The questions of one rule, told apart by number, so that nobody makes more of them than are asked.
struct Sheet<'a> {
    verbs: Vec<&'a str>,
    groups: Vec<&'a str>,
    names: Vec<&'a str>,
    resources: Vec<&'a str>,
}

impl<'a> Sheet<'a> {
    fn of(rule: &'a Rule) -> Self {
        let mut verbs = distinct(&rule.verbs);
        verbs.sort_by_key(|verb| READS.contains(verb));
        let mut names = distinct(&rule.names);
        if names.is_empty() {
            names.push("");
        }
        Self {
            verbs,
            groups: distinct(&rule.groups),
            names,
            resources: distinct(&rule.resources),
        }
    }

    fn len(&self) -> usize {
        [&self.verbs, &self.groups, &self.names, &self.resources]
            .map(Vec::len)
            .into_iter()
            .fold(1, usize::saturating_mul)
    }

    /// The resource changes with every number, the verb last.
    fn question(&self, mut number: usize, namespace: &str) -> Attributes {
        let mut digit = |list: &[&'a str]| {
            let item = list[number % list.len()];
            number /= list.len();
            item
        };
        let resource = digit(&self.resources);
        let name = digit(&self.names);
        let group = digit(&self.groups);
        let verb = digit(&self.verbs);
        Attributes::on(verb, group, resource, namespace).named(name)
    }
}

fn distinct(list: &[String]) -> Vec<&str> {
    let set: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    set.into_iter().collect()
}
