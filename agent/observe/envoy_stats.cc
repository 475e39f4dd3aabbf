#include "observe/envoy_stats.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "observe/record_json.h"

namespace mooring::observe {

namespace {

using Json = nlohmann::ordered_json;

struct Group {
  std::string_view metrics;  // what their names begin with
  std::string_view prefix;
  std::string_view infix;  // between the label and the name
};
// By the one label that the metrics of a group have.
constexpr Group kGroups[] = {
    {"envoy_cluster_", "cluster.", "."},
    {"envoy_listener_", "listener.", "."},
    {"envoy_tcp_", "tcp.", "."},
    {"envoy_rbac_", "", ".rbac."},
    {"envoy_server_", "server.", ""},
};

bool is_of_histogram(std::string_view metric) {
  return metric.ends_with("_bucket") || metric.ends_with("_sum") || metric.ends_with("_count");
}

// Of the first label; our labels have no quotes in them but escaped ones.
std::string first_label(std::string_view labels) {
  const std::size_t begin = labels.find('"');
  if (begin == std::string_view::npos) return {};
  std::string value;
  for (std::size_t i = begin + 1; i < labels.size() && labels[i] != '"'; ++i) {
    if (labels[i] == '\\' && i + 1 < labels.size()) ++i;
    value += labels[i];
  }
  return value;
}

std::string envoy_name(std::string_view metric, std::string_view labels) {
  for (const Group& group : kGroups) {
    if (!metric.starts_with(group.metrics)) continue;
    std::string name(group.prefix);
    name += first_label(labels);
    name += group.infix;
    return name.append(metric.substr(group.metrics.size()));
  }
  std::string name(metric);
  if (const std::string label = first_label(labels); !label.empty()) name += "." + label;
  return name;
}

// Calls take(name, value).
template <class Take>
void for_each_stat(std::string_view page, const Take& take) {
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(line.size() + 1, page.size()));
    const std::size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string_view::npos) continue;
    const std::string_view metric = line.substr(0, line.find_first_of("{ "));
    if (is_of_histogram(metric)) continue;
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    if (parsed.ec != std::errc()) continue;
    const std::string_view labels = line.substr(metric.size(), space - metric.size());
    take(envoy_name(metric, labels), value);
  }
}

}  // namespace

std::string envoy_stats_json(std::string_view page) {
  Json stats = Json::array();
  for_each_stat(page, [&](std::string name, std::uint64_t value) {
    stats.push_back({{"name", std::move(name)}, {"value", value}});
  });
  return dump({{"stats", std::move(stats)}});
}

std::string envoy_stats_text(std::string_view page) {
  std::set<std::string> lines;
  for_each_stat(page, [&](const std::string& name, std::uint64_t value) {
    lines.insert(name + ": " + std::to_string(value) + "\n");
  });
  std::string text;
  for (const std::string& line : lines)
    text += line;
  return text;
}

}  // namespace mooring::observe
