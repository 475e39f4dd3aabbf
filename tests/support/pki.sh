#!/bin/bash
# A certificate authority and X.509-SVIDs for tests and the demo, made with the openssl command.
#
#   pki.sh ca   DIR NAME [OPTION...]          DIR/NAME.pem and DIR/NAME.key, self-signed
#   pki.sh svid DIR NAME --ca CA [OPTION...]  DIR/NAME.pem and DIR/NAME.key, signed by DIR/CA
#
#   --id URI           the SPIFFE ID (repeat it for a certificate that breaks the one-URI rule)
#   --start, --end T   validity, as date(1) reads it: "-1 day", "+1 hour"; default: an hour ago, in thirty days
#   --usage LIST       keyUsage of the leaf; default digitalSignature
#   --extended LIST    extendedKeyUsage of the leaf; default serverAuth,clientAuth; "none" leaves it out
#   --ca-leaf          the leaf says CA:TRUE, which an SVID must not
#   --intermediate     a CA below --ca; the file holds its certificate only
set -euo pipefail

die() { echo "pki.sh: $*" >&2; exit 1; }
stamp() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

new_key() {  # FILE
  (umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null)
}

# `openssl ca` is the one command of OpenSSL 3.0 that takes a start date; its database is thrown away.
sign() {  # NAME extensions -- arguments of openssl ca
  local name=$1 extensions=$2
  shift 2
  cat >"$work/ca.conf" <<CONF
[ca]
default_ca = lab
[lab]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = optional
[extensions]
$extensions
CONF
  : >"$work/index"
  openssl req -new -key "$dir/$name.key" -subj "/O=Mooring lab/CN=$name" -config /dev/null -out "$work/csr" 2>"$work/log" ||
    { cat "$work/log" >&2; die "request for $name failed"; }
  openssl ca -batch -notext -config "$work/ca.conf" -extensions extensions -in "$work/csr" -out "$work/out.pem" \
    -startdate "$(stamp "$start")" -enddate "$(stamp "$end")" "$@" 2>"$work/log" ||
    { cat "$work/log" >&2; die "signing $name failed"; }
  mv "$work/out.pem" "$dir/$name.pem"
}

alternative_names() {
  local id list=""
  for id in "${ids[@]}"; do list+="${list:+,}URI:$id"; done
  [ -z "$list" ] || echo "subjectAltName = $list"
}

kind=${1:-} dir=${2:-} name=${3:-}
[ -n "$name" ] || { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 64; }
shift 3
ids=() ca="" start="-1 hour" end="+30 days" usage=digitalSignature extended=serverAuth,clientAuth leaf=FALSE intermediate=""
while [ $# -gt 0 ]; do
  case $1 in
    --id) ids+=("$2"); shift ;;
    --ca) ca=$2; shift ;;
    --start) start=$2; shift ;;
    --end) end=$2; shift ;;
    --usage) usage=$2; shift ;;
    --extended) extended=$2; shift ;;
    --ca-leaf) leaf=TRUE ;;
    --intermediate) intermediate=1 ;;
    *) die "unknown option $1" ;;
  esac
  shift
done

mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
new_key "$dir/$name.key"
authority="basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
$(alternative_names)"
case $kind in
  ca) sign "$name" "$authority" -selfsign -keyfile "$dir/$name.key" ;;
  svid)
    [ -n "$ca" ] || die "svid needs --ca"
    extensions="basicConstraints = critical,CA:$leaf
keyUsage = critical,$usage
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
$(alternative_names)"
    [ "$extended" = none ] || extensions+=$'\n'"extendedKeyUsage = $extended"
    [ -z "$intermediate" ] || extensions="$authority"$'\n'"authorityKeyIdentifier = keyid"
    sign "$name" "$extensions" -cert "$dir/$ca.pem" -keyfile "$dir/$ca.key" ;;
  *) die "unknown command '$kind'" ;;
esac
