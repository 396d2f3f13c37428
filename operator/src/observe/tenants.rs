//! What is said of each tenant, as one small row, and written as text when it is asked for.
//!
//! The client library keeps about a kilobyte for each series, and a tenant has some ninety of them: at a thousand
//! tenants that was most of the operator's memory. A row knows the same in a few hundred bytes, and forgetting a
//! tenant forgets every series of it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::{LazyLock, PoisonError, RwLock};

use tenure_controls::catalogue::controls;
use tenure_crds::status::{ControlStatus, Verdict};

use super::metrics::Family;

/// Every tenant's row.
#[derive(Default)]
pub(super) struct Tenants(RwLock<BTreeMap<String, Row>>);

/// One tenant.
#[derive(Default)]
pub(super) struct Row {
    /// Id, classification, enforcement.
    pub(super) info: Option<[Box<str>; 3]>,
    /// Condition and status, in the order of status.
    pub(super) conditions: Vec<(Box<str>, Box<str>)>,
    /// Control and verdict, in the order of the catalogue.
    pub(super) controls: Vec<(&'static str, Verdict)>,
    /// Why it is frozen.
    pub(super) frozen: Option<&'static str>,
    /// How many undeclared flows are open; nothing until that was evaluated.
    pub(super) exposures: Option<usize>,
    /// Its parked namespaces.
    pub(super) parked: Vec<Box<str>>,
}

impl Row {
    /// Takes in where controls stand; one that the catalogue does not know is not said.
    pub(super) fn judged(&mut self, controls: &[ControlStatus]) {
        self.controls = controls
            .iter()
            .filter_map(|control| Some((known(&control.id)?, control.verdict)))
            .collect();
    }
}

/// The catalogue's own spelling of a control's id.
fn known(id: &str) -> Option<&'static str> {
    static IDS: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| controls().map(|control| control.id).collect());
    IDS.get(id).copied()
}

/// Writes one tenant's series of a family.
type Series = fn(&mut Lines<'_>, &str, &Row);

/// A family of series that rows hold; labels sorted, as the client library sorts those of the others.
struct Held {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    series: Series,
}

const FAMILIES: [Held; 6] = [
    Held {
        name: "tenure_customertenant_info",
        help: "Tenants known to the operator.",
        labels: &[
            "classification",
            "customertenant",
            "enforcement",
            "tenant_id",
        ],
        series: |lines, tenant, row| {
            if let Some([id, classification, enforcement]) = &row.info {
                lines.say(&[classification, tenant, enforcement, id], 1);
            }
        },
    },
    Held {
        name: "tenure_customertenant_status_condition",
        help: "1 for the status a condition has.",
        labels: &["condition", "customertenant", "status"],
        series: |lines, tenant, row| {
            for (condition, status) in &row.conditions {
                for other in ["True", "False", "Unknown"] {
                    lines.say(&[condition, tenant, other], usize::from(**status == *other));
                }
            }
        },
    },
    Held {
        name: "tenure_control_status",
        help: "1 for the verdict a control has.",
        labels: &["control", "customertenant", "verdict"],
        series: |lines, tenant, row| {
            for (control, verdict) in &row.controls {
                lines.say(&[control, tenant, verdict.as_str()], 1);
            }
        },
    },
    Held {
        name: "tenure_customertenant_frozen",
        help: "1 while a tenant is frozen: isolation is kept, nothing else happens.",
        labels: &["customertenant", "reason"],
        series: |lines, tenant, row| {
            if let Some(reason) = row.frozen {
                lines.say(&[tenant, reason], 1);
            }
        },
    },
    Held {
        name: "tenure_customertenant_undeclared_flows",
        help: "Flows between a tenant and the world that are open and undeclared.",
        labels: &["customertenant"],
        series: |lines, tenant, row| {
            if let Some(open) = row.exposures {
                lines.say(&[tenant], open);
            }
        },
    },
    // Not `namespace`: scrapers put the scraped pod's own under that name.
    Held {
        name: "tenure_namespace_parked",
        help: "1 for each namespace that left its tenant's list and is kept isolated.",
        labels: &["customertenant", "tenant_namespace"],
        series: |lines, tenant, row| {
            for namespace in &row.parked {
                lines.say(&[tenant, namespace], 1);
            }
        },
    },
];

impl Tenants {
    /// Changes a tenant's row.
    pub(super) fn change(&self, tenant: &str, change: impl FnOnce(&mut Row)) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match rows.get_mut(tenant) {
            Some(row) => change(row),
            None => change(rows.entry(tenant.to_owned()).or_default()),
        }
    }

    /// Forgets a tenant.
    pub(super) fn forget(&self, tenant: &str) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rows.remove(tenant);
    }

    /// The families that rows hold.
    pub(super) fn families() -> impl Iterator<Item = Family> {
        FAMILIES.iter().map(|held| Family {
            name: held.name.to_owned(),
            kind: "gauge",
            help: held.help.to_owned(),
            labels: held.labels.iter().map(ToString::to_string).collect(),
        })
    }

    /// Adds every series in Prometheus's text format; a family without one is left out.
    pub(super) fn render(&self, text: &mut String) {
        let rows = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for held in &FAMILIES {
            let mut lines = Lines {
                text,
                held,
                begun: false,
            };
            for (tenant, row) in rows.iter() {
                (held.series)(&mut lines, tenant, row);
            }
        }
    }
}

