#include "cli/text_table.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mooring::cli {

namespace {

std::string_view sequence(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::good:
      return "\x1b[32m";
    case Tone::warning:
      return "\x1b[33m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::faint:
      return "\x1b[2m";
    case Tone::heading:
      return "\x1b[1m";
  }
  return "";
}

/// Characters, for UTF-8 without wide or combining ones.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string safe(text);
  std::replace_if(
      safe.begin(), safe.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }, '?');
  return safe;
}

std::string paint(std::string_view text, Tone tone, bool has_colour) {
  if (!has_colour || tone == Tone::plain || text.empty()) return std::string(text);
  return fmt::format("{}{}\x1b[0m", sequence(tone), text);
}

std::string show_span(std::int64_t seconds) {
  struct Unit {
    const char* name;
    std::int64_t seconds;
  };
  constexpr std::array<Unit, 4> kUnits{{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}};
  seconds = std::max<std::int64_t>(seconds, 0);
  for (std::size_t i = 0; i + 1 < kUnits.size(); ++i) {
    if (seconds < kUnits[i].seconds) continue;
    return fmt::format("{}{} {}{}",
                       seconds / kUnits[i].seconds,
                       kUnits[i].name,
                       seconds % kUnits[i].seconds / kUnits[i + 1].seconds,
                       kUnits[i + 1].name);
  }
  return fmt::format("{}s", seconds);
}

std::string counted(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string TextTable::render(bool has_colour) const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (const Column& column : columns_)
    widths.push_back(width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < widths.size(); ++i)
      widths[i] = std::max(widths[i], width(row.at(i).text));
  }
  const auto line = [&](const std::vector<Cell>& row) {
    std::string text;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string blanks(widths[i] - width(row[i].text), ' ');
      const std::string cell = paint(row[i].text, row[i].tone, has_colour);
      text += "  " + (columns_[i].is_number ? blanks + cell : cell + blanks);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::vector<Cell> titles;
  titles.reserve(columns_.size());
  for (const Column& column : columns_)
    titles.push_back({std::string(column.title), Tone::faint});
  std::string text = line(titles);
  for (const auto& row : rows_)
    text += line(row);
  return text;
}

}  // namespace mooring::cli
