//! The report for people, in the languages of the agreements. Pure.

use std::fmt::Write as _;

use clap::ValueEnum;
use jiff::Timestamp;

use super::log::{Access, Chain, Report};
use crate::output::plain;

/// In which language.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Language {
    /// Dutch.
    Nl,
    /// French.
    Fr,
    /// English.
    #[default]
    En,
}

/// Every word of the report.
struct Words {
    title: &'static str,
    person: &'static str,
    period: &'static str,
    beginning: &'static str,
    now: &'static str,
    record: &'static str,
    sound: &'static str,
    open_end: &'static str,
    none: &'static str,
    tenant: &'static str,
    role: &'static str,
    namespaces: &'static str,
    ticket: &'static str,
    asked_by: &'static str,
    approved_by: &'static str,
    nobody: &'static str,
    emergency: &'static str,
    from: &'static str,
    until: &'static str,
    at_the_latest: &'static str,
    not_ended: &'static str,
    account: &'static str,
    cut: &'static str,
    last_yes: &'static str,
    proof: &'static str,
    proven: &'static str,
    unproven: &'static str,
    entries: &'static str,
    unknown: &'static str,
    limits: &'static str,
}

const NL: Words = Words {
    title: "Toegang van één persoon tot Klantactiva (DSA 2.9)",
    person: "Persoon",
    period: "Periode",
    beginning: "het begin",
    now: "nu",
    record: "Register",
    sound: "nagekeken: het staat er zoals het geschreven werd, voor zover nagekeken",
    open_end: "dat aan het einde niets ontbreekt, is niet aangetoond: geen controlepunt van buiten het register reikt tot daar",
    none: "Geen toegang in deze periode.",
    tenant: "Klant",
    role: "Rol",
    namespaces: "Namespaces",
    ticket: "Ticket",
    asked_by: "Aangevraagd door",
    approved_by: "Goedgekeurd door",
    nobody: "niemand",
    emergency: "noodtoegang, zonder voorafgaande goedkeuring",
    from: "Van",
    until: "Tot",
    at_the_latest: "uiterlijk",
    not_ended: "niet beëindigd",
    account: "Sessie van",
    cut: "Sessies verbroken",
    last_yes: "Laatste ja",
    proof: "Einde bewezen",
    proven: "API-servers zeiden allemaal nee",
    unproven: "nee",
    entries: "In het register",
    unknown: "niet in het register",
    limits: "Dit zijn toegangen die verleend werden. Wat de persoon ermee deed, en toegang buiten grants om, staat hier niet.",
};

const FR: Words = Words {
    title: "Accès d'une personne aux Actifs du Client (DSA 2.9)",
    person: "Personne",
    period: "Période",
    beginning: "le début",
    now: "maintenant",
    record: "Registre",
    sound: "vérifié : il est tel qu'il a été écrit, pour autant que vérifié",
    open_end: "que rien ne manque à la fin n'est pas démontré : aucun point de contrôle hors du registre n'y parvient",
    none: "Aucun accès pendant cette période.",
    tenant: "Client",
    role: "Rôle",
    namespaces: "Namespaces",
    ticket: "Ticket",
    asked_by: "Demandé par",
    approved_by: "Approuvé par",
    nobody: "personne",
    emergency: "accès d'urgence, sans approbation préalable",
    from: "De",
    until: "À",
    at_the_latest: "au plus tard",
    not_ended: "pas terminé",
    account: "Session de",
    cut: "Sessions coupées",
    last_yes: "Dernier oui",
    proof: "Fin prouvée",
    proven: "serveurs API ont tous dit non",
    unproven: "non",
    entries: "Dans le registre",
    unknown: "pas dans le registre",
    limits: "Ce sont les accès accordés. Ce que la personne en a fait, et tout accès hors de ces autorisations, n'y figure pas.",
};

