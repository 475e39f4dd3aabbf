#include "net/socket.h"

#include <gtest/gtest.h>

namespace mooring::net {
namespace {

TEST(SourceAddress, IsTheOneThatTheRouteTakes) {
  EXPECT_EQ(source_address(*parse_socket_address("127.0.0.5:9")), *parse_ip("127.0.0.1"));
}

TEST(SourceAddress, FailsWhereNoRouteLeads) {
  // A connection to the broadcast address is not permitted to a socket that did not ask for it.
  EXPECT_FALSE(source_address(*parse_socket_address("255.255.255.255:9")));
}

}  // namespace
}  // namespace mooring::net
