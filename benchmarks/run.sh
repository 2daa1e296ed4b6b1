#!/usr/bin/env bash
# Installs what is missing, builds the benchmarks as they would be shipped, and runs them.
#   benchmarks/run.sh [--quick] [--json DIR]
#     --quick      shows that everything works, not how fast it is
#     --json DIR   writes the figures of core_bench to DIR/core.json, too
set -euo pipefail

quick=()
json=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=(--quick) ;;
    --json)
      [ $# -ge 2 ] || { echo "run.sh: --json needs a directory" >&2; exit 2; }
      mkdir -p "$2"
      json=(--json "$(cd "$2" && pwd)/core.json")
      shift
      ;;
    -h | --help)
      sed -n '2,5s/^# //p' "$0"
      exit
      ;;
    *)
      echo "run.sh: unknown option '$1' (--help explains)" >&2
      exit 2
      ;;
  esac
  shift
done
cd "$(dirname "$0")/.."
source cmake/scripts.sh

cmake/setup.sh
make_place
build=${BUILD_DIR:-build/benchmarks}
echo "building the benchmarks"
quietly cmake --preset release -B "$build" -D SHARED_DICT_BUILD_BENCHMARKS=ON -D SHARED_DICT_BUILD_TESTS=OFF \
  -D SHARED_DICT_BUILD_EXAMPLES=OFF
quietly cmake --build "$build" --target core_bench growth_bench recovery_bench zero_copy_bench
"$build/benchmarks/core_bench" "${quick[@]}" "${json[@]}"
echo
"$build/benchmarks/growth_bench" "${quick[@]}"
"$build/benchmarks/zero_copy_bench" "${quick[@]}"
"$build/benchmarks/recovery_bench" "${quick[@]}"
check_place
