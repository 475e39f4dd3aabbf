#include "dns/message.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "support/dns_message.h"

namespace mooring::dns {

namespace {

using test::dns_answers;
using test::dns_code;
using test::dns_number;
using test::dns_query;

constexpr std::uint16_t kA = 1;
constexpr std::uint16_t kAaaa = 28;
constexpr std::uint16_t kAny = 255;
constexpr std::uint16_t kHttps = 65;

Table mesh() {
  Table table;
  table.addresses["db.svc.mesh.local"] = {{*parse_ip("241.0.0.3")}, {*parse_ip("fd00::3")}};
  table.addresses["only4.svc.mesh.local"] = {{*parse_ip("241.0.0.4")}};
  table.addresses["both.svc.mesh.local"] = {{*parse_ip("241.0.0.5")},
                                            {*parse_ip("241.0.0.5"), true}};
  for (std::uint32_t i = 0; i < 100; ++i)
    table.addresses["many.svc.mesh.local"].push_back({IpAddress::v4(0xf1000100 + i)});
  return table;
}

std::vector<std::byte> ask(const std::vector<std::byte>& message,
                           std::size_t limit = kPlainUdpBytes) {
  const auto query = parse_query(message);
  EXPECT_TRUE(query);
  return answer(mesh(), *query, message, limit).value_or(std::vector<std::byte>{});
}

TEST(ParseQuery, ReadsNameTypeAndSize) {
  const auto message = dns_query(7, "DB.Svc.Mesh.Local", kAaaa, 4096);
  const auto query = parse_query(message);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id, 7);
  EXPECT_EQ(query->name, "db.svc.mesh.local");
  EXPECT_EQ(query->type, kAaaa);
  EXPECT_TRUE(query->has_edns);
  EXPECT_EQ(query->udp_bytes, 4096U);
}

TEST(ParseQuery, TheRootIsAName) {
  const auto query = parse_query(dns_query(7, "", 2));
  ASSERT_TRUE(query);
  EXPECT_EQ(query->name, "");
}

TEST(ParseQuery, EveryShorterMessageIsRefused) {
  const auto message = dns_query(7, "db.svc.mesh.local", kA);
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_FALSE(parse_query(Bytes(message).first(size))) << size;
}

TEST(ParseQuery, RefusesAnswersOperationsAndSeveralQuestions) {
  const auto message = dns_query(7, "db", kA);
  auto changed = message;
  changed[2] |= std::byte{0x80};
  EXPECT_EQ(parse_query(changed).error().code, Errc::closed);
  changed = message;
  changed[2] |= std::byte{0x28};  // UPDATE
  EXPECT_EQ(parse_query(changed).error().code, Errc::unsupported);
  changed = message;
  changed[5] = std::byte{2};
  EXPECT_EQ(parse_query(changed).error().code, Errc::bad_input);
}

TEST(ParseQuery, RefusesNamesThatAreNone) {
  auto pointer = dns_query(7, "db", kA);
  pointer[12] = std::byte{0xc0};
  EXPECT_FALSE(parse_query(pointer));
  auto dotted = dns_query(7, "dbx", kA);
  dotted[14] = std::byte{'.'};
  EXPECT_FALSE(parse_query(dotted));
  std::string longest;
  for (int i = 0; i < 4; ++i)
    longest += std::string(62, 'a') + ".";
  EXPECT_TRUE(parse_query(dns_query(7, longest.substr(0, 251), kA)));
  EXPECT_FALSE(parse_query(dns_query(7, longest + std::string(30, 'b'), kA)));
}

TEST(Answer, HasTheAddressesOfTheTypeAsked) {
  const auto v4 = ask(dns_query(7, "db.svc.mesh.local", kA));
  ASSERT_EQ(dns_answers(v4), 1U);
  EXPECT_EQ(dns_number(v4, 0), 7U);
  EXPECT_EQ(dns_number(v4, 2), 0x8580U);  // answer, authoritative, recursion desired and available
  const Bytes address = Bytes(v4).last(4);
  EXPECT_EQ(std::to_integer<int>(address[0]), 241);
  EXPECT_EQ(std::to_integer<int>(address[3]), 3);
  EXPECT_EQ(dns_answers(ask(dns_query(7, "DB.svc.mesh.LOCAL", kAaaa))), 1U);
  EXPECT_EQ(dns_answers(ask(dns_query(7, "db.svc.mesh.local", kAny))), 2U);
}

TEST(Answer, AKnownNameWithoutTheTypeIsNoFailure) {
  for (const std::uint16_t type : {kAaaa, kHttps}) {
    const auto reply = ask(dns_query(7, "only4.svc.mesh.local", type));
    ASSERT_FALSE(reply.empty());
    EXPECT_EQ(dns_code(reply), 0U);
    EXPECT_EQ(dns_answers(reply), 0U);
  }
}

TEST(Answer, AMappedAddressIsAnIpv6One) {
  EXPECT_EQ(dns_answers(ask(dns_query(7, "both.svc.mesh.local", kA))), 1U);
  const auto reply = ask(dns_query(7, "both.svc.mesh.local", kAaaa));
  ASSERT_EQ(dns_answers(reply), 1U);
  const std::array<unsigned char, 18> expected{
      0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 241, 0, 0, 5};
  EXPECT_EQ(std::memcmp(Bytes(reply).last(18).data(), expected.data(), 18), 0);
}

TEST(Answer, OtherNamesAreNotOurs) {
  EXPECT_TRUE(ask(dns_query(7, "example.test", kA)).empty());
  EXPECT_TRUE(ask(dns_query(7, "svc.mesh.local", kA)).empty());
  EXPECT_TRUE(ask(dns_query(7, "", kA)).empty());
}

TEST(Answer, WhatDoesNotFitIsCutAndSaysSo) {
  const auto cut = ask(dns_query(7, "many.svc.mesh.local", kA));
  EXPECT_LE(cut.size(), kPlainUdpBytes);
  EXPECT_GT(dns_answers(cut), 20U);
  EXPECT_EQ(dns_number(cut, 2) & 0x0200U, 0x0200U);
  const auto with_edns = ask(dns_query(7, "many.svc.mesh.local", kA, 4096), 4096);
  EXPECT_EQ(dns_answers(with_edns), 100U);
  EXPECT_EQ(dns_number(with_edns, 2) & 0x0200U, 0U);
  EXPECT_EQ(dns_number(with_edns, 10), 1U) << "EDNS is answered by EDNS";
}

TEST(Failure, CarriesTheQuestion) {
  const auto message = dns_query(7, "example.test", kA);
  const auto reply = failure(message, ResponseCode::server_failure);
  EXPECT_EQ(reply.size(), message.size());
  EXPECT_EQ(dns_code(reply), 2U);
  EXPECT_TRUE(is_reply_to(reply, 7, message));
  EXPECT_TRUE(failure(Bytes(message).first(11), ResponseCode::format_error).empty());
  EXPECT_EQ(failure(Bytes(message).first(13), ResponseCode::format_error).size(), kHeaderBytes);
}

TEST(IsReplyTo, WantsIdentifierAndQuestion) {
  const auto message = dns_query(7, "db.svc.mesh.local", kA);
  const auto reply = ask(message);
  EXPECT_TRUE(is_reply_to(reply, 7, message));
  EXPECT_FALSE(is_reply_to(reply, 8, message));
  EXPECT_FALSE(is_reply_to(message, 7, message)) << "a query is no answer";
  EXPECT_FALSE(is_reply_to(reply, 7, dns_query(7, "only4.svc.mesh.local", kA)));
  EXPECT_FALSE(is_reply_to(reply, 7, dns_query(7, "db.svc.mesh.local", kAaaa)));
  EXPECT_FALSE(is_reply_to(Bytes(reply).first(5), 7, message));
}

}  // namespace

}  // namespace mooring::dns
