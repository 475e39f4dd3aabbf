"""A host's whole life with Mooring: install, configure, capture, reboot, upgrade, downgrade, remove, purge. One test is
one step, in this order, on the same two hosts; the footprint before the first and after the last is the same."""
import re

import footprint
import pytest
from harness import service, upstream
from load import APP_PORT, Load, install_app
from machines import NEW, OLD, UNITS, MachineLab
from traffic import wait_until

pytestmark = pytest.mark.incremental
BRIEF = {"drain": "5s"}
OTHER_RELEASES = [pytest.param(suite, marks=pytest.mark.long) for suite in ("bullseye", "trixie")]


@pytest.fixture(scope="module", params=["bookworm", *OTHER_RELEASES])
def lab(request):
    """Debian 12 has the distribution's libraries, 11 and 13 the programs for every Linux."""
    packages = request.getfixturevalue("packages" if request.param == "bookworm" else "portable_packages")
    with MachineLab(packages, request.param) as the_lab:
        yield the_lab


@pytest.fixture(scope="module")
def hosts(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(db)
    return web, db


@pytest.fixture(scope="module")
def before(hosts):
    return {host.name: footprint.take(host) for host in hosts}


def flows_over_mutual_tls(web, db):
    """The application's answer comes, and either agent knows the other by its identity."""
    assert web.outcome(db.ip, APP_PORT) == "served"
    assert web.wait_for_access(direction="outbound", reason="closed")["peer_identity"] == db.id
    assert db.wait_for_access(direction="inbound", reason="closed")["peer_identity"] == web.id


def turn_page(*hosts):
    for host in hosts:
        host.turn_page()


def modes(host, *paths):
    return host.exec("stat", "-c", "%a %U:%G %n", *paths).stdout.splitlines()


def score(host, unit):
    text = host.exec("systemd-analyze", "security", "--no-pager", unit, check=False).stdout
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])


def test_installed_it_is_idle(hosts, before):
    web, db = hosts
    for host in hosts:
        assert host.install().returncode == 0
    assert modes(web, "/etc/mooring", "/var/lib/mooring", "/var/lib/mooring-net", "/run/mooring", "/run/mooring/net.sock") == [
        "750 root:mooring /etc/mooring", "700 mooring:mooring /var/lib/mooring", "700 mooring-net:mooring-net /var/lib/mooring-net",
        "1775 mooring-net:mooring /run/mooring", "660 mooring-net:mooring /run/mooring/net.sock"]
    assert web.exec("getent", "passwd", "mooring", "mooring-net").stdout.count(":/usr/sbin/nologin\n") == 2
    assert web.is_active("mooring-net.service")
    assert web.property("mooringd.service", "ConditionResult") == "no" and not web.is_active("mooringd.service")
    assert web.systemctl("--failed", "--no-legend").stdout == ""
    assert footprint.rules(web) == before["web"]["rules"]
    assert web.outcome(db.ip, APP_PORT) == "served"


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_confined(hosts, before, unit, record_property):
    record_property("score", score(hosts[0], unit))
    print(f"{unit}: {score(hosts[0], unit)}")
    assert score(hosts[0], unit) <= 2.0


def test_helper_for_legacy_iptables_has_its_own_score(hosts, before):
    web, _ = hosts
    dropin = "/etc/systemd/system/mooring-net.service.d/mooring-net-iptables-legacy.conf"
    web.exec("install", "-D", "-m", "644", "/usr/share/mooring/systemd/optional/mooring-net-iptables-legacy.conf", dropin)
    web.systemctl("daemon-reload")
    print(f"mooring-net.service for iptables-legacy: {score(web, 'mooring-net.service')}")
    assert score(web, "mooring-net.service") <= 2.0
    web.exec("rm", "-r", dropin.rpartition("/")[0])
    web.systemctl("daemon-reload")


def test_configured_it_captures(hosts, before):
    web, db = hosts
    for host in hosts:
        host.join()
    db.configure(service("app", APP_PORT, allow=[web.id]), captures=False, timeouts=BRIEF)
    web.configure(upstream("db", db, [APP_PORT]), captures=False, timeouts=BRIEF)
    for host in hosts:
        host.systemctl("start", "mooringd.service")
        wait_until(host.status, "the agent answers")
        assert footprint.rules(host) == before[host.name]["rules"], "nothing is captured before it is asked for"
        print(host.mooring("capture", "on", "--yes").stdout)
        wait_until(host.is_capturing, f"{host.name}: capture is active")
    assert modes(web, "/run/mooring/admin.sock") == ["660 mooring:mooring /run/mooring/admin.sock"]
    flows_over_mutual_tls(web, db)
    stranger = "import socket; s = socket.create_connection(('%s', %d)); s.sendall(b'hello'); print(s.recv(9))" % (db.ip, APP_PORT)
    passed_by = web.exec("setpriv", "--reuid=mooring", "--regid=mooring", "--clear-groups", "python3", "-c", stranger, check=False)
    assert "hello" not in passed_by.stdout, "without the mesh nobody is let in"


