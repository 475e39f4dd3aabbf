#!/bin/bash
# Builds the libcurl that goes with an OpenSSL of packaging/openssl.sh: static, only what the agent uses. The
# distribution's brings the distribution's OpenSSL, and a process with two of them mixes their functions up.
#
#   packaging/curl.sh OPENSSL [DIR]    the last line of stdout is the prefix (lib/libcurl.a, include/curl)
#
# OPENSSL  prefix of the OpenSSL
# DIR      where sources and builds are kept (default: $MOORING_CACHE, $XDG_CACHE_HOME/mooring, ~/.cache/mooring)
#
# The source is Debian 13's package, with the security patches in it, its signature checked by apt.
set -euo pipefail

readonly series=8 suite=trixie
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/archive.sh
. "$here/archive.sh"
# shellcheck source=packaging/curl_recipe.sh
. "$here/curl_recipe.sh"

say() { echo "curl: $*" >&2; }
die() { echo "curl: $*" >&2; exit 1; }

build() {  # SOURCE PREFIX
  cmake -S "$1" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_C_COMPILER="${CC:-gcc}" -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3" \
    -DOPENSSL_ROOT_DIR="$openssl" -DCMAKE_INSTALL_PREFIX="$2" -DCMAKE_INSTALL_LIBDIR=lib "${curl_options[@]}"
  cmake --build "$work/build" -j "$(nproc)"
  rm -rf "$2"
  cmake --install "$work/build"
}

openssl=${1:-}
case $openssl in -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit ;; esac
[ -s "$openssl/lib/libssl.a" ] || die "no OpenSSL in '$openssl'"
cache=${2:-${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

recipe=$({ declare -f build; echo "${curl_options[*]} $openssl"; ${CC:-gcc} -dumpfullversion -dumpmachine; } | sha256sum | cut -c1-8)
current=$cache/curl-$recipe.prefix  # names the newest build of this recipe
exec 9>"$cache/curl.lock"
flock 9

built() { [ -s "$1/lib/libcurl.a" ]; }
if [ -s "$current" ] && built "$(cat "$current")"; then
  say "$(basename "$(cat "$current")") (built before)"
  cat "$current"
  exit
fi

work=$(mktemp -d "$cache/curl-work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
source="" version=""
if ! read_archive "$suite" || ! unpack_source curl "$series"; then die "no source of libcurl $series: apt's archive does not offer it"; fi
prefix=$cache/curl-$version-$recipe
if ! built "$prefix"; then
  say "building libcurl $version, once (about a minute on two cores)"
  (build "$source" "$prefix") >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; die "the build failed"; }
fi
echo "$prefix" >"$current"
say "libcurl $version in $SECONDS s"
echo "$prefix"
