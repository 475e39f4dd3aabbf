"""The test control plane itself, held to what a real Envoy makes of it: what the agent's tests rest on must not be of our own making."""
import base64
import json
import time

import pytest

import authorization
import envoy
import resources
import traffic
from control_plane import ControlPlane
from identities import Ca, Tokens
from traffic import wait_until

pytestmark = [pytest.mark.needs("envoy", "control-plane", "curl")]
DOMAIN = "default.zone1.mesh.local"
PORT, APP, OTHER_APP, OUT = 7000, 7010, 7011, 7020
SERVICE = "kri_msvc_default_zone1__db_main"
DENIED = (traffic.CLOSED, traffic.RESET)


def spiffe(name):
    return f"spiffe://{DOMAIN}/workload/{name}"


def dataplane(host, workload=None):
    return {"type": "Dataplane", "mesh": "default", "name": host.name, "labels": {"kuma.io/workload": workload or host.name},
            "networking": {"address": host.ip, "inbound": [{"port": PORT, "servicePort": APP, "name": "main", "serviceProbe": {"tcp": {}}}]}}


class Mesh:
    """web's Envoy calls db's, and the control plane says how."""

    def __init__(self, lab):
        self.web, self.db = lab.host("web"), lab.host("db")
        self.plane = ControlPlane(lab.host("cp"))
        self.ca = Ca(DOMAIN)
        self.apps = [self.db.server(APP), self.db.server(OTHER_APP)]
        self.identities = {host.name: resources.identity(*self.ca.svid(f"workload/{host.name}")) for host in (self.web, self.db)}
        self.plane.behave(health_interval="1s")

    def token(self, host, **claims):
        return self.plane.tokens.make(**{"workload": host.name, **claims})

    def request(self, host, **changes):
        return {"mesh": "default", "name": host.name, "proxyType": "dataplane", "dataplaneToken": self.token(host),
                "dataplaneResource": json.dumps(dataplane(host)), "caCert": self.plane.ca.pem, "readinessPort": 9902, "dnsPort": 15053,
                "workdir": str(host.folder), "features": ["feature-reuse-port"], **changes}

    def ask(self, host, url=None, **changes):
        """(status, body) of the bootstrap."""
        (host.folder / "ca.pem").write_text(self.plane.ca.pem)
        result = host.exec("curl", "-s", "--cacert", host.folder / "ca.pem", "-H", "accept: application/json", "-H", "content-type: application/json",
                           "--data-binary", "@-", "-w", "\n%{http_code}", f"{url or self.plane.url}/bootstrap",
                           input=json.dumps(self.request(host, **changes)))
        body, _, status = result.stdout.rpartition("\n")
        return int(status), body

    def start(self, host, api="DELTA_GRPC", **changes):
        """Envoy, with what the bootstrap answered and nothing else."""
        status, body = self.ask(host, **changes)
        assert status == 200, body
        file = host.folder / "bootstrap.yaml"
        file.write_text(base64.b64decode(json.loads(body)["bootstrap"]).decode().replace("DELTA_GRPC", api))
        process = host.spawn("envoy", envoy.program(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
        host.apps["envoy"] = process
        return process

    def inbound(self, *rules):
        return resources.inbound(self.db.ip, PORT, DOMAIN, list(rules))

    def server_side(self, *rules):
        return [self.identities["db"], resources.trust({DOMAIN: self.ca.pem}), self.inbound(*rules), resources.inbound_cluster(PORT, app_port=APP)]

    def client_side(self):
        return [self.identities["web"], resources.trust({DOMAIN: self.ca.pem}), resources.outbound(SERVICE, "127.0.0.1", OUT),
                resources.eds_cluster(SERVICE, [spiffe("db")]), resources.endpoints(SERVICE, [(self.db.ip, PORT)])]

    ALLOW = ("allow", "web", [{"exact": spiffe("web")}])

    def reset(self):
        self.plane.set("default.db", self.server_side(self.ALLOW))
        self.plane.set("default.web", self.client_side())
        self.settle()

    def settle(self):
        for host in (self.db, self.web):
            self.plane.wait_settled(f"default.{host.name}")

    def outcome(self):
        return self.web.outcome("127.0.0.1", OUT)

    def wait_for(self, *outcomes):
        wait_until(lambda: self.outcome() in outcomes, f"an outcome of {outcomes}", interval=0.05)


@pytest.fixture(scope="module")
def strangers(lab):
    """Before any Envoy has come."""
    return Mesh(lab)


@pytest.fixture(scope="module")
def joined(strangers):
    mesh = strangers
    mesh.plane.set("default.db", mesh.server_side(mesh.ALLOW))
    mesh.plane.set("default.web", mesh.client_side())
    for host in (mesh.db, mesh.web):
        mesh.start(host)
    mesh.settle()
    return mesh


@pytest.fixture
def mesh(joined):
    joined.reset()
    joined.wait_for("served")
    return joined


# ---- before anybody is let in


@pytest.mark.parametrize("change, status, text", [
    ({"dataplaneToken": ""}, 422, "Dataplane Token is required."),
    ({"dataplaneToken": "garbage"}, 200, "kumaSidecarConfiguration"),
    ({"dataplaneResource": ""}, 404, ""),
    ({"dataplaneResource": '{"type": "Dataplane", "mesh": "nope", "networking": {"address": "10.0.0.1"}}'}, 422, 'mesh: mesh "nope" does not exist'),
    ({"dataplaneResource": '{"type": "Dataplane", "mesh": "default", "networking": {"address": "10.0.0.1", "inbound": [{"port": 0}]}}'}, 422,
     "networking.inbound[0].port: port must be in the range [1, 65535]"),
    ({"dataplaneConfig": {"redirect": {"outbound": {"enabled": True}}}, "dataplaneResource":
      '{"type": "Dataplane", "mesh": "default", "networking": {"address": "10.0.0.1", "outbound": [{"port": 1}]}}'}, 422,
     "outbound: should be empty since dataplane is in Transparent Proxying mode"),
    ({"caCert": ""}, 400, "is not a certificate authority"),
    ({"proxyType": "ingress"}, 500, ""),
])
def test_bootstrap_answers_in_the_words_of_a_control_plane(strangers, change, status, text):
    got, body = strangers.ask(strangers.web, **change)
    assert got == status and text in body and bool(text) == bool(body), body


def test_bootstrap_knows_its_own_addresses(strangers):
    host = strangers.web
    (host.folder / "ca.pem").write_text(strangers.plane.ca.pem)
    result = host.exec("curl", "-s", "--cacert", host.folder / "ca.pem", "-H", "host: elsewhere", "--data-binary", "@-", f"{strangers.plane.url}/bootstrap",
                       input=json.dumps(strangers.request(host)))
    assert 'using "elsewhere" address' in result.stdout


def test_tokens_are_refused_with_the_reason():
    tokens, other = Tokens(), Tokens()
    proxy = {"name": "web", "mesh": "default", "labels": {"kuma.io/workload": "web", "team": "a"}}
    for token, reason in [
            (tokens.make(workload="web"), None),
            (tokens.make(workload="web", name="web", Tags={"team": ["a", "b"]}), None),
            (tokens.make(), "requires a workload-bound token"),
            (tokens.make(workload="db"), 'dataplane workload "web" is not allowed with this token. Allowed workload in token is "db"'),
            (tokens.make(workload="web", name="db"), "proxy name from requestor: web is different than in token: db"),
            (tokens.make(workload="web", mesh="other"), "proxy mesh from requestor: default is different than in token: other"),
            (tokens.make(workload="web", Tags={"team": ["b"]}), 'Allowed values in token are ["b"]'),
            (tokens.make(workload="web", Tags={"zone": ["b"]}), 'dataplane has no tag "zone" required by the token'),
            (tokens.make(workload="web", seconds=-1), "token is expired"),
            (tokens.make(workload="web", not_before=600), "token is not yet valid"),
            (tokens.make(workload="web", jti="gone"), "token is revoked"),
            (other.make(workload="web"), "token signature is invalid"),
            ("", "token contains an invalid number of segments"),
            ("aW52YWxpZA.e30.x", "could not JSON decode header: invalid character 'i' looking for beginning of value")]:
        try:
            authorization.check(token, tokens.public_key, proxy, revoked=["gone"])
            refused = None
        except authorization.Refused as error:
            refused = str(error)
        assert refused == reason if reason is None else reason in (refused or ""), (reason, refused)


def test_a_stream_without_the_right_token_gets_nothing(strangers):
    mesh = strangers
    mesh.plane.set("default.web", mesh.client_side())
    process = mesh.start(mesh.web, dataplaneToken=mesh.token(mesh.web, workload="db"))
    refused = mesh.plane.wait_for("refused", "default.web")
    assert refused["text"].startswith('authentication failed: dataplane workload "web" is not allowed')
    process.stop()
    assert mesh.plane.log("response") == []


def test_the_state_of_the_world_is_never_told(strangers):
    mesh = strangers
    mesh.plane.set("default.web", mesh.client_side())
    process = mesh.start(mesh.web, api="GRPC")
    assert mesh.plane.wait_for("sotw", "default.web")["type"] == resources.CLUSTER
    process.stop()
    assert mesh.plane.log("response") == []


# ---- what Envoy makes of it


def test_tcp_goes_over_mutual_tls(mesh):
    assert mesh.outcome() == "served"
    assert mesh.db.outcome(mesh.db.ip, PORT) in DENIED  # plain text
    stream = mesh.plane.stream("default.web")
    assert stream["types"]["cds"]["wildcard"] and stream["types"]["eds"]["names"] == [SERVICE]
    assert stream["types"]["sds"]["sent"] == [resources.IDENTITY_SECRET, resources.TRUST_SECRET]
    assert mesh.plane.log("nack") == []


def test_permissions_change_while_connections_come(mesh):
    mesh.plane.update("default.db", mesh.inbound(("allow", "other", [{"exact": spiffe("other")}])))
    mesh.wait_for(*DENIED)
    mesh.plane.update("default.db", mesh.inbound(("deny", "web", [{"exact": spiffe("web")}]), ("allow", "all", [{"prefix": f"spiffe://{DOMAIN}/"}])))
    mesh.settle()
    assert mesh.outcome() in DENIED
    mesh.plane.update("default.db", mesh.inbound(("allow", "all", [{"prefix": f"spiffe://{DOMAIN}/"}])))
    mesh.wait_for("served")


def test_only_what_changed_is_sent(mesh):
    mark = mesh.plane.mark()
    mesh.plane.update("default.db", resources.inbound_cluster(PORT, app_port=OTHER_APP))
    before = mesh.apps[1].accepted
    mesh.settle()
    wait_until(lambda: mesh.outcome() == "served" and mesh.apps[1].accepted > before, "the other application is called")
    mesh.plane.update("default.web", resources.endpoints(SERVICE, []))
    mesh.wait_for(*DENIED)
    sent = [(each["node"], each["kind"], each["names"]) for each in mesh.plane.log("response", since=mark)]
    assert sent == [("default.db", "cds", [f"self_inbound_dp_{PORT}"]), ("default.web", "eds", [SERVICE])]


def test_what_is_removed_is_served_no_more(mesh):
    mark = mesh.plane.mark()
    mesh.plane.remove("default.web", "lds", SERVICE)
    mesh.wait_for("refused")
    assert [each["removed"] for each in mesh.plane.log("response", since=mark)] == [[SERVICE]]
    assert mesh.plane.wait_for("ack", "default.web", since=mark, kind="lds")


@pytest.mark.parametrize("kind", ["cannot be parsed", "cannot be served"])
def test_an_invalid_resource_is_rejected_and_the_last_good_one_stays(mesh, kind):
    mark = mesh.plane.mark()
    wrong = {"@type": resources.LISTENER, "name": SERVICE, "raw": base64.b64encode(b"\xff\xff\xff").decode()}
    if kind == "cannot be served":
        wrong = {"@type": resources.LISTENER, "name": SERVICE}
    mesh.plane.update("default.web", wrong)
    assert mesh.plane.wait_for("nack", "default.web", since=mark, kind="lds")["text"]
    assert mesh.outcome() == "served"
    assert mesh.plane.log("response", since=mark)[1:] == []  # what was rejected is not sent again


def test_what_the_applications_do_is_reported(mesh):
    def health(host):
        return mesh.plane.status()["health"].get(f"default.{host.name}", {}).get(f"localhost:{APP}")
    wait_until(lambda: health(mesh.db) == "HEALTHY", "db's application answers", interval=0.1)
    wait_until(lambda: health(mesh.web) in ("UNHEALTHY", "TIMEOUT"), "web has no application", interval=0.1)


# ---- misbehaviour, of which Envoy makes the best


@pytest.mark.parametrize("behaviour", [
    {"nonce": "duplicate"}, {"nonce": "stale"}, {"nonce": "empty"}, {"twice": True}, {"delay": 0.2}, {"is_reversed": True},
])
def test_oddities_do_not_keep_an_update_away(mesh, behaviour):
    usual = {name: mesh.plane.status()["behaviour"][name] for name in behaviour}
    mesh.plane.behave(**behaviour)
    try:
        mark, began = mesh.plane.mark(), time.time()
        mesh.plane.update("default.db", mesh.inbound(("allow", "other", [{"exact": spiffe("other")}])), resources.inbound_cluster(PORT, app_port=OTHER_APP))
        mesh.wait_for(*DENIED)
        for kind in ("cds", "lds"):
            mesh.plane.wait_for("ack", "default.db", since=mark, kind=kind)
        responses = mesh.plane.log("response", "default.db", since=mark)
    finally:
        mesh.plane.behave(**usual)
    kinds = [each["kind"] for each in responses]
    assert kinds == {"is_reversed": ["lds", "cds"], "twice": ["cds", "cds", "lds", "lds"]}.get(next(iter(behaviour)), ["cds", "lds"])
    assert responses[0]["at"] - began >= behaviour.get("delay", 0)
    if behaviour.get("nonce"):
        assert len({each["nonce"] for each in responses}) == 1


def test_a_silent_type_comes_when_it_is_answered(mesh):
    mesh.plane.behave(silent=["lds"])
    mark = mesh.plane.mark()
    mesh.plane.remove("default.web", "lds", SERVICE)
    assert mesh.plane.log("response", since=mark) == [] and mesh.outcome() == "served"
    mesh.plane.behave(silent=[])
    mesh.wait_for("refused")


def test_a_frozen_control_plane_is_caught_up_with(mesh):
    mark = mesh.plane.mark()
    mesh.plane.freeze()
    mesh.plane.remove("default.web", "lds", SERVICE)
    mesh.plane.wait_for("response", "default.web", since=mark)
    assert mesh.outcome() == "served"
    mesh.plane.thaw()
    mesh.wait_for("refused")


def test_after_a_reset_only_the_difference_is_sent(mesh):
    mark = mesh.plane.mark()
    mesh.plane.reset(after_bytes=100)
    mesh.plane.update("default.db", mesh.inbound(("allow", "other", [{"exact": spiffe("other")}])))  # cut off after 100 bytes
    mesh.plane.wait_for("end", "default.db", since=mark)
    mesh.settle()
    mesh.wait_for(*DENIED)
    again = mesh.plane.wait_for("request", "default.db", since=mark, kind="lds")
    assert f"self_inbound_dp_{PORT}" in again["known"]
    opened = mesh.plane.wait_for("open", "default.db", since=mark)["number"]
    names = [name for each in mesh.plane.log("response", "default.db", since=opened) for name in each["names"]]
    assert names == [f"self_inbound_dp_{PORT}"]


def test_a_stream_that_was_ended_is_let_in_again_after_a_while(mesh):
    mesh.plane.behave(deregistration_delay=1)
    try:
        mark = mesh.plane.mark()
        mesh.plane.end("default.web", "UNKNOWN", "because")
        mesh.plane.wait_for("refused", "default.web", since=mark, text="there is already an active stream from this node, try again later")
    finally:
        mesh.plane.behave(deregistration_delay=0)
    mesh.settle()
    assert mesh.plane.wait_for("open", "default.web", since=mark) and mesh.outcome() == "served"


def test_a_response_of_the_tests_own_making(mesh):
    mark = mesh.plane.mark()
    mesh.plane.send("default.web", {"type_url": resources.CLUSTER, "nonce": "77", "system_version_info": "x", "removed_resources": ["never-heard-of"]})
    assert mesh.plane.wait_for("ack", "default.web", since=mark, nonce="77")
    assert mesh.outcome() == "served"


def test_the_host_serves_while_the_control_plane_is_away(mesh):
    mesh.plane.kill()
    assert mesh.outcome() == "served"
    mesh.plane.start()
    mesh.settle()
    assert mesh.outcome() == "served"
    # All was known, by the versions that came with the first requests; a wildcard is answered all the same.
    assert [(each["names"], each["removed"]) for each in mesh.plane.log("response") if each["kind"] in ("eds", "sds") or each["names"]] == []
