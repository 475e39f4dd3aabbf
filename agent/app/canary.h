// A handshake with every upstream and service, before any application's connection depends on it.
// With the identity and the expectations of the data path, from the agent's own process and user.
// Control thread; never blocks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/loop.h"
#include "net/socket.h"
#include "net/stream.h"
#include "proxy/tls_contexts.h"
#include "snapshot/snapshot.h"

namespace mooring::app {

struct CanaryResult {
  std::string target;   // "upstream db at 10.0.0.7:5432"
  std::string problem;  // empty: all is well
};

class Canary {
 public:
  static constexpr Milliseconds kLimit{5000};
  /// Of one run; further endpoints are counted, not tried.
  static constexpr std::size_t kMaxAttempts = 256;

  explicit Canary(Loop& loop);
  ~Canary();
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;

  /// `then` runs from the loop, within kLimit. A run that is under way is joined.
  void run(snapshot::SnapshotPtr snapshot, std::function<void()> then);
  /// Of the last run.
  [[nodiscard]] const std::vector<CanaryResult>& results() const noexcept { return results_; }

 private:
  class Attempt;

  void begin();
  void try_upstreams();
  void try_services();
  void try_upstream(const snapshot::Listener& listener, const std::string& name);
  void try_service(const snapshot::Listener& listener,
                   const snapshot::Transport& transport,
                   const std::string& name);
  void try_application(const std::string& cluster, const std::string& name);
  void add(std::string target, const SocketAddress& address, const snapshot::Transport& transport);
  void meet_ourselves(const snapshot::Transport& transport, const std::string& target);
  [[nodiscard]] static snapshot::Transport our_client(const snapshot::Transport& server);
  void finish_if_done();
  void end();

  Loop& loop_;
  net::StreamPool pool_;
  snapshot::SnapshotPtr snapshot_;
  proxy::TlsContexts contexts_;
  std::vector<CanaryResult> results_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::size_t pending_ = 0;
  std::size_t left_out_ = 0;
  bool is_running_ = false;
  std::vector<std::function<void()>> waiting_;
  Timer limit_;  // and the end itself, outside of every callback of a stream
};

}  // namespace mooring::app
