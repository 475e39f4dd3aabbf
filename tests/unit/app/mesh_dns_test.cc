#include "app/mesh_dns.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

namespace mooring::app {

namespace {

TEST(ParseMeshNames, TakesNamesAddressesAndTtl) {
  const auto table = parse_mesh_names(
      R"({"records":[{"name":"Web.svc.mesh.local","ips":["241.0.0.3","::ffff:f100:3","fd00::3","241.0.0.3"]},)"
      R"({"name":"empty.svc.mesh.local","ips":[]}],"ttl":7,"extraLabels":{"a":"b"}})");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->ttl_s, 7U);
  ASSERT_EQ(table->addresses.size(), 2U);
  const auto& web = table->addresses.at("web.svc.mesh.local");
  ASSERT_EQ(web.size(), 3U);
  EXPECT_EQ(web[0], (dns::Address{IpAddress::v4(0xf1000003)}));
  EXPECT_EQ(web[1], (dns::Address{IpAddress::v4(0xf1000003), true}));
  EXPECT_EQ(web[2].ip.to_string(), "fd00::3");
}

TEST(ParseMeshNames, NoRecordsIsAnEmptyTable) {
  for (const char* body : {"{}", R"({"records":null,"ttl":30})", R"({"records":[]})"}) {
    const auto table = parse_mesh_names(body);
    ASSERT_TRUE(table) << body;
    EXPECT_TRUE(table->addresses.empty());
  }
}

TEST(ParseMeshNames, RefusesWhatIsNotOfThatForm) {
  for (const char* body : {"",
                           "[]",
                           "{",
                           R"({"records":{}})",
                           R"({"records":[1]})",
                           R"({"records":[{"ips":[]}]})",
                           R"({"records":[{"name":""}]})",
                           R"({"records":[{"name":"a","ips":"1.2.3.4"}]})",
                           R"({"records":[{"name":"a","ips":["1.2.3"]}]})",
                           R"({"records":[{"name":"a","ips":[1]}]})",
                           R"({"ttl":-1})",
                           R"({"ttl":"30"})"}) {
    EXPECT_FALSE(parse_mesh_names(body)) << body;
  }
}

TEST(HostResolvers, FollowTheFileAndLeaveOurselvesOut) {
  const std::string file = testing::TempDir() + "/resolv.conf";
  const auto write = [&file](const char* text) { std::ofstream(file) << text; };
  write("nameserver 10.0.0.53\nnameserver 127.0.0.1\n");
  HostResolvers resolvers(file, 53);
  ASSERT_EQ(resolvers.get().size(), 1U);
  EXPECT_EQ(resolvers.get()[0].to_string(), "10.0.0.53:53");
  ::timespec times[2] = {{1, 0}, {1, 0}};
  write("nameserver 10.0.0.54\n");
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  ASSERT_EQ(resolvers.get().size(), 1U);
  EXPECT_EQ(resolvers.get()[0].to_string(), "10.0.0.54:53");
  ::unlink(file.c_str());
  EXPECT_TRUE(resolvers.get().empty());
}

}  // namespace

}  // namespace mooring::app
