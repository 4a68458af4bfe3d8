{{/* The content of config.yaml, which pods carry a hash of. */}}

{{- define "aether-vault.settings" -}}
{{- $secrets := "/run/secrets/aether-vault" -}}
{{- $database := dict "url_file" (printf "%s/database/url" $secrets) "pool_max" (int .Values.database.poolMax) -}}
{{- if and (not (include "aether-vault.ownDatabase" .)) .Values.database.listenUrlKey -}}
{{- $_ := set $database "listen_url_file" (printf "%s/database/listen-url" $secrets) -}}
{{- end -}}
{{- $http := dict "listen" (printf "%s:8200" .Values.api.listenAddress) "trusted_proxies" .Values.api.trustedProxies -}}
{{- if eq .Values.tls.mode "disabled" -}}
{{- $_ := set $http "plaintext" true -}}
{{- else -}}
{{- $_ := set $http "tls" (dict "cert_file" (printf "%s/tls/tls.crt" $secrets) "key_file" (printf "%s/tls/tls.key" $secrets)) -}}
{{- end -}}
{{- $settings := dict
  "database" $database
  "keys" (dict "file" (printf "%s/root-key/root.key" $secrets))
  "http" $http
  "metrics" (dict "listen" (printf "%s:9200" .Values.api.listenAddress))
  "auth" (dict "kubernetes" (dict "token_review" (eq (include "aether-vault.tokenReview" .) "true")))
  "controller" (dict
    "cluster_prefix" .Values.clusterPrefix
    "operator_namespace" (include "aether-vault.namespace" .)
    "watch_namespaces" .Values.watchNamespaces
    "class" .Values.controllerClass
    "restart_workloads" .Values.controller.restartWorkloads
    "lease_name" (printf "%s-controller" (include "aether-vault.fullname" .))
    "metrics_listen" (printf "%s:9201" .Values.api.listenAddress))
  "log" (dict "format" "json") -}}
{{- toYaml (mergeOverwrite $settings .Values.settings) -}}
{{- end }}

{{/* The same without the API's listener, whose certificate the controller is not given. */}}
{{- define "aether-vault.controllerSettings" -}}
{{- $settings := include "aether-vault.settings" . | fromYaml -}}
{{- range list "listen" "tls" "plaintext" }}{{ $_ := unset $settings.http . }}{{ end -}}
{{- toYaml $settings -}}
{{- end }}
