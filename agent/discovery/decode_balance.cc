// What a cluster says about choosing among its endpoints: envoy.config.cluster.v3, and health
// checks of envoy.config.core.v3.
#include <cmath>

#include "core/ascii.h"
#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

namespace pb = google::protobuf;

constexpr std::uint64_t kMaxRingSize = 8u << 20;          // Envoy's
constexpr std::uint64_t kMaxMaglevTableSize = 5'000'011;  // Envoy's
constexpr std::size_t kMaxPayloadBytes = 4096;
constexpr int kMaxPayloads = 16;
constexpr int kMaxHealthChecks = 16;

bool is_prime(std::uint64_t number) {
  if (number < 2) return false;
  for (std::uint64_t i = 2; i * i <= number; ++i) {
    if (number % i == 0) return false;
  }
  return true;
}

std::uint64_t read_u64(Reader& reader,
                       std::string_view field,
                       const pb::UInt64Value& value,
                       std::uint64_t max) {
  const In in(reader, field, value);
  if (value.value() == 0 || value.value() > max)
    reader.reject("", "is not between 1 and " + std::to_string(max));
  return value.value();
}

void decode_ring(Reader& reader,
                 const cluster_v3::Cluster::RingHashLbConfig& message,
                 snapshot::LoadBalancing& out) {
  const In in(reader, "ring_hash_lb_config", message);
  if (message.has_minimum_ring_size()) {
    out.minimum_ring_size =
        read_u64(reader, "minimum_ring_size", message.minimum_ring_size(), kMaxRingSize);
  }
  if (message.has_maximum_ring_size()) {
    out.maximum_ring_size =
        read_u64(reader, "maximum_ring_size", message.maximum_ring_size(), kMaxRingSize);
  }
  if (out.minimum_ring_size > out.maximum_ring_size)
    reader.reject("minimum_ring_size", "is above the maximum");
  switch (message.hash_function()) {
    case cluster_v3::Cluster::RingHashLbConfig::XX_HASH:
      break;
    case cluster_v3::Cluster::RingHashLbConfig::MURMUR_HASH_2:
      out.murmur_hash = true;
      break;
    default:
      reader.reject("hash_function", "is not known to this agent");
  }
}

void decode_least_request(Reader& reader,
                          const cluster_v3::Cluster::LeastRequestLbConfig& message,
                          snapshot::LoadBalancing& out) {
  const In in(reader, "least_request_lb_config", message);
  if (message.has_choice_count())
    out.choice_count = read_u32(reader, "choice_count", message.choice_count(), 2);
  if (!message.has_active_request_bias()) return;
  const In bias(reader, "active_request_bias", message.active_request_bias());
  out.active_request_bias = message.active_request_bias().default_value();
  if (!std::isfinite(out.active_request_bias) || out.active_request_bias < 0)
    reader.reject("default_value", "is negative or no number");
}

/// Of the policy in force; one for another policy has no effect, as in Envoy.
void decode_policy_config(Reader& reader,
                          const cluster_v3::Cluster& message,
                          snapshot::LoadBalancing& out) {
  switch (message.lb_config_case()) {
    case cluster_v3::Cluster::kRingHashLbConfig:
      return decode_ring(reader, message.ring_hash_lb_config(), out);
    case cluster_v3::Cluster::kLeastRequestLbConfig:
      return decode_least_request(reader, message.least_request_lb_config(), out);
    case cluster_v3::Cluster::kMaglevLbConfig: {
      const auto& maglev = message.maglev_lb_config();
      const In in(reader, "maglev_lb_config", maglev);
      if (!maglev.has_table_size()) return;
      out.maglev_table_size =
          read_u64(reader, "table_size", maglev.table_size(), kMaxMaglevTableSize);
      if (!is_prime(out.maglev_table_size)) reader.reject("table_size", "is no prime number");
      return;
    }
    case cluster_v3::Cluster::LB_CONFIG_NOT_SET:
      return;
  }
}

