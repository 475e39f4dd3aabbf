"""Hosts made of network namespaces, each with its own agent and helper, on one switch.

    with Lab() as lab:
        web, db = lab.host("web"), lab.host("db")
        db.configure(service("db", 5432, allow=[web.id]))
        web.configure(upstream("db", db, [5432]))
        for host in (web, db):
            host.start()

What a host runs sees its own /etc, /run and host name (tests/support/hosts.sh), so the programs use their default paths.
"""
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import pytest

import traffic
from traffic import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests/support"
BINARIES = pathlib.Path(os.environ.get("MOORING_BIN", ROOT / "build/release/bin"))
TRUST_DOMAIN = "shop.test"
ALLOW_ANY_CAPTURE = """\
[inbound]
ports = ["1-65535"]
[outbound]
addresses = ["10.77.0.0/16", "fd77:1::/64"]
ports = ["1-65535"]
refuse_other = true
"""
AGENT_UID, HELPER_UID = 64101, 64102  # as in hosts.sh; nobody else's
WORKERS = 2  # of every agent
IDLE_SECONDS = float(os.environ.get("MOORING_IDLE_SECONDS", "300"))
SLOW = os.environ.get("MOORING_SLOW") == "1"


def run(*command, check=True, timeout=120, **options):
    options.setdefault("text", True)
    result = subprocess.run([str(part) for part in command], capture_output=True, timeout=timeout, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def leave_out(reason):
    if os.environ.get("MOORING_REQUIRE_ALL") == "1":
        pytest.fail(f"needed here: {reason}", pytrace=False)
    pytest.skip(reason)


# ---- configuration text


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(str(value))


def section(header, **values):
    """[header] or [[header]] and its keys; None leaves a key out."""
    lines = [f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join([header, *lines]) + "\n\n"


def service(name, port, allow=None, **more):
    return section("[[service]]", name=name, port=port, allow=allow, **more)


def upstream(name, hosts, ports, **more):
    """What is called on `hosts`: their addresses of both families, expecting their identities."""
    hosts = hosts if isinstance(hosts, (list, tuple)) else [hosts]
    more.setdefault("addresses", [address for host in hosts for address in (host.ip, host.ip6)])
    more.setdefault("spiffe_ids", [host.id for host in hosts])
    return section("[[upstream]]", name=name, ports=ports, **more)


# ---- identities


class Pki:
    """A folder of certificates; each call of `ca` or `svid` makes NAME.pem and NAME.key."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca("ca", id=f"spiffe://{TRUST_DOMAIN}")

    def _make(self, kind, name, options):
        arguments = []
        for key, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                arguments += ["--" + key.replace("_", "-")] + ([] if item is True else [item])
        run(SUPPORT / "pki.sh", kind, self.folder, name, *arguments)
        return name

    def ca(self, name, **options):
        return self._make("ca", name, options)

    def svid(self, name, id=None, ca="ca", **options):
        return self._make("svid", name, {"id": id or f"spiffe://{TRUST_DOMAIN}/{name}", "ca": ca, **options})

    def path(self, file):
        return self.folder / file

    def read(self, file):
        return self.path(file).read_text()


# ---- processes


class Process:
    """A child with its output in a file. Its pid is the program's own: nothing stands between."""

    def __init__(self, command, log, **options):
        self.command = [str(part) for part in command]
        self.log_file = pathlib.Path(log)
        self._log = open(log, "ab")
        options.setdefault("stdout", self._log)
        self._child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=self._log, **options)

    @property
    def pid(self):
        return self._child.pid

    @property
    def exit_code(self):
        return self._child.poll()

    def log(self):
        return self.log_file.read_text(errors="replace")

    def signal(self, number):
        if self._child.poll() is None:
            self._child.send_signal(number)

    def wait(self, timeout=60.0):
        return self._child.wait(timeout)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self, timeout=60.0):
        """An orderly end; a program that does not end is killed, and that is an error."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command} did not end within {timeout} s of SIGTERM\n{self.log()[-2000:]}") from None
        finally:
            self._log.close()

    def rss_kib(self, field="Pss"):
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


# ---- hosts


class Host:
    def __init__(self, lab, name, number, identity=True, entries=()):
        self.lab, self.name, self.number = lab, name, number
        self.namespace = f"{lab.tag}{name}"
        self.ip, self.ip6 = f"10.77.1.{number}", f"fd77:1::{number}"
        self.id = f"spiffe://{TRUST_DOMAIN}/{name}"
        self.folder = lab.folder / name
        self.folder.mkdir(mode=0o755)
        self.logs = self.folder / "log"
        self.logs.mkdir()
        os.chown(self.logs, AGENT_UID, AGENT_UID)
        self.agent = self.helper = None
        self._is_captured = False
        self._lines_before = 0
        self.apps = {}
        run(SUPPORT / "hosts.sh", "join", lab.switch, self.namespace, number)
        self._bring_up(entries)
        if identity:
            lab.pki.svid(name)
            self.install_identity(name)

    def _bring_up(self, entries):
        self._holder = subprocess.Popen([SUPPORT / "hosts.sh", "hold", self.namespace, *entries], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "ready\n", f"host {self.name} did not come up"
        self.enter = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--uts", "--root", "--wdns=/", "--"]
        self.allow_capture(ALLOW_ANY_CAPTURE)

    def path(self, inside):
        """A file of this host as this process can open it."""
        return pathlib.Path(f"/proc/{self._holder.pid}/root{inside}")

    # -- commands

    def _as(self, user, command):
        if user is None:
            return [*self.enter, *command]
        return [*self.enter, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "--", *command]

    def exec(self, *command, user=None, **options):
        return run(*self._as(user, command), **options)

    def spawn(self, name, *command, user=None, **options):
        return Process(self._as(user, command), self.folder / f"{name}.log", **options)

    def nft(self, text):
        self.exec("nft", "-f", "-", input=text)

    def mooring(self, *arguments, **options):
        return self.exec(self.lab.program("mooring"), *arguments, **options)

    # -- identity and configuration

    def install_identity(self, name, bundle="ca"):
        """The SVID and key NAME and the anchors BUNDLE of the lab's PKI, each file replaced by a rename."""
        pki = self.lab.pki
        self.write_identity(svid=pki.read(f"{name}.pem"), key=pki.read(f"{name}.key"), bundle=pki.read(f"{bundle}.pem"))

    def write_identity(self, **files):
        for kind, text in files.items():
            target = self.path(f"/etc/mooring/identity/{kind}.pem")
            fresh = target.with_suffix(".new")
            fresh.write_text(text)
            os.chown(fresh, AGENT_UID, AGENT_UID)
            fresh.chmod(0o600)
            fresh.rename(target)

    def configure(self, *sections, has_identity=True, captures=True, **tables):
        """Writes agent.toml: the usual head, the given sections, and TABLE={key: value} for single tables."""
        head = {
            "host": {"name": self.name, "trust_domain": TRUST_DOMAIN},
            "limits": {"workers": WORKERS},
            "access_log": {"file": str(self.logs / "access.log")},
            "capture": {"enabled": captures},
        }
        if has_identity:
            folder = "/etc/mooring/identity"
            head["identity"] = {"svid": f"{folder}/svid.pem", "key": f"{folder}/key.pem", "bundle": f"{folder}/bundle.pem"}
        for table, values in tables.items():
            head.setdefault(table, {}).update(values)
        text = "".join(section(f"[{table}]", **values) for table, values in head.items()) + "".join(sections)
        self._is_captured = head["capture"]["enabled"] and bool(sections)
        self.write_config(text)

    def write_config(self, text, file="agent.toml"):
        self.path(f"/etc/mooring/{file}").write_text(text)

    def allow_capture(self, text):
        self.path("/etc/mooring/capture.toml").write_text(text)

    # -- the two daemons

    def start_helper(self, *arguments, wait=True):
        capability = "--inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin --bounding-set=-all,+net_admin".split()
        command = [*self.enter, "setpriv", f"--reuid={HELPER_UID}", f"--regid={HELPER_UID}", f"--groups={AGENT_UID}", *capability,
                   "--no-new-privs", "--", self.lab.program("mooring-net"), f"--agent-uid={AGENT_UID}", *arguments]
        self.helper = Process(command, self.folder / "helper.log")
        if wait:
            wait_until(lambda: self.helper.exit_code is not None or self.path("/run/mooring/net.sock").exists(), "helper's socket")
            assert self.helper.exit_code is None, f"helper ended:\n{self.helper.log()}"
        return self.helper

    def start_agent(self, *arguments, wait=True, prefix=()):
        command = [*prefix, self.lab.program("mooringd"), "--config", "/etc/mooring/agent.toml", *arguments]
        self.agent = Process(self._as(AGENT_UID, command), self.folder / "agent.log")
        if wait:
            wait_until(lambda: self.agent.exit_code is not None or self.ready(), f"{self.name}'s agent ready")
            assert self.agent.exit_code is None, f"agent of {self.name} ended:\n{self.agent.log()[-3000:]}"
            if self._is_captured and self.helper is not None and self.helper.exit_code is None:
                wait_until(lambda: self.metric("mooring_capture_active") == 1, f"{self.name}: capture is active")
        return self.agent

    def start(self):
        self.start_helper()
        self.start_agent()

    def admin(self, path, method="GET"):
        result = self.exec("curl", "-s", "-m", "30", "-X", method, "--unix-socket", "/run/mooring/admin.sock",
                           "-w", "\n%{http_code}", f"http://mooring{path}", check=False)
        body, _, status = result.stdout.rpartition("\n")
        return int(status or 0), body

    def ready(self):
        return self.admin("/ready")[0] == 200

    def reload(self):
        self.agent.signal(signal.SIGHUP)

    def reload_and_wait(self, succeeds=True):
        """Returns when the agent has counted the reload as done, or as failed."""
        result = "accepted" if succeeds else "rejected"
        before = self.metric("mooring_config_reloads_total", result=result)
        self.reload()
        wait_until(lambda: self.metric("mooring_config_reloads_total", result=result) > before, f"{self.name}: reload {result}")
        if succeeds and self._is_captured:
            wait_until(lambda: self.metric("mooring_capture_active") == 1, f"{self.name}: capture is active")

    # -- what they say

    def _access_lines(self):
        """Whole ones: the last may be read while it is written."""
        try:
            return (self.logs / "access.log").read_text().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def access_log(self):
        """The lines of the present test."""
        return [json.loads(line) for line in self._access_lines()[self._lines_before :]]

    def turn_page(self):
        """Lines come up to 100 ms after a connection's end: those of the test before belong to it."""
        if self.agent is not None and self.agent.exit_code is None:
            with contextlib.suppress(AssertionError):  # an agent that cannot be asked will not write either
                wait_until(self._is_quiet, f"{self.name}: connections of the test before have ended", timeout=5, interval=0.05)
        self._lines_before = len(self._access_lines())

    def _is_quiet(self):
        samples = self.metrics()
        total = {name: sum(value for sample, value in samples.items() if sample.partition("{")[0] == name)
                 for name in ("mooring_connections_active", "mooring_connections_closed_total", "mooring_access_log_written_total")}
        return total["mooring_connections_active"] == 0 and total["mooring_access_log_written_total"] >= total["mooring_connections_closed_total"]

    def wait_for_access(self, timeout=60.0, **fields):
        """The newest line of the access log in which all `fields` have these values; None: which lack that field."""
        def find():
            return [line for line in self.access_log() if all(line.get(key) == value for key, value in fields.items())]
        try:
            return wait_until(find, f"{self.name}: access-log line with {fields}", timeout)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}; there are:\n" + "\n".join(map(str, self.access_log()[-5:]))) from None

    def metrics(self):
        """{'name{label="value"}': number} of this agent."""
        status, body = self.admin("/stats/prometheus")
        assert status == 200, f"/stats/prometheus answered {status}"
        samples = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum over all samples of NAME whose labels include the given ones."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for sample, value in self.metrics().items()
                   if sample.partition("{")[0] == name and all(label in sample for label in wanted))

    # -- sockets and applications on this host

    def connect(self, address, port, **options):
        return traffic.connect(self.namespace, address, port, **options)

    def outcome(self, address, port, **options):
        return traffic.outcome(self.namespace, address, port, **options)

    def server(self, port, handler=traffic.echo, **options):
        return traffic.Server(self.namespace, port, handler, **options)

    def start_app(self, kind, port, timeout=150.0):
        app = self.spawn(kind, SUPPORT / "apps.sh", kind, self.folder / f"app-{kind}")
        self.apps[kind] = app
        wait_until(lambda: app.exit_code is not None or self.listens(port), f"{kind} on port {port}", timeout, interval=0.1)
        assert app.exit_code is None, f"{kind} ended:\n{app.log()[-3000:]}"
        return app

    def listens(self, port):
        return bool(self.exec("ss", "-Hltn", f"sport = :{port}").stdout.strip())

    def close(self):
        for process in [self.agent, self.helper, *self.apps.values()]:
            if process is not None:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGKILL)
        self._holder.kill()
        for process in [self.agent, self.helper, *self.apps.values()]:
            if process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
        self._holder.wait()


