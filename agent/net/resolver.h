// Host names of the configuration to addresses, on the control loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/loop.h"

namespace mooring::net {

/// Looks one name up in the background (uv_getaddrinfo). Destruction forgets the answer.
class Lookup {
 public:
  /// `on_done` runs once on the loop's thread, with the addresses in the resolver's order, or none.
  Lookup(Loop& loop,
         const std::string& host_name,
         std::function<void(std::vector<IpAddress>)> on_done);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct Request;
  Request* request_;  // owned by the loop until its callback; null afterwards
};

}  // namespace mooring::net
