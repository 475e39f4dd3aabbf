// Which filter chain serves a connection, and what it asks of it: with real loops and sockets.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <set>
#include <string>

#include "net/socket.h"
#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;
using snapshot::Cluster;
using snapshot::FilterChain;
using snapshot::Listener;
using test::accept_on;
using test::ask;
using test::connect_to;
using test::kDb;
using test::kWeb;
using test::listen_on_loopback;
using test::send_all;

/// An agent with one inbound listener, which is written as a control plane would, and applications.
class ChainsTest : public testing::Test {
 protected:
  struct Application {
    Application() : socket(listen_on_loopback(address)) {}
    SocketAddress address;
    UniqueFd socket;
  };

  ChainsTest() {
    std::signal(SIGPIPE, SIG_IGN);
    UniqueFd socket = listen_on_loopback(address_);
    listener_.name = "inbound_db";
    listener_.direction = snapshot::Direction::inbound;
    listener_.bind = address_;
    agent_.listen(listener_.name, std::move(socket));
    add_cluster("one", one_.address);
    add_cluster("two", two_.address);
  }

  Cluster& add_cluster(const std::string& name, const SocketAddress& to) {
    Cluster cluster;
    cluster.name = name;
    snapshot::LbEndpoint endpoint;
    endpoint.address = to;
    cluster.endpoints.localities.resize(1);
    cluster.endpoints.localities[0].endpoints = {endpoint};
    clusters_.push_back(cluster);
    return clusters_.back();
  }
  static FilterChain chain_to(const std::string& cluster) {
    FilterChain chain;
    chain.clusters = {{cluster, 1}};
    return chain;
  }
  FilterChain& add_chain(const std::string& cluster) {
    listener_.chains.push_back(chain_to(cluster));
    return listener_.chains.back();
  }
  static snapshot::TlsContext tls() {
    snapshot::TlsContext context;
    context.certificate = snapshot::kIdentitySecret;
    context.validation = snapshot::kTrustSecret;
    return context;
  }
  void start() {
    snapshot::Resources resources;
    resources.listeners = {listener_};
    resources.clusters = clusters_;
    agent_.use(std::move(resources), ca_.text(kDb));
  }
  std::string refused() {
    const UniqueFd caller = connect_to(address_);
    return ask(caller.get(), "hello");
  }
  /// Does what a client says first arrive at this application?
  static bool arrives(int client, const std::string& first, const Application& at) {
    send_all(client, first);
    const UniqueFd served = accept_on(at.socket.get());
    if (!served.valid()) return false;
    std::string got(first.size(), '\0');
    return ::recv(served.get(), got.data(), got.size(), MSG_WAITALL) ==
               static_cast<ssize_t>(first.size()) &&
           got == first;
  }
  bool arrives(const std::string& first, const Application& at) {
    const UniqueFd caller = connect_to(address_);
    return arrives(caller.get(), first, at);
  }

  test::TestCa ca_{"shop.test"};
  Application one_;
  Application two_;
  SocketAddress address_;
  Listener listener_;
  std::vector<Cluster> clusters_;
  test::Agent agent_{Milliseconds(1000), 100};
};

TEST_F(ChainsTest, HttpIsToldByItsFirstBytes) {
  listener_.http_inspector = true;
  add_chain("one").match.application_protocols = {"http/1.1", "h2c"};
  add_chain("two");
  start();
  EXPECT_TRUE(arrives("GET / HTTP/1.1\r\n\r\n", one_));
  EXPECT_TRUE(arrives("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", one_));
  EXPECT_TRUE(arrives("SSH-2.0-client\r\n", two_));
  const UniqueFd slow = connect_to(address_);
  send_all(slow.get(), "GE");
  EXPECT_TRUE(arrives("SSH-2.0-other\r\n", two_)) << "nobody waits for the slow one";
  send_all(slow.get(), "T / HTTP/1.1");
  const UniqueFd served = accept_on((send_all(slow.get(), "\r\n"), one_.socket.get()));
  EXPECT_TRUE(served.valid());
}

TEST_F(ChainsTest, TlsOfApplicationsGoesByItsServerName) {
  listener_.tls_inspector = true;
  FilterChain& one = add_chain("one");
  one.match.transport_protocol = "tls";
  one.match.server_names = {"*.shop.test"};
  FilterChain& two = add_chain("two");
  two.match.transport_protocol = "tls";
  start();
  EXPECT_TRUE(arrives(test::MeshClient(ca_.material(kWeb), "DB.shop.test").hello(), one_));
  EXPECT_TRUE(arrives(test::MeshClient(ca_.material(kWeb), "db.test").hello(), two_));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::no_filter_chain).reason,
            CloseReason::no_filter_chain);
}

