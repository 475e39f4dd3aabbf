// Where the access log's lines go: a file, a FIFO, a pipe or a socket behind standard output.
// Nothing here waits: what the output does not take stays in a bounded buffer. Used by the log's
// writer thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::observe {

class LineOutput {
 public:
  enum class State : std::uint8_t {
    idle,     // nothing waits
    blocked,  // wait until fd() is writable
    failed,   // an error; try again later
  };

  explicit LineOutput(std::size_t pending_bytes) : pending_limit_(pending_bytes) {}

  /// "/dev/stdout" and "/dev/stderr" are the process's own; everything else is opened for
  /// appending. On failure the output stays as it was.
  [[nodiscard]] Result<void> open(const std::string& path);
  /// As open(), for a path that another host's program named: a symbolic link is not followed, and
  /// what is no file, FIFO or terminal is refused with bad_input.
  [[nodiscard]] Result<void> open_foreign(const std::string& path);
  /// A stream socket, which may still be connecting.
  [[nodiscard]] Result<void> connect(const SocketAddress& address);
  /// The lines that wait are kept, except one whose beginning the output has.
  void close();
  [[nodiscard]] bool is_open() const noexcept { return fd_.valid(); }

  /// True when a further line would exceed the bound.
  [[nodiscard]] bool is_full() const noexcept { return pending_.size() - sent_ >= pending_limit_; }
  [[nodiscard]] bool is_empty() const noexcept { return pending_.size() == sent_; }
  /// `line` without its line end. Call only while not full.
  void add(std::string_view line);
  State flush();
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// The errno of the last attempt that failed.
  [[nodiscard]] int last_error() const noexcept { return last_error_; }

  [[nodiscard]] std::uint64_t written() const noexcept {
    return written_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t failures() const noexcept {
    return failures_.load(std::memory_order_relaxed);
  }

 private:
  enum class Kind : std::uint8_t { file, stream, socket };

  [[nodiscard]] Result<void> adopt(UniqueFd fd);
  void forget_torn_line();
  [[nodiscard]] long put(std::string_view bytes) const noexcept;
  void note_sent(std::size_t count);

  std::size_t pending_limit_;
  UniqueFd fd_;
  Kind kind_ = Kind::file;
  std::string pending_;
  std::size_t sent_ = 0;  // of pending_
  int last_error_ = 0;
  bool mid_line_ = false;  // the output has the beginning of a line whose rest is pending
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> failures_{0};
};

}  // namespace mooring::observe
