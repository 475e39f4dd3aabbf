#include "cli/join_host.h"

#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "core/file.h"
#include "transparent-proxy/command.h"

namespace mooring::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{1024} * 1024;
constexpr std::uint8_t kListening = 10;  // include/net/tcp_states.h

std::string name_of_user(std::uint32_t uid) {
  const passwd* user = ::getpwuid(uid);  // NOLINT(concurrency-mt-unsafe)
  return user == nullptr ? fmt::format("uid {}", uid) : std::string(user->pw_name);
}

bool is_same_socket(const SocketAddress& wanted, const SocketAddress& taken) {
  if (wanted.port != taken.port) return false;
  // [::] takes IPv4 as well unless it was told not to, which /proc does not show.
  return wanted.ip == taken.ip || wanted.ip.is_unspecified() || taken.ip.is_unspecified();
}

/// The agent's group: of its account, or where there is none of the folder that it reads; of the
/// one above while that is not there.
gid_t group_of_agent(fs::path folder) {
  const passwd* user = ::getpwnam("mooring");  // NOLINT(concurrency-mt-unsafe)
  if (user != nullptr) return user->pw_gid;
  struct stat info{};
  while (::stat(folder.c_str(), &info) != 0 && folder.has_relative_path())
    folder = folder.parent_path();
  return info.st_gid;
}

Diagnostic cannot_write(const std::string& path, const Error& error) {
  return {path,
          "cannot be written: " + describe(error),
          error.code == Errc::permission ? "run it as root" : ""};
}

Checked<void> make_folder(const fs::path& folder, gid_t group) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return {};
  if (::mkdir(folder.c_str(), 0750) != 0 || ::chown(folder.c_str(), 0, group) != 0)
    return fail(cannot_write(folder, error_from_errno(errno, "mkdir")));
  return {};
}

/// `.before-join` is made once: what a second join finds is its own.
Checked<void> keep_before(const PlannedFile& file) {
  const auto present = read_file(file.path, kMaxFileBytes);
  const std::string kept = file.path + std::string(kBeforeJoin);
  if (!present || present->starts_with(kWrittenByJoin) || ::access(kept.c_str(), F_OK) == 0)
    return {};
  std::error_code error;
  fs::create_hard_link(file.path, kept, error);  // keeps owner and mode as well
  if (error) return fail(Diagnostic{kept, "cannot be made: " + error.message(), ""});
  return {};
}

bool has_systemd() {
  return ::access("/run/systemd/system", F_OK) == 0;
}

}  // namespace

std::vector<PortUse> ports_of(const config::AgentConfig& config, const app::Dataplane& dataplane) {
  if (!config.control_plane) return {};
  const config::ControlPlane& plane = *config.control_plane;
  const IpAddress any;
  const IpAddress loopback = IpAddress::v4_loopback();
  std::vector<PortUse> uses{{{loopback, plane.readiness_port}, "control_plane.readiness_port"},
                            {{loopback, plane.dns_port}, "control_plane.dns_port"},
                            {{dataplane.address, plane.admin_port}, "control_plane.admin_port"}};
  if (config.admin.metrics) uses.push_back({*config.admin.metrics, "admin.metrics"});
  if (config.capture.enabled) {
    uses.push_back({{any, config.capture.outbound_port}, "capture.outbound_port"});
    uses.push_back({{any, config.capture.inbound_port}, "capture.inbound_port"});
    return uses;
  }
  for (const app::DataplaneInbound& inbound : dataplane.inbound)
    uses.push_back({{dataplane.address, inbound.port}, ""});
  return uses;
}

std::optional<Diagnostic> find_conflict(const std::vector<PortUse>& uses,
                                        const std::vector<transparent_proxy::TcpEntry>& entries) {
  for (const PortUse& use : uses) {
    const auto taken = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
      return entry.state == kListening && is_same_socket(use.address, entry.local);
    });
    if (taken == entries.end()) continue;
    std::string message = fmt::format("port {} is taken: a program of user {} listens on {}",
                                      use.address.port,
                                      name_of_user(taken->uid),
                                      taken->local.to_string());
    if (!use.what.empty()) {
      return Diagnostic{use.what,
                        std::move(message),
                        fmt::format("set another port in agent.toml; ss -ltnp 'sport = :{}' names "
                                    "the program",
                                    use.address.port)};
    }
    return Diagnostic{fmt::format("service at port {}", use.address.port),
                      std::move(message),
                      "without capture the agent listens there itself: let the application listen "
                      "on 127.0.0.1 and name that as target, or leave out --no-capture"};
  }
  return std::nullopt;
}

