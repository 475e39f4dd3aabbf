"""What a host lives through, and what must not become of its connections."""
import os
import resource
import signal
import socket
import threading
import time

import pytest

import harness
import traffic
from harness import service, upstream
from traffic import CLOSED, RESET, wait_until

pytestmark = [pytest.mark.needs("agent", "helper")]


class Load:
    """Callers that never rest, each on a connection of its own; counts answers and remembers how connections ended."""

    def __init__(self, pair, callers=8):
        self.pair = pair
        self.answers = 0
        self.ends = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers > 50, "load is running")

    def _call(self):
        try:
            with self.pair.connect() as client:
                while not self._stop.is_set():
                    client.sendall(b"x" * 1000)
                    traffic.receive_exactly(client, 1000)
                    self.answers += 1
        except EOFError:
            self.ends.append(CLOSED)
        except OSError as error:
            self.ends.append(RESET if isinstance(error, (ConnectionResetError, BrokenPipeError)) else error)

    def is_moving(self):
        before = self.answers
        wait_until(lambda: self.answers > before + 20, "callers get answers")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- a daemon dies or stalls


@pytest.mark.parametrize("victim", ["web", "db"])
def test_killed_agent_resets_its_connections(fresh_pair, victim):
    """A killed proxy must look like a broken connection, never like the end of a stream."""
    with fresh_pair.server(), Load(fresh_pair) as load:
        getattr(fresh_pair, victim).agent.kill()
        wait_until(lambda: len(load.ends) == 8, "all callers noticed")
    assert load.ends == [RESET] * 8


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("victim", ["web", "db"])
def test_lost_helper_is_not_noticed(fresh_pair, victim, signal_number):
    """The agent holds the rules' owner too: open connections go on, new ones are still captured."""
    host = getattr(fresh_pair, victim)
    with fresh_pair.server(), Load(fresh_pair) as load:
        host.helper.signal(signal_number)
        time.sleep(1)
        load.is_moving()
        assert fresh_pair.outcome() == "served"
        assert load.ends == []
    line = fresh_pair.db.wait_for_access(direction="inbound", reason="closed", bytes_received=6)
    assert line["peer_identity"] == fresh_pair.web.id


def test_helper_comes_back_without_a_gap(fresh_pair):
    with fresh_pair.server(), Load(fresh_pair) as load:
        fresh_pair.web.helper.kill()
        fresh_pair.web.path("/run/mooring/net.sock").unlink(missing_ok=True)
        fresh_pair.web.start_helper()
        for _ in range(30):
            assert fresh_pair.outcome() == "served"
            time.sleep(0.1)
        assert load.ends == []
    assert not [line for line in fresh_pair.db.access_log() if line["reason"] == "plaintext_refused"]


DEATHS = {  # how the agent goes, and how long it may take until on_agent_death holds
    "killed": (signal.SIGKILL, 1.0),
    "stalled": (signal.SIGSTOP, 6.0),
    "ended": (signal.SIGTERM, 3.0),
}


@pytest.mark.parametrize("choice", ["open", "closed"])
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("direction", ["outbound", "strict", "permissive"])
def test_on_agent_death(fresh_lab, direction, death, choice):
    """New connections go through in plain text when `open`, and are refused when `closed`."""
    number, seconds = DEATHS[death]
    wanted = {"open": ["served"], "closed": [RESET, "refused"]}[choice]
    server, client = fresh_lab.host("server"), fresh_lab.host("client")
    victim = client if direction == "outbound" else server
    tables = {"capture.on_agent_death": {direction: choice}, "timeouts": {"drain": "1s"}}
    if direction == "outbound":  # the server has no agent: an open client reaches it in plain text
        client.configure(upstream("app", server, [7000]), **tables)
    else:
        server.configure(service("app", 7000, allow=[], mode=direction), **tables)
    victim.start()

    ended = []

    def attempt():
        if ended:
            victim.agent.kill()
            victim.start_agent()
        expected = "served" if direction == "permissive" else RESET
        assert client.outcome(server.ip, 7000) == expected, "before the agent's end"
        victim.agent.signal(number)
        ended.append(death)
        began = time.monotonic()
        wait_until(lambda: client.outcome(server.ip, 7000, timeout=1) in wanted, f"connections are {choice}")
        return time.monotonic() - began

    with server.server(7000):
        traffic.within(seconds + 1, attempt)
        for address in (server.ip, server.ip6):
            assert client.outcome(address, 7000) in wanted


# ---- resources run out


def test_descriptors_exhausted(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    pair.db.start()
    pair.web.start_helper()
    pair.web.start_agent(prefix=["prlimit", "--nofile=80:80"])
    with pair.server(), pair.connect() as first:
        first.sendall(b"early")
        assert traffic.receive_exactly(first, 5) == b"early"
        clients = []
        for _ in range(120):
            try:
                clients.append(pair.connect(timeout=5))
            except OSError:
                break
        first.sendall(b"still")
        assert traffic.receive_exactly(first, 5) == b"still"
        for client in clients:
            client.close()
        wait_until(lambda: pair.outcome(timeout=10) == "served", "served again")
        busy = os.times()
    assert pair.web.agent.exit_code is None, busy


def raised_limit(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), max(hard, count)))


