# A type or an inline function of the same name in two files and one namespace: in one program the linker would take either for both.
# Reads sources formatted by .clang-format, where a definition at namespace scope begins a line.
FNR == 1 { depth = 0; space = "" }

function enter(name) {
  spaces[++depth] = space
  space = space "::" name
}

/^namespace .*\{$/ { enter($2 == "{" ? FILENAME : $2) } # what is in an unnamed namespace is the file's own
/^\}  \/\/ namespace/ { if (depth > 0) space = spaces[depth--] }

/^(struct|class|union|enum class|enum) [A-Za-z_0-9]+[^;()<]*\{/ {
  name = $1 == "enum" && $2 == "class" ? $3 : $2
  sub(/[:<{].*/, "", name)
  found(name)
}
/^(inline|template <.*> inline) .*\(.*\{$/ { found($0) }

function found(name,   key) {
  key = space "::" name
  if (key in where && where[key] != FILENAME) {
    print where[key] " and " FILENAME ": both define " substr(key, 3)
    failed = 1
  }
  where[key] = FILENAME
}

END { exit failed }
