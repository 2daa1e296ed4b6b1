#!/usr/bin/env bash
# The gdb printer shows the same contents in a live process and in its core file, of a program with either standard library.
#   check.sh PROGRAM PRINTER SOURCE INCLUDE_DIRECTORY...
set -euo pipefail
program=$1 printer=$2 source=$3
includes=("${@:4}")
includes=("${includes[@]/#/-I}")
place=$(mktemp -d)
# The place of its dictionaries is here, too: a program that gdb ends leaves nothing anywhere else.
trap 'rm -rf "$place"' EXIT
export SHARED_DICT_DIR=$place
export LC_ALL=C.UTF-8

# What has to be shown: a command of gdb, and a line for it.
shows=(
  'print words' '["apple"] = "red \"one\""'
  'print words' '["lemon"] = "yellow"'
  'print numbers' '= SharedDict = {["minus"] = -7}'
  # Strings, with what a terminal would obey.
  'print texts' '[1] = "nul\x00here"'
  'print texts' '[2] = "\x1b[31m\n\t\\\x7f"'
  'print texts' '[3] = "grüß"'
  'print texts' '[4] = "\xff\xc2\x85"'
  'print texts' '[5] = ""'
  'print letters' '= SharedDict = {[1] = "a\x00"}'
  # What is stored as it lies in memory.
  'print points' "= SharedDict = {[(anonymous namespace)::Colour::blue] = {x = 1, y = -1}}"
  'print ratios' "= SharedDict = {[-1.5] = 99 'c'}"
  'print lists' '[1] = {1, -2, 3}'
  'print lists' '[2] = {}'
  'print octets' '= SharedDict = {[{-1, 97}] = {0, 255}}'
  'print doubles' '= SharedDict = {[{(anonymous namespace)::Colour::red}] = {0.5, -4}}'
  'print routes' '= SharedDict = {[1] = {{x = 1, y = 2}, {x = 3, y = 4}}}'
  'print arrays' '1, 2}'
  'print wide' '= SharedDict = {[1] = u"wü"}'
  'print large' '= SharedDict = {[1] = {7 <repeats 16384 times>}...}'
  # What cereal wrote.
  'print archived' '= SharedDict = {[1] = 0x02000000000000006162}'
  'print bits' '= SharedDict = {[1] = 0x010000000000000001}'
  'print paths' '= SharedDict = {[0x0100000000000000000000000000e03f] = 1}'
  # What can't be read.
  'print closed' '= closed SharedDict'
  'print bad_slot' '[<damaged>] = <entry at 17592186044408: lies outside the pages in use>'
  'print bad_entry' '[<damaged>] = <entry at '
  'print bad_entry' ': sizes that can'"'"'t be: 4 and 1099511627775 bytes>'
  'print bad_table' ': the table lies outside the pages in use>'
  'print bad_pages' '= SharedDict that is damaged: the count of pages is damaged'
  'print bad_clears' '= SharedDict that is damaged: the count of clears is damaged'
  'print bad_magic' '= SharedDict whose memory is no dictionary'
  'print cut_off' '= SharedDict whose memory '
)
commands=(-ex "source $printer" -ex up)
last=
for ((i = 0; i < ${#shows[@]}; i += 2)); do
  [ "${shows[i]}" = "$last" ] || commands+=(-ex "echo \\n# ${shows[i]}\\n" -ex "${shows[i]}")
  last=${shows[i]}
done

failures=0
failed() {
  printf '%s\n' "$1" >&2
  failures=$((failures + 1))
}

# part COMMAND OUTPUT: what this command has written.
part() { awk -v command="# $1" '/^# /{on = $0 == command} on' <<< "$2"; }

# check HOW OUTPUT: what is expected is there, in the part of the output that belongs to its command.
check() {
  local i name part
  for ((i = 0; i < ${#shows[@]}; i += 2)); do
    part=$(part "${shows[i]}" "$2")
    grep -qF -- "${shows[i + 1]}" <<< "$part" || failed "$1: gdb does not show ${shows[i + 1]}:"$'\n'"$part"
  done
  # Two good items beside each damaged one.
  for name in bad_slot bad_entry; do
    part=$(part "print $name" "$2")
    [ "$(grep -oE '\[[123]\] = [123]0\>' <<< "$part" | wc -l)" = 2 ] || failed "$1: $name doesn't show the other two items:"$'\n'"$part"
  done
  ! grep -E 'Python Exception|^Error' <<< "$2" || failed "$1: the printer failed"
  ! part 'print texts' "$2" | grep -q '[[:cntrl:]]' || failed "$1: control characters go to the terminal"
}

# live_and_core WHAT PROGRAM
live_and_core() {
  check "$1, live" "$(gdb -batch -nx -ex 'break stop_here' -ex run "${commands[@]}" -ex "gcore $place/core" -ex kill "$2" 2>&1 < /dev/null)"
  check "$1, core file" "$(gdb -batch -nx "${commands[@]}" "$2" "$place/core" 2>&1 < /dev/null)"
  rm -rf "$place"/core "$place"/shared_dict.*
}

live_and_core "as it was built" "$program"

# A terminal that can't show a letter is given its bytes.
output=$(LC_ALL=C gdb -batch -nx -ex 'break stop_here' -ex run -ex "source $printer" -ex up -ex 'print texts' -ex kill "$program" 2>&1 < /dev/null)
grep -qF '[3] = "gr\xc3\xbc\xc3\x9f"' <<< "$output" || failed "in the C locale: $output"
rm -rf "$place"/shared_dict.*

compile=(clang++ -stdlib=libc++ -std=c++20 -O0 -g -DBOOST_ALL_NO_LIB)
if "${compile[@]}" -x c++ -include string -o "$place/probe" - <<< 'int main() {}' 2> /dev/null; then
  "${compile[@]}" "${includes[@]}" "$source" -o "$place/debugged"
  live_and_core "libc++" "$place/debugged"
else
  [ -z "${CI:-}" ] || failed "there is no clang++ with libc++, which CI has"
  echo "proof: skipped: a program with libc++ in gdb, as there is no clang++ that has it"
fi
[ $failures -eq 0 ] || exit 1
