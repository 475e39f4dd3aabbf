"""POST /bootstrap: checks what a real control plane checks there, in its order and words, and answers Envoy's bootstrap."""
import base64
import ipaddress
import json

import yaml
from cryptography import x509
from cryptography.hazmat.backends import default_backend

from authorization import quoted

TOKEN_REQUIRED = ("Dataplane Token is required. Generate token using 'kumactl generate dataplane-token > /path/file' "
                  "and provide it via --dataplane-token-file=/path/file argument to Kuma DP")
NOT_CA = ("A data plane proxy is trying to verify the control plane using the certificate which is not a certificate authority "
          "(basic constraint 'CA' is set to 'false').\nProvide CA that was used to sign a certificate used in the control plane by using "
          "'kuma-dp run --ca-cert-file=file' or via KUMA_CONTROL_PLANE_CA_CERT_FILE")
TYPE = "type.googleapis.com/envoy."


class Rejected(Exception):
    def __init__(self, status, text=""):
        super().__init__(text)
        self.status, self.text = status, text


def _certificate(pem):
    return x509.load_pem_x509_certificate(pem.encode(), default_backend())


def _check_address(host, certificate):
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = [str(ip) for ip in sans.get_values_for_type(x509.IPAddress)] + sans.get_values_for_type(x509.DNSName)
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host not in names:
        known = "[" + " ".join(quoted(name) for name in names) + "]"
        raise Rejected(400, f"A data plane proxy is trying to connect to the control plane using {quoted(host)} address, but the "
                            f"certificate in the control plane has the following SANs {known}.")


def _violations(dataplane):
    networking = dataplane.get("networking")
    if not networking:
        return ["networking: must be defined"]
    found = []
    if not networking.get("address"):
        found.append("networking.address: address can't be empty")
    for number, inbound in enumerate(networking.get("inbound") or []):
        if not 1 <= int(inbound.get("port") or 0) <= 65535:
            found.append(f"networking.inbound[{number}].port: port must be in the range [1, 65535]")
    return found


def _redirects(request):
    redirect = (request.get("dataplaneConfig") or {}).get("redirect") or {}
    return bool((redirect.get("inbound") or {}).get("enabled") or (redirect.get("outbound") or {}).get("enabled"))


def _dataplane(request, meshes, known):
    text = request.get("dataplaneResource")
    if not text:
        node = f"{request.get('mesh', '')}.{request.get('name', '')}"
        if node not in known:
            raise Rejected(404)
        return known[node]
    try:
        dataplane = yaml.safe_load(text)
    except yaml.YAMLError:
        raise Rejected(500) from None
    if not isinstance(dataplane, dict) or dataplane.get("type") != "Dataplane":
        raise Rejected(500)
    violations = _violations(dataplane)
    if not violations and _redirects(request) and dataplane["networking"].get("outbound"):
        violations = ["outbound: should be empty since dataplane is in Transparent Proxying mode"]
    if not violations and dataplane.get("mesh") not in meshes:
        violations = [f"mesh: mesh {quoted(dataplane.get('mesh', ''))} does not exist"]
    if violations:
        raise Rejected(422, "; ".join(violations))
    return dataplane


def _pipe(path, **more):
    return {"pipe": {"path": path, **more}}


