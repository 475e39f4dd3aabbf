// A Dataplane that an admin wrote, for kuma-dp or for Mooring, as YAML or JSON.
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/dataplane.h"
#include "config/formats.h"
#include "discovery/json.h"
#include "discovery/yaml.h"

namespace mooring::app {

namespace {

using Json = nlohmann::json;
using config::quote;
using discovery::at;
using discovery::text_at;

Checked<Json> read_yaml(std::string_view text, const std::string& path) {
  if (text.size() > kMaxDataplaneBytes)
    return fail(Diagnostic{path, fmt::format("is larger than {} bytes", kMaxDataplaneBytes), ""});
  auto json = discovery::parse_yaml(text);
  if (json) return std::move(*json);
  Diagnostic problem = json.error();
  problem.path = problem.path.empty() ? path : fmt::format("{}:{}", path, problem.path);
  return fail(std::move(problem));
}

class Reader {
 public:
  Reader(Json json, const std::string& path) : json_(std::move(json)), path_(path) {}

  Checked<Dataplane> read(const config::ControlPlane& expected) {
    if (!json_.is_object() || text_at(json_, "type") != "Dataplane") {
      return fail(Diagnostic{path_, "is no Dataplane", "the file begins with type: Dataplane"});
    }
    Dataplane dataplane;
    dataplane.mesh = agree("mesh", expected.mesh);
    dataplane.name = agree("name", expected.name);
    dataplane.workload = workload(expected.workload);
    networking(dataplane);
    if (problem_) return fail(*problem_);
    dataplane.json = json_.dump(-1, ' ', false, Json::error_handler_t::replace);
    return dataplane;
  }

 private:
  void complain(std::string message, std::string hint) {
    if (!problem_) problem_ = Diagnostic{path_, std::move(message), std::move(hint)};
  }

  /// The file's value, or the expected one where the file has none: both is a contradiction.
  std::string agree(const char* key, const std::string& expected) {
    const std::string own = text_at(json_, key);
    if (own.empty() && expected.empty()) complain(fmt::format("has no {}", key), "add it");
    if (own.empty()) json_[key] = expected;
    if (!own.empty() && !expected.empty() && own != expected) {
      complain(
          fmt::format("{} is {}, and the configuration says {}", key, quote(own), quote(expected)),
          "make them the same, or leave it out of the file");
    }
    return own.empty() ? expected : own;
  }

  std::string workload(const std::string& expected) {
    const std::string key(kWorkloadLabel);
    const std::string own = text_at(at(json_, "labels"), key.c_str());
    if (own.empty() && !expected.empty()) json_["labels"][key] = expected;
    if (!own.empty() && !expected.empty() && own != expected) {
      complain(
          fmt::format(
              "label {} is {}, and the configuration says {}", key, quote(own), quote(expected)),
          "make them the same, or leave the label out of the file");
    }
    return own.empty() ? expected : own;
  }

  void networking(Dataplane& dataplane) {
    const Json& networking = at(json_, "networking");
    const std::string address = text_at(networking, "address");
    const auto ip = parse_ip(address);
    if (!ip || ip->is_loopback() || ip->is_unspecified()) {
      complain(fmt::format("networking.address is {}, which is no address that other hosts reach",
                           quote(address)),
               "write the address of this host");
      return;
    }
    dataplane.address = *ip;
    if (!at(networking, "listeners").empty()) {
      complain("networking.listeners make it a zone proxy",
               "Mooring serves the applications of a host; zone proxies stay with Kuma's own");
    }
    dataplane.has_outbounds = !at(networking, "outbound").empty();
    const Json& list = at(networking, "inbound");
    if (!list.is_array()) return;
    for (std::size_t i = 0; i < list.size(); ++i)
      inbound(list[i], i, dataplane);
  }

  void inbound(const Json& entry, std::size_t index, Dataplane& dataplane) {
    const auto port = port_at(entry, "port", 0);
    const auto service_port = port_at(entry, "servicePort", port.value_or(0));
    const std::string address = text_at(entry, "serviceAddress");
    const auto ip = address.empty() ? Result<IpAddress>(dataplane.address) : parse_ip(address);
    if (!port || *port == 0 || !service_port || !ip) {
      complain(fmt::format("networking.inbound[{}] has no {}",
                           index,
                           !port || *port == 0 ? "port between 1 and 65535"
                           : !service_port     ? "servicePort between 1 and 65535"
                                               : "serviceAddress that is an address"),
               "");
      return;
    }
    std::string protocol = text_at(entry, "protocol");
    if (protocol.empty()) protocol = "tcp";
    dataplane.inbound.push_back(
        {text_at(entry, "name"), *port, {*ip, *service_port}, std::move(protocol)});
  }

  static std::optional<std::uint16_t> port_at(const Json& entry,
                                              const char* key,
                                              std::uint16_t otherwise) {
    const Json& value = at(entry, key);
    if (value.is_null()) return otherwise;
    if (!value.is_number_integer()) return std::nullopt;
    const auto number = value.get<std::int64_t>();
    if (number < 0 || number > 65535) return std::nullopt;
    return number == 0 ? otherwise : static_cast<std::uint16_t>(number);
  }

  Json json_;
  const std::string& path_;
  std::optional<Diagnostic> problem_;
};

}  // namespace

Checked<Dataplane> parse_dataplane(std::string_view text,
                                   const std::string& path,
                                   const config::ControlPlane& control_plane) {
  auto json = read_yaml(text, path);
  if (!json) return fail(json.error());
  return Reader(std::move(*json), path).read(control_plane);
}

}  // namespace mooring::app
