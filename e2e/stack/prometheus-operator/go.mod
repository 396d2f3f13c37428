// Nothing is built from it: it ships the definitions of ServiceMonitor and PrometheusRule.
module tenure.dev/e2e/stack/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
