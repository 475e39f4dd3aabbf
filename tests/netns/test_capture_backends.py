"""Every backend does the same: captures, opens and guards, repairs, leaves nothing behind."""
import glob
import signal

import pytest

import capture_protocol as protocol
import traffic
from capture_lib import CAPTURED, GUARDED, IN_CLOSED, IN_OPEN, NOTHING, OTHER, OUT_CLOSED, OUT_OPEN, Site
from traffic import wait_until

pytestmark = [pytest.mark.needs("helper", "nft")]
BACKENDS = {
    "nft inet, owned": ["--backend", "nft-inet"],
    "nft inet, plain": ["--backend", "nft-inet", "--plain"],
    "nft ip+ip6, owned": ["--backend", "nft-split"],
    "nft ip+ip6, plain": ["--backend", "nft-split", "--plain"],
    "iptables-nft": ["--backend", "iptables-nft"],
    "iptables-legacy": ["--backend", "iptables-legacy"],
    "nft inet, owned, without tproxy": ["--backend", "nft-inet", "--no-tproxy"],
    "nft ip+ip6, plain, without tproxy": ["--backend", "nft-split", "--plain", "--no-tproxy"],
    "iptables-nft, without tproxy": ["--backend", "iptables-nft", "--no-tproxy"],
}


@pytest.fixture(params=BACKENDS)
def site(request, fresh_lab):
    return Site(fresh_lab, *BACKENDS[request.param]).start()


def rules(site):
    """All of the host's rules that carry our name, whoever lists them."""
    commands = [["nft", "list", "ruleset"]] + [[f"{program}-{flavour}-save"] for program in ("iptables", "ip6tables") for flavour in ("nft", "legacy")]
    text = "".join(site.host.exec(*command).stdout for command in commands)
    return [line for line in text.splitlines() if "mooring_" in line and not line.startswith("#")]


def test_capture_death_return_and_removal(site):
    assert site.picture(4) == site.picture(6) == CAPTURED
    for family in (4, 6):
        assert site.outbound(OTHER, family=family) == site.inbound(OTHER, family=family) == "app"
    site.agent.kill()
    site.wait_for_state("agent_dead")
    assert site.picture(4) == site.picture(6) == GUARDED
    site.start_agent()
    assert site.picture(4) == site.picture(6) == CAPTURED
    tool = site.tool()
    tool.ask(protocol.DROP)
    assert tool.status()["state"] == "held_off"
    assert site.picture(4) == site.picture(6) == NOTHING
    wait_until(lambda: rules(site) == [], "nothing of ours is left")


def test_no_connection_slips_through_while_rules_are_replaced(site):
    tool = site.tool()
    for _ in range(15):
        tool.ask(protocol.NARROW, site.config())
        for family in (4, 6):
            assert site.outbound(OUT_CLOSED, family=family) == "agent out"
            assert site.inbound(IN_CLOSED, family=family) == "agent in"


def test_rules_that_another_program_removes_come_back(site):
    if "legacy" in " ".join(site.arguments):
        for program in ("iptables-legacy", "ip6tables-legacy"):
            for table in ("nat", "mangle", "filter"):
                site.host.exec(program, "-t", table, "-F")
    else:
        site.host.exec("nft", "flush", "ruleset")
    # Several commands flushed: what was looked at between two of them is repaired twice.
    wait_until(lambda: site.status()["repairs"] >= 1 and site.picture(4) == site.picture(6) == CAPTURED, "repaired")


def test_helper_restart_takes_over(site):
    site.host.helper.kill()
    assert site.picture() == CAPTURED
    site.start_helper()
    site.wait_for_agent("active", times=2)
    assert site.picture(4) == site.picture(6) == CAPTURED
    site.agent.kill()
    site.wait_for_state("agent_dead")
    wait_until(lambda: site.picture() == GUARDED, "open again")


def test_a_helper_that_finds_no_agent_opens(site):
    """Where nothing owns the rules, both ends leave them; the next helper does what on_agent_death says."""
    site.agent.kill()
    site.host.helper.kill()
    site.start_helper()
    wait_until(lambda: site.picture() == GUARDED, "on_agent_death")


def test_without_tproxy_live_inbound_connections_survive_too_and_the_warning_is_given(fresh_lab):
    """They are redirected then, and need NAT until they end."""
    site = Site(fresh_lab, "--no-tproxy").start()
    site.wait_for_helper_log("warning capture: services are captured by redirect")
    with traffic.connect(site.peer.namespace, site.host.ip, IN_OPEN) as live:
        assert live.makefile("rb").readline() == f"agent in {site.host.ip} {IN_OPEN}\n".encode()
        site.agent.signal(signal.SIGUSR1)
        site.wait_for_agent("dropped")
        assert site.status()["is_draining"]
        live.sendall(b"still here")
        assert traffic.receive_exactly(live, 10) == b"still here"
    wait_until(lambda: not any("drain" in name for name in site.our_tables()), "drain table removed")


# ---- what a host may lack


def hide(site, *files):
    """In this host's view only: its mounts are its own."""
    for file in files:
        site.host.exec("mount", "--bind", "/dev/null", file)


NFT = ["/usr/sbin/nft"]
LIBRARY = glob.glob("/usr/lib/*-linux-gnu/libnftables.so.1")
IPTABLES = ["/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"]


# The nft program needs the library too.
@pytest.mark.parametrize("missing, backend, is_owned", [(NFT, "nft inet", True), (LIBRARY, "iptables-nft", False)],
                         ids=["nft", "libnftables"])
def test_without_a_part_of_nftables(fresh_lab, missing, backend, is_owned):
    site = Site(fresh_lab)
    hide(site, *missing)
    site.start()
    status = site.status()
    assert (status["backend"], status["is_owned"]) == (backend, is_owned)
    assert site.picture(4) == site.picture(6) == CAPTURED
    site.agent.kill()
    site.wait_for_state("agent_dead")
    assert site.picture(4) == site.picture(6) == GUARDED


def test_without_anything_it_ends_and_says_why(fresh_lab):
    site = Site(fresh_lab)
    hide(site, *NFT, *LIBRARY, *IPTABLES)
    result = site.host.exec(fresh_lab.program("mooring-net"), "--agent-uid=64101", check=False)
    assert result.returncode == 1
    for backend in ("nft-inet", "nft-split", "iptables-nft", "iptables-legacy"):
        assert f"{backend}: " in result.stderr
    assert "is not installed" in result.stderr


def test_legacy_needs_a_capability_that_the_helper_has_not(fresh_lab):
    """The namespace of the probe grants every capability; out here the rules would be refused."""
    site = Site(fresh_lab)
    hide(site, *NFT, *LIBRARY, "/usr/sbin/xtables-nft-multi")
    helper = site.host.start_helper(wait=False)
    assert helper.wait() == 1
    assert "iptables-legacy: needs CAP_NET_RAW" in helper.log()
    # With it (Site gives it to this backend) it is the one that is left.
    site.arguments = ("--backend", "iptables-legacy")
    site.start()
    assert site.picture() == CAPTURED


def test_it_links_neither_tls_nor_http(fresh_lab):
    linked = Site(fresh_lab).host.exec("ldd", fresh_lab.program("mooring-net")).stdout
    assert "libuv" in linked
    assert not [name for name in ("ssl", "crypto", "nghttp2", "curl", "protobuf", "llhttp") if f"lib{name}" in linked]
