// A vector whose copies share their elements by chunks: one with another element costs a chunk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace mooring::snapshot {

/// Elements never change in place, so copies may be read by any thread while others are made.
template <class T>
class SharedVector {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator() = default;
    Iterator(const SharedVector* owner, std::size_t at) : owner_(owner), at_(at) {}

    reference operator*() const noexcept { return (*owner_)[at_]; }
    pointer operator->() const noexcept { return &(*owner_)[at_]; }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    Iterator operator++(int) noexcept { return {owner_, at_++}; }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }

   private:
    const SharedVector* owner_ = nullptr;
    std::size_t at_ = 0;
  };

  SharedVector() = default;
  explicit SharedVector(std::vector<T> items) : size_(items.size()) {
    chunks_.reserve((size_ + kChunk - 1) / kChunk);
    for (std::size_t at = 0; at < size_; at += kChunk) {
      const auto begin = std::make_move_iterator(items.begin() + static_cast<std::ptrdiff_t>(at));
      const auto count = static_cast<std::ptrdiff_t>(std::min(kChunk, size_ - at));
      chunks_.push_back(std::make_shared<const Chunk>(begin, begin + count));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept {
    return (*chunks_[at / kChunk])[at % kChunk];
  }
  [[nodiscard]] const T& back() const noexcept { return (*this)[size_ - 1]; }
  [[nodiscard]] Iterator begin() const noexcept { return {this, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {this, size_}; }

  /// `at` is less than size().
  void set(std::size_t at, T item) {
    auto chunk = std::make_shared<Chunk>(*chunks_[at / kChunk]);
    (*chunk)[at % kChunk] = std::move(item);
    chunks_[at / kChunk] = std::move(chunk);
  }

  /// Calls `use` with each position whose element is another than in `other`, which has as many
  /// elements. Chunks that both have are not looked into.
  template <class Use>
  void for_each_difference(const SharedVector& other, Use use) const {
    for (std::size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
      if (chunks_[chunk] == other.chunks_[chunk]) continue;
      const std::size_t end = std::min(size_, (chunk + 1) * kChunk);
      for (std::size_t at = chunk * kChunk; at < end; ++at) {
        if ((*this)[at] != other[at]) use(at);
      }
    }
  }

  friend bool operator==(const SharedVector& a, const SharedVector& b) {
    return a.size_ == b.size_ &&
           (a.chunks_ == b.chunks_ || std::equal(a.begin(), a.end(), b.begin()));
  }

 private:
  static constexpr std::size_t kChunk = 64;
  using Chunk = std::vector<T>;

  std::vector<std::shared_ptr<const Chunk>> chunks_;
  std::size_t size_ = 0;
};

}  // namespace mooring::snapshot
