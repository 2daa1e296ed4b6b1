#!/usr/bin/env bash
# Installs what building and testing needs and is missing (Debian, Ubuntu). Says nothing when nothing is missing.
#   cmake/setup.sh [PACKAGE...]     more packages, e.g. clang
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libboost-dev libcereal-dev catch2 libxxhash-dev "$@")

header() { compgen -G "/usr/include/$1" > /dev/null || compgen -G "/usr/local/include/$1" > /dev/null; }

# By what a package is for, where that is easy to see: it may have come in another way.
have() {
  case $1 in
    g++ | cmake | pkg-config | python3) command -v "$1" > /dev/null ;;
    clang) command -v clang++ > /dev/null ;;
    libclang-rt-dev) compgen -G "$(clang++ -print-resource-dir)/lib/*/libclang_rt.asan*.a" > /dev/null ;;
    ninja-build) command -v ninja > /dev/null ;;
    libboost-dev) header boost/interprocess/sync/file_lock.hpp ;;
    libcereal-dev) header cereal/cereal.hpp ;;
    catch2) header 'catch2/catch*.hpp' ;;
    libxxhash-dev) header xxhash.h ;;
    *) [[ $(dpkg-query -W -f '${Status}' "$1" 2> /dev/null) == "install ok installed" ]] ;;
  esac
}

find_missing() {
  missing=()
  local package
  for package in "${packages[@]}"; do
    have "$package" || missing+=("$package")
  done
}

fail() {
  echo "missing: ${missing[*]} (these are the names on Debian and Ubuntu); $1" >&2
  exit 1
}

find_missing
[ ${#missing[@]} -eq 0 ] && exit

command -v apt-get > /dev/null || fail "there is no apt-get to install them with"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || fail "installing them needs root, or sudo"
  as_root=(sudo)
  [ -t 0 ] || as_root=(sudo -n)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" < /dev/null >> "$log" 2>&1
}
echo "installing: ${missing[*]}"
# The package lists may be absent or out of date. Only then are they fetched.
if ! install && ! { "${as_root[@]}" apt-get update < /dev/null >> "$log" 2>&1 && install; }; then
  tail -n 20 "$log" >&2
  fail "apt-get could not install them"
fi
find_missing
[ ${#missing[@]} -eq 0 ] || fail "apt-get installed them, but they are not where they are expected"
