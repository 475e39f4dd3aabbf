"""on_agent_death as a table: which process ends how, and what happens to new connections then, by port and direction.

The capture of `open` ports is gone within 1 s of the agent's end and within 5 s of its stall; `closed` ports never
answer in plain text."""
import signal
import threading
import time

import pytest

import traffic
from capture_lib import CAPTURED, GUARDED, IN_CLOSED, IN_OPEN, NOTHING, OUT_CLOSED, OUT_OPEN, Site
from traffic import wait_until

pytestmark = [pytest.mark.needs("helper", "nft")]


@pytest.fixture
def site(fresh_lab):
    return Site(fresh_lab).start()


class Watch:
    """Tries the closed ports all the time: what the application itself answers is a leak."""

    def __init__(self, site):
        self.site, self.leaks, self.tries, self.stop = site, [], 0, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop:
            for name, call in (("out", self.site.outbound), ("in", self.site.inbound)):
                answer = call(OUT_CLOSED if name == "out" else IN_CLOSED, timeout=0.3)
                self.tries += 1
                if answer == "app":
                    self.leaks.append(name)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        seen = self.tries
        try:
            wait_until(lambda: self.tries > seen + 10, "enough tries")
        finally:
            self.stop = True
            self.thread.join()
        assert not self.leaks, f"{len(self.leaks)} of {self.tries} went past the mesh"


def wait_until_open(site):
    """Both open ports are served by their applications again."""
    wait_until(lambda: site.outbound(OUT_OPEN, timeout=0.3) == "app" and site.inbound(IN_OPEN, timeout=0.3) == "app", "open ports open")


def opens_within(site, seconds, end):
    """After `end()`, which ends the agent. A try that was too slow is made again with another agent."""
    def attempt():
        if site.agent.exit_code is not None:
            site.start_agent()
        end()
        began = time.monotonic()
        wait_until_open(site)
        return time.monotonic() - began

    traffic.within(seconds, attempt)


AGENT_ENDS = {"exit": signal.SIGTERM, "kill -9": signal.SIGKILL}


@pytest.mark.parametrize("how", AGENT_ENDS)
def test_agent_ends(site, how):
    with Watch(site):
        opens_within(site, 1.0, lambda: (site.agent.signal(AGENT_ENDS[how]), site.agent.wait()))
        assert site.picture() == site.picture(6) == GUARDED
    assert site.state() == "agent_dead"
    site.wait_for_helper_log("error capture: opened")
    assert len([name for name in site.our_tables() if name[-2:] in ("_a", "_b")]) == 0


@pytest.mark.parametrize("how", AGENT_ENDS)
def test_capture_returns_with_the_next_agent(site, how):
    with Watch(site):
        site.agent.signal(AGENT_ENDS[how])
        site.wait_for_state("agent_dead")
        site.start_agent()
        assert site.picture() == site.picture(6) == CAPTURED
    assert site.state() == "active"


def test_agent_stops_in_order(site):
    with Watch(site):
        site.agent.signal(signal.SIGUSR1)
        site.wait_for_agent("dropped")
        assert site.picture() == GUARDED
    site.wait_for_helper_log("error capture: opened")


def test_agent_is_stalled_and_comes_back(site):
    with Watch(site):
        rounds = []

        def attempt():
            rounds.append(1)
            site.agent.signal(signal.SIGSTOP)
            began = time.monotonic()
            wait_until_open(site)
            took = time.monotonic() - began
            assert site.picture() == GUARDED
            site.agent.signal(signal.SIGCONT)
            site.wait_for_state("active")
            assert site.picture() == CAPTURED
            return took

        traffic.within(5.0, attempt)
    site.wait_for_helper_log("agent does not answer")
    assert site.status()["openings"] == len(rounds)


def test_a_short_stall_changes_nothing(site):
    site.agent.signal(signal.SIGSTOP)
    time.sleep(2)
    site.agent.signal(signal.SIGCONT)
    assert site.picture() == CAPTURED
    assert site.status()["openings"] == 0


