// The %COMMAND% names of access-log templates, as a table: what each prints of a record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "observe/access_log.h"

namespace mooring::observe {

struct LogCommand {
  enum class Argument : std::uint8_t { none, optional, required };
  struct Facts {
    const AccessRecord& record;
    const std::string& argument;  // what stands in parentheses
  };

  std::string_view name;
  Argument argument;
  std::string (*print)(const Facts& facts);  // empty: there is no such fact; peer text is escaped
};

/// What it prints is a number where there is one, and JSON shows it as such.
[[nodiscard]] bool is_number(const LogCommand& command) noexcept;
/// Null for an unknown name. The table is constant.
[[nodiscard]] const LogCommand* find_command(std::string_view name);
/// The known name that begins most like it, for a hint.
[[nodiscard]] std::string_view nearest_command(std::string_view name);

}  // namespace mooring::observe
