"""Health discovery: what a proxy is asked to probe, and what it says about it."""
from envoy.service.health.v3 import hds_pb2
from google.protobuf import json_format

import authorization


def specifier(dataplane, admin_socket, interval):
    """As a control plane makes it: the proxy itself, and each inbound that has a serviceProbe."""
    def check(name, address, **probe):
        return {"cluster_name": name, "health_checks": [probe], "locality_endpoints": [{"endpoints": [{"address": address}]}]}
    checks = []
    if admin_socket:
        checks.append(check("system_envoy_admin", {"pipe": {"path": admin_socket}}, timeout="2s", interval="1s", unhealthy_threshold=1,
                            healthy_threshold=1, no_traffic_interval="1s", http_health_check={"path": "/ready"}))
    for inbound in dataplane["networking"].get("inbound") or []:
        probe = inbound.get("serviceProbe")
        if probe is None:
            continue
        port = inbound.get("servicePort") or inbound["port"]
        address = {"socket_address": {"address": inbound.get("serviceAddress") or "127.0.0.1", "port_value": port}}
        checks.append(check(f"localhost:{port}", address, timeout=probe.get("timeout", "2s"), interval=probe.get("interval", "5s"),
                            unhealthy_threshold=probe.get("unhealthyThreshold", 3), healthy_threshold=probe.get("healthyThreshold", 1),
                            no_traffic_interval="1s", tcp_health_check={}))
    return json_format.ParseDict({"cluster_health_checks": checks, "interval": interval}, hds_pb2.HealthCheckSpecifier())


def statuses(response):
    """{cluster: status}; of several endpoints a control plane reads the first."""
    found = {}
    for cluster in response.cluster_endpoints_health:
        first = cluster.locality_endpoints_health[0].endpoints_health[0]
        found[cluster.cluster_name] = json_format.MessageToDict(first).get("healthStatus", "UNKNOWN")
    return found


async def serve(plane, requests, context):
    """The stream's responses: one specifier, when the proxy is known."""
    node = None
    try:
        async for request in requests:
            if request.WhichOneof("request_type") == "endpoint_health_response":
                plane.health.setdefault(node, {}).update(statuses(request.endpoint_health_response))
                plane.record("health", node, statuses=plane.health[node])
                continue
            node = request.health_check_request.node.id
            proxy = await plane.proxy_of(node)
            if proxy is None:
                await plane.refuse(context, node, "dataplane not found. Create Dataplane in Kuma CP first or pass it as an argument to kuma-dp")
            try:
                plane.authorize(context, proxy.dataplane)
            except authorization.Refused as error:
                await plane.refuse(context, node, f"authentication failed: {error}")
            plane.record("health-request", node)
            yield specifier(proxy.dataplane, proxy.admin_socket, plane.behaviour["health_interval"])
    finally:
        plane.health.pop(node, None)
