#include "net/resolver.h"

#include <algorithm>

namespace mooring::net {

struct Lookup::Request {
  uv_getaddrinfo_t uv{};
  Lookup* owner = nullptr;
  std::function<void(std::vector<IpAddress>)> on_done;

  void finish(const addrinfo* list) {
    std::unique_ptr<Request> self(this);
    if (owner == nullptr) return;
    owner->request_ = nullptr;
    std::vector<IpAddress> addresses;
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
      sockaddr_storage raw{};
      std::copy_n(reinterpret_cast<const char*>(entry->ai_addr),
                  entry->ai_addrlen,
                  reinterpret_cast<char*>(&raw));
      const auto address = SocketAddress::from_sockaddr(raw);
      if (address &&
          std::find(addresses.begin(), addresses.end(), address->ip) == addresses.end()) {
        addresses.push_back(address->ip);
      }
    }
    on_done(std::move(addresses));  // may destroy the owner
  }
};

Lookup::Lookup(Loop& loop,
               const std::string& host_name,
               std::function<void(std::vector<IpAddress>)> on_done)
    : request_(nullptr) {
  auto request = std::make_unique<Request>();
  request->owner = this;
  request->on_done = std::move(on_done);
  request->uv.data = request.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const int started = uv_getaddrinfo(
      loop.uv(),
      &request->uv,
      [](uv_getaddrinfo_t* uv, int status, addrinfo* list) noexcept {
        static_cast<Request*>(uv->data)->finish(status == 0 ? list : nullptr);
        uv_freeaddrinfo(list);
      },
      host_name.c_str(),
      nullptr,
      &hints);
  if (started == 0) request_ = request.release();
}

Lookup::~Lookup() {
  if (request_ == nullptr) return;
  request_->owner = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
}

}  // namespace mooring::net
