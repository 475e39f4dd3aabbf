#include "discovery/sotw_codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>

#include "xdsapi/discovery.pb.h"

namespace mooring::discovery {

namespace {

using google::protobuf::internal::WireFormatLite;

// INVALID_ARGUMENT of google.rpc.Code.
constexpr int kInvalidArgument = 3;
// The Envoy whose messages agent/xdsapi has.
constexpr std::uint32_t kEnvoyMajor = 1;
constexpr std::uint32_t kEnvoyMinor = 40;

/// Field 1 of each of the four kinds is its name, a text.
std::string name_of_bytes(const std::string& bytes) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  const std::uint32_t wanted =
      WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  std::string name;
  for (std::uint32_t tag = in.ReadTag(); tag != 0; tag = in.ReadTag()) {
    const bool is_read =
        tag == wanted ? WireFormatLite::ReadBytes(&in, &name) : WireFormatLite::SkipField(&in, tag);
    if (!is_read) return {};
  }
  return name;
}

}  // namespace

std::string encode_sotw_request(const SotwRequest& request, const NodeInfo& node) {
  envoy::service::discovery::v3::DiscoveryRequest message;
  fill_node(node, *message.mutable_node());
  auto& version = *message.mutable_node()->mutable_user_agent_build_version()->mutable_version();
  version.set_major_number(kEnvoyMajor);
  version.set_minor_number(kEnvoyMinor);
  message.set_type_url(request.type_url);
  for (const std::string& name : request.names)
    message.add_resource_names(name);
  message.set_version_info(request.version);
  message.set_response_nonce(request.nonce);
  if (!request.error.empty()) {
    message.mutable_error_detail()->set_code(kInvalidArgument);
    message.mutable_error_detail()->set_message(request.error);
  }
  return message.SerializeAsString();
}

Result<SotwResponse> decode_sotw_response(Bytes bytes) {
  envoy::service::discovery::v3::DiscoveryResponse message;
  if (bytes.size() > INT32_MAX ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Errc::bad_input, "DiscoveryResponse");
  SotwResponse response;
  response.version = std::move(*message.mutable_version_info());
  response.content.type_url = std::move(*message.mutable_type_url());
  response.content.nonce = std::move(*message.mutable_nonce());
  response.content.resources.reserve(static_cast<std::size_t>(message.resources_size()));
  for (auto& each : *message.mutable_resources()) {
    response.content.resources.push_back({name_of_bytes(each.value()),
                                          response.version.empty() ? "-" : response.version,
                                          std::move(*each.mutable_type_url()),
                                          std::move(*each.mutable_value())});
  }
  return response;
}

}  // namespace mooring::discovery
