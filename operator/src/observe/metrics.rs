//! Figures for Prometheus, named as kube-state-metrics names its own. Labels are bounded by the
//! number of tenants and controls; no label ever holds an object's content.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tenure_controls::facts::ProbeResult;
use tenure_crds::status::ControlStatus;

use super::tenants::Tenants;
use crate::tenant::drift::Drift;

/// Upper bounds of a reconcile's time, in seconds.
const BUCKETS: [f64; 7] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    tenants: Tenants,
    drift: IntCounterVec,
    reconcile: HistogramVec,
    errors: IntCounterVec,
    guard_alive: IntGaugeVec,
    undecodable: IntGaugeVec,
    /// What is said to be undecodable of kinds that are looked at as a whole.
    known_undecodable: Mutex<BTreeMap<String, BTreeSet<String>>>,
    grants: IntGaugeVec,
    grants_by_identity: IntGaugeVec,
    approval_waits: IntGaugeVec,
    held_leavers: IntGauge,
    clock_ahead: IntGauge,
    past_end: IntGaugeVec,
    review_due: IntGaugeVec,
    review_lapsed: IntGaugeVec,
    review_revoked: IntGaugeVec,
    ends_unproven: IntGaugeVec,
    ends_remaining: IntGaugeVec,
    sweeps_open: IntGaugeVec,
    sweep_open_since: IntGaugeVec,
    holds: IntGaugeVec,
    holds_due: IntGauge,
    attestations: IntGaugeVec,
    leader: IntGauge,
    probe_flow: IntGaugeVec,
    probe_at: IntGauge,
    probe_interval: IntGauge,
    last_pass: IntGauge,
    interval: IntGauge,
    record: RecordGauges,
    record_figures: OnceLock<Box<dyn Fn() -> RecordFigures + Send + Sync>>,
    families: Vec<Family>,
}

/// What is said of the record.
struct RecordGauges {
    available: IntGauge,
    read: IntGauge,
    broken: IntGauge,
    waiting: IntGauge,
    missed: IntGauge,
    behind: IntGauge,
}

/// How the review of access stands, to a tenant or to all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReviewFigures {
    /// Unix time by which the open one must be decided.
    pub due_at: Option<i64>,
    /// Accesses nobody decided on although it was due.
    pub lapsed: usize,
    /// What was revoked and still stands, or is still declared.
    pub revoked: usize,
}

/// How the grants of a tenant stand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GrantFigures {
    /// Nobody is let in by it yet.
    pub pending: usize,
    /// Approved and active.
    pub active: usize,
    /// Active, and nobody approved it yet.
    pub break_glass: usize,
    /// Over.
    pub ended: usize,
    /// Of the active ones, those that bind the person's own identity.
    pub by_identity: usize,
    /// Unix time at which the oldest was asked for that waits for an approval.
    pub waiting_since: Option<i64>,
}

