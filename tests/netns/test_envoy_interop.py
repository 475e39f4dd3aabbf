"""Mooring and Envoy with the equivalent static configuration: either may stand on either side, and nobody notices.

Every test runs with all four pairs; what an Envoy pair answers is what the other pairs are held to.
"""
import json
import signal
import socket
import ssl

import pytest

import envoy
import traffic
from harness import service, upstream
from traffic import CLOSED, RESET

pytestmark = [pytest.mark.needs("envoy")]
PORT = 7000       # the service's mesh address
ENVOY_APP = 7010  # where the application listens on a host whose Envoy holds PORT
ENVOY_OUT = 7020  # what an application dials on a host with an Envoy


@pytest.fixture(scope="module")
def pki(lab):
    lab.pki.ca("other-ca", id="spiffe://shop.test")
    lab.pki.svid("stranger", id="spiffe://shop.test/stranger")
    for name in ("client", "server"):
        lab.pki.svid(f"{name}-expired", id=f"spiffe://shop.test/{name}", start="-2 days", end="-1 day")
        lab.pki.svid(f"{name}-early", id=f"spiffe://shop.test/{name}", start="+1 day", end="+2 days")
        lab.pki.svid(f"{name}-untrusted", id=f"spiffe://shop.test/{name}", ca="other-ca")
    lab.pki.path("both.pem").write_text(lab.pki.read("ca.pem") + lab.pki.read("other-ca.pem"))
    return lab.pki


def bundle_of(svid):
    """An agent takes no SVID into use that its own bundle does not lead to: a host of another CA trusts that one too."""
    return "both" if svid and svid.endswith("-untrusted") else "ca"


@pytest.fixture(scope="module")
def hosts(lab):
    return lab.host("client"), lab.host("server")


# The guard of a closed port would keep the callers of the Envoy that comes next out.
OPENS = {"capture.on_agent_death": {"strict": "open"}}


class Mesh:
    """One client side and one server side, each Mooring or Envoy, started anew for every test."""

    def __init__(self, hosts, client_kind, server_kind):
        self.client, self.server = hosts
        self.client_kind, self.server_kind = client_kind, server_kind
        self.app_port = PORT if server_kind == "mooring" else ENVOY_APP

    def start(self, allow=None, expect=None, client_svid=None, server_svid=None):
        allow = [self.client.id] if allow is None else allow
        expect = expect or self.server.id
        if self.server_kind == "envoy":
            envoy.start(self.server, envoy.inbound(self.server, PORT, ENVOY_APP, allow, svid=server_svid))
        else:
            self.server.install_identity(server_svid or "server", bundle=bundle_of(server_svid))
            self.server.configure(service("app", PORT, allow=allow), **OPENS)
            self.server.start()
        if self.client_kind == "envoy":
            envoy.start(self.client, envoy.outbound(self.client, ENVOY_OUT, self.server, PORT, expect, svid=client_svid))
        else:
            self.client.install_identity(client_svid or "client", bundle=bundle_of(client_svid))
            self.client.configure(upstream("app", self.server, [PORT], spiffe_ids=[expect]))
            self.client.start()

    def stop(self):
        for host in (self.client, self.server):
            for process in (host.apps.pop("envoy", None), host.agent, host.helper):
                if process is not None:
                    process.stop()
            host.agent = host.helper = None

    @property
    def address(self):
        return ("127.0.0.1", ENVOY_OUT) if self.client_kind == "envoy" else (self.server.ip, PORT)

    def outcome(self):
        """What the caller saw, and what the application got to read. (Envoy connects to the application before it has
        looked at the caller; Mooring must not even do that.)"""
        read = bytearray()

        def echo(connection):
            while part := connection.recv(65536):
                read.extend(part)
                connection.sendall(part)

        with self.app(echo) as app:
            outcome = self.client.outcome(*self.address)
        if outcome != "served" and self.server_kind == "mooring":
            assert app.accepted == 0
        return outcome, bytes(read)

    def app(self, handler=traffic.echo):
        return self.server.server(self.app_port, handler)

    def connect(self):
        return self.client.connect(*self.address)

    def reason(self, side, **fields):
        """Where that side is Mooring, it must have said why."""
        host, kind, direction = ((self.client, self.client_kind, "outbound") if side == "client"
                                 else (self.server, self.server_kind, "inbound"))
        if kind == "mooring":
            host.wait_for_access(direction=direction, **fields)


