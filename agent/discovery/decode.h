// xDS resources, decoded: the bytes of an Any become value types of snapshot. Pure, any thread.
//
// Every field that arrives is acted on, is on the list of decode_fields.cc with the reason why it
// does not matter here, or makes the resource rejected. Security is never lost by silence: a filter
// or a TLS option that is not understood is not skipped.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/address.h"
#include "discovery/resource.h"
#include "snapshot/resources.h"

namespace mooring::discovery {

/// A resource's longest encoding, in bytes: a ClusterLoadAssignment of 10,000 endpoints with 300
/// bytes of metadata each has 3 MiB.
inline constexpr std::size_t kMaxResourceBytes = 8u << 20;

/// Secrets that are written inside another resource get names that begin so: nothing is asked for.
/// "inline:LISTENER/filter_chains[1].transport_socket/certificate".
inline constexpr std::string_view kInlineSecret = "inline:";
/// Secrets of another SDS server than the control plane, such as a SPIRE agent:
/// "sds:CLUSTER/NAME", where CLUSTER is a PipeCluster and has no "/".
inline constexpr std::string_view kSdsSecret = "sds:";

struct SdsName {
  std::string_view cluster;
  std::string_view name;
};
/// None: the secret is not one of another server. Views into `secret`.
[[nodiscard]] std::optional<SdsName> parse_sds_name(std::string_view secret) noexcept;

/// A listener of the control plane's own: HTTP, but not an application's. Recognised by a name that
/// is reserved and by its shape.
struct SystemListener {
  enum class Kind : std::uint8_t {
    admin,           // everybody asks "/ready", and the control plane, by `tls`, everything
    dynamic_config,  // not a socket for us but data: `bodies`
    metrics,         // serves `path`; with `tls` if that is there
  };
  std::string name;
  Kind kind = Kind::admin;
  std::optional<SocketAddress> address;  // not for dynamic_config
  std::optional<snapshot::TlsContext> tls;
  std::string path;                           // metrics
  std::map<std::string, std::string> bodies;  // dynamic_config: by path, "/dns"

  friend bool operator==(const SystemListener&, const SystemListener&) = default;
};

/// A cluster that is one unix socket: of a SPIRE agent, or of what accompanies Envoy. No connection
/// of an application goes there.
struct PipeCluster {
  std::string name;
  std::string path;

  friend bool operator==(const PipeCluster&, const PipeCluster&) = default;
};

/// Something about a field: "filter_chains[0].filters[1].typed_config.stat_prefix".
struct Note {
  std::string field;
  std::string text;

  friend bool operator==(const Note&, const Note&) = default;
};

struct Decoded {
  std::variant<snapshot::Listener,
               SystemListener,
               snapshot::Cluster,
               PipeCluster,
               snapshot::LoadAssignment,
               snapshot::Secret>
      resource;
  std::vector<snapshot::Secret> secrets;  // written inside the resource, see kInlineSecret
  std::vector<Note> warnings;             // taken, but not all of it is done

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

[[nodiscard]] const std::string& name_of(const Decoded& decoded);

/// Why a resource was not taken: for the NACK, the log and `status`. Contains no secret.
struct Rejected {
  std::string name;
  std::string field;  // may be empty: the whole
  std::string reason;

  friend bool operator==(const Rejected&, const Rejected&) = default;
};

/// "web: lb_subset_config: is not supported".
[[nodiscard]] std::string describe(const Rejected& rejected);

using DecodeResult = tl::expected<Decoded, Rejected>;

/// `type_url` is the resource's own. `name` is what the response calls it; empty: whatever it calls
/// itself. `ignored`, if given, gets the fields that are of no consequence here, with the reasons.
[[nodiscard]] DecodeResult decode(std::string_view type_url,
                                  std::string_view name,
                                  std::string_view bytes,
                                  std::vector<Note>* ignored = nullptr);

}  // namespace mooring::discovery
