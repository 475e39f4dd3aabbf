"""`mooring join` and `mooring leave`: what is looked at before anything is changed, what is written, and that it goes again."""
import json
import os
import ssl
import time

import pytest

import harness
import resources
from control_plane import ControlPlane
from harness import section, service
from identities import Ca
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "control-plane")]
PORT, APP, STAND_IN = 8080, 8081, 15678
NODE, DOMAIN = "default.web-1", "default.zone1.mesh.local"
OK, REFUSED, USAGE, UNAVAILABLE, CONFIG = 0, 1, 2, 69, 78


class Site:
    """web is going to join; `cp` is the control plane, and has a stand-in for what a real one never answers."""

    def __init__(self, lab):
        self.web = lab.host("web", identity=False)
        self.plane = ControlPlane(lab.host("cp", identity=False))
        self.reset()

    def reset(self):
        self.web.exec("rm", "-rf", "/etc/mooring")
        self.web.exec("install", "-d", "-m", "750", "-g", str(harness.AGENT_UID), "/etc/mooring")
        self.write(section("[host]", name="Web-1") + service("http", PORT, protocol="http"))
        self.give(ca=self.plane.ca.pem, token=self.plane.tokens.make(workload="shop"))

    def write(self, text):
        self.web.write_config(text)

    def give(self, **files):
        for name, text in files.items():
            (self.web.folder / name).write_text(text)

    def join(self, *more, urls=None, **options):
        words = [word for url in urls or [self.plane.url] for word in ("--control-plane", url)]
        return self.web.mooring("join", *words, "--ca-file", self.web.folder / "ca", "--token-file", self.web.folder / "token", *more, check=False, **options)

    def files(self):
        found = self.web.exec("find", "/etc/mooring", "-type", "f", "-printf", "%P %m %u %G\n").stdout
        return {line.split()[0]: line.split()[1:] for line in found.splitlines()}

    def read(self, file):
        return self.web.path(f"/etc/mooring/{file}").read_text()

    def stand_in(self, certificate, key, answer=b""):
        """A server with that certificate at STAND_IN; `answer` to whatever is asked."""
        (self.web.folder / "stand-in.pem").write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.web.folder / "stand-in.pem")

        def serve(connection):
            with context.wrap_socket(connection, server_side=True) as stream:
                stream.recv(65536)
                stream.sendall(answer)
        return self.plane.host.server(STAND_IN, serve)

    @property
    def stand_in_url(self):
        return f"https://{self.plane.host.ip}:{STAND_IN}"


@pytest.fixture(scope="module")
def the_site(lab):
    return Site(lab)


@pytest.fixture
def site(the_site):
    the_site.reset()
    return the_site


def refuses(site, result, code, *parts):
    """One sentence with its remedy; nothing was written, and the token is nowhere."""
    assert result.returncode == code, result.stdout + result.stderr
    assert [part for part in parts if part not in result.stderr] == [], result.stderr
    assert result.stderr.startswith("mooring: ") and result.stderr.count("\n") == 1, result.stderr
    assert set(site.files()) == {"agent.toml"}
    assert (site.web.folder / "token").read_text().split(".")[-1] not in result.stdout + result.stderr


# ---- looking


def test_a_dry_run_says_all_and_changes_nothing(site):
    result = site.join("--dry-run")
    assert result.returncode == OK, result.stderr
    for part in (site.plane.url, "web-1 of mesh default, workload shop, at 10.77.1.1", "http 8080 (http)", "240.0.0.0/4", "Nothing was changed"):
        assert part in result.stdout, result.stdout
    assert set(site.files()) == {"agent.toml"}
    answer = json.loads(site.join("--dry-run", "--json").stdout)
    assert answer["joined"] is False and answer["problem"] is None
    assert answer["dataplane"] == {"mesh": "default", "name": "web-1", "workload": "shop", "address": "10.77.1.1",
                                   "inbound": [{"name": "http", "port": PORT, "protocol": "http"}]}
    assert {each["path"].rpartition("/")[2]: each["action"] for each in answer["files"]} == {
        "ca.pem": "create", "token": "create", "10-control-plane.toml": "create", "capture.toml": "create"}


