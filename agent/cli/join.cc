// `mooring join`: looks at everything first, then writes, then waits until this host is in the
// mesh.
#include "cli/join.h"

#include <unistd.h>

#include <iostream>

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include "cli/json_view.h"
#include "config/formats.h"
#include "config/load.h"
#include "core/file.h"
#include "discovery/bootstrap.h"
#include "identity/x509.h"
#include "net/socket.h"
#include "transparent-proxy/facts.h"

namespace mooring::cli {

namespace {

constexpr std::size_t kMaxTokenBytes = std::size_t{16} * 1024;
constexpr std::size_t kMaxCaBytes = std::size_t{1024} * 1024;
constexpr std::size_t kMaxCaCertificates = 256;
constexpr int kHttpOk = 200;

tl::unexpected<Failure> failed(ExitCode code, Diagnostic problem) {
  return tl::unexpected(Failure{code, std::move(problem)});
}

std::string trimmed(std::string text) {
  constexpr const char* kBlanks = " \t\r\n";
  text.erase(text.find_last_not_of(kBlanks) + 1);
  text.erase(0, text.find_first_not_of(kBlanks));
  return text;
}

/// "-" is standard input.
Attempt<std::string> read_input(const std::string& path,
                                std::size_t max_bytes,
                                const char* option) {
  if (path == "-") {
    std::string text(max_bytes + 1, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() <= max_bytes) return text;
    return failed(ExitCode::failed, {option, "is too long", "is it the right input?"});
  }
  auto text = read_file(path, max_bytes);
  if (text) return std::move(*text);
  return failed(text.error().code == Errc::permission ? ExitCode::permission : ExitCode::usage,
                {path,
                 "cannot be read: " + describe(text.error()),
                 fmt::format("name another file with {}", option)});
}

}  // namespace

// ---- what is wanted

Attempt<void> Join::read_inputs() {
  auto ca = read_input(arguments_.join.ca_file, kMaxCaBytes, "--ca-file");
  if (!ca) return tl::unexpected(ca.error());
  inputs_.ca_pem = std::move(*ca);
  if (!identity::parse_certificates(inputs_.ca_pem, kMaxCaCertificates)) {
    return failed(ExitCode::usage,
                  {arguments_.join.ca_file,
                   "holds no certificate, or a broken one",
                   "give the PEM file of the CA that signed the control plane's certificate"});
  }
  auto token = read_input(arguments_.join.token_file, kMaxTokenBytes, "--token-file");
  if (!token) return tl::unexpected(token.error());
  inputs_.token = trimmed(std::move(*token));
  inputs_.claims = discovery::parse_token_claims(inputs_.token);
  if (arguments_.join.dataplane.empty()) return {};
  auto dataplane = read_input(arguments_.join.dataplane, app::kMaxDataplaneBytes, "--dataplane");
  if (!dataplane) return tl::unexpected(dataplane.error());
  inputs_.dataplane = std::move(*dataplane);
  return {};
}

/// What is not said on the command line is the token's: it names what it is for.
Attempt<config::ControlPlane> Join::wanted() const {
  config::ControlPlane plane;
  const auto value_of = [](const std::string& text) {
    config::Value value;
    value.kind = config::Value::Kind::text;
    value.text = text;
    return value;
  };
  for (const std::string& url : arguments_.join.urls) {
    auto address = config::format::ControlPlaneUrl::parse(value_of(url), {});
    if (!address) {
      return failed(ExitCode::usage,
                    {"--control-plane", address.error().message, address.error().hint});
    }
    plane.addresses.push_back(std::move(*address));
  }
  if (!arguments_.join.proxy.empty()) {
    auto proxy = config::format::ProxyUrl::parse(value_of(arguments_.join.proxy), {});
    if (!proxy)
      return failed(ExitCode::usage, {"--proxy", proxy.error().message, proxy.error().hint});
    plane.proxy = std::move(*proxy);
  }
  if (!arguments_.join.address.empty()) {
    auto address = config::format::Ip::parse(value_of(arguments_.join.address), {});
    if (!address)
      return failed(ExitCode::usage, {"--address", address.error().message, address.error().hint});
    plane.address = *address;
  }
  const discovery::TokenClaims claims = inputs_.claims.value_or(discovery::TokenClaims{});
  const auto first_of = [](const std::string& said, const std::string& otherwise) {
    return said.empty() ? otherwise : said;
  };
  plane.mesh = first_of(first_of(arguments_.join.mesh, claims.mesh), plane.mesh);
  plane.name = first_of(arguments_.join.name, claims.name);
  plane.workload = first_of(arguments_.join.workload, claims.workload);
  plane.ca_file = paths_.ca_file;
  plane.token_file = paths_.token_file;
  return plane;
}

/// A Dataplane file names what the command line leaves open.
Attempt<void> Join::take_names_of_file(config::ControlPlane& plane) {
  if (inputs_.dataplane.empty()) return {};
  plane.dataplane_file = paths_.dataplane_file;
  config::ControlPlane open = plane;
  if (arguments_.join.mesh.empty()) open.mesh.clear();
  if (arguments_.join.name.empty()) open.name.clear();
  if (arguments_.join.workload.empty()) open.workload.clear();
  auto file = app::parse_dataplane(inputs_.dataplane, arguments_.join.dataplane, open);
  if (!file) {
    // What the file leaves open too is the token's, or the host's.
    file = app::parse_dataplane(inputs_.dataplane, arguments_.join.dataplane, plane);
    if (!file) return failed(ExitCode::config, file.error());
  }
  plane.mesh = file->mesh;
  plane.name = file->name;
  if (!file->workload.empty()) plane.workload = file->workload;
  return {};
}

/// The whole configuration as it will be, with every mistake that it would have.
Attempt<void> Join::plan_settings() {
  auto plane = wanted();
  if (!plane) return tl::unexpected(plane.error());
  if (auto named = take_names_of_file(*plane); !named) return named;
  std::vector<config::SourceText> overlay;
  if (::access(arguments_.config_file.c_str(), F_OK) != 0) {
    overlay.push_back(
        {arguments_.config_file, fmt::format("{}; every key: man agent.toml\n", kWrittenByJoin)});
    add_file(overlay.back().path, overlay.back().text).is_restored = true;
  }
  bool captures = !arguments_.join.without_capture;
  overlay.push_back({paths_.settings, render_settings(*plane, captures)});
  auto config = config::load_with(overlay, arguments_.config_file);
  if (!config && captures) {
    // agent.toml may say itself what is captured.
    captures = false;
    overlay.back().text = render_settings(*plane, captures);
    if (auto other = config::load_with(overlay, arguments_.config_file)) config = std::move(other);
  }
  if (!config) {
    for (const Diagnostic& problem : config.error())
      fmt::print(*environment_.err, "{}\n", describe(problem));
    return failed(ExitCode::config,
                  {arguments_.config_file,
                   "cannot be joined as it is",
                   "correct what is named above and join again"});
  }
  config_ = std::move(*config);
  if (const auto& read = config_.control_plane) plane_ = *read;  // it was among what was read
  add_file(paths_.ca_file, inputs_.ca_pem);
  add_file(paths_.token_file, inputs_.token + "\n").needs_restart = false;
  if (!inputs_.dataplane.empty()) add_file(paths_.dataplane_file, inputs_.dataplane);
  plane->name = plane_.name;  // stays, whatever the host is called later
  add_file(paths_.settings, render_settings(*plane, captures)).is_restored = true;
  return {};
}

PlannedFile& Join::add_file(std::string path, std::string content) {
  PlannedFile& file = files_.emplace_back();
  file.path = std::move(path);
  file.content = std::move(content);
  return file;
}

Attempt<IpAddress> Join::own_address() const {
  if (plane_.address) return *plane_.address;
  const std::string& host = plane_.proxy ? plane_.proxy->host : plane_.addresses.front().host;
  const auto ip = parse_ip(host);
  const std::vector<IpAddress> found =
      ip ? std::vector<IpAddress>{*ip} : environment_.resolve(host);
  if (found.empty()) {
    return failed(ExitCode::unavailable,
                  {host, "has no address", "correct the name, or the resolvers of this host"});
  }
  constexpr std::uint16_t kAnyPort = 9;  // nothing is sent
  const auto own = net::source_address({found.front(), kAnyPort});
  if (own && !own->is_loopback()) return *own;
  return failed(ExitCode::unavailable,
                {host,
                 own ? "is this host itself, so the address that others reach is not known"
                     : "there is no route to it: " + describe(own.error()),
                 "name this host's address with --address"});
}

Attempt<void> Join::plan_dataplane() {
  if (!inputs_.dataplane.empty()) {
    auto file = app::parse_dataplane(inputs_.dataplane, arguments_.join.dataplane, plane_);
    if (!file) return failed(ExitCode::config, file.error());
    dataplane_ = std::move(*file);
  } else {
    const auto address = own_address();
    if (!address) return tl::unexpected(address.error());
    dataplane_ = app::compose_dataplane(plane_, config_.services, *address);
  }
  const auto present = transparent_proxy::load_bounds(paths_.bounds);
  if (!present) return failed(ExitCode::config, present.error());
  bounds_ = widen_bounds(*present, dataplane_);
  if (bounds_ != *present) {
    PlannedFile& file = add_file(paths_.bounds, render_bounds(bounds_));
    file.mode = 0644;  // mooring-net reads it too
    file.is_restored = true;
  }
  return {};
}

// ---- looking, without changing anything

Attempt<void> Join::check() {
  using Step = Attempt<void> (Join::*)();
  for (const Step step : {&Join::read_inputs,
                          &Join::plan_settings,
                          &Join::plan_dataplane,
                          &Join::check_token,
                          &Join::check_ports,
                          &Join::ask_control_planes}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  compare_with_host(files_);
  return {};
}

Attempt<void> Join::check_token() {
  TokenReport report = cli::check_token(inputs_.claims, dataplane_, Clock().wall());
  warnings_.insert(warnings_.end(), report.warnings.begin(), report.warnings.end());
  if (report.problem) return failed(ExitCode::failed, std::move(*report.problem));
  return {};
}

Attempt<void> Join::check_ports() {
  const auto capture = environment_.capture_status(config_.capture.helper_socket);
  if (capture && capture->state == capture_client::CaptureState::held_off &&
      config_.capture.enabled) {
    warnings_.emplace_back(
        "capture was switched off by root and stays off: `mooring capture on` lifts that");
  }
  // The agent that runs has most of these ports itself.
  if (environment_.admin(arguments_.socket, "GET", "/ready")) return {};
  auto conflict = find_conflict(ports_of(config_, dataplane_), transparent_proxy::tcp_entries());
  if (conflict) return failed(ExitCode::failed, std::move(*conflict));
  return {};
}

Attempt<void> Join::ask_control_planes() {
  discovery::BootstrapRequest request;
  request.mesh = dataplane_.mesh;
  request.name = dataplane_.name;
  request.token = inputs_.token;
  request.token_path = paths_.token_file;
  request.dataplane = dataplane_.json;
  request.ca_pem = inputs_.ca_pem;
  request.readiness_port = plane_.readiness_port;
  request.dns_port = plane_.dns_port;
  if (config_.capture.enabled) {
    app::Redirection redirection;
    redirection.inbound = redirection.outbound = true;
    request.transparent_proxy = app::transparent_proxy_json(redirection);
  }
  const auto body = discovery::build_bootstrap_request(request);
  if (!body) return failed(ExitCode::failed, body.error());
  std::vector<Failure> failures;
  for (const config::ControlPlaneAddress& address : plane_.addresses) {
    if (auto asked = ask(address, *body); !asked) failures.push_back(asked.error());
  }
  if (failures.size() == plane_.addresses.size())
    return tl::unexpected(std::move(failures.front()));
  for (const Failure& failure : failures)
    warnings_.push_back(describe(failure.problem));
  return {};
}

Attempt<void> Join::ask(const config::ControlPlaneAddress& address, const std::string& body) {
  const std::string url = url_of(address);
  net::HttpRequest request = discovery::bootstrap_http(url, body, inputs_.ca_pem);
  if (const auto& proxy = plane_.proxy) request.proxy = proxy_url(*proxy);
  const net::HttpResult answer = net::fetch(request);
  if (!answer) {
    const bool is_away = answer.error().code == Errc::not_found ||
                         answer.error().code == Errc::refused ||
                         answer.error().code == Errc::timed_out;
    return failed(is_away ? ExitCode::unavailable : ExitCode::failed,
                  discovery::explain_bootstrap(url, answer.error()).diagnostic);
  }
  if (const std::string warning = check_clock(answer->date, Clock().wall()); !warning.empty())
    warnings_.push_back(warning);
  if (answer->status == kHttpOk) {
    answered_.push_back(url);
    return {};
  }
  return failed(ExitCode::failed, discovery::explain_bootstrap(url, *answer).diagnostic);
}

}  // namespace mooring::cli
