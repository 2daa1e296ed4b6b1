#!/bin/sh
# Compiles each program beside this script and requires that it fails with exactly one error, which says what its
# "// expect:" lines demand (extended regular expressions).
#
#   check.sh <compiler> <include directory>...
set -u

if [ $# -lt 2 ]; then
  echo "usage: $0 <compiler> <include directory>..." >&2
  exit 2
fi
compiler=$1
shift
includes=
for directory in "$@"; do includes="$includes -I$directory"; done

here=$(dirname "$0")
work=$(mktemp -d) || exit 2
output=$work/output
trap 'rm -rf "$work"' EXIT
failures=0
checked=0

fail() {
  echo "FAILED $1: $2"
  sed 's/^/    /' "$output" | head -n 40
  failures=$((failures + 1))
}

# What has to compile: otherwise a wrong include directory would look like success. It is parsed once for all programs.
echo '#include <shared_dict/shared_dict.hpp>' > "$work/common.hpp"
if ! "$compiler" -std=c++20 $includes -x c++-header "$work/common.hpp" -o "$work/common.hpp.gch" >"$output" 2>&1; then
  fail "shared_dict.hpp" "it doesn't compile by itself"
  exit 1
fi

for program in "$here"/*.cpp; do
  name=$(basename "$program" .cpp)
  checked=$((checked + 1))
  if LC_ALL=C "$compiler" -std=c++20 $includes -include "$work/common.hpp" -fsyntax-only "$program" >"$output" 2>&1; then
    fail "$name" "it compiles"
    continue
  fi
  errors=$(grep -c 'error:' "$output")
  if [ "$errors" -ne 1 ]; then
    fail "$name" "$errors errors instead of one"
    continue
  fi
  missing=$(sed -n 's|^// expect: ||p' "$program" | while IFS= read -r expected; do
    grep -Eq -e "$expected" "$output" || echo "$expected"
  done)
  if [ -n "$missing" ]; then fail "$name" "the message lacks: $missing"; fi
done

echo "$checked programs checked, $failures failed"
[ "$failures" -eq 0 ] && [ "$checked" -gt 0 ]
