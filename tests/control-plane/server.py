#!/usr/bin/python3
"""The test control plane: server.py CONFIG.json. Told what to serve and how to misbehave by JSON lines on a unix socket."""
import asyncio
import functools
import json
import pathlib
import signal
import sys

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.health.v3 import hds_pb2

import bootstrap
import health
import sotw
from discovery import Plane
from front import Front

MAX_LINE = 1 << 26
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.keepalive_time_ms", 15000),
           ("grpc.keepalive_timeout_ms", 15000), ("grpc.http2.min_recv_ping_interval_without_data_ms", 15000),
           ("grpc.keepalive_permit_without_calls", 1)]


def _stream(handler, request, response):
    return grpc.stream_stream_rpc_method_handler(handler, request.FromString, response.SerializeToString)


async def grpc_server(plane, path):
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers([
        grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", {
            "DeltaAggregatedResources": _stream(plane.delta, discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse),
            "StreamAggregatedResources": _stream(functools.partial(sotw.serve, plane), discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse)}),
        grpc.method_handlers_generic_handler("envoy.service.health.v3.HealthDiscoveryService", {
            "StreamHealthCheck": _stream(functools.partial(health.serve, plane),
                                         hds_pb2.HealthCheckRequestOrEndpointHealthResponse, hds_pb2.HealthCheckSpecifier)})])
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    return server


class Control:
    """One line in, one line out: {"do": NAME, ...} -> {"result": ...} or {"error": text}."""

    def __init__(self, plane, front):
        self._plane, self._front = plane, front
        self._commands = {
            "set": lambda node, resources: plane.set(node, resources, is_whole=True),
            "update": lambda node, resources: plane.set(node, resources, is_whole=False),
            "remove": plane.remove, "send": plane.send, "end": plane.end,
            "behave": lambda **changes: plane.behave(changes),
            "reset": front.reset, "freeze": front.freeze,
            "dataplane": plane.dataplanes.__setitem__,
            "status": self._status,
            "log": lambda since=0: [each for each in plane.log if each["number"] >= since],
        }

    def _status(self):
        return {"streams": [stream.state() for stream in self._plane.streams], "health": self._plane.health,
                "connections": self._front.open, "accepted": self._front.accepted, "behaviour": self._plane.behaviour}

    async def serve(self, reader, writer):
        while line := await reader.readline():
            request = json.loads(line)
            try:
                answer = {"result": self._commands[request.pop("do")](*request.pop("args", ()), **request)}
            except Exception as error:  # the test that asked is to see it
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


async def main():
    folder = pathlib.Path(sys.argv[1]).parent
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())
    plane = Plane(config)

    def answer(method, path, headers, body):
        if (method, path) != ("POST", "/bootstrap"):
            return 404, "text/plain; charset=utf-8", b"404 page not found\n"
        result = bootstrap.answer(headers, body, config, plane.dataplanes)
        plane.record("bootstrap", status=result[0])
        return result

    for name in ("grpc.sock", "control.sock"):
        (folder / name).unlink(missing_ok=True)
    front = Front(folder / "grpc.sock", answer)
    behind = await grpc_server(plane, folder / "grpc.sock")
    await front.listen(config["addresses"], config["port"], folder / "server.pem", folder / "server.key")
    await asyncio.start_unix_server(Control(plane, front).serve, folder / "control.sock", limit=MAX_LINE)
    print("serving", flush=True)

    ends = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
    await ends.wait()
    await behind.stop(None)


asyncio.run(main())
