# shellcheck shell=bash
# Background processes that outlive the command which started them. A pid file holds the process id, its start time and the boot it
# belongs to, so that a file left by a crash or a reboot never makes us signal a stranger that got the same id.

# process_start_time PID: clock ticks from boot to the start of the process; fails when there is none.
process_start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The second field is the name in parentheses and may hold spaces.
  stat=${stat##*) }
  case $stat in Z* | X*) return 1 ;; esac
  # shellcheck disable=SC2086 # split on purpose: the start time is field 22, the 20th from here
  set -- $stat
  printf '%s' "${20}"
}

# process_pid PIDFILE: prints the id if that very process still runs, fails otherwise.
process_pid() {
  local pid started boot
  read -r pid started boot 2>/dev/null <"$1" || return 1
  [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
  [ "$(process_start_time "$pid")" = "$started" ] || return 1
  printf '%s' "$pid"
}

process_alive() { process_pid "$1" >/dev/null; }

# process_record PIDFILE PID: writes the pid file of a process just started.
process_record() {
  local started
  started=$(process_start_time "$2") || return 1
  printf '%s %s %s\n' "$2" "$started" "$(cat /proc/sys/kernel/random/boot_id)" >"$1.new"
  mv "$1.new" "$1"
}

# process_start PIDFILE LOG COMMAND...: starts the command in a session of its own, appending to LOG.
process_start() {
  local pidfile=$1 log=$2 pid
  shift 2
  setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  process_record "$pidfile" "$pid" || return 1
}

# process_children PID: the ids of its direct children.
process_children() { cat "/proc/$1/task/"*/children 2>/dev/null || true; }

# process_gone PID SECONDS: waits for the process to end; fails when the time is over. Sleeps without a child process.
process_gone() {
  local deadline=$((SECONDS + $2))
  while process_start_time "$1" >/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# process_stop PIDFILE [SECONDS [SIGNAL]]: asks the process to end, kills it after SECONDS (10), removes the pid file.
process_stop() {
  local pid
  if pid=$(process_pid "$1"); then
    kill -s "${3:-TERM}" "$pid" 2>/dev/null || true
    if ! process_gone "$pid" "${2:-10}"; then
      kill -s KILL "$pid" 2>/dev/null || true
      process_gone "$pid" 10 || warn "process $pid of $1 does not end"
    fi
  fi
  rm -f "$1"
}

# process_kill PIDFILE: SIGKILL to the process and its direct children at once, as a crash would.
process_kill() {
  local pid
  pid=$(process_pid "$1") || return 1
  # shellcheck disable=SC2046 # one argument a process id
  kill -s KILL "$pid" $(process_children "$pid") 2>/dev/null || true
  process_gone "$pid" 10 || true
  rm -f "$1"
}

# wait_until SECONDS COMMAND...: repeats the command until it succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}
