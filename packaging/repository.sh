#!/bin/bash
# Makes or extends a signed repository for apt and for dnf, yum and zypper.
#
#   packaging/repository.sh KEY OUTPUT PACKAGE...   KEY: name or fingerprint of a secret key that gpg has (GNUPGHOME)
#
#   OUTPUT/deb/dists/stable/InRelease, OUTPUT/deb/pool/*.deb
#   OUTPUT/rpm/repodata/repomd.xml.asc, OUTPUT/rpm/*.rpm, the packages signed as well
#   OUTPUT/mooring.gpg for apt's signed-by, OUTPUT/mooring.asc for rpm --import
#
# A key for rpm of RHEL 7 and SLES 12 has to be RSA. Packages that are there stay: an older version can be asked for.
set -euo pipefail

die() { echo "repository: $*" >&2; exit 1; }

case ${1:-} in -h | --help | '') sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;; esac
[ $# -ge 3 ] || die "KEY OUTPUT PACKAGE... are wanted (see --help)"
key=$1 output=$2
shift 2
gpg --batch --list-secret-keys "$key" >/dev/null 2>&1 || die "gpg has no secret key $key"

sign() { gpg --batch --yes --pinentry-mode loopback --digest-algo SHA256 --local-user "$key" "$@"; }

add() {  # PACKAGE
  local folder target
  case $1 in
    *.deb) folder=$output/deb/pool ;;
    *.rpm) folder=$output/rpm ;;
    *) die "$1 is neither .deb nor .rpm" ;;
  esac
  target=$folder/$(basename "$1")
  [ ! -e "$target" ] || die "$target is there already: a published version does not change"
  cp "$1" "$target.new"
  case $1 in
    *.rpm) rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $key" --define "_gpg_digest_algo sha256" \
             --addsign "$target.new" >/dev/null || { rm -f "$target.new"; die "rpmsign failed"; } ;;
  esac
  mv "$target.new" "$target"
}

index_deb() {
  local arch archs
  cd "$output/deb"
  archs=$(for package in pool/*.deb; do dpkg-deb -f "$package" Architecture; done | sort -u)
  for arch in $archs; do
    mkdir -p "dists/stable/main/binary-$arch"
    apt-ftparchive --arch "$arch" packages pool >"dists/stable/main/binary-$arch/Packages"
    xz -kf "dists/stable/main/binary-$arch/Packages"
  done
  rm -f dists/stable/InRelease dists/stable/Release.gpg
  apt-ftparchive -o APT::FTPArchive::Release::Origin=Mooring -o APT::FTPArchive::Release::Label=Mooring \
    -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
    -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures="${archs//$'\n'/ }" \
    release dists/stable >Release.new
  mv Release.new dists/stable/Release
  sign --output dists/stable/InRelease --clearsign dists/stable/Release
  sign --output dists/stable/Release.gpg --armor --detach-sign dists/stable/Release
}

index_rpm() {
  # gzip: yum of RHEL 7 reads nothing newer.
  createrepo_c --quiet --checksum sha256 --general-compress-type gz --no-database "$output/rpm"
  sign --output "$output/rpm/repodata/repomd.xml.asc" --armor --detach-sign "$output/rpm/repodata/repomd.xml"
}

mkdir -p "$output/deb/pool" "$output/rpm"
output=$(cd "$output" && pwd)
gpg --batch --yes --output "$output/mooring.gpg" --export "$key"
gpg --batch --yes --armor --output "$output/mooring.asc" --export "$key"
for package in "$@"; do add "$package"; done
if compgen -G "$output/deb/pool/*.deb" >/dev/null; then (index_deb); fi
if compgen -G "$output/rpm/*.rpm" >/dev/null; then index_rpm; fi