/// How the record stands, asked whenever metrics are.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordFigures {
    /// Whether the last request to its store did what was asked.
    pub is_available: bool,
    /// Notes that are in no chain yet.
    pub waiting: usize,
    /// Notes for which there was no room.
    pub missed: u64,
    /// Chains whose newest checkpoint is not in the second place yet.
    pub behind: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Every metric, registered.
    pub fn new() -> Self {
        let mut new = Families::default();
        Self {
            drift: new.counters(
                "tenure_drift_total",
                "Repaired deviations from the accepted rendering.",
                &["customertenant", "control", "kind"],
            ),
            reconcile: new.histograms(
                "tenure_reconcile_duration_seconds",
                "Time of one reconcile.",
                &["outcome"],
            ),
            errors: new.counters(
                "tenure_reconcile_errors_total",
                "Reconciles that could not finish, by reason.",
                &["reason"],
            ),
            guard_alive: new.gauges(
                "tenure_guard_alive",
                "1 while a guard's text is the built-in one and it was seen to deny.",
                &["guard"],
            ),
            undecodable: new.gauges(
                "tenure_object_undecodable",
                "1 for each object that cannot be read and is skipped.",
                &["kind", "name"],
            ),
            known_undecodable: Mutex::default(),
            grants: new.gauges(
                "tenure_access_grants",
                "AccessGrants by where they stand: pending, active, break-glass (active, and nobody approved it yet), ended.",
                &["customertenant", "state"],
            ),
            grants_by_identity: new.gauges(
                "tenure_access_identity_grants",
                "Live grants that bind a person's own identity: they end by the operator alone.",
                &["customertenant"],
            ),
            approval_waits: new.gauges(
                "tenure_access_approval_waiting_timestamp_seconds",
                "Unix time at which the oldest grant that waits for an approval was asked for; 0 if none waits.",
                &["customertenant"],
            ),
            held_leavers: new.gauge(
                "tenure_access_held_leavers",
                "Persons who left and whose grants stay for a quarter of an hour, because too many left at once.",
            ),
            clock_ahead: new.gauge(
                "tenure_clock_ahead_seconds",
                "By how much the operator's clock is ahead of the API server's; negative where it is behind.",
            ),
            review_due: new.gauges(
                "tenure_access_review_due_timestamp_seconds",
                "When the open review of access must be decided; nothing where none is open. Without a tenant: access to all of them.",
                &["customertenant"],
            ),
            review_lapsed: new.gauges(
                "tenure_access_review_lapsed",
                "Accesses that nobody decided on although their review was due.",
                &["customertenant"],
            ),
            review_revoked: new.gauges(
                "tenure_access_review_revoked_standing",
                "Accesses that a reviewer revoked and that are still declared, or bound by others.",
                &["customertenant"],
            ),
            past_end: new.gauges(
                "tenure_access_bindings_past_end",
                "Bindings of grants that have ended and still stand.",
                &["customertenant"],
            ),
            ends_unproven: new.gauges(
                "tenure_access_ends_unproven",
                "Grants that have ended of which not every API server has said no.",
                &["customertenant"],
            ),
            ends_remaining: new.gauges(
                "tenure_access_ends_remaining",
                "Grants that have ended whose person is still let do what they allowed, by something else.",
                &["customertenant"],
            ),
            sweeps_open: new.gauges(
                "tenure_access_sweeps_open",
                "Grants that have ended of which objects stay that were created or changed meanwhile, and nobody accepted them.",
                &["customertenant"],
            ),
            sweep_open_since: new.gauges(
                "tenure_access_sweep_open_timestamp_seconds",
                "Unix time since which the oldest of them is open; 0 if none is.",
                &["customertenant"],
            ),
            holds: new.gauges(
                "tenure_legal_holds",
                "LegalHolds by where they stand: holding, unrecorded (it stands and is not on record), gone (on record, and its object is gone), released.",
                &["state"],
            ),
            holds_due: new.gauge(
                "tenure_legal_holds_review_due",
                "LegalHolds of which the day has come to look whether they are still needed.",
            ),
            attestations: new.gauges(
                "tenure_attestations",
                "Attestations by whether they count: valid, invalid, unrecorded.",
                &["state"],
            ),
            leader: new.gauge(
                "tenure_leader",
                "1 while this process is the leader, 0 on standby.",
            ),
            probe_flow: new.gauges(
                "tenure_probe_flow_ok",
                "1 while a flow of the probe pair did what its policy says, as last seen.",
                &["flow"],
            ),
            probe_at: new.gauge(
                "tenure_probe_timestamp_seconds",
                "Unix time at which the probe pair last ran; 0 if never.",
            ),
            probe_interval: new.gauge(
                "tenure_probe_interval_seconds",
                "How often the probe pair should run; a result counts for two intervals.",
            ),
            last_pass: new.gauge(
                "tenure_last_evaluation_timestamp_seconds",
                "Unix time of the last full evaluation pass; 0 if this process knows of none.",
            ),
            interval: new.gauge(
                "tenure_evaluation_interval_seconds",
                "Time between two full evaluation passes; one counts for two intervals.",
            ),
            record: RecordGauges {
                available: new.gauge(
                    "tenure_record_available",
                    "1 while the last request to the record's store did what was asked.",
                ),
                read: new.gauge(
                    "tenure_record_read",
                    "1 once the leader has read the record since its start; until then nothing new is accepted.",
                ),
                broken: new.gauge(
                    "tenure_record_broken_chains",
                    "Chains of the record that are not what was written; nothing is built on them.",
                ),
                waiting: new.gauge(
                    "tenure_record_waiting_notes",
                    "What happened and is in no chain of the record yet.",
                ),
                missed: new.gauge(
                    "tenure_record_missed_notes",
                    "What happened while there was no room to keep it; recorded as a number.",
                ),
                behind: new.gauge(
                    "tenure_record_checkpoints_behind",
                    "Chains whose newest checkpoint is not in the second place yet.",
                ),
            },
            record_figures: OnceLock::new(),
            families: new.families,
            registry: new.registry,
            tenants: Tenants::default(),
        }
    }

    /// Every metric there is, whether it has a series yet or not.
    pub fn families(&self) -> Vec<Family> {
        let registered = self.families.iter().cloned();
        registered.chain(Tenants::families()).collect()
    }

    /// Says how often evaluation passes and the probe pair are due.
    pub fn intervals(&self, evaluation_seconds: u64, probe_seconds: u64) {
        let seconds = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
        self.interval.set(seconds(evaluation_seconds));
        self.probe_interval.set(seconds(probe_seconds));
    }

    /// Says when the last full evaluation pass ended.
    pub fn passed(&self, at: Timestamp) {
        self.last_pass.set(at.as_second());
    }

    /// Says what a tenant is.
    pub fn tenant(&self, name: &str, id: &str, classification: &str, enforcement: &str) {
        self.tenants.change(name, |row| {
            row.info = Some([id.into(), classification.into(), enforcement.into()]);
        });
    }

    /// Says where a tenant's conditions stand.
    pub fn conditions<'a>(
        &self,
        tenant: &str,
        conditions: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.tenants.change(tenant, |row| {
            row.conditions = conditions
                .map(|(condition, status)| (condition.into(), status.into()))
                .collect();
        });
    }

    /// Says nothing of a tenant's conditions any more: the object that had them is gone.
    pub fn no_conditions(&self, tenant: &str) {
        self.conditions(tenant, std::iter::empty());
    }

    /// Says where a tenant's controls stand: one series per tenant and control.
    pub fn controls(&self, tenant: &str, controls: &[ControlStatus]) {
        self.tenants.change(tenant, |row| row.judged(controls));
    }

    /// Forgets a tenant that has ended.
    pub fn forget(&self, tenant: &str) {
        self.tenants.forget(tenant);
        self.forget_grants(tenant);
        self.review(tenant, None);
    }

    /// A tenant without grants has no figures of them.
    pub fn forget_grants(&self, tenant: &str) {
        for state in ["pending", "active", "break-glass", "ended"] {
            // One that was never said has no series.
            let _ = self.grants.remove_label_values(&[tenant, state]);
        }
        for gauge in [
            &self.grants_by_identity,
            &self.approval_waits,
            &self.past_end,
            &self.ends_unproven,
            &self.ends_remaining,
            &self.sweeps_open,
            &self.sweep_open_since,
        ] {
            let _ = gauge.remove_label_values(&[tenant]);
        }
    }

    /// Counts a repaired deviation.
    pub fn drifted(&self, tenant: &str, drift: &Drift) {
        self.drift
            .with_label_values(&[tenant, drift.control, drift.kind.as_str()])
            .inc();
    }

    /// Says whether a tenant is frozen, and why.
    pub fn frozen(&self, tenant: &str, reason: Option<&'static str>) {
        self.tenants.change(tenant, |row| row.frozen = reason);
    }

    /// Says how many undeclared flows are open.
    pub fn exposures(&self, tenant: &str, open: usize) {
        self.tenants
            .change(tenant, |row| row.exposures = Some(open));
    }

    /// Says which namespaces of a tenant are parked.
    pub fn parked<'a>(&self, tenant: &str, namespaces: impl Iterator<Item = &'a str>) {
        self.tenants.change(tenant, |row| {
            row.parked = namespaces.map(Into::into).collect();
        });
    }

    /// Says whether a guard holds.
    pub fn guard(&self, guard: &str, alive: bool) {
        self.guard_alive
            .with_label_values(&[guard])
            .set(i64::from(alive));
    }

    /// Says whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Says what the probe pair showed.
    pub fn probe(&self, result: &ProbeResult) {
        for (flow, ok) in [
            ("allowed", result.allowed_passed),
            ("denied", result.denied_stopped),
        ] {
            self.probe_flow
                .with_label_values(&[flow])
                .set(i64::from(ok));
        }
        self.probe_at.set(result.at.as_second());
    }

    /// Says whether an object can be read.
    pub fn undecodable(&self, kind: &str, name: &str, broken: bool) {
        if broken {
            self.undecodable.with_label_values(&[kind, name]).set(1);
        } else {
            let _ = self.undecodable.remove_label_values(&[kind, name]);
        }
    }

    /// Says which objects of a kind cannot be read, where all of a kind are looked at.
    pub fn all_undecodable(&self, kind: &str, names: BTreeSet<String>) {
        let mut known = self
            .known_undecodable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = known
            .insert(kind.to_owned(), names.clone())
            .unwrap_or_default();
        for name in before.difference(&names) {
            self.undecodable(kind, name, false);
        }
        for name in &names {
            self.undecodable(kind, name, true);
        }
    }

    /// Says how a tenant's grants stand.
    pub fn grants(&self, tenant: &str, figures: &GrantFigures) {
        let states = [
            ("pending", figures.pending),
            ("active", figures.active),
            ("break-glass", figures.break_glass),
            ("ended", figures.ended),
        ];
        for (state, number) in states {
            let gauge = self.grants.with_label_values(&[tenant, state]);
            gauge.set(count(number));
        }
        self.grants_by_identity
            .with_label_values(&[tenant])
            .set(count(figures.by_identity));
        self.approval_waits
            .with_label_values(&[tenant])
            .set(figures.waiting_since.unwrap_or_default());
    }

    /// Says how the review of access stands, where anything of it is open.
    pub fn review(&self, tenant: &str, figures: Option<&ReviewFigures>) {
        let figures = figures.map(|figures| {
            (
                figures.due_at,
                Some(count(figures.lapsed)),
                Some(count(figures.revoked)),
            )
        });
        let (due, lapsed, revoked) = figures.unwrap_or_default();
        let gauges = [
            (&self.review_due, due),
            (&self.review_lapsed, lapsed),
            (&self.review_revoked, revoked),
        ];
        for (gauge, value) in gauges {
            match value {
                Some(value) => gauge.with_label_values(&[tenant]).set(value),
                // One that was never said has no series.
                None => {
                    let _ = gauge.remove_label_values(&[tenant]);
                }
            }
        }
    }

    /// Says of how many persons who left the grants stay.
    pub fn held_leavers(&self, persons: usize) {
        self.held_leavers.set(count(persons));
    }

    /// Says by how much this machine's clock is ahead of the API server's.
    pub fn clock_ahead(&self, ahead: SignedDuration) {
        self.clock_ahead.set(ahead.as_secs());
    }

    /// Says how many bindings of a tenant's grants outlive them.
    pub fn past_end(&self, tenant: &str, bindings: usize) {
        self.past_end
            .with_label_values(&[tenant])
            .set(count(bindings));
    }

    /// Says how many ends of a tenant's grants are not proven, and after how many something remains.
    pub fn ends(&self, tenant: &str, unproven: usize, remaining: usize) {
        self.ends_unproven
            .with_label_values(&[tenant])
            .set(count(unproven));
        self.ends_remaining
            .with_label_values(&[tenant])
            .set(count(remaining));
    }

    /// Says how many sweeps of a tenant's grants are open, and since when the oldest is.
    pub fn sweeps(&self, tenant: &str, open: usize, since: Option<i64>) {
        self.sweeps_open
            .with_label_values(&[tenant])
            .set(count(open));
        self.sweep_open_since
            .with_label_values(&[tenant])
            .set(since.unwrap_or_default());
    }

    /// Says how many LegalHolds stand where.
    pub fn legal_holds(&self, counts: &BTreeMap<&'static str, usize>, due: usize) {
        say_counts(&self.holds, counts);
        self.holds_due.set(count(due));
    }

    /// Says how many Attestations count.
    pub fn attestations(&self, counts: &BTreeMap<&'static str, usize>) {
        say_counts(&self.attestations, counts);
    }

    /// Notes a reconcile.
    pub fn reconciled(&self, outcome: &str, seconds: f64) {
        self.reconcile
            .with_label_values(&[outcome])
            .observe(seconds);
    }

    /// Counts a reconcile that could not finish.
    pub fn failed(&self, reason: &str) {
        self.errors.with_label_values(&[reason]).inc();
    }

    /// Says whom to ask how the record stands.
    pub fn asks_record(&self, figures: impl Fn() -> RecordFigures + Send + Sync + 'static) {
        // Asked once a process; a second one would say the same.
        let _ = self.record_figures.set(Box::new(figures));
    }

    /// Says whether the record has been read, and how many chains of it are broken.
    pub fn record_read(&self, is_read: bool, broken: usize) {
        self.record.read.set(i64::from(is_read));
        self.record.broken.set(count(broken));
    }

    fn ask_record(&self) {
        let Some(figures) = self.record_figures.get() else {
            return;
        };
        let RecordFigures {
            is_available,
            waiting,
            missed,
            behind,
        } = figures();
        self.record.available.set(i64::from(is_available));
        self.record.waiting.set(count(waiting));
        self.record
            .missed
            .set(i64::try_from(missed).unwrap_or(i64::MAX));
        self.record.behind.set(count(behind));
    }

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// Where a metric cannot be written as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        self.ask_record();
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        let mut text = String::from_utf8_lossy(&buffer).into_owned();
        self.tenants.render(&mut text);
        Ok(text)
    }
}

