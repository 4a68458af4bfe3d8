# shellcheck shell=bash
# Loopback ports: chosen once for a folder, free at that moment, and remembered in a file of NAME=PORT lines.

# port_free PORT: nobody listens on it on any address.
port_free() { [ -z "$(ss -Hltn "sport = :$1")" ]; }

# port_owner PORT: the listening process in words, as far as we may see it.
port_owner() {
  local owner
  owner=$(ss -Hltnp "sport = :$1" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | head -n 1)
  printf '%s' "${owner:-a process of another user}"
}

# ports_choose FILE NAME...: writes a free port for each name that FILE does not hold yet. Below the ephemeral range of outgoing
# connections, so that none of those can take a port while its server is down.
ports_choose() {
  local file=$1 name port
  shift
  touch "$file"
  for name in "$@"; do
    grep -q "^$name=" "$file" && continue
    while :; do
      port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
      if port_free "$port" && ! grep -q "=$port$" "$file"; then break; fi
    done
    printf '%s=%s\n' "$name" "$port" >>"$file"
  done
}

port_of() { sed -n "s/^$2=//p" "$1"; }

# port_claim FILE NAME: fails with one line when somebody else listens on our port. To be called while our own server is down.
port_claim() {
  local port
  port=$(port_of "$1" "$2")
  # A server that was just killed may take a moment to vanish.
  wait_until 3 port_free "$port" ||
    die "port $port for $2 is taken by $(port_owner "$port"): stop it, or delete $1 to choose other ports"
}
