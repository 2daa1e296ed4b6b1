# shellcheck shell=bash
# Shared by tests/run.sh and examples/run.sh; to be sourced.

# Runs a command and shows its output only if it fails, and the compiler's warnings in any case.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" < /dev/null > "$log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then
    echo "failed: $*" >&2
    tail -n 100 "$log" >&2
  else
    grep -E 'warning:|CMake Warning' "$log" >&2 || true
  fi
  rm -f "$log"
  return $status
}

# All dictionaries of the run go into a place of its own, so that what it leaves behind is known to be its own. Tests that
# need the default place name their dictionaries after the run.
make_place() {
  local parent=/dev/shm
  [ -d $parent ] || parent=${TMPDIR:-/tmp}
  SHARED_DICT_DIR=$(mktemp -d "$parent/run_of_shared_dict.XXXXXX")
  SHARED_DICT_TEST_RUN="run-$$-$(date +%s)"
  export SHARED_DICT_DIR SHARED_DICT_TEST_RUN
  trap 'rm -rf "$SHARED_DICT_DIR"' EXIT
}

# Fails if a dictionary of this run still exists.
check_place() {
  local left
  left=$(
    ls -A -d "$SHARED_DICT_DIR"/{,.}[!.]* 2> /dev/null
    ls -A -d "$(dirname "$SHARED_DICT_DIR")"/{,.}shared_dict.*"$SHARED_DICT_TEST_RUN"* 2> /dev/null
  ) || true
  [ -z "$left" ] && return
  printf 'left behind in shared memory:\n%s\n' "$left" >&2
  return 1
}
