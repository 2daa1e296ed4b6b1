#!/usr/bin/env bash
# No two files of the tests define the same name in the same namespace: see one_definition.awk.
#   one_definition.sh TESTS_DIR    checks the sources
#   one_definition.sh --self-test  checks the check
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

check() (
  cd "$1"
  # Files in compile_errors and tag_samples are no part of a program.
  mapfile -t sources < <(find . -name '*.[ch]pp' ! -path '*/compile_errors/*' ! -path '*/tag_samples/*' | LC_ALL=C sort)
  LC_ALL=C awk -f "$here/one_definition.awk" "${sources[@]}" || return 1
  echo "checked ${#sources[@]} files"
)

if [ "${1:?usage: one_definition.sh TESTS_DIR | --self-test}" != --self-test ]; then
  check "$1"
  exit
fi

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

# expect accepted|refused TEXT_OF_A TEXT_OF_B
expect() {
  printf '%s\n' "$2" > "$tree/a.hpp"
  printf '%s\n' "$3" > "$tree/b.cpp"
  local got=accepted
  check "$tree" > "$tree/out" || got=refused
  [ "$got" = "$1" ] || { printf '%s, should be %s:\n%s\n--\n%s\n' "$got" "$1" "$2" "$3"; failed=1; }
}

expect refused $'namespace a {\nstruct S {' $'namespace a {\nclass S : T {'
expect refused $'namespace a {\nenum class S : int {' $'namespace a {\nstruct S {'
expect refused $'struct S {' $'namespace a {\n}  // namespace a\nstruct S {'
expect refused $'namespace a {\ninline int f(int i) {' $'namespace a {\ninline int f(int i) {'
expect accepted $'namespace a {\nstruct S {' $'namespace b {\nstruct S {'
expect accepted $'namespace a {\nstruct S {' $'namespace a {\nstruct S;'
expect accepted $'namespace {\nstruct S {' $'namespace {\nstruct S {'
expect accepted $'namespace a {\nstruct S {' $'namespace a {\nnamespace {\nstruct S {'
expect accepted $'namespace a {\ninline int f(int i) {' $'namespace a {\ninline int f(long i) {'
exit $failed
