//! From what is on record to one person's access in a period. Pure.

use std::collections::BTreeMap;

use anyhow::bail;
use jiff::Timestamp;
use serde::Serialize;
use tenure_evidence::verify::ChainReport;
use tenure_evidence::{ChainId, Digest, Entry as Noted, Event};

use crate::ledger::tenant_of;

/// Where something stands on record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it says.
    pub what: &'static str,
    /// Its place in the chain.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

/// How one person was let into one tenant, from the first entry to the last.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The tenant's chain: its tenantID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chain: String,
    /// The tenant's name, where the chain says it.
    pub tenant: Option<String>,
    /// The AccessGrant.
    pub grant: String,
    /// Its uid.
    pub uid: String,
    /// The user name that was let in.
    pub identity: Option<String>,
    /// The ServiceAccount of a session, which audit logs name.
    pub account: Option<String>,
    /// As what.
    pub role: Option<String>,
    /// Where.
    pub namespaces: Vec<String>,
    /// What for.
    pub ticket: Option<String>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// The Approvals.
    pub approvals: Vec<String>,
    /// Whether it began without one.
    pub break_glass: bool,
    /// When the Approvals of one that began without were noted.
    pub approved_at: Option<Timestamp>,
    /// From when; nothing where its beginning is not on record.
    pub from: Option<Timestamp>,
    /// Until when at the latest.
    pub not_after: Option<String>,
    /// Until when; nothing while nothing on record ended it.
    pub until: Option<String>,
    /// What ended it.
    pub reason: Option<String>,
    /// When pods were deleted in which sessions may have been open.
    pub sessions_cut_at: Option<Timestamp>,
    /// When an API server last said yes after the end, where one did.
    pub last_yes: Option<String>,
    /// When the last API server said no.
    pub proven_at: Option<String>,
    /// How many there were.
    pub servers: Option<usize>,
    /// Where all that stands.
    pub entries: Vec<Entry>,
}

impl Access {
    /// Whether the person was let in at any moment from `from` on and before `to`. What cannot be read counts as within.
    fn is_within(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
        let until = self.until.as_ref().map(|until| until.parse::<Timestamp>());
        let is_over = match (until, from) {
            (Some(Ok(until)), Some(from)) => until < from,
            _ => false,
        };
        let is_later = match (self.from, to) {
            (Some(begun), Some(to)) => begun >= to,
            _ => false,
        };
        !is_over && !is_later
    }
}

/// One person's access, while the record is read.
#[derive(Debug)]
pub struct Log {
    person: String,
    accesses: BTreeMap<(ChainId, String), Access>,
    tenants: BTreeMap<ChainId, String>,
    /// The access whose newest entry is the newest of its chain: its digest is what the next entry holds.
    newest: BTreeMap<ChainId, String>,
    /// Entries about grants that cannot be read.
    unread: u64,
}

impl Log {
    /// Nothing was read yet.
    pub fn of(person: &str) -> Self {
        Self {
            person: person.to_owned(),
            accesses: BTreeMap::new(),
            tenants: BTreeMap::new(),
            newest: BTreeMap::new(),
            unread: 0,
        }
    }

    /// Takes in an entry. Those of a chain come in the order of their places.
    pub fn take(&mut self, noted: &Noted<'_>) {
        self.close(noted.chain, noted.prev);
        if let Some(tenant) = tenant_of(noted.event) {
            self.tenants.insert(noted.chain, tenant);
        }
        if !noted.kind().starts_with("grant.") {
            return;
        }
        match serde_json::from_str(noted.event.get()) {
            Ok(event) => self.follow(noted, event),
            Err(_) => self.unread += 1,
        }
    }

    fn follow(&mut self, noted: &Noted<'_>, event: Event) {
        let Some((uid, what)) = self.tell(noted, event) else {
            return;
        };
        let Some(access) = self.accesses.get_mut(&(noted.chain, uid.clone())) else {
            return;
        };
        access.entries.push(Entry {
            what,
            seq: noted.seq,
            digest: Digest::NONE,
        });
        self.newest.insert(noted.chain, uid);
    }

