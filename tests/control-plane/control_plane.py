"""A test control plane on a host of the lab, for tests.

    plane = ControlPlane(lab.host("cp"))
    plane.set("default.web", [resources.eds_cluster(...), ...])
    plane.wait_settled("default.web")          # it has all that, and has agreed
    plane.behave(delay=0.5, nonce="stale")     # discovery.py, DEFAULTS, says what there is
    plane.freeze(); plane.thaw(); plane.reset(after_bytes=500); plane.stop(); plane.start()

The server is a process of its own (server.py): nothing of gRPC comes into the tests.
"""
import contextlib
import json
import os
import pathlib
import socket
import subprocess

from identities import Ca, Tokens
from traffic import wait_until

FOLDER = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"


def libraries():
    """Where the control-plane group of packaging/dependencies.sh puts gRPC and the xDS messages."""
    command = [FOLDER.parents[1] / "packaging/dependencies.sh", "--control-plane-path"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


class ControlPlane:
    def __init__(self, host, port=5678, meshes=("default",), **config):
        self.host, self.port = host, port
        self.ca, self.tokens = Ca(), Tokens()
        self._folder = host.folder / "control-plane"
        self._folder.mkdir()
        certificate, key = self.ca.server([host.ip, host.ip6])
        (self._folder / "server.pem").write_text(certificate)
        (self._folder / "server.key").write_text(key)
        self._config = {"addresses": [host.ip, host.ip6], "port": port, "certificate": certificate, "meshes": list(meshes),
                        "public_key": self.tokens.public_key, **config}
        self._wanted, self._behaviour = {}, {}  # to be the same after a restart
        self.process = None
        self.start()

    @property
    def url(self):
        return f"https://{self.host.ip}:{self.port}"

    # -- the process

    def start(self):
        config = self._folder / "config.json"
        config.write_text(json.dumps(self._config))
        (self._folder / "control.sock").unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": libraries(), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = self.host.spawn("control-plane", PYTHON, FOLDER / "server.py", config, env=environment)
        self.host.apps["control-plane"] = self.process
        wait_until(lambda: self.process.exit_code is not None or self._is_listening(), "control plane serves")
        assert self.process.exit_code is None, f"control plane ended:\n{self.process.log()[-3000:]}"
        if self._behaviour:
            self._call("behave", **self._behaviour)
        for node, wanted in self._wanted.items():
            self._call("set", node, list(wanted.values()))

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.stop()

    def _is_listening(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            return control.connect_ex(str(self._folder / "control.sock")) == 0

    def _call(self, command, *args, **named):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            control.settimeout(60)
            control.connect(str(self._folder / "control.sock"))
            control.sendall(json.dumps({"do": command, "args": args, **named}).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        assert "error" not in answer, f"control plane: {command}: {answer['error']}"
        return answer["result"]

    # -- what it serves

    @staticmethod
    def _key(resource):
        return resource["@type"], resource.get("cluster_name") or resource["name"]

    def set(self, node, resources):
        """Exactly these; a node for which nothing was set gets no answer."""
        self._call("set", node, resources)
        self._wanted[node] = {self._key(each): each for each in resources}

    def update(self, node, *resources):
        self._call("update", node, resources)
        self._wanted.setdefault(node, {}).update({self._key(each): each for each in resources})

    def remove(self, node, kind, *names):
        """`kind`: cds, eds, sds or lds."""
        self._call("remove", node, kind, names)
        ends = {"cds": ".Cluster", "eds": ".ClusterLoadAssignment", "sds": ".Secret", "lds": ".Listener"}[kind]
        self._wanted[node] = {key: each for key, each in self._wanted[node].items() if not (key[0].endswith(ends) and key[1] in names)}

    def add_dataplane(self, node, dataplane):
        """As if made by an administrator before its proxy comes."""
        self._call("dataplane", node, dataplane)

    # -- how it misbehaves

    def behave(self, **changes):
        self._call("behave", **changes)
        self._behaviour.update(changes)

    def send(self, node, response):
        """A DeltaDiscoveryResponse as proto-JSON, whatever it says; a resource may be {"@type": ..., "raw": base64}."""
        self._call("send", node, response)

    def end(self, node, code="UNAVAILABLE", text="going away"):
        self._call("end", node, code, text)

    def reset(self, after_bytes=0):
        self._call("reset", after_bytes)

    def freeze(self):
        self._call("freeze", True)

    def thaw(self):
        self._call("freeze", False)

    # -- what it has seen

    def status(self):
        return self._call("status")

    def log(self, event=None, node=None, since=0):
        return [each for each in self._call("log", since) if event in (None, each["event"]) and node in (None, each["node"])]

    def mark(self):
        """For `since`: what comes from now on."""
        return max((each["number"] for each in self.log()), default=-1) + 1

    def stream(self, node):
        return next((each for each in self.status()["streams"] if each["node"] == node), None)

    def wait_for(self, event, node=None, since=0, timeout=60.0, **fields):
        def find():
            return [each for each in self.log(event, node, since) if all(each.get(key) == value for key, value in fields.items())]
        try:
            return wait_until(find, f"control plane has seen {event} {node or ''} {fields}", timeout, interval=0.05)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}; it has seen:\n" + "\n".join(map(str, self.log(since=since)[-8:]))) from None

    def wait_settled(self, node, timeout=60.0):
        try:
            wait_until(lambda: (self.stream(node) or {}).get("settled"), f"{node} has agreed to all", timeout, interval=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; stream: {self.stream(node)}; it has seen:\n" + "\n".join(map(str, self.log()[-8:]))) from None
