#include "capture_client/helper_connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace mooring::capture_client {

namespace {

constexpr time_t kAnswerSeconds = 5;

}  // namespace

Diagnostic explain(const std::string& path, const Error& error) {
  switch (error.code) {
    case Errc::not_found:
    case Errc::refused:
      return {path, "the capture helper does not answer", "is mooring-net running?"};
    case Errc::permission:
      return {path,
              "this user may not talk to the capture helper",
              "run as root or as a member of the socket's group"};
    case Errc::timed_out:
      return {
          path, fmt::format("the capture helper did not answer within {} s", kAnswerSeconds), ""};
    case Errc::unsupported:
      return {path,
              "the capture helper speaks another protocol version",
              "restart mooring-net after an upgrade"};
    default:
      return {path, describe(error), ""};
  }
}

Checked<HelperConnection> HelperConnection::open(const std::string& socket_path, Role role) {
  for (std::uint8_t version = kProtocolVersion;; --version) {
    auto fd = connect_helper(socket_path, true);
    if (!fd) return fail(explain(socket_path, fd.error()));
    const timeval limit{kAnswerSeconds, 0};
    ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    HelperConnection connection;
    connection.fd_ = std::move(*fd);
    connection.path_ = socket_path;
    connection.version_ = version;
    auto answer = connection.exchange(Hello{role, MOORING_VERSION}, {});
    if (!answer && may_be_older(answer.error(), version)) continue;
    if (!answer) return fail(explain(socket_path, answer.error()));
    if (const auto* refused = std::get_if<Refused>(&answer->message.body)) {
      if (may_be_older(*refused, version)) continue;
      return fail(Diagnostic{"mooring-net", refused->text, ""});
    }
    if (const auto* welcome = std::get_if<Welcome>(&answer->message.body))
      connection.welcome_ = *welcome;
    return connection;
  }
}

Result<Received> HelperConnection::exchange(Body request, const std::vector<int>& descriptors) {
  const std::uint32_t id = next_id_++;
  const auto sent = send_message(fd_.get(), {id, std::move(request), version_}, descriptors);
  if (!sent) return fail(sent.error());
  for (;;) {
    auto received = receive_message(fd_.get());
    if (!received || received->message.id == id) return received;  // any other is a notice
  }
}

Checked<Received> HelperConnection::ask(Body request, const std::vector<int>& descriptors) {
  auto received = exchange(std::move(request), descriptors);
  if (!received) return fail(explain(path_, received.error()));
  if (const auto* refused = std::get_if<Refused>(&received->message.body))
    return fail(Diagnostic{"mooring-net", refused->text, ""});
  return std::move(*received);
}

Checked<std::vector<Listener>> HelperConnection::get_listeners(const GetListeners& request) {
  auto answer = ask(request);
  if (!answer) return fail(answer.error());
  const auto* set = std::get_if<ListenerSet>(&answer->message.body);
  if (set == nullptr || set->listeners.size() != answer->descriptors.size()) {
    return fail(Diagnostic{path_, "the capture helper gave an answer that does not fit", ""});
  }
  std::vector<Listener> listeners;
  listeners.reserve(answer->descriptors.size());
  for (std::size_t i = 0; i < answer->descriptors.size(); ++i) {
    listeners.push_back({set->listeners[i], std::move(answer->descriptors[i])});
  }
  return listeners;
}

Checked<void> HelperConnection::set_plan(const InterceptConfig& config) {
  if (const auto ok = check_bounds(config); !ok) {
    return fail(Diagnostic{"capture", describe(ok.error()), ""});
  }
  auto answer = ask(SetPlan{config});
  if (!answer) return fail(answer.error());
  return {};
}

Checked<std::chrono::seconds> HelperConnection::try_plan(const InterceptConfig& config,
                                                         std::chrono::seconds limit) {
  if (const auto ok = check_bounds(config); !ok) {
    return fail(Diagnostic{"capture", describe(ok.error()), ""});
  }
  auto answer = ask(TryPlan{config, static_cast<std::uint16_t>(limit.count())});
  if (!answer) return fail(answer.error());
  if (const auto* trial = std::get_if<Trial>(&answer->message.body))
    return std::chrono::seconds{trial->limit_s};
  return fail(Diagnostic{path_, "the capture helper gave an answer that does not fit", ""});
}

Checked<void> HelperConnection::confirm() {
  // The helper's own hides other users' processes from it (ProtectProc=).
  const UniqueFd processes(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto answer = processes.valid() ? ask(Confirm{}, {processes.get()}) : ask(Confirm{});
  if (!answer) return fail(answer.error());
  return {};
}

Checked<void> HelperConnection::drop() {
  auto answer = ask(Drop{});
  if (!answer) return fail(answer.error());
  return {};
}

Checked<Status> HelperConnection::status() {
  auto answer = ask(GetStatus{});
  if (!answer) return fail(answer.error());
  if (auto* status = std::get_if<Status>(&answer->message.body)) return std::move(*status);
  return fail(Diagnostic{path_, "the capture helper gave an answer that does not fit", ""});
}

std::string describe(const Status& status) {
  std::string out = fmt::format("capture   {}", to_string(status.state));
  if (!status.table.empty())
    out += fmt::format(" ({}{})", status.table, status.is_owned ? ", owned" : "");
  out += fmt::format("\nbackend   {}", status.backend);
  out += status.agent_pid == 0
             ? "\nagent     not connected"
             : fmt::format("\nagent     pid {} uid {}", status.agent_pid, status.agent_uid);
  if (status.config) {
    out += fmt::format("\nplan      {} outbound targets, {} inbound ports, other traffic {}",
                       status.config->outbound.size(),
                       status.config->inbound.size(),
                       status.config->other == OtherTraffic::pass ? "passes" : "is refused");
  }
  if (status.has_guard) out += "\nguard     in place for what stays closed without the agent";
  if (status.is_draining) out += "\ndraining  connections redirected before are still alive";
  if (status.repairs > 0)
    out += fmt::format("\nrepairs   {} of rules that another program changed", status.repairs);
  if (status.openings > 0) out += fmt::format("\nopenings  {} without an agent", status.openings);
  if (!status.problem.empty()) out += fmt::format("\nproblem   {}", status.problem);
  return out + "\n";
}

}  // namespace mooring::capture_client
