//! Reviews of access (DSA 2.4): when one is due, what it lists, which decisions count, and what a lapse means.
//!
//! Pure. What is not known to be decided by somebody else is not decided. A review whose time has come without a decision
//! ends what this operator gave, and says so of what it did not give.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Span, Timestamp, tz::TimeZone};
use tenure_crds::access_review::{AccessKind, MOST_LINES, ReviewDecision, ReviewLine};

use super::why::Why;
use crate::approval::{Owner, Person, Persons};
use crate::record::{Decided, Line, Review};

/// A review is made this long before it is due, or half of its interval before, where that is shorter.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// What begins the name of a grant's line; its uid follows.
const GRANT: &str = "grant-";

/// Access that stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// As it would be listed.
    pub line: Line,
    /// Everybody it lets in: the line names the first of them.
    pub who: Vec<String>,
    /// Since when, where a review must not wait for longer than `every` after that; otherwise since the last review.
    pub since: Option<Timestamp>,
    /// Longest time between two reviews, where it is shorter than three months.
    pub every: Option<SignedDuration>,
}

/// All that the next step of a review depends on beside the time.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The last review, open or closed.
    pub last: &'a Review,
    /// What stands now.
    pub standing: &'a [Standing],
    /// What people wrote into the lines of it.
    pub written: &'a [ReviewLine],
    /// Everybody who is known.
    pub persons: &'a Persons,
    /// The groups of each StaffMember.
    pub groups: &'a BTreeMap<String, Vec<String>>,
    /// Whether the stamps of who decided may be forged just now.
    pub guard_gap: bool,
}

/// What becomes of a review.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// As it is to be remembered.
    pub review: Review,
    /// Decisions that do not count, by line, with why.
    pub void: BTreeMap<String, &'static str>,
    /// When it may be otherwise by itself.
    pub again: Option<Timestamp>,
}

/// The name of a grant's line.
pub fn grant_line(uid: &str) -> String {
    format!("{GRANT}{uid}")
}

/// What the last review says of a live grant: that it has to end.
pub fn ends(review: &Review, uid: &str) -> Option<Why> {
    let line = review.line(&grant_line(uid))?;
    match &line.decided {
        Some(decided) if decided.decision == ReviewDecision::Revoke => Some(Why::ReviewRevoked),
        None if review.lapsed_at.is_some() => Some(Why::ReviewLapsed),
        Some(_) | None => None,
    }
}

/// Whether three months are over since the last list was made, and there is none that is open: nobody was asked.
pub fn is_overdue(review: &Review, now: Timestamp) -> bool {
    let frozen = at(&review.frozen_at).unwrap_or(Timestamp::MIN);
    !review.is_open() && three_months_after(frozen) <= now
}

/// The next step.
pub fn next(case: &Case<'_>, now: Timestamp) -> Next {
    match case.last.is_open() {
        true => decide(case, now),
        false => wait(case, now),
    }
}

/// Takes in decisions that count, and what is over; says whether the review is completed, or has lapsed.
fn decide(case: &Case<'_>, now: Timestamp) -> Next {
    let mut review = case.last.clone();
    let mut void = BTreeMap::new();
    for line in &mut review.lines {
        let written = case
            .written
            .iter()
            .find(|written| written.name == line.name);
        match written.map(|written| word(case, line, written)) {
            Some(Word::Counts(decision, by)) if is_news(line, decision) => {
                line.decided = Some(Decided {
                    decision,
                    by,
                    at: now.to_string(),
                });
            }
            Some(Word::Void(why)) => {
                void.insert(line.name.clone(), why);
            }
            Some(Word::Counts(..) | Word::None) | None => {}
        }
    }
    forget_what_is_over(&mut review, case);
    review.unlisted = review.unlisted.min(unlisted(&review, case));
    let due = at(&review.due_at);
    let is_decided = review.undecided().next().is_none() && review.unlisted == 0;
    if is_decided {
        review.closed_at = Some(now.to_string());
        let again = opens(&due_after(&review, case.standing), &review);
        return Next {
            review,
            void,
            again,
        };
    }
    if review.lapsed_at.is_none() && due.is_none_or(|due| due <= now) {
        review.lapsed_at = Some(now.to_string());
    }
    let again = due.filter(|due| *due > now);
    Next {
        review,
        void,
        again,
    }
}

