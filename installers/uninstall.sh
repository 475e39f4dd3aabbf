#!/bin/sh
# Takes Mooring off a host by its package manager. Capture ends first and live connections may finish. Configuration,
# identity and logs stay, unless --purge is given; then nothing stays, the repository's entry and key included.
#
#   uninstall.sh [--purge] [--dry-run]
#
# At the end the host is compared with what Mooring may have left on it (verify-host), and that is the exit code:
# 0 nothing is left that should not be; 1 failed or something is left; 2 wrong usage.
set -eu

say() { echo "uninstall: $*"; }
die() { echo "uninstall: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

purge=0 dry=0
for argument; do
  case $argument in
    --purge) purge=1 ;;
    --dry-run) dry=1 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "uninstall: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done
[ $dry = 1 ] || [ "$(id -u)" = 0 ] || die "run as root, or with --dry-run"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

# The package takes its own copy away with it.
for check in /usr/libexec/mooring/verify-host "$(dirname "$0")/verify-host"; do
  if [ -f "$check" ]; then cp "$check" "$scratch/verify-host"; break; fi
done

act() {  # WORDS COMMAND...
  what=$1
  shift
  if [ $dry = 1 ]; then say "would $what"; return; fi
  say "$what"
  "$@" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log" >&2; die "failed to $what"; }
}

in_dpkg() {
  case $(dpkg-query -W -f '${Status}' mooring 2>/dev/null) in
    '' | *' not-installed') false ;;
    *' config-files') [ $purge = 1 ] ;;  # removed before
  esac
}
in_rpm() { has rpm && rpm -q mooring >/dev/null 2>&1; }

# What rpm has no purge for. The deb's own purge (packaging/scripts/common) does the same.
state="/etc/mooring /var/lib/mooring /var/lib/mooring-net /var/log/mooring /run/mooring /etc/systemd/system/mooringd.service.d
  /etc/systemd/system/mooring-net.service.d /etc/sysconfig/mooring /etc/sysconfig/mooring.rpmsave"
users="mooring-net mooring"
has_state() {
  for path in $state; do [ ! -e "$path" ] || return 0; done
  for name in $users; do ! grep -q "^$name:" /etc/passwd /etc/group || return 0; done
  return 1
}
forget_state() {
  # shellcheck disable=SC2086  # paths without blanks, ours
  rm -rf $state
  for name in $users; do
    if grep -q "^$name:" /etc/passwd; then userdel "$name" || return 1; fi
    if grep -q "^$name:" /etc/group; then groupdel "$name" || return 1; fi
  done
}

remove_by_rpm() {
  if has dnf; then dnf -q -y remove mooring
  elif has yum; then yum -q -y remove mooring
  elif has zypper; then zypper --non-interactive remove mooring
  else rpm -e mooring; fi
}

# rpm names an imported key after its number; ours is the one with the content of the file.
rpm_key=/etc/pki/rpm-gpg/RPM-GPG-KEY-mooring
key_body() { sed -n '/BEGIN PGP/,/END PGP/p' | grep -v '[-:]\|^=' | tr -d '\n'; }
our_rpm_keys() {
  [ -f "$rpm_key" ] && has rpm || return 0
  ours=$(key_body <"$rpm_key")
  for entry in $(rpm -qa 'gpg-pubkey*'); do
    if [ "$(rpm -q --qf '%{DESCRIPTION}' "$entry" | key_body)" = "$ours" ]; then echo "$entry"; fi
  done
}

found=0
if in_dpkg; then
  found=1
  word=remove
  [ $purge = 0 ] || word=purge
  act "$word the package" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$word" mooring
fi
if in_rpm; then
  found=1
  act "remove the package" remove_by_rpm
fi
[ $found = 1 ] || say "the package is not installed"

if [ $purge = 1 ]; then
  if has_state; then act "remove configuration, identity, state, logs and users" forget_state; fi
  for entry in $(our_rpm_keys); do act "remove $entry from rpm" rpm -e --allmatches "$entry"; done
  for file in /etc/apt/sources.list.d/mooring.list /etc/apt/keyrings/mooring.asc /etc/yum.repos.d/mooring.repo \
    /etc/zypp/repos.d/mooring.repo "$rpm_key"; do
    if [ -e "$file" ]; then act "remove $file" rm -f "$file"; fi
  done
else
  say "kept: /etc/mooring, /var/lib/mooring, /var/log/mooring and the repository's entry (--purge removes them)"
fi
if [ $dry = 1 ]; then say "nothing was done"; exit; fi

if [ -f "$scratch/verify-host" ]; then
  say "looking at what is left"
  if [ $purge = 1 ]; then expect=purged; else expect=removed; fi
  sh "$scratch/verify-host" --expect $expect || die "the host is not as it was, see above"
fi
say "done"
