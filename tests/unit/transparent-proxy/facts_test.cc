#include "transparent-proxy/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::transparent_proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CountUncaptured, CountsWhatIsOpenToWhatWillBeCaptured) {
  Plan plan;
  plan.agent_uid = 998;
  plan.outbound = {{false, OnAgentDeath::open, {*parse_prefix("10.0.0.0/8")}, {5432}}};
  plan.inbound_closed = {8080};
  const auto entry =
      [](const char* local, const char* remote, std::uint8_t state, std::uint32_t uid) {
        return TcpEntry{*parse_socket_address(local), *parse_socket_address(remote), state, uid};
      };
  EXPECT_EQ(count_uncaptured(plan,
                             {entry("192.0.2.1:40000", "10.0.0.7:5432", 1, 1000),
                              entry("192.0.2.1:8080", "192.0.2.9:40000", 1, 1000),
                              entry("192.0.2.1:40001", "10.0.0.7:5432", 1, 998),   // the agent's
                              entry("192.0.2.1:40002", "10.0.0.7:5432", 6, 1000),  // over
                              entry("192.0.2.1:40003", "10.0.0.7:5433", 1, 1000),
                              entry("192.0.2.1:40004", "11.0.0.7:5432", 1, 1000),
                              entry("127.0.0.1:8080", "127.0.0.1:40005", 1, 1000)}),
            2U);
}

TEST(ParseResolvers, TakesNameserverLinesWithAndWithoutAScope) {
  EXPECT_THAT(parse_resolvers("# nameserver 9.9.9.9\nsearch x\nnameserver "
                              "10.0.0.53\nnameserver\tfe80::1%eth0\nnameserver bad\n"
                              "options edns0\nnameserver ::1"),
              ElementsAre(*parse_ip("10.0.0.53"), *parse_ip("fe80::1"), *parse_ip("::1")));
  EXPECT_THAT(parse_resolvers(""), IsEmpty());
}

TEST(ParseResolverAccounts, TakesThoseOfKnownResolversAndNeverRoot) {
  EXPECT_THAT(
      parse_resolver_accounts("root:x:0:0::/root:/bin/sh\nsystemd-resolve:x:991:991::/:\n"
                              "dnsmasq:x:0:0::/:\nunbound:x:107:1::/:\nbroken\nweb:x:5:5::/:"),
      ElementsAre(991U, 107U));
}

TEST(ParseResolverSockets, TakesTheUsersOfPort53ButRoot) {
  EXPECT_THAT(
      parse_resolver_sockets(
          "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
          "timeout inode\n"
          "  1: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   991  0 1\n"
          "  2: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0  0 2\n"
          "  3: 0100007F:3ACD 00000000:0000 07 00000000:00000000 00:00000000 00000000   998  0 "
          "3\n"),
      ElementsAre(991U));
}

TEST(ParseSshdPorts, TakesPortAndListenAddress) {
  EXPECT_THAT(parse_sshd_ports("#Port 1\nPort 22\n  port=2022 # comment\nListenAddress "
                               "10.0.0.1\nListenAddress 10.0.0.1:2222\n"
                               "ListenAddress [::]:2223\nListenAddress ::1\nListenAddress "
                               ":2224\nPort none\nPermitRootLogin no\n"),
              ElementsAre(22, 2022, 2222, 2223, 2224));
}

TEST(ParseSocketUnitPorts, TakesListenStream) {
  EXPECT_THAT(parse_socket_unit_ports("[Socket]\nListenStream=\nListenStream=2022\nListenStream=[::"
                                      "]:2023\nListenStream=/run/x\n"),
              ElementsAre(2022, 2023));
}

TEST(ParseProcTcp, ReadsBothFamilies) {
  const auto entries = parse_proc_tcp(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 0100007F:3A99 0200000A:1F90 01 00000000:00000000 00:00000000 00000000     0        0 "
      "1 1\n"
      "   1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0 0\n"
      "garbage\n   2: 0100007F:zz 0:0 01\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].local, *parse_socket_address("127.0.0.1:15001"));
  EXPECT_EQ(entries[0].remote, *parse_socket_address("10.0.0.2:8080"));
  EXPECT_EQ(entries[0].state, 1);
  EXPECT_EQ(entries[1].local, *parse_socket_address("[::1]:22"));
  EXPECT_EQ(entries[1].state, 10);
}

TEST(GatherFacts, KnowsThisBootAndPort22) {
  const HostFacts facts = gather_facts(7);
  EXPECT_EQ(facts.agent_uid, 7U);
  EXPECT_EQ(facts.boot_suffix.size(), 8U);
  EXPECT_THAT(facts.sshd_ports, testing::Contains(22));
}

}  // namespace
}  // namespace mooring::transparent_proxy
