# shellcheck shell=bash
# Image archives of single static binaries, written with tar alone (the format of 'docker save'), and their import into the node.

# image_architecture: as image configurations name it.
image_architecture() {
  case $(uname -m) in
    x86_64) printf amd64 ;;
    aarch64) printf arm64 ;;
    *) uname -m ;;
  esac
}

# image_of_binary REFERENCE BINARY ARCHIVE: an image whose only file and entry point is the binary.
image_of_binary() {
  local reference=$1 binary=$2 archive=$3 work name layer
  work=$(mktemp -d)
  name=$(basename "$binary")
  tar -cf "$work/layer.tar" --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$(dirname "$binary")" "$name"
  layer=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/%s"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(image_architecture)" "$name" "$layer" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$reference" >"$work/manifest.json"
  mkdir -p "$(dirname "$archive")"
  tar -cf "$archive.new" -C "$work" manifest.json config.json layer.tar
  mv "$archive.new" "$archive"
  rm -rf "$work"
}

# The two images that the node itself needs: the sandbox of each pod and the cluster's DNS.
PAUSE_IMAGE=localhost/pause:1
COREDNS_IMAGE=localhost/coredns:1

pause_archive() { printf '%s/images/pause-%s.tar' "$CACHE" "$(sha256sum <"$HACK/node/pause.c" | cut -c1-12)"; }
coredns_archive() { printf '%s/images/%s.tar' "$CACHE" "$(basename "$(binary_folder coredns)")"; }

node_images_ensure() {
  local work
  if [ ! -f "$(pause_archive)" ]; then
    packages_ensure cc:gcc /usr/include/unistd.h:libc6-dev
    work=$(mktemp -d)
    cc -static -Os -s -o "$work/pause" "$HACK/node/pause.c" || die "cannot compile hack/node/pause.c: see the compiler's message above"
    image_of_binary "$PAUSE_IMAGE" "$work/pause" "$(pause_archive)"
    rm -rf "$work"
  fi
  [ -f "$(coredns_archive)" ] || image_of_binary "$COREDNS_IMAGE" "$(binary coredns)" "$(coredns_archive)"
}

# image_import ARCHIVE
image_import() {
  in_node ctr --namespace k8s.io images import - <"$1" >/dev/null || die "containerd could not import $1: see $DIR/logs/containerd.log"
  step "loaded $(basename "$1")"
}
