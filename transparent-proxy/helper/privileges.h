// What the helper may do: program rules, nothing else.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/result.h"

namespace mooring::transparent_proxy {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};
/// By name or number. Blocking: start only.
[[nodiscard]] Checked<Account> find_account(const std::string& name_or_uid);

struct PrivilegeOptions {
  bool keeps_net_raw = false;       // iptables-legacy opens a raw socket
  const Account* become = nullptr;  // change to this user, with `extra_group` beside its own
  gid_t extra_group = 0;
};

/// Keeps CAP_NET_ADMIN (and CAP_NET_RAW if asked for and had), also for the programs it runs; gives
/// up every other capability for good. Fails without CAP_NET_ADMIN.
[[nodiscard]] Checked<void> drop_privileges(const PrivilegeOptions& options);

[[nodiscard]] bool has_capability(int capability) noexcept;

}  // namespace mooring::transparent_proxy
