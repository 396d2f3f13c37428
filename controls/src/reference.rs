//! The control reference as Markdown, generated from the catalogue into
//! `docs/reference/controls.md`; a test fails when the committed page differs.

use std::fmt::Write as _;

use tenure_crds::customer_tenant::Profile;
use tenure_crds::status::{Mode, Party};

use crate::catalogue::{Control, controls, interval_of};
use crate::evaluate::GUARD_PROOF_MAX_AGE;
use crate::guards::guards_of;
use crate::reason::Reason;

const HEAD: &str = "\
<!-- Generated from the catalogue by `cargo xtask generate`; a test fails when it differs. -->

# Controls

Every demand of the Data Security Agreement (DSA) and of the supplier security paragraph (SEC), one control each.
A control is as weak as its weakest part; weakest first: `Drifted`, `Expired`, `Unknown`, `NotCovered`, `Compliant`.
`NotApplicable` never decides and is not counted. No verdict says more than was observed: a fact that was not
observed makes the verdict `Unknown`.

";

/// The whole page. `cargo xtask generate` writes it, and a test compares it with the committed one.
pub fn render_reference() -> String {
    let mut page = String::from(HEAD);
    intervals(&mut page);
    section(&mut page, "Data Security Agreement", Profile::Dsa);
    section(
        &mut page,
        "Supplier security paragraph",
        Profile::SupplierParagraph,
    );
    details(&mut page);
    norms(&mut page);
    reasons(&mut page);
    page
}

/// Writing into a String cannot fail.
macro_rules! line {
    ($page:expr) => { $page.push('\n') };
    ($page:expr, $($arg:tt)*) => {{
        let _ = writeln!($page, $($arg)*);
    }};
}

fn intervals(page: &mut String) {
    line!(page, "## How old an observation may be");
    line!(page);
    line!(page, "| What | Counts for |");
    line!(page, "| --- | --- |");
    for mode in [
        Mode::Enforced,
        Mode::Detected,
        Mode::Workflow,
        Mode::Attested,
    ] {
        line!(
            page,
            "| facts of a control with a part {} | {} minutes |",
            mode_word(mode),
            interval_of(mode).as_mins()
        );
    }
    line!(
        page,
        "| the proof that an admission policy is alive | {} minutes |",
        GUARD_PROOF_MAX_AGE.as_mins()
    );
    line!(
        page,
        "| the proof that the network plugin enforces policies | two intervals of the probe pair (by default ten minutes) |"
    );
    line!(page);
}

fn section(page: &mut String, title: &str, profile: Profile) {
    line!(page, "## {title}");
    line!(page);
    line!(
        page,
        "| Id | Clause | Nederlands | Français | English | Mode | Condition | Severity | Responsible |"
    );
    line!(
        page,
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for control in controls().filter(|it| it.profile == profile) {
        line!(
            page,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
            control.id,
            control.clauses.join(", "),
            control.title.nl,
            control.title.fr,
            control.title.en,
            mode_word(control.mode),
            control.condition.describe(),
            control.severity.as_str(),
            party_word(control.responsible),
        );
    }
    line!(page);
}

fn details(page: &mut String) {
    line!(page, "## What makes or sees it");
    line!(page);
    line!(
        page,
        "| Id | What makes or sees it | Parts | Guards it leans on | Interval | Category | Runbook |"
    );
    line!(page, "| --- | --- | --- | --- | --- | --- | --- |");
    for control in evaluated() {
        line!(
            page,
            "| `{}` | {} | {} | {} | {} min | {} | `{}` |",
            control.id,
            control.means,
            parts(control),
            guards_of(control.id).join(", "),
            control.interval().as_mins(),
            control.category.as_str(),
            control.runbook().unwrap_or_default(),
        );
    }
    line!(page);
}

fn parts(control: &Control) -> String {
    let parts: Vec<String> = control
        .parts
        .iter()
        .map(|part| format!("{} ({})", part.name, mode_word(part.mode)))
        .collect();
    parts.join(", ")
}

fn norms(page: &mut String) {
    line!(page, "## Norms");
    line!(page);
    line!(
        page,
        "| Id | ISO/IEC 27001:2022 Annex A | CIS Controls v8.1 | NIST CSF 2.0 | CSA CCM v4 |"
    );
    line!(page, "| --- | --- | --- | --- | --- |");
    for control in evaluated() {
        let norms = &control.norms;
        line!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            control.id,
            norms.iso27001.join(", "),
            norms.cis.join(", "),
            norms.nist_csf.join(", "),
            norms.csa_ccm.join(", "),
        );
    }
    line!(page);
}

fn reasons(page: &mut String) {
    line!(page, "## Reasons");
    line!(page);
    line!(page, "| Reason | Meaning |");
    line!(page, "| --- | --- |");
    for reason in Reason::ALL {
        line!(page, "| `{}` | {} |", reason.as_str(), reason.explain());
    }
}

fn evaluated() -> impl Iterator<Item = &'static Control> {
    controls().filter(|control| control.mode != Mode::Legal)
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforced => "Enforced",
        Mode::Detected => "Detected",
        Mode::Attested => "Attested",
        Mode::Workflow => "Workflow",
        Mode::Legal => "Legal",
    }
}

fn party_word(party: Party) -> &'static str {
    match party {
        Party::Provider => "Provider",
        Party::Customer => "Customer",
        Party::Shared => "Shared",
    }
}

#[cfg(test)]
mod tests {
    use super::render_reference;

    #[test]
    fn committed_page_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/controls.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == render_reference(),
            "docs/reference/controls.md is stale: run `cargo xtask generate`"
        );
    }

    #[test]
    fn every_table_row_has_as_many_cells_as_its_head() {
        let mut cells = 0;
        for line in render_reference().lines() {
            if !line.starts_with('|') {
                cells = 0;
                continue;
            }
            let here = line.matches('|').count();
            assert!(cells == 0 || cells == here, "{line}");
            cells = here;
        }
    }
}
