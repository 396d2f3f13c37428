use tenure_crds::access_review::AccessKind;

use super::*;

const MADE: &str = "2026-01-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(name: &str, kind: AccessKind, who: &str) -> Line {
    Line {
        name: name.into(),
        kind,
        who: vec![who.into()],
        role: "ClusterRole/view".into(),
        namespaces: vec!["acme-prod".into()],
        reference: format!("the access {name}"),
        privileged: false,
        decided: None,
    }
}

fn stands(line: Line) -> Standing {
    Standing {
        who: line.who.clone(),
        line,
        since: None,
        every: None,
    }
}

/// A grant, a deployer, a member, and a binding that nobody declared.
fn four() -> Vec<Standing> {
    vec![
        stands(line("grant-1", AccessKind::Grant, "StaffMember/alice")),
        stands(line(
            "deployer-flux-1",
            AccessKind::Deployer,
            "ServiceAccount/flux/apply",
        )),
        stands(line(
            "member-ops-1",
            AccessKind::Member,
            "Group/customer-ops",
        )),
        stands(line("binding-1", AccessKind::Binding, "User/bob-admin")),
    ]
}

struct World {
    review: Review,
    standing: Vec<Standing>,
    written: Vec<ReviewLine>,
    persons: Persons,
    groups: BTreeMap<String, Vec<String>>,
    guard_gap: bool,
}

impl World {
    fn new() -> Self {
        let of = |name: &str| Person::Staff(name.into());
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (alice, bob, carol, dave) = (
            ids(&["alice", "alice-admin", "desk"]),
            ids(&["bob", "bob-admin", "desk"]),
            ids(&["carol"]),
            ids(&["dave"]),
        );
        Self {
            review: Review::counted_from(MADE),
            standing: four(),
            written: Vec::new(),
            persons: Persons::new([
                (of("alice"), alice.as_slice()),
                (of("bob"), bob.as_slice()),
                (of("carol"), carol.as_slice()),
                (of("dave"), dave.as_slice()),
            ]),
            groups: BTreeMap::from([
                ("alice".into(), vec!["staff".into()]),
                ("bob".into(), vec!["staff".into()]),
                ("carol".into(), vec!["customer-ops".into()]),
            ]),
            guard_gap: false,
        }
    }

    /// One whose review was made in time.
    fn open() -> Self {
        let mut world = Self::new();
        world.step("2026-03-20T00:00:00Z");
        assert!(world.review.is_open());
        world
    }

    fn step(&mut self, now: &str) -> Next {
        let next = next(
            &Case {
                last: &self.review,
                standing: &self.standing,
                written: &self.written,
                persons: &self.persons,
                groups: &self.groups,
                guard_gap: self.guard_gap,
            },
            at(now),
        );
        self.review = next.review.clone();
        next
    }

    fn write(&mut self, name: &str, decision: ReviewDecision, by: &str) {
        self.written.retain(|written| written.name != name);
        let of = self
            .standing
            .iter()
            .find(|standing| standing.line.name == name);
        let of = of.unwrap().line.clone();
        self.written.push(ReviewLine {
            name: of.name,
            kind: of.kind,
            who: of.who,
            role: of.role,
            namespaces: Some(of.namespaces),
            reference: of.reference,
            privileged: None,
            decision: Some(decision),
            reason: Some("looked at".into()),
            decided_by: Some(by.into()),
        });
    }

    fn keep_all(&mut self, by: &str) {
        let names: Vec<String> = self
            .standing
            .iter()
            .map(|it| it.line.name.clone())
            .collect();
        for name in names {
            self.write(&name, ReviewDecision::Keep, by);
        }
    }

    fn undecided(&self) -> Vec<&str> {
        self.review
            .undecided()
            .map(|line| line.name.as_str())
            .collect()
    }
}

#[test]
fn review_is_made_two_weeks_before_three_months_are_over() {
    let mut world = World::new();
    let next = world.step("2026-03-17T23:59:59Z");
    assert_eq!(world.review.number, 0);
    assert_eq!(next.again, Some(at("2026-03-18T00:00:00Z")));
    let next = world.step("2026-03-18T00:00:00Z");
    assert_eq!(world.review.number, 1);
    assert_eq!(world.review.due_at, "2026-04-01T00:00:00Z");
    assert_eq!(next.again, Some(at("2026-04-01T00:00:00Z")));
    let names: Vec<&str> = world
        .review
        .lines
        .iter()
        .map(|line| line.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["grant-1", "deployer-flux-1", "member-ops-1", "binding-1"]
    );
}

#[test]
fn next_review_is_counted_from_when_the_list_was_made_not_from_its_end() {
    let mut world = World::open();
    world
        .standing
        .retain(|it| it.line.kind != AccessKind::Binding && it.line.kind != AccessKind::Member);
    world.keep_all("bob");
    let next = world.step("2026-03-31T00:00:00Z");
    assert_eq!(
        world.review.closed_at.as_deref(),
        Some("2026-03-31T00:00:00Z")
    );
    // Three months after the twentieth of March, less two weeks.
    assert_eq!(next.again, Some(at("2026-06-06T00:00:00Z")));
}

