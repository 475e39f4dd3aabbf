// One client of the admin API: reads a request, writes its answer, then the next. Owned by Server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "admin/routes.h"
#include "core/fd.h"
#include "core/loop.h"
#include "http/h1_codec.h"

namespace mooring::admin {

class Server;

/// Longest answer; a page of 10,000 clusters has 80 MiB.
inline constexpr std::size_t kMaxAnswerBytes = 128UL * 1024 * 1024;

class Connection final : private http::H1Events {
 public:
  Connection(
      Server& server, Loop& loop, UniqueFd fd, const Client& client, std::size_t& open_count);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void stop() noexcept;
  /// The wait for the facts of an answer is over.
  void resume();

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

 private:
  enum class Phase : std::uint8_t {
    reading,    // a request
    waiting,    // for what its answer tells; nothing is read
    writing,    // its answer; no further request is read
    lingering,  // the last answer is out: what still comes in is thrown away, so that no reset
                // overtakes the answer
    closed,
  };

  void on_request(http::Request request) override;
  void on_ready(int events, int error);
  void read_some();
  void parse();
  void answer_request(const http::Request& request);
  void respond(const http::Response& response, bool keep_alive, bool head_only);
  void flush();
  void answered();
  void discard();
  void finish();

  Server& server_;  // owns this
  std::uint64_t id_;
  UniqueFd fd_;
  Client client_;
  std::size_t& open_count_;  // of the listener, which the server destroys later than this
  Phase phase_ = Phase::reading;
  http::H1Codec codec_;
  std::string in_;  // read and not yet parsed, at most one read
  std::string out_;
  std::size_t sent_ = 0;
  std::size_t discarded_ = 0;
  http::Request asked_;  // while waiting
  bool is_parsing_ = false;
  bool keep_alive_ = true;
  PollWatch watch_;
  Timer deadline_;
};

}  // namespace mooring::admin
