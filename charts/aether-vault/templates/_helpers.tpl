{{/* Names, labels and the parts that several templates share. */}}

{{- define "aether-vault.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "aether-vault.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end }}

{{- define "aether-vault.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aether-vault.labels" -}}
{{ include "aether-vault.selectorLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: aether-vault
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of a namespaced object; arguments: root, name; and if any namespace, component, labels, annotations. */}}
{{- define "aether-vault.metadata" -}}
name: {{ .name }}
namespace: {{ default (include "aether-vault.namespace" .root) .namespace }}
labels:
  {{- include "aether-vault.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "aether-vault.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "aether-vault.serviceAccountName" -}}
{{- default (printf "%s-%s" (include "aether-vault.fullname" .root) .component) .account.name -}}
{{- end }}
{{- define "aether-vault.apiAccount" -}}
{{ include "aether-vault.serviceAccountName" (dict "root" . "component" "api" "account" .Values.api.serviceAccount) }}
{{- end }}
{{- define "aether-vault.controllerAccount" -}}
{{ include "aether-vault.serviceAccountName" (dict "root" . "component" "controller" "account" .Values.controller.serviceAccount) }}
{{- end }}
{{- define "aether-vault.setupAccount" -}}
{{ include "aether-vault.serviceAccountName" (dict "root" . "component" "setup" "account" .Values.jobs.serviceAccount) }}
{{- end }}

{{/* Whether the API asks the API server about tokens; needs a ClusterRole. */}}
{{- define "aether-vault.tokenReview" -}}
{{- if and .Values.api.tokenReview (not .Values.watchNamespaces) }}true{{ end -}}
{{- end }}

{{/* Secrets. */}}
{{- define "aether-vault.rootKeySecret" -}}
{{- default (printf "%s-root-key" (include "aether-vault.fullname" .)) .Values.rootKey.existingSecret -}}
{{- end }}
{{- define "aether-vault.adminSecret" -}}
{{ include "aether-vault.fullname" . }}-admin
{{- end }}
{{- define "aether-vault.tlsSecret" -}}
{{- if eq .Values.tls.mode "existingSecret" -}}
{{- required "tls.mode is existingSecret: name the Secret in tls.existingSecret" .Values.tls.existingSecret -}}
{{- else -}}
{{ include "aether-vault.fullname" . }}-tls
{{- end -}}
{{- end }}
{{- define "aether-vault.authoritySecret" -}}
{{ include "aether-vault.fullname" . }}-authority
{{- end }}
{{- define "aether-vault.postgresName" -}}
{{ include "aether-vault.fullname" . }}-postgresql
{{- end }}
{{- define "aether-vault.ownDatabase" -}}
{{- if ne .Values.database.mode "external" }}true{{ end -}}
{{- end }}
{{- define "aether-vault.databaseSecret" -}}
{{- if include "aether-vault.ownDatabase" . -}}
{{ include "aether-vault.fullname" . }}-database
{{- else -}}
{{- required "database.mode is external: name the Secret with the database URLs in database.existingSecret, or set database.mode to cloudnativepg or bundled" .Values.database.existingSecret -}}
{{- end -}}
{{- end }}
{{- define "aether-vault.ownerSecret" -}}
{{- if include "aether-vault.ownDatabase" . -}}
{{ include "aether-vault.fullname" . }}-database-owner
{{- else -}}
{{ include "aether-vault.databaseSecret" . }}
{{- end -}}
{{- end }}
{{- define "aether-vault.databaseHost" -}}
{{- if eq .Values.database.mode "cloudnativepg" -}}
{{ include "aether-vault.postgresName" . }}-rw.{{ include "aether-vault.namespace" . }}.svc
{{- else -}}
{{ include "aether-vault.postgresName" . }}.{{ include "aether-vault.namespace" . }}.svc
{{- end -}}
{{- end }}

{{/* The DNS names of a Service, one a line. */}}
{{- define "aether-vault.serviceNames" -}}
{{- $namespace := include "aether-vault.namespace" .root -}}
{{ .name }}
{{ .name }}.{{ $namespace }}
{{ .name }}.{{ $namespace }}.svc
{{ .name }}.{{ $namespace }}.svc.cluster.local
{{- end }}

