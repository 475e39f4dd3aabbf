#include "discovery/bootstrap_fields.h"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/escape.h"

namespace mooring::discovery {

namespace {

using Json = nlohmann::json;

// Each value says what may be there: "" is text, "A|B" one of these, 0 a number, true a flag, null
// anything; a list has one of its elements, and an object with "*" any fields.
constexpr const char* kFields = R"({
  "node": {"id": "", "cluster": "", "metadata": {"*": null}},
  "dynamicResources": {
    "adsConfig": {
      "apiType": "GRPC|DELTA_GRPC",
      "transportApiVersion": "V3",
      "setNodeOnFirstMessageOnly": true,
      "grpcServices": [{"envoyGrpc": {"clusterName": ""}, "initialMetadata": [{"key": "", "value": ""}]}]
    },
    "cdsConfig": {"ads": {}, "resourceApiVersion": "V3"},
    "ldsConfig": {"ads": {}, "resourceApiVersion": "V3"}
  },
  "staticResources": {
    "clusters": [{
      "name": "",
      "type": "STATIC|STRICT_DNS|LOGICAL_DNS",
      "connectTimeout": null,
      "http2ProtocolOptions": {},
      "typedExtensionProtocolOptions": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          "explicitHttpConfig": {"http2ProtocolOptions": {}}
        }
      },
      "loadAssignment": {
        "clusterName": "",
        "endpoints": [{
          "lbEndpoints": [{
            "endpoint": {
              "address": {"socketAddress": {"address": "", "portValue": 0}, "pipe": {"path": ""}}
            }
          }]
        }]
      },
      "transportSocket": {
        "name": "",
        "typedConfig": {
          "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
          "sni": "",
          "commonTlsContext": {
            "validationContext": {"trustedCa": {"filename": "", "inlineString": "", "inlineBytes": ""}}
          }
        }
      }
    }]
  }
})";

std::string json_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (!out.ends_with('_')) {
      out += c;
      continue;
    }
    out.pop_back();
    out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

bool is_one_of(std::string_view choices, std::string_view value) {
  return choices.empty() ||
         fmt::format("|{}|", choices).find(fmt::format("|{}|", value)) != std::string::npos;
}

class Walk {
 public:
  Json take(const Json& value, const Json& wanted, const std::string& path) {
    if (value.is_null() || wanted.is_null()) return value;
    if (wanted.is_object()) return take_object(value, wanted, path);
    if (wanted.is_array()) return take_list(value, wanted.front(), path);
    if (wanted.is_string()) {
      const auto* text = value.get_ptr<const std::string*>();
      if (text == nullptr) return complain(path, "is no text");
      if (!is_one_of(wanted.get<std::string>(), *text))
        return complain(path, "is not " + wanted.get<std::string>());
      return value;
    }
    const bool is_right = wanted.is_boolean() ? value.is_boolean() : value.is_number_unsigned();
    return is_right ? value : complain(path, wanted.is_boolean() ? "is no flag" : "is no number");
  }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  Json take_object(const Json& value, const Json& wanted, const std::string& path) {
    if (!value.is_object()) return complain(path, "is no object");
    if (wanted.contains("*")) return value;
    Json out = Json::object();
    for (const auto& [key, each] : value.items()) {
      const std::string name = json_name(key);
      const std::string inner = path.empty() ? key : fmt::format("{}.{}", path, key);
      if (!wanted.contains(name)) return complain(inner, "is not understood");
      if (out.contains(name)) return complain(inner, "is there twice");
      out[name] = take(each, wanted.at(name), inner);
    }
    return out;
  }

  Json take_list(const Json& value, const Json& wanted, const std::string& path) {
    if (!value.is_array()) return complain(path, "is no list");
    Json out = Json::array();
    for (const Json& each : value)
      out.push_back(take(each, wanted, fmt::format("{}[{}]", path, out.size())));
    return out;
  }

  Json complain(const std::string& path, std::string_view what) {
    if (problem_.empty()) {
      problem_ =
          fmt::format("{} {}", path.empty() ? "the bootstrap" : escape_peer_text(path), what);
    }
    return nullptr;
  }

  std::string problem_;
};

}  // namespace

Checked<Json> bootstrap_fields(const Json& bootstrap) {
  static const Json wanted = Json::parse(kFields);
  Walk walk;
  Json fields = walk.take(bootstrap, wanted, "");
  if (!walk.problem().empty()) return fail(Diagnostic{"", walk.problem(), ""});
  return fields;
}

}  // namespace mooring::discovery
