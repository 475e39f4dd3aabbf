#!/bin/sh
# Installs Mooring from its signed package repository, on Debian, Ubuntu and their relatives by apt, and on RHEL, SLES,
# Amazon Linux and theirs by dnf, yum or zypper. It asks nothing, starts nothing into capture, and says what it did.
#
#   install.sh --repository URL (--key FILE | --key-sha256 SUM) [--version V] [--dry-run] [--force]
#
#   --repository URL    where the packages are (default: $MOORING_REPOSITORY)
#   --key FILE          the public key that signs them, which you have from somewhere else than the repository
#   --key-sha256 SUM    take URL/mooring.asc, if it has this checksum (default: $MOORING_KEY_SHA256)
#   --version V         this version instead of the newest; also goes back to an older one
#   --manager NAME      apt, dnf, yum or zypper (default: the one that is there)
#   --dry-run           say what would be done
#   --force             go on although another mesh, or a program on the agent's ports, is here
#
# What is not signed by that key is refused, whatever this host's package manager is set to.
# Exit code: 0 installed; 1 refused or failed, and what was added is taken away again; 2 wrong usage.
set -eu
umask 022

say() { echo "install: $*"; }
die() { echo "install: $*" >&2; exit 1; }
usage() { sed -n '2,16s/^# \{0,1\}//p' "$0"; }
wrong() { echo "install: $* (see --help)" >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

repository=${MOORING_REPOSITORY:-} key='' sum=${MOORING_KEY_SHA256:-} version='' manager='' dry=0 force=0
while [ $# -gt 0 ]; do
  case $1 in
    --repository | --key | --key-sha256 | --version | --manager) [ $# -gt 1 ] || wrong "$1 needs a value" ;;
  esac
  case $1 in
    --repository) repository=$2; shift ;;
    --key) key=$2; shift ;;
    --key-sha256) sum=$2; shift ;;
    --version) version=$2; shift ;;
    --manager) manager=$2; shift ;;
    --dry-run) dry=1 ;;
    --force) force=1 ;;
    -h | --help) usage; exit ;;
    *) wrong "unknown argument '$1'" ;;
  esac
  shift
done
repository=${repository%/}
case $repository in
  http://* | https://* | file:/*) ;;
  '') wrong "--repository is missing" ;;
  *) wrong "'$repository' is no http, https or file URL" ;;
esac
case $repository in *[!A-Za-z0-9:/._~%@-]*) wrong "'$repository' has characters that have no place in it" ;; esac
case $version in *[!0-9A-Za-z.+~-]*) wrong "'$version' is no version" ;; esac
[ -n "$key$sum" ] || wrong "--key or --key-sha256 is missing: a key that comes from the repository proves nothing by itself"

# ---- what kind of host this is

case $(uname -m) in
  x86_64 | aarch64) ;;
  *) die "there are no packages for $(uname -m)" ;;
esac
if [ -z "$manager" ]; then
  for candidate in apt-get:apt dnf:dnf yum:yum zypper:zypper; do
    if has "${candidate%:*}"; then manager=${candidate#*:}; break; fi
  done
fi
case $manager in
  apt) key_file=/etc/apt/keyrings/mooring.asc list_file=/etc/apt/sources.list.d/mooring.list ;;
  dnf | yum) key_file=/etc/pki/rpm-gpg/RPM-GPG-KEY-mooring list_file=/etc/yum.repos.d/mooring.repo ;;
  zypper) key_file=/etc/pki/rpm-gpg/RPM-GPG-KEY-mooring list_file=/etc/zypp/repos.d/mooring.repo ;;
  '') die "neither apt-get, dnf, yum nor zypper is here" ;;
  *) wrong "unknown package manager '$manager'" ;;
esac
[ $dry = 1 ] || [ "$(id -u)" = 0 ] || die "run as root, or with --dry-run"
name=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release 2>/dev/null || true)
say "this is ${name:-an unknown distribution} on $(uname -m), packages come by $manager"

# ---- what else may want the same connections or ports

look_around() {
  if has mooring; then return; fi  # an upgrade brings nothing that is not there
  if [ ! -r "${0%/*}/preflight" ]; then
    say "preflight is not beside this script: mooring capture on will look for other meshes"
    return
  fi
  if found=$(sh "${0%/*}/preflight" --only rules,programs,ports); then return; fi
  printf '%s\n' "$found" | awk '/^red/ { shown = 1; print "install: " $0; next } shown && / -> / { print "install: " $0 } { shown = 0 }' >&2
  if [ $force = 1 ]; then say "going on all the same"; else die "refused: nothing was changed (--force installs all the same)"; fi
}
look_around

# ---- the key

