"""What a host goes through on bad days. It stays reachable, its applications do what on_agent_death says, and whoever
looks finds out why."""
import contextlib
import os
import signal
import time

import pytest
from harness import SLOW, run, service, upstream
from load import APP_PORT, install_app
from machines import NEW, OLD, UNITS
from traffic import receive_exactly, wait_until

OPEN = {"outbound": "open", "permissive": "open", "strict": "open"}

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def hosts(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(db)
    for host in (web, db):
        host.install()
        host.join()
    db.configure(service("app", APP_PORT, allow=[web.id]))
    web.configure(upstream("db", db, [APP_PORT]))
    for host in (db, web):
        host.start()
    return web, db


@pytest.fixture(autouse=True)
def well_again(hosts):
    web, db = hosts
    yield
    for host in hosts:
        host.systemctl("start", *UNITS)
        wait_until(host.is_capturing, f"{host.name}: capture is active", timeout=60)
    assert web.outcome(db.ip, APP_PORT) == "served"


def call(web, db):
    return web.outcome(db.ip, APP_PORT, timeout=5)


def is_reachable(host):
    """By ssh's port, which is never captured: somebody answers, if only to refuse."""
    return host.lab.hosts["web" if host.name == "db" else "db"].outcome(host.ip, 22, timeout=5) == "refused"


@pytest.mark.parametrize("unit", UNITS)
def test_killed_it_is_back_in_seconds(hosts, unit):
    web, db = hosts
    for host in hosts:
        before = host.property(unit, "MainPID")
        os.kill(host.pid_of(unit), signal.SIGKILL)
        assert is_reachable(host)
        wait_until(lambda host=host: host.property(unit, "MainPID") not in (before, "0"), f"{unit} runs again", timeout=20)
        wait_until(host.is_capturing, "capture is active", timeout=20)
        assert call(web, db) == "served"


@pytest.mark.parametrize("unit", UNITS)
def test_stalled_it_is_ended_by_the_watchdog_and_started_again(hosts, unit):
    web, db = hosts
    before = web.property(unit, "MainPID")
    os.kill(web.pid_of(unit), signal.SIGSTOP)
    assert is_reachable(web)
    wait_until(lambda: web.property(unit, "MainPID") not in (before, "0"), f"{unit} runs again", timeout=60)
    assert "Watchdog timeout" in web.journal(unit)
    assert web.exec("sh", "-c", "find /var/lib/systemd/coredump /core* -type f 2>/dev/null", check=False).stdout == "", "a core has keys in it"
    wait_until(web.is_capturing, "capture is active", timeout=20)
    assert call(web, db) == "served"


def test_closed_service_stays_closed_while_its_agent_is_gone(hosts):
    web, db = hosts
    db.systemctl("stop", "mooringd.service")
    assert call(web, db) in ("reset", "refused") and is_reachable(db)
    db.systemctl("stop", "mooring-net.service")
    assert call(web, db) in ("reset", "refused") and is_reachable(db)


def test_a_start_without_end_is_not_given_up(hosts):
    """Nobody has to come and reset a counter of failed starts."""
    web, _ = hosts
    for _ in range(8):
        before = web.property("mooringd.service", "MainPID")
        os.kill(web.pid_of("mooringd.service"), signal.SIGKILL)
        wait_until(lambda before=before: web.property("mooringd.service", "MainPID") not in (before, "0"), "started again", timeout=20)
    assert web.property("mooringd.service", "Result") == "success"


def test_a_wrong_configuration_is_not_tried_again(hosts):
    web, _ = hosts
    text = web.exec("cat", "/etc/mooring/agent.toml").stdout
    web.write_config("nonsense = 1\n" + text)
    try:
        web.systemctl("restart", "mooringd.service", check=False)
        wait_until(lambda: web.property("mooringd.service", "ActiveState") == "failed", "the unit has failed")
        assert web.property("mooringd.service", "ExecMainStatus") == "78"
        assert "/etc/mooring/agent.toml:1:1: unknown" in web.journal("mooringd.service", "-n", "20")
    finally:
        web.write_config(text)


def test_open_connections_have_their_time_where_the_units_limit_is_shorter(hosts):
    web, db = hosts
    folder = "/run/systemd/system/mooringd.service.d"
    web.write(f"{folder}/short.conf", "[Service]\nTimeoutStopSec=2\n")
    web.systemctl("daemon-reload")

    def answers(client, text):
        client.sendall(text)
        return receive_exactly(client, len(text)) == text

    try:
        with web.connect(db.ip, APP_PORT) as client:
            assert answers(client, b"before")
            web.systemctl("stop", "--no-block", "mooringd.service")
            time.sleep(6)
            assert web.property("mooringd.service", "ActiveState") == "deactivating" and answers(client, b"after")
        wait_until(lambda: web.property("mooringd.service", "ActiveState") == "inactive", "stopped after its last connection")
        assert web.property("mooringd.service", "Result") == "success"
    finally:
        web.exec("rm", "-r", folder)
        web.systemctl("daemon-reload")


def test_the_default_file_is_the_agents_environment(hosts):
    """So that MOORING_ALLOW_NON_FIPS has a place."""
    web, _ = hosts
    before = web.exec("cat", "/etc/default/mooring").stdout
    web.write("/etc/default/mooring", before + "MOORING_ALLOW_NON_FIPS=1\n")
    try:
        web.systemctl("restart", "mooringd.service")
        environment = web.exec("cat", f"/proc/{web.property('mooringd.service', 'MainPID')}/environ").stdout.split("\0")
        assert "MOORING_ALLOW_NON_FIPS=1" in environment
    finally:
        web.write("/etc/default/mooring", before)


@contextlib.contextmanager
def full(host, folder):
    """The folder on a file system without a byte left."""
    host.exec("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", folder)
    host.exec("chown", "--reference", "/var/lib/mooring" if "net" not in folder else "/var/lib/mooring-net", folder, check=False)
    host.exec("sh", "-c", f"dd if=/dev/zero of={folder}/ballast bs=4k 2>/dev/null; chmod 1777 {folder}", check=False)
    try:
        yield
    finally:
        host.exec("umount", "-l", folder)


@pytest.mark.parametrize("folder", ["/var/log/mooring", "/var/lib/mooring-net", "/run/mooring"])
def test_on_a_full_disk_traffic_goes_on(hosts, folder):
    web, db = hosts
    with full(web, folder):
        web.systemctl("restart", *UNITS)
        wait_until(lambda: web.property("mooringd.service", "ActiveState") == "active", "the agent runs", timeout=20)
        assert is_reachable(web)
        # Sockets take no room, so that even a full /run has them.
        wait_until(web.is_capturing, "capture is active", timeout=20)
        assert call(web, db) == "served"
    web.systemctl("restart", *UNITS)


def test_on_a_read_only_etc_it_starts(hosts):
    web, db = hosts
    web.exec("sh", "-c", "mount --bind /etc /etc && mount -o remount,ro,bind /etc")
    try:
        web.systemctl("restart", *UNITS)
        wait_until(web.is_capturing, "capture is active", timeout=20)
        assert call(web, db) == "served"
    finally:
        web.exec("umount", "/etc")


def test_a_stopped_journald_holds_nobody_up(hosts):
    web, db = hosts
    journald = web.pid_of("systemd-journald.service")
    os.kill(journald, signal.SIGSTOP)
    try:
        for _ in range(300):
            assert call(web, db) == "served"
        for host in hosts:
            assert host.status()["ready"]
    finally:
        os.kill(journald, signal.SIGCONT)


def test_without_nft_it_says_what_is_missing(hosts):
    web, db = hosts
    tools = ["/usr/sbin/nft", *(f"/usr/sbin/{name}" for name in ("iptables", "iptables-nft", "iptables-legacy", "xtables-nft-multi", "xtables-legacy-multi")),
             *web.exec("sh", "-c", "ls /usr/lib/*/libnftables.so.1*").stdout.split()]
    for tool in tools:
        web.exec("mv", tool, tool + ".away")
    try:
        web.systemctl("restart", *UNITS, check=False)
        complaint = "no backend works here: nft-inet: nft: is not installed"
        wait_until(lambda: complaint in web.journal("mooring-net.service", "-n", "40"), "it has said so")
        assert web.is_active("mooringd.service") and is_reachable(web)
        assert "mooring-net" in web.status()["capture"]["problem"] + str(web.status()["problems"])
    finally:
        for tool in tools:
            web.exec("mv", tool + ".away", tool)


def test_where_only_legacy_iptables_is_left_its_drop_in_makes_it_work(hosts):
    web, db = hosts
    folder = "/etc/systemd/system/mooring-net.service.d"
    web.exec("install", "-D", "-t", folder, "-m", "644", "/usr/share/mooring/systemd/optional/mooring-net-iptables-legacy.conf")
    tools = ["/usr/sbin/nft", "/usr/sbin/xtables-nft-multi", *web.exec("sh", "-c", "ls /usr/lib/*/libnftables.so.1*").stdout.split()]
    for tool in tools:
        web.exec("mv", tool, tool + ".away")
    try:
        web.exec("update-alternatives", "--set", "iptables", "/usr/sbin/iptables-legacy")
        web.exec("update-alternatives", "--set", "ip6tables", "/usr/sbin/ip6tables-legacy")
        web.systemctl("daemon-reload")
        web.systemctl("restart", *UNITS)
        wait_until(web.is_capturing, "capture is active", timeout=20)
        assert web.status()["capture"]["backend"] == "iptables-legacy"
        assert call(web, db) == "served"
        web.mooring("capture", "off")
        assert "mooring" not in web.exec("iptables-legacy-save").stdout.lower()
        web.mooring("capture", "on", "--yes")
    finally:
        for tool in tools:
            web.exec("mv", tool + ".away", tool)
        web.exec("rm", "-r", folder)
        web.systemctl("daemon-reload")
        web.systemctl("restart", *UNITS)


def test_without_network_a_boot_does_not_hang(hosts):
    web, _ = hosts
    run("ip", "-n", web.namespace, "link", "set", "eth0", "down")
    try:
        web.reboot()
        wait_until(web.is_capturing, "capture is active", timeout=30)
        assert web.systemctl("list-jobs", "--no-legend").stdout == "" and web.systemctl("--failed", "--no-legend").stdout == ""
    finally:
        run("ip", "-n", web.namespace, "link", "set", "eth0", "up")
        run("ip", "-n", web.namespace, "-6", "addr", "add", f"{web.ip6}/64", "dev", "eth0", "nodad", check=False)


def test_installed_without_systemd_it_waits_for_the_first_boot(fresh_lab):
    """In a chroot, as an image build does; the image then boots."""
    image = fresh_lab.host("image")
    image.poweroff()
    package = fresh_lab.packages[OLD]
    (image.root / "package.deb").write_bytes(package.read_bytes())
    done = run("chroot", image.root, "dpkg", "-i", "/package.deb")
    assert done.stderr == "" or "error" not in done.stderr
    (image.root / "package.deb").unlink()
    assert list((image.root / "run").glob("mooring*/*.sock")) == []
    image.boot()
    assert image.is_active("mooring-net.service") and not image.is_active("mooringd.service")
    assert image.systemctl("--failed", "--no-legend").stdout == ""
    assert image.exec("nft", "list", "ruleset").stdout == ""


def test_where_policy_forbids_it_nothing_is_started(fresh_lab):
    """policy-rc.d of Debian: how image builds and administrators say that packages start no services."""
    host = fresh_lab.host("careful")
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    host.exec("chmod", "755", "/usr/sbin/policy-rc.d")
    assert host.install().returncode == 0
    assert not any(host.is_active(unit) for unit in UNITS)
    host.systemctl("start", "mooring-net.service")
    pid = host.property("mooring-net.service", "MainPID")
    host.write("/etc/default/mooring", "RESTART_ON_UPGRADE=yes\n")
    host.install(NEW)
    assert host.property("mooring-net.service", "MainPID") == pid
    host.exec("rm", "/usr/sbin/policy-rc.d")
    host.install(OLD)
    assert host.property("mooring-net.service", "MainPID") != pid