    /// Tells the access what happened to it. Answers which it is, and what that was; nothing where it is somebody else's.
    fn tell(&mut self, noted: &Noted<'_>, event: Event) -> Option<(String, &'static str)> {
        match event {
            Event::GrantActivated {
                grant,
                uid,
                person,
                identity,
                account,
                role,
                namespaces,
                ticket,
                requested_by,
                approvals,
                break_glass,
                not_after,
                ..
            } => {
                let access = self.of_person(noted.chain, &uid, &person, grant)?;
                access.identity = Some(identity);
                access.account = account;
                access.role = Some(role);
                access.namespaces = namespaces;
                access.ticket = Some(ticket);
                access.requested_by = requested_by;
                access.approvals = approvals;
                access.break_glass = break_glass;
                access.from = Some(noted.at);
                access.not_after = Some(not_after);
                Some((uid, "grant.activated"))
            }
            Event::GrantApproved { uid, approvals, .. } => {
                let access = self.known(noted.chain, &uid)?;
                access.approvals = approvals;
                access.approved_at = Some(noted.at);
                Some((uid, "grant.approved"))
            }
            Event::GrantEnded {
                grant,
                uid,
                person,
                reason,
                ended_at,
            } => {
                let access = self.of_person(noted.chain, &uid, &person, grant)?;
                access.until = Some(ended_at);
                access.reason = Some(reason);
                Some((uid, "grant.ended"))
            }
            Event::GrantSessionsCut { uid, .. } => {
                let access = self.known(noted.chain, &uid)?;
                access.sessions_cut_at = Some(noted.at);
                Some((uid, "grant.sessions.cut"))
            }
            Event::GrantEndProven {
                grant,
                uid,
                person,
                proven_at,
                servers,
                last_yes,
                ..
            } => {
                let access = self.of_person(noted.chain, &uid, &person, grant)?;
                access.proven_at = Some(proven_at);
                access.servers = Some(servers);
                access.last_yes = last_yes;
                Some((uid, "grant.end.proven"))
            }
            _ => None,
        }
    }

    /// The access of that uid, where it is the person's; its beginning may not be on record.
    fn of_person(
        &mut self,
        chain: ChainId,
        uid: &str,
        person: &str,
        grant: String,
    ) -> Option<&mut Access> {
        if person != self.person {
            return None;
        }
        let access = self.accesses.entry((chain, uid.to_owned())).or_default();
        access.chain = chain.to_string();
        access.uid = uid.to_owned();
        access.grant = grant;
        Some(access)
    }

    /// The access of that uid, where an entry said that it is the person's.
    fn known(&mut self, chain: ChainId, uid: &str) -> Option<&mut Access> {
        self.accesses.get_mut(&(chain, uid.to_owned()))
    }

    /// Gives the newest entry of a chain its digest.
    fn close(&mut self, chain: ChainId, digest: Digest) {
        let Some(uid) = self.newest.remove(&chain) else {
            return;
        };
        let access = self.accesses.get_mut(&(chain, uid));
        if let Some(entry) = access.and_then(|access| access.entries.last_mut()) {
            entry.digest = digest;
        }
    }

    /// The whole of it, where everything about grants could be read.
    pub fn finish(mut self, chains: &[ChainReport]) -> anyhow::Result<Self> {
        if self.unread > 0 {
            bail!(
                "{} entries about grants were written by a newer release, so nothing is reported: use that release's kubectl-tenure",
                self.unread
            );
        }
        for chain in chains {
            self.close(chain.chain, chain.head);
        }
        for ((chain, _), access) in &mut self.accesses {
            access.tenant = self.tenants.get(chain).cloned();
        }
        Ok(self)
    }

    /// Whether a chain is of a tenant of that name.
    pub fn knows(&self, tenant: &str) -> bool {
        self.tenants.values().any(|known| known == tenant)
    }

    /// What falls into a period, the oldest first: in one tenant, or in all.
    pub fn within(
        self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        tenant: Option<&str>,
    ) -> Vec<Access> {
        let all = self.accesses.into_values();
        let mut found: Vec<Access> = all
            .filter(|access| access.is_within(from, to))
            .filter(|access| tenant.is_none() || access.tenant.as_deref() == tenant)
            .collect();
        found.sort_by(|left, right| (left.from, &left.uid).cmp(&(right.from, &right.uid)));
        found
    }
}

