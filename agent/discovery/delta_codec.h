// Messages of delta ADS, as bytes. Inside discovery only.
#pragma once

#include <string>
#include <string_view>

#include "core/buffer.h"
#include "core/result.h"
#include "discovery/delta_session.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace mooring::discovery {

/// Who this host is to a control plane.
struct NodeInfo {
  std::string id;
  std::string cluster;
  std::string metadata;  // JSON object

  friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
};

/// Metadata that is no JSON object is left out.
void fill_node(const NodeInfo& info, envoy::config::core::v3::Node& node);

[[nodiscard]] std::string encode_delta_request(const DeltaRequest& request, const NodeInfo& node);
/// What is not sound as a message is refused: a stream that says so is not to be trusted further.
[[nodiscard]] Result<DeltaResponse> decode_delta_response(Bytes message);

}  // namespace mooring::discovery
