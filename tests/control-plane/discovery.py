"""Delta ADS as Kuma serves it: one stream a proxy, five types, one nonce counter a stream, only what differs is sent."""
import asyncio
import base64
import collections
import functools
import hashlib
import importlib
import json
import pathlib
import time

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

import authorization
import resources

KINDS = {"cds": resources.CLUSTER, "eds": resources.ENDPOINTS, "sds": resources.SECRET, "lds": resources.LISTENER}  # in this order
KIND_OF = {url: kind for kind, url in KINDS.items()}
ACTIVE = "there is already an active stream from this node, try again later"

DEFAULTS = {
    "delay": 0.0,               # seconds before each response
    "nonce": "",                # "duplicate": as the response before; "stale": one from long ago; "empty"
    "twice": False,             # every response is sent a second time
    "is_reversed": False,       # an update of several types is sent in the wrong order
    "silent": [],               # kinds which are never answered
    "refuse": "",               # new streams end with this text
    "deregistration_delay": 0.0,  # Kuma: 10 s, in which the node's next stream is refused
    "health_interval": "5s",
    "is_generic": False,        # state of the world is served, as by an xDS server that is not Kuma's (sotw.py)
}


@functools.cache
def _learn(package):
    """The messages of a package: only what was imported can be found by its name in an Any."""
    for found in importlib.import_module(package).__path__:
        for file in sorted(pathlib.Path(found).glob("*_pb2.py")):
            importlib.import_module(f"{package}.{file.stem}")


def _learn_all(value):
    if isinstance(value, dict):
        kind = value.get("@type")
        if kind and not kind.startswith("type.googleapis.com/google.protobuf."):
            _learn(kind.rpartition("/")[2].rpartition(".")[0])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _learn_all(each)


def pack(resource):
    """proto-JSON with "@type" as Any; with "raw" (base64) these bytes are it, be they valid or not."""
    if "raw" in resource:
        return any_pb2.Any(type_url=resource["@type"], value=base64.b64decode(resource["raw"]))
    _learn_all(resource)
    return json_format.ParseDict(resource, any_pb2.Any())


