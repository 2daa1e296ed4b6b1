#!/usr/bin/env bash
# What including the library and using it cost the compiler: user and system time, median of five, without optimisation.
#   benchmarks/compile_time.sh [COMPILER]     default: g++
set -euo pipefail
compiler=${1:-g++}
include=$(cd "$(dirname "$0")/../include" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

echo '#include <shared_dict/shared_dict.hpp>' > "$place/header.cpp"
cat > "$place/program.cpp" << 'PROGRAM'
#include <shared_dict/shared_dict.hpp>

#include <string>

int main() {
  auto dict = shared_dict::SharedDict<std::string, std::string>::open_or_create("compile_time");
  dict.insert_or_assign("key", "value");
  return dict.get("key").has_value() ? 0 : 1;
}
PROGRAM

seconds() {
  local TIMEFORMAT='%U %S'
  { time "$compiler" -std=c++20 -O0 -I"$include" -c "$1" -o "$place/object.o"; } 2>&1 | awk 'NF == 2 { printf "%.2f\n", $1 + $2; next } { print > "/dev/stderr"; exit 1 }'
}

for what in header program; do
  for _ in 1 2 3 4 5; do seconds "$place/$what.cpp"; done | sort -n | awk -v what=$what 'NR == 3 { printf "%-8s %.2f s\n", what, $1 }'
done
