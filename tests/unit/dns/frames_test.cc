#include "dns/frames.h"

#include <gtest/gtest.h>

namespace mooring::dns {

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values)
    out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(Frames, GivesAMessageOnceAllOfItIsThere) {
  Frames frames;
  for (const int part : {0, 3, int{'a'}, int{'b'}}) {
    frames.push(bytes({part}));
    EXPECT_FALSE(frames.next());
  }
  frames.push(bytes({'c', 0, 1}));
  EXPECT_EQ(frames.next(), bytes({'a', 'b', 'c'}));
  EXPECT_FALSE(frames.next());
  frames.push(bytes({'d'}));
  EXPECT_EQ(frames.next(), bytes({'d'}));
}

TEST(Frames, AnEmptyMessageIsOne) {
  Frames frames;
  frames.push(bytes({0, 0, 0, 1, 'x'}));
  EXPECT_EQ(frames.next(), bytes({}));
  EXPECT_EQ(frames.next(), bytes({'x'}));
}

TEST(Frames, FramingIsWhatIsReadBack) {
  Frames frames;
  const std::vector<std::byte> message(300, std::byte{7});
  frames.push(framed(message));
  EXPECT_EQ(frames.next(), message);
}

}  // namespace

}  // namespace mooring::dns
