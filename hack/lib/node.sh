# shellcheck shell=bash
# The node of a cluster, for pods: containerd, kubelet, kube-proxy, scheduler and DNS. A holder process (hack/node/init) has mount, pid,
# network and ipc namespaces of its own; killing it ends every container and unmounts everything. The host sees a veth pair and a cgroup,
# both named after the cluster. Needs root. Uses DIR, ID, SUBNET and WITH_NODE.

NODE_PARTS=(containerd scheduler kubelet proxy)
POD_CIDR=10.88.0.0/16
DNS_IP=10.96.0.10

node_addresses() {
  HOST_IP=10.77.${SUBNET:-0}.1
  NODE_IP=10.77.${SUBNET:-0}.2
  VETH=av$ID
  CGROUP=aether-$ID
}

require_node() {
  is_root || die "a node needs root: run as root, or leave out --node"
  packages_ensure containerd:containerd runc:runc iptables:iptables conntrack:conntrack ip:iproute2 nsenter:util-linux
  [ -n "$(cni_folder)" ] || packages_install containernetworking-plugins
  PATH=$PATH:/usr/sbin:/sbin
}

# cni_folder: where the network plugins stand, on Debian and elsewhere.
cni_folder() {
  local folder
  for folder in /usr/lib/cni /opt/cni/bin; do
    if [ -x "$folder/bridge" ]; then
      printf '%s' "$folder"
      return
    fi
  done
}

# free_subnet: the third number of a 10.77.N.0/24 that no route of the host covers, beginning at one that the folder's name gives.
free_subnet() {
  local first number
  first=$((0x${ID:0:2}))
  for number in $(seq "$first" $((first + 255))); do
    number=$((number % 256))
    if ! ip -4 route show to match "10.77.$number.2" | grep -v '^default' >/dev/null; then
      printf '%s' "$number"
      return
    fi
  done
  die "no free network in 10.77.0.0/16 for the node: stop another cluster with 'hack/cluster down', or leave out --node"
}

# The holder's process id as the host sees it: the child of 'unshare'.
node_init() {
  local parent
  parent=$(process_pid "$(pid_file init)") && process_children "$parent" | awk '{ print $1; exit }' | grep .
}

# in_node COMMAND...: in all namespaces of the node.
in_node() { nsenter --target "$(node_init)" --mount --pid --net --ipc --uts "$@"; }

part_start_in_node() {
  local name=$1
  shift
  process_start "$(pid_file "$name")" "$DIR/logs/$name.log" nsenter --target "$(node_init)" --mount --pid --net --ipc --uts "$@" ||
    die "$name ended at once: see $DIR/logs/$name.log"
}

namespaces_ready() { [ -e "/proc/$(node_init)/root/run/aether/ready" ]; }

# Starts the holder, or does nothing when it lives. When it died, whatever outlived it is in namespaces that nobody can enter any more.
namespaces_up() {
  local init
  if namespaces_ready 2>/dev/null; then return; fi
  namespaces_down
  mkdir -p "$DIR"/{run,logs}
  modprobe -q br_netfilter 2>/dev/null || true
  process_start "$(pid_file init)" "$DIR/logs/init.log" unshare --mount --pid --net --ipc --uts --fork --kill-child --mount-proc \
    "$HACK/node/init" "$DIR" "$(binary_folder kubernetes)" || die "cannot make the namespaces of the node: see $DIR/logs/init.log"
  wait_until 10 namespaces_ready || die "the node's first process failed: $(tail -n 1 "$DIR/logs/init.log")"
  init=$(node_init)
  ip link add "$VETH" type veth peer name eth0 netns "$init"
  ip address add "$HOST_IP/24" dev "$VETH"
  ip link set "$VETH" up
  in_node ip address add "$NODE_IP/24" dev eth0
  in_node ip link set eth0 up
  # The API server wants a default route. The host does not forward for it, so nothing leaves this machine.
  in_node ip route add default via "$HOST_IP"
}

# Ends the holder and with it every process of the node, then what the host still shows.
namespaces_down() {
  local init part
  if init=$(node_init); then
    process_kill "$(pid_file init)" || true
    process_gone "$init" 20 || warn "process $init, the first of the node, does not end"
  fi
  for part in "${NODE_PARTS[@]}" init; do process_stop "$(pid_file "$part")" 2; done
  control_plane_down
  ip link delete "$VETH" 2>/dev/null || true
  cgroups_delete
}

cgroup_hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

cgroups_create() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do mkdir -p "$hierarchy/$CGROUP"; done
}

cgroups_delete() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do
    [ -d "$hierarchy/$CGROUP" ] || continue
    # The kernel may still be taking leave of the last process.
    wait_until 5 find "$hierarchy/$CGROUP" -depth -type d -exec rmdir {} + || warn "cannot remove the cgroup $hierarchy/$CGROUP"
  done
}

