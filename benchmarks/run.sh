#!/usr/bin/env bash
# Installs what is missing, builds the benchmarks as they would be shipped, and runs them.
#   benchmarks/run.sh [--quick] [--json DIR]
#     --quick      shows that everything works, not how fast it is
#     --json DIR   writes the figures to DIR/core.json, peers.json, size.json, items.json and latency.json, too
set -euo pipefail

quick=()
folder=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=(--quick) ;;
    --json)
      [ $# -ge 2 ] || { echo "run.sh: --json needs a directory" >&2; exit 2; }
      mkdir -p "$2"
      folder=$(cd "$2" && pwd)
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

# Prints where boost::unordered_flat_map is. It is younger than the Boost of some systems, and two versions can't be installed
# side by side: a newer one is unpacked for the build alone.
find_flat_map() {
  local package=libboost1.81-dev own=$build/boost folder
  for folder in /usr/include /usr/local/include "$own/usr/include"; do
    [ -e "$folder/boost/unordered/unordered_flat_map.hpp" ] && echo "$folder" && return
  done
  mkdir -p "$own"
  (cd "$own" && apt-get download $package && dpkg-deb -x $package*.deb . && rm $package*.deb) > /dev/null 2>&1 || return
  echo "$own/usr/include"
}

cmake/setup.sh
build=$(realpath -m "${BUILD_DIR:-build/benchmarks}")
for package in liblmdb-dev redis-server libhiredis-dev memcached python3 libbenchmark-dev; do
  cmake/setup.sh $package || echo "run.sh: no $package: what needs it is left out" >&2
done
flat_map=$(find_flat_map) || echo "run.sh: no Boost 1.81 or newer: boost::unordered_flat_map is left out" >&2
make_place
echo "building the benchmarks"
quietly cmake --preset release -B "$build" -D SHARED_DICT_BUILD_BENCHMARKS=ON -D SHARED_DICT_BUILD_TESTS=OFF \
  -D SHARED_DICT_BUILD_EXAMPLES=OFF ${flat_map:+-D "PEERS_UNORDERED_FLAT_MAP_INCLUDE=$flat_map"}
quietly cmake --build "$build"

# Those whose figures can be written to a file.
with_json() {
  local json=()
  [ -z "$folder" ] || json=(--json "$folder/${1%_bench}.json")
  "$build/benchmarks/$1" "${quick[@]}" "${json[@]}"
  echo
}
with_json core_bench
"$build/benchmarks/memory_bench" "${quick[@]}"
"$build/benchmarks/growth_bench" "${quick[@]}"
"$build/benchmarks/zero_copy_bench" "${quick[@]}"
"$build/benchmarks/recovery_bench" "${quick[@]}"
echo
for benchmark in peers_bench size_bench items_bench latency_bench; do with_json $benchmark; done
if [ -x "$build/benchmarks/micro_bench" ]; then
  "$build/benchmarks/micro_bench" ${quick[0]:+--benchmark_min_time=0.001}
fi
# Last, as it wants 3 GiB of memory, and 2 of the disk.
"$build/benchmarks/snapshot_bench" "${quick[@]}"
check_place