scratch=$(mktemp -d)
chmod 755 "$scratch"  # apt fetches as a user of its own
added=''
finish() {
  code=$?
  rm -rf "$scratch"
  if [ $code != 0 ] && [ -n "$added" ]; then
    # shellcheck disable=SC2086  # paths without blanks, ours
    rm -f $added
    echo "install: taken away again:$added" >&2
  fi
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

fetch() {  # URL FILE
  case $1 in file:/*) path=${1#file:}; cp "/${path##/}" "$2"; return ;; esac
  if has curl; then curl -fsSL -o "$2" "$1"
  elif has wget; then wget -qO "$2" "$1"
  elif [ -x /usr/lib/apt/apt-helper ]; then /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$1" "$2" >/dev/null
  else die "neither curl nor wget is here: pass the key by --key"; fi
}

if [ -n "$key" ]; then
  cp "$key" "$scratch/key" || die "cannot read $key"
else
  fetch "$repository/mooring.asc" "$scratch/key" || die "cannot fetch $repository/mooring.asc"
fi
found=$(sha256sum "$scratch/key")
found=${found%% *}
[ -z "$sum" ] || [ "$found" = "$sum" ] || die "refused: the key has the checksum $found, not $sum"
grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$scratch/key" || die "refused: this is no armoured public key"
say "the key has the checksum $found"

# ---- what is done

act() {  # WORDS COMMAND...: says it, and does it unless this is a dry run
  what=$1
  shift
  if [ $dry = 1 ]; then say "would $what"; return; fi
  say "$what"
  "$@" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log" >&2; die "failed to $what"; }
}

put() {  # FILE FROM: in place, in one step; a file that was there before survives a failure
  if [ $dry = 1 ]; then say "would write $1"; return; fi
  if [ -e "$1" ]; then
    cmp -s "$1" "$2" && return
    say "replace $1"
  else
    say "write $1"
    added="$added $1"
  fi
  mkdir -p "${1%/*}"
  cp "$2" "$1.new"
  chmod 644 "$1.new"
  mv "$1.new" "$1"
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
    -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false \
    -o Acquire::AllowDowngradeToInsecureRepositories=false -o Acquire::AllowWeakRepositories=false \
    -o APT::Update::Error-Mode=any "$@"
}

install_by_apt() {
  echo "deb [signed-by=$key_file] $repository/deb stable main" >"$scratch/list"
  put "$list_file" "$scratch/list"
  # Our list only: another one that fails is not our business, and old indexes of ours are not good enough.
  act "read the repository's signed index" apt_get update -o Dir::Etc::sourcelist="$list_file" \
    -o Dir::Etc::sourceparts=/nonexistent -o APT::Get::List-Cleanup=0
  act "install mooring${version:+ $version}" apt_get install --allow-downgrades -o Dpkg::Options::=--force-confdef \
    -o Dpkg::Options::=--force-confold "mooring${version:+=$version}"
}
installed_by_apt() { dpkg-query -W -f '${Version}' mooring; }

rpm_repository() {
  printf '[mooring]\nname=Mooring\nbaseurl=%s/rpm\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://%s\n' "$repository" "$key_file"
}

install_by_rpm() {
  rpm_repository >"$scratch/list"
  put "$list_file" "$scratch/list"
  act "let rpm know the key" rpm --import "$key_file"
  package=mooring${version:+-$version}
  if [ "$manager" = zypper ]; then
    act "read the repository's signed index" zypper --non-interactive refresh mooring
    act "install $package" zypper --non-interactive install --oldpackage "mooring${version:+=$version}"
    return
  fi
  # A host may be set to go on without a repository that cannot be verified.
  act "read the repository's signed index" "$manager" -q -y --setopt=mooring.skip_if_unavailable=0 \
    makecache --disablerepo='*' --enablerepo=mooring
  verb=install
  [ -n "$version" ] || ! rpm -q mooring >/dev/null 2>&1 || verb=update
  act "$verb $package" "$manager" -q -y "$verb" "$package"
  [ $dry = 1 ] || [ -z "$version" ] || rpm -q "$package" >/dev/null 2>&1 || act "go back to $version" "$manager" -q -y downgrade "$package"
}
installed_by_rpm() { rpm -q --qf '%{VERSION}' mooring; }

put "$key_file" "$scratch/key"
case $manager in apt) kind=apt ;; *) kind=rpm ;; esac
"install_by_$kind"
if [ $dry = 1 ]; then say "nothing was done"; exit; fi

now=$("installed_by_$kind") || die "the package manager was content, but mooring is not installed"
case $now in "${version:-$now}" | "$version"-*) ;; *) die "version $now is installed, not $version" ;; esac
say "mooring $now is installed. Nothing is captured: that begins with an identity, a configuration and: mooring capture on"
say "next: mooring preflight"
