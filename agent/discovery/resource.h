// What the parts of discovery say of an xDS resource: its kind, and why it was not taken.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mooring::discovery {

/// In the order in which they are asked for.
enum class ResourceKind : std::uint8_t { cluster, endpoints, secret, listener };
inline constexpr std::array kResourceKinds{
    ResourceKind::cluster, ResourceKind::endpoints, ResourceKind::secret, ResourceKind::listener};

/// "cluster", for people.
[[nodiscard]] const char* to_string(ResourceKind kind) noexcept;
/// "type.googleapis.com/envoy.config.cluster.v3.Cluster".
[[nodiscard]] std::string_view type_url(ResourceKind kind) noexcept;
[[nodiscard]] std::optional<ResourceKind> kind_of(std::string_view type_url) noexcept;

/// Longest name of a resource, in bytes; a KRI has less than 300.
inline constexpr std::size_t kMaxResourceName = 2048;
/// Printable ASCII: goes into requests, logs and messages as it is.
[[nodiscard]] bool is_resource_name(std::string_view name) noexcept;

/// A resource, or a version of it, that is not served. Texts may be the peer's: escaped where they
/// are shown.
struct RejectedResource {
  ResourceKind kind = ResourceKind::listener;
  std::string name;
  std::string field;
  std::string reason;
  std::string version;

  friend bool operator==(const RejectedResource&, const RejectedResource&) = default;
};

}  // namespace mooring::discovery
