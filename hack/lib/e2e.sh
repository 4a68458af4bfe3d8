# shellcheck shell=bash
# What the end-to-end journeys share: the installation on the node, clients of it, pods, and traffic that counts. Uses DIR, HACK.

NAMESPACE=vault-system
RELEASE=aether-vault
ADDRESS=https://$RELEASE-api.$NAMESPACE.svc.cluster.local:8200

# The pod security standard 'restricted', which enterprise clusters enforce.
restricted() {
  cat <<'JSON'
"securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532,
  "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
JSON
}

# namespace_make NAME: one that admits nothing else.
namespace_make() {
  kubectl create namespace "$1" --dry-run=client -o yaml | kubectl apply --server-side -f - >/dev/null
  kubectl label --overwrite namespace "$1" pod-security.kubernetes.io/enforce=restricted >/dev/null
}

# in_cluster COMMAND...: on the node, where Services answer.
in_cluster() { "$HACK/cluster" enter --dir "$DIR/cluster" -- "$@"; }

# Names of Services are looked up in the cluster, by the node's own programs too; its mount namespace is its own.
node_resolves() {
  printf 'search cluster.local\nnameserver 10.96.0.10\n' >"$DIR/resolv.conf"
  in_cluster mount --bind "$DIR/resolv.conf" /etc/resolv.conf
}

# volume_make NAME: a volume of the node, for whoever claims one without a class.
volume_make() {
  mkdir -p "$DIR/cluster/volumes/$1"
  kubectl apply --server-side -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: { name: $1 }
spec:
  capacity: { storage: 2Gi }
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  local: { path: /run/aether/dir/volumes/$1 }
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/hostname, operator: In, values: [node1] }] }] } }
YAML
}

# What this node needs beside the chart's defaults: images that are here already, and little of everything.
values_write() {
  cat >"$DIR/values.yaml" <<YAML
image: { repository: localhost/aether-vault, tag: dev, pullPolicy: Never }
# The journeys take longer than a token usually lives.
settings: { auth: { access_token_ttl: 4h, session_idle_ttl: 6h } }
database:
  mode: bundled
  poolMax: 5
  bundled:
    image: $POSTGRES_IMAGE
    pullPolicy: Never
    persistence: { size: 1Gi, storageClass: "" }
    resources: { requests: { cpu: 50m, memory: 64Mi } }
api:
  resources: { requests: { cpu: 100m, memory: 64Mi }, limits: { memory: 512Mi } }
controller:
  resources: { requests: { cpu: 20m, memory: 32Mi }, limits: { memory: 256Mi } }
jobs:
  resources: { requests: { cpu: 10m, memory: 32Mi } }
YAML
}

helm() { "$(binary helm)" "$@"; }

# install ARGUMENTS...: with what it rests on; waits until all of it is ready.
install() { helm upgrade --install "$RELEASE" "$CHART" --namespace "$NAMESPACE" --values "$DIR/values.yaml" --wait --wait-for-jobs --timeout 6m "$@"; }

# A pod that is on its way out is still running, and no longer one of them.
pods() {
  kubectl -n "$NAMESPACE" get pods -l "app.kubernetes.io/component=$1" --field-selector=status.phase=Running \
    -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
}

# client COMMAND...: the program as the administrator.
client() {
  in_cluster env AETHER_VAULT_ADDR="$ADDRESS" AETHER_VAULT_CA_FILE="$DIR/vault-ca.crt" AETHER_VAULT_TOKEN_FILE="$DIR/token" "$AETHER_VAULT_BINARY" "$@"
}

# secret_value NAMESPACE SECRET KEY
secret_value() { kubectl -n "$1" get secret "$2" -o go-template="{{index .data \"$3\"}}" | base64 -d; }

# The one-time password of the Secret becomes one of our own, as the chart's notes say.
first_login() {
  secret_value "$NAMESPACE" "$RELEASE-tls" ca.crt >"$DIR/vault-ca.crt" || return 1
  (
    umask 077
    secret_value "$NAMESPACE" "$RELEASE-admin" password >"$DIR/admin-credential"
    openssl rand -base64 24 >"$DIR/admin-password"
  )
  client login --username admin --password-file "$DIR/admin-credential" --new-password-file "$DIR/admin-password" --token-file "$DIR/token" &&
    kubectl -n "$NAMESPACE" delete secret "$RELEASE-admin"
}

login() { client login --username admin --password-file "$DIR/admin-password" --token-file "$DIR/token"; }

# traffic_start NAME: writes records one after the other, each under a name of its own, and notes those that were acknowledged. Reads each
# back. Any answer but the right one is noted as an error.
traffic_start() {
  cat >"$DIR/traffic.sh" <<'SCRIPT'
number=0
: >"$DIR/$NAME.acknowledged"
: >"$DIR/$NAME.errors"
call() {
  curl --silent --show-error --max-time 10 --cacert "$DIR/vault-ca.crt" --header "@$DIR/headers" --output "$DIR/$NAME.answer" \
    --write-out '%{http_code}' "$@" 2>"$DIR/$NAME.problem"
}
while [ ! -e "$DIR/$NAME.stop" ]; do
  number=$((number + 1))
  url=$ADDRESS/api/v1/records/shared/$NAME/n$number
  code=$(call --request PUT --data "{\"data\":{\"n\":\"$number\"}}" "$url")
  case $code in
    2*) echo "$number" >>"$DIR/$NAME.acknowledged" ;;
    *) echo "write $number: $code $(cat "$DIR/$NAME.problem") $(head -c 300 "$DIR/$NAME.answer")" >>"$DIR/$NAME.errors"; continue ;;
  esac
  code=$(call "$url")
  case $code in
    2*) ;;
    *) echo "read $number: $code $(cat "$DIR/$NAME.problem") $(head -c 300 "$DIR/$NAME.answer")" >>"$DIR/$NAME.errors" ;;
  esac
done
SCRIPT
  rm -f "$DIR/$1.stop"
  (umask 077 && printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$(token)" >"$DIR/headers")
  process_start "$DIR/run/$1.pid" "$DIR/$1.log" "$HACK/cluster" enter --dir "$DIR/cluster" -- env DIR="$DIR" NAME="$1" ADDRESS="$ADDRESS" bash "$DIR/traffic.sh"
}

# The access token; the file may hold more than it.
token() { jq -er .accessToken "$DIR/token" 2>/dev/null || head -n 1 "$DIR/token"; }

traffic_stop() {
  touch "$DIR/$1.stop"
  wait_until 30 traffic_ended "$1" || process_stop "$DIR/run/$1.pid" 2
}
traffic_ended() { ! process_alive "$DIR/run/$1.pid"; }
acknowledged() { wc -l <"$DIR/$1.acknowledged"; }

# nothing_lost NAME: every write that was acknowledged is there.
nothing_lost() {
  local missing
  client list "shared/$1/" >"$DIR/$1.list" || return 1
  missing=$(comm -23 <(sed 's/^/n/' "$DIR/$1.acknowledged" | sort) <(grep -oE '/n[0-9]+ ' "$DIR/$1.list" | tr -d '/ ' | sort))
  echo "$(acknowledged "$1") writes acknowledged, $(wc -l <"$DIR/$1.errors") calls failed"
  if [ -n "$missing" ]; then
    printf 'lost: %s\n' "$missing" | head -n 5
    return 1
  fi
}
