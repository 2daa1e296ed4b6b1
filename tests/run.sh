#!/usr/bin/env bash
# Installs what is missing, builds and tests. Ends with ctest's summary.
#   tests/run.sh                          what runs on every change
#   tests/run.sh PART...                  instructions | clang | plain | asan | tsan | fuzz | critical | windows | consumer | default | mutants | valgrind | x86-32
#   tests/run.sh long SECONDS [PATTERN]   all that can go on for longer, or what of it has a name that contains PATTERN, for as long as
#                                         SECONDS altogether: the test cases tagged [long], one after the other, the fuzzers, more
#                                         flipped bits, all of them under the sanitizers, all mutants, valgrind, 32 bits. Each prints what
#                                         it did; what there is no time for is named.
#
# Parts and the test programs in them. Only `default` runs everything: compiling takes most of the time. `plain`, `mutants`, `valgrind` and
# `x86-32` run only when they are asked for.
declare -A programs=(
  [instructions]=""                      # what the main operations cost in instructions, under callgrind
  [clang]="steps"                        # clang, optimised, where its instructions matter; elsewhere it is unoptimised, under the sanitizers
  [plain]="unit model processes steps crash kill_points faults fuzz" # without what only Linux has: as on macOS          } clang without
  [asan]="unit flips processes model crash kill_points faults"       # AddressSanitizer and UndefinedBehaviorSanitizer   } optimisation, which
  [tsan]="unit"                                                      # ThreadSanitizer                                   } compiles fastest
  [fuzz]="operations segment values"     # fuzzers, with clang's libFuzzer and the sanitizers of asan
  [critical]=""                          # the protocols broken in twenty places, one at a time: tests/mutants.py
  [mutants]=""                           # in all places, and the same tests with nothing broken
  [valgrind]="unit"                      # valgrind's memcheck, which looks at each access to memory, of code without optimisation
  [x86-32]="unit model processes crash"  # as 32-bit programs, without optimisation
  [windows]=""                           # Windows programs from the cross compiler, under wine
  [consumer]="fuzz"                      # install, use the package, make its documentation, and test what was installed
  [default]=""                           # g++, optimised, assertions on; all programs, the sources, the examples
)
declare -A presets=([clang]=clang [plain]=plain-posix [asan]=clang-asan-ubsan [tsan]=clang-tsan [valgrind]=valgrind [x86-32]=x86-32)
# What a sanitizer can't judge. TSan takes a look at all descriptors, as is needed to find Boost's, for a race with whoever opens or
# closes one at that moment, and a thread of the parent for a leak of the forked child. UBSan needs descriptors to look at an object's type.
# And `steps` isn't in asan: single steps through what ASan adds take a quarter of an hour. kill_points, which dies at each store, is.
# memcheck rightly finds that a value with a gap is compared byte by byte where a compiler can't tell what is one (clang, without
# __builtin_clear_padding, for a constructor that leaves a member without a value), and that such gaps are saved as they are. It doesn't look for
# leaks at the end: that touches all of a dictionary's addresses, which takes memory where it lies, or minutes where there is none left.
declare -A not_judged=(
  [valgrind]="what lies between the members of a value doesn't decide|what is saved comes back, in each family of types"
  [asan]='however few descriptors are free'
  [tsan]='lock files are closed on exec also when many threads|threads that open and close the same name at once|threads get and drop guards|a forked child can use its parent'
)
set -euo pipefail
cd "$(dirname "$0")/.."
source cmake/scripts.sh

jobs=$(getconf _NPROCESSORS_ONLN)
options=()
[ -z "${CI:-}" ] || options+=(-D SHARED_DICT_WARNINGS_AS_ERRORS=ON)

