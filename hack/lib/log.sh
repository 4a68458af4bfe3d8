# shellcheck shell=bash
# Messages of the hack/ commands. Progress goes to standard error, so that standard output carries only what was asked for (URLs, env).

# The command that the user called, for the first word of an error.
PROGRAM=${PROGRAM:-hack/$(basename "$0")}

say() { printf '%s\n' "$*" >&2; }

# A line of progress below the command's own headline.
step() { printf '  %s\n' "$*" >&2; }

warn() { printf '%s: warning: %s\n' "$PROGRAM" "$*" >&2; }

# Ends the command with one line that names what failed and the remedy.
die() {
  printf '%s: %s\n' "$PROGRAM" "$*" >&2
  exit 1
}

# duration SECONDS: 7s, 2m05s.
duration() {
  if (($1 < 60)); then printf '%ds' "$1"; else printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); fi
}

# with_heartbeat LABEL COMMAND...: runs the command and says every half minute that it still runs.
with_heartbeat() {
  local label=$1 started=$SECONDS beat status=0
  shift
  (
    # A read that times out, and no 'sleep': killed below, it leaves no child that would hold our standard error open.
    exec 8<> <(:)
    until read -r -t 30 -u 8; do step "$label: still running after $(duration $((SECONDS - started)))"; done
  ) </dev/null >/dev/null &
  beat=$!
  "$@" || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return "$status"
}

is_root() { [ "$(id -u)" = 0 ]; }

# Fails unless each named tool is in PATH; the caller gives the Debian package to install.
need_tool() {
  command -v "$1" >/dev/null || die "'$1' is missing: apt-get install $2"
}
