#include "proxy/handshake_gate.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooring::proxy {
namespace {

constexpr auto kClient = HandshakeRole::client;
constexpr auto kServer = HandshakeRole::server;

std::vector<std::uint64_t> turn(HandshakeGate& gate) {
  gate.new_turn();
  std::vector<std::uint64_t> went;
  while (const auto conn = gate.next())
    went.push_back(*conn);
  return went;
}

TEST(HandshakeGate, CountsEachRoleByItself) {
  HandshakeGate gate(2);
  gate.enter(kServer);
  gate.enter(kServer);
  EXPECT_TRUE(gate.is_full(kServer));
  EXPECT_FALSE(gate.is_full(kClient));
  gate.enter(kClient);
  EXPECT_EQ(gate.active(), 3U);
  gate.leave(kServer);
  EXPECT_FALSE(gate.is_full(kServer));
}

TEST(HandshakeGate, MakesFourStepsATurnAndTheRestInOrder) {
  HandshakeGate gate(100);
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(gate.take_step());
  for (std::uint64_t conn = 1; conn <= 6; ++conn) {
    ASSERT_FALSE(gate.take_step());
    gate.wait_for_step(conn);
  }
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_FALSE(gate.take_step()) << "those who waited used this turn up";
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{5, 6}));
  EXPECT_TRUE(gate.take_step());
}

TEST(HandshakeGate, AdmitsNobodyWhileItIsFull) {
  HandshakeGate gate(1);
  gate.enter(kServer);
  gate.wait_for_slot(kServer, 7);
  EXPECT_FALSE(gate.wants_turn()) << "a loop that turned for it would spin";
  EXPECT_TRUE(turn(gate).empty());
  gate.leave(kServer);
  EXPECT_TRUE(gate.wants_turn());
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{7}));
}

TEST(HandshakeGate, AFullRoleDoesNotHoldUpTheOther) {
  HandshakeGate gate(1);
  gate.enter(kServer);
  gate.wait_for_slot(kServer, 1);
  gate.wait_for_slot(kClient, 2);
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{2}));
}

TEST(HandshakeGate, NoClusterTakesThePlacesOfTheOthers) {
  HandshakeGate gate(4);
  const char clusters[2] = {};
  const HandshakeGate::Group silent = &clusters[0];
  const HandshakeGate::Group other = &clusters[1];
  gate.enter(kClient, silent);
  gate.enter(kClient, silent);
  EXPECT_TRUE(gate.is_full(kClient, silent));
  EXPECT_FALSE(gate.is_full(kClient, other));
  gate.wait_for_slot(kClient, 1, silent);
  gate.wait_for_slot(kClient, 2, other);
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{2})) << "who may not go on holds up nobody";
  gate.leave(kClient, silent);
  EXPECT_EQ(turn(gate), (std::vector<std::uint64_t>{1}));
}

TEST(HandshakeGate, RestsWhenNothingWaits) {
  HandshakeGate gate(10);
  EXPECT_FALSE(gate.wants_turn());
  EXPECT_TRUE(gate.take_step());
  EXPECT_TRUE(gate.wants_turn()) << "the next turn gives the step back";
  EXPECT_TRUE(turn(gate).empty());
  EXPECT_FALSE(gate.wants_turn());
}

}  // namespace
}  // namespace mooring::proxy