fn say_counts(gauges: &IntGaugeVec, counts: &BTreeMap<&'static str, usize>) {
    for (state, number) in counts {
        gauges.with_label_values(&[state]).set(count(*number));
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A metric as the reference describes it.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// What it says.
    pub help: String,
    /// Its labels.
    pub labels: Vec<String>,
}

/// Registers metrics, and keeps what they are: a registry tells only of those that have a series.
#[derive(Default)]
struct Families {
    registry: Registry,
    families: Vec<Family>,
}

impl Families {
    fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.add("gauge", name, help, &[], IntGauge::new(name, help))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels);
        self.add("gauge", name, help, labels, gauges)
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let counters = IntCounterVec::new(Opts::new(name, help), labels);
        self.add("counter", name, help, labels, counters)
    }

    fn histograms(&mut self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let histograms = HistogramVec::new(options, labels);
        self.add("histogram", name, help, labels, histograms)
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        name: &str,
        help: &str,
        labels: &[&str],
        collector: Result<C, prometheus::Error>,
    ) -> C {
        let collector =
            collector.unwrap_or_else(|error| unreachable!("metric names are constants: {error}"));
        self.registry
            .register(Box::new(collector.clone()))
            .unwrap_or_else(|error| unreachable!("registered once: {error}"));
        self.families.push(Family {
            name: name.to_owned(),
            kind,
            help: help.to_owned(),
            labels: labels.iter().map(ToString::to_string).collect(),
        });
        collector
    }
}

