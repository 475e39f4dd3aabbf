#include "capture_client/helper_query.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "capture_client/transport.h"

namespace mooring::capture_client {

namespace {

constexpr std::uint32_t kHello = 1;
constexpr std::uint32_t kRequest = 2;

}  // namespace

HelperQuery::HelperQuery(
    Loop& loop, std::string socket_path, Body request, Milliseconds limit, OnDone on_done)
    : path_(std::move(socket_path)),
      limit_(limit),
      on_done_(std::move(on_done)),
      timer_(loop, [this] { on_limit(); }) {
  start(loop, std::move(request));
}

void HelperQuery::start(Loop& loop, Body request) {
  auto fd = connect_helper(path_, false);
  if (!fd && fd.error().detail == EAGAIN) {
    // unix(7): the backlog is full.
    return fail_soon({path_, "the capture helper does not answer", "it does not even accept"});
  }
  if (!fd) return fail_soon(explain(path_, fd.error()));
  fd_ = std::move(*fd);
  // Both at once: the helper takes them in order, and they fit into any socket buffer.
  for (const Message& message : {Message{kHello, Hello{Role::tool, MOORING_VERSION}},
                                 Message{kRequest, std::move(request)}}) {
    if (const auto sent = send_message(fd_.get(), message); !sent)
      return fail_soon(explain(path_, sent.error()));
  }
  watch_.emplace(loop, fd_.get(), [this](int, int) { on_readable(); });
  watch_->start(PollWatch::readable);
  timer_.start(limit_);
}

void HelperQuery::fail_soon(Diagnostic why) {
  failed_ = std::move(why);
  timer_.start(Milliseconds{0});
}

void HelperQuery::on_limit() {
  if (failed_) return finish(fail(std::move(*failed_)));
  finish(
      fail(Diagnostic{path_,
                      fmt::format("the capture helper did not answer within {} ms", limit_.count()),
                      "is it stopped or overloaded?"}));
}

void HelperQuery::on_readable() {
  // Notices may come first; a helper has no reason to send many.
  for (int i = 0; i < 16; ++i) {
    auto received = receive_message(fd_.get());
    if (!received) {
      if (received.error().code == Errc::timed_out) return;
      return finish(fail(explain(path_, received.error())));
    }
    if (auto* refused = std::get_if<Refused>(&received->message.body))
      return finish(fail(Diagnostic{"mooring-net", std::move(refused->text), ""}));
    if (received->message.id == kRequest) {
      return finish(Answer{std::move(received->message.body), std::move(received->descriptors)});
    }
  }
}

void HelperQuery::finish(Checked<Answer> outcome) {
  timer_.stop();
  if (watch_) watch_->stop();
  if (const OnDone done = std::exchange(on_done_, nullptr)) done(std::move(outcome));
}

Checked<std::vector<Listener>> listeners_of(const std::string& socket_path,
                                            HelperQuery::Answer answer) {
  const auto* set = std::get_if<ListenerSet>(&answer.body);
  if (set == nullptr || set->listeners.size() != answer.descriptors.size()) {
    return fail(Diagnostic{socket_path, "the capture helper gave an answer that does not fit", ""});
  }
  std::vector<Listener> listeners;
  listeners.reserve(answer.descriptors.size());
  for (std::size_t i = 0; i < answer.descriptors.size(); ++i)
    listeners.push_back({set->listeners[i], std::move(answer.descriptors[i])});
  return listeners;
}

}  // namespace mooring::capture_client
