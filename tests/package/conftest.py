"""Fixtures of the package tests. What is shared with the end-to-end tests lies in tests/netns."""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
import machines  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long") and not harness.SLOW:
            item.add_marker(pytest.mark.skip(reason="long: set MOORING_SLOW=1, or ./test.sh package"))


first_failed = {}  # of the incremental tests


def series_of(item):
    """Each release of Debian has its own series of steps."""
    return item.parent, item.callspec.params.get("lab") if hasattr(item, "callspec") else None


def is_chroot():
    try:
        return not os.path.samefile("/", "/proc/1/root")
    except OSError:  # where root may not look at the first process either
        return False


def pytest_runtest_setup(item):
    if item.get_closest_marker("incremental") and series_of(item) in first_failed:
        pytest.fail(f"the step before failed: {first_failed[series_of(item)]}", pytrace=False)
    if os.geteuid() != 0:
        harness.leave_out("booting hosts needs root")
    if is_chroot():
        pytest.skip("NOT TESTED: hosts cannot be booted inside a chroot")
    for tool in ("systemd-nspawn", "mmdebstrap", "dpkg-deb", "ip"):
        if not shutil.which(tool):
            harness.leave_out(f"{tool} is not installed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the units said is the first thing one wants to read below a failure."""
    report = (yield).get_result()
    if not report.failed:
        return
    if item.get_closest_marker("incremental"):
        first_failed.setdefault(series_of(item), item.name)
    for lab in harness.Lab.open_labs:
        for host in lab.hosts.values():
            for unit in machines.UNITS:
                try:
                    text = host.journal(unit, "-n", "40")
                except Exception as error:  # a host that is down
                    text = str(error)
                report.sections.append((f"{host.name}: {unit}", text[-3000:]))


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    return machines.build_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def portable_packages(tmp_path_factory):
    return machines.build_portable_packages(tmp_path_factory.mktemp("portable"))


@pytest.fixture(scope="module")
def lab(packages):
    with machines.MachineLab(packages) as the_lab:
        yield the_lab


@pytest.fixture
def fresh_lab(packages):
    with machines.MachineLab(packages) as the_lab:
        yield the_lab


@pytest.fixture(scope="session")
def stops():
    return 50 if harness.SLOW else 5


@pytest.fixture(scope="session")
def reboots():
    return 10 if harness.SLOW else 1