@pytest.mark.parametrize("url, code, parts", [
    ("http://10.77.1.2:5678", USAGE, ["https://"]),
    ("https://absent.test:5678", UNAVAILABLE, ["absent.test", "no address"]),
    ("https://10.77.1.2:5679", UNAVAILABLE, ["https://10.77.1.2:5679", "firewall"]),
])
def test_an_address_that_leads_nowhere(site, url, code, parts):
    refuses(site, site.join("--address", "10.77.1.1", urls=[url]), code, *parts)


def test_one_of_two_addresses_is_enough(site):
    result = site.join("--dry-run", urls=["https://10.77.1.2:5679", site.plane.url])
    assert result.returncode == OK and "warning: https://10.77.1.2:5679" in result.stderr


def test_the_certificate_is_told_from_the_rest(site):
    ca, ip = site.plane.ca, site.plane.host.ip
    for certificate, parts in [
            (Ca().server([ip]), ["CA", "--ca-file"]),
            (ca.server(["10.77.1.99"]), ["name", ip]),
            (ca.server([ip], seconds=-5), ["expired", "clock"])]:
        server = site.stand_in(*certificate)
        refuses(site, site.join(urls=[site.stand_in_url]), REFUSED, *parts)
        server.stop()


def test_what_is_no_tls_and_what_is_no_control_plane(site):
    plain = site.plane.host.server(STAND_IN, lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
    refuses(site, site.join(urls=[site.stand_in_url]), REFUSED, "TLS")
    plain.stop()
    other = site.stand_in(*site.plane.ca.server([site.plane.host.ip]), b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnope\n")
    refuses(site, site.join(urls=[site.stand_in_url]), REFUSED, "nope")
    other.stop()


def test_a_clock_that_is_wrong_is_warned_of(site):
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 7200)).encode()
    server = site.stand_in(*site.plane.ca.server([site.plane.host.ip]), b"HTTP/1.1 200 OK\r\nDate: " + date + b"\r\nContent-Length: 2\r\n\r\n{}")
    result = site.join("--dry-run", urls=[site.stand_in_url])
    server.stop()
    assert result.returncode == OK and "clock is 2h 0m ahead" in result.stderr, result.stderr


def test_a_ca_file_that_is_none(site):
    site.give(ca="no certificate")
    refuses(site, site.join(), USAGE, "certificate", "PEM")


@pytest.mark.parametrize("token, parts", [
    (lambda tokens: "garbage", ["no dataplane token", "kumactl"]),
    (lambda tokens: tokens.make(workload="shop", seconds=-60), ["expired", "kumactl"]),
    (lambda tokens: tokens.make(workload="shop", not_before=600), ["valid from", "clock"]),
])
def test_a_token_that_does_not_do(site, token, parts):
    site.give(token=token(site.plane.tokens))
    refuses(site, site.join(), REFUSED, *parts)


@pytest.mark.parametrize("option, value, part", [("--mesh", "other", "is for mesh default"), ("--workload", "db", "is for workload shop"),
                                                 ("--name", "db", "is for name web")])
def test_a_token_of_somebody_else(site, option, value, part):
    site.give(token=site.plane.tokens.make(workload="shop", name="web"))
    refuses(site, site.join(option, value), REFUSED, part, f"use {option}")


def test_a_token_that_lives_too_long_is_warned_of(site):
    site.give(token=site.plane.tokens.make(workload="shop", seconds=100 * 86400))
    result = site.join("--dry-run")
    assert result.returncode == OK and "90 days" in result.stderr


