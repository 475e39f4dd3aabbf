// The places that a control plane names for a connection's line: files, and addresses that take
// lines over TCP. Used by the access log's writer thread; its counts are read by any.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/clock.h"
#include "observe/access_log.h"
#include "observe/line_output.h"
#include "observe/log_format.h"
#include "observe/ring.h"

namespace mooring::observe {

/// A sink's format taken apart, and where its lines go.
struct ParsedSink {
  /// Fails for an unknown command, and for what is no JSON.
  [[nodiscard]] static Checked<ParsedSink> parse(const LogSink& sink);
  [[nodiscard]] std::string format(const AccessRecord& record) const;
  /// Of the output: the path, or "tcp:10.0.0.9:9999". Empty: Kuma's TCP backend with a host name,
  /// which this agent does not look up.
  [[nodiscard]] std::string name() const;

  std::string path;
  std::optional<SocketAddress> address;  // instead of the path
  std::variant<LogTemplate, JsonTemplate> lines;
  bool omits_empty = false;
};

class LogSinks {
 public:
  LogSinks(std::size_t pending_bytes, std::vector<std::string> own_folders)
      : pending_bytes_(pending_bytes), own_folders_(std::move(own_folders)) {}

  /// A line for each of the record's sinks.
  void add(const AccessRecord& record);
  /// Files are opened anew; sinks without lines that wait are closed until there is one.
  void reopen();
  void flush();
  /// Nothing waits for an output that might take it.
  [[nodiscard]] bool is_idle() const noexcept;
  void add_blocked(std::vector<pollfd>& events) const;
  /// Until the next attempt on one that failed; none: there is none.
  [[nodiscard]] std::optional<Milliseconds> retry_in() const;

  // Any thread.
  [[nodiscard]] std::uint64_t dropped() const noexcept { return count(dropped_); }
  [[nodiscard]] std::uint64_t written() const noexcept { return count(written_); }
  [[nodiscard]] std::uint64_t failures() const noexcept { return count(failures_); }
  /// One thread, which need not be the writer's.
  [[nodiscard]] std::vector<SinkProblem> problems();

 private:
  struct Output {
    Output(ParsedSink sink, std::size_t pending_bytes)
        : where(std::move(sink)), lines(pending_bytes) {}

    ParsedSink where;  // its format is another matter
    LineOutput lines;
    LineOutput::State state = LineOutput::State::idle;
    MonoTime retry_at;
    Milliseconds patience{0};  // grows with each failure
    std::string problem;
  };

  [[nodiscard]] static std::uint64_t count(const std::atomic<std::uint64_t>& value) noexcept {
    return value.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const ParsedSink* parsed(const LogSink& sink);
  [[nodiscard]] Output* output_of(const ParsedSink& sink);
  void add_line(const ParsedSink& sink, const AccessRecord& record);
  void flush(Output& output);
  [[nodiscard]] Result<void> open(Output& output) const;
  [[nodiscard]] bool is_own(const std::string& path) const;
  void fail(Output& output, std::string text);
  void report(Output& output, std::string text);

  std::size_t pending_bytes_;
  std::vector<std::string> own_folders_;
  std::map<LogSink, std::optional<ParsedSink>> parsed_;
  std::map<std::string, std::unique_ptr<Output>> outputs_;  // by ParsedSink::name
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> failures_{0};
  Ring<std::unique_ptr<SinkProblem>> reports_{64};
  std::map<std::string, std::string> problems_;  // the reader's
};

}  // namespace mooring::observe