def test_helper_is_killed_and_comes_back(site):
    with Watch(site):
        site.host.helper.kill()
        assert site.picture() == site.picture(6) == CAPTURED  # the agent's copy of the owner keeps the table
        first = site.our_tables()
        site.start_helper()
        site.wait_for_agent("active", times=2)
        assert site.picture() == CAPTURED
    assert site.status()["is_owned"]
    wait_until(lambda: len(site.our_tables()) == len(first), "the old generation is gone")
    assert site.our_tables() != first


def test_helper_is_stopped_for_longer_than_a_stall(site):
    site.host.helper.signal(signal.SIGSTOP)
    with Watch(site):
        time.sleep(6)
        assert site.picture() == CAPTURED
        site.host.helper.signal(signal.SIGCONT)
        time.sleep(1)
        assert site.picture() == CAPTURED
    assert site.status()["openings"] == 0


def test_helper_ends_in_order_under_a_living_agent(site):
    with Watch(site):
        assert site.host.helper.stop() == 0
        assert site.picture() == CAPTURED


@pytest.mark.parametrize("first", ["agent", "helper"])
def test_both_are_killed(site, first):
    with Watch(site):
        ends = [site.agent.kill, site.host.helper.kill]
        for end in ends if first == "agent" else reversed(ends):
            end()
        wait_until_open(site)
        assert site.picture() == site.picture(6) == GUARDED


def test_helper_is_killed_under_a_stalled_agent(site):
    """The agent's copy keeps the table, and nobody else may remove it: the next helper says so and guards what is closed.
    The open ports are captured again when the agent goes on, and free when it ends, which systemd's watchdog sees to."""
    with Watch(site):
        site.agent.signal(signal.SIGSTOP)
        site.host.helper.kill()
        site.start_helper()
        site.wait_for_helper_log("the rules cannot be removed yet")
        assert site.state() == "agent_dead"
        site.agent.signal(signal.SIGCONT)
        site.wait_for_state("active")
        assert site.picture() == CAPTURED
        site.agent.signal(signal.SIGSTOP)
        site.host.helper.kill()
        site.start_helper()
        site.wait_for_state("agent_dead")
        site.agent.kill()
        wait_until_open(site)
        assert site.picture() == GUARDED
    site.start_agent()
    assert site.picture() == CAPTURED


@pytest.mark.parametrize("how", ["killed", "in order"])
def test_the_next_agent_takes_over_before_the_old_one_ends(site, how):
    old = site.agent
    with Watch(site):
        site.start_agent()
        if how == "in order":
            old.signal(signal.SIGUSR1)
            site.wait_for_agent("dropped")
        old.kill()
        time.sleep(0.5)
        assert site.picture() == CAPTURED
    status = site.status()
    assert (status["state"], status["openings"], status["agent_pid"]) == ("active", 0, site.agent.pid)


def test_helper_without_an_agent_guards_what_was_captured_before(site):
    """After both ended, and as after a reboot with a kept state folder: closed ports are refused before the agent."""
    site.agent.kill()
    site.host.helper.kill()
    site.host.exec("nft", "flush", "ruleset")
    assert site.picture() == NOTHING
    site.start_helper()
    site.wait_for_state("agent_dead")
    assert site.picture() == GUARDED
    site.start_agent()
    assert site.picture() == CAPTURED


def test_live_connections_survive_the_end_of_capture(site):
    """Redirected ones need NAT until they end; the table that keeps it is removed after them."""
    with traffic.connect(site.host.namespace, site.peer.ip, OUT_OPEN) as out, \
            traffic.connect(site.peer.namespace, site.host.ip, IN_OPEN) as inbound:
        for live in (out, inbound):
            assert live.makefile("rb").readline().startswith(b"agent ")
        site.agent.signal(signal.SIGUSR1)
        site.wait_for_agent("dropped")
        assert site.status()["is_draining"]
        for live in (out, inbound):
            live.sendall(b"still here")
            assert traffic.receive_exactly(live, 10) == b"still here"
    wait_until(lambda: not any("drain" in name for name in site.our_tables()), "drain table removed")
    assert not site.status()["is_draining"]
