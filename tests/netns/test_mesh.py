"""Agents that take their resources from a control plane: among themselves, and with a real Envoy as the neighbour. What was
good goes on being served whatever the control plane does."""
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import time

import pytest

import harness
import resources
import test_control_plane
import traffic
from control_plane import FOLDER
from harness import section, service
from test_control_plane import APP, DENIED, DOMAIN, OUT, PORT, SERVICE, spiffe
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "helper", "control-plane", "curl")]
VIP = "241.0.0.7"
NAME = "db.svc.mesh.local"
OUTSIDE, OUTSIDE_IP = "outside.test", "10.77.9.9"  # as resolver.py has it
CLOSED_SOON = 3.0  # seconds from a change to its effect


class Mesh(test_control_plane.Mesh):
    """The same resources as for Envoys, given to agents."""

    def __init__(self, lab, captures=False):
        super().__init__(lab)
        self.captures = captures

    def join(self, host, *services, **settings):
        folder = "/etc/mooring"
        for file, text in (("control-plane.pem", self.plane.ca.pem), ("token", self.token(host))):
            host.path(f"{folder}/{file}").write_text(text)
            os.chown(host.path(f"{folder}/{file}"), harness.AGENT_UID, harness.AGENT_UID)
        host.path(f"{folder}/token").chmod(0o600)
        state = host.logs / "state"
        state.mkdir(exist_ok=True)
        os.chown(state, harness.AGENT_UID, harness.AGENT_UID)
        settings = {"addresses": [self.plane.url], "ca_file": f"{folder}/control-plane.pem", "token_file": f"{folder}/token",
                    "workload": host.name, "address": host.ip, "state_dir": str(state), **settings}
        host.configure(*services, has_identity=False, captures=self.captures, control_plane=settings)

    def services(self):
        return [service("main", PORT, target=f"127.0.0.1:{APP}")]

    def start_agents(self):
        self.join(self.db, *self.services())
        self.join(self.web)
        for host in (self.db, self.web):
            if self.captures:
                host.start_helper()
            host.start_agent()

    def status(self, host):
        return json.loads(host.mooring("status", "--json", check=False).stdout)  # 1: there are problems


def serve(mesh):
    mesh.plane.set("default.db", mesh.server_side(mesh.ALLOW))
    mesh.plane.set("default.web", mesh.client_side())


@pytest.fixture(scope="module")
def joined(lab):
    mesh = Mesh(lab)
    serve(mesh)
    mesh.start_agents()
    mesh.settle()
    return mesh


@pytest.fixture
def mesh(joined):
    if joined.plane.process.exit_code is not None:
        joined.plane.start()
    joined.reset()
    joined.wait_for("served")
    return joined


# ---- among agents


def test_tcp_goes_over_mutual_tls_with_the_identities_of_the_control_plane(mesh):
    assert mesh.outcome() == "served"
    line = mesh.web.wait_for_access(reason="closed", peer_identity=spiffe("db"))
    assert line["local_identity"] == spiffe("web") and line["sni"] == f"sni.{SERVICE}"
    assert mesh.db.wait_for_access(reason="closed")["peer_identity"] == spiffe("web")
    assert mesh.db.outcome(mesh.db.ip, PORT) in DENIED  # plain text
    assert mesh.plane.log("nack") == []


def test_the_stream_asks_as_envoy_does(mesh):
    stream = mesh.plane.stream("default.web")
    assert stream["types"]["cds"]["wildcard"] and stream["types"]["lds"]["wildcard"]
    assert stream["types"]["eds"]["names"] == [SERVICE]
    assert sorted(stream["types"]["sds"]["names"]) == [resources.IDENTITY_SECRET, resources.TRUST_SECRET]


def test_status_tells_of_the_control_plane(mesh):
    status = mesh.status(mesh.web)
    plane = status["control_plane"]
    assert (plane["state"], plane["address"], plane["from_disk"]) == ("live", mesh.plane.url, False), plane
    assert {each["type"]: each["served"] for each in plane["resources"]} == {"clusters": 1, "endpoints": 1, "secrets": 2, "listeners": 1}
    assert status["identity"]["spiffe_id"] == spiffe("web")


