"""installers/preflight: what it sees on a prepared host, that it changes nothing, and that any shell will do."""
import json
import os
import pathlib
import re
import shutil

import pytest

from harness import ROOT
from traffic import wait_until

pytestmark = [pytest.mark.needs("nft", "strace")]

PREFLIGHT = ROOT / "installers/preflight"
FOREIGN_RULES = """\
table ip nat {
  chain DOCKER { }
  chain OUTPUT { type nat hook output priority -100; jump DOCKER; }
  chain KUMA_MESH_OUTBOUND { }
}
table inet filter {
  chain input { type filter hook input priority 0; policy drop; tcp dport 22 accept; }
}
"""
LISTENER = "import socket, time; s = socket.create_server(('{address}', {port})); time.sleep(1000)"
FILES = {
    "/etc/os-release": 'ID=debian\nVERSION_ID="10"\nPRETTY_NAME="Debian GNU/Linux 10 (buster)"\n',
    "/etc/resolv.conf": "nameserver 127.0.0.53\n",
    "/etc/postgresql/99/main/pg_hba.conf": """\
local all all trust
# host all all 10.0.0.0/8 trust
host all all 127.0.0.1/32 trust
host all app samehost trust
host all app 10.9.0.0 255.255.0.0 trust
host all all 0.0.0.0/0 scram-sha-256
""",
    "/etc/redis/open.conf": "protected-mode no\n",
    "/etc/redis/closed.conf": "requirepass secret\n",
    "/etc/redis/redis.conf": "# requirepass foobared\nprotected-mode yes\n",
    "/etc/tomcat99/context.xml": """\
<Context>
  <!-- <Valve className="org.apache.catalina.valves.RemoteHostValve"/> -->
  <Valve
     className="org.apache.catalina.valves.RemoteAddrValve" allow="127\\.0\\.0\\.1"/>
</Context>
""",
}
# Whatever changes something on a host. Opening a file is looked at by its mode.
CHANGES = """init_module finit_module delete_module mount umount2 unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir
chmod fchmod fchmodat chown fchown fchownat lchown link linkat symlink symlinkat truncate ftruncate mknod mknodat utimensat
setns unshare ptrace settimeofday clock_settime adjtimex sethostname reboot swapon bpf quotactl setxattr"""
PROGRAMS = """sh dash bash busybox preflight awk mawk gawk cat cut date dirname grep head id ls sed sort tr uname wc zcat gzip
nft iptables iptables-save iptables-legacy-save ip6tables-legacy-save xtables-nft-multi xtables-legacy-multi systemctl mooring"""


