#include "core/buffer.h"

#include <algorithm>
#include <cstring>

#include "core/result.h"

namespace mooring {

std::unique_ptr<Chunk> ChunkPool::take() {
  if (free_.empty()) return std::unique_ptr<Chunk>(new Chunk);  // make_unique would clear 16 KiB
  auto chunk = std::move(free_.back());
  free_.pop_back();
  return chunk;
}

void ChunkPool::give_back([[maybe_unused]] std::unique_ptr<Chunk> chunk) {
#ifndef MOORING_PLAIN_ALLOC
  if (free_.size() < kept_) free_.push_back(std::move(chunk));
#endif
}

void ByteQueue::push(Bytes bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (first_ == parts_.size() || parts_.back().end == kChunkBytes)
      parts_.push_back({pool_->take(), 0, 0});
    Part& part = parts_.back();
    const std::size_t count = std::min(bytes.size(), kChunkBytes - part.end);
    std::memcpy(part.chunk->bytes.data() + part.end, bytes.data(), count);
    part.end += count;
    bytes = bytes.subspan(count);
  }
}

void ByteQueue::pop(std::size_t count) {
  AGENT_CHECK(count <= size_);
  size_ -= count;
  while (count > 0) {
    Part& part = parts_[first_];
    const std::size_t step = std::min(count, part.end - part.begin);
    part.begin += step;
    count -= step;
    if (part.begin == part.end) {
      pool_->give_back(std::move(part.chunk));
      ++first_;
    }
  }
  if (size_ == 0) {
    clear();
  } else if (first_ >= 64) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void ByteQueue::clear() {
  for (std::size_t i = first_; i < parts_.size(); ++i)
    pool_->give_back(std::move(parts_[i].chunk));
  std::vector<Part>().swap(parts_);
  first_ = 0;
  size_ = 0;
}

std::size_t ByteQueue::gather(std::span<iovec> out) const noexcept {
  std::size_t used = 0;
  for (std::size_t i = first_; i < parts_.size() && used < out.size(); ++i, ++used) {
    const Part& part = parts_[i];
    out[used] = {part.chunk->bytes.data() + part.begin, part.end - part.begin};
  }
  return used;
}

}  // namespace mooring
