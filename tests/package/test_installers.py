"""install.sh and uninstall.sh in a Debian 12 root, by apt and by dnf, from a repository signed with a throw-away key."""
import json
import os
import re
import shutil
import textwrap

import pytest

import installers_lab as lab
from harness import leave_out
from installers_lab import NEW, OLD

pytestmark = pytest.mark.long

STATE = ("/etc/mooring/agent.toml", "/var/lib/mooring/last", "/var/log/mooring/access.log")


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    if os.geteuid() != 0:
        leave_out("roots need root")
    for tool in ("mmdebstrap", "rpmbuild", "rpmsign", "createrepo_c", "apt-ftparchive", "gpg"):
        if not shutil.which(tool):
            leave_out(f"{tool} is not installed")
    if not (lab.ROOT / "build/release/bin/mooring-docs").exists():
        leave_out("build/release is not built")
    return lab.build_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def base(packages):
    return lab.base_root(lab.only(packages, f"*_{NEW}_*.deb"))


@pytest.fixture(scope="session")
def keys(packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return lab.Key(folder, "release"), lab.Key(folder, "stranger")


@pytest.fixture(scope="session")
def published(packages, keys, tmp_path_factory):
    return lab.Repository(tmp_path_factory.mktemp("published") / "repository", packages, keys[0])


@pytest.fixture
def repository(published, tmp_path):
    """A copy that a test may break, and its URL."""
    copy = shutil.copytree(published.folder, tmp_path / "repository")
    own = object.__new__(lab.Repository)
    own.folder, own.key, own.deb, own.rpm = copy, published.key, copy / "deb", copy / "rpm"
    with lab.served(copy) as own.url:
        yield own


class Host:
    """A machine and the package manager that is used on it."""

    def __init__(self, machine, manager, repository):
        self.machine, self.manager, self.repository = machine, manager, repository

    def install(self, *more, key_sum=None):
        return self.machine.installer("install.sh", "--manager", self.manager, "--repository", self.repository.url,
                                      "--key-sha256", key_sum or self.repository.key_sum, *more)

    def uninstall(self, *more):
        return self.machine.installer("uninstall.sh", *more)

    def version(self):
        command = {"apt": ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "mooring"], "dnf": ["rpm", "-q", "--qf", "%{VERSION}", "mooring"]}
        done = self.machine.exec(*command[self.manager], check=False)
        if done.returncode != 0 or done.stdout.startswith("config-files"):
            return None
        return done.stdout.removeprefix("installed ")

    def file(self, path):
        return self.machine.root / path[1:]

    def use(self):
        """What an admin and a running agent leave on it."""
        for path in STATE:
            self.file(path).parent.mkdir(parents=True, exist_ok=True)
            self.file(path).write_text("ours\n")


@pytest.fixture(params=["apt", "dnf"])
def host(request, base, packages, repository, tmp_path):
    machine = lab.Machine(tmp_path / "machine", base)
    try:
        if request.param == "dnf":
            machine.provide_for_rpm(lab.only(packages, f"*-{NEW}-*.rpm"), tmp_path)
        yield Host(machine, request.param, repository)
    finally:
        machine.close()


def refused(host, done, says):
    assert done.returncode == 1, done.stdout
    assert says in done.stdout, done.stdout
    assert host.version() is None
    assert host.machine.changed() == []


# ---- install.sh


def test_installs_the_newest_and_says_what_it_did(host):
    done = host.install()
    assert done.returncode == 0, done.stdout
    assert host.version() == NEW
    for word in (f"the key has the checksum {host.repository.key_sum}", "install mooring", f"mooring {NEW} is installed", "Nothing is captured"):
        assert word in done.stdout
    assert host.machine.exec("mooring", "version").stdout.startswith("mooring ")
    assert not host.file("/etc/mooring/agent.toml").exists()


def test_installing_again_changes_nothing(host):
    host.install()
    before = host.machine.changed()
    done = host.install()
    assert done.returncode == 0 and host.machine.changed() == before
    assert "write /" not in done.stdout


def test_a_pinned_version_is_what_one_gets(host):
    done = host.install("--version", OLD)
    assert (done.returncode, host.version()) == (0, OLD), done.stdout
    done = host.install()
    assert (done.returncode, host.version()) == (0, NEW), done.stdout
    host.use()
    done = host.install("--version", OLD)
    assert (done.returncode, host.version()) == (0, OLD), done.stdout
    assert host.file(STATE[0]).read_text() == "ours\n"


