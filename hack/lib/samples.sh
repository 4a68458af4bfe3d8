# shellcheck shell=bash
# shellcheck disable=SC2016 # the dollars belong to kubectl's templates
# The samples of config/samples in a running development installation: apply, wait for the outcome that each should have, show it.

SAMPLES=$HACK/../config/samples

# Server-side apply of equal content changes nothing, not even a resourceVersion.
samples_apply() { kubectl apply --server-side --field-manager=aether-vault-up -f "$SAMPLES" >/dev/null || die "the samples were refused: see the message above"; }

# The record that the samples share, written as an administrator would: a certificate authority, made once.
samples_record() {
  local path=shared/pki/ca status=0 folder
  client get "$path" >/dev/null 2>&1 || status=$?
  [ "$status" != 0 ] || return 0
  [ "$status" = 4 ] || die "cannot look for the record '$path': see $DIR/logs/api.log"
  folder=$(mktemp -d)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=Internal CA" \
    -keyout "$folder/key" -out "$folder/crt" 2>/dev/null &&
    client put "$path" "crt=@$folder/crt" "key=@$folder/key" >/dev/null || status=failed
  rm -rf "$folder"
  [ "$status" = 4 ] || die "cannot write the record '$path': see $DIR/logs/api.log"
}

# A value sealed for this vault's key, once: sealing it again makes another text of the same value, and with it another resource.
samples_sealed() {
  local sealed
  ! kubectl -n shop get vaultsecret payments >/dev/null 2>&1 || return 0
  sealed=$(printf %s "only-an-example" | client seal --namespace shop --name payments --key API_TOKEN) || die "cannot seal a value: see $DIR/logs/api.log"
  sed "s/@SEALED@/$sealed/" "$SAMPLES/sealed.yaml.in" |
    kubectl apply --server-side --field-manager=aether-vault-up -f - >/dev/null || die "the sealed sample was refused: see the message above"
}

# The application's registry credentials, written as an administrator would once the cluster is known to the vault.
samples_registry() {
  client get k8s/shop/registry >/dev/null 2>&1 ||
    client put k8s/shop/registry registry=registry.example.com username=puller password=only-an-example >/dev/null 2>&1
}

# Whether the controller works: a record below the cluster's prefix that was written before the cluster is registered would keep it from being so.
samples_registered() { kubectl -n shop get secret orders-db >/dev/null 2>&1; }

# samples_states: one line a VaultSecret: namespace, name, Ready status, reason, message.
samples_states() {
  kubectl get vaultsecrets --all-namespaces -o go-template='{{range $s := .items}}{{$ready := "Unknown"}}{{$reason := "Waiting"}}{{$message := "no status yet"}}{{range .status.conditions}}{{if eq .type "Ready"}}{{if eq .observedGeneration $s.metadata.generation}}{{$ready = .status}}{{$reason = .reason}}{{$message = .message}}{{end}}{{end}}{{end}}{{.metadata.namespace}}{{"\t"}}{{.metadata.name}}{{"\t"}}{{$ready}}{{"\t"}}{{$reason}}{{"\t"}}{{$message}}{{"\n"}}{{end}}'
}

# The VaultSecrets of the files named *-denied.yaml are to be denied, all others Ready.
samples_denied() {
  local file
  for file in "$SAMPLES"/*-denied.yaml; do
    kubectl get -f "$file" -o go-template='{{if eq .kind "VaultSecret"}}{{.metadata.namespace}}/{{.metadata.name}}{{"\n"}}{{end}}'
  done
}

samples_unsettled() {
  local denied
  denied=$(samples_denied | tr '\n' ' ')
  samples_states | awk -F'\t' -v denied=" $denied" '
    { expected = index(denied, " " $1 "/" $2 " ") ? "False PolicyDenied" : "True" }
    ($3 == "True" ? "True" : $3 " " $4) != expected'
}
samples_settled() {
  local rest
  rest=$(samples_unsettled) && [ -z "$rest" ] && [ -n "$(samples_states)" ]
}

samples_wait() {
  wait_until 60 samples_settled ||
    die "not as expected after 60s: $(samples_unsettled | awk -F'\t' '{ print $1 "/" $2 " Ready=" $3 " " $4 ": " $5 }' | head -n 1) (see 'kubectl get vs -A')"
}

# samples_show: each synced Secret key by key, values masked.
samples_show() {
  local namespace name ready key value
  while IFS=$'\t' read -r namespace name ready _; do
    [ "$ready" = True ] || continue
    printf '\nSecret %s/%s\n' "$namespace" "$name"
    while IFS=$'\t' read -r key value; do
      printf '  %-24s ******** (%d bytes)\n' "$key" "$(base64 -d <<<"$value" | wc -c)"
    done < <(kubectl -n "$namespace" get secret "$(secret_name "$namespace" "$name")" \
      -o go-template='{{range $k, $v := .data}}{{$k}}{{"\t"}}{{$v}}{{"\n"}}{{end}}')
  done < <(samples_states)
}

# secret_name NAMESPACE VAULTSECRET: the target's name, by default the resource's own.
secret_name() {
  kubectl -n "$1" get vaultsecret "$2" -o go-template='{{if .spec.target}}{{or .spec.target.name .metadata.name}}{{else}}{{.metadata.name}}{{end}}'
}
