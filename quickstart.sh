#!/bin/bash
# Shows Mooring's main job on this machine: five hosts made of network namespaces, a real Tomcat and a real PostgreSQL,
# nothing changed in either, and between the hosts only mutual TLS. Debian 12, root. Can be run again at any time.
#
#   ./quickstart.sh                       install what is missing, build, show, and remove the hosts again
#   ./quickstart.sh --keep                the same, but leave the hosts up
#   ./quickstart.sh enter HOST [COMMAND]  a shell (or a command) on shop-web, shop-db, shop-client, shop-intruder, shop-other
#   ./quickstart.sh down                  remove everything but the installed packages, and prove it
set -euo pipefail
cd "$(dirname "$0")"
exec 3>&2  # a trap may run where standard error is redirected

readonly root=$PWD
readonly hosts_sh=$root/tests/support/hosts.sh pki_sh=$root/tests/support/pki.sh apps_sh=$root/tests/support/apps.sh
readonly state=/var/tmp/mooring-quickstart lab=/var/tmp/mooring-quickstart/lab  # lab: all that belongs to the hosts
readonly switch=shop-switch domain=shop.test
readonly agent_uid=64101 helper_uid=64102  # as in hosts.sh
readonly hosts="shop-web shop-db shop-client shop-intruder shop-other"
declare -rA number=([shop-web]=1 [shop-db]=2 [shop-client]=3 [shop-intruder]=4 [shop-other]=5)
readonly secrets='SELECT name|anchor chain|mooring line|<h1>'  # what must not be readable on the wire

# ---- what the user sees

bold="" dim="" plain=""
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
step() { printf '%s[%3d s]%s %s\n' "$dim" "$SECONDS" "$plain" "$*"; }
indent() { sed 's/^/    /'; }
fail() {
  printf '\nquickstart: %s\n' "$*" >&2
  [ ! -d "$lab/hosts" ] || tail -n 5 "$lab"/hosts/*/{helper,agent}.log >&2 2>/dev/null || true
  exit 1
}
usage() { sed -n '2,8s/^# \{0,1\}//p' "$root/quickstart.sh"; }

wait_for() {  # SECONDS WHAT COMMAND...
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "after $seconds s still not there: $what"
    sleep 0.1
  done
}

# ---- on the hosts

on() {  # HOST COMMAND...
  local pid
  pid=$(cat "$lab/hosts/$1/holder") 2>/dev/null || fail "host $1 is not up; run ./quickstart.sh --keep first"
  shift
  PATH=$lab/bin:$PATH "$hosts_sh" enter "$pid" "$@"
}
spawn() {  # HOST LOG COMMAND...: goes on when this script has ended
  local host=$1 log=$lab/hosts/$1/$2
  shift 2
  on_pid=$(cat "$lab/hosts/$host/holder")
  PATH=$lab/bin:$PATH setsid "$hosts_sh" enter "$on_pid" "$@" >"$log" 2>&1 3>&- </dev/null &
  disown
}
file_of() { echo "/proc/$(cat "$lab/hosts/$1/holder")/root$2"; }  # HOST PATH: a file of a host, seen from here
listens() { on "$1" ss -Hltn "sport = :$2" | grep -q .; }
is_ready() { on "$1" curl -sf -m 2 -o /dev/null --unix-socket /run/mooring/admin.sock http://mooring/ready; }
captures() { on "$1" nft list tables | grep -q mooring; }
access_log() { echo "$lab/hosts/$1/log/access.log"; }
address4() { echo "10.77.1.${number[$1]}"; }
address6() { echo "fd77:1::${number[$1]}"; }
id_of() { echo "spiffe://$domain/${1#shop-}"; }

# ---- install, build

installed_packages() { dpkg-query -W -f '${Package}\n' | sort; }

install_and_build() {
  [ "$(id -u)" = 0 ] || fail "run as root: namespaces, firewall rules and packages need it"
  mkdir -p "$state"
  chmod 755 "$state"
  installed_packages >"$state/packages.before"
  step "installing what is missing"
  packaging/dependencies.sh build demo 2>&1 | indent
  # What an earlier run installed stays on the list until `down` has shown it.
  installed_packages | comm -13 "$state/packages.before" - | sort -u - "$state/packages.installed" 2>/dev/null >"$state/packages.new" || true
  mv "$state/packages.new" "$state/packages.installed"
  rm -f "$state/packages.before"

  step "building (log: $state/build.log)"
  { cmake --preset release && cmake --build --preset release --target mooring mooring-net; } >"$state/build.log" 2>&1 ||
    { tail -n 30 "$state/build.log" >&2; fail "the build failed"; }
}

# ---- before and after

snapshot() {  # what `down` must give back, one file a topic
  local folder=$1
  mkdir -p "$folder"
  { ip -o link | sed 's/^[0-9]*: //; s/ .*//'; ip -o addr | awk '{print $2, $4}'; ip rule; ip -6 rule; } >"$folder/interfaces"
  ip netns list | awk '{print $1}' | sort >"$folder/namespaces"
  { nft list ruleset; iptables-save 2>/dev/null | grep -v '^#' || true; } >"$folder/rules" 2>/dev/null || true
  { pgrep -a -U "$agent_uid,$helper_uid"; pgrep -a -f "$lab/"; } >"$folder/processes" || true
  { find /etc /usr/local /opt /run/netns /run/mooring /var/lib/mooring /var/log/mooring \
      -printf '%p %s %m %u %TY-%Tm-%Td %TT\n' 2>/dev/null || true
    find /tmp /var/tmp -maxdepth 1 -name '*mooring*' 2>/dev/null; } | grep -v -e "^$state" -e '^/run/netns ' | sort >"$folder/files"
}

