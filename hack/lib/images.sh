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
  local root name
  root=$(mktemp -d)
  name=$(basename "$2")
  cp "$2" "$root/$name"
  image_of_root "$1" "$root" "$3" "{\"Entrypoint\":[\"/$name\"]}"
  rm -rf "$root"
}

# image_of_root REFERENCE FOLDER ARCHIVE CONFIG: an image of everything in the folder, with this configuration (JSON).
image_of_root() {
  local reference=$1 root=$2 archive=$3 work layer
  work=$(mktemp -d)
  # Whoever the program runs as passes through.
  chmod 0755 "$root"
  tar -cf "$work/layer.tar" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" .
  layer=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(image_architecture)" "$4" "$layer" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$reference" >"$work/manifest.json"
  mkdir -p "$(dirname "$archive")"
  tar -cf "$archive.new" -C "$work" manifest.json config.json layer.tar
  mv "$archive.new" "$archive"
  rm -rf "$work"
}

# The two images that the node itself needs: the sandbox of each pod and the cluster's DNS.
PAUSE_IMAGE=localhost/pause:1
COREDNS_IMAGE=localhost/coredns:1
# And what the chart is tried with: the metrics server for the HPA, and a Postgres for the bundled mode.
METRICS_SERVER_IMAGE=localhost/metrics-server:1
POSTGRES_IMAGE=localhost/postgres:debian

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

metrics_server_archive() { printf '%s/images/%s.tar' "$CACHE" "$(basename "$(binary_folder metrics-server)")"; }

# postgres_archive: the newest Postgres that this machine has.
postgres_archive() { printf '%s/images/postgres-%s.tar' "$CACHE" "$("$(postgres_newest)/bin/postgres" --version | tr -dc '0-9.')"; }
postgres_newest() { compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -n 1 | sed 's|/bin/postgres$||'; }

# postgres_image_ensure: Postgres as Debian packages it, the libraries that it is linked with, and busybox for a shell; known as user 999, as in
# the usual image.
postgres_image_ensure() {
  local root lib version file
  [ ! -f "$(postgres_archive)" ] || return 0
  lib=$(postgres_newest)
  version=$(basename "$lib")
  root=$(mktemp -d)
  mkdir -p "$root"/{bin,etc,tmp,run,usr/lib/postgresql,usr/share/postgresql,usr/lib/locale,usr/share/zoneinfo,var/lib/postgresql}
  cp -a "$lib" "$root/usr/lib/postgresql/"
  cp -a "/usr/share/postgresql/$version" "$root/usr/share/postgresql/"
  [ ! -d /usr/lib/locale/C.utf8 ] || cp -a /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
  cp -a /usr/share/zoneinfo/. "$root/usr/share/zoneinfo/"
  # Just-in-time compilation would bring LLVM.
  rm -rf "$root/usr/lib/postgresql/$version/lib"/{bitcode,llvmjit*}
  # Not everything there is a program: ldd fails on the rest.
  { find "$root/usr/lib/postgresql" -type f -print0 | xargs -0 ldd 2>/dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 } /^\t\// { print $1 }' | sort -u | while IFS= read -r file; do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
  cp "$(command -v busybox)" "$root/bin/busybox"
  for file in sh cat sha256sum grep mkdir mv rm sleep; do ln -s busybox "$root/bin/$file"; done
  printf 'root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
  image_of_root "$POSTGRES_IMAGE" "$root" "$(postgres_archive)" "{\"Env\":[\"PATH=/usr/lib/postgresql/$version/bin:/bin\"],\"User\":\"999:999\"}"
  rm -rf "$root"
}
