#include "core/log.h"

#include <atomic>
#include <cstdio>
#include <memory>

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace mooring::log {

namespace {

// Lines that wait for the writer; each slot is about 400 bytes.
constexpr std::size_t kQueueLines = 512;

struct State {
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
    // spdlog reports a file that cannot be opened by an exception; ours is a value.
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    } catch (const spdlog::spdlog_ex&) {
      return fail(Errc::permission, "open log file");
    }
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
