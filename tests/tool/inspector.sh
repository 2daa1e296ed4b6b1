#!/usr/bin/env bash
# The inspector on dictionaries of several types, whole, abandoned, held and damaged: what it says, and what it ends with.
#   inspector.sh SHARED-DICT DICTIONARIES
set -euo pipefail
tool=$1
dictionaries=$2

parent=/dev/shm
[ -d $parent ] || parent=${TMPDIR:-/tmp}
SHARED_DICT_DIR=$(mktemp -d "$parent/inspector_test.XXXXXX")
export SHARED_DICT_DIR
holder=
watcher=
clean_up() {
  [ "$BASHPID" -eq $$ ] || return 0 # a copy of the shell that was ended before it became something else
  for pid in $holder $watcher; do kill -9 "$pid" 2> /dev/null || true; done
  rm -rf "$SHARED_DICT_DIR"
}
trap clean_up EXIT
failures=0
failed() {
  printf '%s\n' "$1" >&2
  failures=$((failures + 1))
}

# expect STATUS OUTPUT ARGUMENT...: both are what they should be. OUTPUT is a shell pattern.
expect() {
  local status=0 output
  output=$("$tool" "${@:3}" 2>&1) || status=$?
  # shellcheck disable=SC2053 # a pattern
  if [ $status -ne "$1" ] || [[ $output != $2 ]]; then
    failed "shared-dict ${*:3}"$'\n'"  ended with $status instead of $1, and said:"$'\n'"$output"$'\n'"  instead of: $2"
  fi
}

python=$(command -v python3 || true)
if [ -z "$python" ]; then
  [ -z "${CI:-}" ] || failed "there is no python3, which CI looks at the JSON with"
  echo "proof: skipped: the inspector's JSON, as there is no python3"
fi

# expect_json EXPRESSION ARGUMENT...: what it writes is JSON, and the Python expression is true of it.
expect_json() {
  [ -n "$python" ] || return 0
  local output
  output=$("$tool" --json "${@:2}") || true
  if ! "$python" -c 'import json, sys; j = json.loads(sys.argv[1]); sys.exit(not eval(sys.argv[2]))' "$output" "$1"; then
    failed "shared-dict --json ${*:2}"$'\n'"  $output"$'\n'"  for which this is false: $1"
  fi
}

# expect_message STATUS TEXT ARGUMENT...: with --json it ends with this, writes no result, and one line of JSON to standard error that says so, in
# words that have TEXT in them and are meant for operators; without, the same words.
expect_message() {
  local status=0 output errors plain
  output=$("$tool" "${@:3}" --json 2> "$SHARED_DICT_DIR/errors") || status=$?
  errors=$(< "$SHARED_DICT_DIR/errors")
  if [ $status -ne "$1" ] || [ -n "$output" ] || [[ $errors != *"$2"* ]]; then
    failed "shared-dict ${*:3} --json"$'\n'"  ended with $status instead of $1, and said:"$'\n'"$output"$'\n'"$errors"$'\n'"  instead of: $2"
  fi
  if [[ $errors == *Options::* || $errors == *open_or_create* || $errors == *'(name)'* ]]; then
    failed "shared-dict ${*:3} --json"$'\n'"  tells an operator how to program:"$'\n'"$errors"
  fi
  plain=$("$tool" "${@:3}" 2>&1) || true
  rm "$SHARED_DICT_DIR/errors"
  [ -n "$python" ] || return 0
  "$python" -c 'import json, sys
lines, status, plain = sys.argv[1:]
(line,) = lines.splitlines()
sys.exit(json.loads(line) != {"status": int(status), "message": plain.removeprefix("shared-dict: ")})' "$errors" "$1" "$plain" ||
    failed "shared-dict ${*:3} --json"$'\n'"  says on standard error"$'\n'"$errors"$'\n'"  instead of an object of $1 and"$'\n'"$plain"
}

# die NAME: a process that dies with a lock of it.
die() { "$dictionaries" die "$1" 2> /dev/null & wait $! 2> /dev/null || true; }

