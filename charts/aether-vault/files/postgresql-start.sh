# Starts the bundled Postgres of the chart, for trials. The first start makes the data folder, the roles and the database; an interrupted
# first start begins anew. A certificate that was renewed is read again.
set -eu
export PATH="$PATH:/usr/lib/postgresql/17/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/15/bin"
secret() { cat "/run/secrets/postgresql/$1/password"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "making the database in $PGDATA"
  rm -rf "$PGDATA.new"
  initdb --pgdata="$PGDATA.new" --username=postgres --pwfile=/run/secrets/postgresql/superuser/password --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums >/tmp/initdb.log 2>&1 || { cat /tmp/initdb.log; exit 1; }
  # Passwords are of hexadecimal digits.
  postgres --single -D "$PGDATA.new" postgres >/tmp/roles.log 2>&1 <<SQL || { cat /tmp/roles.log; exit 1; }
CREATE ROLE "$OWNER" LOGIN PASSWORD '$(secret owner)'
CREATE ROLE "$RUNTIME" LOGIN PASSWORD '$(secret runtime)'
CREATE DATABASE "$DATABASE" OWNER "$OWNER"
REVOKE ALL ON DATABASE "$DATABASE" FROM PUBLIC
GRANT CONNECT ON DATABASE "$DATABASE" TO "$RUNTIME"
SQL
  if grep -E 'ERROR|FATAL|PANIC' /tmp/roles.log; then exit 1; fi
  echo "include_if_exists = '/etc/postgresql/parameters.conf'" >>"$PGDATA.new/postgresql.conf"
  mv "$PGDATA.new" "$PGDATA"
fi

postgres -D "$PGDATA" &
server=$!
# Fast shutdown: it does not wait for clients.
trap 'kill -INT $server' TERM INT
certificate() { sha256sum </run/secrets/postgresql/tls/tls.crt; }
(
  seen=$(certificate)
  while sleep 30; do
    now=$(certificate) || continue
    [ "$now" = "$seen" ] || kill -HUP $server
    seen=$now
  done
) &
# A signal ends the first wait; the second is for what follows from it.
wait $server || true
wait $server
