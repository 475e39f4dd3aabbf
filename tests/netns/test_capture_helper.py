"""mooring-net with real rules in real namespaces, with an agent that only tells who it was meant for."""
import pytest

import harness
import traffic
from capture_lib import CAPTURED, IN_CLOSED, IN_OPEN, OTHER, OUT_CLOSED, Site

pytestmark = [pytest.mark.needs("helper", "nft")]


@pytest.fixture
def site(fresh_lab):
    return Site(fresh_lab).start()


# ---- what is captured


def test_both_directions_and_families_reach_the_agent_with_the_address_that_was_meant(site):
    assert site.picture(4) == CAPTURED
    assert site.picture(6) == CAPTURED


def test_ports_that_nobody_declared_are_left_alone(site):
    for family in (4, 6):
        assert site.outbound(OTHER, family=family) == "app"
        assert site.inbound(OTHER, family=family) == "app"


def test_loopback_and_the_host_itself_are_left_alone(site):
    for address in ("127.0.0.1", "::1", site.host.ip, site.host.ip6):
        assert traffic.outcome(site.host.namespace, address, IN_CLOSED) == "served"


def test_the_agents_own_connections_are_left_alone(site):
    script = f"import socket; s = socket.create_connection(('{site.peer.ip}', {OUT_CLOSED}), 3); s.sendall(b'?'); print(s.recv(99))"
    assert "b'?'" in site.host.exec("/usr/bin/python3", "-c", script, user=harness.AGENT_UID).stdout
    assert "agent out" in site.host.exec("/usr/bin/python3", "-c", script).stdout


def test_the_agents_ports_are_not_reachable_from_outside(site):
    assert site.inbound(15006) == "refused"
    assert site.inbound(15001) == "refused"


@pytest.mark.parametrize("family", [4, 6])
def test_syn_cookies_do_not_lead_past_the_agent(site, family):
    """With cookies a connection has no socket until its first ACK: that one has to find our listener too."""
    site.host.exec("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    for _ in range(5):
        assert site.inbound(IN_OPEN, family=family) == "agent in"
        assert site.inbound(IN_CLOSED, family=family) == "agent in"
    counters = site.host.exec("nstat", "-asz", "TcpExtSyncookiesRecv").stdout.split()
    assert int(counters[counters.index("TcpExtSyncookiesRecv") + 1]) >= 10
