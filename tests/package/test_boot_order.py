"""Mooring before the applications at boot, declared on Mooring's side: the application needs nothing of it."""
import pytest
from harness import service, upstream
from load import APP_PORT, install_app
from machines import UNITS
from traffic import wait_until

BOOT_ORDER = "/usr/libexec/mooring/boot-order"
DROP_IN = "/etc/systemd/system/mooringd.service.d/before.conf"

@pytest.fixture(scope="module")
def host(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(web)
    web.install()
    web.join()
    web.configure(service("app", APP_PORT, allow=[db.id]), upstream("db", db, [APP_PORT]))
    web.start()
    return web


def active_units(host):
    text = host.systemctl("list-units", "--no-legend", "--plain", "--no-pager", "--type=service,socket,target", "--state=active").stdout
    return {line.split()[0] for line in text.splitlines()} - {"systemd-tmpfiles-clean.service"}


def cycles(host):
    return [line for line in host.exec("journalctl", "-b", "-o", "cat", "--no-pager", "_PID=1").stdout.splitlines() if "cycle" in line or "deleted to break" in line]


def test_application_starts_after_the_agent_and_no_job_vanishes(host):
    host.reboot()
    wait_until(host.is_capturing, "capture is active")
    before = active_units(host)
    host.exec(BOOT_ORDER, "add", "app.service")
    assert host.exec(BOOT_ORDER, "list").stdout == "app.service\n"
    for _ in range(2):
        host.reboot()
        wait_until(host.is_capturing, "capture is active")
        assert cycles(host) == []
        assert active_units(host) == before, "a start job vanished, or came"
        at = {unit: int(host.property(unit, "ActiveEnterTimestampMonotonic")) for unit in ("mooringd.service", "app.service")}
        began = int(host.property("app.service", "ExecMainStartTimestampMonotonic"))
        assert 0 < at["mooringd.service"] <= began
    assert host.property("app.service", "DropInPaths") == "", "nothing of ours on the application's unit"


def test_application_survives_our_stop_kill_and_removal_of_the_order(host):
    pid = host.property("app.service", "MainPID")
    host.systemctl("stop", *UNITS)
    assert host.property("app.service", "MainPID") == pid and host.is_active("app.service")
    host.systemctl("restart", "app.service")
    assert not host.is_active("mooringd.service"), "the application does not pull it in either"
    host.start()
    host.exec(BOOT_ORDER, "remove", "app.service")
    assert host.exec("ls", DROP_IN, check=False).returncode != 0 and host.is_active("app.service")


def test_application_starts_though_the_agent_cannot(host):
    host.exec(BOOT_ORDER, "add", "app.service")
    text = host.exec("cat", "/etc/mooring/agent.toml").stdout
    host.write_config("nonsense = 1\n")
    host.reboot()
    wait_until(lambda: host.is_active("app.service"), "the application runs", timeout=20)
    assert host.property("mooringd.service", "ActiveState") == "failed"
    host.write_config(text)
    host.start()


@pytest.mark.parametrize("unit", ["ssh.service", "sshd.service", "systemd-journald.service", "dbus.service", "getty@tty1.service",
                                  "networking.service", "network-online.target", "multi-user.target", "mooring-net.service", "nobody.service",
                                  "systemd-networkd.socket"])
def test_what_the_host_needs_never_waits(host, unit):
    before = host.exec("cat", DROP_IN, check=False).stdout
    assert host.exec(BOOT_ORDER, "add", unit, check=False).returncode != 0
    assert host.exec("cat", DROP_IN, check=False).stdout == before


def test_a_cycle_is_refused_and_nothing_changes(host):
    host.write("/etc/systemd/system/early.service", "[Unit]\nBefore=mooring-net.service\nAfter=app.service\n[Service]\nType=oneshot\nExecStart=/bin/true\n"
               "[Install]\nWantedBy=multi-user.target\n")
    host.systemctl("enable", "early.service")
    host.exec(BOOT_ORDER, "remove", "app.service")
    done = host.exec(BOOT_ORDER, "add", "app.service", check=False)
    print(done.stderr)
    assert done.returncode != 0 and "cycle" in done.stderr
    assert host.exec(BOOT_ORDER, "list").stdout == "" and host.exec("ls", DROP_IN, check=False).returncode != 0


def test_units_wait_for_nothing_that_a_host_without_network_lacks(host):
    for unit in UNITS:
        wanted = " ".join(host.property(unit, name) for name in ("After", "Requires", "Wants", "BindsTo", "PartOf", "Requisite"))
        assert "network-online.target" not in wanted and "time-sync" not in wanted
        needed = " ".join(host.property(unit, name) for name in ("RequiredBy", "BoundBy", "ConsistsOf"))
        assert needed.strip() == ""
