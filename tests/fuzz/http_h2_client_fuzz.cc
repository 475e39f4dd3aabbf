// The client's end of HTTP/2 with gRPC above it: whatever the server sends, however it is cut, the
// same comes out, each stream ends once, and what we answer is bounded. The first byte says how the
// rest is cut: 0 at every byte, else into pieces of that many; the second what we do meanwhile.
#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "http/grpc.h"
#include "http/h2_session.h"

namespace {

using mooring::Bytes;
using mooring::http::GrpcReceiver;
using mooring::http::H2Events;
using mooring::http::H2Limits;
using mooring::http::H2Session;
using mooring::http::Header;
using mooring::http::StreamId;

constexpr std::size_t kMaxMessage = 4096;

class Client final : public H2Events {
 public:
  explicit Client(bool is_eager)
      : session_(H2Limits{.header_bytes = 4096}, *this), eager_(is_eager) {
    for (int i = 0; i < 2; ++i) {
      const auto stream = session_.open({{":method", "POST"}, {":path", "/a/b"}});
      AGENT_CHECK(stream.has_value());
      calls_.emplace(*stream, GrpcReceiver(kMaxMessage));
      session_.send(*stream, std::as_bytes(std::span("\0\0\0\0\5hello", 10)), i == 1);
    }
    drain();
  }

  void on_settings() override { log_ += "settings;"; }
  void on_headers(StreamId stream, std::vector<Header> headers) override {
    std::size_t bytes = 0;
    for (const Header& header : headers)
      bytes += header.name.size() + header.value.size() + 32;
    AGENT_CHECK(!headers.empty() && bytes <= 4096);
    calls_.at(stream).on_headers(headers);
  }
  void on_data(StreamId stream, Bytes bytes) override {
    calls_.at(stream).on_data(bytes, [&](Bytes message) {
      AGENT_CHECK(message.size() <= kMaxMessage);
      log_ += "message " + std::to_string(message.size()) + ";";
      return true;
    });
    session_.consume(stream, bytes.size());
  }
  void on_trailers(StreamId stream, std::vector<Header> trailers) override {
    calls_.at(stream).on_trailers(trailers);
  }
  void on_end(StreamId stream) override { calls_.at(stream).on_end(); }
  void on_closed(StreamId stream, std::uint32_t error) override {
    GrpcReceiver& call = calls_.at(stream);
    call.on_reset(error);
    const auto& status = call.status();
    AGENT_CHECK(status.has_value());
    if (status) log_ += std::to_string(stream) + " " + to_string(status->code) + ";";
    calls_.erase(stream);
  }
  void on_drained(StreamId) override {}
  void on_goaway(std::uint32_t, StreamId) override { log_ += "goaway;"; }

  void run(Bytes input, std::size_t piece) {
    while (!input.empty()) {
      const Bytes now = input.first(std::min(piece, input.size()));
      input = input.subspan(now.size());
      is_broken_ = !session_.feed(now);
      if (eager_) drain();
      if (is_broken_) break;
    }
    drain();
  }
  const std::string& log() const { return log_; }
  bool is_over() const { return is_broken_ || session_.is_finished(); }

 private:
  void drain() {
    // Acknowledgements of a hundred frames, two requests and a GOAWAY are far less.
    std::size_t sent = 0;
    for (Bytes out = session_.output(); !out.empty(); out = session_.output())
      sent += out.size();
    AGENT_CHECK(sent < std::size_t{64} * 1024);
  }

  H2Session session_;
  bool eager_;
  bool is_broken_ = false;
  std::map<StreamId, GrpcReceiver> calls_;
  std::string log_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const Bytes input = std::as_bytes(std::span(data + 2, size - 2));
  const std::size_t piece = std::max<std::size_t>(data[0], 1);
  if ((data[1] & 1U) != 0) {
    Client(true).run(input, piece);
    return 0;
  }
  Client whole(false);
  whole.run(input, input.size());
  Client cut(false);
  cut.run(input, piece);
  // A connection that is over owes its streams no more events: how many came before is chance. And
  // nghttp2 1.52 counts pieces of a CONTINUATION's frame header as so many frames, of which it
  // takes eight: cut finely, a connection may end earlier.
  const bool is_over = whole.is_over() || cut.is_over();
  AGENT_CHECK(is_over ? whole.log().starts_with(cut.log()) || cut.log().starts_with(whole.log())
                      : whole.log() == cut.log());
  return 0;
}
