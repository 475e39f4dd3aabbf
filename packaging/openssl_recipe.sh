# shellcheck shell=bash
# How OpenSSL is configured, for every compiler and target. To be sourced.

# Nothing is loaded at run time: no configuration, no modules, no engines.
# shellcheck disable=SC2034  # for who sources this
configure=(
  no-shared no-module no-autoload-config no-legacy no-engine no-dso no-async no-ui-console
  no-quic no-dtls no-sctp no-ssl3 no-tls1 no-tls1_1 no-srtp no-nextprotoneg no-comp no-psk no-srp no-ct no-ocsp
  no-tests no-apps no-docs no-cms no-ts no-cmp no-rfc3779 no-ec2m no-gost no-ml-dsa no-slh-dsa
  no-idea no-camellia no-seed no-aria no-sm2 no-sm3 no-sm4 no-rc2 no-rc4 no-bf no-cast no-whirlpool no-mdc2 no-md4
  --libdir=lib -O3 -fPIC -fstack-protector-strong -fstack-clash-protection)

# A connection keeps an array of SSL_MAX_PIPELINES records each way; only hardware engines ever used more than one.
shrink_connections() {  # SOURCE
  local header
  header=$(grep -rlE '^# *define SSL_MAX_PIPELINES +32$' "$1/include" "$1/ssl") || die "SSL_MAX_PIPELINES has moved"
  sed -i -E 's/^(# *define SSL_MAX_PIPELINES +)32$/\11/' "$header"
}