/// How many accesses that stand now are not in the list.
fn unlisted(review: &Review, case: &Case<'_>) -> usize {
    let listed: BTreeSet<&str> = review.lines.iter().map(|line| line.name.as_str()).collect();
    let standing = case
        .standing
        .iter()
        .map(|standing| standing.line.name.as_str());
    let unlisted: BTreeSet<&str> = standing.filter(|name| !listed.contains(name)).collect();
    unlisted.len()
}

/// A word that was acted on stands: what was revoked is not kept afterwards.
fn is_news(line: &Line, decision: ReviewDecision) -> bool {
    match &line.decided {
        None => true,
        Some(decided) => {
            decided.decision == ReviewDecision::Keep && decision == ReviewDecision::Revoke
        }
    }
}

/// Waits for the next review, and makes it in time.
fn wait(case: &Case<'_>, now: Timestamp) -> Next {
    let mut last = case.last.clone();
    forget_what_is_over(&mut last, case);
    let due = due_after(&last, case.standing);
    let opens = opens(&due, &last);
    if opens.is_some_and(|opens| now < opens) {
        return Next {
            review: last,
            void: BTreeMap::new(),
            again: opens,
        };
    }
    let review = freeze(case, &due, now);
    let again = match review.is_open() {
        true => at(&review.due_at),
        false => self::opens(&due_after(&review, case.standing), &review),
    };
    Next {
        review,
        void: BTreeMap::new(),
        again: again.filter(|again| *again > now),
    }
}

/// The list as it is now. Grants come first: of a list that is too long, what is cut off is what only gets told.
fn freeze(case: &Case<'_>, due: &Due, now: Timestamp) -> Review {
    let listed = case.standing.iter().map(|standing| Line {
        decided: withheld_already(case.last, &standing.line),
        ..standing.line.clone()
    });
    let mut lines: Vec<Line> = listed.collect();
    lines.sort_by(|left, right| (left.kind, &left.name).cmp(&(right.kind, &right.name)));
    lines.dedup_by(|left, right| left.name == right.name);
    let unlisted = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let is_decided = lines.iter().all(|line| line.decided.is_some()) && unlisted == 0;
    // Whoever must decide gets time to, as long as the agreement leaves any.
    let notice = now.saturating_add(notice(due.every)).unwrap_or(now);
    let due_at = due.at.max(notice).min(due.at_most.max(now));
    Review {
        number: case.last.number.saturating_add(1),
        frozen_at: now.to_string(),
        due_at: due_at.to_string(),
        lines,
        unlisted,
        lapsed_at: None,
        closed_at: is_decided.then(|| now.to_string()),
    }
}

/// What was revoked and is withheld stays so until it is declared otherwise. Of what cannot be withheld it is asked again.
fn withheld_already(last: &Review, line: &Line) -> Option<Decided> {
    let is_withheld = matches!(line.kind, AccessKind::Deployer | AccessKind::Member);
    let known = last.line(&line.name)?.decided.clone()?;
    (is_withheld && known.is_final()).then_some(known)
}

/// Access that is over needs no decision. One that was decided just now is told of first.
fn forget_what_is_over(review: &mut Review, case: &Case<'_>) {
    let stands: BTreeSet<&str> = case
        .standing
        .iter()
        .map(|standing| standing.line.name.as_str())
        .collect();
    let is_told = |line: &Line| {
        let before = case.last.line(&line.name);
        before.is_some_and(|before| before.decided == line.decided)
    };
    review
        .lines
        .retain(|line| stands.contains(line.name.as_str()) || !is_told(line));
}

/// When the next review is due.
struct Due {
    at: Timestamp,
    /// Three months after the last list was made: later is never.
    at_most: Timestamp,
    every: SignedDuration,
}

