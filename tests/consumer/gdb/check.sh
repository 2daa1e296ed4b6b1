#!/usr/bin/env bash
# The gdb printer shows the same contents in a live process and in its core file.
#   check.sh PROGRAM PRINTER
set -euo pipefail
place=$(mktemp -d)
# The place of its dictionaries is here, too: a program that gdb ends leaves nothing anywhere else.
trap 'rm -rf "$place"' EXIT
export SHARED_DICT_DIR=$place
show=(-ex "source $2" -ex 'up' -ex 'print words' -ex 'print numbers')
live=$(gdb -batch -nx -ex 'break stop_here' -ex run "${show[@]}" -ex "gcore $place/core" -ex kill "$1" 2>&1 < /dev/null)
core=$(gdb -batch -nx "${show[@]}" "$1" "$place/core" 2>&1 < /dev/null)
for output in "$live" "$core"; do
  for expected in '["apple"] = "red \"one\""' '["lemon"] = "yellow"' '= SharedDict = {["minus"] = -7}'; do
    if ! grep -qF -- "$expected" <<< "$output"; then
      printf 'gdb does not show %s:\n%s\n' "$expected" "$output" >&2
      exit 1
    fi
  done
done
