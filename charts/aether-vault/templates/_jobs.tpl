{{/* The jobs: what they make, and their pods. */}}

{{/* One container that runs the program; arguments: root, name, args, and more lines. */}}
{{- define "aether-vault.jobContainer" -}}
- name: {{ .name }}
  {{- include "aether-vault.container" .root | nindent 2 }}
  args: {{ toJson .args }}
  resources:
    {{- toYaml .root.Values.jobs.resources | nindent 4 }}
{{- end }}

{{- define "aether-vault.certificateContainers" -}}
{{- $namespace := include "aether-vault.namespace" . }}
{{- $authority := printf "%s/%s" $namespace (include "aether-vault.authoritySecret" .) }}
{{- $certificates := list }}
{{- if eq .Values.tls.mode "selfSigned" }}
{{- $names := include "aether-vault.serviceNames" (dict "root" . "name" (printf "%s-api" (include "aether-vault.fullname" .))) | splitList "\n" }}
{{- $certificates = append $certificates (dict "name" "certificate" "secret" (include "aether-vault.tlsSecret" .) "names" (concat $names (list "localhost") .Values.tls.dnsNames)) }}
{{- end }}
{{- if eq .Values.database.mode "bundled" }}
{{- $postgres := include "aether-vault.postgresName" . }}
{{- $names := include "aether-vault.serviceNames" (dict "root" . "name" $postgres) | splitList "\n" }}
{{- $certificates = append $certificates (dict "name" "database-certificate" "secret" (printf "%s-tls" $postgres) "names" $names) }}
{{- end }}
{{- range $certificates }}
{{- $args := list "setup" "certificate" "--kubernetes-secret" (printf "%s/%s" $namespace .secret) "--authority-secret" $authority "--valid" $.Values.tls.duration }}
{{- range .names }}
{{- $args = concat $args (list "--dns-name" .) }}
{{- end }}
{{ include "aether-vault.jobContainer" (dict "root" $ "name" .name "args" $args) }}
{{- end }}
{{- end }}

{{- define "aether-vault.setupContainers" -}}
{{- $namespace := include "aether-vault.namespace" . }}
{{- if not .Values.rootKey.existingSecret }}
{{ include "aether-vault.jobContainer" (dict "root" . "name" "root-key" "args" (list "keys" "init" "--kubernetes-secret" (printf "%s/%s" $namespace (include "aether-vault.rootKeySecret" .)) "--secret-key" .Values.rootKey.secretKey)) }}
{{- end }}
{{- if include "aether-vault.ownDatabase" . }}
{{- $where := list "--host" (include "aether-vault.databaseHost" .) "--port" (.Values.database.port | toString) "--database" .Values.database.name "--ssl-root-cert" "/run/secrets/aether-vault/database-ca/ca.crt" }}
{{- $roles := list
  (dict "name" "database-owner" "user" .Values.database.ownerUser "secret" (include "aether-vault.ownerSecret" .))
  (dict "name" "database-runtime" "user" .Values.database.runtimeUser "secret" (include "aether-vault.databaseSecret" .)) }}
{{- if eq .Values.database.mode "bundled" }}
{{- $roles = append $roles (dict "name" "database-superuser" "user" "postgres" "secret" (printf "%s-superuser" (include "aether-vault.postgresName" .))) }}
{{- end }}
{{- range $roles }}
{{ include "aether-vault.jobContainer" (dict "root" $ "name" .name "args" (concat (list "setup" "database-role" "--kubernetes-secret" (printf "%s/%s" $namespace .secret) "--user" .user) $where)) }}
{{- end }}
{{- end }}
{{- include "aether-vault.certificateContainers" . }}
{{- end }}

{{/* The Secrets that setup may read, as JSON. */}}
{{- define "aether-vault.setupSecrets" -}}
{{- $names := list }}
{{- if not .Values.rootKey.existingSecret }}{{ $names = append $names (include "aether-vault.rootKeySecret" .) }}{{ end }}
{{- if include "aether-vault.ownDatabase" . }}
{{- $names = append $names (include "aether-vault.ownerSecret" .) }}
{{- $names = append $names (include "aether-vault.databaseSecret" .) }}
{{- if eq .Values.database.mode "bundled" }}{{ $names = append $names (printf "%s-superuser" (include "aether-vault.postgresName" .)) }}{{ end }}
{{- end }}
{{- if include "aether-vault.certificateContainers" . | trim }}{{ $names = append $names (include "aether-vault.authoritySecret" .) }}{{ end }}
{{- if .Values.bootstrap.enabled }}{{ $names = append $names (include "aether-vault.adminSecret" .) }}{{ end }}
{{- concat $names (include "aether-vault.renewedSecrets" . | fromJsonArray) | toJson }}
{{- end }}

