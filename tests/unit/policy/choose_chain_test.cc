#include "policy/choose_chain.h"

#include <gtest/gtest.h>

namespace mooring::policy {
namespace {

using snapshot::FilterChain;

/// FilterChainMatch, to be written in part.
struct Match {
  std::uint16_t destination_port = 0;
  std::vector<IpPrefix> prefix_ranges = {};
  std::vector<std::string> server_names = {};
  std::string transport_protocol = {};
  std::vector<std::string> application_protocols = {};
};

FilterChain chain(const char* name, Match match = {}) {
  FilterChain made;
  made.name = name;
  made.match.destination_port = match.destination_port;
  made.match.prefix_ranges = std::move(match.prefix_ranges);
  made.match.server_names = std::move(match.server_names);
  made.match.transport_protocol = std::move(match.transport_protocol);
  made.match.application_protocols = std::move(match.application_protocols);
  return made;
}

IpPrefix prefix(const char* text) {
  return parse_prefix(text).value();
}

struct Client {
  const char* to = "10.0.0.7:5432";
  const char* sni = "";
  const char* transport = "raw_buffer";
  std::vector<std::string> protocols = {};
};

std::string chosen(const std::vector<FilterChain>& chains, const Client& client = {}) {
  ChainFacts facts;
  facts.destination = parse_socket_address(client.to).value();
  facts.server_name = client.sni;
  facts.transport_protocol = client.transport;
  facts.application_protocols = client.protocols;
  const std::size_t at = choose_chain(chains, facts);
  return at == kNoChain ? "none" : chains[at].name;
}

TEST(ChooseChain, TakesTheOnlyOne) {
  EXPECT_EQ(chosen({chain("all")}), "all");
  EXPECT_EQ(chosen({}), "none");
}

TEST(ChooseChain, AnExactPortExcludesThoseOfAnyPort) {
  const std::vector<FilterChain> chains{
      chain("any"), chain("5432", {.destination_port = 5432, .transport_protocol = "tls"})};
  EXPECT_EQ(chosen(chains, {.transport = "tls"}), "5432");
  EXPECT_EQ(chosen(chains), "none") << "no way back to the chain of any port";
  EXPECT_EQ(chosen(chains, {.to = "10.0.0.7:80"}), "any");
}

TEST(ChooseChain, TheLongestPrefixDecides) {
  const std::vector<FilterChain> chains{
      chain("any"),
      chain("wide", {.prefix_ranges = {prefix("10.0.0.0/8"), prefix("fd00::/8")}}),
      chain("narrow",
            {.prefix_ranges = {prefix("10.0.0.0/24")}, .application_protocols = {"kuma"}})};
  EXPECT_EQ(chosen(chains, {.to = "192.168.0.1:1"}), "any");
  EXPECT_EQ(chosen(chains, {.to = "10.1.0.1:1"}), "wide");
  EXPECT_EQ(chosen(chains, {.to = "[fd00::1]:1"}), "wide");
  EXPECT_EQ(chosen(chains, {.to = "[2001:db8::1]:1"}), "any");
  EXPECT_EQ(chosen(chains, {.protocols = {"kuma"}}), "narrow");
  EXPECT_EQ(chosen(chains), "none") << "no way back to a wider prefix";
}

TEST(ChooseChain, NothingServesAnAddressOutsideOfAllPrefixes) {
  EXPECT_EQ(chosen({chain("one", {.prefix_ranges = {prefix("10.1.0.0/16")}})}), "none");
}

TEST(ChooseChain, TheMostSpecificServerNameDecides) {
  const std::vector<FilterChain> chains{chain("any"),
                                        chain("wide", {.server_names = {"*.test"}}),
                                        chain("shop", {.server_names = {"x.org", "*.shop.test"}}),
                                        chain("db", {.server_names = {"db.shop.test"}})};
  for (const auto& [sni, expected] :
       std::vector<std::pair<const char*, const char*>>{{"db.shop.test", "db"},
                                                        {"web.shop.test", "shop"},
                                                        {"a.b.shop.test", "shop"},
                                                        {"shop.test", "wide"},
                                                        {"x.org", "shop"},
                                                        {"y.org", "any"},
                                                        {"test", "any"},
                                                        {".test", "any"},
                                                        {"", "any"}})
    EXPECT_EQ(chosen(chains, {.sni = sni, .transport = "tls"}), expected) << sni;
  EXPECT_EQ(chosen({chains[3]}, {.sni = "web.shop.test"}), "none");
}

TEST(ChooseChain, NoWayBackFromAServerName) {
  const std::vector<FilterChain> chains{
      chain("any", {.transport_protocol = "tls"}),
      chain("db", {.server_names = {"db"}, .application_protocols = {"h2"}})};
  EXPECT_EQ(chosen(chains, {.sni = "db", .transport = "tls"}), "none");
  EXPECT_EQ(chosen(chains, {.sni = "db", .transport = "tls", .protocols = {"h2"}}), "db");
}

TEST(ChooseChain, TakesTheChainsOfAPermissivePort) {
  const std::vector<FilterChain> chains{
      chain("plain", {.transport_protocol = "raw_buffer"}),
      chain("application", {.transport_protocol = "tls"}),
      chain("mesh", {.transport_protocol = "tls", .application_protocols = {"kuma"}})};
  EXPECT_EQ(chosen(chains), "plain");
  EXPECT_EQ(chosen(chains, {.transport = "tls"}), "application");
  EXPECT_EQ(chosen(chains, {.transport = "tls", .protocols = {"h2", "http/1.1"}}), "application");
  EXPECT_EQ(chosen(chains, {.transport = "tls", .protocols = {"h2", "kuma"}}), "mesh");
  EXPECT_EQ(chosen(chains, {.protocols = {"kuma"}}), "plain");
}

TEST(ChooseChain, ATransportThatIsAskedForExcludesThoseOfAny) {
  const std::vector<FilterChain> chains{
      chain("any"), chain("tls", {.transport_protocol = "tls", .application_protocols = {"h2"}})};
  EXPECT_EQ(chosen(chains), "any");
  EXPECT_EQ(chosen(chains, {.transport = "tls", .protocols = {"h2"}}), "tls");
  EXPECT_EQ(chosen(chains, {.transport = "tls"}), "none");
}

TEST(ChooseChain, TheClientsFirstProtocolThatIsKnownDecides) {
  const std::vector<FilterChain> chains{
      chain("any"),
      chain("h1", {.application_protocols = {"http/1.0", "http/1.1"}}),
      chain("h2", {.application_protocols = {"h2c"}})};
  EXPECT_EQ(chosen(chains, {.protocols = {"foo", "h2c", "http/1.1"}}), "h2");
  EXPECT_EQ(chosen(chains, {.protocols = {"http/1.1", "h2c"}}), "h1");
  EXPECT_EQ(chosen(chains, {.protocols = {"foo"}}), "any");
}

TEST(ChooseChain, OfEqualChainsTheFirstCounts) {
  EXPECT_EQ(chosen({chain("one"), chain("two")}), "one");
}

TEST(NeedsFirstBytes, OnlyWhereTheyCanMakeADifference) {
  const std::vector<FilterChain> chains{
      chain("ssh", {.destination_port = 22}),
      chain("web", {.destination_port = 443, .server_names = {"db"}}),
      chain("plain", {.destination_port = 80, .transport_protocol = "raw_buffer"}),
      chain("h1", {.destination_port = 81, .application_protocols = {"http/1.1"}})};
  const auto at = [](const char* text) { return parse_socket_address(text).value(); };
  EXPECT_FALSE(needs_first_bytes(chains, at("10.0.0.7:22")));
  EXPECT_TRUE(needs_first_bytes(chains, at("10.0.0.7:443")));
  EXPECT_TRUE(needs_first_bytes(chains, at("10.0.0.7:80")));
  EXPECT_TRUE(needs_first_bytes(chains, at("10.0.0.7:81")));
  EXPECT_FALSE(needs_first_bytes(chains, at("10.0.0.7:82"))) << "nothing serves it anyway";
}

}  // namespace
}  // namespace mooring::policy
