"""Hosts with a real systemd and the real package: a Debian root under an overlay, booted by systemd-nspawn in a network
namespace on the lab's switch.

    with MachineLab(packages) as lab:
        web = lab.host("web")
        web.install(packages["0.1.0"])

A machine is a harness.Host: sockets, configuration, metrics and access log are asked for in the same way.
"""
import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import uuid

import harness
from harness import ROOT, Process, run
from traffic import wait_until

HERE = pathlib.Path(__file__).resolve().parent
OLD, NEW = "0.1.0", "0.1.1"
ENVIRONMENT = ["env", "-i", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
# The kernel has one tree of control groups for all; the container shall see its own, and write what is its network's.
NSPAWN_ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "SYSTEMD_NSPAWN_TMPFS_TMP": "1"}
UNITS = ("mooringd.service", "mooring-net.service")


def libraries_of(package):
    depends = run("dpkg-deb", "-f", package, "Depends").stdout
    return sorted(re.findall(r"(?:^|, )(lib[a-z0-9.+-]*)", depends))


@functools.cache
def base_root(suite, libraries):
    return pathlib.Path(run(HERE / "root.sh", suite, *libraries, timeout=1200).stdout.strip())


class Machine(harness.Host):
    def _bring_up(self, entries):
        self.root, self._disk = self.folder / "root", self.folder / "disk"
        for folder in (self.root, self._disk):
            folder.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", self._disk)  # an overlay, where the tests may lie, cannot hold another's upper folder
        for name in ("upper", "work"):
            (self._disk / name).mkdir()
        self.logs = self.root / "var/log/mooring"
        base = base_root(self.lab.suite, tuple(libraries_of(self.lab.packages[OLD])))
        options = f"lowerdir={base},upperdir={self._disk}/upper,workdir={self._disk}/work"
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        self.write("/etc/machine-id", uuid.uuid4().hex + "\n")
        self.write("/etc/hostname", self.name + "\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost {self.name}\n")
        self._leader = self._nspawn = None
        self.boot()

    # -- power

    def boot(self, is_ready=True):
        command = ["systemd-nspawn", "-D", self.root, "--boot", "--register=no", "--keep-unit", "--console=pipe", "--capability=CAP_NET_ADMIN",
                   "--resolv-conf=off", "--timezone=off", f"--machine={self.namespace}", f"--hostname={self.name}",
                   f"--network-namespace-path=/run/netns/{self.namespace}"]
        self._nspawn = Process(command, self.folder / "console.log", env={**os.environ, **NSPAWN_ENVIRONMENT}, start_new_session=True)
        self._leader = wait_until(self._find_leader, f"{self.name}: systemd runs")
        self.enter = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--", *ENVIRONMENT]
        if is_ready:
            wait_until(lambda: self.systemctl("is-system-running", check=False).stdout.strip() in ("running", "degraded"), f"{self.name} has booted")

    def _find_leader(self):
        assert self._nspawn.exit_code is None, f"{self.name} does not boot:\n{self._nspawn.log()[-2000:]}"
        pid = self._nspawn.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(FileNotFoundError):
                if pathlib.Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        return None

    def poweroff(self):
        self.systemctl("poweroff")
        self._nspawn.wait(150)

    def reboot(self):
        self.poweroff()
        self.boot()

    def close(self):
        self._nspawn.kill()
        self._nspawn.wait()
        for pid in run("ip", "netns", "pids", self.namespace).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: subprocess.run(["umount", "-R", self.root], check=False, capture_output=True).returncode == 0, "the overlay is let go")
        run("umount", self._disk)

    # -- files: below /run only while it runs

    def path(self, inside):
        return pathlib.Path(f"/proc/{self._leader}/root{inside}") if inside.startswith(("/run/", "/tmp/")) else self.root / inside.lstrip("/")

    def write(self, file, text):
        self.path(file).parent.mkdir(parents=True, exist_ok=True)
        self.path(file).write_text(text)

    # -- systemd

    def systemctl(self, *arguments, **options):
        return self.exec("systemctl", *arguments, **options)

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def is_active(self, unit):
        return self.property(unit, "ActiveState") == "active"

    def pid_of(self, unit):
        """As seen from here."""
        inside = self.property(unit, "MainPID")
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                ids = re.search(r"^NSpid:\s+\d+\s+(\d+)$", status.read_text(), re.MULTILINE)
                if ids and ids[1] == inside and os.readlink(status.parent / "ns/pid") == os.readlink(f"/proc/{self._leader}/ns/pid"):
                    return int(status.parent.name)
        raise AssertionError(f"{self.name}: {unit} has no process {inside}")

    def journal(self, unit, *arguments):
        return self.exec("journalctl", "--no-pager", "-o", "cat", "-u", unit, *arguments).stdout

    # -- Mooring

    def dpkg(self, *arguments, **options):
        return self.exec("dpkg", *arguments, **options)

    def install(self, version=OLD, **options):
        package = self.lab.packages[version]
        inside = "/var/cache/" + package.name
        self.path(inside).write_bytes(package.read_bytes())
        try:
            return self.dpkg("--force-confold", "-i", inside, **options)
        finally:
            self.path(inside).unlink()

    def write_identity(self, **files):
        self.exec("install", "-d", "-m", "0750", "-o", "root", "-g", "mooring", "/etc/mooring/identity")
        for kind, text in files.items():
            self.write(f"/etc/mooring/identity/{kind}.pem", text)
            self.exec("chown", "root:mooring", f"/etc/mooring/identity/{kind}.pem")
            self.exec("chmod", "0640", f"/etc/mooring/identity/{kind}.pem")

    def configure(self, *sections, **tables):
        tables.setdefault("access_log", {"file": "/var/log/mooring/access.log"})
        super().configure(*sections, **tables)

    def join(self):
        """An identity, as a host gets one when its administrator joins it."""
        self.lab.pki.svid(self.name)
        self.install_identity(self.name)
        self.allow_capture(harness.ALLOW_ANY_CAPTURE)

    def status(self):
        """{} while the agent does not answer."""
        code, body = self.admin("/status")
        return json.loads(body) if code == 200 else {}

    def is_capturing(self):
        """Who asked for it does not matter: the agent, or root."""
        status = self.status()
        return status.get("ready") and status["capture"]["state"] == "active"

    def start(self):
        self.systemctl("start", *UNITS)
        wait_until(self.is_capturing, f"{self.name}: capture is active", timeout=30)


