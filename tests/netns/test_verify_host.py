"""verify-host: what it says about a host with capture, without it, and with what somebody else left or saved."""
import json
import pathlib

import pytest

import harness
from capture_lib import CAPTURED, IN_CLOSED, OUT_OPEN, Site
from traffic import wait_until

pytestmark = [pytest.mark.needs("helper", "nft")]

SCRIPT = harness.ROOT / "installers/verify-host"
FIREWALL = """
table inet filter {
	chain input {
		type filter hook input priority 0; policy accept;
		tcp dport 9999 drop
	}
}
"""


def verify(host, *arguments, expect="installed"):
    """The items by level, after the exit code was compared with them."""
    result = host.exec("sh", SCRIPT, "--json", "--expect", expect, *arguments, check=False)
    answer = json.loads(result.stdout)
    assert result.returncode == (1 if answer["findings"] else 0), result.stderr
    assert result.stderr == ""
    levels = {}
    for item in answer["items"]:
        levels.setdefault(item["level"], []).append(f"{item['area']}: {item['text']} -> {item['todo']}")
    assert len(levels.get("found", [])) == answer["findings"]
    return levels


def found(host, *arguments, **options):
    return verify(host, *arguments, **options).get("found", [])


@pytest.fixture
def site(fresh_lab):
    return Site(fresh_lab).start()


BACKENDS = [(), ("--plain",), ("--backend", "nft-split"), ("--backend", "iptables-nft"), ("--backend", "iptables-legacy")]


@pytest.mark.parametrize("arguments", BACKENDS, ids=" ".join)
def test_captured_host_is_what_its_journal_says(fresh_lab, arguments):
    site = Site(fresh_lab, *arguments).start()
    levels = verify(site.host)
    assert "found" not in levels
    rules = [text for text in levels["here"] if text.startswith("rules: ") and "as the journal says" in text]
    assert len(rules) >= 2, levels
    # Without Mooring the same rules are too many, each with what removes it.
    without = [text for text in found(site.host, expect="purged") if text.startswith("rules: ")]
    assert len(without) == len(rules) and all(" -> " in text and not text.endswith("-> ") for text in without)


@pytest.mark.parametrize("arguments", BACKENDS, ids=" ".join)
def test_nothing_is_left_after_capture(fresh_lab, arguments):
    site = Site(fresh_lab, *arguments).start()
    site.tool().ask(4)  # DROP
    site.agent.stop()
    site.host.helper.stop()
    assert [text for text in found(site.host, expect="purged") if text.startswith(("rules", "processes", "journal"))] == []


def test_rules_that_nobody_wrote_down_are_findings(site):
    site.host.helper.kill()
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    site.host.nft(f"table inet mooring_{boot}_b {{ }}\ntable ip mooring_ffffffff_a {{ }}\n")
    site.host.exec("iptables-nft", "-t", "nat", "-N", "mooring_ffffffff_a_out")
    findings = found(site.host)
    assert len(findings) == 3, findings
    assert any(f"mooring_{boot}_b is not in the journal" in text and f"nft delete table inet mooring_{boot}_b" in text for text in findings)
    assert sum("of another boot" in text for text in findings) == 2


def test_the_remedies_work(fresh_lab):
    """Each command that it names is run as it stands there, and then there is nothing more to find."""
    host = fresh_lab.host("host", identity=False)
    host.nft("table inet mooring_ffffffff_a { }\ntable ip6 mooring_ffffffff_guard { }\n")
    for program in ("iptables-nft", "ip6tables-nft", "iptables-legacy"):
        host.exec(program, "-t", "nat", "-N", "mooring_ffffffff_a_out")
        host.exec(program, "-t", "nat", "-I", "OUTPUT", "-j", "mooring_ffffffff_a_out")
        host.exec(program, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "77", "-j", "RETURN")
    host.path("/etc/nftables.conf").write_text(FIREWALL + "table inet mooring_ffffffff_a {\n\tchain x {\n\t}\n}\n")
    host.path("/etc/iptables").mkdir(exist_ok=True)
    host.path("/etc/iptables/rules.v4").write_text("*nat\n:mooring_ffffffff_a_out - [0:0]\n-A OUTPUT -j mooring_ffffffff_a_out\nCOMMIT\n")
    findings = [text for text in found(host, expect="purged") if text.startswith(("rules", "firewall"))]
    assert len(findings) == 7, findings
    for finding in findings:
        host.exec("sh", "-c", finding.partition(" -> ")[2])
    assert [text for text in found(host, expect="purged") if text.startswith(("rules", "firewall"))] == []
    assert host.path("/etc/nftables.conf").read_text() == FIREWALL
    assert "--dport 77" in host.exec("iptables-legacy-save", "-t", "nat").stdout, "a foreign rule went with ours"


def test_a_journal_of_another_boot_explains_nothing(site):
    journal = site.host.path("/run/mooring/net-state/journal")
    site.host.helper.kill()
    journal.write_text(journal.read_text().replace("mooring-journal 1 ", "mooring-journal 1 0", 1))
    assert any("is not in the journal" in text for text in found(site.host))