TEST_F(ChainsTest, ASilentClientOfAServerFirstPortIsServedAfterThePeek) {
  listener_.http_inspector = true;
  listener_.tls_inspector = true;
  listener_.server_first = true;
  add_chain("one").match.application_protocols = {"http/1.1"};
  add_chain("two");
  start();
  const UniqueFd caller = connect_to(address_);
  const UniqueFd served = accept_on(two_.socket.get());
  ASSERT_TRUE(served.valid());
  send_all(caller.get(), "G");
  char first = 0;
  EXPECT_EQ(::recv(served.get(), &first, 1, 0), 1) << "what comes later is no longer waited for";
}

TEST_F(ChainsTest, NobodyIsWaitedForWhereFirstBytesMakeNoDifference) {
  listener_.http_inspector = true;
  listener_.tls_inspector = true;
  add_chain("one").match = {};
  add_chain("two").match.destination_port = 1;
  listener_.chains[1].match.transport_protocol = "tls";
  start();
  const UniqueFd caller = connect_to(address_);
  const UniqueFd served = accept_on(one_.socket.get());
  EXPECT_TRUE(served.valid());
}

TEST_F(ChainsTest, WhatIsNotServedIsRefusedAndNotPassedOn) {
  add_chain("one").not_served = "HTTP listeners";
  start();
  EXPECT_EQ(refused(), "RESET");
  const auto record = agent_.log().wait_for(0);
  EXPECT_EQ(record.reason, CloseReason::not_served);
  EXPECT_EQ(record.detail, "HTTP listeners");
}

TEST_F(ChainsTest, ADestinationWithoutAChainIsRefused) {
  add_chain("one").match.destination_port = 1;
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(0).reason, CloseReason::no_filter_chain);
  EXPECT_EQ(agent_.stats().listener({"inbound_db", ""}, 0).no_filter_chain_match.value(), 1U);
}

TEST_F(ChainsTest, WhatIsMissingRefuses) {
  add_chain("nowhere");
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(0).reason, CloseReason::no_endpoint);
  listener_.chains = {chain_to("one")};
  listener_.chains[0].tls = tls();
  listener_.chains[0].tls->certificate = "another";
  start();
  ASSERT_TRUE(agent_.wait_for_release());
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::no_identity).reason, CloseReason::no_identity);
  clusters_[0].endpoints.localities.clear();
  listener_.chains = {chain_to("one")};
  start();
  ASSERT_TRUE(agent_.wait_for_release());
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::no_endpoint).reason, CloseReason::no_endpoint);
}

TEST_F(ChainsTest, ConnectionsBeyondTheRateAreRefused) {
  add_chain("one").rate_limits = {
      {.max_tokens = 2, .tokens_per_fill = 1, .fill_interval = Milliseconds(3'600'000)}};
  start();
  EXPECT_TRUE(arrives("a", one_));
  EXPECT_TRUE(arrives("b", one_));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::rate_limited).reason, CloseReason::rate_limited);
}

TEST_F(ChainsTest, ConnectionsGoToWeightedClusters) {
  add_chain("one").clusters = {{"one", 1}, {"two", 1}};
  start();
  constexpr int kCallers = 64;
  std::vector<UniqueFd> callers;
  for (int i = 0; i < kCallers; ++i)
    callers.push_back(connect_to(address_));
  const auto opened = [this](const char* cluster) {
    return agent_.stats().cluster(cluster, 0).upstream_cx_total.value();
  };
  EXPECT_TRUE(test::wait_until([&] { return opened("one") + opened("two") == kCallers; }));
  EXPECT_GT(opened("one"), 8U);
  EXPECT_GT(opened("two"), 8U);
}

TEST_F(ChainsTest, TheCircuitBreakerOpensAtItsNumberOfConnections) {
  add_chain("one");
  clusters_[0].circuit_breakers.max_connections = 1;
  start();
  UniqueFd first = connect_to(address_);
  UniqueFd served = accept_on(one_.socket.get());
  ASSERT_TRUE(served.valid());
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(0).reason, CloseReason::upstream_limit);
  EXPECT_EQ(agent_.stats().cluster("one", 0).upstream_cx_overflow.value(), 1U);
  first.reset();
  served.reset();
  static_cast<void>(agent_.log().wait_for(1));
  EXPECT_TRUE(arrives("next", one_));
}

TEST_F(ChainsTest, AClustersSourceAddressIsUsed) {
  add_chain("one");
  clusters_[0].bind = parse_ip("127.0.0.9").value();
  start();
  const UniqueFd caller = connect_to(address_);
  const UniqueFd served = accept_on(one_.socket.get());
  ASSERT_TRUE(served.valid());
  EXPECT_EQ(net::peer_address(served.get()).value().ip.to_string(), "127.0.0.9");
}

snapshot::Authorization allowing_source(const char* prefix) {
  snapshot::Rule rule;
  rule.name = "by address";
  rule.allow = true;
  rule.condition.kind = snapshot::Condition::Kind::source_ip;
  rule.condition.prefix = parse_prefix(prefix).value();
  snapshot::Authorization filter;
  filter.rules = {{rule}, false, "default"};
  return filter;
}