# fill TEMPLATE: the file with its @NAME@ marks replaced.
fill() {
  sed -e "s|@PAUSE_IMAGE@|$PAUSE_IMAGE|; s|@COREDNS_IMAGE@|$COREDNS_IMAGE|; s|@POD_CIDR@|$POD_CIDR|; s|@DNS_IP@|$DNS_IP|; s|@METRICS_SERVER_IMAGE@|$METRICS_SERVER_IMAGE|" \
    -e "s|@CGROUP@|$CGROUP|; s|@CNI_BIN@|$(cni_folder)|; s|@SNAPSHOTTER@|$(snapshotter)|" "$HACK/node/$1"
}

# An overlay cannot stand on an overlay, as in a development container.
snapshotter() { if [ "$(stat -f -c %T "$DIR")" = overlayfs ]; then printf native; else printf overlayfs; fi; }

node_prepare() {
  local pki=$DIR/pki user
  pki_certificate "$pki" ca kubelet /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$NODE_IP"
  pki_certificate "$pki" ca scheduler /CN=system:kube-scheduler
  pki_certificate "$pki" ca proxy /CN=system:kube-proxy
  for user in kubelet scheduler proxy; do pki_kubeconfig "$pki" "$user" "$(api_url)" "$DIR/conf/$user.conf"; done
  mkdir -p "$DIR/conf/cni"
  fill cni.conflist >"$DIR/conf/cni/10-pods.conflist"
  fill containerd.toml >"$DIR/conf/containerd.toml"
  fill kubelet.yaml >"$DIR/conf/kubelet.yaml"
  fill coredns.yaml >"$DIR/conf/coredns.yaml"
}

start_containerd() {
  part_alive containerd || part_start_in_node containerd containerd --config /run/aether/dir/conf/containerd.toml
  wait_until 20 in_node ctr version || die "containerd does not answer: see $DIR/logs/containerd.log"
}

start_scheduler() {
  part_alive scheduler || part_start scheduler "$(binary kube-scheduler)" --kubeconfig="$DIR/conf/scheduler.conf" --leader-elect=false --secure-port=0
}

start_kubelet() {
  part_alive kubelet || part_start_in_node kubelet /run/aether/bin/kubelet --config=/run/aether/dir/conf/kubelet.yaml \
    --kubeconfig=/run/aether/dir/conf/kubelet.conf --hostname-override=node1 --node-ip="$NODE_IP"
}

# Limits on tracked connections are the machine's: left as they are.
start_proxy() {
  part_alive proxy || part_start_in_node proxy /run/aether/bin/kube-proxy --kubeconfig=/run/aether/dir/conf/proxy.conf --hostname-override=node1 \
    --cluster-cidr="$POD_CIDR" --proxy-mode=iptables --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

node_up() {
  node_images_ensure
  node_prepare
  cgroups_create
  start_containerd
  in_node ctr --namespace k8s.io images list -q | grep -x "$PAUSE_IMAGE" >/dev/null || image_import "$(pause_archive)"
  in_node ctr --namespace k8s.io images list -q | grep -x "$COREDNS_IMAGE" >/dev/null || image_import "$(coredns_archive)"
  start_scheduler
  start_kubelet
  start_proxy
  kubectl wait --for=create node/node1 --timeout=60s >/dev/null || die "the node does not register: see $DIR/logs/kubelet.log"
  kubectl wait --for=condition=Ready node/node1 --timeout=60s >/dev/null || die "the node is not Ready: see 'kubectl describe node' and $DIR/logs/kubelet.log"
  step "node $NODE_IP ready"
  kubectl apply --server-side -f "$DIR/conf/coredns.yaml" >/dev/null
  kubectl -n kube-system rollout status deployment/coredns --timeout=90s >/dev/null || die "cluster DNS does not start: see 'kubectl -n kube-system describe pods'"
}

enter_node() {
  namespaces_ready 2>/dev/null || die "the cluster $DIR has no running node: 'hack/cluster up --node'"
  in_node "$@"
}

# metrics_up: the metrics server, for whoever tries the HPA. Its first figures take some 20 s.
metrics_up() {
  binaries_ensure metrics-server
  [ -f "$(metrics_server_archive)" ] || image_of_binary "$METRICS_SERVER_IMAGE" "$(binary metrics-server)" "$(metrics_server_archive)"
  in_node ctr --namespace k8s.io images list -q | grep -x "$METRICS_SERVER_IMAGE" >/dev/null || image_import "$(metrics_server_archive)"
  fill metrics-server.yaml >"$DIR/conf/metrics-server.yaml"
  kubectl apply --server-side -f "$DIR/conf/metrics-server.yaml" >/dev/null
  kubectl -n kube-system rollout status deployment/metrics-server --timeout=120s >/dev/null || die "the metrics server does not start: see 'kubectl -n kube-system describe pods'"
}
