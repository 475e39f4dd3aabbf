// Whatever comes as a query or as a resolver's reply: what is answered can be read again, fits, and
// is an answer to the query.
#include <cstdint>

#include "dns/frames.h"
#include "dns/message.h"
#include "dns/resolvers.h"

using namespace mooring;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  static const dns::Table kTable{
      {{"a", {{IpAddress::v4(0xf1000001)}, {IpAddress::v4(0xf1000001), true}}}, {"a.b", {}}}, 30};
  dns::Frames frames;
  frames.push(input);
  while (const auto message = frames.next()) {
    if (const auto query = dns::parse_query(*message)) {
      const auto reply = dns::answer(kTable, *query, *message, dns::kPlainUdpBytes);
      if (reply && !dns::is_reply_to(*reply, query->id, *message)) __builtin_trap();
      const auto failed = dns::failure(*message, dns::ResponseCode::server_failure);
      if (!dns::is_reply_to(failed, query->id, *message)) __builtin_trap();
      (void)dns::is_reply_to(input, query->id, *message);
    }
  }
  (void)dns::parse_resolv_conf({reinterpret_cast<const char*>(data), size});
  return 0;
}
