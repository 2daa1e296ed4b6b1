#!/usr/bin/env bash
# Every atomic access says why its order is right: see memory_order_tags.awk.
#   memory_order_tags.sh INCLUDE_DIR     checks the headers
#   memory_order_tags.sh --samples DIR   checks the check: each file of DIR/bad must be refused for what its first line says
#                                        ("// refused: <part of the message>"), each file of DIR/good accepted
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

check() { LC_ALL=C awk -f "$here/memory_order_tags.awk" "$@"; }

if [ "${1:?usage: memory_order_tags.sh INCLUDE_DIR | --samples DIR}" != --samples ]; then
  mapfile -t headers < <(find "$1" -name '*.hpp' | LC_ALL=C sort)
  check "${headers[@]}"
  echo "checked ${#headers[@]} headers"
  exit
fi

failed=0
count=0
for sample in "$2"/good/*.hpp; do
  count=$((count + 1))
  if ! out=$(check "$sample"); then
    printf 'refused, but good: %s\n%s\n' "$sample" "$out"
    failed=1
  fi
done
for sample in "$2"/bad/*.hpp; do
  count=$((count + 1))
  want=$(sed -n '1s|^// refused: ||p' "$sample")
  if out=$(check "$sample"); then
    echo "accepted, but bad: $sample"
    failed=1
  elif [ -z "$want" ] || [[ $out != *"$want"* ]]; then
    printf 'refused for another reason than "%s": %s\n%s\n' "$want" "$sample" "$out"
    failed=1
  fi
done
echo "checked $count samples"
exit $failed
