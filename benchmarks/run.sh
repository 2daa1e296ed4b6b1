#!/usr/bin/env bash
# Installs what is missing, builds the benchmarks as they would be shipped, runs them, and draws what they found.
#   benchmarks/run.sh [--quick] [--minutes N] [--rounds N] [--json DIR]
#     --quick      shows that everything works, not how fast it is
#     --minutes N  takes about as long altogether, from 12 on, the build included: the measurements are made shorter, or longer
#     --rounds N   measurements of each thing, in turn (default 5), where the number isn't fixed
#     --json DIR   where it writes what each program said, as text and as JSON, tables and plots (default: results, beside what it builds)
set -euo pipefail

quick=()
minutes=
rounds=5
folder=

# number OPTION VALUE...
number() {
  [[ ${2:-} =~ ^[1-9][0-9]{0,3}$ ]] || { echo "run.sh: $1 needs a number" >&2; exit 2; }
  echo "$2"
}
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=(--quick) ;;
    --minutes) minutes=$(number "$@"); shift ;;
    --rounds) rounds=$(number "$@"); shift ;;
    --json)
      [ $# -ge 2 ] || { echo "run.sh: --json needs a directory" >&2; exit 2; }
      mkdir -p "$2"
      folder=$(cd "$2" && pwd)
      shift
      ;;
    -h | --help)
      sed -n '2,7s/^# //p' "$0"
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
folder=${folder:-$build/results}
mkdir -p "$folder"
for package in liblmdb-dev redis-server libhiredis-dev memcached python3 libbenchmark-dev; do
  cmake/setup.sh $package || echo "run.sh: no $package: what needs it is left out" >&2
done
flat_map=$(find_flat_map) || echo "run.sh: no Boost 1.81 or newer: boost::unordered_flat_map is left out" >&2
make_place
echo "building the benchmarks"
quietly cmake --preset release -B "$build" -D SHARED_DICT_BUILD_BENCHMARKS=ON -D SHARED_DICT_BUILD_TESTS=OFF \
  -D SHARED_DICT_BUILD_EXAMPLES=OFF ${flat_map:+-D "PEERS_UNORDERED_FLAT_MAP_INCLUDE=$flat_map"}
quietly cmake --build "$build"
echo "built after $SECONDS s"

# In the order in which they run: how long one of its measurements is, in seconds, how many of them there are in five rounds, and what it
# takes besides. Of peers_bench two lines, the second for the slow ones. The last one wants 3 GiB of memory, and 2 of the disk.
plan="
core_bench       0.35  140  20
peers_bench      0.35  470  90
peers_bench      0.15  180   0
size_bench       0.2   376  10
items_bench      0.2   280  45
latency_bench    0.2    20  30
memory_bench     0.2   120   3
growth_bench     0       0  25
zero_copy_bench  0       0  25
recovery_bench   0       0  15
micro_bench      0.5    60   0
snapshot_bench   0       0  80
"

# lengths PROGRAM: of its measurements, in seconds, one for each of its lines. With --minutes, what is left is shared among it and those that
# follow, so that what one has taken too long is saved by the others; a tenth of it is for measurements that are repeated.
lengths() {
  awk -v program="$1" -v left="${minutes:+$((minutes * 60 - SECONDS))}" -v rounds="$rounds" '
    $1 == program { found = 1; own[++n] = $2 }
    found { variable += $2 * $3 * rounds / 5; fixed += $4 }
    END {
      factor = left == "" || variable == 0 ? 1 : (left * 0.9 - fixed) / variable
      for (i = 1; i <= n; i++) {
        s = own[i] * factor
        printf "%.3f\n", (s < 0.02 ? 0.02 : s > 2 * own[i] ? 2 * own[i] : s)
      }
    }' <<< "$plan"
}

# options_of PROGRAM FILE: what it is told; FILE is where it writes its JSON, if it does.
options_of() {
  local seconds
  mapfile -t seconds < <(lengths "$1")
  case $1 in
    micro_bench)
      options=(--benchmark_min_time="${seconds[0]}" --benchmark_out="$2" --benchmark_out_format=json)
      [ ${#quick[@]} -eq 0 ] || options[0]=--benchmark_min_time=0.001
      return
      ;;
    growth_bench | zero_copy_bench | recovery_bench | snapshot_bench) options=() ;;
    *)
      options=(--rounds "$rounds" --seconds "${seconds[0]}")
      [ "$1" != peers_bench ] || options+=(--slow-seconds "${seconds[1]}")
      [ -z "$minutes" ] || options+=(--repeats 1)
      ;;
  esac
  [ ${#quick[@]} -eq 0 ] || options=("${quick[@]}")
  case $1 in core_bench | peers_bench | size_bench | items_bench | latency_bench | memory_bench) options+=(--json "$2") ;; esac
}

failed=()
written=()

# wrote FILE: remembers it for the list at the end.
wrote() { [ ! -s "$1" ] || written+=("$1"); }

# run PROGRAM: what it says is shown, and kept. One that fails doesn't cost the others' figures.
run() {
  local name=${1%_bench}
  [ -x "$build/benchmarks/$1" ] || return 0
  rm -f "$folder/$name".{txt,json}
  options_of "$1" "$folder/$name.json"
  "$build/benchmarks/$1" "${options[@]}" | tee "$folder/$name.txt" || failed+=("$1")
  echo
  wrote "$folder/$name.txt"
  wrote "$folder/$name.json"
}

# draw FILE COMMAND...: into the folder, what the command prints.
draw() {
  local file=$folder/$1
  shift
  if "$@" > "$file"; then wrote "$file"; else failed+=("$*") && rm -f "$file"; fi
}

while read -r program; do run "$program" < /dev/null; done < <(awk 'NF && $1 != last { print last = $1 }' <<< "$plan")
measured=$SECONDS
if [ -s "$folder/core.json" ]; then draw core.svg benchmarks/plot.py core "$folder/core.json"; fi
if [ -s "$folder/peers.json" ]; then
  for kind in peers processes writes zipf; do draw $kind.svg benchmarks/plot.py $kind "$folder/peers.json"; done
fi
for sweep in size items latency; do
  [ -s "$folder/$sweep.json" ] || continue
  if drawn=$(benchmarks/plot_sweeps.py "$folder/$sweep.json" "$folder"); then
    while read -r file; do wrote "$file"; done <<< "$drawn"
  else
    failed+=("plot_sweeps.py $sweep")
  fi
done
draw tables.md benchmarks/tables.py "$folder"
echo "after $measured s, in $folder:"
printf '  %s\n' "${written[@]##*/}"
check_place
[ ${#failed[@]} -eq 0 ] || { printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; }
