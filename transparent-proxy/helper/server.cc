#include "transparent-proxy/helper/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/escape.h"
#include "core/log.h"
#include "transparent-proxy/helper/listeners.h"
#include "transparent-proxy/helper/login.h"

namespace mooring::transparent_proxy {

using namespace capture_client;  // every name here is a message

namespace {

constexpr std::size_t kMaxSessions = 32;
// The agent's user, and all the others together; the rest is always free for root.
constexpr std::size_t kMaxSessionsOfAgent = 8;
constexpr std::size_t kMaxSessionsOfOthers = 8;

enum Who : std::uint8_t { kAnybody = 1, kAgent = 2, kRoot = 4 };

// By the position in Body; answers may be sent by nobody.
constexpr std::array<std::uint8_t, std::variant_size_v<Body>> kMaySend{
    kAnybody,        // Hello; the agent's role is checked apart
    kRoot,           // SetPlan
    kAgent | kRoot,  // Activate
    kAgent | kRoot,  // Narrow
    kAgent | kRoot,  // Drop
    kAgent | kRoot,  // GetListeners
    kAnybody,        // GetStatus
    kAgent,          // Pong
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    kRoot,  // TryPlan
    kRoot,  // Confirm
    0,
};

Checked<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail(Diagnostic{"SO_PEERCRED", describe(error_from_errno(errno, "getsockopt")), ""});
  }
  return Peer{credentials.uid, credentials.pid};
}

}  // namespace

Checked<void> check_permission(const Body& request, uid_t uid, uid_t agent_uid) {
  const std::size_t type = request.index();
  const unsigned who = kMaySend[type];
  const unsigned is =
      kAnybody | (uid == 0 ? unsigned{kRoot} : 0U) | (uid == agent_uid ? unsigned{kAgent} : 0U);
  if ((who & is) == 0)
    return fail(Diagnostic{"request", fmt::format("is not allowed for uid {}", uid), ""});
  const auto* hello = std::get_if<Hello>(&request);
  if (hello != nullptr && hello->role == Role::agent && uid != agent_uid) {
    return fail(Diagnostic{
        "hello",
        fmt::format("only uid {} may stand for the agent, this is uid {}", agent_uid, uid),
        ""});
  }
  return {};
}

struct Server::Session {
  Session(Server& server, UniqueFd socket, Peer who)
      : fd(std::move(socket)),
        peer(who),
        watch(server.loop_, fd.get(), [this, &server](int, int) { server.on_readable(*this); }) {
    watch.start(PollWatch::readable);
  }
  void post(std::uint32_t id, Body body, const std::vector<int>& descriptors = {}) const {
    post_message(fd.get(), {id, std::move(body), version}, descriptors);
  }
  UniqueFd fd;
  Peer peer;
  std::uint8_t version = kProtocolVersion;  // that the peer speaks
  bool has_greeted = false;
  bool was_agent = false;  // said so; another may have taken its place since
  bool is_retired = false;
  Liveness liveness;  // of the agent's session
  PollWatch watch;
};

Server::Server(
    Loop& loop, UniqueFd listener, Options options, CaptureControl& control, Rules& rules)
    : loop_(loop),
      control_(control),
      rules_(rules),
      options_(options),
      listener_(std::move(listener)),
      accept_watch_(loop, listener_.get(), [this](int, int) { on_accept(); }),
      ping_timer_(loop, [this] { on_ping_timer(); }) {
  accept_watch_.start(PollWatch::readable);
  ping_timer_.start(Liveness::kPingEvery, Liveness::kPingEvery);
}

Server::~Server() = default;

void Server::on_accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  const auto peer = peer_of(fd.get());
  if (!peer) return;
  const auto of_agent = [&](uid_t uid) { return uid == options_.agent_uid; };
  const auto count = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& session) {
    return session->peer.uid != 0 && of_agent(session->peer.uid) == of_agent(peer->uid);
  });
  const std::size_t limit = of_agent(peer->uid) ? kMaxSessionsOfAgent : kMaxSessionsOfOthers;
  if (sessions_.size() >= kMaxSessions) return;
  if (peer->uid != 0 && static_cast<std::size_t>(count) >= limit) return;
  sessions_.push_back(std::make_unique<Session>(*this, std::move(fd), *peer));
}