# watch_aside NAME OPTION...: in the background; it has shown something when this returns.
watch_aside() {
  local i
  : > "$SHARED_DICT_DIR/watched"
  "$tool" watch "$@" --interval 20 >> "$SHARED_DICT_DIR/watched" 2>&1 &
  watcher=$!
  for ((i = 0; i < 200; ++i)); do
    [ -s "$SHARED_DICT_DIR/watched" ] && return
    sleep 0.05
  done
  echo "watch shows nothing" >&2
  return 1
}

# What all files of the place are at this moment.
image() { find "$SHARED_DICT_DIR" -type f -exec sha256sum {} + | sort -k 2; }

expect 0 '' list
expect_json 'j == []' list
"$dictionaries" make
die gone
before=$(image)

# ---- each type
expect 0 1 get numbers one
expect 0 18446744073709551615 get numbers many
expect 0 7 get numbers -- -x
expect 0 'minus\\tfive' get texts -5
expect 0 'grüß"e"' get texts 7
expect 0 '\\x1b\[31m\\xff' get texts 8
expect 0 '' get texts 9
expect 0 'minus\\tfive' get texts 0xfbffffff
expect 0 0.5 get ratios half
expect 0 1e-300 get ratios tiny
expect 0 nan get ratios none
expect 0 false get flags -1.5
expect 0 true get flags 0.25
expect 0 '\[1, -2, 3\]' get lists three
expect 0 '\[\]' get lists empty
expect 0 '\[4\]' get lists 'line\nbreak\xfe'
expect 0 '\["a", "b c", "d\\"e"\]' get words 1
expect 0 '\[true, false\]' get bits k
expect 0 '\[0.5, -4\]' get colours -2
expect 0 0x01000000ffffffff get points p
expect 0 c get cells 0x0100000002000000
expect_json 'j == {"key": "many", "type": "uint64", "bytes": 8, "value": 2**64 - 1}' get numbers many
expect_json 'j["value"] == "gr\u00fc\u00df\"e\""' get texts 7
expect_json 'j["value"] == {"hex": "1b5b33316dff"}' get texts 8
expect_json 'j["value"] == "nan"' get ratios none
expect_json 'j["key"] == -1.5 and j["value"] is False' get flags -1.5
expect_json 'j["value"] == ["a", "b c", "d\"e"]' get words 1
expect_json 'j["value"] == {"hex": "01000000ffffffff"}' get points p
expect_json 'j["key"] == {"hex": "6c696e650a627265616bfe"} and j["value"] == [4]' get lists 'line\nbreak\xfe'

# ---- keys as `keys` shows them, which is told apart from what looks alike
expect 0 1 get paths '[1, -2]'
expect 0 1 get paths '[1,-2]'
expect 0 2 get paths '[]'
expect 0 c get cells '[1, 2]'
expect 0 1 get phrases '["a", "b, \"c\"", "d\\e\n"]'
expect 0 2 get phrases '[""]'
expect 0 1 get codes 'a\\\xff\x00'
expect 0 2 get escapes 'a\nb'
expect 0 1 get escapes 'a\\nb'
expect 0 3 get escapes 'a\\\\nb'
expect 0 4 get escapes '\'
expect 0 4 get escapes '\\'
expect 0 1 get limits -inf
expect 2 '*is no vector*' get paths '[1, x]'
expect 2 '*is no vector*' get phrases '["a'
for name in paths phrases codes escapes limits cells lists texts flags; do
  while IFS= read -r key; do expect 0 '*' get $name -- "$key"; done < <("$tool" keys $name)
done
LC_ALL=C.UTF-8 expect 0 'café' keys escapes 'caf?'

# ---- the other looks
expect 0 '*one*' keys numbers
expect 0 one keys numbers 'o*'
expect 0 '' keys numbers 'nothing*'
expect 0 '[[]1, 2]' keys cells
expect 0 -5 keys texts -- '-?'
expect_json 'sorted(j) == ["-x", "many", "one"]' keys numbers
expect_json 'j == []' keys numbers 'nothing*'
expect 0 'numbers  (persistent)*string (any size)*uint64 (8 bytes)*3*0 alive, 0 dead*' info numbers
expect_json 'j["items"] == 3 and j["state"] == "persistent" and j["value_type"] == "uint64" and j["processes"] == []' info numbers
expect 0 'gone  (abandoned*held by pid * (dead)*0 alive, 1 dead*' info gone
expect_json 'len(j["locks"]) == 1 and j["locks"][0]["state"] == j["processes"][0]["state"] == "dead"' info gone
expect 0 1 get gone a
expect 0 '*abandoned*numbers*persistent*' list
expect_json 'len(j) == 16 and {d["name"]: d["state"] for d in j}["gone"] == "abandoned"' list
expect 0 '*ITEMS*3*' watch numbers --count 2 --interval 10
expect_json 'j["items"] == 3 and j["inserted_per_second"] == 0' watch numbers --count 1 --interval 10
expect 1 '*counts as gone' watch gone --interval 10

