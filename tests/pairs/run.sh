#!/usr/bin/env bash
# Processes that were built otherwise share dictionaries: member.cpp is compiled in each way below that this machine has a compiler for,
# and every two of these programs are started together, each as the creator; then all of them at once.
#   run.sh BUILD_DIR INCLUDE_DIR...
# A program that is newer than the sources isn't compiled again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh BUILD_DIR INCLUDE_DIR..." >&2; exit 2; }
build=$1
shift
includes=("${@/#/-I}")
mkdir -p "$build"

declare -A ways=(
  [gcc-debug]="g++ -O0 -D_GLIBCXX_ASSERTIONS"
  [gcc]="g++ -O3 -DNDEBUG"
  [gcc-32]="g++ -m32 -D_FILE_OFFSET_BITS=64 -O2"
  [gcc-plain]="g++ -O1 -DSHARED_DICT_PLAIN_POSIX"
  [clang-debug]="clang++ -O0 -D_GLIBCXX_ASSERTIONS"
  [clang]="clang++ -O3 -DNDEBUG"
  [clang-32]="clang++ -m32 -D_FILE_OFFSET_BITS=64 -O2"
  [clang-libcxx]="clang++ -stdlib=libc++ -O1"
)
declare -A needs=(
  [gcc-32]=g++-multilib [clang-32]="clang and g++-multilib" [clang]=clang [clang-debug]=clang [clang-libcxx]="libc++-dev and libc++abi-dev"
)

log=$(mktemp)
# A place of its own, so that what is left there is known.
place=$(mktemp -d "$(if [ -d /dev/shm ]; then echo /dev/shm; else echo "${TMPDIR:-/tmp}"; fi)/pairs_of_shared_dict.XXXXXX")
trap 'rm -rf "$log" "$place"' EXIT
export SHARED_DICT_DIR=$place
fail() {
  echo "FAILED: $1" >&2
  cat "$log" >&2
  exit 1
}

skipped=()
mapfile -t names < <(printf '%s\n' "${!ways[@]}" | sort)
programs=()
for name in "${names[@]}"; do
  read -ra compile <<< "${ways[$name]}"
  # An empty program shows whether there is a compiler, and libraries of this kind.
  if ! echo '#include <cstdint>
    int main() {}' | "${compile[@]}" -x c++ - -o "$build/probe" > "$log" 2>&1; then
    echo "skipped: $name, as there is no ${compile[*]} (Debian and Ubuntu: ${needs[$name]:-g++})"
    skipped+=("$name")
    continue
  fi
  if [ ! -x "$build/$name" ] || [ -n "$(find "$here" "$here/../../include" -newer "$build/$name" -print -quit)" ]; then
    "${compile[@]}" -std=c++20 -Wall -Wextra "${includes[@]}" "$here/member.cpp" -o "$build/$name" -pthread > "$log" 2>&1 || fail "$name doesn't compile"
    ! grep -q warning: "$log" || fail "$name is compiled with warnings"
  fi
  programs+=("$name")
done
rm -f "$build/probe"
# tests/run.sh installs what is needed where there are 32-bit programs.
[ ${#skipped[@]} -eq 0 ] || [ -z "${CI:-}" ] || [ "$(uname -m)" != x86_64 ] || fail "CI has no way to build: ${skipped[*]}"

for creator in "${programs[@]}"; do
  "$build/$creator" word "$creator" > "$log" 2>&1 || fail "$creator, a dictionary that is too large for 32 bits"
  timeout 120 "$build/$creator" life "$creator" "$build/$creator" > "$log" 2>&1 || fail "$creator, a dictionary that comes and goes"
  for other in "${programs[@]}"; do
    timeout 120 "$build/$creator" pair "$creator-$other" "$build/$other" > "$log" 2>&1 || fail "$creator, joined by $other"
  done
done

pids=()
for i in "${!programs[@]}"; do
  timeout 120 "$build/${programs[i]}" crowd crowd $((i + 1)) ${#programs[@]} >> "$log" 2>&1 &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "all at once"; done

left=$(ls -A "$place")
[ -z "$left" ] || { echo "$left" > "$log"; fail "dictionaries are left behind"; }
echo "proof: ${#programs[@]} ways to build | $((${#programs[@]} * ${#programs[@]})) pairs | skipped: ${skipped[*]:-nothing}"
