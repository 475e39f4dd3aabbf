#include "dns/frames.h"

namespace mooring::dns {

namespace {

constexpr std::size_t kLengthBytes = 2;

}  // namespace

std::optional<std::vector<std::byte>> Frames::next() {
  if (buffer_.size() < kLengthBytes) return std::nullopt;
  const std::size_t size =
      std::to_integer<std::size_t>(buffer_[0]) << 8U | std::to_integer<std::size_t>(buffer_[1]);
  if (buffer_.size() < kLengthBytes + size) return std::nullopt;
  const auto begin = buffer_.begin() + kLengthBytes;
  const auto end = begin + static_cast<std::ptrdiff_t>(size);
  std::vector<std::byte> message(begin, end);
  buffer_.erase(buffer_.begin(), end);
  return message;
}

std::vector<std::byte> framed(Bytes message) {
  std::vector<std::byte> out;
  out.reserve(kLengthBytes + message.size());
  out.push_back(static_cast<std::byte>(message.size() >> 8U));
  out.push_back(static_cast<std::byte>(message.size() & 0xffU));
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

}  // namespace mooring::dns
