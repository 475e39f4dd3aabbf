#include "admin/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <span>
#include <utility>

#include "admin/server.h"

namespace mooring::admin {

namespace {

// A client that goes on sending after its last answer: more than any request may have.
constexpr std::size_t kMaxDiscardedBytes = 1024UL * 1024;
constexpr std::size_t kReadBytes = 16UL * 1024;

bool would_block() {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

Connection::Connection(
    Server& server, Loop& loop, UniqueFd fd, const Client& client, std::size_t& open_count)
    : server_(server),
      id_(++server.last_id_),
      fd_(std::move(fd)),
      client_(client),
      open_count_(open_count),
      watch_(loop, fd_.get(), [this](int events, int error) { on_ready(events, error); }),
      deadline_(loop, [this] { finish(); }) {
  ++open_count_;
}

Connection::~Connection() {
  --open_count_;
}

void Connection::start() {
  watch_.start(PollWatch::readable);
  deadline_.start(server_.options_.deadline);
}

void Connection::stop() noexcept {
  phase_ = Phase::closed;
  watch_.stop();
  deadline_.stop();
}

void Connection::finish() {
  if (phase_ != Phase::closed) server_.retire(*this);
}

void Connection::on_ready(int, int error) {
  if (error != 0) return finish();
  switch (phase_) {
    case Phase::reading:
      return read_some();
    case Phase::waiting:
      return;
    case Phase::writing:
      flush();
      return parse();
    case Phase::lingering:
      return discard();
    case Phase::closed:
      return;
  }
}

void Connection::read_some() {
  char block[kReadBytes];
  const ssize_t got = ::recv(fd_.get(), block, sizeof block, 0);
  if (got < 0 && would_block()) return;
  if (got <= 0) return finish();
  in_.append(block, static_cast<std::size_t>(got));
  parse();
}

void Connection::parse() {
  is_parsing_ = true;
  while (phase_ == Phase::reading && !in_.empty()) {
    const Result<http::Fed> fed = codec_.feed(std::as_bytes(std::span(in_)), *this);
    if (!fed) {
      in_.clear();
      respond(refuse(fed.error().detail, fed.error().place), false, false);
    } else {
      in_.erase(0, fed->consumed);
    }
    if (phase_ == Phase::writing) flush();
  }
  is_parsing_ = false;
}

void Connection::on_request(http::Request request) {
  const auto* wait = wait_before(server_.handlers_, request, client_);
  if (wait == nullptr) return answer_request(request);
  asked_ = std::move(request);
  phase_ = Phase::waiting;
  watch_.stop();
  // This connection may be gone by then: its number finds it, or nothing.
  (*wait)([server = &server_, id = id_] { server->resume(id); });
}

void Connection::resume() {
  if (phase_ != Phase::waiting) return;
  answer_request(std::exchange(asked_, {}));
  if (is_parsing_) return;  // the wait was none
  flush();
  parse();
}

void Connection::answer_request(const http::Request& request) {
  http::Response response = answer(server_.handlers_, request, client_);
  if (response.body.size() > kMaxAnswerBytes) response = refuse(500, "the answer is too large");
  respond(response, request.keep_alive, request.method == http::Method::head);
}

void Connection::respond(const http::Response& response, bool keep_alive, bool head_only) {
  out_ = http::encode_response(response, keep_alive, head_only);
  sent_ = 0;
  keep_alive_ = keep_alive;
  phase_ = Phase::writing;
  deadline_.start(server_.options_.deadline);
}

void Connection::flush() {
  while (sent_ < out_.size()) {
    const ssize_t put = ::send(fd_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && would_block()) return watch_.start(PollWatch::writable);
    if (put < 0) return finish();
    sent_ += static_cast<std::size_t>(put);
  }
  answered();
}

void Connection::answered() {
  std::string().swap(out_);
  watch_.start(PollWatch::readable);
  deadline_.start(server_.options_.deadline);
  if (keep_alive_) {
    phase_ = Phase::reading;
  } else {
    phase_ = Phase::lingering;
    ::shutdown(fd_.get(), SHUT_WR);
  }
}

void Connection::discard() {
  char block[kReadBytes];
  const ssize_t got = ::recv(fd_.get(), block, sizeof block, 0);
  if (got < 0 && would_block()) return;
  discarded_ += got > 0 ? static_cast<std::size_t>(got) : 0;
  if (got <= 0 || discarded_ > kMaxDiscardedBytes) finish();
}

}  // namespace mooring::admin
