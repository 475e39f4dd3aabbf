"""Who may ask mooring-net for what, and what it makes of damaged messages."""
import os
import random
import socket
import struct

import pytest

import capture_protocol as protocol
import harness
from capture_lib import ALLOW_ALL, CAPTURED, IN_CLOSED, NOTHING, OTHER, OUT_OPEN, Site
from capture_protocol import CLOSED, OPEN
from traffic import wait_until

pytestmark = [pytest.mark.needs("helper", "nft")]


@pytest.fixture
def site(fresh_lab):
    return Site(fresh_lab)


def as_agent(site, action, *arguments):
    """Does `action(connection)` with the agent's uid in a child; returns "ok" or the refusal."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Root's view of the host's files, then the agent's uid: SO_PEERCRED is taken at connect().
            path = site.host.path("/run/mooring/net.sock")
            os.chdir(path.parent)
            os.setresgid(harness.AGENT_UID, harness.AGENT_UID, harness.AGENT_UID)
            os.setgroups([])
            os.setresuid(harness.AGENT_UID, harness.AGENT_UID, harness.AGENT_UID)
            action(protocol.Connection("net.sock", *arguments))
            os.write(writer, b"ok")
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        return stream.read()


def test_the_agent_may_not_set_a_plan(site):
    site.start()
    assert "not allowed for uid" in as_agent(site, lambda helper: helper.ask(protocol.SET_PLAN, site.config()))
    assert as_agent(site, lambda helper: helper.status()) == "ok"


def test_only_the_agents_uid_stands_for_the_agent(site):
    site.start()
    with pytest.raises(protocol.Refused, match="may stand for the agent"):
        protocol.Connection(site.host.path("/run/mooring/net.sock"), protocol.AGENT)
    assert site.state() == "active"


@pytest.mark.parametrize("bounds, refusal", [
    (None, "inbound port 8001: is not in inbound.ports"),
    ("[inbound]\nports = [\"8000-8100\"]\n", "is not in outbound.addresses"),
    (ALLOW_ALL.replace("[outbound]", "stay_closed = [8001]\n[outbound]"), "8001: may not be opened"),
    (ALLOW_ALL + "surprise = 1\n", "unknown key outbound.surprise"),
])
def test_the_agent_stays_within_capture_toml(site, bounds, refusal):
    site.start_helper()
    if bounds is None:
        site.host.path("/etc/mooring/capture.toml").unlink()
    else:
        site.host.allow_capture(bounds)
    site.start_agent(wait_for="refused")
    assert refusal in site.agent.log()
    assert site.state() == "off"
    assert site.picture() == NOTHING


def test_capture_toml_must_be_roots(site):
    site.start_helper()
    os.chown(site.host.path("/etc/mooring/capture.toml"), harness.AGENT_UID, 0)
    site.start_agent(wait_for="refused")
    assert "must belong to root" in site.agent.log()


def test_root_switches_on_what_capture_toml_does_not_allow(site):
    site.start_helper()
    site.host.path("/etc/mooring/capture.toml").unlink()
    site.start_agent(config=b"", wait_for="waiting")
    site.tool().ask(protocol.SET_PLAN, site.config())
    assert site.picture() == CAPTURED
    # and it comes back with the agent, which asks for nothing itself
    site.agent.kill()
    site.wait_for_state("agent_dead")
    site.start_agent(config=b"", wait_for="waiting")
    site.wait_for_state("active")
    assert site.picture() == CAPTURED


def test_root_switches_off_and_the_agent_cannot_switch_on(site):
    site.start()
    site.tool().ask(protocol.DROP)
    assert site.picture() == NOTHING
    site.agent.kill()
    site.start_agent(wait_for="refused")
    assert "root switched capture off" in site.agent.log()
    assert site.picture() == NOTHING
    site.tool().ask(protocol.SET_PLAN, site.config())
    assert site.picture() == CAPTURED


def test_nothing_is_switched_on_without_an_agent(site):
    site.start_helper()
    with pytest.raises(protocol.Refused, match="no agent is connected"):
        site.tool().ask(protocol.SET_PLAN, site.config())
    assert site.our_tables() == []


def test_narrowing_ends_the_capture_of_the_rest(site):
    site.start()
    tool = site.tool()
    tool.ask(protocol.NARROW, site.config(outbound=[]))
    assert site.outbound(OUT_OPEN) == "app"
    assert site.inbound(IN_CLOSED) == "agent in"
    with pytest.raises(protocol.Refused, match="is not captured now"):
        tool.ask(protocol.NARROW, site.config())


def test_other_traffic_is_given_to_the_agent_when_it_is_to_be_refused(site):
    site.start_helper()
    site.start_agent(site.config(refuse_other=True))
    assert site.outbound(OTHER) == site.outbound(OTHER, family=6) == "agent out"
    assert site.inbound(OTHER) == "app"
    site.agent.kill()
    site.wait_for_state("agent_dead")
    assert site.outbound(OTHER) == "app"


def test_impossible_plans_are_refused(site):
    site.start()
    tool = site.tool()
    for config, refusal in ((site.config(inbound=[(22, CLOSED)]), "sshd"),
                            (site.config(outbound=[("127.0.0.0/8", 80, OPEN)]), "never captured"),
                            (site.config(inbound=[(80, OPEN), (80, CLOSED)]), "both open and closed")):
        with pytest.raises(protocol.Refused, match=refusal):
            tool.ask(protocol.SET_PLAN, config)
    assert site.picture() == CAPTURED


def test_listeners_for_many_workers(site):
    site.start_helper()
    listeners = site.tool().listeners(workers=60)
    assert len(listeners) == 240
    places = {listener.getsockname()[:2] for _, _, _, listener in listeners}
    assert places == {("127.0.0.1", 15001), ("::1", 15001), ("127.0.0.1", 15006), ("::1", 15006)}
    for is_inbound, is_v6, _, listener in listeners:
        level, option = (socket.IPPROTO_IPV6, 75) if is_v6 else (socket.SOL_IP, 19)
        assert listener.getsockopt(level, option) == is_inbound


def test_a_port_that_is_taken_is_named(site):
    site.start_helper()
    with site.host.server(15001):
        with pytest.raises(protocol.Refused, match=r"15001: cannot listen"):
            site.tool().listeners()


def test_damaged_messages_end_their_connection_and_nothing_else(site):
    site.start()
    random.seed(7)
    good = struct.pack("!HBBI", protocol.MAGIC, 1, protocol.SET_PLAN, 1) + site.config()
    for _ in range(300):
        damaged = bytearray(good[:random.randrange(1, len(good) + 1)])
        for _ in range(random.randrange(4)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        raw.connect(str(site.host.path("/run/mooring/net.sock")))
        raw.send(damaged)
        raw.close()
    assert site.picture() == CAPTURED
    assert site.host.helper.exit_code is None


@pytest.mark.parametrize("uid", [harness.AGENT_UID, 64150])
def test_silent_connections_do_not_lock_out_root(site, uid):
    site.start()
    script = """if True:
        import socket, time
        held = []
        for _ in range(40):
            held.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            held[-1].connect("/run/mooring/net.sock")
        print("held", flush=True)
        time.sleep(60)"""
    stranger = site.host.spawn("stranger", "setpriv", f"--reuid={uid}", f"--regid={harness.AGENT_UID}", "--clear-groups",
                               "/usr/bin/python3", "-c", script)
    try:
        wait_until(lambda: "held" in stranger.log(), "40 connections")
        assert site.state() == "active"
        assert site.picture() == CAPTURED
    finally:
        stranger.kill()


def test_the_helper_keeps_one_capability(site):
    site.start_helper()
    status = open(f"/proc/{site.host.helper.pid}/status").read()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    net_admin = f"{1 << 12:016x}"
    assert {name: fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), net_admin)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Uid"].split() == [str(harness.HELPER_UID)] * 4


def test_started_by_root_it_becomes_its_user(site):
    site.host.helper = site.host.spawn("helper", site.lab.program("mooring-net"), f"--agent-uid={harness.AGENT_UID}", f"--user={harness.HELPER_UID}")
    wait_until(lambda: site.host.path("/run/mooring/net.sock").exists(), "socket")
    site.start_agent()
    assert site.picture() == CAPTURED
    status = open(f"/proc/{site.host.helper.pid}/status").read()
    assert f"Uid:\t{harness.HELPER_UID}" in status and f"CapEff:\t{1 << 12:016x}" in status


@pytest.mark.parametrize("arguments, text", [(["--surprise"], "unrecognized"), (["--agent-user=nobody-of-that-name"], "no such user"),
                                             (["--log-level=loud"], "not a level"), (["stray"], "unexpected argument")])
def test_wrong_options_end_with_78(site, arguments, text):
    result = site.host.exec(site.lab.program("mooring-net"), *arguments, check=False)
    assert result.returncode == 78
    assert text in result.stderr


def test_broken_capture_toml_ends_with_78_and_its_place(site):
    site.host.allow_capture("[inbound]\nports = [0]\n")
    result = site.host.exec(site.lab.program("mooring-net"), f"--agent-uid={harness.AGENT_UID}", check=False)
    assert result.returncode == 78
    assert "/etc/mooring/capture.toml:2:10" in result.stderr
    assert site.host.exec(site.lab.program("mooring-net"), "--help").stdout.startswith("mooring-net:")
