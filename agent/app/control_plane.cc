#include "app/control_plane.h"

#include <cstdlib>
#include <utility>

#include "admin/listen.h"
#include "app/system_listener.h"
#include "core/file.h"
#include "core/log.h"
#include "discovery/decode.h"
#include "discovery/refusing_listener.h"
#include "net/socket.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kRetryAddress{1000};
// For mooring-net's first word. A second stream of one host is refused for as long as the first
// one's end is not noticed everywhere.
constexpr Milliseconds kSettling{2000};
// Nobody has it (RFC 5737): the way there is the default route.
constexpr std::uint32_t kElsewhere = 0xc0000201;

discovery::StoreOptions store_options() {
  discovery::StoreOptions options;
  options.decode = [](discovery::ResourceKind kind, std::string_view name, std::string_view bytes) {
    return discovery::decode(discovery::type_url(kind), name, bytes);
  };
  options.refuse = discovery::make_refusing_listener;
  return options;
}

// The address that others reach this host at, where nobody has said it: of the way to the control
// plane. Its name is not looked up for that: a host comes up without a resolver, too.
Result<IpAddress> own_address(const config::ControlPlane& config) {
  if (config.address) return *config.address;
  const auto ip = parse_ip(config.addresses.front().host);
  return net::source_address({ip ? *ip : IpAddress::v4(kElsewhere), 443});
}

}  // namespace

ControlPlane::ControlPlane(Loop& loop,
                           const config::ControlPlane& config,
                           const std::vector<config::Service>& services,
                           admin::Server& server,
                           Effects effects)
    : loop_(loop),
      config_(config),
      services_(services),
      server_(server),
      effects_(std::move(effects)),
      dns_(loop, pool_, config.dns_port),
      metrics_(
          loop,
          pool_,
          {[this](const observe::PrometheusOptions& options) { return effects_.metrics(options); },
           [this](std::uint16_t port) { return application(port); }}),
      retry_(loop, [this] { connect(); }) {}

ControlPlane::~ControlPlane() = default;

Checked<Dataplane> ControlPlane::dataplane() const {
  if (!config_.dataplane_file.empty()) {
    const auto text = read_file(config_.dataplane_file, kMaxDataplaneBytes);
    if (!text) return fail({config_.dataplane_file, describe(text.error()), ""});
    return parse_dataplane(*text, config_.dataplane_file, config_);
  }
  const auto address = own_address(config_);
  if (!address) {
    return fail({"[control_plane] address",
                 "this host has no address yet: " + describe(address.error()),
                 "it is looked for every second; or say it"});
  }
  return compose_dataplane(config_, services_, *address);
}

Checked<discovery::BootstrapRequest> ControlPlane::identity(const Redirection& redirection) {
  discovery::BootstrapRequest request;
  if (!config_.bootstrap_file.empty()) {
    // Of what is kept on disk, and of status: the server is told what the bootstrap says.
    request.mesh = config_.mesh;
    request.name = config_.name;
    return request;
  }
  auto own = dataplane();
  if (!own) return fail(own.error());
  request.mesh = own->mesh;
  request.name = own->name;
  request.dataplane = own->json;
  told_ = std::move(*own);
  request.transparent_proxy = transparent_proxy_json(redirection);
  request.readiness_port = config_.readiness_port;
  request.dns_port = config_.dns_port;
  request.ipv6 = redirection.ipv6;
  request.spire_socket = config_.spire_socket;
  return request;
}

discovery::XdsOptions ControlPlane::options(discovery::BootstrapRequest identity) const {
  discovery::XdsOptions options;
  for (const config::ControlPlaneAddress& address : config_.addresses)
    options.control_planes.push_back({address.host, address.port});
  if (config_.proxy) {
    options.proxy = discovery::HttpProxy{{config_.proxy->host, config_.proxy->port},
                                         config_.proxy->credentials};
  }
  options.bootstrap_file = config_.bootstrap_file;
  options.ca_file = config_.ca_file;
  options.token_file = token_file_;
  options.identity = std::move(identity);
  options.persist_secrets = config_.persist_secrets;
  options.store = store_options();
  const auto machine = discovery::read_machine_id();
  if (machine) {
    options.machine_id = *machine;
    options.last_good_file = config_.state_dir + "/last-good";
  } else {
    log::warn("nothing is kept for a restart without the control plane: /etc/machine-id: {}",
              describe(machine.error()));
  }
  return options;
}

Checked<void> ControlPlane::start(const Redirection& redirection, bool is_settled) {
  redirection_ = redirection;
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  auto token_file = discovery::token_path(config_.token_file, credentials);
  if (!token_file) return fail(token_file.error());
  token_file_ = std::move(*token_file);
  if (!config_.dataplane_file.empty()) {
    const auto own = dataplane();
    if (!own) return fail(own.error());
  }
  is_waiting_ = !is_settled;
  if (is_settled) {
    connect();
  } else {
    retry_.start(kSettling);
  }
  return {};
}

