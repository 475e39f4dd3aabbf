"""Firewalls and other programs of the host: what is theirs stays as it is, to the byte; what is ours stays or comes back
within a second."""
import re
import time

import pytest
from harness import service, upstream
from load import APP_PORT, install_app
from machines import UNITS
from traffic import wait_until

# As Docker has it, and as an administrator has it in the host's own file.
DOCKER = """\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
HOST_RULES = """\
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	set admins {
		type ipv4_addr
		elements = { 10.77.1.1, 10.77.1.9 }
	}
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		tcp dport 9999 ip saddr != @admins counter drop
	}
}
"""
WITHIN_S = 1.0

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def hosts(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(db)
    for host in (web, db):
        host.write("/etc/nftables.conf", HOST_RULES)
        host.systemctl("enable", "--now", "nftables.service")
        host.install()
        host.join()
    db.configure(service("app", APP_PORT, allow=[web.id]))
    web.configure(upstream("db", db, [APP_PORT]))
    for host in (db, web):
        host.start()
    return web, db


def foreign(host):
    """All rules but Mooring's, without counters."""
    nft = host.exec("nft", "-s", "list", "ruleset").stdout
    nft = re.sub(r"^table \S+ mooring_\S+ \{.*?^\}\n", "", nft, flags=re.M | re.S)
    legacy = [host.exec(command).stdout for command in ("iptables-legacy-save", "ip6tables-legacy-save")]
    return nft + re.sub(r"^#.*\n|\[\d+:\d+\]", "", "".join(legacy), flags=re.M)


def own_tables(host):
    return re.findall(r"^table (\S+ mooring_\S+)", host.exec("nft", "list", "tables").stdout, flags=re.M)


def resolves(host):
    return host.exec("getent", "ahostsv4", "db.example", check=False).stdout.startswith("10.77.1.2 ")


@pytest.fixture(scope="module")
def name_service(hosts):
    """A name that is in the host's own files, and a resolver on the network, asked over UDP and TCP port 53."""
    web, db = hosts
    web.write("/etc/hosts", "127.0.0.1 localhost web\n")
    db.write("/usr/local/bin/dns.py", DNS)
    db.write("/etc/systemd/system/dns.service", "[Service]\nExecStart=/usr/bin/python3 /usr/local/bin/dns.py\n[Install]\nWantedBy=multi-user.target\n")
    db.systemctl("enable", "--now", "dns.service")
    web.write("/etc/resolv.conf", f"nameserver {db.ip}\noptions timeout:2 attempts:2\n")
    wait_until(lambda: resolves(web), "the name has an address")


DNS = """\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
while True:
    query, peer = s.recvfrom(512)
    end = query.index(b"\\0", 12) + 5
    is_a = query[end - 4:end - 2] == b"\\0\\1"
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4" + bytes((10, 77, 1, 2)) if is_a else b""
    s.sendto(query[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if is_a else b"\\0\\0") + b"\\0\\0\\0\\0" + query[12:end] + answer, peer)
"""


def flows(web, db):
    return web.outcome(db.ip, APP_PORT) == "served"


def flows_within(web, db, began):
    """By the mesh: db refuses everybody else."""
    wait_until(lambda: flows(web, db), "traffic flows by the mesh again", timeout=10)
    assert time.monotonic() - began < WITHIN_S + 1.0, "longer than a second, and a second for this machine"


def test_foreign_rules_survive_stops_starts_and_reboots(hosts, name_service, stops, reboots):
    web, db = hosts
    web.exec("iptables-nft-restore", "--noflush", input=DOCKER)
    before = foreign(web)
    assert "DOCKER" in before and "admins" in before
    for _ in range(stops):
        web.systemctl("stop", *UNITS)
        assert foreign(web) == before and resolves(web)
        web.start()
        assert foreign(web) == before and resolves(web)
    assert flows(web, db)
    web.exec("iptables-nft", "-t", "nat", "-F")
    web.exec("iptables-nft", "-t", "nat", "-X")
    web.exec("nft", "delete", "table", "ip", "nat")
    at_boot = foreign(web)
    for _ in range(reboots):
        web.reboot()
        assert resolves(web)
        wait_until(web.is_capturing, "capture is active")
        assert foreign(web) == at_boot and resolves(web) and len(own_tables(web)) == 1
    assert flows(web, db)


