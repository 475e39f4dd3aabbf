"""Any TCP goes through both agents as if they were not there."""
import os
import socket
import struct
import threading
import time

import pytest

import harness
import traffic
from traffic import CLOSED, RESET

pytestmark = [pytest.mark.needs("agent", "helper")]
GIGABYTE = 1 << 30


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def family(request):
    return request.param


def test_echo(pair, family):
    with pair.server() as server:
        assert pair.outcome(family) == "served"
        assert server.accepted == 1


def test_application_never_sees_loopback_as_peer(pair, family):
    with pair.server() as server:
        assert pair.outcome(family) == "served"
        assert server.peers[0][0].removeprefix("::ffff:") not in ("127.0.0.1", "::1")


def test_both_identities_are_logged(pair, family):
    with pair.server(), pair.connect(family) as client:
        client.sendall(b"x" * 1000)
        assert traffic.receive_exactly(client, 1000)
        port = client.getsockname()[1]
    source = f"{pair.web.ip}:{port}" if family == 4 else f"[{pair.web.ip6}]:{port}"
    outbound = pair.web.wait_for_access(direction="outbound", downstream_remote=source)
    assert outbound["reason"] == "closed"
    assert (outbound["local_identity"], outbound["peer_identity"]) == (pair.web.id, pair.db.id)
    assert outbound["tls_version"] == "TLSv1.3"
    assert (outbound["bytes_received"], outbound["bytes_sent"]) == (1000, 1000)
    inbound = pair.db.wait_for_access(direction="inbound", downstream_remote=outbound["upstream_local"])
    assert inbound["reason"] == "closed"
    assert (inbound["local_identity"], inbound["peer_identity"]) == (pair.db.id, pair.web.id)
    assert (inbound["bytes_received"], inbound["bytes_sent"]) == (1000, 1000)


def test_server_speaks_first(pair, family):
    with pair.server(traffic.greet_then_echo), pair.connect(family) as client:
        assert traffic.receive_exactly(client, 11) == b"220 ready\r\n"


def test_client_half_closes_and_gets_the_answer(pair, family):
    def count_then_answer(connection):
        received = traffic.receive_all(connection)
        time.sleep(0.3)
        connection.sendall(b"%d bytes" % len(received))

    with pair.server(count_then_answer), pair.connect(family) as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert traffic.how_it_ends(client) == (b"100000 bytes", CLOSED)


def test_server_half_closes_and_gets_the_rest(pair, family):
    received = []

    def speak_then_listen(connection):
        connection.sendall(b"that was all")
        connection.shutdown(socket.SHUT_WR)
        received.append(len(traffic.receive_all(connection)))

    with pair.server(speak_then_listen), pair.connect(family) as client:
        assert traffic.how_it_ends(client) == (b"that was all", CLOSED)
        for _ in range(10):
            client.sendall(b"y" * 10_000)
            time.sleep(0.02)
        client.shutdown(socket.SHUT_WR)
        traffic.wait_until(lambda: received, "server saw the end of stream")
    assert received == [100_000]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_half_closed_for_150_seconds(pair):
    """Longer than conntrack keeps a close_wait entry (60 s): the answer must still arrive."""

    def answer_late(connection):
        traffic.receive_all(connection)
        time.sleep(150)
        connection.sendall(b"late answer")

    with pair.server(answer_late), pair.connect(timeout=200) as client:
        client.shutdown(socket.SHUT_WR)
        assert traffic.how_it_ends(client, timeout=200) == (b"late answer", CLOSED)


def test_silent_connection_stays_open(pair):
    with pair.server() as server, pair.connect() as client:
        traffic.wait_until(lambda: server.accepted, "the connection reaches the application without a byte")
        client.settimeout(3)
        with pytest.raises(socket.timeout):
            client.recv(1)
        client.sendall(b"still here")
        assert traffic.receive_exactly(client, 10) == b"still here"


