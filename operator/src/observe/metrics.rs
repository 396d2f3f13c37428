//! Figures for Prometheus, named as kube-state-metrics names its own. Labels are bounded by the
//! number of tenants and controls; no label ever holds an object's content.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tenure_controls::facts::ProbeResult;
use tenure_crds::status::{ControlStatus, Verdict};

use crate::tenant::drift::Drift;

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    tenant_info: IntGaugeVec,
    tenant_condition: IntGaugeVec,
    control_status: IntGaugeVec,
    drift: IntCounterVec,
    reconcile: HistogramVec,
    errors: IntCounterVec,
    frozen: IntGaugeVec,
    guard_alive: IntGaugeVec,
    exposures: IntGaugeVec,
    undecodable: IntGaugeVec,
    parked: IntGaugeVec,
    leader: IntGauge,
    probe_flow: IntGaugeVec,
    probe_at: IntGauge,
    /// Unix time of the last full evaluation pass.
    pub last_pass: IntGauge,
    verdicts: Mutex<HashMap<String, HashMap<String, Verdict>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Every metric, registered.
    pub fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        Self {
            tenant_info: gauge(
                "tenure_customertenant_info",
                "Tenants known to the operator.",
                &[
                    "customertenant",
                    "tenant_id",
                    "classification",
                    "enforcement",
                ],
            ),
            tenant_condition: gauge(
                "tenure_customertenant_status_condition",
                "1 for the status a condition has.",
                &["customertenant", "condition", "status"],
            ),
            control_status: gauge(
                "tenure_control_status",
                "1 for the verdict a control has.",
                &["customertenant", "control", "verdict"],
            ),
            drift: counter(
                "tenure_drift_total",
                "Repaired deviations from the accepted rendering.",
                &["customertenant", "control", "kind"],
            ),
            reconcile: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "tenure_reconcile_duration_seconds",
                        "Time of one reconcile.",
                    )
                    .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
                    &["outcome"],
                ),
            ),
            errors: counter(
                "tenure_reconcile_errors_total",
                "Reconciles that could not finish, by reason.",
                &["reason"],
            ),
            frozen: gauge(
                "tenure_customertenant_frozen",
                "1 while a tenant is frozen: isolation is kept, nothing else happens.",
                &["customertenant", "reason"],
            ),
            guard_alive: gauge(
                "tenure_guard_alive",
                "1 while a guard's text is the built-in one and it was seen to deny.",
                &["guard"],
            ),
            exposures: gauge(
                "tenure_customertenant_undeclared_flows",
                "Flows between a tenant and the world that are open and undeclared.",
                &["customertenant"],
            ),
            undecodable: gauge(
                "tenure_object_undecodable",
                "1 for each object that cannot be read and is skipped.",
                &["kind", "name"],
            ),
            parked: gauge(
                "tenure_namespace_parked",
                "1 for each namespace that left its tenant's list and is kept isolated.",
                &["customertenant", "namespace"],
            ),
            leader: register(
                &registry,
                IntGauge::new(
                    "tenure_leader",
                    "1 while this process is the leader, 0 on standby.",
                ),
            ),
            probe_flow: gauge(
                "tenure_probe_flow_ok",
                "1 while a flow of the probe pair did what its policy says, as last seen.",
                &["flow"],
            ),
            probe_at: register(
                &registry,
                IntGauge::new(
                    "tenure_probe_timestamp_seconds",
                    "Unix time at which the probe pair last ran; 0 if never.",
                ),
            ),
            last_pass: register(
                &registry,
                IntGauge::new(
                    "tenure_last_evaluation_timestamp_seconds",
                    "Unix time of the last full evaluation pass.",
                ),
            ),
            verdicts: Mutex::default(),
            registry,
        }
    }

    /// Says what a tenant is.
    pub fn tenant(&self, name: &str, id: &str, classification: &str, enforcement: &str) {
        self.tenant_info
            .with_label_values(&[name, id, classification, enforcement])
            .set(1);
    }

    /// Says where a tenant's conditions stand.
    pub fn conditions<'a>(
        &self,
        tenant: &str,
        conditions: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        for (condition, status) in conditions {
            for other in ["True", "False", "Unknown"] {
                let value = i64::from(other == status);
                self.tenant_condition
                    .with_label_values(&[tenant, condition, other])
                    .set(value);
            }
        }
    }

    /// Says where a tenant's controls stand: one series per tenant and control.
    pub fn controls(&self, tenant: &str, controls: &[ControlStatus]) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verdicts.entry(tenant.to_owned()).or_default();
        for control in controls {
            if let Some(old) = known
                .insert(control.id.clone(), control.verdict)
                .filter(|old| *old != control.verdict)
            {
                // The series may be gone already; then there is nothing to remove.
                let _ =
                    self.control_status
                        .remove_label_values(&[tenant, &control.id, old.as_str()]);
            }
            self.control_status
                .with_label_values(&[tenant, &control.id, control.verdict.as_str()])
                .set(1);
        }
    }

    /// Forgets a tenant that has ended.
    pub fn forget(&self, tenant: &str) {
        let controls = self
            .verdicts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(tenant)
            .unwrap_or_default();
        for (control, verdict) in controls {
            let _ = self
                .control_status
                .remove_label_values(&[tenant, &control, verdict.as_str()]);
        }
        for gauge in [
            &self.tenant_info,
            &self.tenant_condition,
            &self.frozen,
            &self.parked,
            &self.exposures,
        ] {
            remove_of(gauge, tenant);
        }
    }

    /// Counts a repaired deviation.
    pub fn drifted(&self, tenant: &str, drift: &Drift) {
        self.drift
            .with_label_values(&[tenant, drift.control, drift.kind.as_str()])
            .inc();
    }

    /// Says whether a tenant is frozen, and why.
    pub fn frozen(&self, tenant: &str, reason: Option<&str>) {
        remove_of(&self.frozen, tenant);
        if let Some(reason) = reason {
            self.frozen.with_label_values(&[tenant, reason]).set(1);
        }
    }

    /// Says how many undeclared flows are open.
    pub fn exposures(&self, tenant: &str, open: usize) {
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.exposures.with_label_values(&[tenant]).set(open);
    }

    /// Says which namespaces of a tenant are parked.
    pub fn parked<'a>(&self, tenant: &str, namespaces: impl Iterator<Item = &'a str>) {
        remove_of(&self.parked, tenant);
        for namespace in namespaces {
            self.parked.with_label_values(&[tenant, namespace]).set(1);
        }
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

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// Where a metric cannot be written as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}

/// Removes every series of a tenant from a gauge that has few series per tenant.
fn remove_of(gauge: &IntGaugeVec, tenant: &str) {
    use prometheus::core::Collector;
    for family in gauge.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric
                .get_label()
                .iter()
                .map(|pair| (pair.name(), pair.value()))
                .collect();
            if labels.get("customertenant") == Some(&tenant) {
                let _ = gauge.remove(&labels);
            }
        }
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: Result<C, prometheus::Error>,
) -> C {
    let collector =
        collector.unwrap_or_else(|error| unreachable!("metric names are constants: {error}"));
    registry
        .register(Box::new(collector.clone()))
        .unwrap_or_else(|error| unreachable!("registered once: {error}"));
    collector
}
