//! Drift: what somebody made of a managed object, for how long, and the fights over it. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tenure_crds::keys;
use tenure_evidence::Event;

use crate::cluster::Kind;
use crate::cluster::diff::Difference;

/// One repaired deviation from the accepted rendering (promise 9).
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The control it broke.
    pub control: &'static str,
    /// Kind of the object.
    pub kind: Kind,
    /// `namespace/name` of the object.
    pub object: String,
    /// What was wrong with it.
    pub what: String,
    /// Who did it: the field manager as claimed, or nobody known.
    pub actor: Actor,
    /// At most this long it stood open, in whole seconds (managed fields know no finer).
    pub exposed_seconds: Option<i64>,
    /// When the foreign write was made, as far as the object says.
    pub since: Option<Timestamp>,
}

impl Drift {
    /// What the record tells of it; without `closed` it is about to be repaired.
    pub fn event(&self, tenant: &str, closed: Option<Timestamp>) -> Event {
        Event::DriftRepaired {
            tenant: tenant.to_owned(),
            control: self.control.to_owned(),
            object: format!("{} {}", self.kind.as_str(), self.object),
            what: self.what.clone(),
            opened_at: self.since.map(|since| since.to_string()),
            closed_at: closed.map(|closed| closed.to_string()),
            actor: self.actor.to_string(),
        }
    }
}

/// Who changed an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// Nothing on the object says.
    Unknown,
    /// The field manager of the last foreign write; anybody can claim any name.
    Claimed(String),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => out.write_str("unknown"),
            Self::Claimed(manager) => write!(out, "claimed {manager}"),
        }
    }
}

/// The control an object of that kind stands for.
pub fn control(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace | Kind::NetworkPolicy | Kind::ClusterNetworkPolicy => {
            "dsa-2.6-logical-separation"
        }
        Kind::ResourceQuota | Kind::LimitRange => "sec-5-appropriate-measures",
        Kind::RoleBinding | Kind::Role | Kind::ServiceAccount => "dsa-2.4-role-based-access",
    }
}

/// Drift of an object that was there and differed.
pub fn changed(kind: Kind, live: &Value, differences: &[Difference], now: Timestamp) -> Drift {
    let (actor, since) = last_foreign_write(live);
    let what: Vec<String> = differences
        .iter()
        .take(5)
        .map(ToString::to_string)
        .collect();
    Drift {
        control: control(kind),
        kind,
        object: object_name(live),
        what: what.join(", "),
        actor,
        exposed_seconds: since.map(|since| (now.as_second() - since.as_second()).max(0)),
        since,
    }
}

/// Drift of an object that should have been there and was not.
pub fn missing(kind: Kind, desired: &Value) -> Drift {
    Drift {
        control: control(kind),
        kind,
        object: object_name(desired),
        what: "deleted".into(),
        actor: Actor::Unknown,
        exposed_seconds: None,
        since: None,
    }
}

/// Drift of an object that carried our marks and should not exist.
pub fn surplus(kind: Kind, live: &Value) -> Drift {
    let (actor, _) = last_foreign_write(live);
    Drift {
        control: control(kind),
        kind,
        object: object_name(live),
        what: "not part of the rendering; removed".into(),
        actor,
        exposed_seconds: None,
        since: None,
    }
}

