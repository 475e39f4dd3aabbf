#include "policy/hash.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

namespace mooring::policy {
namespace {

struct Vector {
  const char* text;
  std::uint64_t xx;
  std::uint64_t xx_seed_1;
  std::uint64_t murmur;
};

// From the reference implementation of xxHash, and from MurmurHash64A as its author describes it.
constexpr std::array<Vector, 6> kVectors{{
    {"", 0xef46db3751d8e999, 0xd5afba1336a3be4b, 0x553e93901e462a6e},
    {"a", 0xd24ec4f1a98c6e5b, 0xdec2bc81c3cd46c6, 0x454ddee488c1ed6b},
    {"10.0.0.1:80", 0x011facba8043b217, 0xa456919bcbffaa92, 0xbfbc45c9f4269b08},
    {"10.0.0.1:80_0", 0x75041381e7371a08, 0x886565a2d161b779, 0xbd8f6461ecffb28c},
    {"0123456789abcdef0123456789abcdef",
     0x642a94958e71e6c5,
     0x048b8b580878a4a4,
     0x3f2891b011c42d97},
    {"Nobody inspects the spammish repetition",
     0xfbcea83c8a378bf1,
     0x43f425448d954db6,
     0xc3b23f5033ade0d1},
}};

TEST(Hash, FollowsTheReferenceVectors) {
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(xx_hash64(vector.text), vector.xx) << vector.text;
    EXPECT_EQ(xx_hash64(vector.text, 1), vector.xx_seed_1) << vector.text;
    EXPECT_EQ(murmur_hash2(vector.text), vector.murmur) << vector.text;
  }
}

#ifdef __GLIBCXX__
TEST(Hash, MurmurIsWhatTheStandardLibraryHashesBy) {
  std::string text;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(murmur_hash2(text), std::hash<std::string>{}(text)) << i;
    text.push_back(static_cast<char>(i * 37 + 200));
  }
}
#endif

}  // namespace
}  // namespace mooring::policy
