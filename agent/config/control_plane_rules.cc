#include "config/control_plane_rules.h"

#include <array>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "config/formats.h"

namespace mooring::config {

namespace {

struct KeyOfOthers {
  std::string_view key;
  std::string_view hint;
};

constexpr std::string_view kWho = "who may call is a MeshTrafficPermission of the control plane";
constexpr std::array<KeyOfOthers, 8> kNamedByControlPlane{
    {{"mode", "strict or permissive is a MeshTLS of the control plane"},
     {"server_first", "whether to wait for the client is the control plane's to say"},
     {"listen", "the agent listens at port, and the application at target"},
     {"allow", kWho},
     {"deny", kWho},
     {"shadow_allow", kWho},
     {"shadow_deny", kWho},
     {"idle_timeout", "timeouts are a MeshTimeout of the control plane"}}};

constexpr std::array<KeyOfOthers, 2> kToldToControlPlane{
    {{"protocol", "without a control plane every service is TCP; remove it"},
     {"probe", "without a control plane nobody asks; remove it"}}};

class Rules {
 public:
  Rules(AgentConfig& config, const Places& places, Problems& problems)
      : config_(config), places_(places), problems_(problems) {}

  void without_control_plane() {
    for (std::size_t i = 0; i < config_.services.size(); ++i) {
      for (const KeyOfOthers& rule : kToldToControlPlane)
        refuse(i, rule, "is only used with [control_plane]");
    }
  }

  void with_control_plane(const ControlPlane& plane) {
    if (const Place* place = places_.find("identity", 0, "")) {
      problems_.add(*place,
                    "[identity] is not used with [control_plane]",
                    "the control plane names this host's identity; remove the section");
    }
    for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
      problems_.add(places_.near("upstream", i, ""),
                    "[[upstream]] is not used with [control_plane]",
                    "the control plane names what this host may call; remove the table");
    }
    for (std::size_t i = 0; i < config_.services.size(); ++i) {
      for (const KeyOfOthers& rule : kNamedByControlPlane)
        refuse(i, rule, "is not used with [control_plane]");
      check_port_name(i);
    }
    if (!config_.host.trust_domain.empty()) {
      config_.warnings.emplace_back(
          "host.trust_domain is not used: the control plane names the trust domain of this host");
    }
    check_bootstrap(plane);
    check_dataplane_file(plane);
    check_ports(plane);
  }

 private:
  void refuse(std::size_t service, const KeyOfOthers& rule, std::string_view why) {
    const Place* place = places_.find("service", service, rule.key);
    if (place == nullptr) return;
    problems_.add(*place, fmt::format("{} {}", rule.key, why), std::string(rule.hint));
  }

  void check_bootstrap(const ControlPlane& plane) {
    if (plane.bootstrap_file.empty()) return;
    if (const Place* place = places_.find("service", 0, "")) {
      problems_.add(*place,
                    "[[service]] is not used with bootstrap",
                    "the xDS server names what this host serves; remove the table");
    }
    for (const std::string_view key : {"addresses",
                                       "ca_file",
                                       "token_file",
                                       "workload",
                                       "dataplane_file",
                                       "address",
                                       "spire_socket"}) {
      const Place* place = places_.find("control_plane", 0, key);
      if (place == nullptr) continue;
      problems_.add(*place,
                    fmt::format("{} is not used with bootstrap", key),
                    "the bootstrap says who is asked, and as whom; remove it");
    }
  }

  /// It becomes the name of a port of the MeshService, and a part of host names.
  void check_port_name(std::size_t index) {
    const std::string& name = config_.services[index].name;
    if (name.empty() || is_dns_label(name)) return;
    problems_.add(places_.near("service", index, "name"),
                  fmt::format("name is {}, which is no name of a port in a mesh", quote(name)),
                  "small letters, digits and '-', a letter or digit at both ends");
  }

  void check_dataplane_file(const ControlPlane& plane) {
    if (plane.dataplane_file.empty()) return;
    const Place place = places_.near("control_plane", 0, "dataplane_file");
    if (!config_.services.empty()) {
      problems_.add(place,
                    "dataplane_file and [[service]] both say what this host serves",
                    fmt::format("keep one of them; [[service]] is at {}",
                                problems_.where(places_.near("service", 0, ""))));
    }
    if (plane.address) {
      problems_.add(places_.near("control_plane", 0, "address"),
                    "address is not used with dataplane_file",
                    "set networking.address in that file");
    }
  }

  /// The agent binds all of these; the ports of services are the capture's or the agent's own.
  void check_ports(const ControlPlane& plane) {
    struct Use {
      std::string_view section;
      std::string_view key;
      std::uint16_t port;
    };
    const std::array<Use, 6> uses{
        {{"capture", "outbound_port", config_.capture.outbound_port},
         {"capture", "inbound_port", config_.capture.inbound_port},
         {"admin",
          "metrics",
          config_.admin.metrics ? config_.admin.metrics->port : std::uint16_t{0}},
         {"control_plane", "admin_port", plane.admin_port},
         {"control_plane", "readiness_port", plane.readiness_port},
         {"control_plane", "dns_port", plane.dns_port}}};
    std::map<std::uint16_t, std::string> taken;
    for (const Service& service : config_.services)
      taken.emplace(service.port, "service " + service.name);
    for (const Use& use : uses) {
      if (use.port == 0) continue;
      const std::string name = fmt::format("{}.{}", use.section, use.key);
      const auto [other, is_free] = taken.emplace(use.port, name);
      // What two other sections have in common was reported by their own rules.
      if (is_free || use.section != "control_plane") continue;
      problems_.add(places_.near(use.section, 0, use.key),
                    fmt::format("{} {} is taken by {}", use.key, use.port, other->second),
                    "choose another port");
    }
  }

  AgentConfig& config_;
  const Places& places_;
  Problems& problems_;
};

}  // namespace

void check_control_plane(AgentConfig& config, const Places& places, Problems& problems) {
  Rules rules(config, places, problems);
  if (config.control_plane) {
    rules.with_control_plane(*config.control_plane);
  } else {
    rules.without_control_plane();
  }
}

}  // namespace mooring::config