fn last_foreign_write(live: &Value) -> (Actor, Option<Timestamp>) {
    let entries = live["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let last = entries
        .iter()
        .filter(|entry| entry["manager"] != keys::FIELD_MANAGER && entry["subresource"].is_null())
        .filter_map(|entry| {
            Some((
                entry["time"].as_str()?.parse::<Timestamp>().ok()?,
                entry["manager"].as_str()?,
            ))
        })
        .max_by_key(|(time, _)| *time);
    match last {
        Some((time, manager)) => (Actor::Claimed(manager.to_owned()), Some(time)),
        None => (Actor::Unknown, None),
    }
}

fn object_name(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// Repairs of one object, for telling a mistake from a fight.
#[derive(Clone, Debug, Default)]
struct Repairs {
    recent: u32,
    last: Option<Timestamp>,
}

/// Repairs of every object, bounded.
#[derive(Debug, Default)]
pub struct Fights(HashMap<(Kind, String), Repairs>);

/// Repairs within a quiet period after which two controllers are taken to fight.
const TOLERATED: u32 = 5;
/// An object left alone for this long is at peace again.
const QUIET: Duration = Duration::from_secs(60);
/// Longest wait between repairs of a contested object.
const LONGEST: Duration = Duration::from_secs(300);
/// Most objects remembered; the oldest peaceful ones are forgotten first.
const REMEMBERED: usize = 10_000;

impl Fights {
    /// How long a repair of the object must wait now; nothing while it is not contested.
    pub fn wait(&self, kind: Kind, object: &str, now: Timestamp) -> Option<Duration> {
        let repairs = self.0.get(&(kind, object.to_owned()))?;
        let backoff = backoff(repairs.recent)?;
        let since = elapsed(repairs.last?, now);
        (since < backoff).then(|| backoff - since)
    }

    /// Notes a repair.
    pub fn repaired(&mut self, kind: Kind, object: &str, now: Timestamp) {
        if self.0.len() >= REMEMBERED {
            self.0
                .retain(|_, repairs| repairs.last.is_some_and(|last| elapsed(last, now) < QUIET));
        }
        let repairs = self.0.entry((kind, object.to_owned())).or_default();
        let quiet = repairs.last.is_none_or(|last| {
            elapsed(last, now) > QUIET + backoff(repairs.recent).unwrap_or_default()
        });
        repairs.recent = if quiet {
            1
        } else {
            repairs.recent.saturating_add(1)
        };
        repairs.last = Some(now);
    }

    /// Objects among `of` that are being fought over now.
    pub fn contested<'a>(
        &'a self,
        namespaces: &'a [String],
        now: Timestamp,
    ) -> impl Iterator<Item = String> + 'a {
        self.0
            .iter()
            .filter(move |(_, repairs)| {
                repairs.recent > TOLERATED
                    && repairs
                        .last
                        .is_some_and(|last| elapsed(last, now) <= QUIET + LONGEST)
            })
            .filter(|((_, object), _)| {
                namespaces.iter().any(|namespace| {
                    object == namespace || object.starts_with(&format!("{namespace}/"))
                })
            })
            .map(|((kind, object), repairs)| {
                format!("{} {object} ({} repairs)", kind.as_str(), repairs.recent)
            })
    }
}

fn backoff(recent: u32) -> Option<Duration> {
    let over = recent.checked_sub(TOLERATED)?;
    (over > 0).then(|| Duration::from_secs(1 << over.min(9)).min(LONGEST))
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    // A clock that stepped back must not make the wait longer than the backoff itself.
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_few_repairs_are_immediate() {
        let mut fights = Fights::default();
        for second in 0..5 {
            assert_eq!(fights.wait(Kind::NetworkPolicy, "a/b", at(second)), None);
            fights.repaired(Kind::NetworkPolicy, "a/b", at(second));
        }
        assert_eq!(fights.wait(Kind::NetworkPolicy, "a/b", at(5)), None);
    }

    #[test]
    fn a_fight_backs_off_and_ends_with_quiet() {
        let mut fights = Fights::default();
        for second in 0..7 {
            fights.repaired(Kind::NetworkPolicy, "a/b", at(second));
        }
        assert_eq!(
            fights.wait(Kind::NetworkPolicy, "a/b", at(6)),
            Some(Duration::from_secs(4))
        );
        assert_eq!(fights.contested(&["a".into()], at(7)).count(), 1);
        assert_eq!(fights.contested(&["other".into()], at(7)).count(), 0);
        fights.repaired(Kind::NetworkPolicy, "a/b", at(1000));
        assert_eq!(fights.wait(Kind::NetworkPolicy, "a/b", at(1000)), None);
        assert_eq!(fights.contested(&["a".into()], at(1001)).count(), 0);
    }

    #[test]
    fn the_wait_never_exceeds_five_minutes() {
        let mut fights = Fights::default();
        for second in 0..60 {
            fights.repaired(Kind::NetworkPolicy, "a/b", at(second));
        }
        assert_eq!(
            fights.wait(Kind::NetworkPolicy, "a/b", at(59)),
            Some(LONGEST)
        );
    }

    #[test]
    fn the_last_foreign_manager_is_printed_as_claimed() {
        let live = serde_json::json!({"metadata": {"name": "p", "namespace": "n", "managedFields": [
            {"manager": "tenure", "time": "2027-01-15T08:00:10Z"},
            {"manager": "kubectl-edit", "time": "2027-01-15T08:00:00Z"},
            {"manager": "old", "time": "2027-01-14T08:00:00Z"}]}});
        let drift = changed(
            Kind::NetworkPolicy,
            &live,
            &[Difference::OwnerReference],
            "2027-01-15T08:00:02Z".parse().unwrap(),
        );
        assert_eq!(drift.actor, Actor::Claimed("kubectl-edit".into()));
        assert_eq!(drift.exposed_seconds, Some(2));
        assert_eq!(drift.object, "n/p");
    }
}