@pytest.mark.parametrize("rules, outcome", [
    ([("allow", "other", [{"exact": spiffe("other")}])], "denied"),
    ([("deny", "web", [{"exact": spiffe("web")}]), ("allow", "all", [{"prefix": f"spiffe://{DOMAIN}/"}])], "denied"),
    ([("allow", "all", [{"prefix": f"spiffe://{DOMAIN}/"}])], "served"),
    ([], "denied"),
])
def test_permissions_change_under_an_open_connection(mesh, rules, outcome):
    with mesh.web.connect("127.0.0.1", OUT) as client:
        client.sendall(b"before")
        assert traffic.receive_exactly(client, 6) == b"before"
        began = time.monotonic()
        mesh.plane.update("default.db", mesh.inbound(*rules))
        if outcome == "denied":
            mesh.wait_for(*DENIED)
            assert mesh.db.wait_for_access(reason="policy_changed")
            client.settimeout(CLOSED_SOON)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            assert time.monotonic() - began < CLOSED_SOON
        else:
            mesh.settle()
            client.sendall(b"after")
            assert traffic.receive_exactly(client, 5) == b"after"


def test_what_shadow_rules_would_do_is_told_and_not_done(mesh):
    shadow = [("deny", "tomorrow", [{"exact": spiffe("web")}]), ("allow", "all", [{"prefix": f"spiffe://{DOMAIN}/"}])]
    mesh.plane.update("default.db", resources.inbound(mesh.db.ip, PORT, DOMAIN, [mesh.ALLOW], shadow=shadow))
    mesh.settle()
    before = mesh.db.metric("envoy_rbac_shadow_denied")
    assert mesh.outcome() == "served"
    wait_until(lambda: mesh.db.metric("envoy_rbac_shadow_denied") > before, "the shadow rule has counted")


def test_a_new_identity_ends_no_connection(mesh):
    with mesh.web.connect("127.0.0.1", OUT) as client:
        for count in range(3):
            fresh = resources.identity(*mesh.ca.svid(f"workload/{mesh.web.name}"))
            mesh.plane.update("default.web", fresh)
            mesh.settle()
            client.sendall(b"%d" % count)
            assert traffic.receive_exactly(client, 1) == b"%d" % count
            assert mesh.outcome() == "served"


def test_a_trust_domain_that_is_gone_ends_its_connections(mesh):
    with mesh.web.connect("127.0.0.1", OUT) as client:
        client.sendall(b"x")
        assert traffic.receive_exactly(client, 1) == b"x"
        mesh.plane.update("default.db", resources.trust({DOMAIN: test_control_plane.Ca(DOMAIN).pem}))
        mesh.settle()
        assert mesh.db.wait_for_access(reason="trust_removed")
    assert mesh.outcome() in DENIED


def test_endpoints_come_and_go(mesh):
    mesh.plane.update("default.web", resources.endpoints(SERVICE, []))
    mesh.wait_for(*DENIED)
    assert mesh.web.wait_for_access(reason="no_endpoint")
    mesh.plane.update("default.web", resources.endpoints(SERVICE, [(mesh.db.ip, PORT)]))
    mesh.wait_for("served")


def test_a_listener_that_is_removed_is_closed(mesh):
    mesh.plane.remove("default.web", "lds", SERVICE)
    mesh.wait_for("refused")


def test_a_resource_that_cannot_be_served_is_refused_by_name_and_the_last_good_one_stays(mesh):
    mark = mesh.plane.mark()
    wrong = mesh.inbound(mesh.ALLOW)
    wrong["filter_chains"][0]["filters"].insert(0, resources.typed("odd", "filters.network.ext_authz.v3.ExtAuthz", stat_prefix="odd"))
    mesh.plane.update("default.db", wrong)
    nack = mesh.plane.wait_for("nack", "default.db", since=mark, kind="lds")
    assert wrong["name"] in nack["text"] and "filters[0]" in nack["text"], nack
    assert mesh.outcome() == "served"
    rejected = mesh.status(mesh.db)["control_plane"]["rejected"]
    assert [(each["name"], each["last_good"]) for each in rejected] == [(wrong["name"], True)]


def file_log(path, **log_format):
    return resources.typed("envoy.access_loggers.file", "access_loggers.file.v3.FileAccessLog", path=str(path), log_format=log_format)


def with_logs(mesh, *logs):
    """db's inbound, whose connections are told of to `logs` as well."""
    mesh.plane.update("default.db", resources.inbound(mesh.db.ip, PORT, DOMAIN, [mesh.ALLOW], access_log=list(logs)))
    mesh.settle()