@pytest.mark.parametrize("how", ["nft flush ruleset", "systemctl restart nftables.service"])
def test_capture_survives_who_flushes_all_rules(hosts, how):
    web, db = hosts
    for host in hosts:
        host.exec(*how.split())
        assert flows(web, db), f"at once after {how} on {host.name}"
        assert len(own_tables(host)) >= 1
        host.systemctl("restart", "nftables.service")
        assert "admins" in foreign(host)


def test_docker_like_rules_come_and_go_beside_capture(hosts):
    web, db = hosts
    before = foreign(web)
    web.exec("iptables-nft-restore", "--noflush", input=DOCKER)
    with_docker = foreign(web)
    assert flows(web, db)
    web.systemctl("restart", *UNITS)
    wait_until(web.is_capturing, "capture is active")
    assert foreign(web) == with_docker and flows(web, db)
    web.exec("nft", "delete", "table", "ip", "nat")
    assert foreign(web) == before and flows(web, db)


def test_firewalld_reload_leaves_capture_alone(hosts):
    web, db = hosts
    web.systemctl("start", "firewalld.service")
    wait_until(lambda: "running" in web.exec("firewall-cmd", "--state", check=False).stdout, "firewalld runs")
    assert flows(web, db)
    before = foreign(web)
    for option in ("--reload", "--complete-reload"):
        began = time.monotonic()
        web.exec("firewall-cmd", option)
        flows_within(web, db, max(began, time.monotonic() - 0.1))
        assert foreign(web) == before
    web.systemctl("stop", "firewalld.service")
    assert flows(web, db)
    web.systemctl("restart", "nftables.service")


def saved_ruleset(host):
    """What an administrator does who does not know better."""
    return "#!/usr/sbin/nft -f\nflush ruleset\n" + host.exec("nft", "list", "ruleset").stdout


def is_loadable(host):
    return host.exec("nft", "--check", "-f", "/etc/nftables.conf", check=False).returncode == 0


def test_ruleset_saved_during_capture_is_loaded_during_capture(hosts):
    """nft refuses a whole file for one table that another program owns: the host would be without its firewall."""
    web, db = hosts
    web.write("/etc/nftables.conf", saved_ruleset(web))
    wait_until(lambda: is_loadable(web), "the saved rules can be loaded", timeout=15)
    web.systemctl("restart", "nftables.service")
    assert "admins" in foreign(web), "the host has its firewall"
    wait_until(lambda: len(own_tables(web)) == 1, "the saved table is gone", timeout=10)
    assert flows(web, db)


def test_ruleset_saved_during_capture_is_loaded_after_a_restart_a_reboot_and_purge(hosts):
    web, db = hosts
    web.write("/etc/nftables.conf", saved_ruleset(web))
    assert "mooring_" in web.exec("cat", "/etc/nftables.conf").stdout
    web.systemctl("stop", *UNITS)
    web.systemctl("restart", "nftables.service")
    assert "admins" in foreign(web)
    web.start()
    assert len(own_tables(web)) == 1 and flows(web, db)

    web.reboot()
    wait_until(web.is_capturing, "capture is active")
    wait_until(lambda: len(own_tables(web)) == 1, "the saved table is gone", timeout=10)
    assert flows(web, db) and "admins" in foreign(web), "the host has its firewall"

    web.dpkg("--purge", "mooring")
    assert own_tables(web) == []
    web.systemctl("restart", "nftables.service")
    assert web.property("nftables.service", "Result") == "success" and "admins" in foreign(web)
    assert own_tables(web) == [], "a dead redirect came back"
