// The SDS servers beside the control plane, such as a SPIRE agent: a channel to each unix socket
// that secrets of the store are named after, and a stream for each secret. On the control loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "discovery/grpc_channel.h"
#include "discovery/sds_stream.h"
#include "discovery/store.h"
#include "net/stream.h"
#include "tls/session.h"

namespace mooring::discovery {

/// A Kuma MeshIdentity names one, and two secrets of it. What is more is not asked for.
inline constexpr std::size_t kMaxSdsServers = 16;
inline constexpr std::size_t kMaxSdsSecrets = 64;  // of one server

/// For `status`.
struct SdsServerState {
  std::string cluster;
  std::string path;  // empty: the control plane has named no unix socket
  bool is_connected = false;
  std::string problem;
  std::string remedy;
  std::vector<SdsSecretState> secrets;
};

class SdsClient {
 public:
  /// Everything referred to outlives the client; `pool` the loop's last turn. `take` is called from
  /// the loop, and may not call the client. `node` is who asks.
  SdsClient(Loop& loop,
            net::StreamPool& pool,
            tls::Scratch& scratch,
            const Clock& clock,
            SdsTimes times,
            SdsStream::Take take);
  ~SdsClient();
  SdsClient(const SdsClient&) = delete;
  SdsClient& operator=(const SdsClient&) = delete;

  /// Asks for exactly what the store wants now. Not in a callback of its own.
  void follow(const Store& store, const NodeInfo& node);
  void stop() { servers_.clear(); }
  /// Looks at the connections, about once a second: what is wrong with one is logged once.
  void tick();
  [[nodiscard]] std::vector<SdsServerState> state() const;

 private:
  struct Server {
    std::string path;
    std::string problem;
    std::string remedy;
    std::size_t left_out = 0;                                     // secrets beyond kMaxSdsSecrets
    std::unique_ptr<GrpcChannel> channel;                         // null: there is no path
    std::map<std::string, std::unique_ptr<SdsStream>> streams{};  // end before the channel
  };
  using Names = std::map<std::string, std::vector<std::string>>;  // by cluster

  [[nodiscard]] Server make_server(const std::string& path);
  void follow_names(const std::string& cluster,
                    Server& server,
                    const std::vector<std::string>& names,
                    const NodeInfo& node);
  void look_at(const std::string& cluster, Server& server);

  Loop& loop_;
  net::StreamPool& pool_;
  tls::Scratch& scratch_;
  const Clock& clock_;
  SdsTimes times_;
  SdsStream::Take take_;
  std::map<std::string, Server> servers_;  // by cluster
};

}  // namespace mooring::discovery
