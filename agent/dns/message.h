// DNS messages as far as answering from a table and handing on needs it (RFC 1035 §4, RFC 6891).
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/buffer.h"
#include "core/result.h"

namespace mooring::dns {

inline constexpr std::size_t kHeaderBytes = 12;
/// Without EDNS (RFC 1035 §4.2.1).
inline constexpr std::size_t kPlainUdpBytes = 512;
/// What we offer by EDNS: fits an IPv6 packet of the smallest MTU.
inline constexpr std::uint16_t kOfferedUdpBytes = 1232;
inline constexpr std::size_t kMaxMessageBytes = 65535;

enum class RecordType : std::uint16_t { a = 1, aaaa = 28, any = 255 };
enum class ResponseCode : std::uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  not_implemented = 4,
};

struct Query {
  std::uint16_t id = 0;
  std::string name;  // lower case, without the final dot; bytes that are no letters are as sent
  std::uint16_t type = 0;
  std::uint16_t record_class = 1;  // IN
  bool has_edns = false;
  std::size_t udp_bytes = kPlainUdpBytes;  // the longest answer that the client takes by UDP
  std::size_t question_end = 0;            // bytes of header and question
};

/// An address of a name; `is_mapped`: an IPv4 address that is given as an IPv6 one (::ffff:a.b.c.d,
/// RFC 4291 §2.5.5.2), for applications that ask for nothing else.
struct Address {
  IpAddress ip;
  bool is_mapped = false;

  friend bool operator==(const Address&, const Address&) = default;
};

/// Addresses of names, all of one time to live.
struct Table {
  std::map<std::string, std::vector<Address>, std::less<>> addresses;  // names as in Query
  std::uint32_t ttl_s = 30;

  friend bool operator==(const Table&, const Table&) = default;
};

/// A standard query with one question, no compression in its name. Fails with bad_input; with
/// unsupported for another operation; with closed for an answer, which nobody is to answer.
[[nodiscard]] Result<Query> parse_query(Bytes message);

/// To `message`, which `query` was parsed from: what the table says, without records for a type
/// that the name does not have. Longer than `limit`, it is cut and says so (TC). None: the table
/// does not know the name.
[[nodiscard]] std::optional<std::vector<std::byte>> answer(const Table& table,
                                                           const Query& query,
                                                           Bytes message,
                                                           std::size_t limit);

/// The header of `message` as an answer with this code; nothing for what is shorter than a header.
[[nodiscard]] std::vector<std::byte> failure(Bytes message, ResponseCode code);

/// Does `reply` answer the question of `query` with the identifier `id`? What is not asked for must
/// not be handed on (RFC 5452 §9.1).
[[nodiscard]] bool is_reply_to(Bytes reply, std::uint16_t id, Bytes query);

[[nodiscard]] std::uint16_t id_of(Bytes message) noexcept;  // of at least a header
void set_id(std::span<std::byte> message, std::uint16_t id) noexcept;

}  // namespace mooring::dns
