#include "net/stream.h"

#include <sys/socket.h>

#include <array>
#include <utility>

#include "net/socket.h"

namespace mooring::net {

namespace {

constexpr std::size_t kGather = 16;  // chunks in one system call: 256 KiB

}  // namespace

struct TcpStream::Handle {
  uv_tcp_t tcp{};
  TcpStream* stream = nullptr;  // null once closed
  std::unique_ptr<uv_connect_t> connect;
  std::unique_ptr<uv_write_t> write;
  std::unique_ptr<uv_shutdown_t> shutdown;
  std::unique_ptr<ByteQueue> in_flight;  // keeps the bytes of a cancelled write alive

  static Handle* of(void* data) { return static_cast<Handle*>(data); }
};

TcpStream::TcpStream(Loop& loop, StreamPool& pool, Owner& owner)
    : loop_(loop), pool_(pool), owner_(owner), handle_(new Handle) {
  AGENT_CHECK(uv_tcp_init(loop.uv(), &handle_->tcp) == 0);
  handle_->tcp.data = handle_;
  handle_->stream = this;
}

TcpStream::~TcpStream() {
  close(false);
}

Result<void> TcpStream::adopt(UniqueFd fd) {
  const int result = uv_tcp_open(&handle_->tcp, fd.get());
  if (result != 0) return fail(error_from_uv(result, "uv_tcp_open"));
  static_cast<void>(fd.release());
  return {};
}

Result<void> TcpStream::connect(UniqueFd fd, const SocketAddress& target) {
  if (auto adopted = adopt(std::move(fd)); !adopted) return adopted;
  sockaddr_storage raw{};
  target.to_sockaddr(raw);
  handle_->connect = std::make_unique<uv_connect_t>();
  handle_->connect->data = handle_;
  const int result =
      uv_tcp_connect(handle_->connect.get(),
                     &handle_->tcp,
                     reinterpret_cast<sockaddr*>(&raw),
                     [](uv_connect_t* request, int status) noexcept {
                       Handle* handle = Handle::of(request->data);
                       handle->connect.reset();
                       if (handle->stream != nullptr) {
                         handle->stream->owner_.on_connected(*handle->stream, -status);
                       }
                     });
  if (result != 0) return fail(error_from_uv(result, "connect"));
  return {};
}

void TcpStream::start_reading() {
  // After a failed write the owner is about to hear of it; a read would call it an end of stream.
  if (reading_ || failure_ || handle_ == nullptr) return;
  reading_ = true;
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&handle_->tcp),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) noexcept {
        const TcpStream* stream = Handle::of(handle->data)->stream;
        buffer->base = reinterpret_cast<char*>(stream->pool_.read_area.get());
        buffer->len = StreamPool::kReadBytes;
      },
      [](uv_stream_t* uv, ssize_t count, const uv_buf_t* buffer) noexcept {
        TcpStream* stream = Handle::of(uv->data)->stream;
        if (stream == nullptr || count == 0) return;
        if (count > 0) {
          stream->owner_.on_bytes(
              *stream,
              {reinterpret_cast<const std::byte*>(buffer->base), static_cast<std::size_t>(count)});
        } else {
          stream->stop_reading();
          // A hang-up behind bytes is an end to libuv, whether by FIN or by reset.
          const int error =
              count == UV_EOF ? pending_error(stream->fd()) : static_cast<int>(-count);
          if (error == 0) {
            stream->owner_.on_eof(*stream);
          } else {
            stream->owner_.on_reset(*stream, error);
          }
        }
      });
}

void TcpStream::stop_reading() {
  if (!reading_ || handle_ == nullptr) return;
  reading_ = false;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(&handle_->tcp));
}

void TcpStream::write(Bytes bytes) {
  if (handle_ == nullptr || bytes.empty()) return;
  if (!queue_ && !writing_) {
    uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(const_cast<std::byte*>(bytes.data())),
                                  static_cast<unsigned>(bytes.size()));
    const int sent = uv_try_write(reinterpret_cast<uv_stream_t*>(&handle_->tcp), &buffer, 1);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (sent != UV_EAGAIN) {
      return fail_later(-sent);
    }
    if (bytes.empty()) return;
  }
  if (!queue_) queue_ = std::make_unique<ByteQueue>(pool_.chunks);
  queue_->push(bytes);
  if (!writing_) flush();
}