def test_a_version_that_is_not_there_leaves_nothing_behind(host):
    refused(host, host.install("--version", "7.7.7"), "failed to install mooring")


def test_a_dry_run_does_nothing(host):
    done = host.install("--dry-run")
    assert done.returncode == 0, done.stdout
    assert "would write" in done.stdout and "nothing was done" in done.stdout
    assert host.version() is None and host.machine.changed() == []


def test_refuses_another_key_than_the_one_that_is_expected(host):
    refused(host, host.install(key_sum="0" * 64), "refused: the key has the checksum")


def test_refuses_without_a_key_to_expect(host):
    done = host.machine.installer("install.sh", "--repository", host.repository.url)
    assert done.returncode == 2 and "proves nothing" in done.stdout


def test_refuses_an_index_signed_by_somebody_else(host, keys):
    key_sum = host.repository.key_sum
    host.repository.key = keys[1]
    host.repository.sign()
    refused(host, host.install(key_sum=key_sum), "failed to read the repository's signed index")


def test_refuses_an_index_without_signature_also_on_a_host_that_would_not_mind(host):
    (host.repository.release / "InRelease").unlink()
    (host.repository.rpm / "repodata/repomd.xml.asc").unlink()
    careless = {"apt": ("/etc/apt/apt.conf.d/99careless", 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'),
                "dnf": ("/etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nrepo_gpgcheck=0\n")}
    path, text = careless[host.manager]
    host.file(path).write_text(text)
    done = host.install()
    (host.machine.upper / path[1:]).unlink()
    refused(host, done, "failed to read the repository's signed index")


def test_refuses_a_package_that_was_changed_after_it_was_signed(host):
    for package in [*host.repository.deb.glob(f"pool/*_{NEW}_*"), *host.repository.rpm.glob(f"*-{NEW}-*")]:
        data = bytearray(package.read_bytes())
        data[len(data) // 2] ^= 1
        package.write_bytes(data)
    refused(host, host.install(), "failed to install mooring")


def test_refuses_an_unsigned_rpm_in_a_signed_index(base, packages, keys, tmp_path):
    own = lab.Repository(tmp_path / "unsigned", packages, keys[0], signs_rpms=False)
    machine = lab.Machine(tmp_path / "machine", base)
    try:
        machine.provide_for_rpm(lab.only(packages, f"*-{NEW}-*.rpm"), tmp_path)
        with lab.served(own.folder) as own.url:
            host = Host(machine, "dnf", own)
            refused(host, host.install(), "not signed")
    finally:
        machine.close()


# ---- uninstall.sh


def test_uninstall_keeps_what_the_admin_has_written(host):
    host.install()
    host.use()
    done = host.uninstall()
    assert done.returncode == 0, done.stdout
    assert not host.file("/usr/bin/mooring").exists()
    assert [path for path in STATE if not host.file(path).exists()] == []
    assert "kept: /etc/mooring" in done.stdout


def test_purge_leaves_nothing(host):
    before = [host.file(path).read_text() for path in ("/etc/passwd", "/etc/group")]
    host.install()
    host.use()
    assert "mooring:" in host.file("/etc/passwd").read_text()
    done = host.uninstall("--purge")
    assert done.returncode == 0, done.stdout
    assert host.machine.changed() == []
    assert [host.file(path).read_text() for path in ("/etc/passwd", "/etc/group")] == before
    assert "gpg-pubkey" not in host.machine.exec("rpm", "-qa").stdout


def test_uninstall_dry_run_does_nothing(host):
    host.install()
    before = host.machine.changed()
    done = host.uninstall("--purge", "--dry-run")
    assert done.returncode == 0 and "would" in done.stdout
    assert (host.version(), host.machine.changed()) == (NEW, before)


def test_uninstall_ends_with_what_verify_host_says(host):
    """The package's own copy goes with it; it must run all the same, and decide."""
    host.install()
    check = host.file("/usr/libexec/mooring/verify-host")
    check.write_text('#!/bin/sh\necho "something is left, $*"\nexit 1\n')
    check.chmod(0o755)
    done = host.uninstall("--purge")
    assert done.returncode == 1 and "something is left, --expect purged" in done.stdout and "the host is not as it was" in done.stdout


# ---- Ansible

PLAYBOOK = """\
- hosts: localhost
  connection: local
  roles: [mooring]
  # On a Debian that has dnf Ansible does not guess which.
  module_defaults: {ansible.builtin.dnf: {use_backend: dnf4}}
"""


@pytest.fixture(scope="session")
def ansible(packages):
    return lab.ansible_core(leave_out)


class Playbook:
    """The role, run on the machine by the machine's own python."""

    def __init__(self, host, ansible):
        self.host = host
        machine = host.machine
        shutil.copytree(ansible, machine.root / "run/ansible", symlinks=True)
        shutil.copy(host.repository.folder / "mooring.asc", machine.root / "run/key.asc")
        (machine.root / "run/play.yml").write_text(PLAYBOOK)

    def run(self, *options, **variables):
        variables = {"mooring_repository": self.host.repository.url, "mooring_key": "/run/key.asc", "mooring_manager": self.host.manager,
                     "ansible_python_interpreter": "/usr/bin/python3"} | variables
        done = self.host.machine.exec(
            "env", "PYTHONPATH=/run/ansible", "ANSIBLE_ROLES_PATH=/run/installers/ansible/roles", "ANSIBLE_LOCALHOST_WARNING=False", "LC_ALL=C.UTF-8",
            "/usr/bin/python3", "-m", "ansible.cli.playbook", "-i", "localhost,", "/run/play.yml", *options, "-e", json.dumps(variables), check=False)
        assert re.search(r"failed=0 .*", done.stdout) and done.returncode == 0, done.stdout
        return done.stdout

    @staticmethod
    def changes(output):
        return int(re.search(r"changed=(\d+)", output).group(1))


@pytest.fixture
def playbook(host, ansible):
    return Playbook(host, ansible)


AGENT_TOML = '[host]\ntrust_domain = "shop.example"\n'


def test_the_role_installs_and_a_second_run_changes_nothing(playbook):
    host, before = playbook.host, playbook.host.machine.changed()
    planned = playbook.run("--check", mooring_agent_toml=AGENT_TOML)
    assert playbook.changes(planned) > 0
    assert (host.version(), host.machine.changed()) == (None, before)
    playbook.run(mooring_agent_toml=AGENT_TOML)
    assert host.version() == NEW
    assert host.file("/etc/mooring/agent.toml").read_text() == AGENT_TOML
    assert playbook.changes(playbook.run(mooring_agent_toml=AGENT_TOML)) == 0
    assert playbook.changes(playbook.run("--check", mooring_agent_toml=AGENT_TOML)) == 0


def test_the_role_pins_a_version(playbook):
    playbook.run()
    playbook.run(mooring_version=OLD)
    assert playbook.host.version() == OLD


def test_the_role_takes_it_off_again(playbook):
    host = playbook.host
    playbook.run(mooring_agent_toml=AGENT_TOML)
    installed = host.machine.changed()
    assert playbook.changes(playbook.run("--check", mooring_state="absent", mooring_purge=True)) == 1
    assert (host.version(), host.machine.changed()) == (NEW, installed)
    assert playbook.changes(playbook.run(mooring_state="absent")) == 1
    assert host.version() is None and host.file("/etc/mooring/agent.toml").exists()
    playbook.run(mooring_state="absent", mooring_purge=True)
    assert host.machine.changed() == []
    assert playbook.changes(playbook.run(mooring_state="absent", mooring_purge=True)) == 0


# ---- cloud-init


def test_the_cloud_init_example_installs(base, repository, tmp_path):
    """The modules that a first boot runs, in their order, on a machine that has no cloud around it."""
    machine = lab.Machine(tmp_path / "machine", base)
    try:
        text = (lab.ROOT / "installers/cloud-init.yaml").read_text()
        example = re.compile("-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----", re.S)
        key = textwrap.indent((repository.folder / "mooring.asc").read_text().strip(), " " * 6).strip()
        assert len(example.findall(text)) == 1
        text = example.sub(key, text).replace("https://packages.mooring.example", repository.url)
        (machine.root / "run/user-data").write_text(text)
        assert "Valid" in machine.exec("cloud-init", "schema", "--config-file", "/run/user-data").stdout
        for module in ("write_files", "apt_configure", "package_update_upgrade_install", "write_files_deferred"):
            machine.exec("cloud-init", "--file", "/run/user-data", "single", "--name", module, "--frequency", "always")
        assert Host(machine, "apt", repository).version() == NEW
        assert "trust_domain" in machine.exec("cat", "/etc/mooring/agent.toml").stdout
        assert machine.exec("stat", "-c", "%G %a", "/etc/mooring/agent.toml").stdout == "mooring 640\n"
    finally:
        machine.close()