snapshot::LbPolicy decode_policy(Reader& reader, const cluster_v3::Cluster& message) {
  using snapshot::LbPolicy;
  switch (message.lb_policy()) {
    case cluster_v3::Cluster::ROUND_ROBIN:
      return LbPolicy::round_robin;
    case cluster_v3::Cluster::LEAST_REQUEST:
      return LbPolicy::least_request;
    case cluster_v3::Cluster::RING_HASH:
      return LbPolicy::ring_hash;
    case cluster_v3::Cluster::RANDOM:
      return LbPolicy::random;
    case cluster_v3::Cluster::MAGLEV:
      return LbPolicy::maglev;
    case cluster_v3::Cluster::CLUSTER_PROVIDED:
      if (message.type() == cluster_v3::Cluster::ORIGINAL_DST) return LbPolicy::round_robin;
      break;
    default:
      break;
  }
  reader.reject("lb_policy", "is not supported");
  return LbPolicy::round_robin;
}

}  // namespace

snapshot::LoadBalancing decode_load_balancing(Reader& reader, const cluster_v3::Cluster& message) {
  snapshot::LoadBalancing out;
  out.policy = decode_policy(reader, message);
  decode_policy_config(reader, message, out);
  if (!message.has_common_lb_config()) return out;
  const auto& common = message.common_lb_config();
  const In in(reader, "common_lb_config", common);
  if (common.has_healthy_panic_threshold()) {
    const In threshold(reader, "healthy_panic_threshold", common.healthy_panic_threshold());
    out.panic_threshold_percent = common.healthy_panic_threshold().value();
    if (!(out.panic_threshold_percent >= 0 && out.panic_threshold_percent <= 100))
      reader.reject("value", "is not between 0 and 100");
  }
  if (common.has_zone_aware_lb_config()) {
    const In zone(reader, "zone_aware_lb_config", common.zone_aware_lb_config());
    out.fail_traffic_on_panic = common.zone_aware_lb_config().fail_traffic_on_panic();
  }
  if (common.has_locality_weighted_lb_config()) {
    const In locality(reader, "locality_weighted_lb_config", common.locality_weighted_lb_config());
    out.locality_weighted = true;
  }
  return out;
}

namespace {

using Detection = cluster_v3::OutlierDetection;

/// A field of OutlierDetection: where it is, and where it goes.
struct DetectionNumber {
  const char* name;
  bool (Detection::*has)() const;
  const pb::UInt32Value& (Detection::*get)() const;
  std::uint32_t snapshot::OutlierDetection::* out;
  bool is_percent;
};

#define MOORING_NUMBER(field, is_percent)                                                   \
  DetectionNumber {                                                                         \
    #field, &Detection::has_##field, &Detection::field, &snapshot::OutlierDetection::field, \
        is_percent                                                                          \
  }
constexpr DetectionNumber kDetectionNumbers[] = {
    MOORING_NUMBER(max_ejection_percent, true),
    MOORING_NUMBER(consecutive_5xx, false),
    MOORING_NUMBER(enforcing_consecutive_5xx, true),
    MOORING_NUMBER(consecutive_gateway_failure, false),
    MOORING_NUMBER(enforcing_consecutive_gateway_failure, true),
    MOORING_NUMBER(consecutive_local_origin_failure, false),
    MOORING_NUMBER(enforcing_consecutive_local_origin_failure, true),
    MOORING_NUMBER(success_rate_minimum_hosts, false),
    MOORING_NUMBER(success_rate_request_volume, false),
    MOORING_NUMBER(success_rate_stdev_factor, false),
    MOORING_NUMBER(enforcing_success_rate, true),
    MOORING_NUMBER(enforcing_local_origin_success_rate, true),
    MOORING_NUMBER(failure_percentage_threshold, true),
    MOORING_NUMBER(failure_percentage_minimum_hosts, false),
    MOORING_NUMBER(failure_percentage_request_volume, false),
    MOORING_NUMBER(enforcing_failure_percentage, true),
    MOORING_NUMBER(enforcing_failure_percentage_local_origin, true),
};
#undef MOORING_NUMBER

Milliseconds read_positive(Reader& reader, std::string_view field, const pb::Duration& duration) {
  const Milliseconds out = read_duration(reader, field, duration);
  if (out == Milliseconds(0)) reader.reject(field, "is 0");
  return out;
}

}  // namespace

