// The typed messages between the agent, the command line and mooring-net: one message is one
// SEQPACKET packet. Both directions are decoded with every bound checked; rule text never travels.
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "capture_client/intercept_config.h"
#include "core/buffer.h"
#include "core/result.h"

namespace mooring::capture_client {

/// Raised when a message changes its layout or meaning. An upgrade restarts agent and helper one
/// at a time, so both serve the version before as well, with the fields that it knows.
///   2  Status has trial_ends_unix_s; Confirm brings a descriptor of /proc
///   3  InterceptConfig has dns_port, Status has dns
inline constexpr std::uint8_t kProtocolVersion = 3;
/// Version 2 writes the state file in the layout of 1, which is read as long as 2 is served.
inline constexpr std::uint8_t kOldestProtocol = 1;
inline constexpr std::size_t kMaxMessageBytes = 128 * 1024;
inline constexpr std::size_t kMaxTextBytes = 512;
inline constexpr std::uint16_t kMaxTrialSeconds = 3600;

// ---- requests, client to helper

/// `agent`: this connection stands for the agent, whose listeners accept. The helper pings it and
/// applies on_agent_death when it ends or stalls. `tool`: a command.
enum class Role : std::uint8_t { agent, tool };

struct Hello {
  Role role = Role::tool;
  std::string version;
  friend bool operator==(const Hello&, const Hello&) = default;
};
/// Root only: capture this, whatever capture.toml allows, now and whenever the agent connects.
struct SetPlan {
  InterceptConfig config;
  friend bool operator==(const SetPlan&, const SetPlan&) = default;
};
/// Root only: as SetPlan, but back to what was before unless Confirm comes in time. Answered by
/// Trial.
struct TryPlan {
  InterceptConfig config;
  std::uint16_t limit_s = 120;
  friend bool operator==(const TryPlan&, const TryPlan&) = default;
};
/// Root only, and only from a login that began after the capture that it confirms. Carries a
/// descriptor of the caller's /proc: the helper's own may hide whose process that is.
struct Confirm {
  friend bool operator==(const Confirm&, const Confirm&) = default;
};
/// The agent or root: capture this, which capture.toml or root's plan must allow.
struct Activate {
  InterceptConfig config;
  friend bool operator==(const Activate&, const Activate&) = default;
};
/// The agent or root: capture only this, which what is captured now must contain.
struct Narrow {
  InterceptConfig config;
  friend bool operator==(const Narrow&, const Narrow&) = default;
};
/// End capture. From root everything opens, until root's next SetPlan; from the agent only what
/// on_agent_death opens.
struct Drop {
  friend bool operator==(const Drop&, const Drop&) = default;
};
/// Listening sockets for each worker; answered by ListenerSet. Port 0: none of that direction,
/// because the agent has its own.
struct GetListeners {
  std::uint16_t workers = 1;
  std::uint16_t outbound_port = 15001;
  std::uint16_t inbound_port = 15006;
  friend bool operator==(const GetListeners&, const GetListeners&) = default;
};
struct GetStatus {
  friend bool operator==(const GetStatus&, const GetStatus&) = default;
};
struct Pong {
  std::uint64_t nonce = 0;
  friend bool operator==(const Pong&, const Pong&) = default;
};

// ---- answers and notices, helper to client

struct Welcome {
  std::string version;
  std::string backend;
  friend bool operator==(const Welcome&, const Welcome&) = default;
};
struct Done {
  friend bool operator==(const Done&, const Done&) = default;
};
struct Refused {
  Errc code = Errc::bad_input;
  std::string text;  // one sentence for the admin
  friend bool operator==(const Refused&, const Refused&) = default;
};

struct Trial {
  std::uint16_t limit_s = 0;  // 0: there is nothing to confirm
  friend bool operator==(const Trial&, const Trial&) = default;
};

enum class Direction : std::uint8_t { outbound, inbound };
struct ListenerInfo {
  Direction direction = Direction::outbound;
  bool is_v6 = false;
  std::uint16_t worker = 0;
  friend bool operator==(const ListenerInfo&, const ListenerInfo&) = default;
};
/// Carries one descriptor per entry, in order.
struct ListenerSet {
  std::vector<ListenerInfo> listeners;
  friend bool operator==(const ListenerSet&, const ListenerSet&) = default;
};
/// Carries the netlink socket that owns `table`. Whoever holds a copy keeps the table alive; the
/// copy held before is closed when this one is stored.
struct Owner {
  std::string table;
  friend bool operator==(const Owner&, const Owner&) = default;
};
struct Ping {
  std::uint64_t nonce = 0;
  friend bool operator==(const Ping&, const Ping&) = default;
};

enum class CaptureState : std::uint8_t {
  off,         // nothing is captured and nothing is wanted
  active,      // rules in place, the agent answers
  agent_dead,  // on_agent_death was applied; capture returns with the agent
  held_off,    // root switched capture off
  gave_up,     // another program kept removing the rules; on_agent_death was applied
};
/// Snake-case name, for status lines.
[[nodiscard]] const char* to_string(CaptureState state) noexcept;

/// Queries to the host's resolvers.
enum class DnsRedirection : std::uint8_t {
  not_allowed,  // neither capture.toml nor root's plan has it; an older helper knows of none
  allowed,      // the agent may ask for it
  active,       // they go to the agent
};
/// Likewise.
[[nodiscard]] const char* to_string(DnsRedirection dns) noexcept;

struct Status {
  CaptureState state = CaptureState::off;
  std::string backend;          // "nft inet", "nft ip+ip6", "iptables-nft", "iptables-legacy"
  bool is_owned = false;        // the table is held by a netlink socket (survives a foreign flush)
  std::string table;            // empty while nothing is captured
  bool has_guard = false;       // closed tuples are guarded
  bool is_draining = false;     // connections redirected before capture ended are still alive
  std::uint32_t agent_pid = 0;  // 0: no agent is connected
  std::uint32_t agent_uid = 0;
  std::uint32_t repairs = 0;   // of rules that another program changed, since start
  std::uint32_t openings = 0;  // times that captured traffic was opened because the agent was gone
  std::uint64_t since_unix_s = 0;         // of the present state
  std::string problem;                    // the last one, empty if there was none
  std::optional<InterceptConfig> config;  // captured now, or by the agent's return
  std::uint64_t trial_ends_unix_s = 0;    // 0: nothing waits for a confirmation
  DnsRedirection dns = DnsRedirection::not_allowed;
  friend bool operator==(const Status&, const Status&) = default;
};

using Body = std::variant<Hello,
                          SetPlan,
                          Activate,
                          Narrow,
                          Drop,
                          GetListeners,
                          GetStatus,
                          Pong,
                          Welcome,
                          Done,
                          Refused,
                          ListenerSet,
                          Owner,
                          Ping,
                          Status,
                          TryPlan,
                          Confirm,
                          Trial>;

/// `id` of an answer is that of its request; 0 for a notice and for Pong. Notices go to the agent:
/// Owner, Ping, and Status (without its config) when something in it changed.
struct Message {
  std::uint32_t id = 0;
  Body body;
  std::uint8_t version = kProtocolVersion;  // of the peer that it is for, or comes from
  friend bool operator==(const Message&, const Message&) = default;
};

/// Text longer than kMaxTextBytes is cut. Vectors beyond their bounds are the caller's fault
/// (AGENT_CHECK).
[[nodiscard]] std::vector<std::byte> encode(const Message& message);

/// Accepts exactly what encode() makes, of this version and the one before: unsupported for any
/// other (which is then the error's detail), bad_input for anything else that is malformed,
/// truncated or followed by more bytes, too_large beyond a bound.
[[nodiscard]] Result<Message> decode(Bytes packet);

/// Counts, ports and prefixes within their bounds; what encode() needs of a config made from a
/// file.
[[nodiscard]] Result<void> check_bounds(const InterceptConfig& config) noexcept;

}  // namespace mooring::capture_client
