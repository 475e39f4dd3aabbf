"""The units get those options that the host's systemd understands."""
import os
import subprocess

import pytest
from harness import ROOT

HELPER = "mooring-net.service.d"
ALL = {"229-ambient.conf", "235-confine.conf", "247-calls.conf"}


def choose(folder, version, *arguments):
    """What choose-hardening links below a systemd of this version."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    fake = programs / "systemctl"
    fake.write_text(f"#!/bin/sh\necho 'systemd {version} ({version}-1)'\n")
    fake.chmod(0o755)
    units = folder / "units"
    units.mkdir(exist_ok=True)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "MOORING_HARDENING": str(ROOT / "systemd/hardening"), "MOORING_UNITS": str(units)}
    subprocess.run([ROOT / "systemd/choose-hardening", *arguments], env=environment, check=True)
    return {path.name for path in units.glob(f"{HELPER}/*")}


@pytest.mark.parametrize("version, chosen", [(219, set()), (232, {"229-ambient.conf"}), (239, ALL - {"247-calls.conf"}), (252, ALL)])
def test_options_fit_the_version(tmp_path, version, chosen):
    assert choose(tmp_path, version) == chosen


def test_they_are_chosen_anew_when_systemd_changes(tmp_path):
    assert choose(tmp_path, 252) == ALL
    assert choose(tmp_path, 239) == ALL - {"247-calls.conf"}
    assert choose(tmp_path, 252) == ALL
    assert choose(tmp_path, 252, "--remove") == set() and list((tmp_path / "units").iterdir()) == []


def test_base_units_speak_the_language_of_219():
    newer = ("AmbientCapabilities", "ProtectControlGroups", "ProtectKernel", "RestrictNamespaces", "RestrictRealtime", "LockPersonality",
             "MemoryDenyWriteExecute", "RemoveIPC", "ProtectClock", "ProtectHostname", "RestrictSUIDSGID", "ProtectProc", "ProtectSystem=strict",
             "ReadWritePaths", "StateDirectory", "RuntimeDirectory", "StartLimitIntervalSec", "SystemCallFilter=@")
    for unit in (ROOT / "systemd").glob("*.service"):
        lines = [line for line in unit.read_text().splitlines() if not line.startswith("#")]
        assert [line for line in lines if line.startswith(newer)] == [], unit.name
        for unbound in ("Requires=", "BindsTo=", "PartOf=", "network-online"):
            assert not any(unbound in line for line in lines), f"{unit.name}: {unbound}"
