"""The choice of a filter chain: a real Envoy and Mooring take the same listeners and get the same first bytes, and must hand
them to the same chain, or to none. Each chain leads to a server of its own."""
import itertools

import pytest

from side_by_side import LIVE
from side_by_side_probes import ANY6, EXTRA_IP6, OWN_PORT, Case, ProbedPair, assert_complete, plain, print_coverage, target, tls

pytestmark = [pytest.mark.needs("agent", "envoy", "control-plane", "curl")]
REJECTED = ["default_filter_chain", "source_type", "source_prefix_ranges", "source_ports", "direct_source_prefix_ranges", "address_suffix"]
VARYING = ["a chain for a prefix of length 0 beside one without prefix"]
HOSTS = ["shop.test", "a.shop.test", "b.a.shop.test", "other.test"]
NAMED = [tls(name) for name in HOSTS] + [tls(), plain()]
SPOKEN = [tls("shop.test"), tls("shop.test", "kuma"), tls("shop.test", "h2"), tls("shop.test", "h2", "kuma"), tls(None, "kuma"), plain()]
REACHED = [plain(to=ip) for ip in ("127.0.0.1", "127.1.0.1", "127.1.2.1", "127.1.2.3", "127.2.0.1")]
REACHED6 = [plain(to="::1"), plain(to=EXTRA_IP6)]


def prefix(text):
    ip, _, length = text.partition("/")
    return {"address_prefix": ip, "prefix_len": int(length)}


def match(port=None, ips=(), names=(), transport=None, alpn=()):
    fields = {"destination_port": port, "prefix_ranges": [prefix(each) for each in ips], "server_names": list(names),
              "transport_protocol": transport, "application_protocols": list(alpn)}
    return {key: value for key, value in fields.items() if value}


def case(name, features, matches, probes, **more):
    """The n-th chain leads to the n-th server."""
    chains = [{**({"filter_chain_match": found} if found else {}), "filters": [target(port)]} for port, found in zip(LIVE, matches)]
    assert len(chains) == len(matches)
    return Case(name, features, chains, probes, **more)


def _ports():
    for own, other, rest in itertools.product((False, True), repeat=3):
        matches = [match(OWN_PORT)] * own + [match(9)] * other + [match()] * rest
        if matches:
            yield case(f"port_{own:d}{other:d}{rest:d}", ("destination_port",), matches, [plain(), tls("shop.test", "kuma")])
    yield case("port_twice_by_name", ("destination_port", "server_names"),
               [match(OWN_PORT, names=["shop.test"]), match(OWN_PORT, names=["*.shop.test"]), match(names=["other.test"])], NAMED)
    yield case("port_has_no_way_back", ("destination_port", "server_names", "precedence"),
               [match(OWN_PORT, names=["other.test"]), match(names=["shop.test"]), match()], NAMED)


def _addresses():
    every = ["127.0.0.1/32", "127.1.0.0/16", "127.1.2.0/24", "127.1.2.3/32", "0.0.0.0/0"]
    for count in (1, 2, 3):
        for number, chosen in enumerate(itertools.combinations(every, count)):
            yield case(f"prefixes_{count}_{number}", ("prefix_ranges",), [match(ips=[each]) for each in chosen], REACHED)
    yield case("prefixes_of_one_chain", ("prefix_ranges", "several of a kind"), [match(ips=every[:2]), match(ips=every[2:4])], REACHED)
    yield case("prefixes_or_any", ("prefix_ranges",), [match(ips=["127.1.2.0/24"]), match()], REACHED)
    yield case("prefixes_with_host_bits", ("prefix_ranges",), [match(ips=["127.1.2.9/24"]), match()], REACHED)
    yield case("prefix_has_no_way_back", ("prefix_ranges", "server_names", "precedence"),
               [match(ips=["127.1.2.0/24"], names=["other.test"]), match(ips=["127.1.0.0/16"], names=["shop.test"]), match()],
               [tls(name, to=to) for name in ("shop.test", "other.test") for to in ("127.1.2.3", "127.1.0.1", "127.0.0.1")])
    yield case("port_before_prefix", ("destination_port", "prefix_ranges", "precedence"),
               [match(OWN_PORT, ips=["127.1.0.0/16"]), match(ips=["127.1.2.3/32"]), match()], REACHED)
    for number, chosen in enumerate((["::1/128"], ["::/0"], ["fd77:2::/64"], ["::1/128", "::/0"], ["fd77:2::/64", "fd77::/16"], ["0.0.0.0/0"])):
        for rest in (False, True) if "::/0" not in chosen else (False,):
            yield case(f"prefixes6_{number}_{rest:d}", ("prefix_ranges", "IPv6"), [match(ips=[each]) for each in chosen] + [match()] * rest,
                       REACHED6, ip=ANY6)


