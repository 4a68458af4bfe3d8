# shellcheck shell=bash
# The server behind hack/postgres. Uses DIR and ID. Files in DIR: state (where data and socket are), ports, passwords, postgres.pid, log.

DATABASE=aether_vault

postgres_pid_file() { printf '%s/postgres.pid' "$DIR"; }

# postgres_find: sets PG_BIN, the folder of the newest server on this machine.
postgres_find() {
  local candidate
  PG_BIN=
  # shellcheck disable=SC2012 # version numbers only
  for candidate in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV) "$(dirname "$(command -v postgres || echo /none/postgres)")"; do
    if [ -x "$candidate/postgres" ] && [ -x "$candidate/initdb" ]; then
      PG_BIN=$candidate
      return
    fi
  done
  return 1
}

postgres_require() {
  local version
  if ! postgres_find; then
    is_root || die "no Postgres found: run 'sudo apt-get install postgresql', or set DATABASE_URL to a database of yours"
    without_system_cluster packages_install postgresql
    postgres_find || die "no Postgres in /usr/lib/postgresql after installing it: set DATABASE_URL to a database of yours"
  fi
  packages_ensure ss:iproute2 flock:util-linux setsid:util-linux openssl:openssl perl:perl
  version=$("$PG_BIN/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  ((version >= 15)) || die "Postgres $version in $PG_BIN is too old: install Postgres 15 or later, or set DATABASE_URL"
}

# Debian's package would create and start a server of the system, which nobody asked for.
without_system_cluster() {
  local setting=/etc/postgresql-common/createcluster.conf
  if [ -e "$setting" ]; then
    "$@"
    return
  fi
  mkdir -p "$(dirname "$setting")"
  echo 'create_main_cluster = false' >"$setting"
  "$@"
  rm -f "$setting"
}

# The server refuses to be root: the unprivileged user that runs it instead, and the command prefix for that.
postgres_user() {
  if ! is_root; then
    AS_SERVER=()
    return
  fi
  SERVER_USER=postgres
  id "$SERVER_USER" >/dev/null 2>&1 || SERVER_USER=nobody
  AS_SERVER=(setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --clear-groups --)
}

# state_read: sets DATA and SOCKETS.
state_read() {
  [ -f "$DIR/state" ] || return 1
  # shellcheck source=/dev/null # written by state_write
  . "$DIR/state"
}

# Data stands in DIR, unless the server's user cannot reach it there (a checkout in /root). The path of a Unix socket is limited to 107 bytes.
state_write() {
  local user_folder=${XDG_RUNTIME_DIR:-/tmp}
  DATA=$DIR/data SOCKETS=$DIR/socket
  if is_root; then
    user_folder=/tmp
    if ! "${AS_SERVER[@]}" test -x "$DIR"; then
      DATA=/var/tmp/aether-vault-postgres-$ID
      step "data in $DATA, as $SERVER_USER may not enter $DIR"
      SOCKETS=$DATA/socket
    fi
  fi
  if ((${#SOCKETS} > 85)); then SOCKETS=$user_folder/aether-vault-pg-$ID; fi
  printf 'DATA=%q\nSOCKETS=%q\n' "$DATA" "$SOCKETS" >"$DIR/state.new"
  mv "$DIR/state.new" "$DIR/state"
}

postgres_up() {
  postgres_require
  postgres_user
  mkdir -p "$DIR"
  chmod 0711 "$DIR"
  if process_alive "$(postgres_pid_file)"; then
    say "Postgres in $DIR runs already"
    return
  fi
  say "Starting Postgres in $DIR"
  state_read || state_write
  ports_choose "$DIR/ports" postgres
  passwords_choose
  [ -f "$DIR/initialised" ] || data_create
  postgres_launch
  [ -f "$DIR/created" ] || database_create
  say "Postgres ready: $(postgres_url runtime | sed 's|:[^:@/]*@|:***@|') (passwords: 'hack/postgres url')"
}

# One password a role, in a file only we can read.
passwords_choose() {
  local role
  [ -f "$DIR/passwords" ] && return
  (
    umask 077
    for role in superuser owner runtime; do printf '%s=%s\n' "$role" "$(openssl rand -hex 16)"; done >"$DIR/passwords.new"
  )
  mv "$DIR/passwords.new" "$DIR/passwords"
}

password_of() { port_of "$DIR/passwords" "$1"; }

# verifier_of ROLE: what Postgres stores of the password (RFC 5803), of one iteration instead of 4,096. 128 random bits need no stretching, and
# an unoptimised client stretches for a good part of the time that the tests take.
verifier_of() {
  password_of "$1" | perl -MDigest::SHA=sha256,hmac_sha256 -MMIME::Base64 -e '
    chomp(my $password = <STDIN>);
    open(my $random, "<:raw", "/dev/urandom") or die "no random bytes: $!\n";
    read($random, my $salt, 16);
    my $salted = hmac_sha256($salt . pack("N", 1), $password);
    my $stored = sha256(hmac_sha256("Client Key", $salted));
    printf "SCRAM-SHA-256\$1:%s\$%s:%s\n", map { encode_base64($_, "") } $salt, $stored, hmac_sha256("Server Key", $salted);'
}

data_create() {
  # What an interrupted start left is worth nothing.
  rm -rf "$DATA"
  mkdir -p "$DATA"
  chmod 0700 "$DATA"
  (umask 077 && verifier_of superuser >"$DATA.password")
  ! is_root || chown "$SERVER_USER" "$DATA" "$DATA.password"
  (cd / && ${AS_SERVER[@]+"${AS_SERVER[@]}"} "$PG_BIN/initdb" --pgdata "$DATA" --username postgres --encoding UTF8 --locale C.UTF-8 \
    --auth scram-sha-256 --pwfile "$DATA.password" >"$DIR/initdb.log" 2>&1) ||
    die "initdb failed: $(grep error: "$DIR/initdb.log" | tail -n 1) (all of it in $DIR/initdb.log)"
  rm -f "$DATA.password"
  touch "$DIR/initialised"
}

postgres_launch() {
  stale_lock_remove
  port_claim "$DIR/ports" postgres
  # Where it is below the data folder, initdb would have refused to find it there.
  mkdir -p "$SOCKETS"
  ! is_root || chown "$SERVER_USER" "$SOCKETS"
  chmod 0755 "$SOCKETS"
  touch "$DIR/log"
  clock_ahead
  (cd / && process_start "$(postgres_pid_file)" "$DIR/log" ${AS_SERVER[@]+"${AS_SERVER[@]}"} ${CLOCK[@]+"${CLOCK[@]}"} "$PG_BIN/postgres" -D "$DATA" \
    -c listen_addresses=127.0.0.1 -c port="$(port_of "$DIR/ports" postgres)" -c unix_socket_directories="$SOCKETS" \
    -c fsync=on -c synchronous_commit=on -c full_page_writes=on \
    -c max_connections=200 -c shared_buffers=256MB -c min_wal_size=64MB -c max_wal_size=512MB \
    -c shared_preload_libraries="${POSTGRES_PRELOAD:-}" -c log_timezone=UTC -c timezone=UTC) || die "Postgres ended at once: $(tail -n 1 "$DIR/log")"
  wait_until 60 ready_or_dead
  process_alive "$(postgres_pid_file)" || die "Postgres ended: $(grep -E 'FATAL|PANIC' "$DIR/log" | tail -n 1) (all of it in $DIR/log)"
  postgres_ready || die "Postgres does not answer after 60s: see $DIR/log"
}

# Sets CLOCK to what makes the server's clock run POSTGRES_CLOCK_AHEAD seconds ahead, for tests of what happens at midnight.
clock_ahead() {
  local library
  CLOCK=()
  [ -n "${POSTGRES_CLOCK_AHEAD:-}" ] || return 0
  library=$(fake_clock) || die "POSTGRES_CLOCK_AHEAD needs libfaketime: apt-get install faketime"
  CLOCK=(env "LD_PRELOAD=$library" "FAKETIME=+${POSTGRES_CLOCK_AHEAD}s" FAKETIME_DONT_FAKE_MONOTONIC=1)
}

fake_clock() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' | head -n 1 | grep .; }

# pg_isready needs no password. After a crash it says 'no' until recovery has ended.
postgres_ready() { "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$(port_of "$DIR/ports" postgres)"; }
ready_or_dead() { ! process_alive "$(postgres_pid_file)" || postgres_ready; }

# After a crash or a reboot the server's own lock file may name a process that is a stranger by now; Postgres would refuse to start.
stale_lock_remove() {
  local pid=
  [ -f "$DATA/postmaster.pid" ] || return 0
  read -r pid <"$DATA/postmaster.pid" || true
  if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$DATA" ]; then
    die "a Postgres that we did not start (pid $pid) uses $DATA: stop it first"
  fi
  rm -f "$DATA/postmaster.pid" "$SOCKETS"/.s.PGSQL.*
}

superuser_sql() {
  PGOPTIONS=--client-min-messages=warning PGPASSWORD=$(password_of superuser) "$PG_BIN/psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$(port_of "$DIR/ports" postgres)" -U postgres -d postgres
}

# The owner makes the schema; others may only connect and get what the migrations grant.
database_create() {
  superuser_sql <<SQL || die "could not create the database: see the message above"
DROP DATABASE IF EXISTS $DATABASE;
DROP ROLE IF EXISTS aether_owner;
DROP ROLE IF EXISTS aether_runtime;
CREATE ROLE aether_owner LOGIN PASSWORD '$(verifier_of owner)';
CREATE ROLE aether_runtime LOGIN PASSWORD '$(verifier_of runtime)';
CREATE DATABASE $DATABASE OWNER aether_owner;
REVOKE ALL ON DATABASE $DATABASE FROM PUBLIC;
GRANT CONNECT ON DATABASE $DATABASE TO aether_runtime;
SQL
  touch "$DIR/created"
}

postgres_start() {
  state_read || die "no Postgres in $DIR: run 'hack/postgres up' first"
  postgres_require
  postgres_user
  process_alive "$(postgres_pid_file)" || postgres_launch
}

# The whole server at once, as a power cut would.
postgres_kill() { process_kill "$(postgres_pid_file)" || die "Postgres in $DIR does not run: 'hack/postgres start'"; }

postgres_down() {
  if ! state_read; then
    say "No Postgres in $DIR"
    return
  fi
  say "Stopping Postgres in $DIR"
  # SIGINT is Postgres's fast shutdown: it does not wait for clients.
  process_stop "$(postgres_pid_file)" 20 INT
  rm -rf --one-file-system "$DATA" "$SOCKETS" "$DIR"
}

postgres_status() {
  if ! state_read; then
    echo "no Postgres in $DIR"
    return 1
  fi
  if process_alive "$(postgres_pid_file)"; then
    printf '%-20s running  pid %s, port %s\n' postgres "$(process_pid "$(postgres_pid_file)")" "$(port_of "$DIR/ports" postgres)"
  else
    printf '%-20s dead     %s\n' postgres "$DIR/log"
    say "'hack/postgres up' starts it"
    return 1
  fi
}

postgres_url() {
  local user database=$DATABASE port
  state_read || die "no Postgres in $DIR: run 'hack/postgres up' first"
  case $1 in
    runtime | owner) user=aether_$1 ;;
    superuser) user=postgres database=postgres ;;
    *) die "no role '$1': runtime, owner or superuser" ;;
  esac
  port=$(port_of "$DIR/ports" postgres)
  if [ "$SOCKET_URL" = 1 ]; then
    printf 'postgres://%s:%s@%s:%s/%s\n' "$user" "$(password_of "$1")" "${SOCKETS//\//%2F}" "$port" "$database"
  else
    printf 'postgres://%s:%s@127.0.0.1:%s/%s\n' "$user" "$(password_of "$1")" "$port" "$database"
  fi
}