class MachineLab(harness.Lab):
    host_type = Machine

    def __init__(self, packages, suite="bookworm"):
        self.packages, self.suite = packages, suite
        super().__init__()

    def _install_programs(self):
        """They come with the package."""

    def program(self, name):
        return f"/usr/bin/{name}"

    def host(self, name, **options):
        return super().host(name, identity=False, **options)


def build_packages(folder, form="deb", binaries=harness.BINARIES, origin=("--system",)):
    """{version: package} of two versions of the same programs: they differ in what they say their version is. Where
    MOORING_OLD_BIN names a folder, the older one has the programs that lie there: those of the release before."""
    packages = {}
    for version in (OLD, NEW):
        programs = folder / f"bin-{version}"
        programs.mkdir(exist_ok=True)
        for name in ("mooring", "mooring-net", "mooring-docs"):
            source = pathlib.Path(os.environ.get("MOORING_OLD_BIN", binaries)) if version == OLD else binaries
            run("strip", "--strip-all", "-o", programs / name, source / name)
            (programs / name).write_bytes((programs / name).read_bytes().replace(OLD.encode(), version.encode()))
        made = run(ROOT / "packaging/build.sh", *origin, "--format", form, "--bin", programs, "--version", version, "--output", folder, timeout=600)
        packages[version] = pathlib.Path(made.stdout.split()[-1])
    return packages


def build_portable_packages(folder):
    """The same of the programs for every Linux: what Debian 11 and 13 get."""
    arch = run("dpkg", "--print-architecture").stdout.strip()
    run(ROOT / "packaging/build.sh", "--arch", arch, "--format", "deb", "--output", folder, timeout=3600)
    return build_packages(folder, binaries=ROOT / f"build/portable-{arch}/bin", origin=("--arch", arch))
