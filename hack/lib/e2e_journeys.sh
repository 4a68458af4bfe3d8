# shellcheck shell=bash
# The journeys on the node; each is a check of hack/e2e and builds on the installation that the first one made. Uses lib/e2e.sh.

installs() {
  install --set api.replicaCount=2 || {
    kubectl -n "$NAMESPACE" get pods,jobs,pvc
    kubectl -n "$NAMESPACE" get events --sort-by=.lastTimestamp | tail -n 15
    return 1
  }
  first_login
}

# What is said before anything works is read by somebody who is new.
notes_tell_the_way() { helm get notes "$RELEASE" --namespace "$NAMESPACE" | grep -q 'BACK UP THE ROOT KEY'; }

restricted_admits_all() {
  local kinds
  # Every pod of the chart is here, and no warning of the standard was left: the namespace enforces it.
  [ "$(kubectl get namespace "$NAMESPACE" -o jsonpath='{.metadata.labels.pod-security\.kubernetes\.io/enforce}')" = restricted ] || return 1
  kinds=$(kubectl -n "$NAMESPACE" get pods -o jsonpath='{range .items[*]}{.metadata.labels.app\.kubernetes\.io/component}{"\n"}{end}' | sort -u | tr '\n' ' ')
  echo "$kinds"
  [ "$kinds" = 'api controller migrate postgresql setup ' ]
}

helm_test() {
  helm test "$RELEASE" --namespace "$NAMESPACE" --timeout 3m || {
    kubectl -n "$NAMESPACE" logs -l app.kubernetes.io/component=test --all-containers --prefix
    kubectl -n "$NAMESPACE" get vaultsecrets,vaultpolicies
    return 1
  }
}

# deployment_with SECRET: one in the namespace shop that mounts it.
deployment_with() {
  kubectl -n shop apply -f - <<JSON
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reader"}, "spec": {"selector": {"matchLabels": {"app": "reader"}},
  "template": {"metadata": {"labels": {"app": "reader"}}, "spec": {"terminationGracePeriodSeconds": 1, "volumes": [{"name": "secret", "secret": {"secretName": "$1"}}],
    "containers": [{"name": "reader", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "args": ["sleep", "3600"], $(restricted),
      "volumeMounts": [{"name": "secret", "mountPath": "/secret", "readOnly": true}]}]}}}}
JSON
  kubectl -n shop rollout status deployment/reader --timeout=90s || {
    kubectl -n shop describe pods -l app=reader | tail -n 15
    return 1
  }
}

# Values are compared by hash, so that none is printed.
hash_inside() { kubectl -n shop exec deployment/reader -- /busybox sha256sum "/secret/$1" | cut -d' ' -f1; }
mounted_is() { [ "$(hash_inside "$1")" = "$2" ]; }

main_job() {
  local before after
  kubectl -n shop apply -f - <<'YAML' || return 1
apiVersion: aethervault.io/v1alpha1
kind: VaultSecret
metadata: { name: orders-db }
spec:
  source: { generate: { keys: { password: { password: { length: 32 } } } } }
  data:
    - { key: password, from: { key: password } }
    - key: DATABASE_URL
      template: "postgres://orders:{{ data.password | urlencode }}@db/orders"
YAML
  kubectl -n shop wait --for=condition=Ready vaultsecret/orders-db --timeout=60s || {
    kubectl -n shop describe vaultsecret orders-db
    return 1
  }
  deployment_with orders-db || return 1
  before=$(secret_value shop orders-db password | sha256sum | cut -d' ' -f1)
  mounted_is password "$before" || return 1

  client put k8s/shop/orders-db password=changed-by-a-person || return 1
  after=$(printf changed-by-a-person | sha256sum | cut -d' ' -f1)
  wait_until 10 secret_has_hash "$after" || return 1
  # The kubelet looks at what it has mounted now and then.
  wait_until 120 mounted_is password "$after"
}
secret_has_hash() { [ "$(secret_value shop orders-db password | sha256sum | cut -d' ' -f1)" = "$1" ]; }

