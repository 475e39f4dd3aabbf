"""Fixtures and the rules for leaving a test out: never silently, and not at all where MOORING_REQUIRE_ALL=1."""
import os
import shutil

import pytest

import envoy
import harness


def leave_out(reason):
    if os.environ.get("MOORING_REQUIRE_ALL") == "1":
        pytest.fail(f"needed here: {reason}", pytrace=False)
    pytest.skip(reason)


NEEDS = {
    "agent": lambda: (harness.BINARIES / "mooringd").exists(),
    "helper": lambda: (harness.BINARIES / "mooring-net").exists(),
    "envoy": lambda: os.access(envoy.program(), os.X_OK),
    "tomcat": lambda: os.path.exists("/usr/share/tomcat10/bin/catalina.sh"),
    "postgres": lambda: os.path.isdir("/usr/lib/postgresql"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not harness.SLOW:
            item.add_marker(pytest.mark.skip(reason="slow: set MOORING_SLOW=1"))


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*names): programs without which the test is left out")
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
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab is not None:
        for host in lab.hosts.values():
            for file in sorted(host.folder.glob("*.log")) + sorted(host.logs.glob("*.log")):
                text = file.read_text(errors="replace")
                if text:
                    report.sections.append((f"{host.name}: {file.name}", text[-1500:]))


@pytest.fixture
def lab():
    with harness.Lab() as the_lab:
        yield the_lab


@pytest.fixture(scope="module")
def shared_lab():
    with harness.Lab() as the_lab:
        yield the_lab