# ---- what is refused
ln -s shared_dict.numbers "$SHARED_DICT_DIR/shared_dict.link"
expect 1 '*there is none*' remove link
rm "$SHARED_DICT_DIR/shared_dict.link"
expect 0 '*numbers*' list "--dir=$SHARED_DICT_DIR"
expect 2 '*takes no value*' list --json=yes
expect 2 '*write -- before*' get numbers -x
expect 1 '*none at*' info nothing
expect 1 '*none at*' audit nothing
expect 1 '*none at*' reap nothing
expect 1 '*none at*' watch nothing
expect 1 '*there is none*' remove nothing
expect 1 '*no key three*' get numbers three
expect 1 '*counts as gone*' audit gone
expect 2 '*invalid*name*' info ''
expect 2 '*a name has*' info ../numbers
expect 2 '*is no int32*' get texts seven
expect 2 '*which command*'
expect 2 '*no command*' frobnicate
expect 2 '*arguments*' get numbers
expect 2 '*unknown option*' list --frob
expect 2 '*takes a value*' list --dir
expect 2 '*--count takes*' watch numbers --count x
expect 2 '*for watch*' list --count 2
expect 0 'usage:*' --help
expect 1 '*none at*' info numbers --dir "$SHARED_DICT_DIR/elsewhere"
expect 2 '*is no directory*' list --dir "$SHARED_DICT_DIR/elsewhere"

# ---- the form of errors, which every command has
for command in info keys audit reap watch remove; do expect_message 1 '`shared-dict list`' $command nothing; done
expect_message 1 '`shared-dict list`' get nothing key
expect_message 1 '`shared-dict list`' export nothing "$SHARED_DICT_DIR/saved"
expect_message 3 'No such file' import nothing "$SHARED_DICT_DIR/saved"
expect_message 1 '`shared-dict keys numbers`' get numbers three
expect_message 1 'counts as gone' watch gone
expect_message 1 'counts as gone' audit gone
expect_message 1 '--dir' info numbers --dir "$SHARED_DICT_DIR/elsewhere"
expect_message 2 'is no directory' list --dir "$SHARED_DICT_DIR/elsewhere"
expect_message 2 'is no int32' get texts seven
expect_message 2 'unknown option' list --frob
expect_message 2 'which command'
expect_message 2 'a name has' remove ../numbers
expect 0 'shared-dict [0-9]*.[0-9]*.[0-9]*, *layout [1-9]*' --version
expect_json 'sorted(j) == ["layout", "version"] and j["version"].count(".") == 2 and j["layout"] > 0' --version
expect 2 '*takes no value*' --version=1
cp -r "$SHARED_DICT_DIR/shared_dict.numbers" "$SHARED_DICT_DIR/shared_dict.damaged"
printf '\377' | dd of="$SHARED_DICT_DIR/shared_dict.damaged/segment" bs=1 seek=64 conv=notrunc status=none
expect_message 3 'then `shared-dict remove` it' info damaged
expect_message 3 'then `shared-dict remove` it' export damaged "$SHARED_DICT_DIR/saved"
expect_json 'not any("Options::" in str(d) or "(name)" in str(d) for d in j)' list
rm -r "$SHARED_DICT_DIR/shared_dict.damaged"
mkdir "$SHARED_DICT_DIR/shared_dict.damaged"
for file in segment guard.lock; do head -c 8192 /dev/urandom > "$SHARED_DICT_DIR/shared_dict.damaged/$file"; done
expect 3 '*is no dictionary*' info damaged
expect 0 '*damaged*refused*' list
expect 3 '*is no dictionary*' remove damaged
rm -r "$SHARED_DICT_DIR/shared_dict.damaged"

