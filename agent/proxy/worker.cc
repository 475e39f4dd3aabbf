#include "proxy/worker.h"

#include <fmt/format.h>
#include <pthread.h>

#include "proxy/worker_loop.h"

namespace mooring::proxy {

// In this order: the loop closes what is left when it is destroyed, and its streams give their
// chunks to the pool.
struct WorkerThread::Shared {
  explicit Shared(WorkerOptions wanted)
      : options(std::move(wanted)),
        inside(std::make_unique<WorkerLoop>(loop, pool, options)),
        mailbox(loop, [this](WorkerMessage message) { inside->handle(std::move(message)); }) {}

  net::StreamPool pool;
  Loop loop;
  WorkerOptions options;
  std::unique_ptr<WorkerLoop> inside;
  Mailbox<WorkerMessage> mailbox;
};

WorkerThread::WorkerThread(WorkerOptions options)
    : shared_(std::make_unique<Shared>(std::move(options))),
      thread_([this] { shared_->loop.run(); }) {
  pthread_setname_np(thread_.native_handle(),
                     fmt::format("worker-{}", shared_->options.index).c_str());
}

WorkerThread::~WorkerThread() {
  post(Stop{});
  thread_.join();
}

void WorkerThread::post(WorkerMessage message) {
  shared_->mailbox.post(std::move(message));
}

EndpointState WorkerThread::endpoint(const std::string& cluster,
                                     const SocketAddress& address) const {
  return shared_->inside->upstreams().look(cluster, address);
}

}  // namespace mooring::proxy
