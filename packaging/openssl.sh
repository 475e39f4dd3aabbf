#!/bin/bash
# Builds the OpenSSL that releases are linked with: 3.5 LTS, static, only what the agent uses.
#
#   packaging/openssl.sh [--refresh] [DIR]    the last line of stdout is the prefix (lib/libssl.a, include/openssl)
#
# DIR        where sources and builds are kept (default: $MOORING_CACHE, $XDG_CACHE_HOME/mooring, ~/.cache/mooring)
# --refresh  asks the archive again whether there is a newer 3.5.x; without it the last build is used as it is
#
# The source is Debian 13's package, with the security patches in it, from the mirrors that this machine's own apt
# sources name, its signature checked by apt. Where apt offers none: the crate openssl-src 300.5 (the same LTS).
set -euo pipefail

readonly series=3.5 suite=trixie crate=300.5
readonly nowhere=/nonexistent/openssl  # compiled into the libraries: neither this machine's paths nor anything to read
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/archive.sh
. "$here/archive.sh"
# shellcheck source=packaging/openssl_recipe.sh
. "$here/openssl_recipe.sh"
if [ "$(uname -m)" = x86_64 ]; then configure+=(-fcf-protection); fi

say() { echo "openssl: $*" >&2; }
die() { echo "openssl: $*" >&2; exit 1; }

build() {  # SOURCE PREFIX
  cd "$1"
  CC="$(command -v ccache || true) ${CC:-gcc}" ./config --prefix=$nowhere --openssldir=$nowhere "${configure[@]}"
  make -j"$(nproc)" build_libs
  make install_dev DESTDIR="$work/root"
  sed -i "s|^prefix=.*|prefix=$2|" "$work/root$nowhere"/lib/pkgconfig/*.pc
  rm -rf "$2" "$work/root$nowhere/lib/cmake"
  mv "$work/root$nowhere" "$2"
}

source_from_apt() { read_archive "$suite" && unpack_source openssl "$series"; }

source_from_cargo() {
  command -v cargo >/dev/null || return 1
  mkdir -p "$work/crate/src"
  : >"$work/crate/src/lib.rs"
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\n[dependencies]\nopenssl-src = "~%s"\n' "$crate" >"$work/crate/Cargo.toml"
  (cd "$work/crate" && cargo vendor --versioned-dirs -q) >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; return 1; }
  source=$(find "$work/crate/vendor" -mindepth 2 -maxdepth 2 -type d -path '*/openssl-src-*/openssl' -print -quit)
  [ -n "$source" ] || return 1
  version=$(basename "$(dirname "$source")")
  version=${version#*+}-crate
}

refresh=0
if [ "${1:-}" = --refresh ]; then refresh=1; shift; fi
case ${1:-} in -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;; -*) die "unknown option $1" ;; esac
cache=${1:-${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

recipe=$({ declare -f build shrink_connections; echo "${configure[@]}"; ${CC:-gcc} -dumpfullversion -dumpmachine; } | sha256sum | cut -c1-8)
current=$cache/openssl-$recipe.prefix  # names the newest build of this recipe
exec 9>"$cache/openssl.lock"
flock 9

built() { [ -s "$1/lib/libssl.a" ] && [ -s "$1/lib/libcrypto.a" ]; }
if [ $refresh = 0 ] && [ -s "$current" ] && built "$(cat "$current")"; then
  say "$(basename "$(cat "$current")") (built before)"
  cat "$current"
  exit
fi

work=$(mktemp -d "$cache/openssl-work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
source="" version=""
source_from_apt || source_from_cargo || die "no source of OpenSSL $series: neither apt's archive nor cargo offers it"
prefix=$cache/openssl-$version-$recipe
if ! built "$prefix"; then
  say "building OpenSSL $version, once (about three minutes on two cores)"
  shrink_connections "$source"
  (build "$source" "$prefix") >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; die "the build failed"; }
fi
echo "$prefix" >"$current"
say "OpenSSL $version in $SECONDS s"
echo "$prefix"