def test_the_access_logs_of_the_control_plane_are_written(mesh):
    folder = mesh.db.logs / "sinks"
    folder.mkdir(exist_ok=True)
    os.chown(folder, harness.AGENT_UID, harness.AGENT_UID)
    with_logs(mesh,
              file_log(folder / "text", text_format_source={"inline_string": "%RESPONSE_FLAGS% %DOWNSTREAM_PEER_URI_SAN%->%UPSTREAM_HOST% %REQ(:METHOD)%\n"}),
              file_log(folder / "json", json_format={"sent": "%BYTES_SENT%", "none": "%ROUTE_NAME%", "start": "%START_TIME(%Y)%"}, omit_empty_values=True),
              file_log("/nobody/may/write", text_format_source={"inline_string": "x\n"}),
              file_log(mesh.db.logs / "state" / "own", text_format_source={"inline_string": "x\n"}))
    assert mesh.outcome() == "served"
    wait_until(lambda: (folder / "json").exists() and (folder / "json").read_text().endswith("\n"), "the lines are written")
    assert (folder / "text").read_text() == f"- {spiffe('web')}->127.0.0.1:{APP} -\n"
    line = json.loads((folder / "json").read_text().splitlines()[0])
    assert set(line) == {"sent", "start"} and isinstance(line["sent"], int) and line["start"] == time.strftime("%Y", time.gmtime())
    told = [each["text"] for each in mesh.status(mesh.db)["problems"]]
    assert any("/nobody/may/write" in text and "not_found" in text for text in told), told
    assert any("state/own" in text and "permission" in text for text in told), told
    assert not (mesh.db.logs / "state" / "own").exists()

    (folder / "text").rename(folder / "text.1")
    mesh.db.reload()
    wait_until(lambda: mesh.outcome() == "served" and (folder / "text").exists(), "the file is opened anew")


def test_lines_for_kumas_tcp_backend_are_sent_to_it(mesh):
    collector = mesh.web.spawn("collector", "socat", "-u", "TCP-LISTEN:9999,fork,reuseaddr", "STDOUT")
    backend = {"address": f"{mesh.web.ip}:9999", "message": "took %DURATION%ms to %UPSTREAM_HOST%\n"}
    with_logs(mesh, file_log("/run/kuma-al-db-default.sock", json_format=backend))
    assert mesh.outcome() == "served"
    wait_until(lambda: f"ms to 127.0.0.1:{APP}\n" in collector.log(), "the line has come")
    collector.stop()


def test_a_command_that_is_unknown_is_refused_by_name(mesh):
    mark = mesh.plane.mark()
    wrong = resources.inbound(mesh.db.ip, PORT, DOMAIN, [mesh.ALLOW], access_log=[file_log("/tmp/a", text_format_source={"inline_string": "%NO_SUCH%"})])
    mesh.plane.update("default.db", wrong)
    nack = mesh.plane.wait_for("nack", "default.db", since=mark, kind="lds")
    assert "unknown command %NO_SUCH%" in nack["text"], nack
    assert mesh.outcome() == "served"


def test_an_http_listener_of_an_application_is_agreed_to_and_refused(mesh):
    mark = mesh.plane.mark()
    http = mesh.inbound(mesh.ALLOW)
    http["filter_chains"][0]["filters"] = [resources._http(http["name"], [{"name": "all", "domains": ["*"], "routes": []}])]
    mesh.plane.update("default.db", http)
    mesh.plane.wait_for("ack", "default.db", since=mark, kind="lds")
    mesh.wait_for(*DENIED)
    assert mesh.db.wait_for_access(reason="not_served")


@pytest.mark.parametrize("mode", ["plain text", "mutual TLS"])
def test_a_permissive_port_takes_both(mesh, mode):
    mesh.plane.update("default.db", resources.inbound(mesh.db.ip, PORT, DOMAIN, [mesh.ALLOW], is_permissive=True))
    mesh.settle()
    if mode == "plain text":
        wait_until(lambda: mesh.web.outcome(mesh.db.ip, PORT) == "served", "plain text is served")
    else:
        assert mesh.outcome() == "served"
        assert mesh.db.wait_for_access(peer_identity=spiffe("web"))


def inspect(host, ip, page, certificate=None):
    """What the control plane's certificate, or another one, gets from the admin listener of `ip`: (HTTP status or curl's exit code, text)."""
    folder = host.path("/etc/mooring")
    command = ["curl", "--silent", "--max-time", "10", "--write-out", "\\n%{http_code}", "--cacert", "/etc/mooring/admin-ca.pem"]
    if certificate:
        (folder / "asks.pem").write_text("".join(certificate))
        command += ["--cert", "/etc/mooring/asks.pem"]
    done = host.exec(*command, f"https://{ip}:9901{page}", check=False)
    body, _, status = done.stdout.rpartition("\n")
    return (int(status), body) if done.returncode == 0 else (done.returncode, body)


