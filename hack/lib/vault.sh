# shellcheck shell=bash
# The development installation of Aether Vault in one folder: settings, root key, API process, controller process, first administrator. Uses DIR
# (the folder), BINARY (the compiled program) and the environment that hack/cluster and hack/postgres print.

OPERATOR_NAMESPACE=aether-vault-system

vault_pid_file() { printf '%s/run/%s.pid' "$DIR" "$1"; }
vault_alive() { process_alive "$(vault_pid_file "$1")"; }
vault_address() { printf 'http://127.0.0.1:%s' "$(port_of "$DIR/ports" api)"; }

# vault COMMAND...: the program with this installation's settings.
vault() { "$BINARY" --config "$DIR/config.yaml" "$@"; }

# client COMMAND...: the program as the administrator that is logged in.
client() { AETHER_VAULT_ADDR=$(vault_address) AETHER_VAULT_TOKEN_FILE=$DIR/token vault "$@"; }

# vault_build: sets BINARY. AETHER_VAULT_BINARY names one that is compiled already.
vault_build() {
  local started=$SECONDS target
  if [ -n "${AETHER_VAULT_BINARY:-}" ]; then
    BINARY=$(absolute "$AETHER_VAULT_BINARY")
    [ -x "$BINARY" ] || die "AETHER_VAULT_BINARY=$AETHER_VAULT_BINARY is no program: unset it to build one"
    return
  fi
  command -v cargo >/dev/null || die "no 'cargo' in PATH: install Rust from https://rustup.rs"
  command -v cc >/dev/null || packages_ensure cc:build-essential
  target=${CARGO_TARGET_DIR:-$HACK/../target}
  say "Building aether-vault (release; some minutes the first time)"
  (cd "$HACK/.." && SQLX_OFFLINE=true cargo build --release --locked) || die "the build failed: see the compiler's messages above"
  BINARY=$(absolute "$target/release/aether-vault")
  step "built in $(duration $((SECONDS - started)))"
}

# Written anew each time, replaced only when different: a changed file restarts the processes.
vault_settings() {
  make_private "$DIR/run"
  make_private "$DIR/logs"
  ports_choose "$DIR/ports" api api-metrics controller-metrics
  (
    umask 077
    cat >"$DIR/config.yaml.new" <<YAML
# Written by 'make up' for both processes. 'aether-vault settings check --config $DIR/config.yaml' explains it.
database:
  url: $DATABASE_URL
  owner_url: $DATABASE_OWNER_URL
keys:
  file: $DIR/root.key
http:
  listen: 127.0.0.1:$(port_of "$DIR/ports" api)
metrics:
  listen: 127.0.0.1:$(port_of "$DIR/ports" api-metrics)
auth:
  access_token_ttl: 12h
  session_idle_ttl: 12h
bootstrap:
  credential_file: $DIR/admin-credential
controller:
  cluster_prefix: k8s
  operator_namespace: $OPERATOR_NAMESPACE
  metrics_listen: 127.0.0.1:$(port_of "$DIR/ports" controller-metrics)
YAML
  )
  if cmp -s "$DIR/config.yaml.new" "$DIR/config.yaml"; then rm "$DIR/config.yaml.new"; else mv "$DIR/config.yaml.new" "$DIR/config.yaml"; fi
}

# vault_start NAME PORT...: the process, unless it runs already with the same program and settings.
vault_start() {
  local name=$1 fingerprint port
  shift
  fingerprint=$(cat "$BINARY" "$DIR/config.yaml" "$KUBECONFIG" | sha256sum)
  if vault_alive "$name" && [ "$(cat "$DIR/run/$name.of" 2>/dev/null)" = "$fingerprint" ]; then
    step "$name runs already"
    return
  fi
  process_stop "$(vault_pid_file "$name")" 20
  for port in "$@"; do port_claim "$DIR/ports" "$port"; done
  process_start "$(vault_pid_file "$name")" "$DIR/logs/$name.log" "$BINARY" --config "$DIR/config.yaml" "$name" ||
    die "$name ended at once: $(tail -n 1 "$DIR/logs/$name.log")"
  printf '%s\n' "$fingerprint" >"$DIR/run/$name.of"
}

# vault_wait NAME SECONDS COMMAND...: until the command succeeds or the process is dead.
vault_wait() {
  local name=$1 seconds=$2
  shift 2
  wait_until "$seconds" vault_done_or_dead "$name" "$@"
  vault_alive "$name" || die "$name ended: $(tail -n 1 "$DIR/logs/$name.log" | cut -c1-400) (all of it in $DIR/logs/$name.log)"
  "$@" || die "$name is not ready after ${seconds}s: see $DIR/logs/$name.log"
}

vault_done_or_dead() {
  ! vault_alive "$1" || "${@:2}"
}

api_ready() { curl -fsS -o /dev/null "$(vault_address)/readyz"; } 2>/dev/null

# The one-time credential that the API wrote becomes a password of our own making; later runs log in with that.
vault_login() {
  if [ ! -f "$DIR/admin-password" ]; then
    [ -f "$DIR/admin-credential" ] ||
      die "no $DIR/admin-credential to log in with first: the database has an administrator already; put the password into $DIR/admin-password"
    (umask 077 && openssl rand -base64 24 >"$DIR/admin-password.new")
    vault login --address "$(vault_address)" --username admin --password-file "$DIR/admin-credential" \
      --new-password-file "$DIR/admin-password.new" --token-file "$DIR/token" >/dev/null ||
      die "the first login failed: see the message above and $DIR/logs/api.log"
    mv "$DIR/admin-password.new" "$DIR/admin-password"
  else
    vault login --address "$(vault_address)" --username admin --password-file "$DIR/admin-password" --token-file "$DIR/token" >/dev/null ||
      die "login as admin failed: is $DIR/admin-password still the password?"
  fi
}

vault_stop() {
  process_stop "$(vault_pid_file controller)" 20
  process_stop "$(vault_pid_file api)" 20
}

# vault_environment: what a shell sources.
vault_environment() {
  (
    umask 077
    {
      echo "# Written by 'make up': . ${DIR#"$PWD"/}/env"
      "$HACK/cluster" env --dir "$DIR/cluster"
      # shellcheck disable=SC2016 # PATH is for the reading shell to expand
      printf 'export PATH=%q:$PATH\n' "$(dirname "$BINARY")"
      printf 'export AETHER_VAULT_ADDR=%q\n' "$(vault_address)"
      printf 'export AETHER_VAULT_TOKEN_FILE=%q\n' "$DIR/token"
      printf 'export DATABASE_URL=%q\nexport DATABASE_OWNER_URL=%q\n' "$DATABASE_URL" "$DATABASE_OWNER_URL"
    } >"$DIR/env.new"
  )
  mv "$DIR/env.new" "$DIR/env"
}
