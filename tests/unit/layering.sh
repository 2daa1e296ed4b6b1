#!/usr/bin/env bash
# An include goes only to the same layer or a lower one: see layering.awk.
#   layering.sh INCLUDE_DIR     checks the headers
#   layering.sh --self-test     checks the check, on small trees that break one rule each
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

check() (
  cd "$1"
  mapfile -t headers < <(find shared_dict -name '*.hpp' | LC_ALL=C sort)
  LC_ALL=C awk -f "$here/layering.awk" "${headers[@]}" || return 1  # set -e does not hold inside a condition
  echo "checked ${#headers[@]} headers"
)

if [ "${1:?usage: layering.sh INCLUDE_DIR | --self-test}" != --self-test ]; then
  check "$1"
  exit
fi

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

new_tree() {
  rm -rf "$tree/shared_dict"
  mkdir -p "$tree"/shared_dict/detail/{platform,bytes,mechanisms,operations}
  header error.hpp ''
  header options.hpp '#include <shared_dict/error.hpp>'
  header detail/platform/file.hpp $'#include <shared_dict/error.hpp>\n#if defined(__linux__)\n#endif'
  header detail/bytes/layout.hpp '#include "../platform/file.hpp"'
  header codec.hpp '#include <shared_dict/detail/bytes/layout.hpp>'
  header detail/mechanisms/heap.hpp $'#include "layout_user.hpp"\n#include <shared_dict/codec.hpp>'
  header detail/mechanisms/layout_user.hpp '#include "shared_dict/detail/bytes/layout.hpp"'
  header detail/operations/lookup.hpp '#include <shared_dict/detail/mechanisms/heap.hpp>'
  header shared_dict.hpp '#include <shared_dict/detail/operations/lookup.hpp>'
}
header() { printf '%s\n' "$2" > "$tree/shared_dict/$1"; }

# refused REASON HEADER CONTENTS: a sound tree with this header changed is refused for this reason.
refused() {
  new_tree
  header "$2" "$3"
  if out=$(check "$tree"); then
    echo "accepted, but wrong: $2 with $3"
    failed=1
  elif [[ $out != *"$1"* ]]; then
    printf 'refused for another reason than "%s":\n%s\n' "$1" "$out"
    failed=1
  fi
}

new_tree
check "$tree" > /dev/null || { echo "a sound tree is refused"; failed=1; }
refused "of a higher layer" detail/bytes/layout.hpp '#include <shared_dict/detail/mechanisms/heap.hpp>'
refused "of a higher layer" detail/bytes/layout.hpp '#include "../mechanisms/layout_user.hpp"'
refused "of a higher layer" detail/mechanisms/heap.hpp '#include <shared_dict/detail/operations/lookup.hpp>'
refused "of a higher layer" detail/operations/lookup.hpp '#include <shared_dict/shared_dict.hpp>'
refused "of a higher layer" detail/platform/file.hpp '# include "shared_dict/detail/bytes/layout.hpp"'
refused "of a higher layer" options.hpp '#include <shared_dict/detail/platform/file.hpp>'
refused "of a higher layer" codec.hpp '#include <shared_dict/view.hpp>'
refused "in a cycle" detail/mechanisms/layout_user.hpp '#include <shared_dict/detail/mechanisms/heap.hpp>'
refused "which does not exist" detail/bytes/layout.hpp '#include <shared_dict/detail/bytes/gone.hpp>'
refused "belongs to no layer" detail/loose.hpp ''
refused "outside detail/platform" detail/bytes/layout.hpp '#ifdef _WIN32'
refused "outside detail/platform" shared_dict.hpp '#if X && defined(__linux__)'
refused "outside detail/platform" detail/operations/lookup.hpp '#elif __APPLE__'
exit $failed