dns_works() {
  kubectl -n shop apply -f - <<JSON
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lookup"}, "spec": {"restartPolicy": "Never", "containers": [
  {"name": "lookup", "image": "localhost/busybox:1", "imagePullPolicy": "Never", "args": ["nslookup", "kubernetes.default.svc.cluster.local"], $(restricted)}]}}
JSON
  kubectl -n shop wait --for=jsonpath='{.status.phase}'=Succeeded pod/lookup --timeout=60s && kubectl -n shop logs lookup | grep 10.96.0.1
}

# workload NAME: a pod that logs in with its projected token, then reads its record and its neighbour's; prints how the two reads ended.
workload() {
  local mounts='"volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "token", "mountPath": "/token", "readOnly": true}, {"name": "ca", "mountPath": "/ca", "readOnly": true}]'
  local image='"image": "localhost/aether-vault:dev", "imagePullPolicy": "Never"'
  local read='"--token-file", "/work/token", "--ca-file", "/ca/ca.crt", "--address", "'$ADDRESS'"'
  kubectl -n e2e-shop apply -f - <<JSON || return 1
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"}, "spec": {"serviceAccountName": "web", "automountServiceAccountToken": false,
  "restartPolicy": "Never", "securityContext": {"fsGroup": 65532}, "volumes": [{"name": "work", "emptyDir": {"medium": "Memory"}},
    {"name": "ca", "configMap": {"name": "vault-ca"}},
    {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "aether-vault", "expirationSeconds": 600, "path": "token"}}]}}],
  "initContainers": [{"name": "login", $image, $mounts, $(restricted), "args": ["login", "--kubernetes-token-file", "/token/token", $read]}],
  "containers": [
    {"name": "own", $image, $mounts, $(restricted), "args": ["get", "k8s/e2e-shop/db", "--key", "password", "--show", $read]},
    {"name": "neighbour", $image, $mounts, $(restricted), "args": ["get", "k8s/e2e-bank/db", $read]}]}}
JSON
  wait_until 90 workload_ended "$1" || {
    kubectl -n e2e-shop describe pod "$1" | tail -n 20
    kubectl -n e2e-shop logs "$1" --all-containers
    return 1
  }
  printf 'own %s, neighbour %s\n' "$(ending "$1" own)" "$(ending "$1" neighbour)"
}

ending() { kubectl -n e2e-shop get pod "$1" -o jsonpath="{.status.containerStatuses[?(@.name==\"$2\")].state.terminated.exitCode}"; }
workload_ended() { [ -n "$(ending "$1" own)" ] && [ -n "$(ending "$1" neighbour)" ]; }

# denied_by_policy POD CONTAINER: its message names the policy. The log is read whole before it is searched: a `grep -q` in the pipe would
# end kubectl in mid-write, and a container's last lines may reach its log shortly after its end.
denied_by_policy() {
  wait_until 15 log_says "$1" "$2" PolicyDenied && return
  printf 'the log of %s/%s:\n%s\n' "$1" "$2" "$(kubectl -n e2e-shop logs "$1" -c "$2" 2>&1)"
  return 1
}
log_says() { case "$(kubectl -n e2e-shop logs "$1" -c "$2" 2>&1)" in *"$3"*) ;; *) return 1 ;; esac; }

