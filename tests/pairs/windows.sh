#!/usr/bin/env bash
# The members of run.sh as Windows programs: member.cpp compiled by the mingw-w64 cross compiler and run under wine.
#   windows.sh BUILD_DIR
# Status 77: there is no such compiler, or no wine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: windows.sh BUILD_DIR}
. "$here/../windows/tools.sh"
program=$build/member.exe

if [ ! -x "$program" ] || [ -n "$(find "$here" "$here/../support/windows_process.hpp" "$here/../../include" -newer "$program" -print -quit)" ]; then
  $compiler -std=c++20 -O1 -Wall -Wextra "-I$here/../../include" "-I$build/include" "$here/member.cpp" -o "$program" -static -pthread \
    > "$log" 2>&1 || fail "it doesn't compile"
  ! grep -q warning: "$log" || fail "it is compiled with warnings"
fi

# run ROLE ARGUMENT...
run() { timeout 120 "$wine" "$program" "$@" < /dev/null >> "$log" 2>&1; }
run life life "$(as_windows "$program")" || fail "a dictionary that comes and goes"
run pair pair "$(as_windows "$program")" || fail "two processes, one of which is killed"
members=6
pids=()
for ((i = 1; i <= members; ++i)); do
  run crowd crowd $i $members &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "$members processes at once"; done

left=$(ls -A "$place")
[ -z "$left" ] || { echo "$left" > "$log"; fail "dictionaries are left behind"; }
echo "Windows programs under $("$wine" --version): come and go, killed with a lock held, $members at once"
