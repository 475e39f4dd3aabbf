#include "config/problems.h"

#include <algorithm>

#include <fmt/format.h>

namespace mooring::config {

void Problems::add(Place place, std::string message, std::string hint) {
  if (kept_.size() == kKept) {
    ++more_;
    return;
  }
  kept_.push_back({place, kept_.size(), std::move(message), std::move(hint)});
}

std::string Problems::where(Place place) const {
  return fmt::format("{}:{}:{}", files_.at(place.source), place.line, place.column);
}

std::vector<Diagnostic> Problems::take() && {
  std::sort(kept_.begin(), kept_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.place, a.found) < std::tie(b.place, b.found);
  });
  std::vector<Diagnostic> list;
  list.reserve(kept_.size() + 1);
  for (Entry& entry : kept_)
    list.push_back({where(entry.place), std::move(entry.message), std::move(entry.hint)});
  if (more_ > 0)
    list.push_back({files_.front(), fmt::format("{} more problems are not shown", more_), ""});
  return list;
}

void Places::set(std::string_view section, std::size_t index, std::string_view key, Place place) {
  places_.try_emplace({std::string(section), index, std::string(key)}, place);
}

const Place* Places::find(std::string_view section, std::size_t index, std::string_view key) const {
  const auto found = places_.find({std::string(section), index, std::string(key)});
  return found == places_.end() ? nullptr : &found->second;
}

Place Places::near(std::string_view section, std::size_t index, std::string_view key) const {
  if (const Place* exact = find(section, index, key)) return *exact;
  const Place* whole = find(section, index, "");
  return whole ? *whole : Place{};
}

}  // namespace mooring::config