def test_the_token_comes_by_standard_input(site):
    token = (site.web.folder / "token").read_text()
    (site.web.folder / "token").write_text("nothing")
    result = site.web.mooring("join", "--control-plane", site.plane.url, "--ca-file", site.web.folder / "ca", "--token-file", "-", "--dry-run", input=token)
    assert "workload shop" in result.stdout


def test_the_control_plane_says_no(site):
    site.give(token=site.plane.tokens.make(mesh="nope", workload="shop"))
    refuses(site, site.join("--mesh", "nope"), REFUSED, "does not know the mesh", "does not exist", "make the mesh")


def test_a_port_that_is_taken(site):
    server = site.web.server(9902)
    refuses(site, site.join(), REFUSED, "control_plane.readiness_port", "port 9902 is taken", "ss -ltnp")
    server.stop()


def test_a_configuration_of_its_own_is_not_overruled(site):
    site.write(section("[host]", trust_domain="shop.test") + service("http", PORT, allow=["spiffe://shop.test/web"]))
    result = site.join()
    assert result.returncode == CONFIG
    assert "agent.toml:7:1: allow is not used with [control_plane]" in result.stderr
    assert set(site.files()) == {"agent.toml"}


def test_a_dataplane_file_takes_the_place_of_services(site):
    site.write(section("[host]", name="Web-1"))
    site.give(dataplane="type: Dataplane\nmesh: default\nname: from-file\nlabels: {kuma.io/workload: shop}\n"
                        "networking: {address: 10.77.1.1, inbound: [{port: 9000, name: main}]}\n")
    result = site.join("--dataplane", site.web.folder / "dataplane", "--dry-run")
    assert "from-file of mesh default, workload shop" in result.stdout and "main 9000 (tcp)" in result.stdout, result.stdout + result.stderr
    refused = site.join("--dataplane", site.web.folder / "dataplane", "--name", "other", "--dry-run")
    assert refused.returncode == CONFIG and 'name is "from-file"' in refused.stderr


def test_only_root_changes_the_host(site):
    result = site.web.exec(site.web.lab.program("mooring"), "join", "--control-plane", site.plane.url, "--ca-file", site.web.folder / "ca",
                           "--token-file", site.web.folder / "token", user=harness.AGENT_UID, check=False)
    assert result.returncode == 77 and "run it as root" in result.stderr, result.stderr


# ---- changing


def test_files_are_written_once_and_leave_takes_them_away(site):
    bounds = "[inbound]\nports = [22]\n"
    site.web.allow_capture(bounds)
    assert site.join("--wait", "0").returncode == OK
    group = str(harness.AGENT_UID)
    assert site.files() == {
        "agent.toml": site.files()["agent.toml"], "conf.d/10-control-plane.toml": ["640", "root", group], "capture.toml": ["644", "root", group],
        "capture.toml.before-join": site.files()["capture.toml.before-join"],
        "control-plane/ca.pem": ["640", "root", group], "control-plane/token": ["640", "root", group]}
    assert "ports = [22, 8080]" in site.read("capture.toml")
    settings = site.read("conf.d/10-control-plane.toml")
    for part in (f'addresses = ["{site.plane.url}"]', 'name = "web-1"', 'workload = "shop"', "enabled = true"):
        assert part in settings, settings
    assert site.web.mooring("config", "check").returncode == OK

    again = json.loads(site.join("--wait", "0", "--json").stdout)
    assert {each["action"] for each in again["files"]} == {"keep"} and again["problem"] is None and again["joined"] is False  # nobody waited

    site.give(token=site.plane.tokens.make(workload="shop"))
    changed = json.loads(site.join("--wait", "0", "--json").stdout)
    assert [each["path"] for each in changed["files"] if each["action"] == "replace"] == ["/etc/mooring/control-plane/token"]

    left = site.web.mooring("leave")
    assert "restored   /etc/mooring/capture.toml" in left.stdout and "removed    /etc/mooring/control-plane/token" in left.stdout
    assert set(site.files()) == {"agent.toml", "capture.toml"} and site.read("capture.toml") == bounds
    assert "has joined no control plane" in site.web.mooring("leave").stdout


