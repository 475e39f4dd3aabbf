"""xDS resources in the shape that Kuma 3.0 gives them, as proto-JSON with "@type": what ControlPlane.set() takes."""
import base64
import hashlib
import json

GOOGLE = "type.googleapis.com/"
CLUSTER = GOOGLE + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = GOOGLE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = GOOGLE + "envoy.config.listener.v3.Listener"
SECRET = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSIONS = GOOGLE + "envoy.extensions."
TLS = EXTENSIONS + "transport_sockets.tls.v3."
HCM = "filters.network.http_connection_manager.v3.HttpConnectionManager"
IDENTITY_SECRET, TRUST_SECRET = "kri_mid_default_zone1__identity_", "system_trust_bundle"
OVER_ADS = {"ads": {}, "resource_api_version": "V3"}
SPIRE_CLUSTER = "system_identity_sds-spire-agent"


def typed(name, kind, **fields):
    return {"name": name, "typed_config": {"@type": EXTENSIONS + kind, **fields}}


def address(ip, port):
    return {"socket_address": {"address": ip, "port_value": port}}


# ---- secrets


def identity(certificate, key, name=IDENTITY_SECRET):
    return {"@type": SECRET, "name": name, "tls_certificate": {
        "certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}}


def trust(bundles, name=TRUST_SECRET):
    """`bundles`: {trust domain: PEM text}."""
    domains = [{"name": domain, "trust_bundle": {"inline_bytes": base64.b64encode(pem.encode()).decode()}} for domain, pem in bundles.items()]
    validator = typed("envoy.tls.cert_validator.spiffe", "transport_sockets.tls.v3.SPIFFECertValidatorConfig", trust_domains=domains)
    return {"@type": SECRET, "name": name, "validation_context": {"custom_validator_config": validator}}


def trusted_ca(pem, name):
    """What a 2.14 control plane sends instead."""
    return {"@type": SECRET, "name": name, "validation_context": {"trusted_ca": {"inline_string": pem}}}


def over_spire(resource, spiffe_id):
    """The same, with its identity and its bundles from a SPIRE agent."""
    api = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": SPIRE_CLUSTER}}]}
    sockets = [each["transport_socket"] for each in [resource, *resource.get("filter_chains", [])] if "transport_socket" in each]
    for socket in sockets:
        context = socket["typed_config"]["common_tls_context"]
        for secret, name in ((context["tls_certificate_sds_secret_configs"][0], spiffe_id),
                             (context["combined_validation_context"]["validation_context_sds_secret_config"], "ALL")):
            secret.update(name=name, sds_config={"api_config_source": api, "resource_api_version": "V3"})
    return resource


def spire_cluster(path):
    return static_cluster(SPIRE_CLUSTER, [{"endpoint": {"address": {"pipe": {"path": path}}}}])


def _tls_context(sans, identity_name, trust_name, params):
    matchers = [{"san_type": "URI", "matcher": matcher} for matcher in sans]
    return {
        "tls_certificate_sds_secret_configs": [{"name": identity_name, "sds_config": OVER_ADS}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": matchers} if matchers else {},
            "validation_context_sds_secret_config": {"name": trust_name, "sds_config": OVER_ADS}},
        **({"tls_params": params} if params else {}),
    }


def downstream_tls(trust_domain, identity_name=IDENTITY_SECRET, trust_name=TRUST_SECRET, params=None):
    context = _tls_context([{"prefix": f"spiffe://{trust_domain}/"}], identity_name, trust_name, params)
    return typed("envoy.transport_sockets.tls", "transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=context,
                 require_client_certificate=True)


def upstream_tls(peers, sni, identity_name=IDENTITY_SECRET, trust_name=TRUST_SECRET, params=None):
    """`peers`: the SPIFFE IDs that may answer; none: any of a trusted domain."""
    context = _tls_context([{"exact": peer} for peer in peers], identity_name, trust_name, params)
    return typed("envoy.transport_sockets.tls", "transport_sockets.tls.v3.UpstreamTlsContext", sni=sni,
                 common_tls_context={**context, "alpn_protocols": ["kuma"]})


# ---- authorization


def _action(name, verdict):
    action = {"@type": GOOGLE + "envoy.config.rbac.v3.Action", "name": name}
    return {"action": {"name": "envoy.filters.rbac.action", "typed_config": action | ({"action": "DENY"} if verdict == "deny" else {})}}


def _predicate(value):
    source = typed("envoy.matching.inputs.uri_san", "matching.common_inputs.ssl.v3.UriSanInput")
    return {"single_predicate": {"input": source, "value_match": value}}


def matcher(rules):
    """`rules`: [("allow" | "deny", name, [{"exact": ID} | {"prefix": ID} ...])], the first that matches decides, else deny."""
    entries = []
    for verdict, name, values in rules:
        predicates = [_predicate(value) for value in values]
        predicate = predicates[0] if len(predicates) == 1 else {"or_matcher": {"predicate": predicates}}
        entries.append({"predicate": predicate, "on_match": _action(name, verdict)})
    return {**({"matcher_list": {"matchers": entries}} if entries else {}), "on_no_match": _action("default", "deny")}


def rbac(stat_prefix, rules, shadow=None):
    more = {} if shadow is None else {"shadow_matcher": matcher(shadow)}
    return typed("envoy.filters.network.rbac", "filters.network.rbac.v3.RBAC", stat_prefix=f"{stat_prefix}.", matcher=matcher(rules), **more)


# ---- listeners


def tcp_proxy(name, cluster, **more):
    return typed("envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name, cluster=cluster, **more)


TLS_INSPECTOR = typed("envoy.filters.listener.tls_inspector", "filters.listener.tls_inspector.v3.TlsInspector")


def listener(name, where, chains, **more):
    return {"@type": LISTENER, "name": name, "stat_prefix": name, "address": where, "filter_chains": chains, **more}


def inbound(ip, port, trust_domain, rules, name=None, is_captured=False, is_permissive=False, shadow=None, params=None, **tcp):
    """The listener of a service: mutual TLS, then permissions, then the application. Permissive: also plain text and foreign
    TLS, neither of which knows permissions; the ALPN tells mesh TLS from the application's own."""
    name = name or f"self_inbound_dp_{port}"
    proxy = tcp_proxy(name, name, idle_timeout="7200s", **tcp)
    mesh = {"filters": [rbac(name, rules, shadow), proxy], "transport_socket": downstream_tls(trust_domain, params=params)}
    more = {"traffic_direction": "INBOUND", "enable_reuse_port": True}
    chains = [mesh]
    if is_permissive:
        more["listener_filters"] = [TLS_INSPECTOR]
        chains = [{"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": [proxy]},
                  {"filter_chain_match": {"transport_protocol": "tls"}, "filters": [proxy]},
                  {"filter_chain_match": {"transport_protocol": "tls", "application_protocols": ["kuma"]}, **mesh}]
    if is_captured:
        more["bind_to_port"] = False
    return listener(name, address(ip, port), chains, **more)


def inbound_cluster(port, app_ip="127.0.0.1", app_port=None, name=None, **more):
    name = name or f"self_inbound_dp_{port}"
    return static_cluster(name, [endpoint(app_ip, app_port or port)], connect_timeout="10s", **more)


def outbound(name, ip, port, is_captured=False, cluster=None, **tcp):
    tcp.setdefault("idle_timeout", "3600s")
    tcp.setdefault("max_connect_attempts", 5)
    more = {"bind_to_port": False} if is_captured else {}
    return listener(name, address(ip, port), [{"filters": [tcp_proxy(name, cluster or name, **tcp)]}], traffic_direction="OUTBOUND", **more)


# ---- clusters and endpoints


def endpoint(ip, port, weight=None, labels=None, health=None):
    found = {"endpoint": {"address": address(ip, port)}}
    if weight:
        found["load_balancing_weight"] = weight
    if labels:
        found["metadata"] = {"filter_metadata": {"envoy.lb": labels, "envoy.transport_socket_match": labels}}
    if health:
        found["health_status"] = health
    return found


def static_cluster(name, endpoints, **more):
    more.setdefault("connect_timeout", "5s")
    return {"@type": CLUSTER, "name": name, "type": "STATIC", **more,
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}] if endpoints else []}}


