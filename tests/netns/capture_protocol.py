"""mooring-net's protocol, written a second time from its description (agent/capture_client/messages.h), so that the
tests notice when the two sides only agree with each other by accident. It stays at version 1, one behind the helper, as an agent
may be after an upgrade."""
import array
import ipaddress
import socket
import struct

MAGIC, VERSION = 0x4D4E, 1
(HELLO, SET_PLAN, ACTIVATE, NARROW, DROP, GET_LISTENERS, GET_STATUS, PONG,
 WELCOME, DONE, REFUSED, LISTENERS, OWNER, PING, STATUS, TRY_PLAN, CONFIRM, TRIAL) = range(18)
AGENT, TOOL = 0, 1
OPEN, CLOSED = 0, 1
STATES = ["off", "active", "agent_dead", "held_off", "gave_up"]


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def prefix(value):
    network = ipaddress.ip_network(value)
    return struct.pack("!BB", network.version, network.prefixlen) + network.network_address.packed


def config(outbound=(), inbound=(), exclude_addresses=(), exclude_ports=(), refuse_other=False, other_closed=False,
           outbound_port=15001, inbound_port=15006):
    """`outbound`: (prefix, port, OPEN or CLOSED); `inbound`: (port, OPEN or CLOSED)."""
    out = struct.pack("!HHH", outbound_port, inbound_port, len(outbound))
    for block, port, fate in outbound:
        out += prefix(block) + struct.pack("!HB", port, fate)
    out += struct.pack("!H", len(inbound))
    for port, fate in inbound:
        out += struct.pack("!HB", port, fate)
    out += struct.pack("!H", len(exclude_addresses)) + b"".join(map(prefix, exclude_addresses))
    out += struct.pack("!H", len(exclude_ports)) + b"".join(struct.pack("!H", port) for port in exclude_ports)
    return out + struct.pack("!BB", refuse_other, other_closed)


class Refused(Exception):
    pass


class Connection:
    def __init__(self, path, role=TOOL, timeout=30.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.next_id = 1
        self.on_notice = lambda kind, body, descriptors: None
        self.ask(HELLO, struct.pack("!B", role) + text("test"))

    def send(self, kind, body=b"", id=0):
        self.socket.send(struct.pack("!HBBI", MAGIC, VERSION, kind, id) + body)

    def receive(self):
        packet, control, _, _ = self.socket.recvmsg(1 << 17, socket.CMSG_SPACE(253 * 4))
        if not packet:
            raise ConnectionResetError("the helper is gone")
        descriptors = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[:len(data) - len(data) % 4])
        magic, version, kind, id = struct.unpack("!HBBI", packet[:8])
        assert (magic, version) == (MAGIC, VERSION)
        return kind, id, packet[8:], list(descriptors)

    def ask(self, kind, body=b""):
        """The answer's body and descriptors."""
        id, self.next_id = self.next_id, self.next_id + 1
        self.send(kind, body, id)
        while True:
            got, answer_id, body, descriptors = self.receive()
            if answer_id != id:
                self.on_notice(got, body, descriptors)
            elif got == REFUSED:
                raise Refused(body[3:].decode())
            else:
                return body, descriptors

    def listeners(self, workers=1, outbound_port=15001, inbound_port=15006):
        """[(is_inbound, is_v6, worker, socket)]"""
        body, descriptors = self.ask(GET_LISTENERS, struct.pack("!HHH", workers, outbound_port, inbound_port))
        count, = struct.unpack("!H", body[:2])
        assert count == len(descriptors)
        found = []
        for index in range(count):
            is_inbound, is_v6, worker = struct.unpack_from("!BBH", body, 2 + 4 * index)
            found.append((bool(is_inbound), bool(is_v6), worker, socket.socket(fileno=descriptors[index])))
        return found

    def status(self):
        body, _ = self.ask(GET_STATUS)
        at = 0

        def take(format):
            nonlocal at
            values = struct.unpack_from("!" + format, body, at)
            at += struct.calcsize("!" + format)
            return values

        def take_text():
            nonlocal at
            size, = take("H")
            at += size
            return body[at - size:at].decode()

        found = {"state": STATES[take("B")[0]], "backend": take_text(), "is_owned": bool(take("B")[0]), "table": take_text()}
        names = ("has_guard", "is_draining", "agent_pid", "agent_uid", "repairs", "openings", "since")
        found.update(zip(names, take("BBIIIIQ")))
        found["problem"] = take_text()
        return found

    def close(self):
        self.socket.close()
