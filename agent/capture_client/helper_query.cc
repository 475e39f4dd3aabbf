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
    : loop_(loop),
      path_(std::move(socket_path)),
      request_(std::move(request)),
      limit_(limit),
      on_done_(std::move(on_done)),
      timer_(loop, [this] { on_limit(); }) {
  timer_.start(limit_);
  if (auto started = start(); !started) {
    failed_ = std::move(started.error());
    timer_.start(Milliseconds{0});
  }
}

Checked<void> HelperQuery::start() {
  auto fd = connect_helper(path_, false);
  if (!fd && fd.error().detail == EAGAIN) {
    // unix(7): the backlog is full.
    return fail(Diagnostic{path_, "the capture helper does not answer", "it does not even accept"});
  }
  if (!fd) return fail(explain(path_, fd.error()));
  // Both at once: the helper takes them in order, and they fit into any socket buffer.
  for (const Message& message : {Message{kHello, Hello{Role::tool, MOORING_VERSION}, version_},
                                 Message{kRequest, request_, version_}}) {
    if (const auto sent = send_message(fd->get(), message); !sent)
      return fail(explain(path_, sent.error()));
  }
  Attempt& attempt = attempts_[kProtocolVersion - version_];
  attempt.fd = std::move(*fd);
  attempt.watch.emplace(loop_, attempt.fd.get(), [this](int, int) { on_readable(); });
  attempt.watch->start(PollWatch::readable);
  return {};
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
    auto received = receive_message(attempts_[kProtocolVersion - version_].fd.get());
    if (!received) {
      if (received.error().code == Errc::timed_out) return;
      return on_failure(received.error());
    }
    if (auto* refused = std::get_if<Refused>(&received->message.body)) {
      if (may_be_older(*refused, version_)) return on_failure({Errc::unsupported, 0, "greeting"});
      return finish(fail(Diagnostic{"mooring-net", std::move(refused->text), ""}));
    }
    if (received->message.id == kRequest) {
      return finish(Answer{std::move(received->message.body), std::move(received->descriptors)});
    }
  }
}

void HelperQuery::on_failure(const Error& error) {
  if (!may_be_older(error, version_)) return finish(fail(explain(path_, error)));
  if (auto& watch = attempts_[kProtocolVersion - version_].watch) watch->stop();
  --version_;
  if (auto started = start(); !started) finish(fail(std::move(started.error())));
}

void HelperQuery::finish(Checked<Answer> outcome) {
  timer_.stop();
  for (Attempt& attempt : attempts_) {
    if (attempt.watch) attempt.watch->stop();
  }
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
