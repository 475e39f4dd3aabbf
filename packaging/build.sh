#!/bin/bash
# Makes Mooring's packages, .deb and .rpm, from packaging/contents. docs/packaging.md has the reasons.
#
#   packaging/build.sh --system   a developer's package: the programs of build/release, for this distribution only
#
#   --version V     of the package (default: CMakeLists.txt); tests make neighbours of a version with it
#   --format F      deb or rpm (default: both)
#   --bin DIR       take mooring, mooring-net and mooring-docs from DIR (default for --system: build/release/bin)
#   --output DIR    default: build/packages
#
# Prints the path of every package made. SOURCE_DATE_EPOCH is the last commit's time, unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "build: $*" >&2; }
die() { echo "build: $*" >&2; exit 1; }

system=0 version="" bin="" output=build/packages formats=()
while [ $# -gt 0 ]; do
  case $1 in
    --system) system=1 ;;
    --version) version=${2:?}; shift ;;
    --format) formats+=(--format "${2:?}"); shift ;;
    --bin) bin=${2:?}; shift ;;
    --output) output=${2:?}; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;;
    *) die "unknown argument '$1' (see --help)" ;;
  esac
  shift
done
version=${version:-$(sed -n 's/^project(mooring VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$output" "$work/bin" "$work/gen" "$work/pack"

strip_into() {  # STRIP FROM TO: the programs without symbols
  local name
  for name in mooring mooring-net; do
    [ -x "$2/$name" ] || die "$2/$name is not there: build it first"
    "$1" --strip-all -o "$3/$name" "$2/$name"
  done
}

generate_docs() {  # FOLDER of a mooring-docs that runs here: manual pages and completions
  [ -x "$1/mooring-docs" ] || die "$1/mooring-docs is not there: build it first"
  "$1/mooring-docs" "$work/gen"
}

# What dpkg-shlibdeps finds, one --depends each. It wants a source package around it.
system_depends() {
  local found
  mkdir -p "$work/shlibs/debian"
  printf 'Source: mooring\n\nPackage: mooring\nArchitecture: any\n' >"$work/shlibs/debian/control"
  found=$(cd "$work/shlibs" && dpkg-shlibdeps -O "$work"/bin/* 2>"$work/log") || { cat "$work/log" >&2; die "dpkg-shlibdeps failed"; }
  found=${found#*Depends=}
  echo "--depends=$found"
}

if [ $system = 1 ]; then
  bin=${bin:-build/release/bin}
  strip_into strip "$bin" "$work/bin"
  generate_docs "$bin"
  cp packaging/copyright "$work/gen/copyright"
  packaging/package.py --bin "$work/bin" --gen "$work/gen" --work "$work/pack" --output "$output" \
    --arch "$(dpkg --print-architecture)" --version "$version" "$(system_depends)" "${formats[@]}"
  exit
fi
die "only --system is there (see --help)"
