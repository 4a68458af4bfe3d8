# shellcheck shell=bash
# The folder for what is built once and kept: Kubernetes binaries and node images. Safe to delete at any time.

CACHE=${AETHER_VAULT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether-vault}

# with_lock FILE COMMAND...: one command at a time holds FILE. Processes started inside must close descriptor 9 (process_start does).
with_lock() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  (
    exec 9>"$file"
    if ! flock -n 9; then
      step "waiting for another command that holds $file"
      flock 9
    fi
    "$@"
  )
}

# short_id TEXT: eight hexadecimal digits that stand for a folder in names of network interfaces, cgroups and sockets.
short_id() { printf '%s' "$1" | sha256sum | cut -c1-8; }

# absolute PATH: PATH without symlinks; its last part need not exist.
absolute() { realpath -m -- "$1"; }

# make_private FOLDER: creates a folder that only its owner can read.
make_private() {
  mkdir -p "$1"
  chmod 0700 "$1"
}