TEST_F(ChainsTest, RulesHoldForPlainTextToo) {
  add_chain("one").authorization = {allowing_source("127.0.0.0/8")};
  start();
  EXPECT_TRUE(arrives("a", one_));
  const UniqueFd open = connect_to(address_);
  const UniqueFd served = accept_on(one_.socket.get());
  listener_.chains[0].authorization.push_back(allowing_source("10.0.0.0/8"));
  start();
  EXPECT_EQ(test::read_all(open.get()), "RESET") << "open connections are asked again";
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::policy_changed).reason, CloseReason::policy_changed);
  const auto record = agent_.log().wait_for(CloseReason::denied);
  EXPECT_EQ(record.reason, CloseReason::denied);
  EXPECT_EQ(record.rule, "default");
}

/// An agent that calls the listener of the other one by mutual TLS.
class CalledChainsTest : public ChainsTest {
 protected:
  CalledChainsTest() {
    caller_.listen("outbound_db", listen_on_loopback(calling_));
    upstream_.name = "db";
    upstream_.endpoints = {test::ProxyPair::endpoint(address_)};
    upstream_.spiffe_ids = {{kDb, false}};
    test::ProxyPair::add(calls_, upstream_, calling_);
    add_chain("one").tls = tls();
  }
  void start_caller() { caller_.use(calls_, ca_.text(kWeb)); }
  bool call_arrives(const Application& at) {
    const UniqueFd caller = connect_to(calling_);
    return arrives(caller.get(), "hello", at);
  }

  SocketAddress calling_;
  config::Upstream upstream_;
  snapshot::Resources calls_;
  test::Agent caller_{Milliseconds(1000), 100};
};

TEST_F(CalledChainsTest, AChainMayExpectCertainPeers) {
  snapshot::SubjectAltNameMatcher name;
  name.matcher = {
      snapshot::StringMatcher::Kind::safe_regex, "spiffe://shop\\.test/(web|app)", false};
  listener_.chains[0].tls->peer_names = {name};
  start();
  start_caller();
  EXPECT_TRUE(call_arrives(one_));
  listener_.chains[0].tls->peer_names[0].matcher.text = "spiffe://shop\\.test/app";
  start();
  ASSERT_TRUE(agent_.wait_for_release());
  const UniqueFd caller = connect_to(calling_);
  EXPECT_EQ(ask(caller.get(), "hello"), "RESET");
  EXPECT_EQ(agent_.log().wait_for(CloseReason::unexpected_peer).reason,
            CloseReason::unexpected_peer);
}

TEST_F(CalledChainsTest, EachEndpointHasTheTransportOfItsLabels) {
  Cluster& cluster = calls_.clusters[0];
  cluster.socket_matches = {{"plain", {{"mesh", "no"}}, std::nullopt}};
  snapshot::LbEndpoint plain = cluster.endpoints.localities[0].endpoints[0];
  plain.address = two_.address;
  plain.transport_socket_match = {{"mesh", "no"}};
  cluster.endpoints.localities[0].endpoints.push_back(plain);
  start();
  start_caller();
  // Which of the two comes first is left to chance.
  const UniqueFd first = connect_to(calling_);
  const UniqueFd second = connect_to(calling_);
  send_all(first.get(), "hello");
  send_all(second.get(), "hello");
  for (const Application* application : {&one_, &two_}) {
    const UniqueFd served = accept_on(application->socket.get());
    char block[5];
    EXPECT_EQ(::recv(served.get(), block, sizeof block, MSG_WAITALL), 5);
  }
  ::shutdown(first.get(), SHUT_WR);
  ::shutdown(second.get(), SHUT_WR);
  // Which of the two ends first is theirs.
  const std::multiset<std::string> versions{caller_.log().wait_for(0).tls_version,
                                            caller_.log().wait_for(1).tls_version};
  EXPECT_EQ(versions, (std::multiset<std::string>{"", "TLSv1.3"}));
}

TEST_F(CalledChainsTest, BothSidesOfAConnectionMaySpeakTls) {
  // The caller's agent calls a second listener of its own, which ends one TLS and begins another.
  SocketAddress between;
  caller_.listen("inbound_between", listen_on_loopback(between));
  Listener listener;
  listener.name = "inbound_between";
  listener.direction = snapshot::Direction::inbound;
  listener.bind = between;
  listener.chains = {chain_to("db")};
  listener.chains[0].tls = tls();
  calls_.listeners.push_back(listener);
  Cluster first = calls_.clusters[0];
  first.name = "between";
  first.endpoints.localities[0].endpoints[0].address = between;
  first.tls->peer_names[0].matcher.text = kWeb;
  calls_.clusters.push_back(first);
  calls_.listeners[0].chains[0].clusters = {{"between", 1}};
  start();
  start_caller();
  EXPECT_TRUE(call_arrives(one_));
}

}  // namespace
}  // namespace mooring::proxy