def test_a_journal_cannot_make_it_run_anything(site):
    journal = site.host.path("/run/mooring/net-state/journal")
    site.host.helper.kill()
    boot = journal.read_text().split()[2]
    journal.write_text(f"mooring-journal 1 {boot}\nwill 1 nft inet $(touch /run/owned) was absent\nwill 1 nft inet `touch /run/owned` was absent\n")
    verify(site.host)
    assert not site.host.path("/run/owned").exists()


# ---- rulesets that were saved while capture was on


def save(site):
    """As many do: the whole ruleset into the file that nftables.service loads."""
    site.host.nft(FIREWALL)
    ruleset = site.host.exec("nft", "list", "ruleset").stdout
    assert "mooring_" in ruleset and "dport 9999" in ruleset
    site.host.path("/etc/nftables.conf").write_text(ruleset)


def restart_nftables(site):
    """What systemctl restart nftables does."""
    site.host.exec("nft", "flush", "ruleset")
    return site.host.exec("nft", "-f", "/etc/nftables.conf", check=False)


def test_a_ruleset_saved_under_capture_can_be_loaded(site):
    save(site)
    before = site.status()["table"]
    wait_until(lambda: site.status()["table"] not in ("", before), "capture has taken another name")
    assert site.picture() == CAPTURED
    result = restart_nftables(site)
    assert result.returncode == 0, result.stderr
    assert "dport 9999" in site.host.exec("nft", "list", "ruleset").stdout, "the host's firewall is not there"
    wait_until(lambda: before not in site.our_tables(), "the saved table is gone")
    assert site.picture() == CAPTURED
    assert any("/etc/nftables.conf was saved while capture was on" in text for text in found(site.host))


def test_without_another_name_the_file_would_leave_the_host_without_a_firewall(site):
    """What the test above guards against does happen."""
    site.host.helper.signal(19)  # SIGSTOP: it cannot look
    save(site)
    assert any("refuses the whole file" in text for text in found(site.host))
    assert restart_nftables(site).returncode != 0
    assert "dport 9999" not in site.host.exec("nft", "list", "ruleset").stdout
    site.host.helper.signal(18)


def test_plain_rules_that_were_saved_can_be_loaded_and_do_not_come_back(fresh_lab):
    site = Site(fresh_lab, "--plain").start()
    save(site)
    assert restart_nftables(site).returncode == 0
    wait_until(lambda: site.picture() == CAPTURED, "captured after the load")
    site.tool().ask(4)  # DROP
    assert restart_nftables(site).returncode == 0  # the helper is there and nothing is wanted
    wait_until(lambda: site.our_tables() == [], "what the file brought back is gone")
    assert site.outbound(OUT_OPEN) == "app" and site.inbound(IN_CLOSED) == "app"
    site.agent.stop()
    site.host.helper.stop()
    assert restart_nftables(site).returncode == 0  # nobody is there: it says what the file did
    findings = found(site.host, expect="purged")
    assert any("rules: nft inet mooring_" in text for text in findings)
    assert any("firewall: /etc/nftables.conf" in text for text in findings)


# ---- files


def test_files_of_a_mounted_system(tmp_path):
    """By place: what is the package's, what is kept until purge, what is nobody's business."""
    def run(*arguments):
        result = harness.run("sh", SCRIPT, "--json", "--root", tmp_path, *arguments, check=False)
        return json.loads(result.stdout)

    for folder in ("etc/mooring", "var/lib/mooring-net", "usr/bin", "usr/lib/systemd/system", "opt/mooring-docs", "etc/systemd/system/multi-user.target.wants"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nmooring:x:64999:64999::/:/bin/false\n")
    (tmp_path / "var/lib/stray").write_text("")
    harness.os.chown(tmp_path / "var/lib/stray", 64999, 64999)
    (tmp_path / "usr/lib/systemd/system/mooringd.service").write_text("")
    (tmp_path / "etc/systemd/system/multi-user.target.wants/mooringd.service").symlink_to("/usr/lib/systemd/system/mooringd.service")
    (tmp_path / "usr/bin/mooring").write_text("")
    assert (run()["expected"], run()["findings"]) == ("installed", 0)
    (tmp_path / "usr/bin/mooring").unlink()
    removed = run()
    texts = [item["text"] for item in removed["items"] if item["level"] == "found"]
    assert removed["expected"] == "removed"
    assert texts == ["/etc/systemd/system/multi-user.target.wants/mooringd.service", "/usr/lib/systemd/system/mooringd.service",
                     "/var/lib/stray belongs to mooring"]
    purged = run("--expect", "purged")
    assert {"/etc/mooring", "/var/lib/mooring-net", "user mooring"} <= {item["text"] for item in purged["items"] if item["level"] == "found"}
    assert [item["text"] for item in purged["items"] if item["level"] == "look"] == ["/opt/mooring-docs has Mooring's name, and is not a place of Mooring's"]


def test_it_changes_nothing_in_the_kernel(site):
    before = site.host.exec("nft", "list", "ruleset").stdout
    legacy = pathlib.Path("/proc/net/ip_tables_names").read_text()
    modules = pathlib.Path("/proc/modules").read_text() if pathlib.Path("/proc/modules").exists() else ""
    verify(site.host)
    assert site.host.exec("nft", "list", "ruleset").stdout == before
    assert pathlib.Path("/proc/net/ip_tables_names").read_text() == legacy
    assert (pathlib.Path("/proc/modules").read_text() if pathlib.Path("/proc/modules").exists() else "") == modules
