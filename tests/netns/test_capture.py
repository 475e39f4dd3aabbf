"""Capture leaves alone what is not its business: the host's firewall, forwarded traffic, live connections."""
import pytest

import harness
import traffic
from harness import run, service, upstream
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "helper")]
PORT = 7000


# ---- the host's firewall still decides by the original port


@pytest.fixture(scope="module")
def three(lab):
    """friend and foe may both call server's application; server's firewall will know only friend."""
    server, friend, foe = lab.host("server"), lab.host("friend"), lab.host("foe")
    server.configure(service("app", PORT, allow=[friend.id, foe.id]))
    for host in (friend, foe):
        host.configure(upstream("app", server, [PORT]))
    for host in (server, friend, foe):
        host.start()
    return server, friend, foe


class Nft:
    needs = "nft"

    def __init__(self, host, friend):
        host.nft(f"""table inet firewall {{ chain input {{
            type filter hook input priority 0; policy accept;
            ct state established,related accept
            ip saddr {friend.ip} tcp dport {PORT} accept
            ip6 saddr {friend.ip6} tcp dport {PORT} accept
            iifname "lo" accept
            tcp dport {PORT} drop
            }}\n}}""")

    def remove(self, host):
        host.exec("nft", "delete", "table", "inet", "firewall")


class Iptables:
    needs = "iptables"
    variant = "nft"

    def __init__(self, host, friend):
        for program, source in ((f"iptables-{self.variant}", friend.ip), (f"ip6tables-{self.variant}", friend.ip6)):
            host.exec(program, "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
            host.exec(program, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
            host.exec(program, "-A", "INPUT", "-p", "tcp", "-s", source, "--dport", PORT, "-j", "ACCEPT")
            host.exec(program, "-A", "INPUT", "-p", "tcp", "--dport", PORT, "-j", "DROP")

    def remove(self, host):
        for program in (f"iptables-{self.variant}", f"ip6tables-{self.variant}"):
            host.exec(program, "-F", "INPUT")


class IptablesLegacy(Iptables):
    variant = "legacy"


class Firewalld:
    needs = "firewalld"

    def __init__(self, host, friend):
        host.exec("mkdir", "-p", "/run/dbus")
        host.exec("rm", "-f", "/run/dbus/system_bus_socket")  # of the one before
        self.bus = host.spawn("dbus", "dbus-daemon", "--system", "--nofork", "--nopidfile")
        host.apps["dbus"] = self.bus
        wait_until(lambda: host.path("/run/dbus/system_bus_socket").exists(), "dbus")
        self.daemon = host.spawn("firewalld", "firewalld", "--nofork", "--nopid")
        host.apps["firewalld"] = self.daemon
        wait_until(lambda: host.exec("firewall-cmd", "--state", check=False).returncode == 0, "firewalld runs", interval=0.3)
        for kind, source in (("ipv4", friend.ip), ("ipv6", friend.ip6)):
            host.exec("firewall-cmd", f"--add-rich-rule=rule family={kind} source address={source} port port={PORT} protocol=tcp accept")

    def remove(self, host):
        self.daemon.stop()
        self.bus.stop()
        host.apps.pop("firewalld"), host.apps.pop("dbus")


@pytest.mark.parametrize("capture", ["on", "off"])
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.needs(kind.needs), id=kind.__name__)
                                  for kind in (Nft, Iptables, IptablesLegacy, Firewalld)])
def test_firewall_decides_who_comes_in(three, kind, capture):
    server, friend, foe = three
    for host in three:
        host.mooring("capture", *(["on", "--yes"] if capture == "on" else ["off"]))
    firewall = kind(server, friend)
    try:
        with server.server(PORT) as app:
            for address in (server.ip, server.ip6):
                assert friend.outcome(address, PORT) == "served"
                assert foe.outcome(address, PORT, timeout=1.5) != "served"
            assert app.accepted == 2
    finally:
        firewall.remove(server)
        for host in three:
            host.mooring("capture", "on", "--yes")


# ---- what is not captured


