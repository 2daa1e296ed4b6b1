#!/bin/sh
# Builds the benchmarks and runs them.   ./benchmarks/run.sh [--quick] [--json DIR]
#   --quick      a minute at most: shows that everything works, not how fast it is
#   --json DIR   write the figures of core_bench to DIR/core.json, too
# BUILD_DIR is the build directory (default: build/benchmarks), CXX the compiler.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build/benchmarks}
quick=
json=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=--quick ;;
    --json)
      [ $# -ge 2 ] || { echo "run.sh: --json needs a directory" >&2; exit 2; }
      json=$2
      shift
      ;;
    -h | --help)
      sed -n '2,5s/^# //p' "$0"
      exit 0
      ;;
    *)
      echo "run.sh: unknown option '$1' (--help explains)" >&2
      exit 2
      ;;
  esac
  shift
done

mkdir -p "$build"
cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSHARED_DICT_BUILD_BENCHMARKS=ON \
  -DSHARED_DICT_BUILD_TESTS=OFF -DSHARED_DICT_BUILD_EXAMPLES=OFF >"$build/configure.log" 2>&1 ||
  { cat "$build/configure.log" >&2; exit 1; }
cmake --build "$build" --target core_bench growth_bench --parallel

if [ -n "$json" ]; then
  mkdir -p "$json"
  "$build/benchmarks/core_bench" $quick --json "$json/core.json"
else
  "$build/benchmarks/core_bench" $quick
fi
echo
"$build/benchmarks/growth_bench" $quick
