#include "transparent-proxy/helper/run.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "core/file.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/sd_notify.h"
#include "transparent-proxy/backend.h"
#include "transparent-proxy/bounds.h"
#include "transparent-proxy/conntrack.h"
#include "transparent-proxy/facts.h"
#include "transparent-proxy/helper/control.h"
#include "transparent-proxy/helper/options.h"
#include "transparent-proxy/helper/privileges.h"
#include "transparent-proxy/helper/rule_events.h"
#include "transparent-proxy/helper/server.h"

namespace mooring::transparent_proxy {

namespace {

constexpr Milliseconds kTick{250};
// Rules are looked at after a notice of the kernel, gathered for a moment, and now and then in any
// case.
constexpr Milliseconds kGather{100};
constexpr unsigned kTicksPerLook = 20;  // 5 s
constexpr unsigned kTicksUntilSettled = 40;
// iptables-legacy sends no notices.
constexpr unsigned kTicksPerLookWithoutNotices = 3;
constexpr std::size_t kMaxStateBytes = std::size_t{512} * 1024;

int give_up(int code, const Diagnostic& diagnostic) {
  log::error("{}", describe(diagnostic));
  return code;
}

Checked<ProbeResult> pick_backend(const Options& options) {
  const auto results =
      probe_backends({options.backend.empty(), options.is_plain, options.without_tproxy});
  for (const ProbeResult& result : results) {
    log::debug("probe backend={} works={} can_own={} problem=\"{}\"",
               to_string(result.kind),
               result.works,
               result.can_own,
               result.problem);
  }
  if (!options.backend.empty()) {
    const auto wanted = parse_backend(options.backend);
    if (!wanted) return fail(Diagnostic{"--backend", "is not a backend", "see --help"});
    for (const ProbeResult& result : results) {
      if (result.kind == *wanted && result.works) return result;
      if (result.kind == *wanted) return fail(Diagnostic{options.backend, result.problem, ""});
    }
  }
  utsname system{};
  ::uname(&system);
  return choose_backend(results, parse_kernel_version(system.release), is_legacy_nat_live());
}

Checked<void> write_or_remove(const std::string& file, const std::string& content) {
  if (content.empty()) {
    if (::unlink(file.c_str()) == 0 || errno == ENOENT) return {};
    return fail(Diagnostic{file, describe(error_from_errno(errno, "unlink")), ""});
  }
  if (const auto done = write_file_atomically(file, content, 0600); !done)
    return fail(Diagnostic{file, describe(done.error()), ""});
  return {};
}

SavedState load_state(const std::string& file) {
  const auto bytes = read_file(file, kMaxStateBytes);
  if (!bytes) return {};
  auto state = decode_state(*bytes);
  if (state) return std::move(*state);
  log::warn("{} is not a state file of this version: starting with nothing captured", file);
  return {};
}

SavedState load_all(const std::string& folder) {
  SavedState state = load_state(folder + "/state");
  state.was_on_trial = ::access((folder + "/trial").c_str(), F_OK) == 0;
  return state;
}

// The running helper: everything that lives as long as the loop.
class Helper {
 public:
  Helper(const Options& options,
         const Account& agent,
         const ProbeResult& backend,
         std::unique_ptr<Rules> rules,
         UniqueFd listener)
      : rules_(std::move(rules)),
        control_(environment(options, agent, backend.has_tproxy, *rules_),
                 load_all(options.state_dir)),
        gather_(loop_,
                [this] {
                  is_gathering_ = false;
                  control_.on_rules_changed();
                }),
        tick_(loop_, [this] { on_tick(); }),
        terminate_(loop_, SIGTERM, [this] { loop_.stop(); }),
        interrupt_(loop_, SIGINT, [this] { loop_.stop(); }),
        ticks_per_look_(has_notices(backend) ? kTicksPerLook : kTicksPerLookWithoutNotices) {
    watch_rules(has_notices(backend));
    control_.start();
    server_.emplace(loop_,
                    std::move(listener),
                    Server::Options{agent.uid, !backend.has_tproxy},
                    control_,
                    *rules_);
  }

  void run() {
    tick_.start(kTick, kTick);
    sd_notify("READY=1");
    loop_.run();
    sd_notify("STOPPING=1");
    control_.on_stop();
  }

 private:
  static bool has_notices(const ProbeResult& backend) {
    return backend.kind != BackendKind::iptables_legacy;
  }

  CaptureControl::Environment environment(const Options& options,
                                          const Account& agent,
                                          bool has_tproxy,
                                          Rules& rules) {
    const uid_t uid = agent.uid;
    const std::string config = options.config;
    const std::string state = options.state_dir + "/state";
    const std::string trial = options.state_dir + "/trial";
    return {rules,
            clock_,
            [uid, has_tproxy] {
              HostFacts facts = gather_facts(uid);
              facts.has_tproxy = has_tproxy;
              return facts;
            },
            host_name_servers,
            [config] { return load_bounds(config); },
            [state](const SavedState& saved) {
              if (const auto done = write_file_atomically(state, encode_state(saved), 0600);
                  !done) {
                log::warn("{} cannot be written: {}", state, describe(done.error()));
              }
            },
            [trial](const std::string& content) { return write_or_remove(trial, content); },
            [](std::uint16_t port) {
              if (const auto done = forget_redirected_udp(port); !done) {
                log::warn("queries from open sockets may go nowhere for two minutes: {}",
                          describe(done.error()));
              }
            }};
  }