const EN: Words = Words {
    title: "Access of one person to Customer Assets (DSA 2.9)",
    person: "Person",
    period: "Period",
    beginning: "the beginning",
    now: "now",
    record: "Record",
    sound: "verified: it stands as it was written, as far as was checked",
    open_end: "that nothing is missing at the end is not shown: no checkpoint from outside the record reaches it",
    none: "No access in this period.",
    tenant: "Tenant",
    role: "Role",
    namespaces: "Namespaces",
    ticket: "Ticket",
    asked_by: "Asked for by",
    approved_by: "Approved by",
    nobody: "nobody",
    emergency: "emergency access, without an approval beforehand",
    from: "From",
    until: "Until",
    at_the_latest: "at the latest",
    not_ended: "not ended",
    account: "Session as",
    cut: "Sessions cut",
    last_yes: "Last yes",
    proof: "End proven",
    proven: "API servers all said no",
    unproven: "no",
    entries: "On record",
    unknown: "not on record",
    limits: "These are the accesses that were granted. What the person did with them, and access past the grants, is not told here.",
};

impl Language {
    fn words(self) -> &'static Words {
        match self {
            Self::Nl => &NL,
            Self::Fr => &FR,
            Self::En => &EN,
        }
    }
}

/// The report for people.
pub fn readable(report: &Report, language: Language) -> String {
    let words = language.words();
    let mut text = format!("{}\n\n", words.title);
    let end = |at: Option<Timestamp>, open: &str| at.map_or_else(|| open.to_owned(), time);
    let period = format!(
        "{} .. {}",
        end(report.from, words.beginning),
        end(report.to, words.now)
    );
    line(&mut text, "", words.person, &report.person);
    line(&mut text, "", words.period, &period);
    if let Some(tenant) = &report.tenant {
        line(&mut text, "", words.tenant, tenant);
    }
    line(
        &mut text,
        "",
        words.record,
        &format!("{} ({})", report.record, words.sound),
    );
    if report.chains.iter().any(Chain::is_open) {
        line(&mut text, "", "", words.open_end);
    }
    if report.accesses.is_empty() {
        let _ = writeln!(text, "\n{}", words.none);
    }
    for (number, access) in (1..).zip(&report.accesses) {
        let _ = writeln!(text, "\n{number}. AccessGrant {}", plain(&access.grant));
        one(&mut text, access, words);
    }
    let _ = writeln!(text, "\n{}", words.limits);
    text
}

fn one(text: &mut String, access: &Access, words: &Words) {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| words.unknown.to_owned());
    let list = |values: &[String], none: &str| match values {
        [] => none.to_owned(),
        values => values.join(", "),
    };
    let tenant = match &access.tenant {
        Some(name) => format!("{name} ({})", access.chain),
        None => access.chain.clone(),
    };
    let role = match &access.identity {
        Some(identity) => format!("{} ({identity})", known(&access.role)),
        None => known(&access.role),
    };
    let mut approved = list(&access.approvals, words.nobody);
    if access.break_glass {
        approved = format!("{approved} ({})", words.emergency);
    }
    if let Some(at) = access.approved_at {
        let _ = write!(approved, ", {}", time(at));
    }
    let from = access.from.map_or_else(|| words.unknown.to_owned(), time);
    let until = match (&access.until, &access.reason) {
        (Some(until), reason) => format!("{until} ({})", known(reason)),
        (None, _) => format!(
            "{} ({} {})",
            words.not_ended,
            words.at_the_latest,
            known(&access.not_after)
        ),
    };
    let proof = match (&access.proven_at, access.servers) {
        (Some(at), Some(servers)) => format!("{at} ({servers} {})", words.proven),
        (Some(at), None) => at.clone(),
        (None, _) => words.unproven.to_owned(),
    };
    let rows = [
        (words.tenant, tenant),
        (words.role, role),
        (words.namespaces, list(&access.namespaces, words.unknown)),
        (words.ticket, known(&access.ticket)),
        (words.asked_by, known(&access.requested_by)),
        (words.approved_by, approved),
        (words.from, from),
        (words.until, until),
    ];
    for (name, value) in rows {
        line(text, "   ", name, &value);
    }
    let more = [
        (words.account, access.account.clone()),
        (words.cut, access.sessions_cut_at.map(time)),
        (words.last_yes, access.last_yes.clone()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            line(text, "   ", name, &value);
        }
    }
    line(text, "   ", words.proof, &proof);
    for entry in &access.entries {
        let place = format!("#{} {} {}", entry.seq, entry.what, entry.digest);
        line(text, "   ", words.entries, &place);
    }
}

fn line(text: &mut String, indent: &str, name: &str, value: &str) {
    let _ = writeln!(text, "{indent}{name:18}{}", plain(value));
}

/// An instant to the second.
fn time(at: Timestamp) -> String {
    at.strftime("%FT%TZ").to_string()
}