void compare_with_host(std::vector<PlannedFile>& files) {
  for (PlannedFile& file : files) {
    const auto present = read_file(file.path, kMaxFileBytes);
    file.action = !present                   ? PlannedFile::Action::create
                  : *present == file.content ? PlannedFile::Action::keep
                                             : PlannedFile::Action::replace;
  }
}

Checked<void> write_files(const std::vector<PlannedFile>& files) {
  for (const PlannedFile& file : files) {
    if (file.action == PlannedFile::Action::keep) continue;
    const fs::path folder = fs::path(file.path).parent_path();
    const gid_t group = group_of_agent(folder);
    if (auto made = make_folder(folder, group); !made) return made;
    if (file.action == PlannedFile::Action::replace && file.is_restored) {
      if (auto kept = keep_before(file); !kept) return kept;
    }
    if (const auto done =
            write_file_atomically(file.path, file.content, file.mode, FileOwner{0, group});
        !done) {
      return fail(cannot_write(file.path, done.error()));
    }
  }
  return {};
}

Checked<std::vector<std::string>> remove_files(const JoinPaths& paths) {
  std::vector<std::string> gone;
  std::error_code error;
  for (const std::string& path : {paths.settings, paths.bounds, paths.config_file}) {
    const auto present = read_file(path, kMaxFileBytes);
    if (!present || !present->starts_with(kWrittenByJoin)) continue;
    const std::string kept = path + std::string(kBeforeJoin);
    if (::access(kept.c_str(), F_OK) == 0) {
      fs::rename(kept, path, error);
    } else {
      fs::remove(path, error);
    }
    if (error) return fail(Diagnostic{path, "cannot be removed: " + error.message(), ""});
    gone.push_back(path);
  }
  for (const std::string& path : {paths.token_file, paths.ca_file, paths.dataplane_file}) {
    if (fs::remove(path, error)) gone.push_back(path);
    if (error) return fail(Diagnostic{path, "cannot be removed: " + error.message(), ""});
  }
  fs::remove(paths.folder, error);  // stays if an admin put something into it
  return gone;
}

Checked<bool> start_agent(bool is_restart) {
  if (!has_systemd()) return false;
  using Words = std::vector<std::string>;
  // Not waited for: a restart lets open connections end first.
  for (const Words& words :
       {Words{"systemctl", "enable", "mooring-net.service", "mooringd.service"},
        Words{"systemctl", "start", "--no-block", "mooring-net.service"},
        Words{"systemctl", is_restart ? "restart" : "start", "--no-block", "mooringd.service"}}) {
    if (const auto done = transparent_proxy::run_or_complain(words, ""); !done)
      return fail(done.error());
  }
  return true;
}

Checked<bool> stop_agent() {
  if (!has_systemd()) return false;
  for (const char* verb : {"disable", "stop"}) {
    std::vector<std::string> words{"systemctl", verb};
    if (std::string_view(verb) == "stop") words.emplace_back("--no-block");
    words.emplace_back("mooringd.service");
    if (const auto done = transparent_proxy::run_or_complain(words, ""); !done)
      return fail(done.error());
  }
  return true;
}

Checked<void> end_process(pid_t pid) {
  if (pid > 1 && ::kill(pid, SIGTERM) == 0) return {};
  return fail(Diagnostic{fmt::format("process {}", pid),
                         "cannot be ended: " + errno_text(pid > 1 ? errno : ESRCH),
                         ""});
}

void pause_for(Milliseconds span) noexcept {
  (void)::poll(nullptr, 0, static_cast<int>(span.count()));
}

}  // namespace mooring::cli
