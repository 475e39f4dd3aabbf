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
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Nothing is loaded at run time: no configuration, no modules, no engines.
configure=(
  no-shared no-module no-autoload-config no-legacy no-engine no-dso no-async no-ui-console
  no-quic no-dtls no-sctp no-ssl3 no-tls1 no-tls1_1 no-srtp no-nextprotoneg no-comp no-psk no-srp no-ct no-ocsp
  no-tests no-apps no-docs no-cms no-ts no-cmp no-rfc3779 no-ec2m no-gost no-ml-dsa no-slh-dsa
  no-idea no-camellia no-seed no-aria no-sm2 no-sm3 no-sm4 no-rc2 no-rc4 no-bf no-cast no-whirlpool no-mdc2 no-md4
  --libdir=lib -O3 -fPIC -fstack-protector-strong -fstack-clash-protection)
if [ "$(uname -m)" = x86_64 ]; then configure+=(-fcf-protection); fi

say() { echo "openssl: $*" >&2; }
die() { echo "openssl: $*" >&2; exit 1; }

# A connection keeps an array of SSL_MAX_PIPELINES records each way; only hardware engines ever used more than one.
shrink_connections() {  # SOURCE
  local header
  header=$(grep -rlE '^# *define SSL_MAX_PIPELINES +32$' "$1/include" "$1/ssl") || die "SSL_MAX_PIPELINES has moved"
  sed -i -E 's/^(# *define SSL_MAX_PIPELINES +)32$/\11/' "$header"
}

build() {  # SOURCE PREFIX
  cd "$1"
  CC="$(command -v ccache || true) ${CC:-gcc}" ./config --prefix=$nowhere --openssldir=$nowhere "${configure[@]}"
  make -j"$(nproc)" build_libs
  make install_dev DESTDIR="$work/root"
  sed -i "s|^prefix=.*|prefix=$2|" "$work/root$nowhere"/lib/pkgconfig/*.pc
  rm -rf "$2" "$work/root$nowhere/lib/cmake"
  mv "$work/root$nowhere" "$2"
}

private_apt() {  # COMMAND...: apt with lists and sources of its own
  local tool=$1
  shift
  "$tool" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/apt" -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

write_sources() {
  local uri of
  # shellcheck disable=SC2016  # apt's own placeholders
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
    while read -r uri of; do
      case $of in
        *-updates) of=-updates ;;
        *-security | */updates) of=-security ;;
        *-*) continue ;;
        *) of="" ;;
      esac
      echo "deb-src [signed-by=$keyring] $uri $suite$of main"
    done | sort -u >"$work/sources.list"
  [ -s "$work/sources.list" ]
}

# Leaves the unpacked source in $source and its version in $version.
source_from_apt() {
  command -v apt-get >/dev/null && command -v dpkg-source >/dev/null && [ -r "$keyring" ] || return 1
  mkdir -p "$work/lists/partial" "$work/apt/archives/partial" "$work/source"
  write_sources || return 1
  # Repositories of others have no such suite or another key: what counts is whether the package is there.
  private_apt apt-get update >"$work/log" 2>&1 || true
  local candidates
  candidates=$(private_apt apt-cache showsrc --only-source openssl 2>/dev/null |
    sed -n "s/^Version: \($series\..*\)/\1/p" | sort -Vru)
  for version in $candidates; do
    # A point release vanishes from the pool before it vanishes from the index: then the one before it.
    if (cd "$work/source" && private_apt apt-get source "openssl=$version") >>"$work/log" 2>&1; then
      source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'openssl-*' -print -quit)
      [ -n "$source" ] && return 0
    fi
    rm -rf "${work:?}/source" && mkdir "$work/source"
  done
  tail -n 5 "$work/log" >&2
  return 1
}

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
