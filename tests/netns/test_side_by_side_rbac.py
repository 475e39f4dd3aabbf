"""Verdicts of the RBAC filter: a real Envoy and Mooring take the same rules and are called by the same clients, by mutual TLS
or in plain text, and must let the same ones through."""
import itertools

import pytest

import resources
from side_by_side import LIVE
from side_by_side_probes import ANY6, EXTRA_IP6, OWN_PORT, TRUST_DOMAIN, Case, ProbedPair, assert_complete, plain, print_coverage, target
from test_control_plane import spiffe

pytestmark = [pytest.mark.needs("agent", "envoy", "control-plane", "curl")]
REJECTED = ["nested matchers and matcher_tree", "inputs other than uri_san and server_name", "header, url_path, metadata and filter_state",
            "remote_ip", "conditions (CEL)", "action LOG", "destination ports of a range that is empty",
            "a matcher that asks for uri_san in a chain without TLS, where Envoy ends each connection that it asks"]
WHO = ["web", "web2", "db", "webshop"]
CALLS = [plain(identity=name) for name in WHO]
SOURCES = [plain(source=ip) for ip in ("127.0.0.1", "127.0.0.7", "127.3.0.1", "127.3.4.5")]
DESTINATIONS = [plain(to=ip) for ip in ("127.0.0.1", "127.3.0.1", "127.3.4.5")]
NAMES = [plain(identity="web", sni=name) for name in ("shop.test", "a.shop.test", "other.test", None)]


def ignoring(**value):
    return {**value, "ignore_case": True}


VALUES = {
    "exact": {"exact": spiffe("web")},
    "exact_case": {"exact": spiffe("WEB")},
    "exact_ignores_case": ignoring(exact=spiffe("WEB").upper()),
    "prefix": {"prefix": spiffe("web")},
    "prefix_whole": {"prefix": f"spiffe://{TRUST_DOMAIN}/"},
    "prefix_ignores_case": ignoring(prefix=spiffe("WEB")),
    "suffix": {"suffix": "/db"},
    "suffix_ignores_case": ignoring(suffix="/DB"),
    "contains": {"contains": "load/we"},
    "contains_ignores_case": ignoring(contains="SHOP"),
    "regex": {"safe_regex": {"regex": r"spiffe://.*/web[0-9]?"}},
    "regex_is_of_the_whole": {"safe_regex": {"regex": "web"}},
    "regex_alternatives": {"safe_regex": {"regex": r".*/(db|webshop)"}},
    "nobody": {"exact": "spiffe://else.test/web"},
}


def case(name, features, filters, probes, has_tls=True, **more):
    socket = {"transport_socket": resources.downstream_tls(TRUST_DOMAIN)} if has_tls else {}
    return Case(name, features, [{"filters": [*filters, target(LIVE[0])], **socket}], probes, **more)


def rbac(**fields):
    return resources.typed("envoy.filters.network.rbac", "filters.network.rbac.v3.RBAC", stat_prefix="rbac.", **fields)


# ---- matcher


def predicate(value, kind="ssl.v3.UriSanInput"):
    source = resources.typed("input", f"matching.common_inputs.{kind}")
    if "safe_regex" in value:  # there Envoy wants its engine named
        value = {"safe_regex": {"google_re2": {}, **value["safe_regex"]}}
    return {"single_predicate": {"input": source, "value_match": value}}


def called(value):
    return predicate(value, "network.v3.ServerNameInput")


def all_of(*of):
    return {"and_matcher": {"predicate": list(of)}}


def any_of(*of):
    return {"or_matcher": {"predicate": list(of)}}


def none(of):
    return {"not_matcher": of}


def verdict(name):
    action = {"@type": resources.GOOGLE + "envoy.config.rbac.v3.Action", "name": name, "action": name.upper()}
    return {"action": {"name": "envoy.filters.rbac.action", "typed_config": action}}


def matching(*entries, otherwise="deny"):
    """`entries`: ("allow" | "deny", predicate)."""
    found = {"matcher_list": {"matchers": [{"predicate": held, "on_match": verdict(name)} for name, held in entries]}} if entries else {}
    return {**found, **({"on_no_match": verdict(otherwise)} if otherwise else {})}


WEB, WEBS, DB = (predicate(VALUES[name]) for name in ("exact", "prefix", "suffix"))


def _values():
    for (name, value), action in itertools.product(VALUES.items(), ("allow", "deny")):
        otherwise = "deny" if action == "allow" else "allow"
        yield case(f"matcher_{action}_{name}", ("matcher", "URI SAN", *value, action),
                   [rbac(matcher=matching((action, predicate(value)), otherwise=otherwise))], CALLS)


