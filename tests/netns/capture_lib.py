"""A host with mooring-net and the stand-in agent, for the tests of capture: no TLS, no mooringd."""
import json
import pathlib
import shutil

import capture_protocol as protocol
import harness
import traffic
from capture_protocol import CLOSED, OPEN
from traffic import wait_until

HERE = pathlib.Path(__file__).resolve().parent
OUT_OPEN, OUT_CLOSED, IN_OPEN, IN_CLOSED, OTHER = 7001, 7002, 8001, 8002, 9000
ALLOW_ALL = """
[inbound]
ports = ["1-65535"]
[outbound]
addresses = ["0.0.0.0/0", "::/0"]
ports = ["1-65535"]
refuse_other = true
"""


class Site:
    """`host` is captured: calls to peer's 7001 and 7002 outbound, its own 8001 and 8002 inbound; 7001 and 8001 open
    when the agent is gone. Applications echo on all of these ports, on both hosts."""

    def __init__(self, lab, *arguments):
        """`arguments` are mooring-net's."""
        self.lab, self.arguments = lab, arguments
        self.host, self.peer = lab.host("host", identity=False), lab.host("peer", identity=False)
        self.host.allow_capture(ALLOW_ALL)
        for file in ("capture_protocol.py", "fake_agent.py"):
            shutil.copy(HERE / file, lab.folder / file)
        ports = (OUT_OPEN, OUT_CLOSED, OTHER, IN_OPEN, IN_CLOSED)
        self.apps = [place.server(port) for place in (self.host, self.peer) for port in ports]
        self.agent = None

    def config(self, **changes):
        wanted = {"outbound": [(f"{address}/{bits}", port, fate) for address, bits in ((self.peer.ip, 32), (self.peer.ip6, 128))
                               for port, fate in ((OUT_OPEN, OPEN), (OUT_CLOSED, CLOSED))],
                  "inbound": [(IN_OPEN, OPEN), (IN_CLOSED, CLOSED)]}
        wanted.update(changes)
        return protocol.config(**wanted)

    # -- processes

    def start_helper(self):
        """As the harness does; iptables-legacy opens a raw socket, which is a second capability."""
        self.host.path("/run/mooring/net.sock").unlink(missing_ok=True)
        if "iptables-legacy" not in self.arguments:
            return self.host.start_helper(*self.arguments)
        kept = "-all,+net_admin,+net_raw"
        self.host.helper = harness.Process(
            [*self.host.enter, "setpriv", f"--reuid={harness.HELPER_UID}", f"--regid={harness.HELPER_UID}", "--clear-groups",
             f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}", "--no-new-privs", "--",
             self.lab.program("mooring-net"), f"--agent-uid={harness.AGENT_UID}", *self.arguments], self.host.folder / "helper.log")
        wait_until(lambda: self.host.helper.exit_code is not None or self.host.path("/run/mooring/net.sock").exists(), "helper's socket")
        assert self.host.helper.exit_code is None, self.host.helper.log()
        return self.host.helper

    def start_agent(self, config=None, wait_for="active"):
        config = self.config() if config is None else config
        said_before = self.agent.log().count(wait_for) if self.agent else 0  # one log file for all of them
        self.agent = self.host.spawn("fake_agent", "/usr/bin/python3", self.lab.folder / "fake_agent.py", "/run/mooring/net.sock",
                                     config.hex(), user=harness.AGENT_UID)
        self.host.agent = self.agent  # so that the harness ends it
        self.wait_for_agent(wait_for, times=said_before + 1)
        return self.agent

    def wait_for_agent(self, words, times=1, timeout=60):
        wait_until(lambda: self.agent.log().count(words) >= times or self.agent.exit_code is not None, f"agent says {words}", timeout)
        assert self.agent.exit_code is None, self.agent.log()

    def start(self):
        self.start_helper()
        self.start_agent()
        return self

    def tool(self):
        return protocol.Connection(self.host.path("/run/mooring/net.sock"))

    def status(self):
        connection = self.tool()
        try:
            return connection.status()
        finally:
            connection.close()

    def state(self):
        return self.status()["state"]

    def wait_for_state(self, state, timeout=60):
        wait_until(lambda: self.state() == state, f"state {state}", timeout)

    def wait_for_helper_log(self, words):
        """Its log has a writer of its own: lines come a moment after what they tell."""
        wait_until(lambda: words in self.host.helper.log(), f"helper says {words}")

    # -- who answers

    def call(self, source, target, port, family=4, timeout=20.0):
        """"agent" with what it says it was meant for, "app" if the application answered by itself, or the refusal."""
        address = target.ip if family == 4 else target.ip6
        try:
            with traffic.connect(source.namespace, address, port, timeout) as client:
                client.sendall(b"?\n")
                line = client.makefile().readline().strip()
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return type(error).__name__
        if not line.startswith("agent "):
            return "app" if line == "?" else f"strange: {line}"
        _, direction, meant, meant_port = line.split()
        assert (meant, int(meant_port)) == (address, port), line
        return f"agent {direction}"

    def outbound(self, port, **options):
        return self.call(self.host, self.peer, port, **options)

    def inbound(self, port, **options):
        return self.call(self.peer, self.host, port, **options)

    def picture(self, family=4):
        """What happens to a new connection now, for each of the four kinds of port."""
        return {"out_open": self.outbound(OUT_OPEN, family=family), "out_closed": self.outbound(OUT_CLOSED, family=family),
                "in_open": self.inbound(IN_OPEN, family=family), "in_closed": self.inbound(IN_CLOSED, family=family)}

    # -- rules

    def tables(self):
        listing = json.loads(self.host.exec("nft", "-j", "list", "tables").stdout)
        return sorted({entry["table"]["name"] for entry in listing["nftables"] if "table" in entry})

    def our_tables(self):
        return [name for name in self.tables() if name.startswith("mooring_")]


CAPTURED = {"out_open": "agent out", "out_closed": "agent out", "in_open": "agent in", "in_closed": "agent in"}
GUARDED = {"out_open": "app", "out_closed": "refused", "in_open": "app", "in_closed": "refused"}
NOTHING = dict.fromkeys(CAPTURED, "app")
