# Checks the comments at atomic accesses in the files given; prints what is wrong and then exits with 1.
#
#   // [S3] release, pairs with [L1], [L2]: why          at every access that is not relaxed
#   // why relaxed is enough                             at every relaxed one
#
# - A tag is a capital, letters, digits. It is defined once, where a comment line begins with it: in the statement of the access
#   or directly above it. It names its order, then its partners, then the reason.
#   What a system call reads or writes says "[M2] read by system call, pairs with ..." or "written by", and stands anywhere.
# - Partners exist and name each other. A tag in any other comment must exist as well.
# - A relaxed access has a comment on the same line or in the three lines above its statement. One that begins with
#   "relaxed, all" or "relaxed, both" speaks for what follows up to the next empty line.
# - No access leaves its order to the default, and no order hides behind another name. What only looks like an atomic says
#   "not an atomic" in a comment.
# - A call of acquire_fence() or release_fence() is an access; their definitions are not.

function problem(line, text) { print file ":" line ": " text; failed = 1 }

# Splits a line into code[n] and comment[n]. String and character literals become empty.
function read_line(n, text,    at, rest) {
  code[n] = ""; comment[n] = ""
  if (in_block) {
    at = index(text, "*/")
    if (!at) { comment[n] = text; return }
    comment[n] = substr(text, 1, at - 1); text = substr(text, at + 2); in_block = 0
  }
  gsub(/\\\\/, "", text); gsub(/\\"/, "", text); gsub(/\\'/, "", text)
  gsub(/'"'/, "", text)
  gsub(/"[^"]*"/, "\"\"", text)
  while ((at = match(text, /\/\/|\/\*/)) > 0) {
    code[n] = code[n] substr(text, 1, at - 1)
    rest = substr(text, at + 2)
    if (substr(text, at, 2) == "//") { comment[n] = comment[n] rest; text = ""; break }
    at = index(rest, "*/")
    if (!at) { comment[n] = comment[n] rest; in_block = 1; text = ""; break }
    comment[n] = comment[n] substr(rest, 1, at - 1); text = substr(rest, at + 2)
  }
  code[n] = code[n] text
  sub(/^[ \t]+/, "", code[n]); sub(/[ \t\r]+$/, "", code[n])
  sub(/^[\/!<]*[ \t]*/, "", comment[n])
}

# Puts the [Tags] of a text into found[1..]; returns how many.
function tags_of(text, found,    n) {
  n = 0
  text = " " text
  while (match(text, /[^A-Za-z0-9_\])]\[[A-Z][A-Za-z]*[0-9]+\]/)) {
    found[++n] = substr(text, RSTART + 2, RLENGTH - 3)
    text = " " substr(text, RSTART + RLENGTH)
  }
  return n
}

# A partner that has wrapped to the beginning of a line is followed by a comma or a colon.
function is_definition(n) { return comment[n] ~ /^\[[A-Z][A-Za-z]*[0-9]+\][ \t]/ }

function define(n,    tag, text, k, at, count, found, i) {
  tag = comment[n]; sub(/^\[/, "", tag); sub(/\].*/, "", tag)
  text = comment[n]; sub(/^\[[A-Za-z0-9]+\][ \t]*/, "", text)
  for (k = n + 1; k <= lines && code[k] == "" && comment[k] != "" && !is_definition(k); ++k) text = text " " comment[k]
  tag_at[n] = tag
  if (tag in where) { problem(n, "[" tag "] is defined a second time; first at " where[tag]); return }
  where[tag] = file ":" n
  order_of[tag] = match(text, /^(acquire|release|acq_rel|seq_cst)/) ? substr(text, RSTART, RLENGTH) : ""
  if (text ~ /^(read|written) by (a )?system call/) taken[n] = 1
  else if (order_of[tag] == "") problem(n, "[" tag "] does not begin with its order")
  at = index(text, "pairs with ")
  if (!at) { problem(n, "[" tag "] does not say what it pairs with"); return }
  text = substr(text, at + 11)
  at = index(text, ":")
  if (!at || substr(text, at + 1) ~ /^[ \t]*$/) { problem(n, "[" tag "] does not say why, after a colon"); return }
  count = tags_of(substr(text, 1, at - 1), found)
  if (!count) problem(n, "[" tag "] names no partner")
  for (i = 1; i <= count; ++i) pairs[tag, found[i]] = 1
}

# How many arguments follow in `text`, which begins behind the opening parenthesis.
function argument_count(text,    i, c, depth, count, seen) {
  for (i = 1; i <= length(text); ++i) {
    c = substr(text, i, 1)
    if (c ~ /[({\[]/) ++depth
    else if (c ~ /[)}\]]/ && --depth < 0) break
    else if (c == "," && !depth) ++count
    if (c !~ /[ \t]/) seen = 1
  }
  return seen ? count + 1 : 0
}

