# The cross compiler and wine, for scripts that have set `build`: sets `compiler`, `wine`, `log` (a file), `place` (a directory for
# dictionaries and temporary files) and what wine needs, all of which goes when the script ends. Ends it with status 77 where something
# is missing.
compiler=x86_64-w64-mingw32-g++-posix
wine=$(PATH=$PATH:/usr/lib/wine command -v wine64 || true)
if ! command -v $compiler > /dev/null || [ -z "$wine" ]; then
  echo "skipped: needs $compiler and wine64 (Debian and Ubuntu: g++-mingw-w64-x86-64-posix and wine64)"
  exit 77
fi
mkdir -p "$build/include"
build=$(cd "$build" && pwd)

# The headers of the C library beside these aren't the cross compiler's.
for header in boost cereal catch2 xxhash.h; do
  for prefix in /usr/local/include /usr/include; do
    [ ! -e $prefix/$header ] || ln -sfn $prefix/$header "$build/include/$header"
  done
done

work=$(mktemp -d)
log=$work/log
place=$work/place
mkdir "$place"
as_windows() { printf 'Z:%s' "${1//\//\\}"; }
export WINEPREFIX=$work/wine WINEDEBUG=-all
SHARED_DICT_DIR=$(as_windows "$place")
export SHARED_DICT_DIR
# The server of wine would stay for a moment.
finish() {
  "$(dirname "$wine")/wineserver" -k > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
fail() {
  echo "FAILED: $1" >&2
  tail -n 200 "$log" >&2
  exit 1
}
