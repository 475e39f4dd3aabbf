#include "core/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "core/fd.h"

namespace mooring::log {

namespace {

// Lines that wait for the writer; each slot is about 400 bytes.
constexpr std::size_t kQueueLines = 512;

// A file that can be opened anew while others write. spdlog's own sink cannot, and writes through a
// null pointer once opening again has failed.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] Result<void> open() {
    UniqueFd fresh(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!fresh.valid()) return fail_errno(errno, "open log file");
    file_ = std::move(fresh);
    return {};
  }
  void reopen_soon() noexcept { wants_reopen_.store(true, std::memory_order_relaxed); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // On the writer's thread, which is the only one here.
    if (wants_reopen_.exchange(false, std::memory_order_relaxed)) {
      [[maybe_unused]] const auto opened = open();  // else the old one stays in use
    }
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::size_t done = 0;
    while (done < line.size()) {
      const ssize_t put = ::write(file_.get(), line.data() + done, line.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return;  // a full disk: the line is lost
      done += static_cast<std::size_t>(put);
    }
  }
  void flush_() override {}

 private:
  std::string path_;
  UniqueFd file_;
  std::atomic<bool> wants_reopen_{false};
};

struct State {
  std::shared_ptr<FileSink> file;  // if it is not standard error
  std::atomic<Level> level{Level::info};
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

State& state() {
  static State instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

Result<Level> parse_level(std::string_view text) noexcept {
  for (const Level level : {Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
    if (text == to_string(level)) return level;
  }
  return fail(Errc::bad_input, "parse_level");
}

const char* to_string(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
    case Level::off:
      return "off";
  }
  return "invalid";
}

Result<void> start(const std::string& file, Level level) {
  State& s = state();
  spdlog::sink_ptr sink;
  if (file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    auto own = std::make_shared<FileSink>(file);
    if (auto opened = own->open(); !opened) return opened;
    s.file = own;
    sink = std::move(own);
  }
  s.pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  s.logger = std::make_shared<spdlog::async_logger>(
      "mooring", std::move(sink), s.pool, spdlog::async_overflow_policy::overrun_oldest);
  s.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  s.logger->set_level(spdlog::level::trace);
  s.logger->flush_on(spdlog::level::trace);
  // A full disk must not put a line on standard error for every line that is lost.
  s.logger->set_error_handler([](const std::string&) {});
  s.level.store(level, std::memory_order_relaxed);
  return {};
}

void stop() noexcept {
  State& s = state();
  s.logger.reset();
  s.pool.reset();
  s.file.reset();
}

void reopen() noexcept {
  if (const State& s = state(); s.file) s.file->reopen_soon();
}

void set_level(Level level) noexcept {
  state().level.store(level, std::memory_order_relaxed);
}

Level level() noexcept {
  return state().level.load(std::memory_order_relaxed);
}

std::uint64_t dropped() noexcept {
  const State& s = state();
  return s.pool ? s.pool->overrun_counter() : 0;
}

void detail::write(Level level, std::string_view text) {
  const State& s = state();
  if (s.logger) {
    s.logger->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
  } else {
    std::fprintf(stderr, "%s %.*s\n", to_string(level), static_cast<int>(text.size()), text.data());
  }
}

}  // namespace mooring::log
