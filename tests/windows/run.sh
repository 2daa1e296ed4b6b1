#!/usr/bin/env bash
# The tests as Windows programs: compiled by the mingw-w64 cross compiler, as one program, and run under wine, after the members of
# tests/pairs. Says how many tests ran and passed.
#   run.sh BUILD_DIR [TEST...]      TEST: as the test program takes them
# Status 77: there is no such compiler, or no wine, or no Catch2 2.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")
build=${1:?usage: run.sh BUILD_DIR [TEST...]}
shift
. "$here/tools.sh"

# What isn't tested there, and why. Everything else of these folders is; nothing of the others, which need ptrace or fork.
declare -A without=(
  [unit]="
    attachment batch inspection lifecycle loan local_registry mutation owner_lock pin process_area scan snapshot view waiting watch -- fork
    permissions platform_file platform_futex platform_pause platform_process small_place support -- other calls of POSIX
    guard -- stopped processes
    lock_file -- descriptors
    bytes_geometry bytes_hash bytes_racing_bytes bytes_words codec get_many interface linearizability memory_archive platform_compare type_name types -- nothing of the system"
  [processes]="
    alike_keys fork history identity lifecycle_storm namespaces no_system_call saving stopped_rounds -- fork
    stopped_writer view_rounds -- stopped processes"
  [crash]="
    batch_kill exit kill loan_kill soak -- fork; windows/kill_test.cpp")
sources=("$tests/support/child.cpp" "$tests/support/main.cpp" "$here"/*_test.cpp)
for folder in unit processes crash; do
  left_out=" $(sed 's/--.*//' <<< "${without[$folder]}" | tr -s '\n ' ' ') "
  for source in "$tests/$folder"/*_test.cpp; do
    name=$(basename "$source" _test.cpp)
    [[ $left_out == *" $name "* ]] || sources+=("$source")
  done
done

# Compiled without optimisation, which is most of the time, and from headers that are parsed once.
flags=(-std=c++20 -O0 -Wall -Wextra -Wa,-mbig-obj -Winvalid-pch "-I$tests/../include" "-I$tests" "-I$build/include")
mkdir -p "$build/objects"
begin=$(date +%s)
printf '#include <shared_dict/shared_dict.hpp>\n#include "support/catch.hpp"\n' > "$build/common.hpp"
$compiler "${flags[@]}" -x c++-header "$build/common.hpp" -o "$build/common.hpp.gch" > "$log" 2>&1 || fail "the headers don't compile"
compile() {
  local out=$1 source=$2 common=(-include "$1/common.hpp")
  shift 2
  [[ $source != */main.cpp ]] || common=()
  "$@" "${common[@]}" -c "$source" -o "$out/objects/$(basename "$(dirname "$source")")_$(basename "$source").o"
}
export -f compile
rm -f "$build"/objects/*
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'compile "$@"' bash "$build" {} "$compiler" "${flags[@]}" > "$log" 2>&1 ||
  fail "a test doesn't compile"
! grep -q warning: "$log" || fail "a test is compiled with warnings"
# A stack as large as elsewhere.
$compiler "$build"/objects/*.o -o "$build/tests.exe" -static -pthread -Wl,--stack,8388608 > "$log" 2>&1 || fail "the tests can't be linked"
built=$(($(date +%s) - begin))

# In as many programs at once as there are processors, each with every so many of the tests.
begin=$(date +%s)
shares=()
if [ $# -eq 0 ]; then
  names=$(timeout 300 "$wine" "$build/tests.exe" --list-test-names-only < /dev/null 2> /dev/null | tr -d '\r') || true  # its status is their number
  [ -n "$names" ] || fail "there are no tests"
  for ((i = 0; i < $(nproc); ++i)); do
    awk -v n="$(nproc)" -v i=$i 'NR % n == i' <<< "$names" | sed 's/,/\\,/g' > "$work/tests_$i"  # a comma would end the name
    shares+=("$(as_windows "$work/tests_$i")")
  done
fi
run_share() { timeout 1800 "$wine" "$build/tests.exe" "${@:2}" < /dev/null > "$log.$1" 2>&1; }
pids=()
for ((i = 0; i < (${#shares[@]} ? ${#shares[@]} : 1); ++i)); do
  if [ ${#shares[@]} -gt 0 ]; then run_share $i --input-file "${shares[i]}" & else run_share $i "$@" & fi
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
cat "$log".* > "$log"
[ $status -eq 0 ] || fail "a test fails, or doesn't end"
# wine tells status 0 of some programs that crash.
[ "$(grep -acE '^All tests passed' "$log")" -eq ${#pids[@]} ] || fail "the tests ended too early"
left=$(ls -A "$place")
[ -z "$left" ] || { echo "$left" > "$log"; fail "files are left behind"; }
grep -a '^proof:' "$log" || true
count=$(sed -nE 's/^All tests passed.* in ([0-9]+) test cases?.*/\1/p' "$log" | tr -d '\r' | awk '{ sum += $1 } END { print sum }')
[ $# -gt 0 ] || [ "$count" -eq "$(wc -l <<< "$names")" ] || fail "only $count of $(wc -l <<< "$names") tests ran"
echo "Windows tests under $("$wine" --version): $count run, $count passed; compiled in $built s, run in $(($(date +%s) - begin)) s"
