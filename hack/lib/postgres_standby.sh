# shellcheck shell=bash
# A standby of another private Postgres. Uses what hack/lib/postgres.sh sets.

# postgres_standby PRIMARY: copies the running server of the folder PRIMARY to DIR and follows it from then on.
postgres_standby() {
  local primary=$1 port
  [ -f "$primary/initialised" ] || die "no Postgres in $primary to stand by for: run 'hack/postgres up --dir $primary' first"
  [ ! -f "$DIR/initialised" ] || die "there is a server in $DIR already: run 'hack/postgres down --dir $DIR' first"
  postgres_require
  postgres_user
  mkdir -p "$DIR"
  chmod 0711 "$DIR"
  say "Starting a standby of $primary in $DIR"
  state_write
  ports_choose "$DIR/ports" postgres
  (umask 077 && cp "$primary/passwords" "$DIR/passwords")
  rm -rf "$DATA"
  mkdir -p "$DATA"
  chmod 0700 "$DATA"
  ! is_root || chown "$SERVER_USER" "$DATA"
  port=$(port_of "$primary/ports" postgres)
  # The password ends up in the copy's own settings, which only the server's user can read.
  (cd / && PGPASSWORD=$(password_of superuser) ${AS_SERVER[@]+"${AS_SERVER[@]}"} "$PG_BIN/pg_basebackup" --host 127.0.0.1 --port "$port" \
    --username postgres --pgdata "$DATA" --write-recovery-conf --wal-method stream --checkpoint fast >"$DIR/basebackup.log" 2>&1) ||
    die "pg_basebackup failed: $(tail -n 1 "$DIR/basebackup.log")"
  touch "$DIR/initialised" "$DIR/created"
  postgres_launch
  say "Standby ready: it follows port $port until 'hack/postgres promote'"
}

# Makes the standby the server that takes writes; returns when it does.
postgres_promote() {
  state_read || die "no Postgres in $DIR: run 'hack/postgres standby' first"
  postgres_require
  [ "$(superuser_sql <<<'\t on
SELECT pg_promote(true, 60)' | tr -d ' \n')" = t ] || die "the standby in $DIR was not promoted: see $DIR/log"
}
