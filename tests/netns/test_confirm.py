"""Capture on trial: it stays only if somebody confirms it from a login that began after it; else the host is what it was
before, whoever was killed or stopped in the meantime."""
import signal
import struct
import subprocess
import time

import pytest

import capture_protocol as protocol
import harness
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "helper", "nft")]

ROLLBACK = harness.ROOT / "systemd/rollback"
PLAIN = "the application by itself"  # a strict port resets what is no TLS
CAPTURED = "served"


class Login:
    """A process like sshd's for one connection, with a shell in a session of its own."""

    def __init__(self, host, shell_waits=False):
        wait = "read -r go; " if shell_waits else ""
        self.host = host
        self._process = subprocess.Popen([*host.enter, "sh", "-c", f"{wait}setsid --wait sh; :"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not shell_waits:
            self.run("true")  # its shell is there

    def start_shell(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def run(self, *words):
        """Exit code and output."""
        self._process.stdin.write(f"{' '.join(map(str, words))}; echo rc=$?\n")
        self._process.stdin.flush()
        lines = []
        while not (line := self._process.stdout.readline()).startswith("rc="):
            assert line, "".join(lines)
            lines.append(line)
        return int(line[3:]), "".join(lines)

    def mooring(self, *arguments):
        return self.run(self.host.lab.program("mooring"), *arguments)

    def end(self):
        self._process.kill()
        self._process.communicate()


class Trial:
    """web calls db. web's agent runs and captures nothing; db is served over mutual TLS only."""

    def __init__(self, lab):
        self.pair = harness.Pair(lab, start=False)
        self.pair.tables = {"capture": {"enabled": False}}
        self.pair.configure_web()
        self.pair.db.start()
        self.web = self.pair.web
        self.web.start()
        self.server = self.pair.server()
        self.logins = [Login(self.web)]
        wait_until(self.has_agent, "web's agent is with its helper")

    def connection(self):
        return protocol.Connection(self.web.path("/run/mooring/net.sock"))

    def status(self):
        connection = self.connection()
        try:
            return connection.status()
        finally:
            connection.close()

    def has_agent(self):
        return self.status()["agent_pid"] != 0

    def login(self, **options):
        self.logins.append(Login(self.web, **options))
        return self.logins[-1]

    def begin(self, seconds):
        """As `mooring capture on`, with a shorter time."""
        plan = self.web.mooring("capture", "plan", "--json").stdout
        config = harness.json.loads(plan)
        fates = {"open": protocol.OPEN, "closed": protocol.CLOSED}
        body = protocol.config(outbound=[(one["prefix"], one["port"], fates[one["on_agent_death"]]) for one in config["outbound"]])
        connection = self.connection()
        answer, _ = connection.ask(protocol.TRY_PLAN, body + struct.pack("!H", seconds))
        connection.close()
        assert struct.unpack("!H", answer) == (seconds,)
        assert self.outcome() == CAPTURED

    def outcome(self):
        return self.pair.outcome()

    def is_captured(self):
        return self.outcome() == CAPTURED

    def our_tables(self, *endings):
        names = self.web.exec("nft", "list", "tables").stdout.split()
        return [name for name in names if name.startswith("mooring_") and (not endings or name.endswith(endings))]

    def is_put_back(self):
        return self.our_tables("_a", "_b", "_guard") == [] and not self.is_captured()

    def marks(self):
        return [file.name for file in self.web.path("/run/mooring/net-state").glob("trial")]

    def roll_back(self):
        return self.web.exec("sh", ROLLBACK)

    def close(self):
        for login in self.logins:
            login.end()
        self.server.__exit__(None, None, None)


@pytest.fixture
def trial(fresh_lab):
    trial = Trial(fresh_lab)
    trial.server.__enter__()
    yield trial
    trial.close()


# ---- who may confirm


def test_a_login_of_after_capture_confirms_it(trial):
    code, text = trial.logins[0].mooring("capture", "on")
    assert code == 0, text
    assert "run there within 120 s" in text and "There is no systemd here" in text
    assert trial.is_captured()
    wait_until(lambda: trial.web.metric("mooring_capture_active") == 1, "the agent knows what root has switched on")
    assert "capture is not confirmed: it ends at" in trial.web.mooring("capture", "status").stdout
    code, text = trial.login().mooring("capture", "confirm")
    assert (code, text) == (0, "Capture is confirmed and stays, also after a reboot.\n")
    assert trial.marks() == []
    trial.web.helper.kill()
    trial.web.path("/run/mooring/net.sock").unlink()
    trial.web.start_helper()
    wait_until(trial.is_captured, "captured by the next helper as well")


def test_the_terminal_that_switched_it_on_cannot_confirm_it(trial):
    old = trial.login()
    waiting = trial.login(shell_waits=True)
    assert trial.logins[0].mooring("capture", "on")[0] == 0
    for login in (trial.logins[0], old):
        code, text = login.mooring("capture", "confirm")
        assert code == 1 and "this login began before capture" in text, text
    code, text = trial.logins[0].run("setsid", "--wait", trial.web.lab.program("mooring"), "capture", "confirm")
    assert code == 1 and "began before capture" in text, text
    waiting.start_shell()  # a new channel of an old connection
    code, text = waiting.mooring("capture", "confirm")
    assert code == 1 and "this login came through \"sh\", which began before capture" in text, text
    assert "is not confirmed" in trial.status()["problem"]


def test_nobody_but_root_may_try_or_confirm(trial):
    trial.begin(60)
    result = trial.web.mooring("capture", "confirm", user=harness.AGENT_UID, check=False)
    assert result.returncode != 0 and "not allowed" in result.stderr


def test_without_a_trial_there_is_nothing_to_confirm(trial):
    code, text = trial.login().mooring("capture", "confirm")
    assert code == 1 and "nothing waits for a confirmation" in text


def test_what_was_confirmed_needs_no_second_confirmation(trial):
    assert trial.web.mooring("capture", "on", "--yes").returncode == 0
    code, text = trial.logins[0].mooring("capture", "on")
    assert code == 0 and "confirmed before" in text
    assert trial.marks() == []


def test_it_says_what_stays_uncaptured(trial):
    with trial.pair.db.server(7777), trial.web.connect(trial.pair.db.ip, 7777):
        trial.web.configure(harness.upstream("other", trial.pair.db, [7777]), **trial.pair.tables)
        trial.web.reload_and_wait()
        text = trial.logins[0].mooring("capture", "on", "--force")[1]
    assert "1 connection is open already" in text, text


# ---- the canary before capture


def canary(trial, *more):
    code, text = trial.logins[0].mooring("capture", "on", *more)
    return code, [line for line in text.splitlines() if line.startswith(("upstream ", "service "))], text


def test_a_canary_meets_every_upstream(trial):
    db = trial.pair.db
    code, lines, text = canary(trial)
    expected = {f"upstream db at {address}:{port}: ok" for address in (db.ip, f"[{db.ip6}]") for port in (7000, 7001)}
    assert (code, set(lines)) == (0, expected), text
    db.wait_for_access(direction="inbound", peer_identity=trial.web.id)


BROKEN = {
    "another identity": (lambda trial: trial.pair.configure_web(spiffe_ids=["spiffe://shop.test/other"]), "unexpected_peer"),
    "an agent that is not there": (lambda trial: trial.pair.db.agent.kill(), "no TLS"),
    "a host that is not there": (lambda trial: trial.pair.configure_web(addresses=["10.77.1.200"]), "No route to host"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_canary_that_fails_keeps_capture_off(trial, what):
    BROKEN[what][0](trial)
    if "agent" not in what:
        trial.web.reload_and_wait()
    code, lines, text = canary(trial)
    assert code == 1 and lines and not any(line.endswith(": ok") for line in lines if ":7000" in line), text
    assert "Nothing was captured" in text and trial.our_tables() == [] and trial.marks() == []
    if what == "another identity":
        assert all("unexpected_peer" in line for line in lines), text
    code, lines, text = canary(trial, "--force")
    assert code == 0 and "for a trial" in text


def test_a_canary_tries_the_services_of_this_host(trial):
    """A captured one by its TLS, one that listens itself through that; and their application where that is named."""
    with trial.web.server(9001):
        trial.web.configure(harness.service("captured", 9000, allow=[trial.pair.db.id]),
                            harness.service("bound", 9001, allow=[trial.pair.db.id], listen=f"{trial.web.ip}:9443", target="127.0.0.1:9001"),
                            harness.service("lonely", 9002, allow=[trial.pair.db.id], target="127.0.0.1:9002"), **trial.pair.tables)
        trial.web.agent.stop()
        trial.web.start_agent()
        wait_until(trial.has_agent, "web's agent is with its helper")
        code, lines, text = canary(trial)
    assert code == 1 and lines == ["service captured: ok", f"service bound at {trial.web.ip}:9443: ok",
                                   "service bound, its application at 127.0.0.1:9001: ok", "service lonely: ok",
                                   "service lonely, its application at 127.0.0.1:9002: Connection refused"], text


def test_only_root_sends_canaries(trial):
    assert trial.web.admin("/canary")[0] == 405
    result = trial.web.exec("curl", "-s", "-X", "POST", "--unix-socket", "/run/mooring/admin.sock", "http://m/canary", user=4711, check=False)
    assert "upstream" not in result.stdout


# ---- what happens without a confirmation


def kill(process):
    return lambda trial: getattr(trial.web, process).kill()


def stop(process):
    return lambda trial: getattr(trial.web, process).signal(signal.SIGSTOP)


ENDS = {"nothing else": lambda trial: None, "the terminal killed": lambda trial: trial.logins[0].end(),
        "the agent killed": kill("agent"), "the agent stopped": stop("agent")}


@pytest.mark.parametrize("what", ENDS)
def test_it_ends_in_time(trial, what):
    trial.begin(4)
    began = time.monotonic()
    ENDS[what](trial)
    wait_until(lambda: trial.status()["state"] == "held_off", "held off", timeout=15)
    assert time.monotonic() - began < 10
    wait_until(trial.is_put_back, "put back")
    assert trial.marks() == []
    status = trial.status()
    assert "nobody confirmed capture within 4 s" in status["problem"]


def test_a_helper_that_is_killed_takes_the_trial_with_it(trial):
    """The agent's copy keeps the table until the next helper has it let go; a live connection through the agent goes on."""
    trial.begin(60)
    with trial.pair.connect() as live:
        live.sendall(b"before")
        assert live.recv(6) == b"before"
        trial.web.helper.kill()
        assert trial.is_captured()
        trial.web.path("/run/mooring/net.sock").unlink()
        trial.web.start_helper()
        wait_until(trial.is_put_back, "put back")
        live.sendall(b"after!")
        assert live.recv(6) == b"after!"
    wait_until(lambda: trial.marks() == [], "nothing is on trial")
    assert trial.status()["state"] == "held_off"
    assert trial.web.agent.exit_code is None


def test_more_than_was_confirmed_goes_back_to_that(trial):
    """db:7001 in addition to db:7000; refused by db, where nobody listens, once it is captured."""
    trial.web.configure(harness.upstream("db", trial.pair.db, [7000]), **trial.pair.tables)
    trial.web.reload_and_wait()
    assert trial.web.mooring("capture", "on", "--yes").returncode == 0
    trial.pair.configure_web()
    trial.web.reload_and_wait()
    trial.begin(3)
    captured = trial.web.exec("nft", "list", "ruleset").stdout
    assert "7001" in captured
    wait_until(lambda: "7001" not in trial.web.exec("nft", "list", "ruleset").stdout, "the rest has ended")
    assert trial.is_captured()
    assert trial.status()["state"] == "active"


# ---- the script that systemd's timer runs


FATES = {
    "both killed": ([kill("helper"), kill("agent")], False),
    "helper killed": ([kill("helper")], False),
    "helper stopped": ([stop("helper")], False),
    "both stopped": ([stop("helper"), stop("agent")], False),
    "agent stopped": ([stop("agent")], False),
    "helper stopped, the next one starts": ([stop("helper")], True),
    "both stopped, the next one starts": ([stop("helper"), stop("agent")], True),
}


OTHERS = {"plain": ("--plain",), "iptables": ("--backend", "iptables-nft")}


@pytest.mark.parametrize("fate, arguments", [pytest.param(fate, (), id=fate) for fate in FATES] + [
    pytest.param(fate, OTHERS[kind], id=f"{kind}, {fate}") for kind in OTHERS for fate in ("both killed", "helper stopped, the next one starts")])
def test_the_rollback_needs_neither_agent_nor_helper(fresh_lab, fate, arguments):
    trial = Trial(fresh_lab)
    with trial.server:
        if arguments:
            trial.web.helper.stop()
            trial.web.path("/run/mooring/net.sock").unlink()
            trial.web.start_helper(*arguments)
            wait_until(trial.has_agent, "web's agent is back")
        trial.begin(600)
        ends, is_restarted = FATES[fate]
        for end in ends:
            end(trial)
        script = trial.web.spawn("rollback", "sh", ROLLBACK)
        if is_restarted:  # as systemd does when it was killed
            trial.web.helper.wait()
            trial.web.path("/run/mooring/net.sock").unlink()
            trial.web.start_helper(*arguments)
        assert script.wait() == 0, script.log()
        assert trial.is_put_back(), script.log()
        assert "mooring_" not in trial.web.exec("iptables-nft-save", check=False).stdout
        assert trial.marks() == []
        for login in trial.logins:
            login.end()


def test_the_rollback_spares_the_agent_that_answers(trial):
    trial.begin(600)
    with trial.pair.connect() as live:
        live.sendall(b"before")
        assert live.recv(6) == b"before"
        script = trial.web.spawn("rollback", "sh", ROLLBACK)
        trial.web.helper.wait()
        trial.web.path("/run/mooring/net.sock").unlink()
        trial.web.start_helper()
        assert script.wait() == 0, script.log()
        assert "mooring-net took it back" in script.log()
        live.sendall(b"after!")
        assert live.recv(6) == b"after!"
    assert trial.is_put_back() and trial.web.agent.exit_code is None


def test_the_rollback_leaves_alone_what_was_confirmed(trial):
    assert trial.web.mooring("capture", "on", "--yes").returncode == 0
    before = trial.web.exec("nft", "list", "ruleset").stdout
    assert "nothing is on trial" in trial.roll_back().stdout
    assert trial.web.exec("nft", "list", "ruleset").stdout == before and trial.is_captured()


def test_a_reboot_ends_the_trial(trial):
    """As after one: no process, no rule, a new boot; the state folder is kept."""
    trial.begin(600)
    trial.web.agent.kill()
    trial.web.helper.kill()
    trial.web.exec("nft", "flush", "ruleset")
    trial.web.path("/run/mooring/net.sock").unlink()
    trial.web.start_helper()
    trial.web.start_agent()
    wait_until(trial.has_agent, "web's agent is with its helper")
    assert trial.status()["state"] == "held_off" and trial.is_put_back() and trial.marks() == []