/// One chain that was read, and verified.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Which.
    pub chain: ChainId,
    /// How far it reaches.
    pub last: u64,
    /// Its newest digest.
    pub head: Digest,
    /// How far a checkpoint outside the record bears it out.
    pub borne_out: Option<u64>,
}

impl Chain {
    /// Whether its end may be missing, as nobody outside the record knows of it.
    pub fn is_open(&self) -> bool {
        self.borne_out < Some(self.last)
    }
}

impl From<&ChainReport> for Chain {
    fn from(report: &ChainReport) -> Self {
        Self {
            chain: report.chain,
            last: report.last,
            head: report.head,
            borne_out: report.borne_out,
        }
    }
}

/// The access of one person in a period.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose, by StaffMember name.
    pub person: String,
    /// From when.
    pub from: Option<Timestamp>,
    /// Before when.
    pub to: Option<Timestamp>,
    /// The only tenant that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Where the record lies.
    pub record: String,
    /// The chains, each verified.
    pub chains: Vec<Chain>,
    /// What the verification could not show.
    pub not_shown: Vec<String>,
    /// Every access.
    pub accesses: Vec<Access>,
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ACME: ChainId = ChainId::Tenant(Uuid::from_u128(7));
    const GLOBEX: ChainId = ChainId::Tenant(Uuid::from_u128(8));

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn digest(seq: u64) -> Digest {
        Digest::of(&seq.to_be_bytes())
    }

    /// An entry, as the chain holds it at that place.
    fn take(log: &mut Log, chain: ChainId, seq: u64, time: &str, event: serde_json::Value) {
        log.take(&Noted {
            at: at(time),
            chain,
            event: &serde_json::value::to_raw_value(&event).unwrap(),
            id: Uuid::from_u128(seq.into()),
            prev: digest(seq - 1),
            seq,
            v: 1,
        });
    }

    fn end(chain: ChainId, last: u64) -> ChainReport {
        ChainReport {
            chain,
            last,
            head: digest(last),
            entries: last,
            from: None,
            until: None,
            borne_out: None,
            clock_steps: 0,
            findings: 0,
        }
    }

    fn activated(uid: &str, person: &str, break_glass: bool) -> serde_json::Value {
        let approvals = if break_glass {
            json!([])
        } else {
            json!(["yes"])
        };
        json!({
            "type": "grant.activated", "grant": format!("chg-{uid}"), "uid": uid, "person": person, "identity": "oidc:jan",
            "role": "tenure-tenant-operator", "namespaces": ["acme-prod"], "ticket": "CHG-1", "digest": "sha256:0",
            "requestedBy": "oidc:jan", "approvals": approvals, "breakGlass": break_glass, "notAfter": "2026-03-02T16:00:00Z"
        })
    }

    fn ended(uid: &str, person: &str, ended_at: &str) -> serde_json::Value {
        json!({
            "type": "grant.ended", "grant": format!("chg-{uid}"), "uid": uid, "person": person, "reason": "PersonLeft", "endedAt": ended_at
        })
    }

    fn proven(uid: &str) -> serde_json::Value {
        json!({
            "type": "grant.end.proven", "grant": format!("chg-{uid}"), "uid": uid, "person": "jan",
            "provenAt": "2026-03-02T12:00:01Z", "servers": 2, "rounds": 1
        })
    }

    /// One grant that ended and is proven, one emergency that is live, one of somebody else.
    fn log() -> Log {
        let mut log = Log::of("jan");
        let state = json!({"type": "state", "state": {"tenant": "acme", "version": 1}});
        let at_ten = "2026-03-02T10:00:00Z";
        take(&mut log, ACME, 2, at_ten, state);
        take(&mut log, ACME, 3, at_ten, activated("1", "jan", false));
        take(&mut log, ACME, 4, at_ten, activated("2", "eve", false));
        let noon = "2026-03-02T12:00:00Z";
        take(&mut log, ACME, 5, noon, ended("1", "jan", noon));
        take(&mut log, ACME, 6, noon, proven("1"));
        let later = "2026-03-03T10:00:00Z";
        take(&mut log, GLOBEX, 2, later, activated("3", "jan", true));
        log
    }

    fn whole(log: Log) -> Log {
        log.finish(&[end(ACME, 6), end(GLOBEX, 2)]).unwrap()
    }

    /// All of it, as a report tells it.
    pub fn accesses() -> Vec<Access> {
        whole(log()).within(None, None, None)
    }

    #[test]
    fn a_persons_access_is_followed_from_its_beginning_to_its_proof_and_nobody_elses() {
        let found = accesses();
        let grants: Vec<&str> = found.iter().map(|access| access.grant.as_str()).collect();
        assert_eq!(grants, ["chg-1", "chg-3"]);
        let first = &found[0];
        assert_eq!(first.tenant.as_deref(), Some("acme"));
        assert_eq!(first.approvals, ["yes"]);
        assert_eq!(first.until.as_deref(), Some("2026-03-02T12:00:00Z"));
        assert_eq!(first.reason.as_deref(), Some("PersonLeft"));
        assert_eq!(
            (first.proven_at.as_deref(), first.servers),
            (Some("2026-03-02T12:00:01Z"), Some(2))
        );
        let places: Vec<(u64, &str)> = first.entries.iter().map(|it| (it.seq, it.what)).collect();
        assert_eq!(
            places,
            [
                (3, "grant.activated"),
                (5, "grant.ended"),
                (6, "grant.end.proven")
            ]
        );
        let digests: Vec<Digest> = first.entries.iter().map(|it| it.digest).collect();
        assert_eq!(digests, [digest(3), digest(5), digest(6)]);
        let second = &found[1];
        assert!(second.break_glass && second.approvals.is_empty());
        assert_eq!((&second.until, &second.proven_at), (&None, &None));
    }

    #[test]
    fn a_period_takes_in_whatever_touches_it() {
        let grants = |from: Option<&str>, to: Option<&str>| -> Vec<String> {
            let found = whole(log()).within(from.map(at), to.map(at), None);
            found.into_iter().map(|access| access.grant).collect()
        };
        // Up to its very end, and not before its beginning.
        assert_eq!(
            grants(Some("2026-03-02T12:00:00Z"), None),
            ["chg-1", "chg-3"]
        );
        assert_eq!(grants(Some("2026-03-02T12:00:01Z"), None), ["chg-3"]);
        assert_eq!(grants(None, Some("2026-03-02T10:00:01Z")), ["chg-1"]);
        assert!(grants(None, Some("2026-03-02T10:00:00Z")).is_empty());
        // What has not ended goes on.
        assert_eq!(grants(Some("2027-01-01T00:00:00Z"), None), ["chg-3"]);
    }

    #[test]
    fn an_end_without_a_beginning_is_told_all_the_same() {
        let mut log = Log::of("jan");
        let noon = "2026-03-02T12:00:00Z";
        take(&mut log, ACME, 9, noon, ended("4", "jan", "lately"));
        // An approval of a grant that nobody knows whose it is says nothing.
        let approved = json!({"type": "grant.approved", "grant": "x", "uid": "x", "approvals": []});
        take(&mut log, ACME, 10, noon, approved);
        let found = log.within(Some(at("2027-01-01T00:00:00Z")), None, None);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].from, found[0].until.as_deref()),
            (None, Some("lately"))
        );
    }

    #[test]
    fn grants_of_one_uid_in_two_chains_are_two() {
        let mut log = log();
        let noon = "2026-03-02T12:00:00Z";
        take(&mut log, GLOBEX, 3, noon, ended("1", "jan", noon));
        assert_eq!(whole(log).within(None, None, None).len(), 3);
        assert_eq!(accesses().len(), 2);
    }

    #[test]
    fn what_a_newer_release_wrote_about_grants_leaves_nothing_to_report() {
        let mut log = log();
        let unknown = json!({"type": "grant.extended", "uid": "1"});
        take(&mut log, ACME, 7, "2026-03-02T12:00:00Z", unknown);
        let why = log.finish(&[]).err().unwrap().to_string();
        assert!(why.contains("1 entries about grants"), "{why}");
    }

    #[test]
    fn a_tenant_is_known_by_the_name_its_chain_says() {
        let found = |tenant: &str| {
            let log = whole(log());
            (
                log.knows(tenant),
                log.within(None, None, Some(tenant)).len(),
            )
        };
        assert_eq!(found("acme"), (true, 1));
        assert_eq!(found("nobody"), (false, 0));
    }
}
