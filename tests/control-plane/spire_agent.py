#!/usr/bin/python3
"""The SDS that a SPIRE agent serves, state of the world on a unix socket: spire_agent.py SOCKET CONTENT.json LOG.

CONTENT is read again whenever it is another file: {"secrets": [Secret as proto-JSON, or {"name", "raw"}], "withdrawn": [names]}. A
name that is in neither ends the stream, as SPIRE does; one that is withdrawn is answered without it. LOG gets a JSON line for each
request. Prints 1, then, when it serves, "serving". As of SPIRE: bundles are for who says that it is Envoy 1.18 or newer, and says so
in each request; an answer to another response than the last one is not read."""
import asyncio
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, subprocess.run([HERE.parents[1] / "packaging/dependencies.sh", "--control-plane-path"],
                                  capture_output=True, text=True).stdout.strip())
try:
    import grpc
    from envoy.service.discovery.v3 import discovery_pb2
except ImportError:
    sys.exit("0: the control-plane group of packaging/dependencies.sh is not there")

import resources
from discovery import pack

UPDATE = object()


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Agent:
    def __init__(self, content, log):
        self._file, self._log = pathlib.Path(content), open(log, "a", buffering=1)
        self._seen, self._version, self.queues = None, 0, set()
        self.load()

    def load(self):
        found = self._file.stat()
        if self._seen == (found.st_ino, found.st_mtime_ns):
            return
        self._seen = (found.st_ino, found.st_mtime_ns)
        content = json.loads(self._file.read_text())
        self._secrets = {each["name"]: pack({"@type": resources.SECRET, **each}) for each in content.get("secrets", [])}
        self._withdrawn = set(content.get("withdrawn", []))
        self._version += 1
        for queue in self.queues:
            queue.put_nowait(UPDATE)

    async def watch(self):
        while True:
            await asyncio.sleep(0.02)
            self.load()

    def record(self, event, request):
        entry = {"event": event, "names": list(request.resource_names), "version": request.version_info, "nonce": request.response_nonce,
                 "node": request.node.id, "text": request.error_detail.message}
        self._log.write(json.dumps(entry) + "\n")

    def _answer(self, request, nonce):
        unknown = sorted(set(request.resource_names) - set(self._secrets) - self._withdrawn)
        if unknown:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"workload is not authorized for the requested identities {json.dumps(unknown)}")
        version = request.node.user_agent_build_version.version
        if "ALL" in request.resource_names and (version.major_number, version.minor_number) < (1, 18):
            raise Refused(grpc.StatusCode.INTERNAL, 'unable to use "SPIFFE validator" on Envoy below 1.17')
        found = [self._secrets[name] for name in request.resource_names if name in self._secrets]
        return discovery_pb2.DiscoveryResponse(type_url=request.type_url, version_info=str(self._version), nonce=nonce, resources=found)

    async def _read(self, requests, queue):
        async for request in requests:
            queue.put_nowait(request)
        queue.put_nowait(None)

    async def secrets(self, requests, context):
        queue, last, nonce, count = asyncio.Queue(), None, "", 0
        self.queues.add(queue)
        reader = asyncio.create_task(self._read(requests, queue))
        try:
            while (request := await queue.get()) is not None:
                if request is not UPDATE:
                    is_answer = bool(request.response_nonce)
                    self.record("nack" if request.HasField("error_detail") else "ack" if is_answer else "request", request)
                    if nonce and request.response_nonce != nonce:
                        continue
                    is_new = last is None or set(last.resource_names) != set(request.resource_names)
                    last = request
                    if not is_new:
                        continue
                if last is not None:
                    count += 1
                    nonce = f"n{count}"
                    yield self._answer(last, nonce)
        except Refused as error:
            await context.abort(error.code, str(error))
        finally:
            reader.cancel()
            self.queues.remove(queue)


async def main():
    path, content, log = sys.argv[1:4]
    agent = Agent(content, log)
    pathlib.Path(path).unlink(missing_ok=True)
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(agent.secrets, discovery_pb2.DiscoveryRequest.FromString,
                                                    discovery_pb2.DiscoveryResponse.SerializeToString)
    server.add_generic_rpc_handlers([
        grpc.method_handlers_generic_handler("envoy.service.secret.v3.SecretDiscoveryService", {"StreamSecrets": handler})])
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    os.chmod(path, 0o777)
    print("1\nserving", flush=True)
    await agent.watch()


asyncio.run(main())
