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
  [[nodiscard]] bool is_tcp() const noexcept { return path.empty(); }
  /// Of the output: the path, or "tcp:10.0.0.9:9999".
  [[nodiscard]] std::string name() const;

  std::string path;  // empty: Kuma's TCP backend
  std::string host;  // of that: an IP address without brackets, or a name
  std::uint16_t port = 0;
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
  /// As in AccessLog. The same thread as problems().
  [[nodiscard]] std::optional<std::string> next_wanted_host();
  void tell(SinkHost host);

 private:
  struct Output {
    Output(ParsedSink sink, std::size_t pending_bytes)
        : where(std::move(sink)), lines(pending_bytes) {}

    ParsedSink where;  // its format is another matter
    LineOutput lines;
    LineOutput::State state = LineOutput::State::idle;
    bool awaits_address = false;
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
  /// False: its host name is being looked up.
  [[nodiscard]] Result<bool> open(Output& output);
  [[nodiscard]] Result<bool> connect(Output& output);
  void take_answers();
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
  std::map<std::string, std::optional<IpAddress>> answers_;  // until they are used
  Ring<std::unique_ptr<SinkProblem>> reports_{64};
  Ring<std::unique_ptr<std::string>> wanted_hosts_{64};
  Ring<std::unique_ptr<SinkHost>> told_hosts_{64};
  std::map<std::string, std::string> problems_;  // the reader's
};

}  // namespace mooring::observe
