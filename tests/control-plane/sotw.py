"""State-of-the-world ADS as go-control-plane serves it: all that is wanted of a type in each response, and at once again where the
version that a request says is not the one that is served. An answer to another response than the last one is not read."""
import asyncio
import collections

from envoy.service.discovery.v3 import discovery_pb2

import discovery

Node = collections.namedtuple("Node", "node")


class Stream:
    def __init__(self, plane, number):
        self._plane, self.number = plane, number
        self.proxy = None
        self.types = {}  # kind: {"names", "nonce", "version": that was taken, "sent"}
        self.queue = asyncio.Queue()
        self._counter = 0

    def send(self, response):
        self.queue.put_nowait(response)

    def push(self, kind):
        state, snapshot = self.types.get(kind), self._plane.snapshots.get(self.proxy.node)
        if state is None or snapshot is None or kind in self._plane.behaviour["silent"]:
            return
        version = snapshot.system_version(kind)
        if state["version"] == version or state["nonce"] != state["answered"]:
            return  # it has that, or has not yet said so
        self._counter += 1
        state.update(nonce=str(self._counter), sent=version)
        wanted = {name: entry for name, entry in snapshot.content[kind].items() if kind in ("cds", "lds") or name in state["names"]}
        self.send(discovery_pb2.DiscoveryResponse(type_url=discovery.KINDS[kind], version_info=version, nonce=state["nonce"],
                                                  resources=[wanted[name].packed for name in sorted(wanted)]))

    def push_all(self):
        for kind in discovery.KINDS:
            self.push(kind)

    def on_request(self, request):
        if self.proxy is None:
            self.proxy = Node(request.node.id)
            self._plane.record("open", request.node.id, stream=self.number)
        kind, names = discovery.KIND_OF[request.type_url], set(request.resource_names)
        state = self.types.setdefault(kind, {"names": set(), "nonce": "", "answered": "", "version": "", "sent": ""})
        event = "nack" if request.HasField("error_detail") else "ack" if request.response_nonce else "request"
        self._plane.record(event, self.proxy.node, kind=kind, nonce=request.response_nonce, version=request.version_info,
                           names=sorted(names), text=request.error_detail.message)
        if request.response_nonce != state["nonce"]:
            return
        state.update(answered=request.response_nonce, version=request.version_info if names <= state["names"] else "", names=names)
        self.push(kind)

    async def read(self, requests):
        async for request in requests:
            self.on_request(request)
        self.send(None)

    def is_settled(self):
        snapshot = self._plane.snapshots.get(self.proxy.node) if self.proxy else None
        return snapshot is not None and "lds" in self.types and self.queue.empty() and all(
            state["version"] == snapshot.system_version(kind) for kind, state in self.types.items())

    def state(self):
        return {"number": self.number, "node": self.proxy and self.proxy.node, "settled": self.is_settled(),
                "types": {kind: {**state, "names": sorted(state["names"])} for kind, state in self.types.items()}}


async def serve(plane, requests, context):
    if not plane.behaviour["is_generic"]:
        async for never in plane.state_of_the_world(requests, context):
            yield never
        return
    stream = Stream(plane, len(plane.log))
    plane.streams.append(stream)

    reader = asyncio.create_task(stream.read(requests))
    try:
        while (response := await stream.queue.get()) is not None:
            if isinstance(response, tuple):
                await context.abort(*response)
            plane.record("response", stream.proxy.node, kind=discovery.KIND_OF[response.type_url], nonce=response.nonce,
                         count=len(response.resources))
            yield response
    finally:
        reader.cancel()
        plane.streams.remove(stream)
        if stream.proxy:
            plane.record("end", stream.proxy.node)
