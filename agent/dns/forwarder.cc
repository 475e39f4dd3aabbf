#include "dns/forwarder.h"

#include <algorithm>
#include <utility>

#include "dns/message.h"

namespace mooring::dns {

namespace {

constexpr Milliseconds kTick{250};

}  // namespace

Forwarder::Forwarder(Loop& loop, net::StreamPool& pool, Resolvers resolvers)
    : loop_(loop),
      pool_(pool),
      resolvers_(std::move(resolvers)),
      tick_(loop, [this] { tick(); }),
      reaper_(loop, [this] { retired_.clear(); }) {}

void Forwarder::ask(Bytes query, OnReply on_reply) {
  if (waiting_.size() >= kMaxWaiting) give_up(waiting_.begin()->first);
  const std::uint64_t number = ++last_;
  Waiting& waiting = waiting_[number];
  waiting.query.assign(query.begin(), query.end());
  waiting.client_id = id_of(query);
  waiting.on_reply = std::move(on_reply);
  waiting.untried = resolvers_();
  std::reverse(waiting.untried.begin(), waiting.untried.end());
  set_id(waiting.query, static_cast<std::uint16_t>(random_()));
  if (waiting_.size() == 1) tick_.start(kTick, kTick);
  try_next(number);
}

void Forwarder::try_next(std::uint64_t number) {
  Waiting& waiting = waiting_.at(number);
  while (!waiting.untried.empty()) {
    const SocketAddress resolver = waiting.untried.back();
    waiting.untried.pop_back();
    auto fd = net::make_connected_datagram_socket(resolver);
    if (!fd) continue;
    if (waiting.socket) retired_.push_back(std::move(waiting.socket));
    waiting.socket = std::make_unique<net::DatagramSocket>(
        loop_, pool_, std::move(*fd), [this, number](Bytes bytes, const SocketAddress&) {
          on_datagram(number, bytes);
        });
    waiting.due_ms = loop_.now_ms() + static_cast<std::uint64_t>(kPatience.count());
    waiting.socket->send(waiting.query);
    return;
  }
  give_up(number);
}

void Forwarder::on_datagram(std::uint64_t number, Bytes bytes) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  if (!is_reply_to(bytes, id_of(found->second.query), found->second.query)) return;
  Waiting done = std::move(found->second);
  waiting_.erase(found);
  std::vector<std::byte> reply(bytes.begin(), bytes.end());
  set_id(reply, done.client_id);
  done.on_reply(reply);
  retire(std::move(done));
}

void Forwarder::give_up(std::uint64_t number) {
  const auto found = waiting_.find(number);
  Waiting done = std::move(found->second);
  waiting_.erase(found);
  set_id(done.query, done.client_id);
  done.on_reply(failure(done.query, ResponseCode::server_failure));
  retire(std::move(done));
}

// A socket may be inside its own callback.
void Forwarder::retire(Waiting waiting) {
  if (waiting.socket) retired_.push_back(std::move(waiting.socket));
  reaper_.start(Milliseconds{0});
  if (waiting_.empty()) tick_.stop();
}

void Forwarder::tick() {
  std::vector<std::uint64_t> due;
  for (const auto& [number, waiting] : waiting_) {
    if (waiting.due_ms <= loop_.now_ms()) due.push_back(number);
  }
  for (const std::uint64_t number : due)
    try_next(number);
  if (!retired_.empty()) reaper_.start(Milliseconds{0});
}

}  // namespace mooring::dns