def _trees():
    trees = {
        "or": any_of(WEB, DB), "and": all_of(WEBS, none(WEB)), "and_never": all_of(WEB, DB), "not": none(WEBS), "not_not": none(none(WEBS)),
        "not_or": none(any_of(WEB, DB)), "not_and": none(all_of(WEBS, WEB)), "or_of_ands": any_of(all_of(WEBS, none(WEB)), all_of(DB, none(WEB))),
        "and_of_ors": all_of(any_of(WEB, DB), any_of(WEBS, WEB)), "deep": none(all_of(none(any_of(WEB, none(WEBS))), WEBS)),
    }
    for (name, tree), action in itertools.product(trees.items(), ("allow", "deny")):
        used = tuple(each for each in ("or_matcher", "and_matcher", "not_matcher") if f'{each}' in str(tree))
        yield case(f"tree_{action}_{name}", ("matcher", *used, action),
                   [rbac(matcher=matching((action, tree), otherwise="deny" if action == "allow" else "allow"))], CALLS)


def _lists():
    orders = [("deny", WEB), ("allow", WEBS), ("deny", DB), ("allow", none(WEB))]
    for number, entries in enumerate(itertools.permutations(orders, 3)):
        yield case(f"list_{number}", ("matcher", "first match decides"), [rbac(matcher=matching(*entries))], CALLS)
    for otherwise in ("allow", "deny", None):
        yield case(f"list_none_{otherwise}", ("matcher", "on_no_match"), [rbac(matcher=matching(otherwise=otherwise))], CALLS[:2])
        yield case(f"list_one_{otherwise}", ("matcher", "on_no_match"), [rbac(matcher=matching(("allow", DB), otherwise=otherwise))], CALLS)
    yield case("no_rules_at_all", ("no rules",), [rbac()], CALLS[:2])
    yield case("two_filters", ("several filters",),
               [rbac(matcher=matching(("allow", WEBS))), rbac(matcher=matching(("deny", WEB), otherwise="allow"))], CALLS)
    for enforced, shadow in itertools.product(("allow", "deny"), repeat=2):
        fields = {"matcher": matching((enforced, WEB), otherwise="deny"), "shadow_matcher": matching((shadow, WEBS), otherwise="deny")}
        yield case(f"shadow_{enforced}_{shadow}", ("matcher", "shadow_matcher"), [rbac(**fields)], CALLS)
    yield case("shadow_alone", ("shadow_matcher",), [rbac(shadow_matcher=matching(otherwise="deny"))], CALLS[:2])
    yield case("as_kuma", ("matcher", "as Kuma"), [resources.rbac("x", [("deny", "d", [VALUES["exact"], VALUES["suffix"]]), (
        "allow", "a", [VALUES["prefix_whole"]])], shadow=[("deny", "s", [VALUES["prefix"]])])], CALLS)


def _server_names():
    for name, value in {"exact": {"exact": "shop.test"}, "suffix": {"suffix": ".shop.test"}, "empty": {"safe_regex": {"regex": ".*"}},
                        "ignores_case": ignoring(exact="SHOP.test"), "contains": {"contains": "shop"}}.items():
        yield case(f"matcher_name_{name}", ("matcher", "requested server name", *value), [rbac(matcher=matching(("allow", called(value))))], NAMES)
        yield case(f"rules_name_{name}", ("rules", "requested server name", *value), [rbac(rules=rules(permissions=[{"requested_server_name": value}]))],
                   NAMES)
    yield case("matcher_name_and_peer", ("matcher", "requested server name", "and_matcher"),
               [rbac(matcher=matching(("allow", all_of(WEBS, none(called({"exact": "shop.test"}))))))], NAMES)


# ---- rules, as 2.14 gives them


def rules(action="ALLOW", principals=({"any": True},), permissions=({"any": True},), **more):
    policies = {"policy": {"permissions": list(permissions), "principals": list(principals)}, **more}
    return {"action": action, "policies": policies}


def named(value):
    return {"authenticated": {"principal_name": value}}


