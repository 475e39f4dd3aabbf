// The DNS server on real sockets. The host's resolver is another one of our servers, whose table is
// "the internet", or a socket that the test answers from, or nobody.
#include "dns/server.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include "dns/tcp_exchange.h"
#include "net/socket.h"
#include "support/dns_message.h"
#include "support/run_until.h"

namespace mooring::dns {

namespace {

using test::dns_answers;
using test::dns_code;
using test::dns_number;
using test::dns_query;

constexpr std::uint16_t kA = 1;

SocketAddress free_address() {
  auto fd = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
  EXPECT_TRUE(fd);
  return *net::local_address(fd->get());
}

Table table(const std::string& name, std::uint32_t ip, std::size_t count = 1) {
  Table made;
  for (std::size_t i = 0; i < count; ++i)
    made.addresses[name].push_back({IpAddress::v4(ip + static_cast<std::uint32_t>(i))});
  return made;
}

class DnsServer : public testing::Test {
 protected:
  DnsServer() {
    mesh_.set_table(table("db.svc.mesh.local", 0xf1000003));
    internet_.set_table(table("example.test", 0x0a000001, 60));
    EXPECT_TRUE(mesh_.listen(mesh_address_));
    EXPECT_TRUE(internet_.listen(internet_address_));
    resolvers_ = {internet_address_};
  }

  bool wait_for(const std::function<bool()>& holds, Milliseconds limit = Milliseconds{8000}) {
    return test::run_until(loop_, holds, limit);
  }

  std::vector<std::byte> udp(const std::vector<std::byte>& query) {
    std::vector<std::byte> reply;
    net::DatagramSocket socket(
        loop_,
        pool_,
        std::move(*net::make_connected_datagram_socket(mesh_address_)),
        [&](Bytes bytes, const SocketAddress&) { reply.assign(bytes.begin(), bytes.end()); });
    socket.send(query);
    EXPECT_TRUE(wait_for([&] { return !reply.empty(); }));
    return reply;
  }

  std::vector<std::byte> tcp(std::vector<std::byte> query) {
    std::optional<std::vector<std::byte>> reply;
    TcpExchange exchange(
        loop_, pool_, mesh_address_, std::move(query), [&](std::vector<std::byte> got) {
          reply = std::move(got);
        });
    EXPECT_TRUE(wait_for([&] { return reply.has_value(); }));
    return reply.value_or(std::vector<std::byte>{});
  }

