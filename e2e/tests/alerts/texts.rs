//! The files themselves: rules that promtool understands and times, texts, runbook pages, and names of metrics that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tenure_e2e::monitoring::{INHIBITION, RULES, hurried_rules};
use tenure_e2e::paths::repository;
use tenure_operator::observe::Metrics;

const DASHBOARD: &str = "charts/tenure/files/dashboards/tenure.json";
/// The metric of the API server that the alerts lean on.
const OF_THE_API_SERVER: &str = "apiserver_validating_admission_policy_check_total";

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// The groups of the rule file.
pub fn groups() -> Value {
    let file: Value = serde_saphyr::from_str(&read(RULES)).unwrap();
    file["groups"].clone()
}

fn rules() -> Vec<Value> {
    let groups = groups();
    let rules = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn text<'a>(rule: &'a Value, path: &str) -> &'a str {
    rule.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{path} is missing in {rule}"))
}

/// Every query of the dashboard, those of its variables included.
pub fn dashboard_queries() -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, into));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    collect(
        &serde_json::from_str(&read(DASHBOARD)).unwrap(),
        &mut queries,
    );
    queries
}

/// Words that look like a metric's name, without the suffixes of a histogram's series.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    words
        .filter(|word| word.starts_with("tenure_") || word.starts_with("apiserver_"))
        .map(str::to_owned)
        .collect()
}

/// Every metric that a rule or the dashboard names.
pub fn metrics_named() -> BTreeSet<String> {
    let mut queries = dashboard_queries();
    queries.extend(rules().iter().map(|rule| text(rule, "/expr").to_owned()));
    queries.iter().flat_map(|query| metrics_in(query)).collect()
}

fn tool(program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .current_dir(repository())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn prometheus_understands_the_rules_and_alertmanager_the_inhibition() {
    tool("promtool", &["check", "rules", RULES]);
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("alertmanager.yaml");
    let own = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    fs::write(&configuration, format!("{own}{}", read(INHIBITION))).unwrap();
    tool("amtool", &["check-config", configuration.to_str().unwrap()]);
}

/// How long each alert waits, what a failover does to it, and what missing data does: with promtool's clock.
#[test]
fn alerts_wait_as_long_as_they_should() {
    tool(
        "promtool",
        &["test", "rules", "e2e/tests/alerts/clock.yaml"],
    );
}

#[test]
fn hurried_rules_differ_in_their_waiting_times_only() {
    let hurried = hurried_rules().unwrap();
    let mut differing = 0;
    let original = read(RULES);
    assert_eq!(hurried.lines().count(), original.lines().count());
    for (hurried, original) in hurried.lines().zip(original.lines()) {
        if hurried != original {
            let key = original.trim().split(':').next().unwrap();
            assert!(["for", "keep_firing_for"].contains(&key), "{original}");
            assert!(hurried.ends_with(": 1s"), "{hurried}");
            differing += 1;
        }
    }
    assert_eq!(differing, 40);
}

#[test]
fn every_alert_says_what_to_do_and_has_its_page() {
    for rule in rules() {
        let alert = text(&rule, "/alert");
        assert!(alert.starts_with("Tenure"), "{alert}");
        let severity = text(&rule, "/labels/severity");
        let scope = text(&rule, "/labels/tenure_scope");
        let levels: &[&str] = match scope {
            "platform" => &["critical"],
            "access" => &["critical", "warning", "info"],
            "tenant" | "request" | "record" => &["warning", "info"],
            other => panic!("{alert}: {other} is no scope"),
        };
        assert!(levels.contains(&severity), "{alert}: {severity}");
        assert!(text(&rule, "/annotations/summary").len() > 20, "{alert}");
        assert!(
            text(&rule, "/annotations/description").len() > 80,
            "{alert}"
        );
        let page = read(text(&rule, "/annotations/runbook_url"));
        assert!(
            page.contains(&format!("`{alert}`")),
            "{alert} is not named on its page"
        );
        let headings: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        let expected = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];
        assert_eq!(headings, expected, "{alert}");
    }
}

#[test]
fn every_page_belongs_to_an_alert_or_a_control() {
    let mut known: BTreeSet<String> = rules()
        .iter()
        .map(|rule| text(rule, "/annotations/runbook_url").replace("docs/", ""))
        .collect();
    known.extend(
        tenure_controls::controls().filter_map(|control| control.runbook().map(str::to_owned)),
    );
    let pages = fs::read_dir(repository().join("docs/runbooks")).unwrap();
    let pages: BTreeSet<String> = pages
        .map(|page| format!("runbooks/{}", page.unwrap().file_name().to_string_lossy()))
        .collect();
    assert_eq!(pages, known);
}

#[test]
fn every_alert_is_told_of() {
    let page = read("docs/alerts.md");
    for rule in rules() {
        let alert = text(&rule, "/alert");
        assert!(page.contains(&format!("`{alert}`")), "{alert}");
    }
}

/// Nobody hears of a tenant before the cause had its time to page.
#[test]
fn causes_come_before_what_they_silence() {
    let minutes = |rule: &Value| -> u64 {
        let wait = text(rule, "/for").strip_suffix('m').unwrap();
        wait.parse().unwrap()
    };
    let rules = rules();
    let of = |scope: &str| -> Vec<&Value> {
        let scoped = rules
            .iter()
            .filter(|rule| rule["labels"]["tenure_scope"] == scope);
        scoped.collect()
    };
    // A probe that does not run changes no verdict at once: it has its two intervals before.
    let causes = of("platform")
        .into_iter()
        .filter(|rule| rule["alert"] != "TenureProbePairNotRun");
    let slowest = causes.map(minutes).max().unwrap();
    for tenant in of("tenant") {
        assert!(minutes(tenant) > slowest, "{tenant}");
    }
}

#[test]
fn every_metric_named_exists() {
    let metrics = Metrics::new();
    let mut known: BTreeSet<String> = BTreeSet::from([OF_THE_API_SERVER.to_owned()]);
    for family in metrics.families() {
        if family.kind == "histogram" {
            known.extend(["_bucket", "_count"].map(|suffix| format!("{}{suffix}", family.name)));
        } else {
            known.insert(family.name.clone());
        }
    }
    let named = metrics_named();
    let missing: Vec<_> = named.difference(&known).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for query in dashboard_queries() {
        assert!(!metrics_in(&query).is_empty(), "{query} names no metric");
    }
    // What nobody looks at is not needed.
    let unused: Vec<_> = known
        .difference(&named)
        .filter(|name| !name.ends_with("_bucket") && !name.ends_with("_count"))
        .collect();
    assert!(unused.is_empty(), "no rule and no panel uses {unused:?}");
}

#[test]
fn panels_have_a_title_a_text_and_room() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(!text(panel, "/title").is_empty());
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{panel}");
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert!(!text(panel, "/description").is_empty(), "{panel}");
        }
    }
    assert!(Path::new(DASHBOARD).extension().is_some() && panels.len() > 20);
}
