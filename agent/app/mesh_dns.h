// The names of the mesh on this host: what the control plane gives, served on the loopback
// addresses. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "core/result.h"
#include "dns/server.h"
#include "net/stream.h"

namespace mooring::app {

/// Names and addresses in one table, at most.
inline constexpr std::size_t kMaxMeshNames = 100'000;
inline constexpr std::size_t kMaxAddressesOfName = 64;

/// The body of Kuma's dynamic configuration `/dns`:
/// {"records":[{"name":"web.svc.mesh.local","ips":["241.0.0.3","::ffff:f100:3"]}],"ttl":30}. Names
/// in small letters, each address once. Pure.
[[nodiscard]] Checked<dns::Table> parse_mesh_names(std::string_view json);

/// The resolvers that a file in the form of resolv.conf names, read anew when it changes; without
/// those on `own_port` of a loopback address, which would be ourselves.
class HostResolvers {
 public:
  HostResolvers(std::string file, std::uint16_t own_port)
      : file_(std::move(file)), own_port_(own_port) {}
  [[nodiscard]] const std::vector<SocketAddress>& get();

 private:
  std::string file_;
  std::uint16_t own_port_;
  std::int64_t seen_ns_ = -1;  // modification time
  std::vector<SocketAddress> resolvers_;
};

class MeshDns {
 public:
  MeshDns(Loop& loop, net::StreamPool& pool, std::uint16_t port);

  /// On 127.0.0.1, and ::1 where the host has it. Tried again with each set_names() until it
  /// works.
  void set_names(dns::Table table);
  /// Where both loopback addresses, as far as the host has them, answer names; 0: nowhere yet.
  [[nodiscard]] std::uint16_t port() const noexcept {
    return is_complete_ ? port_ : std::uint16_t{0};
  }
  /// Why names are not served; empty when they are.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  [[nodiscard]] std::size_t names() const noexcept { return server_.table().addresses.size(); }
  [[nodiscard]] const dns::Counts& counts() const noexcept { return server_.counts(); }

 private:
  void listen();

  std::uint16_t port_;
  HostResolvers resolvers_;
  dns::Server server_;
  bool is_listening_ = false;
  bool is_complete_ = false;
  std::string problem_;
};

}  // namespace mooring::app
