#include "app/mesh_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "admin/listen.h"
#include "admin/server.h"
#include "admin/tls_front.h"
#include "app/metric_profile.h"
#include "app/system_listener.h"
#include "core/log.h"
#include "discovery/json.h"
#include "net/http_client.h"

namespace mooring::app {

namespace {

using discovery::at;
using discovery::text_at;
using Json = nlohmann::json;
using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kMaxLabels = 32;
constexpr std::size_t kMaxText = 256;  // of a path, a name or a label

tl::unexpected<Diagnostic> broken(std::string message) {
  return fail(Diagnostic{"/meshmetric", std::move(message), ""});
}

bool is_plain(char c) {
  return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

/// Prometheus' names have no dots.
std::string label_name(std::string_view text) {
  std::string name(text);
  std::replace_if(
      name.begin(),
      name.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
      },
      '_');
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name.insert(0, "_");
  return name;
}

Checked<MeshMetricsConfig::Application> application_of(const Json& json) {
  if (!json.is_object()) return broken("applications: no object");
  MeshMetricsConfig::Application out;
  out.name = text_at(json, "name");
  out.path = text_at(json, "path");
  if (out.path.empty()) out.path = "/metrics";
  const bool is_path = out.path[0] == '/' && out.path.size() <= kMaxText &&
                       std::all_of(out.path.begin(), out.path.end(), is_plain);
  if (!is_path) return broken("applications: a path that is none");
  const Json& port = at(json, "port");
  if (!port.is_number_integer() || port < 1 || port > 65535)
    return broken("applications: a port is wanted");
  out.port = port.get<std::uint16_t>();
  if (out.name.empty()) out.name = std::to_string(out.port);
  const bool is_name =
      out.name.size() <= kMaxText && std::all_of(out.name.begin(), out.name.end(), is_plain);
  if (!is_name) return broken("applications: a name with other than plain characters");
  const std::string address = text_at(json, "address");
  if (address.empty()) return out;
  const auto ip = parse_ip(address == "localhost" ? "127.0.0.1" : address);
  if (!ip) return broken("applications: an address that is no IP address");
  out.address = *ip;
  return out;
}

Checked<Labels> labels_of(const Json& json) {
  Labels labels;
  for (const auto& [key, value] : json.items()) {
    const bool fits = value.is_string() && value.get_ref<const std::string&>().size() <= kMaxText &&
                      key.size() <= kMaxText && labels.size() < kMaxLabels;
    if (!fits) return broken("extraLabels: at most 32 short texts are wanted");
    labels.emplace_back(label_name(key), value.get<std::string>());
  }
  return labels;
}

/// `{` and what is before it of a sample with labels, or its name.
std::size_t name_end(std::string_view sample) {
  return std::min(sample.find_first_of("{ \t"), sample.size());
}

void add_sample(std::string& out, std::string_view sample, const Labels& labels) {
  const std::size_t end = name_end(sample);
  const bool has_labels = end < sample.size() && sample[end] == '{';
  const std::string_view rest = sample.substr(end + (has_labels ? 1 : 0));
  std::string added;
  for (const auto& [name, value] : labels) {
    const bool is_there = has_labels && (rest.starts_with(name + "=") ||
                                         rest.find("," + name + "=") != std::string_view::npos);
    if (is_there) continue;
    added += fmt::format("{}{}=\"", added.empty() ? "" : ",", name);
    for (const char c : value) {
      if (c == '"' || c == '\\') added += '\\';
      added += c == '\n' ? ' ' : c;
    }
    added += '"';
  }
  out += sample.substr(0, end);
  if (has_labels) {
    out += '{' + added + (added.empty() || rest.starts_with('}') ? "" : ",");
  } else if (!added.empty()) {
    out += '{' + added + '}';
  }
  out += rest;
  out += '\n';
}

/// "TYPE name" of "# TYPE name gauge"; empty: another comment.
std::string_view description(std::string_view comment) {
  if (!comment.starts_with("# TYPE ") && !comment.starts_with("# HELP ")) return {};
  const std::string_view text = comment.substr(2);
  return text.substr(0, text.find(' ', 5));
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Checked<MeshMetricsConfig> parse_mesh_metrics(std::string_view json) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object()) return broken("no JSON object");
  const Json& metrics = at(at(body, "observability"), "metrics");
  MeshMetricsConfig out;
  if (metrics.is_null()) return out;
  if (!metrics.is_object()) return broken("metrics: no object");
  const Json& applications = at(metrics, "applications");
  if (!applications.is_null() && !applications.is_array())
    return broken("applications: a list is wanted");
  if (applications.size() > kMaxMetricsApplications)
    return broken(fmt::format("applications: at most {}", kMaxMetricsApplications));
  for (const Json& each : applications) {
    auto application = application_of(each);
    if (!application) return tl::unexpected(application.error());
    out.applications.push_back(std::move(*application));
  }
  const Json& labels = at(metrics, "extraLabels");
  if (!labels.is_null() && !labels.is_object()) return broken("extraLabels: no object");
  auto read = labels_of(labels);
  if (!read) return tl::unexpected(read.error());
  out.own.labels = std::move(*read);
  const Json& sidecar = at(metrics, "sidecar");
  out.own.unused_clusters = at(sidecar, "includeUnused") == true;
  auto wants = read_metric_profile(sidecar);
  if (!wants) return tl::unexpected(wants.error());
  out.own.wants = std::move(*wants);
  return out;
}

bool add_page(std::string& out,
              std::string_view page,
              const Labels& labels,
              std::set<std::string>& described,
              std::size_t max_bytes) {
  const std::size_t before = out.size();
  while (!page.empty()) {
    const std::string_view line = take_line(page);
    if (line.starts_with('#')) {
      const std::string_view known = description(line);
      if (known.empty() || !described.insert(std::string(known)).second) continue;
      out += line;
      out += '\n';
    } else if (!line.empty()) {
      add_sample(out, line, labels);
    }
    if (out.size() > max_bytes) {
      out.resize(before);
      return false;
    }
  }
  return true;
}

/// One listener: scrapers that come while the applications are asked get the same page.
class MeshMetrics::Endpoint {
 public:
  Endpoint(MeshMetrics& owner, const discovery::SystemListener& listener, UniqueFd listening)
      : owner_(owner),
        listener_(listener),
        server_(owner.loop_, handlers()),
        done_(owner.loop_, [this] { finish(); }) {
    if (listener.tls) {
      front_ = std::make_unique<admin::TlsFront>(
          owner.loop_, owner.pool_, server_, std::move(listening), admin::PlainText::refused);
    } else {
      server_.add_metrics(std::move(listening));
    }
  }

