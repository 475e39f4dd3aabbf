#!/bin/bash
# The compiler and the libraries of the portable build: one set of programs for every Linux with glibc 2.17 or newer.
#
#   packaging/libraries.sh --fetch     brings compiler and sources into the cache (needs the network)
#   packaging/libraries.sh --refresh   the same, asking again for newer versions of the sources
#   packaging/libraries.sh amd64|arm64 builds the libraries, once; prints "NAME VERSION PURL PREFIX" of each
#   packaging/libraries.sh --compiler amd64|arm64   prints the folder of cc, c++, ar and ranlib
#
# Compiler: zig, from PyPI; it brings clang, libc++ and the headers of every glibc. Sources: Debian's source packages,
# security patches included. What is headers only comes from the packages that the everyday build uses.
# MOORING_CACHE  where all of it is kept (default: $XDG_CACHE_HOME/mooring or ~/.cache/mooring)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/archive.sh
. "$here/archive.sh"
# shellcheck source=packaging/openssl_recipe.sh
. "$here/openssl_recipe.sh"
# shellcheck source=packaging/curl_recipe.sh
. "$here/curl_recipe.sh"

# The hashes of the wheel, for the machines that build: PyPI may not give us anything else.
readonly zig=0.17.1 glibc=2.17
readonly zig_sha256_x86_64=ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54

# NAME     SOURCE   SUITE     SERIES  What reads bytes of the network is the newest stable release's; what has to agree
# with the headers or generators that the everyday build uses, and so with what the tests ran, is its own release's.
readonly libraries="
openssl    openssl  trixie    3.5
libuv      libuv1   trixie    1
nghttp2    nghttp2  trixie    1
protobuf   protobuf bookworm  3
curl       curl     trixie    8
yaml-cpp   yaml-cpp bookworm  0
re2        re2      bookworm  20220601
fmt        fmtlib   bookworm  9
spdlog     spdlog   bookworm  1:1
"
# What is headers or C source only.
readonly headers="
cli11          libcli11-dev
tl-expected    libexpected-dev
nlohmann-json  nlohmann-json3-dev
tomlplusplus   libtomlplusplus-dev
llhttp         node-llhttp
"
readonly nowhere=/nonexistent/openssl  # as in packaging/openssl.sh

cache=${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}
say() { echo "libraries: $*" >&2; }
die() { echo "libraries: $*" >&2; exit 1; }

# ---- fetching

fetch_zig() {
  local machine unpacked wanted="ziglang==$zig" check=()
  [ ! -x "$cache/zig-$zig/ziglang/zig" ] || return 0
  machine=$(uname -m)
  say "fetching zig $zig (100 MB)"
  unpacked=$(mktemp -d "$cache/zig.XXXXXX")
  if [ "$machine" = x86_64 ]; then check=(--require-hashes); wanted="$wanted --hash=sha256:$zig_sha256_x86_64"; fi
  echo "$wanted" >"$unpacked/requirements"
  /usr/bin/python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
    --only-binary :all: "${check[@]}" --target "$unpacked" -r "$unpacked/requirements" ||
    { rm -rf "$unpacked"; die "zig $zig could not be fetched from PyPI"; }
  mv "$unpacked" "$cache/zig-$zig"
}

# zig's runtime has stand-ins for the stack protector, which win over glibc's wherever any other part of the runtime is
# linked in: on arm64 the canary would then be a constant that everybody knows.
leave_canary_to_glibc() {
  local file=$cache/zig-$zig/ziglang/lib/compiler_rt/ssp.zig
  grep -q '&__stack_chk_' "$file" || return 0
  sed -i '/^    symbol(&__stack_chk_/d' "$file"
  ! grep -q '&__stack_chk_' "$file" || die "zig $zig exports its canary in another way than this script knows"
}

