#include "config/reference.h"

#include <fmt/format.h>

namespace mooring::config {

namespace {

std::string default_of(const Option& option) {
  if (const std::string_view need = need_text(option); !need.empty()) return std::string(need);
  const std::string text = option.default_text();
  return text.empty() ? "none" : fmt::format("`{}`", text);
}

}  // namespace

std::string_view need_text(const Option& option) noexcept {
  switch (option.presence) {
    case Presence::optional:
      return "";
    case Presence::required:
      return "required";
    case Presence::required_alone:
      return "required without [control_plane]";
    case Presence::required_without_bootstrap:
      return "required without bootstrap";
  }
  return "";
}

std::string range_text(const Option& option) {
  if (option.bounds.max == 0) return "";
  if (!option.bounds_are_durations)
    return fmt::format(" ({} to {})", option.bounds.min, option.bounds.max);
  return fmt::format(" ({} to {})",
                     show_duration(Milliseconds(option.bounds.min)),
                     show_duration(Milliseconds(option.bounds.max)));
}

std::string reference_markdown() {
  std::string text;
  for (const Section& section : sections()) {
    const std::string header =
        section.is_list ? fmt::format("[[{}]]", section.name) : fmt::format("[{}]", section.name);
    text += fmt::format("### {}\n\n{}\n\n", header, section.help);
    if (section.options.empty()) continue;
    text += "| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
    for (const Option& option : section.options) {
      text += fmt::format("| `{}` | {}{} | {} | {} |\n",
                          option.key,
                          option.type_name(),
                          range_text(option),
                          default_of(option),
                          option.help);
    }
    text += "\n";
  }
  return text;
}

}  // namespace mooring::config
