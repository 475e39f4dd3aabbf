"""The same resources given to a real Envoy and to Mooring, and the same traffic to both: what differs is an error here.

    pair = Pair(lab); pair.serve(cases)
    pair.counts(case, 300)     # {"envoy": {who answered or how it ended: times}, "mooring": {...}}
"""
import collections
import dataclasses
import json
import math
import time

import harness
import resources
import test_mesh
import traffic

SERVERS = "servers.ip"  # in a case: their host's address
LIVE, DEAD = range(9001, 9013), range(9101, 9105)  # ports of the servers' host; nobody listens on the dead ones
FIRST_PORT = 20001  # of the cases' listeners
SETTLE_SECONDS = 120.0


@dataclasses.dataclass
class Case:
    name: str
    features: tuple  # what it exercises, for the table of coverage
    endpoints: list  # of resources.endpoints(): localities
    cluster: dict = dataclasses.field(default_factory=dict)
    tcp: dict = dataclasses.field(default_factory=dict)
    overprovisioning: int = None
    connections: int = 160
    port: int = 0

    def __str__(self):
        return self.name

    def resources(self, servers):
        name = f"case_{self.name}"
        assignment = resources.endpoints(name, self.endpoints)
        if self.overprovisioning:
            assignment["policy"] = {"overprovisioning_factor": self.overprovisioning}
        # Envoy merges what changes in health within a second, if it is not told otherwise; Mooring applies it at once.
        common = {"update_merge_window": "0s", **self.cluster.get("common_lb_config", {})}
        return [resources.outbound(name, "127.0.0.1", self.port, **{"max_connect_attempts": 1, **self.tcp}),
                resources.eds_cluster(name, has_tls=False, **{**self.cluster, "common_lb_config": common}),
                json.loads(json.dumps(assignment).replace(SERVERS, servers))]


def locality(ports, priority=0, weight=None, zone=None, weights=None, health=None):
    """Of `ports`; `weights` and `health` are theirs, in order, and may be shorter."""
    weights, health = list(weights or []), list(health or [])
    found = {"locality": {"zone": zone or f"zone-{priority}"}, "lb_endpoints": [
        resources.endpoint(SERVERS, port, weights[i] if i < len(weights) else 1, None, health[i] if i < len(health) else None)
        for i, port in enumerate(ports)]}
    if priority:
        found["priority"] = priority
    if weight:
        found["load_balancing_weight"] = weight
    return found


def answer(port):
    """Says who it is, and waits for the caller's end."""
    def handler(connection):
        connection.sendall(str(port).encode())
        traffic.swallow(connection)
    return handler


def answer_asked(port):
    """Says who it is once it was asked: no byte reaches a caller whose own have not been let through."""
    def handler(connection):
        if connection.recv(1 << 16):
            answer(port)(connection)
    return handler


class Pair:
    def __init__(self, lab, handler=answer):
        self.mesh = test_mesh.Mesh(lab)
        self.hosts = {"envoy": self.mesh.web, "mooring": self.mesh.db}
        self.plane = self.mesh.plane
        self.servers = lab.host("servers")
        self.running = {port: self.servers.server(port, handler(port)) for port in LIVE}

    def serve(self, cases, also=lambda host: []):
        """`also(host)`: resources that a host has beside its cases'."""
        wanted = []
        for number, case in enumerate(cases):
            case.port = FIRST_PORT + number
            wanted += case.resources(self.servers.ip)
        for host in self.hosts.values():
            self.plane.set(f"default.{host.name}", [*also(host), *wanted])
        self.mesh.start(self.hosts["envoy"])
        self.mesh.join(self.hosts["mooring"])
        self._one_worker(self.hosts["mooring"])
        self.hosts["mooring"].start_agent()
        self.settle()

    @staticmethod
    def _one_worker(host):
        """As Envoy has here: each worker goes round by itself."""
        file = host.path("/etc/mooring/agent.toml")
        file.write_text(file.read_text().replace(f"workers = {harness.WORKERS}", "workers = 1"))

    def update(self, *changed):
        for host in self.hosts.values():
            self.plane.update(f"default.{host.name}", *changed)
        self.settle()

    def settle(self):
        for host in self.hosts.values():
            self.plane.wait_settled(f"default.{host.name}", SETTLE_SECONDS)
        nacks = self.plane.log("nack")
        assert nacks == [], nacks

    # -- traffic

    def open(self, who, case):
        """(connection, the port that answered) or (None, how it ended)."""
        try:
            connection = self.hosts[who].connect("127.0.0.1", case.port, timeout=30)
        except ConnectionRefusedError:
            return None, "not listening"
        except ConnectionResetError:  # before connect() returned
            return None, "refused"
        try:
            received = connection.recv(16)
        except ConnectionResetError:
            received = b""
        if received:
            return connection, int(received)
        connection.close()
        return None, "refused"

    def call(self, who, case):
        connection, answered = self.open(who, case)
        if connection is not None:
            connection.close()
        return answered

    def calls(self, who, case, times, pause=0.0):
        """`pause` in seconds after one that is refused: an ejection comes from another thread."""
        answers = collections.Counter()
        for _ in range(times):
            answered = self.call(who, case)
            answers[answered] += 1
            if answered == "refused":
                time.sleep(pause)
        return answers

    def counts(self, case, times=None, pause=0.0):
        return {who: self.calls(who, case, times or case.connections, pause) for who in self.hosts}


# ---- are two samples of the same distribution?


def quantile(freedom, z):
    """Of the chi-square distribution, by Wilson and Hilferty; `z` is the normal distribution's."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + z * math.sqrt(part)) ** 3


def chi_square(one, other):
    """The statistic and its bound: exceeded once in a million where both are of the same distribution."""
    keys = sorted(set(one) | set(other), key=str)
    if len(keys) < 2:
        return 0.0, 1.0
    n, m = sum(one.values()), sum(other.values())
    statistic = sum((math.sqrt(m / n) * one[key] - math.sqrt(n / m) * other[key]) ** 2 / (one[key] + other[key]) for key in keys)
    return statistic, quantile(len(keys) - 1, 4.75)


def assert_alike(counts):
    statistic, bound = chi_square(counts["envoy"], counts["mooring"])
    assert statistic < bound, f"chi-square {statistic:.1f}, at most {bound:.1f}: {show(counts)}"


def show(counts):
    return "; ".join(f"{who}: " + ", ".join(f"{key}: {counter[key]}" for key in sorted(counter, key=str)) for who, counter in counts.items())


def table(cases):
    """Features × number of cases that exercise them."""
    features = collections.Counter(feature for case in cases for feature in case.features)
    width = max(map(len, features))
    return "\n".join([f"{'feature':{width}}  cases", *(f"{name:{width}}  {count:5}" for name, count in sorted(features.items())),
                      f"{'all':{width}}  {len(cases):5}"])
