#!/usr/bin/env bash
# Counts the instructions of the main operations under callgrind and compares them with instructions.txt; ends with 1 if one takes
# more than 3 % more. Counts are the same whatever else the machine does, but belong to one compiler: with another one they are only shown.
#   benchmarks/instructions.sh [--update]     --update writes instructions.txt anew
set -euo pipefail
cd "$(dirname "$0")/.."
source cmake/scripts.sh

case ${1:-} in
  '' | --update) ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
figures=benchmarks/instructions.txt
slack=3 # per cent
runs=8  # each with another hash seed, so that keys lie elsewhere

cmake/setup.sh valgrind
make_place
build=build/benchmarks
quietly cmake --preset release -B "$build" -D SHARED_DICT_BUILD_BENCHMARKS=ON -D SHARED_DICT_BUILD_TESTS=OFF \
  -D SHARED_DICT_BUILD_EXAMPLES=OFF
quietly cmake --build "$build" --target instructions

log=$(mktemp)
trap 'rm -rf "$SHARED_DICT_DIR" "$log" "$log".*' EXIT
# Each by its whole name: its rare part, which a compiler may place elsewhere, has a name that begins the same.
mapfile -t measured < <(nm "$build/benchmarks/instructions" | sed -nE 's/.* T (measured_[a-z_]+)$/--toggle-collect=\1/p')
for ((run = 0; run < runs; ++run)); do
  valgrind --tool=callgrind --callgrind-out-file="$log.counts" "${measured[@]}" "$build/benchmarks/instructions" \
    > "$log" 2> "$log.valgrind" || { cat "$log.valgrind" >&2; exit 1; }
  callgrind_annotate --inclusive=yes --threshold=100 "$log.counts" >> "$log.all"
done
read -r items _ < "$log"
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
{
  echo "# Instructions per operation; written by instructions.sh --update"
  echo "compiler $("$compiler" --version | head -n 1)"
  awk -v operations=$((items * runs)) '
    /:measured_[a-z_]+( |$)/ {
      gsub(",", "", $1)
      match($0, /:measured_[a-z_]+/)
      sum[substr($0, RSTART + 10, RLENGTH - 10)] += $1
    }
    END { for (name in sum) print name, int(sum[name] / operations + 0.5) }' "$log.all" | LC_ALL=C sort
} > "$log.figures"
check_place

if [ "${1:-}" = --update ]; then
  cp "$log.figures" "$figures"
  chmod 644 "$figures"
  cat "$figures"
  exit
fi
awk -v slack=$slack '
  FNR == NR { if ($1 != "#") before[$1] = $1 == "compiler" ? $0 : $2; next }
  $1 == "compiler" { other = $0 != before["compiler"]; next }
  $1 == "#" { next }
  {
    seen[$1] = 1
    if (!($1 in before)) { printf "%-26s %6d   no figure to compare with\n", $1, $2; failed = 1; next }
    printf "%-26s %6d   %+.1f %%\n", $1, $2, ($2 / before[$1] - 1) * 100
    if ($2 > before[$1] * (1 + slack / 100)) { worse = worse " " $1; failed = 1 }
  }
  END {
    for (name in before) if (name != "compiler" && !(name in seen)) { print name ": has a figure, and was not measured"; failed = 1 }
    if (other) { print "The figures are of another compiler: not compared."; exit 0 }
    if (worse != "") print "more than " slack " % worse:" worse "; if that is meant: benchmarks/instructions.sh --update"
    exit failed
  }' "$figures" "$log.figures"
