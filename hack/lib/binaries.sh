# shellcheck shell=bash
# The binaries of the local cluster, built once from the Go modules under hack/k8s into the cache. A folder of the cache belongs to one
# content of go.mod and go.sum, so a version bump builds anew and an old checkout keeps its own.

MODULES=$HACK/k8s
CONTROL_PLANE_BINARIES=(etcd kube-apiserver kube-controller-manager kubectl)
NODE_BINARIES=(kube-scheduler kubelet kube-proxy coredns)
CHART_BINARIES=(helm helm-unittest kubeconform)

# binary_module NAME: the folder below hack/k8s whose go.mod names the package.
binary_module() {
  case $1 in
    kube-* | kubelet | kubectl) printf 'kubernetes' ;;
    *) printf '%s' "$1" ;;
  esac
}

binary_package() {
  case $1 in
    etcd) printf 'go.etcd.io/etcd/server/v3' ;;
    coredns) printf 'github.com/coredns/coredns' ;;
    helm) printf 'helm.sh/helm/v4/cmd/helm' ;;
    helm-unittest) printf 'github.com/helm-unittest/helm-unittest/cmd/helm-unittest' ;;
    kubeconform) printf 'github.com/yannh/kubeconform/cmd/kubeconform' ;;
    metrics-server) printf 'sigs.k8s.io/metrics-server/cmd/metrics-server' ;;
    *) printf 'k8s.io/kubernetes/cmd/%s' "$1" ;;
  esac
}

# binary_version NAME: the version that go.mod requires.
binary_version() {
  local module
  module=$(binary_package "$1")
  if [ "$(binary_module "$1")" = kubernetes ]; then module=k8s.io/kubernetes; fi
  module=${module%/cmd/*}
  sed -n "s|.*[[:space:]]$module \(v[^ ]*\).*|\1|p" "$MODULES/$(binary_module "$1")/go.mod" | head -n 1
}

# binary_folder MODULE: where its binaries stand.
binary_folder() {
  printf '%s/bin/%s-%s' "$CACHE" "$1" "$(cat "$MODULES/$1/go.mod" "$MODULES/$1/go.sum" | sha256sum | cut -c1-12)"
}

binary() { printf '%s/%s' "$(binary_folder "$(binary_module "$1")")" "$1"; }

# binaries_ensure NAME...: builds what is missing, one build at a time on this machine.
binaries_ensure() {
  local name missing=()
  for name in "$@"; do [ -x "$(binary "$name")" ] || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  require_go
  say "Building ${missing[*]} into $CACHE (once; about six minutes on two cores for all of them)"
  with_lock "$CACHE/bin/.lock" binaries_build "${missing[@]}"
}

binaries_build() {
  local name
  for name in "$@"; do
    # Another command may have built it while we waited for the lock.
    [ -x "$(binary "$name")" ] || binary_build "$name"
  done
}

binary_build() {
  local name=$1 module target version started=$SECONDS
  module=$(binary_module "$name")
  version=$(binary_version "$name")
  target=$(binary "$name")
  mkdir -p "$(dirname "$target")"
  step "$name $version"
  (cd "$MODULES/$module" && with_heartbeat "$name" env CGO_ENABLED=0 GOFLAGS=-mod=readonly nice -n 10 \
    go build -trimpath -buildvcs=false -ldflags "$(version_flags "$version")" -o "$target.new" "$(binary_package "$name")") ||
    die "building $name $version failed: see the Go error above (the Go module proxy must be reachable)"
  mv "$target.new" "$target"
  step "$name built in $(duration $((SECONDS - started)))"
}

# Kubernetes takes its version from the linker; clients and the API server compare these.
version_flags() {
  local version=$1 package=k8s.io/component-base/version numbers
  IFS=. read -ra numbers <<<"${version#v}"
  printf '%s' "-s -w -X $package.gitVersion=$version -X $package.gitMajor=${numbers[0]} -X $package.gitMinor=${numbers[1]} -X $package.gitTreeState=clean"
}

require_go() {
  local have need
  command -v go >/dev/null ||
    die "no 'go' in PATH to build the Kubernetes binaries: install Go from https://go.dev/dl, or use your own cluster with CLUSTER=current"
  have=$(go env GOVERSION)
  have=${have#go}
  need=$(sed -n 's/^go //p' "$MODULES"/*/go.mod | sort -V | tail -n 1)
  [ "$(printf '%s\n' "$need" "$have" | sort -V | head -n 1)" = "$need" ] || [ "$(go env GOTOOLCHAIN)" != local ] ||
    die "Go $have is too old to build the Kubernetes binaries: install Go $need or later, or use your own cluster with CLUSTER=current"
}
