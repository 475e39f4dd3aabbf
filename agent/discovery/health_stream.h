// Health discovery as Kuma asks it (envoy.service.health.v3): which applications of this host are
// to be probed, and the answers, at the interval that it wants. A stream of its own beside ADS, on
// the same channel; without it everything else goes on. On the control loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/loop.h"
#include "discovery/backoff.h"
#include "discovery/delta_codec.h"
#include "discovery/grpc_channel.h"
#include "discovery/health_probe.h"

namespace mooring::discovery {

/// One cluster that is asked about ("localhost:8080"). Kuma takes its port from the name.
struct HealthCluster {
  std::string name;
  ProbeOptions probe;       // where `is_probed`
  bool is_probed = false;   // by connecting; else it is...
  bool is_assumed = false;  // ...taken for healthy, as this agent itself, or unknown

  friend bool operator==(const HealthCluster&, const HealthCluster&) = default;
};

struct HealthSpecifier {
  std::vector<HealthCluster> clusters;
  Milliseconds interval{5000};

  friend bool operator==(const HealthSpecifier&, const HealthSpecifier&) = default;
};

/// Fails for what is no message. Kept within bounds: at most 1,024 clusters, spans from 100 ms to
/// an hour, thresholds from 1 to 100. The first endpoint of a cluster counts, and its first check.
[[nodiscard]] Result<HealthSpecifier> decode_health_specifier(Bytes message);

class HealthStream final : public GrpcHandler {
 public:
  HealthStream(Loop& loop, net::StreamPool& pool);
  ~HealthStream() { stop(); }
  HealthStream(const HealthStream&) = delete;
  HealthStream& operator=(const HealthStream&) = delete;

  /// Asks, and asks again when the stream ends. `channel` outlives it or stop().
  void start(GrpcChannel& channel, Metadata metadata, NodeInfo node);
  void stop();

  struct Result {
    std::string cluster;
    Health health = Health::unknown;
  };
  [[nodiscard]] std::vector<Result> results() const;

 private:
  void on_open() override;
  void on_message(Bytes message) override;
  void on_end(const http::GrpcStatus& status) override;

  void open();
  void take(HealthSpecifier specifier);
  void answer();

  struct Asked {
    HealthCluster cluster;
    std::unique_ptr<HealthProbe> probe;  // null: none is made
  };

  Loop& loop_;
  net::StreamPool& pool_;
  GrpcChannel* channel_ = nullptr;  // see start()
  Metadata metadata_;
  NodeInfo node_;
  std::unique_ptr<GrpcCall> call_;
  std::vector<Asked> asked_;
  Milliseconds interval_{0};
  bool is_open_ = false;
  Backoff backoff_;
  Timer retry_;
  Timer answer_;
};

}  // namespace mooring::discovery
