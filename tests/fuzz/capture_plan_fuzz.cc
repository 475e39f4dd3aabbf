// Any wish on any host: the plan is refused with a reason, or it is one that every backend can
// write down and that keeps the promises of plan.h.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "transparent-proxy/bounds.h"
#include "transparent-proxy/nft_rules.h"
#include "transparent-proxy/render_iptables.h"
#include "transparent-proxy/render_nft.h"

namespace {

using namespace mooring;
using namespace mooring::transparent_proxy;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::uint16_t word() { return static_cast<std::uint16_t>(byte() << 8 | byte()); }
  OnAgentDeath fate() { return (byte() & 1) != 0 ? OnAgentDeath::closed : OnAgentDeath::open; }
  IpAddress ip() {
    if ((byte() & 1) == 0) return IpAddress::v4(static_cast<std::uint32_t>(word()) << 16 | word());
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t i = 0; i < 16; i += 5)
      bytes[i] = byte();
    return IpAddress::v6(bytes);
  }
  // Host bits and length as they come: plan() has to notice.
  IpPrefix prefix() {
    const IpAddress base = ip();
    return {base, byte()};
  }
  // A block that is one, so that the interesting half is reached too.
  IpPrefix sound_prefix() {
    const IpAddress address = ip();
    const unsigned full = address.is_v4() ? 32 : 128;
    const unsigned length = byte() % (full + 1);
    auto bytes = address.bytes();
    for (unsigned bit = length; bit < full; ++bit) {
      bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
    }
    const IpAddress base = address.is_v4()
                               ? IpAddress::v4(static_cast<std::uint32_t>(bytes[0]) << 24 |
                                               static_cast<std::uint32_t>(bytes[1]) << 16 |
                                               static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3])
                               : IpAddress::v6(bytes);
    return {base, static_cast<std::uint8_t>(length)};
  }
  bool more() { return size_ > 0; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

void fill(Input& in, InterceptConfig& config, HostFacts& facts) {
  facts.agent_uid = in.word();
  facts.boot_suffix = "0123abcd";
  while (in.more()) {
    switch (in.byte() % 10) {
      case 0:
        config.outbound.push_back({in.prefix(), in.word(), in.fate()});
        break;
      case 1:
      case 2:
        config.outbound.push_back({in.sound_prefix(), in.word(), in.fate()});
        break;
      case 3:
        config.inbound.push_back({in.word(), in.fate()});
        break;
      case 4:
        config.exclude_addresses.push_back(in.sound_prefix());
        break;
      case 5:
        config.exclude_ports.push_back(in.word());
        break;
      case 6:
        facts.resolvers.push_back(in.ip());
        break;
      case 7:
        facts.sshd_ports.push_back(in.word());
        break;
      case 8:
        facts.ssh_peers.push_back(in.ip());
        break;
      default:
        config.other = (in.byte() & 1) != 0 ? OtherTraffic::refuse : OtherTraffic::pass;
        config.other_on_agent_death = in.fate();
        config.outbound_port = in.word();
    }
  }
}

bool has(const std::vector<std::uint16_t>& ports, std::uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

void check_disjoint(const std::vector<IpPrefix>& prefixes) {
  for (std::size_t i = 1; i < prefixes.size(); ++i)
    AGENT_CHECK(!prefixes[i - 1].overlaps(prefixes[i]));
}

void check_promises(const Plan& plan, const HostFacts& facts) {
  check_disjoint(plan.never);
  for (const OutboundGroup& group : plan.outbound) {
    AGENT_CHECK(!group.prefixes.empty() && !group.ports.empty());
    check_disjoint(group.prefixes);
    for (const IpPrefix& prefix : group.prefixes)
      AGENT_CHECK(prefix.base.is_v4() != group.is_v6);
    for (const std::uint16_t port : group.ports)
      AGENT_CHECK(!has(facts.sshd_ports, port));
  }
  for (const std::uint16_t port : facts.sshd_ports) {
    AGENT_CHECK(!has(plan.inbound_open, port) && !has(plan.inbound_closed, port));
    AGENT_CHECK(has(plan.never_ports, port));
  }
  for (const std::uint16_t port : plan.inbound_open)
    AGENT_CHECK(!has(plan.inbound_closed, port));
}

void check_renderings(const Plan& plan) {
  for (const NftFamily family : {NftFamily::inet, NftFamily::split}) {
    const std::string text = render_nft(plan, {family, 'a', true}) + render_nft_guard(plan, family);
    AGENT_CHECK(compare_listings(text, text));
    AGENT_CHECK(render_nft_guard(plan, family).empty() == !plan.guards_anything());
  }
  const IptablesText text = render_iptables(plan, 'b');
  const auto parts = capture_parts(plan, 'b', false);
  AGENT_CHECK(parse_our_chains(text.v4).size() == parts.size() + guard_parts(plan, false).size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  InterceptConfig config;
  HostFacts facts;
  fill(in, config, facts);
  const auto made = plan(config, facts);
  if (!made) {
    AGENT_CHECK(!describe(made.error()).empty());
    return 0;
  }
  check_promises(*made, facts);
  check_renderings(*made);
  AGENT_CHECK(check_narrower(config, config));
  AGENT_CHECK(check_allowed(config, Bounds{}, &config));
  return 0;
}
