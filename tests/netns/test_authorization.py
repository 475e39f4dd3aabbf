"""Who may call is decided by the callee's rules, and a refusal says why."""
import pytest

import traffic
from traffic import RESET

pytestmark = [pytest.mark.needs("agent", "helper")]


@pytest.fixture
def rules(pair):
    """Gives db the rules of a test by a reload."""
    def apply(**rules):
        pair.configure_db(**rules)
        pair.db.reload_and_wait()
    return apply


def last_inbound(pair):
    return [line for line in pair.db.access_log() if line["direction"] == "inbound"][-1]


def refused(pair):
    before = len(pair.db.access_log())
    with pair.server() as server:
        outcome = pair.outcome()
        assert server.accepted == 0, "the application saw the connection"
    traffic.wait_until(lambda: len(pair.db.access_log()) > before, "line in the access log of db")
    assert outcome != "served"
    return last_inbound(pair)


def served(pair):
    before = len(pair.db.access_log())
    with pair.server():
        assert pair.outcome() == "served"
    traffic.wait_until(lambda: len(pair.db.access_log()) > before, "line in the access log of db")
    return last_inbound(pair)


def test_exact_identity_is_allowed(pair, rules):
    rules(allow=[pair.web.id])
    assert served(pair)["peer_identity"] == pair.web.id


def test_prefix_is_allowed(pair, rules):
    rules(allow=["spiffe://shop.test/*"])
    served(pair)


def test_prefix_ends_at_a_slash(pair, rules):
    """spiffe://shop.test/we/* is no prefix of spiffe://shop.test/web."""
    rules(allow=["spiffe://shop.test/we/*"])
    assert refused(pair)["reason"] == "denied"


def test_other_identity_is_denied_with_a_reset_and_a_reason(pair, rules):
    rules(allow=["spiffe://shop.test/other"])
    line = refused(pair)
    assert (line["reason"], line["peer_identity"]) == ("denied", pair.web.id)
    assert "denied" in pair.db.mooring("why").stdout
    assert pair.web.id in pair.db.mooring("why").stdout


def test_empty_allow_list_denies_everybody(pair, rules):
    rules(allow=[])
    assert refused(pair)["reason"] == "denied"


def test_deny_wins_over_allow(pair, rules):
    rules(allow=["spiffe://shop.test/*"], deny=[pair.web.id])
    line = refused(pair)
    assert line["reason"] == "denied"
    assert line["rule"]


def test_shadow_deny_only_logs_and_counts(pair, rules):
    rules(allow=[pair.web.id], shadow_deny=[pair.web.id])
    before = pair.db.metric("envoy_rbac_shadow_denied")
    assert served(pair)["shadow_rule"].startswith("deny")
    assert pair.db.metric("envoy_rbac_shadow_denied") == before + 1


def test_shadow_allow_lets_nobody_in(pair, rules):
    rules(allow=["spiffe://shop.test/other"], shadow_allow=[pair.web.id])
    line = refused(pair)
    assert line["reason"] == "denied"
    assert line["shadow_rule"].startswith("allow")


def test_counters_follow(pair, rules):
    rules(allow=[pair.web.id])
    allowed = pair.db.metric("envoy_rbac_allowed")
    served(pair)
    assert pair.db.metric("envoy_rbac_allowed") == allowed + 1
    rules(allow=["spiffe://shop.test/other"])
    denied = pair.db.metric("envoy_rbac_denied")
    refused(pair)
    assert pair.db.metric("envoy_rbac_denied") == denied + 1


def test_new_policy_ends_open_connections_that_it_denies(pair, rules):
    rules(allow=[pair.web.id])
    with pair.server(), pair.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        rules(allow=["spiffe://shop.test/other"])
        assert traffic.how_it_ends(client) == (b"", RESET)
    pair.db.wait_for_access(direction="inbound", reason="policy_changed")


def test_new_policy_spares_open_connections_that_it_allows(pair, rules):
    rules(allow=[pair.web.id])
    with pair.server(), pair.connect() as client:
        client.sendall(b"hello")
        assert traffic.receive_exactly(client, 5) == b"hello"
        rules(allow=["spiffe://shop.test/*"])
        client.sendall(b"again")
        assert traffic.receive_exactly(client, 5) == b"again"


def test_unexpected_server_is_refused_by_the_caller(pair, rules):
    """The right address answers with a good certificate of somebody else."""
    rules(allow=[pair.web.id])
    pair.configure_web(spiffe_ids=["spiffe://shop.test/somebody"])
    pair.web.reload_and_wait()
    try:
        with pair.server() as server:
            assert pair.outcome() == RESET
            assert server.accepted == 0
        line = pair.web.wait_for_access(direction="outbound", reason="unexpected_peer")
        assert line["peer_identity"] == pair.db.id
    finally:
        pair.configure_web()
        pair.web.reload_and_wait()


def test_plain_text_to_a_strict_port_is_refused(lab, pair, rules):
    rules(allow=[pair.web.id])
    stranger = lab.host("stranger", identity=False)
    with pair.server() as server:
        with stranger.connect(pair.db.ip, pair.PORT) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            received, end = traffic.how_it_ends(client)
        assert (received, end) == (b"", RESET)
        assert server.accepted == 0
    pair.db.wait_for_access(direction="inbound", reason="plaintext_refused")
