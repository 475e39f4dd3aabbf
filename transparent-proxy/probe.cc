// The functional half of backend.h: a child process makes a network namespace and tries a plan that
// has everything.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "core/fd.h"
#include "transparent-proxy/backend.h"
#include "transparent-proxy/helper/privileges.h"

namespace mooring::transparent_proxy {

namespace {

constexpr int kWorks = 0;
constexpr int kFails = 1;
constexpr int kNoNamespace = 2;
constexpr const char* kBootSuffix = "00000000";

Plan probe_plan(const ProbeResult& candidate) {
  InterceptConfig config;
  for (const char* prefix : {"198.51.100.0/24", "2001:db8::/32"}) {
    config.outbound.push_back({*parse_prefix(prefix), 80, OnAgentDeath::open});
    config.outbound.push_back({*parse_prefix(prefix), 443, OnAgentDeath::closed});
  }
  config.inbound = {{80, OnAgentDeath::open}, {443, OnAgentDeath::closed}};
  HostFacts facts;
  facts.agent_uid = 0;  // the only uid that the child's user namespace knows
  facts.boot_suffix = kBootSuffix;
  facts.resolvers = {*parse_ip("192.0.2.53"), *parse_ip("2001:db8::53")};
  facts.sshd_ports = {22};
  facts.has_tproxy = candidate.has_tproxy;
  return *plan(config, facts);
}

bool write_text(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// With CAP_SYS_ADMIN a network namespace is enough; else it comes with a user namespace, in which
// we are root.
bool enter_namespace() {
  const uid_t uid = ::geteuid();
  if (::unshare(CLONE_NEWNET) == 0) return true;
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  return write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/uid_map", fmt::format("0 {} 1", uid));
}

struct Child {
  int code = kFails;
  std::string text;
};

Child in_child(const std::function<Checked<void>()>& attempt) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {kFails, "no descriptors left"};
  UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return {kFails, "cannot fork"};
  if (pid == 0) {
    if (!enter_namespace()) ::_exit(kNoNamespace);
    const auto done = attempt();
    if (done) ::_exit(kWorks);
    const std::string text = describe(done.error()).substr(0, 512);
    (void)!::write(write.get(), text.data(), text.size());
    ::_exit(kFails);
  }
  write.reset();
  Child child;
  char block[512];
  for (ssize_t got = 0; (got = ::read(read.get(), block, sizeof block)) > 0;)
    child.text.append(block, static_cast<std::size_t>(got));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  child.code = WIFEXITED(status) ? WEXITSTATUS(status) : kFails;
  if (!WIFEXITED(status))
    child.text = fmt::format("the attempt ended with signal {}", WTERMSIG(status));
  return child;
}

// capture() compares what the kernel lists with the plan; a second generation and the removal are
// what life brings.
Checked<void> exercise(const ProbeResult& candidate) {
  auto rules = make_rules(candidate, kBootSuffix);
  if (!rules) return fail(rules.error());
  const Plan plan = probe_plan(candidate);
  for (int generation = 0; generation < 2; ++generation) {
    if (auto done = (*rules)->capture(plan); !done) return done;
  }
  if (!(*rules)->is_intact()) return fail(Diagnostic{"rules", "change by themselves", ""});
  if (auto done = (*rules)->release(plan); !done) return done;
  return (*rules)->clear();
}

/// In the order of preference.
std::vector<ProbeResult> variants_of(BackendKind kind, const ProbeOptions& options) {
  const bool is_nft = kind == BackendKind::nft_inet || kind == BackendKind::nft_split;
  std::vector<ProbeResult> variants;
  for (const bool has_tproxy : {true, false}) {
    if (has_tproxy && options.without_tproxy) continue;
    if (is_nft && !options.is_plain) {
      variants.push_back({kind, false, true, true, "", has_tproxy});
      variants.push_back({kind, false, false, true, "", has_tproxy});
    }
    variants.push_back({kind, false, false, false, "", has_tproxy});
  }
  return variants;
}

/// Nothing if it works.
std::string try_out(ProbeResult& candidate) {
  const Child child = in_child([&] { return exercise(candidate); });
  if (child.code == kFails) return child.text.empty() ? "does not work" : child.text;
  if (child.code == kNoNamespace) {
    // The kernel judges the rules without keeping them.
    const auto checked = check_rules(candidate, probe_plan(candidate));
    if (!checked) return describe(checked.error());
    candidate.problem = "not tried in a namespace of its own: none can be made here";
  }
  candidate.works = true;
  return {};
}

ProbeResult probe(BackendKind kind, const ProbeOptions& options) {
  // In a user namespace of its own the attempt has every capability: what is missing out here has
  // to be looked for out here.
  if (kind == BackendKind::iptables_legacy && !has_capability(CAP_NET_RAW)) {
    return {kind,
            false,
            false,
            false,
            "needs CAP_NET_RAW besides CAP_NET_ADMIN, and this process lacks it"};
  }
  std::string problems;
  for (ProbeResult& candidate : variants_of(kind, options)) {
    std::string problem = try_out(candidate);
    if (candidate.works) {
      if (candidate.problem.empty()) candidate.problem = std::move(problems);
      return candidate;
    }
    problems = std::move(problem);
  }
  return {kind, false, false, false, problems};
}

}  // namespace

std::vector<ProbeResult> probe_backends(const ProbeOptions& options) {
  std::vector<ProbeResult> results;
  for (const BackendKind kind : {BackendKind::nft_inet,
                                 BackendKind::nft_split,
                                 BackendKind::iptables_nft,
                                 BackendKind::iptables_legacy}) {
    results.push_back(probe(kind, options));
    const bool is_full = results.back().has_tproxy || options.without_tproxy;
    if (options.stops_at_first && results.back().works && is_full) break;
  }
  return results;
}

}  // namespace mooring::transparent_proxy
