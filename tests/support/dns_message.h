// Queries and answers for tests, by hand.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/buffer.h"

namespace mooring::test {

/// A query with recursion desired; `udp_bytes` not 0: with EDNS.
inline std::vector<std::byte> dns_query(std::uint16_t id,
                                        std::string_view name,
                                        std::uint16_t type,
                                        std::uint16_t udp_bytes = 0) {
  std::vector<std::byte> out;
  const auto put = [&out](unsigned number) {
    out.push_back(static_cast<std::byte>(number >> 8U & 0xffU));
    out.push_back(static_cast<std::byte>(number & 0xffU));
  };
  put(id);
  put(0x0100);
  put(1);
  put(0);
  put(0);
  put(udp_bytes == 0 ? 0 : 1);
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::byte>(label.size()));
    for (const char c : label)
      out.push_back(static_cast<std::byte>(c));
    name.remove_prefix(label.size() == name.size() ? label.size() : label.size() + 1);
  }
  out.push_back(std::byte{0});
  put(type);
  put(1);
  if (udp_bytes == 0) return out;
  out.push_back(std::byte{0});
  put(41);
  put(udp_bytes);
  put(0);
  put(0);
  put(0);
  return out;
}

inline unsigned dns_number(Bytes message, std::size_t at) {
  return std::to_integer<unsigned>(message[at]) << 8U | std::to_integer<unsigned>(message[at + 1]);
}
inline unsigned dns_code(Bytes message) {
  return dns_number(message, 2) & 0x0fU;
}
inline unsigned dns_answers(Bytes message) {
  return dns_number(message, 6);
}

}  // namespace mooring::test
