{{/* The name of everything the operator owns; fixed, because guards and roles name it. */}}
{{- define "tenure.operator" -}}tenure-operator{{- end -}}

{{/* The operator as API servers see it. */}}
{{- define "tenure.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "tenure.operator" . }}
{{- end -}}

{{/* The namespace of the ServiceAccounts of sessions. */}}
{{- define "tenure.sessions" -}}
{{- .Values.access.sessionsNamespace | default (printf "%s-sessions" .Release.Namespace) -}}
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

{{/* What contradicts itself in what is said of places. */}}
{{- define "tenure.checkPlaces" -}}
{{- include "tenure.checkPlace" (dict "name" "record.s3" "s3" .Values.record.s3 "claim" .Values.record.folder.existingClaim "folder" "record.folder.existingClaim") -}}
{{- include "tenure.checkPlace" (dict "name" "record.secondPlace.s3" "s3" .Values.record.secondPlace.s3 "claim" .Values.record.secondPlace.existingClaim "folder" "record.secondPlace.existingClaim") -}}
{{- include "tenure.checkPlacesDiffer" . -}}
{{- end -}}
{{- define "tenure.checkPlacesDiffer" -}}
{{- $record := pick .Values.record.s3 "bucket" "prefix" "endpoint" -}}
{{- $second := pick .Values.record.secondPlace.s3 "bucket" "prefix" "endpoint" -}}
{{- if and $record.bucket (eq ($record | toJson) ($second | toJson)) -}}
{{- fail "record.s3 and record.secondPlace.s3 are the same place: checkpoints that lie beside the record prove nothing. Name another bucket, in other hands." -}}
{{- end -}}
{{- end -}}
{{- define "tenure.checkPlace" -}}
{{- $said := or .s3.prefix .s3.region .s3.endpoint .s3.pathStyle .s3.caBundle.configMap .s3.credentialsSecret .s3.egress -}}
{{- if and $said (not .s3.bucket) -}}
{{- fail (printf "%s says how a bucket is reached, and not which one: set %s.bucket, or leave out the rest." .name .name) -}}
{{- end -}}
{{- if and .s3.bucket .claim -}}
{{- fail (printf "%s.bucket and %s name two places for one thing: leave out one of the two." .name .folder) -}}
{{- end -}}
{{- if and .s3.bucket (not .s3.region) (not .s3.endpoint) -}}
{{- fail (printf "%s.bucket needs %s.region (AWS), or %s.endpoint (a server of your own)." .name .name .name) -}}
{{- end -}}
{{- end -}}

{{/* A place as the operator is told of it: a folder, or a bucket and how it is reached. */}}
{{- define "tenure.placeEnv" -}}
{{- $name := .name -}}
{{- $mount := .mount -}}
{{- $folder := .folder -}}
{{- with .s3 -}}
- name: {{ $name }}
  value: {{ ternary (printf "s3://%s/%s" .bucket .prefix | trimSuffix "/") $folder (ne .bucket "") }}
{{- if .bucket }}
{{- with .region }}
- name: {{ $name }}_S3_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .endpoint }}
- name: {{ $name }}_S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- if .pathStyle }}
- name: {{ $name }}_S3_PATH_STYLE
  value: "true"
{{- end }}
{{- if .caBundle.configMap }}
- name: {{ $name }}_S3_CA_BUNDLE
  value: /etc/tenure/{{ $mount }}-ca/{{ .caBundle.key }}
{{- end }}
{{- if .credentialsSecret }}
- name: {{ $name }}_S3_CREDENTIALS
  value: /etc/tenure/{{ $mount }}-credentials/credentials
{{- end }}
- name: {{ $name }}_S3_LOCK
  value: {{ .lock.mode }}
{{- if ne .lock.mode "none" }}
- name: {{ $name }}_S3_LOCK_DAYS
  value: {{ .lock.days | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What a pod needs to reach a bucket. */}}
{{- define "tenure.bucketMounts" -}}
{{- if and .s3.bucket .s3.caBundle.configMap }}
- name: {{ .mount }}-ca
  mountPath: /etc/tenure/{{ .mount }}-ca
  readOnly: true
{{- end }}
{{- if and .s3.bucket .s3.credentialsSecret }}
- name: {{ .mount }}-credentials
  mountPath: /etc/tenure/{{ .mount }}-credentials
  readOnly: true
{{- end }}
{{- end -}}
{{- define "tenure.bucketVolumes" -}}
{{- if and .s3.bucket .s3.caBundle.configMap }}
- name: {{ .mount }}-ca
  configMap:
    name: {{ .s3.caBundle.configMap }}
{{- end }}
{{- if and .s3.bucket .s3.credentialsSecret }}
- name: {{ .mount }}-credentials
  secret:
    secretName: {{ .s3.credentialsSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* The port a bucket is reached at. */}}
{{- define "tenure.bucketPort" -}}
{{- $port := trimSuffix "/" .endpoint | regexFind ":[0-9]+$" | trimPrefix ":" -}}
{{- $port | default (ternary "80" "443" (hasPrefix "http://" .endpoint)) -}}
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
