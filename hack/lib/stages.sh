# shellcheck shell=bash
# Stages of a test run: each is timed, its output shown as it comes, its tests counted from the runners' own summaries.

STAGE_LINES=() PASSED=0 FAILED=0 SKIPPED=0 BROKEN=()

# stage NAME COMMAND...: a failed stage does not stop the run, but fails it in the end.
stage() {
  local name=$1 started=${STARTED:-$SECONDS} output status=0 passed failed skipped verdict=ok
  shift
  output=$(mktemp "$WORK/stage.XXXXXX")
  printf '\n=== %s\n' "$name"
  # A shell of its own with errexit: in '||' bash would ignore it.
  set +e
  (
    set -e
    "$@"
  ) 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  set -e
  read -r passed failed skipped < <(count_tests "$output")
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
  if [ "$status" != 0 ]; then
    verdict=FAILED
    BROKEN+=("$name")
  fi
  STAGE_LINES+=("$(printf '%-14s %-7s %8s  %s' "$name" "$verdict" "$(duration $((${ENDED:-$SECONDS} - started)))" "$(counts "$passed" "$failed" "$skipped")")")
}

# stage_beside NAME COMMAND...: begins a stage that goes on beside the next ones, until stage_join NAME shows it like any other.
stage_beside() {
  local name=$1
  shift
  (
    set +e
    (
      set -e
      "$@"
    ) >"$WORK/$name.output" 2>&1
    echo "$? $SECONDS" >"$WORK/$name.ended"
  ) &
  BESIDE_PID=$! BESIDE_STARTED=$SECONDS
}

# stage_join NAME: waits for it. Its time is its own.
stage_join() {
  local status ended
  wait "$BESIDE_PID"
  BESIDE_PID=
  read -r status ended <"$WORK/$1.ended"
  STARTED=$BESIDE_STARTED ENDED=$ended stage "$1" beside_said "$1" "$status"
}

beside_said() {
  cat "$WORK/$1.output"
  return "$2"
}

# skip_stage NAME REASON
skip_stage() { STAGE_LINES+=("$(printf '%-14s %-7s %8s  %s' "$1" skipped - "$2")"); }

counts() {
  (($1 + $2 + $3 > 0)) || return 0
  printf '%d passed, %d failed, %d skipped' "$1" "$2" "$3"
}

# count_tests FILE: sums cargo's lines 'test result: ok. 3 passed; 0 failed; 1 ignored; …' and our own 'checks: 3 passed, 0 failed, 1 skipped'.
count_tests() {
  awk '
    /^test result: / { for (i = 1; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) s += $(i-1) } }
    /^checks: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $2; f += $4; s += $6 }
    END { print p + 0, f + 0, s + 0 }' "$1"
}

# stages_end: the table, what was skipped and why, and the verdict as exit status.
stages_end() {
  printf '\n=== Summary after %s\n' "$(duration "$SECONDS")"
  printf '%s\n' "${STAGE_LINES[@]}"
  printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
  if [ ${#BROKEN[@]} -gt 0 ]; then
    printf 'Failed: %s\n' "${BROKEN[*]}"
    return 1
  fi
}
