# What a text and its translation have in common, whatever the language: the first file is the text, the second its translation.
# Code blocks, headings and tables are compared one by one. Code spans, numbers and links are compared as sets, section by section, so that
# a new figure or a renamed function in the text is missed in the translation. The two may link to each other.
FNR == 1 { file++; name[file] = FILENAME; section = 0; in_code = 0; in_table = 0; at[file, 0] = 1 }
{ sub(/\r$/, "") }

in_code { code[file, blocks[file]] = code[file, blocks[file]] "\n" $0; if ($0 ~ /^```[ \t]*$/) in_code = 0; next }
/^```/ { in_code = 1; in_table = 0; code_at[file, ++blocks[file]] = FNR; code[file, blocks[file]] = $0; next }

/^#+ / { at[file, ++section] = FNR; level[file, section] = index($0, " ") - 1; headings[file] = section }
/^\|/ && !in_table { in_table = 1; table_at[file, ++tables[file]] = FNR }
/^\|/ { rows[file, tables[file]]++ }
!/^\|/ { in_table = 0 }
{ prose[file, section] = prose[file, section] " " $0 }

END {
  if (file != 2) report("two files that are not empty are needed")
  else {
    compare_blocks()
    same_count("headings", headings)
    for (i = 1; i <= least(headings); i++)
      if (level[1, i] != level[2, i]) {
        report(place(1, at, i) " and " place(2, at, i) ": heading " i " has level " level[1, i] " and " level[2, i])
        break # what follows is shifted
      }
    if (headings[1] == headings[2]) for (i = 0; i <= headings[1]; i++) compare_facts(i)
    same_count("tables", tables)
    for (i = 1; i <= least(tables); i++)
      if (rows[1, i] != rows[2, i])
        report(place(1, table_at, i) " and " place(2, table_at, i) ": table " i " has " rows[1, i] " and " rows[2, i] " rows")
    for (target in links)
      if (target ~ /^#/ && index(all_prose(2), "<a id=\"" substr(target, 2) "\">") == 0)
        report(name[2] ": the link to " target " leads nowhere; put <a id=\"" substr(target, 2) "\"></a> before its heading")
    if (index(all_prose(2), "](" base(name[1]) ")") == 0) report(name[2] ": no link to " base(name[1]))
  }
  exit failed
}

function report(message) { print message; failed = 1 }
function place(f, lines, n) { return name[f] ":" lines[f, n] }
function base(path) { sub(/.*\//, "", path); return path }
function least(counts) { return counts[1] < counts[2] ? counts[1] : counts[2] }
function same_count(what, counts) {
  if (counts[1] != counts[2]) report(name[1] " has " counts[1] + 0 " " what ", " name[2] " has " counts[2] + 0)
}
function all_prose(f,   i, text) {
  for (i = 0; i <= headings[f]; i++) text = text prose[f, i]
  return text
}

function compare_blocks(   i, j, a, b, count) {
  same_count("code blocks", blocks)
  for (i = 1; i <= least(blocks); i++) {
    if (code[1, i] == code[2, i]) continue
    count = split(code[1, i], a, "\n")
    split(code[2, i], b, "\n")
    for (j = 1; j < count && a[j] == b[j]; j++) continue
    report(name[1] ":" code_at[1, i] + j - 1 " and " name[2] ":" code_at[2, i] + j - 1 ": code block " i " differs\n  " a[j] "\n  " b[j])
  }
}

function compare_facts(i,   fact, f) {
  split("", facts)
  for (f = 1; f <= 2; f++) collect(f, prose[f, i])
  for (fact in facts)
    if (facts[fact] != 3) report(place(facts[fact], at, i) ": only in this file, in the section that begins here: " fact)
}

# Bit f of facts[fact] says that file f has it.
function found(f, fact) { if (int(facts[fact] / f) % 2 == 0) facts[fact] += f }

function collect(f, text,   target, number) {
  while (match(text, /\]\([^()]*\)/)) {
    target = substr(text, RSTART + 2, RLENGTH - 3)
    text = substr(text, 1, RSTART - 1) "] " substr(text, RSTART + RLENGTH)
    if (target == base(name[3 - f])) continue
    found(f, "link to " target)
    links[target]
  }
  while (match(text, /`[^`]+`/)) {
    found(f, substr(text, RSTART, RLENGTH))
    text = substr(text, 1, RSTART - 1) "_" substr(text, RSTART + RLENGTH)
  }
  while (match(text, /[0-9][0-9,]*(\.[0-9]+)?/)) {
    number = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    gsub(/,/, "", number)
    found(f, "the number " sprintf("%.15g", number * scale(text)))
  }
}

# Chinese counts in ten thousands and hundred millions.
function scale(after) {
  if (after ~ /^ million/) return 1000000
  if (after ~ /^ *万/) return 10000
  if (after ~ /^ *亿/) return 100000000
  return 1
}