def _cluster(name, address, **more):
    http2 = {"@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions", "explicitHttpConfig": {"http2ProtocolOptions": {}}}
    return {"name": name, "type": "STATIC", "connectTimeout": "1s",
            "loadAssignment": {"clusterName": name, "endpoints": [{"lbEndpoints": [{"endpoint": {"address": address}}]}]},
            "typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "upstreamConnectionOptions": {"tcpKeepalive": {"keepaliveInterval": 10, "keepaliveProbes": 3, "keepaliveTime": 10}}, **more}


def _metadata(request, dataplane):
    metadata = {"dataplane.admin.address": "127.0.0.1",
                "dataplane.admin.port": str((dataplane["networking"].get("admin") or {}).get("port") or 9901),
                "dataplane.proxyType": "dataplane", "features": request.get("features") or [],
                "ipv6Enabled": bool(request.get("ipv6Enabled")), "version": request.get("version") or {},
                "systemCaPath": request.get("systemCaPath") or "", "workdir": request.get("workdir") or ""}
    for key, name in (("dnsPort", "dataplane.dns.port"), ("readinessPort", "dataplane.readinessReporter.port")):
        if request.get(key):
            metadata[name] = str(request[key])
    for key, name in (("dataplaneConfig", "transparentProxy"), ("otelEnv", "otelEnvInventory"), ("dynamicMetadata", "dynamicMetadata"),
                      ("dataplaneResource", "dataplane.resource")):
        if request.get(key):
            metadata[name] = request[key]
    for name, group, key in (("metricsCertPath", "metricsResources", "certPath"), ("metricsKeyPath", "metricsResources", "keyPath"),
                             ("spireAgent.socketPath", "spireResources", "socketPath")):
        metadata[name] = (request.get(group) or {}).get(key) or ""
    if request.get("workdir"):
        metadata["dataplane.admin.socketPath"] = f"{request['workdir']}/kuma-envoy-admin.sock"
    return metadata


def _source(kind, token):
    service = {"envoyGrpc": {"clusterName": "system_ads"}, "initialMetadata": [{"key": "authorization", "value": token}]}
    return {"apiType": kind, "grpcServices": [service], "setNodeOnFirstMessageOnly": True, "transportApiVersion": "V3"}


def _bootstrap(request, dataplane, host, port, ca):
    token, workdir = request.get("dataplaneToken", "").strip(), request.get("workdir") or "/tmp"
    metadata = _metadata(request, dataplane)
    admin = {"socketAddress": {"address": "127.0.0.1", "portValue": int(metadata["dataplane.admin.port"])}}
    if "dataplane.admin.socketPath" in metadata:
        admin = _pipe(metadata["dataplane.admin.socketPath"], mode=384)
    tls = {"@type": TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": host, "commonTlsContext": {
        "tlsParams": {"tlsMinimumProtocolVersion": "TLSv1_2"}, "validationContextSdsSecretConfig": {"name": "cp_validation_ctx"}}}
    names = [{"matcher": {"exact": host}, "sanType": kind} for kind in ("DNS", "IP_ADDRESS")]
    log = {"@type": TYPE + "extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/null"}
    over_ads = {"ads": {}, "initialFetchTimeout": "0s", "resourceApiVersion": "V3"}
    sink = f"{workdir}/kuma-al-{request.get('name')}-{request.get('mesh')}.sock"
    return {
        "admin": {"accessLog": [{"name": "envoy.access_loggers.file", "typedConfig": log}], "address": admin},
        "dynamicResources": {"adsConfig": _source("DELTA_GRPC", token), "cdsConfig": over_ads, "ldsConfig": over_ads},
        "hdsConfig": _source("GRPC", token),
        "node": {"id": f"{request.get('mesh')}.{request.get('name')}",
                 "cluster": (dataplane.get("labels") or {}).get("kuma.io/workload") or dataplane.get("name"), "metadata": metadata},
        "staticResources": {
            "clusters": [_cluster("system_access_log_sink", _pipe(sink)),
                         _cluster("system_ads", {"socketAddress": {"address": host, "portValue": port}},
                                  transportSocket={"name": "envoy.transport_sockets.tls", "typedConfig": tls})],
            "secrets": [{"name": "cp_validation_ctx", "validationContext": {
                "matchTypedSubjectAltNames": names, "trustedCa": {"inlineBytes": base64.b64encode(ca.encode()).decode()}}}]},
    }


def _generate(request, host, config, known):
    if request.get("proxyType", "dataplane") != "dataplane":
        raise Rejected(500)
    if not request.get("dataplaneToken") and not request.get("dataplaneTokenPath"):
        raise Rejected(422, TOKEN_REQUIRED)
    certificate = _certificate(config["certificate"])
    _check_address(host, certificate)
    dataplane = _dataplane(request, config["meshes"], known)
    ca = request.get("caCert") or config["certificate"]
    try:
        basic = _certificate(ca).extensions.get_extension_for_class(x509.BasicConstraints).value
    except ValueError:
        raise Rejected(500) from None
    except x509.ExtensionNotFound:
        basic = None
    if basic is not None and not basic.ca:
        raise Rejected(400, NOT_CA)
    return dataplane, _bootstrap(request, dataplane, host, config["port"], ca)


def answer(headers, body, config, known):
    """(status, content type, body); `headers` with small names, `known`: the Dataplanes made before, by node id."""
    host = headers.get("host", "")
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        try:
            request = json.loads(body)
        except ValueError:
            raise Rejected(400) from None
        dataplane, found = _generate(request, host, config, known)
    except Rejected as error:
        return error.status, "text/plain; charset=utf-8", error.text.encode()
    text = yaml.safe_dump(found, default_flow_style=False).encode()
    if headers.get("accept") != "application/json":
        return 200, "text/x-yaml", text
    sidecar = {"networking": {"address": dataplane["networking"]["address"]}, "metrics": {"aggregate": None}}
    whole = {"bootstrap": base64.b64encode(text).decode(), "kumaSidecarConfiguration": sidecar}
    return 200, "application/json", json.dumps(whole).encode()