KINDS = ["mooring", "envoy"]


def needing_agent(kinds):
    marks = [pytest.mark.needs("agent", "helper")] if "mooring" in kinds else []
    return pytest.param(kinds, id="-".join(kinds), marks=marks)


@pytest.fixture(params=[needing_agent([client, server]) for client in KINDS for server in KINDS])
def mesh(request, hosts, pki):
    the_mesh = Mesh(hosts, *request.param)
    yield the_mesh
    the_mesh.stop()


def test_allowed_caller_is_served(mesh):
    mesh.start()
    assert mesh.outcome() == ("served", b"hello\n")


def test_denied_caller_is_refused(mesh):
    mesh.start(allow=["spiffe://shop.test/somebody"])
    outcome, read = mesh.outcome()
    assert outcome != "served"
    assert read == b""
    mesh.reason("server", reason="denied", peer_identity=mesh.client.id)


def test_server_with_another_identity_is_refused(mesh):
    mesh.start(server_svid="stranger")
    outcome, read = mesh.outcome()
    assert outcome != "served"
    assert read == b""
    mesh.reason("client", reason="unexpected_peer")


@pytest.mark.parametrize("what, reason", [("expired", "peer_expired"), ("early", "peer_expired"), ("untrusted", "peer_untrusted")])
def test_bad_server_certificate_is_refused(mesh, what, reason):
    mesh.start(server_svid=f"server-{what}")
    outcome, read = mesh.outcome()
    assert outcome != "served"
    assert read == b""
    mesh.reason("client", reason=reason)


@pytest.mark.parametrize("what, reason", [("expired", "peer_expired"), ("early", "peer_expired"), ("untrusted", "peer_untrusted")])
def test_bad_client_certificate_is_refused(mesh, what, reason):
    mesh.start(client_svid=f"client-{what}")
    outcome, read = mesh.outcome()
    assert outcome != "served"
    assert read == b""
    mesh.reason("server", reason=reason)
    mesh.reason("client", reason="peer_rejected_us")


@pytest.fixture(params=[needing_agent(["mooring", server]) for server in KINDS])
def mooring_client(request, hosts, pki):
    the_mesh = Mesh(hosts, *request.param)
    yield the_mesh
    the_mesh.stop()


def test_svid_that_the_own_bundle_does_not_lead_to_is_not_taken_into_use(mooring_client):
    """The agent says so and goes on with the identity that it has."""
    mesh = mooring_client
    mesh.start()
    said = mesh.client.agent.log().count("identity not replaced")
    mesh.client.install_identity("client-untrusted")
    traffic.wait_until(lambda: mesh.client.agent.log().count("identity not replaced") > said, "the agent says so")
    assert mesh.outcome() == ("served", b"hello\n")
    problems = json.loads(mesh.client.mooring("status", "--json").stdout)["problems"]
    assert [problem["text"] for problem in problems if "identity not replaced" in problem["text"]]


def test_half_close_by_the_client(mesh):
    def answer_after_the_end(connection):
        connection.sendall(b"%d" % len(traffic.receive_all(connection)))

    mesh.start()
    with mesh.app(answer_after_the_end), mesh.connect() as client:
        client.sendall(b"x" * 50_000)
        client.shutdown(socket.SHUT_WR)
        assert traffic.how_it_ends(client) == (b"50000", CLOSED)


def test_half_close_by_the_server(mesh):
    received = []

    def speak_then_listen(connection):
        connection.sendall(b"done")
        connection.shutdown(socket.SHUT_WR)
        received.append(len(traffic.receive_all(connection)))

    mesh.start()
    with mesh.app(speak_then_listen), mesh.connect() as client:
        assert traffic.how_it_ends(client) == (b"done", CLOSED)
        client.sendall(b"y" * 50_000)
        client.shutdown(socket.SHUT_WR)
        traffic.wait_until(lambda: received, "server saw the end")
    assert received == [50_000]


def test_server_first(mesh):
    mesh.start()
    with mesh.app(traffic.greet_then_echo), mesh.connect() as client:
        assert traffic.receive_exactly(client, 11) == b"220 ready\r\n"