class Capture:
    """What went over the switch between two ports, as tcpdump saw it."""

    def __init__(self, lab, expression):
        self.lab = lab
        self.file = lab.folder / f"capture-{time.monotonic_ns()}.pcap"
        command = ["ip", "netns", "exec", lab.switch, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-s", "0", "-i", "br0", "-w", self.file, *expression]
        self._process = Process(command, self.file.with_suffix(".log"))
        wait_until(lambda: "listening on" in self._process.log(), "tcpdump listens")

    def stop(self):
        """All that went before: a call to the discard port, seen by tcpdump, comes after it in its file."""
        source, target = list(self.lab.hosts.values())[:2]
        with traffic.make_socket(source.namespace, target.ip) as marker:
            marker.bind(("", 0))
            ports = struct.pack("!HH", marker.getsockname()[1], 9)
            marker.settimeout(30)
            with contextlib.suppress(OSError):
                marker.connect((target.ip, 9))
        wait_until(lambda: ports in self.file.read_bytes(), "tcpdump has seen everything")
        self._process.signal(signal.SIGINT)
        self._process.wait()
        return self.file.read_bytes()


class Lab:
    host_type = Host
    _count = itertools.count()
    open_labs = []

    def __init__(self):
        self.tag = f"mt{os.getpid()}n{next(Lab._count)}"
        self.switch = f"{self.tag}sw"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mooring-e2e.", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.hosts = {}
        self.has_pages = True  # its access logs are told apart by test
        try:
            self.pki = Pki(self.folder / "pki")
            self._install_programs()
            run(SUPPORT / "hosts.sh", "switch", self.switch)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)  # hundreds of megabytes for each test
            raise
        Lab.open_labs.append(self)

    def _install_programs(self):
        """Copies: the checkout may lie where the agent's user cannot go."""
        folder = self.folder / "bin"
        folder.mkdir()
        for name in ("mooringd", "mooring", "mooring-net"):
            if (BINARIES / name).exists():
                shutil.copy(BINARIES / name, folder / name)

    def program(self, name):
        return self.folder / "bin" / name

    def host(self, name, **options):
        host = self.host_type(self, name, len(self.hosts) + 1, **options)
        self.hosts[name] = host
        return host

    def sniff(self, *expression):
        return Capture(self, expression)

    def close(self):
        Lab.open_labs.remove(self)
        for host in self.hosts.values():
            host.close()
        run(SUPPORT / "hosts.sh", "remove", self.switch, *(host.namespace for host in self.hosts.values()))
        if os.environ.get("MOORING_KEEP_LOGS") != "1":
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Pair:
    """The smallest mesh: `web` calls the service `echo` at db:7000. Nothing listens at db:7001, which is a service too."""

    PORT, UNUSED_PORT = 7000, 7001

    def __init__(self, lab, start=True, **tables):
        self.lab = lab
        self.web, self.db = lab.host("web"), lab.host("db")
        self.tables = tables
        self.configure_web()
        self.configure_db()
        if start:
            self.db.start()
            self.web.start()

    def configure_web(self, **more):
        self.web.configure(upstream("db", self.db, [self.PORT, self.UNUSED_PORT], **more), **self.tables)

    def configure_db(self, **rules):
        rules.setdefault("allow", [self.web.id])
        self.db.configure(service("echo", self.PORT, **rules), service("unused", self.UNUSED_PORT, **rules), **self.tables)

    def server(self, handler=traffic.echo, **options):
        return self.db.server(self.PORT, handler, **options)

    def connect(self, family=4, **options):
        return self.web.connect(self.db.ip if family == 4 else self.db.ip6, self.PORT, **options)

    def outcome(self, family=4, **options):
        return self.web.outcome(self.db.ip if family == 4 else self.db.ip6, self.PORT, **options)


class IdleConnection:
    """A connection that has carried a few bytes and then nothing."""

    def __init__(self):
        self.lab = Lab()
        try:
            pair = Pair(self.lab)
            self.server = pair.server()
            self.client = pair.connect()
            self.client.sendall(b"before")
            traffic.receive_exactly(self.client, 6)
        except BaseException:
            self.lab.close()
            raise
        self.lab.has_pages = False  # its connection is open as long as the tests run
        self._since = time.monotonic()

    def wait(self):
        time.sleep(max(0.0, IDLE_SECONDS - (time.monotonic() - self._since)))

    def close(self):
        self.client.close()
        self.server.stop()
        self.lab.close()
