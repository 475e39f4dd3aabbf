#!/bin/bash
# Hosts made of namespaces, for the demo and the tests. A host has a network of its own, and a /run and an /etc of its
# own (its changes to /etc live in memory), so that the programs run with their default paths; the machine's files and
# its root network stay as they are.
#
#   hosts.sh switch SWITCH              the namespace SWITCH with a bridge br0
#   hosts.sh join SWITCH HOST NUMBER    the namespace HOST on it: 10.77.1.NUMBER/24 and fd77:1::NUMBER/64
#   hosts.sh hold HOST [NAME=ADDRESS].. stays in the foreground and keeps HOST's file system; "ready" on standard output
#   hosts.sh enter PID COMMAND...       runs COMMAND in the host that PID (of hold) keeps
#   hosts.sh remove NAMESPACE...        ends the processes of the namespaces and removes them
set -euo pipefail

readonly agent_uid=64101 helper_uid=64102

switch() {
  ip netns add "$1"
  ip -n "$1" link set lo up
  ip -n "$1" link add br0 type bridge
  ip -n "$1" link set br0 up
}

join() {  # SWITCH HOST NUMBER
  ip netns add "$2"
  ip -n "$2" link set lo up
  # Both ends are made inside their namespaces: the root namespace never has an interface of ours.
  ip link add eth0 netns "$2" type veth peer name "port$3" netns "$1"
  ip -n "$1" link set "port$3" master br0 up
  ip -n "$2" link set eth0 up
  ip -n "$2" addr add "10.77.1.$3/24" dev eth0
  ip -n "$2" -6 addr add "fd77:1::$3/64" dev eth0 nodad
}

furnish() {  # HOST ENTRY..., inside its namespaces
  hostname "$1"
  shift
  mount -t tmpfs tmpfs /run
  mkdir -p /run/.etc/{upper,work} /run/mooring
  mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/.etc/upper,workdir=/run/.etc/work /etc
  install -d -m 755 /etc/mooring /etc/mooring/conf.d
  install -d -m 755 -o "$agent_uid" -g "$agent_uid" /etc/mooring/identity
  # The helper and the agent both put a socket here; the package's tmpfiles will do the same with real users.
  chown "$helper_uid:$agent_uid" /run/mooring
  chmod 1775 /run/mooring
  echo "127.0.0.1 localhost" >/etc/hosts
  echo "::1 localhost" >>/etc/hosts
  local entry
  for entry in "$@"; do echo "${entry#*=} ${entry%%=*}" >>/etc/hosts; done
  echo ready
  exec sleep infinity
}

hold() {  # HOST ENTRY...
  local name=$1
  shift
  exec ip netns exec "$name" unshare --mount --uts --propagation private -- "$0" furnish "$name" "$@"
}

enter() {  # PID COMMAND...
  local pid=$1
  shift
  exec nsenter --target "$pid" --net --mount --uts --root -- "$@"
}

processes_of() { local name; for name in "$@"; do ip netns pids "$name" 2>/dev/null || true; done; }

remove() {  # NAMESPACE...
  local pids name signal
  for signal in TERM KILL KILL; do
    pids=$(processes_of "$@")
    [ -n "$pids" ] || break
    # A stopped process does not act on TERM.
    # shellcheck disable=SC2086  # one word a process
    { kill -CONT $pids; kill -s "$signal" $pids; } 2>/dev/null || true
    for _ in $(seq 40); do
      [ -n "$(processes_of "$@")" ] || break
      sleep 0.05
    done
  done
  for name in "$@"; do ip netns del "$name" 2>/dev/null || true; done
}

command=${1:-}
shift || true
case $command in
  switch | join | hold | enter | remove | furnish) "$command" "$@" ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac
