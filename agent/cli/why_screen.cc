#include <fmt/format.h>

#include "cli/json_view.h"
#include "cli/screens.h"

namespace mooring::cli {

std::string render_why(const nlohmann::json& events, bool has_colour) {
  std::string text;
  for (const nlohmann::json& event : events) {
    if (!text.empty()) text += "\n";
    text += fmt::format("{}  {}  #{}\n",
                        text_of(event, "time"),
                        paint(text_of(event, "reason"), Tone::bad, has_colour),
                        text_of(event, "id"));
    text += fmt::format("  {} -> {}\n", text_of(event, "who"), text_of(event, "whom"));
    text += fmt::format("  {}\n", text_of(event, "cause"));
    text += fmt::format(
        "  {} {}\n", paint("What to do:", Tone::heading, has_colour), text_of(event, "remedy"));
  }
  return text.empty() ? "No connection was refused or broken since the agent started.\n" : text;
}

}  // namespace mooring::cli