  Loop loop_;
  net::StreamPool pool_;
  SocketAddress mesh_address_ = free_address();
  SocketAddress internet_address_ = free_address();
  std::vector<SocketAddress> resolvers_;
  Server internet_{loop_, pool_, [] { return std::vector<SocketAddress>{}; }};
  Server mesh_{loop_, pool_, [this] { return resolvers_; }};
};

TEST_F(DnsServer, AnswersNamesOfTheMeshWithoutAResolver) {
  resolvers_.clear();
  EXPECT_EQ(dns_answers(udp(dns_query(1, "db.svc.mesh.local", kA))), 1U);
  EXPECT_EQ(dns_answers(tcp(dns_query(2, "db.svc.mesh.local", kA))), 1U);
  EXPECT_EQ(mesh_.counts().answered, 2U);
  EXPECT_EQ(mesh_.counts().forwarded, 0U);
}

TEST_F(DnsServer, HandsOtherNamesOnUnderTheClientsIdentifier) {
  const auto by_udp = udp(dns_query(0x1234, "example.test", kA));
  EXPECT_EQ(dns_number(by_udp, 0), 0x1234U);
  EXPECT_GT(dns_answers(by_udp), 20U);
  EXPECT_EQ(dns_number(by_udp, 2) & 0x0200U, 0x0200U)
      << "the resolver's mark that more is to be had";
  EXPECT_EQ(dns_answers(tcp(dns_query(0x1235, "example.test", kA))), 60U);
  EXPECT_EQ(mesh_.counts().forwarded, 2U);
}

TEST_F(DnsServer, WithoutAnyResolverThereIsAFailureAtOnce) {
  resolvers_.clear();
  EXPECT_EQ(dns_code(udp(dns_query(1, "example.test", kA))), 2U);
  EXPECT_EQ(dns_code(tcp(dns_query(1, "example.test", kA))), 2U);
  EXPECT_EQ(mesh_.counts().failed, 2U);
}

TEST_F(DnsServer, ASilentResolverMakesWayForTheNext) {
  const auto silent = net::make_datagram_socket(free_address());
  ASSERT_TRUE(silent);
  resolvers_ = {*net::local_address(silent->get()), internet_address_};
  EXPECT_GT(dns_answers(udp(dns_query(1, "example.test", kA))), 20U);
  EXPECT_EQ(dns_answers(tcp(dns_query(1, "example.test", kA))), 60U) << "nobody listens there";
}

TEST_F(DnsServer, AReplyToSomethingElseIsNotHandedOn) {
  const SocketAddress address = free_address();
  auto fd = net::make_datagram_socket(address);
  ASSERT_TRUE(fd);
  net::DatagramSocket* liar = nullptr;
  net::DatagramSocket resolver(
      loop_, pool_, std::move(*fd), [&](Bytes bytes, const SocketAddress& from) {
        const auto other = dns_query(id_of(bytes), "other.test", kA);
        const auto told = answer(table("other.test", 1), *parse_query(other), other, 512);
        auto guessed = failure(bytes, ResponseCode::no_error);
        set_id(guessed, static_cast<std::uint16_t>(id_of(bytes) + 1));
        for (const auto& lie : {*told, guessed})
          liar->send_to(lie, from);
        liar->send_to(failure(bytes, ResponseCode::not_implemented), from);
      });
  liar = &resolver;
  resolvers_ = {address};
  EXPECT_EQ(dns_code(udp(dns_query(1, "example.test", kA))), 4U) << "the true one";
}

TEST_F(DnsServer, WhatIsNoQueryIsToldSoOrNotAnswered) {
  EXPECT_EQ(dns_code(udp(std::vector<std::byte>(12, std::byte{0}))), 1U);
  auto operation = dns_query(1, "db.svc.mesh.local", kA);
  operation[2] |= std::byte{0x28};
  EXPECT_EQ(dns_code(udp(operation)), 4U);
  auto reply = dns_query(1, "db.svc.mesh.local", kA);
  reply[2] |= std::byte{0x80};
  EXPECT_TRUE(tcp(reply).empty());
}

TEST_F(DnsServer, ManyWaitingQueriesAreBounded) {
  const auto silent = net::make_datagram_socket(free_address());
  ASSERT_TRUE(silent);
  resolvers_ = {*net::local_address(silent->get())};
  std::size_t failures = 0;
  net::DatagramSocket socket(loop_,
                             pool_,
                             std::move(*net::make_connected_datagram_socket(mesh_address_)),
                             [&](Bytes bytes, const SocketAddress&) {
                               if (dns_code(bytes) == 2) ++failures;
                             });
  constexpr std::size_t kBeyond = 10;
  std::size_t sent = 0;
  Timer feed(loop_, [&] {
    for (std::size_t i = 0; i < 16 && sent < Forwarder::kMaxWaiting + kBeyond; ++i, ++sent)
      socket.send(dns_query(static_cast<std::uint16_t>(sent), "example.test", kA));
  });
  feed.start(Milliseconds{0}, Milliseconds{1});
  EXPECT_TRUE(wait_for([&] { return failures >= kBeyond; }, Milliseconds{1500}));
  EXPECT_EQ(failures, kBeyond) << "the others still wait";
  EXPECT_TRUE(wait_for([&] { return failures == Forwarder::kMaxWaiting + kBeyond; }));
}

}  // namespace

}  // namespace mooring::dns