  [[nodiscard]] bool is_of(const discovery::SystemListener& listener) const {
    return listener_.address == listener.address && listener_.path == listener.path &&
           listener_.tls.has_value() == listener.tls.has_value();
  }
  void set_tls(std::shared_ptr<const admin::TlsIdentity> identity) {
    front_->set_identity(std::move(identity));
  }

 private:
  admin::Handlers handlers() {
    admin::Handlers out;
    out.metrics_path = listener_.path;
    out.metrics = [this] { return page_; };
    out.before_metrics = [this](std::function<void()> then) { ask(std::move(then)); };
    return out;
  }

  void ask(std::function<void()> then);
  void add(std::size_t position, const std::string& name, net::HttpResult result);
  [[nodiscard]] std::string merged() const;
  void finish();

  MeshMetrics& owner_;
  const discovery::SystemListener listener_;
  std::string page_;  // while it is given out
  std::vector<std::function<void()>> waiting_;
  MeshMetricsConfig asked_;  // what is asked now
  std::vector<std::string> pages_;
  std::vector<bool> is_up_;
  std::size_t pending_ = 0;
  std::vector<std::unique_ptr<net::HttpFetch>> fetches_;
  admin::Server server_;
  std::unique_ptr<admin::TlsFront> front_;  // null: plain text
  Timer done_;                              // outside of every callback of a fetch
};

void MeshMetrics::Endpoint::ask(std::function<void()> then) {
  waiting_.push_back(std::move(then));
  if (waiting_.size() > 1) return;
  asked_ = owner_.config_;
  pending_ = asked_.applications.size();
  pages_.assign(pending_, "");
  is_up_.assign(pending_, false);
  if (pending_ == 0) return done_.start(Milliseconds(0));
  for (std::size_t i = 0; i < asked_.applications.size(); ++i) {
    const auto& application = asked_.applications[i];
    const SocketAddress address = application.address
                                      ? SocketAddress{*application.address, application.port}
                                      : owner_.sources_.application(application.port);
    net::HttpRequest request;
    request.url = fmt::format("http://{}{}", address.to_string(), application.path);
    request.headers = {"Accept: text/plain;version=0.0.4"};
    request.connect_timeout = request.timeout = kPatience;
    request.max_bytes = kMaxPageBytes;
    fetches_.push_back(std::make_unique<net::HttpFetch>(
        owner_.loop_,
        std::move(request),
        [this, i, name = application.name](net::HttpResult result) {
          add(i, name, std::move(result));
        }));
  }
}

void MeshMetrics::Endpoint::add(std::size_t position,
                                const std::string& name,
                                net::HttpResult result) {
  if (result && result->status == 200) {
    pages_[position] = std::move(result->body);
    is_up_[position] = true;
  } else {
    log::debug("metrics of application {}: {}",
               name,
               result ? fmt::format("status {}", result->status) : result.error().text);
  }
  if (--pending_ == 0) done_.start(Milliseconds(0));
}

std::string MeshMetrics::Endpoint::merged() const {
  std::string out = owner_.sources_.own(asked_.own);
  std::set<std::string> described;
  for (std::string_view rest = out; !rest.empty();) {
    const std::string_view known = description(take_line(rest));
    if (!known.empty()) described.insert(std::string(known));
  }
  std::string states;
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    Labels labels{{"application", asked_.applications[i].name}};
    labels.insert(labels.end(), asked_.own.labels.begin(), asked_.own.labels.end());
    const bool is_up = is_up_[i] && add_page(out, pages_[i], labels, described, kMaxAllBytes);
    add_sample(states, fmt::format("mooring_application_up {}", is_up ? 1 : 0), labels);
  }
  if (!states.empty()) out += "# TYPE mooring_application_up gauge\n" + states;
  return out;
}

