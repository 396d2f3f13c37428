module tenure.dev/e2e/stack/gitops-kinds

go 1.26.0

// Nothing is built from these: they hold the definitions of the kinds that examples/gitops uses.
require (
	github.com/argoproj/argo-cd/v3 v3.2.0
	github.com/fluxcd/helm-controller v1.4.0
	github.com/fluxcd/kustomize-controller v1.7.3
	github.com/fluxcd/source-controller v1.7.0
)
