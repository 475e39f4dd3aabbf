#include "config/validate.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "config/control_plane_rules.h"
#include "config/formats.h"
#include "config/overlap.h"
#include "core/spiffe_text.h"

namespace mooring::config {

namespace {

constexpr std::uint16_t kSshPort = 22;

struct Check {
  AgentConfig& config;
  const Places& places;
  Problems& problems;

  void warn(std::string text) const { config.warnings.push_back(std::move(text)); }
  /// "service db (agent.toml:12:1)".
  [[nodiscard]] std::string other(std::string_view section,
                                  std::size_t index,
                                  std::string_view name) const {
    return fmt::format(
        "{} {} ({})", section, name, problems.where(places.near(section, index, "")));
  }
};

template <class Element>
void check_names(const Check& check,
                 std::string_view section,
                 const std::vector<Element>& elements) {
  std::map<std::string_view, std::size_t> first;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (elements[i].name.empty()) continue;
    const auto [before, is_new] = first.try_emplace(elements[i].name, i);
    if (is_new) continue;
    check.problems.add(
        check.places.near(section, i, "name"),
        fmt::format("two {}s are named {}", section, quote(elements[i].name)),
        fmt::format("the other one is at {}",
                    check.problems.where(check.places.near(section, before->second, "name"))));
  }
}

void check_service_ports(const Check& check) {
  const auto& services = check.config.services;
  const Capture& capture = check.config.capture;
  std::map<std::uint16_t, std::size_t> first;
  for (std::size_t i = 0; i < services.size(); ++i) {
    const std::uint16_t port = services[i].port;
    if (port == 0) continue;  // was reported where it was read
    const Place place = check.places.near("service", i, "port");
    if (const auto [before, is_new] = first.try_emplace(port, i); !is_new) {
      check.problems.add(place,
                         fmt::format("port {} belongs to two services", port),
                         "the other one is " +
                             check.other("service", before->second, services[before->second].name));
    }
    if (port == kSshPort) {
      check.problems.add(place,
                         "port 22 is never captured, so that nobody is locked out",
                         "let sshd do its own encryption");
    }
    if (port == capture.inbound_port || port == capture.outbound_port) {
      check.problems.add(place,
                         fmt::format("port {} is the agent's own capture port", port),
                         "change capture.inbound_port or capture.outbound_port");
    }
  }
}

bool is_same_socket(const SocketAddress& a, const SocketAddress& b) {
  if (a.port != b.port) return false;
  return a.ip == b.ip || a.ip.is_unspecified() || b.ip.is_unspecified();
}

/// Everything that the agent would bind, against one service's listen address.
void check_listen(const Check& check, std::size_t index, const SocketAddress& listen) {
  const AgentConfig& config = check.config;
  const Service& service = config.services[index];
  const Place place = check.places.near("service", index, "listen");
  if (!service.target) {
    check.problems.add(place,
                       "listen needs target",
                       "name the application's own address: target = \"10.0.0.5:5432\"");
  } else if (is_same_socket(*service.target, listen)) {
    check.problems.add(place,
                       "listen and target are the same, so the agent would call itself",
                       "give the application another port or address");
  }
  if (config.admin.metrics && is_same_socket(listen, *config.admin.metrics)) {
    check.problems.add(place, "listen is taken by admin.metrics", "choose another port");
  }
  if (listen.port == config.capture.inbound_port || listen.port == config.capture.outbound_port) {
    check.problems.add(
        place,
        fmt::format("listen uses port {}, the agent's own capture port", listen.port),
        "choose another port");
  }
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const Service& other = config.services[i];
    if (i == index) continue;
    const bool is_bound_twice = i < index && other.listen && is_same_socket(listen, *other.listen);
    const bool is_captured = !other.listen && other.port == listen.port;
    if (is_bound_twice || is_captured) {
      check.problems.add(place,
                         fmt::format("listen {} is taken", listen.to_string()),
                         "by " + check.other("service", i, other.name));
    }
  }
}

void check_services(const Check& check) {
  for (std::size_t i = 0; i < check.config.services.size(); ++i) {
    const Service& service = check.config.services[i];
    if (service.listen) check_listen(check, i, *service.listen);
    if (service.target && (service.target->port == check.config.capture.inbound_port ||
                           service.target->port == check.config.capture.outbound_port)) {
      check.problems.add(check.places.near("service", i, "target"),
                         "target is the agent's own capture port",
                         "name the port that the application listens on");
    }
    if (service.target && service.target->ip.is_unspecified()) {
      check.problems.add(check.places.near("service", i, "target"),
                         "target is no address to connect to",
                         "write \"host\" for the address that the client dialled");
    }
    if (service.target && service.target->ip.is_loopback()) {
      check.warn(
          fmt::format("service {}: target {} is loopback, and applications trust loopback: "
                      "pg_hba.conf lines with trust, MySQL's "
                      "root@localhost, Tomcat's RemoteAddrValve and Redis' protected mode may let "
                      "in whoever may call",
                      service.name,
                      service.target->to_string()));
    }
    if (service.mode == TlsMode::strict && service.allow.empty() && !check.config.control_plane) {
      check.warn(fmt::format("service {}: strict and without allow, so every call is denied",
                             service.name));
    }
  }
}

