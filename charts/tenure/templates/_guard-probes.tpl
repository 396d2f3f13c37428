{{/*
guardProbes: rules for the requests with which the operator proves a guard alive, where the rules of
its ordinary work do not allow them. Each is sent as a server dry run with the label
`tenure.dev/probe: "true"`, and must be denied. One rule per guard, and the guard named beside it.
*/}}
{{- define "tenure.guardProbeRules" -}}
{{- end -}}
