#!/usr/bin/env bash
# README.zh-CN.md says what README.md says, as far as that can be seen without reading either: see readme_translation.awk.
#   readme_translation.sh README TRANSLATION  compares the two
#   readme_translation.sh --self-test         checks the check, on a small pair that differs in one thing each
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

check() {
  LC_ALL=C awk -f "$here/readme_translation.awk" "$1" "$2" || return 1
  echo "compared $2 with $1"
}

if [ "${1:?usage: readme_translation.sh README TRANSLATION | --self-test}" != --self-test ]; then
  check "$1" "${2:?usage: readme_translation.sh README TRANSLATION | --self-test}"
  exit
fi

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

new_pair() {
  cat > "$tree/README.md" <<'END'
# Name
[Chinese](README.zh-CN.md) See [below](#how-fast) and
`f(x)`.
```cpp
f(1);   // one
# no heading
```
## How fast
| what | time |
|---|---|
| [read](a.cpp) | 12 ns, 0.5 of `map` |
| 1.5 million writes of 1,800 bytes | 10 ms |

```sh
./run
```
END
  cat > "$tree/README.zh-CN.md" <<'END'
# Name
[English](README.md) 见[下文](#how-fast)和 `f(x)`。
```cpp
f(1);   // one
# no heading
```
<a id="how-fast"></a>
## 多快
| 什么 | 时间 |
|---|---|
| [读](a.cpp) | 12 ns，`map` 的 0.5 倍 |
| 150 万次 1800 字节的写入 | 10 ms |

```sh
./run
```
END
}

# refused REASON FILE SED_SCRIPT: a pair of which one file is changed so is refused for this reason.
refused() {
  new_pair
  cp "$tree/$2" "$tree/before"
  sed "$3" "$tree/before" > "$tree/$2"
  if cmp -s "$tree/before" "$tree/$2"; then
    echo "changes nothing: $3"
    failed=1
  elif out=$(check "$tree/README.md" "$tree/README.zh-CN.md"); then
    echo "accepted, but wrong: $2 with $3"
    failed=1
  elif [[ $out != *"$1"* ]]; then
    printf 'refused for another reason than "%s": %s\n%s\n' "$1" "$3" "$out"
    failed=1
  fi
}

new_pair
check "$tree/README.md" "$tree/README.zh-CN.md" > "$tree/out" || { cat "$tree/out"; echo "a sound pair is refused"; failed=1; }
for file in README.md README.zh-CN.md; do
  refused "code block 1 differs" $file 's|// one|// two|'
  refused "code block 1 differs" $file 's|f(1);   //|f(1);  //|'
  refused "code block 1 differs" $file '/^# no heading/d'
  refused "code block 1 differs" $file 's/```cpp/```c/'
  refused "code block 2 differs" $file 's|^./run|./walk|'
  refused "code blocks" $file '/^```sh/,/^```$/d'
  refused "heading 2 has level" $file 's/^## /### /'
  refused "headings" $file '/^## /d'
  refused "headings" $file '$a ## 1'
  refused "table 1 has" $file '/a\.cpp/a | x | x |'
  refused "tables" $file '/^|/d'
  refused "link to b.cpp" $file 's/a\.cpp/b.cpp/'
  refused "link to a.cpp" $file 's/\[.*\](a\.cpp)/x/'
  refused '`g(x)`' $file 's/`f(x)`/`g(x)`/'
  refused "the number 13" $file 's/12 ns/13 ns/'
  refused "the number 10" $file 's/10 ms/x/'
  refused "two files" $file 'd'
done
refused "the number 2500000" README.md 's/1.5 million/2.5 million/'
refused "the number 15000" README.zh-CN.md 's/150 万/1.5 万/'
refused "README.zh-CN.md:8: only in this file" README.zh-CN.md 's/a\.cpp/b.cpp/'
refused "README.zh-CN.md:4: code block 1 differs" README.zh-CN.md 's|// one|// 一|'
refused "leads nowhere" README.zh-CN.md '/^<a id/d'
refused "no link to README.md" README.zh-CN.md 's/(README\.md)//'
exit $failed
