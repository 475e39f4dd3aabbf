"""The main job: an unmodified Tomcat calls an unmodified PostgreSQL, and between the hosts there is only mutual TLS."""
import pytest

import harness
from harness import service, upstream

pytestmark = [pytest.mark.needs("agent", "helper", "tomcat", "postgres", "tcpdump", "curl")]
SECRETS = [b"SELECT name", b"anchor chain", b"<h1>"]


@pytest.fixture(scope="module")
def shop(lab):
    numbers = {"web": 1, "db": 2}
    entries = [f"shop-db=10.77.1.{numbers['db']}", f"shop-db6=fd77:1::{numbers['db']}"]
    web = lab.host("web", entries=entries)
    db, client = lab.host("db"), lab.host("client")
    assert (web.number, db.number) == (1, 2)
    db.start_app("postgres", 5432)
    web.start_app("tomcat", 8080)
    db.configure(service("database", 5432, allow=[web.id]))
    web.configure(service("shop", 8080, allow=[client.id]), upstream("database", db, [5432]))
    client.configure(upstream("shop", web, [8080]))
    for host in (db, web, client):
        host.start()
    return web, db, client


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def family(request):
    return request.param


def fetch(web, client, family):
    address = web.ip if family == 4 else f"[{web.ip6}]"
    return client.exec("curl", "-sS", "-m", "60", "-g", f"http://{address}:8080/shop/?family={family}").stdout


def test_page_comes_through_tomcat_and_the_database(lab, shop, family):
    web, db, client = shop
    capture = lab.sniff("tcp")
    page = fetch(web, client, family)
    wire = capture.stop()
    assert "<h1>The chandler's shop</h1>" in page
    assert "<td>anchor chain</td><td>129.90</td>" in page
    assert [secret for secret in SECRETS if secret in wire] == []
    # TLS handshake record with a ClientHello, and application data; 0x0301 and 0x0303 are the record versions.
    assert b"\x16\x03\x01" in wire
    assert b"\x17\x03\x03" in wire


def test_without_capture_the_wire_can_be_read(lab, shop):
    """The check above is able to fail."""
    web, db, client = shop
    server = harness.traffic.Server(db.namespace, 9999, lambda connection: connection.sendall(b"<h1>anchor chain"))
    capture = lab.sniff("tcp")
    with server, web.connect(db.ip, 9999) as plain:
        harness.traffic.receive_all(plain)
    assert b"anchor chain" in capture.stop()


def test_both_identities_stand_in_both_access_logs(shop, family):
    web, db, client = shop
    fetch(web, client, family)
    for host, peer in ((db, web), (web, client)):
        line = host.wait_for_access(direction="inbound", reason="closed", peer_identity=peer.id)
        assert line["local_identity"] == host.id
    assert web.wait_for_access(direction="outbound", peer_identity=db.id)["local_identity"] == web.id


def test_database_sees_the_host_and_not_loopback(shop, family):
    """A pg_hba line that trusts 127.0.0.1 must not begin to trust the network."""
    web, db, client = shop
    fetch(web, client, family)
    log = db.apps["postgres"].log()
    addresses = {line.split()[0] for line in log.splitlines() if "connection received" in line}
    assert addresses
    assert not addresses & {"127.0.0.1", "::1", "[local]"}


def test_intruder_without_identity_is_refused(lab, shop):
    web, db, client = shop
    intruder = lab.host("intruder", identity=False)
    result = intruder.exec("curl", "-sS", "-m", "5", f"http://{web.ip}:8080/shop/", check=False)
    assert result.returncode != 0 and "anchor" not in result.stdout
    web.wait_for_access(direction="inbound", reason="plaintext_refused")


def test_host_with_identity_but_without_permission_is_refused(lab, shop):
    web, db, client = shop
    other = lab.host("other")
    other.configure(upstream("shop", web, [8080]))
    other.start()
    result = other.exec("curl", "-sS", "-m", "5", f"http://{web.ip}:8080/shop/", check=False)
    assert result.returncode != 0 and "anchor" not in result.stdout
    assert web.wait_for_access(direction="inbound", reason="denied")["peer_identity"] == other.id