def test_one_byte_writes(pair):
    with pair.server(), pair.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = os.urandom(2000)
        for byte in message:
            client.sendall(bytes([byte]))
        assert traffic.receive_exactly(client, len(message)) == message


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [GIGABYTE, pytest.param(5 * GIGABYTE, marks=pytest.mark.slow)], ids=["1GiB", "5GiB"])
@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
def test_long_stream_arrives_unchanged(pair, size, upload):
    outcome = []

    def at_server(connection):
        if upload:
            outcome.append(traffic.check_stream(connection, size))
        else:
            traffic.send_stream(connection, size)

    with pair.server(at_server), pair.connect(timeout=60) as client:
        if upload:
            traffic.send_stream(client, size)
            assert traffic.how_it_ends(client, 60) == (b"", CLOSED)
        else:
            outcome.append(traffic.check_stream(client, size))
    assert outcome == [size]


def test_both_directions_at_once(pair):
    size = 128 << 20
    checked = []

    def at_server(connection):
        sender = threading.Thread(target=traffic.send_stream, args=(connection, size))
        sender.start()
        checked.append(traffic.check_stream(connection, size))
        sender.join()

    with pair.server(at_server), pair.connect(timeout=60) as client:
        sender = threading.Thread(target=traffic.send_stream, args=(client, size))
        sender.start()
        checked.append(traffic.check_stream(client, size))
        sender.join()
        traffic.wait_until(lambda: len(checked) == 2, "server has everything")


def test_client_reset_reaches_the_server(pair, family):
    seen = []

    def at_server(connection):
        seen.append(traffic.receive_exactly(connection, 14))
        seen.append(traffic.how_it_ends(connection))

    with pair.server(at_server), pair.connect(family) as client:
        client.sendall(b"half a request")
        traffic.wait_until(lambda: seen, "half a request at the server")
        traffic.abort(client)
        traffic.wait_until(lambda: len(seen) == 2, "server sees the end")
    assert seen == [b"half a request", (b"", RESET)]
    pair.web.wait_for_access(direction="outbound", reason="downstream_reset")


def test_server_reset_reaches_the_client(pair, family):
    def at_server(connection):
        traffic.receive_exactly(connection, 5)
        traffic.abort(connection)

    with pair.server(at_server), pair.connect(family) as client:
        client.sendall(b"hello")
        assert traffic.how_it_ends(client) == (b"", RESET)
    pair.db.wait_for_access(direction="inbound", reason="upstream_reset")


def test_clean_close_by_the_server_is_clean(pair, family):
    with pair.server(lambda connection: connection.sendall(b"bye")), pair.connect(family) as client:
        assert traffic.how_it_ends(client) == (b"bye", CLOSED)


def test_refused_application_is_a_reset(pair, family):
    target = pair.db.ip if family == 4 else pair.db.ip6
    assert pair.web.outcome(target, pair.UNUSED_PORT) == RESET
    pair.db.wait_for_access(direction="inbound", listener="unused", reason="connect_refused")


def test_absent_host_is_a_reset(pair):
    """web's upstream has an address where no host is."""
    pair.configure_web(addresses=[pair.db.ip, pair.db.ip6, "10.77.1.77"], connect_timeout="1s")
    pair.web.reload_and_wait()
    try:
        assert pair.web.outcome("10.77.1.77", pair.PORT) == RESET
        line = pair.web.wait_for_access(direction="outbound", downstream_local=f"10.77.1.77:{pair.PORT}")
        assert line["reason"] in ("connect_timeout", "connect_unreachable")
    finally:
        pair.configure_web()
        pair.web.reload_and_wait()


