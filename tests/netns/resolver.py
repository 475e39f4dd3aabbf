"""A resolver of a host, apart from any mesh: resolver.py ADDRESS.. answers NAMES on port 53 over UDP and TCP, refuses every other
name, and prints each one that it is asked for."""
import selectors
import socket
import struct
import sys

NAMES = {"outside.test": "10.77.9.9"}
A = 1


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), at + 5, struct.unpack_from("!H", query, at + 1)[0]


def answer(query):
    name, end, kind = name_of(query)
    print(name, flush=True)
    address = NAMES.get(name)
    records = [address] if address and kind == A else []
    flags = 0x8180 | (0 if address else 3)  # NXDOMAIN
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return head + query[12:end] + b"".join(struct.pack("!HHHIH", 0xC00C, A, 1, 5, 4) + socket.inet_aton(each) for each in records)


def serve_tcp(listener):
    client, _ = listener.accept()
    with client:
        client.settimeout(5)
        size, = struct.unpack("!H", client.recv(2, socket.MSG_WAITALL))
        reply = answer(client.recv(size, socket.MSG_WAITALL))
        client.sendall(struct.pack("!H", len(reply)) + reply)


def serve_udp(server):
    query, peer = server.recvfrom(4096)
    server.sendto(answer(query), peer)


def main(addresses):
    selector = selectors.DefaultSelector()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind, serve in ((socket.SOCK_DGRAM, serve_udp), (socket.SOCK_STREAM, serve_tcp)):
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                server.listen()
            selector.register(server, selectors.EVENT_READ, serve)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


if __name__ == "__main__":
    main(sys.argv[1:])