void TcpStream::flush() {
  std::array<iovec, kGather> parts{};
  std::array<uv_buf_t, kGather> buffers{};
  const std::size_t used = queue_->gather(parts);
  for (std::size_t i = 0; i < used; ++i) {
    buffers[i] =
        uv_buf_init(static_cast<char*>(parts[i].iov_base), static_cast<unsigned>(parts[i].iov_len));
  }
  if (!handle_->write) handle_->write = std::make_unique<uv_write_t>();
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < used; ++i)
    bytes += parts[i].iov_len;
  handle_->write->data = handle_;
  writing_ = true;
  in_write_ = bytes;
  const int result = uv_write(handle_->write.get(),
                              reinterpret_cast<uv_stream_t*>(&handle_->tcp),
                              buffers.data(),
                              static_cast<unsigned>(used),
                              [](uv_write_t* request, int status) noexcept {
                                Handle* handle = Handle::of(request->data);
                                if (handle->stream != nullptr) handle->stream->on_flushed(status);
                              });
  if (result != 0) fail_later(-result);
}

void TcpStream::on_flushed(int status) {
  writing_ = false;
  if (status != 0) {
    queue_.reset();
    in_write_ = 0;
    return owner_.on_reset(*this, -status);
  }
  queue_->pop(std::exchange(in_write_, 0));
  const bool is_empty = queue_->empty();
  if (!is_empty) {
    flush();
  } else {
    queue_.reset();
    handle_->write.reset();
    if (close_write_wanted_) close_write();
  }
  if (is_empty) owner_.on_drained(*this);
}

void TcpStream::close_write() {
  close_write_wanted_ = true;
  if (handle_ == nullptr || writing_ || queue_ || handle_->shutdown) return;
  handle_->shutdown = std::make_unique<uv_shutdown_t>();
  handle_->shutdown->data = handle_;
  const int result = uv_shutdown(handle_->shutdown.get(),
                                 reinterpret_cast<uv_stream_t*>(&handle_->tcp),
                                 [](uv_shutdown_t* request, int status) noexcept {
                                   Handle* handle = Handle::of(request->data);
                                   TcpStream* stream = handle->stream;
                                   if (stream == nullptr) return;
                                   if (status == 0) {
                                     stream->owner_.on_write_closed(*stream);
                                   } else {
                                     stream->owner_.on_reset(*stream, -status);
                                   }
                                 });
  if (result != 0) fail_later(-result);
}

// The caller is in the middle of something: the owner hears of it in the next turn.
void TcpStream::fail_later(int error) {
  if (failure_) return;
  stop_reading();
  failure_ = std::make_unique<Timer>(loop_, [this, error] { owner_.on_reset(*this, error); });
  failure_->start(Milliseconds(0));
}

std::size_t TcpStream::backlog() const noexcept {
  if (handle_ == nullptr) return 0;
  // Of the write under way libuv has a part left; the queue lets go of it as a whole.
  const std::size_t left =
      writing_ ? uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t*>(&handle_->tcp))
               : 0;
  return queued() - in_write_ + left + unacknowledged_bytes(fd());
}

int TcpStream::fd() const noexcept {
  uv_os_fd_t fd = -1;
  if (handle_ != nullptr) uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_->tcp), &fd);
  return fd;
}

void TcpStream::close(bool orderly) noexcept {
  if (handle_ == nullptr) return;
  if (orderly) allow_orderly_close(fd());
  if (failure_) failure_->stop();  // it may be what is calling us
  handle_->stream = nullptr;
  handle_->in_flight = std::move(queue_);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->tcp),
           [](uv_handle_t* handle) noexcept { delete Handle::of(handle->data); });
  handle_ = nullptr;
  reading_ = false;
}

}  // namespace mooring::net
