#!/usr/bin/python3
"""Servers for the gRPC channel's component test; prints the port, and one line for each connection.

grpc_server.py echo FOLDER [unix:PATH]   a real gRPC server (grpcio), with FOLDER/cert.pem and key.pem
grpc_server.py MODE FOLDER               HTTP/2 frames by hand: a server that misbehaves (see MODES)
grpc_server.py refusing-proxy|proxy FOLDER   CONNECT, refused or served
"""
import concurrent.futures
import pathlib
import socket
import ssl
import struct
import sys
import threading

DATA, HEADERS, RST, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
GRPC = (b":status", b"200"), (b"content-type", b"application/grpc")


def say(text):
    print(text, flush=True)


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def block(*fields):
    """Literal fields, not indexed, short (RFC 7541 §6.2.2)."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)


def headers(*fields, end=False):
    return frame(HEADERS, 5 if end else 4, 1, block(*fields))


def message(text):
    return struct.pack("!BI", 0, len(text)) + text


def read_all(link):
    try:
        while link.recv(65536):
            pass
    except OSError:
        pass


def until_request(link):
    """Reads until the client's stream 1 is there, as far as this script must know."""
    seen = link.recv(24)
    while True:
        while len(seen) < 24 or not has_headers(seen[24:]):
            more = link.recv(65536)
            if not more:
                return
            seen += more
        return


def has_headers(data):
    while len(data) >= 9:
        length, kind = int.from_bytes(data[:3], "big"), data[3]
        if kind == HEADERS:
            return True
        data = data[9 + length:]
    return False


def after_request(*parts):
    def serve(link):
        link.sendall(frame(SETTINGS, 0, 0))
        until_request(link)
        for part in parts:
            link.sendall(part)
        read_all(link)
    return serve


def at_once(*parts):
    def serve(link):
        for part in parts:
            link.sendall(part)
        read_all(link)
    return serve


def cut(link):
    link.sendall(frame(SETTINGS, 0, 0))
    until_request(link)
    link.sendall(headers(*GRPC) + frame(DATA, 0, 1, message(b"x" * 1000)[:500]))


def endless_headers(link):
    link.sendall(frame(SETTINGS, 0, 0))
    until_request(link)
    field = block((b"x-filler", b"y" * 100))
    try:
        link.sendall(frame(HEADERS, 0, 1, block(*GRPC)))
        while True:
            link.sendall(frame(CONTINUATION, 0, 1, field * 100))
    except OSError:
        pass


def flood(piece):
    def serve(link):
        try:
            link.sendall(frame(SETTINGS, 0, 0))
            while True:
                link.sendall(piece * 100)
        except OSError:
            pass
    return serve


SETTINGS_NO_WINDOW = frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 0))
SETTINGS_NO_STREAMS = frame(SETTINGS, 0, 0, struct.pack("!HI", 3, 0))
MODES = {
    "silent": at_once(),
    "half-settings": at_once(frame(SETTINGS, 0, 0, b"\0" * 6)[:7]),
    "no-http2": at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "goaway": at_once(frame(SETTINGS, 0, 0), frame(GOAWAY, 0, 0, struct.pack("!II", 0, 11))),
    "goaway-after": after_request(frame(GOAWAY, 0, 0, struct.pack("!II", 0, 1))),
    "reset": after_request(frame(RST, 0, 1, struct.pack("!I", 7))),
    "endless-headers": endless_headers,
    "large-header": after_request(frame(HEADERS, 0, 1, block(*GRPC, *[(b"x-f", b"y" * 120)] * 100)),
                                  *[frame(CONTINUATION, 0, 1, block(*[(b"x-f", b"y" * 120)] * 120))] * 4,
                                  frame(CONTINUATION, 4, 1, block((b"x-f", b"y")))),
    "giant-message": after_request(headers(*GRPC) + frame(DATA, 0, 1, struct.pack("!BI", 0, 0xffffffff))),
    "compressed": after_request(headers(*GRPC) + frame(DATA, 0, 1, struct.pack("!BI", 1, 3) + b"abc")),
    "trailers-only": after_request(headers(*GRPC, (b"grpc-status", b"7"), (b"grpc-message", b"no %C3%A9ntry"), end=True)),
    "no-status": after_request(headers(*GRPC, end=True)),
    "no-window": at_once(SETTINGS_NO_WINDOW),
    "no-streams": at_once(SETTINGS_NO_STREAMS),
    "http-503": after_request(headers((b":status", b"503"), (b"content-type", b"text/html"), end=True)),
    "http-200": after_request(headers((b":status", b"200"), (b"content-type", b"text/html"))),
    "cut": cut,
    "ping-flood": flood(frame(6, 0, 0, b"12345678")),
    "settings-flood": flood(frame(SETTINGS, 0, 0)),
}


def listen(serve, context):
    server = socket.create_server(("127.0.0.1", 0))
    say(server.getsockname()[1])

    def one(link):
        say("connection")
        try:
            if context:
                link = context.wrap_socket(link, server_side=True)
            serve(link)
        except OSError:
            pass
        link.close()

    while True:
        threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()


def proxy(link, is_refusing):
    head = b""
    while b"\r\n\r\n" not in head:
        head += link.recv(4096)
    say(head.decode().replace("\r\n", "|"))
    if is_refusing:
        link.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    host, port = head.split()[1].decode().rsplit(":", 1)
    onward = socket.create_connection((host, int(port)))
    link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pipe, args=(onward, link), daemon=True).start()
    pipe(link, onward)


def pipe(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass


def echo(folder, address):
    import grpc  # only here: the others need no package

    def stream(requests, context):
        for request in requests:
            yield request
        context.set_trailing_metadata((("x-end", "yes"),))

    def status(requests, context):
        next(requests)
        context.abort(grpc.StatusCode.UNKNOWN, "authentication failed: näin ei")
        yield b""

    def metadata(_, context):
        yield dict(context.invocation_metadata()).get("authorization", "").encode()

    def big(requests, _):
        for request in requests:
            yield b"b" * int(request)

    methods = {"Stream": stream, "Status": status, "Metadata": metadata, "Big": big}
    handlers = {name: grpc.stream_stream_rpc_method_handler(method) for name, method in methods.items()}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8),
                         options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    if address:
        server.add_insecure_port(address)
        port = 0
    else:
        pair = ((folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((pair,)))
    server.start()
    say(port)
    server.wait_for_termination()


def main():
    mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if mode == "echo":
        return echo(folder, sys.argv[3] if len(sys.argv) > 3 else None)
    if mode in ("proxy", "refusing-proxy"):
        return listen(lambda link: proxy(link, mode == "refusing-proxy"), None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"] if mode != "no-alpn" else ["http/1.1"])
    return listen(MODES.get(mode, MODES["silent"]), context)


if __name__ == "__main__":
    main()