def test_rebooted_it_flows_without_a_hand_laid_on(hosts, before):
    web, db = hosts
    turn_page(*hosts)
    for host in hosts:
        host.reboot()
    for host in hosts:
        wait_until(host.is_capturing, f"{host.name}: capture is active")
        assert host.systemctl("--failed", "--no-legend").stdout == ""
    wait_until(lambda: db.listens(APP_PORT), "the application is back")
    flows_over_mutual_tls(web, db)


def test_upgrade_under_load_leaves_the_running_agent_alone(hosts, before):
    web, db = hosts
    pids = {host.name: [host.property(unit, "MainPID") for unit in UNITS] for host in hosts}
    with Load(web, db) as load:
        load.wait_for()
        for host in hosts:
            output = host.install(NEW)
            assert "the running agent is untouched" in output.stdout
        load.wait_for(50)
        load.exchange()
    print(load.summary())
    assert load.failures == []
    for host in hosts:
        assert [host.property(unit, "MainPID") for unit in UNITS] == pids[host.name]
        status = host.status()
        assert (status["host"]["version"], status["host"]["replaced"]) == (OLD, True)
        assert f"mooring {OLD} (installed: {NEW})" in host.mooring("status").stdout
        assert any("the package was upgraded" in problem["text"] for problem in status["problems"])


def test_either_half_may_be_a_version_ahead(hosts, before):
    """Helper new and agent old, then agent new and helper old."""
    web, db = hosts
    web.systemctl("restart", "mooring-net.service")
    db.systemctl("restart", "mooringd.service")
    for host in hosts:
        wait_until(host.is_capturing, f"{host.name}: capture is active")
    turn_page(*hosts)
    flows_over_mutual_tls(web, db)


def test_needrestart_leaves_it_alone(hosts, before):
    web, _ = hosts
    pids = [web.property(unit, "MainPID") for unit in UNITS]
    found = web.exec("needrestart", "-b", "-r", "l").stdout
    assert "mooringd.service" in found, "needrestart has not seen that the program was replaced: this test shows nothing"
    web.exec("needrestart", "-q", "-r", "a")
    assert [web.property(unit, "MainPID") for unit in UNITS] == pids
    ours = "/etc/needrestart/conf.d/mooring.conf"
    web.exec("mv", ours, ours + ".away")
    web.exec("needrestart", "-q", "-r", "a")
    web.exec("mv", ours + ".away", ours)
    assert [web.property(unit, "MainPID") for unit in UNITS] != pids, "it would have restarted it"
    wait_until(web.is_capturing, "capture is active")


def test_downgrade_keeps_state_and_restarts_if_wanted(hosts, before):
    web, db = hosts
    settings = web.exec("sed", "s/^RESTART_ON_UPGRADE=.*/RESTART_ON_UPGRADE=yes/", "/etc/default/mooring").stdout
    for host in hosts:
        host.write("/etc/default/mooring", settings)
    pids = [web.property(unit, "MainPID") for unit in UNITS]
    with Load(web, db) as load:
        load.wait_for()
        for version in (OLD, NEW):
            web.install(version)
            wait_until(web.is_capturing, "capture is active again")
            load.wait_for(20)
        tail = load.outcomes[-15:]
    print(load.summary())
    assert {outcome for _, outcome in tail} == {"served"}
    assert [web.property(unit, "MainPID") for unit in UNITS] != pids
    assert web.exec("cat", "/etc/default/mooring").stdout == settings, "configuration is kept"
    db.install(OLD)
    wait_until(db.is_capturing, "capture is active")
    assert db.status()["host"]["replaced"] is False
    turn_page(*hosts)
    flows_over_mutual_tls(web, db)


def test_removed_it_is_gone_but_for_configuration_and_state(hosts, before):
    web, db = hosts
    with Load(web, db) as load:
        for host in (db, web):
            host.dpkg("--remove", "mooring")
    print(load.summary())
    for host in hosts:
        assert footprint.rules(host) == before[host.name]["rules"]
        assert host.exec("ls", "/etc/mooring/agent.toml", "/var/lib/mooring-net/state").returncode == 0
        assert host.systemctl("--failed", "--no-legend").stdout == ""
    assert web.outcome(db.ip, APP_PORT) == "served", "as before: without the mesh"


def test_purged_it_has_never_been_there(hosts, before):
    for host in hosts:
        host.dpkg("--purge", "mooring")
        assert footprint.difference(before[host.name], footprint.take(host)) == []
    for host in hosts:
        host.reboot()
        assert footprint.difference(before[host.name], footprint.take(host)) == []
