// Looks up the hosts that the access log's sinks wait for: its writer may not. Control thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "core/loop.h"
#include "net/resolver.h"
#include "observe/access_log.h"

namespace mooring::app {

class SinkHosts {
 public:
  /// `access_log` outlives this.
  SinkHosts(Loop& loop, observe::AccessLog& access_log);

 private:
  void look();

  Loop& loop_;
  observe::AccessLog& access_log_;
  std::map<std::string, std::unique_ptr<net::Lookup>> pending_;
  std::map<std::string, std::size_t> turns_;  // addresses of a name that were given
  Timer timer_;
};

}  // namespace mooring::app
