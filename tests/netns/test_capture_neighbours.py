"""Capture beside what else a host has: other programs' rules, leftovers, live connections, forwarded traffic."""
import threading
import time

import pytest

import capture_protocol as protocol
import traffic
from capture_lib import CAPTURED, GUARDED, IN_CLOSED, IN_OPEN, NOTHING, OUT_CLOSED, OUT_OPEN, Site
from harness import run
from traffic import wait_until

pytestmark = [pytest.mark.needs("helper", "nft")]


@pytest.fixture
def site(fresh_lab):
    return Site(fresh_lab).start()


@pytest.fixture
def plain(fresh_lab):
    return Site(fresh_lab, "--plain").start()


# ---- other programs' rules


def test_owned_rules_survive_a_foreign_flush(site):
    stop = threading.Event()
    answers = set()

    def watch():
        while not stop.is_set():
            answers.update((site.outbound(OUT_OPEN), site.inbound(IN_OPEN)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(3):
        site.host.exec("nft", "flush", "ruleset")
        time.sleep(0.3)
    stop.set()
    watcher.join()
    assert answers == {"agent out", "agent in"}
    wait_until(lambda: any("guard" in name for name in site.our_tables()), "the guard is back")


def test_nobody_else_can_delete_owned_rules(site):
    table = site.status()["table"]
    result = site.host.exec("nft", "delete", "table", "inet", table, check=False)
    assert result.returncode != 0 and "not permitted" in result.stderr
    assert site.picture() == CAPTURED


def test_plain_rules_come_back_within_a_second(plain):
    def attempt():
        plain.host.exec("nft", "flush", "ruleset")
        began = time.monotonic()
        wait_until(lambda: plain.outbound(OUT_CLOSED, timeout=0.2) == "agent out", "repaired")
        return time.monotonic() - began

    traffic.within(1.0, attempt)
    assert plain.picture() == CAPTURED


def test_one_changed_rule_is_noticed(plain):
    plain.host.exec("nft", "insert", "rule", "inet", plain.status()["table"], "inbound", "accept")
    wait_until(lambda: plain.status()["repairs"] == 1, "repaired")
    assert plain.picture() == CAPTURED


def test_after_five_repairs_in_a_minute_it_gives_up_and_on_agent_death_applies(plain):
    for count in range(1, 6):
        plain.host.exec("nft", "flush", "ruleset")
        wait_until(lambda: plain.status()["repairs"] == count, f"repair {count}")
    plain.host.exec("nft", "flush", "ruleset")
    plain.wait_for_state("gave_up")
    assert plain.picture() == GUARDED
    plain.wait_for_helper_log("keeps changing the rules")
    plain.host.exec("nft", "flush", "ruleset")  # no fight any more
    time.sleep(0.5)
    assert plain.picture() == NOTHING
    # The agent's next wish starts it again.
    plain.agent.kill()
    plain.start_agent()
    assert plain.picture() == CAPTURED


def test_others_rules_are_not_touched(site):
    site.host.nft("table inet theirs { chain input { type filter hook input priority 5; tcp dport 9999 drop; }\n}")
    before = site.host.exec("nft", "list", "table", "inet", "theirs").stdout
    site.tool().ask(protocol.NARROW, site.config())
    site.agent.kill()
    site.wait_for_state("agent_dead")
    site.tool().ask(protocol.DROP)
    assert site.host.exec("nft", "list", "table", "inet", "theirs").stdout == before
    wait_until(lambda: site.our_tables() == [], "nothing of ours is left")


# ---- leftovers


def test_leftovers_of_another_boot_are_removed(fresh_lab):
    site = Site(fresh_lab)
    leftover = "table inet mooring_00c0ffee_a { chain outbound { type nat hook output priority -110; tcp dport 9000 redirect to :1; }\n}"
    site.host.nft(leftover)
    site.start()
    assert not any("c0ffee" in name for name in site.our_tables())
    # and one that the host's firewall file brings back while we run
    site.host.nft(leftover)
    wait_until(lambda: not any("c0ffee" in name for name in site.our_tables()), "stray removed")


def test_saved_and_reloaded_rules_do_not_outlive_capture(plain):
    saved = plain.host.exec("nft", "list", "ruleset").stdout
    plain.tool().ask(protocol.DROP)
    wait_until(lambda: plain.our_tables() == [], "removed")
    plain.host.nft("flush ruleset\n" + saved)
    wait_until(lambda: plain.our_tables() == [], "strays removed")
    assert plain.picture() == NOTHING


def test_rules_without_a_state_file_are_removed(plain):
    """The helper's memory is lost: what nobody can explain goes, rather than redirect for ever."""
    plain.agent.kill()
    plain.host.helper.kill()
    plain.host.path("/run/mooring/net-state/state").unlink()
    plain.start_helper()
    wait_until(lambda: plain.our_tables() == [], "removed")
    assert plain.picture() == NOTHING


# ---- connections


def test_connections_older_than_capture_live_on(fresh_lab):
    site = Site(fresh_lab)
    with traffic.connect(site.host.namespace, site.peer.ip, OUT_CLOSED) as out, \
            traffic.connect(site.peer.namespace, site.host.ip6, IN_CLOSED) as inbound:
        for when in ("before", "captured", "guarded", "off"):
            if when == "captured":
                site.start()
                assert site.picture() == CAPTURED
            elif when == "guarded":
                site.agent.kill()
                site.wait_for_state("agent_dead")
            elif when == "off":
                site.tool().ask(protocol.DROP)
            for live in (out, inbound):
                live.sendall(when.encode())
                assert traffic.receive_exactly(live, len(when)) == when.encode(), when


def test_handover_to_the_next_helper_under_load_loses_nothing(site):
    """Also: nothing goes past the agent while the two generations change."""
    answers, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            answers.append(site.outbound(OUT_OPEN))
            answers.append(site.inbound(IN_OPEN))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in range(2, 8):
        site.host.helper.kill()
        site.start_helper()
        site.wait_for_agent("active", times=count)
    wait_until(lambda: len(answers) > 200, "enough calls")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {"agent out", "agent in"}


@pytest.mark.parametrize("port", [OUT_CLOSED, IN_CLOSED])
def test_forwarded_traffic_is_left_alone(site, port):
    """The captured host routes for a guest, whose ports and callees are nobody's business."""
    guest = f"{site.lab.tag}guest"
    run("ip", "netns", "add", guest)
    try:
        run("ip", "link", "add", "eth0", "netns", guest, "type", "veth", "peer", "name", "guest0", "netns", site.host.namespace)
        for namespace, device, address in ((guest, "eth0", "10.77.2.2/24"), (site.host.namespace, "guest0", "10.77.2.1/24")):
            run("ip", "-n", namespace, "addr", "add", address, "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", guest, "route", "add", "default", "via", "10.77.2.1")
        run("ip", "-n", site.peer.namespace, "route", "add", "10.77.2.0/24", "via", site.host.ip)
        site.host.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        with traffic.Server(guest, port):
            assert traffic.outcome(site.peer.namespace, "10.77.2.2", port) == "served"
        assert traffic.outcome(guest, site.peer.ip, port) == "served"
    finally:
        run("ip", "netns", "del", guest)


# ---- the host's firewall still decides by the original port


class Nft:
    def __init__(self, site, friend):
        site.host.nft(f"""table inet firewall {{ chain input {{
            type filter hook input priority 0; policy accept;
            ct state established,related accept
            ip saddr {friend.ip} tcp dport {IN_CLOSED} accept
            ip6 saddr {friend.ip6} tcp dport {IN_CLOSED} accept
            tcp dport {IN_CLOSED} drop
            }}\n}}""")


class IptablesNft:
    flavour = "nft"

    def __init__(self, site, friend):
        for program, source in ((f"iptables-{self.flavour}", friend.ip), (f"ip6tables-{self.flavour}", friend.ip6)):
            site.host.exec(program, "-A", "INPUT", "-p", "tcp", "-s", source, "--dport", IN_CLOSED, "-j", "ACCEPT")
            site.host.exec(program, "-A", "INPUT", "-p", "tcp", "--syn", "--dport", IN_CLOSED, "-j", "DROP")


class IptablesLegacy(IptablesNft):
    flavour = "legacy"


class Firewalld:
    def __init__(self, site, friend):
        site.host.exec("mkdir", "-p", "/run/dbus")
        site.host.apps["dbus"] = site.host.spawn("dbus", "dbus-daemon", "--system", "--nofork", "--nopidfile")
        wait_until(lambda: site.host.path("/run/dbus/system_bus_socket").exists(), "dbus")
        site.host.apps["firewalld"] = site.host.spawn("firewalld", "firewalld", "--nofork", "--nopid")
        wait_until(lambda: site.host.exec("firewall-cmd", "--state", check=False).returncode == 0, "firewalld runs", interval=0.3)
        for kind, source in (("ipv4", friend.ip), ("ipv6", friend.ip6)):
            site.host.exec("firewall-cmd", f"--add-rich-rule=rule family={kind} source address={source} port port={IN_CLOSED} protocol=tcp accept")


@pytest.mark.parametrize("firewall", [Nft, IptablesNft, IptablesLegacy, pytest.param(Firewalld, marks=pytest.mark.needs("firewalld", "dbus-daemon"))])
@pytest.mark.parametrize("order", ["firewall first", "capture first"])
def test_firewall_decides_who_comes_in(fresh_lab, firewall, order):
    site = Site(fresh_lab)
    foe = fresh_lab.host("foe", identity=False)
    if order == "firewall first":
        firewall(site, site.peer)
        site.start()
    else:
        site.start()
        firewall(site, site.peer)
    for captured in (True, False):
        for family in (4, 6):
            assert site.inbound(IN_CLOSED, family=family) == ("agent in" if captured else "app")
            assert site.call(foe, site.host, IN_CLOSED, family=family, timeout=1) not in ("agent in", "app")
        if captured:
            site.tool().ask(protocol.DROP)
