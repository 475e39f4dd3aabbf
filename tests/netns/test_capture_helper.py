"""mooring-net with real rules in real namespaces, with an agent that only tells who it was meant for."""
import signal
import time

import pytest

import capture_protocol as protocol
import harness
import traffic
from capture_lib import (CAPTURED, GUARDED, IN_CLOSED, IN_OPEN, NOTHING, OTHER, OUT_CLOSED, OUT_OPEN, Site)
from traffic import wait_until

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
