#include "core/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace mooring {
namespace {

std::string content(const ByteQueue& queue) {
  std::array<iovec, 64> parts{};
  std::string text;
  const std::size_t used = queue.gather(parts);
  for (std::size_t i = 0; i < used; ++i)
    text.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return text;
}

TEST(ByteQueue, KeepsOrderAcrossChunks) {
  ChunkPool pool;
  ByteQueue queue(pool);
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    expected += line;
    queue.push(std::as_bytes(std::span(line)));
  }
  EXPECT_EQ(content(queue), expected);
  queue.pop(20000);
  EXPECT_EQ(content(queue), expected.substr(20000));
  EXPECT_EQ(queue.size(), expected.size() - 20000);
  queue.pop(queue.size());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(content(queue), "");
}

TEST(ByteQueue, HoldsTheSameBytesWhenPushesAndPopsInterleave) {
  ChunkPool pool(1);
  ByteQueue queue(pool);
  std::string model;
  unsigned seed = 1;
  for (int i = 0; i < 2000; ++i) {
    seed = seed * 1103515245U + 12345U;
    const std::string piece(seed % 40000U, static_cast<char>('a' + i % 26));
    queue.push(std::as_bytes(std::span(piece)));
    model += piece;
    const std::size_t drop = std::min<std::size_t>(model.size(), (seed >> 8U) % 45000U);
    queue.pop(drop);
    model.erase(0, drop);
    ASSERT_EQ(queue.size(), model.size());
    const std::string head = content(queue);
    ASSERT_EQ(head, model.substr(0, head.size()));
  }
}

}  // namespace
}  // namespace mooring
