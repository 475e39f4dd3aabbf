#include "observe/access_log.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>
#include <vector>

#include "core/fd.h"
#include "core/log.h"
#include "observe/line_output.h"
#include "observe/log_format.h"
#include "observe/log_sinks.h"
#include "observe/ring.h"
#include "observe/why.h"

namespace mooring::observe {

namespace {

using RecordPtr = std::unique_ptr<AccessRecord>;

// After a batch the writer looks again this much later instead of asking to be woken: about 100
// wake-ups a second, however many connections end; a ring that is half full wakes it early.
constexpr int kBatchMs = 10;
constexpr Milliseconds kStopLimit{1000};

class Writer final : public AccessLog {
 public:
  Writer(const AccessLogOptions& options, std::optional<LogTemplate> line_template, UniqueFd wake)
      : options_(options),
        template_(std::move(line_template)),
        wake_(std::move(wake)),
        sinks_(kSinkPendingBytes, options.own_folders) {}

  ~Writer() override {
    stop_.store(true, std::memory_order_release);
    wake();
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] Result<void> start() {
    if (!options_.file.empty()) {
      if (Result<void> opened = output_.open(options_.file); !opened) return opened;
    }
    // No signal is handled on the writer's thread; SIGPIPE of a vanished reader stays an error of
    // write().
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), "access-log");
    return {};
  }

  bool log(AccessRecord record) noexcept override {
    auto waiting = std::make_unique<AccessRecord>(std::move(record));
    if (!ring_.push(waiting)) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    // Both sides exchange asleep_ after they touched the ring, so one of them sees the other:
    // either the writer finds the record, or it is woken.
    // A ring that is half full does not wait for the next batch either.
    if (asleep_.exchange(false, std::memory_order_acq_rel) ||
        (ring_.size() > kRecords / 2 && resting_.exchange(false, std::memory_order_relaxed))) {
      wake();
    }
    return true;
  }

  [[nodiscard]] std::uint64_t dropped() const noexcept override {
    return dropped_.load(std::memory_order_relaxed) + sinks_.dropped();
  }
  [[nodiscard]] std::uint64_t written() const noexcept override {
    return output_.written() + sinks_.written();
  }
  [[nodiscard]] std::uint64_t failures() const noexcept override {
    return output_.failures() + sinks_.failures();
  }
  [[nodiscard]] std::vector<SinkProblem> sink_problems() override { return sinks_.problems(); }
  [[nodiscard]] std::optional<std::string> next_wanted_host() override {
    return sinks_.next_wanted_host();
  }
  void tell(SinkHost host) override { sinks_.tell(std::move(host)); }

  void reopen() noexcept override {
    reopen_.store(true, std::memory_order_release);
    wake();
  }

 private:
  void wake() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);  // fails only when already woken 2^64 times
  }

  void run() {
    while (!stop_.load(std::memory_order_acquire)) {
      const bool found = drain();
      LineOutput::State state = output_.flush();
      if (reopen_.exchange(false, std::memory_order_acq_rel)) {
        open_again();
        sinks_.reopen();
        state = output_.flush();
      }
      sinks_.flush();
      wait(found, state);
    }
    finish();
  }

  /// Takes what is in the ring; true if there was something.
  bool drain() {
    bool found = false;
    while (std::optional<RecordPtr> record = ring_.pop()) {
      found = true;
      take(std::move(*record));
    }
    return found;
  }

  void take(RecordPtr record) {
    if (!options_.file.empty()) {
      if (output_.is_full()) (void)output_.flush();
      if (output_.is_full()) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
      } else {
        output_.add(template_ ? template_->format(*record) : format_json(*record));
      }
    }
    sinks_.add(*record);
    if (options_.recorder != nullptr && !is_orderly(record->reason)) {
      record->sinks.clear();
      options_.recorder->add(std::move(record));
    }
  }

  void open_again() {
    if (options_.file.empty()) return;
    if (Result<void> opened = output_.open(options_.file); !opened) {
      log::warn(
          "the access log cannot be opened anew, the old file stays in use: file={} error=\"{}\"",
          options_.file,
          describe(opened.error()));
    }
  }

  void wait(bool found, LineOutput::State state) {
    int timeout_ms = kBatchMs;
    if (!found) {
      std::optional<Milliseconds> rest = sinks_.retry_in();
      if (state == LineOutput::State::failed)
        rest = std::min(rest.value_or(options_.retry), options_.retry);
      timeout_ms = rest ? static_cast<int>(rest->count()) : -1;
      asleep_.exchange(true, std::memory_order_acq_rel);
      if (drain()) {
        asleep_.store(false, std::memory_order_relaxed);
        return;
      }
    }
    resting_.store(true, std::memory_order_relaxed);
    poll_for(timeout_ms, state);
    resting_.store(false, std::memory_order_relaxed);
    asleep_.store(false, std::memory_order_relaxed);
  }

  void poll_for(int timeout_ms, LineOutput::State state) {
    std::vector<pollfd> events{{wake_.get(), POLLIN, 0}};
    if (state == LineOutput::State::blocked) events.push_back({output_.fd(), POLLOUT, 0});
    sinks_.add_blocked(events);
    ::poll(events.data(), events.size(), timeout_ms);
    std::uint64_t count = 0;
    if (events[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof count);
  }

  /// What waits, for at most kStopLimit.
  void finish() {
    drain();
    const MonoTime limit = std::chrono::steady_clock::now() + kStopLimit;
    for (;;) {
      const LineOutput::State state = output_.flush();
      sinks_.flush();
      const auto left =
          std::chrono::duration_cast<Milliseconds>(limit - std::chrono::steady_clock::now());
      const bool is_done = state == LineOutput::State::idle && sinks_.is_idle();
      if (is_done || left.count() <= 0) return;
      poll_for(static_cast<int>(std::min(left, options_.retry).count()), state);
    }
  }

  AccessLogOptions options_;
  std::optional<LogTemplate> template_;  // empty: JSON
  UniqueFd wake_;
  LineOutput output_{kPendingBytes};
  LogSinks sinks_;
  Ring<RecordPtr> ring_{kRecords};
  std::atomic<bool> asleep_{false};   // the writer waits for wake_
  std::atomic<bool> resting_{false};  // the writer waits for its next batch, or for wake_
  std::atomic<bool> stop_{false};
  std::atomic<bool> reopen_{false};
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace

Checked<std::unique_ptr<AccessLog>> AccessLog::make(const AccessLogOptions& options) {
  std::optional<LogTemplate> line_template;
  if (!options.json) {
    Checked<LogTemplate> parsed = LogTemplate::parse(
        options.template_text.empty() ? kDefaultTemplate : std::string_view(options.template_text));
    if (!parsed) return tl::unexpected(parsed.error());
    line_template = std::move(*parsed);
  }
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) {
    return fail(Diagnostic{"access log", describe(error_from_errno(errno, "eventfd")), ""});
  }
  auto writer = std::make_unique<Writer>(options, std::move(line_template), std::move(wake));
  if (Result<void> started = writer->start(); !started) {
    return fail(
        Diagnostic{options.file,
                   describe(started.error()),
                   "the folder must exist and the agent's user must be able to write there"});
  }
  return writer;
}

}  // namespace mooring::observe
