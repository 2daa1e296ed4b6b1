#!/usr/bin/env bash
# Installs what is missing, builds the examples as they would be shipped, and runs them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 0 ] || { echo "usage: examples/run.sh" >&2; exit 2; }
source cmake/scripts.sh

cmake/setup.sh
make_place
examples=(word_count quickstart two_processes web_statistics task_queue log_aggregation rate_limiter training_progress
  image_hand_over)
echo "building the examples"
quietly cmake --preset release -D SHARED_DICT_BUILD_TESTS=OFF
quietly cmake --build --preset release --target "${examples[@]}"

boost=/usr/include/boost
[ -d $boost ] || boost=/usr/local/include/boost
run() {
  printf '\n$ %s\n' "$*"
  (cd build/release && timeout 300 "$@" < /dev/null)
}
run examples/word_count $boost --processes 4 --check
run examples/quickstart
run examples/two_processes
run examples/web_statistics
run examples/task_queue
run examples/log_aggregation
run examples/rate_limiter
run examples/training_progress
run examples/image_hand_over
check_place