{{/* Those that it may replace, as JSON. */}}
{{- define "aether-vault.renewedSecrets" -}}
{{- $names := list }}
{{- if eq .Values.tls.mode "selfSigned" }}{{ $names = append $names (include "aether-vault.tlsSecret" .) }}{{ end }}
{{- if eq .Values.database.mode "bundled" }}{{ $names = append $names (printf "%s-tls" (include "aether-vault.postgresName" .)) }}{{ end }}
{{- $names | toJson }}
{{- end }}

{{/* A pod of a job; arguments: root, component, containers (YAML), volumes (YAML), token (bool). All but the last container run one after the
other before it. */}}
{{- define "aether-vault.jobPod" -}}
{{- $containers := .containers | fromYamlArray }}
metadata:
  labels:
    {{- include "aether-vault.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with .root.Values.jobs.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .root.Values.jobs.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: OnFailure
  serviceAccountName: {{ include "aether-vault.setupAccount" .root }}
  automountServiceAccountToken: {{ .token }}
  enableServiceLinks: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  {{- with initial $containers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    {{- list (last $containers) | toYaml | nindent 4 }}
  {{- with .volumes }}
  volumes:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- with .root.Values.jobs.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.jobs.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A Job whose name holds a hash of its pod, since a Job cannot be changed, and of the release's revision, so that each upgrade runs it: an image may
be another one under the same tag. Rendered without a release it is the same each time. */}}
{{- define "aether-vault.job" -}}
{{- $pod := include "aether-vault.jobPod" . }}
{{- $name := printf "%s-%s-%s" (include "aether-vault.fullname" .root) .component (printf "%d\n%s" (int .root.Release.Revision) $pod | sha256sum | trunc 8) }}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "aether-vault.metadata" (dict "root" .root "name" $name "component" .component) | nindent 2 }}
spec:
  backoffLimit: {{ .root.Values.jobs.backoffLimit }}
  {{- if not (kindIs "invalid" .root.Values.jobs.ttlSecondsAfterFinished) }}
  ttlSecondsAfterFinished: {{ .root.Values.jobs.ttlSecondsAfterFinished }}
  {{- end }}
  template:
    {{- $pod | nindent 4 }}
{{- end }}

{{- define "aether-vault.migrateContainers" -}}
{{- if .Values.migrations.enabled }}
{{ include "aether-vault.jobContainer" (dict "root" . "name" "migrate" "args" (list "migrate" "--wait" .Values.jobs.databaseWait)) }}
  env:
    - { name: AETHER_VAULT__DATABASE__OWNER_URL_FILE, value: /run/secrets/aether-vault/database-owner/url }
  volumeMounts:
    {{- include "aether-vault.volumeMounts" . | nindent 4 }}
    - { name: database-owner, mountPath: /run/secrets/aether-vault/database-owner, readOnly: true }
{{- end }}
{{- if .Values.bootstrap.enabled }}
{{ include "aether-vault.jobContainer" (dict "root" . "name" "administrator" "args" (list "setup" "administrator" "--kubernetes-secret" (printf "%s/%s" (include "aether-vault.namespace" .) (include "aether-vault.adminSecret" .)))) }}
  volumeMounts:
    {{- include "aether-vault.volumeMounts" . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "aether-vault.migrateVolumes" -}}
{{ include "aether-vault.volumes" . }}
{{- if .Values.migrations.enabled }}
- name: database-owner
  secret:
    secretName: {{ include "aether-vault.ownerSecret" . }}
    defaultMode: 0400
    items: [{ key: {{ ternary "url" (default .Values.database.urlKey .Values.database.ownerUrlKey) (eq (include "aether-vault.ownDatabase" .) "true") }}, path: url }]
{{- end }}
{{- end }}