void check_trust_domains(const Check& check) {
  const AgentConfig& config = check.config;
  std::set<std::string_view> known{config.host.trust_domain};
  if (config.identity) {
    for (const FederatedBundle& bundle : config.identity->federated) {
      if (!known.insert(bundle.trust_domain).second) {
        check.problems.add(
            check.places.near("identity.federated", 0, bundle.trust_domain),
            fmt::format("{} is the host's own trust domain", quote(bundle.trust_domain)),
            "its anchors are in identity.bundle");
      }
    }
  }
  std::set<std::tuple<std::string, std::string>> warned;
  const auto look = [&](std::string where, const std::vector<SpiffePattern>& patterns) {
    for (const SpiffePattern& pattern : patterns) {
      const std::string_view domain = spiffe_trust_domain(pattern.text);
      if (known.contains(domain) || !warned.emplace(where, domain).second) continue;
      check.warn(fmt::format(
          "{}: there is no bundle for trust domain {}, so nobody from it is believed; add it to "
          "[identity.federated]",
          where,
          domain));
    }
  };
  for (const Service& service : config.services) {
    look("service " + service.name, service.allow);
    look("service " + service.name, service.shadow_allow);
  }
  for (const Upstream& upstream : config.upstreams)
    look("upstream " + upstream.name, upstream.spiffe_ids);
}

void check_upstreams(const Check& check) {
  for (std::size_t i = 0; i < check.config.upstreams.size(); ++i) {
    const Upstream& upstream = check.config.upstreams[i];
    for (const Destination& destination : upstream.addresses) {
      if (!destination.prefix || !destination.prefix->base.is_loopback()) continue;
      const std::string text =
          fmt::format("{} is loopback, which is never captured", destination.prefix->to_string());
      if (check.config.capture.enabled) {
        check.problems.add(check.places.near("upstream", i, "addresses"),
                           text,
                           "name the address that the applications dial on the network");
      } else {
        check.warn(fmt::format("upstream {}: {}", upstream.name, text));
      }
    }
  }
  for (const Overlap& overlap : find_overlaps(check.config.upstreams)) {
    const Upstream& other = check.config.upstreams[overlap.first];
    check.problems.add(
        check.places.near("upstream", overlap.second, "addresses"),
        fmt::format("{} port {} belongs to two upstreams", overlap.destination, overlap.port),
        "the other one is " + check.other("upstream", overlap.first, other.name));
  }
}

void check_capture(const Check& check) {
  const Capture& capture = check.config.capture;
  if (capture.inbound_port == capture.outbound_port) {
    check.problems.add(check.places.near("capture", 0, "inbound_port"),
                       "inbound_port and outbound_port are the same",
                       "the agent needs two ports");
  }
  const auto& metrics = check.config.admin.metrics;
  if (metrics &&
      (metrics->port == capture.inbound_port || metrics->port == capture.outbound_port)) {
    check.problems.add(check.places.near("admin", 0, "metrics"),
                       "metrics uses the agent's own capture port",
                       "choose another port");
  }
  if (metrics) {
    for (std::size_t i = 0; i < check.config.services.size(); ++i) {
      const Service& service = check.config.services[i];
      if (service.listen || service.port != metrics->port) continue;
      check.problems.add(check.places.near("admin", 0, "metrics"),
                         fmt::format("metrics uses port {}, which is captured", metrics->port),
                         "by " + check.other("service", i, service.name));
    }
  }
  if (capture.strict_on_agent_death == OnAgentDeath::open) {
    check.warn(
        "capture.on_agent_death: strict services are open while the agent is gone: they can then "
        "be called "
        "without mutual TLS and authorization");
  }
}

void check_tls(const Check& check) {
  const Tls& tls = check.config.tls;
  const bool has_tls13 =
      std::any_of(tls.ciphers.begin(), tls.ciphers.end(), [](const std::string& name) {
        return name.find("_WITH_") == std::string::npos;
      });
  if (tls.min_version == TlsVersion::tls13 && !tls.ciphers.empty() && !has_tls13) {
    check.problems.add(check.places.near("tls", 0, "ciphers"),
                       "ciphers has no suite of TLS 1.3, and min_version is 1.3",
                       "add TLS_AES_128_GCM_SHA256");
  }
}

void check_logs(const Check& check) {
  const Logging& logging = check.config.logging;
  if (!logging.access_log_template.empty() && logging.access_log_format == LogFormat::json) {
    check.problems.add(check.places.near("access_log", 0, "template"),
                       "template is not used by format = \"json\"",
                       "write format = \"text\"");
  }
}

}  // namespace

void validate(AgentConfig& config, const Places& places, Problems& problems) {
  const Check check{config, places, problems};
  check_names(check, "service", config.services);
  check_names(check, "upstream", config.upstreams);
  check_service_ports(check);
  check_services(check);
  check_upstreams(check);
  check_trust_domains(check);
  check_capture(check);
  check_tls(check);
  check_logs(check);
  check_control_plane(config, places, problems);
}

}  // namespace mooring::config