def eds_cluster(name, peers=(), sni="", has_tls=True, params=None, **more):
    more.setdefault("connect_timeout", "5s")
    more.setdefault("circuit_breakers", {"thresholds": [{"max_connections": 1024, "max_pending_requests": 1024, "max_requests": 1024,
                                                         "max_retries": 3, "track_remaining": True}]})
    if has_tls:
        more["transport_socket"] = upstream_tls(peers, sni or f"sni.{name}", params=params)
    return {"@type": CLUSTER, "name": name, "type": "EDS", "eds_cluster_config": {"eds_config": OVER_ADS}, **more}


def endpoints(name, targets, zone="zone1"):
    """`targets`: [(ip, port)] of one locality, or whole `endpoints` entries."""
    if not targets:
        return {"@type": ENDPOINTS, "cluster_name": name}
    if not isinstance(targets[0], dict):
        labels = {"kuma.io/protocol": "tcp"}
        targets = [{"locality": {"zone": zone}, "lb_endpoints": [endpoint(ip, port, 1, labels) for ip, port in targets]}]
    return {"@type": ENDPOINTS, "cluster_name": name, "endpoints": targets}


# ---- transparent proxy


def passthrough(inbound_ports=(), outbound_port=15001, inbound_port=15006, is_strict=True):
    """Listeners and clusters of both directions and families. Strict: inbound only the declared ports pass."""
    found = [static_cluster("self_transparentproxy_no_destination_inbound", [])]
    for family, any_ip, source in (("4", "0.0.0.0", "127.0.0.6"), ("6", "::", "::6")):
        for direction, port in (("outbound", outbound_port), ("inbound", inbound_port)):
            name = f"self_transparentproxy_passthrough_{direction}_ipv{family}"
            cluster = {"@type": CLUSTER, "name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s"}
            chains = [{"filters": [tcp_proxy(name, name)]}]
            if direction == "inbound":
                cluster["upstream_bind_config"] = {"source_address": {"address": source, "port_value": 0}}
                if is_strict:
                    chains = [{"filter_chain_match": {"destination_port": each}, **chains[0]} for each in inbound_ports]
            found += [cluster, listener(name, address(any_ip, port), chains, use_original_dst=True, traffic_direction=direction.upper())]
    return found


