// One message over a unix SEQPACKET socket, with the descriptors that travel beside it. Any thread.
#pragma once

#include <string>
#include <vector>

#include "capture_client/messages.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::capture_client {

/// Connects without blocking for long: a unix connect either succeeds, fails or finds the backlog
/// full.
[[nodiscard]] Result<UniqueFd> connect_helper(const std::string& socket_path, bool is_blocking);

/// Fails with exhausted if the socket's buffer is full (non-blocking), closed or reset if the peer
/// is gone.
[[nodiscard]] Result<void> send_message(int fd,
                                        const Message& message,
                                        const std::vector<int>& descriptors = {});

/// For what needs no answer of its own: a full buffer loses the message, any other failure ends the
/// connection, which the next read sees.
void post_message(int fd, const Message& message, const std::vector<int>& descriptors = {});

/// Was a greeting in `version` not understood because the helper may be of the version before? Then
/// it is worth another one in that.
[[nodiscard]] bool may_be_older(const Error& error, std::uint8_t version) noexcept;
[[nodiscard]] bool may_be_older(const Refused& refused, std::uint8_t version) noexcept;

struct Received {
  Message message;
  std::vector<UniqueFd> descriptors;
};
/// Fails with timed_out where nothing is there (non-blocking) or came in time (SO_RCVTIMEO), closed
/// at the end of the stream, and as decode() does. Descriptors of a message that fails are closed.
[[nodiscard]] Result<Received> receive_message(int fd);

}  // namespace mooring::capture_client