# configure_and_build PRESET PROGRAM...: without programs, all.
configure_and_build() {
  local preset=$1 targets=()
  shift
  [ $# -eq 0 ] || targets=(--target "${@/#/shared_dict_}")
  echo "$preset: building ${*:-everything}"
  quietly cmake --preset "$preset" "${options[@]}" && quietly cmake --build --preset "$preset" "${targets[@]}"
}

# run_programs PROGRAM... -- ctest argument...: shows ctest's last lines, and all of it when a test fails.
run_programs() {
  local labels=()
  while [ "$1" != -- ]; do
    labels+=("$1")
    shift
  done
  shift
  local log status=0
  log=$(mktemp)
  ctest "$@" --no-label-summary -j "$jobs" -L "^($(IFS='|'; echo "${labels[*]}"))\$" < /dev/null > "$log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then grep 'tests passed' "$log"; else cat "$log" >&2; fi
  rm -f "$log"
  return $status
}

# A part that is a build and some programs of it.
ctest_part() {
  local part=$1 preset=${presets[$1]} selected
  read -ra selected <<< "${programs[$part]}"
  configure_and_build "$preset" "${selected[@]}" || return 1
  run_programs "${selected[@]}" -- --preset "$preset" ${not_judged[$part]:+-E "${not_judged[$part]}"} || return 1
  show_counts "build/$preset/Testing/Temporary/LastTest.log"
}

# What a part needs beside what all do.
set_up() {
  case $1 in
    clang | plain | asan | tsan | fuzz | critical | mutants | valgrind | x86-32) cmake/setup.sh clang ;;&
    critical | mutants) cmake/setup.sh python3 ;;
    windows) cmake/setup.sh g++-mingw-w64-x86-64-posix wine64 ;;
    consumer) cmake/setup.sh gdb python3 doxygen clang-tidy iwyu ;;
    default) # other ways to build, which share dictionaries with this one
      cmake/setup.sh clang python3  # and python3 to look at the inspector's JSON
      [ "$(dpkg --print-architecture 2> /dev/null)" != amd64 ] || cmake/setup.sh g++-multilib libc++-dev libc++abi-dev
      ;;
    asan | tsan | fuzz) cmake/setup.sh libclang-rt-dev ;;  # where it exists; elsewhere it is a part of what clang brings
    valgrind) cmake/setup.sh valgrind ;;
    x86-32) cmake/setup.sh g++-multilib ;;
  esac
}

# fuzz NAME SECONDS: from what is in the repository on. What makes it fail is kept, and its path is told.
fuzz() {
  local found=build/fuzz/found/$1 log status=0
  mkdir -p "$found/corpus"
  log=$(mktemp)
  build/fuzz/tests/shared_dict_"$1"_fuzz -max_total_time="$2" -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found/corpus" tests/fuzz/corpus/"$1" < /dev/null > "$log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, none failed"
  else
    tail -n 60 "$log" >&2
    ls "$PWD/$found"/{crash,timeout,oom,leak}-* >&2 2> /dev/null || true
  fi
  rm -f "$log"
  return $status
}

# fuzz_all SECONDS: builds them, and all run at the same time.
fuzz_all() {
  local status=0 seconds=$1 name pid pids=() names
  read -ra names <<< "${programs[fuzz]}"
  configure_and_build fuzz "${names[@]/%/_fuzz}" || return 1
  for name in "${names[@]}"; do
    fuzz "$name" "$seconds" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return $status
}

# check_with TARGET PROGRAM: each version of these programs finds something else.
check_with() {
  local version
  version=$("$2" --version) || version="no $2"
  if [[ $version == *' 14.'* ]]; then
    quietly cmake --build --preset default --target "$1"
  else
    echo "consumer: skipped $1, which is for version 14 of $2; here is: $(grep -m 1 -Ei 'version|no ' <<< "$version")"
  fi
}

# What tests say that they did, as tests/support/effort.hpp prints it.
show_counts() { sed -n 's/^proof: /  /p' "$1"; }

list_long_cases() { # Catch2 2, whose status is their number, or 3
  local list
  list=$("$1" --list-test-names-only '[long]' 2> /dev/null) || [ -n "$list" ] || list=$("$1" --list-tests --verbosity quiet '[long]')
  printf '%s\n' "$list"
}

# long_case SECONDS PROGRAM NAME...
long_case() {
  local log status=0
  log=$(mktemp)
  SHARED_DICT_TEST_SECONDS=$1 "$2" "${@:3}" < /dev/null > "$log" 2>&1 || { status=1; cat "$log" >&2; }
  show_counts "$log"
  rm -f "$log"
  return $status
}

# What takes as long as it takes, in seconds on two cores. Without a pattern, as many of these as half of the time is enough for.
fixed_cases=("more flipped bits" "all mutants" "32 bits" "valgrind" "all flipped bits, under the sanitizers")
declare -A lasts=(["more flipped bits"]=600 ["all flipped bits, under the sanitizers"]=1200 ["all mutants"]=900
  ["valgrind"]=1200 ["32 bits"]=700)

long_fixed() {
  local flipped='~[long]*flipped bit*'
  case $1 in
    "more flipped bits") long_case 1 build/default/tests/shared_dict_flips "$flipped" ;;
    *sanitizers)
      cmake/setup.sh clang libclang-rt-dev && configure_and_build clang-asan-ubsan flips &&
        long_case 1 build/clang-asan-ubsan/tests/shared_dict_flips "$flipped"
      ;;
    *mutants) set_up mutants && python3 tests/mutants.py ;;
    valgrind) set_up valgrind && ctest_part valgrind ;;
    "32 bits") set_up x86-32 && ctest_part x86-32 ;;
  esac
}

