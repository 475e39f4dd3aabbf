// What a control plane says about metrics, and the page of an application. The input is cut at its
// first zero byte: configuration, then page.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "app/mesh_metrics.h"

using namespace mooring;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view json = input.substr(0, input.find('\0'));
  const std::string_view page = input.substr(std::min(input.size(), json.size() + 1));
  constexpr std::size_t kMaxBytes = 4096;
  std::vector<std::pair<std::string, std::string>> labels{{"application", "a"}};
  if (const auto config = app::parse_mesh_metrics(json)) {
    AGENT_CHECK(config->applications.size() <= app::kMaxMetricsApplications);
    labels.insert(labels.end(), config->own.labels.begin(), config->own.labels.end());
  }
  std::string out = "up 1\n";
  std::set<std::string> described;
  const bool is_added = app::add_page(out, page, labels, described, kMaxBytes);
  AGENT_CHECK(out.starts_with("up 1\n") && out.ends_with('\n') && out.size() <= kMaxBytes);
  AGENT_CHECK(is_added || out == "up 1\n");
  return 0;
}