#[test]
fn what_must_be_looked_at_sooner_brings_the_review_forward_and_leaves_time_for_it() {
    let mut world = World::new();
    world.standing[0].every = Some(SignedDuration::from_hours(4 * 24));
    world.standing[0].since = Some(at("2026-02-01T00:00:00Z"));
    let next = world.step("2026-02-01T00:00:00Z");
    assert_eq!(next.again, Some(at("2026-02-03T00:00:00Z")));
    // Asked for late: whoever decides has the usual half of it all the same.
    world.step("2026-02-10T00:00:00Z");
    assert_eq!(world.review.due_at, "2026-02-12T00:00:00Z");
    // But never later than three months after the last.
    let mut world = World::new();
    world.step("2026-03-31T23:00:00Z");
    assert_eq!(world.review.due_at, "2026-04-01T00:00:00Z");
    let mut world = World::new();
    world.step("2026-05-01T00:00:00Z");
    assert_eq!(world.review.due_at, "2026-05-01T00:00:00Z");
    world.step("2026-05-01T00:00:01Z");
    assert!(world.review.lapsed_at.is_some());
}

#[test]
fn nothing_to_review_is_reviewed() {
    let mut world = World::new();
    world.standing.clear();
    let next = world.step("2026-03-20T00:00:00Z");
    assert_eq!(world.review.number, 1);
    assert_eq!(
        world.review.closed_at.as_deref(),
        Some("2026-03-20T00:00:00Z")
    );
    assert!(next.again.is_some());
}

#[test]
fn decision_of_somebody_else_counts_and_completes_the_review() {
    let mut world = World::open();
    world.keep_all("bob");
    world.write("binding-1", ReviewDecision::Keep, "alice");
    let next = world.step("2026-03-21T00:00:00Z");
    assert_eq!(next.void, BTreeMap::new());
    assert_eq!(
        world.review.closed_at.as_deref(),
        Some("2026-03-21T00:00:00Z")
    );
    assert!(world.review.lines.iter().all(|line| !line.is_revoked()));
    assert_eq!(ends(&world.review, "1"), None);
}

#[test]
fn nobody_decides_on_their_own_access() {
    for (name, by) in [
        ("grant-1", "alice"),
        ("grant-1", "alice-admin"),
        ("binding-1", "bob-admin"),
        // Under another name of the same person.
        ("binding-1", "bob"),
        // By a group.
        ("member-ops-1", "carol"),
        ("grant-1", "desk"),
        ("grant-1", "stranger"),
    ] {
        let mut world = World::open();
        world.write(name, ReviewDecision::Keep, by);
        let next = world.step("2026-03-21T00:00:00Z");
        assert!(next.void.contains_key(name), "{name} by {by}");
        assert!(world.undecided().contains(&name), "{name} by {by}");
        // Somebody else may.
        let other = if name == "binding-1" { "alice" } else { "bob" };
        world.write(name, ReviewDecision::Keep, other);
        let next = world.step("2026-03-21T00:00:01Z");
        assert_eq!(next.void, BTreeMap::new(), "{name} by {other}");
        assert!(!world.undecided().contains(&name), "{name} by {other}");
    }
}

#[test]
fn what_may_be_their_own_access_nobody_keeps_and_everybody_revokes() {
    let mut world = World::open();
    // No StaffMember says in which groups dave is.
    world.write("member-ops-1", ReviewDecision::Keep, "dave");
    let next = world.step("2026-03-21T00:00:00Z");
    assert!(
        next.void["member-ops-1"].contains("group"),
        "{:?}",
        next.void
    );
    world.write("member-ops-1", ReviewDecision::Revoke, "dave");
    let next = world.step("2026-03-21T00:00:01Z");
    assert_eq!(next.void, BTreeMap::new());
    assert!(!world.undecided().contains(&"member-ops-1"));
    // One of many, whom the line does not name.
    let mut world = World::new();
    world.standing[3].who.push("User/alice-admin".into());
    world.step("2026-03-20T00:00:00Z");
    world.write("binding-1", ReviewDecision::Keep, "alice");
    let next = world.step("2026-03-21T00:00:00Z");
    assert!(
        next.void["binding-1"].contains("own access"),
        "{:?}",
        next.void
    );
}

#[test]
fn whoever_left_decides_nothing() {
    let mut world = World::open();
    world.persons = world.persons.without(BTreeSet::from(["bob".to_owned()]));
    world.write("grant-1", ReviewDecision::Keep, "bob");
    let next = world.step("2026-03-21T00:00:00Z");
    assert!(next.void["grant-1"].contains("any more"), "{:?}", next.void);
}

#[test]
fn decision_counts_only_while_it_is_seen_to_who_decides() {
    let mut world = World::open();
    world.guard_gap = true;
    world.keep_all("bob");
    let next = world.step("2026-03-21T00:00:00Z");
    assert_eq!(next.void.len(), 4);
    assert_eq!(world.undecided().len(), 4);
}

