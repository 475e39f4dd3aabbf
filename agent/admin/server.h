// The admin API on the control loop: a unix socket for the command line, and the metrics address
// for Prometheus and probes. Everything is bounded: connections, request and answer size, and the
// time for each.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "admin/routes.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/loop.h"

namespace mooring::admin {

struct ServerOptions {
  /// For a request to come in whole, and again for its answer to go out whole.
  Milliseconds deadline{10000};
  /// For each listening socket, so that scrapers cannot shut out the command line; further ones get
  /// 503.
  std::size_t max_connections = 32;
  /// On top of max_connections, for privileged clients of the unix socket.
  std::size_t reserved_connections = 8;
  /// Beside root. Default: the agent's own.
  std::vector<uid_t> privileged_uids{};
};

class Connection;

/// Loop thread only. Destruction closes all.
class Server {
 public:
  Server(Loop& loop, Handlers handlers, ServerOptions options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// A listening unix socket; see listen.h.
  void add_socket(UniqueFd listening) { add(std::move(listening), true); }
  /// A listening TCP socket that answers /ready and the metrics only.
  void add_metrics(UniqueFd listening) { add(std::move(listening), false); }
  /// A connected stream socket, whose other end has found out who asks (tls_front.h).
  void add_client(UniqueFd fd, bool is_control_plane);

  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

 private:
  friend class Connection;
  struct Listener {
    UniqueFd fd;
    bool is_unix = false;
    std::size_t open = 0;  // connections
    std::unique_ptr<PollWatch> watch;
    std::unique_ptr<Timer> resume;  // after descriptors ran out
  };

  void add(UniqueFd listening, bool is_unix);
  void accept_some(Listener& listener);
  void admit(Listener& listener, UniqueFd fd);
  [[nodiscard]] bool is_privileged(int fd) const;
  /// Takes the connection out of service; it is destroyed after the callback that led here.
  void retire(Connection& connection);
  void resume(std::uint64_t id);

  Loop& loop_;
  Handlers handlers_;
  ServerOptions options_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> retired_;
  std::size_t handed_in_ = 0;  // connections of add_client()
  std::uint64_t last_id_ = 0;
  Timer reaper_;  // empties retired_
  log::RateLimit accept_warnings_{1};
};

}  // namespace mooring::admin