def _names():
    every = ["shop.test", "*.shop.test", "*.a.shop.test", "a.shop.test", "*.test"]
    for count in (1, 2, 3, 4):
        for number, chosen in enumerate(itertools.combinations(every, count)):
            yield case(f"names_{count}_{number}", ("server_names",), [match(names=[each]) for each in chosen], NAMED)
    yield case("names_or_any", ("server_names",), [match(names=["*.shop.test"]), match()], NAMED)
    yield case("names_or_any_tls", ("server_names", "transport_protocol"), [match(names=["*.shop.test"]), match(transport="tls")], NAMED)
    yield case("names_of_one_chain", ("server_names", "several of a kind"), [match(names=["shop.test", "*.a.shop.test"]), match(names=["*.test"])], NAMED)
    yield case("names_of_capitals_asked", ("server_names", "letter case"), [match(names=["shop.test"]), match()], [tls("SHOP.test"), tls("Shop.Test")])
    yield case("name_has_no_way_back", ("server_names", "application_protocols", "precedence"),
               [match(names=["shop.test"], alpn=["kuma"]), match(names=["*.test"], alpn=["h2"]), match(alpn=["h2"])], SPOKEN)
    yield case("name_has_no_way_back_from_transport", ("server_names", "transport_protocol", "precedence"),
               [match(names=["shop.test"], transport="raw_buffer"), match(names=["*.test"]), match()], NAMED)


def _protocols():
    kinds = [match(transport="raw_buffer"), match(transport="tls"), match()]
    for count in (1, 2, 3):
        for number, chosen in enumerate(itertools.combinations(kinds, count)):
            yield case(f"transport_{count}_{number}", ("transport_protocol",), list(chosen), SPOKEN)
    spoken = [match(alpn=["kuma"]), match(alpn=["h2"]), match(transport="tls"), match(transport="tls", alpn=["kuma"]), match()]
    for count in (1, 2, 3):
        for number, chosen in enumerate(itertools.combinations(spoken, count)):
            yield case(f"alpn_{count}_{number}", ("application_protocols", "transport_protocol"), list(chosen), SPOKEN)
    yield case("alpn_order_is_the_clients", ("application_protocols",), [match(alpn=["kuma"]), match(alpn=["h2"])],
               [tls(None, "h2", "kuma"), tls(None, "kuma", "h2"), tls(None, "x", "kuma"), tls(None, "x")])
    yield case("alpn_of_one_chain", ("application_protocols", "several of a kind"), [match(alpn=["kuma", "h2"]), match()], SPOKEN)
    yield case("transport_has_no_way_back", ("transport_protocol", "application_protocols", "precedence"),
               [match(transport="tls", alpn=["kuma"]), match(alpn=["h2"]), match()], SPOKEN)
    for number, matches in enumerate(([match(transport="raw_buffer"), match()], [match(transport="tls"), match()], [match(names=["shop.test"]), match()],
                                      [match(names=["*.test"]), match(alpn=["kuma"])], [match(alpn=["kuma"]), match(transport="raw_buffer")])):
        yield case(f"not_inspected_{number}", ("no inspector",), matches, SPOKEN, inspects=False)
    yield case("as_permissive", ("transport_protocol", "application_protocols", "as Kuma"),
               [match(transport="raw_buffer"), match(transport="tls"), match(transport="tls", alpn=["kuma"])], SPOKEN)


def _mixed():
    """All that a match has, in each order of the chains' list: which comes first there must not matter."""
    parts = [match(OWN_PORT, ["127.1.2.0/24"], ["shop.test"], "tls", ["kuma"]), match(OWN_PORT, ["127.1.2.0/24"], ["shop.test"], "tls"),
             match(OWN_PORT, ["127.1.2.0/24"], ["*.shop.test"]), match(ips=["127.1.0.0/16"], names=["shop.test"]), match(OWN_PORT),
             match(transport="raw_buffer")]
    probes = [tls("shop.test", "kuma", to="127.1.2.3"), tls("shop.test", "h2", to="127.1.2.3"), tls("a.shop.test", to="127.1.2.3"),
              tls("other.test", to="127.1.2.3"), tls("shop.test", to="127.1.0.1"), tls("shop.test", to="127.0.0.1"), plain(),
              plain(to="127.1.2.3")]
    for left_out in range(len(parts)):
        chosen = parts[:left_out] + parts[left_out + 1:]
        for turned in (False, True):
            yield case(f"mixed_{left_out}_{'turned' if turned else 'straight'}", ("all at once", "precedence", "order of chains"),
                       chosen[::-1] if turned else chosen, probes)


ALL = [each for make in (_ports, _addresses, _names, _protocols, _mixed) for each in make()]


@pytest.fixture(scope="module")
def pair(lab):
    made = ProbedPair(lab)
    made.serve(ALL)
    made.seen = []
    return made


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_same_chain_is_chosen(pair, case):
    pair.seen += pair.assert_alike(case)


def test_coverage(pair, capsys):
    with capsys.disabled():
        print_coverage(ALL, pair.seen, REJECTED, VARYING)
    assert len(ALL) >= 60
    assert_complete(ALL, pair.seen, {"refused", *LIVE[:4]})