def test_long_stream(mesh):
    size = 64 << 20
    checked = []
    mesh.start()
    with mesh.app(lambda connection: checked.append(traffic.check_stream(connection, size))), mesh.connect() as client:
        traffic.send_stream(client, size)
        assert traffic.how_it_ends(client, 30) == (b"", CLOSED)
    assert checked == [size]


# ---- a peer that breaks off: a hand-made TLS client against either server


def raw_tls(mesh):
    """A mesh client of our own, so that its end of the connection can be cut at will."""
    pki = mesh.client.lab.pki
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(pki.path("ca.pem"))
    context.load_cert_chain(pki.path("client.pem"), pki.path("client.key"))
    context.set_alpn_protocols(["kuma"])
    plain = mesh.client.connect(mesh.server.ip, PORT)
    return context.wrap_socket(plain)


@pytest.fixture(params=[needing_agent([server]) for server in KINDS])
def server_only(request, hosts, pki):
    the_mesh = Mesh(hosts, "none", request.param[0])
    if the_mesh.server_kind == "envoy":
        envoy.start(the_mesh.server, envoy.inbound(the_mesh.server, PORT, ENVOY_APP, [the_mesh.client.id]))
    else:
        the_mesh.server.install_identity("server")
        the_mesh.server.configure(service("app", PORT, allow=[the_mesh.client.id]), **OPENS)
        the_mesh.server.start()
    yield the_mesh
    the_mesh.stop()


def ends_seen_by_app(server_only, cut):
    """What the application saw after "hello" when `cut` ended the TLS client's connection."""
    seen = []
    with server_only.app(lambda connection: seen.append(traffic.how_it_ends(connection))) as app:
        client = raw_tls(server_only)
        client.sendall(b"hello")
        traffic.wait_until(lambda: app.accepted, "connection at the application")
        cut(client)
        traffic.wait_until(lambda: seen, "application saw the end")
    return seen[0]


def test_close_notify_is_a_clean_end(server_only):
    def close_in_order(client):
        client.settimeout(2)
        try:
            client.unwrap()
        except OSError:
            pass
        client.close()

    assert ends_seen_by_app(server_only, close_in_order) == (b"hello", CLOSED)


def test_tcp_reset_without_close_notify_is_a_reset(server_only):
    assert ends_seen_by_app(server_only, traffic.abort)[1] == RESET
    server_only.reason("server", reason="downstream_reset")


def test_end_of_stream_without_close_notify_is_no_clean_end(server_only):
    """An attacker on the wire can forge a FIN. Envoy hands it on as a clean end; Mooring must not."""
    def cut(client):
        # Closing would reset the connection: tickets that nobody read are still in its buffer.
        socket.socket.shutdown(client, socket.SHUT_WR)

    received, end = ends_seen_by_app(server_only, cut)
    assert received == b"hello"
    assert end == (RESET if server_only.server_kind == "mooring" else CLOSED)
    server_only.reason("server", reason="truncated")


@pytest.fixture
def envoy_server(hosts, pki):
    the_mesh = Mesh(hosts, "mooring", "envoy")
    the_mesh.start()
    yield the_mesh
    the_mesh.stop()


@pytest.mark.needs("agent", "helper")
@pytest.mark.parametrize("by_reset", [False, True], ids=["end of stream", "reset"])
def test_envoy_that_ends_without_close_notify_is_a_reset(envoy_server, by_reset):
    """Killed, its kernel ends the connection: by a reset where bytes were not read, else in order."""
    process = envoy_server.server.apps["envoy"]

    def has_unread():
        sockets = envoy_server.server.exec("ss", "-tnH", "state", "established", f"sport = :{PORT}").stdout.splitlines()
        return any(int(line.split()[0]) for line in sockets)

    with envoy_server.app(), envoy_server.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        if by_reset:
            process.signal(signal.SIGSTOP)
            client.sendall(b"never read")
            traffic.wait_until(has_unread, "bytes wait for Envoy")
        process.signal(signal.SIGKILL)
        assert traffic.how_it_ends(client) == (b"", RESET)
    envoy_server.reason("client", reason="upstream_reset" if by_reset else "truncated")
