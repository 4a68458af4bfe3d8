# shellcheck shell=bash
# Checks of a script, each a sentence and a command: one that fails does not stop the others. Uses WORK for their output.

CHECKS_PASSED=0 CHECKS_FAILED=0 CHECKS_SKIPPED=0

# check SENTENCE COMMAND...
check() {
  local sentence=$1 started=$SECONDS
  shift
  if (set +e; "$@") >"$WORK/check.log" 2>&1; then
    CHECKS_PASSED=$((CHECKS_PASSED + 1))
    printf 'ok      %s (%s)\n' "$sentence" "$(duration $((SECONDS - started)))"
  else
    CHECKS_FAILED=$((CHECKS_FAILED + 1))
    printf 'FAILED  %s\n' "$sentence"
    sed 's/^/        /' "$WORK/check.log" | tail -n "${CHECK_LINES:-30}" | cut -c1-600
  fi
}

# skip_check SENTENCE REASON
skip_check() {
  CHECKS_SKIPPED=$((CHECKS_SKIPPED + 1))
  printf 'skipped %s: %s\n' "$1" "$2"
}

checks_end() {
  printf 'checks: %d passed, %d failed, %d skipped\n' "$CHECKS_PASSED" "$CHECKS_FAILED" "$CHECKS_SKIPPED"
  [ "$CHECKS_FAILED" = 0 ]
}
