#include "discovery/delta_codec.h"

#include <nlohmann/json.hpp>

#include "xdsapi/discovery.pb.h"

namespace mooring::discovery {

namespace {

using Json = nlohmann::json;
using google::protobuf::Value;

// INVALID_ARGUMENT of google.rpc.Code.
constexpr int kInvalidArgument = 3;

void fill(const Json& json, Value& value) {
  switch (json.type()) {
    case Json::value_t::object:
      for (const auto& [name, each] : json.items())
        fill(each, (*value.mutable_struct_value()->mutable_fields())[name]);
      if (json.empty()) value.mutable_struct_value();
      return;
    case Json::value_t::array:
      for (const Json& each : json)
        fill(each, *value.mutable_list_value()->add_values());
      if (json.empty()) value.mutable_list_value();
      return;
    case Json::value_t::string:
      return value.set_string_value(json.get_ref<const std::string&>());
    case Json::value_t::boolean:
      return value.set_bool_value(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return value.set_number_value(json.get<double>());
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      return value.set_null_value(google::protobuf::NULL_VALUE);
  }
}

}  // namespace

void fill_node(const NodeInfo& info, envoy::config::core::v3::Node& node) {
  node.set_id(info.id);
  node.set_cluster(info.cluster);
  node.set_user_agent_name("mooring");
  node.set_user_agent_version(MOORING_VERSION);
  const Json metadata = Json::parse(info.metadata, nullptr, /*allow_exceptions=*/false);
  if (!metadata.is_object()) return;
  for (const auto& [name, each] : metadata.items())
    fill(each, (*node.mutable_metadata()->mutable_fields())[name]);
}

std::string encode_delta_request(const DeltaRequest& request, const NodeInfo& node) {
  envoy::service::discovery::v3::DeltaDiscoveryRequest message;
  if (request.has_node) fill_node(node, *message.mutable_node());
  message.set_type_url(request.type_url);
  for (const std::string& name : request.subscribe)
    message.add_resource_names_subscribe(name);
  for (const std::string& name : request.unsubscribe)
    message.add_resource_names_unsubscribe(name);
  for (const auto& [name, version] : request.initial_versions)
    (*message.mutable_initial_resource_versions())[name] = version;
  message.set_response_nonce(request.nonce);
  if (!request.error.empty()) {
    message.mutable_error_detail()->set_code(kInvalidArgument);
    message.mutable_error_detail()->set_message(request.error);
  }
  return message.SerializeAsString();
}

Result<DeltaResponse> decode_delta_response(Bytes bytes) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse message;
  if (bytes.size() > INT32_MAX ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Errc::bad_input, "DeltaDiscoveryResponse");
  DeltaResponse response;
  response.type_url = std::move(*message.mutable_type_url());
  response.nonce = std::move(*message.mutable_nonce());
  response.resources.reserve(static_cast<std::size_t>(message.resources_size()));
  for (auto& each : *message.mutable_resources()) {
    response.resources.push_back({std::move(*each.mutable_name()),
                                  std::move(*each.mutable_version()),
                                  std::move(*each.mutable_resource()->mutable_type_url()),
                                  std::move(*each.mutable_resource()->mutable_value())});
  }
  for (auto& each : *message.mutable_removed_resources())
    response.removed.push_back(std::move(each));
  return response;
}

}  // namespace mooring::discovery