def test_the_control_plane_looks_into_a_host_by_mutual_tls_and_nobody_else_does(mesh):
    ca, ip = test_control_plane.Ca(), mesh.db.ip
    mesh.web.path("/etc/mooring/admin-ca.pem").write_text(ca.pem)
    mesh.plane.set("default.db", [*mesh.server_side(mesh.ALLOW), *resources.admin(ip, *ca.server([ip], names=()), ca.pem, "/run/mooring/admin.sock")])
    mesh.settle()
    asks = ca.server([], names=["kuma-cp"])
    wait_until(lambda: inspect(mesh.web, ip, "/stats", asks)[0] == 200, "the listener is there")
    dump = inspect(mesh.web, ip, "/config_dump", asks)[1]
    assert "ListenersConfigDump" in dump and f"self_inbound_dp_{PORT}" in dump and "PRIVATE KEY" not in dump
    assert '"added_via_api":true' in inspect(mesh.web, ip, "/clusters?format=json", asks)[1]
    assert "::added_via_api::true" in inspect(mesh.web, ip, "/clusters", asks)[1]
    assert "server.live: 1" in inspect(mesh.web, ip, "/stats", asks)[1].splitlines()
    for certificate in (None, ca.server([], names=["other"]), test_control_plane.Ca().server([], names=["kuma-cp"])):
        status, text = inspect(mesh.web, ip, "/config_dump", certificate)
        assert status not in (200, 0) and text == "", (status, text)
    mesh.plane.set("default.db", mesh.server_side(mesh.ALLOW))