def test_live_connections_survive_capture_on_and_off(pair):
    for host in (pair.web, pair.db):
        host.mooring("capture", "off")
    with pair.server(), pair.connect() as plain:
        plain.sendall(b"plain")
        assert traffic.receive_exactly(plain, 5) == b"plain"
        for host in (pair.db, pair.web):
            host.mooring("capture", "on", "--yes")
        plain.sendall(b"still")
        assert traffic.receive_exactly(plain, 5) == b"still"
        with pair.connect() as meshed:
            meshed.sendall(b"mesh")
            assert traffic.receive_exactly(meshed, 4) == b"mesh"
            for host in (pair.web, pair.db):
                host.mooring("capture", "off")
            meshed.sendall(b"more")
            assert traffic.receive_exactly(meshed, 4) == b"more"
            plain.sendall(b"still")
            assert traffic.receive_exactly(plain, 5) == b"still"
    for host in (pair.db, pair.web):
        host.mooring("capture", "on", "--yes")
    pair.db.wait_for_access(direction="inbound", reason="closed", bytes_received=8)


def test_forwarded_traffic_is_left_alone(lab, pair):
    """db routes for a guest that has an application on the same port."""
    guest = f"{lab.tag}guest"
    run("ip", "netns", "add", guest)
    try:
        run("ip", "link", "add", "eth0", "netns", guest, "type", "veth", "peer", "name", "guest0", "netns", pair.db.namespace)
        for namespace, device, address in ((guest, "eth0", "10.77.2.2/24"), (pair.db.namespace, "guest0", "10.77.2.1/24")):
            run("ip", "-n", namespace, "addr", "add", address, "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", guest, "route", "add", "default", "via", "10.77.2.1")
        run("ip", "-n", pair.web.namespace, "route", "add", "10.77.2.0/24", "via", pair.db.ip)
        pair.db.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        with traffic.Server(guest, pair.PORT) as server:
            assert pair.web.outcome("10.77.2.2", pair.PORT) == "served"
            assert server.peers[0][0].endswith(pair.web.ip)
    finally:
        run("ip", "netns", "del", guest)


def test_loopback_is_left_alone(pair):
    """Processes of one host talk without the agent."""
    with pair.server() as server:
        assert pair.db.outcome("127.0.0.1", pair.PORT) == "served"
        assert pair.db.outcome(pair.db.ip, pair.PORT) == "served"
        assert server.accepted == 2


def test_other_destinations_pass(pair, lab):
    other = lab.host("elsewhere", identity=False)
    with other.server(pair.PORT) as server:
        assert pair.web.outcome(other.ip, pair.PORT) == "served"
        assert server.peers[0][0].endswith(pair.web.ip)


def test_other_destinations_are_refused_where_that_is_asked_for(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    other = fresh_lab.host("elsewhere", identity=False)
    pair.tables = {"capture": {"other": "refuse", "exclude_addresses": [other.ip6]}}
    pair.configure_web()
    pair.db.start()
    pair.web.start()
    with pair.server(), other.server(PORT) as server:
        assert pair.outcome() == "served"
        assert pair.web.outcome(other.ip, PORT) == traffic.RESET
        assert server.accepted == 0
        assert pair.web.outcome(other.ip6, PORT) == "served", "excluded"
    pair.web.wait_for_access(direction="outbound", reason="no_route")


def test_services_without_tproxy(fresh_lab):
    """By redirect: the agent learns from conntrack which port was dialled, and refuses who dials its own."""
    pair = harness.Pair(fresh_lab, start=False)
    pair.db.start_helper("--no-tproxy")
    pair.db.start_agent()
    pair.web.start()
    with pair.server() as server:
        for family in (4, 6):
            assert pair.outcome(family) == "served"
            line = pair.db.wait_for_access(direction="inbound", reason="closed", peer_identity=pair.web.id)
            assert line["downstream_local"].endswith(f":{pair.PORT}")
        accepted = server.accepted
        for address in (pair.db.ip, pair.db.ip6):
            assert pair.web.outcome(address, 15006) == traffic.RESET
        pair.db.wait_for_access(direction="inbound", reason="self_call")
        assert server.accepted == accepted
    assert "prerouting" in pair.db.exec("nft", "list", "ruleset").stdout
    assert "tproxy" not in pair.db.exec("nft", "list", "ruleset").stdout


def test_removal_leaves_nothing(fresh_pair):
    for host in (fresh_pair.web, fresh_pair.db):
        assert host.exec("nft", "list", "tables").stdout
        host.mooring("capture", "off")
        host.agent.stop()
        host.helper.stop()
        assert host.exec("nft", "list", "ruleset").stdout.strip() == ""
        assert host.exec("ip", "rule").stdout.count("\n") == 3
