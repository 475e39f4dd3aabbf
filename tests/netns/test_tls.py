"""What an agent accepts as mutual TLS, and what permissive mode takes for what. The peers are hand-made TLS clients."""
import socket
import ssl
import time

import pytest

import traffic
from harness import service
from traffic import CLOSED, RESET

pytestmark = [pytest.mark.needs("agent", "helper")]
STRICT, PERMISSIVE, GREETING = 7000, 7100, 7200

BAD_LEAVES = {  # options of pki.sh, and the reason that must be logged
    "two-uris": ({"id": ["spiffe://shop.test/peer", "spiffe://shop.test/other"]}, "bad_identity"),
    "no-spiffe-uri": ({"id": "https://shop.test/peer"}, "bad_identity"),
    "other-trust-domain": ({"id": "spiffe://else.test/peer"}, "peer_untrusted"),
    "ca-leaf": ({"ca_leaf": True}, "bad_identity"),
    "signs-certificates": ({"usage": "digitalSignature,keyCertSign"}, "bad_identity"),
    "server-only": ({"extended": "serverAuth"}, ("bad_identity", "peer_untrusted")),
    "expired": ({"start": "-2 days", "end": "-1 minute"}, "peer_expired"),
    "other-ca": ({"ca": "other-ca"}, "peer_untrusted"),
}


@pytest.fixture(scope="module")
def server(lab):
    host = lab.host("server")
    allow = ["spiffe://shop.test/peer"]
    host.configure(service("strict", STRICT, allow=allow), service("permissive", PERMISSIVE, allow=allow, mode="permissive"),
                   service("greeting", GREETING, allow=allow, mode="permissive", server_first=True))
    host.start()
    return host


@pytest.fixture(scope="module")
def peer(lab):
    """A host without an agent; its TLS is Python's."""
    lab.pki.ca("other-ca", id="spiffe://shop.test")
    lab.pki.svid("peer")
    for name, (options, _) in BAD_LEAVES.items():
        lab.pki.svid(f"peer-{name}", **{"id": "spiffe://shop.test/peer", **options})
    return lab.host("peer", identity=False)


def context(lab, svid="peer", alpn="kuma", newest=None, ca="ca"):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(lab.pki.path(f"{ca}.pem"))
    if newest:
        made.maximum_version = newest
    if alpn:
        made.set_alpn_protocols([alpn])
    if svid:
        made.load_cert_chain(lab.pki.path(f"{svid}.pem"), lab.pki.path(f"{svid}.key"))
    return made


def call(peer, server, made, port=STRICT, session=None):
    """The TLS connection after an echo of "hello", or the error that came instead."""
    plain = peer.connect(server.ip, port)
    try:
        client = made.wrap_socket(plain, session=session)
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        return client
    except (OSError, EOFError) as error:
        plain.close()
        return error


def assert_served(result):
    assert isinstance(result, ssl.SSLSocket), repr(result)
    return result


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_version(lab, server, peer, version):
    with server.server(STRICT), assert_served(call(peer, server, context(lab, newest=version))) as client:
        assert client.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        assert "GCM" in client.cipher()[0] or "POLY1305" in client.cipher()[0]
        assert client.selected_alpn_protocol() is None, "a strict server selects none"


def test_old_version_is_refused(lab, server, peer):
    made = context(lab)
    made.minimum_version = ssl.TLSVersion.TLSv1
    made.maximum_version = ssl.TLSVersion.TLSv1_1
    made.set_ciphers("ALL:@SECLEVEL=0")
    with server.server(STRICT) as app:
        assert isinstance(call(peer, server, made), OSError)
        assert app.accepted == 0
    server.wait_for_access(listener="strict", reason="handshake_failed")


def test_cbc_cipher_is_refused(lab, server, peer):
    made = context(lab, newest=ssl.TLSVersion.TLSv1_2)
    made.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-SHA")
    with server.server(STRICT):
        assert isinstance(call(peer, server, made), OSError)


@pytest.mark.parametrize("alpn", ["kuma", "istio", None])
def test_any_alpn_will_do_for_a_strict_service(lab, server, peer, alpn):
    with server.server(STRICT), assert_served(call(peer, server, context(lab, alpn=alpn))):
        pass


def test_client_without_certificate_is_refused(lab, server, peer):
    with server.server(STRICT) as app:
        assert isinstance(call(peer, server, context(lab, svid=None)), (OSError, EOFError))
        assert app.accepted == 0
    server.wait_for_access(listener="strict", reason="no_peer_certificate")


@pytest.mark.parametrize("name", BAD_LEAVES)
def test_bad_certificate_is_refused(lab, server, peer, name):
    reasons = BAD_LEAVES[name][1]
    with server.server(STRICT) as app:
        assert isinstance(call(peer, server, context(lab, svid=f"peer-{name}")), (OSError, EOFError))
        assert app.accepted == 0
    line = server.wait_for_access(listener="strict")
    assert line["reason"] in ((reasons,) if isinstance(reasons, str) else reasons)


