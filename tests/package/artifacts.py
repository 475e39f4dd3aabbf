"""The published packages, unpacked, and what looks into them."""
import functools
import os
import pathlib
import re
import shutil
import subprocess

from harness import leave_out

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("MOORING_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mooring")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHS = {"amd64": "x86_64", "arm64": "aarch64"}
PROGRAMS = ("usr/bin/mooring", "usr/libexec/mooring/mooring-net")


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            leave_out(f"{tool} is not installed")


def run(*command, check=True, timeout=300, **options):
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done


def build(output, *arguments, mask="0022", **options):
    command = ["sh", "-c", f'umask {mask}; exec "$0" "$@"', ROOT / "packaging/build.sh", "--output", output, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=3600, check=True, **options)
    return [pathlib.Path(line) for line in done.stdout.split()]


class Package:
    """One architecture: .deb and .rpm, and the files of the .deb."""

    def __init__(self, arch, folder, unpacked):
        (self.deb,) = folder.glob(f"mooring_*_{arch}.deb")
        (self.rpm,) = folder.glob(f"mooring-*.{ARCHS[arch]}.rpm")
        self.arch, self.root = arch, unpacked
        run("dpkg-deb", "-x", self.deb, self.root)
        self.version = run("dpkg-deb", "-f", self.deb, "Version").stdout.strip()

    @property
    def programs(self):
        return [self.root / name for name in PROGRAMS]

    def start(self, *command, **options):
        """Runs a program of the package in a Debian 11 of its architecture."""
        base = debian_11(self.arch)
        for name in PROGRAMS:
            target = base / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.root / name, target)
        (base / "usr/sbin/mooringd").unlink(missing_ok=True)
        (base / "usr/sbin/mooringd").symlink_to("../bin/mooring")
        return run(*self.emulator(base), *command, env={"PATH": "/usr/sbin:/usr/bin"}, **options)

    def emulator(self, base):
        if self.arch == native_arch():
            return ["chroot", base]
        need(f"qemu-{ARCHS[self.arch]}-static")
        shutil.copy(shutil.which(f"qemu-{ARCHS[self.arch]}-static"), base / "qemu")
        return ["chroot", base, "/qemu"]


@functools.cache
def native_arch():
    return run("dpkg", "--print-architecture").stdout.strip()


def debian_11(arch):
    """Nothing but glibc 2.31, made once."""
    root = CACHE / f"roots/bullseye-libc-{arch}"
    if not root.exists():
        need("mmdebstrap")
        root.parent.mkdir(parents=True, exist_ok=True)
        fresh = root.with_suffix(f".{os.getpid()}")
        run("mmdebstrap", "--variant=extract", f"--architectures={arch}", "--include=libc6", "--skip=check/empty", "bullseye", fresh,
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian bullseye main", timeout=900)
        fresh.rename(root)
    return root


def contents(form):
    """Rows of packaging/contents for deb or rpm, read without the program that makes the packages."""
    for line in (ROOT / "packaging/contents").read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        kind, path, mode, owner, source, flags = (*words, "")[:6]
        flags = set(flags.split(",")) - {""}
        if flags & {"deb", "rpm"} and form not in flags:
            continue
        names = [p.name for p in sorted(ROOT.glob(source))] if "*" in source else [""]
        for name in names:
            yield kind, path + name, mode, owner, flags


def symbol_versions(program, prefix):
    versions = re.findall(rf"\b{prefix}_([0-9.]+)", run("readelf", "-W", "--version-info", program).stdout)
    return sorted({tuple(map(int, v.split("."))) for v in versions})
