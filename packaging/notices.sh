#!/bin/bash
# Prints the licences of what is linked in, which whoever passes the programs on has to pass on as well.
#
#   packaging/libraries.sh ARCH | packaging/notices.sh
#
# Upstream's own text where there is a source, else what Debian's package says.
set -euo pipefail
shopt -s nullglob nocaseglob

cache=${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}
die() { echo "notices: $*" >&2; exit 1; }

while read -r name version purl prefix; do
  case $purl in
    pkg:pypi/ziglang@*) texts=("$prefix"/ziglang/lib/libcxx/license* "$prefix"/ziglang/license*) ;;  # and compiler-rt
    pkg:deb/*arch=source) texts=("$cache/source/$name-$version"/{license,copying}*) ;;
    pkg:deb/debian/*) package=${purl#pkg:deb/debian/} texts=(/usr/share/doc/"${package%@*}"/copyright*) ;;
    *) die "no way to the licence of $name, $purl" ;;
  esac
  [ ${#texts[@]} -gt 0 ] || die "no licence of $name $version is there"
  printf '\n======== %s %s\n' "$name" "$version"
  for text in "${texts[@]}"; do
    case $text in *-docs) continue ;; esac  # libuv's manual is not linked in
    [ -f "$text" ] || continue  # a folder for the files that have other licences, which are not linked in
    echo
    cat "$text"
  done
done
