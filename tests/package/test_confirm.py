"""Capture on trial on a host with systemd: its timer takes back what nobody confirms, whoever is dead or stopped."""
import pytest
from harness import upstream
from load import APP_PORT, install_app
from machines import UNITS
from traffic import wait_until

SHORT = "[Timer]\nOnActiveSec=\nOnActiveSec=3\n"


@pytest.fixture(scope="module")
def web(lab):
    web, db = lab.host("web"), lab.host("db")
    install_app(db)
    assert web.install().returncode == 0
    web.join()
    # Nobody answers TLS at db: the canary fails, and whatever is captured is refused.
    web.configure(upstream("db", db, [APP_PORT], spiffe_ids=["spiffe://shop.test/db"]), captures=False)
    web.systemctl("start", "mooringd.service")
    web.db = db
    return web


@pytest.fixture(autouse=True)
def idle(web):
    web.systemctl("start", *UNITS)
    wait_until(lambda: web.status().get("ready"), "the agent answers")
    assert not is_captured(web)
    yield
    web.systemctl("stop", "mooring-rollback.timer")
    web.exec("rm", "-rf", "/etc/systemd/system/mooring-rollback.timer.d")
    web.systemctl("daemon-reload")


def is_captured(web):
    return web.outcome(web.db.ip, APP_PORT) != "served"


def capture_on(web, *more):
    """The canary fails here, and says so."""
    wait_until(lambda: web.mooring("capture", "on", "--force", *more, check=False).returncode == 0, "captured")
    wait_until(lambda: is_captured(web), "captured")


def test_a_canary_that_fails_captures_nothing(web):
    result = web.mooring("capture", "on", check=False)
    assert result.returncode == 1 and "Nothing was captured" in result.stderr
    assert not web.is_active("mooring-rollback.timer") and not is_captured(web)


CONFLICTS = {
    "another mesh's rules": ("nft add table ip nat; nft add chain ip nat KUMA_MESH_OUTBOUND", "rules: rules of Kuma (two meshes cannot",
                             "nft delete table ip nat"),
    "a program on the agent's port": ("systemctl stop mooringd && systemd-run --unit=squatter -p Type=exec python3 -m http.server --bind 127.0.0.1 15001",
                                      "ports: port 15001 of the agent is taken by python3 (squatter.service)", "systemctl stop squatter"),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("way", [[], ["--yes"]], ids=["trial", "automation"])
def test_what_is_in_the_way_is_named_before_anything_is_changed(web, conflict, way):
    make, says, end = CONFLICTS[conflict]
    web.exec("sh", "-c", make)
    try:
        wait_until(lambda: says in web.mooring("capture", "on", *way, check=False).stderr, says)
        rules, state = web.exec("nft", "list", "ruleset").stdout, web.exec("sh", "-c", "cat /var/lib/mooring-net/* | sha256sum").stdout
        result = web.mooring("capture", "on", *way, check=False)
        assert result.returncode == 1 and says in result.stderr and "Nothing was captured" in result.stderr
        assert not web.is_active("mooring-rollback.timer") and not is_captured(web)
        assert web.exec("nft", "list", "ruleset").stdout == rules and "mooring_" not in rules
        assert web.exec("sh", "-c", "cat /var/lib/mooring-net/* | sha256sum").stdout == state
    finally:
        web.exec("sh", "-c", end)


def test_confirmed_it_stays_over_a_reboot(web):
    capture_on(web)
    assert web.is_active("mooring-rollback.timer")
    assert "OnActiveUSec=2min 5s" in web.property("mooring-rollback.timer", "TimersMonotonic")
    assert web.mooring("capture", "confirm").stdout == "Capture is confirmed and stays, also after a reboot.\n"
    assert not web.is_active("mooring-rollback.timer")
    web.reboot()
    web.systemctl("start", "mooringd.service")
    wait_until(lambda: is_captured(web), "captured after the reboot")
    assert web.mooring("capture", "off").returncode == 0


def test_unconfirmed_it_does_not_survive_a_reboot(web):
    capture_on(web)
    web.reboot()
    web.systemctl("start", "mooringd.service")
    wait_until(lambda: web.status().get("ready"), "the agent answers")
    assert not is_captured(web)
    assert "mooring_" not in web.exec("nft", "list", "tables").stdout
    assert web.status()["capture"]["state"] == "held_off"


FATES = {"both stopped": ("STOP", UNITS), "helper stopped": ("STOP", UNITS[1:]), "agent stopped": ("STOP", UNITS[:1]), "both run": ("CONT", UNITS)}


@pytest.mark.parametrize("fate", FATES)
def test_the_timer_takes_it_back(web, fate):
    web.write("/etc/systemd/system/mooring-rollback.timer.d/short.conf", SHORT)
    web.systemctl("daemon-reload")
    capture_on(web)
    signal, units = FATES[fate]
    web.systemctl("kill", "--kill-who=main", f"--signal={signal}", *units)
    wait_until(lambda: not is_captured(web), "put back", timeout=30)
    wait_until(lambda: "mooring_" not in web.exec("nft", "list", "tables").stdout, "no table is left", timeout=30)
    said = web.journal("mooring-rollback.service")
    assert "nobody confirmed capture: going back to what was before" in said
    wait_until(lambda: all(web.is_active(unit) for unit in UNITS), "both run again", timeout=60)
    wait_until(lambda: web.status().get("capture", {}).get("state") == "held_off", "held off", timeout=60)
    wait_until(lambda: web.exec("test", "-e", "/var/lib/mooring-net/trial", check=False).returncode == 1, "nothing is on trial")


def test_killed_units_leave_nothing_on_trial(web):
    """They come back by themselves, and the trial does not."""
    capture_on(web)
    web.systemctl("kill", "--kill-who=main", "--signal=KILL", *UNITS)
    wait_until(lambda: not is_captured(web) and web.status().get("capture", {}).get("state") == "held_off", "put back", timeout=60)


def test_verify_host_knows_a_captured_host(web):
    capture_on(web, "--yes")
    result = web.exec("sh", "/usr/libexec/mooring/verify-host", check=False)
    print(result.stdout)
    assert result.returncode == 0, result.stdout
    assert "as the journal says" in result.stdout
    web.mooring("capture", "off")