void Server::on_readable(Session& session) {
  for (int i = 0; i < 16 && !session.is_retired; ++i) {
    auto received = receive_message(session.fd.get());
    if (!received) {
      if (received.error().code == Errc::timed_out) return;
      return on_unreadable(session, received.error());
    }
    on_message(session, *received);
  }
}

void Server::on_unreadable(Session& session, const Error& error) {
  if (error.code == Errc::unsupported) {
    session.post(0,
                 Refused{Errc::unsupported,
                         fmt::format("mooring-net {} speaks protocol {} to {}, not {}: restart "
                                     "what is older",
                                     MOORING_VERSION,
                                     kOldestProtocol,
                                     kProtocolVersion,
                                     error.detail)});
  }
  retire(session, describe(error));
}

void Server::on_message(Session& session, Received& received) {
  const Message& message = received.message;
  session.version = message.version;
  if (const auto allowed = check_permission(message.body, session.peer.uid, options_.agent_uid);
      !allowed) {
    log::warn("refused a request uid={} pid={}: {}",
              session.peer.uid,
              session.peer.pid,
              describe(allowed.error()));
    return answer(session, message.id, allowed);
  }
  if (const auto* hello = std::get_if<Hello>(&message.body))
    return on_hello(session, message.id, *hello);
  if (!session.has_greeted) return retire(session, "no greeting");
  if (const auto* pong = std::get_if<Pong>(&message.body)) {
    if (session.liveness.pong(pong->nonce) && agent_ == &session) {
      control_.on_agent_recovered();
      hand_over_owner();
    }
    return;
  }
  on_request(session, received);
}

void Server::on_hello(Session& session, std::uint32_t id, const Hello& hello) {
  session.has_greeted = true;
  session.post(id, Welcome{MOORING_VERSION, rules_.view().backend});
  if (hello.role != Role::agent) return;
  log::info(
      "agent connected pid={} version={}", session.peer.pid, escape_peer_text(hello.version, 32));
  session.was_agent = true;
  agent_ = &session;
  control_.on_agent_present();
  hand_over_owner();
  told_.reset();
  tell_status();
}

void Server::on_request(Session& session, Received& received) {
  const Message& message = received.message;
  const auto caller =
      session.peer.uid == 0 ? CaptureControl::Caller::root : CaptureControl::Caller::agent;
  if (const auto* set = std::get_if<SetPlan>(&message.body)) {
    answer(session, message.id, control_.set_plan(set->config));
  } else if (const auto* attempt = std::get_if<TryPlan>(&message.body)) {
    on_try(session, message.id, *attempt);
  } else if (std::holds_alternative<Confirm>(message.body)) {
    on_confirm(session, message.id, received.descriptors);
  } else if (const auto* activate = std::get_if<Activate>(&message.body)) {
    if (agent_ == nullptr) {
      return answer(session, message.id, fail(Diagnostic{"capture", "no agent is connected", ""}));
    }
    answer(session, message.id, control_.activate(activate->config));
  } else if (const auto* narrow = std::get_if<Narrow>(&message.body)) {
    answer(session, message.id, control_.narrow(narrow->config));
  } else if (std::holds_alternative<Drop>(message.body)) {
    // An agent that was replaced ends in order; capture belongs to the next one.
    const bool is_replaced = session.was_agent && agent_ != &session;
    answer(session, message.id, is_replaced ? Checked<void>{} : control_.drop(caller));
  } else if (const auto* listeners = std::get_if<GetListeners>(&message.body)) {
    give_listeners(session, message.id, *listeners);
  } else if (std::holds_alternative<GetStatus>(message.body)) {
    Status status = control_.status();
    status.agent_uid = options_.agent_uid;
    if (agent_ != nullptr) status.agent_pid = static_cast<std::uint32_t>(agent_->peer.pid);
    session.post(message.id, std::move(status));
  }
}

