#include "policy/consistent_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "policy/hash.h"
#include "policy/random.h"

namespace mooring::policy {
namespace {

const std::vector<HashedEndpoint> kAlike{
    {"10.0.0.1:80", 1.0 / 3}, {"10.0.0.2:80", 1.0 / 3}, {"10.0.0.3:80", 1.0 / 3}};
const std::vector<HashedEndpoint> kWeighted{
    {"10.0.0.9:443", 0.5}, {"[fd00::1]:443", 0.3}, {"10.0.0.2:443", 0.2}};

std::vector<HashedEndpoint> thousand() {
  std::vector<HashedEndpoint> endpoints;
  endpoints.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    endpoints.push_back(
        {"10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + ":5432",
         1.0 / 1000});
  }
  return endpoints;
}

struct Point {
  std::uint64_t hash;
  std::size_t endpoint;
};

// The expected rings and tables were made by a program that follows Envoy's description literally.
void expect_points(const HashRing& ring, const std::vector<Point>& points) {
  std::vector<std::size_t> expected;
  std::vector<std::size_t> at;
  std::vector<std::size_t> after;
  std::vector<std::size_t> further;
  for (std::size_t i = 0; i < points.size(); ++i) {
    expected.push_back(points[i].endpoint);
    at.push_back(ring.pick(points[i].hash, 0));
    after.push_back(ring.pick(points[i].hash + 1, 0));
    further.push_back(ring.pick(points[i].hash, 2));
  }
  EXPECT_EQ(ring.size(), points.size());
  EXPECT_EQ(ring.pick(0, 0), expected.front());
  EXPECT_EQ(ring.pick(~std::uint64_t{0}, 0), expected.front());
  EXPECT_EQ(at, expected);
  std::rotate(expected.begin(), expected.begin() + 1, expected.end());
  EXPECT_EQ(after, expected);
  std::rotate(expected.begin(), expected.begin() + 1, expected.end());
  EXPECT_EQ(further, expected);
}

TEST(HashRing, HasEnvoysPointsByXxHash) {
  expect_points(HashRing(kAlike, {.minimum_size = 12}),
                {{0x18341d927ea10691, 0},
                 {0x1843fe2bfd88cc4b, 2},
                 {0x3d32eaa4a864962e, 1},
                 {0x4ed2577529fc9c63, 2},
                 {0x656dc13da99fd148, 0},
                 {0x7079d8e1823e007f, 1},
                 {0x74da18db9f57cc7e, 2},
                 {0x75041381e7371a08, 0},
                 {0x90e7ae8ea720a506, 1},
                 {0x98663d8c8e38e677, 2},
                 {0xc3e1becc4fb11de1, 1},
                 {0xd25398a286f909b3, 0}});
}

TEST(HashRing, HasEnvoysPointsByMurmurAndWeight) {
  expect_points(HashRing(kWeighted, {.minimum_size = 10, .maximum_size = 8, .murmur = true}),
                {{0x17279132a4a449df, 0},
                 {0x412a3cf085ab731d, 1},
                 {0x6bee7a33c452525e, 0},
                 {0x783806cd6b477055, 1},
                 {0x8150d456d550c648, 0},
                 {0xa7c8175915186162, 2},
                 {0xba30e076055df6ba, 0},
                 {0xe5f635575c4181ab, 1}});
}

// The order of all points of a large ring, as one number.
TEST(HashRing, IsEnvoysForAThousandEndpoints) {
  const HashRing ring(thousand(), {});
  ASSERT_EQ(ring.size(), 2000U);
  std::string order;
  for (std::uint32_t i = 0; i < ring.size(); ++i) {
    const auto endpoint = static_cast<std::uint16_t>(ring.pick(0, i));
    order.append({static_cast<char>(endpoint & 0xffU), static_cast<char>(endpoint >> 8U)});
  }
  EXPECT_EQ(xx_hash64(order), 0x6e1541ed06a6172eU);
}

// Those of the endpoint that went, and those that the others' added points took.
TEST(HashRing, MovesFewHashesWhenAnEndpointGoes) {
  const HashRing before(kAlike, {});
  const HashRing after({{"10.0.0.1:80", 0.5}, {"10.0.0.2:80", 0.5}}, {});
  Random random(1);
  int moved = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t hash = random.next();
    moved += before.pick(hash, 0) == after.pick(hash, 0) ? 0 : 1;
  }
  EXPECT_NEAR(moved, 1300, 200);
}

