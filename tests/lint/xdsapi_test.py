#!/usr/bin/env python3
"""Fails when a message of agent/xdsapi disagrees with the public xDS API: package, field names, numbers, types.

xdsapi_test.py ROOT             compare
xdsapi_test.py ROOT --self-test change a number in a copy and expect it to be found
Exits with 77 where the public API is not installed (packaging/dependencies.sh control-plane).
"""
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

MODULES = """
envoy.config.accesslog.v3.accesslog envoy.config.cluster.v3.cluster envoy.config.endpoint.v3.endpoint
envoy.config.listener.v3.listener envoy.config.rbac.v3.rbac envoy.config.route.v3.route
envoy.extensions.access_loggers.file.v3.file envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager
envoy.extensions.filters.network.local_ratelimit.v3.local_rate_limit envoy.extensions.filters.network.rbac.v3.rbac
envoy.extensions.filters.network.set_filter_state.v3.set_filter_state envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy
envoy.extensions.transport_sockets.tls.v3.tls
envoy.extensions.transport_sockets.tls.v3.tls_spiffe_validator_config envoy.service.discovery.v3.discovery
envoy.service.health.v3.hds google.rpc.status xds.core.v3.extension xds.type.matcher.v3.matcher
"""

# What Envoy 1.40 has and the published Python package, which is a little older, has not.
NEWER = {"envoy.extensions.filters.network.set_filter_state.v3.Config.on_downstream_tls_handshake"}


def descriptors(folder, scratch):
    """Of our files."""
    from google.protobuf import descriptor_pb2

    out = pathlib.Path(scratch) / "descriptors"
    files = sorted(str(path) for path in (folder / "xdsapi").glob("*.proto"))
    subprocess.run(["protoc", "-I", folder, f"--descriptor_set_out={out}", *files], check=True)
    read = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return [(file.package, file) for file in read.file]


def compare_enum(name, ours, pool):
    public = {value.name: value.number for value in pool.FindEnumTypeByName(name).values}
    for value in ours.value:
        if public.get(value.name) != value.number:
            yield f"{name}.{value.name} is {value.number}, public: {public.get(value.name)}"


def compare_message(name, ours, pool):
    public = pool.FindMessageTypeByName(name).fields_by_name
    for field in ours.field:
        known = public.get(field.name)
        if known is None:
            if f"{name}.{field.name}" in NEWER:
                continue
            yield f"{name}.{field.name} is not in the public API"
            continue
        kind = known.message_type or known.enum_type
        expected = (known.number, known.type, known.is_repeated, kind.full_name if kind else "")
        got = (field.number, field.type, field.label == field.LABEL_REPEATED, field.type_name.removeprefix("."))
        if got != expected:
            yield f"{name}.{field.name}: {got}, public: {expected}"
    for nested in ours.nested_type:
        yield from compare_message(f"{name}.{nested.name}", nested, pool)
    for nested in ours.enum_type:
        yield from compare_enum(f"{name}.{nested.name}", nested, pool)


def problems(folder, pool):
    with tempfile.TemporaryDirectory() as scratch:
        for package, file in descriptors(folder, scratch):
            for message in file.message_type:
                yield from compare_message(f"{package}.{message.name}", message, pool)
            for enum in file.enum_type:
                yield from compare_enum(f"{package}.{enum.name}", enum, pool)


def self_test(root, pool):
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "agent"
        shutil.copytree(root / "agent/xdsapi", copy / "xdsapi")
        file = copy / "xdsapi/tls.proto"
        file.write_text(file.read_text().replace("string sni = 2;", "string sni = 3;"))
        found = list(problems(copy, pool))
    print("found:", *found)
    return 0 if len(found) == 1 and "UpstreamTlsContext.sni" in found[0] else 1


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    libraries = subprocess.run([root / "packaging/dependencies.sh", "--control-plane-path"], capture_output=True, text=True, check=True)
    if not pathlib.Path(libraries.stdout.strip()).is_dir():
        print("skipped: the public API is not here; packaging/dependencies.sh control-plane brings it")
        return 77
    sys.path.insert(0, libraries.stdout.strip())
    for module in MODULES.split():
        importlib.import_module(module + "_pb2")
    from google.protobuf import descriptor_pool

    if "--self-test" in sys.argv[2:]:
        return self_test(root, descriptor_pool.Default())
    found = list(problems(root / "agent", descriptor_pool.Default()))
    for problem in found:
        print(problem)
    print(f"xdsapi: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