snapshot::OutlierDetection decode_outlier_detection(Reader& reader, const Detection& message) {
  snapshot::OutlierDetection out;
  const In in(reader, "outlier_detection", message);
  for (const DetectionNumber& number : kDetectionNumbers) {
    if (!(message.*number.has)()) continue;
    const std::uint32_t max = number.is_percent ? 100 : std::numeric_limits<std::uint32_t>::max();
    out.*number.out = read_u32(reader, number.name, (message.*number.get)(), 0, max);
  }
  out.split_external_local_origin_errors = message.split_external_local_origin_errors();
  if (message.has_interval()) out.interval = read_positive(reader, "interval", message.interval());
  if (message.has_base_ejection_time()) {
    out.base_ejection_time =
        read_positive(reader, "base_ejection_time", message.base_ejection_time());
  }
  out.max_ejection_time = std::max(out.max_ejection_time, out.base_ejection_time);
  if (message.has_max_ejection_time()) {
    out.max_ejection_time = read_positive(reader, "max_ejection_time", message.max_ejection_time());
    if (out.max_ejection_time < out.base_ejection_time)
      reader.reject("max_ejection_time", "is below base_ejection_time");
  }
  return out;
}

// ---- health checks

namespace {

std::string decode_hex(Reader& reader, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    if (high < 0 || low < 0) {
      reader.reject("text", "is no hexadecimal text");
      return {};
    }
    out += static_cast<char>(high << 4 | low);
  }
  if (out.empty()) reader.reject("text", "is empty");
  return out;
}

std::string decode_payload(Reader& reader, const core_v3::HealthCheck::Payload& message) {
  if (message.payload_case() == core_v3::HealthCheck::Payload::kText)
    return decode_hex(reader, read_text(reader, "text", message.text(), 2 * kMaxPayloadBytes));
  if (message.payload_case() != core_v3::HealthCheck::Payload::kBinary)
    reader.reject("", "has no content");
  return read_text(reader, "binary", message.binary(), kMaxPayloadBytes);
}

void decode_tcp(Reader& reader,
                const core_v3::HealthCheck::TcpHealthCheck& message,
                snapshot::HealthCheck& out) {
  const In in(reader, "tcp_health_check", message);
  if (message.has_send()) {
    const In send(reader, "send", message.send());
    out.send = decode_payload(reader, message.send());
  }
  if (!reader.within("receive", message.receive_size(), kMaxPayloads)) return;
  for (int i = 0; i < message.receive_size(); ++i) {
    const In receive(reader, "receive", i, message.receive(i));
    out.receive.push_back(decode_payload(reader, message.receive(i)));
  }
}

snapshot::HealthCheck decode_health_check(Reader& reader, const core_v3::HealthCheck& message) {
  snapshot::HealthCheck out;
  out.timeout = read_positive(reader, "timeout", message.timeout());
  out.interval = read_positive(reader, "interval", message.interval());
  if (message.has_initial_jitter())
    out.initial_jitter = read_duration(reader, "initial_jitter", message.initial_jitter());
  if (message.has_interval_jitter())
    out.interval_jitter = read_duration(reader, "interval_jitter", message.interval_jitter());
  out.interval_jitter_percent = message.interval_jitter_percent();
  if (out.interval_jitter_percent > 100) reader.reject("interval_jitter_percent", "is above 100");
  if (message.has_no_traffic_interval()) {
    out.no_traffic_interval =
        read_positive(reader, "no_traffic_interval", message.no_traffic_interval());
  }
  if (message.has_unhealthy_threshold()) {
    out.unhealthy_threshold =
        read_u32(reader, "unhealthy_threshold", message.unhealthy_threshold(), 1);
  }
  if (message.has_healthy_threshold())
    out.healthy_threshold = read_u32(reader, "healthy_threshold", message.healthy_threshold(), 1);
  if (message.has_reuse_connection())
    out.reuse_connection = read_bool(reader, "reuse_connection", message.reuse_connection());
  decode_tcp(reader, message.tcp_health_check(), out);
  return out;
}

}  // namespace

std::vector<snapshot::HealthCheck> decode_health_checks(Reader& reader,
                                                        const cluster_v3::Cluster& message) {
  std::vector<snapshot::HealthCheck> out;
  if (!reader.within("health_checks", message.health_checks_size(), kMaxHealthChecks)) return out;
  for (int i = 0; i < message.health_checks_size(); ++i) {
    const core_v3::HealthCheck& check = message.health_checks(i);
    const In in(reader, "health_checks", i, check);
    if (check.has_tcp_health_check()) {
      out.push_back(decode_health_check(reader, check));
    } else if (check.has_http_health_check() || check.has_grpc_health_check()) {
      reader.warn("", "of HTTP and gRPC are not done: the endpoints count as healthy");
    } else {
      reader.reject("", "is of no kind that this agent knows");
    }
  }
  return out;
}

}  // namespace mooring::discovery