def test_an_agent_that_does_not_come_is_said_so(site):
    result = site.join("--wait", "1")
    assert result.returncode == UNAVAILABLE
    assert "There is no systemd here" in result.stdout and "does not answer within 1 s" in result.stderr


# ---- the mesh itself


class Member:
    """web joins in earnest: its agent starts when the files are there, as systemd would start it."""

    def __init__(self, site):
        self.site, self.web, self.plane = site, site.web, site.plane
        state = self.web.logs / "state"
        state.mkdir(exist_ok=True)
        os.chown(state, harness.AGENT_UID, harness.AGENT_UID)
        site.write(section("[host]", name="Web-1") + section("[control_plane]", state_dir=str(state)) +
                   service("http", PORT, target=f"127.0.0.1:{APP}") + section("[access_log]", file=str(self.web.logs / "access.log")))
        self.ca = Ca(DOMAIN)

    def resources(self, *more):
        return [resources.inbound(self.web.ip, PORT, DOMAIN, []), resources.inbound_cluster(PORT, app_port=APP), *more]

    def serve(self):
        self.plane.set(NODE, self.resources(resources.identity(*self.ca.svid("workload/shop")), resources.trust({DOMAIN: self.ca.pem})))

    def join(self, *more):
        """(exit code, output) of join, with an agent that starts meanwhile."""
        words = ["--control-plane", self.plane.url, "--ca-file", self.web.folder / "ca", "--token-file", self.web.folder / "token", "--no-capture"]
        joining = self.web.spawn(f"join-{time.monotonic_ns()}", self.web.lab.program("mooring"), "join", *words, *more)
        wait_until(lambda: joining.exit_code is not None or "start mooring-net and mooringd" in joining.log(), "join has written")
        if joining.exit_code is None:
            self.web.start_agent(wait=False)
        return joining.wait(120), joining.log()

    def close(self):
        if self.web.agent is not None and self.web.agent.exit_code is None:
            self.web.agent.stop()
        self.plane.behave(deregistration_delay=10)


@pytest.fixture
def member(site):
    the_member = Member(site)
    the_member.plane.behave(deregistration_delay=0)
    yield the_member
    the_member.close()


def test_join_waits_until_the_mesh_is_up_and_leave_ends_it(member):
    app = member.web.server(APP)
    member.serve()
    code, said = member.join()
    assert code == OK, said
    for part in ("This host is web-1 in mesh default.", f"spiffe://{DOMAIN}/workload/shop", f"issued by CN={DOMAIN}", "self_inbound_dp_"):
        assert part in said, said
    again = json.loads(member.site.join("--no-capture", "--json").stdout)
    assert again["joined"] is True and again["status"]["control_plane"]["state"] == "live"

    mark = member.plane.mark()
    left = member.web.mooring("leave")
    assert "and with it the stream" in left.stdout and member.web.agent.wait(30) == 0
    assert member.plane.wait_for("end", NODE, since=mark)
    assert set(member.site.files()) == {"agent.toml"}
    assert not list((member.web.logs / "state").glob("last-good*"))
    app.stop()


def test_a_token_that_only_the_stream_looks_at(member):
    """Bootstrap does not look at signatures, a stream does."""
    member.serve()
    header, claims, _ = (member.web.folder / "token").read_text().split(".")
    member.site.give(token=f"{header}.{claims}.{'A' * 342}")
    began = time.monotonic()
    code, said = member.join()
    assert code == REFUSED and time.monotonic() - began < 40, said
    assert "signature is invalid" in said and "token" in said.rpartition("(")[2], said


def test_a_mesh_without_identities_is_said_so(member):
    member.plane.set(NODE, member.resources()[1:])
    code, said = member.join("--wait", "5")
    assert code == REFUSED and "gives this host no identity" in said and "MeshIdentity" in said, said
