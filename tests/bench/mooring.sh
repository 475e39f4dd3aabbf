# shellcheck shell=bash disable=SC2034,SC2154  # sourced by the lab's run.sh, which gives and reads these variables
# Mooring as a peer of the benchmark lab: LAB_PEERS=tests/bench ../shared/bench/run.sh -p "envoy mooring"
PEER_DESC="mooringd, SPIFFE verification and authorization, ${MOORING_LABEL:-release build}"
PEER_BIN=${MOORING_BIN:-${LAB_PEERS:?}/../../build/release/bin}/mooringd
PEER_RESUME=1

# As Envoy is measured: no access log, no metrics port. The lab's keys are readable by all, which an agent refuses.
mooring_conf() {  # ROLE: the part that both sides share
  install -m 600 "$CERTS/$1.key" "$WORK/$1.key"
  cat <<Y
[host]
name = "$1"
trust_domain = "$TRUST_DOMAIN"
[identity]
svid = "$CERTS/$1.pem"
key = "$WORK/$1.key"
bundle = "$CERTS/ca.pem"
[tls]
ciphers = ["TLS_AES_128_GCM_SHA256"]
groups = ["X25519"]
min_version = "1.3"
resumption = $([ "$RESUME" = 1 ] && echo true || echo false)
[limits]
workers = $W
[log]
level = "warn"
[access_log]
enabled = false
[admin]
socket = "$WORK/$1.sock"
metrics = "off"
Y
}

start_client() {
  { mooring_conf client; cat <<Y
[capture]
outbound_port = $IN_PORT
[[upstream]]
name = "server"
addresses = ["$IP_B"]
ports = [7001, 7002]
endpoints = ["$IP_B:$TLS_PORT"]
spiffe_ids = ["$SERVER_ID"]
sni = "server.lab"
Y
  } >"$WORK/client.toml"
  spawn_a "$PEER_BIN" --config "$WORK/client.toml"
}

start_server() {
  { mooring_conf server; cat <<Y
[[service]]
name = "app"
port = $APP_PORT
listen = "$IP_B:$TLS_PORT"
target = "127.0.0.1:$APP_PORT"
allow = ["$CLIENT_ID"]
Y
  } >"$WORK/server.toml"
  spawn_b "$PEER_BIN" --config "$WORK/server.toml"
}