def metrics_of(host, url, *options):
    """(HTTP status or 0, text) of a page of metrics."""
    done = host.exec("curl", "--silent", "--max-time", "10", "--write-out", "\\n%{http_code}", *options, url, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def with_metrics(mesh, applications, tls=None):
    """db has a Prometheus backend at port 5670, and these applications."""
    wanted = {"applications": applications, "backends": [{"type": "Prometheus", "name": None}], "extraLabels": {"mesh": "default", "kuma.workload": "db"},
              "sidecar": {"profiles": {"exclude": [{"type": "Prefix", "match": "envoy_server_"}], "include": [{"type": "Exact", "match": "envoy_server_live"}]}}}
    config = resources.dynamic_config("/run/mooring/dynamic.sock", {"/meshmetric": {"observability": {"metrics": wanted}}})
    mesh.plane.set("default.db", [*mesh.server_side(mesh.ALLOW), config, *resources.metrics(mesh.db.ip, 5670, "/mesh", "/run/mooring/metrics.sock", tls)])
    mesh.settle()


def test_a_prometheus_backend_has_this_hosts_metrics_and_its_applications(mesh):
    pages = mesh.db.logs / "pages"
    pages.mkdir(exist_ok=True)
    (pages / "m").write_text("# TYPE shop_orders counter\nshop_orders{kind=\"a\"} 7\n")
    shop = mesh.db.spawn("shop", "python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", pages, "7099")
    with_metrics(mesh, [{"name": "shop", "path": "/m", "port": 7099, "address": "127.0.0.1"}, {"name": "gone", "path": "/m", "port": 7098, "address": "127.0.0.1"}])
    url, labels = f"http://{mesh.db.ip}:5670/mesh", 'kuma_workload="db",mesh="default"'
    wait_until(lambda: f'shop_orders{{application="shop",{labels},kind="a"}} 7\n' in metrics_of(mesh.web, url)[1], "the application's metrics are there")
    page = metrics_of(mesh.web, url)[1]
    assert f'mooring_build_info{{{labels},version=' in page and page.count("# TYPE shop_orders counter") == 1
    assert f'mooring_application_up{{application="shop",{labels}}} 1\n' in page and f'mooring_application_up{{application="gone",{labels}}} 0\n' in page
    assert [line for line in page.splitlines() if line.startswith("envoy_server_")] == [f"envoy_server_live{{{labels}}} 1"]
    assert metrics_of(mesh.web, f"http://{mesh.db.ip}:5670/config_dump")[0] == 404
    shop.stop()
    mesh.plane.set("default.db", mesh.server_side(mesh.ALLOW))
    wait_until(lambda: metrics_of(mesh.web, url)[0] == 0, "nobody listens there any more")


def test_a_prometheus_backend_with_tls_is_for_its_clients_only(mesh):
    ca, folder = test_control_plane.Ca(), mesh.web.path("/etc/mooring")
    (folder / "metrics-ca.pem").write_text(ca.pem)
    (folder / "scraper.pem").write_text("".join(ca.server([], names=["prometheus"])))
    with_metrics(mesh, [], tls=(*ca.server([mesh.db.ip], names=()), ca.pem, "prometheus"))
    url, trust = f"https://{mesh.db.ip}:5670/mesh", ("--cacert", "/etc/mooring/metrics-ca.pem")
    wait_until(lambda: metrics_of(mesh.web, url, *trust, "--cert", "/etc/mooring/scraper.pem")[0] == 200, "the metrics are there")
    assert metrics_of(mesh.web, url, *trust)[0] == 0
    assert metrics_of(mesh.web, url.replace("https", "http"))[0] == 0
    mesh.plane.set("default.db", mesh.server_side(mesh.ALLOW))


def test_a_token_that_systemd_hands_over_is_found(lab, mesh):
    other = lab.host("credential")
    mesh.plane.set("default.credential", mesh.client_side())
    mesh.join(other, token_file="credential:token")
    other.start_agent(prefix=("env", "CREDENTIALS_DIRECTORY=/etc/mooring"))
    assert mesh.status(other)["control_plane"]["state"] == "live"


# ---- identities of a SPIRE agent


class Spire:
    """SDS at a unix socket of a host, for the SPIFFE ID of the host."""

    def __init__(self, mesh, host):
        self.host, self.ca, self.id = host, mesh.ca, spiffe(host.name)
        self.socket, self._content = host.folder / "spire" / "api.sock", host.folder / "spire.json"
        self.socket.parent.mkdir(exist_ok=True)
        self.rotate()
        self.start()

    def rotate(self):
        secrets = [resources.identity(*self.ca.svid(f"workload/{self.host.name}"), name=self.id),
                   resources.trust({DOMAIN: self.ca.pem}, name="ALL")]
        fresh = self._content.with_suffix(".new")
        fresh.write_text(json.dumps({"secrets": [{key: value for key, value in each.items() if key != "@type"} for each in secrets]}))
        fresh.rename(self._content)

    def start(self):
        program = FOLDER / "spire_agent.py"
        self.process = self.host.spawn("spire-agent", "/usr/bin/python3", program, self.socket, self._content, self.host.folder / "spire.log")
        self.host.apps["spire-agent"] = self.process
        wait_until(lambda: "serving" in self.process.log() or self.process.exit_code is not None, "the SPIRE agent serves")


@pytest.fixture
def spire(mesh):
    agents = {host.name: Spire(mesh, host) for host in (mesh.web, mesh.db)}
    for host, wanted in ((mesh.web, mesh.client_side()), (mesh.db, mesh.server_side(mesh.ALLOW))):
        own = agents[host.name]
        from_it = [resources.over_spire(each, own.id) for each in wanted if each["@type"] != resources.SECRET]
        mesh.plane.set(f"default.{host.name}", [resources.spire_cluster(str(own.socket)), *from_it])
    mesh.settle()
    yield agents
    for agent in agents.values():
        agent.process.stop()


def spire_state(mesh, host):
    return mesh.status(host)["control_plane"]["secret_servers"][0]


def test_an_identity_of_a_spire_agent_carries_traffic_and_rotates_under_an_open_connection(mesh, spire):
    wait_until(lambda: all(each["received_at"] for each in spire_state(mesh, mesh.web)["secrets"]), "SPIRE has answered")
    mesh.wait_for("served")
    assert mesh.status(mesh.web)["identity"]["key"] == "SPIRE agent"
    assert [each["name"] for each in spire_state(mesh, mesh.web)["secrets"]] == ["ALL", spire["web"].id]
    until = mesh.status(mesh.web)["identity"]["not_after"]
    with mesh.web.connect("127.0.0.1", OUT) as client:
        for count in range(3):
            time.sleep(1.1)  # times of certificates are in seconds
            for agent in spire.values():
                agent.rotate()
            wait_until(lambda: mesh.status(mesh.web)["identity"]["not_after"] != until, "the new certificate is in force")
            until = mesh.status(mesh.web)["identity"]["not_after"]
            client.sendall(b"%d" % count)
            assert traffic.receive_exactly(client, 1) == b"%d" % count
            assert mesh.outcome() == "served"


def test_without_its_spire_agent_a_host_serves_on_and_says_so(mesh, spire):
    mesh.wait_for("served")
    spire["db"].process.stop()
    spire["db"].socket.unlink(missing_ok=True)
    wait_until(lambda: "there is no socket" in spire_state(mesh, mesh.db)["last_error"], "the status says what is missing")
    assert mesh.outcome() == "served"
    assert any("spire_socket" in each["text"] for each in mesh.status(mesh.db)["problems"])
    spire["db"].start()
    wait_until(lambda: spire_state(mesh, mesh.db)["state"] == "connected", "the agent is back at the socket")


def test_a_socket_that_may_not_be_opened_is_told_with_what_to_do(mesh, spire):
    mesh.wait_for("served")
    spire["db"].process.stop()
    spire["db"].socket.parent.chmod(0o700)
    spire["db"].start()
    wait_until(lambda: "may not open" in spire_state(mesh, mesh.db)["last_error"], "the status says that it is refused")
    assert "group" in spire_state(mesh, mesh.db)["remedy"]
    spire["db"].socket.parent.chmod(0o755)
    wait_until(lambda: spire_state(mesh, mesh.db)["state"] == "connected", "the agent may open it again")


# ---- the control plane is away


def test_without_the_control_plane_traffic_goes_on_and_a_restarted_agent_serves_what_was_good(mesh):
    kept = {}
    for host in (mesh.db, mesh.web):
        certificate, key = mesh.ca.svid(f"workload/{host.name}")
        mesh.plane.update(f"default.{host.name}", resources.identity(certificate, key))
        kept[host] = certificate.encode()
    mesh.settle()
    # What is good is written a second after it came, and no more often than every ten.
    for host, certificate in kept.items():
        file = host.logs / "state" / "last-good"
        wait_until(lambda: file.exists() and certificate in file.read_bytes(), f"{host.name} has kept what it serves")
    mesh.plane.kill()
    assert mesh.outcome() == "served"
    for host in (mesh.db, mesh.web):
        host.agent.kill()
        host.start_agent()
    assert mesh.outcome() == "served"
    plane = mesh.status(mesh.web)["control_plane"]
    assert plane["from_disk"] and plane["state"] != "live" and plane["last_error"], plane
    mesh.plane.start()
    mesh.settle()
    wait_until(lambda: not mesh.status(mesh.web)["control_plane"]["from_disk"], "the control plane's word counts again")
    assert mesh.outcome() == "served"


def test_a_stream_that_ends_is_opened_again_with_what_is_known(mesh):
    mark = mesh.plane.mark()
    mesh.plane.end("default.web")
    first = mesh.plane.wait_for("request", "default.web", since=mark, kind="cds")
    assert first["known"], first  # versions: nothing is sent twice
    mesh.settle()
    assert [each["names"] for each in mesh.plane.log("response", "default.web", since=mark) if each["names"]] == []
    assert mesh.outcome() == "served"


def test_a_token_of_another_workload_is_told(lab, mesh):
    other = lab.host("other")
    mesh.plane.set("default.other", mesh.client_side())
    mesh.join(other)
    other.path("/etc/mooring/token").write_text(mesh.token(other, workload="db"))
    other.start_agent(wait=False)
    def said():
        plane = mesh.status(other)["control_plane"] if other.admin("/ready")[0] else {}
        return "workload" in plane.get("last_error", "")
    wait_until(said, "the reason is in the status")
    assert not other.ready()


# ---- a plain xDS server


def test_an_xds_server_that_is_not_kumas_is_enough(lab, mesh):
    host = lab.host("plain")
    mesh.plane.behave(is_generic=True)
    mesh.plane.set("plain", mesh.client_side())
    host.path("/etc/mooring/xds-ca.pem").write_text(mesh.plane.ca.pem)
    context = {"validation_context": {"trusted_ca": {"filename": "/etc/mooring/xds-ca.pem"}}}
    xds = {"name": "xds", "transport_socket": {"typed_config": {"common_tls_context": context}}, "load_assignment": {
        "endpoints": [{"lb_endpoints": [resources.endpoint(mesh.plane.host.ip, mesh.plane.port)]}]}}
    source = {"api_type": "GRPC", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}
    host.path("/etc/mooring/xds.json").write_text(json.dumps({
        "node": {"id": "plain"}, "dynamic_resources": {"ads_config": source}, "static_resources": {"clusters": [xds]}}))
    state = host.logs / "state"
    state.mkdir()
    os.chown(state, harness.AGENT_UID, harness.AGENT_UID)
    host.configure(has_identity=False, captures=False, control_plane={"bootstrap": "/etc/mooring/xds.json", "state_dir": str(state)})
    host.start_agent()
    mesh.plane.wait_settled("plain")
    wait_until(lambda: host.outcome("127.0.0.1", OUT) == "served", "the connection is served")
    assert mesh.status(host)["control_plane"]["address"] == mesh.plane.url
    mesh.plane.remove("plain", "lds", SERVICE)
    wait_until(lambda: host.outcome("127.0.0.1", OUT) == "refused", "a listener that is absent is closed")


# ---- captured


@pytest.fixture(scope="module")
def captured():
    with harness.Lab() as lab:
        mesh = Mesh(lab, captures=True)
        for host in (mesh.web, mesh.db):
            host.allow_capture(harness.ALLOW_ANY_CAPTURE.replace('"10.77.0.0/16"', '"240.0.0.0/4"') + "redirect_dns = true\n")
            host.exec("ip", "route", "add", "default", "via", mesh.plane.host.ip)  # no host is without one
        outside = mesh.plane.host
        mesh.resolver = outside.spawn("resolver", sys.executable, pathlib.Path(__file__).with_name("resolver.py"), outside.ip, outside.ip6)
        wait_until(lambda: "ready" in mesh.resolver.log(), "the resolver answers")
        mesh.web.path("/etc/resolv.conf").write_text(f"nameserver {outside.ip}\n")
        names = resources.dynamic_config("/run/mooring/dynamic.sock", {"/dns": resources.dns_records({NAME: VIP})})
        server = resources.inbound(mesh.db.ip, PORT, DOMAIN, [mesh.ALLOW], is_captured=True)
        mesh.plane.set("default.db", [*mesh.server_side(mesh.ALLOW)[:2], server, resources.inbound_cluster(PORT, app_port=APP),
                                      *resources.passthrough([PORT])])
        client = [each for each in mesh.client_side() if each["@type"] != resources.LISTENER]
        mesh.plane.set("default.web", [*client, names, resources.outbound(SERVICE, VIP, OUT, is_captured=True), *resources.passthrough()])
        mesh.start_agents()
        mesh.settle()
        for host in (mesh.web, mesh.db):
            wait_until(lambda: host.metric("mooring_capture_active") == 1, "capture follows the control plane")
        yield mesh


def test_what_applications_call_by_virtual_address_is_captured(captured):
    wait_until(lambda: captured.web.outcome(VIP, OUT) == "served", "the virtual address is served")
    assert captured.db.wait_for_access(reason="closed", peer_identity=spiffe("web"))


def test_an_inbound_port_is_captured_where_the_application_is_dialled(captured):
    assert captured.web.outcome(captured.db.ip, PORT) in DENIED  # plain text, from another host


def getent(host, name, user=None):
    """What an application that asks the libc gets; None if there is no such name."""
    words = host.exec("getent", "ahostsv4", name, user=user, check=False).stdout.split()
    return words[0] if words else None


def dns_query(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


def ask(host, server, name, kind=socket.SOCK_DGRAM):
    """The last address in the answer of `server` to a query of our own; the client takes it from `server` alone."""
    query = dns_query(name)
    with traffic.in_namespace(host.namespace):
        client = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
    with client:
        client.settimeout(5)
        client.connect((server, 53))
        if kind == socket.SOCK_STREAM:
            client.sendall(struct.pack("!H", len(query)) + query)
            size, = struct.unpack("!H", traffic.receive_exactly(client, 2))
            reply = traffic.receive_exactly(client, size)
        else:
            client.send(query)
            reply = client.recv(512)
    assert reply[:2] == query[:2]
    return socket.inet_ntoa(reply[-4:])


def names_are_redirected(host):
    return getent(host, NAME) == VIP


def test_applications_resolve_names_of_the_mesh_and_every_other_one(captured):
    wait_until(lambda: names_are_redirected(captured.web), "names of the mesh resolve")
    # It asks for IPv6 addresses first: applications that know no others get the same one, mapped.
    assert captured.web.exec("getent", "hosts", NAME).stdout.split() == [f"::ffff:{VIP}", NAME]
    assert getent(captured.web, OUTSIDE) == OUTSIDE_IP
    assert getent(captured.web, "nowhere.test") is None
    assert getent(captured.web, NAME, user=64103) == VIP
    assert NAME not in captured.resolver.log() and OUTSIDE in captured.resolver.log()


def test_an_application_reaches_a_service_by_its_name(captured):
    wait_until(lambda: names_are_redirected(captured.web), "names of the mesh resolve")
    for family, reached in (("-4", VIP), ("-6", f"::ffff:{VIP}")):
        seen = captured.web.exec("curl", family, "-s", "-m", "5", "-o", "/dev/null", "-w", "%{remote_ip}", f"http://{NAME}:{OUT}/", check=False)
        assert seen.stdout in (reached, VIP) and seen.stdout, family


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
@pytest.mark.parametrize("resolver", ["v4", "v6", "stub", "stub on ::1"])
def test_names_resolve_whatever_resolver_the_host_has(captured, resolver, kind):
    outside = captured.plane.host
    server = {"v4": outside.ip, "v6": outside.ip6, "stub": "127.0.0.53", "stub on ::1": "::1"}[resolver]
    stub = captured.web.spawn("stub", sys.executable, pathlib.Path(__file__).with_name("resolver.py"), server) if "stub" in resolver else None
    captured.web.path("/etc/resolv.conf").write_text(f"nameserver {server}\n")
    try:
        def is_answered():
            try:
                return ask(captured.web, server, NAME) == VIP
            except OSError:
                return False
        wait_until(is_answered, "the rules follow /etc/resolv.conf")
        assert ask(captured.web, server, NAME, kind) == VIP
        assert ask(captured.web, server, OUTSIDE, kind) == OUTSIDE_IP
    finally:
        if stub:
            stub.kill()
        captured.web.path("/etc/resolv.conf").write_text(f"nameserver {outside.ip}\n")
    wait_until(lambda: names_are_redirected(captured.web), "names of the mesh resolve as before")


def test_a_resolver_of_the_host_asks_upstream_past_the_agent(captured):
    """Else its own queries would come back to it."""
    captured.web.path("/etc/passwd").write_text(captured.web.path("/etc/passwd").read_text() + "unbound:x:64104:64104::/:/bin/false\n")
    captured.web.path("/etc/resolv.conf").write_text(f"nameserver {captured.plane.host.ip}\nnameserver {captured.plane.host.ip6}\n")
    wait_until(lambda: getent(captured.web, NAME, user=64104) is None, "its queries are its own")
    assert getent(captured.web, OUTSIDE, user=64104) == OUTSIDE_IP
    assert getent(captured.web, NAME) == VIP


def test_names_do_not_die_with_the_agent(captured):
    """Killed, or stalled: the queries go to the host's resolver again, and to the agent when it is back."""
    web = captured.web
    wait_until(lambda: names_are_redirected(web), "names of the mesh resolve")
    for end in ("stalled", "killed"):
        (web.agent.kill if end == "killed" else lambda: web.agent.signal(signal.SIGSTOP))()
        wait_until(lambda: getent(web, OUTSIDE) == OUTSIDE_IP, f"other names resolve, the agent is {end}", timeout=7)
        assert getent(web, NAME) is None
        assert getent(web, OUTSIDE) == OUTSIDE_IP
        if end == "killed":
            web.start_agent()
        else:
            web.agent.signal(signal.SIGCONT)
        wait_until(lambda: names_are_redirected(web), "names of the mesh resolve again")


def test_an_application_that_asks_from_one_socket_is_not_left_behind(captured):
    """Also where something else keeps NAT alive, as containers do: the kernel must forget where its queries went."""
    web, server = captured.web, captured.plane.host.ip
    web.nft("table ip other { chain out { type nat hook postrouting priority 100; }; }")
    with traffic.in_namespace(web.namespace):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def resolved(name):
        try:
            client.send(dns_query(name))
            reply = client.recv(512)
        except OSError:
            return None
        return None if reply[3] & 15 else socket.inet_ntoa(reply[-4:])
    with client:
        client.settimeout(0.5)
        client.connect((server, 53))
        assert resolved(NAME) == VIP
        web.agent.kill()
        wait_until(lambda: resolved(OUTSIDE) == OUTSIDE_IP, "other names resolve", timeout=7)
    web.nft("delete table ip other")
    web.start_agent()
    wait_until(lambda: names_are_redirected(web), "names of the mesh resolve again")


def test_the_agents_order_to_end_leaves_names_resolving(captured):
    captured.web.agent.stop()
    assert getent(captured.web, OUTSIDE) == OUTSIDE_IP
    assert getent(captured.web, NAME) is None
    captured.web.start_agent()
    wait_until(lambda: names_are_redirected(captured.web), "names of the mesh resolve again")
