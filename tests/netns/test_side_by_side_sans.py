"""Names in certificates: a real Envoy and Mooring take the same validation contexts, as servers and as clients, meet the same
certificates, and must accept the same ones."""
import ssl

import pytest

import resources
from side_by_side import LIVE, SERVERS, answer_asked
from side_by_side_probes import TRUST_DOMAIN, Case, ProbedPair, assert_complete, plain, print_coverage, target
from test_control_plane import spiffe

pytestmark = [pytest.mark.needs("agent", "envoy", "control-plane", "curl")]
REJECTED = ["match_subject_alt_names", "san_type OTHER_NAME", "verify_certificate_hash and verify_certificate_spki", "several certificates"]
CA_SECRET = "ca"
VALIDATORS = {"spiffe": resources.TRUST_SECRET, "ca": CA_SECRET}
SERVER_PORTS = range(9201, 9206)
DNS = {"web": (), "web2": (), "db": (), "named": ("shop.test", "Www.Shop.test"), "wild": ("*.shop.test", "other.test")}


def uri(**matcher):
    return {"san_type": "URI", "matcher": matcher}


def dns(**matcher):
    return {"san_type": "DNS", "matcher": matcher}


def email(**matcher):
    return {"san_type": "EMAIL", "matcher": matcher}


MATCHERS = {
    "none": [],
    "exact": [uri(exact=spiffe("web"))],
    "exact_case": [uri(exact=spiffe("Web"))],
    "exact_ignores_case": [uri(exact=spiffe("WEB").upper(), ignore_case=True)],
    "exact_of_another_domain": [uri(exact="spiffe://else.test/workload/web")],
    "exact_several": [uri(exact=spiffe("web")), uri(exact=spiffe("db"))],
    "exact_twice": [uri(exact=spiffe("db")), uri(exact=spiffe("db"))],
    "prefix": [uri(prefix=spiffe("web"))],
    "prefix_whole": [uri(prefix=f"spiffe://{TRUST_DOMAIN}/")],
    "prefix_ignores_case": [uri(prefix=spiffe("WEB"), ignore_case=True)],
    "suffix": [uri(suffix="/db")],
    "suffix_ignores_case": [uri(suffix="/DB", ignore_case=True)],
    "contains": [uri(contains="load/we")],
    "contains_case": [uri(contains="LOAD")],
    "contains_ignores_case": [uri(contains="LOAD/W", ignore_case=True)],
    "regex": [uri(safe_regex={"regex": r"spiffe://[^/]*/workload/web\d?"})],
    "regex_is_of_the_whole": [uri(safe_regex={"regex": "web"})],
    "regex_or_exact": [uri(safe_regex={"regex": ".*/named"}), uri(exact=spiffe("web2"))],
    "uri_or_dns": [uri(exact=spiffe("web")), dns(exact="shop.test")],
    "uri_asked_for_dns_text": [uri(exact="shop.test")],
}
# The SPIFFE validator of Envoy looks at matchers of URIs alone.
OF_DNS = {
    "dns_exact": [dns(exact="shop.test")],
    "dns_exact_case": [dns(exact="SHOP.test")],
    "dns_exact_of_capitals": [dns(exact="www.shop.test")],
    "dns_wildcard": [dns(exact="a.shop.test")],
    "dns_wildcard_deeper": [dns(exact="b.a.shop.test")],
    "dns_wildcard_itself": [dns(exact="*.shop.test")],
    "dns_prefix": [dns(prefix="shop")],
    "dns_suffix": [dns(suffix=".test")],
    "dns_suffix_case": [dns(suffix=".TEST", ignore_case=True)],
    "dns_contains": [dns(contains="op.te")],
    "dns_regex": [dns(safe_regex={"regex": r"(shop|other)\.test"})],
    "dns_asked_for_uri_text": [dns(exact=spiffe("web"))],
    "dns_several": [dns(exact="other.test"), dns(exact="shop.test")],
    "email": [email(suffix="test")],
}


def validation(matchers, validator):
    found = {"match_typed_subject_alt_names": matchers} if matchers else {}
    return {"tls_certificate_sds_secret_configs": [{"name": resources.IDENTITY_SECRET, "sds_config": resources.OVER_ADS}],
            "combined_validation_context": {"default_validation_context": found, "validation_context_sds_secret_config": {
                "name": VALIDATORS[validator], "sds_config": resources.OVER_ADS}}}


def socket(kind, matchers, validator, **more):
    return resources.typed("envoy.transport_sockets.tls", f"transport_sockets.tls.v3.{kind}TlsContext",
                           common_tls_context=validation(matchers, validator), **more)


def _features(side, validator, matchers):
    kinds = [each["san_type"] for each in matchers] + [key for each in matchers for key in each["matcher"]]
    return (side, f"validator: {validator}", *dict.fromkeys(kinds)) + (("several matchers",) if len(matchers) > 1 else ()) + (
        ("no matcher",) if not matchers else ())


def of_clients(name, matchers, validator, **more):
    chain = {"filters": [target(LIVE[0])], "transport_socket": socket("Downstream", matchers, validator, require_client_certificate=True)}
    return Case(f"clients_{validator}_{name}", _features("of clients", validator, matchers), [chain], [plain(identity=each) for each in DNS], **more)


def of_servers(name, matchers, validator, **more):
    """A chain for each server, chosen by the address that is called."""
    chains, clusters, probes = [], [], []
    for number, port in enumerate(SERVER_PORTS):
        ip, cluster = f"127.0.1.{number}", f"{validator}_{name}_{port}"
        chains.append({"filter_chain_match": {"prefix_ranges": [{"address_prefix": ip, "prefix_len": 32}]},
                       "filters": [resources.tcp_proxy(cluster, cluster)]})
        clusters.append(resources.static_cluster(cluster, [resources.endpoint(SERVERS, port)],
                                                 transport_socket=socket("Upstream", matchers, validator, sni="shop.test")))
        probes.append(plain(to=ip))
    return Case(f"servers_{validator}_{name}", _features("of servers", validator, matchers), chains, probes, clusters=clusters, **more)


def _cases():
    for make in (of_clients, of_servers):
        for validator in VALIDATORS:
            for name, matchers in MATCHERS.items():
                yield make(name, matchers, validator)
        for name, matchers in OF_DNS.items():
            yield make(name, matchers, "ca")


ALL = list(_cases())


def over_tls(port, file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def handler(connection):
        with context.wrap_socket(connection, server_side=True) as inner:
            answer_asked(port)(inner)
    return handler


@pytest.fixture(scope="module")
def pair(lab):
    made = ProbedPair(lab)
    for port, (name, names) in zip(SERVER_PORTS, DNS.items()):
        made.add_identity(name, *made.mesh.ca.svid(f"workload/{name}", key_type="ec", dns=names))
        made.running[port] = made.servers.server(port, over_tls(port, made.servers.folder / f"{name}.pem"))
    made.serve(ALL, lambda host: [resources.trusted_ca(made.mesh.ca.pem, CA_SECRET)])
    made.seen = []
    return made


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_same_certificates_are_accepted(pair, case):
    pair.seen += pair.assert_alike(case)


def test_coverage(pair, capsys):
    with capsys.disabled():
        print_coverage(ALL, pair.seen, REJECTED)
    assert len(ALL) >= 30
    assert_complete(ALL, pair.seen, {"refused", LIVE[0], *SERVER_PORTS})
