// gRPC to a control plane, on the control loop: one connection to one of several addresses, made
// again whenever it is lost, and bidirectional streams on it. Whatever the server does, an open
// call ends or goes on, and nothing is tried more often than the backoff says.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/loop.h"
#include "discovery/backoff.h"
#include "discovery/transport.h"
#include "http/grpc.h"
#include "http/h2_session.h"
#include "tls/session.h"

namespace mooring::discovery {

/// Fields sent with a call, made anew for each, so that a token that changed is picked up.
using Metadata = std::function<std::vector<http::Header>()>;

/// Between two questions for a sign of life to a server that is not Kuma's: one in Go ends
/// connections that are asked more often than every five minutes.
inline constexpr Milliseconds kPingRarely{330'000};

struct GrpcChannelOptions {
  std::vector<Target> targets;  // tried in turn
  std::string ca_pem;           // of the servers; not for unix sockets
  /// Look-up, and then per address: TCP, proxy and TLS; and after that until the server's SETTINGS.
  Milliseconds connect_timeout{5000};
  /// Silence of the peer after which it is asked for a sign of life, and how long that may take. A
  /// frozen process still acknowledges on TCP, so keepalive alone would not see it. Kuma's server
  /// asks itself after 15 s of silence and ends connections that ask it more often than that: a
  /// second more than its own interval, and we never ask a healthy one.
  Milliseconds ping_after{16000};
  Milliseconds ping_timeout{5000};
  /// A call whose bytes the peer does not take for so long ends; and calls that go on after GOAWAY.
  Milliseconds stall_timeout{30000};
  Milliseconds backoff_base{500};  // Envoy's two
  Milliseconds backoff_cap{30000};
  std::size_t max_message = http::kMaxGrpcMessage;
};

/// Called from the loop, never from inside a call on the channel.
class GrpcHandler {
 public:
  /// The stream is there: the first message may be sent. Until then the call waits for a
  /// connection, however long that takes.
  virtual void on_open() = 0;
  virtual void on_message(Bytes message) = 0;  // valid during the call
  /// After a send() that answered `high`: all of it is on its way.
  virtual void on_drained() {}
  /// The last event. What was not sent is lost.
  virtual void on_end(const http::GrpcStatus& status) = 0;

 protected:
  ~GrpcHandler() = default;
};

class GrpcChannel;

/// A bidirectional stream. Destruction cancels it without an event; that may be done in the
/// handler's callbacks too.
class GrpcCall {
 public:
  GrpcCall(GrpcChannel& channel, std::uint64_t id) noexcept : channel_(channel), id_(id) {}
  ~GrpcCall() { cancel(); }
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  /// Takes all of it, `high` or not; nothing happens before on_open() and after on_end(). A call
  /// that has more than max_message bytes waiting, and sends yet more, ends: so does one with a
  /// server that asks and asks and never reads the answers.
  http::Pressure send(Bytes message);
  void half_close();
  /// No event follows.
  void cancel();

 private:
  GrpcChannel& channel_;  // outlives its calls
  std::uint64_t id_;
};

struct GrpcChannelState {
  bool is_connected = false;
  std::string address;     // of the connection, or of the attempt under way
  std::string last_error;  // of the last connection that failed or was lost; ours, no secret
  std::uint64_t connects = 0;
  std::uint64_t failures = 0;
};

class GrpcChannel final : public Transport::Owner, public http::H2Events {
 public:
  /// Fails for a CA that cannot be used. `scratch` and `clock` outlive the channel, `pool` the
  /// loop's last turn.
  [[nodiscard]] static Result<std::unique_ptr<GrpcChannel>> make(Loop& loop,
                                                                 net::StreamPool& pool,
                                                                 tls::Scratch& scratch,
                                                                 const Clock& clock,
                                                                 GrpcChannelOptions options);
  GrpcChannel(Loop& loop,
              net::StreamPool& pool,
              std::unique_ptr<tls::Context> tls,
              GrpcChannelOptions options);
  ~GrpcChannel();  // not in a callback of its own
  GrpcChannel(const GrpcChannel&) = delete;
  GrpcChannel& operator=(const GrpcChannel&) = delete;

  /// Connects, and stays connected.
  void start();
  /// Orderly. Its calls are over, without an event.
  void stop();
  /// `path`: "/package.Service/Method". `handler` outlives the call.
  [[nodiscard]] std::unique_ptr<GrpcCall> open(std::string path,
                                               Metadata metadata,
                                               GrpcHandler& handler);
  [[nodiscard]] const GrpcChannelState& state() const noexcept { return state_; }

 private:
  friend class GrpcCall;
  using CallId = std::uint64_t;
  struct Call;
  enum class Phase : std::uint8_t { stopped, waiting, connecting, settling, ready, draining };

  void on_connected() override;
  void on_bytes(Bytes bytes) override;
  void on_drained() override;
  void on_failed(const std::string& why) override;

  void on_settings() override;
  void on_headers(http::StreamId stream, std::vector<http::Header> headers) override;
  void on_data(http::StreamId stream, Bytes bytes) override;
  void on_trailers(http::StreamId stream, std::vector<http::Header> trailers) override;
  void on_end(http::StreamId stream) override;
  void on_closed(http::StreamId stream, std::uint32_t error) override;
  void on_drained(http::StreamId stream) override;
  void on_goaway(std::uint32_t error, http::StreamId last_stream) override;

  http::Pressure send(CallId id, Bytes message);
  void half_close(CallId id);
  void cancel(CallId id);

  void connect();
  void lose(const std::string& why);
  void wait_before_next();
  void turn();
  void open_waiting();
  void open_call(CallId id, Call& call);
  [[nodiscard]] std::vector<http::Header> request_headers(const Call& call) const;
  void pump();
  void tick();
  void tick_calls(std::uint64_t now);
  Call* find(http::StreamId stream) noexcept;
  void end_if_over(Call& call);
  void finish(CallId id, const http::GrpcStatus& status);
  Call* retire(CallId id);  // lives until the next turn
  void drop_connection();

  Loop& loop_;
  net::StreamPool& pool_;
  std::unique_ptr<tls::Context> tls_;
  GrpcChannelOptions options_;
  Phase phase_ = Phase::stopped;
  GrpcChannelState state_;
  std::size_t target_ = 0;
  std::size_t failed_targets_ = 0;  // in a row, of this round
  bool is_useful_ = false;          // a message has come on this connection
  std::uint64_t since_ms_ = 0;      // of phase_
  std::uint64_t heard_ms_ = 0;      // last bytes of the peer
  std::uint64_t pinged_ms_ = 0;     // 0: no answer is outstanding
  Backoff backoff_;
  CallId last_call_ = 0;
  std::map<CallId, std::unique_ptr<Call>> calls_;
  std::unordered_map<http::StreamId, CallId> by_stream_;
  std::vector<CallId> overflowed_;  // end in the next turn
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<http::H2Session> session_;
  // What a callback may be inside of, until the next turn.
  std::vector<std::unique_ptr<Call>> retired_calls_;
  std::vector<std::unique_ptr<Transport>> retired_transports_;
  std::vector<std::unique_ptr<http::H2Session>> retired_sessions_;
  Timer turn_;
  Timer tick_;
  Timer retry_;
};

}  // namespace mooring::discovery
