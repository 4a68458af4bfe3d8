# shellcheck shell=bash
# Debian packages that a command needs: installed after saying so when we are root, else asked for in one line.

# packages_ensure TOOL:PACKAGE...: a TOOL with a slash is a path (a pattern), without one a command in PATH.
packages_ensure() {
  local pair missing=()
  for pair in "$@"; do
    tool_present "${pair%%:*}" || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  packages_install "${missing[@]}"
  for pair in "$@"; do
    tool_present "${pair%%:*}" || die "'${pair%%:*}' is still missing after installing ${pair#*:}: install it by hand"
  done
}

tool_present() {
  case $1 in
    */*) compgen -G "$1" >/dev/null ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
  esac
}

packages_install() {
  is_root || die "missing packages: run 'sudo apt-get install $*'"
  command -v apt-get >/dev/null || die "missing: $* (no apt-get here: install them with your package manager)"
  say "Installing with apt-get: $*"
  # A failed update is not final: the lists may be recent enough.
  with_lock "$CACHE/locks/apt" apt_get update || true
  with_lock "$CACHE/locks/apt" apt_get install -y --no-install-recommends "$@" || die "apt-get could not install $*: see the messages above"
}

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2; }
