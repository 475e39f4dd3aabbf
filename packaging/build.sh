#!/bin/bash
# Makes Mooring's packages, .deb and .rpm, from packaging/contents. docs/packaging.md has the reasons.
#
#   packaging/build.sh            what is published: programs for every Linux, see packaging/libraries.sh --fetch
#   packaging/build.sh --system   a developer's package: the programs of build/release, for this distribution only
#
#   --arch A        amd64 or arm64 (default: both; --system: this machine's)
#   --version V     of the package (default: CMakeLists.txt); tests make neighbours of a version with it
#   --format F      deb or rpm (default: both)
#   --bin DIR       take mooring, mooring-net and mooring-docs from DIR (default: build/portable-ARCH/bin; --system:
#                   build/release/bin)
#   --output DIR    default: build/packages
#
# Prints the path of every package made. SOURCE_DATE_EPOCH is the last commit's time, unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "build: $*" >&2; }
die() { echo "build: $*" >&2; exit 1; }

system=0 version="" bin="" output=build/packages formats=() archs=()
while [ $# -gt 0 ]; do
  case $1 in
    --system) system=1 ;;
    --version) version=${2:?}; shift ;;
    --format) formats+=(--format "${2:?}"); shift ;;
    --arch) archs+=("${2:?}"); shift ;;
    --bin) bin=${2:?}; shift ;;
    --output) output=${2:?}; shift ;;
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit ;;
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
mkdir -p "$output"

# The programs of a build tree of its own. Nothing of this machine's libraries is seen: CMAKE_FIND_ROOT_PATH.
build_portable() {  # ARCH TARGET...
  local arch=$1 listing name version purl prefix bundled="" roots="" configs="" openssl=""
  shift
  listing=$(packaging/libraries.sh "$arch")
  MOORING_COMPILER=$(packaging/libraries.sh --compiler "$arch")
  while read -r name version purl prefix; do
    bundled+="$name $version $purl;"
    roots+="$prefix;"
    configs+="$prefix/lib/pkgconfig:"
    if [ "$name" = openssl ]; then openssl=$prefix; fi
  done <<<"$listing"
  case $arch in amd64) MOORING_PROCESSOR=x86_64 ;; arm64) MOORING_PROCESSOR=aarch64 ;; *) die "no such architecture: $arch" ;; esac
  export MOORING_COMPILER MOORING_PROCESSOR CCACHE_COMPILERCHECK=content  # a script, written anew, that names the version
  unset CCACHE_BASEDIR  # with it other paths would get into the programs than without
  PKG_CONFIG_LIBDIR=${configs%:} PKG_CONFIG_PATH="" cmake -S . -B "build/portable-$arch" -G Ninja \
    -DCMAKE_TOOLCHAIN_FILE="$PWD/packaging/portable.cmake" -DCMAKE_BUILD_TYPE=Release -DMOORING_TESTS=OFF \
    -DMOORING_OPENSSL=bundled -DOPENSSL_ROOT_DIR="$openssl" -DCMAKE_FIND_ROOT_PATH="${roots%;}" -DMOORING_BUNDLED="${bundled%;}" >&2
  cmake --build "build/portable-$arch" -j "${MOORING_JOBS:-$(nproc)}" --target "$@" >&2
}

stage() {  # STRIP FROM DOCS ARCH, what is inside on stdin: the programs without symbols, and what is written for the package
  local name
  mkdir -p "$work/$4/bin" "$work/$4/gen" "$work/$4/pack"
  for name in mooring mooring-net; do
    [ -x "$2/$name" ] || die "$2/$name is not there: build it first"
    "$1" --strip-all --remove-section=.comment -o "$work/$4/bin/$name" "$2/$name"
  done
  # It runs here, whatever the programs are for: manual pages and completions.
  [ -x "$3/mooring-docs" ] || die "$3/mooring-docs is not there: build it first"
  "$3/mooring-docs" "$work/$4/gen"
  cp packaging/copyright "$work/$4/gen/copyright"
  packaging/sbom.py --version "$version" --arch "$4" >"$work/$4/gen/sbom.cdx.json"
}

# What dpkg-shlibdeps finds. It wants a source package around it.
system_depends() {  # ARCH
  local found
  mkdir -p "$work/shlibs/debian"
  printf 'Source: mooring\n\nPackage: mooring\nArchitecture: any\n' >"$work/shlibs/debian/control"
  found=$(cd "$work/shlibs" && dpkg-shlibdeps -O "$work/$1"/bin/* 2>"$work/log") || { cat "$work/log" >&2; die "dpkg-shlibdeps failed"; }
  echo "${found#*Depends=}"
}

pack() {  # ARCH DEPENDS
  packaging/package.py --bin "$work/$1/bin" --gen "$work/$1/gen" --work "$work/$1/pack" --output "$output" \
    --arch "$1" --version "$version" --depends "$2" "${formats[@]}"
}

if [ $system = 1 ]; then
  arch=$(dpkg --print-architecture)
  bin=${bin:-build/release/bin}
  "$bin/mooring" version --deps | awk 'NR > 1 { print $1, $NF, "pkg:generic/" $1 "@" $NF }' | stage strip "$bin" "$bin" "$arch"
  echo "The libraries are the distribution's: see the copyright files of its packages." >"$work/$arch/gen/libraries-licences"
  pack "$arch" "$(system_depends "$arch")"
  exit
fi
[ ${#archs[@]} -gt 0 ] || archs=(amd64 arm64)
native=$(dpkg --print-architecture)
[ -n "$bin" ] || build_portable "$native" mooring-docs
for arch in "${archs[@]}"; do
  [ -n "$bin" ] || build_portable "$arch" mooring mooring-net
  packaging/libraries.sh "$arch" |
    stage llvm-strip-19 "${bin:-build/portable-$arch/bin}" "${bin:-build/portable-$native/bin}" "$arch"
  packaging/libraries.sh "$arch" | packaging/notices.sh >"$work/$arch/gen/libraries-licences"
  pack "$arch" "libc6 (>= 2.17)"
done