TEST(HashRing, OfNobodyIsEmpty) {
  EXPECT_TRUE(HashRing({}, {}).is_empty());
  EXPECT_TRUE(MaglevTable({}, 17).is_empty());
}

std::vector<std::size_t> places(const MaglevTable& table, std::uint64_t size) {
  std::vector<std::size_t> found;
  found.reserve(size);
  for (std::uint64_t i = 0; i < size; ++i)
    found.push_back(table.pick(i, 0));
  return found;
}

TEST(MaglevTable, IsEnvoysForEqualShares) {
  EXPECT_EQ(places(MaglevTable(kAlike, 17), 17),
            (std::vector<std::size_t>{2, 1, 0, 1, 0, 2, 0, 0, 0, 1, 0, 2, 2, 2, 1, 1, 1}));
}

TEST(MaglevTable, IsEnvoysForWeights) {
  EXPECT_EQ(places(MaglevTable(kWeighted, 31), 31),
            (std::vector<std::size_t>{2, 1, 1, 2, 0, 0, 0, 0, 1, 2, 1, 2, 1, 1, 2, 0,
                                      0, 2, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 2}));
}

TEST(MaglevTable, IsEnvoysInFullSize) {
  const std::vector<std::size_t> weighted = places(MaglevTable(kWeighted, 65537), 65537);
  EXPECT_EQ(std::count(weighted.begin(), weighted.end(), 0U), 32768);
  EXPECT_EQ(std::count(weighted.begin(), weighted.end(), 1U), 19661);
  EXPECT_EQ(std::count(weighted.begin(), weighted.end(), 2U), 13108);
  std::string bytes;
  for (const std::size_t place : weighted)
    bytes.push_back(static_cast<char>(place));
  EXPECT_EQ(xx_hash64(bytes), 0x30de997a4cbb9772U);

  bytes.clear();
  for (const std::size_t place : places(MaglevTable(thousand(), 65537), 65537)) {
    bytes.push_back(static_cast<char>(place & 0xffU));
    bytes.push_back(static_cast<char>(place >> 8U));
  }
  EXPECT_EQ(xx_hash64(bytes), 0x668f64a377c756faU);
}

TEST(MaglevTable, DoesNotDependOnTheOrderOfTheList) {
  std::vector<HashedEndpoint> turned(kWeighted.rbegin(), kWeighted.rend());
  const std::vector<std::size_t> one = places(MaglevTable(kWeighted, 1009), 1009);
  const std::vector<std::size_t> other = places(MaglevTable(turned, 1009), 1009);
  for (std::size_t i = 0; i < one.size(); ++i)
    ASSERT_EQ(one[i], 2 - other[i]) << i;
}

// One that has all but nothing must not make the table's rounds countless.
TEST(MaglevTable, IsMadeQuicklyOfVeryUnequalShares) {
  std::vector<HashedEndpoint> endpoints = thousand();
  for (HashedEndpoint& endpoint : endpoints)
    endpoint.share = 1e-9;
  endpoints.front().share = 1 - 999e-9;
  const std::vector<std::size_t> table = places(MaglevTable(endpoints, 500009), 500009);
  EXPECT_GT(std::count(table.begin(), table.end(), 0U), 499000);
}

TEST(MaglevTable, AFurtherAttemptMovesToAnotherPlace) {
  const MaglevTable table(kAlike, 65537);
  Random random(3);
  int same = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t hash = random.next();
    EXPECT_EQ(table.pick(hash, 1), table.pick(hash ^ ~std::uint64_t{0}, 0));
    same += table.pick(hash, 0) == table.pick(hash, 1) ? 1 : 0;
  }
  EXPECT_LT(same, 2000);
}

TEST(MaglevTable, KnowsWhichSizesAreValid) {
  for (const std::uint64_t size : {2U, 3U, 17U, 65537U, 5000011U})
    EXPECT_TRUE(MaglevTable::is_size(size)) << size;
  for (const std::uint64_t size : {0U, 1U, 4U, 65536U, 5000013U, 4294967291U})
    EXPECT_FALSE(MaglevTable::is_size(size)) << size;
}

}  // namespace
}  // namespace mooring::policy
