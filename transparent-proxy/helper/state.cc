// The helper's state file: one byte, then two messages with their lengths.
#include "transparent-proxy/helper/control.h"

#include "capture_client/messages.h"
#include "capture_client/wire.h"

namespace mooring::transparent_proxy {

namespace {

using capture_client::Activate;
using capture_client::WireReader;
using capture_client::WireWriter;

void append(std::string& out, const std::optional<InterceptConfig>& config) {
  std::vector<std::byte> packet;
  // In the older layout: whoever goes back to the version before keeps what was captured.
  if (config)
    packet = capture_client::encode({0, Activate{*config}, capture_client::kOldestProtocol});
  WireWriter size;
  size.number(static_cast<std::uint32_t>(packet.size()));
  for (const auto& part : {size.take(), packet}) {
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
}

Result<std::optional<InterceptConfig>> take(Bytes& in) {
  WireReader head(in);
  const auto size = head.number<std::uint32_t>();
  if (!head.ok() || size > in.size() - 4) return fail(Errc::bad_input, "state file");
  const Bytes packet = in.subspan(4, size);
  in = in.subspan(4 + size);
  if (packet.empty()) return std::optional<InterceptConfig>();
  auto message = capture_client::decode(packet);
  if (!message) return fail(message.error());
  auto* activate = std::get_if<Activate>(&message->body);
  if (activate == nullptr || message->id != 0) return fail(Errc::bad_input, "state file");
  return std::optional<InterceptConfig>(std::move(activate->config));
}

}  // namespace

std::string encode_state(const SavedState& state) {
  std::string out(1, state.is_held_off ? '\1' : '\0');
  append(out, state.active);
  append(out, state.set_by_root);
  return out;
}

Result<SavedState> decode_state(std::string_view bytes) {
  Bytes in = std::as_bytes(std::span(bytes));
  if (in.empty() || in[0] > std::byte{1}) return fail(Errc::bad_input, "state file");
  SavedState state;
  state.is_held_off = in[0] == std::byte{1};
  in = in.subspan(1);
  for (auto* config : {&state.active, &state.set_by_root}) {
    auto taken = take(in);
    if (!taken) return fail(taken.error());
    *config = std::move(*taken);
  }
  if (!in.empty()) return fail(Errc::bad_input, "state file");
  return state;
}

}  // namespace mooring::transparent_proxy