fetch_sources() {  # all that are not there, or every one with --refresh
  local name package suite series wanted=() row
  while read -r row; do
    [ -n "$row" ] || continue
    read -r name package suite series <<<"$row"
    if [ $refresh = 1 ] || [ ! -s "$(pointer "$name" "$series")" ]; then wanted+=("$row"); fi
  done <<<"$libraries"
  [ ${#wanted[@]} -gt 0 ] || return 0
  for suite in trixie bookworm; do
    read_archive "$suite" || die "apt offers no sources here; see packaging/dependencies.sh package"
    for row in "${wanted[@]}"; do
      read -r name package of series <<<"$row"
      [ "$of" = "$suite" ] || continue
      unpack_source "$package" "$series" || die "no source of $name $series in $suite"
      store_source "$name" "$series"
    done
  done
}

pointer() { echo "$cache/source/$1-${2//:/-}.version"; }  # NAME SERIES: the file that names the newest

store_source() {  # NAME SERIES: what unpack_source left
  local target=$cache/source/$1-${version#*:}
  say "$1 $version"
  mkdir -p "$cache/source"
  if [ ! -d "$target" ]; then
    sha256sum "$work"/source/*.dsc | cut -d' ' -f1 >"$source/.dsc-sha256"
    mv "$source" "$target"
  fi
  echo "${version#*:}" >"$(pointer "$1" "$2")"
}

# ---- compiler

# By these names CMake and OpenSSL take the compiler for an ordinary clang. -fno-sanitize=undefined: zig adds traps.
# No path of this machine gets into the programs, so that another machine makes the same bytes.
write_compiler() {  # ARCH
  local triple=${machine_of[$1]}-linux-gnu.$glibc tool hardening="${hardening_of[$1]}"
  compiler=$cache/zig-$zig/$1
  mkdir -p "$compiler"
  for tool in cc c++; do
    cat >"$compiler/.$tool.$$" <<END
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR='$cache/zig-cache' ZIG_LOCAL_CACHE_DIR='$cache/zig-cache'
exec '$cache/zig-$zig/ziglang/zig' $tool -target $triple -fno-sanitize=undefined $hardening \\
  -ffile-prefix-map='$cache=/build' "\$@"
END
  done
  for tool in ar ranlib; do
    printf "#!/bin/sh\nexec '%s' %s \"\$@\"\n" "$cache/zig-$zig/ziglang/zig" "$tool" >"$compiler/.$tool.$$"
  done
  for tool in cc c++ ar ranlib; do
    chmod 755 "$compiler/.$tool.$$"
    mv "$compiler/.$tool.$$" "$compiler/$tool"
  done
}
declare -A machine_of=([amd64]=x86_64 [arm64]=aarch64)
# Control-flow protection of the processor, ignored by those that have none.
declare -A hardening_of=([amd64]=-fcf-protection [arm64]=-mbranch-protection=standard)

# ---- libraries: build_NAME SOURCE, into $root$prefix

with_cmake() {  # SOURCE OPTION...
  local from=$1 build=$work/build
  shift
  cmake -S "$from" -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/portable.cmake" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_FLAGS_RELEASE="$flags -ffile-prefix-map=$work=/build" -DCMAKE_CXX_FLAGS_RELEASE="$flags -ffile-prefix-map=$work=/build" -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib "$@"
  cmake --build "$build" -j "$(nproc)"
  DESTDIR=$root cmake --install "$build"
}

build_openssl() {
  shrink_connections "$1"
  cd "$1"
  # The library keeps the name of its compiler: without the path.
  export PATH=$compiler:$PATH
  CC=cc AR=ar RANLIB=ranlib ./Configure "linux-${machine_of[$arch]}" \
    --prefix=$nowhere --openssldir=$nowhere "${configure[@]}" -fno-sanitize=undefined -ffunction-sections -fdata-sections
  make -j"$(nproc)" build_libs
  make install_dev DESTDIR="$work/openssl"
  rm -rf "$work/openssl$nowhere/lib/cmake"
  sed -i "s|^prefix=.*|prefix=$prefix|" "$work/openssl$nowhere"/lib/pkgconfig/*.pc
  mkdir -p "$(dirname "$root$prefix")"
  mv "$work/openssl$nowhere" "$root$prefix"
}
build_libuv() {
  with_cmake "$1" -DLIBUV_BUILD_SHARED=OFF -DLIBUV_BUILD_TESTS=OFF
  # Its own names the archive in a way that zig's linker does not know.
  sed 's/^Name: .*/Name: libuv/; s/-l:libuv.a/-luv/' "$root$prefix/lib/pkgconfig/libuv-static.pc" >"$root$prefix/lib/pkgconfig/libuv.pc"
}
build_nghttp2() {
  with_cmake "$1" -DENABLE_LIB_ONLY=ON -DBUILD_STATIC_LIBS=ON -DENABLE_DOC=OFF
}
build_protobuf() {  # the runtime alone: the everyday build's compiler generates
  with_cmake "$1" -Dprotobuf_BUILD_PROTOC_BINARIES=OFF -Dprotobuf_BUILD_LIBPROTOC=OFF -Dprotobuf_BUILD_TESTS=OFF -Dprotobuf_WITH_ZLIB=OFF
}
build_curl() {
  local openssl
  openssl=$(prefix_of openssl)
  with_cmake "$1" -DOPENSSL_ROOT_DIR="$openssl" -DCMAKE_FIND_ROOT_PATH="$openssl" "${curl_options[@]}"
  # shellcheck disable=SC2016  # pkg-config's own variable
  sed -i 's/^Libs: .*/Libs: -L${libdir} -lcurl/; /^Requires/d' "$root$prefix/lib/pkgconfig/libcurl.pc"
}
build_yaml-cpp() { with_cmake "$1" -DYAML_CPP_BUILD_TESTS=OFF -DYAML_CPP_BUILD_TOOLS=OFF -DYAML_CPP_BUILD_CONTRIB=OFF -DYAML_BUILD_SHARED_LIBS=OFF; }
build_re2() {
  # Debian's source comes without its tables; they are made of the distribution's Unicode data, as Debian makes them.
  make -C "$1" REBUILD_TABLES=1 re2/perl_groups.cc re2/unicode_casefold.cc re2/unicode_groups.cc
  with_cmake "$1" -DRE2_BUILD_TESTING=OFF
  mkdir -p "$root$prefix/lib/pkgconfig"
  printf 'Name: re2\nDescription: regular expressions\nVersion: %s\nLibs: -L%s/lib -lre2\nCflags: -I%s/include\n' \
    "${version%%[+-]*}" "$prefix" "$prefix" >"$root$prefix/lib/pkgconfig/re2.pc"
}
build_fmt() { with_cmake "$1" -DFMT_TEST=OFF -DFMT_DOC=OFF; }
build_spdlog() {
  with_cmake "$1" -DSPDLOG_FMT_EXTERNAL=ON -DSPDLOG_BUILD_EXAMPLE=OFF -DSPDLOG_BUILD_TESTS=OFF \
    -DCMAKE_PREFIX_PATH="$(prefix_of fmt)" -DCMAKE_FIND_ROOT_PATH="$(prefix_of fmt)"
}

prefix_of() { sed -n "s/^$1 .* //p" <<<"$built"; }

build_one() {  # NAME PACKAGE SERIES: adds its line to $built
  local name=$1 version source key root prefix
  version=$(cat "$(pointer "$name" "$3")")
  source=$cache/source/$name-$version
  key=$({ declare -f "build_$name" with_cmake write_compiler shrink_connections
          echo "$flags ${configure[*]} ${curl_options[*]} ${hardening_of[$arch]} $zig $glibc $built"; cat "$here/portable.cmake"; } | sha256sum | cut -c1-8)
  prefix=$cache/portable/$arch/$name-$version-$key
  if [ ! -e "$prefix/dsc-sha256" ]; then
    local began=$SECONDS
    work=$(mktemp -d "$cache/library.XXXXXX")
    root=$work/root
    cp -a "$source" "$work/src"
    # Not "(...) || die", which would let every command of the recipe but the last one fail.
    "build_$name" "$work/src" >"$work/log" 2>&1 &
    wait $! || { tail -n 40 "$work/log" >&2; die "$name for $arch failed"; }
    cp "$source/.dsc-sha256" "$root$prefix/dsc-sha256"
    mkdir -p "$(dirname "$prefix")"
    rm -rf "$prefix"
    mv "$root$prefix" "$prefix"
    rm -rf "$work"
    say "$name $version for $arch in $((SECONDS - began)) s"
  fi
  built+="$name $version pkg:deb/debian/$2@$version?arch=source $prefix"$'\n'
}

# The headers of installed packages, away from /usr/include, whose glibc is not the one we build for.
copy_headers() {
  local name package version prefix file key
  key=$(declare -f copy_headers | sha256sum | cut -c1-8)
  while read -r name package; do
    [ -n "$name" ] || continue
    version=$(dpkg-query -W -f '${Version}' "$package") || die "$package is not installed"
    prefix=$cache/portable/headers/$package-$version-$key
    if [ ! -d "$prefix" ]; then
      rm -rf "$prefix.new"
      dpkg -L "$package" | grep -E '^/usr/(include|share/(cmake|include|llhttp))/' | while read -r file; do
        if [ -f "$file" ]; then install -D -m 644 "$file" "$prefix.new$file"; fi
      done
      # Debian's own names the compiled library, which is for its compiler.
      if [ "$package" = libtomlplusplus-dev ]; then
        mkdir -p "$prefix.new/lib/pkgconfig"
        printf 'Name: tomlplusplus\nDescription: headers only\nVersion: %s\nCflags: -I%s/usr/include\n' "${version%%[+-]*}" "$prefix" \
          >"$prefix.new/lib/pkgconfig/tomlplusplus.pc"
      fi
      mv "$prefix.new" "$prefix"
    fi
    built+="$name $version pkg:deb/debian/$package@$version $prefix"$'\n'
  done <<<"$headers"
}

refresh=0
case ${1:-} in
  --fetch) ;;
  --refresh) refresh=1 ;;
  --compiler) arch=${2:-} ;;
  amd64 | arm64) arch=$1 ;;
  -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit ;;
  *) die "unknown argument '${1:-}' (see --help)" ;;
esac
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=""
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
exec 9>"$cache/libraries.lock"
flock 9

work=$(mktemp -d "$cache/library.XXXXXX")
fetch_zig
leave_canary_to_glibc
fetch_sources
rm -rf "$work"
[ -n "${arch:-}" ] || exit 0
write_compiler "$arch"
exec 9>"$cache/libraries-$arch.lock"
flock 9
if [ "$1" = --compiler ]; then echo "$compiler"; exit; fi

if [ "$arch" = amd64 ]; then configure+=(-fcf-protection); fi
flags="-O2 -DNDEBUG -fPIC -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
flags+=" -ftrivial-auto-var-init=zero -ffunction-sections -fdata-sections"
export SOURCE_DATE_EPOCH=1  # OpenSSL keeps the time of its build as well
export MOORING_COMPILER=$compiler MOORING_PROCESSOR=${machine_of[$arch]}
built=""
while read -r name package _ series; do
  if [ -n "$name" ]; then build_one "$name" "$package" "$series"; fi
done <<<"$libraries"
exec 8>"$cache/libraries.lock"
flock 8  # they are of both architectures
copy_headers
printf 'libc++ %s pkg:pypi/ziglang@%s %s\n%s' "$zig" "$zig" "$cache/zig-$zig" "$built"
