// A TCP connection on a loop as a byte stream. What the kernel does not take at once waits in a
// queue that the owner bounds by pausing its source; while idle nothing is held.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/address.h"
#include "core/buffer.h"
#include "core/fd.h"
#include "core/loop.h"
#include "core/result.h"

namespace mooring::net {

/// What all streams of a loop share: the area that the kernel reads into, and chunks for what must
/// wait.
struct StreamPool {
  static constexpr std::size_t kReadBytes = 256 * 1024;
  std::unique_ptr<std::byte[]> read_area{new std::byte[kReadBytes]};
  ChunkPool chunks;
};

class TcpStream {
 public:
  /// All are called from the loop, never from inside a call on the stream. The stream may be closed
  /// in them, and destroyed after the callback returned.
  class Owner {
   public:
    virtual void on_connected(TcpStream& stream, int error) = 0;  // error: 0 or errno
    virtual void on_bytes(TcpStream& stream, Bytes bytes) = 0;    // valid during the call
    virtual void on_eof(TcpStream& stream) = 0;
    virtual void on_reset(TcpStream& stream, int error) = 0;  // errno of a failed read or write
    virtual void on_drained(TcpStream& stream) = 0;       // the kernel has taken all of the queue
    virtual void on_write_closed(TcpStream& stream) = 0;  // everything was sent, and the FIN

   protected:
    ~Owner() = default;
  };

  TcpStream(Loop& loop, StreamPool& pool, Owner& owner);
  ~TcpStream();
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  [[nodiscard]] Result<void> adopt(UniqueFd fd);  // a connected socket
  [[nodiscard]] Result<void> connect(UniqueFd fd, const SocketAddress& target);

  void start_reading();
  void stop_reading();
  [[nodiscard]] bool is_reading() const noexcept { return reading_; }

  /// Takes all of it. A failure is reported by on_reset() in a later turn.
  void write(Bytes bytes);
  /// FIN after what is queued; on_write_closed() follows.
  void close_write();
  [[nodiscard]] std::size_t queued() const noexcept { return queue_ ? queue_->size() : 0; }
  /// What the peer's kernel has not taken yet, here or in ours. A system call.
  [[nodiscard]] std::size_t backlog() const noexcept;
  [[nodiscard]] int fd() const noexcept;
  /// Orderly: what the kernel holds is still delivered. Otherwise the peer sees a reset.
  void close(bool orderly) noexcept;

 private:
  struct Handle;  // libuv's memory, freed by the loop
  void flush();
  void on_flushed(int status);
  void fail_later(int error);

  Loop& loop_;
  StreamPool& pool_;
  Owner& owner_;
  Handle* handle_;
  std::unique_ptr<ByteQueue> queue_;
  std::unique_ptr<Timer> failure_;
  std::size_t in_write_ = 0;  // bytes of the uv_write under way
  bool reading_ = false;
  bool writing_ = false;  // an uv_write is under way
  bool close_write_wanted_ = false;
};

}  // namespace mooring::net