  void watch_rules(bool is_told) {
    if (!is_told) return;
    auto events = open_rule_events();
    if (!events) {
      log::warn("no notices of changed rules, looking each second: {}", describe(events.error()));
      ticks_per_look_ = kTicksPerLookWithoutNotices;
      return;
    }
    events_ = std::move(*events);
    events_watch_ = std::make_unique<PollWatch>(loop_, events_.get(), [this](int, int) {
      drain_rule_events(events_.get());
      if (!std::exchange(is_gathering_, true)) gather_.start(kGather);
    });
    events_watch_->start(PollWatch::readable);
  }

  void on_tick() {
    ++ticks_;
    if (ticks_ == kTicksUntilSettled) release_start_memory();
    control_.on_tick();
    if (ticks_ % ticks_per_look_ == 0) control_.on_rules_changed();
    const Milliseconds watchdog = sd_watchdog_interval();
    if (watchdog.count() > 0 && (kTick * ticks_since_watchdog_++) * 2 >= watchdog) {
      ticks_since_watchdog_ = 0;
      sd_notify("WATCHDOG=1");
    }
  }

  Loop loop_;
  Clock clock_;
  std::unique_ptr<Rules> rules_;
  CaptureControl control_;
  UniqueFd events_;
  std::unique_ptr<PollWatch> events_watch_;
  bool is_gathering_ = false;
  Timer gather_;
  Timer tick_;
  SignalWatch terminate_;
  SignalWatch interrupt_;
  unsigned ticks_per_look_;
  unsigned ticks_ = 0;
  unsigned ticks_since_watchdog_ = 0;
  std::optional<Server> server_;
};

void say_probe(const std::vector<ProbeResult>& results) {
  for (const ProbeResult& result : results) {
    std::string line =
        fmt::format("{:<16} {}", to_string(result.kind), result.works ? "works" : "does not work");
    if (result.can_own) line += ", owned";
    if (result.has_library) line += ", in process";
    if (result.works && !result.has_tproxy) line += ", without tproxy";
    if (!result.problem.empty()) line += fmt::format(" ({})", result.problem);
    std::puts(line.c_str());
  }
}

Checked<void> prepare_state_dir(const Options& options, const Account* owner) {
  if (::mkdir(options.state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(
        Diagnostic{options.state_dir, describe(error_from_errno(errno, "mkdir")), "--state-dir"});
  }
  if (owner != nullptr && ::chown(options.state_dir.c_str(), owner->uid, owner->gid) != 0) {
    return fail(Diagnostic{options.state_dir, describe(error_from_errno(errno, "chown")), ""});
  }
  return {};
}

// iptables-legacy wants a lock file, and root's own is not ours to open.
void choose_lock_file(const Options& options) {
  if (::access("/run/xtables.lock", W_OK) == 0) return;
  const std::string own = options.state_dir + "/xtables.lock";
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  ::setenv("XTABLES_LOCKFILE", own.c_str(), 1);
  log::warn("iptables-legacy: no lock in common with other programs, using {}", own);
}

}  // namespace

int run_helper(int argc, char** argv) {
  // nft may end before it has read everything.
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  if (const auto code = parse_options(argc, argv, options)) return *code;
  const auto level = log::parse_level(options.log_level);
  if (!level)
    return give_up(kExitConfig, {"--log-level", "is not a level", "debug, info, warn, error"});
  log::set_level(*level);
  if (options.wants_probe_only) {
    choose_lock_file(options);
    say_probe(probe_backends({false, options.is_plain, options.without_tproxy}));
    return 0;
  }
  const auto agent = find_account(options.agent_user);
  if (!agent) return give_up(kExitConfig, agent.error());
  std::optional<Account> own;
  if (!options.user.empty()) {
    const auto found = find_account(options.user);
    if (!found) return give_up(kExitConfig, found.error());
    own = *found;
  }
  if (const auto bounds = load_bounds(options.config); !bounds)
    return give_up(kExitConfig, bounds.error());
  if (const auto ready = prepare_state_dir(options, own ? &*own : nullptr); !ready)
    return give_up(kExitConfig, ready.error());

  const auto backend = pick_backend(options);
  if (!backend) return give_up(1, backend.error());
  auto listener = make_server_socket(options.socket, agent->gid);
  if (!listener) return give_up(1, listener.error());
  const bool is_legacy = backend->kind == BackendKind::iptables_legacy;
  if (const auto dropped = drop_privileges({is_legacy, own ? &*own : nullptr, agent->gid});
      !dropped)
    return give_up(1, dropped.error());
  if (::geteuid() == 0) log::warn("running as uid 0: use --user, root's files need no capability");
  if (is_legacy) choose_lock_file(options);
  const HostFacts facts = gather_facts(agent->uid);
  auto rules =
      make_rules(*backend,
                 facts.boot_suffix,
                 std::make_shared<Journal>(options.state_dir + "/journal", facts.boot_suffix));
  if (!rules) return give_up(1, rules.error());
  if (!log::start("", *level)) return 1;
  log::info("mooring-net {} backend={} owned={} tproxy={} agent_uid={}",
            MOORING_VERSION,
            to_string(backend->kind),
            backend->can_own,
            backend->has_tproxy,
            agent->uid);
  {
    Helper helper(options, *agent, *backend, std::move(*rules), std::move(*listener));
    helper.run();
  }
  log::stop();
  return 0;
}

}  // namespace mooring::transparent_proxy
