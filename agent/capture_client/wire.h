// Bytes of the helper's protocol: little helpers of messages.cc. Integers are big-endian.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/address.h"
#include "core/buffer.h"
#include "core/result.h"

namespace mooring::capture_client {

class WireWriter {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_unsigned_v<T>);
    for (std::size_t i = sizeof(T); i-- > 0;) {
      out_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xffU));
    }
  }
  void text(std::string_view value, std::size_t max_bytes) {
    value = value.substr(0, max_bytes);
    number(static_cast<std::uint16_t>(value.size()));
    for (const char c : value)
      out_.push_back(static_cast<std::byte>(c));
  }
  void prefix(const IpPrefix& value) {
    number(static_cast<std::uint8_t>(value.base.is_v4() ? 4 : 6));
    number(value.length);
    const std::size_t size = value.base.is_v4() ? 4 : 16;
    for (std::size_t i = 0; i < size; ++i)
      number(value.base.bytes()[i]);
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

/// After the first failure every read gives zero and error() is set.
class WireReader {
 public:
  explicit WireReader(Bytes in) noexcept : in_(in) {}

  template <class T>
  T number() {
    static_assert(std::is_unsigned_v<T>);
    if (in_.size() < sizeof(T)) return fail_with(Errc::bad_input), T{0};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = (value << 8) | std::to_integer<std::uint64_t>(in_[i]);
    in_ = in_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  /// An enum whose values are 0..`last`.
  template <class E>
  E choice(E last) {
    const auto value = number<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(last)) return fail_with(Errc::bad_input), E{};
    return static_cast<E>(value);
  }
  bool flag() {
    const auto value = number<std::uint8_t>();
    if (value > 1) fail_with(Errc::bad_input);
    return value == 1;
  }
  std::string text(std::size_t max_bytes) {
    const std::size_t size = number<std::uint16_t>();
    if (size > max_bytes) return fail_with(Errc::too_large), std::string{};
    if (size > in_.size()) return fail_with(Errc::bad_input), std::string{};
    std::string value(reinterpret_cast<const char*>(in_.data()), size);
    in_ = in_.subspan(size);
    return value;
  }
  /// A count that is at most `max`, and for which at least `count` bytes are left.
  std::size_t count(std::size_t max) {
    const std::size_t value = number<std::uint16_t>();
    if (value > max) return fail_with(Errc::too_large), 0;
    if (value > in_.size()) return fail_with(Errc::bad_input), 0;
    return value;
  }
  std::uint16_t port() {
    const auto value = number<std::uint16_t>();
    if (value == 0) fail_with(Errc::bad_input);
    return value;
  }
  IpPrefix prefix();

  void fail_with(Errc code) {
    if (ok_) error_ = code;
    ok_ = false;
    in_ = {};
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] Errc error() const noexcept { return error_; }
  [[nodiscard]] bool at_end() const noexcept { return in_.empty(); }

 private:
  Bytes in_;
  bool ok_ = true;
  Errc error_ = Errc::bad_input;
};

}  // namespace mooring::capture_client
