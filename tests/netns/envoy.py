"""Envoy on a host of the lab, with the static configuration that says what Mooring's agent.toml says."""
import json
import subprocess

import harness
from traffic import wait_until

TYPE = "type.googleapis.com/envoy.extensions"


def program():
    path = subprocess.run([harness.ROOT / "packaging/dependencies.sh", "--envoy-path"], capture_output=True, text=True)
    return path.stdout.strip()


def _typed(name, kind, **fields):
    return {"name": name, "typed_config": {"@type": f"{TYPE}.{kind}", **fields}}


def _address(ip, port):
    return {"socket_address": {"address": ip, "port_value": port}}


def _cluster(name, ip, port, **more):
    endpoint = {"endpoint": {"address": _address(ip, port)}}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", **more,
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def _tls(host, svid, bundle, peers, **more):
    """Certificates as files, and the peers that are accepted; as Kuma writes it for a mesh."""
    pki = host.lab.pki
    validation = {"trusted_ca": {"filename": str(pki.path(f"{bundle}.pem"))}}
    if peers:
        validation["match_typed_subject_alt_names"] = [{"san_type": "URI", "matcher": {"exact": peer}} for peer in peers]
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": {"filename": str(pki.path(f"{svid}.pem"))},
                              "private_key": {"filename": str(pki.path(f"{svid}.key"))}}],
        "validation_context": validation,
        **more,
    }


def inbound(host, port, app_port, allow, svid=None, bundle="ca"):
    """Mutual TLS on host:port, RBAC by SPIFFE ID, plain text to the application on loopback."""
    principals = [{"authenticated": {"principal_name": {"exact": peer}}} for peer in allow]
    rbac = _typed("rbac", "filters.network.rbac.v3.RBAC", stat_prefix="rbac",
                  rules={"action": "ALLOW", "policies": {"callers": {"permissions": [{"any": True}], "principals": principals}}})
    proxy = _typed("tcp", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="inbound", cluster="app")
    tls = _typed("tls", "transport_sockets.tls.v3.DownstreamTlsContext", require_client_certificate=True,
                 common_tls_context=_tls(host, svid or host.name, bundle, []))
    listener = {"name": "inbound", "address": _address(host.ip, port), "filter_chains": [{"filters": [rbac, proxy], "transport_socket": tls}]}
    return {"listeners": [listener], "clusters": [_cluster("app", "127.0.0.1", app_port)]}


def outbound(host, listen_port, server, port, expect, svid=None, bundle="ca"):
    """127.0.0.1:listen_port to server:port by mutual TLS, the server's SPIFFE ID checked."""
    proxy = _typed("tcp", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="outbound", cluster="remote")
    tls = _typed("tls", "transport_sockets.tls.v3.UpstreamTlsContext",
                 common_tls_context=_tls(host, svid or host.name, bundle, [expect], alpn_protocols=["kuma"]))
    listener = {"name": "outbound", "address": _address("127.0.0.1", listen_port), "filter_chains": [{"filters": [proxy]}]}
    return {"listeners": [listener], "clusters": [_cluster("remote", server.ip, port, transport_socket=tls)]}


def start(host, resources, name="envoy"):
    config = {"static_resources": resources}
    file = host.folder / f"{name}.json"
    file.write_text(json.dumps(config, indent=1))
    process = host.spawn(name, program(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
                         "--use-dynamic-base-id")
    port = resources["listeners"][0]["address"]["socket_address"]["port_value"]
    wait_until(lambda: process.exit_code is not None or host.listens(port), "Envoy listens")
    assert process.exit_code is None, f"Envoy ended:\n{process.log()[-3000:]}"
    host.apps[name] = process
    return process
