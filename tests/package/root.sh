#!/bin/bash
# A Debian root with systemd, made once and kept in the cache; tests put an overlay on it.
#
#   root.sh SUITE [PACKAGE...]   prints the folder of the root: bullseye, bookworm or trixie, with PACKAGEs too
#
# MOORING_CACHE  as in packaging/dependencies.sh
set -euo pipefail

readonly cache=${MOORING_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mooring}/roots
readonly mirror=http://deb.debian.org keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suite=${1:?}
shift
# What a host has, what the tests look at it with, and the neighbours that they try.
packages="systemd,systemd-sysv,dbus,udev,init-system-helpers,passwd,procps,iproute2,nftables,iptables,curl,openssl,python3-minimal
needrestart,firewalld,rpm"
packages=$(printf '%s,' $packages "$@")

sources=()
for part in "debian $suite" "debian-security $suite-security"; do
  sources+=("deb [signed-by=$keyring] $mirror/$part main")
done

sum=$({ echo "$packages"; cat "$0"; } | sha256sum | cut -c1-12)
root=$cache/$suite-systemd-$sum
if [ ! -e "$root" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/$suite.lock"
  flock 9
  if [ ! -e "$root" ]; then
    work=$(mktemp -d "$cache/new.XXXXXX")
    # A namespace for its mounts, and of its processes, so that they end with it: whatever happens to this script, below
    # the folder that it removes there is never a /proc, a /sys or a /dev of the machine.
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    # shellcheck disable=SC2016  # expanded by mmdebstrap
    unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc \
      mmdebstrap --variant=minbase --skip=check/empty --include="$packages" \
      --customize-hook='chroot "$1" systemctl disable firewalld nftables' --customize-hook='chroot "$1" apt-get clean' \
      "$suite" "$work/root" "${sources[@]}" >"$cache/$suite.log" 2>&1 || { tail -n 30 "$cache/$suite.log" >&2; exit 1; }
    # Every host gets a name and an identity of its own.
    rm -f "$work/root/etc/hostname"
    : >"$work/root/etc/machine-id"
    mv "$work/root" "$root"
  fi
fi
echo "$root"