/// The lines of one family.
struct Lines<'a> {
    text: &'a mut String,
    held: &'static Held,
    begun: bool,
}

impl Lines<'_> {
    fn say(&mut self, values: &[&str], value: usize) {
        let Held {
            name, help, labels, ..
        } = self.held;
        if !self.begun {
            self.begun = true;
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
        }
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().zip(values).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

/// A label's value as the text format wants it.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(tenants: &Tenants) -> String {
        let mut text = String::new();
        tenants.render(&mut text);
        text
    }

    fn judged(id: &str, verdict: Verdict) -> ControlStatus {
        ControlStatus {
            id: id.into(),
            verdict,
            reason: "Because".into(),
            message: None,
            since: "2026-01-01T00:00:00Z".into(),
            responsible: None,
        }
    }

    #[test]
    fn a_row_is_written_as_the_text_format_wants_it() {
        let tenants = Tenants::default();
        tenants.change("acme", |row| {
            row.info = Some(["1".into(), "Internal".into(), "Enforce".into()]);
            row.conditions = vec![("Ready".into(), "False".into())];
            row.judged(&[judged("dsa-2.6-logical-separation", Verdict::Drifted)]);
            row.exposures = Some(2);
            row.parked = vec!["a\"\\\nb".into()];
        });
        assert_eq!(
            rendered(&tenants),
            r##"# HELP tenure_customertenant_info Tenants known to the operator.
# TYPE tenure_customertenant_info gauge
tenure_customertenant_info{classification="Internal",customertenant="acme",enforcement="Enforce",tenant_id="1"} 1
# HELP tenure_customertenant_status_condition 1 for the status a condition has.
# TYPE tenure_customertenant_status_condition gauge
tenure_customertenant_status_condition{condition="Ready",customertenant="acme",status="True"} 0
tenure_customertenant_status_condition{condition="Ready",customertenant="acme",status="False"} 1
tenure_customertenant_status_condition{condition="Ready",customertenant="acme",status="Unknown"} 0
# HELP tenure_control_status 1 for the verdict a control has.
# TYPE tenure_control_status gauge
tenure_control_status{control="dsa-2.6-logical-separation",customertenant="acme",verdict="Drifted"} 1
# HELP tenure_customertenant_undeclared_flows Flows between a tenant and the world that are open and undeclared.
# TYPE tenure_customertenant_undeclared_flows gauge
tenure_customertenant_undeclared_flows{customertenant="acme"} 2
# HELP tenure_namespace_parked 1 for each namespace that left its tenant's list and is kept isolated.
# TYPE tenure_namespace_parked gauge
tenure_namespace_parked{customertenant="acme",tenant_namespace="a\"\\\nb"} 1
"##
        );
    }

    #[test]
    fn a_verdict_replaces_the_one_before() {
        let tenants = Tenants::default();
        for verdict in [Verdict::Compliant, Verdict::Unknown] {
            tenants.change("acme", |row| {
                row.judged(&[judged("dsa-2.6-logical-separation", verdict)]);
            });
        }
        let text = rendered(&tenants);
        assert!(
            text.contains("Unknown") && !text.contains("Compliant"),
            "{text}"
        );
    }

    #[test]
    fn a_forgotten_tenant_has_no_series() {
        let tenants = Tenants::default();
        tenants.change("acme", |row| row.exposures = Some(0));
        tenants.change("globex", |row| row.frozen = Some("Vanished"));
        tenants.forget("acme");
        let text = rendered(&tenants);
        assert!(!text.contains("acme") && text.contains("globex"), "{text}");
        tenants.forget("globex");
        assert_eq!(rendered(&tenants), "");
    }
}
