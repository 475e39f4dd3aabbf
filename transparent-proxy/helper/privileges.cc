#include "transparent-proxy/helper/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>

namespace mooring::transparent_proxy {

namespace {

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool read_sets(Sets& sets) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, sets.data()) == 0;
}

bool write_sets(const Sets& sets) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

bool has_only(const Sets& sets, std::uint32_t wanted) noexcept {
  const auto& [first, second] = sets;
  return first.effective == wanted && first.permitted == wanted && first.inheritable == wanted &&
         (second.effective | second.permitted | second.inheritable) == 0;
}

constexpr std::uint32_t bit(int capability) {
  return 1U << (static_cast<unsigned>(capability) % 32U);
}
static_assert(CAP_NET_ADMIN < 32 && CAP_NET_RAW < 32);  // both in the first word

tl::unexpected<Diagnostic> cannot(const char* what) {
  return fail(Diagnostic{"privileges", describe(error_from_errno(errno, what)), ""});
}

Checked<void> change_user(const PrivilegeOptions& options) {
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return cannot("keep capabilities");
  if (::setgroups(1, &options.extra_group) != 0) return cannot("setgroups");
  const gid_t gid = options.become->gid;
  const uid_t uid = options.become->uid;
  if (::setresgid(gid, gid, gid) != 0) return cannot("setresgid");
  if (::setresuid(uid, uid, uid) != 0) return cannot("setresuid");
  return {};
}

}  // namespace

Checked<Account> find_account(const std::string& name) {
  uid_t uid = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), uid);
  const bool is_number = problem == std::errc{} && end == name.data() + name.size();
  // NOLINTNEXTLINE(concurrency-mt-unsafe): start only
  const passwd* entry = is_number ? ::getpwuid(uid) : ::getpwnam(name.c_str());
  if (entry != nullptr) return Account{entry->pw_uid, entry->pw_gid};
  if (is_number) return Account{uid, uid};
  return fail(Diagnostic{name, "there is no such user", ""});
}

bool has_capability(int capability) noexcept {
  Sets sets{};
  return read_sets(sets) && (sets[0].effective & bit(capability)) != 0;
}

Checked<void> drop_privileges(const PrivilegeOptions& options) {
  // Before the user changes: needs CAP_SETPCAP, which an unprivileged start does not have and does
  // not need.
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    const bool is_kept =
        capability == CAP_NET_ADMIN || (options.keeps_net_raw && capability == CAP_NET_RAW);
    if (!is_kept) (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  if (options.become != nullptr) {
    if (auto done = change_user(options); !done) return done;
  }
  Sets sets{};
  if (!read_sets(sets)) return cannot("capget");
  if ((sets[0].permitted & bit(CAP_NET_ADMIN)) == 0) {
    return fail(Diagnostic{
        "privileges", "CAP_NET_ADMIN is missing", "AmbientCapabilities=CAP_NET_ADMIN in the unit"});
  }
  std::uint32_t kept = bit(CAP_NET_ADMIN);
  if (options.keeps_net_raw) kept |= sets[0].permitted & bit(CAP_NET_RAW);
  // A unit that grants no more than this may also forbid the call.
  if (!has_only(sets, kept)) {
    sets = {};
    sets[0] = {kept, kept, kept};
    if (!write_sets(sets)) return cannot("capset");
  }
  for (const int capability : {CAP_NET_ADMIN, CAP_NET_RAW}) {
    if ((kept & bit(capability)) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return cannot("ambient capability");
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return cannot("no new privileges");
  return {};
}

}  // namespace mooring::transparent_proxy
