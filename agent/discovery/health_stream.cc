#include "discovery/health_stream.h"

#include <algorithm>
#include <utility>

#include "core/address.h"
#include "core/escape.h"
#include "core/log.h"
#include "xdsapi/health.pb.h"

namespace mooring::discovery {

namespace {

namespace health_v3 = envoy::service::health::v3;
namespace core_v3 = envoy::config::core::v3;

constexpr const char* kMethod = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck";
constexpr int kMaxClusters = 1024;
constexpr std::uint32_t kMaxThreshold = 100;
constexpr Milliseconds kShortest{100};
constexpr Milliseconds kLongest{3'600'000};
constexpr Milliseconds kRetryBase{1000};
constexpr Milliseconds kRetryCap{30000};
// The first answer comes when the first probes are done.
constexpr Milliseconds kFirstAnswer{200};

Milliseconds span_of(const google::protobuf::Duration& duration, Milliseconds usual) {
  if (duration.seconds() == 0 && duration.nanos() == 0) return usual;
  constexpr std::int64_t kMaxSeconds = 3600;
  const auto seconds = std::clamp<std::int64_t>(duration.seconds(), 0, kMaxSeconds);
  const auto nanos = std::clamp(duration.nanos(), 0, 999'999'999);
  return std::clamp(Milliseconds(seconds * 1000 + nanos / 1'000'000), kShortest, kLongest);
}

std::uint32_t threshold_of(const google::protobuf::UInt32Value& value) {
  return std::clamp<std::uint32_t>(value.value(), 1, kMaxThreshold);
}

HealthCluster decode_cluster(const health_v3::ClusterHealthCheck& message) {
  HealthCluster cluster;
  cluster.name = message.cluster_name();
  if (message.health_checks_size() == 0 || message.locality_endpoints_size() == 0 ||
      message.locality_endpoints(0).endpoints_size() == 0)
    return cluster;
  const core_v3::HealthCheck& check = message.health_checks(0);
  const auto& address = message.locality_endpoints(0).endpoints(0).address();
  // The proxy's own admin address: who answers here is ready.
  cluster.is_assumed = check.has_http_health_check() && address.has_pipe();
  const auto ip = parse_ip(address.socket_address().address());
  const std::uint32_t port = address.socket_address().port_value();
  if (!check.has_tcp_health_check() || !ip || port == 0 || port > 65535) return cluster;
  cluster.is_probed = true;
  cluster.probe = {.address = {*ip, static_cast<std::uint16_t>(port)},
                   .timeout = span_of(check.timeout(), Milliseconds(2000)),
                   .interval = span_of(check.interval(), Milliseconds(5000)),
                   .healthy_threshold = threshold_of(check.healthy_threshold()),
                   .unhealthy_threshold = threshold_of(check.unhealthy_threshold())};
  return cluster;
}

core_v3::HealthStatus status_of(Health health) {
  switch (health) {
    case Health::unknown:
      return core_v3::UNKNOWN;
    case Health::healthy:
      return core_v3::HEALTHY;
    case Health::unhealthy:
      return core_v3::UNHEALTHY;
    case Health::timed_out:
      return core_v3::TIMEOUT;
  }
  return core_v3::UNKNOWN;
}

}  // namespace

Result<HealthSpecifier> decode_health_specifier(Bytes bytes) {
  health_v3::HealthCheckSpecifier message;
  if (bytes.size() > INT32_MAX ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Errc::bad_input, "HealthCheckSpecifier");
  HealthSpecifier specifier;
  specifier.interval = span_of(message.interval(), Milliseconds(5000));
  const int count = std::min(message.cluster_health_checks_size(), kMaxClusters);
  for (int i = 0; i < count; ++i)
    specifier.clusters.push_back(decode_cluster(message.cluster_health_checks(i)));
  return specifier;
}

HealthStream::HealthStream(Loop& loop, net::StreamPool& pool)
    : loop_(loop),
      pool_(pool),
      retry_(loop, [this] { open(); }),
      answer_(loop, [this] { answer(); }) {}

void HealthStream::start(GrpcChannel& channel, Metadata metadata, NodeInfo node) {
  stop();
  channel_ = &channel;
  metadata_ = std::move(metadata);
  node_ = std::move(node);
  backoff_.reset();
  open();
}

void HealthStream::stop() {
  retry_.stop();
  answer_.stop();
  call_.reset();
  asked_.clear();
  is_open_ = false;
  channel_ = nullptr;
}

void HealthStream::open() {
  call_ = channel_->open(kMethod, metadata_, *this);
}

void HealthStream::on_open() {
  is_open_ = true;
  health_v3::HealthCheckRequestOrEndpointHealthResponse message;
  fill_node(node_, *message.mutable_health_check_request()->mutable_node());
  auto& capability = *message.mutable_health_check_request()->mutable_capability();
  capability.add_health_check_protocols(health_v3::Capability::HTTP);
  capability.add_health_check_protocols(health_v3::Capability::TCP);
  const std::string bytes = message.SerializeAsString();
  call_->send(std::as_bytes(std::span(bytes)));
}

void HealthStream::on_message(Bytes message) {
  auto specifier = decode_health_specifier(message);
  if (!specifier) {
    log::warn("control plane: the health stream sent a message that is none");
    call_.reset();
    return on_end({http::GrpcCode::internal, "no message"});
  }
  backoff_.reset();
  take(std::move(*specifier));
}

// What is asked as before goes on as before.
void HealthStream::take(HealthSpecifier specifier) {
  std::vector<Asked> before = std::exchange(asked_, {});
  for (HealthCluster& cluster : specifier.clusters) {
    const auto same = std::find_if(
        before.begin(), before.end(), [&](const Asked& each) { return each.cluster == cluster; });
    Asked asked{std::move(cluster), nullptr};
    if (same != before.end() && same->probe) {
      asked.probe = std::move(same->probe);
    } else if (asked.cluster.is_probed && is_of_this_host(asked.cluster.probe.address.ip)) {
      asked.probe = std::make_unique<HealthProbe>(loop_, pool_, asked.cluster.probe);
    }
    asked_.push_back(std::move(asked));
  }
  interval_ = specifier.interval;
  answer_.start(std::min(kFirstAnswer, interval_), interval_);
}

void HealthStream::on_end(const http::GrpcStatus& status) {
  is_open_ = false;
  answer_.stop();
  // A server that knows no health asks for none.
  if (status.code == http::GrpcCode::unimplemented) return;
  log::debug("control plane: the health stream ended: {}", escape_peer_text(status.message));
  retry_.start(backoff_.next(kRetryBase, kRetryCap));
}

std::vector<HealthStream::Result> HealthStream::results() const {
  std::vector<Result> results;
  for (const Asked& asked : asked_) {
    Health health = asked.cluster.is_assumed ? Health::healthy : Health::unknown;
    if (asked.probe) health = asked.probe->health();
    results.push_back({asked.cluster.name, health});
  }
  return results;
}

void HealthStream::answer() {
  if (!is_open_ || !call_) return;
  health_v3::HealthCheckRequestOrEndpointHealthResponse message;
  auto& response = *message.mutable_endpoint_health_response();
  for (const Result& result : results()) {
    auto& cluster = *response.add_cluster_endpoints_health();
    cluster.set_cluster_name(result.cluster);
    auto& endpoint = *cluster.add_locality_endpoints_health()->add_endpoints_health();
    endpoint.set_health_status(status_of(result.health));
  }
  const std::string bytes = message.SerializeAsString();
  call_->send(std::as_bytes(std::span(bytes)));
}

}  // namespace mooring::discovery
