// A loop that runs until something holds, and configurations from text.
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <string_view>

#include "config/load.h"
#include "core/loop.h"

namespace mooring::app {

/// Twenty seconds are for a machine that does something else.
inline bool run_until(Loop& loop, const std::function<bool()>& claim) {
  bool holds = false;
  Timer look(loop, [&] {
    holds = claim();
    if (holds) loop.stop();
  });
  Timer limit(loop, [&] { loop.stop(); });
  look.start(Milliseconds{0}, Milliseconds{2});
  limit.start(Milliseconds{20000});
  loop.run();
  return holds;
}

/// Lets the loop turn for a while in which nothing shall happen.
inline void run_for(Loop& loop, Milliseconds span) {
  Timer limit(loop, [&] { loop.stop(); });
  limit.start(span);
  loop.run();
}

inline config::AgentConfig config_of(std::string_view rest, std::string_view host = "") {
  auto parsed = config::parse(
      {{"agent.toml",
        "[host]\ntrust_domain = \"shop.test\"\n" + std::string(host) + "\n" + std::string(rest)}});
  if (parsed) return *parsed;
  for (const Diagnostic& problem : parsed.error())
    ADD_FAILURE() << describe(problem);
  return {};
}

}  // namespace mooring::app