#[test]
fn what_is_revoked_ends_at_once_and_is_not_kept_afterwards() {
    let mut world = World::open();
    world.write("grant-1", ReviewDecision::Keep, "bob");
    world.step("2026-03-21T00:00:00Z");
    assert_eq!(ends(&world.review, "1"), None);
    world.write("grant-1", ReviewDecision::Revoke, "carol");
    world.step("2026-03-22T00:00:00Z");
    assert_eq!(ends(&world.review, "1"), Some(Why::ReviewRevoked));
    assert_eq!(ends(&world.review, "2"), None);
    world.write("grant-1", ReviewDecision::Keep, "bob");
    let next = world.step("2026-03-23T00:00:00Z");
    assert_eq!(ends(&world.review, "1"), Some(Why::ReviewRevoked));
    assert!(next.void.contains_key("grant-1"));
}

#[test]
fn lapse_ends_grants_and_leaves_the_rest_to_be_decided() {
    let mut world = World::open();
    let next = world.step("2026-03-31T23:59:59Z");
    assert_eq!(world.review.lapsed_at, None);
    assert_eq!(next.again, Some(at("2026-04-01T00:00:00Z")));
    world.write("member-ops-1", ReviewDecision::Keep, "bob");
    world.step("2026-04-01T00:00:00Z");
    assert_eq!(
        world.review.lapsed_at.as_deref(),
        Some("2026-04-01T00:00:00Z")
    );
    assert_eq!(ends(&world.review, "1"), Some(Why::ReviewLapsed));
    assert!(world.review.is_open());
    // The grant is over.
    world.standing.remove(0);
    world.step("2026-04-01T00:00:01Z");
    assert_eq!(world.undecided(), ["deployer-flux-1", "binding-1"]);
    world.write("deployer-flux-1", ReviewDecision::Keep, "bob");
    world.write("binding-1", ReviewDecision::Revoke, "alice");
    world.step("2026-04-02T00:00:00Z");
    assert_eq!(
        world.review.closed_at.as_deref(),
        Some("2026-04-02T00:00:00Z")
    );
    assert_eq!(
        world.review.lapsed_at.as_deref(),
        Some("2026-04-01T00:00:00Z")
    );
}

#[test]
fn grant_that_is_not_on_the_list_is_not_ended_by_its_lapse() {
    let mut world = World::open();
    world.standing.push(stands(line(
        "grant-2",
        AccessKind::Grant,
        "StaffMember/bob",
    )));
    world.step("2026-04-01T00:00:00Z");
    assert_eq!(ends(&world.review, "2"), None);
    assert_eq!(ends(&world.review, "1"), Some(Why::ReviewLapsed));
}

#[test]
fn list_that_does_not_hold_everything_is_never_completed() {
    let mut world = World::new();
    let many = |number: usize| {
        stands(line(
            &format!("binding-{number}"),
            AccessKind::Binding,
            "User/x",
        ))
    };
    world.standing = (0..=MOST_LINES).map(many).collect();
    world.standing.push(stands(line(
        "grant-1",
        AccessKind::Grant,
        "StaffMember/alice",
    )));
    world.step("2026-03-20T00:00:00Z");
    assert_eq!(world.review.unlisted, 2);
    assert_eq!(world.review.lines.len(), MOST_LINES);
    assert_eq!(world.review.lines[0].name, "grant-1");
    world.keep_all("bob");
    world.step("2026-03-21T00:00:00Z");
    assert_eq!(world.review.undecided().count(), 0);
    assert!(world.review.is_open());
    world.step("2026-04-01T00:00:00Z");
    assert!(world.review.lapsed_at.is_some());
    // Once what found no room is gone, it is.
    let listed: BTreeSet<String> = world
        .review
        .lines
        .iter()
        .map(|line| line.name.clone())
        .collect();
    world
        .standing
        .retain(|standing| listed.contains(&standing.line.name));
    world.step("2026-04-02T00:00:00Z");
    assert_eq!((world.review.unlisted, world.review.is_open()), (0, false));
}

#[test]
fn what_was_revoked_and_is_withheld_stays_revoked_and_a_binding_is_asked_about_again() {
    let mut world = World::open();
    for name in ["deployer-flux-1", "binding-1"] {
        world.write(name, ReviewDecision::Revoke, "alice");
    }
    for name in ["grant-1", "member-ops-1"] {
        world.write(name, ReviewDecision::Keep, "bob");
    }
    world.step("2026-03-21T00:00:00Z");
    assert!(!world.review.is_open());
    world.written.clear();
    world.step("2026-06-10T00:00:00Z");
    assert_eq!(world.review.number, 2);
    assert_eq!(world.undecided(), ["grant-1", "member-ops-1", "binding-1"]);
    // Declared otherwise, it is another one.
    world.standing[1].line.name = "deployer-flux-2".into();
    world.step("2026-06-11T00:00:00Z");
    assert_eq!(world.review.line("deployer-flux-1"), None);
}

#[test]
fn instant_that_cannot_be_read_is_due() {
    let mut world = World::new();
    world.review.frozen_at = "lately".into();
    world.step("2026-01-02T00:00:00Z");
    assert_eq!(world.review.number, 1);
    world.review.due_at = "soon".into();
    world.step("2026-01-02T00:00:01Z");
    assert!(world.review.lapsed_at.is_some());
}
