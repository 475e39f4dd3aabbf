"""What systemd, logrotate and an admin ask of a running agent, and what a helper that hangs or comes late must not delay."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest

import harness
import traffic
from traffic import RESET, wait_until

pytestmark = [pytest.mark.needs("agent", "helper")]


def status(host):
    return json.loads(host.mooring("status", "--json", check=False).stdout)  # it fails where the agent is not ready


def service_state(host, name):
    return next(each["state"] for each in status(host)["services"] if each["name"] == name)


# ---- a helper that hangs


@pytest.fixture
def hanging(fresh_pair):
    """web's helper is stopped: it accepts nothing and answers nothing."""
    fresh_pair.web.helper.signal(signal.SIGSTOP)
    yield fresh_pair
    fresh_pair.web.helper.signal(signal.SIGCONT)


def test_status_does_not_wait_for_a_stopped_helper(hanging):
    screens = []

    def attempt():
        began = time.monotonic()
        screens.append(hanging.web.mooring("status").stdout)
        return time.monotonic() - began

    traffic.within(1.0, attempt)
    assert [screen for screen in screens if "did not answer" not in screen] == []
    assert status(hanging.web)["capture"]["state"] == "unknown"
    hanging.web.helper.signal(signal.SIGCONT)
    wait_until(lambda: status(hanging.web)["capture"]["state"] == "active", "it answers again")


def test_nothing_else_waits_for_a_stopped_helper(hanging):
    """Others are answered while status waits, a reload too."""
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            hanging.web.mooring("status")

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()

    def attempt():
        began = time.monotonic()
        assert hanging.web.ready()
        return time.monotonic() - began

    try:
        traffic.within(0.5, attempt, tries=5)
        hanging.configure_web(connect_timeout="7s")
        hanging.web.reload_and_wait()
        with hanging.server():
            assert hanging.outcome() == "served"
    finally:
        stop.set()
        for asker in askers:
            asker.join()


# ---- a helper that comes late


def test_agent_without_capture_takes_a_helper_that_comes_later(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    pair.tables = {"capture": {"enabled": False}}
    pair.configure_web()
    pair.web.start_agent()
    pair.tables = {}
    pair.db.start()
    with pair.server():
        assert pair.outcome() == RESET, "plain text at a strict port"
        pair.web.start_helper()
        wait_until(lambda: pair.web.mooring("capture", "on", "--yes", check=False).returncode == 0, "root switches capture on")
        assert pair.outcome() == "served"
    pair.web.wait_for_access(direction="outbound", peer_identity=pair.db.id)


def test_agent_that_wants_capture_waits_for_its_helper(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    with Notified(pair.web) as systemd:
        agent = pair.web.start_agent(wait=False, prefix=systemd.environment)
        systemd.wait_for("READY=1")
        systemd.wait_for("STATUS=nothing is captured: /run/mooring/net.sock: the capture helper does not answer")
        assert not pair.web.ready()
        assert status(pair.web)["capture"]["problem"]
        pair.web.start_helper()
        wait_until(pair.web.ready, "ready with its helper")
        systemd.wait_for("STATUS=serving")
    assert agent.exit_code is None


# ---- systemd


class Notified:
    """Stands for systemd: a notification socket on the host, and what came there."""

    def __init__(self, host, watchdog_usec=None):
        self._folder = os.open(host.path("/run/mooring"), os.O_PATH)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = f"/proc/self/fd/{self._folder}/notify"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        self.lines = []
        self.environment = ["env", "NOTIFY_SOCKET=/run/mooring/notify"]
        if watchdog_usec:
            self.environment.append(f"WATCHDOG_USEC={watchdog_usec}")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while True:
                self.lines += self._socket.recv(4096).decode().splitlines()

    def wait_for(self, line):
        wait_until(lambda: [each for each in self.lines if each.startswith(line)], f"{line} among {self.lines[-5:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        os.close(self._folder)


def test_readiness_watchdog_and_reload_are_told(fresh_pair):
    host = fresh_pair.web
    host.agent.stop()
    with Notified(host, watchdog_usec=2_000_000) as systemd:
        host.start_agent(prefix=systemd.environment)
        systemd.wait_for("READY=1")
        wait_until(lambda: systemd.lines.count("WATCHDOG=1") >= 3, "the watchdog is told again and again")
        systemd.wait_for("STATUS=serving")
        ready = systemd.lines.count("READY=1")
        host.reload_and_wait()
        systemd.wait_for("RELOADING=1")
        systemd.wait_for("MONOTONIC_USEC=")
        wait_until(lambda: systemd.lines.count("READY=1") > ready, "ready after the reload")
        host.agent.stop()
        systemd.wait_for("STOPPING=1")
        systemd.wait_for("EXTEND_TIMEOUT_USEC=40000000")  # the drain time and ten seconds


# ---- logrotate


def test_log_file_is_opened_anew(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    log = pair.web.logs / "mooringd.log"
    pair.tables = {"log": {"file": str(log)}}
    pair.configure_web()
    pair.db.start()
    pair.web.start()
    wait_until(lambda: "capture is active" in log.read_text(), "lines in the log")
    old = log.with_suffix(".1")
    log.rename(old)
    pair.web.reload_and_wait()
    wait_until(lambda: log.exists() and "configuration 2 is in use" in log.read_text(), "lines in the new file")
    assert "configuration 2" not in old.read_text()
    assert log.stat().st_mode & 0o077 == 0
    # A folder that is gone: the log goes on where it was.
    pair.web.logs.rename(pair.web.logs.with_name("gone"))
    pair.web.reload_and_wait()
    wait_until(lambda: "configuration 3 is in use" in (pair.web.logs.with_name("gone") / "mooringd.log").read_text(), "the old file is used")


# ---- what status says


def test_repairs_are_counted(fresh_pair):
    host = fresh_pair.db
    assert host.metric("mooring_capture_repairs_total") == 0
    host.exec("nft", "flush", "ruleset")  # spares the owned table, takes the guard
    wait_until(lambda: host.metric("mooring_capture_repairs_total") == 1, "the agent counts the helper's repair")
    assert status(host)["capture"]["repairs"] == 1


def test_service_whose_application_refuses_is_failed(fresh_pair):
    pair = fresh_pair
    assert service_state(pair.db, "echo") == "ready", "nobody has tried yet"
    assert pair.outcome() == RESET
    wait_until(lambda: service_state(pair.db, "echo") == "failed", "echo failed")
    assert service_state(pair.db, "unused") == "ready"
    assert "echo: the application does not accept connections on port 7000" in pair.db.mooring("status").stdout
    with pair.server():
        assert pair.outcome() == "served"
    wait_until(lambda: service_state(pair.db, "echo") == "ready", "echo is back")