# long_run SECONDS [PATTERN]
long_run() {
  local budget=$1 pattern=${2:-} left=$1 program case shares each fuzzers=0 status=0 cases=() fixed=()
  cmake/setup.sh
  make_place
  for case in "${fixed_cases[@]}"; do
    [[ $case == *"$pattern"* ]] || continue
    if [[ -n $pattern || $((left - ${lasts[$case]})) -ge $((budget / 2)) ]]; then
      fixed+=("$case")
      left=$((left - ${lasts[$case]}))
    else
      echo "no time for $case: that takes ${lasts[$case]} s"
    fi
  done
  configure_and_build default flips model processes steps crash kill_points faults
  for program in build/default/tests/shared_dict_{flips,model,processes,steps,crash,kill_points,faults}; do
    while IFS= read -r case; do
      [[ -z $case || $case != *"$pattern"* ]] || cases+=("$program" "$case")
    done < <(list_long_cases "$program")
  done
  # As long as a quarter of the cases.
  [[ fuzzers != *"$pattern"* ]] || fuzzers=$((${#cases[@]} / 8 + 1))
  shares=$((${#cases[@]} / 2 + fuzzers))
  [ $((shares + ${#fixed[@]})) -gt 0 ] || { echo "nothing that can go on for longer is named so" >&2; exit 2; }
  each=$((shares > 0 && left > shares ? left / shares : 1))
  for ((i = 0; i < ${#cases[@]}; i += 2)); do
    echo "${cases[i + 1]} (${each} s)"
    # A comma would end the name.
    long_case $each "${cases[i]}" "${cases[i + 1]//,/\\,}" || status=1
  done
  if [ $fuzzers -gt 0 ]; then
    cmake/setup.sh clang libclang-rt-dev
    echo "fuzzers ($((fuzzers * each)) s)"
    fuzz_all $((fuzzers * each)) || status=1
  fi
  for case in "${fixed[@]}"; do
    echo "$case"
    long_fixed "$case" || status=1
  done
  check_place
  return $status
}

if [ "${1:-}" = long ]; then
  [[ ${2:-} =~ ^[0-9]+$ ]] || { echo "usage: tests/run.sh long SECONDS [PATTERN]" >&2; exit 2; }
  long_run "${@:2}"
  exit
fi

parts=("$@")
[ $# -gt 0 ] || parts=(instructions clang asan tsan fuzz critical windows consumer default)
for part in "${parts[@]}"; do
  [[ -v programs[$part] ]] || { echo "unknown part: $part; there are ${!programs[*]}" >&2; exit 2; }
done
cmake/setup.sh
for part in "${parts[@]}"; do set_up "$part"; done
make_place

declare -A passed=()
for part in "${parts[@]}"; do
  read -ra selected <<< "${programs[$part]}"
  began=$SECONDS
  case $part in
    clang | plain | asan | tsan | valgrind | x86-32) ctest_part "$part" ;;
    fuzz)
      seconds=$((60 * ${#selected[@]} / jobs))  # a minute of a processor for each
      fuzz_all $((seconds > 60 ? seconds : 60))
      ;;
    instructions)
      echo "instructions of the main operations, and the difference to benchmarks/instructions.txt"
      benchmarks/instructions.sh
      ;;
    critical | mutants)
      echo "$part: each breaks one step of the protocols"
      if [ "$part" = critical ]; then python3 tests/mutants.py --critical; else python3 tests/mutants.py; fi
      ;;
    windows)
      echo "windows: building the tests with mingw-w64, and running them under wine"
      bash tests/windows/run.sh build/windows
      ;;
    consumer)
      echo "consumer: installing, using the package in each way, and its documentation, clang-tidy and include-what-you-use"
      quietly cmake --preset default "${options[@]}"
      quietly cmake --build --preset default --target docs
      check_with tidy clang-tidy
      check_with iwyu iwyu
      run_programs consumer -- --preset default
      echo "consumer: building ${selected[*]} against the installed package"
      quietly cmake -S tests -B build/installed -G Ninja -D CMAKE_BUILD_TYPE=Debug \
        -D "CMAKE_PREFIX_PATH=$PWD/build/default/tests/consumer/prefix" "${options[@]}"
      quietly cmake --build build/installed --target "${selected[@]/#/shared_dict_}"
      run_programs "${selected[@]}" -- --test-dir build/installed
      ;;
    default)
      configure_and_build default
      log=$(mktemp)
      status=0
      # The tests of a part that has just run with the same build need not run again.
      ctest --preset default --no-label-summary -j "$jobs" ${passed[consumer]:+-LE '^consumer$'} < /dev/null | tee "$log" || status=$?
      show_counts build/default/Testing/Temporary/LastTest.log
      grep -E 'tests passed|^Total Test time' "$log" || true
      rm -f "$log"
      [ $status -eq 0 ] || exit $status
      ;;
  esac
  echo "$part: $((SECONDS - began)) s"
  passed[$part]=1
done
check_place
