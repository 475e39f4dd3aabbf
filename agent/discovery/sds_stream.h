// One secret of an SDS server: a stream of state-of-the-world SDS of its own, as Envoy has it, so
// that a server which refuses one name (a SPIRE agent ends the stream then) still serves the
// others. On the control loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "discovery/backoff.h"
#include "discovery/grpc_channel.h"
#include "discovery/sotw_codec.h"

namespace mooring::discovery {

struct SdsTimes {
  Milliseconds first_answer{15000};  // then a server that is silent is told of
  Milliseconds retry_base{1000};     // doubles with every stream that gives nothing
  Milliseconds retry_cap{30000};
};

/// For `status`.
struct SdsSecretState {
  std::string name;
  std::optional<WallTime> received;  // what is served; of this run
  std::string problem;               // one sentence, with the peer's words escaped
  std::string remedy;
};

class SdsStream final : public GrpcHandler {
 public:
  /// A response with one secret, under the store's name for it. What is not taken is the result.
  using Take = std::function<std::vector<RejectedResource>(DeltaResponse response)>;
  struct Options {
    std::string cluster;
    std::string name;
    NodeInfo node;
    SdsTimes times;
    Take take;
  };

  /// Asks, and asks again when the stream ends. `channel` and `clock` outlive it.
  SdsStream(Loop& loop, GrpcChannel& channel, const Clock& clock, Options options);
  SdsStream(const SdsStream&) = delete;
  SdsStream& operator=(const SdsStream&) = delete;

  [[nodiscard]] const SdsSecretState& state() const noexcept { return state_; }

 private:
  void on_open() override;
  void on_message(Bytes message) override;
  void on_end(const http::GrpcStatus& status) override;

  void open();
  void take(SotwResponse response);
  void send(std::string error);
  void set_problem(std::string problem, std::string remedy);

  GrpcChannel& channel_;
  const Clock& clock_;
  Options options_;
  SdsSecretState state_;
  std::string version_;
  std::string nonce_;
  Backoff backoff_;
  std::unique_ptr<GrpcCall> call_;
  Timer retry_;
  Timer first_answer_;
};

}  // namespace mooring::discovery
