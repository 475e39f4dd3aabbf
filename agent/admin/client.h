// The command line's side of the admin API: one request over the unix socket. Blocking; never on a
// loop.
#pragma once

#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"
#include "http/message.h"

namespace mooring::admin {

/// `target` is a path with its query, already encoded. Fails with not_found or refused when no
/// agent listens, permission when this user may not open the socket, timed_out after `timeout` for
/// the whole exchange, too_large beyond 128 MiB. A status other than 200 is no failure.
[[nodiscard]] Result<http::Response> request(const std::string& socket_path,
                                             std::string_view method,
                                             std::string_view target,
                                             Milliseconds timeout = Milliseconds(10000));

}  // namespace mooring::admin
