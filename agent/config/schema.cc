#include "config/schema.h"

#include <algorithm>

#include "config/option.h"
#include "core/spiffe_text.h"

namespace mooring::config {

namespace {

using namespace std::chrono_literals;

template <class Value>
using Word = std::pair<std::string_view, Value>;

constexpr std::array<Word<TlsMode>, 2> kModes{
    {{"strict", TlsMode::strict}, {"permissive", TlsMode::permissive}}};
constexpr std::array<Word<LbPolicy>, 2> kBalances{
    {{"round_robin", LbPolicy::round_robin}, {"least_connections", LbPolicy::least_connections}}};
constexpr std::array<Word<OtherTraffic>, 2> kOthers{
    {{"pass", OtherTraffic::pass}, {"refuse", OtherTraffic::refuse}}};
constexpr std::array<Word<OnAgentDeath>, 2> kDeaths{
    {{"open", OnAgentDeath::open}, {"closed", OnAgentDeath::closed}}};
constexpr std::array<Word<TlsVersion>, 2> kVersions{
    {{"1.2", TlsVersion::tls12}, {"1.3", TlsVersion::tls13}}};
constexpr std::array<Word<log::Level>, 5> kLevels{{{"debug", log::Level::debug},
                                                   {"info", log::Level::info},
                                                   {"warn", log::Level::warn},
                                                   {"error", log::Level::error},
                                                   {"off", log::Level::off}}};
constexpr std::array<Word<Protocol>, 4> kProtocols{{{"tcp", Protocol::tcp},
                                                    {"http", Protocol::http},
                                                    {"http2", Protocol::http2},
                                                    {"grpc", Protocol::grpc}}};
constexpr std::array<Word<LogFormat>, 2> kFormats{
    {{"json", LogFormat::json}, {"text", LogFormat::text}}};

// ECDHE with AEAD only (RFC 9325 §4.2). The TLS 1.3 suites carry no WITH.
constexpr std::array<std::string_view, 9> kCiphers{"TLS_AES_128_GCM_SHA256",
                                                   "TLS_AES_256_GCM_SHA384",
                                                   "TLS_CHACHA20_POLY1305_SHA256",
                                                   "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                                                   "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                                                   "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                                                   "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                                                   "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                                                   "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"};
constexpr std::array<std::string_view, 2> kGroups{"X25519", "P-256"};

using namespace format;
using Patterns = ListOf<Pattern>;
using Ports = ListOf<Port>;
using Death = OneOf<kDeaths>;

constexpr Bounds between(Milliseconds min, Milliseconds max) {
  return {min.count(), max.count()};
}
constexpr Bounds kIdle = between(0ms, 30 * 24h);

constexpr std::array kHost{
    option<Name, &Host::name>(
        "name",
        "How this host calls itself in logs and metrics; the kernel's host name if not set"),
    option<TrustDomain, &Host::trust_domain>("trust_domain",
                                             "The SPIFFE trust domain that this host belongs to",
                                             {},
                                             Presence::required_alone),
};

constexpr std::array kControlPlane{
    option<Path, &ControlPlane::bootstrap_file>(
        "bootstrap",
        "Envoy's bootstrap, YAML or JSON, of a plain xDS server that is used instead of Kuma's"),
    option<ListOf<ControlPlaneUrl>, &ControlPlane::addresses>(
        "addresses",
        "Where the control plane is, each tried in turn",
        Bounds{1, 0},
        Presence::required_without_bootstrap),
    option<Path, &ControlPlane::ca_file>("ca_file",
                                         "PEM file: who signed the control plane's certificate",
                                         {},
                                         Presence::required_without_bootstrap),
    option<SecretPath, &ControlPlane::token_file>(
        "token_file",
        "The dataplane token, not readable by others and read again when it changes; "
        "credential:NAME for one that systemd hands over",
        {},
        Presence::required_without_bootstrap),
    option<ResourceName, &ControlPlane::mesh>("mesh", "The mesh that this host joins"),
    option<ResourceName, &ControlPlane::name>(
        "name", "Name of this host's Dataplane; host.name in small letters if not set"),
    option<WorkloadName, &ControlPlane::workload>(
        "workload",
        "What this host is a part of: label kuma.io/workload, and the name of its MeshService"),
    option<Path, &ControlPlane::dataplane_file>(
        "dataplane_file", "The Dataplane as YAML or JSON, instead of [[service]]"),
    option<Ip, &ControlPlane::address>("address",
                                       "Where other hosts reach this one; the address that the "
                                       "route to the control plane takes if not set"),
    option<ProxyUrl, &ControlPlane::proxy>(
        "proxy", "HTTP proxy on the way to the control plane, asked by CONNECT"),
    option<Path, &ControlPlane::spire_socket>(
        "spire_socket",
        "Unix socket of the SPIRE agent, where the mesh takes identities from one; what the "
        "control plane names if not set"),
    option<Flag, &ControlPlane::persist_secrets>(
        "persist_secrets", "Keep keys with the last good resources, for a start without it"),
    option<Path, &ControlPlane::state_dir>("state_dir", "Where the last good resources are kept"),
    option<Port, &ControlPlane::admin_port>("admin_port",
                                            "Where `kumactl inspect` asks, at this host's address"),
    option<Port, &ControlPlane::readiness_port>("readiness_port",
                                                "Where /ready answers, on loopback"),
    option<Port, &ControlPlane::dns_port>("dns_port",
                                          "Where names of the mesh are answered, on loopback"),
};

constexpr std::array kIdentity{
    required<Path, &Identity::svid_file>("svid",
                                         "PEM file: the host's certificate, then intermediates"),
    required<Path, &Identity::key_file>("key", "PEM file: its private key, not readable by others"),
    required<Path, &Identity::bundle_file>("bundle",
                                           "PEM file: the trust anchors of host.trust_domain"),
};

constexpr std::array kService{
    required<Name, &Service::name>("name", "Name in logs, metrics and status; unique"),
    required<Port, &Service::port>("port", "The application's port, as clients dial it"),
    option<OneOf<kModes>, &Service::mode>(
        "mode",
        "strict: mutual TLS only; permissive: plain text as well, while clients are being moved"),
    option<Flag, &Service::server_first>(
        "server_first",
        "The server speaks first (MySQL, SMTP): permissive mode then waits at most timeouts.peek"),
    option<Target, &Service::target>(
        "target",
        "Where the application listens; host is the address that the client dialled, at `port`"),
    option<Listen, &Service::listen>("listen",
                                     "Listen here instead of capturing `port`; needs `target`"),
    option<Patterns, &Service::allow>(
        "allow", "Who may call; a strict service without it refuses everybody"),
    option<Patterns, &Service::deny>("deny", "Who may not call; looked at before allow"),
    option<Patterns, &Service::shadow_allow>("shadow_allow",
                                             "An allow list on trial: only logged and counted"),
    option<Patterns, &Service::shadow_deny>("shadow_deny",
                                            "A deny list on trial: only logged and counted"),
    option<Duration, &Service::idle_timeout>(
        "idle_timeout", "Ends a connection without traffic; 0s: never", kIdle),
    option<OneOf<kProtocols>, &Service::protocol>("protocol",
                                                  "What a control plane is told that it speaks"),
    option<Flag, &Service::probe>("probe",
                                  "A control plane hears whether the application accepts "
                                  "connections; false where that counts as an attack (MySQL)"),
};

constexpr std::array kUpstream{
    required<Name, &Upstream::name>("name", "Name in logs, metrics and status; unique"),
    required<ListOf<Dialled>, &Upstream::addresses>("addresses", "What the applications dial"),
    required<Ports, &Upstream::ports>("ports", "The ports that the applications dial"),
    option<ListOf<Endpoint>, &Upstream::endpoints>("endpoints",
                                                   "Where to connect instead of what was dialled"),
    required<Patterns, &Upstream::spiffe_ids>("spiffe_ids", "Who may answer"),
    option<ServerName, &Upstream::sni>("sni", "Server name to send; none if not set"),
    option<OneOf<kBalances>, &Upstream::lb_policy>("balance",
                                                   "How one of several endpoints is chosen"),
    option<Duration, &Upstream::connect_timeout>(
        "connect_timeout", "For one attempt", between(10ms, 10min)),
    option<Number, &Upstream::connect_attempts>(
        "connect_attempts", "Endpoints tried for one connection", {1, 100}),
    option<Duration, &Upstream::idle_timeout>(
        "idle_timeout", "Ends a connection without traffic; 0s: never", kIdle),
};

constexpr std::array kCapture{
    option<Flag, &Capture::enabled>(
        "enabled", "Capture from the agent's start on; else `mooring capture on` begins it"),
    option<Port, &Capture::outbound_port>("outbound_port",
                                          "Where the agent takes captured outbound connections"),
    option<Port, &Capture::inbound_port>("inbound_port",
                                         "Where the agent takes captured inbound connections"),
    option<ListOf<Prefix>, &Capture::exclude_addresses>(
        "exclude_addresses", "Never captured, beyond the built-in exclusions"),
    option<Ports, &Capture::exclude_ports>("exclude_ports", "Never captured, in either direction"),
    option<OneOf<kOthers>, &Capture::other>("other",
                                            "Captured outbound connections that match no upstream"),
    option<SocketPath, &Capture::helper_socket>("helper_socket", "Where mooring-net listens"),
};

constexpr std::array kDeath{
    option<Death, &Capture::outbound_on_agent_death>(
        "outbound", "Outbound connections while the agent is gone"),
    option<Death, &Capture::permissive_on_agent_death>(
        "permissive", "Calls to permissive services while it is gone"),
    option<Death, &Capture::strict_on_agent_death>("strict",
                                                   "Calls to strict services while it is gone"),
};

constexpr std::array kTls{
    option<OneOf<kVersions>, &Tls::min_version>("min_version",
                                                "Oldest version accepted and offered"),
    option<ListOf<Known<kCiphers>>, &Tls::ciphers>(
        "ciphers", "Suites by IANA name, in order; AES-128-GCM first if not set"),
    option<ListOf<Known<kGroups>>, &Tls::groups>(
        "groups", "Key exchange groups, in order; X25519, P-256 if not set"),
    option<Flag, &Tls::resumption>(
        "resumption", "Resume sessions, never beyond the identity and trust they began under"),
};

constexpr std::array kLimits{
    option<Number, &Limits::workers>(
        "workers", "Worker threads; 0: as many as the CPU quota, 60 at most", {0, 60}),
    option<Number, &Limits::connections>("connections", "Open connections", {1, 10'000'000}),
    option<Number, &Limits::handshakes>(
        "handshakes", "TLS handshakes in flight; who comes beyond waits", {1, 1'000'000}),
};

constexpr std::array kTimeouts{
    option<Duration, &Timeouts::handshake>(
        "handshake", "For a whole TLS handshake", between(100ms, 5min)),
    option<Duration, &Timeouts::drain>(
        "drain", "How long open connections may go on when the agent stops", between(0ms, 1h)),
    // tcp(7): the kernel takes whole seconds up to 32767.
    option<Duration, &Timeouts::keepalive_idle>(
        "keepalive_idle", "Silence before the first TCP keepalive", between(1s, 32767s)),
    option<Duration, &Timeouts::keepalive_interval>(
        "keepalive_interval", "Between keepalives", between(1s, 32767s)),
    option<Duration, &Timeouts::peek>(
        "peek",
        "Wait for a ClientHello on server-first ports in permissive mode",
        between(1ms, 100ms)),
};

constexpr std::array kLog{
    option<OneOf<kLevels>, &Logging::level>("level", "The agent's own log"),
    option<Path, &Logging::file>("file", "Standard error if not set"),
};

constexpr std::array kAccessLog{
    option<Flag, &Logging::access_log>("enabled", "One line per connection"),
    option<Path, &Logging::access_log_file>("file", "Where the lines go"),
    option<OneOf<kFormats>, &Logging::access_log_format>("format", "json, or text by `template`"),
    option<Text, &Logging::access_log_template>(
        "template", "For text: Envoy's %COMMAND% names; Envoy's TCP line if not set"),
};

constexpr std::array kAdmin{
    option<SocketPath, &Admin::socket>("socket", "Unix socket of the admin API"),
    option<Metrics, &Admin::metrics>("metrics", "Where Prometheus scrapes"),
};

void read_federated(const Member& member, Problems& problems, void* owner) {
  if (!is_trust_domain_text(member.key)) {
    problems.add(member.place,
                 fmt::format("{} is no trust domain", quote(member.key)),
                 "write \"partner.example\" = \"/etc/mooring/partner.pem\"");
    return;
  }
  FederatedBundle bundle{member.key, ""};
  Option row = option<Path, &FederatedBundle::file>("the bundle", "");
  row.read(member.value, row, problems, &bundle);
  if (!bundle.file.empty()) static_cast<Identity*>(owner)->federated.push_back(std::move(bundle));
}

void* open_identity(AgentConfig& config) {
  if (!config.identity) config.identity.emplace();
  return &*config.identity;
}

void* open_control_plane(AgentConfig& config) {
  if (!config.control_plane) config.control_plane.emplace();
  return &*config.control_plane;
}

constexpr std::array kSections{
    Section{"host", false, "This host.", kHost, [](AgentConfig& c) -> void* { return &c.host; }},
    Section{"control_plane",
            false,
            "The Kuma control plane that this host is joined to, which names its identity, its "
            "neighbours and its permissions: `mooring join` writes this.",
            kControlPlane,
            open_control_plane},
    Section{"identity",
            false,
            "Files that prove who this host is; re-read when they change.",
            kIdentity,
            open_identity},
    Section{"identity.federated",
            false,
            "Bundles of other trust domains: \"domain\" = \"file\".",
            {},
            open_identity,
            read_federated},
    Section{"service",
            true,
            "An application on this host that others call.",
            kService,
            [](AgentConfig& c) -> void* { return &c.services.emplace_back(); }},
    Section{"upstream",
            true,
            "Something that applications on this host call.",
            kUpstream,
            [](AgentConfig& c) -> void* { return &c.upstreams.emplace_back(); }},
    Section{"capture",
            false,
            "What is intercepted, within the bounds of capture.toml.",
            kCapture,
            [](AgentConfig& c) -> void* { return &c.capture; }},
    Section{"capture.on_agent_death",
            false,
            "open: the host works as without Mooring; closed: the captured connections are reset.",
            kDeath,
            [](AgentConfig& c) -> void* { return &c.capture; }},
    Section{"tls",
            false,
            "Mutual TLS with other hosts.",
            kTls,
            [](AgentConfig& c) -> void* { return &c.tls; }},
    Section{"limits",
            false,
            "Bounds of the whole agent.",
            kLimits,
            [](AgentConfig& c) -> void* { return &c.limits; }},
    Section{"timeouts",
            false,
            "Times of the whole agent.",
            kTimeouts,
            [](AgentConfig& c) -> void* { return &c.timeouts; }},
    Section{"log",
            false,
            "The agent's own log.",
            kLog,
            [](AgentConfig& c) -> void* { return &c.logging; }},
    Section{"access_log",
            false,
            "The record of connections.",
            kAccessLog,
            [](AgentConfig& c) -> void* { return &c.logging; }},
    Section{"admin",
            false,
            "For the CLI and for Prometheus.",
            kAdmin,
            [](AgentConfig& c) -> void* { return &c.admin; }},
};

}  // namespace

std::span<const Section> sections() noexcept {
  return kSections;
}

const Section* find_section(std::string_view name) noexcept {
  const auto* found = std::find_if(
      kSections.begin(), kSections.end(), [&](const Section& s) { return s.name == name; });
  return found == kSections.end() ? nullptr : found;
}

const Option* find_option(const Section& section, std::string_view key) noexcept {
  const auto found = std::find_if(section.options.begin(),
                                  section.options.end(),
                                  [&](const Option& row) { return row.key == key; });
  return found == section.options.end() ? nullptr : &*found;
}

}  // namespace mooring::config
