#include "capture_client/capture_client.h"

#include <sys/socket.h>

#include <utility>

#include "capture_client/transport.h"
#include "core/error.h"

namespace mooring::capture_client {

namespace {

constexpr Milliseconds kRetry{1000};
constexpr Milliseconds kDropAnswer{2000};

}  // namespace

class CaptureClient::Session {
 public:
  using OnEvent = std::function<void(const CaptureEvent&)>;

  Session(Loop& loop, std::string path, OnEvent on_event)
      : loop_(loop),
        path_(std::move(path)),
        on_event_(std::move(on_event)),
        retry_(loop, [this] { connect(); }),
        drop_limit_(loop, [this] { finish_drop(); }) {
    retry_.start(Milliseconds{0});
  }

  void set_wanted(std::optional<InterceptConfig> wanted) {
    wanted_ = std::move(wanted);
    is_active_ = false;
    if (phase_ == Phase::ready) ask_for_wanted();
  }

  void drop(std::function<void()> on_done) {
    wanted_.reset();
    is_active_ = false;
    on_dropped_ = std::move(on_done);
    // Always answered from the loop, so that the caller never sees its callback inside this call.
    drop_limit_.start(phase_ == Phase::ready ? kDropAnswer : Milliseconds{0});
    if (phase_ == Phase::ready) drop_id_ = send(Drop{});
  }

  [[nodiscard]] bool is_connected() const noexcept { return phase_ == Phase::ready; }
  [[nodiscard]] bool is_active() const noexcept { return is_active_; }
  [[nodiscard]] const std::optional<Status>& status() const noexcept { return status_; }

 private:
  enum class Phase : std::uint8_t { away, greeting, ready };

  void connect() {
    old_watch_.reset();
    old_fd_.reset();
    auto fd = connect_helper(path_, false);
    if (!fd) return lose(describe(fd.error()));
    fd_ = std::move(*fd);
    watch_ = std::make_unique<PollWatch>(loop_, fd_.get(), [this](int, int) { on_readable(); });
    watch_->start(PollWatch::readable);
    phase_ = Phase::greeting;
    send(Hello{Role::agent, MOORING_VERSION});
  }

  // Each loss begins anew with our own version: the next helper may be another one.
  void on_failure(const Error& error) {
    if (phase_ != Phase::greeting || !may_be_older(error, version_)) {
      version_ = kProtocolVersion;
      return lose(describe(error));
    }
    retire();
    phase_ = Phase::away;
    --version_;
    retry_.start(Milliseconds{0});
  }

  void lose(const std::string& why) {
    retire();
    is_active_ = false;
    // owner_ stays: it is what keeps the table alive while the helper is away.
    const bool is_news = phase_ != Phase::away || !was_reported_;
    phase_ = Phase::away;
    retry_.start(kRetry);
    if (is_news) tell(CaptureEvent::Kind::disconnected, why);
    was_reported_ = true;
    if (on_dropped_) drop_limit_.start(Milliseconds{0});
  }

  // The watch may be the one whose callback we are in: it is freed by the next connect().
  void retire() {
    if (!watch_) return;
    watch_->stop();
    ::shutdown(fd_.get(), SHUT_RDWR);
    old_watch_ = std::move(watch_);
    old_fd_ = std::move(fd_);
  }

  // Returns the request's id. A failure to send shows as a lost connection at the next read.
  std::uint32_t send(Body body) {
    const std::uint32_t id = next_id_++;
    post_message(fd_.get(), {id, std::move(body), version_});
    return id;
  }

  void ask_for_wanted() {
    if (!wanted_) return;
    if (const auto ok = check_bounds(*wanted_); !ok) {
      return tell(CaptureEvent::Kind::refused, describe(ok.error()));
    }
    activate_id_ = send(Activate{*wanted_});
  }

  void on_readable() {
    // At most 16 a turn; the poll is level-triggered.
    for (int i = 0; i < 16 && phase_ != Phase::away; ++i) {
      auto received = receive_message(fd_.get());
      if (!received) {
        if (received.error().code != Errc::timed_out) on_failure(received.error());
        return;
      }
      on_message(received->message, received->descriptors);
    }
  }