# ---- what the control plane wants for itself


def _http(name, virtual_hosts, **more):
    router = typed("envoy.filters.http.router", "filters.http.router.v3.Router")
    return typed("envoy.filters.network.http_connection_manager", HCM, stat_prefix=name, http_filters=[router],
                 route_config={"virtual_hosts": virtual_hosts, "validate_clusters": False}, **more)


def dynamic_config(socket, bodies):
    """`bodies`: {"/dns": object, ...}: answers with an ETag, and 304 to who has it already."""
    name, routes = "system_dynamicconfig", []
    for path, body in bodies.items():
        text = body if isinstance(body, str) else json.dumps(body)
        tag, label = hashlib.sha256(text.encode()).hexdigest(), f"{name}_{path.strip('/')}"
        unchanged = {"path": path, "headers": [{"name": "If-None-Match", "string_match": {"exact": tag}}]}
        routes += [{"name": f"{label}_not_modified", "match": unchanged, "direct_response": {"status": 304}},
                   {"name": label, "match": {"path": path}, "direct_response": {"status": 200, "body": {"inline_string": text}},
                    "response_headers_to_add": [{"header": {"key": "Etag", "value": tag}}]}]
    where = {"pipe": {"path": socket}}
    return listener(name, where, [{"filters": [_http(name, [{"name": name, "domains": ["*"], "routes": routes}])]}])


def dns_records(names, ttl=30):
    """The body of /dns; `names`: {name: IPv4 address}. Each has its IPv6 twin."""
    def twin(ip):
        a, b, c, d = map(int, ip.split("."))
        return f"::ffff:{a * 256 + b:x}:{c * 256 + d:x}"
    return {"records": [{"name": name, "ips": [ip, twin(ip)]} for name, ip in names.items()], "ttl": ttl}


def admin(ip, certificate, key, client_ca, admin_socket, readiness_port=9902, port=9901):
    """Listener and clusters by which the control plane asks a proxy: plain text for /ready, mutual TLS for the rest."""
    name = "system_envoy_admin"
    def route(prefix, cluster):
        return {"match": {"prefix": prefix}, "route": {"cluster": cluster, "prefix_rewrite": prefix}}
    def chain(*routes, **more):
        return {"filters": [_http(name, [{"name": name, "domains": ["*"], "routes": list(routes)}])], **more}
    context = {"tls_certificates": [{"certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}],
               "validation_context": {"trusted_ca": {"inline_string": client_ca},
                                      "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "kuma-cp"}}]}}
    tls = typed("envoy.transport_sockets.tls", "transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=context,
                require_client_certificate=True)
    chains = [chain(route("/ready", "system_probe_readiness")),
              chain(route("/ready", "system_probe_readiness"), route("/", name), transport_socket=tls,
                    filter_chain_match={"transport_protocol": "tls"})]
    return [listener(name, address(ip, port), chains, listener_filters=[TLS_INSPECTOR], traffic_direction="INBOUND"),
            static_cluster(name, [{"endpoint": {"address": {"pipe": {"path": admin_socket}}}}]),
            static_cluster("system_probe_readiness", [endpoint("127.0.0.1", readiness_port)])]


def metrics(ip, port, path, metrics_socket, tls=None):
    """Listener and cluster of a MeshMetric Prometheus backend. `tls`: (certificate, key, CA of the clients, their DNS name)."""
    name = "system_meshmetric_prometheus_default-backend"
    chain = {"filters": [_http(name, [{"name": name, "domains": ["*"], "routes": [
        {"match": {"prefix": path}, "route": {"cluster": name, "prefix_rewrite": "/meshmetric"}}]}])]}
    if tls:
        certificate, key, client_ca, client = tls
        context = {"tls_certificates": [{"certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}],
                   "validation_context": {"trusted_ca": {"inline_string": client_ca},
                                          "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": client}}]}}
        chain["transport_socket"] = typed("envoy.transport_sockets.tls", "transport_sockets.tls.v3.DownstreamTlsContext",
                                          common_tls_context=context, require_client_certificate=True)
    return [listener(name, address(ip, port), [chain], traffic_direction="INBOUND"),
            static_cluster(name, [{"endpoint": {"address": {"pipe": {"path": metrics_socket}}}}])]


def name_of(resource):
    return resource.get("cluster_name") or resource["name"]