/// The rows of `docs/reference/metrics.md`.
pub fn docs_table() -> String {
    let mut text =
        String::from("| Metric | Type | Labels | What it says |\n| --- | --- | --- | --- |\n");
    for family in Metrics::new().families() {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            family.name,
            family.kind,
            labels.join(", "),
            family.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(metrics: &Metrics, name: &str) -> Vec<String> {
        metrics
            .render()
            .unwrap()
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_parked_namespace_that_came_back_is_no_longer_said() {
        let metrics = Metrics::new();
        metrics.parked("acme", ["acme-a", "acme-b"].into_iter());
        metrics.parked("other", ["other-a"].into_iter());
        metrics.parked("acme", ["acme-b"].into_iter());
        assert_eq!(
            series(&metrics, "tenure_namespace_parked"),
            [
                r#"tenure_namespace_parked{customertenant="acme",tenant_namespace="acme-b"} 1"#,
                r#"tenure_namespace_parked{customertenant="other",tenant_namespace="other-a"} 1"#,
            ]
        );
    }

    #[test]
    fn what_can_be_read_again_or_is_gone_is_no_longer_said_to_be_unreadable() {
        let metrics = Metrics::new();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        metrics.all_undecodable("LegalHold", names(&["a", "b"]));
        metrics.all_undecodable("Attestation", names(&["a"]));
        metrics.all_undecodable("LegalHold", names(&["b"]));
        let broken = [
            r#"tenure_object_undecodable{kind="Attestation",name="a"} 1"#,
            r#"tenure_object_undecodable{kind="LegalHold",name="b"} 1"#,
        ];
        assert_eq!(series(&metrics, "tenure_object_undecodable"), broken);
    }

    #[test]
    fn a_tenant_is_frozen_for_one_reason_at_a_time() {
        let metrics = Metrics::new();
        metrics.frozen("acme", Some("Vanished"));
        metrics.frozen("acme", Some("RecordMismatch"));
        let frozen =
            r#"tenure_customertenant_frozen{customertenant="acme",reason="RecordMismatch"} 1"#;
        assert_eq!(series(&metrics, "tenure_customertenant_frozen"), [frozen]);
        metrics.frozen("acme", None);
        assert!(series(&metrics, "tenure_customertenant_frozen").is_empty());
    }

    #[test]
    fn a_tenant_that_is_gone_has_no_figures_of_grants() {
        let metrics = Metrics::new();
        let figures = GrantFigures {
            active: 1,
            by_identity: 1,
            ..GrantFigures::default()
        };
        metrics.grants("acme", &figures);
        metrics.past_end("acme", 1);
        metrics.ends("acme", 1, 1);
        assert_eq!(series(&metrics, "tenure_access_grants").len(), 4);
        metrics.forget("acme");
        for name in [
            "tenure_access_grants",
            "tenure_access_identity_grants",
            "tenure_access_approval_waiting_timestamp_seconds",
            "tenure_access_bindings_past_end",
            "tenure_access_ends_unproven",
            "tenure_access_ends_remaining",
        ] {
            assert!(series(&metrics, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_standby_says_nothing_about_tenants_and_that_it_does_not_lead() {
        let metrics = Metrics::new();
        metrics.intervals(60, 300);
        let text = metrics.render().unwrap();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "tenure_access_held_leavers 0",
                "tenure_clock_ahead_seconds 0",
                "tenure_evaluation_interval_seconds 60",
                "tenure_last_evaluation_timestamp_seconds 0",
                "tenure_leader 0",
                "tenure_legal_holds_review_due 0",
                "tenure_probe_interval_seconds 300",
                "tenure_probe_timestamp_seconds 0",
                "tenure_record_available 0",
                "tenure_record_broken_chains 0",
                "tenure_record_checkpoints_behind 0",
                "tenure_record_missed_notes 0",
                "tenure_record_read 0",
                "tenure_record_waiting_notes 0",
            ]
        );
    }
}
