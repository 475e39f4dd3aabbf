// Bytes that wait: 16 KiB chunks from a pool, chained. A connection that is idle holds none.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

namespace mooring {

using Bytes = std::span<const std::byte>;

inline constexpr std::size_t kChunkBytes = 16 * 1024;

struct Chunk {
  std::array<std::byte, kChunkBytes> bytes;
};

/// Free chunks of one thread. Keeps at most `kept` of them; the rest goes back to the allocator.
class ChunkPool {
 public:
  explicit ChunkPool(std::size_t kept = 64) : kept_(kept) {}
  [[nodiscard]] std::unique_ptr<Chunk> take();
  void give_back(std::unique_ptr<Chunk> chunk);

 private:
  std::size_t kept_;
  std::vector<std::unique_ptr<Chunk>> free_;
};

/// First in, first out. `pool` outlives the queue.
class ByteQueue {
 public:
  explicit ByteQueue(ChunkPool& pool) noexcept : pool_(&pool) {}
  ~ByteQueue() { clear(); }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  void push(Bytes bytes);
  void pop(std::size_t count);
  void clear();
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// Fills `out` with the oldest bytes and returns how many entries were used. Valid until the next
  /// change.
  [[nodiscard]] std::size_t gather(std::span<iovec> out) const noexcept;

 private:
  struct Part {
    std::unique_ptr<Chunk> chunk;
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  ChunkPool* pool_;
  std::size_t size_ = 0;
  std::vector<Part>
      parts_;  // from first_ on; a vector holds nothing while empty, a deque 576 bytes
  std::size_t first_ = 0;
};

}  // namespace mooring
