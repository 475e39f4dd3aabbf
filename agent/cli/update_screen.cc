#include <array>

#include <fmt/format.h>

#include "cli/json_view.h"
#include "cli/screens.h"

namespace mooring::cli {

std::string render_update(const nlohmann::json& control_plane) {
  if (!control_plane.is_object()) return "This host has joined no control plane.\n";
  const nlohmann::json& update = member(control_plane, "last_update");
  if (!update.is_object()) return "The control plane has sent nothing yet.\n";
  std::string text = fmt::format("At {} the control plane sent:\n", text_of(update, "at"));
  for (const nlohmann::json& change : member(update, "changes")) {
    for (const char* what : {"added", "changed", "removed"}) {
      for (const nlohmann::json& name : member(change, what)) {
        if (!name.is_string()) continue;
        text += fmt::format("  {:<7}  {:<9}  {}\n",
                            what,
                            text_of(change, "type"),
                            printable(name.get_ref<const std::string&>()));
      }
    }
  }
  return text;
}

}  // namespace mooring::cli