  void on_message(const Message& message, std::vector<UniqueFd>& descriptors) {
    if (const auto* ping = std::get_if<Ping>(&message.body)) {
      post_message(fd_.get(), {0, Pong{ping->nonce}, version_});
    } else if (std::holds_alternative<Owner>(message.body)) {
      // The next generation's rules stand: letting go of the previous socket removes the previous
      // table.
      if (descriptors.size() == 1) owner_ = std::move(descriptors.front());
    } else if (const auto* status = std::get_if<Status>(&message.body)) {
      const bool is_news = !status_ || status_->dns != status->dns;
      status_ = *status;
      if (is_news) tell(CaptureEvent::Kind::told, to_string(status->dns));
    } else if (const auto* welcome = std::get_if<Welcome>(&message.body)) {
      phase_ = Phase::ready;
      was_reported_ = false;
      tell(CaptureEvent::Kind::connected, welcome->backend);
      if (phase_ == Phase::ready && !on_dropped_) ask_for_wanted();
    } else if (std::holds_alternative<Done>(message.body)) {
      on_answer(message.id, nullptr);
    } else if (const auto* refused = std::get_if<Refused>(&message.body)) {
      if (phase_ == Phase::greeting && may_be_older(*refused, version_))
        return on_failure({Errc::unsupported, 0, "greeting"});
      if (phase_ == Phase::greeting) return lose(refused->text);
      on_answer(message.id, &refused->text);
    }
  }

  void on_answer(std::uint32_t id, const std::string* refusal) {
    if (id == drop_id_ && on_dropped_) {
      if (refusal == nullptr) owner_.reset();
      return finish_drop();
    }
    if (id != activate_id_ || !wanted_) return;
    is_active_ = refusal == nullptr;
    if (is_active_) {
      tell(CaptureEvent::Kind::activated, "");
    } else {
      tell(CaptureEvent::Kind::refused, *refusal);
    }
  }

  void finish_drop() {
    drop_limit_.stop();
    if (auto done = std::exchange(on_dropped_, nullptr)) {
      tell(CaptureEvent::Kind::dropped, "");
      done();
    }
  }

  void tell(CaptureEvent::Kind kind, const std::string& text) const {
    if (on_event_) on_event_(CaptureEvent{kind, text});
  }

  Loop& loop_;  // outlives the client
  std::string path_;
  OnEvent on_event_;
  Phase phase_ = Phase::away;
  std::uint8_t version_ = kProtocolVersion;  // that the helper speaks
  bool was_reported_ = false;                // that the helper is away: said once, not each second
  bool is_active_ = false;
  std::optional<InterceptConfig> wanted_;
  std::optional<Status> status_;
  std::function<void()> on_dropped_;  // set while a drop is under way
  std::uint32_t next_id_ = 1;
  std::uint32_t activate_id_ = 0;
  std::uint32_t drop_id_ = 0;
  UniqueFd owner_;
  UniqueFd fd_;
  std::unique_ptr<PollWatch> watch_;
  UniqueFd old_fd_;
  std::unique_ptr<PollWatch> old_watch_;
  Timer retry_;
  Timer drop_limit_;
};

CaptureClient::CaptureClient(Loop& loop,
                             std::string socket_path,
                             std::function<void(const CaptureEvent&)> on_event)
    : session_(std::make_unique<Session>(loop, std::move(socket_path), std::move(on_event))) {}

CaptureClient::~CaptureClient() = default;

void CaptureClient::set_wanted(std::optional<InterceptConfig> wanted) {
  session_->set_wanted(std::move(wanted));
}

void CaptureClient::drop(std::function<void()> on_done) {
  session_->drop(std::move(on_done));
}

bool CaptureClient::is_connected() const noexcept {
  return session_->is_connected();
}

bool CaptureClient::is_active() const noexcept {
  return session_->is_active();
}

const std::optional<Status>& CaptureClient::status() const noexcept {
  return session_->status();
}

}  // namespace mooring::capture_client
