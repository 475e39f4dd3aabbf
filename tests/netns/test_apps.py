"""Real servers and clients that know nothing of a mesh."""
import json

import pytest

from harness import service, upstream
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "helper")]


@pytest.fixture(scope="module")
def hosts(lab):
    return lab.host("app"), lab.host("server")


def connect_hosts(hosts, port, **rules):
    """app calls server:port; both agents run with that configuration."""
    app, server = hosts
    server.configure(service("app", port, allow=[app.id], **rules))
    app.configure(upstream("app", server, [port]))
    for host in (server, app):
        if host.agent is None:
            host.start()
        else:
            host.reload_and_wait()
    return app, server


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def family(request):
    return request.param


def address(server, family):
    return server.ip if family == 4 else server.ip6


@pytest.fixture(scope="module")
def mariadb(hosts):
    hosts[1].start_app("mariadb", 3306)


def mariadb_query(host, server, family=4):
    return host.exec("mariadb", "--no-defaults", "-h", address(server, family), "-ushop", "-pshop", "--connect-timeout=10", "-N",
                     "-e", "SELECT name FROM product", "shop", check=False)


@pytest.mark.needs("mariadbd", "mariadb")
class TestMariaDb:
    """The server speaks first."""

    def test_strict(self, hosts, mariadb, family):
        app, server = connect_hosts(hosts, 3306)
        assert "mooring line" in mariadb_query(app, server, family).stdout
        server.wait_for_access(direction="inbound", peer_identity=app.id, reason="closed")

    def test_permissive_takes_mesh_and_plain_clients(self, lab, hosts, mariadb, family):
        app, server = connect_hosts(hosts, 3306, mode="permissive", server_first=True)
        assert "mooring line" in mariadb_query(app, server, family).stdout
        assert server.wait_for_access(direction="inbound", peer_identity=app.id)["tls_version"]
        plain = lab.hosts.get("plain") or lab.host("plain", identity=False)
        assert "mooring line" in mariadb_query(plain, server, family).stdout
        server.wait_for_access(direction="inbound", tls_version=None, reason="closed")

    def test_strict_refuses_a_plain_client(self, lab, hosts, mariadb):
        app, server = connect_hosts(hosts, 3306)
        plain = lab.hosts.get("plain") or lab.host("plain", identity=False)
        assert mariadb_query(plain, server).returncode != 0


@pytest.fixture(scope="module")
def postgres(hosts):
    hosts[1].start_app("postgres", 5432)


@pytest.mark.needs("postgres", "psql")
class TestPostgres:
    @pytest.mark.parametrize("sslmode", ["disable", "prefer"])
    @pytest.mark.parametrize("mode", ["strict", "permissive"])
    def test_query(self, hosts, postgres, family, sslmode, mode):
        app, server = connect_hosts(hosts, 5432, mode=mode)
        connection = f"host={address(server, family)} user=shop password=shop dbname=shop sslmode={sslmode} connect_timeout=10"
        assert "bollard" in app.exec("psql", "-Atc", "SELECT name FROM product", connection).stdout

    @pytest.mark.parametrize("sslmode", ["disable", "prefer"])
    def test_permissive_takes_a_plain_client(self, lab, hosts, postgres, sslmode):
        """psql's SSLRequest is no ClientHello and no reason to wait for one."""
        app, server = connect_hosts(hosts, 5432, mode="permissive")
        plain = lab.hosts.get("plain") or lab.host("plain", identity=False)
        connection = f"host={server.ip} user=shop password=shop dbname=shop sslmode={sslmode} connect_timeout=10"
        assert "bollard" in plain.exec("psql", "-Atc", "SELECT name FROM product", connection).stdout


@pytest.mark.needs("redis-server", "redis-cli")
def test_redis(hosts, family):
    app, server = connect_hosts(hosts, 6379)
    if "redis" not in server.apps:
        server.start_app("redis", 6379)
    redis = ["redis-cli", "-h", address(server, family)]
    assert app.exec(*redis, "SET", "ship", "moored").stdout == "OK\n"
    assert app.exec(*redis, "GET", "ship").stdout == "moored\n"
    pipeline = "".join(f"INCR counter{family}\n" for _ in range(1000))
    assert app.exec(*redis, input=pipeline).stdout.splitlines()[-1] == "1000"


@pytest.mark.needs("iperf3")
@pytest.mark.parametrize("reverse", [False, True], ids=["upload", "download"])
def test_iperf3(hosts, family, reverse):
    app, server = connect_hosts(hosts, 5201)
    daemon = server.spawn("iperf3", "iperf3", "-s", "-1")
    server.apps["iperf3"] = daemon
    wait_until(lambda: server.listens(5201), "iperf3 listens")
    arguments = ["-c", address(server, family), "-n", "256M", "-P", "4", "-J"] + (["-R"] if reverse else [])
    result = json.loads(app.exec("iperf3", *arguments).stdout)
    assert "error" not in result
    assert result["end"]["sum_received"]["bytes"] > 64 << 20  # its server stops reading when the client has sent all
    daemon.wait()  # it serves once; the next one wants its port