# Exit code 3 is an answer of 401 or 403, and the message says which.
workload_reads_its_record() {
  local outcome name
  for name in shop bank; do
    namespace_make "e2e-$name"
    client put "k8s/e2e-$name/db" "password=of-$name" || return 1
  done
  kubectl -n e2e-shop create serviceaccount web
  kubectl -n e2e-shop create configmap vault-ca --from-file=ca.crt="$DIR/vault-ca.crt"

  outcome=$(workload without | tail -n 1)
  echo "without a policy: $outcome"
  [ "$outcome" = 'own 3, neighbour 3' ] || return 1
  denied_by_policy without own || return 1

  kubectl -n e2e-shop apply -f - <<'YAML'
apiVersion: aethervault.io/v1alpha1
kind: VaultPolicy
metadata: { name: web }
spec:
  subjects: [{ kind: ServiceAccount, namespace: e2e-shop, name: web }]
  rules: [{ effect: allow, paths: [k8s/e2e-shop/*], capabilities: [read] }]
YAML
  kubectl -n e2e-shop wait --for=condition=Ready vaultpolicy/web --timeout=30s || return 1
  outcome=$(workload with | tail -n 1)
  echo "with a policy: $outcome"
  [ "$outcome" = 'own 0, neighbour 3' ] || return 1
  denied_by_policy with neighbour || return 1
  [ "$(kubectl -n e2e-shop logs with -c own)" = of-shop ]
}

# API pods and the leader die by SIGKILL, in turn, while records are written.
kills_lose_nothing() {
  local round pod
  traffic_start kills
  for round in 1 2 3; do
    sleep 3
    pod=$(pods api | sed -n '1p')
    kubectl -n "$NAMESPACE" delete pod "$pod" --grace-period=0 --force 2>/dev/null
    pod=$(leader) && kubectl -n "$NAMESPACE" delete pod "$pod" --grace-period=0 --force 2>/dev/null
    echo "round $round: killed an API pod and the leader ${pod:-(none)}"
    kubectl -n "$NAMESPACE" rollout status deployment/"$RELEASE"-api --timeout=90s >/dev/null || return 1
    kubectl -n "$NAMESPACE" rollout status deployment/"$RELEASE"-controller --timeout=90s >/dev/null || return 1
  done
  traffic_stop kills
  [ "$(acknowledged kills)" -gt 10 ] || return 1
  nothing_lost kills || return 1
  # Whoever leads now still syncs.
  client put k8s/shop/orders-db password=after-the-kills || return 1
  wait_until 40 secret_has_hash "$(printf after-the-kills | sha256sum | cut -d' ' -f1)"
}

# leader: the pod of the controller that leads; its identity begins with the pod's name.
leader() {
  local holder
  holder=$(kubectl -n "$NAMESPACE" get lease "$RELEASE-controller" -o jsonpath='{.spec.holderIdentity}')
  pods controller | while IFS= read -r pod; do case $holder in "$pod"*) printf '%s' "$pod" ;; esac; done | grep .
}

# The settings change, so every pod is replaced; not one call may fail.
upgrade_fails_no_call() {
  local before after
  before=$(pods api)
  traffic_start upgrade
  sleep 2
  install --set api.replicaCount=2 --set settings.cache.max_bytes=16MiB || return 1
  sleep 2
  traffic_stop upgrade
  after=$(pods api)
  [ -z "$(comm -12 <(sort <<<"$before") <(sort <<<"$after"))" ] || {
    echo "a pod was not replaced"
    return 1
  }
  nothing_lost upgrade || return 1
  cat "$DIR/upgrade.errors"
  [ ! -s "$DIR/upgrade.errors" ] && [ "$(acknowledged upgrade)" -gt 5 ]
}

rollback_works() {
  helm rollback "$RELEASE" 1 --namespace "$NAMESPACE" --wait --timeout 4m || return 1
  kubectl -n "$NAMESPACE" get configmap "$RELEASE" -o yaml | grep -q 16MiB && return 1
  client get k8s/shop/orders-db --key password --show | grep -qx after-the-kills
}

# The eviction API lets one pod go and refuses the other until there is a new one.
evictions_keep_the_budget() {
  local first second answer
  kubectl -n "$NAMESPACE" rollout status deployment/"$RELEASE"-api --timeout=90s || return 1
  { read -r first && read -r second; } < <(pods api)
  evict "$first" || return 1
  if answer=$(evict "$second" 2>&1); then
    echo "both pods were evicted"
    return 1
  fi
  echo "$answer"
  case $answer in *"disruption budget"*) ;; *) return 1 ;; esac
  kubectl -n "$NAMESPACE" rollout status deployment/"$RELEASE"-api --timeout=90s
}
evict() {
  kubectl create --raw "/api/v1/namespaces/$NAMESPACE/pods/$1/eviction" -f - <<JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$NAMESPACE"}}
JSON
}

replicas() { kubectl -n "$NAMESPACE" get deployment "$RELEASE"-api -o jsonpath='{.status.readyReplicas}'; }
replicas_are() { [ "$(replicas)" = "$1" ]; }

autoscaler_follows_the_load() {
  local status=0
  "$HACK/cluster" metrics --dir "$DIR/cluster" || return 1
  install --set api.autoscaling.enabled=true,api.autoscaling.minReplicas=1,api.autoscaling.maxReplicas=3 \
    --set api.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=10 || return 1
  client put shared/hpa/record text=hello || return 1
  wait_until 120 replicas_are 1 || {
    kubectl -n "$NAMESPACE" describe hpa
    return 1
  }
  rm -f "$DIR/load.stop"
  # shellcheck disable=SC2016 # the inner shell expands
  process_start "$DIR/run/load.pid" "$DIR/load.log" "$HACK/cluster" enter --dir "$DIR/cluster" \
    -- timeout 240 bash -c '# Many requests over each connection: the parts of the address after the mark are not sent.
    for worker in 1 2 3 4; do
      (while [ ! -e "$1/load.stop" ]; do curl --silent --output /dev/null --max-time 20 --cacert "$1/vault-ca.crt" --header "@$1/headers" "$2#[1-500]"; done) &
    done; wait' load "$DIR" "$ADDRESS/api/v1/records/shared/hpa/record"
  wait_until 180 replicas_are 3 || status=1
  kubectl -n "$NAMESPACE" get hpa
  touch "$DIR/load.stop"
  process_stop "$DIR/run/load.pid" 10
  [ "$status" = 0 ] || {
    kubectl -n "$NAMESPACE" describe hpa | tail -n 15
    return 1
  }
  wait_until 240 replicas_are 1
}

# live_metrics: what Prometheus would get of every process.
live_metrics() {
  local pod
  for pod in $(pods api) $(pods controller); do
    in_cluster curl -fsS "http://$(kubectl -n "$NAMESPACE" get pod "$pod" -o jsonpath='{.status.podIP}'):$(case $pod in *-api-*) echo 9200 ;; *) echo 9201 ;; esac)/metrics" || return 1
  done
}

metrics_are_documented() {
  local metric missing=0 names pod complaints
  pod=$(pods api | head -n 1)
  live_metrics >"$DIR/metrics.txt" || return 1
  in_cluster curl -fsS "http://$(kubectl -n "$NAMESPACE" get pod "$pod" -o jsonpath='{.status.podIP}'):9200/metrics" >"$DIR/api-metrics.txt" || return 1
  # Days are what an operator counts in; everything else that promtool has to say is an error.
  complaints=$(promtool check metrics <"$DIR/api-metrics.txt" 2>&1 | grep -v '^aether_vault_audit_partition_days use base unit' || true)
  [ -z "$complaints" ] || {
    echo "$complaints"
    return 1
  }
  names=$(sed -n 's/^# TYPE \(aether_vault_[a-z_]*\) .*/\1/p' "$DIR/metrics.txt" | sort -u)
  for metric in $names; do
    grep -rqs "\`$metric\`" "$HACK/../docs/operations.md" "$HACK/../docs/operations" || {
      echo "not documented: $metric"
      missing=1
    }
  done
  # A family without a label value yet is not shown; those of the dashboards that a short life shows have to be there.
  for metric in build_info audit_partition_days http_request_seconds feed_passes_total decisions_total controller_leader \
    controller_oldest_unreconciled_seconds controller_secrets_total controller_reconciles_total logins_total; do
    grep -qx "aether_vault_$metric" <<<"$names" || {
      echo "not there: aether_vault_$metric"
      missing=1
    }
  done
  return "$missing"
}

# Everything goes but the definitions, the Secrets that were made, and the volume.
reinstall_keeps_data() {
  local key_before certificate_before
  key_before=$(kubectl -n "$NAMESPACE" get secret "$RELEASE-root-key" -o jsonpath='{.metadata.uid} {.metadata.resourceVersion}')
  certificate_before=$(secret_value "$NAMESPACE" "$RELEASE-tls" ca.crt)
  helm uninstall "$RELEASE" --namespace "$NAMESPACE" --wait --timeout 2m || return 1
  wait_until 60 no_pods || return 1
  kubectl get crd vaultsecrets.aethervault.io vaultpolicies.aethervault.io || return 1
  kubectl -n shop get secret orders-db || return 1
  install || return 1
  [ "$(kubectl -n "$NAMESPACE" get secret "$RELEASE-root-key" -o jsonpath='{.metadata.uid} {.metadata.resourceVersion}')" = "$key_before" ] || return 1
  [ "$(secret_value "$NAMESPACE" "$RELEASE-tls" ca.crt)" = "$certificate_before" ] || return 1
  login || return 1
  client get k8s/shop/orders-db --key password --show | grep -qx after-the-kills || return 1
  if kubectl -n "$NAMESPACE" get secret "$RELEASE-admin" 2>/dev/null; then
    echo "a new administrator was made in a vault that has users"
    return 1
  fi
}
# What helm test left stays until its next run.
no_pods() { [ -z "$(kubectl -n "$NAMESPACE" get pods --selector 'app.kubernetes.io/component!=test' -o name)" ]; }

# As those install who have no Helm in the cluster, and as Argo CD renders: again and again.
template_keeps_the_root_key() {
  local render before
  namespace_make plain
  volume_make plain
  render() {
    helm template plain "$CHART" --namespace plain --skip-tests --values "$DIR/values.yaml" --set crds.install=false \
      --set controller.enabled=false,fullnameOverride=plain,api.replicaCount=1,rbac.aggregateToView=false,rbac.aggregateToEdit=false,rbac.aggregateToAdmin=false
  }
  render | kubectl apply --server-side -f - || return 1
  kubectl -n plain wait --for=condition=Available deployment/plain-api --timeout=180s || {
    kubectl -n plain get pods
    return 1
  }
  before=$(kubectl -n plain get secret plain-root-key -o jsonpath='{.metadata.uid} {.metadata.resourceVersion}')
  render | kubectl apply --server-side -f - >"$DIR/again.txt" || return 1
  kubectl -n plain wait --for=condition=Complete --timeout=120s job --all || return 1
  [ "$(kubectl -n plain get secret plain-root-key -o jsonpath='{.metadata.uid} {.metadata.resourceVersion}')" = "$before" ] || return 1
  kubectl -n plain rollout status deployment/plain-api --timeout=30s
}

# upgrade_from_tag TAG: its own program, image and chart are installed in a namespace of their own, then upgraded to this one's under traffic.
upgrade_from_tag() {
  local tag=$1 source=$DIR/tag
  git -C "$HACK/.." worktree add --force --detach "$source" "$tag" || return 1
  (cd "$source" && SQLX_OFFLINE=true CARGO_TARGET_DIR="$DIR/tag-target" cargo build --locked --quiet --bin aether-vault) || return 1
  AETHER_VAULT_BINARY=$DIR/tag-target/debug/aether-vault "$source/hack/image" --local --output "$DIR/images/tag.tar" || return 1
  "$HACK/cluster" load --dir "$DIR/cluster" "$DIR/images/tag.tar" || return 1
  CHART=$source/charts/aether-vault install || return 1
  "$HACK/cluster" load --dir "$DIR/cluster" "$DIR/images/aether-vault.tar" || return 1
  traffic_start upgrade
  install --set api.podAnnotations.upgraded=true,controller.podAnnotations.upgraded=true || return 1
  traffic_stop upgrade
  git -C "$HACK/.." worktree remove --force "$source"
  nothing_lost upgrade && [ ! -s "$DIR/upgrade.errors" ]
}
