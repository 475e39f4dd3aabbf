"""One TLS address for two protocols: HTTP/1.1 is answered here, HTTP/2 goes through to the gRPC server behind. Everything
that a client sees of the control plane passes here, so here it is cut off, or falls silent."""
import asyncio
import contextlib
import http
import socket
import ssl
import struct

LINGER_AND_RESET = struct.pack("ii", 1, 0)
MAX_HEAD, MAX_BODY = 1 << 16, 1 << 22


class Front:
    """`answer(method, path, headers, body)` is asked for HTTP/1.1 and returns (status, content type, body)."""

    def __init__(self, backend, answer):
        self._backend, self._answer = backend, answer
        self._clients = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._left = None  # bytes to clients until all of them are reset
        self.accepted = 0

    @property
    def open(self):
        return len(self._clients)

    async def listen(self, addresses, port, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        # Who offers both gets HTTP/1.1, as what does so is here for the bootstrap; gRPC offers h2 alone.
        context.set_alpn_protocols(["http/1.1", "h2"])
        return await asyncio.start_server(self._serve, addresses, port, ssl=context)

    def freeze(self, is_frozen):
        if is_frozen:
            self._flows.clear()
        else:
            self._flows.set()

    def reset(self, after_bytes=0):
        """All connections, at once or when that many bytes more have gone to clients."""
        self._left = after_bytes or None
        if not after_bytes:
            for writer in list(self._clients):
                self._abort(writer)

    @staticmethod
    def _abort(writer):
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_AND_RESET)
        writer.transport.abort()

    async def _serve(self, reader, writer):
        self.accepted += 1
        self._clients.add(writer)
        try:
            is_http2 = writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            if is_http2:
                await self._pass_on(reader, writer)
            else:
                await self._answer_all(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # the client's end, or its nonsense
        finally:
            self._clients.discard(writer)
            writer.close()

    # ---- HTTP/2

    async def _pass_on(self, reader, writer):
        back_reader, back_writer = await asyncio.open_unix_connection(self._backend)
        pumps = [asyncio.create_task(self._pump(reader, back_writer)),
                 asyncio.create_task(self._pump(back_reader, writer, is_to_client=True))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back_writer.close()

    async def _pump(self, reader, writer, is_to_client=False):
        while data := await reader.read(1 << 16):
            await self._flows.wait()
            is_last = False
            if is_to_client and self._left is not None:
                data = data[:self._left]
                self._left -= len(data)
                is_last = self._left == 0
            writer.write(data)
            await writer.drain()
            if is_last:
                self.reset()

    # ---- HTTP/1.1

    async def _answer_all(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._flows.wait()
            if len(head) > MAX_HEAD:
                return
            request, *lines = head.decode("latin-1").strip().split("\r\n")
            method, path, _ = request.split(" ")
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", 0))
            if not 0 <= length <= MAX_BODY:
                return
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(length)
            status, kind, answer = self._answer(method, path, headers, body)
            writer.write(f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: {kind}\r\n"
                         f"content-length: {len(answer)}\r\n\r\n".encode() + answer)
            await writer.drain()
