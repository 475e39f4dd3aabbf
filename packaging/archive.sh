# shellcheck shell=bash
# Sources of libraries from Debian's archive, signatures checked by apt. To be sourced; needs $work, a scratch folder.
#
# They come from the mirrors that this machine's own apt sources name, of the suite asked for, security included.
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# shellcheck disable=SC2154  # work: see above
private_apt() {  # COMMAND...: apt with lists and sources of its own
  local tool=$1
  shift
  "$tool" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/apt" -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

write_sources() {  # SUITE...
  local uri of one
  # shellcheck disable=SC2016  # apt's own placeholders
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
    while read -r uri of; do
      case $of in
        *-updates) of=-updates ;;
        *-security | */updates) of=-security ;;
        *-*) continue ;;
        *) of="" ;;
      esac
      for one in "$@"; do echo "deb-src [signed-by=$keyring] $uri $one$of main"; done
    done | sort -u >"$work/sources.list"
  [ -s "$work/sources.list" ]
}

read_archive() {  # SUITE...: their lists of sources
  command -v apt-get >/dev/null && command -v dpkg-source >/dev/null && [ -r "$keyring" ] || return 1
  mkdir -p "$work/lists/partial" "$work/apt/archives/partial"
  write_sources "$@" || return 1
  # Repositories of others have no such suite or another key: what counts is whether the package is there.
  private_apt apt-get update >"$work/log" 2>&1 || true
}

# Leaves the newest unpacked source of the series in $source and its version in $version.
unpack_source() {  # PACKAGE SERIES, such as openssl 3.5, or re2 20220601 where a version is a date
  local candidates
  candidates=$(private_apt apt-cache showsrc --only-source "$1" 2>/dev/null |
    sed -n "s/^Version: \($2[.+].*\)/\1/p" | sort -Vru)
  for version in $candidates; do
    rm -rf "${work:?}/source" && mkdir "$work/source"
    # A point release vanishes from the pool before it vanishes from the index: then the one before it.
    if (cd "$work/source" && private_apt apt-get source "$1=$version") >>"$work/log" 2>&1; then
      source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -print -quit)
      [ -n "$source" ] && return 0
    fi
  done
  tail -n 5 "$work/log" >&2
  return 1
}
