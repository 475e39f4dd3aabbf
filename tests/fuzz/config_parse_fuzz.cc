// agent.toml as anybody could write it. What parse() accepts must be accepted again with the same
// result, and what it refuses must come with a reason.
#include <cstddef>
#include <cstdint>
#include <string>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mooring;
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Cut in two at a form feed, so that merging of files is reached.
  const std::size_t cut = text.find('\f');
  std::vector<config::SourceText> sources{{"agent.toml", text.substr(0, cut)}};
  if (cut != std::string::npos) sources.push_back({"conf.d/a.toml", text.substr(cut + 1)});
  const auto first = config::parse(sources);
  const auto second = config::parse(sources);
  AGENT_CHECK(first == second);
  AGENT_CHECK(first || !first.error().empty());
  if (first) AGENT_CHECK(!first->host.trust_domain.empty());
  if (!first) {
    for (const Diagnostic& problem : first.error())
      AGENT_CHECK(!describe(problem).empty());
  }
  return 0;
}