@pytest.fixture(scope="module")
def host(lab):
    """A host that has a bit of everything that is worth a word."""
    host = lab.host("legacy")
    for path, text in FILES.items():
        file = host.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    host.nft(FOREIGN_RULES)
    host.exec("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "REDIRECT", "--to-ports", "9")
    host.exec("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 60999")
    host.exec("sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=15000-15002,8000")
    for port, address in ((15006, "0.0.0.0"), (3306, "127.0.0.1"), (7070, "0.0.0.0")):
        host.spawn(f"listener{port}", "/usr/bin/python3", "-c", LISTENER.format(address=address, port=port))
        wait_until(lambda: host.listens(port), f"{port} listens")
    return host


def unified_cgroups():
    """Where cgroup2 is mounted: here beside v1, elsewhere alone."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return pathlib.Path(next(mount[1] for mount in mounts if mount[2] == "cgroup2"))


@pytest.fixture
def unit(fresh_lab):
    """A host with a listener that systemd would have started; only its cgroup is made."""
    host = fresh_lab.host("unit")
    folder = unified_cgroups() / f"shop-{os.getpid()}.service"
    folder.mkdir()
    listener = host.spawn("listener", "/usr/bin/python3", "-c", LISTENER.format(address="0.0.0.0", port=7171))
    try:
        (folder / "cgroup.procs").write_text(str(listener.pid))
        wait_until(lambda: host.listens(7171), "7171 listens")
        yield host, folder.name
    finally:
        listener.kill()
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the cgroup is empty")
        folder.rmdir()


INSTALL = ROOT / "installers/install.sh"


def install(host, *arguments):
    """Goes on to the key, which is not there."""
    return host.exec("sh", INSTALL, "--repository", "file:/nonexistent", "--key-sha256", "0" * 64, "--manager", "apt", *arguments, check=False)


def preflight(host, *arguments, shell="dash", **options):
    return host.exec(*shell.split(), PREFLIGHT, *arguments, check=False, **options)


def results(host, **options):
    report = json.loads(preflight(host, "--json", **options).stdout)
    return report["results"]


def lines(found, check):
    return [(one["level"], one["text"]) for one in found if one["check"] == check]


@pytest.fixture(scope="module")
def found(host):
    return results(host)


@pytest.mark.parametrize(
    "check, level, text",
    [
        ("distribution", "yellow", "public security fixes ended on 2024-06-30"),
        ("kernel", "green", os.uname().release),
        ("backend", "green", "nft-inet"),
        ("rules", "red", "rules of Kuma"),
        ("rules", "green", "rules of Docker"),
        ("input", "", "a filter on INPUT"),
        ("resolver", "green", "systemd-resolved"),
        ("ports", "red", "port 15006 of the agent is taken by python3"),
        ("ports", "yellow", "the agent's port 15006,15090 "),
        ("listeners", "yellow", "3306: python3, user root, on loopback only: probably the server speaks first"),
        ("listeners", "green", "7070: python3"),
        ("trust", "yellow", "/etc/postgresql/99/main/pg_hba.conf: no password is asked from 127.0.0.1/32"),
        ("trust", "red", "no password is asked from samehost"),
        ("trust", "red", "no password is asked from 10.9.0.0"),
        ("trust", "red", "/etc/redis/open.conf: no password, and protected-mode is off"),
        ("trust", "green", "/etc/redis/closed.conf: a password or an ACL"),
        ("trust", "yellow", "/etc/redis/redis.conf: no password; protected-mode lets loopback in"),
        ("trust", "yellow", "/etc/tomcat99/context.xml: RemoteAddrValve"),
    ],
)
def test_what_it_sees(found, check, level, text):
    matching = [one for one in lines(found, check) if text in one[1]]
    assert matching, lines(found, check)
    assert matching[0][0].startswith(level), matching


def test_it_does_not_see_what_is_not_there(found):
    texts = " ".join(one["text"] for one in found)
    assert "RemoteHostValve" not in texts and "10.0.0.0/8" not in texts and "0.0.0.0/0" not in texts


def test_whatever_is_yellow_or_red_says_what_to_do(found):
    assert [one for one in found if one["level"] in ("yellow", "red") and not one["remedy"]] == []


def test_it_names_the_unit_of_a_listener(unit):
    host, name = unit
    assert ("green", f"7171: python3, {name}, user root") in lines(results(host), "listeners")


def test_exit_codes(host, fresh_lab):
    assert preflight(host).returncode == 1
    assert preflight(host, "--nonsense").returncode == 2
    quiet = fresh_lab.host("quiet")
    for path in ("/etc/postgresql", "/etc/redis"):
        shutil.rmtree(quiet.path(path), ignore_errors=True)
    normal = preflight(quiet)
    assert (normal.returncode, "0 red" in normal.stdout) == (0, True), normal.stdout
    assert preflight(quiet, "--strict").returncode == ("0 yellow" not in normal.stdout)


def test_it_looks_only_for_what_it_is_asked_for(host, found):
    done = preflight(host, "--json", "--only", "rules,ports")
    assert done.returncode == 1
    assert json.loads(done.stdout)["results"] == [one for one in found if one["check"] in ("rules", "ports")]
    assert preflight(host, "--only", "rules,weather").returncode == 2


def test_the_installer_refuses_where_another_mesh_or_program_is_in_the_way(host, fresh_lab):
    done = install(host)
    assert done.returncode == 1
    for text in ("red     rules        rules of Kuma", "red     ports        port 15006 of the agent is taken by python3", "move one of them",
                 "refused: nothing was changed"):
        assert text in done.stderr
    forced = install(host, "--force")
    assert forced.returncode == 1 and "cannot fetch" in forced.stderr, "it went on"
    assert "cannot fetch" in install(fresh_lab.host("quiet")).stderr


def test_a_filter_without_tproxy_is_red(host):
    """With redirect the host's firewall sees the agent's port: the kernel's configuration is made to say so."""
    release = os.uname().release
    script = f"mount -t tmpfs none /boot && echo CONFIG_NF_TABLES=y >/boot/config-{release} && exec {PREFLIGHT} --json"
    report = json.loads(host.exec("unshare", "-m", "sh", "-c", script, check=False).stdout)
    assert ("red", "a filter on INPUT, and no TPROXY: it will see port 15006 in place of the services' ports") in lines(
        report["results"], "input"
    )


@pytest.mark.needs("helper", "agent")
def test_a_running_helper_is_asked_for_its_backend(fresh_lab):
    host = fresh_lab.host("running")
    host.start_helper()
    programs = os.path.dirname(fresh_lab.program("mooring"))
    report = json.loads(host.exec("env", f"PATH={programs}:{os.environ['PATH']}", PREFLIGHT, "--json", check=False).stdout)
    assert ("green", "mooring-net has chosen nft inet") in lines(report["results"], "backend")


@pytest.mark.parametrize("shell", ["bash", "busybox sh"])
def test_every_shell_says_the_same(host, found, shell):
    assert results(host, shell=shell) == found


def test_without_root_it_says_what_it_could_not_see(host):
    unseen = [one for one in results(host, user=65534) if one["level"] == "unseen"]
    assert {"privileges", "rules", "listeners"} <= {one["check"] for one in unseen}


@pytest.fixture(scope="module")
def trace(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strace")
    # A file a process: no line is cut in two by another one.
    host.exec("strace", "-ff", "-qq", "-s", "200", "-o", folder / "log", "dash", PREFLIGHT, check=False)
    return [line for log in sorted(folder.iterdir()) for line in log.read_text(errors="replace").splitlines()]


def test_it_writes_nothing(trace):
    writing = [line for line in trace if re.match(r"(open|openat|creat)\(", line) and re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line)]
    assert [line for line in writing if '"/dev/null"' not in line] == []
    calls = {line.split("(")[0] for line in trace if "(" in line}
    assert calls & set(CHANGES.split()) == set()
    assert {"openat", "execve"} <= calls


def test_it_asks_the_kernel_and_tells_it_nothing(trace):
    messages = [m for line in trace if re.match(r"send(to|msg|mmsg)\(", line) for m in re.findall(r"nlmsg_type=([^,]*)", line)]
    assert messages, "nft was not traced"
    assert [m for m in messages if not re.search(r"_GET|^0xa10 ", m)] == []  # 0xa10: NFT_MSG_GETGEN
    assert [line for line in trace if line.startswith("setsockopt(") and re.search(r"SOL_IPV?6?, (IPT|IP6T|0x40)", line)] == []
    assert [line for line in trace if re.match(r"(bind|connect)\(", line) and not re.search("AF_NETLINK|AF_UNIX", line)] == []


def test_it_runs_only_programs_that_load_no_module(trace):
    ran = {os.path.basename(path) for path in re.findall(r'execve\("([^"]*)", .* = 0$', "\n".join(trace), re.M)}
    assert ran - set(PROGRAMS.split()) == set()
    assert {"nft", "iptables-legacy-save"} <= ran
