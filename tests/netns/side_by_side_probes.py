"""Listeners whose answers are yes or no, or who: each case has one, and several probes that must end alike at both proxies.

    pair = ProbedPair(lab); pair.serve(cases)
    pair.outcomes(case)     # {"envoy": [who answered each probe, or how it ended], "mooring": [...]}
"""
import dataclasses
import json
import ssl

import pytest

import resources
import side_by_side
import test_control_plane
import traffic
from side_by_side import LIVE, SERVERS

OWN_PORT = "own port"  # in a case: that of its listener
ANY, ANY6 = "0.0.0.0", "::"
EXTRA_IP6 = "fd77:2::9"  # of each proxy, beside ::1
QUESTION = b"who?\r\n"
TRUST_DOMAIN = test_control_plane.DOMAIN
PROBE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a client does: plain text, or a ClientHello alone, or (with an identity) mutual TLS."""
    to: str = "127.0.0.1"
    source: str = ""
    is_tls: bool = False
    sni: str = None
    alpn: tuple = ()
    identity: str = None

    def __str__(self):
        said = [f"to {self.to}"] + [f"from {self.source}"] * bool(self.source)
        said += ["TLS"] * self.is_tls + [f"SNI {self.sni}"] * bool(self.sni) + [f"ALPN {','.join(self.alpn)}"] * bool(self.alpn)
        return " ".join(said + [f"as {self.identity}"] * bool(self.identity))


def plain(**more):
    return Probe(**more)


def tls(sni=None, *alpn, **more):
    return Probe(is_tls=True, sni=sni, alpn=alpn, **more)


@dataclasses.dataclass
class Case:
    name: str
    features: tuple  # what it exercises, for the table of coverage
    chains: list
    probes: list
    ip: str = ANY
    inspects: bool = True  # has the TLS inspector
    clusters: list = dataclasses.field(default_factory=list)
    difference: str = ""  # why Mooring's outcomes are not Envoy's; then they must differ
    port: int = 0

    def __str__(self):
        return self.name

    def resources(self, servers):
        more = {"listener_filters": [resources.TLS_INSPECTOR]} if self.inspects else {}
        made = resources.listener(f"case_{self.name}", resources.address(self.ip, self.port), self.chains, traffic_direction="INBOUND", **more)
        text = json.dumps([made, *self.clusters]).replace(f'"{OWN_PORT}"', str(self.port)).replace(SERVERS, servers)
        return json.loads(text)


def target(port):
    """The filter of a chain that leads to that server, so that the answer tells which chain it was."""
    return resources.tcp_proxy(f"to_{port}", f"to_{port}")


class ProbedPair(side_by_side.Pair):
    def __init__(self, lab):
        super().__init__(lab, side_by_side.answer_asked)
        lab.has_pages = False  # nobody reads its access logs, and waiting for them takes longer than the probes
        for host in self.hosts.values():
            host.exec("ip", "-6", "address", "add", f"{EXTRA_IP6}/128", "dev", "lo", "nodad")
        self.contexts = {}

    def serve(self, cases, also=lambda host: []):
        def common(host):
            ca = self.mesh.ca
            return [self.mesh.identities[host.name], resources.trust({TRUST_DOMAIN: ca.pem}), *also(host),
                    *(resources.static_cluster(f"to_{port}", [resources.endpoint(self.servers.ip, port)]) for port in LIVE)]
        super().serve(cases, common)

    def add_identity(self, name, certificate, key):
        """What the probes `as name` show."""
        file = self.servers.folder / f"{name}.pem"
        file.write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        self.contexts[name] = context

    def outcome(self, who, case, probe):
        options = {"source": probe.source} if probe.source else {}
        try:
            with self.hosts[who].connect(probe.to, case.port, timeout=PROBE_SECONDS, **options) as connection:
                if probe.identity:
                    connection = self.contexts[probe.identity].wrap_socket(connection, server_hostname=probe.sni)
                connection.sendall(client_hello(probe.sni, probe.alpn) if probe.is_tls and not probe.identity else QUESTION)
                received = connection.recv(16)
        except ConnectionRefusedError:
            return "not listening"
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return "refused"
        return int(received) if received else "refused"

    def outcomes(self, case):
        return {who: [self.outcome(who, case, probe) for probe in case.probes] for who in self.hosts}

    def assert_alike(self, case):
        """But where the case says why not: there they must differ, or it need not be listed."""
        outcomes = self.outcomes(case)
        assert "not listening" not in outcomes["envoy"] + outcomes["mooring"], outcomes
        differing = [f"{probe}: Envoy {one}, Mooring {other}"
                     for probe, one, other in zip(case.probes, outcomes["envoy"], outcomes["mooring"]) if one != other]
        assert bool(differing) == bool(case.difference), differing or f"no difference any more: {case.difference}"
        return outcomes["envoy"]


def client_hello(sni, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(received, sent, server_hostname=sni).do_handshake()
    return sent.read()


def print_coverage(cases, seen, rejected, varying=()):
    """`seen`: the outcomes of all probes. Not compared is what Mooring rejects by name, and what differs between runs of Envoy."""
    print("\n" + side_by_side.table(cases))
    print(f"{sum(len(case.probes) for case in cases)} probes; outcomes: {len([each for each in seen if each != 'refused'])} served, "
          f"{seen.count('refused')} refused")
    listed = [case for case in cases if case.difference]
    print(f"differences: {len(listed)}", *(f"\n  {case}: {case.difference}" for case in listed), sep="")
    for why, what in (("Mooring rejects it by name", rejected), ("Envoy itself differs from run to run", varying)):
        if what:
            print(f"not compared, as {why}: " + ", ".join(what))


def assert_complete(cases, seen, outcomes):
    """Where all cases have run: all `outcomes` were seen, else the cases tell nothing apart."""
    assert len({case.name for case in cases}) == len(cases)
    if len(seen) == sum(len(case.probes) for case in cases):
        assert outcomes <= set(seen), set(seen)
