// The two listening sockets of the admin API.
#pragma once

#include <string>

#include "core/address.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::admin {

/// A unix stream socket, mode 0660 from its first moment. A socket that a dead process left behind
/// is replaced; conflict when somebody answers there or the path is something else.
[[nodiscard]] Result<UniqueFd> listen_unix(const std::string& path);

[[nodiscard]] Result<UniqueFd> listen_tcp(const SocketAddress& address);

}  // namespace mooring::admin
