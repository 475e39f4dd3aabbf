"""Endpoint choice, ejection and retries: a real Envoy and Mooring take the same resources from one control plane, get the
same traffic, and must come to the same outcome. Each case has a listener and a cluster of its own; all are served at once."""
import itertools
import time

import pytest

import resources
import side_by_side
from side_by_side import DEAD, LIVE, Case, Pair, assert_alike, locality, show
from traffic import wait_until

pytestmark = [pytest.mark.needs("agent", "envoy", "control-plane", "curl")]

POLICIES = {
    "round_robin": {},
    "least_request": {"lb_policy": "LEAST_REQUEST"},
    "random": {"lb_policy": "RANDOM"},
    "ring_hash": {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 4096}},
    "maglev": {"lb_policy": "MAGLEV"},
}
HEALTHS = ["HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"]


def _policies():
    for (policy, cluster), count in itertools.product(POLICIES.items(), (1, 2, 5)):
        yield Case(f"{policy}_{count}", (policy,), [locality(LIVE[:count])], cluster)
    for policy, cluster in POLICIES.items():
        yield Case(f"{policy}_weights", (policy, "weights"), [locality(LIVE[:3], weights=[1, 2, 5])], cluster)
        for weights in ([3, 1], [1, 128], [2, 2, 2, 9, 1]):
            yield Case(f"{policy}_weights_{'_'.join(map(str, weights))}", (policy, "weights"),
                       [locality(LIVE[:len(weights)], weights=weights)], cluster)
        yield Case(f"{policy}_none", (policy, "no endpoint"), [], cluster, connections=3)
    for choices, bias in ((3, 1.0), (3, 1.3), (2, 0.0)):
        config = {"choice_count": choices, "active_request_bias": {"default_value": bias, "runtime_key": "bias"}}
        yield Case(f"least_request_{choices}_{int(bias * 10)}", ("least_request", "choice_count", "active_request_bias"),
                   [locality(LIVE[:4], weights=[1, 1, 2, 4])], {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": config})
    small = {"minimum_ring_size": 64, "maximum_ring_size": 128, "hash_function": "MURMUR_HASH_2"}
    yield Case("ring_hash_murmur", ("ring_hash", "hash_function", "ring size"), [locality(LIVE[:4])],
               {"lb_policy": "RING_HASH", "ring_hash_lb_config": small})
    yield Case("maglev_small", ("maglev", "table size"), [locality(LIVE[:4], weights=[1, 1, 1, 3])],
               {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 1009}})


def _localities():
    weighted = {"common_lb_config": {"locality_weighted_lb_config": {}}}
    for policy, cluster in POLICIES.items():
        yield Case(f"{policy}_localities", (policy, "locality weights"),
                   [locality(LIVE[:2], weight=80, zone="a"), locality(LIVE[2:6], weight=20, zone="b")], {**cluster, **weighted})
        yield Case(f"{policy}_localities_ill", (policy, "locality weights", "health"),
                   [locality(LIVE[:4], weight=1, zone="a", health=["UNHEALTHY", "UNHEALTHY"]), locality(LIVE[4:6], weight=1, zone="b")],
                   {**cluster, **weighted})
        yield Case(f"{policy}_localities_flat", (policy, "locality weights", "not weighted"),
                   [locality(LIVE[:2], weight=80, zone="a"), locality(LIVE[2:6], weight=20, zone="b")], cluster)
    yield Case("localities_zero", ("locality weights",), [locality(LIVE[:2], zone="a"), locality(LIVE[2:3], zone="b")], weighted)
    yield Case("localities_one_zero", ("locality weights",), [locality(LIVE[:2], zone="a"), locality(LIVE[2:3], weight=1, zone="b")], weighted)


def _priorities():
    for policy, ill, over in itertools.product(("round_robin", "ring_hash"), range(5), (None, 100, 200)):
        yield Case(f"priority_{policy}_{ill}_{over or 'default'}", (policy, "priorities", "overprovisioning", "health"),
                   [locality(LIVE[:4], health=["UNHEALTHY"] * ill), locality(LIVE[4:6], priority=1)], POLICIES[policy], overprovisioning=over)
    for policy, ill in itertools.product(("least_request", "random", "maglev"), (1, 3, 4)):
        yield Case(f"priority_{policy}_{ill}", (policy, "priorities", "health"),
                   [locality(LIVE[:4], health=["UNHEALTHY"] * ill), locality(LIVE[4:6], priority=1)], POLICIES[policy])
    for threshold, ill in itertools.product((0, 50, 100), (0, 1, 2)):
        yield Case(f"priority_panic_{threshold}_{ill}", ("priorities", "panic", "health"),
                   [locality(LIVE[:4], health=["UNHEALTHY"] * 3), locality(LIVE[4:6], priority=1, health=["UNHEALTHY"] * ill)],
                   {"common_lb_config": {"healthy_panic_threshold": {"value": threshold}}})
    three = [locality(LIVE[:4], health=["UNHEALTHY"] * 3), locality(LIVE[4:8], priority=1, health=["UNHEALTHY"] * 3),
             locality(LIVE[8:10], priority=2)]
    yield Case("priority_three", ("priorities", "overprovisioning", "health"), three, connections=400)
    yield Case("priority_only_second", ("priorities",), [locality(LIVE[:2], priority=1)])
    yield Case("priority_no_health", ("priorities", "panic", "health"),
               [locality(LIVE[:4], health=["UNHEALTHY"] * 4), locality(LIVE[4:6], priority=1, health=["UNHEALTHY"] * 2)], connections=400)
    yield Case("priority_degraded", ("priorities", "degraded", "health"),
               [locality(LIVE[:4], health=["DEGRADED"] * 3), locality(LIVE[4:6], priority=1)], connections=400)


def _panics():
    for threshold, ill, fails in itertools.product((0, 30, 50, 61.9, 100), (2, 3, 4), (False, True)):
        common = {"healthy_panic_threshold": {"value": threshold}}
        if fails:
            common["zone_aware_lb_config"] = {"fail_traffic_on_panic": True}
        features = ("panic", "health") + (("fail_traffic_on_panic",) if fails else ())
        yield Case(f"panic_{int(threshold)}_{ill}_{'fails' if fails else 'goes_on'}", features,
                   [locality(LIVE[:5], health=["UNHEALTHY"] * ill)], {"common_lb_config": common}, connections=120)
    for policy in ("least_request", "random", "ring_hash", "maglev"):
        yield Case(f"panic_{policy}", (policy, "panic", "health"), [locality(LIVE[:5], health=["UNHEALTHY"] * 4)], POLICIES[policy])


def _healths():
    for health in HEALTHS:
        yield Case(f"health_{health.lower()}", ("health", health.lower()), [locality(LIVE[:4], health=[health])])
        yield Case(f"health_all_{health.lower()}", ("health", health.lower(), "panic"), [locality(LIVE[:3], health=[health] * 3)], connections=120)
    yield Case("health_draining_counts_not", ("health", "draining", "panic"),
               [locality(LIVE[:5], health=["DRAINING", "DRAINING", "DRAINING", "UNHEALTHY"])])


def _retries():
    for attempts, dead in itertools.product((1, 2, 3, 5), (1, 2, 3)):
        yield Case(f"retry_{attempts}_{dead}", ("retries",), [locality([*DEAD[:dead], *LIVE[:2]])], tcp={"max_connect_attempts": attempts})


DISTRIBUTIONS = [case for make in (_policies, _localities, _priorities, _panics, _healths, _retries) for case in make()]


def _outlier(**more):
    return {"outlier_detection": {"interval": "0.2s", "base_ejection_time": "300s", "consecutive_5xx": 3, **more},
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}


def _ejections():
    for percent, hosts, split in itertools.product((10, 34, 50, 100), (2, 3, 10), (False, True)):
        local = {"split_external_local_origin_errors": True, "consecutive_local_origin_failure": 3} if split else {}
        yield Case(f"ejection_{percent}_{hosts}_{'split' if split else 'joint'}",
                   ("ejection", "max_ejection_percent") + (("split errors",) if split else ()),
                   [locality([DEAD[0], *LIVE[:hosts - 1]])], _outlier(max_ejection_percent=percent, **local))
    yield Case("ejection_two_dead", ("ejection", "max_ejection_percent"), [locality([*DEAD[:2], *LIVE[:2]])], _outlier(max_ejection_percent=25))
    yield Case("ejection_gateway", ("ejection", "consecutive_gateway_failure"), [locality([DEAD[0], *LIVE[:3]])],
               _outlier(max_ejection_percent=100, consecutive_5xx=100, consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100))
    yield Case("ejection_not_enforced", ("ejection", "enforcing"), [locality([DEAD[0], *LIVE[:3]])],
               _outlier(max_ejection_percent=100, enforcing_consecutive_5xx=0))
    yield Case("ejection_retries", ("ejection", "retries"), [locality([DEAD[0], *LIVE[:3]])], _outlier(max_ejection_percent=100),
               {"max_connect_attempts": 3})
    yield Case("ejection_priority", ("ejection", "priorities"), [locality([*DEAD[:2]]), locality(LIVE[:2], priority=1)],
               _outlier(max_ejection_percent=100))


EJECTIONS = list(_ejections())
READMITTED = Case("readmitted", ("ejection", "un-ejection"), [locality([DEAD[0], *LIVE[:3]])],
                  {"outlier_detection": {"interval": "0.2s", "base_ejection_time": "1s", "consecutive_5xx": 1, "max_ejection_percent": 100}})
FAILURE_RATE = Case("failure_percentage", ("ejection", "failure_percentage"), [locality([DEAD[0], *LIVE[:3]])],
                    _outlier(consecutive_5xx=1000, max_ejection_percent=100, failure_percentage_minimum_hosts=3,
                             failure_percentage_request_volume=5, enforcing_failure_percentage=100, enforcing_success_rate=0, interval="1s"))
CHECK = {"timeout": "1s", "interval": "0.3s", "no_traffic_interval": "0.3s", "unhealthy_threshold": 2, "healthy_threshold": 1}
CHECKED = [
    Case("checked", ("health checks",), [locality([*DEAD[:2], *LIVE[:4]])], {"health_checks": [{**CHECK, "tcp_health_check": {}}]}),
    Case("checked_receives", ("health checks", "receive"), [locality(LIVE[:4])],
         {"health_checks": [{**CHECK, "tcp_health_check": {"receive": [{"text": "39303032"}]}}],  # "9002"
          "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}),
]
# Envoy's TCP proxy asks again for any endpoint; Mooring never tries one twice for a connection, as Envoy does where a route
# has the predicate of previous hosts: what a priority has left is tried before the caller is refused.
RETRIED = Case("retry_priority", ("retries", "priorities", "listed difference"), [locality(DEAD[:1]), locality(LIVE[:1], priority=1)],
               tcp={"max_connect_attempts": 3})
HELD = Case("least_request_held", ("least_request", "open connections"), [locality(LIVE[:3])],
            {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"choice_count": 5}})
CHANGING = Case("endpoints_change", ("round_robin", "endpoints change"), [locality(LIVE[:2])])
ALL = [*DISTRIBUTIONS, *EJECTIONS, READMITTED, FAILURE_RATE, *CHECKED, RETRIED, HELD, CHANGING]


@pytest.fixture(scope="module")
def pair(lab):
    made = Pair(lab)
    made.serve(ALL)
    return made


@pytest.mark.parametrize("case", DISTRIBUTIONS, ids=str)
def test_connections_are_spread_alike(pair, case):
    assert_alike(pair.counts(case))


@pytest.mark.parametrize("case", EJECTIONS, ids=str)
def test_the_same_endpoints_are_ejected_after_as_many_failures(pair, case):
    """The failures of the round until an ejection are exact, but for where the round began."""
    failures = {who: counter["refused"] for who, counter in pair.counts(case, 120, pause=0.01).items()}
    assert abs(failures["envoy"] - failures["mooring"]) <= 2, failures
    assert_alike(pair.counts(case, 120))


def test_an_ejection_ends_after_its_time_and_the_next_is_longer(pair):
    spans = {}
    for who in pair.hosts:
        wait_until(lambda: pair.call(who, READMITTED) == "refused", f"{who}: the dead one is tried", interval=0.01)
        spans[who] = [_until_refused(pair, who) for _ in range(2)]
    for first, second in spans.values():
        assert 0.9 < first < 2.4 and 1.8 < second < 4.4 and first < second, spans


def _until_refused(pair, who):
    began = time.monotonic()
    time.sleep(0.2)  # what was just refused ejects it, on another thread
    wait_until(lambda: pair.call(who, READMITTED) == "refused", f"{who}: the ejection has ended", interval=0.01)
    return time.monotonic() - began


def test_endpoints_are_ejected_by_failure_percentage(pair):
    for who in pair.hosts:
        wait_until(lambda: pair.calls(who, FAILURE_RATE, 40)["refused"] == 0, f"{who}: ejected", interval=0.3)


def test_a_retry_goes_to_whom_the_connection_has_not_tried(pair):
    assert pair.counts(RETRIED, 20) == {"envoy": {"refused": 20}, "mooring": {LIVE[0]: 20}}


@pytest.mark.parametrize("case", CHECKED, ids=str)
def test_endpoints_that_fail_their_check_are_left_out(pair, case):
    for who in pair.hosts:
        wait_until(lambda: pair.calls(who, case, 24)["refused"] == 0, f"{who}: has checked", interval=0.2)
    assert_alike(pair.counts(case))


def test_open_connections_are_counted_alike(pair):
    spread = {}
    for who in pair.hosts:
        opened = [pair.open(who, HELD) for _ in range(90)]
        spread[who] = sorted(sum(port == each for _, port in opened) for each in LIVE[:3])
        for connection, _ in opened:
            connection.close()
    for counts in spread.values():
        assert counts[2] - counts[0] <= 3, spread


def test_endpoints_that_come_share_at_once(pair):
    assert_alike(pair.counts(CHANGING, 60))
    changed = resources.endpoints(f"case_{CHANGING.name}", [(pair.servers.ip, port) for port in LIVE[1:5]])
    pair.update(changed)
    for who in pair.hosts:
        wait_until(lambda: set(pair.calls(who, CHANGING, 16)) == set(LIVE[1:5]), f"{who}: uses the new endpoints")
    counts = pair.counts(CHANGING, 200)
    assert_alike(counts)
    assert set(counts["mooring"]) == set(LIVE[1:5]), show(counts)


def test_coverage(capsys):
    with capsys.disabled():
        print("\n" + side_by_side.table(ALL))
    assert len(ALL) >= 200
    assert len({case.name for case in ALL}) == len(ALL)