def test_session_is_resumed_until_the_identity_changes(lab, server, peer):
    made = context(lab, newest=ssl.TLSVersion.TLSv1_2)  # Python hands out TLS 1.2 sessions at once
    with server.server(STRICT):
        with assert_served(call(peer, server, made)) as first:
            session = first.session
        with assert_served(call(peer, server, made, session=session)) as second:
            assert second.session_reused
        lab.pki.svid("server-next", id=server.id)
        server.install_identity("server-next")

        def is_resumed():
            with assert_served(call(peer, server, made, session=session)) as third:
                return third.session_reused

        traffic.wait_until(lambda: not is_resumed(), "the session of the old identity is of no use")
        assert not is_resumed()


def test_resumed_session_is_authorized_again(lab, peer, server):
    made = context(lab, newest=ssl.TLSVersion.TLSv1_2)
    text = server.path("/etc/mooring/agent.toml").read_text()
    with server.server(STRICT):
        with assert_served(call(peer, server, made)) as first:
            session = first.session
        try:
            server.write_config(text.replace("spiffe://shop.test/peer", "spiffe://shop.test/nobody"))
            server.reload_and_wait()
            assert isinstance(call(peer, server, made, session=session), (OSError, EOFError))
        finally:
            server.write_config(text)
            server.reload_and_wait()
    server.wait_for_access(listener="strict", reason="denied")


# ---- permissive


@pytest.mark.parametrize("port", [PERMISSIVE, GREETING])
def test_permissive_takes_mesh_tls(lab, server, peer, port):
    with server.server(port), assert_served(call(peer, server, context(lab), port)):
        pass
    assert server.wait_for_access(listener={PERMISSIVE: "permissive", GREETING: "greeting"}[port])["peer_identity"]


def test_permissive_takes_plain_text(server, peer):
    with server.server(PERMISSIVE):
        assert peer.outcome(server.ip, PERMISSIVE) == "served"


@pytest.mark.parametrize("what", traffic.GARBAGE)
def test_permissive_hands_on_what_is_no_mesh_tls_as_it_is(server, peer, what):
    received = []
    with server.server(PERMISSIVE, lambda connection: received.append(traffic.receive_all(connection))):
        with peer.connect(server.ip, PERMISSIVE) as client:
            client.sendall(traffic.GARBAGE[what])
            client.shutdown(socket.SHUT_WR)
            traffic.wait_until(lambda: received, "the application saw the end of stream")
    assert received == [traffic.GARBAGE[what]]


def test_permissive_authorizes_mesh_peers(lab, server, peer):
    lab.pki.svid("nobody")
    with server.server(PERMISSIVE) as app:
        assert isinstance(call(peer, server, context(lab, svid="nobody"), PERMISSIVE), (OSError, EOFError))
        assert app.accepted == 0


class Pieces:
    """Hands a TLS client's bytes to a socket a few at a time, each in a segment of its own."""

    def __init__(self, made, plain, size):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.incoming, self.outgoing)
        self.plain, self.size = plain, size
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def flush(self):
        pending = self.outgoing.read()
        for start in range(0, len(pending), self.size):
            self.plain.sendall(pending[start : start + self.size])
            time.sleep(0.002)

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.plain.recv(65536))
            finally:
                self.flush()


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("port", [STRICT, PERMISSIVE])
def test_client_hello_in_pieces(lab, server, peer, port, size):
    with server.server(port), peer.connect(server.ip, port) as plain:
        pieces = Pieces(context(lab), plain, size)
        pieces.run(pieces.tls.do_handshake)
        pieces.run(lambda: pieces.tls.write(b"hello"))
        assert pieces.run(lambda: pieces.tls.read(5)) == b"hello"


def test_tls_of_the_application_is_not_taken_for_the_meshs(lab, server, peer):
    """A permissive port of an HTTPS server: the handshake is the application's own."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(lab.pki.path("peer.pem"), lab.pki.path("peer.key"))

    def https(connection):
        with own.wrap_socket(connection, server_side=True) as inner:
            traffic.echo(inner)

    with server.server(PERMISSIVE, https):
        with assert_served(call(peer, server, context(lab, svid=None, alpn="http/1.1"), PERMISSIVE)):
            pass


def test_server_first_greets_a_silent_client_soon(server, peer):
    def attempt():
        with peer.connect(server.ip, GREETING) as client:
            began = time.monotonic()
            assert traffic.receive_exactly(client, 11) == b"220 ready\r\n"
            return time.monotonic() - began

    with server.server(GREETING, traffic.greet_then_echo):
        traffic.within(0.3, attempt, tries=5)


def test_mesh_client_hello_after_the_greeting_never_reaches_the_application(lab, server, peer):
    read = bytearray()

    def greet(connection):
        connection.sendall(b"220 ready\r\n")
        read.extend(traffic.how_it_ends(connection)[0])

    with server.server(GREETING, greet), peer.connect(server.ip, GREETING) as client:
        assert traffic.receive_exactly(client, 11) == b"220 ready\r\n"
        pieces = Pieces(context(lab), client, 4096)
        with pytest.raises((OSError, ssl.SSLError)):
            pieces.run(pieces.tls.do_handshake)
        assert traffic.how_it_ends(client)[1] in (RESET, CLOSED)
    server.wait_for_access(listener="greeting", reason="late_tls")
    assert bytes(read) == b""
