"""Fixtures and the rules for leaving a test out: never silently, and not at all where MOORING_REQUIRE_ALL=1."""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "control-plane"))

import control_plane
import envoy
import harness
from harness import leave_out


NEEDS = {
    "agent": lambda: (harness.BINARIES / "mooringd").exists(),
    "helper": lambda: (harness.BINARIES / "mooring-net").exists(),
    "envoy": lambda: os.access(envoy.program(), os.X_OK),
    "control-plane": lambda: os.path.isdir(control_plane.libraries()),
    "tomcat": lambda: os.path.exists("/usr/share/tomcat10/bin/catalina.sh"),
    "postgres": lambda: os.path.isdir("/usr/lib/postgresql"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not harness.SLOW:
            item.add_marker(pytest.mark.skip(reason="slow: set MOORING_SLOW=1"))
    # It waits for minutes that began with the first test.
    items.sort(key=lambda item: item.get_closest_marker("idle") is not None)


def pytest_configure(config):
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): needs python3-pytest-timeout")
        config.issue_config_time_warning(UserWarning("python3-pytest-timeout is missing: a hanging test hangs"), 2)


def pytest_runtest_setup(item):
    if os.geteuid() != 0:
        leave_out("network namespaces need root")
    for tool in ("ip", "nsenter", "setpriv", "openssl"):
        if not shutil.which(tool):
            leave_out(f"{tool} is not installed")
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if not NEEDS.get(name, lambda: shutil.which(name))():
                leave_out(f"{name} is not there")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the daemons said is the first thing one wants to read below a failure."""
    report = (yield).get_result()
    labs = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, harness.Lab)]
    if not report.failed:
        return
    for host in (host for lab in labs for host in lab.hosts.values()):
        for file in sorted(host.folder.glob("*.log")) + sorted(host.logs.glob("*.log")):
            text = file.read_text(errors="replace")
            if text:
                report.sections.append((f"{host.name}: {file.name}", text[-1500:]))


@pytest.fixture(autouse=True)
def new_page():
    """A test must not find in an access log what another test has left there."""
    for host in (host for lab in harness.Lab.open_labs if lab.has_pages for host in lab.hosts.values()):
        host.turn_page()


@pytest.fixture(scope="module")
def lab():
    """One switch for all tests of a file."""
    with harness.Lab() as the_lab:
        yield the_lab


@pytest.fixture
def fresh_lab():
    """A switch for a test that breaks things."""
    with harness.Lab() as the_lab:
        yield the_lab


@pytest.fixture(scope="module")
def pair(lab):
    """web calls db:7000; both agents run, capture is on."""
    return harness.Pair(lab)


@pytest.fixture
def fresh_pair(fresh_lab):
    return harness.Pair(fresh_lab)


@pytest.fixture(scope="session", autouse=True)
def idle_connections(request):
    """Opened first, so that its minutes of silence pass while the other tests run."""
    wanted = any(item.get_closest_marker("idle") for item in request.session.items)
    opened = []
    if wanted and os.geteuid() == 0 and all(NEEDS[name]() for name in ("agent", "helper")):
        try:
            opened.append(harness.IdleConnection())
        except Exception as error:  # the test that asks for it reports it; the others run
            opened.append(error)
    yield opened
    for connection in opened:
        if isinstance(connection, harness.IdleConnection):
            connection.close()


@pytest.fixture
def idle_connection(idle_connections):
    assert idle_connections, "no connection was opened"
    if isinstance(idle_connections[0], Exception):
        raise idle_connections[0]
    return idle_connections[0]
