#include "policy/hosts.h"

#include <gtest/gtest.h>

namespace mooring::policy {
namespace {

using snapshot::EndpointsPart;
using snapshot::HealthStatus;
using snapshot::LbEndpoint;
using snapshot::LoadAssignment;
using snapshot::LocalityEndpoints;

LbEndpoint endpoint(const char* address, HealthStatus health = HealthStatus::unknown) {
  LbEndpoint made;
  made.address = *parse_socket_address(address);
  made.health = health;
  return made;
}

LocalityEndpoints group(std::uint32_t priority,
                        const char* zone,
                        std::uint32_t weight,
                        std::vector<LbEndpoint> endpoints) {
  LocalityEndpoints made;
  made.priority = priority;
  made.zone = zone;
  made.weight = weight;
  made.endpoints = std::move(endpoints);
  return made;
}

TEST(Hosts, AreAllEndpointsThatHaveAnAddressOnce) {
  LbEndpoint unresolved;
  unresolved.host_name = "db.example";
  unresolved.port = 1;
  LoadAssignment assignment;
  assignment.localities = {
      group(0, "a", 1, {endpoint("10.0.0.1:1"), unresolved, endpoint("10.0.0.2:1")}),
      group(1, "a", 1, {endpoint("10.0.0.1:1"), endpoint("[fd00::1]:1")})};
  const EndpointsPart endpoints(assignment);
  const Hosts hosts = build_hosts(endpoints);
  ASSERT_EQ(hosts.list.size(), 3U);
  EXPECT_EQ(hosts.list[1].address.to_string(), "10.0.0.2:1");
  EXPECT_EQ(hosts.list[1].priority, 0U);
  EXPECT_EQ(hosts.list[2].address.to_string(), "[fd00::1]:1");
  EXPECT_EQ(hosts.list[2].priority, 1U);
}

TEST(Hosts, ANameIsEachOfItsAddresses) {
  LbEndpoint named;
  named.host_name = "db.example";
  named.port = 5;
  named.weight = 3;
  LoadAssignment assignment;
  assignment.localities = {group(0, "a", 1, {endpoint("10.0.0.1:1")}), group(1, "b", 1, {named})};
  const EndpointsPart endpoints(
      assignment, {{"db.example", {IpAddress::v4(0x0a000002), IpAddress::v4(0x0a000003)}}});
  const Hosts hosts = build_hosts(endpoints);
  ASSERT_EQ(hosts.list.size(), 3U);
  EXPECT_EQ(hosts.list[2].address.to_string(), "10.0.0.3:5");
  EXPECT_EQ(hosts.list[2].weight, 3U);
  EXPECT_EQ(hosts.list[2].priority, 1U);
}

TEST(Hosts, OneLocalityMayComeInSeveralGroups) {
  LoadAssignment assignment;
  assignment.localities = {group(2, "a", 7, {endpoint("10.0.0.1:1")}),
                           group(2, "b", 2, {endpoint("10.0.0.2:1")}),
                           group(2, "a", 3, {endpoint("10.0.0.3:1")})};
  const EndpointsPart endpoints(assignment);
  const Hosts hosts = build_hosts(endpoints);
  EXPECT_EQ(hosts.locality_weights, (std::vector<std::vector<std::uint32_t>>{{}, {}, {3, 2}}));
  EXPECT_EQ(hosts.list[1].locality, 1U);
  EXPECT_EQ(hosts.list[2].locality, 0U);
}

TEST(Hosts, HaveTheHealthThatTheControlPlaneTells) {
  LoadAssignment assignment;
  assignment.localities = {group(0,
                                 "",
                                 0,
                                 {endpoint("10.0.0.1:1", HealthStatus::unknown),
                                  endpoint("10.0.0.2:1", HealthStatus::healthy),
                                  endpoint("10.0.0.3:1", HealthStatus::unhealthy),
                                  endpoint("10.0.0.4:1", HealthStatus::draining),
                                  endpoint("10.0.0.5:1", HealthStatus::timeout),
                                  endpoint("10.0.0.6:1", HealthStatus::degraded)})};
  std::vector<HostHealth> told;
  const EndpointsPart endpoints(assignment);
  for (const Host& host : build_hosts(endpoints).list)
    told.push_back(host.told);
  EXPECT_EQ(told,
            (std::vector<HostHealth>{HostHealth::healthy,
                                     HostHealth::healthy,
                                     HostHealth::unhealthy,
                                     HostHealth::draining,
                                     HostHealth::unhealthy,
                                     HostHealth::degraded}));
}

TEST(Hosts, PrioritiesAreBounded) {
  LoadAssignment assignment;
  assignment.localities = {group(4000000000U, "", 0, {endpoint("10.0.0.1:1")})};
  assignment.localities[0].endpoints[0].weight = 0;
  const EndpointsPart endpoints(assignment);
  const Hosts hosts = build_hosts(endpoints);
  EXPECT_EQ(hosts.list.at(0).priority, kMaxPriority);
  EXPECT_EQ(hosts.list.at(0).weight, 1U);
}

}  // namespace
}  // namespace mooring::policy
