// What parsing and validation found, and where each setting was written. One parse() owns one of
// each.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/tree.h"
#include "core/result.h"

namespace mooring::config {

class Problems {
 public:
  /// More are counted, not kept: somebody who reads fifty starts over anyway.
  static constexpr std::size_t kKept = 50;

  explicit Problems(std::vector<std::string> files) : files_(std::move(files)) {}

  void add(Place place, std::string message, std::string hint = {});
  [[nodiscard]] bool empty() const noexcept { return kept_.empty(); }
  /// "agent.toml:12:3".
  [[nodiscard]] std::string where(Place place) const;
  /// In the order of files and lines; a last entry says how many more there were.
  [[nodiscard]] std::vector<Diagnostic> take() &&;

 private:
  struct Entry {
    Place place;
    std::size_t found = 0;  // in which order
    std::string message;
    std::string hint;
  };
  std::vector<std::string> files_;
  std::vector<Entry> kept_;
  std::size_t more_ = 0;
};

/// Places of settings: section ("service"), index of the element in a list section, key. An empty
/// key is the section itself.
class Places {
 public:
  void set(std::string_view section, std::size_t index, std::string_view key, Place place);
  /// Null when it was not written.
  [[nodiscard]] const Place* find(std::string_view section,
                                  std::size_t index,
                                  std::string_view key) const;
  /// The place of the key, else of the section, else the begin of the first file.
  [[nodiscard]] Place near(std::string_view section, std::size_t index, std::string_view key) const;

 private:
  std::map<std::tuple<std::string, std::size_t, std::string>, Place> places_;
};

}  // namespace mooring::config
