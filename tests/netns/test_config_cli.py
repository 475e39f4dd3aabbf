"""What an admin types: checks before a start, and answers while it runs."""
import json

import pytest

import harness
from harness import section, service, upstream

pytestmark = [pytest.mark.needs("agent", "helper")]
EX_CONFIG = 78

HEAD = section("[host]", name="web", trust_domain="shop.test")
MISTAKES = {  # file, and what the message must name
    "unknown key": (HEAD + "[limits]\nworkrs = 2\n", ["workrs", "workers", "agent.toml:6:"]),
    "unknown table": (HEAD + "[limit]\nworkers = 2\n", ["limit", "limits"]),
    "wrong type": (HEAD + "[limits]\nworkers = \"two\"\n", ["workers", "agent.toml:6:"]),
    "no TOML": (HEAD + "[limits\n", ["agent.toml:5:"]),
    "overlap": (HEAD + service("a", 7000) + service("b", 7000), ["7000"]),
    "no trust domain": ("[host]\nname = \"web\"\n", ["trust_domain"]),
    "bad address": (HEAD + upstream("db", [], [5432], addresses=["10.77.1.300"], spiffe_ids=["spiffe://shop.test/db"]), ["10.77.1.300"]),
}


@pytest.fixture(scope="module")
def host(lab):
    return lab.host("alone")


def check(host):
    return host.exec(host.lab.program("mooringd"), "--check", "--config", "/etc/mooring/agent.toml", user=harness.AGENT_UID, check=False)


@pytest.mark.parametrize("what", MISTAKES)
def test_mistake_is_named_and_exits_78(host, what):
    text, expected = MISTAKES[what]
    host.write_config(text)
    result = check(host)
    assert result.returncode == EX_CONFIG
    said = result.stdout + result.stderr
    assert [part for part in expected if part not in said] == [], said
    started = host.exec(host.lab.program("mooringd"), "--config", "/etc/mooring/agent.toml", user=harness.AGENT_UID, check=False)
    assert started.returncode == EX_CONFIG, "a start fails as the check does"


def test_missing_file(host):
    result = host.exec(host.lab.program("mooringd"), "--check", "--config", "/etc/mooring/absent.toml", check=False)
    assert result.returncode == EX_CONFIG
    assert "absent.toml" in result.stdout + result.stderr


def test_unreadable_key_is_named(host):
    host.configure()
    host.path("/etc/mooring/identity/key.pem").chmod(0o000)
    try:
        result = check(host)
        assert result.returncode == EX_CONFIG
        assert "key.pem" in result.stdout + result.stderr
    finally:
        host.path("/etc/mooring/identity/key.pem").chmod(0o600)


def test_good_file_passes(host):
    host.configure(service("app", 7000, allow=["spiffe://shop.test/*"]))
    result = check(host)
    assert result.returncode == 0, result.stdout + result.stderr


class TestRunning:
    def test_ready_and_metrics(self, pair):
        assert pair.web.admin("/ready")[0] == 200
        assert "envoy_" in pair.web.admin("/stats/prometheus")[1]
        assert "envoy_" in pair.web.exec("curl", "-s", "http://127.0.0.1:15090/stats/prometheus").stdout

    def test_config_dump_has_no_secret(self, pair):
        status, dump = pair.web.admin("/config_dump")
        assert status == 200
        assert json.loads(dump)
        assert "PRIVATE KEY" not in dump
        key = "".join(pair.lab.pki.read("web.key").splitlines()[1:-1])
        assert key[:40] not in dump

    def test_clusters(self, pair):
        status, clusters = pair.web.admin("/clusters")
        assert status == 200
        assert "db" in clusters

    def test_status(self, pair):
        screen = pair.web.mooring("status").stdout
        assert pair.web.id in screen
        assert len(screen.splitlines()) <= 40
        state = json.loads(pair.web.mooring("status", "--json").stdout)
        assert pair.web.id in json.dumps(state)

    def test_drain_is_not_for_everybody(self, pair):
        nobody = pair.web.exec("curl", "-s", "-m", "5", "-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                               "/run/mooring/admin.sock", "http://mooring/drain", user=65534, check=False)
        assert nobody.stdout in ("403", "000")
        assert pair.web.ready()

    def test_capture_off_and_on(self, pair):
        with pair.server() as server:
            assert pair.outcome() == "served"
            for host in (pair.web, pair.db):
                host.mooring("capture", "off")
            assert pair.outcome() == "served"
            assert server.peers[-1][0].endswith(pair.web.ip), "the application sees the caller itself"
            for host in (pair.db, pair.web):
                host.mooring("capture", "on", "--yes")
            assert pair.outcome() == "served"
        assert "active" in pair.web.mooring("capture", "status").stdout

    def test_capture_plan_changes_nothing(self, pair):
        before = pair.web.exec("nft", "list", "ruleset").stdout
        assert "15001" in pair.web.mooring("capture", "plan").stdout
        assert pair.web.exec("nft", "list", "ruleset").stdout == before
