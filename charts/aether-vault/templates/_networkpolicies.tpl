{{/* Parts of the NetworkPolicies. */}}

{{- define "aether-vault.podsOf" -}}
podSelector:
  matchLabels:
    {{- include "aether-vault.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Names are looked up anywhere: where the cluster's DNS is, differs. */}}
{{- define "aether-vault.egressDns" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}

{{- define "aether-vault.egressDatabase" -}}
- ports: [{ port: {{ .Values.database.port }}, protocol: TCP }]
  {{- if eq .Values.database.mode "bundled" }}
  to:
    - {{- include "aether-vault.podsOf" (dict "root" . "component" "postgresql") | nindent 6 }}
  {{- else if eq .Values.database.mode "cloudnativepg" }}
  to:
    - podSelector:
        matchLabels:
          cnpg.io/cluster: {{ include "aether-vault.postgresName" . }}
  {{- else if .Values.networkPolicy.databaseTo }}
  to:
    {{- toYaml .Values.networkPolicy.databaseTo | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "aether-vault.egressApiServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
  {{- with .Values.networkPolicy.apiServerTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