@pytest.mark.timeout(300)
def test_nine_thousand_idle_connections(fresh_lab):
    count = 9000
    raised_limit(19_000)  # both ends of every connection are ours; the agents need as many each
    pair = harness.Pair(fresh_lab, start=False)
    for host in (pair.db, pair.web):
        host.exec("sysctl", "-qw", "net.ipv4.ip_local_port_range=16000 65000", "net.core.somaxconn=8192")
        host.start_helper()
        host.start_agent()
    clients = []
    with traffic.IdleServer(pair.db.namespace, pair.PORT) as server:
        for _ in range(count):
            clients.append(pair.connect(timeout=20))
        wait_until(lambda: len(server.connections) == count, f"{count} connections at the application", timeout=60)
        for host in (pair.web, pair.db):
            print(f"{host.name}: {count} idle connections, {host.agent.rss_kib()} KiB PSS")
            assert host.agent.rss_kib() < 600_000
        for index in range(0, count, 1000):
            clients[index].sendall(b"awake")
        woken = 0
        for connection in server.connections:
            connection.setblocking(False)
            try:
                woken += len(connection.recv(5)) == 5
            except BlockingIOError:
                pass
        for client in clients:
            client.close()
        assert woken >= 1
    for host in (pair.web, pair.db):
        wait_until(lambda: host.metric("mooring_connections_active") == 0, "all connections are gone", timeout=30)


def test_access_log_on_a_full_disk(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False)
    small = pair.db.folder / "small"
    small.mkdir()
    pair.db.exec("mount", "-t", "tmpfs", "-o", f"size=16k,uid={harness.AGENT_UID}", "tmpfs", small)
    pair.tables = {"access_log": {"file": str(small / "access.log")}}
    pair.configure_db()
    pair.db.start()
    pair.web.start()
    with pair.server():
        assert [pair.outcome() for _ in range(200)] == ["served"] * 200
    wait_until(lambda: pair.db.metric("mooring_access_log_failures_total") + pair.db.metric("mooring_access_log_dropped_total") > 0,
               "what was lost is counted")


def test_reader_of_the_access_log_stopped(fresh_lab):
    """Standard output is a pipe that nobody empties: more lines than the pipe and the ring hold."""
    pair = harness.Pair(fresh_lab, start=False)
    pair.tables = {"access_log": {"file": "/dev/stdout"}}
    pair.configure_db()
    pair.db.start_helper()
    pair.web.start()
    read_end, write_end = os.pipe()
    command = pair.db._as(harness.AGENT_UID, [fresh_lab.program("mooringd"), "--config", "/etc/mooring/agent.toml"])
    pair.db.agent = harness.Process(command, pair.db.folder / "agent.log", stdout=write_end)
    os.close(write_end)
    wait_until(lambda: pair.db.ready() and pair.db.metric("mooring_capture_active") == 1, "db's agent captures")
    with pair.server():
        for _ in range(1600):
            assert pair.outcome() == "served"
        wait_until(lambda: pair.db.metric("mooring_access_log_dropped_total") > 0, "dropped lines are counted")
    os.close(read_end)


# ---- peers that do not behave


@pytest.fixture(scope="module")
def impatient(lab):
    return harness.Pair(lab, timeouts={"handshake": "1s"})


@pytest.mark.parametrize("what", traffic.GARBAGE)
def test_peer_sends(lab, impatient, what):
    stranger = lab.hosts.get("stranger") or lab.host("stranger", identity=False)
    memory = impatient.db.agent.rss_kib()
    with impatient.server() as server:
        clients = [stranger.connect(impatient.db.ip, impatient.PORT) for _ in range(50)]
        for client in clients:
            client.sendall(traffic.GARBAGE[what])
        assert impatient.outcome() == "served", "others are served meanwhile"
        for client in clients:
            _, end = traffic.how_it_ends(client)
            assert end in (RESET, CLOSED)
        assert server.accepted == 1
    assert impatient.db.agent.exit_code is None
    assert impatient.db.agent.rss_kib() - memory < 8192


def test_upstream_that_sends_garbage_instead_of_tls(fresh_lab):
    """The caller's agent waits for a ServerHello and gets something else."""
    pair = harness.Pair(fresh_lab, start=False)
    pair.web.start()
    with pair.server(lambda connection: connection.sendall(b"220 plain text\r\n" * 10)):
        assert pair.outcome() == RESET
    assert pair.web.wait_for_access(direction="outbound", reason="handshake_failed")


def test_upstream_that_says_nothing(fresh_lab):
    pair = harness.Pair(fresh_lab, start=False, timeouts={"handshake": "1s"})
    pair.web.start()
    with pair.server(traffic.swallow):
        assert pair.outcome(timeout=60) == RESET
    assert pair.web.wait_for_access(direction="outbound", reason="handshake_timeout")


# ---- identity goes bad


