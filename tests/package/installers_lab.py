"""A repository signed with a throw-away key, and Debian 12 roots under an overlay to install from it by apt and by dnf."""
import contextlib
import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("MOORING_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mooring")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
OLD, NEW = "0.1.0", "0.2.0"
ANSIBLE = "2.19.14"


def run(*command, check=True, timeout=600, **options):
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


class Key:
    """A signing key that lives as long as its folder."""

    def __init__(self, folder, name):
        self.home = folder / name
        self.home.mkdir(mode=0o700)
        self.name = f"Mooring test {name} <{name}@mooring.example>"
        self.gpg("--passphrase", "", "--quick-gen-key", self.name, "rsa2048", "sign", "never")
        self.armoured = self.home / "public.asc"
        self.gpg("--armor", "--output", self.armoured, "--export")

    def gpg(self, *arguments):
        return run("gpg", "--homedir", self.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", *arguments)

    def sign_rpm(self, package):
        run("rpmsign", "--define", "__gpg /usr/bin/gpg", "--define", f"_gpg_path {self.home}", "--define", f"_gpg_name {self.name}", "--addsign", package)


class Repository:
    """The layout of the published one: deb/{dists/stable,pool}, rpm/{repodata,*.rpm}, mooring.asc."""

    def __init__(self, folder, packages, key, signs_rpms=True):
        self.folder, self.key = folder, key
        self.deb, self.rpm = folder / "deb", folder / "rpm"
        (self.deb / "pool").mkdir(parents=True)
        self.rpm.mkdir()
        for package in packages.glob("*.deb"):
            shutil.copy(package, self.deb / "pool")
        for package in packages.glob("*.rpm"):
            shutil.copy(package, self.rpm)
            if signs_rpms:
                key.sign_rpm(self.rpm / package.name)
        shutil.copy(key.armoured, folder / "mooring.asc")
        self.index()

    @property
    def key_sum(self):
        return hashlib.sha256((self.folder / "mooring.asc").read_bytes()).hexdigest()

    @property
    def release(self):
        return self.deb / "dists/stable"

    def index(self):
        binary = self.release / "main/binary-amd64"
        binary.mkdir(parents=True, exist_ok=True)
        (binary / "Packages").write_text(run("apt-ftparchive", "packages", "pool", cwd=self.deb).stdout)
        options = [f"-oAPT::FTPArchive::Release::{k}={v}" for k, v in
                   {"Suite": "stable", "Codename": "stable", "Components": "main", "Architectures": "amd64"}.items()]
        (self.release / "Release").write_text(run("apt-ftparchive", *options, "release", "dists/stable", cwd=self.deb).stdout)
        run("createrepo_c", "--quiet", self.rpm)
        self.sign()

    def sign(self):
        self.key.gpg("--output", self.release / "InRelease", "--clearsign", self.release / "Release")
        self.key.gpg("--armor", "--output", self.rpm / "repodata/repomd.xml.asc", "--detach-sign", self.rpm / "repodata/repomd.xml")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def build_packages(output):
    for version in (OLD, NEW):
        run(ROOT / "packaging/build.sh", "--system", "--version", version, "--output", output)
    return output


def libraries_of(package):
    depends = run("dpkg-deb", "-f", package, "Depends").stdout
    return sorted(re.findall(r"(?:^|, )(lib[a-z0-9.+-]*)", depends))


def base_root(package):
    """An unpacked Debian 12 with dnf and what a developer's package depends on; made once."""
    wanted = ["ca-certificates", "cloud-init", "dnf", "rpm", "python3-apt", *libraries_of(package)]
    root = CACHE / "roots" / f"bookworm-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        fresh = root.with_suffix(f".{os.getpid()}")
        # Writable indexes stay out: a test must not depend on a mirror.
        run("nice", "mmdebstrap", "--variant=minbase", "--skip=check/empty", f"--include={','.join(wanted)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", fresh,
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian bookworm main", timeout=900)
        (fresh / "etc/apt/sources.list").write_text("")
        fresh.rename(root)
    return root


def ansible_core(leave_out):
    """ansible-core from PyPI, unpacked for the python of the roots; fetched once."""
    folder = CACHE / f"ansible-core-{ANSIBLE}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = folder.with_suffix(f".{os.getpid()}")
        done = run("/usr/bin/python3", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore", "--no-compile",
                   "--target", fresh, f"ansible-core=={ANSIBLE}", check=False)
        if done.returncode:
            leave_out(f"ansible-core cannot be fetched: {done.stdout}")
        fresh.rename(folder)
    return folder


class Machine:
    """A root of its own over the base; `upper` has what was changed in it."""

    def __init__(self, folder, base):
        self.upper, work, self.root = folder / "upper", folder / "work", folder / "root"
        for each in (self.upper, work, self.root):
            each.mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={self.upper},workdir={work}", self.root)
        for kind, target in (("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp")):
            run("mount", "-t", kind, kind, self.root / target)
        self.installers = self.root / "run/installers"
        shutil.copytree(ROOT / "installers", self.installers)

    def close(self):
        run("umount", "-R", self.root)

    def exec(self, *command, **options):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}
        # With the command ends what it has started, such as a gpg-agent.
        alone = ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        return run(*alone, "chroot", self.root, *command, env=environment, **options)

    def installer(self, name, *arguments, check=False, **options):
        return self.exec(f"/run/installers/{name}", *arguments, check=check, **options)

    def changed(self):
        """Paths of files that differ from the base, without what package managers keep for themselves."""
        theirs = re.compile(r"/(var/(lib/(dpkg|apt|rpm|dnf|systemd/deb-systemd-helper-enabled)|cache|log)|usr/lib/sysimage|root|etc/(passwd|group|shadow|gshadow)-?$|etc/ld.so.cache|etc/\.pwd\.lock|run|tmp|var/backups|etc/sub[ug]id)")
        files = ("/" + str(p.relative_to(self.upper)) for p in self.upper.rglob("*") if not p.is_dir() or p.is_symlink())
        return sorted(path for path in files if not theirs.match(path) and not self.is_whiteout(path))

    def is_whiteout(self, path):
        return (self.upper / path[1:]).is_char_device()

    def provide_for_rpm(self, package, folder):
        """What the package needs from a distribution of rpms, as one empty package that is installed."""
        needs = [line for line in run("rpm", "-qp", "--requires", package).stdout.splitlines()
                 if re.match(r"(/|lib|rtld|ld-)", line)]
        spec = folder / "base.spec"
        spec.write_text("Name: base\nVersion: 1\nRelease: 1\nSummary: stub\nLicense: none\n"
                        + "".join(f"Provides: {need}\n" for need in sorted(set(needs))) + "%description\nstub\n%files\n")
        run("rpmbuild", "-bb", "--define", f"_topdir {folder}", "--define", "_rpmfilename base.rpm", spec)
        shutil.copy(folder / "RPMS/base.rpm", self.root / "run/base.rpm")
        self.exec("rpm", "-i", "/run/base.rpm")