#[cfg(test)]
mod tests {
    use tenure_evidence::{ChainId, Digest};

    use super::super::log::tests::accesses;
    use super::*;

    fn report() -> Report {
        Report {
            person: "jan".into(),
            from: Some("2026-03-01T00:00:00Z".parse().unwrap()),
            to: None,
            tenant: None,
            record: "/mnt/record".into(),
            chains: vec![Chain {
                chain: ChainId::Platform,
                last: 4,
                head: Digest::NONE,
                borne_out: Some(4),
            }],
            not_shown: Vec::new(),
            accesses: accesses(),
        }
    }

    #[test]
    fn every_access_is_told_whole_in_english() {
        let digest = |seq: u64| Digest::of(&seq.to_be_bytes());
        let expect = format!(
            "\
Access of one person to Customer Assets (DSA 2.9)

Person            jan
Period            2026-03-01T00:00:00Z .. now
Record            /mnt/record (verified: it stands as it was written, as far as was checked)

1. AccessGrant chg-1
   Tenant            acme (00000000-0000-0000-0000-000000000007)
   Role              tenure-tenant-operator (oidc:jan)
   Namespaces        acme-prod
   Ticket            CHG-1
   Asked for by      oidc:jan
   Approved by       yes
   From              2026-03-02T10:00:00Z
   Until             2026-03-02T12:00:00Z (PersonLeft)
   End proven        2026-03-02T12:00:01Z (2 API servers all said no)
   On record         #3 grant.activated {}
   On record         #5 grant.ended {}
   On record         #6 grant.end.proven {}

2. AccessGrant chg-3
   Tenant            00000000-0000-0000-0000-000000000008
   Role              tenure-tenant-operator (oidc:jan)
   Namespaces        acme-prod
   Ticket            CHG-1
   Asked for by      oidc:jan
   Approved by       nobody (emergency access, without an approval beforehand)
   From              2026-03-03T10:00:00Z
   Until             not ended (at the latest 2026-03-02T16:00:00Z)
   End proven        no
   On record         #2 grant.activated {}

These are the accesses that were granted. What the person did with them, and access past the grants, is not told here.
",
            digest(3),
            digest(5),
            digest(6),
            digest(2)
        );
        assert_eq!(readable(&report(), Language::En), expect);
    }

    #[test]
    fn the_same_is_told_in_dutch_and_in_french() {
        let (dutch, french) = (
            readable(&report(), Language::Nl),
            readable(&report(), Language::Fr),
        );
        for line in [
            "Goedgekeurd door  niemand (noodtoegang, zonder voorafgaande goedkeuring)",
            "Einde bewezen     2026-03-02T12:00:01Z (2 API-servers zeiden allemaal nee)",
            "Tot               niet beëindigd (uiterlijk 2026-03-02T16:00:00Z)",
        ] {
            assert!(dutch.contains(line), "{dutch}");
        }
        for line in [
            "Approuvé par      personne (accès d'urgence, sans approbation préalable)",
            "Fin prouvée       2026-03-02T12:00:01Z (2 serveurs API ont tous dit non)",
            "À                 pas terminé (au plus tard 2026-03-02T16:00:00Z)",
        ] {
            assert!(french.contains(line), "{french}");
        }
        let lines = |text: &str| text.lines().count();
        let english = readable(&report(), Language::En);
        assert_eq!(lines(&dutch), lines(&english));
        assert_eq!(lines(&french), lines(&english));
    }

    #[test]
    fn an_open_end_and_an_empty_period_are_said() {
        let mut report = report();
        report.chains[0].borne_out = Some(3);
        report.accesses.clear();
        report.person = "\u{1b}[2J".into();
        let text = readable(&report, Language::En);
        assert!(
            text.contains("from outside the record reaches it\n\nNo access in this period.\n"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_session_and_a_late_yes_are_told() {
        let mut report = report();
        report.accesses.truncate(1);
        report.accesses[0].account = Some("tenure-grant-1-2".into());
        report.accesses[0].last_yes = Some("2026-03-02T12:00:00.5Z".into());
        let text = readable(&report, Language::En);
        let told = "   Session as        tenure-grant-1-2\n   Last yes          2026-03-02T12:00:00.5Z\n   End proven ";
        assert!(text.contains(told), "{text}");
    }
}
