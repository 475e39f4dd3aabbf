#include "dns/message.h"

#include <algorithm>

#include "core/ascii.h"

namespace mooring::dns {

namespace {

constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kClassAny = 255;
constexpr std::uint16_t kTypeOpt = 41;
constexpr std::size_t kMaxNameBytes = 255;  // RFC 1035 §2.3.4
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::uint8_t kResponse = 0x80;  // third byte of the header
constexpr std::uint8_t kOpcode = 0x78;
constexpr std::uint8_t kAuthoritative = 0x04;
constexpr std::uint8_t kTruncated = 0x02;
constexpr std::uint8_t kRecursionDesired = 0x01;
constexpr std::uint8_t kRecursionAvailable = 0x80;  // fourth byte
constexpr std::size_t kOptBytes = 11;

std::uint8_t byte_at(Bytes bytes, std::size_t at) noexcept {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

std::uint16_t number_at(Bytes bytes, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8U | byte_at(bytes, at + 1));
}

void put(std::vector<std::byte>& out, std::uint16_t number) {
  out.push_back(static_cast<std::byte>(number >> 8U));
  out.push_back(static_cast<std::byte>(number & 0xffU));
}

// The position behind the name.
Result<std::size_t> read_name(Bytes message, std::size_t at, std::string& name) {
  const std::size_t begin = at;
  for (;;) {
    if (at >= message.size()) return fail(Errc::bad_input, "dns name");
    const std::size_t size = byte_at(message, at++);
    if (size == 0) return at;
    // A question has nothing before it that it could point to.
    if (size > kMaxLabelBytes || at + size > message.size() || at + size - begin >= kMaxNameBytes)
      return fail(Errc::bad_input, "dns name");
    if (!name.empty()) name.push_back('.');
    for (const std::byte c : message.subspan(at, size)) {
      // Inside a label it would make another name of it.
      if (c == std::byte{'.'}) return fail(Errc::bad_input, "dns name");
      name.push_back(lower_ascii(std::to_integer<char>(c)));
    }
    at += size;
  }
}

// Of the additional records only OPT, which is the first of them or not looked for.
void read_edns(Bytes message, Query& query) noexcept {
  const bool is_alone = number_at(message, 6) == 0 && number_at(message, 8) == 0;
  const std::size_t at = query.question_end;
  if (!is_alone || number_at(message, 10) == 0 || at + kOptBytes > message.size()) return;
  if (byte_at(message, at) != 0 || number_at(message, at + 1) != kTypeOpt) return;
  query.has_edns = true;
  query.udp_bytes = std::max<std::size_t>(kPlainUdpBytes, number_at(message, at + 3));
}

RecordType type_of(const Address& address) noexcept {
  return address.ip.is_v4() && !address.is_mapped ? RecordType::a : RecordType::aaaa;
}

bool is_wanted(const Address& address, std::uint16_t type) noexcept {
  return type == static_cast<std::uint16_t>(RecordType::any) ||
         type == static_cast<std::uint16_t>(type_of(address));
}

void put_record(std::vector<std::byte>& out, const Address& address, std::uint32_t ttl_s) {
  const std::size_t kept = address.ip.is_v4() ? 4 : 16;
  const std::size_t size = type_of(address) == RecordType::a ? 4 : 16;
  put(out, 0xc000U | kHeaderBytes);  // the question's name (RFC 1035 §4.1.4)
  put(out, static_cast<std::uint16_t>(type_of(address)));
  put(out, kClassIn);
  put(out, static_cast<std::uint16_t>(ttl_s >> 16U));
  put(out, static_cast<std::uint16_t>(ttl_s & 0xffffU));
  put(out, static_cast<std::uint16_t>(size));
  if (kept < size) {
    out.insert(out.end(), 10, std::byte{0});
    out.insert(out.end(), 2, std::byte{0xff});
  }
  for (std::size_t i = 0; i < kept; ++i)
    out.push_back(static_cast<std::byte>(address.ip.bytes()[i]));
}

void put_opt(std::vector<std::byte>& out) {
  out.push_back(std::byte{0});
  put(out, kTypeOpt);
  put(out, kOfferedUdpBytes);
  put(out, 0);
  put(out, 0);
  put(out, 0);
}

void set_count(std::vector<std::byte>& out, std::size_t at, std::size_t count) {
  out[at] = static_cast<std::byte>(count >> 8U);
  out[at + 1] = static_cast<std::byte>(count & 0xffU);
}

}  // namespace

Result<Query> parse_query(Bytes message) {
  if (message.size() < kHeaderBytes) return fail(Errc::bad_input, "dns header");
  const std::uint8_t flags = byte_at(message, 2);
  if ((flags & kResponse) != 0) return fail(Errc::closed, "dns answer");
  if ((flags & kOpcode) != 0) return fail(Errc::unsupported, "dns operation");
  if (number_at(message, 4) != 1) return fail(Errc::bad_input, "dns questions");
  Query query;
  query.id = id_of(message);
  const auto end = read_name(message, kHeaderBytes, query.name);
  if (!end) return fail(end.error());
  if (*end + 4 > message.size()) return fail(Errc::bad_input, "dns question");
  query.type = number_at(message, *end);
  query.record_class = number_at(message, *end + 2);
  query.question_end = *end + 4;
  read_edns(message, query);
  return query;
}

std::optional<std::vector<std::byte>> answer(const Table& table,
                                             const Query& query,
                                             Bytes message,
                                             std::size_t limit) {
  const auto known = table.addresses.find(query.name);
  const bool is_our_class = query.record_class == kClassIn || query.record_class == kClassAny;
  if (known == table.addresses.end() || !is_our_class) return std::nullopt;
  const std::size_t opt_bytes = query.has_edns ? kOptBytes : 0;
  const Bytes question = message.first(query.question_end);
  std::vector<std::byte> out(question.begin(), question.end());
  std::size_t count = 0;
  bool is_cut = false;
  for (const Address& address : known->second) {
    if (!is_wanted(address, query.type)) continue;
    const std::size_t before = out.size();
    put_record(out, address, table.ttl_s);
    is_cut = out.size() + opt_bytes > limit;
    if (is_cut) {
      out.resize(before);
      break;
    }
    ++count;
  }
  if (query.has_edns) put_opt(out);
  const std::uint8_t asked = byte_at(message, 2) & kRecursionDesired;
  out[2] = static_cast<std::byte>(kResponse | kAuthoritative | (is_cut ? kTruncated : 0) | asked);
  out[3] = static_cast<std::byte>(kRecursionAvailable);
  set_count(out, 6, count);
  set_count(out, 8, 0);
  set_count(out, 10, query.has_edns ? 1 : 0);
  return out;
}

std::vector<std::byte> failure(Bytes message, ResponseCode code) {
  if (message.size() < kHeaderBytes) return {};
  // The question goes back where it can be read, as resolvers expect it.
  const auto query = parse_query(message);
  const Bytes kept = message.first(query ? query->question_end : kHeaderBytes);
  std::vector<std::byte> out(kept.begin(), kept.end());
  out[2] =
      static_cast<std::byte>(kResponse | (byte_at(message, 2) & (kOpcode | kRecursionDesired)));
  out[3] = static_cast<std::byte>(kRecursionAvailable | static_cast<std::uint8_t>(code));
  set_count(out, 4, query ? 1 : 0);
  for (const std::size_t at : {6U, 8U, 10U})
    set_count(out, at, 0);
  return out;
}

bool is_reply_to(Bytes reply, std::uint16_t id, Bytes query) {
  if (reply.size() < kHeaderBytes || id_of(reply) != id || (byte_at(reply, 2) & kResponse) == 0)
    return false;
  const auto asked = parse_query(query);
  if (!asked) return false;
  // Some leave the question out of a failure; there is nothing in it to be taken for an answer.
  if (number_at(reply, 4) == 0) return number_at(reply, 6) == 0;
  std::string name;
  const auto end = read_name(reply, kHeaderBytes, name);
  return end && *end + 4 <= reply.size() && name == asked->name &&
         number_at(reply, *end) == asked->type && number_at(reply, *end + 2) == asked->record_class;
}

std::uint16_t id_of(Bytes message) noexcept {
  return number_at(message, 0);
}

void set_id(std::span<std::byte> message, std::uint16_t id) noexcept {
  message[0] = static_cast<std::byte>(id >> 8U);
  message[1] = static_cast<std::byte>(id & 0xffU);
}

}  // namespace mooring::dns
