// Messages of the state-of-the-world protocol of xDS, as bytes. Inside discovery only.
#pragma once

#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "discovery/delta_codec.h"

namespace mooring::discovery {

/// envoy.service.discovery.v3.DiscoveryRequest. Each one says all names that are wanted.
struct SotwRequest {
  std::string type_url;
  std::vector<std::string> names{};
  std::string version{};  // of the last response that was taken; empty: there was none
  std::string nonce{};    // of the response that this answers
  std::string error{};    // why it was refused; empty: it was taken
};

/// envoy.service.discovery.v3.DiscoveryResponse.
struct SotwResponse {
  std::string version;
  /// Without removals. A resource's name is what it calls itself, empty if that cannot be read; its
  /// version is the response's, "-" where that has none.
  DeltaResponse content;
};

/// With `version` of Envoy's API in the node, as Envoy says it: SPIRE gives bundles of several
/// trust domains to nobody who does not.
[[nodiscard]] std::string encode_sotw_request(const SotwRequest& request, const NodeInfo& node);
/// What is not sound as a message is refused.
[[nodiscard]] Result<SotwResponse> decode_sotw_response(Bytes message);

}  // namespace mooring::discovery
