#include "app/sockets.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace mooring::app {

namespace {

using proxy::SocketKind;

Diagnostic cannot_listen(const SocketAddress& address, const Error& error) {
  const char* hint = "";
  if (error.detail == EADDRINUSE) hint = "another program has this port";
  if (error.detail == EACCES || error.detail == EPERM)
    hint = "ports below 1024 need CAP_NET_BIND_SERVICE";
  return {address.to_string(),
          fmt::format("cannot listen on port {}: {}", address.port, describe(error)),
          hint};
}

Result<WorkerSockets> open_one_address(const SocketAddress& address,
                                       bool transparent,
                                       SocketKind kind,
                                       const std::string& listener,
                                       const SocketNeeds& needs) {
  WorkerSockets sockets;
  for (std::size_t worker = 0; worker < needs.workers; ++worker) {
    auto fd = net::make_listener(address, {.transparent = transparent});
    if (!fd) return fail(fd.error());
    net::set_proxy_options(fd->get(), needs.keepalive);
    sockets.push_back({worker, {kind, std::move(*fd), listener}});
  }
  return sockets;
}

void append(WorkerSockets& to, WorkerSockets from) {
  for (WorkerSocket& socket : from)
    to.push_back(std::move(socket));
}

Checked<WorkerSockets> open_loopback(std::uint16_t port,
                                     bool transparent,
                                     SocketKind kind,
                                     const SocketNeeds& needs) {
  WorkerSockets all;
  for (const bool v4 : {true, false}) {
    const SocketAddress address{v4 ? IpAddress::v4_loopback() : IpAddress::v6_loopback(), port};
    auto sockets = open_one_address(address, transparent, kind, "", needs);
    if (sockets) {
      append(all, std::move(*sockets));
    } else if (v4 || !net::is_lack_of_family(sockets.error())) {
      return fail(cannot_listen(address, sockets.error()));
    }
  }
  return all;
}

}  // namespace

BoundAddresses bound_addresses(const snapshot::Resources& resources) {
  BoundAddresses addresses;
  for (const snapshot::Listener& listener : resources.listeners) {
    if (listener.bind) addresses[listener.name] = *listener.bind;
  }
  return addresses;
}

Checked<WorkerSockets> open_bound(const BoundAddresses& addresses, const SocketNeeds& needs) {
  WorkerSockets all;
  for (const auto& [listener, address] : addresses) {
    auto sockets = open_one_address(address, false, SocketKind::bound, listener, needs);
    if (!sockets) return fail(cannot_listen(address, sockets.error()));
    append(all, std::move(*sockets));
  }
  return all;
}

Checked<WorkerSockets> open_outbound(std::uint16_t port, const SocketNeeds& needs) {
  return open_loopback(port, false, SocketKind::outbound, needs);
}

Checked<WorkerSockets> open_inbound(std::uint16_t port, const SocketNeeds& needs) {
  return open_loopback(port, true, SocketKind::inbound, needs);
}

WorkerSockets sockets_from(std::vector<capture_client::Listener> listeners,
                           const SocketNeeds& needs) {
  WorkerSockets sockets;
  for (capture_client::Listener& listener : listeners) {
    const bool is_inbound = listener.info.direction == capture_client::Direction::inbound;
    if (listener.info.worker >= needs.workers) continue;
    net::set_proxy_options(listener.fd.get(), needs.keepalive);
    sockets.push_back(
        {listener.info.worker,
         {is_inbound ? SocketKind::inbound : SocketKind::outbound, std::move(listener.fd), ""}});
  }
  return sockets;
}

FromHelper ask_helper(const config::Capture& capture, const SocketNeeds& needs) {
  auto helper = capture_client::HelperConnection::open(capture.helper_socket);
  if (!helper) return {false, fail(helper.error())};
  auto listeners = helper->get_listeners(
      {static_cast<std::uint16_t>(needs.workers), capture.outbound_port, capture.inbound_port});
  if (!listeners) return {true, fail(listeners.error())};
  return {true, sockets_from(std::move(*listeners), needs)};
}

}  // namespace mooring::app
