{{/* Parts of the pods of helm test. */}}

{{- define "aether-vault.testHook" -}}
annotations:
  helm.sh/hook: test
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation
{{- end }}

{{- define "aether-vault.testMetadata" -}}
{{ include "aether-vault.metadata" (dict "root" .root "name" .name "component" "test") }}
{{ include "aether-vault.testHook" . }}
{{- end }}

{{- define "aether-vault.testContainer" -}}
- name: {{ .name }}
  {{- include "aether-vault.container" .root | nindent 2 }}
  args: {{ toJson .args }}
  env:
    - { name: AETHER_VAULT_ADDR, value: {{ .address | quote }} }
    - { name: AETHER_VAULT_TOKEN_FILE, value: /work/token }
    {{- if ne .root.Values.tls.mode "disabled" }}
    - { name: AETHER_VAULT_CA_FILE, value: /tls/ca.crt }
    {{- end }}
  volumeMounts:
    - { name: work, mountPath: /work }
    - { name: token, mountPath: /token, readOnly: true }
    {{- if ne .root.Values.tls.mode "disabled" }}
    - { name: tls, mountPath: /tls, readOnly: true }
    {{- end }}
    {{- if .secret }}
    - { name: secret, mountPath: /secret, readOnly: true }
    {{- end }}
  resources:
    {{- toYaml .root.Values.jobs.resources | nindent 4 }}
{{- end }}

{{- define "aether-vault.testVolumes" -}}
- name: work
  emptyDir: { medium: Memory }
- name: token
  projected: { sources: [{ serviceAccountToken: { audience: aether-vault, expirationSeconds: 600, path: token } }] }
{{- if ne .Values.tls.mode "disabled" }}
- name: tls
  secret: { secretName: {{ include "aether-vault.tlsSecret" . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end }}
