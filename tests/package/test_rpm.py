"""The scriptlets of the rpm, on a real systemd: Debian's, with rpm installed, so dependencies are not asked for."""
import footprint
import machines
import pytest
from harness import service, upstream
from load import APP_PORT, install_app
from machines import NEW, OLD, UNITS
from traffic import wait_until

pytestmark = [pytest.mark.incremental, pytest.mark.long]


@pytest.fixture(scope="module")
def rpms(tmp_path_factory):
    return machines.build_packages(tmp_path_factory.mktemp("rpms"), "rpm")


@pytest.fixture(scope="module")
def hosts(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(db)
    for host in (web, db):
        # The rpm's list of folders is Red Hat's.
        host.exec("mkdir", "-p", "/etc/sysconfig")
    return web, db


@pytest.fixture(scope="module")
def before(hosts):
    return {host.name: footprint.take(host) for host in hosts}


def rpm(host, package, *arguments):
    inside = "/var/cache/" + package.name
    host.path(inside).write_bytes(package.read_bytes())
    return host.exec("rpm", "--nodeps", *arguments, inside)


def test_installed_it_is_stopped_and_captures_nothing(hosts, before, rpms):
    for host in hosts:
        rpm(host, rpms[OLD], "-i")
        assert not any(host.is_active(unit) for unit in UNITS)
        assert host.exec("stat", "-c", "%a %U:%G", "/etc/mooring", "/var/lib/mooring").stdout.split("\n")[:2] == ["750 root:mooring", "700 mooring:mooring"]
        assert footprint.rules(host) == before[host.name]["rules"]


def test_configured_it_flows_and_again_after_a_reboot(hosts, before, rpms):
    web, db = hosts
    for host in hosts:
        host.join()
    db.configure(service("app", APP_PORT, allow=[web.id]), timeouts={"drain": "2s"})
    web.configure(upstream("db", db, [APP_PORT]), timeouts={"drain": "2s"})
    for host in hosts:
        host.systemctl("enable", *UNITS)
        host.start()
    assert web.outcome(db.ip, APP_PORT) == "served"
    for host in hosts:
        host.reboot()
    for host in hosts:
        wait_until(host.is_capturing, "capture is active")
    assert web.outcome(db.ip, APP_PORT) == "served"


def test_upgraded_it_restarts_only_if_asked_to(hosts, before, rpms):
    web, db = hosts
    pids = [web.property(unit, "MainPID") for unit in UNITS]
    rpm(web, rpms[NEW], "-U")
    assert [web.property(unit, "MainPID") for unit in UNITS] == pids and web.status()["host"]["replaced"]
    assert web.exec("systemctl", "is-enabled", *UNITS).stdout == "enabled\nenabled\n"
    web.write("/etc/sysconfig/mooring", "RESTART_ON_UPGRADE=yes\n")
    rpm(web, rpms[OLD], "-U", "--oldpackage")
    wait_until(web.is_capturing, "capture is active")
    assert web.property("mooringd.service", "MainPID") != pids[0] and not web.status()["host"]["replaced"]
    assert web.exec("cat", "/etc/sysconfig/mooring").stdout == "RESTART_ON_UPGRADE=yes\n"
    assert web.outcome(db.ip, APP_PORT) == "served"


def test_erased_it_leaves_configuration_and_state_only(hosts, before, rpms):
    for host in hosts:
        host.exec("rpm", "-e", "mooring")
        assert footprint.rules(host) == before[host.name]["rules"]
        assert footprint.units(host) == before[host.name]["units"]
        left = footprint.by_name(host)
        kept = ("/etc/mooring", "/var/lib/mooring", "/var/lib/mooring-net", "/var/log/mooring", "/etc/sysconfig/mooring.rpmsave", "/var/cache/mooring-")
        assert [path for path in left if not path.startswith(kept)] == []
        assert host.exec("ls", "/etc/mooring/agent.toml", "/var/lib/mooring-net/state").returncode == 0