def test_expired_certificate_is_refused_and_replaced(fresh_pair):
    pair, pki = fresh_pair, fresh_pair.lab.pki
    pki.svid("web-expired", id=pair.web.id, start="-2 days", end="-1 minute")
    with pair.server(), pair.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        pair.web.install_identity("web-expired")
        wait_until(lambda: pair.outcome() == RESET, "new connections are refused")
        pair.db.wait_for_access(direction="inbound", reason="peer_expired")
        client.sendall(b"again")
        assert traffic.receive_exactly(client, 5) == b"again", "an expiry ends no open connection"
        pair.web.install_identity("web")
        wait_until(lambda: pair.outcome() == "served", "served with the new certificate", timeout=60)


def test_certificate_of_a_host_whose_clock_is_a_minute_ahead(fresh_pair):
    pair, pki = fresh_pair, fresh_pair.lab.pki
    pki.svid("web-early", id=pair.web.id, start="+1 minute", end="+1 day")
    pair.web.install_identity("web-early")
    with pair.server():
        wait_until(lambda: pair.outcome() == RESET, "refused", timeout=60)
        line = pair.db.wait_for_access(direction="inbound", reason="peer_expired")
        assert "not yet valid" in line["detail"] or "clock" in pair.db.mooring("why").stdout


@pytest.mark.parametrize("kind", ["svid", "key", "bundle"])
def test_broken_identity_file_changes_nothing(fresh_pair, kind):
    pair = fresh_pair
    with pair.server(), Load(pair, callers=2) as load:
        pair.web.write_identity(**{kind: "-----BEGIN NONSENSE-----\n"})
        wait_until(lambda: f"{kind}.pem" in pair.web.agent.log(), "the agent says which file", timeout=60)
        assert [pair.outcome() for _ in range(5)] == ["served"] * 5
        load.is_moving()
        assert load.ends == []


def test_removed_trust_anchor_ends_what_it_verified(fresh_pair):
    pair, pki = fresh_pair, fresh_pair.lab.pki
    pki.ca("new-ca", id="spiffe://shop.test")
    pki.svid("web-new", id=pair.web.id, ca="new-ca")
    pki.path("both.pem").write_text(pki.read("ca.pem") + pki.read("new-ca.pem"))
    with pair.server(), pair.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        updates = pair.db.agent.log().count("is in use")
        pair.db.write_identity(bundle=pki.read("both.pem"))
        wait_until(lambda: pair.db.agent.log().count("is in use") > updates, "bundle read")
        assert pair.outcome() == "served", "by a worker that has the new bundle"
        client.sendall(b"again")
        assert traffic.receive_exactly(client, 5) == b"again", "an overlapping bundle ends nothing"
        pki.svid("db-new", id=pair.db.id, ca="new-ca")
        pair.db.install_identity("db-new", bundle="new-ca")
        assert traffic.how_it_ends(client, timeout=60) == (b"", RESET)
    pair.db.wait_for_access(direction="inbound", reason="trust_removed")


# ---- the host's own doings


def test_rules_flushed_by_another_program(fresh_pair):
    with fresh_pair.server(), Load(fresh_pair) as load:
        for host in (fresh_pair.web, fresh_pair.db):
            host.exec("nft", "flush", "ruleset", check=False)
        time.sleep(1.2)
        load.is_moving()
        assert [fresh_pair.outcome() for _ in range(10)] == ["served"] * 10
        assert load.ends == []
    assert "tproxy" in fresh_pair.db.exec("nft", "list", "ruleset").stdout


def test_nft_missing(fresh_lab):
    """Neither the program nor the library, nor iptables: the helper says so instead of capturing nothing in silence."""
    pair = harness.Pair(fresh_lab, start=False)
    pair.web.exec("sh", "-c", "for f in /usr/sbin/nft /usr/lib/*/libnftables.so.1 /usr/sbin/xtables-*-multi; do "
                              "[ ! -e $f ] || mount --bind /dev/null $f; done")
    helper = pair.web.start_helper(wait=False)
    assert helper.wait() != 0
    assert "nft: is not installed" in helper.log()


@pytest.mark.parametrize("port", [15001, 15006])
def test_port_of_the_agent_is_taken(fresh_lab, port):
    pair = harness.Pair(fresh_lab, start=False)
    thief = traffic.listen(pair.web.namespace, port, "::")
    pair.web.start_helper()
    agent = pair.web.start_agent(wait=False)
    code = agent.wait()
    assert code != 0
    assert str(port) in agent.log() + pair.web.helper.log()
    thief.close()


def test_agent_ends_in_order(fresh_pair):
    """SIGTERM drains: the open connection may finish, new ones do not reach the agent."""
    def answer_late(connection):
        asked.append(traffic.receive_exactly(connection, 4))
        time.sleep(1)
        connection.sendall(b"late")

    asked = []

    with fresh_pair.server(answer_late), fresh_pair.connect() as client:
        client.sendall(b"wait")
        wait_until(lambda: asked, "the request is at the server")
        fresh_pair.web.agent.signal(signal.SIGTERM)
        assert traffic.how_it_ends(client) == (b"late", CLOSED)
    assert fresh_pair.web.agent.wait() == 0