void ControlPlane::settle() {
  if (is_waiting_) connect();
}

void ControlPlane::connect() {
  is_waiting_ = false;
  retry_.stop();
  auto own = identity(redirection_);
  if (!own) {
    const std::string text = describe(own.error());
    if (std::exchange(problem_, text) != text) log::error("{}", text);
    retry_.start(kRetryAddress);
    return;
  }
  problem_.clear();
  discovery::XdsClient::Owner& owner = *this;
  client_ = std::make_unique<discovery::XdsClient>(
      loop_, pool_, scratch_, clock_, options(std::move(*own)), owner);
  client_->start();
}

void ControlPlane::stop() {
  retry_.stop();
  if (client_) client_->stop();
}

void ControlPlane::set_redirection(const Redirection& redirection) {
  if (std::exchange(redirection_, redirection) == redirection || !client_) return;
  auto own = identity(redirection);
  if (own) {
    client_->set_identity(std::move(*own));
  } else {
    log::error("the control plane is not told what is redirected: {}", describe(own.error()));
  }
}

const snapshot::Resources& ControlPlane::resources() const noexcept {
  static const snapshot::Resources kNone;
  return client_ ? client_->store().resources() : kNone;
}

std::vector<snapshot::EndpointsChange> ControlPlane::endpoints(
    const std::set<std::string>& names) const {
  std::vector<snapshot::EndpointsChange> changes;
  changes.reserve(names.size());
  for (const std::string& name : names)
    changes.push_back({name, client_ ? client_->store().endpoints(name) : nullptr});
  return changes;
}

bool ControlPlane::is_live() const noexcept {
  return client_ && client_->state().phase == discovery::XdsPhase::live;
}

void ControlPlane::on_resources(const discovery::Store& store, const discovery::Changes& changes) {
  note_update(changes);
  // An admin listener that could not be had is tried again with every update.
  if (!changes.of(discovery::ResourceKind::listener).empty() ||
      !changes.of(discovery::ResourceKind::secret).empty() || !admin_front_) {
    std::set<std::string> metrics;
    for (const auto& [name, listener] : store.system_listeners()) {
      serve_system(listener, store.resources());
      if (listener.kind == discovery::SystemListener::Kind::metrics) metrics.insert(listener.name);
    }
    metrics_.keep(metrics);
  }
  effects_.on_resources(changes);
}

void ControlPlane::on_state(const discovery::XdsState&) {
  effects_.on_state();
}

void ControlPlane::serve_system(const discovery::SystemListener& listener,
                                const snapshot::Resources& resources) {
  switch (listener.kind) {
    case discovery::SystemListener::Kind::admin:
      return serve_admin(listener, resources);
    case discovery::SystemListener::Kind::dynamic_config:
      return serve_dynamic(listener);
    case discovery::SystemListener::Kind::metrics:
      return metrics_.serve(listener, resources);
  }
}

void ControlPlane::serve_dynamic(const discovery::SystemListener& listener) {
  if (const auto body = listener.bodies.find("/dns"); body != listener.bodies.end())
    serve_names(body->second);
  if (const auto body = listener.bodies.find("/meshmetric"); body != listener.bodies.end())
    metrics_.set_config(body->second);
}

// A Dataplane's port may be the agent's, with the application elsewhere.
SocketAddress ControlPlane::application(std::uint16_t port) const {
  if (!told_) return {IpAddress::v4_loopback(), port};
  for (const DataplaneInbound& inbound : told_->inbound) {
    if (inbound.port == port) return inbound.service;
  }
  return {told_->address, port};
}

void ControlPlane::serve_names(const std::string& body) {
  if (std::exchange(served_names_, body) == body) return;
  auto table = parse_mesh_names(body);
  if (table) {
    dns_.set_names(std::move(*table));
  } else {
    log::error("names of the mesh stay as they are: {}", describe(table.error()));
  }
}

void ControlPlane::serve_admin(const discovery::SystemListener& listener,
                               const snapshot::Resources& resources) {
  if (!listener.address || admin_listener_ == listener) return;
  const bool is_there =
      admin_front_ && admin_listener_ && admin_listener_->address == listener.address;
  if (!is_there) {
    admin_front_.reset();
    admin_listener_.reset();
    auto fd = admin::listen_tcp(*listener.address);
    if (!fd) {
      log::error("the control plane cannot inspect this host: {}: {}",
                 listener.address->to_string(),
                 describe(fd.error()));
      return;
    }
    admin_front_ = std::make_unique<admin::TlsFront>(loop_, pool_, server_, std::move(*fd));
  }
  admin_listener_ = listener;
  auto identity = make_tls_identity(listener, resources, scratch_, clock_);
  if (!identity) {
    log::error("the control plane cannot inspect this host: {}", describe(identity.error()));
    return;
  }
  admin_front_->set_identity(std::move(*identity));
}

}  // namespace mooring::app