/// Three months after the last list was made, or earlier where what was granted since must be looked at sooner.
fn due_after(last: &Review, standing: &[Standing]) -> Due {
    let frozen = at(&last.frozen_at).unwrap_or(Timestamp::MIN);
    let at_most = three_months_after(frozen);
    let quarter = at_most.duration_since(frozen);
    let all = standing.iter().map(|standing| {
        let every = standing.every.unwrap_or(quarter).min(quarter);
        let since = standing.since.unwrap_or(frozen).max(frozen);
        let at = since.saturating_add(every).unwrap_or(at_most);
        (at.min(at_most), every)
    });
    let (at, every) = all
        .chain([(at_most, quarter)])
        .min_by_key(|(at, _)| *at)
        .unwrap_or((at_most, quarter));
    Due { at, at_most, every }
}

fn three_months_after(instant: Timestamp) -> Timestamp {
    let later = instant
        .to_zoned(TimeZone::UTC)
        .checked_add(Span::new().months(3));
    later.map_or(Timestamp::MAX, |later| later.timestamp())
}

/// When its list is made. What cannot be read is due.
fn opens(due: &Due, last: &Review) -> Option<Timestamp> {
    at(&last.frozen_at)?;
    due.at.checked_sub(notice(due.every)).ok()
}

fn notice(every: SignedDuration) -> SignedDuration {
    NOTICE.min(every / 2)
}

fn at(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// What a line's decision is worth.
enum Word {
    /// Nobody decided.
    None,
    /// It counts; by whom.
    Counts(ReviewDecision, String),
    /// It does not, and why.
    Void(&'static str),
}

fn word(case: &Case<'_>, line: &Line, written: &ReviewLine) -> Word {
    let Some(decision) = written.decision else {
        return Word::None;
    };
    let known = line.decided.as_ref();
    if known.is_some_and(|known| known.decision == decision) {
        return Word::None;
    }
    let by = written.decided_by.clone().unwrap_or_default();
    if known.is_some_and(Decided::is_final) {
        return Word::Void("it was revoked, and that was acted on: access is asked for anew");
    }
    if case.guard_gap {
        return Word::Void(
            "the guard that says who decided is not alive: decide again once it is, with another reason",
        );
    }
    match case.persons.owner(&by) {
        Owner::Nobody => Word::Void(
            "who decided is no known person: a StaffMember or a person of the customer has to decide",
        ),
        Owner::Several => {
            Word::Void("who decided is a shared account: somebody has to decide as themselves")
        }
        Owner::One(person) if case.persons.has_left(person) => {
            Word::Void("who decided does not work here any more: somebody who does has to decide")
        }
        Owner::One(person) if is_own(case, line, person, &by) => {
            Word::Void("nobody reviews their own access: somebody else has to decide")
        }
        Owner::One(person)
            if decision == ReviewDecision::Keep && may_be_own(case, line, person) =>
        {
            Word::Void(
                "whether they are in that group is not known: a StaffMember that lists its groups keeps it, or it is revoked",
            )
        }
        Owner::One(_) => Word::Counts(decision, by),
    }
}

/// Whether a line that is not known to be about a person's access may be: who is in a group, only their own StaffMember says.
fn may_be_own(case: &Case<'_>, line: &Line, person: &Person) -> bool {
    let has_known_groups = match person {
        Person::Staff(name) => case.groups.contains_key(name),
        Person::Customer { .. } => false,
    };
    !has_known_groups && who(case, line).iter().any(|who| who.starts_with("Group/"))
}

/// Everybody whom a line lets in, as far as that is known.
fn who<'a>(case: &Case<'a>, line: &'a Line) -> &'a [String] {
    let mut standing = case.standing.iter();
    let standing = standing.find(|standing| standing.line.name == line.name);
    standing.map_or(&line.who, |standing| &standing.who)
}

/// Whether a line is about the access of a person, by any of their names or groups.
fn is_own(case: &Case<'_>, line: &Line, person: &Person, identity: &str) -> bool {
    who(case, line).iter().any(|who| match who.split_once('/') {
        Some(("StaffMember", name)) => person.is_staff(name),
        Some(("User", name)) => case.persons.are_one(name, identity),
        Some(("Group", name)) => {
            let Person::Staff(staff) = person else {
                return false;
            };
            let groups = case.groups.get(staff);
            groups.is_some_and(|groups| groups.iter().any(|group| group == name))
        }
        _ => false,
    })
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
