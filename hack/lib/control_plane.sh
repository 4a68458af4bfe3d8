# shellcheck shell=bash
# etcd, kube-apiserver and kube-controller-manager of one cluster. Without a node they listen on loopback ports of the host and need no
# root; with a node they live in its network namespace (node.sh) at fixed ports. Uses DIR and WITH_NODE, and from node.sh NODE_IP and
# node_init.

SERVICE_CIDR=10.96.0.0/16
SERVICE_IP=10.96.0.1

pid_file() { printf '%s/run/%s.pid' "$DIR" "$1"; }
part_alive() { process_alive "$(pid_file "$1")"; }

# part_start NAME COMMAND...: in the network of the cluster.
part_start() {
  local name=$1 inside=()
  shift
  [ "$WITH_NODE" = 0 ] || inside=(nsenter --net="/proc/$(node_init)/ns/net")
  process_start "$(pid_file "$name")" "$DIR/logs/$name.log" ${inside[@]+"${inside[@]}"} "$@" ||
    die "$name ended at once: see $DIR/logs/$name.log"
}

# port NAME FIXED: the remembered loopback port, or the fixed one inside the namespace of a node.
port() { if [ "$WITH_NODE" = 1 ]; then printf '%s' "$2"; else port_of "$DIR/ports" "$1"; fi; }
claim() { [ "$WITH_NODE" = 1 ] || port_claim "$DIR/ports" "$1"; }

api_address() { if [ "$WITH_NODE" = 1 ]; then printf '%s' "$NODE_IP"; else printf 127.0.0.1; fi; }
api_url() { printf 'https://%s:%s' "$(api_address)" "$(port apiserver 6443)"; }

kubectl() { "$(binary kubectl)" --kubeconfig "$DIR/admin.conf" --cache-dir "$DIR/kubectl-cache" "$@"; }

control_plane_prepare() {
  local pki=$DIR/pki user
  make_private "$DIR"
  mkdir -p "$DIR"/{pki,conf,logs,run,bin}
  [ "$WITH_NODE" = 1 ] || ports_choose "$DIR/ports" apiserver etcd etcd-peer
  pki_authority "$pki" ca
  pki_authority "$pki" front-proxy-ca
  pki_authority "$pki" etcd-ca
  pki_service_account_keys "$pki"
  pki_certificate "$pki" etcd-ca etcd /CN=etcd IP:127.0.0.1
  pki_certificate "$pki" etcd-ca etcd-client /CN=kube-apiserver
  pki_certificate "$pki" front-proxy-ca front-proxy /CN=front-proxy
  pki_certificate "$pki" ca apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$SERVICE_IP,IP:$(api_address)"
  pki_certificate "$pki" ca admin /O=system:masters/CN=admin
  pki_certificate "$pki" ca controller-manager /CN=system:kube-controller-manager
  for user in admin controller-manager; do pki_kubeconfig "$pki" "$user" "$(api_url)" "$DIR/conf/$user.conf"; done
  cmp -s "$DIR/conf/admin.conf" "$DIR/admin.conf" || cp -p "$DIR/conf/admin.conf" "$DIR/admin.conf"
  ln -sf "$(binary kubectl)" "$DIR/bin/kubectl"
}

# What it stores need not outlive the machine, so it may skip fsync; a kill of etcd itself loses nothing either way.
start_etcd() {
  local pki=$DIR/pki url peer
  part_alive etcd && return
  claim etcd
  claim etcd-peer
  url=https://127.0.0.1:$(port etcd 2379)
  peer=https://127.0.0.1:$(port etcd-peer 2380)
  part_start etcd "$(binary etcd)" --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$url" --advertise-client-urls "$url" \
    --cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" --client-cert-auth --trusted-ca-file "$pki/etcd-ca.crt" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" \
    --peer-cert-file "$pki/etcd.crt" --peer-key-file "$pki/etcd.key" --peer-client-cert-auth --peer-trusted-ca-file "$pki/etcd-ca.crt"
}

start_apiserver() {
  local pki=$DIR/pki flags=()
  part_alive apiserver && return
  claim apiserver
  if [ "$WITH_NODE" = 1 ]; then
    flags=(--advertise-address="$NODE_IP" --allow-privileged=true --kubelet-preferred-address-types=InternalIP
      --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" --kubelet-certificate-authority="$pki/ca.crt")
  else
    # The 'kubernetes' Service may not point at loopback: no endpoint is published for it.
    flags=(--bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none)
  fi
  part_start apiserver "$(binary kube-apiserver)" "${flags[@]}" --secure-port="$(port apiserver 6443)" \
    --etcd-servers="https://127.0.0.1:$(port etcd 2379)" \
    --etcd-cafile="$pki/etcd-ca.crt" --etcd-certfile="$pki/etcd-client.crt" --etcd-keyfile="$pki/etcd-client.key" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --service-cluster-ip-range="$SERVICE_CIDR" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key"
}

start_controller-manager() {
  part_alive controller-manager && return
  part_start controller-manager "$(binary kube-controller-manager)" --kubeconfig="$DIR/conf/controller-manager.conf" \
    --service-account-private-key-file="$DIR/pki/sa.key" --root-ca-file="$DIR/pki/ca.crt" --use-service-account-credentials \
    --leader-elect=false --secure-port=0 --kube-api-qps=200 --kube-api-burst=400 --horizontal-pod-autoscaler-sync-period=5s
}

# Restarts a part that died while waiting, and shows the end of its log.
wait_for_apiserver() {
  wait_until 90 apiserver_ready_or_dead
  part_alive apiserver || die "kube-apiserver ended: $(tail -n 1 "$DIR/logs/apiserver.log") (all of it in $DIR/logs/apiserver.log)"
  apiserver_ready || die "kube-apiserver is not ready after 90s: see $DIR/logs/apiserver.log"
}

apiserver_ready() { kubectl get --raw /readyz --request-timeout=5s; } >/dev/null 2>&1
apiserver_ready_or_dead() { ! part_alive apiserver || apiserver_ready; }

# The controller manager works once it has made the account that every pod and many tests rely on.
controller_manager_ready() { kubectl -n default get serviceaccount default && kubectl -n default get configmap kube-root-ca.crt; } >/dev/null 2>&1

control_plane_up() {
  start_etcd
  start_apiserver
  wait_for_apiserver
  start_controller-manager
  wait_until 60 controller_manager_ready || die "the default service account is missing after 60s: see $DIR/logs/controller-manager.log"
}

# The API server before etcd: without its etcd it would not end by itself.
control_plane_down() {
  process_stop "$(pid_file controller-manager)" 5
  process_stop "$(pid_file apiserver)" 5
  process_stop "$(pid_file etcd)" 5
}
