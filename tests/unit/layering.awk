# Checks the includes in the headers given by their paths below include/; prints what is wrong and then exits with 1.
#
#   top           shared_dict.hpp, view.hpp and other public headers   may include everything
#   operations    detail/operations
#   mechanisms    detail/mechanisms, codec.hpp
#   bytes         detail/bytes
#   platform      detail/platform
#   everywhere    error.hpp options.hpp stats.hpp version.hpp          include only each other
#
# - An include goes to the same layer or a lower one, and to a header that exists. There are no cycles.
# - Only detail/platform asks for the operating system.

function problem(text) { print text; failed = 1 }

function layer_of(path) {
  if (path ~ /^shared_dict\/(error|options|stats|version)\.hpp$/) return 0
  if (path ~ /^shared_dict\/detail\/platform\//) return 1
  if (path ~ /^shared_dict\/detail\/bytes\//) return 2
  if (path ~ /^shared_dict\/detail\/mechanisms\// || path == "shared_dict/codec.hpp") return 3
  if (path ~ /^shared_dict\/detail\/operations\//) return 4
  if (path ~ /^shared_dict\/[^\/]*$/) return 5
  return -1
}

# "shared_dict/detail/bytes" and "../platform/file.hpp" make "shared_dict/detail/platform/file.hpp".
function resolve(folder, path) {
  if (path ~ /^shared_dict\//) return path
  while (sub(/^\.\.\//, "", path)) sub(/\/?[^\/]*$/, "", folder)
  return folder "/" path
}

function visit(path,    count, next_paths, i) {
  state[path] = "open"
  count = split(includes[path], next_paths, " ")
  for (i = 1; i <= count; ++i) {
    if (state[next_paths[i]] == "open") problem(path ": includes " next_paths[i] " in a cycle")
    else if (state[next_paths[i]] == "" && next_paths[i] in is_file) visit(next_paths[i])
  }
  state[path] = "done"
}

FNR == 1 {
  folder = FILENAME; sub(/\/[^\/]*$/, "", folder)
  is_file[FILENAME] = 1
  if (layer_of(FILENAME) < 0) problem(FILENAME ": belongs to no layer")
}
/^[ \t]*#[ \t]*include[ \t]*("|<shared_dict\/)/ {
  path = $0
  sub(/^[^"<]*["<]/, "", path); sub(/[">].*/, "", path)
  path = resolve(folder, path)
  includes[FILENAME] = includes[FILENAME] " " path
  if (layer_of(path) > layer_of(FILENAME)) problem(FILENAME ":" FNR ": includes " path " of a higher layer")
  wanted[path] = FILENAME ":" FNR
}
/^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)[^A-Za-z]/ && /_WIN32|_WIN64|__linux|__gnu_linux__|__APPLE__|__MACH__|__unix|__FreeBSD__|__CYGWIN__/ {
  if (layer_of(FILENAME) != 1) problem(FILENAME ":" FNR ": asks for the operating system outside detail/platform")
}
END {
  for (path in wanted) if (!(path in is_file)) problem(wanted[path] ": includes " path ", which does not exist")
  for (path in is_file) if (state[path] == "") visit(path)
  exit failed
}