@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
def test_slow_reader_bounds_memory(pair, upload):
    """The writer is stopped long before either agent has taken in much."""
    before = [host.agent.rss_kib() for host in (pair.web, pair.db)]
    released = threading.Event()
    sent = []

    def fill(connection):
        connection.settimeout(2)
        chunk, count = b"z" * (1 << 20), 0
        try:
            while count < 512 << 20:
                count += connection.send(chunk)
        except socket.timeout:
            pass
        sent.append(count)

    def at_server(connection):
        if upload:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        else:
            fill(connection)
        released.wait(30)
        traffic.abort(connection)  # else the writer's kernel, which now probes rarely, keeps it open for a while

    with pair.server(at_server), pair.connect() as client:
        if upload:
            fill(client)
        traffic.wait_until(lambda: sent, "the writer was stopped")
        growth = [host.agent.rss_kib() - old for host, old in zip((pair.web, pair.db), before)]
        released.set()
    # Four kernel queues of at most 6 MB stand on the way, and 256 KiB a direction in each agent.
    assert sent[0] < 64 << 20
    assert max(growth) < 4096, f"KiB more after {sent[0] >> 20} MiB: {growth}"


def test_two_hundred_connections_at_once(pair):
    with pair.server() as server:
        clients = [pair.connect() for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"number %06d" % number)
        for number, client in enumerate(clients):
            assert traffic.receive_exactly(client, 13) == b"number %06d" % number
            client.close()
        assert server.accepted == 200


def test_direct_call_of_the_agents_ports_is_refused(pair):
    """Neither port may lead the agent to itself."""
    assert pair.web.outcome("127.0.0.1", 15001) == RESET
    assert pair.web.wait_for_access(direction="outbound", reason="self_call")
    assert pair.web.outcome(pair.db.ip, 15006) in (RESET, "refused")
    assert pair.db.agent.exit_code is None


def test_urgent_and_keepalive_options_do_no_harm(pair):
    with pair.server(), pair.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        client.sendall(b"ordinary")
        assert traffic.receive_exactly(client, 8) == b"ordinary"


def test_keepalive_is_set_on_both_legs(pair):
    """An application's own socket has none; the agents' four must."""
    def timers(host):
        sockets = host.exec("ss", "-tnopH", "state", "established").stdout.splitlines()
        return ["timer:(keepalive" in line for line in sockets if '"mooringd"' in line]

    with pair.server(), pair.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        for host in (pair.web, pair.db):
            traffic.wait_until(lambda: len(timers(host)) >= 2 and all(timers(host)), f"{host.name}'s agent keeps both alive")


# ---- several endpoints


@pytest.fixture(scope="module")
def cluster(lab):
    """client calls 10.77.1.200:7100, which stands for two servers."""
    one, two, client = lab.host("one"), lab.host("two"), lab.host("client")
    for server in (one, two):
        server.configure(harness.service("echo", 7100, allow=[client.id]))
        server.start()
    client.configure(harness.upstream("echo", [one, two], [7100], addresses=["10.77.1.200"],
                                      endpoints=[f"{one.ip}:7100", f"{two.ip}:7100"], connect_timeout="10s"))
    client.start()
    return client, one, two


def test_round_robin_over_endpoints(cluster):
    client, one, two = cluster
    with one.server(7100) as first, two.server(7100) as second:
        assert [client.outcome("10.77.1.200", 7100) for _ in range(10)] == ["served"] * 10
        assert first.accepted + second.accepted == 10
        # Workers share nothing: each goes round by itself and is one call ahead at most.
        assert abs(first.accepted - second.accepted) <= harness.WORKERS


def test_dead_endpoint_is_passed_over(cluster):
    client, one, two = cluster
    one.nft(f"table ip gone {{ chain in {{ type filter hook input priority -200; tcp dport 7100 reject with tcp reset; }}; }}")
    try:
        with two.server(7100) as second:
            assert [client.outcome("10.77.1.200", 7100) for _ in range(10)] == ["served"] * 10
            assert second.accepted == 10
    finally:
        one.exec("nft", "delete", "table", "ip", "gone")


# ---- idle


@pytest.mark.idle
@pytest.mark.timeout(harness.IDLE_SECONDS + 120)
def test_idle_connection_lives(idle_connection):
    """Opened before the first test of the run (conftest.py), used again after five minutes of silence."""
    idle_connection.wait()
    idle_connection.client.sendall(b"after")
    assert traffic.receive_exactly(idle_connection.client, 5) == b"after"
    assert idle_connection.server.accepted == 1