# Whether an atomic access in `text` has no order: as many arguments as without one. So `table.store(at, word)`, with one
# more, is taken for something else.
function leaves_order_out(text,    name, count) {
  while (match(text, kAccess)) {
    name = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    count = argument_count(text)
    if (count == (name ~ /load|test_and_set/ ? 0 : name ~ /compare/ ? 2 : 1)) return 1
  }
  return 0
}

# Whether a comment on the same lines or in the three lines above the statement says why; or one farther up that speaks for
# several accesses ("relaxed, all: ...", "relaxed, both: ..."), with no empty line in between.
function says_why_relaxed(i, first, last,    k) {
  for (k = (first < i ? first : i) - 3; k <= last; ++k) if (k > 0 && comment[k] != "") return 1
  for (k = first; k > 0 && (code[k] != "" || comment[k] != ""); --k) if (comment[k] ~ /relaxed, (all|both)/) return 1
  return 0
}

function check_statement(first, last,    i, all, needs, top, k, tagged, rel) {
  all = ""; needs = 0
  for (i = first; i <= last; ++i) {
    all = all " " code[i]
    if (code[i] ~ /(acquire|release|acq_rel|seq_cst)_fence[ \t]*\(\)[ \t]*noexcept/) return
    if (code[i] ~ kOrdered && !needs) needs = i
    if (code[i] ~ /memory_order(_|::)relaxed|__ATOMIC_RELAXED/) {
      if (!says_why_relaxed(i, first, last)) problem(i, "a relaxed access without a comment that says why")
    }
  }
  if (all ~ /=[ \t]*(std::)?memory_order|using[ \t].*memory_order/) problem(first, "an order behind another name or as a default")
  if (leaves_order_out(all)) {
    rel = 0
    for (k = first - 1; k <= last; ++k) if (k > 0 && comment[k] ~ /not an atomic/) rel = 1
    if (!rel) problem(first, "an access that leaves its order to the default")
  }
  # The tags within reach: in the statement, in the two lines above, in the comment that stands directly above.
  top = first - 2
  for (k = first - 1; k > 0 && code[k] == "" && comment[k] != ""; --k) if (k < top) top = k
  tagged = 0
  if (!needs) return
  for (k = top; k <= last; ++k) if (k in tag_at && !(k in taken)) {
    taken[k] = 1; tagged = 1
    if (order_of[tag_at[k]] != "" && all !~ ("(memory_order(_|::)|[^A-Za-z_])" order_of[tag_at[k]]))
      problem(k, "[" tag_at[k] "] says " order_of[tag_at[k]] ", which the access does not")
  }
  if (!tagged) problem(needs, "an access that is not relaxed and has no tag of its own")
}

function check_file(    i, first, last, open, found, count, k) {
  if (!lines) return
  for (i in tag_at) delete tag_at[i]
  for (i in taken) delete taken[i]
  for (i = 1; i <= lines; ++i) if (is_definition(i)) define(i)
  open = 0
  for (i = 1; i <= lines; ++i) {
    if (code[i] == "") {
      if (comment[i] == "" && open) { check_statement(first, last); open = 0 }
      continue
    }
    if (!open) { first = i; open = 1 }
    last = i
    if (code[i] ~ /[;{}]$/ || code[i] ~ /[^:]:$/ || code[i] ~ /^#/) { check_statement(first, last); open = 0 }
  }
  if (open) check_statement(first, last)
  for (i = 1; i <= lines; ++i) {
    if (i in tag_at && !(i in taken)) problem(i, "[" tag_at[i] "] has no access")
    count = tags_of(comment[i], found)
    for (k = 1; k <= count; ++k) if (!((found[k]) in mentioned)) mentioned[found[k]] = file ":" i
  }
}

BEGIN {
  kOrdered = "memory_order(_|::)(acquire|release|acq_rel|seq_cst|consume)"
  kOrdered = kOrdered "|(^|[^A-Za-z_])(acquire|release|acq_rel|seq_cst)_fence[ \t]*[(]"
  kOrdered = kOrdered "|__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST|CONSUME)"
  kAccess = "([.]|->)(load|store|exchange|fetch_(add|sub|and|or|xor)|compare_exchange_(weak|strong)|test_and_set)[ \t]*[(]"
}
FNR == 1 { check_file(); file = FILENAME; lines = 0; in_block = 0 }
{ read_line(++lines, $0) }
END {
  check_file()
  for (tag in mentioned) if (!(tag in where)) { print mentioned[tag] ": [" tag "] does not exist"; failed = 1 }
  for (pair in pairs) {
    split(pair, two, SUBSEP)
    if ((two[2] in where) && !((two[2], two[1]) in pairs)) {
      print where[two[1]] ": [" two[1] "] names [" two[2] "], which does not name it"
      failed = 1
    }
  }
  exit failed
}