// Who is answered may ask again at once.
void MeshMetrics::Endpoint::finish() {
  page_ = merged();
  fetches_.clear();
  pages_.clear();
  for (const auto& then : std::exchange(waiting_, {}))
    then();
  page_.clear();
}

MeshMetrics::MeshMetrics(Loop& loop, net::StreamPool& pool, Sources sources)
    : loop_(loop), pool_(pool), sources_(std::move(sources)) {}

MeshMetrics::~MeshMetrics() = default;

void MeshMetrics::set_config(const std::string& body) {
  if (std::exchange(body_, body) == body) return;
  auto config = parse_mesh_metrics(body);
  if (config) {
    config_ = std::move(*config);
  } else {
    log::error("metrics of the mesh stay as they are: {}", describe(config.error()));
  }
}

void MeshMetrics::serve(const discovery::SystemListener& listener,
                        const snapshot::Resources& resources) {
  if (!listener.address) return;
  std::unique_ptr<Endpoint>& endpoint = endpoints_[listener.name];
  if (endpoint && !endpoint->is_of(listener)) endpoint.reset();
  if (!endpoint) {
    auto fd = admin::listen_tcp(*listener.address);
    if (!fd) {
      log::error(
          "metrics cannot be had at {}: {}", listener.address->to_string(), describe(fd.error()));
      return;
    }
    endpoint = std::make_unique<Endpoint>(*this, listener, std::move(*fd));
  }
  if (!listener.tls) return;
  auto identity = make_tls_identity(listener, resources, scratch_, clock_);
  if (identity) {
    endpoint->set_tls(std::move(*identity));
  } else {
    log::error("metrics are not given by TLS: {}", describe(identity.error()));
  }
}

void MeshMetrics::keep(const std::set<std::string>& listeners) {
  std::erase_if(endpoints_, [&](const auto& each) { return !listeners.contains(each.first); });
}

}  // namespace mooring::app