void Server::on_try(Session& session, std::uint32_t id, const TryPlan& attempt) {
  const std::uint64_t began = ticks_since_boot();
  const auto limit = control_.try_plan(attempt.config, std::chrono::seconds{attempt.limit_s});
  if (!limit) return answer(session, id, fail(limit.error()));
  if (limit->count() > 0) trial_began_ = began;
  hand_over_owner();
  session.post(id, Trial{static_cast<std::uint16_t>(limit->count())});
}

void Server::on_confirm(Session& session,
                        std::uint32_t id,
                        const std::vector<UniqueFd>& descriptors) {
  if (control_.is_on_trial()) {
    const ProcessReader read(descriptors.size() == 1 ? descriptors[0].get() : -1);
    if (const auto fresh = check_login(session.peer.pid, trial_began_, read); !fresh)
      return answer(session, id, fresh);
  }
  answer(session, id, control_.confirm());
}

void Server::answer(Session& session, std::uint32_t id, const Checked<void>& outcome) {
  if (outcome) {
    // First the owner, then the answer: once the agent knows that capture is on, it holds what
    // keeps it alive, and knows what became of queries for names.
    hand_over_owner();
    if (agent_ != nullptr) tell_status();
    session.post(id, Done{});
  } else {
    session.post(id, Refused{Errc::permission, describe(outcome.error())});
  }
}

void Server::give_listeners(Session& session, std::uint32_t id, const GetListeners& request) {
  auto made = make_listeners(request, options_.redirects_inbound);
  if (!made) {
    log::error("listeners: {}", describe(made.error()));
    return answer(session, id, fail(made.error()));
  }
  std::vector<int> descriptors;
  for (const UniqueFd& fd : made->descriptors)
    descriptors.push_back(fd.get());
  session.post(id, std::move(made->set), descriptors);
}

void Server::hand_over_owner() {
  const RulesView view = rules_.view();
  if (agent_ == nullptr || !view.is_owned || view.owner_fd < 0) return;
  if (const auto sent =
          send_message(agent_->fd.get(), {0, Owner{view.table}, agent_->version}, {view.owner_fd});
      !sent) {
    log::warn("owner not handed over: {}", describe(sent.error()));
  }
}

// A copy of a socket that owns nothing takes the place of the one that keeps the rules.
void Server::take_owner_back() {
  if (!control_.needs_owner_back()) return;
  const UniqueFd nothing(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (nothing.valid()) agent_->post(0, Owner{}, {nothing.get()});
}

// What changed since it was told last; its metrics and status have it without asking.
void Server::tell_status() {
  Status status = control_.status();
  status.config.reset();
  if (told_ == status) return;
  if (send_message(agent_->fd.get(), {0, status, agent_->version})) told_ = std::move(status);
}

void Server::retire(Session& session, const std::string& why) {
  if (std::exchange(session.is_retired, true)) return;
  session.watch.stop();
  ::shutdown(session.fd.get(), SHUT_RDWR);
  const auto at = std::find_if(
      sessions_.begin(), sessions_.end(), [&](const auto& held) { return held.get() == &session; });
  retired_.push_back(std::move(*at));
  sessions_.erase(at);
  if (agent_ != &session) return;
  agent_ = nullptr;
  log::warn("agent gone pid={} reason=\"{}\"", session.peer.pid, why);
  control_.on_agent_gone("the agent is gone");
}

void Server::on_ping_timer() {
  retired_.clear();
  if (agent_ == nullptr) return;
  const bool was_dead = agent_->liveness.is_dead();
  const std::uint64_t nonce = agent_->liveness.ping();
  // A full buffer is an unanswered ping like any other.
  agent_->post(0, Ping{nonce});
  tell_status();
  take_owner_back();
  if (agent_->liveness.is_dead() && !was_dead) {
    log::error("agent does not answer pid={}", agent_->peer.pid);
    control_.on_agent_gone("the agent does not answer");
  }
}

}  // namespace mooring::transparent_proxy