def _principals():
    for (name, value), action in itertools.product(VALUES.items(), ("ALLOW", "DENY")):
        yield case(f"rules_{action.lower()}_{name}", ("rules", "principal_name", *value, action.lower()), [rbac(rules=rules(action, [named(value)]))], CALLS)
    web, webs, db = (named(VALUES[name]) for name in ("exact", "prefix", "suffix"))
    sets = {"or": [{"or_ids": {"ids": [web, db]}}], "and": [{"and_ids": {"ids": [webs, {"not_id": web}]}}], "not": [{"not_id": webs}],
            "several": [web, db], "any": [{"any": True}], "authenticated": [{"authenticated": {}}],
            "not_authenticated": [{"not_id": {"authenticated": {}}}], "as_kuma": [{"and_ids": {"ids": [{"or_ids": {"ids": [web, db]}}, {"not_id": db}]}}]}
    for (name, principals), action in itertools.product(sets.items(), ("ALLOW", "DENY")):
        yield case(f"rules_{action.lower()}_set_{name}", ("rules", "principals", action.lower()), [rbac(rules=rules(action, principals))], CALLS)
    yield case("rules_no_policy", ("rules", "no policy"), [rbac(rules={"action": "ALLOW"})], CALLS[:2])
    yield case("rules_deny_no_policy", ("rules", "no policy"), [rbac(rules={"action": "DENY"})], CALLS[:2])
    yield case("rules_two_policies", ("rules", "several policies"),
               [rbac(rules=rules("ALLOW", [web], more={"permissions": [{"any": True}], "principals": [db]}))], CALLS)
    yield case("rules_shadow", ("rules", "shadow_rules"), [rbac(rules=rules("ALLOW", [webs]), shadow_rules=rules("DENY", [web]))], CALLS)
    yield case("rules_of_plain_text", ("rules", "authenticated", "plain text"), [rbac(rules=rules("ALLOW", [{"authenticated": {}}]))], [plain()], False)
    yield case("rules_not_of_plain_text", ("rules", "authenticated", "plain text"), [rbac(rules=rules("DENY", [{"authenticated": {}}]))], [plain()], False)
    yield case("matcher_of_plain_text", ("matcher", "plain text"),
               [rbac(matcher=matching(("allow", called({"safe_regex": {"regex": ".*"}})), otherwise="deny"))], [plain()], False)
    for number, principal in enumerate((web, {"not_id": web}, {"any": True})):
        for action in ("ALLOW", "DENY"):
            yield case(f"rules_{action.lower()}_of_plain_text_{number}", ("rules", "principal_name", "plain text"), [rbac(rules=rules(action, [principal]))],
                       [plain()], False)


def _addresses():
    ranges = {"one": ("127.0.0.7", 32), "net": ("127.3.0.0", 16), "deeper": ("127.3.4.0", 24), "all": ("0.0.0.0", 0), "other": ("10.0.0.0", 8),
              "v6": ("::", 0)}
    for (name, (ip, length)), field in itertools.product(ranges.items(), ("source_ip", "direct_remote_ip")):
        cidr = {"address_prefix": ip, "prefix_len": length}
        yield case(f"{field}_{name}", ("rules", field), [rbac(rules=rules(principals=[{field: cidr}]))], SOURCES, False)
    for name, (ip, length) in ranges.items():
        cidr = {"address_prefix": ip, "prefix_len": length}
        yield case(f"destination_ip_{name}", ("rules", "destination_ip"), [rbac(rules=rules(permissions=[{"destination_ip": cidr}]))], DESTINATIONS, False)
    for name, (ip, length) in {"one": ("::1", 128), "net": ("fd77:2::", 64), "v4": ("0.0.0.0", 0)}.items():
        cidr = {"address_prefix": ip, "prefix_len": length}
        yield case(f"destination_ip6_{name}", ("rules", "destination_ip", "IPv6"), [rbac(rules=rules(permissions=[{"destination_ip": cidr}]))],
                   [plain(to="::1"), plain(to=EXTRA_IP6)], False, ip=ANY6)
    ports = {"own": {"destination_port": OWN_PORT}, "other": {"destination_port": 9}, "not_own": {"not_rule": {"destination_port": OWN_PORT}},
             "range": {"destination_port_range": {"start": 20000, "end": 30000}}, "range_ends": {"destination_port_range": {"start": 1, "end": OWN_PORT}},
             "range_begins": {"destination_port_range": {"start": OWN_PORT, "end": 65536}},
             "and": {"and_rules": {"rules": [{"destination_port": OWN_PORT}, {"destination_ip": {"address_prefix": "127.3.0.0", "prefix_len": 16}}]}},
             "or": {"or_rules": {"rules": [{"destination_port": 9}, {"destination_ip": {"address_prefix": "127.3.0.0", "prefix_len": 16}}]}}}
    for (name, permission), action in itertools.product(ports.items(), ("ALLOW", "DENY")):
        yield case(f"port_{action.lower()}_{name}", ("rules", "destination_port", action.lower()),
                   [rbac(rules=rules(action, permissions=[permission]))], DESTINATIONS, False)


ALL = [each for make in (_values, _trees, _lists, _server_names, _principals, _addresses) for each in make()]


@pytest.fixture(scope="module")
def pair(lab):
    made = ProbedPair(lab)
    for name in WHO:
        made.add_identity(name, *made.mesh.ca.svid(f"workload/{name}", key_type="ec"))
    made.serve(ALL)
    made.seen = []
    return made


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_same_callers_are_let_through(pair, case):
    pair.seen += pair.assert_alike(case)


def test_coverage(pair, capsys):
    with capsys.disabled():
        print_coverage(ALL, pair.seen, REJECTED)
    assert len(ALL) >= 60
    assert_complete(ALL, pair.seen, {"refused", LIVE[0]})
