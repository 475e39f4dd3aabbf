#include "dns/resolvers.h"

namespace mooring::dns {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::string_view kBlank = " \t\r";

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::vector<SocketAddress> parse_resolv_conf(std::string_view text) {
  std::vector<SocketAddress> resolvers;
  while (!text.empty() && resolvers.size() < kMaxResolvers) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (take_word(line) != "nameserver") continue;
    if (const auto ip = parse_ip(take_word(line))) resolvers.push_back({*ip, kDnsPort});
  }
  return resolvers;
}

}  // namespace mooring::dns
