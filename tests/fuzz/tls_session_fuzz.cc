// A session and a peer that sends what it likes. The first byte of the input picks the end, the
// phase and the size of the pieces; the rest is sent, or in one mode changes what a sound peer
// sends.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"
#include "support/pki.h"
#include "support/tls_pair.h"

namespace {

using mooring::Bytes;
using mooring::test::TlsEnd;
using mooring::test::TlsPair;
namespace tls = mooring::tls;

struct Peers {
  mooring::test::TestCa ca{"mesh.test"};
  mooring::Clock clock;
  tls::Scratch scratch;
  std::unique_ptr<tls::Context> client = std::move(*tls::Context::make(
      tls::Role::client, ca.material("spiffe://mesh.test/web"), {}, scratch, clock));
  std::unique_ptr<tls::Context> server = std::move(*tls::Context::make(
      tls::Role::server, ca.material("spiffe://mesh.test/db"), {}, scratch, clock));

  TlsPair connect() const {
    TlsPair pair;
    pair.client.session = std::move(*client->make_client({.resume_key = "db"}));
    pair.server.session = std::move(*server->make_server());
    pair.client.take(pair.client.session->start());
    return pair;
  }
};

void feed(TlsEnd& end, Bytes bytes, std::size_t piece) {
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size()))) {
    const bool had_failed = end.failure != tls::Failure::none;
    const std::size_t plain_before = end.plain.size();
    end.take(end.session->feed(bytes.first(std::min(piece, bytes.size()))));
    if (had_failed)
      AGENT_CHECK(end.failure != tls::Failure::none && end.plain.size() == plain_before);
  }
}

/// Changes single bytes of the flights in both directions: pairs of distance and mask.
void disturb(TlsPair& pair, Bytes changes) {
  std::size_t skip = 0;
  const auto carry = [&](TlsEnd& from, TlsEnd& to) {
    std::string flight = std::exchange(from.outgoing, {});
    std::size_t at = skip;
    while (changes.size() >= 2 && at + std::to_integer<std::size_t>(changes[0]) < flight.size()) {
      at += std::to_integer<std::size_t>(changes[0]);
      flight[at] = static_cast<char>(flight[at] ^ std::to_integer<int>(changes[1]));
      changes = changes.subspan(2);
    }
    skip = at < flight.size() ? 0 : at - flight.size();
    feed(to, std::as_bytes(std::span(flight)), 4096);
  };
  for (int i = 0; i < 8; ++i) {
    carry(pair.client, pair.server);
    carry(pair.server, pair.client);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Peers peers;
  if (size == 0) return 0;
  const Bytes bytes = std::as_bytes(std::span(data + 1, size - 1));
  const std::size_t piece = (data[0] & 0x10) != 0 ? 1 : (data[0] & 0x20) != 0 ? 100 : 65536;
  TlsPair pair = peers.connect();
  TlsEnd& end = (data[0] & 1) != 0 ? pair.client : pair.server;
  switch (data[0] >> 1 & 3) {
    case 0:  // a stranger: never established
      feed(end, bytes, piece);
      AGENT_CHECK(!end.session->is_established() && end.plain.empty());
      break;
    case 1:  // in the middle of a handshake that began well
      pair.server.take(pair.server.session->feed(std::as_bytes(std::span(pair.client.outgoing))));
      feed(end, bytes, piece);
      AGENT_CHECK(!end.session->is_established() && end.plain.empty());
      break;
    case 2:  // after it
      AGENT_CHECK(pair.run());
      feed(end, bytes, piece);
      AGENT_CHECK(end.plain.empty());
      break;
    default:
      disturb(pair, bytes);
      break;
  }
  end.take(end.session->feed_eof());
  return 0;
}