def _digest(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# Versions come from the JSON: a message with a map is not the same bytes in the next process.
Entry = collections.namedtuple("Entry", "packed version")


class Snapshot:
    """What one proxy is to have."""

    def __init__(self):
        self.content = {kind: {} for kind in KINDS}  # {kind: {name: Entry}}

    def put(self, each):
        # All or nothing: what cannot be packed must not leave half an update.
        for resource, entry in [(resource, Entry(pack(resource), _digest(resource))) for resource in each]:
            self.content[KIND_OF[resource["@type"]]][resources.name_of(resource)] = entry

    def remove(self, kind, names):
        for name in names:
            self.content[kind].pop(name)

    def system_version(self, kind):
        return _digest({name: entry.version for name, entry in self.content[kind].items()})[:16]

    def versions(self, kind):
        # A change of the clusters sends all endpoints again.
        mixed_in = self.system_version("cds") if kind == "eds" else ""
        return {name: _digest(entry.version, mixed_in) for name, entry in self.content[kind].items()}


class Subscription:
    def __init__(self, is_wildcard, known):
        self.is_wildcard = is_wildcard
        self.names, self.sent = set(), dict(known)
        self.nonce = self.acked = self.error = None
        self.is_answered = False

    def wanted(self, versions):
        return {name: version for name, version in versions.items() if self.is_wildcard or name in self.names}

    def state(self):
        return {"wildcard": self.is_wildcard, "names": sorted(self.names), "sent": sorted(self.sent), "nonce": self.nonce,
                "acked": self.acked, "error": self.error}


Proxy = collections.namedtuple("Proxy", "node dataplane admin_socket is_servable")


class Stream:
    def __init__(self, plane, number):
        self._plane, self.number = plane, number
        self.proxy = None
        self.types = {}
        self.queue = asyncio.Queue()
        self._counter = 0

    def _nonce(self):
        kind = self._plane.behaviour["nonce"]
        if kind != "duplicate" or not self._counter:
            self._counter += 1
        return {"stale": "0", "empty": ""}.get(kind, str(self._counter))

    def send(self, response):
        self.queue.put_nowait(response)

    def subscribe(self, request):
        kind = KIND_OF[request.type_url]
        names = set(request.resource_names_subscribe)
        subscription = self.types.get(kind)
        if subscription is None:
            subscription = Subscription(not names and kind in ("cds", "lds"), request.initial_resource_versions)
            self.types[kind] = subscription
        else:
            for name in names:  # asked for again is sent again
                subscription.sent.pop(name, None)
        if "*" in names:
            subscription.is_wildcard = True
        subscription.names |= names - {"*"}
        for name in request.resource_names_unsubscribe:
            subscription.names.discard(name)
            if not subscription.is_wildcard:
                subscription.sent.pop(name, None)
        return subscription

    def push(self, kind):
        """Sends what differs from what the proxy has, and nothing if nothing does."""
        subscription, snapshot = self.types.get(kind), self._plane.snapshots.get(self.proxy.node)
        if subscription is None or snapshot is None or not self.proxy.is_servable or kind in self._plane.behaviour["silent"]:
            return
        wanted = subscription.wanted(snapshot.versions(kind))
        changed = [name for name, version in wanted.items() if subscription.sent.get(name) != version]
        removed = [name for name in subscription.sent if name not in wanted]
        if not changed and not removed and (subscription.is_answered or not subscription.is_wildcard):
            return
        response = discovery_pb2.DeltaDiscoveryResponse(
            type_url=KINDS[kind], system_version_info=snapshot.system_version(kind), removed_resources=sorted(removed), nonce=self._nonce())
        for name in sorted(changed):
            response.resources.add(name=name, version=wanted[name], resource=snapshot.content[kind][name].packed)
        response.control_plane.identifier = "test-control-plane"
        subscription.sent, subscription.is_answered, subscription.nonce = dict(wanted), True, response.nonce
        self.send(response)

    def push_all(self):
        kinds = list(KINDS)
        for kind in reversed(kinds) if self._plane.behaviour["is_reversed"] else kinds:
            self.push(kind)

    def is_settled(self):
        """All that this proxy is to have was sent, and it has agreed to it."""
        snapshot = self._plane.snapshots.get(self.proxy.node) if self.proxy else None
        if snapshot is None or "lds" not in self.types:
            return False
        return self.queue.empty() and all(
            each.sent == each.wanted(snapshot.versions(kind)) and each.acked == each.nonce for kind, each in self.types.items())

    def state(self):
        return {"number": self.number, "node": self.proxy and self.proxy.node, "settled": self.is_settled(),
                "types": {kind: each.state() for kind, each in self.types.items()}}


class Plane:
    """All proxies, one event loop, hence no locks."""

    def __init__(self, config):
        self.config, self.behaviour = config, dict(DEFAULTS)
        self.snapshots, self.streams, self.health = {}, [], {}
        self.dataplanes = dict(config.get("dataplanes") or {})  # made before their proxies came, by node id
        self.proxies, self._active = {}, set()
        self.log = collections.deque(maxlen=20000)
        self._count = 0

    def record(self, event, node=None, **more):
        self.log.append({"number": self._count, "at": time.time(), "event": event, "node": node, **more})
        self._count += 1

    # ---- what the tests want

    def set(self, node, each, is_whole):
        fresh = Snapshot()
        if not is_whole and node in self.snapshots:
            fresh.content = {kind: dict(content) for kind, content in self.snapshots[node].content.items()}
        fresh.put(each)
        self._replace(node, fresh)

    def remove(self, node, kind, names):
        fresh = Snapshot()
        fresh.content = {each: dict(content) for each, content in self.snapshots[node].content.items()}
        fresh.remove(kind, names)
        self._replace(node, fresh)

    def _replace(self, node, snapshot):
        self.snapshots[node] = snapshot
        for stream in self.streams_of(node):
            stream.push_all()

    def behave(self, changes):
        unknown = set(changes) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"no such behaviour: {', '.join(sorted(unknown))}")
        self.behaviour.update(changes)
        for stream in self.streams:
            if stream.proxy:
                stream.push_all()

    def streams_of(self, node):
        return [stream for stream in self.streams if stream.proxy and stream.proxy.node == node]

    def send(self, node, response):
        """A response as it is given, past all that is known of the stream."""
        packed = [{**each, "resource": None} for each in response.get("resources", [])]
        message = json_format.ParseDict({**response, "resources": packed}, discovery_pb2.DeltaDiscoveryResponse())
        for target, each in zip(message.resources, response.get("resources", [])):
            target.resource.CopyFrom(pack(each["resource"]))
        for stream in self.streams_of(node):
            subscription = stream.types.get(KIND_OF.get(message.type_url))
            if subscription:
                subscription.nonce = message.nonce
            stream.send(message)

    def end(self, node, code, text):
        for stream in self.streams_of(node):
            stream.send((grpc.StatusCode[code], text))

    # ---- what the proxies say

    def authorize(self, context, dataplane):
        tokens = [value for key, value in context.invocation_metadata() if key == "authorization"]
        authorization.check(tokens[0] if tokens else "", self.config["public_key"], dataplane, self.config.get("revoked") or (),
                            self.config.get("workload_is_identity", True))

    async def proxy_of(self, node):
        """HDS comes beside ADS, and may be the first."""
        for _ in range(50):
            if node in self.proxies:
                break
            await asyncio.sleep(0.1)
        return self.proxies.get(node)

    async def refuse(self, context, node, text):
        self.record("refused", node, text=text)
        await context.abort(grpc.StatusCode.UNKNOWN, text)

    def _identify(self, context, node):
        metadata = json_format.MessageToDict(node.metadata)
        text = metadata.get("dataplane.resource")
        dataplane = json.loads(text) if text else self.dataplanes.get(node.id)
        if dataplane is None:
            raise authorization.Refused("dataplane not found. Create Dataplane in Kuma CP first or pass it as an argument to kuma-dp")
        if node.id in self._active:
            raise authorization.Refused(ACTIVE)
        if self.behaviour["refuse"]:
            raise authorization.Refused(self.behaviour["refuse"])
        try:
            self.authorize(context, dataplane)
        except authorization.Refused as error:
            raise authorization.Refused(f"authentication failed: {error}") from None
        # Without a port for readiness a control plane fails at each try to make the resources, and stays silent.
        return Proxy(node.id, dataplane, metadata.get("dataplane.admin.socketPath"), "dataplane.readinessReporter.port" in metadata)

    def _on_request(self, stream, request):
        kind = KIND_OF.get(request.type_url)
        if kind is None:
            self.record("unknown-type", stream.proxy.node, type=request.type_url)
            return
        is_first = kind not in stream.types
        subscription = stream.subscribe(request)
        event = "request"
        if request.HasField("error_detail"):
            event, subscription.error = "nack", request.error_detail.message
        elif request.response_nonce or not (is_first or request.resource_names_subscribe or request.resource_names_unsubscribe):
            event = "ack"  # also of a response which had no nonce
        if event != "request":
            subscription.acked = request.response_nonce
        self.record(event, stream.proxy.node, kind=kind, nonce=request.response_nonce, subscribe=list(request.resource_names_subscribe),
                    unsubscribe=list(request.resource_names_unsubscribe), known=dict(request.initial_resource_versions),
                    **({"text": subscription.error} if event == "nack" else {}))
        stream.push(kind)

    async def _read(self, stream, requests, context):
        try:
            async for request in requests:
                if stream.proxy is None:
                    stream.proxy = self._identify(context, request.node)
                    self._active.add(stream.proxy.node)
                    self.proxies[stream.proxy.node] = stream.proxy
                    self.record("open", stream.proxy.node, stream=stream.number)
                self._on_request(stream, request)
            stream.send(None)
        except authorization.Refused as error:
            self.record("refused", request.node.id, text=str(error))
            stream.send((grpc.StatusCode.UNKNOWN, str(error)))

    async def delta(self, requests, context):
        stream = Stream(self, self._count)
        self.streams.append(stream)
        reader = asyncio.create_task(self._read(stream, requests, context))
        try:
            while (response := await stream.queue.get()) is not None:
                if isinstance(response, tuple):
                    await context.abort(*response)
                if self.behaviour["delay"]:
                    await asyncio.sleep(self.behaviour["delay"])
                for _ in range(2 if self.behaviour["twice"] else 1):
                    self.record("response", stream.proxy.node, kind=KIND_OF.get(response.type_url), nonce=response.nonce,
                                names=[each.name for each in response.resources], removed=list(response.removed_resources))
                    yield response
        finally:
            reader.cancel()
            self.streams.remove(stream)
            if stream.proxy:
                self._on_end(stream.proxy.node)

    def _on_end(self, node):
        self.record("end", node)
        delay = self.behaviour["deregistration_delay"]
        if delay:
            asyncio.get_running_loop().call_later(delay, self._active.discard, node)
        else:
            self._active.discard(node)

    async def state_of_the_world(self, requests, context):
        """Accepted, never answered, and nobody asks for a token."""
        async for request in requests:
            self.record("sotw", request.node.id, type=request.type_url)
        for never in ():
            yield never
