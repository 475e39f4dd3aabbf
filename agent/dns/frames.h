// Messages of a DNS connection over TCP: two bytes of length before each (RFC 1035 §4.2.2). Pure.
#pragma once

#include <optional>
#include <vector>

#include "core/buffer.h"

namespace mooring::dns {

class Frames {
 public:
  void push(Bytes bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }
  /// The oldest message that is whole.
  [[nodiscard]] std::optional<std::vector<std::byte>> next();

 private:
  std::vector<std::byte> buffer_;  // at most one message and what came in one read behind it
};

[[nodiscard]] std::vector<std::byte> framed(Bytes message);

}  // namespace mooring::dns