tear_down() {
  # shellcheck disable=SC2086  # one word a host
  "$hosts_sh" remove $hosts "$switch"
  rm -rf "$lab"
}

down() {
  local topic same=0
  if [ ! -d "$state" ]; then
    echo "quickstart: nothing is up"
    return
  fi
  tear_down
  if [ -d "$state/before" ]; then
    snapshot "$state/after"
    title "As before"
    for topic in interfaces namespaces rules processes files; do
      if diff -u "$state/before/$topic" "$state/after/$topic" >"$state/difference"; then
        printf '    %-11s as before (%d lines compared)\n' "$topic" "$(wc -l <"$state/after/$topic")"
      else
        printf '    %-11s DIFFERENT:\n' "$topic"
        grep '^[+-][^+-]' "$state/difference" | indent | head -n 20
        same=1
      fi
    done
  fi
  if [ -s "$state/packages.installed" ]; then
    title "Packages that this demo installed, left in place"
    fold -s -w 110 <<<"$(tr '\n' ' ' <"$state/packages.installed")" | indent
  fi
  rm -rf "$state"
  return $same
}

# ---- five hosts

raise_hosts() {
  local host entries=()
  for host in $hosts; do entries+=("$host=$(address4 "$host")"); done
  entries+=("shop-db6=$(address6 shop-db)" "shop-web6=$(address6 shop-web)")
  "$hosts_sh" switch "$switch"
  for host in $hosts; do
    mkdir -p "$lab/hosts/$host/log"
    chown "$agent_uid:$agent_uid" "$lab/hosts/$host/log"
    "$hosts_sh" join "$switch" "$host" "${number[$host]}"
    setsid "$hosts_sh" hold "$host" "${entries[@]}" >"$lab/hosts/$host/hold.log" 2>&1 3>&- </dev/null &
    echo $! >"$lab/hosts/$host/holder"
    disown
    wait_for 10 "host $host" grep -q ready "$lab/hosts/$host/hold.log"
  done
}

give_identity() {  # HOST
  local identity kind
  identity=$(file_of "$1" /etc/mooring/identity)
  "$pki_sh" svid "$lab/pki" "${1#shop-}" --ca ca --id "$(id_of "$1")"
  cp "$lab/pki/${1#shop-}.pem" "$identity/svid.pem"
  cp "$lab/pki/${1#shop-}.key" "$identity/key.pem"
  cp "$lab/pki/ca.pem" "$identity/bundle.pem"
  for kind in svid key bundle; do
    chown "$agent_uid:$agent_uid" "$identity/$kind.pem"
    chmod 600 "$identity/$kind.pem"
  done
}

service() {  # NAME PORT CALLER...
  local name=$1 port=$2 caller list=""
  shift 2
  for caller in "$@"; do list+="${list:+, }\"$(id_of "$caller")\""; done
  printf '[[service]]\nname = "%s"\nport = %d\nallow = [%s]\n\n' "$name" "$port" "$list"
}
upstream() {  # NAME HOST PORT
  printf '[[upstream]]\nname = "%s"\naddresses = ["%s", "%s"]\nports = [%d]\nspiffe_ids = ["%s"]\n\n' \
    "$1" "$(address4 "$2")" "$(address6 "$2")" "$3" "$(id_of "$2")"
}
configure() {  # HOST: the whole of its agent.toml
  printf '[host]\nname = "%s"\ntrust_domain = "%s"\n\n' "$1" "$domain"
  [ "$1" = shop-intruder ] ||
    printf '[identity]\nsvid = "%s/svid.pem"\nkey = "%s/key.pem"\nbundle = "%s/bundle.pem"\n\n' /etc/mooring/identity{,,}
  printf '[capture]\nenabled = true\n\n[access_log]\nfile = "%s"\n\n' "$(access_log "$1")"
  case $1 in
    shop-web) service shop 8080 shop-client; upstream database shop-db 5432 ;;
    shop-db) service database 5432 shop-web ;;
    *) upstream shop shop-web 8080 ;;
  esac
}

