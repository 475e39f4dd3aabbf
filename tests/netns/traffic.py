"""Sockets in other network namespaces, and the small servers that the tests talk to.

A socket belongs to the namespace in which it was made, for ever; so this process makes sockets in the namespaces of all
hosts and a test reads as one straight story, client and server side by side.
"""
import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

RESET = "reset"
CLOSED = "closed"

GARBAGE = {
    "garbage": b"\x00\xff" * 500,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "a record of 17 KB": b"\x16\x03\x01" + (17 * 1024).to_bytes(2, "big") + b"\x01\x00\x44\x00" + bytes(17 * 1024),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "SSLv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "nothing": b"",
}


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def in_namespace(name):
    """The calling thread alone is moved."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _setns(other)
        yield
    finally:
        _setns(own)
        os.close(own)
        os.close(other)


def make_socket(namespace, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with in_namespace(namespace):
        return socket.socket(family, socket.SOCK_STREAM)


def connect(namespace, address, port, timeout=30.0, source_port=0, source=""):
    client = make_socket(namespace, address)
    client.settimeout(timeout)
    if source_port or source:
        client.bind((source, source_port))
    try:
        client.connect((address, port))
    except BaseException:
        client.close()
        raise
    return client


def listen(namespace, port, address="::", backlog=1024):
    server = make_socket(namespace, address)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(backlog)
    server.settimeout(10.0)
    return server


def abort(connection):
    """Ends with a reset instead of an orderly close."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive_exactly(connection, count):
    received = bytearray()
    while len(received) < count:
        part = connection.recv(min(count - len(received), 1 << 20))
        if not part:
            raise EOFError(f"end of stream after {len(received)} of {count} bytes")
        received += part
    return bytes(received)


def receive_all(connection):
    received = bytearray()
    while part := connection.recv(1 << 20):
        received += part
    return bytes(received)


def how_it_ends(connection, timeout=30.0):
    """What an application sees: what still came, and CLOSED, RESET or the name of another error."""
    connection.settimeout(timeout)
    received = bytearray()
    try:
        while part := connection.recv(1 << 16):
            received += part
        return bytes(received), CLOSED
    except ConnectionResetError:
        return bytes(received), RESET
    except socket.timeout:
        return bytes(received), "still open"
    except OSError as error:
        return bytes(received), errno.errorcode[error.errno]


def outcome(namespace, address, port, message=b"hello\n", timeout=30.0):
    """One request to an echo server: "served", or how it was refused."""
    try:
        with connect(namespace, address, port, timeout) as client:
            client.sendall(message)
            try:
                client.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:  # ended already; reading says how
                    raise
            received, end = how_it_ends(client, timeout)
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionResetError, BrokenPipeError):
        return RESET
    except OSError as error:
        return errno.errorcode.get(error.errno, "timeout") if error.errno else "timeout"
    return "served" if received == message and end == CLOSED else end


def wait_until(claim, what, timeout=60.0, interval=0.02):
    """Returns what `claim` returns once that is true; fails with `what` otherwise. The time is for a machine whose CPUs
    are busy with something else: no test may depend on it, so it costs nothing where all is well."""
    deadline = time.monotonic() + timeout
    while True:
        result = claim()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {what}")
        time.sleep(interval)


def within(seconds, attempt, tries=3):
    """For a claim about time: `attempt()` returns how long it took, and once in a few tries that must be short enough. One
    slow try says something about who else wanted the CPU."""
    took = []
    for _ in range(tries):
        took.append(attempt())
        if took[-1] < seconds:
            return
    raise AssertionError(f"never within {seconds} s: {', '.join(f'{each:.2f}' for each in took)}")


# ---- servers: a handler gets each accepted connection in a thread of its own


def echo(connection):
    while part := connection.recv(1 << 18):
        connection.sendall(part)


def greet_then_echo(connection):
    """Server-first, as MySQL, SMTP and SSH are."""
    connection.sendall(b"220 ready\r\n")
    echo(connection)


def swallow(connection):
    while connection.recv(1 << 20):
        pass


class Server:
    """Listens on `port` of a namespace until it is stopped; keeps what its handlers raised."""

    def __init__(self, namespace, port, handler=echo, address="::"):
        self.port = port
        self.accepted = 0
        self.peers = []
        self.errors = []
        self._handler = handler
        self._listener = listen(namespace, port, address)
        self._listener.settimeout(None)
        self._connections = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.peers.append(peer)
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                self._handler(connection)
        except OSError as error:
            self.errors.append(error)
        finally:
            self._connections.discard(connection)

    def stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class IdleServer:
    """Accepts thousands of connections without a thread for each and holds them."""

    def __init__(self, namespace, port, address="::"):
        self.connections = []
        self._listener = listen(namespace, port, address, backlog=4096)
        self._listener.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:
                return

    def stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- streams that check themselves: block k holds its own number, so a lost, doubled or moved block is seen

BLOCK = 1 << 16
_FILLER = bytes(range(256)) * (BLOCK // 256)


def block(number):
    return struct.pack("!Q", number) + _FILLER[8:]


def send_stream(connection, byte_count):
    for number in range(byte_count // BLOCK):
        connection.sendall(block(number))
    connection.shutdown(socket.SHUT_WR)


def check_stream(connection, byte_count):
    """Reads to the end of the stream; fails at the first wrong block. Returns the bytes read."""
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    for number in range(byte_count // BLOCK):
        filled = 0
        while filled < BLOCK:
            count = connection.recv_into(view[filled:])
            assert count, f"end of stream in block {number} of {byte_count // BLOCK}"
            filled += count
        assert buffer == block(number), f"block {number} differs"
    assert connection.recv(1) == b"", "bytes after the end"
    return byte_count
