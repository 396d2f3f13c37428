{{/* The name of everything the operator owns; fixed, because guards and roles name it. */}}
{{- define "tenure.operator" -}}tenure-operator{{- end -}}

{{/* The operator as API servers see it. */}}
{{- define "tenure.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "tenure.operator" . }}
{{- end -}}

{{/* The exact reference of the operator's image. */}}
{{- define "tenure.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Every image that may run in the release's namespace, as a JSON list (which CEL reads too). */}}
{{- define "tenure.images" -}}
{{- concat (list (include "tenure.image" .)) .Values.extraImages | uniq | toJson -}}
{{- end -}}

{{/* Labels that choose; never change them, a Deployment's selector is immutable. */}}
{{- define "tenure.selector" -}}
app.kubernetes.io/name: tenure
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels by which the operator and a policy know the probe's targets. */}}
{{- define "tenure.probeLabels" -}}
app.kubernetes.io/name: tenure
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tenure
app.kubernetes.io/component: probe
{{- end -}}

{{/* The volume the record lies on. */}}
{{- define "tenure.recordClaim" -}}
{{- .Values.record.folder.existingClaim | default "tenure-record" -}}
{{- end -}}

{{/* What every pod of the release may not do; restricted, as Pod Security calls it. */}}
{{- define "tenure.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
{{- define "tenure.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* Labels that inform. */}}
{{- define "tenure.labels" -}}
app.kubernetes.io/name: tenure
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tenure
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
