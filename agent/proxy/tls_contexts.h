// The TLS contexts of one thread.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "snapshot/snapshot.h"
#include "tls/session.h"

namespace mooring::proxy {

class TlsContexts {
 public:
  /// Null: there is no part, or no context can be made of it. It is made when it is first asked
  /// for; a failure is logged then. Shared, because a handshake may outlast its part.
  [[nodiscard]] const std::shared_ptr<tls::Context>& get(const snapshot::TlsPartPtr& part);
  /// Forgets those of other parts. One that is asked for all the same is made once more.
  void keep(const std::vector<snapshot::TlsPartPtr>& parts);

 private:
  Clock clock_;
  tls::Scratch scratch_;
  std::map<snapshot::TlsPartPtr, std::shared_ptr<tls::Context>> contexts_;  // null: failed
};

}  // namespace mooring::proxy