[ "$before" = "$(image)" ] || failed "looking has changed something"

# ---- audit, reap and remove, while a process is attached and another one has died with a lock
coproc HOLD { exec "$dictionaries" hold busy; }
holder=$HOLD_PID
read -r line <&"${HOLD[0]}"
[ "$line" = ready ]
expect 0 '*held by pid * (alive)*1 alive, 0 dead*' info busy
expect_json 'j["state"] == "attached" and j["locks"][0]["pid"] == j["processes"][0]["pid"] == '"$holder" info busy
watch_aside busy --json
exec {to_holder}>&"${HOLD[1]}"
eval "exec ${HOLD[1]}>&-"
exec {to_holder}>&- # its standard input ends, it leaves, and takes the dictionary away
wait "$holder" || true
holder=
wait "$watcher" || failed "watch ended with $?"
watcher=
grep -qF "{\"status\": 0, \"message\": \"dictionary 'busy' has gone\"}" "$SHARED_DICT_DIR/watched" || failed "watch did not say that the dictionary has gone"
expect 1 '*none at*' info busy

watch_aside numbers
kill -TERM "$watcher"
wait "$watcher" || failed "watch ended with $? after a signal"
watcher=

expect 0 'numbers: no problem found' audit numbers
expect_json 'j == {"name": "numbers", "ok": True, "problems": []}' audit numbers
expect 0 '*0 alive, 0 dead*' info numbers
expect 0 'numbers: no dead process' reap numbers
expect 0 '*cleaned up after pid*was removed' reap gone
expect 1 '*none at*' info gone
die gone
expect_json 'j["removed"] and len(j["pids"]) == 1' reap gone
die gone
expect 0 'gone: removed' remove gone

# ---- export and import
saved=$SHARED_DICT_DIR/saved
expect 0 'numbers: 3 items saved to *saved, 2.2 KiB' export numbers "$saved"
expect 0 'copy: 3 items loaded from *' import copy "$saved"
expect 0 18446744073709551615 get copy many
expect_json 'j["items"] == 3 and j["state"] == "persistent" and j["heap_size"] == 2**20 and j["value_type"] == "uint64"' info copy
expect 0 'copy: no problem found' audit copy
expect 0 'words: 1 items *' export words "$saved"
expect 3 '*was saved from a SharedDict<uint8, vector<string>>*this is a SharedDict<string, uint64>*' import copy "$saved"
expect 0 1 get copy one
expect_json 'j["items"] == 4 and j["name"] == "texts" and j["file"].endswith("saved")' export texts "$saved"
expect_json 'j["items"] == 4' import texts2 "$saved"
expect 0 'grüß"e"' get texts2 7
"$dictionaries" change texts2
expect 0 changed get texts2 7
expect 0 'texts2: 4 items loaded*' import texts2 "$saved"
expect 0 'grüß"e"' get texts2 7
expect 0 '*texts2*' list
printf x >> "$saved"
expect 3 '*is damaged at byte *' import texts2 "$saved"
expect 3 '*is damaged at byte *' import texts3 "$saved"
expect 1 '*none at*' info texts3
expect 3 '*No such file*' import texts3 "$SHARED_DICT_DIR/missing"
expect 3 '*No such file*' export texts "$SHARED_DICT_DIR/missing/saved"
expect 1 '*none at*' export nothing "$saved"
expect 2 '*arguments*' export texts
rm "$saved"
expect 0 'copy: removed' remove copy
expect 0 'texts2: removed' remove texts2
[ ! -e "$saved.saving" ] || failed "export left something"

# A count that is wrong: that of the first shard's items.
segment=$SHARED_DICT_DIR/shared_dict.numbers/segment
items_at=$((4096 + 8 * 128 + 128))
printf '\005' | dd of="$segment" bs=1 seek=$items_at conv=notrunc status=none
expect 1 '*count of items is wrong*' audit numbers
expect_json 'not j["ok"] and len(j["problems"]) == 1' audit numbers
expect 0 'numbers: removed' remove numbers
expect_json 'j["removed"]' remove texts

[ $failures -eq 0 ] || exit 1
echo "the inspector said what it should"
