#include "capture_client/messages.h"

#include <algorithm>
#include <array>
#include <concepts>

#include "capture_client/wire.h"

namespace mooring::capture_client {

namespace {

constexpr std::uint16_t kMagic = 0x4d4e;  // "MN"

bool is_prefix(const IpPrefix& prefix) noexcept {
  const unsigned full = prefix.base.is_v4() ? 32 : 128;
  if (prefix.length > full) return false;
  for (unsigned bit = prefix.length; bit < full; ++bit) {
    if ((prefix.base.bytes()[bit / 8] & (0x80U >> (bit % 8))) != 0) return false;
  }
  return true;
}

// ---- each message, both ways. The order of the fields is the format.

void write(WireWriter& out, const InterceptConfig& config, std::uint8_t version) {
  AGENT_CHECK(check_bounds(config));
  out.number(config.outbound_port);
  out.number(config.inbound_port);
  out.number(static_cast<std::uint16_t>(config.outbound.size()));
  for (const OutboundTarget& target : config.outbound) {
    out.prefix(target.prefix);
    out.number(target.port);
    out.number(static_cast<std::uint8_t>(target.on_agent_death));
  }
  out.number(static_cast<std::uint16_t>(config.inbound.size()));
  for (const InboundPort& inbound : config.inbound) {
    out.number(inbound.port);
    out.number(static_cast<std::uint8_t>(inbound.on_agent_death));
  }
  out.number(static_cast<std::uint16_t>(config.exclude_addresses.size()));
  for (const IpPrefix& prefix : config.exclude_addresses)
    out.prefix(prefix);
  out.number(static_cast<std::uint16_t>(config.exclude_ports.size()));
  for (const std::uint16_t port : config.exclude_ports)
    out.number(port);
  out.number(static_cast<std::uint8_t>(config.other));
  out.number(static_cast<std::uint8_t>(config.other_on_agent_death));
  if (version >= 3) out.number(config.dns_port);
}

InterceptConfig read_config(WireReader& in, std::uint8_t version) {
  InterceptConfig config;
  config.outbound_port = in.port();
  config.inbound_port = in.port();
  for (std::size_t left = in.count(kMaxOutboundTargets); left > 0 && in.ok(); --left) {
    OutboundTarget target;
    target.prefix = in.prefix();
    target.port = in.port();
    target.on_agent_death = in.choice(OnAgentDeath::closed);
    config.outbound.push_back(target);
  }
  for (std::size_t left = in.count(kMaxInboundPorts); left > 0 && in.ok(); --left) {
    InboundPort inbound;
    inbound.port = in.port();
    inbound.on_agent_death = in.choice(OnAgentDeath::closed);
    config.inbound.push_back(inbound);
  }
  for (std::size_t left = in.count(kMaxExclusions); left > 0 && in.ok(); --left) {
    config.exclude_addresses.push_back(in.prefix());
  }
  for (std::size_t left = in.count(kMaxExclusions); left > 0 && in.ok(); --left) {
    config.exclude_ports.push_back(in.port());
  }
  config.other = in.choice(OtherTraffic::refuse);
  config.other_on_agent_death = in.choice(OnAgentDeath::closed);
  if (version >= 3) config.dns_port = in.number<std::uint16_t>();
  return config;
}

void write(WireWriter& out, const Hello& hello) {
  out.number(static_cast<std::uint8_t>(hello.role));
  out.text(hello.version, kMaxTextBytes);
}
void read(WireReader& in, Hello& hello) {
  hello.role = in.choice(Role::tool);
  hello.version = in.text(kMaxTextBytes);
}

template <class T>
concept IsConfigOnly =
    std::same_as<T, SetPlan> || std::same_as<T, Activate> || std::same_as<T, Narrow>;

template <IsConfigOnly T>
void write(WireWriter& out, const T& message, std::uint8_t version) {
  write(out, message.config, version);
}
template <IsConfigOnly T>
void read(WireReader& in, T& message, std::uint8_t version) {
  message.config = read_config(in, version);
}
void write(WireWriter& out, const TryPlan& attempt, std::uint8_t version) {
  write(out, attempt.config, version);
  out.number(attempt.limit_s);
}
void read(WireReader& in, TryPlan& attempt, std::uint8_t version) {
  attempt.config = read_config(in, version);
  attempt.limit_s = in.number<std::uint16_t>();
  if (attempt.limit_s == 0 || attempt.limit_s > kMaxTrialSeconds) in.fail_with(Errc::too_large);
}
void write(WireWriter& out, const Trial& trial) {
  out.number(trial.limit_s);
}
void read(WireReader& in, Trial& trial) {
  trial.limit_s = in.number<std::uint16_t>();
}

void write(WireWriter&, const Drop&) {}
void read(WireReader&, Drop&) {}
void write(WireWriter&, const GetStatus&) {}
void read(WireReader&, GetStatus&) {}
void write(WireWriter&, const Confirm&) {}
void read(WireReader&, Confirm&) {}
void write(WireWriter&, const Done&) {}
void read(WireReader&, Done&) {}

void write(WireWriter& out, const GetListeners& get) {
  out.number(get.workers);
  out.number(get.outbound_port);
  out.number(get.inbound_port);
}
void read(WireReader& in, GetListeners& get) {
  get.workers = in.number<std::uint16_t>();
  if (get.workers == 0 || get.workers > kMaxWorkers) in.fail_with(Errc::too_large);
  get.outbound_port = in.number<std::uint16_t>();
  get.inbound_port = in.number<std::uint16_t>();
}

void write(WireWriter& out, const Ping& ping) {
  out.number(ping.nonce);
}
void read(WireReader& in, Ping& ping) {
  ping.nonce = in.number<std::uint64_t>();
}
void write(WireWriter& out, const Pong& pong) {
  out.number(pong.nonce);
}
void read(WireReader& in, Pong& pong) {
  pong.nonce = in.number<std::uint64_t>();
}

void write(WireWriter& out, const Welcome& welcome) {
  out.text(welcome.version, kMaxTextBytes);
  out.text(welcome.backend, kMaxTextBytes);
}
void read(WireReader& in, Welcome& welcome) {
  welcome.version = in.text(kMaxTextBytes);
  welcome.backend = in.text(kMaxTextBytes);
}

void write(WireWriter& out, const Refused& refused) {
  out.number(static_cast<std::uint8_t>(refused.code));
  out.text(refused.text, kMaxTextBytes);
}
void read(WireReader& in, Refused& refused) {
  refused.code = static_cast<Errc>(in.choice(static_cast<std::uint8_t>(Errc::system)));
  refused.text = in.text(kMaxTextBytes);
}

void write(WireWriter& out, const ListenerSet& set) {
  AGENT_CHECK(set.listeners.size() <= std::size_t{4} * kMaxWorkers);
  out.number(static_cast<std::uint16_t>(set.listeners.size()));
  for (const ListenerInfo& listener : set.listeners) {
    out.number(static_cast<std::uint8_t>(listener.direction));
    out.number(static_cast<std::uint8_t>(listener.is_v6 ? 1 : 0));
    out.number(listener.worker);
  }
}
void read(WireReader& in, ListenerSet& set) {
  for (std::size_t left = in.count(std::size_t{4} * kMaxWorkers); left > 0 && in.ok(); --left) {
    ListenerInfo listener;
    listener.direction = in.choice(Direction::inbound);
    listener.is_v6 = in.flag();
    listener.worker = in.number<std::uint16_t>();
    set.listeners.push_back(listener);
  }
}

void write(WireWriter& out, const Owner& owner) {
  out.text(owner.table, kMaxTextBytes);
}
void read(WireReader& in, Owner& owner) {
  owner.table = in.text(kMaxTextBytes);
}

void write(WireWriter& out, const Status& status, std::uint8_t version) {
  out.number(static_cast<std::uint8_t>(status.state));
  out.text(status.backend, kMaxTextBytes);
  out.number(static_cast<std::uint8_t>(status.is_owned ? 1 : 0));
  out.text(status.table, kMaxTextBytes);
  out.number(static_cast<std::uint8_t>(status.has_guard ? 1 : 0));
  out.number(static_cast<std::uint8_t>(status.is_draining ? 1 : 0));
  out.number(status.agent_pid);
  out.number(status.agent_uid);
  out.number(status.repairs);
  out.number(status.openings);
  out.number(status.since_unix_s);
  out.text(status.problem, kMaxTextBytes);
  out.number(static_cast<std::uint8_t>(status.config ? 1 : 0));
  if (status.config) write(out, *status.config, version);
  if (version >= 2) out.number(status.trial_ends_unix_s);
  if (version >= 3) out.number(static_cast<std::uint8_t>(status.dns));
}
void read(WireReader& in, Status& status, std::uint8_t version) {
  status.state = in.choice(CaptureState::gave_up);
  status.backend = in.text(kMaxTextBytes);
  status.is_owned = in.flag();
  status.table = in.text(kMaxTextBytes);
  status.has_guard = in.flag();
  status.is_draining = in.flag();
  status.agent_pid = in.number<std::uint32_t>();
  status.agent_uid = in.number<std::uint32_t>();
  status.repairs = in.number<std::uint32_t>();
  status.openings = in.number<std::uint32_t>();
  status.since_unix_s = in.number<std::uint64_t>();
  status.problem = in.text(kMaxTextBytes);
  if (in.flag()) status.config = read_config(in, version);
  if (version >= 2) status.trial_ends_unix_s = in.number<std::uint64_t>();
  if (version >= 3) status.dns = in.choice(DnsRedirection::active);
}

// What is the same in every version that is served.
template <class T>
void write(WireWriter& out, const T& body, std::uint8_t) {
  write(out, body);
}
template <class T>
void read(WireReader& in, T& body, std::uint8_t) {
  read(in, body);
}

// The type byte is the position in Body.
using ReadBody = Body (*)(WireReader&, std::uint8_t version);

template <class T>
Body read_as(WireReader& in, std::uint8_t version) {
  T value;
  read(in, value, version);
  return value;
}

template <class... Ts>
constexpr std::array<ReadBody, sizeof...(Ts)> make_readers(const std::variant<Ts...>*) {
  return {&read_as<Ts>...};
}
constexpr auto kReaders = make_readers(static_cast<const Body*>(nullptr));

}  // namespace

IpPrefix WireReader::prefix() {
  const auto family = number<std::uint8_t>();
  IpPrefix value;
  value.length = number<std::uint8_t>();
  if (family == 4) {
    value.base = IpAddress::v4(number<std::uint32_t>());
  } else if (family == 6) {
    std::array<std::uint8_t, 16> bytes{};
    for (std::uint8_t& byte : bytes)
      byte = number<std::uint8_t>();
    value.base = IpAddress::v6(bytes);
    if (value.base.is_v4()) fail_with(Errc::bad_input);  // IPv4-mapped: say it as IPv4
  } else {
    fail_with(Errc::bad_input);
  }
  if (!is_prefix(value)) fail_with(Errc::bad_input);
  return value;
}

const char* to_string(CaptureState state) noexcept {
  switch (state) {
    case CaptureState::off:
      return "off";
    case CaptureState::active:
      return "active";
    case CaptureState::agent_dead:
      return "agent_dead";
    case CaptureState::held_off:
      return "held_off";
    case CaptureState::gave_up:
      return "gave_up";
  }
  return "invalid";
}

const char* to_string(DnsRedirection dns) noexcept {
  switch (dns) {
    case DnsRedirection::not_allowed:
      return "not_allowed";
    case DnsRedirection::allowed:
      return "allowed";
    case DnsRedirection::active:
      return "active";
  }
  return "invalid";
}

Result<void> check_bounds(const InterceptConfig& config) noexcept {
  const char* place = "capture configuration";
  if (config.outbound.size() > kMaxOutboundTargets || config.inbound.size() > kMaxInboundPorts ||
      config.exclude_addresses.size() > kMaxExclusions ||
      config.exclude_ports.size() > kMaxExclusions) {
    return fail(Errc::too_large, place);
  }
  bool sound = config.outbound_port != 0 && config.inbound_port != 0;
  for (const OutboundTarget& target : config.outbound) {
    sound = sound && target.port != 0 && is_prefix(target.prefix);
  }
  for (const InboundPort& inbound : config.inbound)
    sound = sound && inbound.port != 0;
  for (const IpPrefix& prefix : config.exclude_addresses)
    sound = sound && is_prefix(prefix);
  for (const std::uint16_t port : config.exclude_ports)
    sound = sound && port != 0;
  if (!sound) return fail(Errc::bad_input, place);
  return {};
}

std::vector<std::byte> encode(const Message& message) {
  WireWriter out;
  out.number(kMagic);
  out.number(message.version);
  out.number(static_cast<std::uint8_t>(message.body.index()));
  out.number(message.id);
  std::visit([&](const auto& body) { write(out, body, message.version); }, message.body);
  return out.take();
}

Result<Message> decode(Bytes packet) {
  if (packet.size() > kMaxMessageBytes) return fail(Errc::too_large, "decode message");
  WireReader in(packet);
  if (in.number<std::uint16_t>() != kMagic) return fail(Errc::bad_input, "decode message");
  const auto version = in.number<std::uint8_t>();
  if (in.ok() && (version < kOldestProtocol || version > kProtocolVersion))
    return fail(Errc::unsupported, "protocol version", version);
  const auto type = in.number<std::uint8_t>();
  if (!in.ok() || type >= kReaders.size()) return fail(Errc::bad_input, "message type");
  Message message;
  message.version = version;
  message.id = in.number<std::uint32_t>();
  message.body = kReaders[type](in, version);
  if (!in.ok()) return fail(in.error(), "decode message");
  if (!in.at_end()) return fail(Errc::bad_input, "bytes after the message");
  return message;
}

}  // namespace mooring::capture_client
