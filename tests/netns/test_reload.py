"""A reload applies a good file and keeps running with the old one when it is bad; a rotation closes nothing."""
import signal
import time

import pytest

import traffic
from harness import service
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "helper")]


@pytest.fixture
def connection(fresh_pair):
    """An open connection that has to outlive what the test does."""
    with fresh_pair.server(), fresh_pair.connect() as client:
        def is_alive():
            client.sendall(b"ping")
            return traffic.receive_exactly(client, 4) == b"ping"
        assert is_alive()
        yield is_alive


def test_new_service_is_served_after_a_reload(fresh_pair, connection):
    pair = fresh_pair
    pair.db.write_config(service("more", 7002, allow=[pair.web.id]), "conf.d/more.toml")
    pair.db.path("/etc/mooring/conf.d").chmod(0o755)
    pair.configure_web()
    text = pair.web.path("/etc/mooring/agent.toml").read_text().replace("ports = [7000, 7001]", "ports = [7000, 7001, 7002]")
    pair.web.write_config(text)
    for host in (pair.db, pair.web):
        host.reload_and_wait()
    with pair.db.server(7002):
        assert pair.web.outcome(pair.db.ip, 7002) == "served"
        assert pair.web.outcome(pair.db.ip6, 7002) == "served"
    assert pair.db.wait_for_access(direction="inbound", listener="more")["peer_identity"] == pair.web.id
    assert connection()


@pytest.mark.parametrize("text, expected", [
    ("this is no TOML = = =", "agent.toml:1:"),
    ("[host]\nname = \"x\"\ntrust_domain = \"shop.test\"\nworkrs = 3\n", "workrs"),
])
def test_bad_file_changes_nothing_and_is_named(fresh_pair, connection, text, expected):
    pair = fresh_pair
    pair.db.write_config(text)
    pair.db.reload_and_wait(succeeds=False)
    assert connection()
    assert pair.outcome() == "served"
    wait_until(lambda: expected in pair.db.agent.log(), "the log names it")
    problem = pair.db.mooring("reload", check=False)
    assert problem.returncode != 0
    assert expected in problem.stdout + problem.stderr


def test_removed_service_is_captured_no_more(fresh_pair):
    pair = fresh_pair
    pair.db.configure(service("unused", 7001, allow=[pair.web.id]))
    pair.db.reload_and_wait()
    stranger = pair.lab.host("stranger", identity=False)
    with pair.db.server(7000):
        wait_until(lambda: stranger.outcome(pair.db.ip, 7000, timeout=10) == "served", "plain text goes to the application")


def test_rotation_closes_no_connection(fresh_pair, connection):
    pair, pki = fresh_pair, fresh_pair.lab.pki
    before = pair.web.metrics()["mooring_certificate_expiry_timestamp_seconds"]
    pki.svid("web-next", id=pair.web.id, end="+60 days")
    pki.svid("db-next", id=pair.db.id, end="+60 days")
    pair.web.install_identity("web-next")
    pair.db.install_identity("db-next")
    wait_until(lambda: pair.web.metrics()["mooring_certificate_expiry_timestamp_seconds"] > before, "the new certificate is used")
    assert connection()
    assert pair.outcome() == "served"
    assert connection()


def test_twenty_reloads_under_load_lose_nothing(fresh_pair, connection):
    pair = fresh_pair
    for round_number in range(20):
        pair.configure_db(allow=[pair.web.id, f"spiffe://shop.test/round{round_number}"])
        pair.db.agent.signal(signal.SIGHUP)
        pair.web.agent.signal(signal.SIGHUP)
        assert pair.outcome() == "served"
        time.sleep(0.05)
    assert connection()
    for host in (pair.web, pair.db):
        assert not [line for line in host.access_log() if line["reason"] not in ("closed",)]


def test_log_files_are_opened_anew(fresh_pair):
    """logrotate: rename, then tell the agent."""
    pair = fresh_pair
    log = pair.db.logs / "access.log"
    with pair.server():
        assert pair.outcome() == "served"
        pair.db.wait_for_access(direction="inbound", reason="closed")
        log.rename(log.with_suffix(".1"))
        pair.db.reload_and_wait()
        assert pair.outcome() == "served"
    wait_until(lambda: log.exists() and log.read_text(), "lines in the new file")