{{/* Pieces of pods. */}}
{{- define "aether-vault.container" -}}
image: {{ include "aether-vault.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{- define "aether-vault.volumeMounts" -}}
- { name: config, mountPath: /etc/aether-vault, readOnly: true }
- { name: root-key, mountPath: /run/secrets/aether-vault/root-key, readOnly: true }
- { name: database, mountPath: /run/secrets/aether-vault/database, readOnly: true }
{{- if include "aether-vault.databaseCa" . }}
- { name: database-ca, mountPath: /run/secrets/aether-vault/database-ca, readOnly: true }
{{- end }}
{{- end }}

{{- define "aether-vault.databaseCa" -}}
{{- if or (include "aether-vault.ownDatabase" .) .Values.database.caSecret }}true{{ end -}}
{{- end }}

{{- define "aether-vault.volumes" -}}
{{ include "aether-vault.configVolume" (dict "root" . "key" "config.yaml") }}
{{ include "aether-vault.secretVolumes" . }}
{{- end }}

{{/* The settings of a process, under the name that it looks for. */}}
{{- define "aether-vault.configVolume" -}}
- name: config
  configMap:
    name: {{ include "aether-vault.fullname" .root }}
    items: [{ key: {{ .key }}, path: config.yaml }]
{{- end }}

{{- define "aether-vault.secretVolumes" -}}
- name: root-key
  secret:
    secretName: {{ include "aether-vault.rootKeySecret" . }}
    defaultMode: 0400
    items: [{ key: {{ .Values.rootKey.secretKey | quote }}, path: root.key }]
- name: database
  secret:
    secretName: {{ include "aether-vault.databaseSecret" . }}
    defaultMode: 0400
    items:
      - { key: {{ ternary "url" .Values.database.urlKey (eq (include "aether-vault.ownDatabase" .) "true") }}, path: url }
      {{- if and (not (include "aether-vault.ownDatabase" .)) .Values.database.listenUrlKey }}
      - { key: {{ .Values.database.listenUrlKey }}, path: listen-url }
      {{- end }}
{{- include "aether-vault.databaseCaVolume" . }}
{{- end }}

{{- define "aether-vault.databaseCaVolume" -}}
{{- if eq .Values.database.mode "bundled" }}
- name: database-ca
  secret:
    secretName: {{ include "aether-vault.postgresName" . }}-tls
    items: [{ key: ca.crt, path: ca.crt }]
{{- else if eq .Values.database.mode "cloudnativepg" }}
- name: database-ca
  secret:
    secretName: {{ include "aether-vault.postgresName" . }}-ca
    items: [{ key: ca.crt, path: ca.crt }]
{{- else if .Values.database.caSecret }}
- name: database-ca
  secret:
    secretName: {{ .Values.database.caSecret }}
    items: [{ key: {{ .Values.database.caKey }}, path: ca.crt }]
{{- end }}
{{- end }}

{{/* Over nodes and zones, unless told otherwise; arguments: root, component, constraints. */}}
{{- define "aether-vault.topologySpread" -}}
{{- if kindIs "invalid" .constraints -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "aether-vault.selectorLabels" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
{{- end }}
{{- else -}}
{{- toYaml .constraints }}
{{- end }}
{{- end }}

{{- define "aether-vault.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- end }}

{{/* Whether to render an object of a definition that may be missing; arguments: root, kind, mode. */}}
{{- define "aether-vault.renders" -}}
{{- $there := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- if or $there (eq .mode "alwaysRender") -}}
true
{{- else if eq .mode "failIfMissing" -}}
{{- fail (printf "%s is asked for, and the cluster does not have its definition (monitoring.coreos.com/v1): install the Prometheus operator first, or set renderMode to skipIfMissing" .kind) -}}
{{- end -}}
{{- end }}

{{/* How many connections all pods may need at a time, during an upgrade too. */}}
{{- define "aether-vault.connections" -}}
{{- /* Besides the pool: one to listen for changes, one to read them, one to commit the audit log. */ -}}
{{- $each := add (int .Values.database.poolMax) 3 -}}
{{- $api := ternary (int .Values.api.autoscaling.maxReplicas) (int .Values.api.replicaCount) .Values.api.autoscaling.enabled -}}
{{- $controller := ternary (add1 (int .Values.controller.replicaCount)) 0 .Values.controller.enabled -}}
{{- /* One more of each while it is replaced, and four for the jobs. */ -}}
{{- add (mul $each (add1 $api)) (mul $each $controller) 4 -}}
{{- end }}

{{/* What it takes to restart workloads. */}}
{{- define "aether-vault.restartRules" -}}
rules:
  - apiGroups: [apps]
    resources: [deployments, statefulsets, daemonsets]
    verbs: [list, patch]
  - apiGroups: [argoproj.io]
    resources: [rollouts]
    verbs: [list, patch]
{{- end }}
