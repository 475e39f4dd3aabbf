// Text for terminals: tones that become colours only where there is a terminal, and columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mooring::cli {

enum class Tone : std::uint8_t { plain, good, warning, bad, faint, heading };

/// Control characters become '?', so that no name can steer the terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// Wraps in the tone's escape sequence if `has_colour`.
[[nodiscard]] std::string paint(std::string_view text, Tone tone, bool has_colour);

/// "1d 2h", "23h 10m", "45s": the two largest units.
[[nodiscard]] std::string show_span(std::int64_t seconds);

/// "1 service", "2 services".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view noun);

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};

class TextTable {
 public:
  struct Column {
    std::string_view title;
    bool is_number = false;  // right-aligned
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell per column.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  /// Each line indented by two, columns two apart, no blanks at the end of a line.
  [[nodiscard]] std::string render(bool has_colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace mooring::cli
