// The listening sockets of the data path: captured ones from mooring-net or our own, and those of
// services with `listen`. One of each for each worker. Blocking; control thread, at start and at a
// reload.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capture_client/helper_connection.h"
#include "config/model.h"
#include "core/fd.h"
#include "core/result.h"
#include "net/socket.h"
#include "proxy/worker.h"
#include "snapshot/resources.h"

namespace mooring::app {

struct WorkerSocket {
  std::size_t worker = 0;
  proxy::AddSocket message;
};
using WorkerSockets = std::vector<WorkerSocket>;

struct SocketNeeds {
  std::size_t workers = 1;
  net::Keepalive keepalive;
};

/// Addresses of the listeners that have a socket of their own, by name.
using BoundAddresses = std::map<std::string, SocketAddress>;
[[nodiscard]] BoundAddresses bound_addresses(const snapshot::Resources& resources);

/// The diagnostic names the address that cannot be had.
[[nodiscard]] Checked<WorkerSockets> open_bound(const BoundAddresses& addresses,
                                                const SocketNeeds& needs);
/// 127.0.0.1 and ::1 (left out where the host lacks it).
[[nodiscard]] Checked<WorkerSockets> open_outbound(std::uint16_t port, const SocketNeeds& needs);
/// The same, transparent: fails without CAP_NET_ADMIN.
[[nodiscard]] Checked<WorkerSockets> open_inbound(std::uint16_t port, const SocketNeeds& needs);

/// What mooring-net made for us, each for its worker.
[[nodiscard]] WorkerSockets sockets_from(std::vector<capture_client::Listener> listeners,
                                         const SocketNeeds& needs);

struct FromHelper {
  bool is_reachable = false;  // else `sockets` says why
  Checked<WorkerSockets> sockets;
};
/// Both directions, from mooring-net.
[[nodiscard]] FromHelper ask_helper(const config::Capture& capture, const SocketNeeds& needs);

}  // namespace mooring::app