allow_capture() {  # capture.toml: what root lets the agent capture
  printf '[inbound]\nports = [5432, 8080]\n\n[outbound]\naddresses = ["10.77.1.0/24", "fd77:1::/64"]\nports = [5432, 8080]\n'
}

start_agent() {  # HOST: helper and agent, each under its own user
  local capability="--inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin --bounding-set=-all,+net_admin"
  configure "$1" >"$(file_of "$1" /etc/mooring/agent.toml)"
  allow_capture >"$(file_of "$1" /etc/mooring/capture.toml)"
  # shellcheck disable=SC2086  # options
  spawn "$1" helper.log setpriv --reuid $helper_uid --regid $helper_uid --groups $agent_uid $capability --no-new-privs -- \
    mooring-net --agent-uid $agent_uid
  wait_for 10 "mooring-net of $1" test -S "$(file_of "$1" /run/mooring/net.sock)"
  spawn "$1" agent.log setpriv --reuid $agent_uid --regid $agent_uid --clear-groups --inh-caps=-all --bounding-set=-all \
    --no-new-privs -- mooringd
  wait_for 15 "mooringd of $1" is_ready "$1"
  wait_for 10 "capture on $1" captures "$1"
}

# ---- what is shown

page() { on "$1" curl -s -m 20 "http://shop-web:8080/shop/"; }

sniff() {  # NAME COMMAND...: runs COMMAND while tcpdump writes what passes the switch into wire/NAME.pcap
  local file=$lab/wire/$1.pcap pid
  shift
  mkdir -p "$lab/wire"
  ip netns exec "$switch" tcpdump -Z root -U --immediate-mode -s 0 -i br0 -w "$file" tcp 2>"$file.log" 3>&- &
  pid=$!
  wait_for 5 tcpdump grep -q "listening on" "$file.log"
  "$@"
  sleep 0.5
  kill -INT "$pid"
  wait "$pid" || true
}
readable_on_wire() { grep -a -o -E "$secrets" "$lab/wire/$1.pcap" | sort | uniq -c || true; }
count_packets() { tcpdump -r "$lab/wire/$1.pcap" "$2" 2>/dev/null | wc -l; }
# First byte of a segment: 0x16 handshake record (with message 1: ClientHello), 0x17 application data.
readonly client_hello='tcp[(tcp[12] & 0xf0) >> 2] = 0x16 and tcp[((tcp[12] & 0xf0) >> 2) + 5] = 1'
readonly application_data='tcp[(tcp[12] & 0xf0) >> 2] = 0x17'

show_page() {  # HTML as text
  sed -n 's/<tr><td>\(.*\)<\/td><td>\(.*\)<\/td><\/tr>/\1: \2/p; s/<h1>\(.*\)<\/h1>/\1/p; s/<p>\(.*\)<\/p>/\1/p' | indent
}

show_plain() {
  title "Without Mooring: the shop works, and the wire can be read"
  sniff plain page shop-client >"$lab/page.plain"
  show_page <"$lab/page.plain"
  grep -q "anchor chain" "$lab/page.plain" || fail "the page did not come: $(head -c 300 "$lab/page.plain")"
  echo "    found in the packets between the hosts:"
  readable_on_wire plain | indent
  [ -n "$(readable_on_wire plain)" ] || fail "the capture shows nothing; what follows would prove nothing"
}

show_mesh() {
  title "With Mooring on every host: the same page, through Tomcat and the database"
  sniff mesh page shop-client >"$lab/page.mesh"
  show_page <"$lab/page.mesh"
  grep -q "anchor chain" "$lab/page.mesh" || fail "the page did not come: $(head -c 300 "$lab/page.mesh")"

  title "What passed between the hosts"
  local found
  found=$(readable_on_wire mesh)
  [ -z "$found" ] || fail "readable on the wire: $found"
  echo "    SQL and HTML in the packets:      none"
  echo "    TLS ClientHellos:                 $(count_packets mesh "$client_hello")"
  echo "    segments of TLS application data: $(count_packets mesh "$application_data")"
  [ "$(count_packets mesh "$client_hello")" -ge 2 ] || fail "fewer than two TLS handshakes on the wire"
}

field() { sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }

show_identities() {
  title "Who talked to whom (access logs of the two servers)"
  local host line
  for host in shop-web shop-db; do
    wait_for 5 "access log of $host" grep -q '"direction":"inbound","reason":"closed"' "$(access_log "$host")"
    line=$(grep '"direction":"inbound","reason":"closed"' "$(access_log "$host")" | tail -n 1)
    echo "    $(field peer_identity <<<"$line")  ->  $(field local_identity <<<"$line")  ($(field tls_version <<<"$line"), $(field tls_cipher <<<"$line"))"
  done
}

refused() {  # WHO LOGGING-HOST REASON COMMAND...
  local who=$1 host=$2 reason=$3
  shift 3
  echo "    $who: $*"
  if on "$who" "$@" >"$lab/refused" 2>&1; then fail "$who was served: $(head -c 300 "$lab/refused")"; fi
  tr -s '\n\t ' ' ' <"$lab/refused" | cut -c1-110 | indent
  wait_for 5 "reason $reason in the access log of $host" grep -q "\"reason\":\"$reason\"" "$(access_log "$host")"
  on "$host" mooring why | head -n 4 | indent
}

show_refusals() {
  title "An intruder without an identity: refused by its own agent, and by the database's"
  refused shop-intruder shop-intruder no_identity curl -sS -m 5 http://shop-web:8080/shop/
  refused shop-intruder shop-db plaintext_refused env PGPASSWORD=shop psql -h shop-db -U shop -c 'SELECT * FROM product' 'dbname=shop sslmode=disable'
  title "A host of the mesh, with a good certificate, that may not call the shop"
  refused shop-other shop-web denied curl -sS -m 5 http://shop-web:8080/shop/
}

show_metrics() {
  title "Metrics of shop-db (Envoy's names)"
  on shop-db curl -s --unix-socket /run/mooring/admin.sock http://mooring/stats/prometheus |
    grep -E '^(envoy_listener_downstream_cx_total|envoy_listener_ssl_handshake|envoy_rbac_(allowed|denied)|envoy_cluster_upstream_cx_(total|rx_bytes_total)|mooring_connections_closed_total)' |
    grep -v ' 0$' | indent || true
  title "mooring status on shop-web"
  on shop-web mooring status | indent
}

show() {
  local host
  install_and_build
  tear_down  # what an earlier run left
  rm -rf "$state/before"
  snapshot "$state/before"
  # Copies: the checkout may lie where the agent's user cannot go.
  mkdir -p "$lab/bin"
  install -m 755 build/release/bin/{mooringd,mooring,mooring-net} "$lab/bin/"

  step "raising five hosts: $hosts"
  raise_hosts
  "$pki_sh" ca "$lab/pki" ca --id "spiffe://$domain"
  for host in shop-web shop-db shop-client shop-other; do give_identity "$host"; done
  step "starting PostgreSQL on shop-db, Tomcat on shop-web"
  spawn shop-db postgres.log "$apps_sh" postgres "$lab/hosts/shop-db/postgres"
  spawn shop-web tomcat.log "$apps_sh" tomcat "$lab/hosts/shop-web/tomcat"
  wait_for 60 "PostgreSQL" listens shop-db 5432
  wait_for 60 "Tomcat" listens shop-web 8080
  show_plain
  echo
  step "starting mooring-net and mooringd on every host"
  for host in $hosts; do start_agent "$host"; done
  show_mesh
  show_identities
  show_refusals
  show_metrics
}

clean_up() {  # after a failure or Ctrl-C
  trap '' INT TERM
  echo "quickstart: removing the hosts" >&3
  tear_down
}

main() {
  local keep=""
  case ${1:-} in
    "") ;;
    --keep) keep=1 ;;
    down) down; exit ;;
    enter)
      [ $# -ge 2 ] || { usage; exit 64; }
      shift
      if [ $# = 1 ]; then on "$1" bash -i; else on "$@"; fi
      exit
      ;;
    *) usage; exit 64 ;;
  esac
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  show
  title "Done in $SECONDS s"
  trap - EXIT
  if [ -n "$keep" ]; then
    echo "    The hosts are up.  Look around:  ./quickstart.sh enter shop-web   (then: mooring status, mooring why, ...)"
    echo "    Remove them:       ./quickstart.sh down"
  else
    down
  fi
}

main "$@"
